"""Choice data: rows grouped into choice sets, and who chose which row how often.

Every layout (panel, cross-section, one table with counts, one table shared by many individuals)
is the same object: sorted rows with offsets for the situations, and a sparse matrix C (N, R) of
how often individual i chose row j, kept in compressed-row form.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mixlogit.arrangement import Arrangement, codes_of, row_label
from mixlogit.attributes import RowTable, blocks_of_rows, picked
from mixlogit.columns import read_amounts
from mixlogit.errors import DataError, IdentificationError, listed, plural, show, verb

__all__ = [
    "LARGEST",
    "ChoiceData",
    "Entries",
    "Overview",
    "is_in_range",
    "refuse_not_finite",
    "tally",
    "tally_table",
]

LARGEST = 1e100
"""Size of a value that attributes and covariates may have: their cubes are finite."""

_LEAST_SQUARE = 1e-200  # mean square of an attribute or a covariate, for the same reason
_ROWS_PER_BLOCK = 8192
_DOUBLE = np.dtype(np.float64)
_COARSE = 1e-4  # of the variation within situations: rounding of which a note tells
_CONSTANT_TOLERANCE = 1e-13  # of the mean square: what centring leaves of a constant column
_COLLINEAR_TOLERANCE = 1e-11  # of a column's own variation, in squares


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
            f"{row_label(unknown[0])}. Add it to the table, or drop those rows."
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


@dataclass(frozen=True, eq=False)
class Overview:
    """Choice data in a few numbers, which say nothing about anybody in particular.

    Parameters
    ----------
    n_individuals, n_situations, n_rows, n_choices : int
    choices_per_individual : (float, float)
        The least and the most.
    alternatives : (float, float)
        The fewest and the most rows of a situation.
    total_weight : float
        Sum of the weights of all individuals.
    is_weighted : bool
        Whether there are sampling weights.
    exog_scale : ndarray, shape (L,)
        Standard deviation of each attribute within situations, in its units.
    """

    n_individuals: int
    n_situations: int
    n_rows: int
    n_choices: int
    choices_per_individual: tuple[float, float]
    alternatives: tuple[float, float]
    total_weight: float
    is_weighted: bool
    exog_scale: np.ndarray


@dataclass(frozen=True, eq=False)
class ChoiceData:
    """Validated, sorted, read-only choice data.

    Parameters
    ----------
    exog : ndarray of float64 or StoredRows, shape (R, L)
        Attributes of the sorted rows, in the units of the design. ``exog[start:stop]`` gives
        float64 rows, wherever the table is kept.
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
        What a reader of the results should know about the data; those that are found here, of
        coarse attributes and lonely alternatives, are added unless they are there already.

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

    exog: RowTable
    exog_names: tuple[str, ...]
    arrangement: Arrangement
    entries: Entries
    weights: np.ndarray
    membership: np.ndarray
    membership_names: tuple[str, ...] = ("Intercept",)
    notes: tuple[str, ...] = ()
    exog_covariance: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        refuse_not_finite(self.exog, self.exog_names, self.arrangement)
        _check_membership(self)
        covariance, coarse = _identified_covariance(self)
        object.__setattr__(self, "exog_covariance", covariance)
        if coarse:
            note = (
                f"Stored as {self.exog.dtype}, {listed(coarse)} "
                f"{verb(len(coarse), 'keeps', 'keep')} fewer than four digits of the differences "
                "within choice situations; centre the column, or use dtype='float64'."
            )
            self._add_note(note)
        lonely = int((self.arrangement.sizes == 1).sum())
        if lonely:
            note = (
                f"{plural(lonely, 'choice situation')} with a single alternative "
                f"{verb(lonely, 'carries', 'carry')} no information."
            )
            self._add_note(note)
        for record in (self, self.arrangement, self.entries):
            for value in vars(record).values():
                if isinstance(value, np.ndarray):
                    value.setflags(write=False)

    def _add_note(self, note: str) -> None:
        """Add a note that was found while the data are put together."""
        if note not in self.notes:
            object.__setattr__(self, "notes", (*self.notes, note))

    @property
    def overview(self) -> Overview:
        """The data in a few numbers."""
        choices, sizes = self.choices_per_individual, self.arrangement.sizes
        return Overview(
            n_individuals=self.n_individuals,
            n_situations=self.n_situations,
            n_rows=self.n_rows,
            n_choices=self.n_choices,
            choices_per_individual=(float(choices.min()), float(choices.max())),
            alternatives=(float(sizes.min()), float(sizes.max())),
            total_weight=float(self.total_weight.sum()),
            is_weighted=bool((self.weights != 1).any()),
            exog_scale=self.exog_scale,
        )

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

    def sample(self, n: int, rng: np.random.Generator) -> ChoiceData:
        """Draw individuals at random, with all their situations.

        Without ids of individuals, whole situations are drawn.

        Parameters
        ----------
        n : int
            How many; all of the data come back if there are no more, or if there is one choice
            set only, which all individuals share.
        rng : numpy.random.Generator

        Returns
        -------
        ChoiceData

        Raises
        ------
        IdentificationError
            An attribute does not vary, or columns are collinear, among those drawn.
        """
        owner = self.arrangement.situation_owner
        if owner is None:
            owner = np.arange(self.n_situations)
        n_owners = int(owner[-1]) + 1
        if self.n_situations == 1 or n >= n_owners:
            return self
        is_drawn = np.zeros(n_owners, dtype=bool)
        is_drawn[rng.choice(n_owners, n, replace=False)] = True
        first_situation = self.situation_of(self.entries.row[self.entries.start[:-1]])
        individual = is_drawn[owner[first_situation]]
        return self.take(np.where(individual, self.entries.frequency, 0.0))

    def take(self, number: np.ndarray) -> ChoiceData:
        """Keep so many of each distinct individual, with their situations.

        Without ids of individuals, the situations stay in which somebody who stays chooses.

        Parameters
        ----------
        number : ndarray, shape (N,)
            How many identical individuals each one is to stand for; 0 leaves it out.

        Returns
        -------
        ChoiceData

        Raises
        ------
        IdentificationError
            An attribute does not vary, or columns are collinear, among those who stay.
        """
        arrangement, entries = self.arrangement, self.entries
        individual = number > 0
        length = np.diff(entries.start)
        entry = np.repeat(individual, length)
        owner = arrangement.situation_owner
        if owner is None:
            situation = np.zeros(self.n_situations, dtype=bool)
            situation[self.situation_of(entries.row[entry])] = True
        else:
            situation = individual[owner]
            owner = (np.cumsum(individual) - 1)[owner[situation]]
        sizes = arrangement.sizes
        wide = np.int32 if self.n_rows <= np.iinfo(np.int32).max else np.int64
        row = np.flatnonzero(np.repeat(situation, sizes)).astype(wide)
        begin = np.append(0, np.cumsum(sizes[situation]))
        chosen = entries.row[entry]
        # where the situation of each chosen row begins now, and before
        moved = np.zeros(self.n_situations, dtype=np.intp)
        moved[situation] = arrangement.situation_start[:-1][situation] - begin[:-1]
        codes, ids = arrangement.alternative_codes, arrangement.individual_ids
        return ChoiceData(
            exog=picked(self.exog, row),
            exog_names=self.exog_names,
            arrangement=Arrangement(
                permutation=arrangement.places(row),
                situation_start=begin,
                situation_ids=arrangement.situation_ids[situation],
                situation_owner=owner,
                individual_ids=None if ids is None else ids[individual],
                alternative_codes=None if codes is None else codes[row],
                alternative_ids=arrangement.alternative_ids,
            ),
            entries=Entries(
                row=chosen - moved[self.situation_of(chosen)],
                count=entries.count[entry],
                start=np.append(0, np.cumsum(length[individual])),
                frequency=np.asarray(number, dtype=float)[individual],
                ids=entries.ids[individual],
            ),
            weights=self.weights[individual],
            membership=self.membership[individual],
            membership_names=self.membership_names,
        )

    def situation_of(self, rows: np.ndarray) -> np.ndarray:
        """Situations of some sorted rows, (n,)."""
        return np.searchsorted(self.arrangement.situation_start, rows, side="right") - 1

    def counts(self) -> np.ndarray:
        """How often each sorted row was chosen by all individuals together, (R,)."""
        entries = self.entries
        amount = entries.count * np.repeat(entries.frequency, np.diff(entries.start))
        row = entries.row
        if not (row[1:] > row[:-1]).all():  # some rows were chosen by several individuals
            row, place = np.unique(row, return_inverse=True)
            amount = np.bincount(place, weights=amount)
        out = np.zeros(self.n_rows, dtype=np.min_scalar_type(int(amount.max())))
        out[row] = amount
        return out

    def situation_of_rows(self) -> np.ndarray:
        """Situation of each sorted row, (R,)."""
        return np.repeat(np.arange(self.n_situations), self.arrangement.sizes)


