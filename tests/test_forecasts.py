"""Predictions of a fit: with histories, market shares, scenarios, elasticities, log-sums."""

from __future__ import annotations

import functools
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import zoo
from oracle import (
    difference_gradient,
    log_membership,
    log_sum_exp,
    posterior_of,
    unflatten,
)
from scipy import stats

from mixlogit import MixedMultinomialLogit, datasets, forecasts, read_results
from mixlogit.errors import (
    ArgumentError,
    ColumnError,
    DataError,
    MixlogitWarning,
    NoDataError,
)

PANEL = {"situation": "situation", "individual": "person", "alternative": "alternative"}
FORMULA = "choice ~ C(alternative) + I(travel_time / 100) + I(cost_paid / 100)"
COST = "I(cost_paid / 100)"
LIMITS = ["[0.025", "0.975]"]


@functools.cache
def survey() -> pd.DataFrame:
    """Two hundred people of the swissmetro survey, some without a car, with weights."""
    data = datasets.load("swissmetro").data.query("purpose in (1, 3)")
    data = data[data["person"].isin(sorted(data["person"].unique())[:200])]
    return data.assign(w=0.5 + data["person"] % 4, old=(data["age"] > 2).astype(float))


@functools.cache
def weighted_fit():
    """Ragged choice sets, a panel, membership covariates and sampling weights."""
    model = MixedMultinomialLogit.from_formula(
        FORMULA, survey(), 2, **PANEL, membership="old + male", weights="w"
    )
    return model.fit(n_starts=4)


@functools.cache
def interaction_fit():
    """A column that enters by alternative, and another in logarithms."""
    model = MixedMultinomialLogit.from_formula(
        "choice ~ C(alternative) + C(alternative):travel_time + np.log(1 + cost_paid)",
        survey().assign(travel_time=lambda f: f["travel_time"] / 100),
        1,
        **PANEL,
    )
    return model.fit()


def design(frame: pd.DataFrame) -> np.ndarray:
    """The attributes of `FORMULA`, by hand."""
    columns = [frame["alternative"] == "sm", frame["alternative"] == "train"]
    columns += [frame["travel_time"] / 100, frame["cost_paid"] / 100]
    return np.column_stack(columns).astype(float)


def second_class(flat: np.ndarray, frame: pd.DataFrame) -> pd.Series:
    """Probability of class 2 in the weighted fit, at any parameters."""
    return 1 / (1 + np.exp(-(flat[8] + flat[9] * frame["old"] + flat[10] * frame["male"])))


def by_hand(flat: np.ndarray, frame: pd.DataFrame, *, weighted: bool = True) -> pd.DataFrame:
    """Shares of the weighted fit at any parameters: segments by alternatives."""
    second = second_class(flat, frame)
    weight = frame["w"] if weighted else 1.0
    parts = {}
    for name, prior, beta in (("class1", 1 - second, flat[:4]), ("class2", second, flat[4:8])):
        odds = pd.Series(np.exp(design(frame) @ beta), index=frame.index)
        prob = odds / odds.groupby(frame["situation"]).transform("sum")
        size = (weight * prior).groupby(frame["situation"]).first().sum()
        parts[name] = (prob * prior * weight).groupby(frame["alternative"]).sum(), size
    total = sum(size for _, size in parts.values())
    shares = {"market": sum(mass for mass, _ in parts.values()) / total}
    return pd.DataFrame(shares | {name: mass / size for name, (mass, size) in parts.items()}).T


def errors_by_differences(result, function) -> np.ndarray:
    """Delta-method errors of a function of the flat parameters, its slope by differences."""
    slope = difference_gradient(function, result.params.to_numpy()).T
    return np.sqrt(np.einsum("md,de,me->m", slope, result.cov_params().to_numpy(), slope))


def dearer(frame: pd.DataFrame, alternative: str, factor: float) -> pd.DataFrame:
    """The table with the cost of one alternative multiplied."""
    own = frame["alternative"] == alternative
    return frame.assign(cost_paid=frame["cost_paid"].where(~own, frame["cost_paid"] * factor))


# -- market shares -----------------------------------------------------------------------------


def test_market_shares_are_weighted_means_of_predictions():
    result = weighted_fit()
    shares = result.market_shares(by_class=True)
    expected = by_hand(result.params.to_numpy(), survey())
    np.testing.assert_allclose(shares["share"], expected.to_numpy().ravel(), rtol=1e-12)
    assert shares.index.names == ["segment", "alternative"]
    assert list(shares.index.levels[0]) == ["class1", "class2", "market"]
    pd.testing.assert_frame_equal(shares.loc["market"], result.market_shares())


def test_errors_of_market_shares_are_the_delta_method_by_differences():
    result = weighted_fit()
    table = result.market_shares(by_class=True, alpha=0.1)
    expected = errors_by_differences(
        result, lambda flat: by_hand(flat, survey()).to_numpy().ravel()
    )
    np.testing.assert_allclose(table["std err"], expected, rtol=1e-7)
    log_odds = np.log(table[["share", "[0.05", "0.95]"]] / (1 - table[["share", "[0.05", "0.95]"]]))
    share = table["share"]
    reach = stats.norm.ppf(0.95) * table["std err"] / (share * (1 - share))
    np.testing.assert_allclose(log_odds["0.95]"] - log_odds["share"], reach, rtol=1e-10)
    np.testing.assert_allclose(log_odds["share"] - log_odds["[0.05"], reach, rtol=1e-10)


def test_the_fitted_table_gives_the_shares_of_the_fitted_data():
    result = weighted_fit()
    pd.testing.assert_frame_equal(result.market_shares(survey()), result.market_shares())
    shuffled = survey().sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(result.market_shares(shuffled), result.market_shares())


