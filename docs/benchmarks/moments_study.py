"""Method of moments, warm-started EM and its steps on simulated data, one study per subcommand.

python docs/benchmarks/moments_study.py rates --repeats 8 --seed 0 --figure rates.png
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigvalsh
from scipy.optimize import linear_sum_assignment
from threadpoolctl import threadpool_limits

from mixlogit import MixedMultinomialLogit
from mixlogit.atoms import projection_atoms, pull_back, tensor_atoms
from mixlogit.candidates import (
    clusters,
    from_moments,
    in_subspace,
    noise,
    partitions,
)
from mixlogit.em import MStep, NewtonStep, Run, WhitenedStep, expectation_maximisation
from mixlogit.errors import ConvergenceWarning
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.membership import with_base
from mixlogit.moments import (
    Coordinates,
    Directional,
    LatentMoments,
    design_gaussianity,
    latent_moments,
)
from mixlogit.newton import maximise
from mixlogit.pooled import axes_of_one, pooled_logit

SUCCESS = 0.01  # log-likelihoods this close are the same optimum
MAXITER = 1000  # EM iterations
N_PROJECTIONS = 10  # directions of the projection solver, of which the likelihood picks one
NORM = (1.5, 2.0)  # of the atoms, utils per standard deviation of an attribute

Row = dict[str, Any]


class Column(NamedTuple):
    """A column of a printed table."""

    name: str
    form: str
    meaning: str


class Study(NamedTuple):
    """What a subcommand does."""

    about: str
    sizes: str
    columns: tuple[Column, ...]
    rows: Callable[[int, int], Iterator[Row]]  # of seed and repeats
    draw: Callable[[list[Row], Any], None]  # figure from rows and matplotlib's pyplot
    repeats: int


# -- simulated data --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Truth:
    """The mixture that choices are drawn from: tastes (K, L) and shares (K,)."""

    beta: np.ndarray
    shares: np.ndarray


class Sample:
    """Choices drawn from a truth, with what starts are made from."""

    def __init__(self, model: MixedMultinomialLogit, truth: Truth) -> None:
        self.model, self.truth = model, truth
        self.likelihood: MixtureLikelihood = model.likelihood()

    @cached_property
    def pooled(self) -> np.ndarray:
        """Tastes of the logit with one class."""
        return pooled_logit(self.likelihood)

    @cached_property
    def moments(self) -> LatentMoments:
        """Latent moments at the pooled logit."""
        return latent_moments(self.likelihood.table, self.likelihood.weight, self.pooled)

    @property
    def true_start(self) -> Parameters:
        """The truth as a stack of one."""
        gamma = self.likelihood.membership.from_shares(self.truth.shares[None])
        return Parameters(self.truth.beta[None], gamma)

    def solved(self, rng: np.random.Generator) -> dict[str, Parameters]:
        """Moment estimates: the tensor solver's, and the projections' of best likelihood."""
        stack = from_moments(self.likelihood, self.moments, 1 + N_PROJECTIONS, rng)
        out = {"tensor": stack[:1]}
        if len(stack.beta) > 1:
            llf = self.likelihood.expect(stack[1:], information=False).llf
            best = 1 + int(llf.argmax())
            out["projection"] = stack[best : best + 1]
        return out

    def errors(self, found: Parameters) -> tuple[float, float]:
        """Root mean squared error of tastes and shares of the first of a stack."""
        weight = np.exp(with_base(found.gamma[0])[:, 0])
        return matched_errors(self.truth, found.beta[0], weight / weight.sum())


def matched_errors(truth: Truth, beta: np.ndarray, shares: np.ndarray) -> tuple[float, float]:
    """Root mean square over classes of the distances of tastes, and of the errors of shares."""
    square = ((truth.beta[:, None] - beta) ** 2).sum(axis=-1)
    mine, other = linear_sum_assignment(square)
    gap = truth.shares[mine] - shares[other]
    return float(np.sqrt(square[mine, other].mean())), float(np.sqrt((gap**2).mean()))


def atom_errors(
    moments: LatentMoments, truth: Truth, rng: np.random.Generator, solver: str
) -> tuple[float, float]:
    """Errors of tastes and shares of a solver, without a likelihood to choose between atoms."""
    n_classes = len(truth.shares)
    if solver == "tensor":
        atoms = tensor_atoms(moments, n_classes, rng)
    else:
        atoms = projection_atoms(moments, n_classes, rng, N_PROJECTIONS)[0]
    beta = moments.coordinates.tastes(pull_back(atoms, moments.second).theta)
    return matched_errors(truth, beta, atoms.shares)


def draw_truth(
    rng: np.random.Generator, n_classes: int, n_attributes: int, *, orthogonal: bool
) -> Truth:
    """Tastes in random directions, and shares of which none is more than twice another."""
    direction = rng.standard_normal((n_attributes, n_classes))
    if orthogonal:
        direction = np.linalg.qr(direction)[0]
    direction /= np.linalg.norm(direction, axis=0)
    beta = (direction * rng.uniform(*NORM, n_classes)).T
    return Truth(beta, _draw_shares(rng, n_classes))


def _draw_shares(rng: np.random.Generator, n_classes: int) -> np.ndarray:
    """Shares of which none is more than twice another."""
    shares = rng.uniform(1.0, 2.0, n_classes)
    return shares / shares.sum()


def law(exog: np.ndarray, truth: Truth) -> np.ndarray:
    """Probability of each alternative of one table, (p,)."""
    utility = exog @ truth.beta.T
    probability = np.exp(utility - utility.max(axis=0))
    return probability / probability.sum(axis=0) @ truth.shares


def table_sample(rng: np.random.Generator, exog: np.ndarray, truth: Truth, n_draws: int) -> Sample:
    """Draw counts from one table."""
    counts = rng.multinomial(n_draws, law(exog, truth))
    return Sample(MixedMultinomialLogit(counts, exog, len(truth.shares), choices="counts"), truth)


def law_sample(exog: np.ndarray, truth: Truth) -> Sample:
    """One table with the law of the choices for counts, as infinitely many draws would give."""
    ones = np.ones(len(exog), dtype=int)
    sample = Sample(MixedMultinomialLogit(ones, exog, len(truth.shares), choices="counts"), truth)
    data = sample.likelihood.data
    one = sample.likelihood.with_classes(1)
    one.weight = len(exog) * law(data.exog, truth)[data.entries.row]
    sample.likelihood.weight = one.weight
    sample.pooled = maximise(one.evaluate, np.zeros(one.n_params)).x
    return sample


def panel_sample(
    rng: np.random.Generator, truth: Truth, n_individuals: int, n_choices: int, n_alternatives: int
) -> Sample:
    """People who choose repeatedly, from choice sets of Gaussian attributes."""
    n_classes, n_attributes = truth.beta.shape
    n_situations = n_individuals * n_choices
    exog = rng.standard_normal((n_situations, n_alternatives, n_attributes))
    classes = rng.choice(n_classes, n_individuals, p=truth.shares)
    beta = truth.beta[np.repeat(classes, n_choices)]
    utility = (exog * beta[:, None]).sum(axis=-1) + rng.gumbel(size=exog.shape[:2])
    chosen = utility == utility.max(axis=1, keepdims=True)
    situation = np.repeat(np.arange(n_situations), n_alternatives)
    model = MixedMultinomialLogit(
        chosen.ravel().astype(int),
        exog.reshape(-1, n_attributes),
        n_classes,
        situation=situation,
        individual=situation // n_choices,
    )
    return Sample(model, truth)


class InfiniteTable:
    """Moments from draws of N(theta, I): one table of infinitely many Gaussian alternatives.

    Their errors are scaled to those of ``n_scaled`` draws, which may be more than memory holds.
    """

    order = 30

    def __init__(
        self, rng: np.random.Generator, truth: Truth, n_draws: int, n_scaled: float
    ) -> None:
        n_attributes = truth.beta.shape[1]
        base = truth.shares @ truth.beta  # keeps theta small, as the pooled logit does
        self.coordinates = Coordinates(base, np.eye(n_attributes))
        self._shares, self._theta = truth.shares, truth.beta - base
        self._scale = math.sqrt(n_draws / n_scaled)
        classes = rng.choice(len(truth.shares), n_draws, p=truth.shares)
        u = self._theta[classes] + rng.standard_normal((n_draws, n_attributes))
        self._u = u
        self.first = self._scaled(self._shares @ self._theta, u.mean(axis=0))
        exact = (self._theta.T * self._shares) @ self._theta
        self.second = self._scaled(exact, u.T @ u / n_draws - np.eye(n_attributes))

    def _scaled(self, exact: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Moments with an error of the size that is asked for."""
        return exact + self._scale * (found - exact)

    def third(self, basis: np.ndarray) -> np.ndarray:
        """Mean of the triple products of ``basis' theta``."""
        a, theta = self._u @ basis, self._theta @ basis
        exact = np.einsum("k,ka,kb,kc->abc", self._shares, theta, theta, theta)
        found = np.einsum("na,nb,nc->abc", a, a, a, optimize=True) / len(a)
        one = np.multiply.outer(a.mean(axis=0), basis.T @ basis)
        found -= one + one.transpose(1, 0, 2) + one.transpose(2, 1, 0)
        return self._scaled(exact, found)

    def along(self, directions: np.ndarray, n_powers: int) -> Directional:
        """Moments of orders 0 to ``n_powers − 1`` along unit directions."""
        x, node = self._u @ directions.T, self._theta @ directions.T
        power, mixed = np.zeros((n_powers, len(directions))), []
        last, hermite = np.zeros(x.shape), np.ones(x.shape)
        for r in range(n_powers):
            power[r] = hermite.mean(axis=0)
            if r < n_powers // 2:
                found = hermite.T @ self._u / len(x)
                if r:
                    found -= r * power[r - 1][:, None] * directions
                exact = (node**r).T * self._shares @ self._theta
                mixed.append(self._scaled(exact, found))
            last, hermite = hermite, x * hermite - r * last
        exact = np.array([self._shares @ node**r for r in range(n_powers)])
        return Directional(self._scaled(exact, power).T, np.array(mixed).swapaxes(0, 1))


