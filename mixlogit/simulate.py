"""Simulated choices, for studies of the estimator and of designs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import patsy

from mixlogit.arguments import as_generator
from mixlogit.arrangement import Arrangement, arrange
from mixlogit.choices import ChoiceData
from mixlogit.class_sets import ClassSets
from mixlogit.columns import Columns, as_frame, require_column
from mixlogit.demand import row_probabilities
from mixlogit.entries import Entries
from mixlogit.errors import ArgumentError, DataError, listed, plural
from mixlogit.likelihood import Parameters
from mixlogit.membership import for_design
from mixlogit.utility import Alternatives, learn_utility

__all__ = ["redraw", "simulate_choices"]

_CELLS_PER_BLOCK = 2**18  # occasions x alternatives x classes that are drawn from at once


def simulate_choices(
    data: Any,
    class_params: Any,
    class_shares: Any = None,
    *,
    situation: str,
    individual: str | None = None,
    alternative: str | None = None,
    formula: str | None = None,
    reference: Any = None,
    name: str = "choice",
    class_name: str | None = None,
    offset: str | None = None,
    available_in: Any = None,
    rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Let individuals with latent classes choose from the choice sets of a table.

    Every individual draws a class, and then takes, in each situation, the alternative of the
    largest utility x'beta, and an offset if there is one, plus an error of the standard Gumbel
    distribution: the choices of a mixture of logits.

    Parameters
    ----------
    data : DataFrame
        One row per situation and available alternative.
    class_params : DataFrame, shape (L, K)
        Tastes: attributes (columns of ``data``, or of what ``formula`` makes of it) by classes, as
        in ``result.class_params``.
    class_shares : array_like, shape (K,), optional
        Class shares, in the order of the columns of ``class_params``; equal if None.
    situation : str
        Column of situations.
    individual : str, optional
        Column of individuals, who keep their class over their situations; every situation is by
        another individual if None.
    alternative : str, optional
        Column of alternatives. It is needed only to tell apart rows of a situation that have the
        same attributes, and for a formula in several parts.
    formula : str, optional
        Right side of a utility formula, as for `MixedMultinomialLogit.from_formula`, whose columns
        are the attributes: ``"cost | income"`` for tastes called cost, ``train:(constant)`` and
        ``train:income``.
    reference : hashable, optional
        The reference alternative of a formula in several parts.
    name : str
        Column of 0/1 to put the choices in.
    class_name : str, optional
        Column to put the drawn class in, 1 to K.
    offset : str, optional
        Column of what is added to the utility of each row, in all classes.
    available_in : dict of str to list or str, optional
        Classes that do not have all alternatives, as for `MixedMultinomialLogit`.
    rng : int, Generator or None
        Seed. The choices do not depend on the order of the rows: individuals draw in the order of
        their ids, and alternatives in that of theirs or, without ids, of their attributes.

    Returns
    -------
    DataFrame
        A copy of the table with the choices.

    Raises
    ------
    ColumnError, FormulaError
        A column is missing, or the formula cannot be read.
    DataError
        An attribute is not a number, or a utility is not finite.
    ArgumentError
        The tastes are not those of the formula; the shares are not probabilities, or do not fit
        the classes; the choices would overwrite a column that is read.

    Examples
    --------
    >>> import pandas as pd
    >>> from mixlogit import simulate_choices
    >>> sets = pd.DataFrame({"trip": [1, 1, 2, 2], "cost": [1.0, 4.0, 2.0, 3.0]})
    >>> tastes = pd.DataFrame({"class1": [-50.0]}, index=["cost"])
    >>> simulate_choices(sets, tastes, situation="trip")["choice"].tolist()
    [1, 0, 1, 0]
    """
    frame = as_frame(data)
    tastes = pd.DataFrame(class_params)
    attributes, n_classes = list(tastes.index), tastes.shape[1]
    if not tastes.size:
        raise ArgumentError(
            "class_params is empty. Give one row per attribute, one column a class."
        )
    columns = Columns(situation, individual, alternative, offset=offset)
    columns.check(frame)
    read = attributes
    if formula is None:
        for attribute in attributes:
            require_column(frame, attribute, "attribute ")
        exog = np.column_stack([_numbers(frame, attribute) for attribute in attributes])
    else:
        env = patsy.EvalEnvironment.capture(1)
        exog, read = _designed(frame, columns, formula, reference, attributes, env)
    _refuse_overwriting([name, class_name], [*vars(columns).values(), *read])
    shares = _probabilities(class_shares, n_classes)
    class_sets = ClassSets.of(available_in, n_classes)
    generator = as_generator(rng)

    ids = columns.ids(frame)
    added = np.zeros((len(frame), 1)) if offset is None else _numbers(frame, offset)[:, None]
    if alternative is None:  # any order will do that does not come from the rows
        ids["alternative"] = np.argsort(np.lexsort(np.hstack([added, exog]).T))
    arrangement = arrange(len(frame), **ids)
    barred = _barred(class_sets, frame, arrangement, alternative)
    order, sizes = arrangement.order, arrangement.sizes
    start = arrangement.situation_start[:-1]
    owner = arrangement.situation_owner
    if owner is None:
        owner = np.arange(arrangement.n_situations)
    classes = generator.choice(n_classes, size=int(owner.max()) + 1, p=shares)
    class_of_row = np.repeat(classes[owner], sizes)

    with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is refused
        by_class = exog[order] @ tastes.to_numpy(dtype=float) + added[order]  # (R, K)
        _refuse_infinite(by_class, arrangement)
        by_class += barred.T
        utility = by_class[np.arange(len(order)), class_of_row]
        # without the common part, in which errors of size one could drown
        utility -= np.repeat(np.maximum.reduceat(utility, start), sizes)
    utility += generator.gumbel(size=len(order))
    is_best = utility == np.repeat(np.maximum.reduceat(utility, start), sizes)

    out = frame.copy()
    for column, values in ((name, is_best), (class_name, class_of_row + 1)):
        if column is not None:
            drawn = np.empty(len(order), dtype=int)
            drawn[order] = values
            out[column] = drawn
    return out


