"""Choices are tallied, and lists of choices are checked."""

from __future__ import annotations

import numpy as np
import pytest

from mixlogit.arrangement import arrange
from mixlogit.entries import tally, tally_table
from mixlogit.errors import DataError

TABLE = arrange(4, alternative=[*"abcd"])


def test_choices_without_individuals_are_exchangeable():
    entries = tally(TABLE, np.array([3.0, 0.0, 1.0, 0.0]))
    assert entries.row.tolist() == [0, 2]
    assert entries.count.tolist() == [1, 1]
    assert entries.frequency.tolist() == [3, 1]
    assert entries.ids.tolist() == ["a", "c"]


def test_choices_of_an_individual_are_repeated():
    panel = arrange(6, [1, 1, 2, 2, 1, 1], [*"ppppqq"])
    entries = tally(panel, np.array([2.0, 1.0, 0.0, 1.0, 1.0, 0.0]))
    assert entries.start.tolist() == [0, 3, 4]
    assert entries.row.tolist() == [0, 1, 3, 4]
    assert entries.count.tolist() == [2, 1, 1, 1]
    assert entries.frequency.tolist() == [1, 1]


def test_a_list_of_choices_is_tallied_as_by_a_loop():
    rng = np.random.default_rng(0)
    who, what = rng.integers(5, size=60), rng.choice([*"abcd"], size=60)
    n = rng.integers(0, 4, size=60)
    expected = np.zeros((5, 4))
    for i, j, k in zip(who, what, n, strict=True):
        expected[i, "abcd".index(j)] += k
    entries, person = tally_table(TABLE, who, what, n, names=("who", "what", "n"))
    dense = np.zeros((5, 4))
    for i in range(5):
        own = slice(entries.start[i], entries.start[i + 1])
        dense[i, entries.row[own]] = entries.count[own]
    np.testing.assert_array_equal(dense, expected)
    np.testing.assert_array_equal(person, who)


def table_error(who, what, n=None):
    with pytest.raises(DataError) as caught:
        tally_table(TABLE, who, what, n, names=("who", "what", "n"))
    return str(caught.value)


def test_a_choice_that_is_not_in_the_table_is_counted_and_placed():
    assert table_error([1, 1], ["a", "z"]) == (
        "1 row of the table of choices names an alternative that the table of alternatives lacks; "
        "the first is 'z' (column 'what') in row 1 (counted from 0). Add it to the table, or drop "
        "those rows."
    )


def test_a_list_without_choices_is_refused():
    assert table_error([], []) == "The table of choices has no rows. Pass at least one choice."


@pytest.mark.parametrize("count", [-1, 0.5, np.nan, np.inf])
def test_counts_of_a_list_must_be_whole_numbers(count):
    assert table_error([1, 1], ["a", "b"], [1, count]) == (
        f"1 value of the count column 'n' is no whole number of at least 0; the first is "
        f"{float(count)} in row 1 (counted from 0). Correct them, or drop those rows."
    )


def test_counts_of_text_are_refused():
    assert table_error([1, 1], ["a", "b"], [1, "many"]) == (
        "1 value of the count column 'n' is not a number; the first is 'many' in row 1 (counted "
        "from 0). Give whole numbers."
    )


def test_an_individual_without_choices_is_placed():
    assert table_error(["x", "y"], ["a", "b"], [1, 0]) == (
        "1 individual is without any choice; the first is 'y' (column 'who'). Drop those rows."
    )
