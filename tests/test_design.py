"""A formula becomes the matrix that patsy gives, and replays on new data.

Expected values come from one-shot `patsy.dmatrix` or from matrices built by hand.
"""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
import textwrap
import tracemalloc

import numpy as np
import pandas as pd
import patsy
import pytest

from mixlogit import design, replay
from mixlogit.design import Design
from mixlogit.errors import (
    ArgumentError,
    ColumnError,
    DataError,
    FormulaError,
    UnseenLevelError,
)

MODES = np.array(["train", "sm", "car"])


@pytest.fixture
def survey():
    """Twenty choice situations of three alternatives, with row labels that are not positions."""
    rng = np.random.default_rng(5)
    n = 60
    return pd.DataFrame(
        {
            "cost": rng.gamma(2.0, 3.0, n),
            "time": rng.normal(30.0, 8.0, n),
            "transfers": rng.integers(0, 4, n),
            "alt": np.tile(MODES, n // 3),
            "first": rng.random(n) < 0.3,
        },
        index=1000 + np.arange(n),
    )


def learn(formula, data, intercept="absorb", **variables):
    """Learn for a utility, with variables in front of those of this module."""
    env = patsy.EvalEnvironment([variables, globals()])
    return Design.learn(formula, data, intercept=intercept, env=env, role="utility formula")


def one_shot(formula, data):
    """patsy's matrix and names, without the intercept."""
    matrix = patsy.dmatrix(formula, data, eval_env=1)
    names = matrix.design_info.column_names
    keep = [i for i, name in enumerate(names) if name != "Intercept"]
    return np.asarray(matrix)[:, keep], tuple(names[i] for i in keep)


FORMULAS = [
    "cost + time",
    "~ cost + time",
    "transfers",
    "first",
    "alt",
    "alt + cost",
    "0 + alt + cost",
    "cost + alt - 1",
    "C(alt, Treatment('sm')) + cost",
    "C(alt, Sum) + C(alt, Sum):time",
    "C(transfers, Poly)",
    "C(transfers, Helmert) * first",
    "C(alt, levels=['sm', 'car', 'train'])",
    "C(alt):time",
    "alt:first:cost",
    "alt * C(transfers) * time",
    "np.log(cost) + I(cost ** 2)",
    "I(math.pi * time)",
    "I(time > 30) + I(abs(cost - 5))",
    "center(time) + standardize(cost)",
    "standardize(center(time) * 2, ddof=1):alt",
    "bs(time, df=4)",
    "bs(time, df=3):alt",
    "cr(time, df=4)",
    "te(cr(time, df=3), cr(cost, df=3))",
    "Q('cost') + Q(\"time\"):first",
]


@pytest.mark.parametrize("block_rows", [7, 10**6])
@pytest.mark.parametrize("formula", FORMULAS)
def test_the_matrix_and_its_names_are_those_of_patsy(formula, block_rows, survey, monkeypatch):
    monkeypatch.setattr(replay, "BLOCK_ROWS", block_rows)
    expected, names = one_shot(formula, survey)
    learned = learn(formula, survey)
    assert learned.names == names
    assert learned.formula == formula
    actual = learned.matrix(survey)
    assert actual.dtype == np.float64
    assert actual.flags.c_contiguous
    assert type(actual) is np.ndarray
    # Blocks add up in another order than one sum does; otherwise the arithmetic is the same.
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("formula", FORMULAS)
def test_rows_follow_the_order_that_is_asked_for(formula, survey, monkeypatch):
    monkeypatch.setattr(replay, "BLOCK_ROWS", 7)
    expected, _ = one_shot(formula, survey)
    learned = learn(formula, survey)
    order = np.random.default_rng(0).permutation(len(survey))[:41]
    np.testing.assert_allclose(
        learned.matrix(survey, order=order), expected[order], rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("formula", FORMULAS)
def test_new_data_meet_what_was_learned_on_the_old(formula, survey):
    # B-splines refuse to extrapolate: the new rows must lie between the extremes of the old.
    inside = survey["time"].between(20, 40) & survey["cost"].between(2, 8)
    new = survey[inside].iloc[::2]
    training = survey.drop(index=new.index)
    # one-shot patsy remembers through its design_info
    info = patsy.dmatrix(formula, training).design_info
    expected = patsy.build_design_matrices([info], new)[0]
    expected = np.asarray(expected)[:, [n != "Intercept" for n in info.column_names]]
    actual = learn(formula, training).matrix(new)
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def test_alternative_specific_coefficients_match_a_matrix_built_by_hand(survey):
    learned = learn("C(alt):time", survey)
    assert learned.names == ("C(alt)[car]:time", "C(alt)[sm]:time", "C(alt)[train]:time")
    expected = np.zeros((len(survey), 3))
    for i, (alt, time) in enumerate(zip(survey["alt"], survey["time"], strict=True)):
        expected[i, ["car", "sm", "train"].index(alt)] = time
    np.testing.assert_array_equal(learned.matrix(survey), expected)


def test_the_reference_of_a_category_can_be_chosen(survey):
    learned = learn("C(alt, Treatment('sm'))", survey)
    assert learned.names == (
        "C(alt, Treatment('sm'))[T.car]",
        "C(alt, Treatment('sm'))[T.train]",
    )
    expected = np.column_stack([survey["alt"] == "car", survey["alt"] == "train"])
    np.testing.assert_array_equal(learned.matrix(survey), expected)


def test_an_absorbed_intercept_leaves_k_minus_one_columns_for_k_levels(survey):
    assert learn("alt", survey).names == ("alt[T.sm]", "alt[T.train]")
    assert learn("0 + alt", survey).names == ("alt[car]", "alt[sm]", "alt[train]")


def test_a_kept_intercept_is_a_column_of_ones(survey):
    learned = learn("time", survey, intercept="keep")
    assert learned.names == ("Intercept", "time")
    np.testing.assert_array_equal(
        learned.matrix(survey), np.column_stack([np.ones(60), survey["time"]])
    )
    assert learn("0 + time", survey, intercept="keep").names == ("time",)


@pytest.mark.parametrize("formula", ["", "1", "~", "~ 1", "0"])
def test_a_formula_without_terms_has_no_columns(formula, survey):
    learned = learn(formula, survey)
    assert learned.names == ()
    assert learned.columns == ()
    assert learned.matrix(survey).shape == (60, 0)
    kept = learn(formula, survey, intercept="keep")
    np.testing.assert_array_equal(kept.matrix(survey), np.ones((60, int(formula != "0"))))


def test_columns_are_those_that_the_formula_reads(survey):
    learned = learn("np.log(time) + C(alt):Q('first') + I(cost / time)", survey)
    assert learned.columns == ("time", "alt", "first", "cost")


def test_categories_are_listed_by_factor(survey):
    learned = learn("C(alt, Treatment('sm')):first + cost", survey)
    assert learned.categories == {
        "C(alt, Treatment('sm'))": ("car", "sm", "train"),
        "first": (False, True),
    }


def test_the_matrix_is_written_into_the_given_array(survey):
    learned = learn("cost + time", survey)
    out = np.full((60, 2), -1.0)
    assert learned.matrix(survey, out=out) is out
    np.testing.assert_array_equal(out, survey[["cost", "time"]])


def test_an_empty_table_gives_an_empty_matrix(survey):
    learned = learn("cost + alt + bs(time, df=4)", survey)
    assert learned.matrix(survey.iloc[:0]).shape == (0, 7)
    assert learned.matrix(survey, order=np.array([], dtype=int)).shape == (0, 7)


def test_memory_is_the_result_and_a_few_blocks():
    n = 400_000
    data = pd.DataFrame({f"x{i}": np.full(n, float(i)) for i in range(8)})
    formula = " + ".join(data.columns)
    tracemalloc.start()
    matrix = learn(formula, data).matrix(data, order=np.arange(n))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    block = replay.BLOCK_ROWS * 8 * len(data.columns)
    # The order is one column, and a second copy of the table would be eight.
    assert peak < matrix.nbytes + n * 8 + 4 * block


# Types of columns


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint16", "float32", "Int64", "Float64"])
@pytest.mark.parametrize("formula", ["x", "x + I(x ** 2)", "np.sqrt(x)", "center(x)", "C(x)"])
def test_numbers_of_any_type_are_numbers(dtype, formula):
    data = pd.DataFrame({"x": [1, 4, 9, 4, 1]})
    expected, names = one_shot(formula, data)
    learned = learn(formula, data.astype(dtype))
    if not (formula == "C(x)" and "oat" in dtype):  # there the levels are 1.0, 4.0 and 9.0
        assert learned.names == names
    # float32 arithmetic rounds at 6e-8
    np.testing.assert_allclose(learned.matrix(data.astype(dtype)), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["str", "string", "object", "category"])
def test_text_of_any_type_is_categorical(dtype):
    data = pd.DataFrame({"x": ["b", "a", "c", "a"]})
    expected, names = one_shot("x", data.astype(object))
    learned = learn("x", data.astype(dtype))
    assert learned.names == names
    np.testing.assert_array_equal(learned.matrix(data.astype(dtype)), expected)


@pytest.mark.parametrize("dtype", ["bool", "boolean", "object"])
@pytest.mark.parametrize("values", [[True, False, True], [True, True, True]])
def test_truth_values_have_two_levels_even_if_one_does_not_occur(dtype, values):
    data = pd.DataFrame({"x": values}).astype(dtype)
    learned = learn("x", data)
    assert learned.names == ("x[T.True]",)
    np.testing.assert_array_equal(learned.matrix(data)[:, 0], np.array(values, dtype=float))


def test_names_that_are_not_python_names_are_quoted():
    data = pd.DataFrame({"travel time": [1.0, 2.0], "price-per-km": [3.0, 4.0]})
    learned = learn("Q('travel time') + np.log(Q(\"price-per-km\"))", data)
    assert learned.names == ("Q('travel time')", 'np.log(Q("price-per-km"))')
    assert learned.columns == ("travel time", "price-per-km")
    np.testing.assert_array_equal(
        learned.matrix(data), np.column_stack([[1.0, 2.0], np.log([3.0, 4.0])])
    )


@pytest.mark.parametrize("block_rows", [2, 100])
def test_declared_categories_keep_their_order_and_unused_ones_have_no_column(
    block_rows, monkeypatch
):
    monkeypatch.setattr(replay, "BLOCK_ROWS", block_rows)
    alt = pd.Categorical(["b", "b", "z", "a", "b"], categories=["z", "unused", "b", "a"])
    data = pd.DataFrame({"alt": alt})
    for formula in ("alt", "C(alt)"):
        learned = learn(formula, data)
        assert learned.categories == {formula: ("z", "b", "a")}
        np.testing.assert_array_equal(
            learned.matrix(data), [[1, 0], [1, 0], [0, 0], [0, 1], [1, 0]]
        )


def test_levels_written_in_the_formula_are_all_kept():
    data = pd.DataFrame({"alt": ["b", "a"]})
    learned = learn("0 + C(alt, levels=['b', 'c', 'a'])", data)
    np.testing.assert_array_equal(learned.matrix(data), [[1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    "new",
    [
        pd.Categorical(["a", "c", "b"], categories=["b", "c", "more", "a"]),
        pd.Categorical(["a", "c", "b"], ordered=True),
        np.array(["a", "c", "b"], dtype=object),
        pd.array(["a", "c", "b"], dtype="string"),
    ],
    ids=["reordered", "ordered", "object", "string"],
)
def test_levels_of_new_data_are_matched_by_label(new):
    learned = learn("0 + alt", pd.DataFrame({"alt": pd.Categorical(["a", "b", "c"])}))
    np.testing.assert_array_equal(learned.matrix(pd.DataFrame({"alt": new})), np.eye(3)[[0, 2, 1]])


def test_a_column_named_like_a_function_does_not_hide_it(survey):
    data = survey.rename(columns={"cost": "C"})
    learned = learn("C(alt) + C + bs(time, df=3)", data)
    assert learned.columns == ("alt", "C", "time")
    np.testing.assert_array_equal(learned.matrix(data)[:, 2], data["C"])


def test_a_variable_named_like_a_function_of_patsy_does_not_hide_it(survey):
    assert learn("C(alt)", survey, C=3.0).categories.keys() == {"C(alt)"}


def test_a_column_comes_before_a_variable_of_the_same_name(survey):
    learned = learn("I(2 * time)", survey, time=7.0)
    np.testing.assert_array_equal(learned.matrix(survey)[:, 0], 2 * survey["time"])
    with pytest.raises(ColumnError, match="'time'"):
        learned.matrix(survey.drop(columns="time"))


def test_an_integer_environment_counts_frames_above_the_caller_of_learn(survey):
    factor = 2.0

    def inner(depth):
        factor = 3.0
        learned = Design.learn("I(factor * cost)", survey, intercept="absorb", env=depth)
        return learned.matrix(survey)[0, 0] / survey["cost"].iloc[0], factor

    assert inner(0)[0] == pytest.approx(3.0, rel=1e-13)
    assert inner(1)[0] == pytest.approx(factor, rel=1e-13)


# Missing and infinite values


@pytest.mark.parametrize("block_rows", [2, 100])
def test_missing_and_infinite_numbers_stay(block_rows, monkeypatch):
    monkeypatch.setattr(replay, "BLOCK_ROWS", block_rows)
    data = pd.DataFrame({"x": [1.0, np.nan, np.inf, -np.inf, 5.0]})
    learned = learn("x + I(2 * x)", data)
    np.testing.assert_array_equal(learned.matrix(data), np.column_stack([data["x"], 2 * data["x"]]))


def test_logarithms_of_zero_are_infinite_without_a_warning():
    data = pd.DataFrame({"x": [1.0, 0.0, -1.0]})
    np.testing.assert_array_equal(learn("np.log(x)", data).matrix(data)[:, 0], [0, -np.inf, np.nan])


@pytest.mark.parametrize("dtype", ["Int64", "Float64"])
def test_missing_nullable_numbers_become_nan(dtype):
    data = pd.DataFrame({"x": pd.array([1, None, 3], dtype=dtype)})
    learned = learn("x + np.exp(x) + center(x) + I(x > 2)", data)
    np.testing.assert_allclose(
        learned.matrix(data),
        # I(x > 2) is categorical, and patsy puts categorical terms first
        [[0, 1, math.e, -1], [np.nan] * 4, [1, 3, math.e**3, 1]],
        rtol=1e-13,
    )


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a", None, "b"], dtype=object),
        np.array(["a", np.nan, "b"], dtype=object),
        np.array(["a", pd.NA, "b"], dtype=object),
        pd.array(["a", None, "b"], dtype="string"),
        pd.Series(["a", None, "b"]),
        pd.Categorical(["a", None, "b"]),
    ],
    ids=["None", "nan", "NA", "string", "default", "category"],
)
def test_a_missing_level_makes_all_columns_of_its_factor_nan(labels):
    data = pd.DataFrame({"alt": labels, "x": [2.0, 3.0, 4.0]})
    learned = learn("alt + alt:x + x", data)
    assert learned.names == ("alt[T.b]", "x", "alt[T.b]:x")
    np.testing.assert_array_equal(learned.matrix(data), [[0, 2, 0], [np.nan, 3, np.nan], [1, 4, 4]])


def test_missing_marks_rows_with_a_missing_value_in_a_used_column():
    data = pd.DataFrame(
        {
            "x": [1.0, np.nan, np.inf, 4.0],
            "alt": ["a", "b", "b", None],
            "unused": [np.nan, 1.0, 1.0, 1.0],
        }
    )
    learned = learn("x + C(alt)", data)
    np.testing.assert_array_equal(learned.missing(data), [False, True, False, True])
    assert not learn("1", data).missing(data).any()


@pytest.mark.parametrize("formula", ["center(x)", "standardize(x)", "bs(x, df=4)", "cr(x, df=3)"])
def test_transforms_learn_from_rows_without_missing_values(formula):
    x = np.random.default_rng(1).normal(size=30)
    full = pd.DataFrame({"x": x})
    holed = pd.DataFrame({"x": np.insert(x, [0, 4, 30], np.nan)})
    expected, _ = one_shot(formula, full)
    learned = learn(formula, holed)
    np.testing.assert_allclose(learned.matrix(full), expected, rtol=1e-12, atol=1e-12)


# Errors


def test_an_unknown_column_is_named_with_those_that_are_close(survey):
    with pytest.raises(ColumnError) as caught:
        learn("cost + tme", survey)
    assert str(caught.value) == (
        "The column 'tme', used in the utility formula, is not in the table. Did you mean time? "
        "Add it to the table or correct the formula. The table has the columns 'cost', 'time', "
        "'transfers', 'alt', 'first'."
    )


def test_an_unknown_column_inside_a_term_is_named_with_the_term(survey):
    with pytest.raises(ColumnError, match=r"'tim'.*\(term np\.log\(tim\)\).*Did you mean time\?"):
        learn("cost + np.log(tim)", survey)
    with pytest.raises(ColumnError, match="'travel time'"):
        learn("Q('travel time')", survey)


def test_a_column_that_needs_quoting_is_offered_quoted():
    data = pd.DataFrame({"price-km": [1.0, 2.0]})
    with pytest.raises(ColumnError, match=r'Did you mean Q\("price-km"\)\?'):
        learn("price-km", data)


def test_a_variable_of_the_calling_code_is_not_a_column(survey):
    with pytest.raises(ColumnError, match="'weight', used in the utility formula, is not in"):
        learn("cost + weight", survey, weight=np.ones(60))


def test_a_column_missing_from_new_data_is_named(survey):
    learned = learn("cost + time", survey)
    new = survey.rename(columns={"cost": "costs"})
    for method in (learned.matrix, learned.missing):
        with pytest.raises(ColumnError, match=r"'cost', used in the utility formula.*mean costs"):
            method(new)


def test_a_column_that_is_there_twice_is_named(survey):
    data = pd.concat([survey, survey[["cost"]]], axis=1)
    with pytest.raises(ColumnError, match="'cost', used in the utility formula, is 2 times"):
        learn("cost", data)


def test_a_function_that_is_not_known_is_named(survey):
    with pytest.raises(FormulaError, match=r"function 'log' in the term log\(cost\).*np\.log"):
        learn("log(cost)", survey)


@pytest.mark.parametrize(
    "formula", ["cost +", "cost +* time", "np.log(cost", "I('a", "cost ~ ~ time", "cost + 2"]
)
def test_a_formula_that_patsy_cannot_read_is_shown_with_its_message(formula, survey):
    with pytest.raises(FormulaError) as caught:
        learn(formula, survey)
    assert isinstance(caught.value.__cause__, patsy.PatsyError)
    assert f'The utility formula "{formula}" cannot be read' in str(caught.value)
    assert caught.value.__cause__.message in str(caught.value)


@pytest.mark.parametrize("formula", ["travel time", "class", "x.1"])
def test_a_term_that_is_not_python_is_named(formula, survey):
    with pytest.raises(FormulaError, match=r'The term .* cannot be evaluated: .*Q\("its name"\)'):
        learn(formula, survey)


def test_a_left_hand_side_is_refused(survey):
    with pytest.raises(FormulaError, match='has a left-hand side, "cost"'):
        learn("cost ~ time", survey)


def test_a_formula_must_be_a_string(survey):
    with pytest.raises(FormulaError, match="must be a string, not list"):
        learn(["cost"], survey)


def test_a_term_that_fails_is_named_and_its_cause_is_chained(survey):
    def failing(x):
        raise ZeroDivisionError("by design")

    with pytest.raises(FormulaError, match="by design") as caught:
        learn("cost + failing(time)", survey, failing=failing)
    message = str(caught.value)
    assert "The term failing(time) of the utility formula" in message
    assert '"cost + failing(time)"' in message
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("I(x for x in cost)", r"The term I\(x for x in cost\) .*not currently supported"),
        ("bs(time)", r"The term bs\(time\) .*must specify either df or knots"),
        ("C(alt, Treatment('bus'))", r"The term C\(alt, Treatment\('bus'\)\) .*'bus' not found"),
        ("C(alt, np.eye(2))", r"The term .*contrast matrix has 2 rows for 3 levels"),
        ("center(alt)", r"The term center\(alt\) "),
        ("cost:np.ones(60)", r"The term np\.ones\(60\) .*reads no column"),
        ("I(3)", r"The term I\(3\) .*reads no column"),
        ("np.mean(cost)", r"The term np\.mean\(cost\) .*gives 1 values for 60 rows"),
        ("I(cost * 1j)", r"The term I\(cost \* 1j\) .*complex"),
        ("C(np.column_stack([alt, alt]))", r"The term .*must have one dimension, not 2"),
        ("cost.sort_values()", r"The term cost\.sort_values\(\) .*changes the order of the rows"),
    ],
)
def test_what_is_wrong_with_a_term_is_said(formula, message, survey):
    with pytest.raises(FormulaError, match=message):
        learn(formula, survey)


