"""What is done with a formula in three parts is what is done with its columns written by hand."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
from oracle import difference_gradient

from mixlogit import MixedMultinomialLogit, bootstrap_lr_test, simulate_choices

IDS = {"situation": "situation", "individual": "person", "alternative": "mode"}
PARTS = "choice ~ cost + cost:income + time | income | wait"
MODES = ("bus", "car", "rail")  # bus is the reference
COLUMNS = (
    *("cost", "cost_income", "time", "car", "rail", "car_income", "rail_income"),
    *("bus_wait", "car_wait", "rail_wait"),
)
# two searches end at one maximum, each within 1e-8 of it in log-likelihood
LLF = {"rtol": 0, "atol": 1e-6}
SAME = {"rtol": 1e-4, "atol": 1e-6}


@functools.cache
def trips() -> pd.DataFrame:
    """People of two classes with six situations of three modes, and the products of the parts."""
    rng = np.random.default_rng(3)
    person, _, mode = (i.ravel() for i in np.indices((150, 6, 3)))
    n = len(person)
    frame = pd.DataFrame(
        {
            "person": person,
            "situation": np.arange(n) // 3,
            "mode": np.array(MODES)[mode],
            "cost": rng.uniform(1, 5, n),
            "time": rng.normal(size=n),
            "wait": rng.uniform(0, 2, n),
            "income": rng.uniform(0, 2, 150)[person],
            "w": rng.uniform(0.5, 2, 150)[person],
            "band": np.array(["high", "low", "middle"])[person % 3],
        }
    )
    frame["cost_income"] = frame["cost"] * frame["income"]
    for name in MODES:
        own = (frame["mode"] == name).astype(float)
        frame[name], frame[f"{name}_wait"] = own, own * frame["wait"]
        frame[f"{name}_income"] = own * frame["income"]
    tastes = pd.DataFrame(
        {
            "class1": [-2.0, 0.3, -0.5, 0.5, -0.5, 0.5, 0.3, -0.5, -0.8, -0.3],
            "class2": [-0.5, 0.1, -1.5, -0.5, 0.5, -0.5, 0.5, -1.0, -0.2, -1.2],
        },
        index=COLUMNS,
    )
    return simulate_choices(frame, tastes, [0.6, 0.4], rng=1, **IDS)


@functools.cache
def fitted(formula: str, n_classes: int = 2, weights: str | None = None):
    model = MixedMultinomialLogit.from_formula(formula, trips(), n_classes, weights=weights, **IDS)
    return model.fit()


def pair(n_classes: int = 2, weights: str | None = None):
    """Fits of the formula in parts, and of its columns by name."""
    by_hand = f"choice ~ {' + '.join(COLUMNS)}"
    return fitted(PARTS, n_classes, weights), fitted(by_hand, n_classes, weights)


def split(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tastes (2, L) and shares (2,) of flat parameters."""
    odds = np.exp([0.0, flat[-1]])
    return flat[:-1].reshape(2, -1), odds / odds.sum()


def errors_of(function, result) -> np.ndarray:
    """Delta-method errors of a function of the flat parameters, its slope by differences."""
    slope = difference_gradient(function, result.params.to_numpy())  # (D, ...)
    covariance = result.cov_params().to_numpy()
    return np.sqrt(np.einsum("di,de,ei->i", slope, covariance, slope))


def ratios(flat: np.ndarray, attribute: dict[str, float], cost: dict[str, float]) -> np.ndarray:
    """Willingness to pay by class and in the population, from slopes as sums of coefficients."""
    beta, share = split(flat)
    over, under = (
        sum(beta[:, COLUMNS.index(name)] * value for name, value in slope.items())
        for slope in (attribute, cost)
    )
    return np.append(-over / under, share @ (-over / under))


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("n_classes", [1, 2])
def test_the_fits_are_the_same(n_classes, weights):
    parts, by_hand = pair(n_classes, weights)
    np.testing.assert_allclose(parts.llf, by_hand.llf, **LLF)
    np.testing.assert_allclose(parts.params, by_hand.params, **SAME)
    np.testing.assert_allclose(parts.bse, by_hand.bse, **SAME)
    assert parts.cov_type == by_hand.cov_type == ("robust" if weights else "nonrobust")


