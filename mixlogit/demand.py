"""What tastes imply for choice sets: probabilities, shares, elasticities, log-sums, surplus.

Pure functions of arrays. A `Market` is choice sets together with who faces them. What is reported
of it is a ratio of sums over its situations, and every sum comes with its derivatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse

from mixlogit.attributes import RowTable, blocks_of_situations
from mixlogit.likelihood import Parameters
from mixlogit.membership import for_design

__all__ = [
    "ClassSums",
    "Market",
    "Slope",
    "Visits",
    "alternative_mass",
    "class_mass",
    "class_probabilities",
    "history_log_likelihoods",
    "log_probabilities",
    "mean_log_sums",
    "response_mass",
    "row_probabilities",
    "segment_ratio",
    "surplus",
]


# -- rows ------------------------------------------------------------------------------------------


def log_probabilities(
    exog: RowTable,
    situation_start: np.ndarray,
    beta: np.ndarray,
    offset: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Log-probability of each row, and log-sum of each situation, under each class.

    Parameters
    ----------
    exog : ndarray or StoredRows, shape (R, L)
        Sorted rows.
    situation_start : ndarray of int, shape (S + 1,)
    beta : ndarray, shape (K, L)
    offset : ndarray, shape (1, R), optional
        What is added to the utility of each row.

    Returns
    -------
    log_prob : ndarray, shape (R, K)
    log_sum : ndarray, shape (S, K)
        Log of the sum of exp(utility) over the rows of a situation, in utils.
    """
    v = np.empty((len(exog), len(beta)))
    log_sum = np.empty((len(situation_start) - 1, len(beta)))
    for situations in blocks_of_situations(situation_start):
        begin = situation_start[situations.start : situations.stop + 1]
        rows = v[begin[0] : begin[-1]]
        np.matmul(exog[begin[0] : begin[-1]], beta.T, out=rows)
        if offset is not None:
            rows += offset[:, begin[0] : begin[-1]].T
        start, size = begin[:-1] - begin[0], np.diff(begin)
        peak = np.maximum.reduceat(rows, start, axis=0)
        rows -= np.repeat(peak, size, axis=0)
        rest = np.log(np.add.reduceat(np.exp(rows), start, axis=0))
        rows -= np.repeat(rest, size, axis=0)
        log_sum[situations] = peak + rest
    return v, log_sum


def row_probabilities(
    exog: RowTable,
    situation_start: np.ndarray,
    beta: np.ndarray,
    offset: np.ndarray | None = None,
) -> np.ndarray:
    """Choice probability of each row under each class.

    Parameters
    ----------
    exog, situation_start, beta, offset
        As for `log_probabilities`.

    Returns
    -------
    ndarray, shape (R, K)
        Sums to one over the rows of each situation.
    """
    log_prob, _ = log_probabilities(exog, situation_start, beta, offset)
    return np.exp(log_prob, out=log_prob)


