"""Coordinates of tastes that do not depend on which columns span the utility.

A search has to say how long a step is, how far apart tastes lie, and where to draw them. Said of
single columns, that changes when the same attributes are coded otherwise. Here it is said of
utility: along each axis a unit of tastes is one standard deviation of utility within choice
situations, and the axes are those along which the information of one logit is uncorrelated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

__all__ = ["Axes"]


@dataclass(frozen=True, eq=False)
class Axes:
    """A basis of the tastes, orthonormal in utility.

    With C the covariance of the attributes within situations, ``direction' C direction`` is the
    identity: the squared length of coordinates is the variance of utility, beta' C beta.

    Parameters
    ----------
    direction : ndarray, shape (L, L)
        Tastes along each axis, by column: utils per unit of each attribute.
    dual : ndarray, shape (L, L)
        The inverse, transposed: ``C @ direction``.
    """

    direction: np.ndarray
    dual: np.ndarray

    @classmethod
    def principal(cls, covariance: np.ndarray, information: np.ndarray, tastes: np.ndarray) -> Axes:
        """Axes along which an information matrix is uncorrelated, in the order of its size.

        Parameters
        ----------
        covariance : ndarray, shape (L, L)
            Of the attributes within situations, positive definite.
        information : ndarray, shape (L, L)
            Of one logit.
        tastes : ndarray, shape (L,)
            Of the same logit, whose coordinates are made positive: eigenvectors have no sign.
        """
        scale = np.sqrt(np.diag(covariance))
        unit = np.outer(scale, scale)
        correlation = covariance / unit
        scaled = scipy.linalg.eigh(information / unit, correlation)[1]
        dual = scale[:, None] * (correlation @ scaled)
        sign = np.where(tastes @ dual < 0, -1.0, 1.0)
        return cls(sign * scaled / scale[:, None], sign * dual)

    @classmethod
    def whitening(cls, covariance: np.ndarray) -> Axes:
        """Any axes of a covariance (L, L), where no logit is known: those of Cholesky's factor."""
        scale = np.sqrt(np.diag(covariance))
        factor = np.linalg.cholesky(covariance / np.outer(scale, scale))
        inverse = scipy.linalg.solve_triangular(factor, np.eye(len(scale)), lower=True)
        return cls(inverse.T / scale[:, None], scale[:, None] * factor)

    @classmethod
    def of_columns(cls, scale: np.ndarray) -> Axes:
        """One axis for each column, of standard deviation `scale` (L,): what is zero stays zero.

        Where restrictions name columns, so do the coordinates; they are orthonormal only if the
        attributes are uncorrelated.
        """
        return cls(np.diag(1 / scale), np.diag(scale))

    def coordinates(self, tastes: np.ndarray) -> np.ndarray:
        """Tastes (..., L) in units of utility along the axes, (..., L)."""
        return tastes @ self.dual

    def tastes(self, coordinates: np.ndarray) -> np.ndarray:
        """Invert `coordinates`."""
        return coordinates @ self.direction.T

    def quadratic(self, matrix: np.ndarray) -> np.ndarray:
        """A matrix of second derivatives by tastes (..., L, L), by coordinates instead."""
        return self.direction.T @ matrix @ self.direction
