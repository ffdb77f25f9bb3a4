"""The right side of a choice formula, in one part or in three -> one learned design.

A logit sees differences within a situation alone. What does not vary there has no coefficient of
its own, but it shapes the coding of its interactions, as an intercept does: C(alt):income is coded
as if income stood beside it. A formula in three parts says the same without thinking of codings:
attributes | variables of the person | attributes with a coefficient for each alternative.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import patsy

from mixlogit.arrangement import Arrangement
from mixlogit.columns import is_plain
from mixlogit.design import Design, Pieces, columns_read, terms_of
from mixlogit.errors import (
    ArgumentError,
    DataError,
    FormulaError,
    IdentificationError,
    did_you_mean,
    listed,
    plural,
    shortened,
    verb,
)
from mixlogit.replay import Subterm, blocks_of, with_missing_row

__all__ = ["Alternatives", "Parts", "Sets", "Utility", "learn_utility", "refuse_varying"]

Sets = Callable[[], Iterator[tuple[pd.DataFrame, Arrangement]]]
"""Gives the table, or its pieces of whole situations, with their choice sets, at every call."""

CONSTANT = "(constant)"
"""What the constant of an alternative is called behind the alternative's name."""

_ROLE = "utility formula"
_PLACES = tuple(f"{place} part of the {_ROLE}" for place in ("first", "second", "third"))
_SHARED, _PERSON, _OWN = range(3)
_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|.""", re.DOTALL)
_RELATIVE = ", relative to the reference levels of categories."
_CLOSE = 1e-10  # relative: what rounding may do to a value that is computed in several rows


@dataclass(frozen=True)
class Alternatives:
    """What a formula in three parts needs besides the formula.

    Parameters
    ----------
    column : column name or None
        Of the alternatives.
    reference : hashable or None
        The alternative without constants and coefficients of the person; the first level if None.
    """

    column: Hashable | None = None
    reference: Hashable | None = None

    @property
    def code(self) -> str:
        """The column as a formula names it."""
        name = str(self.column)
        return name if is_plain(name) else f"Q({name!r})"


@dataclass(frozen=True)
class Parts:
    """The right side of a formula, cut at its bars.

    Parameters
    ----------
    texts : tuple of str
        One to three.
    """

    texts: tuple[str, ...]

    @classmethod
    def of(cls, right: str, alternatives: Alternatives) -> Parts:
        """Cut a right side at the bars that stand outside of brackets and quotes.

        Parameters
        ----------
        right : str
        alternatives : Alternatives

        Raises
        ------
        FormulaError
            A part is empty, or there are more than three.
        ArgumentError
            There are several parts and no column of alternatives, or one part and a reference.
        """
        if not isinstance(right, str):
            raise FormulaError(f"The formula must be a string, not {type(right).__name__}.")
        texts, depth = [""], 0
        for token in _TOKEN.findall(right):
            depth += (token in "([{") - (token in ")]}")
            if token == "|" and depth == 0:
                texts.append("")
            else:
                texts[-1] += token
        _check_parts(texts, right, alternatives)
        return cls(tuple(text.strip() for text in texts))

    @property
    def role(self) -> str:
        """What the first part is called in messages."""
        return _PLACES[_SHARED] if len(self.texts) > 1 else _ROLE

    def columns_read(
        self, data: pd.DataFrame, env: patsy.EvalEnvironment, alternatives: Alternatives
    ) -> tuple[str, ...]:
        """Columns of a table that the parts read, and that of the alternatives if they do."""
        if len(self.texts) == 1:
            return columns_read(self.texts[0], data, env=env, role=_ROLE)
        found = [str(alternatives.column)]
        for text, role in zip(self.texts, _PLACES, strict=False):
            found += columns_read(text, data, env=env, role=role)
        return tuple(dict.fromkeys(found))


def _check_parts(texts: Sequence[str], right: str, alternatives: Alternatives) -> None:
    """Raise unless the parts can be read with what comes with them."""
    if len(texts) == 1:
        if alternatives.reference is not None:
            raise ArgumentError(
                f"reference={alternatives.reference!r} names the reference alternative of a "
                f"formula in several parts, such as 'cost | income', and {right!r} has one. For "
                "constants written C(alt), write C(alt, Treatment('car'))."
            )
        return
    if len(texts) > 3:
        raise FormulaError(
            f"The right side {right!r} of the formula has {len(texts)} parts. It has three at "
            "most: attributes | variables of the person | attributes with a coefficient for each "
            "alternative. A bar within a term belongs in brackets: I(a | b)."
        )
    for text, role in zip(texts, _PLACES, strict=False):
        if not text.strip():
            raise FormulaError(
                f"The {role} {right!r} is empty. Write 0 for nothing; in the second part 1 stands "
                "for constants of the alternatives alone."
            )
    if alternatives.column is None:
        raise ArgumentError(
            f"The right side {right!r} of the formula has {len(texts)} parts, which give "
            "alternatives their own coefficients. Pass alternative=, the column that says which "
            "alternative a row is."
        )
    if not isinstance(alternatives.column, str):
        raise ArgumentError(
            f"The column of alternatives is called {alternatives.column!r}, and the parts of a "
            "formula read columns whose names are strings. Rename it."
        )


@dataclass(frozen=True, eq=False)
class Utility:
    """A right side that has been learned.

    Parameters
    ----------
    design : Design
        All parts.
    person : Design or None
        The variables of the person alone, which must not vary within situations.
    notes : tuple of str
        Which columns were left out, and why.
    """

    design: Design
    person: Design | None = None
    notes: tuple[str, ...] = ()


def learn_utility(
    right: str,
    pieces: Pieces,
    sets: Sets,
    env: patsy.EvalEnvironment,
    alternatives: Alternatives,
) -> Utility:
    """Learn the right side of a choice formula.

    Parameters
    ----------
    right : str
        ``attributes``, or ``attributes | person | own``.
    pieces : callable
        As in `Design.learn_pieces`.
    sets : callable
        The choice sets of the same rows. It is called where the formula has interactions or
        several parts.
    env : EvalEnvironment
    alternatives : Alternatives

    Returns
    -------
    Utility

    Raises
    ------
    DataError
        A variable of the person varies within a situation.
    IdentificationError
        A variable of another part varies within none.
    FormulaError
        The formula has no attributes, or two columns get the same name.
    ArgumentError
        The reference is no alternative, or as in `Parts.of`.
    """
    parts = Parts.of(right, alternatives)
    shared, notes = _learn_attributes(parts.texts[0], pieces, sets, env, parts.role)
    if len(parts.texts) == 1:
        return Utility(shared, None, notes)
    person = Design.learn_pieces(
        parts.texts[1], pieces, intercept="keep", env=env, role=_PLACES[_PERSON]
    )
    refuse_varying(person, sets)
    _refuse_constant(shared, sets, _SHARED)
    designs = [shared, person]
    if len(parts.texts) == 3:
        own, more = _learn_attributes(parts.texts[2], pieces, sets, env, _PLACES[_OWN])
        _refuse_constant(own, sets, _OWN)
        designs.append(own)
        notes += more
    by_alternative = Design.learn_pieces(
        f"0 + C({alternatives.code})",
        pieces,
        intercept="keep",
        env=patsy.EvalEnvironment([]),
        role=_ROLE,
    )
    return Utility(_joined(right, designs, by_alternative, alternatives.reference), person, notes)


def _joined(
    right: str, designs: Sequence[Design], by_alternative: Design, reference: Hashable | None
) -> Design:
    """One design of two or three parts: the second and third are products with alternatives."""
    (alternative,) = by_alternative._factors
    levels = alternative.levels
    assert levels is not None
    others = np.arange(len(levels)) != _place_of(reference, levels)
    indicators = [None, np.eye(len(levels))[:, others], np.eye(len(levels))]
    factors = [alternative]
    names: list[str] = []
    subterms: list[Subterm] = []
    for design, indicator in zip(designs, indicators, strict=False):
        whose = [] if indicator is None else [levels[i] for i in np.argmax(indicator, axis=0)]
        for subterm in design._subterms:
            pieces = tuple((len(factors) + i, contrasts) for i, contrasts in subterm.pieces)
            own = list(design.names[subterm.start : subterm.stop])
            if indicator is not None:
                coding = patsy.ContrastMatrix(indicator, [str(level) for level in whose])
                pieces = ((0, with_missing_row(coding)), *pieces)
                own = [CONSTANT] if len(pieces) == 1 else own
                own = [f"{level}:{name}" for name in own for level in whose]
            subterms.append(Subterm(len(names), len(names) + len(own), pieces))
            names += own
        factors += design._factors
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise FormulaError(
            f"Two columns of the {_ROLE} {right!r} are called {twice!r}. Rename the alternative or "
            "the column of the table."
        )
    columns = dict.fromkeys(c for d in (*designs, by_alternative) for c in d.columns)
    whole = tuple(
        replace(f, expression=replace(f.expression, where=f'the {_ROLE} "{right}"'))
        for f in factors
    )
    return Design(right, tuple(names), tuple(columns), _ROLE, whole, tuple(subterms))


def _place_of(reference: Hashable | None, levels: Sequence[Hashable]) -> int:
    """Position of the reference alternative; text may stand for a number, as on a command line."""
    if reference is None:
        return 0
    for known in (levels, [str(level) for level in levels]):
        if reference in known:
            return list(known).index(reference)
    raise ArgumentError(
        f"reference={reference!r} is no alternative.{did_you_mean(reference, levels)} The "
        f"alternatives are {listed(levels)}."
    )


# -- what varies within situations -----------------------------------------------------------------


def _differs(values: np.ndarray, arrangement: Arrangement) -> np.ndarray:
    """Where sorted rows (R, C) differ from the first row of their situation, (R, C) bool."""
    first = np.repeat(values[arrangement.situation_start[:-1]], arrangement.sizes, axis=0)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is found elsewhere
        return np.abs(values - first) > _CLOSE * np.maximum(np.abs(values), np.abs(first))


def refuse_varying(person: Design, sets: Sets) -> None:
    """Raise for a variable of the person that varies within a situation.

    Parameters
    ----------
    person : Design
        The second part of a formula.
    sets : callable
        As for `learn_utility`.

    Raises
    ------
    DataError
    """
    found: dict[str, tuple[int, str]] = {}
    n_situations = 0
    for frame, arrangement in sets():
        differs = _differs(person.matrix(frame, order=arrangement.order), arrangement)
        n_situations += arrangement.n_situations
        for column in np.flatnonzero(differs.any(axis=0)):
            varies = np.logical_or.reduceat(differs[:, column], arrangement.situation_start[:-1])
            first = arrangement.situation_label(int(np.argmax(varies)))
            count, place = found.get(person.names[column], (0, first))
            found[person.names[column]] = count + int(varies.sum()), place
    if found:
        name, (count, place) = next(iter(found.items()))
        raise DataError(
            f"{name!r}, in the {person.role} {person.formula!r}, varies within {count:,} of "
            f"{plural(n_situations, 'choice situation')}; the first is situation {place}. That "
            "part is for variables of the person, which are the same in all rows of a situation. "
            "Move it to the first part, for one coefficient, or to the third, for one by "
            "alternative, or correct its values."
        )


def _refuse_constant(design: Design, sets: Sets, part: int) -> None:
    """Raise for an attribute that does not vary within any situation."""
    varies = np.zeros(len(design.names), dtype=bool)
    first = None
    for frame, arrangement in sets():
        first = first or arrangement.situation_label(0)
        varies |= _differs(design.matrix(frame, order=arrangement.order), arrangement).any(axis=0)
    flat = [name for name, some in zip(design.names, varies, strict=True) if not some]
    if flat:
        raise IdentificationError(
            f"{listed(flat)}, in the {_PLACES[part]} {design.formula!r}, "
            f"{verb(len(flat), 'is', 'are')} constant within every choice situation, from the "
            f"first, situation {first}, on. That part is for attributes of the alternatives. Move "
            f"{verb(len(flat), 'it', 'them')} to the second part, for variables of the person."
        )


def _varying_factors(design: Design, codes: Collection[str], sets: Sets) -> frozenset[str]:
    """Which of some factors vary within a situation."""
    found = set()
    for frame, arrangement in sets():
        for factor in design._factors:
            expression = factor.expression
            if expression.code not in codes or expression.code in found:
                continue
            blocks = blocks_of(frame, expression.columns, arrangement.order)
            values = np.concatenate([factor.values(block) for _, block in blocks])
            if _differs(values.reshape(len(values), -1).astype(float), arrangement).any():
                found.add(expression.code)
    return frozenset(found)


def _learn_attributes(
    formula: str, pieces: Pieces, sets: Sets, env: patsy.EvalEnvironment, role: str
) -> tuple[Design, tuple[str, ...]]:
    """Learn attributes; what varies in interactions alone is absorbed as an intercept is."""

    def learned(absorbed: Collection[frozenset[str]]) -> Design:
        return Design.learn_pieces(
            formula, pieces, intercept="absorb", env=env, role=role, absorbed=absorbed
        )

    design = learned(())
    if all(len(subterm.pieces) < 2 for subterm in design._subterms):
        return design, ()
    terms = terms_of(formula, role)
    joint = {code for term in terms if len(term) > 1 for code in term}
    varying = _varying_factors(design, joint, sets)
    mixed = [term for term in terms if varying & {*term} and {*term} - varying]
    constant = [
        *(tuple(code for code in term if code not in varying) for term in mixed),
        *(t for t in terms if t and {*t} & joint == {*t} and not {*t} & varying),
    ]
    absorbed = dict.fromkeys(
        frozenset(t) for t in constant if any({*t} < {*other} for other in mixed)
    )
    coded = learned([*absorbed]) if absorbed else design
    if coded.names == design.names:
        return design, ()
    shown = [":".join(t) for t in constant if frozenset(t) in absorbed]
    note = _left_out(len(design.names) - len(coded.names), shown, [":".join(t) for t in mixed])
    return coded, (f"{note}{'.' if {*coded.names} < {*design.names} else _RELATIVE}",)


def _left_out(n_columns: int, constant: Sequence[str], mixed: Sequence[str]) -> str:
    """Say which columns of a formula have no coefficient, and where it lives on."""
    flat = list(dict.fromkeys(constant))
    return (
        f"{plural(n_columns, 'column')} of the formula left out, because {shortened(flat)} "
        f"{verb(len(flat), 'does', 'do')} not vary within any choice situation; "
        f"{verb(len(flat), 'its', 'their')} coefficients are those of {shortened(mixed)}"
    )
