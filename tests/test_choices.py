"""Choices are tallied, and the data that a fit reads are checked."""

from __future__ import annotations

import numpy as np
import oracle
import pandas as pd
import pytest
import zoo
from zoo import CASES

from mixlogit import choices
from mixlogit.arrangement import arrange
from mixlogit.choices import (
    ChoiceData,
    tally,
    tally_table,
)
from mixlogit.errors import DataError, IdentificationError
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.logit import ChoiceTable

TASKS = arrange(6, [101, 101, 102, 102, 103, 103], None, [*"ababab"])
TABLE = arrange(4, alternative=[*"abcd"])

# -- who chose what ------------------------------------------------------------------------------


def test_choices_without_individuals_are_exchangeable():
    entries = tally(TABLE, np.array([3.0, 0.0, 1.0, 0.0]))
    assert entries.row.tolist() == [0, 2]
    assert entries.count.tolist() == [1, 1]
    assert entries.frequency.tolist() == [3, 1]
    assert entries.ids.tolist() == ["a", "c"]


def test_choices_of_an_individual_are_repeated():
    panel = arrange(6, [1, 1, 2, 2, 1, 1], [*"ppppqq"])
    entries = tally(panel, np.array([2.0, 1.0, 0.0, 1.0, 1.0, 0.0]))
    assert entries.start.tolist() == [0, 3, 4]
    assert entries.row.tolist() == [0, 1, 3, 4]
    assert entries.count.tolist() == [2, 1, 1, 1]
    assert entries.frequency.tolist() == [1, 1]


def test_a_list_of_choices_is_tallied_as_by_a_loop():
    rng = np.random.default_rng(0)
    who, what = rng.integers(5, size=60), rng.choice([*"abcd"], size=60)
    n = rng.integers(0, 4, size=60)
    expected = np.zeros((5, 4))
    for i, j, k in zip(who, what, n, strict=True):
        expected[i, "abcd".index(j)] += k
    entries, person = tally_table(TABLE, who, what, n, names=("who", "what", "n"))
    dense = np.zeros((5, 4))
    for i in range(5):
        own = slice(entries.start[i], entries.start[i + 1])
        dense[i, entries.row[own]] = entries.count[own]
    np.testing.assert_array_equal(dense, expected)
    np.testing.assert_array_equal(person, who)


def table_error(who, what, n=None):
    with pytest.raises(DataError) as caught:
        tally_table(TABLE, who, what, n, names=("who", "what", "n"))
    return str(caught.value)


def test_a_choice_that_is_not_in_the_table_is_counted_and_placed():
    assert table_error([1, 1], ["a", "z"]) == (
        "1 row of the table of choices names an alternative that the table of alternatives lacks; "
        "the first is 'z' (column 'what') in row 1 (counted from 0). Add it to the table, or drop "
        "those rows."
    )


def test_a_list_without_choices_is_refused():
    assert table_error([], []) == "The table of choices has no rows. Pass at least one choice."


@pytest.mark.parametrize("count", [-1, 0.5, np.nan, np.inf])
def test_counts_of_a_list_must_be_whole_numbers(count):
    assert table_error([1, 1], ["a", "b"], [1, count]) == (
        f"1 value of the count column 'n' is no whole number of at least 0; the first is "
        f"{float(count)} in row 1 (counted from 0). Correct them, or drop those rows."
    )


def test_counts_of_text_are_refused():
    assert table_error([1, 1], ["a", "b"], [1, "many"]) == (
        "1 value of the count column 'n' is not a number; the first is 'many' in row 1 (counted "
        "from 0). Give whole numbers."
    )


def test_an_individual_without_choices_is_placed():
    assert table_error(["x", "y"], ["a", "b"], [1, 0]) == (
        "1 individual is without any choice; the first is 'y' (column 'who'). Drop those rows."
    )


# -- the validated data --------------------------------------------------------------------------