def is_in_range(values: np.ndarray) -> np.ndarray:
    """Say which values are finite, and of a size that sums of their products can bear.

    Parameters
    ----------
    values : ndarray

    Returns
    -------
    ndarray of bool
    """
    return np.abs(values) <= LARGEST


def _is_not_finite(values: np.ndarray) -> np.ndarray:
    return ~np.isfinite(values)


def _is_large(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values) & ~is_in_range(values)


def refuse_not_finite(exog: RowTable, names: Sequence[str], arrangement: Arrangement) -> None:
    """Raise at the first attribute that is missing, infinite or beyond any unit.

    Parameters
    ----------
    exog : ndarray or StoredRows, shape (R, L)
        Sorted rows.
    names : sequence of str, length L
    arrangement : Arrangement
    """
    for place, block in blocks_of_rows(exog):
        bad = ~is_in_range(block)
        if not bad.any():
            continue
        is_large = bool(np.isfinite(block[bad]).all())
        fault = _is_large if is_large else _is_not_finite
        row, column = np.argwhere(fault(block))[0]
        value, row = block[row, column], row + place.start
        total = sum(int(fault(every[:, column]).sum()) for _, every in blocks_of_rows(exog))
        what = f"{plural(total, 'value')} of attribute {names[column]!r} {verb(total, 'is', 'are')}"
        where = (
            f"the first is {value} in situation {arrangement.situation_of(row)}, "
            f"{arrangement.alternative_of(row)}"
        )
        if is_large:
            raise DataError(
                f"{what} larger than {LARGEST:g} in size; {where}. Correct the values, or express "
                "the attribute in a larger unit."
            )
        raise DataError(
            f"{what} missing or not finite; {where}. Correct the "
            "values or the formula, or drop those situations; missing='drop' in from_formula "
            "drops situations with missing values in a column."
            + (
                ""
                if exog.dtype == np.float64
                else f" They are stored as {exog.dtype}, which holds numbers up to "
                f"{np.finfo(exog.dtype).max:.2g}."
            )
        )


