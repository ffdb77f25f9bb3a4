"""Every status on data that truly end so, and no other status on data that do not."""

from __future__ import annotations

import warnings

import numpy as np
import oracle
import pandas as pd
import pytest
import scipy.linalg
import zoo

from mixlogit import MixedMultinomialLogit, datasets
from mixlogit.certificate import certify
from mixlogit.em import expectation_maximisation
from mixlogit.errors import ConvergenceWarning
from mixlogit.likelihood import Parameters
from mixlogit.newton import maximise

B = np.array([[1.2, -0.8], [-0.6, 0.9], [1.5, 1.5]])


def panel(seed, tastes, n=100, n_situations=8):
    """Simulated choices among three alternatives, with the true class in a column."""
    rng = np.random.default_rng(seed)
    n_classes, n_attributes = np.shape(tastes)
    x = rng.normal(size=(n, n_situations, 3, n_attributes))
    own = rng.permutation(np.arange(n) % n_classes)
    utility = np.einsum("ntjl,nl->ntj", x, np.asarray(tastes)[own])
    chosen = (utility + rng.gumbel(size=utility.shape)).argmax(axis=-1)
    person, situation, alternative = np.indices(utility.shape)
    return pd.DataFrame(
        {
            "person": person.ravel(),
            "situation": (person * n_situations + situation).ravel(),
            "choice": (alternative == chosen[..., None]).astype(int).ravel(),
            "own": own[person].ravel(),
        }
        | {f"x{a + 1}": x[..., a].ravel() for a in range(n_attributes)}
    )


def model_of(frame, n_classes, right="x1 + x2", **keywords):
    return MixedMultinomialLogit.from_formula(
        f"choice ~ {right}", frame, n_classes=n_classes, **(zoo.PANEL | keywords)
    )


