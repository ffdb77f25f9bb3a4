"""Cross-validation of the number of classes, over folds of individuals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixlogit.arguments import as_generator
from mixlogit.attributes import blocks_of_situations
from mixlogit.choices import ChoiceData
from mixlogit.errors import (
    ArgumentError,
    IdentificationError,
    InterruptWarning,
    plural,
    show,
    warn,
)
from mixlogit.growth import (
    classes_in_words,
    each_warning_once,
    one_of_many,
    path,
    read_numbers,
    refuse_below,
    refuse_rigid,
)
from mixlogit.incumbent import keeps
from mixlogit.model import MixedMultinomialLogit
from mixlogit.nested import has_converged, unwrapped
from mixlogit.progress import ProgressLine
from mixlogit.summary import Block, Summarised, Summary

__all__ = ["CrossValidation", "cross_validate"]

_LOST = 1e-10  # of the variation of columns, in squares: a combination that does not vary
_SEEN = 1e-8  # of the size of what is added up: no round-off


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation(Summarised):
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
        Held out, in all folds together.
    seed : int, Generator or None
        What was passed as ``rng``.
    n_left_out : int
        Folds that were not held out, because they were interrupted.
    """

    table: pd.DataFrame
    folds: pd.DataFrame
    n_individuals: int
    seed: Any
    n_left_out: int = 0

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
        shown.index = [classes_in_words(n) for n in shown.index]
        interrupted = () if not self.n_left_out else (_interrupted(self.n_left_out),)
        return Summary(
            "Cross-validation",
            header=(
                ("Individuals", f"{self.n_individuals:,}"),
                ("Folds", f"{self.folds.shape[1]}"),
                ("Highest", classes_in_words(self.best)),
                ("Seed", f"{self.seed}"),
            ),
            blocks=(Block("Held-out log-likelihood of an individual", shown),),
            notes=(
                *interrupted,
                "Individuals were held out with all their choices. Standard errors are over "
                "individuals; those of what is behind the best come from differences within "
                "individuals. Failed are folds whose fit did not end at a certified maximum.",
            ),
        )

    def __repr__(self) -> str:
        interrupted = ", interrupted" if self.n_left_out else ""
        return f"<CrossValidation of {', '.join(map(str, self.table.index))} classes{interrupted}>"


