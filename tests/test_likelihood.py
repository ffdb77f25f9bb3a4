"""The likelihood and its derivatives against slow loops, on every layout of the zoo."""

from __future__ import annotations

import itertools
from dataclasses import fields

import numpy as np
import oracle
import pytest
import scipy.linalg
import zoo

import mixlogit.blocks
import mixlogit.logit
from mixlogit.constraints import Restrictions
from mixlogit.likelihood import Expectation, MixtureLikelihood, Parameters

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
    np.testing.assert_allclose(data.total_weight, weight, rtol=1e-15)  # of a mean of 1
    np.testing.assert_allclose(data.membership, [person.z for person in case.problem], rtol=1e-15)
    n_choices = [sum(n.sum() for _, n in person.choices) for person in case.problem]
    np.testing.assert_array_equal(data.choices_per_individual, n_choices)


def test_choice_data_is_read_only(case):
    data = case.model(1).choices
    for array in (data.exog, data.weights, data.membership):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_small_blocks_give_the_same_numbers(case, monkeypatch):
    beta, gamma, flat = zoo.random_parameters(case, 2, seed=1)
    for by_slots in (0.0, 1e9):  # no choice set, or every one, is laid out by slots
        monkeypatch.setattr(mixlogit.blocks, "_MEAN_SLOTS", by_slots)
        monkeypatch.setattr(mixlogit.blocks, "_MIN_ROWS", 3)
        monkeypatch.setattr(mixlogit.blocks, "_MAX_ROWS", 3)
        for keep in (0, 1 << 25):
            monkeypatch.setattr(mixlogit.blocks, "_KEEP_BYTES", keep)
            model = case.model(2)
            scaled_close(model.score(flat), oracle.score(case.problem, beta, gamma), 1e-11)
            scaled_close(model.hessian(flat), oracle.hessian(case.problem, beta, gamma), 1e-10)
            scores = oracle.individual_scores(case.problem, beta, gamma)
            found = model.likelihood().individual_scores(Parameters(beta, gamma))
            scaled_close(found, scores, 1e-11)


def test_a_stack_of_mixtures_equals_one_at_a_time(case):
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
    # by hand: half of 2.5 times the variance of utility within situations, class by class
    centred = np.vstack(
        [x - x.mean(axis=0) for person in zoo.CASES[0].problem for x, _ in person.choices]
    )
    each = 2.5 * centred.T @ centred / len(centred)
    n_gate = data.membership.shape[1]
    weight = scipy.linalg.block_diag(each, each, np.zeros((n_gate, n_gate)))
    variance = sum(np.mean((centred @ beta) ** 2) for beta in np.split(flat[:-n_gate], 2))
    assert ridge.value == pytest.approx(plain.value - 0.5 * 2.5 * variance, rel=1e-13)
    assert ridge.llf == plain.llf
    scaled_close(ridge.score, plain.score - weight @ flat, 1e-13)
    scaled_close(ridge.hessian, plain.hessian - weight, 1e-13)


@pytest.mark.parametrize("penalty", [0.0, 2.5])
def test_the_penalty_of_a_stack_is_that_of_each_of_its_mixtures(penalty):
    likelihood = zoo.case("balanced panel").model(2).likelihood(penalty)
    beta = np.random.default_rng(0).standard_normal((3, 2, 3))
    found = likelihood.penalty_at(beta)
    covariance = likelihood.data.exog_covariance
    squares = [sum(taste @ covariance @ taste for taste in one) for one in beta]
    np.testing.assert_allclose(found, 0.5 * penalty * np.array(squares), rtol=1e-13)
    assert found.shape == (3,)
    assert likelihood.penalty_at(beta[0]) == pytest.approx(found[0], rel=1e-13)
    assert likelihood.penalty_at(beta[0]).shape == ()


# -- stacks, and mixtures with other classes -------------------------------------------------------


def stack_of(case, n, n_classes):
    drawn = [zoo.random_parameters(case, n_classes, seed)[:2] for seed in range(n)]
    return Parameters(*(np.array(part) for part in zip(*drawn, strict=True)))


@pytest.mark.parametrize("information", [True, False])
@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_stacks_that_do_not_fit_the_scratch_are_done_in_parts(
    case, at_once, information, monkeypatch
):
    likelihood = case.model(2).likelihood(0.7)
    stack = stack_of(case, 5, 2)
    assert likelihood.table.columns_at_once >= 10
    whole = likelihood.expect(stack, information=information)
    columns = property(lambda table: 2 * at_once + 1)
    monkeypatch.setattr(mixlogit.logit.ChoiceTable, "columns_at_once", columns)
    parts = likelihood.expect(stack, information=information)
    for field in fields(Expectation):
        scaled_close(getattr(parts, field.name), getattr(whole, field.name), LOOP)


