"""The README's programs run, and print what it shows."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def test_the_programs_run_and_print_the_summary_shown(capsys):
    namespace: dict[str, object] = {}
    for program in blocks("python"):
        exec(compile(program, "README.md", "exec"), namespace)  # later blocks use the imports
    printed = capsys.readouterr().out
    (shown,) = blocks("text")
    lines = [line for line in shown.splitlines() if line != "..."]
    assert "\n".join(lines) in printed


def test_the_readme_opens_with_the_two_commands():
    install, test = blocks("sh")[:2]
    assert install.strip() == "pip install . && python -m mixlogit"
    assert test.strip() == 'pip install -e ".[test]" && pytest'
