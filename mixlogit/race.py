"""Successive halving: many mixtures together, a few EM iterations at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mixlogit.em import Run, expectation_maximisation
from mixlogit.likelihood import MixtureLikelihood, Parameters

__all__ = ["SAME_OPTIMUM", "Race", "race"]

SAME_OPTIMUM = 0.01  # log-likelihoods this close belong to one optimum


@dataclass(frozen=True, eq=False)
class Race:
    """The mixtures that finished a race, best first.

    Parameters
    ----------
    run : Run
    index : ndarray of int, shape (G,)
        Which of the candidates each one was.
    n_iterations : int
        EM iterations of all candidates together.
    """

    run: Run
    index: np.ndarray
    n_iterations: int


def race(
    likelihood: MixtureLikelihood,
    parameters: Parameters,
    rungs: Sequence[tuple[int, int]],
    *,
    maxiter: int,
    tol: float,
    callback: Callable[[int, np.ndarray, np.ndarray], None] | None = None,
) -> Race:
    """Run EM on a stack of mixtures, of which fewer and fewer go on.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    parameters : Parameters
        Candidates, with a leading axis.
    rungs : sequence of (int, int)
        After how many further iterations how many of the best go on.
    maxiter, tol : int, float
        For those that finish, as in `expectation_maximisation`.
    callback : callable, optional
        As in `expectation_maximisation`.

    Returns
    -------
    Race
    """
    index = np.arange(len(parameters.beta))
    n_iter = np.zeros(len(index), dtype=int)
    work = 0
    for length, n_kept in rungs:
        if len(index) <= n_kept:
            continue
        run = expectation_maximisation(
            likelihood, parameters, maxiter=length, tol=0.0, callback=callback
        )
        work += int(run.n_iter.sum())
        best = np.argsort(-run.value, kind="stable")[:n_kept]
        parameters, index, n_iter = run.parameters[best], index[best], (n_iter + run.n_iter)[best]
    run = expectation_maximisation(
        likelihood, parameters, maxiter=maxiter, tol=tol, callback=callback
    )
    work += int(run.n_iter.sum())
    run = Run(run.parameters, run.value, run.n_iter + n_iter, run.gap, run.converged)
    best = np.argsort(-run.value, kind="stable")
    return Race(run[best], index[best], work)
