"""Results from a file that `MixedMultinomialLogitResults.to_file` wrote."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mixlogit.archive import Archive, opened
from mixlogit.choices import ChoiceData
from mixlogit.covariance import COV_TYPES
from mixlogit.errors import StorageError
from mixlogit.formula import ChoiceFormula
from mixlogit.labels import index_of
from mixlogit.model import MixedMultinomialLogit
from mixlogit.records import (
    FORMAT,
    VERSION,
    choices_of,
    fit_of,
    restrictions_of,
    settings_of,
)
from mixlogit.results import MixedMultinomialLogitResults, ResultsWrapper
from mixlogit.terms import formula_of
from mixlogit.uncertainty import Uncertainty

__all__ = ["read_results"]


def read_results(path: Any) -> ResultsWrapper:
    """Read results that `MixedMultinomialLogitResults.to_file` wrote.

    Parameters
    ----------
    path : path
        Of the file.

    Returns
    -------
    MixedMultinomialLogitResults
        As they were, to the last digit. Whatever needs the data raises `NoDataError` if the file
        was written without them.

    Raises
    ------
    StorageError
        The file holds no such results: it is damaged, was not written by ``to_file``, or was
        written by a later version of the format, which this one does not know.
    OSError
        The file cannot be opened.

    Notes
    -----
    Unlike a pickle, such a file can come from somebody you do not know: reading it runs no code,
    and takes memory in proportion to its size. Terms of formulas are evaluated when you predict
    for new data, and may do nothing but arithmetic on columns of your table; a file whose terms
    say more is refused. That the numbers are those of a fit is not checked: who writes a file can
    write any numbers into it.

    Files of earlier versions of mixlogit can be read by later ones.

    Examples
    --------
    >>> result.to_file("fit.npz")
    >>> again = mixlogit.read_results("fit.npz")
    """
    with opened(path) as file:
        return _results_of(file)


def _results_of(file: Archive) -> ResultsWrapper:
    """Put results together from their parts."""
    header = file.header
    if header.values.get("format") != FORMAT:
        raise StorageError("its header does not say that it holds such results")
    version = header.numbers("version", 2)
    if version[0] != VERSION[0]:
        raise StorageError(
            f"it is in format {version[0]:g}.{version[1]:g}, and this version of mixlogit reads "
            f"{VERSION[0]}.x. Update mixlogit, or have it written by the version that you have."
        )
    spec = formula_of(file, header.part("formula"))
    has_data = header.has("row_labels")
    labels = None
    if has_data:
        labels = index_of(file, header.part("row_labels"), "row_labels", 1)
    choices = choices_of(file, header.part("choices"), labels)
    n_people = choices.n_distinct if has_data else None
    fit = fit_of(file, header.part("fit"), choices.n_attributes, n_people)
    n_classes, n_covariates = fit.parameters.n_classes, len(choices.membership_names)
    gate = ("Intercept",) if spec.membership is None else spec.membership.names
    if (spec.utility.names, gate) != (choices.exog_names, choices.membership_names):
        raise StorageError("its formulas have other names than its attributes and covariates")
    if fit.parameters.gamma.shape[1] != n_covariates:
        raise StorageError("its membership logits are not those of its covariates")
    _refuse_other_class_sets(spec, choices, n_classes)
    model = MixedMultinomialLogit.from_parts(
        choices,
        spec,
        n_classes,
        pd.RangeIndex(0) if labels is None else labels,
        restrictions_of(header.part("restrictions")),
        is_from_arrays=header.flag("is_from_arrays"),
    )
    cov_type = header.text("cov_type", COV_TYPES)
    groups = None
    if n_people is not None and header.has("groups"):
        groups = index_of(file, header.part("groups"), "groups", n_people, n_people).to_numpy()
    results = MixedMultinomialLogitResults(
        model,
        fit,
        cov_type,
        None if groups is None else {"groups": groups},
        settings_of(header.part("settings")),
        _uncertainty_of(file, len(fit.parameters.flat())),
    )
    # what is computed from the data when it is asked for, and may have no data to be computed from
    results.__dict__.update(
        llnull=header.number("llnull", finite=True),
        ll_mnl=header.number("ll_mnl", finite=True),
        _entropy=header.number("entropy", finite=True),
        _shares=file.floats("shares", (n_classes,)),
        _share_slope=file.floats("share_slope", (n_classes, (n_classes - 1) * n_covariates)),
    )
    if not has_data or header.has("ll_constants"):
        has_number = header.has("ll_constants")  # which earlier versions did not write
        results.__dict__["ll_constants"] = header.number("ll_constants") if has_number else np.nan
    return ResultsWrapper(results)


def _uncertainty_of(file: Archive, n_params: int) -> Uncertainty:
    """Covariance of the estimates, nan, once in memory, where there is none; and what is lost."""
    shape = n_params, n_params
    if not file.header.flag("has_covariance"):
        return Uncertainty(np.broadcast_to(np.nan, shape), np.zeros((n_params, 0)))
    if not (file.header.has("has_lost") and file.header.flag("has_lost")):  # in the first files
        return Uncertainty.of(file.floats("covariance", shape, finite=False))
    return Uncertainty(file.floats("covariance", shape), file.floats("lost", (n_params, None)))


def _refuse_other_class_sets(spec: ChoiceFormula, choices: ChoiceData, n_classes: int) -> None:
    """Raise if the rows that classes have are those of another number of classes."""
    wanted = 1 if spec.class_sets is None else spec.class_sets.n_classes
    found = wanted if choices.offset is None else len(choices.offset)
    if wanted not in (1, n_classes) or found != wanted:
        raise StorageError("its choice sets are those of another number of classes")
