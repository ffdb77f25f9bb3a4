"""Latent moments: against slow loops, without bias where they are exact, and their limits."""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import replace

import numpy as np
import oracle
import pandas as pd
import pytest
import zoo
from scipy.stats import norm, qmc

import mixlogit.blocks
import mixlogit.moments
from mixlogit import MixedMultinomialLogit
from mixlogit.entries import tally
from mixlogit.errors import ArgumentError, OneChoiceWarning
from mixlogit.logit import ChoiceTable
from mixlogit.moments import (
    Coordinates,
    CrossOccasionMoments,
    HermiteMoments,
    design_gaussianity,
    latent_moments,
)

LOOP = 1e-12  # sums of the same terms in another order
PANELS = ["balanced panel", "ragged panel", "single alternatives", "repeated choices"]
PANELS += ["sampling weights", "shared table", "huge utilities"]
every_case = pytest.mark.parametrize("case", zoo.CASES, ids=lambda case: case.name)
every_panel = pytest.mark.parametrize(
    "case", [zoo.case(name) for name in PANELS], ids=lambda case: case.name
)


def close(a, b, tolerance=LOOP):
    """Equal to a tolerance relative to the largest entry."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    assert np.abs(a - b).max(initial=0.0) <= tolerance * max(1.0, np.abs(b).max(initial=0.0))


def table_of(case):
    return ChoiceTable(case.model(2).choices)


def base_of(table, seed=0):
    """A base of modest utilities, whatever the units of the attributes."""
    rng = np.random.default_rng(seed)
    return 0.4 * rng.standard_normal(table.data.n_attributes) / table.data.exog_scale


def loops(case, moments):
    """Whitened choices of each individual, and the weights, by loops."""
    at = moments.coordinates
    people = [oracle.whitened_choices(person, at.base, at.unit) for person in case.problem]
    return people, [person.total_weight for person in case.problem]


def directions_of(moments, n=2, seed=1):
    v = np.random.default_rng(seed).standard_normal((n, moments.coordinates.n_dimensions))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def numbers(moments):
    """All that the moments can tell, up to order 3, in one vector."""
    n_powers = min(moments.order, 5) + 1
    found = moments.along(directions_of(moments), n_powers)
    parts = [moments.first, moments.second, found.power, found.mixed]
    if moments.order >= 3:
        parts.append(moments.third(np.eye(moments.coordinates.n_dimensions)))
    return np.concatenate([part.ravel() for part in parts])


# Choices and coordinates


@every_case
def test_every_choice_comes_with_its_score(case):
    table = table_of(case)
    base = base_of(table)
    scale = 1 / table.data.exog_scale
    n = 0
    for some in table.occasions(base):
        ends = np.append(some.start, len(some.count))
        for i, person in enumerate(case.problem[some.individuals]):
            own = slice(ends[i], ends[i + 1])
            repeats = some.count[own].astype(int)
            fast = np.repeat(some.score[own] * scale, repeats, axis=0)
            slow = np.array(oracle.whitened_choices(person, base, np.diag(scale)))
            close(fast[np.lexsort(fast.round(9).T)], slow[np.lexsort(slow.round(9).T)])
            n += 1
    assert n == len(case.problem)


@every_case
def test_information_at_the_base_is_the_unit(case):
    table = table_of(case)
    base = base_of(table)
    weight = table.data.total_weight
    unit = HermiteMoments(table, weight, base).coordinates.unit
    information = oracle.average_information(case.problem, base)
    close(unit.T @ information @ unit, np.eye(unit.shape[1]), 1e-9)  # condition of the design


def test_coordinates_become_tastes_and_back():
    rng = np.random.default_rng(0)
    unit = rng.standard_normal((3, 3))
    at = Coordinates(rng.standard_normal(3), unit)
    theta = rng.standard_normal((2, 4, 3))
    close(np.linalg.solve(unit, (at.tastes(theta) - at.base)[..., None])[..., 0], theta)
    close(at.whiten(theta), np.einsum("ijl,ld->ijd", theta, unit))


def test_an_attribute_that_the_base_decides_has_no_coordinate():
    """Where the base leaves a choice without doubt, there is no information on an attribute."""
    frame = pd.DataFrame({"x1": [0.0, 1.0, 0.3, -0.2, 0.8, 0.1], "x2": [0, 0, 0, 1, 0, 0]})
    frame["situation"], frame["choice"] = [1, 1, 1, 2, 2, 2], [1, 0, 0, 0, 1, 0]
    model = MixedMultinomialLogit.from_formula("choice ~ x1 + x2", frame, 2, situation="situation")
    table = ChoiceTable(model.choices)
    decided = HermiteMoments(table, np.ones(2), np.array([0.0, -100.0]))
    assert decided.coordinates.unit.shape == (2, 1)
    assert np.isfinite(numbers(decided)).all()


@pytest.mark.parametrize(
    ("base", "n_dimensions"), [([0, 0, 0], 3), ([25, 25, 25], 3), ([0, 25, 25], 1)]
)
def test_coordinates_are_those_with_a_share_of_the_largest_information(base, n_dimensions):
    """Each of three attributes alone decides a situation: 25 utils leave e⁻²⁵ of information."""
    frame = pd.DataFrame(np.eye(3).repeat(2, axis=0), columns=["x1", "x2", "x3"])
    frame.iloc[1::2] = 0.0
    frame["situation"], frame["choice"] = [1, 1, 2, 2, 3, 3], [1, 0] * 3
    model = MixedMultinomialLogit.from_formula(
        "choice ~ x1 + x2 + x3", frame, 2, situation="situation"
    )
    table = ChoiceTable(model.choices)
    moments = HermiteMoments(table, np.ones(3), np.array(base, dtype=float))
    assert moments.coordinates.unit.shape == (3, n_dimensions)


@pytest.mark.parametrize("kind", [CrossOccasionMoments, HermiteMoments])
@every_case
def test_blocks_do_not_change_the_moments(case, kind, monkeypatch):
    table = table_of(case)
    base, weight = base_of(table), table.data.total_weight
    moments = kind(table, weight, base)
    expected = numbers(moments)
    monkeypatch.setattr(mixlogit.blocks, "_MIN_ROWS", 3)
    monkeypatch.setattr(mixlogit.blocks, "_MAX_ROWS", 3)
    for mean_slots in (0.0, 1e9):
        monkeypatch.setattr(mixlogit.blocks, "_MEAN_SLOTS", mean_slots)
        for keep in (0, 1 << 25):
            monkeypatch.setattr(mixlogit.blocks, "_KEEP_BYTES", keep)
            monkeypatch.setattr(mixlogit.moments, "_KEEP_BYTES", keep)
            blocked = kind(ChoiceTable(table.data), weight, base)
            # the axes are defined up to sign, and rotation where the information has equal parts
            close(blocked.coordinates.unit, moments.coordinates.unit, 1e-8)
            close(numbers(blocked), expected, 1e-8)


# Products over different choices


@every_case
def test_cross_occasion_moments_agree_with_the_loop(case):
    table = table_of(case)
    moments = CrossOccasionMoments(table, table.data.total_weight, base_of(table))
    people, weight = loops(case, moments)
    close(moments.first, oracle.tuple_average(people, weight, 1, lambda u: u))
    if moments.order >= 2:
        close(moments.second, oracle.tuple_average(people, weight, 2, np.outer))
    if moments.order >= 3:
        basis = np.random.default_rng(2).standard_normal((len(moments.first), 2))
        projected = [[basis.T @ u for u in choices] for choices in people]

        def triple(a, b, c):
            return a[:, None, None] * b[:, None] * c

        slow = oracle.tuple_average(projected, weight, 3, triple)
        close(moments.third(basis), slow)
    n_powers = min(moments.order, 5) + 1
    v = directions_of(moments)
    found = moments.along(v, n_powers)
    for i in range(len(v)):
        power, mixed = oracle.cross_occasion_moments(people, weight, v[i], n_powers)
        close(found.power[i], power)
        close(found.mixed[i], mixed)


@every_panel
def test_moments_along_a_direction_are_those_of_the_tensors(case):
    table = table_of(case)
    moments = CrossOccasionMoments(table, table.data.total_weight, base_of(table))
    v = directions_of(moments)
    found = moments.along(v, min(moments.order, 3) + 1)
    close(found.power[:, 1], v @ moments.first)
    close(found.power[:, 2], np.einsum("na,ab,nb->n", v, moments.second, v))
    close(np.einsum("nd,nrd->nr", v, found.mixed), found.power[:, 1 : 1 + found.mixed.shape[1]])
    if moments.order >= 3:
        third = moments.third(v.T)
        close(found.power[:, 3], third[[0, 1], [0, 1], [0, 1]])


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_weights_of_tuples_are_an_average_over_those_who_have_them(order):
    """Those with too few choices have none, and no part in it to the last bit."""
    table = table_of(zoo.case("ragged panel"))
    weight = np.linspace(0.5, 2.0, table.data.n_distinct)
    moments = CrossOccasionMoments(table, weight, base_of(table))
    n_choices = table.data.choices_per_individual
    found = np.concatenate([moments._per_tuple(piece, order) for piece in moments._features])
    n_tuples = np.array([math.perm(int(n), order) for n in n_choices])
    assert (n_tuples == 0).any() == (order > 1)
    expected = weight / weight[n_tuples > 0].sum() / np.maximum(n_tuples, 1)
    np.testing.assert_allclose(found, np.where(n_tuples > 0, expected, 0.0), rtol=1e-13)


def test_the_order_is_what_half_of_the_weight_has_chosen():
    table = table_of(zoo.case("ragged panel"))
    n_choices = table.data.choices_per_individual
    base = base_of(table)
    for least in (1, 3, 5):
        weight = np.where(n_choices >= least, 1.0, 1e-6)
        order = CrossOccasionMoments(table, weight, base).order
        assert weight @ (n_choices >= order) >= 0.5 * weight.sum()
        assert weight @ (n_choices >= order + 1) < 0.5 * weight.sum()
        assert order >= least


def test_half_of_the_weight_is_enough():
    n_choices = np.array([1, 3, 1, 3])
    assert mixlogit.moments._common_choices(n_choices, np.ones(4)) == 3
    assert mixlogit.moments._common_choices(n_choices, np.array([1.0, 1.0, 1.0, 0.9])) == 1
    assert mixlogit.moments._common_choices(n_choices, np.array([0.1, 0.0, 0.0, 0.9])) == 3


def test_orders_that_few_individuals_have_are_refused():
    table = table_of(zoo.case("balanced panel"))
    moments = CrossOccasionMoments(table, table.data.total_weight, base_of(table))
    assert moments.order == 4
    with pytest.raises(ArgumentError, match=r"order 5 are asked for, but .* up to 4"):
        moments.along(directions_of(moments), 6)
    once = table_of(zoo.case("cross-section"))
    with pytest.raises(ArgumentError, match="as many choices by the same individual"):
        CrossOccasionMoments(once, once.data.total_weight, base_of(once)).third(np.eye(2))


# Hermite polynomials


@every_case
def test_hermite_moments_agree_with_the_loop(case):
    table = table_of(case)
    moments = HermiteMoments(table, table.data.total_weight, base_of(table))
    people, weight = loops(case, moments)
    v = directions_of(moments)
    found = moments.along(v, 6)
    for i in range(len(v)):
        power, mixed = oracle.hermite_moments(people, weight, v[i], 6)
        close(found.power[i], power)
        close(found.mixed[i], mixed)
    close(found.power[:, 1], v @ moments.first)
    close(found.power[:, 2], np.einsum("na,ab,nb->n", v, moments.second, v))
    third = oracle.hermite_third(people, weight)
    basis = np.random.default_rng(2).standard_normal((len(moments.first), 2))
    close(moments.third(basis), np.einsum("abc,ai,bj,ck->ijk", third, basis, basis, basis))


def test_hermite_moments_are_homogeneous_in_the_direction():
    table = table_of(zoo.case("counts"))
    moments = HermiteMoments(table, table.data.total_weight, base_of(table))
    v = directions_of(moments)
    once, twice = moments.along(v, 6), moments.along(2 * v, 6)
    close(twice.power, once.power * 2.0 ** np.arange(6))
    close(twice.mixed, once.mixed * 2.0 ** np.arange(3)[:, None])


def test_hermite_orders_have_an_end():
    table = table_of(zoo.case("counts"))
    moments = HermiteMoments(table, table.data.total_weight, base_of(table))
    assert np.isfinite(moments.along(directions_of(moments), 31).power).all()
    with pytest.raises(ArgumentError, match="up to 30"):
        moments.along(directions_of(moments), 32)


def single_table(x, n):
    """One choice set with attributes (p, L) and counts."""
    names = [f"x{a + 1}" for a in range(x.shape[1])]
    frame = pd.DataFrame(x, columns=names).assign(n=n)
    model = MixedMultinomialLogit.from_formula(
        "n ~ " + " + ".join(names), frame, 2, choices="counts"
    )
    return ChoiceTable(model.choices)


def low_discrepancy(quantile, log2_rows=14, n_attributes=2):
    """Attributes that fill their distribution as evenly as they can."""
    unit = qmc.Sobol(n_attributes, seed=0).random_base2(log2_rows)
    return quantile(unit)


@pytest.mark.parametrize("base", [[0.0, 0.0], [0.3, -0.2]])
def test_hermite_moments_of_a_gaussian_table_are_those_of_the_classes(base):
    """At expected counts, so the error is that of 65,536 alternatives for a Gaussian."""
    rotation = np.array([[1.0, 0.5], [0.0, 2.0]])
    x = low_discrepancy(norm.ppf, log2_rows=16) @ rotation
    alpha, base = np.array([0.3, 0.7]), np.array(base)
    beta = np.array([[0.9, 0.1], [-0.3, 0.3]]) @ np.linalg.inv(rotation).T
    shares = sum(a * np.exp(x @ b) / np.exp(x @ b).sum() for a, b in zip(alpha, beta, strict=True))
    moments = HermiteMoments(single_table(x, np.ones(len(x), dtype=int)), shares, base)
    theta = np.linalg.solve(moments.coordinates.unit, (beta - base).T).T

    def near(found, truth, order):
        # the missing tail, beyond 4 standard deviations, has that height once more per order
        close(found, truth, 1e-4 * 4.0**order)

    near(moments.first, alpha @ theta, 1)
    near(moments.second, (theta.T * alpha) @ theta, 2)
    near(moments.third(np.eye(2)), np.einsum("k,ka,kb,kc->abc", alpha, theta, theta, theta), 3)
    v = directions_of(moments)
    found = moments.along(v, 6)
    for r in range(6):
        near(found.power[:, r], alpha @ (theta @ v.T) ** r, r)
    for r in range(3):
        near(found.mixed[:, r], (theta @ v.T).T ** r * alpha @ theta, r + 1)


def test_a_thousandth_of_the_counts_is_a_thousandth_of_the_weight():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((50, 2))
    n = rng.integers(1, 9, size=50)
    many, base = single_table(x, 1000 * n), np.array([0.2, 0.1])
    few = single_table(x, np.ones(50, dtype=int))
    counted = HermiteMoments(many, many.data.total_weight, base)
    close(numbers(HermiteMoments(few, n.astype(float), base)), numbers(counted))
    assert len(many.data.entries.row) == 50


@pytest.mark.parametrize(
    ("quantile", "skewness", "kurtosis"),
    [
        (norm.ppf, 0.0, 0.0),
        (lambda u: u, 0.0, -1.2),
        (lambda u: np.where(u < 0.5, -1.0, 1.0), 0.0, -2.0),
        (lambda u: -np.log(1 - u), 2.0, 6.0),
    ],
    ids=["normal", "uniform", "two levels", "exponential"],
)
def test_gaussianity_has_the_textbook_values(quantile, skewness, kurtosis):
    x = low_discrepancy(quantile, n_attributes=3)
    table = single_table(x, np.ones(len(x), dtype=int))
    found = design_gaussianity(table, np.zeros(3))
    # 16,384 points of low discrepancy miss the tails: most where they are heavy
    assert found.skewness == pytest.approx(skewness, abs=0.01, rel=0.02)
    assert found.excess_kurtosis == pytest.approx(kurtosis, abs=0.01, rel=0.03)
    moments = HermiteMoments(table, table.data.total_weight, np.zeros(3))
    assert moments.gaussianity == found


def test_gaussianity_is_the_average_over_situations():
    case = zoo.case("ragged panel")
    table = table_of(case)
    base = base_of(table)
    unit = HermiteMoments(table, table.data.total_weight, base).coordinates.unit
    third, fourth, n = np.zeros(2), 0.0, 0
    for person in case.problem:
        for x, _ in person.choices:
            p = np.exp(oracle.log_prob(x, base))
            z = (x - p @ x) @ unit
            third += sum(p[j] * z[j] * (z[j] @ z[j]) for j in range(len(x)))
            fourth += sum(p[j] * (z[j] @ z[j]) ** 2 for j in range(len(x)))
            n += 1
    found = design_gaussianity(table, base)
    assert found.skewness == pytest.approx(np.linalg.norm(third / n) / np.sqrt(2), rel=LOOP)
    assert found.excess_kurtosis == pytest.approx((fourth / n - 8) / 2, rel=1e-11)


# No bias


def simulated(case, alpha, beta, base, n_data_sets, seed):
    """Moments of many data sets that differ in classes and choices, and nothing else."""
    rng = np.random.default_rng(seed)
    data = case.model(2).choices
    start, owner = data.arrangement.situation_start, data.arrangement.situation_owner
    draws = np.add.reduceat(data.counts(), start[:-1])
    prob = [
        [np.exp(oracle.log_prob(data.exog[a:b], tastes)) for tastes in beta]
        for a, b in itertools.pairwise(start)
    ]
    for _ in range(n_data_sets):
        drawn = rng.choice(len(alpha), size=data.n_distinct, p=alpha)[owner]
        counts = [rng.multinomial(n, p[k]) for n, p, k in zip(draws, prob, drawn, strict=True)]
        entries = tally(data.arrangement, np.concatenate(counts))
        table = ChoiceTable(replace(data, entries=entries))
        yield CrossOccasionMoments(table, data.total_weight, base)


ALPHA, BETA = np.array([0.35, 0.65]), np.array([[1.4, -0.9], [-0.7, 0.8]])


@pytest.mark.parametrize("name", ["ragged panel", "repeated choices", "sampling weights"])
def test_cross_occasion_moments_have_no_bias(name):
    """Their mean is that of products of expected scores, class by class, whatever the design."""
    case, base = zoo.case(name), np.array([0.2, 0.1])
    found = [
        (moments, numbers(moments)) for moments in simulated(case, ALPHA, BETA, base, 500, seed=4)
    ]
    moments = found[0][0]
    weight = [person.total_weight for person in case.problem]
    unit, n_powers = moments.coordinates.unit, min(moments.order, 5) + 1
    truth = 0.0
    for share, tastes in zip(ALPHA, BETA, strict=True):
        people = [oracle.expected_choices(one, base, unit, tastes) for one in case.problem]
        along = [
            oracle.cross_occasion_moments(people, weight, v, n_powers)
            for v in directions_of(moments)
        ]
        parts = [oracle.tuple_average(people, weight, 1, lambda u: u)]
        parts.append(oracle.tuple_average(people, weight, 2, np.outer))
        parts += [np.array([power for power, _ in along]), np.array([mixed for _, mixed in along])]
        parts.append(
            oracle.tuple_average(
                people, weight, 3, lambda a, b, c: a[:, None, None] * b[:, None] * c
            )
        )
        truth = truth + share * np.concatenate([part.ravel() for part in parts])
    draws = np.array([values for _, values in found])
    varies = draws.std(axis=0) > 0
    error = draws.std(axis=0) / np.sqrt(len(draws))
    close(draws.mean(axis=0)[~varies], truth[~varies])
    z = (draws.mean(axis=0) - truth)[varies] / error[varies]
    assert np.abs(z).max() < 4  # of some forty numbers
    # choices multiplied with themselves would be seen
    people = [oracle.whitened_choices(one, base, unit) for one in case.problem]
    apart = oracle.tuple_average(people, weight, 2, np.outer)
    together = oracle.tuple_average(
        people, weight, 2, np.outer, lambda choices, n: itertools.product(choices, repeat=n)
    )
    own = np.concatenate([[0, 0], (together - apart).ravel(), np.zeros(len(truth) - 6)])
    assert np.abs(own[varies] / error[varies]).max() > 10


def test_expected_scores_are_theta_to_first_order():
    """Half the distance from the base leaves a quarter of the difference."""
    x = np.random.default_rng(5).gumbel(size=(6, 2))  # far from Gaussian
    table = single_table(x, np.ones(6, dtype=int))
    at = CrossOccasionMoments(table, np.ones(6), np.array([0.5, -0.3])).coordinates
    person = oracle.Individual(((x, np.array([1, 0, 0, 0, 0, 0])),), 1.0, 1.0, np.ones(1))
    theta = np.array([0.6, 0.8])
    gaps = []
    for size in (0.02, 0.01):
        mean = oracle.expected_choices(person, at.base, at.unit, at.tastes(size * theta))[0]
        gaps.append(np.linalg.norm(mean - size * theta))
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.05)  # the next order is as large as 0.02


# Invariances


@pytest.mark.parametrize("kind", [CrossOccasionMoments, HermiteMoments])
@every_panel
def test_duplicates_with_half_the_weight_change_nothing(case, kind):
    table = table_of(case)
    base, weight = base_of(table), table.data.total_weight
    expected = numbers(kind(table, weight, base))
    close(numbers(kind(table, 3 * weight, base)), expected)
    if case.choices is None and kind is CrossOccasionMoments and "weights" not in case.keywords:
        twins = case.frame.copy()
        twins["person"] += case.frame["person"].max()
        twins["situation"] += case.frame["situation"].max()
        double = replace(case, frame=pd.concat([case.frame, twins]))
        doubled = table_of(double)
        close(numbers(kind(doubled, np.tile(weight / 2, 2), base)), expected)


def test_individuals_without_weight_do_not_matter():
    case = zoo.case("ragged panel")
    table = table_of(case)
    base = base_of(table)
    kept = case.frame[case.frame["person"] > 10]
    alone = table_of(replace(case, frame=kept))
    weight = np.where(np.arange(table.data.n_distinct) >= 10, 1.0, 0.0)
    some = CrossOccasionMoments(table, weight, base)
    few = CrossOccasionMoments(alone, np.ones(alone.data.n_distinct), base)
    # the units of the axes come from all rows, which may turn them
    turn = np.linalg.solve(few.coordinates.unit, some.coordinates.unit)
    close(turn.T @ few.first, some.first)
    close(turn.T @ few.second @ turn, some.second)
    close(few.third(turn), some.third(np.eye(2)))


# Which moments


@every_case
def test_repeated_choices_decide_the_kind_of_moments(case):
    table = table_of(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OneChoiceWarning)
        moments = latent_moments(table, table.data.total_weight, base_of(table))
    repeated = np.median(table.data.choices_per_individual) >= 2
    assert isinstance(moments, CrossOccasionMoments if repeated else HermiteMoments)
    assert np.isfinite(numbers(moments)).all()
    assert (moments.second == moments.second.T).all()


@pytest.mark.parametrize(("n_situations", "kind"), [(1, HermiteMoments), (2, CrossOccasionMoments)])
def test_two_choices_are_repeated_choices(n_situations, kind):
    frame = zoo.survey(4, [[3] * n_situations] * 20)
    table = table_of(zoo.Case("short panel", frame, zoo.TWO, zoo.PANEL))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OneChoiceWarning)
        assert isinstance(latent_moments(table, table.data.total_weight, base_of(table)), kind)


def test_two_choice_sets_are_enough_for_the_warning():
    tables = [zoo.counts_table(seed, 8, n_items=4).assign(market=seed) for seed in (1, 2)]
    keywords = {"situation": "market", "alternative": "item", "choices": "counts"}
    case = zoo.Case("two markets", pd.concat(tables), "count ~ x1 + x2", keywords)
    table = table_of(case)
    with pytest.warns(OneChoiceWarning, match="16 individuals of 16 chose only once"):
        latent_moments(table, table.data.total_weight, base_of(table))


def test_only_those_who_chose_once_are_counted_in_the_warning():
    frame = zoo.survey(5, [[3]] * 15 + [[3, 3]] * 5)
    table = table_of(zoo.Case("mostly once", frame, zoo.TWO, zoo.PANEL))
    with pytest.warns(OneChoiceWarning, match="15 individuals of 20 chose only once"):
        latent_moments(table, table.data.total_weight, base_of(table))


@pytest.mark.parametrize(("name", "n"), [("cross-section", 40), ("market shares", 48)])
def test_one_choice_per_individual_warns_and_says_what_to_do(name, n):
    table = table_of(zoo.case(name))
    with pytest.warns(OneChoiceWarning) as caught:
        latent_moments(table, table.data.total_weight, base_of(table))
    text = str(caught[0].message)
    assert text.startswith(f"{n} individuals of {n} chose only once")
    for words in ("weakly identified", "Grün & Leisch 2008", "individual=", "result.starts"):
        assert words in text


@pytest.mark.parametrize("name", ["counts", "shared table", "ragged panel"])
def test_a_single_table_and_a_panel_do_not_warn(name):
    table = table_of(zoo.case(name))
    latent_moments(table, table.data.total_weight, base_of(table))
