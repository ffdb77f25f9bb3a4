"""A safeguarded Newton maximiser of any smooth function; knows no logit.

A trust region in the units of the curvature: each step maximises the quadratic model within a
ball whose shape is the diagonal of the Hessian, so the path does not depend on the units of the
parameters. The value never falls beyond round-off. Near a maximum the steps are Newton's own and
converge quadratically, past the point where differences of values drown in round-off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

__all__ = [
    "Ascent",
    "Evaluation",
    "Move",
    "Quadratic",
    "Subproblem",
    "conjugate_gradients",
    "diagonal_unit",
    "maximise",
    "solve_scaled",
    "trust_region_step",
    "whitener",
]

_ROUND_OFF = 1e-13  # relative error of a value, or a curvature, that is a sum of many terms
_FIRST_RADIUS = 10.0
_LARGEST_RADIUS = 1e6
_GOOD_STEP, _POOR_STEP = 0.75, 0.1
_LEAST_DIAGONAL = 1e-290  # denormal numbers below it have lost their digits
_IDLE = 100.0  # times round-off: what a parameter is worth that has diverged
_ENOUGH = 1e-22  # gain of a step, half its squared length in standard errors
# Utilities a thousand times those of surveys leave 1e-9 of the information, round-off 1e-16.
_IDENTIFIED = 1e-12  # smallest eigenvalue of complete information, relative to the largest
_MOST_PRODUCTS = 1000  # of one step
_FORCING = 0.1  # residual of a step, relative to the score: at most
_SETTLED = 1e-16  # squared length of a score that calls for no step, in standard errors


class _Curved(Protocol):
    """A function at a point: value, score (D,), and products of its Hessian."""

    @property
    def value(self) -> float: ...

    @property
    def score(self) -> np.ndarray: ...

    def product(self, vectors: np.ndarray) -> np.ndarray:
        """Hessian times a vector, (D,)."""
        ...


class Evaluation(_Curved, Protocol):
    """A function at a point, with its Hessian (D, D)."""

    @property
    def hessian(self) -> np.ndarray: ...


class Quadratic(_Curved, Protocol):
    """A function at a point, with what takes the place of its Hessian."""

    def solve(self, vectors: np.ndarray) -> np.ndarray:
        """Inverse of a positive semi-definite matrix near −H times a vector, (D,)."""
        ...


_E = TypeVar("_E", bound=_Curved)


@dataclass(frozen=True)
class Move:
    """A step within a trust region.

    Parameters
    ----------
    step : ndarray, shape (D,)
    promised : float
        Gain in the quadratic model.
    is_newton : bool
        Whether the region does not restrict it.
    length : float
        In the shape of the region.
    """

    step: np.ndarray
    promised: float
    is_newton: bool
    length: float


# A point, the function there, a radius, and the round-off of values.
Subproblem = Callable[[np.ndarray, _E, float, float], Move]


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
    here: _E | None = None,
    maxiter: int = 100,
    radius: float = _FIRST_RADIUS,
    enough: float = _ENOUGH,
    subproblem: Subproblem[Any] | None = None,
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
    here : Evaluation, optional
        The function at the start, where it is known.
    maxiter : int
        Largest number of accepted steps.
    radius : float
        Of the first trust region, in units of the curvature.
    enough : float
        No step is taken that promises no more than this.
    subproblem : callable, optional
        How the quadratic model is maximised: `trust_region_step` if None, which needs the
        Hessian, or `conjugate_gradients`.
    callback : callable, optional
        Called with the step number, the evaluation and the point after every accepted step.

    Returns
    -------
    Ascent
    """
    best_move: Subproblem[Any] = subproblem or trust_region_step
    here = function(x) if here is None else here
    n_iter = 0
    ahead: Move | None = None  # from here, if it has been found already
    while True:
        noise = _ROUND_OFF * max(1.0, abs(here.value))
        move = ahead if ahead is not None and ahead.length <= radius else None
        move = move or best_move(x, here, radius, noise)
        ahead = None
        step, promised, is_newton = move.step, move.promised, move.is_newton
        if not promised > enough or (promised <= noise and not is_newton):
            return Ascent(x, here, n_iter, "stationary")
        if n_iter >= maxiter:
            return Ascent(x, here, n_iter, "maxiter")
        there = function(x + step)
        gain = there.value - here.value
        # a gain below round-off cannot be seen, but a Newton step is known to be good while what
        # the next one promises shrinks, and the curvature, which promised it, does not
        is_blind = is_newton and abs(gain) <= noise
        if is_blind and -float(step @ there.product(step)) >= promised:
            ahead = best_move(x + step, there, np.inf, noise)
        if not gain > noise and not (ahead is not None and ahead.promised < promised):
            ahead = None
            if promised <= noise:
                return Ascent(x, here, n_iter, "stationary")
            radius = min(radius, move.length) / 4
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


