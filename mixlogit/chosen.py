"""The choice column: 0 and 1 where there are choice situations, counts where they are asked for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd

from mixlogit.arguments import require_one_of
from mixlogit.arrangement import Arrangement, row_label
from mixlogit.columns import LARGEST_COUNT, Columns, as_numbers
from mixlogit.errors import DataError, plural, show, verb

__all__ = [
    "CHOICE_RULES",
    "ChoiceColumn",
    "chosen_numbers",
    "count_notes",
    "read_counts",
    "refuse_other_types",
    "refuse_unavailable_choices",
]

CHOICE_RULES = ("auto", "one", "counts")


@dataclass(frozen=True)
class ChoiceColumn:
    """What the choice column is called, and what it is to hold.

    Parameters
    ----------
    name : str
        Left side of the formula.
    rule : {"auto", "one", "counts"}
        "one": exactly one chosen row per situation. "counts": any counts, at least one choice per
        situation. "auto": "one" where a column of situations is named, and counts where all rows
        are one choice set.
    situation, alternative : column name or None
        Columns of ids, where there are any.

    Raises
    ------
    ArgumentError
        The rule is unknown.
    """

    name: str
    rule: str
    situation: Hashable | None = None
    alternative: Hashable | None = None

    def __post_init__(self) -> None:
        require_one_of("choices", self.rule, CHOICE_RULES)

    @classmethod
    def of(cls, name: str, rule: str, columns: Columns) -> ChoiceColumn:
        """The choice column of a table with these columns."""
        return cls(name, rule, columns.situation, columns.alternative)

    @property
    def is_counted(self) -> bool:
        """Whether numbers above 1 are counts."""
        return self.rule == "counts" or (self.rule == "auto" and self.situation is None)

    @property
    def hint(self) -> str:
        """What to do if the numbers are counts, unless the user has said that they are not."""
        return "" if self.rule == "one" else " If they are counts, pass choices='counts'."

    @property
    def comparison(self) -> str:
        """What to write if the column names the alternative that was chosen."""
        if self.alternative is None:
            return f"'{self.name} == alternative', with your column of alternatives,"
        return f"'{self.name} == {self.alternative}'"


def chosen_numbers(values: Any, name: str) -> np.ndarray:
    """Read the choice column as floats, in the user's order.

    Parameters
    ----------
    values : array_like, shape (n_rows,)
    name : column name

    Returns
    -------
    ndarray of float, shape (n_rows,)

    Raises
    ------
    DataError
        A value is not a number.
    """
    return as_numbers(
        values,
        f"the choice column {name!r}",
        "It must be 0/1, true/false or counts. If it names the chosen alternative, write "
        f"'{name} == alternative' on the left of the formula, with your column of alternatives.",
    )


def refuse_unavailable_choices(
    chosen: Any, available: np.ndarray, column: ChoiceColumn, availability: Hashable
) -> None:
    """Raise when a row that is not available was chosen.

    Where the column is not coded 0 and 1 although it should be, nothing is known of that; what is
    wrong is said by `read_counts`.

    Parameters
    ----------
    chosen : array_like, shape (n_rows,)
        The choice column.
    available : ndarray of bool, shape (n_rows,)
    column : ChoiceColumn
    availability : column name

    Raises
    ------
    DataError
    """
    unavailable = np.flatnonzero(~available)
    if len(unavailable) == 0:
        return
    numbers = chosen_numbers(chosen, column.name)
    if not column.is_counted and (numbers[available] > 1).any():
        return
    wrong = unavailable[numbers[unavailable] > 0]
    if len(wrong):
        raise DataError(
            f"{plural(len(wrong), 'chosen row')} {verb(len(wrong), 'is', 'are')} marked as "
            f"unavailable in column {availability!r}; the first is {row_label(wrong[0])}. Correct "
            "the availability or the choice, or drop those situations."
        )


def read_counts(values: Any, arrangement: Arrangement, column: ChoiceColumn) -> np.ndarray:
    """Read the choice column: chosen or not, or how often.

    Parameters
    ----------
    values : array_like, shape (n_rows,)
        The user's column, in the user's order.
    arrangement : Arrangement
    column : ChoiceColumn

    Returns
    -------
    counts : ndarray of float, shape (R,), sorted rows

    Raises
    ------
    DataError
        A value is no count, or neither 0 nor 1 where there are situations; or a situation does
        not have the choices that it must have.
    """
    name = column.name
    counts = arrangement.arranged(chosen_numbers(values, name))
    missing = ("is missing or not finite", "are missing or not finite")
    _refuse_rows(~np.isfinite(counts), arrangement, name, missing)
    if not column.is_counted:
        _refuse_other_codes(counts, arrangement, column)
    _refuse_rows(counts < 0, arrangement, name, ("is negative", "are negative"))
    _refuse_rows(
        counts != np.floor(counts),
        arrangement,
        name,
        ("is not a whole number", "are not whole numbers"),
        "Give counts; for shares, multiply by the number of choices behind them.",
    )
    _refuse_rows(
        counts > LARGEST_COUNT,
        arrangement,
        name,
        ("is too large to be counted exactly", "are too large to be counted exactly"),
        f"Give counts of at most {LARGEST_COUNT:g}.",
    )
    if not column.is_counted:
        _refuse_rows(
            counts > 1,
            arrangement,
            name,
            ("is neither 0 nor 1", "are neither 0 nor 1"),
            "Choices are 1 on the chosen row of each situation and 0 on the others." + column.hint,
        )
    _refuse_totals(counts, arrangement, column)
    return counts


def refuse_other_types(choice: str, read: Mapping[str, pd.Series], value: Any) -> None:
    """Raise for a comparison of text with numbers, which nothing is equal in.

    Parameters
    ----------
    choice : str
        Left side of the formula, an expression.
    read : mapping of str to Series
        The columns that it reads.
    value : array_like
        What it gives.

    Raises
    ------
    DataError
    """
    if "==" not in choice or np.any(pd.Series(value, copy=False).fillna(False)):
        return
    first = {name: column.dropna().iloc[0] for name, column in read.items() if column.notna().any()}
    texts = [name for name, one in first.items() if isinstance(one, str)]
    others = [name for name, one in first.items() if isinstance(one, (Number, np.generic))]
    if texts and others:
        raise DataError(
            f"The left side {choice!r} of the formula is true in no row, and compares text with "
            f"numbers: column {texts[0]!r} holds {show(first[texts[0]])}, and column "
            f"{others[0]!r} holds {show(first[others[0]])}. Give both one type, for example with "
            ".astype(str)."
        )


def count_notes(name: str, n_choices: float, n_units: int, unit: str) -> tuple[str, ...]:
    """Say that choices are counts, if some unit has several.

    Parameters
    ----------
    name : str
        Of the column.
    n_choices : float
    n_units : int
    unit : str
        What has choices, in the singular.

    Returns
    -------
    tuple of str
    """
    if n_choices == n_units:
        return ()
    return (
        f"Choices are counts ({name}): {plural(round(n_choices), 'choice')} in "
        f"{plural(n_units, unit)}.",
    )


def _refuse_totals(counts: np.ndarray, arrangement: Arrangement, column: ChoiceColumn) -> None:
    """Raise when situations do not have one choice, or any where choices are counted."""
    totals = np.add.reduceat(counts, arrangement.situation_start[:-1])
    n_rows = plural(arrangement.n_rows, "row")
    if column.rule == "auto" and column.is_counted and totals[0] > 1 and (counts <= 1).all():
        raise DataError(
            f"There is no situation column, so the {n_rows} are one choice set, but column "
            f"{column.name!r} holds only 0 and 1, {int(totals[0]):,} of them 1. "
            "Pass situation= if the rows are several choice sets, or choices='counts' if they "
            "are one table with counts."
        )
    wrong = np.flatnonzero(totals == 0 if column.is_counted else totals != 1)
    if len(wrong) == 0:
        return
    s = int(wrong[0])
    what = "any choice" if column.is_counted else "exactly one chosen row"
    several = column.rule == "auto" and bool((totals > 1).any())
    hint = " If several choices in a situation are meant, pass choices='counts'."
    raise DataError(
        f"{len(wrong):,} of {plural(arrangement.n_situations, 'choice situation')} "
        f"{verb(len(wrong), 'does', 'do')} not have {what}; the first is situation "
        f"{arrangement.situation_label(s)}, with {int(totals[s])}. Check the choice column "
        f"{column.name!r}, or drop those situations." + (hint if several else "")
    )


def _refuse_other_codes(counts: np.ndarray, arrangement: Arrangement, column: ChoiceColumn) -> None:
    """Raise for what often stands in the place of 0 and 1, with the remedy that fits."""
    begin, sizes = arrangement.situation_start[:-1], arrangement.sizes
    has_choice = sizes > 1
    first = counts[begin]
    is_same = counts == np.repeat(first, sizes)
    if is_same.all() and first[has_choice].any():
        _refuse_repeated(first, has_choice, arrangement, column)
    low, high = counts.min(), counts.max()
    is_pair = low < high and ((counts == low) | (counts == high)).all()
    if (low, high) == (0, 1) or not is_pair or not has_choice.any():
        return
    n_choosing = int(has_choice.sum())
    for code in (high, low):
        if (np.add.reduceat(counts == code, begin, dtype=np.intp)[has_choice] == 1).all():
            raise DataError(
                f"Column {column.name!r} is coded {low:g} and {high:g}, with one "
                f"{code:g} in each of {plural(n_choosing, 'choice situation')}; the first is "
                f"situation {arrangement.situation_label(int(np.argmax(has_choice)))}. Choices "
                "are 1 (or true) on the chosen row and 0 on the others: if "
                f"{code:g} means chosen, give '{column.name} == {code:g}' in the place of "
                f"{column.name!r}.{column.hint}"
            )


def _refuse_repeated(
    first: np.ndarray, has_choice: np.ndarray, arrangement: Arrangement, column: ChoiceColumn
) -> None:
    """Raise for a column with one value (S,) on all rows of each situation."""
    n = plural(int(has_choice.sum()), "choice situation")
    s = int(np.argmax(has_choice & (first != 0)))
    where = f"the first is situation {arrangement.situation_label(s)}"
    if np.isin(first[has_choice], (0, 1)).all():
        n_chosen = plural(int((first[has_choice] == 1).sum()), "choice situation")
        raise DataError(
            f"Column {column.name!r} is 1 on every row of {n_chosen}, and so does not say "
            f"which row was chosen; {where}. Give a column that is 1 (or true) on the chosen row "
            "and 0 on the others; where another column names the chosen alternative, compare it "
            f"with the column of alternatives, as in 'chosen == {column.alternative or 'alt'}'."
            f"{column.hint}"
        )
    raise DataError(
        f"Column {column.name!r} holds one number on all rows of a situation, in each of {n}, as "
        f"where it names the alternative that was chosen; {where}, with {first[s]:g}. Choices are "
        f"1 (or true) on the chosen row and 0 on the others: give {column.comparison} in the place "
        f"of {column.name!r}.{column.hint}"
    )


def _refuse_rows(
    bad: np.ndarray,
    arrangement: Arrangement,
    name: str,
    what: tuple[str, str],
    remedy: str = "Correct them, or drop those situations.",
) -> None:
    """Raise for values of the choice column that are no counts."""
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    raise DataError(
        f"{plural(int(bad.sum()), 'value')} of the choice column {name!r} "
        f"{verb(int(bad.sum()), *what)}; the first is in situation "
        f"{arrangement.situation_of(row)}, {arrangement.alternative_of(row)}. {remedy}"
    )
