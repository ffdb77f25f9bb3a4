"""The maximiser on functions whose maxima, saddles and ends are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from mixlogit.newton import maximise, solve_scaled


@dataclass(frozen=True)
class Point:
    value: float
    score: np.ndarray
    hessian: np.ndarray

    def product(self, vectors):
        return self.hessian @ vectors


def quadratic(centre, curvature):
    def function(x):
        slope = -curvature @ (x - centre)
        return Point(float(0.5 * slope @ (x - centre)), slope, -curvature)

    return function


def rosenbrock(x):
    """Minus the banana, whose maximum is 0 at (1, 1)."""
    a, b = x
    return Point(
        -((1 - a) ** 2) - 100 * (b - a**2) ** 2,
        np.array([2 * (1 - a) + 400 * a * (b - a**2), -200 * (b - a**2)]),
        np.array([[-2 + 400 * b - 1200 * a**2, 400 * a], [400 * a, -200.0]]),
    )


def double_well(x):
    """Maxima at (-1, 0) and (1, 0), a saddle at the origin."""
    a, b = x
    return Point(
        a**2 / 2 - a**4 / 4 - b**2 / 2,
        np.array([a - a**3, -b]),
        np.diag([1 - 3 * a**2, -1.0]),
    )


def separation(x):
    """Choices that the first variable predicts perfectly, and an ordinary second variable."""
    design = np.array([[1.0, 0.3], [1.0, -0.2], [2.0, 0.1], [0.0, 1.0], [0.0, -1.0], [0.0, -1.0]])
    lost = 1 / (1 + np.exp(design @ x))
    value = -np.logaddexp(0, -(design @ x)).sum()
    return Point(float(value), design.T @ lost, -design.T @ (design * (lost * (1 - lost))[:, None]))


def in_units(function, unit):
    """The same function of x / unit."""

    def scaled(x):
        at = function(x / unit)
        return Point(at.value, at.score / unit, at.hessian / np.outer(unit, unit))

    return scaled


def path(function, start, **keywords):
    """The points and values of all accepted steps, and where they end."""
    start = np.asarray(start, dtype=float)
    points, values = [start], [function(start).value]

    def watch(n_iter, at, x):
        assert n_iter == len(values)
        assert at.value == function(x).value
        points.append(x)
        values.append(at.value)

    ascent = maximise(function, start, callback=watch, **keywords)
    assert ascent.n_iter == len(values) - 1
    return np.array(points), np.array(values), ascent


def never_falls(values):
    """Beyond round-off, which is relative to the value."""
    return (np.diff(values) >= -1e-13 * np.maximum(1.0, np.abs(values[1:]))).all()


def test_a_quadratic_takes_one_step():
    curvature = np.array([[2.0, 0.5], [0.5, 1.0]])
    ascent = maximise(quadratic(np.array([1.0, -2.0]), curvature), np.zeros(2))
    assert ascent.status == "stationary"
    assert ascent.n_iter == 1
    np.testing.assert_allclose(ascent.x, [1, -2], rtol=1e-14)  # one linear solve


def test_a_start_that_is_known_is_not_evaluated_again():
    start, points = np.array([-1.2, 1.0]), []

    def seen(x):
        points.append(x)
        return rosenbrock(x)

    ascent = maximise(seen, start, here=rosenbrock(start))
    assert not any((x == start).all() for x in points)
    np.testing.assert_array_equal(ascent.x, maximise(rosenbrock, start).x)


def test_the_end_of_the_banana_is_its_maximum():
    _, values, ascent = path(rosenbrock, [-1.2, 1.0])
    assert ascent.status == "stationary"
    assert never_falls(values)
    np.testing.assert_allclose(ascent.x, 1, rtol=1e-10)  # the decrement ends at 1e-22


def test_convergence_is_quadratic_at_the_end():
    points, _, _ = path(rosenbrock, [-1.2, 1.0])
    error = np.linalg.norm(points - 1, axis=1)
    near = np.flatnonzero((error < 1e-2) & (error > 1e-7))
    assert len(near) >= 1
    # the third derivatives of the banana over its curvature are of order 1e3
    assert (error[near[near + 1 < len(error)] + 1] <= 1e3 * error[near] ** 2).all()


@pytest.mark.parametrize("function", [rosenbrock, double_well])
@pytest.mark.parametrize("unit", [[1e8, 1e-8], [1e-8, 1e8], [1e8, 1e8], [1e-8, 1e-8]])
def test_the_path_does_not_depend_on_units(function, unit):
    start = np.array([-1.2, 1.0])
    plain, _, _ = path(function, start)
    scaled, _, ascent = path(in_units(function, np.array(unit)), start * unit)
    assert ascent.status == "stationary"
    assert len(plain) == len(scaled)
    np.testing.assert_allclose(scaled / unit, plain, rtol=1e-8, atol=1e-10)  # round-off, amplified


@pytest.mark.parametrize("start", [[0.3, 2.0], [-0.2, -1.0], [0.5, 1e-3], [-1e-3, 0.0]])
def test_starts_where_the_function_is_convex_reach_a_maximum(start):
    _, values, ascent = path(double_well, start)
    assert never_falls(values)
    np.testing.assert_allclose(np.abs(ascent.x), [1, 0], atol=1e-10)


def test_an_exact_saddle_is_left():
    ascent = maximise(double_well, np.zeros(2))
    assert ascent.status == "stationary"
    np.testing.assert_allclose(np.abs(ascent.x), [1, 0], atol=1e-10)


def test_a_saddle_without_curvature_on_the_diagonal_is_left():
    def function(x):  # a b, held together by a quartic
        a, b = x
        return Point(
            a * b - (a**4 + b**4) / 4,
            np.array([b - a**3, a - b**3]),
            np.array([[-3 * a**2, 1.0], [1.0, -3 * b**2]]),
        )

    ascent = maximise(function, np.zeros(2))
    np.testing.assert_allclose(np.abs(ascent.x), 1, rtol=1e-10)
    assert ascent.x[0] == pytest.approx(ascent.x[1])


@pytest.mark.parametrize("slope", [0.0, 1e-13, -1e-13])
def test_a_flat_direction_is_left_alone(slope):
    """Round-off in the slope does not choose a long step, and the rest is Newton's."""

    def function(x):
        return Point(-1e3 - x[0] ** 2, np.array([-2 * x[0], slope]), np.diag([-2.0, 0.0]))

    ascent = maximise(function, np.array([3.0, 5.0]))
    assert ascent.status == "stationary"
    assert ascent.n_iter == 1
    np.testing.assert_array_equal(ascent.x, [0, 5])


