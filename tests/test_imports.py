"""The arrow of imports, read off the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import mixlogit

PACKAGE = Path(mixlogit.__file__).parent
ORDER = [
    "errors",
    "arguments",
    "progress",
    "attributes",
    "archive",
    "labels",
    "arrangement",
    "spelled",
    "columns",
    "chosen",
    "entries",
    "people",
    "weighting",
    "identification",
    "offsets",
    "class_sets",
    "choices",
    "withheld",
    "chunks",
    "splines",
    "individuals",
    "replay",
    "grammar",
    "design",
    "slopes",
    "points",
    "utility",
    "formula",
    "terms",
    "arrays",
    "reshape",
    "rankings",
    "datasets",
    "newton",
    "constants",
    "threads",
    "axes",
    "layouts",
    "blocks",
    "logit",
    "membership",
    "constraints",
    "likelihood",
    "curvature",
    "em",
    "optima",
    "race",
    "split_merge",
    "moments",
    "atoms",
    "pooled",
    "candidates",
    "starts",
    "incumbent",
    "separation",
    "certificate",
    "estimation",
    "records",
    "covariance",
    "uncertainty",
    "summary",
    "plotting",
    "postestimation",
    "demand",
    "valuation",
    "tastes",
    "forecasts",
    "responses",
    "willingness",
    "welfare",
    "figures",
    "inference",
    "nested",
    "results",
    "model",
    "storage",
    "simulate",
    "comparison",
    "growth",
    "bootstrap",
    "cross_validation",
    "selection",
    "command",
]
OUTSIDE = {"numpy", "scipy", "pandas", "patsy", "statsmodels", "threadpoolctl"}
# of one module each, and not when it is imported
OPTIONAL = {"plotting": {"matplotlib"}, "progress": {"tqdm"}}
STANDARD = {  # of the standard library
    *("ast", "builtins", "collections", "contextlib", "copy", "csv", "dataclasses", "difflib"),
    *("functools", "gzip", "html", "importlib", "inspect", "io", "itertools", "keyword", "math"),
    *("numbers", "pickle", "re", "sys", "textwrap", "types", "typing", "unicodedata", "warnings"),
    *("abc", "argparse", "concurrent", "contextvars", "datetime", "multiprocessing", "os"),
    *("json", "pathlib", "shutil", "signal", "tempfile", "threading", "time", "weakref"),
    "zipfile",
    "__future__",
}


def imported(tree: ast.Module) -> set[str]:
    """Modules that a file imports when it runs, not those for type checking alone."""
    found = set()
    skipped = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and ast.unparse(test.test) == "TYPE_CHECKING"
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            base = node.module or ""
            found |= {f"mixlogit.{a.name}" for a in node.names} if base == "mixlogit" else {base}
    return found


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.glob("*.py") if not path.name.startswith("__"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_imports_point_up_the_list(path):
    assert path.stem in ORDER, "a new module needs a place in the order"
    allowed = {f"mixlogit.{name}" for name in ORDER[: ORDER.index(path.stem)]}
    for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
        if name.startswith("mixlogit"):
            assert name in allowed, f"{path.stem} must not import {name}"
        else:
            known = OUTSIDE | STANDARD | OPTIONAL.get(path.stem, set())
            assert name.split(".")[0] in known


def loaded(program: str) -> set[str]:
    """Modules that a process of its own has after a program."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.split())


def test_importing_everything_leaves_what_is_optional_alone():
    program = "; ".join(f"import mixlogit.{path.stem}" for path in modules())
    assert not loaded(program) & set().union(*OPTIONAL.values())


def test_the_import_adds_hardly_anything_to_that_of_statsmodels():
    seen = loaded("from mixlogit import MixedMultinomialLogit")
    # what a fit does not need
    unneeded = {"bootstrap", "datasets", "selection", "simulate", "storage"}
    assert not seen & {"scipy.cluster", "multiprocessing", *(f"mixlogit.{m}" for m in unneeded)}
    added = {name.split(".")[0] for name in seen - loaded("import statsmodels.api")}
    # older versions of NumPy and statsmodels load fewer small modules themselves
    small = {"html", "ctypes", "concurrent", "importlib", "queue", "_queue", "numpy"}
    assert {"mixlogit", "threadpoolctl"} <= added <= {"mixlogit", "threadpoolctl"} | small


@pytest.mark.parametrize("name", mixlogit.__all__)
def test_public_names_come_when_they_are_asked_for(name):
    assert name in dir(mixlogit)
    value = getattr(mixlogit, name)
    if isinstance(value, type | FunctionType):  # not the version, nor the module of surveys
        assert value.__name__ == name
        assert value is getattr(sys.modules[value.__module__], name)


def test_the_page_on_extending_lists_every_module_in_this_order():
    page = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
    table = page.partition("## The modules")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.M) == ORDER


def test_names_that_do_not_exist_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'MixedLogit'"):
        _ = mixlogit.MixedLogit


def test_every_module_of_the_order_exists():
    assert {path.stem for path in modules()} | {"datasets"} == set(ORDER)


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_every_public_name_exists(path):
    module = __import__(f"mixlogit.{path.stem}", fromlist=["*"])
    for name in getattr(module, "__all__", ()):
        assert hasattr(module, name)
