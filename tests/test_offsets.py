"""An offset is utility with a coefficient of one, wherever utilities enter.

The likelihood and its derivatives are held against loops on the cases of the zoo that have one.
"""

from __future__ import annotations

import pickle

import numpy as np
import oracle
import pandas as pd
import pytest
import zoo
from scipy.special import logsumexp

from mixlogit import (
    MixedMultinomialLogit,
    bootstrap_lr_test,
    cross_validate,
    from_wide,
    lr_test,
    read_results,
    select_classes,
    simulate_choices,
)
from mixlogit.__main__ import main
from mixlogit.errors import ArgumentError, ColumnError, DataError
from mixlogit.simulate import redraw

IDS = {"situation": "situation", "individual": "person", "alternative": "alt"}
OPTIMUM = 1e-5  # parameters of two searches for one maximum, certified to 1e-6 of standard errors
WITH = [one for one in zoo.CASES if "offset" in one.keywords]


def table() -> pd.DataFrame:
    """40 people with 5 situations of 4 alternatives, and a part of utility that is known."""
    frame = zoo.survey(31, [[4] * 5] * 40)
    frame["known"] = np.random.default_rng(31).normal(size=len(frame)).round(3)
    return frame


def model(frame=None, n_classes=2, formula="choice ~ x1 + x2", **keywords):
    keywords = IDS | {"offset": "known"} | keywords
    frame = table() if frame is None else frame
    return MixedMultinomialLogit.from_formula(formula, frame, n_classes, **keywords)


def fixed(frame=None, n_classes=2, **keywords):
    """The same model, with the known part as an attribute whose coefficient is fixed."""
    keywords = {"common": "known", "constraints": "known = 1", "offset": None} | keywords
    return model(frame, n_classes, "choice ~ x1 + x2 + known", **keywords)


@pytest.fixture(scope="module")
def fit():
    return model().fit()


@pytest.fixture(scope="module")
def fixed_fit():
    return fixed().fit()


def tastes_of(result) -> pd.DataFrame:
    return result.class_params.loc[["x1", "x2"]]


# -- the fit -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [1, 2])
def test_an_offset_is_an_attribute_with_a_coefficient_of_one(n_classes):
    with_offset, by_constraint = model(n_classes=n_classes).fit(), fixed(n_classes=n_classes).fit()
    assert with_offset.llf == pytest.approx(by_constraint.llf, abs=1e-7)
    names = [name for name in by_constraint.model.param_names if not name.endswith(".known")]
    for attribute in ("params", "bse"):
        expected = getattr(by_constraint, attribute)[names]
        np.testing.assert_allclose(getattr(with_offset, attribute), expected, atol=OPTIMUM)
    assert with_offset.df_model == by_constraint.df_model


@pytest.mark.parametrize("init", ["moments", "subspace", "random"])
def test_every_kind_of_start_reaches_the_maximum(fit, init):
    assert model().fit(init=init).llf == pytest.approx(fit.llf, abs=1e-6)


def test_zero_coefficients_leave_the_offset(fit):
    people = zoo.Case("known", table(), "choice ~ x1 + x2", IDS | {"offset": "known"}).problem
    expected = oracle.log_likelihood(people, np.zeros((1, 2)), np.empty((0, 1)))
    assert fit.llnull == pytest.approx(expected, rel=1e-12)
    assert fit.prsquared == pytest.approx(1 - fit.llf / expected, rel=1e-12)
    text = fit.summary().as_text()
    assert "LL offset alone" in text
    assert "LL equal shares" not in text


def test_a_constant_within_a_situation_changes_nothing(fit):
    frame = table()
    frame["known"] += frame["situation"] % 7 * 100.0
    assert model(frame).fit().llf == pytest.approx(fit.llf, rel=1e-10)  # 600 rounds to 1e-13