def test_a_table_without_rows_teaches_nothing(survey):
    with pytest.raises(DataError, match="no rows to learn the utility formula from"):
        learn("cost", survey.iloc[:0])


@pytest.mark.parametrize("block_rows", [7, 100])
@pytest.mark.parametrize(
    "formula",
    [
        "I(cost - np.mean(cost))",
        "cost.shift()",
        "np.cumsum(cost)",
        "pd.cut(cost, 3)",
        "pd.qcut(cost, 4)",
        "patsy.center(cost)",
        "I(cost * offsets)",
    ],
)
def test_a_term_that_depends_on_other_rows_is_refused(formula, block_rows, survey, monkeypatch):
    monkeypatch.setattr(replay, "BLOCK_ROWS", block_rows)
    with pytest.raises(FormulaError) as caught:
        learn(formula, survey, offsets=np.arange(60.0))
    if block_rows == 100 or "offsets" not in formula:  # else the lengths differ before that
        assert f"The term {formula} of the utility formula" in str(caught.value)
        assert "is not computed row by row" in str(caught.value)
        assert "center(), standardize()" in str(caught.value)


def test_cutting_at_given_points_is_row_by_row(survey):
    learned = learn("pd.cut(cost, [0, 4, 8, 1000])", survey)
    codes = np.digitize(survey["cost"], [4, 8], right=True)
    np.testing.assert_array_equal(learned.matrix(survey), np.eye(3)[codes][:, 1:])


