"""Formulas in three parts, and terms that do not vary within situations.

What a formula means is said by a loop over the rows of the table, and by numbers that others
published.
"""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import patsy
import pytest

from mixlogit import (
    MixedMultinomialLogit,
    cross_validate,
    datasets,
    from_wide,
    read_results,
    select_classes,
    simulate_choices,
)
from mixlogit.errors import (
    ArgumentError,
    ColumnError,
    ConvergenceWarning,
    DataError,
    FormulaError,
    IdentificationError,
    UnseenLevelError,
)

IDS = {"situation": "situation", "individual": "person", "alternative": "mode"}
THREE = "choice ~ cost + time | income + C(sex) | wait"
NAMES = (
    "cost",
    "time",
    *("car:(constant)", "rail:(constant)"),
    *("car:C(sex)[T.m]", "rail:C(sex)[T.m]"),
    *("car:income", "rail:income"),
    *("bus:wait", "car:wait", "rail:wait"),
)
SAME = 1e-12  # the same sums in another order


def trips(n_people: int = 60, seed: int = 0, *, ragged: bool = False) -> pd.DataFrame:
    """People with four situations of three modes, an income and a sex."""
    rng = np.random.default_rng(seed)
    person, situation, mode = (i.ravel() for i in np.indices((n_people, 4, 3)))
    n = len(person)
    frame = pd.DataFrame(
        {
            "person": person,
            "situation": 4 * person + situation,
            "mode": np.array(["bus", "car", "rail"])[mode],
            "cost": rng.normal(size=n),
            "time": rng.normal(size=n),
            "wait": rng.normal(size=n),
            "income": rng.normal(size=n_people)[person],
            "sex": np.array(["f", "m"])[person % 2],
        }
    )
    if ragged:
        frame = frame[(frame["mode"] != "rail") | (rng.random(n) < 0.6)].reset_index(drop=True)
    utility = (
        -frame["cost"] - 0.5 * frame["time"] + 0.8 * frame["income"] * (mode == 1)[: len(frame)]
    )
    utility = utility + rng.gumbel(size=len(frame))
    best = utility.groupby(frame["situation"]).transform("max")
    return frame.assign(choice=(utility == best).astype(int))


def by_hand(frame: pd.DataFrame) -> np.ndarray:
    """The design of THREE with bus as the reference, row by row."""
    rows = []
    for row in frame.itertuples():
        is_car, is_rail = float(row.mode == "car"), float(row.mode == "rail")
        is_man = float(row.sex == "m")
        rows.append(
            [
                *(row.cost, row.time, is_car, is_rail, is_car * is_man, is_rail * is_man),
                *(is_car * row.income, is_rail * row.income),
                *(float(row.mode == "bus") * row.wait, is_car * row.wait, is_rail * row.wait),
            ]
        )
    return np.array(rows)


def model(frame=None, formula=THREE, n_classes=1, **keywords) -> MixedMultinomialLogit:
    frame = trips() if frame is None else frame
    return MixedMultinomialLogit.from_formula(formula, frame, n_classes, **(IDS | keywords))


def arrays(frame: pd.DataFrame, n_classes: int = 1) -> MixedMultinomialLogit:
    """The same model without any formula, from the design of the loop."""
    exog = pd.DataFrame(by_hand(frame), columns=list(NAMES))
    ids = {role: frame[name] for role, name in IDS.items()}
    return MixedMultinomialLogit(frame["choice"], exog, n_classes, **ids)


def error(kind, *arguments, **keywords) -> str:
    with pytest.raises(kind) as caught:
        model(*arguments, **keywords)
    assert type(caught.value) is kind
    return str(caught.value)


# -- what the parts mean ---------------------------------------------------------------------------


@pytest.mark.parametrize("ragged", [False, True])
def test_three_parts_are_the_columns_of_a_loop_over_the_rows(ragged):
    frame = trips(ragged=ragged)
    built = model(frame)
    assert built.choices.exog_names == NAMES
    order = built.choices.arrangement.order
    np.testing.assert_array_equal(np.asarray(built.choices.exog[:]), by_hand(frame)[order])


