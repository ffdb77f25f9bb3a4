"""Who faces each situation, and what a table or an argument says of each of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixlogit.arrangement import Arrangement, first_rows
from mixlogit.entries import Entries
from mixlogit.errors import show

__all__ = ["People", "constant_rows", "own_column"]


@dataclass(frozen=True, eq=False)
class People:
    """Who faces each situation: individuals where there are any, situations where not.

    Parameters
    ----------
    arrangement : Arrangement
    ids : Index, shape (P,)
    of_situation : ndarray of int, shape (S,)
        Person of each situation.
    of_entry : ndarray of int, shape (N,)
        Person of each distinct individual of the likelihood.
    """

    arrangement: Arrangement
    ids: pd.Index
    of_situation: np.ndarray
    of_entry: np.ndarray

    @classmethod
    def of(cls, arrangement: Arrangement, entries: Entries | None) -> People:
        """Read them off an arrangement."""
        owner, ids = arrangement.situation_owner, arrangement.individual_ids
        if owner is not None and ids is not None:
            return cls(arrangement, ids, owner, np.arange(len(ids)))
        situations = np.arange(arrangement.n_situations)
        of_entry = situations
        if entries is not None:
            begin = arrangement.situation_start
            of_entry = np.searchsorted(begin, entries.row, side="right") - 1
        return cls(arrangement, arrangement.situation_ids, situations, of_entry)

    def place(self, i: int) -> str:
        """Name a person by its number."""
        return f"of individual {show(self.ids[i])}"

    def frame(
        self, frame: pd.DataFrame, names: Iterable[Hashable], what: str = "membership covariate"
    ) -> pd.DataFrame:
        """One row per person of columns that must not vary within persons."""
        person = np.repeat(self.of_situation, self.arrangement.sizes)
        return constant_rows(frame, names, person, self.ids, what, self.arrangement.permutation)


def constant_rows(
    frame: pd.DataFrame,
    names: Iterable[Hashable],
    person: np.ndarray,
    ids: pd.Index,
    what: str = "membership covariate",
    order: np.ndarray | None = None,
) -> pd.DataFrame:
    """First row of each person, once the columns are found constant within persons.

    Parameters
    ----------
    frame : DataFrame, n rows
    names : iterable of column names
    person : ndarray of int, shape (n,)
        Person of each row, 0 to P − 1, every one present.
    ids : Index, shape (P,)
    what : str
        What the columns are used for, for messages.
    order : ndarray of int, shape (n,), optional
        Positions in the frame of the rows that ``person`` goes with.

    Returns
    -------
    DataFrame, P rows
        With ``ids`` as the index.

    Raises
    ------
    DataError
        A column varies within a person.
    """
    own = {}
    for name in names:
        column = frame[name] if order is None else frame[name].iloc[order]
        own[name] = column.iloc[first_rows(column, person, ids, name, what)].array
    return pd.DataFrame(own, index=ids)


def own_column(
    frame: pd.DataFrame, name: Hashable, what: str, arrangement: Arrangement, entries: Entries
) -> pd.Series:
    """Values of a column by distinct individual, (N,).

    Without ids of individuals every choice is by an individual of its own, whose value stands in
    the row that it chose.

    Parameters
    ----------
    frame : DataFrame
        The user's table.
    name : column name
    what : str
        What the column is used for, for messages.
    arrangement : Arrangement
    entries : Entries

    Returns
    -------
    Series
        By `entries.ids`.
    """
    if arrangement.situation_owner is None:
        own = frame[name].iloc[arrangement.places(entries.row)]
        return own.set_axis(entries.ids)
    return People.of(arrangement, entries).frame(frame, [name], what)[name]
