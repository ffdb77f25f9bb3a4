"""What the parameters imply: class shares, errors, criteria. Pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.special
from scipy import stats

from mixlogit.arguments import is_number
from mixlogit.errors import ArgumentError
from mixlogit.uncertainty import Uncertainty

__all__ = [
    "Criteria",
    "criteria",
    "delta_errors",
    "entropy",
    "estimate_columns",
    "interval_labels",
    "mean_shares",
    "normal_quantile",
    "share_columns",
    "share_gradient",
]


def entropy(posterior: np.ndarray, weight: np.ndarray) -> float:
    """Entropy of the classification, −sum_i w_i sum_k r_ik log r_ik.

    Parameters
    ----------
    posterior : ndarray, shape (N, K)
    weight : ndarray, shape (N,)

    Returns
    -------
    float
        In nats; zero when every individual's class is certain.
    """
    log_posterior = np.log(np.where(posterior > 0, posterior, 1.0))
    return -float(weight @ (posterior * log_posterior).sum(axis=1))


@dataclass(frozen=True)
class Criteria:
    """Information criteria, the smaller the better.

    Parameters
    ----------
    aic, bic, caic, sabic, hqic, icl : float
        Akaike; Schwarz; Bozdogan's consistent AIC; Sclove's sample-size adjusted BIC;
        Hannan–Quinn; BIC plus twice the entropy of the classification (Biernacki et al. 2000).
    """

    aic: float
    bic: float
    caic: float
    sabic: float
    hqic: float
    icl: float


def criteria(llf: float, n_params: int, n_individuals: float, entropy: float) -> Criteria:
    """Information criteria of a fit.

    Parameters
    ----------
    llf : float
    n_params : int
    n_individuals : float
        The N of every criterion: individuals, not choices.
    entropy : float
        Of the classification, in nats.

    Returns
    -------
    Criteria
    """
    log_n = np.log(n_individuals)
    deviance = -2 * llf
    bic = deviance + n_params * log_n
    return Criteria(
        aic=deviance + 2 * n_params,
        bic=float(bic),
        caic=float(bic + n_params),
        sabic=float(deviance + n_params * np.log((n_individuals + 2) / 24)),
        hqic=(
            float(deviance + 2 * n_params * np.log(log_n)) if n_individuals > 1 else float("nan")
        ),
        icl=float(bic + 2 * entropy),
    )


def mean_shares(prior: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Class shares of the population: mean class probabilities, (K,).

    Parameters
    ----------
    prior : ndarray, shape (N, K)
    weight : ndarray, shape (N,)
    """
    return weight @ prior / weight.sum()


def share_gradient(prior: np.ndarray, weight: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Derivative of the class shares with respect to the membership logits.

    Parameters
    ----------
    prior : ndarray, shape (N, K)
    weight : ndarray, shape (N,)
    z : ndarray, shape (N, Q)
        Membership covariates.

    Returns
    -------
    ndarray, shape (K, (K − 1) Q)
        In the order of the flat vector of logits.
    """
    n_classes = prior.shape[1]
    out = np.empty((n_classes, n_classes - 1, z.shape[1]))
    share = weight / weight.sum()
    for k in range(n_classes):
        for c in range(1, n_classes):
            out[k, c - 1] = (share * prior[:, k] * ((k == c) - prior[:, c])) @ z
    return out.reshape(n_classes, -1)


def delta_errors(gradient: np.ndarray, covariance: np.ndarray | Uncertainty) -> np.ndarray:
    """Standard errors of smooth functions of the parameters, by the delta method.

    Parameters
    ----------
    gradient : ndarray, shape (M, D)
        Of M functions.
    covariance : ndarray, shape (D, D), or Uncertainty
        Of the parameters; a matrix is nan in the rows and columns of those without errors.

    Returns
    -------
    ndarray, shape (M,)
        nan where a function depends on a parameter without an error, or changes along a direction
        that is lost. Where coefficients diverge, what tends to a limit does not.
    """
    if isinstance(covariance, Uncertainty) and not covariance.is_whole:
        error = delta_errors(gradient, covariance.matrix)
        return np.where(covariance.is_unknown(gradient, error), np.nan, error)
    if isinstance(covariance, Uncertainty):
        covariance = covariance.matrix
    has_none = np.isnan(np.diag(covariance))
    # slopes of a ratio to next to nothing have no squares: powers of two come out and go in again
    power = np.frexp(np.abs(gradient).max(axis=1, initial=0.0))[1]
    slope = np.ldexp(gradient, -power[:, None])
    variance = ((slope @ np.nan_to_num(covariance)) * slope).sum(axis=1)
    is_unknown = (gradient[:, has_none] != 0).any(axis=1)
    error = np.ldexp(np.sqrt(np.maximum(variance, 0.0)), power)
    return np.where(is_unknown, np.nan, error)


def interval_labels(alpha: float) -> tuple[str, str]:
    """Column labels of the limits of a confidence interval, "[0.025" and "0.975]".

    Parameters
    ----------
    alpha : float
        One minus the confidence level.

    Raises
    ------
    ArgumentError
        It does not lie between 0 and 1.
    """
    if not (is_number(alpha) and alpha / 2 > 0 and alpha < 1):
        raise ArgumentError(
            f"alpha must lie between 0 and 1, but it is {alpha!r}; 0.05 gives 95% intervals."
        )
    return f"[{alpha / 2:g}", f"{1 - alpha / 2:g}]"


def normal_quantile(alpha: float) -> float:
    """Half the width of an interval in standard errors, such as 1.96.

    Parameters
    ----------
    alpha : float
        One minus the confidence level.
    """
    return -float(stats.norm.ppf(alpha / 2))  # 1 − alpha / 2 is 1 where alpha is tiny


def estimate_columns(
    name: str, value: np.ndarray, std_err: np.ndarray, alpha: float
) -> dict[str, np.ndarray]:
    """Columns of a table of estimates: value, standard error, and limits symmetric around it.

    Parameters
    ----------
    name : str
        Of the column of values.
    value, std_err : ndarray, shape (M,)
    alpha : float
        One minus the confidence level.
    """
    lower, upper = interval_labels(alpha)
    reach = normal_quantile(alpha) * std_err
    return {name: value, "std err": std_err, lower: value - reach, upper: value + reach}


def share_columns(shares: np.ndarray, std_err: np.ndarray, alpha: float) -> dict[str, np.ndarray]:
    """Columns of a table of shares: value, standard error, and limits.

    The limits are symmetric in the log-odds, so that they stay in (0, 1).

    Parameters
    ----------
    shares, std_err : ndarray, shape (M,)
    alpha : float
        One minus the confidence level.
    """
    lower, upper = interval_labels(alpha)
    inside = (shares > 0) & (shares < 1)
    p = np.where(inside, shares, 0.5)
    centre = np.log(p / (1 - p))
    reach = normal_quantile(alpha) * std_err / (p * (1 - p))
    limits = [scipy.special.expit(centre + side * reach) for side in (-1, 1)]
    low, high = (np.where(inside, limit, shares) for limit in limits)
    return {"share": shares, "std err": std_err, lower: low, upper: high}
