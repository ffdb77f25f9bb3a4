"""Fits on columns that span the same utilities, beside the fit on the columns as they are.

    python docs/benchmarks/recombined.py --n 300
    python docs/benchmarks/recombined.py --n 20 --surveys swissmetro --classes 4 --inits auto

The attributes are multiplied by random invertible matrices, of a condition up to 1000. The maximum
of the likelihood stays where it is. Printed are, for each survey, number of classes and kind of
start, the log-likelihood on the plain columns, how many fits end more than 0.001 from it, and the
largest difference.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd

from mixlogit import MixedMultinomialLogit, datasets

SAME = 1e-3
IDS = {"situation": "situation", "individual": "person", "alternative": "alternative"}


def survey(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Ids and choices of a survey, and its attributes with the constants written out, (R, L)."""
    data = datasets.load(name).data
    if name == "electricity":
        ids = data.rename(columns={"alt": "alternative"})
        return ids, data[["pf", "cl", "loc", "wk", "tod", "seas"]].to_numpy(float)
    data = data.query("purpose in (1, 3)").reset_index(drop=True)
    constants = [data["alternative"] == other for other in ("train", "car")]
    columns = [*constants, data["travel_time"] / 100, data["cost_paid"] / 100]
    return data, np.column_stack(columns).astype(float)


def recombination(size: int, rng: np.random.Generator) -> np.ndarray:
    """A random matrix of a condition between 1 and 1000."""
    left, right = (np.linalg.qr(rng.normal(size=(size, size)))[0] for _ in range(2))
    return left * np.geomspace(1, 10 ** rng.uniform(0, 3), size) @ right


def log_likelihood(ids: pd.DataFrame, exog: np.ndarray, n_classes: int, init: str) -> float:
    """Where a fit ends."""
    columns = {f"z{i}": column for i, column in enumerate(exog.T)}
    table = ids[[*IDS.values(), "choice"]].assign(**columns)
    formula = "choice ~ " + " + ".join(columns)
    model = MixedMultinomialLogit.from_formula(formula, table, n_classes, **IDS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(cov_type="none", init=init).llf


def main() -> None:
    """Print a line for each survey, number of classes and kind of start."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=300, help="recombinations")
    parser.add_argument("--surveys", nargs="+", default=["electricity", "swissmetro"])
    parser.add_argument("--classes", nargs="+", type=int, default=[2, 3, 4])
    parser.add_argument("--inits", nargs="+", default=["auto", "moments", "subspace"])
    args = parser.parse_args()
    for name in args.surveys:
        ids, exog = survey(name)
        for n_classes in args.classes:
            for init in args.inits:
                plain = log_likelihood(ids, exog, n_classes, init)
                apart = []
                for seed in range(args.n):
                    matrix = recombination(exog.shape[1], np.random.default_rng(seed))
                    apart.append(log_likelihood(ids, exog @ matrix, n_classes, init) - plain)
                n_apart = int((np.abs(apart) > SAME).sum())
                print(
                    f"{name:12} K={n_classes} {init:9} plain {plain:.4f}  apart {n_apart} of "
                    f"{args.n}  largest {np.abs(apart).max():.1e}  lowest {min(apart):.4f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
