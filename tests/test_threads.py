"""Threads share the blocks of a table, within the user's limits, and change no bit."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from simulated import likelihood_of, panel
from threadpoolctl import ThreadpoolController, threadpool_limits

import mixlogit.blocks
import mixlogit.threads
from mixlogit.curvature import hessian_products
from mixlogit.threads import in_order, n_workers, share_cores


@pytest.fixture
def two_processors(monkeypatch):
    """Pretend that the process may run on two processors, and that BLAS may use both."""
    monkeypatch.setattr(mixlogit.threads, "n_workers", lambda controller: 2)


def blas_limits() -> list[int]:
    libraries = ThreadpoolController().select(user_api="blas")
    return [library["num_threads"] for library in libraries.info()]


def test_blas_keeps_to_one_thread_while_cores_are_shared():
    assert set(share_cores(blas_limits)()) == {1}


def set_blas_limits(limits: list[int]) -> None:
    """As if the process had begun with them: in a thread that does not live to defend them."""

    def set_them() -> None:
        libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        for library, limit in zip(libraries, limits, strict=True):
            library.set_num_threads(limit)

    thread = threading.Thread(target=set_them)
    thread.start()
    thread.join()


def test_blas_keeps_to_one_thread_inside_limits_of_the_user():
    """Which, in newer versions of threadpoolctl, no other thread may change."""
    with threadpool_limits(limits=2, user_api="blas"):
        allowed = blas_limits()
        assert set(share_cores(blas_limits)()) == {1}
        assert blas_limits() == allowed


def test_the_last_of_two_that_share_cores_restores_the_limits(monkeypatch):
    """What came second found BLAS at one thread already, and must not leave it there."""
    monkeypatch.setattr(mixlogit.threads, "_n_processors", lambda: 2)
    second_is_in = threading.Event()
    seen = []

    @share_cores
    def first() -> None:
        thread.start()
        assert second_is_in.wait(timeout=30)

    @share_cores
    def second() -> None:
        second_is_in.set()
        first_is_out.wait(timeout=30)
        seen.append((blas_limits(), mixlogit.threads._pool.get() is not None))

    first_is_out = threading.Event()
    thread = threading.Thread(target=second)
    before = blas_limits()
    set_blas_limits([2] * len(before))
    try:
        allowed = blas_limits()
        first()
        first_is_out.set()
        thread.join(timeout=30)
        assert blas_limits() == allowed
    finally:
        set_blas_limits(before)
    # one thread of BLAS to the end, and as many workers as the user allows
    assert seen == [([1] * len(allowed), min(allowed) > 1)]


def test_workers_are_limited_by_the_user_and_by_the_processors(monkeypatch):
    monkeypatch.setattr(mixlogit.threads, "_n_processors", lambda: 64)
    controller = ThreadpoolController()
    with threadpool_limits(limits=1, user_api="blas"):
        assert n_workers(controller) == 1
    with threadpool_limits(limits=2, user_api="blas"):
        assert n_workers(controller) <= 2
    monkeypatch.setattr(mixlogit.threads, "_n_processors", lambda: 1)
    assert n_workers(controller) == 1


def test_results_come_in_the_order_of_the_parts(two_processors):
    first_waits = threading.Event()

    def task(part: int) -> int:
        if part == 0:
            assert first_waits.wait(timeout=30)  # another thread must do part 1 meanwhile
        if part == 1:
            first_waits.set()
        return 10 * part

    @share_cores
    def run() -> list[int]:
        return list(in_order(task, range(5), worthwhile=True))

    assert run() == [0, 10, 20, 30, 40]


def test_what_is_not_worthwhile_stays_in_the_caller(two_processors):
    @share_cores
    def run() -> set[str]:
        return set(in_order(lambda _: threading.current_thread().name, range(4), worthwhile=False))

    assert run() == {threading.current_thread().name}


def test_an_exception_in_a_thread_reaches_the_caller(two_processors):
    def task(part: int) -> int:
        if part == 2:
            raise ZeroDivisionError("part 2")
        return part

    @share_cores
    def run() -> list[int]:
        return list(in_order(task, range(4), worthwhile=True))

    with pytest.raises(ZeroDivisionError, match="part 2"):
        run()


def test_tasks_within_tasks_do_not_wait_for_each_other(two_processors):
    @share_cores
    def inner(part: int) -> int:
        return sum(in_order(lambda i: i + part, range(3), worthwhile=True))

    @share_cores
    def outer() -> list[int]:
        return list(in_order(inner, range(6), worthwhile=True))

    assert outer() == [3 + 3 * part for part in range(6)]


@pytest.mark.parametrize("mean_slots", [0.0, 16.0])  # no choice set is small, or all are
def test_the_number_of_threads_changes_no_bit(mean_slots, monkeypatch, two_processors):
    monkeypatch.setattr(mixlogit.blocks, "_MEAN_SLOTS", mean_slots)
    monkeypatch.setattr(mixlogit.blocks, "_MAX_LONG_ROWS", 512)  # so that there are many blocks
    monkeypatch.setattr(mixlogit.blocks, "_MAX_ROWS", 512)
    monkeypatch.setattr(mixlogit.blocks, "_LEAST_WORK", 1)
    likelihood = likelihood_of(panel(0), 3)
    draws = np.random.default_rng(0).standard_normal((5, likelihood.n_params))
    stack = likelihood.unpack(draws)

    def passes():
        products = hessian_products(likelihood, draws[0], draws[1:])
        return (
            likelihood.expect(stack),
            likelihood.evaluate(draws[0]),
            SimpleNamespace(products=products),
        )

    alone = passes()

    @share_cores
    def shared():
        assert mixlogit.threads._pool.get() is not None
        return passes()

    for one, other in zip(alone, shared(), strict=True):
        for name, value in vars(one).items():
            np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)
