"""The likelihood and its derivatives against slow loops, on every layout of the zoo."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
import zoo

LOOP = 1e-12  # sums of the same terms in another order
N_CLASSES = [1, 2, 3]


def scaled_close(a, b, tolerance):
    """Equal to a tolerance relative to the largest entry."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    assert np.abs(a - b).max(initial=0.0) <= tolerance * max(1.0, np.abs(b).max(initial=0.0))


@pytest.fixture(params=zoo.CASES, ids=lambda case: case.name)
def case(request):
    return request.param


@pytest.fixture(params=N_CLASSES)
def at(request, case):
    """A model, its problem for the loops, and parameters."""
    beta, gamma, flat = zoo.random_parameters(case, request.param, seed=0)
    return case.model(request.param), case.problem, beta, gamma, flat


def test_loglike_agrees_with_the_loop(at):
    model, problem, beta, gamma, flat = at
    expected = oracle.log_likelihood(problem, beta, gamma)
    assert model.loglike(flat) == pytest.approx(expected, rel=LOOP)


def test_posterior_agrees_with_the_loop(at):
    model, problem, beta, gamma, flat = at
    scaled_close(model.posterior(flat), oracle.posterior(problem, beta, gamma), 1e-11)


def test_individual_scores_agree_with_the_loop(at):
    model, problem, beta, gamma, flat = at
    weight = np.array([person.weight * person.frequency for person in problem])
    expected = oracle.individual_scores(problem, beta, gamma) * weight[:, None]
    scaled_close(model.score_obs(flat), expected, 1e-11)


def test_score_agrees_with_the_loop(at):
    model, problem, beta, gamma, flat = at
    scaled_close(model.score(flat), oracle.score(problem, beta, gamma), 1e-11)


def test_hessian_agrees_with_the_loop(at):
    model, problem, beta, gamma, flat = at
    scaled_close(model.hessian(flat), oracle.hessian(problem, beta, gamma), 1e-10)


def test_score_agrees_with_differences_of_loglike(at):
    model, _, _, _, flat = at
    unit = parameter_units(model)
    slope = oracle.difference_gradient(lambda u: model.loglike(u * unit), flat / unit, 1e-4)
    scaled_close(model.score(flat) * unit, slope, 1e-7)


def test_hessian_agrees_with_differences_of_the_score(at):
    model, _, _, _, flat = at
    unit = parameter_units(model)
    slope = oracle.difference_gradient(lambda u: model.score(u * unit) * unit, flat / unit, 1e-4)
    scaled_close(model.hessian(flat) * np.outer(unit, unit), slope, 1e-6)


def parameter_units(model) -> np.ndarray:
    """One over the spread of each attribute, one for membership logits."""
    data = model.choices
    n_gate = (model.n_classes - 1) * data.membership.shape[1]
    return np.append(np.tile(1 / data.exog_scale, model.n_classes), np.ones(n_gate))


def test_sorting_and_grouping_read_the_table_as_the_loop_does(case):
    model = case.model(1)
    data = model.choices
    assert data.n_distinct == len(case.problem)
    assert data.n_individuals == sum(person.frequency for person in case.problem)
    weight = [person.weight * person.frequency for person in case.problem]
    np.testing.assert_array_equal(data.total_weight, weight)
    np.testing.assert_allclose(data.membership, [person.z for person in case.problem], rtol=1e-15)
    n_choices = [sum(n.sum() for _, n in person.choices) for person in case.problem]
    np.testing.assert_array_equal(data.choices_per_individual, n_choices)


def test_choice_data_is_read_only(case):
    data = case.model(1).choices
    for array in (data.exog, data.weights, data.membership):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_small_blocks_give_the_same_numbers(case, monkeypatch):
    import mixlogit.logit

    beta, gamma, flat = zoo.random_parameters(case, 2, seed=1)
    for by_slots in (0.0, 1e9):  # no choice set, or every one, is laid out by slots
        monkeypatch.setattr(mixlogit.logit, "_MEAN_SLOTS", by_slots)
        monkeypatch.setattr(mixlogit.logit, "_MIN_ROWS", 3)
        monkeypatch.setattr(mixlogit.logit, "_MAX_ROWS", 3)
        for keep in (0, 1 << 25):
            monkeypatch.setattr(mixlogit.logit, "_KEEP_BYTES", keep)
            model = case.model(2)
            scaled_close(model.score(flat), oracle.score(case.problem, beta, gamma), 1e-11)
            scaled_close(model.hessian(flat), oracle.hessian(case.problem, beta, gamma), 1e-10)


def test_a_stack_of_mixtures_equals_one_at_a_time(case):
    from mixlogit.likelihood import Parameters

    model = case.model(2)
    likelihood = model.likelihood()
    singles = [likelihood.unpack(zoo.random_parameters(case, 2, seed=seed)[2]) for seed in range(3)]
    stack = Parameters(np.stack([p.beta for p in singles]), np.stack([p.gamma for p in singles]))
    together = likelihood.expect(stack)
    for g, single in enumerate(singles):
        evaluation = likelihood.evaluate(single.flat())
        assert together.llf[g] == pytest.approx(evaluation.llf, rel=LOOP)
        score = np.append(together.beta_gradient[g], together.gamma_gradient[g])
        scaled_close(score, evaluation.score, 1e-11)
        scaled_close(together.mass[g], evaluation.mass, 1e-11)
        n_tastes = single.beta.size
        gate = evaluation.complete_information[n_tastes:, n_tastes:]
        scaled_close(together.gamma_information[g], gate, 1e-11)


def test_relabelling_classes_changes_nothing_else(case):
    model = case.model(3)
    likelihood = model.likelihood()
    parameters = likelihood.unpack(zoo.random_parameters(case, 3, seed=2)[2])
    order = np.array([2, 0, 1])
    relabelled = parameters.reordered(order)
    assert model.loglike(relabelled.flat()) == pytest.approx(
        model.loglike(parameters.flat()), rel=LOOP
    )
    scaled_close(
        model.posterior(relabelled.flat()), model.posterior(parameters.flat())[:, order], 1e-12
    )


@pytest.mark.parametrize("size", [1e3, 1e6, 1e150])
def test_loglike_is_finite_for_coefficients_of_any_size(size):
    model = zoo.CASES[0].model(2)
    flat = np.linspace(-1, 1, model.likelihood().n_params) * size
    assert np.isfinite(model.loglike(flat))
    assert np.isfinite(model.score(flat)).all()
    assert np.isfinite(model.hessian(flat)).all()


def test_the_penalty_is_taken_off_value_score_and_hessian():
    model = zoo.CASES[0].model(2)
    flat = zoo.random_parameters(zoo.CASES[0], 2, seed=0)[2]
    plain, ridge = model.likelihood(0.0).evaluate(flat), model.likelihood(2.5).evaluate(flat)
    data = model.choices
    # by hand: half of 2.5 times squared coefficients in units of one over their spread
    centred = [x - x.mean(axis=0) for person in zoo.CASES[0].problem for x, _ in person.choices]
    spread = (np.vstack(centred) ** 2).mean(axis=0)
    weight = np.append(2.5 * np.tile(spread, 2), np.zeros(data.membership.shape[1]))
    assert ridge.value == pytest.approx(plain.value - 0.5 * (weight * flat**2).sum(), rel=1e-13)
    assert ridge.llf == plain.llf
    scaled_close(ridge.score, plain.score - weight * flat, 1e-13)
    scaled_close(ridge.hessian, plain.hessian - np.diag(weight), 1e-13)