def history_log_likelihoods(
    log_prob: np.ndarray, row: np.ndarray, count: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Log-probability of all choices of each individual under each class.

    Parameters
    ----------
    log_prob : ndarray, shape (R, K)
    row, count : ndarray, shape (E,)
        Rows that were chosen, grouped by individual, and how often.
    start : ndarray of int, shape (N + 1,)

    Returns
    -------
    ndarray, shape (N, K)
    """
    return np.add.reduceat(count[:, None] * log_prob[row], start[:-1], axis=0)


# -- who faces which situation ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Visits:
    """Who faces which situation, situation by situation.

    Parameters
    ----------
    person : ndarray of int, shape (V,)
        Place of the individual among those that have rows of their own.
    start : ndarray of int, shape (S + 1,)
        Situation s is faced in the visits ``start[s] : start[s + 1]``, one at least.
    weight : ndarray of float, shape (V,)
        What a visit counts.
    """

    person: np.ndarray
    start: np.ndarray
    weight: np.ndarray

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Weighted mean over those who face a situation: (N, K) -> (S, K)."""
        total = np.add.reduceat(self.weight, self.start[:-1])
        sums = np.add.reduceat(self.weight[:, None] * values[self.person], self.start[:-1], axis=0)
        return sums / total[:, None]


@dataclass(frozen=True, eq=False)
class Market:
    """Choice sets and who faces them.

    Parameters
    ----------
    exog : ndarray or StoredRows, shape (R, L)
        Sorted rows.
    situation_start : ndarray of int, shape (S + 1,)
    visits : Visits
    z : ndarray, shape (N, Q)
        Membership covariates of the individuals that ``visits`` points at.
    covariates : tuple of str
        Names of the columns of ``z``.
    alternative : ndarray of int, shape (R,), or None
        Alternative of each row, for what is reported by alternative.
    offset : ndarray, shape (1, R), or None
        What is added to the utility of each row.
    """

    exog: RowTable
    situation_start: np.ndarray
    visits: Visits
    z: np.ndarray
    covariates: tuple[str, ...]
    alternative: np.ndarray | None = None
    offset: np.ndarray | None = None

    @property
    def has_common_prior(self) -> bool:
        """Whether all individuals have the same class probabilities."""
        return self.z.shape[1] == 1 and bool((self.z == 1).all())

    def prior(self, parameters: Parameters) -> np.ndarray:
        """Class probabilities of each individual before it chooses, (N, K)."""
        return class_probabilities(self.z, self.covariates, parameters)

    def blocks(self, parameters: Parameters) -> Iterator[_Block]:
        """Pass over the situations once, a cache-sized number of rows at a time."""
        prior = self.prior(parameters)
        weight = self.visits.weight / self.visits.weight.sum()
        for situations in blocks_of_situations(self.situation_start):
            begin = self.situation_start[situations.start : situations.stop + 1]
            rows = slice(begin[0], begin[-1])
            first = self.visits.start[situations.start : situations.stop + 1]
            visits = slice(first[0], first[-1])
            person, start = self.visits.person[visits], first[:-1] - first[0]
            mass, mass_slope = _class_mass(prior[person], self.z[person], weight[visits], start)
            exog = self.exog[rows]
            offset = None if self.offset is None else self.offset[:, rows]
            log_prob, log_sum = log_probabilities(exog, begin - begin[0], parameters.beta, offset)
            prob = np.exp(log_prob, out=log_prob)
            yield _Block(
                rows=rows,
                exog=exog,
                prob=prob,
                log_sum=log_sum,
                begin=begin - begin[0],
                mass=mass,
                mass_slope=mass_slope,
                alternative=None if self.alternative is None else self.alternative[rows],
            )


def class_probabilities(
    z: np.ndarray, covariates: tuple[str, ...], parameters: Parameters
) -> np.ndarray:
    """Class probabilities of individuals before they choose.

    Parameters
    ----------
    z : ndarray, shape (N, Q)
        Membership covariates.
    covariates : tuple of str
        Their names.
    parameters : Parameters

    Returns
    -------
    ndarray, shape (N, K)
    """
    gate = for_design(z, covariates, 1.0)
    prior = np.exp(gate.log_prior(parameters.gamma, slice(None))).T
    return np.broadcast_to(prior, (len(z), parameters.n_classes))


def _class_mass(
    prior: np.ndarray, z: np.ndarray, weight: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of each class in each situation (S, K), and its slope in the logits (S, K, G)."""
    n_classes, n_covariates = prior.shape[1], z.shape[1]
    mass = np.add.reduceat(weight[:, None] * prior, start, axis=0)
    slope = np.empty((len(start), n_classes, n_classes - 1, n_covariates))
    for k in range(n_classes):
        for c in range(1, n_classes):
            own = weight * prior[:, k] * ((k == c) - prior[:, c])
            slope[:, k, c - 1] = np.add.reduceat(own[:, None] * z, start, axis=0)
    return mass, slope.reshape(len(start), n_classes, -1)


@dataclass(frozen=True, eq=False)
class _Block:
    """Some whole situations: r rows, s situations, with weights that sum to one over all."""

    rows: slice
    exog: np.ndarray  # (r, L)
    prob: np.ndarray  # (r, K)
    log_sum: np.ndarray  # (s, K)
    begin: np.ndarray  # (s + 1,)
    mass: np.ndarray  # (s, K)
    mass_slope: np.ndarray  # (s, K, G)
    alternative: np.ndarray | None  # (r,)

    @cached_property
    def owner(self) -> np.ndarray:
        """Situation of each row, (r,)."""
        return np.repeat(np.arange(len(self.mass)), np.diff(self.begin))

    def mean(self, k: int) -> np.ndarray:
        """Attributes expected by class k in each situation, (s, L)."""
        n_rows = len(self.exog)
        choice = scipy.sparse.csr_matrix(
            (self.prob[:, k], np.arange(n_rows), self.begin), shape=(len(self.mass), n_rows)
        )
        return choice @ self.exog

    def places(self, alternatives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row (s, M) of each of M alternatives, and whether it is there (s, M)."""
        assert self.alternative is not None
        position = _positions(self.alternative, alternatives)
        found = np.flatnonzero(position >= 0)
        row = np.zeros((len(self.mass), len(alternatives)), dtype=np.intp)
        is_there = np.zeros(row.shape, dtype=bool)
        row[self.owner[found], position[found]] = found
        is_there[self.owner[found], position[found]] = True
        return row, is_there


def _positions(codes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Position of each code among those wanted; −1 where it is not."""
    position = np.full(int(max(codes.max(), wanted.max())) + 1, -1)
    position[wanted] = np.arange(len(wanted))
    return position[codes]


# -- sums over situations --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ClassSums:
    """Sums over situations, class by class, with their derivatives.

    Parameters
    ----------
    value : ndarray, shape (..., K)
    beta : ndarray, shape (..., K, L)
        With respect to the tastes of the same class.
    gamma : ndarray, shape (..., K, (K − 1) Q)
        With respect to the membership logits.
    """

    value: np.ndarray
    beta: np.ndarray
    gamma: np.ndarray

    @classmethod
    def zeros(cls, lead: tuple[int, ...], parameters: Parameters) -> ClassSums:
        """Sums of nothing yet, with leading axes."""
        n_classes, n_attributes = parameters.beta.shape
        shape = (*lead, n_classes)
        return cls(
            np.zeros(shape),
            np.zeros((*shape, n_attributes)),
            np.zeros((*shape, parameters.gamma.size)),
        )

    def __sub__(self, other: ClassSums) -> ClassSums:
        return ClassSums(self.value - other.value, self.beta - other.beta, self.gamma - other.gamma)


def segment_ratio(
    over: ClassSums, under: ClassSums, k: int | None, *, common: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Ratio of two sums in the market or in one class, with its derivatives.

    Parameters
    ----------
    over, under : ClassSums
        With leading axes that broadcast.
    k : int or None
        A class; None for the market, where numerator and denominator are summed over classes.
    common : bool
        Whether all individuals have the same class probabilities: a ratio in one class then does
        not depend on them.

    Returns
    -------
    value : ndarray, shape (...)
        nan where the denominator is zero.
    gradient : ndarray, shape (..., D)
    """

    def pick(sums: np.ndarray, axis: int) -> np.ndarray:
        return sums.sum(axis=axis) if k is None else sums.take(k, axis=axis)

    top, bottom = pick(over.value, -1), np.asarray(pick(under.value, -1))
    bottom = np.where(bottom == 0, np.nan, bottom)
    ratio = top / bottom
    tastes = (over.beta - ratio[..., None, None] * under.beta) / bottom[..., None, None]
    gamma = (pick(over.gamma, -2) - ratio[..., None] * pick(under.gamma, -2)) / bottom[..., None]
    if k is not None:
        tastes = np.where(np.arange(tastes.shape[-2])[:, None] == k, tastes, 0.0)
        if common:
            gamma = np.zeros_like(gamma)  # exactly, where round-off would be left
    return ratio, np.concatenate([tastes.reshape(*ratio.shape, -1), gamma], axis=-1)


def class_mass(market: Market, parameters: Parameters) -> ClassSums:
    """Share of each class among those who face the situations, (K,)."""
    out = ClassSums.zeros((), parameters)
    for block in market.blocks(parameters):
        out.value[:] += block.mass.sum(axis=0)
        out.gamma[:] += block.mass_slope.sum(axis=0)
    return out


def alternative_mass(market: Market, parameters: Parameters, alternatives: np.ndarray) -> ClassSums:
    """Probability that a choice is of an alternative and made by a class, (M, K).

    Parameters
    ----------
    market : Market
    parameters : Parameters
    alternatives : ndarray of int, shape (M,)
        Codes of the alternatives wanted.

    Returns
    -------
    ClassSums, with shape (M, K)
        sum_s w_s alpha_sk P_sjk, where the weights w of the situations sum to one. The
        derivative with respect to beta_k is sum_s w_s alpha_sk P_sjk (x_sj − xbar_sk).
    """
    out = ClassSums.zeros((len(alternatives),), parameters)
    for block in market.blocks(parameters):
        assert block.alternative is not None
        position = _positions(block.alternative, alternatives)
        found = np.flatnonzero(position >= 0)
        place, owner = position[found], block.owner[found]
        by_row = (len(alternatives), len(block.exog))
        by_situation = (len(alternatives), len(block.mass))
        for k in range(parameters.n_classes):
            prob = block.prob[found, k]
            mass = prob * block.mass[owner, k]
            out.value[:, k] += np.bincount(place, weights=mass, minlength=len(alternatives))
            rows = scipy.sparse.csr_matrix((mass, (place, found)), shape=by_row)
            situations = scipy.sparse.csr_matrix((mass, (place, owner)), shape=by_situation)
            out.beta[:, k] += rows @ block.exog - situations @ block.mean(k)
            shares = scipy.sparse.csr_matrix((prob, (place, owner)), shape=by_situation)
            out.gamma[:, k] += shares @ block.mass_slope[:, k]
    return out


@dataclass(frozen=True, eq=False)
class Slope:
    """How the design moves when an attribute grows in proportion: d x / d log(attribute).

    Parameters
    ----------
    columns : ndarray of int, shape (C,)
        Columns of the design that move.
    values : ndarray, shape (R, C)
        Their slopes, sorted rows.
    """

    columns: np.ndarray
    values: np.ndarray


def response_mass(
    market: Market, parameters: Parameters, slope: Slope, alternatives: np.ndarray
) -> ClassSums:
    """Derivatives of `alternative_mass` when the attribute of one alternative grows in proportion.

    Parameters
    ----------
    market : Market
    parameters : Parameters
    slope : Slope
    alternatives : ndarray of int, shape (M,)

    Returns
    -------
    ClassSums, with shape (M, M, K)
        Of the alternative on the first axis, when the attribute of the one on the second grows in
        all situations: sum_s w_s alpha_sk P_sjk (1[j = m] − P_smk) u_smk, with u the slope of
        the utility.
    """
    n_alternatives = len(alternatives)
    out = ClassSums.zeros((n_alternatives, n_alternatives), parameters)
    own = np.arange(n_alternatives)
    columns = slope.columns
    for block in market.blocks(parameters):
        row, is_there = block.places(alternatives)
        slopes = slope.values[block.rows]
        for k in range(parameters.n_classes):
            mean = block.mean(k)
            utility = (slopes @ parameters.beta[k, columns])[row]  # (s, M)
            prob = np.where(is_there, block.prob[row, k], 0.0)
            mass = prob * block.mass[:, k, None]
            push = prob * utility
            out.value[:, :, k] -= mass.T @ push
            out.value[own, own, k] += (mass * utility).sum(axis=0)
            for m in range(n_alternatives):
                away = block.exog[row[:, m]] - mean  # (s, L)
                moved = slopes[row[:, m]]  # (s, C)
                share, gate = mass[:, m], block.mass_slope[:, k]
                out.beta[m, m, k] += (share * utility[:, m]) @ away
                out.beta[m, m, k, columns] += share @ moved
                out.beta[m, :, k] -= push.T @ (share[:, None] * away)
                out.beta[:, m, k] -= mass.T @ (push[:, m, None] * away)
                out.beta[:, m, k, columns] -= mass.T @ (prob[:, m, None] * moved)
                out.gamma[m, m, k] += push[:, m] @ gate
                out.gamma[m, :, k] -= push.T @ (prob[:, m, None] * gate)
    return out


def mean_log_sums(market: Market, parameters: Parameters) -> ClassSums:
    """Log-sums of the situations, weighted by who faces them, (K,): sum_s w_s alpha_sk log-sum_sk.

    The derivative with respect to beta_k is sum_s w_s alpha_sk xbar_sk.
    """
    out = ClassSums.zeros((), parameters)
    for block in market.blocks(parameters):
        out.value[:] += (block.mass * block.log_sum).sum(axis=0)
        for k in range(parameters.n_classes):
            out.beta[k] += (block.prob[:, k] * block.mass[block.owner, k]) @ block.exog
            out.gamma[k] += block.log_sum[:, k] @ block.mass_slope[:, k]
    return out


def surplus(log_sums: ClassSums, beta: np.ndarray, cost: int) -> ClassSums:
    """Log-sums in units of cost: divided by minus the coefficient of cost of each class.

    Parameters
    ----------
    log_sums : ClassSums, with shape (K,)
    beta : ndarray, shape (K, L)
    cost : int
        Column of the design.

    Returns
    -------
    ClassSums, with shape (K,)
        nan for a class whose coefficient is not negative: it does not value what cost takes.
    """
    price = np.where(beta[:, cost] < 0, -beta[:, cost], np.nan)
    value = log_sums.value / price
    slope = log_sums.beta / price[:, None]
    slope[:, cost] += value / price
    return ClassSums(value, slope, log_sums.gamma / price[:, None])
