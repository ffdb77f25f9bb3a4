"""Figures of results: frames made of the estimates, and handed to `mixlogit.plotting`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixlogit import plotting
from mixlogit.errors import ArgumentError, did_you_mean, listed
from mixlogit.postestimation import interval_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mixlogit.likelihood import MixtureLikelihood, Parameters
    from mixlogit.model import MixedMultinomialLogit

__all__ = ["FigureResults"]


class FigureResults:
    """Figures of results; they need matplotlib, ``pip install 'mixlogit[plot]'``.

    Every method draws into the axes it is given, or into a new figure, and returns the axes.
    """

    model: MixedMultinomialLogit
    n_classes: int

    if TYPE_CHECKING:
        starts: pd.DataFrame

        @property
        def posterior(self) -> pd.DataFrame: ...

        @property
        def _parameters(self) -> Parameters: ...

        @property
        def _likelihood(self) -> MixtureLikelihood: ...

        @property
        def _shares(self) -> np.ndarray: ...

        def conf_int(self, alpha: float = 0.05) -> np.ndarray: ...

        def class_share_table(self, alpha: float = 0.05) -> pd.DataFrame: ...

        wtp: Any
        individual_wtp: Any

    @property
    def _class_titles(self) -> list[str]:
        """Classes as figures name them."""
        return [f"Class {k} (share {share:.3f})" for k, share in enumerate(self._shares, 1)]

    def plot_coefficients(
        self,
        ax: Axes | None = None,
        alpha: float = 0.05,
        attributes: str | Sequence[str] | None = None,
        standardised: bool = False,
    ) -> Axes:
        """Draw the coefficients of every class with their intervals.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure, as high as its rows need, if None.
        alpha : float
            One minus the confidence level.
        attributes : str or sequence of str, optional
            Which, in this order from the top; all if None.
        standardised : bool
            Multiply by the standard deviation of the attribute within choice situations, so that
            attributes in different units compare.

        Returns
        -------
        matplotlib Axes
            Coefficients without a standard error are drawn hollow, without an interval.

        Raises
        ------
        ArgumentError
            There is no such attribute; ``alpha`` is no level; matplotlib is missing.
        """
        names = list(self.model.choices.exog_names)
        chosen = names if attributes is None else _chosen(attributes, names)
        n = self.n_classes * len(names)
        labels = interval_labels(alpha)
        values = np.column_stack([self._parameters.beta.ravel(), self.conf_int(alpha)[:n]])
        unit = self.model.choices.exog_scale if standardised else np.ones(len(names))
        by_class = values.reshape(self.n_classes, len(names), 3) * unit[:, None]  # (K, L, 3)
        rows = [names.index(name) for name in chosen]
        table = pd.DataFrame(
            by_class[:, rows].swapaxes(0, 1).reshape(-1, 3),
            index=pd.MultiIndex.from_product([chosen, self._class_titles]),
            columns=["coef", *labels],
        )
        if standardised:
            return plotting.coefficients(
                table, ax, quantity="utils per standard deviation within situations"
            )
        return plotting.coefficients(table, ax)

    def plot_shares(self, ax: Axes | None = None, alpha: float = 0.05) -> Axes:
        """Draw the class shares with their intervals.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        alpha : float
            One minus the confidence level.

        Returns
        -------
        matplotlib Axes
        """
        table = self.class_share_table(alpha)
        titles = [f"Class {k}" for k in range(1, self.n_classes + 1)]
        return plotting.shares(table.set_axis(titles), ax)

    def plot_posterior(self, ax: Axes | None = None, kind: str = "modal") -> Axes:
        """Draw how surely individuals belong to classes, given their choices.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        kind : {"modal", "profile"}
            "modal": histogram of each individual's largest posterior probability, by the class
            that has it. "profile": all probabilities, individuals side by side.

        Returns
        -------
        matplotlib Axes
            Individuals count as often as they occur, times their sampling weights.

        Raises
        ------
        ArgumentError
            There is no such kind; matplotlib is missing.
        """
        return plotting.posterior(
            self.posterior.set_axis(self._class_titles, axis=1),
            self._likelihood.weight,
            ax,
            kind=kind,
            people=self._people,
        )

    def plot_wtp(
        self,
        attribute: str,
        cost: str,
        ax: Axes | None = None,
        kind: str = "classes",
        alpha: float = 0.05,
    ) -> Axes:
        """Draw the distribution of the willingness to pay for an attribute.

        Parameters
        ----------
        attribute, cost : str
            As for `wtp`.
        ax : matplotlib Axes, optional
        kind : {"classes", "individuals"}
            "classes": the value of each class at the height of its share, with intervals and the
            mean of the population. "individuals": histogram of the individuals' means, given
            their choices.
        alpha : float
            One minus the confidence level of the intervals.

        Returns
        -------
        matplotlib Axes
            In units of the cost per unit of the attribute.

        Raises
        ------
        ArgumentError
            There is no such kind or attribute; matplotlib is missing.
        """
        if kind not in ("classes", "individuals"):
            raise ArgumentError(f"kind={kind!r} is not one of classes, individuals.")
        quantity = (
            f"willingness to pay for {plotting.readable(attribute)}, "
            f"in units of {plotting.readable(cost)}"
        )
        table = self.wtp(attribute, cost, alpha=alpha)
        if kind == "classes":
            titled = table.set_axis([*self._class_titles, *table.index[self.n_classes :]])
            return plotting.wtp(titled, self._shares, ax, quantity=quantity)
        return plotting.individual_wtp(
            self.individual_wtp(attribute, cost),
            self._likelihood.weight,
            ax,
            population=table.iloc[:, 0].get("population"),
            quantity=quantity,
            people=self._people,
        )

    def plot_starts(self, ax: Axes | None = None) -> Axes:
        """Draw the log-likelihoods that the starts of the search reached.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        matplotlib Axes
            Starts of the last lap of the search, best first, and how far below the best each
            ended, on a scale that is linear within 0.01 and logarithmic below.
        """
        return plotting.starts(self.starts, ax)

    @property
    def _people(self) -> str:
        """What a share of the weights counts."""
        is_weighted = self.model.choices.overview.is_weighted
        return "weighted individuals" if is_weighted else "individuals"


def _chosen(attributes: str | Sequence[str], names: Sequence[str]) -> list[str]:
    """Attributes that a user asks for, each checked."""
    chosen = [attributes] if isinstance(attributes, str) else list(attributes)
    if not chosen:
        raise ArgumentError(f"attributes is empty. Name some of {listed(names)}.")
    for name in chosen:
        if name not in names:
            raise ArgumentError(
                f"{name!r} is not an attribute of the model, which has {listed(names)}."
                + did_you_mean(name, names)
            )
    repeated = sorted({name for name in chosen if chosen.count(name) > 1})
    if repeated:
        raise ArgumentError(f"attributes names {repeated[0]!r} more than once. Name it once.")
    return chosen
