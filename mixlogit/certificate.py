"""What kind of point a fit ended at, and what proves it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from mixlogit.likelihood import Evaluation, MixtureLikelihood, Parameters

__all__ = ["Certificate", "certify"]

_SMALL_SCORE = 1e-8  # per individual, each attribute in units of its standard deviation
_LEAST_CLASS = 0.5  # individuals: a class with less has vanished
_LEAST_INFORMATION = 1e-6  # of what equal choice probabilities would give
_POSITIVE = 1e-10  # smallest eigenvalue of the information, in units of the complete one
_LEADING = 0.3  # loadings worth naming, relative to the largest


@dataclass(frozen=True)
class Certificate:
    """Evidence on the point a fit ended at.

    Parameters
    ----------
    status : str
        "converged", or what it is instead: "boundary" (a class has vanished), "separation"
        (coefficients diverge), "flat" (a direction is not identified), "saddle", "maxiter",
        "em" (EM has converged, the maximum is not certified), "not stationary".
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
        Largest fraction of missing information: the rate at which EM converges here.
    n_finished, n_agree : int
        Starts that were run to the end, and those within 0.01 of the best log-likelihood.
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

    @property
    def converged(self) -> bool:
        """Whether the point is a certified maximum."""
        return self.status == "converged"


def certify(
    likelihood: MixtureLikelihood,
    parameters: Parameters,
    at: Evaluation,
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
    at : Evaluation
        The log-likelihood there.
    ended : {"stationary", "maxiter", "em"}
        Why the iterations ended; "em" when EM converged and no Newton steps were asked for.
    n_finished, n_agree : int

    Returns
    -------
    Certificate
    """
    information = -at.hessian
    total = float(likelihood.weight.sum())
    value = np.linalg.eigvalsh(_unit_diagonal(information))
    rate, least, direction = _missing_information(information, at.complete_information)
    is_definite = bool(least > _POSITIVE)
    scaled_score = np.abs(at.score) / _score_scale(likelihood, parameters) / total
    status, message = _judge(
        likelihood,
        parameters,
        at,
        ended=ended,
        is_small=bool(scaled_score.max(initial=0.0) < _SMALL_SCORE),
        least=least,
        direction=direction,
    )
    return Certificate(
        status=status,
        message=message,
        score_norm=float(np.abs(at.score).max(initial=0.0)) / total,
        decrement=(
            0.5 * float(at.score @ np.linalg.solve(information, at.score))
            if is_definite
            else float("nan")
        ),
        smallest_eigenvalue=float(np.linalg.eigvalsh(information)[0]),
        condition_number=float(value[-1] / value[0]) if value[0] > 0 else float("inf"),
        em_rate=rate,
        n_finished=n_finished,
        n_agree=n_agree,
    )


def _judge(
    likelihood: MixtureLikelihood,
    parameters: Parameters,
    at: Evaluation,
    *,
    ended: str,
    is_small: bool,
    least: float,
    direction: np.ndarray,
) -> tuple[str, str]:
    """Status and message, the gravest finding first."""
    names = likelihood.param_names
    mean_weight = float(likelihood.weight.sum()) / likelihood.data.n_individuals
    vanished = np.flatnonzero(at.mass < _LEAST_CLASS * mean_weight)
    if len(vanished):
        listed = ", ".join(f"{k + 1}" for k in vanished)
        which = f"Class {listed} has" if len(vanished) == 1 else f"Classes {listed} have"
        return "boundary", (
            f"{which} vanished: less than half an individual is left. The data do not support "
            f"{likelihood.n_classes} classes; fit fewer."
        )
    separated = _separated(likelihood, parameters, at)
    if separated:
        return "separation", (
            f"Coefficients diverge: {', '.join(separated)}. Some choices are predicted perfectly, "
            "so the likelihood rises for ever and standard errors do not exist. Drop or merge "
            "these attributes, fit fewer classes, or state a penalty."
        )
    if least < -_POSITIVE:
        return "saddle", (
            "The fit ended at a saddle point: the log-likelihood rises along "
            f"{_leading(direction, names)}. Use more starts."
        )
    if least <= _POSITIVE:
        return "flat", (
            f"The log-likelihood is flat along {_leading(direction, names)}: these are not "
            "identified. Two classes may coincide; fit fewer classes or drop attributes."
        )
    if ended == "maxiter":
        return "maxiter", (
            "The iterations ran out before the maximum was reached. Raise maxiter, or restart "
            "from this result with start_params."
        )
    if ended == "em":
        return "em", (
            "EM met its tolerance; without Newton steps the maximum is not certified. Use "
            "method='em-newton' for that."
        )
    if not is_small:
        return "not stationary", (
            "No step improves the log-likelihood, but the score is not small: the attributes may "
            "differ so much in scale that round-off decides. Rescale them."
        )
    return "converged", "The score is zero to round-off and −H is positive definite."


def _separated(likelihood: MixtureLikelihood, parameters: Parameters, at: Evaluation) -> list[str]:
    """Names of coefficients along which a class has lost its information."""
    data = likelihood.data
    n_attributes = data.n_attributes
    choices = float(data.choices_per_individual @ likelihood.weight) / float(
        likelihood.weight.sum()
    )
    found = []
    for k in range(parameters.n_classes):
        tastes = slice(k * n_attributes, (k + 1) * n_attributes)
        reference = data.exog_covariance * (at.mass[k] * choices)
        value, vector = scipy.linalg.eigh(at.complete_information[tastes, tastes], reference)
        for i in np.flatnonzero(value < _LEAST_INFORMATION):
            load = np.abs(vector[:, i] * data.exog_scale)
            found += [
                f"class{k + 1}.{data.exog_names[j]} = {parameters.beta[k, j]:.4g}"
                for j in np.flatnonzero(load > _LEADING * load.max())
            ]
    return list(dict.fromkeys(found))


def _missing_information(
    information: np.ndarray, complete: np.ndarray
) -> tuple[float, float, np.ndarray]:
    """EM rate, least relative information, and the direction of the latter."""
    diagonal = np.diag(complete)
    unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scale = np.outer(unit, unit)
    ridge = np.finfo(float).eps * len(unit) * np.eye(len(unit))
    try:
        value, vector = scipy.linalg.eigh(information * scale, complete * scale + ridge)
    except np.linalg.LinAlgError:
        value, vector = np.linalg.eigh(information * scale)
    return float(1 - value[0]), float(value[0]), vector[:, 0]


def _leading(direction: np.ndarray, names: list[str]) -> str:
    """Name the parameters that make up most of a direction, largest first."""
    load = np.abs(direction)
    order = np.argsort(-load)[:6]
    return ", ".join(names[i] for i in order if load[i] > _LEADING * load.max())


def _score_scale(likelihood: MixtureLikelihood, parameters: Parameters) -> np.ndarray:
    """Units of the score: attributes by their spread, covariates by their root mean square."""
    covariate = np.sqrt((likelihood.membership.z**2).mean(axis=0))
    return np.concatenate(
        [
            np.tile(likelihood.data.exog_scale, parameters.n_classes),
            np.tile(covariate, parameters.n_classes - 1),
        ]
    )


def _unit_diagonal(matrix: np.ndarray) -> np.ndarray:
    """Scale a symmetric matrix to ones (or minus ones) on its diagonal."""
    diagonal = np.abs(np.diag(matrix))
    unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    return matrix * np.outer(unit, unit)
