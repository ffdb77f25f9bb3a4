"""A bootstrap likelihood-ratio test of a number of classes against one more."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixlogit.arguments import as_generator
from mixlogit.attributes import same_rows
from mixlogit.errors import ArgumentError, InterruptWarning, MixlogitWarning, plural, warn
from mixlogit.growth import FELL, classes_in_words, fit_beyond, one_of_many, refuse_below
from mixlogit.incumbent import keeps
from mixlogit.model import MixedMultinomialLogit
from mixlogit.nested import has_converged, refuse_other_data, refuse_penalty, unwrapped
from mixlogit.offsets import same_offset
from mixlogit.progress import ProgressLine
from mixlogit.results import MixedMultinomialLogitResults
from mixlogit.simulate import redraw
from mixlogit.summary import Block, Summarised, Summary
from mixlogit.threads import share_cores

__all__ = ["BootstrapTest", "bootstrap_lr_test"]

_FEW_STARTS = 2  # of the smaller model on drawn data, beside the parameters behind them
_MAXITER = 60  # of EM there: Newton's steps do the rest sooner
_NO_LINE = ProgressLine(False, "")  # in another process


@dataclass(frozen=True, eq=False, repr=False)
class BootstrapTest(Summarised):
    """A bootstrap likelihood-ratio test of a number of classes.

    Parameters
    ----------
    n_classes : int
        Under the hypothesis; the alternative has one more.
    statistic : float
        Twice the gain in log-likelihood, the larger model fitted by the search that is used for
        the draws.
    pvalue : float
        (1 + draws at or above the statistic) / (1 + draws).
    gain : float
        By how much that search ended above the larger fit that was passed; negative if below.
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
    n_left_out : int
        Draws that were asked for and not made, because they were interrupted.
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
    n_left_out: int = 0

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
            f"{classes_in_words(self.n_classes)}, for the same individuals and choice sets, and "
            "fitted with both numbers. The p-value is (1 + draws at or above the statistic) / (1 + "
            "draws) (McLachlan 1987).",
            f"Searches that ended below the fit with fewer classes, and were repeated from it: "
            f"{self.n_negative}. Draws with a fit that did not converge: {self.n_not_converged}.",
        ]
        if self.n_left_out:
            notes.insert(0, _interrupted(self.n_left_out))
        if abs(self.gain) > FELL:
            side = "above" if self.gain > 0 else "below"
            remedy = " Fit that with more starts." if self.gain > 0 else ""
            notes.append(
                f"The search ended at a log-likelihood {abs(self.gain):.4f} {side} that of the "
                "larger fit. The statistic is that of the search, so that it compares with the "
                f"draws.{remedy}"
            )
        if self.is_weighted:
            notes.append(
                "Choices were drawn as if the sampling weights had nothing to do with tastes."
            )
        return Summary(
            f"Bootstrap test of {classes_in_words(self.n_classes)} against {self.n_classes + 1}",
            header=(
                ("Statistic", f"{self.statistic:.4f}"),
                ("P-value", f"{self.pvalue:.4g}"),
                ("Draws", f"{len(self.draws):,}"),
                ("Seed", f"{self.seed}"),
            ),
            blocks=(Block("", block),),
            notes=tuple(notes),
        )

    def __repr__(self) -> str:
        interrupted = ", interrupted" if self.n_left_out else ""
        return (
            f"<BootstrapTest of {classes_in_words(self.n_classes)} against {self.n_classes + 1}: "
            f"statistic {self.statistic:.4f}, p-value {self.pvalue:.4g}{interrupted}>"
        )


def bootstrap_lr_test(
    smaller: Any,
    larger: Any,
    n_bootstrap: int = 99,
    rng: int | np.random.Generator | None = 0,
    n_starts: int = 8,
    n_jobs: int = 1,
    *,
    disp: bool | None = None,
    on_interrupt: str = "keep",
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
        less time, but a search that misses the maximum loses power. The same search is made on
        the data: a statistic from a better one would not compare with the draws.
    n_jobs : int
        Processes; the draws do not depend on it. With more than one, a script has to guard what
        it runs by ``if __name__ == "__main__":``.
    disp : bool, optional
        Whether a line on standard error counts the draws; as for `MixedMultinomialLogit.fit`.
    on_interrupt : {"keep", "raise"}
        What Ctrl-C does. "keep": the test is made with the draws that were finished, which are
        fewer than asked for; KeyboardInterrupt is raised if there are none.

    Returns
    -------
    BootstrapTest

    Warns
    -----
    InterruptWarning
        The draws were interrupted.

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
        refuse_below(name, n, 1)
    is_kept = keeps(on_interrupt)
    _refuse_pair(smaller, larger)
    generator = as_generator(rng)
    search = _Search.of(smaller, larger, n_starts)
    parts = []
    with ProgressLine(disp, "Draws", n_bootstrap) as line:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MixlogitWarning)  # told of with the fits
            again, _ = search.larger_fit(smaller.model, smaller, generator, line)
        seeds = generator.integers(2**63, size=n_bootstrap)
        try:
            for part in _replicates(search, seeds, min(n_jobs, n_bootstrap), line):
                parts.append(part)
                line.step()
        except KeyboardInterrupt:
            if not (parts and is_kept):
                raise
    n_left_out = n_bootstrap - len(parts)
    if n_left_out:
        warn(_interrupted(n_left_out), InterruptWarning)
    draws, is_negative, is_converged = np.array(parts, dtype=float).T
    statistic = 2 * (again.llf - smaller.llf)
    return BootstrapTest(
        n_classes=smaller.n_classes,
        statistic=statistic,
        gain=again.llf - larger.llf,
        pvalue=(1 + int((draws >= statistic).sum())) / (1 + len(draws)),
        draws=draws,
        n_negative=int(is_negative.sum()),
        n_not_converged=len(draws) - int(is_converged.sum()),
        is_weighted=smaller.model.choices.is_weighted,
        seed=rng,
        n_left_out=n_left_out,
    )


