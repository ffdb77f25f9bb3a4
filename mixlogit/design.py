"""The right-hand side of a formula -> a numeric matrix, and what replays it on new data.

patsy reads the formula, learns the stateful transforms and chooses the coding of the categories.
What it has learned is then kept here as plain records (`_Expression`, `_Factor`, `_Subterm`),
because patsy's own objects cannot be pickled, drop rows with missing values or fail on them, and
build a second copy of the whole table. Nothing here knows about choices.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import patsy
import patsy.builtins
from patsy.contrasts import code_contrast_matrix
from patsy.eval import EvalFactor, ast_names
from patsy.util import SortAnythingKey

from mixlogit.errors import (
    ArgumentError,
    ColumnError,
    DataError,
    FormulaError,
    MixlogitError,
    UnseenLevelError,
    close_matches,
    listed,
    shortened,
    show,
)

__all__ = ["BLOCK_ROWS", "MAX_LEVELS", "Design", "columns_read"]

BLOCK_ROWS = 65_536
"""Rows evaluated at a time: large enough to hide the overhead, small enough to stay in cache."""

BLOCK_CELLS = 1 << 19
"""Values evaluated at a time: wide tables have shorter blocks."""

MAX_LEVELS = 5_000
"""Full coding of K levels needs a K x K matrix; more levels are an identifier, not an attribute."""

_CHECKED_ROWS = 1_000
_QUOTING = 'A column whose name is not a Python name is written Q("its name").'
_MISSING, _UNSEEN = -1, -2  # codes; a contrast matrix has one more row, NaN, for _MISSING

_Box = type(patsy.builtins.C([]))  # what C(...) returns: data, contrast, levels
_Block = Mapping[str, pd.Series]  # the same rows of each column


@dataclass(frozen=True, eq=False, repr=False)
class Design:
    """A formula learned on one table, ready to be evaluated on any other.

    Instances come from `Design.learn`. They never change, so that copies share everything, and
    they can be pickled: the pickle holds what the formula needs, and none of the training data.

    Attributes
    ----------
    formula : str
        The formula, as given.
    names : tuple of str
        Names of the columns of the matrix, as patsy gives them, without an absorbed intercept.
    columns : tuple of str
        Names of the table's columns that the formula reads, in order of appearance.
    role : str
        What the formula is for; used in messages.
    """

    formula: str
    names: tuple[str, ...]
    columns: tuple[str, ...]
    role: str
    _factors: tuple[_Factor, ...]
    _subterms: tuple[_Subterm, ...]

    @classmethod
    def learn(
        cls,
        formula: str,
        data: pd.DataFrame,
        *,
        intercept: str,
        env: patsy.EvalEnvironment | int,
        role: str = "formula",
        rows: np.ndarray | None = None,
    ) -> Design:
        """Learn the levels, transforms and column names of a formula from a table.

        Parameters
        ----------
        formula : str
            Right-hand side of a patsy formula, with or without a leading ``~``.
        data : DataFrame
            The table, one row per row of the matrix.
        intercept : {"absorb", "keep"}
            "absorb" codes the categories as if there were an intercept (K - 1 columns for K
            levels) and then leaves the intercept out. "keep" leaves it in, named "Intercept".
            A formula with ``0 +`` or ``- 1`` has no intercept in either case, and codes its first
            categorical term with K columns.
        env : EvalEnvironment or int
            Where functions and constants of the formula are looked up. An integer counts frames
            above the caller of `learn`: 0 is the function that calls `learn`, 1 its caller, and
            so on.
        role : str, default "formula"
            What the formula is for ("utility formula"); used in messages.
        rows : (R,) array of int, optional
            Positions of the rows to learn from; all by default.

        Returns
        -------
        Design

        Raises
        ------
        ColumnError
            The formula names a column that the table does not have, or has more than once.
        FormulaError
            The formula cannot be read, has a left-hand side, cannot be evaluated, or has a term
            whose rows depend on other rows other than through a stateful transform.
        DataError
            The table has no rows, or a categorical term has no value in any of them.

        Notes
        -----
        Rows with a missing value stay, and become NaN; stateful transforms learn from the other
        rows. Declared but unused categories of a pandas categorical are left out, because their
        columns would be zero everywhere; levels written in ``C(x, levels=[...])`` are all kept.
        """
        if intercept not in ("absorb", "keep"):
            raise ArgumentError(f'intercept must be "absorb" or "keep", not {intercept!r}.')
        # Captured here, not in a helper, because the depth counts frames above this one.
        env = patsy.EvalEnvironment.capture(env, reference=1)
        if not len(data if rows is None else rows):
            raise DataError(f"The table has no rows to learn the {role} from.")
        where = f'the {role} "{formula}"'
        terms, learners = _learners(formula, data, env, role, where)
        columns = _columns_of(learners, data, role)

        def blocks() -> Iterator[_Block]:
            return (block for _, block in _blocks(data, columns, rows))

        try:
            info = patsy.incr_dbuilder(
                patsy.ModelDesc([], terms), blocks, patsy.EvalEnvironment([])
            )
        except MixlogitError:
            raise
        except (patsy.PatsyError, ValueError) as error:
            raise FormulaError(f"{_capital(where)} cannot be coded: {error}") from error

        factors = tuple(f.finished(info.factor_infos[f]) for f in learners.values())
        for factor in factors:
            _require_row_by_row(factor.expression, data, rows)
        position = {learner: i for i, learner in enumerate(learners.values())}
        names: list[str] = []
        subterms: list[_Subterm] = []
        all_names = iter(info.column_names)
        for term, codings in info.term_codings.items():
            for coding in codings:
                coding_names = [next(all_names) for _ in range(coding.num_columns)]
                if intercept == "absorb" and not term.factors:
                    continue
                pieces = tuple(
                    (position[f], _with_missing_row(coding.contrast_matrices.get(f)))
                    for f in coding.factors
                )
                subterms.append(_Subterm(len(names), len(names) + coding.num_columns, pieces))
                names += coding_names
        return cls(formula, tuple(names), columns, role, factors, tuple(subterms))

    @property
    def categories(self) -> dict[str, tuple[Any, ...]]:
        """Levels of each categorical factor, by its code in the formula, such as ``C(alt)``."""
        return {f.expression.code: f.levels for f in self._factors if f.levels is not None}

    def matrix(
        self,
        data: pd.DataFrame,
        *,
        order: np.ndarray | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Evaluate the formula on a table.

        Parameters
        ----------
        data : DataFrame
            The table; it needs the columns in `columns`, with values of the same kind.
        order : (R,) array of int, optional
            Positions in `data`: row i of the result is row ``order[i]`` of the table. Without it,
            every row in the order of the table.
        out : (R, K) float64 array, optional
            Filled and returned in place of a new array.

        Returns
        -------
        (R, K) float64 array
            One column for each of `names`. A missing value in any column that an entry depends on
            makes that entry NaN; infinite values pass through.

        Raises
        ------
        ColumnError
            A column is not in the table, or is there more than once.
        UnseenLevelError
            A categorical term has a level that was not there when the formula was learned.
        FormulaError
            A term cannot be evaluated on this table.
        """
        _require_columns(self.columns, data, self.role)
        if order is not None:
            order = np.asarray(order)
            if order.ndim != 1 or order.dtype.kind not in "iu":
                raise ArgumentError("order must be a one-dimensional array of integer positions.")
        shape = (len(data) if order is None else len(order), len(self.names))
        if out is None:
            out = np.empty(shape)
        elif out.shape != shape or out.dtype != np.float64:
            raise ArgumentError(
                f"out must be a float64 array of shape {shape}, not {out.dtype} of {out.shape}."
            )
        for rows, block in _blocks(data, self.columns, order):
            values = []
            for factor in self._factors:
                value = factor.values(block)
                if factor.levels is not None and np.any(value == _UNSEEN):
                    raise self._unseen_level_error(factor, data, order)
                values.append(value)
            for subterm in self._subterms:
                subterm.fill(out[rows], values)
        return out

    def require_columns(self, data: pd.DataFrame) -> None:
        """Raise unless a table has every column that the formula reads, once.

        Parameters
        ----------
        data : DataFrame

        Raises
        ------
        ColumnError
            A column is not in the table, or is there more than once.
        """
        _require_columns(self.columns, data, self.role)

    def missing(self, data: pd.DataFrame) -> np.ndarray:
        """Tell which rows have a missing value in a column that the formula reads.

        Parameters
        ----------
        data : DataFrame
            The table; it needs the columns in `columns`.

        Returns
        -------
        (R,) bool array
            True where any of them is missing (None, NaN, NaT or NA; infinity is not missing).

        Raises
        ------
        ColumnError
            A column is not in the table, or is there more than once.
        """
        _require_columns(self.columns, data, self.role)
        is_missing = np.zeros(len(data), dtype=bool)
        for column in self.columns:
            is_missing |= data[column].isna().to_numpy()
        return is_missing

    def __copy__(self) -> Design:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Design:
        # Nothing in it changes, and what a formula calls (a lambda, say) need not be copyable.
        return self

    def __repr__(self) -> str:
        return f"<Design {self.formula!r}: {len(self.names)} columns>"

    def _unseen_level_error(
        self, factor: _Factor, data: pd.DataFrame, order: np.ndarray | None
    ) -> UnseenLevelError:
        """Walk over the whole table to say which levels, how often, and where first."""
        assert factor.levels is not None
        expression = factor.expression
        counts: dict[Any, int] = {}
        first: int | None = None
        for rows, block in _blocks(data, expression.columns, order):
            unseen = factor.values(block) == _UNSEEN
            labels = _labels(expression.evaluate(block))[unseen]
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
            f"{listed(factor.levels)}. "
            "Drop or recode those rows, or fit on a table that has these levels."
        )


