"""Slopes of utility in a variable, and the values of the data where they are taken.

Where a variable enters as a plain linear term, the slope is its coefficient. With interactions,
powers, logarithms and splines it is a derivative that depends on the values of the variables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixlogit.design import Design
from mixlogit.errors import ArgumentError, did_you_mean, listed, shortened
from mixlogit.slopes import design_slope, is_a_number, numbers_in

__all__ = ["UtilitySlope", "given_point", "mean_point", "utility_slope"]


@dataclass(frozen=True)
class UtilitySlope:
    """Derivative of utility by a variable, as weights of the coefficients.

    Parameters
    ----------
    name : str
        As the user writes it.
    column : int or None
        The one column of the design whose coefficient it is.
    variable : str or None
        Otherwise the column of the table that utility is differentiated by.
    unit : int or None
        Column of the design in whose units that is: a function of the variable alone.
    """

    name: str
    column: int | None = None
    variable: str | None = None
    unit: int | None = None

    def at(self, design: Design, frame: pd.DataFrame | None) -> np.ndarray:
        """Weights of the coefficients at the rows of a table, (P, L); one row for a coefficient.

        Parameters
        ----------
        design : Design
        frame : DataFrame or None
            With the columns that the design reads; it is not needed for a coefficient.

        Returns
        -------
        ndarray, shape (P, L) or (1, L)
        """
        n_columns = len(design.names)
        if self.variable is None:
            assert self.column is not None
            return np.eye(n_columns)[[self.column]]
        assert frame is not None
        weights = design_slope(design, frame, self.variable).whole(n_columns)
        return weights if self.unit is None else weights / weights[:, [self.unit]]

    def averaged(self, design: Design, frame: pd.DataFrame | None, share: np.ndarray) -> np.ndarray:
        """Weights of the coefficients, averaged over the rows of a table, (L,).

        Parameters
        ----------
        design, frame
            As for `at`.
        share : ndarray, shape (P,)
            What the rows count, with sum one.

        Returns
        -------
        ndarray, shape (L,)
            Exactly 1 for a coefficient.
        """
        weights = self.at(design, frame)
        return weights[0] if self.variable is None else share @ weights


def utility_slope(role: str, name: Any, names: Sequence[str], design: Design) -> UtilitySlope:
    """Find what the derivative of utility by a variable is.

    Parameters
    ----------
    role : str
        Of the argument, for messages.
    name : str
        A column of the design, or a column of the table that the formula reads.
    names : sequence of str
        Columns of the design.
    design : Design

    Returns
    -------
    UtilitySlope
        A coefficient where the name is one column of the design that nothing else moves with.

    Raises
    ------
    ArgumentError
        The name is not known, or is one of several columns that stand for one variable.
    """
    is_read = isinstance(name, str) and name in design.columns
    if not (isinstance(name, str) and (is_read or name in names)):
        raise ArgumentError(
            f"{role}={name!r} is not an attribute of the model, which has {shortened(names)}."
            f"{did_you_mean(name, [*names, *design.columns])} Columns of the table that the "
            f"formula reads will do too: {listed(design.columns)}."
        )
    if is_read:
        is_alone = name in names and design.names_reading(name) == (name,)
        if is_alone:
            return UtilitySlope(name, column=list(names).index(name))
        return UtilitySlope(name, variable=name)
    column = list(names).index(name)
    factor = design.only_factor(name)
    if factor is None or factor.levels is not None or len(factor.expression.columns) != 1:
        return UtilitySlope(name, column=column)
    (variable,) = factor.expression.columns
    if design.names_reading(variable) == (name,):
        return UtilitySlope(name, column=column)
    if factor.n_columns != 1:
        raise ArgumentError(
            f"{role}={name!r} is one of {factor.n_columns} columns of {factor.expression.code}, "
            f"and has no slope of its own. Name the variable, {role}={variable!r}."
        )
    return UtilitySlope(name, variable=variable, unit=column)


def mean_point(
    design: Design, frame: pd.DataFrame, weight: np.ndarray
) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows in which all numbers are at their mean, and categories as often as they are.

    Parameters
    ----------
    design : Design
    frame : DataFrame, length R
        With the columns that the design reads.
    weight : ndarray, shape (R,)

    Returns
    -------
    frame : DataFrame, length P
        One row for each combination of categories.
    weight : ndarray, shape (P,)
        With sum one.
    """
    share = weight / weight.sum()
    own = {}
    for name in design.columns:
        column = frame[name]
        if _is_averaged(design, column, name):
            own[name] = np.full(len(frame), share @ numbers_in(column))
        else:
            own[name] = column.array
    at = pd.DataFrame(own)
    kept = [name for name in at.columns if not _is_averaged(design, frame[name], name)]
    if not kept:
        return at.iloc[:1], np.ones(1)
    kind = at.groupby(kept, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    first = np.unique(kind, return_index=True)[1]
    return at.iloc[first].reset_index(drop=True), np.bincount(kind, weights=share)


def _is_averaged(design: Design, column: pd.Series, name: str) -> bool:
    """Whether a column has a mean: it holds numbers, and no term makes categories of them."""
    factors = design.factors_reading(name)
    is_coded = any(
        f.levels is not None and not all(isinstance(v, bool) for v in f.levels) for f in factors
    )
    return is_a_number(column) and not is_coded


def given_point(design: Design, given: Mapping[str, Any], frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with some columns at values that are given.

    Parameters
    ----------
    design : Design
    given : mapping of str to value
    frame : DataFrame
        Where the other columns are taken from.

    Returns
    -------
    DataFrame

    Raises
    ------
    ArgumentError
        The formula does not read a column.
    """
    for name in given:
        if name not in design.columns:
            raise ArgumentError(
                f"at= sets {name!r}, which the utility formula does not read."
                f"{did_you_mean(name, design.columns)} It reads {listed(design.columns)}."
            )
    return frame.assign(**dict(given))
