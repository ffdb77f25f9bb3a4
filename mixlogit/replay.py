"""A learned formula as plain records that can be pickled, and evaluated on blocks of a table.

patsy's own objects cannot be pickled, drop rows with missing values or fail on them, and build a
second copy of the whole table.
"""

from __future__ import annotations

import ast
import functools
import importlib
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import patsy
import patsy.builtins

from mixlogit.errors import (
    FormulaError,
    MixlogitError,
    UnseenLevelError,
    listed,
    plural,
    shortened,
    show,
    verb,
)
from mixlogit.splines import Reach, reaches

__all__ = [
    "BLOCK_CELLS",
    "BLOCK_ROWS",
    "QUOTING",
    "UNSEEN",
    "Block",
    "Box",
    "Expression",
    "Factor",
    "Subterm",
    "blocks_of",
    "explained",
    "is_categorical",
    "labels_of",
    "not_row_by_row",
    "numbers_of",
    "require_row_by_row",
    "says_what_is_missing",
    "with_missing_row",
]

BLOCK_ROWS = 65_536
"""Rows evaluated at a time: large enough to hide the overhead, small enough to stay in cache."""

BLOCK_CELLS = 1 << 19
"""Values evaluated at a time: wide tables have shorter blocks."""

QUOTING = 'A column whose name is not a Python name is written Q("its name").'
_CHECKED_ROWS = 1_000
_EXACT = 2**53  # floats hold all whole numbers up to it
# Functions by which a term says itself what a missing value is to be.
_FILLED = re.compile(r"\b(?:isna|isnull|notna|notnull|isnan|isfinite|fillna|nan_to_num)\b")
_ARITHMETIC = (
    *(ast.Expression, ast.BinOp, ast.operator, ast.UnaryOp, ast.unaryop, ast.Compare, ast.cmpop),
    *(ast.Name, ast.Constant, ast.expr_context, ast.keyword),
)
_MISSING, UNSEEN = -1, -2  # codes; a contrast matrix has one more row, NaN, for _MISSING

Box = type(patsy.builtins.C([]))  # what C(...) returns: data, contrast, levels
Block = Mapping[str, pd.Series]  # the same rows of each column


