"""The number of classes: criteria, a bootstrap likelihood-ratio test, cross-validation.

All fit the same model with more and more classes, and every fit is also tried from the one before
with a class split in two, so that the log-likelihood does not fall.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixlogit import plotting
from mixlogit.choices import ChoiceData
from mixlogit.comparison import has_converged, refuse_other_data, refuse_penalty, unwrapped
from mixlogit.errors import (
    ArgumentError,
    ConvergenceWarning,
    IdentificationError,
    MixlogitWarning,
    did_you_mean,
    verb,
)
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.membership import with_base
from mixlogit.model import MixedMultinomialLogit
from mixlogit.results import MixedMultinomialLogitResults
from mixlogit.simulate import redraw
from mixlogit.split_merge import splits
from mixlogit.summary import Block, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BootstrapTest",
    "ClassSelection",
    "CrossValidation",
    "bootstrap_lr_test",
    "cross_validate",
    "select_classes",
]

_FEW_STARTS = 2  # of the smaller model on drawn data, beside the parameters behind them
_MAXITER = 60  # of EM there: Newton's steps do the rest sooner
CRITERIA = ("aic", "bic", "caic", "sabic", "icl")
_FELL = 1e-6  # log-likelihood: a fall that round-off does not explain
_HALVINGS = 8  # of the distance between the halves of a class
_RIGID = ("start_params", "candidates")  # arguments of fit that go with one number of classes


# -- fits of more and more classes -----------------------------------------------------------------


def _numbers(n_classes: Any) -> list[int]:
    """Numbers of classes in ascending order."""
    given = list(n_classes) if isinstance(n_classes, Iterable) else [n_classes]
    if not given:
        raise ArgumentError("n_classes is empty. Pass numbers of classes, such as range(1, 7).")
    for n in given:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise ArgumentError(f"n_classes holds {n!r}, which is not a whole number from 1 on.")
    numbers = sorted(int(n) for n in given)
    twice = [n for n, after in itertools.pairwise(numbers) if n == after]
    if twice:
        raise ArgumentError(f"n_classes holds {twice[0]} more than once.")
    return numbers


def _refuse_rigid(fit_kwds: Mapping[str, Any]) -> None:
    """Raise for starts, which have one number of classes."""
    for name in _RIGID:
        if name in fit_kwds:
            raise ArgumentError(
                f"{name} goes with one number of classes, so it cannot be given here. Every fit "
                "already starts from the one before, among others."
            )


@contextmanager
def _each_warning_once() -> Iterator[None]:
    """Leave out that a fit did not converge, which is reported, and repeat nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    told: set[tuple[type[Warning], str]] = set()
    for one in caught:
        key = (one.category, str(one.message))
        if not issubclass(one.category, ConvergenceWarning) and key not in told:
            told.add(key)
            warnings.warn(one.message, stacklevel=4)


def _value(results: Any) -> float:
    """What a fit maximises: the log-likelihood, less the penalty if there is one."""
    return float(unwrapped(results)._fit.evaluation.value)


def _path(
    model: MixedMultinomialLogit, numbers: Iterable[int], fit_kwds: Mapping[str, Any]
) -> Iterator[Any]:
    """Fit more and more classes, each also from the fit before."""
    previous = None
    for n in numbers:
        fit, _ = _fit_beyond(model.with_classes(n), previous, fit_kwds)
        previous = unwrapped(fit)
        yield fit


def _fit_beyond(
    model: MixedMultinomialLogit,
    fewer: MixedMultinomialLogitResults | None,
    fit_kwds: Mapping[str, Any],
) -> tuple[Any, bool]:
    """Fit a model, also from a fit with fewer classes; whether the search ended below that one.

    Then the fit goes on from there.
    """
    if fewer is None:
        return model.fit(**fit_kwds), False
    fit = model.fit(candidates=[_grown(fewer, model.n_classes)], **fit_kwds)
    if _value(fit) >= _value(fewer) - _FELL:
        return fit, False
    return _better(fit, _refit(model, fewer, fit_kwds)), True


def _grown(results: MixedMultinomialLogitResults, n_classes: int) -> np.ndarray:
    """Parameters with a class fewer than wanted: the classes that vary most are split in two."""
    parameters, likelihood = results._parameters, results._likelihood
    while parameters.n_classes < n_classes - 1:
        stack = splits(likelihood, parameters)
        likelihood = likelihood.with_classes(parameters.n_classes + 1)
        stack = likelihood.conform(stack)
        parameters = stack[int(likelihood.expect(stack, information=False).llf.argmax())]
    return parameters.flat()


