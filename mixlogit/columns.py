"""Columns of the user's table: their names, and what they must hold."""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd

from mixlogit.arrangement import row_label
from mixlogit.errors import (
    ArgumentError,
    ColumnError,
    DataError,
    close_matches,
    did_you_mean,
    listed,
    plural,
    show,
    verb,
)
from mixlogit.spelled import how_it_is_written

__all__ = [
    "LARGEST_COUNT",
    "Columns",
    "as_frame",
    "as_numbers",
    "is_plain",
    "is_whole",
    "native",
    "other_separator",
    "read_amounts",
    "read_availability",
    "read_frequencies",
    "read_weights",
    "require_column",
    "require_read_columns",
    "unknown_column",
]

LARGEST_COUNT = 2.0**53  # beyond it floats skip whole numbers
_FARTHEST = 1e100  # weights from one over this to this: their sums and products are finite

# -- their names ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table that are not attributes.

    Parameters
    ----------
    situation, individual, alternative : column name or None
        Ids. A name is any label that pandas takes, mostly a string.
    weights : column name or None
        Sampling weights, constant within individuals.
    availability : column name or None
        0/1 column; rows with 0 are left out of their choice set.
    freq_weights : column name or None
        How many identical individuals each one stands for, constant within individuals.
    offset : column name or None
        What is added to the utility of each row, in all classes.
    """

    situation: Hashable | None = None
    individual: Hashable | None = None
    alternative: Hashable | None = None
    weights: Hashable | None = None
    availability: Hashable | None = None
    freq_weights: Hashable | None = None
    offset: Hashable | None = None

    def check(self, frame: pd.DataFrame) -> None:
        """Raise for the first column that the table lacks."""
        for role, name in vars(self).items():
            if name is not None:
                require_column(frame, name, f"{role}=")

    def ids(self, frame: pd.DataFrame) -> dict[str, Any]:
        """Arguments of `arrange`."""
        ids = {role: getattr(self, role) for role in ("situation", "individual", "alternative")}
        found = {role: None if name is None else frame[name] for role, name in ids.items()}
        names = tuple(role if name is None else name for role, name in ids.items())
        return {**found, "names": names}


def as_frame(data: Any, what: str = "data") -> pd.DataFrame:
    """Take a DataFrame, or what turns into one.

    Parameters
    ----------
    data : DataFrame, an object with ``to_pandas``, mapping of columns, or structured array
    what : str
        What the user calls it, for messages.

    Returns
    -------
    DataFrame

    Raises
    ------
    DataError
        It is not a table, or its columns have several levels.
    """
    frame = data
    if not isinstance(frame, pd.DataFrame):
        try:
            if frame is None:
                raise TypeError("there is nothing in it")
            frame = pd.DataFrame(frame.to_pandas() if hasattr(frame, "to_pandas") else frame)
        except Exception as error:  # those of other libraries are of many kinds
            is_path = isinstance(data, (str, PathLike))
            raise DataError(
                f"{what} must be a table, such as a pandas DataFrame, and this "
                f"{type(data).__name__} does not make one: {error}."
                + (" Read the file first, for example with pandas.read_csv." if is_path else "")
            ) from error
    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError(
            f"The columns of {what} have {frame.columns.nlevels} levels; the first is "
            f"{frame.columns[0]!r}. Give each column one name, for example with {what}.columns = "
            f"['_'.join(map(str, column)) for column in {what}.columns]."
        )
    return native(frame)


def native(frame: pd.DataFrame) -> pd.DataFrame:
    """Give numbers the byte order of the machine, without which pandas does not sort them.

    Parameters
    ----------
    frame : DataFrame

    Returns
    -------
    DataFrame
        The one given, where nothing is to be done.
    """
    kinds = frame.dtypes.tolist()
    swapped = [i for i, t in enumerate(kinds) if isinstance(t, np.dtype) and not t.isnative]
    if swapped:
        frame = frame.copy(deep=False)
    for i in swapped:
        values = frame.iloc[:, i].to_numpy().astype(kinds[i].newbyteorder("="))
        frame.isetitem(i, values)
    return frame


def require_column(frame: pd.DataFrame, name: Any, role: str, where: str = "the table") -> None:
    """Raise unless a table has a column exactly once.

    Parameters
    ----------
    frame : DataFrame
    name : column name
    role : str
        What stands before the name in messages, such as ``"situation="``.
    where : str
        What the user calls the table.

    Raises
    ------
    ArgumentError
        The name is no name.
    ColumnError
        There is no such column, or more than one.
    """
    if not isinstance(name, Hashable):
        raise ArgumentError(
            f"{role.rstrip('= ')} must be the name of a column of {where}, not "
            f"{type(name).__name__}. To pass arrays, use MixedMultinomialLogit(endog, exog, ...)."
        )
    found = sum(1 for column in frame.columns if type(column) is type(name) and column == name)
    if found == 0 and name in frame.columns:
        found = 1  # 1.0 and 1 are one label to pandas
    if found == 0:
        raise ColumnError(
            f"{role}{name!r}: {where} has no such column.{did_you_mean(name, frame.columns)} Its "
            f"columns are {listed(frame.columns)}.{other_separator(frame.columns)}"
        )
    if found > 1:
        raise ColumnError(f"{role}{name!r}: {where} has {found} columns of that name. Rename them.")


def other_separator(names: Iterable[Any]) -> str:
    """Say that a file was read with a separator that is not its own, as a sentence.

    Parameters
    ----------
    names : iterable of column names

    Returns
    -------
    str
        With a space in front; empty unless there is one column that looks like several.
    """
    names = list(names)
    marks = [mark for mark in (";", "\t", "|", ",") if len(names) == 1 and mark in str(names[0])]
    if not marks:
        return ""
    return (
        f" It is one column, as of a file whose columns are separated by {marks[0]!r}: read it "
        f"with sep={marks[0]!r}"
        + (", and with decimal=',' if its numbers have decimal commas." if ";" in marks else ".")
    )


def require_read_columns(columns: Sequence[str], data: pd.DataFrame, role: str) -> None:
    """Raise unless each column that a formula reads is in the table exactly once.

    Parameters
    ----------
    columns : sequence of str
    data : DataFrame
    role : str
        What the formula is for, such as "utility formula".

    Raises
    ------
    ColumnError
        There is no such column, or more than one.
    """
    for column in columns:
        if column not in data.columns:
            raise unknown_column(column, data, role)
        if data.columns.is_unique:
            continue
        count = int(np.sum(data.columns == column))
        if count > 1:
            raise ColumnError(
                f"The column {column!r}, used in the {role}, is {count} times in the table. "
                "Rename or drop the others."
            )


def unknown_column(name: str, data: pd.DataFrame, role: str, code: str = "") -> ColumnError:
    """Say which column of a formula is not there, and which could have been meant.

    Parameters
    ----------
    name : str
        As the formula names it.
    data : DataFrame
    role : str
        What the formula is for, such as "utility formula".
    code : str
        The term that it stands in, where that is more than the name.

    Returns
    -------
    ColumnError
    """
    present = [str(column) for column in data.columns]
    # Written without quoting, price-per-km asks for the column 'price'.
    quotable = [column for column in present if not is_plain(column)]
    close = [str(column) for column in close_matches(name, present)]
    close += [column for column in quotable if name in column and column not in close]
    close += [c for c in quotable if unicodedata.normalize("NFKC", c) == name and c not in close]
    shown = [c if is_plain(c) else f'Q("{c}")' for c in close]
    term = f" (term {code})" if code else ""
    hint = f"Did you mean {', '.join(shown)}? " if shown else ""
    remedy = "Add it to the table or correct the formula."
    if code:
        remedy += " If it is a function or a constant, define it where the formula is used."
    return ColumnError(
        f"The column {name!r}, used in the {role}{term}, is not in the table. {hint}{remedy} "
        f"The table has the columns {listed(present)}.{other_separator(present)}"
    )


def is_plain(name: str) -> bool:
    """Whether a formula may name a column as it is, without Q("...").

    Python reads some letters as others (the micro sign as the Greek mu), and some words as its
    own.

    Parameters
    ----------
    name : str

    Returns
    -------
    bool
    """
    is_name = name.isidentifier() and not keyword.iskeyword(name)
    return is_name and unicodedata.normalize("NFKC", name) == name


# -- what they must hold -------------------------------------------------------------------------


def read_availability(values: Any, name: Hashable, *, missing: bool = False) -> np.ndarray:
    """Read the availability column.

    Parameters
    ----------
    values : array_like, shape (n_rows,)
    name : column name
    missing : bool
        Whether missing values are accepted, as available.

    Returns
    -------
    ndarray of bool, shape (n_rows,)

    Raises
    ------
    DataError
        A value is neither 0 nor 1.
    """
    column = pd.Series(values, copy=False)
    is_one = column.isin([1]).to_numpy()
    is_missing = column.isna().to_numpy()
    wrong = np.flatnonzero(~is_one & ~column.isin([0]).to_numpy() & ~(is_missing & missing))
    if len(wrong):
        raise DataError(
            f"{plural(len(wrong), 'value')} of the availability column {name!r} "
            f"{verb(len(wrong), 'is', 'are')} neither 0 nor 1; the first is "
            f"{show(column.iloc[wrong[0]])} in {row_label(wrong[0])}. Use 1 for available and 0 "
            "for not."
        )
    return is_one | is_missing


def read_weights(values: Any, name: Hashable, place: Callable[[int], str]) -> np.ndarray:
    """Read sampling weights.

    Parameters
    ----------
    values : array_like, shape (N,)
        One per individual.
    name : column name
    place : callable
        Names an individual by its number, for messages: "of individual 7".

    Returns
    -------
    ndarray of float, shape (N,)

    Raises
    ------
    DataError
        A weight is not a number, not positive or not finite.
    """
    weight = as_numbers(
        values,
        f"the weights column {name!r}",
        "Give numbers, such as pandas.to_numeric makes.",
        place,
    )
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight > 0)))
    if len(bad):
        raise DataError(
            f"{plural(len(bad), 'weight')} in column {name!r} {verb(len(bad), 'is', 'are')} not "
            f"positive and finite; the first is {weight[bad[0]]} {place(bad[0])}. Leave those "
            "individuals out, or correct their weights."
        )
    far = np.flatnonzero((weight < 1 / _FARTHEST) | (weight > _FARTHEST))
    if len(far):
        raise DataError(
            f"{plural(len(far), 'weight')} in column {name!r} {verb(len(far), 'is', 'are')} not "
            f"between {1 / _FARTHEST:g} and {_FARTHEST:g}; the first is {weight[far[0]]} "
            f"{place(far[0])}. Scale them to a mean of 1."
        )
    return weight


def read_frequencies(values: Any, name: Hashable, place: Callable[[int], str]) -> np.ndarray:
    """Read frequency weights: how many identical individuals each one stands for.

    Parameters
    ----------
    values : array_like, shape (N,)
        One per individual.
    name : column name
    place : callable
        As in `read_weights`.

    Returns
    -------
    ndarray of float, shape (N,)

    Raises
    ------
    DataError
        A value is no whole number of at least 1.
    """
    what = f"the frequency weights column {name!r}"
    frequency = as_numbers(values, what, "Give whole numbers.", place)
    bad = np.flatnonzero(~is_whole(frequency, at_least=1))
    if len(bad):
        raise DataError(
            f"{plural(len(bad), 'value')} of {what} "
            f"{verb(len(bad), 'is no whole number', 'are no whole numbers')} of at least 1; the "
            f"first is {frequency[bad[0]]} {place(bad[0])}. Leave out individuals who occur 0 "
            "times; sampling weights, which may be fractions, go in weights=."
        )
    return frequency


def is_whole(values: np.ndarray, at_least: int) -> np.ndarray:
    """Say which numbers are whole, at least so large, and no larger than floats count exactly.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
    at_least : int

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    with np.errstate(invalid="ignore"):  # nan is no number that was asked for
        is_in_range = (values >= at_least) & (values <= LARGEST_COUNT)
        return is_in_range & (values == np.floor(values))


