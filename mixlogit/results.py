"""Results of a fit: estimates, inference, criteria, predictions, summary."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from statsmodels.base.model import LikelihoodResultsWrapper
from statsmodels.base.wrapper import populate_wrapper

from mixlogit.archive import write_archive
from mixlogit.certificate import Certificate
from mixlogit.constants import constants_log_likelihood
from mixlogit.estimation import Fit
from mixlogit.figures import FigureResults
from mixlogit.inference import InferenceResults
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.nested import membership_tests
from mixlogit.pooled import at_equal_probabilities, pooled_ascent
from mixlogit.postestimation import (
    Criteria,
    criteria,
    entropy,
)
from mixlogit.records import results_record
from mixlogit.responses import ResponseResults
from mixlogit.summary import Block, Summary, coefficient_table
from mixlogit.threads import share_cores
from mixlogit.uncertainty import Uncertainty, uncertainty_of
from mixlogit.welfare import WelfareResults
from mixlogit.withheld import Withheld

if TYPE_CHECKING:
    from mixlogit.model import MixedMultinomialLogit

__all__ = ["MixedMultinomialLogitResults", "ResultsWrapper"]

_COVARIANCES = {
    "nonrobust": "Standard errors come from the inverse of −H, the observed information.",
    "opg": "Standard errors come from the outer product of the individuals' scores.",
    "robust": "Standard errors are robust: a sandwich with individuals as the units.",
    "cluster": "Standard errors are clustered: a sandwich with clusters as the units.",
    "none": "Standard errors were not asked for; with_cov() gives them.",
}
_PARTS = ("r_matrix", "column")  # what cov_params takes for less than the whole


class _Pickles:
    """Saving and loading as in statsmodels, and a warning of it."""

    def save(self, fname: Any, remove_data: bool = False) -> None:
        """Write the results as a pickle, as in statsmodels.

        A pickle holds everything, functions of your own in formulas too. Reading one runs
        whatever code is in it, so load only files that you, or people you trust, have written;
        and other versions of the libraries may not be able to. `to_file` has neither drawback.

        Parameters
        ----------
        fname : path or file
        remove_data : bool
            False. Data do not leave a pickle; ``to_file(path, include_data=False)`` writes a file
            without them.

        Raises
        ------
        ArgumentError
            ``remove_data`` is true.
        """
        super().save(fname, remove_data)  # type: ignore[misc]

    @classmethod
    def load(cls, fname: Any) -> Any:
        """Read a pickle that `save` wrote.

        This runs whatever code is in the file: load only files that you, or people you trust,
        have written. `mixlogit.read_results` reads files of `to_file`, from anybody.

        Parameters
        ----------
        fname : path or file

        Returns
        -------
        MixedMultinomialLogitResults
        """
        return super().load(fname)  # type: ignore[misc]


class MixedMultinomialLogitResults(
    _Pickles, ResponseResults, WelfareResults, FigureResults, InferenceResults
):
    """Results of `MixedMultinomialLogit.fit`.

    Parameters
    ----------
    model : MixedMultinomialLogit
    fit : Fit
    cov_type : {"nonrobust", "opg", "robust", "cluster", "none"}
    cov_kwds : dict or None
        ``groups`` (by individual, in the order of `posterior`) for "cluster".
    settings : dict
        What `fit` was called with.
    uncertainty : Uncertainty, optional
        The covariance, and what has none, if it is known; computed if None.

    Attributes
    ----------
    params : ndarray, shape (D,)
        Tastes of class 1, class 2, ..., then membership logits of class 2, ... Named
        ``class1.price`` and ``class2._membership.age``.
    llf : float
        Log-likelihood, without the penalty if there is one.
    nobs : int
        Individuals.
    n_situations, n_rows, n_choices : int
        Situations, rows of the table that were used, and choices of all individuals together.
    df_model, df_resid : int
        Number of free parameters; individuals less these.
    at_bound, fixed : tuple of str
        Names of parameters at the bound that their sign sets, and of those that the constraints
        fix.
    starts : DataFrame
        One row per start that reached the last lap of the search, best first: ``llf``, where EM
        left it; ``em_iterations``; ``origin``, the kind of candidate; ``finished``, false if it
        gave up behind a better one; ``is_best``, whether it led to the best optimum;
        ``optimum``, which one, numbered by log-likelihood from 1: optima differ in tastes.
    moment_params : Series or None
        The estimate by the method of moments, before any EM, with the names of ``params``; can be
        passed as ``start_params``. None where the search made none: with ``start_params``, another
        ``init``, or where no solver applies, as with two choices or fewer by most individuals.
    converged : bool
        Whether the estimates are a certified maximum; `certificate` says what else.
    mle_retvals : dict
        How the fit went: ``converged``, ``status`` and ``message``, as in `certificate`;
        ``em_iterations`` and ``newton_iterations`` of the winning start; ``n_candidates``, and
        ``n_candidate_iterations`` of all of them together; ``score``, the gradient at the end.
    mle_settings : dict
        What `MixedMultinomialLogit.fit` was called with.
    """

    @share_cores
    def __init__(
        self,
        model: MixedMultinomialLogit,
        fit: Fit,
        cov_type: str,
        cov_kwds: dict[str, Any] | None,
        settings: dict[str, Any],
        uncertainty: Uncertainty | None = None,
    ) -> None:
        data, constraints = model.choices, model.constraints
        keywords = dict(cov_kwds or {})
        if uncertainty is None:
            likelihood = model.likelihood(settings["penalty"])
            uncertainty = uncertainty_of(likelihood, fit, cov_type, keywords)
        self._uncertainty = uncertainty
        matrix = uncertainty.reported()
        super().__init__(model, fit.parameters.flat(), normalized_cov_params=matrix)
        self.cov_params_default = matrix
        self.cov_type = cov_type
        self.cov_kwds = {**keywords, "description": _COVARIANCES[cov_type]}
        self.nobs = data.n_individuals
        self.n_classes = model.n_classes
        self.n_situations = data.n_situations
        self.n_rows = data.n_rows
        self.n_choices = data.n_choices
        self.df_model = constraints.n_free
        self.df_resid = self.nobs - self.df_model
        names = np.array(model.param_names, dtype=object)
        is_held = constraints.at_bound(fit.parameters.flat())
        self.at_bound = tuple(names[constraints.depends_on(is_held)])
        self.fixed = tuple(names[constraints.is_fixed()])
        self.starts = fit.starts
        self.moment_params = (
            None
            if fit.moments is None
            else pd.Series(fit.moments.flat(), index=model.param_names, name="moment_params")
        )
        self.converged = fit.certificate.converged
        self.mle_settings = settings
        self.mle_retvals = {
            "converged": fit.certificate.converged,
            "status": fit.certificate.status,
            "message": fit.certificate.message,
            "em_iterations": fit.n_em_iter,
            "newton_iterations": fit.n_newton_iter,
            "n_candidates": fit.n_candidates,
            "n_candidate_iterations": fit.n_candidate_iterations,
            "score": fit.evaluation.score,
        }
        self._fit = fit

    # -- the estimates -------------------------------------------------------------------------

    @property
    def _parameters(self) -> Parameters:
        return self._fit.parameters

    @property
    def _likelihood(self) -> MixtureLikelihood:
        return self.model.likelihood(self.mle_settings["penalty"])

    @cached_property
    def _posterior(self) -> np.ndarray:
        shape = self.model.choices.n_distinct, self.n_classes  # without the data, nobody is known
        return np.ascontiguousarray(self._fit.evaluation.posterior.T).reshape(shape)

    @property
    def _class_names(self) -> list[str]:
        return [f"class{k}" for k in range(1, self.n_classes + 1)]

    @property
    def llf(self) -> float:
        """Log-likelihood at the estimates, without the penalty if there is one."""
        return self._fit.evaluation.llf

    # -- fit -----------------------------------------------------------------------------------

    @cached_property
    def llnull(self) -> float:
        """Log-likelihood where all coefficients are zero: of equal shares in every choice set.

        With an offset, of the shares that it alone implies.
        """
        data = self.model.choices
        if data.offset is not None:
            return at_equal_probabilities(self.model.likelihood()).llf
        entries = data.entries
        situation = data.situation_of(entries.row)
        log_size = np.log(data.arrangement.sizes)[situation]
        per_individual = np.add.reduceat(entries.count * log_size, entries.start[:-1])
        return -float(data.total_weight @ per_individual)

    @cached_property
    def ll_mnl(self) -> float:
        """Log-likelihood of the multinomial logit with one class."""
        return pooled_ascent(self.model.likelihood()).evaluation.llf

    @cached_property
    def ll_constants(self) -> float:
        """Log-likelihood of one logit of constants alone, and of the offset where there is one.

        nan without ids of alternatives.
        """
        return constants_log_likelihood(self.model.choices)

    @property
    def prsquared_constants(self) -> float:
        """McFadden's rho-squared over constants alone, 1 − llf / ll_constants."""
        return 1 - self.llf / self.ll_constants if self.ll_constants else float("nan")

    @property
    def prsquared(self) -> float:
        """McFadden's rho-squared, 1 − llf / llnull."""
        return 1 - self.llf / self.llnull if self.llnull else float("nan")

    @property
    def prsquared_adj(self) -> float:
        """McFadden's rho-squared adjusted for parameters, 1 − (llf − D) / llnull."""
        return 1 - (self.llf - self.df_model) / self.llnull if self.llnull else float("nan")

    @cached_property
    def _entropy(self) -> float:
        return entropy(self._posterior, self._likelihood.weight)

    @cached_property
    def _criteria(self) -> Criteria:
        return criteria(self.llf, self.df_model, self.nobs, self._entropy)

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return self._criteria.aic

    @property
    def bic(self) -> float:
        """Schwarz's criterion; N is the number of individuals."""
        return self._criteria.bic

    @property
    def caic(self) -> float:
        """Bozdogan's consistent AIC; N is the number of individuals."""
        return self._criteria.caic

    @property
    def sabic(self) -> float:
        """BIC adjusted for sample size; N is the number of individuals."""
        return self._criteria.sabic

    @property
    def hqic(self) -> float:
        """Hannan and Quinn's criterion; N is the number of individuals; nan if that is one."""
        return self._criteria.hqic

    @property
    def icl(self) -> float:
        """Integrated classification likelihood: BIC plus twice the entropy."""
        return self._criteria.icl

    @property
    def entropy_r2(self) -> float:
        """Entropy R², 1 when every individual's class is certain; nan with one class."""
        if self.n_classes == 1:
            return float("nan")
        total = self.model.choices.overview.total_weight
        return 1 - self._entropy / (total * np.log(self.n_classes))

    def certificate(self) -> Certificate:
        """Evidence that the estimates are a maximum, and how sure the search is of it.

        Returns
        -------
        Certificate
            Score norm, smallest eigenvalue of −H, EM rate, starts that agree, and a status.
        """
        return self._fit.certificate

    # -- inference -----------------------------------------------------------------------------

    def with_cov(self, cov_type: str, **cov_kwds: Any) -> ResultsWrapper:
        """Return the same estimates with another covariance matrix.

        Parameters
        ----------
        cov_type : {"nonrobust", "opg", "robust", "cluster", "none"}
        **cov_kwds
            ``groups`` for "cluster", one per individual: the name of a column of the table; a
            Series whose index holds the ids of the individuals, in any order; or an array in the
            order of `posterior`.

        Returns
        -------
        MixedMultinomialLogitResults
        """
        keywords = self.model._covariance_keywords(cov_type, cov_kwds)
        return ResultsWrapper(
            type(self)(self.model, self._fit, cov_type, keywords, self.mle_settings)
        )

    def wald_membership(self) -> pd.DataFrame:
        """Wald tests of whether membership covariates tell the classes apart.

        A covariate is tested in all classes at once, which does not depend on the class that is
        the base; the columns of a categorical term are tested together. The last row tests all
        covariates together, but not the intercept. The covariance of these results is used.

        Returns
        -------
        DataFrame
            One row per covariate, and "all"; columns ``chi2``, ``df`` and ``P>chi2``. A
            coefficient that is fixed does not count, and one without a standard error makes the
            statistic nan.

        Raises
        ------
        ArgumentError
            There is one class, or no covariate.
        """
        return membership_tests(self)

    # -- files ---------------------------------------------------------------------------------

    def to_file(self, path: Any, *, include_data: bool = True) -> None:
        """Write the results to a file that `mixlogit.read_results` reads, now and later.

        Unlike a pickle, such a file runs no code when it is read, so it can be sent to others,
        and later versions of mixlogit read it.

        Parameters
        ----------
        path : path
            Such as ``"fit.npz"``. A file that is there is replaced.
        include_data : bool
            Whether the data that the model was fitted to go with the results: attributes, choices,
            weights, and the ids of individuals, situations and alternatives. With them everything
            works as before, new fits too, and the file is about as large as the table of
            attributes. Without them the file has some kilobytes and says nothing about single
            individuals, their posterior probabilities and ids included. What is left then is
            what summaries, tests, class shares and willingness to pay need, and predictions for
            new data, which are passed as ``data``; the rest raises `NoDataError`. In both cases
            the formulas are there, with the levels of their categories and what transforms
            have learned: means, and the knots of splines.

        Raises
        ------
        StorageError
            A term of a formula calls a function of your own, or another one that reading a file
            must not run; the message names it, and says what to do. Or ids are something else
            than numbers, strings, booleans, dates and tuples of these.

        Notes
        -----
        The file is a ZIP archive of uncompressed ``.npy`` arrays, with a text ``header.json``
        that says what they are. Of a random generator that was passed as ``rng`` only the name
        is kept. A table that was read with ``from_chunks`` comes back in memory.
        """
        write_archive(path, *results_record(self, include_data))

    # -- summary -------------------------------------------------------------------------------

    def summary(self, title: str | None = None, alpha: float = 0.05) -> Summary:
        """Table of the results.

        Parameters
        ----------
        title : str, optional
        alpha : float
            One minus the level of the confidence intervals.

        Returns
        -------
        Summary
            With ``as_text``, ``as_html``, ``as_latex`` and ``as_csv``.
        """
        lower, upper = self.conf_int(alpha).T
        table = coefficient_table(
            self.params,
            self.bse,
            self.tvalues,
            self.pvalues,
            lower,
            upper,
            names=self.model.param_names,
            alpha=alpha,
        )
        return Summary(
            title=title or "Mixed Multinomial Logit Results",
            header=self._header(),
            blocks=tuple(self._blocks(table)),
            notes=tuple(self._notes()),
        )

    def _blocks(self, table: pd.DataFrame) -> Iterator[Block]:
        """One block for the common coefficients, one per class, and one for membership."""
        table = _with_words(table, np.isin(table.index, self.fixed), "fixed")
        table = _with_words(table, np.isin(table.index, self.at_bound), "at bound")
        if self.cov_type == "none":
            table = table.iloc[:, :1]
        names = np.array(self.model.choices.exog_names, dtype=object)
        is_common = self.model.restrictions.is_common(list(names)) & (self.n_classes > 1)
        if is_common.any():
            rows = table.iloc[: len(names)][is_common]
            yield Block("Common to all classes", rows.set_axis(names[is_common]))
        for k in range(self.n_classes):
            rows = table.iloc[k * len(names) : (k + 1) * len(names)][~is_common]
            has_error = self.n_classes > 1 and self.cov_type != "none"
            error = f", std err {self._share_errors[k]:.3f}" if has_error else ""
            yield Block(
                f"Class {k + 1} (share {self._shares[k]:.3f}{error})",
                rows.set_axis(names[~is_common]),
            )
        if self.n_classes > 1:
            gate = table.iloc[self.n_classes * len(names) :]
            labels = [name.replace("._membership.", ": ") for name in gate.index]
            yield Block("Membership (base: class 1)", gate.set_axis(labels))

    def _header(self) -> tuple[tuple[str, str], ...]:
        """Pairs of the summary's head, the left column first."""
        data = self.model.choices.overview
        certificate = self.certificate()
        method = {"em-newton": "EM and Newton", "em": "EM", "newton": "Newton"}
        has_offset = self.model.spec.columns.offset is not None
        left = [
            ("Dep. variable", self.model.endog_names),
            ("Model", "MixedMultinomialLogit"),
            ("Method", method[self.mle_settings["method"]]),
            ("Classes", f"{self.n_classes}"),
            ("Converged", "yes" if self.converged else f"no: {certificate.status}"),
            ("Starts finished / agreeing", f"{certificate.n_finished} / {certificate.n_agree}"),
            ("Cov. type", self.cov_type),
            ("Individuals", f"{self.nobs}"),
            ("Choice situations", f"{self.n_situations}"),
            ("Rows", f"{self.n_rows}"),
            (
                "Choices/individual (min/mean/max)",
                _spread(*data.choices_per_individual, self.n_choices / self.nobs),
            ),
            (
                "Alternatives (min/mean/max)",
                _spread(*data.alternatives, self.n_rows / self.n_situations),
            ),
            ("Parameters", f"{self.df_model}"),
        ]
        right = [
            ("Df residuals", f"{self.df_resid}"),
            ("Log-likelihood", f"{self.llf:.4f}"),
            ("LL offset alone" if has_offset else "LL equal shares", f"{self.llnull:.4f}"),
            ("LL constants only", _known(self.ll_constants)),
            ("LL one class", f"{self.ll_mnl:.4f}"),
            ("McFadden rho2", f"{self.prsquared:.4f}"),
            ("Adjusted rho2", f"{self.prsquared_adj:.4f}"),
            ("Rho2 over constants", _known(self.prsquared_constants)),
            ("AIC", f"{self.aic:.2f}"),
            ("BIC", f"{self.bic:.2f}"),
            ("CAIC", f"{self.caic:.2f}"),
            ("Entropy R2", "one class" if self.n_classes == 1 else f"{self.entropy_r2:.4f}"),
            ("EM rate", f"{certificate.em_rate:.3f}"),
        ]
        return tuple(left + right)

    def _notes(self) -> list[str]:
        """What a reader must know to use the numbers."""
        certificate = self.certificate()
        data = self.model.choices.overview
        notes = []
        if not self.converged:
            notes.append(f"Not a certified maximum. {certificate.message}")
        elif certificate.huge:
            notes.append(certificate.message)
        notes += [
            f"N in BIC and CAIC is the number of individuals, {self.nobs:,}.",
            self._covariance_in_words(data.is_weighted),
        ]
        notes += self._constraint_notes()
        is_bounded = np.isin(self.model.param_names, self.at_bound)
        if self.cov_type != "none" and np.isnan(self.bse[~is_bounded]).any():
            notes.append(
                "A standard error is nan where a coefficient diverges or is not identified. What "
                "tends to a limit all the same, such as differences of coefficients that diverge "
                "together, and shares, has one."
            )
        if self.mle_settings["penalty"]:
            notes.append(
                f"Estimates maximise the log-likelihood less a ridge penalty of "
                f"{self.mle_settings['penalty']:g}; the log-likelihood shown is without it."
            )
        if data.is_weighted and self.cov_type in ("nonrobust", "opg"):
            notes.append(
                f"Errors of the kind {self.cov_type} do not hold with sampling weights, which are "
                "no numbers of individuals; use with_cov('robust') or with_cov('cluster')."
            )
        if certificate.n_finished > 1 and certificate.n_agree == 1:
            notes.append(
                "Only one of the finished starts reached this log-likelihood. Raise n_starts to "
                "be surer that it is the global maximum."
            )
        if certificate.rivals:
            notes.append(certificate.rivals)
        most = data.choices_per_individual[1]
        if self.n_classes > 1 and most == 1 and data.n_situations > 1:
            notes.append(
                "Every individual made one choice: without repeated choices the classes are "
                "weakly identified (Grün and Leisch 2008)."
            )
        return notes + list(self.model.choices.notes)

    def _covariance_in_words(self, is_weighted: bool) -> str:
        """Where standard errors come from, and why it is the default."""
        words = str(self.cov_kwds["description"])
        if is_weighted and self.cov_type == "robust":
            words = f"{words.removesuffix('.')}, the default with sampling weights."
        return words

    def _constraint_notes(self) -> list[str]:
        """What was imposed on the parameters, and what that means for their errors."""
        restrictions = self.model.restrictions
        class_sets = self.model.spec.class_sets
        notes = [] if class_sets is None else [*class_sets.notes]
        if restrictions.linear:
            notes.append(f"Constraints: {'; '.join(restrictions.linear)}.")
        if restrictions.signs:
            imposed = ", ".join(f"{name} {sign}" for name, sign in restrictions.signs)
            notes.append(f"Signs imposed: {imposed}.")
        if self.at_bound:
            notes.append(
                f"At the bound that their sign sets: {', '.join(self.at_bound)}. There the usual "
                "asymptotic theory fails: they have no standard errors, those of the others hold "
                "given that these are 0, and the parameters counted in the criteria include them."
            )
        return notes

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be computed again, if there are data for it."""
        if isinstance(self.model.choices, Withheld):
            return self.__dict__
        classes = type(self).__mro__
        lazy = {n for c in classes for n, v in vars(c).items() if isinstance(v, cached_property)}
        return {name: value for name, value in self.__dict__.items() if name not in lazy}


def _with_words(table: pd.DataFrame, which: np.ndarray, words: str) -> pd.DataFrame:
    """Put words where some rows of a table of coefficients would have a standard error."""
    if not which.any():
        return table
    table = table.astype(object)
    table.loc[which, table.columns[2:]] = ""
    table.loc[which, table.columns[1]] = words
    return table


def _known(value: float) -> str:
    """A statistic that needs ids of alternatives."""
    return "needs alternative=" if np.isnan(value) else f"{value:.4f}"


def _spread(least: float, most: float, mean: float) -> str:
    """Minimum, mean and maximum."""
    return f"{least:g} / {mean:.1f} / {most:g}"


class ResultsWrapper(_Pickles, LikelihoodResultsWrapper):
    """Results with arrays labelled by the names of the parameters."""

    _wrap_methods: ClassVar = {"conf_int": "columns"}
    use_t = InferenceResults.use_t

    @wraps(InferenceResults.cov_params)
    def cov_params(self, *arguments: Any, **keywords: Any) -> Any:
        found = self._results.cov_params(*arguments, **keywords)
        if any(value is not None for value in (*arguments[:2], *map(keywords.get, _PARTS))):
            return found  # of combinations, or of some of the parameters
        names = self._results.model.param_names
        return pd.DataFrame(found, index=names, columns=names)

    def __str__(self) -> str:
        return str(self.summary())

    def __repr__(self) -> str:
        results = self._results
        return (
            f"<MixedMultinomialLogitResults: {results.n_classes} classes, {results.nobs} "
            f"individuals, log-likelihood {results.llf:.4f}, "
            f"{'converged' if results.converged else results.certificate().status}>"
        )


populate_wrapper(ResultsWrapper, MixedMultinomialLogitResults)