def _interrupted(n_left_out: int) -> str:
    """How much is missing."""
    return f"Interrupted: {plural(n_left_out, 'draw')} of those asked for were not made."


def _replicates(
    search: _Search, seeds: np.ndarray, n_jobs: int, line: ProgressLine
) -> Iterator[tuple[float, bool, bool]]:
    """Yield replicates in the order of their seeds, from this process or from others."""
    if n_jobs == 1:
        yield from (search.replicate(seed, line) for seed in seeds)
        return
    context = multiprocessing.get_context("spawn")
    with futures.ProcessPoolExecutor(n_jobs, context, _adopt, (search,)) as pool:
        waiting = [pool.submit(_replicate_adopted, seed) for seed in seeds]
        try:
            yield from (one.result() for one in waiting)
        except BaseException:  # nobody waits for the rest
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_adopted: list[_Search] = []  # in another process: the search that it works for


def _adopt(search: _Search) -> None:
    """Take over a search, once for all replicates of a process, which Ctrl-C then ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _adopted[:] = [search]


def _replicate_adopted(seed: int) -> tuple[float, bool, bool]:
    """One replicate of the search that was taken over."""
    return _adopted[0].replicate(seed)


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

    def settings(
        self, n_starts: int, rng: np.random.Generator, line: ProgressLine
    ) -> dict[str, Any]:
        """Arguments of fit."""
        settings = {"init": self.init, "n_starts": n_starts, "maxiter": _MAXITER, "rng": rng}
        return one_of_many(settings, line)

    def larger_fit(
        self,
        model: MixedMultinomialLogit,
        null: MixedMultinomialLogitResults,
        rng: np.random.Generator,
        line: ProgressLine,
    ) -> tuple[MixedMultinomialLogitResults, bool]:
        """Fit a class more than ``null``; whether that took a second search."""
        more, settings = (
            model.with_classes(self.n_classes),
            self.settings(self.n_starts, rng, line),
        )
        fit, is_refitted = fit_beyond(more, null, settings)
        return unwrapped(fit), is_refitted

    @share_cores
    def replicate(self, seed: int, line: ProgressLine = _NO_LINE) -> tuple[float, bool, bool]:
        """Statistic of drawn choices, whether a search fell short, and whether fits converged."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MixlogitWarning)
            rng = np.random.default_rng(seed)
            drawn = redraw(self.smaller.model.choices, self.smaller._parameters, rng)
            model = self.smaller.model.with_choices(drawn)
            settings = self.settings(_FEW_STARTS, rng, line)
            null = unwrapped(model.fit(candidates=[self.smaller.params], **settings))
            full, is_refitted = self.larger_fit(model, null, rng, line)
            both = has_converged(null) and has_converged(full)
            return 2 * (full.llf - null.llf), is_refitted, both


def _refuse_pair(
    smaller: MixedMultinomialLogitResults, larger: MixedMultinomialLogitResults
) -> None:
    """Raise if two fits are not those of one model with K and K + 1 classes."""
    if larger.n_classes != smaller.n_classes + 1:
        raise ArgumentError(
            f"The smaller fit has {classes_in_words(smaller.n_classes)}, the larger one "
            f"{larger.n_classes}. Pass fits whose numbers differ by one, the smaller first."
        )
    refuse_other_data(smaller, larger)
    for name, one in (("smaller", smaller), ("larger", larger)):
        refuse_penalty(one, name)
    a, b = smaller.model, larger.model
    same_terms = (
        a.choices.exog_names == b.choices.exog_names
        and a.choices.membership_names == b.choices.membership_names
        and same_rows(a.choices.exog, b.choices.exog)
        and np.array_equal(a.choices.membership, b.choices.membership)
        and same_offset(a.choices.offset, b.choices.offset)
    )
    if not (same_terms and a.restrictions == b.restrictions):
        raise ArgumentError(
            "The two fits differ in attributes, membership covariates, offset or constraints. Fit "
            "one model with both numbers of classes; model.with_classes gives the other."
        )
    if larger.llf < smaller.llf - FELL:
        raise ArgumentError(
            f"The fit with {classes_in_words(larger.n_classes)} has a log-likelihood of "
            f"{larger.llf:.4f}, below the {smaller.llf:.4f} of the smaller one, so it did not "
            "reach its maximum. Fit it with candidates=[smaller], or use select_classes."
        )
