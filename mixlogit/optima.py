"""Maxima of a mixture, told apart by the tastes of their classes and not by their value alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.optimize

from mixlogit.axes import Axes
from mixlogit.em import Run
from mixlogit.likelihood import MixtureLikelihood, Parameters

__all__ = ["RIVAL", "Optimum", "describe_rivals", "led_to"]

RIVAL = 3.0
"""Log-likelihood between optima that data hardly tell apart: a likelihood ratio of twenty."""

_SHAKE = 4.0  # standard errors, if the classes were observed
_FARTHEST = 10.0  # standard deviations of utility along an axis: how far a shake goes
# Squared standard errors, if the classes were observed, of all tastes together: where EM still
# has steps to make, where it has all but ended, and between two ends of Newton's steps.
_NEAR, _CLOSE, _SAME = 4.0, 0.25, 1e-3
_BETTER = 1e-6  # log-likelihood by which another has to be better to come first
_ALIKE = 0.5  # log-likelihood: EM is never so far from its end when it stops

Settle = Callable[[Parameters], tuple[Parameters, float]]


@dataclass(frozen=True, eq=False)
class Optimum:
    """A maximum.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    parameters : Parameters
        One mixture.
    value : float
        Log-likelihood there, less the penalty if there is one.
    """

    likelihood: MixtureLikelihood
    parameters: Parameters
    value: float

    @cached_property
    def information(self) -> np.ndarray:
        """Complete information on the tastes of its classes, (K, L, L)."""
        stack = Parameters(self.parameters.beta[None], self.parameters.gamma[None])
        return self.likelihood.expect(stack).beta_information[0]

    def matched(self, parameters: Parameters) -> tuple[np.ndarray, float]:
        """Classes of a mixture in the order of those here, and its distance.

        Also the squared standard errors, if the classes were observed, of all tastes together.
        """
        apart = self.parameters.beta[:, None, :] - parameters.beta  # (K, K, L)
        along = apart @ self.information
        distance = (along * apart).sum(axis=-1)  # (K, K)
        own, other = scipy.optimize.linear_sum_assignment(distance)
        return other, float(distance[own, other].sum())

    def is_near(self, parameters: Parameters, within: float = _NEAR) -> bool:
        """Whether a mixture is this one but for the order of the classes and a little more."""
        return self.matched(parameters)[1] < within

    def shaken(self, n: int, axes: Axes, rng: np.random.Generator) -> Parameters:
        """Move all tastes by a few standard errors at random, but no farther than makes sense.

        A class whose coefficients diverge has no information, or round-off of either sign.
        """
        value, vector = np.linalg.eigh(axes.quadratic(self.information))
        value = np.maximum(value, np.maximum(1e-8 * value[..., -1:], np.finfo(float).tiny))
        draws = rng.standard_normal((n, *value.shape)) * _SHAKE / np.sqrt(value)
        move = (vector @ draws[..., None])[..., 0]
        length = np.abs(move).max(axis=-1, keepdims=True)
        beta = self.parameters.beta + axes.tastes(move * np.minimum(1.0, _FARTHEST / length))
        return Parameters(beta, np.repeat(self.parameters.gamma[None], n, axis=0))


def led_to(run: Run, best: Optimum, settle: Settle | None) -> tuple[list[Optimum], np.ndarray]:
    """Find the optimum that each start led to.

    Parameters
    ----------
    run : Run
        Where EM left the starts, best first.
    best : Optimum
        Where the first of them ended.
    settle : callable or None
        Goes on from a mixture to its maximum: asked where one of nearly the best log-likelihood
        is not clearly the same. None leaves such starts where EM did.

    Returns
    -------
    optima : list of Optimum
        In the order of their value; the first may be one that is better than `best`.
    number : ndarray of int, shape (G,)
        Place of each start's optimum in that list; −1 where a start gave up on its way.
    """
    optima, number = [best], np.full(len(run.value), -1)
    number[0] = 0
    reach = run.value + np.where(np.isfinite(run.gap), run.gap, 0.0)  # had EM gone on
    for i in range(1, len(number)):
        here = Optimum(best.likelihood, run.parameters[i], float(reach[i]))
        may_be_best = bool(run.converged[i] and best.value - reach[i] < RIVAL)
        is_settled = settle is None or not may_be_best
        number[i] = _place(optima, here, _NEAR if is_settled else _CLOSE)
        if number[i] < 0 and settle is not None and may_be_best:
            here = Optimum(best.likelihood, *settle(here.parameters))
            number[i] = _place(optima, here, _SAME)
        if number[i] < 0 and run.converged[i]:
            number[i] = len(optima)
            optima.append(here)
    value = np.array([one.value for one in optima])
    value[0] += _BETTER
    order = np.argsort(-value, kind="stable")
    place = np.argsort(order)
    return [optima[j] for j in order], np.where(number < 0, -1, place[number])


def _place(optima: Sequence[Optimum], here: Optimum, within: float) -> int:
    """Which of some optima a mixture is at; −1 if none."""
    for j, one in enumerate(optima):
        if abs(one.value - here.value) < _ALIKE and one.is_near(here.parameters, within):
            return j
    return -1


def describe_rivals(optima: Sequence[Optimum], names: Sequence[str]) -> str:
    """Say which optima are hardly worse than the best, and what sets the next one apart.

    Parameters
    ----------
    optima : sequence of Optimum
        Best first.
    names : sequence of str, length D
        Of the parameters, tastes first.

    Returns
    -------
    str
        Empty without a rival.
    """
    best = optima[0]
    rivals = [one for one in optima[1:] if best.value - one.value < RIVAL]
    if not rivals:
        return ""
    nearest = rivals[0]
    order, _ = best.matched(nearest.parameters)
    theirs = nearest.parameters.beta[order]
    error = 1 / np.sqrt(np.maximum(np.diagonal(best.information, axis1=1, axis2=2), 1e-300))
    most = int((np.abs(theirs - best.parameters.beta) / error).argmax())
    those = (
        "Another maximum has a log-likelihood"
        if len(rivals) == 1
        else f"{len(rivals)} other maxima have log-likelihoods up to"
    )
    return (
        f"{those} only {best.value - rivals[-1].value:.2g} lower, which these data hardly tell "
        f"from the best. The next best differs most in {names[most]}: "
        f"{theirs.flat[most]:.4g} there, {best.parameters.beta.flat[most]:.4g} here. Report what "
        "they share, or fit fewer classes."
    )