@dataclass(frozen=True, eq=False)
class Expression:
    """Python code of one factor, with all that it needs besides the columns.

    Parameters
    ----------
    code : str
        As in the formula.
    eval_code : str
        The same, calling the ``transform`` of what it has learned.
    columns : tuple of str
        Columns of the table that it reads.
    transforms : mapping of str to object
        patsy's stateful transforms, with what they have learned.
    variables : mapping of str to object
        From the calling code: functions, modules, constants.
    flags : int
        The ``__future__`` flags of the calling code.
    where : str
        What the formula is called in messages.
    """

    code: str
    eval_code: str
    columns: tuple[str, ...]
    transforms: Mapping[str, Any]
    variables: Mapping[str, Any]
    flags: int
    where: str

    def pick(self, block: Block) -> dict[str, pd.Series]:
        """Only its own columns: a column named C must not hide the function in C(alt).

        Numbers have 64 bits, so that 8 bits do not overflow in x ** 2; patsy's transforms get them
        as floats, for they see pandas's masked numbers as objects.
        """
        widened = _as_floats if self.transforms else _as_64_bits
        return {column: widened(block[column]) for column in self.columns}

    def evaluate(self, block: Block) -> Any:
        """The value on these rows: one or two-dimensional, or boxed by C(...).

        Arithmetic with integers is done in floats, where these hold them exactly: x ** 4 of a
        distance in metres overflows 64 bits. Labels are made of the integers themselves, and so
        is what floats cannot do, such as x & 1.
        """
        columns = self.pick(block)
        if self.eval_code not in self.columns and _is_arithmetic(self.code):
            try:
                value = self._evaluated({name: _as_floats(x) for name, x in columns.items()})
                if not is_categorical(value):
                    return value
            except FormulaError:
                pass
        return self._evaluated(columns)

    def _evaluated(self, columns: Mapping[str, pd.Series]) -> Any:
        """The value on these columns."""
        env = patsy.EvalEnvironment([self.variables], self.flags)
        with explained(self.code, self.where):
            value = env.eval(self.eval_code, inner_namespace={**columns, **self.transforms})
        data = value.data if isinstance(value, Box) else value
        index = next(iter(columns.values())).index
        length = np.shape(data)[0] if np.ndim(data) else 1
        if length != len(index) or not np.ndim(data):
            raise FormulaError(
                f"The term {self.code} of {self.where} gives {length} values for {len(index)} "
                "rows. A term must give one value for each row, from columns of the table."
            )
        if isinstance(data, (pd.Series, pd.DataFrame)) and not (
            data.index.equals(index) or data.index.equals(pd.RangeIndex(length))
        ):
            raise FormulaError(
                f"The term {self.code} of {self.where} changes the order of the rows: its index "
                "is not that of the table. Add the result to the table as a column."
            )
        return value

    @property
    def has_bounds(self) -> bool:
        """Whether there is a B-spline in it, which ends at its outer knots."""
        return bool(reaches(self.eval_code, self.transforms))

    def beyond(self, block: Block) -> list[tuple[Reach, np.ndarray, np.ndarray]]:
        """Each B-spline in it, what it is a spline in (R,), and how far beyond its knots (R,).

        The distance has the sign of the side, and is 0 within the knots or where a value is
        missing.
        """
        columns, found = self.pick(block), []
        env = patsy.EvalEnvironment([self.variables], self.flags)
        for reach in reaches(self.eval_code, self.transforms):
            with explained(self.code, self.where):
                value = env.eval(reach.argument, inner_namespace={**columns, **self.transforms})
                numbers = numbers_of(value)[:, 0]
                over, under = numbers - reach.upper, numbers - reach.lower
                found.append((reach, numbers, np.fmax(over, 0.0) + np.fmin(under, 0.0)))
        return found

    def is_lost(self, block: Block) -> np.ndarray:
        """Rows (R,) where a column is missing, unless the code says what to do with these.

        To Python nan > 40 is false, which is not what is known of a missing age.
        """
        lost = np.zeros(len(next(iter(block.values()))), dtype=bool)
        if self.eval_code not in self.columns and not says_what_is_missing(self.code):
            for column in self.columns:
                lost |= block[column].isna().to_numpy()
        return lost

    def __getstate__(self) -> dict[str, Any]:
        """The attributes, with what refuses pickling replaced by what it can be made from."""
        transforms = {name: (type(t), vars(t)) for name, t in self.transforms.items()}
        variables = {
            name: _Module(value.__name__) if isinstance(value, ModuleType) else value
            for name, value in self.variables.items()
        }
        for name, value in {**transforms, **variables}.items():
            self._require_picklable(name, value)
        return {**vars(self), "transforms": transforms, "variables": variables}

    def __setstate__(self, state: dict[str, Any]) -> None:
        transforms = {}
        for name, (kind, attributes) in state["transforms"].items():
            transforms[name] = kind.__new__(kind)
            vars(transforms[name]).update(attributes)
        variables = {
            name: importlib.import_module(value.name) if isinstance(value, _Module) else value
            for name, value in state["variables"].items()
        }
        vars(self).update(state, transforms=transforms, variables=variables)

    def _require_picklable(self, name: str, value: Any) -> None:
        """Raise an error that names the variable, which pickle's own does not."""
        try:
            pickle.dumps(value)
        except Exception as error:
            # The name of a transform is patsy's: _patsy_stobj0__center__
            shown = name.split("__", 1)[1][:-2] if name in self.transforms else name
            raise FormulaError(
                f"The design cannot be pickled: {shown!r}, used in the term {self.code} of "
                f"{self.where}, cannot ({error}). Define it under its own name at the top level "
                "of a module that can be imported where the design is loaded, or compute the "
                "term as a column of the table."
            ) from error


