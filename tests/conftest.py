"""Models of the shipped surveys that several tests use."""

from __future__ import annotations

import functools

import pytest

from mixlogit import MixedMultinomialLogit, datasets

ELECTRICITY = "choice ~ pf + cl + loc + wk + tod + seas"
SWISSMETRO = "choice ~ C(alternative, Treatment('sm')) + I(travel_time / 100) + I(cost_paid / 100)"


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
def fitted(survey: str, n_classes: int):
    """The default fit of a survey."""
    models = {"electricity": electricity_model, "swissmetro": swissmetro_model}
    return models[survey](n_classes).fit()


@pytest.fixture
def electricity():
    """The default three-class fit of the electricity survey."""
    return fitted("electricity", 3)


@pytest.fixture
def swissmetro():
    """The default two-class fit of the swissmetro survey."""
    return fitted("swissmetro", 2)
