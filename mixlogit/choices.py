"""Choice data: rows grouped into choice sets, and who chose which row how often.

Every layout (panel, cross-section, one table with counts, one table shared by many individuals)
is the same object: sorted rows with offsets for the situations, and a sparse matrix C (N, R) of
how often individual i chose row j.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mixlogit.arrangement import Arrangement
from mixlogit.attributes import RowTable, picked
from mixlogit.class_sets import refuse_impossible_choices
from mixlogit.entries import Entries
from mixlogit.errors import listed, plural, verb
from mixlogit.identification import (
    check_membership,
    identified_covariance,
    refuse_not_finite,
)

__all__ = ["ChoiceData", "Overview"]


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
        Sampling weights of the individuals, of mean 1 over all individuals of a table that was
        read.
    membership : ndarray, shape (N, Q)
        Covariates of class membership; a column of ones when there are only shares.
    membership_names : tuple of str
    notes : tuple of str
        What a reader of the results should know about the data; those that are found here, of
        coarse attributes and lonely alternatives, are added unless they are there already.
    offset : ndarray, shape (1, R) or (K, R), or None
        What is added to the utility of each sorted row, in utils; by class where classes have
        rows of their own, and minus infinity in rows that a class does not have.

    Attributes
    ----------
    exog_covariance : ndarray, shape (L, L)
        Mean over rows of the products of attributes centred within situations.

    Raises
    ------
    DataError
        A value of ``exog`` or ``membership`` is not finite, or an individual chose what no class
        has.
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
    offset: np.ndarray | None = None
    exog_covariance: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        refuse_not_finite(self.exog, self.exog_names, self.arrangement)
        check_membership(self.membership, self.membership_names, self.entries.ids)
        refuse_impossible_choices(self.offset, self.arrangement, self.entries)
        covariance, coarse = identified_covariance(
            self.exog, self.exog_names, self.arrangement.situation_start
        )
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
            is_weighted=self.is_weighted,
            exog_scale=self.exog_scale,
        )

    @property
    def has_class_sets(self) -> bool:
        """Whether classes have rows of their own, so that each column is of a certain class."""
        return self.offset is not None and len(self.offset) > 1

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
    def is_weighted(self) -> bool:
        """Whether there are sampling weights."""
        return bool((self.weights != 1).any())

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
            offset=None if self.offset is None else self.offset[:, row],
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
