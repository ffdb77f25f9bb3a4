"""A file of named arrays with a header of plain data, read without trusting it.

The file is a ZIP archive of ``.npy`` members and one JSON text, ``header.json``, so that
``numpy.load`` opens it too. Members are stored without compression: a file then never declares
more than it holds, and reading it takes no more memory than its size, several times for the text.
Nothing that is read is evaluated, unpickled or looked up by name.
"""

from __future__ import annotations

import json
import math
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mixlogit.attributes import StoredRows
from mixlogit.errors import StorageError

__all__ = ["Archive", "Arrays", "Record", "number", "opened", "write_archive"]

Arrays = dict[str, np.ndarray | StoredRows]  # by the names of their members

_HEADER = "header.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every member: the same results give the same bytes
_BLOCK_BYTES = 1 << 24
_MAGIC = b"\x93NUMPY\x01\x00"
# As numpy writes it; its own reader takes any Python literal.
_NPY_HEADER = re.compile(
    r"\{'descr': '([<|][fiu][1248])', 'fortran_order': False, 'shape': \(((?:\d+, ?)*\d*)\), \} *\n"
)
_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


# -- writing ---------------------------------------------------------------------------------------


def number(value: float) -> float | str:
    """Write a number for the header, where JSON has no word for nan and infinity.

    Parameters
    ----------
    value : float

    Returns
    -------
    float or str
    """
    plain = float(value)
    return plain if math.isfinite(plain) else str(plain)


