"""What tastes imply for choice sets: probabilities, shares, elasticities, log-sums, surplus.

Pure functions of arrays. A `Market` is choice sets together with who faces them. What is reported
of it is a ratio of sums over its situations, and every sum comes with its derivatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse

from mixlogit.attributes import RowTable, ShiftedRows, blocks_of_situations
from mixlogit.likelihood import Parameters
from mixlogit.membership import for_design

__all__ = [
    "ClassSums",
    "Market",
    "Slope",
    "Standing",
    "Visits",
    "alternative_mass",
    "class_mass",
    "class_probabilities",
    "history_log_likelihoods",
    "history_scores",
    "log_probabilities",
    "mean_surplus",
    "response_mass",
    "row_probabilities",
    "segment_ratio",
    "shares_of_alternatives",
    "shares_response",
]

# Of utilities, for differences of fourth order: errors are h⁴ / 30 and 1e-15 / h, about 1e-12.
_STEP = 2.0**-9
_SIDES, _SIDE_WEIGHTS = (2.0, 1.0, -1.0, -2.0), (-1 / 12, 2 / 3, -2 / 3, 1 / 12)


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
    offset : ndarray, shape (1, R) or (K, R), optional
        What is added to the utility of each row; minus infinity where a class does not have it.

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
        As for ``log_probabilities``.

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


def history_scores(
    exog: RowTable,
    situation_start: np.ndarray,
    log_prob: np.ndarray,
    row: np.ndarray,
    count: np.ndarray,
    start: np.ndarray,
) -> np.ndarray:
    """Derivatives of `history_log_likelihoods` with respect to the tastes of the same class.

    Parameters
    ----------
    exog : ndarray or StoredRows, shape (R, L)
    situation_start : ndarray of int, shape (S + 1,)
    log_prob, row, count, start
        As for `history_log_likelihoods`.

    Returns
    -------
    ndarray, shape (N, K, L)
        sum over the choices of an individual of x_chosen − xbar.
    """
    n_classes, n_attributes = log_prob.shape[1], exog.shape[1]
    situation = np.searchsorted(situation_start, row, side="right") - 1
    chosen = np.empty((len(row), n_attributes))
    mean = np.empty((len(situation_start) - 1, n_classes, n_attributes))
    for situations in blocks_of_situations(situation_start):
        begin = situation_start[situations.start : situations.stop + 1]
        block = exog[begin[0] : begin[-1]]
        inside = np.flatnonzero((row >= begin[0]) & (row < begin[-1]))
        chosen[inside] = block[row[inside] - begin[0]]
        for k in range(n_classes):
            prob = np.exp(log_prob[begin[0] : begin[-1], k])
            mean[situations, k] = np.add.reduceat(prob[:, None] * block, begin[:-1] - begin[0])
    apart = count[:, None, None] * (chosen[:, None] - mean[situation])
    return np.add.reduceat(apart, start[:-1], axis=0)


# -- who faces which situation ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Standing:
    """Class probabilities of individuals, with their derivatives by the last G parameters.

    The derivative of the probability of class k is (1[k = class of g] − probability_k) pull_g.

    Parameters
    ----------
    probability : ndarray, shape (N, K)
    pull : ndarray, shape (N, G)
    of_class : ndarray of int, shape (G,)
        Class of each of these parameters.
    """

    probability: np.ndarray
    pull: np.ndarray
    of_class: np.ndarray

    @classmethod
    def of_membership(cls, prior: np.ndarray, z: np.ndarray) -> Standing:
        """Before any choice: what moves them are the membership logits, G = (K − 1) Q."""
        own = prior[:, 1:, None] * z[:, None, :]
        of_class = np.repeat(np.arange(1, prior.shape[1]), z.shape[1])
        return cls(prior, own.reshape(len(z), -1), of_class)

    @classmethod
    def of_history(cls, posterior: np.ndarray, scores: np.ndarray, z: np.ndarray) -> Standing:
        """After choices with these scores (N, K, L): what moves them are all parameters."""
        gate = cls.of_membership(posterior, z)
        tastes = posterior[:, :, None] * scores
        of_class = np.repeat(np.arange(posterior.shape[1]), scores.shape[2])
        return cls(
            posterior,
            np.hstack([tastes.reshape(len(z), -1), gate.pull]),
            np.concatenate([of_class, gate.of_class]),
        )

    @classmethod
    def known(cls, probability: np.ndarray) -> Standing:
        """Taken as known: no parameter moves them."""
        return cls(probability, np.empty((len(probability), 0)), np.empty(0, dtype=np.intp))

    def slope(self, k: int, rows: np.ndarray) -> np.ndarray:
        """Derivative of the probability of class k of some individuals, (rows, G)."""
        away = (self.of_class == k) - self.probability[rows, k, None]
        return away * self.pull[rows]


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
    offset : ndarray, shape (1, R) or (K, R), or None
        What is added to the utility of each row, as in ``log_probabilities``.
    history : Standing or None
        Class probabilities of the individuals that ``visits`` points at, given choices they made
        before; None where only covariates are known of them.
    """

    exog: RowTable
    situation_start: np.ndarray
    visits: Visits
    z: np.ndarray
    covariates: tuple[str, ...]
    alternative: np.ndarray | None = None
    offset: np.ndarray | None = None
    history: Standing | None = None

    @property
    def has_common_prior(self) -> bool:
        """Whether all individuals have the same class probabilities."""
        return self.history is None and self.z.shape[1] == 1 and bool((self.z == 1).all())

    def prior(self, parameters: Parameters) -> np.ndarray:
        """Class probabilities of each individual before it chooses, (N, K)."""
        return class_probabilities(self.z, self.covariates, parameters)

    def standing(self, parameters: Parameters) -> Standing:
        """Class probabilities of each individual as far as it is known, with derivatives."""
        if self.history is not None:
            return self.history
        return Standing.of_membership(self.prior(parameters), self.z)

    def blocks(self, parameters: Parameters) -> Iterator[_Block]:
        """Pass over the situations once, a cache-sized number of rows at a time."""
        standing = self.standing(parameters)
        weight = self.visits.weight / self.visits.weight.sum()
        for situations in blocks_of_situations(self.situation_start):
            begin = self.situation_start[situations.start : situations.stop + 1]
            rows = slice(begin[0], begin[-1])
            first = self.visits.start[situations.start : situations.stop + 1]
            visits = slice(first[0], first[-1])
            person, start = self.visits.person[visits], first[:-1] - first[0]
            mass, mass_slope = _class_mass(standing, person, weight[visits], start)
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
    standing: Standing, person: np.ndarray, weight: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of each class in each situation (S, K), and its derivatives (S, K, G)."""
    probability = standing.probability[person]
    mass = np.add.reduceat(weight[:, None] * probability, start, axis=0)
    slope = np.empty((*mass.shape, len(standing.of_class)))
    for k in range(mass.shape[1]):
        own = weight[:, None] * standing.slope(k, person)
        slope[:, k] = np.add.reduceat(own, start, axis=0)
    return mass, slope


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
    gate : ndarray, shape (..., K, G)
        With respect to the last G parameters, through the class probabilities of the individuals:
        the membership logits, or all parameters where histories weight the classes.
    gate_start : int
        Place of the first of these among the parameters.
    """

    value: np.ndarray
    beta: np.ndarray
    gate: np.ndarray
    gate_start: int

    @classmethod
    def zeros(cls, lead: tuple[int, ...], parameters: Parameters, market: Market) -> ClassSums:
        """Sums of nothing yet, with leading axes."""
        start = parameters.beta.size if market.history is None else 0
        return cls.empty(parameters, start, lead)

    @classmethod
    def empty(
        cls, parameters: Parameters, gate_start: int, lead: tuple[int, ...] = ()
    ) -> ClassSums:
        """Sums of nothing yet, moved through the class probabilities by all parameters from one."""
        shape, n_params = (
            (*lead, parameters.n_classes),
            parameters.beta.size + parameters.gamma.size,
        )
        return cls(
            np.zeros(shape),
            np.zeros((*shape, parameters.beta.shape[1])),
            np.zeros((*shape, n_params - gate_start)),
            gate_start,
        )

    def __sub__(self, other: ClassSums) -> ClassSums:
        return replace(
            self,
            value=self.value - other.value,
            beta=self.beta - other.beta,
            gate=self.gate - other.gate,
        )

    def __truediv__(self, number: float) -> ClassSums:
        return replace(
            self, value=self.value / number, beta=self.beta / number, gate=self.gate / number
        )

    def repeated(self) -> ClassSums:
        """With one more axis in front of the classes, to divide sums that have it."""
        return replace(
            self,
            value=self.value[..., None, :],
            beta=self.beta[..., None, :, :],
            gate=self.gate[..., None, :, :],
        )


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
    gate = (pick(over.gate, -2) - ratio[..., None] * pick(under.gate, -2)) / bottom[..., None]
    if k is not None:
        tastes = np.where(np.arange(tastes.shape[-2])[:, None] == k, tastes, 0.0)
        if common:
            gate = np.zeros_like(gate)  # exactly, where round-off would be left
    gradient = np.zeros((*ratio.shape, over.gate_start + gate.shape[-1]))
    n_tastes = tastes.shape[-2] * tastes.shape[-1]
    gradient[..., :n_tastes] = tastes.reshape(*ratio.shape, -1)
    gradient[..., over.gate_start :] += gate
    return ratio, gradient


