"""Errors and limits of willingness to pay: delta, Krinsky-Robb and Fieller against a bootstrap.

The bootstrap is parametric: everybody in the electricity survey chooses again, from the estimates,
and the model is fitted to these choices, starting at the estimates. "delta there" is the median
of the delta errors of these fits: like the bootstrap, it takes the model to be true, so the two
should agree, and where the delta errors of the survey differ from them, the model is not.

python docs/benchmarks/wtp.py --replications 200
"""

from __future__ import annotations

import argparse
import functools
import time
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from threadpoolctl import threadpool_limits

from mixlogit import MixedMultinomialLogit, datasets, simulate_choices
from mixlogit.errors import ConvergenceWarning

IDS = {"situation": "situation", "individual": "person", "alternative": "alt"}
COST = "pf"  # cents per kWh
METHODS = ("delta", "krinsky-robb", "fieller")
NORMAL_IQR = 1.3489795  # interquartile range of the standard normal


@functools.cache
def survey() -> pd.DataFrame:
    """361 customers, 12 choices each of 4 contracts."""
    return datasets.load("electricity").data


def model_of(table: pd.DataFrame, n_classes: int) -> MixedMultinomialLogit:
    """The model of the survey, on any choices."""
    return MixedMultinomialLogit.from_formula(
        "choice ~ pf + cl + loc + wk + tod + seas", table, n_classes, **IDS
    )


def replicate(
    truth: tuple[pd.DataFrame, pd.Series, np.ndarray], attributes: list[str], seed: int
) -> np.ndarray | None:
    """Willingness to pay and its delta error (2, attributes, K + 1); None without a maximum."""
    tastes, shares, params = truth
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        table = simulate_choices(survey(), tastes, shares, **IDS, rng=seed)
        result = model_of(table, tastes.shape[1]).fit(params)
    if not result.converged:
        return None
    unit = tastes.abs().mean(axis=1).to_numpy()[:, None, None]
    found = result.class_params.to_numpy()
    apart = (tastes.to_numpy()[:, :, None] - found[:, None]) / unit  # (attribute, true, found)
    order = linear_sum_assignment((apart**2).sum(axis=0))[1]
    shown = result.wtp(attributes, COST)[["wtp", "std err"]].to_numpy()
    by_class = shown.T.reshape(2, len(attributes), -1)
    return by_class[..., [*order, tastes.shape[1]]]


def report(n_classes: int, attributes: list[str], replications: int, processes: int) -> None:
    """Print errors and limits of one number of classes."""
    began = time.perf_counter()
    result = model_of(survey(), n_classes).fit()
    truth = (result.class_params, result.class_shares, result.params.to_numpy())
    again = functools.partial(replicate, truth, attributes)
    with ProcessPoolExecutor(processes) as pool:
        found = list(pool.map(again, range(1, replications + 1), chunksize=5))
    replicated = np.array([one for one in found if one is not None])  # (B, 2, attributes, K + 1)
    draws, draw_errors = np.moveaxis(replicated, 1, 0)
    low, first, third, high = np.quantile(draws, [0.025, 0.25, 0.75, 0.975], axis=0)

    ways = {name: result.wtp(attributes, COST, method=name) for name in METHODS}
    delta = ways["delta"]
    robust = result.with_cov("robust").wtp(attributes, COST)
    errors = pd.DataFrame(
        {
            "wtp": delta["wtp"],
            "delta": delta["std err"],
            "delta, robust": robust["std err"],
            "krinsky-robb": ways["krinsky-robb"]["std err"],
            "bootstrap": draws.std(axis=0, ddof=1).ravel(),
            "by quartiles": ((third - first) / NORMAL_IQR).ravel(),
            "delta there": np.median(draw_errors, axis=0).ravel(),
        }
    )
    labels = list(delta.columns[2:4])
    limits = {name: way[labels] for name, way in ways.items()}
    limits["bootstrap"] = pd.DataFrame(
        dict(zip(labels, (low.ravel(), high.ravel()), strict=True)), index=delta.index
    )
    print(f"\n{n_classes} classes: willingness to pay in cents per kWh for one unit of")
    print(
        f"{', '.join(attributes)}; {len(draws)} of {replications} replications reached a maximum;"
    )
    print(f"{time.perf_counter() - began:.0f} s")
    print(f"\nstandard errors\n{errors.round(4).to_string()}")
    print(f"\n95% limits\n{pd.concat(limits, axis=1).round(3).to_string()}", flush=True)


def main() -> None:
    """Compare on the electricity survey."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--attributes", nargs="+", default=["cl", "loc"])
    args = parser.parse_args()
    for n_classes in args.classes:
        report(n_classes, args.attributes, args.replications, args.processes)


if __name__ == "__main__":
    main()
