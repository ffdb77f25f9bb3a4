"""The EM loop, for a stack of mixtures that share every pass over the table.

Generalised EM: each iteration takes one step of the weighted logits at the current posterior (and
of the membership logit, if there are covariates). Near a maximum such steps shrink at a steady
rate, and Anderson's method extrapolates them. A step that would lower the log-likelihood is taken
back, first to the plain step and then by halves, so the log-likelihood never falls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np

from mixlogit.axes import Axes
from mixlogit.errors import NotMonotoneError
from mixlogit.likelihood import Expectation, MixtureLikelihood, Parameters
from mixlogit.newton import solve_scaled

__all__ = [
    "Climb",
    "MStep",
    "NewtonStep",
    "Run",
    "WhitenedStep",
    "WideStep",
    "expectation_maximisation",
]

_Record = TypeVar("_Record", Parameters, Expectation)

_ROUND_OFF = 1e-12  # relative error of a log-likelihood
_MAX_HALVINGS = 40
_LONGEST_STEP = 4.0  # standard deviations of utility along an axis, in one iteration
_MANY, _LONGEST_TOGETHER = 48, 2.0  # the same from so many attributes: all of them together
_MEMORY = 5  # earlier iterations that an extrapolation combines
_STEADY_GAIN = 2.0  # log-likelihood: with more to gain, this is not yet the foot of a maximum
_COPIES = 4  # of the information of a stack, while its mixtures choose between two points
_PARALLEL = 1e-3  # squared sine between moves below which they are one direction
_DAMPING = 1e-10  # relative ridge on earlier iterations, which become parallel
_LEAST_PROMISE = 0.5  # of the gain a plain step promises: what an extrapolation has to bring
_FIRST_WAIT, _LONGEST_WAIT = 2, 32  # plain iterations after an extrapolation that failed
_FORGET, _LENGTHEN = 1.25, 1.25  # per iteration: of the slowest rate seen, of shortened steps
_LARGEST_SHARE = 1e3  # by which an old curvature may grow with its class
_OPTIMISM = 3.0  # times the predicted gap: what a run may still gain, at best


class MStep(Protocol):
    """How an iteration moves the tastes."""

    @property
    def refresh(self) -> int:
        """Iterations between two that add up the information of every class; 0 if none does."""
        ...

    def step(self, likelihood: MixtureLikelihood, at: Expectation) -> np.ndarray:
        """Move the tastes of a stack, (G, K, L)."""
        ...


@dataclass(frozen=True, eq=False)
class WideStep:
    """Newton's step where there is room for the information of every class, else the whitened one.

    Parameters
    ----------
    newton : NewtonStep
    whitened : WhitenedStep
    room : float
        Bytes for the information of a stack, (G, K, L, L), and what copies EM makes of it.
    """

    newton: NewtonStep
    whitened: WhitenedStep
    room: float

    def for_stack(self, beta: np.ndarray) -> MStep:
        """Choose the step of a stack of tastes, (G, K, L)."""
        fits = _COPIES * beta.nbytes * beta.shape[-1] <= self.room
        return self.newton if fits else self.whitened


@dataclass(frozen=True)
class NewtonStep:
    """One Newton step of the weighted logit of each class, with its exact curvature.

    Parameters
    ----------
    refresh : int
        Iterations for which a curvature serves, in proportion to the size of the class: 1 finds
        it anew in each. In a wide table it costs many times what the rest of an iteration does.
    """

    refresh: int = 1

    def step(self, likelihood: MixtureLikelihood, at: Expectation) -> np.ndarray:
        """Move the tastes of a stack, (G, K, L)."""
        return solve_scaled(at.beta_information, at.beta_gradient)


@dataclass(frozen=True, eq=False)
class WhitenedStep:
    """One gradient step, preconditioned by a covariance that all classes share.

    An iteration costs two products of the table with the tastes, and no curvature.

    Parameters
    ----------
    covariance : ndarray, shape (L, L)
        Of the attributes within situations: of the design, as in the paper, or weighted by the
        choice probabilities of the logit with one class.
    size : float
        Length of the step; with 1 it is Newton's where every class has this covariance.

    References
    ----------
    Bing, Bunea, Niles-Weed and Wegkamp (2024), arXiv 2409.09903: EM with a first-order M-step.
    """

    covariance: np.ndarray
    size: float = 1.0
    refresh = 0

    @cached_property
    def _inverse(self) -> np.ndarray:
        """Inverse of the covariance, (L, L)."""
        return solve_scaled(self.covariance, np.eye(len(self.covariance)))

    def step(self, likelihood: MixtureLikelihood, at: Expectation) -> np.ndarray:
        """Move the tastes of a stack, (G, K, L)."""
        n_choices = likelihood.data.choices_per_individual @ likelihood.weight
        mean_choices = float(n_choices) / float(likelihood.weight.sum())
        mass = mean_choices * np.maximum(at.mass, np.finfo(float).tiny)  # choices of each class
        if not likelihood.penalty:
            return self.size / mass[..., None] * (at.beta_gradient @ self._inverse)
        information = mass[..., None, None] * self.covariance + likelihood.ridge
        return self.size * solve_scaled(information, at.beta_gradient)


@dataclass(frozen=True, eq=False)
class Run:
    """Where EM left a stack of G mixtures.

    Parameters
    ----------
    parameters : Parameters
        With a leading axis of length G.
    value : ndarray, shape (G,)
        Log-likelihood, less the penalty if there is one.
    n_iter : ndarray of int, shape (G,)
        Iterations: passes over the table, with those whose step was taken back.
    gap : ndarray, shape (G,)
        What further iterations would still add, extrapolated; 0 once gains drown in round-off,
        inf where unknown.
    converged : ndarray of bool, shape (G,)
        Whether the gap is below the tolerance.
    """

    parameters: Parameters
    value: np.ndarray
    n_iter: np.ndarray
    gap: np.ndarray
    converged: np.ndarray

    @classmethod
    def stack(cls, runs: list[Run]) -> Run:
        """Put stacks one behind the other."""
        rest = [name.name for name in fields(cls) if name.name != "parameters"]
        parameters = Parameters.stack([run.parameters for run in runs])
        return cls(parameters, *(np.concatenate([getattr(r, n) for r in runs]) for n in rest))

    def __getitem__(self, item: np.ndarray | list[int]) -> Run:
        """Pick mixtures from the stack."""
        return Run(*(getattr(self, field.name)[item] for field in fields(self)))


class _History:
    """Differences of the last iterates and of their plain steps, for each of A mixtures.

    Anderson's extrapolation takes the point at which the step would vanish if it depended
    linearly on the iterate, as seen by these differences. In the metric of the complete
    information, in which EM contracts, that is a minimal-residual method.
    """

    def __init__(self, x: np.ndarray, step: np.ndarray) -> None:
        n, size = x.shape
        self.x, self.step = x, step  # (A, D)
        self.moved = np.zeros((_MEMORY, n, size))
        self.changed = np.zeros((_MEMORY, n, size))
        self.depth = np.zeros(n, dtype=int)

    def append(self, taken: np.ndarray, x: np.ndarray, step: np.ndarray) -> None:
        """Record the iterates of those mixtures that have moved."""
        for past, new in ((self.moved, x - self.x), (self.changed, step - self.step)):
            past[1:, taken] = past[:-1, taken]
            past[0, taken] = new[taken]
        self.x, self.step = x, step
        self.depth[taken] = np.minimum(self.depth[taken] + 1, _MEMORY)

    def forget(self, which: np.ndarray) -> None:
        """Start anew for some mixtures."""
        self.depth[which] = 0

    def keep(self, which: np.ndarray) -> None:
        """Leave out the mixtures that have ended."""
        self.x, self.step, self.depth = self.x[which], self.step[which], self.depth[which]
        self.moved, self.changed = self.moved[:, which], self.changed[:, which]

    def is_valid(self) -> np.ndarray:
        """Which differences there are, (memory, A)."""
        return np.arange(_MEMORY)[:, None] < self.depth

    def extrapolated(self, metric: np.ndarray) -> np.ndarray:
        """Step (A, D) to where the plain step would vanish; the plain step without a past."""
        changed = self.changed * self.is_valid()[..., None]
        weighted = (changed * metric).transpose(1, 0, 2)  # (A, memory, D)
        gram = weighted @ changed.transpose(1, 2, 0)
        size = np.trace(gram, axis1=1, axis2=2)[:, None] + np.finfo(float).tiny
        diagonal = _DAMPING * size + ~self.is_valid().T
        gram = gram + diagonal[..., None] * np.eye(_MEMORY)
        share = np.linalg.solve(gram, weighted @ self.step[..., None])  # (A, memory, 1)
        return self.step - ((self.moved + self.changed).transpose(1, 2, 0) @ share)[..., 0]

    def left(self, metric: np.ndarray) -> np.ndarray:
        """Smallest 1 − rate of EM in the span of the last moves, (A,); nan without a past.

        Rayleigh quotients: EM's derivative is symmetric in the metric of complete information.
        Negative where steps grow, as they do near a saddle.
        """
        weight = self.is_valid()[..., None] * np.sqrt(metric)
        moved, changed = self.moved * weight, self.changed * weight
        length = np.sqrt((moved**2).sum(axis=-1, keepdims=True)) + np.finfo(float).tiny
        moved, changed = moved / length, changed / length
        inner = moved.transpose(1, 0, 2)  # (A, memory, D)
        value, vector = np.linalg.eigh(inner @ moved.transpose(1, 2, 0))
        is_kept = value > _PARALLEL * value[:, -1:]
        unit = vector * (is_kept / np.sqrt(np.where(is_kept, value, 1.0)))[:, None, :]
        slope = -unit.transpose(0, 2, 1) @ (inner @ changed.transpose(1, 2, 0)) @ unit
        slope = 0.5 * (slope + slope.transpose(0, 2, 1))
        slope += np.eye(_MEMORY) * np.where(is_kept, 0.0, 2.0)[:, None, :]  # never the smallest
        return np.where(self.depth > 0, np.linalg.eigvalsh(slope)[:, 0], np.nan)


def expectation_maximisation(
    likelihood: MixtureLikelihood,
    parameters: Parameters,
    *,
    maxiter: int,
    tol: float,
    m_step: MStep | WideStep | None = None,
    axes: Axes | None = None,
    accelerate: bool = True,
    floor: float | None = None,
    callback: Callable[[int, np.ndarray, np.ndarray, Parameters], None] | None = None,
) -> Run:
    """Run EM on a stack of mixtures until each converges or ``maxiter`` iterations are done.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    parameters : Parameters
        With a leading axis of length G; log-likelihoods must be finite.
    maxiter : int
    tol : float
        Stop when extrapolation promises less than this gain in log-likelihood; 0 never stops.
    m_step : MStep or WideStep, optional
        `NewtonStep` if None.
    axes : Axes, optional
        In which steps are measured and extrapolated; those of the columns if None.
    accelerate : bool
        Whether to extrapolate.
    floor : float, optional
        Give up mixtures that will hardly rise above this log-likelihood, or above the best of
        the stack.
    callback : callable, optional
        Called after every pass over the table with its number, and the values (A,), posterior
        weights (A, K) and parameters of the mixtures that were still running.

    Returns
    -------
    Run

    Raises
    ------
    NotMonotoneError
        No fraction of a step keeps the log-likelihood from falling beyond round-off.

    References
    ----------
    H. F. Walker and P. Ni (2011), Anderson acceleration for fixed-point iterations. N. C.
    Henderson and R. Varadhan (2019), Damped Anderson acceleration with restarts and monotonicity
    control for accelerating EM.
    """
    if isinstance(m_step, WideStep):
        m_step = m_step.for_stack(parameters.beta)
    m_step = m_step or NewtonStep()
    axes = axes or Axes.of_columns(likelihood.data.exog_scale)
    n_mixtures = len(parameters.beta)
    if not n_mixtures:
        nothing = np.zeros(0)
        return Run(parameters, nothing, nothing.astype(int), nothing, nothing.astype(bool))
    active = np.arange(n_mixtures if maxiter > 0 else 0)
    parameters = here = likelihood.conform(parameters)
    at = likelihood.expect(parameters, information=m_step.refresh > 0)
    value = at.llf - likelihood.penalty_at(here.beta)
    final = Parameters(here.beta.copy(), here.gamma.copy())
    final_value = value.copy()
    n_iter = np.zeros(n_mixtures, dtype=int)
    final_gap = np.full(n_mixtures, np.inf)
    converged = np.zeros(n_mixtures, dtype=bool)

    plain, promise = _plain_step(likelihood, axes, m_step, here, at)
    history = _History(_coordinates(axes, here), plain)
    step, is_leap = plain.copy(), np.zeros(n_mixtures, dtype=bool)
    n_halved = np.zeros(n_mixtures, dtype=int)
    wait, next_wait = np.zeros(n_mixtures, dtype=int), np.full(n_mixtures, _FIRST_WAIT)
    size, slowest = np.ones(n_mixtures), np.full(n_mixtures, np.inf)
    iteration = 0
    while len(active):
        iteration += 1
        proposal = _from_coordinates(likelihood, axes, history.x + step)
        is_due = m_step.refresh > 0 and iteration % m_step.refresh == 0
        there = likelihood.expect(proposal, information=is_due)
        if m_step.refresh and not is_due:
            there = _with_old_information(there, at)
        reached = there.llf - likelihood.penalty_at(proposal.beta)
        noise = _ROUND_OFF * np.maximum(1.0, np.abs(value))
        required = np.where(is_leap, _LEAST_PROMISE * promise, 0.0)
        rises = reached - value >= required - noise
        if (n_halved[~rises] >= _MAX_HALVINGS).any():
            raise NotMonotoneError
        is_whole = ~is_leap & (n_halved == 0) & (size == 1)
        drowns = rises & is_whole & (np.abs(reached - value) <= noise)

        here, at = _choose(rises, proposal, here), _choose(rises, there, at)
        value = np.where(rises, reached, value)
        plain, promise = _plain_step(likelihood, axes, m_step, here, at)
        history.forget(~rises)
        history.append(rises & (n_halved == 0), _coordinates(axes, here), plain)
        metric = _metric(likelihood, at)
        left = history.left(metric)
        # a slow direction that the last moves have not followed is still there
        slowest = np.where(left > 0, np.minimum(left, _FORGET * slowest), slowest)
        gap = np.where(left > 0, promise / slowest, np.inf)
        gap = np.where(drowns | (promise <= noise), 0.0, gap)
        n_iter[active] += 1
        final_gap[active] = gap
        converged[active] = gap < tol
        final.beta[active], final.gamma[active], final_value[active] = here.beta, here.gamma, value
        if callback is not None:
            callback(iteration, value, at.mass, here)

        missed = ~rises & is_leap
        wait = np.where(missed, next_wait, np.maximum(wait - rises, 0))
        next_wait = np.where(missed, np.minimum(2 * next_wait, _LONGEST_WAIT), next_wait)
        # steps that had to be halved stay short for a while
        size = np.where(rises & ~is_leap, np.minimum(1.0, _LENGTHEN * size * 0.5**n_halved), size)
        n_halved = np.where(rises | is_leap, 0, n_halved + 1)
        step = np.where((n_halved > 0)[:, None], 0.5 * step, size[:, None] * plain)
        is_leap = np.zeros(len(active), dtype=bool)
        if accelerate:
            is_leap = (left > 0) & (wait == 0) & (promise < _STEADY_GAIN)
            leap = history.extrapolated(metric)
            leap = _no_longer_than_allowed(leap, likelihood.data.n_attributes)
            is_leap &= _keeps_signs(likelihood, axes, history.x + leap)
            step = np.where(is_leap[:, None], leap, step)
        goes_on = ~converged[active] & (n_iter[active] < maxiter)
        if floor is not None:
            goes_on &= value + _OPTIMISM * gap > max(floor, float(final_value.max()))
        active, value, promise = active[goes_on], value[goes_on], promise[goes_on]
        step, is_leap, n_halved = step[goes_on], is_leap[goes_on], n_halved[goes_on]
        wait, next_wait, here = wait[goes_on], next_wait[goes_on], here[goes_on]
        size, slowest = size[goes_on], slowest[goes_on]
        at = Expectation(*(getattr(at, field.name)[goes_on] for field in fields(at)))
        history.keep(goes_on)
    return Run(final, final_value, n_iter, final_gap, converged)


@dataclass(frozen=True, eq=False)
class Climb:
    """How every mixture of a search is run.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    m_step : MStep or WideStep
    axes : Axes
        In which tastes are measured.
    maxiter, tol : int, float
        For those that are run to the end.
    callback : callable, optional
        As in `expectation_maximisation`.
    """

    likelihood: MixtureLikelihood
    m_step: MStep | WideStep
    axes: Axes
    maxiter: int
    tol: float
    callback: Callable[[int, np.ndarray, np.ndarray, Parameters], None] | None = None

    def with_classes(self, n_classes: int) -> Climb:
        """Give the same for another number of classes."""
        return replace(self, likelihood=self.likelihood.with_classes(n_classes))

    def some(self, parameters: Parameters, n_iter: int) -> Run:
        """Run a few iterations."""
        return expectation_maximisation(
            self.likelihood,
            parameters,
            maxiter=n_iter,
            tol=0.0,
            m_step=self.m_step,
            axes=self.axes,
            callback=self.callback,
        )

    def to_the_end(self, parameters: Parameters, floor: float | None = None) -> Run:
        """Run until convergence, or until nothing above the floor can be hoped for."""
        return expectation_maximisation(
            self.likelihood,
            parameters,
            maxiter=self.maxiter,
            tol=self.tol,
            m_step=self.m_step,
            axes=self.axes,
            floor=floor,
            callback=self.callback,
        )


def _with_old_information(there: Expectation, at: Expectation) -> Expectation:
    """Take the information of the classes over from another point, in proportion to their mass."""
    mass = np.maximum(at.mass, np.finfo(float).tiny)
    share = np.minimum(there.mass / mass, _LARGEST_SHARE)[..., None, None]
    return replace(there, beta_information=at.beta_information * share)


def _plain_step(
    likelihood: MixtureLikelihood, axes: Axes, m_step: MStep, here: Parameters, at: Expectation
) -> tuple[np.ndarray, np.ndarray]:
    """Step of EM along the axes (A, D), and the gain that it promises, (A,)."""
    gamma = likelihood.membership.m_step(here.gamma, at.gamma_gradient, at.gamma_information)
    logits = gamma - here.gamma
    if likelihood.constraints.is_none:
        tastes = axes.coordinates(m_step.step(likelihood, at))
        tastes = _no_longer_than_allowed(tastes, likelihood.data.n_attributes)
    else:
        tastes, logits = _constrained_step(likelihood, axes, here, at, logits)
    promise = (axes.tastes(tastes) * at.beta_gradient).sum(axis=(-2, -1))
    promise += (logits * at.gamma_gradient).sum(axis=(-2, -1))
    return Parameters(tastes, logits).flat(), 0.5 * promise


def _constrained_step(
    likelihood: MixtureLikelihood,
    axes: Axes,
    here: Parameters,
    at: Expectation,
    logits: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Newton step of all classes together: tastes along the axes, and logits.

    The logits (A, K − 1, Q) of the membership model are kept where no constraint touches them.
    """
    n_mixtures, n_classes, n_attributes = here.beta.shape
    n_tastes = n_classes * n_attributes
    information = np.zeros((n_mixtures, likelihood.n_params, likelihood.n_params))
    for k in range(n_classes):
        tastes = slice(k * n_attributes, (k + 1) * n_attributes)
        information[:, tastes, tastes] = at.beta_information[:, k]
    information[:, n_tastes:, n_tastes:] = at.gamma_information
    score = Parameters(at.beta_gradient, at.gamma_gradient).flat()
    move = likelihood.unpack(likelihood.constraints.step(here.flat(), score, information))
    moved = axes.coordinates(move.beta)
    # one factor for all classes, whose coefficients may be tied
    longest = np.abs(moved).max(axis=(-2, -1), keepdims=True)
    factor = _LONGEST_STEP / np.maximum(longest, _LONGEST_STEP)
    if not likelihood.constraints.leaves_free(n_tastes):
        logits = move.gamma * factor
    return moved * factor, logits


