"""Products with the Hessian against the Hessian; fits that use them against those that do not."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import oracle
import pandas as pd
import pytest
import zoo
from conftest import electricity_model, fitted

import mixlogit.blocks
from mixlogit import MixedMultinomialLogit, curvature, estimation
from mixlogit.attributes import StoredRows
from mixlogit.certificate import certify
from mixlogit.curvature import Point, evaluate_wide, hessian_products, smallest_eigenvalue
from mixlogit.errors import InterruptWarning
from mixlogit.likelihood import Evaluation
from mixlogit.newton import conjugate_gradients, maximise, whitener

PENALTY = 0.7


@pytest.fixture(params=zoo.CASES, ids=lambda case: case.name)
def case(request):
    return request.param


def place(case, n_classes, seed=0):
    """A likelihood and a point."""
    flat = zoo.random_parameters(case, n_classes, seed)[2]
    return case.model(n_classes).likelihood(PENALTY), flat


def vectors(n, size):
    return np.random.default_rng(7).standard_normal((n, size))


def assert_near(found, expected, tolerance):
    """Equal to a tolerance relative to the largest entry."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * max(1.0, np.abs(expected).max())


# -- products --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_products_are_those_of_the_hessian(case, n_classes):
    likelihood, flat = place(case, n_classes)
    along = vectors(4, len(flat))
    expected = along @ likelihood.evaluate(flat).hessian
    assert_near(hessian_products(likelihood, flat, along), expected, 1e-12)  # other sums


def test_products_agree_with_the_loop(case):
    _, flat = place(case, 2)
    beta, gamma, _ = zoo.random_parameters(case, 2, 0)
    along = vectors(2, len(flat))
    expected = along @ oracle.hessian(case.problem, beta, gamma)
    found = hessian_products(case.model(2).likelihood(), flat, along)
    assert_near(found, expected, 1e-10)


def test_products_agree_with_differences_of_the_score(case):
    likelihood, flat = place(case, 2)
    scale = likelihood.data.exog_scale
    unit = np.append(np.tile(1 / scale, 2), np.ones(likelihood.membership.z.shape[1]))
    along = unit * vectors(1, len(flat))[0]
    step = 1e-5
    ahead, behind = (likelihood.evaluate(flat + h * along).score for h in (step, -step))
    expected = unit * (ahead - behind) / (2 * step)
    found = unit * hessian_products(likelihood, flat, along[None])[0]
    assert_near(found, expected, 1e-6)


def test_blocks_of_any_layout_give_the_same_products(case, monkeypatch):
    likelihood, flat = place(case, 2)
    along = vectors(3, len(flat))
    expected = along @ likelihood.evaluate(flat).hessian
    for name, value in (("_MIN_ROWS", 3), ("_MAX_ROWS", 3), ("_KEEP_BYTES", 0)):
        monkeypatch.setattr(mixlogit.blocks, name, value)
    for by_slots, wide, tame in itertools.product((0.0, 1e9), (0, 1 << 30), (0.0, 30.0)):
        monkeypatch.setattr(mixlogit.blocks, "_MEAN_SLOTS", by_slots)
        monkeypatch.setattr(mixlogit.blocks, "_MANY_ATTRIBUTES", wide)
        monkeypatch.setattr(mixlogit.blocks, "_TAME", tame)
        found = hessian_products(case.model(2).likelihood(PENALTY), flat, along)
        assert_near(found, expected, 1e-11)


def test_wide_tables_have_the_derivatives_of_the_loop(case, monkeypatch):
    beta, gamma, flat = zoo.random_parameters(case, 2, seed=1)
    monkeypatch.setattr(mixlogit.blocks, "_MANY_ATTRIBUTES", 0)  # every table is a wide one
    for by_slots in (0.0, 1e9):
        monkeypatch.setattr(mixlogit.blocks, "_MEAN_SLOTS", by_slots)
        model = case.model(2)
        assert_near(model.score(flat), oracle.score(case.problem, beta, gamma), 1e-11)
        assert_near(model.hessian(flat), oracle.hessian(case.problem, beta, gamma), 1e-10)


