"""Who chose which row how often: the sparse matrix C (N, R), kept in compressed-row form."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixlogit.arrangement import Arrangement, codes_of, row_label
from mixlogit.columns import read_amounts
from mixlogit.errors import DataError, plural, show, verb
from mixlogit.spelled import other_type

__all__ = ["Entries", "tally", "tally_table"]


@dataclass(frozen=True, eq=False)
class Entries:
    """Who chose which row how often: the sparse matrix C (N, R) by rows.

    Parameters
    ----------
    row : ndarray of int, shape (E,)
        Sorted rows that were chosen, grouped by individual.
    count : ndarray of float, shape (E,)
        How often.
    start : ndarray of int, shape (N + 1,)
        Individual i owns the entries ``start[i] : start[i + 1]``.
    frequency : ndarray of float, shape (N,)
        How many identical individuals each one stands for.
    ids : Index, shape (N,)
    """

    row: np.ndarray
    count: np.ndarray
    start: np.ndarray
    frequency: np.ndarray
    ids: pd.Index


def tally(arrangement: Arrangement, counts: np.ndarray) -> Entries:
    """Turn counts on sorted rows into the choices of individuals.

    With individuals, counts are repeated choices of one individual. Without, every choice is an
    individual of its own: choices of the same row are exchangeable and stand together, with their
    number as the frequency.
    """
    row = np.flatnonzero(counts)
    situation = np.searchsorted(arrangement.situation_start, row, side="right") - 1
    if arrangement.situation_owner is None or arrangement.individual_ids is None:
        return Entries(
            row=row,
            count=np.ones(len(row)),
            start=np.arange(len(row) + 1),
            frequency=counts[row],
            ids=(
                arrangement.situation_ids[situation]
                if arrangement.n_situations > 1
                else _alternative_labels(arrangement, row)
            ),
        )
    owner = arrangement.situation_owner[situation]
    n = len(arrangement.individual_ids)
    return Entries(
        row=row,
        count=counts[row],
        start=np.searchsorted(owner, np.arange(n + 1)),
        frequency=np.ones(n),
        ids=arrangement.individual_ids,
    )


def tally_table(
    arrangement: Arrangement,
    individual: Any,
    alternative: Any,
    count: Any = None,
    *,
    names: tuple[Hashable, Hashable, Hashable],
) -> tuple[Entries, np.ndarray]:
    """Turn a list of choices from one shared table into the choices of individuals.

    Parameters
    ----------
    arrangement : Arrangement
        The table of alternatives, one choice set with names of alternatives.
    individual, alternative : array_like of hashable, shape (M,)
        Who chose which alternative; rows that repeat add up.
    count : array_like, shape (M,), optional
        How often; once if None.
    names : tuple of column names
        The user's names of the three columns, for messages.

    Returns
    -------
    entries : Entries
    person : ndarray of int, shape (M,)
        Individual of each row of choices.

    Raises
    ------
    DataError
        There are no choices, an alternative is not in the table, a count is no count, or an
        individual has no choice.
    """
    alternatives = pd.Index(alternative, tupleize_cols=False)
    if len(alternatives) == 0:
        raise DataError("The table of choices has no rows. Pass at least one choice.")
    assert arrangement.alternative_ids is not None
    try:
        place = arrangement.alternative_ids.get_indexer(alternatives)
    except TypeError as error:
        raise DataError(
            f"Column {names[1]!r} of the table of choices holds values that cannot be ids "
            f"({error}). Use the ids of the table of alternatives."
        ) from error
    unknown = np.flatnonzero(place < 0)
    if len(unknown):
        raise DataError(
            f"{plural(len(unknown), 'row')} of the table of choices "
            f"{verb(len(unknown), 'names', 'name')} an alternative that the table of alternatives "
            f"lacks; the first is {show(alternatives[unknown[0]])} (column {names[1]!r}) in "
            f"{row_label(unknown[0])}."
            f"{other_type(arrangement.alternative_ids[0], alternatives[unknown[0]])} Add it to the "
            "table, or drop those rows."
        )
    person, ids = codes_of(individual, names[0])
    amount = np.ones(len(place)) if count is None else read_amounts(count, names[2])
    total = np.bincount(person, weights=amount, minlength=len(ids))
    without = np.flatnonzero(total == 0)
    if len(without):
        raise DataError(
            f"{plural(len(without), 'individual')} {verb(len(without), 'is', 'are')} without any "
            f"choice; the first is {show(ids[without[0]])} (column {names[0]!r}). Drop those rows."
        )
    # sorted rows stand in the order of the ids of alternatives, so their code is the row
    distinct, where = np.unique(person * arrangement.n_rows + place, return_inverse=True)
    summed = np.bincount(where, weights=amount)
    distinct, summed = distinct[summed > 0], summed[summed > 0]
    entries = Entries(
        row=distinct % arrangement.n_rows,
        count=summed,
        start=np.searchsorted(distinct // arrangement.n_rows, np.arange(len(ids) + 1)),
        frequency=np.ones(len(ids)),
        ids=ids,
    )
    return entries, person


def _alternative_labels(arrangement: Arrangement, rows: np.ndarray) -> pd.Index:
    """Ids of chosen rows of a single table."""
    if arrangement.alternative_codes is None or arrangement.alternative_ids is None:
        return pd.Index(arrangement.places(rows))
    return arrangement.alternative_ids[arrangement.alternative_codes[rows]]
