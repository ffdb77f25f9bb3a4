"""Errors where something diverges: one direction is lost, and not all that has a part in it."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from simulated import never_chosen, one_sided_level

from mixlogit import MixedMultinomialLogit, read_results, simulate_choices
from mixlogit.certificate import certify
from mixlogit.errors import ArgumentError, ConvergenceWarning
from mixlogit.postestimation import delta_errors
from mixlogit.uncertainty import Uncertainty

KINDS = ("nonrobust", "opg", "robust", "cluster")
FAR = -60.0  # a logit at which probabilities are 1e-26
PANEL = {"situation": "situation", "individual": "person", "alternative": "alt"}


def fit_of(model, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(**keywords)


def level(reference, alternative):
    return f"C(alt, Treatment('{reference}'))[T.{alternative}]"


def model_of(frame, reference, **keywords):
    right = f"C(alt, Treatment('{reference}')) + x"
    return MixedMultinomialLogit.from_formula(f"choice ~ {right}", frame, 2, **PANEL, **keywords)


def covariances(result, groups):
    """The same result with each kind of covariance."""
    keywords = {"cluster": {"groups": groups}}
    return {kind: result.with_cov(kind, **keywords.get(kind, {})) for kind in KINDS}


def difference(k, one, other, reference):
    """That two constants of a class are equal, in the coding with some reference."""
    terms = [
        f"{sign}class{k}.{level(reference, each)}"
        for sign, each in (("", one), ("-", other))
        if each != reference
    ]
    return " ".join(terms) + " = 0"


def contrasts(reference):
    """Coefficients of x, and differences of constants from that of b, as hypotheses."""
    out = [f"class{k}.x = 0" for k in (1, 2)]
    return out + [difference(k, one, "b", reference) for k in (1, 2) for one in "cd"]


# -- a class never takes an alternative ------------------------------------------------------------


@pytest.fixture(scope="module")
def frame():
    return never_chosen(0)


@pytest.fixture(scope="module")
def fits(frame):
    """By the alternative that is the reference; class 1 never takes a."""
    return {reference: fit_of(model_of(frame, reference)) for reference in "abd"}


@pytest.fixture(scope="module")
def fixed(frame, fits):
    """The same with what diverges fixed far out: the limit."""
    params = fits["b"].params
    model = model_of(frame, "b", constraints=f"class1.{level('b', 'a')} = {FAR}")
    result = fit_of(model, start_params=params.where(params > -20, FAR))
    assert result.certificate().status == "converged"
    return result


@pytest.fixture(scope="module")
def groups():
    return np.arange(200) // 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reference", ["a", "b", "d"])
def test_contrasts_have_the_errors_of_the_limit_whatever_the_reference(
    fits, fixed, groups, reference, kind
):
    limit = covariances(fixed, groups)[kind].t_test(contrasts("b"))
    found = covariances(fits[reference], groups)[kind].t_test(contrasts(reference))
    np.testing.assert_allclose(found.effect, limit.effect, rtol=1e-7)
    # probabilities of a are below 1e-12 in class 1
    np.testing.assert_allclose(found.sd, limit.sd, rtol=1e-8)


@pytest.mark.parametrize("reference", ["a", "b", "d"])
def test_only_what_changes_along_the_lost_direction_has_no_error(fits, reference):
    result = fits[reference]
    assert result.certificate().status == "separation"
    # with a as the reference all constants of class 1 grow together
    lost = "bcd" if reference == "a" else "a"
    expected = [f"class1.{level(reference, one)}" for one in lost]
    assert sorted(result.bse.index[result.bse.isna()]) == sorted(expected)
    assert sorted(result.certificate().diverging) == sorted(expected)


@pytest.mark.parametrize("reference", ["a", "b"])
def test_a_contrast_with_what_is_never_chosen_has_no_test(fits, reference):
    result, other = fits[reference], "b" if reference == "a" else "a"
    hypothesis = f"class1.{level(reference, other)} = 0"
    assert np.isnan(result.t_test(hypothesis).sd).all()
    with pytest.raises(ArgumentError, match=r"T\.[ab]\] has no standard error"):
        result.wald_test(hypothesis)


@pytest.mark.parametrize("reference", ["a", "d"])
def test_joint_tests_of_contrasts_do_not_depend_on_the_reference(fits, fixed, reference):
    found = fits[reference].wald_test(contrasts(reference))
    limit = fixed.wald_test(contrasts("b"))
    assert found.statistic == pytest.approx(limit.statistic, rel=1e-7)
    assert found.df_denom == 6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reference", ["a", "b"])
def test_what_tends_to_a_limit_keeps_its_error(fits, fixed, groups, reference, kind):
    result, limit = (covariances(one, groups)[kind] for one in (fits[reference], fixed))
    close = {"rtol": 1e-7, "atol": 1e-12}
    np.testing.assert_allclose(result.class_share_table(), limit.class_share_table(), **close)
    np.testing.assert_allclose(result.market_shares(), limit.market_shares(), **close)
    of_x = result.population_params().loc["x"].iloc[:-1].astype(float)
    np.testing.assert_allclose(
        of_x, limit.population_params().loc["x"].iloc[:-1].astype(float), **close
    )
    found, known = result.elasticities("x"), limit.elasticities("x")
    has_error = found["std err"].notna()
    # of shares in class 1, when the attribute of what it never takes changes
    assert list(found.index[~has_error]) == [("class1", one, "a") for one in "bcd"]
    np.testing.assert_allclose(found[has_error], known[has_error], **close)


def test_shares_of_the_others_survive_an_alternative_that_a_class_never_takes(fits, fixed):
    for reference in "ab":
        shares = fits[reference].market_shares(by_class=True)
        assert list(shares.index[shares["std err"].isna()]) == [("class1", "a")]
        has_error = shares["std err"].notna()
        known = fixed.market_shares(by_class=True)
        np.testing.assert_allclose(shares[has_error], known[has_error], rtol=1e-7)


def test_willingness_to_pay_has_notes_where_it_has_no_error(fits):
    shown = fits["b"].wtp(level("b", "a"), "x")
    assert list(shown["std err"].isna()) == [True, False, True]
    assert shown.loc["class1", "note"].startswith(f"class1.{level('b', 'a')} has no standard")
    other = fits["b"].wtp(level("b", "c"), "x")
    assert other["std err"].notna().all()
    assert not other["note"].str.contains("has no standard error").any()


def test_the_lost_direction_travels_with_results(fits, tmp_path):
    result = fits["a"]
    expected = result.t_test(contrasts("a")).sd
    for include_data in (True, False):
        result.to_file(tmp_path / "fit.npz", include_data=include_data)
        read = read_results(tmp_path / "fit.npz")
        np.testing.assert_array_equal(read.t_test(contrasts("a")).sd, expected)
        np.testing.assert_array_equal(read.bse, result.bse)
        for field in ("status", "message", "diverging", "huge"):
            assert getattr(read.certificate(), field) == getattr(result.certificate(), field)
    copy = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(copy.t_test(contrasts("a")).sd, expected)


@pytest.mark.parametrize("reference", ["a", "b", "d"])
def test_each_of_several_classes_loses_a_direction_of_its_own(reference):
    """Class 1 never takes a, class 2 never takes d."""
    frame = never_chosen(1, n=300, constants=[[-60, 0, 0.5, -0.5], [1, 0, 0.5, -60]])
    result = fit_of(model_of(frame, reference))
    first = 1 if result.params["class1.x"] > 0 else 2
    lost = {first: "a", 3 - first: "d"}
    model = model_of(
        frame, "b", constraints=[f"class{k}.{level('b', one)} = {FAR}" for k, one in lost.items()]
    )
    flat = pd.Series(0.0, model.param_names)
    for name in ("class1.x", "class2.x"):
        flat[name] = result.params[name]
    for k, one in lost.items():
        flat[f"class{k}.{level('b', one)}"] = FAR
    limit = fit_of(model, start_params=flat)
    of_x = [f"class{k}.x = 0" for k in (1, 2)]
    pairs = {first: ("cb", "db"), 3 - first: ("ba", "ca")}
    found, known = (
        one.t_test([*of_x, *(difference(k, *p, base) for k in pairs for p in pairs[k])])
        for one, base in ((result, reference), (limit, "b"))
    )
    np.testing.assert_allclose(found.effect, known.effect, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.sd, known.sd, rtol=1e-6)


def test_constraints_and_lost_directions_go_together(frame, fits):
    """Constants tied across classes are identified by the class that takes the alternative."""
    tied = [f"class1.{level('b', 'c')} = class2.{level('b', 'c')}"]
    start = fits["b"].params.copy()
    start[f"class1.{level('b', 'c')}"] = start[f"class2.{level('b', 'c')}"]
    free = fit_of(model_of(frame, "b", constraints=tied), start_params=start)
    far = model_of(frame, "b", constraints=[*tied, f"class1.{level('b', 'a')} = {FAR}"])
    params = free.params.where(free.params > -20, FAR)
    limit = fit_of(far, start_params=params)
    known = limit.bse[limit.bse > 0].index
    np.testing.assert_allclose(free.bse[known], limit.bse[known], rtol=1e-7)
    assert list(free.bse.index[free.bse.isna()]) == [f"class1.{level('b', 'a')}"]


# -- a level of membership that a class does not have ----------------------------------------------


@pytest.fixture(scope="module")
def by_level():
    """A fit, and one with the logit that diverges fixed at −30."""
    frame = one_sided_level(0)
    free = fit_of(MixedMultinomialLogit.from_formula(**of_level(frame)))
    (name,) = free.certificate().diverging
    assert "_membership" in name
    sign = np.sign(free.params[name])
    model = MixedMultinomialLogit.from_formula(
        **of_level(frame), constraints=f"{name} = {sign * 30}"
    )
    start = free.params.copy()
    start[name] = sign * 30
    return free, fit_of(model, start_params=start), name


def of_level(frame):
    return {
        "formula": "choice ~ x + w",
        "data": frame,
        "n_classes": 2,
        "membership": "C(region)",
        **PANEL,
    }


@pytest.mark.parametrize("kind", ["nonrobust", "opg", "robust"])
def test_shares_and_means_have_errors_where_a_membership_logit_diverges(by_level, kind):
    free, fixed, name = by_level
    assert free.certificate().status == "separation"
    free, fixed = free.with_cov(kind), fixed.with_cov(kind)
    assert list(free.bse.index[free.bse.isna()]) == [name]
    for found, known in (
        (free.class_share_table(), fixed.class_share_table()),
        (free.population_params().iloc[:, :6], fixed.population_params().iloc[:, :6]),
        (free.market_shares(), fixed.market_shares()),
        (free.elasticities("x"), fixed.elasticities("x")),
        (free.wtp("w", "x")[["wtp", "std err"]], fixed.wtp("w", "x")[["wtp", "std err"]]),
    ):
        assert found.notna().all(axis=None)
        np.testing.assert_allclose(found, known, rtol=1e-4)
    assert (free.population_params()["note"] == "").all()


# -- verdicts --------------------------------------------------------------------------------------


def predicted(seed, scale, n=30, n_situations=8):
    """A class whose tastes are so strong that hardly a choice of it is a surprise."""
    rng = np.random.default_rng(seed)
    person, situation, alt = (a.ravel() for a in np.indices((n, n_situations, 3)))
    frame = pd.DataFrame({"person": person, "situation": person * n_situations + situation})
    frame["alt"] = alt
    frame["cost"], frame["time"] = rng.normal(size=(2, len(frame)))
    tastes = pd.DataFrame([[-scale, -0.5], [scale * 5 / 6, 0.5]], index=["cost", "time"])
    return simulate_choices(frame, tastes, situation="situation", individual="person", rng=seed)


def of_two(frame, **keywords):
    return MixedMultinomialLogit.from_formula("choice ~ cost + time", frame, 2, **PANEL, **keywords)


def test_coefficients_that_ran_to_1e8_are_separation():
    """Round-off times the square of such a coefficient once passed for information."""
    result = fit_of(of_two(predicted(15, 30)))
    size = np.abs(result.params.to_numpy()[:4]).reshape(2, 2).max(axis=1)
    k = int(size.argmax()) + 1
    certificate = result.certificate()
    assert certificate.status == "separation"
    assert set(certificate.diverging) == {f"class{k}.cost", f"class{k}.time"}
    assert "fit fewer classes" in certificate.message
    assert "state a penalty" in certificate.message
    assert result.bse.filter(like=f"class{3 - k}.").notna().all()


@pytest.mark.parametrize("scale", [1.0, 1e2, 1e4, 1e6, 1e9])
def test_the_verdict_is_the_same_at_any_size_of_the_coefficients(scale):
    """Every choice of the first class is its best alternative."""
    frame = predicted(15, 30)
    fit = fit_of(of_two(frame))
    k = int(np.abs(fit.params.to_numpy()[:4]).argmax()) // 2
    params = fit.params.to_numpy().copy()
    own = params[2 * k : 2 * k + 2]
    params[2 * k : 2 * k + 2] = own / np.abs(own).max() * 1e3 * scale
    again = fit_of(of_two(frame), start_params=params, method="newton")
    assert again.certificate().status == "separation"
    assert set(again.certificate().diverging) == {f"class{k + 1}.{x}" for x in ("cost", "time")}


def test_a_fit_below_the_logit_with_one_class_is_a_failed_search():
    model = of_two(predicted(3, 2.0))
    start = [40.0, -40.0, -30.0, 30.0, -30.0]
    unfinished = fit_of(model, start_params=start, method="em", maxiter=1).certificate()
    assert unfinished.status == "maxiter"
    assert "is below that of the logit with one class" in unfinished.message
    certificate = certified(model, start)
    one = model.with_classes(1).fit().llf
    assert certificate.status == "failed"
    assert "The search failed" in certificate.message
    assert f"below that of the logit with one class, {one:.4f}" in certificate.message
    assert "do not support" not in certificate.message


def test_constraints_that_exclude_equal_classes_are_no_failed_search():
    frame = predicted(3, 2.0)
    model = of_two(frame, constraints=["class1.cost = 3", "class2.cost = 4"])
    result = fit_of(model)
    assert result.llf < of_two(frame).with_classes(1).fit().llf
    assert result.certificate().status != "failed"


def certified(model, params):
    """Certificate of a point where iterations might have ended."""
    likelihood = model.likelihood()
    params = np.asarray(params)
    return certify(
        likelihood,
        likelihood.unpack(params),
        likelihood.evaluate(params),
        ended="stationary",
        n_finished=1,
        n_agree=1,
    )


@pytest.fixture(scope="module")
def nearly():
    """A class of which one choice is a surprise, by a little."""
    for seed in range(40):
        result = fit_of(of_two(predicted(seed, 60)))
        if result.certificate().huge:
            return result
    raise AssertionError("no data set has such a class")


def test_huge_coefficients_with_huge_errors_are_remarked(nearly):
    certificate = nearly.certificate()
    assert certificate.status == "converged"
    for name in certificate.huge:
        assert abs(nearly.params[name]) > 10
        assert abs(nearly.tvalues[name]) < 2
        assert name in certificate.message
    assert "Coefficients are huge, and so are their errors" in certificate.message
    text = " ".join(str(nearly.summary()).split())
    assert "Coefficients are huge, and so are their errors" in text
    assert certificate.huge[0] in text


def test_ordinary_coefficients_are_not_remarked(fixed):
    assert fixed.certificate().huge == ()
    assert "huge" not in str(fixed.summary())


# -- algebra ---------------------------------------------------------------------------------------


def test_errors_along_lost_directions_alone_are_unknown():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 6))
    whole, lost = root @ root.T, np.array([[1.0], [1.0], [0.0], [0.0]])
    known = Uncertainty(whole, lost)
    rows = np.array([[1.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 2], [1, -1 + 1e-9, 0, 0]])
    expected = np.sqrt(np.diag(rows @ whole @ rows.T))
    found = delta_errors(rows, known)
    np.testing.assert_allclose(found[[0, 2, 3]], expected[[0, 2, 3]], rtol=1e-12)
    assert np.isnan(found[1])
    between = known.between(rows[:2], rows[1:3])
    assert np.isnan(between[1]).all()
    assert np.isnan(between[:, 0]).all()
    assert between[0, 1] == pytest.approx(rows[0] @ whole @ rows[2], rel=1e-12)
    reported = known.reported()
    assert np.isnan(reported[:2]).all()
    np.testing.assert_array_equal(reported[2:, 2:], whole[2:, 2:])
