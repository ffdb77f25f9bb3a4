"""A safeguarded Newton maximiser of any smooth function; knows no logit.

A trust region in the units of the curvature: each step maximises the quadratic model within a
ball whose shape is the diagonal of the Hessian, so the path does not depend on the units of the
parameters. The value never falls. Near a maximum the steps are Newton's own and converge
quadratically, past the point where differences of values drown in round-off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

__all__ = ["Ascent", "Evaluation", "maximise", "solve_scaled"]

_ROUND_OFF = 1e-13  # relative error of a value that is a sum of many terms
_FIRST_RADIUS = 10.0
_LARGEST_RADIUS = 1e6
_GOOD_STEP, _POOR_STEP = 0.75, 0.1
_SMALLEST_DECREMENT = 1e-22  # twice the gain that a Newton step still promises


class Evaluation(Protocol):
    """A function at a point: value, score (D,) and Hessian (D, D)."""

    @property
    def value(self) -> float: ...

    @property
    def score(self) -> np.ndarray: ...

    @property
    def hessian(self) -> np.ndarray: ...


_E = TypeVar("_E", bound=Evaluation)


@dataclass(frozen=True)
class Ascent(Generic[_E]):
    """Where the maximiser ended.

    Parameters
    ----------
    x : ndarray, shape (D,)
    evaluation : Evaluation
        The function at ``x``.
    n_iter : int
        Accepted steps.
    status : {"stationary", "maxiter"}
        "stationary": no step promises a gain above round-off.
    """

    x: np.ndarray
    evaluation: _E
    n_iter: int
    status: str


def maximise(
    function: Callable[[np.ndarray], _E],
    x: np.ndarray,
    *,
    maxiter: int = 100,
    callback: Callable[[int, _E, np.ndarray], None] | None = None,
) -> Ascent[_E]:
    """Maximise a function from a starting point.

    Parameters
    ----------
    function : callable
        Returns the `Evaluation` at a point; its value may be −inf or nan where the function does
        not exist.
    x : ndarray, shape (D,)
        Where to start; the value must be finite there.
    maxiter : int
        Largest number of accepted steps.
    callback : callable, optional
        Called with the step number, the evaluation and the point after every accepted step.

    Returns
    -------
    Ascent
    """
    here = function(x)
    radius = _FIRST_RADIUS
    n_iter = 0
    while n_iter < maxiter:
        step, promised, is_newton = _trust_region_step(here.score, here.hessian, radius)
        noise = _ROUND_OFF * max(1.0, abs(here.value))
        if not promised > _SMALLEST_DECREMENT:
            return Ascent(x, here, n_iter, "stationary")
        there = function(x + step)
        gain = there.value - here.value
        # below round-off a gain cannot be seen, but a Newton step is known to be good while the
        # score shrinks
        is_blind = is_newton and promised <= noise and abs(gain) <= 2 * noise
        if is_blind:
            if _decrement(there.score, there.hessian) >= promised:
                return Ascent(x, here, n_iter, "stationary")
        elif not gain > 0:
            if promised <= noise:
                return Ascent(x, here, n_iter, "stationary")
            radius = min(radius, _length(step, here.hessian)) / 4
            continue
        ratio = 1.0 if is_blind else gain / promised
        if ratio > _GOOD_STEP:
            radius = min(2 * radius, _LARGEST_RADIUS)
        elif ratio < _POOR_STEP:
            radius /= 4
        x, here = x + step, there
        n_iter += 1
        if callback is not None:
            callback(n_iter, here, x)
    return Ascent(x, here, n_iter, "maxiter")


def solve_scaled(information: np.ndarray, score: np.ndarray, ridge: float = 1e-12) -> np.ndarray:
    """Solve a stack of positive semi-definite systems, whatever the units of their parameters.

    Parameters
    ----------
    information : ndarray, shape (..., D, D)
    score : ndarray, shape (..., D)
    ridge : float
        Added to the diagonal once that is scaled to one, so that a singular system has a
        solution. Parameters with no information at all get a step of zero.

    Returns
    -------
    ndarray, shape (..., D)
    """
    diagonal = np.diagonal(information, axis1=-2, axis2=-1)
    is_informed = diagonal > 0
    unit = np.where(is_informed, 1 / np.sqrt(np.where(is_informed, diagonal, 1.0)), 0.0)
    scaled = information * unit[..., :, None] * unit[..., None, :]
    scaled = scaled + (ridge + ~is_informed)[..., None] * np.eye(score.shape[-1])
    return unit * np.linalg.solve(scaled, (unit * score)[..., None])[..., 0]


def _unit(hessian: np.ndarray) -> np.ndarray:
    """Length of each parameter in units of its own curvature, (D,)."""
    diagonal = np.abs(np.diag(hessian))
    return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))


def _length(step: np.ndarray, hessian: np.ndarray) -> float:
    """Length of a step in the shape of the trust region."""
    return float(np.linalg.norm(step / _unit(hessian)))


def _decrement(score: np.ndarray, hessian: np.ndarray) -> float:
    """Gain that the quadratic model promises without a bound on the step."""
    return _trust_region_step(score, hessian, np.inf)[1]


def _trust_region_step(
    score: np.ndarray, hessian: np.ndarray, radius: float
) -> tuple[np.ndarray, float, bool]:
    """Maximise the quadratic model within the trust region.

    Returns the step, the gain it promises and whether it is the unrestricted Newton step.
    """
    unit = _unit(hessian)
    value, vector = np.linalg.eigh(hessian * np.outer(unit, unit))  # ascending
    gradient = vector.T @ (unit * score)
    tiny = np.finfo(float).eps * len(value) * max(1.0, float(np.abs(value).max(initial=0.0)))
    if len(value) == 0:
        return score, 0.0, True
    if value[-1] < -tiny:
        move = -gradient / value
        if np.linalg.norm(move) <= radius:
            promised = 0.5 * float(gradient @ move)
            return unit * (vector @ move), promised, True
    elif not np.isfinite(radius):
        return np.full(len(score), np.nan), np.inf, False
    move = _on_the_boundary(value, gradient, radius, tiny)
    promised = float(gradient @ move + 0.5 * (value * move) @ move)
    return unit * (vector @ move), promised, False


def _on_the_boundary(
    value: np.ndarray, gradient: np.ndarray, radius: float, tiny: float
) -> np.ndarray:
    """Maximise g'p + p'Λp / 2 on the sphere: p = g / (μ − λ), with μ found by bisection."""
    low = max(0.0, float(value[-1])) + tiny
    move = gradient / (low - value)
    if np.linalg.norm(move) < radius:
        # no slope along the most convex direction (a saddle): walk along it
        rest = np.sqrt(radius**2 - float(move @ move))
        if value[-1] <= tiny and gradient[-1] == 0:
            return move
        move = move.copy()
        move[-1] += rest if gradient[-1] >= 0 else -rest
        return move
    high = low + float(np.linalg.norm(gradient)) / radius
    for _ in range(200):
        middle = 0.5 * (low + high)
        if np.linalg.norm(gradient / (middle - value)) > radius:
            low = middle
        else:
            high = middle
        if high - low <= 1e-12 * high:
            break
    return gradient / (high - value)
