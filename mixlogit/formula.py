"""Formulas and the names of id columns -> choice data, and the same again on new data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import patsy

from mixlogit.arrangement import Arrangement, arrange, codes_of
from mixlogit.choices import ChoiceData, Entries, individual_values, read_counts, tally
from mixlogit.design import Design
from mixlogit.errors import (
    ArgumentError,
    ColumnError,
    DataError,
    DataWarning,
    FormulaError,
    did_you_mean,
    plural,
    show,
)

__all__ = ["ChoiceFormula", "ChoiceSets", "Columns", "as_frame"]

MISSING_RULES = ("raise", "drop")


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table that are not attributes.

    Parameters
    ----------
    situation, individual, alternative : str or None
        Ids.
    weights : str or None
        Sampling weights, constant within individuals.
    availability : str or None
        0/1 column; rows with 0 are left out of their choice set.
    """

    situation: str | None = None
    individual: str | None = None
    alternative: str | None = None
    weights: str | None = None
    availability: str | None = None

    def check(self, frame: pd.DataFrame) -> None:
        """Raise for the first column that the table lacks."""
        for role, name in vars(self).items():
            if name is not None:
                require_column(frame, name, f"{role}=")

    def ids(self, frame: pd.DataFrame) -> dict[str, Any]:
        """Arguments of `arrange`."""
        roles = ("situation", "individual", "alternative")
        columns = {role: getattr(self, role) for role in roles}
        found = {role: None if n is None else frame[n] for role, n in columns.items()}
        return {**found, "names": tuple(columns[role] or role for role in roles)}


@dataclass(frozen=True, eq=False)
class ChoiceSets:
    """Choice sets without choices: what a prediction needs.

    Parameters
    ----------
    exog : ndarray, shape (R, L)
        Sorted rows.
    arrangement : Arrangement
    membership : ndarray, shape (S, Q), or None
        Membership covariates of who faces each situation; None for the fitted data, whose
        individuals are known.
    index : Index
        The user's row labels.
    """

    exog: np.ndarray
    arrangement: Arrangement
    membership: np.ndarray | None
    index: pd.Index


