"""Where the rows of a block stand, and sums within situations.

Small choice sets are laid out slot by slot (the first alternatives of all situations, then the
second ones, ...), which turns sums within situations into sums of long vectors. Large ones stay as
they stand in the table.
"""

from __future__ import annotations

import itertools
from typing import Protocol

import numpy as np

__all__ = ["Layout", "Runs", "Slots"]


class Layout(Protocol):
    """How rows are arranged by situation."""

    def combine(self, ufunc: np.ufunc, v: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Apply a ufunc to rows and the value of their situation, in place."""
        ...


class Slots:
    """Small choice sets, alternative by alternative, each against the first of its situation.

    Situations are sorted by size, and rows by their slot: the second alternatives of all
    situations, then the third ones, and so on. Attributes are differences from the first
    alternative, whose utility is zero: a constant added to a whole situation changes nothing, and
    large offsets cost no digits.

    Parameters
    ----------
    sizes : ndarray of int, shape (S,)
        Number of alternatives of each situation.
    """

    def __init__(self, sizes: np.ndarray) -> None:
        self.n_situations = len(sizes)
        self.situations = np.argsort(-sizes, kind="stable")  # place -> situation of the block
        self._first = (np.cumsum(sizes) - sizes)[self.situations]
        lengths = [int((sizes > j).sum()) for j in range(1, sizes.max())]
        ends = np.cumsum(lengths, dtype=int)
        self._slots = [(slice(e - n, e), n) for e, n in zip(ends, lengths, strict=True)]
        self.n_rows = sum(lengths)
        self._is_balanced = all(n == self.n_situations for n in lengths)

    @property
    def rows(self) -> np.ndarray:
        """Rows of the block in this order, without the first alternatives."""
        later = [self._first[:n] + j for j, (_, n) in enumerate(self._slots, start=1)]
        return np.concatenate([np.zeros(0, dtype=int), *later])

    def _by_slot(self, v: np.ndarray) -> np.ndarray:
        """View (..., rows) as (..., slots, situations)."""
        return v.reshape(*v.shape[:-1], len(self._slots), self.n_situations)

    def reduce(self, ufunc: np.ufunc, v: np.ndarray, first: float) -> np.ndarray:
        """Reduce each situation, given the value of first alternatives: (..., situations)."""
        if self._is_balanced:
            out = ufunc.reduce(self._by_slot(v), axis=-2, initial=first)
            return np.asarray(out)
        out = np.full((*v.shape[:-1], self.n_situations), first)
        for rows, n in self._slots:
            ufunc(out[..., :n], v[..., rows], out=out[..., :n])
        return out

    def combine(self, ufunc: np.ufunc, v: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Apply a ufunc to rows and the value of their situation, in place."""
        if self._is_balanced:
            by_slot = self._by_slot(v)
            ufunc(by_slot, value[..., None, :], out=by_slot)
            return v
        for rows, n in self._slots:
            ufunc(v[..., rows], value[..., :n], out=v[..., rows])
        return v

    def totals(self, weight: np.ndarray, exog: np.ndarray) -> np.ndarray:
        """Sums by situation of attributes (L, rows) times weights (M, rows): (M, L, S)."""
        if self._is_balanced:
            return np.einsum("mjs,ljs->mls", self._by_slot(weight), self._by_slot(exog))
        if len(weight) >= len(self._slots):
            return np.array([self.reduce(np.add, w * exog, 0.0) for w in weight])
        out = np.zeros((len(weight), len(exog), self.n_situations))
        for rows, n in self._slots:
            out[..., :n] += weight[:, None, rows] * exog[:, rows]
        return out

    def lay_out(self, exog: np.ndarray) -> np.ndarray:
        """Attributes (rows, L) of the table in this order, against the first: (L, rows)."""
        n_attributes = exog.shape[1]
        out = np.empty((n_attributes, self.n_rows))
        if self._is_balanced:
            cube = exog.reshape(self.n_situations, -1, n_attributes).transpose(2, 1, 0)
            np.subtract(cube[:, 1:], cube[:, :1], out=self._by_slot(out))
            return out
        for j, (rows, n) in enumerate(self._slots, start=1):
            first = self._first[:n]
            np.subtract(exog[first + j].T, exog[first].T, out=out[:, rows])
        return out


class Runs:
    """Large choice sets as they stand in the table.

    Parameters
    ----------
    sizes : ndarray of int, shape (S,)
        Number of alternatives of each situation.
    """

    def __init__(self, sizes: np.ndarray) -> None:
        self.situations = np.arange(len(sizes))
        self._start = np.append(0, np.cumsum(sizes))

    def reduce(self, ufunc: np.ufunc, v: np.ndarray) -> np.ndarray:
        """Reduce each situation: (..., rows) -> (..., situations)."""
        return ufunc.reduceat(v, self._start[:-1], axis=-1)

    def combine(self, ufunc: np.ufunc, v: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Apply a ufunc to rows and the value of their situation, in place."""
        for s, (a, b) in enumerate(itertools.pairwise(self._start)):
            ufunc(v[..., a:b], value[..., s : s + 1], out=v[..., a:b])
        return v

    def totals(self, weight: np.ndarray, rows: slice, exog: np.ndarray) -> np.ndarray:
        """Sums by situation of attributes (L, rows) times weights (M, rows): (M, L, S)."""
        out = np.zeros((len(weight), len(exog), len(self.situations)))
        first, last = self.owner(np.array([rows.start, rows.stop - 1]))
        for s in range(first, last + 1):
            a, b = max(self._start[s], rows.start), min(self._start[s + 1], rows.stop)
            own = slice(a - rows.start, b - rows.start)
            out[:, :, s] = weight[:, own] @ exog[:, own].T
        return out

    def owner(self, rows: np.ndarray) -> np.ndarray:
        """Situations of rows of the block."""
        return np.searchsorted(self._start, rows, side="right") - 1

    def owners(self, rows: slice) -> np.ndarray:
        """Situations of consecutive rows of the block."""
        return self.owner(np.arange(rows.start, rows.stop))
