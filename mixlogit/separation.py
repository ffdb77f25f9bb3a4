"""Coefficients that diverge: in which directions, and what the log-likelihood does along them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.linalg

from mixlogit.blocks import Sums
from mixlogit.constraints import Constraints
from mixlogit.curvature import WideEvaluation
from mixlogit.likelihood import Evaluation, Expectation, MixtureLikelihood, Parameters
from mixlogit.newton import whitener
from mixlogit.pooled import at_equal_probabilities

__all__ = ["Divergence", "divergence", "parameter_units"]

# Information of less than a hundredth of a choice between equals is what suspects are found by.
# Whether they diverge is seen from the log-likelihood when what they are is doubled: it does not
# fall along a direction that diverges. At a finite maximum it falls by 0.05 or more in hundreds of
# simulated surveys, even with utilities forty times the usual.
_LEAST_SURPRISES = 1e-2
_LEAST_LOSS = 5e-3
_VANISHED = 1e-12  # information along a direction, relative: nothing but round-off is left of it
_DOUBLINGS = 12  # of the way along a ray until then
# A part of a coefficient of more than so many utils, in directions that fewer choices than these
# tell of, is huge where it is not significant all the same.
_HUGE, _FEW, _SIGNIFICANT = 10.0, 0.04, 1.96
_LEADING = 0.3  # loadings worth naming, relative to the largest
_LONG = 5.0  # utils per standard deviation: a part of a coefficient worth naming

_Information = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Divergence:
    """Directions in which free parameters run away, and in which they have run far.

    Parameters
    ----------
    basis : ndarray, shape (F, m)
        Directions along which the log-likelihood does not fall and no information is left. Each
        is one util long, the root of the mean square over choices at equal probabilities.
    normal : ndarray, shape (F, m)
        What is orthogonal to these, in the metric of the information at equal probabilities, is
        the complement of the directions, which does not depend on how attributes are coded.
    is_named : ndarray of bool, shape (F,)
        Parameters that have a large part in what diverges.
    is_huge : ndarray of bool, shape (F,)
        Parameters with a large part that is finite, but not significantly different from zero.
    """

    basis: np.ndarray
    normal: np.ndarray
    is_named: np.ndarray
    is_huge: np.ndarray


@dataclass(frozen=True, eq=False)
class _Suspect:
    """A class, or the membership, of whose parameters some may diverge.

    Parameters
    ----------
    place : ndarray of int, shape (n,)
        Of its free parameters.
    phi : ndarray, shape (n,)
    equal : ndarray, shape (n, n)
        Information at equal probabilities.
    size : float
        Choices behind it.
    unit : ndarray, shape (n,)
    white : ndarray, shape (n, r)
        Directions in which ``equal`` is one, by what is left of the information.
    remains : ndarray, shape (r,)
        What is left, relative to that at equal probabilities, ascending.
    """

    place: np.ndarray
    phi: np.ndarray
    equal: np.ndarray
    size: float
    unit: np.ndarray
    white: np.ndarray
    remains: np.ndarray

    @property
    def reach(self) -> np.ndarray:
        """Where the parameters are along the directions, (r,)."""
        return self.white.T @ self.equal @ self.phi

    def part(self, which: np.ndarray) -> np.ndarray:
        """Part of the parameters in some of the directions, (n,)."""
        return self.white[:, which] @ self.reach[which]

    def names(self, which: np.ndarray) -> np.ndarray:
        """Which parameters have a large part in some of the directions, (n,)."""
        part = np.abs(self.part(which)) / self.unit
        most = np.abs(self.phi) / self.unit < 2 * part  # of the coefficient is that part
        return (part > _LEADING * part.max(initial=0.0)) | (most & (part > _LONG))

    def along(self, information: np.ndarray) -> _Suspect:
        """The same with directions by another information (n, n)."""
        white, remains = _directions(self.equal, information, self.unit)
        return _Suspect(self.place, self.phi, self.equal, self.size, self.unit, white, remains)


def divergence(
    likelihood: MixtureLikelihood,
    parameters: Parameters,
    at: Evaluation | WideEvaluation,
    unmet: np.ndarray,
    face: Constraints,
) -> Divergence:
    """Find the directions in which parameters diverge.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    parameters : Parameters
    at : Evaluation or WideEvaluation
        The log-likelihood there.
    unmet : ndarray of bool, shape (F,)
        Free parameters that the choices of their class say nothing of; they are left out.
    face : Constraints
        Those that hold there.

    Returns
    -------
    Divergence
    """
    mean_weight = float(likelihood.weight.sum()) / likelihood.data.n_individuals
    phi = face.reduced(parameters.flat())
    unit = face.reduced(parameter_units(likelihood))
    information_of = _information_of(at, face)
    is_named, is_huge = np.zeros((2, len(unit)), dtype=bool)
    found: list[tuple[_Suspect, int]] = []
    away = np.zeros(len(unit))
    for place, equal, size in _blocks(likelihood, parameters, at, face, unit, information_of):
        own = np.ix_(~unmet[place], ~unmet[place])
        information, equal, place = information_of(place)[own], equal[own], place[~unmet[place]]
        white, remains = _directions(equal / mean_weight, information / mean_weight, unit[place])
        suspect = _Suspect(
            place, phi[place], equal / mean_weight, size / mean_weight, unit[place], white, remains
        )
        is_lost = _lost(likelihood, at, face, phi, suspect, mean_weight)
        is_huge[place] = _huge(suspect, is_lost)
        if is_lost.any():
            is_named[place] = suspect.names(is_lost)
            away[place] += suspect.part(is_lost)
            found.append((suspect, int(is_lost.sum())))
    basis, normal = _limit(likelihood, at, face, phi, away, found, mean_weight)
    return Divergence(basis, normal, is_named, is_huge)


def _directions(
    equal: np.ndarray, information: np.ndarray, unit: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Directions in which one information is one, by what another has in them, ascending."""
    white, _ = whitener(equal, unit)
    remains, direction = np.linalg.eigh(white.T @ information @ white)
    return white @ direction, remains


