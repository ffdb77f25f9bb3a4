"""What a fit returns: inference, criteria, predictions, summary, storage."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ELECTRICITY, electricity_model, fitted
from scipy import stats
from statsmodels.iolib.smpickle import load_pickle
from statsmodels.iolib.summary2 import summary_col

from mixlogit import MixedMultinomialLogit, datasets
from mixlogit.__main__ import main
from mixlogit.errors import ArgumentError
from mixlogit.postestimation import delta_errors, share_columns

SURVEY = datasets.load("electricity").data


# -- estimates ---------------------------------------------------------------------------------


def test_params_are_named_by_class_and_attribute(electricity):
    names = list(electricity.params.index)
    assert names[:7] == [
        *(f"class1.{name}" for name in ("pf", "cl", "loc", "wk", "tod", "seas")),
        "class2.pf",
    ]
    assert names[-2:] == ["class2._membership.Intercept", "class3._membership.Intercept"]
    table = electricity.class_params
    assert table.shape == (6, 3)
    assert table.loc["tod", "class3"] == electricity.params["class3.tod"]


def test_classes_are_ordered_by_share_largest_first(electricity):
    shares = electricity.class_shares.to_numpy()
    assert (np.diff(shares) < 0).all()
    assert shares.sum() == pytest.approx(1, abs=1e-13)


def test_shares_equal_the_mean_posterior_at_the_maximum(electricity):
    # the first-order condition of the membership logits
    np.testing.assert_allclose(
        electricity.posterior.mean(), electricity.class_shares, rtol=0, atol=1e-10
    )


def test_share_errors_are_the_delta_method_by_differences(electricity):
    model = electricity.model
    likelihood = model.likelihood()
    flat = electricity.params.to_numpy()

    def shares(gate):
        full = np.append(flat[:-2], gate)
        return likelihood.prior(likelihood.unpack(full)).mean(axis=0)

    step = 1e-5
    slope = np.column_stack(
        [
            (shares(flat[-2:] + step * e) - shares(flat[-2:] - step * e)) / (2 * step)
            for e in np.eye(2)
        ]
    )
    cov = electricity.cov_params().to_numpy()[-2:, -2:]
    expected = np.sqrt(np.diag(slope @ cov @ slope.T))
    np.testing.assert_allclose(electricity.class_share_table()["std err"], expected, rtol=1e-7)


def test_errors_of_steep_functions_do_not_overflow():
    covariance = np.array([[4.0, 1.0], [1.0, 9.0]])
    gradient = np.array([[1.0, -2.0], [1e200, -2e200], [0.0, 0.0], [1e-200, -2e-200]])
    expected = np.sqrt(4.0 - 4.0 + 36.0) * np.array([1.0, 1e200, 0.0, 1e-200])
    np.testing.assert_allclose(delta_errors(gradient, covariance), expected, rtol=1e-15)


def test_share_intervals_of_huge_errors_hold_all_shares():
    columns = share_columns(np.array([1e-9, 0.5]), np.array([1.0, 1e3]), 0.05)
    np.testing.assert_array_equal(columns["[0.025"], 0.0)
    np.testing.assert_array_equal(columns["0.975]"], 1.0)


def test_share_intervals_are_symmetric_in_the_log_odds(electricity):
    table = electricity.class_share_table(alpha=0.1)
    assert list(table.columns) == ["share", "std err", "[0.05", "0.95]"]
    share, error = table["share"], table["std err"]
    centre = np.log(share / (1 - share))
    reach = stats.norm.ppf(0.95) * error / (share * (1 - share))
    np.testing.assert_allclose(
        np.log(table["0.95]"] / (1 - table["0.95]"])), centre + reach, rtol=1e-12
    )
    np.testing.assert_allclose(
        np.log(table["[0.05"] / (1 - table["[0.05"])), centre - reach, rtol=1e-12
    )


def test_posterior_has_a_row_per_individual(electricity):
    posterior = electricity.posterior
    assert list(posterior.index) == sorted(SURVEY["person"].unique())
    np.testing.assert_allclose(posterior.sum(axis=1), 1, rtol=0, atol=1e-13)
    again = electricity.model.posterior(electricity.params)  # from log-likelihoods alone
    np.testing.assert_allclose(posterior, again, rtol=0, atol=1e-12)


# -- fit measures ------------------------------------------------------------------------------


def test_log_likelihoods_of_reference_models(electricity):
    assert electricity.llnull == pytest.approx(-4308 * np.log(4), rel=1e-13)
    assert electricity.ll_mnl == pytest.approx(fitted("electricity", 1).llf, rel=1e-12)
    llf, null = electricity.llf, electricity.llnull
    assert electricity.prsquared == pytest.approx(1 - llf / null, rel=1e-14)
    assert electricity.prsquared_adj == pytest.approx(1 - (llf - 20) / null, rel=1e-14)


def test_equal_shares_with_ragged_choice_sets(swissmetro):
    sizes = swissmetro.model.choices.arrangement.sizes
    assert set(sizes) == {2, 3}
    assert swissmetro.llnull == pytest.approx(-np.log(sizes).sum(), rel=1e-13)


def test_criteria_count_individuals(electricity):
    assert electricity.nobs == 361
    assert electricity.df_model == 20
    deviance, log_n = -2 * electricity.llf, np.log(361)
    r = electricity.posterior.to_numpy()
    entropy = -sum(p * np.log(p) for row in r for p in row if p > 0)
    expected = {
        "aic": deviance + 40,
        "bic": deviance + 20 * log_n,
        "caic": deviance + 20 * (log_n + 1),
        "sabic": deviance + 20 * np.log((361 + 2) / 24),
        "hqic": deviance + 40 * np.log(log_n),
        "icl": deviance + 20 * log_n + 2 * entropy,
        "entropy_r2": 1 - entropy / (361 * np.log(3)),
    }
    for name, value in expected.items():
        assert getattr(electricity, name) == pytest.approx(value, rel=1e-12)


def test_entropy_r2_does_not_exist_with_one_class():
    result = fitted("electricity", 1)
    assert np.isnan(result.entropy_r2)
    assert "one class" in result.summary().as_text()


def test_starts_are_recorded_with_how_many_agree(electricity):
    starts = electricity.starts
    columns = ["llf", "em_iterations", "origin", "finished", "is_best", "optimum"]
    assert list(starts.columns) == columns
    assert starts["llf"].iloc[0] == electricity.llf
    assert (starts["llf"] <= electricity.llf).all()
    certificate = electricity.certificate()
    # those that gave up on the way to the best have found it too
    is_finished = starts["finished"] | starts["is_best"]
    assert certificate.n_finished == int(is_finished.sum())
    assert certificate.n_agree == int(starts["is_best"].sum()) > 1


# -- inference ---------------------------------------------------------------------------------


def test_intervals_and_tests_follow_from_estimates_and_errors(electricity):
    b, s = electricity.params, electricity.bse
    np.testing.assert_allclose(electricity.tvalues, b / s, rtol=1e-14)
    np.testing.assert_allclose(electricity.pvalues, 2 * stats.norm.sf(abs(b / s)), rtol=1e-12)
    interval = electricity.conf_int(alpha=0.1)
    np.testing.assert_allclose(interval[0], b - stats.norm.ppf(0.95) * s, rtol=1e-12)
    np.testing.assert_allclose(interval[1], b + stats.norm.ppf(0.95) * s, rtol=1e-12)


def test_t_test_reads_the_names_of_the_parameters(electricity):
    test = electricity.t_test("class1.pf = class2.pf")
    cov = electricity.cov_params()
    pair = ["class1.pf", "class2.pf"]
    contrast = np.array([1, -1])
    error = np.sqrt(contrast @ cov.loc[pair, pair].to_numpy() @ contrast)
    difference = electricity.params["class1.pf"] - electricity.params["class2.pf"]
    assert float(np.squeeze(test.effect)) == pytest.approx(difference, rel=1e-12)
    assert float(np.squeeze(test.sd)) == pytest.approx(error, rel=1e-12)


def test_t_test_reads_names_of_membership_and_of_alternative_constants(swissmetro):
    gate = swissmetro.t_test("class2._membership.Intercept = 0")
    name = "class2._membership.Intercept"
    assert float(np.squeeze(gate.tvalue)) == pytest.approx(swissmetro.tvalues[name], rel=1e-12)
    constant = "class1.C(alternative, Treatment('sm'))[T.car]"
    test = swissmetro.t_test(f"{constant} = 0")
    assert float(np.squeeze(test.tvalue)) == pytest.approx(swissmetro.tvalues[constant], rel=1e-12)


def test_wald_test_of_a_joint_hypothesis(electricity):
    test = electricity.wald_test("class1.tod = class2.tod, class1.seas = class2.seas", scalar=True)
    names = list(electricity.params.index)
    matrix = np.zeros((2, 20))
    for row, attribute in enumerate(["tod", "seas"]):
        matrix[row, names.index(f"class1.{attribute}")] = 1
        matrix[row, names.index(f"class2.{attribute}")] = -1
    value = matrix @ electricity.params.to_numpy()
    cov = matrix @ electricity.cov_params().to_numpy() @ matrix.T
    statistic = value @ np.linalg.solve(cov, value)
    assert test.statistic == pytest.approx(statistic, rel=1e-10)
    assert test.pvalue == pytest.approx(stats.chi2.sf(statistic, 2), rel=1e-10)


def test_with_cov_changes_errors_and_nothing_else(electricity):
    robust = electricity.with_cov("robust")
    assert robust.cov_type == "robust"
    assert electricity.cov_type == "nonrobust"
    pd.testing.assert_series_equal(robust.params, electricity.params)
    assert (robust.bse != electricity.bse).all()
    assert "robust" in robust.summary().as_text()


def test_a_fit_with_a_covariance_equals_with_cov(electricity):
    groups = np.arange(361) % 40
    direct = electricity.model.fit(electricity, cov_type="cluster", cov_kwds={"groups": groups})
    later = electricity.with_cov("cluster", groups=groups)
    # the restart takes no step, or one at round-off
    np.testing.assert_allclose(direct.bse, later.bse, rtol=1e-8)


def test_unknown_covariances_are_refused_by_name(electricity):
    with pytest.raises(ArgumentError, match="cov_type='HC1' is not one of nonrobust, opg"):
        electricity.with_cov("HC1")
    with pytest.raises(ArgumentError, match="takes groups, one per individual"):
        electricity.with_cov("cluster")
    with pytest.raises(ArgumentError, match="17,232 values, but there are 361 individuals"):
        electricity.with_cov("cluster", groups=SURVEY["person"].to_numpy())


# -- prediction --------------------------------------------------------------------------------


def test_predictions_are_mixtures_of_logits(electricity):
    rows = SURVEY[SURVEY["situation"] == SURVEY["situation"].iloc[0]]
    x = rows[["pf", "cl", "loc", "wk", "tod", "seas"]].to_numpy(dtype=float)
    utility = x @ electricity.class_params.to_numpy()
    by_class = np.exp(utility) / np.exp(utility).sum(axis=0)
    mixed = by_class @ electricity.class_shares.to_numpy()
    index = rows.index
    np.testing.assert_allclose(electricity.predict(which="linear").loc[index], utility, rtol=1e-12)
    np.testing.assert_allclose(
        electricity.predict(which="class_prob").loc[index], by_class, rtol=1e-12
    )
    np.testing.assert_allclose(electricity.predict().loc[index], mixed, rtol=1e-12)


def test_predictions_follow_the_rows_of_the_table(electricity):
    shuffled = SURVEY.sample(frac=1, random_state=1)
    predicted = electricity.predict(shuffled)
    assert predicted.index.equals(shuffled.index)
    np.testing.assert_allclose(
        predicted.sort_index(), electricity.predict().sort_index(), rtol=1e-12
    )


def test_new_data_need_no_choices_and_no_individuals(electricity):
    new = SURVEY.head(8).drop(columns=["choice", "person"])
    np.testing.assert_allclose(
        electricity.predict(new), electricity.predict(SURVEY).head(8), rtol=1e-13
    )


def test_probabilities_add_up_to_one_within_situations(swissmetro):
    data = datasets.load("swissmetro").data.query("purpose in (1, 3)")
    total = swissmetro.predict().groupby(data["situation"]).sum()
    np.testing.assert_allclose(total, 1, rtol=0, atol=1e-12)


def membership_fit():
    data = datasets.load("swissmetro").data.query("purpose in (1, 3)")
    model = MixedMultinomialLogit.from_formula(
        "choice ~ C(alternative) + I(travel_time / 100) + I(cost_paid / 100)",
        data,
        n_classes=2,
        situation="situation",
        individual="person",
        alternative="alternative",
        membership="C(male) + age",
    )
    return model.fit(n_starts=4), data


def test_covariates_shift_predictions_between_individuals():
    result, data = membership_fit()
    z = np.column_stack([np.ones(len(data)), data["male"] == 1, data["age"]]).astype(float)
    gamma = result.params.filter(like="_membership").to_numpy()
    assert list(result.params.filter(like="_membership").index) == [
        "class2._membership.Intercept",
        "class2._membership.C(male)[T.1]",
        "class2._membership.age",
    ]
    second = 1 / (1 + np.exp(-z @ gamma))
    by_class = result.predict(which="class_prob")
    expected = (1 - second) * by_class["class1"] + second * by_class["class2"]
    np.testing.assert_allclose(result.predict(), expected, rtol=1e-11)
    new = data.drop(columns="choice").sample(frac=0.5, random_state=0)
    whole = data[data["situation"].isin(new["situation"])]
    np.testing.assert_allclose(result.predict(whole), expected.loc[whole.index], rtol=1e-11)
    assert result.class_shares["class2"] == pytest.approx(
        1 - result.class_shares["class1"], abs=1e-12
    )
    assert "Membership (base: class 1)" in result.summary().as_text()


def test_predict_refuses_what_it_does_not_know(electricity):
    with pytest.raises(ArgumentError, match="which='mean' is not one of prob, class_prob, linear"):
        electricity.predict(which="mean")
    with pytest.raises(ArgumentError, match="new data bring their ids as columns"):
        electricity.predict(SURVEY, situation=SURVEY["situation"])
    with pytest.raises(ArgumentError, match="situation go with new data"):
        electricity.predict(situation=SURVEY["situation"])


def test_models_from_arrays_predict_from_arrays(electricity):
    attributes = SURVEY[["pf", "cl", "loc", "wk", "tod", "seas"]]
    model = MixedMultinomialLogit(
        SURVEY["choice"],
        attributes.to_numpy(),
        n_classes=3,
        situation=SURVEY["situation"],
        individual=SURVEY["person"],
        alternative=SURVEY["alt"],
    )
    result = model.fit(electricity.params.to_numpy())
    assert result.llf == pytest.approx(electricity.llf, rel=1e-13)
    assert list(result.class_params.index) == ["x1", "x2", "x3", "x4", "x5", "x6"]
    predicted = result.predict(attributes.to_numpy(), situation=SURVEY["situation"])
    np.testing.assert_allclose(predicted, electricity.predict(SURVEY), rtol=1e-8)
    with pytest.raises(ArgumentError, match="New arrays do not come with person"):
        result.predict(attributes.to_numpy(), person=SURVEY["person"])
    np.testing.assert_array_equal(model.information(result.params), -model.hessian(result.params))


# -- summary -----------------------------------------------------------------------------------


def test_summary_shows_what_a_referee_asks_for(electricity):
    text = electricity.summary().as_text()
    for piece in [
        "Class 1 (share 0.394, std err 0.035)",
        "Class 3 (share 0.291, std err 0.027)",
        "-4298.0275",
        "-4958.6491",
        "-5972.1561",
        "361",
        "4308",
        "17232",
        "8 / 11.9 / 12",
        "N in BIC and CAIC is the number of individuals, 361.",
        "Membership (base: class 1)",
    ]:
        assert piece in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_errors_are_robust_by_default_with_sampling_weights():
    weighted = SURVEY.assign(w=1 + (SURVEY["person"] % 2))
    model = MixedMultinomialLogit.from_formula(
        "choice ~ pf + cl", weighted, 1, situation="situation", individual="person", weights="w"
    )
    result = model.fit()
    assert result.cov_type == "robust"
    text = " ".join(str(result.summary()).split())
    # 542 is 361 and 181 odd ones
    assert f"Sampling weights (w) are divided by their mean, {542 / 361:.6g}: they sum to" in text
    assert "with individuals as the units, the default with sampling weights." in text
    for kind in ("nonrobust", "opg"):
        text = " ".join(str(result.with_cov(kind).summary()).split())
        assert f"Errors of the kind {kind} do not hold with sampling weights" in text
    explicit = model.fit(cov_type="nonrobust")
    assert explicit.cov_type == "nonrobust"
    pd.testing.assert_series_equal(explicit.bse, result.with_cov("nonrobust").bse)


def test_summary_has_every_format(electricity):
    summary = electricity.summary()
    assert "<table" in summary.as_html()
    assert r"\begin{tabular}" in summary.as_latex()
    assert summary.as_csv().startswith("block,name,coef")
    assert str(electricity) == summary.as_text()


def test_summary_col_sets_fits_side_by_side(electricity):
    table = summary_col([fitted("electricity", 2), electricity], stars=True)
    text = table.as_text()
    assert "class3.tod" in text
    assert "-12.6765***" in text


def test_results_in_a_console_are_one_line(electricity):
    assert repr(electricity) == (
        "<MixedMultinomialLogitResults: 3 classes, 361 individuals, log-likelihood -4298.0275, "
        "converged>"
    )


def test_the_program_prints_three_classes_of_the_shipped_survey(capsys):
    main([])
    printed = capsys.readouterr().out
    assert "361 people" in printed
    assert "-4298.0275" in printed
    assert "Class 3 (share 0.291, std err 0.027)" in printed


# -- storage -----------------------------------------------------------------------------------


def test_pickles_hold_the_same_numbers(electricity):
    again = pickle.loads(pickle.dumps(electricity))
    assert again.llf == electricity.llf
    pd.testing.assert_series_equal(again.bse, electricity.bse)
    pd.testing.assert_series_equal(again.predict(), electricity.predict())
    assert again.summary().as_text() == electricity.summary().as_text()


def test_a_saved_result_predicts_in_another_process(tmp_path, electricity):
    electricity.save(tmp_path / "fit.pickle")
    assert load_pickle(tmp_path / "fit.pickle").llf == electricity.llf
    code = (
        "import sys\n"
        "from mixlogit import datasets, MixedMultinomialLogitResults\n"
        "result = MixedMultinomialLogitResults.load(sys.argv[1])\n"
        "print(repr(float(result.predict(datasets.load('electricity').data.head(4)).iloc[0])))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "fit.pickle")],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert float(shown.stdout) == electricity.predict().iloc[0]


def test_fit_never_changes_the_model():
    model = electricity_model(2)
    before = pickle.dumps(model)
    model.fit(rng=3, n_starts=2)
    assert pickle.dumps(model) == before


def test_the_same_seed_gives_the_same_bits():
    first, second = (
        MixedMultinomialLogit.from_formula(
            ELECTRICITY, SURVEY, 2, situation="situation", individual="person"
        ).fit(rng=7)
        for _ in range(2)
    )
    assert (first.params == second.params).all()
    assert (first.bse == second.bse).all()
