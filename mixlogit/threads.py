"""How many cores a computation may use: one thread of BLAS each, over parts of a table.

The matrix products of a block of rows are too small for BLAS to share, so blocks are shared
instead. The limit is the user's own: that of the BLAS libraries (``OMP_NUM_THREADS`` and the like,
or ``threadpoolctl``), and the processors that the process may run on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache, wraps
from threading import Lock, Thread
from typing import Any, ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

__all__ = ["in_order", "n_workers", "share_cores"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_R = TypeVar("_R")

_pool: ContextVar[ThreadPoolExecutor | None] = ContextVar("mixlogit_pool", default=None)
_is_sharing: ContextVar[bool] = ContextVar("mixlogit_is_sharing", default=False)


def n_workers(controller: ThreadpoolController) -> int:
    """Threads that the user allows: the least of all limits.

    Parameters
    ----------
    controller : ThreadpoolController
        Of the libraries that are loaded.

    Returns
    -------
    int
    """
    libraries = controller.select(user_api="blas").lib_controllers
    return min([_n_processors(), *(library.num_threads or 1 for library in libraries)])


@cache
def _libraries() -> ThreadpoolController:
    """BLAS as it is loaded with NumPy and SciPy; to look for it takes as long as a short fit."""
    return ThreadpoolController()


class _OneThread:
    """BLAS kept to one thread for as long as any thread of the process shares cores.

    Most libraries have one limit for the whole process: the first to come takes note of what the
    user allows, and the last to go restores it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._n_holders = 0
        self._workers = 1
        self._allowed: list[int] = []

    @contextmanager
    def held(self) -> Iterator[int]:
        """Keep to one thread; yield how many workers the user allows."""
        with self._lock:
            controller = _libraries()
            libraries = controller.select(user_api="blas").lib_controllers
            own = [library.num_threads or 1 for library in libraries]
            if self._n_holders == 0:
                self._allowed, self._workers = own, n_workers(controller)
            _set_threads(libraries, [1] * len(libraries))
            self._n_holders += 1
            workers = self._workers
        try:
            yield workers
        finally:
            with self._lock:
                self._n_holders -= 1
                process = [1] * len(libraries) if self._n_holders else self._allowed
                layers = [getattr(library, "threading_layer", "") for library in libraries]
                limits = [  # with OpenMP every thread has its own
                    mine if layer == "openmp" else everyones
                    for layer, mine, everyones in zip(layers, own, process, strict=True)
                ]
                _set_threads(libraries, limits)


_one_thread = _OneThread()


def _set_threads(libraries: Sequence[Any], limits: Sequence[int]) -> None:
    """Set how many threads each library may use.

    Threadpoolctl lets the thread that has set a limit of OpenBLAS keep all others from it for as
    long as it lives. So this is done in a thread that ends at once; and in the caller's own where
    that has no effect, because the caller is inside limits of the user's, or the limit is its own.
    """

    def apply() -> None:
        for library, limit in zip(libraries, limits, strict=True):
            library.set_num_threads(limit)

    def is_done() -> bool:
        return [library.num_threads or 1 for library in libraries] == list(limits)

    if is_done():
        return
    other = Thread(target=apply)
    other.start()
    other.join()
    if not is_done():
        apply()


@contextmanager
def _sharing() -> Iterator[None]:
    """Keep BLAS to one thread, and a pool of workers at hand; within another, do nothing."""
    if _is_sharing.get():
        yield
        return
    inside = _is_sharing.set(True)
    try:
        with _one_thread.held() as workers:
            if workers == 1:
                yield
                return
            with ThreadPoolExecutor(workers, thread_name_prefix="mixlogit") as pool:
                token = _pool.set(pool)
                try:
                    yield
                finally:
                    _pool.reset(token)
    finally:
        _is_sharing.reset(inside)


def share_cores(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a function share the parts of its tables among the user's cores."""

    @wraps(function)
    def sharing(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with _sharing():
            return function(*args, **kwargs)

    return sharing


def in_order(task: Callable[[_T], _R], parts: Iterable[_T], *, worthwhile: bool) -> Iterator[_R]:
    """Do a task for every part, and yield what it returns in the order of the parts.

    Parameters
    ----------
    task : callable
        Must bear to run in several threads at once.
    parts : iterable
    worthwhile : bool
        Whether there is enough to do for threads.

    Yields
    ------
    What ``task`` returns: whatever the number of threads, in the same order.
    """
    pool = _pool.get()
    if pool is None or not worthwhile:
        yield from map(task, parts)
        return
    # a worker sees the caller's context: that it is in a pool already, and NumPy's error state
    futures = [pool.submit(copy_context().run, _as_worker, task, part) for part in parts]
    try:
        for future in futures:
            yield future.result()
    finally:  # an interruption must leave no thread behind that still reads the table
        for future in futures:
            future.cancel()
        wait(futures)


def _as_worker(task: Callable[[_T], _R], part: _T) -> _R:
    """Do a task in a thread of the pool, which must not wait for the pool itself."""
    _pool.set(None)
    return task(part)


def _n_processors() -> int:
    """Processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
