"""From a wide table (one row per choice situation) to a long one (one row per alternative)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from mixlogit.arguments import is_iterable
from mixlogit.columns import native
from mixlogit.errors import (
    ArgumentError,
    ColumnError,
    DataError,
    close_matches,
    listed,
    plural,
    show,
    verb,
)

ALTERNATIVE = "alternative"
CHOICE = "choice"
SITUATION = "situation"

_BoolArray = npt.NDArray[np.bool_]
_IntArray = npt.NDArray[np.intp]


class _Alternatives(NamedTuple):
    """The values of the choice column, and the names they stand for, in the same order."""

    codes: list[Hashable]
    names: list[Hashable]


def from_wide(
    data: pd.DataFrame,
    *,
    alternatives: Mapping[Any, Hashable] | Sequence[Hashable],
    choice: Hashable,
    varying: Mapping[str, Mapping[Any, Any]],
    availability: Mapping[Any, Hashable | None] | None = None,
    situation: Hashable | None = None,
    individual: Hashable | None = None,
) -> pd.DataFrame:
    """Reshape one row per choice situation into one row per situation and available alternative.

    Parameters
    ----------
    data : DataFrame
        The wide table, n rows. It is not modified, and its index is not used.
    alternatives : mapping or sequence
        The alternatives, in the order their rows are to have. A mapping takes the value found in
        the choice column to the name of the alternative, ``{1: "train", 2: "sm", 3: "car"}``; with
        a sequence of names, the choice column holds the names themselves.
    choice : column name
        The column with the chosen alternative.
    varying : mapping
        The attributes: name of the new column → (name of the alternative → where its values are).
        A column name takes that column; a number is that constant; None, or an alternative left
        out, is 0. So ``{"car": {"car": 1}}`` makes an alternative-specific constant. Columns that
        are not numeric are accepted where every alternative names one.
    availability : mapping, optional
        Name of the alternative → column of 0/1 or booleans. An alternative that is left out, or
        None, is always available. Rows of unavailable alternatives do not appear in the result.
    situation : column name, optional
        The column with the ids of the situations, all different. Without it, the new column
        ``"situation"`` holds the row number 0..n−1.
    individual : column name, optional
        The column that says who chose. It is checked to exist and kept, as any other column.

    Returns
    -------
    DataFrame
        One row per situation and available alternative. The situations stay in the order of the
        table, the alternatives in the order given; the index is fresh. The columns are the
        situation, ``"alternative"``, ``"choice"`` (1 for the chosen row, else 0), the attributes,
        and then all columns of the wide table that `choice`, `varying` and `availability` did not
        use, in their order.

    Raises
    ------
    ColumnError
        If a column that was asked for is not in the table.
    DataError
        If a choice is not one of the alternatives or not available, an attribute of an available
        alternative is missing, an availability is not 0 or 1, a situation id is missing or occurs
        twice, or a column of the table has a name that the result needs.
    ArgumentError
        If the arguments do not fit together: unknown or repeated alternatives, reserved names.

    Examples
    --------
    >>> import pandas as pd
    >>> from mixlogit import from_wide
    >>> wide = pd.DataFrame(
    ...     {"who": [7, 8], "mode": [1, 2], "bus_min": [30, 45], "car_min": [20, 25], "own": [1, 1]}
    ... )
    >>> from_wide(
    ...     wide,
    ...     alternatives={1: "bus", 2: "car"},
    ...     choice="mode",
    ...     varying={"minutes": {"bus": "bus_min", "car": "car_min"}},
    ...     availability={"car": "own"},
    ...     individual="who",
    ... )
       situation alternative  choice  minutes  who
    0          0         bus       1       30    7
    1          0         car       0       20    7
    2          1         bus       0       45    8
    3          1         car       1       25    8
    """
    _check_table(data)
    data = native(data)
    options = _read_alternatives(alternatives)
    _check_mappings(varying, availability, options.names)
    columns_of = _columns_asked_for(choice, varying, availability, situation, individual)
    _check_columns_exist(data, columns_of)
    carried = _carried_columns(data, choice, varying, availability, situation, individual)
    _check_names(carried, varying, situation)

    ids = _situation_ids(data, situation)
    available = _availability(data, availability or {}, options.names, ids)  # (n, A)
    chosen = _chosen(data[choice], options, available, ids)  # (n,)

    row, alternative = np.nonzero(available)  # situations in order, alternatives in order
    long: dict[Hashable, Any] = {
        ids.name: ids.take(row),
        ALTERNATIVE: pd.Index(options.names, tupleize_cols=False).take(alternative),
        CHOICE: (chosen[row] == alternative).astype(np.int64),
    }
    position = alternative * len(data) + row
    for name, sources in varying.items():
        stacked = _stack(data, name, sources, options.names, available, ids)  # (A * n,)
        long[name] = stacked.take(position).array
    frame = pd.DataFrame(long)
    rest = data[carried].take(row).set_axis(frame.index)
    return pd.concat([frame, rest], axis=1)


# --- the arguments ------------------------------------------------------------------------------


def _check_table(data: pd.DataFrame) -> None:
    """Refuse what is not a table with rows and columns of different names."""
    if not isinstance(data, pd.DataFrame):
        raise ArgumentError(
            f"`data` is a {type(data).__name__}, not a pandas DataFrame. Pass a DataFrame with "
            "one row per choice situation."
        )
    if len(data) == 0:
        raise DataError(
            "The wide table has no rows, so there are no choices. Check how it was read or "
            "filtered."
        )
    if isinstance(data.columns, pd.MultiIndex):
        raise DataError(
            f"The columns of the wide table have {data.columns.nlevels} levels; the first is "
            f"{data.columns[0]!r}. Give each column one name."
        )
    repeated = data.columns[data.columns.duplicated()].unique()
    if len(repeated):
        raise DataError(
            f"{plural(len(repeated), 'column name')} of the wide table "
            f"{verb(len(repeated), 'occurs', 'occur')} more than once; the first is "
            f"{repeated[0]!r}. Rename the columns so that each name occurs once."
        )


def _read_alternatives(
    alternatives: Mapping[Any, Hashable] | Sequence[Hashable],
) -> _Alternatives:
    """Codes and names from either form of the argument."""
    unordered = isinstance(alternatives, (str, bytes, Set))
    if unordered or not is_iterable(alternatives):
        raise ArgumentError(
            f"`alternatives` is {alternatives!r}. Pass a mapping such as "
            "{1: 'train', 2: 'car'} from the value in the choice column to the name, or a list of "
            "names."
        )
    codes = list(alternatives)
    names = list(alternatives.values()) if isinstance(alternatives, Mapping) else list(codes)
    if not names:
        raise ArgumentError("`alternatives` is empty. Name at least one alternative.")
    for name in (*codes, *names):
        if not _is_hashable(name):
            raise ArgumentError(
                f"`alternatives` has {name!r}, which is no name. Use strings or numbers."
            )
    repeated = [name for place, name in enumerate(names) if name in names[:place]]
    if repeated:
        raise ArgumentError(
            f"{plural(len(repeated), 'name')} in `alternatives` "
            f"{verb(len(repeated), 'repeats an earlier one', 'repeat earlier ones')}; the first "
            f"is {repeated[0]!r}. Give each alternative one name; recode the choice column if two "
            "values mean the same alternative."
        )
    return _Alternatives(codes, names)


def _is_hashable(value: Any) -> bool:
    """Whether a value, and all that is in it, can be a label."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _check_mappings(
    varying: Mapping[str, Mapping[Any, Any]],
    availability: Mapping[Any, Hashable | None] | None,
    names: list[Hashable],
) -> None:
    """Refuse mappings of the wrong shape or with alternatives that do not exist."""
    if not isinstance(varying, Mapping):
        raise ArgumentError(
            f"`varying` is a {type(varying).__name__}, not a mapping. Pass, for example, "
            "{'cost': {'train': 'TRAIN_CO', 'car': 'CAR_CO'}}."
        )
    for name, sources in varying.items():
        if not isinstance(sources, Mapping):
            raise ArgumentError(
                f"varying[{name!r}] is {sources!r}, not a mapping from alternative to column. "
                f"Pass, for example, {{{names[0]!r}: {sources!r}}}."
            )
        _check_known(sources, names, f"varying[{name!r}]")
        for alternative, source in sources.items():
            if isinstance(source, Real) and not np.isfinite(float(source)):
                raise ArgumentError(
                    f"varying[{name!r}][{alternative!r}] is the constant {source!r}. Pass a "
                    "finite number, a column name, or None for 0."
                )
    if availability is None:
        return
    if not isinstance(availability, Mapping):
        raise ArgumentError(
            f"`availability` is {availability!r}, not a mapping from alternative to column. Pass, "
            f"for example, {{{names[-1]!r}: 'column of 0 and 1'}}."
        )
    _check_known(availability, names, "availability")