def _designed(
    frame: pd.DataFrame,
    columns: Columns,
    formula: str,
    reference: Any,
    attributes: list[Any],
    env: patsy.EvalEnvironment,
) -> tuple[np.ndarray, list[Any]]:
    """Attributes (R, L) that a formula makes of a table, and the columns that it reads."""
    arrangement = arrange(len(frame), **columns.ids(frame))
    design = learn_utility(
        formula,
        lambda: iter([(frame, None)]),
        lambda: iter([(frame, arrangement)]),
        env,
        Alternatives(columns.alternative, reference),
    ).design
    if len(set(attributes)) < len(attributes) or set(attributes) != set(design.names):
        raise ArgumentError(
            f"class_params has rows for {listed(attributes)}, but the columns of the formula "
            f"{formula!r} are {listed(design.names)}. Give one row for each of these."
        )
    return design.matrix(frame)[:, [design.names.index(a) for a in attributes]], [*design.columns]


def _refuse_overwriting(new: list[str | None], read: list[Any]) -> None:
    """Raise if a new column has the name of one that is read, or both new ones the same."""
    for i, column in enumerate(new):
        if column is not None and column in [*read, *new[:i]]:
            raise ArgumentError(
                f"The column {column!r} cannot be overwritten, because it is also read or written "
                "as something else. Choose another name= or class_name=."
            )


def _barred(
    class_sets: ClassSets | None,
    frame: pd.DataFrame,
    arrangement: Arrangement,
    alternative: str | None,
) -> np.ndarray:
    """Minus infinity in rows that a class does not have, (K, R), and zero elsewhere."""
    if class_sets is None:
        return np.zeros((1, arrangement.n_rows))
    if alternative is None:
        arrangement = replace(arrangement, alternative_ids=None, alternative_codes=None)
    class_sets.require(arrangement)
    return class_sets.of_rows(frame, arrangement, None, np.float64)