def test_greenes_travellers_as_mlogit_prints_them():
    """TravelMode of AER, choice2 ~ gcost + wait + incair with constants, reflevel = "car"."""
    travellers = datasets.load("travelmode").data
    result = MixedMultinomialLogit.from_formula(
        "choice ~ gc + ttme + I(hinc * (mode == 'air')) | 1",
        travellers,
        1,
        situation="individual",
        alternative="mode",
        reference="car",
    ).fit()
    assert round(result.llf, 2) == -199.13
    assert round(result.prsquared_constants, 5) == 0.29825
    names = ["air:(constant)", "train:(constant)", "bus:(constant)", "gc", "ttme"]
    found = pd.DataFrame({"coef": result.params, "std err": result.bse}).round(6)
    found = found.loc[[*(f"class1.{n}" for n in names), "class1.I(hinc * (mode == 'air'))"]]
    printed = [
        [5.207433, 0.779055],
        [3.869036, 0.443127],
        [3.163190, 0.450266],
        [-0.015501, 0.004408],
        [-0.096125, 0.010440],
        [0.013287, 0.010262],
    ]
    # its steps ended at a quadratic gradient of 2.3e-4, which is 1e-5 of the first coefficients
    np.testing.assert_allclose(found, printed, rtol=0, atol=1.1e-5)


@pytest.mark.parametrize(
    ("second", "names"),
    [
        ("1", ["car:(constant)", "rail:(constant)"]),
        ("0", []),
        ("-1", []),
        ("income", ["car:(constant)", "rail:(constant)", "car:income", "rail:income"]),
        ("income - 1", ["car:income", "rail:income"]),
        ("0 + income", ["car:income", "rail:income"]),
        (
            "0 + sex",
            ["car:sex[f]", "rail:sex[f]", "car:sex[m]", "rail:sex[m]"],
        ),
    ],
)
def test_constants_belong_to_the_second_part(second, names):
    built = model(formula=f"choice ~ cost | {second}")
    assert list(built.choices.exog_names) == ["cost", *names]


def test_one_part_is_without_constants():
    assert model(formula="choice ~ cost + time").choices.exog_names == ("cost", "time")


@pytest.mark.parametrize("first", ["0", "1", "-1"])
def test_the_first_part_may_be_nothing(first):
    built = model(formula=f"choice ~ {first} | income")
    assert built.choices.exog_names == NAMES[2:4] + NAMES[6:8]


def test_the_reference_has_no_coefficients_of_the_person():
    built = model(formula="choice ~ cost | income | time", reference="rail")
    assert built.choices.exog_names == (
        "cost",
        *("bus:(constant)", "car:(constant)", "bus:income", "car:income"),
        *("bus:time", "car:time", "rail:time"),
    )
    other = model(formula="choice ~ cost | income | time")
    assert built.fit().llf == pytest.approx(other.fit().llf, rel=SAME)


def test_the_reference_is_the_first_of_declared_categories():
    frame = trips()
    frame["mode"] = pd.Categorical(frame["mode"], ["rail", "bus", "ship", "car"])
    built = model(frame, "choice ~ cost | 1")
    assert built.choices.exog_names == ("cost", "bus:(constant)", "car:(constant)")


@pytest.mark.parametrize("reference", [2, "2"])
def test_alternatives_may_be_numbers(reference):
    frame = trips().assign(mode=lambda f: f["mode"].map({"bus": 1, "car": 2, "rail": 30}))
    built = model(frame, "choice ~ cost | income", 1, reference=reference)
    assert built.choices.exog_names[1:3] == ("1:(constant)", "30:(constant)")
    result = built.fit()
    assert result.t_test("class1.30:income = class1.1:income").effect == pytest.approx(
        result.params["class1.30:income"] - result.params["class1.1:income"]
    )


def test_a_column_of_alternatives_needs_no_plain_name():
    frame = trips().rename(columns={"mode": "the mode"})
    built = model(frame, alternative="the mode")
    assert built.choices.exog_names == NAMES


