"""What must not change an answer: order, labels, units, layouts, copies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixlogit import MixedMultinomialLogit, simulate_choices
from mixlogit.covariance import robust

FORMULA = "choice ~ x1 + x2"
IDS = {"situation": "situation", "individual": "person", "alternative": "item"}
TASTES = pd.DataFrame({"a": [1.5, -1.0], "b": [-1.0, 0.5]}, index=["x1", "x2"])
SAME = 1e-9  # sums in another order, carried through the iterations
SAME_FIT = 1e-8  # the same at the end of two searches, from other starts

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=15, deadline=None, derandomize=True)  # the same examples everywhere


def panel(seed: int, n_people: int = 40) -> pd.DataFrame:
    """A ragged panel: 1 to 5 situations of 2 to 4 alternatives."""
    rng = np.random.default_rng(seed)
    rows = [
        (person, f"{person}-{t}", item, *rng.standard_normal(2))
        for person in range(n_people)
        for t in range(rng.integers(1, 6))
        for item in range(rng.integers(2, 5))
    ]
    frame = pd.DataFrame(rows, columns=["person", "situation", "item", "x1", "x2"])
    return simulate_choices(frame, TASTES, situation="situation", individual="person", rng=seed)


def model(frame: pd.DataFrame, formula: str = FORMULA, **keywords) -> MixedMultinomialLogit:
    return MixedMultinomialLogit.from_formula(formula, frame, 2, **(IDS | keywords))


def expanded(table: pd.DataFrame) -> pd.DataFrame:
    """A choice set for every draw of a table of counts ``n``, with the weights of what it drew."""
    columns = [name for name in ("w", "copies") if name in table]
    sets = []
    for d, j in enumerate(np.repeat(np.arange(len(table)), table["n"])):
        choice = (np.arange(len(table)) == j).astype(int)
        sets.append(table.assign(draw=d, choice=choice, **table[columns].iloc[j]))
    return pd.concat(sets, ignore_index=True)


def copied(frame: pd.DataFrame, times: pd.Series | int) -> pd.DataFrame:
    """Every individual so many times, under new ids; column ``original`` keeps the old one."""
    n = times if isinstance(times, pd.Series) else pd.Series(times, frame.index)
    copies = [frame[n > c].assign(person=frame["person"] + 1000 * c) for c in range(n.max())]
    return pd.concat(copies, ignore_index=True).assign(original=lambda f: f["person"] % 1000)


def assert_same_fit(first, second) -> None:
    """Estimates, statistics of fit and covariance matrices agree."""
    for statistic in ("llf", "llnull", "ll_mnl", "aic", "bic", "caic", "sabic", "hqic", "icl"):
        found, expected = getattr(first, statistic), getattr(second, statistic)
        assert found == pytest.approx(expected, rel=SAME_FIT), statistic
    assert (first.nobs, first.df_resid) == (second.nobs, second.df_resid)
    assert first.entropy_r2 == pytest.approx(second.entropy_r2, rel=SAME_FIT)
    np.testing.assert_allclose(first.params, second.params, rtol=SAME_FIT)
    np.testing.assert_allclose(first.class_shares, second.class_shares, rtol=SAME_FIT)
    for name in ("nonrobust", "opg", "robust"):
        found, expected = first.with_cov(name).cov_params(), second.with_cov(name).cov_params()
        unit = np.sqrt(np.diag(expected))  # a covariance can be next to nothing
        found, expected = (matrix / np.outer(unit, unit) for matrix in (found, expected))
        np.testing.assert_allclose(found, expected, rtol=0, atol=SAME_FIT)


def parameters(seed: int, n: int = 5) -> np.ndarray:
    return np.random.default_rng(seed + 1).standard_normal(n)


@few
@given(seeds)
def test_row_order_changes_nothing(seed):
    frame = panel(seed)
    shuffled = frame.sample(frac=1, random_state=seed % 1000)
    first, second = model(frame), model(shuffled)
    np.testing.assert_array_equal(first.choices.exog, second.choices.exog)
    params = parameters(seed)
    assert first.loglike(params) == second.loglike(params)
    assert first.fit().llf == second.fit().llf


@few
@given(seeds, st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2))
def test_a_constant_added_within_situations_changes_nothing(seed, shift):
    frame = panel(seed)
    moved = frame.copy()
    situation = pd.factorize(frame["situation"])[0]
    for name, size in zip(["x1", "x2"], shift, strict=True):
        moved[name] = frame[name] + size * np.cos(situation)
    params = parameters(seed)
    # the shift itself costs digits: x + 1e6 holds x to 1e-10
    assert model(moved).loglike(params) == pytest.approx(model(frame).loglike(params), rel=1e-8)


@few
@given(seeds, st.floats(-6, 6), st.floats(-6, 6))
def test_units_of_attributes_rescale_coefficients_and_nothing_else(seed, first, second):
    frame = panel(seed, n_people=120)
    factor = np.array([10.0**first, 10.0**second])
    scaled = frame.assign(x1=frame["x1"] * factor[0], x2=frame["x2"] * factor[1])
    start = np.append(TASTES.to_numpy().T.ravel(), 0.0)
    unit = np.append(np.tile(factor, 2), 1.0)
    plain = model(frame).fit(start)
    other = model(scaled).fit(start / unit)
    assert other.llf == pytest.approx(plain.llf, rel=SAME)
    np.testing.assert_allclose(other.params * unit, plain.params, rtol=1e-6)
    np.testing.assert_allclose(other.bse * unit, plain.bse, rtol=1e-6)
    assert other.converged == plain.converged


@few
@given(seeds)
def test_every_individual_twice_at_half_weight_is_the_same_fit(seed):
    frame = panel(seed).assign(w=1.0)
    twin = frame.assign(person=frame["person"] + 1000, w=0.5)
    doubled = pd.concat([frame.assign(w=0.5), twin], ignore_index=True)
    params = parameters(seed)
    first, second = model(frame), model(doubled, weights="w")
    assert second.loglike(params) == pytest.approx(first.loglike(params), rel=1e-12)
    np.testing.assert_allclose(second.score(params), first.score(params), rtol=0, atol=1e-10)
    np.testing.assert_allclose(second.hessian(params), first.hessian(params), rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_halved_weights_of_twins_halve_robust_covariances_and_change_no_estimate(seed):
    frame = panel(seed, n_people=80)
    doubled = copied(frame.assign(w=0.5), 2)
    first, second = model(frame).fit(), model(doubled, weights="w").fit()
    assert second.llf == pytest.approx(first.llf, rel=SAME_FIT)
    np.testing.assert_allclose(second.params, first.params, rtol=SAME_FIT)
    np.testing.assert_allclose(second.cov_params(), first.cov_params(), rtol=SAME_FIT)
    # two units of half a score each: the sum of squares is half of that of one unit
    wanted = first.with_cov("robust").cov_params()
    robust_errors = second.with_cov("robust")
    np.testing.assert_allclose(2 * robust_errors.cov_params(), wanted, rtol=SAME_FIT)
    # unless it is said that twins are no new information
    twins = doubled.groupby("person")["original"].first()
    clustered = second.with_cov("cluster", groups=twins).cov_params()
    np.testing.assert_allclose(clustered * (79 / 80), wanted, rtol=SAME_FIT)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["two", "varying", "with sampling weights"])
def test_frequency_weights_are_as_many_individuals(seed, kind):
    frame = panel(seed, n_people=60)
    person = frame["person"]
    rng = np.random.default_rng(seed)
    frame["copies"] = 2 if kind == "two" else rng.integers(1, 4, size=60)[person]
    frame["w"] = rng.uniform(0.5, 2.0, size=60)[person] if "weights" in kind else 1.0
    frame["region"] = person % 9
    given = {"weights": "w"} if "weights" in kind else {}
    whole = copied(frame, frame["copies"])
    few_rows = model(frame, freq_weights="copies", **given).fit()
    many_rows = model(whole, **given).fit()
    assert few_rows.nobs == frame.groupby("person")["copies"].first().sum()
    assert_same_fit(few_rows, many_rows)
    clusters = [
        fit.with_cov("cluster", groups=data.groupby("person")["region"].first()).cov_params()
        for fit, data in ((few_rows, frame), (many_rows, whole))
    ]
    np.testing.assert_allclose(*clusters, rtol=SAME_FIT)


def test_frequency_weights_of_a_shared_table_are_as_many_individuals():
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.standard_normal((8, 2)), columns=["x1", "x2"])
    table["item"] = np.arange(8)
    utility = table[["x1", "x2"]].to_numpy() @ TASTES.to_numpy()  # (items, classes)
    prob = np.exp(utility) / np.exp(utility).sum(axis=0)
    bought = pd.DataFrame(
        [(p, item) for p in range(40) for item in rng.choice(8, size=5, p=prob[:, p % 2])],
        columns=["person", "item"],
    )
    bought["copies"] = rng.integers(1, 4, size=40)[bought["person"]]
    ids = {"alternative": "item", "individual": "person"}
    fits = [
        MixedMultinomialLogit.from_table("~ x1 + x2", table, choices, 2, **ids, **given).fit()
        for choices, given in (
            (bought, {"freq_weights": "copies"}),
            (copied(bought, bought["copies"]), {}),
        )
    ]
    assert_same_fit(*fits)


def counted_draws(seed: int) -> pd.DataFrame:
    """A table of 100 draws from two classes far apart."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.standard_normal((12, 2)), columns=["x1", "x2"])
    utility = 1.5 * table.to_numpy() @ TASTES.to_numpy()
    prob = np.exp(utility) / np.exp(utility).sum(axis=0)
    table["n"] = rng.multinomial(60, prob[:, 0]) + rng.multinomial(40, prob[:, 1])
    return table.assign(item=np.arange(12))


