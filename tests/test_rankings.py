"""Rankings and best–worst answers as choices: by hand, by loops over rankings, and refusals."""

from __future__ import annotations

import numpy as np
import oracle
import pandas as pd
import pytest
from statsmodels.duration.api import PHReg
from zoo import ragged_sizes, survey

from mixlogit import MixedMultinomialLogit, best_worst, explode_ranks
from mixlogit.errors import ArgumentError, ColumnError, DataError, MixlogitError

IDS = {"individual": "person", "alternative": "alt"}
PEOPLE = 25


def ranked(seed: int = 1) -> pd.DataFrame:
    """Complete rankings of 1 to 5 alternatives, 1 to 6 situations a person, rows shuffled."""
    frame = survey(seed, ragged_sizes(seed, PEOPLE, smallest=1)).drop(columns="choice")
    rng = np.random.default_rng(seed)
    utility = pd.Series(rng.gumbel(size=len(frame)))
    frame["rank"] = utility.groupby(frame["situation"]).rank(ascending=False).astype(int)
    frame["situation"] -= frame.groupby("person")["situation"].transform("min")  # used again
    return frame.sample(frac=1, random_state=seed)


def partly_ranked(seed: int = 2, best: int = 2) -> pd.DataFrame:
    """Only the best of each situation are ranked."""
    frame = ranked(seed)
    return frame.assign(rank=frame["rank"].where(frame["rank"] <= best))


def answered(seed: int = 3) -> pd.DataFrame:
    """Best and worst of 2 to 5 alternatives, rows shuffled."""
    frame = ranked(seed)
    size = frame.groupby(["person", "situation"])["rank"].transform("size")
    frame = frame.assign(top=(frame["rank"] == 1).astype(int), bottom=frame["rank"] == size)
    return frame[size > 1].drop(columns="rank")


def picks(frame: pd.DataFrame, situation: str = "choice_situation", **keywords):
    """The model of the package, on choices that were made of answers."""
    ids = IDS | {"situation": situation} | keywords
    return MixedMultinomialLogit.from_formula("choice ~ x1 + x2", frame, 2, **ids)


def latent_class_llf(frame: pd.DataFrame, log_answer, beta, gamma) -> float:
    """Log-likelihood of a panel by a loop; ``log_answer`` is that of one situation's rows."""
    total = 0.0
    prior = oracle.log_membership(np.ones(1), gamma)
    for _, own in frame.groupby("person"):
        joint = list(prior)
        for _, rows in own.groupby("situation"):
            for k in range(len(beta)):
                utility = rows["x1"] * beta[k, 0] + rows["x2"] * beta[k, 1]
                joint[k] += log_answer(rows.assign(v=utility))
        total += oracle.log_sum_exp(joint)
    return total


def log_ranking(rows: pd.DataFrame, depth: float = np.inf) -> float:
    """Plackett–Luce: the best of all, the next best of the rest, as far as there are ranks."""
    left = rows.sort_values("rank", na_position="last")
    total = 0.0
    while len(left) and left["rank"].iloc[0] <= depth:  # a missing rank is not
        total += left["v"].iloc[0] - oracle.log_sum_exp(left["v"].to_numpy())
        left = left.iloc[1:]
    return total


def log_best_worst(rows: pd.DataFrame) -> float:
    """Best of all and then worst of the others, whose utilities count against it."""
    best = rows[rows["top"] == 1]["v"].iloc[0]
    worst = rows[rows["bottom"]]["v"].iloc[0]
    others = rows[rows["top"] == 0]["v"].to_numpy()
    return best - oracle.log_sum_exp(rows["v"].to_numpy()) - worst - oracle.log_sum_exp(-others)


def parameters(seed: int):
    """Tastes, membership and flat parameters of two classes."""
    rng = np.random.default_rng(seed)
    beta, gamma = rng.normal(size=(2, 2)), rng.normal(size=(1, 1))
    return beta, gamma, oracle.flatten(beta, gamma)


def error(kind: type[MixlogitError], function, *args, **keywords) -> str:
    with pytest.raises(kind) as caught:
        function(*args, **keywords)
    assert type(caught.value) is kind
    return str(caught.value)


