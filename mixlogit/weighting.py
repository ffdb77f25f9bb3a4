"""Weights of individuals: frequency weights count them, sampling weights have a mean of one."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

import numpy as np
import pandas as pd

from mixlogit.arrangement import Arrangement
from mixlogit.columns import Columns, read_frequencies, read_weights
from mixlogit.entries import Entries
from mixlogit.people import People, own_column

__all__ = ["to_mean_one", "weighted", "with_weights"]


def weighted(
    frame: pd.DataFrame, columns: Columns, arrangement: Arrangement, entries: Entries
) -> tuple[Entries, np.ndarray]:
    """Read the weights of a table of alternatives.

    Parameters
    ----------
    frame : DataFrame
    columns : Columns
    arrangement : Arrangement
    entries : Entries

    Returns
    -------
    Entries, ndarray
        As from `with_weights`.
    """

    def own(name: Hashable) -> pd.Series:
        return own_column(frame, name, "weight", arrangement, entries)

    def of_choice(i: int) -> str:
        row = entries.row[i]
        situation = arrangement.situation_of(row)
        return f"in situation {situation}, {arrangement.alternative_of(row)}"

    has_people = arrangement.situation_owner is not None
    place = People.of(arrangement, entries).place if has_people else of_choice
    return with_weights(entries, columns, own, place)


def with_weights(
    entries: Entries,
    columns: Columns,
    own: Callable[[Hashable], pd.Series],
    place: Callable[[int], str],
) -> tuple[Entries, np.ndarray]:
    """Let entries occur as often as frequency weights say, and read sampling weights.

    Parameters
    ----------
    entries : Entries
    columns : Columns
    own : callable
        Gives a column by distinct individual, (N,).
    place : callable
        Names an individual by its number, for messages.

    Returns
    -------
    entries : Entries
    weights : ndarray, shape (N,)
        Sampling weights as they were given; ones if there are none.
    """
    weights = np.ones(len(entries.frequency))
    if columns.weights is not None:
        weights = read_weights(own(columns.weights), columns.weights, place)
    if columns.freq_weights is not None:
        frequency = read_frequencies(own(columns.freq_weights), columns.freq_weights, place)
        entries = replace(entries, frequency=entries.frequency * frequency)
    return entries, weights


def to_mean_one(
    columns: Columns, weights: np.ndarray, frequency: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scale sampling weights so that they do not depend on their unit, and say so.

    The estimates do not depend on the scale of sampling weights, but the log-likelihood, criteria
    and errors from the information would. With a mean of one the weights sum to the number of
    individuals, which is what criteria take them to say.

    Parameters
    ----------
    columns : Columns
    weights : ndarray, shape (N,)
        Sampling weights as they were given.
    frequency : ndarray, shape (N,)
        How many identical individuals each one stands for.

    Returns
    -------
    weights : ndarray, shape (N,)
        Their mean over all individuals is one.
    notes : tuple of str
        What was done, to either kind of weights.
    """
    n, notes = float(frequency.sum()), []
    if columns.weights is not None:
        name, largest = columns.weights, weights.max()
        share = weights / largest  # so that no sum overflows
        mean = share @ frequency / n
        if (weights == largest).all():
            weights = np.ones(len(weights))
            notes.append(f"Sampling weights ({name}) are all equal, and change nothing.")
        else:
            weights = share / mean
            notes.append(
                f"Sampling weights ({name}) are divided by their mean, {largest * mean:,.6g}: they "
                f"sum to the number of individuals, {round(n):,}, and nothing depends on their "
                "unit."
            )
    if columns.freq_weights is not None:
        notes.append(
            f"Individuals are counted by frequency weights: {len(frequency):,} different ones "
            f"stand for {round(n):,}."
        )
    return weights, tuple(notes)
