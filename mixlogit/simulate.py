"""Simulated choices, for studies of the estimator and of designs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mixlogit.arrangement import arrange
from mixlogit.errors import ArgumentError
from mixlogit.formula import Columns, as_frame
from mixlogit.postestimation import row_probabilities

__all__ = ["simulate_choices"]


def simulate_choices(
    data: Any,
    class_params: pd.DataFrame,
    class_shares: Any = None,
    *,
    situation: str,
    individual: str | None = None,
    name: str = "choice",
    class_name: str | None = None,
    rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Let individuals with latent classes choose from the choice sets of a table.

    Parameters
    ----------
    data : DataFrame
        One row per situation and available alternative.
    class_params : DataFrame, shape (L, K)
        Tastes: attributes (columns of ``data``) by classes, as in ``result.class_params``.
    class_shares : array_like, shape (K,), optional
        Class shares, equal if None.
    situation : str
        Column of situations.
    individual : str, optional
        Column of individuals, who keep their class over their situations; every situation is by
        another individual if None.
    name : str
        Column of 0/1 to put the choices in.
    class_name : str, optional
        Column to put the drawn class in, 1 to K.
    rng : int, Generator or None
        Seed. Individuals draw in the order of their ids, whatever the order of the rows.

    Returns
    -------
    DataFrame
        The table with the choices.

    Raises
    ------
    ColumnError
        A column is missing.
    ArgumentError
        The shares are not probabilities, or do not fit the classes.
    """
    frame = as_frame(data)
    columns = Columns(situation=situation, individual=individual)
    columns.check(frame)
    for attribute in class_params.index:
        Columns(alternative=attribute).check(frame)
    n_classes = class_params.shape[1]
    shares = np.full(n_classes, 1 / n_classes) if class_shares is None else np.array(class_shares)
    if shares.shape != (n_classes,) or (shares < 0).any() or abs(shares.sum() - 1) > 1e-9:
        raise ArgumentError(
            f"class_shares must be {n_classes} probabilities that add up to 1, one per column of "
            "class_params."
        )
    generator = np.random.default_rng(rng)
    arrangement = arrange(len(frame), **columns.ids(frame))
    start = arrangement.situation_start
    exog = frame[list(class_params.index)].to_numpy(dtype=float)[arrangement.order]
    prob = row_probabilities(exog, start, class_params.to_numpy(dtype=float).T)
    owner = (
        np.arange(arrangement.n_situations)
        if arrangement.situation_owner is None
        else arrangement.situation_owner
    )
    classes = generator.choice(n_classes, size=int(owner.max()) + 1, p=shares)
    own = np.take_along_axis(prob, np.repeat(classes[owner], arrangement.sizes)[:, None], axis=1)[
        :, 0
    ]
    # inverse of the distribution function, situation by situation
    cumulative = np.cumsum(own)
    before = np.append(0.0, cumulative)[start[:-1]]
    level = before + generator.random(arrangement.n_situations) * (
        cumulative[start[1:] - 1] - before
    )
    row = np.minimum(np.searchsorted(cumulative, level, side="right"), start[1:] - 1)
    chosen = np.zeros(len(frame), dtype=int)
    chosen[arrangement.order[np.maximum(row, start[:-1])]] = 1
    out = frame.assign(**{name: chosen})
    if class_name is not None:
        label = np.empty(len(frame), dtype=int)
        label[arrangement.order] = np.repeat(classes[owner], arrangement.sizes) + 1
        out[class_name] = label
    return out