def data_of(exog, arrangement=TASKS, names=None, **changes) -> ChoiceData:
    exog = np.array(exog, dtype=float)
    chosen = np.zeros(len(exog))
    chosen[arrangement.situation_start[:-1]] = 1.0
    entries = tally(arrangement, chosen)
    n = len(entries.frequency)
    values = {"weights": np.ones(n), "membership": np.ones((n, 1))} | changes
    names = names or tuple(f"x{i + 1}" for i in range(exog.shape[1]))
    return ChoiceData(exog, names, arrangement, entries, **values)


X = np.random.default_rng(1).normal(size=(6, 3))


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_an_attribute_that_is_not_finite_is_counted_and_placed(value, shown):
    exog = X.copy()
    exog[3:5, 1] = value
    with pytest.raises(DataError) as caught:
        data_of(exog)
    assert str(caught.value) == (
        f"2 values of attribute 'x2' are missing or not finite; the first is {shown} in situation "
        "102, alternative 'b'. Correct the values or the formula, or drop those situations; "
        "missing='drop' in from_formula drops situations with missing values in a column."
    )


def test_an_attribute_that_is_constant_within_situations_is_named():
    exog = X.copy()
    exog[:, 1] = [0.1, 0.1, 7.3, 7.3, -1e9, -1e9]
    with pytest.raises(IdentificationError) as caught:
        data_of(exog)
    assert str(caught.value) == (
        "1 of 3 attributes cannot have a coefficient: 'x2' is constant within every choice "
        "situation. Drop it from the formula, or interact with something that differs between "
        "alternatives, such as C(alt)."
    )


def test_several_constant_attributes_are_named():
    with pytest.raises(IdentificationError) as caught:
        data_of(np.ones((6, 2)))
    assert str(caught.value).startswith(
        "2 of 2 attributes cannot have a coefficient: 'x1', 'x2' are constant within every choice "
        "situation. Drop them"
    )


def test_a_constant_is_recognised_in_a_million_rows():
    exog = np.column_stack([np.full(1_000_000, 0.1), np.arange(1_000_000.0)])
    with pytest.raises(IdentificationError, match="'x1' is constant"):
        data_of(exog, arrange(1_000_000))


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_collinear_attributes_are_named_in_any_unit(scale):
    exog = X.copy()
    exog[:, 2] = scale * (2 * exog[:, 0] - exog[:, 1] + np.repeat([5.0, 6.0, 7.0], 2))
    with pytest.raises(IdentificationError) as caught:
        data_of(exog)
    assert str(caught.value) == (
        "Attribute 'x3' is a linear combination of 'x1', 'x2' within choice situations, so their "
        "coefficients are not identified. Drop one of these columns."
    )


@pytest.mark.parametrize("rounding", [0.0, 1e-7])  # of float64 and about that of float32
def test_only_columns_that_the_search_accepts_are_regular_beyond_doubt(rounding, monkeypatch):
    rng = np.random.default_rng(0)
    names = list("abcde")
    monkeypatch.setattr(choices, "_rounding", lambda stored: rounding)

    def is_refused(columns):
        gram = columns.T @ columns
        said = {"constant": ("is constant", "are constant"), "kind": "column"}
        try:
            choices._check_collinear(gram, 1e4 * np.diag(gram), names, **said)
        except IdentificationError:
            return True
        return False

    verdicts = []
    for apart in 10.0 ** np.arange(-8, 1):
        columns = rng.standard_normal((40, 5))
        columns[:, 4] = columns[:, :4] @ [1.0, -2.0, 3.0, 100.0] + apart * columns[:, 4]
        quick = is_refused(columns)
        with monkeypatch.context() as patch:
            patch.setattr(choices, "_is_regular", lambda correlation, noise: False)
            assert is_refused(columns) == quick
        verdicts.append(quick)
    assert set(verdicts) == {False, True}


def test_a_copy_of_an_attribute_is_named():
    with pytest.raises(IdentificationError, match=r"'x3' is a linear combination of 'x1' within"):
        data_of(np.column_stack([X[:, :2], -3 * X[:, 0]]))


