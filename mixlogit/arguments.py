"""What users pass as arguments: words, whole numbers, seeds, arrays of numbers."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from mixlogit.errors import ArgumentError, shortened

__all__ = [
    "as_floats",
    "as_generator",
    "is_iterable",
    "is_number",
    "require_one_of",
    "require_whole",
]


def require_one_of(name: str, value: Any, words: Collection[str]) -> None:
    """Raise unless a word is one of several.

    Parameters
    ----------
    name : str
        Of the argument.
    value : object
    words : collection of str

    Raises
    ------
    ArgumentError
    """
    if not (isinstance(value, str) and value in words):
        raise ArgumentError(f"{name}={value!r} is not one of {', '.join(words)}.")


def require_whole(name: str, value: Any, at_least: int = 1) -> None:
    """Raise unless a number is whole and large enough; True and 2.0 are no whole numbers.

    Parameters
    ----------
    name : str
        Of the argument.
    value : object
    at_least : int

    Raises
    ------
    ArgumentError
    """
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not (is_whole and value >= at_least):
        raise ArgumentError(f"{name}={value!r} must be a whole number of at least {at_least}.")


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, and no truth value.

    Parameters
    ----------
    value : object

    Returns
    -------
    bool
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    return bool(-sys.float_info.max <= value <= sys.float_info.max)


def is_iterable(value: Any) -> bool:
    """Whether one can go through a value: not through an array of no dimension, which says so.

    Parameters
    ----------
    value : object

    Returns
    -------
    bool
    """
    has_no_items = isinstance(value, np.ndarray) and value.ndim == 0
    return isinstance(value, Iterable) and not has_no_items


def as_generator(rng: Any) -> np.random.Generator:
    """Make a generator of random numbers from a seed.

    Parameters
    ----------
    rng : int, Generator, or None

    Returns
    -------
    Generator

    Raises
    ------
    ArgumentError
        It is no seed.
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"rng={rng!r} is neither a whole number of at least 0, nor a numpy Generator, nor None."
        ) from error


def as_floats(name: str, values: Any) -> np.ndarray:
    """Read numbers in an array.

    Parameters
    ----------
    name : str
        Of the argument.
    values : array_like

    Returns
    -------
    ndarray of float
        nan where a masked array has no value.

    Raises
    ------
    ArgumentError
        They are no real numbers.
    """
    try:
        array = np.ma.asarray(values) if np.ma.isMaskedArray(values) else np.asarray(values)
        if array.dtype.kind in "cmM":
            raise TypeError(f"they are of type {array.dtype}")
        floats = array.astype(float, copy=False)
    except (TypeError, ValueError) as error:
        reason = shortened(str(error).splitlines(), 1)
        raise ArgumentError(
            f"{name} must hold real numbers, and these are none: {reason}."
        ) from error
    return np.ma.filled(floats, np.nan)
