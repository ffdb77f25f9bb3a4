"""Rankings and best–worst answers as choices: one choice situation for each pick."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_complex_dtype, is_numeric_dtype

from mixlogit.arguments import require_one_of
from mixlogit.arrangement import Arrangement, arrange, row_label
from mixlogit.chosen import ChoiceColumn, read_counts
from mixlogit.columns import Columns, as_frame, as_numbers, is_whole, require_column
from mixlogit.errors import ArgumentError, DataError, plural, show, verb

__all__ = ["best_worst", "explode_ranks"]

SITUATION_NAME = "choice_situation"
_TIES = ("error", "efron")


def explode_ranks(
    data: Any,
    rank: Hashable,
    situation: Hashable,
    *,
    individual: Hashable | None = None,
    alternative: Hashable | None = None,
    depth: int | None = None,
    name: Hashable = "choice",
    situation_name: Hashable = SITUATION_NAME,
    stage_name: Hashable = "stage",
    ties: str = "error",
    offset_name: Hashable = "tie_offset",
) -> pd.DataFrame:
    """Turn rankings into choices: the best of all, the second of the rest, and so on.

    Under the rank-ordered (exploded) logit, the probability of a ranking is that of these choices,
    made independently given the class. All choices from one ranking are by the same individual:
    without a column of individuals, pass ``individual=`` the original situations to the model.

    Parameters
    ----------
    data : DataFrame
        One row per situation and available alternative. It is not modified.
    rank : column name
        Ranks within situations: 1 for the best, 2 for the second, and so on, without gaps, and
        without ties unless ``ties`` says what they mean. Alternatives that were not ranked have a
        missing value, and come after all that were, in an order that is not known: they are
        available in every choice and never chosen.
    situation : column name
        Ids of situations. An id may be used again by another individual.
    individual, alternative : column name, optional
        Columns of ids. Alternatives are used to find duplicates and in messages.
    depth : int, optional
        Use the ranks 1 to ``depth`` only; all if None. Lower ranks are thought to be less
        reliable (Chapman and Staelin 1982).
    name : column name
        New column of 0/1: 1 for the row that was picked.
    situation_name : column name
        New column of ids of the choice situations: 1, 2, ... over the whole table, so that none
        is used twice, neither within nor between individuals.
    stage_name : column name
        New column with the place that the choice is for: 1 for the choice of the best.
    ties : {"error", "efron"}
        "error" refuses them. "efron": alternatives of one rank were preferred to all of a later
        one, in an order that is not known. Ranks after a tie may leave out places (1, 1, 3) or not
        (1, 1, 2). See Notes.
    offset_name : column name
        New column, with ``ties="efron"``, that the model must have as its ``offset=``: the weight
        of a tied row, in logs, and 0 in other rows.

    Returns
    -------
    DataFrame
        One row per choice situation and alternative that is left there, with all columns of the
        table and the new ones. A ranking of all of J alternatives makes J − 1 choice
        situations, down to one of two alternatives; one of the m < J best makes m; a situation
        with one alternative makes one, which carries no information. Situations stand in the
        order in which they begin in the table, their stages in order, and rows within them as in
        the table; a row keeps its label, so labels of the index repeat.

    Raises
    ------
    ColumnError
        A column is not in the table.
    DataError
        A rank is no whole number of at least 1; a situation has ties, gaps or no ranks, or one
        rank for all.
    ArgumentError
        ``depth`` is no whole number of at least 1, ``ties`` is not known, or a new column has the
        name of another.

    Notes
    -----
    Of d tied alternatives, Efron's approximation makes d choices from them and all later ones, in
    the last of which each tied row counts 1/d: the offset of the j-th choice is
    log(1 − (j − 1) / d) in tied rows. The log-likelihood of the model is that of Efron and, for
    every tie, a constant log(d! / d**d). Alternatives that share the last place of all are not
    told apart, and make no choice: whatever comes last in any order has probability one. ``depth``
    counts ranks, so that a tie is in or out as a whole.

    The exact likelihood of a tie is a sum over all orders of the tied alternatives. It is no
    product of choices, so that no table of choices has it.

    References
    ----------
    S. Beggs, S. Cardell and J. Hausman (1981), Assessing the potential demand for electric cars,
    Journal of Econometrics 17, 1–19.

    R. G. Chapman and R. Staelin (1982), Exploiting rank ordered choice set data within the
    stochastic utility model, Journal of Marketing Research 19, 288–301.

    B. Efron (1977), The efficiency of Cox's likelihood function for censored data, Journal of the
    American Statistical Association 72, 557–565.

    Examples
    --------
    >>> import pandas as pd
    >>> from mixlogit import explode_ranks
    >>> table = pd.DataFrame({"who": 7, "car": ["petrol", "diesel", "electric"], "rank": [2, 3, 1]})
    >>> explode_ranks(table, "rank", "who", alternative="car")
       who       car  rank  choice  choice_situation  stage
    0    7    petrol     2       0                 1      1
    1    7    diesel     3       0                 1      1
    2    7  electric     1       1                 1      1
    0    7    petrol     2       1                 2      2
    1    7    diesel     3       0                 2      2
    """
    frame = as_frame(data)
    require_column(frame, rank, "rank=")
    if ties == "exact":
        raise ArgumentError(
            "ties='exact' sums over the orders of tied alternatives, which is no product of "
            "choices, so that no table of choices has it. Use ties='efron', or break the ties."
        )
    require_one_of("ties", ties, _TIES)
    new_names = {"name": name, "situation_name": situation_name, "stage_name": stage_name}
    if ties == "efron":
        new_names["offset_name"] = offset_name
    _refuse_taken(frame, **new_names)
    is_integer = isinstance(depth, (int, np.integer)) and not isinstance(depth, bool)
    if depth is not None and not (is_integer and depth >= 1):
        raise ArgumentError(
            f"depth={depth!r} must be a whole number of at least 1, or None to use all ranks."
        )
    arrangement = _arranged(frame, situation, individual, alternative)
    ranks = _read_ranks(frame[rank], arrangement, rank, ties)  # (R,), inf where not ranked
    places = _Places.of(ranks, arrangement, rank)
    n_stages = places.n_stages(depth)
    n_sets = np.minimum(places.before + places.tied, np.repeat(n_stages, arrangement.sizes))
    row = np.repeat(np.arange(len(ranks)), n_sets)
    stage = np.arange(len(row)) - np.repeat(np.cumsum(n_sets) - n_sets, n_sets) + 1
    row, stage, numbers = _laid_out(arrangement, row, stage)
    chosen = stage == (places.before + places.within + 1)[row]
    new = {name: chosen.astype(int), situation_name: numbers, stage_name: stage}
    if ties == "efron":
        new[offset_name] = places.efron_offset(row, stage)
    return _with_columns(frame.iloc[arrangement.order[row]], new)


def best_worst(
    data: Any,
    best: Hashable,
    worst: Hashable,
    situation: Hashable,
    attributes: Sequence[Hashable],
    *,
    individual: Hashable | None = None,
    alternative: Hashable | None = None,
    name: Hashable = "choice",
    situation_name: Hashable = SITUATION_NAME,
    role_name: Hashable = "role",
) -> pd.DataFrame:
    """Turn best–worst answers into choices: the best of all, then the worst of the rest.

    In the sequential best–worst logit, the best alternative b of a set is chosen with
    probability exp(v_b) / sum_j exp(v_j), and the worst of the rest, w, with probability
    exp(−v_w) / sum_{j ≠ b} exp(−v_j). With the attributes negated, the second is a logit with the
    same tastes as the first. Both choices are by the same individual: without a column of
    individuals, pass ``individual=`` the original situations to the model.

    Parameters
    ----------
    data : DataFrame
        One row per situation and available alternative. It is not modified.
    best, worst : column name
        Columns of 0/1, each with exactly one 1 per situation. One column of 1 for best, −1 for
        worst and 0 makes both: ``data.assign(best=data["bw"] == 1, worst=data["bw"] == -1)``.
    situation : column name
        Ids of situations. An id may be used again by another individual.
    attributes : sequence of column names
        Every column that enters the utility, all of numbers. The formula of the model must be
        linear in them: logarithms, squares and products are made as columns of the table first,
        and listed here, and so are constants of alternatives, as columns of 0/1. A formula with
        ``C(alternative)``, ``np.log(cost)`` or constants in a second part, ``cost | 1``, would not
        be negated where the worst is chosen.
    individual, alternative : column name, optional
        Columns of ids. Alternatives are used to find duplicates and in messages.
    name : column name
        New column of 0/1: 1 for the row that was picked.
    situation_name : column name
        New column of ids of the choice situations: 1, 2, ... over the whole table, so that none
        is used twice, neither within nor between individuals.
    role_name : column name
        New column that says what was asked in the choice situation: ``"best"`` or ``"worst"``.

    Returns
    -------
    DataFrame
        One row per choice situation and alternative that is left there, with all columns of the
        table and the three new ones; the attributes are floats, negated where the worst is
        chosen. Where there are two alternatives, the worst is no choice, and there is a situation
        of the best alone. Situations stand in the order in which they begin in the table, best
        before worst, and rows within them as in the table; a row keeps its label, so labels of
        the index repeat.

    Raises
    ------
    ColumnError
        A column is not in the table.
    DataError
        An attribute is not numeric; a situation does not have one best and one worst alternative,
        or they are the same.
    ArgumentError
        ``attributes`` is no list of columns or names one with another part, or a new column has
        the name of another.

    References
    ----------
    A. A. J. Marley and J. J. Louviere (2005), Some probabilistic models of best, worst, and
    best–worst choices, Journal of Mathematical Psychology 49, 464–480.

    J. J. Louviere, T. N. Flynn and A. A. J. Marley (2015), Best-Worst Scaling: Theory, Methods and
    Applications, Cambridge University Press.

    Examples
    --------
    >>> import pandas as pd
    >>> from mixlogit import best_worst
    >>> table = pd.DataFrame(
    ...     {"task": 1, "top": [0, 1, 0], "bottom": [1, 0, 0], "cost": [9.0, 2.0, 5.0]}
    ... )
    >>> best_worst(table, "top", "bottom", "task", ["cost"])
       task  top  bottom  cost  choice  choice_situation   role
    0     1    0       1   9.0       0                 1   best
    1     1    1       0   2.0       1                 1   best
    2     1    0       0   5.0       0                 1   best
    0     1    0       1  -9.0       1                 2  worst
    2     1    0       0  -5.0       0                 2  worst
    """
    frame = as_frame(data)
    require_column(frame, best, "best=")
    require_column(frame, worst, "worst=")
    _refuse_taken(frame, name=name, situation_name=situation_name, role_name=role_name)
    parts = {
        "best": best,
        "worst": worst,
        "situation": situation,
        "individual": individual,
        "alternative": alternative,
    }
    arrangement = _arranged(frame, situation, individual, alternative)
    values = _read_attributes(frame, attributes, parts)
    is_best, is_worst = (
        read_counts(
            frame[column],
            arrangement,
            ChoiceColumn(str(column), "one", situation, alternative),
        )
        > 0
        for column in (best, worst)
    )
    _refuse_same_row(is_best & is_worst, arrangement, best, worst)
    rest = np.flatnonzero(~is_best & np.repeat(arrangement.sizes > 2, arrangement.sizes))
    row = np.append(np.arange(len(is_best)), rest)
    stage = np.repeat([1, 2], [len(is_best), len(rest)])
    row, stage, numbers = _laid_out(arrangement, row, stage)
    of_worst = stage == 2
    place = arrangement.order[row]
    negated = {
        column: np.where(of_worst, 0.0 - amount[place], amount[place])  # 0 stays 0, not -0
        for column, amount in values.items()
    }
    new = {
        name: np.where(of_worst, is_worst[row], is_best[row]).astype(int),
        situation_name: numbers,
        role_name: np.where(of_worst, "worst", "best").astype(object),
    }
    return _with_columns(frame.iloc[place], negated | new)


@dataclass(frozen=True, eq=False)
class _Places:
    """Where the sorted rows stand in the rankings.

    Parameters
    ----------
    ranks : ndarray, shape (R,)
        As the user gives them, infinite where a row is not ranked.
    before : ndarray of int, shape (R,)
        How many of the situation are ranked better.
    tied : ndarray of int, shape (R,)
        How many have the same rank, with this one.
    within : ndarray of int, shape (R,)
        Number of the row among those, from 0.
    start : ndarray of int, shape (S + 1,)
        Where situations begin.
    """

    ranks: np.ndarray
    before: np.ndarray
    tied: np.ndarray
    within: np.ndarray
    start: np.ndarray

    @classmethod
    def of(cls, ranks: np.ndarray, arrangement: Arrangement, name: Hashable) -> _Places:
        """Read them off the ranks, which must tell some alternatives of each situation apart."""
        start, sizes = arrangement.situation_start, arrangement.sizes
        situation = np.repeat(np.arange(len(sizes)), sizes)
        by_rank = np.lexsort((ranks, situation))
        ordered = ranks[by_rank]
        place = np.arange(len(ranks)) - start[situation]
        begins = np.append(True, ordered[1:] != ordered[:-1]) | (place == 0)
        first = np.flatnonzero(begins)
        length = np.diff(np.append(first, len(ranks)))
        before, tied, within = np.empty((3, len(ranks)), dtype=np.intp)
        before[by_rank] = np.repeat(place[first], length)
        tied[by_rank] = np.repeat(length, length)
        within[by_rank] = np.arange(len(ranks)) - np.repeat(first, length)
        is_one = (tied == sizes[situation]) & np.isfinite(ranks) & (tied > 1)
        if is_one.any():
            what = f"one rank for all alternatives in column {name!r}"
            raise DataError(
                f"{_how_many_have(what, np.unique(situation[is_one]), arrangement)}. That says "
                "nothing of tastes: drop those situations."
            )
        return cls(ranks, before, tied, within, start)

    def n_stages(self, depth: int | None) -> np.ndarray:
        """How many choices each ranking makes, (S,)."""
        is_used = np.isfinite(self.ranks)
        if depth is not None:
            is_used &= self.ranks <= depth
        begin, sizes = self.start[:-1], np.diff(self.start)
        n_used = np.add.reduceat(is_used, begin, dtype=np.intp)
        # who comes last of all is no choice, unless there never was another
        is_last = self.before + self.tied == np.repeat(sizes, sizes)
        n_last = np.maximum.reduceat(
            np.where(is_last & np.isfinite(self.ranks), self.tied, 0), begin
        )
        return np.minimum(n_used, np.maximum(sizes - n_last, 1))

    def efron_offset(self, row: np.ndarray, stage: np.ndarray) -> np.ndarray:
        """Log of what tied rows count, for rows in stages; 0 elsewhere."""
        n_gone = np.maximum(stage - 1 - self.before[row], 0)
        return np.log(1 - n_gone / self.tied[row])


def _arranged(
    frame: pd.DataFrame,
    situation: Hashable,
    individual: Hashable | None,
    alternative: Hashable | None,
) -> Arrangement:
    """Rows by situation."""
    if situation is None:
        raise ArgumentError("situation=None: name the column that says which rows form one set.")
    columns = Columns(situation, individual, alternative)
    columns.check(frame)
    return arrange(len(frame), **columns.ids(frame))


def _refuse_taken(frame: pd.DataFrame, **new: Hashable) -> None:
    """Raise if a new column has the name of one of the table, or of another new one."""
    taken: dict[Hashable, str] = dict.fromkeys(frame.columns, "a column of the table")
    for role, name in new.items():
        if name in taken:
            raise ArgumentError(
                f"{role}={name!r} is the name of {taken[name]} already, and nothing is "
                f"overwritten. Pass another {role}=, or rename that column."
            )
        taken[name] = f"the column {role}="


def _read_ranks(values: Any, arrangement: Arrangement, name: Hashable, tie_rule: str) -> np.ndarray:
    """Ranks of the sorted rows, (R,), infinite where a row is not ranked."""
    what = f"the rank column {name!r}"
    ranks = as_numbers(values, what, "Use 1 for the best, 2 for the second, and so on.")
    is_ranked = ~np.isnan(ranks)
    bad = np.flatnonzero(is_ranked & ~is_whole(ranks, at_least=1))
    if len(bad):
        raise DataError(
            f"{plural(len(bad), 'value')} of {what} "
            f"{verb(len(bad), 'is no whole number', 'are no whole numbers')} of at least 1; the "
            f"first is {ranks[bad[0]]} in {row_label(bad[0])}. Use 1 for the best, 2 for the "
            "second, and so on, and a missing value where there is no rank."
        )
    ranks = np.where(is_ranked, ranks, np.inf)[arrangement.order]
    situation = np.repeat(np.arange(arrangement.n_situations), arrangement.sizes)
    by_rank = np.lexsort((ranks, situation))
    place = np.arange(len(ranks)) - np.repeat(arrangement.situation_start[:-1], arrangement.sizes)
    ordered, ranked = ranks[by_rank], np.isfinite(ranks[by_rank])
    is_tie = np.append(False, ordered[1:] == ordered[:-1]) & ranked & (place > 0)
    ties = np.flatnonzero(is_tie)
    if len(ties) and tie_rule == "error":
        first = ties[0]
        raise DataError(
            f"{_how_many_have(f'ties in {what}', situation[ties], arrangement)}, where rank "
            f"{ordered[first]:g} is given to {arrangement.alternative_of(by_rank[first - 1])} and "
            f"{arrangement.alternative_of(by_rank[first])}. Pass ties='efron', or break the ties; "
            "where alternatives share the last place, give them a missing rank."
        )
    wanted = _wanted_ranks(ordered, place, is_tie, situation)
    gaps = np.flatnonzero((ordered != wanted) & ranked)
    if len(gaps):
        first = gaps[0]
        raise DataError(
            f"{_how_many_have(f'gaps in {what}', situation[gaps], arrangement)}, which has rank "
            f"{ordered[first]:g} but no rank {wanted[first]:g}. Rank within situations from 1 on; "
            "where it is not known what stands in the gap, make the ranks below it missing."
        )
    empty = np.flatnonzero(~ranked[arrangement.situation_start[:-1]])
    if len(empty):
        missing = f"no rank in column {name!r}"
        raise DataError(f"{_how_many_have(missing, empty, arrangement)}. Drop those situations.")
    return ranks


def _wanted_ranks(
    ordered: np.ndarray, place: np.ndarray, is_tie: np.ndarray, situation: np.ndarray
) -> np.ndarray:
    """Ranks without gaps of rows in their order, (R,): 1, 1, 2, or else 1, 1, 3, by situation."""
    begins = np.maximum.accumulate(np.where(is_tie, 0, np.arange(len(ordered))))
    skipping = place[begins] + 1
    n_new = np.cumsum(~is_tie)
    dense = n_new - n_new[np.flatnonzero(place == 0)][situation] + 1
    is_finite = np.isfinite(ordered)
    n_off = np.bincount(situation, weights=is_finite & (ordered != dense))
    return np.where(n_off[situation] == 0, dense, skipping)


def _how_many_have(what: str, situations: np.ndarray, arrangement: Arrangement) -> str:
    """Say how many situations have something, and which is the first."""
    n = len(np.unique(situations))
    return (
        f"{n:,} of {plural(arrangement.n_situations, 'situation')} {verb(n, 'has', 'have')} "
        f"{what}; the first is situation {arrangement.situation_label(situations[0])}"
    )


def _read_attributes(
    frame: pd.DataFrame, attributes: Any, parts: dict[str, Hashable | None]
) -> dict[Hashable, np.ndarray]:
    """Attributes as floats, in the user's order of rows."""
    if isinstance(attributes, (str, bytes)) or not isinstance(attributes, Iterable):
        raise ArgumentError(
            f"attributes={attributes!r} must be a list of columns, such as ['cost', 'time']."
        )
    values = {}
    for attribute in attributes:
        require_column(frame, attribute, "attributes=")
        for role, name in parts.items():
            if name is not None and name == attribute:
                raise ArgumentError(
                    f"The column {attribute!r} cannot be negated as an attribute, because it is "
                    f"also passed as {role}=. Copy it under another name, or leave it out."
                )
        column = frame[attribute]
        is_number = is_numeric_dtype(column) or is_bool_dtype(column)
        if not is_number or is_complex_dtype(column):
            raise DataError(
                f"Attribute {attribute!r} does not hold numbers, so it cannot be negated; its "
                f"first value is {show(column.iloc[0])}. Make columns of 0/1 of its categories "
                "first, as pandas.get_dummies does, or numbers with pandas.to_numeric."
            )
        values[attribute] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if not values:
        raise ArgumentError("attributes is empty. List every column that enters the utility.")
    return values


