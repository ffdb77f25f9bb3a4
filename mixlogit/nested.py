"""Tests between nested results, and of blocks of membership coefficients.

A likelihood-ratio test is refused wherever it can be seen that its statistic has no chi-square
distribution, or that the two models are not nested.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.linalg
from scipy import stats
from statsmodels.base.model import LikelihoodModelResults

from mixlogit.choices import ChoiceData
from mixlogit.constraints import Constraints
from mixlogit.errors import ArgumentError, plural, show
from mixlogit.offsets import same_offset

if TYPE_CHECKING:
    from mixlogit.results import MixedMultinomialLogitResults

__all__ = [
    "LikelihoodRatioTest",
    "data_difference",
    "has_converged",
    "lr_test",
    "membership_tests",
    "refuse_other_data",
    "refuse_penalty",
    "unwrapped",
]

_ROUND_OFF = 1e-10  # relative: what a projection leaves of a column in the span of others
_SAME_LLF = 1e-6  # by so much a maximum may fall short by round-off


def unwrapped(results: Any) -> MixedMultinomialLogitResults:
    """Results without the wrapper that labels their arrays.

    Parameters
    ----------
    results : MixedMultinomialLogitResults

    Raises
    ------
    ArgumentError
        They are something else.
    """
    bare = getattr(results, "_results", results)
    if not (isinstance(bare, LikelihoodModelResults) and hasattr(bare, "n_classes")):
        raise ArgumentError(
            f"Results of MixedMultinomialLogit.fit are needed, not {type(results).__name__}."
        )
    return bare


def has_converged(results: MixedMultinomialLogitResults) -> bool:
    """Whether a fit ended at a maximum, or where EM alone was asked to end."""
    return results.converged or results.certificate().status == "em"


# -- the data --------------------------------------------------------------------------------------


def data_difference(one: ChoiceData, other: ChoiceData) -> str:
    """Say in what two sets of choices differ, apart from attributes and covariates.

    Parameters
    ----------
    one, other : ChoiceData

    Returns
    -------
    str
        Part of a sentence, such as "361 and 360 individuals"; empty if they do not differ.
    """
    for what in ("individuals", "choices", "situations", "rows"):
        n, m = getattr(one, f"n_{what}"), getattr(other, f"n_{what}")
        if n != m:
            return f"{n:,} and {m:,} {what}"
    ids, others = one.arrangement.individual_ids, other.arrangement.individual_ids
    if ids is not None and others is not None and not ids.equals(others):
        alone = [*ids[~ids.isin(others)], *others[~others.isin(ids)]]
        return f"other individuals, such as {show(alone[0])} in one of them alone"
    if not np.array_equal(_situations(one), _situations(other)):
        return "other choice sets"
    n, m = _choices(one), _choices(other)
    if n.shape != m.shape or not np.array_equal(n[:, :4], m[:, :4]):
        return "other choices"
    if not np.allclose(n[:, 4], m[:, 4], rtol=_ROUND_OFF, atol=0):
        return "other sampling weights"
    return ""


def _situations(data: ChoiceData) -> np.ndarray:
    """Rows of the user's table that were used, and their situation by first occurrence, (2, R)."""
    order = np.argsort(data.arrangement.order, kind="stable")
    situation = pd.factorize(data.situation_of_rows()[order])[0]
    return np.vstack([data.arrangement.order[order], situation])


def _is_anonymous(data: ChoiceData) -> bool:
    """Whether every choice is by an individual of its own."""
    return data.arrangement.individual_ids is None and bool(
        (data.choices_per_individual == 1).all()
    )


def _choices(data: ChoiceData) -> np.ndarray:
    """Individual, row of the user's table, count, frequency and weight of each entry, (E, 5)."""
    entries = data.entries
    person = np.repeat(np.arange(data.n_distinct), np.diff(entries.start))
    columns = [
        np.zeros(len(person)) if _is_anonymous(data) else person,
        data.arrangement.order[entries.row],
        entries.count,
        entries.frequency[person],
        data.weights[person],
    ]
    return np.column_stack(columns)[np.lexsort(columns[::-1])]


# -- nesting ---------------------------------------------------------------------------------------


def _embedding(
    restricted: ChoiceData, general: ChoiceData, n_classes: int
) -> tuple[np.ndarray | None, str]:
    """Matrix (D, d) that gives the general parameters with the utilities of restricted ones.

    None, and the column at fault, if there is no such matrix.
    """
    place = np.empty(int(restricted.arrangement.order.max()) + 1, dtype=np.intp)
    place[restricted.arrangement.order] = np.arange(restricted.n_rows)
    same_order = place[general.arrangement.order]
    offset = restricted.offset
    if not same_offset(None if offset is None else offset[:, same_order], general.offset):
        return None, "the offset"
    tastes, missing = _coordinates(
        np.asarray(restricted.exog),
        same_order,
        restricted.exog_names,
        np.asarray(general.exog),
        general.exog_names,
        general.arrangement.situation_start,
    )
    if tastes is None:
        return None, f"attribute {missing!r}"
    people = [np.arange(general.n_distinct)] * 2
    if _is_anonymous(general):
        rows = [data.arrangement.order[data.entries.row] for data in (restricted, general)]
        people = [np.argsort(row, kind="stable") for row in rows]
    gate, missing = _coordinates(
        restricted.membership,
        people[0],
        restricted.membership_names,
        general.membership[people[1]],
        general.membership_names,
        None,
    )
    if gate is None:
        return None, f"membership covariate {missing!r}"
    blocks = [*[tastes] * n_classes, *[gate] * (n_classes - 1)]
    return scipy.linalg.block_diag(*blocks), ""