def write_archive(path: Any, header: dict[str, Any], arrays: Arrays) -> None:
    """Write a file; one that is there is replaced once the new one is whole.

    Parameters
    ----------
    path : path
    header : dict
        Of plain data: dicts, lists, strings, finite numbers, booleans and None.
    arrays : dict of str to ndarray or StoredRows
        Of integers, floats and booleans.
    """
    target = Path(path)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.unfinished")
    text = json.dumps(header, ensure_ascii=False, allow_nan=False, indent=1)
    try:
        with zipfile.ZipFile(unfinished, "x", zipfile.ZIP_STORED) as file:
            file.writestr(zipfile.ZipInfo(_HEADER, _EPOCH), text.encode("utf-8"))
            for name, array in arrays.items():
                _write_member(file, name, array)
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_member(file: zipfile.ZipFile, name: str, array: np.ndarray | StoredRows) -> None:
    """Append an array, some rows at a time."""
    dtype = np.dtype(np.uint8) if array.dtype == np.bool_ else array.dtype.newbyteorder("<")
    item_bytes = dtype.itemsize * math.prod(array.shape[1:])
    info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
    info.file_size = 1024 + len(array) * item_bytes  # decides whether the entry has 64-bit sizes
    with file.open(info, "w") as member:
        about = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(member, {**about, "shape": tuple(array.shape)})
        step = max(_BLOCK_BYTES // max(item_bytes, 1), 1)
        for start in range(0, len(array) if item_bytes else 0, step):
            member.write(np.ascontiguousarray(array[start : start + step], dtype=dtype).data)


# -- reading ---------------------------------------------------------------------------------------


class Archive:
    """An open file: its header, and its arrays when they are asked for.

    Parameters
    ----------
    file : ZipFile
    size : int
        Bytes of the whole file.

    Attributes
    ----------
    header : Record

    Raises
    ------
    StorageError
        Members are compressed, named twice, or declare more than the file holds; there is no
        header, or it is no JSON text.
    """

    def __init__(self, file: zipfile.ZipFile, size: int) -> None:
        self._file = file
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in file.infolist():
            if info.filename in self._members:
                raise StorageError(f"it has two members {info.filename!r}")
            if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                raise StorageError(
                    f"its member {info.filename!r} is compressed, which this format never is"
                )
            self._members[info.filename] = info
        if sum(info.file_size for info in self._members.values()) > size:
            raise StorageError("its members declare more bytes than the file has")
        self.header = Record(_plain(self._read_all(_HEADER)), "the header")

    def _open(self, name: str) -> tuple[Any, int]:
        """A member and its size."""
        if name not in self._members:
            raise StorageError(f"it has no member {name!r}")
        info = self._members[name]
        return self._file.open(info), info.file_size

    def _read_all(self, name: str) -> bytes:
        """A whole member."""
        member, _ = self._open(name)
        with member:
            return member.read()

    def array(self, name: str, kinds: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """Read an array.

        Parameters
        ----------
        name : str
        kinds : str
            Kinds of numbers that it may hold, such as ``"i"`` or ``"f"``, as in ``dtype.kind``;
            ``"b"``, alone, for booleans.
        shape : tuple of int or None
            That it must have; None for any length.

        Returns
        -------
        ndarray
            In the byte order of the machine.

        Raises
        ------
        StorageError
            There is no such array, its type or shape is another, or bytes are missing.
        """
        member, left = self._open(f"{name}.npy")
        with member:
            dtype, found = _npy_header(member, name)
            left -= member.tell()
            wanted = tuple(f if w is None else w for f, w in zip(found, shape, strict=False))
            if len(found) != len(shape) or found != wanted:
                raise StorageError(f"its array {name!r} has shape {found}, not {_shown(shape)}")
            if dtype.kind not in kinds.replace("b", "u") or (kinds == "b" and dtype.itemsize > 1):
                raise StorageError(f"its array {name!r} holds {dtype}, which it cannot")
            if math.prod(found) * dtype.itemsize != left:
                raise StorageError(f"its array {name!r} declares another size than it has")
            out = np.empty(found, dtype=dtype)  # no larger than the file, by now
            place = out.reshape(-1).view(np.uint8)
            while len(place):
                n_read = member.readinto(place[:_BLOCK_BYTES])
                if not n_read:
                    raise StorageError(f"its array {name!r} ends too early")
                place = place[n_read:]
            if member.read(1):  # reads the end, where the checksum is compared
                raise StorageError(f"its array {name!r} does not end where it should")
        if kinds != "b":
            return out.astype(dtype.newbyteorder("="), copy=False)
        if (out > 1).any():
            raise StorageError(f"its array {name!r} holds values other than 0 and 1")
        return out.astype(bool)

    def floats(self, name: str, shape: tuple[int | None, ...], finite: bool = True) -> np.ndarray:
        """Read an array of float64, as `array` does."""
        out = self.array(name, "f", shape)
        if out.dtype != np.float64:
            raise StorageError(f"its array {name!r} holds {out.dtype}, which it cannot")
        if finite and not np.isfinite(out).all():
            raise StorageError(f"its array {name!r} has values that are not finite")
        return out

    def integers(self, name: str, shape: tuple[int | None, ...], low: int, high: int) -> np.ndarray:
        """Read an array of integers from low to high, as `array` does."""
        out = self.array(name, "i", shape)
        if out.size and (out.min() < low or out.max() > high):
            raise StorageError(f"its array {name!r} has values outside {low} to {high}")
        return out


@contextmanager
def opened(path: Any) -> Iterator[Archive]:
    """Open a file, and turn whatever is wrong with it into one error.

    Parameters
    ----------
    path : path

    Yields
    ------
    Archive

    Raises
    ------
    StorageError
        For everything that goes wrong once the file is open, inside the with block as well.
    OSError
        The file cannot be opened.
    """
    with open(path, "rb") as raw:
        try:
            size = raw.seek(0, os.SEEK_END)
            with zipfile.ZipFile(raw) as file:
                yield Archive(file, size)
        # What is read may be anything, and so may be the error that it leads to in a library.
        except Exception as error:
            if isinstance(error, StorageError):
                reason = str(error)
            else:
                reason = f"{type(error).__name__}: {error}".rstrip(".")
            if not reason.endswith("."):  # with a remedy
                reason += (
                    ". If it should hold some, it may be damaged: write it anew, with to_file."
                )
            raise StorageError(
                f"The file {str(path)!r} cannot be read as results of mixlogit: {reason}"
            ) from error


def _npy_header(member: Any, name: str) -> tuple[np.dtype, tuple[int, ...]]:
    """Type and shape that a member declares, from the few words that the header may have."""
    start = member.read(len(_MAGIC) + 2)
    length = int.from_bytes(start[len(_MAGIC) :], "little")
    found = _NPY_HEADER.fullmatch(member.read(length).decode("latin-1"))
    if not start.startswith(_MAGIC) or found is None:
        raise StorageError(f"its member {name!r} is no array of numbers")
    sizes = [size for size in found[2].replace(" ", "").split(",") if size]
    if any(len(size) > 18 for size in sizes):
        raise StorageError(f"its array {name!r} declares another size than it has")
    try:
        return np.dtype(found[1]), tuple(int(size) for size in sizes)
    except TypeError as error:
        raise StorageError(f"its array {name!r} holds {found[1]}, which it cannot") from error


def _shown(shape: tuple[int | None, ...]) -> str:
    """A shape that is wanted, with n for any length."""
    return f"({', '.join('n' if size is None else str(size) for size in shape)})"


def _plain(text: bytes) -> Any:
    """Read JSON as it is defined: no nan, no key twice."""

    def refuse(word: str) -> Any:
        raise StorageError(f"its header has the number {word}")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) < len(pairs):
            raise StorageError("its header names something twice")
        return record

    try:
        return json.loads(text.decode("utf-8"), parse_constant=refuse, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"its header is no JSON text: {error}") from error


class Record:
    """Part of a header, from which values are taken that have been checked.

    Parameters
    ----------
    values : dict
    where : str
        What it is called in messages.
    """

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise StorageError(f"{where} is no record")
        self.values, self._where = values, where

    def _take(self, key: str, *kinds: type) -> Any:
        """A value of one of these types; None has a type too."""
        if key not in self.values:
            raise StorageError(f"{self._where} lacks {key!r}")
        value = self.values[key]
        if type(value) not in kinds:
            raise StorageError(f"{key!r} of {self._where} is a {type(value).__name__}")
        return value

    def has(self, key: str) -> bool:
        """Whether there is a value, and it is not None."""
        return self.values.get(key) is not None

    def text(self, key: str, among: tuple[str, ...] | None = None) -> str:
        """A string, perhaps one of several."""
        value = self._take(key, str)
        if among is not None and value not in among:
            raise StorageError(f"{key!r} of {self._where} is {value!r}")
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        return self._take(key, bool)

    def integer(self, key: str, low: int = 0, high: int = 1 << 62) -> int:
        """A whole number from low to high."""
        value = self._take(key, int)
        if not low <= value <= high:
            raise StorageError(f"{key!r} of {self._where} is outside {low} to {high}")
        return value

    def number(self, key: str, finite: bool = False) -> float:
        """A number, which `number` wrote."""
        value = self._take(key, float, int, str)
        value = _NUMBERS.get(value) if isinstance(value, str) else float(value)
        if value is None or (finite and not math.isfinite(value)):
            raise StorageError(f"{key!r} of {self._where} is no number that it can be")
        return value

    def numbers(self, key: str, length: int | None = None) -> list[float]:
        """Several finite numbers."""
        values = self._take(key, list)
        if not all(type(value) in (float, int) for value in values) or length not in (
            None,
            len(values),
        ):
            raise StorageError(f"{key!r} of {self._where} does not hold the numbers that it should")
        return [float(value) for value in values]

    def texts(self, key: str) -> tuple[str, ...]:
        """Several strings."""
        values = self._take(key, list)
        if not all(isinstance(value, str) for value in values):
            raise StorageError(f"{key!r} of {self._where} holds something else than strings")
        return tuple(values)

    def items(self, key: str) -> list[Any]:
        """A list of whatever plain data."""
        return self._take(key, list)

    def part(self, key: str) -> Record:
        """A record in the record."""
        return Record(self._take(key, dict), f"{key!r} of {self._where}")

    def parts(self, key: str) -> list[Record]:
        """Several records."""
        return [
            Record(value, f"{key!r}, number {i}, of {self._where}")
            for i, value in enumerate(self._take(key, list))
        ]