def test_a_categorical_term_without_any_value_is_named():
    data = pd.DataFrame({"alt": np.array([None, None], dtype=object)})
    with pytest.raises(DataError, match=r"The term alt .*has no value: every row is missing"):
        learn("alt", data)


def test_an_identifier_used_as_a_category_is_refused(survey, monkeypatch):
    monkeypatch.setattr(design, "MAX_LEVELS", 50)
    with pytest.raises(FormulaError, match=r"The term C\(cost\) .*has 60 levels.*at most 50"):
        learn("C(cost)", survey)


@pytest.mark.parametrize("block_rows", [2, 100])
def test_unseen_levels_are_counted_and_the_first_row_is_named(block_rows, survey, monkeypatch):
    learned = learn("cost + C(alt)", survey)
    new = survey.iloc[:6].copy()
    new["alt"] = ["car", "sm", "bus", "train", "bus", "tram"]
    monkeypatch.setattr(replay, "BLOCK_ROWS", block_rows)
    with pytest.raises(UnseenLevelError) as caught:
        learned.matrix(new)
    assert str(caught.value) == (
        "The term C(alt) of the utility formula \"cost + C(alt)\" (column 'alt') has levels that "
        "it did not have when the formula was learned: 'bus' (rows: 2), 'tram' (rows: 1). The "
        "first is in row 1002. Known levels: 'car', 'sm', 'train'. Drop or recode those rows, or "
        "fit on a table that has these levels."
    )
    with pytest.raises(UnseenLevelError, match="first is in row 1004"):
        learned.matrix(new, order=np.array([5, 4, 0])[1:])
    with pytest.raises(UnseenLevelError, match=r"'tram' \(rows: 1\)\. The first is in row 1005"):
        learned.matrix(new.astype({"alt": "category"}), order=np.array([0, 5]))


