"""Willingness to pay: by class, in the population, by individual and by groups of people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from mixlogit.arguments import is_iterable, require_one_of
from mixlogit.columns import as_frame, require_column
from mixlogit.demand import Standing, class_probabilities, segment_ratio
from mixlogit.errors import (
    ArgumentError,
    DataError,
    MixlogitWarning,
    plural,
    shortened,
    show,
    verb,
    warn,
)
from mixlogit.forecasts import ForecastResults
from mixlogit.individuals import Individuals
from mixlogit.points import UtilitySlope, given_point, mean_point, utility_slope
from mixlogit.postestimation import (
    delta_errors,
    estimate_columns,
    interval_labels,
    normal_quantile,
)
from mixlogit.tastes import TasteResults
from mixlogit.valuation import (
    RatedPoints,
    class_wtp,
    draw_parameters,
    draw_wtp,
    fieller,
    shares_of_logits,
    wtp_gradient,
    wtp_sums,
)

if TYPE_CHECKING:
    from mixlogit.formula import ChoiceSets

__all__ = ["WillingnessResults"]

_WTP_METHODS = ("delta", "krinsky-robb", "fieller")
_POPULATION = "population"
_LEVEL = 0.05  # at which a note says that a cost might be 0, where no level is given
# Interquartile range of the standard normal.
_NORMAL_IQR = float(stats.norm.ppf(0.75) - stats.norm.ppf(0.25))


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of a table that belong to individuals, and what each counts."""

    frame: pd.DataFrame | None  # (P,) of the columns that the design reads
    person: np.ndarray  # (P,)
    weight: np.ndarray  # (P,)

    def of(self, people: np.ndarray) -> _Rows:
        """Those of some people."""
        own = np.flatnonzero(np.isin(self.person, people))
        frame = None if self.frame is None else self.frame.iloc[own]
        return _Rows(frame, self.person[own], self.weight[own])

    def means(self, values: np.ndarray, n_people: int) -> np.ndarray:
        """Mean over the rows of each individual: (P, K) -> (N, K); nan for who has none."""
        total = np.bincount(self.person, self.weight, n_people)
        total[total == 0] = np.nan
        sums = [np.bincount(self.person, self.weight * own, n_people) for own in values.T]
        return np.column_stack(sums) / total[:, None]


@dataclass(frozen=True, eq=False)
class _Limits:
    """How errors and limits of a ratio are found."""

    method: str
    alpha: float
    n_draws: int
    rng: int | np.random.Generator | None