def _probabilities(shares: Any, n_classes: int) -> np.ndarray:
    """Class shares as an array, equal ones if None."""
    if shares is None:
        return np.full(n_classes, 1 / n_classes)
    array = np.asarray(shares, dtype=float)
    if array.shape != (n_classes,):
        raise ArgumentError(
            f"class_shares has shape {array.shape}, but class_params has "
            f"{plural(n_classes, 'column')}. Give one share per class."
        )
    if not ((array >= 0).all() and abs(array.sum() - 1) < 1e-9):
        raise ArgumentError(
            f"class_shares must be at least 0 and add up to 1; they are "
            f"{', '.join(f'{share:g}' for share in array)} and add up to {array.sum():g}."
        )
    return array


def _numbers(frame: pd.DataFrame, attribute: Any) -> np.ndarray:
    """One attribute as floats."""
    try:
        return frame[attribute].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"Attribute {attribute!r} holds values that are not numbers ({error}). Code it in "
            "columns of numbers first."
        ) from error


def _refuse_infinite(by_class: np.ndarray, arrangement: Arrangement) -> None:
    """Raise at the first row with a utility (R, K) that is not finite."""
    bad = ~np.isfinite(by_class).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"The utility of {plural(int(bad.sum()), 'row')} is missing or infinite; the first is "
            f"row {arrangement.order[row]}, in situation {arrangement.situation_of(row)}. Correct "
            "the attributes there, or class_params."
        )


def redraw(choices: ChoiceData, parameters: Parameters, rng: np.random.Generator) -> ChoiceData:
    """Let the same individuals choose anew from the same choice sets.

    Every individual draws a class with its probabilities of membership, and then, in each of its
    situations, as many alternatives as it chose there. Identical individuals draw each for
    itself; those with a single choice stand together again where they choose the same.

    Parameters
    ----------
    choices : ChoiceData
    parameters : Parameters
        Of one mixture.
    rng : numpy.random.Generator

    Returns
    -------
    ChoiceData
        With the weights, covariates and ids of the individuals, in their order.
    """
    entries, n_classes = choices.entries, parameters.n_classes
    gate = for_design(choices.membership, choices.membership_names, 1.0)
    log_prior = gate.log_prior(parameters.gamma, slice(None)).T  # (N, K) or (1, K)
    prior = np.broadcast_to(np.exp(log_prior), (choices.n_distinct, n_classes))
    is_together = (entries.frequency > 1) & (choices.choices_per_individual == 1)
    group, group_size = _alike(choices, np.flatnonzero(is_together))
    times = np.where(is_together, 0, entries.frequency).astype(int)
    person = np.repeat(np.arange(choices.n_distinct), times)
    is_person = np.repeat([True, False], [len(person), len(group)])
    place = np.append(person, group)  # of who draws, among the distinct individuals
    by_place = np.argsort(place, kind="stable")
    place, is_person = place[by_place], is_person[by_place]
    size = np.append(np.ones(len(person)), group_size)[by_place]
    weight = prior[place]  # of the classes
    weight[is_person] = _drawn_classes(weight[is_person], rng)

    drawer, situation, number = _occasions(choices, place)
    number = number * size[drawer]
    drawn = _draw(choices, parameters.beta, situation, number, weight[drawer], rng)
    who, row, count = drawer[drawn[0]], drawn[1], drawn[2].astype(float)
    order = np.lexsort((row, who))
    who, row, count = who[order], row[order], count[order]

    # a person is one distinct individual, those of a group are as many as chose different rows
    begins = np.flatnonzero(~is_person[who] | (np.diff(who, prepend=-1) != 0))
    is_one = is_person[who]
    whose = place[who[begins]]
    arrangement = choices.arrangement
    if len(whose) != choices.n_distinct or (whose[1:] == whose[:-1]).any():
        arrangement = replace(arrangement, situation_owner=None, individual_ids=None)
    return ChoiceData(
        exog=choices.exog,
        exog_names=choices.exog_names,
        arrangement=arrangement,
        entries=Entries(
            row=row,
            count=np.where(is_one, count, 1.0),
            start=np.append(begins, len(row)),
            frequency=np.where(is_one, 1.0, count)[begins],
            ids=entries.ids[whose],
        ),
        weights=choices.weights[whose],
        membership=choices.membership[whose],
        membership_names=choices.membership_names,
        offset=choices.offset,
    )


