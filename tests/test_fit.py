"""The arguments of fit, and fits that do not end at a maximum."""

from __future__ import annotations

import numpy as np
import pytest
import zoo
from conftest import electricity_model, fitted, swissmetro_model

from mixlogit import MixedMultinomialLogit, datasets, starts
from mixlogit.errors import ArgumentError, ConvergenceWarning, NumericalError, OneChoiceWarning

SURVEY = datasets.load("electricity").data
IDS = {"situation": "situation", "individual": "person", "alternative": "alt"}


@pytest.mark.parametrize("method", ["em-newton", "em", "newton"])
def test_every_method_ends_at_the_same_optimum(method):
    result = electricity_model(2).fit(method=method)
    best = fitted("electricity", 2)
    # EM alone stops when extrapolation promises less than tol = 1e-8
    assert result.llf == pytest.approx(best.llf, abs=1e-7)
    assert result.mle_settings["optimizer"] == method
    assert result.converged == (method != "em")
    assert result.certificate().status == ("em" if method == "em" else "converged")


def test_a_restart_from_a_result_stays_there(electricity):
    for start in (electricity, electricity.params, electricity.params.to_numpy()):
        again = electricity.model.fit(start)
        assert again.llf == pytest.approx(electricity.llf, abs=1e-9)
        np.testing.assert_allclose(again.params, electricity.params, rtol=1e-7)
        assert list(again.starts["origin"]) == ["start_params"]


@pytest.mark.parametrize("rng", [1, 2, 3, np.random.default_rng(4)])
def test_other_seeds_reach_the_same_optimum(rng, electricity):
    result = electricity.model.fit(rng=rng)
    assert result.llf == pytest.approx(electricity.llf, abs=1e-8)


def test_more_classes_fit_no_worse():
    llf = [fitted("electricity", n_classes).llf for n_classes in (1, 2, 3, 4)]
    assert (np.diff(llf) > 0).all()


def watched(model, **keywords):
    """A fit, and what its callback saw."""
    states = []
    return model.fit(callback=states.append, **keywords), states


def check_states(states, result, n_classes):
    assert [s.iteration for s in states] == list(range(1, len(states) + 1))
    llf = np.array([s.llf for s in states])
    assert (llf[1:] >= llf[:-1]).all()  # from −inf on, until there is a mixture on all of the data
    # the search ends in its best, and an evaluation adds in another order
    assert llf[-1] == pytest.approx(result.llf, rel=1e-12)
    for state in states:
        assert state.shares.shape == (n_classes,)
        if np.isfinite(state.llf):
            assert state.shares.sum() == pytest.approx(1, abs=1e-12)
        else:
            assert np.isnan(state.shares).all()


@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_callback_sees_a_search_that_never_falls(n_classes):
    result, states = watched(electricity_model(n_classes))
    check_states(states, result, n_classes)
    # the logit with one class is found before the mixture is, and Newton has nothing to add
    assert {s.phase for s in states} == ({"em", "newton"} if n_classes > 1 else {"em"})


@pytest.mark.parametrize("init", ["moments", "subspace", "random"])
def test_callback_sees_other_kinds_of_starts_too(init):
    result, states = watched(electricity_model(2), init=init, n_starts=4)
    check_states(states, result, 2)
    assert np.isfinite(states[0].llf)  # no classes to spare


def test_callback_sees_only_mixtures_on_all_of_the_data(monkeypatch):
    monkeypatch.setattr(starts, "_SAMPLE", 80)
    monkeypatch.setattr(starts, "_SAMPLE_PER_PARAMETER", 1)
    result, states = watched(electricity_model(2))
    check_states(states, result, 2)
    # log-likelihoods of 80 people of 361 are far above those of all
    assert max(s.llf for s in states) == pytest.approx(result.llf, rel=1e-12)
    assert result.llf == pytest.approx(fitted("electricity", 2).llf, abs=1e-8)


def test_a_start_that_is_alone_hands_over_to_newton_sooner():
    model = electricity_model(5)

    def left(**keywords):
        """What the log-likelihood still gains after EM."""
        fit, states = watched(model, init="random", rng=1, **keywords)
        return fit.llf - max(state.llf for state in states if state.phase == "em")

    assert 1e-3 < left(n_starts=1) < 1.0
    assert left(n_starts=2) < 1e-3


