"""Willingness to pay where utility is not plainly linear: at means, rows, for people and groups."""

from __future__ import annotations

import functools
import pickle

import numpy as np
import pandas as pd
import pytest
from any_estimates import AnyEstimates
from oracle import difference_gradient, log_sum_exp

from mixlogit import MixedMultinomialLogit, simulate_choices
from mixlogit.errors import (
    ArgumentError,
    ColumnError,
    DataError,
    IdentificationError,
    MixlogitWarning,
)
from mixlogit.individuals import TableOfRows
from mixlogit.valuation import draw_parameters
from mixlogit.willingness import WillingnessResults

PANEL = {"situation": "situation", "individual": "person", "alternative": "alt"}
FORMULA = "choice ~ cost + cost:income + np.log(time) + comfort"
N_CLASSES, N_PEOPLE = 2, 40


@functools.cache
def survey() -> pd.DataFrame:
    """Forty people, two to four choices of three alternatives each, with weights and incomes."""
    rng = np.random.default_rng(4)
    sizes = rng.integers(2, 5, N_PEOPLE)
    person = np.repeat(np.arange(N_PEOPLE), 3 * sizes)
    n = len(person)
    income = rng.uniform(1, 5, N_PEOPLE)
    data = pd.DataFrame(
        {
            "person": person,
            "situation": np.arange(n) // 3,
            "alt": np.tile(["a", "b", "c"], n // 3),
            "cost": rng.uniform(1, 9, n),
            "time": rng.uniform(5, 50, n),
            "comfort": rng.normal(size=n),
            "income": income[person],
            "old": rng.integers(0, 2, N_PEOPLE)[person],
            "w": rng.uniform(0.5, 2.0, N_PEOPLE)[person],
            "band": np.where(income < 3, "low", "high")[person],
        }
    )
    tastes = pd.DataFrame([[-0.8, -0.4], [0.5, -0.5]], index=["cost", "comfort"])
    return simulate_choices(data, tastes, rng=1, situation="situation", individual="person")


class Estimates(AnyEstimates, WillingnessResults):
    """Estimates that need not be a maximum, with any covariance."""


BETA = np.array([[-0.9, 0.05, -1.2, 0.6], [-0.4, -0.05, -0.3, -0.5]])
GAMMA = np.array([[-0.3, 0.8]])


@functools.cache
def estimates(formula: str = FORMULA, weights: str | None = "w") -> Estimates:
    """Two classes, with membership by age and sampling weights."""
    model = MixedMultinomialLogit.from_formula(
        formula, survey(), N_CLASSES, **PANEL, membership="old", weights=weights
    )
    params = np.concatenate([BETA.ravel(), GAMMA.ravel()])
    root = np.random.default_rng(0).normal(size=(len(params), 30)) * 0.005
    return Estimates(model, params, root @ root.T)


def split(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return flat[:8].reshape(2, 4), flat[8:]


def errors_of(function) -> np.ndarray:
    """Delta-method errors of a function of the flat parameters, its slope by differences."""
    result = estimates()
    slope = np.atleast_2d(difference_gradient(function, result.params).T)
    return np.sqrt(np.einsum("md,de,me->m", slope, result.covariance, slope))


def prior_of(old, gamma: np.ndarray) -> np.ndarray:
    second = 1 / (1 + np.exp(-(gamma[0] + gamma[1] * np.asarray(old, dtype=float))))
    return np.stack([1 - second, second], axis=-1)


def slow_shares(gamma: np.ndarray) -> np.ndarray:
    people = survey().drop_duplicates("person")
    return np.average(prior_of(people["old"], gamma), axis=0, weights=people["w"])


def row_wtp(row, b: np.ndarray) -> float:
    """Willingness to pay for time at a row, by calculus."""
    return -(b[2] / row.time) / (b[0] + b[1] * row.income)


def slow_posterior(flat: np.ndarray) -> dict:
    """Class probabilities of each person given its choices, by loops."""
    beta, gamma = split(flat)
    out = {}
    for person, own in survey().groupby("person"):
        log_joint = np.log(prior_of(own["old"].iloc[0], gamma))
        for _, rows in own.groupby("situation"):
            x = np.column_stack(
                [rows.cost, rows.cost * rows.income, np.log(rows.time), rows.comfort]
            )
            for k in range(2):
                v = x @ beta[k]
                log_joint[k] += (v[rows["choice"].to_numpy() == 1]).sum() - log_sum_exp(v)
        out[person] = np.exp(log_joint - log_sum_exp(log_joint))
    return out


# -- at one point ------------------------------------------------------------------------------


def at_means(flat: np.ndarray, means: pd.Series) -> np.ndarray:
    beta, gamma = split(flat)
    by_class = np.array([row_wtp(means, b) for b in beta])
    return np.append(by_class, slow_shares(gamma) @ by_class)


@functools.cache
def means() -> pd.Series:
    data = survey()
    numbers = data[["cost", "time", "income"]]
    return pd.Series(np.average(numbers, axis=0, weights=data["w"]), index=numbers.columns)


def test_at_means_willingness_to_pay_is_that_of_calculus_with_errors_by_differences():
    table = estimates().wtp("time", "cost")
    flat = estimates().params
    np.testing.assert_allclose(table["wtp"], at_means(flat, means()), rtol=1e-9)
    expected = errors_of(lambda f: at_means(f, means()))
    np.testing.assert_allclose(table["std err"], expected, rtol=1e-7)
    assert list(table.index) == ["class1", "class2", "population"]
    pd.testing.assert_frame_equal(table, estimates().wtp("time", "cost", at="mean"))
    pd.testing.assert_frame_equal(table, estimates().wtp("time", "cost", data=survey()))


@pytest.mark.parametrize("kind", ["dict", "series", "frame", "partial"])
def test_at_a_row_willingness_to_pay_is_that_of_its_values(kind):
    row = {"cost": 3.0, "income": 2.5, "time": 20.0, "comfort": 0.0}
    given = {
        "dict": row,
        "series": pd.Series(row),
        "frame": pd.DataFrame([row]),
        "partial": {"income": 2.5, "time": 20.0},
    }[kind]
    table = estimates().wtp("time", "cost", at=given)
    flat, values = estimates().params, pd.Series(row)
    np.testing.assert_allclose(table["wtp"], at_means(flat, values), rtol=1e-9)
    np.testing.assert_allclose(
        table["std err"], errors_of(lambda f: at_means(f, values)), rtol=1e-7
    )


def test_the_mean_of_a_plain_term_and_an_interaction_is_the_ratio_by_hand():
    beta = estimates()._parameters.beta
    expected = -beta[:, 3] / (beta[:, 0] + beta[:, 1] * means()["income"])
    table = estimates().wtp("comfort", "cost")
    np.testing.assert_allclose(table["wtp"].iloc[:2], expected, rtol=1e-10)


def test_fieller_limits_at_a_point_are_where_the_combined_coefficients_test_at_their_level():
    result, income = estimates(), 2.5
    table = result.wtp("comfort", "cost", "fieller", at={"income": income})
    for k in range(2):
        for limit in table.iloc[k][["[0.025", "0.975]"]]:
            direction = np.zeros(10)
            direction[4 * k : 4 * k + 4] = [limit, limit * income, 0, 1]
            error = np.sqrt(direction @ result.covariance @ direction)
            assert abs(direction @ result.params) / error == pytest.approx(1.959964, rel=1e-6)
    assert table["note"].iloc[2] == "Fieller's set exists by class alone"


def test_percentiles_at_a_point_are_those_of_a_loop_over_draws():
    result, income = estimates(), 2.5
    table = result.wtp("comfort", "cost", "krinsky-robb", n_draws=200, at={"income": income})
    drawn = []
    for flat in draw_parameters(result.params, result.covariance, 200, 0):
        beta, gamma = split(flat)
        own = [-b[3] / (b[0] + b[1] * income) for b in beta]
        drawn.append([*own, slow_shares(gamma) @ own])
    limits = np.quantile(drawn, [0.025, 0.975], axis=0).T
    np.testing.assert_allclose(table[["[0.025", "0.975]"]], limits, rtol=1e-9)


def test_categories_are_as_often_as_in_the_sample():
    data = survey()
    model = MixedMultinomialLogit.from_formula(
        "choice ~ cost + cost:C(band) + comfort", data, 1, **PANEL
    )
    names = list(model.choices.exog_names)
    params = np.array([-1.0, 0.2, 0.4])[[names.index(n) for n in names]]
    result = Estimates(model, params, 1e-4 * np.eye(3))
    share = (data["band"] == "low").mean()
    slope = params[0] + params[1] * share
    assert names[1] == "cost:C(band)[T.low]"
    table = result.wtp("comfort", "cost")
    assert table["wtp"].iloc[0] == pytest.approx(-params[2] / slope, rel=1e-10)
    low = result.wtp("comfort", "cost", at={"band": "low"})
    assert low["wtp"].iloc[0] == pytest.approx(-0.4 / -0.8, rel=1e-10)


def test_a_column_of_the_design_beside_others_of_its_variable_is_valued_with_them():
    model = MixedMultinomialLogit.from_formula(
        "choice ~ I(cost / 100) + I(cost ** 2) + comfort", survey(), 1, **PANEL
    )
    result = Estimates(model, np.array([-60.0, -0.02, 0.5]), 1e-4 * np.eye(3))
    at = {"cost": 4.0}
    slope = -0.6 - 0.02 * 2 * 4.0
    own, design = (
        result.wtp("comfort", c, at=at)["wtp"].iloc[0] for c in ("cost", "I(cost / 100)")
    )
    assert own == pytest.approx(-0.5 / slope, rel=1e-9)
    assert design == pytest.approx(own / 100, rel=1e-9)


def test_all_attributes_are_variables_where_these_enter_several_columns():
    table = estimates().wtp(cost="cost")  # income is no attribute: it moves the value of others
    assert list(table.index.levels[0]) == ["np.log(time)", "comfort"]
    other = estimates("choice ~ cost + time + time:income + comfort").wtp(cost="cost")
    assert list(other.index.levels[0]) == ["time", "comfort"]


# -- over rows ---------------------------------------------------------------------------------


def over_rows(flat: np.ndarray) -> np.ndarray:
    """Means of the ratios over the rows, weighted by class probabilities, by loops."""
    beta, gamma = split(flat)
    top, bottom = np.zeros(2), np.zeros(2)
    for row in survey().itertuples():
        weight = row.w * prior_of(row.old, gamma)
        top += weight * [row_wtp(row, b) for b in beta]
        bottom += weight
    return np.append(top / bottom, top.sum() / bottom.sum())


def test_over_the_sample_ratios_are_averaged_with_errors_by_differences():
    table = estimates().wtp("time", "cost", at="sample")
    np.testing.assert_allclose(table["wtp"], over_rows(estimates().params), rtol=1e-9)
    np.testing.assert_allclose(table["std err"], errors_of(over_rows), rtol=1e-7)


def test_percentiles_over_the_sample_are_those_of_a_loop_over_draws():
    result = estimates()
    table = result.wtp("time", "cost", "krinsky-robb", at="sample", n_draws=50)
    flats = draw_parameters(result.params, result.covariance, 50, 0)
    drawn = np.array([over_rows(flat) for flat in flats])
    limits = np.quantile(drawn, [0.025, 0.975], axis=0).T
    np.testing.assert_allclose(table[["[0.025", "0.975]"]], limits, rtol=1e-9)


def test_over_rows_that_are_given_ratios_are_averaged():
    rows = pd.DataFrame({"cost": [2.0, 5.0], "income": [1.5, 4.0], "time": [9.0, 30.0]})
    rows["comfort"] = 0.0

    def slow(flat):
        beta, gamma = split(flat)
        by_class = np.array([np.mean([row_wtp(r, b) for r in rows.itertuples()]) for b in beta])
        return np.append(by_class, slow_shares(gamma) @ by_class)

    table = estimates().wtp("time", "cost", at=rows)
    np.testing.assert_allclose(table["wtp"], slow(estimates().params), rtol=1e-9)
    np.testing.assert_allclose(table["std err"], errors_of(slow), rtol=1e-7)


def test_a_mean_of_ratios_has_no_set_of_fieller():
    with pytest.raises(ArgumentError, match="method='fieller' has no limits for a mean of ratios"):
        estimates().wtp("time", "cost", "fieller", at="sample")


# -- people and groups -------------------------------------------------------------------------


def of_people(flat: np.ndarray) -> pd.Series:
    """Posterior mean of the mean ratio over the rows that each person faced, by loops."""
    beta, out = split(flat)[0], {}
    for person, weight in slow_posterior(flat).items():
        rows = list(survey().query("person == @person").itertuples())
        out[person] = sum(
            weight[k] * np.mean([row_wtp(row, b) for row in rows]) for k, b in enumerate(beta)
        )
    return pd.Series(out)


def of_bands(flat: np.ndarray) -> np.ndarray:
    """Weighted mean over the people of each band of incomes."""
    people = survey().drop_duplicates("person").set_index("person")
    own = of_people(flat) * people["w"]
    return (
        own.groupby(people["band"]).sum() / people["w"].groupby(people["band"]).sum()
    ).to_numpy()


def test_individuals_are_valued_at_their_own_rows():
    own = estimates().individual_wtp("time", "cost")
    np.testing.assert_allclose(own, of_people(estimates().params), rtol=1e-9)
    again = estimates().individual_wtp("time", "cost", data=survey().sample(frac=1, random_state=1))
    np.testing.assert_allclose(again, own, rtol=1e-9)
    mean = estimates().individual_wtp("time", "cost", at="mean")
    by_class = estimates().wtp("time", "cost")["wtp"].to_numpy()[:2]
    np.testing.assert_allclose(mean, estimates()._posterior @ by_class, rtol=1e-12)
    rows = survey().head(2)
    by_rows = estimates().wtp("time", "cost", at=rows)["wtp"].to_numpy()[:2]
    own = estimates().individual_wtp("time", "cost", at=rows)
    np.testing.assert_allclose(own, estimates()._posterior @ by_rows, rtol=1e-12)


def test_groups_are_weighted_means_of_individuals_with_errors_that_move_the_posterior():
    table = estimates().wtp("time", "cost", at="sample", by="band")
    assert list(table.index) == ["high", "low"]
    assert table.index.name == "band"
    np.testing.assert_allclose(table["wtp"], of_bands(estimates().params), rtol=1e-9)
    np.testing.assert_allclose(table["std err"], errors_of(of_bands), rtol=1e-6)


def test_groups_at_their_means_are_ratios_at_these():
    flat = estimates().params

    def slow(flat):
        beta, posterior = split(flat)[0], slow_posterior(flat)
        out = []
        for _, rows in survey().groupby("band"):
            values = np.average(rows[["time", "income"]], axis=0, weights=rows["w"])
            means = pd.Series(values, index=["time", "income"])
            people = rows.drop_duplicates("person")
            r = np.average([posterior[p] for p in people["person"]], axis=0, weights=people["w"])
            out.append(sum(r[k] * row_wtp(means, b) for k, b in enumerate(beta)))
        return np.array(out)

    table = estimates().wtp("time", "cost", by="band")
    np.testing.assert_allclose(table["wtp"], slow(flat), rtol=1e-9)
    np.testing.assert_allclose(table["std err"], errors_of(slow), rtol=1e-6)


def test_groups_of_plain_terms_are_means_of_posteriors():
    formula = "choice ~ cost + income:comfort + np.log(time) + comfort"
    result = estimates(formula)
    names = list(result.model.choices.exog_names)
    table = result.wtp(["np.log(time)"], "cost", by="band")
    beta = result._parameters.beta
    by_class = -beta[:, names.index("np.log(time)")] / beta[:, 0]
    people = survey().drop_duplicates("person")
    own = result._posterior @ by_class
    for band, found in table["wtp"].droplevel("attribute").items():
        of_band = (people["band"] == band).to_numpy()
        expected = np.average(own[of_band], weights=people["w"][of_band])
        assert found == pytest.approx(expected, rel=1e-12)


def test_groups_come_as_a_column_a_series_by_individual_or_values_in_order():
    people = survey().drop_duplicates("person").set_index("person")["band"]
    by_name = estimates().wtp("time", "cost", by="band")
    shuffled = people.sample(frac=1, random_state=2)
    pd.testing.assert_frame_equal(estimates().wtp("time", "cost", by=shuffled), by_name)
    values = estimates().wtp("time", "cost", by=people.to_list())
    pd.testing.assert_frame_equal(values.rename_axis("band"), by_name)
    from_data = estimates().wtp("time", "cost", by="band", data=survey())
    np.testing.assert_allclose(from_data["wtp"], by_name["wtp"], rtol=1e-10)


def test_groups_at_given_rows_take_the_mean_there():
    rows = survey().head(2)
    by_class = estimates().wtp("time", "cost", at=rows)["wtp"].to_numpy()[:2]
    people = survey().drop_duplicates("person")
    own = pd.Series(estimates()._posterior @ by_class * people["w"].to_numpy())
    band, weight = people["band"].to_numpy(), people["w"].reset_index(drop=True)
    expected = own.groupby(band).sum() / weight.groupby(band).sum()
    found = estimates().wtp("time", "cost", by="band", at=rows)["wtp"]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_groups_that_make_no_sense_are_refused():
    result = estimates()
    with pytest.raises(ColumnError, match=r"by='bend': the table has no such column. Did you mean"):
        result.wtp("time", "cost", by="bend")
    with pytest.raises(ArgumentError, match="method='krinsky-robb' has no limits with by="):
        result.wtp("time", "cost", "krinsky-robb", by="band")
    with pytest.raises(DataError, match="20 of 40 individuals of the fit have no rows in the data"):
        result.individual_wtp("time", "cost", data=survey().query("person < 20"))


# -- notes and refusals ------------------------------------------------------------------------


def test_a_cost_that_might_be_zero_is_pointed_out_wherever_it_is_divided_by():
    model = estimates().model
    params = estimates().params.copy()
    params[0], params[4:6] = -0.9, [-0.01, 0.0]
    result = Estimates(model, params, 1e-3 * np.eye(10))
    text = "the slope in cost of class2 is not significantly different from 0 (p = "
    table = result.wtp("time", "cost")
    assert table["note"].iloc[0] == ""
    assert table["note"].iloc[1].startswith(text)
    assert table["note"].iloc[2].startswith(text)
    over = result.wtp("time", "cost", at="sample")
    assert over["note"].iloc[1].startswith(f"the mean of {text}")
    assert f"the mean of {text}" in result.wtp("time", "cost", by="band")["note"].iloc[0] or (
        text in result.wtp("time", "cost", by="band")["note"].iloc[0]
    )
    with pytest.warns(MixlogitWarning, match="Willingness to pay is not to be trusted: the mean"):
        own = result.individual_wtp("time", "cost")
    assert text in own.attrs["note"]


def test_a_slope_that_is_positive_at_some_rows_is_counted():
    params = estimates().params.copy()
    params[0], params[1] = -0.9, 0.3  # positive above an income of 3
    result = Estimates(estimates().model, params, 1e-6 * np.eye(10))
    n_rows = int((survey()["income"] > 3).sum())
    table = result.wtp("time", "cost", at="sample")
    assert (
        f"the slope in cost of class1 is not negative at {n_rows} of {len(survey())} points"
        in (table["note"].iloc[0])
    )
    positive = result.wtp("time", "cost", at={"income": 4.0})
    assert positive["note"].iloc[0] == "the slope in cost of class1 is positive"


def test_a_parameter_without_an_error_leaves_none_and_is_named():
    covariance = estimates().covariance.copy()
    covariance[1] = covariance[:, 1] = np.nan
    result = Estimates(estimates().model, estimates().params, covariance)
    for at in ("mean", "sample"):
        table = result.wtp("time", "cost", at=at)
        assert list(table["std err"].isna()) == [True, False, True]
        assert table["note"].iloc[0] == "class1.cost:income has no standard error"
    group = result.wtp("time", "cost", by="band")
    assert "class1.cost:income has no standard error" in group["note"].iloc[0]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"at": "median"}, "at='median' is neither 'mean' nor 'sample', nor a mapping"),
        ({"at": {"incom": 3}}, "at= sets 'incom', which the utility formula does not read. Did y"),
        ({"at": survey().head(0)}, "at= has no rows. Give one at least"),
        ({"cost": "alt"}, "cost='alt' is not an attribute of the model"),
        ({"attribute": "cost"}, "'cost' is the cost and an attribute to value"),
    ],
)
def test_points_and_costs_that_make_no_sense_are_refused(keywords, message):
    with pytest.raises(ArgumentError, match=message):
        estimates().wtp(**({"attribute": "time", "cost": "cost"} | keywords))


