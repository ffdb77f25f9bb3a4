"""Columns of the user's table are found by name; choices, weights and availability are read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixlogit.arrangement import arrange
from mixlogit.columns import (
    Columns,
    as_frame,
    read_availability,
    read_counts,
    read_frequencies,
    read_weights,
    refuse_unavailable_choices,
    require_column,
)
from mixlogit.errors import ArgumentError, ColumnError, DataError

TASKS = arrange(6, [101, 101, 102, 102, 103, 103], None, [*"ababab"])
TABLE = arrange(4, alternative=[*"abcd"])

# -- tables and their columns --------------------------------------------------------------------


@pytest.mark.parametrize("data", [None, 3, "table.csv", {"a": 1}, {"a": [1], "b": [1, 2]}])
def test_what_is_not_a_table_is_refused(data):
    with pytest.raises(DataError) as caught:
        as_frame(data, "choices")
    assert str(caught.value).startswith(
        "choices must be a table, such as a pandas DataFrame, and this "
        f"{type(data).__name__} does not make one: "
    )


def test_one_and_one_point_zero_are_the_same_label():
    frame = pd.DataFrame({1: [0]})
    require_column(frame, 1.0, "weights=")
    with pytest.raises(ColumnError, match=r"weights='1': the table has no such column\. Did you"):
        require_column(frame, "1", "weights=")


def test_roles_without_a_column_are_not_checked():
    Columns().check(pd.DataFrame())


# -- the choice column ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        [1, 0, 0, 1, 1, 0],
        [1.0, 0.0, 0.0, 1.0, 1.0, 0.0],
        [True, False, False, True, True, False],
        np.array([1, 0, 0, 1, 1, 0], dtype=np.int8),
        np.array([1, 0, 0, 1, 1, 0], dtype=np.float32),
        pd.array([1, 0, 0, 1, 1, 0], dtype="Int64"),
        pd.array([True, False, False, True, True, False], dtype="boolean"),
        pd.Series([True, False, False, True, True, False], dtype=object),
        ["1", "0", "0", "1", "1", "0"],
        pd.Categorical(["1", "0", "0", "1", "1", "0"]),
        pd.Series([1, 0, 0, 1, 1, 0], index=[5, 4, 3, 2, 1, 0]),
    ],
)
def test_choices_are_read_whatever_their_type(values):
    assert read_counts(values, TASKS, "auto", "y").tolist() == [1, 0, 0, 1, 1, 0]


def test_choices_follow_the_sorted_rows():
    backwards = arrange(6, [103, 103, 102, 102, 101, 101], None, [*"bababa"])
    assert read_counts([0, 1, 0, 1, 1, 0], backwards, "one", "y").tolist() == [0, 1, 1, 0, 1, 0]


def test_situations_without_exactly_one_chosen_row_are_counted_and_placed():
    with pytest.raises(DataError) as caught:
        read_counts([1, 0, 1, 1, 0, 0], TASKS, "auto", "y")
    assert str(caught.value) == (
        "2 of 3 choice situations do not have exactly one chosen row; the first is situation 102, "
        "with 2. Check the choice column 'y', or drop those situations. If several choices in a "
        "situation are meant, pass choices='counts'."
    )


def test_a_situation_without_a_chosen_row_is_placed():
    with pytest.raises(DataError) as caught:
        read_counts([1, 0, 0, 0, 1, 0], TASKS, "one", "y")
    assert str(caught.value) == (
        "1 of 3 choice situations does not have exactly one chosen row; the first is situation "
        "102, with 0. Check the choice column 'y', or drop those situations."
    )


def test_who_asks_for_one_choice_is_not_told_of_counts():
    with pytest.raises(DataError) as caught:
        read_counts([1, 1, 1, 0, 1, 0], TASKS, "one", "y")
    assert str(caught.value).endswith(
        "situation 101, with 2. Check the choice column 'y', or drop those situations."
    )


def test_counts_need_a_choice_in_every_situation():
    with pytest.raises(DataError) as caught:
        read_counts([3, 0, 0, 0, 0, 0], TASKS, "auto", "n")
    assert str(caught.value) == (
        "2 of 3 choice situations do not have any choice; the first is situation 102, with 0. "
        "Check the choice column 'n', or drop those situations."
    )


def test_two_chosen_rows_are_counts_when_the_user_says_so():
    assert read_counts([1, 1, 1, 0, 1, 0], TASKS, "counts", "y").sum() == 4


def test_one_choice_is_demanded_when_the_user_says_so():
    with pytest.raises(DataError, match="the first is situation 101, with 3"):
        read_counts([3, 0, 0, 1, 1, 0], TASKS, "one", "y")


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([1, np.nan, 0, 1, np.nan, 1], "2 values of the choice column 'y' are missing or not "),
        ([1, np.inf, 0, 1, 0, 1], "1 value of the choice column 'y' is missing or not finite"),
        ([1, -1, 0, 1, 0, 1], "1 value of the choice column 'y' is negative"),
        ([1, 0.5, 0, 1, 0, 1], "1 value of the choice column 'y' is not whole numbers"),
        ([1, 0.5, 0, 0.5, 0, 1], "2 values of the choice column 'y' are not whole numbers"),
    ],
)
def test_values_that_are_no_counts_are_counted_and_placed(values, what):
    with pytest.raises(DataError) as caught:
        read_counts(values, TASKS, "auto", "y")
    message = str(caught.value)
    assert message.startswith(what.replace("is not whole numbers", "is not a whole number"))
    assert "the first is in situation 101, alternative 'b'." in message


def test_names_of_alternatives_in_the_choice_column_are_explained():
    with pytest.raises(DataError) as caught:
        read_counts(["1", "0", "car", "1", "bus", "0"], TASKS, "auto", "mode")
    assert str(caught.value) == (
        "2 values of the choice column 'mode' are not numbers; the first is 'car' in row 2 "
        "(counted from 0). It must be 0/1, true/false or counts. If it names the chosen "
        "alternative, write 'mode == alternative' on the left of the formula, with your column of "
        "alternatives."
    )


@pytest.mark.parametrize(
    "values",
    [
        pd.to_datetime(["2024-01-01"] * 6),
        pd.to_timedelta([1] * 6, unit="D"),
        np.ones(6, dtype=complex),
    ],
)
def test_dates_and_complex_numbers_are_no_choices(values):
    with pytest.raises(DataError, match="6 values of the choice column 'y' are not numbers"):
        read_counts(values, TASKS, "auto", "y")


def test_zeros_and_ones_without_a_situation_column_are_explained():
    with pytest.raises(DataError) as caught:
        read_counts([1, 0, 1, 0], TABLE, "auto", "y")
    assert str(caught.value) == (
        "There is no situation column, so the 4 rows are one choice set, but column 'y' holds only "
        "0 and 1, 2 of them 1. Pass situation= if the rows are several choice sets, or "
        "choices='counts' if they are one table with counts."
    )
    assert read_counts([1, 0, 1, 0], TABLE, "counts", "y").sum() == 2


def test_an_unknown_rule_for_choices_is_refused():
    with pytest.raises(ArgumentError, match="choices='many' is not one of auto, one, counts"):
        read_counts([1], TASKS, "many", "y")


# -- availability and weights --------------------------------------------------------------------


@pytest.mark.parametrize(
    "values", [[1, 0], [True, False], [1.0, 0.0], pd.array([1, 0], dtype="Int64")]
)
def test_availability_is_read_whatever_its_type(values):
    assert read_availability(values, "av").tolist() == [True, False]


def test_availability_other_than_0_and_1_is_counted_and_placed():
    with pytest.raises(DataError) as caught:
        read_availability([1, 2, np.nan], "av")
    assert str(caught.value) == (
        "2 values of the availability column 'av' are neither 0 nor 1; the first is 2.0 in row 1 "
        "(counted from 0). Use 1 for available and 0 for not."
    )
    with pytest.raises(DataError, match="1 value of the availability column 'av' is neither"):
        read_availability(["yes", 1], "av")


def test_a_choice_of_an_unavailable_alternative_is_counted_and_placed():
    with pytest.raises(DataError) as caught:
        refuse_unavailable_choices([0, 1, 1], np.array([True, True, False]), "y", "av")
    assert str(caught.value) == (
        "1 chosen row is marked as unavailable in column 'av'; the first is row 2 (counted from "
        "0). Correct the availability or the choice, or drop those situations."
    )
    with pytest.raises(DataError, match="2 chosen rows are marked"):
        refuse_unavailable_choices([0, 1, 1], np.array([True, False, False]), "y", "av")


@pytest.mark.parametrize("values", [["1", "0"], [1, np.nan], [True, None]])
def test_an_unavailable_row_that_is_not_chosen_is_no_mistake(values):
    refuse_unavailable_choices(values, np.array([True, False]), "y", "av")


@pytest.mark.parametrize(
    ("values", "shown"),
    [([1, 0], "0.0"), ([1, -2], "-2.0"), ([1, None], "nan"), ([1, np.inf], "inf")],
)
def test_weights_must_be_positive_and_finite(values, shown):
    with pytest.raises(DataError) as caught:
        read_weights(values, "w", "of individual {}".format)
    assert str(caught.value) == (
        f"1 weight in column 'w' is not positive and finite; the first is {shown} of individual "
        "1. Leave those individuals out, or correct their weights."
    )


def test_weights_of_text_are_refused():
    with pytest.raises(DataError) as caught:
        read_weights(["heavy", "light"], "w", "of individual {}".format)
    assert str(caught.value) == (
        "2 values of the weights column 'w' are not numbers; the first is 'heavy' of individual "
        "0. Give numbers, such as pandas.to_numeric makes."
    )


@pytest.mark.parametrize(
    "values", [[2, 1], [2.0, 1.0], ["2", "1"], pd.array([2, 1], dtype="Int64"), [2, True]]
)
def test_frequency_weights_are_read_whatever_their_type(values):
    assert read_frequencies(values, "n", str).tolist() == [2.0, 1.0]


@pytest.mark.parametrize(
    ("values", "shown"),
    [([1, 0], "0.0"), ([1, -2], "-2.0"), ([1, None], "nan"), ([1, np.inf], "inf"), ([1, 0.5], 0.5)],
)
def test_frequency_weights_must_be_whole_and_at_least_one(values, shown):
    with pytest.raises(DataError) as caught:
        read_frequencies(values, "n", "of individual {}".format)
    assert str(caught.value) == (
        "1 value of the frequency weights column 'n' is no whole number of at least 1; the first "
        f"is {shown} of individual 1. Leave out individuals who occur 0 times; sampling weights, "
        "which may be fractions, go in weights=."
    )


def test_frequency_weights_of_text_are_refused():
    with pytest.raises(DataError) as caught:
        read_frequencies(["many", "few"], "n", "of individual {}".format)
    assert str(caught.value) == (
        "2 values of the frequency weights column 'n' are not numbers; the first is 'many' of "
        "individual 0. Give whole numbers."
    )