def _lost(
    likelihood: MixtureLikelihood,
    at: Evaluation | WideEvaluation,
    face: Constraints,
    phi: np.ndarray,
    suspect: _Suspect,
    mean_weight: float,
) -> np.ndarray:
    """Along which directions the parameters diverge, (r,).

    Parts in directions without information are doubled together, for one alone may leave the cone
    in which everything is predicted. While that costs something, the direction that tells most
    against it is let go.
    """
    is_lost = suspect.remains * suspect.size < _LEAST_SURPRISES
    told = suspect.remains * suspect.reach**2
    while is_lost.any():
        there = phi.copy()
        there[suspect.place] += suspect.part(is_lost)
        gain = _value(likelihood, face, there) - at.value
        if gain >= -_LEAST_LOSS * mean_weight:
            break
        is_lost[np.where(is_lost, told, -np.inf).argmax()] = False
    return is_lost


def _huge(suspect: _Suspect, is_lost: np.ndarray) -> np.ndarray:
    """Which parameters are finite and huge, with an error to match, (n,)."""
    which = ~is_lost & (suspect.remains * suspect.size < _FEW)
    reach = suspect.reach[which]
    is_long = float(reach @ reach) > _HUGE**2 * suspect.size
    if not is_long or suspect.remains[which] @ reach**2 > _SIGNIFICANT**2:
        return np.zeros(len(suspect.place), dtype=bool)
    return suspect.names(which)


