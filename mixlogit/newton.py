"""A safeguarded Newton maximiser of any smooth function; knows no logit.

A trust region in the units of the curvature: each step maximises the quadratic model within a
ball whose shape is the diagonal of the Hessian, so the path does not depend on the units of the
parameters. The value never falls beyond round-off. Near a maximum the steps are Newton's own and
converge quadratically, past the point where differences of values drown in round-off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

__all__ = ["Ascent", "Evaluation", "diagonal_unit", "maximise", "solve_scaled"]

_ROUND_OFF = 1e-13  # relative error of a value, or a curvature, that is a sum of many terms
_FIRST_RADIUS = 10.0
_LARGEST_RADIUS = 1e6
_GOOD_STEP, _POOR_STEP = 0.75, 0.1
_LEAST_DIAGONAL = 1e-290  # denormal numbers below it have lost their digits
_IDLE = 100.0  # times round-off: what a parameter is worth that has diverged
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
    while True:
        noise = _ROUND_OFF * max(1.0, abs(here.value))
        step, promised, is_newton = _trust_region_step(x, here, radius, noise)
        if not promised > _SMALLEST_DECREMENT or (promised <= noise and not is_newton):
            return Ascent(x, here, n_iter, "stationary")
        if n_iter >= maxiter:
            return Ascent(x, here, n_iter, "maxiter")
        there = function(x + step)
        gain = there.value - here.value
        # a gain below round-off cannot be seen, but a Newton step is known to be good while what
        # the next one promises shrinks
        is_blind = is_newton and abs(gain) <= noise
        if not gain > noise and not (
            is_blind and _trust_region_step(x + step, there, np.inf, noise)[1] < promised
        ):
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
    is_informed = diagonal > _LEAST_DIAGONAL
    unit = np.where(is_informed, 1 / np.sqrt(np.where(is_informed, diagonal, 1.0)), 0.0)
    scaled = information * unit[..., :, None] * unit[..., None, :]
    scaled = scaled + (ridge + ~is_informed)[..., None] * np.eye(score.shape[-1])
    return unit * np.linalg.solve(scaled, (unit * score)[..., None])[..., 0]


def diagonal_unit(matrix: np.ndarray) -> np.ndarray:
    """Scale that puts ones, or minus ones, on a diagonal.

    Parameters
    ----------
    matrix : ndarray, shape (D, D)

    Returns
    -------
    ndarray, shape (D,)
        One where the diagonal is zero.
    """
    diagonal = np.abs(np.diag(matrix))
    return 1 / np.sqrt(np.where(diagonal > _LEAST_DIAGONAL, diagonal, 1.0))


def _length(step: np.ndarray, hessian: np.ndarray) -> float:
    """Length of a step in the shape of the trust region."""
    return float(np.linalg.norm(step / diagonal_unit(hessian)))


def _trust_region_step(
    x: np.ndarray, at: Evaluation, radius: float, noise: float
) -> tuple[np.ndarray, float, bool]:
    """Maximise the quadratic model within the trust region.

    Returns the step, the gain it promises and whether it is the unrestricted Newton step.
    """
    step, promised, is_newton = _step(at.score, at.hessian, radius, noise)
    if is_newton:
        return step, promised, True
    idle = _is_idle(x, at, noise)
    if idle.all() or not idle.any():
        return step, promised, False
    step = np.zeros(len(x))
    step[~idle], promised, is_newton = _step(
        at.score[~idle], at.hessian[np.ix_(~idle, ~idle)], radius, noise
    )
    return step, promised, is_newton


def _is_idle(x: np.ndarray, at: Evaluation, noise: float) -> np.ndarray:
    """Whether parameters have diverged so far that they no longer matter, (D,).

    Neither slope nor curvature over the way from zero can be seen: they are round-off, of either
    sign, and a step that trusts them could go anywhere. Zero itself is a start, not an end.
    """
    slope, curvature = np.abs(at.score * x), np.abs(np.diag(at.hessian)) * x**2
    return (np.maximum(slope, curvature) <= _IDLE * noise) & (x != 0)


def _step(
    score: np.ndarray, hessian: np.ndarray, radius: float, noise: float
) -> tuple[np.ndarray, float, bool]:
    """Maximise one quadratic model: step, promised gain, whether it is Newton's own."""
    unit = diagonal_unit(hessian)
    value, vector = np.linalg.eigh(hessian * np.outer(unit, unit))  # ascending
    gradient = vector.T @ (unit * score)
    tiny = _ROUND_OFF * max(1.0, float(np.abs(value).max(initial=0.0)))
    # where there is neither slope nor curvature, stay: round-off would choose the step
    is_flat = (np.abs(value) <= tiny) & (np.abs(gradient) * _FIRST_RADIUS <= noise)
    value, vector, gradient = value[~is_flat], vector[:, ~is_flat], gradient[~is_flat]
    if (value < -tiny).all():
        move = -gradient / value
        if np.linalg.norm(move) <= radius:
            return unit * (vector @ move), 0.5 * float(gradient @ move), True
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
        if value[-1] > tiny:  # a saddle, no slope along the most convex direction: walk along it
            rest = np.sqrt(radius**2 - float(move @ move))
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
