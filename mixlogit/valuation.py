"""Willingness to pay and tastes of the population. Pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.special

from mixlogit.arguments import as_generator
from mixlogit.demand import ClassSums, Standing
from mixlogit.likelihood import Parameters
from mixlogit.membership import with_base

__all__ = [
    "FiellerSet",
    "PopulationTastes",
    "RatedPoints",
    "class_wtp",
    "draw_parameters",
    "draw_wtp",
    "fieller",
    "individual_tastes",
    "population_tastes",
    "shares_of_logits",
    "wtp_gradient",
    "wtp_sums",
]

_NUMBERS_PER_BLOCK = 1_000_000


def class_wtp(beta: np.ndarray, attribute: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Willingness to pay by class, −(slope of utility in attribute) / (slope in cost).

    Parameters
    ----------
    beta : ndarray, shape (..., K, L)
        Tastes.
    attribute, cost : ndarray, shape (L,)
        The slopes of utility as weights of the tastes: 1 for one of them and 0 for the others,
        where the variable is that attribute.

    Returns
    -------
    ndarray, shape (..., K)
        Units of cost per unit of the attribute; nan where the slope in cost is 0.
    """
    price = beta @ cost
    return -(beta @ attribute) / np.where(price == 0, np.nan, price)


def wtp_gradient(
    beta: np.ndarray,
    attribute: np.ndarray,
    cost: np.ndarray,
    shares: np.ndarray,
    share_slope: np.ndarray,
) -> np.ndarray:
    """Derivative of the willingness to pay of the classes and of the population.

    Parameters
    ----------
    beta : ndarray, shape (K, L)
    attribute, cost : ndarray, shape (L,)
        As for `class_wtp`.
    shares : ndarray, shape (K,)
    share_slope : ndarray, shape (K, (K − 1) Q)
        Derivative of the shares with respect to the membership logits.

    Returns
    -------
    ndarray, shape (K + 1, D)
        With respect to the flat vector of parameters; the population is last. A row has a nan
        where the willingness to pay is nan.
    """
    n_classes, n_attributes = beta.shape
    wtp = class_wtp(beta, attribute, cost)  # (K,)
    price = np.where(beta @ cost == 0, np.nan, beta @ cost)
    own = np.arange(n_classes)
    tastes = np.zeros((n_classes, n_classes, n_attributes))
    involved = (attribute != 0) | (cost != 0)  # a nan is of these alone
    slope = -(attribute + wtp[:, None] * cost) / price[:, None]
    tastes[own, own] = np.where(involved, slope, 0.0)
    by_taste = tastes.reshape(n_classes, -1)  # (K, K L)
    return np.vstack(
        [
            np.hstack([by_taste, np.zeros_like(share_slope)]),
            np.concatenate([shares @ by_taste, wtp @ share_slope]),
        ]
    )


@dataclass(frozen=True, eq=False)
class RatedPoints:
    """Points at which willingness to pay is taken, and whose classes each is weighted by.

    Parameters
    ----------
    attribute, cost : ndarray, shape (P, L) or (1, L)
        Slopes of utility as weights of the tastes, as for `class_wtp`.
    weight : ndarray, shape (P,)
    person : ndarray of int, shape (P,)
        Individual, among those whose class probabilities are known.
    """

    attribute: np.ndarray
    cost: np.ndarray
    weight: np.ndarray
    person: np.ndarray

    def wtp(self, beta: np.ndarray) -> np.ndarray:
        """Willingness to pay at each point under each class: (K, L) -> (P, K)."""
        price = self.cost @ beta.T
        value = -(self.attribute @ beta.T) / np.where(price == 0, np.nan, price)
        return np.broadcast_to(value, (len(self.weight), len(beta)))


def wtp_sums(
    points: RatedPoints, parameters: Parameters, standing: Standing
) -> tuple[ClassSums, ClassSums]:
    """Sums over points of willingness to pay times weight and class probability, and of these.

    Parameters
    ----------
    points : RatedPoints
    parameters : Parameters
    standing : Standing
        Of the individuals that the points are of.

    Returns
    -------
    over, under : ClassSums, with shape (K,)
        Their ratio is the mean willingness to pay.
    """
    beta, shape = parameters.beta, (len(points.weight), parameters.beta.shape[1])
    wtp = points.wtp(beta)
    price = np.broadcast_to(points.cost @ beta.T, wtp.shape)
    attribute, cost = (np.broadcast_to(x, shape) for x in (points.attribute, points.cost))
    mass = points.weight[:, None] * standing.probability[points.person]
    start = beta.size + parameters.gamma.size - len(standing.of_class)
    over, under = (ClassSums.empty(parameters, start) for _ in range(2))
    over.value[:], under.value[:] = (mass * wtp).sum(axis=0), mass.sum(axis=0)
    for k in range(parameters.n_classes):
        per = -mass[:, k] / np.where(price[:, k] == 0, np.nan, price[:, k])
        involved = (attribute != 0).any(axis=0) | (cost != 0).any(axis=0)
        over.beta[k, involved] = (per @ attribute + (per * wtp[:, k]) @ cost)[involved]
        slope = points.weight[:, None] * standing.slope(k, points.person)
        over.gate[k], under.gate[k] = wtp[:, k] @ slope, slope.sum(axis=0)
    return over, under