def columns_read(
    formula: str, data: pd.DataFrame, *, env: patsy.EvalEnvironment, role: str
) -> tuple[str, ...]:
    """Tell which columns of a table a formula reads, without learning it.

    Parameters
    ----------
    formula, data, env, role
        As in `Design.learn`.

    Returns
    -------
    tuple of str
        In order of appearance.
    """
    _, learners = _learners(formula, data, env, role, f'the {role} "{formula}"')
    return _columns_of(learners, data, role)


def _learners(
    formula: str, data: pd.DataFrame, env: patsy.EvalEnvironment, role: str, where: str
) -> tuple[list[patsy.Term], dict[str, _Learner]]:
    """The terms of a formula, and each of their factors once, by its code."""
    learners: dict[str, _Learner] = {}
    terms = []
    for term in _read(formula, where):
        for factor in term.factors:
            if factor.code not in learners:
                learners[factor.code] = _Learner(factor, data, env, role, where)
        terms.append(patsy.Term([learners[factor.code] for factor in term.factors]))
    return terms, learners


def _columns_of(learners: Mapping[str, _Learner], data: pd.DataFrame, role: str) -> tuple[str, ...]:
    """Columns that the factors read, each once in the table."""
    columns = tuple(dict.fromkeys(c for f in learners.values() for c in f.columns))
    _require_columns(columns, data, role)
    return columns


