"""The EM loop against plain EM, and the claims it makes about itself."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import oracle
import pytest
import zoo

from mixlogit.em import Run, expectation_maximisation
from mixlogit.errors import NotMonotoneError
from mixlogit.likelihood import Expectation, Parameters
from mixlogit.newton import maximise

ROUND_OFF = 1e-12  # of a sum of log-probabilities


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
        callback=lambda iteration, value, mass: seen.append((iteration, value, mass)),
        **keywords,
    )
    return run, seen


def penalised(likelihood, parameters):
    return np.array([likelihood.evaluate(flat).value for flat in parameters.flat()])


@pytest.mark.parametrize("n_classes", [1, 2, 3])
@pytest.mark.parametrize("penalty", [0.0, 0.7])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_step_is_lower_than_the_last(case, n_classes, penalty, seed):
    likelihood = case.model(n_classes).likelihood(penalty)
    start = random_stack(likelihood, 1, seed, spread=2.0)
    run, seen = watched(likelihood, start, maxiter=15, tol=0.0)
    values = np.append(penalised(likelihood, start), [value[0] for _, value, _ in seen])
    assert (np.diff(values) >= -ROUND_OFF * np.maximum(1.0, np.abs(values[1:]))).all()
    assert [iteration for iteration, _, _ in seen] == list(range(1, len(seen) + 1))
    assert run.n_iter[0] == 15
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
@pytest.mark.parametrize("name", ["balanced panel", "sampling weights", "counts", "shared table"])
def test_one_newton_step_per_iteration_ends_where_whole_m_steps_end(name):
    case = zoo.case(name)
    likelihood = case.model(2).likelihood()
    beta = zoo.TASTES[:, : case.n_attributes]
    gamma = np.zeros((1, 1))
    run = expectation_maximisation(
        likelihood, Parameters(beta[None], gamma[None]), maxiter=2000, tol=1e-11
    )
    assert run.converged[0]
    for _ in range(8):
        beta, gamma = oracle.em_step(case.problem, beta, gamma)
    on_the_way = oracle.log_likelihood(case.problem, beta, gamma)
    assert on_the_way - 1e-9 <= run.value[0] <= on_the_way + 1.0  # the same hill
    end = run.parameters[0]
    score = oracle.score(case.problem, end.beta, end.gamma)
    # a gap of 1e-11 is score² over twice the curvature, which is below 1e3 here
    assert np.abs(score).max() < 1e-3
    beta, gamma = oracle.em_step(case.problem, end.beta, end.gamma)
    np.testing.assert_allclose(beta, end.beta, atol=1e-4)  # score over complete information
    np.testing.assert_allclose(gamma, end.gamma, atol=1e-4)
    assert run.value[0] == pytest.approx(
        oracle.log_likelihood(case.problem, beta, gamma), abs=1e-10
    )


def test_membership_covariates_end_where_whole_m_steps_end():
    case = zoo.case("membership")
    likelihood = case.model(2).likelihood(0.5)  # without a penalty a region has one class only
    start = Parameters(zoo.TASTES[None, :, :2], np.zeros((1, 1, case.n_covariates)))
    run = expectation_maximisation(likelihood, start, maxiter=2000, tol=1e-9)
    ascent = maximise(likelihood.evaluate, run.parameters.flat()[0])
    assert run.converged[0]
    assert run.value[0] == pytest.approx(ascent.evaluation.value, abs=1e-6)


def test_the_gap_is_what_further_iterations_add():
    """Two classes on choices of one are told apart slowly."""
    frame = zoo.survey(0, [[3] * 4] * 60)
    case = zoo.Case("slow", frame, zoo.TWO, zoo.PANEL)
    likelihood = case.model(2).likelihood()
    start = random_stack(likelihood, 1, seed=3, spread=0.3)
    best = expectation_maximisation(likelihood, start, maxiter=5000, tol=1e-11).value[0]
    for tol in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        run = expectation_maximisation(likelihood, start, maxiter=5000, tol=tol)
        assert run.converged[0]
        assert run.gap[0] < tol
        if tol <= 1e-3:  # by then the rate is that of the maximum
            assert best - run.value[0] == pytest.approx(run.gap[0], rel=0.1)


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


def test_maxiter_bounds_iterations():
    likelihood = zoo.case("ragged panel").model(2).likelihood()
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


def test_a_step_that_overshoots_is_halved_and_not_counted():
    """Far from the maximum nearly all probabilities are 0 or 1 and Newton's step is too long."""
    likelihood = zoo.case("balanced panel").model(1).likelihood()
    start = Parameters(np.full((1, 1, 3), 3.0), np.zeros((1, 0, 1)))
    run, seen = watched(likelihood, start, maxiter=60, tol=1e-10)
    assert len(seen) > run.n_iter[0]  # more passes than iterations
    values = np.array([value[0] for _, value, _ in seen])
    assert (np.diff(values) >= -ROUND_OFF * np.abs(values[1:])).all()
    best = maximise(likelihood.evaluate, np.zeros(3)).evaluation.value
    assert run.converged[0]
    assert run.value[0] == pytest.approx(best, abs=1e-8)


def test_a_short_gain_after_halving_is_not_taken_for_convergence():
    """Gains of 100, and of 1e-5 by half a step: Aitken would see a rate of 1e-7."""
    likelihood = Stub([-1000.0, -900.0, -950.0, -900 + 1e-5, -890.0, -889.0], curvature=1.0)
    run = expectation_maximisation(likelihood, likelihood.start, maxiter=3, tol=1e-4)
    assert run.n_iter[0] == 3
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

    data = SimpleNamespace(exog_scale=np.ones(1))
    start = Parameters(np.zeros((1, 1, 1)), np.zeros((1, 0, 1)))
    membership = SimpleNamespace(m_step=lambda gamma, gradient, information: gamma)

    def __init__(self, values, curvature):
        self.values = iter(values)
        self.curvature = curvature

    def penalty_at(self, beta):
        return np.zeros(len(beta))

    def expect(self, parameters):
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
        expectation_maximisation(likelihood, likelihood.start, maxiter=5, tol=1e-8)


def test_a_fall_within_round_off_is_convergence():
    likelihood = Stub([-1e4, -1e4 - 5e-9], curvature=1.0)
    run = expectation_maximisation(likelihood, likelihood.start, maxiter=5, tol=1e-8)
    assert run.converged[0]
    assert run.gap[0] == 0


def test_no_step_is_longer_than_four_utils():
    likelihood = Stub([-10.0, -9.0], curvature=1e-6)  # Newton would go 1e6
    run = expectation_maximisation(likelihood, likelihood.start, maxiter=1, tol=1e-8)
    assert run.parameters.beta[0, 0, 0] == 4.0
