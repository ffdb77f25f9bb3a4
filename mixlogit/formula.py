"""Formulas and the names of id columns -> choice data, and the same again on new data."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import patsy
from patsy.eval import ast_names

from mixlogit.arguments import require_one_of
from mixlogit.arrangement import Arrangement, arrange, codes_of
from mixlogit.attributes import RowTable, as_rows, stored_type
from mixlogit.choices import ChoiceData
from mixlogit.chosen import (
    ChoiceColumn,
    chosen_numbers,
    count_notes,
    read_counts,
    refuse_other_types,
    refuse_unavailable_choices,
)
from mixlogit.chunks import Chunks, RowFile, explained, joined_arrangement, joined_entries
from mixlogit.class_sets import ClassSets, refuse_impossible_choices
from mixlogit.columns import (
    Columns,
    other_separator,
    read_availability,
    read_frequencies,
    read_weights,
    require_column,
)
from mixlogit.design import Design, Pieces, columns_read
from mixlogit.entries import Entries, tally, tally_table
from mixlogit.errors import (
    ArgumentError,
    ColumnError,
    DataError,
    DataWarning,
    FormulaError,
    did_you_mean,
    listed,
    plural,
    show,
    verb,
    warn,
)
from mixlogit.identification import (
    LARGEST,
    is_in_range,
    opt_out_advice,
    refuse_not_finite,
)
from mixlogit.offsets import read_offset
from mixlogit.people import People, constant_rows
from mixlogit.replay import says_what_is_missing
from mixlogit.utility import Alternatives, Parts, Sets, Utility, learn_utility, refuse_varying
from mixlogit.weighting import to_mean_one, weighted, with_weights

__all__ = ["ChoiceFormula", "ChoiceSets"]

MISSING_RULES = ("raise", "drop")
_TILDE = re.compile(r"""~(?=(?:[^'"]|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")*$)""")  # outside quotes
_MEMBERSHIP = "membership formula"


@dataclass(frozen=True, eq=False)
class ChoiceSets:
    """Choice sets without choices: what a prediction needs.

    Parameters
    ----------
    exog : ndarray or StoredRows, shape (R, L)
        Sorted rows.
    arrangement : Arrangement
    membership : ndarray, shape (S, Q), or None
        Membership covariates of who faces each situation; None for the fitted data, whose
        individuals are known.
    index : Index
        The user's row labels.
    weights : dict of Series
        The table's columns of weights, as they stand there: "weights", "freq_weights" or both.
    offset : ndarray, shape (1, R) or (K, R), or None
        What is added to the utility of each sorted row, as for ``ChoiceData``.
    """

    exog: RowTable
    arrangement: Arrangement
    membership: np.ndarray | None
    index: pd.Index
    weights: dict[str, pd.Series] = field(default_factory=dict)
    offset: np.ndarray | None = None

    def situation_weights(self) -> np.ndarray:
        """Weight of who faces each situation, (S,); ones without a column of weights."""
        people, total = People.of(self.arrangement, None), np.ones(self.arrangement.n_situations)
        for role, column in self.weights.items():
            own = people.frame(column.to_frame(), [column.name], "weight")[column.name]
            read = read_weights if role == "weights" else read_frequencies
            total *= read(own, column.name, people.place)[people.of_situation]
        return total


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
    rule : {"auto", "one", "counts"} or None
        What the choice column holds; None where the choices are in a table of their own.
    person : Design or None
        Variables of the person in a right-hand side of several parts, which must not vary within
        situations.
    class_sets : ClassSets or None
        Which rows some classes have; None if all have all.
    """

    formula: str
    choice: str
    utility: Design
    membership: Design | None
    columns: Columns
    rule: str | None = None
    person: Design | None = None
    class_sets: ClassSets | None = None

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
        class_sets: ClassSets | None = None,
        dtype: Any = np.float64,
        mapped: np.ndarray | None = None,
        reference: Hashable | None = None,
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
            As in ``mixlogit.chosen.ChoiceColumn``.
        missing : {"raise", "drop"}
            "drop" leaves out whole situations with a missing value, and says how many.
        env : EvalEnvironment
            Where functions in the formulas are looked up.
        class_sets : ClassSets, optional
            Which rows some classes have.
        dtype : {"float64", "float32"}
            What the attributes are stored as.
        mapped : ndarray, shape (R, L), optional
            The attributes, in a memory map that is to serve as it is if its rows are in order.
        reference : hashable, optional
            As in ``mixlogit.utility.Alternatives``.

        Returns
        -------
        ChoiceFormula, ChoiceData
        """
        require_one_of("missing", missing, MISSING_RULES)
        stored = stored_type(dtype)
        choice, right = split_formula(formula)
        choice_column = ChoiceColumn.of(choice, choices, columns)
        columns.check(frame)
        if len(frame) == 0:
            raise DataError("The table has no rows. Pass at least one choice situation.")
        chosen = _left_side(choice, frame, env)
        gate_formula = _membership_formula(membership)
        covariates: tuple[str, ...] = ()
        if gate_formula is not None:
            covariates = columns_read(gate_formula, frame, env=env, role=_MEMBERSHIP)
        alternatives = Alternatives(columns.alternative, reference)
        parts = Parts.of(right, alternatives)
        used = (*parts.columns_read(frame, env, alternatives), *covariates)
        if class_sets is not None:
            used += class_sets.columns(frame)
        complete = used if missing == "drop" else None
        kept = _kept_rows(frame, columns, chosen, choice_column, complete)
        if kept.n_dropped:
            warn(kept.notes[-1], DataWarning)
        rows = None if kept.rows.all() else np.flatnonzero(kept.rows)
        arrangement = arrange(len(frame), keep=kept.rows, **columns.ids(frame))
        if class_sets is not None:
            class_sets.require(arrangement)
        learned = _learn_utility(
            formula,
            right,
            lambda: iter([(frame, rows)]),
            lambda: iter([(frame, arrangement)]),
            env,
            alternatives,
        )
        utility = learned.design
        counts = read_counts(chosen, arrangement, choice_column)
        entries = tally(arrangement, counts)
        n_choices = float(counts.sum())
        del chosen, counts
        entries, raw_weights = weighted(frame, columns, arrangement, entries)
        weights, weight_notes = to_mean_one(columns, raw_weights, entries.frequency)
        people = People.of(arrangement, entries)
        gate = None
        z = np.ones((len(people.of_entry), 1))
        if gate_formula is not None:
            if arrangement.n_situations == 1 and arrangement.situation_owner is None:
                raise ArgumentError(
                    "Membership covariates need individuals, but the table is one choice set "
                    "without an individual column. Pass individual= and situation=, or use "
                    "from_table."
                )
            gate, z = _learn_membership(gate_formula, people.frame(frame, covariates), env)
            z = z[people.of_entry]
        if mapped is not None and arrangement.permutation is None:
            exog = as_rows(mapped)
        else:
            exog = as_rows(utility.matrix(frame, order=arrangement.permutation, dtype=stored))
        data = ChoiceData(
            exog=exog,
            exog_names=utility.names,
            arrangement=arrangement,
            entries=entries,
            weights=weights,
            membership=z,
            membership_names=("Intercept",) if gate is None else gate.names,
            notes=(
                *kept.notes,
                *learned.notes,
                *count_notes(choice, n_choices, arrangement.n_situations, "choice situation"),
                *weight_notes,
            ),
            offset=_offset_of(frame, columns, arrangement, stored, class_sets),
        )
        return cls(
            formula, choice, utility, gate, columns, choices, learned.person, class_sets
        ), data

    @classmethod
    def learn_chunks(
        cls,
        formula: str,
        chunks: Any,
        columns: Columns,
        *,
        membership: str,
        choices: str,
        missing: str,
        env: patsy.EvalEnvironment,
        class_sets: ClassSets | None,
        dtype: Any,
        folder: Any,
        reference: Hashable | None = None,
    ) -> tuple[ChoiceFormula, ChoiceData, int]:
        """Read a table of alternatives piece by piece, and write its attributes to a file.

        Parameters
        ----------
        formula
            As in `learn`.
        chunks
            As in ``mixlogit.chunks.Chunks.of``.
        columns, membership, choices, missing, env, class_sets, dtype
            As in `learn`.
        folder : path or None
            As in ``mixlogit.chunks.RowFile``.
        reference : hashable, optional
            As in `learn`.

        Returns
        -------
        ChoiceFormula, ChoiceData, int
            And the number of rows of the table.
        """
        require_one_of("missing", missing, MISSING_RULES)
        if columns.situation is None:
            raise ArgumentError(
                "from_chunks needs situation=, the column that says which rows form one choice "
                "set. For one table that many individuals choose from, use from_table."
            )
        stored = stored_type(dtype)
        choice, right = split_formula(formula)
        choice_column = ChoiceColumn.of(choice, choices, columns)
        key = columns.situation if columns.individual is None else columns.individual
        source = Chunks.of(chunks, key)
        head = source.head()
        columns.check(head)
        gate_formula = _membership_formula(membership)
        covariates: tuple[str, ...] = ()
        if gate_formula is not None:
            covariates = columns_read(gate_formula, head, env=env, role=_MEMBERSHIP)
        alternatives = Alternatives(columns.alternative, reference)
        used = (*Parts.of(right, alternatives).columns_read(head, env, alternatives), *covariates)
        if class_sets is not None:
            used += class_sets.columns(head)
        of_one_kind = {name for name in (*used, *vars(columns).values()) if name is not None}

        def pieces() -> Iterator[_Piece]:
            for first, frame in source:
                with explained(first, len(frame)):
                    chosen = _left_side(choice, frame, env)
                    complete = used if missing == "drop" else None
                    kept = _kept_rows(
                        frame, columns, chosen, choice_column, complete, is_piece=True
                    )
                yield _Piece(first, frame, chosen, kept)

        survey: _Survey | None = None  # until a pass has come to its end

        def to_learn() -> Iterator[tuple[pd.DataFrame, np.ndarray | None]]:
            nonlocal survey
            found = _Survey()
            for piece in pieces():
                if survey is None:
                    source.require_one_kind(piece.frame, piece.first, of_one_kind)
                    found.add(piece)
                yield piece.frame, piece.rows
            if survey is None and found.n_kept == 0:
                raise _nothing_left(found.n_situations, [choice, *used])
            survey = survey or found

        def to_compare() -> Iterator[tuple[pd.DataFrame, Arrangement]]:
            for piece in pieces():
                if piece.kept.rows.any():
                    with explained(piece.first, len(piece.frame)):
                        ids = columns.ids(piece.frame)
                        arrangement = arrange(len(piece.frame), keep=piece.kept.rows, **ids)
                    yield piece.frame, arrangement

        learned = _learn_utility(formula, right, to_learn, to_compare, env, alternatives)
        utility = learned.design
        assert survey is not None
        n_choices = 0.0
        parts: list[tuple[int, Arrangement, Entries]] = []
        raw_weights, people_frames, offsets = [], [], []
        with RowFile(folder, (survey.n_kept, len(utility.names)), stored) as file:
            for piece in pieces():
                if not piece.kept.rows.any():
                    continue
                frame = piece.frame
                with explained(piece.first, len(frame)):
                    arrangement = arrange(len(frame), keep=piece.kept.rows, **columns.ids(frame))
                    counts = read_counts(piece.chosen, arrangement, choice_column)
                    n_choices += float(counts.sum())
                    entries = tally(arrangement, counts)
                    entries, weight = weighted(frame, columns, arrangement, entries)
                    offset = _offset_of(frame, columns, arrangement, stored, class_sets)
                    if gate_formula is not None:
                        people = People.of(arrangement, entries)
                        people_frames.append(people.frame(frame, covariates))
                file.write(utility.matrix(frame, order=arrangement.permutation, dtype=stored))
                parts.append((piece.first, arrangement, entries))
                raw_weights.append(weight)
                if offset is not None:
                    offsets.append(offset)
            arrangement = joined_arrangement([part[:2] for part in parts], key, columns.alternative)
            entries = joined_entries([part[1:] for part in parts], arrangement)
            del parts
            if class_sets is not None:
                class_sets.require(arrangement)
            gate, z = None, np.ones((len(entries.ids), 1))
            if gate_formula is not None:
                gate, z = _learn_membership(gate_formula, pd.concat(people_frames), env)
                z = z[People.of(arrangement, entries).of_entry]
            weights, weight_notes = to_mean_one(
                columns, np.concatenate(raw_weights), entries.frequency
            )
            if survey.n_dropped:  # told where from_chunks is called
                warn(survey.notes[-1], DataWarning)
            data = ChoiceData(
                exog=file.rows(),
                exog_names=utility.names,
                arrangement=arrangement,
                entries=entries,
                weights=weights,
                membership=z,
                membership_names=("Intercept",) if gate is None else gate.names,
                notes=(
                    *survey.notes,
                    *learned.notes,
                    *count_notes(choice, n_choices, arrangement.n_situations, "choice situation"),
                    *weight_notes,
                ),
                offset=np.concatenate(offsets, axis=1) if offsets else None,
            )
        spec = cls(formula, choice, utility, gate, columns, choices, learned.person, class_sets)
        return spec, data, survey.n_rows

    @classmethod
    def learn_table(
        cls,
        formula: str,
        table: pd.DataFrame,
        choices: pd.DataFrame,
        *,
        alternative: Hashable,
        individual: Hashable,
        count: Hashable | None,
        weights: Hashable | None,
        freq_weights: Hashable | None,
        membership: str,
        env: patsy.EvalEnvironment,
        offset: Hashable | None = None,
        class_sets: ClassSets | None = None,
        dtype: Any = np.float64,
        reference: Hashable | None = None,
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
        alternative : column name
            Column of ids in both tables.
        individual, count, weights, freq_weights : column name
            Columns of ``choices``; without a count every row is one choice.
        membership : str
            Formula on the columns of ``choices``.
        env : EvalEnvironment
        offset : column name
            Column of ``table``.
        class_sets : ClassSets, optional
            Which rows of ``table`` some classes have.
        dtype : {"float64", "float32"}
            What the attributes are stored as.
        reference : hashable, optional
            As in `learn`.

        Returns
        -------
        ChoiceFormula, ChoiceData
        """
        stored = stored_type(dtype)
        columns = Columns(alternative=alternative, offset=offset)
        for role, column in (("alternative", alternative), ("offset", offset)):
            if column is not None:
                require_column(table, column, f"{role}=", "the table of alternatives")
        if len(table) == 0:
            raise DataError("The table of alternatives has no rows. Pass at least two of them.")
        where = "the table of choices"
        require_column(choices, alternative, "alternative=", where)
        require_column(choices, individual, "individual=", where)
        optional = {"count": count, "weights": weights, "freq_weights": freq_weights}
        for role, name in optional.items():
            if name is not None:
                require_column(choices, name, f"{role}=", where)
        has_no_tilde = isinstance(formula, str) and not _TILDE.search(formula)
        left, right = ("", formula) if has_no_tilde else split_formula(formula)
        if left:
            raise FormulaError(
                f"The formula {formula!r} has a left-hand side, but the choices are in a table of "
                f"their own. Write {'~ ' + right!r}, and pass count= for the column of counts."
            )
        arrangement = arrange(
            len(table), alternative=table[alternative], names=("", individual, alternative)
        )
        if class_sets is not None:
            class_sets.require(arrangement)
        alternatives = Alternatives(alternative, reference)
        try:
            learned = _learn_utility(
                formula,
                right,
                lambda: iter([(table, None)]),
                lambda: iter([(table, arrangement)]),
                env,
                alternatives,
            )
        except ColumnError as error:
            if len(Parts.of(right, alternatives).texts) == 1:
                raise
            raise ColumnError(
                f"{error} All individuals share this table, so that variables of the person have "
                "no place in it: for them, build one long table and use from_formula."
            ) from error
        utility = learned.design
        entries, person = tally_table(
            arrangement,
            choices[individual],
            choices[alternative],
            None if count is None else choices[count],
            names=(individual, alternative, count),
        )
        name = "choice" if count is None else str(count)
        n_choices = float(entries.count.sum())
        gate = None
        z = np.ones((len(entries.ids), 1))
        gate_formula = _membership_formula(membership)
        if gate_formula is not None:
            covariates = columns_read(gate_formula, choices, env=env, role=_MEMBERSHIP)
            z_frame = constant_rows(choices, covariates, person, entries.ids)
            gate, z = _learn_membership(gate_formula, z_frame, env)

        def of_individual(name: Hashable) -> pd.Series:
            return constant_rows(choices, [name], person, entries.ids, "weight")[name]

        of_weights = Columns(weights=weights, freq_weights=freq_weights)
        entries, raw_weights = with_weights(
            entries, of_weights, of_individual, lambda i: f"of individual {show(entries.ids[i])}"
        )
        weight, notes = to_mean_one(of_weights, raw_weights, entries.frequency)
        data = ChoiceData(
            exog=as_rows(utility.matrix(table, order=arrangement.permutation, dtype=stored)),
            exog_names=utility.names,
            arrangement=arrangement,
            entries=entries,
            weights=weight,
            membership=z,
            membership_names=("Intercept",) if gate is None else gate.names,
            notes=(
                *learned.notes,
                *count_notes(name, n_choices, len(entries.ids), "individual"),
                *notes,
            ),
            offset=_offset_of(table, columns, arrangement, stored, class_sets),
        )
        spec = cls(
            formula,
            name,
            utility,
            gate,
            columns,
            person=learned.person,
            class_sets=class_sets,
        )
        return spec, data

    def replay(self, frame: pd.DataFrame) -> ChoiceSets:
        """Read the choice sets of a new table, which need not have choices.

        Parameters
        ----------
        frame : DataFrame
            The id columns and every column that the formulas read. Without the individual
            column every situation is faced by an individual of its own; without the alternative
            column, alternatives keep the order of the rows. Weights may be missing.

        Returns
        -------
        ChoiceSets
        """
        columns = self.columns
        for role in ("individual", "alternative", "weights", "freq_weights"):
            if getattr(columns, role) not in frame.columns:
                columns = replace(columns, **{role: None})
        columns.check(frame)
        keep = None
        if columns.availability is not None:
            keep = read_availability(frame[columns.availability], columns.availability)
        arrangement = arrange(len(frame), keep=keep, **columns.ids(frame))
        exog = self.utility.matrix(frame, order=arrangement.permutation)
        if self.person is not None:
            refuse_varying(self.person, lambda: iter([(frame, arrangement)]))
        refuse_not_finite(exog, self.utility.names, arrangement)
        z = np.ones((arrangement.n_situations, 1))
        if self.membership is not None:
            self.membership.require_columns(frame)
            people = People.of(arrangement, None)
            z = self.membership.matrix(people.frame(frame, self.membership.columns))
            z = z[people.of_situation]
            _refuse_out_of_range(
                z,
                self.membership.names,
                "situation",
                lambda s: f"situation {arrangement.situation_label(s)}",
            )
        names = {"weights": columns.weights, "freq_weights": columns.freq_weights}
        weights = {role: frame[name] for role, name in names.items() if name is not None}
        offset = _offset_of(frame, columns, arrangement, exog.dtype, self.class_sets)
        return ChoiceSets(exog, arrangement, z, frame.index, weights, offset)

    def people(self, frame: pd.DataFrame) -> tuple[pd.Index, np.ndarray]:
        """Read the membership covariates of a new table, which need not have choice sets.

        Parameters
        ----------
        frame : DataFrame
            Every column that the membership formula reads. Rows of an individual belong together,
            or of a situation where the table has no individuals; without either, each row is
            somebody.

        Returns
        -------
        ids : Index, shape (N,)
            Of the individuals, or of the rows.
        z : ndarray, shape (N, Q)

        Raises
        ------
        DataError
            A covariate varies within an individual, or is missing or not finite.
        """
        known = self.columns.individual, self.columns.situation
        column = next((name for name in known if name is not None and name in frame.columns), None)
        person, ids = np.arange(len(frame)), frame.index
        if column is not None:
            require_column(frame, column, "id column ")
            person, ids = codes_of(frame[column], column)
        if self.membership is None:
            return ids, np.ones((len(ids), 1))
        self.membership.require_columns(frame)
        own = constant_rows(frame, self.membership.columns, person, ids)
        z = self.membership.matrix(own)
        _refuse_out_of_range(z, self.membership.names, "individual", lambda i: show(ids[i]))
        return ids, z

    def people_of(
        self,
        frame: pd.DataFrame,
        arrangement: Arrangement,
        entries: Entries | None,
        names: Iterable[Hashable] | None = None,
        what: str = "membership covariate",
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """One row for each person of a table, with columns that do not vary within persons.

        Parameters
        ----------
        frame : DataFrame
        arrangement : Arrangement
            Of its rows.
        entries : Entries or None
            Of the fitted data; None for choice sets alone.
        names : iterable of column names, optional
            Those that the membership formula reads if None.
        what : str
            What they are, for messages.

        Returns
        -------
        people : DataFrame
        place : ndarray of int
            Row of each individual of the entries, or of who faces each situation.
        """
        people = People.of(arrangement, entries)
        if names is None:
            names = () if self.membership is None else self.membership.columns
        place = people.of_situation if entries is None else people.of_entry
        return people.frame(frame, names, what), place

    def read(self, frame: pd.DataFrame) -> tuple[ChoiceSets, Entries]:
        """Read the choice sets of a new table and what was chosen there.

        Parameters
        ----------
        frame : DataFrame
            Every column that the model was built with; the weights may be missing. An expression
            on the left of the formula is evaluated on these columns alone.

        Returns
        -------
        ChoiceSets, Entries

        Raises
        ------
        ArgumentError
            The model was built from a table of alternatives and a table of choices.
        DataError
            The rows do not describe choices.
        """
        if self.rule is None:
            raise ArgumentError(
                "New choices are read in the layout of from_formula, and this model was built "
                "with from_table. Build it from one long table."
            )
        if self.columns.individual is not None:
            require_column(frame, self.columns.individual, "individual=")
        sets = self.replay(frame)
        chosen = _left_side(self.choice, frame, patsy.EvalEnvironment([]))
        choice_column = ChoiceColumn.of(self.choice, self.rule, self.columns)
        name = self.columns.availability
        if name is not None:
            available = read_availability(frame[name], name)
            refuse_unavailable_choices(chosen, available, choice_column, name)
        counts = read_counts(chosen, sets.arrangement, choice_column)
        entries = tally(sets.arrangement, counts)
        refuse_impossible_choices(sets.offset, sets.arrangement, entries)
        is_counted = "freq_weights" in sets.weights
        counted = Columns(freq_weights=self.columns.freq_weights if is_counted else None)
        return sets, weighted(frame, counted, sets.arrangement, entries)[0]


def _refuse_out_of_range(
    z: np.ndarray, names: Sequence[str], unit: str, place: Callable[[int], str]
) -> None:
    """Raise for the first membership covariate of new data that is not finite, or too large."""
    bad = ~is_in_range(z)
    if bad.any():
        i, column = np.argwhere(bad)[0]
        fault = "missing or not finite"
        if np.isfinite(z[i, column]):
            fault = f"larger than {LARGEST:g} in size"
        raise DataError(
            f"Membership covariate {names[column]!r} is {fault} in "
            f"{plural(int(bad[:, column].sum()), unit)} of the new data; the first is {place(i)}. "
            "Correct the column."
        )


def _offset_of(
    frame: pd.DataFrame,
    columns: Columns,
    arrangement: Arrangement,
    dtype: Any,
    class_sets: ClassSets | None,
) -> np.ndarray | None:
    """Offset of the sorted rows of a table, (1, R) or (K, R), if there is one."""
    offset = None
    if columns.offset is not None:
        offset = read_offset(frame[columns.offset], columns.offset, arrangement, dtype)
    return offset if class_sets is None else class_sets.of_rows(frame, arrangement, offset, dtype)


def split_formula(formula: str) -> tuple[str, str]:
    """Split ``choice ~ attributes``."""
    if not isinstance(formula, str):
        raise FormulaError(f"The formula must be a string, not {type(formula).__name__}.")
    sides = _TILDE.split(formula)
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
            f"{did_you_mean(choice, frame.columns)} Its columns are {listed(frame.columns)}."
            f"{other_separator(frame.columns)}"
        )

    read = set()

    def column(name: str) -> pd.Series:
        require_column(frame, name, "left side of the formula, column ")
        read.add(name)
        return frame[name]

    try:
        body = ast.parse(choice, mode="eval").body
        if isinstance(body, ast.BinOp) and isinstance(body.op, ast.Add):
            raise ValueError(f"it names two responses; for their sum, write I({choice})")
        names = set(ast_names(choice)) & {c for c in frame.columns if isinstance(c, str)}
        inner = {name: column(name) for name in names} | {"I": lambda x: x, "Q": column}
        with np.errstate(all="ignore"):  # what is not finite is found among the choices
            value = env.eval(choice, inner_namespace=inner)
        shape = np.shape(value)
    except ColumnError:
        raise
    except Exception as error:
        missing = error.name if isinstance(error, NameError) else None
        hint = did_you_mean(missing, frame.columns) if missing else ""
        raise FormulaError(
            f"The left side {choice!r} of the formula cannot be evaluated: {error}.{hint} It must "
            "be a column of 0/1 or counts, or an expression such as 'chosen == alternative'."
        ) from error
    if shape != (len(frame),):
        raise FormulaError(
            f"The left side {choice!r} of the formula gives values of shape {shape} for "
            f"{plural(len(frame), 'row')}. It must give one value per row."
        )
    if isinstance(value, pd.Series) and not value.index.equals(frame.index):
        raise FormulaError(
            f"The left side {choice!r} of the formula changes the order of the rows: its index is "
            "not that of the table. Add the result to the table as a column."
        )
    refuse_other_types(choice, {name: frame[name] for name in sorted(read)}, value)
    is_lost = np.zeros(len(frame), dtype=bool)
    for name in read:
        is_lost |= frame[name].isna().to_numpy()
    if is_lost.any() and not says_what_is_missing(choice):
        value = pd.Series(value).astype(object).mask(is_lost)  # nan == 1 is not known to be false
    return value


def _membership_formula(membership: Any) -> str | None:
    """The membership formula; None when there are only shares."""
    if not isinstance(membership, str):
        raise FormulaError(
            f"membership must be a formula on columns of the table, such as 'age + C(region)', "
            f"not {type(membership).__name__}."
        )
    return None if membership.strip().removeprefix("~").strip() in ("1", "") else membership


def _learn_utility(
    formula: str,
    right: str,
    pieces: Pieces,
    sets: Sets,
    env: patsy.EvalEnvironment,
    alternatives: Alternatives,
) -> Utility:
    """Learn the right side of a formula, which must have attributes."""
    learned = learn_utility(right, pieces, sets, env, alternatives)
    if not learned.design.names:
        raise FormulaError(
            f"The formula {formula!r} has no attributes. Name at least one on its right side; "
            "alternative constants are written C(alternative)."
        )
    return learned


def _learn_membership(
    formula: str, people: pd.DataFrame, env: patsy.EvalEnvironment
) -> tuple[Design, np.ndarray]:
    """Learn a membership formula on one row per person."""
    design = Design.learn(formula, people, intercept="keep", env=env, role=_MEMBERSHIP)
    if not design.names:
        raise FormulaError(
            f"The membership formula {formula!r} has neither an intercept nor covariates. Write "
            "'1' for shares alone."
        )
    return design, design.matrix(people)


@dataclass(frozen=True, eq=False)
class _Kept:
    """Rows of the user's table that are read, and what to say about the others."""

    rows: np.ndarray  # bool (n_rows,)
    n_unavailable: int = 0
    n_dropped: int = 0
    n_situations: int = 0  # counted where missing values are looked for

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know; dropped situations come last."""
        return _left_out(self.n_unavailable, self.n_dropped, self.n_situations)


def _left_out(n_unavailable: int, n_dropped: int, n_situations: int) -> tuple[str, ...]:
    """Say what was left out."""
    notes = []
    if n_unavailable:
        notes.append(f"{plural(n_unavailable, 'unavailable row')} left out.")
    if n_dropped:
        of_all = plural(n_situations, "choice situation")
        notes.append(f"{n_dropped:,} of {of_all} dropped because of missing values.")
    return tuple(notes)


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some rows of a table, of whole individuals."""

    first: int
    frame: pd.DataFrame
    chosen: Any
    kept: _Kept

    @property
    def rows(self) -> np.ndarray | None:
        """Positions of the rows that are read; None for all."""
        return None if self.kept.rows.all() else np.flatnonzero(self.kept.rows)


@dataclass(eq=False)
class _Survey:
    """What the first pass over the pieces finds."""

    n_rows: int = 0
    n_kept: int = 0
    n_unavailable: int = 0
    n_dropped: int = 0
    n_situations: int = 0

    def add(self, piece: _Piece) -> None:
        """Count a piece."""
        kept = piece.kept
        self.n_rows += len(piece.frame)
        self.n_kept += int(kept.rows.sum())
        self.n_unavailable += kept.n_unavailable
        self.n_dropped += kept.n_dropped
        self.n_situations += kept.n_situations

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know; dropped situations come last."""
        return _left_out(self.n_unavailable, self.n_dropped, self.n_situations)


def _kept_rows(
    frame: pd.DataFrame,
    columns: Columns,
    chosen: Any,
    choice: ChoiceColumn,
    used: Iterable[Hashable] | None,
    *,
    is_piece: bool = False,
) -> _Kept:
    """Leave out unavailable rows and, where the columns used are given, incomplete situations."""
    available = np.ones(len(frame), dtype=bool)
    n_left_out = 0
    if columns.availability is not None:
        values = frame[columns.availability]
        available = read_availability(values, columns.availability, missing=used is not None)
        refuse_unavailable_choices(chosen, available, choice, columns.availability)
        n_left_out = int((~available).sum())
        if n_left_out:
            _refuse_empty_situations(frame, columns, available)
    if used is None:
        return _Kept(available, n_left_out)
    is_missing = pd.isna(pd.Series(chosen, copy=False)).to_numpy() & available
    # without individuals, a weight counts only in rows that were chosen
    weighted = available
    if columns.individual is None and (columns.weights, columns.freq_weights) != (None, None):
        weighted = available & (chosen_numbers(chosen, choice.name) != 0)
    of_rows = (columns.alternative, columns.availability, columns.offset)
    where = dict.fromkeys((*used, *of_rows), available)
    where = dict.fromkeys((columns.weights, columns.freq_weights), weighted) | where
    read = [name for name in where if name is not None]
    for name in read:
        is_missing |= frame[name].isna().to_numpy() & where[name]
    n_missing = int(is_missing.sum())
    if n_missing == 0:
        n_all = _situations(frame, columns, available)[1] if is_piece else 0
        return _Kept(available, n_left_out, n_situations=n_all)
    if columns.situation is None:
        raise DataError(
            f"{plural(n_missing, 'row')} of the one choice set {verb(n_missing, 'has', 'have')} a "
            "missing value, and missing='drop' would leave no data. Correct or drop those rows."
        )
    situation, n_all = _situations(frame, columns, available)
    is_incomplete = np.zeros(n_all, dtype=bool)
    is_incomplete[situation[is_missing[available]]] = True
    n_dropped = int(is_incomplete.sum())
    if n_dropped == n_all and not is_piece:
        advice = ""
        if columns.alternative is not None:
            codes, ids = codes_of(
                frame[columns.alternative], columns.alternative, np.flatnonzero(available)
            )
            advice = opt_out_advice(is_missing[available], codes, ids)
        raise _nothing_left(n_all, [choice.name, *read], advice)
    rows = available.copy()
    rows[available] = ~is_incomplete[situation]
    return _Kept(rows, n_left_out, n_dropped, n_all)


def _nothing_left(n_situations: int, read: Iterable[Hashable], advice: str = "") -> DataError:
    """Say that every situation has a missing value."""
    return DataError(
        f"Every one of the {plural(n_situations, 'choice situation')} has a missing value. Check "
        f"the columns {listed(read)}.{advice}"
    )


def _situations(
    frame: pd.DataFrame, columns: Columns, keep: np.ndarray | None = None
) -> tuple[np.ndarray, int]:
    """Number the situations of rows that are kept, individual by individual; and how many."""
    rows = None if keep is None or keep.all() else np.flatnonzero(keep)
    situation, ids = codes_of(frame[columns.situation], columns.situation, rows)
    if columns.individual is None:
        return situation, len(ids)
    person, _ = codes_of(frame[columns.individual], columns.individual, rows)
    codes, distinct = pd.factorize(situation + person * np.intp(len(ids)))
    return codes, len(distinct)


def _refuse_empty_situations(frame: pd.DataFrame, columns: Columns, available: np.ndarray) -> None:
    """Raise when no alternative of a situation is available."""
    if columns.situation is None:
        return
    has_id = frame[columns.situation].notna().to_numpy()
    if columns.individual is not None:
        has_id = has_id & frame[columns.individual].notna().to_numpy()
    if not has_id.any():  # which is refused where the ids are read
        return
    situation, n_all = _situations(frame, columns, has_id)
    n_available = np.bincount(situation, weights=available[has_id], minlength=n_all)
    n_empty = int((n_available == 0).sum())
    if n_empty:
        row = np.flatnonzero(has_id)[n_available[situation] == 0][0]
        raise DataError(
            f"{n_empty:,} of {plural(n_all, 'choice situation')} {verb(n_empty, 'has', 'have')} no "
            f"available alternative; the first is situation "
            f"{show(frame[columns.situation].iloc[row])}. Check column {columns.availability!r}, "
            "or drop those situations."
        )