@pytest.mark.parametrize("seed", [1, 2, 4])  # others may have no interior maximum
@pytest.mark.parametrize(
    "given", [{}, {"weights": "w"}, {"weights": "w", "freq_weights": "copies"}]
)
def test_fits_to_counts_are_fits_to_expanded_draws(seed, given):
    table = counted_draws(seed)
    rng = np.random.default_rng(seed)
    if "weights" in given:
        table["w"] = rng.uniform(0.5, 2.0, size=12)  # of the row that was drawn
    if "freq_weights" in given:
        table["copies"] = rng.integers(1, 4, size=12)
    counted = MixedMultinomialLogit.from_formula(
        "n ~ x1 + x2", table, 2, alternative="item", **given
    )
    rows = expanded(table)
    single = MixedMultinomialLogit.from_formula(
        FORMULA, rows, 2, situation="draw", alternative="item", **given
    )
    start = np.append(1.5 * TASTES.to_numpy().T.ravel(), -0.4)
    assert_same_fit(counted.fit(start), single.fit(start))


@few
@given(seeds)
def test_counts_equal_expanded_draws(seed):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.standard_normal((9, 2)), columns=["x1", "x2"])
    table["n"] = rng.poisson(3, size=9) + (np.arange(9) == 0) * 2
    table["item"] = np.arange(9)
    counted = MixedMultinomialLogit.from_formula("n ~ x1 + x2", table, 2, alternative="item")
    draws = np.repeat(np.arange(9), table["n"])
    single = MixedMultinomialLogit.from_formula(
        FORMULA, expanded(table), 2, situation="draw", alternative="item"
    )
    params = parameters(seed)
    assert counted.loglike(params) == pytest.approx(single.loglike(params), rel=1e-12)
    np.testing.assert_allclose(counted.score(params), single.score(params), rtol=0, atol=1e-10)
    np.testing.assert_allclose(counted.hessian(params), single.hessian(params), rtol=0, atol=1e-9)
    assert counted.choices.n_individuals == single.choices.n_individuals == len(draws)
    # the filling of the sandwich, between bread that is the identity
    meat = []
    for each in (counted, single):
        likelihood, data = each.likelihood(), each.choices
        scores = likelihood.individual_scores(likelihood.unpack(params))
        meat.append(robust(-np.eye(5), scores, data.weights, data.entries.frequency))
    np.testing.assert_allclose(meat[0], meat[1], rtol=1e-10, atol=1e-9)