@dataclass(frozen=True, eq=False)
class ChoiceFormula:
    """What turns a table into choice data, learned on one table and replayed on others.

    Parameters
    ----------
    formula : str
        ``choice ~ attributes``.
    choice : str
        Its left-hand side.
    utility : Design
        Its right-hand side.
    membership : Design or None
        Covariates of individuals; None when there are only shares.
    columns : Columns
    """

    formula: str
    choice: str
    utility: Design
    membership: Design | None
    columns: Columns

    @classmethod
    def learn(
        cls,
        formula: str,
        frame: pd.DataFrame,
        columns: Columns,
        *,
        membership: str,
        choices: str,
        missing: str,
        env: patsy.EvalEnvironment,
    ) -> tuple[ChoiceFormula, ChoiceData]:
        """Read a table of alternatives, one row per situation and available alternative.

        Parameters
        ----------
        formula : str
        frame : DataFrame
        columns : Columns
        membership : str
            Right-hand side of the membership formula; "1" for shares.
        choices : {"auto", "one", "counts"}
            As in `mixlogit.choices.read_counts`.
        missing : {"raise", "drop"}
            "drop" leaves out whole situations with a missing value, and says how many.
        env : EvalEnvironment
            Where functions in the formulas are looked up.

        Returns
        -------
        ChoiceFormula, ChoiceData
        """
        if missing not in MISSING_RULES:
            raise ArgumentError(f"missing={missing!r} is not one of {', '.join(MISSING_RULES)}.")
        choice, utility_formula = split_formula(formula)
        columns.check(frame)
        if len(frame) == 0:
            raise DataError("The table has no rows. Pass at least one choice situation.")
        chosen = _left_side(choice, frame, env)
        available = _availability(frame, columns)
        gate_formula = None if membership.strip().lstrip("~").strip() == "1" else membership

        def learn(rows: pd.DataFrame) -> Design:
            return Design.learn(
                utility_formula, rows, intercept="absorb", env=env, role="utility formula"
            )

        notes: list[str] = []
        if columns.availability is not None and not available.all():
            notes.append(f"{plural(int((~available).sum()), 'unavailable row')} left out.")
        utility = learn(frame if available.all() else frame[available])
        keep = available
        if missing == "drop":
            used = [*utility.columns, *([columns.weights] if columns.weights else [])]
            if gate_formula is not None:
                used += _names_in(gate_formula, frame, env)
            keep, note = _without_missing(frame, used, chosen, columns, available)
            if note:
                notes.append(note)
                warnings.warn(note, DataWarning, stacklevel=4)
                utility = learn(frame[keep])
        if not utility.names:
            raise FormulaError(
                f"The formula {formula!r} has no attributes. Name at least one on its right side; "
                "alternative constants are written C(alternative)."
            )
        arrangement = arrange(len(frame), keep=keep, **columns.ids(frame))
        refuse_unavailable_choices(chosen, available, arrangement, columns)
        counts = read_counts(chosen, arrangement, choices, choice)
        entries = tally(arrangement, counts)
        people = _People.of(arrangement, entries)
        gate = None
        z_names: tuple[str, ...] = ("Intercept",)
        z = np.ones((len(people.of_entry), 1))
        if gate_formula is not None:
            gate, z = _learn_membership(gate_formula, frame, arrangement, people, env)
            z, z_names = z[people.of_entry], gate.names
        weights = np.ones(len(people.of_entry))
        if columns.weights is not None:
            weights = _weights(frame[columns.weights], arrangement, people, columns.weights)
        data = ChoiceData(
            exog=utility.matrix(frame, order=arrangement.order),
            exog_names=utility.names,
            arrangement=arrangement,
            entries=entries,
            weights=weights,
            membership=z,
            membership_names=z_names,
            notes=tuple(notes),
        )
        return cls(formula, choice, utility, gate, columns), data

    @classmethod
    def learn_table(
        cls,
        formula: str,
        table: pd.DataFrame,
        choices: pd.DataFrame,
        *,
        alternative: str,
        individual: str,
        count: str | None,
        weights: str | None,
        membership: str,
        env: patsy.EvalEnvironment,
    ) -> tuple[ChoiceFormula, ChoiceData]:
        """Read one table of alternatives that many individuals choose from, repeatedly.

        Parameters
        ----------
        formula : str
            Right-hand side of the utility formula, on the columns of ``table``.
        table : DataFrame
            One row per alternative, stored once.
        choices : DataFrame
            One row per individual and alternative chosen; rows that repeat add up.
        alternative : str
            Column of ids in both tables.
        individual, count, weights : str
            Columns of ``choices``; without a count every row is one choice.
        membership : str
            Formula on the columns of ``choices``.
        env : EvalEnvironment

        Returns
        -------
        ChoiceFormula, ChoiceData
        """
        require_column(table, alternative, "alternative=", "the table of alternatives")
        where = "the table of choices"
        require_column(choices, alternative, "alternative=", where)
        require_column(choices, individual, "individual=", where)
        for role, name in (("count=", count), ("weights=", weights)):
            if name is not None:
                require_column(choices, name, role, where)
        left, right = split_formula(formula) if "~" in formula else ("", formula)
        if left:
            raise FormulaError(
                f"The formula {formula!r} has a left-hand side, but the choices are in a table of "
                f"their own. Write {'~ ' + right!r}, and pass count= for the column of counts."
            )
        utility = Design.learn(right, table, intercept="absorb", env=env, role="utility formula")
        if not utility.names:
            raise FormulaError(f"The formula {formula!r} has no attributes. Name at least one.")
        arrangement = arrange(
            len(table), alternative=table[alternative], names=("", individual, alternative)
        )
        entries, person = _table_entries(choices, arrangement, alternative, individual, count)
        gate = None
        z_names: tuple[str, ...] = ("Intercept",)
        z = np.ones((len(entries.ids), 1))
        if membership.strip().lstrip("~").strip() != "1":
            z_frame = _constant_rows(
                choices, _names_in(membership, choices, env), person, entries.ids
            )
            gate = Design.learn(
                membership, z_frame, intercept="keep", env=env, role="membership formula"
            )
            z, z_names = gate.matrix(z_frame), gate.names
        weight = np.ones(len(entries.ids))
        if weights is not None:
            first = individual_values(choices[weights], person, entries.ids, weights, "weight")
            weight = check_weights(choices[weights].iloc[first], entries.ids, weights)
        data = ChoiceData(
            exog=utility.matrix(table, order=arrangement.order),
            exog_names=utility.names,
            arrangement=arrangement,
            entries=entries,
            weights=weight,
            membership=z,
            membership_names=z_names,
        )
        columns = Columns(alternative=alternative, weights=weights)
        return cls(formula, count or "choice", utility, gate, columns), data

    def replay(self, frame: pd.DataFrame) -> ChoiceSets:
        """Read the choice sets of a new table, which need not have choices.

        Parameters
        ----------
        frame : DataFrame
            The id columns and every column that the formulas read. Without the individual
            column every situation is faced by an individual of its own; without the alternative
            column, alternatives keep the order of the rows.

        Returns
        -------
        ChoiceSets
        """
        columns = replace(self.columns, weights=None)
        for role in ("individual", "alternative"):
            if getattr(columns, role) not in frame.columns:
                columns = replace(columns, **{role: None})
        columns.check(frame)
        available = _availability(frame, columns)
        arrangement = arrange(len(frame), keep=available, **columns.ids(frame))
        exog = self.utility.matrix(frame, order=arrangement.order)
        bad = ~np.isfinite(exog)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise DataError(
                f"{plural(int(bad[:, column].sum()), 'value')} of attribute "
                f"{self.utility.names[column]!r} missing or not finite in the new data; the first "
                f"is in situation {arrangement.situation_of(row)}. Correct the column, or drop "
                "those situations."
            )
        z = np.ones((arrangement.n_situations, 1))
        if self.membership is not None:
            people = _People.of(arrangement, None)
            people_frame = people.frame(
                frame, list(self.membership.columns), "membership covariate"
            )
            z = self.membership.matrix(people_frame)[people.of_situation]
            if not np.isfinite(z).all():
                person, column = np.argwhere(~np.isfinite(z))[0]
                raise DataError(
                    f"Membership covariate {self.membership.names[column]!r} is missing or not "
                    f"finite in the new data; the first is in situation "
                    f"{arrangement.situation_label(person)}. Correct the column."
                )
        return ChoiceSets(exog, arrangement, z, frame.index)


