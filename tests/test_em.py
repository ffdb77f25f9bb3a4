"""The EM loop against whole M-steps and plain EM, and the claims it makes about itself."""

from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import oracle
import pytest
import scipy.linalg
import zoo
from conftest import swissmetro_model

from mixlogit import em
from mixlogit.constraints import Constraints, Restrictions
from mixlogit.em import (
    Climb,
    NewtonStep,
    Run,
    WhitenedStep,
    WideStep,
    _with_old_information,
    expectation_maximisation,
)
from mixlogit.errors import NotMonotoneError
from mixlogit.likelihood import Expectation, MixtureLikelihood, Parameters
from mixlogit.logit import ChoiceTable
from mixlogit.newton import maximise
from mixlogit.pooled import axes_of_one

ROUND_OFF = 1e-12  # of a sum of log-probabilities
LOOP = 1e-11  # sums of the same terms in another order, through the inverse of a covariance


@pytest.fixture(params=zoo.CASES, ids=lambda case: case.name)
def case(request):
    return request.param


def random_stack(likelihood, n, seed, spread=1.0):
    """Tastes a few utils per spread of an attribute apart, and uneven shares."""
    rng = np.random.default_rng(seed)
    n_classes, data = likelihood.n_classes, likelihood.data
    beta = spread * rng.normal(size=(n, n_classes, data.n_attributes)) / data.exog_scale
    gamma = 0.5 * rng.normal(size=(n, n_classes - 1, data.membership.shape[1]))
    return Parameters(beta, gamma)


def watched(likelihood, parameters, **keywords):
    """A run, and the values that its callback saw."""
    seen = []
    run = expectation_maximisation(
        likelihood,
        parameters,
        callback=lambda iteration, value, mass, here: seen.append((iteration, value, mass)),
        **keywords,
    )
    return run, seen


def penalised(likelihood, parameters):
    return np.array([likelihood.evaluate(flat).value for flat in parameters.flat()])


def whitened(likelihood, size=1.0):
    """The step by the covariance of attributes under the logit with one class, no penalty."""
    one = MixtureLikelihood(likelihood.table, 1)
    n_choices = float(likelihood.data.choices_per_individual @ likelihood.weight)
    pooled = maximise(one.evaluate, np.zeros(one.n_params)).x
    return WhitenedStep(-one.evaluate(pooled).hessian / n_choices, size)


def one_logit(likelihood):
    """The best logit with one class, as a point (L,)."""
    one = likelihood.with_classes(1)
    return maximise(one.evaluate, np.zeros(one.n_params))


WAYS = {
    "plain": lambda likelihood: NewtonStep(),
    "accelerated": lambda likelihood: NewtonStep(),
    "old curvature": lambda likelihood: NewtonStep(refresh=4),
    "whitened": whitened,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("n_classes", [1, 2, 3])
@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_no_step_is_lower_than_the_last(case, n_classes, penalty, way):
    likelihood = case.model(n_classes).likelihood(penalty)
    start = random_stack(likelihood, 1, seed=n_classes, spread=2.0)
    run, seen = watched(
        likelihood,
        start,
        maxiter=25,
        tol=0.0,
        accelerate=way != "plain",
        m_step=WAYS[way](likelihood),
    )
    values = np.append(penalised(likelihood, start), [value[0] for _, value, _ in seen])
    assert (np.diff(values) >= -ROUND_OFF * np.maximum(1.0, np.abs(values[1:]))).all()
    assert [iteration for iteration, _, _ in seen] == list(range(1, 26))
    assert run.n_iter[0] == 25
    assert not run.converged[0]  # a tolerance of 0 never stops
    assert run.value[0] == values[-1]
    assert run.value[0] == pytest.approx(penalised(likelihood, run.parameters)[0], rel=ROUND_OFF)
    assert seen[-1][2].sum() == pytest.approx(likelihood.weight.sum())


def test_a_stack_runs_as_each_start_does_alone(case):
    likelihood = case.model(2).likelihood()
    start = random_stack(likelihood, 3, seed=1)
    together = expectation_maximisation(likelihood, start, maxiter=12, tol=1e-3)
    for g in range(3):
        alone = expectation_maximisation(likelihood, start[[g]], maxiter=12, tol=1e-3)
        # sums of products of matrices of another shape, over 12 iterations
        np.testing.assert_allclose(together.value[g], alone.value[0], rtol=1e-9)
        np.testing.assert_allclose(
            together.parameters.flat()[g], alone.parameters.flat()[0], rtol=1e-9, atol=1e-9
        )
        assert together.n_iter[g] == alone.n_iter[0]
        assert together.converged[g] == alone.converged[0]


# Interior maxima of two classes near the tastes that were drawn, by the making of the zoo
@pytest.mark.parametrize("accelerate", [False, True])
@pytest.mark.parametrize("name", ["balanced panel", "sampling weights", "counts", "shared table"])
def test_one_newton_step_per_iteration_ends_where_whole_m_steps_end(name, accelerate):
    case = zoo.case(name)
    likelihood = case.model(2).likelihood()
    beta = zoo.TASTES[:, : case.n_attributes]
    gamma = np.zeros((1, 1))
    start = Parameters(beta[None], gamma[None])
    run = expectation_maximisation(
        likelihood, start, maxiter=2000, tol=1e-11, accelerate=accelerate
    )
    assert run.converged[0]
    for _ in range(8):
        beta, gamma = oracle.em_step(case.problem, beta, gamma)
    on_the_way = oracle.log_likelihood(case.problem, beta, gamma)
    assert on_the_way - 1e-9 <= run.value[0] <= on_the_way + 1.0  # the same hill
    end = run.parameters[0]
    score = oracle.score(case.problem, end.beta, end.gamma)
    # a gap of 1e-11, or of 1e-10 where gains drown, is score² over twice the curvature, which is
    # below 1e3 here
    assert np.abs(score).max() < 1e-3
    beta, gamma = oracle.em_step(case.problem, end.beta, end.gamma)
    np.testing.assert_allclose(beta, end.beta, atol=1e-4)  # score over complete information
    np.testing.assert_allclose(gamma, end.gamma, atol=1e-4)
    # the last step promised no more than round-off, 1e-12 of the log-likelihood
    assert run.value[0] == pytest.approx(
        oracle.log_likelihood(case.problem, beta, gamma), rel=2 * ROUND_OFF
    )


def test_membership_covariates_end_where_whole_m_steps_end():
    case = zoo.case("membership")
    likelihood = case.model(2).likelihood(0.5)  # without a penalty a region has one class only
    start = Parameters(zoo.TASTES[None, :, :2], np.zeros((1, 1, case.n_covariates)))
    run = expectation_maximisation(likelihood, start, maxiter=2000, tol=1e-9)
    ascent = maximise(likelihood.evaluate, run.parameters.flat()[0])
    assert run.converged[0]
    assert run.value[0] == pytest.approx(ascent.evaluation.value, abs=1e-6)


def slow_problem():
    """Two classes that four choices a person tell apart slowly, from a start in the middle."""
    frame = zoo.survey(0, [[3] * 4] * 60)
    likelihood = zoo.Case("slow", frame, zoo.TWO, zoo.PANEL).model(2).likelihood()
    return likelihood, random_stack(likelihood, 1, seed=3, spread=0.3)


def fast_problem():
    likelihood = zoo.case("huge utilities").model(2).likelihood()
    return likelihood, random_stack(likelihood, 1, seed=3)


# The gap is promise over the least of 1 − rate that was seen of late. Plain EM leaves the error in
# its slowest direction, where that is exact in the end. Where the error is elsewhere, as it is
# after an extrapolation or soon after the start, the gap is too large, not too small.
@pytest.mark.parametrize("accelerate", [False, True])
@pytest.mark.parametrize("problem", [slow_problem, fast_problem])
def test_the_gap_is_what_further_iterations_add(problem, accelerate):
    likelihood, start = problem()
    top = expectation_maximisation(likelihood, start, maxiter=5000, tol=1e-11).parameters.flat()[0]
    best = maximise(likelihood.evaluate, top).evaluation.value
    ratio = []
    for tol in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7):
        run = expectation_maximisation(
            likelihood, start, maxiter=5000, tol=tol, accelerate=accelerate
        )
        assert run.converged[0]
        assert run.gap[0] < tol
        left = best - run.value[0]
        assert left < 1.5 * tol  # nothing that ends is far below the maximum
        if run.gap[0] > 1e-8 and tol <= 1e-3:  # at the foot of the maximum, above round-off
            ratio.append(left / run.gap[0])
    assert len(ratio) >= 2
    assert 0.1 < min(ratio) <= max(ratio) < 1.5
    if problem is slow_problem and not accelerate:
        assert ratio[-1] == pytest.approx(1, abs=0.15)  # a rate that has settled


