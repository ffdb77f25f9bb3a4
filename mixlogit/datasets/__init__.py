"""Public tables of choices, with units, sources and published results.

>>> from mixlogit import datasets
>>> datasets.names()
('electricity', 'swissmetro', 'travelmode')
>>> datasets.load("electricity").data.shape
(17232, 10)

Importing this package reads nothing: a table is read, afresh, by each `load`.
"""

from __future__ import annotations

import difflib
from importlib import import_module

from mixlogit.datasets._dataset import Dataset, PublishedResult
from mixlogit.errors import ArgumentError

__all__ = ["Dataset", "PublishedResult", "load", "names"]

_NAMES = ("electricity", "swissmetro", "travelmode")


def names() -> tuple[str, ...]:
    """The names that `load` takes."""
    return _NAMES


def load(name: str) -> Dataset:
    """Read a table of choices.

    Parameters
    ----------
    name : {"electricity", "swissmetro", "travelmode"}
        Which one.

    Returns
    -------
    Dataset
        The table in ``data``, its columns with units in ``columns``, and source, licence,
        citation and published results. The frames are new at each call.

    Raises
    ------
    ArgumentError
        If there is no data set of that name.
    """
    if name not in _NAMES:
        close = difflib.get_close_matches(str(name), _NAMES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ArgumentError(
            f"There is no data set {name!r}.{hint} Pass one of {', '.join(map(repr, _NAMES))}."
        )
    dataset: Dataset = import_module(f"mixlogit.datasets.{name}").load()
    return dataset