@dataclass(frozen=True, eq=False)
class _Expression:
    """Python code of one factor, with all that it needs besides the columns."""

    code: str  # as in the formula
    eval_code: str  # the same, calling the `transform` of what it has learned
    columns: tuple[str, ...]
    transforms: Mapping[str, Any]
    variables: Mapping[str, Any]  # from the calling code: functions, modules, constants
    flags: int  # the __future__ flags of the calling code
    where: str

    def pick(self, block: _Block) -> dict[str, pd.Series]:
        """Only its own columns: a column named C must not hide the function in C(alt)."""
        picked = {column: block[column] for column in self.columns}
        if self.transforms:  # patsy's see pandas's masked numbers as objects
            picked = {column: _without_mask(series) for column, series in picked.items()}
        return picked

    def evaluate(self, block: _Block) -> Any:
        """The value on these rows: one or two-dimensional, or boxed by C(...)."""
        columns = self.pick(block)
        env = patsy.EvalEnvironment([self.variables], self.flags)
        with _explained(self.code, self.where):
            value = env.eval(self.eval_code, inner_namespace={**columns, **self.transforms})
        data = value.data if isinstance(value, _Box) else value
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
class _Factor:
    """An expression, and what kind of values it has: levels, or a number of columns."""

    expression: _Expression
    levels: tuple[Any, ...] | None
    n_columns: int | None

    def values(self, block: _Block) -> np.ndarray:
        """Numbers (R, C) of a numeric factor, codes (R,) of a categorical one."""
        value = self.expression.evaluate(block)
        with _explained(self.expression.code, self.expression.where):
            if self.levels is not None:
                return self._codes(_labels(value))
            if _is_categorical(value) and not _is_bool(value):
                raise TypeError(
                    "it was numeric when the formula was learned, and now has the type "
                    f"{getattr(value, 'dtype', type(value).__name__)}; convert it to numbers"
                )
            numbers = _numbers(value)
            if numbers.shape[1] != self.n_columns:
                raise ValueError(
                    f"it had {self.n_columns} columns when the formula was learned, and now has "
                    f"{numbers.shape[1]}"
                )
            return numbers

    def _codes(self, labels: pd.Series) -> np.ndarray:
        """Positions in the levels, found by label: the order of categories may differ."""
        assert self.levels is not None
        codes, uniques = pd.factorize(labels)  # -1 where missing
        position = {level: i for i, level in enumerate(self.levels)}
        found = [position.get(label, _UNSEEN) for label in uniques.tolist()]
        return np.array([*found, _MISSING])[codes]


