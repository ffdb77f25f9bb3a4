"""What is added to utilities besides attributes times coefficients, in the order of sorted rows.

An offset has one row (1, R) where it is the same in all classes, and otherwise one for each (K, R).
It is minus infinity where a class does not have a row.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from mixlogit.arrangement import Arrangement
from mixlogit.columns import as_numbers
from mixlogit.errors import DataError, plural, verb
from mixlogit.identification import LARGEST, is_in_range

__all__ = ["read_offset", "same_offset", "shared_offset", "shifted"]


def read_offset(
    values: Any, name: Hashable, arrangement: Arrangement, dtype: Any = np.float64
) -> np.ndarray:
    """Read the offset column.

    Parameters
    ----------
    values : array_like, shape (n_rows,)
        The user's column, in the user's order.
    name : column name
    arrangement : Arrangement
    dtype : dtype
        What it is stored as.

    Returns
    -------
    ndarray, shape (1, R), sorted rows
        In utils.

    Raises
    ------
    DataError
        A value is missing, no number, not finite, or larger than attributes may be.
    """
    what = f"the offset column {name!r}"
    offset = arrangement.arranged(as_numbers(values, what, "Give utils, as numbers."))
    bad = np.flatnonzero(~is_in_range(offset))
    if len(bad):
        row = int(bad[0])
        fault = f"larger than {LARGEST:g} in size"
        if not np.isfinite(offset[bad]).all():
            fault = "missing, not finite or far too large"
        raise DataError(
            f"{plural(len(bad), 'value')} of {what} {verb(len(bad), 'is', 'are')} {fault}; the "
            f"first is {offset[row]} in situation {arrangement.situation_of(row)}, "
            f"{arrangement.alternative_of(row)}. Correct the values, or leave those rows out; the "
            "logarithm of a probability of 0 is infinite."
        )
    return offset.astype(dtype)[None]


def shifted(utility: np.ndarray, offset: np.ndarray | None) -> np.ndarray:
    """Add an offset to utilities, in place.

    Parameters
    ----------
    utility : ndarray, shape (M, n)
        By columns of coefficients: the classes of one mixture, then those of the next.
    offset : ndarray, shape (1, n) or (K, n), or None

    Returns
    -------
    ndarray, shape (M, n)
    """
    if offset is not None:
        by_class = utility.reshape(-1, *offset.shape)
        by_class += offset
    return utility


def shared_offset(offset: np.ndarray | None) -> np.ndarray | None:
    """Offset of a class that has every row that some class has.

    Parameters
    ----------
    offset : ndarray, shape (C, R), or None

    Returns
    -------
    ndarray, shape (1, R), or None
    """
    if offset is None or len(offset) == 1:
        return offset
    shared = offset.max(axis=0, keepdims=True)
    return shared if shared.any() else None


def same_offset(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """Whether two offsets, of the same rows, are one.

    Parameters
    ----------
    a, b : ndarray, shape (C, R), or None

    Returns
    -------
    bool
    """
    return a is b or (a is not None and b is not None and np.array_equal(a, b))
