"""Attributes and covariates that are no numbers, or do not identify coefficients, are named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from zoo import data_of

from mixlogit import identification
from mixlogit.arrangement import arrange
from mixlogit.errors import DataError, IdentificationError

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
        "situation. Drop it from the formula, or put it behind a bar, 'choice ~ cost | income', "
        "where variables of the person have a coefficient for each alternative."
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
    monkeypatch.setattr(identification, "_rounding", lambda stored: rounding)

    def is_refused(columns):
        gram = columns.T @ columns
        said = {"constant": ("is constant", "are constant"), "kind": "column"}
        try:
            identification._check_collinear(gram, 1e4 * np.diag(gram), names, **said)
        except IdentificationError:
            return True
        return False

    verdicts = []
    for apart in 10.0 ** np.arange(-8, 1):
        columns = rng.standard_normal((40, 5))
        columns[:, 4] = columns[:, :4] @ [1.0, -2.0, 3.0, 100.0] + apart * columns[:, 4]
        quick = is_refused(columns)
        with monkeypatch.context() as patch:
            patch.setattr(identification, "_is_regular", lambda correlation, noise: False)
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
