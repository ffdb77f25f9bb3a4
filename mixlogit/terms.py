"""Formulas that have been learned, as plain data and back: what replays them on new data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from types import ModuleType
from typing import Any

import numpy as np

from mixlogit.archive import Archive, Arrays, Record
from mixlogit.chosen import CHOICE_RULES
from mixlogit.class_sets import ClassSets
from mixlogit.columns import Columns
from mixlogit.design import Design
from mixlogit.errors import StorageError
from mixlogit.formula import ChoiceFormula
from mixlogit.grammar import FUNCTIONS, TRANSFORMS, key_of, require_plain
from mixlogit.labels import value_of, value_record
from mixlogit.replay import Expression, Factor, Subterm

__all__ = ["formula_of", "formula_record"]

_ROLES = tuple(field.name for field in fields(Columns))
_MOST_KNOTS = 1_000
_LARGEST = 1 << 62  # whole number among constants
_ADVICE = (
    "A file holds terms of columns, numbers, + - * / // % **, comparisons, & | ~, the functions "
    "C, I, Q, center, standardize, scale, bs, cr, cc, te, abs and round, and those of numpy that "
    "work number by number, such as np.log. Add the term to the table as a column, or use save in "
    "Python, which writes a pickle."
)


@contextmanager
def _advised() -> Iterator[None]:
    """Tell who writes a file what to do about a term that cannot be in it."""
    try:
        yield
    except StorageError as error:
        raise StorageError(f"{error}. {_ADVICE}") from error


def _wide_record(values: Any) -> dict[str, list[float]]:
    """Numbers with more digits than float64, as two each that add up to them."""
    wide = np.asarray(values)
    high = wide.astype(np.float64)
    return {"high": high.tolist(), "low": (wide - high).astype(np.float64).tolist()}


def _wide_of(record: Record, key: str) -> np.ndarray:
    high = record.part(key).numbers("high")
    low = record.part(key).numbers("low", len(high))
    return np.asarray(high, dtype=np.longdouble) + np.asarray(low, dtype=np.longdouble)


def _knots_of(record: Record) -> np.ndarray:
    knots = np.asarray(record.numbers("knots"))
    if not 0 < len(knots) <= _MOST_KNOTS or (np.diff(knots) < 0).any():
        raise StorageError(f"the knots of a spline are not 1 to {_MOST_KNOTS:,} ascending numbers")
    return knots


def _transform_record(transform: Any, arrays: Arrays, name: str) -> dict[str, Any] | None:
    """What a stateful transform has learned; None if it is not one of patsy's."""
    kind = next((key for key, known in TRANSFORMS.items() if type(transform) is known), None)
    own: dict[str, Any]
    if kind == "center":
        own = {"sum": _wide_record(transform._sum), "count": int(transform._count)}
    elif kind == "standardize":
        own = {
            "count": int(transform.current_n),
            "mean": _wide_record(transform.current_mean),
            "squares": _wide_record(transform.current_M2),
        }
    elif kind == "bs":
        own = {
            "degree": int(transform._degree),
            "knots": np.asarray(transform._all_knots, dtype=float).tolist(),
        }
    elif kind is not None:  # splines of mgcv
        own = {"has_constraints": transform._constraints is not None}
        if kind != "te":
            own["knots"] = np.asarray(transform._all_knots, dtype=float).tolist()
        if transform._constraints is not None:
            arrays[name] = np.asarray(transform._constraints, dtype=float)
    else:
        return None
    return {"kind": kind, **own}


def _transform_of(file: Archive, record: Record, name: str) -> Any:
    """A stateful transform that has learned already."""
    kind = record.text("kind", tuple(TRANSFORMS))
    transform = TRANSFORMS[kind]()
    if kind == "center":
        transform._sum = _wide_of(record, "sum")
        transform._count = record.integer("count", 1)
    elif kind == "standardize":
        transform.current_n = record.integer("count", 1)
        transform.current_mean = _wide_of(record, "mean")
        transform.current_M2 = _wide_of(record, "squares")
    elif kind == "bs":
        transform._degree = record.integer("degree", 0, 100)
        transform._all_knots = _knots_of(record)
    else:
        if kind != "te":
            transform._all_knots = _knots_of(record)
        if record.flag("has_constraints"):
            transform._constraints = file.floats(name, (None, None))
    return transform


def _variable_record(value: Any) -> dict[str, Any] | None:
    """A function, module or constant of the calling code; None if it is something else."""
    if isinstance(value, ModuleType):
        return {"module": "numpy"} if value is np else None
    key = key_of(value)
    if key is not None:
        return {"function": key}
    if isinstance(value, np.generic):
        value = value.item()
    is_plain = type(value) in (bool, str) or (
        type(value) in (int, float) and math.isfinite(value) and abs(value) <= _LARGEST
    )
    return {"value": value} if is_plain else None


