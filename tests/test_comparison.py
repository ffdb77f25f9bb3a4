"""Tests between results, and several results in one table."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pandas as pd
import pytest
import zoo
from conftest import electricity_model, fitted
from scipy import stats
from simulated import TASTES, panel

from mixlogit import MixedMultinomialLogit, compare, datasets, lr_test
from mixlogit.errors import ArgumentError, ConvergenceWarning
from mixlogit.nested import _embedding, data_difference, membership_tests
from mixlogit.simulate import simulate_choices

ALL = "choice ~ x1 + x2 + x3"


@functools.cache
def people() -> pd.DataFrame:
    """A panel of two classes, with a covariate, weights and an attribute of no effect."""
    frame = panel(3, TASTES[["a", "b"]], n_people=120, n_situations=6)
    rng = np.random.default_rng(3)
    at = frame["person"].to_numpy()
    frame["age"] = (rng.normal(size=120) + 0.8 * (frame.groupby("person")["drawn"].first() == 1))[
        at
    ].to_numpy()
    frame["region"] = rng.choice(["north", "south", "west"], size=120)[at]
    frame["w"] = rng.uniform(0.5, 1.5, size=120)[at]
    frame["alt"] = np.tile([1, 2, 3], len(frame) // 3)
    return frame


def model(formula=ALL, n_classes=2, frame=None, **keywords):
    keywords = {"situation": "situation", "individual": "person"} | keywords
    frame = people() if frame is None else frame
    return MixedMultinomialLogit.from_formula(formula, frame, n_classes, **keywords)


@functools.cache
def fit(formula=ALL, n_classes=2, penalty=0.0, method="em-newton", **keywords):
    keywords = {key: dict([value]) if key == "signs" else value for key, value in keywords.items()}
    return model(formula, n_classes, **keywords).fit(penalty=penalty, method=method)


# -- likelihood-ratio test -------------------------------------------------------------------------


def test_the_statistic_is_close_to_that_of_wald():
    general = fit()
    test = lr_test(fit("choice ~ x1 + x2"), general)
    wald = general.wald_test("class1.x3 = 0, class2.x3 = 0", scalar=True)
    assert test.df == 2
    # both are chi-square with 2 degrees of freedom but for terms of order 1/N
    assert test.statistic == pytest.approx(float(wald.statistic), rel=0.05)
    assert test.pvalue == pytest.approx(float(wald.pvalue), rel=0.1)


def test_a_true_restriction_is_rejected_as_often_as_the_level_says():
    statistics = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(rng.normal(size=(600, 3)), columns=["x1", "x2", "x3"])
        frame["situation"] = frame["person"] = np.arange(600) // 3
        tastes = pd.DataFrame({"all": [0.7, 0.0, 0.0]}, index=["x1", "x2", "x3"])
        frame = simulate_choices(frame, tastes, situation="situation", rng=rng)
        fits = [model(f, 1, frame).fit() for f in ("choice ~ x1", ALL)]
        statistics.append(lr_test(*fits).statistic)
    assert stats.kstest(statistics, stats.chi2(2).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("restricted", "general", "df"),
    [
        ({"formula": "choice ~ x1 + x2"}, {}, 2),
        ({"formula": "choice ~ I(10 * x1) + I(x1 + x2)"}, {}, 2),
        ({"common": "x1"}, {}, 1),
        ({"common": ("x1", "x3")}, {"common": "x1"}, 1),
        ({"constraints": "class1.x3 = 0"}, {}, 1),
        ({"formula": "choice ~ x1 + x2"}, {"constraints": "class1.x3 = class2.x3"}, 1),
        ({}, {"membership": "age"}, 1),
        ({"membership": "I(2 * age + 1)"}, {"membership": "age + C(region)"}, 2),
        ({"formula": "choice ~ x1 + x2", "alternative": "alt"}, {}, 2),
        ({"formula": "choice ~ x1 + x2"}, {"signs": ("x1", "+")}, 2),
    ],
)
def test_restrictions_are_recognised_however_they_are_written(restricted, general, df):
    narrow, wide = fit(**restricted), fit(**general)
    test = lr_test(narrow, wide)
    assert test.df == df
    assert test.statistic == pytest.approx(2 * (wide.llf - narrow.llf), abs=1e-9)
    assert test.pvalue == pytest.approx(float(stats.chi2(df).sf(test.statistic)), abs=1e-13)


def test_another_reference_level_is_the_same_attribute():
    survey = datasets.load("swissmetro").data.query("purpose in (1, 3) and person < 400")
    ids = {"situation": "situation", "individual": "person", "alternative": "alternative"}
    narrow, wide = (
        MixedMultinomialLogit.from_formula(f, survey, 1, **ids).fit()
        for f in (
            "choice ~ C(alternative, Treatment('sm')) + travel_time",
            "choice ~ C(alternative, Treatment('car')) + I(travel_time / 100) + cost_paid",
        )
    )
    assert lr_test(narrow, wide).df == 1


def test_the_order_of_anonymous_choices_does_not_matter():
    case = zoo.case("cross-section")
    shuffled = case.frame.assign(alt=np.tile([4, 2, 1, 3], len(case.frame) // 4))
    ids = {"situation": "situation"}
    narrow = MixedMultinomialLogit.from_formula("choice ~ x1", case.frame, 1, **ids).fit()
    wide = MixedMultinomialLogit.from_formula(
        case.formula, shuffled, 1, alternative="alt", **ids
    ).fit()
    assert lr_test(narrow, wide).df == 1


def test_the_order_of_the_ids_of_choices_does_not_matter():
    frame = people().assign(trip=people()["situation"].map("trip {}".format))  # 10 before 2
    frame["z"] = frame.groupby("situation")["x1"].transform("mean")
    narrow, wide = (
        MixedMultinomialLogit.from_formula(f, frame, 2, situation=ids, membership="z").choices
        for f, ids in (("choice ~ x1", "situation"), ("choice ~ x1 + x2", "trip"))
    )
    assert data_difference(narrow, wide) == ""
    embedding, fault = _embedding(narrow, wide, 2)
    assert fault == ""
    expected = np.zeros((6, 4))
    expected[[0, 2, 4, 5], [0, 1, 2, 3]] = 1
    np.testing.assert_array_equal(embedding, expected)


def test_the_test_reads_as_a_line():
    text = str(lr_test(fit("choice ~ x1 + x2"), fit()))
    assert text.startswith("Likelihood-ratio test: chi2(2) = ")
    assert "p-value 0." in text


@functools.cache
def unfinished():
    """A fit that ran out of iterations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model().fit(np.zeros(7) + np.arange(7) / 10, method="newton", maxiter=2)