@dataclass(frozen=True)
class _Module:
    """Stands for an imported module in a pickle."""

    name: str


@dataclass(frozen=True, eq=False)
class Factor:
    """An expression, and what kind of values it has.

    Parameters
    ----------
    expression : Expression
    levels : tuple or None
        Of a categorical factor.
    n_columns : int or None
        Of a numeric factor.
    """

    expression: Expression
    levels: tuple[Any, ...] | None
    n_columns: int | None

    def values(self, block: Block) -> np.ndarray:
        """Numbers (R, C) of a numeric factor, codes (R,) of a categorical one."""
        value = self.expression.evaluate(block)
        with explained(self.expression.code, self.expression.where):
            if self.levels is not None:
                codes = self._codes(labels_of(value))
                codes[self.expression.is_lost(block)] = _MISSING
                return codes
            if is_categorical(value) and not _is_bool(value):
                raise TypeError(
                    "it was numeric when the formula was learned, and now has the type "
                    f"{getattr(value, 'dtype', type(value).__name__)}; convert it to numbers"
                )
            numbers = numbers_of(value)
            if numbers.shape[1] != self.n_columns:
                raise ValueError(
                    f"it had {self.n_columns} columns when the formula was learned, and now has "
                    f"{numbers.shape[1]}"
                )
            is_lost = self.expression.is_lost(block)
            return np.where(is_lost[:, None], np.nan, numbers) if is_lost.any() else numbers

    def _codes(self, labels: pd.Series) -> np.ndarray:
        """Positions in the levels, found by label: the order of categories may differ."""
        assert self.levels is not None
        codes, uniques = pd.factorize(labels)  # -1 where missing
        position = {level: i for i, level in enumerate(self.levels)}
        found = [position.get(label, UNSEEN) for label in uniques.tolist()]
        return np.array([*found, _MISSING])[codes]

    def unseen_level_error(self, data: pd.DataFrame, order: np.ndarray | None) -> UnseenLevelError:
        """Walk over the whole table to say which levels, how often, and where first."""
        assert self.levels is not None
        expression = self.expression
        counts: dict[Any, int] = {}
        first: int | None = None
        for rows, block in blocks_of(data, expression.columns, order):
            unseen = self.values(block) == UNSEEN
            labels = labels_of(expression.evaluate(block))[unseen]
            for level, count in labels.value_counts().items():
                if count:  # a pandas categorical counts all its categories
                    counts[level] = counts.get(level, 0) + count
            if first is None and unseen.any():
                position = rows.start + int(unseen.argmax())
                first = position if order is None else int(order[position])
        assert first is not None
        unseen_levels = shortened(f"{show(v)} (rows: {n})" for v, n in counts.items())
        columns = ", ".join(repr(c) for c in expression.columns)
        return UnseenLevelError(
            f"The term {expression.code} of {expression.where} (column {columns}) has levels "
            f"that it did not have when the formula was learned: {unseen_levels}. The first is in "
            f"row {show(data.index[first])}. Known levels: "
            f"{listed(self.levels)}. "
            "Drop or recode those rows, or fit on a table that has these levels."
        )

    def beyond_error(self, data: pd.DataFrame, order: np.ndarray | None) -> FormulaError | None:
        """Walk over the whole table to say which values are beyond the knots of a spline."""
        number, first = 0, None
        least, most = np.inf, -np.inf
        for rows, block in blocks_of(data, self.expression.columns, order):
            for reach, value, distance in self.expression.beyond(block):
                is_beyond = distance != 0
                if not is_beyond.any():
                    continue
                number += int(is_beyond.sum())
                least = min(least, value[is_beyond].min())
                most = max(most, value[is_beyond].max())
                if first is None:
                    at = int(is_beyond.argmax())
                    position = rows.start + at if order is None else int(order[rows.start + at])
                    first = reach, float(value[at]), data.index[position]
        return None if first is None else self._beyond(*first, number, float(least), float(most))

    def _beyond(
        self, reach: Reach, value: float, label: Any, number: int, least: float, most: float
    ) -> FormulaError:
        """Say that values are beyond the knots of a spline, and how to make it reach them."""
        expression = self.expression
        bounds = [f"lower_bound={least!r}"] if least < reach.lower else []
        bounds += [f"upper_bound={most!r}"] if most > reach.upper else []
        columns = ", ".join(repr(c) for c in expression.columns)
        return FormulaError(
            f"The term {expression.code} of {expression.where} (column {columns}) is a B-spline "
            f"between its outer knots, {reach.argument} from {reach.lower!r} to {reach.upper!r}, "
            f"and {plural(number, 'row')} {verb(number, 'lies', 'lie')} beyond; the first is row "
            f"{show(label)}, with {value!r}. Write the bounds that are needed into the formula, "
            f"bs({reach.argument}, ..., {', '.join(bounds)}) or further out, and fit again; or use "
            f"cr({reach.argument}, ..., constraints='center'), which goes on beyond its knots."
        )


