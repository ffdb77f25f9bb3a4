"""Choice data: rows grouped into choice sets, and who chose which row how often.

Every layout (panel, cross-section, one table with counts, one table shared by many individuals)
is the same object: sorted rows with offsets for the situations, and a sparse matrix C (N, R) of
how often individual i chose row j, kept in compressed-row form.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from mixlogit.arrangement import Arrangement
from mixlogit.errors import ArgumentError, DataError, IdentificationError, plural, show

__all__ = ["CHOICE_RULES", "ChoiceData", "Entries", "read_counts", "tally"]

CHOICE_RULES = ("auto", "one", "counts")
_ROWS_PER_BLOCK = 8192
_CONSTANT_TOLERANCE = 1e-13  # of the mean square: what centring leaves of a constant column
_COLLINEAR_TOLERANCE = 1e-11  # of a column's own variation, in squares


def read_counts(values: Any, arrangement: Arrangement, rule: str, name: str) -> np.ndarray:
    """Read the choice column: chosen or not, or how often.

    Parameters
    ----------
    values : array_like, shape (n_rows,)
        The user's column, in the user's order.
    rule : {"auto", "one", "counts"}
        "one": exactly one chosen row per situation. "counts": any counts, at least one choice
        per situation. "auto": counts if some value is neither 0 nor 1, one choice otherwise.

    Returns
    -------
    counts : ndarray of float, shape (R,), sorted rows
    """
    if rule not in CHOICE_RULES:
        raise ArgumentError(f"choices={rule!r} is not one of {', '.join(CHOICE_RULES)}.")
    column = pd.Series(values).reset_index(drop=True)
    if not (pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column)):
        converted = pd.to_numeric(column, errors="coerce")
        bad = converted.isna() & column.notna()
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"The choice column {name!r} must be 0/1, true/false or counts; row {first} "
                f"holds {show(column.iloc[first])}. Make a column that is 1 on the chosen row "
                f"of each situation, for example (alternative == {name})."
            )
        column = converted
    counts = column.to_numpy(dtype=np.float64, na_value=np.nan)[arrangement.order]
    _refuse_rows(~np.isfinite(counts), arrangement, name, "missing or not finite")
    _refuse_rows(counts < 0, arrangement, name, "negative")
    _refuse_rows(
        counts != np.floor(counts),
        arrangement,
        name,
        "not whole numbers",
        "Give counts; for shares, multiply by the number of choices behind them.",
    )
    totals = np.add.reduceat(counts, arrangement.situation_start[:-1])
    is_binary = bool((counts <= 1).all())
    one = rule == "one" or (rule == "auto" and is_binary)
    if one and rule == "auto" and arrangement.n_situations == 1 and totals[0] > 1:
        raise DataError(
            f"There is no situation column, so the {plural(arrangement.n_rows, 'row')} are one "
            f"choice set, but column {name!r} holds only 0 and 1, {int(totals[0]):,} of them 1. "
            "Pass situation= if the rows are several choice sets, or choices='counts' if they "
            "are one table with counts."
        )
    wrong = np.flatnonzero(totals != 1 if one else totals == 0)
    if len(wrong):
        s = int(wrong[0])
        what = "exactly one chosen row" if one else "any choice"
        several = (
            " If several choices in a situation are meant, pass choices='counts'."
            if one and (totals > 1).any()
            else ""
        )
        raise DataError(
            f"{len(wrong):,} of {plural(arrangement.n_situations, 'choice situation')} do not "
            f"have {what}; the first is situation {arrangement.situation_label(s)}, with "
            f"{int(totals[s])}. Check the choice column {name!r}, or drop those situations."
            + several
        )
    return counts


def _refuse_rows(
    bad: np.ndarray,
    arrangement: Arrangement,
    name: str,
    what: str,
    remedy: str = "Correct them, or drop those situations.",
) -> None:
    """Raise for values of the choice column that are no counts."""
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    raise DataError(
        f"{plural(int(bad.sum()), 'value')} of the choice column {name!r} "
        f"{'is' if bad.sum() == 1 else 'are'} {what}; the first is in situation "
        f"{arrangement.situation_of(row)}, {arrangement.alternative_of(row)}. {remedy}"
    )


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
    if arrangement.situation_owner is None or arrangement.individual_ids is None:
        situation = np.searchsorted(arrangement.situation_start, row, side="right") - 1
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
    owner = np.repeat(arrangement.situation_owner, arrangement.sizes)[row]
    n = len(arrangement.individual_ids)
    return Entries(
        row=row,
        count=counts[row],
        start=np.searchsorted(owner, np.arange(n + 1)),
        frequency=np.ones(n),
        ids=arrangement.individual_ids,
    )


def _alternative_labels(arrangement: Arrangement, rows: np.ndarray) -> pd.Index:
    """Ids of chosen rows of a single table."""
    if arrangement.alternative_codes is None or arrangement.alternative_ids is None:
        return pd.Index(arrangement.order[rows])
    return arrangement.alternative_ids[arrangement.alternative_codes[rows]]


@dataclass(frozen=True, eq=False)
class ChoiceData:
    """Validated, sorted, read-only choice data.

    Parameters
    ----------
    exog : ndarray, shape (R, L)
        Attributes of the sorted rows, in the units of the design.
    exog_names : tuple of str
    arrangement : Arrangement
        Choice sets and the user's order.
    entries : Entries
        Who chose what.
    weights : ndarray, shape (N,)
        Sampling weights of the individuals.
    membership : ndarray, shape (N, Q)
        Covariates of class membership; a column of ones when there are only shares.
    membership_names : tuple of str
    notes : tuple of str
        What a reader of the results should know about the data.

    Attributes
    ----------
    exog_covariance : ndarray, shape (L, L)
        Mean over rows of the products of attributes centred within situations.

    Raises
    ------
    DataError
        A value of ``exog`` or ``membership`` is not finite.
    IdentificationError
        An attribute is constant within every situation, or columns are collinear.
    """

    exog: np.ndarray
    exog_names: tuple[str, ...]
    arrangement: Arrangement
    entries: Entries
    weights: np.ndarray
    membership: np.ndarray
    membership_names: tuple[str, ...] = ("Intercept",)
    notes: tuple[str, ...] = ()
    exog_covariance: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        _check_finite_attributes(self)
        _check_finite_membership(self)
        object.__setattr__(self, "exog_covariance", _identified_covariance(self))
        lonely = int((self.arrangement.sizes == 1).sum())
        if lonely:
            note = (
                f"{plural(lonely, 'choice situation')} with a single alternative "
                f"{'carries' if lonely == 1 else 'carry'} no information."
            )
            object.__setattr__(self, "notes", (*self.notes, note))
        for array in (self.exog, self.weights, self.membership, self.exog_covariance):
            array.setflags(write=False)

    @property
    def n_rows(self) -> int:
        """Rows of the attribute table, R."""
        return len(self.exog)

    @property
    def n_situations(self) -> int:
        """Choice situations, S."""
        return self.arrangement.n_situations

    @property
    def n_distinct(self) -> int:
        """Distinct individuals, N: the rows of scores and posteriors."""
        return len(self.weights)

    @property
    def n_individuals(self) -> int:
        """Individuals, counting each as often as it occurs."""
        return round(float(self.entries.frequency.sum()))

    @property
    def n_attributes(self) -> int:
        """Columns of the utility design, L."""
        return self.exog.shape[1]

    @property
    def exog_scale(self) -> np.ndarray:
        """Standard deviation of each attribute within situations, (L,), in its units."""
        return np.sqrt(np.diag(self.exog_covariance))

    @property
    def total_weight(self) -> np.ndarray:
        """Weight of each distinct individual in the log-likelihood, (N,)."""
        return self.weights * self.entries.frequency

    @property
    def choices_per_individual(self) -> np.ndarray:
        """Number of choices of each distinct individual, (N,)."""
        return np.add.reduceat(self.entries.count, self.entries.start[:-1])

    @property
    def n_choices(self) -> int:
        """Choices made by all individuals together."""
        return round(float(self.choices_per_individual @ self.entries.frequency))

    def situation_of_rows(self) -> np.ndarray:
        """Situation of each sorted row, (R,)."""
        return np.repeat(np.arange(self.n_situations), self.arrangement.sizes)

    def with_notes(self, notes: Iterable[str]) -> ChoiceData:
        """Return the same data with more notes."""
        return replace(self, notes=(*notes, *self.notes))


def _check_finite_attributes(data: ChoiceData) -> None:
    """Raise at the first attribute that is missing or infinite."""
    for start in range(0, data.n_rows, _ROWS_PER_BLOCK):
        bad = ~np.isfinite(data.exog[start : start + _ROWS_PER_BLOCK])
        if not bad.any():
            continue
        row, column = np.argwhere(bad)[0]
        total = int((~np.isfinite(data.exog[:, column])).sum())
        row += start
        raise DataError(
            f"{plural(total, 'value')} of attribute {data.exog_names[column]!r} "
            f"{'is' if total == 1 else 'are'} missing or not finite; the first is in situation "
            f"{data.arrangement.situation_of(row)}, {data.arrangement.alternative_of(row)} "
            f"(value {data.exog[row, column]}). Correct the column, or pass missing='drop' to "
            "leave out whole situations with missing values."
        )


def _check_finite_membership(data: ChoiceData) -> None:
    """Raise at the first membership covariate that is missing or infinite."""
    bad = ~np.isfinite(data.membership)
    if bad.any():
        person, column = np.argwhere(bad)[0]
        raise DataError(
            f"{plural(int(bad[:, column].sum()), 'value')} of membership covariate "
            f"{data.membership_names[column]!r} not finite; the first belongs to individual "
            f"{show(data.entries.ids[person])}. Correct the column, or drop those individuals."
        )
    variation = data.membership - data.membership.mean(axis=0)
    _check_collinear(
        variation[:, 1:].T @ variation[:, 1:],
        (data.membership[:, 1:] ** 2).mean(axis=0) * len(variation),
        data.membership_names[1:],
        constant="does not vary between individuals",
        kind="membership covariate",
    )


def _identified_covariance(data: ChoiceData) -> np.ndarray:
    """Covariance of the attributes within situations, (L, L), once they are identified."""
    n_attributes = data.n_attributes
    start = data.arrangement.situation_start
    gram = np.zeros((n_attributes, n_attributes))
    square = np.zeros(n_attributes)
    s = 0
    with np.errstate(over="ignore", invalid="ignore"):
        while s < data.n_situations:
            # as many whole situations as fit into a block, and one at least
            stop = int(np.searchsorted(start, start[s] + _ROWS_PER_BLOCK, side="right")) - 1
            stop = max(stop, s + 1)
            block = data.exog[start[s] : start[stop]]
            size = np.diff(start[s : stop + 1])
            mean = np.add.reduceat(block, start[s:stop] - start[s], axis=0) / size[:, None]
            owner = np.repeat(np.arange(stop - s), size)
            for i in range(0, len(block), _ROWS_PER_BLOCK):
                part = block[i : i + _ROWS_PER_BLOCK]
                centred = part - mean[owner[i : i + _ROWS_PER_BLOCK]]
                gram += centred.T @ centred
                square += np.einsum("rl,rl->l", part, part)
            s = stop
    if not (np.isfinite(gram).all() and np.isfinite(square).all()):
        column = int(np.flatnonzero(~(np.isfinite(square) & np.isfinite(np.diag(gram))))[0])
        raise DataError(
            f"Attribute {data.exog_names[column]!r} is so large that its squares overflow; "
            "express it in a larger unit."
        )
    _check_collinear(
        gram,
        square,
        data.exog_names,
        constant="is constant within every choice situation",
        kind="attribute",
    )
    return gram / data.n_rows


def _check_collinear(
    gram: np.ndarray, square: np.ndarray, names: Sequence[str], *, constant: str, kind: str
) -> None:
    """Raise for columns that do not vary or are linear combinations of others.

    Parameters
    ----------
    gram : ndarray, shape (n, n)
        Products of the centred columns.
    square : ndarray, shape (n,)
        Sums of squares before centring, the scale of round-off.
    """
    variation = np.diag(gram)
    flat = [i for i in range(len(names)) if variation[i] <= _CONSTANT_TOLERANCE**2 * square[i]]
    if flat:
        listed = ", ".join(repr(names[i]) for i in flat)
        raise IdentificationError(
            f"{len(flat)} of {plural(len(names), kind)} cannot have a coefficient: {listed} "
            f"{constant}. Drop {'it' if len(flat) == 1 else 'them'} from the formula"
            + (
                ", or interact with something that differs between alternatives, such as C(alt)."
                if kind == "attribute"
                else "."
            )
        )
    scale = np.sqrt(variation)
    correlation = gram / np.outer(scale, scale)
    kept: list[int] = []
    for i in range(len(names)):
        known = correlation[np.ix_(kept, kept)]
        load = np.linalg.lstsq(known, correlation[kept, i], rcond=None)[0] if kept else np.zeros(0)
        if correlation[i, i] - load @ correlation[kept, i] > _COLLINEAR_TOLERANCE:
            kept.append(i)
            continue
        parts = [repr(names[j]) for j, part in zip(kept, load, strict=True) if abs(part) > 1e-6]
        where = " within choice situations" if kind == "attribute" else ""
        raise IdentificationError(
            f"{kind.capitalize()} {names[i]!r} is a linear combination of {', '.join(parts)}"
            f"{where}, so their coefficients are not identified. Drop one of these columns."
        )


def individual_values(
    values: Any, codes: np.ndarray, ids: Sequence[Hashable] | pd.Index, name: str, what: str
) -> np.ndarray:
    """Position of the first row of each individual, once the column is constant within them.

    Parameters
    ----------
    values : array_like, shape (n,)
        The column, one value per row.
    codes : ndarray of int, shape (n,)
        Individual of each row, 0 to N − 1, every one present.
    ids : sequence of hashable, length N
    name, what : str
        The column and what it is used for, for the message.

    Returns
    -------
    ndarray of int, shape (N,)
    """
    first = np.full(len(ids), len(codes))
    np.minimum.at(first, codes, np.arange(len(codes)))
    level = pd.factorize(pd.Series(values).reset_index(drop=True))[0]
    differs = level != level[first[codes]]
    if differs.any():
        persons = np.unique(codes[differs])
        row = int(np.flatnonzero(differs)[0])
        raise DataError(
            f"The {what} {name!r} varies within {len(persons):,} of "
            f"{plural(len(ids), 'individual')}; the first is individual "
            f"{show(ids[codes[row]])}. It must be constant within an individual: average it, or "
            "use it in the utility formula."
        )
    return first