def test_bars_in_brackets_and_quotes_are_no_parts():
    frame = trips().assign(a=lambda f: f["cost"] > 0, b=lambda f: f["time"] > 0)
    frame = frame.rename(columns={"wait": "wait|ing"})
    built = model(frame, "choice ~ I(1.0 * (a | b)) + Q('wait|ing') | 1")
    assert built.choices.exog_names[:2] == ("I(1.0 * (a | b))", "Q('wait|ing')")


def test_interactions_within_a_part():
    built = model(formula="choice ~ cost | income * sex | 0")
    assert len(built.choices.exog_names) == 1 + 2 * 4
    built = model(formula="choice ~ cost * income | income")
    assert built.choices.exog_names[:2] == ("cost", "cost:income")
    assert "because income does not vary" in built.choices.notes[0]


# -- whatever a model does -------------------------------------------------------------------------


def test_two_classes_are_those_of_the_design_of_the_loop():
    frame = trips(150)
    result, other = model(frame, n_classes=2).fit(), arrays(frame, 2).fit()
    assert result.llf == pytest.approx(other.llf, rel=SAME)
    np.testing.assert_allclose(result.params, other.params, rtol=1e-8)


def test_names_of_coefficients_are_read_in_tests_constraints_common_and_signs():
    frame = trips(150)
    built = model(
        frame,
        n_classes=2,
        constraints=["class1.car:income = class2.car:income", "class2.rail:(constant) = 0.5"],
        common=["car:C(sex)[T.m]", "bus:wait"],
        signs={"cost": "-", "rail:(constant)": "+"},
    )
    result = built.fit()
    assert result.params["class1.car:income"] == result.params["class2.car:income"]
    assert result.params["class2.rail:(constant)"] == 0.5
    assert result.params["class1.bus:wait"] == result.params["class2.bus:wait"]
    assert result.params["class1.rail:(constant)"] >= 0
    test = result.t_test("class1.car:(constant) - 2 * class2.car:(constant) = 1")
    expected = result.params["class1.car:(constant)"] - 2 * result.params["class2.car:(constant)"]
    assert test.effect == pytest.approx(expected)


def test_new_data_are_read_with_the_alternatives_of_the_fit():
    frame = trips(ragged=True)
    result = model(frame).fit()
    new = trips(10, 5)
    new = new[(new["mode"] != "rail") & (new["mode"] != "bus") | (new["situation"] % 2 == 0)]
    utility = by_hand(new) @ result.class_params["class1"].to_numpy()
    found = result.predict(new, which="linear")["class1"]
    np.testing.assert_allclose(found, utility, rtol=SAME)


@pytest.mark.parametrize("formula", [THREE, "choice ~ cost | income - 1"])
def test_pickles_and_files_hold_all_parts(tmp_path, formula):
    result = model(formula=formula).fit()
    result.to_file(tmp_path / "fit.npz")
    result.to_file(tmp_path / "bare.npz", include_data=False)
    new = trips(5, 7)
    again = [
        pickle.loads(pickle.dumps(result)),
        read_results(tmp_path / "fit.npz"),
        read_results(tmp_path / "bare.npz"),
    ]
    varying = new.assign(income=np.arange(len(new)))
    for other in again:
        np.testing.assert_array_equal(other.predict(new), result.predict(new))
        assert other.summary().as_text() == result.summary().as_text()
        with pytest.raises(DataError, match="'income', in the second part"):
            other.predict(varying)


def test_elasticities_and_shares_are_those_of_columns_made_by_hand():
    frame = trips()
    result = model(frame, "choice ~ cost | income | wait").fit()
    terms = [f"I(income * (mode == '{m}'))" for m in ("car", "rail")]
    waits = [f"I(wait * (mode == '{m}'))" for m in ("bus", "car", "rail")]
    other = model(frame, f"choice ~ {' + '.join(['cost', 'C(mode)', *terms, *waits])}").fit()
    for attribute in ("income", "wait"):
        pd.testing.assert_frame_equal(
            result.elasticities(attribute, data=frame),
            other.elasticities(attribute, data=frame),
            rtol=1e-6,
        )
    richer = {"income": 1.1}
    shares = [one.market_shares(frame, scenario=richer) for one in (result, other)]
    pd.testing.assert_frame_equal(shares[0], shares[1], rtol=1e-6)


