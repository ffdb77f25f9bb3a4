"""Successive halving: many mixtures together, a few EM iterations at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixlogit.em import Climb, Run
from mixlogit.likelihood import Parameters

__all__ = ["SAME_OPTIMUM", "Race", "race"]

SAME_OPTIMUM = 0.01  # log-likelihoods this close belong to one optimum


@dataclass(frozen=True, eq=False)
class Race:
    """The mixtures that reached the last lap of a race, best first.

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


def race(climb: Climb, parameters: Parameters, rungs: Sequence[tuple[int, int]]) -> Race:
    """Run EM on a stack of mixtures, of which fewer and fewer go on.

    On the last lap, those give up that fall behind the best for good.

    Parameters
    ----------
    climb : Climb
    parameters : Parameters
        Candidates, with a leading axis.
    rungs : sequence of (int, int)
        After how many further iterations how many of the best go on.

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
        run = climb.some(parameters, length)
        work += int(run.n_iter.sum())
        best = np.argsort(-run.value, kind="stable")[:n_kept]
        parameters, index, n_iter = run.parameters[best], index[best], (n_iter + run.n_iter)[best]
    run = climb.to_the_end(parameters, floor=-np.inf)
    work += int(run.n_iter.sum())
    run = Run(run.parameters, run.value, run.n_iter + n_iter, run.gap, run.converged)
    best = np.argsort(-run.value, kind="stable")
    return Race(run[best], index[best], work)
