"""The conditional logit on a block of rows that fits the processor's cache.

A block holds whole individuals with all their situations. Inside a block, arrays have one row per
column of coefficients and one column per row of the table, so that sums over classes and products
with the table are matrix products. A large choice set is a block of its own, which is read piece by
piece.

Several threads share the blocks, or the pieces of one block. Their sums are added in the order of
the table, in the same groups whatever the number of threads, so that this number changes no bit.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, TypeVar

import numpy as np
import scipy.sparse

from mixlogit.attributes import taken
from mixlogit.choices import ChoiceData
from mixlogit.layouts import Layout, Runs, Slots
from mixlogit.offsets import shifted
from mixlogit.threads import in_order

__all__ = [
    "Alternatives",
    "Block",
    "Blocks",
    "Collect",
    "Occasions",
    "Sums",
    "Weigh",
    "WeighSlopes",
]

_CACHE_BYTES = 1 << 21  # scratch of one block, near the size of the second-level cache
_COLUMNS = 16  # columns of coefficients that a block is sized for
_MIN_ROWS, _MAX_ROWS = 256, 8192
_KEEP_BYTES = 1 << 23  # tables up to this size keep their blocks between sweeps
_MEAN_SLOTS = 64.0  # choice sets up to this mean size are laid out by slots
_GROUPS = 8  # of blocks, or of pieces of one, that threads share
_LEAST_WORK = 1_000_000  # rows times columns from which threads are worth their while
_FEW_COLUMNS = 10  # up to which every column forms products of its own
_MAX_LONG_ROWS = 1 << 14
_TAME = 30.0  # utilities within this of zero neither overflow nor make choices certain
_MANY_ATTRIBUTES = 48  # from which products of pairs of attributes are no longer formed

Sums = tuple[np.ndarray, ...]
Weigh = Callable[[np.ndarray, slice], tuple[np.ndarray, Sums]]
WeighSlopes = Callable[[np.ndarray, np.ndarray, slice], tuple[np.ndarray, np.ndarray, Sums]]
Collect = Callable[[np.ndarray, slice], Sums]
_T = TypeVar("_T")


class Block(ABC):
    """Some individuals, all their situations, and the rows of those."""

    _layout: Layout

    def __init__(
        self, data: ChoiceData, individuals: slice, situations: slice, order: np.ndarray
    ) -> None:
        """``order`` gives the situation of the block at each place of the layout."""
        entries = data.entries
        start = data.arrangement.situation_start[situations.start : situations.stop + 1]
        self._table, self._first_row = data.exog, int(start[0])
        self.n_rows = int(start[-1] - start[0])
        self.individuals = individuals
        self.n_individuals = individuals.stop - individuals.start
        self.n_situations = situations.stop - situations.start
        self._start = _short(start - start[0])
        self._order = order
        self._offset = None if data.offset is None else data.offset[:, start[0] : start[-1]]

        first, last = entries.start[individuals.start], entries.start[individuals.stop]
        self.entry_start = entries.start[individuals] - first
        self.entry_count = entries.count[first:last]
        self.entry_row = _short(entries.row[first:last] - start[0])
        self.entry_owner = np.repeat(
            _short(np.arange(self.n_individuals)),
            np.diff(np.append(self.entry_start, last - first)),
        )
        situation = np.searchsorted(self._start, self.entry_row, side="right") - 1
        self.entry_situation = _short(_inverse(order)[situation])
        self.is_once = bool((self.entry_count == 1).all())
        # where no two entries meet, sums over entries are assignments
        self.has_own_rows = _is_distinct(self.entry_row, self.n_rows)
        self.has_own_situations = _is_distinct(self.entry_situation, self.n_situations)

    def read(self, rows: slice = slice(None)) -> np.ndarray:
        """Attributes of some rows as they stand in the table, (rows, L)."""
        start, stop, _ = rows.indices(self.n_rows)
        return self._table[self._first_row + start : self._first_row + stop]

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Attributes of the rows at these places of the block, (n, L)."""
        if self.n_rows <= _MAX_LONG_ROWS:
            return self.read()[rows]
        return taken(self._table, self._first_row + rows)

    @abstractmethod
    def log_likelihoods(self, beta: np.ndarray) -> np.ndarray:
        """Log-probability of all choices of each individual, (M, individuals)."""

    @abstractmethod
    def sweep(
        self, beta: np.ndarray, weigh: Weigh, curvature: bool, collect: Collect | None
    ) -> Sums:
        """Gradient (M, L), curvature (M, L, L) or (M, 0, 0), and the sums of the caller."""

    @abstractmethod
    def directional(self, beta: np.ndarray, along: np.ndarray, weigh: WeighSlopes) -> Sums:
        """Derivatives (n, M, L) of weighted scores along directions, and the caller's sums."""

    @abstractmethod
    def means(self, beta: np.ndarray) -> np.ndarray:
        """Mean attributes of each situation under one logit (L,), in their units: (S, L)."""

    @abstractmethod
    def alternatives(self, beta: np.ndarray, weight: np.ndarray) -> Iterator[Alternatives]:
        """Yield the rows under one logit (L,), given the weights of the individuals."""

    @abstractmethod
    def _chosen(self, which: slice) -> np.ndarray:
        """Attributes of the rows of some entries, from the origin of the block: (L, e)."""

    @abstractmethod
    def _expect(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-likelihoods (M, individuals), and means (M, L, situations) from that origin."""

    def _change_of_expected(
        self,
        prob: np.ndarray,
        move: np.ndarray,
        mean: np.ndarray,
        weight: np.ndarray,
        change: np.ndarray,
    ) -> np.ndarray:
        """What expected choices of each row change by, (n * M, rows), in place of ``move``.

        Parameters
        ----------
        prob : ndarray, shape (M, rows)
        move : ndarray, shape (n, M, rows)
            What utilities change by.
        mean : ndarray, shape (n, M, situations)
            The same, expected.
        weight, change : ndarray, shape (M, individuals) and (n * M, individuals)
            Weights, and what they change by.
        """
        layout = self._layout
        layout.combine(np.subtract, move, mean)
        layout.combine(np.multiply, move, self.situation_mass(weight))
        layout.combine(np.add, move, self.situation_mass(change).reshape(mean.shape))
        move *= prob
        return move.reshape(-1, move.shape[-1])

    def _by_individual(self, v: np.ndarray) -> np.ndarray:
        """Sum entries, as often as they occur: (..., entries) -> (..., individuals)."""
        if not self.is_once:
            v = v * self.entry_count
        if len(self.entry_row) == self.n_individuals:
            return v
        return np.add.reduceat(v, self.entry_start, axis=-1)

    @cached_property
    def _situation_matrix(self) -> scipy.sparse.csr_matrix:
        """How often each individual chose in each situation."""
        return self._sum_entries(self.entry_situation, self.n_situations)

    def _sum_entries(self, place: np.ndarray, n_places: int) -> scipy.sparse.csr_matrix:
        """Sum entries into a sparse matrix (places, individuals)."""
        return scipy.sparse.csr_matrix(
            (self.entry_count, (place, self.entry_owner)), shape=(n_places, self.n_individuals)
        )

    def situation_mass(self, weight: np.ndarray) -> np.ndarray:
        """Weight of the choices made in each situation, (M, situations)."""
        if not self.has_own_situations:
            return np.ascontiguousarray((self._situation_matrix @ weight.T).T)
        return self._assign(weight, self.entry_situation, self.n_situations)

    def _assign(self, weight: np.ndarray, place: np.ndarray, n_places: int) -> np.ndarray:
        """Put the weight of each entry in a place of its own, (M, places)."""
        amount = weight.take(self.entry_owner, axis=1)
        if not self.is_once:
            amount *= self.entry_count
        out = np.zeros((len(weight), n_places))
        out[:, place] = amount
        return out

    def scores(self, beta: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield some individuals, their log-likelihoods (M, n) and scores (M, L, n)."""
        log_f, mean = self._expect(beta)
        first = self.individuals.start
        for individuals, score in self._scores(mean):
            own = slice(individuals.start - first, individuals.stop - first)
            yield individuals, log_f[:, own], score

    def _scores(self, mean: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield some individuals and their scores (M, L, n), given the means (M, L, situations)."""
        n_columns, n_attributes, _ = mean.shape
        # the caller may hold several arrays of the size of the scores, but those of many
        # attributes are as long as pays in products with their own transpose
        step = max(_CACHE_BYTES // (16 * n_columns * n_attributes), _MIN_ROWS)
        for which, individuals, start in self._some_entries(min(step, _MAX_ROWS // n_columns)):
            score = self._chosen(which) - mean.take(self.entry_situation[which], axis=2)
            if not self.is_once:
                score *= self.entry_count[which]
            if len(start) < score.shape[2]:
                score = np.add.reduceat(score, start, axis=2)
            yield individuals, score

    def _collect(self, mean: np.ndarray, collect: Collect) -> Sums:
        """Give scores to the caller, some individuals at a time, and add up what it returns."""
        return _add_up(collect(score, individuals) for individuals, score in self._scores(mean))

    def _some_entries(self, step: int) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Yield about so many entries of whole individuals: which, whose, and where they begin."""
        ends = np.append(self.entry_start, len(self.entry_row))
        first, i = self.individuals.start, 0
        while i < self.n_individuals:
            stop = max(int(np.searchsorted(ends, ends[i] + step, side="right")) - 1, i + 1)
            which = slice(ends[i], ends[stop])
            yield which, slice(first + i, first + stop), self.entry_start[i:stop] - ends[i]
            i = stop

    def occasions(self, beta: np.ndarray) -> Iterator[Occasions]:
        """Yield the choices of some individuals under one logit (L,)."""
        mean = self.means(beta)
        # not the rows of the block: a table of few rows may be shared by many individuals
        step = int(np.clip(_CACHE_BYTES // (32 * len(beta)), _MIN_ROWS, _MAX_ROWS))
        for which, individuals, start in self._some_entries(step):
            score = self.take(self.entry_row[which]) - mean[self.entry_situation[which]]
            yield Occasions(individuals, start, self.entry_count[which], score)


@dataclass(frozen=True, eq=False)
class _Offset:
    """What is added to the utilities of a block of small choice sets.

    Parameters
    ----------
    rows : ndarray, shape (C, rows)
        Of later alternatives, against the first; minus infinity where a class does not have one.
    first : ndarray, shape (C, situations), or None
        Of first alternatives: zero, or minus infinity; None if all classes have all of them.
    chosen : ndarray, shape (C, individuals), or None
        Of all that individuals chose, added up; None if a class does not have some row.
    """

    rows: np.ndarray
    first: np.ndarray | None
    chosen: np.ndarray | None

    @property
    def bars(self) -> bool:
        """Whether there are rows that a class does not have."""
        return self.chosen is None

    def first_under(self, n_columns: int) -> np.ndarray | None:
        """What is added for first alternatives under so many columns, (M, situations)."""
        if self.first is None:
            return None
        return np.tile(self.first, (n_columns // len(self.first), 1))


class _SmallSets(Block):
    """A block of small choice sets: their rows fit the cache."""

    _layout: Slots

    def __init__(
        self,
        data: ChoiceData,
        individuals: slice,
        situations: slice,
        layout: Slots,
        *,
        is_kept: bool,
        keeps_products: bool,
    ) -> None:
        super().__init__(data, individuals, situations, layout.situations)
        self._layout = layout
        self._is_kept, self._keeps_products = is_kept, keeps_products
        place = np.full(self.n_rows, -1)
        place[layout.rows] = np.arange(layout.n_rows)
        self._entry_place = _short(place[self.entry_row])  # −1 for first alternatives

    @cached_property
    def _kept(self) -> np.ndarray:
        """Attributes in the layout, held in memory."""
        return self._layout.lay_out(self.read())

    @cached_property
    def _kept_products(self) -> np.ndarray:
        """Products of pairs of attributes, held in memory."""
        return _pair_products(self._kept)

    @cached_property
    def _kept_chosen(self) -> np.ndarray:
        """Attributes of what was chosen, against the first alternative, held in memory."""
        return self._read_chosen(slice(None))

    @cached_property
    def _kept_by_individual(self) -> np.ndarray:
        """What individuals chose, held in memory."""
        return self._by_individual(self._kept_chosen)

    def _laid_out(self) -> np.ndarray:
        """Attributes in the layout, (L, rows)."""
        return self._kept if self._is_kept else self._layout.lay_out(self.read())

    @cached_property
    def _kept_offset(self) -> _Offset:
        """Offset in the layout, held in memory."""
        return self._read_offset()

    def _laid_out_offset(self) -> _Offset | None:
        """Offset in the layout."""
        if self._offset is None or self._is_kept:
            return None if self._offset is None else self._kept_offset
        return self._read_offset()

    def _read_offset(self) -> _Offset:
        assert self._offset is not None
        layout, own = self._layout, np.array(self._offset, dtype=float)
        at_first = own[:, self._start[self._order]]
        first = None
        if not np.isfinite(at_first).all():
            first = np.where(np.isfinite(at_first), 0.0, -np.inf)
            own[:, self._start[self._order]] = np.where(np.isfinite(at_first), at_first, 0.0)
        rows = layout.lay_out(own.T)
        chosen = None
        if first is None and np.isfinite(rows).all():
            chosen = self._by_individual(self._of_chosen(rows))
        return _Offset(rows, first, chosen)

    def _chosen(self, which: slice) -> np.ndarray:
        return self._kept_chosen[:, which] if self._is_kept else self._read_chosen(which)

    def _read_chosen(self, which: slice) -> np.ndarray:
        row = self.entry_row[which]
        first = self._start[self._order[self.entry_situation[which]]]
        exog = self.read()
        return np.subtract(exog[row].T, exog[first].T, order="C")

    def _chosen_by_individual(self) -> np.ndarray:
        """Attributes of all that each individual chose, added up, (L, individuals)."""
        if self._is_kept:
            return self._kept_by_individual
        return self._by_individual(self._read_chosen(slice(None)))

    def _choose(
        self, beta: np.ndarray, exog: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """Odds (M, rows), their sums (M, situations), and log-likelihoods (M, individuals).

        Last, what individuals chose (L, individuals), where sums with it keep their digits: not
        where choices are certain but for round-off, nor where many individuals share rows.
        """
        layout, offset = self._layout, self._laid_out_offset()
        # utilities beyond the largest float give nan, which callers see
        with np.errstate(over="ignore", invalid="ignore"):
            odds = beta @ exog
            if offset is not None:
                shifted(odds, offset.rows)
            farthest = max(odds.max(initial=0.0), -odds.min(initial=0.0))
            if self.has_own_rows and farthest < _TAME and (offset is None or not offset.bars):
                chosen = self._chosen_by_individual()
                total = layout.reduce(np.add, np.exp(odds, out=odds), 1.0)
                log_total = np.log(total).take(self.entry_situation, axis=1)
                of_chosen = beta @ chosen
                if offset is not None:
                    shifted(of_chosen, offset.chosen)
                return odds, total, of_chosen - self._by_individual(log_total), chosen
            first = None if offset is None else offset.first_under(len(beta))
            peak = layout.reduce(np.maximum, odds, 0.0 if first is None else -np.inf)
            if first is not None:
                np.maximum(peak, first, out=peak)
            log_p = self._of_chosen(odds, first)
            layout.combine(np.subtract, odds, peak)
            of_first = np.exp(-peak if first is None else first - peak)
            total = layout.reduce(np.add, np.exp(odds, out=odds), 0.0) + of_first
            log_p -= peak[:, self.entry_situation]
            log_p -= np.log(total)[:, self.entry_situation]
            return odds, total, self._by_individual(log_p), None

    def _of_chosen(self, v: np.ndarray, first: np.ndarray | None = None) -> np.ndarray:
        """Values (M, rows) of the rows of all entries, (M, e).

        Those of first alternatives (M, situations) are zero unless they are given.
        """
        is_later = self._entry_place >= 0
        out = np.zeros((len(v), len(is_later)))
        if first is not None:
            out[:] = first[:, self.entry_situation]
        out[:, is_later] = v[:, self._entry_place[is_later]]
        return out

    def log_likelihoods(self, beta: np.ndarray) -> np.ndarray:
        return self._choose(beta, self._laid_out())[2]

    def sweep(
        self, beta: np.ndarray, weigh: Weigh, curvature: bool, collect: Collect | None
    ) -> Sums:
        exog, layout = self._laid_out(), self._layout
        odds, total, log_f, chosen = self._choose(beta, exog)
        weight, sums = weigh(log_f, self.individuals)
        mass = self.situation_mass(weight)  # (M, situations)
        expected = layout.combine(np.multiply, odds, np.divide(mass, total, out=total))
        information = np.zeros((len(beta), 0, 0))
        wants_moments = curvature or collect is not None
        if chosen is None or not wants_moments:
            gradient = self._gradient(weight, expected, exog, chosen)
        if not wants_moments:
            return gradient, information, *sums
        moment, information = self._moments(expected, exog, curvature)
        if chosen is not None:
            gradient = weight @ chosen.T - moment.sum(axis=-1)
        # without mass there is no moment either, and the mean does not matter
        mean = moment / np.maximum(mass, np.finfo(float).tiny)[:, None]
        if collect is not None:
            sums += self._collect(mean, collect)
        if curvature:
            information -= moment @ mean.swapaxes(1, 2)
        return gradient, information, *sums

    def directional(self, beta: np.ndarray, along: np.ndarray, weigh: WeighSlopes) -> Sums:
        exog, layout = self._laid_out(), self._layout
        odds, total, log_f, chosen = self._choose(beta, exog)
        prob = layout.combine(np.divide, odds, total)
        flat = along.reshape(-1, along.shape[-1])
        move = flat @ exog  # of each utility, against the first: (n * M, rows)
        slope = self._of_chosen(move).reshape(*along.shape[:2], -1)
        move = move.reshape(*along.shape[:2], -1)
        mean = layout.reduce(np.add, move * prob, 0.0)
        slope -= mean.take(self.entry_situation, axis=-1)
        weight, change, sums = weigh(log_f, self._by_individual(slope), self.individuals)
        change = change.reshape(len(flat), -1)
        moved = self._change_of_expected(prob, move, mean, weight, change)
        gradient = self._gradient(change, moved, exog, chosen)
        return gradient.reshape(along.shape), *sums

    def _gradient(
        self, weight: np.ndarray, expected: np.ndarray, exog: np.ndarray, chosen: np.ndarray | None
    ) -> np.ndarray:
        """What was chosen less what is expected, (M, L), with ``chosen`` as in `_choose`."""
        if chosen is None:
            return (self._mass_of_later(weight) - expected) @ exog.T
        return weight @ chosen.T - expected @ exog.T

    def _mass_of_later(self, weight: np.ndarray) -> np.ndarray:
        """Weight of the choices of each row of the layout, (M, rows)."""
        is_later = self._entry_place >= 0
        place, owner = self._entry_place[is_later], self.entry_owner[is_later]
        matrix = scipy.sparse.csr_matrix(
            (self.entry_count[is_later], (place, owner)),
            shape=(self._layout.n_rows, self.n_individuals),
        )
        return np.ascontiguousarray((matrix @ weight.T).T)

    def _moments(
        self, expected: np.ndarray, exog: np.ndarray, second: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weighted sums of attributes by situation (M, L, S), and of their products (M, L, L)."""
        layout, n_columns = self._layout, len(expected)
        if not second:
            return layout.totals(expected, exog), np.zeros((n_columns, 0, 0))
        if n_columns > _FEW_COLUMNS and len(exog) < _MANY_ATTRIBUTES:
            products = self._kept_products if self._keeps_products else _pair_products(exog)
            return layout.totals(expected, exog), _unpacked(expected @ products.T, len(exog))
        if len(exog) >= _MANY_ATTRIBUTES:
            return layout.totals(expected, exog), _second_moments(expected, exog)
        # one product for both
        first = np.empty((n_columns, len(exog), self.n_situations))
        information = np.empty((n_columns, len(exog), len(exog)))
        weighted = np.empty_like(exog)
        for m in range(n_columns):
            np.multiply(exog, expected[m], out=weighted)
            first[m] = layout.reduce(np.add, weighted, 0.0)
            np.matmul(weighted, exog.T, out=information[m])
        return first, information

    def _expect(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        exog = self._laid_out()
        odds, total, log_f, _ = self._choose(beta, exog)
        return log_f, self._layout.totals(odds, exog) / total[:, None]

    def means(self, beta: np.ndarray) -> np.ndarray:
        mean = self._expect(beta[None])[1][0]
        return self.take(self._start[self._order]) + mean.T

    def alternatives(self, beta: np.ndarray, weight: np.ndarray) -> Iterator[Alternatives]:
        layout = self._layout
        mass = self.situation_mass(weight[None])[0]
        exog = self._laid_out()
        odds, total, *_ = self._choose(beta[None], exog)
        mean = self._layout.totals(odds, exog)[0] / total[0]
        prob = layout.combine(np.divide, odds, total)[0]
        yield Alternatives(
            layout.combine(np.subtract, exog.copy(), mean).T,
            prob,
            layout.combine(np.add, np.zeros(layout.n_rows), mass),
        )
        first = 1.0 - layout.reduce(np.add, prob, 0.0)
        yield Alternatives(-mean.T, first, mass)


class _LargeSets(Block):
    """A block of large choice sets, whose rows are read piece by piece.

    Attributes are centred at the mean of their situation: adding a constant to a whole situation
    changes nothing, and large offsets cost no digits.
    """

    _layout: Runs

    def __init__(
        self, data: ChoiceData, individuals: slice, situations: slice, step: int, *, is_kept: bool
    ) -> None:
        n_situations = situations.stop - situations.start
        super().__init__(data, individuals, situations, np.arange(n_situations))
        self._layout = Runs(np.diff(self._start))
        self._is_kept = is_kept
        n_rows = self.n_rows
        self._pieces = [slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step)]

    @cached_property
    def _kept_centre(self) -> np.ndarray:
        """Mean attributes of each situation, (L, situations), held in memory."""
        mean = np.zeros((self.n_situations, self._table.shape[1]))
        for rows in self._pieces:
            first = int(self._layout.owner(np.array(rows.start)))
            stop = int(np.searchsorted(self._start, rows.stop))
            begin = np.maximum(self._start[first:stop] - rows.start, 0)
            mean[first:stop] += np.add.reduceat(self.read(rows), begin, axis=0)
        mean /= np.diff(self._start)[:, None]
        return np.ascontiguousarray(mean.T)

    def _centre_of(self, exog: np.ndarray) -> np.ndarray:
        """Mean attributes of each situation, (L, situations), given a piece as it stands.

        Those of all situations may take a sixteenth of the table, which is much if the table is
        not in memory. They are then found anew, unless the block has several pieces.
        """
        if self._is_kept or len(self._pieces) > 1 or isinstance(self._table, np.ndarray):
            return self._kept_centre
        mean = np.add.reduceat(exog, self._start[:-1], axis=0) / np.diff(self._start)[:, None]
        return mean.T

    @cached_property
    def _kept(self) -> dict[int, np.ndarray]:
        """Attributes of every piece by its first row, held in memory."""
        return {rows.start: self._read(rows) for rows in self._pieces}

    def _read(self, rows: slice) -> np.ndarray:
        """Attributes of some rows, centred by situation, (L, rows)."""
        first, last = self._layout.owner(np.array([rows.start, rows.stop - 1]))
        owner = slice(first, first + 1) if first == last else self._layout.owners(rows)
        # products with many attributes need no copy that lies the other way
        exog = self.read(rows)
        order: Literal["C", "K"] = "K" if exog.shape[1] >= _MANY_ATTRIBUTES else "C"
        return np.subtract(exog.T, self._centre_of(exog)[:, owner], order=order)

    def _piece(self, rows: slice) -> np.ndarray:
        """Attributes of a piece, (L, rows)."""
        return self._kept[rows.start] if self._is_kept else self._read(rows)

    def _share_out(self, task: Callable[[slice], Sums], n_columns: int) -> list[np.ndarray]:
        """Do a task for every piece, and add up."""
        work = n_columns * self.n_rows
        return _share_out(task, self._pieces, worthwhile=work >= _LEAST_WORK)

    def _utilities(self, beta: np.ndarray) -> np.ndarray:
        """Utilities under each column, (M, rows)."""
        v = np.empty((len(beta), self.n_rows))

        def fill(rows: slice) -> Sums:
            np.matmul(beta, self._piece(rows), out=v[:, rows])
            return ()

        # those beyond the largest float give nan, which callers see
        with np.errstate(over="ignore", invalid="ignore"):
            self._share_out(fill, len(beta))
        return v

    def _choose(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Choice probabilities, in place of x'beta (M, rows), and log-likelihoods."""
        layout = self._layout
        # of such utilities too
        with np.errstate(over="ignore", invalid="ignore"):
            shifted(v, self._offset)
            layout.combine(np.subtract, v, layout.reduce(np.maximum, v))
            log_p = v.take(self.entry_row, axis=1)
            total = layout.reduce(np.add, np.exp(v, out=v))
            log_p -= np.log(total).take(self.entry_situation, axis=1)
        return layout.combine(np.divide, v, total), self._by_individual(log_p)

    def log_likelihoods(self, beta: np.ndarray) -> np.ndarray:
        return self._choose(self._utilities(beta))[1]

    def sweep(
        self, beta: np.ndarray, weigh: Weigh, curvature: bool, collect: Collect | None
    ) -> Sums:
        layout = self._layout
        prob, log_f = self._choose(self._utilities(beta))
        weight, sums = weigh(log_f, self.individuals)
        mass = self.situation_mass(weight)  # (M, situations)
        chosen = self._chosen_mass(weight)  # (M, rows)
        wants_means = curvature or collect is not None

        def add(rows: slice) -> Sums:
            exog = self._piece(rows)
            mean = layout.totals(prob[:, rows], rows, exog) if wants_means else np.zeros(0)
            expected = prob[:, rows] * mass[:, layout.owners(rows)]
            gradient = (chosen[:, rows] - expected) @ exog.T
            if not curvature:
                return gradient, np.zeros((len(beta), 0, 0)), mean
            return gradient, _second_moments(expected, exog), mean

        gradient, information, mean = self._share_out(add, len(beta))
        if collect is not None:
            sums += self._collect(mean, collect)
        if curvature:
            information -= (mean * mass[:, None]) @ mean.swapaxes(1, 2)
        return gradient, information, *sums

    def directional(self, beta: np.ndarray, along: np.ndarray, weigh: WeighSlopes) -> Sums:
        layout, flat = self._layout, along.reshape(-1, along.shape[-1])
        v = self._utilities(np.concatenate([beta, flat]))
        prob, log_f = self._choose(v[: len(beta)])
        move = v[len(beta) :].reshape(*along.shape[:2], -1)
        mean = layout.reduce(np.add, move * prob)
        slope = move.take(self.entry_row, axis=-1) - mean.take(self.entry_situation, axis=-1)
        weight, change, sums = weigh(log_f, self._by_individual(slope), self.individuals)
        change = change.reshape(len(flat), -1)
        moved = self._change_of_expected(prob, move, mean, weight, change)
        residual = np.subtract(self._chosen_mass(change), moved, out=moved)

        def add(rows: slice) -> Sums:
            return (residual[:, rows] @ self._piece(rows).T,)

        (gradient,) = self._share_out(add, len(flat))
        return gradient.reshape(along.shape), *sums

    @cached_property
    def _choice_matrix(self) -> scipy.sparse.csr_matrix:
        """How often each individual chose each row."""
        return self._sum_entries(self.entry_row, self.n_rows)

    def _chosen_mass(self, weight: np.ndarray) -> np.ndarray:
        """Weight of the choices of each row: C' w, (M, rows)."""
        if not self.has_own_rows:
            return np.ascontiguousarray((self._choice_matrix @ weight.T).T)
        return self._assign(weight, self.entry_row, self.n_rows)

    def _chosen(self, which: slice) -> np.ndarray:
        row, situation = self.entry_row[which], self.entry_situation[which]
        if len(self._pieces) > 1:
            return self.take(row).T - self._kept_centre[:, situation]
        exog = self.read()
        return exog[row].T - self._centre_of(exog)[:, situation]

    def _expect(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        prob, log_f = self._choose(self._utilities(beta))
        return log_f, self._means(prob)

    def _means(self, prob: np.ndarray) -> np.ndarray:
        """Means (M, L, situations) of centred attributes under probabilities (M, rows)."""

        def totals(rows: slice) -> Sums:
            return (self._layout.totals(prob[:, rows], rows, self._piece(rows)),)

        return self._share_out(totals, len(prob))[0]

    def means(self, beta: np.ndarray) -> np.ndarray:
        centre = self._centre_of(self.read(self._pieces[0]))
        return np.ascontiguousarray((centre + self._expect(beta[None])[1][0]).T)

    def alternatives(self, beta: np.ndarray, weight: np.ndarray) -> Iterator[Alternatives]:
        prob, _ = self._choose(self._utilities(beta[None]))
        mean = self._means(prob)[0]
        mass = self.situation_mass(weight[None])[0]
        for rows in self._pieces:
            owner = self._layout.owners(rows)
            deviation = self._piece(rows) - mean[:, owner]
            yield Alternatives(deviation.T, prob[0, rows], mass[owner])


@dataclass(frozen=True, eq=False)
class Occasions:
    """The choices of some individuals: one entry per individual and row that it chose.

    Parameters
    ----------
    individuals : slice
        Which of the N individuals; all their choices are here.
    start : ndarray of int, shape (n,)
        Where the entries of each individual begin.
    count : ndarray, shape (E,)
        How many choices of its individual an entry stands for.
    score : ndarray, shape (E, L)
        Attributes of the chosen row less the mean of its situation under the logit, in the units
        of the attributes: the score of one of these choices.
    """

    individuals: slice
    start: np.ndarray
    count: np.ndarray
    score: np.ndarray


@dataclass(frozen=True, eq=False)
class Alternatives:
    """Some rows of the table under a logit.

    Parameters
    ----------
    deviation : ndarray, shape (r, L)
        Attributes less the mean of their situation under the logit.
    probability : ndarray, shape (r,)
        Choice probability.
    mass : ndarray, shape (r,)
        Weight of the choices made in the situation of each row.
    """

    deviation: np.ndarray
    probability: np.ndarray
    mass: np.ndarray


class Blocks:
    """The rows of choice data, cut into blocks that fit the processor's cache.

    Parameters
    ----------
    data : ChoiceData
    """

    def __init__(self, data: ChoiceData) -> None:
        _keep_scratch()
        self.data = data
        n_attributes = data.n_attributes
        self._has_small_sets = data.n_rows <= _MEAN_SLOTS * data.n_situations
        self._is_wide = n_attributes >= _MANY_ATTRIBUTES
        self._n_pairs = n_attributes * (n_attributes + 1) // 2

    @cached_property
    def many(self) -> list[Block]:
        """Blocks for many columns: the products of pairs of attributes of one fit the cache."""
        return list(self._blocks(self._step_of_many))

    @cached_property
    def long(self) -> list[Block]:
        """Blocks for few columns: long, as calls then cost more than memory does."""
        if not self._has_small_sets:
            return self.many
        step = _CACHE_BYTES // (8 * self.data.n_attributes)
        return list(self._blocks(int(np.clip(step, _MIN_ROWS, _MAX_LONG_ROWS))))

    @cached_property
    def largest_of_many(self) -> int:
        """Rows of the largest block for many columns."""
        return int(np.diff(self._cuts(self._step_of_many)[0]).max())

    @property
    def _step_of_many(self) -> int:
        """Rows that a block for many columns is to have."""
        n_attributes = self.data.n_attributes
        width = (0 if self._is_wide else self._n_pairs) + 3 * n_attributes + 4 * _COLUMNS
        return int(np.clip(_CACHE_BYTES // (8 * width), _MIN_ROWS, _MAX_ROWS))

    def suited_to(self, n_columns: int) -> list[Block]:
        """Give the blocks for so many columns of coefficients."""
        return self.long if n_columns <= _FEW_COLUMNS else self.many

    def add_up(self, task: Callable[[Block], Sums], n_columns: int) -> list[np.ndarray]:
        """Do a task for every block, by several threads if that is worth their while, and add up.

        Parameters
        ----------
        task : callable
            Must bear to run in several threads at once.
        n_columns : int
            Columns of coefficients that it is for.

        Returns
        -------
        list of ndarray
            Sums of what it returns.
        """
        is_worthwhile = self.data.n_rows * n_columns >= _LEAST_WORK
        return _share_out(task, self.suited_to(n_columns), worthwhile=is_worthwhile)

    @cached_property
    def _openings(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows, and individuals, with which a block may begin; last, where the table ends."""
        data, entries = self.data, self.data.entries
        start = data.arrangement.situation_start
        first = np.minimum.reduceat(entries.row, entries.start[:-1])
        last = np.maximum.reduceat(entries.row, entries.start[:-1])
        opening = start[np.searchsorted(start, first, side="right") - 1]
        closing = start[np.searchsorted(start, np.maximum.accumulate(last), side="right")]
        # an individual may open a block when all before it end where it begins
        opens = np.flatnonzero(np.append(True, closing[:-1] <= opening[1:]))
        return np.append(opening[opens], data.n_rows), np.append(opens, data.n_distinct)

    def _cuts(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows, and individuals, with which blocks of about so many rows begin, and the end."""
        row, individual = self._openings
        places = [0]
        while places[-1] < len(row) - 1:
            i = places[-1]
            places.append(max(int(np.searchsorted(row, row[i] + step, side="right")) - 1, i + 1))
        return row[places], individual[places]

    def _blocks(self, step: int) -> Iterator[Block]:
        """Cut the rows into blocks, none of which splits an individual or a situation."""
        data = self.data
        start = data.arrangement.situation_start
        is_kept = data.exog.nbytes <= _KEEP_BYTES
        keeps_products = not self._is_wide and 8 * data.n_rows * self._n_pairs <= _KEEP_BYTES
        shared: dict[tuple[int, int], Slots] = {}  # one layout for all blocks of a balanced table

        def layout_of(sizes: np.ndarray) -> Slots:
            if (sizes != sizes[0]).any():
                return Slots(sizes)
            key = (len(sizes), int(sizes[0]))
            if key not in shared:
                shared[key] = Slots(sizes)
            return shared[key]

        rows, opens = self._cuts(step)
        cuts = np.searchsorted(start, rows)
        for i in range(len(rows) - 1):
            individuals = slice(int(opens[i]), int(opens[i + 1]))
            situations = slice(int(cuts[i]), int(cuts[i + 1]))
            if self._has_small_sets and rows[i + 1] - rows[i] <= 4 * step:
                layout = layout_of(np.diff(start[situations.start : situations.stop + 1]))
                yield _SmallSets(
                    data,
                    individuals,
                    situations,
                    layout,
                    is_kept=is_kept,
                    keeps_products=keeps_products,
                )
            else:
                yield _LargeSets(data, individuals, situations, step, is_kept=is_kept)


def _keep_scratch() -> None:
    """Have the C library keep the memory of arrays that are freed, up to some times a block's.

    Until it has seen one of their size freed, the GNU library asks the system for every array of a
    block anew, and the system clears each page of it: up to a third of the time of a sweep.
    """
    np.empty(4 * _CACHE_BYTES, dtype=np.uint8)


def _share_out(
    task: Callable[[_T], Sums], items: Sequence[_T], *, worthwhile: bool
) -> list[np.ndarray]:
    """Do a task for every item, by several threads if that is worth their while, and add up.

    Items are added in groups that do not depend on the number of threads.
    """
    n_groups = min(len(items), _GROUPS)
    cuts = [len(items) * i // n_groups for i in range(n_groups + 1)]
    groups = [items[a:b] for a, b in itertools.pairwise(cuts)]
    done = in_order(
        lambda group: _add_up(task(item) for item in group),
        groups,
        worthwhile=worthwhile and n_groups > 1,
    )
    return list(_add_up(done))


def _add_up(parts: Iterable[Sums]) -> Sums:
    """Add tuples of arrays, into the arrays of the first."""
    parts = iter(parts)
    total = next(parts)
    for part in parts:
        for t, p in zip(total, part, strict=True):
            np.add(t, p, out=t)
    return total


def _second_moments(weight: np.ndarray, exog: np.ndarray) -> np.ndarray:
    """Sums over rows of weight times x x', given weights (M, rows) and x (L, rows): (M, L, L).

    Weights are not negative.
    """
    n_attributes = len(exog)
    if len(weight) > _FEW_COLUMNS and n_attributes < _MANY_ATTRIBUTES:
        return _unpacked(weight @ _pair_products(exog).T, n_attributes)
    out = np.empty((len(weight), n_attributes, n_attributes))
    scaled = np.empty_like(exog)
    for m, root in enumerate(np.sqrt(weight)):
        np.multiply(exog, root, out=scaled)
        np.matmul(scaled, scaled.T, out=out[m])  # of itself, which is half the work
    return out


def _unpacked(pairs: np.ndarray, n_attributes: int) -> np.ndarray:
    """Symmetric matrices (M, L, L) from their upper triangles, row by row, (M, pairs)."""
    return pairs[:, _places_of_pairs(n_attributes)]


@lru_cache(maxsize=16)
def _places_of_pairs(n_attributes: int) -> np.ndarray:
    """Where the product of attributes a and b stands among the pairs, (L, L)."""
    place = np.empty((n_attributes, n_attributes), dtype=np.intp)
    upper = np.triu_indices(n_attributes)
    place[upper] = place.T[upper] = np.arange(len(upper[0]))
    return place


def _pair_products(exog: np.ndarray) -> np.ndarray:
    """Products x_a x_b for a <= b, (pairs, rows), row by row of the upper triangle."""
    n_attributes, n_rows = exog.shape
    out = np.empty((n_attributes * (n_attributes + 1) // 2, n_rows))
    first = 0
    for a in range(n_attributes):
        n = n_attributes - a
        np.multiply(exog[a], exog[a:], out=out[first : first + n])
        first += n
    return out


def _short(places: np.ndarray) -> np.ndarray:
    """Places in a block in half the memory: there are some for every choice."""
    return places.astype(np.int32 if places.max(initial=0) < 1 << 31 else np.int64)


def _inverse(permutation: np.ndarray) -> np.ndarray:
    """Invert a permutation."""
    out = np.empty(len(permutation), dtype=np.intp)
    out[permutation] = np.arange(len(permutation))
    return out


def _is_distinct(places: np.ndarray, n_places: int) -> bool:
    """Whether no place occurs twice."""
    return bool(np.bincount(places, minlength=n_places).max() <= 1)
