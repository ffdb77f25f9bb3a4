"""What kind of point a fit ended at, and what proves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from mixlogit.attributes import blocks_of_situations
from mixlogit.blocks import Sums
from mixlogit.choices import ChoiceData
from mixlogit.constraints import Constraints
from mixlogit.curvature import Spectrum, WideEvaluation
from mixlogit.likelihood import Evaluation, MixtureLikelihood, Parameters
from mixlogit.newton import diagonal_unit, whitener
from mixlogit.pooled import at_equal_probabilities

__all__ = ["Certificate", "certify", "identified_basis"]

# Newton ends near 1e-15; a score of 1e-8 moves an estimate by 1e-8 sqrt(N) standard errors or so
_SMALL_SCORE = 1e-8  # per individual, each attribute in units of its standard deviation
_SMALL_GAIN = 1e-10  # relative to the log-likelihood: what a last Newton step may still promise
# A share that tends to zero falls far below this before Newton ends, and what half an individual
# says about tastes is nothing in any case.
_LEAST_CLASS = 0.5  # individuals: a class with less has vanished
# Along a direction of finite coefficients some choices are surprises, and information times
# squared coefficient is about their number: 0.2 or more in hundreds of simulated surveys, even
# with utilities forty times the usual. Along one that diverges it falls like exp(−utility): below
# 1e-5 in surveys when EM stops at 1e-8, below 1e-6 when Newton ends; 3e-3 in a table with a
# million choices, where coefficients of 1e5 multiply what is left of the information.
_LEAST_SURPRISES = 1e-2
# An attribute that differs in a hundredth of a choice, of all that a class makes, changes the
# log-likelihood by hundredths, whatever its coefficient.
_LEAST_MET = 1e-2
# Merged classes are found to about the square root of round-off. Rates of EM of 1 − 1e-6 are slow
# but real.
_POSITIVE = 1e-8  # smallest eigenvalue of the information, in units of the complete one
# Where two classes merge, the log-likelihood falls with the fourth power of their distance. Where
# its gains are round-off, 1e-13, its curvature is the square root of that, times twelve.
_MERGING = 1e-5
_PART = 1e-3  # of a direction, in units: what matters for an error
_LEADING = 0.3  # loadings worth naming, relative to the largest
_LONG = 5.0  # utils per standard deviation: a part of a coefficient worth naming
_LISTED = 6  # coefficients that a message names


@dataclass(frozen=True)
class Certificate:
    """Evidence on the point a fit ended at.

    Parameters
    ----------
    status : str
        "converged", or what it is instead: "boundary" (a class has vanished), "separation"
        (coefficients diverge), "flat" (a direction is not identified), "saddle", "maxiter",
        "em" (EM has converged, the maximum is not certified), "not stationary", "interrupted".
    message : str
        The status in words, with names of classes and attributes and a remedy.
    score_norm : float
        Largest absolute score divided by the weight of all individuals.
    decrement : float
        Gain in log-likelihood that one more Newton step promises; nan without a maximum.
    smallest_eigenvalue : float
        Of −H, the observed information.
    condition_number : float
        Of −H, once its diagonal is scaled to one.
    em_rate : float
        Largest fraction of missing information: the rate at which EM converges here; nan where
        coefficients diverge.
    n_finished, n_agree : int
        Starts that were run to the end, and those within 0.01 of the best log-likelihood.
    diverging : tuple of str
        Names of coefficients that grow without bound, and so have no standard errors.
    unmet : tuple of str
        Names of coefficients of attributes that the choices of their class do not differ in; they
        have no standard errors either.
    """

    status: str
    message: str
    score_norm: float
    decrement: float
    smallest_eigenvalue: float
    condition_number: float
    em_rate: float
    n_finished: int
    n_agree: int
    diverging: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()

    @property
    def converged(self) -> bool:
        """Whether the point is a certified maximum."""
        return self.status == "converged"


def certify(
    likelihood: MixtureLikelihood,
    parameters: Parameters,
    at: Evaluation | WideEvaluation,
    *,
    ended: str,
    n_finished: int,
    n_agree: int,
) -> Certificate:
    """Name the point that a fit ended at.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    parameters : Parameters
    at : Evaluation or WideEvaluation
        The log-likelihood there; the latter only without constraints.
    ended : {"stationary", "maxiter", "em", "interrupted"}
        Why the iterations ended; "em" when EM converged and no Newton steps were asked for.
    n_finished, n_agree : int

    Returns
    -------
    Certificate
    """
    is_held = likelihood.constraints.at_bound(parameters.flat())
    face = likelihood.constraints.holding(is_held)
    pull = likelihood.constraints.inward(likelihood.constraints.gradient(at.score))
    names = [likelihood.param_names[j] for j in face.free]
    total = float(likelihood.weight.sum())
    unit = face.reduced(_units(likelihood))
    unmet = _unmet(likelihood, at, face)
    diverging = _diverging(likelihood, parameters, at, unit, unmet, face)
    at = at if isinstance(at, WideEvaluation) else at.under(face)
    scaled_score = np.abs(at.score) * unit / total
    found = at.spectrum() if isinstance(at, WideEvaluation) else _spectrum(at, unit)
    least, direction = found.least, found.direction
    if unmet.any():
        if not isinstance(at, WideEvaluation):  # round-off has eigenvalues of either sign
            least = _least_of(at, unit, ~unmet)
        if not least < -_MERGING:
            least, direction = 0.0, unmet.astype(float)
    status, message = _judge(
        likelihood,
        at,
        ended=ended,
        is_small=bool(
            scaled_score.max(initial=0.0) < _SMALL_SCORE
            and pull[is_held].max(initial=0.0) < _SMALL_SCORE * total
        ),
        promises=bool(found.decrement > _SMALL_GAIN * max(1.0, abs(at.value))),
        diverging=diverging,
        least=least,
        has_unmet=bool(unmet.any()),
        leading=_leading(direction, names),
    )
    return Certificate(
        status=status,
        message=message,
        score_norm=float(np.abs(at.score).max(initial=0.0)) / total,
        decrement=found.decrement,
        smallest_eigenvalue=found.smallest,
        condition_number=found.condition_number,
        em_rate=float("nan") if diverging else found.em_rate,
        n_finished=n_finished,
        n_agree=n_agree,
        diverging=tuple(diverging),
        unmet=tuple(likelihood.param_names[j] for j in np.flatnonzero(face.depends_on(unmet))),
    )


def _judge(
    likelihood: MixtureLikelihood,
    at: Evaluation | WideEvaluation,
    *,
    ended: str,
    is_small: bool,
    promises: bool,
    diverging: dict[str, float],
    least: float,
    has_unmet: bool,
    leading: str,
) -> tuple[str, str]:
    """Status and message, the gravest finding first."""
    if ended == "interrupted":  # whatever else it is, it was on its way to something better
        return "interrupted", (
            "The fit was interrupted: these are the best estimates by then, and no maximum. Go on "
            "from them with start_params, or search again with them in candidates."
        )
    mean_weight = float(likelihood.weight.sum()) / likelihood.data.n_individuals
    vanished = np.flatnonzero(at.mass < _LEAST_CLASS * mean_weight)
    if len(vanished):
        listed = ", ".join(f"{k + 1}" for k in vanished)
        which = f"Class {listed} has" if len(vanished) == 1 else f"Classes {listed} have"
        return "boundary", (
            f"{which} vanished: less than half an individual is left. The data do not support "
            f"{likelihood.n_classes} classes; fit fewer."
        )
    if diverging:
        first = sorted(diverging, key=lambda name: -abs(diverging[name]))[:_LISTED]
        listed = ", ".join(f"{name} = {diverging[name]:.4g}" for name in first)
        if len(diverging) > _LISTED:
            listed += f" and {len(diverging) - _LISTED} more"
        fewer = "fit fewer classes, " if likelihood.n_classes > 1 else ""
        return "separation", (
            f"Coefficients diverge: {listed}. Some choices, or classes, are "
            "predicted perfectly, so the likelihood rises for ever and standard errors do not "
            f"exist. Drop or merge these variables, {fewer}or state a penalty."
        )
    if ended == "maxiter":
        return "maxiter", (
            "The iterations ran out before the maximum was reached. Raise maxiter, or restart "
            "from this result with start_params."
        )
    # Newton's steps would have shown a gain along any other direction that is convex
    is_stationary = ended == "stationary"
    if least < -(_MERGING if is_stationary else _POSITIVE):
        return "saddle", (
            "The fit ended at a saddle point: the log-likelihood rises along "
            f"{leading}. Use more starts."
        )
    if has_unmet:
        return "flat", (
            f"The log-likelihood is flat along {leading}: the choice sets of their class hardly "
            "differ in these attributes. Drop them, give all classes a common coefficient, or fit "
            "fewer classes."
        )
    is_merging = is_stationary and not (is_small or promises) and least <= _MERGING
    if least <= _POSITIVE or is_merging:
        return "flat", (
            f"The log-likelihood is flat along {leading}: these are not "
            "identified. Two classes may coincide; fit fewer classes or drop attributes."
        )
    if ended == "em":
        return "em", (
            "EM met its tolerance; without Newton steps the maximum is not certified. Use "
            "method='em-newton' for that."
        )
    if promises or not is_small:
        return "not stationary", (
            "No step improves the log-likelihood, but the score is not small: the attributes may "
            "differ so much in scale that round-off decides. Rescale them."
        )
    return "converged", "The score is zero to round-off and −H is positive definite."


def _unmet(
    likelihood: MixtureLikelihood, at: Evaluation | WideEvaluation, face: Constraints
) -> np.ndarray:
    """Which free parameters are of attributes that choices of a class hardly differ in, (F,)."""
    data = likelihood.data
    n_classes, n_attributes = likelihood.n_classes, data.n_attributes
    met = np.ones((n_classes, n_attributes))  # posterior number of choices, where it is known
    if not likelihood.penalty:  # which says something of every coefficient
        mean_weight = float(likelihood.weight.sum()) / data.n_individuals
        choices = float(data.choices_per_individual @ likelihood.weight)
        of_one = -np.diag(at_equal_probabilities(likelihood).hessian) / choices
        if isinstance(at, WideEvaluation):
            place = np.arange(n_classes * n_attributes).reshape(n_classes, n_attributes)
            information = np.array([np.diag(at.complete_information(own)) for own in place])
        else:
            information = np.diag(at.complete_information)[: met.size].reshape(met.shape)
        is_in_doubt = information < mean_weight * of_one  # less than one choice tells
        columns = np.flatnonzero(is_in_doubt.any(axis=0))
        if len(columns):
            weight = likelihood.weight / mean_weight
            known = at.posterior @ (weight[:, None] * _differing_choices(data, columns))
            met[:, columns] = np.where(is_in_doubt[:, columns], known, 1.0)
    is_unmet = np.zeros(likelihood.n_params, dtype=bool)
    is_unmet[: met.size] = met.ravel() < _LEAST_MET
    if face.basis is None:
        return is_unmet
    loads = face.basis != 0
    return loads.any(axis=0) & ~(loads & ~is_unmet[:, None]).any(axis=0)


def _differing_choices(data: ChoiceData, columns: np.ndarray) -> np.ndarray:
    """How many choices of each individual some attributes differ in, (N, n)."""
    start = data.arrangement.situation_start
    differs = np.zeros((data.n_situations, len(columns)), dtype=bool)
    for situations in blocks_of_situations(start):
        begin = start[situations.start : situations.stop + 1]
        block, first = data.exog[begin[0] : begin[-1]][:, columns], begin[:-1] - begin[0]
        differs[situations] = np.maximum.reduceat(block, first) != np.minimum.reduceat(block, first)
    entries = data.entries
    choices = entries.count[:, None] * differs[data.situation_of(entries.row)]
    return np.add.reduceat(choices, entries.start[:-1], axis=0)


def _diverging(
    likelihood: MixtureLikelihood,
    parameters: Parameters,
    at: Evaluation | WideEvaluation,
    unit: np.ndarray,
    unmet: np.ndarray,
    face: Constraints,
) -> dict[str, float]:
    """Names and values of coefficients that have outgrown their information."""
    params, names = parameters.flat(), likelihood.param_names
    if isinstance(at, WideEvaluation):
        information_of = at.complete_information
    else:
        whole = face.quadratic(at.complete_information)

        def information_of(block: np.ndarray) -> np.ndarray:
            return whole[np.ix_(block, block)]

    mean_weight = float(likelihood.weight.sum()) / likelihood.data.n_individuals
    is_lost = np.zeros(len(unit), dtype=bool)
    for block, reference, size in _blocks(likelihood, parameters, at, face, unit, information_of):
        is_met = ~unmet[block]
        own = np.ix_(is_met, is_met)
        information, block, reference = information_of(block)[own], block[is_met], reference[own]
        phi = face.reduced(params)[block]
        part = _lost_part(
            phi,
            information / mean_weight,
            reference / mean_weight,
            size / mean_weight,
            unit[block],
        )
        most = np.abs(phi) / unit[block] < 2 * part  # of the coefficient is that part
        leads = part > _LEADING * part.max(initial=0.0)
        is_lost[block] = leads | (most & (part > _LONG))
    return {names[j]: float(params[j]) for j in np.flatnonzero(face.depends_on(is_lost))}


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
            enough = _LEAST_SURPRISES * float(weight.sum()) / data.n_individuals
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


def _lost_part(
    coefficient: np.ndarray,
    information: np.ndarray,
    equal: np.ndarray,
    size: float,
    unit: np.ndarray,
) -> np.ndarray:
    """Share of each coefficient in directions that equal probabilities identify, and these do not.

    Parameters
    ----------
    coefficient : ndarray, shape (D,)
    information, equal : ndarray, shape (D, D)
        Complete information, here and at equal probabilities.
    size : float
        Number of choices behind it.
    unit : ndarray, shape (D,)
        Of the coefficients.

    Returns
    -------
    ndarray, shape (D,)
        Size of the diverging part, in these units; zeros if none diverges.
    """
    whiten, _ = whitener(equal, unit)
    remains, direction = np.linalg.eigh(whiten.T @ information @ whiten)
    whiten = whiten @ direction
    reach = whiten.T @ equal @ coefficient
    is_lost = remains * np.maximum(size, reach**2) < _LEAST_SURPRISES
    return np.abs(whiten[:, is_lost] @ reach[is_lost]) / unit


def _spectrum(at: Evaluation, unit: np.ndarray) -> Spectrum:
    """Eigenvalues of the information, from the Hessian."""
    if not len(unit):  # every parameter is held at its bound, and nothing is left to move
        nan = float("nan")
        return Spectrum(nan, float("inf"), unit, 0.0, nan, nan)
    information = -at.hessian
    rate, least, direction = _missing_information(information, at.complete_information, unit)
    unit = diagonal_unit(information)
    value, vector = np.linalg.eigh(information * np.outer(unit, unit))
    decrement = float("nan")
    if value[0] > len(value) * np.finfo(float).eps * value[-1]:
        slope = vector.T @ (unit * at.score)
        decrement = 0.5 * float((slope / value) @ slope)
    return Spectrum(
        em_rate=rate,
        least=least,
        direction=direction,
        decrement=decrement,
        smallest=float(np.linalg.eigvalsh(information)[0]),
        condition_number=float(value[-1] / value[0]) if value[0] > 0 else float("inf"),
    )


def _relative_information(
    information: np.ndarray, complete: np.ndarray, unit: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues of the information in units of the complete one, their directions in units.

    And directions without any complete information.
    """
    whiten, null = whitener(complete, unit)
    left, direction = np.linalg.eigh(whiten.T @ information @ whiten)
    return left, (whiten @ direction) / unit[:, None], null


