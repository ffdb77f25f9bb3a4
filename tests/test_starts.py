"""The search for starts: which candidates there are, the race, samples, and what it finds."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import zoo
from conftest import electricity_model, fitted, swissmetro_model
from simulated import likelihood_of, model_of, panel, truth

from mixlogit import MixedMultinomialLogit, starts
from mixlogit.candidates import clusters, noise
from mixlogit.em import Climb, NewtonStep, WideStep, expectation_maximisation
from mixlogit.errors import ArgumentError, ConvergenceWarning, OneChoiceWarning
from mixlogit.likelihood import Parameters
from mixlogit.pooled import axes_of_one, pooled_logit
from mixlogit.race import SAME_OPTIMUM, race
from mixlogit.starts import search

EM_AND_TOL = 1e-5  # of two runs that end with gaps below 1e-6


def found_by(likelihood, seed=0, init="auto", n_starts=None, **keywords):
    keywords = {"maxiter": 1000, "tol": 1e-6} | keywords
    rng = np.random.default_rng(seed)
    return search(likelihood, init=init, n_starts=n_starts, rng=rng, **keywords)


def top_of(likelihood, parameters):
    return expectation_maximisation(likelihood, parameters, maxiter=1000, tol=1e-8).value[0]


# -- the race --------------------------------------------------------------------------------------


def test_a_race_returns_the_best_first_and_names_them():
    likelihood = likelihood_of(panel(2), 3)
    rng = np.random.default_rng(0)
    pooled = pooled_logit(likelihood)
    drawn = Parameters.stack(
        [
            noise(likelihood, axes_of_one(likelihood), pooled, 5, rng),
            clusters(likelihood, axes_of_one(likelihood), pooled, 3, rng),
        ]
    )
    climb = Climb(likelihood, NewtonStep(), axes_of_one(likelihood), 500, 1e-8)
    heat = race(climb, drawn, ((3, 4), (3, 2)))
    assert len(heat.run.value) == len(heat.index) == 2
    assert heat.run.value[0] >= heat.run.value[1]
    alone = expectation_maximisation(likelihood, drawn[heat.index], maxiter=500, tol=1e-8)
    assert heat.run.value[0] == pytest.approx(alone.value[0], abs=1e-6)  # a few times tol
    assert heat.run.converged[0]
    # 8 for 3 iterations, 4 for 3, and 2 to the end
    assert heat.n_iterations == 24 + 12 + (heat.run.n_iter - 6).sum()


def test_the_best_after_each_lap_go_on():
    likelihood = swissmetro_model(3).likelihood()
    drawn = noise(
        likelihood, axes_of_one(likelihood), pooled_logit(likelihood), 6, np.random.default_rng(0)
    )
    climb = Climb(
        likelihood, NewtonStep(), axes_of_one(likelihood), 0, 1e-8
    )  # nothing after the laps
    heat = race(climb, drawn, ((2, 4), (3, 2)))
    first = climb.some(drawn, 2)
    best = np.argsort(-first.value)[:4]
    second = climb.some(first.parameters[best], 3)
    expected = best[np.argsort(-second.value)[:2]]
    np.testing.assert_array_equal(heat.index, expected)
    np.testing.assert_array_equal(heat.run.n_iter, 5)


def test_a_lap_that_all_survive_is_not_run():
    likelihood = likelihood_of(panel(2), 3)
    drawn = noise(
        likelihood, axes_of_one(likelihood), pooled_logit(likelihood), 2, np.random.default_rng(0)
    )
    seen = []
    climb = Climb(
        likelihood,
        NewtonStep(),
        axes_of_one(likelihood),
        1,
        1e-8,
        lambda *state: seen.append(state),
    )
    heat = race(climb, drawn, ((7, 2), (3, 4)))
    assert len(seen) == 1
    assert heat.n_iterations == 2


def test_runs_below_the_floor_are_given_up():
    likelihood = likelihood_of(panel(2), 3)
    best = top_of(likelihood, truth())
    drawn = noise(
        likelihood, axes_of_one(likelihood), pooled_logit(likelihood), 3, np.random.default_rng(0)
    )
    climb = Climb(likelihood, NewtonStep(), axes_of_one(likelihood), 500, 1e-8)
    run = climb.to_the_end(drawn, floor=best + 100.0)
    assert not run.converged.any()
    assert run.value.max() < best + 1e-6


# -- the pool --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_starts", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("init", starts.INITS)
def test_as_many_candidates_are_tried_as_are_asked_for(init, n_starts):
    likelihood = likelihood_of(panel(0, n_people=100), 3)
    found = found_by(likelihood, init=init, n_starts=n_starts)
    assert found.n_candidates == n_starts
    assert len(found.origin) == len(found.run.value) >= 1
    assert (np.diff(found.run.value) <= 0).all()  # best first
    assert found.run.converged[0]
    kinds = {
        "auto": {"moments", "k-means", "subspace", "partition", "split-merge"},
        "moments": {"moments"},
        "subspace": {"subspace"},
        "random": {"partition", "noise"},
    }
    assert set(found.origin) <= kinds[init]
    assert found.n_candidate_iterations >= found.run.n_iter.sum()


def test_eight_candidates_are_the_default():
    likelihood = likelihood_of(panel(0, n_people=100), 3)
    assert found_by(likelihood).n_candidates == 8


def test_clusters_stand_in_for_moments_that_there_are_not():
    """Two choices by each person: no third moments."""
    likelihood = likelihood_of(panel(0, n_people=100, n_situations=2), 3)
    found = found_by(likelihood)
    assert found.n_candidates == 8
    assert found.moments is None
    assert "moments" not in found.origin


def test_random_starts_are_partitions_and_noise_alone():
    result = electricity_model(3).fit(init="random", n_starts=6)
    assert set(result.starts["origin"]) <= {"partition", "noise"}
    assert result.mle_retvals["n_candidates"] == 6


def test_one_class_is_the_pooled_logit():
    likelihood = likelihood_of(panel(0), 1)
    found = found_by(likelihood)
    assert found.origin == ("pooled",)
    assert found.n_candidates == 1
    np.testing.assert_allclose(found.run.parameters.beta[0, 0], pooled_logit(likelihood), rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_one_start_from_the_moments_reaches_the_maximum(seed):
    frame = panel(seed, n_people=1000)
    best = top_of(likelihood_of(frame, 3), truth())
    result = model_of(frame, 3).fit(init="moments", n_starts=1, rng=seed)
    assert result.converged
    assert result.llf == pytest.approx(best, abs=EM_AND_TOL)
    assert list(result.starts["origin"]) == ["moments"]


def test_the_estimate_by_moments_is_kept():
    likelihood = likelihood_of(panel(1, n_people=1000), 3)
    found = found_by(likelihood)
    apart = np.abs(found.moments.beta[:, None] - truth().beta[0]).max(axis=-1)  # (3, 3)
    assert sorted(apart.argmin(axis=1)) == [0, 1, 2]
    # scores are linear in small tastes; two utils bend them, but less than to the next class
    assert apart.min(axis=1).max() < 1.0


def test_moments_need_three_choices():
    model = model_of(panel(0, n_people=60, n_situations=2), 3)
    with pytest.raises(ArgumentError) as caught:
        model.fit(init="moments")
    assert str(caught.value) == (
        "init='moments' needs three choices or more by most individuals, or one table of "
        "alternatives with counts. Use init='auto', or pass individual= if people chose repeatedly."
    )


def test_one_table_with_counts_has_moments():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 3))
    tastes = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    share = np.exp(x @ tastes.T)
    n = rng.multinomial(40_000, (share / share.sum(axis=0)).mean(axis=1))
    frame = pd.DataFrame(x, columns=["x1", "x2", "x3"]).assign(n=n)
    model = MixedMultinomialLogit.from_formula("n ~ x1 + x2 + x3", frame, 2)
    result = model.fit(init="moments")
    assert set(result.starts["origin"]) == {"moments"}
    assert result.llf == pytest.approx(model.fit(init="random").llf, abs=EM_AND_TOL)


def test_fewer_distinct_individuals_than_classes_can_be_fitted():
    table = pd.DataFrame({"x1": [0.0, 1.0, 2.0], "n": [4, 0, 3]})
    model = MixedMultinomialLogit.from_formula("n ~ x1", table, 3)
    with pytest.warns(ConvergenceWarning):
        result = model.fit()
    assert np.isfinite(result.llf)


def test_finalists_that_agree_end_the_search():
    likelihood = likelihood_of(panel(1, n_people=500), 3)
    found = found_by(likelihood)
    agree = found.run.value.max() - found.run.value < SAME_OPTIMUM
    assert agree.sum() > 2
    assert "split-merge" not in found.origin


# -- what is found ---------------------------------------------------------------------------------


@pytest.mark.parametrize("init", starts.INITS)
def test_the_same_seed_gives_the_same_bits(init):
    likelihood = likelihood_of(panel(3, n_people=100), 3)
    first, again = (found_by(likelihood, seed=7, init=init) for _ in range(2))
    np.testing.assert_array_equal(first.run.parameters.flat(), again.run.parameters.flat())
    np.testing.assert_array_equal(first.run.value, again.run.value)
    assert first.origin == again.origin
    assert first.n_candidate_iterations == again.n_candidate_iterations


@pytest.mark.parametrize("case", zoo.CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_default_fit_of_every_layout_beats_one_class(case, n_classes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # small data: some classes vanish
        warnings.simplefilter("ignore", OneChoiceWarning)  # of the cross-sections
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


def test_wide_tables_take_cheaper_steps_to_the_same_optimum(monkeypatch):
    likelihood = electricity_model(2).likelihood()
    pooled = pooled_logit(likelihood)
    assert isinstance(starts.choose_m_step(likelihood, pooled), NewtonStep)
    monkeypatch.setattr(starts, "_WIDE", 6)
    assert starts.choose_m_step(likelihood, pooled) == NewtonStep(refresh=5)
    assert electricity_model(2).fit().llf == pytest.approx(fitted("electricity", 2).llf, abs=1e-8)
    monkeypatch.setattr(starts, "_VERY_WIDE", 6)
    wide = starts.choose_m_step(likelihood, pooled)
    assert isinstance(wide, WideStep)
    assert wide.newton == NewtonStep(refresh=15)
    m_step = wide.whitened
    # with one class, a step of size one is Newton's: to the maximum, from near it
    one = likelihood.with_classes(1)
    near = Parameters(pooled[None, None] * 1.001, np.zeros((1, 0, 1)))
    at = one.expect(near)
    newton = NewtonStep().step(one, at)
    np.testing.assert_allclose(m_step.step(one, at), newton, rtol=0.01)  # of another point
    for room in (0, 1 << 30):  # for the information of no stack, and of any
        monkeypatch.setattr(starts, "_ROOM", room)
        llf = electricity_model(2).fit().llf
        assert llf == pytest.approx(fitted("electricity", 2).llf, abs=1e-8)


def test_the_information_of_a_stack_is_held_where_there_is_room(monkeypatch):
    likelihood = electricity_model(2).likelihood()
    monkeypatch.setattr(starts, "_VERY_WIDE", 6)
    monkeypatch.setattr(starts, "_WIDE", 6)
    monkeypatch.setattr(starts, "_ROOM", 0)
    wide = starts.choose_m_step(likelihood, pooled_logit(likelihood))
    n_fit = int(likelihood.data.exog.nbytes / (4 * 2 * 6 * 6 * 8))  # four copies of (G, 2, 6, 6)
    assert wide.for_stack(np.zeros((n_fit, 2, 6))) is wide.newton
    assert wide.for_stack(np.zeros((n_fit + 1, 2, 6))) is wide.whitened


# -- growing samples -------------------------------------------------------------------------------


@pytest.fixture
def small_samples(monkeypatch):
    monkeypatch.setattr(starts, "_SAMPLE", 150)
    monkeypatch.setattr(starts, "_SAMPLE_PER_PARAMETER", 1)


def test_samples_grow_threefold_and_end_with_everybody(small_samples):
    likelihood = likelihood_of(panel(0, n_people=2400, n_situations=3), 3)
    climb = Climb(likelihood, NewtonStep(), axes_of_one(likelihood), 500, 1e-6)
    climbs = starts._growing(climb, np.random.default_rng(0))
    assert [one.likelihood.data.n_distinct for one in climbs] == [150, 450, 2400]
    assert climbs[-1] is climb
    assert [one.maxiter for one in climbs] == [50, 50, 500]  # classes of a sample may diverge
    few = likelihood_of(panel(0, n_people=449, n_situations=3), 3)
    assert (
        len(
            starts._growing(
                Climb(few, NewtonStep(), axes_of_one(few), 500, 1e-6), np.random.default_rng(0)
            )
        )
        == 1
    )


def test_a_sample_has_people_for_every_parameter(monkeypatch):
    monkeypatch.setattr(starts, "_SAMPLE", 10)
    likelihood = likelihood_of(panel(0, n_people=2000, n_situations=3), 3)  # 11 parameters
    climb = Climb(likelihood, NewtonStep(), axes_of_one(likelihood), 500, 1e-6)
    climbs = starts._growing(climb, np.random.default_rng(0))
    assert [one.likelihood.data.n_distinct for one in climbs] == [275, 2000]


@pytest.mark.parametrize("seed", range(3))
def test_the_search_by_samples_ends_at_the_same_optimum(small_samples, seed):
    frame = panel(seed, n_people=1500)
    model = model_of(frame, 3)
    best = top_of(likelihood_of(frame, 3), truth())
    result = model.fit(rng=seed)
    assert result.converged
    assert result.llf == pytest.approx(best, abs=EM_AND_TOL)
    again = model.fit(rng=seed)
    np.testing.assert_array_equal(result.params.to_numpy(), again.params.to_numpy())
    assert len(result.starts) <= 4
    assert result.mle_retvals["n_candidates"] == 8


def test_iterations_on_a_sample_count_in_proportion(small_samples):
    likelihood = likelihood_of(panel(0, n_people=2400), 3)
    found = found_by(likelihood, n_starts=8)
    # eight candidates of three to five classes run 8 iterations or more on 150 people; then four
    # at most on 450 and on 2400: far less than 8 candidates would on all
    assert len(found.run.value) <= 4
    assert found.n_candidate_iterations < 8 * 8
    assert found.n_candidate_iterations >= 1


@pytest.mark.parametrize(("same", "rounds"), [(0.0, [(450, 4)]), (np.inf, [])])
def test_optima_that_differ_are_improved_on_the_second_sample(
    small_samples, monkeypatch, same, rounds
):
    seen = []

    def improve(climb, best, rng, n_rounds):
        seen.append((climb.likelihood.data.n_distinct, n_rounds))
        return [], 0

    monkeypatch.setattr(starts, "improve", improve)
    monkeypatch.setattr(starts, "SAME_OPTIMUM", same)
    found_by(likelihood_of(panel(0, n_people=2400, n_situations=3), 3))
    assert seen == rounds


def test_a_sample_that_does_not_identify_the_tastes_is_passed_over(small_samples):
    frame = panel(0, n_people=1500, n_situations=3)
    frame["x3"] = np.where(frame["person"] == 7, frame["x3"], 0.0)  # varies for one person
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # x3 is not identified in each class
        result = model_of(frame, 2).fit(penalty=0.1)
    assert np.isfinite(result.llf)


def test_other_kinds_of_starts_are_run_on_everybody(small_samples):
    likelihood = likelihood_of(panel(0, n_people=1500), 3)
    seen = []
    found_by(
        likelihood,
        init="random",
        n_starts=2,
        callback=lambda iteration, value, mass, here: seen.append(mass.sum(axis=-1)),
    )
    np.testing.assert_allclose(np.concatenate(seen), 1500, rtol=1e-12)


# -- what is reported ------------------------------------------------------------------------------


def test_the_table_of_starts_names_what_leads_to_the_best():
    likelihood = swissmetro_model(4).likelihood()
    found = found_by(likelihood, seed=3, init="random", n_starts=8)
    number = np.arange(len(found.run.value)) % 3 - 1  # none, the best, the second
    # Newton goes a little further
    table = found.table(likelihood, found.run.value[1] + 0.002, number)
    columns = ["llf", "em_iterations", "origin", "finished", "is_best", "optimum"]
    assert list(table.columns) == columns
    assert table.index.name == "start"
    assert table["llf"].iloc[1] == found.run.value[1] + 0.002
    np.testing.assert_array_equal(table["is_best"], number == 0)
    np.testing.assert_array_equal(table["optimum"].isna(), number < 0)
    np.testing.assert_array_equal(table["optimum"].dropna(), 1 + number[number >= 0])
    np.testing.assert_array_equal(table["finished"], found.run.converged)


def test_the_table_of_starts_is_without_the_penalty():
    result = model_of(panel(0, n_people=100), 3).fit(penalty=5.0)
    # the first is the fit, but for the penalty of where EM handed over
    assert result.starts["llf"].iloc[0] == pytest.approx(result.llf, abs=0.05)
