"""Coordinates of tastes in which nothing depends on the columns that span the utility."""

from __future__ import annotations

import numpy as np
import pytest
import zoo
from conftest import ELECTRICITY, electricity_model, fitted
from simulated import likelihood_of, panel

from mixlogit import MixedMultinomialLogit, datasets
from mixlogit.axes import Axes
from mixlogit.pooled import axes_of_one, pooled_ascent

NAMES = ["pf", "cl", "loc", "wk", "tod", "seas"]
IDS = {"situation": "situation", "individual": "person", "alternative": "alt"}
SURVEY = datasets.load("electricity").data


def recombination(seed: int, size: int, condition: float) -> np.ndarray:
    """A random invertible matrix of that condition."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.normal(size=(size, size)))[0] for _ in range(2))
    return left * np.geomspace(1, condition, size) @ right


def recombined(n_classes: int, matrix: np.ndarray) -> MixedMultinomialLogit:
    """The electricity survey with columns that span the same utilities."""
    columns = (SURVEY[NAMES].to_numpy() @ matrix).T
    frame = SURVEY.assign(**{f"z{i}": column for i, column in enumerate(columns)})
    formula = "choice ~ " + " + ".join(f"z{i}" for i in range(len(columns)))
    return MixedMultinomialLogit.from_formula(formula, frame, n_classes, **IDS)


@pytest.mark.parametrize("case", zoo.CASES, ids=lambda case: case.name)
def test_the_length_of_coordinates_is_the_spread_of_utility(case):
    likelihood = case.model(1).likelihood()
    covariance = likelihood.data.exog_covariance
    tastes = np.random.default_rng(0).standard_normal((4, case.n_attributes))
    for axes in (axes_of_one(likelihood), Axes.whitening(covariance)):
        along = axes.coordinates(tastes)
        # identities, through the inverse of a covariance
        variance = np.einsum("ml,lk,mk->m", tastes, covariance, tastes)
        np.testing.assert_allclose((along**2).sum(axis=1), variance, rtol=1e-9)
        np.testing.assert_allclose(axes.tastes(along), tastes, rtol=1e-9, atol=1e-9)


def test_along_the_axes_the_information_of_one_logit_is_uncorrelated():
    likelihood = electricity_model(1).likelihood()
    ascent, axes = pooled_ascent(likelihood), axes_of_one(likelihood)
    information = axes.quadratic(-ascent.evaluation.hessian)
    size = np.sqrt(np.diag(information))
    np.testing.assert_allclose(information / np.outer(size, size), np.eye(6), atol=1e-11)
    assert (axes.coordinates(ascent.x) >= 0).all()


@pytest.mark.parametrize("condition", [1e1, 1e3])
def test_axes_are_the_same_utilities_whatever_the_columns(condition):
    matrix = recombination(3, 6, condition)
    plain = axes_of_one(electricity_model(1).likelihood())
    other = axes_of_one(recombined(1, matrix).likelihood())
    # round-off times the squared condition, and where Newton left the one logit
    np.testing.assert_allclose(
        SURVEY[NAMES].to_numpy() @ matrix @ other.direction,
        SURVEY[NAMES].to_numpy() @ plain.direction,
        atol=1e-6,
    )


def test_second_derivatives_are_those_along_the_axes():
    likelihood = likelihood_of(panel(0, n_people=40), 1)
    axes = axes_of_one(likelihood)
    beta, step = np.array([0.3, -0.2, 0.1]), 1e-4
    hessian = axes.quadratic(likelihood.evaluate(beta).hessian)
    for j in range(3):
        move = step * axes.tastes(np.eye(3)[j])
        slope = [likelihood.evaluate(beta + side * move).score @ axes.direction for side in (1, -1)]
        np.testing.assert_allclose((slope[0] - slope[1]) / 2 / step, hessian[j], rtol=1e-6)


def test_axes_of_columns_are_utils_per_standard_deviation_and_keep_zeros():
    axes = Axes.of_columns(np.array([0.5, 0.1, 3.0]))
    tastes = np.array([[0.0, 7.0, 0.0], [1.0, 0.0, -2.0]])
    along = axes.coordinates(tastes)
    np.testing.assert_allclose(along, [[0.0, 0.7, 0.0], [0.5, 0.0, -6.0]], rtol=1e-15)
    assert ((axes.tastes(along) == 0) == (tastes == 0)).all()


# --- the search -----------------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["auto", "moments", "subspace"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_start_ends_where_it_does_on_other_columns(n_classes, init):
    plain = electricity_model(n_classes).fit(cov_type="none", init=init)
    for seed, condition in ((0, 20.0), (1, 1000.0)):
        model = recombined(n_classes, recombination(seed, 6, condition))
        other = model.fit(cov_type="none", init=init)
        assert other.llf == pytest.approx(plain.llf, abs=1e-5)
        assert other.certificate().status == "converged"


@pytest.mark.parametrize(
    "formula",
    [
        "C(alternative, Treatment('car')) + travel_time + cost_paid",
        "C(alternative, Sum) + travel_time + cost_paid",
        "C(alternative, Treatment('sm')) + travel_time + I(travel_time + 0.1 * cost_paid)",
    ],
)
def test_levels_codings_and_sums_of_columns_do_not_matter(formula):
    rows = datasets.load("swissmetro").data.query("purpose in (1, 3)")
    ids = IDS | {"alternative": "alternative"}
    model = MixedMultinomialLogit.from_formula(f"choice ~ {formula}", rows, 2, **ids)
    assert model.fit(cov_type="none").llf == pytest.approx(fitted("swissmetro", 2).llf, abs=1e-5)


def test_a_polynomial_has_one_maximum_centred_or_not():
    plain, shifted = (
        MixedMultinomialLogit.from_formula(
            f"choice ~ pf + cl + I((cl + {far}) ** 2) + loc + wk + tod + seas", SURVEY, 2, **IDS
        )
        for far in (0, 100)
    )
    found = plain.fit(cov_type="none").llf
    assert shifted.fit(cov_type="none").llf == pytest.approx(found, abs=1e-5)
    assert found > fitted("electricity", 2).llf  # it says something


def test_nearly_collinear_columns_have_the_maximum_of_their_difference():
    rng = np.random.default_rng(7)
    frame = SURVEY.assign(own=1e-3 * SURVEY["pf"].std() * rng.standard_normal(len(SURVEY)))
    frame["nearly"] = frame["pf"] + frame["own"]
    apart, together = (
        MixedMultinomialLogit.from_formula(f"{ELECTRICITY} + {name}", frame, 2, **IDS)
        for name in ("own", "nearly")
    )
    found = apart.fit(cov_type="none").llf
    assert together.fit(cov_type="none").llf == pytest.approx(found, abs=1e-5)


def test_a_penalty_does_not_depend_on_the_columns():
    matrix = recombination(5, 6, 50.0)
    plain = electricity_model(2).fit(penalty=3.0, cov_type="none")
    other = recombined(2, matrix).fit(penalty=3.0, cov_type="none")
    assert other.llf == pytest.approx(plain.llf, abs=1e-5)
    tastes = other.class_params.to_numpy().T @ matrix.T
    np.testing.assert_allclose(tastes, plain.class_params.to_numpy().T, rtol=1e-5)
