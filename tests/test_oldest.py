"""The oldest versions that are allowed are those that the suite is run with."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent


def requirements(text: str, sign: str) -> dict[str, tuple[int, ...]]:
    """Versions of packages, without zeros at their ends: 1.24 and 1.24.0 are the same."""
    out = {}
    for name, version in re.findall(rf"^\W*([a-z]+){sign}([0-9.]+)", text, flags=re.M):
        numbers = [int(part) for part in version.split(".")]
        while numbers[-1] == 0:
            numbers.pop()
        out[name] = tuple(numbers)
    return out


def listed(text: str, key: str) -> str:
    """The lines of a list of text in pyproject.toml; Python 3.10 has no reader of TOML."""
    return "\n".join(re.search(rf"^{key} = \[(.*?)\]$", text, flags=re.M | re.S)[1].split(","))


def test_the_oldest_versions_are_pinned():
    project = (TESTS.parent / "pyproject.toml").read_text(encoding="utf-8")
    allowed = {}
    for key in ("dependencies", "plot", "progress", "test"):
        allowed |= requirements(listed(project, key), ">=")
    assert {"numpy", "pandas", "statsmodels", "matplotlib", "tqdm", "pytest"} <= set(allowed)
    pinned = requirements((TESTS / "oldest.txt").read_text(encoding="utf-8"), "==")
    assert pinned == allowed


def test_python_is_the_oldest_too():
    project = (TESTS.parent / "pyproject.toml").read_text(encoding="utf-8")
    allowed = re.search(r'^requires-python = ">=(.*)"$', project, flags=re.M)[1]
    used = re.search(r"python(\S+) -m venv", (TESTS / "oldest.txt").read_text(encoding="utf-8"))[1]
    assert used == allowed
