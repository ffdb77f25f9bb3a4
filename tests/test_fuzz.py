"""Random tables, formulas and arguments: every one is refused with help, or gives finite numbers.

``pytest -m fuzz -s tests/test_fuzz.py`` runs 10,400 cases in some minutes and prints how they
ended. A case ends as it should in one of two ways:

- with an error of `mixlogit.errors`, each of which is a ValueError or a RuntimeError too. No other
  exception counts: nothing of pandas, numpy, patsy or Python itself, and no warning but those of
  `mixlogit.errors`;
- with a result whose log-likelihood is finite, and whose other numbers are finite or come with a
  note that says why not.

A case that takes longer than ``LIMIT`` seconds hangs. The same cases are drawn every time;
``MIXLOGIT_FUZZ_SEED=7`` draws others, and ``MIXLOGIT_FUZZ_CASES=100000`` more.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from mixlogit import MixedMultinomialLogit, from_wide
from mixlogit.errors import MixlogitError, MixlogitWarning

pytestmark = pytest.mark.fuzz

SEED = int(os.environ.get("MIXLOGIT_FUZZ_SEED", "0"))
CASES = int(os.environ.get("MIXLOGIT_FUZZ_CASES", "10400"))
LIMIT = 30.0  # seconds
SHARE = {"tables": 0.5, "arrays": 0.12, "shared": 0.08, "wide": 0.08, "chunks": 0.04, "fits": 0.18}

ended: Counter[str] = Counter()


class Hang(BaseException):
    """A case took too long."""


@pytest.fixture(scope="module", autouse=True)
def report() -> Iterator[None]:
    yield
    asked = sum(n for name, n in ended.items() if name.startswith("fits, "))
    total = sum(ended.values()) - asked
    print(f"\n{total:,} cases, and {asked:,} questions to results, ended as they should. ", end="")
    print(f"MIXLOGIT_FUZZ_SEED={SEED} repeats them.")
    for name, n in sorted(ended.items()):
        print(f"  {name:42}{n:8,}")


def some(share: str) -> Callable:
    """So many cases of a kind, the same ones from the same seed."""

    def decorate(test: Callable) -> Callable:
        chosen = settings(
            max_examples=max(round(SHARE[share] * CASES), 1),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        )
        return seed(SEED)(chosen(test))

    return decorate


@contextmanager
def watched(kind: str) -> Iterator[None]:
    """Count how a case ends; what ends in no proper way is passed on."""

    def give_up(*_: object) -> None:
        raise Hang(f"A case lasted longer than {LIMIT:g} seconds.")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    said = "a result"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", MixlogitWarning)
            yield
        how = "result"
    except MixlogitError as error:
        how, said = type(error).__name__, str(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert said
    ended[f"{kind}: {how}"] += 1


# -- what is drawn ---------------------------------------------------------------------------------

JUNK = [
    *(None, True, False, -1, 0, 2, 1.5, float("nan"), float("inf"), 1j, 10**30, Decimal("NaN")),
    *("", "x", "choice", "no such file.csv", b"x", pd.NA, pd.NaT, Ellipsis, int, len),
    *((), [], {}, set(), [1], {"x1": 1}, {1, 2}, ("x1", "x1"), [["x1"]], {"a": {"b": "c"}}),
    *(np.array(["a", "b"]), np.zeros((2, 2)), np.array(3.0), pd.Series([1.0, 2.0]), object()),
]
IDS = {"situation": "situation", "individual": "person", "alternative": "alt"}
NUMBERS = ["x1", "x2", "k", "age", "w", "n", "choice"]
MAGNITUDES = [*[1.0] * 12, 1e-5, 1e6, 1e12, 1e60, 1e-60, 1e120, 1e-120, 1e308]


def apart(text: str) -> list[str]:
    """Pieces of a text between bars."""
    return [piece.strip() for piece in text.split("|")]


WORDS = [*apart('it\'s | say "x" | a b | [x] | a~b | µ | Zoë | | 火 | {x} | %s'), " ", "\\", "a\nb"]
TERMS = apart(
    "x1 | x2 | k | C(mode) | mode | C(alt) | I(x1 ** 2) | np.log(k) | x1:x2 | k * x1 | "
    "C(mode):x1 | C(mode):age | I(x1 > 0) | standardize(x2) | center(k) | bs(k, df=3) | 0 | "
    "C(mode, Sum) | flag | C(mode, Treatment('b')) | I(1 / k) | np.where(x1 > 0, k, 0)"
)
ODD_TERMS = apart(
    "bs(x1, df=3) | cr(x2, df=3) | when | age | I(k ** 30) | np.exp(x1) | odd | Q('odd') | "
    "one | 1 | -1 | x1 - x1 | (x1 + x2) ** 2 | x1.shift() | I(x1 - x1.mean()) | xx | f(x1) | "
    "I( | x1 + | x1 1 | lambda x: x | [x1, 1] | __import__('os') | Q('nowhere') | x1; x2 | "
    "C(x1, levels=[1]) | bs(x1) | np.ones(3) | I(x1 if x1 else x2) | pd.cut(x1, 3) | x1 / 0 | "
    "person | 'x1' | {x1} | x1[0] | @ | x1.fillna(0) | ~x1 | C() | C(mode, 3) | x1 % k | "
    "k.astype(str) | I(k & 1) | Q(x1) | Q('x1', 2)"
)
RESPONSES = apart(
    "n | choice == 1 | chosen == alt | x1 | | choice + n | [choice, n] | (choice, 1) | "
    "chioce | 1 | choice.sort_values() | choice / 0 | 'choice' | choice[:2] | I(choice | "
    "I(choice + n) | chosen"
)
GATES = apart(
    "age | C(home) | age + C(home) | x1 | 0 | -1 | 0 + age | agee | I(age > 40) | one | "
    "age ~ 1 | w | age + I(2 * age) | np.log(age) | person | C(person) | I(1 / 0) | "
    "standardize(age)"
)
RESTRICTIONS: dict[str, list[Any]] = {
    "common": ["x1", ["x1", "x2"], "C(mode)", "nothing", 3, [None], ("x1", "x1")],
    "constraints": [
        *("class1.x1 = 0", "class2.x1 = class1.x1", "class1.x1 = 1e999", "class1.x1 / 0 = 1", "="),
        *(["class1.x1 = 0", "class1.x1 = 1"], "class9.x1 = 0", "x1 = 0", "", 4, [["class1.x1"]]),
        *("class1.x1 + class1.x2 = 3", "0 = 0", "class1.x1 * class1.x2 = 1", "class1.x1", "(("),
    ],
    "signs": [
        *({"x1": "+"}, {"x1": "-", "x2": "+"}, {"class1.x1": "-"}, {"x9": "+"}, {"x1": ["+"]}),
        *({1: "+"}, {"x1": ""}, "x1", ["x1"], {"C(mode)": "+"}, {}),
    ],
}
SETTINGS: dict[str, list[Any]] = {
    "weights": ["w", "w", "x1", "nowhere", "mode"],
    "freq_weights": ["n", "one", "w", "nowhere"],
    "availability": ["av", "av", "flag", "x1"],
    "choices": ["auto", "one", "counts", "all"],
    "missing": ["drop", "drop", "raise", "fill"],
    "dtype": ["float64", "float32", "float16", int],
    "situation": [None, "alt", "person", "x1", "nowhere"],
    "individual": [None, None, "situation", "home", "nowhere"],
    "alternative": [None, None, "mode", "person", "x1"],
    **RESTRICTIONS,
}

seeds = st.integers(0, 2**32 - 1)


def one_of(values: list[Any]) -> st.SearchStrategy:
    """One of these values, which need not be hashable."""
    return st.integers(0, len(values) - 1).map(values.__getitem__)


def seldom(strategy: st.SearchStrategy, usual: Any, n: int = 5) -> st.SearchStrategy:
    """What is usual, but for one case in n."""
    # small and large numbers come more often than those between
    return st.integers(0, 9999).flatmap(lambda i: strategy if i % n == n // 2 else st.just(usual))


@st.composite
def tables(draw: Callable) -> pd.DataFrame:
    """A small survey, with up to three things wrong or odd about it."""
    rng = np.random.default_rng(draw(seeds))
    frame = survey(rng, draw(st.integers(1, 6)), draw(st.integers(1, 4)), draw(st.booleans()))
    for name in ("x1", "x2"):
        frame[name] *= draw(one_of(MAGNITUDES))
    for spoil in draw(st.lists(one_of(SPOILS), max_size=draw(st.sampled_from([0, 1, 1, 1, 3])))):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frame = spoil(frame, rng)
        except Exception:  # pandas does not let two of them be done to one table
            continue
    return frame


def survey(rng: np.random.Generator, n_people: int, n_tasks: int, is_ragged: bool) -> pd.DataFrame:
    """A panel without mistakes."""
    sizes = rng.integers(1, 5, n_people * n_tasks) if is_ragged else np.full(n_people * n_tasks, 3)
    n = int(sizes.sum())
    situation = np.repeat(np.arange(len(sizes)), sizes)
    person = situation // n_tasks
    alt = np.concatenate([np.arange(size) for size in sizes])
    chosen = np.repeat(rng.integers(0, sizes), sizes)
    return pd.DataFrame(
        {
            "situation": situation,
            "person": person,
            "alt": alt,
            "mode": np.array([*"abcd"])[alt],
            "choice": (alt == chosen).astype(int),
            "chosen": chosen,
            "x1": rng.standard_normal(n),
            "x2": rng.standard_normal(n).round(1),
            "k": rng.integers(1, 100, n),
            "n": rng.integers(0, 4, n),
            "one": 1,
            "av": 1,
            "age": rng.integers(18, 80, n_people)[person],
            "home": np.array(["x", "y"])[rng.integers(0, 2, n_people)][person],
            "w": rng.uniform(0.5, 2.0, n_people)[person],
            "flag": rng.random(n) > 0.5,
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 99, n), unit="D"),
        }
    )


Spoil = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def value_in(value: Any, columns: list[str] | None = None) -> Spoil:
    """Put a value in some rows of a column."""

    def spoil(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        name = str(rng.choice(columns or list(frame.columns)))
        rows = rng.random(len(frame)) < rng.choice([0.05, 0.3, 1.0])
        rows[rng.integers(len(frame))] = True
        values = frame[name].astype(object).tolist()
        changed = [value if row else old for row, old in zip(rows, values, strict=True)]
        column = pd.Series(changed, index=frame.index, dtype=object)
        return frame.assign(**{name: column if rng.random() < 0.3 else column.infer_objects()})

    return spoil


def type_of(dtype: Any, columns: list[str] | None = None) -> Spoil:
    """Give a column another type."""

    def spoil(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        name = str(rng.choice(columns or list(frame.columns)))
        return frame.assign(**{name: frame[name].astype(dtype)})

    return spoil


def column_as(make: Callable[[pd.Series], Any], columns: list[str] | None = None) -> Spoil:
    """Make something else of a column."""

    def spoil(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        name = str(rng.choice(columns or list(frame.columns)))
        return frame.assign(**{name: make(frame[name])})

    return spoil


def renamed(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    names = [*WORDS, 7, ("a", 1), None, 1.5, "class", "C", "x2", "choice"]
    return frame.rename(columns={rng.choice(frame.columns): names[rng.integers(len(names))]})


def with_words(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    name = rng.choice(["mode", "situation", "person", "home"])
    words = frame[name].map(lambda v: WORDS[len(str(v)) % 3 * 4] + str(v))
    return frame.assign(**{name: words})


def doubled(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return pd.concat([frame, frame[[rng.choice(frame.columns)]]], axis=1)


def odd_column(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    n = len(frame)
    kinds: list[Any] = [
        rng.standard_normal(n) * 10.0 ** rng.integers(-200, 200, n),
        [Decimal(i) for i in range(n)],
        rng.standard_normal(n) + 1j,
        pd.array([None] * n, dtype="Float64"),
        np.full(n, np.nan),
        pd.interval_range(0, n, n),
        pd.period_range("2024", periods=n, freq="D"),
        pd.to_timedelta(np.arange(n), unit="h"),
        [[i] for i in range(n)],
        [(i, i) for i in range(n)],
        np.arange(n, dtype=np.int8),
        np.arange(n, dtype=">i4"),
        [object() for _ in range(n)],
        pd.arrays.SparseArray(rng.standard_normal(n)),
        [None, *range(n - 1)],
        ["1", *range(n - 1)],
    ]
    return frame.assign(odd=kinds[rng.integers(len(kinds))])


def arrow(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return frame.convert_dtypes(dtype_backend="pyarrow")


SPOILS: list[Spoil] = [
    *(value_in(None), value_in(np.nan), value_in(pd.NA), value_in(np.inf, NUMBERS)),
    *(value_in(0), value_in(-1), value_in("text"), value_in([1]), value_in(1e200, NUMBERS)),
    *(value_in(0.5, ["choice", "n", "w"]), value_in(2, ["choice"]), value_in(True)),
    *(value_in(1, ["choice", "alt", "person", "situation"]), value_in(0, ["choice", "av"])),
    *(type_of(object), type_of("category"), type_of("string"), type_of("Int64"), type_of(str)),
    *(type_of("Float64"), type_of("boolean"), type_of("float16", NUMBERS), type_of("int8")),
    *(type_of("uint64"), type_of("float32", NUMBERS), type_of("complex128", NUMBERS)),
    *(type_of("Sparse[float64]", NUMBERS), type_of(">f8", NUMBERS), type_of("datetime64[ns]")),
    *(type_of(">i8", ["situation", "person", "alt"]), type_of(np.longdouble, NUMBERS)),
    column_as(lambda s: s.map(lambda v: Decimal(str(v))), NUMBERS),
    column_as(lambda s: pd.to_datetime(s, unit="D").dt.tz_localize("Asia/Tokyo"), [*IDS.values()]),
    column_as(lambda s: pd.to_timedelta(s, unit="D")),
    column_as(lambda s: pd.Categorical(s, categories=[*s.unique(), "more"])),
    column_as(lambda s: s.map(lambda v: (v, "b")), [*IDS.values()]),
    column_as(lambda s: s.astype(object) + 2**70, [*IDS.values()]),
    column_as(lambda s: s * 1e150, NUMBERS),
    column_as(lambda s: s * 1e-150, NUMBERS),
    column_as(lambda s: s + 1e12, NUMBERS),
    column_as(lambda s: s.iloc[0], None),
    column_as(lambda s: s == s.iloc[0]),
    column_as(lambda s: s.sample(frac=1, random_state=1).to_numpy()),
    *(renamed, renamed, with_words, doubled, odd_column, odd_column, arrow),
    lambda frame, rng: frame.sample(frac=1, random_state=int(rng.integers(99))),
    lambda frame, rng: frame.sample(frac=0.8, random_state=int(rng.integers(99))),
    lambda frame, rng: frame.set_axis(np.arange(len(frame)) % 3),
    lambda frame, rng: frame.set_index(["person", "alt"], drop=False).rename_axis([None, None]),
    lambda frame, rng: frame.iloc[: rng.integers(0, 4)],
    lambda frame, rng: frame.drop(columns=rng.choice(frame.columns)),
    lambda frame, rng: pd.concat({"a": frame}, axis=1),
    lambda frame, rng: pd.concat([frame, frame.iloc[:2]]),
    lambda frame, rng: frame.assign(choice=frame["n"]),
    lambda frame, rng: frame.assign(alt=0, mode="a"),
    lambda frame, rng: frame.assign(x2=2 * frame["x1"]),
    lambda frame, rng: frame.assign(x1=frame["choice"] * 1.0),
    lambda frame, rng: frame.assign(av=rng.integers(0, 2, len(frame)) | frame["choice"]),
    lambda frame, rng: frame[frame["choice"] == 1],
    lambda frame, rng: frame.T,
]

terms = st.lists(
    seldom(one_of(ODD_TERMS), None, 9).flatmap(
        lambda odd: one_of(TERMS) if odd is None else st.just(odd)
    ),
    min_size=1,
    max_size=3,
)
formulas = st.tuples(
    seldom(one_of(RESPONSES), "choice", 8), terms, seldom(one_of([" * ", " : ", " - ", " "]), " + ")
).map(lambda parts: f"{parts[0]} ~ {parts[2].join(parts[1])}")
gates = seldom(one_of([*GATES, *GATES, *JUNK]), "1", 4)
simple = st.sampled_from(["choice ~ x1 + x2", "choice ~ x1", "choice ~ C(mode) + x1 + x2"])
numbers_of_classes = seldom(one_of([3, 5, 0, -1, 2.0, True, "2", None, 10**9]), 1, 4)


@st.composite
def keywords(draw: Callable, names: list[str]) -> dict[str, Any]:
    """Up to two settings, and now and then an argument that is junk."""
    out = {}
    most = draw(st.sampled_from([0, 0, 1, 1, 2]))
    for name in draw(st.lists(st.sampled_from(names), max_size=most, unique=True)):
        out[name] = draw(one_of(SETTINGS[name]))
    if draw(seldom(st.just(True), False, 20)):
        out[draw(st.sampled_from(names))] = draw(one_of(JUNK))
    return out


@st.composite
def fit_arguments(draw: Callable) -> dict[str, Any]:
    """Short fits, and now and then an argument that is junk."""
    out: dict[str, Any] = {
        "n_starts": 1,
        "maxiter": draw(st.sampled_from([1, 2, 5, 30])),
        "init": draw(st.sampled_from(["auto", "random", "random", "subspace", "moments"])),
        "method": draw(st.sampled_from(["em-newton", "em-newton", "em", "newton"])),
        "penalty": draw(st.sampled_from([0.0, 0.0, 0.1, 1e-12, 1e12])),
        "rng": draw(st.integers(0, 9)),
        "cov_type": draw(st.sampled_from(["nonrobust", "nonrobust", "opg", "robust", "none"])),
    }
    if draw(seldom(st.just(True), False)):
        names = ["start_params", "candidates", "cov_kwds", "tol", "callback", *out]
        out[draw(st.sampled_from(names))] = draw(one_of(JUNK))
    return out


# -- what is expected of a result ------------------------------------------------------------------


def check_model(model: MixedMultinomialLogit) -> None:
    """The log-likelihood is finite where all coefficients are zero, and so is its score."""
    zero = np.zeros(len(model.param_names))
    assert np.isfinite(model.loglike(zero))
    assert np.isfinite(model.score(zero)).all()


def check_result(result: Any) -> None:
    """Numbers are finite, or the summary says why not."""
    assert np.isfinite(result.llf)
    assert np.isfinite(result.params).all()
    assert np.isfinite(result.llnull)
    posterior, shares = result.posterior.to_numpy(), result.class_shares.to_numpy()
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, rtol=1e-9)
    np.testing.assert_allclose(shares.sum(), 1.0, rtol=1e-9)
    for criterion in ("aic", "bic", "caic", "sabic", "icl"):
        assert np.isfinite(getattr(result, criterion))
    text = " ".join(result.summary().as_text().split())
    if result.cov_type != "none":
        is_unknown = ~np.isfinite(result.bse) & ~np.isin(result.params.index, result.at_bound)
        if is_unknown.any():
            assert "A standard error is nan where" in text
    if not result.converged:
        assert "Not a certified maximum" in text
    assert not np.isinf(result.bse).any()


def check_table(table: pd.DataFrame, result: Any, what: str) -> None:
    """Numbers are finite, or a note says why not, or some parameter has no error.

    A class to which nobody is assigned has no mean probability, an alternative that nobody chooses
    no elasticity, and a class that has vanished no shares of the market.
    """
    numeric = table.select_dtypes("number")
    bad = ~np.isfinite(numeric.to_numpy()).all(axis=1)
    if "note" in table:
        assert (table.loc[bad, "note"] != "").all()
    elif what == "classification_table":
        assert (table.loc[bad, "individuals"] == 0).all()
    elif what == "elasticities":
        share = result.market_shares(by_class=True)["share"].fillna(0.0)
        is_nan = table["elasticity"].isna().to_numpy()
        of = [share.get(key[:2], 0.0) for key in table.index[is_nan]]
        assert not np.any(of)
        assert not (bad & ~is_nan).any() or not np.isfinite(result.bse).all()
    elif np.isfinite(result.bse).all():
        assert not bad.any(), table
    assert not np.isinf(numeric.to_numpy()[~bad]).any()


# -- the cases -------------------------------------------------------------------------------------

NAMES = ["weights", "freq_weights", "availability", "choices", "missing", "dtype", *RESTRICTIONS]
EVERY = [*NAMES, *IDS]


def build(frame: Any, formula: Any, n_classes: Any, changes: dict[str, Any], gate: Any) -> Any:
    given = {**IDS, "membership": gate, **changes}
    return MixedMultinomialLogit.from_formula(formula, frame, n_classes, **given)


@some("tables")
@given(
    frame=tables(),
    formula=seldom(one_of(JUNK), None, 40).flatmap(
        lambda junk: formulas | simple if junk is None else st.just(junk)
    ),
    n_classes=numbers_of_classes,
    changes=keywords(EVERY),
    gate=gates,
    junk=seldom(one_of(JUNK), None, 60),
)
def test_tables_and_formulas(frame, formula, n_classes, changes, gate, junk):
    with watched("tables"):
        check_model(build(frame if junk is None else junk, formula, n_classes, changes, gate))


@some("arrays")
@given(frame=tables(), data=st.data())
def test_arrays(frame, data):
    columns = [name for name in ("x1", "x2", "k", "odd") if name in frame]
    exog = data.draw(
        one_of(
            [
                *[lambda: frame[columns[:2]], lambda: frame[columns[:2]].to_numpy()] * 3,
                lambda: frame[columns],
                lambda: frame[columns].to_numpy().tolist(),
                lambda: np.asfortranarray(frame[columns[:2]].to_numpy()),
                lambda: np.ma.masked_greater(frame[columns[:2]].to_numpy(), 1.0),
                lambda: frame[columns[:2]].to_numpy()[::2],
                lambda: JUNK[len(frame) % len(JUNK)],
            ]
        )
    )
    given = IDS | {"membership": "age", "weights": "w"}
    drop = data.draw(seldom(st.sets(st.sampled_from(sorted(given))), {"membership"}))
    junk = data.draw(seldom(one_of(JUNK), None, 10))
    spoiled = data.draw(st.sampled_from(["endog", *sorted(given)]))
    n_classes = data.draw(numbers_of_classes)
    shapes = [list, tuple, pd.Series, np.asarray, pd.Index, iter, lambda v: pd.array(v), set]
    shape = data.draw(st.sampled_from(shapes))
    with watched("arrays"):
        try:
            passed = {"endog": frame["choice"], "exog": exog()}
            passed |= {role: frame[name] for role, name in given.items() if role not in drop}
            if spoiled in passed:
                passed[spoiled] = shape(passed[spoiled]) if junk is None else junk
        except MixlogitError:
            raise
        except Exception:  # not of the package: the table has no such columns
            return
        check_model(MixedMultinomialLogit(n_classes=n_classes, **passed))


@some("shared")
@given(frame=tables(), formula=formulas, n_classes=numbers_of_classes, data=st.data())
def test_shared_tables(frame, formula, n_classes, data):
    right = formula.partition("~")[2]
    items = frame.drop_duplicates("alt") if _is_simple(frame, "alt") else frame
    if data.draw(seldom(st.just(True), False, 4)):
        items = data.draw(tables())
    names = {
        "alternative": data.draw(seldom(one_of(["mode", *JUNK]), "alt")),
        "individual": data.draw(seldom(one_of(["home", *JUNK]), "person")),
        "count": data.draw(seldom(one_of(["n", "choice", "x1", *JUNK]), None)),
        "membership": data.draw(gates),
    }
    with watched("shared"):
        check_model(MixedMultinomialLogit.from_table(right, items, frame, n_classes, **names))


def _is_simple(frame: pd.DataFrame, name: str) -> bool:
    """Whether pandas can drop what repeats in a column."""
    try:
        frame.drop_duplicates(name)
    except Exception:  # of lists, or twice in the table
        return False
    return True


@some("wide")
@given(frame=tables(), data=st.data())
def test_wide_tables(frame, data):
    names = [*frame.columns, "nowhere"]

    def column(usual: str) -> Any:
        return data.draw(seldom(one_of([*names, *JUNK]), usual, 8))

    passed = {
        "alternatives": data.draw(
            seldom(one_of([{0: "a", 1: "b"}, [*range(4)], *JUNK]), dict(enumerate("abcd")))
        ),
        "choice": column("chosen"),
        "varying": data.draw(
            seldom(
                one_of([{}, {"x1": {"a": 1}}, {"choice": {}}, *JUNK]),
                {"cost": {"a": column("x1"), "b": column("x2")}, "one": {"a": 1}},
            )
        ),
        "availability": data.draw(seldom(one_of([{"d": "av"}, {"z": "av"}, *JUNK]), None, 4)),
        "situation": data.draw(seldom(one_of(["person", *JUNK]), None)),
        "individual": data.draw(seldom(one_of(JUNK), "person")),
    }
    frame = frame.drop(columns=[n for n in ("situation", "choice", "one") if n in frame])
    with watched("wide"):
        long = from_wide(frame, **passed)
        assert long["choice"].sum() == len(frame)


@some("chunks")
@given(frame=tables(), formula=formulas | simple, cut=st.integers(0, 9), changes=keywords(EVERY))
def test_tables_in_pieces(frame, formula, cut, changes):
    pieces = [frame.iloc[:cut], frame.iloc[cut:]]
    with watched("chunks"):
        given = {**IDS, **changes}
        check_model(MixedMultinomialLogit.from_chunks(formula, pieces, 2, **given))


@st.composite
def surveys(draw: Callable) -> pd.DataFrame:
    """Tables from which a model can be built, of all sizes and units."""
    rng = np.random.default_rng(draw(seeds))
    frame = survey(rng, draw(st.integers(1, 8)), draw(st.integers(1, 5)), draw(st.booleans()))
    for name in ("x1", "x2"):
        frame[name] *= draw(st.sampled_from([1.0, 1.0, 1.0, 1e-4, 1e7, 1e60, 1e-60]))
        frame[name] += draw(st.sampled_from([0.0, 0.0, 0.0, 1e3])) * frame[name].abs().max()
    if draw(seldom(st.just(True), False, 4)):
        frame["x1"] = frame["choice"] * frame["x1"].abs()  # predicts perfectly
    if draw(seldom(st.just(True), False, 4)):
        frame["choice"] += frame["n"] * frame["choice"]
    return frame


CHANGES: list[Any] = [
    *({"x1": 1.1}, {"x1": 1e250}, {"x1": float("nan")}, {"x2": lambda s: s + 1}, {"nothing": 2}),
    *(lambda f: f, lambda f: f.iloc[:-1], lambda f: f.assign(x1=np.nan), lambda f: None),
    *({"x1": lambda s: s[::-1]}, {"x1": lambda s: 1.0}, {"x1": lambda s: "a"}, {}, {"av": 0}),
]


def ask(result: Any, frame: pd.DataFrame, what: str, draw: Callable) -> Any:
    """One question to a result, mostly a proper one."""
    data = draw(seldom(one_of([frame.iloc[::2], *JUNK]), [None, frame][len(what) % 2], 6))
    if what == "welfare_change" and data is None:
        data = frame
    alpha = draw(seldom(one_of([0.5, 1e-300, 5e-324, 1 - 1e-12, *JUNK]), 0.05))
    name = st.sampled_from(["x1", "x1", "x2", "x2", "k", "C(mode)[T.b]"])
    attribute, cost = draw(seldom(one_of(JUNK), "x1", 9)), draw(name)
    if what == "predict":
        which = draw(seldom(one_of(JUNK), "prob", 8))
        history = draw(seldom(one_of(["fitted", frame, frame.iloc[:4], *JUNK[-4:]]), None, 3))
        return result.predict(data, which=which, history=history)
    if what == "market_shares":
        scenario = draw(seldom(one_of([*CHANGES, *CHANGES, *JUNK]), None, 2))
        data = frame if scenario is not None and draw(st.booleans()) else data
        return result.market_shares(data, scenario, alpha, by_class=draw(st.booleans()))
    if what == "wtp":
        method = draw(st.sampled_from(["delta", "krinsky-robb", "fieller", "other"]))
        n_draws = draw(seldom(one_of(JUNK), 200))
        return result.wtp(attribute, cost, method, alpha, n_draws, draw(seldom(one_of(JUNK), 0)))
    if what == "elasticities":
        return result.elasticities(attribute, data, alpha)
    if what == "welfare_change":
        return result.welfare_change(cost, data, draw(one_of([*CHANGES, *CHANGES, *JUNK])), alpha)
    if what == "logsum":
        return result.logsum(data)
    if what == "held_out_loglike":
        return result.held_out_loglike(data)
    if what in ("class_share_table", "population_params"):
        return getattr(result, what)(alpha)
    return getattr(result, what)()


QUESTIONS = [
    *("predict", "predict", "market_shares", "market_shares", "wtp", "wtp", "elasticities"),
    *("welfare_change", "logsum", "held_out_loglike", "class_share_table", "population_params"),
    *("individual_params", "classification_table", "population_cov"),
]


@some("fits")
@given(
    frame=surveys(),
    formula=simple,
    n_classes=st.integers(1, 3),
    gate=st.sampled_from(["1", "1", "1", "age", "C(home)"]),
    changes=keywords(["weights", "freq_weights", "choices", *RESTRICTIONS]),
    arguments=fit_arguments(),
    questions=st.lists(st.sampled_from(QUESTIONS), min_size=1, max_size=3),
    data=st.data(),
)
def test_fits_and_what_they_say(
    frame, formula, n_classes, gate, changes, arguments, questions, data
):
    result = None
    with watched("fits"):
        result = build(frame, formula, n_classes, changes, gate).fit(**arguments)
        check_result(result)
    if result is None:
        return
    for what in questions:
        with watched(f"fits, {what}"):
            table = ask(result, frame, what, data.draw)
            if isinstance(table, pd.DataFrame) and what != "predict":
                check_table(table, result, what)
            else:
                assert np.isfinite(np.asarray(table, dtype=float)).all()
