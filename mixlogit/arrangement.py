"""How the user's rows are put into choice sets: ids, order, and where each situation begins."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixlogit.errors import ArgumentError, DataError, plural, show, verb

__all__ = ["Arrangement", "arrange", "codes_of", "first_rows", "row_label", "small_int"]


def row_label(row: int) -> str:
    """Name a row of the user's table by its place."""
    return f"row {row} (counted from 0)"


def codes_of(
    values: Any, name: Hashable, rows: np.ndarray | None = None
) -> tuple[np.ndarray, pd.Index]:
    """Number ids of any hashable type in their sorted order.

    Ids that do not compare with each other (integers among strings) are ordered by the name of
    their type and their text, so that the order never depends on the order of the rows.

    Parameters
    ----------
    values : array_like of hashable, shape (n_rows,)
    name : column name
        For messages.
    rows : ndarray of int, shape (n,), optional
        Positions of the rows whose ids count; all by default.

    Returns
    -------
    codes : ndarray of int, shape (n,)
    uniques : Index, sorted

    Raises
    ------
    DataError
        An id is missing or not hashable.
    """
    column = pd.Series(values, copy=False)
    if rows is not None:
        column = column.iloc[rows]
    if column.dtype.kind in "iu" and isinstance(column.dtype, np.dtype):
        numbers = column.to_numpy()
        if (numbers[1:] >= numbers[:-1]).all():
            return _codes_of_sorted(numbers)
    try:
        codes, found = column.factorize()
    except TypeError as error:
        raise DataError(
            f"Column {name!r} holds values that cannot be ids ({error}). Use numbers, strings, "
            "dates or tuples."
        ) from error
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        first = missing[0] if rows is None else rows[missing[0]]
        raise DataError(
            f"{plural(len(missing), 'value')} of the id column {name!r} "
            f"{verb(len(missing), 'is', 'are')} missing; the first is in {row_label(first)}. "
            "Fill in the ids, or drop those rows."
        )
    labels = found.to_numpy()
    try:
        order = np.argsort(labels, kind="stable")
    except TypeError:
        keys = [(type(value).__name__, str(value)) for value in labels]
        order = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)
    uniques = pd.Index(labels, tupleize_cols=False)  # tuples are ids, not levels
    if (order[1:] > order[:-1]).all():
        return codes, uniques
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return rank[codes], uniques[order]


def _codes_of_sorted(numbers: np.ndarray) -> tuple[np.ndarray, pd.Index]:
    """Number ids that already stand in their order."""
    is_new = numbers[1:] != numbers[:-1]
    codes = np.zeros(len(numbers), dtype=np.intp)
    np.cumsum(is_new, out=codes[1:])
    return codes, pd.Index(numbers[np.append(0, np.flatnonzero(is_new) + 1)])


def small_int(largest: int) -> np.dtype:
    """Choose the shortest type of integers that holds −1 and a number.

    Parameters
    ----------
    largest : int

    Returns
    -------
    dtype
    """
    return np.min_scalar_type(-largest - 1)


def first_rows(
    values: Any, codes: np.ndarray, ids: pd.Index, name: Hashable, what: str
) -> np.ndarray:
    """Position of the first row of each individual, once a column is constant within them.

    Parameters
    ----------
    values : array_like of hashable, shape (n,)
        The column, one value per row.
    codes : ndarray of int, shape (n,)
        Individual of each row, 0 to N − 1, every one present.
    ids : Index, shape (N,)
    name : column name
    what : str
        What the column is used for, for messages.

    Returns
    -------
    ndarray of int, shape (N,)

    Raises
    ------
    DataError
        The column varies within an individual, or is missing in part of its rows.
    """
    first = np.empty(len(ids), dtype=np.intp)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # what is written last, stays
    try:
        level = pd.factorize(pd.Series(values, copy=False))[0]
    except TypeError as error:
        raise DataError(
            f"The {what} {name!r} holds values that cannot be compared ({error}). Use numbers, "
            "strings or dates."
        ) from error
    differs = np.flatnonzero(level != level[first[codes]])
    if len(differs) == 0:
        return first
    n_persons, row = len(np.unique(codes[differs])), differs[0]
    is_gap = level[row] < 0 or level[first[codes[row]]] < 0
    raise DataError(
        f"The {what} {name!r} varies within {n_persons:,} of {plural(len(ids), 'individual')}; "
        f"the first is individual {show(ids[codes[row]])}"
        + (", where it is missing in part of the rows. " if is_gap else ". ")
        + "It must be constant within an individual: "
        + ("fill it in." if is_gap else "average it, or use it in the utility formula.")
    )