@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_value_score_and_complete_information_are_those_of_the_matrix_path(case, n_classes):
    likelihood, flat = place(case, n_classes)
    wide, dense = evaluate_wide(likelihood, flat), likelihood.evaluate(flat)
    assert wide.value == pytest.approx(dense.value, rel=1e-12)
    assert wide.llf == pytest.approx(dense.llf, rel=1e-12)
    assert_near(wide.score, dense.score, 1e-11)
    assert_near(wide.mass, dense.mass, 1e-11)
    assert_near(wide.diagonal(), np.diag(dense.hessian), 1e-11)
    n_attributes = likelihood.data.n_attributes
    ends = [k * n_attributes for k in range(n_classes + 1)]
    ends += [len(flat)] if n_classes > 1 else []
    for start, stop in itertools.pairwise(ends):
        block = np.arange(start, stop)
        expected = dense.complete_information[start:stop, start:stop]
        assert_near(wide.complete_information(block), expected, 1e-11)


def test_complete_information_is_solved_for_class_by_class(case):
    likelihood, flat = place(case, 3)
    wide, dense = evaluate_wide(likelihood, flat), likelihood.evaluate(flat)
    scale = np.append(np.tile(likelihood.data.exog_scale, 3), np.ones(len(wide.gate_information)))
    known = vectors(2, len(flat)) / scale
    found = wide.solve(known @ dense.complete_information)
    assert_near(found * scale, known * scale, 1e-7)  # condition numbers up to 1e8


def test_tables_in_files_have_the_products_of_those_in_memory(tmp_path):
    rng = np.random.default_rng(5)
    exog = rng.standard_normal((90, 50)).astype(np.float32)
    np.save(tmp_path / "exog.npy", exog)
    counts = rng.integers(1, 9, 90)
    in_file = MixedMultinomialLogit(counts, np.load(tmp_path / "exog.npy", mmap_mode="r"), 2)
    in_memory = MixedMultinomialLogit(counts, exog.astype(np.float64), 2)
    assert isinstance(in_file.choices.exog, StoredRows)
    flat = 0.1 * rng.standard_normal(in_memory.likelihood().n_params)
    along = vectors(3, len(flat))
    expected = hessian_products(in_memory.likelihood(), flat, along)
    found = hessian_products(in_file.likelihood(), flat, along)
    np.testing.assert_array_equal(found, expected)


# -- steps and eigenvalues -------------------------------------------------------------------------


def quadratic(information, score, preconditioner=None):
    """g'p − p'Ip / 2 around zero, with products."""
    inverse = np.eye(len(score)) if preconditioner is None else preconditioner
    return SimpleNamespace(
        value=0.0,
        score=score,
        product=lambda v: -information @ v,
        solve=lambda v: inverse @ v,
    )


def definite(size, seed=0):
    root = np.random.default_rng(seed).standard_normal((size, size))
    return root @ root.T + np.eye(size)


@pytest.mark.parametrize("scale", [1e-1, 1e-2, 1e-4, 1e-6])
def test_a_free_step_is_newtons_the_more_exactly_the_smaller_the_score(scale):
    information, score = definite(8), vectors(1, 8)[0] * scale
    newton = np.linalg.solve(information, score)
    for inverse in (np.eye(8), np.linalg.inv(information + 0.1 * np.eye(8))):
        move = conjugate_gradients(np.zeros(8), quadratic(information, score, inverse), 1e3, 0.0)
        assert move.is_newton
        squared = score @ inverse @ score
        error = move.step - newton
        # convergence of the second order, until no step is called for; the information is at
        # least one, and at most 1.1 times the inverse of the preconditioner
        assert error @ information @ error <= 1.1 * max(squared**2, 1e-16)
        assert move.promised == pytest.approx(0.5 * score @ newton, abs=max(squared**2, 1e-16))


