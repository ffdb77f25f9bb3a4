"""How a design moves with a column of the table that its formula reads.

The derivative is taken by differences of the design itself, replayed with the column at other
values: no formula is too intricate for it. Nothing here knows about choices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixlogit.design import Design
from mixlogit.errors import ArgumentError, listed, plural, show
from mixlogit.replay import Factor

__all__ = ["DesignSlope", "design_slope", "is_a_number", "numbers_in"]

# A power of two, so that round-off is small. The error of the central difference, h² / 6 of the
# third derivative, and that of round-off, 1e-16 / h, are both about 1e-11 of a column at h times
# its value.
_STEP = 2.0**-17
# Of the one-sided difference at 0, 1, 2 and 3 steps; it is exact for cubics, such as splines.
_ONE_SIDED = np.array([-11.0, 18.0, -9.0, 2.0]) / 6


@dataclass(frozen=True, eq=False)
class DesignSlope:
    """Derivative of the columns of a design by a column of the table.

    Parameters
    ----------
    columns : ndarray of int, shape (C,)
        Columns of the design that move; the others do not depend on the column of the table.
    values : ndarray, shape (R, C)
    """

    columns: np.ndarray
    values: np.ndarray

    def whole(self, n_columns: int) -> np.ndarray:
        """With a zero for each column of the design that does not move, (R, n_columns)."""
        out = np.zeros((len(self.values), n_columns))
        out[:, self.columns] = self.values
        return out


def is_a_number(column: pd.Series) -> bool:
    """Whether a column holds numbers, which can grow, and not truths or categories.

    Parameters
    ----------
    column : Series

    Returns
    -------
    bool
    """
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def numbers_in(column: pd.Series) -> np.ndarray:
    """A column of numbers as floats, nan where they are missing.

    Parameters
    ----------
    column : Series, length R

    Returns
    -------
    ndarray, shape (R,)
    """
    return column.to_numpy(dtype=float, na_value=np.nan)


def design_slope(
    design: Design, data: pd.DataFrame, column: str, order: np.ndarray | None = None
) -> DesignSlope:
    """Derivative of a design by a column of the table, at the values that stand there.

    Central differences at x (1 ± h), h = 2**-17; where a B-spline does not reach so far,
    one-sided differences that are exact for cubics, so that no value leaves the range of the
    knots. At a kink, as of ``np.maximum(x, 5)``, the mean of both sides.

    Parameters
    ----------
    design : Design
    data : DataFrame
        With the columns that the design reads.
    column : str
        Of numbers; one that the design reads.
    order : ndarray of int, shape (R,), optional
        Positions in ``data``; every row in the order of the table if None.

    Returns
    -------
    DesignSlope

    Raises
    ------
    ArgumentError
        The column holds no numbers, or the formula makes categories of them.
    """
    require_a_slope(design, data, column)
    frame = data[list(design.columns)]
    frame = frame if order is None else frame.iloc[order]
    moved = np.flatnonzero(np.isin(design.names, design.names_reading(column)))
    x = numbers_in(frame[column])
    step = _STEP * np.where(x == 0, _scale(x), np.abs(x))
    side = _side(design, frame, column, x, step)
    out = np.empty((len(frame), len(moved)))

    def at(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        return design.matrix(frame.iloc[rows].assign(**{column: values}))[:, moved]

    rows = np.flatnonzero(side == 0)
    above, below = x[rows] + step[rows], x[rows] - step[rows]
    out[rows] = (at(rows, above) - at(rows, below)) / (above - below)[:, None]
    rows = np.flatnonzero(side != 0)
    if len(rows):
        own = side[rows] * step[rows]
        total = sum(c * at(rows, x[rows] + i * own) for i, c in enumerate(_ONE_SIDED))
        out[rows] = total / own[:, None]
    return DesignSlope(moved, out)


def require_a_slope(design: Design, data: pd.DataFrame, column: str) -> None:
    """Raise unless a design can be differentiated by a column of the table.

    Parameters
    ----------
    design, data, column
        As for `design_slope`.

    Raises
    ------
    ArgumentError
        The column holds no numbers, or the formula makes categories of them.
    """
    if not is_a_number(data[column]):
        raise ArgumentError(
            f"The column {column!r} holds {data[column].dtype} values, which cannot grow by a "
            "little. A slope needs a column of numbers."
        )
    for factor in design.factors_reading(column):
        if factor.levels is not None and not all(isinstance(v, bool) for v in factor.levels):
            raise ArgumentError(
                f"The column {column!r} enters the {design.role} in categories, as "
                f"{factor.expression.code} with the levels {listed(factor.levels)}, and has no "
                "slope there. Take another column, or the numbers themselves into the formula."
            )


def _scale(x: np.ndarray) -> float:
    """Size of the values of a column, for a step where it is 0."""
    known = np.abs(x[np.isfinite(x) & (x != 0)])
    return float(known.mean()) if len(known) else 1.0


def _side(
    design: Design, frame: pd.DataFrame, column: str, x: np.ndarray, step: np.ndarray
) -> np.ndarray:
    """Where each row may move, (R,): 0 to both sides, 1 up, -1 down, where B-splines end."""
    side = np.zeros(len(x))
    for factor in design.factors_reading(column):
        if not factor.expression.has_bounds:
            continue

        def is_within(move: float, factor: Factor = factor) -> np.ndarray:
            block = frame.assign(**{column: x + move * step})
            beyond = factor.expression.beyond({name: block[name] for name in block})
            return np.all([distance == 0 for _, _, distance in beyond], axis=0)

        is_free = is_within(1) & is_within(-1)
        up, down = is_within(3), is_within(-3)
        stuck = np.flatnonzero(~(is_free | up | down))
        if len(stuck):
            raise ArgumentError(
                f"{plural(len(stuck), 'row')} of {len(x):,} have no room to move in "
                f"{factor.expression.code}: the first is row {show(frame.index[stuck[0]])}, with "
                f"{column} = {x[stuck[0]]!r}. Write wider bounds into the formula, as "
                "lower_bound= and upper_bound= of bs()."
            )
        side = np.where(is_free, side, np.where(up, 1.0, -1.0))
    return side