# -- rankings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("table", "depth"), [(ranked, None), (partly_ranked, None), (ranked, 2), (partly_ranked, 1)]
)
def test_the_likelihood_of_exploded_ranks_is_that_of_the_rankings(table, depth, seed):
    frame = table(seed)
    built = picks(explode_ranks(frame, "rank", "situation", depth=depth, **IDS))
    beta, gamma, flat = parameters(seed)

    def log_answer(rows):
        return log_ranking(rows, np.inf if depth is None else depth)

    expected = latent_class_llf(frame, log_answer, beta, gamma)
    assert built.loglike(flat) == pytest.approx(expected, rel=1e-12)
    assert built.choices.n_individuals == PEOPLE


@pytest.mark.parametrize("table", [ranked, partly_ranked])
def test_one_class_is_a_proportional_hazards_model_of_the_ranks(table):
    frame = table()
    made = explode_ranks(frame, "rank", "situation", **IDS)
    ids = IDS | {"situation": "choice_situation"}
    fit = MixedMultinomialLogit.from_formula("choice ~ x1 + x2", made, 1, **ids).fit()
    # what is ranked first "fails" first, and what is not ranked is censored after the last
    strata = pd.factorize(frame["person"] * 100 + frame["situation"])[0]
    status = frame["rank"].notna().to_numpy(dtype=int)
    hazards = PHReg(
        frame["rank"].fillna(99.0), frame[["x1", "x2"]], status=status, strata=strata, ties="efron"
    ).fit()
    # both are Newton's to the end, and statsmodels stops at 1e-8 or so
    np.testing.assert_allclose(fit.params, hazards.params, rtol=1e-6)
    np.testing.assert_allclose(fit.bse, hazards.bse, rtol=1e-6)
    assert fit.llf == pytest.approx(hazards.llf, rel=1e-10)


def test_a_table_of_ranks_is_exploded_as_by_hand():
    frame = pd.DataFrame(
        {
            "task": [*"bbbaaa"],
            "car": [1, 2, 3, 1, 2, 3],
            "rank": [3, 1, 2, np.nan, np.nan, 1],
        },
        index=[*"uvwxyz"],
    )
    before = frame.copy()
    exploded = explode_ranks(frame, "rank", "task")
    expected = [
        *[("u", "b", 1, 0, 1, 1), ("v", "b", 2, 1, 1, 1), ("w", "b", 3, 0, 1, 1)],
        *[("u", "b", 1, 0, 2, 2), ("w", "b", 3, 1, 2, 2)],
        *[("x", "a", 1, 0, 3, 1), ("y", "a", 2, 0, 3, 1), ("z", "a", 3, 1, 3, 1)],
    ]
    columns = ["task", "car", "choice", "choice_situation", "stage"]
    assert list(exploded[columns].itertuples(name=None)) == expected
    assert list(exploded) == ["task", "car", "rank", *columns[2:]]
    pd.testing.assert_series_equal(exploded["rank"], frame["rank"][exploded.index])
    pd.testing.assert_frame_equal(frame, before)


def test_a_row_is_in_as_many_choice_situations_as_its_rank():
    frame = ranked(4).reset_index(drop=True)
    exploded = explode_ranks(frame, "rank", "situation", individual="person")
    size = frame.groupby(["person", "situation"])["rank"].transform("size")
    times = np.minimum(frame["rank"], np.maximum(size - 1, 1))
    assert exploded.index.value_counts().sort_index().tolist() == times.tolist()
    by = exploded.groupby("choice_situation")
    assert (by["choice"].sum() == 1).all()
    assert (by[["person", "situation", "stage"]].nunique() == 1).all(axis=None)
    assert exploded["choice_situation"].is_monotonic_increasing
    assert by.ngroups == exploded.groupby(["person", "situation", "stage"]).ngroups


def test_a_single_alternative_stays_one_situation():
    frame = pd.DataFrame({"task": [1, 2, 2], "rank": [1, 1, 2], "x1": [0.0, 1.0, 2.0]})
    exploded = explode_ranks(frame, "rank", "task")
    assert exploded["task"].tolist() == [1, 2, 2]
    assert exploded["choice"].tolist() == [1, 1, 0]


def test_new_columns_take_the_names_that_are_asked_for():
    frame = ranked().assign(choice=0, stage=9)
    exploded = explode_ranks(
        frame, "rank", "situation", name="y", situation_name="set", stage_name="place", **IDS
    )
    plain = explode_ranks(ranked(), "rank", "situation", **IDS)
    for new, old in {"y": "choice", "set": "choice_situation", "place": "stage"}.items():
        np.testing.assert_array_equal(exploded[new], plain[old])
    assert (exploded["stage"] == 9).all()