def test_a_score_of_no_length_calls_for_no_step():
    score = np.full(4, 1e-9)
    move = conjugate_gradients(np.zeros(4), quadratic(definite(4), score), 1e3, 0.0)
    assert (move.promised, move.is_newton) == (0.0, True)
    np.testing.assert_array_equal(move.step, 0.0)


@pytest.mark.parametrize("radius", [1e-3, 0.1, 0.5])
def test_a_step_ends_where_it_leaves_the_region(radius):
    information, score = definite(8), vectors(1, 8)[0] * 10
    metric = np.diag(np.arange(1.0, 9))
    at = quadratic(information, score, np.linalg.inv(metric))
    move = conjugate_gradients(np.zeros(8), at, radius, 0.0)
    assert not move.is_newton
    length = np.sqrt(move.step @ metric @ move.step)
    assert length == pytest.approx(radius, rel=1e-12)
    assert move.length == pytest.approx(radius, rel=1e-12)
    model = score @ move.step - 0.5 * move.step @ information @ move.step
    assert move.promised == pytest.approx(model, rel=1e-12)
    # no worse than the best step along the preconditioned slope, within the region
    slope = np.linalg.solve(metric, score)
    slope *= radius / np.sqrt(slope @ metric @ slope)
    share = min(1.0, (score @ slope) / (slope @ information @ slope))
    cauchy = share * (score @ slope) - 0.5 * share**2 * slope @ information @ slope
    assert move.promised >= cauchy * (1 - 1e-12)


def test_a_convex_direction_is_followed_to_the_edge():
    information = np.diag([2.0, -1.0, 3.0])
    at = quadratic(information, np.array([0.1, 0.2, 0.1]))
    move = conjugate_gradients(np.zeros(3), at, 2.0, 0.0)
    assert not move.is_newton
    assert np.linalg.norm(move.step) == pytest.approx(2.0, rel=1e-12)
    assert move.promised > 0
    free = conjugate_gradients(np.zeros(3), at, np.inf, 0.0)
    assert (free.promised, free.is_newton) == (np.inf, False)


def test_a_point_without_slope_stays():
    move = conjugate_gradients(np.zeros(3), quadratic(np.eye(3), np.zeros(3)), 1.0, 0.0)
    np.testing.assert_array_equal(move.step, 0.0)
    assert move.promised == 0.0


@pytest.mark.parametrize("size", [1, 2, 5, 60])
def test_the_smallest_eigenvalue_is_found(size):
    matrix = definite(size, seed=size) - 2 * np.eye(size)
    value, vector = smallest_eigenvalue(lambda v: matrix @ v, size)
    exact, basis = np.linalg.eigh(matrix)
    assert value == pytest.approx(exact[0], rel=1e-5)  # the square of the residual
    assert abs(vector @ basis[:, 0]) == pytest.approx(1.0, abs=1e-5)


def test_an_eigenvalue_that_is_not_found_is_never_too_large(monkeypatch):
    monkeypatch.setattr(curvature, "_MOST_STEPS", 4)
    matrix = np.diag(np.linspace(0.1, 1.0, 200))
    value, _ = smallest_eigenvalue(lambda v: matrix @ v, 200)
    assert value < 0.2  # there is an eigenvalue within the residual of the estimate
    exact = np.linspace(0.1, 1.0, 200)
    assert exact.min() - value < 0.5


def test_a_whitened_matrix_is_one_where_it_is_not_zero():
    whole = definite(6)
    matrix = np.zeros((8, 8))
    matrix[:6, :6] = whole
    whiten, null = whitener(matrix, np.ones(8))
    np.testing.assert_allclose(whiten.T @ matrix @ whiten, np.eye(6), atol=1e-12)
    np.testing.assert_allclose(matrix @ null, 0.0, atol=1e-12)
    assert null.shape == (8, 2)


# -- certificates and fits -------------------------------------------------------------------------


