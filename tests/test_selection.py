"""The number of classes: criteria, the bootstrap test, cross-validation.

How often they are right is counted in test_selection_study.py.
"""

from __future__ import annotations

import functools
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import zoo
from conftest import electricity_model, fitted
from simulated import TASTES, panel

from mixlogit import (
    MixedMultinomialLogit,
    bootstrap,
    bootstrap_lr_test,
    cross_validate,
    plotting,
    select_classes,
)
from mixlogit.cross_validation import _folds
from mixlogit.errors import ArgumentError, DataWarning, IdentificationError
from mixlogit.growth import _refit, _split_upwards, fit_beyond
from mixlogit.nested import unwrapped
from mixlogit.selection import ClassSelection

TWO = TASTES[["a", "b"]]


@functools.cache
def people() -> pd.DataFrame:
    """A panel of two classes."""
    return panel(11, TWO, n_people=120, n_situations=6)


def model(n_classes=1, **keywords):
    return MixedMultinomialLogit.from_formula(
        "choice ~ x1 + x2 + x3",
        people().assign(age=people()["person"] % 7, w=1 + people()["person"] % 3),
        n_classes,
        situation="situation",
        individual="person",
        **keywords,
    )


@functools.cache
def selection(**keywords) -> ClassSelection:
    return select_classes(model(), [1, 2, 3], **keywords)


@functools.cache
def unfinished(n_classes):
    """A fit that ran out of iterations."""
    own = model(n_classes)
    start = np.arange(len(own.param_names)) / 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return own.fit(start, method="newton", maxiter=2)


# -- criteria --------------------------------------------------------------------------------------


def test_the_table_holds_what_the_results_say():
    table = selection().table
    assert list(table.index) == [1, 2, 3]
    assert table["n_params"].tolist() == [3, 7, 11]
    for k, result in selection().results.items():
        for name in ("llf", "aic", "bic", "caic", "sabic", "icl"):
            assert table.loc[k, name] == getattr(result, name)
        assert table.loc[k, "converged"] == result.converged
        assert table.loc[k, "min_share"] == result.class_shares.min()
        assert table.loc[k, "starts_agree"] == result.certificate().n_agree
    assert np.isnan(table.loc[1, "entropy_r2"])
    assert table.loc[2, "entropy_r2"] == selection().results[2].entropy_r2
    assert list(table.columns) == [
        *("llf", "n_params", "aic", "bic", "caic", "sabic", "icl"),
        *("entropy_r2", "min_share", "converged", "starts_agree"),
    ]


def test_the_log_likelihood_never_falls():
    for search in ({"n_starts": 1}, {"init": "random", "n_starts": 1}):
        llf = select_classes(electricity_model(1), range(1, 4), **search).table["llf"]
        assert (llf.diff().dropna() > 0).all()
    assert (selection().table["llf"].diff().dropna() > 0).all()


def test_the_best_fit_has_the_smallest_value():
    own = selection()
    for name in ("aic", "bic", "caic", "sabic", "icl"):
        values = {k: getattr(one, name) for k, one in own.results.items() if one.converged}
        assert own.best(name).n_classes == min(values, key=values.get)
    assert own.best().n_classes == 2


def test_the_same_seed_gives_the_same_bits():
    tables = [
        select_classes(model(), [1, 3], rng=np.random.default_rng(seed), n_starts=3).table
        for seed in (5, 5)
    ]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_the_model_s_own_number_of_classes_does_not_matter():
    table = select_classes(model(4), [1, 2, 3]).table
    pd.testing.assert_frame_equal(table, selection().table, check_exact=True)


def test_numbers_may_come_in_any_order_and_with_gaps():
    table = select_classes(electricity_model(1), np.array([4, 2])).table
    assert list(table.index) == [2, 4]
    assert table.loc[4, "llf"] == pytest.approx(fitted("electricity", 4).llf, abs=1e-6)
    assert list(select_classes(model(), 2).table.index) == [2]


