"""Intervals and tests of the parameters: what statsmodels has, with errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd
from statsmodels.base.model import LikelihoodModelResults
from statsmodels.stats.contrast import WaldTestResults
from statsmodels.tools.tools import nan_dot

from mixlogit.arguments import as_floats, is_iterable
from mixlogit.constraints import read_equations
from mixlogit.errors import ArgumentError, did_you_mean, plural, shortened, verb
from mixlogit.postestimation import interval_labels, normal_quantile
from mixlogit.uncertainty import Uncertainty

if TYPE_CHECKING:
    from mixlogit.model import MixedMultinomialLogit

__all__ = ["InferenceResults"]

_ROUND_OFF = 1e-7  # of the error of a combination, relative to those of its parts


class InferenceResults(LikelihoodModelResults):
    """Methods of results about errors, intervals and tests of the parameters."""

    model: MixedMultinomialLogit
    cov_params_default: np.ndarray
    cov_type: str
    _uncertainty: Uncertainty

    def initialize(self, model: Any, params: Any, **keywords: Any) -> None:
        """Set up the results, as statsmodels does when they are made, and never again.

        Parameters
        ----------
        model : MixedMultinomialLogit
        params : ndarray, shape (D,)
        **keywords
            Of statsmodels.

        Raises
        ------
        ArgumentError
            There are results already; it says what to do.
        """
        if hasattr(self, "params"):
            raise ArgumentError(
                "Results stay what a fit made of them. To start from other parameters, use "
                "model.fit(start_params=...)."
            )
        super().initialize(model, params, **keywords)

    @property
    def use_t(self) -> bool:
        """Whether errors go with Student's distribution: no, with the normal one."""
        return False

    @use_t.setter
    def use_t(self, value: bool) -> None:
        raise ArgumentError(
            "Errors of maximum likelihood go with the normal distribution, so use_t cannot be set. "
            "For a single test with Student's, use t_test(..., use_t=True)."
        )

    # -- errors --------------------------------------------------------------------------------

    def cov_params(
        self,
        r_matrix: Any = None,
        column: Any = None,
        scale: Any = None,
        cov_p: Any = None,
        other: Any = None,
    ) -> np.ndarray:
        """Covariance of the estimates, or of linear combinations of them.

        As in statsmodels, but a combination is nan only where it has no standard error. Where
        coefficients diverge together, a contrast of two of them may have one.

        Parameters
        ----------
        r_matrix : array_like, shape (M, D) or (D,), optional
            Combinations; the parameters themselves if None.
        column : int or sequence of int, optional
            Positions of parameters, whose variance or covariance is wanted.
        scale : None
            A likelihood has none.
        cov_p : array_like, shape (D, D), optional
            Covariance of the estimates; that of the results if None.
        other : array_like, shape (M, D) or (D,), optional
            The covariance is r_matrix cov other', with r_matrix in place of other if that is None.

        Returns
        -------
        ndarray, shape (D, D), (M, M), (), or that of the columns

        Raises
        ------
        ArgumentError
            An argument has another shape, or cannot go with the others.
        """
        if scale is not None:
            raise ArgumentError(
                f"scale={scale!r} cannot be had: a likelihood has none. Multiply the covariance."
            )
        n_params = len(self.params)
        whole = self.cov_params_default
        if cov_p is not None:
            whole = as_floats("cov_p", cov_p)
            if whole.shape != (n_params, n_params):
                raise ArgumentError(
                    f"cov_p has shape {whole.shape}; the covariance of {n_params} parameters has "
                    f"({n_params}, {n_params})."
                )
        if column is not None:
            if not (r_matrix is None and other is None):
                raise ArgumentError("column goes without r_matrix and other. Leave them out.")
            return whole[self._positions_of(column)]
        if r_matrix is None:
            if other is not None:
                raise ArgumentError("other goes with r_matrix only. Pass both.")
            return whole
        rows = self._combinations("r_matrix", r_matrix)
        columns = rows if other is None else self._combinations("other", other)
        if cov_p is None and not self._uncertainty.is_whole:
            found = self._uncertainty.between(np.atleast_2d(rows), np.atleast_2d(columns))
            return found.reshape(rows.shape[:-1] + columns.shape[:-1])
        found = nan_dot(np.atleast_2d(rows), nan_dot(whole, np.atleast_2d(columns).T))
        return found.reshape(rows.shape[:-1] + columns.shape[:-1])

    @cached_property
    def tvalues(self) -> np.ndarray:
        """Estimates over their standard errors, (D,); nan for parameters that are fixed."""
        bse = self.bse
        return np.divide(self.params, bse, out=np.full(len(bse), np.nan), where=bse != 0)

    def conf_int(self, alpha: float = 0.05) -> np.ndarray:
        """Confidence intervals of the parameters, estimate ± quantile × standard error.

        Parameters
        ----------
        alpha : float
            One minus the confidence level.

        Returns
        -------
        ndarray, shape (D, 2)

        Raises
        ------
        ArgumentError
            ``alpha`` does not lie between 0 and 1.
        """
        interval_labels(alpha)  # refuses an alpha out of range
        reach = normal_quantile(alpha) * self.bse
        return np.column_stack([self.params - reach, self.params + reach])

    # -- tests ---------------------------------------------------------------------------------

    def t_test(self, r_matrix: Any, cov_p: Any = None, use_t: bool | None = None) -> Any:
        """z tests of single linear hypotheses.

        Parameters
        ----------
        r_matrix : str, sequence of str, array_like of shape (M, D), or tuple
            Equations in the names of parameters, ``"class1.pf = class2.pf"``, with commas between
            several; or the coefficients of combinations that are zero, or a pair of these and of
            M values.
        cov_p : array_like, shape (D, D), optional
            Covariance of the estimates; that of the results if None.
        use_t : bool, optional
            Whether Student's distribution is used, with ``df_resid`` degrees of freedom.

        Returns
        -------
        ContrastResults
            Of statsmodels: ``effect``, ``sd``, ``tvalue``, ``pvalue``, ``conf_int()``. The test is
            nan where a combination has no standard error, or where the constraints leave nothing
            to test. Coefficients that diverge together have none, but a contrast of them may.

        Raises
        ------
        ArgumentError
            The hypotheses cannot be read, or an argument has another shape.
        """
        coefficients, constants = self._equations(r_matrix)
        _require_flag("use_t", use_t)
        # alone, for statsmodels gives a single hypothesis another shape
        is_known = self._errors_of(coefficients, cov_p) == 0
        found = super().t_test((coefficients, constants), cov_p, use_t)
        found.statistic[is_known] = np.nan
        found.pvalue = np.where(np.squeeze(is_known), np.nan, found.pvalue)
        return found

    def wald_test(
        self,
        r_matrix: Any,
        cov_p: Any = None,
        invcov: Any = None,
        use_f: bool | None = None,
        df_constraints: float | None = None,
        scalar: bool = True,
    ) -> Any:
        """Wald test of several linear hypotheses at once.

        Parameters
        ----------
        r_matrix : str, sequence of str, array_like of shape (M, D), or tuple
            As for `t_test`: ``"class1.tod = class2.tod, class1.seas = class2.seas"``.
        cov_p : array_like, shape (D, D), optional
            Covariance of the estimates; that of the results if None.
        invcov : array_like, shape (M, M), optional
            Inverse of the covariance of the combinations, if it is known.
        use_f : bool, optional
            Whether the F distribution is used, with ``df_resid`` degrees of freedom, in place of
            the chi-square.
        df_constraints : float, optional
            Degrees of freedom of the hypotheses; how many of them say something new if None.
        scalar : bool
            Whether the statistic is a number; else an array of shape (1, 1).

        Returns
        -------
        ContrastResults
            Of statsmodels: ``statistic``, ``pvalue``; and degrees of freedom, ``df_denom`` of the
            chi-square, and ``df_num`` and ``df_denom`` of F.

        Raises
        ------
        ArgumentError
            The hypotheses cannot be read, an argument has another shape, a combination has no
            standard error, or the constraints leave nothing to test.
        """
        coefficients, constants = self._equations(r_matrix)
        for name, value in (("use_f", use_f), ("scalar", scalar)):
            _require_flag(name, value)
        if invcov is None:
            error = self._errors_of(coefficients, cov_p)
            self._refuse_untestable(coefficients, error, cov_p)
            # of size one, so that the rank does not depend on the units of attributes
            coefficients, constants = coefficients / error[:, None], constants / error
        else:
            invcov, n = as_floats("invcov", invcov), len(coefficients)
            if invcov.shape != (n, n):
                raise ArgumentError(
                    f"invcov has shape {invcov.shape}; the covariance of {plural(n, 'equation')} "
                    f"has ({n}, {n})."
                )
        return super().wald_test(
            (coefficients, constants), cov_p, invcov, use_f, df_constraints, scalar
        )

    def f_test(self, r_matrix: Any, cov_p: Any = None, invcov: Any = None) -> Any:
        """`wald_test` with the F distribution.

        The chi-square is the usual choice for maximum likelihood.

        Parameters
        ----------
        r_matrix, cov_p, invcov
            As for `wald_test`.

        Returns
        -------
        ContrastResults

        Raises
        ------
        ArgumentError
            As for `wald_test`.
        """
        return self.wald_test(r_matrix, cov_p, invcov, use_f=True)

    def wald_test_terms(
        self,
        skip_single: bool = False,
        extra_constraints: Sequence[tuple[str, Any]] | None = None,
        combine_terms: Sequence[str] | None = None,
        scalar: bool = True,
    ) -> Any:
        """Wald tests of each parameter alone, and of those whose names have something in common.

        Parameters
        ----------
        skip_single : bool
            Whether to leave out the tests of single parameters.
        extra_constraints : sequence of (str, hypotheses), optional
            Names of further tests, and their hypotheses as for `wald_test`.
        combine_terms : sequence of str, optional
            Pieces of names: all parameters with ``"tod"`` in their name are tested together.
        scalar : bool
            As for `wald_test`.

        Returns
        -------
        WaldTestResults
            Of statsmodels; its ``table`` is a frame with the columns ``statistic``, ``pvalue`` and
            ``df_constraint``.

        Raises
        ------
        ArgumentError
            No name has such a piece; or as for `wald_test`, for one of the tests.
        """
        names = self.model.param_names
        for name, value in (("skip_single", skip_single), ("scalar", scalar)):
            _require_flag(name, value)
        pieces = _listed_as("combine_terms", combine_terms, "pieces of names, such as ['tod']")
        for piece in pieces:
            if not (isinstance(piece, str) and any(piece in name for name in names)):
                known = [name.partition(".")[2] for name in names]
                raise ArgumentError(
                    f"combine_terms has {piece!r}, which is in the name of no parameter."
                    f"{did_you_mean(piece, known)}"
                )
        what = "pairs of a name and hypotheses"
        extra = _listed_as("extra_constraints", extra_constraints, what)
        if not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in extra):
            raise ArgumentError(f"extra_constraints must be a list of {what}.")
        unit = np.eye(len(names))
        single = [] if skip_single else [*zip(names, unit, strict=True)]
        joint = [(piece, unit[[piece in name for name in names]]) for piece in pieces]
        tested = [*single, *joint, *extra]
        rows = [self.wald_test(hypotheses, scalar=scalar) for _, hypotheses in tested]
        table = pd.DataFrame(
            [(row.statistic, row.pvalue, int(row.df_denom)) for row in rows],
            index=[name for name, _ in tested],
            columns=["statistic", "pvalue", "df_constraint"],
        )
        return WaldTestResults(None, "chi2", None, table=table)

    # -- what there is not ---------------------------------------------------------------------

    def t_test_pairwise(self, *arguments: Any, **keywords: Any) -> NoReturn:
        """Refuse to compare the levels of a term: there is no term with one coefficient each.

        Parameters
        ----------
        *arguments, **keywords
            Of statsmodels; they are not read.

        Raises
        ------
        ArgumentError
            Always; it says what to do.
        """
        names = self.model.param_names
        raise ArgumentError(
            "t_test_pairwise compares the levels of a term with one coefficient for each, and here "
            "every class has its own. Write each comparison as an equation: "
            f't_test("{names[0]} = {names[1] if len(names) > 1 else 0}").'
        )

    def remove_data(self) -> NoReturn:
        """Refuse to take the data out of results in place, which the methods need.

        Raises
        ------
        ArgumentError
            Always; it says what to do.
        """
        raise ArgumentError(
            "Data are not taken out of results in place, because their methods need them. "
            "to_file(path, include_data=False) writes a file of results without them."
        )

    # -- parts ---------------------------------------------------------------------------------

    def _equations(self, given: Any) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (M, D) and constants (M,) of linear hypotheses."""
        names = self.model.param_names
        return read_equations(
            given,
            names,
            "The hypotheses",
            f"an array with a column for each of {plural(len(names), 'parameter')}, or equations",
        )

    def _combinations(self, name: str, given: Any) -> np.ndarray:
        """Coefficients of linear combinations, (M, D) or (D,)."""
        rows = as_floats(name, given)
        if rows.ndim not in (1, 2) or rows.shape[-1] != len(self.params):
            raise ArgumentError(
                f"{name} has shape {rows.shape}; combinations of {len(self.params)} parameters "
                f"have (M, {len(self.params)})."
            )
        return rows

    def _positions_of(self, column: Any) -> Any:
        """Index of the variance of one parameter, or of the covariance of several."""
        position = np.asarray(column)
        n_params = len(self.params)
        is_whole = position.dtype.kind in "iu" and position.ndim < 2
        if not (is_whole and ((position >= -n_params) & (position < n_params)).all()):
            raise ArgumentError(
                f"column={column!r} must be positions of parameters, from 0 to {n_params - 1}."
            )
        return (position, position) if position.ndim == 0 else np.ix_(position, position)

    def _errors_of(self, coefficients: np.ndarray, cov_p: Any) -> np.ndarray:
        """Standard errors of combinations, (M,); 0 where they are 0 but for round-off."""
        variance = np.diag(np.atleast_2d(self.cov_params(coefficients, cov_p=cov_p)))
        whole = np.diag(self._uncertainty.matrix if cov_p is None else self.cov_params(cov_p=cov_p))
        own = np.sqrt(np.maximum(np.nan_to_num(whole), 0.0))
        error = np.sqrt(np.maximum(variance, 0.0))  # nan stays
        return np.where(error <= _ROUND_OFF * (np.abs(coefficients) @ own), 0.0, error)

    def _refuse_untestable(self, coefficients: np.ndarray, error: np.ndarray, cov_p: Any) -> None:
        """Raise where a joint test does not exist."""
        if np.isnan(error).any():
            involved = (coefficients[np.isnan(error)] != 0).any(axis=0)
            without = involved & np.isnan(np.diag(self.cov_params(cov_p=cov_p)))
            names = [n for n, is_one in zip(self.model.param_names, without, strict=True) if is_one]
            remedy = "Leave it out of the test." if len(names) == 1 else "Leave them out."
            if self.cov_type == "none":
                remedy = "with_cov('nonrobust') gives them."
            raise ArgumentError(
                f"{shortened(names)} {verb(len(names), 'has', 'have')} no standard error, so there "
                f"is no test. {remedy}"
            )
        if (error == 0).any():
            row = coefficients[np.flatnonzero(error == 0)[0]]
            names = [n for n, c in zip(self.model.param_names, row, strict=True) if c]
            raise ArgumentError(
                f"The constraints fix what a hypothesis says of {shortened(names)}, so there is "
                "nothing to test. Leave it out, or fit without the constraint."
            )


def _require_flag(name: str, value: Any) -> None:
    """Raise unless a value is true, false or not given."""
    if not (value is None or isinstance(value, (bool, np.bool_))):
        raise ArgumentError(f"{name}={value!r} must be True or False.")


def _listed_as(name: str, values: Iterable[Any] | None, what: str) -> list[Any]:
    """Several values as a list; none if there are none."""
    if values is None:
        return []
    if isinstance(values, str) or not is_iterable(values):
        raise ArgumentError(f"{name}={values!r} must be a list of {what}.")
    return list(values)
