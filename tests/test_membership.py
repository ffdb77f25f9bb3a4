"""The two membership models under their one contract."""

from __future__ import annotations

from functools import partial

import numpy as np
import oracle
import pytest

from mixlogit.likelihood import _gate_information
from mixlogit.membership import Shares, SoftmaxMembership, for_design, with_base

N, K = 30, 3
RNG = np.random.default_rng(0)
WEIGHT = RNG.uniform(0.5, 2.0, size=N)
POSTERIOR = RNG.dirichlet(np.ones(K), size=(2, N)).swapaxes(1, 2)  # (G, K, N)
COVARIATES = np.column_stack([np.ones(N), RNG.normal(size=N), RNG.integers(2, size=N)])
GATES = {
    "shares": Shares(np.ones((N, 1)), ("Intercept",), WEIGHT.sum()),
    "softmax of a constant": SoftmaxMembership(np.ones((N, 1)), ("Intercept",)),
    "softmax": SoftmaxMembership(COVARIATES, ("Intercept", "age", "north")),
}


@pytest.fixture(params=GATES)
def gate(request):
    return GATES[request.param]


@pytest.fixture
def gamma(gate):
    return 0.5 * np.random.default_rng(1).normal(size=(2, K - 1, gate.z.shape[1]))


def log_prior(gate, gamma):
    everyone = gate.log_prior(gamma, slice(None))
    return np.broadcast_to(everyone, (*everyone.shape[:-1], N))


def expected_value(gate, gamma, posterior=POSTERIOR):
    """Expected complete log-likelihood of the membership, by its formula, (G,)."""
    return (WEIGHT * posterior * log_prior(gate, gamma)).sum(axis=(-2, -1))


def gradient(gate, gamma, posterior=POSTERIOR):
    surprise = (posterior - np.exp(log_prior(gate, gamma)))[:, 1:]
    return (surprise * WEIGHT) @ gate.z


def information(gate, gamma):
    return _gate_information(np.exp(gate.log_prior(gamma, slice(None)))[:, 1:], WEIGHT, gate.z)


def m_step(gate, gamma, posterior=POSTERIOR):
    return gate.m_step(gamma, gradient(gate, gamma, posterior), information(gate, gamma))


def test_log_prior_agrees_with_the_loop(gate, gamma):
    for g in range(2):
        expected = [oracle.log_membership(z, gamma[g]) for z in gate.z]
        # a sum and a logarithm
        np.testing.assert_allclose(log_prior(gate, gamma)[g].T, expected, rtol=1e-13, atol=1e-15)


def test_log_prior_of_some_individuals_is_a_part_of_that_of_all(gate, gamma):
    some = gate.log_prior(gamma, slice(4, 9))
    np.testing.assert_array_equal(
        np.broadcast_to(some, (2, K, 5)), log_prior(gate, gamma)[..., 4:9]
    )


def test_log_prior_is_normalised_for_logits_of_any_size(gate, gamma):
    for size in (1.0, 1e3, 1e150):
        prior = np.exp(log_prior(gate, gamma * size))
        np.testing.assert_allclose(prior.sum(axis=-2), 1, rtol=1e-13)


def test_from_shares_gives_these_shares(gate):
    shares = np.array([[0.2, 0.5, 0.3], [0.9, 1e-12, 0.1 - 1e-12]])
    prior = np.exp(log_prior(gate, gate.from_shares(shares)))
    np.testing.assert_allclose(prior, np.repeat(shares[..., None], N, axis=-1), rtol=1e-12)


def test_gradient_agrees_with_differences(gate, gamma):
    slope = oracle.difference_gradient(
        lambda flat: expected_value(gate, flat.reshape(gamma[0].shape))[0], gamma[0].ravel()
    )
    np.testing.assert_allclose(gradient(gate, gamma)[0].ravel(), slope, atol=1e-7)


def test_information_agrees_with_differences_of_the_gradient(gate, gamma):
    slope = oracle.difference_gradient(
        lambda flat: gradient(gate, np.stack([flat.reshape(gamma[0].shape)] * 2))[0].ravel(),
        gamma[0].ravel(),
    )
    np.testing.assert_allclose(information(gate, gamma)[0], -slope, atol=1e-6)


def test_the_m_step_raises_the_expected_log_likelihood(gate, gamma):
    for _ in range(3):
        new = m_step(gate, gamma)
        assert (expected_value(gate, new) >= expected_value(gate, gamma) - 1e-12).all()
        gamma = new


def test_m_steps_end_where_the_gradient_vanishes(gate, gamma):
    for _ in range(20):
        gamma = m_step(gate, gamma)
    np.testing.assert_allclose(gradient(gate, gamma), 0, atol=1e-11)  # sums of 30 terms


def test_the_m_step_of_shares_is_the_mean_posterior():
    gate = GATES["shares"]
    mean = (POSTERIOR @ WEIGHT) / WEIGHT.sum()  # (G, K)
    for start in ([0.2, 0.5, 0.3], [1 - 2e-9, 1e-9, 1e-9]):
        new = m_step(gate, gate.from_shares(np.array([start, start])))
        np.testing.assert_allclose(np.exp(gate.log_prior(new, slice(None)))[..., 0], mean, 1e-13)


def test_the_m_step_of_a_class_without_posterior_leaves_a_finite_logit():
    gate = GATES["shares"]
    posterior = np.zeros_like(POSTERIOR)
    posterior[:, 1] = 1.0
    new = m_step(gate, gate.from_shares(np.full((2, K), 1 / K)), posterior)
    assert np.isfinite(new).all()
    np.testing.assert_allclose(
        np.exp(gate.log_prior(new, slice(None)))[0, :, 0], [0, 1, 0], atol=1e-15
    )


def test_a_softmax_of_a_constant_ends_at_the_shares():
    shares, softmax = GATES["shares"], GATES["softmax of a constant"]
    start = shares.from_shares(np.full((2, K), 1 / K))
    gamma = start
    for _ in range(20):
        gamma = m_step(softmax, gamma)
    np.testing.assert_allclose(gamma, m_step(shares, start), atol=1e-12)


def test_the_m_step_of_a_softmax_heads_for_the_maximum_of_the_loop():
    gate = GATES["softmax"]

    def derivatives(flat):
        at = np.stack([flat.reshape(K - 1, -1)] * 2)
        return (
            expected_value(gate, at)[0],
            gradient(gate, at)[0].ravel(),
            -information(gate, at)[0],
        )

    gamma = np.zeros((2, K - 1, 3))
    for _ in range(20):
        gamma = m_step(gate, gamma)
    best = oracle.maximise(derivatives, np.zeros((K - 1) * 3))
    np.testing.assert_allclose(gamma[0].ravel(), best, atol=1e-10)


def test_with_base_puts_zeros_in_front():
    np.testing.assert_array_equal(with_base(np.ones((2, 1, 3)))[:, 0], 0)
    np.testing.assert_array_equal(with_base(np.ones((2, 1, 3)))[:, 1], 1)


@pytest.mark.parametrize(
    ("z", "kind"),
    [
        (np.ones((4, 1)), Shares),
        (np.full((4, 1), 2.0), SoftmaxMembership),
        (np.ones((4, 2)), SoftmaxMembership),
    ],
)
def test_shares_are_chosen_for_a_column_of_ones_only(z, kind):
    chosen = partial(for_design, names=("a",) * z.shape[1], total_weight=4.0)
    assert isinstance(chosen(z), kind)