def _expression_record(expression: Expression, arrays: Arrays, name: str) -> dict[str, Any]:
    """The code of a factor, once it says only what it may say."""
    where = f"The term {expression.code} of {expression.where}"
    variables: dict[str, Any] = {}
    transforms: dict[str, Any] = {}
    for key, value in expression.variables.items():
        if key in expression.columns:
            continue
        variables[key] = _variable_record(value)
        if variables[key] is None:
            raise StorageError(
                f"{where} cannot be in a file, because it has {key!r}, a {type(value).__name__}"
            )
    for i, (key, value) in enumerate(expression.transforms.items()):
        transforms[key] = _transform_record(value, arrays, f"{name}.transform{i}")
        if transforms[key] is None:
            raise StorageError(
                f"{where} cannot be in a file, because it has the transform {type(value).__name__}"
            )
    record = {
        "code": expression.code,
        "eval_code": expression.eval_code,
        "columns": list(expression.columns),
        "variables": variables,
        "transforms": transforms,
    }
    _checked_variables(Record(record, where), where)
    return record


def _checked_variables(record: Record, where: str) -> dict[str, Any]:
    """Functions, modules and constants of an expression, once its code is found to be plain."""
    given = record.part("variables")
    found: dict[str, Any] = {}
    functions, modules, values = {}, [], {}
    for name in given.values:
        part = given.part(name)
        if part.has("function"):
            functions[name] = part.text("function", tuple(FUNCTIONS))
            found[name] = FUNCTIONS[functions[name]].value
        elif part.has("module"):
            part.text("module", ("numpy",))
            modules.append(name)
            found[name] = np
        else:
            found[name] = values[name] = value_of(part.values.get("value"), where)
    require_plain(
        record.text("eval_code"),
        where,
        columns=record.texts("columns"),
        functions=functions,
        modules=modules,
        values=values,
        transforms=tuple(record.part("transforms").values),
    )
    return found


def _expression_of(file: Archive, record: Record, name: str, where: str) -> Expression:
    """Code that may be evaluated, because it says only what it may say."""
    code = record.text("code")
    variables = _checked_variables(record, f"The term {code} of {where}")
    transforms = record.part("transforms")
    return Expression(
        code=code,
        eval_code=record.text("eval_code"),
        columns=record.texts("columns"),
        transforms={
            key: _transform_of(file, transforms.part(key), f"{name}.transform{i}")
            for i, key in enumerate(transforms.values)
        },
        variables=variables,
        flags=0,
        where=where,
    )


def _design_record(design: Design, arrays: Arrays, name: str) -> dict[str, Any]:
    """The right-hand side of a formula."""
    factors = []
    for i, factor in enumerate(design._factors):
        with _advised():
            own = _expression_record(factor.expression, arrays, f"{name}.factor{i}")
        if factor.levels is not None:
            what = f"The level of the term {factor.expression.code} of {factor.expression.where},"
            own["levels"] = [value_record(level, what) for level in factor.levels]
        else:
            own["n_columns"] = int(factor.n_columns or 0)
        factors.append(own)
    subterms = []
    for i, subterm in enumerate(design._subterms):
        pieces = []
        for j, (position, contrasts) in enumerate(subterm.pieces):
            pieces.append({"factor": position, "has_contrasts": contrasts is not None})
            if contrasts is not None:
                arrays[f"{name}.subterm{i}.contrasts{j}"] = contrasts[:-1]  # the last row is nan
        subterms.append({"n_columns": subterm.stop - subterm.start, "pieces": pieces})
    return {
        "formula": design.formula,
        "role": design.role,
        "names": list(design.names),
        "columns": list(design.columns),
        "factors": factors,
        "subterms": subterms,
    }


def _design_of(file: Archive, record: Record, name: str) -> Design:
    """The right-hand side of a formula, ready to be evaluated on new data."""
    formula, role = record.text("formula"), record.text("role")
    names, columns = record.texts("names"), record.texts("columns")
    known = frozenset(columns)
    factors = []
    for i, own in enumerate(record.parts("factors")):
        expression = _expression_of(file, own, f"{name}.factor{i}", f'the {role} "{formula}"')
        if not expression.columns or not known.issuperset(expression.columns):
            raise StorageError(f"a term of the {role} reads columns that the {role} does not")
        levels = None
        if own.has("levels"):
            levels = tuple(value_of(one, "a level") for one in own.items("levels"))
        n_columns = own.integer("n_columns", 1, len(names)) if levels is None else None
        factors.append(Factor(expression, levels, n_columns))
    subterms, stop = [], 0
    for i, own in enumerate(record.parts("subterms")):
        start, stop = stop, stop + own.integer("n_columns", 0, len(names))
        pieces: list[tuple[int, np.ndarray | None]] = []
        n_columns = 1
        for j, piece in enumerate(own.parts("pieces")):
            position = piece.integer("factor", 0, len(factors) - 1)
            factor, contrasts = factors[position], None
            if piece.flag("has_contrasts") != (factor.levels is not None):
                raise StorageError(f"a term of the {role} is both of numbers and of categories")
            if factor.levels is not None:
                shape = len(factor.levels), None
                contrasts = file.floats(f"{name}.subterm{i}.contrasts{j}", shape)
                contrasts = np.vstack([contrasts, np.full(contrasts.shape[1], np.nan)])
            n_columns *= factor.n_columns or 0 if contrasts is None else contrasts.shape[1]
            pieces.append((position, contrasts))
        if n_columns != stop - start:
            raise StorageError(f"a term of the {role} has {n_columns:,} columns, and names others")
        subterms.append(Subterm(start, stop, tuple(pieces)))
    if stop != len(names):
        raise StorageError(f"the terms of the {role} have {stop:,} columns, and names others")
    return Design(formula, names, columns, role, tuple(factors), tuple(subterms))


