"""The gate: how class shares depend, or do not depend, on covariates of the individual.

Two models under one contract. Both have logits gamma (..., K − 1, Q) against class 1; the prior
of individual i is softmax(0, z_i' gamma_2, ..., z_i' gamma_K).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mixlogit.newton import solve_scaled

__all__ = ["Membership", "Shares", "SoftmaxMembership", "for_design", "with_base"]


class Membership(Protocol):
    """What the likelihood asks of a membership model."""

    @property
    def z(self) -> np.ndarray:
        """Covariates, (N, Q)."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the covariates."""
        ...

    def log_prior(self, gamma: np.ndarray, individuals: slice) -> np.ndarray:
        """Log class probabilities, (..., K, n) or (..., K, 1) when all individuals agree."""
        ...

    def m_step(
        self, gamma: np.ndarray, gradient: np.ndarray, information: np.ndarray
    ) -> np.ndarray:
        """Improve gamma given gradient (..., K − 1, Q) and information (..., D, D) at gamma."""
        ...

    def from_shares(self, shares: np.ndarray) -> np.ndarray:
        """Gamma (..., K − 1, Q) under which every individual has these shares (..., K)."""
        ...


@dataclass(frozen=True, eq=False)
class Shares:
    """Class shares that are the same for all individuals.

    Parameters
    ----------
    z : ndarray, shape (N, 1)
        Ones.
    names : tuple of str
    total_weight : float
        Sum of the weights of all individuals.
    """

    z: np.ndarray
    names: tuple[str, ...]
    total_weight: float

    def log_prior(self, gamma: np.ndarray, individuals: slice) -> np.ndarray:
        """Log class shares, (..., K, 1)."""
        return _log_softmax(with_base(gamma))

    def m_step(
        self, gamma: np.ndarray, gradient: np.ndarray, information: np.ndarray
    ) -> np.ndarray:
        """Set the shares to the mean posterior, in closed form.

        The gradient is the total weight times (mean posterior − share).
        """
        share = np.exp(self.log_prior(gamma, slice(0)))[..., 0]  # (..., K)
        move = gradient[..., 0] / self.total_weight
        mean = share + np.concatenate([-move.sum(axis=-1, keepdims=True), move], axis=-1)
        return self.from_shares(np.maximum(mean, np.finfo(float).tiny))

    def from_shares(self, shares: np.ndarray) -> np.ndarray:
        """Logits of given shares, (..., K − 1, 1)."""
        log_share = np.log(shares)
        return (log_share[..., 1:] - log_share[..., :1])[..., None]


@dataclass(frozen=True, eq=False)
class SoftmaxMembership:
    """Class probabilities that follow a multinomial logit in covariates.

    Parameters
    ----------
    z : ndarray, shape (N, Q)
        Covariates, one row per distinct individual.
    names : tuple of str
        Names of the columns.
    """

    z: np.ndarray
    names: tuple[str, ...]

    def log_prior(self, gamma: np.ndarray, individuals: slice) -> np.ndarray:
        """Log class probabilities of some individuals, (..., K, n)."""
        return _log_softmax(with_base(gamma) @ self.z[individuals].T)

    def m_step(
        self, gamma: np.ndarray, gradient: np.ndarray, information: np.ndarray
    ) -> np.ndarray:
        """Take one Newton step of the fractional multinomial logit."""
        flat = gradient.reshape(*gradient.shape[:-2], -1)
        return gamma + solve_scaled(information, flat).reshape(gamma.shape)

    def from_shares(self, shares: np.ndarray) -> np.ndarray:
        """Least-squares coefficients of constant logits, (..., K − 1, Q).

        Exact when the columns span a constant.
        """
        log_share = np.log(shares)
        constant = np.linalg.lstsq(self.z, np.ones(len(self.z)), rcond=None)[0]  # (Q,)
        return (log_share[..., 1:] - log_share[..., :1])[..., None] * constant


def with_base(gamma: np.ndarray) -> np.ndarray:
    """Put the zero logits of class 1 in front: (..., K − 1, Q) -> (..., K, Q)."""
    base = np.zeros((*gamma.shape[:-2], 1, gamma.shape[-1]))
    return np.concatenate([base, gamma], axis=-2)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities of classes, (..., K, n)."""
    logits = logits - logits.max(axis=-2, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-2, keepdims=True))


def for_design(z: np.ndarray, names: tuple[str, ...], total_weight: float) -> Membership:
    """Choose the membership model that a design calls for."""
    if z.shape[1] == 1 and (z == 1).all():
        return Shares(z, names, total_weight)
    return SoftmaxMembership(z, names)