@dataclass(frozen=True, eq=False)
class _People:
    """Who faces each situation: individuals where there are any, situations where not."""

    ids: pd.Index
    of_row: np.ndarray  # (R,) sorted rows
    of_situation: np.ndarray  # (S,)
    of_entry: np.ndarray  # (N,) distinct individuals of the likelihood
    order: np.ndarray  # (R,) position in the user's table of each sorted row

    @classmethod
    def of(cls, arrangement: Arrangement, entries: Entries | None) -> _People:
        """Read them off an arrangement."""
        sizes = arrangement.sizes
        owner = arrangement.situation_owner
        if owner is not None and arrangement.individual_ids is not None:
            n = np.arange(len(arrangement.individual_ids))
            return cls(
                arrangement.individual_ids, np.repeat(owner, sizes), owner, n, arrangement.order
            )
        situations = np.arange(arrangement.n_situations)
        of_row = np.repeat(situations, sizes)
        of_entry = of_row[entries.row] if entries is not None else situations
        return cls(arrangement.situation_ids, of_row, situations, of_entry, arrangement.order)

    def frame(self, frame: pd.DataFrame, names: list[str], what: str) -> pd.DataFrame:
        """One row per person of columns that must not vary within persons."""
        return _constant_rows(
            frame[names].iloc[self.order], names, self.of_row, self.ids, what=what
        )


def _constant_rows(
    frame: pd.DataFrame,
    names: list[str],
    person: np.ndarray,
    ids: pd.Index,
    what: str = "membership covariate",
) -> pd.DataFrame:
    """First row of each person, once the columns are found constant within persons."""
    first = np.full(len(ids), len(person))
    np.minimum.at(first, person, np.arange(len(person)))
    for name in names:
        individual_values(frame[name], person, ids, name, what)
    return frame[names].iloc[first].set_axis(ids)


def as_frame(data: Any, what: str = "data") -> pd.DataFrame:
    """Take a DataFrame, or what turns into one."""
    if isinstance(data, pd.DataFrame):
        return data
    if hasattr(data, "to_pandas"):
        return as_frame(data.to_pandas(), what)
    try:
        return pd.DataFrame(data)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{what} must be a table, such as a pandas DataFrame, not {type(data).__name__}."
        ) from error


def require_column(frame: pd.DataFrame, name: str, role: str, where: str = "the table") -> None:
    """Raise unless a table has a column exactly once."""
    if not isinstance(name, str) and not np.isscalar(name):
        raise ArgumentError(
            f"{role[:-1]} must be the name of a column of {where}, not {type(name).__name__}. To "
            "pass arrays, use MixedMultinomialLogit(endog, exog, ...)."
        )
    found = int(np.sum(frame.columns == name))
    if found == 0:
        raise ColumnError(
            f"{role}{name!r}: {where} has no such column.{did_you_mean(name, frame.columns)} "
            f"Its columns are {', '.join(map(str, frame.columns[:20]))}"
            + (", ..." if len(frame.columns) > 20 else ".")
        )
    if found > 1:
        raise ColumnError(f"{role}{name!r}: {where} has {found} columns of that name. Rename them.")


