"""Labels of rows, individuals and alternatives, and levels, as plain data and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from mixlogit.archive import Archive, Arrays, Record, number
from mixlogit.errors import StorageError, show

__all__ = ["index_of", "index_record", "value_of", "value_record"]

_LARGEST = 1 << 256  # whole number: JSON readers have a limit on digits
_MOST = 1 << 62  # labels


def value_record(value: Any, what: str) -> Any:
    """Write a label, level or constant.

    Parameters
    ----------
    value : object
    what : str
        What it is called in messages.

    Returns
    -------
    None, bool, int, float, str, or a dict of them

    Raises
    ------
    StorageError
        It is of another type than a file can hold.
    """
    if isinstance(value, pd.Timestamp) and value.tzinfo is None and value is not pd.NaT:
        return {"timestamp": [str(value.to_datetime64()), value.unit]}
    if isinstance(value, pd.Timedelta) and value is not pd.NaT:
        return {"timedelta": [int(value.to_timedelta64().astype(np.int64)), value.unit]}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int and abs(value) <= _LARGEST:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"number": number(value)}
    if type(value) is tuple:
        return {"tuple": [value_record(one, what) for one in value]}
    if isinstance(value, pd.Interval):
        ends = [value_record(end, what) for end in (value.left, value.right)]
        return {"interval": [*ends, value.closed]}
    raise StorageError(
        f"{what} {show(value)} is a {type(value).__name__}, which a file cannot hold. Use numbers, "
        "strings, booleans, dates without a time zone or tuples of these; or use save, which "
        "writes a pickle."
    )


def value_of(record: Any, where: str) -> Any:
    """Read a label, level or constant that `value_record` wrote.

    Parameters
    ----------
    record : object
    where : str
        What it is called in messages.

    Returns
    -------
    object
    """
    if not isinstance(record, dict):
        if record is None or type(record) in (bool, str, float):
            return record
        if type(record) is int and abs(record) <= _LARGEST:
            return record
        raise StorageError(f"{where} is {type(record).__name__}")
    kind = next(iter(record), "")
    part = Record(record, where)
    if kind == "number":
        return part.number(kind)
    given = part.items(kind)
    if kind == "tuple":
        return tuple(value_of(one, where) for one in given)
    if kind == "interval" and len(given) == 3:
        return pd.Interval(*(value_of(end, where) for end in given[:2]), closed=given[2])
    if kind == "timestamp" and len(given) == 2 and all(type(one) is str for one in given):
        return pd.Timestamp(np.datetime64(*given))
    if kind == "timedelta" and len(given) == 2 and type(given[0]) is int:
        return pd.Timedelta(np.timedelta64(*given))
    raise StorageError(f"{where} is of an unknown kind")


def index_record(index: pd.Index, arrays: Arrays, name: str, what: str) -> dict[str, Any]:
    """Write labels.

    Parameters
    ----------
    index : Index
    arrays : dict
        To which their arrays are added.
    name : str
        Of the arrays.
    what : str
        What the labels are called in messages.

    Returns
    -------
    dict

    Raises
    ------
    StorageError
        They are of another type than a file can hold.
    """
    about: dict[str, Any] = {"names": [value_record(one, what) for one in index.names]}
    if isinstance(index, pd.RangeIndex):
        return {**about, "kind": "range", "range": [index.start, index.stop, index.step]}
    if isinstance(index, pd.MultiIndex):
        levels = []
        for i, (level, codes) in enumerate(zip(index.levels, index.codes, strict=True)):
            arrays[f"{name}.codes{i}"] = np.asarray(codes, dtype=np.int64)
            levels.append(index_record(level, arrays, f"{name}.level{i}", what))
        return {**about, "kind": "levels", "levels": levels}
    dtype = index.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf" and dtype.itemsize <= 8:
        arrays[name] = index.to_numpy()
        return {**about, "kind": "bool" if dtype.kind == "b" else "number"}
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        arrays[name] = index.to_numpy().view(np.int64)
        kind = "timestamp" if dtype.kind == "M" else "timedelta"
        return {**about, "kind": kind, "unit": np.datetime_data(dtype)[0]}
    is_object = pd.api.types.is_object_dtype(dtype)
    if not (is_object or isinstance(dtype, pd.StringDtype)):
        raise StorageError(
            f"{what} are {dtype}, which a file cannot hold. Build the model from a table whose "
            "labels are numbers, strings or dates without a time zone, such as reset_index gives."
        )
    values = index.tolist()
    if all(type(value) is str for value in values):
        encoded = [value.encode("utf-8") for value in values]
        arrays[name] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        arrays[f"{name}.ends"] = np.cumsum([len(one) for one in encoded], dtype=np.int64)
        return {**about, "kind": "string", "is_object": is_object}
    several = [value_record(value, what) for value in values]
    return {**about, "kind": "any", "is_object": is_object, "values": several}


def index_of(file: Archive, record: Record, name: str, low: int = 0, high: int = _MOST) -> pd.Index:
    """Read labels.

    Parameters
    ----------
    file : Archive
    record : Record
    name : str
        Of their arrays.
    low, high : int
        Bounds on how many there may be.

    Returns
    -------
    Index
    """
    index = _INDEX[record.text("kind", tuple(_INDEX))](file, record, name)
    names = [value_of(one, f"a name of the labels {name!r}") for one in record.items("names")]
    if len(names) != index.nlevels or not low <= len(index) <= high:
        raise StorageError(f"its labels {name!r} do not go with the rest")
    return index.set_names(names)


def _range_of(file: Archive, record: Record, name: str) -> pd.Index:
    ends = record.items("range")
    if len(ends) != 3 or not all(type(end) is int and abs(end) < _MOST for end in ends):
        raise StorageError(f"its labels {name!r} are no range")
    return pd.RangeIndex(*ends)


def _levels_of(file: Archive, record: Record, name: str) -> pd.Index:
    parts = record.parts("levels")
    if any(part.values.get("kind") == "levels" for part in parts):
        raise StorageError(f"its labels {name!r} have levels within levels")
    return pd.MultiIndex(
        levels=[index_of(file, part, f"{name}.level{i}") for i, part in enumerate(parts)],
        codes=[file.array(f"{name}.codes{i}", "i", (None,)) for i in range(len(parts))],
    )


def _numbers_of(file: Archive, record: Record, name: str) -> pd.Index:
    return pd.Index(file.array(name, "iuf", (None,)))


def _bools_of(file: Archive, record: Record, name: str) -> pd.Index:
    return pd.Index(file.array(name, "b", (None,)))


def _dates_of(file: Archive, record: Record, name: str) -> pd.Index:
    unit = record.text("unit", ("s", "ms", "us", "ns"))
    letter = "M" if record.text("kind") == "timestamp" else "m"
    values = file.array(name, "i", (None,))
    return pd.Index(values.astype(np.int64).view(f"{letter}8[{unit}]"))


def _strings_of(file: Archive, record: Record, name: str) -> pd.Index:
    text = file.array(name, "u", (None,))
    if text.dtype != np.uint8:
        raise StorageError(f"its labels {name!r} are no text")
    ends = file.integers(f"{name}.ends", (None,), 0, len(text))
    if (np.diff(ends) < 0).any() or (ends[-1] if len(ends) else 0) != len(text):
        raise StorageError(f"its labels {name!r} do not end where they should")
    whole = text.tobytes()
    ends_of = [0, *ends.tolist()]
    values = [whole[start:end].decode("utf-8") for start, end in pairwise(ends_of)]
    return _as_index(values, record)


def _any_of(file: Archive, record: Record, name: str) -> pd.Index:
    return _as_index([value_of(one, f"a label {name!r}") for one in record.items("values")], record)


def _as_index(values: list[Any], record: Record) -> pd.Index:
    """Labels of the type that pandas gives them, or of Python's own types."""
    dtype = object if record.flag("is_object") else "str"
    labels = pd.Series(values, dtype=object).to_numpy()  # tuples are labels, not rows
    return pd.Index(labels, dtype=dtype, tupleize_cols=False)


_INDEX: dict[str, Callable[[Archive, Record, str], pd.Index]] = {
    "range": _range_of,
    "levels": _levels_of,
    "number": _numbers_of,
    "bool": _bools_of,
    "timestamp": _dates_of,
    "timedelta": _dates_of,
    "string": _strings_of,
    "any": _any_of,
}