def test_new_situations_count_once_without_a_column_of_weights():
    result = weighted_fit()
    table = result.market_shares(survey().drop(columns=["w", "choice"]))
    expected = by_hand(result.params.to_numpy(), survey(), weighted=False)
    np.testing.assert_allclose(table["share"], expected.loc["market"], rtol=1e-12)
    assert (abs(table["share"] - result.market_shares()["share"]) > 1e-6).all()


def test_frequency_weights_of_new_data_count_situations():
    data = survey().assign(n=1 + survey()["person"] % 3)
    model = MixedMultinomialLogit.from_formula(FORMULA, data, 1, **PANEL, freq_weights="n")
    result = model.fit()
    repeated = data.loc[data.index.repeat(data["n"])]
    copy = repeated.groupby(level=0).cumcount()
    repeated = repeated.assign(situation=repeated["situation"] * 3 + copy).drop(columns="n")
    expected = result.market_shares(repeated.drop(columns="person"))["share"]
    for table in (result.market_shares(), result.market_shares(data)):
        np.testing.assert_allclose(table["share"], expected, rtol=1e-12)
    halves = data.assign(n=data["n"] / 2)
    with pytest.raises(DataError, match="no whole numbers of at least 1; the first is 1"):
        result.market_shares(halves)
    assert len(result.predict(halves)) == len(data)  # which does not need them


def test_constants_of_alternatives_make_one_class_predict_the_observed_shares():
    result = interaction_fit()
    observed = survey().query("choice == 1")["alternative"].value_counts(normalize=True)
    predicted = result.market_shares()["share"]
    # the first-order conditions of the constants, at the tolerance of the fit
    np.testing.assert_allclose(predicted, observed.sort_index(), rtol=1e-8)


def test_counts_weight_situations_by_the_choices_made_there():
    case = zoo.case("repeated choices")
    model = MixedMultinomialLogit.from_formula(
        case.formula, case.frame, 2, **case.keywords, alternative="alt"
    )
    result = model.fit(n_starts=4)
    n = case.frame.groupby("situation")["choice"].transform("sum")
    expected = (result.predict() * n).groupby(case.frame["alt"]).sum() / case.frame["choice"].sum()
    np.testing.assert_allclose(result.market_shares()["share"], expected, rtol=1e-12)


def test_one_table_of_many_shoppers_has_their_mean_shares():
    case = zoo.case("shared table")
    choices = case.choices.assign(age=case.choices["shopper"] / 10)
    model = MixedMultinomialLogit.from_table(
        case.formula, case.frame, choices, 2, **case.keywords, membership="age"
    )
    result = model.fit(n_starts=4)
    flat, x = result.params.to_numpy(), case.frame.set_index("item")[["x1", "x2"]].sort_index()
    prob = np.exp(x.to_numpy() @ flat[:4].reshape(2, 2).T)
    prob /= prob.sum(axis=0)
    second = 1 / (1 + np.exp(-(flat[4] + flat[5] * choices["age"])))
    mean = (choices["n"] * second).sum() / choices["n"].sum()
    expected = pd.Series(prob @ [1 - mean, mean], index=x.index)
    table = result.market_shares()
    np.testing.assert_allclose(table["share"], expected, rtol=1e-12)
    predicted = result.predict().set_axis(case.frame["item"]).sort_index()
    np.testing.assert_allclose(predicted, expected, rtol=1e-12)
    posterior = result.predict(history="fitted").set_axis(case.frame["item"]).sort_index()
    n = choices.groupby("shopper")["n"].sum()
    mean = (n @ result.posterior) / n.sum()
    np.testing.assert_allclose(posterior, prob @ mean.to_numpy(), rtol=1e-12)


def test_shares_in_parts_equal_shares_at_once(monkeypatch):
    result = weighted_fit()
    whole = result.market_shares(survey(), {"cost_paid": 1.2}, by_class=True)
    monkeypatch.setattr(forecasts, "_NUMBERS_PER_BLOCK", 2 * len(result.params))
    parts = result.market_shares(survey(), {"cost_paid": 1.2}, by_class=True)
    pd.testing.assert_frame_equal(parts, whole, rtol=1e-13)


# -- scenarios ---------------------------------------------------------------------------------


def test_a_scenario_is_the_same_as_a_mapping_as_a_function_and_by_hand():
    result, data = weighted_fit(), survey()
    mapping = result.market_shares(data, {"cost_paid": 1.1, "old": lambda c: 1 - c})
    function = result.market_shares(
        data, lambda f: f.assign(cost_paid=f["cost_paid"] * 1.1, old=1 - f["old"])
    )
    pd.testing.assert_frame_equal(mapping, function)
    changed = data.assign(cost_paid=data["cost_paid"] * 1.1, old=1 - data["old"])
    before, after = result.market_shares(data)["share"], result.market_shares(changed)["share"]
    np.testing.assert_allclose(mapping["base"], before, rtol=1e-14)
    np.testing.assert_allclose(mapping["scenario"], after, rtol=1e-14)
    np.testing.assert_allclose(mapping["change"], after - before, rtol=0, atol=1e-15)
    assert list(mapping.columns) == ["base", "scenario", "change", "std err", *LIMITS]


def test_the_error_of_a_change_is_that_of_the_difference():
    result, data = weighted_fit(), survey()
    changed = dearer(data, "train", 1.5)
    table = result.market_shares(data, lambda f: dearer(f, "train", 1.5), by_class=True)
    expected = errors_by_differences(
        result, lambda flat: (by_hand(flat, changed) - by_hand(flat, data)).to_numpy().ravel()
    )
    np.testing.assert_allclose(table["std err"], expected, rtol=1e-7)
    reach = stats.norm.ppf(0.975) * table["std err"]
    np.testing.assert_allclose(table["0.975]"] - table["change"], reach, rtol=1e-10)
    np.testing.assert_allclose(table["change"] - table["[0.025"], reach, rtol=1e-10)


