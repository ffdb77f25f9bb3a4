"""Eight models with variables of the person as R's mlogit prints them, each in one formula.

The tables ModeCanada, Fishing and Heating are part of mlogit, under the GPL, and are not shipped.
In R, ``write.csv(ModeCanada, "ModeCanada.csv", row.names = FALSE)`` puts one of them in a file:

    python tests/reference/vignettes.py FOLDER

TravelMode is the shipped travelmode. Numbers are those that mlogit printed in its vignettes
(c3.rum, e1.mlogit), in the examples of its manual and in its test greene.R, and, for Fishing, those
of A. C. Cameron and P. K. Trivedi (2005), Microeconometrics, table 15.2. mlogit's steps end early:
its coefficients are compared to the last digit printed, or to 1e-4 standard errors.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mixlogit import MixedMultinomialLogit, datasets


@dataclass(frozen=True)
class Printed:
    """A formula, and what mlogit printed of it."""

    table: str
    formula: str
    reference: str
    llf: str
    coefficients: dict[str, str] = field(default_factory=dict)
    r_squared: str | None = None


MODELS = (
    Printed(
        "ModeCanada of three",
        "choice ~ cost + freq | income | time",
        "car",
        "-1951.3437",
        {
            "train:(constant)": "-0.97034440",
            "air:(constant)": "-1.89856552",
            "cost": "-0.02849715",
            "freq": "0.07402902",
            "train:income": "-0.00646892",
            "air:income": "0.02824632",
            "car:time": "-0.01402405",
            "train:time": "-0.01096877",
            "air:time": "-0.01755120",
        },
        "0.31221",
    ),
    Printed(
        "ModeCanada of four",
        "choice ~ cost + freq + ovt | income | ivt",
        "air",
        "-1874.3",
        {
            "train:(constant)": "3.2741952",
            "bus:(constant)": "0.6983381",
            "car:(constant)": "1.8441129",
            "cost": "-0.0333389",
            "freq": "0.0925297",
            "ovt": "-0.0430036",
            "train:income": "-0.0381466",
            "bus:income": "-0.0890867",
            "car:income": "-0.0279930",
            "air:ivt": "0.0595097",
            "train:ivt": "-0.0014504",
            "bus:ivt": "-0.0067835",
            "car:ivt": "-0.0064603",
        },
        "0.35443",
    ),
    Printed(
        "Fishing",
        "choice ~ price | income | catch",
        "beach",
        "-1199.1434",
        {
            "boat:(constant)": "0.84184",
            "charter:(constant)": "2.1549",
            "pier:(constant)": "1.0430",
            "price": "-0.025281",
            "boat:income": "0.000055428",
            "charter:income": "-0.000072337",
            "pier:income": "-0.00013550",
            "beach:catch": "3.1177",
            "boat:catch": "2.5425",
            "charter:catch": "0.75949",
            "pier:catch": "2.8512",
        },
        "0.19936",
    ),
    Printed(
        "Fishing",
        "choice ~ 0 | income",
        "beach",
        "-1477.2",
        {
            "boat:(constant)": "0.73892",
            "charter:(constant)": "1.3413",
            "pier:(constant)": "0.81415",
            "boat:income": "0.000091906",
            "charter:income": "-0.000031640",
            "pier:income": "-0.00014340",
        },
        "0.013736",
    ),
    Printed("Fishing", "choice ~ price + catch | income", "beach", "-1215.1"),
    Printed(
        "Heating",
        "choice ~ ic + oc | 1",
        "hp",
        "",
        {
            "ec:(constant)": "1.6588459",
            "er:(constant)": "1.8534370",
            "gc:(constant)": "1.7109793",
            "gr:(constant)": "0.3082633",
            "ic": "-0.0015332",
            "oc": "-0.0069964",
        },
    ),
    Printed("Heating", "choice ~ oc + ic | income", "hp", ""),
    Printed(
        "TravelMode",
        "choice ~ gc + ttme + I(hinc * (alt == 'air')) | 1",
        "car",
        "-199.13",
        {"air:(constant)": "5.2074", "train:(constant)": "3.8690", "bus:(constant)": "3.1632"},
        "0.29825",
    ),
)
LIKELIHOOD_RATIO = "4.6803"  # of the two models of Heating


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Long tables with columns case, alt and choice."""
    trips = pd.read_csv(folder / "ModeCanada.csv").query("noalt == 4")
    three = trips[trips["alt"] != "bus"]
    three = three[three.groupby("case")["choice"].transform("sum") == 1]
    return {
        "ModeCanada of four": trips,
        "ModeCanada of three": three.assign(time=three["ivt"] + three["ovt"]),
        "Fishing": long(pd.read_csv(folder / "Fishing.csv"), ["price", "catch"], "mode"),
        "Heating": long(pd.read_csv(folder / "Heating.csv"), ["ic", "oc"], "depvar"),
        "TravelMode": datasets.load("travelmode").data.rename(
            columns={"individual": "case", "mode": "alt"}
        ),
    }


def long(wide: pd.DataFrame, attributes: list[str], chosen: str) -> pd.DataFrame:
    """One row per alternative of a table with columns such as price.boat."""
    wide = wide.assign(case=range(len(wide)))
    table = pd.wide_to_long(wide, attributes, i="case", j="alt", sep=".", suffix=r"\w+")
    table = table.reset_index()
    return table.assign(choice=(table[chosen] == table["alt"]).astype(int))


def agrees(found: float, printed: str, std_err: float = 0.0) -> bool:
    """Whether a number is the one that was printed."""
    digit = 10.0 ** -len(printed.partition(".")[2])
    return abs(found - float(printed)) <= max(1.01 * digit, 1e-4 * std_err)


def fitted(one: Printed, table: pd.DataFrame) -> Any:
    """One class, by the formula as it stands."""
    return MixedMultinomialLogit.from_formula(
        one.formula, table, 1, situation="case", alternative="alt", reference=one.reference
    ).fit()


def main() -> int:
    data = tables(Path(sys.argv[1]))
    results = [fitted(one, data[one.table]) for one in MODELS]
    worst = 0
    for one, result in zip(MODELS, results, strict=True):
        pairs = [(result.llf, one.llf, 0.0)] if one.llf else []
        pairs += [(result.prsquared_constants, one.r_squared, 0.0)] if one.r_squared else []
        for name, text in one.coefficients.items():
            pairs.append((result.params[f"class1.{name}"], text, result.bse[f"class1.{name}"]))
        wrong = [(found, text) for found, text, error in pairs if not agrees(found, text, error)]
        worst += len(wrong)
        print(
            f"{one.table:20} {one.formula:50} {result.llf:12.4f} {result.prsquared_constants:.5f}  "
            f"{len(pairs) - len(wrong)} of {len(pairs)} as printed {wrong or ''}"
        )
    ratio = 2 * (results[6].llf - results[5].llf)
    print(f"Heating: likelihood ratio of income {ratio:.4f}, printed {LIKELIHOOD_RATIO}")
    return int(worst > 0 or not agrees(ratio, LIKELIHOOD_RATIO))


if __name__ == "__main__":
    raise SystemExit(main())