@pytest.mark.parametrize(
    ("restricted", "general", "message"),
    [
        (lambda: fit(n_classes=1), fit, "The models have 1 and 2 classes.*bootstrap_lr_test"),
        (
            lambda: fit.__wrapped__(frame=people().query("person > 4")),
            fit,
            "on different data: 115 and 120 individuals. Fit both on the same choices",
        ),
        (
            lambda: fit("choice ~ x1", penalty=2.0),
            fit,
            "The restricted model was fitted with a penalty of 2",
        ),
        (
            lambda: fit("choice ~ x1 + x2", weights="w"),
            lambda: fit(weights="w"),
            r"With sampling weights.*with_cov\('robust'\)",
        ),
        (fit, lambda: fit("choice ~ x1"), "has 7 free parameters, the general one only 3"),
        (fit, fit, "Both models have 7 free parameters, so there is no restriction"),
        (
            lambda: fit("choice ~ I(x1 ** 2)"),
            fit,
            r"cannot express attribute 'I\(x1 \*\* 2\)' of the restricted",
        ),
        (
            lambda: fit("choice ~ x1", membership="age"),
            fit,
            "cannot express membership covariate 'age'",
        ),
        (
            lambda: fit("choice ~ x1 + x2"),
            lambda: fit(constraints="class1.x3 = 1"),
            "has a constraint or a sign that the restricted",
        ),
        (
            lambda: fit("choice ~ x1 + x2"),
            lambda: fit(common="x1"),
            "has a constraint or a sign that the restricted",
        ),
        (
            lambda: fit(constraints="class1.x1 = -0.2"),
            lambda: fit(signs=("x1", "+")),
            "has a constraint or a sign that the restricted",
        ),
        (
            lambda: fit("choice ~ x1"),
            lambda: fit(signs=("x1", "-")),
            "A coefficient of the general model is zero because of its sign.*chi-bar-square",
        ),
        (
            lambda: fit("choice ~ x1", method="em"),
            unfinished,
            "The general model did not converge: The iterations ran out",
        ),
        (lambda: None, fit, "Results of MixedMultinomialLogit.fit are needed, not NoneType"),
    ],
)
def test_what_cannot_be_tested_is_refused(restricted, general, message):
    with pytest.raises(ArgumentError, match=message):
        lr_test(restricted(), general())


