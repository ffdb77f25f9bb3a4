"""A formula and a table become choice data, and the same again on new data; or a clear refusal."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from zoo import CASES, case, survey

from mixlogit import MixedMultinomialLogit
from mixlogit.errors import (
    ArgumentError,
    ColumnError,
    DataError,
    DataWarning,
    FormulaError,
    IdentificationError,
    MixlogitError,
    UnseenLevelError,
)

FORMULA = "choice ~ x1 + x2"
PANEL = {"situation": "situation", "individual": "person", "alternative": "alt"}
ONE_SET = {"situation": None, "individual": None, "alternative": "item"}


def panel() -> pd.DataFrame:
    """20 people with 3 situations of 3 alternatives, with a covariate and a weight per person."""
    frame = survey(4, [[3] * 3] * 20)
    rng = np.random.default_rng(4)
    person = frame["person"].to_numpy() - 1
    frame["age"] = rng.integers(20, 70, size=20)[person].astype(float)
    frame["region"] = np.array(["west", "east", "north"])[np.arange(20) % 3][person]
    frame["w"] = rng.uniform(0.5, 2.0, size=20)[person]
    frame["av"] = 1
    return frame


def model(frame, formula=FORMULA, n_classes=2, **keywords) -> MixedMultinomialLogit:
    keywords = {key: value for key, value in (PANEL | keywords).items() if value is not None}
    return MixedMultinomialLogit.from_formula(formula, frame, n_classes, **keywords)


def error(kind: type[MixlogitError], frame, formula=FORMULA, **keywords) -> str:
    """The message of the error that this model raises."""
    with pytest.raises(kind) as caught:
        model(frame, formula, **keywords)
    assert type(caught.value) is kind
    return str(caught.value)


def assert_same_data(first: MixedMultinomialLogit, second: MixedMultinomialLogit) -> None:
    """Everything that enters the likelihood is equal to the last bit."""
    one, two = first.choices, second.choices
    for name in ("exog", "weights", "membership"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    for name in ("row", "count", "start", "frequency"):
        np.testing.assert_array_equal(getattr(one.entries, name), getattr(two.entries, name))
    starts = one.arrangement.situation_start, two.arrangement.situation_start
    np.testing.assert_array_equal(*starts)


# -- the data are what a loop reads --------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_choices_are_those_of_the_loop(case):
    data = case.model(1).choices
    entries, start = data.entries, data.arrangement.situation_start
    for i, one in enumerate(case.problem):
        own = slice(entries.start[i], entries.start[i + 1])
        found = dict(zip(entries.row[own].tolist(), entries.count[own], strict=True))
        situations = np.unique(np.searchsorted(start, entries.row[own], side="right") - 1)
        assert len(situations) == len(one.choices)
        for s, (x, counts) in zip(situations, one.choices, strict=True):
            rows = range(start[s], start[s + 1])
            expected = {tuple(a): n for a, n in zip(x.tolist(), counts, strict=True)}
            read = {tuple(data.exog[r].tolist()): found.get(r, 0.0) for r in rows}
            assert read == expected


@pytest.mark.parametrize("seed", range(3))
def test_neither_the_order_of_rows_nor_the_index_matter(seed):
    keywords = {"membership": "age + C(region)", "weights": "w"}
    frame = panel()
    shuffled = frame.sample(frac=1, random_state=seed)
    shuffled.index = pd.Index(np.arange(len(frame)) % 5, name="person")
    assert_same_data(model(frame, **keywords), model(shuffled, **keywords))
    many = shuffled.set_index(["x1", "age"], drop=False).rename_axis([None, None])
    assert_same_data(model(frame, **keywords), model(many, **keywords))


def test_situations_numbered_within_individuals_equal_unique_ids():
    frame = panel()
    task = (frame["situation"] - 1) % 3 + 1
    assert_same_data(model(frame), model(frame.assign(situation=task)))
    both = model(frame.assign(situation=task), missing="drop")
    assert_same_data(model(frame), both)


@pytest.mark.parametrize(
    "convert",
    [
        lambda f: f.astype({"person": "int8", "situation": "int16", "choice": bool}),
        lambda f: f.astype({"x1": "Float64", "choice": "Int64", "person": "Int64"}),
        lambda f: f.astype({"choice": "boolean", "situation": "string", "person": "category"}),
        lambda f: f.astype(object),
        lambda f: f.to_dict("list"),
        lambda f: f.to_records(index=False),
    ],
)
def test_types_of_columns_do_not_matter(convert):
    frame = panel().drop(columns="region")
    # ids as text are in the order of text: as many digits as numbers have keeps it
    frame["situation"] += 100
    converted = convert(frame)
    if isinstance(converted, pd.DataFrame) and converted["x1"].dtype == object:
        converted = converted.astype({"x1": float, "x2": float})
    assert_same_data(model(frame), model(converted))


def test_float32_is_read_as_the_numbers_it_holds():
    frame = panel().astype({"x1": "float32", "x2": "float32"})
    wide = frame.astype({"x1": float, "x2": float})
    assert_same_data(model(wide), model(frame))


def test_an_object_with_to_pandas_is_a_table():
    class Lazy:
        def to_pandas(self):
            return panel()

    assert_same_data(model(panel()), model(Lazy()))


def test_the_table_is_left_as_it_was():
    frame = panel()
    before = frame.copy()
    model(frame, membership="age", weights="w", availability="av", missing="drop")
    pd.testing.assert_frame_equal(frame, before)


def test_single_alternatives_are_noted_and_change_nothing():
    frame = panel()
    lonely = pd.DataFrame(
        {"person": [1, 2], "situation": [901, 902], "alt": 1, "choice": 1, "x1": 9.0, "x2": -9.0}
    )
    params = np.array([0.5, -1.0, -0.3, 0.8, 0.4])
    without, with_them = model(frame), model(pd.concat([frame, lonely]))
    assert with_them.choices.notes == (
        "2 choice situations with a single alternative carry no information.",
    )
    assert without.choices.notes == ()
    assert with_them.loglike(params) == pytest.approx(without.loglike(params), rel=1e-13)
    np.testing.assert_allclose(with_them.score(params), without.score(params), rtol=1e-11)


@pytest.mark.parametrize("name", [7, ("person", "id"), 2.5])
def test_a_column_may_have_any_name(name):
    frame = panel()
    for role, column in {"individual": "person", "weights": "w", "alternative": "alt"}.items():
        renamed = frame.copy()
        at = renamed.columns.get_loc(column)
        labels = [name if i == at else label for i, label in enumerate(renamed.columns)]
        renamed.columns = pd.Index(labels, tupleize_cols=False, dtype=object)
        given = {"weights": "w", role: name}
        assert_same_data(model(frame, weights="w"), model(renamed, **given))


def test_a_column_called_zero_is_a_column():
    frame = panel().rename(columns={"w": 0})
    assert_same_data(model(panel(), weights="w"), model(frame, weights=0))
    frame.loc[3, 0] = np.nan
    with pytest.warns(DataWarning):
        assert model(frame, weights=0, missing="drop").choices.n_situations == 59


def test_a_weight_is_that_of_the_individual():
    frame = panel()
    own = frame.groupby("person")["w"].first()
    found = model(frame, weights="w").choices.weights
    np.testing.assert_allclose(found, own / own.mean(), rtol=1e-14)


def test_membership_of_situations_without_individuals_is_read():
    frame = panel().drop(columns="person")
    data = model(frame, individual=None, membership="age").choices
    expected = frame.groupby("situation")["age"].first()
    np.testing.assert_array_equal(data.membership[:, 1], expected)


def test_membership_takes_categories_interactions_and_transforms():
    frame = panel()
    data = model(frame, membership="standardize(age) * C(region) + np.log(age)").choices
    one = frame.groupby("person").first()
    age = (one["age"] - one["age"].mean()) / one["age"].std(ddof=0)  # over people, not rows
    north, west = (one["region"] == "north").astype(float), (one["region"] == "west").astype(float)
    expected = np.column_stack(
        [np.ones(20), north, west, age, age * north, age * west, np.log(one["age"])]
    )
    order = [
        data.membership_names.index(name)
        for name in (
            "Intercept",
            "C(region)[T.north]",
            "C(region)[T.west]",
            "standardize(age)",
            "standardize(age):C(region)[T.north]",
            "standardize(age):C(region)[T.west]",
            "np.log(age)",
        )
    ]
    np.testing.assert_allclose(data.membership[:, order], expected, atol=1e-13)


@pytest.mark.parametrize("membership", ["1", "~ 1", " 1 ", "", "~"])
def test_an_intercept_alone_means_shares(membership):
    built = model(panel(), membership=membership)
    assert built.spec.membership is None
    assert built.choices.membership_names == ("Intercept",)


def test_membership_without_an_intercept_is_read():
    data = model(panel(), membership="0 + C(region)").choices
    np.testing.assert_array_equal(data.membership.sum(axis=1), np.ones(20))
    assert data.membership_names == ("C(region)[east]", "C(region)[north]", "C(region)[west]")


# -- the left side and the formula ---------------------------------------------------------------


@pytest.mark.parametrize("left", ["chosen == alt", "I(chosen == alt)", "Q('chosen') == alt"])
def test_the_left_side_may_be_an_expression(left):
    frame = panel()
    chosen = frame[frame["choice"] == 1].set_index("situation")["alt"]
    named = frame.assign(chosen=frame["situation"].map(chosen)).drop(columns="choice")
    assert_same_data(model(frame), model(named, f"{left} ~ x1 + x2"))


def test_the_calling_code_is_where_names_are_looked_up():
    def double(values):
        return 2 * values

    expected = model(panel().assign(x1=lambda f: 2 * f["x1"]))
    assert_same_data(expected, model_here(double))


def model_here(double):
    return MixedMultinomialLogit.from_formula("choice ~ double(x1) + x2", panel(), 2, **PANEL)


def test_a_tilde_in_a_quoted_name_does_not_split_the_formula():
    frame = panel().rename(columns={"x1": "a~b"})
    assert_same_data(model(panel()), model(frame, "choice ~ Q('a~b') + x2"))


@pytest.mark.parametrize("formula", ["x1 + x2", "choice ~ x1 ~ x2", ""])
def test_a_formula_has_one_tilde(formula):
    assert error(FormulaError, panel(), formula) == (
        f"The formula {formula!r} must have one '~', with the choice column on its left and the "
        "attributes on its right: 'choice ~ cost + time'."
    )


def test_a_formula_is_a_string():
    assert error(FormulaError, panel(), 3) == "The formula must be a string, not int."


def test_a_formula_has_a_left_side():
    assert error(FormulaError, panel(), "~ x1") == (
        "The formula has nothing on the left of '~'. Name the choice column."
    )


@pytest.mark.parametrize("right", ["", "1", "0"])
def test_a_formula_has_attributes(right):
    message = error(FormulaError, panel(), f"choice ~ {right}")
    assert message == (
        f"The formula 'choice ~ {right}' has no attributes. Name at least one on its right side; "
        "alternative constants are written C(alternative)."
    )


def test_a_mistyped_choice_column_is_suggested():
    frame = panel()[["person", "situation", "alt", "choice", "x1", "x2"]]
    assert error(ColumnError, frame, "Choise ~ x1") == (
        "The choice column 'Choise', on the left of the formula, is not in the table. Did you mean "
        "'choice'? Its columns are 'person', 'situation', 'alt', 'choice', 'x1', 'x2'."
    )


def test_a_left_side_that_cannot_be_evaluated_is_explained():
    message = error(FormulaError, panel(), "chosen == atl ~ x1")
    assert message.startswith(
        "The left side 'chosen == atl' of the formula cannot be evaluated: name '"
    )
    assert message.endswith(
        "It must be a column of 0/1 or counts, or an expression such as 'chosen == alternative'."
    )
    assert "Did you mean 'alt'?" in error(FormulaError, panel(), "choice == atl ~ x1")


def test_a_left_side_with_an_unknown_quoted_column_is_explained():
    message = error(ColumnError, panel(), "Q('choise') == 1 ~ x1")
    assert message.startswith(
        "left side of the formula, column 'choise': the table has no such column. Did you mean "
        "'choice'?"
    )


def test_a_left_side_gives_one_value_per_row():
    assert error(FormulaError, panel(), "choice.sum() ~ x1") == (
        "The left side 'choice.sum()' of the formula gives values of shape () for 180 rows. It "
        "must give one value per row."
    )


def test_names_of_alternatives_in_the_choice_column_are_explained():
    frame = panel().assign(choice="car")
    assert "'choice == alternative' on the left of the formula" in error(DataError, frame)


def test_membership_is_a_formula():
    assert error(FormulaError, panel(), membership=["age"]) == (
        "membership must be a formula on columns of the table, such as 'age + C(region)', not list."
    )
    assert (
        "The column 'agee', used in the membership formula, is not in the table. Did you mean"
        in (error(ColumnError, panel(), membership="agee"))
    )


# -- tables and their columns --------------------------------------------------------------------


def test_a_mistyped_id_column_is_suggested():
    frame = panel()[["person", "situation", "alt", "choice", "x1", "x2"]]
    assert error(ColumnError, frame, situation="Situaton") == (
        "situation='Situaton': the table has no such column. Did you mean 'situation'? Its columns "
        "are 'person', 'situation', 'alt', 'choice', 'x1', 'x2'."
    )


@pytest.mark.parametrize(
    "role", ["individual", "alternative", "weights", "availability", "freq_weights"]
)
def test_every_column_that_is_named_must_exist(role):
    message = error(ColumnError, panel(), **{role: "nowhere"})
    assert message.startswith(f"{role}='nowhere': the table has no such column. Its columns are ")
    assert message.endswith(", 'region', 'w', 'av'.")


@pytest.mark.parametrize("values", [[1, 2], np.ones(3), {1: 2.0}])
def test_an_array_where_a_column_name_belongs_is_refused(values):
    message = error(ArgumentError, panel(), weights=values)
    assert message == (
        f"weights must be the name of a column of the table, not {type(values).__name__}. To pass "
        "arrays, use MixedMultinomialLogit(endog, exog, ...)."
    )


def test_a_column_name_that_occurs_twice_is_refused():
    frame = panel()
    for column in ("person", "choice", "w"):
        twice = pd.concat([frame, frame[[column]]], axis=1)
        assert f"{column!r}: the table has 2 columns of that name. Rename them." in error(
            ColumnError, twice, weights="w"
        )
    twice = pd.concat([frame, frame[["x1"]]], axis=1)
    assert "'x1', used in the utility formula, is 2 times in the table" in error(ColumnError, twice)


def test_columns_of_several_levels_are_refused():
    frame = pd.concat({"a": panel()}, axis=1)
    assert error(DataError, frame) == (
        "The columns of data have 2 levels; the first is ('a', 'person'). Give each column one "
        "name, for example with data.columns = ['_'.join(map(str, column)) for column in "
        "data.columns]."
    )


def test_an_empty_table_is_refused():
    assert error(DataError, panel().iloc[:0]) == (
        "The table has no rows. Pass at least one choice situation."
    )


def test_individuals_without_situations_are_refused():
    message = error(ArgumentError, panel(), situation=None, alternative=None)
    assert message.startswith("individual='person' was given without situation=.")


@pytest.mark.parametrize("column", ["person", "situation", "alt"])
def test_missing_ids_are_refused(column):
    frame = panel().astype({column: float})
    frame.loc[4, column] = np.nan
    assert error(DataError, frame) == (
        f"1 value of the id column '{column}' is missing; the first is in row 4 (counted from 0). "
        "Fill in the ids, or drop those rows."
    )


def test_unhashable_ids_are_refused():
    frame = panel()
    frame["person"] = [[value] for value in frame["person"]]
    assert "Column 'person' holds values that cannot be ids" in error(DataError, frame)


def test_duplicate_alternatives_are_refused():
    frame = panel()
    frame.loc[4, "alt"] = 1
    assert error(DataError, frame).startswith(
        "1 of 60 choice situations lists an alternative more than once in column 'alt'; the first "
        "is situation 2 of individual 1, alternative 1."
    )


# -- individuals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["weights", "freq_weights"])
def test_weights_that_vary_within_an_individual_are_refused(role):
    frame = panel()
    frame.loc[[0, 20], "w"] = 9.0
    assert error(DataError, frame, **{role: "w"}) == (
        "The weight 'w' varies within 2 of 20 individuals; the first is individual 1. It must be "
        "constant within an individual: average it, or use it in the utility formula."
    )


@pytest.mark.parametrize(("value", "shown"), [(0, "0.0"), (-1, "-1.0"), (np.nan, "nan")])
def test_weights_are_positive(value, shown):
    frame = panel()
    frame.loc[frame["person"] == 3, "w"] = value
    assert error(DataError, frame, weights="w").startswith(
        f"1 weight in column 'w' is not positive and finite; the first is {shown} of individual 3."
    )


def test_weights_of_text_are_refused():
    frame = panel().assign(w="heavy")
    assert error(DataError, frame, weights="w").startswith(
        "20 values of the weights column 'w' are not numbers; the first is 'heavy' of individual 1."
    )


def test_frequency_weights_count_individuals():
    frame = panel()
    frame["n"] = frame["person"] % 3 + 1
    data = model(frame, freq_weights="n", weights="w").choices
    times = np.arange(1, 21) % 3 + 1
    np.testing.assert_array_equal(data.entries.frequency, times)
    assert data.n_individuals == times.sum()
    assert data.n_choices == 3 * times.sum()
    own = frame.groupby("person")["w"].first().to_numpy()
    mean = (own * times).sum() / times.sum()  # over all individuals
    np.testing.assert_allclose(data.weights, own / mean, rtol=1e-14)
    assert data.notes == (
        f"Sampling weights (w) are divided by their mean, {mean:,.6g}: they sum to the number of "
        f"individuals, {times.sum()}, and nothing depends on their unit.",
        f"Individuals are counted by frequency weights: 20 different ones stand for {times.sum()}.",
    )


def test_weights_that_are_all_equal_are_no_weights():
    data = model(panel().assign(w=0.1), weights="w").choices
    assert (data.weights == 1).all()
    assert not data.overview.is_weighted
    assert data.notes == ("Sampling weights (w) are all equal, and change nothing.",)


def test_frequency_weights_multiply_counts():
    frame = case("counts").frame
    built = model(frame.assign(n=3), "count ~ x1 + x2", 1, **ONE_SET, freq_weights="n").choices
    plain = model(frame, "count ~ x1 + x2", 1, **ONE_SET).choices
    np.testing.assert_array_equal(built.entries.frequency, 3 * plain.entries.frequency)
    np.testing.assert_array_equal(built.counts(), 3 * plain.counts().astype(int))
    assert built.n_individuals == 3 * frame["count"].sum()


def test_frequency_weights_of_new_choices_are_read_where_there_are_any():
    frame = panel().assign(n=2)
    spec = model(frame, freq_weights="n").spec
    assert (spec.read(frame)[1].frequency == 2).all()
    assert (spec.read(frame.drop(columns="n"))[1].frequency == 1).all()


@pytest.mark.parametrize(("value", "shown"), [(0, "0.0"), (1.5, "1.5"), (np.nan, "nan")])
def test_frequency_weights_are_whole_numbers(value, shown):
    frame = panel().assign(n=1.0)
    frame.loc[frame["person"] == 3, "n"] = value
    assert error(DataError, frame, freq_weights="n").startswith(
        "1 value of the frequency weights column 'n' is no whole number of at least 1; the first "
        f"is {shown} of individual 3."
    )


# Without individuals, whoever chose a row has the weights that stand in it.


def test_weights_of_one_table_are_those_of_the_rows_that_were_chosen():
    one = case("counts")
    frame = one.frame.assign(w=np.arange(12) + 0.5, n=np.arange(12) + 1)
    data = model(frame, one.formula, 1, **ONE_SET, weights="w", freq_weights="n").choices
    own = frame[frame["count"] > 0].set_index("item").loc[data.entries.ids]
    assert len(own) < 12  # one row was chosen by nobody
    times = own["count"] * own["n"]
    mean = (own["w"] * times).sum() / times.sum()
    np.testing.assert_allclose(data.weights, own["w"] / mean, rtol=1e-14)
    np.testing.assert_array_equal(data.entries.frequency, own["count"] * own["n"])


@pytest.mark.parametrize("missing", ["raise", "drop"])
@pytest.mark.parametrize("value", [np.nan, -1.0, 0.0, 99.0])
def test_weights_of_rows_that_nobody_chose_are_not_used(value, missing):
    frame = panel()
    own = {"individual": None, "weights": "w", "missing": missing}
    per_situation = frame["choice"] * 0.0 + frame["situation"]
    chosen_only = per_situation.where(frame["choice"] == 1, value)
    assert_same_data(
        model(frame.assign(w=per_situation), **own), model(frame.assign(w=chosen_only), **own)
    )
    both = own | {"weights": None, "freq_weights": "w"}
    assert_same_data(
        model(frame.assign(w=per_situation), **both), model(frame.assign(w=chosen_only), **both)
    )


def test_a_missing_weight_of_a_chosen_row_drops_its_situation():
    frame = panel()
    own = {"individual": None, "weights": "w", "missing": "drop"}
    frame.loc[(frame["situation"] == 7) & (frame["choice"] == 1), "w"] = np.nan
    with pytest.warns(DataWarning, match="1 of 60 choice situations dropped"):
        assert model(frame, **own).choices.n_situations == 59


def test_a_wrong_weight_of_a_chosen_row_is_placed():
    frame = panel().assign(w=1.0)
    frame.loc[frame["situation"] == 7, "w"] = -2.0
    chosen = frame["alt"][(frame["situation"] == 7) & (frame["choice"] == 1)].item()
    assert error(DataError, frame, individual=None, weights="w") == (
        "1 weight in column 'w' is not positive and finite; the first is -2.0 in situation 7, "
        f"alternative {chosen}. Leave those individuals out, or correct their weights."
    )


@pytest.mark.parametrize("membership", ["age", "np.log(age)", "C(age > 40)"])
def test_covariates_that_vary_within_an_individual_are_refused(membership):
    frame = panel()
    frame.loc[0, "age"] = 99.0
    assert error(DataError, frame, membership=membership) == (
        "The membership covariate 'age' varies within 1 of 20 individuals; the first is individual "
        "1. It must be constant within an individual: average it, or use it in the utility formula."
    )


def test_a_covariate_that_is_missing_in_part_of_the_rows_is_refused():
    frame = panel()
    frame.loc[0, "age"] = np.nan
    message = error(DataError, frame, membership="C(age > 40)")  # nan > 40 is no error to numpy
    assert "individual 1, where it is missing in part of the rows." in message


def test_a_missing_covariate_is_refused():
    frame = panel()
    frame.loc[frame["person"] == 2, "age"] = np.nan
    assert error(DataError, frame, membership="age") == (
        "1 value of membership covariate 'age' is missing or not finite; the first belongs to "
        "individual 2. Correct the column, or drop those individuals."
    )


def test_membership_without_individuals_is_refused():
    table = case("counts").frame
    with pytest.raises(ArgumentError) as caught:
        MixedMultinomialLogit.from_formula("count ~ x1", table, membership="x2")
    assert str(caught.value) == (
        "Membership covariates need individuals, but the table is one choice set without an "
        "individual column. Pass individual= and situation=, or use from_table."
    )


# -- identification ------------------------------------------------------------------------------


def test_an_attribute_that_is_constant_within_situations_is_refused():
    assert error(IdentificationError, panel(), "choice ~ x1 + age").startswith(
        "1 of 2 attributes cannot have a coefficient: 'age' is constant within every choice "
        "situation."
    )


def test_full_dummies_are_collinear():
    assert error(IdentificationError, panel(), "choice ~ 0 + C(alt)") == (
        "Attribute 'C(alt)[3]' is a linear combination of 'C(alt)[1]', 'C(alt)[2]' within choice "
        "situations, so their coefficients are not identified. Drop one of these columns."
    )


def test_alternative_constants_leave_the_intercept_out():
    assert model(panel(), "choice ~ C(alt)").choices.exog_names == ("C(alt)[T.2]", "C(alt)[T.3]")


def test_a_three_way_dependence_is_named():
    frame = panel().assign(x3=lambda f: f["x1"] - 2 * f["x2"] + f["age"])
    assert error(IdentificationError, frame, "choice ~ x1 + x2 + x3").startswith(
        "Attribute 'x3' is a linear combination of 'x1', 'x2' within choice situations"
    )


@pytest.mark.parametrize(
    ("term", "value", "shown"),
    [("x1", np.nan, "nan"), ("x1", np.inf, "inf"), ("np.log(x1)", -1.0, "nan"),
     ("np.log(x1)", 0.0, "-inf")],
)  # fmt: skip
def test_attributes_that_are_not_finite_are_placed(term, value, shown):
    frame = panel().assign(x1=lambda f: np.exp(f["x1"]))
    frame.loc[7, "x1"] = value
    assert error(DataError, frame, f"choice ~ {term} + x2").startswith(
        f"1 value of attribute '{term}' is missing or not finite; the first is {shown} in "
        "situation 3 of individual 1, alternative 2. "
    )


# -- availability --------------------------------------------------------------------------------


def thinned() -> pd.DataFrame:
    """A panel with two unavailable rows."""
    frame = panel()
    frame.loc[frame.index[frame["choice"] == 0][[0, 5]], "av"] = 0
    return frame


def test_unavailable_rows_are_left_out_and_noted():
    frame = thinned()
    built = model(frame, availability="av")
    assert_same_data(model(frame[frame["av"] == 1]), built)
    assert built.choices.notes == ("2 unavailable rows left out.",)


def test_transforms_and_levels_are_learned_on_available_rows():
    frame = thinned()
    frame.loc[frame["av"] == 0, "x1"] = 1e6
    formula = "choice ~ standardize(x1) + x2"
    built = model(frame, formula, availability="av")
    assert_same_data(model(frame[frame["av"] == 1], formula), built)
    frame["kind"] = np.where(frame["av"] == 0, "never", np.where(frame["x2"] > 0, "a", "b"))
    names = model(frame, "choice ~ x1 + C(kind)", availability="av").choices.exog_names
    assert names == ("C(kind)[T.b]", "x1")


@pytest.mark.parametrize("column", ["x1", "choice", "person", "situation", "alt", "age", "w"])
@pytest.mark.parametrize("missing", ["raise", "drop"])
def test_what_is_missing_in_an_unavailable_row_does_not_matter(column, missing):
    keywords = {"availability": "av", "missing": missing, "membership": "age", "weights": "w"}
    frame = thinned().astype({column: float})
    expected = model(frame, **keywords)
    frame.loc[frame["av"] == 0, column] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = model(frame, **keywords)
    assert_same_data(expected, found)
    assert found.choices.notes == expected.choices.notes
    assert found.choices.notes[0] == "2 unavailable rows left out."


def test_a_choice_of_an_unavailable_alternative_is_refused():
    frame = panel()
    row = int(np.flatnonzero(frame["choice"] == 1)[0])
    frame.loc[row, "av"] = 0
    assert error(DataError, frame, availability="av") == (
        f"1 chosen row is marked as unavailable in column 'av'; the first is row {row} (counted "
        "from 0). Correct the availability or the choice, or drop those situations."
    )


def test_choices_in_text_of_unavailable_rows_are_read():
    frame = thinned().astype({"choice": str})
    assert_same_data(model(thinned(), availability="av"), model(frame, availability="av"))


@pytest.mark.parametrize("value", [2, np.nan, -1])
def test_availability_is_0_or_1(value):
    frame = panel().astype({"av": float})
    frame.loc[3, "av"] = value
    assert error(DataError, frame, availability="av").startswith(
        f"1 value of the availability column 'av' is neither 0 nor 1; the first is {float(value)} "
        "in row 3 (counted from 0)."
    )


def test_a_situation_without_available_alternatives_is_refused():
    frame = panel()
    frame.loc[3:5, ["av", "choice"]] = 0
    assert error(DataError, frame, availability="av") == (
        "1 of 60 choice situations has no available alternative; the first is situation 2. Check "
        "column 'av', or drop those situations."
    )


# -- missing values ------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["x1", "choice", "alt", "w", "age", "av"])
def test_whole_situations_are_dropped_noted_and_warned_of(column):
    keywords = {"membership": "age", "weights": "w", "availability": "av", "missing": "drop"}
    frame = panel().astype({column: float})
    frame.loc[[4, 5, 100], column] = np.nan
    note = "2 of 60 choice situations dropped because of missing values."
    with pytest.warns(DataWarning) as caught:
        built = model_with_warning(frame, keywords)
    assert [str(one.message) for one in caught] == [note]
    assert caught[0].filename == __file__
    assert built.choices.notes[0] == note
    bad = frame.loc[[4, 100], "situation"]
    assert_same_data(model(frame[~frame["situation"].isin(bad)], **keywords), built)


def model_with_warning(frame, keywords):
    return MixedMultinomialLogit.from_formula(FORMULA, frame, 2, **PANEL, **keywords)


def test_missing_values_elsewhere_are_no_reason_to_drop():
    frame = panel().assign(note=np.nan)
    assert_same_data(model(frame), model(frame, missing="drop"))


def test_transforms_are_learned_on_the_kept_rows_only():
    frame = panel()
    frame.loc[3, "x2"] = np.nan
    frame.loc[4, "x1"] = 1e6  # in the same situation
    formula = "choice ~ standardize(x1) + x2"
    with pytest.warns(DataWarning):
        built = model(frame, formula, missing="drop")
    assert_same_data(model(frame[frame["situation"] != 2], formula), built)


def test_tasks_of_other_individuals_are_not_dropped():
    frame = panel()
    frame["situation"] = (frame["situation"] - 1) % 3 + 1
    frame.loc[0, "x1"] = np.nan
    with pytest.warns(DataWarning, match="1 of 60 choice situations dropped"):
        assert model(frame, missing="drop").choices.n_situations == 59


@pytest.mark.parametrize("column", ["person", "situation"])
def test_a_missing_id_of_a_situation_cannot_be_dropped(column):
    frame = panel().astype({column: float})
    frame.loc[4, column] = np.nan
    frame.loc[9, "x1"] = np.nan
    assert error(DataError, frame, missing="drop") == (
        f"1 value of the id column '{column}' is missing; the first is in row 4 (counted from 0). "
        "Fill in the ids, or drop those rows."
    )


def test_everything_missing_is_refused():
    assert error(DataError, panel().assign(x1=np.nan), missing="drop") == (
        "Every one of the 60 choice situations has a missing value. Check the columns 'choice', "
        "'x1', 'x2', 'alt'."
    )


def test_a_missing_value_in_the_one_choice_set_is_refused():
    table = case("counts").frame.copy()
    table.loc[2, "x1"] = np.nan
    with pytest.raises(DataError) as caught:
        MixedMultinomialLogit.from_formula("count ~ x1", table, missing="drop")
    assert str(caught.value) == (
        "1 row of the one choice set has a missing value, and missing='drop' would leave no data. "
        "Correct or drop those rows."
    )


def test_an_unknown_rule_for_missing_values_is_refused():
    assert error(ArgumentError, panel(), missing="ignore") == (
        "missing='ignore' is not one of raise, drop."
    )


# -- counts --------------------------------------------------------------------------------------


def test_counts_of_one_table_need_no_situations():
    one = case("counts")
    data = one.model(2).choices
    assert data.n_individuals == one.frame["count"].sum()
    assert data.n_situations == 1


def test_zeros_and_ones_without_a_situation_column_are_explained():
    message = error(DataError, panel(), situation=None, individual=None, alternative=None)
    assert message.startswith("There is no situation column, so the 180 rows are one choice set")


def test_two_choices_in_a_situation_are_counts_when_said_so():
    frame = panel()
    frame.loc[0:2, "choice"] = 1
    assert error(DataError, frame).endswith("pass choices='counts'.")
    assert model(frame, choices="counts").choices.n_choices == 62


# -- one table, many individuals -----------------------------------------------------------------


def shoppers() -> tuple[pd.DataFrame, pd.DataFrame]:
    one = case("shared table")
    return one.frame.copy(), one.choices.copy()


def table_model(table, choices, formula="~ x1 + x2", n_classes=2, **keywords):
    given = {"alternative": "item", "individual": "shopper", "count": "n"} | keywords
    return MixedMultinomialLogit.from_table(formula, table, choices, n_classes, **given)


def table_error(kind, table, choices, formula="~ x1 + x2", **keywords) -> str:
    with pytest.raises(kind) as caught:
        table_model(table, choices, formula, **keywords)
    assert type(caught.value) is kind
    return str(caught.value)


def test_a_tilde_is_optional_for_a_table():
    table, choices = shoppers()
    assert_same_data(table_model(table, choices), table_model(table, choices, "x1 + x2"))


def test_rows_that_repeat_add_up():
    table, choices = shoppers()
    single = choices.loc[choices.index.repeat(choices["n"])].drop(columns="n")
    expected = table_model(table, choices)
    assert_same_data(
        expected, table_model(table, single.sample(frac=1, random_state=0), count=None)
    )


def test_a_table_takes_weights_and_membership():
    table, choices = shoppers()
    choices["w"] = choices["shopper"] / 10
    choices["age"] = choices["shopper"] % 7
    data = table_model(table, choices, weights="w", membership="age").choices
    ids = np.array([1, 3, 7, 9, 12, 25])
    np.testing.assert_allclose(data.weights, ids / ids.mean(), rtol=1e-14)
    np.testing.assert_array_equal(data.membership[:, 1], ids % 7)


def test_a_weighted_table_can_be_replayed():
    table, choices = shoppers()
    choices["w"] = 1.0
    built = table_model(table, choices, weights="w")
    assert len(built.spec.replay(table.head(3)).exog) == 3


@pytest.mark.parametrize("role", ["weights", "freq_weights"])
def test_weights_that_vary_within_a_shopper_are_refused(role):
    table, choices = shoppers()
    choices["w"] = np.arange(len(choices)) + 1.0
    assert "The weight 'w' varies within 6 of 6 individuals; the first is individual " in (
        table_error(DataError, table, choices, **{role: "w"})
    )


def test_a_table_takes_frequency_weights():
    table, choices = shoppers()
    choices["times"] = choices["shopper"] + 1
    data = table_model(table, choices, freq_weights="times").choices
    np.testing.assert_array_equal(data.entries.frequency, data.entries.ids + 1)
    choices["times"] = choices["shopper"] / 2
    assert table_error(DataError, table, choices, freq_weights="times").startswith(
        "5 values of the frequency weights column 'times' are no whole numbers of at least 1; the "
        "first is 0.5 of individual 1."
    )


def test_an_alternative_that_is_not_in_the_table_is_refused():
    table, choices = shoppers()
    message = table_error(DataError, table[table["item"] != "a"], choices)
    assert "an alternative that the table of alternatives lacks; the first is 'a'" in message


def test_counts_of_a_table_are_whole_numbers():
    table, choices = shoppers()
    for value in (-1.0, np.nan, 0.5):
        bad = choices.astype({"n": float})
        bad.loc[2, "n"] = value
        assert f"of at least 0; the first is {value} in row 2 (counted from 0)." in (
            table_error(DataError, table, bad)
        )


def test_a_shopper_without_choices_is_refused():
    table, choices = shoppers()
    choices.loc[choices["shopper"] == 9, "n"] = 0
    assert table_error(DataError, table, choices) == (
        "1 individual is without any choice; the first is 9 (column 'shopper'). Drop those rows."
    )


def test_a_formula_for_a_table_has_no_left_side():
    assert table_error(FormulaError, *shoppers(), "n ~ x1 + x2") == (
        "The formula 'n ~ x1 + x2' has a left-hand side, but the choices are in a table of their "
        "own. Write '~ x1 + x2', and pass count= for the column of counts."
    )


def test_a_formula_for_a_table_is_a_string():
    assert table_error(FormulaError, *shoppers(), 3) == "The formula must be a string, not int."


def test_a_formula_for_a_table_has_attributes():
    assert "has no attributes" in table_error(FormulaError, *shoppers(), "~ 1")


@pytest.mark.parametrize(
    ("keywords", "start"),
    [
        (
            {"alternative": "itm"},
            "alternative='itm': the table of alternatives has no such column.",
        ),
        ({"individual": "shoper"}, "individual='shoper': the table of choices has no such column."),
        ({"count": "m"}, "count='m': the table of choices has no such column."),
        ({"weights": "m"}, "weights='m': the table of choices has no such column."),
        ({"freq_weights": "m"}, "freq_weights='m': the table of choices has no such column."),
    ],
)
def test_columns_of_both_tables_must_exist(keywords, start):
    assert table_error(ColumnError, *shoppers(), **keywords).startswith(start)


def test_an_alternative_stands_once_in_the_table():
    table, choices = shoppers()
    message = table_error(DataError, pd.concat([table, table.head(1)]), choices)
    assert "lists an alternative more than once in column 'item'" in message


# -- the number of classes -----------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [True, 2.0, "2", None])
def test_the_number_of_classes_is_an_integer(n_classes):
    with pytest.raises(ArgumentError) as caught:
        MixedMultinomialLogit.from_formula(FORMULA, panel(), n_classes, **PANEL)
    assert str(caught.value) == f"n_classes={n_classes!r} must be a whole number of at least 1."


def test_the_number_of_classes_is_positive_and_at_most_that_of_individuals():
    assert error(ArgumentError, panel(), n_classes=0) == (
        "n_classes=0 must be a whole number of at least 1."
    )
    assert error(ArgumentError, panel(), n_classes=21) == (
        "n_classes=21, but there are only 20 individuals. Fit fewer classes."
    )


# -- replay --------------------------------------------------------------------------------------


def learned() -> MixedMultinomialLogit:
    return model(panel(), "choice ~ standardize(x1) + C(alt)", membership="age + C(region)")


def test_replay_on_the_fitted_table_gives_the_same_attributes():
    built = learned()
    sets = built.spec.replay(panel())
    np.testing.assert_array_equal(sets.exog, built.choices.exog)
    owner = built.choices.arrangement.situation_owner
    np.testing.assert_array_equal(sets.membership, built.choices.membership[owner])


def test_columns_in_another_order_and_more_of_them_change_nothing():
    built, frame = learned(), panel()
    other = frame.assign(more=1.0)[[*reversed(frame.columns), "more"]]
    expected, found = built.spec.replay(frame), built.spec.replay(other)
    np.testing.assert_array_equal(found.exog, expected.exog)
    np.testing.assert_array_equal(found.membership, expected.membership)


def test_new_data_need_no_choices_individuals_or_weights():
    built = model(panel(), "choice ~ standardize(x1) + x2", membership="age", weights="w")
    new = panel().drop(columns=["choice", "person", "w", "alt"]).head(6)
    sets = built.spec.replay(new)
    full = built.spec.replay(panel().head(6))
    np.testing.assert_array_equal(sets.exog, full.exog)
    np.testing.assert_array_equal(sets.membership, full.membership)


def test_an_unseen_level_in_new_data_is_named():
    with pytest.raises(UnseenLevelError) as caught:
        learned().spec.replay(panel().replace({"alt": {3: 4}}).head(6))
    message = str(caught.value)
    assert "C(alt)" in message
    assert "4 (rows: 2)" in message
    with pytest.raises(UnseenLevelError, match="'south'"):
        learned().spec.replay(panel().replace({"region": {"west": "south"}}))


def test_unavailable_rows_of_new_data_are_left_out():
    built = model(thinned(), availability="av")
    assert len(built.spec.replay(thinned()).exog) == 178
    with pytest.raises(ColumnError, match="availability='av'"):
        built.spec.replay(thinned().drop(columns="av"))
    with pytest.raises(DataError, match="None of the 180 rows is available"):
        built.spec.replay(thinned().assign(av=0))


def test_new_data_must_be_finite():
    new = panel()
    new.loc[3, "x1"] = np.nan
    with pytest.raises(DataError, match=r"1 value of attribute 'standardize\(x1\)' is missing"):
        learned().spec.replay(new)
    new = panel().assign(age=np.nan)
    with pytest.raises(DataError) as caught:
        learned().spec.replay(new)
    assert str(caught.value) == (
        "Membership covariate 'age' is missing or not finite in 60 situations of the new data; the "
        "first is situation 1. Correct the column."
    )


def test_covariates_of_new_data_are_constant_within_individuals():
    with pytest.raises(DataError, match="The membership covariate 'age' varies within 1 of 20"):
        learned().spec.replay(panel().assign(age=lambda f: np.where(f.index == 0, 99, f["age"])))


@pytest.mark.parametrize(
    ("column", "role"), [("x1", "utility formula"), ("age", "membership formula")]
)
def test_columns_of_the_formulas_must_be_in_new_data(column, role):
    message = rf"The column '{column}', used in the {role}.*, is not in the table"
    with pytest.raises(ColumnError, match=message):
        learned().spec.replay(panel().drop(columns=column))


def test_new_data_without_situations_are_refused():
    with pytest.raises(ColumnError, match="situation='situation': the table has no such column"):
        learned().spec.replay(panel().drop(columns="situation"))


def test_what_was_learned_replays_in_a_fresh_process(tmp_path):
    built, frame = learned(), panel()
    (tmp_path / "spec.pkl").write_bytes(pickle.dumps(built.spec))
    frame.to_pickle(tmp_path / "frame.pkl")
    code = (
        "import pickle, sys; import numpy as np, pandas as pd\n"
        "spec = pickle.load(open(sys.argv[1] + '/spec.pkl', 'rb'))\n"
        "sets = spec.replay(pd.read_pickle(sys.argv[1] + '/frame.pkl').sample(frac=1))\n"
        "np.save(sys.argv[1] + '/exog.npy', sets.exog)\n"
        "np.save(sys.argv[1] + '/z.npy', sets.membership)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    sets = built.spec.replay(frame)
    np.testing.assert_array_equal(np.load(tmp_path / "exog.npy"), sets.exog)
    np.testing.assert_array_equal(np.load(tmp_path / "z.npy"), sets.membership)


def test_a_pickled_specification_holds_no_data():
    frame = pd.concat([panel()] * 50, keys=range(50), names=["copy", None]).reset_index("copy")
    frame["person"] += 100 * frame["copy"]
    few, many = (model(one).spec for one in (panel(), frame))
    assert abs(len(pickle.dumps(few)) - len(pickle.dumps(many))) < 100