@pytest.mark.parametrize("gone", ["car", "train"])
def test_alternatives_may_come_and_go(gone):
    result, data = weighted_fit(), survey()
    without = data[data["alternative"] != gone]
    table = result.market_shares(data, lambda f: without)
    assert table.loc[gone, "scenario"] == 0
    assert table.loc[gone, "change"] == -table.loc[gone, "base"]
    rest = result.market_shares(without)["share"]
    np.testing.assert_allclose(table.loc[rest.index, "scenario"], rest, rtol=1e-13)
    back = result.market_shares(without, lambda f: data)
    assert list(back.index) == [*rest.index, gone]
    np.testing.assert_allclose(back["change"], -table.loc[back.index, "change"], rtol=1e-12)
    np.testing.assert_allclose(back["std err"], table.loc[back.index, "std err"], rtol=1e-12)


def test_a_scenario_that_changes_its_argument_leaves_the_data_alone():
    result, data = weighted_fit(), survey().copy()

    def in_place(frame):
        frame["cost_paid"] *= 2
        return frame

    table = result.market_shares(data, in_place)
    pd.testing.assert_frame_equal(table, result.market_shares(data, {"cost_paid": 2}))
    pd.testing.assert_frame_equal(data, survey())


@pytest.mark.parametrize(
    ("scenario", "kind", "message"),
    [
        (1.1, ArgumentError, "a function of the table or a mapping by column, not float"),
        ({"kost_paid": 2}, ColumnError, "scenario column 'kost_paid': the table has no such"),
        ({"headway": 2}, ArgumentError, "changes column 'headway', which the model does not read"),
        ({"cost_paid": "2"}, ArgumentError, "'cost_paid' must be a number to multiply by or a"),
        ({"cost_paid": True}, ArgumentError, "function of the column, not bool"),
        ({"alternative": 2}, ArgumentError, "multiplies column 'alternative', which holds "),
        (lambda f: f[f["person"] > 1], DataError, "leaves out [0-9]+ choice situations and adds 0"),
        (lambda f: None, DataError, "what the scenario returns must be a table"),
    ],
)
def test_scenarios_that_make_no_sense_are_refused(scenario, kind, message):
    with pytest.raises(kind, match=message):
        weighted_fit().market_shares(survey(), scenario)


def test_a_scenario_needs_a_table():
    with pytest.raises(ArgumentError, match=r"data is not given. Pass the choice sets before"):
        weighted_fit().market_shares(scenario={"cost_paid": 2})
    with pytest.raises(ArgumentError, match=r"data is ndarray. Pass the choice sets before"):
        array_fit().market_shares(design(survey()), {"x1": 2})


# -- elasticities ------------------------------------------------------------------------------


@pytest.mark.parametrize("fit", [weighted_fit, interaction_fit])
@pytest.mark.parametrize("column", ["cost_paid", "travel_time"])
def test_elasticities_are_derivatives_of_market_shares(fit, column):
    result, data = fit(), survey().assign(travel_time=lambda f: f["travel_time"] / 100)
    table = result.elasticities(column, data)["elasticity"]
    for m in ("car", "sm", "train"):

        def log_shares(log_factor, m=m):
            own = data["alternative"] == m
            factor = np.where(own, np.exp(log_factor[0]), 1.0)
            changed = data.assign(**{column: data[column] * factor})
            return np.log(result.market_shares(changed, by_class=True)["share"])

        expected = difference_gradient(log_shares, np.zeros(1), step=1e-2)[0]
        # the design's own step leaves 1e-10; a share's logarithm 1e-16 over the step
        np.testing.assert_allclose(table.xs(m, level="change_in"), expected, rtol=1e-7, atol=1e-9)


def test_errors_of_elasticities_are_the_delta_method_by_differences():
    result, data = weighted_fit(), survey()
    data = data[data["person"] % 8 == 0]

    def elasticities(flat):
        columns = []
        for m in ("car", "sm", "train"):
            change = difference_gradient(
                lambda h, m=m: (
                    np.log(by_hand(flat, dearer(data, m, float(np.exp(h[0]))))).to_numpy().ravel()
                ),
                np.zeros(1),
                step=3e-2,
            )
            columns.append(change[0])
        return np.column_stack(columns).ravel()

    table = result.elasticities("cost_paid", data)
    np.testing.assert_allclose(
        table["elasticity"], elasticities(result.params.to_numpy()), rtol=1e-6, atol=1e-8
    )
    expected = errors_by_differences(result, elasticities)
    np.testing.assert_allclose(table["std err"], expected, rtol=1e-6)
    reach = stats.norm.ppf(0.975) * table["std err"]
    np.testing.assert_allclose(table["0.975]"] - table["elasticity"], reach, rtol=1e-10)
    np.testing.assert_allclose(table["elasticity"] - table["[0.025"], reach, rtol=1e-10)


def test_a_column_of_the_design_is_a_column_of_the_table_where_they_are_one():
    result = weighted_fit()
    table, fitted_data = result.elasticities("cost_paid", survey()), result.elasticities(COST)
    np.testing.assert_allclose(table, fitted_data, rtol=1e-8)  # the design's own step: 1e-11
    assert table.index.names == ["segment", "share_of", "change_in"]
    assert table.index[0] == ("market", "car", "car")


def test_elasticities_of_all_alternatives_add_up_to_that_of_a_general_rise():
    result, data = weighted_fit(), survey()
    total = result.elasticities("cost_paid", data)["elasticity"]
    total = total.groupby(level=["segment", "share_of"], sort=False).sum()

    def log_shares(log_factor):
        changed = {"cost_paid": float(np.exp(log_factor[0]))}
        return np.log(result.market_shares(data, changed, by_class=True)["scenario"])

    expected = difference_gradient(log_shares, np.zeros(1), step=1e-2)[0]
    np.testing.assert_allclose(total, expected, rtol=1e-7, atol=1e-9)