@dataclass(frozen=True, eq=False)
class _Subterm:
    """Columns start:stop of the matrix: a product of factors, each coded in its own way."""

    start: int
    stop: int
    pieces: tuple[tuple[int, np.ndarray | None], ...]  # position of the factor, its contrasts

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


class _Learner:
    """A factor while it is being learned: patsy's factor protocol around patsy's own factor.

    Beyond what patsy's does, it learns the levels itself, in one more pass over the data: patsy
    would look at the values one by one in Python, and take all declared categories.
    """

    def __init__(
        self,
        factor: EvalFactor,
        data: pd.DataFrame,
        env: patsy.EvalEnvironment,
        role: str,
        where: str,
    ) -> None:
        self.origin = factor.origin
        self._factor = factor
        self._where = where
        with _explained(factor.code, where):
            names = _Names.of(factor.code)
        self.columns = names.columns_in(data)
        variables = names.variables_in(env, self.columns)
        names.require_known(factor.code, self.columns, variables, data, role, where)
        if not self.columns:
            raise FormulaError(
                f"The term {factor.code} of {where} reads no column of the table: each name in it "
                "is a function or a variable of the calling code. Add the column that is meant, "
                "or leave the term out."
            )
        self._env = patsy.EvalEnvironment([variables], env.flags)
        self._expression: _Expression
        self._n_passes = 0
        self._is_numeric = False
        self._seen: set[Any] = set()
        self._declared: list[Any] | None = None
        self._contrast: Any = None
        self._levels: tuple[Any, ...] | None = None

    def name(self) -> str:
        return self._factor.name()

    def memorize_passes_needed(self, state: dict[str, Any], eval_env: Any) -> int:
        """Set up the transforms. The environment is this factor's own, without the columns."""
        code = self._factor.code
        with _explained(code, self._where):
            self._n_passes = self._factor.memorize_passes_needed(state, self._env)
        needed = set(ast_names(state["eval_code"])) - set(self.columns)
        found = state["eval_env"].namespace
        self._expression = _Expression(
            code=code,
            eval_code=state["eval_code"],
            columns=self.columns,
            transforms=state["transforms"],
            variables={name: found[name] for name in sorted(needed) if name in found},
            flags=self._env.flags,
            where=self._where,
        )
        return self._n_passes + 1

    def memorize_chunk(self, state: dict[str, Any], which_pass: int, block: _Block) -> None:
        if which_pass == self._n_passes:
            if not self._is_numeric:
                self._learn_levels(block)
            return
        columns = self._expression.pick(block)
        # One missing value would make a mean, and with it the whole column, missing.
        is_complete = ~np.any([series.isna() for series in columns.values()], axis=0)
        if not is_complete.all():
            columns = {name: series[is_complete] for name, series in columns.items()}
        if is_complete.any():
            with _explained(self._factor.code, self._where):
                self._factor.memorize_chunk(state, which_pass, columns)

    def memorize_finish(self, state: dict[str, Any], which_pass: int) -> None:
        if which_pass == self._n_passes:
            if not self._is_numeric:
                self._sort_levels()
            return
        with _explained(self._factor.code, self._where):
            self._factor.memorize_finish(state, which_pass)

    def eval(self, state: dict[str, Any], block: _Block) -> Any:
        """What patsy learns the kind of the factor from."""
        if self._levels is None:
            with _explained(self._factor.code, self._where):
                return _numbers(self._expression.evaluate(block))
        contrast = _Contrast(self._contrast, self._factor.code, self._where)
        return patsy.builtins.C(list(self._levels), contrast, levels=self._levels)

    def finished(self, info: Any) -> _Factor:
        """The plain record, from what patsy found out."""
        return _Factor(self._expression, info.categories, info.num_columns)

    def _learn_levels(self, block: _Block) -> None:
        """Collect the labels of a block."""
        value = self._expression.evaluate(block)
        if not _is_categorical(value):
            self._is_numeric = True
            return
        if isinstance(value, _Box):
            self._contrast = value.contrast
            if value.levels is not None:
                self._levels = tuple(
                    level.item() if isinstance(level, np.generic) else level
                    for level in value.levels
                )
        with _explained(self._factor.code, self._where):
            labels = _labels(value)
            if isinstance(labels.dtype, pd.CategoricalDtype):
                declared = labels.cat.categories.tolist()
                if self._declared not in (None, declared):
                    raise _not_row_by_row(self._expression)
                self._declared = declared
            self._seen.update(pd.factorize(labels)[1].tolist())

    def _sort_levels(self) -> None:
        """Order the levels as they were written, as they were declared, or as patsy does."""
        code = self._factor.code
        if self._levels is None and self._declared is not None:
            self._levels = tuple(level for level in self._declared if level in self._seen)
        elif self._levels is None:
            if any(isinstance(level, bool) for level in self._seen):
                self._seen |= {True, False}  # two levels, even where one of them does not occur
            self._levels = tuple(sorted(self._seen, key=SortAnythingKey))
        if not self._levels:
            raise DataError(
                f"The term {code} of {self._where} has no value: every row is missing. "
                "Leave the term out or fill the column."
            )
        if len(self._levels) > MAX_LEVELS:
            raise FormulaError(
                f"The term {code} of {self._where} has {len(self._levels):,} levels, and each "
                f"would be a column; at most {MAX_LEVELS:,} are accepted. If it holds numbers, "
                "convert the column to a numeric type; if it identifies rows, leave it out."
            )