@few
@given(seeds)
def test_one_shared_table_equals_the_table_repeated_for_everyone(seed):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.standard_normal((6, 2)), columns=["x1", "x2"])
    table["item"] = list("abcdef")
    bought = pd.DataFrame(
        {
            "person": rng.integers(8, size=30),
            "item": rng.choice(list("abcdef"), size=30),
            "n": rng.integers(1, 4, size=30),
        }
    )
    shared = MixedMultinomialLogit.from_table(
        "~ x1 + x2", table, bought, 2, alternative="item", individual="person", count="n"
    )
    total = bought.groupby(["person", "item"])["n"].sum()
    people = sorted(bought["person"].unique())
    long = table.merge(pd.DataFrame({"person": people}), how="cross")
    long["n"] = [total.get((p, i), 0) for p, i in zip(long["person"], long["item"], strict=True)]
    repeated = MixedMultinomialLogit.from_formula(
        "n ~ x1 + x2",
        long,
        2,
        situation="person",
        individual="person",
        alternative="item",
        choices="counts",
    )
    params = parameters(seed)
    assert shared.loglike(params) == pytest.approx(repeated.loglike(params), rel=1e-12)
    np.testing.assert_allclose(shared.score_obs(params), repeated.score_obs(params), atol=1e-10)
    np.testing.assert_allclose(shared.hessian(params), repeated.hessian(params), atol=1e-9)
    assert len(shared.choices.exog) == 6


@few
@given(seeds)
def test_float_layouts_give_the_same_bits(seed):
    frame = panel(seed)
    attributes = frame[["x1", "x2"]].to_numpy()
    ids = {
        "situation": frame["situation"],
        "individual": frame["person"],
        "alternative": frame["item"],
    }
    params = parameters(seed)
    values = {
        layout: MixedMultinomialLogit(frame["choice"], array, 2, **ids).loglike(params)
        for layout, array in {
            "C": np.ascontiguousarray(attributes),
            "F": np.asfortranarray(attributes),
            "strided": np.repeat(attributes, 2, axis=1)[:, ::2],
        }.items()
    }
    assert len(set(values.values())) == 1
    assert values["C"] == model(frame).loglike(params)


def test_situations_with_one_alternative_change_nothing():
    frame = panel(3)
    extra = frame.groupby("person", as_index=False).first()
    extra = extra.assign(situation=extra["situation"] + "-only", choice=1)
    both = pd.concat([frame, extra], ignore_index=True)
    params = parameters(3)
    assert model(both).loglike(params) == pytest.approx(model(frame).loglike(params), rel=1e-13)
    assert "single alternative" in model(both).fit().summary().as_text()
