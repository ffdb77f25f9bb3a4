"""Every kind of starting point: that it is one, and what it finds."""

from __future__ import annotations

import warnings

import numpy as np
import oracle
import pandas as pd
import pytest
import zoo
from conftest import electricity_model
from scipy.cluster.vq import kmeans2
from simulated import TASTES, likelihood_of, panel, truth

from mixlogit import MixedMultinomialLogit, candidates
from mixlogit.atoms import subspace
from mixlogit.candidates import (
    clusters,
    from_moments,
    in_subspace,
    noise,
    partitions,
)
from mixlogit.em import expectation_maximisation
from mixlogit.errors import OneChoiceWarning
from mixlogit.likelihood import MixtureLikelihood
from mixlogit.moments import latent_moments
from mixlogit.pooled import axes_of_one, pooled_ascent, pooled_logit


def moments_of(likelihood):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OneChoiceWarning)
        return latent_moments(likelihood.table, likelihood.weight, pooled_logit(likelihood))


KINDS = {"k-means": clusters, "partition": partitions, "noise": noise}
WITH_MOMENTS = {"moments": from_moments, "subspace": in_subspace}


def drawn(kind, likelihood, n, seed=0):
    rng = np.random.default_rng(seed)
    if kind in KINDS:
        return KINDS[kind](likelihood, axes_of_one(likelihood), pooled_logit(likelihood), n, rng)
    return WITH_MOMENTS[kind](likelihood, moments_of(likelihood), n, rng)


@pytest.mark.parametrize("kind", [*KINDS, *WITH_MOMENTS])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("case", zoo.CASES, ids=lambda case: case.name)
def test_candidates_of_every_kind_have_a_likelihood(case, n_classes, kind):
    likelihood = case.model(n_classes).likelihood()
    found = drawn(kind, likelihood, 3)
    n = len(found.beta)
    assert n <= 3 if kind == "moments" else n == 3
    assert found.beta.shape == (n, n_classes, case.n_attributes)
    assert found.gamma.shape == (n, n_classes - 1, case.n_covariates)
    for one in range(n):
        assert np.isfinite(likelihood.expect(found[[one]]).llf).all()
        prior = likelihood.prior(found[one])
        np.testing.assert_allclose(prior.sum(axis=1), 1.0, rtol=1e-12)
        assert prior.min() > 0.019 / n_classes  # nobody is left out at the start
        if kind != "moments":
            # equal shares, exact where the covariates span a constant, as they do in the zoo
            np.testing.assert_allclose(prior, 1 / n_classes, rtol=1e-9)


