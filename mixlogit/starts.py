"""Where to begin: candidates of several kinds, and successive halving among them.

All candidates run together, their coefficient columns side by side, a few EM iterations at a time;
after each rung only the better half goes on.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.cluster.vq import kmeans2

from mixlogit.em import Run
from mixlogit.errors import ArgumentError
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.newton import maximise, solve_scaled
from mixlogit.race import SAME_OPTIMUM, race
from mixlogit.split_merge import improve

__all__ = ["INITS", "Search", "pooled_logit", "search"]

INITS = ("auto", "random")
DEFAULT_STARTS = 16
_RUNGS = (5, 10)  # EM iterations before the better half, and then the finalists, go on
_FINALISTS = 4
_PARTITION_STEPS = 3
_NOISE = (0.3, 1.0)  # utils per standard deviation of an attribute: spread of the draws
_FARTHEST = 10.0  # utils per standard deviation of an attribute: where a start may lie


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

    def table(self, llf: float) -> pd.DataFrame:
        """One row per finished start: its log-likelihood, iterations and origin.

        Parameters
        ----------
        llf : float
            What the best one reached in the end.
        """
        value, gap = self.run.value.copy(), self.run.gap.copy()
        value[0], gap[0] = max(value[0], llf), 0.0
        best = value.max()
        reach = value + np.where(np.isfinite(gap), gap, 0.0)  # had EM gone on
        return pd.DataFrame(
            {
                "llf": value,
                "em_iterations": self.run.n_iter,
                "origin": self.origin,
                "is_best": best - reach < SAME_OPTIMUM,
            },
            index=pd.RangeIndex(len(value), name="start"),
        )


def pooled_logit(likelihood: MixtureLikelihood) -> np.ndarray:
    """Coefficients (L,) of the logit with one class."""
    one = MixtureLikelihood(likelihood.table, 1, likelihood.penalty)
    return maximise(one.evaluate, np.zeros(one.n_params)).x


def candidates(
    likelihood: MixtureLikelihood,
    pooled: np.ndarray,
    init: str,
    n_starts: int,
    rng: np.random.Generator,
) -> tuple[Parameters, list[str]]:
    """Draw starting points: partitions of the individuals, and noise around one logit.

    Partitions are random, or come from k-means on the individuals' scores at the logit.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    pooled : ndarray, shape (L,)
    init : {"auto", "random"}
        "random" leaves k-means out.
    n_starts : int
    rng : numpy.random.Generator

    Returns
    -------
    parameters : Parameters
        With a leading axis of length ``n_starts``.
    origin : list of str
    """
    n_distinct, n_classes = likelihood.data.n_distinct, likelihood.n_classes
    n_clusters = 0 if init == "random" else n_starts // 3
    n_random = (n_starts - n_clusters + 1) // 2
    parts = np.concatenate(
        [
            rng.integers(n_classes, size=(n_random, n_distinct)),
            _clusters(likelihood, pooled, n_clusters, rng),
        ]
    )
    n_noise = n_starts - len(parts)
    beta = np.concatenate(
        [_partitioned(likelihood, pooled, parts), _noise(likelihood, pooled, n_noise, rng)]
    )
    share = np.full((n_starts, n_classes), 1 / n_classes)
    origin = ["partition"] * n_random + ["k-means"] * n_clusters + ["noise"] * n_noise
    return Parameters(beta, likelihood.membership.from_shares(share)), origin


def _clusters(
    likelihood: MixtureLikelihood, pooled: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Partitions by k-means on what individuals' choices say beyond one logit, (n, N).

    Scores are whitened by the information and divided by the root of the number of choices, so
    that they have about unit variance where tastes do not differ.
    """
    parts = np.empty((n, likelihood.data.n_distinct), dtype=int)
    if n == 0:
        return parts
    one = MixtureLikelihood(likelihood.table, 1)
    n_choices = likelihood.data.choices_per_individual
    information = -one.evaluate(pooled).hessian / float(n_choices @ likelihood.weight)
    value, vector = np.linalg.eigh(information)
    keep = value > 1e-10 * value[-1]
    whiten = vector[:, keep] / np.sqrt(value[keep])
    z = np.empty((len(n_choices), whiten.shape[1]), dtype=np.float32)  # half a table of counts

    def collect(score: np.ndarray, individuals: slice) -> None:
        z[individuals] = score[:, 0] @ whiten / np.sqrt(n_choices[individuals, None])

    likelihood.table.sweep(
        pooled[None],
        lambda log_f, individuals: likelihood.weight[None, individuals],
        curvature=False,
        collect=collect,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty cluster is another start, no fault
        for i in range(n):
            few = len(z) < likelihood.n_classes
            centres = z[rng.choice(len(z), likelihood.n_classes, replace=few)]
            parts[i] = kmeans2(z, centres, minit="matrix")[1]
    return parts


def _partitioned(
    likelihood: MixtureLikelihood, pooled: np.ndarray, parts: np.ndarray
) -> np.ndarray:
    """A few Newton steps of one logit per part of partitions (n, N): tastes (n, K, L)."""
    n, n_classes = len(parts), likelihood.n_classes
    beta = np.tile(pooled, (n * n_classes, 1))
    classes = np.arange(n_classes)[:, None]

    def weigh(log_f: np.ndarray, individuals: slice) -> np.ndarray:
        own = parts[:, None, individuals] == classes  # (n, K, individuals)
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
        "auto": random partitions of individuals, k-means on their scores and noise around one
        logit; then split and merge. "random": random partitions and noise alone.
    n_starts : int or None
        Candidates; 16 if None.
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
        parameters, origin = candidates(likelihood, pooled, init, n_starts or DEFAULT_STARTS, rng)
    heat = race(
        likelihood,
        parameters,
        ((_RUNGS[0], max(len(origin) // 2, _FINALISTS)), (_RUNGS[1], _FINALISTS)),
        maxiter=maxiter,
        tol=tol,
        callback=callback,
    )
    more: list[Run] = []
    n_more = 0
    if init == "auto":
        more, n_more = improve(likelihood, heat.run, maxiter=maxiter, tol=tol, callback=callback)
    run = Run.stack([heat.run, *more])
    kind = [origin[i] for i in heat.index] + ["split-merge"] * (len(run.value) - len(heat.index))
    best = np.argsort(-run.value, kind="stable")
    return Search(
        run[best],
        tuple(kind[i] for i in best),
        n_candidates=len(origin),
        n_candidate_iterations=heat.n_iterations + n_more,
    )
