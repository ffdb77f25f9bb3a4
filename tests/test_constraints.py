"""Common, fixed, tied and signed coefficients: the algebra, the optimum, its errors, messages."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import oracle
import pandas as pd
import pytest
import simulated
import zoo
from conftest import ELECTRICITY, electricity_model, fitted
from scipy import optimize

from mixlogit import MixedMultinomialLogit, compare, datasets, em
from mixlogit.certificate import certify
from mixlogit.constraints import Restrictions
from mixlogit.em import NewtonStep, expectation_maximisation
from mixlogit.errors import ArgumentError
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.logit import ChoiceTable
from mixlogit.pooled import axes_of_one
from mixlogit.split_merge import splits

NAMES = ["class1.a", "class1.b", "class2.a", "class2.b", "class2._membership.Intercept"]


def constraints_of(common=(), linear=(), signs=None):
    return Restrictions.of(common, linear, signs).on(NAMES, ["a", "b"], 2)


@functools.cache
def survey() -> pd.DataFrame:
    """The first 120 people of the electricity survey."""
    return datasets.load("electricity").data.query("person <= 120")


def model(n_classes: int = 2, **restrictions) -> MixedMultinomialLogit:
    return MixedMultinomialLogit.from_formula(
        ELECTRICITY,
        survey(),
        n_classes,
        situation="situation",
        individual="person",
        alternative="alt",
        **restrictions,
    )


RESTRICTIONS = {
    "common": {"common": ["pf", "tod"]},
    "fixed": {"constraints": "class1.pf = 0"},
    "tied": {"constraints": ["class1.cl = class2.cl", "class1.loc = 2 * class2.wk"]},
    "equal shares": {"constraints": "class2._membership.Intercept = 0"},
    "sign that binds": {"signs": {"loc": "-"}},
    "sign that does not bind": {"signs": {"loc": "+"}},
    "sign of one class": {"signs": {"class2.cl": "+"}},
    "together": {"common": "seas", "constraints": "class1.cl = -0.1", "signs": {"wk": "-"}},
}


@functools.cache
def fit_with(name: str):
    return model(**RESTRICTIONS[name]).fit()


def stated(name: str, names: list[str]) -> list[dict]:
    """The same restrictions written out by hand for scipy."""
    place = {own: i for i, own in enumerate(names)}

    def equal(function):
        return {"type": "eq", "fun": function}

    def at_least_0(function):
        return {"type": "ineq", "fun": function}

    one, two = (lambda x, own=own: x[place[own]] for own in ("class1.pf", "class2.pf"))
    return {
        "common": [
            equal(lambda x: one(x) - two(x)),
            equal(lambda x: x[place["class1.tod"]] - x[place["class2.tod"]]),
        ],
        "fixed": [equal(one)],
        "tied": [
            equal(lambda x: x[place["class1.cl"]] - x[place["class2.cl"]]),
            equal(lambda x: x[place["class1.loc"]] - 2 * x[place["class2.wk"]]),
        ],
        "equal shares": [equal(lambda x: x[-1])],
        "sign that binds": [at_least_0(lambda x, k=k: -x[place[f"class{k}.loc"]]) for k in (1, 2)],
        "sign that does not bind": [
            at_least_0(lambda x, k=k: x[place[f"class{k}.loc"]]) for k in (1, 2)
        ],
        "sign of one class": [at_least_0(lambda x: x[place["class2.cl"]])],
        "together": [
            equal(lambda x: x[place["class1.seas"]] - x[place["class2.seas"]]),
            equal(lambda x: x[place["class1.cl"]] + 0.1),
            *[at_least_0(lambda x, k=k: -x[place[f"class{k}.wk"]]) for k in (1, 2)],
        ],
    }[name]


# -- algebra -----------------------------------------------------------------------------------


def test_full_vectors_satisfy_every_equation():
    constraints = constraints_of("b", ["class1.a = 3", "class2._membership.Intercept = 2*class2.b"])
    phi = np.random.default_rng(0).standard_normal((4, constraints.n_free))
    a1, b1, _, b2, gate = constraints.full(phi).T
    np.testing.assert_array_equal(a1, 3.0)
    np.testing.assert_array_equal(b1, b2)
    np.testing.assert_allclose(gate, 2 * b2, rtol=1e-15)  # one rounding
    assert constraints.n_free == 2


def test_free_parameters_come_back_from_full_vectors():
    constraints = constraints_of(linear=["class1.a + class2.a = 1", "class1.b = 4"])
    phi = np.random.default_rng(1).standard_normal(constraints.n_free)
    np.testing.assert_array_equal(constraints.reduced(constraints.full(phi)), phi)


def test_a_repeated_equation_changes_nothing():
    once = constraints_of("a")
    twice = constraints_of("a", "class2.a = class1.a")
    np.testing.assert_array_equal(once.basis, twice.basis)


def test_derivatives_by_free_parameters_follow_the_chain_rule():
    constraints = constraints_of("a", "class2.b = 3 * class1.b - 1")
    rng = np.random.default_rng(2)
    matrix = rng.standard_normal((5, 5))
    matrix = matrix + matrix.T

    def value(phi):
        x = constraints.full(phi)
        return 0.5 * x @ matrix @ x + x.sum()

    phi = rng.standard_normal(constraints.n_free)
    x = constraints.full(phi)
    # differences of a quadratic are exact but for round-off
    np.testing.assert_allclose(
        constraints.gradient(matrix @ x + 1), oracle.difference_gradient(value, phi), atol=1e-7
    )
    np.testing.assert_allclose(
        constraints.quadratic(matrix), oracle.difference_hessian(value, phi), atol=1e-5
    )


def test_the_nearest_vector_is_nearer_than_any_other_that_meets_the_equations():
    constraints = constraints_of("a", "class2.b = 2 * class1.b + 1")
    rng = np.random.default_rng(3)
    weight = rng.uniform(0.5, 2, 5)
    away = rng.standard_normal(5)
    met, distance = constraints.nearest(away, weight)
    assert constraints.meets(met)
    for _ in range(200):
        other = met + constraints.full(rng.standard_normal(constraints.n_free)) * 0.1
        other = constraints.full(constraints.reduced(other))
        assert (other - away) ** 2 @ weight >= distance


@pytest.mark.parametrize("seed", range(20))
def test_steps_within_signs_meet_the_conditions_of_a_maximum(seed):
    rng = np.random.default_rng(seed)
    constraints = constraints_of("a", signs={"a": "-", "class2.b": "+"})
    root = rng.standard_normal((5, 5))
    information = root @ root.T + 0.1 * np.eye(5)
    score = 3 * rng.standard_normal(5)
    here = constraints.full(rng.uniform(-1, 1, constraints.n_free))
    here = constraints.nearest(here, np.ones(5))[0]
    step = constraints.step(here[None], score[None], information[None])[0]
    phi = constraints.reduced(here + step)
    slope = constraints.gradient(score - information @ step)
    size = np.abs(information).max() * np.abs(step).max()
    inside = (phi > constraints.lower) & (phi < constraints.upper)
    assert constraints.is_inside(here + step)
    # a ridge of 1e-10 of the information, and round-off
    np.testing.assert_allclose(slope[inside], 0, atol=1e-8 * size)
    assert (slope[phi == constraints.lower] <= 1e-8 * size).all()
    assert (slope[phi == constraints.upper] >= -1e-8 * size).all()


# -- the optimum -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RESTRICTIONS)
def test_the_optimum_is_that_of_a_general_solver(name):
    result = fit_with(name)
    own = result.model
    rng = np.random.default_rng(0)
    best = -np.inf
    start = np.asarray(result.params)
    for spread in (0.0, 0.3, 1.0):
        found = optimize.minimize(
            lambda x: -own.loglike(x),
            start + spread * rng.standard_normal(len(start)),
            jac=lambda x: -own.score(x),
            constraints=stated(name, own.param_names),
            method="SLSQP",
            options={"maxiter": 300, "ftol": 1e-10},
        )
        best = max(best, -found.fun)
    assert result.converged
    # SLSQP meets constraints to 1e-8 or so, which at scores of hundreds is worth 1e-6
    assert result.llf == pytest.approx(best, abs=1e-5)
    for constraint in stated(name, own.param_names):
        left = constraint["fun"](np.asarray(result.params))
        assert abs(left) < 1e-12 if constraint["type"] == "eq" else left >= 0


@pytest.mark.parametrize("name", RESTRICTIONS)
def test_errors_are_those_of_the_inverse_numerical_hessian(name):
    result = fit_with(name)
    own, constraints = result.model, result.model.likelihood().constraints
    is_held = np.isin(np.array(own.param_names)[constraints.free], result.at_bound)
    face = constraints.holding(is_held)
    phi = face.reduced(np.asarray(result.params))
    step = 1e-5 * np.maximum(1.0, np.abs(phi))
    hessian = np.empty((face.n_free, face.n_free))
    for j in range(face.n_free):
        away = step[j] * np.eye(face.n_free)[j]
        above, below = (own.score(face.full(phi + side * away)) for side in (1, -1))
        hessian[j] = (above - below) @ face.basis / (2 * step[j])
    expected = face.covariance(np.linalg.inv(-0.5 * (hessian + hessian.T)))
    is_known = ~np.isin(own.param_names, result.at_bound)
    ours = np.asarray(result.cov_params())
    ours_known, expected_known = (m[np.ix_(is_known, is_known)] for m in (ours, expected))
    size = np.sqrt(np.outer(np.diag(expected_known), np.diag(expected_known)))
    # differences of the score are good to about 1e-9, and the inverse loses a digit
    assert (np.abs(ours_known - expected_known) <= 1e-7 * size).all()
    assert np.isnan(ours[~is_known]).all()


def test_a_coefficient_at_its_bound_is_zero_and_pushed_against_it():
    result = fit_with("sign that binds")
    assert result.at_bound == ("class1.loc", "class2.loc")
    names = list(result.params.index)
    score = result.model.score(result.params)
    for name in result.at_bound:
        assert result.params[name] == 0
        assert score[names.index(name)] > 1
        assert np.isnan(result.bse[name])


def test_signs_that_do_not_bind_change_nothing():
    free = model().fit()
    signed = fit_with("sign that does not bind")
    assert signed.at_bound == ()
    np.testing.assert_allclose(signed.params, free.params, rtol=0, atol=1e-7)
    np.testing.assert_allclose(signed.bse, free.bse, rtol=1e-6)


def test_fixed_parameters_have_no_error_and_no_test():
    result = fit_with("fixed")
    assert result.params["class1.pf"] == 0
    assert result.bse["class1.pf"] == 0
    assert np.isnan(result.tvalues["class1.pf"])
    assert np.isnan(result.pvalues["class1.pf"])
    assert result.df_model == len(result.params) - 1


def test_common_coefficients_have_one_value_one_error_and_count_once():
    result = fit_with("common")
    for name in ("pf", "tod"):
        assert result.params[f"class1.{name}"] == result.params[f"class2.{name}"]
        assert result.bse[f"class1.{name}"] == result.bse[f"class2.{name}"]
    assert result.df_model == len(result.params) - 2
    assert result.aic == pytest.approx(-2 * result.llf + 2 * result.df_model, rel=1e-14)


@pytest.mark.parametrize("cov_type", ["opg", "robust"])
def test_errors_from_scores_are_those_of_a_loop_over_individuals(cov_type):
    result = fit_with("together").with_cov(cov_type)
    own, constraints = result.model, result.model.likelihood().constraints
    face = constraints.holding(
        np.isin(np.array(own.param_names)[constraints.free], result.at_bound)
    )
    meat = np.zeros((face.n_free, face.n_free))
    for score in own.score_obs(result.params):
        reduced = face.basis.T @ score
        meat += np.outer(reduced, reduced)
    if cov_type == "opg":
        expected = np.linalg.inv(meat)
    else:
        bread = np.linalg.inv(-face.basis.T @ own.hessian(result.params) @ face.basis)
        expected = bread @ meat @ bread
    is_known = ~np.isin(own.param_names, result.at_bound)
    expected = face.covariance(expected)[np.ix_(is_known, is_known)]
    ours = np.asarray(result.cov_params())[np.ix_(is_known, is_known)]
    # inverses of matrices with condition numbers of 1e4
    np.testing.assert_allclose(ours, expected, rtol=1e-8, atol=1e-14)


def test_common_coefficients_leave_the_order_of_classes_by_share():
    assert fit_with("common").class_shares.is_monotonic_decreasing


@pytest.mark.parametrize("k", [1, 2])
def test_a_constraint_holds_for_the_class_that_it_names(k):
    results = {j: model(constraints=f"class{j}.pf = 0").fit() for j in (1, 2)}
    assert results[k].class_params.loc["pf", f"class{k}"] == 0
    # the two differ by the numbers of the classes alone
    assert results[1].llf == pytest.approx(results[2].llf, abs=1e-8)
    np.testing.assert_allclose(
        results[1].class_params["class1"], results[2].class_params["class2"], atol=1e-6
    )


def test_constraints_that_hold_in_the_data_are_found_again():
    tastes = pd.DataFrame(
        {"a": [2.0, 1.0, -1.0], "b": [-1.0, 1.0, -1.0]}, index=list(simulated.TASTES.index)
    )
    frame = simulated.panel(0, tastes, n_people=400)
    result = MixedMultinomialLogit.from_formula(
        "choice ~ x1 + x2 + x3",
        frame,
        2,
        situation="situation",
        individual="person",
        common=["x2", "x3"],
    ).fit()
    order = np.argsort(-result.class_params.loc["x1"])
    found = result.class_params.iloc[:, order]
    error = np.asarray(result.bse)[:6].reshape(2, 3).T[:, order]
    assert (np.abs(found - tastes.to_numpy()) < 4 * error).all().all()


@pytest.mark.parametrize(
    "restrictions",
    [{"common": "pf", "signs": {"cl": "-"}}, {"constraints": ["class1.pf = 0", "class2.loc = 0"]}],
)
def test_the_search_never_does_worse_than_many_plain_starts(restrictions):
    own = model(3, **restrictions)
    best = max(own.fit(init="random", n_starts=4, rng=seed).llf for seed in range(5))
    assert own.fit().llf > best - 0.01


@pytest.mark.parametrize("name", ["common", "equal shares", "sign that binds", "together"])
def test_em_never_goes_down_and_stays_within_the_constraints(name):
    likelihood = model(**RESTRICTIONS[name]).likelihood()
    rng = np.random.default_rng(5)
    start = Parameters(rng.standard_normal((6, 2, 6)), rng.standard_normal((6, 1, 1)))
    last = np.full(6, -np.inf)
    here = start
    for _ in range(25):
        run = expectation_maximisation(likelihood, here, maxiter=1, tol=0.0, accelerate=False)
        assert (run.value >= last - 1e-9).all()
        assert all(likelihood.constraints.meets(flat) for flat in run.parameters.flat())
        last, here = run.value, run.parameters


def test_steps_of_tied_classes_are_shortened_together():
    likelihood = model(common="pf").likelihood()
    scale = likelihood.data.exog_scale
    far = np.full((1, 2, 6), 8.0) / scale  # choices are all but certain, and Newton steps huge
    here = likelihood.conform(Parameters(far, np.zeros((1, 1, 1))))
    axes = axes_of_one(likelihood)
    at = likelihood.expect(here)
    step = em._plain_step(likelihood, axes, NewtonStep(), here, at)[0]
    moved = likelihood.unpack(step).beta[0]
    assert np.abs(moved).max() == pytest.approx(4.0, rel=1e-12)  # utils
    tastes = axes.tastes(moved)
    assert tastes[0, 0] == pytest.approx(tastes[1, 0], rel=1e-12)


@pytest.mark.parametrize("case", zoo.CASES, ids=lambda case: case.name)
def test_common_coefficients_and_signs_work_in_every_layout(case):
    data = case.model(2).choices
    restrictions = Restrictions.of(data.exog_names[:1], (), {data.exog_names[-1]: "-"})
    likelihood = MixtureLikelihood(ChoiceTable(data), 2, 0.0, restrictions)
    beta, gamma, _ = zoo.random_parameters(case, 2, seed=6)
    stack = likelihood.conform(Parameters(beta[None], gamma[None]))
    run = expectation_maximisation(likelihood, stack, maxiter=5, tol=0.0)
    assert likelihood.constraints.meets(run.parameters[0].flat())
    # the log-likelihood is good to 1e-12 of its size
    assert run.value[0] >= likelihood.expect(stack).llf[0] * (1 + 1e-12)


@pytest.mark.parametrize("method", ["em-newton", "newton"])
def test_a_coefficient_that_starts_at_its_bound_leaves_it_if_that_is_better(method):
    free = model().fit()
    start = free.params.copy()
    start[["class1.loc", "class2.loc"]] = 0.0
    result = model(signs={"loc": "+"}).fit(start, method=method)
    assert result.converged
    assert result.llf == pytest.approx(free.llf, abs=1e-8)


def test_newton_stops_at_the_bound_that_it_meets():
    best = fit_with("sign that binds")
    start = best.params.copy()
    start[["class1.loc", "class2.loc"]] = -0.5
    result = best.model.fit(start, method="newton")
    assert result.converged
    assert result.at_bound == best.at_bound
    assert result.llf == pytest.approx(best.llf, abs=1e-8)


def test_a_bound_that_the_score_pulls_away_from_is_no_maximum():
    held = model(constraints=["class1.loc = 0", "class2.loc = 0"]).fit()
    likelihood = model(signs={"loc": "+"}).likelihood()
    params = np.asarray(held.params)
    certificate = certify(
        likelihood,
        likelihood.unpack(params),
        likelihood.evaluate(params),
        ended="stationary",
        n_finished=1,
        n_agree=1,
    )
    assert certificate.status == "not stationary"


def test_classes_change_places_where_that_meets_the_constraints():
    likelihood = model(constraints="class1.pf = 0").likelihood()
    rng = np.random.default_rng(7)
    beta = rng.standard_normal((1, 2, 6))
    beta[0, 1, 0] = 0.0
    given = Parameters(beta, np.array([[[0.3]]]))
    met = likelihood.conform(given)
    np.testing.assert_allclose(met.beta, beta[:, ::-1], rtol=1e-14)
    np.testing.assert_allclose(met.gamma, -given.gamma, rtol=1e-14)
    kept = likelihood.conform(given, relabel=False)
    np.testing.assert_allclose(kept.beta[0, 1], beta[0, 1], rtol=1e-14)


@pytest.mark.parametrize("price", [0.0, 0.7])
def test_classes_that_meet_the_constraints_equally_well_stay_where_they_are(price):
    likelihood = model(constraints="class1.pf = 0").likelihood()
    beta = np.random.default_rng(7).standard_normal((1, 2, 6))
    beta[..., 0] = price
    met = likelihood.conform(Parameters(beta, np.array([[[0.3]]])))
    np.testing.assert_allclose(met.beta[0, :, 1:], beta[0, :, 1:], rtol=1e-14)
    np.testing.assert_array_equal(met.beta[0, :, 0], [0.0, price])
    nothing = Parameters(np.zeros((1, 2, 6)), np.zeros((1, 1, 1)))  # met to the last bit
    np.testing.assert_array_equal(likelihood.conform(nothing).flat(), 0.0)


def test_every_mixture_of_a_stack_changes_places_as_it_needs():
    """All orders of four classes that four constraints tell apart."""
    equations = [f"class{k}.pf = {k}" for k in (1, 2, 3, 4)]
    likelihood = model(4, constraints=equations).likelihood()
    rng = np.random.default_rng(9)
    orders = np.array(list(itertools.permutations(range(4))))
    sorted_ = Parameters(rng.standard_normal((24, 4, 6)), rng.standard_normal((24, 3, 1)))
    sorted_.beta[:, :, 0] = [1.0, 2.0, 3.0, 4.0]
    mixed = [sorted_[g].reordered(order) for g, order in enumerate(orders)]
    given = Parameters(np.stack([p.beta for p in mixed]), np.stack([p.gamma for p in mixed]))
    met = likelihood.conform(given)
    np.testing.assert_allclose(met.beta, sorted_.beta, rtol=1e-13)
    np.testing.assert_allclose(met.gamma, sorted_.gamma, rtol=0, atol=1e-13)


def test_what_is_moved_is_weighted_by_the_spread_of_the_attributes():
    likelihood = model(constraints="class1.pf = class1.loc").likelihood()
    beta = np.random.default_rng(8).standard_normal((1, 2, 6))
    met = likelihood.conform(Parameters(beta, np.zeros((1, 1, 1))), relabel=False).beta[0]
    price, local = likelihood.data.exog_scale[[0, 2]] ** 2
    expected = (price * beta[0, 0, 0] + local * beta[0, 0, 2]) / (price + local)
    np.testing.assert_allclose(met[0, [0, 2]], expected, rtol=1e-12)
    np.testing.assert_allclose(met[1], beta[0, 1], rtol=1e-12)


def test_classes_are_split_along_attributes_that_are_not_common():
    own = model(common=["pf", "tod"])
    likelihood = own.likelihood()
    parameters = likelihood.unpack(np.asarray(fit_with("common").params))
    apart = splits(likelihood, parameters)
    for k in range(2):
        moved = apart.beta[k, 2] - parameters.beta[k]
        np.testing.assert_array_equal(moved[[0, 4]], 0.0)
        assert np.abs(moved).max() > 0.01


def test_one_class_takes_signs():
    free = electricity_model(1).fit()
    assert free.params["class1.loc"] > 0
    signed = model(1, signs={"loc": "-"}).fit()
    without = MixedMultinomialLogit.from_formula(
        "choice ~ pf + cl + wk + tod + seas",
        survey(),
        1,
        situation="situation",
        individual="person",
    ).fit()
    # held at its bound, the attribute might as well not be there
    assert signed.llf == pytest.approx(without.llf, abs=1e-8)
    np.testing.assert_allclose(
        np.delete(np.asarray(signed.bse), 2), np.asarray(without.bse), rtol=1e-7
    )


@pytest.mark.parametrize("method", ["em-newton", "em", "newton"])
def test_a_fit_may_end_with_every_parameter_at_its_bound(method):
    ids = {"situation": "situation", "individual": "person"}
    free = MixedMultinomialLogit.from_formula("choice ~ pf", survey(), 1, **ids)
    assert free.score([0.0])[0] > 0
    held = MixedMultinomialLogit.from_formula("choice ~ pf", survey(), 1, signs={"pf": "-"}, **ids)
    result = held.fit(method=method)
    assert result.params["class1.pf"] == 0.0
    assert result.llf == pytest.approx(result.llnull, rel=1e-13)  # equal probabilities
    assert result.at_bound == ("class1.pf",)
    assert "At the bound" in result.summary().as_text()


def test_the_same_seed_gives_the_same_bits():
    own = model(2, **RESTRICTIONS["together"])
    np.testing.assert_array_equal(own.fit().params, own.fit().params)


def test_scaling_an_attribute_scales_its_coefficient_alone():
    scaled = survey().assign(pf=survey()["pf"] * 1000)
    result = MixedMultinomialLogit.from_formula(
        ELECTRICITY,
        scaled,
        2,
        situation="situation",
        individual="person",
        alternative="alt",
        common=["pf", "tod"],
    ).fit()
    expected = fit_with("common")
    assert result.llf == pytest.approx(expected.llf, abs=1e-8)
    np.testing.assert_allclose(
        result.class_params.loc["pf"] * 1000, expected.class_params.loc["pf"], rtol=1e-7
    )


# -- results -----------------------------------------------------------------------------------


def test_the_summary_sets_common_coefficients_apart_and_says_what_is_fixed():
    text = str(model(2, common="pf", constraints="class1.cl = -0.1").fit().summary())
    assert "Common to all classes" in text
    assert text.count("\npf ") == 1
    assert "fixed" in text
    assert "Constraints: class1.cl = -0.1." in text


def test_the_summary_says_that_there_is_no_inference_at_a_bound():
    text = " ".join(str(fit_with("sign that binds").summary()).split())
    assert "at bound" in text
    assert "Signs imposed: loc -." in text
    assert "At the bound that their sign sets: class1.loc, class2.loc." in text


def test_a_combination_has_an_error_unless_it_depends_on_a_parameter_without():
    """It was nan wherever any parameter had no error, because 0 times nan is nan."""
    result = fit_with("sign that binds")
    names, cov = list(result.params.index), np.asarray(result.cov_params())
    i, j = names.index("class1.cl"), names.index("class2.cl")
    expected = np.sqrt(cov[i, i] + cov[j, j] - 2 * cov[i, j])
    assert result.t_test("class1.cl = class2.cl").sd.item() == pytest.approx(expected, rel=1e-12)
    chi2 = ((result.params.iloc[i] - result.params.iloc[j]) / expected) ** 2
    found = result.wald_test("class1.cl = class2.cl", scalar=True)
    assert found.statistic == pytest.approx(chi2, rel=1e-10)
    assert np.isnan(result.t_test("class1.cl = class1.loc").sd).all()
    with pytest.raises(ArgumentError, match=r"class1\.loc has no standard error, so there is no"):
        result.wald_test("class1.loc = 0", scalar=True)


def test_comparisons_say_what_is_fixed_and_what_is_at_its_bound():
    text = str(compare([fit_with("fixed"), fit_with("sign that binds")]))
    assert text.count("(fixed)") == 1
    assert text.count("(at bound)") == 2


def test_a_term_stands_for_all_its_columns():
    frame = survey().assign(supplier=survey()["alt"].map({1: "a", 2: "b", 3: "c", 4: "d"}))
    own = MixedMultinomialLogit.from_formula(
        "choice ~ pf + C(supplier)",
        frame,
        2,
        situation="situation",
        individual="person",
        common="C(supplier)",
    )
    assert own.likelihood().constraints.n_free == own.likelihood().n_params - 3


def test_candidates_join_the_search_and_are_moved_to_where_constraints_hold():
    free = model().fit()
    result = model(common="pf").fit(candidates=[free], n_starts=1)
    assert result.llf == pytest.approx(model(common="pf").fit().llf, abs=1e-6)
    assert result.mle_retvals["n_candidates"] == 2


def test_results_with_a_class_less_join_the_search_with_each_class_split():
    fewer = fitted("electricity", 2)
    result = electricity_model(3).fit(candidates=[fewer], n_starts=1)
    assert result.mle_retvals["n_candidates"] == 3
    assert result.llf >= fewer.llf


def test_other_numbers_of_classes_keep_what_does_not_name_a_class():
    three = model(2, common="pf", signs={"cl": "-"}).with_classes(3)
    assert three.n_classes == 3
    assert three.likelihood().constraints.n_free == three.likelihood().n_params - 2


@pytest.mark.parametrize("equation", ["pf = -1", "class1.pf = -1", "2 * class2.pf + 1 = -1"])
def test_an_equation_in_common_coefficients_carries_over_to_any_number_of_classes(equation):
    own = model(common=["pf", "loc"], constraints=equation)
    assert own.fit(n_starts=2).params["class2.pf"] == -1
    for n_classes in (1, 2, 3):
        other = own.with_classes(n_classes)
        params = other.fit(n_starts=2, cov_type="none").params
        named = params[[f"class{k}.pf" for k in range(1, n_classes + 1)]]
        np.testing.assert_array_equal(named, -1.0)
        n_fixed = n_classes + n_classes - 1  # of pf, and of loc but one
        assert other.likelihood().constraints.n_free == len(params) - n_fixed
        assert not other.likelihood().constraints.names_classes


def test_equations_that_also_name_a_class_stay_with_their_number_of_classes():
    own = model(common="pf", constraints=["pf = -1", "class1.loc = class1.pf"])
    with pytest.raises(ArgumentError, match=r"The constraint on 'class1.loc = pf' is for a class"):
        own.with_classes(3)


def test_a_name_that_begins_like_a_common_one_is_another():
    frame = survey().assign(pf2=lambda f: f["pf"] ** 2)
    for equation in ("class1.pf2 = 0", "class1.I(pf ** 2) = 0"):
        formula = "choice ~ pf + cl + " + equation[7:-4]
        own = MixedMultinomialLogit.from_formula(
            formula,
            frame,
            2,
            common="pf",
            constraints=equation,
            situation="situation",
            individual="person",
        )
        assert own.restrictions.linear == (equation,)


def test_a_sign_of_a_common_coefficient_is_of_no_class():
    own = model(common="pf", signs={"class2.pf": "-"})
    assert own.with_classes(3).restrictions.signs == (("pf", "-"),)


# -- messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("restrictions", "message"),
    [
        ({"common": "price"}, "common names 'price', which is no attribute"),
        ({"common": "pff"}, "Did you mean 'pf'"),
        ({"common": 3}, "common must be a string or a sequence of strings, not 3"),
        ({"constraints": [1]}, "constraints must be a string or a sequence of strings"),
        ({"constraints": "class3.pf = 0"}, "'class3.pf' is no parameter"),
        ({"constraints": "class1.pf = = 0"}, "cannot be read"),
        (
            {"constraints": "pf = 1"},
            "'pf' is no parameter. Name the class, as in class1.pf, or pass common='pf' too",
        ),
        ({"constraints": ["class1.pf = 0", "class1.pf = 1"]}, "contradicts those before it"),
        ({"signs": {"pf": "negative"}}, r"signs\['pf'\] is 'negative'; it must be '\+' or '-'"),
        ({"signs": ["pf"]}, "signs must map names"),
        ({"signs": {"prize": "-"}}, "signs names 'prize', which is no attribute"),
        ({"signs": {"class7.pf": "-"}}, "signs names 'class7.pf', which is no parameter"),
        ({"signs": {"pf": "-", "class1.pf": "+"}}, "both '\\+' and '-'"),
        (
            {"signs": {"pf": "+"}, "constraints": "class1.pf = -1"},
            "has the sign '\\+', but the constraints fix it at -1",
        ),
        (
            {"signs": {"class2.pf": "+"}, "constraints": "class1.pf + class2.pf = 1"},
            "ties it to .* by more than a factor",
        ),
        (
            {"signs": {"pf": "+"}, "constraints": "class1.pf = -class2.pf"},
            "no value but 0",
        ),
    ],
)
def test_restrictions_that_make_no_sense_say_why(restrictions, message):
    with pytest.raises(ArgumentError, match=message):
        model(**restrictions)


def test_fixing_everything_is_refused():
    every = [f"{name} = 0" for name in model().param_names]
    with pytest.raises(ArgumentError, match="fix every parameter"):
        model(constraints=every)


def test_a_start_outside_the_constraints_is_refused():
    own = model(common="pf")
    with pytest.raises(ArgumentError, match="start_params does not meet the constraints"):
        own.fit(start_params=np.arange(13.0) / 100)


def test_candidates_beside_a_single_start_are_refused():
    own = model()
    start = np.zeros(13)
    with pytest.raises(ArgumentError, match="beside which no others are tried"):
        own.fit(start, candidates=[start])


def test_a_single_candidate_has_to_be_in_a_list():
    for single in (fit_with("fixed"), np.zeros(13)):
        with pytest.raises(ArgumentError, match="candidates must be a list of starts"):
            model().fit(candidates=single)


@pytest.mark.parametrize(
    ("restrictions", "named"),
    [
        ({"constraints": "class1.pf = 0"}, "class1.pf = 0"),
        ({"signs": {"cl": "-", "class2.pf": "-"}}, "class2.pf"),
    ],
)
def test_constraints_on_a_class_do_not_carry_over_to_other_numbers(restrictions, named):
    own = model(**restrictions)
    assert own.with_classes(2).n_classes == 2
    with pytest.raises(ArgumentError, match=f"The constraint on '{named}' is for a class"):
        own.with_classes(3)
