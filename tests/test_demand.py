"""Probabilities, shares, elasticities and log-sums against plain loops and their derivatives."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from oracle import difference_gradient, log_membership, log_prob, log_sum_exp, unflatten

from mixlogit import attributes
from mixlogit.demand import (
    Market,
    Slope,
    Standing,
    Visits,
    alternative_mass,
    class_mass,
    history_log_likelihoods,
    history_scores,
    log_probabilities,
    mean_surplus,
    response_mass,
    row_probabilities,
    segment_ratio,
    shares_of_alternatives,
    shares_response,
)
from mixlogit.likelihood import Parameters

N_CLASSES, N_ATTRIBUTES, N_ALTERNATIVES = 3, 4, 5
ALL = np.arange(N_ALTERNATIVES)
SEGMENTS = (None, 0, 1, 2)


def market(n_covariates: int = 2) -> Market:
    """Ragged choice sets, each faced by one or two of seven people, with weights."""
    rng = np.random.default_rng(5)
    menus = [np.sort(rng.choice(5, size, replace=False)) for size in rng.integers(1, 5, 9)]
    n_rows = sum(map(len, menus))
    n_visits = rng.integers(1, 3, len(menus))
    z = np.column_stack([np.ones(7), rng.normal(size=(7, n_covariates - 1))])
    return Market(
        exog=rng.normal(size=(n_rows, N_ATTRIBUTES)),
        situation_start=np.append(0, np.cumsum([len(menu) for menu in menus])),
        visits=Visits(
            person=rng.integers(0, 7, n_visits.sum()),
            start=np.append(0, np.cumsum(n_visits)),
            weight=rng.uniform(0.5, 3.0, n_visits.sum()),
        ),
        z=z,
        covariates=tuple(f"z{q}" for q in range(n_covariates)),
        alternative=np.concatenate(menus),
    )


def parameters(n_covariates: int = 2) -> Parameters:
    rng = np.random.default_rng(6)
    beta = rng.normal(size=(N_CLASSES, N_ATTRIBUTES))
    return Parameters(beta, rng.normal(size=(N_CLASSES - 1, n_covariates)))


def at(flat: np.ndarray) -> Parameters:
    return Parameters(*unflatten(flat, N_CLASSES, N_ATTRIBUTES))


def slow_mean(
    market: Market,
    parameters: Parameters,
    segment: int | None,
    value: Callable[[np.ndarray, np.ndarray, np.ndarray], float],
) -> float:
    """Mean over visits and classes of ``value(x, alternatives, tastes)``, by loops."""
    top = bottom = 0.0
    for s in range(len(market.situation_start) - 1):
        rows = slice(market.situation_start[s], market.situation_start[s + 1])
        for v in range(market.visits.start[s], market.visits.start[s + 1]):
            prior = np.exp(log_membership(market.z[market.visits.person[v]], parameters.gamma))
            for k, tastes in enumerate(parameters.beta):
                if segment in (None, k):
                    weight = market.visits.weight[v] * prior[k]
                    top += weight * value(market.exog[rows], market.alternative[rows], tastes)
                    bottom += weight
    return top / bottom


def slow_shares(market: Market, parameters: Parameters, segment: int | None) -> np.ndarray:
    def share_of(j: int) -> Callable[[np.ndarray, np.ndarray, np.ndarray], float]:
        return lambda x, codes, b: float(np.exp(log_prob(x, b))[codes == j].sum())

    return np.array([slow_mean(market, parameters, segment, share_of(j)) for j in ALL])


def shares(market: Market, parameters: Parameters, segment: int | None):
    mass = alternative_mass(market, parameters, ALL)
    total = class_mass(market, parameters)
    return segment_ratio(mass, total, segment, common=market.has_common_prior)


def slope() -> Slope:
    """The first attribute, and the square of the second in the last column."""
    exog = market().exog
    return Slope(np.array([0, 3]), np.column_stack([exog[:, 0], 2 * exog[:, 3]]))


def grown(market: Market, m: int, log_factor: float) -> Market:
    """The market when what moves with `slope` grows in the rows of one alternative."""
    exog, own = market.exog.copy(), market.alternative == m
    exog[own, 0] *= np.exp(log_factor)
    exog[own, 3] *= np.exp(2 * log_factor)
    return replace(market, exog=exog)


def elasticities(market: Market, parameters: Parameters, segment: int | None, wanted=ALL):
    mass = alternative_mass(market, parameters, wanted)
    response = response_mass(market, parameters, slope(), wanted)
    under = mass.repeated()
    return segment_ratio(response, under, segment, common=market.has_common_prior)


# -- rows --------------------------------------------------------------------------------------


def test_log_probabilities_equal_a_loop_whatever_the_blocks(monkeypatch):
    data, beta = market(), 300 * parameters().beta  # utilities that overflow without care
    begin = data.situation_start
    for n_rows in (1, 5, 8192):
        monkeypatch.setattr(attributes, "ROWS_PER_BLOCK", n_rows)
        log_prob_, log_sum = log_probabilities(data.exog, begin, beta)
        for s, (i, j) in enumerate(itertools.pairwise(begin)):
            for k in range(N_CLASSES):
                x = data.exog[i:j]
                np.testing.assert_allclose(
                    log_prob_[i:j, k], log_prob(x, beta[k]), rtol=1e-12, atol=1e-12
                )
                assert log_sum[s, k] == pytest.approx(log_sum_exp(x @ beta[k]), rel=1e-12)


def test_probabilities_add_up_to_one_in_each_situation():
    data = market()
    prob = row_probabilities(data.exog, data.situation_start, parameters().beta)
    total = np.add.reduceat(prob, data.situation_start[:-1])
    np.testing.assert_allclose(total, 1, rtol=0, atol=1e-13)


def test_log_likelihoods_of_histories_equal_a_loop():
    rng = np.random.default_rng(0)
    log_p = -rng.exponential(size=(12, 2))
    start, row, count = np.array([0, 3, 4, 8]), rng.integers(0, 12, 8), rng.integers(1, 4, 8)
    expected = [
        [sum(count[e] * log_p[row[e], k] for e in range(start[i], start[i + 1])) for k in (0, 1)]
        for i in range(3)
    ]
    found = history_log_likelihoods(log_p, row, count, start)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


# -- markets -----------------------------------------------------------------------------------


def test_the_mean_of_those_who_face_a_situation_equals_a_loop():
    visits, values = market().visits, np.random.default_rng(1).normal(size=(7, 2))
    for s, mean in enumerate(visits.mean(values)):
        own = range(visits.start[s], visits.start[s + 1])
        total = sum(visits.weight[v] for v in own)
        expected = sum(visits.weight[v] * values[visits.person[v]] for v in own) / total
        np.testing.assert_allclose(mean, expected, rtol=1e-13)


@pytest.mark.parametrize("segment", SEGMENTS)
@pytest.mark.parametrize("n_covariates", [1, 2])
def test_shares_equal_a_loop(segment, n_covariates):
    data, point = market(n_covariates), parameters(n_covariates)
    found, _ = shares(data, point, segment)
    np.testing.assert_allclose(found, slow_shares(data, point, segment), rtol=1e-12)


@pytest.mark.parametrize("segment", SEGMENTS)
@pytest.mark.parametrize("n_covariates", [1, 2])
def test_slopes_of_shares_are_differences_of_the_loop(segment, n_covariates):
    data, point = market(n_covariates), parameters(n_covariates)
    expected = difference_gradient(lambda flat: slow_shares(data, at(flat), segment), point.flat())
    _, gradient = shares(data, point, segment)
    np.testing.assert_allclose(gradient, expected.T, rtol=0, atol=1e-10)  # step⁴ = 1e-12


def test_shares_within_classes_do_not_depend_on_logits_that_are_common():
    _, gradient = shares(market(1), parameters(1), 1)
    assert (gradient[:, :N_ATTRIBUTES] == 0).all()
    assert (gradient[:, N_CLASSES * N_ATTRIBUTES :] == 0).all()
    _, gradient = shares(market(2), parameters(2), 1)
    assert (gradient[:, N_CLASSES * N_ATTRIBUTES :] != 0).all()


def test_class_shares_times_class_sizes_are_the_market():
    data, point = market(), parameters()
    size = class_mass(data, point).value
    assert size.sum() == pytest.approx(1, abs=1e-13)
    by_class = np.column_stack([shares(data, point, k)[0] for k in range(N_CLASSES)])
    np.testing.assert_allclose(by_class @ size, shares(data, point, None)[0], rtol=1e-13)


@pytest.mark.parametrize("segment", SEGMENTS)
def test_elasticities_are_differences_of_looped_shares(segment):
    data, point = market(), parameters()
    found, _ = elasticities(data, point, segment)
    for m in ALL:
        expected = difference_gradient(
            lambda log_factor, m=m: np.log(
                slow_shares(grown(data, m, float(log_factor[0])), point, segment)
            ),
            np.zeros(1),
        )[0]
        np.testing.assert_allclose(found[:, m], expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("segment", SEGMENTS)
@pytest.mark.parametrize("n_covariates", [1, 2])
def test_slopes_of_elasticities_are_their_differences(segment, n_covariates):
    data, point = market(n_covariates), parameters(n_covariates)
    expected = difference_gradient(
        lambda flat: elasticities(data, at(flat), segment)[0], point.flat()
    )
    _, gradient = elasticities(data, point, segment)
    np.testing.assert_allclose(gradient, np.moveaxis(expected, 0, -1), rtol=1e-7, atol=1e-9)


def test_what_one_alternative_wins_the_others_lose():
    response = response_mass(market(), parameters(), slope(), ALL)
    for part in (response.value, response.beta, response.gate):
        np.testing.assert_allclose(part.sum(axis=0), 0, rtol=0, atol=1e-13)


def test_some_alternatives_have_the_numbers_that_they_have_among_all():
    wanted = np.array([3, 0])
    some, all_ = (elasticities(market(), parameters(), None, codes) for codes in (wanted, ALL))
    for part, whole in zip(some, all_, strict=True):
        np.testing.assert_allclose(part, whole[np.ix_(wanted, wanted)], rtol=1e-12, atol=1e-14)


def priced() -> Parameters:
    """Tastes under which the third attribute, and the fourth twice over, cost utility."""
    point = parameters()
    beta = point.beta.copy()
    beta[:, 2], beta[:, 3] = [-0.3, -1.0, -2.0], [0.05, -0.2, 0.3]
    return Parameters(beta, point.gamma)


def prices() -> np.ndarray:
    """Slope of utility in cost in each situation: the third taste and a part of the fourth."""
    n_situations = len(market().situation_start) - 1
    cost = np.zeros((n_situations, N_ATTRIBUTES))
    cost[:, 2], cost[:, 3] = 1.0, np.linspace(0.0, 1.5, n_situations)
    return cost


@pytest.mark.parametrize("segment", SEGMENTS)
def test_surplus_is_the_log_sum_in_each_situations_money_and_its_slope_the_difference(segment):
    data, cost = market(), prices()
    places = {data.exog[start, 0]: s for s, start in enumerate(data.situation_start[:-1])}

    def slow(flat):
        def money(x, codes, b):
            return log_sum_exp(x @ b) / -(cost[places[x[0, 0]]] @ b)

        return slow_mean(data, at(flat), segment, money)

    point = priced()
    value, gradient = segment_ratio(
        mean_surplus(data, point, cost), class_mass(data, point), segment, common=False
    )
    assert value == pytest.approx(slow(point.flat()), rel=1e-12)
    expected = difference_gradient(slow, point.flat())
    np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-9)


def test_surplus_falls_with_the_price_of_an_alternative_by_its_probability():
    data, point = market(), priced()
    for j in ALL:

        def raised(step, j=j):
            exog = data.exog.copy()
            exog[data.alternative == j, 2] += step[0]
            moved = replace(data, exog=exog)
            return mean_surplus(moved, point, np.eye(N_ATTRIBUTES)[[2]]).value

        expected = -alternative_mass(data, point, ALL).value[j]
        np.testing.assert_allclose(
            difference_gradient(raised, np.zeros(1))[0], expected, rtol=1e-7, atol=1e-10
        )


@pytest.mark.parametrize("coefficient", [0.0, 0.4])
def test_there_is_no_surplus_where_cost_is_no_cost(coefficient):
    data, point = market(), priced()
    beta = point.beta.copy()
    beta[1, 2] = coefficient
    point = Parameters(beta, point.gamma)
    money = mean_surplus(data, point, np.eye(N_ATTRIBUTES)[[2]])
    assert list(np.isnan(money.value)) == [False, True, False]
    total = class_mass(data, point)
    assert np.isfinite(segment_ratio(money, total, 0, common=False)[0])
    assert np.isnan(segment_ratio(money, total, None, common=False)[0])


# -- histories and variables of the person -----------------------------------------------------


def past() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Earlier choices of the seven people: rows, situations, chosen rows, counts, starts."""
    rng = np.random.default_rng(9)
    begin = np.arange(0, 43, 3)  # 14 situations of three rows, two for each person
    row = begin[:-1] + rng.integers(0, 3, 14)
    return rng.normal(size=(42, N_ATTRIBUTES)), begin, row, np.ones(14), np.arange(0, 15, 2)