def test_stored_in_float32_an_offset_keeps_seven_digits(fit):
    stored = model(dtype="float32")
    assert stored.choices.offset.dtype == np.float32
    assert stored.loglike(fit.params) == pytest.approx(fit.llf, rel=1e-6)
    assert stored.loglike(fit.params) != fit.llf


def test_an_offset_of_a_case_is_read_in_the_order_of_its_rows():
    for one in WITH:
        data = one.model(1).choices
        expected = one.frame["corr"].to_numpy()[data.arrangement.order]
        np.testing.assert_array_equal(data.offset[0], expected)


def test_rows_sampled_with_their_probabilities_need_the_correction():
    """Of 60 alternatives the chosen one and others are kept, those with large x1 more often."""
    rng = np.random.default_rng(8)
    n, n_kept = 1500, 6
    x = rng.normal(size=(n, 60))
    weight = np.exp(x)
    chosen = (weight.cumsum(1) > rng.random((n, 1)) * weight.sum(1, keepdims=True)).argmax(1)
    q = np.exp(2 * x) / np.exp(2 * x).sum(1, keepdims=True)
    rows = []
    for s in range(n):
        drawn = rng.choice(60, size=n_kept, p=q[s])
        times = np.bincount(np.append(drawn, chosen[s]), minlength=60)
        kept = np.flatnonzero(times)  # McFadden's positive conditioning: draws with replacement
        rows.append(
            pd.DataFrame(
                {
                    "situation": s,
                    "choice": (kept == chosen[s]).astype(int),
                    "x": x[s, kept],
                    "corr": np.log(times[kept] / q[s, kept]),
                }
            )
        )
    sampled = pd.concat(rows, ignore_index=True)
    corrected, plain = (
        MixedMultinomialLogit.from_formula(
            "choice ~ x", sampled, 1, situation="situation", offset=offset
        ).fit()
        for offset in ("corr", None)
    )
    # the taste is 1: within four standard errors with the correction, far away without
    assert abs(corrected.params["class1.x"] - 1) < 4 * corrected.bse["class1.x"]
    assert abs(plain.params["class1.x"] - 1) > 10 * plain.bse["class1.x"]


# -- what carries it ---------------------------------------------------------------------------


def test_other_numbers_of_classes_keep_it():
    selection = select_classes(model(), [1, 2, 3], n_starts=4)
    by_constraint = select_classes(fixed(), [1, 2, 3], n_starts=4)
    np.testing.assert_allclose(selection.table["llf"], by_constraint.table["llf"], atol=1e-6)
    np.testing.assert_array_equal(selection.table["n_params"], by_constraint.table["n_params"])


def test_people_held_out_have_it():
    own = cross_validate(model(), [1, 2], 3, n_starts=4).table
    by_constraint = cross_validate(fixed(), [1, 2], 3, n_starts=4).table
    np.testing.assert_allclose(own["llf"], by_constraint["llf"], atol=1e-5)


def test_choices_are_redrawn_with_it(fit):
    frame = table()
    frame["known"] = 200.0 * frame["choice"]  # decides every choice
    data = model(frame).choices
    again = redraw(data, fit._parameters, np.random.default_rng(0))
    np.testing.assert_array_equal(again.entries.row, data.entries.row)
    one = model(n_classes=1).fit()
    found = bootstrap_lr_test(one, fit, 2, n_starts=2)
    assert found.statistic == pytest.approx(2 * (fit.llf - one.llf), abs=1e-5)


@pytest.mark.filterwarnings("ignore::mixlogit.errors.ConvergenceWarning")
def test_fits_with_and_without_it_are_not_nested(fit):
    without = model(offset=None, formula="choice ~ x1").fit()
    with pytest.raises(ArgumentError, match="cannot express the offset of the restricted one"):
        lr_test(without, fit)
    with pytest.raises(ArgumentError, match="membership covariates, offset or constraints"):
        bootstrap_lr_test(model(offset=None, n_classes=1).fit(), fit, 1)
    narrow = model(formula="choice ~ x1").fit()
    assert lr_test(narrow, fit).statistic == pytest.approx(2 * (fit.llf - narrow.llf))