# -- runs and summaries ----------------------------------------------------------------------


def climb(
    sample: Sample,
    start: Parameters,
    *,
    m_step: MStep | None = None,
    tol: float = 1e-3,
    accelerate: bool = False,
    callback: Callable[[int, np.ndarray, np.ndarray, Parameters], None] | None = None,
) -> Run:
    """EM to convergence; plain unless told otherwise, as in the paper."""
    return expectation_maximisation(
        sample.likelihood,
        start,
        maxiter=MAXITER,
        tol=tol,
        m_step=m_step,
        accelerate=accelerate,
        callback=callback,
    )


def settled(sample: Sample, start: Parameters, m_step: MStep | None = None) -> Run:
    """Accelerated EM to a tolerance that tells optima from slow progress.

    On correlated designs runs stop at a tolerance of 0.001 with up to 0.5 still to gain.
    """
    return climb(sample, start, m_step=m_step, tol=1e-7, accelerate=True)


def em_rate(sample: Sample, found: Parameters) -> float:
    """Largest fraction of missing information at the first of a stack, the rate of EM."""
    at = sample.likelihood.evaluate(found[0].flat())
    return 1.0 - float(eigvalsh(-at.hessian, at.complete_information)[0])


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least-squares slope."""
    return float(np.polyfit(x, y, 1)[0])


def draws_needed(n_success: int, n: int) -> float:
    """Starts for 95 per cent success; inf if no start of the sample succeeded."""
    if n_success == 0:
        return math.inf
    return 1.0 if n_success == n else max(1.0, math.log(0.05) / math.log(1 - n_success / n))


def generator(seed: int, *key: int) -> np.random.Generator:
    """Random numbers of one data set."""
    return np.random.default_rng([seed, *key])


# -- rates -----------------------------------------------------------------------------------

RATES_SIZES = tuple(2000 * 2**i for i in range(7))
RATES_K, RATES_L = 3, 5
ESTIMATORS = {
    "tensor": "moments, tensor",
    "projection": "moments, projection",
    "em": "EM from tensor",
    "infinite": "moments, tensor, p infinite",
}


def rates(seed: int, repeats: int) -> Iterator[Row]:
    """Error against the number of draws, with a table that grows as fast."""
    logs: dict[str, list[float]] = {f"{name}_{e}": [] for name in ESTIMATORS for e in "bs"}
    for n in RATES_SIZES:
        found: dict[str, list[float]] = {name: [] for name in logs}
        for i in range(repeats):
            rng = generator(seed, 1, n, i)
            truth = draw_truth(rng, RATES_K, RATES_L, orthogonal=True)
            sample = table_sample(rng, rng.standard_normal((n, RATES_L)), truth, n)
            starts = sample.solved(rng)
            starts["em"] = climb(sample, starts["tensor"]).parameters
            for name, parameters in starts.items():
                for e, error in zip("bs", sample.errors(parameters), strict=True):
                    found[f"{name}_{e}"].append(error)
            moments = InfiniteTable(rng, truth, n, n)
            for e, error in zip("bs", atom_errors(moments, truth, rng, "tensor"), strict=True):
                found[f"infinite_{e}"].append(error)
        for name, errors in found.items():
            logs[name].append(float(np.median(errors)))
        yield {"n": n} | {name: values[-1] for name, values in logs.items()}
    x = np.log(RATES_SIZES)
    for label, last in (("slope", 0), ("upper", len(x) // 2)):
        yield {"n": label} | {name: slope(x[last:], np.log(y[last:])) for name, y in logs.items()}


def draw_rates(rows: list[Row], plt: Any) -> None:
    """Errors on logarithmic axes, with the slope of a half."""
    fitted, points = rows[-2], rows[:-2]
    n = np.array([row["n"] for row in points])
    axes = plt.subplots(1, 2, figsize=(8.2, 4.0))[1]
    for axis, e, what in zip(axes, "bs", ("tastes, utils per s.d.", "shares"), strict=True):
        for i, (name, label) in enumerate(ESTIMATORS.items()):
            y = [row[f"{name}_{e}"] for row in points]
            text = f"{label} (slope {fitted[f'{name}_{e}']:.2f})".replace("-", "−")
            axis.loglog(n, y, label=text, **style(i))
        middle = points[0][f"em_{e}"] * 0.7
        axis.loglog(n, middle * (n / n[0]) ** -0.5, color="0.5", lw=1, ls=":", label="slope −0.5")
        axis.set_ylim(bottom=axis.get_ylim()[0] / 5)  # room for the legend
        axis.set_xlabel("draws N = alternatives p")
        axis.set_ylabel(f"r.m.s. error of {what}")
        axis.legend(fontsize=7.5, loc="lower left")


# -- em --------------------------------------------------------------------------------------

EM_TABLE = {"n_rows": 20_000, "n_attributes": 10}
EM_PANEL = {"n_individuals": 1000, "n_choices": 8, "n_alternatives": 5}
EM_K = (2, 3, 4, 5, 6)
EM_RANDOM = 4  # starts of each random kind
EM_KINDS = ("truth", "tensor", "projection", "partition", "noise")


def em(seed: int, repeats: int) -> Iterator[Row]:
    """EM from each kind of start."""
    n_attributes = EM_TABLE["n_attributes"]
    for layout in ("table", "panel"):
        for n_classes in EM_K:
            tally: dict[str, list[list[float]]] = {kind: [] for kind in EM_KINDS}
            for i in range(repeats):
                rng = generator(seed, 2, layout == "panel", n_classes, i)
                truth = draw_truth(rng, n_classes, n_attributes, orthogonal=False)
                if layout == "table":
                    n = EM_TABLE["n_rows"]
                    sample = table_sample(rng, rng.standard_normal((n, n_attributes)), truth, n)
                else:
                    sample = panel_sample(rng, truth, **EM_PANEL)
                stacks = {"truth": sample.true_start} | sample.solved(rng)
                for kind, make in (("partition", partitions), ("noise", noise)):
                    stacks[kind] = make(sample.likelihood, sample.pooled, EM_RANDOM, rng)
                for kind, outcome in compare(sample, stacks).items():
                    tally[kind] += outcome
            for kind, outcomes in tally.items():
                if outcomes:
                    success, n_iter, before, after = np.transpose(outcomes)
                    yield {
                        "layout": layout,
                        "K": n_classes,
                        "start": kind,
                        "before": float(np.median(before)),
                        "after": float(np.median(after)),
                        "n_iter": float(np.median(n_iter)),
                        "success": float(success.mean()),
                    }


def compare(sample: Sample, stacks: dict[str, Parameters]) -> dict[str, list[list[float]]]:
    """EM from all starts: success, iterations, error before and after, of each by kind."""
    kinds = [kind for kind, stack in stacks.items() for _ in stack.beta]
    start = Parameters.stack(list(stacks.values()))
    run = climb(sample, start)
    value = settled(sample, run.parameters).value
    best = value.max()
    out: dict[str, list[list[float]]] = {kind: [] for kind in stacks}
    for i, kind in enumerate(kinds):
        errors = [sample.errors(one[i : i + 1])[0] for one in (start, run.parameters)]
        out[kind].append([value[i] > best - SUCCESS, run.n_iter[i], *errors])
    return out


def draw_em(rows: list[Row], plt: Any) -> None:
    """Success and iterations against the number of classes."""
    labels = {
        "truth": "truth",
        "tensor": "moments, tensor",
        "projection": "moments, projection",
        "partition": "a random partition",
        "noise": "noise in all of R$^L$",
    }
    axes = plt.subplots(2, 2, figsize=(7.2, 4.9), sharex=True)[1]
    for row_of_axes, layout in zip(axes.T, ("table", "panel"), strict=True):
        for i, kind in enumerate(EM_KINDS):
            own = [row for row in rows if row["layout"] == layout and row["start"] == kind]
            x = [row["K"] + 0.07 * (i - 2) for row in own]  # so that equal values show
            row_of_axes[0].plot(
                x, [100 * r["success"] for r in own], label=labels[kind], **style(i)
            )
            row_of_axes[1].semilogy(x, [r["n_iter"] for r in own], **style(i))
        title = "one table of 20,000 alternatives" if layout == "table" else "panel, 1,000 × 8 × 5"
        row_of_axes[0].set_title(title, fontsize=10)
        row_of_axes[0].set_ylim(-3, 103)
        ticks(row_of_axes[1], 1, 2, 5, 10, 20, 50, 100, 200)
        row_of_axes[1].set_xlabel("classes K")
        row_of_axes[1].set_xticks(EM_K)
    axes[0, 0].set_ylabel("reach the best optimum, %")
    axes[1, 0].set_ylabel("EM iterations, median")
    axes[0, 0].legend(fontsize=7.5, title="EM from", title_fontsize=8)


# -- classes ---------------------------------------------------------------------------------

CLASSES_K = (2, 3, 4, 5, 6)
CLASSES_L = 10
CLASSES_N = 100_000
SOURCES = {
    "table": "p = N = 100,000",
    "design": "p = 100,000, N infinite",
    "draws": "p infinite, N = 100,000",
    "many": "p infinite, N = 10¹²",
}
MANY = 1e12
SATURATED = 1.0
SOLVERS = ("tensor", "projection")


def classes(seed: int, repeats: int) -> Iterator[Row]:
    """Error of the moments against the number of classes, by source of the noise."""
    for source in SOURCES:
        medians: dict[str, list[float]] = {name: [] for name in SOLVERS}
        for n_classes in CLASSES_K:
            found: dict[str, list[float]] = {name: [] for name in SOLVERS}
            for i in range(repeats):
                rng = generator(seed, 3, n_classes, i)
                truth = draw_truth(rng, n_classes, CLASSES_L, orthogonal=True)
                moments = _moments_from(source, rng, truth)
                for name in SOLVERS:
                    found[name].append(atom_errors(moments, truth, rng, name)[0])
            for name in SOLVERS:
                medians[name].append(float(np.median(found[name])))
            yield {"source": source, "K": n_classes} | {n: y[-1] for n, y in medians.items()}
        yield {"source": source, "K": "growth"} | {n: _growth(y) for n, y in medians.items()}


def _growth(errors: list[float]) -> float:
    """Factor of the error per class; errors as large as the tastes themselves say no more."""
    n = sum(error < SATURATED for error in errors)
    return math.exp(slope(CLASSES_K[:n], np.log(errors[:n])))


def _moments_from(source: str, rng: np.random.Generator, truth: Truth) -> LatentMoments:
    """Moments with noise of the draws, of the design, or of both."""
    if source in ("draws", "many"):
        n_scaled = CLASSES_N if source == "draws" else MANY
        return InfiniteTable(rng, truth, CLASSES_N, n_scaled)
    exog = rng.standard_normal((CLASSES_N, CLASSES_L))
    if source == "design":
        return law_sample(exog, truth).moments
    return table_sample(rng, exog, truth, CLASSES_N).moments


def draw_classes(rows: list[Row], plt: Any) -> None:
    """Error against K on a logarithmic axis, a panel for each source of noise."""
    axes = plt.subplots(1, 4, figsize=(10.4, 3.3), sharey=True)[1]
    for axis, (source, title) in zip(axes, SOURCES.items(), strict=True):
        *own, growth = [row for row in rows if row["source"] == source]
        for i, name in enumerate(SOLVERS):
            text = f"{name} (× {growth[name]:.2f} per class)"
            axis.semilogy(CLASSES_K, [row[name] for row in own], label=text, **style(i))
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("classes K")
        axis.set_xticks(CLASSES_K)
        axis.legend(fontsize=7.5, loc="upper left")
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(low, high * 50)  # room for the legends
    axes[0].set_ylabel("r.m.s. error of tastes, utils per s.d.")


# -- subspace --------------------------------------------------------------------------------

SUBSPACE_N = 5000
SUBSPACE_PANEL = {"n_individuals": 500, "n_choices": 8, "n_alternatives": 5}
SUBSPACE_STARTS = 20  # of each kind and data set
SUBSPACE_CASES = (
    *(("table", n_classes, 10) for n_classes in (2, 4, 6, 8)),
    *(("panel", n_classes, 10) for n_classes in (2, 4, 6, 8)),
    *(("panel", 4, n_attributes) for n_attributes in (5, 20, 40)),
)
DRAWS = {
    "subspace": "subspace",
    "space": "R$^L$, same total variance",
    "noise": "R$^L$, noise around one logit",
    "partition": "random partition",
}


def in_space(
    sample: Sample, moments: LatentMoments, n: int, rng: np.random.Generator
) -> Parameters:
    """Normal draws in all of R^L with the total variance of the atoms: a fair rival."""
    value = np.linalg.eigvalsh(moments.second - np.outer(moments.first, moments.first))
    n_classes, n_dimensions = sample.likelihood.n_classes, len(value)
    width = math.sqrt(max(value[-(n_classes - 1) :].sum(), 0.0) / n_dimensions)
    theta = moments.first + width * rng.standard_normal((n, n_classes, n_dimensions))
    gamma = sample.likelihood.membership.from_shares(np.full((n, n_classes), 1 / n_classes))
    return Parameters(moments.coordinates.tastes(theta), gamma)


def subspace_draws(seed: int, repeats: int) -> Iterator[Row]:
    """Success of single draws in the subspace and in R^L."""
    for layout, n_classes, n_attributes in SUBSPACE_CASES:
        wins: dict[str, list[float]] = {kind: [] for kind in DRAWS}
        for i in range(repeats):
            rng = generator(seed, 4, layout == "panel", n_classes, n_attributes, i)
            truth = draw_truth(rng, n_classes, n_attributes, orthogonal=False)
            if layout == "table":
                exog = rng.standard_normal((SUBSPACE_N, n_attributes))
                sample = table_sample(rng, exog, truth, SUBSPACE_N)
            else:
                sample = panel_sample(rng, truth, **SUBSPACE_PANEL)
            likelihood, pooled, n = sample.likelihood, sample.pooled, SUBSPACE_STARTS
            stacks = {
                "truth": sample.true_start,
                "subspace": in_subspace(likelihood, sample.moments, n, rng),
                "space": in_space(sample, sample.moments, n, rng),
                "noise": noise(likelihood, axes_of_one(likelihood), pooled, n, rng),
                "partition": partitions(likelihood, axes_of_one(likelihood), pooled, n, rng),
            }
            step = _m_step(sample, "information", 1.0)  # curvature at L = 40 takes minutes
            start = Parameters.stack(list(stacks.values()))
            run = settled(sample, start, step)
            is_best = (run.value > run.value.max() - SUCCESS)[1:].reshape(len(DRAWS), n)
            for kind, own in zip(DRAWS, is_best, strict=True):
                wins[kind] += own.tolist()
        row: Row = {"layout": layout, "K": n_classes, "L": n_attributes}
        for kind, won in wins.items():
            row[kind] = float(np.mean(won))
            row[f"{kind}_n"] = draws_needed(int(np.sum(won)), len(won))
        yield row


def draw_subspace(rows: list[Row], plt: Any) -> None:
    """Draws needed against K and against L; kinds that never succeed are left out."""
    axes = plt.subplots(1, 3, figsize=(9.6, 3.6), sharey=True)[1]
    panels = (("table", "L", 10, "K"), ("panel", "L", 10, "K"), ("panel", "K", 4, "L"))
    for axis, (layout, fixed, value, varies) in zip(axes, panels, strict=True):
        own = [row for row in rows if row["layout"] == layout and row[fixed] == value]
        own.sort(key=lambda row: row[varies])
        place = np.arange(len(own))
        for i, (kind, label) in enumerate(DRAWS.items()):
            y = [row[f"{kind}_n"] for row in own]
            axis.semilogy(place + 0.06 * (i - 1.5), y, label=label, **style(i))
        axis.set_xticks(place, [str(row[varies]) for row in own])
        axis.set_xlabel("classes K" if varies == "K" else "attributes L")
        axis.set_title(f"{layout}, {fixed} = {value}", fontsize=10)
    ticks(axes[0], 1, 2, 5, 10, 20, 50, 100, 200)
    axes[0].set_ylabel("starts for 95 % success")
    axes[0].legend(fontsize=7.5, loc="upper left")


# -- separation ------------------------------------------------------------------------------

SEPARATIONS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
SEPARATION_N, SEPARATION_K, SEPARATION_L = 8000, 3, 5


def separation(seed: int, repeats: int) -> Iterator[Row]:
    """Errors, success and rate of EM as the classes move apart."""
    for step, scale in enumerate(SEPARATIONS):
        outcomes = []
        for i in range(repeats):
            rng = generator(seed, 5, step, i)
            unit = np.linalg.qr(rng.standard_normal((SEPARATION_L, SEPARATION_K)))[0].T
            truth = Truth(scale * unit, _draw_shares(rng, SEPARATION_K))
            exog = rng.standard_normal((SEPARATION_N, SEPARATION_L))
            sample = table_sample(rng, exog, truth, SEPARATION_N)
            start = sample.solved(rng)["tensor"]
            rest = partitions(
                sample.likelihood, axes_of_one(sample.likelihood), sample.pooled, 4, rng
            )
            run = climb(sample, Parameters.stack([start, sample.true_start, rest]))
            is_best = run.value > run.value.max() - SUCCESS
            best = int(run.value.argmax())
            outcomes.append(
                [
                    sample.errors(start)[0],
                    sample.errors(run.parameters[:1])[0],
                    sample.errors(run.parameters[1:2])[0],
                    is_best[0],
                    is_best[2:].mean(),
                    run.n_iter[0],
                    em_rate(sample, run.parameters[best : best + 1]),
                ]
            )
        names = ("moments", "em", "truth", "success", "partition", "n_iter", "rate")
        row: Row = {"scale": scale}
        for name, values in zip(names, np.transpose(outcomes), strict=True):
            fold = np.mean if name in ("success", "partition") else np.median
            row[name] = float(fold(values))
        yield row


def draw_separation(rows: list[Row], plt: Any) -> None:
    """Errors, success, and what EM leaves per iteration."""
    axes = plt.subplots(1, 3, figsize=(9.6, 3.3))[1]
    x = [row["scale"] for row in rows]
    errors = {"moments": "moments, tensor", "em": "EM from moments", "truth": "EM from the truth"}
    for i, (name, label) in enumerate(errors.items()):
        axes[0].semilogy(x, [row[name] for row in rows], label=label, **style(i))
    axes[0].set_ylabel("r.m.s. error of tastes, utils per s.d.")
    for i, (name, label) in enumerate(
        {"success": "EM from moments", "partition": "EM from a random partition"}.items(), start=1
    ):
        y = [100 * row[name] for row in rows]
        axes[1].plot(x, y, label=label, **style(i if i == 1 else 3))
    axes[1].set_ylabel("reach the best optimum, %")
    axes[1].set_ylim(-3, 103)
    axes[2].semilogy(x, [row["n_iter"] for row in rows], **style(1))
    axes[2].set_ylabel("EM iterations from moments, median")
    ticks(axes[2], 5, 10, 20, 50, 100, 200, 500, 1000)
    for axis in axes:
        axis.set_xlabel("norm of the tastes, utils per s.d.")
    axes[0].legend(fontsize=7.5)
    axes[1].legend(fontsize=7.5)


# -- designs ---------------------------------------------------------------------------------

DESIGN_N, DESIGN_L, DESIGN_K = 5000, 6, 4
DESIGN_NORM = 1.0  # heavy tails times more would give all choices to one alternative
DESIGN_STARTS = 4  # of each random kind
DESIGN_FITS = 2  # data sets on which the default fit runs as well
DESIGN_KINDS = ("tensor", "projection", "k-means", "subspace", "partition", "noise")
DESIGNS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "Gaussian": lambda rng, size: rng.standard_normal(size),
    "correlated Gaussian": lambda rng, size: (
        rng.standard_normal(size) + 1.5 * rng.standard_normal((size[0], 1))
    ),
    "uniform": lambda rng, size: rng.uniform(-1, 1, size),
    "two levels": lambda rng, size: rng.choice([-1.0, 1.0], size),
    "Laplace": lambda rng, size: rng.laplace(size=size),
    "t, 5 d.f.": lambda rng, size: rng.standard_t(5, size),
    "exponential": lambda rng, size: rng.exponential(size=size),
}


def designs(seed: int, repeats: int) -> Iterator[Row]:
    """Moments and starts on designs that are not Gaussian."""
    for number, (name, draw) in enumerate(DESIGNS.items()):
        shape, before, floor = [], [], []
        wins: dict[str, list[float]] = {kind: [] for kind in (*DESIGN_KINDS, "fit")}
        for i in range(repeats):
            rng = generator(seed, 6, number, i)
            exog = draw(rng, (DESIGN_N, DESIGN_L))
            exog = (exog - exog.mean(axis=0)) / exog.std(axis=0)
            unit = np.linalg.qr(rng.standard_normal((DESIGN_L, DESIGN_K)))[0].T
            truth = Truth(DESIGN_NORM * unit, _draw_shares(rng, DESIGN_K))
            sample = table_sample(rng, exog, truth, DESIGN_N)
            likelihood, pooled, n = sample.likelihood, sample.pooled, DESIGN_STARTS
            found = design_gaussianity(likelihood.table, pooled)
            shape.append([found.skewness, found.excess_kurtosis])
            stacks = {
                "truth": sample.true_start,
                **sample.solved(rng),
                "k-means": clusters(likelihood, axes_of_one(likelihood), pooled, n, rng),
                "subspace": in_subspace(likelihood, sample.moments, n, rng),
                "partition": partitions(likelihood, axes_of_one(likelihood), pooled, n, rng),
                "noise": noise(likelihood, axes_of_one(likelihood), pooled, n, rng),
            }
            kinds = np.array([kind for kind, one in stacks.items() for _ in one.beta])
            run = settled(sample, Parameters.stack(list(stacks.values())))
            best = run.value.max()
            if i < DESIGN_FITS:
                llf = sample.model.fit(rng=0).llf
                best = max(best, llf)
                wins["fit"].append(float(llf > best - SUCCESS))
            for kind in DESIGN_KINDS:
                wins[kind] += (run.value[kinds == kind] > best - SUCCESS).tolist()
            before.append([sample.errors(stacks[k])[0] for k in ("tensor", "projection")])
            floor.append(sample.errors(run.parameters[:1])[0])
        skewness, kurtosis = np.median(shape, axis=0)
        tensor, projection = np.median(before, axis=0)
        yield {
            "design": name,
            "skewness": skewness,
            "kurtosis": kurtosis,
            "tensor_error": tensor,
            "projection_error": projection,
            "truth_error": float(np.median(floor)),
        } | {kind: float(np.mean(won)) for kind, won in wins.items()}


def draw_designs(rows: list[Row], plt: Any) -> None:
    """Errors of the moments, and success of the starts, by design."""
    axes = plt.subplots(1, 2, figsize=(9.2, 4.2), sharey=True)[1]
    place = np.arange(len(rows))[::-1]
    errors = {
        "tensor_error": "moments, tensor",
        "projection_error": "moments, projection",
        "truth_error": "EM from the truth",
    }
    for i, (name, label) in enumerate(errors.items()):
        look = style(i) | {"ls": "none"}
        axes[0].plot([row[name] for row in rows], place, label=label, **look)
    axes[0].set_xscale("log")
    sizes = (0.1, 0.2, 0.5, 1, 2, 5, 10)
    axes[0].set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes[0].set_xticks([], minor=True)
    axes[0].set_xlabel("r.m.s. error of tastes, utils per s.d.")
    axes[0].set_yticks(place, [row["design"] for row in rows])
    kinds = ("tensor", "projection", "k-means", "subspace", "partition", "noise")
    for i, kind in enumerate(kinds):
        look = style(i) | {"ls": "none"}
        shift = 0.1 * (i - 2.5)  # so that equal rates do not hide each other
        axes[1].plot([100 * row[kind] for row in rows], place - shift, label=kind, **look)
    axes[1].set_xlabel("EM reaches the best optimum, %")
    axes[1].set_xlim(-4, 104)
    for axis in axes:
        axis.grid(axis="y", color="0.9")
    below = {"fontsize": 8, "loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncol": 3}
    axes[0].legend(**below)
    axes[1].legend(**below, title="EM from one start of the kind", title_fontsize=8)


# -- steps -----------------------------------------------------------------------------------

STEPS_N, STEPS_K = 5000, 3
STEPS_PANEL = {"n_individuals": 500, "n_choices": 8, "n_alternatives": 5}
STEPS_CASES = (*(("table", n) for n in (10, 20, 50, 100)), ("panel", 10))
SIZES = (0.25, 0.5, 1.0, 1.5, 1.9)
STEPS_TOL = 1e-6


def steps(seed: int, repeats: int) -> Iterator[Row]:
    """First-order M-steps of several sizes against Newton's, from one random partition."""
    for layout, n_attributes in STEPS_CASES:
        samples = []
        for i in range(repeats):
            rng = generator(seed, 7, layout == "panel", n_attributes, i)
            truth = draw_truth(rng, STEPS_K, n_attributes, orthogonal=True)
            if layout == "table":
                exog = rng.standard_normal((STEPS_N, n_attributes))
                sample = table_sample(rng, exog, truth, STEPS_N)
            else:
                sample = panel_sample(rng, truth, **STEPS_PANEL)
            samples.append(
                (
                    sample,
                    partitions(
                        sample.likelihood, axes_of_one(sample.likelihood), sample.pooled, 1, rng
                    ),
                )
            )
        best = np.full(repeats, -np.inf)
        rows = []
        for kind, size in (
            ("Newton", 1.0),
            *((k, s) for k in ("design", "information") for s in SIZES),
        ):
            for accelerate in (False, True):
                outcomes = []
                for i, (sample, start) in enumerate(samples):
                    outcome = _timed(sample, start, _m_step(sample, kind, size), accelerate)
                    best[i] = max(best[i], outcome[-1])
                    outcomes.append(outcome)
                rows.append((kind, size, accelerate, np.array(outcomes)))
        for kind, size, accelerate, found in rows:
            n_iter, back, seconds = np.median(found[:, :3], axis=0)
            yield {
                "layout": layout,
                "L": n_attributes,
                "step": kind,
                "size": size,
                "accelerated": "yes" if accelerate else "no",
                "n_iter": n_iter,
                "back": back,
                "seconds": seconds,
                "unfinished": int((found[:, 3] == 0).sum()),
                "other": int((found[:, 4] < best - SUCCESS).sum()),
            }