def test_a_column_of_a_spline_has_no_slope_of_its_own():
    model = MixedMultinomialLogit.from_formula(
        "choice ~ bs(cost, df=4) + comfort", survey(), 1, **PANEL
    )
    params = np.array([-0.5, -1.0, -2.0, -3.0, 0.4])
    result = Estimates(model, params, 1e-4 * np.eye(5))
    with pytest.raises(ArgumentError, match=r"is one of 4 columns of bs\(cost, df=4\)"):
        result.wtp("comfort", "bs(cost, df=4)[0]")
    # the slope of the spline, by differences of the design within its knots
    at, h = {"cost": 4.0, "comfort": 0.0}, 1e-4
    ends = model.spec.utility.matrix(pd.DataFrame({"cost": [4 - h, 4 + h], "comfort": 0.0}))
    slope = (ends[1] - ends[0]) @ params / (2 * h)
    found = result.wtp("comfort", "cost", at=at)["wtp"].iloc[0]
    assert found == pytest.approx(-0.4 / slope, rel=1e-6)
    assert np.isfinite(result.wtp("comfort", "cost", at="sample")["wtp"]).all()


def test_plain_terms_need_no_table_and_slopes_do():
    model = pickle.loads(pickle.dumps(estimates().model))
    result = Estimates(model, estimates().params, estimates().covariance)
    pd.testing.assert_frame_equal(
        result.wtp("comfort", "np.log(time)"), estimates().wtp("comfort", "np.log(time)")
    )
    with pytest.raises(ArgumentError, match="This needs the table that the model was built from"):
        result.wtp("time", "cost")
    pd.testing.assert_frame_equal(
        result.wtp("time", "cost", data=survey()), estimates().wtp("time", "cost")
    )
    whole = {"cost": 3.0, "income": 2.5, "time": 20.0, "comfort": 0.0}
    pd.testing.assert_frame_equal(
        result.wtp("time", "cost", at=whole), estimates().wtp("time", "cost", at=whole)
    )


