"""Kinds of starting points: latent moments, partitions of the individuals, noise.

Each kind is a function that returns a stack of mixtures, drawn at random where there is a choice.
"""

from __future__ import annotations

import numpy as np

from mixlogit.atoms import Atoms, projection_atoms, pull_back, subspace, tensor_atoms
from mixlogit.axes import Axes
from mixlogit.blocks import Sums
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.moments import LatentMoments
from mixlogit.newton import solve_scaled
from mixlogit.pooled import information_of_one

__all__ = [
    "clusters",
    "from_moments",
    "in_subspace",
    "noise",
    "partitions",
]

_CLUSTER_STEPS, _PARTITION_STEPS = 3, 0  # each on its own: random parts hardly differ
_LLOYD_STEPS = 10  # of k-means
_WIDE = 100  # attributes from which all parts share the information of the one logit
_NOISE = (0.3, 1.0)  # standard deviations of utility along an axis: spread of the draws
_LEAST_SHARE = 0.02  # of a class at the start, over 1/K


def from_moments(
    likelihood: MixtureLikelihood, moments: LatentMoments, n: int, rng: np.random.Generator
) -> Parameters:
    """Atoms of the latent moments, by each solver that applies.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    moments : LatentMoments
    n : int
        At most so many: the tensor solver first, then projections on random directions.
    rng : numpy.random.Generator

    Returns
    -------
    Parameters
        With a leading axis; of length 0 where no solver applies.
    """
    n_classes = likelihood.n_classes
    atoms: list[Atoms] = []
    if moments.order >= 3 and n_classes <= len(moments.first) + 1:
        atoms.append(tensor_atoms(moments, n_classes, rng))
    if moments.order >= 2 * n_classes - 1 and n > len(atoms):
        atoms += projection_atoms(moments, n_classes, rng, n - len(atoms))
    pulled = [pull_back(one, moments.second) for one in atoms[:n]]
    theta = np.array([one.theta for one in pulled]).reshape(-1, n_classes, len(moments.first))
    shares = np.array([one.shares for one in pulled]).reshape(-1, n_classes)
    return _mixtures(likelihood, moments.coordinates.tastes(theta), shares)


def in_subspace(
    likelihood: MixtureLikelihood, moments: LatentMoments, n: int, rng: np.random.Generator
) -> Parameters:
    """Normal draws in the span of the atoms, with the covariance of the latent moments.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    moments : LatentMoments
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    Parameters
        With a leading axis of length n.
    """
    n_classes = likelihood.n_classes
    space = subspace(moments, n_classes - 1)
    n_axes = space.basis.shape[1]
    width = np.sqrt(np.maximum(space.eigenvalues[:n_axes], 0.0))
    draws = rng.standard_normal((n, n_classes, n_axes))
    theta = moments.first + (draws * width) @ space.basis.T
    return _mixtures(likelihood, moments.coordinates.tastes(theta))