@pytest.mark.parametrize("survey", ["electricity", "swissmetro"])
@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_certificates_agree_with_those_of_the_matrix(survey, n_classes):
    fit = fitted(survey, n_classes)._results
    likelihood, flat = fit._likelihood, fit._parameters.flat()
    keywords = {"ended": "stationary", "n_finished": 1, "n_agree": 1}
    dense = certify(likelihood, fit._parameters, likelihood.evaluate(flat), **keywords)
    wide = certify(likelihood, fit._parameters, evaluate_wide(likelihood, flat), **keywords)
    assert (wide.status, wide.diverging) == (dense.status, dense.diverging) == ("converged", ())
    assert wide.em_rate == pytest.approx(dense.em_rate, abs=1e-5)
    assert wide.smallest_eigenvalue == pytest.approx(dense.smallest_eigenvalue, rel=1e-3)
    assert wide.condition_number == pytest.approx(dense.condition_number, rel=1e-2)
    assert wide.decrement < 1e-15


def test_two_equal_classes_are_a_saddle_by_products_too():
    likelihood = electricity_model(2).likelihood()
    one = likelihood.with_classes(1)
    pooled = maximise(one.evaluate, np.zeros(one.n_params)).x
    flat = np.concatenate([pooled, pooled, [0.3]])
    parameters = likelihood.unpack(flat)
    keywords = {"ended": "stationary", "n_finished": 1, "n_agree": 1}
    dense = certify(likelihood, parameters, likelihood.evaluate(flat), **keywords)
    wide = certify(likelihood, parameters, evaluate_wide(likelihood, flat), **keywords)
    assert wide.status == dense.status == "saddle"
    assert wide.message == dense.message
    assert np.isnan(wide.decrement)
    assert wide.condition_number == np.inf


def test_an_attribute_that_a_class_never_meets_is_seen_by_products_too():
    rng = np.random.default_rng(4)
    own = np.repeat(np.arange(2), 30)
    x = rng.standard_normal((60, 6, 3, 2))
    x[own == 0, ..., 1] = 0.0
    chosen = (x @ [1.0, 0.5] * np.where(own == 0, 9.0, -9.0)[:, None, None]).argmax(axis=-1)
    person, situation, alternative = (index.ravel() for index in np.indices((60, 6, 3)))
    frame = pd.DataFrame(x.reshape(-1, 2), columns=["a", "b"])
    frame["choice"] = (alternative == chosen[person, situation]).astype(int)
    model = MixedMultinomialLogit.from_formula(
        "choice ~ a + b",
        frame.assign(person=person, situation=6 * person + situation),
        2,
        situation="situation",
        individual="person",
    )
    likelihood, flat = model.likelihood(), np.array([9.0, 4.0, -9.0, -4.5, 0.0])
    keywords = {"ended": "stationary", "n_finished": 1, "n_agree": 1}
    parameters = likelihood.unpack(flat)
    wide = certify(likelihood, parameters, evaluate_wide(likelihood, flat), **keywords)
    dense = certify(likelihood, parameters, likelihood.evaluate(flat), **keywords)
    assert wide.unmet == dense.unmet == ("class1.b",)


def test_separation_is_seen_by_products_too():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((200, 3, 2))
    chosen = x[..., 0].argmax(axis=1)  # the first attribute alone decides
    frame = pd.DataFrame(x.reshape(-1, 2), columns=["a", "b"])
    frame["choice"] = (np.arange(3) == chosen[:, None]).astype(int).ravel()
    frame["task"] = np.repeat(np.arange(200), 3)
    model = MixedMultinomialLogit.from_formula("choice ~ a + b", frame, 1, situation="task")
    likelihood = model.likelihood()
    flat = maximise(likelihood.evaluate, np.zeros(2)).x  # where no step promises anything
    keywords = {"ended": "stationary", "n_finished": 1, "n_agree": 1}
    parameters = likelihood.unpack(flat)
    wide = certify(likelihood, parameters, evaluate_wide(likelihood, flat), **keywords)
    dense = certify(likelihood, parameters, likelihood.evaluate(flat), **keywords)
    assert (wide.status, wide.message) == (dense.status, dense.message)
    assert wide.status == "separation"