def slow_posterior(flat: np.ndarray, data: Market) -> np.ndarray:
    """Class probabilities of the seven people given their earlier choices, by loops."""
    exog, begin, row, _, _ = past()
    point, out = at(flat), np.empty((7, N_CLASSES))
    for i in range(7):
        log_joint = np.array(log_membership(data.z[i], point.gamma))
        for t in (2 * i, 2 * i + 1):
            x = exog[begin[t] : begin[t + 1]]
            log_joint += [log_prob(x, b)[row[t] - begin[t]] for b in point.beta]
        out[i] = np.exp(log_joint - log_sum_exp(log_joint))
    return out


def remembered(data: Market, point: Parameters) -> Market:
    """The market of people whose earlier choices are known."""
    exog, begin, row, count, start = past()
    log_p, _ = log_probabilities(exog, begin, point.beta)
    scores = history_scores(exog, begin, log_p, row, count, start)
    posterior = slow_posterior(point.flat(), data)
    return replace(data, history=Standing.of_history(posterior, scores, data.z))


def slow_remembered_shares(flat: np.ndarray, segment: int | None) -> np.ndarray:
    """Shares weighted by the posterior, by loops over visits and classes."""
    data, point = market(), at(flat)
    posterior = slow_posterior(flat, data)
    top, bottom = np.zeros(N_ALTERNATIVES), 0.0
    for s, first in enumerate(data.situation_start[:-1]):
        rows = slice(first, data.situation_start[s + 1])
        for v in range(data.visits.start[s], data.visits.start[s + 1]):
            for k, tastes in enumerate(point.beta):
                if segment in (None, k):
                    weight = data.visits.weight[v] * posterior[data.visits.person[v], k]
                    top[data.alternative[rows]] += weight * np.exp(
                        log_prob(data.exog[rows], tastes)
                    )
                    bottom += weight
    return top / bottom


