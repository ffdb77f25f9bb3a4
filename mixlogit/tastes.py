"""What a fit says about tastes: shares of the classes, membership, willingness to pay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from mixlogit.arguments import is_iterable, require_one_of
from mixlogit.errors import ArgumentError, did_you_mean, shortened, show, verb
from mixlogit.postestimation import (
    delta_errors,
    estimate_columns,
    interval_labels,
    mean_shares,
    normal_quantile,
    share_columns,
    share_gradient,
)
from mixlogit.valuation import (
    class_wtp,
    draw_parameters,
    fieller,
    individual_tastes,
    population_tastes,
    shares_of_logits,
    wtp_gradient,
)

if TYPE_CHECKING:
    from mixlogit.likelihood import MixtureLikelihood, Parameters
    from mixlogit.model import MixedMultinomialLogit

__all__ = ["TasteResults"]

_WTP_METHODS = ("delta", "krinsky-robb", "fieller")
_POPULATION = "population"
# Interquartile range of the standard normal.
_NORMAL_IQR = float(stats.norm.ppf(0.75) - stats.norm.ppf(0.25))


class TasteResults:
    """Methods of results about tastes and classes."""

    model: MixedMultinomialLogit
    n_classes: int
    params: np.ndarray

    if TYPE_CHECKING:

        @property
        def _parameters(self) -> Parameters: ...

        @property
        def _likelihood(self) -> MixtureLikelihood: ...

        @property
        def _posterior(self) -> np.ndarray: ...

        @property
        def _class_names(self) -> list[str]: ...

        def cov_params(self, *arguments: Any, **keywords: Any) -> np.ndarray: ...

    # -- classes -------------------------------------------------------------------------------

    @property
    def class_params(self) -> pd.DataFrame:
        """Tastes, one row per attribute and one column per class, (L, K)."""
        return pd.DataFrame(
            self._parameters.beta.T,
            index=list(self.model.choices.exog_names),
            columns=self._class_names,
        )

    @property
    def class_shares(self) -> pd.Series:
        """Share of each class in the population, (K,): its mean probability before choices."""
        return pd.Series(self._shares, index=self._class_names, name="share")

    @cached_property
    def _prior(self) -> np.ndarray:
        return self._likelihood.prior(self._parameters)

    @cached_property
    def _shares(self) -> np.ndarray:
        return mean_shares(self._prior, self._likelihood.weight)

    @cached_property
    def _share_slope(self) -> np.ndarray:
        """Derivative of the shares with respect to the membership logits, (K, (K − 1) Q)."""
        return share_gradient(self._prior, self._likelihood.weight, self.model.choices.membership)

    @cached_property
    def _share_errors(self) -> np.ndarray:
        """Delta-method standard errors of the shares, (K,)."""
        gradient = self._share_slope
        tastes = np.zeros((self.n_classes, len(self.params) - gradient.shape[1]))
        return delta_errors(np.hstack([tastes, gradient]), self.cov_params())

    def class_share_table(self, alpha: float = 0.05) -> pd.DataFrame:
        """Class shares with delta-method standard errors and intervals.

        Parameters
        ----------
        alpha : float
            One minus the confidence level.

        Returns
        -------
        DataFrame
            One row per class: share, std err, and limits that are symmetric in the log-odds.
        """
        columns = share_columns(self._shares, self._share_errors, alpha)
        return pd.DataFrame(columns, index=self._class_names)

    @property
    def posterior(self) -> pd.DataFrame:
        """Probability that each individual is of each class, given its choices, (N, K).

        Identical individuals of a table with counts stand in one row.
        """
        return pd.DataFrame(
            self._posterior, index=self.model.choices.entries.ids, columns=self._class_names
        )

    def classification_table(self) -> pd.DataFrame:
        """How surely individuals are assigned to the class they most probably belong to.

        Returns
        -------
        DataFrame
            One row per class of assignment. ``individuals``: how many are assigned to it, each
            to the class of its largest posterior probability, the first of equal ones; counts
            count, sampling weights do not. ``share``: that number over all individuals. One
            column per class: mean posterior probability of the class among those assigned, nan
            if there are none; the diagonal is the average probability of the assigned class.

        References
        ----------
        D. S. Nagin (2005), Group-Based Modeling of Development, chapter 5.
        """
        frequency = self.model.choices.entries.frequency
        # (N, K); exactly equal probabilities go to the first class
        is_assigned = self._posterior.argmax(axis=1)[:, None] == np.arange(self.n_classes)
        each = is_assigned * frequency[:, None]
        number = each.sum(axis=0)
        mean = (each.T @ self._posterior) / np.where(number > 0, number, np.nan)[:, None]
        out = pd.DataFrame(mean, index=self._class_names, columns=self._class_names)
        out.insert(0, "individuals", np.rint(number).astype(int))
        out.insert(1, "share", number / frequency.sum())
        return out

    # -- tastes --------------------------------------------------------------------------------

    def population_params(self, alpha: float = 0.05) -> pd.DataFrame:
        """Mean and standard deviation of tastes over the classes, with delta-method errors.

        Classes count by their shares in the population: with membership covariates, their mean
        probabilities.

        Parameters
        ----------
        alpha : float
            One minus the confidence level.

        Returns
        -------
        DataFrame
            One row per attribute, in utils per unit: ``mean``, ``std err`` and limits of the
            mean; ``std``, the standard deviation of tastes between classes; ``std err of std``;
            ``note``, why an error is nan. A standard deviation of 0 has none: it is at the edge
            of what is possible, and has no derivative there.
        """
        tastes = population_tastes(self._parameters.beta, self._shares, self._share_slope)
        mean_error = delta_errors(tastes.mean_gradient, self.cov_params())
        std_error = delta_errors(tastes.std_gradient, self.cov_params())
        names = self.model.choices.exog_names
        notes = []
        for i, error in enumerate(mean_error):
            behind = [*range(i, self._parameters.beta.size, len(names))]
            behind += range(self._parameters.beta.size, len(self.params))
            missing = self._without_error(behind) if np.isnan(error) else []
            same = ["the taste is the same in all classes"] if tastes.std[i] == 0 else []
            notes.append("; ".join(missing + same))
        columns = estimate_columns("mean", tastes.mean, mean_error, alpha)
        return pd.DataFrame(columns, index=list(names)).assign(
            **{"std": tastes.std, "std err of std": std_error, "note": notes}
        )

    def population_cov(self) -> pd.DataFrame:
        """Covariance of tastes over the classes, which count by their shares, (L, L)."""
        tastes = population_tastes(self._parameters.beta, self._shares, self._share_slope)
        names = list(self.model.choices.exog_names)
        return pd.DataFrame(tastes.cov, index=names, columns=names)

    def individual_params(self) -> pd.DataFrame:
        """Tastes of each individual given its choices: posterior mean and standard deviation.

        Without membership covariates, the mean over individuals of the posterior mean is, at the
        maximum, the mean of `population_params`. The posterior takes the estimates as known.

        Returns
        -------
        DataFrame, shape (N, 2 L)
            Columns ("mean", attribute) and ("std", attribute), utils per unit; one row per
            distinct individual, as in `posterior`.

        References
        ----------
        K. Train (2009), Discrete Choice Methods with Simulation, chapter 11.
        """
        columns = pd.MultiIndex.from_product([["mean", "std"], self.model.choices.exog_names])
        return pd.DataFrame(
            np.hstack(individual_tastes(self._parameters.beta, self._posterior)),
            index=self.model.choices.entries.ids,
            columns=columns,
        )

    # -- willingness to pay --------------------------------------------------------------------

    def wtp(
        self,
        attribute: str | Sequence[str] | None = None,
        cost: str | None = None,
        method: str = "delta",
        alpha: float = 0.05,
        n_draws: int = 10_000,
        rng: int | np.random.Generator | None = 0,
    ) -> pd.DataFrame:
        """Willingness to pay for one more unit of an attribute, −beta_attribute / beta_cost.

        Positive where more of the attribute is liked and more cost is not. For less of an
        attribute, such as travel time, change the sign.

        Parameters
        ----------
        attribute : str, or sequence of str, optional
            Attributes, by their names in `class_params`; all but ``cost`` if None.
        cost : str
            Attribute that holds the cost; it has to be named.
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

        Returns
        -------
        DataFrame
            Rows class1 to classK and "population", the mean over the classes by their shares; with
            several attributes, or a sequence of one, below a level of attributes. Columns
            ``wtp``, in units of cost per unit of the attribute; ``std err``; two limits; ``note``,
            why a number is nan or not to be trusted, else empty.

            The standard error is that of the delta method, and with "krinsky-robb" the
            interquartile range of the draws over that of the standard normal, 1.349: a ratio of
            normals has no variance, and the standard deviation of its draws depends on how many
            there are.

            A ratio is not to be trusted where cost might be 0. Delta limits are then too short,
            percentiles mix draws from both sides of a pole, and only Fieller's set is
            right: it is unbounded.

        Raises
        ------
        ArgumentError
            An attribute or a method is not known; the cost is missing or is the attribute; alpha
            or n_draws is out of range.

        References
        ----------
        A. R. Hole (2007), A comparison of approaches to estimating confidence intervals for
        willingness to pay measures, Health Economics 16, 827–840.

        I. Krinsky and A. L. Robb (1986), On approximating the statistical properties of
        elasticities, Review of Economics and Statistics 68, 715–719.

        A. Daly, S. Hess and G. de Jong (2012), Calculating errors for measures derived from
        choice modelling estimates, Transportation Research B 46, 333–341.
        """
        wanted, price = self._positions(attribute, cost)
        interval_labels(alpha)  # refuses an alpha out of range
        require_one_of("method", method, _WTP_METHODS)
        draws = None
        if method == "krinsky-robb":
            draws = self._draws(_checked_draws(n_draws, alpha), rng)
        tables = {
            self.model.choices.exog_names[i]: self._wtp_table(i, price, method, alpha, draws)
            for i in wanted
        }
        if isinstance(attribute, str):
            return tables[attribute]
        return pd.concat(tables, names=["attribute", "class"])

    def individual_wtp(
        self, attribute: str | Sequence[str] | None = None, cost: str | None = None
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

        Returns
        -------
        Series or DataFrame
            In units of cost per unit of the attribute, one row per distinct individual, as in
            `posterior`; for several attributes, or a sequence of one, one column each.

        Raises
        ------
        ArgumentError
            As for `wtp`, and where the coefficient of cost is 0 in a class.
        """
        wanted, price = self._positions(attribute, cost)
        beta = self._parameters.beta
        zero = [f"class{k + 1}.{cost}" for k in np.flatnonzero(beta[:, price] == 0)]
        if zero:
            raise ArgumentError(
                f"{shortened(zero)} {verb(len(zero), 'is', 'are')} 0, so there is no willingness "
                "to pay in that class, nor a mean over classes. Take another cost, or use wtp, "
                "which gives that of the other classes."
            )
        names = [self.model.choices.exog_names[i] for i in wanted]
        by_class = np.column_stack([class_wtp(beta, i, price) for i in wanted])  # (K, A)
        out = pd.DataFrame(
            self._posterior @ by_class, index=self.model.choices.entries.ids, columns=names
        )
        return out[attribute] if isinstance(attribute, str) else out

    def _positions(
        self, attribute: str | Sequence[str] | None, cost: str | None
    ) -> tuple[list[int], int]:
        """Positions of the attributes to value and of the cost."""
        names = list(self.model.choices.exog_names)
        if cost is None:
            raise ArgumentError(
                f"The cost is missing. Name the attribute that holds it: {shortened(names)}."
            )
        price = _position("cost", cost, names)
        if attribute is None:
            wanted = [i for i in range(len(names)) if i != price]
        else:
            is_one = isinstance(attribute, str) or not is_iterable(attribute)
            asked = [attribute] if is_one else list(attribute)
            wanted = [_position("attribute", name, names) for name in asked]
        if not wanted:
            raise ArgumentError(
                f"No attribute is left to value. Name one at least, besides the cost {cost!r}."
            )
        if price in wanted:
            raise ArgumentError(
                f"{cost!r} is the cost and an attribute to value. Name another attribute or cost."
            )
        if len(set(wanted)) < len(wanted):
            twice = next(names[i] for i in wanted if wanted.count(i) > 1)
            raise ArgumentError(f"The attribute {twice!r} is named twice. Name it once.")
        return wanted, price

    def _draws(
        self, n_draws: int, rng: int | np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws from the distribution of the estimates: tastes (n, K, L) and shares (n, K)."""
        flat = draw_parameters(self.params, self.cov_params(), n_draws, rng)
        drawn, data = self._parameters.like(flat), self.model.choices
        z, weight = np.ones((1, 1)), np.ones(1)  # of anybody, where all have the same shares
        if data.membership_names != ("Intercept",):
            z, weight = data.membership, data.total_weight
        return drawn.beta, shares_of_logits(drawn.gamma, z, weight)

    def _wtp_table(
        self,
        i: int,
        price: int,
        method: str,
        alpha: float,
        draws: tuple[np.ndarray, np.ndarray] | None,
    ) -> pd.DataFrame:
        """Willingness to pay for one attribute."""
        beta, labels = self._parameters.beta, list(interval_labels(alpha))
        by_class = class_wtp(beta, i, price)
        gradient = wtp_gradient(beta, i, price, self._shares, self._share_slope)
        columns = estimate_columns(
            "wtp",
            np.append(by_class, self._shares @ by_class),
            delta_errors(gradient, self.cov_params()),
            alpha,
        )
        table = pd.DataFrame(columns, index=[*self._class_names, _POPULATION])
        doubts = self._cost_notes(price, alpha)
        own: list[str] = [""] * len(table)
        if draws is not None:
            _replace_by_percentiles(table, i, price, *draws, alpha)
            has_other_sign = draws[0][..., price] * beta[:, price] < 0  # (n, K)
            for k in np.flatnonzero(has_other_sign.any(axis=0)):
                doubts[k].append(
                    f"{self._taste_names(price)[k]} has the other sign in "
                    f"{has_other_sign[:, k].mean():.2%} of the draws"
                )
        if method == "fieller":
            table[labels], own = self._fieller(i, price, alpha)
        n_classes, n_attributes = beta.shape
        tastes = [[k * n_attributes + i, k * n_attributes + price] for k in range(n_classes)]
        gate = range(beta.size, len(self.params))
        involved = [*tastes, [*chain(*tastes), *gate]]
        notes = zip(involved, [*doubts, chain(*doubts)], own, strict=True)
        table["note"] = [
            "; ".join(text for text in (*self._without_error(at), *doubt, last) if text)
            for at, doubt, last in notes
        ]
        return table

    def _cost_notes(self, price: int, alpha: float) -> list[list[str]]:
        """What makes a ratio to the coefficient of cost wrong or doubtful, by class."""
        out = []
        beta = self._parameters.beta
        variance = np.diag(self.cov_params())[price : beta.size : beta.shape[1]]
        for name, value, var in zip(
            self._taste_names(price), beta[:, price], variance, strict=True
        ):
            if value == 0:
                out.append([f"{name} is 0"])
                continue
            notes = [f"{name} is positive"] if value > 0 else []
            if abs(value) < normal_quantile(alpha) * np.sqrt(var):
                p_value = 2 * stats.norm.sf(abs(value) / np.sqrt(var))
                notes.append(f"{name} is not significantly different from 0 (p = {p_value:.2g})")
            out.append(notes)
        return out

    def _fieller(self, i: int, price: int, alpha: float) -> tuple[np.ndarray, list[str]]:
        """Limits of Fieller's sets, (K + 1, 2), and notes where there are none."""
        beta = self._parameters.beta
        pairs = np.arange(self.n_classes)[:, None] * beta.shape[1] + [i, price]  # (K, 2)
        cov = self.cov_params()[pairs[:, :, None], pairs[:, None, :]]
        sets = fieller(beta[:, i], beta[:, price], cov, normal_quantile(alpha))
        limits = np.column_stack([sets.lower, sets.upper])
        limits[beta[:, price] == 0] = np.nan
        notes = []
        for lower, (first, last) in zip(limits[:, 0], sets.outside, strict=True):
            rest = "" if np.isnan(first) else f": all but {first:.4g} to {last:.4g}"
            notes.append(f"the set is unbounded{rest}" if np.isneginf(lower) else "")
        notes.append("Fieller's set exists by class alone")
        return np.vstack([limits, [np.nan, np.nan]]), notes

    def _taste_names(self, attribute: int) -> list[str]:
        """Names of the coefficients of an attribute."""
        name = self.model.choices.exog_names[attribute]
        return [f"{class_name}.{name}" for class_name in self._class_names]

    def _without_error(self, columns: Iterable[int]) -> list[str]:
        """Say which of these parameters have no standard error; nothing if all have."""
        is_missing = np.isnan(np.diag(self.cov_params()))
        names = [self.model.param_names[j] for j in columns if is_missing[j]]
        have = verb(len(names), "has", "have")
        return [f"{shortened(names)} {have} no standard error"] if names else []


def _replace_by_percentiles(
    table: pd.DataFrame, i: int, price: int, beta: np.ndarray, shares: np.ndarray, alpha: float
) -> None:
    """Put spread and percentiles of draws where the delta method has errors."""
    by_class = class_wtp(beta, i, price)  # (n, K)
    drawn = np.column_stack([by_class, (by_class * shares).sum(axis=1)])
    lower, first, third, upper = np.quantile(drawn, [alpha / 2, 0.25, 0.75, 1 - alpha / 2], axis=0)
    has_error = table["std err"].notna().to_numpy()
    columns = ["std err", *interval_labels(alpha)]
    values = np.column_stack([(third - first) / _NORMAL_IQR, lower, upper])
    table.loc[has_error, columns] = values[has_error]


def _position(role: str, name: Any, names: list[str]) -> int:
    """Position of an attribute among those of the model."""
    if not (isinstance(name, str) and name in names):
        raise ArgumentError(
            f"{role}={name!r} is not an attribute of the model, which has {shortened(names)}."
            f"{did_you_mean(name, names)}"
        )
    return names.index(name)


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