def test_a_general_fit_below_the_restricted_one_is_refused():
    best, local = (
        fitted("electricity", 3),
        electricity_model(3).fit(init="random", n_starts=1, rng=1),
    )
    assert local.converged
    assert local.llf < best.llf - 1
    value = best.params["class1.cl"].round(2)  # a restriction that costs next to nothing
    narrow = electricity_with(f"class1.cl = {value}").fit(
        init="random", n_starts=1, candidates=[best.params]
    )
    assert 0 < lr_test(narrow, best).statistic < 1
    with pytest.raises(ArgumentError, match=r"-4304\.5107, below the -4298.*reach its maximum"):
        lr_test(narrow, local)


def electricity_with(constraint):
    """The three-class model of the electricity survey under a constraint."""
    own = electricity_model(3)
    survey = datasets.load("electricity").data
    return MixedMultinomialLogit.from_formula(
        own.formula,
        survey,
        3,
        situation="situation",
        individual="person",
        alternative="alt",
        constraints=constraint,
    )


# -- what differs between data ---------------------------------------------------------------------


def data_of(frame=None, **keywords):
    return model(frame=frame, **keywords).choices


def with_other_choice(frame):
    """Move the choice of the first situation to another row."""
    frame = frame.copy()
    first = frame.index[frame["situation"] == frame["situation"].iloc[0]]
    frame.loc[first, "choice"] = np.roll(frame.loc[first, "choice"], 1)
    return frame


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f, ""),
        (lambda f: f.assign(x1=f["x1"] * 2), ""),
        (lambda f: f.query("person < 100"), "120 and 100 individuals"),
        (lambda f: f.query("situation > 0"), "720 and 719 choices"),
        (lambda f: f[(f.index > 5) | (f["choice"] == 1) | (f["alt"] == 1)], "2160 and|2,160 and"),
        (lambda f: f.assign(person=f["person"] + 1), "other individuals, such as 0 in one of them"),
        (lambda f: f.assign(person=f["person"].replace(7, 700)), "other individuals, such as 7 in"),
        (with_other_choice, "other choices"),
        (lambda f: f.assign(situation=f["situation"] + 7), ""),
    ],
)
def test_differences_between_data_are_named(change, message):
    found = data_difference(data_of(), data_of(change(people())))
    assert bool(found) == bool(message)
    assert any(part in found for part in message.split("|"))


def test_other_choice_sets_are_named():
    table = people()
    first, second = (table.index[table["situation"] == s] for s in (0, 1))  # of one person
    rows = [next(row for row in own if table.loc[row, "choice"] == 0) for own in (first, second)]
    other = table.copy()
    other.loc[rows, "situation"] = [1, 0]
    assert data_difference(data_of(table), data_of(other)) == "other choice sets"


def test_other_weights_are_named():
    one, two = data_of(weights="w"), data_of()
    assert data_difference(one, two) == "other sampling weights"
    assert data_difference(one, one) == ""


@pytest.mark.parametrize("name", ["counts", "shared table", "market shares", "repeated choices"])
def test_data_of_every_layout_are_like_themselves(name):
    case = zoo.case(name)
    assert data_difference(case.model(1).choices, case.model(2).choices) == ""


# -- membership ------------------------------------------------------------------------------------


@functools.cache
def gated():
    return fit(n_classes=3, membership="age + C(region)")


REGIONS = ["C(region)[T.south]", "C(region)[T.west]"]