@dataclass(frozen=True, eq=False)
class Arrangement:
    """How the user's rows are put into choice sets.

    Parameters
    ----------
    permutation : ndarray of int, shape (R,), or None
        Position in the user's table of each sorted row; None where the rows stand there as they
        are, one after another from the first.
    situation_start : ndarray of int, shape (S + 1,)
        Situation s owns the sorted rows ``situation_start[s] : situation_start[s + 1]``.
    situation_ids : Index, shape (S,)
        The user's ids, in the sorted order; of the situations within individuals when both are
        given.
    situation_owner : ndarray of int, shape (S,), or None
        Code of the individual each situation belongs to; None without individuals.
    individual_ids : Index or None
    alternative_codes : ndarray of int, shape (R,), or None
    alternative_ids : Index or None
    """

    permutation: np.ndarray | None
    situation_start: np.ndarray
    situation_ids: pd.Index
    situation_owner: np.ndarray | None = None
    individual_ids: pd.Index | None = None
    alternative_codes: np.ndarray | None = None
    alternative_ids: pd.Index | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows, R."""
        return int(self.situation_start[-1])

    @property
    def order(self) -> np.ndarray:
        """Position in the user's table of each sorted row, (R,)."""
        return np.arange(self.n_rows) if self.permutation is None else self.permutation

    def arranged(self, values: np.ndarray) -> np.ndarray:
        """Put values of the user's rows into the order of the sorted rows, (R,)."""
        return values if self.permutation is None else values[self.permutation]

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Position in the user's table of some sorted rows."""
        return rows if self.permutation is None else self.permutation[rows]

    @property
    def n_situations(self) -> int:
        """Number of situations, S."""
        return len(self.situation_start) - 1

    @property
    def sizes(self) -> np.ndarray:
        """Rows of each situation, (S,)."""
        return np.diff(self.situation_start)

    def situation_of(self, row: int) -> str:
        """Name the situation of a sorted row."""
        s = int(np.searchsorted(self.situation_start, row, side="right")) - 1
        return self.situation_label(s)

    def situation_label(self, s: int) -> str:
        """Name a situation, with its individual where it has one."""
        label = show(self.situation_ids[s])
        if self.situation_owner is None or self.individual_ids is None:
            return label
        owner = show(self.individual_ids[self.situation_owner[s]])
        return label if owner == label else f"{label} of individual {owner}"

    def alternative_of(self, row: int) -> str:
        """Name the alternative of a sorted row; its place in the table without alternatives."""
        if self.alternative_codes is None or self.alternative_ids is None:
            return row_label(int(self.places(np.array(row))))
        return f"alternative {show(self.alternative_ids[self.alternative_codes[row]])}"


