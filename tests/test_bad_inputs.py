"""What hostile or careless users pass: it is refused with help, or read rightly.

``pytest -v tests/test_bad_inputs.py`` prints the table, one line per case. A case is refused by an
error of `mixlogit.errors` that says what is wrong, where first, and what to do; or accepted, and
then the log-likelihood equals that of the plain loops of ``oracle.py`` on the clean data.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import oracle
import pandas as pd
import pytest
import scipy.sparse
import zoo

from mixlogit import MixedMultinomialLogit, from_wide, select_classes, simulate_choices
from mixlogit.errors import (
    ArgumentError,
    ColumnError,
    ConvergenceWarning,
    DataError,
    DataWarning,
    FormulaError,
    IdentificationError,
    MixlogitError,
    MixlogitWarning,
    UnseenLevelError,
)

N_PEOPLE, N_ROWS = 12, 108
PANEL = {"situation": "situation", "individual": "person", "alternative": "alt"}
FORMULA = "choice ~ x1 + x2"
BETA, GAMMA = np.array([[0.5, -1.0], [-0.3, 0.8]]), np.array([[0.4]])
PARAMS = oracle.flatten(BETA, GAMMA)
SAME = 1e-12  # sums in another order than those of the loop


def people() -> pd.DataFrame:
    """12 people with 3 situations of 3 alternatives, a covariate and a weight for each person."""
    frame = zoo.survey(3, [[3] * 3] * N_PEOPLE)
    person = frame["person"].to_numpy() - 1
    frame["age"] = np.array([31, 64, 22, 45, 58, 39, 27, 71, 50, 36, 42, 29])[person]
    frame["w"] = np.linspace(0.5, 2.0, N_PEOPLE)[person]
    frame["av"] = 1
    frame["mode"] = frame["alt"].map({1: "car", 2: "bus", 3: "rail"})
    return frame


@functools.cache
def clean_log_likelihood() -> float:
    """That of the clean table, by loops."""
    problem = zoo.Case("clean", people(), FORMULA, PANEL).problem
    return oracle.log_likelihood(problem, BETA, GAMMA)


# -- what a case does ------------------------------------------------------------------------------


def model(frame: Any = None, formula: Any = FORMULA, n_classes: Any = 2, **changes: Any) -> Any:
    """A model of the table of people; ``changes`` of a keyword to None leave it out."""
    keywords = {name: value for name, value in (PANEL | changes).items() if value is not None}
    frame = people() if frame is None else frame
    return MixedMultinomialLogit.from_formula(formula, frame, n_classes, **keywords)


def replaced(column: str, row: int | list[int], value: Any) -> pd.DataFrame:
    """The table of people with other values in some rows of a column."""
    frame = people()
    if not (isinstance(value, float) and frame[column].dtype == float):
        frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    return frame


def numbers(column: str, row: int, value: Any) -> pd.DataFrame:
    """The same in a column of numbers."""
    frame = people().astype({column: float})
    frame.loc[row, column] = value
    return frame


def arrays(endog: Any = None, exog: Any = None, n_classes: Any = 2, **changes: Any) -> Any:
    """The same model from arrays."""
    frame = people()
    ids = {role: frame[name].to_numpy() for role, name in PANEL.items()}
    endog = frame["choice"].to_numpy() if endog is None else endog
    exog = matrix() if exog is None else exog
    return MixedMultinomialLogit(endog, exog, n_classes, **(ids | changes))


def matrix() -> np.ndarray:
    return people()[["x1", "x2"]].to_numpy()


def fit(built: Any, **keywords: Any) -> Any:
    """A short fit, whatever it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixlogitWarning)
        return built.fit(**({"n_starts": 2} | keywords))


@functools.cache
def one() -> Any:
    """One class, fitted to the clean table with the names of the alternatives."""
    return fit(model(formula="choice ~ C(mode) + x1 + x2", n_classes=1))


@functools.cache
def priced() -> Any:
    """One class whose coefficient of the second attribute is known."""
    return fit(model(n_classes=1, constraints="class1.x2 = -1"))


@functools.cache
def from_arrays() -> Any:
    return fit(arrays(n_classes=1))


# -- what is expected of it ------------------------------------------------------------------------


class Refusal(NamedTuple):
    kind: type[MixlogitError]
    parts: tuple[str, ...]


def refused(kind: type[MixlogitError], *parts: str) -> Refusal:
    return Refusal(kind, parts)


class Case(NamedTuple):
    name: str
    action: Callable[[], Any]
    expected: Refusal | Callable[[Any], None]


def is_clean(built: Any) -> None:
    """The log-likelihood is that of the clean table by loops."""
    assert built.loglike(PARAMS) == pytest.approx(clean_log_likelihood(), rel=SAME)


def is_problem(frame: pd.DataFrame, formula: str = FORMULA, **keywords: Any) -> Callable:
    """The log-likelihood is that of another table by loops."""

    def check(built: Any) -> None:
        problem = zoo.Case("other", frame, formula, keywords or PANEL).problem
        expected = oracle.log_likelihood(problem, BETA, GAMMA)
        assert built.loglike(PARAMS) == pytest.approx(expected, rel=SAME)

    return check


def has_column(place: int, expected: Any) -> Callable:
    """A column of the design, in the order of the table, is what Python makes of it."""

    def check(built: Any) -> None:
        found = np.asarray(built.choices.exog)[:, place]
        np.testing.assert_allclose(found, np.asarray(expected, dtype=float), rtol=1e-15)

    return check


def has_names(*names: str) -> Callable:
    def check(built: Any) -> None:
        assert built.choices.exog_names == names
        assert np.isfinite(np.asarray(built.choices.exog)).all()

    return check


def is_certified(result: Any) -> None:
    """A maximum: the score that the loops find is zero."""
    assert result.converged
    assert np.isfinite(result.params).all()
    assert np.isfinite(result.bse).all()
    assert np.isfinite(result.llf)


def says(status: str, *parts: str) -> Callable:
    """No certified maximum, and the summary says so; the log-likelihood is finite."""

    def check(result: Any) -> None:
        assert result.certificate().status == status
        text = " ".join(result.summary().as_text().split())
        assert all(part in text for part in parts)
        assert np.isfinite(result.llf)

    return check


def warned(kind: type[Warning], *parts: str) -> Callable:
    def check(caught: Any) -> None:
        assert [type(one.message) for one in caught] == [kind]
        assert all(part in str(caught[0].message) for part in parts)

    return check


def warnings_of(action: Callable[[], Any]) -> Any:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return caught


def says_why_errors_are_missing(table: pd.DataFrame) -> None:
    assert np.isfinite(table["change"]).all()
    assert table["std err"].isna().all()
    assert table["note"].str.endswith("no standard error").all()


def sums_to_one(frame: pd.DataFrame, ids: list[str]) -> Callable:
    def check(prob: pd.Series) -> None:
        assert prob.notna().all()
        total = prob.groupby([frame[name].to_numpy() for name in ids]).sum()
        np.testing.assert_allclose(total, 1.0, rtol=1e-13)

    return check


NO_ID = "value of the id column"
NOT_ONE = "not have exactly one chosen row"

# -- the table -------------------------------------------------------------------------------------


def with_dtypes(**dtypes: str) -> pd.DataFrame:
    return people().astype(dtypes)


def arrow() -> pd.DataFrame:
    pytest.importorskip("pyarrow")
    return people().convert_dtypes(dtype_backend="pyarrow")


def arrow_table() -> Any:
    return pytest.importorskip("pyarrow").Table.from_pandas(people())


def polars_frame() -> Any:
    pytest.importorskip("pyarrow")
    return pytest.importorskip("polars").DataFrame(people().to_dict("list"))


def rows_and_columns(index: Any) -> pd.DataFrame:
    frame = people()
    frame.index = index
    return frame


def read_only() -> pd.DataFrame:
    columns = {name: values.to_numpy().copy() for name, values in people().items()}
    for values in columns.values():
        values.setflags(write=False)
    return pd.DataFrame(columns, copy=False)


def strided() -> pd.DataFrame:
    wide = np.zeros((N_ROWS, 4))
    wide[:, ::2] = matrix()
    return people().assign(x1=wide[:, 0], x2=wide[:, 2])


def big_endian() -> pd.DataFrame:
    """Backwards, so that the ids have to be sorted."""
    frame = people()[::-1]
    swapped = {name: frame[name].to_numpy() for name in ("situation", "person", "x1", "x2")}
    columns = {name: v.astype(v.dtype.newbyteorder(">")) for name, v in swapped.items()}
    return pd.DataFrame(
        {"choice": frame["choice"].to_numpy(), "alt": frame["alt"].to_numpy()} | columns
    )


def masked_table() -> pd.DataFrame:
    frame = people()
    x1 = np.ma.masked_array(frame["x1"].to_numpy(), mask=np.arange(N_ROWS) == 4)
    return frame.assign(x1=pd.Series(x1))