def test_files_pickles_and_chunks_carry_it(fit, tmp_path):
    fit.to_file(tmp_path / "fit.npz")
    fit.to_file(tmp_path / "bare.npz", include_data=False)
    again, bare = (read_results(tmp_path / name) for name in ("fit.npz", "bare.npz"))
    assert again.model.loglike(fit.params) == fit.model.loglike(fit.params)
    assert again.llnull == fit.llnull == bare.llnull
    new = table().drop(columns="choice")
    for other in (again, bare, pickle.loads(pickle.dumps(fit))):
        pd.testing.assert_series_equal(other.predict(new), fit.predict(new), rtol=1e-14)
        assert "LL offset alone" in other.summary().as_text()
    frame = table()
    pieces = [frame.iloc[:333], frame.iloc[333:]]
    chunked = MixedMultinomialLogit.from_chunks(
        "choice ~ x1 + x2", pieces, 2, offset="known", **IDS
    )
    assert chunked.loglike(fit.params) == pytest.approx(fit.llf, rel=1e-12)


def test_arrays_and_wide_tables_have_it(fit):
    frame = table()
    roles = {role: frame[name] for role, name in IDS.items()}
    arrays = MixedMultinomialLogit(
        frame["choice"], frame[["x1", "x2"]], 2, offset=frame["known"], **roles
    )
    assert arrays.loglike(fit.params) == pytest.approx(fit.llf, rel=1e-12)
    again = arrays.fit()
    new = {"situation": roles["situation"], "offset": frame["known"].to_numpy()}
    expected = fit.predict(frame).to_numpy()
    np.testing.assert_allclose(again.predict(frame[["x1", "x2"]], **new), expected, atol=1e-5)
    with pytest.raises(ArgumentError, match=r"has an offset, and the new arrays.* Pass offset="):
        again.predict(frame[["x1", "x2"]], situation=roles["situation"])
    wide = frame.pivot(index=["person", "situation"], columns="alt")
    wide.columns = [f"{name}_{alt}" for name, alt in wide.columns]
    wide = wide.reset_index()
    wide["chosen"] = wide[[f"choice_{alt}" for alt in range(1, 5)]].to_numpy().argmax(1) + 1
    names = ("x1", "x2", "known")
    long = from_wide(
        wide,
        alternatives={alt: alt for alt in range(1, 5)},
        choice="chosen",
        varying={name: {alt: f"{name}_{alt}" for alt in range(1, 5)} for name in names},
        situation="situation",
        individual="person",
    )
    reshaped = model(long, alternative="alternative")
    assert reshaped.loglike(fit.params) == pytest.approx(fit.llf, rel=1e-12)


def test_the_command_line_names_it(fit, tmp_path, capsys):
    table().to_csv(tmp_path / "trips.csv", index=False)
    ids = [part for role, name in IDS.items() for part in (f"--{role}", name)]
    argv = [str(tmp_path / "trips.csv"), "choice ~ x1 + x2", *ids, "--classes", "2"]
    assert main(["fit", *argv, "--offset", "known"]) == 0
    out = capsys.readouterr().out
    assert f"{fit.llf:.4f}" in out
    assert "LL offset alone" in out
    assert main(["fit", *argv, "--offset", "unknown"]) == 2
    assert "offset='unknown'" in capsys.readouterr().err


# -- predictions -------------------------------------------------------------------------------


