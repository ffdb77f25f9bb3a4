"""The search for the global optimum: a pool of starts of every kind, a race, and improvements.

Candidates of several kinds run together for a few EM iterations, their coefficient columns side
by side; the better ones go on. Most begin with two classes too many and lose the least needed
ones on the way: a mixture with classes to spare has fewer local maxima. What wins is improved on
by splitting and removing classes until nothing better is found.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from mixlogit.axes import Axes
from mixlogit.candidates import (
    clusters,
    from_moments,
    in_subspace,
    noise,
    partitions,
)
from mixlogit.em import Climb, MStep, NewtonStep, Run, WhitenedStep, WideStep
from mixlogit.errors import ArgumentError, IdentificationError
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.moments import LatentMoments, latent_moments
from mixlogit.optima import Optimum
from mixlogit.pooled import axes_of_one, information_of_one, pooled_logit
from mixlogit.race import SAME_OPTIMUM, race
from mixlogit.split_merge import improve, shrink

__all__ = ["INITS", "Search", "choose_m_step", "search"]

INITS = ("auto", "moments", "subspace", "random")
DEFAULT_STARTS = 8
_SAMPLE, _SAMPLE_PER_PARAMETER = 500, 25  # individuals that the search begins with, at least
_GROWTH = 3
_CARRIED = 4  # distinct optima of a sample that are carried on to a larger one
# On a sample, where classes may diverge for ever: EM iterations of one mixture, difference of
# log-likelihoods that belong to one optimum, and rounds of splits and removals.
_SAMPLE_MAXITER, _SAMPLE_SAME, _SAMPLE_ROUNDS = 50, 0.5, 4
_SURPLUS = 2  # classes that most candidates have to spare at first
_SHRINK = (5, 3)  # EM iterations before the first removal, and after each
_RUNG = 5  # EM iterations before the finalists go on
_FINALISTS = 4
_FARTHEST = 10.0  # standard deviations of utility along an axis: where a start may lie
_NO_MOMENTS = (
    "init='moments' needs three choices or more by most individuals, or one table of alternatives "
    "with counts. Use init='auto', or pass individual= if people chose repeatedly."
)
_FEW_ORDERS, _ORDERS = 3, 6  # classes whose every order is tried; random orders beyond
_WIDE = 32  # attributes from which curvature is dear, and serves for several iterations
_REFRESH = 5  # iterations for which a curvature then serves
_VERY_WIDE, _LONG_REFRESH = 200, 15  # the same where curvature is much dearer still
_ROOM = 1 << 26  # bytes of information that a search may hold, however small the table
_KINDS = (  # of candidates, in the order in which they are added as n_starts grows
    *("moments", "k-means", "subspace", "partition"),
    *("k-means", "moments", "k-means", "subspace"),
)


@dataclass(frozen=True, eq=False)
class Search:
    """What the search for starts found.

    Parameters
    ----------
    run : Run
        The starts that reached the last lap, best first.
    origin : tuple of str
        The kind of each.
    n_candidates : int
        Candidates that were tried.
    n_candidate_iterations : int
        EM iterations of all candidates together; those on a sample of the individuals, or with
        more classes, in proportion.
    moments : Parameters or None
        The estimate by the method of moments, before any EM; None where no solver applies.
    """

    run: Run
    origin: tuple[str, ...]
    n_candidates: int
    n_candidate_iterations: int
    moments: Parameters | None = None

    def table(
        self, likelihood: MixtureLikelihood, best_value: float, number: np.ndarray
    ) -> pd.DataFrame:
        """One row per start of the last lap, best first.

        Parameters
        ----------
        likelihood : MixtureLikelihood
        best_value : float
            What the best one reached in the end, less the penalty if there is one.
        number : ndarray of int, shape (G,)
            Of the optimum that each led to, from 0; −1 if none.

        Returns
        -------
        DataFrame
            ``llf``, where EM left it; ``em_iterations``; ``origin``, the kind of candidate;
            ``finished``, unless it gave up behind a better one; ``is_best``, whether it led to
            the best optimum; ``optimum``, which one it led to, numbered by log-likelihood from 1,
            and missing where it gave up on its way.
        """
        value = self.run.value.copy()
        first = int((number == 0).argmax())
        value[first] = max(value[first], best_value)
        return pd.DataFrame(
            {
                "llf": value + likelihood.penalty_at(self.run.parameters.beta),
                "em_iterations": self.run.n_iter,
                "origin": self.origin,
                "finished": self.run.converged,
                "is_best": number == 0,
                "optimum": pd.arrays.IntegerArray(number + 1, number < 0),
            },
            index=pd.RangeIndex(len(value), name="start"),
        )


def search(
    likelihood: MixtureLikelihood,
    *,
    init: str,
    n_starts: int | None,
    maxiter: int,
    tol: float,
    rng: np.random.Generator,
    candidates: Parameters | None = None,
    callback: Callable[[int, np.ndarray, np.ndarray, Parameters], None] | None = None,
) -> Search:
    """Find the best optimum among many starts, at the price of a few.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    init : {"auto", "moments", "subspace", "random"}
        "auto": every kind of candidate that the layout of the data allows, with classes to spare;
        then splits and removals. The others are one kind alone, and nothing after EM: atoms of
        the latent moments; draws in their subspace; random partitions and noise.
    n_starts : int or None
        Candidates; 8 if None.
    maxiter, tol : int, float
        For the EM runs of the finalists.
    rng : numpy.random.Generator
    candidates : Parameters, optional
        A stack of further mixtures that join the others.
    callback : callable, optional
        As in `expectation_maximisation`.

    Returns
    -------
    Search

    Raises
    ------
    ArgumentError
        ``init="moments"`` where no solver applies.
    """
    axes = axes_of_one(likelihood)
    pooled = _within_reach(axes, pooled_logit(likelihood))
    climb = Climb(likelihood, choose_m_step(likelihood, pooled), axes, maxiter, tol, callback)
    if likelihood.n_classes == 1:
        no_gate = np.zeros((1, 0, likelihood.data.membership.shape[1]))
        run = climb.to_the_end(Parameters(pooled[None, None], no_gate))
        return Search(run, ("pooled",), 1, int(run.n_iter.sum()))
    draw = _Draw(likelihood, axes, pooled, rng, candidates)
    climbs = _growing(climb, rng) if init == "auto" else [climb]
    found = _compete(climbs[0], draw, init, n_starts or DEFAULT_STARTS)
    is_settled = init != "auto" or _all_agree(climbs[0].likelihood, found.run)
    if len(climbs) == 1 and not is_settled:
        found = _improved(climb, found, rng)
    for smaller, larger in itertools.pairwise(climbs):
        share = smaller.likelihood.data.n_distinct / larger.likelihood.data.n_distinct
        found = _carry_on(larger, found, share)
        # optima of the first sample may be far from those of all: improve on the second, unless
        # three of them have led to the best
        if not (is_settled or (found.run.value[0] - found.run.value[2:3] < SAME_OPTIMUM).any()):
            found = _improved(larger, found, rng, None if larger is climb else _SAMPLE_ROUNDS)
        is_settled = True
    return replace(found, moments=draw.estimate)


def _within_reach(axes: Axes, tastes: np.ndarray) -> np.ndarray:
    """Shorten tastes (L,) that lie too far out along an axis: without a maximum there is no end."""
    farthest = float(np.abs(axes.coordinates(tastes)).max())
    return tastes * (_FARTHEST / farthest) if farthest > _FARTHEST else tastes


def _growing(climb: Climb, rng: np.random.Generator) -> list[Climb]:
    """Samples of the individuals that grow threefold, and last all of them."""
    likelihood = climb.likelihood
    n = max(_SAMPLE, _SAMPLE_PER_PARAMETER * likelihood.n_params)
    climbs = [climb]
    while _GROWTH * n <= likelihood.data.n_distinct:
        try:
            sample = likelihood.sample(n, rng)
        except IdentificationError:  # of rare categories, in a small sample
            sample = likelihood
        if sample.data.n_distinct < likelihood.data.n_distinct:
            maxiter = min(climb.maxiter, _SAMPLE_MAXITER)
            climbs.insert(-1, replace(climb, likelihood=sample, maxiter=maxiter))
        n *= _GROWTH
    return climbs


def _compete(climb: Climb, draw: _Draw, init: str, n_starts: int) -> Search:
    """Draw candidates, and let them race."""
    likelihood = climb.likelihood
    spare: list[tuple[str, int]] = []
    if init == "auto":
        kinds = [_KINDS[i % len(_KINDS)] for i in range(n_starts)]
        exact = [("moments", kinds.count("moments"))]
        spare = [(kind, kinds.count(kind)) for kind in ("k-means", "subspace", "partition")]
    elif init == "random":
        exact = [("partition", (n_starts + 1) // 2), ("noise", n_starts // 2)]
    else:
        exact = [(init, n_starts)]
    stack, origin = draw(likelihood, exact)
    if init == "auto":
        spare[0] = ("k-means", spare[0][1] + exact[0][1] - len(origin))  # where moments fail
    elif not origin:
        raise ArgumentError(_NO_MOMENTS)
    if draw.given is not None:
        stack = Parameters.stack([stack, draw.given])
        origin += ["given"] * len(draw.given.beta)
    if len(origin) == 1 and not spare and not likelihood.names_classes:
        run = climb.to_the_end(stack)
        return Search(run, tuple(origin), 1, int(run.n_iter[0]))
    run = climb.some(stack, sum(_SHRINK))
    work = float(run.n_iter.sum())
    if any(n for _, n in spare):
        surplus = min(_SURPLUS, likelihood.n_classes - 1)
        stack, kinds = draw(likelihood.with_classes(likelihood.n_classes + surplus), spare)
        shrunk, more = shrink(climb, stack, *_SHRINK)
        run, origin, work = Run.stack([run, shrunk]), [*origin, *kinds], work + more
    parameters, origin = run.parameters, list(origin)
    if likelihood.names_classes:
        parameters = _relabelled(likelihood, parameters, draw.rng)
        origin = origin * (len(parameters.beta) // len(origin))
    heat = race(climb, parameters, ((_RUNG, _FINALISTS),))
    n_iter = run.n_iter[heat.index % len(run.value)] + heat.run.n_iter
    return Search(
        replace(heat.run, n_iter=n_iter),
        tuple(origin[i] for i in heat.index),
        n_candidates=len(run.value),
        n_candidate_iterations=round(work) + heat.n_iterations,
    )


def _improved(
    climb: Climb, found: Search, rng: np.random.Generator, n_rounds: int | None = None
) -> Search:
    """Add what splits and removals of classes lead to."""
    finished, n_more = improve(climb, found.run, rng, n_rounds)
    every = Run.stack([found.run, *finished])
    kind = [*found.origin, *["split-merge"] * (len(every.value) - len(found.origin))]
    best = np.argsort(-every.value, kind="stable")
    return replace(
        found,
        run=every[best],
        origin=tuple(kind[i] for i in best),
        n_candidate_iterations=found.n_candidate_iterations + n_more,
    )


def _carry_on(larger: Climb, found: Search, share: float) -> Search:
    """Run the best distinct mixtures of a sample on more individuals, of which it is a share."""
    value = found.run.value
    kept = [0]
    for i in range(1, len(value)):
        if len(kept) < _CARRIED and value[kept[-1]] - value[i] >= _SAMPLE_SAME:
            kept.append(i)
    run = larger.to_the_end(found.run.parameters[kept], floor=-np.inf)
    more = int(run.n_iter.sum())
    best = np.argsort(-run.value, kind="stable")
    run = replace(run, n_iter=run.n_iter + found.run.n_iter[kept])
    return Search(
        run[best],
        tuple(found.origin[kept[i]] for i in best),
        n_candidates=found.n_candidates,
        n_candidate_iterations=round(share * found.n_candidate_iterations + more),
    )


def _relabelled(
    likelihood: MixtureLikelihood, stack: Parameters, rng: np.random.Generator
) -> Parameters:
    """Put a stack, and the same with its classes in other places, one behind the other."""
    n_classes = likelihood.n_classes
    if n_classes <= _FEW_ORDERS:
        orders = [np.array(order) for order in itertools.permutations(range(n_classes))]
    else:
        orders = [np.arange(n_classes), *(rng.permutation(n_classes) for _ in range(_ORDERS))]
    conformed = likelihood.conform(stack)
    return Parameters.stack(
        [likelihood.conform(conformed.reordered(order), relabel=False) for order in orders]
    )


def _all_agree(likelihood: MixtureLikelihood, run: Run) -> bool:
    """Whether finalists of independent origin have all reached one optimum."""
    if len(run.value) <= 2 or not (run.value.max() - run.value < SAME_OPTIMUM).all():
        return False
    best = Optimum(likelihood, run.parameters[0], float(run.value[0]))
    return all(best.is_near(run.parameters[i]) for i in range(1, len(run.value)))


def choose_m_step(likelihood: MixtureLikelihood, pooled: np.ndarray) -> MStep | WideStep:
    """Choose how iterations move the tastes: the wider the table, the less often by curvature.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    pooled : ndarray, shape (L,)
        Tastes of the logit with one class, where a very wide table is whitened.

    Returns
    -------
    NewtonStep or WideStep
    """
    if likelihood.data.n_attributes < _WIDE:
        return NewtonStep()
    if likelihood.data.n_attributes < _VERY_WIDE or not likelihood.constraints.is_none:
        return NewtonStep(_REFRESH)
    return WideStep(
        NewtonStep(_LONG_REFRESH),
        WhitenedStep(information_of_one(likelihood, pooled)),
        max(_ROOM, likelihood.data.exog.nbytes),
    )


class _Draw:
    """Candidates by kind, with one logit and one set of moments for all of them.

    Both come from all individuals, even where candidates are run on a sample.
    """

    def __init__(
        self,
        whole: MixtureLikelihood,
        axes: Axes,
        pooled: np.ndarray,
        rng: np.random.Generator,
        given: Parameters | None = None,
    ) -> None:
        self.whole, self.axes, self.pooled = whole, axes, pooled
        self.rng, self.given = rng, given
        self.estimate: Parameters | None = None

    @cached_property
    def moments(self) -> LatentMoments:
        """Latent moments at the logit with one class."""
        return latent_moments(self.whole.table.plain, self.whole.weight, self.pooled)

    def __call__(
        self, likelihood: MixtureLikelihood, counts: Sequence[tuple[str, int]]
    ) -> tuple[Parameters, list[str]]:
        """Draw so many of every kind; of moments, as many as the data allow."""
        stacks, origin = [], []
        for kind, n in counts:
            if n == 0:
                continue
            stack = self._draw(likelihood, kind, n)
            stacks.append(stack)
            origin += [kind] * len(stack.beta)
        return Parameters.stack(stacks), origin

    def _draw(self, likelihood: MixtureLikelihood, kind: str, n: int) -> Parameters:
        """Draw so many of one kind."""
        if kind not in ("moments", "subspace"):
            around = {"k-means": clusters, "partition": partitions, "noise": noise}[kind]
            return around(likelihood, self.axes, self.pooled, n, self.rng)
        if kind == "subspace":
            return in_subspace(likelihood, self.moments, n, self.rng)
        stack = from_moments(likelihood, self.moments, n, self.rng)
        if len(stack.beta):
            self.estimate = stack[0]
        return stack
