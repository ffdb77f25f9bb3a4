"""One package fits one table in this process, and says what it found and how long it took.

Run by ``rivals.py``: the name of the package, the folder of the table, the number of classes, and
fits to be done one after the other, each "default", "one:SEED" (one random start) or "search:SEED"
(the search over starts that the package offers).

    python docs/benchmarks/sides.py mixlogit tables/S 2 one:0 one:0
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from designs import attributes, read

Columns = dict[str, np.ndarray]
SEARCH = 20  # starts of a rival's search
NOISE = 0.5  # standard deviation of random starts, where a package leaves them to its user


class Found(NamedTuple):
    """What a fit ends with."""

    llf: float
    coefficients: Any  # (K L,), in any order
    errors: Any  # (K L,), of these
    text: str


class Side(NamedTuple):
    """How a package is used, once the table is there."""

    fit: Callable[[str, int], Any]  # of a kind of start and a seed: model, estimates and errors
    describe: Callable[[Any], Found]  # of what `fit` returns


def by_mixlogit(columns: Columns, n_classes: int) -> Side:
    """This package, from a formula; errors are of the kind that the others give by default."""
    import pandas as pd

    from mixlogit import MixedMultinomialLogit

    names = attributes(columns)
    frame = pd.DataFrame(columns, copy=False)
    errors = "robust" if n_classes > 1 else "nonrobust"

    def fit(kind: str, seed: int) -> Any:
        model = MixedMultinomialLogit.from_formula(
            "choice ~ " + " + ".join(names),
            frame,
            n_classes,
            situation="situation",
            individual="person",
            alternative="alternative",
        )
        starts = {"init": "random", "n_starts": 1} if kind == "one" else {}
        return model.fit(rng=seed, cov_type=errors, **starts)

    def describe(result: Any) -> Found:
        n = len(names) * n_classes
        table = np.column_stack([result.params, result.bse])[:n]
        return Found(result.llf, table[:, 0], table[:, 1], str(result.summary()))

    return Side(fit, describe)


def by_lcl(columns: Columns, n_classes: int) -> Side:
    """lcl-choice, from a specification; its default errors are clustered by individuals."""
    import lcl
    import polars as pl

    frame = pl.DataFrame(columns)
    ids = lcl.ChoiceIds(alt="alternative", case="situation", panel="person", choice="choice")
    spec = lcl.LCLSpec(ids=ids, utility=attributes(columns), classes=n_classes)

    def fit(kind: str, seed: int) -> Any:
        if kind == "default":
            return lcl.fit(frame, spec)
        starts = SEARCH if kind == "search" else 1
        return lcl.fit(frame, spec, fit_options=lcl.FitOptions(seed=seed, starts=starts))

    def describe(result: Any) -> Found:
        table = result.class_coefficients()
        with pl.Config(tbl_rows=-1):
            text = f"{result}\n{table}\n{result.membership_coefficients()}"
        llf = float(result.em_res.unconditional_loglik)
        return Found(llf, table["coefficient"], table["std_error"], text)

    return Side(fit, describe)


def by_biogeme(columns: Columns, n_classes: int) -> Side:
    """biogeme, a product over situations in each class; its default errors are robust.

    It reads one row per situation, takes starts from its user, and gets random ones, since classes
    that start alike stay alike.
    """
    import pandas as pd
    from biogeme.biogeme import BIOGEME
    from biogeme.database import Database
    from biogeme.expressions import Beta, PanelLikelihoodTrajectory, Variable, log
    from biogeme.models import logit
    from biogeme.parameters import Parameters
    from biogeme.results_processing import get_pandas_estimated_parameters

    names = attributes(columns)
    alternatives = range(int(columns["alternative"].max()) + 1)
    shape = (-1, len(alternatives))  # every alternative in every situation
    wide = {"person": columns["person"].reshape(shape)[:, 0]}
    wide["chosen"] = columns["choice"].reshape(shape).argmax(axis=1)
    for name in names:
        value = columns[name].reshape(shape)
        wide |= {f"{name}_{j}": value[:, j] for j in alternatives}
    frame = pd.DataFrame(wide)

    def fit(kind: str, seed: int) -> Any:
        database = Database("panel", frame.copy())
        database.panel("person")
        starts = np.random.default_rng(seed).normal(0, NOISE, (n_classes, len(names)))
        likelihoods, scores = [], {0: 0}
        for c, start in enumerate(starts):
            tastes = [
                Beta(f"{name}_class{c}", float(b), None, None, 0)
                for name, b in zip(names, start, strict=True)
            ]
            utility = {
                j: sum(b * Variable(f"{x}_{j}") for x, b in zip(names, tastes, strict=True))
                for j in alternatives
            }
            likelihoods.append(PanelLikelihoodTrajectory(logit(utility, None, Variable("chosen"))))
            if c:
                scores[c] = Beta(f"share_class{c}", 0, None, None, 0)
        mixture = sum(logit(scores, None, c) * likelihoods[c] for c in range(n_classes))
        files = {"generate_html": False, "generate_yaml": False, "save_iterations": False}
        estimator = BIOGEME(database, log(mixture), parameters=Parameters(), **files)
        estimator.model_name = "latent_classes"
        return estimator.estimate()

    def describe(result: Any) -> Found:
        table = get_pandas_estimated_parameters(estimation_results=result)
        own = table[~table["Name"].str.startswith("share_")]
        text = f"{result.short_summary()}\n{table.to_string()}"
        return Found(result.final_log_likelihood, own["Value"], own["Robust std err."], text)

    return Side(fit, describe)


def by_statsmodels(columns: Columns, n_classes: int) -> Side:
    """statsmodels' conditional logit, one class."""
    from statsmodels.discrete.conditional_models import ConditionalLogit

    exog = np.column_stack([columns[name] for name in attributes(columns)])

    def fit(kind: str, seed: int) -> Any:
        model = ConditionalLogit(columns["choice"], exog, groups=columns["situation"])
        return model.fit(disp=False)

    def describe(result: Any) -> Found:
        return Found(result.llf, result.params, result.bse, str(result.summary()))

    return Side(fit, describe)


