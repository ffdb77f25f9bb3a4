"""How uncertain the estimates of a fit are, and along which directions nothing is known of them.

Where coefficients diverge, single directions are lost, not all parameters that have a part in them.
What does not change along a lost direction keeps its error, however the attributes are coded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg

from mixlogit.certificate import identified_basis
from mixlogit.covariance import covariance
from mixlogit.likelihood import Evaluation, MixtureLikelihood
from mixlogit.separation import divergence, parameter_units

if TYPE_CHECKING:
    from mixlogit.estimation import Fit

__all__ = ["Uncertainty", "uncertainty_of"]

# A function that changes by less, in its standard errors, along a util of a lost direction does
# not depend on it: where probabilities have become 1e-6, it would change no further.
_NEGLIGIBLE = 1e-3
_PART = 1e-3  # of a flat direction, in units: what is known of it is no better


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Covariance of estimates where some directions have none.

    Parameters
    ----------
    matrix : ndarray, shape (D, D)
        Right for combinations that do not change along lost directions; a generalised inverse of
        the information, or a sandwich of it. nan where no errors are wanted.
    lost : ndarray, shape (D, m)
        Directions without error, each of a size that matters: about one util.
    """

    matrix: np.ndarray
    lost: np.ndarray

    @classmethod
    def of(cls, reported: np.ndarray) -> Uncertainty:
        """From a covariance whose rows and columns are nan for parameters without an error."""
        return cls(np.nan_to_num(reported), np.eye(len(reported))[:, np.isnan(np.diag(reported))])

    @property
    def is_whole(self) -> bool:
        """Whether no direction is lost."""
        return not self.lost.shape[1]

    def is_unknown(self, gradient: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Whether functions change along what is lost, (M, D) and their errors (M,) -> (M,)."""
        return np.linalg.norm(gradient @ self.lost, axis=1) > _NEGLIGIBLE * error

    def reported(self) -> np.ndarray:
        """The covariance, nan in rows and columns of parameters that have no error, (D, D)."""
        if self.is_whole:
            return self.matrix
        error = np.sqrt(np.maximum(np.diag(self.matrix), 0.0))
        is_unknown = np.linalg.norm(self.lost, axis=1) > _NEGLIGIBLE * error
        out = self.matrix.copy()
        out[is_unknown] = out[:, is_unknown] = np.nan
        return out

    def between(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Covariances of linear combinations, (M, D) and (P, D) -> (M, P); nan of unknown ones."""
        out = rows @ self.matrix @ columns.T
        for axis, combinations in enumerate((rows, columns)):
            square = ((combinations @ self.matrix) * combinations).sum(axis=1)
            is_unknown = self.is_unknown(combinations, np.sqrt(np.maximum(square, 0.0)))
            np.moveaxis(out, axis, 0)[is_unknown] = np.nan
        return out


@dataclass(frozen=True, eq=False)
class _Directions:
    """Free parameters as identified directions (F, n) and lost ones (F, m).

    ``basis`` is None where the identified directions are the parameters ``kept``.
    """

    kept: np.ndarray
    basis: np.ndarray | None
    lost: np.ndarray

    def square(self, matrix: np.ndarray) -> np.ndarray:
        """Second derivatives by the identified directions, (F, F) -> (n, n)."""
        own = matrix[np.ix_(self.kept, self.kept)]
        return own if self.basis is None else self.basis.T @ own @ self.basis

    def rows(self, scores: np.ndarray) -> np.ndarray:
        """Derivatives by the identified directions, (N, F) -> (N, n)."""
        own = scores[:, self.kept]
        return own if self.basis is None else own @ self.basis

    def widened(self, found: np.ndarray) -> Uncertainty:
        """The uncertainty of the free parameters; directions whose variance is nan are lost."""
        is_nan, n_free = np.isnan(np.diag(found)), len(self.lost)
        basis = np.eye(len(found)) if self.basis is None else self.basis
        matrix, lost = np.zeros(2 * (n_free,)), np.zeros((n_free, int(is_nan.sum())))
        known = np.nan_to_num(found)
        matrix[np.ix_(self.kept, self.kept)] = (
            known if self.basis is None else basis @ known @ basis.T
        )
        lost[self.kept] = basis[:, is_nan]
        return Uncertainty(matrix, np.hstack([self.lost, lost]))


def uncertainty_of(
    likelihood: MixtureLikelihood, fit: Fit, cov_type: str, keywords: dict[str, Any]
) -> Uncertainty:
    """Uncertainty of the estimates of a fit.

    Parameters
    ----------
    likelihood : MixtureLikelihood
        With the penalty of the fit.
    fit : Fit
    cov_type : {"nonrobust", "opg", "robust", "cluster", "none"}
    keywords : dict
        ``groups`` for "cluster".

    Returns
    -------
    Uncertainty
        Given parameters that stand at the bound of their sign, or that the choices of their class
        say nothing of, and on the directions in which neither is anything lost.

    Raises
    ------
    ArgumentError
        As `mixlogit.covariance.covariance`.
    """
    data, constraints = likelihood.data, likelihood.constraints
    n_params = likelihood.n_params
    if cov_type == "none":
        nothing = np.broadcast_to(np.full((1, 1), np.nan), 2 * (constraints.n_free,))
        return Uncertainty(constraints.covariance(nothing), np.zeros((n_params, 0)))
    params, known = fit.parameters.flat(), fit.evaluation

    @cache
    def evaluation() -> Evaluation:
        return known if isinstance(known, Evaluation) else likelihood.evaluate(params)

    directions = _directions_of(likelihood, fit, evaluation)

    def hessian() -> np.ndarray:
        return directions.square(constraints.quadratic(evaluation().hessian))

    def scores() -> Iterator[tuple[slice, np.ndarray]]:
        for individuals, block in likelihood.score_blocks(fit.parameters):
            yield individuals, directions.rows(constraints.gradient(block))

    outer = known.outer if isinstance(known, Evaluation) else None
    found = covariance(
        cov_type,
        hessian,
        scores,
        data.weights,
        data.entries.frequency,
        None if outer is None else directions.square(constraints.quadratic(outer)),
        **keywords,
    )
    if not directions.lost.shape[1] and not np.isnan(np.diag(found)).any():
        return Uncertainty(constraints.covariance(found), np.zeros((n_params, 0)))
    free = directions.widened(found)
    lost = free.lost if constraints.basis is None else constraints.basis @ free.lost
    return Uncertainty(constraints.covariance(free.matrix), lost)


def _directions_of(
    likelihood: MixtureLikelihood, fit: Fit, evaluation: Callable[[], Evaluation]
) -> _Directions:
    """What is identified of the free parameters at the end of a fit."""
    constraints, certificate = likelihood.constraints, fit.certificate
    names = np.array(likelihood.param_names, dtype=object)[constraints.free]
    is_held = constraints.at_bound(fit.parameters.flat())
    is_unmet = np.isin(names, certificate.unmet)
    kept = ~is_unmet & ~is_held
    unit = constraints.reduced(parameter_units(likelihood))
    lost = np.diag(unit)[:, ~kept]
    if certificate.status == "flat":
        basis, flat = identified_basis(likelihood, evaluation(), kept)
        flat[np.linalg.norm(flat, axis=1) <= _PART] = 0.0
        return _Directions(kept, basis, np.hstack([lost, _placed(flat, kept) * unit[:, None]]))
    if not certificate.diverging:
        return _Directions(kept, None, lost)
    face = constraints.holding(is_held)
    found = divergence(likelihood, fit.parameters, evaluation(), is_unmet[~is_held], face)
    basis = _complement(found.normal[~is_unmet[~is_held]], unit[kept])
    return _Directions(kept, basis, np.hstack([lost, _placed(found.basis, ~is_held)]))


def _placed(directions: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Directions of some of the parameters as directions of all, (n, m) -> (F, m)."""
    out = np.zeros((len(which), directions.shape[1]))
    out[which] = directions
    return out


def _complement(normal: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Directions orthogonal to some, (n, m) -> (n, n − m); axes as far as these have no part."""
    is_involved = (normal != 0).any(axis=1)
    scaled = (normal * unit[:, None])[is_involved]
    vector, _, _ = np.linalg.svd(scaled / np.linalg.norm(scaled, axis=0))
    own = unit[is_involved, None] * vector[:, normal.shape[1] :]
    whole = scipy.linalg.block_diag(np.eye(int((~is_involved).sum())), own)
    order = np.concatenate([np.flatnonzero(~is_involved), np.flatnonzero(is_involved)])
    return whole[np.argsort(order)]
