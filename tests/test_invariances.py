"""What must not change an answer: order, labels, units, layouts, copies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixlogit import MixedMultinomialLogit, select_classes, simulate_choices
from mixlogit.covariance import outer_products

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


def assert_same_likelihood(first, second, params, tolerance: float = 1e-10) -> None:
    """Log-likelihood, score, Hessian and posterior agree; sums of a hundred terms of order 1."""
    found, expected = second.loglike(params), first.loglike(params)
    assert found == pytest.approx(expected, rel=max(1e-12, tolerance / 100))
    for name in ("score", "hessian", "posterior"):
        found, expected = getattr(second, name)(params), getattr(first, name)(params)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance, err_msg=name)


def assert_same_bits(first, second, params) -> None:
    """Log-likelihood, score, Hessian and posterior are the same to the last bit."""
    for name in ("loglike", "score", "hessian", "posterior"):
        found, expected = getattr(second, name)(params), getattr(first, name)(params)
        np.testing.assert_array_equal(found, expected, err_msg=name)


def assert_same_bits_of_fits(first, second) -> None:
    """Two default fits are the same to the last bit."""
    first, second = first.fit(), second.fit()
    assert first.llf == second.llf
    np.testing.assert_array_equal(first.params, second.params)
    np.testing.assert_array_equal(first.posterior, second.posterior)
    for kind in ("nonrobust", "opg", "robust"):
        matrices = [fit.with_cov(kind).cov_params() for fit in (first, second)]
        np.testing.assert_array_equal(*matrices, err_msg=kind)


@few
@given(seeds)
def test_row_order_changes_no_bit(seed):
    frame = panel(seed)
    shuffled = frame.sample(frac=1, random_state=seed % 1000)
    first, second = model(frame), model(shuffled)
    np.testing.assert_array_equal(first.choices.exog, second.choices.exog)
    assert_same_bits(first, second, parameters(seed))


@pytest.mark.parametrize("seed", range(3))
def test_row_order_changes_no_bit_of_a_fit(seed):
    frame = panel(seed, n_people=80)
    assert_same_bits_of_fits(model(frame), model(frame.sample(frac=1, random_state=seed)))


def relabelling(order: np.ndarray, n_attributes: int, n_covariates: int) -> np.ndarray:
    """Matrix (D, D) that gives class j the parameters of class order[j]; the first is the base."""
    n_classes = len(order)
    n_tastes = n_classes * n_attributes

    def logit_of(k: int) -> slice:
        start = n_tastes + (k - 1) * n_covariates
        return slice(start, start + n_covariates)

    matrix = np.zeros((n_tastes + (n_classes - 1) * n_covariates,) * 2)
    for j, k in enumerate(order):
        for a in range(n_attributes):
            matrix[j * n_attributes + a, k * n_attributes + a] = 1
        if j > 0 and k > 0:
            matrix[logit_of(j), logit_of(k)] += np.eye(n_covariates)
        if j > 0 and order[0] > 0:
            matrix[logit_of(j), logit_of(order[0])] -= np.eye(n_covariates)
    return matrix


@few
@given(seeds, st.permutations(range(3)))
def test_labels_of_classes_change_nothing(seed, order):
    frame = panel(seed)
    frame["age"] = np.random.default_rng(seed).standard_normal(40)[frame["person"]]
    built = MixedMultinomialLogit.from_formula(FORMULA, frame, 3, membership="age", **IDS)
    params = parameters(seed, 3 * 2 + 2 * 2)
    change = relabelling(np.array(order), n_attributes=2, n_covariates=2)
    other = change @ params
    assert built.loglike(other) == pytest.approx(built.loglike(params), rel=1e-12)
    np.testing.assert_allclose(
        built.posterior(other), built.posterior(params)[:, order], rtol=0, atol=1e-12
    )
    # of the same function of other variables
    score, hessian = change.T @ built.score(other), change.T @ built.hessian(other) @ change
    np.testing.assert_allclose(score, built.score(params), rtol=0, atol=1e-10)
    np.testing.assert_allclose(hessian, built.hessian(params), rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_fits_from_starts_with_other_labels_are_the_same(seed):
    built = model(panel(seed, n_people=80))
    start = np.append(TASTES.to_numpy().T.ravel(), 0.3)
    other = relabelling(np.array([1, 0]), n_attributes=2, n_covariates=1) @ start
    first, second = built.fit(start), built.fit(other)
    assert_same_fit(second, first)
    np.testing.assert_allclose(second.posterior, first.posterior, rtol=0, atol=SAME_FIT)


@few
@given(seeds, st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2))
def test_a_constant_added_within_situations_changes_nothing(seed, shift):
    frame = panel(seed)
    moved = frame.copy()
    situation = pd.factorize(frame["situation"])[0]
    for name, size in zip(["x1", "x2"], shift, strict=True):
        moved[name] = frame[name] + size * np.cos(situation)
    # the shift itself costs digits: x + 1e6 holds x to 1e-10
    assert_same_likelihood(model(frame), model(moved), parameters(seed), tolerance=1e-6)


@few
@given(seeds, st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2))
def test_where_a_column_begins_changes_nothing(seed, shift):
    frame = panel(seed)
    moved = frame.assign(x1=frame["x1"] + shift[0], x2=frame["x2"] + shift[1])
    # x + 1e3 holds x to 1e-13
    assert_same_likelihood(model(frame), model(moved), parameters(seed), tolerance=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("where", ["column", "situations"])
def test_shifts_of_attributes_change_no_coefficient_and_no_error(seed, where):
    frame = panel(seed, n_people=80)
    situation = pd.factorize(frame["situation"])[0]
    by = 50.0 if where == "column" else 50.0 * np.cos(situation)
    moved = frame.assign(x1=frame["x1"] + by, x2=frame["x2"] - by)
    first, second = model(frame).fit(), model(moved).fit()
    assert_same_fit(second, first)
    np.testing.assert_allclose(second.posterior, first.posterior, rtol=0, atol=SAME_FIT)


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
    for kind in ("nonrobust", "opg", "robust"):
        errors = other.with_cov(kind).bse * unit
        np.testing.assert_allclose(errors, plain.with_cov(kind).bse, rtol=1e-6, err_msg=kind)
    np.testing.assert_allclose(other.posterior, plain.posterior, rtol=0, atol=1e-6)
    assert other.converged == plain.converged


@few
@given(seeds, st.floats(-3, 3), st.floats(-3, 3), st.floats(-2, 2), st.floats(-2, 2))
def test_attributes_mixed_with_each_other_change_coefficients_alone(seed, a, b, c, d):
    mixing = np.array([[1.0, 0.0], [0.0, 1.0]]) + 0.2 * np.array([[a, b], [c, d]]) / 3
    frame = panel(seed)
    mixed = frame.copy()
    mixed[["x1", "x2"]] = frame[["x1", "x2"]].to_numpy() @ mixing
    first, second = model(frame), model(mixed)
    params = parameters(seed)
    change = np.eye(5)  # of the coefficients of the mixed attributes into those of the plain ones
    change[:2, :2] = change[2:4, 2:4] = mixing
    other = np.linalg.solve(change, params)
    assert second.loglike(other) == pytest.approx(first.loglike(params), rel=1e-12)
    np.testing.assert_allclose(second.posterior(other), first.posterior(params), atol=1e-11)
    score, hessian = change.T @ first.score(params), change.T @ first.hessian(params) @ change
    np.testing.assert_allclose(second.score(other), score, rtol=0, atol=1e-10)
    np.testing.assert_allclose(second.hessian(other), hessian, rtol=0, atol=1e-10)


@few
@given(seeds)
def test_every_individual_twice_at_half_weight_is_every_individual_twice(seed):
    frame = panel(seed).assign(w=1.0)
    twin = frame.assign(person=frame["person"] + 1000, w=0.5)
    doubled = pd.concat([frame.assign(w=0.5), twin], ignore_index=True)
    params = parameters(seed)
    first, second = model(frame), model(doubled, weights="w")
    # weights that are all equal are no weights: there are twice as many individuals
    assert second.loglike(params) == pytest.approx(2 * first.loglike(params), rel=1e-12)
    np.testing.assert_allclose(second.score(params), 2 * first.score(params), rtol=0, atol=1e-10)
    twice_hessian = 2 * first.hessian(params)
    np.testing.assert_allclose(second.hessian(params), twice_hessian, rtol=0, atol=1e-10)
    twice = np.tile(first.posterior(params), (2, 1))
    np.testing.assert_allclose(second.posterior(params), twice, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("unit", [1e-30, 1e-3, 4.0, 1e3, 1e90])
def test_weights_in_another_unit_are_the_same_fit(seed, unit):
    frame = panel(seed, n_people=80)
    frame["w"] = np.random.default_rng(seed).uniform(0.5, 2.0, size=80)[frame["person"]]
    first = model(frame, weights="w").fit()
    second = model(frame.assign(w=unit * frame["w"]), weights="w").fit()
    assert second.cov_type == first.cov_type == "robust"
    for name in ("llf", "llnull", "ll_mnl", "aic", "bic", "icl", "entropy_r2"):
        assert getattr(second, name) == pytest.approx(getattr(first, name), rel=SAME_FIT), name
    np.testing.assert_allclose(second.params, first.params, rtol=SAME_FIT)
    np.testing.assert_allclose(second.posterior, first.posterior, rtol=0, atol=SAME_FIT)
    for kind in ("nonrobust", "opg", "robust"):
        found, wanted = second.with_cov(kind).cov_params(), first.with_cov(kind).cov_params()
        np.testing.assert_allclose(found, wanted, rtol=1e-7, err_msg=kind)


def test_the_chosen_number_of_classes_does_not_depend_on_the_unit_of_weights():
    frame = panel(0, n_people=80)
    frame["w"] = np.random.default_rng(0).uniform(0.5, 2.0, size=80)[frame["person"]]
    tables = [
        select_classes(model(frame.assign(w=unit * frame["w"]), weights="w"), [1, 2, 3]).table
        for unit in (1.0, 1e-3, 1e3)
    ]
    same = ["llf", "aic", "bic", "caic"]
    for other in tables[1:]:
        pd.testing.assert_frame_equal(other[same], tables[0][same], rtol=SAME_FIT)


@pytest.mark.parametrize("seed", range(3))
def test_twins_halve_covariances_and_change_no_estimate_unless_they_are_clusters(seed):
    frame = panel(seed, n_people=80)
    doubled = copied(frame, 2)
    first, second = model(frame).fit(), model(doubled).fit()
    assert second.llf == pytest.approx(2 * first.llf, rel=SAME_FIT)
    np.testing.assert_allclose(second.params, first.params, rtol=SAME_FIT)
    np.testing.assert_allclose(2 * second.cov_params(), first.cov_params(), rtol=SAME_FIT)
    wanted = first.with_cov("robust").cov_params()
    robust_errors = second.with_cov("robust")
    np.testing.assert_allclose(2 * robust_errors.cov_params(), wanted, rtol=SAME_FIT)
    # unless it is said that twins are no new information
    twins = doubled.groupby("person")["original"].first()
    clustered = second.with_cov("cluster", groups=twins).cov_params()
    np.testing.assert_allclose(clustered * (79 / 80), wanted, rtol=SAME_FIT)


@few
@given(seeds, st.booleans())
def test_frequency_weights_have_the_likelihood_of_as_many_individuals(seed, is_weighted):
    frame = panel(seed)
    person = frame["person"]
    rng = np.random.default_rng(seed)
    frame["copies"] = rng.integers(1, 4, size=40)[person]
    frame["w"] = rng.uniform(0.5, 2.0, size=40)[person] if is_weighted else 1.0
    whole = copied(frame, frame["copies"])
    given = {"weights": "w"} if is_weighted else {}
    few_rows, many_rows = model(frame, freq_weights="copies", **given), model(whole, **given)
    params = parameters(seed)
    assert few_rows.loglike(params) == pytest.approx(many_rows.loglike(params), rel=1e-12)
    for name in ("score", "hessian"):
        found, expected = getattr(few_rows, name)(params), getattr(many_rows, name)(params)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10, err_msg=name)
    original = many_rows.choices.entries.ids.to_numpy() % 1000
    np.testing.assert_allclose(
        many_rows.posterior(params), few_rows.posterior(params)[original], rtol=0, atol=1e-12
    )


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
    drawn = np.flatnonzero(table["n"])
    by_item = pd.DataFrame(counted.posterior(params), index=drawn)
    np.testing.assert_allclose(single.posterior(params), by_item.loc[draws], rtol=0, atol=1e-12)
    # the filling of the sandwich
    meat = []
    for each in (counted, single):
        likelihood, data = each.likelihood(), each.choices
        scores = likelihood.individual_scores(likelihood.unpack(params))
        meat.append(outer_products(scores, data.weights, data.entries.frequency))
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


# -- how numbers and ids are held


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.setflags(write=False)
    return array


def on_disk(array: np.ndarray, folder) -> np.ndarray:
    path = folder / "attributes.dat"
    array.tofile(path)
    return np.memmap(path, dtype=array.dtype, mode="r", shape=array.shape)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray | pd.DataFrame]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "backwards": lambda x: x[:, ::-1].copy()[:, ::-1],
    "read-only": read_only,
    "big-endian": lambda x: x.astype(">f8"),
    "single precision": lambda x: x.astype(np.float32),
    "long double": lambda x: x.astype(np.longdouble),
    "frame": lambda x: pd.DataFrame(x, columns=["x1", "x2"]),
    "frame of single precision": lambda x: pd.DataFrame(x.astype(np.float32)),
    "frame of nullable numbers": lambda x: pd.DataFrame(x).astype("Float64"),
}


def of_arrays(frame: pd.DataFrame, exog) -> MixedMultinomialLogit:
    return MixedMultinomialLogit(
        frame["choice"],
        exog,
        2,
        situation=frame["situation"],
        individual=frame["person"],
        alternative=frame["item"],
    )


def in_single_precision(frame: pd.DataFrame) -> pd.DataFrame:
    """Attributes that 24 bits hold exactly."""
    rounded = frame[["x1", "x2"]].astype(np.float32).astype(np.float64)
    return frame.assign(**rounded)


@few
@given(seeds, st.sampled_from(sorted(LAYOUTS)))
def test_float_layouts_give_the_same_bits(seed, layout):
    frame = in_single_precision(panel(seed))
    attributes = frame[["x1", "x2"]].to_numpy()
    held = of_arrays(frame, LAYOUTS[layout](attributes))
    assert_same_bits(model(frame), held, parameters(seed))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fits_to_every_layout_have_the_same_bits(layout):
    frame = in_single_precision(panel(5, n_people=80))
    held = of_arrays(frame, LAYOUTS[layout](frame[["x1", "x2"]].to_numpy()))
    assert_same_bits_of_fits(model(frame), held)


def test_fits_to_a_file_have_the_same_bits(tmp_path):
    frame = panel(5, n_people=80)
    held = of_arrays(frame, on_disk(frame[["x1", "x2"]].to_numpy(), tmp_path))
    assert_same_bits(model(frame), held, parameters(5))
    assert_same_bits_of_fits(model(frame), held)


@few
@given(seeds, st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_a_table_cut_anywhere_has_the_same_bits(seed, lengths):
    frame = panel(seed)
    ends = np.cumsum(np.resize(lengths, len(frame)))
    pieces = np.split(np.arange(len(frame)), ends[ends < len(frame)])
    chunked = MixedMultinomialLogit.from_chunks(
        FORMULA, [frame.iloc[piece] for piece in pieces], 2, **IDS
    )
    assert_same_bits(model(frame), chunked, parameters(seed))


ID_TYPES: dict[str, Callable[[pd.Series], pd.Series]] = {
    "text": lambda codes: codes.map("id {:06d}".format),
    "pandas text": lambda codes: codes.map("id {:06d}".format).astype("string"),
    "floats": lambda codes: codes + 0.5,
    "small integers": lambda codes: codes.astype(np.int16),
    "unsigned integers": lambda codes: codes.astype(np.uint64),
    "nullable integers": lambda codes: codes.astype("Int64"),
    "categories": lambda codes: codes.map("id {:06d}".format).astype("category"),
    "categories in another order": lambda codes: pd.Series(
        pd.Categorical(codes, categories=sorted(set(codes), reverse=True))
    ),
    "dates": lambda codes: pd.Timestamp("2024-01-01") + pd.to_timedelta(codes, unit="h"),
    "pairs": lambda codes: pd.Series([(c // 7, f"{c % 7}") for c in codes], dtype=object),
}


@few
@given(seeds, st.lists(st.sampled_from(sorted(ID_TYPES)), min_size=3, max_size=3))
def test_ids_of_every_type_in_the_same_order_give_the_same_bits(seed, kinds):
    frame = panel(seed)
    frame["situation"] = pd.factorize(frame["situation"])[0]
    renamed = frame.copy()
    for column, kind in zip(IDS.values(), kinds, strict=True):
        renamed[column] = ID_TYPES[kind](frame[column])
    assert_same_bits(model(frame), model(renamed), parameters(seed))


@pytest.mark.parametrize("kind", ID_TYPES)
def test_fits_with_ids_of_every_type_have_the_same_bits(kind):
    frame = panel(6, n_people=80)
    frame["situation"] = pd.factorize(frame["situation"])[0]
    renamed = frame.assign(**{name: ID_TYPES[kind](frame[name]) for name in IDS.values()})
    assert_same_bits_of_fits(model(frame), model(renamed))


# -- situations that say nothing


def with_single_alternatives(frame: pd.DataFrame, n: int = 1) -> pd.DataFrame:
    """So many more situations for every individual, in which there is nothing to choose."""
    extra = [
        frame.groupby("person", as_index=False)
        .first()
        .assign(situation=lambda f, t=t: f["person"].astype(str) + f"-only {t}", choice=1)
        for t in range(n)
    ]
    return pd.concat([frame, *extra], ignore_index=True)


@few
@given(seeds, st.integers(1, 3))
def test_situations_with_one_alternative_change_nothing(seed, n):
    frame = panel(seed)
    both = model(with_single_alternatives(frame, n))
    assert_same_likelihood(model(frame), both, parameters(seed))


@pytest.mark.parametrize("seed", range(3))
def test_fits_with_situations_of_one_alternative_are_the_same(seed):
    frame = panel(seed, n_people=80)
    first, second = model(frame).fit(), model(with_single_alternatives(frame)).fit()
    assert_same_fit(second, first)
    np.testing.assert_allclose(second.posterior, first.posterior, rtol=0, atol=SAME_FIT)
    assert "single alternative" in second.summary().as_text()