@pytest.mark.parametrize("kind", [*KINDS, *WITH_MOMENTS])
def test_the_same_generator_draws_the_same_and_another_does_not(kind):
    likelihood = likelihood_of(panel(0, n_people=100), 3)
    first, again, other = (drawn(kind, likelihood, 3, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.flat(), again.flat())
    assert not np.allclose(first.flat()[-1], other.flat()[-1], rtol=1e-3)


@pytest.mark.parametrize("kind", [*KINDS, *WITH_MOMENTS])
def test_no_candidates_can_be_asked_for(kind):
    likelihood = zoo.case("balanced panel").model(3).likelihood()
    assert drawn(kind, likelihood, 0).beta.shape == (0, 3, 3)


@pytest.mark.parametrize("case", zoo.CASES, ids=lambda case: case.name)
def test_the_pooled_logit_is_a_maximum(case):
    likelihood = case.model(3).likelihood()
    pooled = pooled_logit(likelihood)
    at = pooled[None], np.empty((0, case.n_covariates))
    score, information = oracle.score(case.problem, *at), -oracle.hessian(case.problem, *at)
    # where starts begin: what is left to gain is the square of a ten-millionth standard error
    assert score @ np.linalg.solve(information, score) < 2e-14


def test_the_pooled_logit_is_found_once_for_a_table_and_a_penalty():
    model = electricity_model(2)
    first = pooled_ascent(model.likelihood())
    assert pooled_ascent(model.likelihood(n_classes=4)) is first
    shrunk = pooled_ascent(model.likelihood(1000.0))
    assert shrunk is not first
    axes = axes_of_one(model.likelihood())
    spread, free = (np.linalg.norm(axes.coordinates(at.x)) for at in (shrunk, first))
    assert spread < 0.95 * free
    one, other = (pooled_ascent(likelihood_of(panel(seed), 2)).x for seed in (1, 2))
    assert (one != other).all()


def test_k_means_is_that_of_scipy():
    likelihood = electricity_model(4).likelihood()
    pooled = pooled_logit(likelihood)
    z = candidates._whitened_scores(likelihood, axes_of_one(likelihood), pooled)
    parts = candidates._k_means(
        likelihood, axes_of_one(likelihood), pooled, 3, np.random.default_rng(5)
    )
    rng = np.random.default_rng(5)
    for part in parts:
        centres = z[rng.choice(len(z), 4, replace=False)]
        _, expected = kmeans2(z, centres, iter=10, minit="matrix")
        np.testing.assert_array_equal(part, expected)


def test_k_means_on_scores_finds_people_of_a_kind():
    frame = panel(1)
    likelihood = likelihood_of(frame, 3)
    true = frame.groupby("person")["drawn"].first().to_numpy()
    found = drawn("k-means", likelihood, 5)
    purity = []
    for g in range(5):
        part = likelihood.posterior(found[g])[1].argmax(axis=1)
        # the share of people in the largest true class of their part
        purity.append(sum(np.bincount(true[part == k]).max() for k in np.unique(part)) / len(true))
    assert max(purity) > 0.85  # one in three by chance


@pytest.mark.parametrize("seed", range(4))
def test_atoms_of_the_moments_lie_within_reach_of_the_maximum(seed):
    likelihood = likelihood_of(panel(seed, n_people=1000), 3)
    best = expectation_maximisation(likelihood, truth(), maxiter=500, tol=1e-8)
    start = drawn("moments", likelihood, 1)
    run = expectation_maximisation(likelihood, start, maxiter=500, tol=1e-8)
    assert run.value[0] == pytest.approx(best.value[0], abs=1e-6)  # a few times tol
    pooled = likelihood.with_classes(1).evaluate(pooled_logit(likelihood)).value
    # before any step, most of the way from one class
    assert likelihood.expect(start).llf[0] > pooled + 0.7 * (best.value[0] - pooled)


def test_two_solvers_share_what_is_asked_of_the_moments():
    likelihood = likelihood_of(panel(0), 3)
    moments = moments_of(likelihood)  # ten choices
    four = from_moments(likelihood, moments, 4, np.random.default_rng(0))
    assert len(four.beta) == 4
    one = from_moments(likelihood, moments, 1, np.random.default_rng(0))
    np.testing.assert_array_equal(one.flat()[0], four.flat()[0])


@pytest.mark.parametrize(("n_situations", "n"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 3)])
def test_solvers_apply_where_people_choose_often_enough(n_situations, n):
    """The tensor solver needs moments of order 3, the projections of order 2 K − 1 = 5."""
    likelihood = likelihood_of(panel(0, n_people=60, n_situations=n_situations), 3)
    moments = moments_of(likelihood)
    if n_situations == 1:
        assert moments.order >= 5  # Hermite moments have another kind of order
        n = 3
    assert len(from_moments(likelihood, moments, 3, np.random.default_rng(0)).beta) == n


def test_the_tensor_solver_is_left_out_with_too_many_classes():
    """Five classes in three dimensions: four at most for the tensor; projections need order 9."""
    for n_situations, n in ((8, 0), (9, 2)):
        likelihood = likelihood_of(panel(0, n_people=60, n_situations=n_situations), 5)
        moments = moments_of(likelihood)
        assert len(from_moments(likelihood, moments, 2, np.random.default_rng(0)).beta) == n


def test_draws_in_the_subspace_have_its_span_and_spread():
    """Two classes more than dimensions would fill the space; two classes span a line."""
    likelihood = likelihood_of(panel(3, TASTES[["a", "b"]], n_people=600), 2)
    moments = moments_of(likelihood)
    found = in_subspace(likelihood, moments, 2000, np.random.default_rng(0))
    whitened = np.linalg.lstsq(
        moments.coordinates.unit,
        (found.beta.reshape(-1, 3) - moments.coordinates.base).T,
        rcond=None,
    )[0].T
    theta = whitened - moments.first
    space = subspace(moments, 1)
    value, vector = np.linalg.eigh(theta.T @ theta / len(theta))
    assert abs(vector[:, -1] @ space.basis[:, 0]) == pytest.approx(1, abs=1e-9)
    assert value[:-1].max() < 1e-12 * value[-1]  # one direction
    # a variance of 4000 normal draws has a relative standard error of 0.022
    assert value[-1] == pytest.approx(space.eigenvalues[0], rel=0.1)
    # the line is that through the two classes, to the precision of 600 people
    apart = np.linalg.lstsq(moments.coordinates.unit, np.array([2.0, -2.0, 0.0]), rcond=None)[0]
    assert abs(space.basis[:, 0] @ apart) / np.linalg.norm(apart) > 0.95


