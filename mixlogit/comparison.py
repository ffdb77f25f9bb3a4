"""Several results side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixlogit.errors import ArgumentError, listed, plural
from mixlogit.nested import data_difference, has_converged, unwrapped
from mixlogit.summary import Block, Summarised, Summary
from mixlogit.withheld import Withheld

if TYPE_CHECKING:
    from mixlogit.results import MixedMultinomialLogitResults

__all__ = ["Comparison", "compare"]

_STARS = ((0.01, "***"), (0.05, "**"), (0.1, "*"))


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Summarised):
    """Several results side by side.

    Parameters
    ----------
    results : tuple of MixedMultinomialLogitResults
    names : tuple of str
        One for each.
    """

    results: tuple[MixedMultinomialLogitResults, ...]
    names: tuple[str, ...]

    @cached_property
    def table(self) -> pd.DataFrame:
        """Statistics of fit, one row per result."""
        rows = [
            {
                "n_classes": one.n_classes,
                "n_individuals": one.nobs,
                "n_choices": one.n_choices,
                "n_params": one.df_model,
                "llf": one.llf,
                "prsquared": one.prsquared,
                "prsquared_adj": one.prsquared_adj,
                "aic": one.aic,
                "bic": one.bic,
                "caic": one.caic,
                "icl": one.icl,
                "entropy_r2": one.entropy_r2,
                "converged": has_converged(one),
            }
            for one in self.results
        ]
        return pd.DataFrame(rows, index=list(self.names))

    @cached_property
    def coefficients(self) -> pd.DataFrame:
        """Estimates, one row per parameter of any result, class by class.

        Columns have two levels: the result, and "coef", "std err" and "P>|z|"; nan where a result
        does not have the parameter.
        """
        frames = {}
        for name, one in zip(self.names, self.results, strict=True):
            columns = {"coef": one.params, "std err": one.bse, "P>|z|": one.pvalues}
            frames[name] = pd.DataFrame(
                {key: np.asarray(value) for key, value in columns.items()},
                index=one.model.param_names,
            )
        rows = [name for _, rows in self._blocks() for name in rows]
        return pd.concat({name: frame.reindex(rows) for name, frame in frames.items()}, axis=1)

    def _blocks(self) -> list[tuple[str, list[str]]]:
        """Headings, and the names of their parameters in order of appearance."""
        most = max(one.n_classes for one in self.results)
        own = [one.model.choices for one in self.results]
        tastes = _in_order(data.exog_names for data in own)
        gate = _in_order(data.membership_names for data in own)
        known = {name for one in self.results for name in one.model.param_names}
        blocks = [(f"Class {k}", [f"class{k}.{a}" for a in tastes]) for k in range(1, most + 1)]
        logits = [f"class{k}._membership.{z}" for k in range(2, most + 1) for z in gate]
        blocks.append(("Membership (base: class 1)", logits))
        found = [(head, [name for name in names if name in known]) for head, names in blocks]
        return [(head, names) for head, names in found if names]

    def summary(self, stars: bool = False) -> Summary:
        """Table of fit and estimates, with standard errors in brackets below.

        Parameters
        ----------
        stars : bool
            Whether to mark estimates that differ from zero at 10, 5 and 1 per cent.

        Returns
        -------
        Summary
            With ``as_text``, ``as_html``, ``as_latex`` and ``as_csv``.
        """
        fit = {
            "Classes": "n_classes",
            "Individuals": "n_individuals",
            "Choices": "n_choices",
            "Parameters": "n_params",
            "Log-likelihood": "llf",
            "McFadden rho2": "prsquared",
            "Adjusted rho2": "prsquared_adj",
            "AIC": "aic",
            "BIC": "bic",
            "CAIC": "caic",
            "Entropy R2": "entropy_r2",
            "Converged": "converged",
        }
        cells = {label: [_cell(value) for value in self.table[c]] for label, c in fit.items()}
        blocks = [Block("Fit", pd.DataFrame.from_dict(cells, orient="index", columns=self.names))]
        for heading, names in self._blocks():
            blocks.append(Block(heading, self._estimates(heading, names, stars)))
        return Summary("Comparison of results", blocks=tuple(blocks), notes=self._notes(stars))

    def _estimates(self, heading: str, names: list[str], stars: bool) -> pd.DataFrame:
        """Estimates and, below, their errors, as strings."""
        labels: list[str] = []
        rows: list[list[str]] = []
        if heading.startswith("Class "):
            k = int(heading.split()[1]) - 1
            labels.append("share")
            rows.append(
                [_cell(one._shares[k]) if k < one.n_classes else "" for one in self.results]
            )
        for name in names:
            own = self.coefficients.loc[name].unstack().loc[list(self.names)]
            is_there = [name in one.model.param_names for one in self.results]
            marks = [_mark(p) if stars else "" for p in own["P>|z|"]]
            short = name.replace("._membership.", ": ")
            labels += [short if "._membership." in name else name.partition(".")[2], ""]
            rows.append(
                [
                    _cell(value) + mark if there else ""
                    for value, mark, there in zip(own["coef"], marks, is_there, strict=True)
                ]
            )
            rows.append(
                [
                    f"({_error(one, name, value)})" if there else ""
                    for one, value, there in zip(
                        self.results, own["std err"], is_there, strict=True
                    )
                ]
            )
        return pd.DataFrame(rows, index=labels, columns=self.names)

    def _notes(self, stars: bool) -> tuple[str, ...]:
        """What keeps the columns from being compared."""
        notes = ["Standard errors are in brackets; nan where they do not exist."]
        if stars:
            marks = ", ".join(f"{mark} p < {level:g}" for level, mark in reversed(_STARS))
            notes.append(f"{marks}.")
        if max(one.n_classes for one in self.results) > 1 and len(self.results) > 1:
            notes.append("Classes stand side by side by their number, whether or not alike.")
        for name, one in zip(self.names, self.results, strict=True):
            first, own = self.results[0].model.choices, one.model.choices
            is_unknown = own is not first and any(isinstance(d, Withheld) for d in (first, own))
            if is_unknown:
                notes.append(
                    f"Whether {self.names[0]} and {name} are on the same data cannot be seen: a "
                    "file that was read has none."
                )
            is_settled = is_unknown or own is first
            difference = "" if is_settled else data_difference(first, own)
            if difference:
                notes.append(
                    f"{self.names[0]} and {name} are on different data ({difference}), so their "
                    "log-likelihoods and criteria cannot be compared."
                )
            if not has_converged(one):
                notes.append(f"{name} did not converge: {one.certificate().message}")
            if one.mle_settings["penalty"]:
                notes.append(
                    f"{name} was fitted with a penalty of {one.mle_settings['penalty']:g}."
                )
        kinds = [one.cov_type for one in self.results]
        if len(set(kinds)) > 1:
            pairs = [f"{name} {kind}" for name, kind in zip(self.names, kinds, strict=True)]
            notes.append(f"Standard errors are of different kinds: {', '.join(pairs)}.")
        return tuple(notes)

    def __repr__(self) -> str:
        return f"<Comparison of {plural(len(self.names), 'result')}: {', '.join(self.names)}>"


def compare(results: Iterable[Any], names: Iterable[str] | None = None) -> Comparison:
    """Put several results in one table.

    Parameters
    ----------
    results : sequence of MixedMultinomialLogitResults
        Of any numbers of classes, attributes and data.
    names : sequence of str, optional
        Headings of the columns; (1), (2), ... if None.

    Returns
    -------
    Comparison
        With ``table``, ``coefficients`` and ``summary()``.

    Raises
    ------
    ArgumentError
        There are no results, or not one name for each.
    """
    given = [results] if hasattr(results, "params") else list(results)
    every = tuple(unwrapped(one) for one in given)
    if not every:
        raise ArgumentError("There are no results to compare. Pass a list of fits.")
    headings = [f"({i})" for i in range(1, len(every) + 1)]
    if names is not None:
        headings = [str(name) for name in names]
    if len(headings) != len(every):
        raise ArgumentError(
            f"There are {plural(len(headings), 'name')} for {plural(len(every), 'result')}. Give "
            "one name per result."
        )
    repeated = [name for i, name in enumerate(headings) if name in headings[:i]]
    if repeated:
        raise ArgumentError(f"More than one result has the name {listed(repeated[:1])}.")
    return Comparison(every, tuple(headings))


def _in_order(groups: Iterable[Iterable[str]]) -> list[str]:
    """Distinct names in order of appearance."""
    return list(dict.fromkeys(name for group in groups for name in group))


def _mark(pvalue: float) -> str:
    """Stars of a p-value; none for nan."""
    return next((mark for level, mark in _STARS if pvalue < level), "")


def _error(one: MixedMultinomialLogitResults, name: str, value: float) -> str:
    """A standard error, or why there is none."""
    if name in one.fixed:
        return "fixed"
    return "at bound" if name in one.at_bound else _cell(value)


def _cell(value: Any) -> str:
    """A number as a string, four decimals or four digits."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value}"
    size = abs(value)
    return f"{value:.4f}" if size == 0 or 1e-3 <= size < 1e7 else f"{value:.4g}"
