"""The logit with one class of a table: where searches begin, and what classes are measured by.

Searches, moments, certificates and summaries share its evaluations, which are made once for each
table and penalty.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from mixlogit.axes import Axes
from mixlogit.likelihood import Evaluation, MixtureLikelihood
from mixlogit.logit import ChoiceTable
from mixlogit.newton import Ascent, maximise

__all__ = [
    "at_equal_probabilities",
    "axes_of_one",
    "information_of_one",
    "pooled_ascent",
    "pooled_logit",
]

_WHOLE_STEPS = 1e6  # first trust region of a concave function: steps are as long as Newton's
_ENOUGH = 1e-14  # a start, and a unit: to a ten-millionth of a standard error

_starts: WeakKeyDictionary[ChoiceTable, dict[float, Evaluation]] = WeakKeyDictionary()
_ascents: WeakKeyDictionary[ChoiceTable, dict[float, Ascent[Evaluation]]] = WeakKeyDictionary()


def at_equal_probabilities(likelihood: MixtureLikelihood) -> Evaluation:
    """The logit with one class where all tastes are zero: an offset alone tells rows apart."""
    known = _starts.setdefault(likelihood.table, {})
    if likelihood.penalty not in known:
        one = likelihood.with_classes(1)
        known[likelihood.penalty] = one.evaluate(np.zeros(one.n_params))
    return known[likelihood.penalty]


def pooled_ascent(likelihood: MixtureLikelihood) -> Ascent[Evaluation]:
    """Maximum of the logit with one class, without constraints."""
    known = _ascents.setdefault(likelihood.table, {})
    if likelihood.penalty not in known:
        one = likelihood.with_classes(1)
        known[likelihood.penalty] = maximise(
            one.evaluate,
            np.zeros(one.n_params),
            here=at_equal_probabilities(likelihood),
            radius=_WHOLE_STEPS,
            enough=_ENOUGH,
        )
    return known[likelihood.penalty]


def pooled_logit(likelihood: MixtureLikelihood) -> np.ndarray:
    """Coefficients (L,) of the logit with one class."""
    return pooled_ascent(likelihood).x


def axes_of_one(likelihood: MixtureLikelihood) -> Axes:
    """Axes of the information of the logit with one class, for searches on its table.

    Those of single columns where restrictions are stated of these.
    """
    if not likelihood.constraints.is_none:
        return Axes.of_columns(likelihood.data.exog_scale)
    ascent = pooled_ascent(likelihood)
    return Axes.principal(likelihood.data.exog_covariance, -ascent.evaluation.hessian, ascent.x)


def information_of_one(likelihood: MixtureLikelihood, tastes: np.ndarray) -> np.ndarray:
    """Information of one choice under one logit (L,), the mean of all, (L, L)."""
    n_choices = float(likelihood.data.choices_per_individual @ likelihood.weight)
    ascent = pooled_ascent(likelihood)
    if np.array_equal(tastes, ascent.x):
        return -ascent.evaluation.hessian / n_choices
    return -likelihood.with_classes(1).evaluate(tastes).hessian / n_choices