TABLES = [
    Case(
        "no table",
        lambda: MixedMultinomialLogit.from_formula(FORMULA, None, 2),
        refused(DataError, "data must be a table", "NoneType", "nothing in it"),
    ),
    Case(
        "a path that does not exist",
        lambda: model("no such file.csv"),
        refused(DataError, "this str does not make one", "pandas.read_csv"),
    ),
    Case(
        "a Path",
        lambda: model(Path("no such file.csv")),
        refused(DataError, "Path does not make one", "pandas.read_csv"),
    ),
    Case("a number", lambda: model(3), refused(DataError, "this int does not make one")),
    Case(
        "a generator of numbers",
        lambda: model(x for x in range(3)),
        refused(
            ColumnError, "situation='situation': the table has no such column", "Its columns are 0"
        ),
    ),
    Case(
        "a cube",
        lambda: model(np.zeros((2, 2, 2))),
        refused(DataError, "this ndarray does not make one"),
    ),
    Case(
        "a sparse matrix",
        lambda: model(scipy.sparse.eye(3).tocsr()),
        refused(ColumnError, "the table has no such column", "Its columns are 0"),
    ),
    Case(
        "an object whose to_pandas fails",
        lambda: model(pd_lazy()),
        refused(DataError, "this Lazy does not make one", "no memory left"),
    ),
    Case(
        "a table without rows",
        lambda: model(people().iloc[:0]),
        refused(DataError, "has no rows", "at least one choice situation"),
    ),
    Case(
        "a table without columns",
        lambda: model(people()[[]]),
        refused(ColumnError, "situation='situation': the table has no such column"),
    ),
    Case(
        "columns of two levels",
        lambda: model(pd.concat({"a": people()}, axis=1)),
        refused(DataError, "The columns of data have 2 levels", "('a', 'person')", "one name"),
    ),
    Case(
        "an attribute twice",
        lambda: model(pd.concat([people(), people()[["x1"]]], axis=1)),
        refused(ColumnError, "'x1', used in the utility formula, is 2 times in the table"),
    ),
    Case(
        "a column of ids twice",
        lambda: model(pd.concat([people(), people()[["alt"]]], axis=1)),
        refused(ColumnError, "alternative='alt': the table has 2 columns of that name"),
    ),
    Case(
        "an unused column twice",
        lambda: model(pd.concat([people(), people()[["age", "age"]]], axis=1)),
        is_clean,
    ),
    Case("a mapping of lists", lambda: model(people().to_dict("list")), is_clean),
    Case(
        "a structured array",
        lambda: model(people().drop(columns="mode").to_records(index=False)),
        is_clean,
    ),
    Case("a frame of pyarrow's types", lambda: model(arrow()), is_clean),
    Case(
        "functions of pyarrow's numbers",
        lambda: model(arrow(), "choice ~ np.exp(x1) + I(alt ** 2) + I(x2 > 0)"),
        has_column(1, np.exp(people()["x1"])),
    ),
    Case("a table of pyarrow", lambda: model(arrow_table()), is_clean),
    Case("a frame of polars", lambda: model(polars_frame()), is_clean),
    Case("an index that repeats", lambda: model(rows_and_columns(np.arange(N_ROWS) % 5)), is_clean),
    Case(
        "an index of two levels",
        lambda: model(rows_and_columns([np.arange(N_ROWS) % 7, np.arange(N_ROWS)])),
        is_clean,
    ),
    Case("interleaved rows", lambda: model(people().sample(frac=1, random_state=4)), is_clean),
    Case("read-only columns", lambda: model(read_only()), is_clean),
    Case(
        "Fortran order",
        lambda: model(
            people().assign(**dict(zip(["x1", "x2"], np.asfortranarray(matrix()).T, strict=True)))
        ),
        is_clean,
    ),
    Case("strided views", lambda: model(strided()), is_clean),
    Case("bytes in another order", lambda: model(big_endian()), is_clean),
    Case(
        "a masked value",
        lambda: model(masked_table()),
        refused(DataError, "1 value of attribute 'x1' is missing", "situation 2 of individual 1"),
    ),
    Case(
        "nullable types",
        lambda: model(
            with_dtypes(
                x1="Float64", choice="Int64", person="Int64", situation="string", alt="Int8"
            )
        ),
        is_clean,
    ),
    Case("nullable truth values", lambda: model(with_dtypes(choice="boolean")), is_clean),
    Case("sparse columns", lambda: model(with_dtypes(x1="Sparse[float64]")), is_clean),
    Case(
        "float32",
        lambda: model(with_dtypes(x1="float32", x2="float32")),
        is_problem(people().astype({"x1": "float32", "x2": "float32"})),
    ),
    Case(
        "float16",
        lambda: model(with_dtypes(x1="float16", x2="float16")),
        is_problem(people().astype({"x1": "float16", "x2": "float16"})),
    ),
]


def pd_lazy() -> Any:
    class Lazy:
        def to_pandas(self) -> pd.DataFrame:
            raise RuntimeError("no memory left")

    return Lazy()


# -- ids -------------------------------------------------------------------------------------------


def mixed_ids() -> pd.DataFrame:
    frame = people()
    mixed = [value if value % 2 else f"guest {value}" for value in frame["person"].tolist()]
    return frame.assign(person=pd.Series(mixed, dtype=object))


def two_owners() -> pd.DataFrame:
    frame = people()
    frame.loc[4, "person"] = 7
    return frame


def duplicate() -> pd.DataFrame:
    frame = people()
    frame.loc[[4, 13], "alt"] = 1
    return frame


def ids_as(convert: Callable[[pd.Series], Any], column: str = "person") -> Case:
    return lambda: model(people().assign(**{column: lambda f: convert(f[column])}))