class WillingnessResults(TasteResults, ForecastResults):
    """Methods of results about willingness to pay."""

    def wtp(
        self,
        attribute: str | Sequence[str] | None = None,
        cost: str | None = None,
        method: str = "delta",
        alpha: float = 0.05,
        n_draws: int = 10_000,
        rng: int | np.random.Generator | None = 0,
        *,
        at: Any = "mean",
        by: Any = None,
        data: Any = None,
    ) -> pd.DataFrame:
        """Willingness to pay for one more unit of an attribute.

        Minus the slope of utility in the attribute over that in cost: −beta_attribute / beta_cost
        where both are plain linear terms. Positive where more of the attribute is liked and more
        cost is not. For less of an attribute, such as travel time, change the sign.

        With interactions, powers, logarithms or splines, as ``cost + cost:income``, ``log(cost)``
        or ``bs(cost, df=4)``, slopes are derivatives of all terms together at values of the data,
        by differences of the design (see `elasticities`).

        Parameters
        ----------
        attribute : str, or sequence of str, optional
            Attributes, by their names in `class_params`, or columns of the table that the utility
            formula reads; all but ``cost`` if None. A column of the design that is a function of
            one variable, beside others that read it too, is valued with these, in its own unit.
        cost : str
            Attribute that holds the cost, named in the same way; it has to be named.
        method : {"delta", "krinsky-robb", "fieller"}
            "delta": linearised, limits symmetric around the estimate. "krinsky-robb": limits are
            percentiles of the ratio over draws from the normal distribution of the estimates.
            "fieller": values at which a test of beta_attribute + w beta_cost = 0 does not reject,
            which may be all values; by class, for there is none for the mean over classes.
        alpha : float
            One minus the confidence level.
        n_draws : int
            Draws of "krinsky-robb".
        rng : int, Generator or None
            Seed of the draws.
        at : {"mean", "sample"}, mapping or DataFrame
            Where slopes that are not constant are taken. "mean": with all numbers at their mean
            over the rows of the sample, and categories as often as they are there. "sample": at
            each row, and the ratios averaged over the rows. A mapping of columns to values, such
            as ``{"income": 30}``: there, with the other columns as for "mean". A DataFrame with
            all columns that the formula reads: at each of its rows, and the ratios averaged. Rows
            count by the weights of `market_shares`, and with "sample" for a class by the
            probability that the row is of somebody in it.
        by : column name, Series, DataFrame or array_like, optional
            Groups of people: the name of a column of the table, constant within individuals; a
            Series or a frame of one column, whose index holds the ids of the individuals (or is
            that of the table's rows); or an array in the order of `posterior`. The table then has
            a row for each group, the mean of `individual_wtp` over its people by their weights.
            "mean" is then the mean over the rows of the group.
        data : DataFrame, optional
            Table that the values are taken from. By default the one that the model was built
            from, which models from files, pickles and chunks do not have at hand.

        Returns
        -------
        DataFrame
            Rows class1 to classK and "population", the mean over the classes by their shares; with
            several attributes, or a sequence of one, below a level of attributes; with ``by``, one
            row per group instead. Columns
            ``wtp``, in units of cost per unit of the attribute; ``std err``; two limits; ``note``,
            why a number is nan or not to be trusted, else empty.

            The standard error is that of the delta method, and with "krinsky-robb" the
            interquartile range of the draws over that of the standard normal, 1.349: a ratio of
            normals has no variance, and the standard deviation of its draws depends on how many
            there are.

            A ratio is not to be trusted where cost might be 0. Delta limits are then too short,
            percentiles mix draws from both sides of a pole, and only Fieller's set is
            right: it is unbounded. There is no such set for a mean of ratios.

            The errors of groups count that the posterior moves with the estimates too.

        Raises
        ------
        ArgumentError
            An attribute or a method is not known, or the method does not go with ``at`` or
            ``by``; the cost is missing or is the attribute; alpha or n_draws is out of range; the
            table is needed and not at hand; or an individual has no group.
        DataError
            A group varies within an individual, or the data have no rows of somebody.

        References
        ----------
        A. R. Hole (2007), A comparison of approaches to estimating confidence intervals for
        willingness to pay measures, Health Economics 16, 827–840.

        I. Krinsky and A. L. Robb (1986), On approximating the statistical properties of
        elasticities, Review of Economics and Statistics 68, 715–719.

        A. Daly, S. Hess and G. de Jong (2012), Calculating errors for measures derived from
        choice modelling estimates, Transportation Research B 46, 333–341.
        """
        slopes, price = self._priced(attribute, cost)
        interval_labels(alpha)  # refuses an alpha out of range
        require_one_of("method", method, _WTP_METHODS)
        is_plain = all(one.variable is None for one in (*slopes, price))
        if by is not None:
            _refuse_method(method, ("delta",), "with by=")
            groups = self._groups(by, data)
            tables = {
                one.name: self._group_table(
                    one, price, groups, alpha, None if is_plain else at, data
                )
                for one in slopes
            }
        elif is_plain or _is_one_point(at):
            limits = _Limits(method, alpha, n_draws, rng)
            tables = self._tables_at_point(slopes, price, limits, at, data)
        else:
            _refuse_method(method, ("delta", "krinsky-robb"), "for a mean of ratios, as with at=")
            limits = _Limits(method, alpha, n_draws, rng)
            tables = self._tables_of_rows(slopes, price, limits, at, data)
        if isinstance(attribute, str):
            return tables[attribute]
        below = "class" if by is None else "group"
        return pd.concat(tables, names=["attribute", below])

    def individual_wtp(
        self,
        attribute: str | Sequence[str] | None = None,
        cost: str | None = None,
        *,
        at: Any = "sample",
        data: Any = None,
    ) -> pd.Series | pd.DataFrame:
        """Willingness to pay of each individual given its choices.

        The mean over the classes of their willingness to pay, by the posterior probabilities of
        the individual.

        Parameters
        ----------
        attribute : str, or sequence of str, optional
            As for `wtp`.
        cost : str
            Attribute that holds the cost; it has to be named.
        at : {"sample", "mean"}, mapping or DataFrame
            As for `wtp`, but "sample", the default, takes the mean over the rows that the
            individual itself faced.
        data : DataFrame, optional
            As for `wtp`.

        Returns
        -------
        Series or DataFrame
            In units of cost per unit of the attribute, one row per distinct individual, as in
            `posterior`; for several attributes, or a sequence of one, one column each. What makes
            the numbers doubtful stands in ``attrs["note"]``.

        Raises
        ------
        ArgumentError
            As for `wtp`, and where the coefficient of cost is 0 in a class.
        DataError
            The data have no rows of an individual.

        Warns
        -----
        MixlogitWarning
            The cost is liked in a class, or is not significantly different from 0 there.
        """
        slopes, price = self._priced(attribute, cost)
        beta = self._parameters.beta
        zero = []
        if price.column is not None:
            zero = [f"class{k + 1}.{cost}" for k in np.flatnonzero(beta[:, price.column] == 0)]
        if zero:
            raise ArgumentError(
                f"{shortened(zero)} {verb(len(zero), 'is', 'are')} 0, so there is no willingness "
                "to pay in that class, nor a mean over classes. Take another cost, or use wtp, "
                "which gives that of the other classes."
            )
        columns, doubts = {}, []
        for one in slopes:
            by_class, found = self._wtp_of_people(one, price, at, data)  # (N or 1, K)
            columns[one.name] = (self._posterior * by_class).sum(axis=1)
            doubts += [note for notes in found for note in notes]
        out = pd.DataFrame(columns, index=self.model.choices.entries.ids)
        shown = out[attribute] if isinstance(attribute, str) else out
        shown.attrs["note"] = "; ".join(dict.fromkeys(doubts))
        if doubts:
            warn(
                f"Willingness to pay is not to be trusted: {shown.attrs['note']}.", MixlogitWarning
            )
        return shown

    # -- what is valued, and where -------------------------------------------------------------

    def _priced(
        self, attribute: str | Sequence[str] | None, cost: str | None
    ) -> tuple[list[UtilitySlope], UtilitySlope]:
        """Slopes of utility in the attributes to value, and in cost."""
        names, design = list(self.model.choices.exog_names), self.model.spec.utility
        if cost is None:
            raise ArgumentError(
                f"The cost is missing. Name the attribute that holds it: {shortened(names)}."
            )
        price = utility_slope("cost", cost, names, design)
        if attribute is None:
            slopes = self._all_but(price)
        else:
            is_one = isinstance(attribute, str) or not is_iterable(attribute)
            asked = [attribute] if is_one else list(attribute)
            slopes = [utility_slope("attribute", name, names, design) for name in asked]
        for one in (*slopes, price):
            self._refuse_offset(one)
        if not slopes:
            raise ArgumentError(
                f"No attribute is left to value. Name one at least, besides the cost {cost!r}."
            )
        if any(_is_same(one, price) for one in slopes):
            raise ArgumentError(
                f"{cost!r} is the cost and an attribute to value. Name another attribute or cost."
            )
        given = [one.name for one in slopes]
        if len(set(given)) < len(given):
            twice = next(name for name in given if given.count(name) > 1)
            raise ArgumentError(f"The attribute {twice!r} is named twice. Name it once.")
        return slopes, price

    def _refuse_offset(self, one: UtilitySlope) -> None:
        """Raise for a variable that is also added to utility as it is."""
        if one.variable is not None and one.variable == self.model.spec.columns.offset:
            raise ArgumentError(
                f"The column {one.variable!r} is also the offset, whose slope is not estimated. "
                "Give the offset a column of its own to leave it out."
            )

    def _all_but(self, price: UtilitySlope) -> list[UtilitySlope]:
        """Every attribute but the cost: variables that enter several columns once."""
        names, design = self.model.choices.exog_names, self.model.spec.utility
        found: dict[str, UtilitySlope] = {}
        moving = {price.variable}
        for name in names:
            factor = design.only_factor(name)
            if factor is None or factor.levels is not None:
                continue
            own = factor.expression.columns
            if len(own) == 1 and len(design.names_reading(own[0])) > 1:
                moving.add(own[0])
        for name in names:
            read = [v for v in moving if v is not None and name in design.names_reading(v)]
            if not read:
                found[name] = utility_slope("attribute", name, names, design)
            for variable in read:
                found.setdefault(variable, UtilitySlope(variable, variable=variable))
        return [one for one in found.values() if not _is_same(one, price)]

    def _weights_at(self, slopes: Iterable[UtilitySlope], at: Any, data: Any) -> list[np.ndarray]:
        """Slopes at one point, each as weights of the coefficients (L,)."""
        slopes, design = list(slopes), self.model.spec.utility
        frame, share = None, np.ones(1)
        if any(one.variable is not None for one in slopes):
            frame, share = self._point(at, data)
        return [one.averaged(design, frame, share) for one in slopes]

    def _point(self, at: Any, data: Any) -> tuple[pd.DataFrame, np.ndarray]:
        """Rows that are one point together, and their weights."""
        design = self.model.spec.utility
        if isinstance(at, pd.DataFrame):
            design.require_columns(at)
            return at, np.ones(1)
        given = {} if isinstance(at, str) else dict(at)
        if given and set(given) >= set(design.columns):
            return given_point(design, given, pd.DataFrame(index=[0])), np.ones(1)
        rows = self._sample(data)
        assert rows.frame is not None
        frame, share = mean_point(design, rows.frame, rows.weight)
        return given_point(design, given, frame), share

    def _sample(self, data: Any) -> _Rows:
        """Rows of the sample, by who has their covariates: each with its weight."""
        frame, sets = self._table(data)
        market = self.model.market(sets)
        kind = _kinds(market.z)[1]
        return self._rows_of(frame, sets, kind[market.visits.person])

    def _table(self, data: Any) -> tuple[pd.DataFrame, ChoiceSets]:
        """A table and its choice sets: the fitted one if there is none."""
        if data is None:
            return self.model.fitted_frame(), self.model.choice_sets()
        if self.model._is_from_arrays:
            raise ArgumentError(
                "data= is a table, and this model was built from arrays. Build it with "
                "from_formula."
            )
        return as_frame(data), self.model.choice_sets(data)

    def _rows_of(self, frame: pd.DataFrame, sets: ChoiceSets, person: np.ndarray) -> _Rows:
        """Rows of the situations that are visited, by a person for each visit."""
        visits, arrangement = self.model.market(sets).visits, sets.arrangement
        situation = np.repeat(np.arange(arrangement.n_situations), np.diff(visits.start))
        pairs = pd.DataFrame({"s": situation, "p": person, "w": visits.weight})
        pairs = pairs.groupby(["s", "p"], sort=True, as_index=False)["w"].sum()
        size = arrangement.sizes[pairs["s"]]
        first = np.repeat(arrangement.situation_start[pairs["s"]], size)
        place = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size) + first
        order = arrangement.permutation
        own = frame[list(self.model.spec.utility.columns)]
        own = own.iloc[place if order is None else order[place]]
        weight = np.repeat(pairs["w"].to_numpy(), size)
        return _Rows(own, np.repeat(pairs["p"].to_numpy(), size), weight)

    # -- at one point --------------------------------------------------------------------------

    def _tables_at_point(
        self,
        slopes: list[UtilitySlope],
        price: UtilitySlope,
        limits: _Limits,
        at: Any,
        data: Any,
    ) -> dict[str, pd.DataFrame]:
        """Ratios of slopes at one point, by class and in the population."""
        *weights, cost = self._weights_at([*slopes, price], at, data)
        draws = self._draws(limits)
        if draws is not None:
            draws = draws[0], self._drawn_shares(draws[1])
        return {
            one.name: self._wtp_table(weight, cost, price, limits, draws)
            for one, weight in zip(slopes, weights, strict=True)
        }

    def _draws(self, limits: _Limits) -> tuple[np.ndarray, np.ndarray] | None:
        """Draws of tastes (n, K, L) and logits, for limits that are percentiles of draws."""
        if limits.method != "krinsky-robb":
            return None
        n_draws = _checked_draws(limits.n_draws, limits.alpha)
        drawn = self._parameters.like(
            draw_parameters(self.params, self._uncertainty.matrix, n_draws, limits.rng)
        )
        return drawn.beta, drawn.gamma

    def _drawn_shares(self, gamma: np.ndarray) -> np.ndarray:
        """Class shares under drawn logits, (n, K)."""
        data = self.model.choices
        z, weight = np.ones((1, 1)), np.ones(1)  # of anybody, where all have the same shares
        if data.membership_names != ("Intercept",):
            z, weight = data.membership, data.total_weight
        return shares_of_logits(gamma, z, weight)

    def _wtp_table(
        self,
        attribute: np.ndarray,
        cost: np.ndarray,
        price: UtilitySlope,
        limits: _Limits,
        draws: tuple[np.ndarray, np.ndarray] | None,
    ) -> pd.DataFrame:
        """Willingness to pay for one attribute, from the slopes as weights (L,)."""
        beta, alpha = self._parameters.beta, limits.alpha
        by_class = class_wtp(beta, attribute, cost)
        gradient = wtp_gradient(beta, attribute, cost, self._shares, self._share_slope)
        columns = estimate_columns(
            "wtp",
            np.append(by_class, self._shares @ by_class),
            delta_errors(gradient, self._uncertainty),
            alpha,
        )
        table = pd.DataFrame(columns, index=[*self._class_names, _POPULATION])
        doubts = self._cost_notes(price, cost[None], alpha)
        own: list[str] = [""] * len(table)
        if draws is not None:
            drawn = class_wtp(draws[0], attribute, cost)
            _replace_by_percentiles(table, drawn, (drawn * draws[1]).sum(axis=1), alpha)
            has_other_sign = (draws[0] @ cost) * (beta @ cost) < 0  # (n, K)
            for k in np.flatnonzero(has_other_sign.any(axis=0)):
                doubts[k].append(
                    f"{self._slope_name(price, k)} has the other sign in "
                    f"{has_other_sign[:, k].mean():.2%} of the draws"
                )
        if limits.method == "fieller":
            table[list(interval_labels(alpha))], own = self._fieller(attribute, cost, alpha)
        missing = self._reasons(table["std err"], self._involved(attribute, cost))
        notes = zip(missing, [*doubts, chain(*doubts)], own, strict=True)
        table["note"] = [
            "; ".join(text for text in (*without, *doubt, last) if text)
            for without, doubt, last in notes
        ]
        return table

    def _reasons(self, std_err: pd.Series, involved: list[list[int]]) -> list[list[str]]:
        """Why errors are nan, where they are, from the places of the parameters behind them."""
        return [
            self._without_error(at) if is_missing else []
            for at, is_missing in zip(involved, std_err.isna(), strict=True)
        ]

    def _involved(self, attribute: np.ndarray, cost: np.ndarray) -> list[list[int]]:
        """Places of the parameters that ratios of the classes and of the population depend on."""
        n_classes, n_attributes = self._parameters.beta.shape
        used = [*np.flatnonzero(attribute), *np.flatnonzero((cost != 0) & (attribute == 0))]
        tastes = [[k * n_attributes + int(i) for i in used] for k in range(n_classes)]
        gate = range(self._parameters.beta.size, len(self.params))
        return [*tastes, [*chain(*tastes), *gate]]

    def _slope_name(self, price: UtilitySlope, k: int | np.integer) -> str:
        """What the slope of utility in cost is called in a class."""
        own = self._class_names[k]
        return (
            f"{own}.{price.name}"
            if price.variable is None
            else f"the slope in {price.name} of {own}"
        )

    def _cost_notes(
        self, price: UtilitySlope, cost: np.ndarray, alpha: float, weight: np.ndarray | None = None
    ) -> list[list[str]]:
        """What makes a ratio to the slope in cost (P, L) wrong or doubtful, by class."""
        beta, covariance, out = self._parameters.beta, self.cov_params(), []
        weight = np.ones(len(cost)) if weight is None else weight
        mean, n_attributes = weight @ cost / weight.sum(), beta.shape[1]
        used = np.flatnonzero(mean)
        for k, own in enumerate(beta):
            name, slope = self._slope_name(price, k), cost @ own
            if (slope == 0).all():
                out.append([f"{name} is 0"])
                continue
            notes = []
            if (slope > 0).all():
                notes.append(f"{name} is positive")
            elif (slope >= 0).any():
                n_wrong = int((slope >= 0).sum())
                notes.append(f"{name} is not negative at {n_wrong:,} of {len(slope):,} points")
            place = k * n_attributes + used
            var = mean[used] @ covariance[np.ix_(place, place)] @ mean[used]
            value = abs(mean @ own)
            if value < normal_quantile(alpha) * np.sqrt(var):
                p_value = 2 * stats.norm.sf(value / np.sqrt(var))
                label = name if len(cost) == 1 else f"the mean of {name}"
                notes.append(f"{label} is not significantly different from 0 (p = {p_value:.2g})")
            out.append(notes)
        return out

    def _fieller(
        self, attribute: np.ndarray, cost: np.ndarray, alpha: float
    ) -> tuple[np.ndarray, list[str]]:
        """Limits of Fieller's sets, (K + 1, 2), and notes where there are none."""
        beta, covariance = self._parameters.beta, self.cov_params()
        used = np.flatnonzero((attribute != 0) | (cost != 0))
        pair = np.stack([attribute, cost])[:, used]
        place = np.arange(self.n_classes)[:, None] * beta.shape[1] + used
        cov = pair @ covariance[place[:, :, None], place[:, None, :]] @ pair.T
        sets = fieller(beta @ attribute, beta @ cost, cov, normal_quantile(alpha))
        limits = np.column_stack([sets.lower, sets.upper])
        limits[beta @ cost == 0] = np.nan
        notes = []
        for lower, (first, last) in zip(limits[:, 0], sets.outside, strict=True):
            rest = "" if np.isnan(first) else f": all but {first:.4g} to {last:.4g}"
            notes.append(f"the set is unbounded{rest}" if np.isneginf(lower) else "")
        notes.append("Fieller's set exists by class alone")
        return np.vstack([limits, [np.nan, np.nan]]), notes

    # -- at many points ------------------------------------------------------------------------

    def _tables_of_rows(
        self,
        slopes: list[UtilitySlope],
        price: UtilitySlope,
        limits: _Limits,
        at: Any,
        data: Any,
    ) -> dict[str, pd.DataFrame]:
        """Means of ratios over rows, by class and in the population."""
        rows, z = self._rows_with_covariates(at, data)
        design, alpha = self.model.spec.utility, limits.alpha
        cost = price.at(design, rows.frame)
        draws = self._draws(limits)
        prior = self._prior_of(z)
        standing = Standing.of_membership(prior, z)
        tables = {}
        for one in slopes:
            points = RatedPoints(one.at(design, rows.frame), cost, rows.weight, rows.person)
            over, under = wtp_sums(points, self._parameters, standing)
            common = z.shape[1] == 1 and bool((z == 1).all())
            segments = [*range(self.n_classes), None]
            found = [segment_ratio(over, under, k, common=common) for k in segments]
            value = np.array([float(ratio) for ratio, _ in found])
            error = delta_errors(np.stack([slope for _, slope in found]), self._uncertainty)
            table = pd.DataFrame(
                estimate_columns("wtp", value, error, alpha),
                index=[*self._class_names, _POPULATION],
            )
            if draws is not None:
                _replace_by_percentiles(table, *draw_wtp(points, z, *draws), alpha)
            doubts = self._cost_notes(price, cost, alpha, _spread(rows.weight, cost))
            involved = self._involved(
                np.abs(points.attribute).max(axis=0), np.abs(cost).max(axis=0)
            )
            missing = self._reasons(table["std err"], involved)
            table["note"] = [
                "; ".join([*without, *doubt])
                for without, doubt in zip(missing, [*doubts, chain(*doubts)], strict=True)
            ]
            tables[one.name] = table
        return tables

    def _rows_with_covariates(self, at: Any, data: Any) -> tuple[_Rows, np.ndarray]:
        """Rows, and the membership covariates of the kinds of people that they are of."""
        if isinstance(at, str):
            sets = self._table(data)[1]
            return self._sample(data), _kinds(self.model.market(sets).z)[0]
        self.model.spec.utility.require_columns(at)
        own = self.model.choices
        z, kind = _kinds(own.membership)
        share = np.bincount(kind, own.total_weight)
        place = np.tile(np.arange(len(at)), len(z))
        person = np.repeat(np.arange(len(z)), len(at))
        return _Rows(at.iloc[place], person, share[person]), z

    def _prior_of(self, z: np.ndarray) -> np.ndarray:
        """Class probabilities of people with these covariates, (N, K)."""
        return class_probabilities(z, self.model.choices.membership_names, self._parameters)

    # -- individuals and groups ----------------------------------------------------------------

    def _wtp_of_people(
        self, one: UtilitySlope, price: UtilitySlope, at: Any, data: Any
    ) -> tuple[np.ndarray, list[list[str]]]:
        """Willingness to pay of each individual under each class, (N, K) or (1, K), and notes."""
        beta, design = self._parameters.beta, self.model.spec.utility
        is_plain = one.variable is None and price.variable is None
        if is_plain or _is_one_point(at):
            attribute, cost = self._weights_at([one, price], at, data)
            notes = self._cost_notes(price, cost[None], _LEVEL)
            return class_wtp(beta, attribute, cost)[None], notes
        if not isinstance(at, str):
            rows = _Rows(at, np.zeros(len(at), dtype=np.intp), np.ones(len(at)))
            n_people = 1
        else:
            rows, n_people = self._own_rows(data), self.model.choices.n_distinct
        cost = price.at(design, rows.frame)
        points = RatedPoints(one.at(design, rows.frame), cost, rows.weight, rows.person)
        notes = self._cost_notes(price, cost, _LEVEL, _spread(rows.weight, cost))
        return rows.means(points.wtp(beta), n_people), notes

    def _own_rows(self, data: Any) -> _Rows:
        """Rows that each individual of the fit faced, in the fitted table or in another."""
        frame, sets = self._table(data)
        person = self.model.market(sets).visits.person
        if data is not None:
            person = self._place_in(sets, "fitted", scored=False).of_situation[person]
        entries = self.model.choices.entries
        without = np.setdiff1d(np.arange(len(entries.ids)), person)
        if len(without):
            raise DataError(
                f"{len(without):,} of {plural(len(entries.ids), 'individual')} of the fit "
                f"{verb(len(without), 'has', 'have')} no rows in the data; the first is "
                f"{show(entries.ids[without[0]])}. Pass the table that the model was built from."
            )
        return self._rows_of(frame, sets, person)

    def _groups(self, by: Any, data: Any) -> pd.Series:
        """Group of each distinct individual, by its id."""
        people = self.model._individuals() if data is None else self._individuals_in(data)
        found = people.values(by, "by")
        return found.rename("group" if found.name is None else found.name)

    def _individuals_in(self, data: Any) -> Individuals:
        """The individuals of the fit, with their rows in another table."""
        frame, sets = self._table(data)
        fitted = self.model._individuals()
        if fitted.row_index is None:  # a table of alternatives says nothing of people
            return fitted

        def of_rows(rows: pd.DataFrame, name: Any, what: str) -> pd.Series:
            people, _ = self.model.spec.people_of(rows, sets.arrangement, None, [name], what)
            return people[name].reindex(fitted.ids)

        def column(name: str, what: str) -> pd.Series:
            require_column(frame, name, f"{what}=")
            return of_rows(frame, name, f"{what} column")

        return replace(fitted, row_index=frame.index, of_rows=of_rows, column=column)

    def _group_table(
        self,
        one: UtilitySlope,
        price: UtilitySlope,
        groups: pd.Series,
        alpha: float,
        at: Any,
        data: Any,
    ) -> pd.DataFrame:
        """Mean willingness to pay of groups of people given their choices."""
        code, labels = pd.factorize(groups, sort=True)
        standing = self._past_standing("fitted", scored=True)[1]
        values, gradients, notes = [], [], []
        for points in self._points_of_groups(one, price, code, len(labels), at, data):
            over, under = wtp_sums(points, self._parameters, standing)
            value, gradient = segment_ratio(over, under, None, common=False)
            values.append(float(value))
            gradients.append(gradient)
            doubts = self._cost_notes(
                price, points.cost, alpha, _spread(points.weight, points.cost)
            )
            notes.append([*chain(*doubts)])
        gradient = np.stack(gradients)
        error = delta_errors(gradient, self._uncertainty)
        missing = [
            self._without_error(np.flatnonzero(own)) if np.isnan(e) else []
            for own, e in zip(gradient, error, strict=True)
        ]
        table = pd.DataFrame(
            estimate_columns("wtp", np.array(values), error, alpha),
            index=pd.Index(labels, name=groups.name),
        )
        return table.assign(note=["; ".join([*m, *n]) for m, n in zip(missing, notes, strict=True)])

    def _points_of_groups(
        self,
        one: UtilitySlope,
        price: UtilitySlope,
        code: np.ndarray,
        n_groups: int,
        at: Any,
        data: Any,
    ) -> Iterator[RatedPoints]:
        """Points at which the willingness to pay of each group's people is taken."""
        design, weight = self.model.spec.utility, self._likelihood.weight
        own_rows = self._own_rows(data) if isinstance(at, str) else None
        for group in range(n_groups):
            people = np.flatnonzero(code == group)
            if own_rows is None:
                yield self._points_for_all(one, price, people, at, data)
                continue
            rows = own_rows.of(people)
            assert rows.frame is not None
            if at == "mean":
                centre, share = mean_point(design, rows.frame, rows.weight)
                attribute, cost = (x.averaged(design, centre, share)[None] for x in (one, price))
                yield RatedPoints(attribute, cost, weight[people], people)
                continue
            each = np.bincount(rows.person, rows.weight)[rows.person]
            attribute, cost = one.at(design, rows.frame), price.at(design, rows.frame)
            counted = weight[rows.person] * rows.weight / each
            yield RatedPoints(attribute, cost, counted, rows.person)

    def _points_for_all(
        self, one: UtilitySlope, price: UtilitySlope, people: np.ndarray, at: Any, data: Any
    ) -> RatedPoints:
        """The same points for all people of a group."""
        weight, design = self._likelihood.weight[people], self.model.spec.utility
        if at is None or _is_one_point(at):
            attribute, cost = self._weights_at([one, price], at, data)
            return RatedPoints(attribute[None], cost[None], weight, people)
        place, n_rows = np.tile(np.arange(len(at)), len(people)), len(at)
        attribute, cost = (
            np.broadcast_to(x.at(design, at), (n_rows, len(design.names)))[place]
            for x in (one, price)
        )
        return RatedPoints(
            attribute, cost, np.repeat(weight / n_rows, n_rows), np.repeat(people, n_rows)
        )


