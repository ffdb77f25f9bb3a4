"""Text in which a reader sees a number, and how it came to be text."""

from __future__ import annotations

import pytest

from mixlogit.spelled import Spelled, how_it_is_written, other_type, reads_as_number

NUMBERS = [
    *("12", " 1.5 ", "-3", "+0.5", "3e-4", "5.", ".5", "007"),
    *("1,5", ",5", "1.234,50", "1,234.5", "1 234", "1'000", "1\u202f000,5", "12 %", "\u22123"),
]
TEXT = [
    "abc",
    "1-2",
    "<5",
    "1.2.3",
    "12:30",
    "",
    "%",
    "2024-01-01",
    "p1",
    "0x1",
    "1e",
    ".",
    "1,2,3",
]


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_are_seen_in_text(text):
    assert reads_as_number(text)


@pytest.mark.parametrize("text", TEXT)
def test_other_text_is_left_alone(text):
    assert not reads_as_number(text)
    assert how_it_is_written(text) == ""


@pytest.mark.parametrize(
    ("value", "expected"), [(3, True), (2.5, True), (True, False), ("", False)]
)
def test_numbers_among_text_are_numbers(value, expected):
    assert reads_as_number(value) == expected


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("1,5", "decimal=','"),
        ("1.234,50", "thousands='.', decimal=','"),
        ("1,234.5", "thousands=','."),
        ("1 234", "thousands=' '."),
        ("1 234,5", "thousands=' ', decimal=','."),
        ("12 %", "take the sign off"),
        ("\u22123", "a sign of minus"),
    ],
)
def test_what_python_does_not_read_is_explained(text, how):
    assert how in how_it_is_written(text)


@pytest.mark.parametrize("text", ["12", " 1.5 ", "3e-4", 7, None])
def test_what_python_reads_needs_no_explanation(text):
    assert how_it_is_written(text) == ""


@pytest.mark.parametrize(
    ("labels", "is_meant"),
    [
        (["1", "2", "n/a ", "-"], True),
        (["1", "2", "three"], True),
        (["low", "high", "1"], False),
        (["1-2", "3-4", "5"], False),
        (["a", "b"], False),
        ([1, 2.5, "n/a"], True),
    ],
)
def test_a_column_is_meant_as_numbers_if_most_of_it_are(labels, is_meant):
    assert Spelled.of(labels).is_meant_as_numbers == is_meant


def test_ids_of_two_types_are_told():
    assert other_type("1", 1) == (
        " Ids are text on one side, such as '1', and not on the other, such as 1: give both one "
        "type, for example with .astype(str)."
    )
    assert other_type("a", "b") == other_type(1, 2) == ""
    assert other_type("a", float("nan")) == other_type(None, "a") == ""  # missing, of any type