def _refit(
    model: MixedMultinomialLogit,
    fewer: MixedMultinomialLogitResults,
    fit_kwds: Mapping[str, Any],
) -> Any:
    """Fit from a solution with fewer classes alone, whose log-likelihood is where it begins."""
    start = _split_upwards(model.likelihood(fit_kwds.get("penalty", 0.0)), fewer)
    return model.fit(start.flat(), **fit_kwds)


def _better(one: Any, other: Any) -> Any:
    """The fit of the higher value."""
    return one if _value(one) >= _value(other) else other


def _split_upwards(
    likelihood: MixtureLikelihood, fewer: MixedMultinomialLogitResults
) -> Parameters:
    """Split classes so little that the log-likelihood does not fall, or not at all."""
    own, parameters = fewer._likelihood, fewer._parameters
    while parameters.n_classes < likelihood.n_classes:
        apart = splits(own, parameters)
        own = own.with_classes(parameters.n_classes + 1)
        tried = []
        for k in range(parameters.n_classes):
            half = 0.5 * (apart.beta[k, -1] - apart.beta[k, k])
            sizes = [0.5**i for i in range(_HALVINGS)]
            tried += [_halved(parameters, k, size * half) for size in [*sizes, 0.0]]
        stack = Parameters(np.array([p.beta for p in tried]), np.array([p.gamma for p in tried]))
        stack = own.conform(stack)
        value = own.expect(stack, information=False).llf - own.penalty_at(stack.beta)
        parameters = stack[int(value.argmax())]
    return parameters


def _halved(parameters: Parameters, k: int, direction: np.ndarray) -> Parameters:
    """Split class k into two, each with half its share if membership has an intercept."""
    parts = parameters.split(k, direction)
    full = with_base(parts.gamma)
    full[[k, -1], 0] -= np.log(2)
    return Parameters(parts.beta, full[1:] - full[:1])


