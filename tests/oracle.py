"""The statistics of the mixture, written to be obviously right and slow.

Plain loops over individuals, situations, alternatives and classes; nothing of the package is used.
Parameters are ``beta`` (K, L) and ``gamma`` (K-1, Q); class 1 is the base of the membership. Flat
parameters are ordered beta of class 1, 2, ..., then gamma of class 2, 3, ...
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np


@dataclass(frozen=True, eq=False)
class Individual:
    """One decision maker: attributes (J, L) and counts (J,) per situation, weights, covariates.

    And, where there is any, an offset per situation: (J,), or (J, K) by class.
    """

    choices: tuple[tuple[np.ndarray, np.ndarray], ...]
    weight: float
    frequency: float
    z: np.ndarray
    offset: tuple[np.ndarray, ...] | None = None

    def menus(self, k: int = 0) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Attributes, counts and the offset of class k in each situation."""
        out = []
        for s, (x, n) in enumerate(self.choices):
            added = np.zeros(len(x)) if self.offset is None else self.offset[s]
            out.append((x, n, added[:, k] if added.ndim == 2 else added))
        return out

    @property
    def total_weight(self) -> float:
        """Sampling weight times the number of identical individuals."""
        return self.weight * self.frequency


Problem = list[Individual]


def flatten(beta: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Flat parameters (D,)."""
    return np.array([*beta.ravel(), *gamma.ravel()])


def unflatten(flat: np.ndarray, n_classes: int, n_attributes: int) -> tuple[np.ndarray, np.ndarray]:
    """Invert `flatten`."""
    n_tastes = n_classes * n_attributes
    beta = flat[:n_tastes].reshape(n_classes, n_attributes)
    gamma = flat[n_tastes:]
    return beta, gamma.reshape(n_classes - 1, -1) if n_classes > 1 else np.empty((0, 1))


# One situation, one class


def log_sum_exp(values: Sequence[float] | np.ndarray) -> float:
    """log of the sum of exponentials, without overflow."""
    top = max(values)
    return float(top + math.log(sum(math.exp(value - top) for value in values)))


def log_prob(x: np.ndarray, b: np.ndarray, offset: np.ndarray | None = None) -> np.ndarray:
    """Log-probability of each alternative of one situation (J,)."""
    utility = [sum(x[j, a] * b[a] for a in range(len(b))) for j in range(len(x))]
    if offset is not None:
        utility = [v + added for v, added in zip(utility, offset, strict=True)]
    return np.array(utility) - log_sum_exp(utility)


def choice_shares(x: np.ndarray, beta: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Share of each alternative of one situation in the mixture (J,)."""
    shares = np.zeros(len(x))
    for share, b in zip(alpha, beta, strict=True):
        shares += share * np.exp(log_prob(x, b))
    return shares


def log_membership(z: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Log of the prior class probabilities of one individual (K,)."""
    index = [0.0, *(float(z @ row) for row in gamma)]
    return np.array(index) - log_sum_exp(index)


def log_kernel(person: Individual, b: np.ndarray, k: int = 0) -> float:
    """Log-probability of all choices of an individual of class k, whose tastes are b."""
    total = 0.0
    for x, n, added in person.menus(k):
        log_p = log_prob(x, b, added)
        for j in range(len(x)):
            if n[j] > 0:
                total += n[j] * log_p[j]
    return float(total)


def taste_score(person: Individual, b: np.ndarray, k: int = 0) -> np.ndarray:
    """Gradient of `log_kernel` (L,): chosen less expected attributes."""
    score = np.zeros(len(b))
    for x, n, added in person.menus(k):
        p = np.exp(log_prob(x, b, added))
        mean = sum(p[j] * x[j] for j in range(len(x)))
        for j in range(len(x)):
            score += n[j] * (x[j] - mean)
    return score


def taste_hessian(person: Individual, b: np.ndarray, k: int = 0) -> np.ndarray:
    """Hessian of `log_kernel` (L, L): minus the variance of the attributes, choice by choice."""
    hessian = np.zeros((len(b), len(b)))
    for x, n, added in person.menus(k):
        p = np.exp(log_prob(x, b, added))
        mean = sum(p[j] * x[j] for j in range(len(x)))
        for j in range(len(x)):
            hessian -= sum(n) * p[j] * np.outer(x[j] - mean, x[j] - mean)
    return hessian


# The mixture


def log_joint(person: Individual, beta: np.ndarray, gamma: np.ndarray) -> list[float]:
    """Log-probability of each class together with the choices."""
    prior = log_membership(person.z, gamma)
    return [prior[k] + log_kernel(person, beta[k], k) for k in range(len(beta))]


def log_likelihood(problem: Problem, beta: np.ndarray, gamma: np.ndarray) -> float:
    """Weighted log-likelihood of the mixture."""
    return sum(
        person.total_weight * log_sum_exp(log_joint(person, beta, gamma)) for person in problem
    )


def posterior_of(person: Individual, beta: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Class probabilities of one individual given its choices (K,)."""
    joint = log_joint(person, beta, gamma)
    relative = [math.exp(value - max(joint)) for value in joint]
    return np.array([value / sum(relative) for value in relative])


def posterior(problem: Problem, beta: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Class probabilities given the choices (N, K)."""
    return np.array([posterior_of(person, beta, gamma) for person in problem])


def complete_score(person: Individual, k: int, beta: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Gradient (D,) of the log-likelihood of one individual known to be of class k."""
    tastes, membership = np.zeros(beta.shape), np.zeros(gamma.shape)
    tastes[k] = taste_score(person, beta[k], k)
    alpha = np.exp(log_membership(person.z, gamma))
    for m in range(1, len(beta)):
        membership[m - 1] = ((k == m) - alpha[m]) * person.z
    return flatten(tastes, membership)


def complete_hessian(person: Individual, k: int, beta: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Hessian (D, D) of the log-likelihood of one individual known to be of class k."""
    (n_classes, n_attributes), n_covariates = beta.shape, gamma.shape[1]
    hessian = np.zeros((beta.size + gamma.size,) * 2)
    own = slice(k * n_attributes, (k + 1) * n_attributes)
    hessian[own, own] = taste_hessian(person, beta[k], k)
    alpha = np.exp(log_membership(person.z, gamma))
    for m in range(1, n_classes):
        for o in range(1, n_classes):
            row = beta.size + (m - 1) * n_covariates
            column = beta.size + (o - 1) * n_covariates
            block = -alpha[m] * ((m == o) - alpha[o]) * np.outer(person.z, person.z)
            hessian[row : row + n_covariates, column : column + n_covariates] = block
    return hessian


def individual_scores(problem: Problem, beta: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Gradient of the log-likelihood of each individual, not weighted (N, D)."""
    scores = []
    for person in problem:
        r = posterior_of(person, beta, gamma)
        scores.append(sum(r[k] * complete_score(person, k, beta, gamma) for k in range(len(beta))))
    return np.array(scores)


def score(problem: Problem, beta: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Gradient of `log_likelihood` (D,)."""
    total = np.zeros(beta.size + gamma.size)
    for person, row in zip(problem, individual_scores(problem, beta, gamma), strict=True):
        total += person.total_weight * row
    return total


def hessian(problem: Problem, beta: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Hessian of `log_likelihood` (D, D), by differentiating the log of a sum."""
    total = np.zeros((beta.size + gamma.size,) * 2)
    for person in problem:
        r = posterior_of(person, beta, gamma)
        mean = np.zeros(len(total))
        second = np.zeros(total.shape)
        for k in range(len(beta)):
            g = complete_score(person, k, beta, gamma)
            mean += r[k] * g
            second += r[k] * (complete_hessian(person, k, beta, gamma) + np.outer(g, g))
        total += person.total_weight * (second - np.outer(mean, mean))
    return total


# EM


Derivatives = tuple[float, np.ndarray, np.ndarray]


def maximise(derivatives: Callable[[np.ndarray], Derivatives], start: np.ndarray) -> np.ndarray:
    """Maximum of a concave function, by Newton steps that are halved until they do not descend."""
    point = start
    for _ in range(100):
        value, gradient, curvature = derivatives(point)
        step = np.linalg.solve(-curvature, gradient)
        if gradient @ step <= 1e-24:  # a step of 1e-12 standard errors
            return point + step
        while derivatives(point + step)[0] < value - 1e-13 * abs(value):
            step = step / 2
        point = point + step
    raise ArithmeticError("the maximum was not reached in 100 Newton steps; it may lie at infinity")


def em_step(problem: Problem, beta: np.ndarray, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One EM step whose M-step is carried to the maximum."""
    (n_classes, n_attributes), n_covariates = beta.shape, gamma.shape[1]
    weight = [person.total_weight for person in problem]
    r = posterior(problem, beta, gamma)

    def class_logit(b: np.ndarray, k: int) -> Derivatives:
        value, gradient, curvature = 0.0, np.zeros(len(b)), np.zeros((len(b), len(b)))
        for i, person in enumerate(problem):
            if r[i, k] == 0:  # of a class that cannot have made these choices
                continue
            value += weight[i] * r[i, k] * log_kernel(person, b, k)
            gradient += weight[i] * r[i, k] * taste_score(person, b, k)
            curvature += weight[i] * r[i, k] * taste_hessian(person, b, k)
        return value, gradient, curvature

    def fractional_logit(flat: np.ndarray) -> Derivatives:
        trial = flat.reshape(gamma.shape)
        value, gradient, curvature = 0.0, np.zeros(len(flat)), np.zeros((len(flat), len(flat)))
        for i, person in enumerate(problem):
            for k in range(n_classes):
                total = weight[i] * r[i, k]
                value += total * log_membership(person.z, trial)[k]
                gradient += total * complete_score(person, k, beta, trial)[beta.size :]
                full = complete_hessian(person, k, beta, trial)
                curvature += total * full[beta.size :, beta.size :]
        return value, gradient, curvature

    start = np.zeros(n_attributes)
    new_beta = np.array([maximise(partial(class_logit, k=k), start) for k in range(n_classes)])
    if n_classes == 1:
        new_gamma = gamma
    elif n_covariates == 1:  # the closed form, for z = 1
        share = [
            sum(w * row[k] for w, row in zip(weight, r, strict=True)) for k in range(n_classes)
        ]
        new_gamma = np.array([[math.log(share[k] / share[0])] for k in range(1, n_classes)])
    else:
        new_gamma = maximise(fractional_logit, np.zeros(gamma.size)).reshape(gamma.shape)
    return new_beta, new_gamma


# Inference


def outer_products(problem: Problem, beta: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Sum over individuals of the products of their weighted scores (D, D)."""
    total = np.zeros(2 * (beta.size + gamma.size,))
    for person, row in zip(problem, individual_scores(problem, beta, gamma), strict=True):
        total += person.frequency * np.outer(person.weight * row, person.weight * row)
    return total


def covariance(
    problem: Problem,
    beta: np.ndarray,
    gamma: np.ndarray,
    kind: str = "nonrobust",
    groups: Sequence[Hashable] | None = None,
) -> np.ndarray:
    """Covariance (D, D): "nonrobust", "opg", "robust", or "cluster" with one group an individual.

    A frequency stands for that many separate individuals; a sampling weight multiplies the score.
    """
    bread = np.linalg.inv(-hessian(problem, beta, gamma))
    if kind == "nonrobust":
        return bread
    if kind == "cluster":
        if groups is None:
            raise ValueError("cluster needs groups")
        sums: dict[Hashable, np.ndarray] = {}
        scores = individual_scores(problem, beta, gamma)
        for person, row, group in zip(problem, scores, groups, strict=True):
            sums[group] = sums.get(group, np.zeros(len(row))) + person.total_weight * row
        meat = sum(np.outer(total, total) for total in sums.values())
        return bread @ meat @ bread * len(sums) / (len(sums) - 1)
    meat = outer_products(problem, beta, gamma)
    if kind == "opg":
        return np.linalg.inv(meat)
    if kind == "robust":
        return bread @ meat @ bread
    raise ValueError(f"no covariance is called {kind!r}")


# Finite differences: central, with one Richardson step, so the error is of order step**4


def difference_gradient(
    function: Callable[[np.ndarray], float | np.ndarray], point: np.ndarray, step: float = 1e-3
) -> np.ndarray:
    """Derivative of a function along each coordinate; of a score, the rows of its Hessian."""

    def central(direction: np.ndarray) -> np.ndarray:
        return (np.asarray(function(point + direction)) - function(point - direction)) / 2

    rows = []
    for unit in np.eye(len(point)):
        wide, narrow = central(step * unit) / step, central(step / 2 * unit) / (step / 2)
        rows.append((4 * narrow - wide) / 3)
    return np.array(rows)


def difference_hessian(
    function: Callable[[np.ndarray], float], point: np.ndarray, step: float = 4e-3
) -> np.ndarray:
    """Second derivatives of a scalar function."""

    def central(first: np.ndarray, second: np.ndarray) -> float:
        same = function(point + first + second) + function(point - first - second)
        return (same - function(point + first - second) - function(point - first + second)) / 4

    units = np.eye(len(point))
    result = np.empty((len(point), len(point)))
    for a, first in enumerate(units):
        for b, second in enumerate(units):
            wide = central(step * first, step * second) / step**2
            narrow = central(step / 2 * first, step / 2 * second) / (step / 2) ** 2
            result[a, b] = (4 * narrow - wide) / 3
    return result


# Latent moments: averages over choices, each of them on its own however it was counted

Vector = np.ndarray


def whitened_choices(person: Individual, b: np.ndarray, unit: np.ndarray) -> list[Vector]:
    """Whitened score (D,) of every choice of an individual at tastes b, given unit (L, D)."""
    result = []
    for x, n, added in person.menus():
        p = np.exp(log_prob(x, b, added))
        mean = sum(p[j] * x[j] for j in range(len(x)))
        for j in range(len(x)):
            result += [unit.T @ (x[j] - mean)] * int(n[j])
    return result


def expected_choices(
    person: Individual, b: np.ndarray, unit: np.ndarray, tastes: np.ndarray
) -> list[Vector]:
    """Mean of `whitened_choices` where the individual has other tastes than b."""
    result = []
    for x, n, added in person.menus():
        change = np.exp(log_prob(x, tastes, added)) - np.exp(log_prob(x, b, added))
        result += [unit.T @ sum(change[j] * x[j] for j in range(len(x)))] * int(sum(n))
    return result


def average_information(problem: Problem, b: np.ndarray) -> np.ndarray:
    """Information of a choice at tastes b (L, L), on average."""
    total, number = np.zeros((len(b), len(b))), 0.0
    for person in problem:
        total -= person.total_weight * taste_hessian(person, b)
        number += person.total_weight * sum(float(sum(n)) for _, n in person.choices)
    return total / number


def tuple_average(
    people: list[list[Vector]],
    weight: Sequence[float],
    order: int,
    value: Callable[..., float | np.ndarray],
    tuples: Callable[..., Iterable[tuple[Vector, ...]]] = itertools.permutations,
) -> float | np.ndarray:
    """Average of a function of ``order`` different choices of one individual.

    Over the tuples of an individual, then over the individuals with at least ``order`` choices.
    """
    total: float | np.ndarray = 0.0
    mass = 0.0
    for choices, w in zip(people, weight, strict=True):
        if len(choices) >= order:
            values = [value(*some) for some in tuples(choices, order)]
            total = total + w * sum(values[1:], values[0]) / len(values)
            mass += w
    return total / mass


def cross_occasion_moments(
    people: list[list[Vector]], weight: Sequence[float], v: np.ndarray, n_powers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Powers (n_powers,) and mixed moments (n_powers // 2, D) along v, choices all different."""
    along = [[float(v @ u) for u in choices] for choices in people]
    power = [1.0]
    for r in range(1, n_powers):
        # a product does not depend on the order of the choices
        power.append(
            tuple_average(along, weight, r, lambda *x: math.prod(x), itertools.combinations)
        )

    def apart(choices: Sequence[Vector], order: int) -> Iterable[tuple[Vector, ...]]:
        for t in range(len(choices)):
            rest = [*choices[:t], *choices[t + 1 :]]
            for others in itertools.combinations(rest, order - 1):
                yield (choices[t], *others)

    mixed = []
    for r in range(n_powers // 2):
        mixed.append(
            tuple_average(
                people,
                weight,
                r + 1,
                lambda u, *others: math.prod(float(v @ one) for one in others) * u,
                apart,
            )
        )
    return np.array(power), np.array(mixed)


def hermite_moments(
    people: list[list[Vector]], weight: Sequence[float], v: np.ndarray, n_powers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Powers (n_powers,) and mixed moments (n_powers // 2, D) along a unit v; noise is N(0, I)."""
    draws = [(w, u) for choices, w in zip(people, weight, strict=True) for u in choices]
    mass = sum(w for w, _ in draws)

    def hermite(r: int, x: float) -> float:
        return float(np.polynomial.hermite_e.hermeval(x, [0.0] * r + [1.0]))

    power = [sum(w * hermite(r, float(v @ u)) for w, u in draws) / mass for r in range(n_powers)]
    mixed = []
    for r in range(n_powers // 2):
        raw = sum(w * hermite(r, float(v @ u)) * u for w, u in draws) / mass
        mixed.append(raw - r * power[r - 1] * v if r else raw)
    return np.array(power), np.array(mixed)


def hermite_third(people: list[list[Vector]], weight: Sequence[float]) -> np.ndarray:
    """Third moments (D, D, D) of the means of draws whose noise is N(0, I)."""
    draws = [(w, u) for choices, w in zip(people, weight, strict=True) for u in choices]
    mass = sum(w for w, _ in draws)
    mean = sum(w * u for w, u in draws) / mass
    n = len(mean)
    result = np.zeros((n, n, n))
    for a in range(n):
        for b in range(n):
            for c in range(n):
                raw = sum(w * u[a] * u[b] * u[c] for w, u in draws) / mass
                result[a, b, c] = raw - mean[a] * (b == c) - mean[b] * (a == c) - mean[c] * (a == b)
    return result
