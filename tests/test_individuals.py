"""Arguments with one value per individual are matched by index, by position, or by a column."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import zoo
from any_estimates import AnyEstimates

from mixlogit import MixedMultinomialLogit, read_results
from mixlogit.errors import ArgumentError, ColumnError, DataError
from mixlogit.individuals import Individuals
from mixlogit.willingness import WillingnessResults

PANEL = zoo.PANEL | {"alternative": "alt"}
N = 25  # people of the panel
REGIONS = np.random.default_rng(0).integers(0, 5, N)


def frame() -> pd.DataFrame:
    """People with names that are not in order of appearance, each of one of five regions."""
    table = zoo.survey(8, [[3] * 4] * N)
    at = table["person"].to_numpy() - 1
    table["region"] = REGIONS[at]
    table["w"] = np.random.default_rng(1).uniform(0.5, 2.0, N)[at]
    table["person"] = [f"p{value * 7 % 101}" for value in table["person"]]
    return table.iloc[np.random.default_rng(2).permutation(len(table))]


@pytest.fixture(scope="module")
def result():
    return MixedMultinomialLogit.from_formula(zoo.TWO, frame(), 1, **PANEL).fit()


@pytest.fixture(scope="module")
def right(result):
    """Errors of the regions in the order of the individuals, looked up one by one."""
    table = frame()
    groups = [table.loc[table["person"] == i, "region"].iloc[0] for i in result.posterior.index]
    return result.with_cov("cluster", groups=groups).bse


def by_person() -> pd.Series:
    """One region for each person, in order of appearance."""
    return frame().drop_duplicates("person").set_index("person")["region"]


GROUPS = {
    "a Series": by_person,
    "a Series in another order": lambda: by_person().iloc[::-1],
    "a Series with others": lambda: pd.concat(
        [pd.Series([9], index=["x"], name="region"), by_person()]
    ),
    "a Series with a row per situation and alternative": lambda: frame().set_index("person")[
        "region"
    ],
    "a frame of one column": lambda: by_person().to_frame(),
    "categories": lambda: by_person().astype("category"),
    "a column of the table": lambda: frame()["region"],
    "the name of a column": lambda: "region",
    "a list in the order of the individuals": lambda: by_person().sort_index().tolist(),
}


@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)
def test_groups_are_those_of_the_individuals(result, right, groups):
    pd.testing.assert_series_equal(result.with_cov("cluster", groups=groups()).bse, right)


def test_a_fit_takes_what_with_cov_takes(result, right):
    for groups in (by_person(), "region"):
        again = result.model.fit(result, cov_type="cluster", cov_kwds={"groups": groups})
        # the restart takes no step, or one at round-off
        np.testing.assert_allclose(again.bse, right, rtol=1e-8)


def refused(result, groups, *parts, kind=ArgumentError):
    with pytest.raises(kind) as caught:
        result.with_cov("cluster", groups=groups)
    for part in parts:
        assert part in str(caught.value)


def test_a_series_whose_index_does_not_hold_the_individuals_is_refused(result):
    first = result.posterior.index[0]
    refused(
        result,
        by_person().reset_index(drop=True),
        f"groups is matched with individuals by its index, and 25 of 25 individuals are not in "
        f"it; the first is {first!r}. Ids are text on one side, such as",
        "pass groups.to_numpy() if its order is that of result.posterior",
    )
    refused(
        result,
        by_person().drop(first),
        f"1 of 25 individuals is not in it; the first is {first!r}. Its index begins with",
    )
    refused(result, by_person().iloc[:0], "25 of 25 individuals are not in it", "It is empty.")


def test_rows_of_the_table_are_not_taken_for_individuals():
    # ids of individuals are among the numbers of rows, which is no reason to match them
    table = zoo.survey(8, [[3] * 4] * N)
    table["region"] = REGIONS[table["person"] - 1]
    fitted = MixedMultinomialLogit.from_formula(zoo.TWO, table, 1, **PANEL).fit()
    expected = fitted.with_cov("cluster", groups=REGIONS).bse
    for groups in (table["region"], table["region"].iloc[::-1]):
        found = fitted.with_cov("cluster", groups=groups).bse
        pd.testing.assert_series_equal(found, expected)


def test_a_group_that_varies_within_an_individual_is_refused(result):
    table = frame()
    refused(
        result,
        table["alt"],
        "The groups 'groups' varies within 25 of 25 individuals; the first is individual 'p",
        kind=DataError,
    )
    refused(result, "alt", "The groups column 'alt' varies within 25 of 25", kind=DataError)
    of_persons = table.set_index("person")["alt"]
    refused(result, of_persons, "varies within 25 of 25 individuals", kind=DataError)


def test_columns_that_are_not_there_are_named(result):
    refused(result, "regions", "groups='regions': the table has no such column", kind=ColumnError)
    refused(result, frame()[["region", "alt"]], "this table has 2 columns")


def test_missing_groups_are_placed(result):
    gap = by_person().astype(object)
    gap[["p7", "p14"]] = None
    refused(result, gap, "groups is missing for 2 of 25 individuals; the first is 'p14'")


def test_what_is_no_list_is_refused(result):
    refused(result, iter("abc"), "groups must hold one value per individual", "only once")
    refused(result, np.ones((25, 2)), "groups must hold one value per individual")
    refused(result, [1, 2], "groups has 2 values, but there are 25 individuals")


def test_ids_with_levels_are_compared_as_tuples():
    ids = pd.Index([("a", 1), ("b", 2)], tupleize_cols=False)
    given = pd.Series([5, 6], index=pd.MultiIndex.from_tuples([("b", 2), ("a", 1)]))
    assert Individuals(ids, "ids").values(given, "x").tolist() == [6, 5]


def test_dropped_individuals_need_no_group(right):
    table = frame()
    first = table["person"].iloc[0]
    table.loc[table["person"] == first, "x1"] = np.nan
    with pytest.warns(UserWarning, match="4 of 100 choice situations dropped"):
        model = MixedMultinomialLogit.from_formula(zoo.TWO, table, 1, missing="drop", **PANEL)
    result = model.fit()
    assert result.nobs == N - 1
    wanted = by_person().loc[result.posterior.index].to_numpy()
    expected = result.with_cov("cluster", groups=wanted).bse
    for groups in (by_person(), "region", table["region"]):
        pd.testing.assert_series_equal(result.with_cov("cluster", groups=groups).bse, expected)


def test_every_layout_has_its_column():
    table, choices = zoo.case("shared table").frame, zoo.case("shared table").choices
    choices = choices.assign(region=choices["shopper"] % 3)
    keywords = zoo.case("shared table").keywords
    shoppers = MixedMultinomialLogit.from_table("~ x1 + x2", table, choices, 1, **keywords).fit()
    expected = shoppers.with_cov("cluster", groups=np.array([1, 3, 7, 9, 12, 25]) % 3).bse
    for groups in ("region", choices.set_index("shopper")["region"]):
        pd.testing.assert_series_equal(shoppers.with_cov("cluster", groups=groups).bse, expected)

    ordered = zoo.survey(8, [[3] * 4] * N)
    ordered["region"] = REGIONS[ordered["person"] - 1]
    pieces = [ordered.iloc[:100], ordered.iloc[100:]]
    chunked = MixedMultinomialLogit.from_chunks(zoo.TWO, pieces, 1, **PANEL).fit()
    expected = chunked.with_cov("cluster", groups=REGIONS).bse
    found = chunked.with_cov("cluster", groups="region").bse
    pd.testing.assert_series_equal(found, expected)

    situations = {"situation": "situation", "alternative": "alt"}
    single = MixedMultinomialLogit.from_formula(zoo.TWO, ordered, 1, **situations).fit()
    expected = single.with_cov("cluster", groups=np.repeat(REGIONS, 4)).bse
    for groups in ("region", ordered.set_index("situation")["region"]):
        pd.testing.assert_series_equal(single.with_cov("cluster", groups=groups).bse, expected)


def test_without_its_table_a_result_asks_for_a_series(result, right, tmp_path):
    result.to_file(tmp_path / "fit.npz")
    for other in (read_results(tmp_path / "fit.npz"), pickle.loads(pickle.dumps(result))):
        refused(other, "region", "groups='region' names a column, but the model has no table")
        found = other.with_cov("cluster", groups=by_person()).bse
        np.testing.assert_allclose(found, right, rtol=1e-12)  # scores are summed anew
    table = frame().sort_values(["person", "situation", "alt"])
    arrays = MixedMultinomialLogit(
        table["choice"], table[["x1", "x2"]], 1,
        situation=table["situation"], individual=table["person"],
    ).fit()  # fmt: skip
    refused(arrays, "region", "names a column, but the model has no table")
    found = arrays.with_cov("cluster", groups=by_person()).bse
    np.testing.assert_allclose(found, right, rtol=1e-6)  # where two searches end


def test_clusters_are_kept_in_a_file(result, right, tmp_path):
    result.with_cov("cluster", groups="region").to_file(tmp_path / "fit.npz")
    again = read_results(tmp_path / "fit.npz")
    pd.testing.assert_series_equal(again.bse, right)
    assert list(again.cov_kwds["groups"]) == by_person().sort_index().tolist()


def test_the_table_is_the_one_that_was_passed(right):
    table = frame()
    model = MixedMultinomialLogit.from_formula(zoo.TWO, table, 1, **PANEL)
    table["region"] = 0
    found = copy.copy(model.fit()).with_cov("cluster", groups="region").bse
    np.testing.assert_allclose(found, right, rtol=1e-6)  # where two searches end


# -- groups of people whose willingness to pay is asked for --------------------------------------


class Valued(AnyEstimates, WillingnessResults):
    """Estimates that need not be a maximum."""


def valued(model: MixedMultinomialLogit) -> Valued:
    """Two classes with ratios of -0.5 and 2, so that people differ by what they chose."""
    return Valued(model, np.array([-1.0, -0.5, -0.4, 0.8, 0.3]), 1e-4 * np.eye(5))


@pytest.fixture(scope="module")
def worth():
    return valued(MixedMultinomialLogit.from_formula(zoo.TWO, frame(), 2, **PANEL))


def means_of_regions(result: Valued) -> list[float]:
    """Mean over the people of each region, found one by one."""
    own, table = result.individual_wtp("x2", "x1"), frame()
    of = {i: table.loc[table["person"] == i, "region"].iloc[0] for i in own.index}
    return [np.mean([own[i] for i in own.index if of[i] == region]) for region in range(5)]


@pytest.mark.parametrize("data", [None, frame()], ids=["the fitted table", "a table"])
@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)
def test_people_are_grouped_as_clusters_are(worth, groups, data):
    given = groups()
    table = worth.wtp("x2", "x1", by=given, data=data)
    # sums of 25 numbers in two orders
    np.testing.assert_allclose(table["wtp"], means_of_regions(worth), rtol=1e-13)
    assert list(table.index) == list(range(5))
    assert table.index.name == ("group" if isinstance(given, list) else "region")


def not_grouped(result, by, *parts, kind=ArgumentError, data=None):
    with pytest.raises(kind) as caught:
        result.wtp("x2", "x1", by=by, data=data)
    for part in parts:
        assert part in str(caught.value)


def test_groups_of_people_that_cannot_be_matched_are_refused(worth):
    first = worth.model.choices.entries.ids[0]
    not_grouped(
        worth,
        by_person().reset_index(drop=True),
        f"by is matched with individuals by its index, and 25 of 25 individuals are not in it; the "
        f"first is {first!r}. Ids are text on one side",
        "pass by.to_numpy() if its order is that of result.posterior",
    )
    not_grouped(worth, by_person().drop("p7"), "1 of 25 individuals is not in it; the first is 'p7")
    gap = by_person().astype(object)
    gap["p14"] = None
    not_grouped(worth, gap, "by is missing for 1 of 25 individuals; the first is 'p14'")
    not_grouped(worth, [1, 2], "by has 2 values, but there are 25 individuals")
    not_grouped(worth, iter("ab"), "by must hold one value per individual", "only once")
    not_grouped(worth, frame()[["region", "alt"]], "by must hold one value", "has 2 columns")
    for data in (None, frame()):
        not_grouped(worth, "alt", "The by column 'alt' varies within 25", kind=DataError, data=data)
        not_grouped(worth, frame()["alt"], "varies within 25 of 25", kind=DataError, data=data)
        not_grouped(worth, "regions", "by='regions': the table has no", kind=ColumnError, data=data)
    part = frame().query("person != 'p7'")
    not_grouped(worth, "region", "by is missing for 1 of 25", "first is 'p7'", data=part)


def test_shoppers_are_grouped_by_the_table_of_choices():
    one = zoo.case("shared table")
    choices = one.choices.assign(region=one.choices["shopper"] % 3)
    model = MixedMultinomialLogit.from_table("~ x1 + x2", one.frame, choices, 2, **one.keywords)
    result = valued(model)
    own = result.individual_wtp("x2", "x1")
    expected = [own[[9, 12, 3]].mean(), own[[1, 7, 25]].mean()]
    for by in ("region", choices.set_index("shopper")["region"]):
        np.testing.assert_allclose(result.wtp("x2", "x1", by=by)["wtp"], expected, rtol=1e-13)


def test_a_pickle_groups_people_by_a_series_or_by_a_column_of_a_table(worth):
    again = pickle.loads(pickle.dumps(worth))
    not_grouped(again, "region", "by='region' names a column, but the model has no table")
    expected = worth.wtp("x2", "x1", by="region")
    pd.testing.assert_frame_equal(again.wtp("x2", "x1", by=by_person()), expected)
    pd.testing.assert_frame_equal(again.wtp("x2", "x1", by="region", data=frame()), expected)


# -- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        lambda table: table.drop_duplicates("person").set_index("person")["w"],
        lambda table: table.drop_duplicates("person").set_index("person")[["w"]].iloc[::-1],
        lambda table: table["w"],
        lambda table: table["w"].sort_index(),
    ],
    ids=["by person", "a frame in another order", "by row", "by row in another order"],
)
def test_weights_may_be_a_series_of_individuals(given):
    table = frame()
    named = MixedMultinomialLogit.from_formula(zoo.TWO, table, 2, weights="w", **PANEL)
    passed = MixedMultinomialLogit.from_formula(zoo.TWO, table, 2, weights=given(table), **PANEL)
    np.testing.assert_array_equal(passed.choices.weights, named.choices.weights)
    assert list(table.columns) == list(frame().columns)


def test_weights_of_a_series_that_lacks_somebody_are_refused():
    table = frame()
    own = table.drop_duplicates("person").set_index("person")["w"].drop("p7")
    with pytest.raises(ArgumentError) as caught:
        MixedMultinomialLogit.from_formula(zoo.TWO, table, 2, weights=own, **PANEL)
    assert str(caught.value).startswith(
        "weights is matched with individuals by its index, and 1 of 25 individuals is not in it; "
        "the first is 'p7'."
    )


def test_weights_of_shoppers_may_be_a_series():
    one = zoo.case("shared table")
    times = pd.Series([2, 1, 1, 3, 1, 2], index=[25, 1, 3, 7, 9, 12])
    model = MixedMultinomialLogit.from_table(
        one.formula, one.frame, one.choices, 1, freq_weights=times, **one.keywords
    )
    assert model.choices.entries.frequency.tolist() == [1, 1, 3, 1, 2, 2]
