"""Arguments that hold one value per individual: by their index, by position, or by a column."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from mixlogit.arrangement import codes_of
from mixlogit.choices import ChoiceData
from mixlogit.chunks import Chunks
from mixlogit.columns import Columns, require_column
from mixlogit.errors import ArgumentError, plural, show, verb
from mixlogit.people import constant_rows, own_column
from mixlogit.spelled import other_type

__all__ = [
    "Individuals",
    "TableInPieces",
    "TableOfChoices",
    "TableOfRows",
    "attached",
    "in_order_of",
]

_Labelled = TypeVar("_Labelled", pd.Series, pd.DataFrame)


class Table(Protocol):
    """The user's table, of whose columns some are asked for after the model is built."""

    @property
    def rows(self) -> pd.DataFrame | None:
        """The rows that the utility is read from, where they are at hand."""

    def own(self, name: str, what: str, data: ChoiceData) -> pd.Series:
        """Values of a column by individual, found constant within individuals."""


@dataclass(frozen=True, eq=False)
class TableOfRows:
    """A long table, with a row per situation and alternative.

    Parameters
    ----------
    rows : DataFrame
    """

    rows: pd.DataFrame

    def own(self, name: str, what: str, data: ChoiceData) -> pd.Series:
        """Values of a column by individual, (N,)."""
        require_column(self.rows, name, f"{what}=")
        return own_column(self.rows, name, f"{what} column", data.arrangement, data.entries)


@dataclass(frozen=True, eq=False)
class TableOfChoices:
    """A table of alternatives, and one of who chose what.

    Parameters
    ----------
    rows, choices : DataFrame
    individual : column name of ``choices``
    """

    rows: pd.DataFrame
    choices: pd.DataFrame
    individual: Hashable

    def own(self, name: str, what: str, data: ChoiceData) -> pd.Series:
        """Values of a column by individual, (N,)."""
        require_column(self.choices, name, f"{what}=", "the table of choices")
        codes, ids = codes_of(self.choices[self.individual], self.individual)
        own = constant_rows(self.choices, [name], codes, ids, f"{what} column")[name]
        return own.reindex(data.entries.ids)


@dataclass(frozen=True, eq=False)
class TableInPieces:
    """A long table that is read anew, piece by piece.

    Parameters
    ----------
    pieces : Chunks
    """

    pieces: Chunks

    @property
    def rows(self) -> None:
        """They are not held."""

    def own(self, name: str, what: str, data: ChoiceData) -> pd.Series:
        """Values of a column by individual, (N,); by situation without individuals."""
        parts = []
        for _, frame in self.pieces:
            require_column(frame, name, f"{what}=")
            codes, ids = codes_of(frame[self.pieces.key], self.pieces.key)
            parts.append(constant_rows(frame, [name], codes, ids, f"{what} column")[name])
        return pd.concat(parts).reindex(data.entries.ids)


def in_order_of(labels: pd.Index, given: _Labelled) -> _Labelled | None:
    """Put a Series or a frame into the order of rows, by its index.

    Parameters
    ----------
    labels : Index, shape (n_rows,)
        Of the rows.
    given : Series or DataFrame

    Returns
    -------
    Series, DataFrame or None
        The one given, if it has that index; None if its labels are others, or repeat.
    """
    index = given.index
    if index.equals(labels):
        return given
    if len(index) != len(labels) or not (index.is_unique and labels.is_unique):
        return None
    place = index.get_indexer(labels)
    return None if (place < 0).any() else given.iloc[place]


def attached(frame: pd.DataFrame, columns: Columns) -> tuple[pd.DataFrame, Columns]:
    """Put weights that are given as Series of individuals into columns of the table.

    Parameters
    ----------
    frame : DataFrame
    columns : Columns
        Of which ``weights`` and ``freq_weights`` may be a Series or a frame of one column.

    Returns
    -------
    DataFrame, Columns
        Those given, if there is nothing to do.
    """
    key = columns.situation if columns.individual is None else columns.individual
    for role in ("weights", "freq_weights"):
        given = getattr(columns, role)
        if not isinstance(given, (pd.Series, pd.DataFrame)) or key is None:
            continue
        require_column(frame, key, "individual=" if columns.individual else "situation=")
        codes, ids = codes_of(frame[key], key)

        def of_rows(
            rows: pd.DataFrame,
            name: Any,
            what: str,
            codes: np.ndarray = codes,
            ids: pd.Index = ids,
        ) -> pd.Series:
            return constant_rows(rows, [name], codes, ids, what)[name]

        people = Individuals(ids, None, frame.index, of_rows)
        own, column = people.values(given, role), f"({role})"
        frame = frame.copy(deep=False)
        frame[column] = own.to_numpy()[codes]
        columns = replace(columns, **{role: column})
    return frame, columns


