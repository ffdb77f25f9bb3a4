"""The pages of the documentation: their code runs, their links lead somewhere, none is left out."""

from __future__ import annotations

import ast
import pkgutil
import re
import runpy
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import pytest

import mixlogit
from mixlogit import errors

TOP = Path(__file__).parents[1]
DOCS = TOP / "docs"
PAGES = sorted(
    page
    for page in DOCS.rglob("*.md")
    if not {"_build", "generated"} & set(page.relative_to(DOCS).parts)
)
FENCE = re.compile(
    r"^(?P<mark>`{3,}|:{3,})(?P<kind>[^\n`]*)\n(?P<body>.*?)^(?P=mark)[ ]*$", re.M | re.S
)
HEAD = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n"


class Cell(NamedTuple):
    """A code cell and the line of the page that its code begins on."""

    line: int
    code: str


def named(page: Path) -> str:
    """A page as a reader of the repository names it."""
    return page.relative_to(TOP).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def cells(text: str) -> list[Cell]:
    """Code cells of a page in order; their options, lines like ``:tags: [...]``, are blanked."""
    found = []
    for fence in FENCE.finditer(text):
        if fence["kind"].startswith("{code-cell}"):
            code = re.sub(
                r"\A(?:[ ]*:[a-z-]+:[^\n]*\n)+", lambda m: "\n" * m[0].count("\n"), fence["body"]
            )
            found.append(Cell(text.count("\n", 0, fence.start("body")) + 1, code))
    return found


def prose(text: str) -> str:
    """A page without its code."""
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", FENCE.sub("", text), flags=re.S)


def run(page: Path, cell: Cell, namespace: dict[str, object]) -> None:
    """Run a cell as a notebook does, which also writes out the value of a last expression."""
    tree = ast.parse("\n" * (cell.line - 1) + cell.code, str(page))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(page), "exec"), namespace)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), str(page), "eval"), namespace)
        if value is not None and not cell.code.rstrip().endswith(";"):
            getattr(value, "_repr_html_", value.__repr__)()


def line_of(error: BaseException, page: Path) -> int | None:
    """The line of a page that an error comes from."""
    if isinstance(error, SyntaxError) and error.filename == str(page):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno for f in reversed(frames) if f.filename == str(page)), None)


@pytest.mark.parametrize("page", [p for p in PAGES if cells(text_of(p))], ids=named)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for cell in cells(text_of(page)):
        try:
            run(page, cell, namespace)
        except Exception as error:
            what = "".join(traceback.format_exception_only(error)).strip()
            pytest.fail(f"{named(page)}, line {line_of(error, page)}: {what}")
        finally:
            plt.close("all")


def test_the_test_of_pages_names_the_line_of_what_fails(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```{code-cell} python\n:tags: [hide-input]\nx = 1\nx / 0\n```\n")
    (cell,) = cells(text_of(page))
    with pytest.raises(ZeroDivisionError) as caught:
        run(page, cell, {})
    assert line_of(caught.value, page) == 6


@pytest.mark.parametrize("page", [p for p in PAGES if "{code-cell}" in text_of(p)], ids=named)
def test_pages_with_code_say_so_in_their_head(page):
    assert text_of(page).startswith(HEAD)


def test_every_page_is_in_a_table_of_contents():
    listed = {DOCS / "index.md"}
    for page in PAGES:
        for fence in FENCE.finditer(text_of(page)):
            if fence["kind"].strip() == "{toctree}":
                lines = [line.strip() for line in fence["body"].splitlines()]
                listed |= {page.parent / f"{x}.md" for x in lines if x and not x.startswith(":")}
    assert set(PAGES) <= listed


@pytest.mark.parametrize("page", [TOP / "README.md", *PAGES], ids=named)
def test_links_name_files_that_exist(page):
    links = re.findall(r"\]\(<?([^)\s>#]+)", prose(text_of(page)))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_references_to_the_package_name_what_exists(page):
    roles = r"\{(?:class|meth|func|exc|mod)\}`~?([\w.]+)`"
    for name in re.findall(roles, FENCE.sub("", text_of(page))):
        try:
            pkgutil.resolve_name(name)
        except (AttributeError, ImportError):
            pytest.fail(f"{named(page)}: there is no {name}")


def public(value: object) -> set[str]:
    return {name for name in dir(value) if not name.startswith("_")}


def test_the_reference_has_every_public_name(electricity):
    text = text_of(DOCS / "api.md")
    listed = set(re.findall(r"^ +(\w+)$", text, flags=re.M))  # of mixlogit itself
    marked = {*listed, *re.findall(r"`(?:mixlogit\.)?(\w+)`", text)}
    assert set(mixlogit.__all__) <= marked
    raised = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
    assert raised == set(re.findall(r"autoexception:: (\w+)", text))
    for value in (electricity.model, electricity._results):
        own = set(re.findall(rf"\b{type(value).__name__}\.(\w+)", text))
        assert public(value) | public(type(value)) <= marked | own


def test_the_page_on_what_misbehaves_lists_every_error_and_warning_with_what_else_it_is():
    text = text_of(DOCS / "misbehaves.md").partition("## All errors and warnings")[2]
    listed = dict(re.findall(r"^\| `(\w+)` \| .* \| `(\w+)` \|$", text, flags=re.M))
    kinds = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert set(listed) == {name for name in errors.__all__ if name in kinds}
    for name, other in listed.items():
        assert other in [parent.__name__ for parent in kinds[name].__mro__[1:]]


def test_the_figure_of_the_readme_is_drawn_by_its_command(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["figures.py", "--folder", str(tmp_path)])
    runpy.run_path(str(DOCS / "figures.py"), run_name="__main__")
    plt.close("all")
    assert {path.name for path in tmp_path.iterdir()} == {"wtp.png"}
    assert "](docs/figures/wtp.png)" in text_of(TOP / "README.md")