def test_at_most_ten_known_levels_are_listed():
    data = pd.DataFrame({"alt": [f"level{i:02d}" for i in range(13)]})
    learned = learn("alt", data)
    with pytest.raises(UnseenLevelError, match="'level08', 'level09' and 3 more"):
        learned.matrix(pd.DataFrame({"alt": ["bus"]}))


def test_numbers_in_a_column_that_was_categorical_are_unseen_levels(survey):
    learned = learn("alt", survey)
    with pytest.raises(UnseenLevelError, match=r"1 \(rows: 60\)"):
        learned.matrix(survey.assign(alt=1))


def test_text_in_a_column_that_was_numeric_is_refused(survey):
    learned = learn("cost", survey)
    with pytest.raises(FormulaError, match=r"The term cost .*was numeric when.*convert it"):
        learned.matrix(survey.assign(cost="1.0"))


def test_truth_values_may_stand_for_numbers_in_new_data():
    learned = learn("x", pd.DataFrame({"x": [0, 1, 1]}))
    new = pd.DataFrame({"x": [True, False]})
    np.testing.assert_array_equal(learned.matrix(new), [[1.0], [0.0]])


def test_the_number_of_columns_of_a_term_must_not_change(survey):
    def powers(x):
        return np.column_stack([x] * (2 if len(x) > 3 else 1))

    learned = learn("powers(cost)", survey, powers=powers)
    with pytest.raises(FormulaError, match=r"it had 2 columns when.*now has 1"):
        learned.matrix(survey.iloc[:2])


