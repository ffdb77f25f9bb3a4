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
        of alternative j; found by Newton's method where they differ. nan without a column of
        alternatives.

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
    sets = _distinct_sets(codes, data.arrangement.situation_start, number)
    is_chosen = chosen > 0
    if len(sets) == 1:
        share = chosen[is_chosen] / chosen.sum()
        return float(chosen[is_chosen] @ np.log(share))
    return _maximum(sets, chosen, is_chosen)


def _distinct_sets(
    codes: np.ndarray, start: np.ndarray, number: np.ndarray
) -> list[tuple[np.ndarray, float]]:
    """Alternatives of each distinct choice set, and the choices made from it."""
    found = []
    sizes = np.diff(start)
    for size in np.unique(sizes):
        same = np.flatnonzero(sizes == size)
        members = codes[start[same][:, None] + np.arange(size)]
        if (members == members[0]).all():
            found.append((members[0], float(number[same].sum())))
            continue
        unique, which = np.unique(members, axis=0, return_inverse=True)
        found += list(zip(unique, np.bincount(which.ravel(), weights=number[same]), strict=True))
    return found


def _maximum(
    sets: list[tuple[np.ndarray, float]], chosen: np.ndarray, is_chosen: np.ndarray
) -> float:
    """Newton's maximum over the constants of alternatives that were chosen, the first at zero."""
    place = np.cumsum(is_chosen) - 1
    left = [place[members[is_chosen[members]]] for members, _ in sets]
    column = np.concatenate(left)
    start = np.append(0, np.cumsum([len(members) for members in left]))
    number = np.array([times for _, times in sets])
    won = chosen[is_chosen]

    def function(free: np.ndarray) -> _Point:
        return _Point.of(np.append(0.0, free), won, number, column, start)

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
    def of(
        cls,
        constants: np.ndarray,
        won: np.ndarray,
        number: np.ndarray,
        column: np.ndarray,
        start: np.ndarray,
    ) -> _Point:
        """Evaluate: sum_j n_j c_j less the log-sums of the choice sets, by choices from them."""
        utility = constants[column]
        peak = np.maximum.reduceat(utility, start[:-1])
        rest = np.exp(utility - np.repeat(peak, np.diff(start)))
        total = np.add.reduceat(rest, start[:-1])
        prob = rest / np.repeat(total, np.diff(start))
        shape = len(number), len(constants)
        by_set = scipy.sparse.csr_matrix((prob, column, start), shape=shape)
        expected = by_set.T @ number
        value = float(won @ constants - number @ (peak + np.log(total)))
        return cls(value, (won - expected)[1:], expected, number, by_set)

    def product(self, vectors: np.ndarray) -> np.ndarray:
        """Hessian times a vector."""
        whole = np.append(0.0, vectors)
        pulled = self.by_set.T @ (self.number * (self.by_set @ whole))
        return (pulled - self.expected * whole)[1:]

    def solve(self, vectors: np.ndarray) -> np.ndarray:
        """Inverse of the diagonal part of −H times a vector."""
        return vectors / self.expected[1:]