@dataclass(frozen=True, eq=False)
class Individuals:
    """Those whom arguments with one value per individual are about.

    Parameters
    ----------
    ids : Index, shape (N,)
    order : str, optional
        Where a user finds them in their order, for messages, if arrays are taken.
    row_index : Index, shape (n_rows,), optional
        Labels of the rows of the user's table.
    of_rows : callable, optional
        Takes a frame with as many rows and the name of a column to its values by individual, (N,),
        once they are found constant within individuals.
    column : callable, optional
        The same for the name of a column of the user's own table.
    """

    ids: pd.Index
    order: str | None = None
    row_index: pd.Index | None = None
    of_rows: Callable[[pd.DataFrame, Any, str], pd.Series] | None = None
    column: Callable[[str, str], pd.Series] | None = None

    def values(self, given: Any, what: str) -> pd.Series:
        """Read an argument that holds one value per individual.

        Parameters
        ----------
        given : Series, DataFrame, array_like or str
            A Series or a frame of one column is matched by its index: that of the individuals, in
            any order and with others among them, or that of the rows of the table, in any order.
            An array or a list is in the order of the individuals. A string names a column of the
            table.
        what : str
            The argument, for messages.

        Returns
        -------
        Series, shape (N,)
            By individual, with the name that a Series or a column has.

        Raises
        ------
        ArgumentError
            Individuals are not in the index, the length is another, a value varies within an
            individual, or there is no table.
        """
        own = self._read(given, what)
        gaps = np.flatnonzero(own.isna())
        if len(gaps):
            raise ArgumentError(
                f"{what} is missing for {len(gaps):,} of {plural(len(own), 'individual')}; the "
                f"first is {show(self.ids[gaps[0]])}. Give every individual a value."
            )
        return own

    def _read(self, given: Any, what: str) -> pd.Series:
        if isinstance(given, str):
            return self._of_column(given, what)
        if isinstance(given, pd.DataFrame):
            if given.shape[1] != 1:
                raise ArgumentError(
                    f"{what} must hold one value per individual, and this table has "
                    f"{plural(given.shape[1], 'column')}. Pass the one that is meant."
                )
            given = given.iloc[:, 0]
        if isinstance(given, pd.Series):
            return self._by_index(given, what).rename(given.name)
        return self._by_position(given, what)

    def _of_column(self, name: str, what: str) -> pd.Series:
        if self.column is None:
            raise ArgumentError(
                f"{what}={name!r} names a column, but the model has no table: it was built from "
                "arrays or read from a file. Pass a Series with the ids of individuals in its "
                f"index, or an array in the order of {self.order}."
            )
        return self.column(name, what)

    def _by_index(self, given: pd.Series, what: str) -> pd.Series:
        """Match a Series by its index."""
        index = given.index
        if index.equals(self.ids):
            return given
        rows = None if self.row_index is None else in_order_of(self.row_index, given)
        if rows is not None and self.of_rows is not None and len(index) != len(self.ids):
            return self.of_rows(rows.to_frame(what), what, what)
        try:
            if not index.is_unique:
                codes, known = codes_of(index.to_flat_index(), what)
                given = constant_rows(given.to_frame(what), [what], codes, known, what)[what]
                index = given.index
            place = index.get_indexer(self.ids)
        except (TypeError, pd.errors.InvalidIndexError) as error:
            raise ArgumentError(
                f"The index of {what} cannot be compared with the ids of individuals ({error})."
                f"{self._remedy(what)}"
            ) from error
        without = np.flatnonzero(place < 0)
        if len(without):
            raise ArgumentError(
                f"{what} is matched with individuals by its index, and {len(without):,} of "
                f"{plural(len(self.ids), 'individual')} {verb(len(without), 'is', 'are')} not in "
                f"it; the first is {show(self.ids[without[0]])}."
                f"{_index_in_words(self.ids[without[0]], index)}{self._remedy(what)}"
            )
        return given.iloc[place].set_axis(self.ids)

    def _remedy(self, what: str) -> str:
        """What to do about an index that does not hold the individuals, as a sentence."""
        how = " Give it the ids of individuals as the index, for example with set_index"
        if self.order is None:
            return f"{how}, or the index of the rows."
        return f"{how}; or pass {what}.to_numpy() if its order is that of {self.order}."

    def _by_position(self, given: Any, what: str) -> pd.Series:
        """Take values in the order of the individuals."""
        try:
            if isinstance(given, Iterator):
                raise TypeError("it can be read only once")
            values = pd.Series(given).reset_index(drop=True)
        except (TypeError, ValueError) as error:
            raise ArgumentError(
                f"{what} must hold one value per individual, and this {type(given).__name__} does "
                f"not: {error}. Give a list of numbers or strings, in the order of {self.order}, "
                "or a Series with the ids of individuals in its index."
            ) from error
        if len(values) != len(self.ids):
            raise ArgumentError(
                f"{what} has {plural(len(values), 'value')}, but there are "
                f"{plural(len(self.ids), 'individual')}. Give one per individual, in the order of "
                f"{self.order}, or a Series with the ids of individuals in its index."
            )
        return values.set_axis(self.ids)


def _index_in_words(wanted: object, index: pd.Index) -> str:
    """What is in an index in which an id was not found."""
    if not len(index):
        return " It is empty."
    return other_type(wanted, index[0]) or f" Its index begins with {show(index[0])}."
