"""The logit of constants alone, against formulas, loops of Newton's kind and published numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import zoo
from scipy.optimize import minimize

from mixlogit import MixedMultinomialLogit, datasets, read_results
from mixlogit.constants import constants_log_likelihood

IDS = {"situation": "situation", "individual": "person", "alternative": "alt"}


def slow_maximum(problem: pd.DataFrame, weight: np.ndarray) -> float:
    """Maximum over the constants of a table of rows, by a general optimiser on plain loops."""
    names = sorted(problem["alt"].unique())
    sets = [
        ([names.index(a) for a in rows["alt"]], rows["choice"].to_numpy(), weight[i])
        for i, (_, rows) in enumerate(problem.groupby(["person", "situation"]))
    ]

    def loss(free):
        constants = np.append(0.0, free)
        total = 0.0
        for members, counts, times in sets:
            v = constants[members]
            total -= times * (counts @ v - counts.sum() * np.log(np.exp(v).sum()))
        return total

    start = np.zeros(len(names) - 1)
    return -minimize(loss, start, method="BFGS", options={"gtol": 1e-9}).fun


def test_equal_choice_sets_have_a_closed_form():
    survey = datasets.load("electricity").data
    model = MixedMultinomialLogit.from_formula("choice ~ pf", survey, 1, **IDS)
    n = survey[survey["choice"] == 1]["alt"].value_counts().to_numpy()
    expected = n @ np.log(n / n.sum())
    assert constants_log_likelihood(model.choices) == pytest.approx(expected, rel=1e-13)


def test_travelmode_is_as_published():
    """Greene: −283.7588 with constants alone; mlogit prints 0.29825 for three attributes more."""
    result = MixedMultinomialLogit.from_formula(
        "choice ~ 0 | 1",
        datasets.load("travelmode").data,
        1,
        situation="individual",
        alternative="mode",
    ).fit()
    assert round(result.ll_constants, 4) == -283.7588
    assert result.llf == pytest.approx(result.ll_constants, rel=1e-13)
    assert result.prsquared_constants == pytest.approx(0, abs=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("counted", [False, True])
def test_unequal_choice_sets_are_maximised(weighted, counted):
    frame = zoo.survey(5, [[2, 3, 4], [3, 3], [4, 2, 2, 3]] * 6)
    rng = np.random.default_rng(1)
    frame["alt"] = frame.groupby(["person", "situation"])["alt"].transform(
        lambda a: np.sort(rng.choice([10, 20, 30, 40], len(a), replace=False))
    )
    if counted:
        frame["choice"] = frame["choice"] * 2 + rng.integers(0, 2, len(frame))
    n_situations = frame.groupby(["person", "situation"]).ngroups
    keywords, weight = dict(IDS), np.ones(n_situations)
    if weighted:
        own = rng.uniform(0.5, 2.0, frame["person"].nunique())
        own /= own.mean()
        frame["w"] = own[pd.factorize(frame["person"])[0]]
        weight = frame.groupby(["person", "situation"])["w"].first().to_numpy()
        keywords["weights"] = "w"
    if counted:
        keywords["choices"] = "counts"
    model = MixedMultinomialLogit.from_formula("choice ~ x1", frame, 1, **keywords)
    # what BFGS leaves of a maximum
    assert constants_log_likelihood(model.choices) == pytest.approx(
        slow_maximum(frame, weight), abs=1e-7
    )


def test_unequal_choice_sets_are_those_of_the_logit_of_constants():
    travellers = datasets.load("swissmetro").data.query("purpose in (1, 3)")
    ids = {"situation": "situation", "individual": "person", "alternative": "alternative"}
    result = MixedMultinomialLogit.from_formula("choice ~ 0 | 1", travellers, 1, **ids).fit()
    assert result.ll_constants == pytest.approx(result.llf, rel=1e-12)


@pytest.mark.parametrize("ragged", [False, True])
def test_an_offset_is_part_of_it(ragged):
    sizes = [[2, 3, 4], [3, 3]] if ragged else [[3] * 4]
    frame = zoo.survey(5, sizes * 20)
    frame["o"] = np.random.default_rng(3).normal(size=len(frame))
    keywords = {**IDS, "offset": "o"}
    result = MixedMultinomialLogit.from_formula("choice ~ 0 | 1", frame, 1, **keywords).fit()
    assert result.ll_constants == pytest.approx(result.llf, rel=1e-12)


def test_an_alternative_that_nobody_chose_leaves_the_choice_sets():
    frame = pd.DataFrame(
        {
            "s": [1, 1, 1, 2, 2, 2, 3, 3],
            "alt": list("abcabcac"),
            "choice": [1, 0, 0, 0, 0, 1, 1, 0],
            "x": np.arange(8.0) ** 2,
        }
    )
    model = MixedMultinomialLogit.from_formula(
        "choice ~ x", frame, 1, situation="s", alternative="alt"
    )
    expected = 2 * np.log(2 / 3) + np.log(1 / 3)
    assert constants_log_likelihood(model.choices) == pytest.approx(expected, rel=1e-12)


def test_constants_that_diverge_leave_a_limit():
    """a always beats b, and b always beats c: every choice is sure in the limit."""
    frame = pd.DataFrame(
        {"s": [1, 1, 2, 2], "alt": list("abbc"), "choice": [1, 0, 1, 0], "x": [1.0, 2, 5, 3]}
    )
    model = MixedMultinomialLogit.from_formula(
        "choice ~ x", frame, 1, situation="s", alternative="alt"
    )
    assert -1e-8 < constants_log_likelihood(model.choices) <= 0  # a limit, not reached


def test_without_alternatives_there_is_no_such_number(tmp_path):
    survey = datasets.load("electricity").data
    ids = {"situation": "situation", "individual": "person"}
    result = MixedMultinomialLogit.from_formula("choice ~ pf + cl", survey, 1, **ids).fit()
    assert np.isnan(result.ll_constants)
    assert np.isnan(result.prsquared_constants)
    header = dict(result.summary().header)
    assert header["LL constants only"] == header["Rho2 over constants"] == "needs alternative="
    result.to_file(tmp_path / "fit.npz", include_data=False)
    assert np.isnan(read_results(tmp_path / "fit.npz").ll_constants)


def test_files_keep_the_number(tmp_path):
    survey = datasets.load("electricity").data
    result = MixedMultinomialLogit.from_formula("choice ~ pf + cl", survey, 1, **IDS).fit()
    result.to_file(tmp_path / "fit.npz", include_data=False)
    again = read_results(tmp_path / "fit.npz")
    assert again.ll_constants == result.ll_constants
    assert again.prsquared_constants == 1 - result.llf / result.ll_constants
