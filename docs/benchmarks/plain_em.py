"""A default fit, which searches, beside one plain EM run from the start that won its search.

Plain EM is without acceleration and without Newton's steps or standard errors. It begins where the
winner entered the race of the search, with as many classes as the fit; if a split won, where the
best of the race did. It ends when extrapolation promises less than some log-likelihood: 0.001,
where a fit hands over to Newton, or 0.000001.

    python docs/benchmarks/plain_em.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any
from unittest.mock import patch

from surveys import Build, electricity, swissmetro

from mixlogit import starts
from mixlogit.em import Run, expectation_maximisation
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.race import Race
from mixlogit.threads import share_cores

TOLERANCES = (1e-3, 1e-6)
CASES = (
    ("electricity", electricity, 3),
    ("electricity", electricity, 4),
    ("swissmetro", swissmetro, 3),
)


def seconds(function: Callable[[], Any]) -> tuple[Any, float]:
    """What a function returns, and how long it takes."""
    began = time.perf_counter()
    result = function()
    return result, time.perf_counter() - began


def entry(fit: Callable[[], Any]) -> Parameters:
    """The mixture with which the best of the race of a fit entered it, as a stack of one."""
    seen: list[tuple[Parameters, Race]] = []
    race = starts.race

    def watched(climb: Any, parameters: Parameters, rungs: Any) -> Race:
        seen.append((parameters, race(climb, parameters, rungs)))
        return seen[-1][1]

    with patch.object(starts, "race", watched):
        fit()
    parameters, heat = seen[0]
    return parameters[heat.index[:1]]


def fit_seconds(build: Build, n_classes: int, seed: int) -> tuple[Any, float]:
    """A default fit of a model that nothing is known of yet."""
    return seconds(partial(build(n_classes).fit, rng=seed))


def plain_seconds(
    likelihood: MixtureLikelihood, start: Parameters, tol: float
) -> tuple[Run, float]:
    """One run of EM, on the cores that a fit uses."""
    plain = partial(expectation_maximisation, maxiter=100_000, tol=tol, accelerate=False)
    return seconds(share_cores(partial(plain, likelihood, start)))


def compare(name: str, build: Build, n_classes: int, seeds: int, repeats: int) -> None:
    """Print a line per seed."""
    model = build(n_classes)
    model.fit(rng=0)  # warm
    ratios: dict[float, list[float]] = {tol: [] for tol in TOLERANCES}
    for seed in range(seeds):
        start = entry(partial(model.fit, rng=seed))
        fits = [fit_seconds(build, n_classes, seed) for _ in range(repeats)]
        ours = median(taken for _, taken in fits)
        print(f"{name:14}{n_classes:2}{seed:6}{1e3 * ours:10.1f}{fits[0][0].llf:13.4f}", end="")
        for tol in TOLERANCES:
            runs = [plain_seconds(model.likelihood(), start, tol) for _ in range(repeats)]
            plain, run = median(taken for _, taken in runs), runs[0][0]
            ratios[tol].append(ours / plain)
            print(f"{1e3 * plain:16.1f}{run.value[0]:13.4f}{run.n_iter[0]:7}", end="")
            print(f"{ours / plain:7.1f}", end="")
        print(flush=True)
    text = ", ".join(f"{median(own):.1f} to {tol:.0e}" for tol, own in ratios.items())
    print(f"{name}, K = {n_classes}: default fit over plain EM, median of seeds: {text}")


def main() -> None:
    """Print ratios of seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5, help="of each, medians of which count")
    args = parser.parse_args()
    print(f"{'':14}{'K':>2}{'seed':>6}{'fit, ms':>10}{'log-lik.':>13}", end="")
    for tol in TOLERANCES:
        print(f"{f'EM to {tol:.0e}':>16}{'log-lik.':>13}{'iter.':>7}{'ratio':>7}", end="")
    print()
    for case in CASES:
        compare(*case, args.seeds, args.repeats)


if __name__ == "__main__":
    main()
