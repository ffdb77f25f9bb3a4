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


TRUE_CONSTANTS = [[-60, 0, 0.5, -0.5], [1, 0, 0.5, -0.5]]  # of a, b, c, d; class 1 never takes a


def never_chosen(
    seed: int, n: int = 200, n_situations: int = 8, constants=TRUE_CONSTANTS, opts_out: bool = False
) -> pd.DataFrame:
    """Choices of two classes among a to d, with coefficients 1 and −1 of x.

    With ``opts_out`` the first alternative is to take none, which has no attribute.
    """
    rng = np.random.default_rng(seed)
    own = np.repeat(rng.random(n) < 0.6, n_situations)
    x = rng.normal(size=(len(own), 4)) + np.arange(4.0)  # goes with the alternatives
    if opts_out:
        x[:, 0] = 0.0
    utility = np.where(own[:, None], *np.asarray(constants)[:, None, :])
    utility = utility + np.where(own, 1.0, -1.0)[:, None] * x + rng.gumbel(size=x.shape)
    situation = np.arange(len(own))
    return pd.DataFrame(
        {
            "person": np.repeat(situation // n_situations, 4),
            "situation": np.repeat(situation, 4),
            "alt": np.tile(list("abcd"), len(own)),
            "x": x.ravel(),
            "choice": (np.arange(4) == utility.argmax(axis=1)[:, None]).astype(int).ravel(),
        }
    )


LEVEL_SHARES = (0.6, 0.3, 1.0)  # of the first class, by region: nobody in the last is of the other
LEVEL_TASTES = np.array([[1.5, -1.0], [-1.0, 1.5]])  # (K, L)


def one_sided_level(seed: int, n: int = 300, n_situations: int = 8) -> pd.DataFrame:
    """Choices of two classes in three regions, in one of which all are of the first class."""
    rng = np.random.default_rng(seed)
    region = rng.integers(3, size=n)
    own = np.where(rng.random(n) < np.array(LEVEL_SHARES)[region], 0, 1)
    x = rng.normal(size=(n, n_situations, 3, 2))
    utility = np.einsum("ntjl,nl->ntj", x, LEVEL_TASTES[own]) + rng.gumbel(size=x.shape[:3])
    person, situation, alt = (index.ravel() for index in np.indices(utility.shape))
    return pd.DataFrame(
        {
            "person": person,
            "situation": person * n_situations + situation,
            "alt": alt,
            "region": np.array(["east", "north", "west"])[region][person],
            "x": x[..., 0].ravel(),
            "w": x[..., 1].ravel(),
            "choice": (np.arange(3) == utility.argmax(-1)[..., None]).astype(int).ravel(),
        }
    )