def arrange(
    n_rows: int,
    situation: Any = None,
    individual: Any = None,
    alternative: Any = None,
    *,
    keep: np.ndarray | None = None,
    names: tuple[Hashable, Hashable, Hashable] = ("situation", "individual", "alternative"),
) -> Arrangement:
    """Sort rows by individual, situation and alternative, in one pass.

    Parameters
    ----------
    n_rows : int
        Rows of the user's table.
    situation, individual, alternative : array_like of hashable, shape (n_rows,), or None
        Ids. Without situations all rows are one choice set. A situation id may be used again
        by another individual.
    keep : ndarray of bool, shape (n_rows,), optional
        Rows that are available; all by default. The ids of others are not looked at.
    names : tuple of column names
        The user's names of the three columns, for messages.

    Raises
    ------
    DataError
        No rows; a missing or unusable id; an alternative twice in a situation.
    ArgumentError
        Individuals without situations.
    """
    if n_rows == 0:
        raise DataError("The table has no rows. Pass at least one choice situation.")
    if individual is not None and situation is None:
        raise ArgumentError(
            f"individual={names[1]!r} was given without situation=. Name the column that says "
            "which rows form one choice set (the same column, if every individual chose once)."
        )
    rows = None if keep is None or keep.all() else np.flatnonzero(keep)
    n_kept = n_rows if rows is None else len(rows)
    if n_kept == 0:
        raise DataError(
            f"None of the {plural(n_rows, 'row')} is available, so there is no choice set. Check "
            "the availability column."
        )
    coded = [
        None if values is None else codes_of(values, name, rows)
        for values, name in zip((situation, individual, alternative), names, strict=True)
    ]
    sort_by = [codes[0] for codes in (coded[2], coded[0], coded[1]) if codes is not None]
    order = rows
    if sort_by and not _is_sorted(sort_by):
        by = np.lexsort(sort_by)
        order = by if rows is None else rows[by]
        coded = [None if one is None else (one[0][by], one[1]) for one in coded]
    del sort_by
    situations, individuals, alternatives = coded
    begins = np.zeros(n_kept, dtype=bool)
    begins[0] = True
    for one in (situations, individuals):
        if one is not None:
            begins[1:] |= one[0][1:] != one[0][:-1]
    first = np.flatnonzero(begins)
    wide = np.int32 if n_rows < 1 << 31 else np.int64
    arrangement = Arrangement(
        permutation=None if order is None else order.astype(wide),
        situation_start=np.append(first, n_kept),
        situation_ids=(
            pd.Index(["all"]) if situations is None else situations[1][situations[0][first]]
        ),
        situation_owner=None if individuals is None else individuals[0][first],
        individual_ids=None if individuals is None else individuals[1],
        alternative_codes=(
            None
            if alternatives is None
            else alternatives[0].astype(small_int(len(alternatives[1])))
        ),
        alternative_ids=None if alternatives is None else alternatives[1],
    )
    if alternatives is not None:
        _refuse_duplicates(arrangement, ~begins, names[2])
    return arrangement


def _is_sorted(keys: Sequence[np.ndarray]) -> bool:
    """Whether rows already stand in the order of their keys (last key first)."""
    undecided = np.ones(len(keys[0]) - 1, dtype=bool)
    for key in reversed(keys):
        if (undecided & (key[1:] < key[:-1])).any():
            return False
        undecided &= key[1:] == key[:-1]
    return True


def _refuse_duplicates(arrangement: Arrangement, continues: np.ndarray, name: Hashable) -> None:
    """Raise when an alternative stands twice in one situation."""
    codes = arrangement.alternative_codes
    assert codes is not None
    twice = np.flatnonzero(continues[1:] & (codes[1:] == codes[:-1])) + 1
    if len(twice) == 0:
        return
    situations = np.unique(np.searchsorted(arrangement.situation_start, twice, side="right"))
    hint = (
        "Check the id columns, or pass situation= if the rows are several choice sets."
        if arrangement.n_situations == 1
        else "Check the id columns, or drop the repeated rows."
    )
    raise DataError(
        f"{len(situations):,} of {plural(arrangement.n_situations, 'choice situation')} "
        f"{verb(len(situations), 'lists', 'list')} an alternative more than once in column "
        f"{name!r}; the first is situation {arrangement.situation_of(twice[0])}, "
        f"{arrangement.alternative_of(twice[0])}. {hint}"
    )
