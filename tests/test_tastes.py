"""What results say about tastes: willingness to pay, individuals, the population."""

from __future__ import annotations

import functools
import pickle
import warnings

import numpy as np
import oracle
import pandas as pd
import pytest
from any_estimates import AnyEstimates
from conftest import ELECTRICITY, electricity_model, fitted
from scipy import stats
from zoo import CASES, Case, case, random_parameters

from mixlogit import MixedMultinomialLogit, datasets
from mixlogit.errors import ArgumentError, MixlogitWarning
from mixlogit.willingness import WillingnessResults

LIMITS = ["[0.025", "0.975]"]
LIMITS_10 = ["[0.05", "0.95]"]


class Estimates(AnyEstimates, WillingnessResults):
    """Estimates that need not be a maximum, with any covariance."""


def random_estimates(data: Case, n_classes: int, seed: int = 0) -> Estimates:
    """Random parameters of modest size, whose errors are about 0.02."""
    params = random_parameters(data, n_classes, seed)[2]
    root = 0.02 * np.random.default_rng(seed).normal(size=(len(params), 2 * len(params)))
    return Estimates(data.model(n_classes), params, root @ root.T / (2 * len(params)))


def split(data: Case, estimates: Estimates, flat: np.ndarray):
    """Tastes and logits, for the plain loops."""
    return oracle.unflatten(flat, estimates.n_classes, data.n_attributes)


def slow_shares(data: Case, gamma: np.ndarray) -> np.ndarray:
    """Mean class probabilities of the individuals, by weight."""
    total = sum(person.total_weight for person in data.problem)
    return sum(
        person.total_weight * np.exp(oracle.log_membership(person.z, gamma)) / total
        for person in data.problem
    )


def slow_wtp(data: Case, estimates: Estimates, flat: np.ndarray) -> np.ndarray:
    """Willingness to pay for the first attribute in units of the second, the population last."""
    beta, gamma = split(data, estimates, flat)
    by_class = [-b[0] / b[1] for b in beta]
    mean = sum(s * w for s, w in zip(slow_shares(data, gamma), by_class, strict=True))
    return np.array([*by_class, mean])


def first_two(estimates: Estimates) -> list[str]:
    """Names of the first attributes."""
    return list(estimates.model.choices.exog_names[:2])


def two_classes(**changes: float) -> Estimates:
    """The electricity survey at tastes for cl against pf; names may be given other values."""
    model = electricity_model(2)
    values = pd.Series(0.1, index=model.param_names)
    values["class1.pf"], values["class2.pf"] = -1.0, -0.5
    for name, value in changes.items():
        values[name.replace("_", ".", 1)] = value
    return Estimates(model, values.to_numpy(), 1e-4 * np.eye(len(values)))


several = pytest.mark.parametrize("data", CASES, ids=lambda one: one.name)


# -- willingness to pay ------------------------------------------------------------------------


def test_wtp_of_a_saturated_logit_is_worked_out_by_hand():
    # counts 50, 20, 80 of a base, one unit of cost and one of quality: log-odds are the tastes
    table = pd.DataFrame({"n": [50, 20, 80], "cost": [0, 1, 0], "quality": [0, 0, 1]})
    result = MixedMultinomialLogit.from_formula("n ~ cost + quality", table, 1).fit()
    cost, quality = np.log(20 / 50), np.log(80 / 50)
    slope = np.array([quality / cost**2, -1 / cost])
    variance = np.array([[1 / 50 + 1 / 20, 1 / 50], [1 / 50, 1 / 50 + 1 / 80]])
    wtp, error = np.log(1.6) / np.log(2.5), np.sqrt(slope @ variance @ slope)
    assert error == pytest.approx(0.2917, abs=5e-5)
    shown = result.wtp("quality", "cost")
    assert list(shown.index) == ["class1", "population"]
    assert list(shown.columns) == ["wtp", "std err", *LIMITS, "note"]
    expected = [wtp, error, wtp - 1.959964 * error, wtp + 1.959964 * error]
    for name in shown.index:
        np.testing.assert_allclose(shown.loc[name].iloc[:4].astype(float), expected, rtol=1e-6)
    assert (shown["note"] == "").all()


