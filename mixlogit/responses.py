"""How predicted shares respond: elasticities and marginal effects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixlogit.arguments import is_iterable
from mixlogit.attributes import ShiftedRows, blocks_of_rows
from mixlogit.columns import as_frame
from mixlogit.demand import (
    ClassSums,
    Market,
    Slope,
    alternative_mass,
    class_mass,
    response_mass,
    segment_ratio,
    shares_of_alternatives,
    shares_response,
)
from mixlogit.errors import ArgumentError, did_you_mean, listed, show
from mixlogit.forecasts import ForecastResults
from mixlogit.postestimation import delta_errors, estimate_columns
from mixlogit.slopes import design_slope, is_a_number, numbers_in

if TYPE_CHECKING:
    from mixlogit.formula import ChoiceSets

__all__ = ["ResponseResults"]

_MOST_ALTERNATIVES = 30
_EFFECT = "dy/dx"


@dataclass(frozen=True, eq=False)
class _Variable:
    """A variable that shares respond to.

    Either one column of the design, or a column of a table with all that reads it.
    """

    name: str
    column: int | None  # of the design
    frame: pd.DataFrame | None
    is_of_person: bool  # the same in all rows of a situation


@dataclass(frozen=True, eq=False)
class _Question:
    """What moves in which market, and the alternatives whose shares are looked at."""

    variable: _Variable
    sets: ChoiceSets
    market: Market
    wanted: np.ndarray  # codes of the alternatives
    labels: pd.Index  # and their ids


class ResponseResults(ForecastResults):
    """Methods of results about how shares respond."""

    def elasticities(
        self,
        attribute: str,
        data: Any = None,
        alpha: float = 0.05,
        *,
        alternatives: Iterable[Any] | None = None,
        history: Any = None,
        **ids: Any,
    ) -> pd.DataFrame:
        """Point elasticities of market shares: direct and cross, or by a variable of the person.

        The per cent by which the share of one alternative changes when the attribute of another,
        or its own, grows by one per cent in all situations: a mean over the situations, weighted
        by the probability that the alternative is chosen there (sample enumeration).

        A variable that is the same in all rows of each situation, such as income, grows in all of
        them at once: the total elasticity, through all columns of the utility design that read
        it and through the membership of the classes. It is that of the shares in `market_shares`,
        within a class too.

        Parameters
        ----------
        attribute : str
            A name in ``exog_names``; or a numeric column of the table that the utility formula or
            the membership formula reads. All columns of the designs that depend on it then move
            together, as in ``I(cost / 100)``, ``C(alt):time`` or ``bs(cost, df=4)``. Their slopes
            are differences of the design at 1 ± h times the column, h = 2**-17, one-sided where
            a B-spline ends: exact to about 1e-11.
        data : DataFrame or array_like, optional
            As for `market_shares`, with the same weights.
        alpha : float
            One minus the confidence level.
        alternatives : iterable, optional
            Ids of those that the table is wanted for, at most 30; all by default.
        history : None, "fitted" or DataFrame
            As for `market_shares`. Classes then stay as the history tells, whatever a variable of
            the person does.
        **ids
            ``situation``, ``alternative`` and others, for a model built from arrays.

        Returns
        -------
        DataFrame
            One row per segment ("market", "class1", ...), alternative whose share changes
            (``share_of``) and alternative whose attribute changes (``change_in``; not there for a
            variable of the person): "elasticity", "std err" by the delta method, and limits. 0
            with error 0 where the attribute is 0 in all rows of an alternative; nan where a share
            is 0, which has no relative change.

        Raises
        ------
        ArgumentError
            There are no ids of alternatives or too many of them, the attribute is not known or
            not numeric, or the table is needed and not at hand.
        """
        asked = self._question("attribute", attribute, data, alternatives, history, ids)
        if asked.variable.is_of_person:
            value, gradient = self._total_elasticities(asked)
        else:
            slope = self._slope(asked, in_proportion=True)
            mass = alternative_mass(asked.market, self._parameters, asked.wanted).repeated()
            response = response_mass(asked.market, self._parameters, slope, asked.wanted)
            value, gradient = self._ratios(response, mass, asked.market)
        return self._table_of("elasticity", value, gradient, asked.labels, alpha)

    def marginal_effects(
        self,
        variable: str,
        data: Any = None,
        alpha: float = 0.05,
        *,
        alternatives: Iterable[Any] | None = None,
        history: Any = None,
        **ids: Any,
    ) -> pd.DataFrame:
        """Average marginal effects on the choice probabilities of the alternatives.

        The derivative of the probability of an alternative by a variable, averaged over all
        situations, with the weights of `market_shares`. For a variable of 0 and 1 it is the
        change of the probability from 0 to 1, and for categories that from the first level to
        each other one, whatever stands in the data.

        Parameters
        ----------
        variable : str
            As for `elasticities`; or a categorical column that a formula reads.
        data, alpha, alternatives, history, **ids
            As for `elasticities`.

        Returns
        -------
        DataFrame
            One row per segment ("market", "class1", ...), alternative whose probability changes
            (``share_of``), and alternative whose attribute changes (``change_in``); the latter is
            not there for a variable that is the same in all rows of each situation, which changes
            in all of them. For categories, below the level that the change leads to (``level``).
            Columns "dy/dx", in probability per unit of the variable, "std err" by the delta
            method, and limits. Within a segment the effects of one change sum to zero.

        Raises
        ------
        ArgumentError
            As for `elasticities`; or a variable has one level alone.
        """
        asked = self._question("variable", variable, data, alternatives, history, ids)
        levels = self._levels_of(asked)
        if levels is not None:
            tables = {level: self._discrete(asked, (levels[0], level)) for level in levels[1:]}
            shown = {
                level: self._table_of(_EFFECT, *found, asked.labels, alpha)
                for level, found in tables.items()
            }
            is_binary = list(levels) == [0, 1]
            return shown[1] if is_binary else pd.concat(shown, names=["level"])
        market, parameters = asked.market, self._parameters
        slope = self._slope(asked, in_proportion=False)
        if asked.variable.is_of_person:
            z_slope = self._z_slope(asked, in_proportion=False)
            found = shares_response(
                market, parameters, slope, z_slope, asked.wanted, self._segments
            )
        else:
            response = response_mass(market, parameters, slope, asked.wanted)
            found = self._ratios(response, class_mass(market, parameters), market)
        return self._table_of(_EFFECT, *found, asked.labels, alpha)

    # -- variables -----------------------------------------------------------------------------

    def _question(
        self,
        role: str,
        name: Any,
        data: Any,
        alternatives: Iterable[Any] | None,
        history: Any,
        ids: Mapping[str, Any],
    ) -> _Question:
        """Read what was asked: a variable, in the fitted or new choice sets, and alternatives."""
        sets = self.model.choice_sets(data, **ids)
        labels = self._alternatives(sets)
        variable = self._variable(role, name, data, sets)
        wanted = self._wanted(alternatives, labels)
        market = self._market(sets, labels, history)
        return _Question(variable, sets, market, wanted, labels[wanted])

    def _variable(self, role: str, name: Any, data: Any, sets: ChoiceSets) -> _Variable:
        """Find a variable among the columns of the design and those that the formulas read."""
        names, spec = list(self.model.choices.exog_names), self.model.spec
        design, gate = spec.utility, spec.membership
        read = dict.fromkeys([*design.columns, *(() if gate is None else gate.columns)])
        is_name = isinstance(name, str)
        is_read = is_name and name in read
        moved = design.names_reading(name) if is_read else ()
        is_in_gate = is_read and gate is not None and name in gate.columns
        if is_name and name in names and moved in ((), (name,)) and not is_in_gate:
            return _Variable(name, names.index(name), None, is_of_person=False)
        if not is_read:
            raise ArgumentError(
                f"{role}={name!r} is no column of the design, and no column of the table that the "
                f"formulas read.{did_you_mean(name, [*names, *read])} The design has "
                f"{listed(names)}; the formulas read {listed(read)}."
            )
        if name == spec.columns.offset:
            raise ArgumentError(
                f"The column {name!r} is also the offset, which would have to grow with it. "
                "Give the offset a column of its own to hold it fixed."
            )
        frame = self.model.fitted_frame() if data is None else as_frame(data)
        if name not in frame.columns:
            raise ArgumentError(
                f"{role}={name!r} is a column of the table of choices, which is not at hand: the "
                "shares can be moved by columns of the table of alternatives alone."
            )
        column = _in_order(frame[name], sets)
        same = is_in_gate or _is_constant(column, sets.arrangement.situation_start)
        return _Variable(name, None, frame, is_of_person=same)

    def _slope(self, asked: _Question, *, in_proportion: bool) -> Slope:
        """How the utility design moves with a variable, by its unit or in proportion."""
        variable, sets = asked.variable, asked.sets
        if variable.frame is None:
            assert variable.column is not None
            column = [variable.column]
            own = np.concatenate([exog[:, column] for _, exog in blocks_of_rows(sets.exog)])
            return Slope(np.array(column), own if in_proportion else np.ones_like(own))
        design, order = self.model.spec.utility, sets.arrangement.permutation
        if variable.name not in design.columns:
            return Slope(np.empty(0, dtype=np.intp), np.empty((len(sets.exog), 0)))
        found = design_slope(design, variable.frame, variable.name, order)
        unit = _unit(_in_order(variable.frame[variable.name], sets), in_proportion)
        return Slope(found.columns, found.values * unit)

    def _z_slope(self, asked: _Question, *, in_proportion: bool) -> np.ndarray:
        """How the membership covariates move with a variable of the person, (N, Q)."""
        gate, name = self.model.spec.membership, asked.variable.name
        zeros = np.zeros_like(asked.market.z)
        if gate is None or name not in gate.columns or asked.market.history is not None:
            return zeros
        people, place = self._persons(asked)
        found = design_slope(gate, people, name).whole(zeros.shape[1])
        return (found * _unit(people[name], in_proportion))[place]

    def _persons(self, asked: _Question) -> tuple[pd.DataFrame, np.ndarray]:
        """Who chooses, and whose each row of the market's covariates is."""
        entries = self.model.choices.entries if asked.sets.membership is None else None
        arrangement = asked.sets.arrangement
        return self.model.spec.people_of(asked.variable.frame, arrangement, entries)

    def _levels_of(self, asked: _Question) -> Sequence[Any] | None:
        """Values between which a variable jumps; None for one that moves by little."""
        variable, sets = asked.variable, asked.sets
        if variable.frame is None:
            assert variable.column is not None
            own = [x[:, variable.column] for _, x in blocks_of_rows(sets.exog)]
            return (0, 1) if _is_binary(np.concatenate(own)) else None
        column = _in_order(variable.frame[variable.name], sets)
        levels = self._categories(variable.name, column)
        if levels is None:
            return (0, 1) if _is_binary(numbers_in(column)) else None
        if len(levels) < 2:
            raise ArgumentError(
                f"variable={variable.name!r} has the value {show(levels[0])} alone, and there is "
                "no other to change to."
            )
        return levels

    def _categories(self, name: str, column: pd.Series) -> Sequence[Any] | None:
        """Levels of a column of categories; None for numbers that are read as such."""
        spec = self.model.spec
        factors = [
            factor
            for design in (spec.utility, spec.membership)
            if design is not None
            for factor in design.factors_reading(name)
            if factor.levels is not None and factor.expression.columns == (name,)
        ]
        for factor in factors:
            levels = list(factor.levels or ())
            if column.isin(levels).all():
                return levels
        if is_a_number(column):
            return None
        return sorted(column.unique(), key=lambda level: (str(type(level)), str(level)))

    def _wanted(self, alternatives: Iterable[Any] | None, names: pd.Index) -> np.ndarray:
        """Codes of the alternatives that a table is wanted for."""
        is_list = is_iterable(alternatives) and not isinstance(alternatives, str)
        if not (alternatives is None or is_list):
            raise ArgumentError(
                f"alternatives must be a list of ids of alternatives, not {alternatives!r}."
            )
        ids = list(names) if alternatives is None else list(alternatives)
        if len(ids) > _MOST_ALTERNATIVES:
            raise ArgumentError(
                f"Elasticities of {len(ids):,} alternatives would be {len(ids) ** 2:,} for each "
                f"segment. Name at most {_MOST_ALTERNATIVES} in alternatives=[...]."
            )
        codes = names.get_indexer(pd.Index(ids, tupleize_cols=False))
        unknown = np.flatnonzero(codes < 0)
        if len(unknown) or len(set(ids)) < len(ids) or not ids:
            what = (
                f"{show(ids[unknown[0]])} is not one" if len(unknown) else "each once, at least one"
            )
            raise ArgumentError(
                f"alternatives must name alternatives of the data: {what}. They are "
                f"{listed(names)}."
            )
        return codes

    # -- responses -----------------------------------------------------------------------------

    def _ratios(
        self, over: ClassSums, under: ClassSums, market: Market
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ratios of sums in each segment (G, ...), and their derivatives."""
        common = market.has_common_prior
        found = [segment_ratio(over, under, k, common=common) for k in self._segments]
        return np.stack([ratio for ratio, _ in found]), np.stack([slope for _, slope in found])

    def _total_elasticities(self, asked: _Question) -> tuple[np.ndarray, np.ndarray]:
        """Elasticities by a variable of the person, (G, M), and their derivatives."""
        parameters, segments = self._parameters, self._segments
        market, wanted = asked.market, asked.wanted
        slope = self._slope(asked, in_proportion=True)
        z_slope = self._z_slope(asked, in_proportion=True)
        change, change_slope = shares_response(market, parameters, slope, z_slope, wanted, segments)
        share, share_slope = shares_of_alternatives(market, parameters, wanted, segments)
        share = np.where(share == 0, np.nan, share)
        value = change / share
        return value, (change_slope - value[..., None] * share_slope) / share[..., None]

    def _discrete(self, asked: _Question, levels: tuple[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Changes of shares when a variable jumps, (G, M) or (G, M, M), and their derivatives."""
        if asked.variable.is_of_person:
            return self._jump(asked, levels, None)
        alternative = asked.market.alternative
        assert alternative is not None
        jumps = [self._jump(asked, levels, alternative == code) for code in asked.wanted]
        value, slope = zip(*jumps, strict=True)
        return np.stack(value, axis=2), np.stack(slope, axis=2)

    def _jump(
        self, asked: _Question, levels: tuple[Any, Any], rows: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change of shares when a variable jumps in some rows, or in all."""
        markets = (self._market_at(asked, level, rows) for level in levels)
        first, last = (
            shares_of_alternatives(market, self._parameters, asked.wanted, self._segments)
            for market in markets
        )
        return last[0] - first[0], last[1] - first[1]

    def _market_at(self, asked: _Question, level: Any, rows: np.ndarray | None) -> Market:
        """The market with a variable at one level in some rows, or in all."""
        variable, sets, market = asked.variable, asked.sets, asked.market
        is_moved = np.ones(len(sets.exog), dtype=bool) if rows is None else rows
        if variable.frame is None:
            assert variable.column is not None
            column = np.array([variable.column])
            own = np.concatenate([x[:, column] for _, x in blocks_of_rows(sets.exog)])
            shift = np.where(is_moved[:, None], level - own, 0.0)
            return replace(market, exog=ShiftedRows(sets.exog, column, shift))
        spec, order = self.model.spec, sets.arrangement.permutation
        in_frame = np.zeros(len(variable.frame), dtype=bool)
        in_frame[slice(None) if order is None else order] = is_moved
        changed = _replaced(variable.frame, variable.name, level, in_frame)
        moved = replace(market, exog=spec.utility.matrix(changed, order=order))
        gate = spec.membership
        if gate is None or variable.name not in gate.columns or market.history is not None:
            return moved
        people, place = self._persons(asked)
        everybody = np.ones(len(people), dtype=bool)
        z = gate.matrix(_replaced(people, variable.name, level, everybody))
        return replace(moved, z=z[place])

    def _table_of(
        self,
        name: str,
        value: np.ndarray,
        gradient: np.ndarray,
        alternatives: pd.Index,
        alpha: float,
    ) -> pd.DataFrame:
        """Responses by segment, alternative and, if there is one, alternative that changes."""
        n_axes = value.ndim - 1
        labels = [[self._segment_name(k) for k in self._segments], *[alternatives] * n_axes]
        index = pd.MultiIndex.from_product(
            labels, names=["segment", "share_of", "change_in"][: 1 + n_axes]
        )
        error = delta_errors(gradient.reshape(len(index), -1), self._uncertainty)
        return pd.DataFrame(estimate_columns(name, value.ravel(), error, alpha), index=index)


def _in_order(column: pd.Series, sets: ChoiceSets) -> pd.Series:
    """A column of the table in the order of the sorted rows."""
    order = sets.arrangement.permutation
    return column if order is None else column.iloc[order]


def _is_constant(column: pd.Series, situation_start: np.ndarray) -> bool:
    """Whether a column is the same in all rows of each situation."""
    codes, _ = pd.factorize(column)
    first = np.repeat(codes[situation_start[:-1]], np.diff(situation_start))
    return bool((codes == first).all())


def _unit(column: pd.Series, in_proportion: bool) -> np.ndarray:
    """What a slope is multiplied by, (R, 1): the values, for growth in proportion, or ones."""
    return (numbers_in(column) if in_proportion else np.ones(len(column)))[:, None]


def _is_binary(values: np.ndarray) -> bool:
    """Whether there are zeros and ones, and nothing else."""
    return bool(np.isin(values, (0.0, 1.0)).all()) and len(np.unique(values)) == 2


def _replaced(frame: pd.DataFrame, name: str, level: Any, rows: np.ndarray) -> pd.DataFrame:
    """A table with one column at a level in some rows."""
    column = frame[name]
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        column = column.astype(object)
    return frame.assign(**{name: column.where(~rows, level)})