def test_callback_sees_a_fit_from_a_start(electricity):
    states = []
    again = electricity.model.fit(electricity, callback=states.append)
    check_states(states, again, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"init": "kmeans"}, "init='kmeans' is not one of auto, moments, subspace, random"),
        ({"method": "bfgs"}, "method='bfgs' is not one of em-newton, em, newton"),
        ({"n_starts": 0}, "n_starts=0 must be a whole number of at least 1"),
        ({"maxiter": 0}, "maxiter=0 must be a whole number of at least 1"),
        ({"maxiter": 1.5}, "maxiter=1.5 must be a whole number"),
        ({"tol": 0.0}, "tol=0.0 must be positive"),
        ({"tol": float("nan")}, "tol=nan must be positive"),
        ({"penalty": -1.0}, "penalty=-1.0 must be finite and at least 0"),
        ({"start_params": [1.0, 2.0]}, r"shape \(2,\), but the model has 13: class1.pf"),
        ({"start_params": [np.nan] * 13}, "'class1.pf' is not finite"),
        ({"start_params": [1e308] * 13}, "log-likelihood at start_params is nan"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        electricity_model(2).fit(**arguments)


def test_a_perfect_predictor_is_named_and_has_no_standard_error():
    data = SURVEY.assign(magic=SURVEY["choice"] * (SURVEY["person"] % 3 == 0))
    model = MixedMultinomialLogit.from_formula("choice ~ pf + cl + magic", data, 2, **IDS)
    with pytest.warns(ConvergenceWarning, match=r"diverge: class[12]\.magic .* class[12]\.magic"):
        result = model.fit()
    assert not result.converged
    assert result.certificate().status == "separation"
    has_error = result.bse.notna()
    assert list(result.bse.index[~has_error]) == ["class1.magic", "class2.magic"]
    text = result.summary().as_text()
    assert "no: separation" in text
    assert "Not a certified maximum. Coefficients diverge" in text
    assert np.isfinite(result.llf)


def test_a_penalty_is_the_remedy_for_separation():
    data = SURVEY.assign(magic=SURVEY["choice"] * (SURVEY["person"] % 3 == 0))
    model = MixedMultinomialLogit.from_formula("choice ~ pf + cl + magic", data, 2, **IDS)
    result = model.fit(penalty=1.0)
    assert result.converged
    assert result.bse.notna().all()
    assert "ridge penalty of 1" in result.summary().as_text()
    flat = result.params.to_numpy()
    pull = flat[:6].reshape(2, 3) @ model.choices.exog_covariance
    score = model.score(flat)[:6] - pull.ravel()
    assert np.abs(score).max() < 1e-8


def test_too_few_iterations_are_reported():
    with pytest.warns(ConvergenceWarning, match="iterations ran out"):
        result = swissmetro_model(2).fit(np.linspace(-0.1, 0.1, 9), method="newton", maxiter=1)
    assert result.certificate().status == "maxiter"
    assert "no: maxiter" in result.summary().as_text()


def one_choice_model():
    first = SURVEY.groupby("person").head(4)
    return MixedMultinomialLogit.from_formula("choice ~ pf + cl + loc", first, 2, **IDS)


def test_one_choice_per_person_is_fitted_with_a_warning_and_in_the_notes():
    with pytest.warns(OneChoiceWarning) as caught:
        result = one_choice_model().fit(penalty=0.1)
    assert [one.category for one in caught] == [OneChoiceWarning]  # once
    assert str(caught[0].message).startswith("361 individuals of 361 chose only once")
    text = result.summary().as_text()
    assert "1 / 1.0 / 1" in text
    assert "weakly identified" in text


@pytest.mark.parametrize("name", ["cross-section", "market shares"])
def test_one_choice_from_a_set_of_its_own_warns_once(name):
    with pytest.warns(OneChoiceWarning) as caught:
        zoo.case(name).model(2).fit(penalty=1.0)
    assert sum(one.category is OneChoiceWarning for one in caught) == 1


def test_one_choice_per_person_without_moments_does_not_warn():
    """Random starts and given ones ask nothing of moments; pytest makes warnings errors."""
    model = one_choice_model()
    result = model.fit(penalty=0.1, init="random", n_starts=2)
    model.fit(result, penalty=0.1)


def test_the_estimate_by_moments_is_a_start():
    result = electricity_model(2).fit(init="moments", n_starts=1)
    assert list(result.moment_params.index) == list(result.params.index)
    again = result.model.fit(result.moment_params)
    assert again.llf == pytest.approx(result.llf, abs=1e-8)  # one start, the same one
    assert again.moment_params is None
    assert electricity_model(2).fit(init="random", n_starts=2).moment_params is None


def test_one_class_and_one_attribute():
    model = MixedMultinomialLogit.from_formula("choice ~ pf", SURVEY, 1, **IDS)
    result = model.fit()
    assert result.converged
    assert list(result.params.index) == ["class1.pf"]
    assert float(result.class_shares.iloc[0]) == 1.0
    assert (result.class_share_table()["std err"] == 0).all()
    np.testing.assert_array_equal(result.posterior, 1.0)
    assert result.llf == pytest.approx(result.ll_mnl, rel=1e-13)


def test_no_exception_of_numpy_leaves_a_fit(monkeypatch):
    def broken(*args, **keywords):
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    monkeypatch.setattr("mixlogit.estimation.search", broken)
    with pytest.raises(NumericalError, match=r"round-off: Eigenvalues.* Centre and rescale"):
        electricity_model(2).fit()