@several
@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_wtp_equals_loops_and_its_errors_differences(data, n_classes):
    estimates = random_estimates(data, n_classes)
    shown = estimates.wtp(*first_two(estimates))
    value = slow_wtp(data, estimates, estimates.params)
    np.testing.assert_allclose(shown["wtp"], value, rtol=1e-12)
    gradient = oracle.difference_gradient(
        lambda flat: slow_wtp(data, estimates, flat), estimates.params, step=1e-4
    )
    error = np.sqrt(np.diag(gradient.T @ estimates.covariance @ gradient))
    np.testing.assert_allclose(shown["std err"], error, rtol=1e-6)
    np.testing.assert_allclose(shown["0.975]"], value + stats.norm.ppf(0.975) * error, rtol=1e-6)
    np.testing.assert_allclose(shown["[0.025"], value - stats.norm.ppf(0.975) * error, rtol=1e-6)


@pytest.mark.parametrize("name", ["membership", "sampling weights", "market shares"])
def test_krinsky_robb_limits_are_percentiles_of_a_loop_over_draws(name):
    data = case(name)
    estimates = random_estimates(data, 3)
    shown = estimates.wtp(*first_two(estimates), method="krinsky-robb", alpha=0.1, n_draws=80)
    flat, scale = estimates.params, np.sqrt(np.diag(estimates.covariance))
    value, vector = np.linalg.eigh(estimates.covariance / np.outer(scale, scale))
    root = vector @ np.diag(np.sqrt(value)) @ vector.T
    drawn = []
    for normal in np.random.default_rng(0).standard_normal((80, len(flat))):
        drawn.append(slow_wtp(data, estimates, flat + scale * (root @ normal)))
    sizes = [0.05, 0.25, 0.75, 0.95]
    low, first, third, high = np.percentile(drawn, [100 * size for size in sizes], axis=0)
    np.testing.assert_allclose(shown["[0.05"], low, rtol=1e-9)
    np.testing.assert_allclose(shown["0.95]"], high, rtol=1e-9)
    np.testing.assert_allclose(shown["std err"], (third - first) / 1.3489795, rtol=1e-7)
    np.testing.assert_array_equal(shown["wtp"], estimates.wtp(*first_two(estimates))["wtp"])


@pytest.mark.parametrize("name", ["membership", "sampling weights"])
def test_krinsky_robb_agrees_with_delta_where_estimates_are_precise(name):
    estimates = random_estimates(case(name), 2)
    estimates.covariance = 1e-4 * estimates.covariance
    pair = first_two(estimates)
    delta = estimates.wtp(*pair)
    drawn = estimates.wtp(*pair, method="krinsky-robb", n_draws=40_000)
    error = delta["std err"]
    # Monte Carlo standard errors: of a 2.5% quantile 2.67 / sqrt(n), of a spread that is taken
    # from quartiles 1.17 / sqrt(n), in standard errors of the estimate
    for label in LIMITS:
        assert (abs(drawn[label] - delta[label]) < 4 * 2.67 / 200 * error).all()
    assert (abs(drawn["std err"] - error) < 4 * 1.17 / 200 * error).all()
    assert (drawn[LIMITS] != delta[LIMITS]).all(axis=None)


def test_krinsky_robb_repeats_itself_from_the_same_seed(electricity):
    def shown(rng):
        return electricity.wtp("cl", "pf", method="krinsky-robb", n_draws=500, rng=rng)

    pd.testing.assert_frame_equal(shown(3), shown(np.random.default_rng(3)))
    assert (shown(3)["0.975]"] != shown(4)["0.975]"]).all()


def test_the_same_draws_serve_every_attribute(electricity):
    keywords = {"cost": "pf", "method": "krinsky-robb", "n_draws": 300}
    together = electricity.wtp(["cl", "tod"], **keywords)
    pd.testing.assert_frame_equal(
        together.loc["tod"], electricity.wtp("tod", **keywords), check_names=False
    )


def test_fieller_limits_are_where_the_t_test_stands_at_its_level(electricity):
    shown = electricity.wtp("loc", "pf", method="fieller", alpha=0.1)
    for k in (1, 2, 3):
        for label in ("[0.05", "0.95]"):
            limit = float(shown.loc[f"class{k}", label])
            test = electricity.t_test(f"class{k}.loc + {limit!r} * class{k}.pf = 0")
            assert float(np.squeeze(test.pvalue)) == pytest.approx(0.1, rel=1e-6)
    assert shown.loc["population", LIMITS_10].isna().all()
    assert shown.loc["population", "note"] == "Fieller's set exists by class alone"
    pd.testing.assert_frame_equal(
        shown[["wtp", "std err"]], electricity.wtp("loc", "pf")[["wtp", "std err"]]
    )