def test_weights_count_for_the_log_likelihood_as_they_do_with_columns():
    frame, (parts, by_hand) = trips(), pair(weights="w")
    own = frame.drop_duplicates("person").set_index("person")["w"]
    assert abs(parts.llf - pair()[0].llf) > 1
    series = MixedMultinomialLogit.from_formula(PARTS, frame, 2, weights=own[::-1], **IDS)
    # the same sums at the same parameters
    assert series.loglike(by_hand.params.to_numpy()) == pytest.approx(by_hand.llf, rel=1e-12)
    for result in (parts, by_hand):
        np.testing.assert_allclose(result.market_shares(), by_hand.market_shares(frame), **SAME)


# -- willingness to pay and elasticities -----------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_willingness_to_pay_at_a_point_is_that_of_coefficients_added_up(mode):
    parts, by_hand = pair()
    found = parts.wtp("wait", "cost", at={"income": 1.5, "mode": mode})

    def slow(flat):
        return ratios(flat, {f"{mode}_wait": 1.0}, {"cost": 1.0, "cost_income": 1.5})

    np.testing.assert_allclose(found["wtp"], slow(by_hand.params.to_numpy()), **SAME)
    np.testing.assert_allclose(found["std err"], errors_of(slow, by_hand), **SAME)


def test_willingness_to_pay_at_the_mean_takes_the_mean_of_the_columns():
    parts, by_hand = pair()
    income = trips()["income"].mean()
    third = {f"{mode}_wait": 1 / 3 for mode in MODES}

    def slow(flat):
        return ratios(flat, third, {"cost": 1.0, "cost_income": income})

    found = parts.wtp("wait", "cost")
    np.testing.assert_allclose(found["wtp"], slow(by_hand.params.to_numpy()), **SAME)
    np.testing.assert_allclose(found["std err"], errors_of(slow, by_hand), **SAME)


def test_willingness_to_pay_over_rows_is_the_mean_of_their_ratios():
    parts, by_hand = pair()
    frame = trips().head(7)

    def slow(flat):
        each = [
            ratios(flat, {"time": 1.0}, {"cost": 1.0, "cost_income": income})
            for income in frame["income"]
        ]
        return np.mean(each, axis=0)

    found = parts.wtp("time", "cost", at=frame)
    np.testing.assert_allclose(found["wtp"], slow(by_hand.params.to_numpy()), **SAME)
    np.testing.assert_allclose(found["std err"], errors_of(slow, by_hand), **SAME)


def test_willingness_to_pay_by_groups_is_the_mean_over_their_people():
    parts, by_hand = pair()
    frame, beta = trips().drop_duplicates("person"), split(by_hand.params.to_numpy())[0]
    each = [
        posterior @ (-beta[:, 2] / (beta[:, 0] + beta[:, 1] * income))
        for posterior, income in zip(by_hand.posterior.to_numpy(), frame["income"], strict=True)
    ]
    expected = pd.Series(each).groupby(frame["band"].to_numpy()).mean()
    found = parts.wtp("time", "cost", at="sample", by="band")["wtp"]
    np.testing.assert_allclose(found, expected, **SAME)


def summed(result, columns, levels) -> pd.Series:
    """Elasticities by several columns that grow together, added up."""
    tables = [result.elasticities(column)["elasticity"] for column in columns]
    return sum(table.groupby(level=levels, sort=False).sum() for table in tables)


