"""Choosing the number of classes by criteria."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from mixlogit import plotting
from mixlogit.bootstrap import BootstrapTest, bootstrap_lr_test
from mixlogit.errors import ArgumentError, InterruptWarning, did_you_mean, verb, warn
from mixlogit.growth import (
    classes_in_words,
    each_warning_once,
    one_of_many,
    path,
    read_numbers,
    refuse_rigid,
)
from mixlogit.incumbent import keeps
from mixlogit.model import MixedMultinomialLogit
from mixlogit.nested import has_converged, unwrapped
from mixlogit.progress import ProgressLine
from mixlogit.summary import Block, Summarised, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ClassSelection", "select_classes"]

CRITERIA = ("aic", "bic", "caic", "sabic", "icl")


@dataclass(frozen=True, eq=False, repr=False)
class ClassSelection(Summarised):
    """Fits of several numbers of classes, and criteria to choose by.

    Parameters
    ----------
    results : mapping of int to MixedMultinomialLogitResults
        By number of classes, ascending.
    left_out : tuple of int
        Numbers of classes that were not fitted, because they were interrupted.
    """

    results: Mapping[int, Any]
    left_out: tuple[int, ...] = ()

    @cached_property
    def table(self) -> pd.DataFrame:
        """Criteria, one row per number of classes.

        ``llf``; ``n_params``, free parameters; ``aic``, ``bic``, ``caic``, ``sabic``, ``icl``, all
        with the number of individuals for N; ``entropy_r2``; ``min_share``, the share of the
        smallest class; ``converged``; ``starts_agree``, the finished starts that reached this
        log-likelihood.
        """
        rows = {}
        for n, one in self.results.items():
            rows[n] = {
                "llf": one.llf,
                "n_params": one.df_model,
                **{name: getattr(one, name) for name in CRITERIA},
                "entropy_r2": one.entropy_r2,
                "min_share": float(one.class_shares.min()),
                "converged": has_converged(unwrapped(one)),
                "starts_agree": one.certificate().n_agree,
            }
        table = pd.DataFrame.from_dict(rows, orient="index")
        return table.rename_axis(index="n_classes")

    def best(self, criterion: str = "bic") -> Any:
        """Give the fit with the smallest value of a criterion.

        Only fits that have converged take part: without a maximum the criterion does not mean
        what it says. The summary names those that are left out.

        Parameters
        ----------
        criterion : {"bic", "aic", "caic", "sabic", "icl"}

        Returns
        -------
        MixedMultinomialLogitResults

        Raises
        ------
        ArgumentError
            The criterion is unknown, or no fit has converged.
        """
        return self.results[self._best(criterion)]

    def _best(self, criterion: str) -> int:
        """Number of classes with the smallest value."""
        if criterion not in CRITERIA:
            raise ArgumentError(
                f"criterion={criterion!r} is not one of {', '.join(CRITERIA)}."
                f"{did_you_mean(criterion, CRITERIA)}"
            )
        converged = self.table[self.table["converged"]]
        if converged.empty:
            raise ArgumentError(
                "None of the fits has converged, so there is no best one. The summary says why; "
                "results holds them all."
            )
        return int(converged[criterion].idxmin())

    def bootstrap(self, n_classes: int, **keywords: Any) -> BootstrapTest:
        """Test a number of classes against one more, see `mixlogit.bootstrap_lr_test`.

        Parameters
        ----------
        n_classes : int
            Under the hypothesis; it and one more must be among the fits.
        **keywords
            Of `mixlogit.bootstrap_lr_test`.

        Returns
        -------
        BootstrapTest

        Raises
        ------
        ArgumentError
            One of the fits is missing.
        """
        for n in (n_classes, n_classes + 1):
            if n not in self.results:
                raise ArgumentError(
                    f"A fit with {n} classes is needed, but there are {[*self.results]} classes. "
                    "Add it to n_classes in select_classes."
                )
        return bootstrap_lr_test(self.results[n_classes], self.results[n_classes + 1], **keywords)

    def plot(
        self, ax: Axes | None = None, criteria: Iterable[str] = ("aic", "bic", "caic", "icl")
    ) -> Axes:
        """Plot criteria over the number of classes.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        criteria : iterable of str
            Columns of `table`.

        Returns
        -------
        matplotlib Axes
        """
        return plotting.information_criteria(self.table, ax=ax, criteria=tuple(criteria))

    def summary(self) -> Summary:
        """Table of the criteria.

        Returns
        -------
        Summary
            With ``as_text``, ``as_html``, ``as_latex`` and ``as_csv``.
        """
        table = self.table
        criteria = pd.DataFrame(
            {
                "llf": table["llf"],
                "params": table["n_params"],
                **{name.upper(): table[name] for name in ("aic", "bic", "caic", "icl")},
            }
        )
        quality = pd.DataFrame(
            {
                "SABIC": table["sabic"],
                "entropy R2": table["entropy_r2"],
                "min share": table["min_share"],
                "converged": ["yes" if one else "no" for one in table["converged"]],
                "agreeing": table["starts_agree"],
            }
        )
        for frame in (criteria, quality):
            frame.index = [classes_in_words(n) for n in table.index]
        first = next(iter(self.results.values()))
        chosen = [(name.upper(), self._choice(name)) for name in CRITERIA]
        left = [
            ("Dep. variable", first.model.endog_names),
            ("Individuals", f"{first.nobs:,}"),
            ("Choice situations", f"{first.n_situations:,}"),
            ("Choices", f"{first.n_choices:,}"),
            ("", ""),
        ]
        right = [(f"Smallest {name}", choice) for name, choice in chosen]
        return Summary(
            "Number of classes",
            header=tuple(left + right),
            blocks=(Block("Criteria", criteria), Block("Further", quality)),
            notes=tuple(self._notes()),
        )

    def _choice(self, criterion: str) -> str:
        """Number of classes that a criterion chooses, in words."""
        return str(self._best(criterion)) if self.table["converged"].any() else "none"

    def _notes(self) -> list[str]:
        """What a reader must know to choose."""
        notes = [
            "N in the criteria is the number of individuals. Criteria choose among the fits that "
            "have converged."
        ]
        if next(iter(self.results.values())).model.choices.overview.is_weighted:
            notes.append(
                "The criteria are of the log-likelihood with sampling weights of mean 1, which do "
                "not depend on their unit. It is not the log-likelihood of a sample, so prefer "
                "differences that are clear, and compare with cross_validate."
            )
        if self.left_out:
            notes.insert(0, _interrupted(self.left_out))
        for n, one in self.results.items():
            if not self.table.loc[n, "converged"]:
                beats = [
                    name.upper()
                    for name in CRITERIA
                    if not self.table.loc[n, name]
                    > self.table.loc[self.table["converged"], name].min()
                ]
                but = f" Its {', '.join(beats)} would be the smallest." if beats else ""
                notes.append(f"{classes_in_words(n)}: left out.{but} {one.certificate().message}")
        alone = [
            str(n)
            for n, one in self.results.items()
            if one.certificate().n_finished > 1 and one.certificate().n_agree == 1
        ]
        if alone:
            notes.append(
                f"With {', '.join(alone)} classes only one of the finished starts reached the "
                "log-likelihood. Raise n_starts to be surer that it is the global maximum."
            )
        return notes

    def __repr__(self) -> str:
        interrupted = ", interrupted" if self.left_out else ""
        return f"<ClassSelection of {', '.join(map(str, self.results))} classes{interrupted}>"


def select_classes(
    model: MixedMultinomialLogit,
    n_classes: Iterable[int] = range(1, 7),
    *,
    disp: bool | None = None,
    on_interrupt: str = "keep",
    **fit_kwds: Any,
) -> ClassSelection:
    """Fit several numbers of classes and compare them.

    Every fit searches as `MixedMultinomialLogit.fit` does, and from the fit before with a class
    split in two, so that the log-likelihood never falls. That holds for maximum likelihood with an
    intercept in the membership formula; with a penalty the models are not nested.

    Parameters
    ----------
    model : MixedMultinomialLogit
        Its own number of classes does not matter.
    n_classes : iterable of int
        Numbers of classes, in any order.
    disp : bool, optional
        Whether a line on standard error counts the fits; as for `MixedMultinomialLogit.fit`.
    on_interrupt : {"keep", "raise"}
        What Ctrl-C does. "keep": the numbers of classes that were finished are compared, and the
        summary says which are left out; KeyboardInterrupt is raised if there are none.
    **fit_kwds
        Of `MixedMultinomialLogit.fit`.

    Returns
    -------
    ClassSelection

    Warns
    -----
    InterruptWarning
        The fits were interrupted.

    Raises
    ------
    ArgumentError
        Numbers are missing, repeated, not whole, or more than there are individuals; constraints
        name a class; or starts are given.

    Examples
    --------
    >>> from mixlogit import MixedMultinomialLogit, datasets, select_classes
    >>> survey = datasets.load("electricity").data
    >>> model = MixedMultinomialLogit.from_formula(
    ...     "choice ~ pf + cl + loc + wk + tod + seas", survey,
    ...     situation="situation", individual="person", alternative="alt")
    >>> selection = select_classes(model, [1, 2, 3])
    >>> selection.best("bic").n_classes
    3
    """
    numbers = read_numbers(n_classes)
    refuse_rigid(fit_kwds)
    is_kept = keeps(on_interrupt)
    fits: dict[int, Any] = {}
    with each_warning_once(), ProgressLine(disp, "Numbers of classes", len(numbers)) as line:
        try:
            for one in path(model, numbers, one_of_many(fit_kwds, line)):
                fits[one.n_classes] = one
                line.step()
        except KeyboardInterrupt:
            if not (fits and is_kept):
                raise
    left_out = tuple(n for n in numbers if n not in fits)
    if left_out:
        warn(_interrupted(left_out), InterruptWarning)
    return ClassSelection(fits, left_out)


def _interrupted(left_out: tuple[int, ...]) -> str:
    """What was not fitted."""
    *rest, last = map(str, left_out)
    numbers = f"{', '.join(rest)} and {last}" if rest else last
    return f"Interrupted: there is no fit with {numbers} {verb(left_out[-1], 'class', 'classes')}."
