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

from mixlogit import MixedMultinomialLogit, datasets
from mixlogit.errors import ConvergenceWarning

KINDS = ("partition", "k-means", "noise", "split-merge")  # of start that won, in this order
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


def report(name: str, build: Build, known: tuple[float, ...], seeds: int) -> None:
    """Print one line per number of classes."""
    print(f"\n{name}, {seeds} seeds")
    print(f"{'K':>2}{'best known':>14}{'seed 0':>14}{'worst':>14}{'reach it':>10}", end="")
    print(f"{'agree':>12}{'iterations':>12}{'winners':>10}{'fit s':>8}{'build s':>9}")
    for n_classes, best in enumerate(known, start=1):
        began = time.perf_counter()
        model = build(n_classes)
        build_seconds = time.perf_counter() - began
        results, seconds = [], []
        for seed in range(seeds):
            began = time.perf_counter()
            results.append(model.fit(rng=seed))
            seconds.append(time.perf_counter() - began)
        llf = [result.llf for result in results]
        reached = sum(abs(value - best) < REACHED for value in llf) / seeds
        agree = mean(result.certificate().n_agree for result in results)
        finished = mean(result.certificate().n_finished for result in results)
        origin = Counter(result.starts["origin"].iloc[0] for result in results)
        winners = "/".join(str(origin[kind]) for kind in KINDS)
        print(
            f"{n_classes:2d}{best:14.4f}{llf[0]:14.4f}{min(llf):14.4f}{reached:10.0%}"
            f"{agree:7.1f} /{finished:3.0f}"
            f"{mean(result.mle_retvals['n_candidate_iterations'] for result in results):12.0f}"
            f"{winners:>10}{median(seconds):8.2f}{build_seconds:9.2f}",
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