def test_the_rate_is_that_of_the_maximum():
    """Promise over gap, 1 − rate, is the least eigenvalue of complete⁻¹ observed information."""
    likelihood, start = slow_problem()
    top = expectation_maximisation(likelihood, start, maxiter=5000, tol=1e-11).parameters.flat()[0]
    at = maximise(likelihood.evaluate, top).evaluation
    left = np.linalg.eigvals(np.linalg.solve(at.complete_information, -at.hessian)).real.min()
    run = expectation_maximisation(likelihood, start, maxiter=60, tol=1e-6, accelerate=False)
    end = likelihood.evaluate(run.parameters.flat()[0])
    promise = 0.5 * end.score @ np.linalg.solve(end.complete_information, end.score)
    assert promise / run.gap[0] == pytest.approx(left, rel=0.01)  # of 35 iterations, at the end


# -- acceleration ----------------------------------------------------------------------------------


def linear_steps(rates, n_steps, seed=0):
    """A past of plain steps (I − A)(x* − x), A symmetric in a diagonal metric, with these rates."""
    rng = np.random.default_rng(seed)
    n = len(rates)
    metric = rng.uniform(0.2, 3.0, size=n)
    basis = np.linalg.qr(rng.normal(size=(n, n)))[0]
    map_ = (basis * rates) @ basis.T * np.sqrt(metric) / np.sqrt(metric)[:, None]
    goal, x = rng.normal(size=n), rng.normal(size=n)
    history = em._History(x[None], ((np.eye(n) - map_) @ (goal - x))[None])
    for _ in range(n_steps):
        x = history.x[0] + history.step[0]
        history.append(np.array([True]), x[None], ((np.eye(n) - map_) @ (goal - x))[None])
    return history, metric[None], goal


@pytest.mark.parametrize("rates", [[0.9], [0.8, 0.2], [0.95, 0.7, 0.1], [1.3, 0.6]])
def test_an_extrapolation_of_linear_steps_ends_at_their_goal(rates):
    history, metric, goal = linear_steps(np.array(rates), len(rates))
    end = history.x[0] + history.extrapolated(metric)[0]
    # the ridge of 1e-10 on squares of steps, of which the smallest are parallel to the rest
    np.testing.assert_allclose(end, goal, atol=1e-3)
    before = np.abs(goal - history.x[0] - history.step[0]).max()
    assert np.abs(end - goal).max() < 0.02 * before


def test_an_extrapolation_is_least_squares_with_a_ridge(monkeypatch):
    """A tenth of the squares of all differences, so that it shows."""
    history, metric, _ = linear_steps(np.array([0.9, 0.6, 0.3, 0.2]), 3)
    monkeypatch.setattr(em, "_DAMPING", 0.1)
    root = np.sqrt(metric[0])[:, None]
    changed, moved = root * history.changed[:3, 0].T, history.moved[:3, 0].T
    ridge = np.sqrt(0.1 * (changed**2).sum()) * np.eye(3)
    left = np.append(root[:, 0] * history.step[0], np.zeros(3))
    share = np.linalg.lstsq(np.vstack([changed, ridge]), left, rcond=None)[0]
    expected = history.step[0] - (moved + changed / root) @ share
    np.testing.assert_allclose(history.extrapolated(metric)[0], expected, rtol=1e-10)


def test_without_a_past_the_step_is_plain_and_the_rate_unknown():
    history, metric, _ = linear_steps(np.array([0.9, 0.5]), 0)
    np.testing.assert_array_equal(history.extrapolated(metric), history.step)
    assert np.isnan(history.left(metric)).all()
    longer, metric, _ = linear_steps(np.array([0.9, 0.5]), 3)
    longer.forget(np.array([True]))
    np.testing.assert_array_equal(longer.extrapolated(metric), longer.step)
    assert np.isnan(longer.left(metric)).all()


def test_what_is_forgotten_does_not_come_back():
    """One step after a start anew, an extrapolation is the one of that step alone."""
    long, metric, goal = linear_steps(np.array([0.9, 0.5, 0.2]), 3)
    new = em._History(long.x, long.step)
    long.forget(np.array([True]))
    x = long.x + long.step
    step = 0.4 * (goal - x)
    for history in (long, new):
        history.append(np.array([True]), x, step)
    np.testing.assert_array_equal(long.extrapolated(metric), new.extrapolated(metric))
    np.testing.assert_array_equal(long.left(metric), new.left(metric))


