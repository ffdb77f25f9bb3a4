"""Models of the shipped surveys that several tests use."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pytest

from mixlogit import MixedMultinomialLogit, datasets

ELECTRICITY = "choice ~ pf + cl + loc + wk + tod + seas"
SWISSMETRO = "choice ~ C(alternative, Treatment('sm')) + I(travel_time / 100) + I(cost_paid / 100)"
TRAVELMODE = "choice ~ C(mode, Treatment('car')) + gc + ttme + I(hinc * (mode == 'air'))"


@pytest.fixture(scope="session", autouse=True)
def floating_point_errors_raise() -> Iterator[None]:
    """Overflow, division by zero and nan raise in every test; where they are meant, code says so.

    Underflow does not raise: that the probability of what is hardly ever chosen becomes 0, or a
    denormal number, is the right answer to within the digits that are kept.
    """
    with np.errstate(all="raise", under="ignore"):
        yield


@functools.cache
def electricity_model(n_classes: int) -> MixedMultinomialLogit:
    """The whole electricity survey, a panel of 361 people."""
    return MixedMultinomialLogit.from_formula(
        ELECTRICITY,
        datasets.load("electricity").data,
        n_classes,
        situation="situation",
        individual="person",
        alternative="alt",
    )


@functools.cache
def swissmetro_model(n_classes: int) -> MixedMultinomialLogit:
    """Commuters and business travellers of the swissmetro survey, a panel of 752 people."""
    return MixedMultinomialLogit.from_formula(
        SWISSMETRO,
        datasets.load("swissmetro").data.query("purpose in (1, 3)"),
        n_classes,
        situation="situation",
        individual="person",
        alternative="alternative",
    )


@functools.cache
def travelmode_model(n_classes: int) -> MixedMultinomialLogit:
    """Greene's conditional logit of travel mode, 210 people who choose once."""
    return MixedMultinomialLogit.from_formula(
        TRAVELMODE,
        datasets.load("travelmode").data,
        n_classes,
        situation="individual",
        individual="individual",
        alternative="mode",
    )


@functools.cache
def fitted(survey: str, n_classes: int):
    """The default fit of a survey."""
    models = {
        "electricity": electricity_model,
        "swissmetro": swissmetro_model,
        "travelmode": travelmode_model,
    }
    return models[survey](n_classes).fit()


@pytest.fixture
def electricity():
    """The default three-class fit of the electricity survey."""
    return fitted("electricity", 3)


@pytest.fixture
def swissmetro():
    """The default two-class fit of the swissmetro survey."""
    return fitted("swissmetro", 2)