def _check_membership(data: ChoiceData) -> None:
    """Raise at the first membership covariate that is not finite or not identified."""
    z, names = data.membership, data.membership_names
    for bad, fault in (
        (~np.isfinite(z), "missing or not finite"),
        (~is_in_range(z), f"larger than {LARGEST:g} in size"),
    ):
        if bad.any():
            person, column = np.argwhere(bad)[0]
            total = int(bad[:, column].sum())
            raise DataError(
                f"{plural(total, 'value')} of membership covariate {names[column]!r} "
                f"{verb(total, 'is', 'are')} {fault}; the first belongs to individual "
                f"{show(data.entries.ids[person])}. Correct the column, or drop those individuals."
            )
    for column in np.flatnonzero((z**2).mean(axis=0) < _LEAST_SQUARE):
        _refuse_tiny(float(np.abs(z[:, column]).max()), names[column], "Membership covariate")
    if names[0] != "Intercept":
        _check_collinear(
            z.T @ z,
            (z**2).sum(axis=0),
            names,
            constant=("is zero", "are zero"),
            kind="membership covariate",
        )
        return
    centred = z[:, 1:] - z[:, 1:].mean(axis=0)
    _check_collinear(
        centred.T @ centred,
        (z[:, 1:] ** 2).sum(axis=0),
        names[1:],
        constant=("does not vary between individuals", "do not vary between individuals"),
        kind="membership covariate",
    )


def _identified_covariance(data: ChoiceData) -> tuple[np.ndarray, list[str]]:
    """Covariance of the attributes within situations, (L, L), once they are identified.

    And the names of those that the type they are stored as makes coarse.
    """
    n_attributes = data.n_attributes
    start = data.arrangement.situation_start
    gram = np.zeros((n_attributes, n_attributes))
    square = np.zeros(n_attributes)
    s = 0
    while s < data.n_situations:
        # as many whole situations as fit into a block, and one at least
        stop = int(np.searchsorted(start, start[s] + _ROWS_PER_BLOCK, side="right")) - 1
        stop = max(stop, s + 1)
        block = data.exog[start[s] : start[stop]]
        size = np.diff(start[s : stop + 1])
        is_balanced = len(block) <= _ROWS_PER_BLOCK and bool((size == size[0]).all())
        for part, centred in _balanced(block, size) if is_balanced else _ragged(block, size):
            gram += centred.T @ centred
            square += np.einsum("rl,rl->l", part, part)
        s = stop
    for column in np.flatnonzero(square < _LEAST_SQUARE * data.n_rows):
        largest = max(np.abs(block[:, column]).max() for _, block in blocks_of_rows(data.exog))
        _refuse_tiny(float(largest), data.exog_names[column], "Attribute")
    _check_collinear(
        gram,
        square,
        data.exog_names,
        constant=(
            "is constant within every choice situation",
            "are constant within every choice situation",
        ),
        kind="attribute",
        stored=data.exog.dtype,
    )
    loss = _rounding(data.exog.dtype) * np.sqrt(square / np.diag(gram))
    coarse = [name for name, part in zip(data.exog_names, loss, strict=True) if part > _COARSE]
    return gram / data.n_rows, coarse


