"""Whether the search finds the best optimum on simulated data of which the truth is known.

python docs/benchmarks/search.py panels     # default fit, 20 seeds on each of a few panels
python docs/benchmarks/search.py moments    # EM from the moment estimate alone, 100 panels a cell
python docs/benchmarks/search.py tables     # default fit, 50 attribute tables a cell
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from statistics import mean, median

import numpy as np

from mixlogit import MixedMultinomialLogit
from mixlogit.candidates import clusters
from mixlogit.em import expectation_maximisation
from mixlogit.errors import ConvergenceWarning
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.pooled import axes_of_one, pooled_logit

SAME = 0.01  # log-likelihoods this close are the same optimum
TOLERANCE = 1e-4  # log-likelihood that EM leaves, where it is run for comparison


@dataclass(frozen=True)
class Panel:
    """Sizes of a panel: people × situations × alternatives, attributes, classes."""

    name: str
    n_people: int
    n_situations: int
    n_alternatives: int
    n_attributes: int
    n_classes: int
    design: str = "mixed"
    n_draws: int = 1  # data sets in the study of default fits


HARD = (
    Panel("M", 2000, 10, 5, 8, 3),
    Panel("eight classes", 3000, 10, 4, 8, 8, "levels"),
    Panel("short and few", 300, 3, 4, 5, 4, n_draws=3),
)
CELLS = (
    Panel("", 500, 8, 3, 5, 2),
    Panel("", 1000, 8, 4, 6, 3),
    Panel("", 1500, 10, 4, 6, 4),
    Panel("", 2000, 10, 4, 8, 5),
    HARD[0],
    HARD[2],
)
TABLES = ((5_000, 10, 3), (10_000, 20, 5), (10_000, 20, 8))  # alternatives, attributes, classes


def panel(sizes: Panel, seed: int) -> tuple[MixedMultinomialLogit, Parameters]:
    """Draw a panel, and the tastes and shares it comes from.

    Tastes are standard normal, shares proportional to linspace(1, 2, K). Attributes are standard
    normal, half of them then replaced by whether they are positive; "levels" are −1, 0, 1.
    """
    rng = np.random.default_rng(seed)
    n_sets = sizes.n_people * sizes.n_situations
    x = rng.standard_normal((n_sets * sizes.n_alternatives, sizes.n_attributes))
    if sizes.design == "levels":
        x = rng.integers(-1, 2, size=x.shape).astype(float)
    else:
        half = sizes.n_attributes - sizes.n_attributes // 2
        x[:, half:] = x[:, half:] > 0
    tastes = rng.standard_normal((sizes.n_classes, sizes.n_attributes))
    shares = np.linspace(1, 2, sizes.n_classes) / np.linspace(1, 2, sizes.n_classes).sum()
    own = np.repeat(
        rng.choice(sizes.n_classes, sizes.n_people, p=shares),
        sizes.n_situations * sizes.n_alternatives,
    )
    utility = (x * tastes[own]).sum(axis=1) + rng.gumbel(size=len(x))
    chosen = np.zeros((n_sets, sizes.n_alternatives), dtype=int)
    chosen[np.arange(n_sets), utility.reshape(n_sets, -1).argmax(axis=1)] = 1
    model = MixedMultinomialLogit(
        chosen.ravel(),
        x,
        sizes.n_classes,
        situation=np.repeat(np.arange(n_sets), sizes.n_alternatives),
        individual=np.repeat(np.arange(sizes.n_people), len(x) // sizes.n_people),
    )
    return model, mixture(model.likelihood(), tastes, shares)


def table(
    n_alternatives: int, n_attributes: int, n_classes: int, n_choices: int, seed: int
) -> tuple[MixedMultinomialLogit, Parameters]:
    """Draw one Gaussian table with counts; tastes have lengths between 1.5 and 2."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_alternatives, n_attributes))
    tastes = rng.standard_normal((n_classes, n_attributes))
    length = rng.uniform(1.5, 2.0, size=n_classes) / np.linalg.norm(tastes, axis=1)
    tastes *= length[:, None]
    shares = np.linspace(1, 2, n_classes) / np.linspace(1, 2, n_classes).sum()
    utility = x @ tastes.T
    prob = np.exp(utility - utility.max(axis=0))
    counts = rng.multinomial(n_choices, (prob / prob.sum(axis=0)) @ shares)
    model = MixedMultinomialLogit(counts, x, n_classes)
    return model, mixture(model.likelihood(), tastes, shares)


def mixture(likelihood: MixtureLikelihood, tastes: np.ndarray, shares: np.ndarray) -> Parameters:
    """Put known tastes and shares in a stack of one."""
    return Parameters(tastes[None], likelihood.membership.from_shares(shares[None]))