def _kinds(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows of covariates, and which of them each row is."""
    kinds, kind = np.unique(z, axis=0, return_inverse=True)
    return kinds, kind.ravel()


def _is_same(one: UtilitySlope, other: UtilitySlope) -> bool:
    """Whether two slopes are by the same variable."""
    if one.variable is None or other.variable is None:
        return one.column is not None and one.column == other.column
    return one.variable == other.variable


def _is_one_point(at: Any) -> bool:
    """Whether slopes are taken at one point, and not at each row of a sample."""
    if isinstance(at, str) and at in ("mean", "sample"):
        return at == "mean"
    if isinstance(at, pd.DataFrame) and len(at):
        return len(at) == 1
    if isinstance(at, (Mapping, pd.Series)):
        return True
    raise ArgumentError(
        f"at={at!r} is neither 'mean' nor 'sample', nor a mapping of columns to values, nor a "
        "DataFrame with rows."
        if not isinstance(at, pd.DataFrame)
        else "at= has no rows. Give one at least, with all columns that the formula reads."
    )


def _refuse_method(method: str, possible: tuple[str, ...], where: str) -> None:
    """Raise for limits that there are none of."""
    if method not in possible:
        raise ArgumentError(
            f"method={method!r} has no limits {where}. Pass method={possible[0]!r}, or take one "
            "point, at='mean' say, for the whole sample."
        )


def _spread(weight: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Weights of the rows of slopes, all in one where there is one row."""
    return weight if len(cost) == len(weight) else np.ones(len(cost))


def _replace_by_percentiles(
    table: pd.DataFrame, by_class: np.ndarray, population: np.ndarray, alpha: float
) -> None:
    """Put spread and percentiles of draws (n, K) and (n,) where the delta method has errors."""
    drawn = np.column_stack([by_class, population])
    lower, first, third, upper = np.quantile(drawn, [alpha / 2, 0.25, 0.75, 1 - alpha / 2], axis=0)
    has_error = table["std err"].notna().to_numpy()
    columns = ["std err", *interval_labels(alpha)]
    values = np.column_stack([(third - first) / _NORMAL_IQR, lower, upper])
    table.loc[has_error, columns] = values[has_error]


def _checked_draws(n_draws: Any, alpha: float) -> int:
    """Number of draws, if there are enough for the limits."""
    is_whole = isinstance(n_draws, (int, np.integer)) and not isinstance(n_draws, bool)
    least = int(np.ceil(2 / alpha))
    if not (is_whole and n_draws >= least):
        raise ArgumentError(
            f"n_draws={show(n_draws)} must be a whole number of at least {least:,}, for one draw "
            f"beyond each limit at alpha={alpha:g}; 10,000 is usual."
        )
    return int(n_draws)
