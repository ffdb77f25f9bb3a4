"""From latent moments to atoms: shares and positions of the classes.

Arrays in, arrays out: any estimate of the moments will do. The tensor solver needs three moments
and affinely independent atoms; the projection solver works for any number of classes, with errors
that grow exponentially in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import lsq_linear, nnls
from scipy.special import comb

from mixlogit.errors import ArgumentError
from mixlogit.moments import LatentMoments

__all__ = ["Atoms", "Subspace", "projection_atoms", "pull_back", "subspace", "tensor_atoms"]

_LEAST_SHARE = 1e-3  # a class below it is noise
_LEAST_VALUE = 1e-12  # of an eigenvalue: positions of 1e-6 are the base
_RELATIVE_VALUE = 1e-9  # of the largest eigenvalue
_N_POWER_STARTS = 8
_MAX_POWER_STEPS = 200  # near an exact tensor the error squares at each
_SAME_VECTOR = 1e-15
_N_GRID = 201  # atoms of the grid onto which moments are projected
_LEAST_PIVOT = 1e-12  # of exact moments: closer atoms are one
_VALID = 1e-9  # error of moments, in units of the spread, that counts as none
_SLACK = 1e-6  # beyond the bound that an atom may lie: equality is common and rounds either way


@dataclass(frozen=True, eq=False)
class Atoms:
    """A distribution on K points.

    Parameters
    ----------
    shares : ndarray, shape (K,)
        Positive, with sum one.
    theta : ndarray, shape (K, D)
        Positions in whitened latent coordinates.
    """

    shares: np.ndarray
    theta: np.ndarray


@dataclass(frozen=True, eq=False)
class Subspace:
    """Where the atoms lie: the mean plus the span of a basis.

    Parameters
    ----------
    basis : ndarray, shape (D, m)
        Orthonormal.
    eigenvalues : ndarray, shape (D,)
        Of the covariance of the atoms, largest first. K atoms in general position give K − 1
        that are positive; the rest are zero but for noise, which makes as many negative.
    """

    basis: np.ndarray
    eigenvalues: np.ndarray


def subspace(moments: LatentMoments, n: int) -> Subspace:
    """Estimate the span of the differences between atoms.

    Parameters
    ----------
    moments : LatentMoments
    n : int
        Dimension, K − 1 for K classes; at most D are returned.

    Returns
    -------
    Subspace
    """
    value, vector = np.linalg.eigh(moments.second - np.outer(moments.first, moments.first))
    return Subspace(vector[:, ::-1][:, :n], value[::-1])


def tensor_atoms(moments: LatentMoments, n_classes: int, rng: np.random.Generator) -> Atoms:
    """Atoms from the first three moments.

    Centred at the mean, projected on the subspace and divided by the roots of its eigenvalues,
    the homogenised atoms (1, y) times the roots of their shares are orthonormal, and the third
    moment is a tensor of which they are the eigenvectors. They are found by power iterations that
    keep them orthonormal. The atoms have the given mean, and on the subspace the given
    covariance, whatever the noise of the third moment, as long as no share falls below 0.001.

    Parameters
    ----------
    moments : LatentMoments
    n_classes : int
        K.
    rng : numpy.random.Generator
        For random starts.

    Returns
    -------
    Atoms

    Raises
    ------
    ArgumentError
        K exceeds D + 1, or third moments are not available.

    References
    ----------
    Anandkumar, Ge, Hsu, Kakade & Telgarsky (2014), JMLR 15, 2773, for the whitened tensor.
    """
    first = moments.first
    n_dimensions = len(first)
    if n_classes > n_dimensions + 1:
        raise ArgumentError(
            f"{n_classes} classes are asked of the tensor solver, which finds at most one more "
            f"than there are identified attributes, {n_dimensions}: the tastes of the classes "
            "must be affinely independent. Use the projection solver, or fewer classes."
        )
    if moments.order < 3:
        raise ArgumentError(
            "The tensor solver needs moments of order 3, so three choices or more by most "
            f"individuals; these data give orders up to {moments.order}. Draw starts in the "
            "subspace of the second moments, or pass individual= if people chose repeatedly."
        )
    if n_classes == 1:
        return Atoms(np.ones(1), first[None].copy())
    space = subspace(moments, n_classes - 1)
    scale = np.sqrt(np.maximum(space.eigenvalues[: n_classes - 1], _noise(space.eigenvalues)))
    vectors = _eigenvectors(_homogeneous_tensor(moments, space.basis / scale), rng)
    # the first row of an orthogonal matrix, with squares that sum to one: roots of the shares
    root = np.where(vectors[0] < 0, -1.0, 1.0) * np.maximum(abs(vectors[0]), _LEAST_SHARE**0.5)
    y = vectors[1:] / root
    return Atoms(root**2 / (root**2).sum(), first + (y.T * scale) @ space.basis.T)


def _homogeneous_tensor(moments: LatentMoments, whitener: np.ndarray) -> np.ndarray:
    """Third moments (K, K, K) of (1, y), with y centred and whitened by a matrix (D, K − 1)."""
    mean = whitener.T @ moments.first
    pairs = np.multiply.outer(mean, whitener.T @ moments.second @ whitener)
    pairs = pairs + pairs.transpose(1, 0, 2) + pairs.transpose(2, 1, 0)
    triple = np.multiply.outer(np.multiply.outer(mean, mean), mean)
    k = len(mean) + 1
    tensor = np.zeros((k, k, k))
    tensor[1:, 1:, 1:] = moments.third(whitener) - pairs + 2 * triple
    i = np.arange(k)
    tensor[0, i, i] = tensor[i, 0, i] = tensor[i, i, 0] = 1.0
    return tensor


def _eigenvectors(tensor: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Orthogonal matrix whose columns v have the largest sum of T(v, v, v), (K, K).

    The tensor power iteration for all vectors at once, each step followed by the nearest
    orthogonal matrix: no vector carries the errors of those found before it, as in deflation.
    """
    k = len(tensor)
    best, most = np.eye(k), -np.inf
    for start in range(_N_POWER_STARTS):
        vectors = np.eye(k) if start == 0 else np.linalg.qr(rng.standard_normal((k, k)))[0]
        for _ in range(_MAX_POWER_STEPS):
            last = vectors
            left, _, right = np.linalg.svd(_apply(tensor, vectors))
            vectors = left @ right
            if np.abs(vectors - last).max() <= _SAME_VECTOR:
                break
        total = float((_apply(tensor, vectors) * vectors).sum())
        if total > most:
            best, most = vectors, total
    return best