def test_several_attributes_stand_below_one_another(electricity):
    shown = electricity.wtp(cost="pf")
    assert shown.index.names == ["attribute", "class"]
    assert list(dict.fromkeys(shown.index.get_level_values(0))) == [
        *("cl", "loc", "wk", "tod", "seas")
    ]
    pd.testing.assert_frame_equal(shown.loc["wk"], electricity.wtp("wk", "pf"), check_names=False)
    pd.testing.assert_frame_equal(electricity.wtp(["wk"], "pf"), shown.loc[["wk"]])


def test_wtp_grows_with_the_unit_of_cost():
    survey = datasets.load("electricity").data
    mills = MixedMultinomialLogit.from_formula(
        ELECTRICITY,
        survey.assign(pf=10 * survey["pf"]),
        2,
        situation="situation",
        individual="person",
        alternative="alt",
    )
    cents = fitted("electricity", 2)
    start = cents.params.copy()
    start[["class1.pf", "class2.pf"]] /= 10
    numbers = ["wtp", "std err", *LIMITS]
    for method in ("delta", "fieller", "krinsky-robb"):
        small = mills.fit(start).wtp(cost="pf", method=method, n_draws=200)[numbers]
        large = cents.wtp(cost="pf", method=method, n_draws=200)[numbers]
        # as close as the two maxima are
        np.testing.assert_allclose(small, 10 * large, rtol=1e-6)


def test_new_labels_of_classes_move_rows_and_leave_the_population(electricity):
    order = np.array([2, 0, 1])
    params = electricity.params.to_numpy()
    likelihood = electricity.model.likelihood()
    relabel = np.array(
        [likelihood.unpack(unit).reordered(order).flat() for unit in np.eye(len(params))]
    )  # labels are changed by a linear map
    moved = Estimates(
        electricity.model,
        likelihood.unpack(params).reordered(order).flat(),
        relabel.T @ electricity.cov_params().to_numpy() @ relabel,
    )
    numbers = ["wtp", "std err", *LIMITS]
    before, after = (each.wtp("cl", "pf")[numbers] for each in (electricity, moved))
    np.testing.assert_allclose(after.iloc[:3], before.iloc[order], rtol=1e-10)
    np.testing.assert_allclose(after.iloc[3], before.iloc[3], rtol=1e-10)
    np.testing.assert_allclose(
        moved.population_params().iloc[:, :6],
        electricity.population_params().iloc[:, :6],
        rtol=1e-10,
    )


# -- why a number is not there -----------------------------------------------------------------


@pytest.mark.parametrize("method", ["delta", "krinsky-robb", "fieller"])
def test_a_cost_of_zero_has_no_wtp_and_says_so(method):
    estimates = two_classes(class2_pf=0.0)
    at = estimates.model.param_names.index("class2.pf")
    estimates.covariance[at, at] = 0.0  # fixed
    shown = estimates.wtp("cl", "pf", method=method, n_draws=100)
    assert shown.loc[["class2", "population"], ["wtp", "std err", *LIMITS]].isna().all(axis=None)
    assert shown.loc["class1", ["wtp", "std err", *LIMITS]].notna().all()
    assert shown.loc["class1", "note"] == ""
    assert shown.loc["class2", "note"] == "class2.pf is 0"
    assert shown.loc["population", "note"].startswith("class2.pf is 0")


@pytest.mark.parametrize("method", ["delta", "krinsky-robb", "fieller"])
@pytest.mark.parametrize("name", ["class1.pf", "class1.cl"])
def test_a_coefficient_without_an_error_leaves_wtp_without_one(method, name):
    estimates = two_classes()
    at = estimates.model.param_names.index(name)
    estimates.covariance[at] = estimates.covariance[:, at] = np.nan
    shown = estimates.wtp("cl", "pf", method=method, n_draws=100)
    assert shown["wtp"].notna().all()
    assert shown.loc[["class1", "population"], ["std err", *LIMITS]].isna().all(axis=None)
    assert shown.loc["class2", ["std err", *LIMITS]].notna().all()
    assert shown.loc["class1", "note"] == f"{name} has no standard error"
    assert shown.loc["class2", "note"] == ""
    assert shown.loc["population", "note"].startswith(f"{name} has no standard error")