@pytest.mark.parametrize("dtype", ["float32", "Int64", object, "string"])
def test_types_of_ranks_do_not_matter(dtype):
    frame = partly_ranked()
    expected = explode_ranks(frame, "rank", "situation", **IDS)
    whole = frame["rank"].astype("Int64").astype(dtype)
    found = explode_ranks(frame.assign(rank=whole), "rank", "situation", **IDS)
    pd.testing.assert_frame_equal(found.drop(columns="rank"), expected.drop(columns="rank"))


def rank_error(ranks, kind=DataError, **keywords) -> str:
    """The message for ranks in two situations of three alternatives."""
    frame = pd.DataFrame({"task": [1, 1, 1, 2, 2, 2], "alt": [*"abcabc"], "rank": ranks})
    return error(kind, explode_ranks, frame, "rank", "task", **keywords)


def test_ties_are_counted_and_placed():
    assert rank_error([1, 2, 2, 3, 1, 3], alternative="alt") == (
        "2 of 2 situations have ties in the rank column 'rank'; the first is situation 1, where "
        "rank 2 is given to alternative 'b' and alternative 'c'. Pass ties='efron', or break the "
        "ties; where alternatives share the last place, give them a missing rank."
    )
    assert rank_error([1, 2, 3, 1, np.nan, 1]).startswith(
        "1 of 2 situations has ties in the rank column 'rank'; the first is situation 2, where "
        "rank 1 is given to row 3 (counted from 0) and row 5 (counted from 0)."
    )


def tied(seed: int = 1, best: float = np.inf) -> pd.DataFrame:
    """Rankings in which neighbours share ranks here and there; places after ties are left out."""
    frame = ranked(seed)
    rng = np.random.default_rng(seed + 50)
    rough = frame["rank"] - (rng.random(len(frame)) < 0.5)
    by = [frame["person"], frame["situation"]]
    frame["rank"] = rough.groupby(by).rank(method="min")
    size = frame.groupby(by)["rank"].transform("size")
    is_one = (frame.groupby(by)["rank"].transform("nunique") == 1) & (size > 1)
    frame["rank"] = frame["rank"].where(frame["rank"] <= best)
    return frame[~is_one]


def log_efron(rows: pd.DataFrame, depth: float = np.inf) -> float:
    """Efron's likelihood of ties, each alternative of a tie in turn; not of those who come last."""
    total = 0.0
    for rank in sorted(rows["rank"].dropna().unique()):
        group = rows[rows["rank"] == rank]
        later = rows[~(rows["rank"] <= rank)]
        if rank > depth or (not len(later) and len(group) > 1):
            break
        total += group["v"].sum()
        for j in range(len(group)):
            share = 1 - j / len(group)
            total -= np.log(share * np.exp(group["v"]).sum() + np.exp(later["v"]).sum())
    return total


def log_of_ties(rows: pd.DataFrame, depth: float = np.inf) -> float:
    """What the choices made of ties have in addition: log(d! / d**d) for each tie."""
    total = 0.0
    for rank, group in rows.groupby("rank"):
        d, is_last = len(group), rows["rank"].max() == rank and rows["rank"].notna().all()
        if rank <= depth and not is_last:
            total += sum(np.log(1 - j / d) for j in range(d))
    return total


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("best", "depth"), [(np.inf, None), (2, None), (np.inf, 1), (3, 2)])
def test_the_likelihood_of_tied_ranks_is_that_of_efron(best, depth, seed):
    frame = tied(seed, best)
    made = explode_ranks(frame, "rank", "situation", depth=depth, ties="efron", **IDS)
    assert (made["tie_offset"] < 0).any()
    built = picks(made, offset="tie_offset")
    beta, gamma, flat = parameters(seed)
    deepest = np.inf if depth is None else depth
    expected = latent_class_llf(frame, lambda rows: log_efron(rows, deepest), beta, gamma)
    by = [frame["person"], frame["situation"]]
    constant = sum(log_of_ties(rows, deepest) for _, rows in frame.groupby(by))
    assert built.loglike(flat) == pytest.approx(expected + constant, rel=1e-12)


