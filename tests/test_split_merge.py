"""Rounds that split classes and take others away."""

from __future__ import annotations

import numpy as np
import oracle
import pandas as pd
import pytest
import zoo
from conftest import electricity_model
from simulated import TASTES, likelihood_of, panel, truth

from mixlogit import split_merge
from mixlogit.em import Climb, NewtonStep, expectation_maximisation
from mixlogit.likelihood import Parameters
from mixlogit.optima import Optimum
from mixlogit.pooled import axes_of_one, pooled_logit
from mixlogit.split_merge import improve, shrink


def climb_of(likelihood, maxiter=500, tol=1e-8):
    return Climb(likelihood, NewtonStep(), axes_of_one(likelihood), maxiter, tol)


def single(beta, gamma=None):
    """A stack of one mixture; equal shares if None."""
    beta = np.asarray(beta, dtype=float)
    return Parameters(beta[None], np.zeros((1, len(beta) - 1, 1)) if gamma is None else gamma[None])


# -- rounds ----------------------------------------------------------------------------------------


def stuck_and_best(seed=5):
    """A local maximum with one class too many and one too few, and the maximum it misses."""
    likelihood = likelihood_of(panel(seed), 3)
    b = TASTES.to_numpy().T
    wrong = single([b[0] + 0.05, b[0] - 0.05, (b[1] + b[2]) / 2])
    stuck = expectation_maximisation(likelihood, wrong, maxiter=15, tol=1e-12)
    best = expectation_maximisation(likelihood, truth(), maxiter=500, tol=1e-8)
    return likelihood, stuck, best


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_split_and_remove_leaves_a_local_maximum(seed):
    likelihood, stuck, best = stuck_and_best(seed)
    assert stuck.value[0] < best.value[0] - 50
    finished, n_iterations = improve(climb_of(likelihood), stuck, np.random.default_rng(0))
    found = max(run.value.max(initial=-np.inf) for run in finished)
    assert found == pytest.approx(best.value[0], abs=1e-6)  # a few times tol
    assert n_iterations > sum(run.n_iter.sum() for run in finished)


def test_a_maximum_that_cannot_be_improved_costs_one_round():
    likelihood, _, best = stuck_and_best()
    finished, _ = improve(climb_of(likelihood), best, np.random.default_rng(0))
    assert len(finished) == 1
    assert finished[0].value.max(initial=-np.inf) < best.value[0] + 1e-6


def test_two_classes_leave_nothing_to_split_and_remove():
    likelihood = likelihood_of(panel(5), 2)
    run = expectation_maximisation(likelihood, truth(TASTES[["a", "b"]]), maxiter=5, tol=1e-8)
    assert improve(climb_of(likelihood), run, np.random.default_rng(0)) == ([], 0)


def test_rounds_have_an_end(monkeypatch):
    likelihood, stuck, _ = stuck_and_best()
    monkeypatch.setattr(split_merge, "_MAX_ROUNDS", 1)
    assert len(improve(climb_of(likelihood), stuck, np.random.default_rng(0))[0]) == 1


def test_many_classes_are_split_along_two_directions_and_shaken(monkeypatch):
    """Six classes and more: three moves from an optimum that none of them leaves."""
    likelihood, _, best = stuck_and_best()
    monkeypatch.setattr(split_merge, "_MANY_CLASSES", 3)
    finished, _ = improve(climb_of(likelihood), best, np.random.default_rng(0))
    assert len(finished) >= 3
    assert max(run.value.max(initial=-np.inf) for run in finished) < best.value[0] + 1e-6


@pytest.mark.parametrize(
    ("explored", "n_sources", "expected"),
    [
        ([], 1, 3),  # the best
        ([10.0], 1, None),
        ([9.999], 1, None),  # within the tolerance of one optimum
        ([10.0], 2, 0),  # 9.999 is the same optimum
        ([10.0, 5.0], 2, None),
        ([10.0, 5.0], 3, 2),
        ([7.0], 1, 3),
        ([10.0, 5.0, 4.0], 9, None),
    ],
)
def test_rounds_begin_from_the_best_optima_that_are_new(explored, n_sources, expected):
    value = np.array([5.0, 9.999, 4.0, 10.0])
    assert split_merge._next_source(value, explored, n_sources) == expected