def _missing_information(
    information: np.ndarray, complete: np.ndarray, unit: np.ndarray
) -> tuple[float, float, np.ndarray]:
    """EM rate, least relative information, and the direction of the latter."""
    left, direction, null = _relative_information(information, complete, unit)
    if not len(left):
        return float("nan"), 0.0, null[:, 0]
    if null.shape[1] and left[0] > -_POSITIVE:  # no information even if classes were observed
        return float(1 - left[0]), 0.0, null[:, 0]
    return float(1 - left[0]), float(left[0]), direction[:, 0]


def _least_of(at: Evaluation, unit: np.ndarray, which: np.ndarray) -> float:
    """Least relative information of some of the parameters."""
    if not which.any():
        return 0.0
    own = np.ix_(which, which)
    return _missing_information(-at.hessian[own], at.complete_information[own], unit[which])[1]


def identified_basis(
    likelihood: MixtureLikelihood, at: Evaluation, which: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where parameters can go beside directions along which the log-likelihood is flat.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    at : Evaluation
        The log-likelihood at a point whose certificate says "flat".
    which : ndarray of bool, shape (F,)
        Free parameters that have errors as far as is known: not at a bound, and met by choices of
        their class.

    Returns
    -------
    basis : ndarray, shape (n, n − m)
        Of these parameters; n are in ``which``, and m directions are flat.
    is_flat : ndarray of bool, shape (n,)
        Which of them have a part in a flat direction.
    """
    constraints, own = likelihood.constraints, np.ix_(which, which)
    unit = constraints.reduced(_units(likelihood))[which]
    information, complete = (
        constraints.quadratic(matrix)[own] for matrix in (-at.hessian, at.complete_information)
    )
    left, direction, null = _relative_information(information, complete, unit)
    is_exact = null.shape[1] or not len(left) or left[0] <= _POSITIVE
    flat = np.hstack([null, direction[:, left <= (_POSITIVE if is_exact else _MERGING)]])
    vector, _, _ = np.linalg.svd(flat / np.linalg.norm(flat, axis=0))
    is_flat = np.linalg.norm(vector[:, : flat.shape[1]], axis=1) > _PART
    return unit[:, None] * vector[:, flat.shape[1] :], is_flat


def _leading(direction: np.ndarray, names: list[str]) -> str:
    """Name the parameters that make up most of a direction, largest first."""
    load = np.abs(direction)
    order = np.argsort(-load)[:6]
    return ", ".join(names[i] for i in order if load[i] > _LEADING * load.max())


def _units(likelihood: MixtureLikelihood) -> np.ndarray:
    """One util per spread of an attribute, or per root mean square of a covariate, (D,)."""
    covariate = np.sqrt((likelihood.membership.z**2).mean(axis=0))
    return 1 / np.concatenate(
        [
            np.tile(likelihood.data.exog_scale, likelihood.n_classes),
            np.tile(covariate, likelihood.n_classes - 1),
        ]
    )