@pytest.mark.parametrize("segment", SEGMENTS)
def test_shares_of_people_with_a_history_equal_a_loop_and_their_slopes_its_differences(segment):
    point = parameters()
    data = remembered(market(), point)
    value, gradient = shares_of_alternatives(data, point, ALL, [segment])
    flat = point.flat()
    np.testing.assert_allclose(value[0], slow_remembered_shares(flat, segment), rtol=1e-12)
    expected = difference_gradient(lambda f: slow_remembered_shares(f, segment), flat).T
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-7, atol=1e-10)


def moved(step: float) -> Market:
    """The market when a variable of the person grows: through two attributes and a covariate."""
    data, move = market(), slope()
    exog = data.exog.copy()
    exog[:, move.columns] += step * move.values
    return replace(data, exog=exog, z=data.z + step * z_slope(data))


def z_slope(data: Market) -> np.ndarray:
    return np.column_stack([np.zeros(7), 1 + data.z[:, 1] ** 2])


@pytest.mark.parametrize("segment", SEGMENTS)
def test_responses_of_shares_to_a_general_move_are_differences_of_the_loop(segment):
    data, point = market(), parameters()

    def slow(flat):
        return difference_gradient(
            lambda h: slow_shares(moved(h[0]), at(flat), segment), np.zeros(1), step=3e-3
        )[0]

    value, gradient = shares_response(data, point, slope(), z_slope(data), ALL, [segment])
    np.testing.assert_allclose(value[0], slow(point.flat()), rtol=1e-8, atol=1e-10)
    expected = difference_gradient(slow, point.flat(), step=1e-2).T
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-6, atol=1e-8)


