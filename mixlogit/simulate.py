"""Simulated choices, for studies of the estimator and of designs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mixlogit.arrangement import Arrangement, arrange
from mixlogit.columns import Columns, as_frame, require_column
from mixlogit.errors import ArgumentError, DataError, plural

__all__ = ["simulate_choices"]


def simulate_choices(
    data: Any,
    class_params: Any,
    class_shares: Any = None,
    *,
    situation: str,
    individual: str | None = None,
    alternative: str | None = None,
    name: str = "choice",
    class_name: str | None = None,
    rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Let individuals with latent classes choose from the choice sets of a table.

    Every individual draws a class, and then takes, in each situation, the alternative of the
    largest utility x'beta plus an error of the standard Gumbel distribution: the choices of a
    mixture of logits.

    Parameters
    ----------
    data : DataFrame
        One row per situation and available alternative.
    class_params : DataFrame, shape (L, K)
        Tastes: attributes (columns of ``data``) by classes, as in ``result.class_params``.
    class_shares : array_like, shape (K,), optional
        Class shares, in the order of the columns of ``class_params``; equal if None.
    situation : str
        Column of situations.
    individual : str, optional
        Column of individuals, who keep their class over their situations; every situation is by
        another individual if None.
    alternative : str, optional
        Column of alternatives. It is needed only to tell apart rows of a situation that have the
        same attributes.
    name : str
        Column of 0/1 to put the choices in.
    class_name : str, optional
        Column to put the drawn class in, 1 to K.
    rng : int, Generator or None
        Seed. The choices do not depend on the order of the rows: individuals draw in the order of
        their ids, and alternatives in that of theirs or, without ids, of their attributes.

    Returns
    -------
    DataFrame
        A copy of the table with the choices.

    Raises
    ------
    ColumnError
        A column is missing.
    DataError
        An attribute is not a number, or a utility is not finite.
    ArgumentError
        The shares are not probabilities, or do not fit the classes; the choices would overwrite a
        column that is read.

    Examples
    --------
    >>> import pandas as pd
    >>> from mixlogit import simulate_choices
    >>> sets = pd.DataFrame({"trip": [1, 1, 2, 2], "cost": [1.0, 4.0, 2.0, 3.0]})
    >>> tastes = pd.DataFrame({"class1": [-50.0]}, index=["cost"])
    >>> simulate_choices(sets, tastes, situation="trip")["choice"].tolist()
    [1, 0, 1, 0]
    """
    frame = as_frame(data)
    tastes = pd.DataFrame(class_params)
    attributes, n_classes = list(tastes.index), tastes.shape[1]
    if not tastes.size:
        raise ArgumentError(
            "class_params is empty. Give one row per attribute, one column a class."
        )
    columns = Columns(situation, individual, alternative)
    columns.check(frame)
    for attribute in attributes:
        require_column(frame, attribute, "attribute ")
    _refuse_overwriting([name, class_name], [*vars(columns).values(), *attributes])
    shares = _probabilities(class_shares, n_classes)
    generator = np.random.default_rng(rng)

    exog = np.column_stack([_numbers(frame, attribute) for attribute in attributes])
    ids = columns.ids(frame)
    if alternative is None:  # any order will do that does not come from the rows
        ids["alternative"] = np.argsort(np.lexsort(exog.T))
    arrangement = arrange(len(frame), **ids)
    order, sizes = arrangement.order, arrangement.sizes
    start = arrangement.situation_start[:-1]
    owner = arrangement.situation_owner
    if owner is None:
        owner = np.arange(arrangement.n_situations)
    classes = generator.choice(n_classes, size=int(owner.max()) + 1, p=shares)
    class_of_row = np.repeat(classes[owner], sizes)

    with np.errstate(over="ignore", invalid="ignore"):
        by_class = exog[order] @ tastes.to_numpy(dtype=float)  # (R, K)
        utility = by_class[np.arange(len(order)), class_of_row]
        _refuse_infinite(by_class, arrangement)
        # without the common part, in which errors of size one could drown
        utility -= np.repeat(np.maximum.reduceat(utility, start), sizes)
    utility += generator.gumbel(size=len(order))
    is_best = utility == np.repeat(np.maximum.reduceat(utility, start), sizes)

    out = frame.copy()
    for column, values in ((name, is_best), (class_name, class_of_row + 1)):
        if column is not None:
            drawn = np.empty(len(order), dtype=int)
            drawn[order] = values
            out[column] = drawn
    return out


def _refuse_overwriting(new: list[str | None], read: list[Any]) -> None:
    """Raise if a new column has the name of one that is read, or both new ones the same."""
    for i, column in enumerate(new):
        if column is not None and column in [*read, *new[:i]]:
            raise ArgumentError(
                f"The column {column!r} cannot be overwritten, because it is also read or written "
                "as something else. Choose another name= or class_name=."
            )


def _probabilities(shares: Any, n_classes: int) -> np.ndarray:
    """Class shares as an array, equal ones if None."""
    if shares is None:
        return np.full(n_classes, 1 / n_classes)
    array = np.asarray(shares, dtype=float)
    if array.shape != (n_classes,):
        raise ArgumentError(
            f"class_shares has shape {array.shape}, but class_params has "
            f"{plural(n_classes, 'column')}. Give one share per class."
        )
    if not ((array >= 0).all() and abs(array.sum() - 1) < 1e-9):
        raise ArgumentError(
            f"class_shares must be at least 0 and add up to 1; they are "
            f"{', '.join(f'{share:g}' for share in array)} and add up to {array.sum():g}."
        )
    return array


def _numbers(frame: pd.DataFrame, attribute: Any) -> np.ndarray:
    """One attribute as floats."""
    try:
        return frame[attribute].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"Attribute {attribute!r} holds values that are not numbers ({error}). Code it in "
            "columns of numbers first."
        ) from error


def _refuse_infinite(by_class: np.ndarray, arrangement: Arrangement) -> None:
    """Raise at the first row with a utility (R, K) that is not finite."""
    bad = ~np.isfinite(by_class).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"The utility of {plural(int(bad.sum()), 'row')} is missing or infinite; the first is "
            f"row {arrangement.order[row]}, in situation {arrangement.situation_of(row)}. Correct "
            "the attributes there, or class_params."
        )
