"""Atoms from moments: exact moments give exact atoms, noisy ones finite atoms that respect them."""

from __future__ import annotations

import itertools
from math import prod

import numpy as np
import pytest

import mixlogit.atoms
from mixlogit.atoms import Atoms, projection_atoms, pull_back, subspace, tensor_atoms
from mixlogit.errors import ArgumentError
from mixlogit.moments import Coordinates, Directional

N_CLASSES = [2, 3, 4, 5]
SEEDS = range(5)


class Known:
    """The moments of known atoms, with noise if asked for."""

    def __init__(self, atoms, order=30, noise=0.0, seed=0):
        self._atoms, self.order, self._noise = atoms, order, noise
        self._rng = np.random.default_rng(seed)
        n_dimensions = atoms.theta.shape[1]
        self.coordinates = Coordinates(np.zeros(n_dimensions), np.eye(n_dimensions))
        self.first = self._noisy(atoms.shares @ atoms.theta)
        second = self._noisy((atoms.theta.T * atoms.shares) @ atoms.theta)
        self.second = (second + second.T) / 2

    def _noisy(self, values):
        return values + self._noise * self._rng.standard_normal(values.shape)

    def third(self, basis):
        x = self._atoms.theta @ basis
        third = np.einsum("k,ka,kb,kc->abc", self._atoms.shares, x, x, x)
        noise = self._noisy(np.zeros(third.shape))
        return third + sum(noise.transpose(p) for p in itertools.permutations(range(3))) / 6

    def along(self, directions, n_powers):
        x = directions @ self._atoms.theta.T  # (n, K)
        powers = x[:, None, :] ** np.arange(n_powers)[:, None] * self._atoms.shares
        power, mixed = powers.sum(axis=2), powers[:, : n_powers // 2] @ self._atoms.theta
        noisy = np.hstack([power[:, :1], self._noisy(power[:, 1:])])  # shares do sum to one
        return Directional(noisy, self._noisy(mixed))


def random_atoms(n_classes, n_dimensions, seed):
    """Atoms in general position, as far from each other as noise is from the mean."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(n_classes, 5.0))
    return Atoms(shares, 0.5 + rng.standard_normal((n_classes, n_dimensions)))


def distance(found, truth):
    """Largest difference in a position or share, over the best labelling."""
    return min(
        max(
            np.abs(found.theta[list(order)] - truth.theta).max(),
            np.abs(found.shares[list(order)] - truth.shares).max(),
        )
        for order in itertools.permutations(range(len(truth.shares)))
    )


def is_distribution(atoms, n_classes, n_dimensions):
    return (
        atoms.shares.shape == (n_classes,)
        and atoms.theta.shape == (n_classes, n_dimensions)
        and (atoms.shares > 0).all()
        and abs(atoms.shares.sum() - 1) < 1e-13
        and bool(np.isfinite(atoms.theta).all())
    )


# Exact moments


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n_classes", N_CLASSES)
def test_the_tensor_solver_is_exact(n_classes, seed):
    for n_dimensions in (n_classes, 8):
        truth = random_atoms(n_classes, n_dimensions, seed)
        found = tensor_atoms(Known(truth, order=3), n_classes, np.random.default_rng(seed))
        assert distance(found, truth) < 1e-8  # round-off times the condition of the moments


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n_classes", N_CLASSES)
def test_the_projection_solver_is_exact(n_classes, seed):
    for n_dimensions in (n_classes, 8):
        truth = random_atoms(n_classes, n_dimensions, seed)
        moments = Known(truth, order=2 * n_classes - 1)
        found = projection_atoms(moments, n_classes, np.random.default_rng(seed))
        assert len(found) == (1 if n_classes == 2 else 10)  # on a line there is one direction
        assert distance(found[0], truth) < 1e-8  # the direction that tells atoms apart best


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_exactness_does_not_depend_on_the_spread_or_the_base(scale, shift):
    one = random_atoms(3, 4, seed=1)
    truth = Atoms(one.shares, scale * (one.theta + shift))
    rng = np.random.default_rng(0)
    assert distance(tensor_atoms(Known(truth), 3, rng), truth) < 1e-8 * max(1, scale)
    assert distance(projection_atoms(Known(truth), 3, rng)[0], truth) < 1e-8 * max(1, scale)


def test_small_classes_are_exact_down_to_half_a_per_cent():
    truth = Atoms(np.array([0.005, 0.3, 0.695]), random_atoms(3, 4, seed=2).theta)
    rng = np.random.default_rng(0)
    assert distance(tensor_atoms(Known(truth), 3, rng), truth) < 1e-8
    assert distance(projection_atoms(Known(truth), 3, rng)[0], truth) < 1e-8


def test_the_tensor_solver_takes_one_class_more_than_dimensions():
    truth = random_atoms(4, 3, seed=1)
    assert distance(tensor_atoms(Known(truth), 4, np.random.default_rng(0)), truth) < 1e-8


def test_the_projection_solver_takes_more_classes_than_dimensions_allow_the_other():
    """Three atoms on a line: only the projection solver applies, and there is one direction."""
    truth = Atoms(np.array([0.2, 0.5, 0.3]), np.array([[-1.0], [0.2], [1.5]]))
    found = projection_atoms(Known(truth), 3, np.random.default_rng(0))
    assert len(found) == 1
    assert distance(found[0], truth) < 1e-8


def test_one_class_sits_at_the_mean():
    moments = Known(random_atoms(3, 2, seed=0))
    rng = np.random.default_rng(0)
    for found in (tensor_atoms(moments, 1, rng), *projection_atoms(moments, 1, rng)):
        np.testing.assert_array_equal(found.theta, moments.first[None])
        np.testing.assert_array_equal(found.shares, [1.0])


def test_the_same_generator_gives_the_same_atoms():
    moments = Known(random_atoms(3, 4, seed=3))
    for solve in (tensor_atoms, lambda *args: projection_atoms(*args)[3]):
        once, twice = (solve(moments, 3, np.random.default_rng(7)) for _ in range(2))
        np.testing.assert_array_equal(once.theta, twice.theta)


# Subspace


@pytest.mark.parametrize("n_classes", N_CLASSES)
def test_k_atoms_leave_one_eigenvalue_less_than_k_and_span_their_differences(n_classes):
    truth = random_atoms(n_classes, 7, seed=0)
    space = subspace(Known(truth), n_classes - 1)
    assert space.eigenvalues.shape == (7,)
    assert (np.diff(space.eigenvalues) <= 0).all()
    assert (space.eigenvalues[: n_classes - 1] > 1e-3).all()
    assert np.abs(space.eigenvalues[n_classes - 1 :]).max() < 1e-13  # round-off
    np.testing.assert_allclose(space.basis.T @ space.basis, np.eye(n_classes - 1), atol=1e-13)
    apart = truth.theta - truth.theta[0]
    np.testing.assert_allclose(apart @ space.basis @ space.basis.T, apart, atol=1e-12)


def test_a_subspace_is_no_larger_than_the_whole():
    assert subspace(Known(random_atoms(5, 2, seed=0)), 4).basis.shape == (2, 2)


# Noise


@pytest.mark.parametrize("noise", [0.01, 0.3, 30.0])
@pytest.mark.parametrize("n_classes", N_CLASSES)
def test_noise_leaves_atoms_finite_and_shares_a_distribution(n_classes, noise):
    for seed in SEEDS:
        truth = random_atoms(n_classes, 5, seed)
        moments = Known(truth, noise=noise, seed=seed)
        rng = np.random.default_rng(seed)
        found = [tensor_atoms(moments, n_classes, rng), *projection_atoms(moments, n_classes, rng)]
        assert all(is_distribution(atoms, n_classes, 5) for atoms in found)
        pulled = [pull_back(atoms, moments.second) for atoms in found]
        assert all(is_distribution(atoms, n_classes, 5) for atoms in pulled)


@pytest.mark.parametrize("n_classes", N_CLASSES)
def test_the_error_of_the_tensor_solver_is_of_the_size_of_the_noise(n_classes):
    errors = {noise: [] for noise in (1e-4, 1e-6)}
    for noise, seed in itertools.product(errors, SEEDS):
        truth = random_atoms(n_classes, 6, seed)
        found = tensor_atoms(Known(truth, noise=noise), n_classes, np.random.default_rng(0))
        errors[noise].append(distance(found, truth))
    # a hundredth of the noise, a hundredth of the error, but for higher orders in the noise
    assert np.median(errors[1e-4]) / np.median(errors[1e-6]) == pytest.approx(100, rel=0.3)
    assert np.median(errors[1e-6]) < 1e-3


def test_the_error_of_the_projection_solver_grows_much_faster_with_the_classes():
    """What the paper finds: exponentially, against hardly at all for the tensor solver."""

    def typical(n_classes):
        errors = []
        for seed in SEEDS:
            truth = random_atoms(n_classes, 6, seed)
            moments = Known(truth, noise=1e-6, seed=seed)
            rng = np.random.default_rng(seed)
            tensor = tensor_atoms(moments, n_classes, rng)
            projection = projection_atoms(moments, n_classes, rng)[0]
            errors.append([distance(tensor, truth), distance(projection, truth)])
        return np.median(errors, axis=0)

    two, five = typical(2), typical(5)
    assert five[1] / two[1] > 10 * five[0] / two[0]


@pytest.mark.parametrize(("noise", "seed"), [(0.1, 0), (30.0, 7)])
@pytest.mark.parametrize("n_classes", N_CLASSES)
def test_tensor_atoms_keep_the_first_two_moments_in_noise(n_classes, noise, seed):
    """The larger noise, for five classes, makes the root of a share negative."""
    truth = random_atoms(n_classes, n_classes - 1, seed=0)
    moments = Known(truth, seed=seed)
    moments._noise = noise  # of the third moments alone
    found = tensor_atoms(moments, n_classes, np.random.default_rng(0))
    if found.shares.min() > 2 * mixlogit.atoms._LEAST_SHARE:
        np.testing.assert_allclose(found.shares @ found.theta, moments.first, atol=1e-12)
        second = (found.theta.T * found.shares) @ found.theta
        np.testing.assert_allclose(second, moments.second, atol=1e-12)


@pytest.mark.parametrize("n_classes", N_CLASSES)
def test_fewer_atoms_than_classes_give_distinct_finite_atoms(n_classes):
    """Equal atoms would stay equal through EM."""
    for n_atoms in range(1, n_classes):
        moments = Known(random_atoms(n_atoms, 4, seed=0))
        rng = np.random.default_rng(0)
        for found in projection_atoms(moments, n_classes, rng):
            assert is_distribution(found, n_classes, 4)
            assert len(np.unique(found.theta, axis=0)) == n_classes
        assert is_distribution(tensor_atoms(moments, n_classes, rng), n_classes, 4)


def test_no_moments_at_all_give_finite_atoms():
    nothing = Known(Atoms(np.array([0.4, 0.6]), np.zeros((2, 3))))
    rng = np.random.default_rng(0)
    for found in (tensor_atoms(nothing, 3, rng), *projection_atoms(nothing, 3, rng)):
        assert is_distribution(found, 3, 3)
        assert np.abs(pull_back(found, nothing.second).theta).max() < 1e-3


def test_moments_of_no_distribution_are_brought_to_those_of_one():
    """A fourth moment below the square of the second: the least that can be is 1."""
    nodes, weights = mixlogit.atoms._quadrature(np.array([1.0, 0.0, 1.0, 0.0, 0.7, 0.0]), 3)
    near = (nodes[:, None] ** np.arange(6) * weights[:, None]).sum(axis=0)
    assert abs(weights.sum() - 1) < 1e-12
    np.testing.assert_allclose(near, [1, 0, 0.9, 0, 0.85, 0], atol=0.15)
    assert near[4] >= near[2] ** 2 - 1e-12


def test_a_projection_out_of_iterations_falls_back(monkeypatch):
    moments = np.array([1.0, 0.0, 1.0, 0.0, 0.7, 0.0])
    expected = mixlogit.atoms._quadrature(moments, 3)

    def exhausted(design, target):
        raise RuntimeError("too many iterations")

    monkeypatch.setattr(mixlogit.atoms, "nnls", exhausted)
    nodes, weights = mixlogit.atoms._quadrature(moments, 3)
    # another optimiser, which stops at a tolerance
    assert (weights @ nodes**2) == pytest.approx(expected[1] @ expected[0] ** 2, abs=0.02)


@pytest.mark.parametrize(
    ("nodes_and_weights", "moment"),
    [
        (np.polynomial.hermite_e.hermegauss, lambda r: prod(range(1, r, 2))),  # standard normal
        (np.polynomial.legendre.leggauss, lambda r: 1 / (r + 1)),  # uniform on −1 to 1
    ],
)
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_gauss_quadrature_has_the_textbook_nodes(nodes_and_weights, moment, n):
    moments = np.array([0.0 if r % 2 else float(moment(r)) for r in range(2 * n)])
    nodes, weights = mixlogit.atoms._gauss(7 * moments, 1e-12)
    expected_nodes, expected_weights = nodes_and_weights(n)
    # the map from moments has a condition number that grows exponentially in n
    np.testing.assert_allclose(nodes, expected_nodes, atol=1e-9)
    np.testing.assert_allclose(weights, 7 * expected_weights / expected_weights.sum(), rtol=1e-8)


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_gauss_quadrature_stops_where_a_pivot_is_lost(scale):
    """Three atoms, of which the middle one is small: the third pivot is far below the second."""
    x, a = scale * np.array([-1.0, 0.1, 1.0]), np.array([0.495, 0.01, 0.495])
    moments = (a * x ** np.arange(8)[:, None]).sum(axis=1)
    # pivots are least mean squares of monic polynomials: of the first degree, and of the second
    variance = moments[2] - moments[1] ** 2
    left = np.linalg.lstsq(np.vander(x, 2) * np.sqrt(a)[:, None], np.sqrt(a) * x**2, rcond=None)[1]
    ratio = left[0] / variance
    np.testing.assert_allclose(mixlogit.atoms._gauss(moments, 0.9 * ratio)[0], x, atol=1e-8)
    nodes, weights = mixlogit.atoms._gauss(moments, 1.1 * ratio)
    assert len(nodes) == 2
    # two nodes have the first four moments
    found = weights @ nodes[:, None] ** np.arange(4)
    np.testing.assert_allclose(found, moments[:4], rtol=0, atol=1e-13 * scale**3)


def test_atoms_of_less_than_a_thousandth_are_not_believed():
    """The far one of two atoms, 316 standard deviations off, is left to the noise."""
    share = 1e-5
    far, near = np.sqrt((1 - share) / share), -np.sqrt(share / (1 - share))
    r = np.arange(4)
    nodes, _ = mixlogit.atoms._quadrature(share * far**r + (1 - share) * near**r, 2)
    assert np.abs(nodes).max() <= 3 * np.sqrt(2) * (1 + 1e-12)  # as far as the grid goes
    share = 0.002
    far, near = np.sqrt((1 - share) / share), -np.sqrt(share / (1 - share))
    nodes, _ = mixlogit.atoms._quadrature(share * far**r + (1 - share) * near**r, 2)
    np.testing.assert_allclose(nodes, [near, far], rtol=1e-8)


def test_more_starts_never_find_a_smaller_sum_of_eigenvalues(monkeypatch):
    rng = np.random.default_rng(0)
    for _ in range(6):
        noise = rng.standard_normal((4, 4, 4))
        tensor = sum(noise.transpose(p) for p in itertools.permutations(range(3)))
        found = []
        for n_starts in (1, 2, 4, 8):
            monkeypatch.setattr(mixlogit.atoms, "_N_POWER_STARTS", n_starts)
            v = mixlogit.atoms._eigenvectors(tensor, np.random.default_rng(1))
            found.append(np.einsum("abc,ai,bi,ci->", tensor, v, v, v))
        assert (np.diff(found) >= -1e-12 * np.abs(found[:-1])).all()  # sums in another order


@pytest.mark.parametrize("total", [1.0, 7.0])
def test_the_total_of_the_moments_is_in_the_weights_alone(total):
    x, a = np.array([-1.0, 0.5, 2.0]), np.array([0.2, 0.5, 0.3])
    nodes, weights = mixlogit.atoms._gauss(total * (a * x ** np.arange(6)[:, None]).sum(axis=1), 0)
    np.testing.assert_allclose(nodes, x, rtol=1e-12)
    np.testing.assert_allclose(weights, total * a, rtol=1e-12)


@pytest.mark.parametrize(("error", "is_none"), [(0.5e-9, True), (1.5e-9, False)])
def test_moments_within_a_billionth_are_taken_as_they_are(error, is_none):
    """The fourth moment of two equal shares at −1 and 1, which is the least, made smaller."""
    nodes, _ = mixlogit.atoms._quadrature(np.array([1.0, 0.0, 1.0, 0.0, 1.0 - error, 0.0]), 3)
    is_kept = np.abs(np.abs(nodes) - 1).max() < 1e-12
    assert is_kept == is_none  # the grid comes no nearer than a millionth
    np.testing.assert_allclose(np.abs(nodes), 1.0, atol=1e-4)


def test_a_tenth_of_the_individuals_is_found_where_moments_have_an_error():
    """Three standard deviations from the mean: farther than equal shares reach."""
    x, a = np.array([-1 / 3, 3.0]), np.array([0.9, 0.1])
    moments = (a * x ** np.arange(6)[:, None]).sum(axis=1)
    moments[4] -= 0.01  # below the least that the others allow
    nodes, weights = mixlogit.atoms._quadrature(moments, 3)
    assert nodes[-1] == pytest.approx(3.0, abs=0.01)
    assert weights[-1] == pytest.approx(0.1, abs=0.001)


def test_moments_are_moved_and_rescaled():
    x, a = np.array([-1.0, 0.5, 2.0]), np.array([0.2, 0.5, 0.3])
    r = np.arange(6)[:, None]
    powers, mixed = (a * x**r).sum(axis=1), (a * x**r) @ np.eye(3)
    for centre, scale in ((0.3, 2.0), (-1.5, 0.25), (0.0, 1.0)):
        expected = a * ((x - centre) / scale) ** r
        found = mixlogit.atoms._standardised(powers[:, None], centre, scale)
        np.testing.assert_allclose(found[:, 0], expected.sum(axis=1), rtol=1e-12)
        found = mixlogit.atoms._standardised(mixed, centre, scale)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("n_directions", [1, 3])
def test_the_number_of_directions_is_as_asked(n_directions):
    moments = Known(random_atoms(3, 4, seed=3))
    found = projection_atoms(moments, 3, np.random.default_rng(0), n_directions)
    assert len(found) == n_directions


def test_directions_are_unit_vectors_of_the_subspace():
    moments, asked = Known(random_atoms(3, 5, seed=3)), []
    along = moments.along
    moments.along = lambda directions, n: asked.append(directions) or along(directions, n)
    projection_atoms(moments, 3, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(asked[0], axis=1), 1.0, rtol=1e-13)
    basis = subspace(moments, 2).basis
    np.testing.assert_allclose(asked[0] @ basis @ basis.T, asked[0], atol=1e-13)


def test_moments_along_a_direction_have_mean_zero_and_variance_one(monkeypatch):
    """Far from the base as well, where their powers are far from those of the spread."""
    seen, quadrature = [], mixlogit.atoms._quadrature
    monkeypatch.setattr(
        mixlogit.atoms, "_quadrature", lambda m, n: seen.append(m) or quadrature(m, n)
    )
    one = random_atoms(2, 3, seed=0)
    projection_atoms(Known(Atoms(one.shares, one.theta + 20.0)), 2, np.random.default_rng(0))
    np.testing.assert_allclose(seen[0][:3], [1.0, 0.0, 1.0], atol=1e-9)  # of squares of 400


def along_the_first_axis(truth, n_classes):
    """What the moments along the first axis give: how well it tells classes apart, and atoms."""
    moments = Known(truth)
    v = np.eye(truth.theta.shape[1])[0]
    found = moments.along(v[None], 2 * n_classes)
    space = subspace(moments, n_classes - 1)
    rng = np.random.default_rng(0)
    return mixlogit.atoms._atoms_along(v, found.power[0], found.mixed[0], space, rng)


def test_directions_are_ranked_by_what_would_go_if_neighbours_became_one():
    """The variance that would go, at least, times the least share."""
    x, shares = np.array([-1.0, 0.2, 1.5]), np.array([0.2, 0.5, 0.3])

    def variance(place):
        return shares @ place**2 - (shares @ place) ** 2

    lost = []
    for pair in ([0, 1], [1, 2]):
        together = x.copy()
        together[pair] = shares[pair] @ x[pair] / shares[pair].sum()
        lost.append(variance(x) - variance(together))
    contrast, atoms = along_the_first_axis(Atoms(shares, np.column_stack([x, 2 * x**2])), 3)
    assert contrast == pytest.approx(min(lost) * 0.2, rel=1e-9)
    np.testing.assert_allclose(atoms.theta[:, 0], x, atol=1e-9)


@pytest.mark.parametrize("large", [0, 1])
def test_a_direction_that_does_not_tell_all_classes_apart_comes_last(large):
    theta = np.array([[-1.0, 0.5], [1.0, 2.0]])
    truth = Atoms(np.where(np.arange(2) == large, 0.7, 0.3), theta)
    contrast, atoms = along_the_first_axis(truth, 3)
    assert contrast == 0
    # the larger class is split in halves on both sides of where it was
    order = np.argsort(atoms.shares)
    np.testing.assert_allclose(atoms.shares[order], [0.3, 0.35, 0.35], rtol=1e-9)
    np.testing.assert_allclose(atoms.theta[order[0]], theta[1 - large], atol=1e-9)
    np.testing.assert_allclose(atoms.theta[order[1:]].mean(axis=0), theta[large], atol=1e-9)
    assert np.linalg.norm(np.diff(atoms.theta[order[1:]], axis=0)) > 0.1


def test_the_tensor_solver_raises_shares_below_a_thousandth_to_it():
    truth = Atoms(np.array([1e-5, 1 - 1e-5]), np.array([[3.0, -2.0], [0.1, 0.2]]))
    found = tensor_atoms(Known(truth), 2, np.random.default_rng(0))
    assert found.shares.min() == pytest.approx(1e-3, rel=2e-3)  # before they sum to one


def test_the_other_optimiser_keeps_weights_non_negative(monkeypatch):
    def exhausted(design, target):
        raise RuntimeError("too many iterations")

    design, target = np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([1.0, -1.0])
    monkeypatch.setattr(mixlogit.atoms, "nnls", exhausted)
    # without a bound the second weight is −2; at zero, the first is the slope (1 − 0.5) / 1.25
    found = mixlogit.atoms._nonnegative(design, target)
    np.testing.assert_allclose(found, [0.4, 0.0], atol=1e-6)  # stops at a tolerance


# Atoms that fly off


def test_pull_back_leaves_atoms_within_the_second_moment_as_they_are():
    for n_classes, seed in itertools.product(N_CLASSES, SEEDS):
        for n_dimensions in (2, 8):
            atoms = random_atoms(n_classes, n_dimensions, seed)
            pulled = pull_back(atoms, Known(atoms).second)
            assert (pulled.theta == atoms.theta).all()
            assert (pulled.shares == atoms.shares).all()


def test_pull_back_shrinks_atoms_that_fly_off_to_the_bound():
    truth = random_atoms(4, 3, seed=1)
    second = Known(truth).second
    wild = truth.theta.copy()
    wild[2] *= 50
    pulled = pull_back(Atoms(truth.shares, wild), second)
    assert (pulled.theta[[0, 1, 3]] == truth.theta[[0, 1, 3]]).all()
    # on the boundary, second − share theta theta' is singular and positive semi-definite
    left = second - truth.shares[2] * np.outer(pulled.theta[2], pulled.theta[2])
    assert np.linalg.eigvalsh(left)[0] == pytest.approx(0, abs=1e-12)
    turned = pulled.theta[2] / wild[2]
    np.testing.assert_allclose(turned, turned[0])
    assert 0 < turned[0] < 1


@pytest.mark.parametrize("bound", [1.01, 1.9])
def test_pull_back_shrinks_atoms_that_are_only_just_too_far(bound):
    second = np.diag([2.0, 3.0])
    theta = np.array([[1.0, 1.0], [0.5, 0.0]])
    # the share at which share · theta' second⁻¹ theta is the bound
    share = bound / (1 / 2 + 1 / 3)
    pulled = pull_back(Atoms(np.array([share, 0.1]), theta), second)
    np.testing.assert_allclose(pulled.theta[0], theta[0] / np.sqrt(bound), rtol=1e-12)
    np.testing.assert_array_equal(pulled.theta[1], theta[1])


@pytest.mark.parametrize(("size", "noise"), [(100.0, 1e-7), (1.0, 1e-9), (1e-6, 1e-12)])
def test_pull_back_leaves_little_of_what_the_second_moment_excludes(size, noise):
    """A billionth of its size, and no less than 1e-12."""
    atoms = Atoms(np.array([0.5, 0.5]), np.array([[0.0, 1.0], [0.0, 0.0]]))
    pulled = pull_back(atoms, np.diag([size, 0.0]))
    np.testing.assert_allclose(pulled.theta[0], [0.0, np.sqrt(2 * noise)], rtol=1e-9)


def test_pull_back_measures_by_the_noise_where_the_second_moment_is_negative():
    atoms = Atoms(np.array([0.5, 0.5]), np.array([[0.1, 3.0], [0.1, 0.2]]))
    pulled = pull_back(atoms, np.diag([1.0, -0.04]))
    # along the second axis an atom of share 1/2 may lie at the root of 2 · 0.04, near enough
    assert pulled.theta[0, 1] == pytest.approx(np.sqrt(2 * 0.04), rel=1e-3)
    assert (pulled.theta[1] == atoms.theta[1]).all()


# Messages


def test_too_many_classes_for_the_tensor_solver_are_refused():
    moments = Known(random_atoms(4, 2, seed=0))
    with pytest.raises(ArgumentError, match=r"4 classes .* identified attributes, 2: .*projection"):
        tensor_atoms(moments, 4, np.random.default_rng(0))


def test_too_few_choices_for_the_tensor_solver_are_refused():
    moments = Known(random_atoms(2, 2, seed=0), order=2)
    with pytest.raises(
        ArgumentError, match=r"three choices or more .* orders up to 2\. .*subspace"
    ):
        tensor_atoms(moments, 2, np.random.default_rng(0))


def test_too_few_choices_for_the_projection_solver_are_refused():
    moments = Known(random_atoms(3, 2, seed=0), order=4)
    with pytest.raises(ArgumentError, match=r"order 5 for 3 classes.* up to 4\. Use the tensor"):
        projection_atoms(moments, 3, np.random.default_rng(0))