def trust_region_step(x: np.ndarray, at: Evaluation, radius: float, noise: float) -> Move:
    """Maximise the quadratic model within the trust region, by the eigenvalues of the Hessian.

    Parameters
    ----------
    x : ndarray, shape (D,)
    at : Evaluation
    radius : float
        In units of the curvature: the diagonal of the Hessian shapes the region.
    noise : float
        Round-off of the value.

    Returns
    -------
    Move
    """
    step, promised, is_newton = _step(at.score, at.hessian, radius, noise)
    if not is_newton or promised <= noise:
        idle = _is_idle(x, at, noise)
        if idle.all() and abs(at.value) <= noise:
            is_newton = False  # all is predicted perfectly, and round-off chose the step
        elif idle.any() and not is_newton:
            step = np.zeros(len(x))
            step[~idle], promised, is_newton = _step(
                at.score[~idle], at.hessian[np.ix_(~idle, ~idle)], radius, noise
            )
    return Move(step, promised, is_newton, _length(step, at.hessian))


def conjugate_gradients(x: np.ndarray, at: Quadratic, radius: float, noise: float) -> Move:
    """Maximise the quadratic model within the trust region, by products with the Hessian.

    Preconditioned conjugate gradients that end where they leave the region or meet a direction
    in which the function is convex. The residual of a Newton step is left as large as convergence
    of the second order allows, and a score that is zero to 1e-8 standard errors calls for no step.

    Parameters
    ----------
    x : ndarray, shape (D,)
    at : Quadratic
        Its `Quadratic.solve` shapes the region.
    radius : float
    noise : float
        Round-off of the value; not needed.

    Returns
    -------
    Move

    References
    ----------
    T. Steihaug (1983), The conjugate gradient method and trust regions in large scale
    optimization.
    """
    step, residual = np.zeros(len(x)), at.score.copy()
    direction = at.solve(residual)
    size = float(residual @ direction)
    enough = max(size * min(_FORCING, np.sqrt(max(size, 0.0))) ** 2, 0.1 * _SETTLED)
    # squared lengths of step and direction, and their inner product, in the metric of the region
    long, across, wide = 0.0, 0.0, size
    n_products = 0
    is_newton = not size > _SETTLED
    while not is_newton and n_products < _MOST_PRODUCTS:
        bent = -at.product(direction)
        n_products += 1
        curvature = float(direction @ bent)
        is_convex = not curvature > _ROUND_OFF * wide
        if is_convex and not np.isfinite(radius):
            return Move(np.full(len(x), np.nan), np.inf, False, np.inf)
        stride = np.inf if is_convex else size / curvature
        if not long + 2 * stride * across + stride**2 * wide < radius**2:
            root = np.sqrt(across**2 + wide * max(radius**2 - long, 0.0))
            stride = (root - across) / wide
            step, residual = step + stride * direction, residual - stride * bent
            long = radius**2
            break
        step, residual = step + stride * direction, residual - stride * bent
        long += 2 * stride * across + stride**2 * wide
        solved = at.solve(residual)
        size, last = float(residual @ solved), size
        is_newton = size <= enough
        carried = size / last
        across, wide = carried * (across + stride * wide), size + carried**2 * wide
        direction = solved + carried * direction
    promised = 0.5 * float((at.score + residual) @ step)
    return Move(step, promised, is_newton, float(np.sqrt(long)))


def whitener(matrix: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions in which a matrix is one, and, in units, those in which it has nothing.

    Parameters
    ----------
    matrix : ndarray, shape (D, D)
        Positive semi-definite.
    unit : ndarray, shape (D,)
        Of the parameters.

    Returns
    -------
    whiten : ndarray, shape (D, kept)
    null : ndarray, shape (D, D − kept)
    """
    value, vector = np.linalg.eigh(matrix * np.outer(unit, unit))
    keep = value > _IDENTIFIED * value.max(initial=0.0)
    return unit[:, None] * vector[:, keep] / np.sqrt(value[keep]), vector[:, ~keep]


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
