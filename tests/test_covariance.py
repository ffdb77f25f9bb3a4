"""Covariances against the loops, hand formulas and identities."""

from __future__ import annotations

import itertools

import numpy as np
import oracle
import pytest
import zoo

from mixlogit.covariance import (
    COV_TYPES,
    cluster,
    covariance,
    information_inverse,
    nonrobust,
    robust,
)
from mixlogit.errors import ArgumentError
from mixlogit.newton import maximise

TYPES = [cov_type for cov_type in COV_TYPES if cov_type != "none"]
LOOP = 1e-9  # inverse of a matrix whose condition number, once scaled, is below 1e4


@pytest.fixture(params=zoo.CASES, ids=lambda case: case.name)
def case(request):
    return request.param


def arrays(case, n_classes=1, seed=0):
    """Arguments of the covariances where −H is positive definite: one class, any point."""
    beta, gamma, flat = zoo.random_parameters(case, n_classes, seed)
    if case.name == "huge utilities":
        beta, flat = beta / 300, flat / 300
    likelihood = case.model(n_classes).likelihood()
    data = likelihood.data
    return (
        (beta, gamma),
        (
            likelihood.evaluate(flat).hessian,
            likelihood.individual_scores(likelihood.unpack(flat)),
            data.weights,
            data.entries.frequency,
        ),
    )


def by_name(cov_type, given, **keywords):
    hessian, scores, weights, frequency = given
    return covariance(cov_type, lambda: hessian, lambda: scores, weights, frequency, **keywords)


