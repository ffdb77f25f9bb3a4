"""What a term of a formula may say in a file of results, and what it may call.

Terms are Python, and are evaluated on new data. One that comes from a file is evaluated only if it
is built from columns, numbers, strings, operators and the functions listed here, each called with
as many arguments as it takes: none of them reads files, runs code or writes into its arguments,
and numbers stay so small that none of them takes long. What a term may say is checked on its
syntax tree, when a file is written and again when it is read.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import patsy.builtins

from mixlogit.errors import StorageError, listed

__all__ = [
    "CONTRASTS",
    "FUNCTIONS",
    "TRANSFORMS",
    "Function",
    "key_of",
    "require_plain",
]

_LONGEST = 20_000  # letters of a term
_DEEPEST = 100  # operators within operators
_LARGEST_WHOLE = 1 << 62  # so that numpy never leaves its own integers
_LARGEST_POWER = 1_000
_MOST_DIGITS = 300  # to round to


@dataclass(frozen=True, eq=False)
class Function:
    """A function that terms in files may call.

    Parameters
    ----------
    value : callable
    least, most : int
        Numbers of arguments by position.
    keywords : tuple of str
        Arguments by name.
    """

    value: Any
    least: int
    most: int
    keywords: tuple[str, ...] = ()


def _numpy() -> dict[str, Function]:
    """Functions of numpy, whose later positional arguments would be arrays to write into."""
    one = (
        "abs absolute arccos arcsin arctan cbrt ceil cos cosh deg2rad exp exp2 expm1 fabs floor "
        "isfinite isinf isnan log log10 log1p log2 logical_not negative rad2deg reciprocal rint "
        "sign sin sinh sqrt square tan tanh trunc"
    )
    two = (
        "add arctan2 divide equal floor_divide fmax fmin greater greater_equal hypot less "
        "less_equal logaddexp logical_and logical_or logical_xor maximum minimum mod multiply "
        "not_equal power remainder subtract true_divide"
    )
    numbers = dict.fromkeys(one.split(), (1, 1)) | dict.fromkeys(two.split(), (2, 2))
    numbers |= {"clip": (3, 3), "round": (1, 2), "where": (3, 3)}
    return {f"numpy.{name}": Function(getattr(np, name), *n) for name, n in numbers.items()}


FUNCTIONS: dict[str, Function] = {
    "patsy.C": Function(patsy.builtins.C, 1, 3, ("contrast", "levels")),
    "patsy.I": Function(patsy.builtins.I, 1, 1),
    "patsy.Q": Function(patsy.builtins.Q, 1, 1),
    "patsy.Treatment": Function(patsy.builtins.Treatment, 0, 1, ("reference",)),
    "patsy.Sum": Function(patsy.builtins.Sum, 0, 1, ("omit",)),
    "patsy.Poly": Function(patsy.builtins.Poly, 0, 1, ("scores",)),
    "patsy.Helmert": Function(patsy.builtins.Helmert, 0, 0),
    "patsy.Diff": Function(patsy.builtins.Diff, 0, 0),
    "builtins.abs": Function(abs, 1, 1),
    "builtins.round": Function(round, 1, 2),
    **_numpy(),
}
"""By the names that they have in files."""

CONTRASTS = frozenset({"Treatment", "Sum", "Poly", "Helmert", "Diff"})

TRANSFORMS = {
    name: getattr(patsy.builtins, name).__patsy_stateful_transform__
    for name in ("center", "standardize", "bs", "cr", "cc", "te")
}
"""Stateful transforms, by the names that they have in files; scale is standardize."""

_CONSTANTS = {name: float(getattr(np, name)) for name in ("pi", "e", "inf", "nan")}
_POWERS = ("numpy.power",)
_ROUNDING = ("builtins.round", "numpy.round")
_OPERATORS: dict[type, Any] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Pow: lambda a, b: a**b,
}
_LOGICAL = (ast.BitAnd, ast.BitOr, ast.BitXor)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)

_BUILT_IN = {"abs": "builtins.abs", "round": "builtins.round"}  # known without being asked for

Number = int | float | None  # None: not known before there are data


def key_of(value: Any) -> str | None:
    """The name that a function has in files; None if it may not be called.

    Parameters
    ----------
    value : object

    Returns
    -------
    str or None
    """
    return next((key for key, known in FUNCTIONS.items() if known.value is value), None)


def require_plain(
    code: str,
    where: str,
    *,
    columns: Collection[str] | None,
    functions: Mapping[str, str] | None = None,
    modules: Collection[str] = (),
    values: Mapping[str, Any] | None = None,
    transforms: Collection[str] = (),
) -> None:
    """Raise unless an expression says only what it may say in a file.

    Parameters
    ----------
    code : str
        What is evaluated.
    where : str
        What it is called in messages.
    columns : collection of str or None
        Names that are columns; None if any name is one that is not called.
    functions : mapping of str to str, optional
        Names of functions in the code, and in files.
    modules : collection of str
        Names of numpy in the code.
    values : mapping of str to int, float or str, optional
        Names of constants.
    transforms : collection of str
        Names of stateful transforms, of which ``transform`` is called.

    Raises
    ------
    StorageError
        It says something else.
    """
    if len(code) > _LONGEST:
        raise StorageError(f"{where} has more than {_LONGEST:,} letters, so no file can hold it")
    try:
        tree = ast.parse(code, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise StorageError(f"{where} is no expression: {error}") from error
    meanings = [*(columns or ()), *(functions or {}), *modules, *(values or {}), *transforms]
    twice = [name for name, count in Counter(meanings).items() if count > 1]
    if twice:  # what is checked as one could be evaluated as the other
        raise StorageError(
            f"{where} cannot be in a file, because {listed(twice)} has two meanings in it"
        )
    known = {**_BUILT_IN, **(functions or {})}
    of_table = None if columns is None else frozenset(columns)
    check = _Check(where, of_table, known, modules, values or {}, frozenset(transforms))
    check.number(tree.body, 0)


@dataclass(frozen=True, eq=False)
class _Check:
    """A walk over a syntax tree that ends at the first thing that may not be there."""

    where: str
    columns: Collection[str] | None
    functions: Mapping[str, str]
    modules: Collection[str]
    values: Mapping[str, Any]
    transforms: Collection[str]

    def refused(self, what: str) -> StorageError:
        """The error that says what is refused."""
        return StorageError(f"{self.where} cannot be in a file, because it has {what}")

    def number(self, node: ast.expr, depth: int) -> Number:
        """Check what is computed with, and give its value if it is known."""
        if depth > _DEEPEST:
            raise self.refused(f"more than {_DEEPEST} operators within one another")
        if isinstance(node, ast.Constant):
            return self.size(node.value)
        if isinstance(node, ast.Name):
            if node.id in self.values:
                return self.size(self.values[node.id])
            if not self.is_column(node.id):
                raise self.refused(f"the name {node.id!r}")
            return None
        if isinstance(node, ast.Attribute):
            return self.size(_CONSTANTS[self.of_numpy(node, _CONSTANTS)])
        if isinstance(node, ast.UnaryOp):
            return self.unary(node, depth)
        if isinstance(node, ast.BinOp):
            return self.binary(node, depth)
        if isinstance(node, ast.Compare):
            sides = [self.side(side, depth) for side in (node.left, *node.comparators)]
            if not all(isinstance(op, _COMPARISONS) for op in node.ops):
                raise self.refused(f"the comparison {ast.unparse(node)}")
            if None not in sides:
                raise self.refused(f"{ast.unparse(node)}, which has no column")
            return None
        if isinstance(node, ast.Call):
            return self.call(node, depth)
        raise self.refused(f"{ast.unparse(node)} ({type(node).__name__})")

    def size(self, value: Any) -> Number:
        """Check a number."""
        if type(value) not in (int, float):
            raise self.refused(f"{value!r} where a number should be")
        if type(value) is int and abs(value) > _LARGEST_WHOLE:
            raise self.refused("a number as large as that")
        return value

    def is_column(self, name: str) -> bool:
        """Whether a name stands for a column."""
        if self.columns is None:
            return name not in self.functions and name not in self.modules
        return name in self.columns

    def of_numpy(self, node: ast.Attribute, known: Collection[str]) -> str:
        """The name of a member of numpy that may be used."""
        is_numpy = isinstance(node.value, ast.Name) and node.value.id in self.modules
        if not is_numpy or node.attr not in known:
            raise self.refused(ast.unparse(node))
        return node.attr

    def unary(self, node: ast.UnaryOp, depth: int) -> Number:
        """Check a sign or a negation."""
        value = self.number(node.operand, depth + 1)
        if isinstance(node.op, ast.Not) or (isinstance(node.op, ast.Invert) and value is not None):
            raise self.refused(ast.unparse(node))
        return -value if isinstance(node.op, ast.USub) and value is not None else value

    def binary(self, node: ast.BinOp, depth: int) -> Number:
        """Check an operator, and compute with numbers that are known."""
        left, right = self.number(node.left, depth + 1), self.number(node.right, depth + 1)
        kind = type(node.op)
        both = left is not None and right is not None
        if not (kind in _OPERATORS or (kind in _LOGICAL and not both)):
            raise self.refused(ast.unparse(node))
        if kind is ast.Pow:
            self.power(right)
        if left is None or right is None:
            return None
        try:
            if kind is ast.Pow:
                self.size(int(min(abs(float(left) ** float(right)), 2.0**100)))
            value = _OPERATORS[kind](left, right)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise self.refused(f"{ast.unparse(node)}, which is no number") from error
        return self.size(value)

    def power(self, exponent: Number) -> None:
        """Check an exponent."""
        if exponent is not None and not abs(exponent) <= _LARGEST_POWER:
            raise self.refused(f"the exponent {exponent}")

    def side(self, node: ast.expr, depth: int) -> Number | str:
        """Check one side of a comparison."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.Name) and isinstance(self.values.get(node.id), str):
            return node.id
        return self.number(node, depth + 1)

    def call(self, node: ast.Call, depth: int) -> Number:
        """Check a call."""
        called = ast.unparse(node.func)
        by_name = {keyword.arg: keyword.value for keyword in node.keywords}
        if None in by_name or any(isinstance(one, ast.Starred) for one in node.args):
            raise self.refused(f"a call of {called} with * or **")
        if self.is_transform(node.func):
            for one in (*node.args, *by_name.values()):
                self.argument(one, depth + 1)
            return None
        key = self.function(node.func)
        function = FUNCTIONS[key]
        if not function.least <= len(node.args) <= function.most:
            raise self.refused(f"{called} with {len(node.args)} arguments")
        if not set(by_name) <= set(function.keywords):
            raise self.refused(f"{called} with {listed(sorted(set(by_name), key=str))}")
        if key == "patsy.Q":
            self.quoted(node.args[0])
            return None
        if key in ("patsy.C", *(f"patsy.{name}" for name in CONTRASTS)):
            for one in (*node.args, *by_name.values()):
                self.argument(one, depth + 1)
            return None
        sizes = [self.number(one, depth + 1) for one in node.args]
        if key == "patsy.I":
            return sizes[0]
        if all(size is not None for size in sizes) and key.startswith("builtins."):
            raise self.refused(f"{ast.unparse(node)}, which has no column")
        if key in _POWERS:
            self.power(sizes[1])
        if (
            key in _ROUNDING
            and len(sizes) == 2
            and not (isinstance(sizes[1], int) and abs(sizes[1]) <= _MOST_DIGITS)
        ):
            raise self.refused(f"{called} to {ast.unparse(node.args[1])} digits")
        return None

    def is_transform(self, node: ast.expr) -> bool:
        """Whether the transform of a stateful transform is called."""
        return (
            isinstance(node, ast.Attribute)
            and node.attr == "transform"
            and isinstance(node.value, ast.Name)
            and node.value.id in self.transforms
        )

    def function(self, node: ast.expr) -> str:
        """The name in files of a function that is called."""
        if isinstance(node, ast.Name) and node.id in self.functions:
            return self.functions[node.id]
        if isinstance(node, ast.Attribute):
            members = [key.removeprefix("numpy.") for key in FUNCTIONS if key.startswith("numpy.")]
            return f"numpy.{self.of_numpy(node, members)}"
        raise self.refused(f"a call of {ast.unparse(node)}")

    def quoted(self, node: ast.expr) -> None:
        """Check the name of a column in Q."""
        name = node.value if isinstance(node, ast.Constant) else None
        if not isinstance(name, str) or not (self.columns is None or name in self.columns):
            raise self.refused(f"Q({ast.unparse(node)}), which is no column")

    def argument(self, node: ast.expr, depth: int) -> None:
        """Check what only a transform or C takes: words, lists, contrasts."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bool | None):
            return
        if isinstance(node, (ast.List, ast.Tuple)):
            for one in node.elts:
                self.argument(one, depth + 1)
            return
        if isinstance(node, ast.Name) and isinstance(self.values.get(node.id), str | bool):
            return
        name = node.id if isinstance(node, ast.Name) and not self.is_column(node.id) else ""
        if self.functions.get(name, "").removeprefix("patsy.") not in CONTRASTS:
            self.number(node, depth + 1)
