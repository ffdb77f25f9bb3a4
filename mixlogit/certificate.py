"""What kind of point a fit ended at, and what proves it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixlogit.attributes import blocks_of_situations
from mixlogit.choices import ChoiceData
from mixlogit.constraints import Constraints
from mixlogit.curvature import Spectrum, WideEvaluation
from mixlogit.likelihood import Evaluation, MixtureLikelihood, Parameters
from mixlogit.newton import diagonal_unit, whitener
from mixlogit.pooled import at_equal_probabilities, pooled_ascent
from mixlogit.separation import divergence, parameter_units

__all__ = ["Certificate", "certify", "identified_basis"]

# Newton ends near 1e-15; a score of 1e-8 moves an estimate by 1e-8 sqrt(N) standard errors or so
_SMALL_SCORE = 1e-8  # per individual, each attribute in units of its standard deviation
_SMALL_GAIN = 1e-10  # relative to the log-likelihood: what a last Newton step may still promise
# A share that tends to zero falls far below this before Newton ends, and what half an individual
# says about tastes is nothing in any case.
_LEAST_CLASS = 0.5  # individuals: a class with less has vanished
# An attribute that differs in a hundredth of a choice, of all that a class makes, changes the
# log-likelihood by hundredths, whatever its coefficient.
_LEAST_MET = 1e-2
# Merged classes are found to about the square root of round-off. Rates of EM of 1 − 1e-6 are slow
# but real.
_POSITIVE = 1e-8  # smallest eigenvalue of the information, in units of the complete one
# Where two classes merge, the log-likelihood falls with the fourth power of their distance. Where
# its gains are round-off, 1e-13, its curvature is the square root of that, times twelve.
_MERGING = 1e-5
_BELOW = (
    0.01  # log-likelihood that a fit may lack of the logit with one class, as starts that agree
)
_LEADING = 0.3  # loadings worth naming, relative to the largest
_RAN_OUT = "The iterations ran out before the maximum was reached."
_GO_ON = "Raise maxiter, or restart from this result with start_params."
_LISTED = 6  # coefficients that a message names


@dataclass(frozen=True)
class Certificate:
    """Evidence on the point a fit ended at.

    Parameters
    ----------
    status : str
        "converged", or what it is instead: "failed" (below the logit with one class, so that
        the search has failed), "boundary" (a class has vanished), "separation" (coefficients
        diverge), "flat" (a direction is not identified), "saddle", "maxiter", "em" (EM has
        converged, the maximum is not certified), "not stationary", "interrupted".
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
        Starts that were run to the end, and those that led to this point: the same tastes, up
        to the order of the classes.
    diverging : tuple of str
        Names of coefficients that grow without bound. They have no standard errors, nor has what
        else changes along the directions in which they grow.
    unmet : tuple of str
        Names of coefficients of attributes that the choices of their class do not differ in; they
        have no standard errors either.
    huge : tuple of str
        Names of coefficients of more than ten utils, in a class that predicts nearly all choices
        of its people, that are finite but have errors as large as themselves.
    rivals : str
        Other maxima whose log-likelihood is hardly lower than that of a certified one, and what
        sets the next one apart.
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
    huge: tuple[str, ...] = ()
    rivals: str = ""

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
    rivals: str = "",
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
    rivals : str
        As in `Certificate`.

    Returns
    -------
    Certificate
    """
    is_held = likelihood.constraints.at_bound(parameters.flat())
    face = likelihood.constraints.holding(is_held)
    pull = likelihood.constraints.inward(likelihood.constraints.gradient(at.score))
    names = [likelihood.param_names[j] for j in face.free]
    total = float(likelihood.weight.sum())
    unit = face.reduced(parameter_units(likelihood))
    unmet = _unmet(likelihood, at, face)
    lost = divergence(likelihood, parameters, at, unmet, face)
    diverging, huge = (
        _valued(likelihood, parameters, face.depends_on(which))
        for which in (lost.is_named, lost.is_huge)
    )
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
        below=_below(likelihood, at.value),
        diverging=diverging,
        huge=huge,
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
        rivals=rivals if status == "converged" else "",
        diverging=tuple(diverging),
        unmet=tuple(likelihood.param_names[j] for j in np.flatnonzero(face.depends_on(unmet))),
        huge=tuple(huge),
    )


def _judge(
    likelihood: MixtureLikelihood,
    at: Evaluation | WideEvaluation,
    *,
    ended: str,
    is_small: bool,
    promises: bool,
    below: str,
    diverging: dict[str, float],
    huge: dict[str, float],
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
    if below and ended == "maxiter":  # of which nothing else can be said
        return "maxiter", f"{_RAN_OUT} So far {below}. {_GO_ON}"
    if below:
        return "failed", (
            f"The search failed: {below}, so there is something better. This is no statement "
            "about the data. Leave the starts to fit(), raise n_starts, or try another rng."
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
        listed = _with_values(diverging)
        fewer = "fit fewer classes, " if likelihood.n_classes > 1 else ""
        return "separation", (
            f"Coefficients diverge: {listed}. Some choices, or classes, are "
            "predicted perfectly, so the likelihood rises for ever and they have no standard "
            f"errors. Drop or merge these variables, {fewer}or state a penalty."
        )
    if ended == "maxiter":
        return "maxiter", f"{_RAN_OUT} {_GO_ON}"
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
    message = "The score is zero to round-off and −H is positive definite."
    if huge:
        message += (
            f" Coefficients are huge, and so are their errors: {_with_values(huge)}. Nearly every "
            "choice of their class is predicted, so that a few choices decide how large they are. "
            "Compare log-likelihoods, not z values, fit fewer classes, or state a penalty."
        )
    return "converged", message


def _valued(
    likelihood: MixtureLikelihood, parameters: Parameters, which: np.ndarray
) -> dict[str, float]:
    """Names and values of some of the parameters."""
    params, names = parameters.flat(), likelihood.param_names
    return {names[j]: float(params[j]) for j in np.flatnonzero(which)}


def _with_values(named: dict[str, float]) -> str:
    """Names and values of coefficients, the largest first."""
    first = sorted(named, key=lambda name: -abs(named[name]))[:_LISTED]
    listed = ", ".join(f"{name} = {named[name]:.4g}" for name in first)
    return listed + (f" and {len(named) - _LISTED} more" if len(named) > _LISTED else "")


def _below(likelihood: MixtureLikelihood, value: float) -> str:
    """Say that a log-likelihood is below that of equal classes; nothing if not."""
    n_classes, gate = likelihood.n_classes, likelihood.unpack(np.zeros(likelihood.n_params)).gamma
    one, none = pooled_ascent(likelihood), at_equal_probabilities(likelihood)
    known_ones = [
        ("the logit with one class", one.x, one.evaluation.llf),
        ("equal probabilities of all alternatives", np.zeros_like(one.x), none.llf),
    ]
    for name, tastes, llf in known_ones[n_classes == 1 :]:  # with one class it is the fit itself
        equal = Parameters(np.tile(tastes, (n_classes, 1)), gate)
        known = float(llf - likelihood.penalty_at(equal.beta))
        is_below = value < known - max(_BELOW, _SMALL_GAIN * abs(known))
        if is_below and likelihood.constraints.meets(equal.flat()):
            return f"its log-likelihood, {value:.4f}, is below that of {name}, {known:.4f}"
    return ""


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
    flat : ndarray, shape (n, m)
        The others: orthonormal, with parameters in units of one util per spread.
    """
    constraints, own = likelihood.constraints, np.ix_(which, which)
    unit = constraints.reduced(parameter_units(likelihood))[which]
    information, complete = (
        constraints.quadratic(matrix)[own] for matrix in (-at.hessian, at.complete_information)
    )
    left, direction, null = _relative_information(information, complete, unit)
    is_exact = null.shape[1] or not len(left) or left[0] <= _POSITIVE
    flat = np.hstack([null, direction[:, left <= (_POSITIVE if is_exact else _MERGING)]])
    vector, _, _ = np.linalg.svd(flat / np.linalg.norm(flat, axis=0))
    return unit[:, None] * vector[:, flat.shape[1] :], vector[:, : flat.shape[1]]


def _leading(direction: np.ndarray, names: list[str]) -> str:
    """Name the parameters that make up most of a direction, largest first."""
    load = np.abs(direction)
    order = np.argsort(-load)[:6]
    return ", ".join(names[i] for i in order if load[i] > _LEADING * load.max())