def test_fits_that_do_not_converge_are_told_of_in_the_table_alone():
    own = select_classes(model(), [1, 3], method="em", maxiter=1, n_starts=1)  # without warning
    assert not own.table.loc[3, "converged"]
    assert own.best().n_classes == 1
    note = next(note for note in own.summary().notes if note.startswith("3 classes: left out."))
    assert "Its AIC, BIC, CAIC, SABIC, ICL would be the smallest. The iterations ran out" in note


def test_fits_by_em_alone_count_as_converged():
    table = select_classes(model(), [1, 2], method="em").table
    assert table["converged"].all()


def test_only_converged_fits_are_chosen():
    own = ClassSelection({1: selection().results[1], 2: unfinished(2)})
    assert own.table.loc[2, "bic"] < own.table.loc[1, "bic"]
    assert own.best("bic").n_classes == 1


def test_without_a_converged_fit_there_is_no_best_one():
    own = ClassSelection({2: unfinished(2), 3: unfinished(3)})
    with pytest.raises(ArgumentError, match="None of the fits has converged, so there is no best"):
        own.best()
    assert "Smallest BIC:" in str(own)
    assert re.search(r"Smallest BIC: +none", str(own))


def test_other_warnings_are_passed_on_once():
    def tell(state):
        warnings.warn("a word", DataWarning, stacklevel=2)

    with pytest.warns(DataWarning, match="a word") as caught:
        select_classes(model(), [1, 2], callback=tell)
    assert len(caught) == 1


def test_the_summary_says_what_the_table_says():
    own = selection()
    text = str(own)
    assert f"{own.table.loc[2, 'bic']:.3f}" in text
    assert re.search(r"Smallest BIC: +2", text)
    assert "N in the criteria is the number of individuals" in text
    assert own._repr_html_() == own.summary().as_html()
    assert repr(own) == "<ClassSelection of 1, 2, 3 classes>"


def test_the_summary_warns_of_a_start_that_stands_alone():
    few = select_classes(electricity_model(1), [3], n_starts=1)
    certificate = few.results[3].certificate()
    assert (certificate.n_finished, certificate.n_agree) == (2, 1)
    assert "With 3 classes only one of the finished starts" in " ".join(few.summary().notes)
    assert "only one of the finished starts" not in " ".join(selection().summary().notes)


def test_the_plot_shows_the_table(monkeypatch):
    seen = {}
    monkeypatch.setattr(
        plotting, "information_criteria", lambda table, **rest: seen.update(table=table, **rest)
    )
    selection().plot(criteria=["bic"])
    assert seen["table"] is selection().table
    assert seen["criteria"] == ("bic",)
    assert seen["ax"] is None


def test_the_plot_is_a_figure():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    axes = selection().plot()
    assert len(axes.get_lines()) >= 4
    pyplot.close(axes.figure)


@pytest.mark.parametrize(
    ("n_classes", "keywords", "message"),
    [
        ([], {}, r"n_classes is empty\. Pass numbers of classes, such as range"),
        ([2, 3, 2], {}, "n_classes holds 2 more than once"),
        ([1, 2.5], {}, r"n_classes holds 2\.5, which is not a whole number from 1 on"),
        ([0, 1], {}, "n_classes holds 0, which is not"),
        ([True], {}, "n_classes holds True, which is not"),
        ("23", {}, "n_classes holds '2', which is not"),
        ([1, 121], {}, "n_classes=121, but there are only 120 individuals"),
        ([1, 2], {"start_params": [0.0]}, "start_params goes with one number of classes"),
        ([1, 2], {"candidates": []}, "candidates goes with one number of classes"),
    ],
)
def test_a_wrong_argument_is_named(n_classes, keywords, message):
    with pytest.raises(ArgumentError, match=message):
        select_classes(model(), n_classes, **keywords)


def test_constraints_that_name_a_class_do_not_carry_over():
    with pytest.raises(ArgumentError, match="does not carry over from 2 classes to 1"):
        select_classes(model(2, constraints="class1.x3 = 0"), [1, 2])