class _Contrast:
    """The coding that the user asked for, with errors that say in which term."""

    def __init__(self, contrast: Any, code: str, where: str) -> None:
        self._contrast = contrast
        self._code = code
        self._where = where

    def code_with_intercept(self, levels: Sequence[Any]) -> patsy.ContrastMatrix:
        return self._coded(True, levels)

    def code_without_intercept(self, levels: Sequence[Any]) -> patsy.ContrastMatrix:
        return self._coded(False, levels)

    def _coded(self, intercept: bool, levels: Sequence[Any]) -> patsy.ContrastMatrix:
        with _explained(self._code, self._where):
            coded = code_contrast_matrix(
                intercept, tuple(levels), self._contrast, default=patsy.Treatment
            )
            if len(coded.matrix) != len(levels):
                raise ValueError(
                    f"the contrast matrix has {len(coded.matrix)} rows for {len(levels)} levels"
                )
            return coded


@dataclass(frozen=True)
class _Names:
    """The names in the code of a factor, in order of appearance."""

    read: tuple[str, ...]
    called: tuple[str, ...]
    quoted: tuple[str, ...]  # in Q("...")
    is_bare: bool  # the code is nothing but one name

    @classmethod
    def of(cls, code: str) -> _Names:
        tree = ast.parse(code, mode="eval")
        list(ast_names(code))  # rejects lambdas and comprehensions, which bind names of their own
        names = sorted(
            (node for node in ast.walk(tree) if isinstance(node, ast.Name)),
            key=lambda node: node.col_offset,
        )
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        functions = [call.func for call in calls]
        constants = [
            call.args[0].value
            for call in calls
            if isinstance(call.func, ast.Name) and call.func.id == "Q" and len(call.args) == 1
            if isinstance(call.args[0], ast.Constant)
        ]
        return cls(
            read=tuple(node.id for node in names if node not in functions),
            called=tuple(node.id for node in names if node in functions),
            quoted=tuple(value for value in constants if isinstance(value, str)),
            is_bare=isinstance(tree.body, ast.Name),
        )

    def columns_in(self, data: pd.DataFrame) -> tuple[str, ...]:
        """Columns come before variables of the same name; what is called is never a column."""
        return tuple(
            dict.fromkeys(name for name in self.read + self.quoted if name in data.columns)
        )

    def variables_in(self, env: patsy.EvalEnvironment, columns: Sequence[str]) -> dict[str, Any]:
        """The calling code's variables that the factor uses."""
        namespace = env.namespace
        found = {n: namespace[n] for n in self.read if n not in columns and n in namespace}
        # A variable C = 3 does not hide patsy's function in C(alt).
        found |= {
            n: namespace[n]
            for n in self.called
            if n not in found and n in namespace and callable(namespace[n])
        }
        return found

    def require_known(
        self,
        code: str,
        columns: Sequence[str],
        variables: Mapping[str, Any],
        data: pd.DataFrame,
        role: str,
        where: str,
    ) -> None:
        """Raise for names that are neither columns nor known to the calling code."""
        known = {*columns, *variables, *patsy.builtins.__all__, *dir(builtins)}
        for name in self.quoted:
            if name not in columns:
                raise _unknown_column(name, data, role)
        for name in self.read:
            # A bare name must be a column: an array of the calling code could not be replayed.
            if name not in columns and (self.is_bare or name not in known):
                raise _unknown_column(name, data, role, code if not self.is_bare else "")
        for name in self.called:
            if name not in known:
                raise FormulaError(
                    f"The function {name!r} in the term {code} of {where} is not known. Import "
                    "or define it where the formula is used, or write its module, as in np.log(x)."
                )


