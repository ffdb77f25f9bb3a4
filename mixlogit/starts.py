"""Where to begin: candidates of several kinds, and successive halving among them.

All candidates run together, their coefficient columns side by side, a few EM iterations at a time;
after each rung only the better half goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixlogit.em import Run, expectation_maximisation
from mixlogit.errors import ArgumentError
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.newton import maximise, solve_scaled

__all__ = ["INITS", "Search", "pooled_logit", "search"]

INITS = ("auto", "random")
DEFAULT_STARTS = 16
_RUNGS = (5, 10)  # EM iterations before the better half, and then the best of it, go on
_FINALISTS = 4
_PARTITION_STEPS = 3
_NOISE = (0.3, 1.0)  # utils per standard deviation of an attribute: spread of the draws
_FARTHEST = 10.0  # utils per standard deviation of an attribute: where a start may lie
_SAME = 0.01  # log-likelihoods this close are the same optimum


@dataclass(frozen=True, eq=False)
class Search:
    """What the search for starts found.

    Parameters
    ----------
    run : Run
        The finished starts, best first.
    origin : tuple of str
        The kind of each.
    n_candidates : int
        Candidates that were tried.
    n_candidate_iterations : int
        EM iterations of all candidates together.
    """

    run: Run
    origin: tuple[str, ...]
    n_candidates: int
    n_candidate_iterations: int

    def table(self, llf: float | None = None) -> pd.DataFrame:
        """One row per finished start: its log-likelihood, iterations and origin.

        Parameters
        ----------
        llf : float, optional
            What the best one reached after Newton.
        """
        value, gap = self.run.value.copy(), self.run.gap.copy()
        if llf is not None:
            value[0], gap[0] = max(value[0], llf), 0.0
        best = value.max()
        reach = value + np.where(np.isfinite(gap), gap, 0.0)  # had EM gone on
        return pd.DataFrame(
            {
                "llf": value,
                "em_iterations": self.run.n_iter,
                "origin": self.origin,
                "is_best": best - reach < _SAME,
            },
            index=pd.RangeIndex(len(value), name="start"),
        )


def pooled_logit(likelihood: MixtureLikelihood) -> np.ndarray:
    """Coefficients (L,) of the logit with one class."""
    one = MixtureLikelihood(likelihood.table, 1, likelihood.penalty)
    return maximise(one.evaluate, np.zeros(one.n_params)).x


def candidates(
    likelihood: MixtureLikelihood, pooled: np.ndarray, n_starts: int, rng: np.random.Generator
) -> tuple[Parameters, list[str]]:
    """Draw starting points: random partitions of the individuals, and noise around one logit.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    pooled : ndarray, shape (L,)
    n_starts : int
    rng : numpy.random.Generator

    Returns
    -------
    parameters : Parameters
        With a leading axis of length ``n_starts``.
    origin : list of str
    """
    n_partitions = (n_starts + 1) // 2
    beta = np.concatenate(
        [
            _partitions(likelihood, pooled, n_partitions, rng),
            _noise(likelihood, pooled, n_starts - n_partitions, rng),
        ]
    )
    share = np.full((n_starts, likelihood.n_classes), 1 / likelihood.n_classes)
    origin = ["partition"] * n_partitions + ["noise"] * (n_starts - n_partitions)
    return Parameters(beta, likelihood.membership.from_shares(share)), origin


def _partitions(
    likelihood: MixtureLikelihood, pooled: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """A few Newton steps of one logit per part of random partitions, (n, K, L)."""
    n_classes = likelihood.n_classes
    part = rng.integers(n_classes, size=(n, likelihood.data.n_distinct))
    beta = np.tile(pooled, (n * n_classes, 1))
    classes = np.arange(n_classes)[:, None]

    def weigh(log_f: np.ndarray, individuals: slice) -> np.ndarray:
        own = part[:, None, individuals] == classes  # (n, K, individuals)
        return (own * likelihood.weight[individuals]).reshape(n * n_classes, -1)

    for _ in range(_PARTITION_STEPS):
        sweep = likelihood.table.sweep(beta, weigh)
        step = solve_scaled(sweep.curvature, sweep.gradient, ridge=1e-6)
        length = np.abs(step * likelihood.data.exog_scale).max(axis=-1, keepdims=True)
        beta = beta + step / np.maximum(length, 1.0)
    return beta.reshape(n, n_classes, -1)


def _noise(
    likelihood: MixtureLikelihood, pooled: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Normal draws around one logit, in units of the attributes' spread, (n, K, L)."""
    width = np.exp(rng.uniform(np.log(_NOISE[0]), np.log(_NOISE[1]), size=(n, 1, 1)))
    draws = rng.standard_normal((n, likelihood.n_classes, len(pooled)))
    return pooled + width * draws / likelihood.data.exog_scale


def search(
    likelihood: MixtureLikelihood,
    *,
    init: str,
    n_starts: int | None,
    maxiter: int,
    tol: float,
    rng: np.random.Generator,
    callback: Callable[[int, np.ndarray, np.ndarray], None] | None = None,
) -> Search:
    """Find the best optimum among many starts, at the price of a few.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    init : {"auto", "random"}
    n_starts : int or None
        Candidates; a default that suits the number of classes if None.
    maxiter, tol : int, float
        For the EM runs of the finalists.
    rng : numpy.random.Generator
    callback : callable, optional
        As in `expectation_maximisation`.

    Returns
    -------
    Search
    """
    if init not in INITS:
        raise ArgumentError(f"init={init!r} is not one of {', '.join(INITS)}.")
    if n_starts is not None and n_starts < 1:
        raise ArgumentError(f"n_starts={n_starts} must be at least 1.")
    farthest = _FARTHEST / likelihood.data.exog_scale  # separated attributes have no maximum
    pooled = np.clip(pooled_logit(likelihood), -farthest, farthest)
    if likelihood.n_classes == 1:
        no_gate = np.zeros((1, 0, likelihood.data.membership.shape[1]))
        parameters, origin = Parameters(pooled[None, None], no_gate), ["pooled"]
    else:
        parameters, origin = candidates(likelihood, pooled, n_starts or DEFAULT_STARTS, rng)
    n_candidates = len(origin)
    kind = np.array(origin)
    n_iter = np.zeros(n_candidates, dtype=int)
    work = 0
    for rung in _RUNGS:
        if len(kind) <= _FINALISTS:
            break
        run = expectation_maximisation(
            likelihood, parameters, maxiter=rung, tol=0.0, callback=callback
        )
        work += int(run.n_iter.sum())
        best = np.argsort(-run.value, kind="stable")[: max(len(kind) // 2, _FINALISTS)]
        parameters, kind, n_iter = run.parameters[best], kind[best], (n_iter + run.n_iter)[best]
    run = expectation_maximisation(
        likelihood, parameters, maxiter=maxiter, tol=tol, callback=callback
    )
    work += int(run.n_iter.sum())
    run = Run(run.parameters, run.value, run.n_iter + n_iter, run.gap, run.converged)
    best = np.argsort(-run.value, kind="stable")
    return Search(run[best], tuple(kind[best].tolist()), n_candidates, work)