@pytest.mark.parametrize(
    ("row", "terms"),
    [("age", ["age"]), ("C(region)", REGIONS), ("all", ["age", *REGIONS])],
)
def test_membership_tests_are_wald_tests_of_all_classes(row, terms):
    result = gated()
    names = list(result.params.index)
    matrix = np.zeros((2 * len(terms), len(names)))
    for i, (k, term) in enumerate((k, term) for k in (2, 3) for term in terms):
        matrix[i, names.index(f"class{k}._membership.{term}")] = 1
    expected = result.wald_test(matrix, scalar=True)  # of statsmodels
    found = result.wald_membership().loc[row]
    assert found["df"] == 2 * len(terms)
    assert found["chi2"] == pytest.approx(float(expected.statistic), rel=1e-10)  # conditioning
    assert found["P>chi2"] == pytest.approx(float(expected.pvalue), rel=1e-8)


def test_membership_tests_do_not_depend_on_the_base():
    result = gated()
    own = [f"class{k}._membership.age" for k in (2, 3)]
    gamma = result.params[own].to_numpy()
    covariance = result.cov_params().loc[own, own].to_numpy()
    # logits against class 3 in place of class 1
    change = np.array([[0.0, -1.0], [1.0, -1.0]])
    other, spread = change @ gamma, change @ covariance @ change.T
    expected = other @ np.linalg.inv(spread) @ other
    assert membership_tests(result).loc["age", "chi2"] == pytest.approx(expected, rel=1e-10)


def test_membership_tests_use_the_covariance_of_the_results():
    robust = gated().with_cov("robust")
    names = ["class2._membership.age", "class3._membership.age"]
    gamma, spread = robust.params[names], robust.cov_params().loc[names, names]
    expected = gamma @ np.linalg.inv(spread) @ gamma
    assert membership_tests(robust).loc["age", "chi2"] == pytest.approx(expected, rel=1e-10)


def test_fixed_logits_do_not_count():
    membership = {"membership": "age + C(region)"}
    result = fit(constraints="class2._membership.C(region)[T.south] = 0", **membership)
    table = membership_tests(result)
    assert table["df"].to_dict() == {"C(region)": 1, "age": 1, "all": 2}
    for row, name in (("C(region)", REGIONS[1]), ("age", "age")):
        squared = float(result.tvalues[f"class2._membership.{name}"]) ** 2
        assert table.loc[row, "chi2"] == pytest.approx(squared, rel=1e-12)
    table = membership_tests(fit(constraints="class2._membership.age = 0", **membership))
    assert table.loc["age", "df"] == 0
    assert table.loc["age", ["chi2", "P>chi2"]].isna().all()
    assert table.loc["all", "df"] == 2


def test_logits_without_errors_have_no_test():
    own = model(membership="age + C(drawn)")  # which tells the classes apart perfectly
    with pytest.warns(ConvergenceWarning, match="Coefficients diverge"):
        result = own.fit()
    table = membership_tests(result)
    # nor does age have one: nobody is left whose class it could tell
    assert table[["chi2", "P>chi2"]].isna().all(axis=None)


def test_a_covariate_keeps_its_test_where_a_level_of_another_has_none():
    is_told = people()["person"] % 3 == 0  # of these, what was drawn tells the class
    frame = people().assign(some=np.where(is_told, people()["drawn"], 3))
    own = model(membership="age + C(some)", frame=frame)
    with pytest.warns(ConvergenceWarning, match="Coefficients diverge"):
        result = own.fit()
    table = membership_tests(result)
    assert table.loc[["C(some)", "all"], "chi2"].isna().all()
    age = result.tvalues["class2._membership.age"]
    assert table.loc["age", "chi2"] == pytest.approx(age**2, rel=1e-12)


@pytest.mark.parametrize("keywords", [{}, {"n_classes": 1, "membership": "age"}])
def test_without_covariates_or_classes_there_is_nothing_to_test(keywords):
    with pytest.raises(ArgumentError, match="no membership covariate to test"):
        membership_tests(fit(**keywords))


# -- one table -------------------------------------------------------------------------------------


def three_fits():
    return [fit(n_classes=1), fit("choice ~ x1 + x2"), fit(membership="age")]


def test_the_table_holds_what_the_results_say():
    results = three_fits()
    table = compare(results, names=["logit", "short", "gated"]).table
    assert list(table.index) == ["logit", "short", "gated"]
    assert table["n_params"].tolist() == [3, 5, 8]
    for name in ("llf", "aic", "bic", "caic", "icl", "prsquared", "prsquared_adj", "n_classes"):
        assert table[name].tolist() == [getattr(one, name) for one in results]
    assert table["converged"].all()