def test_a_table_that_has_changed_since_is_refused():
    data = survey().copy()
    model = MixedMultinomialLogit.from_formula(FORMULA, data, 1, **PANEL)
    result = Estimates(model, estimates().params[:4], 1e-4 * np.eye(4))
    before = result.wtp("time", "cost")
    data["cost"] = 0.0  # the user's table is its own
    pd.testing.assert_frame_equal(result.wtp("time", "cost"), before)
    model._source = TableOfRows(model._source.rows.assign(cost=1.0))
    with pytest.raises(ArgumentError, match="The values of the table have changed since the model"):
        result.wtp("time", "cost")


def test_a_part_of_the_data_has_its_rows_of_the_table_at_hand():
    part = survey().sample(frac=1, random_state=3).query("person < 20")
    half = MixedMultinomialLogit.from_formula(FORMULA, part, 1, **PANEL)
    expected = Estimates(half, estimates().params[:4], 1e-4 * np.eye(4))
    whole = MixedMultinomialLogit.from_formula(FORMULA, survey(), 1, **PANEL)
    taken = whole.with_choices(whole.choices.take(np.repeat([1, 0], 20)))
    found = Estimates(taken, expected.params, expected.covariance)
    for at in ("mean", "sample"):
        pd.testing.assert_frame_equal(
            found.wtp("time", "cost", at=at, by="band"),
            expected.wtp("time", "cost", at=at, by="band"),
            rtol=1e-9,  # slopes are differences
        )