def draw_wtp(
    points: RatedPoints, z: np.ndarray, beta: np.ndarray, gamma: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean willingness to pay over points under many tastes and membership logits.

    Parameters
    ----------
    points : RatedPoints
    z : ndarray, shape (N, Q)
        Membership covariates of the individuals that the points are of.
    beta : ndarray, shape (G, K, L)
    gamma : ndarray, shape (G, K − 1, Q)

    Returns
    -------
    by_class : ndarray, shape (G, K)
        Each point counts for a class by the probability that its individual is in it.
    population : ndarray, shape (G,)
    """
    by_class, population = np.empty(beta.shape[:2]), np.empty(len(beta))
    size = max(1, _NUMBERS_PER_BLOCK // (len(points.weight) * beta.shape[1]))
    for first in range(0, len(beta), size):
        block = slice(first, first + size)
        prior = scipy.special.softmax(with_base(gamma[block]) @ z.T, axis=1)  # (g, K, N)
        mass = prior[:, :, points.person] * points.weight
        price = beta[block] @ points.cost.T
        wtp = -(beta[block] @ points.attribute.T) / np.where(price == 0, np.nan, price)
        total = mass.sum(axis=2)
        over = (mass * wtp).sum(axis=2)
        by_class[block] = over / total
        population[block] = over.sum(axis=1) / total.sum(axis=1)
    return by_class, population


def shares_of_logits(gamma: np.ndarray, z: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Class shares of the population under many membership logits.

    Parameters
    ----------
    gamma : ndarray, shape (G, K − 1, Q)
    z : ndarray, shape (N, Q)
        Membership covariates.
    weight : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (G, K)
        Mean class probabilities, weighted.
    """
    kinds, kind = np.unique(z, axis=0, return_inverse=True)  # covariates are often few levels
    share = np.bincount(kind.ravel(), weights=weight) / weight.sum()
    out = np.empty((len(gamma), gamma.shape[1] + 1))
    size = max(1, _NUMBERS_PER_BLOCK // (len(kinds) * out.shape[1]))
    for first in range(0, len(gamma), size):
        block = slice(first, first + size)
        prior = scipy.special.softmax(with_base(gamma[block]) @ kinds.T, axis=1)  # (g, K, kinds)
        out[block] = prior @ share
    return out


def draw_parameters(
    params: np.ndarray,
    covariance: np.ndarray,
    n_draws: int,
    rng: int | np.random.Generator | None = 0,
) -> np.ndarray:
    """Draws from the normal distribution of the estimates.

    The standard normals are multiplied by the symmetric root of the correlation matrix. It exists
    where coefficients are tied or fixed and, other than a factor made of eigenvectors, it does
    not depend on their signs or order.

    Parameters
    ----------
    params : ndarray, shape (D,)
    covariance : ndarray, shape (D, D)
        Positive semi-definite. Parameters whose rows are nan stay at their estimates.
    n_draws : int
    rng : int, Generator or None

    Returns
    -------
    ndarray, shape (n_draws, D)
    """
    known = np.nan_to_num(covariance)
    std_err = np.sqrt(np.maximum(np.diag(known), 0.0))
    unit = np.divide(1.0, std_err, out=np.zeros_like(std_err), where=std_err > 0)
    value, vector = np.linalg.eigh(known * np.outer(unit, unit))
    value[value <= len(value) * np.finfo(float).eps * value[-1:]] = 0.0  # ties, up to round-off
    root = (vector * np.sqrt(value)) @ vector.T
    draws = as_generator(rng).standard_normal((n_draws, len(params))) @ root
    draws *= std_err
    draws += params
    return draws


@dataclass(frozen=True)
class FiellerSet:
    """Confidence set of ratios −a / c.

    Parameters
    ----------
    lower, upper : ndarray, shape (K,)
        Limits; infinite where the set is unbounded, nan where variances are.
    outside : ndarray, shape (K, 2)
        Ends of the interval that an unbounded set leaves out; nan where it leaves out none or
        a half line, or is bounded.
    """

    lower: np.ndarray
    upper: np.ndarray
    outside: np.ndarray


def fieller(
    numerator: np.ndarray, denominator: np.ndarray, covariance: np.ndarray, quantile: float
) -> FiellerSet:
    """Confidence set of −a / c by Fieller's theorem: the values w at which a + w c may be 0.

    Parameters
    ----------
    numerator, denominator : ndarray, shape (K,)
        Estimates of a and c.
    covariance : ndarray, shape (K, 2, 2)
        Of each pair (a, c).
    quantile : float
        Of the standard normal: w is in the set if |a + w c| is at most this many standard errors.

    Returns
    -------
    FiellerSet

    References
    ----------
    E. C. Fieller (1954), Some problems in interval estimation, JRSS B 16, 175–185.
    """
    critical = quantile**2 * covariance
    square = denominator**2 - critical[:, 1, 1]  # square w² + 2 cross w + constant ≤ 0
    cross = numerator * denominator - critical[:, 0, 1]
    constant = numerator**2 - critical[:, 0, 0]
    discriminant = cross**2 - square * constant
    is_bounded, is_unbounded = square > 0, square <= 0  # neither where variances are nan
    with np.errstate(divide="ignore", invalid="ignore"):  # where these ends are not used
        reach = np.sqrt(np.where(is_bounded, np.maximum(discriminant, 0.0), discriminant))
        ends = np.stack([(-cross - reach) / square, (-cross + reach) / square], axis=1)
    low, high = np.sort(ends, axis=1).T
    lower = np.where(is_bounded, low, np.where(is_unbounded, -np.inf, np.nan))
    upper = np.where(is_bounded, high, np.where(is_unbounded, np.inf, np.nan))
    return FiellerSet(
        lower, upper, np.where((square < 0)[:, None], np.stack([low, high], axis=1), np.nan)
    )


@dataclass(frozen=True)
class PopulationTastes:
    """Moments of the distribution of tastes over the classes, with their derivatives.

    Parameters
    ----------
    mean, std : ndarray, shape (L,)
    cov : ndarray, shape (L, L)
    mean_gradient, std_gradient : ndarray, shape (L, D)
        With respect to the flat vector of parameters. nan for a standard deviation of 0, which
        has no derivative.
    """

    mean: np.ndarray
    std: np.ndarray
    cov: np.ndarray
    mean_gradient: np.ndarray
    std_gradient: np.ndarray


def population_tastes(
    beta: np.ndarray, shares: np.ndarray, share_slope: np.ndarray
) -> PopulationTastes:
    """Mean and covariance of tastes in the population.

    Parameters
    ----------
    beta : ndarray, shape (K, L)
    shares : ndarray, shape (K,)
    share_slope : ndarray, shape (K, (K − 1) Q)
        Derivative of the shares with respect to the membership logits.

    Returns
    -------
    PopulationTastes
    """
    n_attributes = beta.shape[1]
    apart = beta - beta[0]  # from class 1, so that a common coefficient has a spread of exactly 0
    shift = shares @ apart
    centred = apart - shift  # (K, L)
    cov = (centred.T * shares) @ centred
    std = np.sqrt(np.diag(cov))
    diagonal = np.eye(n_attributes)
    by_taste = np.einsum("k,lm->lkm", shares, diagonal).reshape(n_attributes, -1)
    spread_by_taste = np.einsum("k,kl,lm->lkm", shares, centred, diagonal)
    half_variance = np.hstack(
        [spread_by_taste.reshape(n_attributes, -1), 0.5 * (centred**2).T @ share_slope]
    )
    return PopulationTastes(
        mean=beta[0] + shift,
        std=std,
        cov=cov,
        mean_gradient=np.hstack([by_taste, centred.T @ share_slope]),
        std_gradient=half_variance / np.where(std > 0, std, np.nan)[:, None],
    )


def individual_tastes(beta: np.ndarray, posterior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and standard deviation of the tastes of each individual.

    Parameters
    ----------
    beta : ndarray, shape (K, L)
    posterior : ndarray, shape (N, K)

    Returns
    -------
    mean, std : ndarray, shape (N, L)
    """
    apart = beta - beta[0]
    shift = posterior @ apart  # (N, L)
    variance = np.zeros_like(shift)
    for weight, taste in zip(posterior.T, apart, strict=True):
        variance += weight[:, None] * (taste - shift) ** 2
    return beta[0] + shift, np.sqrt(variance)
