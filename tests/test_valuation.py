"""Willingness to pay and population tastes, as functions of arrays."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import difference_gradient, flatten, log_membership, unflatten

from mixlogit.postestimation import delta_errors, mean_shares, share_gradient
from mixlogit.valuation import (
    class_wtp,
    draw_parameters,
    fieller,
    individual_tastes,
    population_tastes,
    shares_of_logits,
    wtp_gradient,
)

K, L, Q, N = 3, 4, 2, 25
SEEDS = range(3)
E = np.eye(L)  # slopes that are coefficients


def mixture(seed: int):
    """Tastes, logits, covariates and weights of a small population."""
    rng = np.random.default_rng(seed)
    beta = rng.normal(size=(K, L))
    beta[:, 1] = -rng.uniform(0.5, 2.0, size=K)  # the cost
    gamma = rng.normal(size=(K - 1, Q))
    z = np.column_stack([np.ones(N), rng.integers(3, size=N)])
    return beta, gamma, z, rng.uniform(0.2, 3.0, size=N)


def slow_shares(gamma, z, weight):
    """Weighted mean of the class probabilities, individual by individual."""
    total = np.zeros(len(gamma) + 1)
    for own, w in zip(z, weight, strict=True):
        total += w * np.exp(log_membership(own, gamma))
    return total / sum(weight)


def derivatives_of_shares(gamma, z, weight):
    """Shares and their gradient, as the package finds them."""
    prior = np.exp([log_membership(own, gamma) for own in z])
    return mean_shares(prior, weight), share_gradient(prior, weight, z)


# -- willingness to pay ------------------------------------------------------------------------


def test_willingness_to_pay_makes_up_for_a_unit_of_the_attribute():
    beta = mixture(0)[0]
    paid = class_wtp(beta, E[2], E[1])
    # a unit more, and that much more cost, leave utility where it was
    np.testing.assert_allclose(beta[:, 2] + paid * beta[:, 1], 0, rtol=0, atol=1e-13)


def test_without_a_coefficient_of_cost_there_is_no_willingness_to_pay():
    np.testing.assert_array_equal(
        class_wtp(np.array([[3.0, 0.0], [3.0, -2.0]]), *np.eye(2)), [np.nan, 1.5]
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_wtp_gradient_equals_differences(seed):
    beta, gamma, z, weight = mixture(seed)

    def wtp(flat):
        tastes, logits = unflatten(flat, K, L)
        by_class = [-tastes[k, 2] / tastes[k, 1] for k in range(K)]
        shares = slow_shares(logits, z, weight)
        return np.array([*by_class, sum(s * w for s, w in zip(shares, by_class, strict=True))])

    expected = difference_gradient(wtp, flatten(beta, gamma)).T
    actual = wtp_gradient(beta, E[2], E[1], *derivatives_of_shares(gamma, z, weight))
    np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-7)


def test_a_class_without_cost_leaves_the_gradients_of_the_others():
    beta, gamma, z, weight = mixture(0)
    shares = derivatives_of_shares(gamma, z, weight)
    whole = wtp_gradient(beta, E[2], E[1], *shares)
    beta[1, 1] = 0.0
    gradient = wtp_gradient(beta, E[2], E[1], *shares)
    np.testing.assert_array_equal(gradient[[0, 2]], whole[[0, 2]])
    assert np.isnan(gradient[[1, 3]]).any(axis=1).all()


def test_a_tied_cost_coefficient_counts_once():
    # two classes share the cost coefficient: the error of the mean is that of the function of
    # the three parameters that are free, differentiated by hand
    a1, a2, c, share = 1.5, -0.5, -2.0, 0.3
    free = np.array([[0.04, 0.01, 0.005], [0.01, 0.09, -0.02], [0.005, -0.02, 0.01]])  # a1, a2, c
    spread = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1], [0, 0, 0]])  # on a1 c a2 c gate
    beta = np.array([[a1, c], [a2, c]])
    gradient = wtp_gradient(
        beta, np.eye(2)[0], np.eye(2)[1], np.array([1 - share, share]), np.zeros((2, 1))
    )
    mean = (1 - share) * a1 + share * a2
    slopes = np.array(
        [
            [-1 / c, 0, a1 / c**2],
            [0, -1 / c, a2 / c**2],
            [-(1 - share) / c, -share / c, mean / c**2],
        ]
    )
    expected = np.sqrt([slope @ free @ slope for slope in slopes])
    actual = delta_errors(gradient, spread @ free @ spread.T)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


# -- shares ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_shares_of_many_logits_equal_a_loop_over_individuals(seed, monkeypatch):
    _, _, z, weight = mixture(seed)
    stack = np.random.default_rng(seed).normal(size=(11, K - 1, Q))
    expected = [slow_shares(gamma, z, weight) for gamma in stack]
    np.testing.assert_allclose(shares_of_logits(stack, z, weight), expected, rtol=1e-12)
    monkeypatch.setattr("mixlogit.valuation._NUMBERS_PER_BLOCK", 30)  # 3 logits at a time
    np.testing.assert_allclose(shares_of_logits(stack, z, weight), expected, rtol=1e-12)


def test_one_class_has_everyone():
    shares = shares_of_logits(np.empty((4, 0, 1)), np.ones((5, 1)), np.ones(5))
    np.testing.assert_allclose(shares, np.ones((4, 1)), rtol=1e-15)


# -- draws -------------------------------------------------------------------------------------


def factor(covariance: np.ndarray) -> np.ndarray:
    """What standard normals are multiplied with, solved from draws of which they are known."""
    n_params = len(covariance)
    normal = np.random.default_rng(5).standard_normal((50, n_params))
    drawn = draw_parameters(np.zeros(n_params), covariance, 50, rng=5)
    return np.linalg.lstsq(normal, drawn, rcond=None)[0]


def random_covariance(seed: int, n_params: int, rank: int) -> np.ndarray:
    """Scales from 1e-3 to 1e3."""
    root = np.random.default_rng(seed).normal(size=(n_params, rank))
    root *= np.logspace(-3, 3, n_params)[:, None]
    return root @ root.T


@pytest.mark.parametrize("rank", [5, 3])
def test_draws_have_the_covariance_even_where_it_is_singular(rank):
    covariance = random_covariance(1, 5, rank)
    root = factor(covariance)
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(
        root.T @ root / np.outer(scale, scale), covariance / np.outer(scale, scale), atol=1e-12
    )


def test_the_factor_is_symmetric_so_that_eigenvectors_may_have_any_sign():
    covariance = random_covariance(2, 5, 5)
    relative = factor(covariance) / np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(relative, relative.T, atol=1e-12)


def test_draws_keep_ties_and_fixed_values():
    free = random_covariance(3, 3, 3)
    spread = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]])
    params = np.array([0.5, 2.0, 0.5, -1.0, 3.0])
    drawn = draw_parameters(params, spread @ free @ spread.T, 100, rng=1)
    error = np.sqrt(free[0, 0])
    np.testing.assert_allclose(drawn[:, 0], drawn[:, 2], rtol=0, atol=1e-12 * error)
    assert drawn[:, 0].std() > 0.5 * error
    assert (drawn[:, 3] == -1.0).all()


def test_parameters_without_errors_stay_at_their_estimates():
    covariance = random_covariance(4, 4, 4)
    covariance[2] = covariance[:, 2] = np.nan
    drawn = draw_parameters(np.arange(4.0), covariance, 60, rng=1)
    assert (drawn[:, 2] == 2.0).all()
    assert (drawn[:, [0, 1, 3]].std(axis=0) > 0).all()


# -- Fieller -----------------------------------------------------------------------------------


def statistic(w, numerator, denominator, covariance):
    """Of the test that numerator + w denominator is 0."""
    direction = np.array([1.0, w])
    error = np.sqrt(direction @ covariance @ direction)
    return abs(numerator + w * denominator) / error


@pytest.mark.parametrize("seed", range(20))
def test_the_test_that_fieller_inverts_rejects_outside_the_set_alone(seed):
    rng = np.random.default_rng(seed)
    numerator, denominator = rng.normal(size=2)
    root = rng.normal(size=(2, 2)) * 10 ** rng.uniform(-2, 0.3)
    covariance = root @ root.T
    found = fieller(np.array([numerator]), np.array([denominator]), covariance[None], 1.96)
    lower, upper, (first, last) = found.lower[0], found.upper[0], found.outside[0]

    def at(w):
        return statistic(w, numerator, denominator, covariance)

    if np.isfinite(lower):
        assert abs(denominator) > 1.96 * np.sqrt(covariance[1, 1])
        assert lower < -numerator / denominator < upper
        np.testing.assert_allclose([at(lower), at(upper)], 1.96, rtol=1e-7)
        width = upper - lower
        assert all(at(w) > 1.96 for w in (lower - 0.1 * width, upper + 0.1 * width))
    else:
        assert (lower, upper) == (-np.inf, np.inf)
        assert abs(denominator) < 1.96 * np.sqrt(covariance[1, 1])
        assert at(1e9) < 1.96
        if np.isfinite(first):
            np.testing.assert_allclose([at(first), at(last)], 1.96, rtol=1e-7)
            assert at((first + last) / 2) > 1.96
        else:
            assert max(at(w) for w in np.linspace(-50, 50, 2001)) < 1.96


def test_fieller_sets_are_of_four_kinds():
    # bounded; all but an interval; everything; without variances; bounded, with a known cost
    numerator = np.array([1.0, 5.0, 0.1, 1.0, 1.0])
    denominator = np.array([-1.0, -0.1, -0.1, -1.0, -2.0])
    covariance = np.array([0.01, 1.0, 1.0, np.nan, 0.0])[:, None, None] * np.eye(2)
    covariance[4, 0, 0] = 0.25
    found = fieller(numerator, denominator, covariance, 1.96)
    np.testing.assert_array_equal(np.isfinite(found.lower), [True, False, False, False, True])
    np.testing.assert_array_equal(np.isfinite(found.outside[:, 0]), [False, True] + [False] * 3)
    assert np.isnan(found.upper[3])
    # with a known denominator the limits are those of a normal estimate
    assert found.lower[4] == pytest.approx(0.5 - 1.96 * 0.25, rel=1e-12)
    assert found.upper[4] == pytest.approx(0.5 + 1.96 * 0.25, rel=1e-12)


# -- tastes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_population_tastes_equal_loops_and_their_gradients_differences(seed):
    beta, gamma, z, weight = mixture(seed)

    def moments(flat):
        tastes, logits = unflatten(flat, K, L)
        shares = slow_shares(logits, z, weight)
        mean = sum(s * b for s, b in zip(shares, tastes, strict=True))
        cov = sum(s * np.outer(b - mean, b - mean) for s, b in zip(shares, tastes, strict=True))
        return mean, cov

    flat = flatten(beta, gamma)
    actual = population_tastes(beta, *derivatives_of_shares(gamma, z, weight))
    mean, cov = moments(flat)
    np.testing.assert_allclose(actual.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(actual.cov, cov, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(actual.std, np.sqrt(np.diag(cov)), rtol=1e-12)
    by_mean = difference_gradient(lambda at: moments(at)[0], flat).T
    by_std = difference_gradient(lambda at: np.sqrt(np.diag(moments(at)[1])), flat).T
    np.testing.assert_allclose(actual.mean_gradient, by_mean, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(actual.std_gradient, by_std, rtol=1e-7, atol=1e-7)


def test_a_common_taste_has_a_spread_of_exactly_zero_without_a_derivative():
    beta, gamma, z, weight = mixture(1)
    beta[:, 3] = 0.1
    actual = population_tastes(beta, *derivatives_of_shares(gamma, z, weight))
    assert actual.std[3] == 0
    assert actual.mean[3] == 0.1
    assert np.isnan(actual.std_gradient[3]).all()
    assert np.isfinite(actual.std_gradient[:3]).all()


def test_tastes_of_individuals_are_moments_by_their_posterior():
    beta = mixture(2)[0]
    posterior = np.random.default_rng(2).dirichlet(np.ones(K), size=6)
    posterior[0] = [0, 1, 0]
    mean, std = individual_tastes(beta, posterior)
    for i, own in enumerate(posterior):
        expected = sum(own[k] * beta[k] for k in range(K))
        spread = sum(own[k] * (beta[k] - expected) ** 2 for k in range(K))
        np.testing.assert_allclose(mean[i], expected, rtol=1e-12)
        np.testing.assert_allclose(std[i] ** 2, spread, rtol=1e-12, atol=1e-28)