def test_one_class_of_tied_ranks_is_efrons_proportional_hazards_model():
    frame = tied(2, best=2)
    # so that no tie is the last of all, which here is no choice and there is one
    by = [frame["person"], frame["situation"]]
    frame = frame[frame["rank"].isna().groupby(by).transform("any")]
    made = explode_ranks(frame, "rank", "situation", ties="efron", **IDS)
    ids = IDS | {"situation": "choice_situation", "offset": "tie_offset"}
    fit = MixedMultinomialLogit.from_formula("choice ~ x1 + x2", made, 1, **ids).fit()
    strata = pd.factorize(frame["person"] * 100 + frame["situation"])[0]
    status = frame["rank"].notna().to_numpy(dtype=int)
    hazards = PHReg(
        frame["rank"].fillna(99.0), frame[["x1", "x2"]], status=status, strata=strata, ties="efron"
    ).fit()
    np.testing.assert_allclose(fit.params, hazards.params, rtol=1e-6)
    np.testing.assert_allclose(fit.bse, hazards.bse, rtol=1e-6)
    by = [frame["person"], frame["situation"]]
    constant = sum(log_of_ties(rows) for _, rows in frame.groupby(by))
    assert constant < -1
    assert fit.llf == pytest.approx(hazards.llf + constant, rel=1e-10)


