"""The attribute table, wherever it is kept: rows come out as float64.

A float64 array in memory is its own table. The others look like one that can only be read: they
have a shape and a length, and ``table[start:stop]`` gives float64 rows. Reading is safe from
several threads at once.
"""

from __future__ import annotations

import shutil
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mixlogit.errors import ArgumentError, DataError

__all__ = [
    "ROWS_PER_BLOCK",
    "FileRows",
    "RoundedRows",
    "RowTable",
    "ShiftedRows",
    "StoredRows",
    "as_rows",
    "blocks_of_rows",
    "blocks_of_situations",
    "picked",
    "same_rows",
    "stored_type",
    "taken",
]

ROWS_PER_BLOCK = 8192
_COPY_BYTES = 1 << 23  # rows that are picked are copied up to this size


class StoredRows(ABC):
    """Rows that are not float64 in memory.

    Parameters
    ----------
    shape : (int, int)
        Rows R and attributes L.
    dtype : dtype
        What the values are stored as.

    Attributes
    ----------
    nbytes : int
        Bytes of the table as float64.
    """

    ndim = 2

    def __init__(self, shape: tuple[int, int], dtype: np.dtype) -> None:
        self.shape, self.dtype = shape, dtype
        self.nbytes = 8 * shape[0] * shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Read consecutive rows, (rows, L) of float64."""
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise IndexError("Rows are read one after another.")
        return self.read(start, max(stop, start))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read the whole table into memory."""
        return self.read(0, len(self)).astype(dtype or np.float64, copy=False)

    @abstractmethod
    def read(self, start: int, stop: int) -> np.ndarray:
        """Read the rows from start to stop, (stop − start, L) of float64."""

    @abstractmethod
    def take(self, positions: np.ndarray) -> np.ndarray:
        """Read rows at these positions, (n, L) of float64."""


RowTable = np.ndarray | StoredRows


class RoundedRows(StoredRows):
    """Rows in memory, or in a memory map, that are stored in another type.

    Parameters
    ----------
    values : ndarray, shape (R, L)
    """

    def __init__(self, values: np.ndarray) -> None:
        super().__init__((values.shape[0], values.shape[1]), values.dtype)
        self._values = values

    def read(self, start: int, stop: int) -> np.ndarray:
        return self._values[start:stop].astype(np.float64)

    def take(self, positions: np.ndarray) -> np.ndarray:
        return self._values[positions].astype(np.float64)


class ShiftedRows(StoredRows):
    """The rows of another table with something added to some of their columns.

    Parameters
    ----------
    rows : ndarray or StoredRows, shape (R, L)
    columns : ndarray of int, shape (C,)
    shift : ndarray, shape (R, C)
    """

    def __init__(self, rows: RowTable, columns: np.ndarray, shift: np.ndarray) -> None:
        super().__init__((rows.shape[0], rows.shape[1]), np.dtype(np.float64))
        self._rows, self._columns, self._shift = rows, columns, shift

    def read(self, start: int, stop: int) -> np.ndarray:
        out = np.array(self._rows[start:stop], dtype=np.float64)
        out[:, self._columns] += self._shift[start:stop]
        return out

    def take(self, positions: np.ndarray) -> np.ndarray:
        out = taken(self._rows, positions)
        out[:, self._columns] += self._shift[positions]
        return out


class FileRows(StoredRows):
    """Rows in a ``.npy`` file, read block by block.

    They are read, not mapped: the pages of a map count as memory of the process for as long as
    the system leaves them there, and a limit on its memory would stop it.

    Parameters
    ----------
    path : path
        A two-dimensional array in the order of its rows.
    is_temporary : bool
        Whether its folder goes with this object, or at the latest when Python ends.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, path: Path, *, is_temporary: bool = False) -> None:
        header = np.load(path, mmap_mode="r")  # maps, and reads nothing but the header
        super().__init__((header.shape[0], header.shape[1]), header.dtype)
        self.path = Path(path)
        self._offset = int(header.offset)
        if is_temporary:
            weakref.finalize(self, shutil.rmtree, self.path.parent, ignore_errors=True)

    def read(self, start: int, stop: int) -> np.ndarray:
        return self._read([(0, start, stop)], stop - start)

    def take(self, positions: np.ndarray) -> np.ndarray:
        return self._read(_runs(positions), len(positions))

    def _read(self, runs: Iterable[tuple[int, int, int]], n_rows: int) -> np.ndarray:
        """Read runs of rows. The file is opened anew, so that no thread moves another's place."""
        values = np.empty((n_rows, self.shape[1]), dtype=self.dtype)
        row_bytes = self.shape[1] * self.dtype.itemsize
        try:
            with open(self.path, "rb") as file:
                for place, start, stop in runs:
                    file.seek(self._offset + start * row_bytes)
                    n_read = file.readinto(values[place : place + stop - start].data)
                    if n_read < (stop - start) * row_bytes:
                        raise DataError(
                            f"The file {str(self.path)!r} of the attributes has become shorter. "
                            "Build the model anew."
                        )
        except FileNotFoundError as error:
            raise DataError(
                f"The file {str(self.path)!r} of the attributes is not there any more. Build the "
                "model anew, with folder= if the file is to outlive the model."
            ) from error
        return values.astype(np.float64, copy=False)