def test_the_scratch_of_a_sweep_is_bounded(monkeypatch):
    data = zoo.case("balanced panel").model(2).choices
    table = mixlogit.logit.ChoiceTable(data)
    monkeypatch.setattr(mixlogit.logit, "_SCRATCH_BYTES", 7 * 4 * 8 * data.n_rows)
    assert table.columns_at_once >= 7  # four arrays of doubles
    monkeypatch.setattr(mixlogit.logit, "_SCRATCH_BYTES", 0)
    assert table.columns_at_once == 1  # never none
    likelihood = MixtureLikelihood(table, 2)
    stack = stack_of(zoo.case("balanced panel"), 3, 2)
    values = likelihood.expect(stack).llf
    monkeypatch.undo()
    scaled_close(values, likelihood.expect(stack).llf, LOOP)


def test_an_e_step_without_information_is_otherwise_the_same(case):
    likelihood = case.model(3).likelihood(0.7)
    stack = stack_of(case, 2, 3)
    full = likelihood.expect(stack)
    less = likelihood.expect(stack, information=False)
    assert less.beta_information.shape == (2, 3, 0, 0)
    for name in ("llf", "beta_gradient", "gamma_gradient", "mass"):
        scaled_close(getattr(less, name), getattr(full, name), 1e-13)  # without a curvature


def test_a_sweep_without_curvature_has_an_empty_one(case):
    table = mixlogit.logit.ChoiceTable(case.model(1).choices)
    beta = zoo.random_parameters(case, 3, seed=0)[0]

    def weigh(log_f, individuals):
        return np.exp(log_f / 10), ()

    full, less = table.sweep(beta, weigh), table.sweep(beta, weigh, curvature=False)
    assert less.curvature.shape == (3, 0, 0)
    scaled_close(less.gradient, full.gradient, 1e-13)


@pytest.mark.parametrize("penalty", [0.0, 2.5])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_without_each_is_the_mixture_of_the_other_classes(case, n_classes, penalty):
    likelihood = case.model(n_classes).likelihood(penalty)
    beta, gamma, flat = zoo.random_parameters(case, n_classes, seed=3)
    full = np.vstack([np.zeros(case.n_covariates), gamma])
    covariance = likelihood.data.exog_covariance
    expected = []
    for k in range(n_classes):
        rest = [c for c in range(n_classes) if c != k]
        # softmax of the logits that are left: probabilities are scaled up to one
        value = oracle.log_likelihood(case.problem, beta[rest], full[rest[1:]] - full[rest[0]])
        variance = sum(taste @ covariance @ taste for taste in beta[rest])
        expected.append(value - 0.5 * penalty * variance)
    found = likelihood.without_each(likelihood.unpack(flat))
    np.testing.assert_allclose(found, expected, rtol=LOOP)


def test_taking_a_class_away_leaves_the_odds_of_the_others(case):
    beta, gamma, _ = zoo.random_parameters(case, 4, seed=4)
    parameters = Parameters(beta, gamma)
    likelihood = case.model(4).likelihood()
    prior = likelihood.prior(parameters)
    for k in range(4):
        rest = np.array([c for c in range(4) if c != k])
        fewer = parameters.without(k)
        np.testing.assert_array_equal(fewer.beta, beta[rest])
        expected = prior[:, rest] / prior[:, rest].sum(axis=1, keepdims=True)
        found = likelihood.with_classes(3).prior(fewer)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("lead", [(), (4,), (2, 3)])
def test_flat_vectors_are_split_into_the_shapes_of_other_parameters(lead):
    like = Parameters(np.zeros((3, 2)), np.zeros((2, 5)))
    flat = np.random.default_rng(0).standard_normal((*lead, 16))
    found = like.like(flat)
    assert found.beta.shape == (*lead, 3, 2)
    assert found.gamma.shape == (*lead, 2, 5)
    for place in np.ndindex(*lead):
        own = Parameters(found.beta[place], found.gamma[place])
        np.testing.assert_array_equal(oracle.flatten(own.beta, own.gamma), flat[place])