# -- criteria --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class ClassSelection:
    """Fits of several numbers of classes, and criteria to choose by.

    Parameters
    ----------
    results : mapping of int to MixedMultinomialLogitResults
        By number of classes, ascending.
    """

    results: Mapping[int, Any]

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
        """Test a number of classes against one more, see `bootstrap_lr_test`.

        Parameters
        ----------
        n_classes : int
            Under the hypothesis; it and one more must be among the fits.
        **keywords
            Of `bootstrap_lr_test`.

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
            frame.index = [_classes(n) for n in table.index]
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
        for n, one in self.results.items():
            if not self.table.loc[n, "converged"]:
                beats = [
                    name.upper()
                    for name in CRITERIA
                    if not self.table.loc[n, name]
                    > self.table.loc[self.table["converged"], name].min()
                ]
                but = f" Its {', '.join(beats)} would be the smallest." if beats else ""
                notes.append(f"{_classes(n)}: left out.{but} {one.certificate().message}")
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

    def __str__(self) -> str:
        return str(self.summary())

    def __repr__(self) -> str:
        return f"<ClassSelection of {', '.join(map(str, self.results))} classes>"

    def _repr_html_(self) -> str:
        return self.summary().as_html()


def select_classes(
    model: MixedMultinomialLogit, n_classes: Iterable[int] = range(1, 7), **fit_kwds: Any
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
    **fit_kwds
        Of `MixedMultinomialLogit.fit`.

    Returns
    -------
    ClassSelection

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
    numbers = _numbers(n_classes)
    _refuse_rigid(fit_kwds)
    with _each_warning_once():
        fits = {one.n_classes: one for one in _path(model, numbers, fit_kwds)}
    return ClassSelection(fits)


# -- bootstrap likelihood-ratio test ---------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class BootstrapTest:
    """A bootstrap likelihood-ratio test of a number of classes.

    Parameters
    ----------
    n_classes : int
        Under the hypothesis; the alternative has one more.
    statistic : float
        Twice the difference of the highest log-likelihoods known of the data.
    pvalue : float
        (1 + draws at or above the statistic) / (1 + draws).
    gain : float
        By how much the search that is used for the draws raised the log-likelihood of the larger
        fit; 0 if it found nothing better.
    draws : ndarray, shape (B,)
        The statistic on data drawn under the hypothesis.
    n_negative : int
        Draws whose search ended below the fit with fewer classes, and was made good from there.
    n_not_converged : int
        Draws where a fit did not end at a certified maximum; they count like the others.
    is_weighted : bool
        Whether there are sampling weights.
    seed : int, Generator or None
        What was passed as ``rng``.
    """

    n_classes: int
    statistic: float
    pvalue: float
    gain: float
    draws: np.ndarray
    n_negative: int
    n_not_converged: int
    is_weighted: bool
    seed: Any

    def summary(self) -> Summary:
        """Table of the test.

        Returns
        -------
        Summary
            With ``as_text``, ``as_html``, ``as_latex`` and ``as_csv``.
        """
        quantiles = np.quantile(self.draws, [0.5, 0.9, 0.95, 0.99])
        block = pd.DataFrame(
            {"statistic": [self.statistic, *quantiles]},
            index=["data", "draws, median", "draws, 90%", "draws, 95%", "draws, 99%"],
        )
        notes = [
            f"Choices were drawn {len(self.draws):,} times from the estimates with "
            f"{_classes(self.n_classes)}, for the same individuals and choice sets, and fitted "
            "with both numbers. The p-value is (1 + draws at or above the statistic) / (1 + "
            "draws) (McLachlan 1987).",
            f"Searches that ended below the fit with fewer classes, and were repeated from it: "
            f"{self.n_negative}. Draws with a fit that did not converge: {self.n_not_converged}.",
        ]
        if self.gain > _FELL:
            notes.append(
                f"The search found a log-likelihood {self.gain:.4f} above that of the larger fit, "
                "and the statistic is from there. Fit it with more starts."
            )
        if self.is_weighted:
            notes.append(
                "Choices were drawn as if the sampling weights had nothing to do with tastes."
            )
        return Summary(
            f"Bootstrap test of {_classes(self.n_classes)} against {self.n_classes + 1}",
            header=(
                ("Statistic", f"{self.statistic:.4f}"),
                ("P-value", f"{self.pvalue:.4g}"),
                ("Draws", f"{len(self.draws):,}"),
                ("Seed", f"{self.seed}"),
            ),
            blocks=(Block("", block),),
            notes=tuple(notes),
        )

    def __str__(self) -> str:
        return str(self.summary())

    def __repr__(self) -> str:
        return (
            f"<BootstrapTest of {_classes(self.n_classes)} against {self.n_classes + 1}: "
            f"statistic {self.statistic:.4f}, p-value {self.pvalue:.4g}>"
        )

    def _repr_html_(self) -> str:
        return self.summary().as_html()


def bootstrap_lr_test(
    smaller: Any,
    larger: Any,
    n_bootstrap: int = 99,
    rng: int | np.random.Generator | None = 0,
    n_starts: int = 8,
    n_jobs: int = 1,
) -> BootstrapTest:
    """Test a number of classes against one more, by a parametric bootstrap.

    The likelihood ratio between numbers of classes has no chi-square distribution, so its
    distribution is found by drawing choices from the smaller fit and fitting both models to them.

    Parameters
    ----------
    smaller, larger : MixedMultinomialLogitResults
        Maximum-likelihood fits of one model with K and K + 1 classes.
    n_bootstrap : int
        Draws, B. The smallest p-value is 1 / (B + 1).
    rng : int, Generator or None
        Seed of the draws and of their starts.
    n_starts : int
        Candidates of each search on drawn data, beside the smaller fit with each class split:
        latent moments where ``larger`` used them, and the kinds that it used otherwise. Fewer take
        less time, but a search that misses the maximum makes a draw too small, and so the p-value.
        The same search is made on the data, in case it finds more than ``larger``.
    n_jobs : int
        Processes; the draws do not depend on it. With more than one, a script has to guard what
        it runs by ``if __name__ == "__main__":``.

    Returns
    -------
    BootstrapTest

    Raises
    ------
    ArgumentError
        The fits are on different data, are not of one model with K and K + 1 classes, are
        penalised, or the larger has the lower log-likelihood; or a number is out of its range.

    References
    ----------
    G. J. McLachlan (1987), On bootstrapping the likelihood ratio test statistic for the number of
    components in a normal mixture. K. L. Nylund, T. Asparouhov and B. O. Muthén (2007), Deciding
    on the number of classes in latent class analysis and growth mixture modeling.
    """
    smaller, larger = unwrapped(smaller), unwrapped(larger)
    for name, n in (("n_bootstrap", n_bootstrap), ("n_starts", n_starts), ("n_jobs", n_jobs)):
        _refuse_below(name, n, 1)
    _refuse_pair(smaller, larger)
    generator = np.random.default_rng(rng)
    search = _Search.of(smaller, larger, n_starts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixlogitWarning)  # told of with the fits
        again, _ = search.larger_fit(smaller.model, smaller, generator)
    seeds = generator.integers(2**63, size=n_bootstrap)
    shares = np.array_split(seeds, min(n_jobs, n_bootstrap))
    if len(shares) == 1:
        parts = [search.replicates(seeds)]
    else:
        with ProcessPoolExecutor(len(shares), mp_context=get_context("spawn")) as pool:
            parts = list(pool.map(search.replicates, shares))
    draws, is_negative, is_converged = np.concatenate(parts).T
    statistic = 2 * (max(larger.llf, again.llf) - smaller.llf)
    return BootstrapTest(
        n_classes=smaller.n_classes,
        statistic=statistic,
        gain=max(again.llf - larger.llf, 0.0),
        pvalue=(1 + int((draws >= statistic).sum())) / (1 + n_bootstrap),
        draws=draws,
        n_negative=int(is_negative.sum()),
        n_not_converged=n_bootstrap - int(is_converged.sum()),
        is_weighted=bool((smaller.model.choices.weights != 1).any()),
        seed=rng,
    )


@dataclass(frozen=True, eq=False)
class _Search:
    """How both models are fitted to choices, the given ones and the drawn ones alike.

    Atoms of the latent moments find more of the maxima of a class too many than the other starts,
    and in less time.
    """

    smaller: MixedMultinomialLogitResults
    n_classes: int
    init: str
    n_starts: int

    @classmethod
    def of(
        cls,
        smaller: MixedMultinomialLogitResults,
        larger: MixedMultinomialLogitResults,
        n_starts: int,
    ) -> _Search:
        """Choose the kind of starts by those of the larger fit."""
        has_moments = larger.moment_params is not None
        init = "moments" if has_moments else larger.mle_settings["init"]
        return cls(smaller, larger.n_classes, init, n_starts)

    def settings(self, n_starts: int, rng: np.random.Generator) -> dict[str, Any]:
        """Arguments of fit."""
        return {"init": self.init, "n_starts": n_starts, "maxiter": _MAXITER, "rng": rng}

    def larger_fit(
        self,
        model: MixedMultinomialLogit,
        null: MixedMultinomialLogitResults,
        rng: np.random.Generator,
    ) -> tuple[MixedMultinomialLogitResults, bool]:
        """Fit a class more than ``null``; whether that took a second search."""
        more, settings = model.with_classes(self.n_classes), self.settings(self.n_starts, rng)
        fit, is_refitted = _fit_beyond(more, null, settings)
        return unwrapped(fit), is_refitted

    def replicates(self, seeds: np.ndarray) -> np.ndarray:
        """Statistic of drawn choices, whether a search fell short, and whether fits converged."""
        rows = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MixlogitWarning)
            for seed in seeds:
                rng = np.random.default_rng(seed)
                drawn = redraw(self.smaller.model.choices, self.smaller._parameters, rng)
                model = self.smaller.model.with_choices(drawn)
                settings = self.settings(_FEW_STARTS, rng)
                null = unwrapped(model.fit(candidates=[self.smaller.params], **settings))
                full, is_refitted = self.larger_fit(model, null, rng)
                both = has_converged(null) and has_converged(full)
                rows.append((2 * (full.llf - null.llf), is_refitted, both))
        return np.array(rows, dtype=float)


def _refuse_pair(
    smaller: MixedMultinomialLogitResults, larger: MixedMultinomialLogitResults
) -> None:
    """Raise if two fits are not those of one model with K and K + 1 classes."""
    if larger.n_classes != smaller.n_classes + 1:
        raise ArgumentError(
            f"The smaller fit has {_classes(smaller.n_classes)}, the larger one "
            f"{larger.n_classes}. Pass fits whose numbers differ by one, the smaller first."
        )
    refuse_other_data(smaller, larger)
    for name, one in (("smaller", smaller), ("larger", larger)):
        refuse_penalty(one, name)
    a, b = smaller.model, larger.model
    same_terms = (
        a.choices.exog_names == b.choices.exog_names
        and a.choices.membership_names == b.choices.membership_names
        and np.array_equal(a.choices.exog, b.choices.exog)
        and np.array_equal(a.choices.membership, b.choices.membership)
    )
    if not (same_terms and a.restrictions == b.restrictions):
        raise ArgumentError(
            "The two fits differ in attributes, membership covariates or constraints. Fit one "
            "model with both numbers of classes; model.with_classes gives the other."
        )
    if larger.llf < smaller.llf - _FELL:
        raise ArgumentError(
            f"The fit with {_classes(larger.n_classes)} has a log-likelihood of {larger.llf:.4f}, "
            f"below the {smaller.llf:.4f} of the smaller one, so it did not reach its maximum. "
            "Fit it with candidates=[smaller], or use select_classes."
        )


def _refuse_below(name: str, value: Any, least: int) -> None:
    """Raise for what is no whole number from some number on."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(f"{name}={value!r} must be a whole number of at least {least}.")