def test_wide_tables_pieces_and_availability_give_the_same_model():
    frame = trips(ragged=True)
    reference = model(frame)
    every = trips().drop(columns="choice")
    there = every.merge(frame[["situation", "mode", "choice"]], how="left")
    there["open"] = there["choice"].notna().astype(int)
    there["choice"] = there["choice"].fillna(0)
    # attributes of rows that are there are those of the ragged table
    closed = there.drop(columns=["cost", "time", "wait"]).merge(
        frame[["situation", "mode", "cost", "time", "wait"]], how="left"
    )
    closed[["cost", "time", "wait"]] = closed[["cost", "time", "wait"]].fillna(0.0)
    same = model(closed, availability="open")
    assert same.choices.exog_names == NAMES
    np.testing.assert_array_equal(same.choices.exog[:], reference.choices.exog[:])
    cuts = [frame.iloc[:100], frame.iloc[100:]]
    pieces = MixedMultinomialLogit.from_chunks(THREE, cuts, 1, **IDS)
    np.testing.assert_array_equal(pieces.choices.exog[:], reference.choices.exog[:])


def test_a_wide_table_goes_through_from_wide():
    frame = trips()
    wide = frame.pivot(index="situation", columns="mode", values=["cost", "time", "wait"])
    wide.columns = [f"{name}_{mode}" for name, mode in wide.columns]
    first = frame.groupby("situation")[["person", "income", "sex"]].first()
    chosen = frame[frame["choice"] == 1].set_index("situation")["mode"].rename("choice")
    wide = wide.join(first).join(chosen).reset_index()
    modes = ["bus", "car", "rail"]
    long = from_wide(
        wide,
        alternatives=modes,
        choice="choice",
        varying={n: {m: f"{n}_{m}" for m in modes} for n in ("cost", "time", "wait")},
        situation="situation",
        individual="person",
    )
    built = model(long, THREE, alternative="alternative")
    np.testing.assert_array_equal(built.choices.exog[:], model(frame).choices.exog[:])


def test_one_table_of_alternatives_may_have_constants():
    table = pd.DataFrame({"item": ["a", "b", "c", "d"], "x": [0.0, 1.0, 3.0, 1.0]})
    choices = pd.DataFrame({"who": [1, 1, 2, 3, 4, 4, 5], "item": list("aabcbdc")})
    built = MixedMultinomialLogit.from_table(
        "~ 0 | 1", table, choices, 1, alternative="item", individual="who", reference="d"
    )
    assert built.choices.exog_names == ("a:(constant)", "b:(constant)", "c:(constant)")
    result = built.fit()
    share = np.array([2, 2, 2, 1]) / 7
    np.testing.assert_allclose(result.params, np.log(share[:3] / share[3]), rtol=1e-8)
    assert result.llf == pytest.approx(7 * share @ np.log(share), rel=SAME)


def test_variables_of_the_person_need_a_long_table():
    table = pd.DataFrame({"item": ["a", "b", "c"], "x": [0.0, 1.0, 3.0]})
    choices = pd.DataFrame({"who": [1, 2, 3], "item": ["a", "b", "c"], "age": [30, 40, 50]})
    with pytest.raises(ColumnError, match=r"'age'.* build one long table and use from_formula"):
        MixedMultinomialLogit.from_table(
            "~ x | 0 + age", table, choices, 1, alternative="item", individual="who"
        )


def test_selection_and_cross_validation_carry_the_parts():
    frame = trips(80)
    formula = "choice ~ cost | income"
    terms = "cost + C(mode) + I(income * (mode == 'car')) + I(income * (mode == 'rail'))"
    chosen = [
        select_classes(model(frame, f), range(1, 3), n_starts=2).table["llf"]
        for f in (formula, f"choice ~ {terms}")
    ]
    np.testing.assert_allclose(chosen[0], chosen[1], rtol=1e-8)
    folds = [
        cross_validate(model(frame, f), [1], n_folds=3).table
        for f in (formula, f"choice ~ {terms}")
    ]
    np.testing.assert_allclose(folds[0], folds[1], rtol=1e-8)