@pytest.mark.parametrize("rates", [[0.9], [0.95, 0.3], [0.9, 0.6, 0.3], [1.3, 0.6]])
def test_the_least_of_one_less_the_rates_is_seen(rates):
    history, metric, _ = linear_steps(np.array(rates), 5)
    # 1 − 1.3 is negative: steps grow. Five moves hold the slowest direction, but for the tolerance
    # for parallel ones
    assert history.left(metric)[0] == pytest.approx(1 - max(rates), abs=0.01)


def test_mixtures_that_end_leave_the_past_of_the_others():
    first, metric, _ = linear_steps(np.array([0.9, 0.4]), 2, seed=1)
    both = em._History(np.repeat(first.x, 2, axis=0), np.repeat(first.step, 2, axis=0))
    both.moved = np.repeat(first.moved, 2, axis=1)
    both.changed = np.repeat(first.changed, 2, axis=1)
    both.depth = np.array([0, 2])
    both.keep(np.array([False, True]))
    np.testing.assert_array_equal(both.extrapolated(metric), first.extrapolated(metric))
    np.testing.assert_array_equal(both.left(metric), first.left(metric))


def hard_survey():
    """Four classes of travellers: plain EM takes 88 passes."""
    likelihood = swissmetro_model(4).likelihood()
    return likelihood, random_stack(likelihood, 1, seed=0, spread=0.5)


@pytest.mark.parametrize(("problem", "times"), [(slow_problem, 1.5), (hard_survey, 2.0)])
def test_acceleration_ends_at_the_same_maximum_in_fewer_passes(problem, times):
    likelihood, start = problem()
    plain = expectation_maximisation(likelihood, start, maxiter=5000, tol=1e-7, accelerate=False)
    fast = expectation_maximisation(likelihood, start, maxiter=5000, tol=1e-7)
    assert plain.converged[0]
    assert fast.converged[0]
    assert fast.value[0] == pytest.approx(plain.value[0], abs=1e-6)  # a few times tol
    assert times * fast.n_iter[0] < plain.n_iter[0]


@pytest.mark.parametrize("accelerate", [False, True])
@pytest.mark.parametrize("size", [1e-4, 1e-5, 1e-6])
@pytest.mark.parametrize("name", ["balanced panel", "repeated choices"])
def test_a_saddle_is_left(name, size, accelerate):
    """Two classes with nearly the tastes of the one logit: the score is nearly 0."""
    likelihood = zoo.case(name).model(2).likelihood()
    one = one_logit(likelihood)
    apart = size * np.linspace(-1, 1, likelihood.data.n_attributes) / likelihood.data.exog_scale
    start = Parameters(np.array([[one.x + apart, one.x - apart]]), np.array([[[0.3]]]))
    short = expectation_maximisation(likelihood, start, maxiter=2, tol=1e-3, accelerate=accelerate)
    assert short.value[0] - one.evaluation.value < 0.1  # still there,
    assert short.gap[0] > 1.0  # and not taken for a maximum
    run = expectation_maximisation(likelihood, start, maxiter=500, tol=1e-8, accelerate=accelerate)
    assert run.converged[0]
    elsewhere = random_stack(likelihood, 8, seed=0)
    best = expectation_maximisation(likelihood, elsewhere, maxiter=500, tol=1e-8).value.max()
    assert run.value[0] == pytest.approx(best, abs=1e-6)  # a few times tol


# -- giving up -------------------------------------------------------------------------------------


def test_a_floor_gives_up_hopeless_mixtures_and_never_the_best():
    likelihood = swissmetro_model(3).likelihood()
    start = random_stack(likelihood, 8, seed=0, spread=0.5)
    free = expectation_maximisation(likelihood, start, maxiter=2000, tol=1e-6)
    assert np.ptp(free.value) > 10  # several local maxima
    held = expectation_maximisation(likelihood, start, maxiter=2000, tol=1e-6, floor=-np.inf)
    assert held.converged[held.value.argmax()]
    assert held.value.max() == pytest.approx(free.value.max(), abs=1e-5)  # a few times tol
    given_up = ~held.converged
    assert given_up.any()
    assert (held.value[given_up] < held.value.max()).all()
    assert held.n_iter.sum() < free.n_iter.sum()
    # what is given up would not have won
    assert (free.value[given_up] <= held.value.max() + 1e-5).all()


def test_a_floor_above_all_ends_all():
    likelihood, start = slow_problem()
    top = expectation_maximisation(likelihood, start, maxiter=500, tol=1e-9).value[0]
    run = expectation_maximisation(likelihood, start, maxiter=500, tol=1e-9, floor=top + 1.0)
    assert not run.converged[0]
    assert run.value[0] < top
    below = expectation_maximisation(likelihood, start, maxiter=500, tol=1e-9, floor=top - 1.0)
    assert below.converged[0]


def test_climbs_run_as_they_are_told():
    likelihood, start = slow_problem()
    seen = []
    climb = Climb(
        likelihood,
        NewtonStep(),
        axes_of_one(likelihood),
        500,
        1e-6,
        lambda *state: seen.append(state),
    )
    some = climb.some(start, 3)
    assert some.n_iter.tolist() == [3]
    assert len(seen) == 3
    end = climb.to_the_end(start)
    assert end.converged.all()
    assert len(seen) == 3 + end.n_iter[0]
    above_all = climb.to_the_end(start, floor=end.value[0] + 1.0)
    assert not above_all.converged.any()
    more = climb.with_classes(3)
    assert more.likelihood.n_classes == 3
    assert more.likelihood.table is likelihood.table
    assert (more.m_step, more.maxiter, more.tol) == (climb.m_step, 500, 1e-6)


def test_climbs_take_the_step_that_they_are_given():
    likelihood, start = slow_problem()
    m_step = whitened(likelihood, 0.5)
    climb = Climb(likelihood, m_step, axes_of_one(likelihood), 5, 0.0)
    alone = expectation_maximisation(
        likelihood, start, maxiter=5, tol=0.0, m_step=m_step, axes=axes_of_one(likelihood)
    )
    for run in (climb.some(start, 5), climb.to_the_end(start)):
        np.testing.assert_array_equal(run.value, alone.value)