@pytest.mark.parametrize("k", [0, 1, 2])
def test_a_split_puts_one_half_last_and_leaves_the_other_classes(case, k):
    beta, gamma, _ = zoo.random_parameters(case, 3, seed=5)
    parameters = Parameters(beta, gamma)
    direction = np.linspace(-0.2, 0.3, case.n_attributes)
    split = parameters.split(k, direction)
    rest = [c for c in range(3) if c != k]
    np.testing.assert_array_equal(split.beta[rest], beta[rest])
    np.testing.assert_array_equal(split.beta[k], beta[k] - direction)
    np.testing.assert_array_equal(split.beta[3], beta[k] + direction)
    prior = case.model(4).likelihood().prior(split)
    np.testing.assert_allclose(prior[:, k], prior[:, 3], rtol=1e-12)  # two halves
    np.testing.assert_array_equal(parameters.beta, beta)  # the original is as it was
    # without the halves, the other classes are as they were
    both = split.without(3).without(k)
    neither = parameters.without(k)
    np.testing.assert_array_equal(both.beta, neither.beta)
    np.testing.assert_allclose(both.gamma, neither.gamma, atol=1e-14)
    # without the last half, the mixture is the original but for the tastes of the first
    half = split.without(3)
    np.testing.assert_allclose(half.gamma, gamma, atol=1e-14)
    np.testing.assert_allclose(half.beta - beta, -direction * np.eye(3)[k][:, None], atol=1e-15)


def test_stacks_are_split_and_stripped_as_their_mixtures_are():
    case = zoo.case("membership")
    stack = stack_of(case, 3, 3)
    direction = np.array([0.2, -0.1])
    split, fewer = stack.split(1, direction), stack.without(0)
    for g in range(3):
        np.testing.assert_array_equal(split.beta[g], stack[g].split(1, direction).beta)
        np.testing.assert_array_equal(split.gamma[g], stack[g].split(1, direction).gamma)
        np.testing.assert_array_equal(fewer.beta[g], stack[g].without(0).beta)
        np.testing.assert_array_equal(fewer.gamma[g], stack[g].without(0).gamma)


def test_stacks_are_put_one_behind_the_other():
    stack = stack_of(zoo.case("membership"), 4, 2)
    both = Parameters.stack([stack[[3]], stack[1:1], stack[:3]])
    np.testing.assert_array_equal(both.beta, stack.beta[[3, 0, 1, 2]])
    np.testing.assert_array_equal(both.gamma, stack.gamma[[3, 0, 1, 2]])
    assert both.n_classes == 2


def test_another_number_of_classes_keeps_data_and_penalty():
    likelihood = zoo.case("ragged panel").model(2).likelihood(1.5)
    more = likelihood.with_classes(4)
    assert more.n_classes == 4
    assert more.penalty == 1.5
    assert more.table is likelihood.table


def test_other_numbers_of_classes_and_samples_keep_restrictions():
    data = zoo.case("ragged panel").model(2).choices
    restrictions = Restrictions.of("x1", (), {"x2": "+", "class2.x1": "-"})
    likelihood = MixtureLikelihood(mixlogit.logit.ChoiceTable(data), 2, 0.0, restrictions)
    more = likelihood.with_classes(3)
    assert more.restrictions == Restrictions.of("x1", (), {"x2": "+"})  # names no class
    assert more.constraints.n_free == more.n_params - 2
    sample = likelihood.sample(20, np.random.default_rng(3))
    assert sample.restrictions == restrictions
    assert sample.constraints.n_free == sample.n_params - 1


def test_classes_change_places_until_no_swap_brings_them_nearer():
    """The first round of swaps leaves squares of 30, a second one 12, the least of all orders."""
    data = zoo.case("balanced panel").model(3).choices
    scale = data.exog_scale[:2]
    goal = np.array([[-3.0, -1.0], [0.0, -1.0], [-1.0, -3.0]])
    place = np.array([[-3.0, -3.0], [-3.0, 1.0], [0.0, 1.0]])
    equations = [
        f"class{k + 1}.{data.exog_names[a]} = {float(goal[k, a] / scale[a])!r}"
        for k in range(3)
        for a in range(2)
    ]
    restrictions = Restrictions.of((), equations, None)
    likelihood = MixtureLikelihood(mixlogit.logit.ChoiceTable(data), 3, 0.0, restrictions)
    beta = np.hstack([place / scale, [[1.0], [2.0], [3.0]]])  # the last attribute marks the class
    met = likelihood.conform(Parameters(beta[None], np.zeros((1, 2, 1)))).beta[0]
    orders = [list(order) for order in itertools.permutations(range(3))]
    squares = [((place[order] - goal) ** 2).sum() for order in orders]
    assert min(squares) == 12
    np.testing.assert_allclose(met[:, 2], beta[orders[np.argmin(squares)], 2], rtol=1e-13)
    np.testing.assert_allclose(met[:, :2] * scale, goal, rtol=0, atol=1e-13)