def read_amounts(values: Any, name: Hashable) -> np.ndarray:
    """Read the count column of a table of choices.

    Parameters
    ----------
    values : array_like, shape (M,)
    name : column name

    Returns
    -------
    ndarray of float, shape (M,)

    Raises
    ------
    DataError
        A value is no whole number of at least 0.
    """
    amount = as_numbers(values, f"the count column {name!r}", "Give whole numbers.")
    bad = np.flatnonzero(~is_whole(amount, at_least=0))
    if len(bad):
        raise DataError(
            f"{plural(len(bad), 'value')} of the count column {name!r} "
            f"{verb(len(bad), 'is no whole number', 'are no whole numbers')} of at least 0; the "
            f"first is {amount[bad[0]]} in {row_label(bad[0])}. Correct them, or drop those rows."
        )
    return amount


def as_numbers(
    values: Any, what: str, remedy: str, place: Callable[[int], str] | None = None
) -> np.ndarray:
    """Read a column as floats; text that spells numbers is read as numbers.

    Parameters
    ----------
    values : array_like, shape (n,)
    what : str
        What the column is, for messages.
    remedy : str
        What to do about values that are no numbers.
    place : callable, optional
        Says where a value stands; "in row 3 (counted from 0)" by default.

    Returns
    -------
    ndarray of float, shape (n,)
        NaN where a value is missing.

    Raises
    ------
    DataError
        A value is not a number.
    """
    column = pd.Series(values, copy=False)
    is_number = pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
    if is_number and column.dtype.kind != "c":
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    column = column.astype(object)
    spelled = column.where(
        column.map(lambda value: isinstance(value, (str, int, float, np.number)))
    )
    converted = pd.to_numeric(spelled, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(np.isnan(converted) & column.notna().to_numpy())
    if len(bad):
        raise DataError(
            f"{plural(len(bad), 'value')} of {what} "
            f"{verb(len(bad), 'is not a number', 'are not numbers')}; the first is "
            f"{show(column.iloc[bad[0]])} "
            f"{place(bad[0]) if place else f'in {row_label(bad[0])}'}."
            f"{how_it_is_written(column.iloc[bad[0]])} {remedy}"
        )
    return converted