def test_a_near_point_lends_its_complete_information():
    likelihood = electricity_model(2).likelihood()
    flat = fitted("electricity", 2)._results._parameters.flat()
    there = evaluate_wide(likelihood, flat)
    near = evaluate_wide(likelihood, flat * (1 + 1e-4), there)
    far = evaluate_wide(likelihood, flat * 1.5, there)
    assert near.near is there
    assert far.near is None  # the log-likelihood is lower by more than one
    along = vectors(1, len(flat))[0]
    np.testing.assert_array_equal(near.solve(along), there.solve(along))
    own = evaluate_wide(likelihood, flat * 1.5)
    np.testing.assert_array_equal(far.solve(along), own.solve(along))


@pytest.mark.parametrize("method", ["em-newton", "newton", "em"])
def test_fits_by_products_end_where_fits_by_the_matrix_do(method, monkeypatch):
    expected = electricity_model(3).fit(method=method)
    monkeypatch.setattr(estimation, "_MANY", 0)
    found = electricity_model(3).fit(method=method)
    assert found.llf == pytest.approx(expected.llf, abs=1e-8)
    assert found.mle_retvals["status"] == expected.mle_retvals["status"]
    assert isinstance(found._results._fit.evaluation, Evaluation)
    error = expected.bse.to_numpy()
    apart = (found.params - expected.params).to_numpy() / error
    assert np.abs(apart).max() < 1e-5  # Newton ends far below a standard error
    np.testing.assert_allclose(found.bse, error, rtol=1e-5)


def test_fits_without_standard_errors_say_so(monkeypatch):
    expected = fitted("electricity", 3)
    for many in (0, 1 << 30):
        monkeypatch.setattr(estimation, "_MANY", many)
        found = electricity_model(3).fit(cov_type="none")
        assert found.converged
        assert found.llf == pytest.approx(expected.llf, abs=1e-8)
        assert found.bse.isna().all()
        assert found.cov_params().isna().all().all()
        assert found.conf_int().isna().all().all()
        evaluation = found._results._fit.evaluation
        assert isinstance(evaluation, Evaluation if many else Point)
        # parameters are as near as Newton's last step
        np.testing.assert_allclose(found.posterior, expected.posterior, rtol=0, atol=1e-7)
        text = str(found.summary())
        assert "Standard errors were not asked for; with_cov() gives them." in text
        assert "std err" not in text
        assert "P>|z|" not in text
        assert f"{found.params.iloc[0]:.4f}" in text
        for cov_type in ("nonrobust", "robust"):
            errors = found._results.with_cov(cov_type).bse
            np.testing.assert_allclose(errors, expected._results.with_cov(cov_type).bse, rtol=1e-5)


@pytest.mark.parametrize("cov_type", ["nonrobust", "none"])
def test_fits_by_products_keep_the_best_when_they_are_interrupted(cov_type, monkeypatch):
    monkeypatch.setattr(estimation, "_MANY", 0)
    states = []
    electricity_model(3).fit(callback=states.append, cov_type=cov_type)
    first_of_newton = 1 + [state.phase for state in states].index("newton")

    def stop(state):
        if state.iteration == when:
            raise KeyboardInterrupt

    for when in (30, first_of_newton, len(states)):
        with pytest.warns(InterruptWarning, match="The fit was interrupted"):
            found = electricity_model(3).fit(callback=stop, cov_type=cov_type)
        # sums in another order
        assert found.llf == pytest.approx(states[when - 1].llf, rel=1e-12)
        score = found.model.score(found.params)
        np.testing.assert_allclose(found.mle_retvals["score"], score, rtol=1e-9, atol=1e-6)
        assert found.bse.isna().all() == (cov_type == "none")


def test_what_follows_from_estimates_without_errors_has_none():
    found = electricity_model(2).fit(cov_type="none")
    assert found.class_share_table()["std err"].isna().all()
    assert found.wtp("cl", "pf")["std err"].isna().all()
    assert np.isnan(found.t_test("class1.pf = 0").pvalue)
    expected = fitted("electricity", 2).predict()
    np.testing.assert_allclose(found.predict(), expected, atol=1e-8)