def reached(likelihood: MixtureLikelihood, start: Parameters) -> float:
    """Log-likelihood at the end of EM."""
    return float(
        expectation_maximisation(likelihood, start, maxiter=5000, tol=TOLERANCE).value.max()
    )


def panels(seeds: int) -> None:
    """Default fits of hard panels, from several seeds."""
    print("default fit(); best = best of all fits and of EM from the truth")
    print(f"{'panel':>16}{'data':>6}{'reach it':>10}{'worst gap':>11}", end="")
    print(f"{'iterations':>12}{'from truth':>12}{'seconds':>9}  winners")
    for sizes in HARD:
        for draw in range(sizes.n_draws):
            model, truth = panel(sizes, draw)
            from_truth = reached(model.likelihood(), truth)
            results, seconds = [], []
            for seed in range(seeds):
                began = time.perf_counter()
                results.append(model.fit(rng=seed))
                seconds.append(time.perf_counter() - began)
            llf = np.array([result.llf for result in results])
            best = max(llf.max(), from_truth)
            work = mean(result.mle_retvals["n_candidate_iterations"] for result in results)
            origin = Counter(result.starts["origin"].iloc[0] for result in results)
            status = Counter(result.certificate().status for result in results)
            print(
                f"{sizes.name:>16}{draw:6d}{(best - llf < SAME).sum():6d}/{seeds}"
                f"{best - llf.min():11.3f}{work:12.0f}{best - from_truth:12.3f}"
                f"{median(seconds):9.2f}  {dict(origin)} {dict(status)}",
                flush=True,
            )


def moments(repeats: int) -> None:
    """EM from the first moment estimate alone."""
    print("EM from the moment estimate, one start; best = best of this, of EM from the truth and")
    print("of EM from k-means on scores with two starts")
    print(f"{'people × T × J':>18}{'L':>4}{'K':>4}{'reach it':>10}{'median gap else':>17}", end="")
    print(f"{'EM iterations':>15}{'random: reach':>15}{'iterations':>12}")
    for sizes in CELLS:
        gaps, n_iter, random_gaps, random_iter = [], [], [], []
        for draw in range(repeats):
            model, truth = panel(sizes, draw)
            likelihood = model.likelihood()
            alone = model.fit(init="moments", n_starts=1)
            chance = model.fit(init="random", n_starts=1)
            around = clusters(
                likelihood,
                axes_of_one(likelihood),
                pooled_logit(likelihood),
                2,
                np.random.default_rng(draw),
            )
            others = [reached(likelihood, start) for start in (truth, around)]
            best = max(alone.llf, chance.llf, *others)
            gaps.append(best - alone.llf)
            n_iter.append(alone.mle_retvals["em_iterations"])
            random_gaps.append(best - chance.llf)
            random_iter.append(chance.mle_retvals["em_iterations"])
        missed = [gap for gap in gaps if gap >= SAME]
        name = f"{sizes.n_people} × {sizes.n_situations} × {sizes.n_alternatives}"
        print(
            f"{name:>18}{sizes.n_attributes:4d}{sizes.n_classes:4d}"
            f"{repeats - len(missed):6d}/{repeats}{median(missed) if missed else 0.0:17.2f}"
            f"{mean(n_iter):15.1f}{np.mean(np.array(random_gaps) < SAME):15.0%}"
            f"{mean(random_iter):12.1f}",
            flush=True,
        )


def tables(repeats: int) -> None:
    """Default fits of attribute tables."""
    print("default fit(); gap = log-likelihood of EM from the truth less that of the fit")
    print(f"{'alternatives':>13}{'L':>4}{'K':>4}{'choices':>9}{'reach it':>10}{'largest gap':>13}")
    for n_alternatives, n_attributes, n_classes in TABLES:
        for times in (4, 10):
            gaps = []
            for draw in range(repeats):
                model, truth = table(
                    n_alternatives, n_attributes, n_classes, times * n_alternatives, draw
                )
                gaps.append(reached(model.likelihood(), truth) - model.fit().llf)
            print(
                f"{n_alternatives:13d}{n_attributes:4d}{n_classes:4d}{times:7d} p"
                f"{(np.array(gaps) < SAME).sum():6d}/{repeats}{max(gaps):13.4f}",
                flush=True,
            )


def main() -> None:
    """Run one of the studies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=("panels", "moments", "tables"))
    parser.add_argument("--seeds", type=int, default=20, help="fits of each panel")
    parser.add_argument("--repeats", type=int, help="data sets: 100 panels or 50 tables a cell")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if args.study == "panels":
        panels(args.seeds)
    elif args.study == "moments":
        moments(args.repeats or 100)
    else:
        tables(args.repeats or 50)


if __name__ == "__main__":
    main()
