"""The logit of constants of alternatives alone, which attributes are measured by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse

from mixlogit.choices import ChoiceData
from mixlogit.newton import conjugate_gradients, maximise

__all__ = ["constants_log_likelihood"]

_ENOUGH = 1e-12  # of the log-likelihood: constants that diverge do so for ever


def constants_log_likelihood(data: ChoiceData) -> float:
    """Maximum of the log-likelihood of one logit whose only attributes are constants.

    Parameters
    ----------
    data : ChoiceData

    Returns
    -------
    float
        sum_j n_j log(n_j / N) where all choice sets are the same, with n_j the weighted choices
        of alternative j; found by Newton's method where they differ, or where an offset is added
        to utilities. nan without a column of alternatives.

    Notes
    -----
    An alternative that nobody chose has a constant of minus infinity, and leaves the choice sets.
    """
    codes = data.arrangement.alternative_codes
    if codes is None:
        return float("nan")
    entries = data.entries
    amount = entries.count * np.repeat(data.total_weight, np.diff(entries.start))
    chosen = np.bincount(codes[entries.row], weights=amount, minlength=int(codes.max()) + 1)
    number = np.bincount(
        data.situation_of(entries.row), weights=amount, minlength=data.n_situations
    )
    start, is_chosen = data.arrangement.situation_start, chosen > 0
    if data.offset is not None:
        offset = np.asarray(data.offset, dtype=float).max(axis=0)  # of a class where it is largest
        own = _Sets.of(codes, np.diff(start), number, is_chosen, offset)
        return float(amount @ offset[entries.row]) + _maximum(own, chosen[is_chosen])
    members, sizes, times = _distinct_sets(codes, start, number)
    if len(sizes) == 1:
        share = chosen[is_chosen] / chosen.sum()
        return float(chosen[is_chosen] @ np.log(share))
    return _maximum(_Sets.of(members, sizes, times, is_chosen), chosen[is_chosen])


def _distinct_sets(
    codes: np.ndarray, start: np.ndarray, number: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Alternatives of the distinct choice sets, their sizes, and the choices made from each."""
    members, sizes, times = [], [], []
    size_of = np.diff(start)
    for size in np.unique(size_of):
        same = np.flatnonzero(size_of == size)
        own = codes[start[same][:, None] + np.arange(size)]
        unique, which = own[:1], np.zeros(len(own), dtype=np.intp)
        if (own != own[0]).any():
            unique, which = np.unique(own, axis=0, return_inverse=True)
        members.append(unique.ravel())
        sizes.append(np.full(len(unique), size))
        times.append(np.bincount(which.ravel(), weights=number[same]))
    return np.concatenate(members), np.concatenate(sizes), np.concatenate(times)


@dataclass(frozen=True, eq=False)
class _Sets:
    """Choice sets of the alternatives that were chosen, and the choices made from each, (n,)."""

    column: np.ndarray  # place of each member among the alternatives that were chosen
    added: np.ndarray  # to its utility
    start: np.ndarray
    number: np.ndarray

    @classmethod
    def of(
        cls,
        members: np.ndarray,
        sizes: np.ndarray,
        number: np.ndarray,
        is_chosen: np.ndarray,
        offset: np.ndarray | None = None,
    ) -> _Sets:
        """Leave out the alternatives that nobody chose."""
        stays = is_chosen[members]
        added = np.zeros(len(members)) if offset is None else offset
        left = np.add.reduceat(stays, np.cumsum(sizes) - sizes, dtype=np.intp)
        place = np.cumsum(is_chosen) - 1
        return cls(place[members[stays]], added[stays], np.append(0, np.cumsum(left)), number)


def _maximum(sets: _Sets, won: np.ndarray) -> float:
    """Newton's maximum over the constants of alternatives, the first of which is zero."""

    def function(free: np.ndarray) -> _Point:
        return _Point.of(np.append(0.0, free), won, sets)

    ascent = maximise(
        function, np.zeros(len(won) - 1), enough=_ENOUGH, subproblem=conjugate_gradients
    )
    return float(ascent.evaluation.value)


@dataclass(frozen=True, eq=False)
class _Point:
    """The log-likelihood at some constants, all but the first of them free."""

    value: float
    score: np.ndarray
    expected: np.ndarray
    number: np.ndarray
    by_set: scipy.sparse.csr_matrix

    @classmethod
    def of(cls, constants: np.ndarray, won: np.ndarray, sets: _Sets) -> _Point:
        """Evaluate: sum_j n_j c_j less the log-sums of the choice sets, by choices from them."""
        utility = constants[sets.column] + sets.added
        start, size = sets.start[:-1], np.diff(sets.start)
        peak = np.maximum.reduceat(utility, start)
        rest = np.exp(utility - np.repeat(peak, size))
        total = np.add.reduceat(rest, start)
        prob = rest / np.repeat(total, size)
        by_set = scipy.sparse.csr_matrix(
            (prob, sets.column, sets.start), shape=(len(size), len(constants))
        )
        expected = by_set.T @ sets.number
        value = float(won @ constants - sets.number @ (peak + np.log(total)))
        return cls(value, (won - expected)[1:], expected, sets.number, by_set)

    def product(self, vectors: np.ndarray) -> np.ndarray:
        """Hessian times a vector."""
        whole = np.append(0.0, vectors)
        pulled = self.by_set.T @ (self.number * (self.by_set @ whole))
        return (pulled - self.expected * whole)[1:]

    def solve(self, vectors: np.ndarray) -> np.ndarray:
        """Inverse of the diagonal part of −H times a vector."""
        return vectors / self.expected[1:]
