"""Choice sets by class: alternatives that some classes do not have.

Which rows a class has is written into the offset, which is minus infinity elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import patsy
from patsy.eval import ast_names

from mixlogit.arguments import is_iterable, require_whole
from mixlogit.arrangement import Arrangement, row_label
from mixlogit.attributes import RowTable, blocks_of_situations
from mixlogit.columns import require_column
from mixlogit.entries import Entries
from mixlogit.errors import (
    ArgumentError,
    DataError,
    FormulaError,
    IdentificationError,
    did_you_mean,
    listed,
    plural,
    show,
    verb,
)

__all__ = ["ClassSets", "refuse_impossible_choices", "refuse_unidentified"]

_CLASS = re.compile(r"class([1-9]\d*)")
_FLAT = 1e-13  # of the mean square: what centring leaves of a constant column
_LOST = 1e-11  # of a column's own variation, in squares

Rule = str | tuple[Any, ...]


@dataclass(frozen=True)
class ClassSets:
    """Which rows of the choice sets some classes have; the others have all.

    Parameters
    ----------
    rules : tuple of (int, str or tuple)
        By number of the class, from 0: an expression of columns that is true where a row is
        available, or ids of the alternatives that are.
    n_classes : int
    """

    rules: tuple[tuple[int, Rule], ...]
    n_classes: int

    @classmethod
    def of(cls, available_in: Any, n_classes: int) -> ClassSets | None:
        """Read the argument of a model; None if all classes have all alternatives.

        Parameters
        ----------
        available_in : mapping of str to str or iterable, or None
        n_classes : int

        Raises
        ------
        ArgumentError
            It is no such mapping, or names a class that there is not.
        """
        if available_in is None:
            return None
        if not isinstance(available_in, Mapping):
            raise ArgumentError(
                "available_in must map classes to their alternatives, such as {'class1': ['car', "
                f"'train']}}, not {type(available_in).__name__}."
            )
        require_whole("n_classes", n_classes)
        names = [f"class{k}" for k in range(1, n_classes + 1)]
        rules: list[tuple[int, Rule]] = []
        for name, rule in available_in.items():
            if name not in names:
                raise ArgumentError(
                    f"available_in names {name!r}, which is no class."
                    f"{did_you_mean(str(name), names)} The classes are {listed(names)}."
                )
            is_list = is_iterable(rule) and not isinstance(rule, (str, Mapping))
            if not (isinstance(rule, str) and rule.strip()) and not (is_list and list(rule)):
                raise ArgumentError(
                    f"available_in[{name!r}] is {rule!r}; it must be a list of alternatives, or an "
                    "expression of columns that is true where a row is available."
                )
            rules.append((names.index(name), rule if isinstance(rule, str) else tuple(rule)))
        return cls(tuple(sorted(rules, key=lambda pair: pair[0])), n_classes) if rules else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results should know."""
        return tuple(
            f"class{k + 1} has only the rows "
            + (f"with {rule}." if isinstance(rule, str) else f"of {listed(rule)}.")
            for k, rule in self.rules
        )

    def columns(self, frame: pd.DataFrame) -> tuple[str, ...]:
        """Columns of a table that the expressions read."""
        found: dict[str, None] = {}
        for _, rule in self.rules:
            if isinstance(rule, str):
                found |= dict.fromkeys(_columns_of(rule, frame))
        return tuple(found)

    def require(self, arrangement: Arrangement) -> None:
        """Raise unless the data have the alternatives that are listed.

        Parameters
        ----------
        arrangement : Arrangement

        Raises
        ------
        ArgumentError
        """
        for k, rule in self.rules:
            if isinstance(rule, str):
                continue
            known, _ = _alternatives(arrangement, f"class{k + 1}")
            codes = _codes_of(rule, known)
            unknown = [one for one, code in zip(rule, codes, strict=True) if code < 0]
            if unknown:
                raise ArgumentError(
                    f"available_in gives class{k + 1} the alternative {unknown[0]!r}, which is not "
                    f"in the data.{did_you_mean(str(unknown[0]), known)} They are {listed(known)}."
                )

    def of_rows(
        self, frame: pd.DataFrame, arrangement: Arrangement, offset: np.ndarray | None, dtype: Any
    ) -> np.ndarray:
        """Offset by class, with the classes that do not have a row.

        Parameters
        ----------
        frame : DataFrame
        arrangement : Arrangement
        offset : ndarray, shape (1, R), or None
            Of all classes.
        dtype : dtype

        Returns
        -------
        ndarray, shape (K, R)
            Minus infinity where the class does not have the row.

        Raises
        ------
        DataError
            A class has no alternative in some situation, or an expression gives no truth values.
        FormulaError
            An expression cannot be evaluated.
        """
        out = np.zeros((self.n_classes, arrangement.n_rows), dtype=dtype)
        if offset is not None:
            out += offset
        for k, rule in self.rules:
            if isinstance(rule, str):
                is_there = _truth(rule, frame, arrangement, f"class{k + 1}")
            else:
                is_there = _is_listed(rule, arrangement, f"class{k + 1}")
            _refuse_empty(is_there, arrangement, f"class{k + 1}")
            out[k, ~is_there] = -np.inf
        return out


