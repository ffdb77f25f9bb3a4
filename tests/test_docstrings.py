"""Docstrings: what is public says what each of its arguments is, in the order of the arguments."""

from __future__ import annotations

import dataclasses
import inspect
import pkgutil
import re
from importlib import import_module
from types import FunctionType

import pytest

import mixlogit
from mixlogit import MixedMultinomialLogit, MixedMultinomialLogitResults, datasets

MODULES = sorted(
    module.name for module in pkgutil.iter_modules(mixlogit.__path__) if module.name[0] != "_"
)


def documented(text: str) -> list[str]:
    """Names in the section of parameters of a docstring, in order."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.M | re.S)
    entries = re.findall(r"^(\S[^:\n]*?)(?: :.*)?$", section[1], re.M) if section else []
    return [name for entry in entries for name in entry.split(", ")]


def arguments(function: object) -> list[str]:
    """Names of arguments as a docstring writes them, but for those that are private."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [
        stars.get(parameter.kind, "") + name
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in ("self", "cls") and not name.startswith("_")
    ]


def own_methods(kind: type) -> list[tuple[str, FunctionType]]:
    """Public methods that the package writes."""
    found = []
    for name in dir(kind):
        method = inspect.getattr_static(kind, name)
        method = method.__func__ if isinstance(method, classmethod | staticmethod) else method
        is_own = isinstance(method, FunctionType) and method.__module__.startswith("mixlogit")
        if is_own and not name.startswith("_"):
            found.append((f"{kind.__name__}.{name}", method))
    return found


def has_arguments_of_its_own(kind: type) -> bool:
    is_protocol = getattr(kind, "_is_protocol", False)
    return not is_protocol and ("__init__" in vars(kind) or dataclasses.is_dataclass(kind))


def public(module: str) -> list[tuple[str, object, str]]:
    """Name, what is called, and docstring, of all that is public in a module."""
    found = []
    whole = import_module(f"mixlogit.{module}")
    for name in getattr(whole, "__all__", ()):
        value = getattr(whole, name)
        if getattr(value, "__module__", None) != whole.__name__:
            continue
        if isinstance(value, FunctionType):
            found.append((name, value, inspect.getdoc(value)))
        elif isinstance(value, type):
            if has_arguments_of_its_own(value) and not issubclass(value, Exception):
                found.append((name, value.__init__, inspect.cleandoc(value.__doc__ or "")))
            found += [(n, method, inspect.getdoc(method)) for n, method in own_methods(value)]
    return found


@pytest.mark.parametrize("module", MODULES)
def test_sections_of_parameters_name_the_arguments_in_their_order(module):
    for name, value, text in public(module):
        if text and documented(text):
            assert documented(text) == arguments(value), name


def called_by_analysts() -> list[tuple[str, FunctionType]]:
    """Functions of `mixlogit` itself, and methods of models and results."""
    values = [getattr(mixlogit, name) for name in mixlogit.__all__]
    functions = [value for value in [*values, datasets.load] if isinstance(value, FunctionType)]
    methods = [
        (name, method)
        for kind in (MixedMultinomialLogit, MixedMultinomialLogitResults)
        for name, method in own_methods(kind)
    ]
    return [*((function.__name__, function) for function in functions), *methods]


@pytest.mark.parametrize(("name", "function"), called_by_analysts())
def test_what_analysts_call_says_what_its_arguments_are(name, function):
    assert documented(inspect.getdoc(function) or "") == arguments(function)


def test_the_reader_of_docstrings_finds_names_types_and_several_at_once():
    section = "Parameters\n----------\na, b : int\n    Two: these.\n*c\n"
    text = f"Do it.\n\n{section}\nReturns\n-------\nfloat"
    assert documented(text) == ["a", "b", "*c"]