def assert_close(a, b, tolerance=LOOP):
    """Equal in units of the standard errors."""
    unit = 1 / np.sqrt(np.diag(b))
    scale = np.outer(unit, unit)
    np.testing.assert_allclose(a * scale, b * scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("cov_type", TYPES)
def test_every_type_agrees_with_the_loop(case, cov_type):
    at, given = arrays(case)
    if cov_type == "cluster":
        groups = np.arange(len(case.problem)) % 4
        expected = oracle.covariance(case.problem, *at, "cluster", groups.tolist())
        assert_close(by_name("cluster", given, groups=groups), expected)
    else:
        expected = oracle.covariance(case.problem, *at, cov_type)
        assert_close(by_name(cov_type, given), expected)


@pytest.mark.parametrize("name", ["balanced panel", "sampling weights", "repeated choices"])
@pytest.mark.parametrize("cov_type", TYPES)
def test_two_classes_at_their_maximum_agree_with_the_loop(name, cov_type):
    case = zoo.case(name)
    model = case.model(2)
    likelihood = model.likelihood(2.0)  # the penalty keeps the small samples definite
    start = np.append(zoo.TASTES[:, : case.n_attributes].ravel(), 0.0)
    flat = maximise(likelihood.evaluate, start).x
    parameters = likelihood.unpack(flat)
    given = (
        model.likelihood().evaluate(flat).hessian,
        likelihood.individual_scores(parameters),
        likelihood.data.weights,
        likelihood.data.entries.frequency,
    )
    groups = ["odd" if i % 2 else i % 5 for i in range(len(case.problem))]
    keywords = {"groups": groups} if cov_type == "cluster" else {}
    expected = oracle.covariance(
        case.problem, parameters.beta, parameters.gamma, cov_type, **keywords
    )
    assert_close(by_name(cov_type, given, **keywords), expected)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_an_evaluation_keeps_the_outer_product_of_the_scores(case, n_classes):
    beta, gamma, flat = zoo.random_parameters(case, n_classes, 0)
    expected = oracle.outer_products(case.problem, beta, gamma)
    found = case.model(n_classes).likelihood().evaluate(flat).outer
    # sums of as many products as there are individuals, each good to a few of the last digits
    largest = np.diag(expected).max()
    np.testing.assert_allclose(found / largest, expected / largest, rtol=0, atol=1e-11)


def test_what_is_known_of_the_scores_is_not_found_again(case):
    def never():
        raise AssertionError

    _, (hessian, scores, weights, frequency) = arrays(case)
    outer = (scores.T * weights**2 * frequency) @ scores
    for cov_type in ("opg", "robust"):
        found = covariance(cov_type, lambda: hessian, never, weights, frequency, outer)
        assert_close(found, by_name(cov_type, (hessian, scores, weights, frequency)), 1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_no_robust_variance_is_negative(seed):
    """Scores that have nothing to say of a direction, of which the information has very little."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    information = (basis * np.array([1, 1, 1, 1e-9])) @ basis.T
    along = rng.standard_normal((10, 3))
    outer = (along @ basis[:, :3].T).T @ (along @ basis[:, :3].T)
    exact = basis[:, :3] @ (along.T @ along) @ basis[:, :3].T
    # the information has lost seven digits of its inverse in that direction
    np.testing.assert_allclose(robust(-information, outer), exact, rtol=0, atol=1e-5)
    assert (np.diag(robust(-information, outer)) > 0).all()


def test_scores_that_overflow_have_no_robust_covariance():
    assert np.isnan(robust(-np.eye(2), np.diag([1.0, np.inf]))).all()


def test_one_coefficient_by_hand():
    hessian, scores = np.array([[-8.0]]), np.array([[1.0], [-2.0], [0.5]])
    weights, frequency = np.array([1.0, 0.5, 2.0]), np.array([3.0, 1.0, 2.0])
    meat = 3 * 1 + 1 * 1 + 2 * 1  # frequency times (weight times score) squared
    given = (hessian, scores, weights, frequency)
    assert by_name("nonrobust", given)[0, 0] == pytest.approx(1 / 8)
    assert by_name("opg", given)[0, 0] == pytest.approx(1 / meat)
    assert by_name("robust", given)[0, 0] == pytest.approx(meat / 64)
    sums = np.array([3.0 - 1.0, 2.0])  # the first two individuals are one cluster
    expected = (sums @ sums) / 64 * 2 / 1
    assert by_name("cluster", given, groups=["a", "a", "b"])[0, 0] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["ragged panel", "sampling weights", "repeated choices"])
def test_individuals_as_clusters_are_robust_times_a_factor(name):
    _, given = arrays(zoo.case(name))
    n = len(given[1])
    np.testing.assert_allclose(
        by_name("cluster", given, groups=np.arange(n)),
        by_name("robust", given) * n / (n - 1),
        rtol=1e-12,  # the same sums in another order
    )


@pytest.mark.parametrize("cov_type", ["nonrobust", "opg", "robust"])
def test_a_frequency_stands_for_that_many_rows(cov_type):
    hessian, scores, weights, frequency = arrays(zoo.case("counts"))[1]
    times = frequency.astype(int)
    assert times.max() > 1
    rows = (hessian, scores.repeat(times, 0), weights.repeat(times), np.ones(times.sum()))
    np.testing.assert_allclose(
        by_name(cov_type, (hessian, scores, weights, frequency)),
        by_name(cov_type, rows),
        rtol=1e-11,  # the same sums in another order, inverted
    )


def test_scores_are_asked_for_only_where_they_are_needed():
    def never():
        raise AssertionError("scores were computed")

    covariance("nonrobust", lambda: -np.eye(2), never, np.ones(3), np.ones(3))


def test_units_of_parameters_do_not_matter():
    root = np.random.default_rng(0).normal(size=(20, 4))
    information = root.T @ root
    unit = np.array([1e-9, 1e-3, 1.0, 1e9])
    np.testing.assert_allclose(
        information_inverse(information / np.outer(unit, unit)) / np.outer(unit, unit),
        np.linalg.inv(information),
        rtol=1e-12,
    )


# --- what is not identified -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "information",
    [
        np.diag([1.0, -1.0]),
        np.array([[1.0, 2.0], [2.0, 1.0]]),
        np.full((2, 2), np.nan),
        np.array([[1.0, np.inf], [np.inf, 1.0]]),
        np.zeros((2, 2)),
        -np.eye(2),
    ],
)
def test_no_maximum_has_no_covariance(information):
    assert np.isnan(information_inverse(information)).all()


def test_a_parameter_without_information_alone_is_nan():
    """As the tastes of a class that has vanished."""
    root = np.random.default_rng(0).normal(size=(9, 3))
    known = np.linalg.inv(root.T @ root)
    information = np.zeros((4, 4))
    rest = np.ix_([0, 1, 3], [0, 1, 3])
    information[rest] = root.T @ root
    inverse = information_inverse(information)
    assert np.isnan(inverse[2]).all()
    assert np.isnan(inverse[:, 2]).all()
    np.testing.assert_allclose(inverse[rest], known, rtol=1e-12)


def test_parameters_of_a_flat_direction_alone_are_nan():
    """Only the sum of the first two is identified; the third is as if they were one."""
    root = np.random.default_rng(0).normal(size=(9, 2))
    root = root[:, [0, 0, 1]] * [1.0, 100.0, 1.0]
    inverse = information_inverse(root.T @ root)
    assert np.isnan(inverse[:2]).all()
    assert np.isnan(inverse[:, :2]).all()
    known = np.linalg.inv(root[:, [0, 2]].T @ root[:, [0, 2]])
    assert inverse[2, 2] == pytest.approx(known[1, 1], rel=1e-9)


@pytest.mark.parametrize("cov_type", ["opg", "robust", "cluster"])
def test_every_type_keeps_the_errors_of_what_is_identified(cov_type):
    scores = np.random.default_rng(0).normal(size=(9, 3)) * [1.0, 0.0, 1.0]
    hessian = np.diag([-2.0, 0.0, -3.0])
    keywords = {"groups": np.arange(9) // 2} if cov_type == "cluster" else {}
    full = by_name(cov_type, (hessian, scores, np.ones(9), np.ones(9)), **keywords)
    rest = np.ix_([0, 2], [0, 2])
    part = by_name(cov_type, (hessian[rest], scores[:, [0, 2]], np.ones(9), np.ones(9)), **keywords)
    np.testing.assert_allclose(full[rest], part, rtol=1e-12)
    assert np.isnan(full[1]).all()
    assert np.isnan(full[:, 1]).all()


def test_a_vanished_class_leaves_the_errors_of_the_others():
    case = zoo.case("balanced panel")
    beta = np.concatenate([zoo.TASTES, [[0.1, 0.2, 0.3]]])
    likelihood = case.model(3).likelihood()
    flat = oracle.flatten(beta, np.array([[0.0], [-800.0]]))  # a share of exactly zero
    cov = nonrobust(likelihood.evaluate(flat).hessian)
    two = case.model(2).likelihood().evaluate(oracle.flatten(beta[:2], np.zeros((1, 1)))).hessian
    kept = np.array([0, 1, 2, 3, 4, 5, 9])
    np.testing.assert_allclose(cov[np.ix_(kept, kept)], nonrobust(two), rtol=1e-9)
    assert np.isnan(cov[[6, 7, 8, 10]]).all()


@pytest.mark.parametrize("tiny", [0.0, 5e-324, 1e-310])
def test_information_that_has_all_but_vanished_does_not_overflow(tiny):
    inverse = information_inverse(np.diag([2.0, tiny, tiny]))
    assert inverse[0, 0] == pytest.approx(0.5)
    assert np.isnan(inverse[1:]).all()


def test_too_few_individuals_for_opg_is_nan_and_not_an_error():
    scores = np.random.default_rng(0).normal(size=(2, 3))
    assert np.isnan(by_name("opg", (-np.eye(3), scores, np.ones(2), np.ones(2)))).all()


def test_nothing_has_an_empty_covariance():
    assert information_inverse(np.zeros((0, 0))).shape == (0, 0)


# --- messages -------------------------------------------------------------------------------------


GIVEN = (-np.eye(2), np.ones((3, 2)), np.ones(3), np.ones(3))


@pytest.mark.parametrize(
    ("cov_type", "keywords", "message"),
    [
        ("HC1", {}, "cov_type='HC1' is not one of nonrobust, opg, robust, cluster, none."),
        (
            "robust",
            {"groups": [1, 2, 3]},
            "cov_type='robust' takes no keywords; it was given groups.",
        ),
        (
            "cluster",
            {},
            "cov_type='cluster' takes groups, one per individual; it was given nothing.",
        ),
        (
            "cluster",
            {"groups": [1, 2, 3], "df": 1},
            "cov_type='cluster' takes groups, one per individual; it was given df, groups.",
        ),
    ],
)
def test_wrong_names_are_refused(cov_type, keywords, message):
    with pytest.raises(ArgumentError) as error:
        by_name(cov_type, GIVEN, **keywords)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            [1, 2],
            "groups has 2 entries, but there are 3 individuals. Give one group per individual, in "
            "the order of result.posterior.",
        ),
        (
            ["a", None, np.nan],
            "groups is missing for 2 of 3 individuals; the first is number 1. Give every "
            "individual a group.",
        ),
        (
            ["a", "a", "a"],
            "groups has a single cluster; clustered errors need at least two, and many to be "
            "trusted.",
        ),
    ],
)
def test_groups_that_do_not_fit_are_refused(groups, message):
    with pytest.raises(ArgumentError) as error:
        cluster(*GIVEN, groups)
    assert str(error.value) == message


@pytest.mark.parametrize("cov_type", ["opg", "robust", "cluster"])
def test_scores_in_pieces_have_the_covariance_of_all_at_once(case, cov_type):
    _, (hessian, scores, weights, frequency) = arrays(case)
    groups = {"groups": np.arange(len(scores)) % 3} if cov_type == "cluster" else {}
    cuts = [0, 1, len(scores) // 2, len(scores)]
    pieces = [slice(a, b) for a, b in itertools.pairwise(cuts) if a < b]
    found = covariance(
        cov_type,
        lambda: hessian,
        lambda: ((piece, scores[piece]) for piece in pieces),
        weights,
        frequency,
        **groups,
    )
    whole = by_name(cov_type, (hessian, scores, weights, frequency), **groups)
    assert_close(found, whole, 1e-12)  # the same sums in another order


def test_no_covariance_is_a_nan_and_needs_nothing():
    def never():
        raise AssertionError

    found = covariance("none", never, never, np.ones(3), np.ones(3))
    assert np.isnan(np.broadcast_to(found, (5, 5))).all()
    with pytest.raises(ArgumentError, match="'none' takes no keywords"):
        covariance("none", never, never, np.ones(3), np.ones(3), groups=np.ones(3))
