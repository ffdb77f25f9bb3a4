"""Changes of consumer surplus: log-sums in units of money."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixlogit.demand import Market, class_mass, mean_surplus, segment_ratio
from mixlogit.errors import ArgumentError, plural, show
from mixlogit.points import UtilitySlope, utility_slope
from mixlogit.postestimation import delta_errors, estimate_columns
from mixlogit.slopes import numbers_in
from mixlogit.willingness import WillingnessResults

if TYPE_CHECKING:
    from mixlogit.formula import ChoiceSets

__all__ = ["WelfareResults"]

_SAME = 1e-6  # of a slope: differences of the design leave 1e-10


class WelfareResults(WillingnessResults):
    """Methods of results about consumer surplus."""

    def welfare_change(
        self,
        cost: str,
        data: Any,
        scenario: Any,
        alpha: float = 0.05,
        *,
        history: Any = None,
        **ids: Any,
    ) -> pd.DataFrame:
        """Change in consumer surplus per choice situation.

        The change in the log-sum divided by the marginal utility of money, which is minus the
        slope of utility in cost; averaged over the situations with the weights of `market_shares`,
        and for a class with the probability that it faces them.

        The marginal utility of money has to be constant in what changes (Small and Rosen 1981).
        It may differ between people and situations, as with ``cost + cost:income``, and is then
        each one's own; but not with the cost, as with ``log(cost)``, ``cost**2`` and splines, nor
        between the alternatives of a situation, as with ``C(alt):cost``: such a change has no
        value by log-sums, and is refused.

        Parameters
        ----------
        cost : str
            What turns utils into money, and in whose units the surplus is: a name in
            ``exog_names``, or a column of the table that the utility formula reads, as for `wtp`.
        data : DataFrame
            Choice sets before the change.
        scenario : callable or mapping
            As for `market_shares`. Who belongs to which class stays as before the change.
        alpha : float
            One minus the confidence level.
        history : None, "fitted" or DataFrame
            As for `market_shares`.
        **ids
            For a model built from arrays.

        Returns
        -------
        DataFrame
            Rows "population", "class1", ...; columns "change", "std err" by the delta method,
            limits, and "note". nan for a class in which the slope in cost is not negative, and then
            for the population, with the note "cost ≥ 0": such a class puts no value on money.
            Other notes say where that slope might be 0, as for `wtp`, and name the parameters
            without standard errors where these leave none here.

        Raises
        ------
        ArgumentError
            ``cost`` is not known, or utility is not linear in it; or ``data`` is no table.
        DataError
            The scenario changes which situations there are.

        References
        ----------
        K. A. Small and H. S. Rosen (1981), Applied welfare economics with discrete choice models,
        Econometrica 49, 105-130.
        """
        names, design = list(self.model.choices.exog_names), self.model.spec.utility
        price = utility_slope("cost", cost, names, design)
        self._refuse_offset(price)
        tables = self._scenario_tables(data, scenario)
        before, after = self._scenario_sets(tables, ids)
        if price.variable is None:
            slope = price.at(design, None)
        else:
            slope = self._money(price, tables, (before, after))
        market = self._facing(before, history)
        changed = replace(
            market,
            exog=after.exog,
            situation_start=after.arrangement.situation_start,
            offset=after.offset,
        )
        gain = mean_surplus(changed, self._parameters, slope) - mean_surplus(
            market, self._parameters, slope
        )
        total, common = class_mass(market, self._parameters), market.has_common_prior
        found = [segment_ratio(gain, total, k, common=common) for k in self._segments]
        change = np.array([float(value) for value, _ in found])
        gradient = np.stack([slope for _, slope in found])
        error = delta_errors(gradient, self._uncertainty)
        notes = self._welfare_notes(price, slope, market, gradient, error, alpha)
        return pd.DataFrame(
            {**estimate_columns("change", change, error, alpha), "note": notes},
            index=pd.Index(["population", *self._class_names], name="segment"),
        )

    def _welfare_notes(
        self,
        price: UtilitySlope,
        slope: np.ndarray,
        market: Market,
        gradient: np.ndarray,
        error: np.ndarray,
        alpha: float,
    ) -> list[str]:
        """Why a change is nan, or not to be trusted."""
        money = slope @ self._parameters.beta.T  # (S or 1, K)
        wrong = [
            name for name, own in zip(self._class_names, money.T, strict=True) if (own >= 0).any()
        ]
        each = np.add.reduceat(market.visits.weight, market.visits.start[:-1])
        doubts = self._cost_notes(price, slope, alpha, each if len(slope) > 1 else None)
        heads = [f"cost ≥ 0 in {', '.join(wrong)}" if wrong else ""]
        heads += ["cost ≥ 0" if name in wrong else "" for name in self._class_names]
        notes = []
        for head, doubt, own, one in zip(
            heads, [[*chain(*doubts)], *doubts], gradient, error, strict=True
        ):
            unknown = np.isnan(one) and not head
            missing = self._without_error(np.flatnonzero(own)) if unknown else []
            notes.append(head or "; ".join([*missing, *doubt]))
        return notes

    def _money(
        self,
        price: UtilitySlope,
        tables: tuple[pd.DataFrame, pd.DataFrame],
        pair: tuple[ChoiceSets, ChoiceSets],
    ) -> np.ndarray:
        """Slope of utility in cost in each situation, (S, L), if it has one that is constant."""
        design, variable = self.model.spec.utility, price.variable
        assert variable is not None
        found = []
        for frame, sets in zip(tables, pair, strict=True):
            order, start = sets.arrangement.permutation, sets.arrangement.situation_start
            rows = frame if order is None else frame.iloc[order]
            own = price.at(design, rows)
            mirrored = price.at(design, _mirrored(rows, variable))
            _refuse_apart(price, own, mirrored, rows, "changes with the cost itself")
            first = own[start[:-1]]
            each = np.repeat(first, np.diff(start), axis=0)
            _refuse_apart(price, own, each, rows, "differs between the rows of a situation")
            found.append((first, rows.iloc[start[:-1]]))
        (before, rows), (after, _) = found
        _refuse_apart(price, before, after, rows, "is another one after the scenario")
        return before


def _mirrored(rows: pd.DataFrame, variable: str) -> pd.DataFrame:
    """A table with a column at other values within its range: the largest becomes the smallest."""
    x = numbers_in(rows[variable])
    return rows.assign(**{variable: np.clip(x.min() + (x.max() - x), x.min(), x.max())})


def _refuse_apart(
    price: UtilitySlope, slope: np.ndarray, other: np.ndarray, rows: pd.DataFrame, how: str
) -> None:
    """Raise where slopes (R, L) that a marginal utility of money would be are not the same."""
    apart = (np.abs(slope - other) > _SAME * np.abs(slope).max(axis=0)).any(axis=1)
    if apart.any():
        first = show(rows.index[int(apart.argmax())])
        raise ArgumentError(
            f"The slope of utility in cost={price.name!r} {how}, in "
            f"{plural(int(apart.sum()), 'row')} of {len(apart):,}, the first of which is {first}. "
            "There is then no constant marginal utility of money, by which a change in the "
            "log-sum would be worth a sum of it. Take a specification in which utility is linear "
            "in the cost, with one slope for all alternatives; it may differ between people, as "
            "in cost + cost:income."
        )
