"""Fits of more and more classes, each also from the one before.

With a class split in two, a fit begins no lower than the one with a class less ended, so the
log-likelihood does not fall.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from mixlogit.errors import ArgumentError, ConvergenceWarning, verb, warn
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.membership import with_base
from mixlogit.model import MixedMultinomialLogit
from mixlogit.nested import unwrapped
from mixlogit.progress import ProgressLine
from mixlogit.results import MixedMultinomialLogitResults
from mixlogit.split_merge import splits
from mixlogit.threads import share_cores

__all__ = [
    "FELL",
    "classes_in_words",
    "each_warning_once",
    "fit_beyond",
    "one_of_many",
    "path",
    "read_numbers",
    "refuse_below",
    "refuse_rigid",
]

FELL = 1e-6  # log-likelihood: a fall that round-off does not explain
_HALVINGS = 8  # of the distance between the halves of a class
_RIGID = ("start_params", "candidates")  # arguments of fit that go with one number of classes


def classes_in_words(n: int) -> str:
    """Write a number of classes: "1 class", "2 classes".

    Parameters
    ----------
    n : int
    """
    return f"{n} {verb(n, 'class', 'classes')}"


def refuse_below(name: str, value: Any, least: int) -> None:
    """Raise for what is no whole number from some number on.

    Parameters
    ----------
    name : str
        Of the argument.
    value : object
    least : int

    Raises
    ------
    ArgumentError
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(f"{name}={value!r} must be a whole number of at least {least}.")


def read_numbers(n_classes: Any) -> list[int]:
    """Read numbers of classes.

    Parameters
    ----------
    n_classes : int or iterable of int

    Returns
    -------
    list of int
        Ascending.

    Raises
    ------
    ArgumentError
        There are none, one occurs twice, or one is no whole number from 1 on.
    """
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


def refuse_rigid(fit_kwds: Mapping[str, Any]) -> None:
    """Raise for starts among the arguments of fit: they have one number of classes.

    Parameters
    ----------
    fit_kwds : mapping

    Raises
    ------
    ArgumentError
    """
    for name in _RIGID:
        if name in fit_kwds:
            raise ArgumentError(
                f"{name} goes with one number of classes, so it cannot be given here. Every fit "
                "already starts from the one before, among others."
            )


def one_of_many(fit_kwds: Mapping[str, Any], line: ProgressLine) -> dict[str, Any]:
    """Arguments of fit for a fit among many, which share one line and end together.

    Parameters
    ----------
    fit_kwds : mapping
    line : ProgressLine
        Of all fits together.

    Returns
    -------
    dict
    """
    callback = line.watch(fit_kwds.get("callback"))
    return {**fit_kwds, "callback": callback, "disp": False, "on_interrupt": "raise"}


@contextmanager
def each_warning_once() -> Iterator[None]:
    """Leave out that a fit did not converge, which is reported, and repeat nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    told: set[tuple[type[Warning], str]] = set()
    for one in caught:
        key = (one.category, str(one.message))
        if not issubclass(one.category, ConvergenceWarning) and key not in told:
            told.add(key)
            warn(one.message)


def _value(results: Any) -> float:
    """What a fit maximises: the log-likelihood, less the penalty if there is one."""
    return float(unwrapped(results)._fit.evaluation.value)


def path(
    model: MixedMultinomialLogit, numbers: Iterable[int], fit_kwds: Mapping[str, Any]
) -> Iterator[Any]:
    """Fit more and more classes, each also from the fit before.

    Parameters
    ----------
    model : MixedMultinomialLogit
    numbers : iterable of int
        Ascending numbers of classes.
    fit_kwds : mapping
        Arguments of fit.

    Yields
    ------
    MixedMultinomialLogitResults
    """
    previous = None
    for n in numbers:
        fit, _ = fit_beyond(model.with_classes(n), previous, fit_kwds)
        previous = unwrapped(fit)
        yield fit


@share_cores
def fit_beyond(
    model: MixedMultinomialLogit,
    fewer: MixedMultinomialLogitResults | None,
    fit_kwds: Mapping[str, Any],
) -> tuple[Any, bool]:
    """Fit a model, also from a fit with fewer classes.

    If the search ends below that one, the fit starts again from it alone.

    Parameters
    ----------
    model : MixedMultinomialLogit
    fewer : MixedMultinomialLogitResults or None
    fit_kwds : mapping
        Arguments of fit.

    Returns
    -------
    results : MixedMultinomialLogitResults
    fell_short : bool
        Whether the search ended below ``fewer``.
    """
    if fewer is None:
        return model.fit(**fit_kwds), False
    fit = model.fit(candidates=[_grown(fewer, model.n_classes)], **fit_kwds)
    if _value(fit) >= _value(fewer) - FELL:
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