def _coordinates(
    columns: np.ndarray,
    order: np.ndarray,
    names: Sequence[str],
    basis: np.ndarray,
    basis_names: Sequence[str],
    situation_start: np.ndarray | None,
) -> tuple[np.ndarray | None, str]:
    """Coordinates (L, l) of columns (R, l) in others (R, L), or the first column without any.

    The columns are put in an order first. What is constant within situations does not count, if
    there are situations.
    """
    out = np.zeros((basis.shape[1], columns.shape[1]))
    rest = []
    for j, name in enumerate(names):
        column = columns[order, j]
        if name in basis_names and np.array_equal(column, basis[:, basis_names.index(name)]):
            out[basis_names.index(name), j] = 1.0
        else:
            rest.append((j, _within(column[:, None], situation_start)))
    if rest:
        centred = _within(basis, situation_start)
        scale = np.sqrt((centred**2).sum(axis=0))
        q, r = np.linalg.qr(centred / scale)
    for j, column in rest:
        load = q.T @ column[:, 0]
        left = column[:, 0] - q @ load
        if left @ left > _ROUND_OFF**2 * len(left) * (column[:, 0] @ column[:, 0]):
            return None, names[j]
        out[:, j] = np.linalg.solve(r, load) / scale
    return out, ""


def _within(columns: np.ndarray, situation_start: np.ndarray | None) -> np.ndarray:
    """Deviations from the means of situations."""
    if situation_start is None:
        return columns
    size = np.diff(situation_start)
    mean = np.add.reduceat(columns, situation_start[:-1], axis=0) / size[:, None]
    return columns - np.repeat(mean, size, axis=0)


def _is_within(narrow: Constraints, wide: Constraints, embedding: np.ndarray) -> bool:
    """Whether all parameters that meet some constraints meet others, once they are embedded."""
    if wide.basis is None:
        return True
    basis = np.eye(embedding.shape[1]) if narrow.basis is None else narrow.basis
    points = np.column_stack([embedding @ basis, embedding @ narrow.origin - wide.origin])
    left = points - wide.basis @ np.linalg.lstsq(wide.basis, points, rcond=None)[0]
    return bool((np.abs(left) <= _ROUND_OFF * max(1.0, np.abs(points).max())).all())


# -- likelihood-ratio test -------------------------------------------------------------------------


@dataclass(frozen=True)
class LikelihoodRatioTest:
    """A likelihood-ratio test between nested results.

    Parameters
    ----------
    statistic : float
        Twice the difference of the log-likelihoods.
    df : int
        Difference of the numbers of free parameters.
    pvalue : float
        Of the chi-square distribution.
    """

    statistic: float
    df: int
    pvalue: float

    def __str__(self) -> str:
        return (
            f"Likelihood-ratio test: chi2({self.df}) = {self.statistic:.4f}, "
            f"p-value {self.pvalue:.4g}"
        )


def lr_test(restricted: Any, general: Any) -> LikelihoodRatioTest:
    """Likelihood-ratio test of a restriction, with the number of classes the same.

    Parameters
    ----------
    restricted, general : MixedMultinomialLogitResults
        Maximum-likelihood fits on the same choices. The restricted model may lack attributes or
        membership covariates, or have more constraints. Attributes may be written differently,
        such as with another reference level, if the general ones can express them.

    Returns
    -------
    LikelihoodRatioTest

    Raises
    ------
    ArgumentError
        The models are on different data, are not nested, or do not differ; the numbers of classes
        differ; a fit is penalised, has sampling weights, has not converged, or has a coefficient
        at the bound of its sign; or the general fit has the lower log-likelihood.

    See Also
    --------
    mixlogit.bootstrap_lr_test : for the number of classes.
    """
    restricted, general = unwrapped(restricted), unwrapped(general)
    _refuse_untestable(restricted, general)
    embedding, missing = _embedding(
        restricted.model.choices, general.model.choices, general.n_classes
    )
    df = general.df_model - restricted.df_model
    if df < 0:
        raise ArgumentError(
            f"The restricted model has {plural(restricted.df_model, 'free parameter')}, the "
            f"general one only {general.df_model}. Pass the restricted results first."
        )
    if embedding is None:
        raise ArgumentError(
            f"The models are not nested: the general one cannot express {missing} of the "
            "restricted one. Compare them by an information criterion."
        )
    narrow, wide = (one._likelihood.constraints for one in (restricted, general))
    if not (_is_within(narrow, wide, embedding) and wide.is_inside(embedding @ restricted.params)):
        raise ArgumentError(
            "The models are not nested: the general one has a constraint or a sign that the "
            "restricted estimates need not keep. Compare them by an information criterion."
        )
    if df == 0:
        raise ArgumentError(
            f"Both models have {plural(general.df_model, 'free parameter')}, so there is no "
            "restriction to test."
        )
    statistic = 2 * (general.llf - restricted.llf)
    if statistic < -_SAME_LLF:
        raise ArgumentError(
            f"The general model has a log-likelihood of {general.llf:.4f}, below the "
            f"{restricted.llf:.4f} of the restricted one, so its fit did not reach its maximum. "
            "Fit it with more starts, or with candidates=[...] from the restricted estimates."
        )
    return LikelihoodRatioTest(statistic, df, float(stats.chi2.sf(statistic, df)))


