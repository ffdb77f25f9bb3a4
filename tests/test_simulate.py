"""Simulated choices follow the probabilities, the ids and the seed, and nothing else.

Expected probabilities come from the formula, written out alternative by alternative.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import zoo
from scipy import stats

from mixlogit import MixedMultinomialLogit, simulate_choices
from mixlogit.errors import ArgumentError, ColumnError, DataError
from mixlogit.likelihood import Parameters
from mixlogit.simulate import redraw

TASTES = pd.DataFrame({"class1": [1.0, -0.5], "class2": [-0.8, 1.2]}, index=["x1", "x2"])
LEVEL = 0.001  # of every chi-square test; the seeds are fixed, so a pass stays a pass


def choice_sets(sizes: list[int], n_people: int, seed: int = 3) -> pd.DataFrame:
    """The same situations, of these sizes, for every person."""
    rng = np.random.default_rng(seed)
    one = pd.DataFrame(
        {
            "trip": np.repeat(np.arange(len(sizes)), sizes),
            "mode": np.concatenate([np.arange(size) for size in sizes]),
            "x1": rng.normal(size=sum(sizes)),
            "x2": rng.normal(size=sum(sizes)),
        }
    )
    frame = pd.concat([one] * n_people, ignore_index=True)
    frame["person"] = np.repeat(np.arange(n_people), len(one))
    return frame


def simulate(frame, shares=(0.7, 0.3), tastes=TASTES, **keywords):
    keywords = {"situation": "trip", "individual": "person", "class_name": "class"} | keywords
    return simulate_choices(frame, tastes, shares, **keywords)


def logit(x, beta):
    """Choice probabilities of one set, one exponential at a time."""
    weights = [np.exp(sum(b * v for b, v in zip(beta, row, strict=True))) for row in x]
    return np.array(weights) / sum(weights)


def menu_of(data, rows):
    """Attributes of a situation, and its offset, from the first row, as one more."""
    added = np.zeros(data.n_rows) if data.offset is None else data.offset[0]
    return np.column_stack([data.exog[rows], added[rows] - added[rows][0]])


def assert_frequencies(observed, probabilities):
    expected = np.asarray(probabilities) * np.sum(observed)
    assert stats.chisquare(observed, expected).pvalue > LEVEL


def test_frequencies_within_each_class_agree_with_the_logit():
    frame = simulate(choice_sets([3, 2, 5], n_people=20_000))
    for k, drawn in frame.groupby("class"):
        for _, own in drawn.groupby("trip"):
            menu = own.groupby("mode").agg({"x1": "first", "x2": "first", "choice": "sum"})
            expected = logit(menu[["x1", "x2"]].to_numpy(), TASTES[f"class{k}"])
            assert_frequencies(menu["choice"], expected)


def test_choices_of_one_person_are_independent_within_a_class():
    frame = simulate(choice_sets([2, 2], n_people=20_000))
    frame = frame[(frame["class"] == 1) & (frame["mode"] == 0)]
    table = frame.pivot(index="person", columns="trip", values="choice")
    assert stats.chi2_contingency(pd.crosstab(table[0], table[1])).pvalue > LEVEL


@pytest.mark.parametrize("shares", [(0.7, 0.3), (1.0, 0.0), None])
def test_classes_occur_in_their_shares(shares):
    people = simulate(choice_sets([2], n_people=20_000), shares).groupby("person")["class"].first()
    observed = [(people == k).sum() for k in (1, 2)]
    if shares == (1.0, 0.0):
        assert observed == [20_000, 0]
    else:
        assert_frequencies(observed, shares or (0.5, 0.5))


def test_individuals_keep_their_class():
    frame = simulate(choice_sets([3, 2, 5], n_people=200))
    assert (frame.groupby("person")["class"].nunique() == 1).all()
    assert set(frame["class"]) == {1, 2}


def test_without_individuals_every_situation_draws_a_class():
    frame = choice_sets([2] * 500, n_people=1).drop(columns="person")
    frame = simulate(frame, individual=None)
    assert (frame.groupby("trip")["class"].nunique() == 1).all()
    assert set(frame["class"]) == {1, 2}


def test_a_situation_id_may_return_with_another_individual():
    frame = simulate(choice_sets([3, 4], n_people=50))
    assert (frame.groupby(["person", "trip"])["choice"].sum() == 1).all()


def test_the_order_of_the_rows_does_not_matter():
    frame = choice_sets([3, 2, 5, 1], n_people=100)
    shuffled = frame.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(simulate(shuffled).sort_index(), simulate(frame))


def test_alternatives_tell_equal_rows_apart():
    frame = choice_sets([3, 3], n_people=100).assign(x1=0.0, x2=0.0)
    shuffled = frame.sample(frac=1, random_state=0)
    expected = simulate(frame, alternative="mode")
    pd.testing.assert_frame_equal(simulate(shuffled, alternative="mode").sort_index(), expected)


def test_the_seed_gives_the_same_bits_and_another_seed_others():
    frame = choice_sets([3, 2, 5], n_people=100)
    pd.testing.assert_frame_equal(simulate(frame, rng=7), simulate(frame, rng=7))
    pd.testing.assert_frame_equal(
        simulate(frame, rng=7), simulate(frame, rng=np.random.default_rng(7))
    )
    assert not simulate(frame, rng=7)["choice"].equals(simulate(frame, rng=8)["choice"])


def test_a_generator_moves_on():
    frame, rng = choice_sets([3, 2, 5], n_people=100), np.random.default_rng(7)
    assert not simulate(frame, rng=rng)["choice"].equals(simulate(frame, rng=rng)["choice"])


def test_ragged_situations_have_one_choice_each_and_single_alternatives_are_taken():
    sizes = [1, 7, 2, 1, 3, 1]
    frame = simulate(choice_sets(sizes, n_people=300))
    total = frame.groupby(["person", "trip"])["choice"].sum()
    assert (total == 1).all()
    lonely = frame["trip"].isin([i for i, size in enumerate(sizes) if size == 1])
    assert (frame.loc[lonely, "choice"] == 1).all()


@pytest.mark.parametrize("offset", [0.0, 1e12, -1e12])
def test_an_alternative_whose_probability_underflows_is_never_taken(offset):
    frame = choice_sets([4] * 10, n_people=300)
    frame["x1"] = offset + 3e4 * (frame["mode"] < 2)
    frame["x2"] = 0.0
    frame = simulate(frame, (1.0, 0.0))
    by_mode = frame.groupby("mode")["choice"].sum()
    assert (by_mode[[2, 3]] == 0).all()
    assert_frequencies(by_mode[[0, 1]], (0.5, 0.5))  # the offset does not drown the errors


def test_utilities_near_the_largest_float_are_compared():
    frame = choice_sets([2], n_people=50)
    frame["x1"], frame["x2"] = np.where(frame["mode"] == 0, 1.7e308, -1.7e308), 0.0
    frame = simulate(frame, (1.0, 0.0))
    assert (frame["choice"] == (frame["mode"] == 0)).all()


def test_the_table_itself_stays_as_it_is():
    frame = choice_sets([3, 2], n_people=10).set_index(pd.Index(np.arange(50) * 2 % 50 + 0.5))
    before = frame.copy()
    out = simulate(frame)
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(out[frame.columns], frame)
    assert list(out.columns) == [*frame.columns, "choice", "class"]


def test_tastes_may_be_a_series_and_attributes_true_or_false():
    frame = choice_sets([2], n_people=20).assign(fast=lambda f: f["mode"] == 1)
    out = simulate_choices(frame, pd.Series({"fast": 60.0}), situation="trip", individual="person")
    assert out["choice"].astype(bool).equals(out["fast"])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"shares": (0.7, 0.4)}, ArgumentError, r"add up to 1; they are 0\.7, 0\.4 and add up"),
        ({"shares": (1.2, -0.2)}, ArgumentError, r"at least 0 and add up to 1; they are 1\.2"),
        ({"shares": (np.nan, 0.3)}, ArgumentError, r"add up to 1; they are nan, 0\.3"),
        ({"shares": (1.0,)}, ArgumentError, r"shape \(1,\), but class_params has 2 columns"),
        ({"tastes": TASTES.iloc[:0]}, ArgumentError, r"class_params is empty\. Give one row"),
        ({"situation": "trop"}, ColumnError, r"situation='trop'.*Did you mean 'trip'\?"),
        ({"individual": "persn"}, ColumnError, r"individual='persn'.*Did you mean 'person'\?"),
        ({"tastes": TASTES.rename({"x2": "x3"})}, ColumnError, r"attribute 'x3'.*no such column"),
        ({"name": "x1"}, ArgumentError, r"column 'x1' cannot be overwritten.*another name="),
        ({"class_name": "trip"}, ArgumentError, r"column 'trip' cannot be overwritten"),
        ({"class_name": "choice"}, ArgumentError, r"column 'choice' cannot be overwritten"),
        ({"tastes": TASTES * np.inf}, DataError, r"utility of 20 rows is missing or infinite"),
        ({"alternative": "zero"}, DataError, r"list an alternative more than once"),
    ],
)
def test_a_wrong_argument_is_named(change, error, message):
    change = dict(change)
    with pytest.raises(error, match=message):
        simulate(choice_sets([3, 2], n_people=4).assign(zero=0), **change)


def test_attributes_that_are_no_numbers_are_named():
    frame = choice_sets([3, 2], n_people=4)
    text = frame.assign(x1="fast")
    with pytest.raises(DataError, match=r"Attribute 'x1' holds values that are not numbers"):
        simulate(text)
    frame.loc[7, "x2"] = np.nan
    with pytest.raises(
        DataError, match=r"utility of 1 row is missing or infinite; the first is row 7, in sit"
    ):
        simulate(frame)


def test_a_table_without_rows_is_refused():
    with pytest.raises(DataError, match="The table has no rows"):
        simulate(choice_sets([3], n_people=1).iloc[:0])


# -- choices drawn anew ----------------------------------------------------------------------------

N_REDRAWS = 300
SAME_SITUATIONS = pd.DataFrame(  # two people, and one who stands for 40
    {
        "person": np.repeat([1, 2, 3], 6),
        "trip": np.tile(np.repeat([1, 2], 3), 3),
        "choice": np.tile([1, 0, 0, 0, 1, 0], 3),
        "x1": np.random.default_rng(5).normal(size=18),
        "times": np.repeat([1, 40, 1], 6),
    }
)


def repeated_people() -> MixedMultinomialLogit:
    return MixedMultinomialLogit.from_formula(
        "choice ~ x1", SAME_SITUATIONS, situation="trip", individual="person", freq_weights="times"
    )


def model_and_parameters(name):
    """A model of two classes and some tastes; one of identical people besides the zoo."""
    if name == "identical people":
        return repeated_people(), Parameters(np.array([[1.0], [-1.5]]), np.array([[0.3]]))
    case = zoo.case(name)
    beta, gamma, _ = zoo.random_parameters(case, 2, seed=4)
    return case.model(2), Parameters(beta, gamma)


def moments_of_counts(data, parameters):
    """Mean and variance of how often each row is chosen, person by person and class by class."""
    mean, variance = np.zeros(data.n_rows), np.zeros(data.n_rows)
    start, entries = data.arrangement.situation_start, data.entries
    for i in range(data.n_distinct):
        odds = [1.0, *np.exp(parameters.gamma @ data.membership[i])]
        prior = np.array(odds) / sum(odds)
        own = slice(entries.start[i], entries.start[i + 1])
        for s in range(data.n_situations):
            rows = slice(start[s], start[s + 1])
            n = sum(
                count
                for row, count in zip(entries.row[own], entries.count[own], strict=True)
                if rows.start <= row < rows.stop
            )
            if n == 0:
                continue
            menu = menu_of(data, rows)
            given_class = np.array([logit(menu, [*b, 1.0]) for b in parameters.beta])
            centre = prior @ given_class
            within = prior @ (n * given_class * (1 - given_class))
            between = prior @ (n * (given_class - centre)) ** 2
            mean[rows] += entries.frequency[i] * n * centre
            variance[rows] += entries.frequency[i] * (within + between)
    return mean, variance


LAYOUTS = [case.name for case in zoo.CASES if case.name != "huge utilities"] + ["identical people"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_redrawn_choices_have_the_frequencies_of_the_mixture(name):
    model, parameters = model_and_parameters(name)
    rng = np.random.default_rng(1)
    mean, variance = moments_of_counts(model.choices, parameters)
    total = np.zeros(model.choices.n_rows)
    for _ in range(N_REDRAWS):
        total += redraw(model.choices, parameters, rng).counts()
    free = variance > 1e-12  # single alternatives have none
    np.testing.assert_allclose(total[~free], N_REDRAWS * mean[~free], rtol=1e-12)
    z = (total - N_REDRAWS * mean)[free] / np.sqrt(N_REDRAWS * variance[free])
    assert np.abs(z).max() < stats.norm.isf(LEVEL / (2 * len(z)))
    assert 0.5 < z.std() < 1.5  # neither more nor less noise than that of independent people


@pytest.mark.parametrize("name", LAYOUTS)
def test_redrawn_choices_keep_who_chooses_where_how_often(name):
    model, parameters = model_and_parameters(name)
    data = model.choices
    new = redraw(data, parameters, np.random.default_rng(2))
    assert new.n_individuals == data.n_individuals
    assert new.n_choices == data.n_choices
    start = data.arrangement.situation_start[:-1]
    by_situation = [np.add.reduceat(one.counts(), start) for one in (new, data)]
    np.testing.assert_array_equal(*by_situation)
    amounts = [
        pd.DataFrame(
            {
                "id": one.entries.ids.map(str),
                "people": one.entries.frequency,
                "choices": one.entries.frequency * one.choices_per_individual,
                "weight": one.entries.frequency * one.weights,
                **{f"z{q}": one.entries.frequency * z for q, z in enumerate(one.membership.T)},
            }
        )
        for one in (new, data)
    ]
    is_one_table = data.n_situations == 1 and data.n_choices == data.n_individuals
    if is_one_table:  # nothing tells the individuals apart
        amounts = [one.assign(id="all") for one in amounts]
    pd.testing.assert_frame_equal(*(one.groupby("id").sum() for one in amounts))


@pytest.mark.parametrize("name", ["balanced panel", "cross-section", "shared table"])
def test_individuals_stand_in_their_order_when_each_is_one(name):
    model, parameters = model_and_parameters(name)
    new = redraw(model.choices, parameters, np.random.default_rng(2))
    assert new.entries.ids.equals(model.choices.entries.ids)
    assert new.arrangement is model.choices.arrangement


def test_a_redrawn_table_with_counts_stays_as_small_as_it_is():
    case = zoo.case("counts")
    frame = case.frame.assign(count=case.frame["count"] * 10**7 + 2)
    model = MixedMultinomialLogit.from_formula(case.formula, frame, **case.keywords)
    _, parameters = model_and_parameters("counts")
    new = redraw(model.choices, parameters, np.random.default_rng(3))
    assert new.n_distinct <= len(frame)
    mean, variance = moments_of_counts(model.choices, parameters)
    assert (np.abs(new.counts() - mean) < 5 * np.sqrt(variance)).all()


def test_a_person_keeps_the_drawn_class_over_situations():
    model = zoo.case("balanced panel").model(2)
    always = Parameters(np.array([[1e4, 0.0, 0.0], [-1e4, 0.0, 0.0]]), np.array([[0.0]]))
    new = redraw(model.choices, always, np.random.default_rng(4))
    likes = []
    for i in range(new.n_distinct):
        rows = new.entries.row[new.entries.start[i] : new.entries.start[i + 1]]
        situation = np.searchsorted(new.arrangement.situation_start, rows, side="right") - 1
        menus = [slice(*new.arrangement.situation_start[[s, s + 1]]) for s in situation]
        highest = {
            bool(new.exog[r, 0] == new.exog[m, 0].max()) for r, m in zip(rows, menus, strict=True)
        }
        assert len(highest) == 1
        likes.append(highest.pop())
    assert 0.1 < np.mean(likes) < 0.9


def test_identical_people_with_several_situations_choose_each_for_itself():
    model, parameters = model_and_parameters("identical people")
    new = redraw(model.choices, parameters, np.random.default_rng(5))
    assert new.n_distinct == new.n_individuals == 42
    assert new.entries.ids.value_counts().to_dict() == {1: 1, 2: 40, 3: 1}
    histories = {tuple(new.entries.row[2 * i : 2 * i + 2]) for i in range(1, 41)}
    assert len(histories) > 3
    some = new.take(np.isin(np.arange(42), [0, 5, 41]).astype(float))
    assert some.entries.ids.tolist() == [1, 2, 3]
    assert some.n_situations == 6


def alike_shoppers():
    """Shoppers who buy once; many stand for several, and differ in weight or covariate."""
    rng = np.random.default_rng(9)
    items = pd.DataFrame({"item": range(4), "x1": rng.normal(size=4)})
    bought = pd.DataFrame({"shopper": range(24), "item": np.tile(range(4), 6)})
    bought["times"] = np.where(bought["shopper"] < 20, 50, 1)
    bought["w"] = np.where(bought["shopper"] % 3 == 0, 2.0, 0.5)
    bought["age"] = np.where(bought["shopper"] % 2 == 0, 3.0, -3.0)
    return MixedMultinomialLogit.from_table(
        "~ x1",
        items,
        bought,
        alternative="item",
        individual="shopper",
        weights="w",
        freq_weights="times",
        membership="age",
    )


def test_only_individuals_who_are_alike_stand_together():
    data = alike_shoppers().choices
    always = Parameters(np.array([[1e4], [-1e4]]), np.array([[0.0, 5.0]]))  # by age
    new = redraw(data, always, np.random.default_rng(1))
    favourite = {-3.0: data.exog[:, 0].argmax(), 3.0: data.exog[:, 0].argmin()}
    assert [favourite[age] for age in new.membership[:, 1]] == new.entries.row.tolist()
    people = [
        pd.Series(one.entries.frequency).groupby([one.weights, one.membership[:, 1]]).sum()
        for one in (new, data)
    ]
    pd.testing.assert_series_equal(*people)
    assert new.n_distinct == 4 + 4  # groups, and shoppers who stand for themselves


def test_redrawing_takes_its_bits_from_the_generator_alone():
    model, parameters = model_and_parameters("ragged panel")
    rows = [
        redraw(model.choices, parameters, np.random.default_rng(seed)).entries.row.tolist()
        for seed in (6, 6, 7)
    ]
    assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_model_reads_redrawn_choices(name):
    model, parameters = model_and_parameters(name)
    new = redraw(model.choices, parameters, np.random.default_rng(8))
    # the mean log-likelihood of what was drawn, by loops over distinct individuals
    expected = 0.0
    for i in range(new.n_distinct):
        odds = np.array([1.0, *np.exp(parameters.gamma @ new.membership[i])])
        kernel = np.ones(2)
        for row, count in zip(
            new.entries.row[new.entries.start[i] : new.entries.start[i + 1]],
            new.entries.count[new.entries.start[i] : new.entries.start[i + 1]],
            strict=True,
        ):
            begin = new.arrangement.situation_start
            s = np.searchsorted(begin, row, side="right") - 1
            menu = menu_of(new, slice(begin[s], begin[s + 1]))
            kernel *= [logit(menu, [*b, 1.0])[row - begin[s]] ** count for b in parameters.beta]
        expected += new.total_weight[i] * np.log(odds @ kernel / odds.sum())
    found = model.with_choices(new).loglike(parameters.flat())
    assert found == pytest.approx(expected, rel=1e-12)  # a loop