def test_a_flat_direction_across_parameters_is_left_alone():
    ascent = maximise(quadratic(np.zeros(2), np.ones((2, 2))), np.array([3.0, 5.0]))
    assert ascent.status == "stationary"
    np.testing.assert_allclose(ascent.x, [-1, 1], atol=1e-12)  # the nearest of the maxima


@pytest.mark.parametrize("outside", [np.nan, -np.inf])
def test_steps_do_not_leave_the_domain(outside):
    def function(x):  # log x − x: the Newton step from 3 leads to −3
        if x[0] <= 0:
            return Point(outside, np.full(1, np.nan), np.full((1, 1), np.nan))
        return Point(float(np.log(x[0]) - x[0]), 1 / x - 1, -1 / x[None] ** 2)

    _, values, ascent = path(function, [3.0])
    assert ascent.status == "stationary"
    assert never_falls(values)
    np.testing.assert_allclose(ascent.x, 1, rtol=1e-10)


def test_a_domain_of_one_point_ends():
    def function(x):
        inside = x[0] == 1.0
        return Point(0.0 if inside else np.nan, np.ones(1), -np.ones((1, 1)))

    ascent = maximise(function, np.ones(1))
    assert (ascent.status, ascent.n_iter) == ("stationary", 0)


@pytest.mark.parametrize("seed", range(5))
def test_noise_in_the_value_does_not_stop_the_score_from_vanishing(seed):
    """Values near 1e4 with errors of 1e-12 of it: steps end with a score at its own round-off."""
    rng = np.random.default_rng(seed)

    def function(x):
        at = rosenbrock(x)
        return Point(-1e4 + at.value + 1e-9 * rng.uniform(-1, 1), at.score, at.hessian)

    ascent = maximise(function, np.array([-1.2, 1.0]))
    assert ascent.status == "stationary"
    assert ascent.n_iter < 40
    assert np.abs(ascent.evaluation.score).max() < 1e-3  # the noise is 1e-9 = score²/curvature


@pytest.mark.parametrize("seed", range(5))
def test_round_off_in_the_value_is_passed_blindly(seed):
    rng = np.random.default_rng(seed)

    def function(x):
        at = rosenbrock(x)
        return Point(-1e4 + at.value + 3e-12 * rng.uniform(-1, 1), at.score, at.hessian)

    ascent = maximise(function, np.array([-1.2, 1.0]))
    assert ascent.status == "stationary"
    # differences of values alone would stop at the root of 1e-9 times curvature, about 1e-3
    assert np.abs(ascent.evaluation.score).max() < 1e-9


def test_gains_that_drown_are_not_followed_where_curvature_vanishes():
    """Every step towards the end of exp(−a) is one, and leaves a third of the curvature."""

    def function(x):
        rest, b = np.exp(-x[0]), x[1]
        score = np.array([rest, -b - 4 * b**3])
        return Point(-1000 - rest - b**2 / 2 - b**4, score, -np.diag([rest, 1 + 12 * b**2]))

    _, _, ascent = path(function, np.array([0.0, 1.0]))
    assert ascent.status == "stationary"
    drowned = -np.log(1000 * 1e-13)  # where the gain falls below the round-off of the value
    assert drowned - 2 < ascent.x[0] < drowned + 2
    assert abs(ascent.x[1]) < 1e-10