def _limit(
    likelihood: MixtureLikelihood,
    at: Evaluation | WideEvaluation,
    face: Constraints,
    phi: np.ndarray,
    away: np.ndarray,
    found: list[tuple[_Suspect, int]],
    mean_weight: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Lost directions (F, m) where all that diverges has gone so far that nothing is left there.

    At the end of a fit something is left, and directions are mixed by as much.
    """
    n_lost = sum(m for _, m in found)
    basis, normal = np.zeros((2, len(phi), n_lost))
    for doubling in range(1, _DOUBLINGS + 1):
        if all((s.remains[:m] <= _VANISHED).all() for s, m in found):
            break
        there = phi + (2.0**doubling - 1) * away
        if not _value(likelihood, face, there) >= at.value - _LEAST_LOSS * mean_weight:
            break  # so far out that the round-off of directions tells
        information_of = _information_of(_expect(likelihood, face, there), face)
        found = [(s.along(information_of(s.place) / mean_weight), m) for s, m in found]
    first = 0
    for suspect, m in found:
        own = slice(first, first + m)
        util = suspect.white[:, :m] * np.sqrt(suspect.size)
        basis[suspect.place, own] = util
        normal[suspect.place, own] = suspect.equal @ util
        first += m
    return basis, normal


def _expect(
    likelihood: MixtureLikelihood, face: Constraints, phi: np.ndarray, information: bool = True
) -> Expectation:
    """The E-step at free parameters."""
    there = likelihood.unpack(face.full(phi))
    stack = Parameters(there.beta[None], there.gamma[None])
    return likelihood.expect(stack, information=information)


def _value(likelihood: MixtureLikelihood, face: Constraints, phi: np.ndarray) -> float:
    """Penalised log-likelihood at free parameters; −inf where there is none."""
    penalty = likelihood.penalty_at(likelihood.unpack(face.full(phi)).beta)
    value = float(_expect(likelihood, face, phi, information=False).llf[0] - penalty)
    return value if np.isfinite(value) else -np.inf


def _information_of(
    at: Evaluation | WideEvaluation | Expectation, face: Constraints
) -> _Information:
    """Complete information on free parameters of one class, or of membership, by their places."""
    if isinstance(at, WideEvaluation):
        return at.complete_information
    if isinstance(at, Expectation) and face.basis is None:  # with many parameters, class by class
        return partial(_own_information, at)
    if isinstance(at, Evaluation):
        complete = at.complete_information
    else:
        complete = scipy.linalg.block_diag(*at.beta_information[0], at.gamma_information[0])
    whole = face.quadratic(complete)
    return lambda block: whole[np.ix_(block, block)]


def _own_information(at: Expectation, block: np.ndarray) -> np.ndarray:
    """Complete information on some parameters of one class, or of membership."""
    _, n_classes, n_attributes, _ = at.beta_information.shape
    k = min(int(block[0]) // n_attributes, n_classes)
    own = block - k * n_attributes
    whole = at.beta_information[0, k] if k < n_classes else at.gamma_information[0]
    return whole[np.ix_(own, own)]


def _blocks(
    likelihood: MixtureLikelihood,
    parameters: Parameters,
    at: Evaluation | WideEvaluation,
    face: Constraints,
    unit: np.ndarray,
    information_of: Callable[[np.ndarray], np.ndarray],
) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Free parameters, their information at equal probabilities, and choices in all.

    Classes whose tastes keep enough information for them not to diverge are left out.
    """
    data, weight = likelihood.data, likelihood.weight
    n_classes, n_attributes = parameters.beta.shape
    n_tastes, place = parameters.beta.size, np.arange(face.n_free)
    is_taste = face.free < n_tastes
    if not likelihood.penalty:  # a penalised maximum is finite
        choices = float(data.choices_per_individual @ weight) / float(weight.sum())
        if face.basis is None:
            of_class = place[:n_tastes].reshape(n_classes, n_attributes)
            size = at.mass * choices
            # information of all classes is more than that of one, so this much of it is enough
            enough = _FEW * float(weight.sum()) / data.n_individuals
            of_all = at_equal_probabilities(likelihood).hessian
            whiten, _ = whitener(-of_all, unit[of_class[0]])
            suspects = [
                k
                for k, own in enumerate(of_class)
                if not _least_remains(information_of(own), whiten) * size[k] >= enough
            ]
            if suspects:
                equal = _equal_information(likelihood, at.posterior, suspects)
                for k, reference in zip(suspects, equal, strict=True):
                    yield of_class[k], reference, float(size[k])
        else:  # tied coefficients have their information from several classes
            equal = _equal_information(likelihood, at.posterior, range(n_classes))
            basis = face.basis[:n_tastes, is_taste]
            whole = basis.T @ scipy.linalg.block_diag(*equal) @ basis
            yield place[is_taste], whole, float(weight.sum()) * choices
    if n_classes > 1:
        z = likelihood.membership.z
        spread = np.eye(n_classes - 1) / n_classes - 1 / n_classes**2
        gate = np.kron(spread, (z.T * weight) @ z)
        if face.basis is not None:
            basis = face.basis[n_tastes:, ~is_taste]
            gate = basis.T @ gate @ basis
        yield place[~is_taste], gate, float(weight.sum())


def _least_remains(information: np.ndarray, whiten: np.ndarray) -> float:
    """Smallest eigenvalue of an information (L, L) in units of another; nan if there is none."""
    remains = np.linalg.eigvalsh(whiten.T @ information @ whiten)
    return float(remains[0]) if len(remains) else float("nan")


def _equal_information(
    likelihood: MixtureLikelihood, posterior: np.ndarray, classes: Sequence[int]
) -> np.ndarray:
    """Complete information on tastes of some classes at equal probabilities, (n, L, L)."""
    # where classes have rows of their own, columns are those of all of them
    columns = range(len(posterior)) if likelihood.data.has_class_sets else classes
    own = posterior[list(columns)]

    def weigh(log_f: np.ndarray, individuals: slice) -> tuple[np.ndarray, Sums]:
        return own[:, individuals] * likelihood.weight[individuals], ()

    zero = np.zeros((len(own), likelihood.data.n_attributes))
    return likelihood.table.sweep(zero, weigh).curvature[np.isin(columns, classes)]


def parameter_units(likelihood: MixtureLikelihood) -> np.ndarray:
    """Units of the parameters: one util per spread of an attribute.

    Logits of membership have one per root mean square of a covariate.

    Parameters
    ----------
    likelihood : MixtureLikelihood

    Returns
    -------
    ndarray, shape (D,)
    """
    covariate = np.sqrt((likelihood.membership.z**2).mean(axis=0))
    return 1 / np.concatenate(
        [
            np.tile(likelihood.data.exog_scale, likelihood.n_classes),
            np.tile(covariate, likelihood.n_classes - 1),
        ]
    )