def _check_known(mapping: Mapping[Any, Any], names: list[Hashable], where: str) -> None:
    """Refuse keys that are not alternatives."""
    unknown = [key for key in mapping if key not in names]
    if unknown:
        raise ArgumentError(
            f"{plural(len(unknown), 'key')} of {where} "
            f"{verb(len(unknown), 'is', 'are')} not among the alternatives; the first is "
            f"{unknown[0]!r}{_close(unknown[0], names)}. The alternatives are "
            f"{listed(names)}; use these names."
        )


def _is_column(source: Any) -> bool:
    """Whether an entry of `varying` names a column, rather than a constant or nothing."""
    return source is not None and not isinstance(source, (Real, np.bool_))


def _columns_asked_for(
    choice: Hashable,
    varying: Mapping[str, Mapping[Any, Any]],
    availability: Mapping[Any, Hashable | None] | None,
    situation: Hashable | None,
    individual: Hashable | None,
) -> dict[str, Hashable]:
    """Every column that an argument names: the argument, as the user would write it → column."""
    asked: dict[str, Hashable] = {"choice": choice}
    if situation is not None:
        asked["situation"] = situation
    if individual is not None:
        asked["individual"] = individual
    for name, sources in varying.items():
        for alternative, source in sources.items():
            if _is_column(source):
                asked[f"varying[{name!r}][{alternative!r}]"] = source
    for alternative, column in (availability or {}).items():
        if column is not None:
            asked[f"availability[{alternative!r}]"] = column
    return asked