def test_a_term_may_not_have_three_dimensions(survey):
    def cube(x):
        return np.zeros((len(x), 2, 2))

    with pytest.raises(FormulaError, match="two dimensions at most, not 3"):
        learn("cube(cost)", survey, cube=cube)


def test_arguments_are_checked(survey):
    with pytest.raises(ArgumentError, match='intercept must be "absorb" or "keep", not \'no\''):
        learn("cost", survey, intercept="no")
    learned = learn("cost", survey)
    for order in (np.array([True, False]), np.zeros((2, 2), dtype=int), np.array([0.0])):
        with pytest.raises(ArgumentError, match="one-dimensional array of integer positions"):
            learned.matrix(survey, order=order)
    for out in (np.empty((60, 2)), np.empty((60, 1), dtype=np.float32)):
        with pytest.raises(ArgumentError, match=r"out must be a float64 array of shape \(60, 1\)"):
            learned.matrix(survey, out=out)


# Copies and pickles

HELPERS = """
    import patsy


    def doubled(x):
        return 2 * x


    class Largest:
        def __init__(self):
            self.value = float("-inf")

        def memorize_chunk(self, x):
            self.value = max(self.value, x.max())

        def memorize_finish(self):
            pass

        def transform(self, x):
            return x / self.value


    relative = patsy.stateful_transform(Largest)
"""


