"""Arrays instead of a table: the same data, by position, with names that fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from zoo import survey

from mixlogit import MixedMultinomialLogit
from mixlogit.arrays import ArrayTable
from mixlogit.errors import ArgumentError, DataError, FormulaError

FRAME = survey(5, [[3] * 3] * 12)
FRAME["age"] = np.random.default_rng(5).normal(size=12).round(2)[FRAME["person"] - 1]
FRAME["w"] = np.random.default_rng(6).uniform(0.5, 2.0, size=12)[FRAME["person"] - 1]
X = FRAME[["x1", "x2"]].to_numpy()
Y = FRAME["choice"].to_numpy()
IDS = {
    "situation": FRAME["situation"].to_numpy(),
    "individual": FRAME["person"].to_numpy(),
    "alternative": FRAME["alt"].to_numpy(),
}


def model(endog=Y, exog=X, n_classes=2, **keywords) -> MixedMultinomialLogit:
    return MixedMultinomialLogit(endog, exog, n_classes, **(IDS | keywords))


def by_formula(membership="1", weights=None) -> MixedMultinomialLogit:
    return MixedMultinomialLogit.from_formula(
        "choice ~ x1 + x2", FRAME, 2, situation="situation", individual="person",
        alternative="alt", membership=membership, weights=weights,
    )  # fmt: skip


def error(kind, *args, **keywords) -> str:
    with pytest.raises(kind) as caught:
        model(*args, **keywords)
    assert type(caught.value) is kind
    return str(caught.value)


def assert_same_data(first, second) -> None:
    one, two = first.choices, second.choices
    for name in ("exog", "weights", "membership"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    for name in ("row", "count", "start", "frequency"):
        np.testing.assert_array_equal(getattr(one.entries, name), getattr(two.entries, name))


def test_arrays_are_read_as_the_table_is():
    assert_same_data(by_formula(), model())
    built = model(membership=FRAME["age"].to_numpy(), weights=FRAME["w"].to_numpy())
    assert_same_data(by_formula("age", "w"), built)
    assert built.choices.exog_names == ("x1", "x2")
    assert built.choices.membership_names == ("Intercept", "z1")


def test_frequency_weights_of_rows_count_individuals():
    times = IDS["individual"] % 4 + 1
    built = model(freq_weights=times, weights=FRAME["w"].to_numpy())
    np.testing.assert_array_equal(built.choices.entries.frequency, np.arange(1, 13) % 4 + 1)
    own = FRAME.groupby("person")["w"].first().to_numpy()
    mean = (own * built.choices.entries.frequency).sum() / built.choices.n_individuals
    np.testing.assert_allclose(built.choices.weights, own / mean, rtol=1e-14)


@pytest.mark.parametrize(
    "convert",
    [
        list,
        tuple,
        pd.Index,
        pd.Series,
        pd.Categorical,
        lambda v: pd.array(v, dtype="Int64"),
        lambda v: v[:, None],
        lambda v: pd.DataFrame({"name": v}),
        lambda v: pd.Series(v, index=np.arange(len(v))[::-1], name="x1"),
        lambda v: (value for value in v),
    ],
)
def test_vectors_of_any_kind_are_taken_by_position(convert):
    converted = {role: convert(values) for role, values in IDS.items()}
    assert_same_data(model(), model(convert(Y), **converted))


def test_an_index_of_the_attributes_alone_changes_nothing():
    exog = FRAME[["x1", "x2"]].set_axis(np.arange(len(FRAME))[::-1])
    assert_same_data(model(), model(exog=exog))
    covariates = FRAME["age"].set_axis(np.arange(len(FRAME))[::-1])
    assert_same_data(model(membership=FRAME["age"]), model(exog=exog, membership=covariates))


MIXED = np.random.default_rng(7).permutation(len(FRAME))
LABELLED = FRAME.set_axis([f"row {i}" for i in range(len(FRAME))])
SERIES = {
    "endog": "choice",
    "situation": "situation",
    "individual": "person",
    "alternative": "alt",
    "weights": "w",
    "offset": "x2",
    "membership": "age",
}


def of_series(table=LABELLED, **changed) -> MixedMultinomialLogit:
    """The model of Series of a table, some of them replaced."""
    given = {role: table[column] for role, column in SERIES.items()} | changed
    return MixedMultinomialLogit(exog=given.pop("exog", table[["x1", "x2"]]), n_classes=2, **given)


@pytest.mark.parametrize("role", SERIES)
def test_series_are_matched_by_their_index(role):
    given = LABELLED[SERIES[role]].iloc[MIXED]
    assert_same_data(of_series(), of_series(**{role: given}))
    assert_same_data(of_series(), of_series(**{role: given.to_frame()}))
    np.testing.assert_array_equal(
        of_series().choices.offset, of_series(**{role: given}).choices.offset
    )


def test_the_first_index_is_that_of_the_rows():
    mixed = LABELLED.iloc[MIXED]
    built = of_series(exog=mixed[["x1", "x2"]])
    assert_same_data(of_series(mixed), built)
    assert_same_data(
        of_series(mixed), of_series(exog=mixed[["x1", "x2"]].to_numpy(), endog=mixed["choice"])
    )
    np.testing.assert_array_equal(of_series().choices.exog, built.choices.exog)  # sorted by ids


@pytest.mark.parametrize("role", [role for role in SERIES if role != "weights"])
def test_series_with_other_labels_are_refused(role):
    own = LABELLED[SERIES[role]]
    with pytest.raises(ArgumentError) as caught:
        of_series(**{role: own.set_axis([*own.index[:-2], 5, 6])})
    assert str(caught.value) == (
        f"{role} and exog are matched by their indices, which differ: 2 of 108 labels of exog are "
        f"not in that of {role}; the first is 'row 106'. Give both the same index, or pass "
        f"{role}.to_numpy() if its rows are in the order of those of exog."
    )


def test_labels_of_rows_that_repeat_cannot_be_matched():
    message = "differ: in that of exog 1 label repeats an earlier one; the first is 'row 3'. Give"
    extra = pd.Index([*LABELLED.index[:-1], "row 3"])
    table = LABELLED.set_axis(extra)
    with pytest.raises(ArgumentError) as caught:
        of_series(table, offset=table["x2"].iloc[::-1])
    assert message in str(caught.value)
    assert_same_data(of_series(), of_series(table))  # all in one order
    numbers = FRAME["x2"].reset_index(drop=True)
    with pytest.raises(ArgumentError, match="Ids are text on one side, such as 'row 0', and not"):
        of_series(offset=numbers)


@pytest.mark.parametrize("role", ["weights", "freq_weights"])
def test_weights_may_be_a_series_of_individuals(role):
    own = pd.Series(np.arange(1, 13) % 4 + 1, index=np.arange(1, 13))
    expected = of_series(**{role: own[LABELLED["person"]].to_numpy()})
    others = pd.concat([pd.Series([9], index=[77]), own.iloc[::-1]])
    for given in (own, others, own.to_frame(), own[LABELLED["person"]]):
        found = of_series(**{role: given})
        assert_same_data(found, expected)
        assert_same_data(
            model(offset=X[:, 1], **{role: given}), model(offset=X[:, 1], **{role: others})
        )
    with pytest.raises(ArgumentError) as caught:
        of_series(**{role: own.drop(4)})
    assert str(caught.value) == (
        f"{role} is matched with individuals by its index, and 1 of 12 individuals is not in it; "
        "the first is 4. Its index begins with 1. Give it the ids of individuals as the index, for "
        "example with set_index, or the index of the rows."
    )


def test_clusters_are_matched_with_the_labels_of_rows():
    built = of_series(LABELLED.set_axis(MIXED))  # ids of individuals are among these labels
    result = built.fit(n_starts=1, maxiter=2, cov_type="none")
    own = np.arange(1, 13) % 3
    expected = result.with_cov("cluster", groups=own).bse
    rows = pd.Series(own[LABELLED["person"] - 1], index=MIXED)
    for groups in (rows, rows.sort_index(), pd.Series(own, index=range(1, 13))):
        pd.testing.assert_series_equal(result.with_cov("cluster", groups=groups).bse, expected)


def test_predictions_have_the_labels_of_the_rows():
    result = of_series().fit(n_starts=1, maxiter=2, cov_type="none")
    assert list(result.predict().index) == list(LABELLED.index)
    new = LABELLED.iloc[:9]
    ids = {role: new[SERIES[role]] for role in ("situation", "membership", "offset")}
    found = result.predict(new[["x1", "x2"]], **ids)
    assert list(found.index) == list(new.index)
    mixed = {role: given.iloc[::-1] for role, given in ids.items()}
    pd.testing.assert_series_equal(result.predict(new[["x1", "x2"]], **mixed), found)


def test_arrays_are_left_as_they_were():
    exog, endog = X.copy(), Y.copy()
    frame = FRAME[["x1", "x2"]].copy()
    model(endog, exog)
    model(endog, frame)
    assert exog.flags.writeable
    np.testing.assert_array_equal(exog, X)
    pd.testing.assert_frame_equal(frame, FRAME[["x1", "x2"]])
    assert frame["x1"].to_numpy(copy=True).flags.writeable


def test_read_only_arrays_are_accepted():
    arrays = {role: values.copy() for role, values in IDS.items()}
    exog, endog = X.copy(), Y.copy()
    for array in (*arrays.values(), exog, endog):
        array.setflags(write=False)
    assert_same_data(model(), model(endog, exog, **arrays))


def test_tuples_are_ids():
    pairs = [(person % 3, f"house {person}") for person in IDS["individual"].tolist()]
    built = model(individual=pairs)
    assert built.choices.n_distinct == 12
    assert set(built.choices.entries.ids) == set(pairs)


def test_one_column_may_be_a_vector():
    built = model(exog=X[:, 0])
    assert built.choices.exog_names == ("x1",)
    assert model(exog=FRAME["x2"]).choices.exog_names == ("x2",)
    assert model(exog=pd.Series(X[:, 0])).choices.exog_names == ("x1",)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("price per km", "Q('price per km')"),
        ("a~b", "Q('a~b')"),
        ("class", "Q('class')"),
        ("it's", 'Q("it\'s")'),
        ("x:y", "Q('x:y')"),
        (7, "Q('7')"),
        ("endog", "endog"),
        ("situation", "situation"),
        ("C", "C"),
    ],
)
def test_attributes_may_have_any_name(name, shown):
    built = model(exog=pd.DataFrame({name: X[:, 0], "x2": X[:, 1]}))
    assert_same_data(model(), built)
    assert built.choices.exog_names == (shown, "x2")


def test_columns_of_booleans_and_objects_are_numbers():
    exog = pd.DataFrame({"x1": X[:, 0].astype(object), "high": X[:, 1] > 0})
    built = model(exog=exog)
    assert built.choices.exog_names == ("x1", "high")
    np.testing.assert_array_equal(built.choices.exog[:, 1], X[:, 1] > 0)


def test_new_arrays_are_predicted_by_position():
    built = model(membership=FRAME["age"].to_numpy())
    age = FRAME["age"].to_numpy()[:6]
    sets = built.choice_sets(X[:6], situation=IDS["situation"][:6], membership=age)
    np.testing.assert_array_equal(sets.exog, X[:6])
    np.testing.assert_array_equal(sets.membership[:, 1], FRAME["age"][[0, 3]])


ROLES = ["situation", "individual", "alternative", "weights", "freq_weights"]


@pytest.mark.parametrize("role", ROLES)
def test_a_vector_of_the_wrong_length_is_refused(role):
    assert error(ArgumentError, **{role: [1, 2]}) == (
        f"{role} has 2 values, but exog has 108 rows. Give one per row."
    )


def test_choices_and_covariates_of_the_wrong_length_are_refused():
    assert error(ArgumentError, Y[:1]) == (
        "endog has 1 value, but exog has 108 rows. Give one per row."
    )
    assert error(ArgumentError, membership=np.ones((12, 1))) == (
        "membership has 12 rows, but exog has 108 rows. Give one per row; rows of an individual "
        "repeat."
    )


@pytest.mark.parametrize("values", ["choice", 3, {"a": 1}, FRAME[["choice", "alt"]]])
def test_what_is_not_a_vector_is_refused(values):
    assert error(ArgumentError, values) == (
        f"endog must hold one value per row, not {type(values).__name__}."
    )


def test_a_matrix_of_choices_is_refused():
    assert error(ArgumentError, np.ones((108, 2))) == (
        "endog must have one dimension and one entry per row, not shape (108, 2)."
    )


def test_choices_must_be_given():
    assert "has nothing on the left of '~'" in error(FormulaError, None)


@pytest.mark.parametrize("exog", [np.ones((2, 2, 2)), np.ones((108, 0)), 5.0])
def test_attributes_are_a_matrix(exog):
    shape = np.shape(exog)
    assert error(ArgumentError, exog=exog) == (
        f"exog must have shape (rows, columns), not {shape}."
    )


def test_a_frame_without_columns_is_refused():
    assert error(ArgumentError, exog=FRAME[[]]) == (
        "exog must have shape (rows, columns), not (108, 0)."
    )


def test_attributes_are_numbers():
    assert error(ArgumentError, exog=[["bus"]] * 108) == (
        "exog must be an array of numbers. For categories, use from_formula."
    )
    message = error(ArgumentError, exog=FRAME[["x1"]].assign(mode="bus"))
    assert message.startswith("Column 'mode' of exog does not hold numbers (")
    assert message.endswith("For categories, use from_formula.")


@pytest.mark.parametrize(
    ("exog", "membership"),
    [
        (FRAME[["x1", "x1"]], None),
        (FRAME[["x1"]], FRAME[["x1"]]),
        (FRAME[["x1", "x2"]].set_axis([1, "1"], axis=1), None),
    ],
)
def test_names_that_clash_are_refused(exog, membership):
    name = str(exog.columns[0])
    assert error(ArgumentError, exog=exog, membership=membership) == (
        f"Two columns of exog and membership are called {name!r}. Rename one."
    )


def test_attributes_that_are_missing_are_placed():
    exog = X.copy()
    exog[4, 1] = np.nan
    assert error(DataError, exog=exog).startswith(
        "1 value of attribute 'x2' is missing or not finite; the first is nan in situation 2 of "
        "individual 1, alternative 2."
    )


@pytest.mark.parametrize("exog", [X, FRAME[["x1", "x2"]]])
def test_attributes_without_rows_are_refused(exog):
    with pytest.raises(DataError, match="The table has no rows"):
        MixedMultinomialLogit(Y[:0], exog[:0])


def test_the_formulas_read_what_was_put_together():
    table = ArrayTable.of(FRAME[["x1"]], endog=Y, membership=FRAME[["age"]])
    assert (table.formula, table.membership) == ("endog ~ x1", "age")
    assert [*table.frame] == ["x1", "age", "endog"]
