"""Covariance matrices of the estimates: arrays in, a matrix out.

Rows of scores are individuals, never rows of the attribute table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mixlogit.errors import ArgumentError

__all__ = [
    "COV_TYPES",
    "cluster",
    "covariance",
    "information_inverse",
    "nonrobust",
    "opg",
    "robust",
]

COV_TYPES = ("nonrobust", "opg", "robust", "cluster")


def information_inverse(information: np.ndarray) -> np.ndarray:
    """Invert an information matrix; all nan if it is not positive definite.

    Parameters
    ----------
    information : ndarray, shape (D, D)

    Returns
    -------
    ndarray, shape (D, D)
    """
    diagonal = np.diag(information)
    if not (np.isfinite(information).all() and (diagonal > 0).all()):
        return np.full_like(information, np.nan)
    unit = 1 / np.sqrt(diagonal)
    scaled = information * np.outer(unit, unit)
    value, vector = np.linalg.eigh(scaled)
    if len(value) and value[0] <= len(value) * np.finfo(float).eps * value[-1]:
        return np.full_like(information, np.nan)
    return (vector / value) @ vector.T * np.outer(unit, unit)


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


def _outer_products(scores: np.ndarray, weights: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Sum over individuals of the products of their weighted scores, (D, D)."""
    weighted = scores * weights[:, None]
    return (weighted * frequency[:, None]).T @ weighted


def opg(scores: np.ndarray, weights: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Inverse of the outer product of the scores of individuals (Berndt et al. 1974).

    Parameters
    ----------
    scores : ndarray, shape (N, D)
        Scores of distinct individuals, not weighted.
    weights : ndarray, shape (N,)
        Sampling weights.
    frequency : ndarray, shape (N,)
        How many identical individuals each row stands for.

    Returns
    -------
    ndarray, shape (D, D)
    """
    return information_inverse(_outer_products(scores, weights, frequency))


def robust(
    hessian: np.ndarray, scores: np.ndarray, weights: np.ndarray, frequency: np.ndarray
) -> np.ndarray:
    """Sandwich A^−1 B A^−1 with individuals as the units, without a small-sample factor.

    Parameters
    ----------
    hessian : ndarray, shape (D, D)
    scores, weights, frequency
        As in `opg`.

    Returns
    -------
    ndarray, shape (D, D)
    """
    bread = nonrobust(hessian)
    return bread @ _outer_products(scores, weights, frequency) @ bread


def cluster(
    hessian: np.ndarray,
    scores: np.ndarray,
    weights: np.ndarray,
    frequency: np.ndarray,
    groups: Any,
) -> np.ndarray:
    """Sandwich with clusters of individuals as the units, times G / (G − 1).

    Parameters
    ----------
    hessian : ndarray, shape (D, D)
    scores, weights, frequency
        As in `opg`.
    groups : array_like of hashable, shape (N,)
        Cluster of each individual.

    Returns
    -------
    ndarray, shape (D, D)
    """
    codes, labels = pd.factorize(pd.Series(groups).reset_index(drop=True))
    if len(codes) != len(scores):
        raise ArgumentError(
            f"groups has {len(codes):,} entries, but there are {len(scores):,} individuals. Give "
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
    sums = np.zeros((len(labels), scores.shape[1]))
    np.add.at(sums, codes, scores * (weights * frequency)[:, None])
    bread = nonrobust(hessian)
    return bread @ (sums.T @ sums) @ bread * (len(labels) / (len(labels) - 1))


def covariance(
    cov_type: str,
    hessian: np.ndarray,
    scores: Any,
    weights: np.ndarray,
    frequency: np.ndarray,
    **keywords: Any,
) -> np.ndarray:
    """Covariance matrix by name.

    Parameters
    ----------
    cov_type : {"nonrobust", "opg", "robust", "cluster"}
    hessian : ndarray, shape (D, D)
    scores : callable
        Returns the scores (N, D); called only when they are needed.
    weights, frequency : ndarray, shape (N,)
    **keywords
        ``groups`` for "cluster".

    Returns
    -------
    ndarray, shape (D, D)

    Raises
    ------
    ArgumentError
        An unknown type, keywords that it does not take, or groups that do not fit.
    """
    if cov_type not in COV_TYPES:
        raise ArgumentError(f"cov_type={cov_type!r} is not one of {', '.join(COV_TYPES)}.")
    expected = {"groups"} if cov_type == "cluster" else set()
    if set(keywords) != expected:
        takes = "groups, one per individual" if expected else "no keywords"
        given = ", ".join(sorted(keywords)) or "nothing"
        raise ArgumentError(f"cov_type={cov_type!r} takes {takes}; it was given {given}.")
    if cov_type == "nonrobust":
        return nonrobust(hessian)
    if cov_type == "opg":
        return opg(scores(), weights, frequency)
    if cov_type == "robust":
        return robust(hessian, scores(), weights, frequency)
    return cluster(hessian, scores(), weights, frequency, keywords["groups"])