def test_a_sample_of_the_likelihood_is_that_of_the_data():
    likelihood = zoo.case("ragged panel").model(2).likelihood(1.5)
    sample = likelihood.sample(20, np.random.default_rng(3))
    data = likelihood.data.sample(20, np.random.default_rng(3))
    np.testing.assert_array_equal(sample.data.exog, data.exog)
    assert (sample.n_classes, sample.penalty) == (2, 1.5)
    flat = zoo.random_parameters(zoo.case("ragged panel"), 2, seed=0)[2]
    expected = MixtureLikelihood(mixlogit.logit.ChoiceTable(data), 2, 1.5).evaluate(flat).value
    assert sample.evaluate(flat).value == expected


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("_FEW_COLUMNS", 0),  # products of pairs of attributes for all columns
        ("_FEW_COLUMNS", 1000),  # products of every column of its own
        ("_MANY_ATTRIBUTES", 1),  # no products of pairs
        ("_TAME", 0.0),  # every utility may make a choice certain
        ("_KEEP_BYTES", 0),  # nothing is held between sweeps
        ("_MEAN_SLOTS", 0.0),  # all choice sets are large
    ],
)
def test_every_way_through_a_block_gives_the_same_numbers(case, setting, value, monkeypatch):
    data, stack = case.model(3).choices, stack_of(case, 4, 3)
    usual = MixtureLikelihood(mixlogit.logit.ChoiceTable(data), 3).expect(stack)
    monkeypatch.setattr(mixlogit.blocks, setting, value)
    other = MixtureLikelihood(mixlogit.logit.ChoiceTable(data), 3).expect(stack)
    for name, expected in vars(usual).items():
        scaled_close(getattr(other, name), expected, LOOP)


# -- what an iteration of EM needs -----------------------------------------------------------------


@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_e_steps_and_complete_information_agree_with_the_loop(at, penalty):
    model, problem, beta, gamma, flat = at
    likelihood = model.likelihood(penalty)
    n_classes, n_tastes = len(beta), beta.size
    each = n_classes * [penalty * likelihood.data.exog_covariance]
    ridge = scipy.linalg.block_diag(*each, np.zeros((gamma.size, gamma.size)))
    mass, complete = np.zeros(n_classes), ridge.copy()
    for person in problem:
        for k, r in enumerate(oracle.posterior_of(person, beta, gamma)):
            mass[k] += person.total_weight * r
            complete -= person.total_weight * r * oracle.complete_hessian(person, k, beta, gamma)
    score = oracle.score(problem, beta, gamma) - ridge @ flat

    found = likelihood.expect(Parameters(beta[None], gamma[None]))
    assert found.llf[0] == pytest.approx(oracle.log_likelihood(problem, beta, gamma), rel=LOOP)
    scaled_close(found.mass[0], mass, 1e-11)
    gradients = np.append(found.beta_gradient[0], found.gamma_gradient[0])
    scaled_close(gradients, score, 1e-11)
    for k, own in enumerate(np.arange(n_tastes).reshape(beta.shape)):
        scaled_close(found.beta_information[0, k], complete[np.ix_(own, own)], 1e-11)
    scaled_close(found.gamma_information[0], complete[n_tastes:, n_tastes:], 1e-11)

    evaluation = likelihood.evaluate(flat)
    scaled_close(evaluation.mass, mass, 1e-11)
    scaled_close(evaluation.posterior.T, oracle.posterior(problem, beta, gamma), 1e-11)
    scaled_close(evaluation.complete_information, complete, 1e-11)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_covariates_of_individuals_with_weights_agree_with_the_loop(n_classes):
    frame = zoo.case("membership").frame.copy()
    frame["w"] = np.random.default_rng(0).uniform(0.3, 2.5, size=40)[frame["person"] - 1]
    keywords = zoo.case("membership").keywords | {"weights": "w"}
    case = zoo.Case("weighted membership", frame, zoo.TWO, keywords)
    at = case.model(n_classes), case.problem, *zoo.random_parameters(case, n_classes, seed=0)
    for check in (
        test_loglike_agrees_with_the_loop,
        test_posterior_agrees_with_the_loop,
        test_individual_scores_agree_with_the_loop,
        test_score_agrees_with_the_loop,
        test_hessian_agrees_with_the_loop,
    ):
        check(at)
    test_e_steps_and_complete_information_agree_with_the_loop(at, 0.7)


