"""The slow loops check themselves, and the zoo is what it says it is."""

from __future__ import annotations

import math

import numpy as np
import oracle
import patsy
import pytest
import zoo
from zoo import CASES, Case

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
classes = pytest.mark.parametrize("n_classes", [1, 2, 3])


def attribute_scale(case: Case) -> float:
    """Size of the attributes; steps in a taste are taken in its inverse."""
    return max(1.0, *(np.abs(x).max() for person in case.problem for x, _ in person.choices))


def example() -> tuple[list[oracle.Individual], np.ndarray, np.ndarray]:
    """One choice of two: probability 3/4 in class 1, 1/4 in class 2, equal shares."""
    x = np.array([[1.0], [0.0]])
    person = oracle.Individual(((x, np.array([1.0, 0.0])),), 1.0, 1.0, np.ones(1))
    return [person], np.array([[math.log(3)], [-math.log(3)]]), np.zeros((1, 1))


def test_two_alternatives_by_hand():
    problem, beta, gamma = example()
    assert oracle.log_likelihood(problem, beta, gamma) == pytest.approx(math.log(1 / 2))
    assert oracle.posterior(problem, beta, gamma) == pytest.approx(np.array([[3 / 4, 1 / 4]]))
    assert oracle.score(problem, beta, gamma) == pytest.approx(np.array([3, 3, -4]) / 16)
    expected = np.array([[-33, -9, -12], [-9, 15, 36], [-12, 36, -16]]) / 256
    assert oracle.hessian(problem, beta, gamma) == pytest.approx(expected)
    shares = oracle.choice_shares(problem[0].choices[0][0], beta, np.array([0.5, 0.5]))
    assert shares == pytest.approx(np.array([0.5, 0.5]))


def test_one_em_step_by_hand():
    problem, beta, gamma = example()
    x = problem[0].choices[0][0]
    problem.append(oracle.Individual(((x, np.array([0.0, 1.0])),), 1.0, 1.0, np.ones(1)))
    tastes, membership = oracle.em_step(problem, beta, gamma)  # posteriors 3/4, 1/4 and 1/4, 3/4
    assert tastes == pytest.approx(beta)
    assert membership == pytest.approx(gamma)


@every_case
@classes
def test_posterior_rows_sum_to_one(case: Case, n_classes: int):
    beta, gamma, _ = zoo.random_parameters(case, n_classes, seed=0)
    rows = oracle.posterior(case.problem, beta, gamma)
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-14)


@every_case
@classes
def test_score_is_the_difference_of_the_log_likelihood(case: Case, n_classes: int):
    beta, gamma, flat = zoo.random_parameters(case, n_classes, seed=1)
    scale = attribute_scale(case)
    differences = oracle.difference_gradient(
        lambda at: oracle.log_likelihood(case.problem, *oracle.unflatten(at, *beta.shape)),
        flat,
        step=3e-3 / scale,
    )
    score = oracle.score(case.problem, beta, gamma)
    np.testing.assert_allclose(score, differences, rtol=1e-7, atol=1e-7 * scale)


@every_case
@pytest.mark.parametrize("n_classes", [1, 2])
def test_hessian_is_the_difference_of_the_score(case: Case, n_classes: int):
    beta, gamma, flat = zoo.random_parameters(case, n_classes, seed=2)
    scale = attribute_scale(case)
    differences = oracle.difference_gradient(
        lambda at: oracle.score(case.problem, *oracle.unflatten(at, *beta.shape)),
        flat,
        step=3e-3 / scale,
    )
    hessian = oracle.hessian(case.problem, beta, gamma)
    np.testing.assert_allclose(hessian, differences, rtol=1e-6, atol=1e-6 * scale)


def test_hessian_is_the_second_difference_of_the_log_likelihood():
    case = zoo.case("shared table")
    beta, gamma, flat = zoo.random_parameters(case, 3, seed=3)
    differences = oracle.difference_hessian(
        lambda at: oracle.log_likelihood(case.problem, *oracle.unflatten(at, *beta.shape)), flat
    )
    hessian = oracle.hessian(case.problem, beta, gamma)
    np.testing.assert_allclose(hessian, differences, rtol=1e-6, atol=1e-6)


@every_case
def test_em_step_solves_the_m_step_and_raises_the_log_likelihood(case: Case):
    beta, gamma, _ = zoo.random_parameters(case, 2, seed=4)
    r = oracle.posterior(case.problem, beta, gamma)
    new_beta, new_gamma = oracle.em_step(case.problem, beta, gamma)
    total = np.zeros(new_beta.size + new_gamma.size)
    for person, row in zip(case.problem, r, strict=True):
        for k in range(2):
            complete = oracle.complete_score(person, k, new_beta, new_gamma)
            total += person.total_weight * row[k] * complete
    np.testing.assert_allclose(total, 0.0, atol=1e-10 * attribute_scale(case))
    before = oracle.log_likelihood(case.problem, beta, gamma)
    assert oracle.log_likelihood(case.problem, new_beta, new_gamma) > before


def test_a_frequency_stands_for_identical_individuals():
    case = zoo.case("counts")
    beta, gamma, _ = zoo.random_parameters(case, 2, seed=5)
    expanded = [
        oracle.Individual(person.choices, person.weight, 1.0, person.z)
        for person in case.problem
        for _ in range(int(person.frequency))
    ]
    for kind in ("nonrobust", "opg", "robust"):
        np.testing.assert_allclose(
            oracle.covariance(case.problem, beta, gamma, kind),
            oracle.covariance(expanded, beta, gamma, kind),
            rtol=1e-8,
        )


def test_clusters_of_one_individual_are_the_sandwich_times_g_over_g_minus_one():
    case = zoo.case("sampling weights")
    beta, gamma, _ = zoo.random_parameters(case, 2, seed=6)
    n = len(case.problem)
    np.testing.assert_allclose(
        oracle.covariance(case.problem, beta, gamma, "cluster", groups=range(n)),
        oracle.covariance(case.problem, beta, gamma, "robust") * n / (n - 1),
        rtol=1e-10,
    )


@every_case
def test_every_choice_of_the_frame_is_in_the_problem(case: Case):
    chosen = sum(p.frequency * sum(n.sum() for _, n in p.choices) for p in case.problem)
    response = case.formula.partition("~")[0].strip()
    assert chosen == (case.frame[response] if case.choices is None else case.choices["n"]).sum()
    assert 5 <= len(case.problem) <= 40


def test_membership_covariates_stand_in_the_order_of_patsy():
    case = zoo.case("membership")
    people = case.frame.drop_duplicates("person").sort_values("person")
    design = np.asarray(patsy.dmatrix(case.keywords["membership"], people))
    np.testing.assert_array_equal([person.z for person in case.problem], design)


def test_some_alternatives_are_never_drawn():
    for name in ("counts", "counts without alternative names", "market shares"):
        assert (zoo.case(name).frame["count"] == 0).any()
    assert any((n == 0).any() for p in zoo.case("shared table").problem for _, n in p.choices)


def test_huge_utilities_underflow():
    case = zoo.case("huge utilities")
    beta, gamma, _ = zoo.random_parameters(case, 2, seed=1)
    menus = [x for person in case.problem for x, _ in person.choices]
    assert any((np.exp(oracle.log_prob(x, beta[1])) == 0.0).any() for x in menus)
    assert math.isfinite(oracle.log_likelihood(case.problem, beta, gamma))