def _read(formula: str, where: str) -> list[patsy.Term]:
    """The terms of the right-hand side."""
    if not isinstance(formula, str):
        raise FormulaError(f"The formula must be a string, not {type(formula).__name__}.")
    try:
        # patsy reads "" as "1", and refuses "~".
        parsed = patsy.ModelDesc.from_formula("" if formula.strip() == "~" else formula)
    except Exception as error:
        origin = getattr(error, "origin", None)
        part = f" at {origin.relevant_code()!r}" if origin is not None else ""
        raise FormulaError(
            f"{_capital(where)} cannot be read{part}: {error}\n{_QUOTING}"
        ) from error
    if parsed.lhs_termlist:
        raise FormulaError(
            f"{_capital(where)} has a left-hand side, "
            f'"{" + ".join(term.name() for term in parsed.lhs_termlist)}". '
            'Give only what stands to the right of "~".'
        )
    return parsed.rhs_termlist


def _blocks(
    data: pd.DataFrame, columns: Sequence[str], order: np.ndarray | None = None
) -> Iterator[tuple[slice, _Block]]:
    """Yield the columns block by block, with the rows of the result that they stand in."""
    n_rows = len(data) if order is None else len(order)
    step = min(BLOCK_ROWS, max(BLOCK_CELLS // max(len(columns), 1), 1024))
    for start in range(0, n_rows, step):
        rows = slice(start, min(start + step, n_rows))
        # Column by column, because a slice of one column is a view and data[columns] is a copy.
        if order is None:
            yield rows, {column: data[column].iloc[rows] for column in columns}
        else:
            yield rows, _taken(data, columns, order[rows])


def _taken(data: pd.DataFrame, columns: Sequence[str], positions: np.ndarray) -> _Block:
    """Rows at these positions; their labels are taken once, not for each column."""
    index = data.index[positions]
    return {
        column: pd.Series(data[column].array[positions], index, name=column, copy=False)
        for column in columns
    }


def _is_categorical(value: Any) -> bool:
    """As in patsy: all that is not numeric, and what C(...) marks."""
    if isinstance(value, _Box):
        return True
    if isinstance(value, pd.DataFrame):
        return not all(_is_number_type(dtype) for dtype in value.dtypes)
    return not _is_number_type(getattr(value, "dtype", np.asarray(value).dtype))


def _is_number_type(dtype: Any) -> bool:
    is_bool = pd.api.types.is_bool_dtype(dtype)
    return pd.api.types.is_numeric_dtype(dtype) and not is_bool


def _is_bool(value: Any) -> bool:
    return pd.api.types.is_bool_dtype(getattr(value, "dtype", None))


def _labels(value: Any) -> pd.Series:
    """Values of a categorical factor, one for each row."""
    data = value.data if isinstance(value, _Box) else value
    if np.ndim(data) != 1:
        raise TypeError(f"a categorical term must have one dimension, not {np.ndim(data)}")
    return data if isinstance(data, pd.Series) else pd.Series(data)


def _numbers(value: Any) -> np.ndarray:
    """Values of a numeric factor (R, C), NaN where missing."""
    if isinstance(value, pd.DataFrame):
        return np.column_stack([_numbers(value.iloc[:, i]) for i in range(value.shape[1])])
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


def _without_mask(series: pd.Series) -> pd.Series:
    """A column of pandas's nullable numbers as floats, others as they are."""
    dtype = series.dtype
    if not (isinstance(dtype, pd.api.extensions.ExtensionDtype) and _is_number_type(dtype)):
        return series
    return pd.Series(_numbers(series)[:, 0], index=series.index, name=series.name)


def _with_missing_row(contrast: patsy.ContrastMatrix | None) -> np.ndarray | None:
    """Contrasts with a last row of NaN, which the code -1 of a missing level picks."""
    if contrast is None:
        return None
    matrix = np.asarray(contrast.matrix, dtype=float)
    return np.vstack([matrix, np.full(matrix.shape[1], np.nan)])


def _require_row_by_row(
    expression: _Expression, data: pd.DataFrame, rows: np.ndarray | None
) -> None:
    """Raise if a sample of rows has other values in two parts than as a whole.

    Such a term, ``x - x.mean()`` say, would change with the size of the blocks, with the order of
    the rows, and on new data.
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
        raise _not_row_by_row(expression) from error
    if not agree:
        raise _not_row_by_row(expression)


def _agree(whole: Any, parts: Sequence[Any]) -> bool:
    """Whether the parts, one after another, are the whole."""
    if _is_categorical(whole):
        labels = [_labels(value).astype(object) for value in (whole, *parts)]
        codes, _ = pd.factorize(pd.concat(labels, ignore_index=True))
        return np.array_equal(codes[: len(labels[0])], codes[len(labels[0]) :])
    numbers, joined = _numbers(whole), np.vstack([_numbers(value) for value in parts])
    # Rounding may depend on how many rows are computed together; what is looked for does not.
    finite = np.abs(numbers[np.isfinite(numbers)])
    return np.allclose(numbers, joined, 1e-8, 1e-8 * finite.max(initial=0.0), equal_nan=True)


def _not_row_by_row(expression: _Expression) -> FormulaError:
    return FormulaError(
        f"The term {expression.code} of {expression.where} is not computed row by row: on part of "
        "the rows it gives other values than on all of them, and so it would on new data. Use "
        "center(), standardize() or another stateful transform of patsy, which remember what they "
        "have learned, or add the result to the table as a column."
    )


def _require_columns(columns: Sequence[str], data: pd.DataFrame, role: str) -> None:
    """Raise unless each column is in the table exactly once."""
    for column in columns:
        if column not in data.columns:
            raise _unknown_column(column, data, role)
        count = int(np.sum(data.columns == column))
        if count > 1:
            raise ColumnError(
                f"The column {column!r}, used in the {role}, is {count} times in the table. "
                "Rename or drop the others."
            )


def _unknown_column(name: str, data: pd.DataFrame, role: str, code: str = "") -> ColumnError:
    """Say which column is not there, and which could have been meant."""
    present = [str(column) for column in data.columns]
    # Written without quoting, price-per-km asks for the column 'price'.
    quotable = [column for column in present if not column.isidentifier()]
    close = [str(column) for column in close_matches(name, present)]
    close += [column for column in quotable if name in column and column not in close]
    shown = [c if c.isidentifier() else f'Q("{c}")' for c in close]
    term = f" (term {code})" if code else ""
    hint = f"Did you mean {', '.join(shown)}? " if shown else ""
    remedy = "Add it to the table or correct the formula."
    if code:
        remedy += " If it is a function or a constant, define it where the formula is used."
    return ColumnError(
        f"The column {name!r}, used in the {role}{term}, is not in the table. {hint}{remedy} "
        f"The table has the columns {listed(present)}."
    )


@contextmanager
def _explained(code: str, where: str) -> Iterator[None]:
    """Turn what goes wrong in a term into an error that names the term.

    Floating-point warnings are silent, as in log(0): the caller checks for finite values, and can
    say in which rows they are not.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except (MixlogitError, MemoryError):
        raise
    except Exception as error:
        # patsy wraps what the user's code raises.
        cause = (error.__cause__ if isinstance(error, patsy.PatsyError) else None) or error
        # Without the caret that patsy draws, and without Python's "(<unknown>, line 1)".
        if isinstance(cause, SyntaxError):
            message, hint = cause.msg, f" {_QUOTING}"
        else:
            message, hint = getattr(cause, "message", None) or str(cause), ""
        raise FormulaError(
            f"The term {code} of {where} cannot be evaluated: "
            f"{type(cause).__name__}: {message}.{hint}"
        ) from cause


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
