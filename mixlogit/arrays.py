"""Arrays instead of a table: put them into one, with the formula that reads it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import patsy

from mixlogit.arguments import as_floats
from mixlogit.attributes import stored_type
from mixlogit.choices import ChoiceData
from mixlogit.class_sets import ClassSets
from mixlogit.columns import Columns, is_plain, native
from mixlogit.errors import ArgumentError, plural
from mixlogit.formula import ChoiceFormula

__all__ = ["ArrayTable", "covariate_table"]


@dataclass(frozen=True, eq=False)
class ArrayTable:
    """A table made of arrays, and the formulas that read it.

    Parameters
    ----------
    frame : DataFrame
    formula, membership : str
    columns : Columns
    mapped : ndarray or None
        The attributes, if they are a memory map.
    """

    frame: pd.DataFrame
    formula: str
    membership: str
    columns: Columns
    mapped: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        exog: Any,
        *,
        endog: Any = None,
        situation: Any = None,
        individual: Any = None,
        alternative: Any = None,
        weights: Any = None,
        freq_weights: Any = None,
        offset: Any = None,
        membership: Any = None,
    ) -> ArrayTable:
        """Put arrays side by side.

        Parameters
        ----------
        exog : array_like, shape (R, L)
        endog, situation, individual, alternative : array_like, shape (R,), optional
        weights, freq_weights, offset : array_like, shape (R,), optional
        membership : array_like, shape (R,) or (R, Q − 1), optional

        Raises
        ------
        ArgumentError
            Shapes do not fit, or two columns have the same name.
        """
        attributes = _matrix(exog, "exog", "x")
        covariates = None if membership is None else _matrix(membership, "membership", "z")
        names = [*attributes.columns, *([] if covariates is None else covariates.columns)]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ArgumentError(
                f"Two columns of exog and membership are called {twice!r}. Rename one."
            )
        if covariates is not None and len(covariates) != len(attributes):
            raise ArgumentError(
                f"membership has {plural(len(covariates), 'row')}, but exog has "
                f"{plural(len(attributes), 'row')}. Give one per row; rows of an individual repeat."
            )
        parts = [attributes] if covariates is None else [attributes, covariates]
        frame = parts[0].copy(deep=False) if len(parts) == 1 else pd.concat(parts, axis=1)
        roles: dict[str, str | None] = {}
        vectors = {
            "endog": endog,
            "situation": situation,
            "individual": individual,
            "alternative": alternative,
            "weights": weights,
            "freq_weights": freq_weights,
            "offset": offset,
        }
        for role, values in vectors.items():
            roles[role] = None
            if values is None:
                continue
            column = role
            while column in names:
                column = f"_{column}"
            frame[column] = _vector(values, role, len(frame))
            roles[role] = column
        return cls(
            frame=native(frame),
            formula=f"{roles.pop('endog') or ''} ~ {_terms(attributes)}",
            membership="1" if covariates is None else _terms(covariates),
            columns=Columns(**roles),
            mapped=_map_of(exog),
        )

    def learn(
        self, choices: str, dtype: Any = np.float64, class_sets: ClassSets | None = None
    ) -> tuple[ChoiceFormula, ChoiceData]:
        """Read the choice data; ``choices`` as in `mixlogit.chosen.ChoiceColumn`."""
        mapped = self.mapped
        if mapped is not None and not np.can_cast(mapped.dtype, stored_type(dtype)):
            mapped = None
        return ChoiceFormula.learn(
            self.formula,
            self.frame,
            self.columns,
            membership=self.membership,
            choices=choices,
            missing="raise",
            env=patsy.EvalEnvironment([]),
            class_sets=class_sets,
            dtype=dtype,
            mapped=mapped,
        )


def covariate_table(membership: Any) -> pd.DataFrame:
    """Put membership covariates into a table, with the names that a model of arrays gives them.

    Parameters
    ----------
    membership : array_like, shape (n,) or (n, Q − 1)

    Returns
    -------
    DataFrame
        With the index of a Series or a frame, which says who is who.

    Raises
    ------
    ArgumentError
        They are no columns of numbers.
    """
    table = native(_matrix(membership, "membership", "z"))
    has_labels = isinstance(membership, (pd.Series, pd.DataFrame))
    return table.set_axis(membership.index) if has_labels else table


def _map_of(exog: Any) -> np.ndarray | None:
    """A view of a memory map of floats, row by row."""
    if not (isinstance(exog, np.memmap) and exog.ndim == 2 and exog.flags.c_contiguous):
        return None
    return np.asarray(exog) if exog.dtype in (np.float64, np.float32) else None


def _matrix(values: Any, what: str, letter: str) -> pd.DataFrame:
    """Columns of numbers, named if they have no names."""
    if isinstance(values, pd.Series):
        values = values.to_frame(f"{letter}1" if values.name is None else values.name)
    if isinstance(values, pd.DataFrame):
        _require_columns(values.shape, what)
        named = values.set_axis([str(name) for name in values.columns], axis=1)
        return named.apply(_numeric, what=what).reset_index(drop=True)
    if isinstance(values, np.memmap) and values.dtype == np.float32:
        array = np.asarray(values)
    else:
        try:
            array = as_floats(what, values)
        except ArgumentError as error:
            raise ArgumentError(
                f"{what} must be an array of numbers. For categories, use from_formula."
            ) from error
    if array.ndim == 1:
        array = array[:, None]
    _require_columns(array.shape, what)
    names = [f"{letter}{i + 1}" for i in range(array.shape[1])]
    return pd.DataFrame(array, columns=names, copy=False)  # nothing writes into it


def _require_columns(shape: tuple[int, ...], what: str) -> None:
    """Raise unless there are rows of columns."""
    if len(shape) != 2 or shape[1] == 0:
        raise ArgumentError(f"{what} must have shape (rows, columns), not {shape}.")


def _numeric(column: pd.Series, what: str) -> pd.Series:
    """A column of numbers as it is, booleans and objects as floats."""
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if is_number and column.dtype.kind != "c":
        return column
    try:
        if column.dtype.kind in "cmM":
            raise TypeError(f"but {column.dtype}")
        return pd.Series(column.to_numpy(dtype=float, na_value=np.nan), index=column.index)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"Column {column.name!r} of {what} does not hold numbers ({error}). For categories, "
            "use from_formula."
        ) from error


def _vector(values: Any, role: str, n_rows: int) -> pd.Series:
    """One value per row."""
    if isinstance(values, pd.DataFrame) and values.shape[1] == 1:
        values = values.iloc[:, 0]
    if isinstance(values, np.ndarray) and values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    unordered = (str, bytes, dict, set, frozenset, pd.DataFrame)
    if not isinstance(values, Iterable) or isinstance(values, unordered):
        raise ArgumentError(f"{role} must hold one value per row, not {type(values).__name__}.")
    if isinstance(values, np.ndarray) and values.ndim > 1:
        raise ArgumentError(
            f"{role} must have one dimension and one entry per row, not shape {values.shape}."
        )
    is_array = isinstance(
        values, (np.ndarray, pd.Series, pd.Index, pd.api.extensions.ExtensionArray)
    )
    column = pd.Series(values if is_array else list(values), copy=False)
    if len(column) != n_rows:
        raise ArgumentError(
            f"{role} has {plural(len(column), 'value')}, but exog has "
            f"{plural(n_rows, 'row')}. Give one per row."
        )
    return column.reset_index(drop=True)


def _terms(frame: pd.DataFrame) -> str:
    """Right side of the formula that reads every column as it is."""
    return " + ".join(name if is_plain(name) else f"Q({name!r})" for name in frame.columns)
