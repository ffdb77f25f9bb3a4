"""The search for starts: kinds of candidates, the race, split and merge."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import zoo
from conftest import electricity_model, swissmetro_model

from mixlogit import MixedMultinomialLogit, simulate_choices
from mixlogit.em import expectation_maximisation
from mixlogit.errors import ConvergenceWarning
from mixlogit.likelihood import Parameters
from mixlogit.race import race
from mixlogit.split_merge import _heterogeneity, _proposals, improve
from mixlogit.starts import _clusters, candidates, pooled_logit

TASTES = pd.DataFrame(
    {"a": [2.0, 0.0, 0.0], "b": [0.0, 2.0, 0.0], "c": [0.0, 0.0, -2.0]}, index=["x1", "x2", "x3"]
)


def panel(seed: int, tastes: pd.DataFrame = TASTES, n_people: int = 300) -> pd.DataFrame:
    """A panel of 10 situations with 3 alternatives; column ``drawn`` holds the true class."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.standard_normal((n_people * 30, 3)), columns=list(TASTES.index))
    frame["situation"] = np.arange(len(frame)) // 3
    frame["person"] = np.arange(len(frame)) // 30
    return simulate_choices(
        frame, tastes, situation="situation", individual="person", class_name="drawn", rng=rng
    )


def likelihood_of(frame: pd.DataFrame, n_classes: int):
    model = MixedMultinomialLogit.from_formula(
        "choice ~ x1 + x2 + x3", frame, n_classes, situation="situation", individual="person"
    )
    return model.likelihood()


def truth(tastes: pd.DataFrame) -> Parameters:
    n_classes = tastes.shape[1]
    return Parameters(tastes.to_numpy().T, np.zeros((n_classes - 1, 1)))


@pytest.mark.parametrize("n_starts", [1, 2, 3, 7, 16])
def test_candidates_are_of_every_kind_and_have_a_likelihood(n_starts):
    likelihood = likelihood_of(panel(0), 3)
    pooled = pooled_logit(likelihood)
    drawn, origin = candidates(likelihood, pooled, "auto", n_starts, np.random.default_rng(0))
    assert drawn.beta.shape == (n_starts, 3, 3)
    assert drawn.gamma.shape == (n_starts, 2, 1)
    assert len(origin) == n_starts
    assert np.isfinite(likelihood.expect(drawn).llf).all()
    if n_starts >= 7:
        assert set(origin) == {"partition", "k-means", "noise"}


def test_random_starts_are_partitions_and_noise_alone():
    result = electricity_model(3).fit(init="random", n_starts=6)
    assert set(result.starts["origin"]) <= {"partition", "noise"}
    assert result.mle_retvals["n_candidates"] == 6


def test_k_means_on_scores_finds_people_of_a_kind():
    frame = panel(1)
    likelihood = likelihood_of(frame, 3)
    parts = _clusters(likelihood, pooled_logit(likelihood), 5, np.random.default_rng(0))
    drawn = frame.groupby("person")["drawn"].first().to_numpy()
    # the share of people in the largest true class of their part
    purity = [
        sum(np.bincount(drawn[part == k]).max() for k in np.unique(part)) / len(drawn)
        for part in parts
    ]
    assert max(purity) > 0.85  # one in three by chance


def test_fewer_distinct_individuals_than_classes_can_be_fitted():
    table = pd.DataFrame({"x1": [0.0, 1.0, 2.0], "n": [4, 0, 3]})
    model = MixedMultinomialLogit.from_formula("n ~ x1", table, 3)
    with pytest.warns(ConvergenceWarning):
        result = model.fit()
    assert np.isfinite(result.llf)


def test_a_race_returns_the_best_first_and_names_them():
    likelihood = likelihood_of(panel(2), 3)
    rng = np.random.default_rng(0)
    drawn, _ = candidates(likelihood, pooled_logit(likelihood), "auto", 8, rng)
    heat = race(likelihood, drawn, ((3, 4), (3, 2)), maxiter=500, tol=1e-8)
    assert len(heat.run.value) == len(heat.index) == 2
    assert heat.run.value[0] >= heat.run.value[1]
    alone = expectation_maximisation(likelihood, drawn[heat.index], maxiter=500, tol=1e-8)
    np.testing.assert_allclose(heat.run.value, alone.value, rtol=0, atol=1e-6)
    # 8 for 3 iterations, 4 for 3, and 2 to the end
    assert heat.n_iterations == 24 + 12 + (heat.run.n_iter - 6).sum()


