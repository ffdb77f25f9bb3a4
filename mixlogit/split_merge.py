"""Better optima near a good one: split a class, let all settle, take another away.

A local maximum of a mixture often has two classes where one would do, and one class where two are
needed. With one class more there is room to leave it: each class is split in turn, all K + 1
classes adjust, and then the class that is missed least is removed.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from mixlogit.axes import Axes
from mixlogit.blocks import Sums
from mixlogit.em import Climb, Run
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.optima import RIVAL, Optimum
from mixlogit.race import SAME_OPTIMUM

__all__ = ["improve", "shrink", "splits"]

_SETTLE = 12  # EM iterations of all splits
_REMOVALS = 2  # per split
_RUNGS = (4, 10)  # EM iterations of the proposals, and of the better third
_FINALISTS = 2
_SHAKES = 4
_SHAKE_RUNGS = (6, 6)
_LONGEST_SPLIT = 1.0  # standard deviations of utility: from a class to its parts
_MANY_CLASSES = 6  # from which local optima abound, and every move is tried
_SOURCES = 2  # of the best distinct optima, how many are improved on
_MAX_ROUNDS = 20
_LEAST_EXCESS = 0.05  # of the variance of scores, relative to their information


def improve(
    climb: Climb, best: Run, rng: np.random.Generator, n_rounds: int | None = None
) -> tuple[list[Run], int]:
    """Move classes about in rounds, until nothing better than the best optimum is found.

    The best optimum is tried with splits along the direction in which tastes vary most. With many
    classes, or a rival of nearly its log-likelihood, it is tried along the second one as well, and
    shaken, and the next best optimum is tried too.

    Parameters
    ----------
    climb : Climb
    best : Run
        Finished mixtures, best first.
    rng : numpy.random.Generator
    n_rounds : int or None
        At most so many; 20 if None.

    Returns
    -------
    runs : list of Run
        The finalists of each round; nothing with two classes.
    n_iterations : int
        EM iterations of all proposals together, those with K + 1 classes in proportion.
    """
    finished: list[Run] = []
    work = 0.0
    explored: list[Optimum] = []
    while climb.likelihood.n_classes > 2 and len(explored) < (n_rounds or _MAX_ROUNDS):
        known = Run.stack([best, *finished])
        is_hard = climb.likelihood.n_classes >= _MANY_CLASSES or _has_rival(known)
        source = _next_source(
            known.value, [one.value for one in explored], _SOURCES if is_hard else 1
        )
        if source is None:
            break
        top = float(known.value.max())
        here = Optimum(climb.likelihood, known.parameters[source], float(known.value[source]))
        explored.append(here)
        moves = [partial(_split_and_remove, rank=0)]
        if is_hard and top - here.value < SAME_OPTIMUM:
            moves += [partial(_split_and_remove, rank=1), partial(_shake, rng=rng)]
        for move in moves:
            run, n_iter = move(climb, explored, top)
            work += n_iter
            finished.append(run)
            if run.value.max(initial=-np.inf) > top + SAME_OPTIMUM:
                break
    return finished, round(work)


def _has_rival(known: Run) -> bool:
    """Whether an optimum other than the best is hardly worse."""
    behind = known.value.max() - known.value[known.converged]
    return bool(((behind >= SAME_OPTIMUM) & (behind < RIVAL)).any())


def _next_source(value: np.ndarray, explored: list[float], n_sources: int) -> int | None:
    """Best of the leading optima that no round has begun from."""
    n_passed = 0
    last = np.inf
    for i in np.argsort(-value, kind="stable"):
        if last - value[i] < SAME_OPTIMUM:
            continue
        last = value[i]
        if all(abs(last - done) >= SAME_OPTIMUM for done in explored):
            return int(i)
        n_passed += 1
        if n_passed == n_sources:
            break
    return None


def _split_and_remove(
    climb: Climb, explored: list[Optimum], floor: float, rank: int
) -> tuple[Run, float]:
    """Split each class in turn, let all classes settle, and remove another one."""
    n_classes = climb.likelihood.n_classes
    more = climb.with_classes(n_classes + 1)
    run = more.some(splits(climb.likelihood, explored[-1].parameters, rank), _SETTLE)
    proposals = _removals(more.likelihood, run)
    found, work = _contest(climb, proposals, _RUNGS, explored, floor)
    return found, work + float(run.n_iter.sum()) * (n_classes + 1) / n_classes


def _shake(
    climb: Climb, explored: list[Optimum], floor: float, rng: np.random.Generator
) -> tuple[Run, float]:
    """Move the tastes of all classes at random, out of a small hollow."""
    shaken = explored[-1].shaken(_SHAKES, climb.axes, rng)
    return _contest(climb, shaken, _SHAKE_RUNGS, explored, floor)


def _contest(
    climb: Climb,
    parameters: Parameters,
    rungs: tuple[int, int],
    explored: list[Optimum],
    floor: float,
) -> tuple[Run, int]:
    """Let proposals race; those that return to an optimum they came from leave the race.

    Also the EM iterations of all of them.
    """
    work = 0
    kept = (max(len(parameters.beta) // 3, _FINALISTS), _FINALISTS)
    for length, n_kept in zip(rungs, kept, strict=True):
        run = climb.some(parameters, length)
        work += int(run.n_iter.sum())
        new = [
            i
            for i in np.argsort(-run.value, kind="stable")
            if not any(one.is_near(run.parameters[i]) for one in explored)
        ]
        parameters = run.parameters[new[:n_kept]]
    run = climb.to_the_end(parameters, floor)
    return run, work + int(run.n_iter.sum())


def _removals(likelihood: MixtureLikelihood, run: Run) -> Parameters:
    """Take away the classes that are missed least, one at a time, best first."""
    found = []
    for g in range(len(run.value)):
        parameters = run.parameters[g]
        left = likelihood.without_each(parameters)
        for k in np.argsort(-left, kind="stable")[:_REMOVALS]:
            found.append((left[k], parameters.without(int(k))))
    found.sort(key=lambda pair: -pair[0])
    return _stack([parameters for _, parameters in found])


def _stack(mixtures: list[Parameters]) -> Parameters:
    """Put single mixtures in a stack."""
    return Parameters(np.array([p.beta for p in mixtures]), np.array([p.gamma for p in mixtures]))


def shrink(climb: Climb, parameters: Parameters, first: int, each: int) -> tuple[Run, float]:
    """Run mixtures with classes to spare, and take these away one at a time.

    Parameters
    ----------
    climb : Climb
        Of the likelihood with as many classes as are wanted.
    parameters : Parameters
        A stack with more classes.
    first, each : int
        EM iterations before the first removal, and after each.

    Returns
    -------
    run : Run
    n_iterations : float
        EM iterations of all, in proportion to their classes.
    """
    wanted, n_classes = climb.likelihood.n_classes, parameters.n_classes
    more = climb.with_classes(n_classes)
    run = more.some(parameters, first)
    work = run.n_iter.sum() * n_classes / wanted
    while n_classes > wanted:
        fewer = [
            run.parameters[g].without(int(more.likelihood.without_each(run.parameters[g]).argmax()))
            for g in range(len(run.value))
        ]
        n_classes -= 1
        more = climb.with_classes(n_classes)
        run = more.some(_stack(fewer), each)
        work += run.n_iter.sum() * n_classes / wanted
    return run, float(work)


def splits(likelihood: MixtureLikelihood, parameters: Parameters, rank: int = 0) -> Parameters:
    """Split each class along a direction in which the tastes of its individuals vary much.

    Parameters
    ----------
    likelihood : MixtureLikelihood
        Of the mixture that is split.
    parameters : Parameters
        One mixture of K classes.
    rank : int
        0 for the direction in which they vary most, 1 for the next.

    Returns
    -------
    Parameters
        A stack of K mixtures with K + 1 classes.
    """
    posterior = likelihood.posterior(parameters)[1]
    n_classes, n_attributes = parameters.beta.shape
    mass = posterior.T @ likelihood.weight

    def weigh(log_f: np.ndarray, individuals: slice) -> tuple[np.ndarray, Sums]:
        return posterior[individuals].T * likelihood.weight[individuals], ()

    def collect(score: np.ndarray, individuals: slice) -> Sums:
        own = posterior[individuals].T * likelihood.weight[individuals]  # (K, n)
        return (score * own[:, None] @ score.swapaxes(1, 2),)

    sweep = likelihood.table.sweep(parameters.beta, weigh, collect=collect)
    information, (outer,) = sweep.curvature, sweep.sums
    found = []
    own = np.flatnonzero(~likelihood.restrictions.is_common(likelihood.data.exog_names))
    block = np.ix_(own, own)
    axes = Axes.whitening(likelihood.data.exog_covariance[block])
    for k in range(n_classes):
        apart = _heterogeneity(
            axes.quadratic(information[k][block]), axes.quadratic(outer[k][block]), mass[k], rank
        )
        direction = np.zeros(n_attributes)
        direction[own] = axes.tastes(apart / max(float(np.linalg.norm(apart)), _LONGEST_SPLIT))
        found.append(parameters.split(k, direction))
    return _stack(found)


def _heterogeneity(
    information: np.ndarray, outer: np.ndarray, mass: float, rank: int
) -> np.ndarray:
    """One standard deviation of tastes along a direction in which they vary much, (L,).

    If all individuals of a class had its tastes, the covariance of their scores would be their
    information. Eigenvalues in excess of one are the variance of tastes along the eigenvectors,
    in units in which the mean information of an individual is one.
    """
    value, vector = np.linalg.eigh(information)
    keep = value > 1e-10 * value.max(initial=0.0)
    if mass <= 0 or rank >= keep.sum():
        return np.zeros(len(value))
    whiten = vector[:, keep] / np.sqrt(value[keep])  # (L, kept)
    spread, along = np.linalg.eigh(whiten.T @ outer @ whiten)
    excess = max(spread[-1 - rank] - 1, _LEAST_EXCESS)
    return whiten @ along[:, -1 - rank] * np.sqrt(mass * excess)
