"""How the user's rows are put into choice sets: ids, order, and where each situation begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixlogit.errors import ArgumentError, DataError, plural, show

__all__ = ["Arrangement", "arrange", "codes_of"]


def codes_of(values: Any, name: str) -> tuple[np.ndarray, pd.Index]:
    """Number ids of any hashable type in their sorted order.

    Ids that do not compare with each other (integers among strings) are ordered by the name of
    their type and their text, so that the order never depends on the order of the rows.

    Returns
    -------
    codes : ndarray of int, shape (n,)
    uniques : Index, sorted
    """
    try:
        codes, uniques = pd.factorize(pd.Series(values).reset_index(drop=True))
    except TypeError as error:
        raise DataError(
            f"column {name!r} holds values that cannot be ids ({error}). Use numbers, strings, "
            "dates or tuples."
        ) from error
    if (codes < 0).any():
        missing = np.flatnonzero(codes < 0)
        raise DataError(
            f"{plural(len(missing), 'value')} of the id column {name!r} "
            f"{'is' if len(missing) == 1 else 'are'} missing; the first is in row {missing[0]}. "
            "Fill in the ids, or drop those rows."
        )
    uniques = pd.Index(uniques)
    try:
        order = np.argsort(uniques.to_numpy(), kind="stable")
    except TypeError:
        keys = [(type(value).__name__, str(value)) for value in uniques]
        order = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return rank[codes], uniques[order]


@dataclass(frozen=True, eq=False)
class Arrangement:
    """How the user's rows are put into choice sets.

    Parameters
    ----------
    order : ndarray of int, shape (R,)
        Position in the user's table of each sorted row.
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

    order: np.ndarray
    situation_start: np.ndarray
    situation_ids: pd.Index
    situation_owner: np.ndarray | None = None
    individual_ids: pd.Index | None = None
    alternative_codes: np.ndarray | None = None
    alternative_ids: pd.Index | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows, R."""
        return len(self.order)

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
        owner = self.individual_ids[self.situation_owner[s]]
        return label if owner == self.situation_ids[s] else f"{label} of individual {show(owner)}"

    def alternative_of(self, row: int) -> str:
        """Name the alternative of a sorted row; its place in the table without alternatives."""
        if self.alternative_codes is None or self.alternative_ids is None:
            return f"row {self.order[row]}"
        return show(self.alternative_ids[self.alternative_codes[row]])


def arrange(
    n_rows: int,
    situation: Any = None,
    individual: Any = None,
    alternative: Any = None,
    *,
    keep: np.ndarray | None = None,
    names: tuple[str, str, str] = ("situation", "individual", "alternative"),
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
        Rows that are available; all by default.
    names : tuple of str
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
    kept = np.arange(n_rows) if keep is None else np.flatnonzero(keep)
    keys: list[np.ndarray] = []
    alternative_codes = alternative_ids = owner = individual_ids = None
    if alternative is not None:
        codes, alternative_ids = codes_of(alternative, names[2])
        alternative_codes = codes[kept]
        keys.append(alternative_codes)
    if situation is None:
        situation_codes = np.zeros(len(kept), dtype=np.intp)
        all_situations = pd.Index(["all"])
    else:
        codes, all_situations = codes_of(situation, names[0])
        situation_codes = codes[kept]
        keys.append(situation_codes)
    individual_codes = None
    if individual is not None:
        codes, individual_ids = codes_of(individual, names[1])
        individual_codes = codes[kept]
        keys.append(individual_codes)
    if keys and not _is_sorted(keys):
        by = np.lexsort(keys)
        kept = kept[by]
        situation_codes = situation_codes[by]
        if individual_codes is not None:
            individual_codes = individual_codes[by]
        if alternative_codes is not None:
            alternative_codes = alternative_codes[by]
    new = np.ones(len(kept), dtype=bool)
    new[1:] = situation_codes[1:] != situation_codes[:-1]
    if individual_codes is not None:
        new[1:] |= individual_codes[1:] != individual_codes[:-1]
    first = np.flatnonzero(new)
    if individual_codes is not None and individual_ids is not None:
        present, owner = np.unique(individual_codes[first], return_inverse=True)
        individual_ids = individual_ids[present]
    arrangement = Arrangement(
        order=kept,
        situation_start=np.append(first, len(kept)),
        situation_ids=all_situations[situation_codes[first]],
        situation_owner=owner,
        individual_ids=individual_ids,
        alternative_codes=alternative_codes,
        alternative_ids=alternative_ids,
    )
    if alternative_codes is not None:
        _refuse_duplicates(arrangement, ~new, names[2])
    return arrangement


def _is_sorted(keys: Sequence[np.ndarray]) -> bool:
    """Whether rows already stand in the order of their keys (last key first)."""
    undecided = np.ones(len(keys[0]) - 1, dtype=bool)
    for key in reversed(keys):
        step = np.diff(key)
        if (step[undecided] < 0).any():
            return False
        undecided &= step == 0
    return True


def _refuse_duplicates(arrangement: Arrangement, continues: np.ndarray, name: str) -> None:
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
        f"{len(situations):,} of {plural(arrangement.n_situations, 'choice situation')} list an "
        f"alternative more than once in column {name!r}; the first is situation "
        f"{arrangement.situation_of(twice[0])}, alternative "
        f"{arrangement.alternative_of(twice[0])}. {hint}"
    )