def test_an_unknown_criterion_is_named():
    with pytest.raises(ArgumentError, match=r"criterion='bix' is not one of aic, .*mean 'bic'\?"):
        selection().best("bix")


# -- fits that contain a fit with fewer classes ----------------------------------------------------


@pytest.mark.parametrize("membership", ["1", "age"])
@pytest.mark.parametrize(("few", "many"), [(1, 2), (2, 3), (2, 4)])
def test_a_split_solution_is_no_lower(few, many, membership):
    fewer = model(few, membership=membership).fit()
    start = _split_upwards(model(many, membership=membership).likelihood(), unwrapped(fewer))
    value = model(many, membership=membership).loglike(start.flat())
    assert value >= fewer.llf - 1e-9 * abs(fewer.llf)  # equal but for round-off, or higher


def test_a_search_that_ends_too_low_goes_on_from_the_fit_before(monkeypatch):
    fewer = unwrapped(model(2).fit())
    fit = MixedMultinomialLogit.fit

    def poor(self, start_params=None, **keywords):
        """Searches end at once; single starts do not."""
        if start_params is None:
            keywords |= {"maxiter": 1, "method": "em"}
            start_params = np.zeros(len(self.param_names))
            keywords.pop("candidates")
        return fit(self, start_params, **keywords)

    monkeypatch.setattr(MixedMultinomialLogit, "fit", poor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, is_refitted = fit_beyond(model(3), fewer, {})
    assert is_refitted
    assert found.llf >= fewer.llf
    assert found.n_classes == 3


def test_a_fit_from_the_solution_before_is_no_lower_under_restrictions():
    for keywords in ({"common": "x3"}, {"signs": {"x3": "+"}}):
        fewer = unwrapped(model(2, **keywords).fit())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again = _refit(model(3, **keywords), fewer, {})
        assert again.llf >= fewer.llf - 1e-9 * abs(fewer.llf)


# -- bootstrap likelihood-ratio test ---------------------------------------------------------------


@functools.cache
def two_against_three():
    return selection().bootstrap(2, n_bootstrap=9)


def test_one_class_is_rejected_and_two_are_not_where_there_are_two():
    one = selection().bootstrap(1, n_bootstrap=19)
    results = selection().results
    assert one.statistic == pytest.approx(2 * (results[2].llf - results[1].llf), abs=1e-6)
    assert one.pvalue == 1 / 20
    assert one.draws.max() < 40 < one.statistic  # a few units for each of four parameters
    assert two_against_three().pvalue > 0.1


def test_the_p_value_counts_draws_at_or_above_the_statistic():
    test = two_against_three()
    assert test.n_classes == 2
    assert test.draws.shape == (9,)
    assert (test.draws >= 0).all()
    assert test.pvalue == sum(1 for d in [np.inf, *test.draws] if d >= test.statistic) / 10


def test_draws_come_from_their_own_seed():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    again = bootstrap_lr_test(selection().results[2], selection().results[3], 9)
    np.testing.assert_array_equal(again.draws, two_against_three().draws)
    other = selection().bootstrap(2, n_bootstrap=2, rng=np.random.default_rng(8))
    assert not np.isin(other.draws, again.draws).any()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_processes_do_not_change_the_draws(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    two = selection().bootstrap(2, n_bootstrap=9, n_jobs=2)
    np.testing.assert_array_equal(two.draws, two_against_three().draws)


def test_a_better_maximum_found_on_the_way_is_used():
    local = electricity_model(3).fit(init="random", n_starts=1, rng=1)
    best = fitted("electricity", 3).llf
    assert local.llf < best - 1
    two = fitted("electricity", 2)
    test = bootstrap_lr_test(two, local, n_bootstrap=1)
    assert test.statistic == pytest.approx(2 * (best - two.llf), abs=1e-5)
    assert test.gain == pytest.approx(best - local.llf, abs=1e-5)
    assert "above that of the larger fit" in " ".join(str(test).split())


def test_the_statistic_is_that_of_the_search_on_the_draws_even_where_the_fit_is_better(monkeypatch):
    fewer, more = fitted("electricity", 2), fitted("electricity", 3)
    poor = electricity_model(3).fit(init="random", n_starts=1, rng=1)
    monkeypatch.setattr(bootstrap, "fit_beyond", lambda *_: (poor, False))
    test = bootstrap_lr_test(fewer, more, n_bootstrap=1)
    assert test.statistic == pytest.approx(2 * (poor.llf - fewer.llf), rel=1e-12)
    assert test.gain == pytest.approx(poor.llf - more.llf, rel=1e-9)
    assert "below that of the larger fit" in " ".join(str(test).split())


def test_the_test_says_how_it_was_made():
    test = two_against_three()
    text = str(test)
    assert "Bootstrap test of 2 classes against 3" in text
    assert "drawn 9 times from the estimates with 2 classes" in " ".join(text.split())
    assert f"did not converge: {test.n_not_converged}" in " ".join(text.split())
    assert "sampling weights" not in text
    assert test._repr_html_() == test.summary().as_html()
    assert repr(test).startswith("<BootstrapTest of 2 classes against 3: statistic ")


def test_sampling_weights_are_noted():
    one, two = (model(k, weights="w").fit() for k in (1, 2))
    test = bootstrap_lr_test(one, two, n_bootstrap=1)
    assert test.is_weighted
    assert "as if the sampling weights had nothing to do with tastes" in " ".join(str(test).split())


@pytest.mark.parametrize("name", ["counts", "shared table", "cross-section"])
def test_other_layouts_can_be_tested(name):
    case = zoo.case(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, two = case.model(1).fit(), case.model(2).fit()
    test = bootstrap_lr_test(one, two, n_bootstrap=3)
    assert (test.draws > -1e-6).all()


@pytest.mark.parametrize(
    ("pair", "keywords", "message"),
    [
        (lambda r: (r[1], r[3]), {}, "The smaller fit has 1 class, the larger one 3"),
        (lambda r: (r[2], r[1]), {}, "The smaller fit has 2 classes, the larger one 1"),
        (lambda r: (r[1], r[2]), {"n_bootstrap": 0}, "n_bootstrap=0 must be a whole number of at"),
        (lambda r: (r[1], r[2]), {"n_starts": 0.5}, r"n_starts=0\.5 must be a whole number"),
        (lambda r: (r[1], r[2]), {"n_jobs": True}, "n_jobs=True must be a whole number"),
        (
            lambda r: (fitted("electricity", 1), r[2]),
            {},
            "on different data: 361 and 120 individuals",
        ),
        (
            lambda r: (r[1], model(2).fit(penalty=1.0)),
            {},
            "The larger model was fitted with a penalty of 1",
        ),
        (
            lambda r: (r[1], model(2, membership="age").fit()),
            {},
            "differ in attributes, membership covariates, offset or constraints",
        ),
        (
            lambda r: (model(common="x3").fit(), r[2]),
            {},
            "differ in attributes, membership covariates, offset or constraints",
        ),
        (lambda r: (r[2], unfinished(3)), {}, "below the -.* of the smaller one, so it did not"),
        (lambda r: (3, r[1]), {}, "Results of MixedMultinomialLogit.fit are needed, not int"),
    ],
)
def test_what_cannot_be_bootstrapped_is_refused(pair, keywords, message):
    with pytest.raises(ArgumentError, match=message):
        bootstrap_lr_test(*pair(selection().results), **keywords)


def test_a_selection_names_the_fit_that_it_lacks():
    with pytest.raises(ArgumentError, match=r"A fit with 4 classes is needed, but .* \[1, 2, 3\]"):
        selection().bootstrap(3)


# -- individuals left out --------------------------------------------------------------------------


def assert_same_choices(found, expected):
    for one, two in (
        (found.exog, expected.exog),
        (found.arrangement.situation_start, expected.arrangement.situation_start),
        (found.entries.row, expected.entries.row),
        (found.entries.count, expected.entries.count),
        (found.entries.start, expected.entries.start),
        (found.entries.frequency, expected.entries.frequency),
        (found.membership, expected.membership),
    ):
        np.testing.assert_array_equal(one, two)
    # those of a part stay as they were among all, and a table of the part has a mean of 1
    np.testing.assert_allclose(found.weights / found.weights.mean(), expected.weights, rtol=1e-14)
    assert found.entries.ids.equals(expected.entries.ids)
    assert found.arrangement.situation_ids.equals(expected.arrangement.situation_ids)
    owners = [one.arrangement.situation_owner for one in (found, expected)]
    if expected.arrangement.individual_ids is None:
        assert owners == [None, None]
    else:
        np.testing.assert_array_equal(*owners)
        assert found.arrangement.individual_ids.equals(expected.arrangement.individual_ids)


def rebuilt(case, frame):
    return MixedMultinomialLogit.from_formula(case.formula, frame, 1, **case.keywords).choices


@pytest.mark.parametrize(
    "name", ["ragged panel", "sampling weights", "repeated choices", "mixed ids", "cross-section"]
)
def test_taking_some_individuals_is_dropping_the_rows_of_others(name):
    case = zoo.case(name)
    data = case.model(1).choices
    column = case.keywords.get("individual", "situation")
    is_kept = np.arange(data.n_distinct) % 3 > 0
    kept = set(data.entries.ids[is_kept])
    found = data.take(np.where(is_kept, data.entries.frequency, 0))
    assert_same_choices(found, rebuilt(case, case.frame[case.frame[column].isin(kept)]))


def test_taking_draws_from_a_table_lowers_its_counts():
    case = zoo.case("counts")
    data = case.model(1).choices
    number = np.maximum(data.entries.frequency - 2, 0)
    frame = case.frame.assign(count=np.maximum(case.frame["count"] - 2, 0))
    assert_same_choices(data.take(number), rebuilt(case, frame))


def test_taking_shoppers_keeps_the_whole_table():
    case = zoo.case("shared table")
    data = case.model(1).choices
    is_kept = np.array([True, False, True, True, False, True])
    choices = case.choices[case.choices["shopper"].isin(data.entries.ids[is_kept])]
    expected = MixedMultinomialLogit.from_table(
        case.formula, case.frame, choices, 1, **case.keywords
    ).choices
    assert_same_choices(data.take(is_kept.astype(float)), expected)


# -- cross-validation ------------------------------------------------------------------------------


def by_hand(frame, column, folds, n_classes, **keywords):
    """Mean held-out log-likelihood of each fold, from tables of the rows of the others."""
    means = []
    for held in folds:
        parts = [frame[~frame[column].isin(held)], frame[frame[column].isin(held)]]
        seen, new = (
            MixedMultinomialLogit.from_formula(
                "choice ~ x1 + x2 + x3",
                part,
                n_classes,
                situation="situation",
                individual="person",
                **keywords,
            )
            for part in parts
        )
        total = new.choices.weights.sum()
        means.append(new.loglike(seen.fit().params) / total)
    return means


@pytest.mark.parametrize("keywords", [{}, {"weights": "w"}, {"membership": "age"}])
def test_folds_are_predicted_by_fits_to_the_others(keywords):
    frame = people().assign(age=people()["person"] % 7, w=1 + people()["person"] % 3)
    own = model(1, **keywords)
    found = cross_validate(own, [2, 1], n_folds=3, rng=4)
    held = _folds(own.choices.entries.frequency, 3, np.random.default_rng(4))
    ids = [own.choices.entries.ids[one > 0] for one in held]
    for k in (1, 2):
        expected = by_hand(frame, "person", ids, k, **keywords)
        # the same maxima, to the square root of round-off in a sum
        np.testing.assert_allclose(found.folds.loc[k], expected, rtol=1e-7)
    weight = own.choices.weights
    share = np.array([weight[one > 0].sum() for one in held]) / weight.sum()
    np.testing.assert_allclose(found.table["llf"], found.folds @ share, rtol=1e-12)


def test_draws_behind_a_count_are_held_out_one_by_one():
    case = zoo.case("counts")
    own = case.model(1)
    found = cross_validate(own, [1], n_folds=4, rng=3)
    ids = list(own.choices.entries.ids)
    held = _folds(own.choices.entries.frequency, 4, np.random.default_rng(3))
    values = []
    for fold in range(4):
        count = case.frame["item"].map(dict(zip(ids, held[fold], strict=True))).fillna(0)
        seen = MixedMultinomialLogit.from_formula(
            case.formula, case.frame.assign(count=case.frame["count"] - count), 1, **case.keywords
        )
        prob = seen.fit().predict()
        each = np.repeat(np.log(prob), count.astype(int))
        assert found.folds.loc[1, fold + 1] == pytest.approx(each.mean(), rel=1e-7)
        values.append(each)
    values = np.concatenate(values)
    assert len(values) == case.frame["count"].sum()
    assert found.table.loc[1, "llf"] == pytest.approx(values.mean(), rel=1e-7)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert found.table.loc[1, "std err"] == pytest.approx(error, rel=1e-6)


def weighted_mean(value, weight):
    """Mean and its error, when individuals are drawn at random with their weights."""
    n = len(value)
    mean = sum(w * v for w, v in zip(weight, value, strict=True)) / sum(weight)
    square = sum((w * (v - mean)) ** 2 for w, v in zip(weight, value, strict=True))
    return mean, (square * n / (n - 1)) ** 0.5 / sum(weight)


@pytest.mark.parametrize("keywords", [{}, {"weights": "w"}])
def test_errors_are_those_of_means_over_individuals(keywords):
    own = model(**keywords)
    found = cross_validate(own, [1, 2], n_folds=2, rng=4)
    held = _folds(own.choices.entries.frequency, 2, np.random.default_rng(4))
    value = np.empty((2, 120))
    for one in held:
        part = own.with_choices(own.choices.take(1 - one))
        for k in (1, 2):
            likelihood = own.with_classes(k).likelihood()
            params = part.with_classes(k).fit().params.to_numpy()
            value[k - 1, one > 0] = likelihood.posterior(likelihood.unpack(params))[0][one > 0]
    table, weight = found.table, own.choices.weights
    for k in (1, 2):
        expected = weighted_mean(value[k - 1], weight)
        # a maximum is found to the square root of round-off
        assert table.loc[k, ["llf", "std err"]].tolist() == pytest.approx(expected, rel=1e-7)
        six = table.loc[k, ["llf per choice", "std err per choice"]]  # choices each
        assert six.tolist() == pytest.approx(np.array(expected) / 6, rel=1e-7)
    behind = table.loc[1, ["behind", "std err behind"]]
    assert behind.tolist() == pytest.approx(weighted_mean(value[1] - value[0], weight), rel=1e-6)
    assert table.loc[2, ["behind", "std err behind"]].tolist() == [0, 0]
    assert (table["not converged"] == 0).all()


def test_the_true_number_predicts_best():
    found = cross_validate(model(), [1, 2, 3], n_folds=4)
    assert found.best == 2
    assert re.search(r"Highest: +2 classes", str(found))
    assert "Individuals were held out with all their choices" in str(found)
    assert found._repr_html_() == found.summary().as_html()
    assert repr(found) == "<CrossValidation of 1, 2, 3 classes>"


def test_the_seed_deals_the_folds():
    tables = [cross_validate(model(), [1], n_folds=3, rng=rng).table for rng in (1, 1, 2)]
    pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)
    assert tables[0].loc[1, "llf"] != tables[2].loc[1, "llf"]


@pytest.mark.parametrize("n", [7, 100, 101])
def test_distinct_individuals_are_dealt_evenly(n):
    held = _folds(np.ones(n), 7, np.random.default_rng(0))
    assert (held.sum(axis=0) == 1).all()
    assert np.ptp(held.sum(axis=1)) <= 1


def test_counts_are_dealt_at_random():
    frequency = np.array([400.0, 1.0, 90_000.0])
    rng = np.random.default_rng(0)
    held = np.array([_folds(frequency, 4, rng) for _ in range(300)])  # (draws, folds, N)
    assert (held.sum(axis=1) == frequency).all()
    # binomial variances, to ten standard errors of a variance from 1200 draws
    variance = frequency * (1 / 4) * (3 / 4)
    np.testing.assert_allclose(held.var(axis=(0, 1)), variance, rtol=0.4)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"n_folds": 1}, "n_folds=1 must be a whole number of at least 2"),
        ({"n_folds": 121}, "n_folds=121, but there are only 120 individuals"),
        ({"n_classes": []}, "n_classes is empty"),
        ({"n_classes": [1], "candidates": []}, "candidates goes with one number"),
    ],
)
def test_a_wrong_argument_of_cross_validation_is_named(keywords, message):
    with pytest.raises(ArgumentError, match=message):
        cross_validate(model(), **keywords)