def certificate_of(model, **keywords):
    """Of a fit; warnings other than that of convergence are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(**keywords).certificate()


def certify_at(model, params, ended="stationary", penalty=0.0):
    likelihood = model.likelihood(penalty)
    params = np.asarray(params, dtype=float)
    return certify(
        likelihood,
        likelihood.unpack(params),
        likelihood.evaluate(params),
        ended=ended,
        n_finished=3,
        n_agree=2,
    )


# --- converged ------------------------------------------------------------------------------------


def electricity(n_classes):
    return MixedMultinomialLogit.from_formula(
        "choice ~ pf + cl + loc + wk + tod + seas",
        datasets.load("electricity").data,
        n_classes=n_classes,
        alternative="alt",
        **zoo.PANEL,
    )


def swissmetro(n_classes):
    survey = datasets.load("swissmetro").data
    survey = survey[survey["purpose"].isin([1, 3])].copy()
    survey[["travel_time", "cost_paid"]] /= 100
    right = "travel_time + cost_paid + C(alternative)"
    return model_of(survey, n_classes, right, alternative="alternative")


def travelmode():
    return MixedMultinomialLogit.from_formula(
        "choice ~ ttme + gc + C(mode)",
        datasets.load("travelmode").data,
        n_classes=1,
        alternative="mode",
        situation="individual",
    )


REAL = {
    **{f"electricity {k}": (electricity, k) for k in (2, 3, 4, 5)},
    **{f"swissmetro {k}": (swissmetro, k) for k in (2, 3)},
    "travelmode": (travelmode,),
}


@pytest.mark.parametrize("name", REAL)
def test_surveys_converge(name):
    build, *args = REAL[name]
    certificate = certificate_of(build(*args), n_starts=8)
    assert certificate.status == "converged", certificate.message
    assert certificate.converged
    assert certificate.score_norm < 1e-10
    assert certificate.decrement < 1e-15
    assert certificate.smallest_eigenvalue > 0
    assert certificate.condition_number >= 1
    assert 0 <= certificate.em_rate < 1


def test_classes_that_keep_their_information_take_no_pass_of_their_own(monkeypatch):
    model = electricity(3)
    params = model.fit(n_starts=8).params.to_numpy()
    fresh = model.likelihood()
    passes = []

    def counted(beta, *args, **keywords):
        passes.append(len(beta))
        return original(beta, *args, **keywords)

    original = fresh.table.sweep
    monkeypatch.setattr(fresh.table, "sweep", counted)
    at = fresh.evaluate(params)
    passes.clear()
    certificate = certify(
        fresh, fresh.unpack(params), at, ended="stationary", n_finished=3, n_agree=2
    )
    assert certificate.status == "converged"
    assert passes == []  # equal probabilities of all are known from the logit with one class


@pytest.mark.parametrize("n_classes", [1, 2, 3])
@pytest.mark.parametrize("size", [20, 40])
@pytest.mark.parametrize("seed", [0, 1])
def test_large_utilities_are_not_separation(n_classes, size, seed):
    """Most choices are certain, but not all: the maximum is finite."""
    frame = panel(seed, size * B[:n_classes], n=300)
    model = model_of(frame, n_classes)
    start = np.append(size * B[:n_classes].ravel(), np.zeros(n_classes - 1))
    certificate = certificate_of(model, start_params=start)
    assert certificate.status == "converged", certificate.message


def test_numbers_agree_with_direct_computations():
    case = zoo.case("balanced panel")
    model = case.model(2)
    flat = maximise(model.likelihood().evaluate, np.append(zoo.TASTES.ravel(), 0.0)).x
    flat = flat + 1e-3 * np.arange(7)  # so that the score is not round-off
    beta, gamma = oracle.unflatten(flat, 2, 3)
    certificate = certify_at(model, flat)
    information = -oracle.hessian(case.problem, beta, gamma)
    score = oracle.score(case.problem, beta, gamma)
    complete = np.zeros((7, 7))
    for person in case.problem:
        for k, r in enumerate(oracle.posterior_of(person, beta, gamma)):
            complete -= r * oracle.complete_hessian(person, k, beta, gamma)
    scale = np.sqrt(np.diag(information))
    exact = {"rel": 1e-8}  # of sums in another order, times the condition number
    assert certificate.score_norm == pytest.approx(np.abs(score).max() / 30, **exact)
    assert certificate.decrement == pytest.approx(
        0.5 * score @ np.linalg.solve(information, score), **exact
    )
    assert certificate.smallest_eigenvalue == pytest.approx(
        np.linalg.eigvalsh(information)[0], **exact
    )
    assert certificate.condition_number == pytest.approx(
        np.linalg.cond(information / np.outer(scale, scale)), **exact
    )
    assert certificate.em_rate == pytest.approx(
        1 - scipy.linalg.eigh(information, complete, eigvals_only=True)[0], **exact
    )
    assert (certificate.n_finished, certificate.n_agree) == (3, 2)


def test_em_rate_is_the_ratio_of_successive_errors():
    model = model_of(panel(0, B[:2], n=80, n_situations=4), 2)
    likelihood = model.likelihood()
    start = Parameters(B[None, :2], np.zeros((1, 1, 1)))
    flat = maximise(likelihood.evaluate, start.flat()[0]).x
    errors = []
    for n_iter in (12, 13):
        run = expectation_maximisation(likelihood, start, maxiter=n_iter, tol=0.0, accelerate=False)
        errors.append(np.linalg.norm(run.parameters.flat()[0] - flat))
    assert errors[0] > 1e-8  # above round-off
    assert certify_at(model, flat).em_rate == pytest.approx(errors[1] / errors[0], abs=1e-2)


# --- separation -----------------------------------------------------------------------------------


def marked(seed, where):
    """Choices among alternatives of which some carry a mark that is, somewhere, never chosen."""
    frame = panel(seed, B[:2])
    mark = np.random.default_rng(seed).random(len(frame)) < 0.3
    avoided = np.ones(len(frame), dtype=bool) if where == "all" else frame["own"] == 0
    return frame.assign(mark=(mark & ~(avoided & (frame["choice"] == 1))).astype(float))


@pytest.mark.parametrize("n_classes", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_an_attribute_that_is_never_chosen_is_separation_in_all_classes(n_classes, seed):
    certificate = certificate_of(model_of(marked(seed, "all"), n_classes, "x1 + x2 + mark"))
    assert certificate.status == "separation"
    assert not certificate.converged
    assert np.isnan(certificate.em_rate)
    for k in range(n_classes):
        assert f"class{k + 1}.mark = -" in certificate.message
    assert "state a penalty" in certificate.message
    assert ("fewer classes" in certificate.message) == (n_classes > 1)


@pytest.mark.parametrize("n_classes", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_a_perfect_predictor_is_separation_and_alone_is_named(n_classes, seed):
    frame = panel(seed, B[:2])
    frame["known"] = frame["choice"].astype(float)
    certificate = certificate_of(model_of(frame, n_classes, "x1 + x2 + known"))
    assert certificate.status == "separation"
    assert "class1.known = " in certificate.message
    assert ".x" not in certificate.message  # their information is lost, but they do not diverge


@pytest.mark.parametrize("seed", range(3))
def test_separation_in_one_class_names_that_class_only(seed):
    frame = panel(seed, [[2.5, -2.0], [-2.0, 2.5]])
    mark = np.random.default_rng(seed).random(len(frame)) < 0.3
    frame["mark"] = (mark & ~((frame["own"] == 0) & (frame["choice"] == 1))).astype(float)
    model = model_of(frame, 2, "x1 + x2 + mark")
    result_certificate = certificate_of(model, start_params=[2.5, -2, -3, -2, 2.5, 0, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        tastes = np.asarray(model.fit(start_params=[2.5, -2, -3, -2, 2.5, 0, 0]).params)
    k = 1 if tastes[2] < tastes[5] else 2
    assert result_certificate.status == "separation"
    assert f"class{k}.mark" in result_certificate.message
    assert f"class{3 - k}." not in result_certificate.message


@pytest.mark.parametrize("method", ["em", "newton", "em-newton"])
def test_separation_is_seen_by_every_method(method):
    model = model_of(marked(0, "all"), 2, "x1 + x2 + mark")
    assert certificate_of(model, method=method).status == "separation"


def test_diverged_coefficients_stay_where_odds_drown():
    """Curvature that is round-off once sent them to 1e16 and spoilt the rest of the fit."""
    for seed in range(4):
        model = model_of(marked(seed, "all"), 2, "x1 + x2 + mark")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            result = model.fit()
        assert np.abs(np.asarray(result.params)).max() < 200
        assert result.certificate().score_norm < 1e-8


def test_a_penalty_is_a_remedy_for_separation():
    model = model_of(marked(0, "all"), 2, "x1 + x2 + mark")
    assert certificate_of(model, penalty=1.0).status == "converged"


def test_sampling_weights_of_any_size_tell_separation_alike():
    frame = panel(0, B[:2])
    for weight in (1e-6, 1e6):
        weighted = frame.assign(w=weight)
        assert certificate_of(model_of(weighted, 2, weights="w")).status == "converged"
        weighted = marked(0, "all").assign(w=weight)
        model = model_of(weighted, 2, "x1 + x2 + mark", weights="w")
        assert certificate_of(model).status == "separation"


def test_a_covariate_that_tells_the_class_is_separation_of_the_gate():
    frame = panel(0, [[4.0, -4.0], [-4.0, 4.0]])
    frame["north"] = (frame["own"] == 1).astype(float)
    model = model_of(frame, 2, membership="north")
    certificate = certificate_of(model, start_params=[4, -4, -4, 4, 0, 1])
    assert certificate.status == "separation"
    assert "_membership.north" in certificate.message
    assert ".x1" not in certificate.message


# --- other ends -----------------------------------------------------------------------------------


def test_a_class_without_individuals_is_the_boundary():
    model = model_of(panel(0, B[:1]), 2)
    one = maximise(model.likelihood(n_classes=1).evaluate, np.zeros(2)).x
    certificate = certify_at(model, [*one, 3.0, 3.0, -12.0])
    assert certificate.status == "boundary"
    assert certificate.message.startswith("Class 2 has vanished")
    assert "fit fewer" in certificate.message


def test_several_vanished_classes_are_listed():
    model = model_of(panel(0, B[:1]), 3)
    one = maximise(model.likelihood(n_classes=1).evaluate, np.zeros(2)).x
    certificate = certify_at(model, [*one, 3.0, 3.0, -3, -3, -800.0, -12.0])
    assert certificate.status == "boundary"
    assert certificate.message.startswith("Classes 2, 3 have vanished")


def test_a_fit_whose_class_vanishes_ends_at_the_boundary():
    model = model_of(panel(0, B[:1]), 2)
    start = [1.2, -0.8, -9.0, 9.0, -1.0]  # nobody is like class 2
    assert certificate_of(model, start_params=start).status == "boundary"


def test_two_equal_classes_on_choices_of_two_are_a_saddle():
    model = model_of(panel(0, B[:2]), 2)
    one = maximise(model.likelihood(n_classes=1).evaluate, np.zeros(2)).x
    certificate = certify_at(model, [*one, *one, 0.3])
    assert certificate.status == "saddle"
    assert "class1.x" in certificate.message
    assert "class2.x" in certificate.message
    assert "more starts" in certificate.message


def test_two_equal_classes_on_choices_of_one_are_flat():
    """The split of one class into two equal ones: their shares are not identified."""
    for seed in range(20):
        model = model_of(panel(seed, B[:1], n=60), 2)
        one = maximise(model.likelihood(n_classes=1).evaluate, np.zeros(2)).x
        certificate = certify_at(model, [*one, *one, 0.3])
        if certificate.status != "saddle":  # sampling error may favour a split
            assert certificate.status == "flat"
            assert "class2._membership" in certificate.message
            assert "fewer classes" in certificate.message
            return
    raise AssertionError("every sample favours a split")


@pytest.mark.parametrize("seed", range(3))
def test_an_attribute_that_a_class_never_meets_is_flat(seed):
    """Only people who are of class 2, beyond doubt, have alternatives that differ in it."""
    frame = panel(seed, [[6.0, -6.0], [-6.0, 6.0]])
    varies = np.random.default_rng(seed).normal(size=len(frame))
    frame["rare"] = np.where(frame["own"] == 1, varies, 0.0)
    model = model_of(frame, 2, "x1 + x2 + rare")
    certificate = certificate_of(model, start_params=[6, -6, 0.7, -6, 6, 0.0, 0.0])
    assert certificate.status == "flat"
    assert "flat along class1.rare:" in certificate.message or (
        "flat along class2.rare:" in certificate.message  # if it is the larger class
    )


def rarely(seed, sep, size):
    """Two classes; an attribute differs as usual in choice sets of one, and by `size` of the other.

    Nobody is of either class beyond all doubt.
    """
    frame = panel(seed, [[sep, -sep], [-sep, sep]])
    varies = np.random.default_rng(seed).normal(size=len(frame))
    return frame.assign(rare=np.where(frame["own"] == 1, varies, size * varies))


def fit_of(model, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(**keywords)


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_an_attribute_that_hardly_differs_in_choices_of_a_class_has_no_error(seed):
    """What others would say of it, if they were of this class, once made errors of 1e3 to 1e5."""
    result = fit_of(model_of(rarely(seed, 2.5, 0.0), 2, "x1 + x2 + rare"), n_starts=8)
    certificate = result.certificate()
    assert certificate.status == "flat"
    (name,) = certificate.unmet
    assert f"flat along {name}: the choice sets of their class hardly differ" in certificate.message
    assert list(result.bse.index[result.bse.isna()]) == [name]
    # errors of the others are those without this coefficient
    is_known = result.params.index != name
    information = -result.model.hessian(result.params)[np.ix_(is_known, is_known)]
    expected = np.sqrt(np.diag(np.linalg.inv(information)))
    np.testing.assert_allclose(result.bse[is_known], expected, rtol=1e-8)
    robust = result.with_cov("robust").bse
    assert list(robust.index[robust.isna()]) == [name]


@pytest.mark.parametrize("seed", range(3))
def test_an_attribute_that_differs_little_in_choices_of_a_class_is_identified(seed):
    """Its coefficient is large, and its information as small as if hardly any choice met it."""
    result = fit_of(model_of(rarely(seed, 2.5, 1e-3), 2, "x1 + x2 + rare"), n_starts=8)
    assert result.certificate().status == "converged"
    assert result.bse.notna().all()
    assert 30 < result.bse.max() < 300  # 0.1 or so, in a unit a thousand times smaller


def test_an_attribute_that_explains_somebody_of_another_class_perfectly_is_separation():
    """That one class never meets it does not keep the likelihood from rising with it for ever."""
    model = model_of(rarely(4, 6.0, 0.0), 2, "x1 + x2 + rare")
    result, flat = fit_of(model, n_starts=8), fit_of(model, start_params=[6, -6, 0, -6, 6, 0, 0])
    assert flat.certificate().status == "flat"
    assert result.certificate().status == "separation"
    assert result.llf > flat.llf + 5


def test_a_common_coefficient_is_met_by_the_choices_of_all_classes():
    model = model_of(rarely(0, 6.0, 0.0), 2, "x1 + x2 + rare", common=["rare"])
    result = fit_of(model, n_starts=8)
    assert result.certificate().status == "converged"
    assert result.bse.notna().all()


def test_coefficients_of_one_equation_are_met_by_the_choices_of_either_class():
    frame = rarely(0, 6.0, 0.0)
    tied = fit_of(
        model_of(frame, 2, "x1 + x2 + rare", constraints="class1.rare = 2 * class2.rare"),
        n_starts=8,
    )
    assert tied.certificate().status == "converged"
    fixed = fit_of(
        model_of(frame, 2, "x1 + x2 + rare", constraints="class1.x1 = -class2.x1"), n_starts=8
    )
    assert fixed.certificate().status == "flat"
    assert list(fixed.bse.index[fixed.bse.isna()]) == list(fixed.certificate().unmet)
    assert len(fixed.certificate().unmet) == 1


def test_a_penalty_says_something_of_every_coefficient():
    model = model_of(rarely(0, 6.0, 0.0), 2, "x1 + x2 + rare")
    assert fit_of(model, n_starts=8, penalty=1.0).certificate().status == "converged"


@pytest.mark.parametrize(
    ("seed", "n", "n_classes", "n_true"), [(62, 150, 4, 1), (223, 80, 4, 2), (352, 80, 3, 1)]
)
def test_classes_that_merge_are_flat_whatever_the_sign_of_round_off(seed, n, n_classes, n_true):
    """A saddle where no step gains anything that can be seen, once; a restart said flat."""
    model = model_of(panel(seed, B[:n_true], n=n), n_classes)
    result = fit_of(model)
    assert result.certificate().status == "flat"
    again = fit_of(model, start_params=result)
    assert again.certificate().status == "flat"
    assert again.llf == pytest.approx(result.llf, rel=1e-12)
    is_gate = result.params.index.str.contains("_membership")
    assert result.bse[is_gate].isna().any()
    assert result.bse[~is_gate].notna().all()  # once none, where the sign was the wrong one


def test_tastes_of_two_equal_classes_have_errors_and_their_shares_have_none():
    n_flat = 0
    for seed in range(12):
        model = model_of(panel(seed, B[:1], n=60), 2)
        one = maximise(model.likelihood(n_classes=1).evaluate, np.zeros(2)).x
        result = fit_of(model, start_params=[*one, *one, 0.3], method="newton")
        if result.certificate().status != "flat":  # sampling error may favour a split
            continue
        n_flat += 1
        information = -model.hessian(result.params)[:4, :4]
        expected = np.sqrt(np.diag(np.linalg.inv(information)))
        np.testing.assert_allclose(result.bse.iloc[:4], expected, rtol=1e-6)
        assert np.isnan(result.bse.iloc[4])
    assert n_flat > 2


def test_running_out_of_iterations_says_so():
    certificate = certificate_of(electricity(3), maxiter=1, n_starts=2)
    assert certificate.status == "maxiter"
    assert "Raise maxiter" in certificate.message


def test_em_alone_does_not_certify():
    certificate = certificate_of(model_of(panel(0, B[:2]), 2), method="em")
    assert certificate.status == "em"
    assert "method='em-newton'" in certificate.message


def test_a_point_on_a_slope_is_not_stationary():
    model = model_of(panel(0, B[:1]), 1)
    certificate = certify_at(model, [1.0, -0.6])
    assert certificate.status == "not stationary"
    assert "Rescale" in certificate.message