def _m_step(sample: Sample, kind: str, size: float) -> MStep:
    """Newton's step, or a first-order one."""
    if kind == "Newton":
        return NewtonStep()
    if kind == "design":
        return WhitenedStep(sample.likelihood.data.exog_covariance, size)
    one = sample.likelihood.with_classes(1)
    n_choices = float(one.data.choices_per_individual @ one.weight)
    return WhitenedStep(-one.evaluate(sample.pooled).hessian / n_choices, size)


def _timed(sample: Sample, start: Parameters, m_step: MStep, accelerate: bool) -> list[float]:
    """Iterations, steps taken back, seconds, whether it converged, and log-likelihood."""
    values: list[float] = []
    began = time.perf_counter()
    run = climb(
        sample,
        start,
        m_step=m_step,
        tol=STEPS_TOL,
        accelerate=accelerate,
        callback=lambda iteration, value, mass, here: values.append(float(value[0])),
    )
    seconds = time.perf_counter() - began
    back = sum(a == b for a, b in pairwise(values))
    return [run.n_iter[0], back, seconds, float(run.converged[0]), run.value[0]]


def draw_steps(rows: list[Row], plt: Any) -> None:
    """Iterations against the size of the step, a panel per L, and seconds against L."""
    cases = [case for case in STEPS_CASES if case != ("table", 20)]
    figure, axes = plt.subplots(1, len(cases), figsize=(10.0, 3.6), sharey=True)
    for axis, (layout, n_attributes) in zip(axes, cases, strict=True):
        own = [row for row in rows if (row["layout"], row["L"]) == (layout, n_attributes)]
        for i, kind in enumerate(("design", "information")):
            for accelerated in ("no", "yes"):
                line = [
                    row for row in own if (row["step"], row["accelerated"]) == (kind, accelerated)
                ]
                look = style(i) | {"ls": "-" if accelerated == "no" else "--"}
                text = kind + (", extrapolated" if accelerated == "yes" else "")
                axis.semilogy(SIZES, [row["n_iter"] for row in line], label=text, **look)
        for accelerated, dashes in (("no", "-"), ("yes", "--")):
            newton = next(
                r for r in own if (r["step"], r["accelerated"]) == ("Newton", accelerated)
            )
            text = "Newton" + (", extrapolated" if accelerated == "yes" else "")
            axis.axhline(newton["n_iter"], color="0.4", lw=1, ls=dashes, label=text)
        axis.set_title(f"{layout}, L = {n_attributes}", fontsize=10)
        axis.set_xlabel("size of the step")
        axis.set_xticks(SIZES, [f"{size:g}" for size in SIZES], fontsize=8)
    ticks(axes[0], 10, 20, 50, 100, 200, 500, 1000)
    axes[0].set_ylabel("EM iterations, median")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, ncol=6, loc="outside lower center", handlelength=3)