def test_an_attribute_of_one_individual_alone_cannot_be_held_out():
    frame = people().assign(rare=(people()["person"] == 5) * people()["x1"])
    own = MixedMultinomialLogit.from_formula(
        "choice ~ x1 + rare", frame, 1, situation="situation", individual="person"
    )
    with pytest.raises(IdentificationError, match=r"Without the individuals of fold \d: .*'rare'"):
        cross_validate(own, [1], n_folds=3)


@pytest.mark.parametrize(
    ("formula", "membership", "apart"),
    [
        ("choice ~ x1 + x2", "region", "'region[T.odd]'"),
        (
            "choice ~ x1 + x2",
            "C(region, Treatment('odd'))",
            "C(region, Treatment('odd'))[T.west]",
        ),
        ("choice ~ x1 + brand", "1", "'brand[T.odd]'"),
        ("choice ~ x1 + C(brand, Treatment('odd'))", "1", "C(brand, Treatment('odd'))[T.b]"),
    ],
)
def test_a_level_that_one_person_has_explains_itself(formula, membership, apart):
    frame = people()
    is_odd, alternative = frame["person"] == 17, np.arange(len(frame)) % 3
    frame["region"] = np.where(is_odd, "odd", np.where(frame["person"] % 2, "east", "west"))
    frame["brand"] = np.where(
        is_odd & (alternative == 0), "odd", np.where(alternative == 1, "a", "b")
    )
    own = MixedMultinomialLogit.from_formula(
        formula, frame, 2, membership=membership, situation="situation", individual="person"
    )
    for n_folds in (2, 5):
        with pytest.raises(IdentificationError) as caught:
            cross_validate(own, [2], n_folds=n_folds)
        message = str(caught.value)
        assert " Only one individual, 17, tells " in message
        assert apart in message.partition(" Only one individual")[2].replace("\\'", "'")
        assert "Merge a level that one individual has".lower() in message.lower()
        assert "more folds" not in message


def test_a_level_of_a_few_people_in_one_fold_asks_for_other_folds():
    frame = people()
    own = model()
    held = _folds(own.choices.entries.frequency, 3, np.random.default_rng(4))
    two = np.flatnonzero(held[1])[:2]  # both in the second fold
    frame["region"] = np.where(frame["person"].isin(two), "odd", "usual")
    own = MixedMultinomialLogit.from_formula(
        "choice ~ x1", frame, 2, membership="region", situation="situation", individual="person"
    )
    with pytest.raises(IdentificationError) as caught:
        cross_validate(own, [2], n_folds=3, rng=4)
    assert (
        f" Only 2 individuals, the first of whom is {two[0]}, tell 'region[T.usual]' apart from "
        "what all others have, and all of them are in this fold. Use more folds or another rng, "
        "or merge a rare level with another."
    ) in str(caught.value)
