"""From starts to a certified point: search, EM, Newton."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from mixlogit.arguments import require_one_of, require_whole
from mixlogit.certificate import Certificate, certify
from mixlogit.constraints import Constraints
from mixlogit.curvature import Point, WideEvaluation, ascend, evaluate_wide
from mixlogit.em import Climb, Run
from mixlogit.errors import ArgumentError, NumericalError
from mixlogit.incumbent import Incumbent
from mixlogit.likelihood import Evaluation, MixtureLikelihood, Parameters
from mixlogit.newton import maximise
from mixlogit.optima import Optimum, describe_rivals, led_to
from mixlogit.pooled import axes_of_one, pooled_logit
from mixlogit.starts import INITS, Search, choose_m_step, search
from mixlogit.threads import share_cores

__all__ = ["METHODS", "Fit", "State", "estimate"]

METHODS = ("em-newton", "em", "newton")
# EM hands over to Newton when this much log-likelihood is left: of finalists that are compared with
# each other, and of a start that is alone.
_HAND_OVER, _HAND_OVER_ALONE = 1e-3, 1.0
_FACES = 100  # sets of parameters at their bounds that Newton goes through
_MANY = 300  # parameters from which Newton steps take products with the Hessian, not itself
_SETTLE = 50  # Newton steps from where EM left a rival of the best start
_WARM_UP = 20  # EM iterations of the candidates of method="newton"


@dataclass(frozen=True)
class State:
    """What a callback sees.

    Parameters
    ----------
    phase : {"em", "newton"}
    iteration : int
        Passes over the table since the search began.
    llf : float
        Best log-likelihood so far, less the penalty if there is one; −inf while the search runs
        on a sample of the individuals, or with classes to spare.
    shares : ndarray, shape (K,)
        Mean posterior class probabilities of the best; nan until there is one.
    n_running : int
        Mixtures that run side by side.
    """

    phase: str
    iteration: int
    llf: float
    shares: np.ndarray
    n_running: int = 1


@dataclass(frozen=True, eq=False)
class Fit:
    """The end of an estimation.

    Parameters
    ----------
    parameters : Parameters
        Classes in order of their share, largest first, unless constraints name them.
    evaluation : Evaluation or Point
        Log-likelihood and derivatives there; the latter, without the Hessian, where there are many
        parameters and no standard errors are wanted.
    certificate : Certificate
    starts : DataFrame
        One row per finished start.
    n_em_iter, n_newton_iter : int
        Iterations of the winning start; of all that ran side by side, if the search was
        interrupted.
    n_candidates, n_candidate_iterations : int
        Candidates of the search, and the EM iterations of all of them together. The most that ran
        side by side, if the search was interrupted.
    moments : Parameters or None
        The estimate by the method of moments, before any EM, moved to where the constraints hold;
        None where the search made none.
    """

    parameters: Parameters
    evaluation: Evaluation | Point
    certificate: Certificate
    starts: pd.DataFrame
    n_em_iter: int
    n_newton_iter: int
    n_candidates: int
    n_candidate_iterations: int
    moments: Parameters | None = None


@share_cores
def estimate(
    likelihood: MixtureLikelihood,
    *,
    start: Parameters | None,
    candidates: Parameters | None,
    init: str,
    n_starts: int | None,
    method: str,
    maxiter: int,
    tol: float,
    rng: np.random.Generator,
    callback: Callable[[State], None] | None,
    keeps_best: bool = False,
    hessian: bool = True,
) -> Fit:
    """Estimate a mixture.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    start : Parameters or None
        A single start; None searches.
    candidates : Parameters or None
        A stack of further starts that join the search.
    init, n_starts
        As in `mixlogit.starts.search`.
    method : {"em-newton", "em", "newton"}
    maxiter : int
        Bound on EM iterations of each finalist, and on Newton steps.
    tol : float
        EM alone stops when extrapolation promises less than this.
    rng : numpy.random.Generator
    callback : callable or None
        Called with a `State` on every iteration.
    keeps_best : bool
        Whether an interruption from the keyboard ends the estimation at the best mixture so far;
        before there is one it is passed on all the same.
    hessian : bool
        Whether the Hessian is wanted at the end, however many parameters there are.

    Returns
    -------
    Fit

    Raises
    ------
    NumericalError
        Linear algebra broke down in round-off.
    """
    require_one_of("method", method, METHODS)
    require_one_of("init", init, INITS)
    if n_starts is not None:
        require_whole("n_starts", n_starts)
    total = float(likelihood.weight.sum())

    best = State("em", 0, -np.inf, np.full(likelihood.n_classes, np.nan))
    kept = Incumbent(likelihood)

    def watch(phase: str, llf: float, mass: np.ndarray, n_running: int = 1) -> None:
        nonlocal best
        shares = mass / total if llf > best.llf else best.shares
        best = State(phase, best.iteration + 1, max(llf, best.llf), shares, n_running)
        if callback is not None:
            callback(best)

    def watch_em(iteration: int, value: np.ndarray, mass: np.ndarray, here: Parameters) -> None:
        leader = int(value.argmax())
        # runs with more classes, or on a sample, only count
        is_whole = kept.see(value, mass, here)
        watch("em", float(value[leader]) if is_whole else -np.inf, mass[leader], len(value))

    def watch_newton(iteration: int, at: Evaluation | WideEvaluation, params: np.ndarray) -> None:
        kept.n_newton_iter += 1
        is_inside = bool(likelihood.constraints.is_inside(params))
        if is_inside:
            kept.offer(at.value, likelihood.unpack(params))
        watch("newton", at.value if is_inside else -np.inf, at.mass)

    em_maxiter = _WARM_UP if method == "newton" else maxiter
    is_alone = start is not None or (init != "auto" and n_starts == 1 and candidates is None)
    hand_over = _HAND_OVER_ALONE if is_alone else _HAND_OVER
    em_tol = tol if method == "em" else max(tol, hand_over)
    found: Search | None = None
    try:
        if start is not None:
            found = _single_start(likelihood, start, method, em_maxiter, em_tol, watch_em, kept)
        else:
            found = search(
                likelihood,
                init=init,
                n_starts=n_starts,
                maxiter=em_maxiter,
                tol=em_tol,
                rng=rng,
                candidates=candidates,
                callback=watch_em,
            )
        # Newton's steps hardly ever change the order of the classes any more
        params = _largest_first(likelihood, found.run.parameters[0]).flat()
        if method == "em":
            evaluation, n_newton = _evaluate(likelihood, params), 0
            ended = "em" if found.run.converged[0] else "maxiter"
        elif _has_many(likelihood):
            ascent = ascend(likelihood, params, maxiter=maxiter, callback=watch_newton)
            params, n_newton, ended = ascent.x, ascent.n_iter, ascent.status
            evaluation = replace(ascent.evaluation, near=None)
        else:
            params, evaluation, n_newton, ended = _newton(likelihood, params, maxiter, watch_newton)
        return _finished(likelihood, found, params, evaluation, n_newton, ended, hessian)
    except np.linalg.LinAlgError as error:
        raise NumericalError(
            f"The fit broke down in round-off: {error}. The utilities of some class have become "
            "too large, or attributes are nearly the same. Centre and rescale the attributes, drop "
            "those that are nearly combinations of others, fit fewer classes, or state a penalty."
        ) from error
    except KeyboardInterrupt:
        mixture = kept.mixture() if keeps_best else None
        if mixture is None:
            raise
    params = _largest_first(likelihood, mixture).flat()
    evaluation = _evaluate(likelihood, params)
    if found is None:
        run = kept.run(mixture, evaluation.value)
        found = Search(run, ("interrupted",), kept.n_most, round(kept.work))
    n_newton = kept.n_newton_iter
    return _finished(likelihood, found, params, evaluation, n_newton, "interrupted", hessian)


def _has_many(likelihood: MixtureLikelihood) -> bool:
    """Whether there are so many parameters that steps take products with the Hessian."""
    return likelihood.constraints.is_none and likelihood.n_params >= _MANY


def _evaluate(likelihood: MixtureLikelihood, params: np.ndarray) -> Evaluation | WideEvaluation:
    """The log-likelihood with its Hessian, or with products where there are many parameters."""
    if _has_many(likelihood):
        return evaluate_wide(likelihood, params)
    return likelihood.evaluate(params)


def _finished(
    likelihood: MixtureLikelihood,
    found: Search,
    params: np.ndarray,
    evaluation: Evaluation | WideEvaluation,
    n_newton: int,
    ended: str,
    hessian: bool,
) -> Fit:
    """Put the classes in order, and certify where the estimation ended."""
    best = Optimum(likelihood, likelihood.unpack(params), evaluation.value)
    can_settle = ended == "stationary" and not _has_many(likelihood)
    optima, number = led_to(found.run, best, partial(_settled, likelihood) if can_settle else None)
    if optima[0] is not best:
        params = optima[0].parameters.flat()
        evaluation = _evaluate(likelihood, params)
    parameters = _largest_first(likelihood, optima[0].parameters)
    if hessian and isinstance(evaluation, WideEvaluation):
        evaluation = likelihood.evaluate(parameters.flat())
    elif not np.array_equal(parameters.flat(), params):
        evaluation = _evaluate(likelihood, parameters.flat())
    starts = found.table(likelihood, evaluation.value, number)
    # the last steps of the best are Newton's, where there was time for them
    is_finished = starts["finished"] | (starts["is_best"] & (ended != "interrupted"))
    moments = found.moments
    if moments is not None:
        moments = likelihood.conform(Parameters(moments.beta[None], moments.gamma[None]))[0]
        moments = _largest_first(likelihood, moments)
    certificate = certify(
        likelihood,
        parameters,
        evaluation,
        ended=ended,
        n_finished=int(is_finished.sum()),
        n_agree=int((is_finished & starts["is_best"]).sum()),
        rivals=describe_rivals(
            [replace(best, parameters=parameters, value=evaluation.value), *optima[1:]],
            likelihood.param_names,
        ),
    )
    return Fit(
        parameters=parameters,
        evaluation=evaluation.point() if isinstance(evaluation, WideEvaluation) else evaluation,
        certificate=certificate,
        starts=starts,
        n_em_iter=int(found.run.n_iter[0]),
        n_newton_iter=n_newton,
        n_candidates=found.n_candidates,
        n_candidate_iterations=found.n_candidate_iterations,
        moments=moments,
    )


def _settled(likelihood: MixtureLikelihood, mixture: Parameters) -> tuple[Parameters, float]:
    """Go on from where EM left a mixture to its maximum, and the value there."""
    params, at, _, _ = _newton(likelihood, mixture.flat(), _SETTLE, _watch_nothing)
    return likelihood.unpack(params), at.value


def _watch_nothing(n_iter: int, at: Evaluation, params: np.ndarray) -> None:
    """Do without a callback."""


def _largest_first(likelihood: MixtureLikelihood, parameters: Parameters) -> Parameters:
    """Put the classes in order of their share, unless they are told apart otherwise."""
    mean_share = likelihood.prior(parameters).T @ likelihood.weight
    order = np.argsort(-mean_share, kind="stable")
    is_kept = likelihood.names_classes or (np.diff(order) > 0).all()
    return parameters if is_kept else parameters.reordered(order)


def _newton(
    likelihood: MixtureLikelihood,
    params: np.ndarray,
    maxiter: int,
    callback: Callable[[int, Evaluation, np.ndarray], None],
) -> tuple[np.ndarray, Evaluation, int, str]:
    """Newton steps to a maximum where the constraints hold: where, what, how many, how it ended.

    Parameters with a sign are held at zero while the score pushes them there, and free otherwise.
    """
    constraints = likelihood.constraints
    phi, is_held = constraints.reduced(params), constraints.at_bound(params)
    n_iter = 0
    for _ in range(_FACES):
        face = constraints.holding(is_held)
        on_face = partial(_evaluate_on, likelihood, face)
        watch = partial(_watch_on, callback, face)
        ascent = maximise(on_face, phi[~is_held], maxiter=maxiter - n_iter, callback=watch)
        n_iter += ascent.n_iter
        there = phi.copy()
        there[~is_held] = ascent.x
        is_beyond = (there < constraints.lower) | (there > constraints.upper)
        if is_beyond.any():  # go on from the first bound on the way, and hold what meets it
            way = np.full(len(phi), np.inf)
            way[is_beyond] = phi[is_beyond] / (phi - there)[is_beyond]
            is_met = way == way.min()
            phi = phi + way.min() * (there - phi)
            phi[is_met] = 0.0
            is_held |= is_met
            continue
        phi, status, params = there, ascent.status, constraints.full(there)
        at = ascent.evaluation if constraints.is_none else likelihood.evaluate(params)
        pull = np.where(is_held, constraints.inward(constraints.gradient(at.score)), 0.0)
        if status == "maxiter" or not (pull > 0).any():
            return params, at, n_iter, status
        is_held[np.argmax(pull)] = False
    params = constraints.full(phi)
    return params, likelihood.evaluate(params), n_iter, "maxiter"


def _evaluate_on(
    likelihood: MixtureLikelihood, constraints: Constraints, phi: np.ndarray
) -> Evaluation:
    """The log-likelihood and its derivatives by the free parameters."""
    return likelihood.evaluate(constraints.full(phi)).under(constraints)


def _watch_on(
    callback: Callable[[int, Evaluation, np.ndarray], None],
    constraints: Constraints,
    n_iter: int,
    at: Evaluation,
    phi: np.ndarray,
) -> None:
    """Show a callback all parameters, not the free ones alone."""
    callback(n_iter, at, constraints.full(phi))


def _single_start(
    likelihood: MixtureLikelihood,
    start: Parameters,
    method: str,
    maxiter: int,
    tol: float,
    callback: Callable[[int, np.ndarray, np.ndarray, Parameters], None],
    kept: Incumbent,
) -> Search:
    """Run EM from one given start; none of it before Newton alone."""
    stack = Parameters(start.beta[None], start.gamma[None])
    value = likelihood.expect(stack, information=False).llf - likelihood.penalty_at(stack.beta)
    if not np.isfinite(value).all():
        raise ArgumentError(
            f"The log-likelihood at start_params is {value[0]}. Give coefficients of a size that "
            "the attributes can bear."
        )
    kept.offer(float(value[0]), start)
    if method == "newton":
        nothing = np.zeros(1, dtype=int)
        run = Run(stack, value, nothing, np.array([np.inf]), nothing.astype(bool))
    else:
        m_step = choose_m_step(likelihood, pooled_logit(likelihood))
        climb = Climb(likelihood, m_step, axes_of_one(likelihood), maxiter, tol, callback)
        run = climb.to_the_end(stack)
    return Search(run, ("start_params",), 1, int(run.n_iter[0]))