def _check_columns_exist(data: pd.DataFrame, asked: Mapping[str, Hashable]) -> None:
    """Refuse columns that the table does not have."""
    for where, column in asked.items():
        if not _is_hashable(column):
            raise ArgumentError(f"{where} is {column!r}. Pass the name of one column.")
    missing = {where: column for where, column in asked.items() if column not in data.columns}
    if missing:
        where, column = next(iter(missing.items()))
        n_missing = len(set(missing.values()))
        raise ColumnError(
            f"{plural(n_missing, 'column')} asked for "
            f"{verb(n_missing, 'is', 'are')} not in the table; the first is {column!r}, asked "
            f"for by {where}{_close(column, data.columns)}. Check the spelling against "
            "data.columns, or make the column first."
        )


def _carried_columns(
    data: pd.DataFrame,
    choice: Hashable,
    varying: Mapping[str, Mapping[Any, Any]],
    availability: Mapping[Any, Hashable | None] | None,
    situation: Hashable | None,
    individual: Hashable | None,
) -> list[Hashable]:
    """The columns of the wide table that are repeated over the alternatives."""
    sources = [source for row in varying.values() for source in row.values()]
    used = {choice, *filter(_is_column, sources), *(availability or {}).values()}
    used -= {individual}  # who chose is kept, whatever else the column serves for
    used |= {situation}  # stands first
    return [column for column in data.columns if column not in used]


def _check_names(
    carried: list[Hashable], varying: Mapping[str, Mapping[Any, Any]], situation: Hashable | None
) -> None:
    """Refuse a result with two columns of one name."""
    reserved: dict[Hashable, str] = {ALTERNATIVE: "the alternatives", CHOICE: "the choices"}
    first = SITUATION if situation is None else situation
    if first in reserved:
        raise ArgumentError(
            f"The situation column is called {first!r}, and so is the new column of "
            f"{reserved[first]}. Rename it in the wide table."
        )
    reserved[first] = "the situations"
    for name in varying:
        if name in reserved:
            raise ArgumentError(
                f"`varying` makes a column {name!r}, and so is the column of {reserved[name]} "
                "called. Give the attribute another name."
            )
    taken = reserved | {name: f"varying[{name!r}]" for name in varying}
    clashes = [column for column in carried if column in taken]
    if clashes:
        remedy = "Rename or drop it in the wide table"
        if clashes[0] == SITUATION and situation is None:
            remedy = f"Pass situation={SITUATION!r} if it holds the ids, or rename it"
        elif clashes[0] in varying:
            remedy += ", or give the attribute another name"
        raise DataError(
            f"{plural(len(clashes), 'column')} of the wide table "
            f"{verb(len(clashes), 'has a name', 'have names')} that the long table needs for a "
            f"new column; the first is {clashes[0]!r}, needed for {taken[clashes[0]]}. {remedy}."
        )


# --- the values ---------------------------------------------------------------------------------


def _situation_ids(data: pd.DataFrame, situation: Hashable | None) -> pd.Index:
    """The ids of the situations, (n,), all there and all different."""
    if situation is None:
        return pd.RangeIndex(len(data), name=SITUATION)
    ids = pd.Index(data[situation], name=situation)
    missing = np.flatnonzero(ids.isna())
    if missing.size:
        raise DataError(
            f"{missing.size:,} of {len(ids):,} rows have no situation id in column "
            f"{situation!r}; the first is row {missing[0]} (counted from 0). Fill in the ids, or "
            "leave out `situation` to number the rows."
        )
    repeated = np.flatnonzero(ids.duplicated())
    if repeated.size:
        rows = np.flatnonzero(ids == ids[repeated[0]])
        raise DataError(
            f"{repeated.size:,} of {len(ids):,} rows repeat a situation id of column "
            f"{situation!r}; the first is {show(data[situation].iloc[rows[0]])}, in rows {rows[0]} "
            f"and {rows[1]} (counted from 0). A wide table has one row per situation: make the "
            "ids unique, or leave out `situation` to number the rows."
        )
    return ids


