"""The line that says how far a fit has come, on a pseudo-terminal and elsewhere."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, redirect_stderr
from types import SimpleNamespace

import pytest
from conftest import electricity_model, fitted

from mixlogit import bootstrap_lr_test, cross_validate, progress, select_classes
from mixlogit.errors import ArgumentError

fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))  # not on Windows
FEW = {"init": "random", "n_starts": 1}


class Terminal(io.TextIOWrapper):
    """Standard error on a pseudo-terminal, and all that was written there."""

    def __init__(self) -> None:
        master, slave = pty.openpty()
        self.resize(slave, 100)
        super().__init__(os.fdopen(slave, "wb", 0), encoding="utf-8", write_through=True)
        self._master, self._seen = master, bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @staticmethod
    def resize(descriptor: int, columns: int) -> None:
        """Give the terminal 24 lines of some length; tqdm draws nothing where there are none."""
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))

    def _read(self) -> None:
        """Read until the other side is closed."""
        try:
            while some := os.read(self._master, 4096):
                self._seen += some
        except OSError:  # how Linux says that it is
            pass

    def text(self) -> str:
        """Close the terminal, and give what was written."""
        if not self.closed:
            self.close()
            self._reader.join()
            os.close(self._master)
        return self._seen.decode()


def screen(text: str) -> list[str]:
    """What a terminal shows in the end, line by line."""
    lines, row, column = [""], 0, 0
    text = text.replace("\x1b[A", "\x1b")
    for letter in text:
        if letter == "\r":
            column = 0
        elif letter == "\n":
            row += 1
        elif letter == "\x1b":
            row -= 1
        else:
            lines[row] = lines[row].ljust(column)[:column] + letter + lines[row][column + 1 :]
            column += 1
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines if line.strip()]


@pytest.fixture
def terminal():
    stream = Terminal()
    yield stream
    stream.text()


@pytest.fixture
def at_once(monkeypatch):
    """A line at once, drawn anew at every iteration."""
    pytest.importorskip("tqdm")
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    monkeypatch.setattr(progress, "_PAUSE", 0.0)


@pytest.fixture
def drawn(monkeypatch):
    """The lines that are opened, instead of tqdm's; and tqdm is there to be found."""
    lines = []

    class Line:
        start_t = 0.0

        def __init__(self, text, total):
            lines.append(text)

        def refresh(self):
            pass

        close = clear = refresh

    monkeypatch.setattr(progress, "_bar", Line)
    monkeypatch.setattr(progress, "find_spec", lambda name: name)
    return lines


def test_a_screen_shows_what_was_not_overwritten():
    assert screen("abc\rx\r\n\r\ndef\x1b[A\rgh\r\n   ") == ["xbc", "gh"]  # the third is wiped
    assert screen("line\r    \r") == []


# -- a fit -----------------------------------------------------------------------------------------


def test_a_terminal_shows_how_far_a_fit_has_come_and_nothing_is_left(terminal, at_once):
    with redirect_stderr(terminal):
        result = electricity_model(3).fit()
    text = terminal.text()
    assert re.search(
        r"\r3 classes: iteration 1, \d starts, log-likelihood -\d+\.\d{4} \[00:00\]", text
    )
    assert f"Newton, log-likelihood {result.llf:.4f} [00:0" in text
    assert screen(text) == []


def test_a_line_is_as_narrow_as_the_terminal(terminal, at_once):
    terminal.resize(terminal.fileno(), 30)
    with redirect_stderr(terminal):
        electricity_model(2).fit(**FEW)
    text = terminal.text()
    assert "2 classes: iteration" in text
    assert max(len(line) for line in text.split("\r")) <= 30
    assert screen(text) == []


def test_a_short_fit_shows_nothing_and_does_not_open_a_line(terminal, drawn):
    with redirect_stderr(terminal):
        electricity_model(2).fit(**FEW)
    assert drawn == []
    assert terminal.text() == ""