def test_choices_are_simulated_from_a_formula_in_parts():
    frame = trips(400).drop(columns="choice")
    right = "cost | income | wait"
    tastes = pd.Series(
        {
            "car:income": 0.8,
            "rail:income": -0.5,
            "car:(constant)": 0.4,
            "rail:(constant)": -0.3,
            "cost": -1.0,
            "bus:wait": 0.0,
            "car:wait": -0.7,
            "rail:wait": 0.6,
        }
    ).to_frame("class1")
    drawn = simulate_choices(frame, tastes, formula=right, rng=3, **IDS)
    by_columns = frame.assign(
        **{
            name: frame["mode"].eq(name.split(":")[0])
            * (1.0 if "constant" in name else frame[name.split(":")[-1]])
            for name in tastes.index
            if ":" in name
        }
    )
    plain = simulate_choices(by_columns, tastes, rng=3, **IDS)
    pd.testing.assert_series_equal(drawn["choice"], plain["choice"])
    assert "car:income" not in drawn
    result = model(drawn, f"choice ~ {right}").fit()
    far = (result.params - tastes["class1"].add_prefix("class1.")) / result.bse
    assert far.abs().max() < 4  # of eight normal variables
    with pytest.raises(ArgumentError, match=r"class_params has rows for 'car:income'.*columns of"):
        simulate_choices(frame, tastes.iloc[:3], formula=right, **IDS)


# -- what is refused -------------------------------------------------------------------------------


def test_a_variable_of_the_person_that_varies_is_named_with_its_part():
    frame = trips()
    frame.loc[[3, 27, 28], "income"] += 1.0
    assert error(DataError, frame) == (
        "'income', in the second part of the utility formula 'income + C(sex)', varies within 2 of "
        "240 choice situations; the first is situation 1 of individual 0. That part is for "
        "variables of the person, which are the same in all rows of a situation. Move it to the "
        "first part, for one coefficient, or to the third, for one by alternative, or correct its "
        "values."
    )
    with pytest.raises(DataError, match="varies within 2 of 240 choice situations; the first is"):
        MixedMultinomialLogit.from_chunks(THREE, [frame.iloc[:90], frame.iloc[90:]], 1, **IDS)


def test_new_data_in_which_a_variable_of_the_person_varies_are_refused():
    result = model().fit()
    with pytest.raises(DataError, match=r"'income', in the second part .* 1 of 20 choice sit"):
        result.predict(trips(5, 3).assign(income=lambda f: np.where(f.index == 1, 5.0, 1.0)))


@pytest.mark.parametrize(
    ("formula", "name", "part"),
    [
        ("choice ~ cost + income | 1", "income", "first"),
        ("choice ~ cost | 1 | time + C(sex)", "C(sex)[T.m]", "third"),
    ],
)
def test_a_variable_of_the_person_in_another_part_is_named(formula, name, part):
    message = error(IdentificationError, formula=formula)
    assert message.startswith(f"'{name}', in the {part} part of the utility formula '")
    assert "is constant within every choice situation, from the first, situation 0" in message
    assert message.endswith("Move it to the second part, for variables of the person.")


@pytest.mark.parametrize(
    ("formula", "keywords", "kind", "words"),
    [
        ("choice ~ cost | income", {"alternative": None}, ArgumentError, "Pass alternative="),
        ("choice ~ cost | 1", {"reference": "boat"}, ArgumentError, "are 'bus', 'car', 'rail'."),
        ("choice ~ cost | 1", {"reference": "Car"}, ArgumentError, "Did you mean 'car'?"),
        ("choice ~ cost", {"reference": "car"}, ArgumentError, "write C(alt, Treatment('car'))"),
        ("choice ~ cost | | wait", {}, FormulaError, "The second part of the utility formula"),
        ("choice ~ | income", {}, FormulaError, "Write 0 for nothing"),
        ("choice ~ cost | 1 | wait | time", {}, FormulaError, "has 4 parts. It has three at most"),
        ("choice ~ 0 | 0", {}, FormulaError, "has no attributes"),
        ("choice ~ cost | incom", {}, ColumnError, "second part of the utility formula"),
        ("choice ~ cost + wait | 1 | wait", {}, IdentificationError, "linear combination"),
    ],
)
def test_what_cannot_be_read_is_refused_with_help(formula, keywords, kind, words):
    given = {key: value for key, value in (IDS | keywords).items() if value is not None}
    with pytest.raises(kind) as caught:
        MixedMultinomialLogit.from_formula(formula, trips(), 1, **given)
    assert words in str(caught.value)