def _optional_design_of(file: Archive, record: Record, name: str) -> Design | None:
    """A formula that need not be there."""
    return _design_of(file, record.part(name), name) if record.has(name) else None


def formula_record(spec: ChoiceFormula, arrays: Arrays) -> dict[str, Any]:
    """Write what turns a table into choice sets.

    Parameters
    ----------
    spec : ChoiceFormula
    arrays : dict
        To which its arrays are added.

    Returns
    -------
    dict

    Raises
    ------
    StorageError
        A term says more than `mixlogit.grammar` lets it say.
    """
    with _advised():
        _require_plain_choice(spec.choice)
    names = vars(spec.columns)
    gate = spec.membership
    return {
        "formula": spec.formula,
        "choice": spec.choice,
        "utility": _design_record(spec.utility, arrays, "utility"),
        "membership": None if gate is None else _design_record(gate, arrays, "membership"),
        "person": None if spec.person is None else _design_record(spec.person, arrays, "person"),
        "columns": {
            role: None if names[role] is None else value_record(names[role], f"The {role} column")
            for role in _ROLES
        },
        "rule": spec.rule,
        "class_sets": None if spec.class_sets is None else _class_sets_record(spec.class_sets),
    }


def _class_sets_record(class_sets: ClassSets) -> dict[str, Any]:
    """Which rows some classes have."""
    rules: list[dict[str, Any]] = []
    for k, rule in class_sets.rules:
        if isinstance(rule, str):
            with _advised():
                _require_plain_rule(rule)
            rules.append({"class": k, "expression": rule})
        else:
            ids = [value_record(one, "An alternative in available_in") for one in rule]
            rules.append({"class": k, "alternatives": ids})
    return {"n_classes": class_sets.n_classes, "rules": rules}


def _class_sets_of(record: Record) -> ClassSets:
    """Which rows some classes have."""
    n_classes = record.integer("n_classes", 1)
    rules: list[tuple[int, Any]] = []
    for part in record.parts("rules"):
        k = part.integer("class", 0, n_classes - 1)
        if part.has("expression"):
            rule = part.text("expression")
            _require_plain_rule(rule)
            rules.append((k, rule))
        else:
            alternatives = part.items("alternatives")
            rules.append((k, tuple(value_of(one, "an alternative") for one in alternatives)))
    return ClassSets(tuple(rules), n_classes)


def _require_plain_rule(rule: str) -> None:
    """Raise if an expression of columns says what it may not say."""
    _require_plain_side(rule, f"The expression {rule!r} of available_in")


def formula_of(file: Archive, record: Record) -> ChoiceFormula:
    """Read what turns a table into choice sets.

    Parameters
    ----------
    file : Archive
    record : Record

    Returns
    -------
    ChoiceFormula
        Whose terms say only what `mixlogit.grammar` lets them say.
    """
    choice = record.text("choice")
    _require_plain_choice(choice)
    columns = record.part("columns")
    return ChoiceFormula(
        formula=record.text("formula"),
        choice=choice,
        utility=_design_of(file, record.part("utility"), "utility"),
        membership=_optional_design_of(file, record, "membership"),
        columns=Columns(
            **{role: value_of(columns.values.get(role), f"the {role} column") for role in _ROLES}
        ),
        rule=record.text("rule", CHOICE_RULES) if record.has("rule") else None,
        person=_optional_design_of(file, record, "person"),
        class_sets=_class_sets_of(record.part("class_sets")) if record.has("class_sets") else None,
    )


def _require_plain_choice(choice: str) -> None:
    """Raise if the left side is an expression that says what it may not say."""
    _require_plain_side(choice, f"The left side {choice!r} of the formula")


def _require_plain_side(code: str, where: str) -> None:
    """Raise if the name of a column, or an expression of columns, says what it may not say."""
    if code.isidentifier():
        return
    try:
        compile(code, "<expression>", "eval", dont_inherit=True)
    except (SyntaxError, ValueError):
        return  # the name of a column: as an expression it cannot be evaluated
    require_plain(code, where, columns=None, functions={"I": "patsy.I", "Q": "patsy.Q"})