def by_xlogit(columns: Columns, n_classes: int) -> Side:
    """xlogit's multinomial logit, one class."""
    from xlogit import MultinomialLogit

    names = attributes(columns)
    exog = np.column_stack([columns[name] for name in names])
    ids = {"alts": columns["alternative"], "ids": columns["situation"]}

    def fit(kind: str, seed: int) -> Any:
        model = MultinomialLogit()
        model.fit(exog, columns["choice"], names, verbose=0, **ids)
        return model

    def describe(result: Any) -> Found:
        text = io.StringIO()
        with redirect_stdout(text):
            result.summary()
        return Found(result.loglikelihood, result.coeff_, result.stderr, text.getvalue())

    return Side(fit, describe)


SIDES = {
    "mixlogit": ("mixlogit", by_mixlogit),
    "lcl": ("lcl", by_lcl),
    "biogeme": ("biogeme.biogeme", by_biogeme),
    "statsmodels": ("statsmodels.discrete.conditional_models", by_statsmodels),
    "xlogit": ("xlogit", by_xlogit),
}


def main() -> None:
    """Fit, print the last summary, and then a line of figures."""
    name, folder, n_classes, *plan = sys.argv[1:]
    times = [time.perf_counter()]
    module, prepare = SIDES[name]
    import_module(module)
    times.append(time.perf_counter())
    columns = read(Path(folder))
    side = prepare(columns, int(n_classes))
    del columns
    times.append(time.perf_counter())
    fits = []
    for step in plan:
        kind, _, seed = step.partition(":")
        began = time.perf_counter()
        result = side.fit(kind, int(seed or 0))
        seconds = time.perf_counter() - began
        found = side.describe(result)
        fits.append({"step": step, "seconds": seconds, "llf": found.llf})
    print(found.text)
    coefficients = np.asarray(found.coefficients, dtype=float)
    order = np.argsort(coefficients)
    record = {
        "imports": times[1] - times[0],
        "read": times[2] - times[1],
        "fits": fits,
        "coefficients": coefficients[order].tolist(),
        "errors": np.asarray(found.errors, dtype=float)[order].tolist(),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