def test_a_formula_that_is_no_string_is_refused():
    tastes = pd.DataFrame({"class1": [1.0]}, index=["cost"])
    with pytest.raises(FormulaError, match="The formula must be a string, not int"):
        simulate_choices(trips(3), tastes, formula=5, name="new", **IDS)


def test_a_column_of_alternatives_that_is_no_string_is_refused():
    frame = trips().rename(columns={"mode": 5})
    assert "called 5, and the parts" in error(ArgumentError, frame, alternative=5)


def test_two_columns_of_one_name_are_refused():
    frame = trips().assign(car=lambda f: f["time"])
    message = error(FormulaError, frame, "choice ~ cost + car:wait | 0 | wait")
    assert "Two columns of the utility formula" in message
    assert "'car:wait'" in message


@pytest.mark.parametrize("right", ["cost | C(sex)", "cost + C(mode) * C(sex)"])
def test_levels_that_never_occur_together_are_named(right):
    frame = trips()
    frame = frame[(frame["mode"] != "rail") | (frame["sex"] == "f")]
    frame = frame[frame.groupby("situation")["choice"].transform("sum") == 1]
    message = error(IdentificationError, frame, f"choice ~ {right}")
    name = "rail:C(sex)[T.m]" if "|" in right else "C(mode)[T.rail]:C(sex)[T.m]"
    assert f"'{name}' is zero in every row, because no row has these levels together" in message


def test_an_alternative_that_nobody_chooses_diverges_by_name():
    frame = trips()
    frame = frame[(frame["mode"] != "rail") | (frame["choice"] == 0)]
    frame = frame[frame.groupby("situation")["choice"].transform("sum") == 1]
    with pytest.warns(ConvergenceWarning, match=r"diverge: class1\.rail:\(constant\)"):
        result = model(frame, "choice ~ cost | 1").fit()
    # without rail, whose probability is zero in the limit
    other = model(frame[frame["mode"] != "rail"], "choice ~ cost | 1").fit()
    assert result.llf == pytest.approx(other.llf, abs=1e-6)
    assert result.params["class1.car:(constant)"] == pytest.approx(
        other.params["class1.car:(constant)"], abs=1e-5
    )
    assert result.ll_constants == pytest.approx(other.ll_constants, rel=SAME)


def test_an_unknown_alternative_in_new_data_is_named():
    result = model().fit()
    new = trips(4, 2).replace({"mode": {"car": "boat"}})
    with pytest.raises(UnseenLevelError, match=r"levels that it did not have .*: 'boat' \(rows: 1"):
        result.predict(new)
    with pytest.raises(ColumnError, match="'mode', used in the utility formula"):
        result.predict(new.drop(columns="mode"))


def test_missing_values_of_a_person_are_missing_values():
    frame = trips()
    frame.loc[4, "income"] = np.nan
    assert "attribute 'car:income' is missing" in error(DataError, frame)
    with pytest.warns(UserWarning, match="1 of 240 choice situations dropped"):
        assert model(frame, missing="drop").choices.n_situations == 239