def _classes(n: int) -> str:
    """Write a number of classes."""
    return f"{n} {verb(n, 'class', 'classes')}"


# -- cross-validation ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation:
    """Log-likelihood of individuals whom a fit has not seen, by number of classes.

    Parameters
    ----------
    table : DataFrame
        Index: number of classes. ``llf``, mean held-out log-likelihood of an individual, and
        ``std err``; ``llf per choice``, and ``std err per choice``; ``behind``, by how much the
        mean falls short of the best one, and ``std err behind``, from differences within
        individuals; ``not converged``, folds whose fit did not end at a certified maximum.
        Standard errors are over individuals, and take the fits as given.
    folds : DataFrame, shape (K, folds)
        Mean held-out log-likelihood of an individual in each fold.
    n_individuals : int
    seed : int, Generator or None
        What was passed as ``rng``.
    """

    table: pd.DataFrame
    folds: pd.DataFrame
    n_individuals: int
    seed: Any

    @property
    def best(self) -> int:
        """Number of classes with the highest mean."""
        return int(self.table["llf"].idxmax())

    def summary(self) -> Summary:
        """Table of the means.

        Returns
        -------
        Summary
            With ``as_text``, ``as_html``, ``as_latex`` and ``as_csv``.
        """
        shown = self.table.drop(columns="std err per choice").rename(
            columns={
                "llf per choice": "per choice",
                "std err behind": "its std err",
                "not converged": "failed",
            }
        )
        shown.index = [_classes(n) for n in shown.index]
        return Summary(
            "Cross-validation",
            header=(
                ("Individuals", f"{self.n_individuals:,}"),
                ("Folds", f"{self.folds.shape[1]}"),
                ("Highest", _classes(self.best)),
                ("Seed", f"{self.seed}"),
            ),
            blocks=(Block("Held-out log-likelihood of an individual", shown),),
            notes=(
                "Individuals were held out with all their choices. Standard errors are over "
                "individuals; those of what is behind the best come from differences within "
                "individuals. Failed are folds whose fit did not end at a certified maximum.",
            ),
        )

    def __str__(self) -> str:
        return str(self.summary())

    def __repr__(self) -> str:
        return f"<CrossValidation of {', '.join(map(str, self.table.index))} classes>"

    def _repr_html_(self) -> str:
        return self.summary().as_html()


