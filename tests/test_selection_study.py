"""How often the number of classes is found, on simulated panels.

The studies are left out by default; each takes some minutes on two processors:

    pytest -m slow -s tests/test_selection_study.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated import TASTES, model_of, panel

from mixlogit import bootstrap_lr_test, select_classes

N_TESTS = 100
N_BOOTSTRAP = 39  # p-values are multiples of 1/40, so one in twenty is at most 0.05
TWO = TASTES[["a", "b"]]
N_PER_CELL = 30
FOUR = TASTES.assign(d=[-1.5, -1.5, 1.5])


def in_processes(monkeypatch: Any, function: Callable[[Any], Any], cases: list[Any]) -> list[Any]:
    """Map a function over cases, in processes with one thread each."""
    for name in ("OMP", "OPENBLAS", "MKL"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(function, cases))


def pvalues_of(seed: int) -> tuple[float, float]:
    """P-values of one class against two, and of two against three, where there are two."""
    model = model_of(panel(seed, TWO, n_people=200, n_situations=6), 2)
    selection = select_classes(model, [1, 2, 3])
    one, two, three = (selection.results[k] for k in (1, 2, 3))
    return (
        bootstrap_lr_test(one, two, n_bootstrap=19, rng=seed).pvalue,
        bootstrap_lr_test(two, three, n_bootstrap=N_BOOTSTRAP, rng=seed).pvalue,
    )


@pytest.mark.slow
def test_the_bootstrap_test_rejects_a_true_number_of_classes_as_often_as_it_says(monkeypatch):
    begin = time.perf_counter()
    pvalues = np.array(in_processes(monkeypatch, pvalues_of, list(range(N_TESTS))))
    too_few, true = (pvalues <= 0.05).sum(axis=0)
    print(f"\n{N_TESTS} panels of 200 people, 6 situations and 2 classes:")
    print(f"one class rejected at 5 per cent in {100 * too_few / N_TESTS:.1f} per cent,")
    print(
        f"two classes against three in {100 * true / N_TESTS:.1f} per cent (nominal 5), at 10 per"
    )
    print(f"cent in {100 * (pvalues[:, 1] <= 0.1).mean():.1f}, at 50 in", end=" ")
    print(f"{100 * (pvalues[:, 1] <= 0.5).mean():.1f}; {time.perf_counter() - begin:.0f} seconds")
    assert too_few == N_TESTS
    low, high = stats.binom.ppf([0.005, 0.995], N_TESTS, 0.05)
    assert low <= true <= high


def chosen(case: tuple[int, int]) -> dict[str, int]:
    """Numbers of classes that criteria choose, where there are so many."""
    n_classes, seed = case
    tastes = FOUR.iloc[:, :n_classes]
    frame = panel(1000 * n_classes + seed, tastes, n_people=300, n_situations=8)
    selection = select_classes(model_of(frame, 1), range(1, n_classes + 3))
    return {name: selection.best(name).n_classes for name in ("bic", "caic", "icl", "aic")}


@pytest.mark.slow
def test_bic_finds_the_number_of_classes_that_are_apart(monkeypatch):
    begin = time.perf_counter()
    cases = [(k, seed) for k in (4, 3, 2, 1) for seed in range(N_PER_CELL)]
    found = pd.DataFrame(in_processes(monkeypatch, chosen, cases))
    is_right = found.eq([k for k, _ in cases], axis=0)
    share = is_right.groupby([k for k, _ in cases]).mean()
    print(f"\nPanels of 300 people and 8 situations, {N_PER_CELL} per row; per cent right:")
    print((100 * share).to_string(float_format="{:.1f}".format))
    print(f"{time.perf_counter() - begin:.0f} seconds")
    assert (share["bic"] >= 0.95).all()
