"""The right-hand side of a formula, learned on one table -> a numeric matrix of any other.

patsy reads the formula, learns the stateful transforms and chooses the coding of the categories.
What it has learned is then kept as the plain records of `mixlogit.replay`. Nothing here knows
about choices.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
import patsy
import patsy.builtins
from patsy.contrasts import code_contrast_matrix
from patsy.eval import EvalFactor, ast_names
from patsy.util import SortAnythingKey

from mixlogit.arrangement import row_label
from mixlogit.columns import require_read_columns, unknown_column
from mixlogit.errors import ArgumentError, DataError, FormulaError, MixlogitError, show, verb
from mixlogit.replay import (
    QUOTING,
    UNSEEN,
    Block,
    Box,
    Expression,
    Factor,
    Subterm,
    blocks_of,
    explained,
    is_categorical,
    labels_of,
    not_row_by_row,
    numbers_of,
    require_row_by_row,
    with_missing_row,
)
from mixlogit.spelled import Spelled

__all__ = ["MAX_LEVELS", "Design", "Pieces", "columns_read", "terms_of"]

Pieces = Callable[[], Iterator[tuple[pd.DataFrame, np.ndarray | None]]]

# What a column of objects may hold that is no category.
_NO_CATEGORIES = (
    (Number, "numbers as Python objects", "Convert the column with pandas.to_numeric"),
    (
        (date, timedelta, pd.Period),
        "dates or durations",
        "Make numbers of them first, such as x.dt.hour or x.dt.total_seconds() / 60",
    ),
)

MAX_LEVELS = 5_000
"""Full coding of K levels needs a K x K matrix; more levels are an identifier, not an attribute."""


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
    _factors: tuple[Factor, ...]
    _subterms: tuple[Subterm, ...]

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
        return cls.learn_pieces(
            formula, lambda: iter([(data, rows)]), intercept=intercept, env=env, role=role
        )

    @classmethod
    def learn_pieces(
        cls,
        formula: str,
        pieces: Pieces,
        *,
        intercept: str,
        env: patsy.EvalEnvironment,
        role: str = "formula",
        absorbed: Collection[frozenset[str]] = (),
    ) -> Design:
        """Learn a formula from a table in pieces.

        Parameters
        ----------
        formula : str
        pieces : callable
            Gives an iterator over the pieces, a frame and the positions of the rows to learn from
            (None for all), from the first one on at every call. There is one row at least.
        intercept, env, role
            As in `learn`.
        absorbed : collection of frozenset of str
            Terms, each as the codes of its factors, that are treated as an intercept that is
            absorbed: categories are coded as if the formula had them, and they are left out.

        Returns
        -------
        Design
            As from the whole table, but for the round-off of what transforms add up.
        """
        data, rows = next(piece for piece in pieces() if piece[1] is None or len(piece[1]))
        where = f'the {role} "{formula}"'
        terms, learners = _learners(formula, data, env, role, where)
        columns = _columns_of(learners, data, role)
        left_out = {frozenset(), *absorbed} if intercept == "absorb" else {*absorbed}
        terms = _with_terms(
            terms, [[f for f in learners.values() if f.code in term] for term in absorbed]
        )

        def blocks() -> Iterator[Block]:
            for piece, own_rows in pieces():
                for _, block in blocks_of(piece, columns, own_rows):
                    yield block

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
            require_row_by_row(factor.expression, data, rows)
        position = {learner: i for i, learner in enumerate(learners.values())}
        names: list[str] = []
        subterms: list[Subterm] = []
        all_names = iter(info.column_names)
        for term, codings in info.term_codings.items():
            for coding in codings:
                coding_names = [next(all_names) for _ in range(coding.num_columns)]
                if _codes(term) in left_out:
                    continue
                coded = tuple(
                    (position[f], with_missing_row(coding.contrast_matrices.get(f)))
                    for f in coding.factors
                )
                subterms.append(Subterm(len(names), len(names) + coding.num_columns, coded))
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
        dtype: np.dtype | type = np.float64,
    ) -> np.ndarray:
        """Evaluate the formula on a table.

        Parameters
        ----------
        data : DataFrame
            The table; it needs the columns in `columns`, with values of the same kind.
        order : (R,) array of int, optional
            Positions in `data`: row i of the result is row ``order[i]`` of the table. Without it,
            every row in the order of the table.
        out : (R, K) array, optional
            Filled and returned in place of a new array.
        dtype : dtype
            Of the result. Values are computed in float64 and rounded to it.

        Returns
        -------
        (R, K) array of ``dtype``
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
        require_read_columns(self.columns, data, self.role)
        if order is not None:
            order = np.asarray(order)
            if order.ndim != 1 or order.dtype.kind not in "iu":
                raise ArgumentError("order must be a one-dimensional array of integer positions.")
        shape = (len(data) if order is None else len(order), len(self.names))
        if out is None:
            out = np.empty(shape, dtype=dtype)
        elif out.shape != shape or out.dtype != dtype:
            raise ArgumentError(
                f"out must be a {np.dtype(dtype)} array of shape {shape}, not {out.dtype} of "
                f"{out.shape}."
            )
        for rows, block in blocks_of(data, self.columns, order):
            values = []
            for factor in self._factors:
                value = _values(factor, block, data, order)
                if factor.levels is not None and np.any(value == UNSEEN):
                    raise factor.unseen_level_error(data, order)
                values.append(value)
            with np.errstate(over="ignore"):  # what is too large for the type is infinite in it
                for subterm in self._subterms:
                    subterm.fill(out[rows], values)
        return out

    def names_reading(self, column: str) -> tuple[str, ...]:
        """Names of the columns of the matrix that depend on a column of the table.

        Parameters
        ----------
        column : str
            Of the table.

        Returns
        -------
        tuple of str
            In the order of `names`; empty if the formula does not read it.
        """
        return tuple(
            name
            for subterm in self._subterms
            if any(column in self._factors[i].expression.columns for i, _ in subterm.pieces)
            for name in self.names[subterm.start : subterm.stop]
        )

    def factors_reading(self, column: str) -> tuple[Factor, ...]:
        """Factors of the formula that depend on a column of the table, in order of appearance.

        Parameters
        ----------
        column : str
            Of the table.

        Returns
        -------
        tuple of Factor
        """
        return tuple(f for f in self._factors if column in f.expression.columns)

    def only_factor(self, name: str) -> Factor | None:
        """The factor that a column of the matrix consists of; None if it is a product of several.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        Factor or None
        """
        i = self.names.index(name)
        own = next(subterm for subterm in self._subterms if subterm.start <= i < subterm.stop)
        return self._factors[own.pieces[0][0]] if len(own.pieces) == 1 else None

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
        require_read_columns(self.columns, data, self.role)

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
        require_read_columns(self.columns, data, self.role)
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


