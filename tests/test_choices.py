"""The data that a fit reads: their numbers, and samples of them."""

from __future__ import annotations

import numpy as np
import oracle
import pandas as pd
import pytest
import zoo
from zoo import CASES, data_of

from mixlogit.arrangement import arrange
from mixlogit.errors import IdentificationError
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.logit import ChoiceTable


def test_single_alternatives_are_noted():
    three = arrange(5, [1, 2, 2, 3, 4])
    data = data_of(np.arange(5.0)[:, None], three)
    assert data.notes == ("3 choice situations with a single alternative carry no information.",)
    data = data_of(np.arange(3.0)[:, None], arrange(3, [1, 2, 2]))
    assert data.notes == ("1 choice situation with a single alternative carries no information.",)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_arrays_of_choice_data_are_read_only(case):
    data = case.model(1).choices
    for record in (data, data.arrangement, data.entries):
        arrays = [value for value in vars(record).values() if isinstance(value, np.ndarray)]
        assert arrays
        assert not any(array.flags.writeable for array in arrays)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_numbers_of_the_data_are_those_of_the_loop(case):
    data, problem = case.model(1).choices, case.problem
    choices = [sum(counts.sum() for _, counts in one.choices) for one in problem]
    assert data.n_distinct == len(problem)
    assert data.n_individuals == sum(one.frequency for one in problem)
    assert data.n_choices == sum(n * one.frequency for n, one in zip(choices, problem, strict=True))
    np.testing.assert_array_equal(data.choices_per_individual, choices)
    np.testing.assert_allclose(data.total_weight, [one.total_weight for one in problem], rtol=1e-15)
    np.testing.assert_allclose(data.membership, [one.z for one in problem], rtol=1e-15)


# -- samples -------------------------------------------------------------------------------------


def owners(data) -> np.ndarray:
    """Who is drawn as one, for each individual: the individual, or its situation without ids."""
    if data.arrangement.situation_owner is not None:
        return np.arange(data.n_distinct)
    first = data.entries.row[data.entries.start[:-1]]
    return np.searchsorted(data.arrangement.situation_start, first, side="right") - 1


def first_choices(data) -> np.ndarray:
    """Row of the user's table that each individual chose first: nobody shares it with another."""
    return data.arrangement.order[data.entries.row[data.entries.start[:-1]]]


SAMPLED = [case for case in CASES if case.model(1).choices.n_situations > 1]


@pytest.mark.parametrize("case", SAMPLED, ids=lambda case: case.name)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_sample_holds_individuals_with_all_that_they_did(case, seed):
    full = case.model(2).choices
    n_owners = len(np.unique(owners(full)))
    n = (2 * n_owners) // 3
    sample = full.sample(n, np.random.default_rng(seed))
    assert len(np.unique(owners(sample))) == n
    known = {row: i for i, row in enumerate(first_choices(full).tolist())}
    which = [known[row] for row in first_choices(sample).tolist()]
    assert len(set(which)) == len(which)  # nobody twice
    assert which == sorted(which)
    # nobody of a situation that is drawn is left out
    drawn = np.isin(owners(full), owners(full)[which])
    np.testing.assert_array_equal(np.flatnonzero(drawn), which)
    np.testing.assert_array_equal(sample.entries.ids, full.entries.ids[which])

    beta, gamma, _ = zoo.random_parameters(case, 2, seed)
    likelihood = MixtureLikelihood(ChoiceTable(sample), 2)
    found = likelihood.posterior(Parameters(beta, gamma))[0]
    people = [case.problem[i] for i in which]
    expected = [oracle.log_sum_exp(oracle.log_joint(one, beta, gamma)) for one in people]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)  # a loop
    weight = [one.total_weight for one in people]
    np.testing.assert_allclose(sample.total_weight, weight, rtol=1e-15)  # of a mean of 1
    value = likelihood.evaluate(np.append(beta, gamma)).value
    assert value == pytest.approx(oracle.log_likelihood(people, beta, gamma), rel=1e-12)
    n_choices = [sum(counts.sum() for _, counts in one.choices) for one in people]
    np.testing.assert_array_equal(sample.choices_per_individual, n_choices)
    np.testing.assert_allclose(sample.membership, [one.z for one in people], rtol=1e-15)
    if full.arrangement.situation_owner is not None:
        assert sample.n_situations == sum(len(one.choices) for one in people)
    assert sample.exog_names == full.exog_names
    assert sample.membership_names == full.membership_names


def test_every_individual_is_as_likely_to_be_drawn():
    case = zoo.case("ragged panel")
    full = case.model(1).choices
    times = pd.Series(0, index=full.entries.ids)
    n_samples, n = 400, 10
    for seed in range(n_samples):
        times[full.sample(n, np.random.default_rng(seed)).entries.ids] += 1
    share = n / full.n_distinct
    spread = np.sqrt(n_samples * share * (1 - share))
    assert np.abs(times - n_samples * share).max() < 4 * spread  # of 30 binomials


@pytest.mark.parametrize("name", ["shared table", "counts"])
def test_one_table_is_not_sampled(name):
    data = zoo.case(name).model(2).choices
    assert data.sample(2, np.random.default_rng(0)) is data


@pytest.mark.parametrize("n", [30, 31])
def test_a_sample_of_all_is_the_data(n):
    data = zoo.case("ragged panel").model(2).choices
    assert data.sample(n, np.random.default_rng(0)) is data


def test_a_sample_in_which_an_attribute_does_not_vary_is_refused():
    exog = np.zeros((80, 2))
    exog[:, 0] = np.random.default_rng(0).normal(size=80)
    exog[0, 1] = 1.0  # in one of 40 situations
    data = data_of(exog, arrange(80, np.repeat(np.arange(40), 2)))
    # half of the samples hold that situation; this one does not
    assert 0 not in np.random.default_rng(2).choice(40, 20, replace=False)
    with pytest.raises(IdentificationError, match="'x2' is constant within every choice situation"):
        data.sample(20, np.random.default_rng(2))
