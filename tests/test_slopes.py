"""Derivatives of designs by columns of the table, against formulas of calculus."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from mixlogit.design import Design
from mixlogit.errors import ArgumentError, FormulaError
from mixlogit.slopes import design_slope

ENDS = (1.0, 9.0)


def table(n: int = 60) -> pd.DataFrame:
    """Costs from 1 to 9, both of which occur, with an income and a mode."""
    rng = np.random.default_rng(2)
    cost = np.concatenate([ENDS, rng.uniform(*ENDS, n - 2)])
    return pd.DataFrame(
        {
            "cost": cost,
            "income": rng.uniform(1, 5, n),
            "mode": rng.choice(["bus", "car"], n),
            "old": rng.integers(0, 2, n),
        }
    )


def learned(formula: str, data: pd.DataFrame) -> Design:
    return Design.learn(formula, data, intercept="absorb", env=0)


def slope_of(formula: str, data: pd.DataFrame, column: str = "cost") -> np.ndarray:
    design = learned(formula, data)
    return design_slope(design, data, column).whole(len(design.names))


@pytest.mark.parametrize(
    ("formula", "slope"),
    [
        ("cost", lambda d: [1 + 0 * d.cost]),
        ("cost + cost:income", lambda d: [1 + 0 * d.cost, d.income]),
        ("I(cost / 100)", lambda d: [0.01 + 0 * d.cost]),
        ("cost + I(cost ** 2)", lambda d: [1 + 0 * d.cost, 2 * d.cost]),
        ("np.log(cost)", lambda d: [1 / d.cost]),
        ("I(cost / income)", lambda d: [1 / d.income]),
        ("np.exp(-cost) + income", lambda d: [-np.exp(-d.cost), 0 * d.cost]),
        ("C(mode):cost", lambda d: [1.0 * (d["mode"] == "bus"), 1.0 * (d["mode"] == "car")]),
        ("np.maximum(cost - 5, 0)", lambda d: [1.0 * (d.cost > 5)]),
        ("center(cost) + standardize(cost)", lambda d: [1 + 0 * d.cost, d.cost * 0 + 1 / sd(d)]),
    ],
)
def test_slopes_of_designs_are_those_of_calculus(formula, slope):
    data = table()
    expected = np.column_stack(slope(data))
    # the error of the difference and round-off over the step are both about 1e-11
    np.testing.assert_allclose(slope_of(formula, data), expected, rtol=1e-9, atol=1e-9)


def sd(data: pd.DataFrame) -> float:
    """As patsy's standardize has it: divided by the number of rows."""
    return float(np.sqrt(((data.cost - data.cost.mean()) ** 2).mean()))


@pytest.mark.parametrize(
    "formula", ["bs(cost, df=4)", "bs(cost, df=6):income", "bs(cost, degree=2, df=3)"]
)
def test_slopes_of_splines_integrate_to_the_spline_and_stay_within_its_knots(formula):
    data = table()
    design = learned(formula, data)
    # Gauss-Legendre of three points is exact for the slope of a cubic between two knots
    grid = np.unique([*ENDS, *np.quantile(data.cost, np.linspace(0, 1, 13))])
    grid = np.unique([*grid, *np.quantile(data.cost, [0.25, 0.5, 0.75, 1 / 3, 2 / 3])])
    node, weight = np.polynomial.legendre.leggauss(3)
    for low, high in itertools.pairwise(grid):
        centre, half = (low + high) / 2, (high - low) / 2
        inside = pd.DataFrame({"cost": centre + half * node, "income": 2.0})
        slope = design_slope(design, inside, "cost").values
        ends = design.matrix(pd.DataFrame({"cost": [low, high], "income": 2.0}))
        np.testing.assert_allclose(half * weight @ slope, ends[1] - ends[0], rtol=1e-8, atol=1e-9)


def test_at_the_ends_of_a_spline_slopes_are_limits_from_within():
    data = table()
    design = learned("bs(cost, df=5)", data)
    ends = pd.DataFrame({"cost": list(ENDS)})
    shift = 1e-6
    near = pd.DataFrame({"cost": [ENDS[0] + shift, ENDS[1] - shift]})
    at, beside = (design_slope(design, f, "cost").values for f in (ends, near))
    assert (abs(at) > 0.1).any(axis=1).all()
    # second derivatives are about 1, so that slopes move by 1e-6; round-off leaves 1e-9
    np.testing.assert_allclose(at, beside, rtol=0, atol=1e-5)
    assert (at != beside).any()


def test_a_cubic_spline_has_a_slope_beyond_its_knots():
    data = table()
    design = learned("cr(cost, df=4, constraints='center')", data)
    beyond = pd.DataFrame({"cost": [0.5, 10.0, 11.0]})
    slope = design_slope(design, beyond, "cost").values
    np.testing.assert_allclose(slope[1], slope[2], rtol=1e-8, atol=1e-9)  # a straight line
    step = design.matrix(beyond)[2] - design.matrix(beyond)[1]
    np.testing.assert_allclose(slope[1], step, rtol=1e-8, atol=1e-9)


def test_values_beyond_the_knots_of_a_spline_are_counted_and_named_with_the_remedy():
    data = table()
    design = learned("bs(cost, df=4)", data)
    dear = data.assign(cost=data.cost * 1.1).set_axis([f"r{i}" for i in range(len(data))])
    n_beyond = int((dear.cost > 9).sum())
    assert n_beyond > 1
    first = int((dear.cost > 9).to_numpy().argmax())
    with pytest.raises(FormulaError) as caught:
        design.matrix(dear)
    message = str(caught.value)
    for part in (
        "The term bs(cost, df=4) of the formula",
        "(column 'cost')",
        "cost from 1.0 to 9.0",
        f"{n_beyond} rows lie beyond",
        f"the first is row 'r{first}', with {float(dear.cost.iloc[first])!r}",
        f"bs(cost, ..., upper_bound={float(dear.cost.max())!r})",
        "cr(cost, ..., constraints='center')",
    ):
        assert part in message
    assert "Patches" not in message
    with pytest.raises(
        FormulaError, match=r"1 row lies beyond; the first is row 0, with 0.5.*lower_bound=0.5\)"
    ):
        design.matrix(data.assign(cost=data.cost.replace(1.0, 0.5)))


def test_bounds_that_are_written_reach_further():
    design = learned("bs(cost, df=4, lower_bound=0, upper_bound=20)", table())
    assert np.isfinite(design.matrix(pd.DataFrame({"cost": [0.0, 15.0, 20.0]}))).all()


def test_a_spline_without_room_is_refused():
    data = pd.DataFrame({"cost": [1.0, 1.0 + 1e-7, 1.0 + 2e-7, 1.0 + 3e-7]})
    design = learned("bs(cost, knots=[1.00000015], degree=1)", data)
    with pytest.raises(ArgumentError, match=r"4 rows of 4 have no room to move in bs\(cost, knot"):
        design_slope(design, data, "cost")


@pytest.mark.parametrize(
    ("formula", "column", "message"),
    [
        ("cost + C(mode)", "mode", "which cannot grow by a little"),
        (
            "cost + C(old)",
            "old",
            r"in categories, as C\(old\) with the levels 0, 1, and has no slo",
        ),
    ],
)
def test_categories_have_no_slope(formula, column, message):
    data = table()
    with pytest.raises(ArgumentError, match=message):
        design_slope(learned(formula, data), data, column)
