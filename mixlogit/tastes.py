"""What a fit says about tastes: shares of the classes, of individuals, of the population."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixlogit.errors import shortened, verb
from mixlogit.postestimation import (
    delta_errors,
    estimate_columns,
    mean_shares,
    share_columns,
    share_gradient,
)
from mixlogit.valuation import individual_tastes, population_tastes

if TYPE_CHECKING:
    from mixlogit.likelihood import MixtureLikelihood, Parameters
    from mixlogit.model import MixedMultinomialLogit
    from mixlogit.uncertainty import Uncertainty

__all__ = ["TasteResults"]


class TasteResults:
    """Methods of results about tastes and classes."""

    model: MixedMultinomialLogit
    n_classes: int
    _uncertainty: Uncertainty
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
        return delta_errors(np.hstack([tastes, gradient]), self._uncertainty)

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
        mean_error = delta_errors(tastes.mean_gradient, self._uncertainty)
        std_error = delta_errors(tastes.std_gradient, self._uncertainty)
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

    def _without_error(self, columns: Iterable[int]) -> list[str]:
        """Say which of these parameters have no standard error; nothing if all have."""
        is_missing = np.isnan(np.diag(self.cov_params()))
        names = [self.model.param_names[j] for j in columns if is_missing[j]]
        have = verb(len(names), "has", "have")
        return [f"{shortened(names)} {have} no standard error"] if names else []