def _columns_of(rule: str, frame: pd.DataFrame) -> list[str]:
    """Columns that an expression reads."""
    if rule in frame.columns:
        return [rule]
    try:
        return sorted(set(ast_names(rule)) & {c for c in frame.columns if isinstance(c, str)})
    except SyntaxError:  # of which it is told where it is evaluated
        return []


def _truth(rule: str, frame: pd.DataFrame, arrangement: Arrangement, name: str) -> np.ndarray:
    """Sorted rows where an expression of columns is true, (R,)."""
    what = f"The expression {rule!r} that available_in has for {name}"
    columns = _columns_of(rule, frame)
    for column in columns:
        require_column(frame, column, "available_in, column ")
    try:
        value = frame[rule] if rule in columns else _evaluated(rule, frame, columns)
        if np.shape(value) != (len(frame),):
            raise ValueError(f"it gives shape {np.shape(value)} for {plural(len(frame), 'row')}")
    except Exception as error:  # of whatever stands there
        missing = error.name if isinstance(error, NameError) else None
        hint = did_you_mean(missing, frame.columns) if missing else ""
        raise FormulaError(
            f"{what} cannot be evaluated: {error}.{hint} Write one of columns, such as (alt != "
            "'car') | (owner == 1), with | for or, & for and, ~ for not, and brackets."
        ) from error
    truth = pd.Series(value).reset_index(drop=True)
    is_lost = frame[columns].isna().to_numpy().any(axis=1) | truth.isna().to_numpy()
    is_wrong = arrangement.arranged(is_lost | ~truth.isin([0, 1]).to_numpy())
    if is_wrong.any():
        row = int(arrangement.places(np.flatnonzero(is_wrong)).min())
        fault = "a missing value" if is_lost[row] else f"the value {show(truth[row])}"
        raise DataError(
            f"{what} is neither true nor false in {plural(int(is_wrong.sum()), 'row')}; the first "
            f"is {row_label(row)}, with {fault}. Correct the columns that it reads, or the "
            "expression; missing='drop' drops situations with missing values."
        )
    return arrangement.arranged((truth == 1).to_numpy(dtype=bool))


def _evaluated(rule: str, frame: pd.DataFrame, columns: Sequence[str]) -> Any:
    """An expression of columns alone, in the user's order."""
    known = {name: frame[name] for name in columns}
    names = known | {"I": lambda x: x, "Q": lambda name: frame[name]}
    with np.errstate(all="ignore"):  # what is no truth value is found by the caller
        value = patsy.EvalEnvironment([]).eval(rule, inner_namespace=names)
    if isinstance(value, pd.Series) and not value.index.equals(frame.index):
        raise ValueError("it changes the order of the rows")
    return value


def _alternatives(arrangement: Arrangement, name: str) -> tuple[pd.Index, np.ndarray]:
    """Ids of alternatives and their code in each sorted row, which must be there."""
    known, codes = arrangement.alternative_ids, arrangement.alternative_codes
    if known is None or codes is None:
        raise ArgumentError(
            f"available_in lists the alternatives of {name}, and the rows have no ids of "
            "alternatives. Pass alternative=, or an expression of columns."
        )
    return known, codes


def _is_listed(rule: tuple[Any, ...], arrangement: Arrangement, name: str) -> np.ndarray:
    """Which sorted rows are of the alternatives listed, (R,)."""
    known, codes = _alternatives(arrangement, name)
    return np.isin(codes, _codes_of(rule, known))


def _codes_of(rule: tuple[Any, ...], known: pd.Index) -> np.ndarray:
    """Codes of alternatives, -1 where there is none; text may stand for a number, as in a shell."""
    codes = known.get_indexer(pd.Index(rule, tupleize_cols=False))
    spelled = {str(one): code for code, one in enumerate(known)}
    pairs = zip(codes, rule, strict=True)
    return np.array([spelled.get(one, -1) if code < 0 else code for code, one in pairs])


def _refuse_empty(is_there: np.ndarray, arrangement: Arrangement, name: str) -> None:
    """Raise where a class has no alternative."""
    n_there = np.add.reduceat(is_there, arrangement.situation_start[:-1], dtype=np.intp)
    empty = np.flatnonzero(n_there == 0)
    if len(empty):
        raise DataError(
            f"available_in leaves {name} no alternative in {len(empty):,} of "
            f"{plural(arrangement.n_situations, 'choice situation')}; the first is situation "
            f"{arrangement.situation_label(int(empty[0]))}. Give the class an alternative that is "
            "always there, or leave those situations out."
        )