def _refuse_untestable(
    restricted: MixedMultinomialLogitResults, general: MixedMultinomialLogitResults
) -> None:
    """Raise where no likelihood-ratio statistic has a chi-square distribution."""
    if restricted.n_classes != general.n_classes:
        raise ArgumentError(
            f"The models have {restricted.n_classes} and {general.n_classes} classes. Between "
            "numbers of classes the statistic has no chi-square distribution; use "
            "bootstrap_lr_test."
        )
    refuse_other_data(restricted, general)
    for name, one in (("restricted", restricted), ("general", general)):
        refuse_penalty(one, name)
        if one.model.choices.is_weighted:
            raise ArgumentError(
                "With sampling weights the likelihood ratio has no chi-square distribution. Use "
                "a Wald test with robust errors: with_cov('robust').wald_test(...)."
            )
        if one._likelihood.constraints.at_bound(one.params).any():
            raise ArgumentError(
                f"A coefficient of the {name} model is zero because of its sign. The statistic "
                "then has a chi-bar-square distribution, which is not computed."
            )
        if not has_converged(one):
            raise ArgumentError(f"The {name} model did not converge: {one.certificate().message}")


def refuse_other_data(
    one: MixedMultinomialLogitResults, other: MixedMultinomialLogitResults
) -> None:
    """Raise if two fits are on different choices."""
    difference = data_difference(one.model.choices, other.model.choices)
    if difference:
        raise ArgumentError(
            f"The models are on different data: {difference}. Fit both on the same choices."
        )


def refuse_penalty(results: MixedMultinomialLogitResults, name: str) -> None:
    """Raise if a fit is penalised."""
    penalty = results.mle_settings["penalty"]
    if penalty:
        raise ArgumentError(
            f"The {name} model was fitted with a penalty of {penalty:g}, so it does not maximise "
            "the likelihood. Fit it without a penalty."
        )


# -- Wald tests of membership ----------------------------------------------------------------------


def membership_tests(results: Any) -> pd.DataFrame:
    """Wald tests of whether covariates tell the classes apart.

    Parameters
    ----------
    results : MixedMultinomialLogitResults

    Returns
    -------
    DataFrame
        As ``MixedMultinomialLogitResults.wald_membership`` says.

    Raises
    ------
    ArgumentError
        There is one class, or no covariate.
    """
    results = unwrapped(results)
    data = results.model.choices
    covariates = [name for name in data.membership_names if name != "Intercept"]
    if results.n_classes == 1 or not covariates:
        raise ArgumentError(
            "There is no membership covariate to test. Fit two or more classes with membership=."
        )
    of_param = np.array([""] * len(results.params), dtype=object)
    n_gate = (results.n_classes - 1) * len(data.membership_names)
    of_param[len(of_param) - n_gate :] = list(data.membership_names) * (results.n_classes - 1)
    params, covariance = np.asarray(results.params), np.asarray(results.cov_params())
    terms = {re.sub(r"\[[^\]]*\]", "", name): None for name in covariates}
    blocks = {
        term: [name for name in covariates if re.sub(r"\[[^\]]*\]", "", name) == term]
        for term in terms
    }
    rows = []
    for names in [*blocks.values(), covariates]:
        own = np.isin(of_param, names)
        rows.append(_wald(params[own], covariance[np.ix_(own, own)]))
    table = pd.DataFrame(rows, columns=["chi2", "df"], index=[*blocks, "all"])
    table["P>chi2"] = stats.chi2.sf(table["chi2"], table["df"])
    return table


def _wald(params: np.ndarray, covariance: np.ndarray) -> tuple[float, int]:
    """Wald statistic of zero, and the rank of the covariance of what is not fixed."""
    variance = np.diag(covariance)
    free = variance != 0
    if np.isnan(variance).any() or not free.any():
        return float("nan"), int(free.sum())
    scale = np.sqrt(variance[free])
    value, vector = np.linalg.eigh(covariance[np.ix_(free, free)] / np.outer(scale, scale))
    kept = value > _ROUND_OFF * value[-1]
    along = vector[:, kept].T @ (params[free] / scale)
    return float((along**2 / value[kept]).sum()), int(kept.sum())