def test_log_likelihoods_and_priors_of_individuals_agree_with_the_loop(at):
    model, problem, beta, gamma, flat = at
    likelihood = model.likelihood()
    parameters = likelihood.unpack(flat)
    log_mixture, posterior = likelihood.posterior(parameters)
    expected = [oracle.log_sum_exp(oracle.log_joint(one, beta, gamma)) for one in problem]
    scaled_close(log_mixture, expected, LOOP)
    scaled_close(posterior, oracle.posterior(problem, beta, gamma), 1e-11)
    expected = [np.exp(oracle.log_membership(one.z, gamma)) for one in problem]
    scaled_close(likelihood.prior(parameters), expected, LOOP)


def test_the_scores_of_some_individuals_are_those_of_all_in_their_place(case, monkeypatch):
    beta, gamma, _ = zoo.random_parameters(case, 3, seed=7)
    monkeypatch.setattr(mixlogit.blocks, "_MIN_ROWS", 3)
    monkeypatch.setattr(mixlogit.blocks, "_MAX_ROWS", 3)
    expected = oracle.individual_scores(case.problem, beta, gamma)
    pieces = list(case.model(3).likelihood().score_blocks(Parameters(beta, gamma)))
    scaled_close(np.vstack([scores for _, scores in pieces]), expected, 1e-11)
    for individuals, scores in pieces:
        scaled_close(scores, expected[individuals], 1e-11)


def test_a_split_keeps_the_odds_of_every_layout_of_classes():
    """With unequal shares, of class 1 too: probabilities are those of the classes split."""
    gamma = np.array([[0.4], [-1.1]])
    split = Parameters(np.zeros((3, 2)), gamma).split(0, np.ones(2))
    odds = np.exp([0.0, 0.4, -1.1])
    np.testing.assert_allclose(np.exp(split.gamma[:, 0]), [*odds[1:], 1.0], rtol=1e-15)
    moved = Parameters(np.zeros((3, 2)), gamma).reordered(np.array([1, 2, 0]))
    np.testing.assert_allclose(np.exp(moved.gamma[:, 0]), odds[[2, 0]] / odds[1], rtol=1e-14)
    fewer = Parameters(np.zeros((3, 2)), gamma).without(0)
    np.testing.assert_allclose(np.exp(fewer.gamma[:, 0]), odds[2:] / odds[1], rtol=1e-14)


def test_posteriors_follow_from_the_log_probabilities_of_choices():
    likelihood = zoo.case("ragged panel").model(2).likelihood()
    log_f, log_prior = np.log([[0.2, 0.5], [0.1, 0.9]]), np.log([[0.25], [0.75]])
    joint = np.array([[0.05, 0.125], [0.075, 0.675]])
    found = likelihood.posterior_of(log_f, log_prior)
    np.testing.assert_allclose(found, joint / joint.sum(axis=0), rtol=1e-14)


def test_evaluations_under_constraints_are_by_the_free_parameters():
    """The derivatives of the function of the free parameters, by differences."""
    case = zoo.case("sampling weights")
    data = case.model(2).choices
    restrictions = Restrictions.of("x1", ("class2.x2 = 2 * class1.x2 + 1",), None)
    likelihood = MixtureLikelihood(mixlogit.logit.ChoiceTable(data), 2, 0.0, restrictions)
    constraints = likelihood.constraints
    phi = 0.3 * np.random.default_rng(0).standard_normal(constraints.n_free)

    def value(at):
        return likelihood.evaluate(constraints.full(at)).value

    whole = likelihood.evaluate(constraints.full(phi))
    found = whole.under(constraints)
    assert found.value == whole.value
    scaled_close(found.score, oracle.difference_gradient(value, phi), 1e-7)
    scaled_close(found.hessian, oracle.difference_hessian(value, phi), 1e-6)
    # φ with 1, 2 in the places that the equations give it
    basis = np.array([constraints.full(unit) - constraints.full(0 * phi) for unit in np.eye(3)]).T
    scaled_close(found.complete_information, basis.T @ whole.complete_information @ basis, 1e-12)
    assert whole.outer is not None
    scaled_close(found.outer, basis.T @ whole.outer @ basis, 1e-12)


def test_one_class_has_no_outer_product_under_constraints_either():
    data = zoo.case("sampling weights").model(1).choices
    restrictions = Restrictions.of((), "class1.x1 = 1", None)
    likelihood = MixtureLikelihood(mixlogit.logit.ChoiceTable(data), 1, 0.0, restrictions)
    whole = likelihood.evaluate(np.ones(likelihood.n_params))
    found = whole.under(likelihood.constraints)
    assert whole.outer is None
    assert found.outer is None
    scaled_close(found.hessian, whole.hessian[1:, 1:], 1e-14)  # of the free parameters
