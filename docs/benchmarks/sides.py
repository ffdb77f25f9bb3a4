"""One package fits one table in this process, and says what it found and how long it took.

Run by ``rivals.py``: the name of the package, the folder of the table, the number of classes, and
fits to be done one after the other, each "default", "one:SEED" (one random start) or "search:SEED"
(the search over starts that the package offers).

    python docs/benchmarks/sides.py mixlogit /tmp/tables/S 2 one:0 one:0
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
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
    """This package, from a formula; errors are sandwiches by individuals."""
    import pandas as pd

    from mixlogit import MixedMultinomialLogit

    names = attributes(columns)
    frame = pd.DataFrame(columns, copy=False)

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
        return model.fit(rng=seed, cov_type="robust", **starts)

    def describe(result: Any) -> Found:
        coefficients, errors = np.asarray(result.params), np.asarray(result.bse)
        n = len(names) * n_classes
        return Found(result.llf, coefficients[:n], errors[:n], str(result.summary()))

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


SIDES = {"mixlogit": by_mixlogit, "lcl": by_lcl}


def main() -> None:
    """Fit, print the last summary, and then a line of figures."""
    name, folder, n_classes, *plan = sys.argv[1:]
    times = [time.perf_counter()]
    __import__(name)
    times.append(time.perf_counter())
    columns = read(Path(folder))
    side = SIDES[name](columns, int(n_classes))
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