def test_a_table_of_ties_is_exploded_as_by_hand():
    frame = pd.DataFrame({"who": 7, "car": [*"abcd"], "rank": [1, 2, 1, 3]})
    made = explode_ranks(frame, "rank", "who", alternative="car", ties="efron", offset_name="w")
    half = np.log(0.5)
    expected = pd.DataFrame(
        [
            ("a", 1, 1, 0.0),
            ("b", 0, 1, 0.0),
            ("c", 0, 1, 0.0),
            ("d", 0, 1, 0.0),
            ("a", 0, 2, half),
            ("b", 0, 2, 0.0),
            ("c", 1, 2, half),
            ("d", 0, 2, 0.0),
            ("b", 1, 3, 0.0),
            ("d", 0, 3, 0.0),
        ],
        columns=["car", "choice", "choice_situation", "w"],
    )
    found = made[["car", "choice", "choice_situation", "w"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-15)
    left_out = frame.assign(rank=[1, 3, 1, 4])  # 1, 1, 3, 4 says the same
    again = explode_ranks(left_out, "rank", "who", alternative="car", ties="efron")
    np.testing.assert_array_equal(again["choice"], made["choice"])


def test_without_ties_the_rule_for_them_changes_nothing():
    frame = partly_ranked()
    made = explode_ranks(frame, "rank", "situation", ties="efron", **IDS)
    assert (made.pop("tie_offset") == 0).all()
    pd.testing.assert_frame_equal(made, explode_ranks(frame, "rank", "situation", **IDS))


def test_ties_that_say_nothing_or_leave_gaps_are_refused():
    assert rank_error([1, 2, 2, 1, 1, 1], ties="efron") == (
        "1 of 2 situations has one rank for all alternatives in column 'rank'; the first is "
        "situation 2. That says nothing of tastes: drop those situations."
    )
    assert "situation 2, which has rank 4 but no rank 3" in rank_error(
        [1, 2, 2, 1, 1, 4], ties="efron"
    )


def test_rules_for_ties_are_known_or_explained():
    message = rank_error([1, 2, 3, 1, 2, 3], ArgumentError, ties="exact")
    assert message.startswith("ties='exact' sums over the orders of tied alternatives")
    assert message.endswith("Use ties='efron', or break the ties.")
    assert "ties" in rank_error([1, 2, 3, 1, 2, 3], ArgumentError, ties="breslow")
    taken = rank_error([1, 2, 3, 1, 2, 3], ArgumentError, ties="efron", offset_name="rank")
    assert "offset_name='rank'" in taken


def test_gaps_are_counted_and_placed():
    assert rank_error([1, 2, 3, 1, 3, np.nan]) == (
        "1 of 2 situations has gaps in the rank column 'rank'; the first is situation 2, which has "
        "rank 3 but no rank 2. Rank within situations from 1 on; where it is not known what stands "
        "in the gap, make the ranks below it missing."
    )
    assert "2 of 2 situations have gaps in the rank column 'rank'; the first is situation 1, " in (
        rank_error([2, 3, 4, 7, 8, 9])
    )


def test_situations_without_ranks_are_counted_and_placed():
    assert rank_error([1, 2, 3, np.nan, np.nan, np.nan]) == (
        "1 of 2 situations has no rank in column 'rank'; the first is situation 2. Drop those "
        "situations."
    )


@pytest.mark.parametrize(("value", "shown"), [(0, "0.0"), (1.5, "1.5"), (np.inf, "inf")])
def test_ranks_are_whole_numbers_from_one_on(value, shown):
    assert rank_error([1, 2, 3, 1, value, value]) == (
        f"2 values of the rank column 'rank' are no whole numbers of at least 1; the first is "
        f"{shown} in row 4 (counted from 0). Use 1 for the best, 2 for the second, and so on, and "
        "a missing value where there is no rank."
    )


def test_ranks_of_text_are_refused():
    assert rank_error([1, 2, 3, 1, 2, "last"]) == (
        "1 value of the rank column 'rank' is not a number; the first is 'last' in row 5 (counted "
        "from 0). Use 1 for the best, 2 for the second, and so on."
    )


@pytest.mark.parametrize("depth", [0, 1.0, True, "2"])
def test_depth_is_a_whole_number(depth):
    assert rank_error([1, 2, 3, 1, 2, 3], ArgumentError, depth=depth) == (
        f"depth={depth!r} must be a whole number of at least 1, or None to use all ranks."
    )


def test_a_column_that_is_not_there_is_refused():
    assert "rank='rang': the table has no such column. Did you mean 'rank'?" in (
        error(ColumnError, explode_ranks, ranked(), "rang", "situation")
    )
    assert "situation='task': the table has no such column." in (
        error(ColumnError, explode_ranks, ranked(), "rank", "task")
    )
    assert "alternative='car': the table has no such column." in (
        error(ColumnError, explode_ranks, ranked(), "rank", "situation", alternative="car")
    )


def test_situations_must_be_named():
    assert rank_error([1] * 6, ColumnError, individual="x").startswith("individual='x'")
    assert error(ArgumentError, explode_ranks, ranked(), "rank", None) == (
        "situation=None: name the column that says which rows form one set."
    )


def test_situation_numbers_that_individuals_share_need_the_individuals():
    message = error(DataError, explode_ranks, ranked(), "rank", "situation", alternative="alt")
    assert "list an alternative more than once in column 'alt'" in message


def test_new_columns_overwrite_nothing():
    assert error(ArgumentError, explode_ranks, ranked(), "rank", "situation", name="x1") == (
        "name='x1' is the name of a column of the table already, and nothing is overwritten. Pass "
        "another name=, or rename that column."
    )
    assert error(ArgumentError, explode_ranks, ranked(), "rank", "situation", name="stage") == (
        "stage_name='stage' is the name of the column name= already, and nothing is overwritten. "
        "Pass another stage_name=, or rename that column."
    )


# -- best and worst ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_likelihood_of_best_and_worst_is_that_of_the_loop(seed):
    frame = answered(seed)
    made = best_worst(frame, "top", "bottom", "situation", ["x1", "x2"], **IDS)
    beta, gamma, flat = parameters(seed)
    expected = latent_class_llf(frame, log_best_worst, beta, gamma)
    assert picks(made).loglike(flat) == pytest.approx(expected, rel=1e-12)


def test_a_table_of_best_and_worst_is_taken_apart_as_by_hand():
    frame = pd.DataFrame(
        {
            "task": [*"bbbaa"],
            "top": [False, True, False, True, False],
            "bottom": [1.0, 0.0, 0.0, 0.0, 1.0],
            "new": [True, False, True, False, True],
            "size": np.array([0, 7, 200, 3, 4], dtype=np.uint8),
            "label": [*"pqrst"],
        },
        index=[4, 3, 2, 1, 0],
    )
    before = frame.copy()
    made = best_worst(frame, "top", "bottom", "task", ["new", "size"])
    expected = [
        *[(4, "b", 1.0, 0.0, "p", 0, 1, "best"), (3, "b", 0.0, 7.0, "q", 1, 1, "best")],
        (2, "b", 1.0, 200.0, "r", 0, 1, "best"),
        *[(4, "b", -1.0, 0.0, "p", 1, 2, "worst"), (2, "b", -1.0, -200.0, "r", 0, 2, "worst")],
        *[(1, "a", 0.0, 3.0, "s", 1, 3, "best"), (0, "a", 1.0, 4.0, "t", 0, 3, "best")],
    ]
    columns = ["task", "new", "size", "label", "choice", "choice_situation", "role"]
    assert list(made[columns].itertuples(name=None)) == expected
    assert list(made) == [*frame, "choice", "choice_situation", "role"]
    assert not np.signbit(made["size"].iloc[3])
    pd.testing.assert_frame_equal(frame, before)


def test_missing_attributes_stay_missing():
    frame = answered()
    frame = frame.assign(x1=frame["x1"].where(frame["x1"] > 0).astype("Float64"))
    made = best_worst(frame, "top", "bottom", "situation", ["x1"], **IDS)
    assert made["x1"].isna().sum() == frame["x1"].isna()[made.index].sum() > 0


def test_attributes_that_are_not_listed_stay():
    frame = answered()
    made = best_worst(frame, "top", "bottom", "situation", ["x1"], **IDS)
    pd.testing.assert_series_equal(made["x2"], frame["x2"][made.index])
    sign = np.where(made["role"] == "worst", -1.0, 1.0)
    np.testing.assert_array_equal(made["x1"], sign * frame["x1"][made.index])


def answer_error(kind=DataError, attributes=("x",), **columns) -> str:
    """The message for two situations of three alternatives."""
    good = {"task": [1, 1, 1, 2, 2, 2], "alt": [*"abcabc"], "x": np.arange(6.0)}
    good |= {"top": [1, 0, 0, 1, 0, 0], "bottom": [0, 1, 0, 0, 0, 1]}
    frame = pd.DataFrame(good | columns)
    return error(kind, best_worst, frame, "top", "bottom", "task", attributes, alternative="alt")


def test_situations_have_one_best_and_one_worst():
    assert answer_error(top=[0, 0, 0, 1, 0, 0]) == (
        "1 of 2 choice situations does not have exactly one chosen row; the first is situation 1, "
        "with 0. Check the choice column 'top', or drop those situations."
    )
    assert answer_error(bottom=[0, 1, 0, 0, 1, 1]) == (
        "1 of 2 choice situations does not have exactly one chosen row; the first is situation 2, "
        "with 2. Check the choice column 'bottom', or drop those situations."
    )


def test_best_and_worst_differ():
    assert answer_error(bottom=[0, 1, 0, 1, 0, 0]) == (
        "1 of 2 choice situations has the same row as best and worst; the first is situation 2, "
        "alternative 'a'. Check the columns 'top' and 'bottom', or drop those situations."
    )


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (pd.Categorical([1, 2, 3, 1, 2, 3]), "1"),
        ([*"uvwuvw"], "'u'"),
        (np.array([*"123123"], dtype=object), "'1'"),
        (np.full(6, 1j), "1j"),
    ],
)
def test_attributes_that_cannot_be_negated_are_refused(values, shown):
    assert answer_error(x=values) == (
        "Attribute 'x' does not hold numbers, so it cannot be negated; its first value is "
        f"{shown}. Make columns of 0/1 of its categories first, as pandas.get_dummies does, or "
        "numbers with pandas.to_numeric."
    )