def test_where_all_is_round_off_no_step_is_taken():
    def function(x):  # what is left of a likelihood of one
        return Point(0.0, -1e-19 * (x - 100), -1e-19 * np.eye(2))

    ascent = maximise(function, np.array([40.0, 0.1]))
    assert (ascent.status, ascent.n_iter) == ("stationary", 0)


def test_no_step_is_taken_that_promises_less_than_enough():
    _, values, exact = path(rosenbrock, [-1.2, 1.0])
    _, some, ascent = path(rosenbrock, [-1.2, 1.0], enough=1e-3)
    assert ascent.n_iter < exact.n_iter
    np.testing.assert_array_equal(some, values[: len(some)])  # the same way, not as far
    assert 1e-22 < -ascent.evaluation.value < 1e-3  # near the top the promise is all of it


def test_maxiter_counts_accepted_steps():
    _, _, ascent = path(rosenbrock, [-1.2, 1.0], maxiter=3)
    assert (ascent.status, ascent.n_iter) == ("maxiter", 3)


def test_a_maximum_reached_with_the_last_step_is_stationary():
    ascent = maximise(quadratic(np.ones(2), np.eye(2)), np.zeros(2), maxiter=1)
    assert (ascent.status, ascent.n_iter) == ("stationary", 1)


def test_no_steps_are_needed_at_the_maximum():
    ascent = maximise(quadratic(np.ones(2), np.eye(2)), np.ones(2), maxiter=0)
    assert (ascent.status, ascent.n_iter) == ("stationary", 0)


def test_a_function_of_nothing_is_stationary():
    ascent = maximise(lambda x: Point(1.0, np.zeros(0), np.zeros((0, 0))), np.zeros(0))
    assert (ascent.status, ascent.n_iter) == ("stationary", 0)


def test_separation_ends_where_gains_drown():
    _, values, ascent = path(separation, np.zeros(2))
    assert ascent.status == "stationary"
    assert never_falls(values)
    assert 20 < ascent.x[0] < 60  # utilities whose odds are round-off, no further
    assert ascent.x[1] == pytest.approx(-np.log(2), rel=1e-6)  # 1 of 3 choices


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_diverged_parameters_do_not_move_on_round_off_of_curvature(sign):
    """A curvature of 1e-16 of either sign would lead 1e8 away and spoil the steps of the rest."""

    def function(x):
        at = rosenbrock(x[:2])
        score = np.append(at.score, 1e-16)
        hessian = np.zeros((3, 3))
        hessian[:2, :2], hessian[2, 2] = at.hessian, sign * 1e-16
        return Point(at.value - 500, score, hessian)

    ascent = maximise(function, np.array([-1.2, 1.0, 38.0]))
    assert ascent.status == "stationary"
    np.testing.assert_allclose(ascent.x[:2], 1, rtol=1e-10)
    assert abs(ascent.x[2] - 38) < 50  # utils


def test_solve_scaled_solves_stacks_in_any_units():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 6, 3))
    information = root.swapaxes(-1, -2) @ root
    solution = rng.normal(size=(4, 3))
    unit = np.array([1e-9, 1.0, 1e9])
    scaled = information * np.outer(unit, unit)
    got = solve_scaled(scaled, (scaled @ (solution / unit)[..., None])[..., 0])
    np.testing.assert_allclose(got * unit, solution, rtol=1e-8)  # the ridge times the condition


def test_solve_scaled_leaves_parameters_without_information_where_they_are():
    information = np.diag([2.0, 0.0, 5e-324])
    np.testing.assert_allclose(
        solve_scaled(information, np.array([4.0, 1e-9, 1e-300])), [2, 0, 0], rtol=1e-11
    )


def test_solve_scaled_gives_a_short_solution_of_a_singular_system():
    step = solve_scaled(np.ones((2, 2)), np.array([2.0, 2.0]))
    np.testing.assert_allclose(step, 1, rtol=1e-3)  # round-off over the ridge


@pytest.mark.parametrize("curvature", [0.0, 5e-324, 1e-310, 1e-200])
def test_curvature_that_has_all_but_vanished_does_not_overflow(curvature):
    def function(x):
        return Point(
            -(x[0] ** 2), np.array([-2 * x[0], 0.0, 0.0]), np.diag([-2.0] + [-curvature] * 2)
        )

    ascent = maximise(function, np.array([1.0, 40.0, -40.0]))
    assert ascent.status == "stationary"
    np.testing.assert_array_equal(ascent.x, [0, 40, -40])
