"""From starts to a certified point: search, EM, Newton."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from mixlogit.candidates import pooled_logit
from mixlogit.certificate import Certificate, certify
from mixlogit.constraints import Constraints
from mixlogit.curvature import Point, WideEvaluation, ascend, evaluate_wide
from mixlogit.em import Climb, Run
from mixlogit.errors import ArgumentError
from mixlogit.likelihood import Evaluation, MixtureLikelihood, Parameters
from mixlogit.newton import maximise
from mixlogit.starts import Search, choose_m_step, search

__all__ = ["METHODS", "Fit", "State", "estimate"]

METHODS = ("em-newton", "em", "newton")
_HAND_OVER = 1e-3  # EM hands over to Newton when this much log-likelihood is left
_FACES = 100  # sets of parameters at their bounds that Newton goes through
_MANY = 300  # parameters from which Newton steps take products with the Hessian, not itself
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
    """

    phase: str
    iteration: int
    llf: float
    shares: np.ndarray


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
        Iterations of the winning start.
    n_candidates, n_candidate_iterations : int
        Candidates of the search, and the EM iterations of all of them together.
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


@threadpool_limits.wrap(limits=1, user_api="blas")  # the products of a block are too small to share
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
    init, n_starts, rng
        As in `mixlogit.starts.search`.
    method : {"em-newton", "em", "newton"}
    maxiter : int
        Bound on EM iterations of each finalist, and on Newton steps.
    tol : float
        EM alone stops when Aitken's extrapolation promises less than this.
    callback : callable, optional
        Called with a `State` on every iteration.
    hessian : bool
        Whether the Hessian is wanted at the end, however many parameters there are.

    Returns
    -------
    Fit
    """
    if method not in METHODS:
        raise ArgumentError(f"method={method!r} is not one of {', '.join(METHODS)}.")
    total = float(likelihood.weight.sum())

    best = State("em", 0, -np.inf, np.full(likelihood.n_classes, np.nan))

    def watch(phase: str, llf: float, mass: np.ndarray) -> None:
        nonlocal best
        shares = mass / total if llf > best.llf else best.shares
        best = State(phase, best.iteration + 1, max(llf, best.llf), shares)
        if callback is not None:
            callback(best)

    def watch_em(iteration: int, value: np.ndarray, mass: np.ndarray) -> None:
        leader = int(value.argmax())
        # runs with more classes, or on a sample, only count
        is_whole = mass.shape[-1] == likelihood.n_classes and np.isclose(mass[leader].sum(), total)
        watch("em", float(value[leader]) if is_whole else -np.inf, mass[leader])

    def watch_newton(iteration: int, at: Evaluation | WideEvaluation, phi: np.ndarray) -> None:
        watch("newton", at.value, at.mass)

    em_maxiter = _WARM_UP if method == "newton" else maxiter
    em_tol = tol if method == "em" else max(tol, _HAND_OVER)
    if start is not None:
        found = _single_start(likelihood, start, method, em_maxiter, em_tol, watch_em)
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
    params = found.run.parameters[0].flat()
    constraints = likelihood.constraints
    evaluate: Callable[[np.ndarray], Evaluation | WideEvaluation] = likelihood.evaluate
    has_many = constraints.is_none and likelihood.n_params >= _MANY
    if has_many:
        evaluate = partial(evaluate_wide, likelihood)
    if method == "em":
        evaluation, n_newton = evaluate(params), 0
        ended = "em" if found.run.converged[0] else "maxiter"
    elif has_many:
        ascent = ascend(likelihood, params, maxiter=maxiter, callback=watch_newton)
        params, n_newton, ended = ascent.x, ascent.n_iter, ascent.status
        evaluation = replace(ascent.evaluation, near=None)
    else:
        params, evaluation, n_newton, ended = _newton(likelihood, params, maxiter, watch_newton)
    order = np.argsort(-evaluation.mass, kind="stable")
    is_ordered = constraints.names_classes or not (np.diff(order) < 0).any()
    if not is_ordered:
        params = likelihood.unpack(params).reordered(order).flat()
    if hessian and has_many:
        evaluation = likelihood.evaluate(params)
    elif not is_ordered:
        evaluation = evaluate(params)
    parameters = likelihood.unpack(params)
    starts = found.table(likelihood, evaluation.value)
    moments = found.moments
    if moments is not None:
        moments = likelihood.conform(Parameters(moments.beta[None], moments.gamma[None]))[0]
    if moments is not None and not constraints.names_classes:
        mean_share = likelihood.prior(moments).T @ likelihood.weight
        moments = moments.reordered(np.argsort(-mean_share, kind="stable"))
    certificate = certify(
        likelihood,
        parameters,
        evaluation,
        ended=ended,
        n_finished=int((starts["finished"] | starts["is_best"]).sum()),
        n_agree=int(starts["is_best"].sum()),
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
        on_face = partial(_evaluate_on, likelihood, constraints.holding(is_held))
        ascent = maximise(on_face, phi[~is_held], maxiter=maxiter - n_iter, callback=callback)
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


def _single_start(
    likelihood: MixtureLikelihood,
    start: Parameters,
    method: str,
    maxiter: int,
    tol: float,
    callback: Callable[[int, np.ndarray, np.ndarray], None],
) -> Search:
    """Run EM from one given start; none of it before Newton alone."""
    stack = Parameters(start.beta[None], start.gamma[None])
    value = likelihood.expect(stack, information=False).llf - likelihood.penalty_at(stack.beta)
    if not np.isfinite(value).all():
        raise ArgumentError(
            f"The log-likelihood at start_params is {value[0]}. Give coefficients of a size that "
            "the attributes can bear."
        )
    if method == "newton":
        nothing = np.zeros(1, dtype=int)
        run = Run(stack, value, nothing, np.array([np.inf]), nothing.astype(bool))
    else:
        m_step = choose_m_step(likelihood, pooled_logit(likelihood))
        run = Climb(likelihood, m_step, maxiter, tol, callback).to_the_end(stack)
    return Search(run, ("start_params",), 1, int(run.n_iter[0]))
