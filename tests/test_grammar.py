"""What a term of a formula may say in a file: all that analysts write, nothing that does harm."""

from __future__ import annotations

import numpy as np
import patsy.builtins
import pytest

from mixlogit.errors import StorageError
from mixlogit.grammar import FUNCTIONS, key_of, require_plain

COLUMNS = ("x", "y", "alt", "my cost")
FUNCTION_NAMES = {name: f"patsy.{name}" for name in ("C", "I", "Q", "Treatment", "Sum", "Poly")}
FUNCTION_NAMES |= {"log": "numpy.log", "sqrt": "numpy.sqrt"}
TRANSFORM = "_patsy_stobj0__center__"


def check(code, columns=COLUMNS):
    require_plain(
        code,
        f"The term {code}",
        columns=columns,
        functions=FUNCTION_NAMES,
        modules=["np"],
        values={"TEN": 10, "CAR": "car"},
        transforms=[TRANSFORM],
    )


@pytest.mark.parametrize(
    "code",
    [
        *("x", "I(x / 100)", "I(-x + 2 * y)", "I(x ** 2)", "I(x ** 0.5)", "I(x // 10 % 3)"),
        *("np.log(x)", "log(x + 1)", "sqrt(x)", "np.where(x > 0, x, 0)", "np.maximum(x, 0)"),
        *("np.clip(x, 0, 1e6)", "np.round(x, 2)", "abs(x)", "round(x, 1)", "np.power(x, 3)"),
        *("I((alt == 'car') * x)", "I((x > 0) & ~(y < 1))", "I(0 < x)", "I(alt != CAR)"),
        *("C(alt)", "C(alt, Treatment('car'))", "C(alt, Treatment(reference=2))", "C(alt, Sum)"),
        *("C(alt, levels=['car', 'bus'])", "C(alt, Poly(scores=[1, 2.5, -4]))", "C(alt == 'car')"),
        *("Q('my cost')", "np.log(Q('my cost'))", "I(x / 10**6)", "I(x * (2 - 0.5) / 3)"),
        *("I(x / TEN)", "I(x / np.pi)", "C(alt, Treatment(CAR))", "I(x / np.log(2))"),
        f"{TRANSFORM}.transform(x)",
        f"{TRANSFORM}.transform(np.log(x + 1), df=4, knots=[1, 2], constraints='center')",
        " + ".join(["x"] * 50),
    ],
)
def test_arithmetic_on_columns_may_be_said(code):
    check(code)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("__import__('os').system('true')", "it has __import__"),
        ("open('file')", "call of open"),
        ("eval('x')", "call of eval"),
        ("x.to_pickle('file')", "x.to_pickle"),
        ("x.clip(0, 1)", "x.clip"),
        ("().__class__", r"\(\).__class__"),
        ("x.__class__", "x.__class__"),
        ("np.load('file')", "np.load"),
        ("np.fromfile('file')", "np.fromfile"),
        ("np.random.rand()", "np.random.rand"),
        ("np.linalg", "np.linalg"),
        ("np", "the name 'np'"),
        ("log", "the name 'log'"),
        ("unknown", "the name 'unknown'"),
        ("unknown(x)", "call of unknown"),
        ("log(x)(y)", r"call of log\(x\)"),
        ("[x][0]", "Subscript"),
        ("x[0]", "Subscript"),
        ("(lambda: 1)()", "lambda"),
        ("[a for a in x]", "ListComp"),
        ("(x := 1)", "NamedExpr"),
        ("f'{x}'", "JoinedStr"),
        ("x if y else x", "IfExp"),
        ("x and y", "BoolOp"),
        ("not x", "not x"),
        ("x @ y", "x @ y"),
        ("x << 9", "x << 9"),
        ("x in y", "comparison"),
        ("'a' * 9", "'a' where a number"),
        ("I([1] * 9)", "List"),
        ("I(None)", "None where a number"),
        ("1j * x", "1j where a number"),
        ("log(x, y)", "log with 2 arguments"),
        ("np.add(x, y, x)", "np.add with 3 arguments"),
        ("np.log(x, out=x)", "np.log with 'out'"),
        ("np.add(x, y, dtype='O')", "np.add with 'dtype'"),
        ("log(*x)", r"with \* or \*\*"),
        ("log(**x)", r"with \* or \*\*"),
        ("C(alt, log)", "the name 'log'"),
        ("Q('__builtins__')", "no column"),
        ("Q(x)", "no column"),
        ("9**9**9**9", "number as large|exponent"),
        ("x ** 9999", "exponent 9999"),
        ("x ** (999 + 999)", "exponent 1998"),
        ("np.power(x, 10**9)", "exponent 1000000000"),
        ("I(10**17 * 10**17 * x)", "number as large"),
        ("I(1 / 0)", "no number"),
        ("(-8) ** 0.5 * x", "where a number"),
        ("round(5, -10**9)", "no column"),
        ("round(x, -10**9)", "-10 \\*\\* 9 digits"),
        ("round(x, y)", "y digits"),
        ("I(1 == 1)", "no column"),
        (f"{TRANSFORM}.memorize_chunk(x)", "memorize_chunk"),
        (f"{TRANSFORM}.__class__", "__class__"),
        (f"{TRANSFORM}.transform(open('file'))", "call of open"),
        ("x.transform(y)", "x.transform"),
        ("-" * 300 + "x", "within one another"),
        ("x +", "no expression"),
        ("x; y", "no expression"),
        ("import os", "no expression"),
        ("x\0", "no expression"),
        ("x + " * 20_000 + "x", "20,000 letters"),
        ("(" * 5000 + "x" + ")" * 5000, "no expression"),
    ],
)
def test_everything_else_may_not(code, what):
    with pytest.raises(StorageError, match=what):
        check(code)


def test_a_name_has_one_meaning():
    for names in (
        {"columns": ["x", "np"], "modules": ["np"]},
        {"columns": ["x", "f"], "functions": {"f": "numpy.log"}},
        {"columns": ["x", "f"], "values": {"f": 1}},
        {"columns": ["x"], "modules": ["np"], "transforms": ["np"]},
    ):
        with pytest.raises(StorageError, match="has two meanings"):
            require_plain("x", "It", **names)


def test_on_the_left_any_name_is_a_column_but_none_is_called():
    check("chosen == alternative", columns=None)
    check("I(chosen == 1)", columns=None)
    for code in ("open(x)", "getattr(x, 'y')", "x.y", "__builtins__['open']"):
        with pytest.raises(StorageError):
            check(code, columns=None)


def test_functions_are_known_by_what_they_are_and_not_by_their_names():
    assert key_of(np.log) == "numpy.log"
    assert key_of(patsy.builtins.C) == "patsy.C"
    assert key_of(np.load) is None
    assert key_of(lambda x: x) is None


@pytest.mark.parametrize("key", [key for key in FUNCTIONS if key.startswith("numpy.")])
def test_functions_of_numpy_leave_their_arguments_as_they_are(key):
    function = FUNCTIONS[key]
    for n in range(function.least, function.most + 1):
        given = [np.array([0.25, 0.5]), *[np.array(1)] * (n - 1)]
        before = [array.copy() for array in given]
        function.value(*given)
        for array, earlier in zip(given, before, strict=True):
            np.testing.assert_array_equal(array, earlier)
