"""The arguments of fit, and fits that do not end at a maximum."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import electricity_model, fitted, swissmetro_model

from mixlogit import MixedMultinomialLogit, datasets
from mixlogit.errors import ArgumentError, ConvergenceWarning

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


def test_callback_sees_a_search_that_never_falls():
    states = []
    result = electricity_model(2).fit(callback=states.append)
    assert [s.iteration for s in states] == list(range(1, len(states) + 1))
    assert (np.diff([s.llf for s in states]) >= 0).all()
    assert states[-1].llf == pytest.approx(result.llf, rel=1e-12)
    assert {s.phase for s in states} == {"em", "newton"}
    for state in states:
        assert state.shares.sum() == pytest.approx(1, abs=1e-12)


def test_disp_shows_a_progress_line(capsys):
    electricity_model(2).fit(n_starts=2, disp=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "llf -4526.8290" in shown.err.split("\r")[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"init": "kmeans"}, "init='kmeans' is not one of auto, random"),
        ({"method": "bfgs"}, "method='bfgs' is not one of em-newton, em, newton"),
        ({"n_starts": 0}, "n_starts=0 must be at least 1"),
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
    with pytest.warns(ConvergenceWarning, match=r"diverge: class1\.magic .* class2\.magic"):
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
    spread = np.tile(model.choices.exog_scale, 2)
    score = model.score(flat)[:6] - spread**2 * flat[:6]
    assert np.abs(score).max() < 1e-8


def test_too_few_iterations_are_reported():
    with pytest.warns(ConvergenceWarning, match="iterations ran out"):
        result = swissmetro_model(2).fit(np.linspace(-0.1, 0.1, 9), method="newton", maxiter=1)
    assert result.certificate().status == "maxiter"
    assert "no: maxiter" in result.summary().as_text()


def test_one_choice_per_person_is_fitted_with_a_warning_in_the_notes():
    first = SURVEY.groupby("person").head(4)
    model = MixedMultinomialLogit.from_formula("choice ~ pf + cl + loc", first, 2, **IDS)
    text = model.fit(penalty=0.1).summary().as_text()
    assert "1 / 1.0 / 1" in text
    assert "weakly identified" in text


def test_one_class_and_one_attribute():
    model = MixedMultinomialLogit.from_formula("choice ~ pf", SURVEY, 1, **IDS)
    result = model.fit()
    assert result.converged
    assert list(result.params.index) == ["class1.pf"]
    assert float(result.class_shares.iloc[0]) == 1.0
    assert (result.class_share_table()["std err"] == 0).all()
    np.testing.assert_array_equal(result.posterior, 1.0)
    assert result.llf == pytest.approx(result.ll_mnl, rel=1e-13)
