"""The same fit gives the same bits, wherever and in whatever company it runs."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from same_bits import bits_of, fitted_bits, model, share_more_often

import mixlogit.blocks
import mixlogit.threads
from mixlogit.threads import share_cores

TESTS = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def many_blocks():
    """Threads are worth their while here, as in the other processes."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (mixlogit.blocks, "_LEAST_WORK"),
            (mixlogit.blocks, "_MAX_ROWS"),
            (mixlogit.threads, "_n_processors"),
        ):
            patch.setattr(module, name, getattr(module, name))  # to be restored
        share_more_often()
        yield


@pytest.fixture(scope="module")
def bits():
    """Of a fit in this thread of this process, as it is used every day: undisturbed."""
    return fitted_bits()


def run(*arguments: str, hash_seed: int = 0, n_threads: int = 1) -> str:
    """What a fresh interpreter prints."""
    limits = dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], str(n_threads))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", TESTS / "same_bits.py", *arguments],
        env=os.environ | limits | {"PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("hash_seed", "n_threads"), [(1, 1), (2, 2)])
def test_fresh_processes_find_the_same_bits(hash_seed, n_threads, bits):
    assert run(hash_seed=hash_seed, n_threads=n_threads) == bits


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_a_process_that_has_fitted_find_the_same_bits(method, bits):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    assert run(method, n_threads=2) == bits


def test_threads_take_part_in_these_fits():
    """Otherwise nothing here would say anything about them."""
    names = set()
    share_out = mixlogit.threads._as_worker

    def noted(task, part):
        names.add(threading.current_thread().name)
        return share_out(task, part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixlogit.threads, "_as_worker", noted)
        patch.setattr(mixlogit.threads, "n_workers", lambda controller: 2)
        fitted_bits()
    assert names
    assert all(name.startswith("mixlogit") for name in names)


@pytest.mark.parametrize("n_workers", [1, 2, 3])
def test_any_number_of_workers_finds_the_same_bits(n_workers, bits, monkeypatch):
    monkeypatch.setattr(mixlogit.threads, "n_workers", lambda controller: n_workers)
    assert fitted_bits() == bits


def test_other_fits_before_leave_no_trace(bits):
    own = model()
    model(2).fit()
    own.fit(method="em", maxiter=2)
    own.with_classes(1).fit()
    assert bits_of(own.fit()) == bits
    assert bits_of(own.fit()) == bits


def test_a_thread_that_is_not_the_main_one_finds_the_same_bits(bits):
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(fitted_bits).result() == bits


@pytest.mark.parametrize("is_shared", [True, False])
def test_two_fits_at_once_find_the_same_bits(is_shared, bits):
    """Of one model that both use, or of two."""
    models = [model()] * 2 if is_shared else [model(), model()]
    together = threading.Barrier(2, timeout=60)

    def fit(own):
        together.wait()
        return bits_of(own.fit())

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(fit, models)) == [bits, bits]


def test_a_fit_beside_another_that_ends_first_finds_the_same_bits(bits):
    """The one that ends must not take the limits of the other with it."""
    short_is_in, long_is_in = threading.Event(), threading.Event()

    @share_cores
    def short():
        short_is_in.set()
        assert long_is_in.wait(timeout=60)

    def begun(state):
        long_is_in.set()
        beside.join(timeout=60)

    beside = threading.Thread(target=short)
    beside.start()
    assert short_is_in.wait(timeout=60)
    assert bits_of(model().fit(callback=begun)) == bits