def class_mass(market: Market, parameters: Parameters) -> ClassSums:
    """Share of each class among those who face the situations, (K,)."""
    out = ClassSums.zeros((), parameters, market)
    for block in market.blocks(parameters):
        out.value[:] += block.mass.sum(axis=0)
        out.gate[:] += block.mass_slope.sum(axis=0)
    return out


def shares_of_alternatives(
    market: Market, parameters: Parameters, alternatives: np.ndarray, segments: Sequence[int | None]
) -> tuple[np.ndarray, np.ndarray]:
    """Shares of alternatives in the market and in classes, with their derivatives.

    Parameters
    ----------
    market : Market
    parameters : Parameters
    alternatives : ndarray of int, shape (M,)
        Codes of the alternatives wanted.
    segments : sequence of int or None, length G
        As in `segment_ratio`.

    Returns
    -------
    value : ndarray, shape (G, M)
    gradient : ndarray, shape (G, M, D)
    """
    mass = alternative_mass(market, parameters, alternatives)
    total, common = class_mass(market, parameters), market.has_common_prior
    found = [segment_ratio(mass, total, k, common=common) for k in segments]
    value, gradient = zip(*found, strict=True)
    return np.stack(value), np.stack(gradient)


def shares_response(
    market: Market,
    parameters: Parameters,
    slope: Slope,
    z_slope: np.ndarray,
    alternatives: np.ndarray,
    segments: Sequence[int | None],
) -> tuple[np.ndarray, np.ndarray]:
    """How shares move when designs move in all rows and for all individuals at once.

    By the difference of fourth order along the slopes, in which utilities and logits move by
    2**-8 at most: exact to about 1e-11 of the slopes.

    Parameters
    ----------
    market : Market
    parameters : Parameters
    slope : Slope
        Of the utility design.
    z_slope : ndarray, shape (N, Q)
        Of the membership covariates.
    alternatives, segments
        As in `shares_of_alternatives`.

    Returns
    -------
    value : ndarray, shape (G, M)
    gradient : ndarray, shape (G, M, D)
    """
    moves = slope.values @ parameters.beta[:, slope.columns].T, z_slope @ parameters.gamma.T
    step = _STEP / (max(np.abs(move).max(initial=0.0) for move in moves) or 1.0)

    def at(side: float) -> tuple[np.ndarray, np.ndarray]:
        rows = ShiftedRows(market.exog, slope.columns, side * step * slope.values)
        moved = replace(market, exog=rows, z=market.z + side * step * z_slope)
        return shares_of_alternatives(moved, parameters, alternatives, segments)

    value, gradient = zip(*[at(side) for side in _SIDES], strict=True)
    weights = np.array(_SIDE_WEIGHTS) / step
    return np.tensordot(weights, value, axes=1), np.tensordot(weights, gradient, axes=1)


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
    out = ClassSums.zeros((len(alternatives),), parameters, market)
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
            out.gate[:, k] += shares @ block.mass_slope[:, k]
    return out


