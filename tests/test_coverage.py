"""Standard errors and intervals against simulation, and against a numerical Hessian.

The study of coverage simulates 200 panels, fits each and counts how often the 95 per cent
intervals cover the truth. It takes half a minute on two processors and is left out by default:

    pytest -m slow -s tests/test_coverage.py
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from conftest import electricity_model

from mixlogit import MixedMultinomialLogit, simulate_choices

N_DATA_SETS = 200
N_PEOPLE, N_SITUATIONS, N_ALTERNATIVES = 500, 8, 3
ATTRIBUTES = ["normal1", "normal2", "normal3", "dummy1", "dummy2"]
SHARES = np.array([0.6, 0.4])
TASTES = np.random.default_rng(20240917).standard_normal((len(ATTRIBUTES), 2))  # (L, K)
TRUTH = pd.Series(
    [*TASTES.T.ravel(), np.log(SHARES[1] / SHARES[0]), *SHARES],
    index=[f"class{k}.{name}" for k in (1, 2) for name in ATTRIBUTES]
    + ["class2._membership.Intercept", "share of class1", "share of class2"],
)
N_PARAMS = len(TRUTH) - 2
COVARIANCES = ("nonrobust", "robust", "opg")


COST, CHANGED = "dummy2", "dummy1"  # what WTP is in units of, and what elasticities are by
IMPLIED = ("wtp", "share", "elasticity")


class Replication(NamedTuple):
    """One simulated data set: estimates (D,), and by covariance type (3, D)."""

    estimate: np.ndarray
    std_err: np.ndarray
    is_covered: np.ndarray
    is_converged: bool
    is_implied_covered: dict[str, np.ndarray]  # for what the parameters imply, (3, quantities)


def simulated_panel(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n_rows = N_PEOPLE * N_SITUATIONS * N_ALTERNATIVES
    frame = pd.DataFrame(rng.standard_normal((n_rows, len(ATTRIBUTES))), columns=ATTRIBUTES)
    frame[["dummy1", "dummy2"]] = (frame[["dummy1", "dummy2"]] > 0).astype(float)
    frame["situation"] = np.arange(n_rows) // N_ALTERNATIVES
    frame["person"] = frame["situation"] // N_SITUATIONS
    frame["alternative"] = np.arange(n_rows) % N_ALTERNATIVES
    tastes = pd.DataFrame(TASTES, index=ATTRIBUTES)
    return simulate_choices(
        frame, tastes, SHARES, situation="situation", individual="person", rng=rng
    )


def true_wtp(tastes: np.ndarray) -> pd.Series:
    """Of every attribute but the cost, by class and on average over the classes."""
    frame = pd.DataFrame(tastes, ATTRIBUTES, ["class1", "class2"])
    by_class = -frame.drop(COST) / frame.loc[COST]
    return by_class.assign(population=by_class @ SHARES).stack()


def true_elasticities(frame: pd.DataFrame, tastes: np.ndarray) -> pd.Series:
    """Differences of log market shares by the logarithm of an attribute."""
    x = frame[ATTRIBUTES].to_numpy().reshape(-1, N_ALTERNATIVES, len(ATTRIBUTES))

    def log_shares(changed: int, factor: float) -> np.ndarray:
        own = x.copy()
        own[:, changed, ATTRIBUTES.index(CHANGED)] *= factor
        prob = np.exp(own @ tastes)  # (S, J, K)
        by_class = (prob / prob.sum(axis=1, keepdims=True)).mean(axis=0)
        return np.log(np.column_stack([by_class @ SHARES, by_class]))  # (J, 1 + K)

    h = 1e-5
    out = {}
    for changed in range(N_ALTERNATIVES):
        slope = (log_shares(changed, 1 + h) - log_shares(changed, 1 - h)) / (2 * h)
        for share_of in range(N_ALTERNATIVES):
            for segment, value in zip(("market", "class1", "class2"), slope[share_of], strict=True):
                out[segment, share_of, changed] = value
    return pd.Series(out)


def is_implied_covered(
    results: list, frame: pd.DataFrame, is_swapped: bool
) -> dict[str, np.ndarray]:
    """Whether the intervals of WTP, market shares and elasticities hold the truth."""
    swapped = {"class1": "class2", "class2": "class1"} if is_swapped else {}
    elasticities = true_elasticities(frame, TASTES)
    shares = pd.Series(SHARES, ["class1", "class2"])
    truth = {
        "wtp": true_wtp(TASTES).rename(index=swapped, level=1),
        "share": shares.rename(index=swapped),
        "elasticity": elasticities.rename(index=swapped, level=0),
    }
    out = {}
    for name in IMPLIED:
        rows = []
        for result in results:
            table = {
                "wtp": lambda result=result: result.wtp(None, COST),
                "share": result.class_share_table,
                "elasticity": lambda result=result: result.elasticities(CHANGED),
            }[name]()
            expected = truth[name].loc[list(table.index)].to_numpy()
            rows.append((table["[0.025"] <= expected) & (expected <= table["0.975]"]))
        out[name] = np.array(rows)
    return out


def replicate(seed: int) -> Replication:
    """Simulate, fit, and put the classes in the order of the truth they are nearest to."""
    frame = simulated_panel(seed)
    model = MixedMultinomialLogit.from_formula(
        "choice ~ " + " + ".join(ATTRIBUTES),
        frame,
        n_classes=2,
        situation="situation",
        individual="person",
        alternative="alternative",
    )
    result = model.fit()
    tastes = result.class_params.to_numpy()
    is_swapped = np.sum((tastes[:, ::-1] - TASTES) ** 2) < np.sum((tastes - TASTES) ** 2)
    order = np.arange(len(TRUTH))
    truth = TRUTH.to_numpy()
    if is_swapped:
        n = len(ATTRIBUTES)
        order = np.r_[n : 2 * n, 0:n, 2 * n, 2 * n + 2, 2 * n + 1]
        truth = np.where(order == 2 * n, -truth, truth[np.argsort(order)])
    std_err, is_covered = [], []
    others = [result.with_cov(cov_type) for cov_type in COVARIANCES]
    for other in others:
        share = other.class_share_table().to_numpy()
        lower, upper = np.vstack([other.conf_int().to_numpy(), share[:, 2:]]).T
        std_err.append(np.append(other.bse, share[:, 1])[order])
        is_covered.append(((lower <= truth) & (truth <= upper))[order])
    estimate = np.append(result.params, result.class_shares)[order]
    if is_swapped:
        estimate[N_PARAMS - 1] *= -1
    return Replication(
        estimate,
        np.array(std_err),
        np.array(is_covered),
        result.converged,
        is_implied_covered(others, frame, bool(is_swapped)),
    )


@pytest.fixture
def one_thread(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say(one_thread):
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        done = list(pool.map(replicate, range(N_DATA_SETS), chunksize=5))
    assert all(one.is_converged for one in done)
    is_covered = np.array([one.is_covered for one in done])  # (data sets, types, D + K)
    estimate = np.array([one.estimate for one in done])
    std_err = np.array([one.std_err for one in done])
    ratio = std_err.mean(axis=0) / estimate.std(axis=0, ddof=1)
    pooled = report(is_covered, ratio, estimate)
    for cov_type in COVARIANCES:
        assert 93 <= pooled[cov_type] <= 97
    print("\nPooled over what the parameters imply (delta method):")
    for name in IMPLIED:
        by_type = 100 * np.array([one.is_implied_covered[name] for one in done]).mean(axis=(0, 2))
        listed = "  ".join(f"{t} {c:.2f} %" for t, c in zip(COVARIANCES, by_type, strict=True))
        print(f"{name:>10}  {listed}")
        assert ((by_type >= 93) & (by_type <= 97)).all()


def report(is_covered: np.ndarray, ratio: np.ndarray, estimate: np.ndarray) -> dict[str, float]:
    """Print coverage in per cent, and return it pooled over parameters."""
    n = len(is_covered)
    coverage = pd.DataFrame(
        100 * is_covered.mean(axis=0).T,
        index=TRUTH.index,
        columns=[f"{name} %" for name in COVARIANCES],
    )
    table = coverage.join(
        pd.DataFrame(ratio.T, TRUTH.index, [f"{name} se/sd" for name in COVARIANCES])
    )
    table.insert(0, "truth", TRUTH)
    table.insert(1, "bias/sd", (estimate - TRUTH.to_numpy()).mean(axis=0) / estimate.std(axis=0))
    # parameters of one data set go together, so data sets are the units
    per_data_set = 100 * is_covered[:, :, :N_PARAMS].mean(axis=2)
    pooled = per_data_set.mean(axis=0)
    error = per_data_set.std(axis=0, ddof=1) / np.sqrt(n)
    print(f"\n95 per cent intervals, {n} data sets; Monte Carlo standard error of one")
    print(f"coverage: {100 * np.sqrt(0.95 * 0.05 / n):.1f}. se/sd: mean standard error over the")
    print("standard deviation of the estimates.\n")
    print(table.to_string(float_format="{:.2f}".format))
    print("\nPooled over the parameters (without the shares):")
    for name, value, spread, own in zip(
        COVARIANCES, pooled, error, ratio[:, :N_PARAMS].mean(axis=1), strict=True
    ):
        print(f"{name:>10}  {value:.2f} %  (Monte Carlo s.e. {spread:.2f})  se/sd {own:.3f}")
    return dict(zip(COVARIANCES, pooled, strict=True))


def numerical_hessian(function, x: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Second derivatives (D, D) by central differences along axes and their sums."""
    at_x = function(x)

    def second(direction: np.ndarray) -> float:
        return function(x + direction) - 2 * at_x + function(x - direction)

    axes = np.diag(step)
    own = np.array([second(axis) for axis in axes])
    out = np.diag(own)
    for i in range(len(x)):
        for j in range(i):
            out[i, j] = out[j, i] = 0.5 * (second(axes[i] + axes[j]) - own[i] - own[j])
    return out / np.outer(step, step)


def test_standard_errors_are_those_of_a_numerical_hessian():
    model = electricity_model(3)
    result = model.fit()
    x, step = np.array(result.params), 0.02 * np.array(result.bse)
    coarse = numerical_hessian(model.loglike, x, step)
    fine = numerical_hessian(model.loglike, x, 0.5 * step)
    hessian = fine + (fine - coarse) / 3  # Richardson: the error of order step**2 cancels
    expected = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    print(f"\nlargest relative difference {np.abs(result.bse / expected - 1).max():.1e}")
    # what is left: terms of order step**4, and round-off of 1e-12 over step**2, seen to be 1e-7
    np.testing.assert_allclose(result.bse, expected, rtol=1e-6)
