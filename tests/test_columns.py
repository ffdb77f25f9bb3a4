"""Columns of the user's table are found by name; weights and availability are read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixlogit.columns import (
    Columns,
    as_frame,
    read_availability,
    read_frequencies,
    read_weights,
    require_column,
)
from mixlogit.errors import ColumnError, DataError

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
