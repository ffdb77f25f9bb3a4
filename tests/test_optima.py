"""Maxima are told apart by their tastes, and starts agree when they led to the same."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from conftest import fitted
from simulated import TASTES, likelihood_of, model_of, panel, truth

from mixlogit.axes import Axes
from mixlogit.em import Run, expectation_maximisation
from mixlogit.likelihood import Parameters
from mixlogit.optima import Optimum, describe_rivals, led_to


@pytest.fixture(scope="module")
def best():
    likelihood = likelihood_of(panel(5), 3)
    run = expectation_maximisation(likelihood, truth(), maxiter=500, tol=1e-10)
    return Optimum(likelihood, run.parameters[0], float(run.value[0]))


def standing(best, mixtures, value, converged=True):
    """Starts that EM left at some mixtures, the first of them the best."""
    n = len(mixtures)
    parameters = Parameters.stack([Parameters(m.beta[None], m.gamma[None]) for m in mixtures])
    flags = np.broadcast_to(converged, n)
    return Run(parameters, np.asarray(value), np.full(n, 5), np.full(n, 1e-4), flags)


def moved(best, by):
    """The best with the tastes of its first class moved."""
    beta = best.parameters.beta.copy()
    beta[0] += by
    return Parameters(beta, best.parameters.gamma)


def test_the_distance_is_that_of_the_best_match_of_classes(best):
    other = moved(best, [0.2, -0.1, 0.05]).reordered(np.array([2, 0, 1]))
    order, distance = best.matched(other)
    ways = []
    for way in itertools.permutations(range(3)):
        apart = best.parameters.beta - other.beta[list(way)]
        ways.append(sum(d @ i @ d for d, i in zip(apart, best.information, strict=True)))
    assert distance == pytest.approx(min(ways), rel=1e-12)
    np.testing.assert_array_equal(order, [1, 2, 0])


def test_the_same_tastes_in_another_order_are_the_same_optimum(best):
    turned = best.parameters.reordered(np.array([1, 2, 0]))
    run = standing(best, [best.parameters, turned], [best.value, best.value - 1e-4])
    optima, number = led_to(run, best, None)
    assert optima == [best]
    np.testing.assert_array_equal(number, [0, 0])


def test_other_tastes_of_the_same_value_are_another_optimum(best):
    far = moved(best, TASTES.to_numpy().T[1] - TASTES.to_numpy().T[0])
    asked = []

    def settle(mixture):
        asked.append(mixture)
        return mixture, best.value - 0.007

    run = standing(best, [best.parameters, far], [best.value, best.value - 0.007])
    optima, number = led_to(run, best, settle)
    assert len(asked) == 1
    np.testing.assert_array_equal(number, [0, 1])
    assert optima[1].value == best.value - 0.007


def test_a_start_in_doubt_is_followed_to_its_maximum(best):
    near = moved(best, 1 / np.sqrt(np.diag(best.information[0])))  # a standard error on each
    run = standing(best, [best.parameters, near], [best.value, best.value - 0.3])
    _, number = led_to(run, best, lambda mixture: (best.parameters, best.value))
    np.testing.assert_array_equal(number, [0, 0])


def test_a_better_maximum_behind_a_start_comes_first(best):
    near = moved(best, 3.0)
    run = standing(best, [best.parameters, near], [best.value, best.value - 0.001])
    optima, number = led_to(run, best, lambda mixture: (mixture, best.value + 0.5))
    assert optima[0].value == best.value + 0.5
    np.testing.assert_array_equal(number, [1, 0])


def test_a_start_that_gave_up_far_away_led_nowhere(best):
    run = standing(best, [best.parameters, moved(best, 3.0)], [best.value, best.value - 9], False)
    np.testing.assert_array_equal(led_to(run, best, None)[1], [0, -1])


def test_far_below_nobody_is_followed(best):
    def settle(mixture):
        raise AssertionError("it makes no difference")

    below = standing(best, [best.parameters, moved(best, 3.0)], [best.value, best.value - 9])
    optima, number = led_to(below, best, settle)
    np.testing.assert_array_equal(number, [0, 1])
    assert describe_rivals(optima, best.likelihood.param_names) == ""


def test_a_rival_is_described_by_what_differs_most(best):
    error = 1 / np.sqrt(best.information[0, 1, 1])
    rival = Optimum(best.likelihood, moved(best, [0, 9 * error, 0]), best.value - 0.25)
    names = best.likelihood.param_names
    there, here = rival.parameters.beta[0, 1], best.parameters.beta[0, 1]
    said = describe_rivals([best, rival], names)
    assert said.startswith("Another maximum has a log-likelihood only 0.25 lower")
    assert f"differs most in class1.x2: {there:.4g} there, {here:.4g} here" in said
    third = Optimum(best.likelihood, moved(best, 2.0), best.value - 2.9)
    assert describe_rivals([best, rival, third], names).startswith("2 other maxima")


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 0, 2]])
def test_an_optimum_is_recognised_in_any_order_of_the_classes(best, order):
    assert best.is_near(best.parameters.reordered(np.array(order)))


@pytest.mark.parametrize(("size", "is_near"), [(0.1, True), (0.6, True), (0.8, False), (5, False)])
def test_an_optimum_is_near_within_standard_errors(best, size, is_near):
    """A move of each attribute of each class so that all together are ``3 size`` errors away."""
    beta = best.parameters.beta.copy()
    for k, information in enumerate(best.information):
        value, vector = np.linalg.eigh(information)
        beta[k] += vector @ (size / np.sqrt(value))  # three directions, of three classes: 9 size²
    moved = Parameters(beta, best.parameters.gamma)
    assert best.is_near(moved.reordered(np.array([1, 2, 0]))) == is_near  # 9 size² < 4


def test_a_shaken_optimum_is_four_standard_errors_away(best):
    # with attributes that hardly vary, no limit in utils
    shaken = best.shaken(4000, Axes.of_columns(np.full(3, 1e-9)), np.random.default_rng(0))
    assert shaken.gamma.shape == (4000, 2, 1)
    z = []
    for k, information in enumerate(best.information):
        root = np.linalg.cholesky(information)
        z.append((shaken.beta[:, k] - best.parameters.beta[k]) @ root)
    z = np.concatenate(z)  # (12000, 3)
    # the error of a covariance of normal draws is 16 sqrt(2 / 12000) = 0.2
    np.testing.assert_allclose(z.T @ z / len(z), 16 * np.eye(3), atol=1.0)


@pytest.mark.parametrize("information", [0.0, -1e-14, 1e-13, 1e-300])
def test_a_class_without_information_is_shaken_within_reason(best, information):
    without = replace(best)
    vars(without)["information"] = np.concatenate(
        [information * np.eye(3)[None], best.information[1:]]
    )
    scale = np.array([1.0, 2.0, 0.5])
    axes = Axes.of_columns(scale)
    shaken = without.shaken(50, axes, np.random.default_rng(0))
    utils = np.abs((shaken.beta - best.parameters.beta) * scale).max(axis=-1)  # (50, 3)
    # coefficients of size one lose a few of their last digits in the sum
    np.testing.assert_allclose(utils[:, 0], 10.0, rtol=1e-12)
    assert (utils[:, 1:] < 10.0).all()


# --- in a fit -------------------------------------------------------------------------------------


def test_starts_of_a_survey_say_where_they_led():
    result = fitted("electricity", 3)
    starts = result.starts
    assert starts["optimum"].iloc[0] == 1
    assert (starts["is_best"] == (starts["optimum"] == 1).fillna(False)).all()
    assert result.certificate().rivals == ""
    agree = int((starts["finished"] & starts["is_best"]).sum())
    assert result.certificate().n_agree == agree > 2


def test_two_maxima_of_nearly_one_value_are_both_named():
    """Sixty people with four choices each do not tell four classes well."""
    result = model_of(panel(9, n_people=60, n_situations=4), 4).fit()
    assert result.converged
    starts = result.starts.dropna()
    values = starts.groupby("optimum")["llf"].max()
    is_close = values.iloc[0] - values.iloc[1:] < 2.9  # 3, less what EM had left to gain
    assert is_close.any()
    assert "hardly" in result.certificate().rivals
    assert result.certificate().rivals in " ".join(str(result.summary()).split())