# -- the whitened step -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1.0, 0.5])
@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_the_whitened_step_agrees_with_the_loop(case, penalty, size):
    likelihood = case.model(2).likelihood(penalty)
    parameters = random_stack(likelihood, 1, seed=5)
    m_step = whitened(likelihood, size)
    beta, gamma = parameters.beta[0], parameters.gamma[0]
    everyone = sum(person.total_weight for person in case.problem)
    choices = 0.0
    mass, gradient = np.zeros(2), np.zeros(beta.shape)
    for person in case.problem:
        choices += person.total_weight * sum(n.sum() for _, n in person.choices) / everyone
        for k, r in enumerate(oracle.posterior_of(person, beta, gamma)):
            mass[k] += person.total_weight * r
            gradient[k] += person.total_weight * r * oracle.taste_score(person, beta[k])
    ridge = penalty * likelihood.data.exog_covariance
    unit = np.outer(likelihood.data.exog_scale, likelihood.data.exog_scale)
    expected = np.array(
        [
            np.linalg.solve(
                (choices * mass[k] * m_step.covariance + ridge) / unit,
                (gradient[k] - ridge @ beta[k]) / likelihood.data.exog_scale,
            )
            for k in range(2)
        ]
    )
    at = likelihood.expect(parameters, information=False)
    found = m_step.step(likelihood, at)[0] * likelihood.data.exog_scale
    scale = max(1.0, np.abs(expected).max())
    # solve_scaled adds a ridge of 1e-12 to a correlation matrix
    np.testing.assert_allclose(found, size * expected, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("penalty", [0.0, 0.7])
@pytest.mark.parametrize("n_classes", [1, 2])
def test_the_whitened_step_is_newtons_where_all_classes_have_the_covariance(
    case, n_classes, penalty
):
    """Classes of the same tastes have it, whatever their shares."""
    likelihood = case.model(n_classes).likelihood(penalty)
    tastes = 0.3 * np.linspace(-1, 1, case.n_attributes) / likelihood.data.exog_scale
    gamma = np.zeros((1, n_classes - 1, case.n_covariates))
    if case.n_covariates == 1:
        gamma += 0.7
    parameters = Parameters(np.tile(tastes, (1, n_classes, 1)), gamma)
    plain = MixtureLikelihood(likelihood.table, 1)
    n_choices = float(likelihood.data.choices_per_individual @ likelihood.weight)
    m_step = WhitenedStep(-plain.evaluate(tastes).hessian / n_choices)
    at = likelihood.expect(parameters)
    newton = NewtonStep().step(likelihood, at) * likelihood.data.exog_scale
    found = m_step.step(likelihood, at) * likelihood.data.exog_scale
    # solve_scaled adds a ridge of 1e-12 to a correlation matrix
    np.testing.assert_allclose(found, newton, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("size", [1.0, 0.5])
@pytest.mark.parametrize("penalty", [0.0, 0.5])
@pytest.mark.parametrize(
    "name", ["balanced panel", "ragged panel", "repeated choices", "membership"]
)
def test_whitened_steps_end_at_the_maximum_of_newtons(name, penalty, size):
    likelihood = zoo.case(name).model(2).likelihood(penalty)
    start = random_stack(likelihood, 1, seed=0, spread=0.5)
    newton = expectation_maximisation(likelihood, start, maxiter=3000, tol=1e-9)
    first = expectation_maximisation(
        likelihood, start, maxiter=3000, tol=1e-9, m_step=whitened(likelihood, size)
    )
    assert first.converged[0]
    assert first.value[0] == pytest.approx(newton.value[0], abs=1e-6)  # far above tol and drowning
    np.testing.assert_allclose(
        first.parameters.flat() * unit_of(likelihood),
        newton.parameters.flat() * unit_of(likelihood),
        atol=1e-3,  # the root of the above
    )


def unit_of(likelihood):
    """Spread of each attribute, one for membership logits: what makes parameters pure numbers."""
    data = likelihood.data
    n_gate = (likelihood.n_classes - 1) * data.membership.shape[1]
    return np.append(np.tile(data.exog_scale, likelihood.n_classes), np.ones(n_gate))


# -- ends and safeguards ---------------------------------------------------------------------------


def test_mixtures_that_have_converged_stop_and_others_go_on():
    likelihood = zoo.case("balanced panel").model(2).likelihood()
    far = random_stack(likelihood, 1, seed=0)
    near = expectation_maximisation(likelihood, far, maxiter=1000, tol=1e-10).parameters
    stack = Parameters(
        np.concatenate([far.beta, near.beta]), np.concatenate([far.gamma, near.gamma])
    )
    run, seen = watched(likelihood, stack, maxiter=1000, tol=1e-6)
    assert run.converged.all()
    assert run.n_iter[1] < run.n_iter[0]
    assert [len(value) for _, value, _ in seen[-1:]] == [1]
    assert run.value[0] == pytest.approx(run.value[1], abs=1e-5)


def test_callbacks_see_the_mixtures_that_were_still_running():
    likelihood = zoo.case("balanced panel").model(2).likelihood()
    far = random_stack(likelihood, 1, seed=0)
    near = expectation_maximisation(likelihood, far, maxiter=1000, tol=1e-10).parameters
    seen = []
    run = expectation_maximisation(
        likelihood,
        Parameters.stack([far, near]),
        maxiter=1000,
        tol=1e-6,
        callback=lambda *state: seen.append(state),
    )
    for _, value, mass, here in seen:
        np.testing.assert_allclose(value, penalised(likelihood, here), rtol=ROUND_OFF)
        found = [likelihood.evaluate(flat).mass for flat in here.flat()]
        np.testing.assert_allclose(mass, found, rtol=1e-11)
    assert len(seen[0][1]) == 2
    np.testing.assert_array_equal(seen[-1][3].flat()[0], run.parameters.flat()[0])


@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_maxiter_bounds_iterations(penalty):
    likelihood = zoo.case("ragged panel").model(2).likelihood(penalty)
    start = random_stack(likelihood, 2, seed=0)
    run = expectation_maximisation(likelihood, start, maxiter=3, tol=1e-12)
    np.testing.assert_array_equal(run.n_iter, 3)
    assert not run.converged.any()
    none = expectation_maximisation(likelihood, start, maxiter=0, tol=1e-12)
    np.testing.assert_array_equal(none.n_iter, 0)
    np.testing.assert_array_equal(none.parameters.flat(), start.flat())
    np.testing.assert_allclose(none.value, penalised(likelihood, start), rtol=ROUND_OFF)
    assert np.isinf(none.gap).all()


def test_the_start_is_not_changed():
    likelihood = zoo.case("ragged panel").model(2).likelihood()
    start = random_stack(likelihood, 2, seed=0)
    before = start.flat().copy()
    expectation_maximisation(likelihood, start, maxiter=3, tol=1e-12)
    np.testing.assert_array_equal(start.flat(), before)


def test_runs_are_picked_from_a_stack():
    likelihood = zoo.case("ragged panel").model(2).likelihood()
    run = expectation_maximisation(
        likelihood, random_stack(likelihood, 3, seed=0), maxiter=3, tol=1e-12
    )
    picked = run[np.array([2, 0])]
    assert isinstance(picked, Run)
    np.testing.assert_array_equal(picked.value, run.value[[2, 0]])
    np.testing.assert_array_equal(picked.parameters.beta, run.parameters.beta[[2, 0]])


def test_a_step_that_overshoots_is_halved_and_counted():
    """Far from the maximum nearly all probabilities are 0 or 1 and Newton's step is too long."""
    likelihood = zoo.case("balanced panel").model(1).likelihood()
    start = Parameters(np.full((1, 1, 3), 3.0), np.zeros((1, 0, 1)))
    run, seen = watched(likelihood, start, maxiter=60, tol=1e-10)
    assert len(seen) == run.n_iter[0]  # every pass over the table
    values = np.array([value[0] for _, value, _ in seen])
    values = np.append(penalised(likelihood, start), values)
    assert (np.diff(values) >= -ROUND_OFF * np.abs(values[1:])).all()
    assert (np.diff(values[:-1]) == 0).any()  # a step was taken back
    best = maximise(likelihood.evaluate, np.zeros(3)).evaluation.value
    assert run.converged[0]
    assert run.value[0] == pytest.approx(best, abs=1e-8)


def test_a_short_gain_after_halving_is_not_taken_for_convergence():
    """A gain of 1e-5 by half a step: what came before says nothing of the rate."""
    likelihood = Stub([-1000.0, -900.0, -950.0, -900 + 1e-5, -890.0, -889.0], curvature=1.0)
    run, seen = watched(likelihood, likelihood.start, maxiter=3, tol=1e-4)
    assert [float(value[0]) for _, value, _ in seen] == [-900.0, -900.0, -900 + 1e-5]
    assert np.isinf(run.gap[0])
    assert not run.converged[0]


def test_a_class_that_vanishes_leaves_finite_numbers():
    case = zoo.case("balanced panel")
    likelihood = case.model(3).likelihood()
    beta = np.concatenate([zoo.TASTES, [[-30.0, 30.0, 60.0]]])[None]
    for logit in (-5.0, -100.0, -700.0):
        start = Parameters(beta, np.array([[[0.0], [logit]]]))
        run = expectation_maximisation(likelihood, start, maxiter=100, tol=1e-9)
        assert np.isfinite(run.parameters.flat()).all()
        assert np.isfinite(run.value).all()
        two = expectation_maximisation(
            case.model(2).likelihood(),
            Parameters(beta[:, :2], start.gamma[:, :1]),
            maxiter=100,
            tol=1e-9,
        )
        assert run.value[0] >= two.value[0] - 1e-6


class Stub:
    """A likelihood whose values are given, one a pass, whatever the parameters."""

    data = SimpleNamespace(exog_scale=np.ones(1), n_attributes=1, membership=np.ones((1, 1)))
    start = Parameters(np.zeros((1, 1, 1)), np.zeros((1, 0, 1)))
    membership = SimpleNamespace(m_step=lambda gamma, gradient, information: gamma)
    constraints = Constraints.none(1)

    def __init__(self, values, curvature):
        self.values = iter(values)
        self.curvature = curvature

    def conform(self, parameters):
        return parameters

    def penalty_at(self, beta):
        return np.zeros(len(beta))

    def unpack(self, flat):
        return Parameters(flat[..., None], np.zeros((len(flat), 0, 1)))

    def expect(self, parameters, *, information=True):
        return Expectation(
            llf=np.array([next(self.values)]),
            beta_gradient=np.ones((1, 1, 1)),
            beta_information=np.full((1, 1, 1, 1), self.curvature),
            gamma_gradient=np.zeros((1, 0, 1)),
            gamma_information=np.zeros((1, 0, 0)),
            mass=np.ones((1, 1)),
        )


@pytest.mark.parametrize("fall", [1e-6, 1.0, np.nan])
def test_a_likelihood_that_falls_for_every_step_is_refused(fall):
    likelihood = Stub([-10.0] + [-10.0 - fall] * 100, curvature=1.0)
    with pytest.raises(NotMonotoneError, match="fell"):
        expectation_maximisation(likelihood, likelihood.start, maxiter=50, tol=1e-8)


def test_steps_are_halved_forty_times_and_no_more():
    hill = Hill(lambda x, n: 1.0, lambda x, n: -float(n > 0))
    with pytest.raises(NotMonotoneError):
        hill.run(maxiter=100)
    # solve_scaled adds a ridge of 1e-12
    np.testing.assert_allclose(hill.at, [0.0, *0.5 ** np.arange(41)], rtol=1e-11)


def test_a_fall_in_proportion_to_the_step_is_not_taken_for_convergence():
    """As with a gradient of the wrong sign: short steps fall by less than round-off."""
    likelihood = Stub([-10.0] + [-10.0 - 0.5**n for n in range(100)], curvature=1.0)
    run = expectation_maximisation(likelihood, likelihood.start, maxiter=39, tol=1e-8)
    assert not run.converged[0]


def test_a_fall_within_round_off_is_convergence():
    likelihood = Stub([-1e4, -1e4 - 5e-9], curvature=1.0)
    run = expectation_maximisation(likelihood, likelihood.start, maxiter=5, tol=1e-8)
    assert run.converged[0]
    assert run.gap[0] == 0


def test_no_step_is_longer_than_four_utils():
    likelihood = Stub([-10.0, -9.0], curvature=1e-6)  # Newton would go 1e6
    run = expectation_maximisation(likelihood, likelihood.start, maxiter=1, tol=1e-8)
    assert run.parameters.beta[0, 0, 0] == 4.0


def test_an_empty_stack_runs_to_nothing():
    likelihood = zoo.case("ragged panel").model(2).likelihood()
    run = expectation_maximisation(
        likelihood, random_stack(likelihood, 0, seed=0), maxiter=5, tol=1e-8
    )
    assert len(run.value) == len(run.n_iter) == len(run.converged) == 0
    some = expectation_maximisation(
        likelihood, random_stack(likelihood, 2, seed=0), maxiter=2, tol=1e-8
    )
    assert some.n_iter.dtype == run.n_iter.dtype == int
    assert some.converged.dtype == run.converged.dtype == bool
    both = Run.stack([some, run, some[[0]]])
    np.testing.assert_array_equal(both.value, some.value[[0, 1, 0]])
    np.testing.assert_array_equal(both.parameters.beta, some.parameters.beta[[0, 1, 0]])


@pytest.mark.parametrize("refresh", [2, 5, 100])
@pytest.mark.parametrize("name", ["balanced panel", "counts", "shared table"])
def test_old_curvature_leads_to_the_same_maximum(name, refresh):
    likelihood = zoo.case(name).model(2).likelihood()
    start = Parameters(zoo.TASTES[None, :, : likelihood.data.n_attributes], np.zeros((1, 1, 1)))
    ends = [
        expectation_maximisation(
            likelihood, start, maxiter=5000, tol=1e-9, m_step=NewtonStep(every)
        )
        for every in (1, refresh)
    ]
    assert ends[1].converged[0]
    # each leaves about 1e-9, and round-off of 1e-12 of the log-likelihood
    assert ends[1].value[0] == pytest.approx(ends[0].value[0], abs=1e-7)


def test_old_curvature_is_found_anew_when_it_is_due():
    likelihood = zoo.case("balanced panel").model(2).likelihood()
    asked = []
    whole = likelihood.expect
    likelihood.expect = lambda *args, information: (
        asked.append(information) or whole(*args, information=information)
    )
    start = random_stack(likelihood, 1, seed=0)
    expectation_maximisation(likelihood, start, maxiter=6, tol=0.0, m_step=NewtonStep(3))
    assert asked == [True, False, False, True, False, False, True]


def test_old_curvature_grows_with_its_class():
    """Twice the individuals, with the tastes they had, have twice the information."""
    likelihood = zoo.case("balanced panel").model(2).likelihood()
    beta = np.stack([zoo.TASTES[0, : likelihood.data.n_attributes]] * 2)[None]
    shares = np.array([[0.25, 0.75], [0.5, 0.5]])
    start = Parameters(np.concatenate([beta, beta]), likelihood.membership.from_shares(shares))
    whole = likelihood.expect(start)  # two classes of one taste: posteriors are the shares
    first, second = (
        Expectation(*(getattr(whole, field.name)[[g]] for field in fields(whole))) for g in (0, 1)
    )
    found = _with_old_information(second, first)
    # sums over individuals in another proportion: round-off
    np.testing.assert_allclose(found.beta_information, second.beta_information, rtol=1e-12)
    np.testing.assert_array_equal(found.beta_gradient, second.beta_gradient)


def test_old_curvature_grows_a_thousandfold_at_most():
    """A class that all but vanished, and comes back, would else take no step for a long time."""

    def with_mass(mass):
        information = np.arange(1.0, 5.0).reshape(1, 4, 1, 1)
        return Expectation(*[np.zeros(1)] * 2, information, *[np.zeros(1)] * 2, np.array([mass]))

    found = _with_old_information(with_mass([6e3, 6.0, 2.0, 0.0]), with_mass([2.0, 2.0, 4.0, 0.0]))
    np.testing.assert_allclose(found.beta_information.ravel(), [1000.0, 6.0, 1.5, 0.0], rtol=1e-15)


def test_whitened_steps_never_ask_for_information():
    likelihood = zoo.case("balanced panel").model(2).likelihood()
    asked = []
    whole = likelihood.expect
    likelihood.expect = lambda *args, information: (
        asked.append(information) or whole(*args, information=information)
    )
    m_step = WhitenedStep(np.eye(3))
    start = random_stack(likelihood, 1, seed=0)
    expectation_maximisation(likelihood, start, maxiter=4, tol=0.0, m_step=m_step)
    assert asked == [False] * 5


def test_a_class_without_anybody_stays_where_it_is_by_whitened_steps():
    likelihood = zoo.case("balanced panel").model(2).likelihood()
    parameters = random_stack(likelihood, 1, seed=0)
    at = likelihood.expect(parameters, information=False)
    empty = replace(
        at, mass=at.mass * [[1.0, 0.0]], beta_gradient=at.beta_gradient * [[[1.0], [0.0]]]
    )
    step = WhitenedStep(np.eye(3)).step(likelihood, empty)
    np.testing.assert_array_equal(step[0, 1], 0.0)
    np.testing.assert_array_equal(step[0, 0], WhitenedStep(np.eye(3)).step(likelihood, at)[0, 0])


def test_newtons_step_is_for_stacks_whose_information_has_room():
    """Two mixtures of three classes with five attributes, and three copies of their information."""
    newton, whitened_step = NewtonStep(), WhitenedStep(np.eye(5))
    beta = np.zeros((2, 3, 5))
    n_bytes = 4 * 8 * 2 * 3 * 5 * 5
    assert WideStep(newton, whitened_step, n_bytes).for_stack(beta) is newton
    assert WideStep(newton, whitened_step, n_bytes - 1).for_stack(beta) is whitened_step


@pytest.mark.parametrize(("room", "asked_first"), [(0, False), (np.inf, True)])
def test_a_run_takes_the_step_that_has_room(room, asked_first):
    likelihood = zoo.case("balanced panel").model(2).likelihood()
    asked = []
    whole = likelihood.expect
    likelihood.expect = lambda *args, information: (
        asked.append(information) or whole(*args, information=information)
    )
    m_step = WideStep(NewtonStep(), WhitenedStep(np.eye(3)), room)
    start = random_stack(likelihood, 1, seed=0)
    expectation_maximisation(likelihood, start, maxiter=2, tol=0.0, m_step=m_step)
    assert asked == [asked_first] * 3


def test_the_metric_of_a_parameter_is_the_share_of_its_class():
    data = SimpleNamespace(n_attributes=2, membership=np.ones((1, 3)))
    at = SimpleNamespace(mass=np.array([[1.0, 3.0], [4.0, 4.0]]))
    found = em._metric(SimpleNamespace(data=data), at)
    expected = [[1, 1, 3, 3, 3, 3, 3], [2, 2, 2, 2, 2, 2, 2]]
    np.testing.assert_allclose(found, np.array(expected) / 4)


def test_many_attributes_begin_at_48():
    step = np.full((1, 48), 10.0)
    each = em._no_longer_than_allowed(step[:, :47], 47)
    np.testing.assert_allclose(each, 4.0, rtol=1e-15)
    together = em._no_longer_than_allowed(step, 48)
    np.testing.assert_allclose(together, 2.0 / np.sqrt(48), rtol=1e-13)


# -- one iteration ---------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_the_plain_step_and_its_promise_agree_with_the_loop(case, penalty):
    likelihood = case.model(2).likelihood(penalty)
    here = random_stack(likelihood, 1, seed=8, spread=0.3)
    axes, at = axes_of_one(likelihood), likelihood.expect(here)
    step, promise = em._plain_step(likelihood, axes, NewtonStep(), here, at)
    beta, gamma = here.beta[0], here.gamma[0]
    unit = 1 / unit_of(likelihood)
    n_tastes = beta.size
    each = penalty * likelihood.data.exog_covariance
    ridge = scipy.linalg.block_diag(each, each, np.zeros((gamma.size, gamma.size)))
    information, mass = ridge.copy(), np.zeros(2)
    for person in case.problem:
        for k, r in enumerate(oracle.posterior_of(person, beta, gamma)):
            mass[k] += person.total_weight * r
            information -= person.total_weight * r * oracle.complete_hessian(person, k, beta, gamma)
    score = oracle.score(case.problem, beta, gamma) - ridge @ here.flat()[0]
    expected = np.linalg.solve(information * np.outer(unit, unit), score * unit)
    if gamma.shape == (1, 1):  # shares have a closed form
        expected[n_tastes:] = np.log(mass[1] / mass[0]) - gamma[0, 0]
    along = axes.coordinates((unit * expected)[:n_tastes].reshape(beta.shape))
    assert np.abs(along).max() < 4  # as long as a step may be
    # solve_scaled adds a ridge of 1e-12 to a correlation matrix
    np.testing.assert_allclose(step[0], np.append(along, expected[n_tastes:]), rtol=1e-8, atol=1e-9)
    assert promise[0] == pytest.approx(0.5 * expected @ (score * unit), rel=1e-8)


@pytest.mark.parametrize("linear", [(), ("class2._membership.Intercept = 0.5 * class1.x2",)])
@pytest.mark.parametrize("name", ["balanced panel", "sampling weights", "membership"])
def test_the_step_of_tied_classes_is_newtons_for_the_free_parameters(name, linear):
    """Of two mixtures, one whose step is shortened to 4 utils, and one whose step is not."""
    case = zoo.case(name)
    data = case.model(2).choices
    restrictions = Restrictions.of(data.exog_names[:1], linear, None)
    likelihood = MixtureLikelihood(ChoiceTable(data), 2, 0.0, restrictions)
    near = random_stack(likelihood, 1, seed=6, spread=0.3)
    far = random_stack(likelihood, 1, seed=6, spread=2.5)
    here = likelihood.conform(Parameters.stack([near, far]))
    axes, at = axes_of_one(likelihood), likelihood.expect(here)
    steps, promise = em._plain_step(likelihood, axes, NewtonStep(), here, at)
    longest = []
    for g in range(2):
        beta, gamma = here.beta[g], here.gamma[g]
        information, mass = 0.0, np.zeros(2)
        for person in case.problem:
            for k, r in enumerate(oracle.posterior_of(person, beta, gamma)):
                mass[k] += person.total_weight * r
                complete = oracle.complete_hessian(person, k, beta, gamma)
                information -= person.total_weight * r * complete
        score = oracle.score(case.problem, beta, gamma)
        basis = likelihood.constraints.basis
        move = basis @ np.linalg.solve(basis.T @ information @ basis, basis.T @ score)
        longest.append(np.abs(axes.coordinates(move[: beta.size].reshape(beta.shape))).max())
        factor = min(1.0, 4 / longest[g])
        move[: beta.size] *= factor
        if linear:
            move[beta.size :] *= factor
        elif name != "membership":  # no constraint touches the shares: a closed form
            move[-1] = np.log(mass[1] / mass[0]) - gamma[0, 0]
        along = axes.coordinates(move[: beta.size].reshape(beta.shape))
        expected = np.append(along, move[beta.size :])
        # solve_scaled adds a ridge of 1e-12, which tells where choices are all but certain
        np.testing.assert_allclose(steps[g], expected, rtol=1e-6, atol=1e-7)
        assert promise[g] == pytest.approx(0.5 * move @ score, rel=1e-6)
    assert longest[0] < 4 < longest[1]


# -- the order of steps, on a function of one taste -----------------------------------------------


class Hill(Stub):
    """A function of one taste, for which EM takes the steps of its gradient.

    Parameters
    ----------
    gradient, value : callable
        Of the taste and the number of the pass, from 0.
    """

    def __init__(self, gradient, value):
        self.gradient, self.value = gradient, value
        self.at = []  # tastes, one a pass

    def expect(self, parameters, *, information=True):
        x, n = float(parameters.beta[0, 0, 0]), len(self.at)
        self.at.append(x)
        return replace(
            Stub([self.value(x, n)], curvature=1.0).expect(parameters),
            beta_gradient=np.full((1, 1, 1), self.gradient(x, n)),
        )

    def run(self, maxiter, **keywords):
        return expectation_maximisation(self, self.start, maxiter=maxiter, tol=0.0, **keywords)


def parabola(rate, value=None, top=1.0):
    """Plain EM leaves ``rate`` of what is left to the top; an extrapolation leaps to it."""

    def true(x):
        return -0.5 * (1 - rate) * (x - top) ** 2

    return Hill(
        lambda x, n: (1 - rate) * (top - x),
        lambda x, n: true(x) if value is None else value(true, x, n),
    )


def test_extrapolations_that_fail_are_tried_ever_more_rarely():
    """Again after 2 plain iterations, then 4, 8, 16, 32, and no more rarely than that."""
    near_top = 0.05
    hill = parabola(0.98, lambda true, x, n: true(x) - (abs(x - 1) < near_top))
    hill.run(maxiter=110)
    leaps = [n for n, x in enumerate(hill.at) if abs(x - 1) < near_top]
    assert leaps == [2, 5, 10, 19, 36, 69, 102]
    plain = np.delete(hill.at, leaps)
    # what failed was taken back, and the plain steps are whole
    np.testing.assert_allclose(1 - plain, 0.98 ** np.arange(len(plain)), rtol=1e-9)


def test_an_extrapolation_that_succeeds_is_followed_by_another():
    """Of a gradient that is not linear, so that none ends at the top."""

    def gradient(x, n):
        return 0.1 * (1 - x) * (1 + (1 - x) ** 2)

    hill = Hill(gradient, lambda x, n: -0.05 * (1 - x) ** 2 - 0.025 * (1 - x) ** 4)
    hill.run(maxiter=5)
    times = np.diff(hill.at) / [gradient(x, 0) for x in hill.at[:-1]]  # of the plain step
    assert times[0] == pytest.approx(1.0)
    assert (times[1:] > 2).all()
    assert (np.diff(hill.at) > 0).all()


def test_plain_steps_that_fail_do_not_put_extrapolations_off():
    """Two halvings, a step in the direction that is left, and the leap to the top."""
    hill = parabola(0.9, lambda true, x, n: true(x) - (n in (1, 2)))
    hill.run(maxiter=5)
    np.testing.assert_allclose(hill.at[:4], [0, 0.1, 0.05, 0.025], rtol=1e-9)
    assert hill.at[4] == pytest.approx(0.025 + 0.3125 * 0.0975)
    assert hill.at[5] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("share", "is_taken"), [(0.4, False), (0.6, True)])
def test_an_extrapolation_has_to_bring_half_of_what_the_plain_step_promises(share, is_taken):
    promise = 0.5 * (0.1 * 0.9) ** 2

    def value(true, x, n):
        return true(x) if n != 2 else true(0.1) + share * promise

    hill = parabola(0.9, value)
    hill.run(maxiter=3)
    np.testing.assert_allclose(hill.at[:3], [0, 0.1, 1], rtol=1e-8)
    if is_taken:
        assert hill.at[3] == pytest.approx(1.0)
    else:
        assert hill.at[3] == pytest.approx(0.19)  # the plain step from where it was


@pytest.mark.parametrize(("bound", "is_taken"), [(0.5, False), (2.0, True)])
def test_extrapolations_that_break_a_sign_are_not_tried(bound, is_taken):
    hill = parabola(0.9)
    hill.constraints = SimpleNamespace(is_none=True, is_inside=lambda flat: flat[..., 0] < bound)
    hill.run(maxiter=4)
    left = 1 - np.array(hill.at)
    if is_taken:
        assert left[2] == pytest.approx(0.0, abs=1e-6)
    else:
        np.testing.assert_allclose(left, 0.9 ** np.arange(5), rtol=1e-9)


def test_extrapolations_begin_when_a_step_promises_less_than_two():
    hill = parabola(0.4, top=7.8)
    hill.run(maxiter=3)
    left = 7.8 - np.array(hill.at)
    # the promise is half the squared step, 0.6 of what is left, after a first step of 4 at most
    assert 0.5 * (0.6 * left[1]) ** 2 > 2 > 0.5 * (0.6 * left[2]) ** 2
    np.testing.assert_allclose(left[:3], [7.8, 3.8, 0.4 * 3.8], rtol=1e-9)
    assert left[3] < 0  # beyond the top, where no plain step goes


@pytest.mark.parametrize(
    ("spoiled", "steps"),
    [
        ({1}, [1.0, 0.5, 0.625, 0.78125, 0.9765625, 1.0, 1.0]),
        ({1, 2}, [1.0, 0.5, 0.25, 0.3125, 0.390625, 0.48828125]),
        # a short step that is halved once more
        ({1, 2, 4}, [1.0, 0.5, 0.25, 0.3125, 0.15625, 0.1953125, 0.244140625]),
    ],
)
def test_steps_that_had_to_be_halved_grow_by_a_quarter_until_they_are_whole(spoiled, steps):
    hill = Hill(lambda x, n: 1.0, lambda x, n: x - 10 * (n in spoiled))
    hill.run(maxiter=len(steps))
    base, found = 0.0, []
    for n, x in enumerate(hill.at[1:], start=1):
        found.append(x - base)
        base = base if n in spoiled else x
    np.testing.assert_allclose(found, steps, rtol=1e-9)


def test_the_slowest_rate_is_forgotten_by_a_quarter_an_iteration():
    """What is left to gain is the promise over the least 1 − rate: 0.1 until pass 6, then 0.3."""

    def hill():
        return Hill(lambda x, n: (0.1 if n < 6 else 0.3) * (1 - x), lambda x, n: float(n))

    seen = []
    for n in range(1, 19):
        own = hill()
        gap = own.run(maxiter=n, accelerate=False).gap[0]
        promise = 0.5 * own.gradient(own.at[-1], n) ** 2
        seen.append(promise / gap)
    np.testing.assert_allclose(seen[:5], 0.1, rtol=1e-6)
    np.testing.assert_array_equal(seen[5:10], 0.0)  # moves of both: nothing is known
    expected = np.minimum(0.3, 0.1 * 1.25 ** np.arange(1, 9))
    np.testing.assert_allclose(seen[10:], expected, rtol=1e-6)


def test_a_run_is_given_up_when_three_times_its_gap_does_not_reach_the_floor():
    """A distance d from the top of a parabola the gap is 0.05 d², and the value minus that."""
    hill = parabola(0.9)
    run = hill.run(maxiter=100, accelerate=False, floor=0.02)
    # value + 3 gap = 0.1 d²
    left = 0.1 * 0.81 ** np.arange(20)
    assert run.n_iter[0] == np.argmax(left <= 0.02)
    assert not run.converged[0]


def test_a_floor_does_not_keep_a_run_from_its_end():
    hill = parabola(0.9)
    assert hill.run(maxiter=3, accelerate=False, floor=-10.0).n_iter[0] == 3


def test_a_run_with_nothing_left_to_gain_is_given_up_where_there_is_a_floor():
    """At the top of a hill the gap is 0, and it does not rise above itself."""
    assert parabola(0.9, top=0.0).run(maxiter=3).n_iter[0] == 3
    assert parabola(0.9, top=0.0).run(maxiter=3, floor=-10.0).n_iter[0] == 1


def test_many_attributes_share_the_length_of_a_step():
    draws = np.random.default_rng(0).standard_normal((3, 2, 60))
    long = 10 * draws
    cut = em._no_longer_than_allowed(long, 60)
    np.testing.assert_allclose(np.linalg.norm(cut, axis=-1), 2.0, rtol=1e-13)
    length = np.linalg.norm(long, axis=-1, keepdims=True)
    np.testing.assert_allclose(cut * length / 2, long, rtol=1e-12)  # the same direction
    np.testing.assert_array_equal(em._no_longer_than_allowed(1e-3 * draws, 60), 1e-3 * draws)
    few = em._no_longer_than_allowed(long[..., :5], 5)
    assert np.abs(few).max() == pytest.approx(4.0, rel=1e-13)
    np.testing.assert_allclose(few[0, 0] / long[0, 0, :5], few[0, 0, 0] / long[0, 0, 0], rtol=1e-12)
