"""Whether attributes and covariates are numbers that coefficients can be told from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from mixlogit.arrangement import Arrangement
from mixlogit.attributes import (
    ROWS_PER_BLOCK,
    RowTable,
    blocks_of_rows,
    blocks_of_situations,
)
from mixlogit.errors import DataError, IdentificationError, listed, plural, show, verb

__all__ = [
    "LARGEST",
    "check_membership",
    "identified_covariance",
    "is_in_range",
    "opt_out_advice",
    "refuse_not_finite",
]

LARGEST = 1e100
"""Size of a value that attributes and covariates may have: their cubes are finite."""

_LEAST_SQUARE = 1e-200  # mean square of an attribute or a covariate, for the same reason
_UNCENTRED = re.compile(r"c[rc]\([^:]*\)\[\d+\]$")  # columns of a cubic spline
_DOUBLE = np.dtype(np.float64)
_COARSE = 1e-4  # of the variation within situations: rounding of which a note tells
_CONSTANT_TOLERANCE = 1e-13  # of the mean square: what centring leaves of a constant column
_COLLINEAR_TOLERANCE = 1e-11  # of a column's own variation, in squares


def is_in_range(values: np.ndarray) -> np.ndarray:
    """Say which values are finite, and of a size that sums of their products can bear.

    Parameters
    ----------
    values : ndarray

    Returns
    -------
    ndarray of bool
    """
    return np.abs(values) <= LARGEST


def _is_not_finite(values: np.ndarray) -> np.ndarray:
    return ~np.isfinite(values)


def _is_large(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values) & ~is_in_range(values)


def refuse_not_finite(exog: RowTable, names: Sequence[str], arrangement: Arrangement) -> None:
    """Raise at the first attribute that is missing, infinite or beyond any unit.

    Parameters
    ----------
    exog : ndarray or StoredRows, shape (R, L)
        Sorted rows.
    names : sequence of str, length L
    arrangement : Arrangement
    """
    for place, block in blocks_of_rows(exog):
        bad = ~is_in_range(block)
        if not bad.any():
            continue
        is_large = bool(np.isfinite(block[bad]).all())
        fault = _is_large if is_large else _is_not_finite
        row, column = np.argwhere(fault(block))[0]
        value, row = block[row, column], row + place.start
        total = sum(int(fault(every[:, column]).sum()) for _, every in blocks_of_rows(exog))
        what = f"{plural(total, 'value')} of attribute {names[column]!r} {verb(total, 'is', 'are')}"
        where = (
            f"the first is {value} in situation {arrangement.situation_of(row)}, "
            f"{arrangement.alternative_of(row)}"
        )
        if is_large:
            raise DataError(
                f"{what} larger than {LARGEST:g} in size; {where}. Correct the values, or express "
                "the attribute in a larger unit."
            )
        is_lost = np.concatenate([fault(every[:, column]) for _, every in blocks_of_rows(exog)])
        raise DataError(
            f"{what} missing or not finite; {where}. Correct the "
            "values or the formula, or drop those situations; missing='drop' in from_formula "
            "drops situations with missing values in a column."
            + opt_out_advice(is_lost, arrangement.alternative_codes, arrangement.alternative_ids)
            + (
                ""
                if exog.dtype == np.float64
                else f" They are stored as {exog.dtype}, which holds numbers up to "
                f"{np.finfo(exog.dtype).max:.2g}."
            )
        )


def opt_out_advice(is_missing: np.ndarray, codes: np.ndarray | None, ids: pd.Index | None) -> str:
    """What to do where exactly the rows of one alternative have no attributes.

    Parameters
    ----------
    is_missing : ndarray of bool, shape (R,)
    codes : ndarray of int, shape (R,), or None
        Alternative of each row.
    ids : Index or None
        Of the alternatives.

    Returns
    -------
    str
        A sentence with a space before it; empty where the missing values are elsewhere too.
    """
    if codes is None or ids is None or not is_missing.any():
        return ""
    code = codes[np.argmax(is_missing)]
    if not np.array_equal(codes == code, is_missing):
        return ""
    name = show(ids[code])
    return (
        f" These are exactly the rows of alternative {name}. If that is to choose none of the "
        "others, write zeros there, and give it a constant of its own, such as "
        f"I(alternative == {name}) with your column of alternatives."
    )


def check_membership(z: np.ndarray, names: Sequence[str], ids: pd.Index) -> None:
    """Raise at the first membership covariate that is not finite or not identified.

    Parameters
    ----------
    z : ndarray, shape (N, Q)
    names : sequence of str, length Q
    ids : Index, shape (N,)
        Of the individuals.
    """
    for bad, fault in (
        (~np.isfinite(z), "missing or not finite"),
        (~is_in_range(z), f"larger than {LARGEST:g} in size"),
    ):
        if bad.any():
            person, column = np.argwhere(bad)[0]
            total = int(bad[:, column].sum())
            raise DataError(
                f"{plural(total, 'value')} of membership covariate {names[column]!r} "
                f"{verb(total, 'is', 'are')} {fault}; the first belongs to individual "
                f"{show(ids[person])}. Correct the column, or drop those individuals."
            )
    for column in np.flatnonzero((z**2).mean(axis=0) < _LEAST_SQUARE):
        largest = float(np.abs(z[:, column]).max())
        _refuse_tiny(largest, names[int(column)], "Membership covariate")
    if names[0] != "Intercept":
        _check_collinear(
            z.T @ z,
            (z**2).sum(axis=0),
            names,
            constant=("is zero", "are zero"),
            kind="membership covariate",
        )
        return
    centred = z[:, 1:] - z[:, 1:].mean(axis=0)
    _check_collinear(
        centred.T @ centred,
        (z[:, 1:] ** 2).sum(axis=0),
        names[1:],
        constant=("does not vary between individuals", "do not vary between individuals"),
        kind="membership covariate",
    )


def identified_covariance(
    exog: RowTable, names: Sequence[str], start: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Covariance of the attributes within situations, once they are found to be identified.

    Parameters
    ----------
    exog : ndarray or StoredRows, shape (R, L)
        Sorted rows.
    names : sequence of str, length L
    start : ndarray of int, shape (S + 1,)
        Situation s owns the rows ``start[s] : start[s + 1]``.

    Returns
    -------
    covariance : ndarray, shape (L, L)
    coarse : list of str
        Attributes that the type they are stored as makes coarse.

    Raises
    ------
    DataError
        The squares of an attribute vanish.
    IdentificationError
        An attribute is constant within every situation, or columns are collinear.
    """
    n_attributes = len(names)
    gram = np.zeros((n_attributes, n_attributes))
    square = np.zeros(n_attributes)
    for situations in blocks_of_situations(start):
        begin = start[situations.start : situations.stop + 1]
        block, size = exog[begin[0] : begin[-1]], np.diff(begin)
        is_balanced = len(block) <= ROWS_PER_BLOCK and bool((size == size[0]).all())
        for part, centred in _balanced(block, size) if is_balanced else _ragged(block, size):
            gram += centred.T @ centred
            square += np.einsum("rl,rl->l", part, part)
    for column in np.flatnonzero(square < _LEAST_SQUARE * len(exog)):
        largest = max(np.abs(block[:, column]).max() for _, block in blocks_of_rows(exog))
        _refuse_tiny(float(largest), names[int(column)], "Attribute")
    _check_collinear(
        gram,
        square,
        names,
        constant=(
            "is constant within every choice situation",
            "are constant within every choice situation",
        ),
        kind="attribute",
        stored=exog.dtype,
    )
    loss = _rounding(exog.dtype) * np.sqrt(square / np.diag(gram))
    coarse = [name for name, part in zip(names, loss, strict=True) if part > _COARSE]
    return gram / len(exog), coarse