def split_formula(formula: str) -> tuple[str, str]:
    """Split ``choice ~ attributes``."""
    if not isinstance(formula, str):
        raise FormulaError(f"The formula must be a string, not {type(formula).__name__}.")
    sides = formula.split("~")
    if len(sides) != 2:
        raise FormulaError(
            f"The formula {formula!r} must have one '~', with the choice column on its left and "
            "the attributes on its right: 'choice ~ cost + time'."
        )
    return sides[0].strip(), sides[1].strip()


def _left_side(choice: str, frame: pd.DataFrame, env: patsy.EvalEnvironment) -> Any:
    """Evaluate the left-hand side: a column, or an expression such as ``chosen == alt``."""
    if not choice:
        raise FormulaError("The formula has nothing on the left of '~'. Name the choice column.")
    if choice in frame.columns:
        require_column(frame, choice, "choice column ")
        return frame[choice]
    if choice.isidentifier():
        raise ColumnError(
            f"The choice column {choice!r}, on the left of the formula, is not in the table."
            f"{did_you_mean(choice, frame.columns)} Its columns are "
            f"{', '.join(map(str, frame.columns[:20]))}."
        )
    names = {str(name): frame[name] for name in frame.columns}
    try:
        value = env.eval(choice, inner_namespace=names | {"I": lambda x: x, "Q": frame.__getitem__})
    except Exception as error:
        raise FormulaError(
            f"The left side {choice!r} of the formula cannot be evaluated: {error}"
        ) from error
    if np.shape(value) != (len(frame),):
        raise FormulaError(
            f"The left side {choice!r} of the formula gives {np.shape(value)} values for "
            f"{plural(len(frame), 'row')}."
        )
    return value


def _names_in(formula: str, frame: pd.DataFrame, env: patsy.EvalEnvironment) -> list[str]:
    """Columns that a membership formula reads."""
    design = Design.learn(formula, frame, intercept="keep", env=env, role="membership formula")
    return list(design.columns)


def _availability(frame: pd.DataFrame, columns: Columns) -> np.ndarray:
    """Rows that are available, (n_rows,)."""
    if columns.availability is None:
        return np.ones(len(frame), dtype=bool)
    column = frame[columns.availability]
    is_valid = column.isin([0, 1]).to_numpy()
    if not is_valid.all():
        row = int(np.argmin(is_valid))
        raise DataError(
            f"{plural(int((~is_valid).sum()), 'value')} of the availability column "
            f"{columns.availability!r} neither 0 nor 1; the first is {show(column.iloc[row])} in "
            f"row {row}. Use 1 for available and 0 for not."
        )
    return column.to_numpy().astype(bool)


def refuse_unavailable_choices(
    chosen: Any, available: np.ndarray, arrangement: Arrangement, columns: Columns
) -> None:
    """Raise when a row that is not available was chosen."""
    wrong = np.flatnonzero(~available & (np.asarray(pd.Series(chosen).fillna(0)) != 0))
    if columns.availability is None or len(wrong) == 0:
        return
    raise DataError(
        f"{plural(len(wrong), 'chosen row')} marked as unavailable in column "
        f"{columns.availability!r}; the first is row {wrong[0]}. Correct the availability or the "
        "choice, or drop those situations."
    )


def _without_missing(
    frame: pd.DataFrame,
    used: list[str],
    chosen: Any,
    columns: Columns,
    available: np.ndarray,
) -> tuple[np.ndarray, str]:
    """Rows to keep so that no situation has a missing value, and a note on the others."""
    is_missing = pd.isna(pd.Series(chosen)).to_numpy() & available
    for name in dict.fromkeys(used):
        is_missing |= frame[name].isna().to_numpy() & available
    if not is_missing.any():
        return available, ""
    if columns.situation is None:
        raise DataError(
            f"{plural(int(is_missing.sum()), 'row')} of the one choice set has a missing value; "
            "dropping it would leave no data. Correct or drop those rows."
        )
    situation = codes_of(frame[columns.situation], columns.situation)[0]
    if columns.individual is not None:
        person = codes_of(frame[columns.individual], columns.individual)[0]
        situation = situation + person * (int(situation.max()) + 1)
    dropped = np.isin(situation, situation[is_missing])
    n_dropped, n_all = len(np.unique(situation[dropped])), len(np.unique(situation))
    if n_dropped == n_all:
        raise DataError(
            f"Every one of the {plural(n_all, 'choice situation')} has a missing value. Check the "
            f"columns {', '.join(map(repr, used))}."
        )
    return available & ~dropped, (
        f"{n_dropped:,} of {plural(n_all, 'choice situation')} dropped because of missing values."
    )


