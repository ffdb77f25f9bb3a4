"""Fits against published logits and against other software (see reference/README.md)."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import SWISSMETRO, electricity_model, fitted, swissmetro_model

from mixlogit import MixedMultinomialLogit, datasets

REFERENCE = Path(__file__).parent / "reference"
# our columns in the order of the reference's
COLUMNS = {"electricity": [0, 1, 2, 3, 4, 5], "swissmetro": [1, 0, 2, 3]}
CASES = [("electricity", 2), ("electricity", 3), ("electricity", 4), ("swissmetro", 2)]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]} K={case[1]}")
def pair(request):
    """A default fit, its reference, and the flat order that makes the two comparable."""
    survey, n_classes = request.param
    reference = json.loads((REFERENCE / f"{survey}_K{n_classes}.json").read_text())
    result = fitted(survey, n_classes)
    order = np.argsort(-np.array(reference["shares"]))  # ours: largest share first
    return result, reference, order, COLUMNS[survey]


def test_log_likelihood_is_that_of_independent_software(pair):
    result, reference, _, _ = pair
    # eight decimals are printed; a sum of thousands of terms is good to about 1e-10
    assert result.llf == pytest.approx(reference["loglik"], abs=1e-7)


def test_coefficients_agree_with_independent_software(pair):
    result, reference, order, columns = pair
    ours = result.class_params.to_numpy().T[:, columns]
    # the reference's score of up to 3e-7 over its information leaves errors of about 1e-8
    np.testing.assert_allclose(ours, np.array(reference["beta"])[order], rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        result.class_shares, np.array(reference["shares"])[order], rtol=0, atol=1e-7
    )


@pytest.mark.parametrize(
    ("cov_type", "key"),
    [("nonrobust", "se_hessian"), ("opg", "se_opg"), ("robust", "se_robust_person")],
)
def test_standard_errors_agree_with_independent_software(pair, cov_type, key):
    result, reference, order, columns = pair
    n_classes, n_attributes = len(order), len(columns)
    if (order != np.arange(n_classes)).any():
        pytest.fail("the reference lists its classes by share, so no logit needs another base")
    errors = result.with_cov(cov_type).bse.to_numpy()
    tastes = errors[: n_classes * n_attributes].reshape(n_classes, n_attributes)[:, columns]
    ours = np.append(tastes, errors[n_classes * n_attributes :])
    # the reference's score is 1e-7 at worst, which moves its errors by less than this
    np.testing.assert_allclose(ours, reference[key], rtol=1e-6)


def test_share_errors_agree_with_independent_software(pair):
    result, reference, order, _ = pair
    errors = result.class_share_table()["std err"].to_numpy()
    np.testing.assert_allclose(errors, np.array(reference["se_shares_hessian"])[order], rtol=1e-6)


def test_the_optimum_is_certified(pair):
    result = pair[0]
    certificate = result.certificate()
    assert result.converged
    assert certificate.status == "converged"
    model = result.model
    flat = result.params.to_numpy()
    assert np.abs(model.score(flat)).max() / result.nobs < 1e-8
    assert certificate.score_norm < 1e-8
    assert np.linalg.eigvalsh(-model.hessian(flat))[0] > 0
    assert certificate.smallest_eigenvalue > 0


def test_smallest_eigenvalue_agrees_with_independent_software():
    for n_classes in (2, 3, 4):
        reference = json.loads((REFERENCE / f"electricity_K{n_classes}.json").read_text())
        certificate = fitted("electricity", n_classes).certificate()
        assert certificate.smallest_eigenvalue == pytest.approx(reference["min_eig_info"], rel=1e-5)


def test_one_class_reproduces_the_published_swissmetro_logit():
    result = swissmetro_model(1).fit()
    assert result.llf == pytest.approx(-5331.2520, abs=5e-5)  # printed digits
    assert (result.nobs, result.n_situations) == (752, 6768)
    assert result.converged


def test_one_class_reproduces_the_published_electricity_logit():
    assert electricity_model(1).fit().llf == pytest.approx(-4958.6491, abs=5e-5)
    survey = datasets.load("electricity").data
    first = survey[survey["person"] <= 100]
    model = MixedMultinomialLogit.from_formula(
        "choice ~ pf + cl + loc + wk + tod + seas",
        first,
        n_classes=1,
        situation="situation",
        individual="person",
    )
    result = model.fit()
    assert result.nobs == 100
    assert result.llf == pytest.approx(-1356.3867, abs=5e-5)


def test_one_class_reproduces_greenes_travel_mode_logit():
    result = fitted("travelmode", 1)
    assert result.llf == pytest.approx(-199.1284, abs=5e-5)
    # Greene, Econometric Analysis, conditional logit of travel mode: coefficient, standard error
    published = {
        "gc": (-0.01550, 0.00441),
        "ttme": (-0.09612, 0.01044),
        "I(hinc * (mode == 'air'))": (0.01329, 0.01026),
    }
    for name, (value, error) in published.items():
        assert result.params[f"class1.{name}"] == pytest.approx(value, abs=1e-5)
        assert result.bse[f"class1.{name}"] == pytest.approx(error, abs=1e-5)


def test_classes_of_every_order_are_the_same_optimum():
    """Starting Newton from a relabelled optimum stays there: the llf has K! equal maxima."""
    result = fitted("electricity", 3)
    model = result.model
    parameters = model.likelihood().unpack(result.params.to_numpy())
    for order in itertools.permutations(range(3)):
        again = model.fit(parameters.reordered(np.array(order)).flat(), method="newton")
        np.testing.assert_allclose(again.params, result.params, rtol=1e-9)
        assert again.llf == pytest.approx(result.llf, rel=1e-13)


# -- other software, as far as its digits go (see the table in reference/README.md)

WRITTEN = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(REFERENCE.glob("*.json"))
}
OUR_NAMES = {
    "asc_train": "C(alternative, Treatment('sm'))[T.train]",
    "asc_car": "C(alternative, Treatment('sm'))[T.car]",
    "time": "I(travel_time / 100)",
    "cost": "I(cost_paid / 100)",
    "hinc_air": "I(hinc * (mode == 'air'))",
}


class Digits(NamedTuple):
    """How far the numbers of a software can be trusted."""

    llf: float  # absolute
    tastes: float  # in standard errors
    errors: float  # relative


DIGITS = {
    "statsmodels": Digits(1e-8, 1e-9, 2e-6),  # its Hessian is a forward difference
    "xlogit": Digits(1e-7, 3e-4, 3e-5),  # stops short of the maximum by as much
    "lcl-choice": Digits(1e-9, 1e-9, 1e-9),  # both at a score of round-off
    "biogeme": Digits(1e-9, 2e-5, 1e-5),  # ends at a relative gradient of 6e-6
    "mlogit": Digits(5e-3, 3e-4, 2e-4),  # six decimals, the score not quite zero
}


def our_name(survey: str, attribute: str) -> str:
    if survey == "travelmode" and attribute.startswith("asc_"):
        return f"C(mode, Treatment('car'))[T.{attribute[4:]}]"
    return OUR_NAMES.get(attribute, attribute)


OTHERS = [
    pytest.param(content["software"], fit, id=f"{name} {fit['survey']} K={fit['classes']}")
    for name, content in WRITTEN.items()
    for fit in content.get("fits", [])
    if "classes" in fit and "situations" not in fit
]


@pytest.mark.parametrize(("software", "fit"), OTHERS)
def test_other_software_finds_the_same(software, fit):
    digits = DIGITS[software]
    result = fitted(fit["survey"], fit["classes"])
    names = [our_name(fit["survey"], attribute) for attribute in fit["attributes"]]
    assert result.llf == pytest.approx(fit["llf"], abs=digits.llf)
    np.testing.assert_allclose(result.class_shares, fit["shares"], rtol=0, atol=digits.tastes)
    tastes = result.class_params.loc[names].to_numpy().T  # (K, L)
    for kind, values in fit["errors"].items():
        groups = {"groups": np.arange(result.nobs)} if kind == "cluster" else {}
        errors = result.with_cov(kind, **groups).bse
        ours = [[errors[f"{k}.{name}"] for name in names] for k in result.class_params]
        np.testing.assert_allclose(ours, values, rtol=digits.errors, err_msg=kind)
        apart = (tastes - np.array(fit["tastes"])) / np.array(values)
        np.testing.assert_allclose(apart, 0, atol=digits.tastes, err_msg=kind)


def test_every_number_of_other_software_says_where_it_comes_from():
    listed = (REFERENCE / "README.md").read_text(encoding="utf-8")
    for name, content in WRITTEN.items():
        assert f"`{name}.json`" in listed
        if "fits" in content:
            assert content["software"]
            assert content["version"]
            assert "origin" in content or (REFERENCE / content["script"]).is_file()
        else:  # numbers that were checked against several
            assert content["cross_checks"]


# Biogeme's example of a discrete mixture on swissmetro (b07discrete_mixture, version 3.3.2): the
# coefficient of time is 0 in one of two classes, all others are common.
DISCRETE_MIXTURE = {
    "C(alternative, Treatment('sm'))[T.train]": -0.397586,
    "C(alternative, Treatment('sm'))[T.car]": 0.124605,
    "I(cost_paid / 100)": -1.264065,
    "I(travel_time / 100)": -2.797932,
}


def discrete_mixture(individual: str | None) -> MixedMultinomialLogit:
    return MixedMultinomialLogit.from_formula(
        SWISSMETRO,
        datasets.load("swissmetro").data.query("purpose in (1, 3)"),
        2,
        situation="situation",
        individual=individual,
        alternative="alternative",
        common=["C(alternative, Treatment('sm'))", "I(cost_paid / 100)"],
        constraints="class1.I(travel_time / 100) = 0",
    )


@pytest.mark.filterwarnings("ignore::mixlogit.errors.OneChoiceWarning")
def test_a_discrete_mixture_agrees_with_biogeme():
    result = discrete_mixture(individual=None).fit()
    assert result.converged
    assert result.llf == pytest.approx(-5208.4980, abs=5e-5)  # four printed decimals
    # six are printed; the last one of the coefficient of time is short of the maximum by 1.3e-6
    for name, expected in DISCRETE_MIXTURE.items():
        assert result.params[f"class2.{name}"] == pytest.approx(expected, abs=2e-6)
    assert result.class_shares["class1"] == pytest.approx(0.250792, abs=5e-7)


def test_a_discrete_mixture_of_panels_agrees_with_biogeme():
    result = discrete_mixture(individual="person").fit()
    assert result.converged
    assert result.llf == pytest.approx(-4623.2484, abs=5e-5)