def cross_validate(
    model: MixedMultinomialLogit,
    n_classes: Iterable[int] = range(1, 7),
    n_folds: int = 10,
    rng: int | np.random.Generator | None = 0,
    **fit_kwds: Any,
) -> CrossValidation:
    """Compare numbers of classes by the log-likelihood of individuals held out.

    Individuals, with all their choices, are dealt into folds; each fold is predicted by fits to
    the others. Where choices have no individuals, every choice is one: those behind a count are
    dealt one by one. Sampling weights count in the fits and in the means.

    Parameters
    ----------
    model : MixedMultinomialLogit
        Its own number of classes does not matter.
    n_classes : iterable of int
        Numbers of classes, in any order.
    n_folds : int
    rng : int, Generator or None
        Seed of the folds, and then of the starts.
    **fit_kwds
        Of `MixedMultinomialLogit.fit`.

    Returns
    -------
    CrossValidation

    Raises
    ------
    ArgumentError
        As for `select_classes`, or there are not as many individuals as folds.
    IdentificationError
        An attribute does not vary among the individuals of some folds.
    """
    numbers = _numbers(n_classes)
    _refuse_rigid(fit_kwds)
    _refuse_below("n_folds", n_folds, 2)
    data = model.choices
    if n_folds > data.n_individuals:
        raise ArgumentError(
            f"n_folds={n_folds}, but there are only {data.n_individuals:,} individuals."
        )
    generator = np.random.default_rng(rng)
    held = _folds(data.entries.frequency, n_folds, generator)
    likelihoods = [model.with_classes(n).likelihood() for n in numbers]
    parts: list[np.ndarray] = []
    n_failed = np.zeros(len(numbers), dtype=int)
    with _each_warning_once():
        for fold, own in enumerate(held):
            seen = model.with_choices(_others(data, own, fold))
            fits = list(_path(seen, numbers, {**fit_kwds, "rng": generator}))
            log_f = [
                likelihood.posterior(unwrapped(fit)._parameters)[0][own > 0]
                for likelihood, fit in zip(likelihoods, fits, strict=True)
            ]
            parts.append(np.array(log_f))
            n_failed += [not has_converged(unwrapped(fit)) for fit in fits]
    of_fold, person = np.nonzero(held)
    table, by_fold = _held_out(
        np.hstack(parts),
        of_fold,
        held[of_fold, person],
        data.weights[person],
        data.choices_per_individual[person],
    )
    table["not converged"] = n_failed
    index = pd.Index(numbers, name="n_classes")
    columns = pd.RangeIndex(1, n_folds + 1, name="fold")
    return CrossValidation(
        table.set_index(index), pd.DataFrame(by_fold, index, columns), data.n_individuals, rng
    )


