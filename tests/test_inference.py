"""Errors, intervals and tests of the parameters; and every public method of results."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import SWISSMETRO, fitted
from scipy import stats
from statsmodels.base.model import LikelihoodModelResults

from mixlogit import MixedMultinomialLogit, datasets
from mixlogit.errors import ArgumentError, MixlogitError, MixlogitWarning

TRAVELLERS = datasets.load("swissmetro").data.query("purpose in (1, 3)")
TIME, COST = "I(travel_time / 100)", "I(cost_paid / 100)"


@pytest.fixture(scope="module")
def constrained():
    """Two classes, with a coefficient that is common and one that is fixed."""
    frame = datasets.load("electricity").data
    frame = frame[frame["person"] <= 60]
    return MixedMultinomialLogit.from_formula(
        "choice ~ pf + cl + loc",
        frame,
        2,
        situation="situation",
        individual="person",
        common="pf",
        constraints="class1.cl = -0.1",
    ).fit()


@pytest.fixture(scope="module")
def with_covariates():
    return MixedMultinomialLogit.from_formula(
        SWISSMETRO,
        TRAVELLERS,
        2,
        situation="situation",
        individual="person",
        alternative="alternative",
        membership="age",
    ).fit(n_starts=4)


# -- every public method -----------------------------------------------------------------------

PLAIN = {
    "certificate": (),
    "class_share_table": (),
    "classification_table": (),
    "conf_int": (0.1,),
    "cov_params": (),
    "elasticities": (COST,),
    "f_test": (f"class1.{COST} = 0",),
    "held_out_loglike": (TRAVELLERS,),
    "individual_params": (),
    "individual_wtp": (TIME, COST),
    "logsum": (),
    "marginal_effects": (COST,),
    "market_shares": (),
    "membership_probabilities": (),
    "plot_coefficients": (),
    "plot_posterior": (),
    "plot_shares": (),
    "plot_starts": (),
    "plot_wtp": (TIME, COST),
    "population_cov": (),
    "population_params": (),
    "predict": (),
    "summary": (),
    "t_test": (f"class1.{COST} = class2.{COST}",),
    "wald_membership": (),
    "wald_test": (f"class1.{COST} = class2.{COST}",),
    "wald_test_terms": (),
    "welfare_change": (COST, TRAVELLERS, {"cost_paid": 0.9}),
    "with_cov": ("robust",),
    "wtp": (TIME, COST),
}
FILES = {"save", "load", "to_file"}
REFUSED = {
    "initialize": (lambda result: result.initialize(result.model, result.params), "start_params="),
    "remove_data": (lambda result: result.remove_data(), "to_file(path, include_data=False)"),
    "t_test_pairwise": (
        lambda result: result.t_test_pairwise("C(alternative)"),
        "t_test(\"class1.C(alternative, Treatment('sm'))[T.car] = class1.C(",
    ),
}


def test_every_public_method_is_called_here(with_covariates):
    for result in (with_covariates, with_covariates._results):
        names = {name for name in dir(result) if not name.startswith("_")}
        assert {name for name in dir(LikelihoodModelResults) if not name.startswith("_")} <= names
        methods = {name for name in names if callable(getattr(result, name))}
        assert methods == {*PLAIN, *FILES, *REFUSED}


@pytest.mark.parametrize("name", PLAIN)
def test_public_methods_answer_to_plain_arguments(name, with_covariates):
    if name.startswith("plot_"):
        plt = pytest.importorskip("matplotlib.pyplot")
        plt.switch_backend("agg")
    for result in (with_covariates, with_covariates._results):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MixlogitWarning)  # a class does not mind the cost
            assert getattr(result, name)(*PLAIN[name]) is not None
    if name.startswith("plot_"):
        plt.close("all")


def test_files_are_written_and_read(with_covariates, tmp_path):
    with_covariates.to_file(tmp_path / "fit.npz")
    with_covariates.save(tmp_path / "fit.pickle")
    again = type(with_covariates).load(tmp_path / "fit.pickle")
    assert again.llf == with_covariates.llf


@pytest.mark.parametrize("name", REFUSED)
def test_what_statsmodels_has_and_these_results_have_not_says_what_to_use(name, with_covariates):
    call, advice = REFUSED[name]
    before = with_covariates.params.copy()
    for result in (with_covariates, with_covariates._results):
        with pytest.raises(ArgumentError) as caught:
            call(result)
        assert advice in str(caught.value)
    pd.testing.assert_series_equal(with_covariates.params, before)
    assert with_covariates.model.endog is not None


def test_the_distribution_of_errors_cannot_be_changed_in_place(with_covariates):
    for result in (with_covariates, with_covariates._results):
        assert result.use_t is False
        with pytest.raises(ArgumentError, match=r"t_test\(\.\.\., use_t=True\)"):
            result.use_t = True


def test_a_pickle_is_not_said_to_be_without_data(with_covariates, tmp_path):
    """`save(..., remove_data=True)` once wrote every row of the data all the same."""
    with pytest.raises(ArgumentError, match="include_data=False"):
        with_covariates.save(tmp_path / "fit.pickle", remove_data=True)
    assert not (tmp_path / "fit.pickle").exists()


# -- values ------------------------------------------------------------------------------------


def test_covariances_of_combinations_are_products(electricity):
    whole = electricity.cov_params()
    assert list(whole.columns) == list(electricity.params.index)
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 3, 20))
    product = left @ whole.to_numpy() @ right.T
    for result in (electricity, electricity._results):  # the one that labels once failed
        np.testing.assert_allclose(result.cov_params(left, other=right), product, rtol=1e-12)
        np.testing.assert_allclose(
            result.cov_params(left[0]), left[0] @ whole.to_numpy() @ left[0], rtol=1e-12
        )
        assert result.cov_params(column=3) == whole.iloc[3, 3]  # once a table of this number
        np.testing.assert_array_equal(result.cov_params(column=[0, 5]), whole.iloc[[0, 5], [0, 5]])


def test_the_f_statistic_is_the_chi_square_over_its_degrees_of_freedom(electricity):
    hypotheses = "class1.tod = class2.tod, class1.seas = class2.seas"
    chi2, f = electricity.wald_test(hypotheses), electricity.f_test(hypotheses)
    assert f.statistic == pytest.approx(chi2.statistic / 2, rel=1e-12)
    assert f.pvalue == pytest.approx(stats.f.sf(chi2.statistic / 2, 2, 361 - 20), rel=1e-10)


def test_terms_are_tests_of_single_parameters_and_of_pieces_of_names(electricity):
    z = electricity.params / electricity.bse
    table = electricity.wald_test_terms(combine_terms=["tod"]).table
    np.testing.assert_allclose(table["statistic"].iloc[:20].astype(float), z**2, rtol=1e-10)
    three = "class1.tod = 0, class2.tod = 0, class3.tod = 0"
    assert table["statistic"]["tod"] == pytest.approx(
        electricity.wald_test(three).statistic, rel=1e-10
    )
    extra = [("equal", "class1.pf = class2.pf")]
    alone = electricity.wald_test_terms(skip_single=True, extra_constraints=extra).table
    assert alone["statistic"]["equal"] == pytest.approx(
        electricity.t_test("class1.pf = class2.pf").tvalue.item() ** 2, rel=1e-10
    )


def test_a_joint_test_does_not_depend_on_the_units_of_attributes():
    """Hypotheses about coefficients of very different sizes once lost their rank."""
    frame = datasets.load("electricity").data
    frame = frame[frame["person"] <= 60].assign(huge=lambda f: f["pf"] * 1e9)

    def test_of(name):
        model = MixedMultinomialLogit.from_formula(
            f"choice ~ {name} + cl + loc", frame, 1, situation="situation", individual="person"
        )
        return model.fit().wald_test(f"class1.{name} = 0, class1.loc = 0")

    expected, found = test_of("pf"), test_of("huge")
    assert found.df_denom == 2
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-8)  # two maximisations


def test_equations_arrays_and_pairs_of_arrays_are_the_same_hypotheses(electricity):
    matrix = np.zeros((2, 20))
    matrix[0, 0], matrix[1, [1, 7]] = 1, [1, -1]
    forms = [
        "class1.pf = -0.5, class1.cl = class2.cl",
        ["class1.pf = -0.5", "class1.cl = class2.cl"],
        (matrix, [-0.5, 0]),
    ]
    z = [electricity.t_test(form).tvalue for form in forms]
    chi2 = [electricity.wald_test(form).statistic for form in forms]
    np.testing.assert_array_equal(z[1:], z[:-1])
    np.testing.assert_array_equal(chi2[1:], chi2[:-1])


def test_what_the_constraints_fix_is_not_tested(constrained):
    """It had z = 0 and p = 1, whatever the hypothesis."""
    for hypothesis in ("class1.cl = 0", "class1.pf = class2.pf"):
        test = constrained.t_test(hypothesis)
        assert np.isnan(test.tvalue).all()
        assert np.isnan(test.pvalue).all()
        with pytest.raises(ArgumentError, match=r"there is nothing to test\. Leave it out"):
            constrained.wald_test(f"class1.loc = 0, {hypothesis}")
    both = constrained.t_test("class1.cl = 0, class2.cl = -0.1")
    free = constrained.t_test("class2.cl = class1.cl")
    assert np.isnan(both.pvalue[0])
    assert both.pvalue[1] == pytest.approx(free.pvalue.item(), rel=1e-12)
    with pytest.raises(ArgumentError, match=r"hypothesis says of class1\.pf, class2\.pf"):
        constrained.wald_test("class1.pf = class2.pf")


def test_tests_need_standard_errors():
    without = fitted("electricity", 2).with_cov("none")
    assert np.isnan(without.t_test("class1.pf = 0").pvalue)
    for call in (without.wald_test, without.f_test):
        with pytest.raises(ArgumentError, match=r"class1\.pf has no .*with_cov\('nonrobust'\)"):
            call("class1.pf = 0")
    with pytest.raises(ArgumentError, match=r"class1\.pf has no standard error"):
        without.wald_test_terms()


# -- wrong arguments ---------------------------------------------------------------------------

WRONG = {
    "an unknown name": (
        lambda r: r.t_test("class1.pp = 0"),
        "'class1.pp' is no parameter. Did you mean 'class1.pf'",
    ),
    "no equation": (lambda r: r.t_test("class1.pf == "), "expected a noun, not '='"),
    "a product": (lambda r: r.wald_test("class1.pf * class1.cl = 0"), "Can't multiply one var"),
    "a column too few": (lambda r: r.f_test(np.eye(19)), "a column for each of 20 parameters"),
    "a number that is none": (lambda r: r.t_test(np.full(20, np.nan)), "not finite"),
    "nothing": (lambda r: r.t_test(None), "such as 'class1.pf = 0'; they are 'class1.pf', "),
    "another covariance": (
        lambda r: r.t_test("class1.pf = 0", cov_p=np.eye(3)),
        "cov_p has shape (3, 3); the covariance of 20 parameters has (20, 20).",
    ),
    "another inverse": (
        lambda r: r.wald_test("class1.pf = 0", invcov=np.eye(3)),
        "invcov has shape (3, 3); the covariance of 1 equation has (1, 1).",
    ),
    "no flag": (lambda r: r.t_test("class1.pf = 0", use_t=3), "use_t=3 must be True or False."),
    "a level beyond 1": (lambda r: r.conf_int(2), "alpha must lie between 0 and 1, but it is 2"),
    "no level": (lambda r: r.conf_int(None), "alpha must lie between 0 and 1, but it is None"),
    "a scale": (lambda r: r.cov_params(scale=2), "scale=2 cannot be had"),
    "a column by name": (
        lambda r: r.cov_params(column="class1.pf"),
        "must be positions of parameters, from 0 to 19",
    ),
    "a column beyond": (lambda r: r.cov_params(column=20), "from 0 to 19"),
    "columns of combinations": (
        lambda r: r.cov_params(np.eye(20), column=1),
        "column goes without r_matrix",
    ),
    "one side alone": (lambda r: r.cov_params(other=np.eye(20)), "other goes with r_matrix only"),
    "other combinations": (
        lambda r: r.cov_params(np.ones(3)),
        "r_matrix has shape (3,); combinations of 20 parameters have (M, 20).",
    ),
    "no such piece": (
        lambda r: r.wald_test_terms(combine_terms=["todd"]),
        "combine_terms has 'todd', which is in the name of no parameter. Did you mean 'tod'",
    ),
    "one piece": (lambda r: r.wald_test_terms(combine_terms="tod"), "must be a list of pieces"),
    "further tests without names": (
        lambda r: r.wald_test_terms(extra_constraints=["class1.pf = 0"]),
        "must be a list of pairs of a name and hypotheses",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused_with_help(name, electricity):
    call, words = WRONG[name]
    with pytest.raises(MixlogitError) as caught:
        call(electricity)
    assert type(caught.value) is ArgumentError
    assert words in str(caught.value)
