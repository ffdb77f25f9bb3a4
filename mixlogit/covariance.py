"""Covariance matrices of the estimates: arrays in, a matrix out.

Rows of scores are individuals, never rows of the attribute table. Where there are many parameters,
scores come some individuals at a time, and are never held all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mixlogit.arguments import require_one_of
from mixlogit.errors import ArgumentError
from mixlogit.newton import diagonal_unit

__all__ = [
    "COV_TYPES",
    "check_covariance",
    "cluster",
    "covariance",
    "information_inverse",
    "nonrobust",
    "opg",
    "outer_products",
    "robust",
]

_LOADING = 1e-6  # a part in a null direction that is not round-off

COV_TYPES = ("nonrobust", "opg", "robust", "cluster", "none")

Scores = np.ndarray | Iterable[tuple[slice, np.ndarray]]


def information_inverse(information: np.ndarray) -> np.ndarray:
    """Invert an information matrix, as far as it goes.

    Parameters
    ----------
    information : ndarray, shape (D, D)

    Returns
    -------
    ndarray, shape (D, D)
        Rows and columns of parameters that are not identified, those with a part in a direction
        of no information, are nan. All is nan if some direction has negative information: that
        is no maximum, and nothing has a standard error there.
    """
    nothing = np.full_like(information, np.nan)
    if not np.isfinite(information).all():
        return nothing
    unit, value, vector, round_off = _spectrum(information)
    if (value < -round_off).any():
        return nothing
    is_null = value <= round_off
    null = vector[:, is_null]
    inverse = (vector[:, ~is_null] / value[~is_null]) @ vector[:, ~is_null].T * np.outer(unit, unit)
    is_unidentified = np.abs(null).max(axis=1, initial=0.0) > _LOADING
    inverse[is_unidentified] = inverse[:, is_unidentified] = np.nan
    return inverse


def _spectrum(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Units that put ones on the diagonal, eigenvalues and vectors in them, and their round-off."""
    unit = diagonal_unit(matrix)
    value, vector = np.linalg.eigh(matrix * np.outer(unit, unit))
    return unit, value, vector, len(value) * np.finfo(float).eps * np.abs(value).max(initial=0.0)


def nonrobust(hessian: np.ndarray) -> np.ndarray:
    """Inverse of the observed information, (−H)^−1.

    Parameters
    ----------
    hessian : ndarray, shape (D, D)
        Of the log-likelihood.

    Returns
    -------
    ndarray, shape (D, D)
    """
    return information_inverse(-hessian)


def _sandwich(bread: np.ndarray, meat: np.ndarray) -> np.ndarray:
    """Bread times meat times bread, where the bread is not nan."""
    out = np.full_like(bread, np.nan)
    identified = np.ix_(*2 * (np.flatnonzero(np.isfinite(np.diag(bread))),))
    meat = meat[identified]
    if np.isfinite(meat).all():
        # a square, for the product of all three may have negative variances by round-off
        unit, value, vector, round_off = _spectrum(meat)
        is_some = value > round_off
        root = vector[:, is_some] * np.sqrt(value[is_some]) / unit[:, None]
        half = bread[identified] @ root
        out[identified] = half @ half.T
    return out


def _pieces(scores: Scores) -> Iterable[tuple[slice, np.ndarray]]:
    """Some individuals and their scores at a time."""
    return [(slice(None), scores)] if isinstance(scores, np.ndarray) else scores