def _folds(frequency: np.ndarray, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """How many of each distinct individual are in each fold, (folds, N).

    Where all individuals are distinct, the folds are as even as can be.
    """
    if (frequency == 1).all():
        fold = rng.permutation(len(frequency)) % n_folds
        return (fold == np.arange(n_folds)[:, None]).astype(float)
    equal = np.full(n_folds, 1 / n_folds)
    return rng.multinomial(frequency.astype(np.int64), equal).T.astype(float)


def _others(data: ChoiceData, held: np.ndarray, fold: int) -> ChoiceData:
    """The data without the individuals who are held out."""
    try:
        return data.take(data.entries.frequency - held)
    except IdentificationError as error:
        raise IdentificationError(
            f"Without the individuals of fold {fold + 1}: {error} Use fewer classes of that "
            "kind, more folds, or another rng."
        ) from error


def _held_out(
    value: np.ndarray,
    fold: np.ndarray,
    number: np.ndarray,
    weight: np.ndarray,
    n_choices: np.ndarray,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Means over individuals held out, and their errors.

    Parameters
    ----------
    value : ndarray, shape (K, M)
        Log-likelihood of each distinct individual under the fits without its fold.
    fold : ndarray of int, shape (M,)
    number : ndarray, shape (M,)
        How many individuals each stands for.
    weight, n_choices : ndarray, shape (M,)

    Returns
    -------
    table : DataFrame, K rows
    by_fold : ndarray, shape (K, folds)
    """
    ones = np.ones(len(fold))
    per_person = _ratio(value, ones, weight, number)
    per_choice = _ratio(value, n_choices, weight, number)
    best = int(per_person[0].argmax())
    behind = _ratio(value[best] - value, ones, weight, number)
    total = np.bincount(fold, weights=weight * number)
    by_fold = np.array([np.bincount(fold, weights=weight * number * one) for one in value]) / total
    table = pd.DataFrame(
        {
            "llf": per_person[0],
            "std err": per_person[1],
            "llf per choice": per_choice[0],
            "std err per choice": per_choice[1],
            "behind": behind[0],
            "std err behind": behind[1],
        }
    )
    return table, by_fold


def _ratio(
    value: np.ndarray, size: np.ndarray, weight: np.ndarray, number: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted sums (K,) of values over those of sizes, with errors over individuals.

    Parameters
    ----------
    value : ndarray, shape (K, M)
    size, weight : ndarray, shape (M,)
    number : ndarray, shape (M,)
        How many individuals each stands for.
    """
    total = (number * weight) @ size
    mean = value @ (number * weight) / total
    residual = weight * (value - mean[:, None] * size)
    n = number.sum()
    return mean, np.sqrt(n / (n - 1) * (residual**2 @ number)) / total