@dataclass(frozen=True, eq=False)
class Subterm:
    """Columns start:stop of the matrix: a product of factors, each coded in its own way.

    Parameters
    ----------
    start, stop : int
    pieces : tuple of (int, ndarray or None)
        Position of each factor, and the contrasts of a categorical one, a row for each level and
        a last one of NaN.
    """

    start: int
    stop: int
    pieces: tuple[tuple[int, np.ndarray | None], ...]

    def fill(self, out: np.ndarray, values: Sequence[np.ndarray]) -> None:
        """Write the columns of this subterm; the first factor varies fastest, as in patsy."""
        target = out[:, self.start : self.stop]
        if not self.pieces:
            target[...] = 1.0  # the intercept
            return
        product: np.ndarray | None = None
        for position, contrasts in self.pieces:
            value = values[position]
            coded = value if contrasts is None else contrasts[value]
            if product is None:
                product = coded
            else:
                # 0 * inf and overflow are for the caller to find: it checks for finite values.
                with np.errstate(all="ignore"):
                    pairs = coded[:, :, None] * product[:, None, :]
                product = pairs.reshape(len(pairs), -1)
        target[...] = product


def blocks_of(
    data: pd.DataFrame, columns: Sequence[str], order: np.ndarray | None = None
) -> Iterator[tuple[slice, Block]]:
    """Yield the columns block by block, with the rows of the result that they stand in.

    Parameters
    ----------
    data : DataFrame
    columns : sequence of str
    order : ndarray of int, shape (R,), optional
        Positions in ``data``; every row in the order of the table if None.

    Yields
    ------
    rows : slice of the result
    block : mapping of column name to Series
    """
    n_rows = len(data) if order is None else len(order)
    step = min(BLOCK_ROWS, max(BLOCK_CELLS // max(len(columns), 1), 1024))
    for start in range(0, n_rows, step):
        rows = slice(start, min(start + step, n_rows))
        # Column by column, because a slice of one column is a view and data[columns] is a copy.
        if order is None:
            yield rows, {column: data[column].iloc[rows] for column in columns}
        else:
            yield rows, _taken(data, columns, order[rows])


def _taken(data: pd.DataFrame, columns: Sequence[str], positions: np.ndarray) -> Block:
    """Rows at these positions; their labels are taken once, not for each column."""
    index = data.index[positions]
    return {
        column: pd.Series(data[column].array[positions], index, name=column, copy=False)
        for column in columns
    }


def is_categorical(value: Any) -> bool:
    """Tell categories from numbers as patsy does: what is not numeric, and what C(...) marks.

    Parameters
    ----------
    value : Series, DataFrame, array_like or Box
        The value of a factor.

    Returns
    -------
    bool
    """
    if isinstance(value, Box):
        return True
    if isinstance(value, pd.DataFrame):
        return not all(_is_number_type(dtype) for dtype in value.dtypes)
    return not _is_number_type(getattr(value, "dtype", np.asarray(value).dtype))


def _is_number_type(dtype: Any) -> bool:
    is_bool = pd.api.types.is_bool_dtype(dtype)
    return pd.api.types.is_numeric_dtype(dtype) and not is_bool


def _is_bool(value: Any) -> bool:
    return pd.api.types.is_bool_dtype(getattr(value, "dtype", None))


def labels_of(value: Any) -> pd.Series:
    """Take the values of a categorical factor, one for each row.

    Parameters
    ----------
    value : Series, array_like or Box, shape (R,)

    Returns
    -------
    Series, shape (R,)

    Raises
    ------
    TypeError
        It has more than one dimension.
    """
    data = value.data if isinstance(value, Box) else value
    if np.ndim(data) != 1:
        raise TypeError(f"a categorical term must have one dimension, not {np.ndim(data)}")
    return data if isinstance(data, pd.Series) else pd.Series(data)


def numbers_of(value: Any) -> np.ndarray:
    """Take the values of a numeric factor.

    Parameters
    ----------
    value : Series, DataFrame or array_like, shape (R,) or (R, C)

    Returns
    -------
    ndarray of float, shape (R, C)
        NaN where missing.

    Raises
    ------
    TypeError
        The values are complex, or have more than two dimensions.
    """
    if isinstance(value, pd.DataFrame):
        return np.column_stack([numbers_of(value.iloc[:, i]) for i in range(value.shape[1])])
    if isinstance(getattr(value, "dtype", None), pd.api.extensions.ExtensionDtype):
        numbers = pd.Series(value).to_numpy(dtype=float, na_value=np.nan)
    else:
        numbers = np.asarray(value)
        if numbers.dtype.kind == "c":
            raise TypeError("its values are complex numbers")
        numbers = numbers.astype(float, copy=False)
    if numbers.ndim > 2:
        raise TypeError(f"a term may have two dimensions at most, not {numbers.ndim}")
    return numbers.reshape(len(numbers), -1) if numbers.ndim == 1 else numbers


def says_what_is_missing(code: str) -> bool:
    """Whether the code of a term looks for missing values itself, as x.fillna(0) does.

    Parameters
    ----------
    code : str

    Returns
    -------
    bool
    """
    return _FILLED.search(code) is not None


@functools.lru_cache(maxsize=1024)
def _is_arithmetic(code: str) -> bool:
    """Whether a term is made of nothing but operators and functions of numpy on columns.

    Methods of a column and functions of the user may make text of its integers.
    """
    for node in ast.walk(ast.parse(code, mode="eval")):
        if isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("np", "numpy")):
                return False
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id not in ("I", "Q", "abs"):
                return False
        elif not isinstance(node, _ARITHMETIC):
            return False
    return True


def _as_floats(series: pd.Series) -> pd.Series:
    """A column of numbers that floats hold as float64, others as they are."""
    dtype = series.dtype
    if dtype == np.float64 or not _is_number_type(dtype) or dtype.kind == "c":
        return series
    if dtype.kind in "iu" and not series.between(-_EXACT, _EXACT).all():
        return series
    return pd.Series(numbers_of(series)[:, 0], index=series.index, name=series.name)


def _as_64_bits(series: pd.Series) -> pd.Series:
    """A column of short numbers in 64 bits, others as they are."""
    dtype = series.dtype
    is_short = getattr(dtype, "itemsize", 8) < 8
    if not (_is_number_type(dtype) and dtype.kind in "iuf" and is_short):
        return series
    if dtype.kind == "f":
        return _as_floats(series)
    return series.astype("int64" if isinstance(dtype, np.dtype) else "Int64")


def with_missing_row(contrast: patsy.ContrastMatrix | None) -> np.ndarray | None:
    """Add a last row of NaN to contrasts, which the code -1 of a missing level picks.

    Parameters
    ----------
    contrast : ContrastMatrix or None
        Of K levels; None for a numeric factor.

    Returns
    -------
    ndarray of float, shape (K + 1, C), or None
    """
    if contrast is None:
        return None
    matrix = np.asarray(contrast.matrix, dtype=float)
    return np.vstack([matrix, np.full(matrix.shape[1], np.nan)])


def require_row_by_row(expression: Expression, data: pd.DataFrame, rows: np.ndarray | None) -> None:
    """Raise if a sample of rows has other values in two parts than as a whole.

    Such a term, ``x - x.mean()`` say, would change with the size of the blocks, with the order of
    the rows, and on new data.

    Parameters
    ----------
    expression : Expression
    data : DataFrame
    rows : ndarray of int, shape (R,), or None
        Positions of the rows that are read; all if None.

    Raises
    ------
    FormulaError
        The values differ.
    """
    n_rows = len(data if rows is None else rows)
    if n_rows < 2 or expression.eval_code in expression.columns:
        return
    sample = np.unique(np.linspace(0, n_rows - 1, min(n_rows, _CHECKED_ROWS)).astype(np.intp))
    sample = sample if rows is None else rows[sample]

    def evaluate(positions: np.ndarray) -> Any:
        return expression.evaluate(_taken(data, expression.columns, positions))

    whole = evaluate(sample)
    try:
        parts = [evaluate(positions) for positions in np.array_split(sample, 2)]
        agree = _agree(whole, parts)
    except (FormulaError, ValueError, TypeError) as error:
        raise not_row_by_row(expression) from error
    if not agree:
        raise not_row_by_row(expression)


def _agree(whole: Any, parts: Sequence[Any]) -> bool:
    """Whether the parts, one after another, are the whole."""
    if is_categorical(whole):
        labels = [labels_of(value).astype(object) for value in (whole, *parts)]
        codes, _ = pd.factorize(pd.concat(labels, ignore_index=True))
        return np.array_equal(codes[: len(labels[0])], codes[len(labels[0]) :])
    numbers, joined = numbers_of(whole), np.vstack([numbers_of(value) for value in parts])
    # Rounding may depend on how many rows are computed together; what is looked for does not.
    finite = np.abs(numbers[np.isfinite(numbers)])
    return np.allclose(numbers, joined, 1e-8, 1e-8 * finite.max(initial=0.0), equal_nan=True)


def not_row_by_row(expression: Expression) -> FormulaError:
    """Say that a term depends on other rows.

    Parameters
    ----------
    expression : Expression

    Returns
    -------
    FormulaError
    """
    return FormulaError(
        f"The term {expression.code} of {expression.where} is not computed row by row: on part of "
        "the rows it gives other values than on all of them, and so it would on new data. Use "
        "center(), standardize() or another stateful transform of patsy, which remember what they "
        "have learned, or add the result to the table as a column."
    )


@contextmanager
def explained(code: str, where: str) -> Iterator[None]:
    """Turn what goes wrong in a term into an error that names the term.

    Floating-point warnings are silent, as in log(0): the caller checks for finite values, and can
    say in which rows they are not.

    Parameters
    ----------
    code : str
        The term, as in the formula.
    where : str
        What the formula is called in messages.

    Raises
    ------
    FormulaError
        For any error but those of the package and of memory.
    """
    try:
        with np.errstate(all="ignore"):  # values that are not finite are found by the caller
            yield
    except (MixlogitError, MemoryError):
        raise
    except Exception as error:
        # patsy wraps what the user's code raises.
        cause = (error.__cause__ if isinstance(error, patsy.PatsyError) else None) or error
        # Without the caret that patsy draws, and without Python's "(<unknown>, line 1)".
        if isinstance(cause, SyntaxError):
            message, hint = cause.msg, f" {QUOTING}"
        else:
            message, hint = getattr(cause, "message", None) or str(cause), ""
        raise FormulaError(
            f"The term {code} of {where} cannot be evaluated: "
            f"{type(cause).__name__}: {message}.{hint}"
        ) from cause