IDS = [
    Case(
        "a missing situation",
        lambda: model(numbers("situation", 4, np.nan)),
        refused(DataError, f"1 {NO_ID} 'situation' is missing; the first is in row 4", "Fill in"),
    ),
    Case(
        "a missing individual",
        lambda: model(replaced("person", [7, 9], None)),
        refused(DataError, "2 values of the id column 'person' are missing; the first is in row 7"),
    ),
    Case(
        "a missing alternative",
        lambda: model(replaced("mode", 5, np.nan), alternative="mode"),
        refused(DataError, f"1 {NO_ID} 'mode' is missing; the first is in row 5"),
    ),
    Case(
        "no individual at all, and rows that are not available",
        lambda: model(people().assign(person=None, av=lambda f: f["choice"]), availability="av"),
        refused(DataError, "36 values of the id column 'person' are missing"),
    ),
    Case(
        "pd.NA among ids",
        lambda: model(
            people().assign(person=lambda f: f["person"].astype("Int64").mask(f.index == 3))
        ),
        refused(DataError, f"1 {NO_ID} 'person' is missing; the first is in row 3"),
    ),
    Case(
        "NaT among ids",
        lambda: model(
            people().assign(
                situation=lambda f: (
                    pd.Timestamp(0) + pd.to_timedelta(f["situation"], unit="D")
                ).mask(f.index == 8)
            )
        ),
        refused(DataError, f"1 {NO_ID} 'situation' is missing; the first is in row 8"),
    ),
    Case("ids of several types", lambda: model(mixed_ids()), is_clean),
    Case(
        "ids beyond 64 bits",
        ids_as(lambda s: pd.Series([10**30 + v for v in s.tolist()], dtype=object)),
        is_clean,
    ),
    Case("large unsigned ids", ids_as(lambda s: s.astype("uint64") + np.uint64(2**63)), is_clean),
    Case(
        "ids that are dates with a time zone",
        ids_as(
            lambda s: pd.Timestamp("2024-03-30", tz="Europe/Zurich") + pd.to_timedelta(s, unit="D"),
            "situation",
        ),
        is_clean,
    ),
    Case(
        "ids with quotes, brackets and other letters",
        ids_as(lambda s: s.map(lambda v: f'Zoë\'s "{v:02}" [~ {{x}}] 火')),
        is_clean,
    ),
    Case(
        "ids that are tuples", ids_as(lambda s: pd.Series([(v // 5, str(v)) for v in s])), is_clean
    ),
    Case(
        "ids that are floats, negative zero among them",
        ids_as(lambda s: s.replace({1: -0.0}).where(s.index != 1, 0.0)),
        is_clean,
    ),
    Case(
        "ids that are lists",
        ids_as(lambda s: s.map(lambda v: [v])),
        refused(DataError, "Column 'person' holds values that cannot be ids", "Use numbers"),
    ),
    Case(
        "categories that nobody has",
        ids_as(lambda s: pd.Categorical(s, categories=[99, *range(20)])),
        is_clean,
    ),
    Case(
        "situations numbered within individuals",
        lambda: model(people().assign(situation=lambda f: (f["situation"] - 1) % 3)),
        is_clean,
    ),
    Case(
        "a situation of two individuals",
        lambda: model(two_owners()),
        refused(DataError, f"does {NOT_ONE}", "situation 2 of individual 7, with 0"),
    ),
    Case(
        "an alternative twice",
        lambda: model(duplicate()),
        refused(
            DataError,
            "2 of 36 choice situations list an alternative more than once",
            "'alt'",
            "situation 2 of individual 1, alternative 1",
            "drop the repeated rows",
        ),
    ),
    Case(
        "individuals without situations",
        lambda: model(situation=None, alternative=None),
        refused(ArgumentError, "individual='person' was given without situation="),
    ),
    Case(
        "a column that is not there",
        lambda: model(individual="Person"),
        refused(ColumnError, "individual='Person'", "Did you mean 'person'?"),
    ),
    Case(
        "an array in place of a name",
        lambda: model(situation=np.arange(N_ROWS)),
        refused(
            ArgumentError, "situation must be the name of a column", "ndarray", "To pass arrays"
        ),
    ),
    Case(
        "a set in place of a name",
        lambda: model(individual={"person"}),
        refused(ArgumentError, "individual must be the name of a column of the table, not set"),
    ),
    Case(
        "one situation of one individual",
        lambda: model(people().iloc[:3], n_classes=1, formula="choice ~ x1"),
        has_names("x1"),
    ),
]

# -- choices ---------------------------------------------------------------------------------------


def none_chosen() -> pd.DataFrame:
    frame = people()
    frame.loc[3:5, "choice"] = 0
    return frame


def two_chosen() -> pd.DataFrame:
    frame = people()
    frame.loc[3:4, "choice"] = 1
    frame.loc[5, "choice"] = 0
    return frame


def choice_as(convert: Callable[[pd.Series], Any]) -> Callable[[], Any]:
    return lambda: model(people().assign(choice=lambda f: convert(f["choice"])))


def twice() -> pd.DataFrame:
    return people().assign(choice=lambda f: 2 * f["choice"])


def counted() -> pd.DataFrame:
    return people().assign(choice=lambda f: f["choice"] + 1 + f["alt"] % 2)


def repeated() -> pd.DataFrame:
    """The number of the chosen alternative stands on all rows of a situation."""
    return people().assign(
        choice=lambda f: (
            f["alt"].where(f["choice"] == 1).groupby(f["situation"]).transform("max").astype(int)
        )
    )


def some_unavailable(frame: pd.DataFrame) -> pd.Series:
    """Two alternatives of every situation, the chosen one among them, are available."""
    first_other = frame["choice"].eq(0) & ~frame["choice"].eq(0).groupby(
        frame["situation"]
    ).transform("cumsum").gt(1)
    return (frame["choice"].eq(1) | first_other).astype(int)


def chosen_unknown() -> pd.DataFrame:
    """What was chosen in the second situation is missing in its second row."""
    return people().assign(
        chosen=lambda f: (
            f["alt"]
            .where(f["choice"] == 1)
            .groupby(f["situation"])
            .transform("max")
            .mask(f.index == 4)
        )
    )


CHOICES = [
    Case("choices of truth values", choice_as(lambda s: s == 1), is_clean),
    Case("choices of floats", choice_as(lambda s: s.astype("float32")), is_clean),
    Case("choices of text that spells numbers", choice_as(lambda s: s.astype(str)), is_clean),
    Case("choices of objects", choice_as(lambda s: s.astype(object)), is_clean),
    Case("choices of categories", choice_as(lambda s: s.astype("category")), is_clean),
    Case(
        "names of alternatives",
        choice_as(lambda s: "car"),
        refused(
            DataError,
            "108 values of the choice column 'choice' are not numbers",
            "'car' in row 0",
            "'choice == alternative'",
        ),
    ),
    Case(
        "dates as choices",
        choice_as(lambda s: pd.Timestamp(0)),
        refused(DataError, "108 values of the choice column 'choice' are not numbers"),
    ),
    Case(
        "complex choices",
        choice_as(lambda s: s + 0j),
        refused(DataError, "of the choice column 'choice' are not numbers"),
    ),
    Case(
        "choices of Decimal",
        choice_as(lambda s: s.map(Decimal)),
        refused(DataError, "108 values of the choice column 'choice' are not numbers", "Decimal"),
    ),
    Case(
        "a missing choice",
        lambda: model(numbers("choice", 4, np.nan)),
        refused(
            DataError,
            "1 value of the choice column 'choice' is missing or not finite",
            "situation 2 of individual 1, alternative 2",
        ),
    ),
    Case(
        "pd.NA as a choice",
        choice_as(lambda s: s.astype("Int64").mask(s.index == 4)),
        refused(DataError, "1 value of the choice column 'choice' is missing or not finite"),
    ),
    Case(
        "an infinite choice",
        lambda: model(numbers("choice", 4, np.inf)),
        refused(DataError, "1 value of the choice column 'choice' is missing or not finite"),
    ),
    Case(
        "a negative choice",
        lambda: model(numbers("choice", 4, -1)),
        refused(DataError, "1 value of the choice column 'choice' is negative"),
    ),
    Case(
        "half a choice",
        lambda: model(numbers("choice", 4, 0.5)),
        refused(DataError, "is not a whole number", "for shares, multiply by the number"),
    ),
    Case(
        "more choices than can be counted",
        lambda: model(numbers("choice", 4, 1e300)),
        refused(
            DataError, "1 value of the choice column 'choice' is too large to be counted exactly"
        ),
    ),
    Case(
        "a situation without a choice",
        lambda: model(none_chosen()),
        refused(
            DataError,
            f"1 of 36 choice situations does {NOT_ONE}",
            "situation 2 of individual 1, with 0",
            "drop those situations",
        ),
    ),
    Case(
        "a situation with two choices",
        lambda: model(two_chosen()),
        refused(
            DataError, f"1 of 36 choice situations does {NOT_ONE}", "with 2", "choices='counts'"
        ),
    ),
    Case(
        "two choices that are meant",
        lambda: model(two_chosen(), choices="counts"),
        is_problem(two_chosen()),
    ),
    Case(
        "choices that are counts",
        lambda: model(twice(), choices="counts"),
        is_problem(twice()),
    ),
    Case(
        "counts that were not asked for",
        lambda: model(counted()),
        refused(DataError, "are neither 0 nor 1", "situation 1, alternative 1"),
    ),
    Case(
        "counts where one choice is demanded",
        lambda: model(counted(), choices="one"),
        refused(DataError, "are neither 0 nor 1", "situation 1, alternative 1"),
    ),
    Case(
        "the number of the chosen alternative on every row",
        lambda: model(repeated()),
        refused(
            DataError,
            "in each of 36 choice situations",
            "situation 1, with",
            "give 'choice == alt'",
            "choices='counts'",
        ),
    ),
    Case(
        "a number of the chosen alternative that is compared",
        lambda: model(repeated(), "choice == alt ~ x1 + x2"),
        is_clean,
    ),
    Case(
        "choices coded 1 and 2",
        choice_as(lambda s: s + 1),
        refused(DataError, "is coded 1 and 2", "give 'choice == 2'", "choices='counts'"),
    ),
    Case(
        "choices of 100 per cent",
        choice_as(lambda s: s * 100),
        refused(DataError, "is coded 0 and 100", "give 'choice == 100'"),
    ),
    Case(
        "everything chosen",
        choice_as(lambda s: True),
        refused(DataError, "is 1 on every row of 36 choice situations", "'chosen == alt'"),
    ),
    Case(
        "a coding of 1 and 2 with unavailable rows",
        lambda: model(
            people().assign(av=some_unavailable, choice=lambda f: f["choice"] + 1),
            availability="av",
        ),
        refused(DataError, "is coded 1 and 2", "give 'choice == 2'"),
    ),
    Case(
        "no choice at all",
        choice_as(lambda s: 0),
        refused(DataError, f"36 of 36 choice situations do {NOT_ONE}"),
    ),
    Case(
        "no situations and no counts",
        lambda: model(situation=None, individual=None, alternative=None),
        refused(DataError, "no situation column", "36 of them 1", "Pass situation="),
    ),
    Case(
        "an unknown rule",
        lambda: model(choices="many"),
        refused(ArgumentError, "choices='many' is not one of auto, one, counts"),
    ),
    Case(
        "a rule that is an array",
        lambda: model(choices=np.array(["one", "auto"])),
        refused(ArgumentError, "choices=array(", "is not one of auto, one, counts"),
    ),
    Case(
        "a name of the chosen that is missing",
        lambda: model(chosen_unknown(), "chosen == alt ~ x1 + x2"),
        refused(
            DataError,
            "1 value of the choice column 'chosen == alt' is missing",
            "situation 2 of individual 1, alternative 2",
        ),
    ),
]

# -- attributes ------------------------------------------------------------------------------------

POWER = [v**4 for v in range(60_000, 60_000 + N_ROWS)]


def scaled(factor: float) -> Callable[[], Any]:
    return lambda: model(people().assign(x1=lambda f: f["x1"] * factor))


def estimates_follow(factor: float) -> Callable[[Any], None]:
    """An attribute in another unit: its coefficients change with the unit, and nothing else."""

    def check(built: Any) -> None:
        unit = np.array([factor, 1.0, factor, 1.0, 1.0])
        assert built.loglike(PARAMS / unit) == pytest.approx(clean_log_likelihood(), rel=SAME)
        other, usual = (fit(m, penalty=1.0) for m in (built, model()))
        assert other.converged
        assert other.llf == pytest.approx(usual.llf, rel=1e-9)  # where two searches end
        np.testing.assert_allclose(other.params * unit, usual.params, rtol=1e-4)  # Newton's end
        np.testing.assert_allclose(other.bse * unit, usual.bse, rtol=1e-4)

    return check


def chosen_perfectly() -> pd.DataFrame:
    return people().assign(magic=lambda f: f["choice"] * 2.0 + f["alt"] * 1e-3)


def plus(**columns: Any) -> pd.DataFrame:
    return people().assign(**columns)


def renamed(name: Any) -> pd.DataFrame:
    return people().rename(columns={"x1": name})


STAMP = pd.Timestamp("2024-03-30", tz="Europe/Zurich")
ATTRIBUTES = [
    Case(
        "a missing attribute",
        lambda: model(numbers("x1", 4, np.nan)),
        refused(
            DataError,
            "1 value of attribute 'x1' is missing or not finite; the first is nan",
            "situation 2 of individual 1, alternative 2",
            "missing='drop'",
        ),
    ),
    Case(
        "an infinite attribute",
        lambda: model(numbers("x1", 4, -np.inf)),
        refused(DataError, "1 value of attribute 'x1'", "the first is -inf"),
    ),
    Case(
        "pd.NA in an attribute",
        lambda: model(plus(x1=lambda f: f["x1"].astype("Float64").mask(f.index == 4))),
        refused(DataError, "1 value of attribute 'x1' is missing or not finite"),
    ),
    Case(
        "situations with missing values dropped",
        lambda: warnings_of(lambda: model(numbers("x1", 4, np.nan), missing="drop")),
        warned(DataWarning, "1 of 36 choice situations dropped"),
    ),
    Case(
        "an unknown rule for missing values",
        lambda: model(missing="ignore"),
        refused(ArgumentError, "missing='ignore' is not one of raise, drop"),
    ),
    Case(
        "a missing value that is compared",
        lambda: model(numbers("x1", 4, np.nan), "choice ~ x2 + I(x1 > 0)"),
        refused(DataError, "1 value of attribute 'I(x1 > 0)[T.True]' is missing or not finite"),
    ),
    Case(
        "a missing value in np.where",
        lambda: model(numbers("x1", 4, np.nan), "choice ~ x2 + np.where(x1 > 0, 1, 0)"),
        refused(
            DataError, "1 value of attribute 'np.where(x1 > 0, 1, 0)' is missing or not finite"
        ),
    ),
    Case(
        "a missing value that the term fills",
        lambda: model(numbers("x1", 4, np.nan), "choice ~ x1.fillna(7.0) + x2"),
        is_problem(numbers("x1", 4, 7.0)),
    ),
    Case(
        "an attribute beyond any unit",
        scaled(1e150),
        refused(
            DataError, "value", "of attribute 'x1'", "larger than 1e+100 in size", "larger unit"
        ),
    ),
    Case(
        "an attribute below any unit",
        scaled(1e-150),
        refused(
            DataError,
            "Attribute 'x1' is at most",
            "so small that its squares vanish",
            "smaller unit",
        ),
    ),
    Case("an attribute in a huge unit", scaled(1e90), estimates_follow(1e90)),
    Case("an attribute in a tiny unit", scaled(1e-90), estimates_follow(1e-90)),
    Case(
        "an attribute on a high level",
        lambda: model(plus(x1=lambda f: f["x1"] + 2.0**30)),
        is_problem(plus(x1=lambda f: (f["x1"] + 2.0**30) - 2.0**30)),
    ),
    Case(
        "a constant attribute",
        lambda: model(plus(one=1.0), "choice ~ x1 + one"),
        refused(
            IdentificationError,
            "1 of 2 attributes",
            "'one' is constant within every choice",
            "Drop",
        ),
    ),
    Case(
        "an attribute of the individual",
        lambda: model(formula="choice ~ x1 + age"),
        refused(
            IdentificationError,
            "'age' is constant within every choice situation",
            "behind a bar, 'choice ~ cost | income'",
        ),
    ),
    Case(
        "an attribute that is zero",
        lambda: model(plus(none=0), "choice ~ x1 + none"),
        refused(IdentificationError, "'none' is constant within every choice situation"),
    ),
    Case(
        "a copy of an attribute",
        lambda: model(plus(x3=lambda f: f["x1"]), f"{FORMULA} + x3"),
        refused(IdentificationError, "Attribute 'x3' is a linear combination of 'x1'", "Drop one"),
    ),
    Case(
        "collinear attributes",
        lambda: model(plus(x3=lambda f: f["x1"] - 2 * f["x2"] + f["age"]), f"{FORMULA} + x3"),
        refused(IdentificationError, "'x3' is a linear combination of 'x1', 'x2'"),
    ),
    Case(
        "a constant for every alternative",
        lambda: model(formula="choice ~ 0 + C(mode) + x1"),
        refused(IdentificationError, "'C(mode)[rail]' is a linear combination of"),
    ),
    Case(
        "a single alternative everywhere",
        lambda: model(people().query("choice == 1")),
        refused(IdentificationError, "2 of 2 attributes cannot have a coefficient: 'x1', 'x2'"),
    ),
    Case(
        "complex attributes",
        lambda: model(plus(x1=lambda f: f["x1"] * 1j)),
        refused(FormulaError, "The term x1 of the utility formula", "complex numbers"),
    ),
    Case(
        "an attribute of Decimal",
        lambda: model(plus(x1=lambda f: f["x1"].map(Decimal))),
        refused(
            FormulaError, "The term x1", "numbers as Python objects", "pandas.to_numeric", "C(x1)"
        ),
    ),
    Case(
        "an attribute of objects",
        lambda: model(with_dtypes(x1="object")),
        refused(FormulaError, "The term x1", "numbers as Python objects", "pandas.to_numeric"),
    ),
    Case(
        "dates with a time zone as an attribute",
        lambda: model(plus(t=lambda f: STAMP + pd.to_timedelta(f["x1"], unit="D")), "choice ~ t"),
        refused(FormulaError, "The term t", "dates or durations", "x.dt.hour", "C(t)"),
    ),
    Case(
        "durations as an attribute",
        lambda: model(plus(t=lambda f: pd.to_timedelta(f["x1"], unit="h")), "choice ~ t"),
        refused(FormulaError, "The term t", "x.dt.total_seconds() / 60"),
    ),
    Case(
        "a number made of durations",
        lambda: model(
            plus(t=lambda f: pd.to_timedelta(np.arange(N_ROWS), unit="min")),
            "choice ~ t.dt.total_seconds()",
        ),
        has_column(0, 60.0 * np.arange(N_ROWS)),
    ),
    Case(
        "numbers as text",
        lambda: model(plus(x1=lambda f: f["x1"].astype(str))),
        refused(
            FormulaError,
            "The term x1 of the utility formula",
            "holds numbers as text, and each would be a category",
            "different values read as a number; the first is '",
            "in row 0 (counted from 0)",
            "Convert it with pandas.to_numeric(x1), or write C(x1)",
        ),
    ),
    Case(
        "numbers with decimal commas",
        lambda: model(plus(x1=lambda f: f["x1"].astype(str).str.replace(".", ","))),
        refused(FormulaError, "The term x1", "a decimal comma: read the file with decimal=','"),
    ),
    Case(
        "numbers with marks between thousands",
        lambda: model(plus(x1=lambda f: (f["x1"] * 1e6).map("{:,.2f}".format))),
        refused(FormulaError, "The term x1", "read the file with thousands=','"),
    ),
    Case(
        "numbers of which one is text",
        lambda: model(plus(x1=lambda f: f["x1"].astype(object).mask(f.index == 4, "n/a "))),
        refused(
            FormulaError,
            f"{N_ROWS - 1} of {N_ROWS} different values read as a number",
            "pandas.to_numeric(x1, errors='coerce'), which makes 'n/a ' missing",
        ),
    ),
    Case(
        "numbers as text in a quoted name",
        lambda: model(renamed("x 1").astype({"x 1": str}), 'choice ~ Q("x 1") + x2'),
        refused(FormulaError, 'The term Q("x 1")', 'write C(Q("x 1")) if categories are meant'),
    ),
    Case(
        "numbers as text that are meant as categories",
        lambda: model(plus(m=lambda f: f["alt"].astype(str)), "choice ~ C(m) + x1"),
        has_names("C(m)[T.2]", "C(m)[T.3]", "x1"),
    ),
    Case(
        "numbers as text that are declared as categories",
        lambda: model(plus(m=lambda f: f["alt"].astype(str).astype("category")), "choice ~ m + x1"),
        has_names("m[T.2]", "m[T.3]", "x1"),
    ),
    Case(
        "ages as text",
        lambda: model(plus(age=lambda f: (20 + f["person"]).astype(str)), membership="age"),
        refused(
            FormulaError,
            "The term age of the membership formula",
            "12 of 12 different values read as a number; the first is '21'",
            "write C(age)",
        ),
    ),
    Case(
        "choices with decimal commas",
        choice_as(lambda s: s.map("{:.1f}".format).str.replace(".", ",")),
        refused(DataError, "the choice column", "It is a number with a decimal comma"),
    ),
    Case(
        "text compared with numbers",
        lambda: model(plus(chosen=lambda f: f["alt"].astype(str)), "chosen == alt ~ x1 + x2"),
        refused(
            DataError,
            "'chosen == alt' of the formula is true in no row, and compares text with numbers",
            "column 'chosen' holds '1'",
            "column 'alt' holds 1",
            ".astype(str)",
        ),
    ),
    Case(
        "a file that was read with another separator",
        lambda: model(pd.DataFrame({"choice;x1;x2": ["1;0,5;2"]})),
        refused(
            ColumnError,
            "situation='situation': the table has no such column",
            "separated by ';': read it with sep=';', and with decimal=','",
        ),
    ),
    Case(
        "text as an attribute",
        lambda: model(formula="choice ~ mode + x1"),
        has_names("mode[T.car]", "mode[T.rail]", "x1"),
    ),
    Case(
        "truth values as an attribute",
        lambda: model(plus(b=lambda f: f["x1"] > 0), "choice ~ b"),
        has_column(0, people()["x1"] > 0),
    ),
    Case(
        "categories that no row has",
        lambda: model(
            plus(mode=lambda f: pd.Categorical(f["mode"], ["ship", "car", "bus", "rail"])),
            "choice ~ mode",
        ),
        has_names("mode[T.bus]", "mode[T.rail]"),
    ),
    Case(
        "8 bits squared",
        lambda: model(plus(k=np.arange(N_ROWS, dtype=np.int8)), "choice ~ I(k ** 2)"),
        has_column(0, [v**2 for v in range(N_ROWS)]),
    ),
    Case(
        "unsigned numbers below zero",
        lambda: model(plus(k=np.arange(N_ROWS, dtype=np.uint8)), "choice ~ I(k - 50)"),
        has_column(0, [v - 50 for v in range(N_ROWS)]),
    ),
    Case(
        "64 bits to the fourth power",
        lambda: model(plus(k=60_000 + np.arange(N_ROWS)), "choice ~ I(k ** 4)"),
        has_column(0, POWER),
    ),
    Case(
        "nullable 8 bits compared after they are doubled",
        lambda: model(plus(k=pd.array(np.arange(N_ROWS), dtype="Int8")), "choice ~ I(k * 2 > 150)"),
        has_column(0, [2 * v > 150 for v in range(N_ROWS)]),
    ),
    Case(
        "integers as text",
        lambda: model(
            plus(k=np.arange(N_ROWS) + 100), "choice ~ k.astype(str).str[-1:].astype(int)"
        ),
        has_column(0, np.arange(N_ROWS) % 10),
    ),
    Case(
        "a sum in float16",
        lambda: model(plus(k=np.arange(N_ROWS, dtype=np.float16) * 512), "choice ~ center(k)"),
        has_column(0, 512.0 * (np.arange(N_ROWS) - (N_ROWS - 1) / 2)),
    ),
    Case(
        "a negative zero",
        lambda: model(plus(x1=lambda f: f["x1"].mask(f.index == 4, -0.0))),
        is_problem(plus(x1=lambda f: f["x1"].mask(f.index == 4, 0.0))),
    ),
    Case(
        "a name with spaces, quotes and brackets",
        lambda: model(renamed('a "b" [c] (d) ~ e'), "choice ~ Q('a \"b\" [c] (d) ~ e') + x2"),
        is_clean,
    ),
    Case("a name in other letters", lambda: model(renamed("цена"), "choice ~ цена + x2"), is_clean),
    Case(
        "a name that Python reads otherwise",
        lambda: model(renamed("µ"), "choice ~ µ + x2"),
        refused(ColumnError, "used in the utility formula, is not in the table", 'Q("µ")'),
    ),
    Case(
        "a word of Python as a name",
        lambda: model(renamed("class"), "choice ~ class + x2"),
        refused(FormulaError, "The term class", 'written Q("its name")'),
    ),
    Case(
        "a name that is a number",
        lambda: model(renamed(7), "choice ~ Q(7) + x2"),
        refused(FormulaError, "The term Q(7)", "reads no column of the table"),
    ),
    Case(
        "a perfect predictor",
        lambda: fit(model(chosen_perfectly(), "choice ~ magic", n_classes=1)),
        says("separation", "class1.magic", "state a penalty"),
    ),
    Case(
        "a perfect predictor with a penalty",
        lambda: fit(model(chosen_perfectly(), "choice ~ magic", n_classes=1), penalty=1.0),
        is_certified,
    ),
    Case(
        "an attribute type that is none",
        lambda: model(dtype="int8"),
        refused(ArgumentError, "dtype='int8' is neither 'float64' nor 'float32'"),
    ),
    Case(
        "an attribute type that is a dictionary",
        lambda: model(dtype={"x1": {"x2": "float64"}}),
        refused(ArgumentError, "is neither 'float64' nor 'float32'"),
    ),
    Case(
        "values that float32 cannot hold",
        lambda: model(numbers("x1", 4, 1e60), dtype="float32"),
        refused(DataError, "1 value of attribute 'x1'", "stored as float32"),
    ),
]

# -- formulas --------------------------------------------------------------------------------------


def failing(x: Any) -> Any:
    raise ZeroDivisionError("by design")


def ragged(x: Any) -> Any:
    return [x, 1]


FORMULAS = [
    Case(
        "a formula that is no text",
        lambda: model(formula=["choice", "x1"]),
        refused(FormulaError, "The formula must be a string, not list"),
    ),
    Case(
        "no tilde",
        lambda: model(formula="choice + x1"),
        refused(FormulaError, "must have one '~'", "'choice ~ cost + time'"),
    ),
    Case(
        "two tildes",
        lambda: model(formula="choice ~ x1 ~ x2"),
        refused(FormulaError, "must have one '~'"),
    ),
    Case(
        "nothing on the left",
        lambda: model(formula="~ x1"),
        refused(FormulaError, "nothing on the left of '~'", "Name the choice column"),
    ),
    Case(
        "nothing but an intercept",
        lambda: model(formula="choice ~ 1"),
        refused(FormulaError, "'choice ~ 1' has no attributes", "C(alternative)"),
    ),
    Case(
        "nothing left after a subtraction",
        lambda: model(formula="choice ~ x1 - x1"),
        refused(FormulaError, "has no attributes"),
    ),
    Case(
        "a column that is not there",
        lambda: model(formula="choice ~ x1 + moode"),
        refused(
            ColumnError,
            "'moode', used in the utility formula, is not in the table",
            "Did you mean mode",
        ),
    ),
    Case(
        "a choice column that is not there",
        lambda: model(formula="chioce ~ x1"),
        refused(ColumnError, "The choice column 'chioce'", "Did you mean 'choice'?"),
    ),
    Case(
        "a syntax error",
        lambda: model(formula="choice ~ x1 +* x2"),
        refused(FormulaError, "The utility formula", "cannot be read"),
    ),
    Case(
        "an open bracket",
        lambda: model(formula="choice ~ np.log(x1"),
        refused(FormulaError, "cannot be read"),
    ),
    Case(
        "a name with a space",
        lambda: model(renamed("x 1"), "choice ~ x 1 + x2"),
        refused(FormulaError, 'Q("its name")'),
    ),
    Case(
        "two responses",
        lambda: model(formula="choice + age ~ x1"),
        refused(FormulaError, "'choice + age'", "two responses", "I(choice + age)"),
    ),
    Case(
        "a response of several columns",
        lambda: model(formula="[choice, age] ~ x1"),
        refused(FormulaError, "gives values of shape (2, 108) for 108 rows", "one value per row"),
    ),
    Case(
        "a response of uneven parts",
        lambda: model(formula="[choice, 1] ~ x1"),
        refused(FormulaError, "The left side '[choice, 1]' of the formula"),
    ),
    Case(
        "a response in another order",
        lambda: model(formula="choice.sort_values() ~ x1"),
        refused(
            FormulaError, "The left side 'choice.sort_values()'", "changes the order of the rows"
        ),
    ),
    Case(
        "a response divided by zero",
        lambda: model(formula="choice / 0 ~ x1"),
        refused(DataError, "of the choice column 'choice / 0' are missing or not finite"),
    ),
    Case(
        "a function that fails",
        lambda: model(formula="choice ~ failing(x1)"),
        refused(FormulaError, "The term failing(x1)", "ZeroDivisionError: by design"),
    ),
    Case(
        "a function that is not known",
        lambda: model(formula="choice ~ lgo(x1)"),
        refused(FormulaError, "The function 'lgo'", "is not known"),
    ),
    Case(
        "a function with uneven parts",
        lambda: model(formula="choice ~ ragged(x1)"),
        refused(FormulaError, "ragged(x1)"),
    ),
    Case(
        "a spline without its degree",
        lambda: model(formula="choice ~ bs(x1)"),
        refused(FormulaError, "The term bs(x1)", "df or knots"),
    ),
    Case(
        "a reference that is no level",
        lambda: model(formula="choice ~ C(mode, Treatment('tram'))"),
        refused(FormulaError, "'tram' not found"),
    ),
    Case(
        "a term of the whole column",
        lambda: model(formula="choice ~ I(x1 - x1.mean())"),
        refused(FormulaError, "not computed row by row", "center()"),
    ),
    Case(
        "a term that is a constant",
        lambda: model(formula="choice ~ x1 + np.pi"),
        refused(FormulaError, "reads no column of the table"),
    ),
    Case(
        "the logarithm of nothing",
        lambda: model(plus(x1=0.0), "choice ~ np.log(x1)"),
        refused(DataError, "108 values of attribute 'np.log(x1)'", "the first is -inf"),
    ),
    Case(
        "a thousand brackets",
        lambda: model(formula=f"choice ~ {'(' * 999}x1{')' * 999} + x2"),
        is_clean,
    ),
    Case(
        "covariates that vary within individuals",
        lambda: model(membership="x1"),
        refused(
            DataError,
            "membership covariate 'x1' varies within 12 of 12 individuals",
            "individual 1",
        ),
    ),
    Case(
        "covariates that are not there",
        lambda: model(membership="agee"),
        refused(ColumnError, "'agee', used in the membership formula", "age"),
    ),
    Case(
        "covariates that do not vary",
        lambda: model(plus(here=1), membership="here"),
        refused(IdentificationError, "'here' does not vary between individuals"),
    ),
    Case(
        "collinear covariates",
        lambda: model(membership="age + I(2 * age)"),
        refused(
            IdentificationError,
            "Membership covariate 'I(2 * age)' is a linear combination of 'age'",
        ),
    ),
    Case(
        "a missing covariate",
        lambda: model(numbers("age", list(range(9)), np.nan), membership="age"),
        refused(DataError, "1 value of membership covariate 'age' is missing", "individual 1"),
    ),
    Case(
        "a missing covariate that is compared",
        lambda: model(numbers("age", list(range(9)), np.nan), membership="I(age > 40)"),
        refused(DataError, "1 value of membership covariate 'I(age > 40)[T.True]' is missing"),
    ),
    Case(
        "a covariate beyond any unit",
        lambda: model(plus(age=lambda f: f["age"] * 1e200), membership="age"),
        refused(DataError, "12 values of membership covariate 'age' are larger than 1e+100"),
    ),
    Case(
        "a covariate below any unit",
        lambda: model(plus(age=lambda f: f["age"] * 1e-200), membership="age"),
        refused(DataError, "Membership covariate 'age' is at most", "smaller unit"),
    ),
    Case(
        "a membership formula without anything",
        lambda: model(membership="0"),
        refused(FormulaError, "neither an intercept nor covariates", "'1' for shares"),
    ),
    Case(
        "a membership formula that is no text",
        lambda: model(membership=3),
        refused(FormulaError, "membership must be a formula on columns of the table", "not int"),
    ),
    Case(
        "a membership formula with a left side",
        lambda: model(membership="age ~ x1"),
        refused(FormulaError, "The membership formula", "left-hand side"),
    ),
]

# -- the number of classes, restrictions, weights --------------------------------------------------


def whole(value: Any) -> Case:
    return Case(
        f"{value!r} classes",
        lambda: model(n_classes=value),
        refused(ArgumentError, f"n_classes={value!r} must be a whole number of at least 1"),
    )


def weight_as(value: Any, row: Any = slice(None), **keywords: Any) -> Callable[[], Any]:
    def build() -> Any:
        frame = people().astype({"w": object if isinstance(value, str) else float})
        frame.loc[row, "w"] = value
        return model(frame, **(keywords or {"weights": "w"}))

    return build


FIRST = list(range(9))  # rows of the first individual
SETTINGS = [
    *(whole(value) for value in (0, -1, 2.0, True, "2", np.nan)),
    Case(
        "more classes than individuals",
        lambda: model(n_classes=13),
        refused(
            ArgumentError, "n_classes=13, but there are only 12 individuals", "Fit fewer classes"
        ),
    ),
    Case(
        "a million million classes",
        lambda: model(n_classes=10**12),
        refused(ArgumentError, "there are only 12 individuals"),
    ),
    Case("one class", lambda: fit(model(n_classes=1)), is_certified),
    Case(
        "one individual",
        lambda: fit(model(people().query("person == 5"), n_classes=1)),
        is_certified,
    ),
    Case(
        "more classes than different individuals",
        lambda: fit(model(plus(n=5).query("person == 5"), n_classes=2, freq_weights="n")),
        says("flat", "Not a certified maximum", "Two classes may coincide"),
    ),
    Case(
        "common coefficients of no attribute",
        lambda: model(common="x3"),
        refused(
            ArgumentError,
            "common names 'x3', which is no attribute",
            "The attributes are 'x1', 'x2'",
        ),
    ),
    Case(
        "common coefficients that are no names",
        lambda: model(common=[1]),
        refused(ArgumentError, "common must be a string or a sequence of strings"),
    ),
    Case(
        "common coefficients in an array of no dimension",
        lambda: model(common=np.array(3.0)),
        refused(ArgumentError, "common must be a string or a sequence of strings"),
    ),
    Case(
        "a constraint on no parameter",
        lambda: model(constraints="class3.x1 = 0"),
        refused(ArgumentError, "'class3.x1' is no parameter", "'class1.x1 = 0'"),
    ),
    Case(
        "a constraint that is no equation",
        lambda: model(constraints="class1.x1 >= 0"),
        refused(ArgumentError, "The constraint 'class1.x1 >= 0' cannot be read"),
    ),
    Case(
        "a constraint without parameters",
        lambda: model(constraints="1 = 1"),
        refused(ArgumentError, "The constraint '1 = 1' cannot be read"),
    ),
    Case(
        "an empty constraint",
        lambda: model(constraints=""),
        refused(ArgumentError, "The constraint '' cannot be read"),
    ),
    Case(
        "a constraint that divides by zero",
        lambda: model(constraints="class1.x1 / 0 = 1"),
        refused(ArgumentError, "The constraint 'class1.x1 / 0 = 1' cannot be read"),
    ),
    Case(
        "a constraint at infinity",
        lambda: model(constraints="class1.x1 = 1e999"),
        refused(ArgumentError, "cannot be read", "not finite"),
    ),
    Case(
        "a product of parameters",
        lambda: model(constraints="class1.x1 * class2.x1 = 1"),
        refused(ArgumentError, "cannot be read"),
    ),
    Case(
        "constraints that contradict",
        lambda: model(constraints=["class1.x1 = 1", "2 * class1.x1 = 3"]),
        refused(ArgumentError, "'2 * class1.x1 = 3' contradicts those before it"),
    ),
    Case(
        "constraints that leave nothing",
        lambda: model(n_classes=1, constraints=["class1.x1 = 0", "class1.x2 = 0"]),
        refused(ArgumentError, "fix every parameter"),
    ),
    Case(
        "a sign against a constraint",
        lambda: model(constraints="class1.x1 = -1", signs={"x1": "+"}),
        refused(ArgumentError, "'class1.x1' has the sign '+', but the constraints fix it at -1"),
    ),
    Case(
        "signs of no attribute",
        lambda: model(signs={"x9": "+"}),
        refused(ArgumentError, "signs names 'x9', which is no attribute"),
    ),
    Case(
        "a sign that is none",
        lambda: model(signs={"x1": ["+"]}),
        refused(ArgumentError, "signs['x1'] is ['+']; it must be '+' or '-'"),
    ),
    Case(
        "a sign of a number", lambda: model(signs={1: "+"}), refused(ArgumentError, "1 is no name")
    ),
    Case(
        "signs in a list",
        lambda: model(signs=["x1"]),
        refused(ArgumentError, "signs must map names to '+' or '-'", "not list"),
    ),
    Case(
        "a weight of zero",
        weight_as(0.0, FIRST),
        refused(
            DataError,
            "1 weight in column 'w' is not positive and finite; the first is 0.0",
            "of individual 1",
            "Leave those individuals out",
        ),
    ),
    Case(
        "a negative weight",
        weight_as(-2.0, FIRST),
        refused(DataError, "1 weight in column 'w' is not positive and finite; the first is -2.0"),
    ),
    Case(
        "a missing weight",
        weight_as(np.nan, FIRST),
        refused(DataError, "1 weight in column 'w' is not positive and finite; the first is nan"),
    ),
    Case(
        "an infinite weight",
        weight_as(np.inf, FIRST),
        refused(DataError, "1 weight in column 'w' is not positive and finite; the first is inf"),
    ),
    Case(
        "a weight beyond all others",
        weight_as(1e200, FIRST),
        refused(
            DataError, "1 weight in column 'w' is not between 1e-100 and 1e+100", "of individual 1"
        ),
    ),
    Case(
        "weights of text",
        weight_as("heavy"),
        refused(
            DataError, "12 values of the weights column 'w' are not numbers; the first is 'heavy'"
        ),
    ),
    Case(
        "a weight that varies",
        weight_as(9.0, [4]),
        refused(DataError, "The weight 'w' varies within 1 of 12 individuals", "individual 1"),
    ),
    Case(
        "half a frequency",
        weight_as(1.5, freq_weights="w"),
        refused(
            DataError,
            "12 values of the frequency weights column 'w' are no whole numbers",
            "weights=",
        ),
    ),
    Case(
        "a frequency beyond counting",
        weight_as(1e300, freq_weights="w"),
        refused(DataError, "12 values of the frequency weights column 'w' are no whole numbers"),
    ),
    Case(
        "availability of text",
        lambda: model(plus(av="yes"), availability="av"),
        refused(
            DataError, "108 values of the availability column 'av' are neither 0 nor 1", "'yes'"
        ),
    ),
    Case(
        "a choice that was not available",
        lambda: model(plus(av=lambda f: (f["alt"] > 1) * 1), availability="av"),
        refused(DataError, "marked as unavailable in column 'av'", "Correct the availability"),
    ),
    Case(
        "nothing available",
        lambda: model(plus(av=0, choice=0), availability="av"),
        refused(DataError, "36 of 36 choice situations have no available alternative"),
    ),
]

# -- arrays ----------------------------------------------------------------------------------------


def masked() -> Any:
    return np.ma.masked_array(matrix(), mask=np.arange(2 * N_ROWS).reshape(-1, 2) == 8)


ARRAYS = [
    Case("lists", lambda: arrays(list(people()["choice"]), matrix().tolist()), is_clean),
    Case("a generator of choices", lambda: arrays(v for v in people()["choice"]), is_clean),
    Case("a matrix in Fortran order", lambda: arrays(exog=np.asfortranarray(matrix())), is_clean),
    Case("a view from behind", lambda: arrays(exog=matrix()[::-1][::-1]), is_clean),
    Case(
        "big-endian arrays",
        lambda: arrays(
            people()["choice"].to_numpy().astype(">i4"),
            matrix().astype(">f8"),
            individual=people()["person"].to_numpy()[::1].astype(">i8"),
        ),
        is_clean,
    ),
    Case("a matrix of objects", lambda: arrays(exog=matrix().astype(object)), is_clean),
    Case(
        "a matrix of Decimal",
        lambda: arrays(exog=np.array([[Decimal(v) for v in row] for row in matrix().tolist()])),
        is_clean,
    ),
    Case(
        "a masked matrix",
        lambda: arrays(exog=masked()),
        refused(DataError, "1 value of attribute 'x1' is missing", "situation 2 of individual 1"),
    ),
    Case(
        "a complex matrix",
        lambda: arrays(exog=matrix() + 0j),
        refused(ArgumentError, "exog must be an array of numbers"),
    ),
    Case(
        "a complex column",
        lambda: arrays(exog=pd.DataFrame(matrix() + 0j)),
        refused(ArgumentError, "Column '0' of exog does not hold numbers", "complex"),
    ),
    Case(
        "a matrix of dates",
        lambda: arrays(exog=matrix().astype("datetime64[s]")),
        refused(ArgumentError, "exog must be an array of numbers"),
    ),
    Case(
        "a column of dates",
        lambda: arrays(exog=pd.DataFrame(matrix()).apply(pd.to_datetime)),
        refused(ArgumentError, "Column '0' of exog does not hold numbers"),
    ),
    Case(
        "a sparse matrix of attributes",
        lambda: arrays(exog=scipy.sparse.csr_matrix(matrix())),
        refused(ArgumentError, "exog must be an array of numbers"),
    ),
    Case(
        "a path of attributes",
        lambda: arrays(exog="x.npy"),
        refused(ArgumentError, "exog must be an array of numbers"),
    ),
    Case(
        "a set of attributes",
        lambda: arrays(exog={1.0, 2.0}),
        refused(ArgumentError, "exog must be an array of numbers"),
    ),
    Case(
        "rows of uneven lengths",
        lambda: arrays(exog=[[1.0], [1.0, 2.0]]),
        refused(ArgumentError, "exog must be an array of numbers"),
    ),
    Case(
        "a cube of attributes",
        lambda: arrays(exog=np.zeros((N_ROWS, 2, 2))),
        refused(ArgumentError, "exog must have shape (rows, columns), not (108, 2, 2)"),
    ),
    Case(
        "a single number",
        lambda: arrays(exog=1.0),
        refused(ArgumentError, "exog must have shape (rows, columns), not ()"),
    ),
    Case(
        "choices in a set",
        lambda: arrays({0, 1}),
        refused(ArgumentError, "endog must hold one value per row, not set"),
    ),
    Case(
        "choices in two columns",
        lambda: arrays(np.zeros((N_ROWS, 2))),
        refused(ArgumentError, "endog must have one dimension", "(108, 2)"),
    ),
    Case(
        "too few choices",
        lambda: arrays([1, 0]),
        refused(ArgumentError, "endog has 2 values, but exog has 108 rows", "Give one per row"),
    ),
    Case(
        "too many ids",
        lambda: arrays(situation=np.arange(N_ROWS + 1)),
        refused(ArgumentError, "situation has 109 values, but exog has 108 rows"),
    ),
    Case(
        "covariates of too few rows",
        lambda: arrays(membership=np.ones(12)),
        refused(ArgumentError, "membership has 12 rows, but exog has 108 rows"),
    ),
    Case(
        "no choices",
        lambda: MixedMultinomialLogit(None, matrix()),
        refused(FormulaError, "nothing on the left of '~'"),
    ),
    Case(
        "columns of one name",
        lambda: arrays(exog=pd.DataFrame(matrix(), columns=["a", "a"])),
        refused(ArgumentError, "Two columns of exog and membership are called 'a'"),
    ),
    Case(
        "columns of any name",
        lambda: arrays(exog=pd.DataFrame(matrix(), columns=["a\"b'c~d\\ e", "µ"])),
        is_clean,
    ),
]

# -- fits ------------------------------------------------------------------------------------------


def start(values: Any, **keywords: Any) -> Callable[[], Any]:
    return lambda: model().fit(values, **keywords)


def argument(name: str, value: Any, *parts: str) -> Case:
    return Case(
        f"{name}={value!r}"[:60],
        lambda: model().fit(**{name: value}),
        refused(ArgumentError, *(parts or (f"{name}={value!r} must be",))),
    )


GROUPS = {"cov_type": "cluster"}
FITS = [
    *(argument("maxiter", value) for value in (0, 1.5, True, "10", None)),
    *(argument("n_starts", value) for value in (0, 2.5, True, "8", np.nan)),
    *(argument("penalty", value) for value in (-1.0, np.nan, np.inf, "1", None, True)),
    *(argument("tol", value) for value in (0.0, -1e-8, np.nan, "1", None)),
    *(
        argument("rng", value, "is neither a whole number of at least 0")
        for value in (-1, "s", 1.5)
    ),
    argument("init", "best", "init='best' is not one of auto, moments, subspace, random"),
    argument("method", ["em"], "is not one of em-newton, em, newton"),
    argument("cov_type", "HC1", "cov_type='HC1' is not one of nonrobust"),
    argument("cov_kwds", 5, "cov_kwds must be a dictionary"),
    argument("cov_kwds", {"groups": [1]}, "takes no keywords; it was given groups"),
    argument("callback", "print", "callback must be a function, not str"),
    argument("on_interrupt", "stop", "is neither 'keep' nor 'raise'"),
    argument("candidates", 3, "candidates must be a list of starts, not int"),
    argument("candidates", ["abc"], "candidates must hold real numbers"),
    argument("candidates", [[np.nan] * 2], "A start in candidates has numbers that are not finite"),
    Case(
        "clusters of some individuals",
        lambda: model().fit(**GROUPS, cov_kwds={"groups": [1, 2]}),
        refused(ArgumentError, "groups has 2 values, but there are 12 individuals"),
    ),
    Case(
        "a single cluster",
        lambda: model().fit(**GROUPS, cov_kwds={"groups": [1] * 12}),
        refused(ArgumentError, "groups has a single cluster"),
    ),
    Case(
        "missing clusters",
        lambda: model().fit(**GROUPS, cov_kwds={"groups": [1, None] * 6}),
        refused(ArgumentError, "groups is missing for 6 of 12 individuals; the first is 2"),
    ),
    Case(
        "clusters that cannot be compared",
        lambda: model().fit(**GROUPS, cov_kwds={"groups": [[1]] * 12}),
        refused(ArgumentError, "groups must hold one cluster per individual"),
    ),
    Case(
        "a matrix of clusters",
        lambda: model().fit(**GROUPS, cov_kwds={"groups": np.ones((12, 2))}),
        refused(
            ArgumentError, "groups must hold one value per individual", "must be 1-dimensional"
        ),
    ),
    Case(
        "a start that is too short",
        start([0.1, 0.2]),
        refused(ArgumentError, "Parameters have shape (2,), but the model has 5", "class1.x1"),
    ),
    Case(
        "a start in a matrix",
        start(np.zeros((1, 5))),
        refused(ArgumentError, "Parameters have shape (1, 5), but the model has 5"),
    ),
    Case(
        "a start that is missing in part",
        start([0.1, np.nan, 0, 0, 0]),
        refused(ArgumentError, "Parameter 'class1.x2' is not finite"),
    ),
    Case(
        "a start of text",
        start("random"),
        refused(ArgumentError, "Parameters must hold real numbers"),
    ),
    Case(
        "a complex start",
        start(np.zeros(5) + 1j),
        refused(ArgumentError, "Parameters must hold real numbers", "complex"),
    ),
    Case(
        "a start beyond all utilities",
        start([1e308] * 5),
        refused(ArgumentError, "The log-likelihood at start_params is", "attributes can bear"),
    ),
    Case(
        "a start in another order",
        lambda: model().fit(pd.Series(PARAMS, index=model().param_names)[::-1]),
        refused(ArgumentError, "names of this model in another order", "params[model.param_names]"),
    ),
    Case(
        "a start and candidates",
        start(PARAMS, candidates=[PARAMS]),
        refused(ArgumentError, "beside which no others are tried"),
    ),
    Case(
        "one iteration",
        lambda: fit(model(), start_params=PARAMS, method="newton", maxiter=1),
        says("maxiter", "iterations ran out", "Raise maxiter"),
    ),
    Case(
        "a fit that is no maximum warns",
        lambda: warnings_of(lambda: model().fit(PARAMS, method="newton", maxiter=1)),
        warned(ConvergenceWarning, "Raise maxiter"),
    ),
]

# -- results and new data --------------------------------------------------------------------------

SCENARIO = "The scenario for column 'x1' must"


def new(**columns: Any) -> pd.DataFrame:
    return people().assign(**columns)


def later() -> pd.DataFrame:
    """New situations in another order, with an index that repeats."""
    frame = people().sample(frac=1, random_state=2)
    return frame.set_axis(np.arange(N_ROWS) % 4)


RESULTS = [
    Case(
        "new data in another order",
        lambda: one().predict(later()),
        sums_to_one(later(), ["person", "situation"]),
    ),
    Case(
        "new data without a column of the formula",
        lambda: one().predict(people().drop(columns="x1")),
        refused(ColumnError, "'x1', used in the utility formula, is not in the table"),
    ),
    Case(
        "new data without situations",
        lambda: one().predict(people().drop(columns="situation")),
        refused(ColumnError, "situation='situation': the table has no such column"),
    ),
    Case(
        "new data without rows",
        lambda: one().predict(people().iloc[:0]),
        refused(DataError, "has no rows"),
    ),
    Case(
        "new data that are no table",
        lambda: one().predict("x.csv"),
        refused(DataError, "data must be a table", "pandas.read_csv"),
    ),
    Case(
        "a level that was not there",
        lambda: one().predict(new(mode=lambda f: f["mode"].replace("rail", "tram"))),
        refused(
            UnseenLevelError, "'tram' (rows: 36)", "Known levels: 'bus', 'car', 'rail'", "recode"
        ),
    ),
    Case(
        "categories that were there and are not used",
        lambda: one().predict(
            new(mode=lambda f: pd.Categorical(f["mode"], ["tram", "car", "bus", "rail"]))
        ),
        sums_to_one(people(), ["person", "situation"]),
    ),
    Case(
        "missing values in new data",
        lambda: one().predict(new(x1=lambda f: f["x1"].mask(f.index == 4))),
        refused(DataError, "1 value of attribute 'x1' is missing", "situation 2 of individual 1"),
    ),
    Case(
        "new data beyond any unit",
        lambda: one().predict(new(x1=1e308)),
        refused(DataError, "108 values of attribute 'x1' are larger than 1e+100"),
    ),
    Case(
        "text where numbers were",
        lambda: one().predict(new(x1="cheap")),
        refused(FormulaError, "The term x1", "was numeric when the formula was learned"),
    ),
    Case(
        "an unknown prediction",
        lambda: one().predict(which="mean"),
        refused(ArgumentError, "which='mean' is not one of prob, class_prob, linear"),
    ),
    Case(
        "predictions in a list",
        lambda: one().predict(which=["prob"]),
        refused(ArgumentError, "which=['prob'] is not one of"),
    ),
    Case(
        "a history that is none",
        lambda: one().predict(history="past"),
        refused(ArgumentError, "history='past' is neither None, 'fitted' nor a table"),
    ),
    Case(
        "a history of nobody here",
        lambda: one().predict(people(), history=new(person=lambda f: f["person"] + 50)),
        refused(DataError, "12 of 12 individuals", "no choices in history"),
    ),
    Case(
        "a history without choices",
        lambda: one().predict(people(), history=people().drop(columns="choice")),
        refused(ColumnError, "The choice column 'choice'"),
    ),
    Case(
        "ids beside a table",
        lambda: one().predict(people(), situation=np.arange(N_ROWS)),
        refused(ArgumentError, "situation", "built from a table"),
    ),
    Case(
        "new arrays with other things",
        lambda: from_arrays().predict(matrix(), price=[1]),
        refused(ArgumentError, "New arrays do not come with price"),
    ),
    Case(
        "new arrays without situations",
        lambda: from_arrays().predict(matrix()),
        refused(ColumnError, "situation='situation': the table has no such column"),
    ),
    Case(
        "new arrays of another width",
        lambda: from_arrays().predict(matrix()[:, :1], situation=people()["situation"]),
        refused(ColumnError, "'x2'"),
    ),
    Case(
        "a scenario that is a number",
        lambda: one().market_shares(people(), 1.1),
        refused(ArgumentError, "scenario must be a function of the table or a mapping"),
    ),
    Case(
        "a scenario for no column",
        lambda: one().market_shares(people(), {"x7": 2}),
        refused(ColumnError, "scenario column 'x7': the table has no such column"),
    ),
    Case(
        "a scenario that multiplies by nothing",
        lambda: one().market_shares(people(), {"x1": np.nan}),
        refused(ArgumentError, f"{SCENARIO} be a number", "nan"),
    ),
    Case(
        "a scenario of other rows",
        lambda: one().market_shares(people(), {"x1": lambda s: s[::-1]}),
        refused(ArgumentError, f"{SCENARIO} return one value per row", "other rows"),
    ),
    Case(
        "a scenario of too few rows",
        lambda: one().market_shares(people(), {"x1": lambda s: [1.0, 2.0]}),
        refused(ArgumentError, f"{SCENARIO} return one value per row", "shape (2,)"),
    ),
    Case(
        "a scenario without data",
        lambda: one().market_shares(scenario={"x1": 2}),
        refused(ArgumentError, "data is not given"),
    ),
    Case(
        "an interval of no level",
        lambda: one().market_shares(alpha="0.05"),
        refused(ArgumentError, "alpha must lie between 0 and 1, but it is '0.05'"),
    ),
    Case(
        "an interval of all",
        lambda: one().market_shares(alpha=0.0),
        refused(ArgumentError, "alpha must lie between 0 and 1"),
    ),
    Case(
        "an interval of nearly all",
        lambda: one().market_shares(alpha=1e-300),
        lambda table: np.testing.assert_array_equal(table.isna().to_numpy(), False),
    ),
    Case(
        "elasticities of nothing",
        lambda: one().elasticities("price"),
        refused(ArgumentError, "attribute='price' is no column of the design"),
    ),
    Case(
        "elasticities of an array",
        lambda: one().elasticities(np.array(["x1", "x2"])),
        refused(ArgumentError, "attribute=array(", "is no column of the design"),
    ),
    Case(
        "willingness to pay for a matrix",
        lambda: one().wtp(np.zeros((2, 2)), "x2"),
        refused(ArgumentError, "attribute=array([0., 0.]) is not an attribute"),
    ),
    Case(
        "willingness to pay for an array of no dimension",
        lambda: one().wtp(np.array(3.0), "x2"),
        refused(ArgumentError, "attribute=array(3.) is not an attribute"),
    ),
    Case(
        "elasticities of alternatives in an array of no dimension",
        lambda: one().elasticities("x1", alternatives=np.array(3.0)),
        refused(ArgumentError, "alternatives must be a list of ids of alternatives"),
    ),
    Case(
        "welfare without standard errors",
        lambda: priced().with_cov("none").welfare_change("x2", people(), {"x2": 1.1}),
        says_why_errors_are_missing,
    ),
    Case(
        "welfare at a cost that is an array",
        lambda: one().welfare_change(np.array(["x1", "x2"]), people(), {"x1": 2}),
        refused(ArgumentError, "cost=array(", "is not an attribute of the model"),
    ),
    Case(
        "elasticities of a word",
        lambda: one().elasticities("x1", alternatives="car"),
        refused(ArgumentError, "alternatives must be a list of ids of alternatives, not 'car'"),
    ),
    Case(
        "willingness to pay without a cost",
        lambda: one().wtp("x1"),
        refused(ArgumentError, "The cost is missing"),
    ),
    Case(
        "willingness to pay for a number",
        lambda: one().wtp(5, "x2"),
        refused(ArgumentError, "attribute=5 is not an attribute of the model"),
    ),
    Case(
        "willingness to pay by an unknown method",
        lambda: one().wtp("x1", "x2", method="boot"),
        refused(ArgumentError, "method='boot' is not one of delta, krinsky-robb, fieller"),
    ),
    Case(
        "willingness to pay from too few draws",
        lambda: one().wtp("x1", "x2", method="krinsky-robb", n_draws=3),
        refused(ArgumentError, "n_draws=3 must be a whole number of at least 40"),
    ),
    Case(
        "willingness to pay from no seed",
        lambda: one().wtp("x1", "x2", method="krinsky-robb", rng="today"),
        refused(ArgumentError, "rng='today' is neither a whole number"),
    ),
    Case(
        "parameters of another model",
        lambda: model().loglike([1.0]),
        refused(ArgumentError, "Parameters have shape (1,), but the model has 5"),
    ),
    Case(
        "parameters in another order",
        lambda: model().loglike(pd.Series(PARAMS, index=model().param_names)[::-1]),
        refused(ArgumentError, "names of this model in another order"),
    ),
]

# -- other ways to a model -------------------------------------------------------------------------

ITEMS = pd.DataFrame({"item": [*"abcd"], "x1": [0.1, 0.5, -0.4, 1.2], "x2": [1.0, 0.0, 2.0, -1.0]})
BOUGHT = pd.DataFrame({"who": [1, 1, 2, 2, 3], "item": [*"abacd"], "n": [2, 1, 1, 3, 1]})
WIDE = pd.DataFrame({"mode": [1, 2, 1], "bus": [30, 45, 20], "car": [20, 25, 30]})


def table(
    items: Any = ITEMS, bought: Any = BOUGHT, formula: str = "~ x1 + x2", **changes: Any
) -> Any:
    keywords = {"alternative": "item", "individual": "who", "count": "n"} | changes
    return MixedMultinomialLogit.from_table(formula, items, bought, 2, **keywords)


def wide(data: Any = WIDE, **changes: Any) -> Any:
    keywords = {
        "alternatives": {1: "bus", 2: "car"},
        "choice": "mode",
        "varying": {"minutes": {"bus": "bus", "car": "car"}},
    }
    return from_wide(data, **(keywords | changes))


OTHERS = [
    Case(
        "ids of two types in the two tables",
        lambda: table(ITEMS.assign(item=range(len(ITEMS))), BOUGHT.assign(item=[*"01023"])),
        refused(
            DataError,
            "an alternative that the table of alternatives lacks",
            "Ids are text on one side, such as '",
            "give both one type, for example with .astype(str)",
        ),
    ),
    Case(
        "a choice that the table lacks",
        lambda: table(bought=BOUGHT.replace("d", "z")),
        refused(DataError, "1 row of the table of choices names an alternative", "'z'", "in row 4"),
    ),
    Case(
        "a missing alternative of a choice",
        lambda: table(bought=BOUGHT.assign(item=BOUGHT["item"].mask(BOUGHT.index == 4))),
        refused(DataError, "1 row of the table of choices names an alternative", "nan", "in row 4"),
    ),
    Case(
        "an alternative of a choice that is a list",
        lambda: table(bought=BOUGHT.assign(item=[[v] for v in "abacd"])),
        refused(DataError, "'item' of the table of choices holds values that cannot be ids"),
    ),
    Case(
        "an alternative twice in the table",
        lambda: table(items=pd.concat([ITEMS, ITEMS.iloc[:1]])),
        refused(DataError, "lists an alternative more than once in column 'item'"),
    ),
    Case(
        "a negative count",
        lambda: table(bought=BOUGHT.assign(n=-1)),
        refused(DataError, "5 values of the count column 'n' are no whole numbers of at least 0"),
    ),
    Case(
        "a count beyond counting",
        lambda: table(bought=BOUGHT.assign(n=1e300)),
        refused(DataError, "5 values of the count column 'n' are no whole numbers"),
    ),
    Case(
        "a shopper who buys nothing",
        lambda: table(bought=BOUGHT.assign(n=[2, 1, 1, 3, 0])),
        refused(DataError, "1 individual is without any choice; the first is 3"),
    ),
    Case(
        "no purchases",
        lambda: table(bought=BOUGHT.iloc[:0]),
        refused(DataError, "The table of choices has no rows"),
    ),
    Case("no items", lambda: table(items=ITEMS.iloc[:0]), refused(DataError, "no rows")),
    Case(
        "a left side for a table of items",
        lambda: table(formula="n ~ x1"),
        refused(FormulaError, "has a left-hand side", "'~ x1'", "count="),
    ),
    Case(
        "purchases that are no table",
        lambda: table(bought="bought.csv"),
        refused(DataError, "choices must be a table", "pandas.read_csv"),
    ),
    Case(
        "a wide table that is none",
        lambda: wide([1, 2]),
        refused(ArgumentError, "`data` is a list, not a pandas DataFrame"),
    ),
    Case(
        "a wide table of two levels",
        lambda: wide(pd.concat({"a": WIDE}, axis=1)),
        refused(DataError, "The columns of the wide table have 2 levels"),
    ),
    Case(
        "a wide table with an unknown choice",
        lambda: wide(WIDE.assign(mode=[1, 2, 3])),
        refused(DataError, "1 of 3 rows have a value in the choice column 'mode'", "3 in row 2"),
    ),
    Case(
        "a wide table with lists as choices",
        lambda: wide(WIDE.assign(mode=[[1], [2], [1]])),
        refused(DataError, "The choice column 'mode' holds values that cannot be names"),
    ),
    Case(
        "alternatives that are lists",
        lambda: wide(alternatives=[["bus"], ["car"]]),
        refused(ArgumentError, "`alternatives` has ['bus'], which is no name"),
    ),
    Case(
        "alternatives in a set",
        lambda: wide(alternatives={1, 2}),
        refused(ArgumentError, "Pass a mapping"),
    ),
    Case(
        "pieces in a file that is not there",
        lambda: MixedMultinomialLogit.from_chunks(FORMULA, "no such file.csv", **PANEL),
        refused(ArgumentError, "no such file.csv"),
    ),
    Case(
        "pieces that are one table",
        lambda: MixedMultinomialLogit.from_chunks(FORMULA, people(), **PANEL),
        refused(ArgumentError, "Pass it to from_formula"),
    ),
    Case(
        "choices drawn with no seed",
        lambda: simulate_choices(
            people(), pd.DataFrame({"a": [1.0]}, index=["x1"]), situation="situation", rng="now"
        ),
        refused(ArgumentError, "rng='now' is neither a whole number"),
    ),
    Case("no numbers of classes", lambda: select_classes(model(), []), refused(ArgumentError)),
]

CASES = {
    "table": TABLES,
    "ids": IDS,
    "choices": CHOICES,
    "attributes": ATTRIBUTES,
    "formula": FORMULAS,
    "settings": SETTINGS,
    "arrays": ARRAYS,
    "fit": FITS,
    "results": RESULTS,
    "others": OTHERS,
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=f"{kind}: {case.name}") for kind, own in CASES.items() for case in own],
)
def test_what_is_passed_is_refused_with_help_or_read_rightly(case):
    if not isinstance(case.expected, Refusal):
        case.expected(case.action())
        return
    with pytest.raises(MixlogitError) as caught:
        case.action()
    assert type(caught.value) is case.expected.kind
    message = str(caught.value)
    for part in case.expected.parts:
        assert part in message