def _values(
    factor: Factor, block: Block, data: pd.DataFrame, order: np.ndarray | None
) -> np.ndarray:
    """Values of a factor on some rows; beyond the knots of a spline, an error that says so."""
    try:
        return factor.values(block)
    except FormulaError as error:
        beyond = factor.beyond_error(data, order)
        raise error if beyond is None else beyond from error


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


def terms_of(formula: str, role: str) -> tuple[tuple[str, ...], ...]:
    """Tell which terms a formula has, each as the codes of its factors.

    Parameters
    ----------
    formula, role
        As in `Design.learn`.

    Returns
    -------
    tuple of tuple of str
        In patsy's order; the intercept is empty.
    """
    terms = _read(formula, f'the {role} "{formula}"')
    return tuple(tuple(factor.code for factor in term.factors) for term in terms)


def _codes(term: patsy.Term) -> frozenset[str]:
    """A term as the codes of its factors."""
    return frozenset(factor.code for factor in term.factors)


def _with_terms(
    terms: Sequence[patsy.Term], added: Sequence[Sequence[_Learner]]
) -> list[patsy.Term]:
    """Terms, and before the first that has all its factors each of those that are not there."""
    out = [*terms]
    for term in map(patsy.Term, added):
        own = _codes(term)
        if own not in {_codes(other) for other in out}:
            out.insert(next(i for i, other in enumerate(out) if own < _codes(other)), term)
    return out


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
    require_read_columns(columns, data, role)
    return columns


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
        self.code = factor.code
        self._factor = factor
        self._where = where
        self._data = data  # to find where something stands
        with explained(factor.code, where):
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
        self._expression: Expression
        self._n_passes = 0
        self._is_numeric = False
        self._seen: set[Any] = set()
        self._declared: list[Any] | None = None
        self._is_marked = False  # by C(...)
        self._contrast: Any = None
        self._levels: tuple[Any, ...] | None = None

    def name(self) -> str:
        return self._factor.name()

    def memorize_passes_needed(self, state: dict[str, Any], eval_env: Any) -> int:
        """Set up the transforms. The environment is this factor's own, without the columns."""
        code = self._factor.code
        with explained(code, self._where):
            self._n_passes = self._factor.memorize_passes_needed(state, self._env)
        needed = set(ast_names(state["eval_code"])) - set(self.columns)
        found = state["eval_env"].namespace
        self._expression = Expression(
            code=code,
            eval_code=state["eval_code"],
            columns=self.columns,
            transforms=state["transforms"],
            variables={name: found[name] for name in sorted(needed) if name in found},
            flags=self._env.flags,
            where=self._where,
        )
        return self._n_passes + 1

    def memorize_chunk(self, state: dict[str, Any], which_pass: int, block: Block) -> None:
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
            with explained(self._factor.code, self._where):
                self._factor.memorize_chunk(state, which_pass, columns)

    def memorize_finish(self, state: dict[str, Any], which_pass: int) -> None:
        if which_pass == self._n_passes:
            if not self._is_numeric:
                self._sort_levels()
            return
        with explained(self._factor.code, self._where):
            self._factor.memorize_finish(state, which_pass)

    def eval(self, state: dict[str, Any], block: Block) -> Any:
        """What patsy learns the kind of the factor from."""
        if self._levels is None:
            with explained(self._factor.code, self._where):
                return numbers_of(self._expression.evaluate(block))
        contrast = _Contrast(self._contrast, self._factor.code, self._where)
        return patsy.builtins.C(list(self._levels), contrast, levels=self._levels)

    def finished(self, info: Any) -> Factor:
        """The plain record, from what patsy found out."""
        return Factor(self._expression, info.categories, info.num_columns)

    def _learn_levels(self, block: Block) -> None:
        """Collect the labels of a block."""
        value = self._expression.evaluate(block)
        if not is_categorical(value):
            self._is_numeric = True
            return
        if isinstance(value, Box):
            self._is_marked = True
            self._contrast = value.contrast
            if value.levels is not None:
                self._levels = tuple(
                    level.item() if isinstance(level, np.generic) else level
                    for level in value.levels
                )
        with explained(self._factor.code, self._where):
            labels = labels_of(value)
            if isinstance(labels.dtype, pd.CategoricalDtype):
                declared = labels.cat.categories.tolist()
                if self._declared not in (None, declared):
                    raise not_row_by_row(self._expression)
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
            if not self._is_marked:
                self._refuse_numbers_and_dates()
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

    def _refuse_numbers_and_dates(self) -> None:
        """Raise for values that are no categories, unless C(...) makes them some."""
        code = self._factor.code
        for kinds, what, remedy in _NO_CATEGORIES:
            if self._seen and all(
                isinstance(level, kinds) and not isinstance(level, bool) for level in self._seen
            ):
                raise FormulaError(
                    f"The term {code} of {self._where} holds {what}, and each would be a category. "
                    f"{remedy}, or write C({code}) if categories are meant."
                )
        spelled = Spelled.of(self._seen)
        if spelled.numbers and spelled.is_meant_as_numbers:
            raise FormulaError(
                f"The term {code} of {self._where} holds numbers as text, and each would be a "
                f"category: {spelled.how_many} {verb(len(spelled.numbers), 'reads', 'read')} as "
                f"a number{self._first(spelled.numbers)}. {spelled.remedy(code)} write C({code}) "
                "if categories are meant."
            )

    def _first(self, labels: Sequence[object]) -> str:
        """Where the first of some labels of a single column stands, as the end of a clause."""
        if len(self.columns) != 1:
            return ""
        column = self._data[self.columns[0]]
        there = np.flatnonzero(column.isin(labels).to_numpy())
        if not len(there):
            return ""
        return f"; the first is {show(column.iloc[there[0]])} in {row_label(there[0])}"


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
        with explained(self._code, self._where):
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
                raise unknown_column(name, data, role)
        for name in self.read:
            # A bare name must be a column: an array of the calling code could not be replayed.
            if name not in columns and (self.is_bare or name not in known):
                raise unknown_column(name, data, role, code if not self.is_bare else "")
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
        raise FormulaError(f"{_capital(where)} cannot be read{part}: {error}\n{QUOTING}") from error
    if parsed.lhs_termlist:
        raise FormulaError(
            f"{_capital(where)} has a left-hand side, "
            f'"{" + ".join(term.name() for term in parsed.lhs_termlist)}". '
            'Give only what stands to the right of "~".'
        )
    return parsed.rhs_termlist


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