def _keeps_signs(likelihood: MixtureLikelihood, axes: Axes, x: np.ndarray) -> np.ndarray:
    """Whether signs are kept at points along the axes, (A,)."""
    return likelihood.constraints.is_inside(_from_coordinates(likelihood, axes, x).flat())


def _coordinates(axes: Axes, parameters: Parameters) -> np.ndarray:
    """Parameters with tastes along the axes, (A, D)."""
    return Parameters(axes.coordinates(parameters.beta), parameters.gamma).flat()


def _from_coordinates(likelihood: MixtureLikelihood, axes: Axes, x: np.ndarray) -> Parameters:
    """Invert `_coordinates`."""
    parameters = likelihood.unpack(x)
    return Parameters(axes.tastes(parameters.beta), parameters.gamma)


def _no_longer_than_allowed(step: np.ndarray, n_attributes: int) -> np.ndarray:
    """Shorten steps of tastes (.., K, L), or whole steps (A, D), along the axes.

    Of few axes each may be followed as far as that; of many, which add up, all together.
    """
    if n_attributes < _MANY:
        length, longest = np.abs(step).max(axis=-1, keepdims=True), _LONGEST_STEP
    else:
        length, longest = np.linalg.norm(step, axis=-1, keepdims=True), _LONGEST_TOGETHER
    return step * (longest / np.maximum(length, longest))


def _metric(likelihood: MixtureLikelihood, at: Expectation) -> np.ndarray:
    """Rough complete information of every parameter along the axes, (A, D)."""
    share = at.mass / at.mass.sum(axis=-1, keepdims=True)
    tastes = np.repeat(share, likelihood.data.n_attributes, axis=-1)
    logits = np.repeat(share[:, 1:], likelihood.data.membership.shape[1], axis=-1)
    return np.concatenate([tastes, logits], axis=-1)


def _choose(mask: np.ndarray, yes: _Record, no: _Record) -> _Record:
    """Pick whole mixtures of a stack from one of two records."""
    picked = {}
    for field in fields(yes):
        a, b = getattr(yes, field.name), getattr(no, field.name)
        picked[field.name] = np.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b)
    return type(yes)(**picked)