# -- splits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_direction_of_a_split_is_that_of_the_latent_variance(seed):
    """Scores of covariance J + J S J, of information J and tastes of covariance S = v v' + w w'."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(4, 4))
    information = root @ root.T  # mean of an individual
    white = np.linalg.inv(np.linalg.cholesky(information)).T  # columns of unit information
    v, w = 2.0 * white[:, 2], 0.7 * white[:, 0]
    spread = np.outer(v, v) + np.outer(w, w)
    outer = information + information @ spread @ information
    n = 37.0
    for rank, expected in enumerate((v, w)):
        found = split_merge._heterogeneity(n * information, n * outer, n, rank)
        np.testing.assert_allclose(
            found * np.sign(found @ expected), expected, rtol=1e-8, atol=1e-12
        )


def test_a_class_without_weight_or_information_is_split_nowhere():
    flat = np.zeros(2)
    information = np.diag([1.0, 0.0])
    split = split_merge._heterogeneity
    np.testing.assert_array_equal(split(information, information, 0.0, 0), flat)
    np.testing.assert_array_equal(split(information, information, 1.0, 1), flat)  # one direction
    assert np.abs(split(information, information, 1.0, 0)[0]) > 0


def halves(split):
    """Half of what lies between the parts of the class that was split."""
    return 0.5 * (split.beta[0, -1] - split.beta[0, 0])


def test_excess_variance_of_scores_is_the_variance_of_tastes():
    """A class of which half has taste −d and half +d along one attribute, for small d."""
    d = 0.4
    mixed = pd.DataFrame({"low": [-d, 0.0, 0.0], "high": [d, 0.0, 0.0]}, index=TASTES.index)
    likelihood = likelihood_of(panel(3, mixed, n_people=4000), 1)
    split = split_merge.splits(likelihood, single(pooled_logit(likelihood)[None])[0], 0)
    direction = halves(split)
    assert abs(direction[0]) == pytest.approx(d, rel=0.1)  # the approximation is for small d
    assert np.abs(direction[1:]).max() < 0.1
    homogeneous = pd.DataFrame({"all": [0.5, 0.5, 0.0]}, index=TASTES.index)
    likelihood = likelihood_of(panel(4, homogeneous, n_people=4000), 1)
    split = split_merge.splits(likelihood, single(pooled_logit(likelihood)[None])[0], 0)
    assert np.linalg.norm(halves(split)) < np.linalg.norm(direction) / 3


def test_a_mixed_class_is_split_into_what_it_mixes():
    likelihood = likelihood_of(panel(5), 3)
    b = TASTES.to_numpy().T
    wrong = single([b[0] + 0.05, b[0] - 0.05, (b[1] + b[2]) / 2])[0]
    splits = split_merge.splits(likelihood, wrong, 0)
    assert splits.beta.shape == (3, 4, 3)  # each class in turn
    apart = splits.beta[2, 3] - splits.beta[2, 2]
    between = b[1] - b[2]
    assert abs(apart @ between) / np.linalg.norm(apart) / np.linalg.norm(between) > 0.9
    for k in range(3):
        others = [c for c in range(3) if c != k]
        np.testing.assert_array_equal(splits.beta[k, others], wrong.beta[others])


@pytest.mark.parametrize("name", ["ragged panel", "sampling weights", "membership", "counts"])
def test_splits_agree_with_the_loop(name):
    case = zoo.case(name)
    beta, gamma, _ = zoo.random_parameters(case, 2, seed=1)
    likelihood = case.model(2).likelihood()
    found = split_merge.splits(likelihood, Parameters(beta, gamma), 0)
    for k in range(2):
        mass, information, outer = 0.0, 0.0, 0.0
        for person in case.problem:
            weight = person.total_weight * oracle.posterior_of(person, beta, gamma)[k]
            score = oracle.taste_score(person, beta[k])
            mass += weight
            information = information - weight * oracle.taste_hessian(person, beta[k])
            outer = outer + weight * np.outer(score, score)
        direction = split_merge._heterogeneity(information, outer, mass, 0)
        # no part moves by more than one standard deviation of utility
        spread = np.sqrt(direction @ likelihood.data.exog_covariance @ direction)
        direction /= max(spread, 1.0)
        half = 0.5 * (found.beta[k, 2] - found.beta[k, k])
        assert half @ direction != 0
        np.testing.assert_allclose(half * np.sign(half @ direction), direction, rtol=1e-9)


# -- removals --------------------------------------------------------------------------------------


def test_classes_that_are_missed_least_are_taken_away_first():
    likelihood = likelihood_of(panel(5), 4)
    b = TASTES.to_numpy().T
    split = [single([*b, b[0] + 0.1]), single([*b, b[1] - 0.5]), single([*b, [3.0, 3.0, 3.0]])]
    run = expectation_maximisation(likelihood, Parameters.stack(split), maxiter=0, tol=0.0)
    found = split_merge._removals(likelihood, run)
    fewer = likelihood.with_classes(3)
    expected = []
    for mixture in split:  # every way to take one away, by evaluating it; the better two of four
        ways = [mixture.without(k) for k in range(4)]
        values = [fewer.expect(way).llf[0] for way in ways]
        expected += [(values[k], ways[k].beta[0]) for k in np.argsort(values)[-2:]]
    expected.sort(key=lambda pair: -pair[0])
    np.testing.assert_array_equal(found.beta, [beta for _, beta in expected])


def test_shrinking_leaves_the_classes_that_are_there():
    likelihood = likelihood_of(panel(5), 3)
    best = expectation_maximisation(likelihood, truth(), maxiter=500, tol=1e-8)
    b = TASTES.to_numpy().T
    spare = Parameters.stack(
        [
            single([*b, b[0] + 0.3, b[1] - 0.3]),
            single([[1.0, 0.0, 0.0], [-1.0, 0.5, 1.0], *b]),
        ]
    )
    run, work = shrink(climb_of(likelihood), spare, 5, 3)
    assert run.parameters.beta.shape == (2, 3, 3)
    end = expectation_maximisation(likelihood, run.parameters, maxiter=500, tol=1e-8)
    np.testing.assert_allclose(end.value, best.value[0], rtol=0, atol=1e-6)  # a few times tol
    # two mixtures: 5 iterations of five classes, 3 of four, 3 of three; in units of three
    assert work == pytest.approx(2 * (5 * 5 + 3 * 4 + 3 * 3) / 3, rel=1e-12)


# -- optima that are known -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def optimum():
    likelihood = likelihood_of(panel(5), 3)
    best = expectation_maximisation(likelihood, truth(), maxiter=500, tol=1e-8)
    return Optimum(likelihood, best.parameters[0], best.value[0])


def test_proposals_that_return_to_a_known_optimum_leave_the_race(optimum):
    likelihood, stuck, best = stuck_and_best()
    both = Parameters.stack([best.parameters, stuck.parameters, truth()])
    climb = climb_of(likelihood)
    run, n_iterations = split_merge._contest(climb, both, (4, 10), [optimum], -np.inf)
    assert len(run.value) == 1
    # 4 iterations of three mixtures, 10 of the one that is left, and those to the end
    assert n_iterations == 12 + 10 + run.n_iter.sum()


def test_moves_stay_finite_where_classes_have_little_information():
    """Eight classes of 361 people: some have directions of hardly any information."""
    likelihood = electricity_model(8).likelihood()
    rng = np.random.default_rng(0)
    beta = pooled_logit(likelihood) + rng.normal(size=(1, 8, 6)) / likelihood.data.exog_scale
    run = expectation_maximisation(
        likelihood, Parameters(beta, np.zeros((1, 7, 1))), maxiter=30, tol=1e-8
    )
    one = Optimum(likelihood, run.parameters[0], run.value[0])
    for proposals, n_classes in (
        (split_merge.splits(likelihood, run.parameters[0], 0), 9),
        (split_merge.splits(likelihood, run.parameters[0], 1), 9),
        (one.shaken(4, axes_of_one(likelihood), rng), 8),
    ):
        assert np.isfinite(likelihood.with_classes(n_classes).expect(proposals).llf).all()