def test_the_population_needs_errors_of_the_membership():
    estimates = two_classes()
    estimates.covariance[-1] = estimates.covariance[:, -1] = np.nan
    for method in ("delta", "krinsky-robb"):
        shown = estimates.wtp("cl", "pf", method=method, n_draws=100)
        assert shown.loc[["class1", "class2"], ["std err", *LIMITS]].notna().all(axis=None)
        assert shown.loc["population", ["std err", *LIMITS]].isna().all()
        assert shown.loc["population", "note"] == (
            "class2._membership.Intercept has no standard error"
        )


def test_a_fixed_cost_other_than_zero_leaves_the_error_of_the_attribute():
    estimates = two_classes(class1_pf=-2.0)
    at = estimates.model.param_names.index("class1.pf")
    estimates.covariance[at, at] = 0.0
    for method in ("delta", "fieller"):
        row = estimates.wtp("cl", "pf", method=method).loc["class1"]
        assert row["wtp"] == 0.1 / 2
        assert row["std err"] == pytest.approx(0.01 / 2, rel=1e-12)
        assert row["0.975]"] == pytest.approx(0.05 + 1.959964 * 0.005, rel=1e-6)
        assert row["note"] == ""


def test_a_cost_that_may_be_zero_is_pointed_out():
    estimates = two_classes(class2_pf=-0.015)  # 1.5 standard errors, p = 0.134
    doubt = "class2.pf is not significantly different from 0 (p = 0.13)"
    delta = estimates.wtp("cl", "pf")
    assert list(delta["note"]) == ["", doubt, doubt]
    assert (estimates.wtp("cl", "pf", alpha=0.2)["note"] == "").all()
    drawn = estimates.wtp("cl", "pf", method="krinsky-robb", n_draws=20_000)
    share = float(drawn.loc["class2", "note"].split("has the other sign in ")[1].split("%")[0])
    # Monte Carlo standard error of a share of 6.7% of 20,000 draws: 0.18%
    assert share == pytest.approx(100 * stats.norm.cdf(-1.5), abs=4 * 0.18)
    assert drawn.loc["population", "note"] == drawn.loc["class2", "note"]
    assert drawn.loc["class1", "note"] == ""
    fieller = estimates.wtp("cl", "pf", method="fieller").loc["class2"]
    assert (fieller["[0.025"], fieller["0.975]"]) == (-np.inf, np.inf)
    # the roots of (0.1 − 0.015 w)² = 1.96² × 1e-4 × (1 + w²), by hand: −9.42 ± 12.22
    assert fieller["note"].endswith("; the set is unbounded: all but -21.64 to 2.792")
    everything = two_classes(class2_pf=-0.015, class2_cl=0.01).wtp("cl", "pf", method="fieller")
    assert everything.loc["class2", "note"].endswith("; the set is unbounded")


def test_a_cost_that_is_liked_is_pointed_out():
    shown = two_classes(class1_pf=0.8).wtp("cl", "pf")
    assert list(shown["note"]) == ["class1.pf is positive", "", "class1.pf is positive"]
    assert shown.loc["class1", "wtp"] == pytest.approx(-0.1 / 0.8, rel=1e-15)


def test_wtp_refuses_what_it_cannot_value(electricity):
    with pytest.raises(ArgumentError, match=r"cost is missing\. Name the attribute.*: pf, cl, loc"):
        electricity.wtp("cl")
    with pytest.raises(ArgumentError, match=r"cost='PF' is not an attribute.*Did you mean 'pf'\?"):
        electricity.wtp("cl", "PF")
    with pytest.raises(ArgumentError, match=r"attribute='todd' is not .* Did you mean 'tod'\?"):
        electricity.wtp(["cl", "todd"], "pf")
    with pytest.raises(ArgumentError, match="'pf' is the cost and an attribute to value"):
        electricity.wtp("pf", "pf")
    with pytest.raises(ArgumentError, match="attribute 'cl' is named twice"):
        electricity.wtp(["cl", "tod", "cl"], "pf")
    with pytest.raises(ArgumentError, match="Name one at least, besides the cost 'pf'"):
        electricity.wtp([], "pf")
    with pytest.raises(ArgumentError, match="method='bootstrap' is not one of delta, krinsky-robb"):
        electricity.wtp("cl", "pf", method="bootstrap")
    for alpha in (0, 1, 5):
        with pytest.raises(ArgumentError, match="alpha must lie between 0 and 1"):
            electricity.wtp("cl", "pf", alpha=alpha)
    for n_draws in (39, 1e4, True, None):
        with pytest.raises(ArgumentError, match=f"n_draws={n_draws!r} must be .* at least 40"):
            electricity.wtp("cl", "pf", method="krinsky-robb", n_draws=n_draws)


