"""The conditional logit for many columns of coefficients at once.

Everything that touches the attribute table is here. `ChoiceTable.sweep` passes over it once:
blocks of rows that hold whole individuals with all their situations, small enough for the
processor's cache, yield log-probabilities of the observed choices, are weighted by the caller,
and add to gradients and curvatures. Nothing of the size of the table times classes is formed.

Inside a block, arrays have one row per column of coefficients and one column per row of the
table, so that sums over classes and products with the table are matrix products. Small choice
sets are laid out slot by slot (the first alternatives of all situations, then the second ones,
...), which turns sums within situations into sums of long vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse

from mixlogit.choices import ChoiceData

__all__ = ["Alternatives", "ChoiceTable", "Occasions", "Sweep"]

_CACHE_BYTES = 1 << 21  # scratch of one block, near the size of the second-level cache
_COLUMNS = 16  # columns of coefficients that a block is sized for
_MIN_ROWS, _MAX_ROWS = 256, 8192
_KEEP_BYTES = 1 << 23  # tables up to this size keep their blocks between sweeps
_SCRATCH_BYTES = 1 << 22  # a sweep may take this much, however small the table
_SCRATCH_ARRAYS = 4  # of (columns, rows of a block), in a sweep
_MEAN_SLOTS = 16.0  # choice sets up to this mean size are laid out by slots
_WIDE = 48  # attributes from which curvature is a product per column, and no pairs are formed

Weigh = Callable[[np.ndarray, slice], np.ndarray]
WeighSlopes = Callable[[np.ndarray, np.ndarray, slice], tuple[np.ndarray, np.ndarray]]
Collect = Callable[[np.ndarray, slice], None]
Parts = Iterable[tuple[slice, np.ndarray]]


class _Slots:
    """Situations of a block sorted by size, their alternatives slot by slot."""

    def __init__(self, sizes: np.ndarray) -> None:
        start = np.cumsum(sizes) - sizes
        self.situations = np.argsort(-sizes, kind="stable")  # place -> situation of the block
        self.lengths = np.array([(sizes > j).sum() for j in range(sizes.max())])
        self.rows = np.concatenate(
            [start[self.situations[:n]] + j for j, n in enumerate(self.lengths)]
        )
        ends = np.cumsum(self.lengths)
        self.slots = [(slice(e - n, e), n) for e, n in zip(ends, self.lengths, strict=True)]
        self.is_balanced = bool(self.lengths[-1] == self.lengths[0])

    def _by_slot(self, v: np.ndarray) -> np.ndarray:
        """View (..., rows) as (..., slots, situations)."""
        return v.reshape(*v.shape[:-1], len(self.lengths), -1)

    def reduce(self, ufunc: np.ufunc, v: np.ndarray) -> np.ndarray:
        """Reduce each situation: (..., rows) -> (..., situations)."""
        if self.is_balanced:
            return ufunc.reduce(self._by_slot(v), axis=-2)
        out = v[..., self.slots[0][0]].copy()
        for rows, n in self.slots[1:]:
            ufunc(out[..., :n], v[..., rows], out=out[..., :n])
        return out

    def combine(
        self, ufunc: np.ufunc, v: np.ndarray, value: np.ndarray, out: np.ndarray
    ) -> np.ndarray:
        """Apply a ufunc to rows and the value of their situation, into ``out``."""
        if self.is_balanced:
            ufunc(self._by_slot(v), value[..., None, :], out=self._by_slot(out))
            return out
        for rows, n in self.slots:
            ufunc(v[..., rows], value[..., :n], out=out[..., rows])
        return out

    def add_means(self, prob: np.ndarray, rows: slice, exog: np.ndarray, mean: np.ndarray) -> None:
        """Add probability-weighted attributes (L, rows) to the means (M, L, situations)."""
        for m in range(len(prob)):
            mean[m] += self.reduce(np.add, prob[m] * exog)


class _Runs:
    """Situations of a block as they stand in the table, for large choice sets."""

    def __init__(self, sizes: np.ndarray) -> None:
        self.sizes = sizes
        self.situations = np.arange(len(sizes))
        self.start = np.append(0, np.cumsum(sizes))
        self.rows = slice(None)

    def reduce(self, ufunc: np.ufunc, v: np.ndarray) -> np.ndarray:
        """Reduce each situation: (..., rows) -> (..., situations)."""
        return ufunc.reduceat(v, self.start[:-1], axis=-1)

    def combine(
        self, ufunc: np.ufunc, v: np.ndarray, value: np.ndarray, out: np.ndarray
    ) -> np.ndarray:
        """Apply a ufunc to rows and the value of their situation, into ``out``."""
        return ufunc(v, np.repeat(value, self.sizes, axis=-1), out=out)

    def add_means(self, prob: np.ndarray, rows: slice, exog: np.ndarray, mean: np.ndarray) -> None:
        """Add probability-weighted attributes (L, rows) to the means (M, L, situations)."""
        s = int(np.searchsorted(self.start, rows.start, side="right")) - 1
        while s < len(self.sizes) and self.start[s] < rows.stop:
            a, b = max(self.start[s], rows.start), min(self.start[s + 1], rows.stop)
            mean[:, :, s] += prob[:, a:b] @ exog[:, a - rows.start : b - rows.start].T
            s += 1


_Layout = _Slots | _Runs


class _Block:
    """Some individuals, all their situations, and the rows of those."""

    def __init__(
        self, data: ChoiceData, individuals: slice, situations: slice, step: int, layout: _Layout
    ) -> None:
        entries = data.entries
        start = data.arrangement.situation_start[situations.start : situations.stop + 1]
        self.exog = data.exog[start[0] : start[-1]]
        self.individuals = individuals
        self.n_individuals = individuals.stop - individuals.start
        self.n_rows, self.n_situations = len(self.exog), situations.stop - situations.start
        self.layout = layout
        self.step = self.n_rows if isinstance(layout, _Slots) else step
        self._start = start - start[0]

        first, last = entries.start[individuals.start], entries.start[individuals.stop]
        self.entry_start = entries.start[individuals] - first
        self.entry_count = entries.count[first:last]
        self.entry_row = entries.row[first:last] - start[0]
        self.entry_owner = np.repeat(
            np.arange(self.n_individuals), np.diff(np.append(self.entry_start, last - first))
        )
        situation = np.searchsorted(self._start, self.entry_row, side="right") - 1
        self.entry_situation = _inverse(self.layout.situations)[situation]
        self.entry_place = (
            _inverse(self.layout.rows)[self.entry_row]
            if isinstance(self.layout, _Slots)
            else self.entry_row
        )
        # where no two entries meet, C' w is an assignment
        self.has_own_rows = _is_distinct(self.entry_place, self.n_rows)
        self.has_own_situations = _is_distinct(self.entry_situation, self.n_situations)

    @cached_property
    def choice_matrix(self) -> scipy.sparse.csr_matrix:
        """How often each individual chose each row, (individuals, rows)."""
        return self._sum_entries(self.entry_place, self.n_rows)

    @cached_property
    def situation_matrix(self) -> scipy.sparse.csr_matrix:
        """How often each individual chose in each situation, (individuals, situations)."""
        return self._sum_entries(self.entry_situation, self.n_situations)

    def _sum_entries(self, column: np.ndarray, n_columns: int) -> scipy.sparse.csr_matrix:
        """Sum entries into a sparse matrix with a row per individual."""
        return scipy.sparse.csr_matrix(
            (self.entry_count, (self.entry_owner, column)), shape=(self.n_individuals, n_columns)
        )

    def centre(self) -> np.ndarray:
        """Mean attributes of each situation, (L, situations); kept where situations are large."""
        return self._find_centre() if isinstance(self.layout, _Slots) else self._kept_centre

    @cached_property
    def _kept_centre(self) -> np.ndarray:
        """The mean attributes, held in memory."""
        return self._find_centre()

    def _find_centre(self) -> np.ndarray:
        """Mean attributes of each situation, (L, situations), in one pass over the block."""
        mean = np.add.reduceat(self.exog, self._start[:-1], axis=0)
        mean /= np.diff(self._start)[:, None]
        return np.ascontiguousarray(mean[self.layout.situations].T)

    def parts(self) -> Parts:
        """Yield pieces that fit the cache: places in the layout, and attributes (L, rows).

        Attributes are centred at the mean of their situation: adding a constant to a whole
        situation changes nothing, and large offsets cost no digits.
        """
        if isinstance(self.layout, _Slots):
            exog = np.ascontiguousarray(self.exog[self.layout.rows].T)
            self.layout.combine(np.subtract, exog, self.centre(), out=exog)
            yield slice(0, self.n_rows), exog
            return
        owner = np.repeat(np.arange(self.n_situations), self.layout.sizes)
        centre = self.centre()
        is_wide = len(centre) >= _WIDE
        by_row = np.ascontiguousarray(centre.T) if is_wide else centre
        for i in range(0, self.n_rows, self.step):
            rows = slice(i, min(i + self.step, self.n_rows))
            if is_wide:  # products with wide rows need no transposed copy of them
                yield rows, (self.exog[rows] - _rows_of(by_row, owner[rows])).T
            else:
                yield rows, np.subtract(self.exog[rows].T, centre[:, owner[rows]], order="C")

    @cached_property
    def kept_parts(self) -> list[tuple[slice, np.ndarray]]:
        """The parts, held in memory."""
        return list(self.parts())

    def log_probabilities(self, beta: np.ndarray, parts: Parts) -> np.ndarray:
        """Log choice probabilities under each column, (M, rows)."""
        v = np.empty((len(beta), self.n_rows))
        layout = self.layout
        # utilities beyond the largest float give nan, which callers see in the log-likelihood
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for rows, exog in parts:
                np.matmul(beta, exog, out=v[:, rows])
            layout.combine(np.subtract, v, layout.reduce(np.maximum, v), out=v)
            log_total = np.log(layout.reduce(np.add, np.exp(v)))
        return layout.combine(np.subtract, v, log_total, out=v)

    def log_probabilities_along(
        self, lines: np.ndarray, n_columns: int, parts: Parts
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log choice probabilities under the first lines, and utilities along the others."""
        v = np.empty((len(lines), self.n_rows))
        layout = self.layout
        for rows, exog in parts:
            np.matmul(lines, exog, out=v[:, rows])
        log_prob, move = v[:n_columns], v[n_columns:]
        layout.combine(np.subtract, log_prob, layout.reduce(np.maximum, log_prob), out=log_prob)
        with np.errstate(under="ignore"):
            log_total = np.log(layout.reduce(np.add, np.exp(log_prob)))
        return layout.combine(np.subtract, log_prob, log_total, out=log_prob), move

    def log_likelihoods(self, log_prob: np.ndarray) -> np.ndarray:
        """Log-probability of all choices of each individual, (M, individuals)."""
        chosen = log_prob[:, self.entry_place]
        chosen *= self.entry_count
        return np.add.reduceat(chosen, self.entry_start, axis=1)

    def chosen_mass(self, weight: np.ndarray) -> np.ndarray:
        """Weight of the choices of each row: C' w, (M, rows)."""
        if not self.has_own_rows:
            return np.ascontiguousarray((self.choice_matrix.T @ weight.T).T)
        return self._assign(weight, self.entry_place, self.n_rows)

    def situation_mass(self, weight: np.ndarray) -> np.ndarray:
        """Weight of the choices made in each situation, (M, situations)."""
        if not self.has_own_situations:
            return np.ascontiguousarray((self.situation_matrix.T @ weight.T).T)
        return self._assign(weight, self.entry_situation, self.n_situations)

    def _assign(self, weight: np.ndarray, place: np.ndarray, n_places: int) -> np.ndarray:
        """Put the weight of each entry in its place, (M, places)."""
        out = np.zeros((len(weight), n_places))
        out[:, place] = weight[:, self.entry_owner] * self.entry_count
        return out

    def scores(self, mean: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield some individuals and their scores (n, M, L), given the means (M, L, situations)."""
        n_columns, n_attributes, _ = mean.shape
        flat = mean.reshape(-1, self.n_situations).T  # (situations, M * L)
        ends = np.append(self.entry_start, len(self.entry_row))
        centre = self.centre()
        # pieces of wide scores are as large as pays in products with their own transpose
        step = max(self.step // n_columns, _MIN_ROWS if n_attributes >= _WIDE else 1)
        for i in range(0, self.n_individuals, step):
            stop = min(i + step, self.n_individuals)
            which = slice(ends[i], ends[stop])
            chosen = self.exog[self.entry_row[which]] - centre[:, self.entry_situation[which]].T
            chosen *= self.entry_count[which, None]
            observed = np.add.reduceat(chosen, self.entry_start[i:stop] - ends[i], axis=0)
            expected = (self.situation_matrix[i:stop] @ flat).reshape(-1, n_columns, n_attributes)
            first = self.individuals.start
            yield slice(first + i, first + stop), observed[:, None, :] - expected

    def expectation(self, beta: np.ndarray, parts: Parts) -> tuple[np.ndarray, np.ndarray]:
        """Choice probabilities (M, rows), and means (M, L, situations) of centred attributes."""
        prob = self.log_probabilities(beta, parts)
        np.exp(prob, out=prob)
        mean = np.zeros((*beta.shape, self.n_situations))
        for rows, exog in parts:
            self.layout.add_means(prob, rows, exog, mean)
        return prob, mean

    def occasions(self, mean: np.ndarray) -> Iterator[Occasions]:
        """Yield the choices of some individuals, given the means (L, situations)."""
        expected = np.ascontiguousarray((self.centre() + mean).T)  # (situations, L)
        # not the step of the block: a table of few rows may be shared by many individuals
        step = int(np.clip(_CACHE_BYTES // (32 * len(mean)), _MIN_ROWS, _MAX_ROWS))
        ends = np.append(self.entry_start, len(self.entry_row))
        i = 0
        while i < self.n_individuals:
            stop = max(int(np.searchsorted(ends, ends[i] + step, side="right")) - 1, i + 1)
            which = slice(ends[i], ends[stop])
            score = self.exog[self.entry_row[which]] - expected[self.entry_situation[which]]
            first = self.individuals.start
            yield Occasions(
                slice(first + i, first + stop),
                self.entry_start[i:stop] - ends[i],
                self.entry_count[which],
                score,
            )
            i = stop

    def alternatives(
        self, prob: np.ndarray, mean: np.ndarray, mass: np.ndarray, parts: Parts
    ) -> Iterator[Alternatives]:
        """Yield some rows, given probabilities (rows,), means (L, situations) and their mass."""
        place = np.arange(self.n_situations, dtype=float)
        owner = self.layout.combine(
            np.add, np.zeros(self.n_rows), place, out=np.empty(self.n_rows)
        ).astype(np.intp)
        for rows, exog in parts:
            deviation = exog - mean[:, owner[rows]]
            yield Alternatives(deviation.T, prob[rows], mass[owner[rows]])


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


@dataclass(frozen=True)
class Sweep:
    """What one pass over the table adds up.

    Parameters
    ----------
    gradient : ndarray, shape (M, L)
        Sum over individuals of weight times score, for each column of coefficients.
    curvature : ndarray, shape (M, L, L)
        Sum of weight times information, the negative Hessian of the weighted logit; of shape
        (M, 0, 0) when it was not asked for.
    """

    gradient: np.ndarray
    curvature: np.ndarray


class ChoiceTable:
    """The attribute table of choice data, cut into blocks for sweeps.

    Parameters
    ----------
    data : ChoiceData
    """

    def __init__(self, data: ChoiceData) -> None:
        self.data = data
        n_attributes = data.n_attributes
        self.n_pairs = n_attributes * (n_attributes + 1) // 2
        self._is_kept = data.exog.nbytes <= _KEEP_BYTES
        self._blocks = list(self._cut())
        self._unpack = np.empty((n_attributes, n_attributes), dtype=np.intp)
        upper = np.triu_indices(n_attributes)
        self._unpack[upper] = self._unpack.T[upper] = np.arange(self.n_pairs)

    def _cut(self) -> Iterator[_Block]:
        """Cut the rows into blocks, none of which splits an individual or a situation."""
        data, entries = self.data, self.data.entries
        start = data.arrangement.situation_start
        is_wide = data.n_attributes >= _WIDE
        width = (0 if is_wide else self.n_pairs) + 3 * data.n_attributes + 4 * _COLUMNS
        step = int(np.clip(_CACHE_BYTES // (8 * width), _MIN_ROWS, _MAX_ROWS))
        has_small_sets = data.n_rows <= _MEAN_SLOTS * data.n_situations

        first = np.minimum.reduceat(entries.row, entries.start[:-1])
        last = np.maximum.reduceat(entries.row, entries.start[:-1])
        opening = start[np.searchsorted(start, first, side="right") - 1]
        closing = start[np.searchsorted(start, np.maximum.accumulate(last), side="right")]
        # an individual may open a block when all before it end where it begins
        opens = np.flatnonzero(np.append(True, closing[:-1] <= opening[1:]))
        row = np.append(opening[opens], data.n_rows)
        opens = np.append(opens, data.n_distinct)
        shared: dict[tuple[int, int], _Slots] = {}  # one layout for all blocks of a balanced table

        def layout_of(sizes: np.ndarray) -> _Slots:
            if (sizes != sizes[0]).any():
                return _Slots(sizes)
            key = (len(sizes), int(sizes[0]))
            if key not in shared:
                shared[key] = _Slots(sizes)
            return shared[key]

        i = 0
        while i < len(opens) - 1:
            j = max(int(np.searchsorted(row, row[i] + step, side="right")) - 1, i + 1)
            situations = slice(*np.searchsorted(start, [row[i], row[j]]).tolist())
            sizes = np.diff(start[situations.start : situations.stop + 1])
            by_slots = has_small_sets and row[j] - row[i] <= 4 * step
            layout = layout_of(sizes) if by_slots else _Runs(sizes)
            yield _Block(data, slice(int(opens[i]), int(opens[j])), situations, step, layout)
            i = j

    @property
    def columns_at_once(self) -> int:
        """Columns of coefficients whose scratch takes no more than half of the attributes."""
        largest = max(block.n_rows for block in self._blocks)
        budget = max(_SCRATCH_BYTES, self.data.exog.nbytes // 2)
        return max(int(budget / (8 * _SCRATCH_ARRAYS * largest)), 1)

    def sweep(
        self,
        beta: np.ndarray,
        weigh: Weigh,
        *,
        curvature: bool = True,
        collect: Collect | None = None,
    ) -> Sweep:
        """Pass over the table once, for all columns of coefficients.

        Parameters
        ----------
        beta : ndarray, shape (M, L)
            Columns of coefficients: classes, times starts.
        weigh : callable
            ``weigh(log_f, individuals)`` receives the log-probability (M, n) of all choices of
            the individuals in a slice, under each column, and returns their weights (M, n).
        curvature : bool
            Whether to add up curvatures.
        collect : callable, optional
            ``collect(score, individuals)`` receives the scores (n, M, L) of some individuals,
            after ``weigh`` has seen them.

        Returns
        -------
        Sweep
        """
        n_columns, n_attributes = beta.shape
        gradient = np.zeros((n_columns, n_attributes))
        within = self._no_moments(n_columns if curvature else 0)
        between = np.zeros((n_columns, *2 * [n_attributes if curvature else 0]))
        for block, parts in self._walk():
            log_prob = block.log_probabilities(beta, parts)  # (M, rows)
            weight = weigh(block.log_likelihoods(log_prob), block.individuals)
            prob = np.exp(log_prob, out=log_prob)
            mass = block.situation_mass(weight)  # (M, situations)
            expected = block.layout.combine(np.multiply, prob, mass, out=np.empty_like(prob))
            residual = block.chosen_mass(weight)
            residual -= expected
            mean = np.zeros((n_columns, n_attributes, block.n_situations))
            for rows, exog in parts:
                gradient += residual[:, rows] @ exog.T
                if curvature:
                    self._add_moments(within, expected[:, rows], exog)
                if curvature or collect is not None:
                    block.layout.add_means(prob, rows, exog, mean)
            if curvature:
                scaled = mean * np.sqrt(mass)[:, None, :]
                between += scaled @ scaled.swapaxes(1, 2)
            if collect is not None:
                for individuals, score in block.scores(mean):
                    collect(score, individuals)
        return Sweep(gradient, self._unpacked(within) - between if curvature else between)

    def log_likelihoods(self, beta: np.ndarray) -> np.ndarray:
        """Log-probability of the choices of each individual under each column.

        Parameters
        ----------
        beta : ndarray, shape (M, L)

        Returns
        -------
        ndarray, shape (M, N)
        """
        out = np.empty((len(beta), self.data.n_distinct))
        for block, parts in self._walk():
            out[:, block.individuals] = block.log_likelihoods(block.log_probabilities(beta, parts))
        return out

    def scores(self, beta: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Pass over the table once and yield the scores of some individuals at a time.

        Parameters
        ----------
        beta : ndarray, shape (M, L)

        Yields
        ------
        individuals : slice
            Which of the N individuals.
        log_f : ndarray, shape (M, n)
            Log-probability of all their choices under each column.
        score : ndarray, shape (n, M, L)
            Its derivatives.
        """
        for block, parts in self._walk():
            log_prob = block.log_probabilities(beta, parts)
            log_f = block.log_likelihoods(log_prob)
            prob, mean = np.exp(log_prob, out=log_prob), np.zeros((*beta.shape, block.n_situations))
            for rows, exog in parts:
                block.layout.add_means(prob, rows, exog, mean)
            first = block.individuals.start
            for individuals, score in block.scores(mean):
                place = slice(individuals.start - first, individuals.stop - first)
                yield individuals, log_f[:, place], score

    def occasions(self, beta: np.ndarray) -> Iterator[Occasions]:
        """Pass over the table once and yield every choice with its score.

        Counts are not expanded: choices of the same row by the same individual are one entry.

        Parameters
        ----------
        beta : ndarray, shape (L,)
            Coefficients of the logit at which scores are taken.

        Yields
        ------
        Occasions
            Of consecutive individuals, as many as fit the cache, and one at least.
        """
        for block, parts in self._walk():
            _, mean = block.expectation(beta[None], parts)
            yield from block.occasions(mean[0])

    def alternatives(self, beta: np.ndarray, weight: np.ndarray) -> Iterator[Alternatives]:
        """Pass over the table once and yield every row, in no particular order.

        Parameters
        ----------
        beta : ndarray, shape (L,)
            Coefficients of the logit that gives means and probabilities.
        weight : ndarray, shape (N,)
            Weight of the choices of each individual.

        Yields
        ------
        Alternatives
            As many rows as fit the cache.
        """
        for block, parts in self._walk():
            prob, mean = block.expectation(beta[None], parts)
            mass = block.situation_mass(weight[None, block.individuals])
            yield from block.alternatives(prob[0], mean[0], mass[0], parts)

    def directional(self, beta: np.ndarray, along: np.ndarray, weigh: WeighSlopes) -> np.ndarray:
        """Derivatives of weighted scores along directions of the coefficients, in one pass.

        No matrix of attributes by attributes is formed, nor are the scores of individuals.

        Parameters
        ----------
        beta : ndarray, shape (M, L)
            Columns of coefficients.
        along : ndarray, shape (n, M, L)
            Directions in which all columns move together.
        weigh : callable
            ``weigh(log_f, slope, individuals)`` receives the log-probability (M, n) of all choices
            of the individuals in a slice, under each column, and its derivatives along the
            directions, (n, M, n). It returns weights (M, n) and their derivatives (n, M, n).

        Returns
        -------
        ndarray, shape (n, M, L)
            Sum over individuals of the derivative of weight times score.
        """
        n_directions, n_columns, n_attributes = along.shape
        lines = np.concatenate([beta, along.reshape(-1, n_attributes)])
        out = np.zeros((n_directions * n_columns, n_attributes))
        for block, parts in self._walk():
            layout, shape = block.layout, (n_directions, n_columns, -1)
            log_prob, move = block.log_probabilities_along(lines, n_columns, parts)
            prob = np.exp(log_prob)
            mean = layout.reduce(np.add, (move.reshape(shape) * prob).reshape(move.shape))
            move = layout.combine(np.subtract, move, mean, out=move)  # of each log-probability
            weight, change = weigh(
                block.log_likelihoods(log_prob),
                block.log_likelihoods(move).reshape(shape),
                block.individuals,
            )
            change = change.reshape(n_directions * n_columns, -1)
            mass = layout.combine(
                np.multiply, prob, block.situation_mass(weight), out=np.empty_like(prob)
            )
            move = (move.reshape(shape) * mass).reshape(move.shape)
            mass = block.situation_mass(change)
            prob = np.broadcast_to(prob, (n_directions, *prob.shape)).reshape(move.shape)
            move += layout.combine(np.multiply, prob, mass, out=np.empty_like(move))
            move = np.subtract(block.chosen_mass(change), move, out=move)
            for rows, exog in parts:
                out += move[:, rows] @ exog.T
        return out.reshape(along.shape)

    def _no_moments(self, n_columns: int) -> np.ndarray:
        """Second moments of no rows: packed by pairs, or (M, L, L) in a wide table."""
        n_attributes = self.data.n_attributes
        if n_attributes < _WIDE:
            return np.zeros((n_columns, self.n_pairs))
        return np.zeros((n_columns, n_attributes, n_attributes))

    def _add_moments(self, moments: np.ndarray, weight: np.ndarray, exog: np.ndarray) -> None:
        """Add the second moments of attributes (L, rows) under weights (M, rows), none negative."""
        if moments.ndim == 2:
            moments += weight @ _pair_products(exog, self.n_pairs).T
            return
        for total, root in zip(moments, np.sqrt(weight), strict=True):
            scaled = exog * root
            total += scaled @ scaled.T

    def _unpacked(self, moments: np.ndarray) -> np.ndarray:
        """Second moments as matrices, (M, L, L)."""
        return moments[:, self._unpack] if moments.ndim == 2 else moments

    def _walk(self) -> Iterator[tuple[_Block, Parts]]:
        """Yield blocks with their parts, which may be passed over more than once."""
        for block in self._blocks:
            if self._is_kept:
                yield block, block.kept_parts
            elif block.n_rows <= block.step:
                yield block, list(block.parts())
            else:
                yield block, _Again(block)


class _Again:
    """The parts of a block too large to hold: made anew on each pass."""

    def __init__(self, block: _Block) -> None:
        self._block = block

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        return iter(self._block.parts())


def _pair_products(exog: np.ndarray, n_pairs: int) -> np.ndarray:
    """Products x_a x_b for a <= b, (n_pairs, rows), row by row of the upper triangle."""
    n_attributes, n_rows = exog.shape
    out = np.empty((n_pairs, n_rows))
    first = 0
    for a in range(n_attributes):
        n = n_attributes - a
        np.multiply(exog[a], exog[a:], out=out[first : first + n])
        first += n
    return out


def _rows_of(matrix: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Rows of a matrix by number; a single one, to be repeated, where all are the same."""
    return matrix[which[:1]] if which[0] == which[-1] else matrix[which]


def _inverse(permutation: np.ndarray) -> np.ndarray:
    """Invert a permutation."""
    out = np.empty(len(permutation), dtype=np.intp)
    out[permutation] = np.arange(len(permutation))
    return out


def _is_distinct(places: np.ndarray, n_places: int) -> bool:
    """Whether no place occurs twice."""
    return bool(np.bincount(places, minlength=n_places).max() <= 1)
