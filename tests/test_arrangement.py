"""Rows are put into choice sets: ids of every kind, any order of rows, and clear refusals."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from mixlogit.arrangement import arrange, codes_of, first_rows
from mixlogit.errors import ArgumentError, DataError

# -- ids -----------------------------------------------------------------------------------------

IDS = {
    "integers": [3, 1, 2, 1],
    "negative": [3, -1, 2, -1],
    "floats": [0.5, -1.0, 0.25, -1.0],
    "strings": ["p3", "p1", "p2", "p1"],
    "booleans": [True, False, False, True],
    "dates": pd.to_datetime(["2024-03-01", "2024-01-01", "2024-02-01", "2024-01-01"]),
    "dates with zone": pd.to_datetime(
        ["2024-03-01", "2024-01-01", "2024-02-01", "2024-01-01"], utc=True
    ),
    "python dates": [datetime.date(2024, month, 1) for month in (3, 1, 2, 1)],
    "decimals": [decimal.Decimal(value) for value in ("3.5", "1", "2", "1")],
    "tuples": [(2, "b"), (1, "z"), (2, "a"), (1, "z")],
    "tuples of many lengths": [(2,), (1, 5), (1, 5, 0), (1, 5)],
    "mixed types": ["guest", 12, 3, 12],
    "nullable integers": pd.array([3, 1, 2, 1], dtype="Int64"),
    "pandas strings": pd.array(["p3", "p1", "p2", "p1"], dtype="string"),
    "categories": pd.Categorical(["c", "a", "b", "a"], categories=["c", "b", "a", "unused"]),
}


@pytest.mark.parametrize("kind", IDS)
def test_codes_lead_back_to_the_ids_whatever_their_type(kind):
    values = pd.Series(IDS[kind])
    codes, uniques = codes_of(values, "id")
    assert uniques.nlevels == 1
    assert [uniques[code] for code in codes] == values.tolist()
    assert sorted(set(codes)) == list(range(len(uniques)))


@pytest.mark.parametrize("kind", IDS)
def test_the_order_of_ids_does_not_depend_on_the_order_of_rows(kind):
    values = pd.Series(IDS[kind])
    expected = codes_of(values, "id")[1].tolist()
    for seed in range(5):
        assert codes_of(values.sample(frac=1, random_state=seed), "id")[1].tolist() == expected


@pytest.mark.parametrize("kind", [kind for kind in IDS if kind != "mixed types"])
def test_ids_that_compare_are_in_their_order(kind):
    uniques = codes_of(IDS[kind], "id")[1].tolist()
    assert uniques == sorted(uniques)


def test_ids_that_do_not_compare_are_ordered_by_type_and_text():
    assert codes_of(IDS["mixed types"], "id")[1].tolist() == [12, 3, "guest"]


def test_a_missing_id_is_counted_and_placed():
    with pytest.raises(DataError) as caught:
        codes_of(["a", None, "b", np.nan], "person")
    assert str(caught.value) == (
        "2 values of the id column 'person' are missing; the first is in row 1 (counted from 0). "
        "Fill in the ids, or drop those rows."
    )
    with pytest.raises(DataError, match="1 value of the id column 'person' is missing"):
        codes_of(["a", None], "person")


def test_an_unhashable_id_is_refused():
    with pytest.raises(DataError) as caught:
        codes_of([[1], [2]], "person")
    assert str(caught.value) == (
        "Column 'person' holds values that cannot be ids (unhashable type: 'list'). Use numbers, "
        "strings, dates or tuples."
    )


def test_ids_of_rows_that_are_left_out_may_be_missing():
    codes, uniques = codes_of(["b", None, "a"], "person", np.array([0, 2]))
    assert codes.tolist() == [1, 0]
    assert uniques.tolist() == ["a", "b"]
    with pytest.raises(DataError, match="row 3"):
        codes_of(["b", None, "a", None], "person", np.array([0, 2, 3]))


# -- choice sets ---------------------------------------------------------------------------------


def test_rows_are_sorted_by_individual_situation_and_alternative():
    person = ["b", "b", "a", "a", "b", "a"]
    situation = [1, 2, 9, 9, 2, 3]
    item = ["x", "z", "z", "x", "x", "x"]
    found = arrange(6, situation, person, item)
    assert found.order.tolist() == [5, 3, 2, 0, 4, 1]
    assert found.situation_start.tolist() == [0, 1, 3, 4, 6]
    assert found.situation_ids.tolist() == [3, 9, 1, 2]
    assert found.situation_owner.tolist() == [0, 0, 1, 1]
    assert found.individual_ids.tolist() == ["a", "b"]
    assert found.sizes.tolist() == [1, 2, 1, 2]
    assert (found.n_rows, found.n_situations) == (6, 4)


def test_without_ids_all_rows_are_one_choice_set_in_their_order():
    found = arrange(3)
    assert found.order.tolist() == [0, 1, 2]
    assert found.situation_start.tolist() == [0, 3]
    assert found.situation_owner is None


def test_a_situation_id_may_be_used_again_by_another_individual():
    again = arrange(4, [1, 1, 1, 1], ["a", "a", "b", "b"])
    unique = arrange(4, [1, 1, 2, 2], ["a", "a", "b", "b"])
    assert again.order.tolist() == unique.order.tolist()
    assert again.situation_start.tolist() == unique.situation_start.tolist() == [0, 2, 4]
    assert again.situation_owner.tolist() == unique.situation_owner.tolist() == [0, 1]


def test_rows_that_are_not_kept_leave_no_trace():
    keep = np.array([True, True, False, False, True, True])
    found = arrange(6, [1, 1, 2, 2, 3, 3], [7, 7, 8, 8, 9, 9], [*"abacab"], keep=keep)
    assert found.order.tolist() == [0, 1, 4, 5]
    assert found.situation_ids.tolist() == [1, 3]
    assert found.individual_ids.tolist() == [7, 9]
    assert found.alternative_ids.tolist() == ["a", "b"]


def test_rows_and_situations_are_named_in_the_words_of_the_user():
    named = arrange(4, [5, 5, 6, 6], ["p", "p", "q", "q"], [*"abab"])
    assert named.situation_of(3) == "6 of individual 'q'"
    assert named.alternative_of(3) == "alternative 'b'"
    plain = arrange(4, [6, 6, 5, 5])
    assert plain.situation_of(0) == "5"
    assert plain.alternative_of(0) == "row 2 (counted from 0)"
    same = arrange(2, [5, 5], [5, 5])
    assert same.situation_label(0) == "5"


def test_tuples_as_ids_are_named_in_messages():
    arrangement = arrange(4, [(1, "a"), (1, "a"), (2, "b"), (2, "b")], [7, 7, (2, "b"), (2, "b")])
    names = {arrangement.situation_label(s) for s in range(2)}
    assert names == {"(1, 'a') of individual 7", "(2, 'b')"}


def test_an_empty_table_is_refused():
    with pytest.raises(DataError) as caught:
        arrange(0)
    assert str(caught.value) == "The table has no rows. Pass at least one choice situation."


def test_a_table_of_unavailable_rows_is_refused():
    with pytest.raises(DataError) as caught:
        arrange(2, [1, 1], keep=np.zeros(2, dtype=bool))
    assert str(caught.value) == (
        "None of the 2 rows is available, so there is no choice set. Check the availability column."
    )


def test_individuals_without_situations_are_refused():
    with pytest.raises(ArgumentError) as caught:
        arrange(2, individual=[1, 1], names=("situation", "person", "alternative"))
    assert str(caught.value) == (
        "individual='person' was given without situation=. Name the column that says which rows "
        "form one choice set (the same column, if every individual chose once)."
    )


def test_an_alternative_twice_in_a_situation_is_counted_and_placed():
    with pytest.raises(DataError) as caught:
        arrange(6, [1, 1, 2, 2, 3, 3], None, [*"abaacc"], names=("task", "", "mode"))
    assert str(caught.value) == (
        "2 of 3 choice situations list an alternative more than once in column 'mode'; the first "
        "is situation 2, alternative 'a'. Check the id columns, or drop the repeated rows."
    )


def test_an_alternative_twice_in_one_table_points_at_the_situation_column():
    with pytest.raises(DataError) as caught:
        arrange(2, alternative=["a", "a"])
    assert str(caught.value) == (
        "1 of 1 choice situation lists an alternative more than once in column 'alternative'; the "
        "first is situation 'all', alternative 'a'. Check the id columns, or pass situation= if "
        "the rows are several choice sets."
    )


# -- columns that are constant within individuals ------------------------------------------------


def test_the_first_row_of_each_individual_is_found():
    codes = np.array([1, 0, 1, 2, 0])
    ids = pd.Index(["a", "b", "c"])
    assert first_rows([5.0, 4.0, 5.0, 5.0, 4.0], codes, ids, "w", "weight").tolist() == [1, 0, 3]


def test_a_column_that_varies_within_individuals_is_counted_and_placed():
    with pytest.raises(DataError) as caught:
        first_rows([1, 2, 3, 3], np.array([0, 0, 1, 1]), pd.Index(["a", "b"]), "age", "covariate")
    assert str(caught.value) == (
        "The covariate 'age' varies within 1 of 2 individuals; the first is individual 'a'. It "
        "must be constant within an individual: average it, or use it in the utility formula."
    )


@pytest.mark.parametrize("values", [[np.nan, 2.0, 3.0, 3.0], [2.0, np.nan, 3.0, 3.0]])
def test_a_value_that_is_missing_in_part_of_the_rows_is_no_constant(values):
    with pytest.raises(DataError) as caught:
        first_rows(values, np.array([0, 0, 1, 1]), pd.Index(["a", "b"]), "age", "covariate")
    assert str(caught.value) == (
        "The covariate 'age' varies within 1 of 2 individuals; the first is individual 'a', where "
        "it is missing in part of the rows. It must be constant within an individual: fill it in."
    )


def test_values_that_cannot_be_compared_are_refused():
    with pytest.raises(DataError, match=r"The weight 'w' holds values that cannot be compared"):
        first_rows([[1], [1]], np.array([0, 0]), pd.Index(["a"]), "w", "weight")