def test_probabilities_are_those_of_the_loop(fit):
    new = table().iloc[:80]
    beta, share = fit.class_params.to_numpy().T, fit.class_shares.to_numpy()
    expected, linear = np.zeros(80), np.zeros((80, 2))
    for _, menu in new.groupby("situation"):
        x, place = menu[["x1", "x2"]].to_numpy(), new.index.get_indexer(menu.index)
        for k in range(2):
            log_p = oracle.log_prob(x, beta[k], menu["known"].to_numpy())
            expected[place] += share[k] * np.exp(log_p)
        linear[place] = x @ beta.T + menu[["known"]].to_numpy()
    np.testing.assert_allclose(fit.predict(new), expected, rtol=1e-12)
    np.testing.assert_allclose(fit.predict(new, which="linear"), linear, rtol=1e-12)
    whole = fit.predict()
    np.testing.assert_allclose(whole.iloc[:80], expected, rtol=1e-12)


def test_demand_is_that_of_the_attribute_with_a_coefficient_of_one(fit, fixed_fit):
    frame = table()
    pairs = [
        lambda one: one.market_shares(frame),
        lambda one: one.market_shares(frame, {"known": 1.5}),
        lambda one: one.elasticities("x1", frame),
        lambda one: one.logsum(frame),
        lambda one: one.welfare_change("x2", frame, {"known": 1.5}).drop(columns="note"),
        lambda one: one.held_out_loglike(frame),
        lambda one: one.predict(frame, history=frame),
    ]
    for report in pairs:
        np.testing.assert_allclose(report(fit), report(fixed_fit), rtol=1e-4, atol=1e-5)


def test_log_sums_are_those_of_the_loop(fit):
    frame, beta = table(), fit.class_params.to_numpy().T
    first = frame[frame["situation"] == 1]
    v = first[["x1", "x2"]].to_numpy() @ beta.T + first[["known"]].to_numpy()
    np.testing.assert_allclose(fit.logsum(frame).iloc[0, :2], logsumexp(v, axis=0), rtol=1e-12)


def test_an_elasticity_of_what_is_also_the_offset_is_refused():
    one = model(formula="choice ~ x1 + I(known * x2)").fit(n_starts=2)
    with pytest.raises(ArgumentError, match="'known' is also the offset"):
        one.elasticities("known", table())


def test_simulated_choices_follow_it():
    frame = table().drop(columns="choice")
    frame["known"] = np.where(frame["alt"] == 3, 200.0, 0.0)
    tastes = pd.DataFrame({"class1": [1.0, -1.0]}, index=["x1", "x2"])
    drawn = simulate_choices(frame, tastes, offset="known", **IDS)
    assert (drawn.loc[drawn["choice"] == 1, "alt"] == 3).all()
    ids = {"situation": "situation", "individual": "person"}
    drawn = simulate_choices(frame.assign(x1=0.0, x2=0.0), tastes, offset="known", **ids)
    assert (drawn.loc[drawn["choice"] == 1, "alt"] == 3).all()


# -- what is no offset -------------------------------------------------------------------------


def damaged(value, row=9) -> pd.DataFrame:
    frame = table()
    frame["known"] = frame["known"].astype(object)
    frame.loc[row, "known"] = value
    return frame


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"1 value of the offset column 'known' is missing.* situation 3 .*Correct"),
        (np.inf, r"1 value of the offset column 'known' is missing, not finite.*probability of 0"),
        (1e200, "larger than 1e\\+100 in size"),
        (
            "low",
            "1 value of the offset column 'known' is not a number; the first is 'low' in row 9",
        ),
    ],
)
def test_what_is_no_number_of_utils_is_refused(value, message):
    with pytest.raises(DataError, match=message):
        model(damaged(value))


def test_situations_where_it_is_missing_can_be_dropped():
    with pytest.warns(match="1 of 200 choice situations dropped"):
        own = model(damaged(np.nan), missing="drop")
    assert own.choices.n_situations == 199


def test_new_data_must_have_it(fit):
    with pytest.raises(ColumnError, match="offset='known'"):
        fit.predict(table().drop(columns="known"))
    with pytest.raises(DataError, match="offset column 'known'"):
        fit.predict(damaged(np.nan))