def clusters(
    likelihood: MixtureLikelihood,
    axes: Axes,
    pooled: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> Parameters:
    """Logits of clusters of individuals, by k-means on what their choices say beyond one logit.

    Scores are whitened by the information and divided by the root of the number of choices, so
    that they have about unit variance where tastes do not differ.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    axes : Axes
        In which steps and draws are measured.
    pooled : ndarray, shape (L,)
        Tastes of the one logit.
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    Parameters
        With a leading axis of length n.
    """
    parts = _k_means(likelihood, axes, pooled, n, rng)
    return _mixtures(likelihood, _logits_of_parts(likelihood, axes, pooled, parts, _CLUSTER_STEPS))


def partitions(
    likelihood: MixtureLikelihood,
    axes: Axes,
    pooled: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> Parameters:
    """Logits of random parts of the individuals; arguments as for `clusters`."""
    parts = rng.integers(likelihood.n_classes, size=(n, likelihood.data.n_distinct))
    beta = _logits_of_parts(likelihood, axes, pooled, parts, _PARTITION_STEPS)
    return _mixtures(likelihood, beta)


def noise(
    likelihood: MixtureLikelihood,
    axes: Axes,
    pooled: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> Parameters:
    """Normal draws around one logit, in units of the spread of utility; as for `clusters`."""
    width = np.exp(rng.uniform(np.log(_NOISE[0]), np.log(_NOISE[1]), size=(n, 1, 1)))
    draws = rng.standard_normal((n, likelihood.n_classes, len(pooled)))
    return _mixtures(likelihood, pooled + axes.tastes(width * draws))


def _mixtures(
    likelihood: MixtureLikelihood, beta: np.ndarray, shares: np.ndarray | None = None
) -> Parameters:
    """Put tastes (n, K, L) and shares (n, K), equal if None, in a stack."""
    n, n_classes = beta.shape[:2]
    if shares is None:
        shares = np.full((n, n_classes), 1 / n_classes)
    shares = np.maximum(shares, _LEAST_SHARE / n_classes)
    shares = shares / shares.sum(axis=1, keepdims=True)
    return Parameters(beta, likelihood.membership.from_shares(shares))


def _k_means(
    likelihood: MixtureLikelihood,
    axes: Axes,
    pooled: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Partitions by k-means on whitened scores, from individuals drawn at random, (n, N)."""
    parts = np.empty((n, likelihood.data.n_distinct), dtype=np.int32)
    if n == 0:
        return parts
    z = _whitened_scores(likelihood, axes, pooled)
    few = len(z) < likelihood.n_classes
    for i in range(n):
        centres = z[rng.choice(len(z), likelihood.n_classes, replace=few)]
        for _ in range(_LLOYD_STEPS):
            parts[i] = ((centres**2).sum(axis=1) - 2.0 * (z @ centres.T)).argmin(axis=1)
            is_member = np.equal.outer(np.arange(len(centres)), parts[i]).astype(z.dtype)
            n_members = is_member.sum(axis=1)
            # a cluster that is empty stays where it is: another start, and no fault
            np.divide(is_member @ z, n_members[:, None], out=centres, where=n_members[:, None] > 0)
    return parts


def _whitened_scores(likelihood: MixtureLikelihood, axes: Axes, pooled: np.ndarray) -> np.ndarray:
    """Scores of the individuals at one logit, of unit variance if it were all there is, (N, D)."""
    n_choices = likelihood.data.choices_per_individual
    value, vector = np.linalg.eigh(axes.quadratic(information_of_one(likelihood, pooled)))
    keep = value > 1e-10 * value[-1]
    whiten = axes.direction @ vector[:, keep] / np.sqrt(value[keep])
    z = np.empty((len(n_choices), whiten.shape[1]), dtype=np.float32)  # half a table of counts

    def collect(score: np.ndarray, individuals: slice) -> Sums:
        z[individuals] = score[0].T @ whiten / np.sqrt(n_choices[individuals, None])
        return ()

    likelihood.table.plain.sweep(
        pooled[None],
        lambda log_f, individuals: (likelihood.weight[None, individuals], ()),
        curvature=False,
        collect=collect,
    )
    return z


def _logits_of_parts(
    likelihood: MixtureLikelihood,
    axes: Axes,
    pooled: np.ndarray,
    parts: np.ndarray,
    n_steps: int,
) -> np.ndarray:
    """Newton steps of one logit per part of partitions (n, N), and one before: tastes (n, K, L).

    The first step of all parts together takes one pass for one column: it begins at one logit, and
    takes the information for a share of that of all.
    """
    n, n_classes = len(parts), likelihood.n_classes
    at_once = max(likelihood.table.columns_at_once // n_classes, 1)
    if n > at_once:
        some = [parts[i : i + at_once] for i in range(0, n, at_once)]
        beta = [_logits_of_parts(likelihood, axes, pooled, p, n_steps) for p in some]
        return np.concatenate(beta)
    if not n:
        return np.zeros((0, n_classes, len(pooled)))
    classes = np.arange(n_classes)[:, None]

    def weigh(log_f: np.ndarray, individuals: slice) -> tuple[np.ndarray, Sums]:
        own = parts[:, None, individuals] == classes  # (n, K, individuals)
        return (own * likelihood.weight[individuals]).reshape(n * n_classes, -1), ()

    def weigh_all(log_f: np.ndarray, individuals: slice) -> tuple[np.ndarray, Sums]:
        return likelihood.weight[None, individuals], ()

    def collect(score: np.ndarray, individuals: slice) -> Sums:
        return (weigh(score, individuals)[0] @ score[0].T,)  # (n K, L)

    amount = likelihood.data.choices_per_individual * likelihood.weight
    share = np.array([np.bincount(part, amount, n_classes) for part in parts]).reshape(-1, 1)
    share = np.maximum(share / share[:n_classes].sum(), np.finfo(float).tiny)
    table = likelihood.table.plain
    sweep = table.sweep(pooled[None], weigh_all, collect=collect)
    shared = solve_scaled(axes.quadratic(sweep.curvature[0]), np.eye(len(pooled)), ridge=1e-6)
    (gradient,) = sweep.sums
    at = np.tile(axes.coordinates(pooled), (n * n_classes, 1))
    at = _stepped(at, gradient @ axes.direction @ shared / share)
    is_wide = len(pooled) >= _WIDE
    for _ in range(n_steps):
        sweep = table.sweep(axes.tastes(at), weigh, curvature=not is_wide)
        gradient = sweep.gradient @ axes.direction
        if is_wide:
            step = gradient @ shared / share
        else:
            step = solve_scaled(axes.quadratic(sweep.curvature), gradient, ridge=1e-6)
        at = _stepped(at, step)
    return axes.tastes(at).reshape(n, n_classes, len(pooled))


def _stepped(at: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Take steps (M, L) along the axes, of one standard deviation of utility at most on each."""
    return at + step / np.maximum(np.abs(step).max(axis=-1, keepdims=True), 1.0)