def test_excess_variance_of_scores_is_the_variance_of_tastes():
    """A class of which half has taste −d and half +d along one attribute, for small d."""
    d = 0.4
    mixed = pd.DataFrame({"low": [-d, 0.0, 0.0], "high": [d, 0.0, 0.0]}, index=TASTES.index)
    likelihood = likelihood_of(panel(3, mixed, n_people=4000), 1)
    pooled = Parameters(pooled_logit(likelihood)[None], np.zeros((0, 1)))
    posterior = np.ones((4000, 1))
    _, excess, direction = _heterogeneity(likelihood, pooled, posterior, np.array([4000.0]))
    assert abs(direction[0, 0]) == pytest.approx(d, rel=0.1)  # the approximation is for small d
    assert np.abs(direction[0, 1:]).max() < 0.1
    homogeneous = pd.DataFrame({"all": [0.5, 0.5, 0.0]}, index=TASTES.index)
    likelihood = likelihood_of(panel(4, homogeneous, n_people=4000), 1)
    pooled = Parameters(pooled_logit(likelihood)[None], np.zeros((0, 1)))
    assert _heterogeneity(likelihood, pooled, posterior, np.array([4000.0]))[1][0] < excess[0] / 3


def test_the_first_proposal_merges_what_overlaps_and_splits_what_is_mixed():
    likelihood = likelihood_of(panel(5), 3)
    b = TASTES.to_numpy().T
    wrong = np.array([b[0] + 0.05, b[0] - 0.05, (b[1] + b[2]) / 2])  # one too many, one too few
    proposal = _proposals(likelihood, Parameters(wrong, np.zeros((2, 1))))[0]
    np.testing.assert_allclose(proposal.beta[0], b[0], atol=0.06)
    split = proposal.beta[1] - proposal.beta[2]
    between = b[1] - b[2]
    cosine = abs(split @ between) / np.linalg.norm(split) / np.linalg.norm(between)
    assert cosine > 0.9


def test_split_and_merge_leaves_a_local_maximum():
    likelihood = likelihood_of(panel(5), 3)
    b = TASTES.to_numpy().T
    wrong = np.array([[b[0] + 0.05, b[0] - 0.05, (b[1] + b[2]) / 2]])
    stuck = expectation_maximisation(
        likelihood, Parameters(wrong, np.zeros((1, 2, 1))), maxiter=15, tol=1e-12
    )
    start = truth(TASTES)
    best = expectation_maximisation(
        likelihood, Parameters(start.beta[None], start.gamma[None]), maxiter=500, tol=1e-8
    )
    assert stuck.value[0] < best.value[0] - 50
    finished, n_iterations = improve(likelihood, stuck, maxiter=500, tol=1e-8)
    assert max(run.value[0] for run in finished) == pytest.approx(best.value[0], abs=1e-6)
    assert n_iterations > 0


def test_two_classes_leave_nothing_to_split_and_merge():
    likelihood = likelihood_of(panel(5), 2)
    start = Parameters(TASTES.to_numpy().T[None, :2], np.zeros((1, 1, 1)))
    run = expectation_maximisation(likelihood, start, maxiter=5, tol=1e-8)
    assert improve(likelihood, run, maxiter=5, tol=1e-8) == ([], 0)


@pytest.mark.parametrize("case", zoo.CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_default_fit_of_every_layout_beats_one_class(case, n_classes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # small data: some classes vanish
        result = case.model(n_classes).fit()
    assert result.llf >= result.ll_mnl - 1e-6
    result.summary().as_text()


@pytest.mark.parametrize(
    ("model", "n_classes", "seed", "best"),
    [
        (electricity_model, 3, 14, -4298.0275),
        (electricity_model, 6, 0, -3950.5742),
        (swissmetro_model, 3, 14, -3979.0030),
        (swissmetro_model, 4, 8, -3793.7173),
        (swissmetro_model, 5, 1, -3699.6482),
    ],
)
def test_hard_surveys_reach_the_best_known_optimum(model, n_classes, seed, best):
    # the best known log-likelihoods, to their printed digits
    assert model(n_classes).fit(rng=seed).llf > best - 1e-3