def refuse_impossible_choices(
    offset: np.ndarray | None, arrangement: Arrangement, entries: Entries
) -> None:
    """Raise for individuals whose choices no class can have made.

    Parameters
    ----------
    offset : ndarray, shape (C, R), or None
    arrangement : Arrangement
    entries : Entries

    Raises
    ------
    DataError
        Which names the first individual, and the situation where the last class is ruled out.
    """
    if offset is None or np.isfinite(offset).all():
        return
    is_there = np.isfinite(offset[:, entries.row])
    can_be = np.logical_and.reduceat(is_there, entries.start[:-1], axis=1)
    ruled_out = np.flatnonzero(~can_be.any(axis=0))
    if not len(ruled_out):
        return
    i = int(ruled_out[0])
    own = slice(entries.start[i], entries.start[i + 1])
    left = np.logical_and.accumulate(is_there[:, own], axis=1).any(axis=0)
    row = int(entries.row[own][int(np.argmin(left))])
    raise DataError(
        f"{len(ruled_out):,} of {plural(len(entries.ids), 'individual')} chose what no class has "
        f"in all of their situations; the first is individual {show(entries.ids[i])}: after the "
        f"choice of {arrangement.alternative_of(row)} in situation "
        f"{arrangement.situation_of(row)} no class is left. Leave one class all alternatives, or "
        "correct available_in."
    )


# -- what a class can tell -------------------------------------------------------------------------


def refuse_unidentified(
    exog: RowTable,
    situation_start: np.ndarray,
    offset: np.ndarray,
    basis: np.ndarray,
    names: np.ndarray,
) -> None:
    """Raise where the rows that a class has leave a coefficient without information.

    Parameters
    ----------
    exog : ndarray or StoredRows, shape (R, L)
    situation_start : ndarray of int, shape (S + 1,)
    offset : ndarray, shape (K, R)
    basis : ndarray, shape (K L, F)
        What coefficients change by with the free parameters.
    names : ndarray of str, shape (F,)
        Of the free parameters.

    Raises
    ------
    IdentificationError
        Which names them.
    """
    n_attributes = exog.shape[1]
    gram = np.zeros(2 * (len(names),))
    square = np.zeros(len(names))
    for k in range(len(offset)):
        own = basis[k * n_attributes : (k + 1) * n_attributes]
        centred, plain = _products(exog, situation_start, np.isfinite(offset[k]))
        gram += own.T @ centred @ own
        square += (own**2).T @ plain
    loads = (basis != 0).any(axis=0)
    variation = np.diag(gram)
    flat = np.flatnonzero(loads & (variation <= _FLAT**2 * square))
    if len(flat):
        raise IdentificationError(
            f"{plural(len(flat), 'coefficient')} cannot be told from the rows that the classes "
            f"have: {listed(names[flat])}. Between the alternatives of the class the "
            "attribute never differs within a situation. Fix "
            f"{verb(len(flat), 'it', 'them')}, for example with "
            f"constraints='{names[flat[0]]} = 0'."
        )
    kept = np.flatnonzero(loads)
    scale = np.sqrt(variation[kept])
    value, vector = np.linalg.eigh(gram[np.ix_(kept, kept)] / np.outer(scale, scale))
    if value[0] <= _LOST:
        involved = np.flatnonzero(np.abs(vector[:, 0]) > 1e-4)
        raise IdentificationError(
            f"{listed(names[kept[involved]])} cannot be told apart from the rows that "
            "the classes have: some weighted sum of their attributes never differs within a "
            f"situation. Fix one, for example with constraints='{names[kept[involved[0]]]} = 0'."
        )


def _products(
    exog: RowTable, situation_start: np.ndarray, is_there: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Products (L, L) of attributes centred within situations, and squares (L,) before."""
    n_attributes = exog.shape[1]
    gram, square = np.zeros((n_attributes, n_attributes)), np.zeros(n_attributes)
    for situations in blocks_of_situations(situation_start):
        begin = situation_start[situations.start : situations.stop + 1]
        own = is_there[begin[0] : begin[-1]]
        block = exog[begin[0] : begin[-1]][own]
        size = np.add.reduceat(own, begin[:-1] - begin[0], dtype=np.intp)
        mean = np.add.reduceat(block, np.cumsum(size) - size, axis=0) / size[:, None]
        centred = block - np.repeat(mean, size, axis=0)
        gram += centred.T @ centred
        square += (block**2).sum(axis=0)
    return gram, square
