"""The EM loop, for a stack of mixtures that share every pass over the table.

Generalised EM: each iteration takes one Newton step of the weighted logits at the current
posterior (and of the membership logit, if there are covariates). A step that would lower the
log-likelihood is halved until it does not, so the log-likelihood never falls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from mixlogit.errors import NotMonotoneError
from mixlogit.likelihood import Expectation, MixtureLikelihood, Parameters
from mixlogit.newton import solve_scaled

__all__ = ["Run", "expectation_maximisation"]

_Record = TypeVar("_Record", Parameters, Expectation)

_ROUND_OFF = 1e-12  # relative error of a log-likelihood
_MAX_HALVINGS = 40
_LONGEST_STEP = 4.0  # utils per standard deviation of an attribute, in one iteration


@dataclass(frozen=True, eq=False)
class Run:
    """Where EM left a stack of G mixtures.

    Parameters
    ----------
    parameters : Parameters
        With a leading axis of length G.
    value : ndarray, shape (G,)
        Log-likelihood, less the penalty if there is one.
    n_iter : ndarray of int, shape (G,)
        Iterations taken, without those that only halved a step.
    gap : ndarray, shape (G,)
        What further iterations would still add, by Aitken's extrapolation; 0 once gains drown in
        round-off, inf where unknown.
    converged : ndarray of bool, shape (G,)
        Whether the gap is below the tolerance.
    """

    parameters: Parameters
    value: np.ndarray
    n_iter: np.ndarray
    gap: np.ndarray
    converged: np.ndarray

    @classmethod
    def stack(cls, runs: list[Run]) -> Run:
        """Put stacks one behind the other."""
        rest = [name.name for name in fields(cls) if name.name != "parameters"]
        parameters = Parameters(
            np.concatenate([run.parameters.beta for run in runs]),
            np.concatenate([run.parameters.gamma for run in runs]),
        )
        return cls(parameters, *(np.concatenate([getattr(r, n) for r in runs]) for n in rest))

    def __getitem__(self, item: np.ndarray | list[int]) -> Run:
        """Pick mixtures from the stack."""
        return Run(*(getattr(self, field.name)[item] for field in fields(self)))


def expectation_maximisation(
    likelihood: MixtureLikelihood,
    parameters: Parameters,
    *,
    maxiter: int,
    tol: float,
    callback: Callable[[int, np.ndarray, np.ndarray], None] | None = None,
) -> Run:
    """Run EM on a stack of mixtures until each converges or ``maxiter`` iterations are done.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    parameters : Parameters
        With a leading axis of length G; log-likelihoods must be finite.
    maxiter : int
    tol : float
        Stop when Aitken's extrapolation promises less than this gain in log-likelihood; 0 never
        stops.
    callback : callable, optional
        Called after every pass over the table with its number, and the values (A,) and posterior
        weights (A, K) of the mixtures that were still running.

    Returns
    -------
    Run

    Raises
    ------
    NotMonotoneError
        No fraction of a step keeps the log-likelihood from falling beyond round-off.
    """
    n_mixtures = len(parameters.beta)
    active = np.arange(n_mixtures if maxiter > 0 else 0)
    here, at = parameters, likelihood.expect(parameters)
    value = at.llf - likelihood.penalty_at(here.beta)
    final = Parameters(here.beta.copy(), here.gamma.copy())
    final_value = value.copy()
    n_iter = np.zeros(n_mixtures, dtype=int)
    gap = np.full(n_mixtures, np.inf)
    converged = np.zeros(n_mixtures, dtype=bool)
    last_gain = np.full(n_mixtures, np.nan)  # of the active ones
    proposal = _m_step(likelihood, here, at)
    n_halved = np.zeros(n_mixtures, dtype=int)
    iteration = 0
    while len(active):
        iteration += 1
        there = likelihood.expect(proposal)
        reached = there.llf - likelihood.penalty_at(proposal.beta)
        gain = reached - value
        noise = _ROUND_OFF * np.maximum(1.0, np.abs(value))
        rises = gain >= -noise
        if (n_halved[~rises] >= _MAX_HALVINGS).any():
            raise NotMonotoneError
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = gain / last_gain
            ahead = np.where(np.abs(gain) <= noise, 0.0, np.inf)
            ahead = np.where((rate > 0) & (rate < 1), gain * rate / (1 - rate), ahead)
        is_whole = n_halved == 0  # the gain of a halved step says nothing about the rate
        ahead[~is_whole] = np.inf

        here = _choose(rises, proposal, here)
        at = _choose(rises, there, at)
        value = np.where(rises, reached, value)
        last_gain = np.where(rises & is_whole, gain, np.nan)
        n_halved = np.where(rises, 0, n_halved + 1)
        n_iter[active] += rises
        gap[active] = np.where(rises, ahead, gap[active])
        converged[active] = rises & (ahead < tol)
        final.beta[active], final.gamma[active], final_value[active] = here.beta, here.gamma, value
        if callback is not None:
            callback(iteration, value, at.mass)

        goes_on = ~converged[active] & (n_iter[active] < maxiter)
        middle = Parameters(0.5 * (here.beta + proposal.beta), 0.5 * (here.gamma + proposal.gamma))
        proposal = _choose(rises, _m_step(likelihood, here, at), middle)
        active, value, last_gain = active[goes_on], value[goes_on], last_gain[goes_on]
        n_halved, here, proposal = n_halved[goes_on], here[goes_on], proposal[goes_on]
        at = Expectation(*(getattr(at, field.name)[goes_on] for field in fields(at)))
    return Run(final, final_value, n_iter, gap, converged)


def _m_step(likelihood: MixtureLikelihood, here: Parameters, at: Expectation) -> Parameters:
    """One Newton step of every weighted logit, and the M-step of the gate."""
    step = solve_scaled(at.beta_information, at.beta_gradient)
    length = np.abs(step * likelihood.data.exog_scale).max(axis=-1, keepdims=True)
    step *= np.minimum(1.0, _LONGEST_STEP / np.maximum(length, _LONGEST_STEP))
    gamma = likelihood.membership.m_step(here.gamma, at.gamma_gradient, at.gamma_information)
    return Parameters(here.beta + step, gamma)


def _choose(mask: np.ndarray, yes: _Record, no: _Record) -> _Record:
    """Pick whole mixtures of a stack from one of two records."""
    picked = {}
    for field in fields(yes):
        a, b = getattr(yes, field.name), getattr(no, field.name)
        picked[field.name] = np.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b)
    return type(yes)(**picked)