def test_coefficients_stand_in_the_row_of_their_name():
    results = three_fits()
    frame = compare(results).coefficients
    assert list(frame.index) == [
        *[f"class{k}.x{j}" for k in (1, 2) for j in (1, 2, 3)],
        "class2._membership.Intercept",
        "class2._membership.age",
    ]
    for name, one in zip(["(1)", "(2)", "(3)"], results, strict=True):
        for column, values in (("coef", one.params), ("std err", one.bse)):
            pd.testing.assert_series_equal(
                frame[name, column].dropna(),
                values.reindex(frame.index).dropna(),
                check_names=False,
            )
    assert frame["(2)"].loc["class1.x3"].isna().all()


def test_the_summary_shows_estimates_above_their_errors():
    results = three_fits()
    text = str(compare(results, names=["logit", "short", "gated"]))
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("x3"))
    gated_result = results[2]
    assert lines[at].split()[1:] == [
        f"{results[0].params['class1.x3']:.4f}",
        f"{gated_result.params['class1.x3']:.4f}",
    ]
    assert lines[at + 1].split() == [
        f"({results[0].bse['class1.x3']:.4f})",
        f"({gated_result.bse['class1.x3']:.4f})",
    ]
    assert "class2: age" in text
    shares = next(line for line in lines[lines.index("Class 2") :] if line.startswith("share"))
    assert shares.split()[1:] == [f"{one.class_shares.iloc[1]:.4f}" for one in results[1:]]
    assert "by their number, whether or not alike" in text


def test_stars_mark_small_p_values():
    one = fit(n_classes=1)
    comparison = compare([one, one], names=["a", "b"])
    block = comparison.summary(stars=True).blocks[1].table
    for name, p in zip(["x1", "x2", "x3"], one.pvalues, strict=True):
        mark = "***" if p < 0.01 else "**" if p < 0.05 else "*" if p < 0.1 else ""
        cell = block.loc[name, "a"]
        assert cell[len(cell.rstrip("*")) :] == mark
    assert "* p < 0.1, ** p < 0.05, *** p < 0.01" in str(comparison.summary(stars=True))
    assert "*" not in str(comparison.summary())


def test_the_other_forms_hold_the_same():
    comparison = compare(three_fits())
    summary = comparison.summary()
    assert "<table" in comparison._repr_html_()
    assert r"\begin{tabular}" in summary.as_latex()
    assert "class2: age" in summary.as_csv()
    assert repr(comparison) == "<Comparison of 3 results: (1), (2), (3)>"


def test_one_result_is_a_comparison_too():
    one = fit()
    assert compare(one).table.loc["(1)", "llf"] == compare([one]).table.loc["(1)", "llf"]
    assert "whether or not alike" not in str(compare(one))


def test_notes_say_what_keeps_results_from_being_compared():
    part = fit.__wrapped__(frame=people().query("person > 4"))
    robust, penalised = fit().with_cov("robust"), fit("choice ~ x1", penalty=2.0)
    notes = " ".join(compare([fit(), part, robust, penalised, unfinished()]).summary().notes)
    assert "(1) and (2) are on different data (120 and 115 individuals)" in notes
    assert "(1) and (3) are on different" not in notes
    assert "of different kinds: (1) nonrobust, (2) nonrobust, (3) robust" in notes
    assert "(4) was fitted with a penalty of 2" in notes
    assert "(5) did not converge: The iterations ran out" in notes


@pytest.mark.parametrize(
    ("results", "names", "message"),
    [
        (list, None, "There are no results to compare"),
        (lambda: [fit()], ["a", "b"], "There are 2 names for 1 result. Give one name"),
        (lambda: [fit(), fit()], ["a", "a"], "More than one result has the name 'a'"),
        (lambda: [fit(), 3], None, "Results of MixedMultinomialLogit.fit are needed, not int"),
    ],
)
def test_what_cannot_be_compared_is_refused(results, names, message):
    with pytest.raises(ArgumentError, match=message):
        compare(results(), names)
