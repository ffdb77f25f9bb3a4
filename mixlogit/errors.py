"""Exceptions and warnings, and the wording of their messages.

The docstring of each class is its default message.
"""

from __future__ import annotations

import difflib
import inspect
import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np

__all__ = [
    "ArgumentError",
    "ColumnError",
    "ConvergenceWarning",
    "DataError",
    "DataWarning",
    "FormulaError",
    "IdentificationError",
    "InterruptWarning",
    "MixlogitError",
    "MixlogitWarning",
    "NoDataError",
    "NotMonotoneError",
    "NumericalError",
    "OneChoiceWarning",
    "StorageError",
    "UnseenLevelError",
    "close_matches",
    "did_you_mean",
    "listed",
    "plural",
    "shortened",
    "show",
    "verb",
    "warn",
]

_PACKAGE = f"{Path(__file__).parent}{os.sep}"


class MixlogitError(Exception):
    """Something went wrong in mixlogit."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or ""))


class DataError(MixlogitError, ValueError):
    """The table does not describe choices."""


class ColumnError(DataError):
    """A column that was asked for is not in the table."""


class FormulaError(MixlogitError, ValueError):
    """The formula cannot be read or cannot be evaluated on this table."""


class UnseenLevelError(FormulaError):
    """A categorical column has a level that the model was not fitted with."""


class IdentificationError(DataError):
    """The attributes do not identify the coefficients."""


class ArgumentError(MixlogitError, ValueError):
    """An argument is outside what the method accepts."""


class StorageError(MixlogitError, ValueError):
    """The file does not hold results that can be read, or the results cannot be in such a file."""


class NoDataError(MixlogitError, RuntimeError):
    """This needs the data that the model was fitted to, and they were left out of the file."""


class NotMonotoneError(MixlogitError, RuntimeError):
    """The log-likelihood fell during EM, which the mathematics excludes: please report it."""


class NumericalError(MixlogitError, RuntimeError):
    """Linear algebra broke down in round-off during a fit."""


class MixlogitWarning(UserWarning):
    """Something in the data or the fit deserves attention."""


class ConvergenceWarning(MixlogitWarning):
    """The fit did not end at a certified maximum."""


class InterruptWarning(ConvergenceWarning):
    """Something was interrupted from the keyboard, and what there was by then is kept."""


class DataWarning(MixlogitWarning):
    """Situations of the table were dropped on request."""


class OneChoiceWarning(MixlogitWarning):
    """Most individuals choose only once, and different classes can look alike."""


def plural(count: int, noun: str) -> str:
    """Write a count with its noun: 1 row, 2 rows."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def verb(count: int, one: str, many: str) -> str:
    """Choose the word that goes with a count: 1 row is, 2 rows are."""
    return one if count == 1 else many


def show(value: object) -> str:
    """Write an id or a level as the user would."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def shortened(texts: Iterable[str], at_most: int = 10) -> str:
    """Write texts one after the other, and how many more there are."""
    texts = list(texts)
    more = len(texts) - at_most
    return ", ".join(texts[:at_most]) + (f" and {more:,} more" if more > 0 else "")


def listed(values: Iterable[object]) -> str:
    """Write values as `show` does, one after the other."""
    return shortened(show(value) for value in values)


def close_matches(name: object, known: Iterable[object]) -> list[object]:
    """Find up to three names close to one that is not known, whatever their case."""
    options = {str(option): option for option in known}
    lowered = {text.lower(): text for text in options}
    close = difflib.get_close_matches(str(name), list(options))
    close += [lowered[c] for c in difflib.get_close_matches(str(name).lower(), list(lowered))]
    return [options[text] for text in dict.fromkeys(close)][:3]


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Suggest names close to one that is not known, as a sentence with a space in front."""
    close = close_matches(name, known)
    return f" Did you mean {' or '.join(map(show, close))}?" if close else ""


def warn(message: str | Warning, category: type[Warning] | None = None) -> None:
    """Warn of the line that called the package, however deep inside it the reason was found.

    Parameters
    ----------
    message : str or Warning
    category : type of Warning, optional
        Of a string.
    """
    frame, depth, level = inspect.currentframe(), 1, 1
    while frame is not None:
        depth += 1
        if frame.f_code.co_filename.startswith(_PACKAGE):
            level = depth  # of the caller, should it be outside
        frame = frame.f_back
    warnings.warn(message, category, stacklevel=level)