def _alike(choices: ChoiceData, single: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group individuals with one choice by all but that choice: a member of each, and the sizes."""
    start = choices.arrangement.situation_start
    situation = np.searchsorted(start, choices.entries.row[choices.entries.start[single]], "right")
    key = np.column_stack([situation, choices.weights[single], choices.membership[single]])
    _, first, group = np.unique(key, axis=0, return_index=True, return_inverse=True)
    size = np.bincount(group.ravel(), weights=choices.entries.frequency[single])
    return single[first], size


def _drawn_classes(prior: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a class with each row of probabilities: 1 for it, 0 for the others, (n, K)."""
    below = np.cumsum(prior[:, :-1], axis=1)
    drawn = (rng.random(len(prior))[:, None] >= below).sum(axis=1)
    return (drawn[:, None] == np.arange(prior.shape[1])).astype(float)


def _occasions(choices: ChoiceData, place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who chooses in which situation how often, for distinct individuals at these places."""
    entries = choices.entries
    owner = np.repeat(np.arange(choices.n_distinct), np.diff(entries.start))
    start = choices.arrangement.situation_start
    situation = np.searchsorted(start, entries.row, side="right") - 1
    is_new = (np.diff(owner, prepend=-1) != 0) | (np.diff(situation, prepend=-1) != 0)
    first = np.flatnonzero(is_new)
    number = np.add.reduceat(entries.count, first)
    begin = np.searchsorted(owner[first], np.arange(choices.n_distinct + 1))
    length = np.diff(begin)[place]
    drawer = np.repeat(np.arange(len(place)), length)
    within = np.arange(len(drawer)) - np.repeat(np.cumsum(length) - length, length)
    at = np.repeat(begin[place], length) + within
    return drawer, situation[first][at], number[at]


def _draw(
    choices: ChoiceData,
    beta: np.ndarray,
    situation: np.ndarray,
    number: np.ndarray,
    weight: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw from mixtures of logits, on O occasions.

    Parameters
    ----------
    choices : ChoiceData
    beta : ndarray, shape (K, L)
    situation : ndarray of int, shape (O,)
    number : ndarray, shape (O,)
        How many choices.
    weight : ndarray, shape (O, K)
        Probabilities of the classes, anew for every choice.
    rng : numpy.random.Generator

    Returns
    -------
    occasion, row, count : ndarray of int
        One entry for every row that was chosen on an occasion.
    """
    start = choices.arrangement.situation_start
    prob = row_probabilities(choices.exog, start, beta, choices.offset)  # (R, K)
    sizes = choices.arrangement.sizes[situation]
    found = []
    for size in np.unique(sizes):
        same = np.flatnonzero(sizes == size)
        at_once = max(_CELLS_PER_BLOCK // (int(size) * len(beta)), 1)
        for i in range(0, len(same), at_once):
            occasion = same[i : i + at_once]
            first = start[situation[occasion]]
            rows = first[:, None] + np.arange(size)
            mixed = np.einsum("ojk,ok->oj", prob[rows], weight[occasion])
            counts = rng.multinomial(number[occasion].astype(np.int64), mixed)
            o, j = np.nonzero(counts)
            found.append((occasion[o], first[o] + j, counts[o, j]))
    occasion, row, count = (np.concatenate(part) for part in zip(*found, strict=True))
    return occasion, row, count