@pytest.mark.parametrize("attributes", ["x", None, 3])
def test_attributes_are_a_list(attributes):
    assert answer_error(ArgumentError, attributes) == (
        f"attributes={attributes!r} must be a list of columns, such as ['cost', 'time']."
    )


def test_attributes_are_listed():
    assert answer_error(ArgumentError, []) == (
        "attributes is empty. List every column that enters the utility."
    )
    assert answer_error(ColumnError, ["x", "y"]).startswith("attributes='y': the table has no such")


@pytest.mark.parametrize(("name", "role"), [("task", "situation"), ("top", "best")])
def test_ids_and_answers_are_not_negated(name, role):
    assert answer_error(ArgumentError, ["x", name]) == (
        f"The column {name!r} cannot be negated as an attribute, because it is also passed as "
        f"{role}=. Copy it under another name, or leave it out."
    )


def test_columns_of_best_and_worst_must_exist():
    for given in ({"best": "to"}, {"worst": "to"}):
        role = next(iter(given))
        columns = {"best": "top", "worst": "bottom"} | given
        arguments = (columns["best"], columns["worst"], "situation", ["x1"])
        message = error(ColumnError, best_worst, answered(), *arguments)
        assert message.startswith(f"{role}='to': the table has no such column. Did you mean 'top'?")


def test_best_and_worst_overwrite_nothing():
    message = answer_error(ArgumentError, role=0)
    assert message.startswith("role_name='role' is the name of a column of the table already")
