"""Arrays instead of a table: put them into one, with the formula that reads it.

Arrays stand side by side. Series and frames are put into the order of one of them by their index.
"""

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
from mixlogit.errors import ArgumentError, plural, show, verb
from mixlogit.formula import ChoiceFormula
from mixlogit.individuals import attached, in_order_of
from mixlogit.spelled import other_type

__all__ = ["ArrayTable", "covariate_table"]

_OF_PEOPLE = ("weights", "freq_weights")  # what Series of individuals may give


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
        weights, freq_weights : array_like, shape (R,), or Series of individuals, optional
        offset : array_like, shape (R,), optional
        membership : array_like, shape (R,) or (R, Q − 1), optional

        Raises
        ------
        ArgumentError
            Shapes or indices do not fit, or two columns have the same name.
        """
        attributes = _matrix(exog, "exog", "x")
        vectors = {
            "endog": endog,
            "situation": situation,
            "individual": individual,
            "alternative": alternative,
            "weights": weights,
            "freq_weights": freq_weights,
            "offset": offset,
        }
        rows = _RowLabels.of(len(attributes), {"exog": exog, **vectors, "membership": membership})
        covariates = None
        if membership is not None:
            covariates = _matrix(rows.arranged(membership, "membership"), "membership", "z")
        frame = _beside(attributes, covariates)
        names = list(frame.columns)
        has_ids = individual is not None or situation is not None
        roles: dict[str, Any] = {}
        for role, values in vectors.items():
            is_of_people = role in _OF_PEOPLE and has_ids and not rows.has(values)
            if values is None or is_of_people:
                roles[role] = values
                continue
            column = role
            while column in names:
                column = f"_{column}"
            frame[column] = _vector(rows.arranged(values, role), role, len(frame))
            roles[role] = column
        choice = roles.pop("endog") or ""
        frame, columns = attached(native(rows.labelled(frame)), Columns(**roles))
        return cls(
            frame=frame,
            formula=f"{choice} ~ {_terms(attributes)}",
            membership="1" if covariates is None else _terms(covariates),
            columns=columns,
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


@dataclass(frozen=True, eq=False)
class _RowLabels:
    """The index of the rows, which is that of the first argument with one."""

    n_rows: int
    owner: str | None
    index: pd.Index | None

    @classmethod
    def of(cls, n_rows: int, arguments: dict[str, Any]) -> _RowLabels:
        """Find it. Weights may be of individuals, and so tell nothing of rows."""
        for role, values in arguments.items():
            if role not in _OF_PEOPLE and _is_labelled(values) and len(values) == n_rows:
                return cls(n_rows, role, values.index)
        return cls(n_rows, None, None)

    def has(self, values: Any) -> bool:
        """Whether values come row by row: without an index, or with this one."""
        if not _is_labelled(values):
            return True
        if self.index is None:
            return len(values) == self.n_rows
        return in_order_of(self.index, values) is not None

    def arranged(self, values: Any, what: str) -> Any:
        """Values in the order of the rows; of another length as they are, which is told later."""
        if self.index is None or not _is_labelled(values) or len(values) != self.n_rows:
            return values
        found = in_order_of(self.index, values)
        if found is None:
            raise ArgumentError(
                f"{what} and {self.owner} are matched by their indices, which differ: "
                f"{self._difference(values.index, what)} Give both the same index, or pass "
                f"{what}.to_numpy() if its rows are in the order of those of {self.owner}."
            )
        return found

    def _difference(self, other: pd.Index, what: str) -> str:
        """What keeps rows from being matched, as a sentence."""
        assert self.index is not None
        without = np.flatnonzero(~self.index.isin(other))
        if len(without):
            first = self.index[without[0]]
            return (
                f"{len(without):,} of {plural(self.n_rows, 'label')} of {self.owner} "
                f"{verb(len(without), 'is', 'are')} not in that of {what}; the first is "
                f"{show(first)}.{other_type(first, other[0])}"
            )
        twice = self.index[self.index.duplicated()]
        return (
            f"in that of {self.owner} {plural(len(twice), 'label')} "
            f"{verb(len(twice), 'repeats', 'repeat')} an earlier one; the first is "
            f"{show(twice[0])}."
        )

    def labelled(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A table of these rows, with the same columns in memory."""
        if self.index is None:
            return frame
        shared = frame.copy(deep=False)
        shared.index = self.index
        return shared


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
    return table.set_axis(membership.index) if _is_labelled(membership) else table


def _is_labelled(values: Any) -> bool:
    """Whether rows have labels."""
    return isinstance(values, (pd.Series, pd.DataFrame))


def _beside(attributes: pd.DataFrame, covariates: pd.DataFrame | None) -> pd.DataFrame:
    """One table of attributes and covariates, in memory that it shares if it can."""
    parts = [attributes] if covariates is None else [attributes, covariates]
    names = [name for part in parts for name in part.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ArgumentError(f"Two columns of exog and membership are called {twice!r}. Rename one.")
    if covariates is not None and len(covariates) != len(attributes):
        raise ArgumentError(
            f"membership has {plural(len(covariates), 'row')}, but exog has "
            f"{plural(len(attributes), 'row')}. Give one per row; rows of an individual repeat."
        )
    return attributes.copy(deep=False) if covariates is None else pd.concat(parts, axis=1)


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