def _balanced(block: np.ndarray, size: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of situations of one size, and the same less the mean of their situation."""
    cube = np.asarray(block, dtype=float).reshape(len(size), int(size[0]), -1)
    yield block, (cube - cube.mean(axis=1, keepdims=True)).reshape(block.shape)


def _ragged(block: np.ndarray, size: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield some rows of situations at a time, and the same less the mean of their situation."""
    start = np.cumsum(size) - size
    mean = np.add.reduceat(block, start, axis=0) / size[:, None]
    owner = np.repeat(np.arange(len(size)), size)
    for i in range(0, len(block), ROWS_PER_BLOCK):
        part = block[i : i + ROWS_PER_BLOCK]
        yield part, part - mean[owner[i : i + ROWS_PER_BLOCK]]


def _refuse_tiny(largest: float, name: str, kind: str) -> None:
    """Raise for a column whose squares vanish, unless all of it is zero."""
    if largest > 0:
        raise DataError(
            f"{kind} {name!r} is at most {largest:g} in size, so small that its squares vanish; "
            "express it in a smaller unit."
        )


def _rounding(stored: np.dtype) -> float:
    """Relative error of a value that was float64 and is stored as another type."""
    return 0.0 if stored == np.float64 else float(np.finfo(stored).eps) / 2


def _check_collinear(
    gram: np.ndarray,
    square: np.ndarray,
    names: Sequence[str],
    *,
    constant: tuple[str, str],
    kind: str,
    stored: np.dtype = _DOUBLE,
) -> None:
    """Raise for columns that do not vary or are linear combinations of others.

    Parameters
    ----------
    gram : ndarray, shape (n, n)
        Products of the centred columns.
    square : ndarray, shape (n,)
        Sums of squares before centring, the scale of round-off.
    names : sequence of str, length n
    constant : tuple of str
        What to say of one column, and of several, that do not vary.
    kind : str
        What a column is.
    stored : dtype
        What the columns are stored as.
    """
    variation, rounding = np.diag(gram), _rounding(stored)
    least = max(_CONSTANT_TOLERANCE, 4 * rounding) ** 2 * square
    flat = [i for i in range(len(names)) if variation[i] <= least[i]]
    if flat:
        as_stored = f" as {stored} stores {verb(len(flat), 'it', 'them')}" if rounding else ""
        raise IdentificationError(
            f"{len(flat)} of {plural(len(names), kind)} cannot have a coefficient: "
            f"{listed(names[i] for i in flat)} {verb(len(flat), *constant)}{as_stored}. Drop "
            f"{verb(len(flat), 'it', 'them')} from the formula"
            + (_remedy([names[i] for i in flat if square[i] == 0]) if kind == "attribute" else ".")
        )
    scale = np.sqrt(variation)
    correlation = gram / np.outer(scale, scale)
    noise = rounding**2 * square / variation  # of each column, of its own variation
    if _is_regular(correlation, noise):
        return
    kept: list[int] = []
    for i in range(len(names)):
        known = correlation[np.ix_(kept, kept)]
        load = np.linalg.lstsq(known, correlation[kept, i], rcond=None)[0] if kept else np.zeros(0)
        tolerance = _COLLINEAR_TOLERANCE + 4 * (noise[i] + load**2 @ noise[kept])
        if correlation[i, i] - load @ correlation[kept, i] > tolerance:
            kept.append(i)
            continue
        parts = [repr(names[j]) for j, part in zip(kept, load, strict=True) if abs(part) > 1e-6]
        where = " within choice situations" if kind == "attribute" else ""
        raise IdentificationError(
            f"{kind.capitalize()} {names[i]!r} is a linear combination of {', '.join(parts)}"
            f"{where}, so their coefficients are not identified. {_spline_remedy(names[i])}"
        )


def _remedy(zero: Sequence[str]) -> str:
    """What else to do about attributes that do not vary, some of which are zero in every row."""
    apart = [name for name in zero if ":" in name]
    if apart:
        return (
            f". {listed(apart)} {verb(len(apart), 'is', 'are')} zero in every row, because no row "
            "has these levels together: merge levels that do not occur together."
        )
    return (
        ", or put it behind a bar, 'choice ~ cost | income', where variables of the person have a "
        "coefficient for each alternative."
    )


def _spline_remedy(name: str) -> str:
    """What to do about a column that is a linear combination of others."""
    if _UNCENTRED.match(name) and "constraints" not in name:
        return (
            "The columns of such a spline add up to 1 in every row. Write constraints='center' "
            f"in it: {name[: name.rindex(')')]}, constraints='center')."
        )
    return "Drop one of these columns."


def _is_regular(correlation: np.ndarray, noise: np.ndarray) -> bool:
    """Whether no column (n, n) is a linear combination of those before it, beyond doubt.

    The squared diagonal of Cholesky's factor is what is left of each column. Squared loads on
    columns before it add up to less than the trace of the inverse.
    """
    try:
        factor = np.linalg.cholesky(correlation)
        trace = (np.linalg.inv(factor) ** 2).sum()
    except np.linalg.LinAlgError:
        return False
    tolerance = _COLLINEAR_TOLERANCE + 4 * noise.max(initial=0.0) * (1 + trace)
    return bool((np.diag(factor) ** 2).min(initial=1.0) > 10 * tolerance)