def outer_products(scores: Scores, weights: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Sum over individuals of the products of their weighted scores.

    Parameters
    ----------
    scores : ndarray, shape (N, D), or iterable of slice and ndarray
        Scores of distinct individuals, not weighted; all, or some at a time with their place.
    weights : ndarray, shape (N,)
        Sampling weights.
    frequency : ndarray, shape (N,)
        How many identical individuals each row stands for.

    Returns
    -------
    ndarray, shape (D, D)
    """
    root = weights * np.sqrt(frequency)
    total = None
    for individuals, piece in _pieces(scores):
        weighted = piece * root[individuals, None]
        if total is None:
            total = np.zeros(2 * (piece.shape[1],))
        total += weighted.T @ weighted
    assert total is not None
    return total


def opg(outer: np.ndarray) -> np.ndarray:
    """Inverse of the outer product of the scores of individuals (Berndt et al. 1974).

    Parameters
    ----------
    outer : ndarray, shape (D, D)
        As from `outer_products`.

    Returns
    -------
    ndarray, shape (D, D)
    """
    return information_inverse(outer)


def robust(hessian: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Sandwich A^−1 B A^−1 with individuals as the units, without a small-sample factor.

    Parameters
    ----------
    hessian : ndarray, shape (D, D)
    outer : ndarray, shape (D, D)
        As from `outer_products`.

    Returns
    -------
    ndarray, shape (D, D)
    """
    return _sandwich(nonrobust(hessian), outer)


def cluster(
    hessian: np.ndarray,
    scores: Scores,
    weights: np.ndarray,
    frequency: np.ndarray,
    groups: Any,
) -> np.ndarray:
    """Sandwich with clusters of individuals as the units, times G / (G − 1).

    Parameters
    ----------
    hessian : ndarray, shape (D, D)
    scores, weights, frequency
        As in `outer_products`.
    groups : array_like of hashable, shape (N,)
        Cluster of each individual.

    Returns
    -------
    ndarray, shape (D, D)
    """
    codes, n_clusters = _clusters(groups, len(weights))
    sums = np.zeros((n_clusters, len(hessian)))
    for individuals, piece in _pieces(scores):
        weighted = piece * (weights * frequency)[individuals, None]
        np.add.at(sums, codes[individuals], weighted)
    factor = n_clusters / (n_clusters - 1)
    return _sandwich(nonrobust(hessian), factor * (sums.T @ sums))


def _clusters(groups: Any, n_individuals: int) -> tuple[np.ndarray, int]:
    """Number of the cluster of each individual, (N,), and how many there are."""
    try:
        if isinstance(groups, Iterator):
            raise TypeError("it can be read only once")
        codes, labels = pd.factorize(pd.Series(groups).reset_index(drop=True))
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"groups must hold one cluster per individual, and this {type(groups).__name__} does "
            f"not: {error}. Give a list of numbers or strings, in the order of result.posterior."
        ) from error
    if len(codes) != n_individuals:
        raise ArgumentError(
            f"groups has {len(codes):,} entries, but there are {n_individuals:,} individuals. Give "
            "one group per individual, in the order of result.posterior."
        )
    if (codes < 0).any():
        raise ArgumentError(
            f"groups is missing for {int((codes < 0).sum()):,} of {len(codes):,} individuals; the "
            f"first is number {int(np.argmax(codes < 0))}. Give every individual a group."
        )
    if len(labels) < 2:
        raise ArgumentError(
            "groups has a single cluster; clustered errors need at least two, and many to be "
            "trusted."
        )
    return codes, len(labels)


def check_covariance(cov_type: Any, keywords: Any, n_individuals: int) -> None:
    """Raise for what no covariance matrix can be made of, before there is a fit.

    Parameters
    ----------
    cov_type : {"nonrobust", "opg", "robust", "cluster", "none"}
    keywords : dict or None
        As for `covariance`.
    n_individuals : int
        Distinct ones, N.

    Raises
    ------
    ArgumentError
        An unknown type, keywords that it does not take, or groups that do not fit.
    """
    require_one_of("cov_type", cov_type, COV_TYPES)
    if not isinstance(keywords, Mapping | None):
        raise ArgumentError(
            "cov_kwds must be a dictionary, such as {'groups': ...} for cov_type='cluster', not "
            f"{type(keywords).__name__}."
        )
    given = set(keywords or ())
    expected = {"groups"} if cov_type == "cluster" else set()
    if given != expected:
        takes = "groups, one per individual" if expected else "no keywords"
        named = ", ".join(sorted(map(str, given))) or "nothing"
        raise ArgumentError(f"cov_type={cov_type!r} takes {takes}; it was given {named}.")
    if keywords:
        _clusters(keywords["groups"], n_individuals)


def covariance(
    cov_type: str,
    hessian: Callable[[], np.ndarray],
    scores: Callable[[], Scores],
    weights: np.ndarray,
    frequency: np.ndarray,
    outer: np.ndarray | None = None,
    **keywords: Any,
) -> np.ndarray:
    """Covariance matrix by name.

    Parameters
    ----------
    cov_type : {"nonrobust", "opg", "robust", "cluster", "none"}
    hessian : callable
        Returns the Hessian (D, D); called only when it is needed.
    scores : callable
        Returns the scores as for `outer_products`; called only when they are needed.
    weights, frequency : ndarray, shape (N,)
    outer : ndarray, shape (D, D), optional
        As from `outer_products`, where it is known.
    **keywords
        ``groups`` for "cluster".

    Returns
    -------
    ndarray, shape (D, D)
        For "none" a single nan, which broadcasts to that.

    Raises
    ------
    ArgumentError
        An unknown type, keywords that it does not take, or groups that do not fit.
    """
    check_covariance(cov_type, keywords, len(weights))
    if cov_type == "none":
        return np.full((1, 1), np.nan)
    if cov_type == "nonrobust":
        return nonrobust(hessian())
    if cov_type == "cluster":
        return cluster(hessian(), scores(), weights, frequency, keywords["groups"])
    if outer is None:
        outer = outer_products(scores(), weights, frequency)
    return opg(outer) if cov_type == "opg" else robust(hessian(), outer)
