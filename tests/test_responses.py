"""Elasticities by variables of the person and splines, marginal effects, histories."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
from any_estimates import AnyEstimates
from oracle import difference_gradient, posterior_of
from zoo import case

from mixlogit import MixedMultinomialLogit, simulate_choices
from mixlogit.errors import ArgumentError, DataError, FormulaError
from mixlogit.responses import ResponseResults
from mixlogit.welfare import WelfareResults

PANEL = {"situation": "situation", "individual": "person", "alternative": "alt"}
N_PEOPLE = 60
ALTERNATIVES = ("bus", "car", "train")


@functools.cache
def survey() -> pd.DataFrame:
    """Sixty people who choose three times among two or three alternatives."""
    rng = np.random.default_rng(8)
    person = np.repeat(np.arange(N_PEOPLE), 9)
    n = len(person)
    data = pd.DataFrame(
        {
            "person": person,
            "situation": np.arange(n) // 3,
            "alt": np.tile(ALTERNATIVES, n // 3),
            "cost": rng.uniform(1, 9, n),
            "seat": rng.integers(0, 2, n),
            "income": rng.uniform(1, 5, N_PEOPLE)[person],
            "male": rng.integers(0, 2, N_PEOPLE)[person],
            "w": rng.uniform(0.5, 2.0, N_PEOPLE)[person],
            "region": rng.choice(["north", "south", "west"], N_PEOPLE)[person],
        }
    )
    data = data[~((data["alt"] == "train") & (data["situation"] % 4 == 0))].reset_index(drop=True)
    tastes = pd.DataFrame([[-0.6, -0.2], [0.5, 1.0]], index=["cost", "seat"])
    return simulate_choices(data, tastes, rng=1, situation="situation", individual="person")


@functools.cache
def fit(formula: str):
    """A fit with one class."""
    return MixedMultinomialLogit.from_formula(formula, survey(), 1, **PANEL).fit()


class Estimates(AnyEstimates, ResponseResults, WelfareResults):
    """Estimates that need not be a maximum, with any covariance."""


@functools.cache
def two_classes(formula: str, membership: str) -> Estimates:
    """Two classes that like other things, with weights; costs are disliked throughout."""
    model = MixedMultinomialLogit.from_formula(
        formula, survey(), 2, **PANEL, membership=membership, weights="w"
    )
    rng = np.random.default_rng(3)
    values = pd.Series(rng.normal(0.0, 0.3, len(model.param_names)), index=model.param_names)
    values["class1.cost"], values["class2.cost"] = -0.8, -0.4
    root = rng.normal(size=(len(values), 60)) * 0.005
    return Estimates(model, values.to_numpy(), root @ root.T)


def people_fit() -> Estimates:
    """Income enters by alternative and through membership, beside a region."""
    formula = "choice ~ C(alt) + cost + cost:income + seat + I(income * (alt == 'car'))"
    return two_classes(formula, "income + C(region)")


def errors_by_differences(result, function) -> np.ndarray:
    """Delta-method errors of a function of the results, its slope by differences of new ones."""

    def at(flat):
        return function(Estimates(result.model, flat, covariance))

    covariance = np.asarray(result.cov_params())
    slope = difference_gradient(at, np.asarray(result.params)).T
    return np.sqrt(np.einsum("md,de,me->m", slope, covariance, slope))


def total(result, change, **keywords) -> np.ndarray:
    """Derivative of market shares when the table changes by a little, by differences."""

    def shares(h):
        return result.market_shares(change(survey(), h[0]), by_class=True, **keywords)["share"]

    return difference_gradient(shares, np.zeros(1), step=1e-2)[0]


# -- variables of the person -------------------------------------------------------------------


def test_the_elasticity_by_a_variable_of_the_person_is_total():
    result = people_fit()
    table = result.elasticities("income")
    assert table.index.names == ["segment", "share_of"]
    share = result.market_shares(survey(), by_class=True)["share"]
    slope = total(result, lambda d, h: d.assign(income=d.income * np.exp(h)))
    np.testing.assert_allclose(table["elasticity"], slope / share, rtol=1e-6, atol=1e-8)
    # membership carries a part: without it there is another number
    kept = result.elasticities("income", history="fitted")["elasticity"]
    assert (abs(kept - table["elasticity"]) > 1e-3).any()


def test_errors_of_total_elasticities_are_the_delta_method_by_differences():
    result = people_fit()
    table = result.elasticities("income", survey())
    expected = errors_by_differences(
        result, lambda r: r.elasticities("income", survey())["elasticity"].to_numpy()
    )
    np.testing.assert_allclose(table["std err"], expected, rtol=1e-5)


def test_a_variable_of_membership_alone_moves_the_classes():
    result = two_classes("choice ~ C(alt) + cost + seat", "income")
    table = result.elasticities("income")
    share = result.market_shares(survey(), by_class=True)["share"]
    slope = total(result, lambda d, h: d.assign(income=d.income * np.exp(h)))
    np.testing.assert_allclose(table["elasticity"], slope / share, rtol=1e-6, atol=1e-8)
    assert (abs(table.loc["market", "elasticity"]) > 1e-4).all()


def test_with_one_class_the_total_elasticity_is_the_formula():
    result = fit("choice ~ C(alt) + cost + I(income * (alt == 'car'))")
    data = survey()
    prob = result.predict()
    gain = result.params["class1.I(income * (alt == 'car'))"] * data.income * (data.alt == "car")
    mean = (prob * gain).groupby(data["situation"]).transform("sum")
    mass = (prob * (gain - mean)).groupby(data["alt"]).sum() / prob.groupby(data["alt"]).sum()
    table = result.elasticities("income").loc["market", "elasticity"]
    np.testing.assert_allclose(table, mass, rtol=1e-8, atol=1e-11)


# -- costs that are not plainly linear -----------------------------------------------------------


@pytest.mark.parametrize(
    "formula",
    [
        "choice ~ C(alt) + cost + cost:income + seat",
        "choice ~ C(alt) + bs(cost, df=4) + seat",
        "choice ~ C(alt) + cr(cost, df=4, constraints='center') + seat",
        "choice ~ C(alt) + np.log(cost) + I(cost ** 2) + seat",
    ],
)
def test_elasticities_by_cost_go_through_all_that_reads_it(formula):
    result = fit(formula)
    table = result.elasticities("cost")["elasticity"].loc["market"]
    prob = result.predict().to_numpy()
    data, tastes = survey(), result.class_params["class1"].to_numpy()
    design = result.model.spec.utility
    # slopes within the data: towards the middle of the range, where splines are at home
    h = 1e-5 * np.where(data.cost > 5, -1, 1)
    one, two, four = (
        design.matrix(data.assign(cost=data.cost + j * h)) @ tastes for j in (1, 2, 4)
    )
    base = design.matrix(data) @ tastes
    slope = (-21 * base + 32 * one - 12 * two + four) / (12 * h)  # of third order
    push = prob * slope * data.cost
    for j in ALTERNATIVES:
        of_j = np.where(data.alt == j, prob, 0.0)
        of_j = pd.Series(of_j).groupby(data["situation"]).transform("sum").to_numpy()
        for m in ALTERNATIVES:
            top = np.where(data.alt == m, push, 0).sum() if j == m else 0.0
            cross = np.where(data.alt == m, of_j * push, 0).sum()
            expected = (top - cross) / np.where(data.alt == j, prob, 0).sum()
            assert table[j, m] == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_beyond_the_knots_of_a_spline_scenarios_say_what_to_do():
    result = fit("choice ~ C(alt) + bs(cost, df=4) + seat")
    with pytest.raises(FormulaError, match=r"B-spline between its outer knots, cost from .*upper"):
        result.market_shares(survey(), {"cost": 1.1})
    within = fit("choice ~ C(alt) + bs(cost, df=4, lower_bound=0, upper_bound=10) + seat")
    assert within.market_shares(survey(), {"cost": 1.1})["change"].notna().all()


# -- marginal effects --------------------------------------------------------------------------


def test_marginal_effects_of_an_attribute_are_derivatives_of_shares():
    result = people_fit()
    table = result.marginal_effects("cost")
    assert list(table.columns) == ["dy/dx", "std err", "[0.025", "0.975]"]
    for m in ALTERNATIVES:
        expected = total(result, lambda d, h, m=m: d.assign(cost=d.cost + h * (d.alt == m)))
        found = table["dy/dx"].xs(m, level="change_in")
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    zero = table["dy/dx"].groupby(["segment", "change_in"]).sum()
    np.testing.assert_allclose(zero, 0, atol=1e-12)


def test_marginal_effects_of_a_variable_of_the_person_are_total_derivatives():
    result = people_fit()
    table = result.marginal_effects("income")
    expected = total(result, lambda d, h: d.assign(income=d.income + h))
    np.testing.assert_allclose(table["dy/dx"], expected, rtol=1e-6, atol=1e-9)
    errors = errors_by_differences(
        result, lambda r: r.marginal_effects("income", survey())["dy/dx"].to_numpy()
    )
    np.testing.assert_allclose(table["std err"], errors, rtol=1e-5, atol=1e-10)


def shares_at(result, **changes) -> pd.Series:
    return result.market_shares(survey().assign(**changes), by_class=True)["share"]


def test_a_variable_of_0_and_1_jumps():
    result = people_fit()
    table = result.marginal_effects("seat")
    for m in ALTERNATIVES:
        own = survey()["alt"] == m
        first, last = (
            shares_at(result, seat=survey()["seat"].where(~own, level)) for level in (0, 1)
        )
        found = table["dy/dx"].xs(m, level="change_in")
        np.testing.assert_allclose(found, last - first, rtol=1e-9, atol=1e-12)
    pd.testing.assert_frame_equal(table, result.marginal_effects("seat", survey()))
    errors = errors_by_differences(
        result, lambda r: r.marginal_effects("seat", survey())["dy/dx"].to_numpy()
    )
    np.testing.assert_allclose(table["std err"], errors, rtol=1e-6, atol=1e-10)


def test_categories_jump_from_the_first_level_to_each_other():
    result = people_fit()
    table = result.marginal_effects("region")
    assert list(table.index.get_level_values("level").unique()) == ["south", "west"]
    for level in ("south", "west"):
        found = table["dy/dx"].xs(level, level="level")
        expected = shares_at(result, region=level) - shares_at(result, region="north")
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    errors = errors_by_differences(
        result, lambda r: r.marginal_effects("region", survey())["dy/dx"].to_numpy()
    )
    np.testing.assert_allclose(table["std err"], errors, rtol=1e-6, atol=1e-10)


def test_a_truth_jumps_from_false_to_true():
    data = survey().assign(male=lambda d: d["male"] == 1)
    formula = "choice ~ C(alt) + cost + I(male * (alt == 'car'))"
    result = MixedMultinomialLogit.from_formula(formula, data, 1, **PANEL).fit()
    table = result.marginal_effects("male")
    first, last = (
        result.market_shares(data.assign(male=level), by_class=True)["share"]
        for level in (False, True)
    )
    np.testing.assert_allclose(table["dy/dx"], last - first, rtol=1e-9, atol=1e-12)


def test_a_variable_with_one_level_has_nowhere_to_go():
    data = survey().assign(kind="a")
    formula = "choice ~ C(alt) + cost + I(cost * (kind == 'a') * seat)"
    result = MixedMultinomialLogit.from_formula(formula, data, 1, **PANEL).fit()
    with pytest.raises(ArgumentError, match="variable='kind' has the value 'a' alone, and there"):
        result.marginal_effects("kind")


def test_effects_of_a_design_of_arrays_are_those_of_the_table():
    data = survey()
    x = data[["cost", "seat"]]
    ids = {"situation": data["situation"], "individual": data["person"], "alternative": data["alt"]}
    arrays = MixedMultinomialLogit(data["choice"], x, 1, **ids).fit()
    table = fit("choice ~ cost + seat")
    for name in ("cost", "seat"):
        found, expected = arrays.marginal_effects(name), table.marginal_effects(name)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_a_variable_of_a_table_of_choices_is_not_at_hand():
    shared = case("shared table")
    result = shared.model(2).fit(n_starts=2)
    names = list(result.model.spec.utility.columns)
    assert result.marginal_effects(names[0])["dy/dx"].notna().all()
    with pytest.raises(ArgumentError, match="variable='nothing' is no column of the design, and "):
        result.marginal_effects("nothing")


# -- histories ---------------------------------------------------------------------------------


def weighted_by_hand(result, data: pd.DataFrame, posterior: pd.DataFrame) -> pd.Series:
    """Shares weighted by class probabilities of the people, by loops over the classes."""
    by_class = result.predict(data, which="class_prob")
    total = 0.0
    for name in by_class:
        total = total + by_class[name] * data["person"].map(posterior[name])
    weight = data["w"]
    size = (total * weight).sum()
    return (total * weight).groupby(data["alt"]).sum() / size


@pytest.mark.parametrize("history", ["fitted", "table"])
def test_market_shares_with_a_history_weight_classes_by_the_posterior(history):
    result, data = people_fit(), survey()
    given = history if history == "fitted" else data
    table = result.market_shares(data, history=given)
    expected = weighted_by_hand(result, data, result.posterior)
    np.testing.assert_allclose(table["share"], expected, rtol=1e-10)
    pd.testing.assert_frame_equal(
        result.market_shares(history=given), table, check_exact=False, rtol=1e-9
    )
    errors = errors_by_differences(
        result, lambda r: r.market_shares(data, history=given)["share"].to_numpy()
    )
    np.testing.assert_allclose(table["std err"], errors, rtol=1e-6)


def test_the_posterior_of_shares_is_that_of_the_loops():
    panel = case("balanced panel")
    result = panel.model(2).fit(n_starts=2)
    beta = result.class_params.to_numpy().T
    gate = np.asarray(result.params)[-1:].reshape(1, 1)
    r = np.array([posterior_of(one, beta, gate) for one in panel.problem])
    by_class = result.predict(which="class_prob").to_numpy()
    arrangement = result.model.choices.arrangement
    person = np.repeat(arrangement.situation_owner, arrangement.sizes)
    mixed = (by_class[arrangement.order] * r[person]).sum(axis=1)
    codes = arrangement.alternative_codes
    expected = np.bincount(codes, mixed) / mixed.sum()
    found = result.market_shares(history="fitted")["share"]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_elasticities_with_a_history_are_derivatives_of_such_shares():
    result = people_fit()
    table = result.elasticities("cost", history="fitted")
    share = result.market_shares(survey(), by_class=True, history="fitted")["share"]
    for m in ALTERNATIVES:
        slope = total(
            result,
            lambda d, h, m=m: d.assign(cost=d.cost * np.where(d.alt == m, np.exp(h), 1.0)),
            history="fitted",
        )
        found = table["elasticity"].xs(m, level="change_in")
        np.testing.assert_allclose(found, slope / share, rtol=1e-6, atol=1e-8)
    errors = errors_by_differences(
        result, lambda r: r.elasticities("cost", survey(), history="fitted")["elasticity"]
    )
    np.testing.assert_allclose(table["std err"], errors, rtol=1e-5)


def test_welfare_with_a_history_weights_classes_by_the_posterior():
    result, data = two_classes("choice ~ C(alt) + cost + seat", "income"), survey()
    better = data.assign(seat=1)
    table = result.welfare_change("cost", data, {"seat": lambda s: 0 * s + 1}, history="fitted")

    def by_hand(r):
        gain = r.logsum(better) - r.logsum(data)
        person = gain.index.get_level_values("person")
        weight = data.drop_duplicates("person").set_index("person")["w"].loc[person].to_numpy()
        posterior = pd.DataFrame(r._posterior, index=result.posterior.index).loc[person].to_numpy()
        price = -r.class_params.loc["cost"].to_numpy()
        money = (posterior * gain[["class1", "class2"]].to_numpy() / price).sum(axis=1)
        return np.array([np.average(money, weights=weight)])

    assert table["change"].iloc[0] == pytest.approx(by_hand(result)[0], rel=1e-9)
    assert table["std err"].iloc[0] == pytest.approx(
        errors_by_differences(result, by_hand)[0], rel=1e-6
    )


def test_people_without_a_history_are_named():
    result, data = people_fit(), survey()
    past = data[data["person"] < 30]
    for ask in (
        lambda: result.market_shares(data, history=past),
        lambda: result.elasticities("cost", data, history=past),
        lambda: result.marginal_effects("cost", data, history=past),
        lambda: result.welfare_change("seat", data, {"cost": 0.9}, history=past),
    ):
        with pytest.raises(DataError, match="30 of 60 individuals of the data have no choices"):
            ask()


# -- welfare in each one's own money -----------------------------------------------------------


def test_welfare_divides_by_each_situations_own_marginal_utility_of_money():
    result, data = fit("choice ~ C(alt) + cost + cost:income + seat"), survey()
    better = data.assign(seat=1)
    table = result.welfare_change("cost", data, {"seat": lambda s: 0 * s + 1})

    def by_hand(r):
        tastes = r.class_params["class1"]
        income = data.groupby("situation")["income"].first()
        gain = (r.logsum(better) - r.logsum(data))["class1"].droplevel("person")
        return np.array([(gain / -(tastes["cost"] + tastes["cost:income"] * income)).mean()])

    np.testing.assert_allclose(table["change"], by_hand(result)[0], rtol=1e-9)
    errors = errors_by_differences(result, by_hand)
    np.testing.assert_allclose(table["std err"], errors[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("formula", "how"),
    [
        ("np.log(cost)", "changes with the cost itself"),
        ("cost + I(cost ** 2)", "changes with the cost itself"),
        ("bs(cost, df=4)", "changes with the cost itself"),
        ("C(alt):cost", "differs between the rows of a situation"),
    ],
)
def test_there_is_no_welfare_without_a_constant_marginal_utility_of_money(formula, how):
    result = fit(f"choice ~ C(alt) + {formula} + seat")
    with pytest.raises(ArgumentError, match=f"The slope of utility in cost='cost' {how}, in"):
        result.welfare_change("cost", survey(), {"seat": lambda s: 0 * s + 1})


def test_a_scenario_may_not_change_the_marginal_utility_of_money():
    result = fit("choice ~ C(alt) + cost + cost:income + seat")
    with pytest.raises(ArgumentError, match="is another one after the scenario, in"):
        result.welfare_change("cost", survey(), {"income": 1.1})