@dataclass(frozen=True, eq=False)
class Slope:
    """How the design moves with a variable, by its unit or in proportion: d x / d log(variable).

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
    """Derivatives of `alternative_mass` when the attribute of one alternative grows.

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
    out = ClassSums.zeros((n_alternatives, n_alternatives), parameters, market)
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
                out.gate[m, m, k] += push[:, m] @ gate
                out.gate[m, :, k] -= push.T @ (prob[:, m, None] * gate)
    return out


def mean_surplus(market: Market, parameters: Parameters, cost: np.ndarray) -> ClassSums:
    """Log-sums in units of cost, weighted by who faces them, (K,).

    Parameters
    ----------
    market : Market
    parameters : Parameters
    cost : ndarray, shape (S, L) or (1, L)
        Slope of utility in cost in each situation, as weights of the tastes.

    Returns
    -------
    ClassSums, with shape (K,)
        sum_s w_s alpha_sk log-sum_sk / (−cost_s'beta_k); nan for a class whose slope is not
        negative in some situation: there it does not value what cost takes.
    """
    out = ClassSums.zeros((), parameters, market)
    slope = cost @ parameters.beta.T  # (S or 1, K)
    price = np.where((slope < 0).all(axis=0), -slope, np.nan)
    used = (cost != 0).any(axis=0)
    begin = 0
    for block in market.blocks(parameters):
        own = slice(begin, begin + len(block.mass)) if len(cost) > 1 else slice(None)
        begin += len(block.mass)
        per = np.broadcast_to(1 / price[own], block.mass.shape)
        money = per * block.log_sum
        out.value[:] += (block.mass * money).sum(axis=0)
        for k in range(parameters.n_classes):
            mass = block.mass[:, k] * per[:, k]
            out.beta[k] += (block.prob[:, k] * mass[block.owner]) @ block.exog
            by_price = np.broadcast_to(cost[own], (len(mass), cost.shape[1]))
            out.beta[k, used] += (mass * money[:, k]) @ by_price[:, used]
            out.gate[k] += money[:, k] @ block.mass_slope[:, k]
    return out
