"""Results as plain data, and back: a header of words and numbers, and arrays beside it.

Each object has a pair of functions here. One writes it into a dictionary, and its arrays into a
mapping; the other reads both, and checks whatever the rest of the package takes for granted.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixlogit.archive import Archive, Arrays, Record, number
from mixlogit.arrangement import Arrangement
from mixlogit.attributes import as_rows
from mixlogit.certificate import Certificate
from mixlogit.choices import ChoiceData, Overview
from mixlogit.constraints import Restrictions
from mixlogit.curvature import Point
from mixlogit.entries import Entries
from mixlogit.errors import StorageError
from mixlogit.estimation import METHODS, Fit
from mixlogit.identification import is_in_range
from mixlogit.labels import index_of, index_record, value_of, value_record
from mixlogit.likelihood import Evaluation, Parameters
from mixlogit.terms import formula_record
from mixlogit.withheld import Withheld

if TYPE_CHECKING:
    from mixlogit.results import MixedMultinomialLogitResults

__all__ = [
    "FORMAT",
    "VERSION",
    "choices_of",
    "fit_of",
    "restrictions_of",
    "results_record",
    "settings_of",
]

FORMAT = "mixlogit results"
VERSION = (1, 0)
"""A change of the first number is one that earlier versions cannot read."""

_LIBRARIES = ("mixlogit", "numpy", "scipy", "pandas", "patsy", "statsmodels")
_SPARSE = 100  # rows of the table for each that is read, up to which labels may be a range


# -- choices ---------------------------------------------------------------------------------------


def _overview_record(overview: Overview, arrays: Arrays) -> dict[str, Any]:
    """The data in a few numbers."""
    arrays["exog_scale"] = np.asarray(overview.exog_scale)
    return {
        "n_individuals": overview.n_individuals,
        "n_situations": overview.n_situations,
        "n_rows": overview.n_rows,
        "n_choices": overview.n_choices,
        "choices_per_individual": list(overview.choices_per_individual),
        "alternatives": list(overview.alternatives),
        "total_weight": overview.total_weight,
        "is_weighted": overview.is_weighted,
    }


def _overview_of(file: Archive, record: Record, n_attributes: int) -> Overview:
    choices, alternatives = (
        record.numbers(key, 2) for key in ("choices_per_individual", "alternatives")
    )
    return Overview(
        n_individuals=record.integer("n_individuals", 1),
        n_situations=record.integer("n_situations", 1),
        n_rows=record.integer("n_rows", 1),
        n_choices=record.integer("n_choices", 1),
        choices_per_individual=(choices[0], choices[1]),
        alternatives=(alternatives[0], alternatives[1]),
        total_weight=record.number("total_weight", finite=True),
        is_weighted=record.flag("is_weighted"),
        exog_scale=file.floats("exog_scale", (n_attributes,)),
    )


def _choices_record(data: ChoiceData, arrays: Arrays, include_data: bool) -> dict[str, Any]:
    """Choice data, or what may be known of them."""
    names = {
        "exog_names": list(data.exog_names),
        "membership_names": list(data.membership_names),
        "notes": list(data.notes),
        "overview": _overview_record(data.overview, arrays),
    }
    if not include_data or isinstance(data, Withheld):
        return {**names, "rows": None}
    arrangement, entries = data.arrangement, data.entries
    of_rows: dict[str, Any] = {
        "individual_ids": arrangement.individual_ids,
        "alternative_ids": arrangement.alternative_ids,
    }
    given: dict[str, Any] = {
        "permutation": arrangement.permutation,
        "situation_owner": arrangement.situation_owner,
        "alternative_codes": arrangement.alternative_codes,
        "offset": data.offset,
    }
    ids = {
        "situation_ids": arrangement.situation_ids,
        **{key: value for key, value in of_rows.items() if value is not None},
    }
    if entries.ids is not arrangement.individual_ids:
        ids["entry_ids"] = entries.ids
    arrays |= {
        "exog": data.exog,
        "situation_start": arrangement.situation_start,
        **{key: value for key, value in given.items() if value is not None},
        "entry_row": entries.row,
        "entry_count": entries.count,
        "entry_start": entries.start,
        "frequency": entries.frequency,
        "weights": data.weights,
        "covariates": data.membership,
    }
    rows = {
        key: index_record(index, arrays, key, f"The ids in {key}") for key, index in ids.items()
    }
    return {**names, "rows": {"ids": rows, "has": [key for key in given if key in arrays]}}


def choices_of(file: Archive, record: Record, labels: pd.Index | None) -> ChoiceData:
    """Read choice data.

    Parameters
    ----------
    file : Archive
    record : Record
    labels : Index or None
        Of the rows of the table that they were read from; None if the data are not in the file.

    Returns
    -------
    ChoiceData
        A `Withheld` if the data are not in the file.
    """
    names, covariates = record.texts("exog_names"), record.texts("membership_names")
    notes, overview = record.texts("notes"), record.part("overview")
    for several in (names, covariates):
        if not several or len(set(several)) < len(several):
            raise StorageError("its attributes or covariates have no names, or one name twice")
    if labels is None:
        return Withheld(names, covariates, notes, _overview_of(file, overview, len(names)))
    rows = record.part("rows")
    exog = file.array("exog", "f", (None, len(names)))
    if exog.dtype not in (np.float64, np.float32):
        raise StorageError(f"its attributes are {exog.dtype}")
    if isinstance(labels, pd.RangeIndex) and len(labels) > _SPARSE * len(exog):
        raise StorageError("its labels of rows are many more than its rows")
    arrangement = _arrangement_of(file, rows, len(exog), len(labels))
    entries = _entries_of(file, rows, arrangement)
    n = len(entries.frequency)
    weights = file.floats("weights", (n,))
    if not (weights > 0).all():
        raise StorageError("its weights are not positive")
    offset = None
    if "offset" in rows.texts("has"):
        offset = _offset_of(file, len(exog))
    return ChoiceData(
        exog=as_rows(exog),
        exog_names=names,
        arrangement=arrangement,
        entries=entries,
        weights=weights,
        membership=file.floats("covariates", (n, len(covariates))),
        membership_names=covariates,
        notes=notes,
        offset=offset,
    )


def _offset_of(file: Archive, n_rows: int) -> np.ndarray:
    """What is added to utilities."""
    offset = file.array("offset", "f", (None, n_rows))
    known = is_in_range(offset) | (offset == -np.inf)
    if offset.dtype not in (np.float64, np.float32) or not len(offset) or not known.all():
        raise StorageError("its offset is not of numbers that can be added to utilities")
    return offset


def _arrangement_of(file: Archive, rows: Record, n_rows: int, n_labels: int) -> Arrangement:
    """How rows are put into choice sets."""
    has, ids = rows.texts("has"), rows.part("ids")
    start = _steps_of(file, "situation_start", n_rows)
    n_situations = len(start) - 1
    if n_rows > n_labels:
        raise StorageError("it has more rows than labels of rows")
    permutation = owner = codes = individual_ids = alternative_ids = None
    if "permutation" in has:
        permutation = file.integers("permutation", (n_rows,), 0, n_labels - 1)
        if len(np.unique(permutation)) < n_rows:
            raise StorageError("two of its rows have the same place")
    if "situation_owner" in has:
        owner = file.integers("situation_owner", (n_situations,), 0, n_situations).astype(np.intp)
        if owner[0] != 0 or not np.isin(np.diff(owner), (0, 1)).all():
            raise StorageError("its situations are not in the order of individuals")
        n = int(owner[-1]) + 1
        individual_ids = index_of(file, ids.part("individual_ids"), "individual_ids", n, n)
    if "alternative_codes" in has:
        alternative_ids = index_of(file, ids.part("alternative_ids"), "alternative_ids", 1)
        codes = file.integers("alternative_codes", (n_rows,), 0, len(alternative_ids) - 1)
    of_situation = ids.part("situation_ids")
    return Arrangement(
        permutation=permutation,
        situation_start=start,
        situation_ids=index_of(file, of_situation, "situation_ids", n_situations, n_situations),
        situation_owner=owner,
        individual_ids=individual_ids,
        alternative_codes=codes,
        alternative_ids=alternative_ids,
    )


def _entries_of(file: Archive, rows: Record, arrangement: Arrangement) -> Entries:
    """Who chose which row how often."""
    row = file.integers("entry_row", (None,), 0, arrangement.n_rows - 1).astype(np.intp)
    start = _steps_of(file, "entry_start", len(row))
    n = len(start) - 1
    count, frequency = file.floats("entry_count", (len(row),)), file.floats("frequency", (n,))
    if not ((count >= 1) & (count == np.floor(count))).all():
        raise StorageError("its counts are not whole numbers of at least 1")
    if not (frequency > 0).all():
        raise StorageError("its frequencies are not positive")
    person = np.repeat(np.arange(n), np.diff(start))
    if ((np.diff(row) <= 0) & (np.diff(person) == 0)).any():
        raise StorageError("the choices of an individual are not in the order of rows")
    if arrangement.situation_owner is not None:
        situation = np.searchsorted(arrangement.situation_start, row, side="right") - 1
        is_own = np.array_equal(arrangement.situation_owner[situation], person)
        if not is_own or n != int(arrangement.situation_owner[-1]) + 1:
            raise StorageError("its choices are not those of its individuals")
    ids = arrangement.individual_ids
    if rows.part("ids").has("entry_ids"):
        ids = index_of(file, rows.part("ids").part("entry_ids"), "entry_ids", n, n)
    if ids is None:
        raise StorageError("it has no ids of individuals")
    return Entries(row=row, count=count, start=start, frequency=frequency, ids=ids)


def _steps_of(file: Archive, name: str, last: int) -> np.ndarray:
    """Offsets from 0 to the last, each larger than the one before."""
    steps = file.integers(name, (None,), 0, last).astype(np.intp)
    if len(steps) < 2 or steps[0] != 0 or steps[-1] != last or (np.diff(steps) < 1).any():
        raise StorageError(f"its array {name!r} does not lead from 0 to {last:,}")
    return steps


def _row_labels_record(index: pd.Index, n_rows: int, arrays: Arrays) -> dict[str, Any]:
    """Labels of the rows of the table; a range only where it is not much longer than the rows."""
    if isinstance(index, pd.RangeIndex) and len(index) > _SPARSE * n_rows:
        index = pd.Index(index.to_numpy(), name=index.name)
    return index_record(index, arrays, "row_labels", "The labels of the rows of the table")


# -- the fit ---------------------------------------------------------------------------------------


def _fit_record(fit: Fit, arrays: Arrays, has_people: bool) -> dict[str, Any]:
    """Where the estimation ended, and how it came there."""
    at = fit.evaluation
    arrays |= {
        "beta": fit.parameters.beta,
        "gamma": fit.parameters.gamma,
        "score": at.score,
        "mass": at.mass,
    }
    if isinstance(at, Evaluation):
        arrays |= {"hessian": at.hessian, "complete_information": at.complete_information}
        if at.outer is not None:
            arrays["outer"] = at.outer
    if has_people:
        arrays["posterior"] = at.posterior
    if fit.moments is not None:
        arrays |= {"moments_beta": fit.moments.beta, "moments_gamma": fit.moments.gamma}
    for name in ("llf", "em_iterations", "finished", "is_best"):
        arrays[f"starts.{name}"] = fit.starts[name].to_numpy()
    arrays["starts.optimum"] = fit.starts["optimum"].to_numpy(int, na_value=0)
    proof = vars(fit.certificate) | {
        name: list(getattr(fit.certificate, name)) for name in ("diverging", "unmet", "huge")
    }
    return {
        "value": number(at.value),
        "llf": number(at.llf),
        "has_hessian": isinstance(at, Evaluation),
        "has_outer": isinstance(at, Evaluation) and at.outer is not None,
        "has_moments": fit.moments is not None,
        "has_optima": True,
        "certificate": {
            key: number(value) if isinstance(value, float) else value
            for key, value in proof.items()
        },
        "origins": [str(origin) for origin in fit.starts["origin"]],
        "n_em_iter": int(fit.n_em_iter),
        "n_newton_iter": int(fit.n_newton_iter),
        "n_candidates": int(fit.n_candidates),
        "n_candidate_iterations": int(fit.n_candidate_iterations),
    }


def fit_of(file: Archive, record: Record, n_attributes: int, n_people: int | None) -> Fit:
    """Read where an estimation ended.

    Parameters
    ----------
    file : Archive
    record : Record
    n_attributes : int
    n_people : int or None
        Distinct individuals; None if the data are not in the file.

    Returns
    -------
    Fit
    """
    parameters = _parameters_of(file, "", (None, n_attributes), None)
    n_classes = parameters.n_classes
    n_params = len(parameters.flat())
    posterior = np.empty((n_classes, 0))
    if n_people is not None:
        posterior = file.floats("posterior", (n_classes, n_people))
        if not ((posterior >= 0) & (posterior <= 1)).all():
            raise StorageError("its posterior probabilities are not between 0 and 1")
    common: dict[str, Any] = {
        "value": record.number("value", finite=True),
        "score": file.floats("score", (n_params,), finite=False),
        "llf": record.number("llf", finite=True),
        "posterior": posterior,
        "mass": file.floats("mass", (n_classes,), finite=False),
    }
    at: Evaluation | Point = Point(**common)
    if record.flag("has_hessian"):
        names = ["hessian", "complete_information"]
        if record.has("has_outer") and record.flag("has_outer"):  # not in the first files
            names.append("outer")
        square: dict[str, Any] = {
            name: file.floats(name, (n_params, n_params), finite=False) for name in names
        }
        at = Evaluation(**common, **square)
    moments = None
    if record.flag("has_moments"):
        moments = _parameters_of(
            file, "moments_", parameters.beta.shape, parameters.gamma.shape[-1]
        )
    return Fit(
        parameters=parameters,
        evaluation=at,
        certificate=_certificate_of(record.part("certificate")),
        starts=_starts_of(file, record.texts("origins"), record.has("has_optima")),
        n_em_iter=record.integer("n_em_iter"),
        n_newton_iter=record.integer("n_newton_iter"),
        n_candidates=record.integer("n_candidates"),
        n_candidate_iterations=record.integer("n_candidate_iterations"),
        moments=moments,
    )


def _parameters_of(
    file: Archive, prefix: str, shape: Sequence[int | None], n_covariates: int | None
) -> Parameters:
    """Tastes and membership logits."""
    beta = file.floats(f"{prefix}beta", (shape[0], shape[1]))
    if len(beta) == 0:
        raise StorageError("it has no classes")
    return Parameters(beta, file.floats(f"{prefix}gamma", (len(beta) - 1, n_covariates)))


def _certificate_of(record: Record) -> Certificate:
    """The evidence, each piece of its own type."""
    numbers = "score_norm", "decrement", "smallest_eigenvalue", "condition_number", "em_rate"
    return Certificate(
        status=record.text("status"),
        message=record.text("message"),
        **{name: record.number(name) for name in numbers},
        n_finished=record.integer("n_finished"),
        n_agree=record.integer("n_agree"),
        diverging=record.texts("diverging"),
        unmet=record.texts("unmet") if record.has("unmet") else (),
        huge=record.texts("huge") if record.has("huge") else (),
        rivals=record.text("rivals") if record.has("rivals") else "",
    )


def _starts_of(file: Archive, origins: tuple[str, ...], has_optima: bool) -> pd.DataFrame:
    """One row per start."""
    n = len(origins)
    starts = pd.DataFrame(
        {
            "llf": file.floats("starts.llf", (n,), finite=False),
            "em_iterations": file.array("starts.em_iterations", "i", (n,)),
            "origin": list(origins),
            "finished": file.array("starts.finished", "b", (n,)),
            "is_best": file.array("starts.is_best", "b", (n,)),
        },
        index=pd.RangeIndex(n, name="start"),
    )
    # of the first files only the best is known
    is_best = starts["is_best"].to_numpy(int)
    optimum = file.array("starts.optimum", "i", (n,)) if has_optima else is_best
    return starts.assign(optimum=pd.arrays.IntegerArray(optimum.astype(int), optimum == 0))


def settings_of(record: Record) -> dict[str, Any]:
    """Read what `fit` was called with.

    Parameters
    ----------
    record : Record

    Returns
    -------
    dict
    """
    method = record.text("method", METHODS)
    return {
        "optimizer": method,
        "method": method,
        "init": record.text("init"),
        "n_starts": record.integer("n_starts") if record.has("n_starts") else None,
        "maxiter": record.integer("maxiter"),
        "tol": record.number("tol"),
        "penalty": record.number("penalty", finite=True),
        "rng": value_of(record.values.get("rng"), "the seed"),
    }


def _settings_record(settings: dict[str, Any]) -> dict[str, Any]:
    rng = settings["rng"]
    is_seed = rng is None or isinstance(rng, (int, np.integer))
    n_starts = settings["n_starts"]
    return {
        "method": settings["method"],
        "init": settings["init"],
        "n_starts": None if n_starts is None else int(n_starts),
        "maxiter": int(settings["maxiter"]),
        "tol": number(settings["tol"]),
        "penalty": number(settings["penalty"]),
        "rng": value_record(rng, "The seed") if is_seed else str(rng),
    }


def restrictions_of(record: Record) -> Restrictions:
    """Read what was imposed on the parameters.

    Parameters
    ----------
    record : Record

    Returns
    -------
    Restrictions
    """
    signs = record.part("signs")
    return Restrictions(
        record.texts("common"),
        record.texts("linear"),
        tuple((name, signs.text(name, ("+", "-"))) for name in signs.values),
    )


# -- results ---------------------------------------------------------------------------------------


def results_record(
    results: MixedMultinomialLogitResults, include_data: bool
) -> tuple[dict[str, Any], Arrays]:
    """Write results as plain data.

    Parameters
    ----------
    results : MixedMultinomialLogitResults
    include_data : bool
        Whether the choice data go with them, and what is known of single individuals.

    Returns
    -------
    header : dict
    arrays : dict of str to ndarray or StoredRows

    Raises
    ------
    StorageError
        A term of a formula, or a label, is something that a file cannot hold.
    """
    model, arrays = results.model, Arrays()
    data = model.choices
    is_known = include_data and not isinstance(data, Withheld)
    choices = _choices_record(data, arrays, include_data)
    uncertainty = results._uncertainty
    arrays |= {"shares": results._shares, "share_slope": results._share_slope}
    if results.cov_type != "none":
        arrays |= {"covariance": uncertainty.matrix, "lost": uncertainty.lost}
    labels = groups = None
    if is_known:
        labels = _row_labels_record(model._row_index, data.n_rows, arrays)
        if "groups" in results.cov_kwds:
            own = pd.Series(results.cov_kwds["groups"]).reset_index(drop=True)
            own_index = pd.Index(own.to_numpy(), tupleize_cols=False)
            groups = index_record(own_index, arrays, "groups", "The groups")
    restrictions = model.restrictions
    header = {
        "format": FORMAT,
        "version": list(VERSION),
        "written_by": {name: _version(name) for name in _LIBRARIES},
        "formula": formula_record(model.spec, arrays),
        "is_from_arrays": model._is_from_arrays,
        "row_labels": labels,
        "choices": choices,
        "restrictions": {
            "common": list(restrictions.common),
            "linear": list(restrictions.linear),
            "signs": dict(restrictions.signs),
        },
        "fit": _fit_record(results._fit, arrays, is_known),
        "settings": _settings_record(results.mle_settings),
        "cov_type": results.cov_type,
        "has_covariance": "covariance" in arrays,
        "has_lost": "lost" in arrays,
        "groups": groups,
        "llnull": number(results.llnull),
        "ll_constants": number(results.ll_constants),
        "ll_mnl": number(results.ll_mnl),
        "entropy": number(results._entropy),
    }
    return header, arrays


def _version(name: str) -> str:
    """Version of an installed package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