def _apply(tensor: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """T(·, v, v) for each column v, (K, K)."""
    return (tensor @ vectors * vectors).sum(axis=1)


def projection_atoms(
    moments: LatentMoments, n_classes: int, rng: np.random.Generator, n_directions: int = 10
) -> list[Atoms]:
    """Atoms from moments along random directions.

    Along a unit direction in the subspace, moments of orders up to 2K − 1 are projected onto
    those of distributions on an interval, unless they are such moments already. Their Gauss
    quadrature has K nodes and weights: the atoms along the direction, and the shares. The mixed
    moments then give the atoms, by a Vandermonde system. Positions may fly off where a share is
    small: see `pull_back`.

    Parameters
    ----------
    moments : LatentMoments
    n_classes : int
        K.
    rng : numpy.random.Generator
        For the directions.
    n_directions : int
        How many.

    Returns
    -------
    list of Atoms
        One per direction, those that tell all classes apart best first; a single one if the
        subspace is a line.

    Raises
    ------
    ArgumentError
        Moments of order 2K − 1 are not available.

    References
    ----------
    Bing, Bunea, Niles-Weed & Wegkamp (2024), arXiv 2409.09903; Wu & Yang (2020), Annals of
    Statistics 48, 1981, for the projection; Golub & Welsch (1969), Mathematics of Computation 23,
    221, for the quadrature.
    """
    order = 2 * n_classes - 1
    if moments.order < order:
        raise ArgumentError(
            f"The projection solver needs moments of order {order} for "
            f"{n_classes} classes, so as many choices by most individuals; these data "
            f"give orders up to {moments.order}. Use the tensor solver, which needs order 3, or "
            "fewer classes."
        )
    if n_classes == 1:
        return [Atoms(np.ones(1), moments.first[None].copy())]
    space = subspace(moments, n_classes - 1)
    if space.basis.shape[1] == 1:
        n_directions = 1
    directions = rng.standard_normal((n_directions, space.basis.shape[1])) @ space.basis.T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    found = moments.along(directions, 2 * n_classes)
    solved = [
        _atoms_along(v, power, mixed, space, rng)
        for v, power, mixed in zip(directions, found.power, found.mixed, strict=True)
    ]
    solved.sort(key=lambda one: -one[0])
    return [atoms for _, atoms in solved]


def _atoms_along(
    v: np.ndarray, power: np.ndarray, mixed: np.ndarray, space: Subspace, rng: np.random.Generator
) -> tuple[float, Atoms]:
    """Atoms from the moments along one direction, and how well it tells them apart."""
    n_classes = len(mixed)
    centre = float(power[1])
    scale = float(np.sqrt(max(power[2] - centre**2, _noise(space.eigenvalues))))
    standard = _standardised(power[:, None], centre, scale)[:, 0]
    nodes, shares = _quadrature(standard, n_classes)
    n = len(nodes)
    shares = np.maximum(shares, _LEAST_SHARE)
    # the variance that would go if two neighbours became one; noise makes far atoms of small share
    lost = (scale * np.diff(nodes)) ** 2 / (1 / shares[1:] + 1 / shares[:-1])
    contrast = float(lost.min() * shares.min()) if n == n_classes else 0.0
    # sum_k a_k x_k^r theta_k for r < n: a Vandermonde system
    right = _standardised(mixed, centre, scale)[:n]
    theta = np.linalg.solve(np.vander(nodes, increasing=True).T, right) / shares[:, None]
    # the nodes are denoised, what the mixed moments say along v is not
    theta += (centre + scale * nodes - theta @ v)[:, None] * v
    while len(shares) < n_classes:  # fewer atoms than classes: split the largest
        largest = int(np.argmax(shares))
        step = scale * (space.basis @ rng.standard_normal(space.basis.shape[1]))
        shares = np.append(shares, shares[largest] / 2)
        shares[largest] /= 2
        theta = np.vstack([theta, theta[largest] + step])
        theta[largest] -= step
    return contrast, Atoms(shares / shares.sum(), theta)


def _standardised(moments: np.ndarray, centre: float, scale: float) -> np.ndarray:
    """Moments of (x − centre) / scale from those of x, along the first axis."""
    r = np.arange(len(moments))
    shift = comb(r[:, None], r) * (-centre) ** np.maximum(r[:, None] - r, 0)
    return (shift @ moments) / scale ** r[:, None]


def _quadrature(moments: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """At most n nodes and weights with these moments of orders 0 to 2n − 1, or near ones.

    The moments are of a distribution with mean zero and variance near one.
    """
    order = np.arange(len(moments))[:, None]
    nodes, weights = _gauss(moments, _LEAST_PIVOT)
    if np.abs(nodes).max() <= _LEAST_SHARE**-0.5:  # an atom of share a is within 1 / sqrt(a)
        error = np.abs(nodes**order @ weights - moments)
        if (error <= _VALID * np.maximum(1.0, np.abs(moments))).all():
            return nodes, weights
    # equal shares reach to sqrt(n); with the powers taken in units of the reach,
    # the noise of all orders is of one size
    reach = 3 * np.sqrt(n)
    grid = np.linspace(-1.0, 1.0, _N_GRID)
    weight = _nonnegative(grid**order, moments / reach ** order[:, 0])
    denoised = (reach * grid) ** order @ (weight / weight.sum())
    # an atom between two of the grid comes back as both
    return _gauss(denoised, (reach * (grid[1] - grid[0])) ** 2)


def _nonnegative(design: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Non-negative least squares."""
    try:
        return nnls(design, target)[0]
    except RuntimeError:  # out of iterations
        return lsq_linear(design, target, bounds=(0.0, np.inf)).x


def _gauss(moments: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Gauss quadrature from 2n moments: n nodes and weights, or fewer.

    Chebyshev's algorithm factors the Hankel matrix of the moments into the recurrence of their
    orthogonal polynomials, up to the first pivot that is not above ``least``; nodes are the
    eigenvalues of the recurrence (Golub & Welsch 1969).
    """
    n = len(moments) // 2
    last, row = np.zeros(2 * n), moments
    diagonal, squares = [row[1] / row[0]], [0.0]
    for k in range(1, n):
        new = np.zeros(2 * n)
        new[k : 2 * n - k] = (
            row[k + 1 : 2 * n - k + 1]
            - diagonal[-1] * row[k : 2 * n - k]
            - squares[-1] * last[k : 2 * n - k]
        )
        if not new[k] > least * row[k - 1]:
            break
        squares.append(new[k] / row[k - 1])
        diagonal.append(new[k + 1] / new[k] - row[k] / row[k - 1])
        last, row = row, new
    nodes, vectors = eigh_tridiagonal(np.array(diagonal), np.sqrt(squares[1:]))
    return nodes, moments[0] * vectors[0] ** 2


def pull_back(atoms: Atoms, second: np.ndarray) -> Atoms:
    """Bring atoms that flew off back to where the second moment allows them.

    The second moment is a sum of terms share · theta theta' of which none exceeds it, so that
    every atom satisfies ``share · theta' second⁺ theta ≤ 1``. Atoms beyond this are shrunk
    towards the base, theta = 0, until they satisfy it with equality; the others stay exactly as
    they are. Eigenvalues of the second moment that noise made negative, or smaller than the
    most negative one in size, are taken as of its size.

    Parameters
    ----------
    atoms : Atoms
    second : ndarray, shape (D, D)
        Mean of theta theta' over the classes.

    Returns
    -------
    Atoms
        With the same shares.
    """
    value, vector = np.linalg.eigh(second)
    value = np.maximum(value, _noise(value[::-1]))
    bound = atoms.shares * ((atoms.theta @ vector) ** 2 / value).sum(axis=1)
    shrink = np.where(bound > 1 + _SLACK, 1 / np.sqrt(np.maximum(bound, 1.0)), 1.0)
    return Atoms(atoms.shares, atoms.theta * shrink[:, None])


def _noise(eigenvalues: np.ndarray) -> float:
    """Size of an eigenvalue, largest first, that may be noise: none should be below zero."""
    largest, smallest = float(eigenvalues[0]), float(eigenvalues[-1])
    return max(-smallest, _RELATIVE_VALUE * largest, _LEAST_VALUE)
