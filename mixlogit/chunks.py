"""A table that comes in pieces, as often as it is asked for, and the pieces put together again.

Pieces are cut anew, so that none of them splits an individual. What is kept of each is what is
small: choices, codes of alternatives, where situations begin. Attributes go to a file.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mixlogit.arrangement import Arrangement, codes_of, small_int
from mixlogit.attributes import FileRows
from mixlogit.columns import as_frame
from mixlogit.entries import Entries
from mixlogit.errors import ArgumentError, ColumnError, DataError, listed, plural, show, verb

__all__ = ["Chunks", "RowFile", "explained", "joined_arrangement", "joined_entries"]

_ROWS_PER_CHUNK = 100_000  # of a file that is read by its path
_FILE = "attributes.npy"


@dataclass(eq=False)
class Chunks:
    """A table in pieces.

    Parameters
    ----------
    opened : callable
        Gives an iterable of frames, from the first row on at every call.
    key : column name
        Ids that must stand together: of individuals or, without these, of situations.
    """

    opened: Callable[[], Iterable[Any]]
    key: Hashable
    _kinds: dict[Hashable, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Any, key: Hashable) -> Chunks:
        """Read what the user calls chunks.

        Parameters
        ----------
        source : callable, list of DataFrame, or path of a .csv or .parquet file
        key : column name

        Raises
        ------
        ArgumentError
            It is none of these, or can be read only once.
        """
        if isinstance(source, (str, Path)):
            return cls(_opening(Path(source)), key)
        if isinstance(source, pd.DataFrame) or hasattr(source, "to_pandas"):
            raise ArgumentError(
                "chunks is one table, which is in memory already. Pass it to from_formula."
            )
        if callable(source):
            return cls(source, key)
        if isinstance(source, Iterator):
            raise ArgumentError(
                f"chunks can be read only once, as {type(source).__name__}, and several passes are "
                "needed. Pass a function that opens them anew, such as "
                "lambda: pandas.read_csv(path, chunksize=100_000)."
            )
        if not isinstance(source, Iterable):
            raise ArgumentError(
                "chunks must be a function that gives tables, a list of tables, or the path of a "
                f".csv or .parquet file, not {type(source).__name__}."
            )
        return cls(lambda: source, key)

    def head(self) -> pd.DataFrame:
        """The first rows."""
        for frame in self._frames():
            return frame
        raise DataError("The table has no rows. Pass at least one choice situation.")

    def __iter__(self) -> Iterator[tuple[int, pd.DataFrame]]:
        """Yield the first row of each piece, counted from 0, and its rows, with whole individuals.

        A piece is as long as a chunk, or as the rows of one individual.
        """
        held: list[pd.DataFrame] = []
        first = 0
        for frame in self._frames():
            if self.key not in frame.columns:
                yield first, frame  # the caller says which column is missing
                continue
            cut = _last_begin(frame[self.key])
            if held and (cut > 0 or _differ(held[-1][self.key], frame[self.key])):
                whole = pd.concat([*held, frame.iloc[:cut]], ignore_index=True)
                yield first, whole
                first, held, frame = first + len(whole), [], frame.iloc[cut:]
            elif cut > 0:
                yield first, frame.iloc[:cut].reset_index(drop=True)
                first, frame = first + cut, frame.iloc[cut:]
            held.append(frame)
        if held:
            yield first, pd.concat(held, ignore_index=True)

    def _frames(self) -> Iterator[pd.DataFrame]:
        """The chunks as they come, but for empty ones."""
        opened = self.opened()
        try:
            yield from self._alike(opened)
        finally:
            if hasattr(opened, "close"):
                opened.close()

    def _alike(self, opened: Iterable[Any]) -> Iterator[pd.DataFrame]:
        """Chunks, once their columns are found to be the same."""
        names: list[Hashable] | None = None
        for i, chunk in enumerate(opened):
            frame = as_frame(chunk, f"chunk {i}")
            if names is None:
                names = list(frame.columns)
            elif list(frame.columns) != names:
                odd = [name for name in names if name not in frame.columns]
                odd = odd or [name for name in frame.columns if name not in names]
                raise ColumnError(
                    f"Chunk {i} (counted from 0) has other columns than the first"
                    + (
                        f": {listed(odd)} {verb(len(odd), 'is', 'are')} not in both."
                        if odd
                        else "."
                    )
                    + " Give all chunks the same columns, in the same order."
                )
            if len(frame):
                yield frame

    def require_one_kind(self, frame: pd.DataFrame, first: int, names: Iterable[Hashable]) -> None:
        """Raise when a column holds numbers in some pieces and text in others.

        Parameters
        ----------
        frame : DataFrame
            A piece.
        first : int
            Its first row.
        names : iterable of column names
        """
        for name in names:
            column = frame[name]
            if column.isna().all():
                continue
            is_number = pd.api.types.is_numeric_dtype(column)
            kind: Any = "numbers" if is_number else "other values"
            if pd.api.types.is_bool_dtype(column):
                kind = "other values"
            elif isinstance(column.dtype, pd.CategoricalDtype):
                kind = f"the categories {listed(column.cat.categories)}"
            before = self._kinds.setdefault(name, kind)
            if before != kind:
                raise ColumnError(
                    f"Column {name!r} holds {kind} from row {first:,} on, and {before} in earlier "
                    "chunks, so that equal values could differ. Give it one type in all chunks, "
                    "such as dtype={...} of pandas.read_csv or .astype(str)."
                )


def _opening(path: Path) -> Callable[[], Iterable[Any]]:
    """A function that opens a file anew."""
    suffixes = path.suffixes
    if not path.is_file():
        raise ArgumentError(f"There is no file {str(path)!r}. Correct the path.")
    if ".csv" in suffixes[-2:]:  # or .csv.gz
        return lambda: pd.read_csv(path, chunksize=_ROWS_PER_CHUNK)
    if suffixes[-1:] == [".parquet"]:
        try:
            parquet = importlib.import_module("pyarrow.parquet")
        except ImportError as error:
            raise ArgumentError(
                f"Reading {path.name!r} needs pyarrow. Install it (pip install pyarrow), or pass a "
                "function that gives frames."
            ) from error
        return lambda: _batches(parquet, path)
    raise ArgumentError(
        f"{path.name!r} ends neither in .csv nor in .parquet. Pass a function that opens it and "
        "gives frames."
    )


def _batches(parquet: Any, path: Path) -> Iterator[pd.DataFrame]:
    """Batches of rows of a Parquet file, which is closed at the end."""
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS_PER_CHUNK):
            yield batch.to_pandas()


def _last_begin(ids: pd.Series) -> int:
    """Where the last run of equal ids begins; a missing id belongs to the row before it."""
    known = ids.ffill().bfill()
    differs = np.flatnonzero((known != known.iloc[-1]).fillna(False).to_numpy(dtype=bool))
    return int(differs[-1]) + 1 if len(differs) else 0


def _differ(before: pd.Series, after: pd.Series) -> bool:
    """Whether the ids after a cut are not those before it."""
    known, first = before.dropna(), after.dropna()
    return len(known) > 0 and len(first) > 0 and bool(known.iloc[-1] != first.iloc[0])


@contextmanager
def explained(first: int, n_rows: int) -> Iterator[None]:
    """Say in which rows of the table an error is.

    Parameters
    ----------
    first, n_rows : int
        Of a piece.

    Raises
    ------
    DataError
        The one of the piece, of the same type.
    """
    try:
        yield
    except DataError as error:
        raise type(error)(
            f"In rows {first:,} to {first + n_rows - 1:,} of the table, numbered anew from 0: "
            f"{error}"
        ) from error


# -- pieces put together ---------------------------------------------------------------------------


class RowFile:
    """A file of attributes while it is written.

    Parameters
    ----------
    folder : path or None
        Where; a temporary one, which goes when the rows are not needed any more, if None.
    shape : (int, int)
    dtype : dtype

    Raises
    ------
    ArgumentError
        There is such a file in the folder.
    """

    def __init__(self, folder: Any, shape: tuple[int, int], dtype: np.dtype) -> None:
        self._is_temporary = folder is None
        where = Path(tempfile.mkdtemp(prefix="mixlogit-") if folder is None else folder)
        where.mkdir(parents=True, exist_ok=True)
        self.path = where / _FILE
        if self.path.exists():
            raise ArgumentError(
                f"There is a file {str(self.path)!r}, which may belong to another model. Remove "
                "it, or pass another folder."
            )
        self._left, self._dtype = shape[0], dtype
        self._file = open(self.path, "wb")  # noqa: SIM115 (closed by __exit__)
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, header | {"shape": shape})

    def write(self, values: np.ndarray) -> None:
        """Append rows, (n, L)."""
        self._left -= len(values)
        np.ascontiguousarray(values, dtype=self._dtype).tofile(self._file)

    def rows(self) -> FileRows:
        """The table that was written."""
        self._file.flush()
        if self._left:
            raise DataError(
                f"The chunks had {plural(abs(self._left), 'row')} "
                f"{'less' if self._left > 0 else 'more'} in the last pass than in the first. They "
                "must give the same table each time they are opened."
            )
        return FileRows(self.path, is_temporary=self._is_temporary)

    def __enter__(self) -> RowFile:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self._file.close()
        if kind is not None:
            self.path.unlink()
            if self._is_temporary:
                shutil.rmtree(self.path.parent)


def joined_arrangement(
    parts: Sequence[tuple[int, Arrangement]], key: Hashable, alternative: Hashable
) -> Arrangement:
    """Put arrangements of consecutive pieces together.

    Parameters
    ----------
    parts : sequence of (int, Arrangement)
        The first row of each piece, and how its rows are put into choice sets.
    key, alternative : column names
        Of the ids that must stand together, and of alternatives.

    Returns
    -------
    Arrangement
        Individuals in the order of the table.

    Raises
    ------
    DataError
        An individual has rows in several places.
    """
    every: list[Any] = [part for _, part in parts]
    n_rows = np.cumsum([0, *(part.n_rows for part in every)])
    stands = all(
        part.permutation is None and first == begin
        for (first, part), begin in zip(parts, n_rows, strict=False)
    )
    permutation = None
    if not stands:
        small = np.int32 if parts[-1][0] + int(every[-1].order.max()) < 1 << 31 else np.int64
        orders = [part.order.astype(np.int64) for part in every]
        permutation = np.concatenate(
            [(order + first).astype(small) for order, (first, _) in zip(orders, parts, strict=True)]
        )
    starts = [part.situation_start[:-1] + begin for part, begin in zip(every, n_rows, strict=False)]
    owner = individual_ids = None
    if every[0].individual_ids is not None:
        n_people = np.cumsum([0, *(len(part.individual_ids) for part in every)])
        owner = np.concatenate(
            [part.situation_owner + n for part, n in zip(every, n_people, strict=False)]
        )
        individual_ids = _appended([part.individual_ids for part in every])
    situation_ids = _appended([part.situation_ids for part in every])
    _refuse_scattered(situation_ids if individual_ids is None else individual_ids, key)
    codes = alternative_ids = None
    if every[0].alternative_ids is not None:
        labels = _appended([part.alternative_ids for part in every])
        place, alternative_ids = codes_of(labels, alternative)
        place = place.astype(small_int(len(alternative_ids)))
        ends = np.cumsum([len(part.alternative_ids) for part in every])
        codes = np.concatenate(
            [
                own[part.alternative_codes]
                for own, part in zip(np.split(place, ends[:-1]), every, strict=True)
            ]
        )
    return Arrangement(
        permutation=permutation,
        situation_start=np.append(np.concatenate(starts), n_rows[-1]),
        situation_ids=situation_ids,
        situation_owner=owner,
        individual_ids=individual_ids,
        alternative_codes=codes,
        alternative_ids=alternative_ids,
    )


def _appended(parts: Sequence[Any]) -> pd.Index:
    """Put the ids of pieces one behind the other."""
    return parts[0].append(list(parts[1:]))


def _refuse_scattered(ids: pd.Index, key: Hashable) -> None:
    """Raise when the rows of an individual do not stand together."""
    again = ids.duplicated()
    if again.any():
        scattered = ids[again].unique()
        raise DataError(
            f"Column {key!r}: {plural(len(scattered), 'id')} {verb(len(scattered), 'has', 'have')} "
            f"rows in several places of the table; the first is {show(scattered[0])}. Rows of an "
            f"id must stand together: sort the table by {key!r} first, for example with the sort "
            "of a database."
        )


def joined_entries(
    parts: Sequence[tuple[Arrangement, Entries]], arrangement: Arrangement
) -> Entries:
    """Put choices of consecutive pieces together.

    Parameters
    ----------
    parts : sequence of (Arrangement, Entries)
    arrangement : Arrangement
        Of all pieces together.

    Returns
    -------
    Entries
    """
    entries = [one for _, one in parts]
    n_rows = np.cumsum([0, *(part.n_rows for part, _ in parts)])
    n_entries = np.cumsum([0, *(len(one.row) for one in entries)])
    starts = [one.start[:-1] + n for one, n in zip(entries, n_entries, strict=False)]
    row = np.concatenate([one.row + n for one, n in zip(entries, n_rows, strict=False)])
    ids = arrangement.individual_ids
    if ids is None:
        situation = np.searchsorted(arrangement.situation_start, row, side="right") - 1
        ids = arrangement.situation_ids[situation]
    return Entries(
        row=row,
        count=np.concatenate([one.count for one in entries]),
        start=np.append(np.concatenate(starts), n_entries[-1]),
        frequency=np.concatenate([one.frequency for one in entries]),
        ids=ids,
    )
