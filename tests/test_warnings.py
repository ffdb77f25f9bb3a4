"""Warnings point at the line of the user's program, however deep inside they arise."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from mixlogit import MixedMultinomialLogit, select_classes
from mixlogit.errors import ConvergenceWarning, DataWarning, OneChoiceWarning, warn


def survey(n_choices):
    """Sixty people, three alternatives, and a column that is 1 where something was chosen."""
    rng = np.random.default_rng(0)
    n_sets = 60 * n_choices
    frame = pd.DataFrame(rng.standard_normal((3 * n_sets, 2)), columns=["x1", "x2"])
    frame["situation"] = np.repeat(np.arange(n_sets), 3)
    frame["person"] = frame["situation"] // n_choices
    chosen = rng.integers(3, size=n_sets)
    frame["choice"] = (np.tile(np.arange(3), n_sets) == np.repeat(chosen, 3)).astype(int)
    frame["known"] = frame["choice"].astype(float)
    return frame


def model_of(frame, formula="choice ~ x1 + x2", n_classes=2):
    return MixedMultinomialLogit.from_formula(
        formula, frame, n_classes, situation="situation", individual="person"
    )


ONCE, OFTEN = model_of(survey(1)), model_of(survey(4), "choice ~ x1 + known", n_classes=1)
HOLED = survey(2).assign(x1=lambda frame: frame["x1"].where(frame.index != 7))
READ = MixedMultinomialLogit.from_formula
LOST = "choice ~ x1", HOLED.rename(columns={"situation": "set"}), 1
CASES = [
    (lambda: ONCE.latent_moments(), OneChoiceWarning),
    (lambda: ONCE.fit(rng=0), OneChoiceWarning),
    (lambda: select_classes(ONCE, [1, 2], rng=0), OneChoiceWarning),
    (lambda: OFTEN.fit(rng=0), ConvergenceWarning),
    (
        lambda: MixedMultinomialLogit.from_formula(*LOST, situation="set", missing="drop"),
        DataWarning,
    ),
]


@pytest.mark.parametrize(("call", "category"), CASES)
def test_a_warning_points_at_the_call(call, category):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    own = [one for one in caught if one.category is category]
    assert own
    for one in own:
        assert one.filename == __file__
        assert one.lineno == call.__code__.co_firstlineno


def test_a_warning_that_is_passed_on_stays_what_it_is():
    with pytest.warns(DataWarning, match="a word") as caught:
        warn(DataWarning("a word"))
    assert caught[0].filename == __file__