def test_noise_is_centred_at_the_logit_and_as_wide_in_any_unit():
    frame = panel(0, n_people=50)
    likelihood = likelihood_of(frame, 3)
    pooled = pooled_logit(likelihood)
    found = noise(likelihood, axes_of_one(likelihood), pooled, 4000, np.random.default_rng(0))
    z = axes_of_one(likelihood).coordinates(found.beta - pooled)  # (4000, 3, 3)
    width = np.sqrt((z**2).mean(axis=(1, 2)))
    # nine normal draws of one width, between 0.3 and 1: chi of 9 is 3 times 0.3 to 2 otherwise
    assert 0.05 < width.min() < 0.3 < 1.0 < width.max() < 2.2
    assert np.abs(z.mean(axis=(0, 1))).max() < 4 * z.std() / np.sqrt(z[..., 0].size)
    # log-uniform widths: the mean square is (1 - 0.09) / 2 / log(1 / 0.3)
    assert (z**2).mean() == pytest.approx((1 - 0.3**2) / (2 * np.log(1 / 0.3)), rel=0.05)
    metres = likelihood_of(frame.assign(x1=1000 * frame["x1"]), 3)
    scaled = noise(
        metres, axes_of_one(metres), pooled / [1000, 1, 1], 4000, np.random.default_rng(0)
    )
    np.testing.assert_allclose(scaled.beta * [1000, 1, 1], found.beta, rtol=1e-9, atol=1e-12)


def test_random_parts_that_are_everybody_have_the_pooled_logit():
    """With one class, the one part is all individuals, and Newton has arrived."""
    likelihood = likelihood_of(panel(0, n_people=50), 1)
    pooled = pooled_logit(likelihood)
    for kind in (partitions, clusters):
        found = kind(likelihood, axes_of_one(likelihood), pooled, 2, np.random.default_rng(0))
        np.testing.assert_allclose(found.beta, np.tile(pooled, (2, 1, 1)), rtol=1e-9)


def test_weights_count_in_candidates_as_copies_do():
    frame = panel(4, n_people=80)
    again = frame.assign(person=frame["person"] + 1000, situation=frame["situation"] + 10**6)
    once, twice = likelihood_of(frame, 2), likelihood_of(pd.concat([frame, again]), 2)
    np.testing.assert_allclose(pooled_logit(once), pooled_logit(twice), rtol=1e-9)
    double = MixtureLikelihood(once.table, 2)
    double.weight = 2 * once.weight
    pooled = pooled_logit(once)
    for kind in KINDS.values():
        plain = kind(once, axes_of_one(once), pooled, 2, np.random.default_rng(0))
        heavy = kind(double, axes_of_one(once), pooled, 2, np.random.default_rng(0))
        # a ridge of 1e-6 on scaled information makes the steps depend on nothing but the weights
        np.testing.assert_allclose(heavy.beta, plain.beta, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", zoo.CASES, ids=lambda case: case.name)
def test_parts_of_wide_tables_rise_above_the_pooled_logit(case, monkeypatch):
    likelihood = case.model(2).likelihood()
    pooled = pooled_logit(likelihood)
    parts = np.random.default_rng(4).integers(2, size=(3, likelihood.data.n_distinct))
    monkeypatch.setattr(candidates, "_WIDE", 0)
    found = candidates._logits_of_parts(
        likelihood, axes_of_one(likelihood), pooled, parts, 2
    )  # (3, 2, L)
    each = likelihood.table.log_likelihoods(np.vstack([pooled, found.reshape(6, -1)]))  # (7, N)
    for g in range(3):
        for k in range(2):
            own = (parts[g] == k) * likelihood.weight
            before, after = each[0] @ own, each[1 + 2 * g + k] @ own
            assert after >= before - 1e-10 * abs(before)


def test_one_logit_takes_few_steps_however_many_choices():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((300, 2)), columns=["a", "b"])
    prob = np.exp(frame.to_numpy() @ [0.9, -0.7])
    frame["count"] = np.round(1e9 * prob / prob.sum()).astype(int)  # errors of about 3e-5
    model = MixedMultinomialLogit.from_formula("count ~ a + b", frame, 1)
    likelihood = model.likelihood()
    points = []
    evaluate = likelihood.evaluate
    likelihood.evaluate = lambda x: points.append(x) or evaluate(x)
    found = pooled_logit(likelihood)
    np.testing.assert_allclose(found, [0.9, -0.7], atol=1e-6)  # counts are rounded
    assert len(points) < 10  # Newton's own steps, not a growing region of ten standard errors