def _refuse_same_row(
    is_both: np.ndarray, arrangement: Arrangement, best: Hashable, worst: Hashable
) -> None:
    """Raise where one alternative is best and worst."""
    row = np.flatnonzero(is_both)
    if len(row):
        raise DataError(
            f"{len(row):,} of {plural(arrangement.n_situations, 'choice situation')} "
            f"{verb(len(row), 'has', 'have')} the same row as best and worst; the first is "
            f"situation {arrangement.situation_of(row[0])}, {arrangement.alternative_of(row[0])}. "
            f"Check the columns {best!r} and {worst!r}, or drop those situations."
        )


def _laid_out(
    arrangement: Arrangement, row: np.ndarray, stage: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and stages in the order of the user's table, and a number from 1 on for each set."""
    begin = np.minimum.reduceat(arrangement.order, arrangement.situation_start[:-1])
    begin_of_row = np.repeat(begin, arrangement.sizes)[row]  # a situation by its first row
    by = np.lexsort((arrangement.order[row], stage, begin_of_row))
    row, stage, begin_of_row = row[by], stage[by], begin_of_row[by]
    is_next = (np.diff(begin_of_row) != 0) | (np.diff(stage) != 0)
    return row, stage, np.append(1, 1 + np.cumsum(is_next))


def _with_columns(rows: pd.DataFrame, new: dict[Hashable, np.ndarray]) -> pd.DataFrame:
    """A copy of some rows with columns replaced or put at the end."""
    out = rows.copy()
    for name, values in new.items():
        out[name] = values
    return out
