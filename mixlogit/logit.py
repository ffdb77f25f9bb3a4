"""The conditional logit for many columns of coefficients at once.

`ChoiceTable.sweep` passes over the attribute table once: blocks of rows that fit the processor's
cache yield log-probabilities of the observed choices, are weighted by the caller, and add to
gradients and curvatures. Nothing of the size of the table times classes is formed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mixlogit.blocks import (
    Alternatives,
    Block,
    Blocks,
    Collect,
    Occasions,
    Sums,
    Weigh,
    WeighSlopes,
)
from mixlogit.choices import ChoiceData
from mixlogit.offsets import shared_offset

__all__ = ["ChoiceTable", "Sweep"]

_SCRATCH_BYTES = 1 << 22  # a sweep may take this much, however small the table
_SCRATCH_ARRAYS = 4  # of (columns, rows of a block), in a sweep


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
    sums : tuple of ndarray
        What the caller's functions returned, added up.
    """

    gradient: np.ndarray
    curvature: np.ndarray
    sums: Sums


class ChoiceTable:
    """The attribute table of choice data, and passes over it.

    Where classes have rows of their own, columns of coefficients are those of all K classes, once
    or several times over.

    Parameters
    ----------
    data : ChoiceData
    """

    def __init__(self, data: ChoiceData) -> None:
        self.data = data
        self._blocks = Blocks(data)
        self._plain: ChoiceTable | None = None

    @property
    def plain(self) -> ChoiceTable:
        """The same table for any number of columns, where classes have rows of their own."""
        if not self.data.has_class_sets:
            return self
        if self._plain is None:
            self._plain = ChoiceTable(replace(self.data, offset=shared_offset(self.data.offset)))
        return self._plain

    @property
    def columns_at_once(self) -> int:
        """Columns of coefficients whose scratch takes no more than half of the attributes."""
        budget = max(_SCRATCH_BYTES, self.data.exog.nbytes // 2)
        return max(int(budget / (8 * _SCRATCH_ARRAYS * self._blocks.largest_of_many)), 1)

    def sweep(
        self,
        beta: np.ndarray,
        weigh: Weigh,
        *,
        curvature: bool = True,
        collect: Collect | None = None,
    ) -> Sweep:
        """Pass over the table once, for all columns of coefficients.

        Blocks may be done by several threads at once, so both functions must keep to the
        individuals that they are given.

        Parameters
        ----------
        beta : ndarray, shape (M, L)
            Columns of coefficients: classes, times starts.
        weigh : callable
            ``weigh(log_f, individuals)`` receives the log-probability (M, n) of all choices of
            the individuals in a slice, under each column, and returns their weights (M, n), none
            negative, and a tuple of arrays that are added up over individuals.
        curvature : bool
            Whether to add up curvatures.
        collect : callable, optional
            ``collect(score, individuals)`` receives the scores (M, L, n) of some individuals,
            after ``weigh`` has seen them, and returns a tuple of arrays to be added up.

        Returns
        -------
        Sweep
        """
        gradient, information, *sums = self._blocks.add_up(
            lambda block: block.sweep(beta, weigh, curvature, collect), len(beta)
        )
        return Sweep(gradient, information, tuple(sums))

    def directional(
        self, beta: np.ndarray, along: np.ndarray, weigh: WeighSlopes
    ) -> tuple[np.ndarray, Sums]:
        """Derivatives of weighted scores along directions of the coefficients, in one pass.

        No matrix of attributes by attributes is formed, nor are the scores of individuals.

        Parameters
        ----------
        beta : ndarray, shape (M, L)
            Columns of coefficients.
        along : ndarray, shape (n, M, L)
            Directions in which all columns move together.
        weigh : callable
            ``weigh(log_f, slope, individuals)`` receives the log-probability (M, i) of all choices
            of the individuals in a slice, under each column, and its derivatives along the
            directions, (n, M, i). It returns weights (M, i), their derivatives (n, M, i), and a
            tuple of arrays that are added up over individuals.

        Returns
        -------
        derivative : ndarray, shape (n, M, L)
            Sum over individuals of the derivative of weight times score.
        sums : tuple of ndarray
            What ``weigh`` returned, added up.
        """
        n_columns = len(beta) * (1 + len(along))
        derivative, *sums = self._blocks.add_up(
            lambda block: block.directional(beta, along, weigh), n_columns
        )
        return derivative, tuple(sums)

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

        def fill(block: Block) -> Sums:
            out[:, block.individuals] = block.log_likelihoods(beta)
            return ()

        self._blocks.add_up(fill, len(beta))
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
        score : ndarray, shape (M, L, n)
            Its derivatives.
        """
        for block in self._blocks.suited_to(len(beta)):
            yield from block.scores(beta)

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
        for block in self._blocks.long:
            yield from block.occasions(beta)

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
        for block in self._blocks.long:
            yield from block.alternatives(beta, weight[block.individuals])
