"""The choice column: 0 and 1 with situations; other codings are refused with their remedy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixlogit.arrangement import arrange
from mixlogit.chosen import ChoiceColumn, count_notes, read_counts, refuse_unavailable_choices
from mixlogit.errors import ArgumentError, DataError

TASKS = arrange(6, [101, 101, 102, 102, 103, 103], None, [*"ababab"])
TABLE = arrange(4, alternative=[*"abcd"])


def task(name: str, rule: str) -> ChoiceColumn:
    """The choice column of a table with situations."""
    return ChoiceColumn(name, rule, "task", "alt")


def table(name: str, rule: str) -> ChoiceColumn:
    """The choice column of one table of alternatives."""
    return ChoiceColumn(name, rule, None, "alt")


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
    assert read_counts(values, TASKS, task("y", "auto")).tolist() == [1, 0, 0, 1, 1, 0]


def test_choices_follow_the_sorted_rows():
    backwards = arrange(6, [103, 103, 102, 102, 101, 101], None, [*"bababa"])
    counts = read_counts([0, 1, 0, 1, 1, 0], backwards, task("y", "one"))
    assert counts.tolist() == [0, 1, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("values", "rule", "message"),
    [
        pytest.param(
            [1, 0, 1, 1, 0, 0],
            "auto",
            "2 of 3 choice situations do not have exactly one chosen row; the first is situation "
            "102, with 2. Check the choice column 'y', or drop those situations. If several "
            "choices in a situation are meant, pass choices='counts'.",
            id="two chosen and none",
        ),
        pytest.param(
            [1, 0, 0, 0, 1, 0],
            "one",
            "1 of 3 choice situations does not have exactly one chosen row; the first is "
            "situation 102, with 0. Check the choice column 'y', or drop those situations.",
            id="none chosen",
        ),
        pytest.param(
            [1, 1, 1, 0, 1, 0],
            "one",
            "1 of 3 choice situations does not have exactly one chosen row; the first is "
            "situation 101, with 2. Check the choice column 'y', or drop those situations.",
            id="two chosen, where one was asked for",
        ),
        pytest.param(
            [3, 0, 0, 0, 0, 0],
            "counts",
            "2 of 3 choice situations do not have any choice; the first is situation 102, with 0. "
            "Check the choice column 'y', or drop those situations.",
            id="no counts",
        ),
        pytest.param(
            [3, 0, 0, 1, 1, 0],
            "one",
            "1 value of the choice column 'y' is neither 0 nor 1; the first is in situation 101, "
            "alternative 'a'. Choices are 1 on the chosen row of each situation and 0 on the "
            "others.",
            id="a count, where one was asked for",
        ),
    ],
)
def test_situations_without_their_choices_are_counted_and_placed(values, rule, message):
    with pytest.raises(DataError) as caught:
        read_counts(values, TASKS, task("y", rule))
    assert str(caught.value) == message


def test_two_chosen_rows_are_counts_when_the_user_says_so():
    assert read_counts([1, 1, 1, 0, 1, 0], TASKS, task("y", "counts")).sum() == 4


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
        read_counts(values, TASKS, task("y", "auto"))
    message = str(caught.value)
    assert message.startswith(what.replace("is not whole numbers", "is not a whole number"))
    assert "the first is in situation 101, alternative 'b'." in message


def test_names_of_alternatives_in_the_choice_column_are_explained():
    with pytest.raises(DataError) as caught:
        read_counts(["1", "0", "car", "1", "bus", "0"], TASKS, task("mode", "auto"))
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
        read_counts(values, TASKS, task("y", "auto"))


def test_zeros_and_ones_without_a_situation_column_are_explained():
    with pytest.raises(DataError) as caught:
        read_counts([1, 0, 1, 0], TABLE, table("y", "auto"))
    assert str(caught.value) == (
        "There is no situation column, so the 4 rows are one choice set, but column 'y' holds only "
        "0 and 1, 2 of them 1. Pass situation= if the rows are several choice sets, or "
        "choices='counts' if they are one table with counts."
    )
    assert read_counts([1, 0, 1, 0], TABLE, table("y", "counts")).sum() == 2


def test_an_unknown_rule_for_choices_is_refused():
    with pytest.raises(ArgumentError, match="choices='many' is not one of auto, one, counts"):
        task("y", "many")


# -- other codings ---------------------------------------------------------------------------

THREES = arrange(6, [7, 7, 7, 8, 8, 8], None, [*"abcabc"])
COUNTS_MEANT = " If they are counts, pass choices='counts'."


def told(values, column=None, tasks=THREES) -> str:
    """What is said of a choice column, which is read when it is said to hold counts."""
    column = column or task("y", "auto")
    counts = ChoiceColumn(column.name, "counts", column.situation, column.alternative)
    in_order = np.asarray(values, dtype=float)[tasks.order]
    if (in_order >= 0).all():
        np.testing.assert_array_equal(read_counts(values, tasks, counts), in_order)
    with pytest.raises(DataError) as caught:
        read_counts(values, tasks, column)
    return str(caught.value)


def test_a_column_that_repeats_the_number_of_the_chosen_alternative_is_to_be_compared():
    assert told([2, 2, 2, 3, 3, 3]) == (
        "Column 'y' holds one number on all rows of a situation, in each of 2 choice situations, "
        "as where it names the alternative that was chosen; the first is situation 7, with 2. "
        "Choices are 1 (or true) on the chosen row and 0 on the others: give 'y == alt' in the "
        "place of 'y'." + COUNTS_MEANT
    )
    nameless = told([2, 2, 2, 3, 3, 3], ChoiceColumn("y", "auto", "task"))
    assert "give 'y == alternative', with your column of alternatives, in the place of" in nameless


def test_the_rows_of_a_situation_need_not_stand_together():
    mixed = arrange(6, [8, 7, 8, 7, 8, 7], None, [*"abbcca"])
    assert "the first is situation 7, with 2." in told([3, 2, 3, 2, 3, 2], tasks=mixed)


def test_situations_of_one_row_say_nothing_of_the_coding():
    lonely = arrange(5, [6, 7, 7, 8, 8], None, [*"aabab"])
    assert "in each of 2 choice situations" in told([1, 2, 2, 4, 4], tasks=lonely)
    assert read_counts([1, 1, 0, 0, 1], lonely, task("y", "auto")).tolist() == [1, 1, 0, 0, 1]
    with pytest.raises(DataError, match="1 of 1 choice situation does not have exactly one"):
        read_counts([0], arrange(1, [6]), task("y", "auto"))


@pytest.mark.parametrize(
    ("values", "codes", "chosen"),
    [
        ([1, 2, 1, 2, 1, 1], "1 and 2", 2),
        ([2, 1, 2, 1, 2, 2], "1 and 2", 1),
        ([0, 100, 0, 100, 0, 0], "0 and 100", 100),
        ([-1, 1, -1, 1, -1, -1], "-1 and 1", 1),
        ([0, 0.5, 0, 0.5, 0, 0], "0 and 0.5", 0.5),
    ],
)
def test_a_coding_with_two_numbers_is_named(values, codes, chosen):
    with pytest.raises(DataError) as caught:
        read_counts(values, THREES, task("y", "auto"))
    assert str(caught.value) == (
        f"Column 'y' is coded {codes}, with one {chosen:g} in each of 2 choice situations; the "
        "first is situation 7. Choices are 1 (or true) on the chosen row and 0 on the others: if "
        f"{chosen:g} means chosen, give 'y == {chosen:g}' in the place of 'y'." + COUNTS_MEANT
    )


@pytest.mark.parametrize("values", [[1] * 6, [True] * 6, ["1"] * 6])
def test_a_column_that_is_true_on_every_row_says_nothing(values):
    assert told(values) == (
        "Column 'y' is 1 on every row of 2 choice situations, and so does not say which row was "
        "chosen; the first is situation 7. Give a column that is 1 (or true) on the chosen row "
        "and 0 on the others; where another column names the chosen alternative, compare it with "
        "the column of alternatives, as in 'chosen == alt'." + COUNTS_MEANT
    )


def test_counts_with_situations_are_read_only_if_they_are_said_to_be_counts():
    assert told([0, 3, 1, 5, 0, 0]) == (
        "2 values of the choice column 'y' are neither 0 nor 1; the first is in situation 7, "
        "alternative 'b'. Choices are 1 on the chosen row of each situation and 0 on the others."
        + COUNTS_MEANT
    )


def test_without_situations_counts_are_the_only_reading():
    assert read_counts([3, 0, 5, 5], TABLE, table("n", "auto")).tolist() == [3, 0, 5, 5]
    assert read_counts([2, 2, 2, 2], TABLE, table("n", "auto")).tolist() == [2, 2, 2, 2]


def test_counts_are_noted_where_there_are_several():
    note = "Choices are counts (n): 1,200 choices in 3 markets."
    assert count_notes("n", 1200.0, 3, "market") == (note,)
    assert count_notes("n", 3.0, 3, "market") == ()


# -- availability -----------------------------------------------------------------------------


def test_a_choice_of_an_unavailable_alternative_is_counted_and_placed():
    with pytest.raises(DataError) as caught:
        refuse_unavailable_choices(
            [0, 1, 1], np.array([True, True, False]), task("y", "auto"), "av"
        )
    assert str(caught.value) == (
        "1 chosen row is marked as unavailable in column 'av'; the first is row 2 (counted from "
        "0). Correct the availability or the choice, or drop those situations."
    )
    with pytest.raises(DataError, match="2 chosen rows are marked"):
        refuse_unavailable_choices(
            [0, 1, 1], np.array([True, False, False]), task("y", "auto"), "av"
        )


@pytest.mark.parametrize("values", [["1", "0"], [1, np.nan], [True, None]])
def test_an_unavailable_row_that_is_not_chosen_is_no_mistake(values):
    refuse_unavailable_choices(values, np.array([True, False]), task("y", "auto"), "av")


def test_where_the_coding_is_wrong_that_is_said_and_not_that_rows_are_unavailable():
    available = np.array([True, True, False, True, True, True])
    refuse_unavailable_choices([1, 2, 1, 2, 1, 1], available, task("y", "auto"), "av")
    with pytest.raises(DataError, match="1 chosen row is marked as unavailable"):
        refuse_unavailable_choices([1, 2, 1, 2, 1, 1], available, task("y", "counts"), "av")