# -- individuals -------------------------------------------------------------------------------


@several
def test_tastes_of_individuals_equal_a_loop(data):
    estimates = random_estimates(data, 3)
    shown = estimates.individual_params()
    beta, gamma = split(data, estimates, estimates.params)
    names = list(estimates.model.choices.exog_names)
    assert list(shown.columns) == [("mean", a) for a in names] + [("std", a) for a in names]
    assert shown.index.equals(estimates.posterior.index)
    for i, person in enumerate(data.problem):
        r = oracle.posterior_of(person, beta, gamma)
        mean = sum(r[k] * beta[k] for k in range(3))
        variance = sum(r[k] * (beta[k] - mean) ** 2 for k in range(3))
        np.testing.assert_allclose(shown["mean"].iloc[i], mean, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(shown["std"].iloc[i] ** 2, variance, rtol=1e-9, atol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixlogitWarning)  # some of these costs are liked
        wtp = estimates.individual_wtp(*first_two(estimates))
    assert wtp.name == names[0]
    expected = oracle.posterior(data.problem, beta, gamma) @ (-beta[:, 0] / beta[:, 1])
    np.testing.assert_allclose(wtp, expected, rtol=1e-9, atol=1e-12)


@functools.cache
def weighted_fit():
    """A fit with sampling weights, at its maximum."""
    data = case("sampling weights")
    return data, data.model(2).fit(rng=1)


def test_individuals_average_to_the_population_at_the_maximum(electricity):
    # the score of the membership logits: shares are the mean posterior
    np.testing.assert_allclose(
        electricity.individual_params()["mean"].mean(),
        electricity.population_params()["mean"],
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        electricity.individual_wtp(None, "pf").mean(),
        electricity.wtp(cost="pf").xs("population", level="class")["wtp"],
        rtol=1e-9,
    )


def test_weighted_individuals_average_to_the_population_at_the_maximum():
    data, result = weighted_fit()
    weight = np.array([person.weight for person in data.problem])
    own = result.individual_params()["mean"]
    mean = weight @ own.to_numpy() / weight.sum()
    np.testing.assert_allclose(result.population_params()["mean"], mean, rtol=1e-7)
    assert (abs(own.mean() - mean) > 1e-3).all()  # weights matter here


def test_several_attributes_are_columns_of_individual_wtp(electricity):
    table = electricity.individual_wtp(["cl", "tod"], "pf")
    assert list(table.columns) == ["cl", "tod"]
    pd.testing.assert_series_equal(table["tod"], electricity.individual_wtp("tod", "pf"))


def test_individual_wtp_refuses_a_class_without_cost():
    with pytest.raises(ArgumentError, match=r"class2\.pf is 0, so there is no willingness to pay"):
        two_classes(class2_pf=0.0).individual_wtp("cl", "pf")
    with pytest.raises(ArgumentError, match=r"class1\.pf, class2\.pf are 0, so"):
        two_classes(class1_pf=0.0, class2_pf=0.0).individual_wtp("cl", "pf")


# -- classes -----------------------------------------------------------------------------------


@several
def test_classification_counts_individuals_of_the_modal_class(data):
    estimates = random_estimates(data, 3, seed=4)
    shown = estimates.classification_table()
    assert list(shown.columns) == ["individuals", "share", "class1", "class2", "class3"]
    beta, gamma = split(data, estimates, estimates.params)
    number, total = np.zeros(3), np.zeros((3, 3))
    for person in data.problem:
        r = oracle.posterior_of(person, beta, gamma)
        modal = max(range(3), key=lambda k: r[k])
        number[modal] += person.frequency
        total[modal] += person.frequency * r
    np.testing.assert_array_equal(shown["individuals"], number)
    np.testing.assert_allclose(shown["share"], number / number.sum(), rtol=1e-13)
    for k in range(3):
        expected = total[k] / number[k] if number[k] else np.full(3, np.nan)
        np.testing.assert_allclose(shown.iloc[k, 2:].astype(float), expected, rtol=1e-10)


def test_equal_probabilities_go_to_the_first_class():
    # two classes with the same tastes and shares: nobody is left for the second
    estimates = two_classes(class2_pf=-1.0)
    estimates = Estimates(
        estimates.model,
        np.append(np.tile(estimates.params[:6], 2), 0.0),
        estimates.covariance,
    )
    shown = estimates.classification_table()
    assert list(shown["individuals"]) == [361, 0]
    np.testing.assert_allclose(shown.loc["class1", ["share", "class1", "class2"]], [1, 0.5, 0.5])
    assert shown.loc["class2", "share"] == 0
    assert shown.loc["class2", ["class1", "class2"]].isna().all()


# -- the population ----------------------------------------------------------------------------


@several
@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_population_tastes_equal_loops_and_their_errors_differences(data, n_classes):
    estimates = random_estimates(data, n_classes)
    shown = estimates.population_params(alpha=0.1)
    assert list(shown.columns) == [
        *("mean", "std err", "[0.05", "0.95]", "std", "std err of std", "note")
    ]

    def moments(flat):
        beta, gamma = split(data, estimates, flat)
        shares = slow_shares(data, gamma)
        mean = sum(s * b for s, b in zip(shares, beta, strict=True))
        cov = sum(s * np.outer(b - mean, b - mean) for s, b in zip(shares, beta, strict=True))
        return mean, cov

    def errors(function):
        gradient = oracle.difference_gradient(function, estimates.params)
        return np.sqrt(np.diag(gradient.T @ estimates.covariance @ gradient))

    mean, cov = moments(estimates.params)
    error = errors(lambda flat: moments(flat)[0])
    np.testing.assert_allclose(shown["mean"], mean, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(shown["std err"], error, rtol=1e-6)
    np.testing.assert_allclose(shown["0.95]"] - mean, stats.norm.ppf(0.95) * error, rtol=1e-6)
    np.testing.assert_allclose(mean - shown["[0.05"], stats.norm.ppf(0.95) * error, rtol=1e-6)
    np.testing.assert_allclose(estimates.population_cov(), cov, rtol=1e-11, atol=1e-14)
    assert list(estimates.population_cov().columns) == list(shown.index)
    np.testing.assert_allclose(shown["std"], np.sqrt(np.diag(cov)), rtol=1e-12, atol=1e-16)
    if n_classes == 1:
        assert (shown["std"] == 0).all()
        assert shown["std err of std"].isna().all()
        assert (shown["note"] == "the taste is the same in all classes").all()
    else:
        spread = errors(lambda flat: np.sqrt(np.diag(moments(flat)[1])))
        np.testing.assert_allclose(shown["std err of std"], spread, rtol=1e-6)
        assert (shown["note"] == "").all()


def test_a_population_mean_without_an_error_says_why():
    estimates = two_classes()
    names = estimates.model.param_names
    at = [names.index(name) for name in ("class1.tod", "class2.tod")]
    estimates.covariance[at] = estimates.covariance[:, at] = np.nan
    shown = estimates.population_params()
    assert shown.loc["tod", ["std err", *LIMITS]].isna().all()
    assert shown.loc["tod", "mean"] == pytest.approx(0.1, rel=1e-13)
    assert shown.loc["tod", "note"] == (
        "class1.tod, class2.tod have no standard error; the taste is the same in all classes"
    )
    assert shown.loc["pf", ["std err", "std err of std", *LIMITS]].notna().all()
    assert shown.loc["pf", "note"] == ""


# -- storage -----------------------------------------------------------------------------------


def test_pickles_leave_out_what_can_be_computed_again(electricity):
    shown = electricity.wtp("cl", "pf")
    electricity.individual_params()
    again = pickle.loads(pickle.dumps(electricity))
    kept = vars(electricity._results)
    assert {"_posterior", "_prior", "_shares", "_share_slope"} <= set(kept)
    assert not {"_posterior", "_prior", "_shares", "_share_slope"} & set(vars(again._results))
    pd.testing.assert_frame_equal(again.wtp("cl", "pf"), shown)