def test_models_from_arrays_take_no_table():
    x = survey()[["cost", "comfort"]]
    model = MixedMultinomialLogit(
        survey()["choice"], x, 1, situation=survey()["situation"], individual=survey()["person"]
    )
    result = Estimates(model, np.array([-1.0, 0.5]), 1e-4 * np.eye(2))
    assert result.wtp("comfort", "cost")["wtp"].iloc[0] == pytest.approx(0.5)
    with pytest.raises(ArgumentError, match="data= is a table, and this model was built from arr"):
        result.wtp("comfort", "cost", by="band", data=survey())
    bands = survey().drop_duplicates("person").set_index("person")["band"]
    np.testing.assert_allclose(result.wtp("comfort", "cost", by=bands)["wtp"], 0.5, rtol=1e-12)


def test_a_variable_that_is_also_the_offset_has_no_slope():
    model = MixedMultinomialLogit.from_formula(
        "choice ~ cost + cost:income + comfort", survey(), 1, **PANEL, offset="cost"
    )
    result = Estimates(model, np.array([-1.0, 0.1, 0.5]), 1e-4 * np.eye(3))
    with pytest.raises(ArgumentError, match="The column 'cost' is also the offset, whose slope is"):
        result.wtp("comfort", "cost")


def test_an_uncentred_cubic_spline_is_refused_with_the_remedy():
    with pytest.raises(IdentificationError, match=r"add up to 1 in every row. Write constr"):
        MixedMultinomialLogit.from_formula("choice ~ cr(cost, df=4)", survey(), 1, **PANEL)
    remedy = "choice ~ cr(cost, df=4, constraints='center')"
    model = MixedMultinomialLogit.from_formula(remedy, survey(), 1, **PANEL)
    assert model.choices.n_attributes == 4
