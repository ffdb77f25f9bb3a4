"""Fits of the shipped surveys by other software, written to a file beside this one.

    python tests/reference/fit.py statsmodels xlogit lcl biogeme

Run it where the software is installed; it needs pandas, and reads the tables of ``datasets``
without this package. Classes are listed by share, largest first. Errors are called what
``cov_type`` calls them here.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
TABLES = HERE.parents[1] / "datasets"
STARTS = 5  # of lcl and biogeme, of which the best counts
PANELS = (("electricity", 2), ("electricity", 3), ("swissmetro", 2))

Record = dict[str, Any]


class Survey(NamedTuple):
    """A long table with columns person, situation, alternative (1, 2, ...) and choice."""

    table: pd.DataFrame
    attributes: list[str]


def electricity() -> Survey:
    """The whole survey, attributes as they are."""
    table = pd.read_csv(TABLES / "electricity" / "electricity.csv.gz")
    table = table.rename(columns={"alt": "alternative"})
    return Survey(table, ["pf", "cl", "loc", "wk", "tod", "seas"])


def swissmetro() -> Survey:
    """Purposes 1 and 3, known choices; time and cost by 100, no cost for season tickets."""
    wide = pd.read_csv(TABLES / "swissmetro" / "swissmetro.csv.gz")
    wide = wide[wide["PURPOSE"].isin([1, 3]) & (wide["CHOICE"] != 0)]
    parts = []
    for j, mode in enumerate(("TRAIN", "SM", "CAR"), start=1):
        pays = (wide["GA"] == 0) | (mode == "CAR")
        part = pd.DataFrame(
            {
                "person": wide["ID"],
                "situation": wide.index,
                "alternative": j,
                "choice": (wide["CHOICE"] == j).astype(int),
                "asc_train": float(mode == "TRAIN"),
                "asc_car": float(mode == "CAR"),
                "time": wide[f"{mode}_TT"] / 100,
                "cost": wide[f"{mode}_CO"] * pays / 100,
            }
        )
        parts.append(part[wide[f"{mode}_AV"] == 1])
    table = pd.concat(parts).sort_values(["situation", "alternative"], ignore_index=True)
    return Survey(table, ["asc_train", "asc_car", "time", "cost"])


def travelmode() -> Survey:
    """Constants against the car, and income for air, as in Greene's Econometric Analysis."""
    table = pd.read_csv(TABLES / "travelmode" / "travelmode.csv.gz")
    modes = ["air", "train", "bus", "car"]
    for mode in modes[:3]:
        table[f"asc_{mode}"] = (table["mode"] == mode).astype(float)
    table["hinc_air"] = table["hinc"] * table["asc_air"]
    table["person"] = table["situation"] = table["individual"]
    table["alternative"] = table["mode"].map(modes.index) + 1
    return Survey(table, ["asc_air", "asc_train", "asc_bus", "gc", "ttme", "hinc_air"])


SURVEYS: dict[str, Callable[[], Survey]] = {
    "electricity": electricity,
    "swissmetro": swissmetro,
    "travelmode": travelmode,
}


def record(
    survey: str, llf: float, tastes: Any, errors: dict[str, Any], shares: Any = (1.0,)
) -> Record:
    """What a fit found, classes in the order of their shares; tastes and errors are (K, L)."""
    order = np.argsort(-np.asarray(shares, dtype=float))

    def listed(values: Any) -> Any:
        return np.asarray(values, dtype=float)[order].tolist()

    return {
        "survey": survey,
        "classes": len(order),
        "attributes": SURVEYS[survey]().attributes,
        "llf": float(llf),
        "shares": listed(shares),
        "tastes": listed(tastes),
        "errors": {kind: listed(values) for kind, values in errors.items()},
    }


def by_statsmodels() -> Iterator[Record]:
    """One class; its errors come from a Hessian by forward differences of the score."""
    from statsmodels.discrete.conditional_models import ConditionalLogit

    for name, read in SURVEYS.items():
        table, attributes = read()
        model = ConditionalLogit(table["choice"], table[attributes], groups=table["situation"])
        result = model.fit(method="newton", disp=False)
        yield record(name, result.llf, [result.params], {"nonrobust": [result.bse]})


def by_xlogit() -> Iterator[Record]:
    """One class; its errors come from a Hessian by forward differences of the score."""
    from xlogit import MultinomialLogit

    for name in ("electricity", "travelmode"):  # swissmetro has unequal choice sets
        table, attributes = SURVEYS[name]()
        model = MultinomialLogit()
        model.fit(
            table[attributes],
            table["choice"],
            attributes,
            alts=table["alternative"],
            ids=table["situation"],
            tol_opts={"ftol": 1e-14, "gtol": 1e-9},
            verbose=0,
        )
        yield record(name, model.loglikelihood, [model.coeff_], {"nonrobust": [model.stderr]})


