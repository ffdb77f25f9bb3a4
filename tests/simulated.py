"""Panels drawn from known classes, for what holds of large samples."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixlogit import MixedMultinomialLogit, simulate_choices
from mixlogit.likelihood import MixtureLikelihood, Parameters

TASTES = pd.DataFrame(
    {"a": [2.0, 0.0, 0.0], "b": [0.0, 2.0, 0.0], "c": [0.0, 0.0, -2.0]}, index=["x1", "x2", "x3"]
)


def panel(
    seed: int, tastes: pd.DataFrame = TASTES, n_people: int = 300, n_situations: int = 10
) -> pd.DataFrame:
    """Choices among three alternatives; column ``drawn`` holds the true class."""
    rng = np.random.default_rng(seed)
    n_rows = 3 * n_situations
    frame = pd.DataFrame(rng.standard_normal((n_people * n_rows, 3)), columns=list(TASTES.index))
    frame["situation"] = np.arange(len(frame)) // 3
    frame["person"] = np.arange(len(frame)) // n_rows
    return simulate_choices(
        frame, tastes, situation="situation", individual="person", class_name="drawn", rng=rng
    )


def model_of(frame: pd.DataFrame, n_classes: int) -> MixedMultinomialLogit:
    return MixedMultinomialLogit.from_formula(
        "choice ~ x1 + x2 + x3", frame, n_classes, situation="situation", individual="person"
    )


def likelihood_of(frame: pd.DataFrame, n_classes: int, penalty: float = 0.0) -> MixtureLikelihood:
    return model_of(frame, n_classes).likelihood(penalty)


def truth(tastes: pd.DataFrame = TASTES) -> Parameters:
    """The classes that were drawn from, of equal shares, as a stack of one mixture."""
    n_classes = tastes.shape[1]
    return Parameters(tastes.to_numpy().T[None], np.zeros((1, n_classes - 1, 1)))
