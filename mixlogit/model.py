"""The model an analyst builds and fits."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import patsy
from statsmodels.base.data import PandasData
from statsmodels.base.model import LikelihoodModel

from mixlogit.arrays import ArrayTable
from mixlogit.candidates import pooled_logit
from mixlogit.choices import ChoiceData
from mixlogit.columns import Columns, as_frame
from mixlogit.errors import ArgumentError, ConvergenceWarning
from mixlogit.estimation import State, estimate
from mixlogit.formula import ChoiceFormula, ChoiceSets
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.logit import ChoiceTable
from mixlogit.membership import for_design
from mixlogit.moments import LatentMoments, latent_moments
from mixlogit.results import MixedMultinomialLogitResults, ResultsWrapper

__all__ = ["MixedMultinomialLogit"]


class _Names(PandasData):
    """Arrays as they are, with the names that results are labelled with."""

    def __init__(self, endog: np.ndarray, exog: np.ndarray, names: list[str], ynames: str) -> None:
        self.endog = self.orig_endog = endog
        self.exog = self.orig_exog = exog
        self.k_constant, self.const_idx = 0, None
        self._ynames = ynames
        self._cache: dict[str, Any] = {}
        self.param_names = self.cov_names = names

    @property
    def ynames(self) -> str:
        """Name of the choice column."""
        return self._ynames

    @property
    def xnames(self) -> list[str]:
        """Names of the parameters."""
        return self.param_names


class MixedMultinomialLogit(LikelihoodModel):
    """Mixture of conditional logits with latent classes of decision makers.

    Parameters
    ----------
    endog : array_like, shape (R,)
        1 (or True) on the chosen row of each situation, or counts.
    exog : array_like, shape (R, L)
        Attributes, one row per situation and available alternative, without a constant. Columns
        of a DataFrame give the names.
    n_classes : int
        Number of latent classes, K.
    situation : array_like of hashable, shape (R,), optional
        Choice situation of each row. Without it, all rows are one choice set and ``endog`` holds
        counts.
    individual : array_like of hashable, shape (R,), optional
        Decision maker of each row. Without it, every choice is by an individual of its own.
    alternative : array_like of hashable, shape (R,), optional
        Alternative of each row; used to order rows, to find duplicates and in messages.
    membership : array_like, shape (R,) or (R, Q − 1), optional
        Covariates of class membership, constant within individuals; an intercept is put in front.
    weights : array_like, shape (R,), optional
        Sampling weights, constant within individuals.
    choices : {"auto", "one", "counts"}
        "one": exactly one chosen row per situation. "counts": any counts. "auto": counts if some
        value is neither 0 nor 1.

    Raises
    ------
    DataError
        The rows do not describe choices; the message says where and what to do.
    IdentificationError
        An attribute is constant within every situation, or columns are collinear.

    See Also
    --------
    MixedMultinomialLogit.from_formula, MixedMultinomialLogit.from_table

    References
    ----------
    X. Bing, F. Bunea, J. Niles-Weed and M. Wegkamp (2024), Learning large softmax mixtures with
    warm start EM, arXiv 2409.09903.
    """

    _is_from_arrays = False

    def __init__(
        self,
        endog: Any,
        exog: Any,
        n_classes: int = 2,
        *,
        situation: Any = None,
        individual: Any = None,
        alternative: Any = None,
        membership: Any = None,
        weights: Any = None,
        choices: str = "auto",
    ) -> None:
        arrays = ArrayTable.of(
            exog,
            endog=endog,
            situation=situation,
            individual=individual,
            alternative=alternative,
            weights=weights,
            membership=membership,
        )
        learned, data = arrays.learn(choices)
        self._is_from_arrays = True
        self._set_up(data, learned, n_classes, arrays.frame.index)

    @classmethod
    def from_formula(
        cls,
        formula: str,
        data: Any,
        n_classes: int = 2,
        *,
        situation: str | None = None,
        individual: str | None = None,
        alternative: str | None = None,
        membership: str = "1",
        weights: str | None = None,
        availability: str | None = None,
        choices: str = "auto",
        missing: str = "raise",
    ) -> MixedMultinomialLogit:
        """Build a model from a formula and a long table.

        Parameters
        ----------
        formula : str
            ``choice ~ attributes`` in patsy's language. The left side is a column of 0/1 or
            counts, or an expression such as ``chosen == alt``. There is no intercept; constants
            of alternatives are written ``C(alt)``, with a chosen reference
            ``C(alt, Treatment('car'))``, and coefficients by alternative ``C(alt):time``.
        data : DataFrame
            One row per situation and available alternative.
        n_classes : int
            Number of latent classes, K.
        situation, individual, alternative : str, optional
            Columns of ids. A situation id may be used again by another individual. Without
            ``situation`` all rows are one choice set with counts; without ``individual`` every
            choice is by an individual of its own.
        membership : str
            Right side of the membership formula, on columns that are constant within individuals;
            "1" for shares alone.
        weights : str, optional
            Column of sampling weights, constant within individuals.
        availability : str, optional
            Column of 0/1; rows with 0 are left out of their choice set.
        choices : {"auto", "one", "counts"}
            As for the class.
        missing : {"raise", "drop"}
            "drop" leaves out whole situations with a missing value, and says how many.

        Returns
        -------
        MixedMultinomialLogit

        Raises
        ------
        ColumnError, FormulaError
            A column or a term of a formula is wrong.
        DataError
            The rows do not describe choices; the message says where and what to do.
        IdentificationError
            An attribute is constant within every situation, or columns are collinear.
        """
        frame = as_frame(data)
        learned, choice_data = ChoiceFormula.learn(
            formula,
            frame,
            Columns(situation, individual, alternative, weights, availability),
            membership=membership,
            choices=choices,
            missing=missing,
            env=patsy.EvalEnvironment.capture(1),
        )
        model = cls.__new__(cls)
        model._set_up(choice_data, learned, n_classes, frame.index)
        return model

    @classmethod
    def from_table(
        cls,
        formula: str,
        table: Any,
        choices: Any,
        n_classes: int = 2,
        *,
        alternative: str,
        individual: str,
        count: str | None = None,
        membership: str = "1",
        weights: str | None = None,
    ) -> MixedMultinomialLogit:
        """Build a model of many individuals who choose from one table, repeatedly.

        The table is stored once, whatever the number of individuals.

        Parameters
        ----------
        formula : str
            Right side of the utility formula, ``~ x1 + x2``, on the columns of ``table``.
        table : DataFrame
            One row per alternative.
        choices : DataFrame
            One row per individual and alternative chosen.
        n_classes : int
            Number of latent classes, K.
        alternative : str
            Column of ids in both tables.
        individual : str
            Column of ids in ``choices``.
        count : str, optional
            Column of counts in ``choices``; without it every row is one choice. Rows that repeat
            add up.
        membership : str
            Right side of the membership formula, on columns of ``choices``.
        weights : str, optional
            Column of sampling weights in ``choices``.

        Returns
        -------
        MixedMultinomialLogit
        """
        frame = as_frame(table, "table")
        learned, choice_data = ChoiceFormula.learn_table(
            formula,
            frame,
            as_frame(choices, "choices"),
            alternative=alternative,
            individual=individual,
            count=count,
            weights=weights,
            membership=membership,
            env=patsy.EvalEnvironment.capture(1),
        )
        model = cls.__new__(cls)
        model._set_up(choice_data, learned, n_classes, frame.index)
        return model

    def _set_up(
        self, data: ChoiceData, spec: ChoiceFormula, n_classes: int, index: pd.Index
    ) -> None:
        """Attach choice data and hand the rest to statsmodels."""
        if isinstance(n_classes, bool) or not isinstance(n_classes, (int, np.integer)):
            raise ArgumentError(f"n_classes={n_classes!r} must be a whole number of at least 1.")
        if n_classes < 1:
            raise ArgumentError(f"n_classes={n_classes} must be at least 1.")
        if n_classes > data.n_individuals:
            raise ArgumentError(
                f"n_classes={n_classes}, but there are only {data.n_individuals:,} individuals. "
                "Fit fewer classes."
            )
        self.choices = data
        self.spec = spec
        self.formula = spec.formula
        self.n_classes = int(n_classes)
        self._row_index = index
        self._table: ChoiceTable | None = None
        super().__init__(data.counts(), data.exog, hasconst=False)

    def _handle_data(
        self, endog: np.ndarray, exog: np.ndarray, missing: str, hasconst: bool, **kwargs: Any
    ) -> _Names:
        """Keep the arrays as they are: the choice data has checked them."""
        return _Names(endog, exog, self.likelihood().param_names, self.spec.choice)

    @property
    def param_names(self) -> list[str]:
        """Names of the flat vector of parameters."""
        return self.data.param_names

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the kernel's blocks."""
        return self.__dict__ | {"_table": None}

    # -- likelihood ------------------------------------------------------------------------------

    def likelihood(self, penalty: float = 0.0, n_classes: int | None = None) -> MixtureLikelihood:
        """Log-likelihood of a mixture on this model's data.

        Parameters
        ----------
        penalty : float
            Ridge on the coefficients, see `fit`.
        n_classes : int, optional
            The model's own if None.

        Returns
        -------
        MixtureLikelihood
        """
        if self._table is None:
            self._table = ChoiceTable(self.choices)
        return MixtureLikelihood(self._table, n_classes or self.n_classes, penalty)

    def _params(self, params: Any) -> np.ndarray:
        """Check a flat vector of parameters."""
        flat = np.asarray(params, dtype=float)
        expected = self.likelihood().n_params
        if flat.shape != (expected,):
            raise ArgumentError(
                f"Parameters have shape {flat.shape}, but the model has {expected}: "
                f"{', '.join(self.param_names[:4])}, ..."
            )
        if not np.isfinite(flat).all():
            first = self.param_names[int(np.argmin(np.isfinite(flat)))]
            raise ArgumentError(f"Parameter {first!r} is not finite.")
        return flat

    def loglike(self, params: Any) -> float:
        """Log-likelihood at parameters (D,)."""
        likelihood = self.likelihood()
        log_f = likelihood.posterior(likelihood.unpack(self._params(params)))[0]
        return float(likelihood.weight @ log_f)

    def score(self, params: Any) -> np.ndarray:
        """Gradient of the log-likelihood, (D,)."""
        return self.likelihood().evaluate(self._params(params)).score

    def score_obs(self, params: Any) -> np.ndarray:
        """Gradient of each distinct individual's weighted log-likelihood, (N, D)."""
        likelihood = self.likelihood()
        scores = likelihood.individual_scores(likelihood.unpack(self._params(params)))
        return scores * likelihood.weight[:, None]

    def hessian(self, params: Any) -> np.ndarray:
        """Matrix of second derivatives of the log-likelihood, (D, D)."""
        return self.likelihood().evaluate(self._params(params)).hessian

    def information(self, params: Any) -> np.ndarray:
        """Observed information, minus the Hessian, (D, D)."""
        return -self.hessian(params)

    def posterior(self, params: Any) -> np.ndarray:
        """Class probabilities of each distinct individual given its choices, (N, K)."""
        likelihood = self.likelihood()
        return likelihood.posterior(likelihood.unpack(self._params(params)))[1]

    # -- estimation ------------------------------------------------------------------------------

    def fit(
        self,
        start_params: Any = None,
        *,
        init: str = "auto",
        n_starts: int | None = None,
        method: str = "em-newton",
        maxiter: int = 500,
        tol: float = 1e-8,
        penalty: float = 0.0,
        rng: int | np.random.Generator | None = 0,
        cov_type: str = "nonrobust",
        cov_kwds: dict[str, Any] | None = None,
        disp: bool = False,
        callback: Callable[[State], None] | None = None,
    ) -> Any:
        """Estimate the model by maximum likelihood.

        Parameters
        ----------
        start_params : array_like, shape (D,), or results, optional
            A single start, in the order of `param_names`; no others are tried.
        init : {"auto", "moments", "subspace", "random"}
            How starts are found. "auto": latent moments where the data allow them, draws in their
            subspace, clusters of the individuals' scores and random partitions, most of them with
            two classes to spare that are taken away again; the best is then improved on by
            splitting and removing classes until nothing better is found. With many individuals
            all this runs on a random sample of them, and the best of it on all. The others are
            one kind alone: atoms of the latent moments; draws in their subspace; random
            partitions and noise.
        n_starts : int, optional
            Candidates, 8 by default. They run together for a few EM iterations; the better ones
            go on.
        method : {"em-newton", "em", "newton"}
            EM from the starts and Newton steps with the exact Hessian to the end; EM alone; or
            Newton from the starts.
        maxiter : int
            Bound on the EM iterations of each finalist, and on the Newton steps.
        tol : float
            ``method="em"`` stops when extrapolation promises less log-likelihood than this.
        penalty : float
            Ridge: half of it times the sum of squared coefficients, each multiplied by the
            standard deviation of its attribute within situations, is taken off the
            log-likelihood. A remedy for separation; 0 by default.
        rng : int, Generator or None
            Seed of the starts. The same seed gives the same bits; None draws a fresh one.
        cov_type : {"nonrobust", "opg", "robust", "cluster"}
            Covariance of the estimates: inverse observed information, outer product of scores,
            sandwich by individuals, sandwich by clusters of individuals.
        cov_kwds : dict, optional
            ``{"groups": ...}`` for "cluster": one per individual, in the order of
            ``result.posterior``.
        disp : bool
            Show a progress line on standard error.
        callback : callable, optional
            Called with a `mixlogit.estimation.State` on every iteration.

        Returns
        -------
        MixedMultinomialLogitResults

        Warns
        -----
        ConvergenceWarning
            The fit did not end at a certified maximum; the message says where it ended.
        OneChoiceWarning
            Individuals choose once, from choice sets of their own: weak identification.
        """
        if not (isinstance(maxiter, (int, np.integer)) and maxiter >= 1):
            raise ArgumentError(f"maxiter={maxiter!r} must be a whole number of at least 1.")
        if not (np.isfinite(penalty) and penalty >= 0):
            raise ArgumentError(f"penalty={penalty!r} must be finite and at least 0.")
        if not (np.isfinite(tol) and tol > 0):
            raise ArgumentError(f"tol={tol!r} must be positive.")
        likelihood = self.likelihood(penalty)
        settings = {
            "optimizer": method,
            "method": method,
            "init": init,
            "n_starts": n_starts,
            "maxiter": maxiter,
            "tol": tol,
            "penalty": penalty,
            "rng": rng,
        }
        fit = estimate(
            likelihood,
            start=self._start(start_params, likelihood),
            init=init,
            n_starts=n_starts,
            method=method,
            maxiter=int(maxiter),
            tol=tol,
            rng=np.random.default_rng(rng),
            callback=_progress(callback) if disp else callback,
        )
        if disp:
            print(file=sys.stderr)
        if not fit.certificate.converged and not (
            method == "em" and fit.certificate.status == "em"
        ):
            warnings.warn(fit.certificate.message, ConvergenceWarning, stacklevel=2)
        return ResultsWrapper(MixedMultinomialLogitResults(self, fit, cov_type, cov_kwds, settings))

    def _start(self, start_params: Any, likelihood: MixtureLikelihood) -> Parameters | None:
        """Read a start: an array or earlier results."""
        if start_params is None:
            return None
        flat = getattr(start_params, "params", start_params)
        return likelihood.unpack(self._params(flat))

    def latent_moments(self, base: Any = None) -> LatentMoments:
        """Moments of the distribution of tastes, before any likelihood of a mixture.

        `mixlogit.atoms` turns them into tastes and shares, and `mixlogit.atoms.subspace` shows
        the eigenvalues of the second moments: as many as are clearly positive, and one, is what
        the data say of the number of classes.

        Parameters
        ----------
        base : array_like, shape (L,), optional
            Tastes that the moments are taken around, utils per unit of each attribute; the logit
            with one class if None.

        Returns
        -------
        LatentMoments
        """
        likelihood = self.likelihood()
        around = pooled_logit(likelihood) if base is None else np.asarray(base, dtype=float)
        if around.shape != (self.choices.n_attributes,):
            raise ArgumentError(
                f"base has shape {around.shape}, but the model has {self.choices.n_attributes} "
                f"attributes: {', '.join(self.choices.exog_names[:4])}, ..."
            )
        return latent_moments(likelihood.table, likelihood.weight, around)

    # -- prediction ------------------------------------------------------------------------------

    def choice_sets(self, data: Any = None, **ids: Any) -> ChoiceSets:
        """Choice sets of the fitted or of new data.

        Parameters
        ----------
        data : DataFrame or array_like, optional
            The fitted data if None.
        **ids
            ``situation`` and ``membership``, for a model built from arrays.

        Returns
        -------
        ChoiceSets
        """
        if data is None:
            if ids:
                raise ArgumentError(f"{', '.join(ids)} go with new data. Pass the data too.")
            return ChoiceSets(self.choices.exog, self.choices.arrangement, None, self._row_index)
        if self._is_from_arrays:
            unknown = set(ids) - {"situation", "membership"}
            if unknown:
                raise ArgumentError(f"predict does not take {', '.join(sorted(unknown))}.")
            return self.spec.replay(ArrayTable.of(data, **ids).frame)
        if ids:
            raise ArgumentError(
                f"{', '.join(ids)}: the model was built from a table, so new data bring their ids "
                "as columns."
            )
        return self.spec.replay(as_frame(data))

    def situation_prior(self, parameters: Parameters, sets: ChoiceSets) -> np.ndarray:
        """Probability that who faces a situation is of each class, (S, K).

        In the fitted data this is the mean over the individuals who chose there.
        """
        if sets.membership is not None:
            gate = for_design(sets.membership, self.choices.membership_names, 1.0)
            log_prior = gate.log_prior(parameters.gamma, slice(None))
            return np.broadcast_to(np.exp(log_prior).T, (len(sets.membership), self.n_classes))
        likelihood, entries = self.likelihood(), self.choices.entries
        owner = np.repeat(np.arange(self.choices.n_distinct), np.diff(entries.start))
        weight = likelihood.weight[owner]
        situation = self.choices.situation_of_rows()[entries.row]
        prior = likelihood.prior(parameters)[owner] * weight[:, None]
        total = np.bincount(situation, weights=weight)
        sums = [np.bincount(situation, weights=column) for column in prior.T]
        return np.column_stack(sums) / total[:, None]


def _progress(callback: Callable[[State], None] | None) -> Callable[[State], None]:
    """Write a line on standard error at every iteration, and pass the state on."""

    def show(state: State) -> None:
        shares = " ".join(f"{share:.3f}" for share in state.shares)
        found = f"llf {state.llf:.4f}  shares {shares}" if np.isfinite(state.llf) else "searching"
        line = f"\r{state.phase} {state.iteration:4d}  {found}"
        print(line.ljust(78), end="", file=sys.stderr, flush=True)
        if callback is not None:
            callback(state)

    return show