def by_lcl() -> Iterator[Record]:
    """EM and Newton; errors from the Hessian, and clustered by person with N / (N − 1)."""
    import lcl
    import polars as pl

    kinds = {"nonrobust": "unadjusted", "cluster": "clustered"}
    for name, n_classes in PANELS:
        table, attributes = SURVEYS[name]()
        columns = ["person", "situation", "alternative", "choice", *attributes]
        frame = pl.DataFrame({column: table[column].to_numpy() for column in columns})
        ids = lcl.ChoiceIds(alt="alternative", case="situation", panel="person", choice="choice")
        spec = lcl.LCLSpec(ids=ids, utility=attributes, classes=n_classes)
        errors = {}
        for ours, theirs in kinds.items():
            result = lcl.fit(
                frame,
                spec,
                fit_options=lcl.FitOptions(starts=STARTS),
                inference=lcl.InferenceOptions(covariance=theirs),
            )
            found = pd.DataFrame(result.class_coefficients().to_dicts())
            errors[ours] = found.pivot(index="class", columns="variable", values="std_error")[
                attributes
            ]
        tastes = found.pivot(index="class", columns="variable", values="coefficient")[attributes]
        shares = result.class_shares().sort("class")["share"]
        yield record(name, result.em_res.unconditional_loglik, tastes, errors, shares)


def by_biogeme() -> Iterator[Record]:
    """Latent classes of a panel; errors from the Hessian, the scores of people, and both."""
    from biogeme.biogeme import BIOGEME
    from biogeme.database import Database
    from biogeme.expressions import Beta, PanelLikelihoodTrajectory, Variable, log
    from biogeme.models import logit
    from biogeme.parameters import Parameters
    from biogeme.results_processing import (
        EstimateVarianceCovariance,
        get_pandas_estimated_parameters,
    )

    kinds = {"nonrobust": "Rao-Cramer", "opg": "BHHH", "robust": "Robust"}
    table, attributes = SURVEYS["swissmetro"]()  # everybody chooses nine times
    cells = table.set_index(["situation", "alternative"])[attributes].unstack(fill_value=0.0)
    wide = cells.set_axis([f"{name}_{j}" for name, j in cells.columns], axis=1)
    met = table.pivot(index="situation", columns="alternative", values="choice")
    wide = wide.join(met.notna().astype(int).add_prefix("met_"))
    chosen = table[table["choice"] == 1].set_index("situation")
    wide = wide.assign(chosen=chosen["alternative"], person=chosen["person"])
    sets = {j: Variable(f"met_{j}") for j in met.columns}
    database = Database("panel", wide.reset_index(drop=True))
    database.panel("person")
    files = {"generate_html": False, "generate_yaml": False, "save_iterations": False}

    def estimate(seed: int) -> Any:
        rng, likelihoods = np.random.default_rng(seed), []
        for c in range(2):  # classes that start alike stay alike
            tastes = [Beta(f"{x}_class{c}", rng.normal(0, 0.5), None, None, 0) for x in attributes]
            utility = {
                j: sum(b * Variable(f"{x}_{j}") for x, b in zip(attributes, tastes, strict=True))
                for j in met.columns
            }
            likelihoods.append(PanelLikelihoodTrajectory(logit(utility, sets, Variable("chosen"))))
        scores = {0: 0, 1: Beta("score", 0, None, None, 0)}
        mixture = sum(logit(scores, None, c) * likelihoods[c] for c in range(2))
        estimator = BIOGEME(database, log(mixture), parameters=Parameters(), **files)
        estimator.model_name = "latent_classes"
        return estimator.estimate()

    result = max(map(estimate, range(STARTS)), key=lambda one: one.final_log_likelihood)
    names = [[f"{x}_class{c}" for x in attributes] for c in range(2)]
    errors = {}
    for ours, theirs in kinds.items():
        found = get_pandas_estimated_parameters(
            estimation_results=result, variance_covariance_type=EstimateVarianceCovariance(theirs)
        ).set_index("Name")
        errors[ours] = [found.loc[own, f"{theirs} std err."] for own in names]
    tastes = [found.loc[own, "Value"] for own in names]
    odds = np.exp([0.0, found.loc["score", "Value"]])
    yield record("swissmetro", result.final_log_likelihood, tastes, errors, odds / odds.sum())


SOFTWARE = {
    "biogeme": ("biogeme", by_biogeme),
    "statsmodels": ("statsmodels", by_statsmodels),
    "xlogit": ("xlogit", by_xlogit),
    "lcl": ("lcl-choice", by_lcl),
}


def main() -> None:
    """Fit what each software that is named can fit, and write it down."""
    for name in sys.argv[1:]:
        package, fits = SOFTWARE[name]
        content = {
            "software": package,
            "version": version(package),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "script": Path(__file__).name,
            "fits": list(fits()),
        }
        (HERE / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