# -- program ---------------------------------------------------------------------------------

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe & Ito
MARKERS = "osD^vP"


def style(i: int) -> dict[str, Any]:
    """Colour and marker of a line; the markers tell lines apart without colour."""
    return {"color": COLOURS[i], "marker": MARKERS[i], "ms": 5, "lw": 1.5}


ERROR = "root mean square over classes of the distance of tastes, median over data sets"


def ticks(axis: Any, *values: float) -> None:
    """Plain numbers on a logarithmic axis."""
    low, high = axis.get_ylim()
    axis.set_yticks(values, [f"{value:g}" for value in values])
    axis.minorticks_off()
    axis.set_ylim(low, high)


STUDIES = {
    "rates": Study(
        "Error of the moments as draws and alternatives grow together",
        f"Gaussian table, p = N, K = {RATES_K}, L = {RATES_L}, orthogonal tastes of norm 1.5–2",
        (
            Column(
                "n",
                "7",
                "draws and alternatives; slope: of log error on log N; upper: of the last four",
            ),
            Column("tensor_b", "10.4f", f"tastes by the tensor solver: {ERROR}"),
            Column("projection_b", "13.4f", "the same, best likelihood of 10 projections"),
            Column("em_b", "8.4f", "the same, EM from the tensor solver's"),
            Column("infinite_b", "11.4f", "tensor, exactly Gaussian: draws of N(theta, I)"),
            Column("tensor_s", "10.4f", "shares: root mean squared error, median"),
            Column("projection_s", "13.4f", "the same, projections"),
            Column("em_s", "8.4f", "the same, EM"),
            Column("infinite_s", "11.4f", "tensor, exactly Gaussian"),
        ),
        rates,
        draw_rates,
        repeats=48,
    ),
    "em": Study(
        "EM from the moments, from the truth and from random starts",
        "tables with p = N = 20,000; panels of 1,000 people × 8 choices × 5 alternatives; "
        "Gaussian, L = 10, tastes of norm 1.5–2 in random directions; plain EM",
        (
            Column("layout", "6", "of the data"),
            Column("K", "3d", "classes"),
            Column("start", "<11", f"random kinds: {EM_RANDOM} single starts per data set"),
            Column("before", "8.3f", f"error of the start: {ERROR}"),
            Column("after", "8.3f", "error after EM"),
            Column("n_iter", "8.1f", "iterations, median"),
            Column(
                "success",
                "9.0%",
                "within 0.01 of the best log-likelihood of any start, once settled",
            ),
        ),
        em,
        draw_em,
        repeats=4,
    ),
    "classes": Study(
        "Error of the two solvers as classes are added",
        f"Gaussian design, L = {CLASSES_L}, orthogonal tastes of norm 1.5–2",
        (
            Column("source", "<8", "; ".join(f"{k}: {v}" for k, v in SOURCES.items())),
            Column("K", "7", "classes; growth: factor of the error per class, fitted below 1"),
            Column("tensor", "9.1e", ERROR),
            Column("projection", "11.1e", "the same, the direction that separates best of 10"),
        ),
        classes,
        draw_classes,
        repeats=24,
    ),
    "subspace": Study(
        "Draws in the subspace of the moments against draws in R^L",
        f"tables with p = N = {SUBSPACE_N:,}; panels of 500 people × 8 choices × 5 alternatives; "
        "Gaussian, tastes of norm 1.5–2 in random directions; "
        f"{SUBSPACE_STARTS} starts of each kind per data set",
        (
            Column("layout", "6", "of the data"),
            Column("K", "3d", "classes"),
            Column("L", "4d", "attributes"),
            *(
                column
                for kind, label in DRAWS.items()
                for column in (
                    Column(kind, "10.0%", f"success of one start, {label.replace('$', '')}"),
                    Column(f"{kind}_n", "12.1f", "starts for 95 per cent success"),
                )
            ),
        ),
        subspace_draws,
        draw_subspace,
        repeats=3,
    ),
    "separation": Study(
        "From no difference between the classes to a large one",
        f"Gaussian tables, p = N = {SEPARATION_N:,}, K = {SEPARATION_K}, L = {SEPARATION_L}, "
        "orthogonal tastes of one norm; plain EM",
        (
            Column("scale", "6.2f", "norm of the tastes; classes are this times 1.41 apart"),
            Column("moments", "9.3f", f"tensor solver: {ERROR}"),
            Column("em", "7.3f", "the same, EM from there"),
            Column("truth", "7.3f", "the same, EM from the truth"),
            Column("success", "9.0%", "EM from moments within 0.01 of the best of any start"),
            Column("partition", "11.0%", "the same, EM from one random partition"),
            Column("n_iter", "8.1f", f"iterations from moments, median (at most {MAXITER})"),
            Column("rate", "8.4f", "rate of EM at the best optimum, median"),
        ),
        separation,
        draw_separation,
        repeats=6,
    ),
    "designs": Study(
        "Designs that are not Gaussian",
        f"tables, p = N = {DESIGN_N:,}, K = {DESIGN_K}, L = {DESIGN_L}, attributes of unit "
        f"variance, orthogonal tastes of norm {DESIGN_NORM:g}",
        (
            Column("design", "<20", "law of the attributes"),
            Column("skewness", "9.2f", "of the whitened design at the pooled logit, median"),
            Column("kurtosis", "9.2f", "excess, of the same"),
            Column("tensor_error", "13.3f", f"moments: {ERROR}"),
            Column("projection_error", "17.3f", "the same, best of 10 projections"),
            Column("truth_error", "12.3f", "the same, EM from the truth"),
            *(
                Column(kind, f"{len(kind) + 3}.0%", "success of EM from one such start")
                for kind in DESIGN_KINDS
            ),
            Column("fit", "6.0%", f"success of fit(rng=0), first {DESIGN_FITS} data sets"),
        ),
        designs,
        draw_designs,
        repeats=3,
    ),
    "steps": Study(
        "First-order M-steps against Newton's",
        f"tables with p = N = {STEPS_N:,}; panels of 500 people × 8 choices × 5 alternatives; "
        f"Gaussian, K = {STEPS_K}, orthogonal tastes of norm 1.5–2; from one random partition, "
        f"tolerance {STEPS_TOL:g}, at most {MAXITER} iterations",
        (
            Column("layout", "6", "of the data"),
            Column("L", "4d", "attributes"),
            Column("step", "<12", "Newton's, or by the covariance that preconditions"),
            Column("size", "5.2f", "of the step"),
            Column("accelerated", "12", "whether steps are extrapolated (Anderson)"),
            Column("n_iter", "8.1f", "iterations, median"),
            Column("back", "6.1f", "of them with the step taken back, median"),
            Column("seconds", "9.3f", "median"),
            Column("unfinished", "11d", "runs out of iterations"),
            Column("other", "6d", "runs that end at another optimum than the best of the rows"),
        ),
        steps,
        draw_steps,
        repeats=3,
    ),
}