def test_a_share_of_zero_has_no_elasticity_and_an_attribute_of_zero_has_elasticity_zero():
    data = market()
    exog = data.exog.copy()
    exog[data.alternative == 1, 1] = -2000.0  # nobody's choice, in doubles
    point = parameters()
    beta = np.abs(point.beta)
    value, gradient = elasticities(replace(data, exog=exog), Parameters(beta, point.gamma), None)
    assert np.isnan(value[1]).all()
    assert np.isnan(gradient[1]).any()
    assert np.isfinite(value[[0, 2, 3, 4]]).all()
    still = Slope(np.array([0]), np.where(data.alternative == 4, 0.0, data.exog[:, 0])[:, None])
    response = response_mass(data, point, still, ALL)
    assert (response.value[:, 4] == 0).all()
    assert (response.beta[:, 4] == 0).all()
    assert (response.value[:, 3] != 0).all()


def test_sums_do_not_depend_on_the_blocks(monkeypatch):
    data, point = market(), parameters()

    def sums():
        return [
            class_mass(data, point),
            alternative_mass(data, point, ALL),
            response_mass(data, point, slope(), ALL),
            mean_surplus(data, priced(), prices()),
        ]

    whole = sums()
    monkeypatch.setattr(attributes, "ROWS_PER_BLOCK", 4)
    for one, other in zip(whole, sums(), strict=True):
        for name, part in vars(one).items():
            np.testing.assert_allclose(getattr(other, name), part, rtol=1e-12, atol=1e-14)