def cross_validate(
    model: MixedMultinomialLogit,
    n_classes: Iterable[int] = range(1, 7),
    n_folds: int = 10,
    rng: int | np.random.Generator | None = 0,
    *,
    disp: bool | None = None,
    on_interrupt: str = "keep",
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
        How many, two at least.
    rng : int, Generator or None
        Seed of the folds, and then of the starts.
    disp : bool, optional
        Whether a line on standard error counts the folds; as for `MixedMultinomialLogit.fit`.
    on_interrupt : {"keep", "raise"}
        What Ctrl-C does. "keep": the means are over the folds that were finished, and the summary
        says how many are missing; KeyboardInterrupt is raised if there are none.
    **fit_kwds
        Of `MixedMultinomialLogit.fit`.

    Returns
    -------
    CrossValidation

    Warns
    -----
    InterruptWarning
        The folds were interrupted.

    Raises
    ------
    ArgumentError
        As for `select_classes`, or there are not as many individuals as folds.
    IdentificationError
        An attribute does not vary among the individuals of some folds.
    """
    numbers = read_numbers(n_classes)
    refuse_rigid(fit_kwds)
    refuse_below("n_folds", n_folds, 2)
    is_kept = keeps(on_interrupt)
    data = model.choices
    if n_folds > data.n_individuals:
        raise ArgumentError(
            f"n_folds={n_folds}, but there are only {data.n_individuals:,} individuals."
        )
    generator = as_generator(rng)
    held = _folds(data.entries.frequency, n_folds, generator)
    likelihoods = [model.with_classes(n).likelihood() for n in numbers]
    parts: list[tuple[np.ndarray, list[bool]]] = []  # of each fold: (K, people), whether it failed
    with each_warning_once(), ProgressLine(disp, "Folds", n_folds) as line:
        fit_kwds = {**one_of_many(fit_kwds, line), "rng": generator}
        try:
            for fold, own in enumerate(held):
                seen = model.with_choices(_others(data, own, fold))
                fits = [unwrapped(fit) for fit in path(seen, numbers, fit_kwds)]
                log_f = [
                    likelihood.posterior(fit._parameters)[0][own > 0]
                    for likelihood, fit in zip(likelihoods, fits, strict=True)
                ]
                parts.append((np.array(log_f), [not has_converged(fit) for fit in fits]))
                line.step()
        except KeyboardInterrupt:
            if not (parts and is_kept):
                raise
    held = held[: len(parts)]
    n_left_out = n_folds - len(parts)
    if n_left_out:
        warn(_interrupted(n_left_out), InterruptWarning)
    of_fold, person = np.nonzero(held)
    table, by_fold = _held_out(
        np.hstack([log_f for log_f, _ in parts]),
        of_fold,
        held[of_fold, person],
        data.weights[person],
        data.choices_per_individual[person],
    )
    table["not converged"] = np.sum([is_failed for _, is_failed in parts], axis=0)
    index = pd.Index(numbers, name="n_classes")
    columns = pd.RangeIndex(1, len(parts) + 1, name="fold")
    return CrossValidation(
        table.set_index(index),
        pd.DataFrame(by_fold, index, columns),
        int(held.sum()),
        rng,
        n_left_out,
    )


def _interrupted(n_left_out: int) -> str:
    """How much is missing."""
    return (
        f"Interrupted: the individuals of {plural(n_left_out, 'fold')} were not held out, and are "
        "in no mean."
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
            f"Without the individuals of fold {fold + 1}: {error}{_who_has_it(data, held)}"
        ) from error


def _who_has_it(data: ChoiceData, held: np.ndarray) -> str:
    """Say who alone tells some columns apart, and what to do about it, as sentences."""
    frequency = data.entries.frequency
    stays = frequency > held
    for names, values in (
        (data.exog_names, _within_situations(data)),
        (data.membership_names, [(np.arange(data.n_distinct), data.membership)]),
    ):
        gram = sum(part[stays[person]].T @ part[stays[person]] for person, part in values)
        direction = _lost_direction(gram)
        if direction is None:
            continue
        has = np.zeros(data.n_distinct, dtype=bool)
        for person, part in values:
            size = np.abs(part) @ np.abs(direction)
            np.logical_or.at(has, person, np.abs(part @ direction) > _SEEN * size)
        if not has.any():
            continue
        lost = [names[i] for i in np.flatnonzero(np.abs(direction) > _SEEN)]
        apart = " and ".join(repr(name) for name in lost if name != "Intercept")
        who = show(data.entries.ids[int(np.argmax(has))])
        n = round(float(has @ frequency))
        if n == 1:
            return (
                f" Only one individual, {who}, tells {apart} apart from what all others have. "
                "Whichever fold that is in, the others are without it: merge a level that one "
                "individual has with another level, or leave the term or the individual out."
            )
        return (
            f" Only {n:,} individuals, the first of whom is {who}, tell {apart} apart from what "
            "all others have, and all of them are in this fold. Use more folds or another rng, or "
            "merge a rare level with another."
        )
    return " Use more folds, or another rng."


def _lost_direction(gram: np.ndarray) -> np.ndarray | None:
    """Combination (n,) of columns of which products (n, n) show nothing; None if there is none."""
    scale = np.sqrt(np.diag(gram))
    if not scale.all():
        return np.where(scale == 0, 1.0, 0.0) * (np.cumsum(scale == 0) == 1)
    value, vector = np.linalg.eigh(gram / np.outer(scale, scale))
    return vector[:, 0] / scale / np.abs(vector[:, 0] / scale).max() if value[0] < _LOST else None


def _within_situations(data: ChoiceData) -> list[tuple[np.ndarray, np.ndarray]]:
    """Attributes of the choice sets less their means there, with who faces them, piece by piece.

    Each choice set stands there for the first individual who chooses from it.
    """
    start = data.arrangement.situation_start
    situation, entry = np.unique(data.situation_of(data.entries.row), return_index=True)
    facing = np.zeros(data.n_situations, dtype=np.intp)
    person = np.repeat(np.arange(data.n_distinct), np.diff(data.entries.start))
    facing[situation] = person[entry]
    pieces = []
    for situations in blocks_of_situations(start):
        sizes = data.arrangement.sizes[situations]
        block = data.exog[start[situations.start] : start[situations.stop]]
        mean = np.add.reduceat(block, np.cumsum(sizes) - sizes, axis=0) / sizes[:, None]
        centred = block - np.repeat(mean, sizes, axis=0)
        pieces.append((np.repeat(facing[situations], sizes), centred))
    return pieces


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