def test_the_line_appears_once_something_has_lasted_two_seconds(terminal, drawn, monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    with redirect_stderr(terminal):
        line = progress.ProgressLine(None, "fits", 3)
    for clock.now in (100.0, 101.9):
        line.step()
    assert drawn == []
    clock.now = 102.1
    line.step()
    assert drawn == ["fits"]


def test_redirected_output_stays_empty(monkeypatch, drawn):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    electricity_model(2).fit(**FEW)
    monkeypatch.setattr(sys, "stderr", None)  # a program without a console
    electricity_model(2).fit(**FEW)
    assert drawn == []
    assert stream.getvalue() == ""


def test_a_kernel_of_ipython_counts_as_a_place_to_draw(monkeypatch, drawn):
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    electricity_model(2).fit(**FEW)
    assert drawn[0].startswith("2 classes: iteration 1, 1 start, log-likelihood -")
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    electricity_model(2).fit(**FEW)
    assert len(drawn) == 1


def test_disp_false_never_shows_a_line(terminal, drawn, monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    with redirect_stderr(terminal):
        electricity_model(2).fit(**FEW, disp=False)
    assert drawn == []


def test_disp_true_insists(capsys):
    pytest.importorskip("tqdm")
    electricity_model(2).fit(n_starts=2, disp=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2 classes: iteration 1, " in shown.err
    assert screen(shown.err) == []


@pytest.mark.parametrize("disp", [None, True, False])
def test_a_line_needs_tqdm(disp, terminal, monkeypatch):
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    message = r'disp=True needs tqdm, .* Install it with: pip install "mixlogit\[progress\]"'
    refused = pytest.raises(ArgumentError, match=message) if disp else nullcontext()
    with redirect_stderr(terminal), refused:
        electricity_model(2).fit(**FEW, disp=disp)
    assert terminal.text() == ""


def test_a_callback_is_called_all_the_same_and_may_print(terminal, at_once):
    states = []

    def tell(state):
        states.append(state)
        print(f"seen {state.iteration}", file=terminal)

    with redirect_stderr(terminal):
        electricity_model(2).fit(**FEW, callback=tell)
    text = terminal.text()
    assert "2 classes: iteration 3" in text
    assert screen(text) == [f"seen {n}" for n in range(1, len(states) + 1)]


def test_a_callback_that_fails_leaves_no_line(terminal, at_once):
    def fail(state):
        if state.iteration == 5:
            raise RuntimeError("enough")

    with redirect_stderr(terminal), pytest.raises(RuntimeError, match="enough"):
        electricity_model(2).fit(callback=fail)
    text = terminal.text()
    assert "iteration 4" in text
    assert screen(text) == []


def test_fits_in_threads_draw_their_lines_and_leave_none(terminal, at_once):
    before = set(threading.enumerate())
    with redirect_stderr(terminal), ThreadPoolExecutor(2) as pool:
        fits = list(pool.map(lambda n: electricity_model(n).fit(**FEW), (2, 3)))
    assert set(threading.enumerate()) == before  # tqdm's own thread among them
    for result, n in zip(fits, (2, 3), strict=True):
        assert result.llf == electricity_model(n).fit(**FEW).llf
    text = terminal.text()
    assert "2 classes: iteration" in text
    assert "3 classes: iteration" in text
    assert screen(text) == []


def test_the_estimates_do_not_depend_on_the_line(terminal, at_once):
    with redirect_stderr(terminal):
        shown = electricity_model(3).fit()
    assert (shown.params == fitted("electricity", 3).params).all()


# -- many fits -------------------------------------------------------------------------------------


def many(name):
    """Something that takes several fits, and what counts them."""
    model, two = electricity_model(1), [fitted("electricity", n) for n in (1, 2)]
    return {
        "Numbers of classes": lambda **kwds: select_classes(model, [1, 2], n_starts=1, **kwds),
        "Folds": lambda **kwds: cross_validate(model, [1], 2, **kwds),
        "Draws": lambda **kwds: bootstrap_lr_test(*two, n_bootstrap=2, n_starts=1, **kwds),
    }[name]


@pytest.mark.parametrize("name", ["Numbers of classes", "Folds", "Draws"])
def test_many_fits_share_one_line(name, terminal, at_once):
    fits = many(name)
    with redirect_stderr(terminal):
        fits()
    text = terminal.text()
    for n in (0, 1, 2):
        assert f"{name}: {n} of 2 [00:0" in text
    assert "iteration" not in text
    assert screen(text) == []


@pytest.mark.parametrize("name", ["Numbers of classes", "Folds", "Draws"])
def test_many_fits_show_no_line_where_none_is_wanted(name, terminal, drawn, monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    fits = many(name)
    with redirect_stderr(terminal):
        fits(disp=False)
    assert drawn == []
    fits(disp=True)
    assert drawn == [name]
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match="disp=True needs tqdm"):
        fits(disp=True)


def test_a_callback_of_many_fits_sees_each_of_them(terminal, at_once):
    seen = set()
    with redirect_stderr(terminal):
        many("Numbers of classes")(callback=lambda state: seen.add(len(state.shares)))
    assert seen == {1, 2}