def test_shares_weight_elasticities_to_zero():
    result = weighted_fit()
    share = result.market_shares(by_class=True)["share"].rename_axis(["segment", "share_of"])
    change = (result.elasticities(COST)["elasticity"] * share).groupby(["segment", "change_in"])
    np.testing.assert_allclose(change.sum(), 0, rtol=0, atol=1e-13)


def test_some_alternatives_can_be_asked_for():
    result = weighted_fit()
    table = result.elasticities(COST, alternatives=["train", "car"])
    assert len(table) == 3 * 4
    np.testing.assert_allclose(table, result.elasticities(COST).loc[table.index], rtol=1e-10)


def test_elasticities_of_counts_with_alternatives():
    case = zoo.case("counts")
    result = case.model(2).fit(n_starts=4)
    x = case.frame.set_index("item")[["x1", "x2"]].sort_index()
    tastes, share = result.class_params.to_numpy(), result.class_shares.to_numpy()

    def log_shares(log_factor):
        grown = x.to_numpy().copy()
        grown[2, 0] *= np.exp(log_factor[0])
        prob = np.exp(grown @ tastes)
        return np.log(prob / prob.sum(axis=0) @ share)

    expected = difference_gradient(log_shares, np.zeros(1))[0]
    table = result.elasticities("x1").loc["market"].xs(x.index[2], level="change_in")
    np.testing.assert_allclose(table["elasticity"], expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(
    ("attribute", "keywords", "message"),
    [
        ("kost", {}, r"attribute='kost' is no column of the design, and no column of the table"),
        ("headway", {"data": "survey"}, "the formulas read 'alternative', 'travel_time', 'cost_"),
        ("alternative", {"data": "survey"}, "which cannot grow by a little"),
        (COST, {"alternatives": range(31)}, "of 31 alternatives would be 961 for each segment"),
        (COST, {"alternatives": ["tram"]}, "alternatives of the data: 'tram' is not one. They"),
        (COST, {"alternatives": ["car", "car"]}, "of the data: each once, at least one. They are"),
        (COST, {"alternatives": []}, "of the data: each once, at least one. They are 'car', 'sm'"),
    ],
)
def test_elasticities_that_make_no_sense_are_refused(attribute, keywords, message):
    if "data" in keywords:
        keywords = {"data": survey()}
    with pytest.raises(ArgumentError, match=message):
        weighted_fit().elasticities(attribute, **keywords)


def test_a_name_that_means_several_columns_of_the_design_needs_the_table():
    formula = "choice ~ C(alternative) + cost_paid + cost_paid:old"
    result = MixedMultinomialLogit.from_formula(formula, survey(), 1, **PANEL).fit()
    assert result.model.spec.utility.names_reading("cost_paid") == ("cost_paid", "cost_paid:old")
    assert result.model.spec.utility.names_reading("headway") == ()
    with pytest.raises(ArgumentError, match="the table that the model was built from, which mod"):
        pickle.loads(pickle.dumps(result)).elasticities("cost_paid")
    x = result.elasticities("cost_paid", survey())["elasticity"]
    pd.testing.assert_series_equal(result.elasticities("cost_paid")["elasticity"], x)
    part = result.elasticities("cost_paid:old")["elasticity"]  # of this column alone
    assert (abs(x - part) > 1e-3).all()


def test_reports_by_alternative_need_ids_of_alternatives():
    result = zoo.case("ragged panel").model(1).fit()
    for ask in (result.market_shares, lambda: result.elasticities("x1")):
        with pytest.raises(ArgumentError, match="Build the model with alternative=, or pass"):
            ask()
    formula = "choice ~ cost_paid + travel_time"
    result = MixedMultinomialLogit.from_formula(formula, survey(), 1, **PANEL).fit()
    with pytest.raises(ArgumentError, match="Add the column 'alternative' to the data"):
        result.market_shares(survey().drop(columns="alternative"))


# -- log-sums ----------------------------------------------------------------------------------


def test_log_sums_equal_a_loop():
    result, data = weighted_fit(), survey()
    table = result.logsum()
    assert list(table.columns) == ["class1", "class2", "expected"]
    assert table.index.names == ["person", "situation"]
    tastes, flat = result.class_params.to_numpy(), result.params.to_numpy()
    for label in table.index[::97]:
        rows = data[data["situation"] == label[1]]
        sums = [log_sum_exp(design(rows) @ beta) for beta in tastes.T]
        z = np.array([1.0, rows["old"].iloc[0], rows["male"].iloc[0]])
        second = 1 / (1 + np.exp(-z @ flat[8:]))
        expected = [*sums, (1 - second) * sums[0] + second * sums[1]]
        np.testing.assert_allclose(table.loc[label], expected, rtol=1e-12)
    pd.testing.assert_frame_equal(result.logsum(data), table)
    plain = result.logsum(data.drop(columns="person"))
    assert plain.index.name == "situation"
    np.testing.assert_allclose(plain.sort_index(), table.droplevel(0).sort_index(), rtol=1e-12)


def test_log_sums_grow_with_the_cost_of_an_alternative_by_its_probability():
    result, data = weighted_fit(), survey()
    own = data["alternative"] == "sm"

    def raised(step):
        changed = data.assign(cost_paid=data["cost_paid"] + 100 * step[0] * own)
        return result.logsum(changed)[["class1", "class2"]].to_numpy()

    prob = result.predict(which="class_prob")[own].set_axis(data.loc[own, "situation"])
    prob = prob.reindex(result.logsum().index.get_level_values(1)).fillna(0)
    expected = prob * result.class_params.loc[COST]
    np.testing.assert_allclose(
        difference_gradient(raised, np.zeros(1), step=1e-2)[0], expected, rtol=1e-7, atol=1e-10
    )


# -- welfare -----------------------------------------------------------------------------------


def welfare(flat: np.ndarray, before: pd.DataFrame, after: pd.DataFrame) -> np.ndarray:
    """Change in surplus of the population and the classes, by hand."""
    first = before.drop_duplicates("situation").set_index("situation")
    second = second_class(flat, first)
    gains, sizes = [], []
    for prior, beta in ((1 - second, flat[:4]), (second, flat[4:8])):
        sums = [
            np.log(pd.Series(np.exp(design(f) @ beta), index=f.index).groupby(f["situation"]).sum())
            for f in (before, after)
        ]
        gains.append((first["w"] * prior * (sums[1] - sums[0])).sum() / -beta[3])
        sizes.append((first["w"] * prior).sum())
    return np.array([sum(gains) / sum(sizes), *np.divide(gains, sizes)])


def test_welfare_is_the_log_sum_in_money_with_errors_by_differences():
    result, data = weighted_fit(), survey()
    assert (result.class_params.loc[COST] < 0).all()
    table = result.welfare_change(COST, data, {"travel_time": 0.9})
    faster = data.assign(travel_time=data["travel_time"] * 0.9)
    flat = result.params.to_numpy()
    np.testing.assert_allclose(table["change"], welfare(flat, data, faster), rtol=1e-11)
    expected = errors_by_differences(result, lambda flat: welfare(flat, data, faster))
    np.testing.assert_allclose(table["std err"], expected, rtol=1e-7)
    assert list(table.index) == ["population", "class1", "class2"]
    assert list(table.columns) == ["change", "std err", *LIMITS, "note"]
    assert (table["note"] == "").all()
    reach = stats.norm.ppf(0.975) * table["std err"]
    np.testing.assert_allclose(table["0.975]"] - table["change"], reach, rtol=1e-10)


def test_welfare_falls_with_a_price_by_the_demand_for_it():
    result, data = weighted_fit(), survey()
    own = data["alternative"] == "train"

    def change(step):
        raised = result.welfare_change(
            COST, data, lambda f: f.assign(cost_paid=f["cost_paid"] + 100 * step[0] * own)
        )
        return raised["change"].to_numpy()

    demand = result.market_shares(data, by_class=True)["share"].xs("train", level=1)
    expected = -demand.loc[["class1", "class2"]]
    slope = difference_gradient(change, np.zeros(1), step=1e-2)[0]
    np.testing.assert_allclose(slope[1:], expected, rtol=1e-7)
    np.testing.assert_allclose(slope[0], -demand.loc["market"], rtol=1e-7)


def test_who_is_in_which_class_stays_as_before_the_change():
    result, data = weighted_fit(), survey()
    table = result.welfare_change(COST, data, {"travel_time": 0.9, "old": lambda c: 1 - c})
    pd.testing.assert_frame_equal(table, result.welfare_change(COST, data, {"travel_time": 0.9}))


def test_there_is_no_welfare_in_a_cost_that_is_none():
    result = weighted_fit()
    constant = "C(alternative)[T.sm]"
    positive = result.class_params.loc[constant] >= 0
    assert positive.any()
    table = result.welfare_change(constant, survey(), {"cost_paid": 2})
    named = ", ".join(positive.index[positive])
    for name, note in table["note"].items():
        if name == "population":
            assert note == f"cost ≥ 0 in {named}"
        elif positive[name]:
            assert note == "cost ≥ 0"
        else:
            assert note.startswith(f"{name}.{constant} is not significantly different from 0")
    assert list(table["change"].isna()) == [True, *positive]
    assert list(table["std err"].isna()) == [True, *positive]


def test_welfare_needs_a_cost_of_the_model():
    with pytest.raises(
        ArgumentError, match=r"cost='cost_payd' is not an attribute of the model.*Did you mean 'c"
    ):
        weighted_fit().welfare_change("cost_payd", survey(), {"travel_time": 0.9})


def test_welfare_in_a_column_of_the_table_is_in_its_own_unit():
    result, faster = weighted_fit(), {"travel_time": 0.9}
    own = result.welfare_change("cost_paid", survey(), faster)
    of_design = result.welfare_change(COST, survey(), faster)  # in hundreds
    # the design's own step leaves 1e-10
    columns = ["change", "std err"]
    np.testing.assert_allclose(own[columns], 100 * of_design[columns], rtol=1e-8)


@pytest.mark.parametrize("alpha", [0, 1, 2.5])
def test_levels_outside_of_0_and_1_are_refused(alpha):
    result = weighted_fit()
    for ask in (
        lambda: result.market_shares(alpha=alpha),
        lambda: result.elasticities(COST, alpha=alpha),
        lambda: result.welfare_change(COST, survey(), {"travel_time": 0.9}, alpha=alpha),
    ):
        with pytest.raises(ArgumentError, match="alpha must lie between 0 and 1"):
            ask()


# -- histories ---------------------------------------------------------------------------------


def bayes(result, history: pd.DataFrame, person: int) -> np.ndarray:
    """Posterior of one individual from the predictions by class, by a loop."""
    own = history[history["person"] == person]
    flat = result.params.to_numpy()
    z = np.array([1.0, own["old"].iloc[0], own["male"].iloc[0]])
    joint = np.array([1.0, np.exp(z @ flat[8:])])
    for _, rows in own.groupby("situation"):
        utility = design(rows) @ result.class_params.to_numpy()
        prob = np.exp(utility) / np.exp(utility).sum(axis=0)
        joint *= prob[rows["choice"].to_numpy() == 1][0]
    return joint / joint.sum()


def test_fitted_histories_weight_the_classes_by_the_posterior():
    result, data = weighted_fit(), survey()
    by_class = result.predict(which="class_prob").to_numpy()
    expected = (by_class * result.posterior.loc[data["person"]].to_numpy()).sum(axis=1)
    np.testing.assert_allclose(result.predict(history="fitted"), expected, rtol=1e-12)
    some = data[data["person"] % 5 == 0].drop(columns="choice").sample(frac=1, random_state=0)
    found = result.predict(some, history="fitted")
    np.testing.assert_allclose(found, result.predict(history="fitted").loc[some.index], rtol=1e-12)


def test_histories_of_new_individuals_give_their_posterior():
    result = weighted_fit()
    whole = datasets.load("swissmetro").data.query("purpose in (1, 3)")
    people = sorted(whole["person"].unique())[200:206]
    new = whole[whole["person"].isin(people)].assign(old=lambda f: (f["age"] > 2).astype(float))
    nth = new.groupby("person")["situation"].rank("dense")
    past, future = new[nth <= 5], new[nth > 5].drop(columns="choice")
    found = result.predict(future, history=past)
    by_class = result.predict(future, which="class_prob").to_numpy()
    for person in people:
        own = (future["person"] == person).to_numpy()
        expected = by_class[own] @ bayes(result, past, person)
        np.testing.assert_allclose(found[own], expected, rtol=1e-11)


def test_the_fitted_table_as_history_is_the_fitted_history():
    result, data = weighted_fit(), survey()
    expected = result.predict(history="fitted")
    np.testing.assert_allclose(result.predict(data, history=data), expected, rtol=1e-10)
    np.testing.assert_allclose(result.predict(history=data), expected, rtol=1e-10)


@pytest.mark.parametrize("name", ["repeated choices", "tuples and dates", "mixed ids"])
def test_histories_equal_the_posterior_of_the_loop(name):
    case = zoo.case(name)
    result = case.model(2).fit(n_starts=4)
    model, flat = result.model, result.params.to_numpy()
    gate = flat[-1:].reshape(1, 1)
    r = np.array(
        [posterior_of(one, result.class_params.to_numpy().T, gate) for one in case.problem]
    )
    owner = model.choices.arrangement.situation_owner
    rows = np.repeat(owner, model.choices.arrangement.sizes)
    by_class = result.predict(which="class_prob").to_numpy()
    expected = np.empty(len(by_class))
    order = model.choices.arrangement.order
    expected[order] = (by_class[order] * r[rows]).sum(axis=1)
    for data in (None, case.frame):
        np.testing.assert_allclose(result.predict(data, history=case.frame), expected, rtol=1e-9)
        np.testing.assert_allclose(result.predict(data, history="fitted"), expected, rtol=1e-9)


def test_a_cross_section_knows_the_fitted_choices_only():
    result = zoo.case("cross-section").model(1).fit()
    np.testing.assert_allclose(result.predict(history="fitted"), result.predict(), rtol=1e-13)
    frame = zoo.case("cross-section").frame
    with pytest.raises(ArgumentError, match=r"no ids of individuals. Build it from one long table"):
        result.predict(frame, history="fitted")
    with pytest.raises(ArgumentError, match=r"no ids of individuals. Build it from one long table"):
        result.predict(history=frame)


def test_individuals_without_history_are_counted_and_named():
    result, data = weighted_fit(), survey()
    first, *others = sorted(data["person"].unique())
    past = data[data["person"].isin(others[:4])]
    message = (
        rf"196 of 200 individuals of the data have no choices in history; the first is {first} "
        r"\(column 'person'\). Drop them, add their past choices to it, or predict without history."
    )
    with pytest.raises(DataError, match=message):
        result.predict(data, history=past)
    stranger = data[data["person"] == first].assign(person=-1)
    message = (
        r"1 of 1 individual of the data has no choices in the fitted data; the first is -1 "
        r"\(column 'person'\). Drop it, pass a table of their past choices as history="
    )
    with pytest.raises(DataError, match=message):
        result.predict(stranger, history="fitted")
    as_text = data.assign(person=data["person"].astype(str))
    with pytest.raises(DataError, match=r"Ids are text on one side, such as '\d+', and not on the"):
        result.predict(as_text, history="fitted")


def test_histories_that_make_no_sense_are_refused():
    result, data = weighted_fit(), survey()
    with pytest.raises(ArgumentError, match=r"history='all' is neither None, 'fitted' nor a table"):
        result.predict(history="all")
    with pytest.raises(ArgumentError, match=r"which='linear' keeps them apart. Leave it out"):
        result.predict(which="linear", history="fitted")
    with pytest.raises(ArgumentError, match="Add the column 'person'"):
        result.predict(data.drop(columns="person"), history="fitted")
    with pytest.raises(ColumnError, match="individual='person': the table has no such column"):
        result.predict(history=data.drop(columns="person"))
    with pytest.raises(ColumnError, match="The choice column 'choice', on the left of the formula"):
        result.predict(history=data.drop(columns="choice"))
    with pytest.raises(DataError, match="do not have exactly one chosen row"):
        result.predict(history=data.assign(choice=0))


def test_a_history_keeps_to_availability_and_to_expressions_on_the_left():
    data = survey().assign(av=1, picked=lambda f: f["alternative"].where(f["choice"] == 1))
    data["picked"] = data.groupby("situation")["picked"].transform("first")
    closed = data[data["choice"] == 0].groupby("person").head(1).index
    data.loc[closed, "av"] = 0
    model = MixedMultinomialLogit.from_formula(
        "picked == alternative ~ cost_paid + travel_time", data, 2, **PANEL, availability="av"
    )
    result = model.fit(n_starts=4)
    np.testing.assert_allclose(
        result.predict(history=data), result.predict(history="fitted"), rtol=1e-9
    )
    assert (result.predict(data, history=data)[closed] == 0).all()
    with pytest.raises(DataError, match="marked as unavailable in column 'av'"):
        result.predict(history=data.assign(picked=data["alternative"].where(data["av"] == 0)))


def test_a_history_of_counts_is_read_by_the_rule_of_the_model():
    frame = zoo.survey(3, [[3] * 3] * 20, draws=2)
    model = MixedMultinomialLogit.from_formula(zoo.TWO, frame, 2, **zoo.PANEL, choices="counts")
    result = model.fit(n_starts=4)
    person = frame.groupby("person")["choice"].max().idxmin()  # never the same row twice
    own = frame[frame["person"] == person]
    assert own["choice"].max() == 1
    np.testing.assert_allclose(
        result.predict(own, history=own), result.predict(own, history="fitted"), rtol=1e-9
    )


# -- held-out data -----------------------------------------------------------------------------


def test_log_likelihoods_of_the_fitted_table_sum_to_that_of_the_fit():
    result, data = weighted_fit(), survey()
    values = result.held_out_loglike(data)
    weight = data.groupby("person")["w"].first()
    assert values.index.equals(weight.index)
    scaled = weight / weight.mean()
    assert (values * scaled).sum() == pytest.approx(result.llf, rel=1e-13)
    counts = zoo.case("market shares")
    result = counts.model(1).fit()
    assert result.held_out_loglike(counts.frame).sum() == pytest.approx(result.llf, rel=1e-13)


def test_log_likelihoods_of_a_part_are_those_of_its_individuals():
    result, data = weighted_fit(), survey()
    values = result.held_out_loglike(data)
    part = data[data["person"].isin(values.index[:3])]
    np.testing.assert_allclose(result.held_out_loglike(part), values.iloc[:3], rtol=1e-13)


def test_new_choices_are_read_from_long_tables_only():
    case = zoo.case("shared table")
    result = case.model(1).fit()
    with pytest.raises(ArgumentError, match=r"this model was built with from_table. Build it from"):
        result.held_out_loglike(case.frame)
    with pytest.raises(ArgumentError, match="held_out_loglike reads choices from a table, and"):
        array_fit().held_out_loglike(survey())
    with pytest.raises(ArgumentError, match="history reads choices from a table, and this model"):
        array_fit().predict(history=survey())


# -- arrays ------------------------------------------------------------------------------------


@functools.cache
def array_fit():
    """The weighted fit from arrays."""
    data = survey()
    model = MixedMultinomialLogit(
        data["choice"],
        design(data),
        2,
        **{role: data[column] for role, column in PANEL.items()},
        membership=data[["old", "male"]],
        weights=data["w"],
    )
    return model.fit(weighted_fit().params.to_numpy())


def test_models_from_arrays_report_the_same():
    arrays, table, data = array_fit(), weighted_fit(), survey()
    ids = {role: data[column] for role, column in PANEL.items()}
    ids |= {"membership": data[["old", "male"]], "weights": data["w"]}
    new = (design(data),)
    for one, other in [
        (arrays.market_shares(), table.market_shares()),
        (arrays.market_shares(*new, **ids), table.market_shares()),
        (arrays.elasticities("x4"), table.elasticities(COST)),
        (arrays.elasticities("x4", *new, **ids), table.elasticities(COST)),
        (arrays.logsum(*new, **ids), table.logsum()),
        (arrays.predict(*new, history="fitted", **ids), table.predict(history="fitted")),
    ]:
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)  # two fits
    frame = pd.DataFrame(design(data), data.index, ["x1", "x2", "x3", "x4"])
    np.testing.assert_allclose(
        arrays.market_shares(frame, {"x4": 1.1}, **ids),
        table.market_shares(data, {"cost_paid": 1.1}),
        rtol=1e-6,
        atol=1e-9,
    )
    with pytest.raises(ArgumentError, match="alternative=, with arrays"):
        arrays.market_shares(*new, situation=ids["situation"], membership=ids["membership"])
    with pytest.raises(ArgumentError, match=r"New arrays do not come with person. What goes with"):
        arrays.market_shares(*new, person=ids["individual"])


