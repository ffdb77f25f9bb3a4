"""A line on standard error that says how far something long has come.

tqdm draws it; it is optional, and imported only once there is a line to draw.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from mixlogit.errors import ArgumentError, plural

if TYPE_CHECKING:
    from mixlogit.estimation import State

__all__ = ["ProgressLine"]

_PATIENCE = 2.0  # seconds that something lasts before it gets a line unasked
_PAUSE = 0.2  # seconds between two states of the line
_FIT = "{desc} [{elapsed}]"
_STEPS = "{desc}: {n_fmt} of {total_fmt} [{elapsed}<{remaining}]"


class ProgressLine:
    """A line that is drawn anew while something goes on, and wiped out when it ends.

    Parameters
    ----------
    disp : bool or None
        None: a line once two seconds have passed, if tqdm is installed and standard error is a
        terminal or the cell of a notebook. True: a line from the beginning, wherever standard
        error goes. False: none.
    what : str
        What goes on.
    total : int, optional
        Steps that it takes; None for a single fit, whose state is shown.

    Raises
    ------
    ArgumentError
        ``disp`` is true, and tqdm is not installed.
    """

    def __init__(self, disp: bool | None, what: str, total: int | None = None) -> None:
        self._is_notebook = _is_notebook()
        is_wanted = disp or (disp is None and (self._is_notebook or _is_terminal()))
        self._is_shown = bool(is_wanted) and find_spec("tqdm") is not None
        if disp and not self._is_shown:
            raise ArgumentError(
                "disp=True needs tqdm, which is not installed. Install it with: "
                'pip install "mixlogit[progress]"'
            )
        self._what, self._total, self._n_done = what, total, 0
        self._began = time.monotonic()
        self._due = self._began + (0.0 if disp else _PATIENCE)
        self._bar: Any = None

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            try:  # an interruption may have cut the line short; only a whole one is wiped out
                self._bar.refresh()
            finally:
                self._bar.close()
                self._bar = None

    def step(self) -> None:
        """Count one more step."""
        self._n_done += 1
        self._draw(self._what)

    def watch(self, callback: Callable[[State], None] | None) -> Callable[[State], None] | None:
        """Give a callback of fits that draws the line, and calls the one given.

        Parameters
        ----------
        callback : callable or None

        Returns
        -------
        callable or None
            The one given, where there is no line to draw.
        """
        if not self._is_shown:
            return callback

        def show(state: State) -> None:
            if callback is not None:
                self._aside(callback, state)
            if time.monotonic() >= self._due:
                self._draw(self._what if self._total else f"{self._what}: {_words(state)}")

        return show

    def _aside(self, callback: Callable[[State], None], state: State) -> None:
        """Call with no line on the terminal, where the callback may print."""
        is_in_the_way = self._bar is not None and not self._is_notebook
        if is_in_the_way:
            self._bar.clear()
        callback(state)
        if is_in_the_way:
            self._bar.refresh()

    def _draw(self, text: str) -> None:
        """Draw the line, unless it is too soon."""
        now = time.monotonic()
        if not self._is_shown or now < self._due:
            return
        self._due = now + _PAUSE
        if self._bar is None:
            self._bar = _bar(text, self._total)
            self._bar.start_t -= now - self._began
        self._bar.desc, self._bar.n = text, self._n_done
        self._bar.refresh()


def _words(state: State) -> str:
    """Write how far a fit has come."""
    running = "Newton" if state.phase == "newton" else plural(state.n_running, "start")
    found = f"log-likelihood {state.llf:.4f}" if np.isfinite(state.llf) else "searching"
    return f"iteration {state.iteration:,}, {running}, {found}"


def _bar(text: str, total: int | None) -> Any:
    """Open a line of tqdm's own, in a notebook or on a terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in a notebook without widgets the line is plain
        from tqdm.auto import tqdm
    from tqdm.utils import disp_trim

    class Line(tqdm):
        """Never longer than the terminal, which older versions of tqdm leave to formats."""

        monitor_interval = 0  # no thread that watches lines, and would stay

        def __str__(self) -> str:
            line = super().__str__()
            return disp_trim(line, self.ncols) if self.ncols else line

    return Line(
        desc=text,
        total=total,
        leave=False,
        delay=1e-9,  # nothing is drawn before there is somebody who wipes it out
        dynamic_ncols=True,
        bar_format=_STEPS if total else _FIT,
    )


def _is_terminal() -> bool:
    """Whether somebody sees standard error as it is written."""
    return bool(getattr(sys.stderr, "isatty", bool)())


def _is_notebook() -> bool:
    """Whether this runs in a kernel of IPython."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_ipython() if get_ipython else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})