class _PickedRows(StoredRows):
    """Some rows of another table, which are not copied."""

    def __init__(self, rows: RowTable, positions: np.ndarray) -> None:
        super().__init__((len(positions), rows.shape[1]), rows.dtype)
        self.rows, self.positions = rows, positions

    def read(self, start: int, stop: int) -> np.ndarray:
        return taken(self.rows, self.positions[start:stop])

    def take(self, positions: np.ndarray) -> np.ndarray:
        return taken(self.rows, self.positions[positions])


def taken(rows: RowTable, positions: np.ndarray) -> np.ndarray:
    """Read rows at some positions.

    Parameters
    ----------
    rows : ndarray or StoredRows, shape (R, L)
    positions : ndarray of int, shape (n,)
        Faster where they are consecutive.

    Returns
    -------
    ndarray of float64, shape (n, L)
    """
    return rows[positions] if isinstance(rows, np.ndarray) else rows.take(positions)


def _runs(positions: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Place, start and stop of the runs of consecutive positions."""
    if len(positions) == 0:
        return
    places = np.append(0, np.flatnonzero(np.diff(positions) != 1) + 1)
    ends = np.append(places[1:], len(positions))
    for place, end in zip(places.tolist(), ends.tolist(), strict=True):
        start = int(positions[place])
        yield place, start, start + end - place


def as_rows(values: np.ndarray) -> RowTable:
    """Give an array as a table of rows.

    Parameters
    ----------
    values : ndarray, shape (R, L)
        Of any type of numbers; an array of float64 is given back as it is.

    Returns
    -------
    ndarray or StoredRows
    """
    return values if values.dtype == np.float64 else RoundedRows(values)


def stored_type(dtype: Any) -> np.dtype:
    """Check the type that attributes are to be stored as.

    Parameters
    ----------
    dtype : {"float64", "float32"} or what numpy takes for one of them

    Returns
    -------
    dtype

    Raises
    ------
    ArgumentError
        It is another one.
    """
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError):
        found = None
    if dtype is None or found not in (np.float64, np.float32):
        raise ArgumentError(f"dtype={dtype!r} is neither 'float64' nor 'float32'.")
    return np.dtype(found)


def picked(rows: RowTable, positions: np.ndarray) -> RowTable:
    """Pick rows of a table: a copy if they are few, and read from where they are if not.

    Parameters
    ----------
    rows : ndarray or StoredRows, shape (R, L)
    positions : ndarray of int, shape (n,)

    Returns
    -------
    ndarray or StoredRows
    """
    if 8 * len(positions) * rows.shape[1] <= _COPY_BYTES:
        return taken(rows, positions)
    if isinstance(rows, _PickedRows):
        return _PickedRows(rows.rows, rows.positions[positions])
    return _PickedRows(rows, positions)


def blocks_of_rows(rows: RowTable) -> Iterator[tuple[slice, np.ndarray]]:
    """Pass over a table once, a cache-sized number of rows at a time.

    Parameters
    ----------
    rows : ndarray or StoredRows, shape (R, L)

    Yields
    ------
    place : slice
    block : ndarray of float64, shape (r, L)
    """
    for start in range(0, len(rows), ROWS_PER_BLOCK):
        place = slice(start, min(start + ROWS_PER_BLOCK, len(rows)))
        yield place, rows[place]


def blocks_of_situations(situation_start: np.ndarray) -> Iterator[slice]:
    """Pass over whole situations, as many as fit into a block of rows and one at least.

    Parameters
    ----------
    situation_start : ndarray of int, shape (S + 1,)
        Situation s owns the rows ``situation_start[s] : situation_start[s + 1]``.

    Yields
    ------
    situations : slice
    """
    s, n_situations = 0, len(situation_start) - 1
    while s < n_situations:
        full = situation_start[s] + ROWS_PER_BLOCK
        stop = int(np.searchsorted(situation_start, full, side="right")) - 1
        stop = max(stop, s + 1)
        yield slice(s, stop)
        s = stop


def same_rows(a: RowTable, b: RowTable) -> bool:
    """Whether two tables hold the same rows.

    Parameters
    ----------
    a, b : ndarray or StoredRows

    Returns
    -------
    bool
    """
    return a.shape == b.shape and all(
        np.array_equal(block, b[place]) for place, block in blocks_of_rows(a)
    )