@pytest.fixture
def helpers(tmp_path, monkeypatch):
    """A module that can be imported here and in a fresh process."""
    (tmp_path / "design_helpers.py").write_text(textwrap.dedent(HELPERS))
    monkeypatch.syspath_prepend(tmp_path)
    import design_helpers

    yield design_helpers
    del sys.modules["design_helpers"]


@pytest.mark.parametrize(
    "formula",
    [
        "cost + time",
        "np.log(cost) + I(scale_of_cost * cost)",
        "center(time) + standardize(cost) + bs(time, df=4) + cr(cost, df=4)",
        "te(cr(time, df=3), cr(cost, df=3))",
        "C(alt, Treatment('sm')) + first",
        "C(alt):time + C(transfers, Poly):bs(time, df=3)",
        "design_helpers.doubled(cost)",
        "doubled(cost) + relative(time)",
    ],
)
def test_a_fresh_process_replays_the_same_bits(formula, survey, helpers, tmp_path):
    variables = {"design_helpers": helpers, "scale_of_cost": 1.5, **vars(helpers)}
    new = survey[survey["time"].between(20, 40)].iloc[::2]
    learned = learn(formula, survey.drop(index=new.index), **variables)
    expected = learned.matrix(new)
    (tmp_path / "design.pickle").write_bytes(pickle.dumps((learned, new)))
    script = """
        import pickle, sys
        import numpy as np
        sys.path.insert(0, ".")
        with open("design.pickle", "rb") as file:
            learned, new = pickle.load(file)
        assert pickle.loads(pickle.dumps(learned)).names == learned.names
        np.save("matrix.npy", learned.matrix(new))
        print(repr((learned.names, learned.columns, learned.categories, learned.formula)))
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    described = (learned.names, learned.columns, learned.categories, learned.formula)
    assert done.stdout.strip() == repr(described)
    assert np.load(tmp_path / "matrix.npy").tobytes() == expected.tobytes()


def test_a_pickle_does_not_hold_the_training_data(survey):
    data = pd.concat([survey] * 1000)
    assert len(pickle.dumps(learn("bs(time, df=4) + alt:np.log(cost)", data))) < 10_000


@pytest.mark.parametrize("kind", ["lambda", "local function"])
def test_a_function_that_cannot_be_pickled_is_named(kind, survey):
    def local(x):
        return 2 * x

    double = (lambda x: 2 * x) if kind == "lambda" else local
    learned = learn("double(cost)", survey, double=double)
    np.testing.assert_array_equal(learned.matrix(survey)[:, 0], 2 * survey["cost"])
    with pytest.raises(FormulaError) as caught:
        pickle.dumps(learned)
    message = str(caught.value)
    assert "cannot be pickled: 'double', used in the term double(cost) of the utility" in message
    assert "at the top level of a module" in message


def test_a_transform_that_cannot_be_pickled_is_named(survey):
    class Local:
        def memorize_chunk(self, x):
            pass

        def memorize_finish(self):
            pass

        def transform(self, x):
            return x

    learned = learn("unchanged(cost)", survey, unchanged=patsy.stateful_transform(Local))
    with pytest.raises(FormulaError, match="cannot be pickled: 'unchanged'"):
        pickle.dumps(learned)


def test_copies_give_the_same_matrix(survey):
    learned = learn("double(cost) + bs(time, df=4) + alt", survey, double=lambda x: 2 * x)
    for same in (copy.copy(learned), copy.deepcopy(learned), copy.deepcopy([learned])[0]):
        np.testing.assert_array_equal(same.matrix(survey), learned.matrix(survey))


def test_a_design_shows_its_formula(survey):
    assert repr(learn("cost + alt", survey)) == "<Design 'cost + alt': 3 columns>"