# -- terms that do not vary within situations ------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "columns", "n_left_out"),
    [
        ("C(mode):income", ["[T.car]:income", "[T.rail]:income"], 1),
        (
            "C(mode) + C(mode):income",
            ["[T.car]", "[T.rail]", "[T.car]:income", "[T.rail]:income"],
            1,
        ),
        ("C(mode)*income", ["[T.car]", "[T.rail]", "[T.car]:income", "[T.rail]:income"], 1),
        (
            "C(mode)*income - income",
            ["[T.car]", "[T.rail]", "[T.car]:income", "[T.rail]:income"],
            1,
        ),
        (
            "C(mode)*C(sex)",
            ["[T.car]", "[T.rail]", "[T.car]:C(sex)[T.m]", "[T.rail]:C(sex)[T.m]"],
            1,
        ),
        (
            "C(mode) + C(mode):C(sex)",
            ["[T.car]", "[T.rail]", "[T.car]:C(sex)[T.m]", "[T.rail]:C(sex)[T.m]"],
            1,
        ),
        (
            "C(mode):C(sex)",
            ["[T.car]:C(sex)[f]", "[T.rail]:C(sex)[f]", "[T.car]:C(sex)[m]", "[T.rail]:C(sex)[m]"],
            1,
        ),
    ],
)
def test_interactions_with_alternatives_leave_out_what_does_not_vary(formula, columns, n_left_out):
    built = model(formula=f"choice ~ cost + {formula}")
    names = [f"C(mode){name}" for name in columns]
    assert sorted(built.choices.exog_names) == sorted(["cost", *names])
    (note,) = built.choices.notes
    assert note.startswith(f"{n_left_out} column of the formula left out, because ")
    assert (
        "does not vary within any choice situation; its coefficients are those of C(mode)" in note
    )
    assert note in built.fit().summary().notes


@pytest.mark.parametrize(
    ("formula", "parts"),
    [
        ("C(mode)*income", "cost | income"),
        ("C(mode):income", "cost | 0 + income"),
        ("C(mode)*C(sex)*income", "cost | C(sex)*income"),
        ("C(mode, Sum)*income", "cost | income"),
        ("C(mode, Treatment('rail')):(income + C(sex))", "cost | 0 + C(sex) + income"),
    ],
)
def test_patsys_interactions_and_parts_span_the_same(formula, parts):
    one, other = model(formula=f"choice ~ cost + {formula}"), model(formula=f"choice ~ {parts}")
    assert one.choices.n_attributes == other.choices.n_attributes
    assert one.fit().llf == pytest.approx(other.fit().llf, rel=SAME)


def test_an_attribute_times_a_variable_of_the_person():
    built = model(formula="choice ~ cost * income")
    assert built.choices.exog_names == ("cost", "cost:income")
    assert built.choices.notes == (
        "1 column of the formula left out, because income does not vary within any choice "
        "situation; its coefficients are those of cost:income.",
    )
    both = model(formula="choice ~ cost * income * sex")
    assert both.choices.exog_names == (
        "cost",
        "cost:sex[T.m]",
        "cost:income",
        "cost:income:sex[T.m]",
    )
    assert "income, sex, income:sex do not vary" in both.choices.notes[0]


def test_interactions_that_vary_stay_as_patsy_codes_them():
    frame = trips()
    for right in ("cost:income + time", "cost:C(sex)", "C(mode):time", "C(mode)*time"):
        built = model(frame, f"choice ~ {right}")
        plain = patsy.dmatrix(right, frame).design_info.column_names
        assert [*built.choices.exog_names] == plain[1:]
        assert built.choices.notes == ()


def test_a_variable_of_the_person_alone_is_refused_with_the_formula_in_parts():
    for right in ("cost + income", "cost + income:sex", "cost*time + income"):
        message = error(IdentificationError, formula=f"choice ~ {right}")
        assert "constant within every choice situation" in message
        assert "put it behind a bar, 'choice ~ cost | income'" in message.replace("them", "it")


def test_what_is_left_out_is_left_out_of_new_data_files_and_pieces(tmp_path):
    frame = trips()
    built = model(frame, "choice ~ cost + C(mode)*income")
    result = built.fit()
    result.to_file(tmp_path / "fit.npz")
    again, new = read_results(tmp_path / "fit.npz"), trips(5, 9)
    np.testing.assert_array_equal(again.predict(new), result.predict(new))
    other = model(frame, "choice ~ cost | income").fit()
    np.testing.assert_allclose(result.predict(new), other.predict(new), rtol=1e-8)
    pieces = MixedMultinomialLogit.from_chunks(
        "choice ~ cost + C(mode)*income", [frame.iloc[:60], frame.iloc[60:]], 1, **IDS
    )
    assert pieces.choices.exog_names == built.choices.exog_names
    assert pieces.choices.notes == built.choices.notes