def test_new_arrays_may_have_ids_that_the_fitted_ones_had_not():
    data = survey()
    model = MixedMultinomialLogit(data["choice"], design(data), 1, situation=data["situation"])
    result = model.fit()
    ids = {"situation": data["situation"], "alternative": data["alternative"]}
    table = result.market_shares(design(data), **ids)
    expected = result.predict().groupby(data["alternative"].to_numpy()).sum()
    np.testing.assert_allclose(table["share"], expected / model.choices.n_situations, rtol=1e-12)
    one = zoo.counts_table(3, 60)
    result = MixedMultinomialLogit(one["count"], one[["x1", "x2"]], 1).fit()
    pairs = result.predict(one[["x1", "x2"]], situation=np.arange(12) // 2)
    np.testing.assert_allclose(pairs.groupby(np.arange(12) // 2).sum(), 1, rtol=1e-13)


# -- parameters without errors -----------------------------------------------------------------


def test_shares_of_others_keep_the_errors_they_have_without_what_nobody_chooses():
    # nobody chooses the train: its constant diverges
    data = survey()
    travelled = data.loc[(data["choice"] == 1) & (data["alternative"] == "train"), "situation"]
    data = data[~data["situation"].isin(travelled)]
    with pytest.warns(match="diverg"):
        result = MixedMultinomialLogit.from_formula(FORMULA, data, 1, **PANEL).fit()
    table = result.market_shares()
    assert list(table.index[table["std err"].isna()]) == ["train"]
    assert table["share"].notna().all()
    # the limit: the same choices among the others
    others = data[data["alternative"] != "train"]
    limit = MixedMultinomialLogit.from_formula(FORMULA, others, 1, **PANEL).fit().market_shares()
    # probabilities of the train are below 1e-12
    np.testing.assert_allclose(table.drop("train"), limit, rtol=1e-8)


# -- membership --------------------------------------------------------------------------------


def softmax(result, z: np.ndarray) -> np.ndarray:
    """Class probabilities (n, K) of people with these covariates (n, Q), by loops."""
    gamma = np.asarray(result.params)[-(result.n_classes - 1) * z.shape[1] :]
    gamma = gamma.reshape(-1, z.shape[1])
    return np.exp([log_membership(one, gamma) for one in z])


def z_of(frame: pd.DataFrame) -> np.ndarray:
    """The covariates of the weighted fit."""
    return np.column_stack([np.ones(len(frame)), frame["old"], frame["male"]])


@pytest.mark.parametrize("name", ["membership", "balanced panel", "counts", "shared table"])
@pytest.mark.parametrize("n_classes", [1, 3])
def test_membership_probabilities_are_those_of_the_loops(name, n_classes):
    case = zoo.case(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixlogitWarning)
        result = case.model(n_classes).fit(n_starts=1, init="random", maxiter=3)
    gamma = unflatten(np.asarray(result.params), n_classes, case.n_attributes)[1]
    probabilities = result.membership_probabilities()
    expected = np.exp([log_membership(person.z, gamma) for person in case.problem])
    np.testing.assert_allclose(probabilities, expected, rtol=1e-13)
    assert probabilities.index.equals(result.posterior.index)
    assert probabilities.columns.equals(result.posterior.columns)


def test_mean_membership_probabilities_are_the_class_shares():
    result = weighted_fit()
    weight = survey().groupby("person")["w"].first()
    mean = np.average(result.membership_probabilities(), axis=0, weights=weight)
    np.testing.assert_allclose(mean, result.class_shares, rtol=1e-13)


def test_new_people_need_covariates_and_nothing_else():
    result = weighted_fit()
    profiles = pd.DataFrame(
        {"male": [0, 1, 0, 1], "old": [0.0, 0.0, 1.0, 1.0]}, index=["a", "b", "c", "d"]
    )
    found = result.membership_probabilities(profiles)
    np.testing.assert_allclose(found, softmax(result, z_of(profiles)), rtol=1e-13)
    assert list(found.index) == ["a", "b", "c", "d"]
    # the same people in a long table, whose rows are in any order
    long = profiles.loc[["d", "b", "d", "a", "c", "b"]].rename_axis("person").reset_index()
    pd.testing.assert_frame_equal(
        result.membership_probabilities(long), found, check_names=False, rtol=1e-13
    )


def test_membership_probabilities_of_the_fitted_table_are_those_of_the_fitted_people():
    result = weighted_fit()
    shuffled = survey().sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        result.membership_probabilities(shuffled), result.membership_probabilities(), rtol=1e-13
    )


def test_situations_are_people_where_there_are_no_individuals():
    frame = survey().groupby("person").head(2)
    ids = {"situation": "situation", "alternative": "alternative"}
    frame = frame[frame.groupby("situation")["choice"].transform("sum") == 1]
    model = MixedMultinomialLogit.from_formula(
        "choice ~ I(travel_time / 100)", frame, 2, **ids, membership="old + male"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixlogitWarning)
        result = model.fit(n_starts=1, init="random", maxiter=3)
    found = result.membership_probabilities(frame)
    first = frame.drop_duplicates("situation").sort_values("situation")
    assert list(found.index) == list(first["situation"])
    np.testing.assert_allclose(found, softmax(result, z_of(first)), rtol=1e-13)


def test_models_from_arrays_take_covariates_of_new_people():
    frame = survey()
    model = MixedMultinomialLogit(
        frame["choice"],
        design(frame),
        2,
        situation=frame["situation"],
        individual=frame["person"],
        membership=frame[["old", "male"]].to_numpy(),
    )
    result = model.fit(n_starts=2)
    z = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    found = result.membership_probabilities(z)
    expected = softmax(result, np.column_stack([np.ones(3), z]))
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    named = pd.DataFrame(z, index=["ann", "bob", "cy"], columns=["z1", "z2"])
    by_name = result.membership_probabilities(named)
    pd.testing.assert_frame_equal(by_name, found.set_axis(named.index))
    with pytest.raises(ColumnError, match="'z2'"):
        result.membership_probabilities(z[:, :1])


def test_membership_probabilities_of_new_people_do_not_need_the_fitted_ones(tmp_path):
    weighted_fit().to_file(tmp_path / "fit.npz", include_data=False)
    again = read_results(tmp_path / "fit.npz")
    profiles = pd.DataFrame({"male": [0, 1], "old": [1.0, 1.0]})
    pd.testing.assert_frame_equal(
        again.membership_probabilities(profiles), weighted_fit().membership_probabilities(profiles)
    )
    with pytest.raises(NoDataError, match="Pass data="):
        again.membership_probabilities()


def test_membership_probabilities_refuse_covariates_that_are_not_there():
    result = weighted_fit()
    profiles = pd.DataFrame({"person": [7, 8, 8], "male": [0, 1, 1], "old": [1.0, 0.0, 0.0]})
    with pytest.raises(ColumnError, match="'old', used in the membership formula, is not in"):
        result.membership_probabilities(profiles.drop(columns="old"))
    with pytest.raises(DataError, match="'old' varies within 1 of 2 individuals; the first is ind"):
        result.membership_probabilities(profiles.assign(old=[1.0, 0.0, 1.0]))
    with pytest.raises(
        DataError, match="'old' is missing or not finite in 1 individual of the new data; the first"
    ):
        result.membership_probabilities(profiles.assign(old=[np.inf, 0.0, 0.0]))
    with pytest.raises(DataError, match="1 value of the id column 'person' is missing"):
        result.membership_probabilities(profiles.assign(person=[None, 8, 8]))
    with pytest.raises(DataError, match="data must be a table"):
        result.membership_probabilities("people.csv")
