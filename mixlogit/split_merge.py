"""Better optima near a good one: merge two classes that overlap, split one that is mixed.

A local maximum of a mixture often has two classes where one would do, and one class where two are
needed. Merging the former and splitting the latter keeps K and jumps over the ridge between.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from mixlogit.em import Run
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.membership import with_base
from mixlogit.race import SAME_OPTIMUM, race

__all__ = ["improve"]

_PROPOSALS = 60
_SHORT, _LONG = 5, 20  # EM iterations for all proposals, and for the better half of them
_FINALISTS = 2
_MAX_ROUNDS = 10


def improve(
    likelihood: MixtureLikelihood,
    best: Run,
    *,
    maxiter: int,
    tol: float,
    callback: Callable[[int, np.ndarray, np.ndarray], None] | None = None,
) -> tuple[list[Run], int]:
    """Split and merge classes, in rounds, until a round finds nothing better.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    best : Run
        Finished mixtures, best first.
    maxiter, tol : int, float
        For the EM runs of the finalists of each round.
    callback : callable, optional
        As in `expectation_maximisation`.

    Returns
    -------
    runs : list of Run
        The finished proposals of each round; nothing with two classes, where a merger leaves
        nothing to split.
    n_iterations : int
        EM iterations of all proposals together.
    """
    finished: list[Run] = []
    n_iterations = 0
    while likelihood.n_classes > 2 and len(finished) < _MAX_ROUNDS:
        parameters = _proposals(likelihood, best.parameters[0])
        n_better = (len(parameters.beta) + 1) // 2
        heat = race(
            likelihood,
            parameters,
            ((_SHORT, n_better), (_LONG, _FINALISTS)),
            maxiter=maxiter,
            tol=tol,
            callback=callback,
        )
        finished.append(heat.run)
        n_iterations += heat.n_iterations
        if heat.run.value[0] <= best.value[0] + SAME_OPTIMUM:
            break
        best = heat.run
    return finished, n_iterations


def _proposals(likelihood: MixtureLikelihood, parameters: Parameters) -> Parameters:
    """Mixtures with one pair merged and one class split, the most promising ones first.

    What a split gains and what a merger costs are both guessed in units of log-likelihood.
    """
    posterior = likelihood.posterior(parameters)[1]  # (N, K)
    mass = likelihood.weight @ posterior
    information, excess, direction = _heterogeneity(likelihood, parameters, posterior, mass)
    gain = 0.5 * mass * (excess - np.log1p(excess))  # likelihood ratio of normal scores
    variance = np.linalg.pinv(information, hermitian=True)
    moves = []
    for a, b in itertools.combinations(range(parameters.n_classes), 2):
        apart = parameters.beta[a] - parameters.beta[b]
        precision = np.linalg.pinv(variance[a] + variance[b], hermitian=True)
        cost = 0.5 * apart @ precision @ apart
        moves += [(gain[c] - cost, a, b, c) for c in range(len(mass)) if c not in (a, b)]
    moves.sort(key=lambda move: -move[0])

    full = with_base(parameters.gamma)
    beta, gamma = [], []
    for _, a, b, c in moves[:_PROPOSALS]:
        tastes, logits = parameters.beta.copy(), full.copy()
        share = mass[a] / (mass[a] + mass[b])
        tastes[a] = share * parameters.beta[a] + (1 - share) * parameters.beta[b]
        logits[a] = full[a] if share > 0.5 else full[b]
        tastes[b] = parameters.beta[c] - direction[c]
        tastes[c] = parameters.beta[c] + direction[c]
        logits[b] = full[c]
        beta.append(tastes)
        gamma.append(logits[1:] - logits[:1])
    return Parameters(np.array(beta), np.array(gamma))


def _heterogeneity(
    likelihood: MixtureLikelihood, parameters: Parameters, posterior: np.ndarray, mass: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Information of each class, how much its tastes vary, and one standard deviation of that.

    Shapes (K, L, L), (K,) and (K, L).

    If all individuals of a class had its tastes, the covariance of their scores would be their
    information. The largest eigenvalue in excess of that is the variance of tastes along its
    eigenvector, in units in which the mean information of an individual is one.
    """
    n_classes, n_attributes = parameters.beta.shape
    outer = np.zeros((n_classes, n_attributes, n_attributes))

    def weigh(log_f: np.ndarray, individuals: slice) -> np.ndarray:
        return posterior[individuals].T * likelihood.weight[individuals]

    def collect(score: np.ndarray, individuals: slice) -> None:
        own = posterior[individuals] * likelihood.weight[individuals, None]  # (n, K)
        np.add(outer, np.einsum("nk,nkl,nkm->klm", own, score, score, optimize=True), out=outer)

    information = likelihood.table.sweep(parameters.beta, weigh, collect=collect).curvature
    excess, direction = np.zeros(n_classes), np.zeros((n_classes, n_attributes))
    for k in range(n_classes):
        value, vector = np.linalg.eigh(information[k])
        keep = value > 1e-10 * value[-1]
        if mass[k] <= 0 or not keep.any():
            continue
        whiten = vector[:, keep] / np.sqrt(value[keep])  # (L, kept)
        spread, along = np.linalg.eigh(whiten.T @ outer[k] @ whiten)
        excess[k] = max(spread[-1] - 1, 0.0)
        direction[k] = whiten @ along[:, -1] * np.sqrt(mass[k] * excess[k])
    length = np.abs(direction * likelihood.data.exog_scale).max(axis=1, keepdims=True)
    return information, excess, direction / np.maximum(length, 1.0)