@pytest.mark.parametrize(
    ("attribute", "columns", "levels"),
    [
        ("cost", ["cost", "cost_income"], ["segment", "share_of", "change_in"]),
        ("wait", ["bus_wait", "car_wait", "rail_wait"], ["segment", "share_of", "change_in"]),
        ("time", ["time"], ["segment", "share_of", "change_in"]),
        ("income", ["cost_income", "car_income", "rail_income"], ["segment", "share_of"]),
    ],
)
@pytest.mark.parametrize("weights", [None, "w"])
def test_elasticities_are_sums_over_the_columns_that_move(attribute, columns, levels, weights):
    parts, by_hand = pair(weights=weights)
    found = parts.elasticities(attribute)["elasticity"]
    expected = summed(by_hand, columns, levels)
    assert list(found.index) == list(expected.index)
    np.testing.assert_allclose(found, expected, **SAME)


def test_errors_of_elasticities_are_those_of_products_in_the_formula():
    own = [f"I(1.0 * (mode == '{mode}'))" for mode in MODES]
    terms = ["cost", "I(cost * income)", "time", *own[1:]]
    terms += [f"I(income * (mode == '{mode}'))" for mode in MODES[1:]]
    terms += [f"I(wait * (mode == '{mode}'))" for mode in MODES]
    parts, products = fitted(PARTS), fitted(f"choice ~ {' + '.join(terms)}")
    np.testing.assert_allclose(parts.llf, products.llf, **LLF)
    for name in ("cost", "wait", "income"):
        for one, other in (
            (parts.elasticities(name), products.elasticities(name)),
            (parts.marginal_effects(name), products.marginal_effects(name)),
        ):
            pd.testing.assert_frame_equal(one, other, **SAME)


# -- history ---------------------------------------------------------------------------------------


def past_and_new() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The first three situations of each person, and the others."""
    is_past = trips()["situation"] % 6 < 3
    return trips()[is_past], trips()[~is_past]


@pytest.mark.parametrize("history", ["fitted", "a table"])
def test_forecasts_by_history_are_those_of_the_columns(history):
    past, new = past_and_new()
    known = past if history == "a table" else "fitted"
    parts, by_hand = pair()
    for found, expected in [
        (parts.predict(new, history=known), by_hand.predict(new, history=known)),
        (parts.market_shares(new, history=known), by_hand.market_shares(new, history=known)),
        (
            parts.elasticities("time", new, history=known),
            by_hand.elasticities("time", new, history=known),
        ),
    ]:
        np.testing.assert_allclose(found, expected, **SAME)
    without = parts.predict(new)
    assert np.abs(parts.predict(new, history=known) - without).max() > 0.1


def test_history_is_read_row_by_row():
    past, new = past_and_new()
    parts, by_hand = pair()
    beta, share = split(by_hand.params.to_numpy())

    def prob(frame):
        odds = np.exp(frame[list(COLUMNS)].to_numpy() @ beta.T).reshape(-1, 3, 2)
        return (odds / odds.sum(axis=1, keepdims=True)).reshape(-1, 2)

    expected, before, after = [], prob(past), prob(new)
    for person in range(150):
        chosen = ((past["person"] == person) & (past["choice"] == 1)).to_numpy()
        joint = share * before[chosen].prod(axis=0)
        rows = after[(new["person"] == person).to_numpy()]
        expected.append(rows @ (joint / joint.sum()))
    np.testing.assert_allclose(parts.predict(new, history=past), np.concatenate(expected), **SAME)


# -- bootstrap -------------------------------------------------------------------------------------


def test_bootstrap_tests_draw_and_fit_as_with_the_columns():
    tests = [
        bootstrap_lr_test(fitted(formula, 1), fitted(formula, 2), 3, n_starts=2)
        for formula in (PARTS, f"choice ~ {' + '.join(COLUMNS)}")
    ]
    parts, by_hand = tests
    assert parts.pvalue == by_hand.pvalue == 0.25  # two classes made the choices
    np.testing.assert_allclose(parts.statistic, by_hand.statistic, **LLF)
    np.testing.assert_allclose(parts.draws, by_hand.draws, **LLF)
    assert np.ptp(parts.draws) > 1