def _balanced(block: np.ndarray, size: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of situations of one size, and the same less the mean of their situation."""
    cube = np.asarray(block, dtype=float).reshape(len(size), int(size[0]), -1)
    yield block, (cube - cube.mean(axis=1, keepdims=True)).reshape(block.shape)


def _ragged(block: np.ndarray, size: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield some rows of situations at a time, and the same less the mean of their situation."""
    start = np.cumsum(size) - size
    mean = np.add.reduceat(block, start, axis=0) / size[:, None]
    owner = np.repeat(np.arange(len(size)), size)
    for i in range(0, len(block), _ROWS_PER_BLOCK):
        part = block[i : i + _ROWS_PER_BLOCK]
        yield part, part - mean[owner[i : i + _ROWS_PER_BLOCK]]


def _refuse_tiny(largest: float, name: str, kind: str) -> None:
    """Raise for a column whose squares vanish, unless all of it is zero."""
    if largest > 0:
        raise DataError(
            f"{kind} {name!r} is at most {largest:g} in size, so small that its squares vanish; "
            "express it in a smaller unit."
        )


def _rounding(stored: np.dtype) -> float:
    """Relative error of a value that was float64 and is stored as another type."""
    return 0.0 if stored == np.float64 else float(np.finfo(stored).eps) / 2


def _check_collinear(
    gram: np.ndarray,
    square: np.ndarray,
    names: Sequence[str],
    *,
    constant: tuple[str, str],
    kind: str,
    stored: np.dtype = _DOUBLE,
) -> None:
    """Raise for columns that do not vary or are linear combinations of others.

    Parameters
    ----------
    gram : ndarray, shape (n, n)
        Products of the centred columns.
    square : ndarray, shape (n,)
        Sums of squares before centring, the scale of round-off.
    names : sequence of str, length n
    constant : tuple of str
        What to say of one column, and of several, that do not vary.
    kind : str
        What a column is.
    stored : dtype
        What the columns are stored as.
    """
    variation, rounding = np.diag(gram), _rounding(stored)
    least = max(_CONSTANT_TOLERANCE, 4 * rounding) ** 2 * square
    flat = [i for i in range(len(names)) if variation[i] <= least[i]]
    if flat:
        as_stored = f" as {stored} stores {verb(len(flat), 'it', 'them')}" if rounding else ""
        raise IdentificationError(
            f"{len(flat)} of {plural(len(names), kind)} cannot have a coefficient: "
            f"{listed(names[i] for i in flat)} {verb(len(flat), *constant)}{as_stored}. Drop "
            f"{verb(len(flat), 'it', 'them')} from the formula"
            + (
                ", or interact with something that differs between alternatives, such as C(alt)."
                if kind == "attribute"
                else "."
            )
        )
    scale = np.sqrt(variation)
    correlation = gram / np.outer(scale, scale)
    noise = rounding**2 * square / variation  # of each column, of its own variation
    if _is_regular(correlation, noise):
        return
    kept: list[int] = []
    for i in range(len(names)):
        known = correlation[np.ix_(kept, kept)]
        load = np.linalg.lstsq(known, correlation[kept, i], rcond=None)[0] if kept else np.zeros(0)
        tolerance = _COLLINEAR_TOLERANCE + 4 * (noise[i] + load**2 @ noise[kept])
        if correlation[i, i] - load @ correlation[kept, i] > tolerance:
            kept.append(i)
            continue
        parts = [repr(names[j]) for j, part in zip(kept, load, strict=True) if abs(part) > 1e-6]
        where = " within choice situations" if kind == "attribute" else ""
        raise IdentificationError(
            f"{kind.capitalize()} {names[i]!r} is a linear combination of {', '.join(parts)}"
            f"{where}, so their coefficients are not identified. Drop one of these columns."
        )


def _is_regular(correlation: np.ndarray, noise: np.ndarray) -> bool:
    """Whether no column (n, n) is a linear combination of those before it, beyond doubt.

    The squared diagonal of Cholesky's factor is what is left of each column. Squared loads on
    columns before it add up to less than the trace of the inverse.
    """
    try:
        factor = np.linalg.cholesky(correlation)
        trace = (np.linalg.inv(factor) ** 2).sum()
    except np.linalg.LinAlgError:
        return False
    tolerance = _COLLINEAR_TOLERANCE + 4 * noise.max(initial=0.0) * (1 + trace)
    return bool((np.diag(factor) ** 2).min(initial=1.0) > 10 * tolerance)
