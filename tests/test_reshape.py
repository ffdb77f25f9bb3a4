"""`from_wide`: what it makes equals a slow loop, and what it refuses it explains."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixlogit.errors import ArgumentError, ColumnError, DataError
from mixlogit.reshape import from_wide

NAMES = {1: "train", 2: "sm", 3: "car"}


def commute() -> pd.DataFrame:
    """Three situations of two people; the second has no car."""
    return pd.DataFrame(
        {
            "person": [7, 7, 9],
            "trip": [11, 12, 31],
            "CHOICE": [1, 2, 3],
            "TRAIN_TT": [30.0, 31.0, 32.0],
            "SM_TT": [10, 11, 12],
            "CAR_TT": [20.0, np.nan, 22.0],
            "CAR_AV": [1, 0, 1],
            "age": [40, 40, 25],
        }
    )


def arguments(**changes):
    """Arguments that fit `commute`, with some exchanged."""
    return {
        "alternatives": NAMES,
        "choice": "CHOICE",
        "varying": {"time": {"train": "TRAIN_TT", "sm": "SM_TT", "car": "CAR_TT"}},
        "availability": {"car": "CAR_AV"},
        "situation": "trip",
        "individual": "person",
        **changes,
    }


def slow_from_wide(data, *, alternatives, choice, varying, availability, situation, carried):
    """The long table, one cell at a time."""
    rows = []
    for number, (_, row) in enumerate(data.iterrows()):
        for code, name in alternatives.items():
            if name in availability and row[availability[name]] == 0:
                continue
            cells = {situation or "situation": row[situation] if situation else number}
            cells["alternative"] = name
            cells["choice"] = 1 if row[choice] == code else 0
            for attribute, sources in varying.items():
                source = sources.get(name)
                if source is None:
                    cells[attribute] = 0
                elif isinstance(source, str):
                    cells[attribute] = row[source]
                else:
                    cells[attribute] = source
            rows.append(cells | {column: row[column] for column in carried})
    return pd.DataFrame(rows)


def random_table(seed: int, n_rows: int = 40) -> pd.DataFrame:
    """A wide table with ragged availability, missing values where unavailable, odd index."""
    rng = np.random.default_rng(seed)
    available = rng.random((n_rows, 3)) < 0.6
    choice = rng.integers(0, 3, n_rows)
    available[np.arange(n_rows), choice] = True
    table = pd.DataFrame({"noise": rng.normal(size=n_rows), "CHOICE": choice + 1})
    for place, name in enumerate(["train", "sm", "car"]):
        table[f"{name}_cost"] = np.where(available[:, place], rng.normal(size=n_rows), np.nan)
        table[f"{name}_time"] = rng.integers(5, 90, n_rows)
        table[f"{name}_av"] = available[:, place].astype([int, bool, float][place])
    table["id"] = rng.permutation(n_rows) + 100
    return table.set_axis(rng.integers(0, 5, n_rows), axis=0)


# --- what it makes ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("situation", [None, "id"])
def test_the_long_table_equals_a_loop_over_the_cells(seed, situation):
    wide = random_table(seed)
    common = {
        "alternatives": NAMES,
        "choice": "CHOICE",
        "varying": {
            "cost": {name: f"{name}_cost" for name in NAMES.values()},
            "rail_time": {"train": "train_time", "sm": "sm_time", "car": None},
            "car": {"car": 1},
            "half": {"train": 0.5, "sm": "sm_time"},
        },
        "availability": {name: f"{name}_av" for name in NAMES.values()},
        "situation": situation,
    }
    carried = ["noise", "car_time"] + ([] if situation else ["id"])
    long = from_wide(wide, **common)
    expected = slow_from_wide(wide, carried=carried, **common)
    pd.testing.assert_frame_equal(long, expected, check_dtype=False, rtol=0, atol=0)
    assert long.groupby(situation or "situation")["choice"].sum().eq(1).all()


def test_columns_stand_in_the_promised_order_and_rows_in_the_given_one():
    long = from_wide(commute(), **arguments())
    assert list(long.columns) == ["trip", "alternative", "choice", "time", "person", "age"]
    assert list(long["trip"]) == [11, 11, 11, 12, 12, 31, 31, 31]
    assert " ".join(long["alternative"]) == "train sm car train sm train sm car"
    assert list(long["choice"]) == [1, 0, 0, 0, 1, 0, 0, 1]
    assert list(long["time"]) == [30, 10, 20, 31, 11, 32, 12, 22]
    assert isinstance(long.index, pd.RangeIndex)
    assert long.index.equals(pd.RangeIndex(8))


def test_without_a_situation_column_the_rows_are_numbered():
    long = from_wide(commute(), **arguments(situation=None))
    assert list(long["situation"]) == [0, 0, 0, 1, 1, 2, 2, 2]
    assert "trip" in long.columns


def test_the_wide_table_is_left_as_it_was():
    wide = commute()
    long = from_wide(wide, **arguments())
    long.loc[:, "age"] = -1
    pd.testing.assert_frame_equal(wide, commute())


def test_integers_booleans_and_categories_keep_their_kind():
    wide = commute().assign(
        flag=[True, False, True],
        group=pd.Categorical(["a", "b", "a"]),
        seen=[True, False, True],
    )
    sources = {"train": "seen", "sm": "seen", "car": "seen"}
    long = from_wide(wide, **arguments(varying={"sm_time": {"sm": "SM_TT"}, "seen": sources}))
    assert long["choice"].dtype == np.int64
    assert long["sm_time"].dtype == np.int64
    assert long["seen"].dtype == np.int64
    assert long["flag"].dtype == bool
    assert isinstance(long["group"].dtype, pd.CategoricalDtype)


def test_a_boolean_column_may_stand_next_to_numbers():
    wide = commute().assign(seat=[True, False, True])
    long = from_wide(wide, **arguments(varying={"seat": {"sm": "seat", "train": "SM_TT"}}))
    assert list(long["seat"]) == [10, 1, 0, 11, 0, 12, 1, 0]
    assert long["seat"].dtype == np.int64


def test_text_attributes_are_accepted_where_every_alternative_names_one():
    wide = commute().assign(a=["x", "y", "z"], b=["p", "q", "r"])
    long = from_wide(wide, **arguments(varying={"kind": {"train": "a", "sm": "b", "car": "a"}}))
    assert "".join(long["kind"]) == "xpxyqzrz"


def test_a_sequence_of_alternatives_reads_names_from_the_choice_column():
    wide = commute().assign(CHOICE=["train", "sm", "car"])
    from_names = from_wide(wide, **arguments(alternatives=["train", "sm", "car"]))
    pd.testing.assert_frame_equal(from_names, from_wide(commute(), **arguments()))


@pytest.mark.parametrize(
    "kind", ["float64", "int8", "object", "category", "Int64"], ids=lambda kind: kind
)
def test_the_kind_of_the_choice_column_does_not_matter(kind):
    wide = commute().astype({"CHOICE": kind})
    pd.testing.assert_frame_equal(
        from_wide(wide, **arguments()), from_wide(commute(), **arguments())
    )


@pytest.mark.parametrize(
    "values", [[True, False, True], [1.0, 0.0, 1.0], pd.array([1, 0, 1], dtype="Int64")]
)
def test_availability_may_be_booleans_floats_or_nullable_integers(values):
    wide = commute().assign(CAR_AV=values)
    pd.testing.assert_frame_equal(
        from_wide(wide, **arguments()), from_wide(commute(), **arguments())
    )


def test_an_alternative_without_availability_is_always_there():
    wide = commute().fillna(0)
    with_none = from_wide(wide, **arguments(availability={"car": None}))
    without = from_wide(wide, **arguments(availability=None))
    assert len(with_none) == 9
    assert len(without) == 9
    assert "CAR_AV" in without.columns


def test_the_individual_is_kept_even_if_it_serves_for_something_else():
    long = from_wide(commute(), **arguments(varying={"person_car": {"car": "person"}}))
    assert list(long["person"]) == [7] * 5 + [9] * 3
    assert list(long["person_car"]) == [0, 0, 7, 0, 0, 0, 0, 9]


def test_one_alternative_and_no_attributes_make_one_row_each():
    long = from_wide(pd.DataFrame({"y": [1, 1]}), alternatives={1: "a"}, choice="y", varying={})
    assert list(long.columns) == ["situation", "alternative", "choice"]
    assert list(long["choice"]) == [1, 1]


def test_an_attribute_may_have_the_name_of_a_column_that_it_uses():
    wide = commute().rename(columns={"SM_TT": "time"})
    sources = {"train": "TRAIN_TT", "sm": "time", "car": "CAR_TT"}
    long = from_wide(wide, **arguments(varying={"time": sources}))
    pd.testing.assert_frame_equal(long, from_wide(commute(), **arguments()))


# --- what it refuses ----------------------------------------------------------------------------


def refusal(kind, wide=None, **changes) -> str:
    """The message of the error that `from_wide` raises."""
    with pytest.raises(kind) as caught:
        from_wide(commute() if wide is None else wide, **arguments(**changes))
    return str(caught.value)


def test_an_unknown_choice_is_counted_placed_and_remedied():
    message = refusal(DataError, commute().assign(CHOICE=[1, 0, 0]))
    assert message == (
        "2 of 3 rows have a value in the choice column 'CHOICE' that is not one of the "
        "alternatives (1, 2, 3); the first is 0 in situation 12 (column 'trip'). Drop those rows "
        "first, with data[data['CHOICE'].isin([1, 2, 3])], or add what is missing to "
        "`alternatives`."
    )


def test_many_alternatives_are_not_all_listed():
    many = {code: f"item{code}" for code in range(500)}
    wide = pd.DataFrame({"y": [3, 999]})
    with pytest.raises(DataError) as caught:
        from_wide(wide, alternatives=many, choice="y", varying={})
    assert "(0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 490 more)" in str(caught.value)
    assert "data[data['y'].isin(list(alternatives))]" in str(caught.value)


def test_the_remedy_for_an_unknown_choice_works():
    wide = commute().assign(CHOICE=[1, 0, 3])
    assert len(from_wide(wide[wide["CHOICE"].isin([1, 2, 3])], **arguments())) == 6


@pytest.mark.parametrize(
    ("values", "shown"),
    [([1, np.nan, 3], "nan"), (["1", "2", "3"], "'1'"), ([True, False, True], "True")],
)
def test_a_missing_or_mistyped_choice_is_unknown(values, shown):
    message = refusal(DataError, commute().assign(CHOICE=values))
    assert f"the first is {shown} in situation" in message


def test_a_choice_of_an_unavailable_alternative_is_counted_placed_and_remedied():
    message = refusal(DataError, commute().assign(CHOICE=[1, 3, 3]))
    assert message == (
        "1 of 3 choices in column 'CHOICE' are of an alternative that is not available; the first "
        "is 'car' in situation 12 (column 'trip'). Correct the availability column, or drop those "
        "rows."
    )


def test_a_missing_attribute_of_an_available_alternative_is_placed():
    wide = commute().assign(CAR_TT=[20, np.nan, np.nan])
    message = refusal(DataError, wide, situation=None)
    assert message == (
        "1 of 2 values of column 'CAR_TT', 'time' of 'car', are missing although 'car' is "
        "available; the first is in row 2 (counted from 0). Fill in the values, drop those rows, "
        "or mark 'car' as unavailable there."
    )


@pytest.mark.parametrize(
    ("values", "shown"), [([1, 2, 2], "2"), ([1, np.nan, 0.5], "nan"), (["1", "no", "1"], "'1'")]
)
def test_an_availability_other_than_0_and_1_is_refused(values, shown):
    message = refusal(DataError, commute().assign(CAR_AV=values))
    assert "of 3 values of column 'CAR_AV', the availability of 'car', are not 0, 1" in message
    assert f"the first is {shown} in situation 1" in message
    assert "Recode the column to 0 and 1." in message


def test_repeated_situation_ids_are_refused():
    message = refusal(DataError, commute().assign(trip=[11, 31, 31]))
    assert message.startswith(
        "1 of 3 rows repeat a situation id of column 'trip'; the first is 31, in rows 1 and 2"
    )
    assert "leave out `situation`" in message


def test_missing_situation_ids_are_refused():
    message = refusal(DataError, commute().assign(trip=[11, np.nan, 31]))
    assert message.startswith("1 of 3 rows have no situation id in column 'trip'; the first is row")
    assert "Fill in the ids" in message


@pytest.mark.parametrize(
    ("changes", "column", "where"),
    [
        ({"choice": "CHOIC"}, "CHOIC", "choice"),
        ({"situation": "tripp"}, "tripp", "situation"),
        ({"individual": "Person"}, "Person", "individual"),
        ({"varying": {"time": {"car": "CAR_T"}}}, "CAR_T", "varying['time']['car']"),
        ({"availability": {"car": "car_av"}}, "car_av", "availability['car']"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_close_matches(changes, column, where):
    message = refusal(ColumnError, **changes)
    assert f"the first is '{column}', asked for by {where} (close matches: " in message
    assert message.startswith("1 column asked for is not in the table")
    assert message.endswith("Check the spelling against data.columns, or make the column first.")


def test_a_column_like_no_other_has_no_close_matches():
    message = refusal(ColumnError, choice="zzzzzz", situation="qqqq")
    assert message.startswith("2 columns asked for are not in the table; the first is 'zzzzzz'")
    assert "close matches" not in message


@pytest.mark.parametrize("name", ["alternative", "choice", "time"])
def test_a_carried_column_with_a_new_name_is_refused(name):
    message = refusal(DataError, commute().rename(columns={"age": name}))
    assert message.startswith("1 column of the wide table has a name that the long table needs")
    assert f"the first is '{name}'" in message
    assert "Rename or drop it in the wide table" in message


def test_an_unused_column_called_situation_is_pointed_at():
    message = refusal(DataError, commute().rename(columns={"trip": "situation"}), situation=None)
    assert "Pass situation='situation' if it holds the ids, or rename it." in message


@pytest.mark.parametrize("name", ["alternative", "choice", "trip"])
def test_an_attribute_with_a_reserved_name_is_refused(name):
    message = refusal(ArgumentError, varying={name: {"car": "CAR_TT"}})
    assert message.startswith(f"`varying` makes a column '{name}'")
    assert message.endswith("Give the attribute another name.")


def test_a_situation_column_with_a_reserved_name_is_refused():
    wide = commute().rename(columns={"trip": "alternative"})
    message = refusal(ArgumentError, wide, situation="alternative")
    assert message.startswith("The situation column is called 'alternative'")
    assert message.endswith("Rename it in the wide table.")


def test_text_next_to_numbers_is_refused():
    wide = commute().assign(SM_TT=["10 min", "11 min", "12 min"])
    message = refusal(DataError, wide)
    assert message.startswith("1 column of varying['time'] is not numeric")
    assert "the first is 'SM_TT', with '10 min' in situation 11 (column 'trip')" in message
    assert "pandas.to_numeric" in message


@pytest.mark.parametrize("alternatives", ["train", {"train", "car"}, 3, np.array(3)])
def test_alternatives_must_be_a_mapping_or_a_list(alternatives):
    message = refusal(ArgumentError, alternatives=alternatives)
    assert message.startswith(f"`alternatives` is {alternatives!r}. Pass a mapping")


def test_numbers_in_another_byte_order_are_read():
    swapped = commute().astype({"person": ">i8", "SM_TT": ">i4", "trip": ">i8"})
    pd.testing.assert_frame_equal(
        from_wide(swapped, **arguments()),
        from_wide(commute().astype({"SM_TT": "int32"}), **arguments()),
    )


def test_no_alternatives_are_refused():
    assert refusal(ArgumentError, alternatives={}).startswith("`alternatives` is empty.")


def test_repeated_alternatives_are_refused():
    message = refusal(ArgumentError, alternatives={1: "train", 2: "car", 3: "car"})
    assert message.startswith("1 name in `alternatives` repeats an earlier one; the first is 'car'")
    assert "recode the choice column" in message


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"varying": {"time": {"cra": "CAR_TT"}}}, "varying['time']"),
        ({"availability": {"cra": "CAR_AV"}}, "availability"),
    ],
)
def test_an_unknown_alternative_in_a_mapping_is_refused(changes, where):
    message = refusal(ArgumentError, **changes)
    assert message == (
        f"1 key of {where} is not among the alternatives; the first is 'cra' (close matches: "
        "'car'). The alternatives are 'train', 'sm', 'car'; use these names."
    )


def test_mappings_of_the_wrong_shape_are_refused():
    assert "`varying` is a list, not a mapping" in refusal(ArgumentError, varying=["time"])
    message = refusal(ArgumentError, varying={"time": "CAR_TT"})
    assert "varying['time'] is 'CAR_TT', not a mapping from alternative to column" in message
    assert "{'train': 'CAR_TT'}" in message
    message = refusal(ArgumentError, availability="CAR_AV")
    assert "`availability` is 'CAR_AV', not a mapping from alternative to column" in message


def test_a_list_where_a_column_name_belongs_is_refused():
    message = refusal(ArgumentError, choice=["CHOICE"])
    assert message == "choice is ['CHOICE']. Pass the name of one column."


def test_a_constant_that_is_not_finite_is_refused():
    message = refusal(ArgumentError, varying={"time": {"car": float("nan")}})
    assert message.startswith("varying['time']['car'] is the constant nan.")


def test_what_is_not_a_table_is_refused():
    message = refusal(ArgumentError, {"CHOICE": [1]})
    assert message.startswith("`data` is a dict, not a pandas DataFrame.")


def test_an_empty_table_is_refused():
    assert refusal(DataError, commute().iloc[:0]).startswith("The wide table has no rows")


def test_repeated_column_names_are_refused():
    wide = commute().set_axis([*commute().columns[:-1], "trip"], axis=1)
    message = refusal(DataError, wide)
    assert message.startswith("1 column name of the wide table occurs more than once; the first is")
    assert "'trip'" in message
