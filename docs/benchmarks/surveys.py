"""Log-likelihoods that default fits reach on the shipped surveys, over several seeds.

python docs/benchmarks/surveys.py --seeds 20
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Callable
from statistics import mean, median
from typing import Any

from mixlogit import MixedMultinomialLogit, datasets
from mixlogit.errors import ConvergenceWarning

KINDS = ("moments", "subspace", "k-means", "partition", "split-merge")  # of start that won
REACHED = 1e-3  # a log-likelihood this close to the best known one is the same optimum

# Best log-likelihoods known, for 1, 2, ... classes.
ELECTRICITY = (
    *(-4958.6491, -4526.8290, -4298.0275, -4138.6366),
    *(-4028.3617, -3950.5742, -3887.7152, -3839.3558),
)
SWISSMETRO = (-5331.2520, -4318.8398, -3979.0030, -3793.7173, -3699.6482, -3637.1664)

Build = Callable[[int], MixedMultinomialLogit]


def electricity(n_classes: int) -> MixedMultinomialLogit:
    """361 customers, 12 choices each of 4 contracts."""
    return MixedMultinomialLogit.from_formula(
        "choice ~ pf + cl + loc + wk + tod + seas",
        datasets.load("electricity").data,
        n_classes,
        situation="situation",
        individual="person",
        alternative="alt",
    )


def swissmetro(n_classes: int) -> MixedMultinomialLogit:
    """752 commuters and business travellers, 9 choices each of 2 or 3 modes."""
    return MixedMultinomialLogit.from_formula(
        "choice ~ C(alternative, Treatment('sm')) + I(travel_time / 100) + I(cost_paid / 100)",
        datasets.load("swissmetro").data.query("purpose in (1, 3)"),
        n_classes,
        situation="situation",
        individual="person",
        alternative="alternative",
    )


def fits(
    model: MixedMultinomialLogit, seeds: int, **keywords: Any
) -> tuple[list[Any], list[float]]:
    """Fits from several seeds, and the seconds that each took."""
    results, seconds = [], []
    for seed in range(seeds):
        began = time.perf_counter()
        results.append(model.fit(rng=seed, **keywords))
        seconds.append(time.perf_counter() - began)
    return results, seconds


def reach(llf: list[float], best: float) -> float:
    """Share of log-likelihoods that are the best known."""
    return mean(abs(value - best) < REACHED for value in llf)


def work(results: list[Any]) -> float:
    """Mean number of EM iterations of all candidates together."""
    return mean(result.mle_retvals["n_candidate_iterations"] for result in results)


def report(name: str, build: Build, known: tuple[float, ...], seeds: int) -> None:
    """Print one line per number of classes: default fits, then fits from one random start."""
    print(f"\n{name}, {seeds} seeds")
    print(f"{'K':>2}{'best known':>14}{'seed 0':>14}{'worst':>14}{'reach it':>10}", end="")
    print(f"{'agree':>12}{'iterations':>12}{'winners':>15}{'fit s':>8}", end="")
    print(f"{'random':>9}{'iterations':>12}{'s':>6}")
    for n_classes, best in enumerate(known, start=1):
        model = build(n_classes)
        results, seconds = fits(model, seeds)
        chance, chance_seconds = fits(model, seeds, init="random", n_starts=1)
        llf = [result.llf for result in results]
        agree = mean(result.certificate().n_agree for result in results)
        finished = mean(result.certificate().n_finished for result in results)
        origin = Counter(result.starts["origin"].iloc[0] for result in results)
        winners = "/".join(str(origin[kind]) for kind in KINDS)
        print(
            f"{n_classes:2d}{best:14.4f}{llf[0]:14.4f}{min(llf):14.4f}{reach(llf, best):10.0%}"
            f"{agree:7.1f} /{finished:3.0f}{work(results):12.0f}{winners:>15}"
            f"{median(seconds):8.2f}{reach([result.llf for result in chance], best):9.0%}"
            f"{work(chance):12.0f}{median(chance_seconds):6.2f}",
            flush=True,
        )
        if max(llf) > best + REACHED:
            print(f"   better than the best known: {max(llf):.4f}")


def main() -> None:
    """Fit the surveys."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="fits for each number of classes")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    surveys: list[tuple[str, Build, tuple[float, ...]]] = [
        ("electricity", electricity, ELECTRICITY),
        ("swissmetro", swissmetro, SWISSMETRO),
    ]
    for name, build, known in surveys:
        report(name, build, known, args.seeds)


if __name__ == "__main__":
    main()
