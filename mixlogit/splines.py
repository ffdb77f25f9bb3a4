"""B-splines in the terms of a formula: how far they reach.

patsy's ``bs`` cannot be evaluated beyond its outer knots, which are the smallest and largest values
that it was learned from unless the formula says otherwise.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from patsy.splines import BS

__all__ = ["Reach", "reaches"]


@dataclass(frozen=True)
class Reach:
    """A B-spline within a term.

    Parameters
    ----------
    argument : str
        Code of what it is a spline in.
    lower, upper : float
        Outer knots.
    """

    argument: str
    lower: float
    upper: float


def reaches(eval_code: str, transforms: Mapping[str, Any]) -> tuple[Reach, ...]:
    """Find the B-splines in the code of a term.

    Parameters
    ----------
    eval_code : str
        As patsy writes it, with ``name.transform(x, ...)`` for each stateful transform.
    transforms : mapping of str to object
        The transforms by their names, with what they have learned.

    Returns
    -------
    tuple of Reach
    """
    names = {name for name, transform in transforms.items() if isinstance(transform, BS)}
    if not names:
        return ()
    calls = [node for node in ast.walk(ast.parse(eval_code, mode="eval")) if _is_of(node, names)]
    return tuple(_reach(call, transforms) for call in calls if isinstance(call, ast.Call))


def _is_of(node: ast.AST, names: set[str]) -> bool:
    """Whether a piece of code calls one of these transforms."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in names
    )


def _reach(call: ast.Call, transforms: Mapping[str, Any]) -> Reach:
    """The argument of a call, and the knots of its transform."""
    assert isinstance(call.func, ast.Attribute)
    assert isinstance(call.func.value, ast.Name)
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    knots = transforms[call.func.value.id]._all_knots
    argument = call.args[0] if call.args else given["x"]
    return Reach(ast.unparse(argument), float(knots[0]), float(knots[-1]))