def _place(ids: pd.Index, row: int) -> str:
    """How to name a row of the wide table to the user."""
    if isinstance(ids, pd.RangeIndex):
        return f"row {row} (counted from 0)"
    return f"situation {ids[row]} (column {ids.name!r})"


def _availability(
    data: pd.DataFrame,
    availability: Mapping[Any, Hashable | None],
    names: list[Hashable],
    ids: pd.Index,
) -> _BoolArray:
    """Which alternative is available in which situation, (n, A)."""
    available = np.ones((len(data), len(names)), dtype=bool)
    for place, name in enumerate(names):
        column = availability.get(name)
        if column is None:
            continue
        values = data[column]
        wrong = np.flatnonzero(~values.isin([0, 1]).to_numpy(dtype=bool))
        if wrong.size:
            raise DataError(
                f"{wrong.size:,} of {len(data):,} values of column {column!r}, the availability "
                f"of {name!r}, are not 0, 1, True or False; the first is "
                f"{show(values.iloc[wrong[0]])} in {_place(ids, wrong[0])}. Recode the column to 0 "
                "and 1."
            )
        available[:, place] = (values == 1).to_numpy(dtype=bool)
    return available


def _chosen(
    values: pd.Series, options: _Alternatives, available: _BoolArray, ids: pd.Index
) -> _IntArray:
    """The place of the chosen alternative among the alternatives, (n,)."""
    codes = pd.Index(options.codes, tupleize_cols=False)
    try:
        found = pd.Index(values.astype(object), tupleize_cols=False).infer_objects()
        chosen = codes.get_indexer(found)
    except TypeError as error:
        raise DataError(
            f"The choice column {values.name!r} holds values that cannot be names ({error}). Use "
            "those of `alternatives`."
        ) from error
    unknown = np.flatnonzero(chosen < 0)
    if unknown.size:
        known = repr(options.codes) if len(options.codes) <= 10 else "list(alternatives)"
        raise DataError(
            f"{unknown.size:,} of {len(values):,} rows have a value in the choice column "
            f"{values.name!r} that is not one of the alternatives ({listed(options.codes)}); the "
            f"first is {show(values.iloc[unknown[0]])} in {_place(ids, unknown[0])}. Drop those "
            f"rows first, with data[data[{values.name!r}].isin({known})], or add what is "
            "missing to `alternatives`."
        )
    impossible = np.flatnonzero(~available[np.arange(len(values)), chosen])
    if impossible.size:
        first = impossible[0]
        raise DataError(
            f"{impossible.size:,} of {len(values):,} choices in column {values.name!r} are of an "
            f"alternative that is not available; the first is {options.names[chosen[first]]!r} in "
            f"{_place(ids, first)}. Correct the availability column, or drop those rows."
        )
    return chosen


def _stack(
    data: pd.DataFrame,
    name: str,
    sources: Mapping[Any, Any],
    names: list[Hashable],
    available: _BoolArray,
    ids: pd.Index,
) -> pd.Series:
    """One attribute, the alternatives one below the other, (A * n,)."""
    parts = []
    for place, alternative in enumerate(names):
        source = sources.get(alternative)
        if not _is_column(source):
            constant = 0 if source is None else source
            parts.append(pd.Series(np.full(len(data), constant)))
            continue
        values = data[source]
        missing = np.flatnonzero(values.isna().to_numpy(dtype=bool) & available[:, place])
        if missing.size:
            raise DataError(
                f"{missing.size:,} of {int(available[:, place].sum()):,} values of column "
                f"{source!r}, {name!r} of {alternative!r}, are missing although {alternative!r} "
                f"is available; the first is in {_place(ids, missing[0])}. Fill in the values, "
                f"drop those rows, or mark {alternative!r} as unavailable there."
            )
        parts.append(values)
    textual = [part for part in parts if not is_numeric_dtype(part.dtype)]
    if 0 < len(textual) < len(parts):
        raise DataError(
            f"{plural(len(textual), 'column')} of varying[{name!r}] "
            f"{verb(len(textual), 'is', 'are')} not numeric while other alternatives have "
            f"numbers; the first is {textual[0].name!r}, with {show(textual[0].iloc[0])} in "
            f"{_place(ids, 0)}. Convert it with pandas.to_numeric, or name a column of the same "
            "kind for every alternative."
        )
    # pandas makes objects of booleans next to numbers
    parts = [part.astype(np.int64) if is_bool_dtype(part.dtype) else part for part in parts]
    return pd.concat(parts, ignore_index=True)


def _close(wrong: Hashable, known: Iterable[Hashable]) -> str:
    """A parenthesis with the closest names, or nothing."""
    close = close_matches(wrong, known)
    return f" (close matches: {listed(close)})" if close else ""