def _learn_membership(
    formula: str,
    frame: pd.DataFrame,
    arrangement: Arrangement,
    people: _People,
    env: patsy.EvalEnvironment,
) -> tuple[Design, np.ndarray]:
    """Learn a membership formula on one row per person."""
    if arrangement.n_situations == 1 and arrangement.situation_owner is None:
        raise ArgumentError(
            "Membership covariates need individuals, but the table is one choice set without an "
            "individual column. Pass individual= and situation=, or use from_table."
        )
    names = _names_in(formula, frame.iloc[arrangement.order], env)
    people_frame = people.frame(frame, names, "membership covariate")
    design = Design.learn(
        formula, people_frame, intercept="keep", env=env, role="membership formula"
    )
    return design, design.matrix(people_frame)


def _weights(column: pd.Series, arrangement: Arrangement, people: _People, name: str) -> np.ndarray:
    """Sampling weights of the distinct individuals, (N,)."""
    values = column.iloc[arrangement.order]
    first = individual_values(values, people.of_row, people.ids, name, "weight")
    return check_weights(values.iloc[first], people.ids, name)[people.of_entry]


def check_weights(values: Any, ids: pd.Index, name: str) -> np.ndarray:
    """Sampling weights of persons, once they are found positive."""
    try:
        weight = pd.Series(values).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"The weights column {name!r} must hold numbers.") from error
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight > 0)))
    if len(bad):
        raise DataError(
            f"{plural(len(bad), 'weight')} in column {name!r} not positive and finite; the first "
            f"is {weight[bad[0]]} of individual {show(ids[bad[0]])}. Leave those individuals out, "
            "or correct their weights."
        )
    return weight


def _table_entries(
    choices: pd.DataFrame,
    arrangement: Arrangement,
    alternative: str,
    individual: str,
    count: str | None,
) -> tuple[Entries, np.ndarray]:
    """Choices of individuals from one shared table, and the person of each row of choices."""
    if len(choices) == 0:
        raise DataError("The table of choices has no rows.")
    assert arrangement.alternative_ids is not None
    assert arrangement.alternative_codes is not None
    place = arrangement.alternative_ids.get_indexer(pd.Index(choices[alternative]))
    unknown = np.flatnonzero(place < 0)
    if len(unknown):
        label = choices[alternative].iloc[unknown[0]]
        raise DataError(
            f"{plural(len(unknown), 'row')} of the table of choices names an alternative that the "
            f"table of alternatives lacks; the first is {show(label)} in row {unknown[0]}. Add it "
            f"to the table, or drop those rows."
        )
    # sorted rows stand in the order of the ids, so a code is a row
    person, ids = codes_of(choices[individual], individual)
    amount = np.ones(len(choices))
    if count is not None:
        try:
            amount = choices[count].to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise DataError(f"The count column {count!r} must hold numbers.") from error
        bad = np.flatnonzero(~(np.isfinite(amount) & (amount >= 0) & (amount == np.floor(amount))))
        if len(bad):
            raise DataError(
                f"{plural(len(bad), 'value')} of the count column {count!r} no whole number of at "
                f"least 0; the first is {show(choices[count].iloc[bad[0]])} in row {bad[0]}."
            )
    total = np.bincount(person, weights=amount, minlength=len(ids))
    if (total == 0).any():
        raise DataError(
            f"{plural(int((total == 0).sum()), 'individual')} without any choice; the first is "
            f"{show(ids[int(np.argmin(total > 0))])}. Drop those rows."
        )
    key = person * arrangement.n_rows + place
    distinct, where = np.unique(key, return_inverse=True)
    summed = np.bincount(where, weights=amount)
    distinct, summed = distinct[summed > 0], summed[summed > 0]
    owner = distinct // arrangement.n_rows
    entries = Entries(
        row=distinct % arrangement.n_rows,
        count=summed,
        start=np.searchsorted(owner, np.arange(len(ids) + 1)),
        frequency=np.ones(len(ids)),
        ids=ids,
    )
    return entries, person