def _cell(value: Any, form: str) -> str:
    """One value in the width of its column; text stands where a number would."""
    if isinstance(value, str) and form[-1] in "def%":
        form = form.split(".")[0].rstrip("def%")
    elif isinstance(value, float) and math.isinf(value):
        return format("none", ">" + form.split(".")[0])
    side = "" if form[0] in "<>" or form[-1] in "def%" else ">"
    return format(value, side + form)


def tabulate(study: Study, seed: int, repeats: int) -> list[Row]:
    """Print a study row by row."""
    print(f"{study.about}\n{study.sizes}; {repeats} data sets, seed {seed}\n")
    for column in study.columns:
        print(f"  {column.name}: {column.meaning}")
    print("\n" + " ".join(_cell(c.name, c.form) for c in study.columns))
    rows = []
    for row in study.rows(seed, repeats):
        rows.append(row)
        print(" ".join(_cell(row[c.name], c.form) for c in study.columns), flush=True)
    return rows


def save_figure(study: Study, rows: list[Row], path: Path) -> None:
    """Draw the figure of a study."""
    import matplotlib  # an optional extra

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    look = {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    with plt.rc_context({"font.size": 9, "figure.constrained_layout.use": True, **look}):
        study.draw(rows, plt)
        plt.savefig(path, dpi=150)
        plt.close("all")


def main() -> None:
    """Run one study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="study", required=True)
    for name, study in STUDIES.items():
        command = commands.add_parser(name, help=study.about)
        command.add_argument("--repeats", type=int, default=study.repeats, help="data sets")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--figure", type=Path, help="PNG to draw")
    args = parser.parse_args()
    study = STUDIES[args.study]
    warnings.simplefilter("ignore", ConvergenceWarning)
    began = time.perf_counter()
    with threadpool_limits(1, user_api="blas"):  # as fit does: the products are small
        rows = tabulate(study, args.seed, args.repeats)
    print(f"\n{time.perf_counter() - began:.0f} seconds")
    if args.figure:
        save_figure(study, rows, args.figure)


if __name__ == "__main__":
    main()
