"""Travel between Sydney, Canberra and Melbourne: 210 trips by air, train, bus or car."""

from __future__ import annotations

from mixlogit.datasets._dataset import Dataset, PublishedResult, describe_columns, read_table

_COLUMNS = {
    "individual": ("id", "the traveller, 1 to 210; one choice each"),
    "mode": ("name", "air, train, bus or car"),
    "choice": ("0/1", "1 if the traveller chose this mode"),
    "ttme": ("minutes", "waiting time at the terminal; 0 for car"),
    "invc": ("dollars", "cost in the vehicle, all stages"),
    "invt": ("minutes", "time in the vehicle, all stages"),
    "gc": ("dollars", "generalised cost: invc plus invt times the value of time"),
    "hinc": ("1000 dollars", "household income"),
    "psize": ("people", "size of the travelling group in the mode chosen"),
}

_PUBLISHED = (
    PublishedResult(
        specification="conditional logit: constants for air, train and bus, generalised cost, "
        "waiting time, and household income for air",
        log_likelihood=-199.12837,
        where="Stata clogit in H. M. Park, Categorical Dependent Variable Models (Indiana "
        "University), section 7.1; the specification of Greene, Econometric Analysis, 6th "
        "edition, table 23.24",
        formula="choice ~ C(mode, Treatment('car')) + gc + ttme + I(hinc * (mode == 'air'))",
        keywords={"alternative": "mode", "situation": "individual", "individual": "individual"},
    ),
)


def load() -> Dataset:
    """The long table as published, with the modes by name: 210 travellers, 4 modes each."""
    return Dataset(
        name="travelmode",
        title="intercity travel mode in Australia, 210 travellers",
        data=read_table("travelmode"),
        columns=describe_columns(_COLUMNS),
        source="statsmodels.datasets.modechoice, after table F18-2 of Greene (2011), Econometric "
        "Analysis, 7th edition",
        licence="public domain (statsmodels.datasets.modechoice.COPYRIGHT)",
        citation="Greene, W. H. and Hensher, D. (1997). Multinomial logit and discrete choice "
        "models. In Greene, W. H., LIMDEP version 7.0 user's manual revised. Plainview, New "
        "York: Econometric Software.",
        published=_PUBLISHED,
    )
