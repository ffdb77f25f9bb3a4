"""Coverage of intervals where something diverges, by simulation.

The study simulates 500 data sets of each of three designs: a class never takes an alternative, a
class never opts out, and nobody of a region is of the second class. It takes minutes and is left
out by default:

    pytest -m slow -s tests/test_separation_coverage.py
"""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest
from simulated import LEVEL_SHARES, LEVEL_TASTES, never_chosen, one_sided_level

from mixlogit import MixedMultinomialLogit
from mixlogit.errors import ConvergenceWarning

N_DATA_SETS = 500
PANEL = {"situation": "situation", "individual": "person", "alternative": "alt"}
# Of class 1, which never takes a, and of class 2: utilities of a to d, and the coefficient of x.
UTILITIES = {1: dict(zip("abcd", (-37, 0, 0.5, -0.5), strict=True)), 2: {}}  # 1e-16
UTILITIES[2] = UTILITIES[1] | {"a": 1}
OF_X = {1: 1.0, 2: -1.0}
IDENTIFIED = [(1, "cb"), (1, "db"), (2, "ab"), (2, "cb"), (2, "db")]


def fit_of(model, start):
    """From the truth, for errors are studied here, and not the search."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(start_params=start)


def by_reference(frame, reference):
    """Errors and whether intervals hold the truth: of x, contrasts of constants and the share."""
    others = [one for one in "abcd" if one != reference]
    model = MixedMultinomialLogit.from_formula(
        f"choice ~ C(alt, Treatment('{reference}')) + x", frame, 2, **PANEL
    )
    start = []
    for k in (1, 2):
        start += [UTILITIES[k][one] - UTILITIES[k][reference] for one in others] + [OF_X[k]]
    result = fit_of(model, [*start, np.log(0.4 / 0.6)])
    place = {1: 0, 2: 4} if result.params.iloc[3] > 0 else {1: 4, 2: 0}
    rows, truth = np.zeros((2 + len(IDENTIFIED), 9)), np.zeros(2 + len(IDENTIFIED))
    for i, k in enumerate((1, 2)):
        rows[i, place[k] + 3], truth[i] = 1.0, OF_X[k]
    for i, (k, (one, base)) in enumerate(IDENTIFIED, start=2):
        truth[i] = UTILITIES[k][one] - UTILITIES[k][base]
        for each, sign in ((one, 1.0), (base, -1.0)):
            if each != reference:
                rows[i, place[k] + others.index(each)] += sign
    found = result.t_test(rows)
    share = result.class_share_table().iloc[0 if place[1] == 0 else 1]
    is_covered = np.abs(found.effect - truth) <= 1.959964 * found.sd
    return (
        result.certificate().status,
        np.append(found.sd, share["std err"]),
        np.append(is_covered, share["[0.025"] <= 0.6 <= share["0.975]"]),
    )


def never(seed, opts_out):
    frame = never_chosen(seed, opts_out=opts_out)
    return [by_reference(frame, reference) for reference in "ab"]


def study(replicate):
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(replicate, range(N_DATA_SETS), chunksize=5))


@pytest.fixture
def one_thread(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")


@pytest.mark.slow
@pytest.mark.parametrize("opts_out", [False, True], ids=["never a", "never opts out"])
def test_intervals_cover_whatever_the_reference(one_thread, opts_out):
    done = study(partial(never, opts_out=opts_out))
    assert {status for one in done for status, _, _ in one} == {"separation"}
    std_err = np.array([[sd for _, sd, _ in one] for one in done])  # (data sets, codings, 8)
    coverage = 100 * np.array([[c for _, _, c in one] for one in done]).mean(axis=0)
    apart = np.abs(std_err[:, 0] / std_err[:, 1] - 1).max()
    print(f"\n95 per cent intervals, {len(done)} data sets; largest difference of errors between")
    print(f"codings {apart:.1e}; coverage of x of class 1 and 2, contrasts and the share:")
    for reference, row in zip("ab", coverage, strict=True):
        print(reference, np.round(row, 1), f"pooled {row.mean():.2f}")
    assert apart < 1e-8
    pooled = coverage.mean(axis=1)
    assert ((pooled >= 93) & (pooled <= 97)).all()


def by_level(seed):
    """Whether a logit diverges, how far errors are from those with it fixed, and coverage."""
    frame = one_sided_level(seed)
    shares = np.array(LEVEL_SHARES)
    logit = np.log((1 - shares + 1e-9) / shares)
    start = [*LEVEL_TASTES.ravel(), logit[0], logit[1] - logit[0], -25 - logit[0]]
    model = partial(
        MixedMultinomialLogit.from_formula,
        "choice ~ x + w",
        frame,
        2,
        membership="C(region)",
        **PANEL,
    )
    free = fit_of(model(), start)
    (name,) = free.certificate().diverging or ("",)
    if not name:
        return False, 0.0, None
    far = np.sign(free.params[name]) * 30
    at = free.params.copy()
    at[name] = far
    fixed = fit_of(model(constraints=f"{name} = {far}"), at)
    apart = 0.0
    for table in (
        lambda one: one.class_share_table(),
        lambda one: one.population_params().iloc[:, :6].astype(float),
        lambda one: one.market_shares(),
    ):
        found, known = (table(one).to_numpy() for one in (free, fixed))
        assert np.isfinite(found).all()
        apart = max(apart, float(np.abs(found / known - 1).max()))
    region = frame.groupby("person")["region"].first()
    share = region.map(dict(zip(("east", "north", "west"), LEVEL_SHARES, strict=True))).mean()
    first = 0 if free.params["class1.x"] > 0 else 1
    row, means = free.class_share_table().iloc[first], free.population_params()
    truth = np.array([share, 1 - share]) @ LEVEL_TASTES
    is_covered = (means["[0.025"] <= truth) & (truth <= means["0.975]"])
    return True, apart, [row["[0.025"] <= share <= row["0.975]"], *is_covered]


@pytest.mark.slow
def test_intervals_cover_where_a_membership_logit_diverges(one_thread):
    done = [(apart, is_covered) for diverges, apart, is_covered in study(by_level) if diverges]
    coverage = 100 * np.mean([is_covered for _, is_covered in done], axis=0)
    apart = max(apart for apart, _ in done)
    print(
        f"\nA logit diverges in {len(done)} of {N_DATA_SETS} data sets; there, shares, population"
    )
    print(f"parameters, market shares and their errors are within {apart:.1e} of those with it at")
    print(f"30; coverage of the share and of two population means: {np.round(coverage, 1)}")
    assert len(done) > N_DATA_SETS / 2
    assert apart < 1e-4
    assert ((coverage >= 93) & (coverage <= 97)).all()