def test_attributes_beyond_any_unit_are_counted_and_placed():
    exog = X.copy()
    exog[3, 1] = -1e150
    with pytest.raises(DataError) as caught:
        data_of(exog)
    assert str(caught.value) == (
        "1 value of attribute 'x2' is larger than 1e+100 in size; the first is -1e+150 in "
        "situation 102, alternative 'b'. Correct the values, or express the attribute in a larger "
        "unit."
    )


@pytest.mark.parametrize("scale", [1e-110, 1e-200, 1e-300])
def test_attributes_whose_squares_vanish_are_not_taken_for_constant(scale):
    exog = np.column_stack([X[:, 0], np.tile([0.0, scale], 3)])
    with pytest.raises(DataError) as caught:
        data_of(exog)
    assert type(caught.value) is DataError
    assert str(caught.value) == (
        f"Attribute 'x2' is at most {scale:g} in size, so small that its squares vanish; express "
        "it in a smaller unit."
    )


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_covariance_within_situations_is_that_of_a_loop(offset):
    exog = X + offset
    expected = np.zeros((3, 3))
    for s in range(3):
        own = exog[2 * s : 2 * s + 2]
        expected += (own - own.mean(axis=0)).T @ (own - own.mean(axis=0)) / 6
    np.testing.assert_allclose(data_of(exog).exog_covariance, expected, rtol=1e-12, atol=1e-15)


def test_the_covariance_does_not_depend_on_blocks():
    rng = np.random.default_rng(2)
    sizes = [20_000, 3, 9_000, 1, 2]  # longer than a block and shorter
    situation = np.repeat(np.arange(5), sizes)
    exog = rng.normal(size=(len(situation), 2)) + situation[:, None]
    centred = exog - pd.DataFrame(exog).groupby(situation).transform("mean").to_numpy()
    expected = centred.T @ centred / len(exog)
    found = data_of(exog, arrange(len(exog), situation)).exog_covariance
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_single_alternatives_are_noted():
    three = arrange(5, [1, 2, 2, 3, 4])
    data = data_of(X[:5, :1], three)
    assert data.notes == ("3 choice situations with a single alternative carry no information.",)
    data = data_of(X[:3, :1], arrange(3, [1, 2, 2]))
    assert data.notes == ("1 choice situation with a single alternative carries no information.",)


Z_NAMES = ("Intercept", "age", "old")


def test_a_membership_covariate_that_is_not_finite_is_counted_and_placed():
    z = np.array([[1.0, 30.0], [1.0, np.nan], [1.0, np.nan]])
    with pytest.raises(DataError) as caught:
        data_of(X, membership=z, membership_names=Z_NAMES[:2])
    assert str(caught.value) == (
        "2 values of membership covariate 'age' are missing or not finite; the first belongs to "
        "individual 102. Correct the column, or drop those individuals."
    )


def test_a_membership_covariate_that_does_not_vary_is_named():
    with pytest.raises(IdentificationError) as caught:
        data_of(X, membership=np.ones((3, 2)), membership_names=Z_NAMES[:2])
    assert str(caught.value) == (
        "1 of 1 membership covariate cannot have a coefficient: 'age' does not vary between "
        "individuals. Drop it from the formula."
    )


def test_collinear_membership_covariates_are_named():
    z = np.array([[1.0, 30.0, 61.0], [1.0, 20.0, 41.0], [1.0, 50.0, 101.0]])
    with pytest.raises(IdentificationError) as caught:
        data_of(X, membership=z, membership_names=Z_NAMES)
    assert str(caught.value) == (
        "Membership covariate 'old' is a linear combination of 'age', so their coefficients are "
        "not identified. Drop one of these columns."
    )


def test_membership_without_an_intercept_may_have_a_constant():
    z = np.array([[2.0], [2.0], [2.0]])
    assert data_of(X, membership=z, membership_names=("two",)).membership_names == ("two",)
    with pytest.raises(IdentificationError, match="'none' is zero"):
        data_of(X, membership=0 * z, membership_names=("none",))


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
    np.testing.assert_array_equal(sample.total_weight, [one.total_weight for one in people])
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
