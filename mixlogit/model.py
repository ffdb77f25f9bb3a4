"""The model an analyst builds and fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import patsy
from statsmodels.base.data import PandasData
from statsmodels.base.model import LikelihoodModel

from mixlogit.arguments import as_floats, as_generator, is_number, require_whole
from mixlogit.arrays import ArrayTable
from mixlogit.attributes import blocks_of_rows
from mixlogit.choices import ChoiceData
from mixlogit.chunks import Chunks
from mixlogit.class_sets import ClassSets, refuse_unidentified
from mixlogit.columns import Columns, as_frame
from mixlogit.constraints import Restrictions
from mixlogit.covariance import check_covariance
from mixlogit.demand import Market, Visits
from mixlogit.errors import ArgumentError, ConvergenceWarning, InterruptWarning, verb, warn
from mixlogit.estimation import State, estimate
from mixlogit.formula import ChoiceFormula, ChoiceSets
from mixlogit.incumbent import keeps
from mixlogit.individuals import (
    Individuals,
    Table,
    TableInPieces,
    TableOfChoices,
    TableOfRows,
    attached,
)
from mixlogit.likelihood import MixtureLikelihood, Parameters, parameter_names
from mixlogit.logit import ChoiceTable
from mixlogit.moments import LatentMoments, latent_moments
from mixlogit.people import own_column
from mixlogit.pooled import pooled_logit
from mixlogit.progress import ProgressLine
from mixlogit.results import MixedMultinomialLogitResults, ResultsWrapper
from mixlogit.split_merge import splits
from mixlogit.withheld import Withheld

__all__ = ["MixedMultinomialLogit"]

# What new arrays may come with.
_ARRAYS = (
    *("situation", "individual", "alternative", "weights", "freq_weights", "offset"),
    "membership",
)


class _Names(PandasData):
    """Arrays as they are, with the names that results are labelled with."""

    def __init__(self, endog: Any, exog: Any, names: list[str], ynames: str) -> None:
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
        1 (or True) on the chosen row of each situation and 0 on the others; counts where all rows
        are one choice set, and where ``choices="counts"`` says so.
    exog : array_like, shape (R, L)
        Attributes, one row per situation and available alternative, without a constant. Columns
        of a DataFrame give the names. A memory map (``numpy.memmap``, C order) whose rows stand in
        the order of individual, situation and alternative is read where it is, block by block;
        anything else is copied.
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
    weights : array_like, shape (R,), or Series of individuals, optional
        Sampling weights, constant within individuals, in any unit: they are divided by their mean
        over individuals, which a note in the summary says. Errors are robust by default with
        them. A Series may have the ids of individuals in its index instead of the labels of rows.
        Without ``individual``, the weight of a choice stands in the row that was chosen, and
        those of other rows are not used.
    freq_weights : array_like of int, shape (R,), or Series of individuals, optional
        How many identical individuals each individual stands for, at least 1; they enter the
        number of individuals and all errors as so many. Where they stand as for ``weights``; both
        may be given.
    offset : array_like, shape (R,), optional
        What is added to the utility of each row, in utils, with coefficient 1 in all classes: a
        correction for sampled alternatives, log(1 / q) of the probability q of being sampled
        (McFadden 1978), or the part of utility whose coefficients are known. ``llnull`` and the
        logit with one class have it too.
    choices : {"auto", "one", "counts"}
        "one": exactly one chosen row per situation. "counts": any counts. "auto": "one" where
        situations are given, and counts where all rows are one choice set, which can be read in
        no other way. What is neither is refused, such as the number of the chosen alternative on
        every row of its situation.
    common : str or sequence of str
        Attributes with one coefficient for all classes, by their names in the results; the name of
        a categorical term stands for all its columns.
    constraints : str or sequence of str
        Linear equations in the names of parameters, such as ``"class1.time = 0"`` or
        ``"class2.wait = class3.wait"``. Classes then keep the numbers given here, and are not
        ordered by their share. Equations in common attributes alone, such as ``"time = 1"`` with
        ``common="time"``, name no class, and hold for any number of classes.
    signs : dict of str to {"+", "-"}, optional
        Attributes, or single parameters, whose coefficients are at least 0 or at most 0.
    available_in : dict of str to list or str, optional
        Classes that do not have all alternatives: ``{"class1": ["car", "train"]}`` lists those
        that a class has; an expression of columns, such as ``{"class2": "(alt != 'car') | (owner
        == 1)"}``, is true in the rows that it has. Its probabilities are over these alone, and who
        chose another row is not of this class. Classes then keep the numbers given here.
    dtype : {"float64", "float32"}
        What the model's copy of the attributes is stored as. "float32" halves it, and rounds each
        value to about seven digits; all sums are in float64 either way. A note in the result says
        so where rounding takes more than 1e-4 of an attribute's variation within situations.

    Raises
    ------
    DataError
        The rows do not describe choices; the message says where and what to do.
    IdentificationError
        An attribute is constant within every situation, or columns are collinear.
    ArgumentError
        There are more classes than individuals; a constraint or a sign cannot be read or
        contradicts another; or another argument is outside what is accepted.

    Notes
    -----
    Arrays and lists are taken by position. Series and frames are put into the order of ``exog``,
    or of the first argument that has an index, by their index, and are refused if it holds other
    labels: ``.to_numpy()`` takes them by position. Predictions have that index.

    See Also
    --------
    MixedMultinomialLogit.from_formula, MixedMultinomialLogit.from_table,
    MixedMultinomialLogit.from_chunks

    References
    ----------
    X. Bing, F. Bunea, J. Niles-Weed and M. Wegkamp (2024), Learning large softmax mixtures with
    warm start EM, arXiv 2409.09903.

    D. McFadden (1978), Modelling the choice of residential location, in Spatial Interaction Theory
    and Planning Models, North-Holland, 75–96.
    """

    _is_from_arrays = False
    _source: Table | None = None  # what it was built from, where it is at hand

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
        freq_weights: Any = None,
        offset: Any = None,
        choices: str = "auto",
        common: Any = (),
        constraints: Any = (),
        signs: Any = None,
        available_in: Any = None,
        dtype: Any = "float64",
    ) -> None:
        arrays = ArrayTable.of(
            exog,
            endog=endog,
            situation=situation,
            individual=individual,
            alternative=alternative,
            weights=weights,
            freq_weights=freq_weights,
            offset=offset,
            membership=membership,
        )
        learned, data = arrays.learn(choices, dtype, ClassSets.of(available_in, n_classes))
        self._is_from_arrays = True
        restrictions = Restrictions.of(common, constraints, signs)
        self._set_up(data, learned, n_classes, arrays.frame.index, restrictions)

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
        freq_weights: str | None = None,
        availability: str | None = None,
        offset: str | None = None,
        choices: str = "auto",
        missing: str = "raise",
        common: Any = (),
        constraints: Any = (),
        signs: Any = None,
        available_in: Any = None,
        dtype: Any = "float64",
        reference: Any = None,
    ) -> MixedMultinomialLogit:
        """Build a model from a formula and a long table.

        Parameters
        ----------
        formula : str
            ``choice ~ attributes`` in patsy's language. The left side is a column of 0/1 (or of
            counts, see ``choices``), or an expression such as ``chosen == alt``. The right side may
            have up to three parts, ``cost + time | income + C(sex) | wait``: attributes with one
            coefficient for all alternatives; variables of the person, the same in all rows of a
            situation, with one for each alternative but the reference, and constants of these
            alternatives (``| 0 + income`` leaves the constants out, ``| 1`` has nothing else);
            attributes with a coefficient for each alternative. They are called ``car:income``,
            ``car:(constant)`` and ``car:wait``. With one part there are no constants unless
            written ``C(alt)``, with a chosen reference ``C(alt, Treatment('car'))``.
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
        weights, freq_weights : str or Series, optional
            Columns of sampling weights and of numbers of identical individuals, as for the class;
            or a Series of them with the ids of individuals in its index.
        availability : str, optional
            Column of 0/1; rows with 0 are left out of their choice set.
        offset : str, optional
            Column of what is added to the utility of each row, as for the class.
        choices : {"auto", "one", "counts"}
            As for the class.
        missing : {"raise", "drop"}
            "drop" leaves out whole situations with a missing value, and says how many.
        common, constraints, signs, available_in, dtype
            As for the class.
        reference : hashable, optional
            The reference alternative of a formula in several parts; by default the first one, in
            the order of categories or sorted.

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
        ArgumentError
            As for the class.

        Warns
        -----
        DataWarning
            Situations were dropped, with ``missing="drop"``.
        """
        frame, columns = attached(
            as_frame(data),
            Columns(
                situation, individual, alternative, weights, availability, freq_weights, offset
            ),
        )
        learned, choice_data = ChoiceFormula.learn(
            formula,
            frame,
            columns,
            membership=membership,
            choices=choices,
            missing=missing,
            env=patsy.EvalEnvironment.capture(1),
            class_sets=ClassSets.of(available_in, n_classes),
            dtype=dtype,
            reference=reference,
        )
        model = cls.__new__(cls)
        restrictions = Restrictions.of(common, constraints, signs)
        model._set_up(choice_data, learned, n_classes, frame.index, restrictions)
        model._source = TableOfRows(frame.copy(deep=False))
        return model

    @classmethod
    def from_chunks(
        cls,
        formula: str,
        chunks: Any,
        n_classes: int = 2,
        *,
        situation: str,
        individual: str | None = None,
        alternative: str | None = None,
        membership: str = "1",
        weights: str | None = None,
        freq_weights: str | None = None,
        availability: str | None = None,
        offset: str | None = None,
        choices: str = "auto",
        missing: str = "raise",
        common: Any = (),
        constraints: Any = (),
        signs: Any = None,
        available_in: Any = None,
        dtype: Any = "float64",
        folder: Any = None,
        reference: Any = None,
    ) -> MixedMultinomialLogit:
        """Build a model from a long table that is larger than memory, piece by piece.

        Parameters
        ----------
        formula : str
            As for `from_formula`. Categories and transforms are learned from all pieces.
        chunks : callable, list of DataFrame, or path
            A function that opens the table and gives its frames one by one, from the first row on
            at every call, such as ``lambda: pandas.read_csv(path, chunksize=100_000)``; or the
            path of a .csv or (with pyarrow installed) .parquet file. Cuts may be anywhere, but the
            rows of an individual, or of a situation without ``individual``, must stand together.
        n_classes : int
            Number of latent classes, K.
        situation : str
            Column of ids of choice situations.
        individual, alternative, membership
            As for `from_formula`.
        weights, freq_weights : str, optional
            Columns of sampling weights and of numbers of identical individuals, as for the class;
            a Series of individuals is not taken.
        availability, offset, choices, missing
            As for `from_formula`.
        common, constraints, signs, available_in, dtype
            As for the class.
        folder : path, optional
            Where the attributes are written, to the file ``attributes.npy``. By default a new
            folder among the system's temporary ones, removed with the model. Give one where those
            are held in memory, or if the model is to be saved.
        reference : hashable, optional
            As for `from_formula`.

        Returns
        -------
        MixedMultinomialLogit

        Raises
        ------
        ArgumentError
            The chunks cannot be read several times, or the file is there already.
        ColumnError
            Chunks differ in their columns or in the types of these.
        DataError
            Rows of an individual stand in several places; and as for `from_formula`.

        Notes
        -----
        The chunks are read twice, and once more for each pass that a transform such as
        ``standardize`` needs, and for a formula with interactions or in parts. Individuals keep the
        order of the table, in which `posterior` lists them. What stays in memory is about 2 bytes
        per row, 4 or 8 more if rows are not in order or are left out, and as many again for an
        offset; 90 to 180 bytes per situation, and L numbers more in sets of more than 16
        alternatives if an individual has hundreds of rows; K numbers per individual; and membership
        covariates. The file is read block by block on every pass of a fit. Predictions for the
        fitted table hold K numbers per row. ``lr_test`` of models with different formulas, and the
        bootstrap, hold the table, or K numbers per row.
        """
        learned, choice_data, n_rows = ChoiceFormula.learn_chunks(
            formula,
            chunks,
            Columns(
                situation, individual, alternative, weights, availability, freq_weights, offset
            ),
            membership=membership,
            choices=choices,
            missing=missing,
            env=patsy.EvalEnvironment.capture(1),
            class_sets=ClassSets.of(available_in, n_classes),
            dtype=dtype,
            folder=folder,
            reference=reference,
        )
        model = cls.__new__(cls)
        restrictions = Restrictions.of(common, constraints, signs)
        model._set_up(choice_data, learned, n_classes, pd.RangeIndex(n_rows), restrictions)
        key = situation if individual is None else individual
        model._source = TableInPieces(Chunks.of(chunks, key))
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
        freq_weights: str | None = None,
        offset: str | None = None,
        common: Any = (),
        constraints: Any = (),
        signs: Any = None,
        available_in: Any = None,
        dtype: Any = "float64",
        reference: Any = None,
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
        weights, freq_weights : str, optional
            Columns of ``choices`` of sampling weights and of numbers of identical individuals,
            constant within individuals; or a Series with the ids of individuals in its index.
        offset : str, optional
            Column of ``table`` of what is added to the utility of each alternative.
        common, constraints, signs, available_in, dtype
            As for the class.
        reference : hashable, optional
            As for `from_formula`, where ``| 1`` gives alternatives constants; variables of the
            person need a long table, with rows for every person.

        Returns
        -------
        MixedMultinomialLogit

        Raises
        ------
        ColumnError, FormulaError
            A column or a term of a formula is wrong.
        DataError
            The tables do not describe choices: ids of alternatives repeat, an alternative that was
            chosen is not in the table, a count is no count, or somebody has no choice.
        IdentificationError
            An attribute does not vary over the table, or columns are collinear.
        ArgumentError
            As for the class.
        """
        frame = as_frame(table, "table")
        own, columns = attached(
            as_frame(choices, "choices"),
            Columns(individual=individual, weights=weights, freq_weights=freq_weights),
        )
        learned, choice_data = ChoiceFormula.learn_table(
            formula,
            frame,
            own,
            alternative=alternative,
            individual=individual,
            count=count,
            weights=columns.weights,
            freq_weights=columns.freq_weights,
            membership=membership,
            env=patsy.EvalEnvironment.capture(1),
            offset=offset,
            class_sets=ClassSets.of(available_in, n_classes),
            dtype=dtype,
            reference=reference,
        )
        model = cls.__new__(cls)
        restrictions = Restrictions.of(common, constraints, signs)
        model._set_up(choice_data, learned, n_classes, frame.index, restrictions)
        shared = frame.copy(deep=False)
        model._source = TableOfChoices(shared, own.copy(deep=False), individual)
        return model

    @classmethod
    def from_parts(
        cls,
        choices: ChoiceData,
        spec: ChoiceFormula,
        n_classes: int,
        index: pd.Index,
        restrictions: Restrictions,
        *,
        is_from_arrays: bool = False,
    ) -> MixedMultinomialLogit:
        """Put a model together from parts that fit, such as those of another model.

        Parameters
        ----------
        choices : ChoiceData
        spec : ChoiceFormula
        n_classes : int
        index : Index
            Labels of the rows of the table that the choice data were read from.
        restrictions : Restrictions
        is_from_arrays : bool
            Whether new data come as arrays.

        Returns
        -------
        MixedMultinomialLogit
        """
        model = cls.__new__(cls)
        model._is_from_arrays = is_from_arrays
        model._set_up(choices, spec, n_classes, index, restrictions)
        return model

    def _set_up(
        self,
        data: ChoiceData,
        spec: ChoiceFormula,
        n_classes: int,
        index: pd.Index,
        restrictions: Restrictions,
    ) -> None:
        """Attach choice data and hand the rest to statsmodels."""
        require_whole("n_classes", n_classes)
        if n_classes > data.n_individuals:
            raise ArgumentError(
                f"n_classes={n_classes}, but there are only {data.n_individuals:,} individuals. "
                "Fit fewer classes."
            )
        self.choices = data
        self.spec = spec
        self.formula = spec.formula
        self.n_classes = int(n_classes)
        self.restrictions = restrictions.for_attributes(data.exog_names)
        self._row_index = index
        self._table: ChoiceTable | None = None
        is_there = not isinstance(data, Withheld)
        arrays = (data.counts(), data.exog) if is_there else (None, None)
        super().__init__(*arrays, hasconst=False)
        self.constraints = self.restrictions.on(self.param_names, data.exog_names, self.n_classes)
        if is_there and spec.class_sets is not None:
            self._refuse_unidentified()

    def _refuse_unidentified(self) -> None:
        """Raise where the rows that a class has tell nothing of a coefficient."""
        data, constraints = self.choices, self.constraints
        n_tastes = self.n_classes * data.n_attributes
        basis = np.eye(len(self.param_names)) if constraints.basis is None else constraints.basis
        names = np.array(self.param_names, dtype=object)[constraints.free]
        start = data.arrangement.situation_start
        assert data.offset is not None
        refuse_unidentified(data.exog, start, data.offset, basis[:n_tastes], names)

    def _handle_data(
        self, endog: Any, exog: Any, missing: str, hasconst: bool, **kwargs: Any
    ) -> _Names:
        """Keep the arrays as they are: the choice data has checked them."""
        data = self.choices
        names = parameter_names(data.exog_names, data.membership_names, self.n_classes)
        return _Names(endog, exog, names, self.spec.choice)

    def with_classes(self, n_classes: int) -> MixedMultinomialLogit:
        """Give the same model with another number of classes.

        Parameters
        ----------
        n_classes : int

        Returns
        -------
        MixedMultinomialLogit

        Raises
        ------
        ArgumentError
            Constraints, signs or ``available_in`` hold for a class by its number.
        """
        named = self.restrictions.of_classes
        if named and n_classes != self.n_classes:
            raise ArgumentError(
                f"The constraint on {named[0]!r} is for a class by its number, so it does not "
                f"carry over from {self.n_classes} classes to {n_classes}. Build the model anew, "
                "with the constraints it should have."
            )
        if self.spec.class_sets is not None and n_classes != self.n_classes:
            raise ArgumentError(
                "available_in gives alternatives to classes by their number, so it does not carry "
                f"over from {self.n_classes} classes to {n_classes}. Build the model anew, with "
                "the available_in that it should have."
            )
        return self._replaced(self.choices, n_classes)

    def with_choices(self, choices: ChoiceData) -> MixedMultinomialLogit:
        """Give the same model for other choice data with the same attributes and covariates.

        Parameters
        ----------
        choices : ChoiceData
            A part of this model's own, say, or simulated choices from its choice sets.

        Returns
        -------
        MixedMultinomialLogit
        """
        return self._replaced(choices, self.n_classes)

    def _replaced(self, choices: ChoiceData, n_classes: int) -> MixedMultinomialLogit:
        """The same model on other data, or with another number of classes."""
        other = self.from_parts(
            choices,
            self.spec,
            n_classes,
            self._row_index,
            self.restrictions,
            is_from_arrays=self._is_from_arrays,
        )
        other._source = self._source
        if choices is self.choices:
            other._table = self._table
        return other

    @property
    def param_names(self) -> list[str]:
        """Names of the flat vector of parameters."""
        return self.data.param_names

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the kernel's blocks, and the user's table."""
        return self.__dict__ | {"_table": None, "_source": None}

    def _individuals(self) -> Individuals:
        """Those whom arguments with one value per individual are matched with.

        Returns
        -------
        Individuals
            In the order of ``result.posterior``.
        """
        data, source = self.choices, self._source

        def of_rows(rows: pd.DataFrame, name: Any, what: str) -> pd.Series:
            return own_column(rows, name, what, data.arrangement, data.entries)

        def column(name: str, what: str) -> pd.Series:
            assert source is not None
            return source.own(name, what, data)

        is_long = self.spec.rule is not None  # and no table of alternatives
        return Individuals(
            data.entries.ids,
            "result.posterior",
            self._row_index if is_long else None,
            of_rows if is_long else None,
            None if source is None else column,
        )

    def _covariance_keywords(self, cov_type: Any, keywords: Any) -> Any:
        """Check what a covariance matrix is to be made of, and match groups with individuals.

        Parameters
        ----------
        cov_type, keywords
            ``cov_type`` and ``cov_kwds`` of `fit`.

        Returns
        -------
        dict or None
            With ``groups`` by individual.

        Raises
        ------
        ArgumentError
            As for `mixlogit.covariance.check_covariance`, or groups do not go with individuals.
        """
        if cov_type == "cluster" and isinstance(keywords, Mapping) and "groups" in keywords:
            groups = self._individuals().values(keywords["groups"], "groups")
            keywords = {**keywords, "groups": groups}
        check_covariance(cov_type, keywords, self.choices.n_distinct)
        return keywords

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
        whole = MixtureLikelihood(self._table, self.n_classes, penalty, self.restrictions)
        return whole if n_classes is None else whole.with_classes(n_classes)

    def _params(self, params: Any) -> np.ndarray:
        """Check a flat vector of parameters."""
        flat = as_floats("Parameters", params)
        expected = self.likelihood().n_params
        if flat.shape != (expected,):
            raise ArgumentError(
                f"Parameters have shape {flat.shape}, but the model has {expected}: "
                f"{', '.join(self.param_names[:4])}, ..."
            )
        if not np.isfinite(flat).all():
            first = self.param_names[int(np.argmin(np.isfinite(flat)))]
            raise ArgumentError(f"Parameter {first!r} is not finite.")
        labels = list(params.index) if isinstance(params, pd.Series) else self.param_names
        if labels != self.param_names and set(labels) == set(self.param_names):
            raise ArgumentError(
                "Parameters have the names of this model in another order. Put them in that of "
                "param_names, for example with params[model.param_names]."
            )
        return flat

    def loglike(self, params: Any) -> float:
        """Log-likelihood at parameters, with sampling weights and frequencies.

        Parameters
        ----------
        params : array_like, shape (D,)
            In the order of `param_names`.

        Returns
        -------
        float

        Raises
        ------
        ArgumentError
            There are not D numbers, one is not finite, or a Series has them in another order.
        """
        likelihood = self.likelihood()
        log_f = likelihood.posterior(likelihood.unpack(self._params(params)))[0]
        return float(likelihood.weight @ log_f)

    def score(self, params: Any) -> np.ndarray:
        """Gradient of the log-likelihood.

        Parameters
        ----------
        params : array_like, shape (D,)
            As for `loglike`.

        Returns
        -------
        ndarray, shape (D,)
            By all parameters, whatever the constraints.
        """
        return self.likelihood().evaluate(self._params(params)).score

    def score_obs(self, params: Any) -> np.ndarray:
        """Gradient of the weighted log-likelihood of each distinct individual.

        Parameters
        ----------
        params : array_like, shape (D,)
            As for `loglike`.

        Returns
        -------
        ndarray, shape (N, D)
            Their sum is `score`. Where individuals stand for several, as with counts, a row is
            the gradient of all of them together.
        """
        likelihood = self.likelihood()
        scores = likelihood.individual_scores(likelihood.unpack(self._params(params)))
        return scores * likelihood.weight[:, None]

    def hessian(self, params: Any) -> np.ndarray:
        """Matrix of second derivatives of the log-likelihood.

        Parameters
        ----------
        params : array_like, shape (D,)
            As for `loglike`.

        Returns
        -------
        ndarray, shape (D, D)
        """
        return self.likelihood().evaluate(self._params(params)).hessian

    def information(self, params: Any) -> np.ndarray:
        """Observed information, minus the Hessian.

        Parameters
        ----------
        params : array_like, shape (D,)
            As for `loglike`.

        Returns
        -------
        ndarray, shape (D, D)
        """
        return -self.hessian(params)

    def posterior(self, params: Any) -> np.ndarray:
        """Class probabilities of each distinct individual given its choices.

        Parameters
        ----------
        params : array_like, shape (D,)
            As for `loglike`.

        Returns
        -------
        ndarray, shape (N, K)
        """
        likelihood = self.likelihood()
        return likelihood.posterior(likelihood.unpack(self._params(params)))[1]

    # -- estimation ------------------------------------------------------------------------------

    def fit(
        self,
        start_params: Any = None,
        *,
        candidates: list[Any] | tuple[Any, ...] = (),
        init: str = "auto",
        n_starts: int | None = None,
        method: str = "em-newton",
        maxiter: int = 500,
        tol: float = 1e-8,
        penalty: float = 0.0,
        rng: int | np.random.Generator | None = 0,
        cov_type: str | None = None,
        cov_kwds: dict[str, Any] | None = None,
        disp: bool | None = None,
        callback: Callable[[State], None] | None = None,
        on_interrupt: str = "keep",
    ) -> Any:
        """Estimate the model by maximum likelihood.

        Parameters
        ----------
        start_params : array_like, shape (D,), or results, optional
            A single start, in the order of `param_names`; no others are tried.
        candidates : list of array_like, shape (D,), or results
            Further starts that join those of the search; with one class there is none. Results
            with one class fewer join it with each of their classes split in two.
        init : {"auto", "moments", "subspace", "random"}
            How starts are found. "auto": latent moments where the data allow them, draws in their
            subspace, clusters of the individuals' scores and random partitions, most of them with
            two classes to spare that are taken away again; the best is then improved on by
            splitting and removing classes until nothing better is found. With 1,500 individuals
            or more, and 75 for each parameter, candidates run on a random sample of them, those
            that are left on larger ones, and on the second they are improved on if their optima
            differ. The others are one kind alone: atoms of the latent moments; draws in their
            subspace; random partitions and noise.
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
            Ridge: half of it times the variance of utility within situations, in every class,
            is taken off the log-likelihood, whatever the columns that span the utility. A remedy
            for separation; 0 by default.
        rng : int, Generator or None
            Seed of the starts. The same seed gives the same bits; None draws a fresh one.
        cov_type : {"nonrobust", "opg", "robust", "cluster", "none"}, optional
            Covariance of the estimates: inverse observed information, outer product of scores,
            sandwich by individuals, sandwich by clusters of individuals. "none" leaves standard
            errors out; they are nan. By default "nonrobust", and "robust" if there are sampling
            weights, with which the inverse information is no covariance. With D parameters errors
            take memory for a few matrices of D × D, and time for D × D products of the scores of
            all individuals and for the eigenvalues of such a matrix; from a thousand parameters or
            so that may be most of a fit.
        cov_kwds : dict, optional
            ``{"groups": ...}`` for "cluster", one per individual: the name of a column of the
            table; a Series or a frame of one column, whose index holds the ids of the individuals
            (or is that of the table's rows); or an array in the order of ``result.posterior``.
        disp : bool, optional
            Whether a line on standard error says how far the fit has come. None: once it has
            lasted two seconds, if tqdm is installed and standard error is a terminal, or in a
            notebook. True: at once, and wherever standard error goes. False: never.
        callback : callable, optional
            Called with a `mixlogit.estimation.State` on every iteration.
        on_interrupt : {"keep", "raise"}
            What Ctrl-C does. "keep": the fit ends at the best estimates so far, with the status
            "interrupted" and standard errors as they are there; a second Ctrl-C meanwhile, or one
            before there are any estimates, raises KeyboardInterrupt. "raise": that at once.

        Returns
        -------
        MixedMultinomialLogitResults

        Raises
        ------
        ArgumentError
            An argument is outside what is accepted, a start has another length or does not meet
            the constraints, or ``init="moments"`` where the data do not allow it.
        NotMonotoneError
            The log-likelihood fell during EM, which no data should cause.
        NumericalError
            Linear algebra broke down in round-off.

        Warns
        -----
        ConvergenceWarning
            The fit did not end at a certified maximum; the message says where it ended. If it was
            interrupted, the warning is an `InterruptWarning`.
        OneChoiceWarning
            Individuals choose once, from choice sets of their own: weak identification.
        """
        require_whole("maxiter", maxiter)
        if not (is_number(penalty) and penalty >= 0):
            raise ArgumentError(f"penalty={penalty!r} must be finite and at least 0.")
        if not (is_number(tol) and tol > 0):
            raise ArgumentError(f"tol={tol!r} must be positive.")
        if not (callback is None or callable(callback)):
            raise ArgumentError(f"callback must be a function, not {type(callback).__name__}.")
        if cov_type is None:
            cov_type = "robust" if self.choices.is_weighted else "nonrobust"
        cov_kwds = self._covariance_keywords(cov_type, cov_kwds)
        generator = as_generator(rng)
        keeps_best = keeps(on_interrupt)
        likelihood = self.likelihood(penalty)
        others = self._candidates(candidates, likelihood)
        if start_params is not None and others is not None:
            raise ArgumentError(
                "start_params is a single start, beside which no others are tried. Pass it among "
                "the candidates instead."
            )
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
        classes = verb(self.n_classes, "class", "classes")
        with ProgressLine(disp, f"{self.n_classes} {classes}") as line:
            fit = estimate(
                likelihood,
                start=self._start(start_params, likelihood),
                candidates=others,
                init=init,
                n_starts=n_starts,
                method=method,
                maxiter=int(maxiter),
                tol=tol,
                rng=generator,
                callback=line.watch(callback),
                keeps_best=keeps_best,
                hessian=cov_type != "none",
            )
        status = fit.certificate.status
        if not fit.certificate.converged and not method == status == "em":
            category = InterruptWarning if status == "interrupted" else ConvergenceWarning
            warn(fit.certificate.message, category)
        return ResultsWrapper(MixedMultinomialLogitResults(self, fit, cov_type, cov_kwds, settings))

    def _start(self, start_params: Any, likelihood: MixtureLikelihood) -> Parameters | None:
        """Read a start: an array or earlier results."""
        if start_params is None:
            return None
        flat = self._params(getattr(start_params, "params", start_params))
        if not likelihood.constraints.meets(flat):
            raise ArgumentError(
                "start_params does not meet the constraints and signs of the model. Pass it in "
                "candidates=[...] to have it moved to where they hold."
            )
        return likelihood.unpack(flat)

    def _candidates(
        self, candidates: list[Any] | tuple[Any, ...], likelihood: MixtureLikelihood
    ) -> Parameters | None:
        """Read further starts: arrays, results, or results with one class fewer."""
        if not isinstance(candidates, (list, tuple)):
            raise ArgumentError(
                f"candidates must be a list of starts, not {type(candidates).__name__}. Put a "
                "single one in a list."
            )
        stacks = []
        for candidate in candidates:
            params = getattr(candidate, "params", candidate)
            flat = as_floats("candidates", params)
            fewer = likelihood.with_classes(max(self.n_classes - 1, 1))
            if self.n_classes > 1 and flat.shape == (fewer.n_params,):
                if not np.isfinite(flat).all():
                    raise ArgumentError("A start in candidates has numbers that are not finite.")
                stacks.append(splits(fewer, fewer.unpack(flat)))
            else:
                one = likelihood.unpack(self._params(params))
                stacks.append(Parameters(one.beta[None], one.gamma[None]))
        return Parameters.stack(stacks) if stacks else None

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

        Raises
        ------
        ArgumentError
            ``base`` has another length.

        Warns
        -----
        OneChoiceWarning
            Individuals choose once, from choice sets of their own.
        """
        likelihood = self.likelihood()
        around = pooled_logit(likelihood) if base is None else as_floats("base", base)
        if around.shape != (self.choices.n_attributes,):
            raise ArgumentError(
                f"base has shape {around.shape}, but the model has {self.choices.n_attributes} "
                f"attributes: {', '.join(self.choices.exog_names[:4])}, ..."
            )
        return latent_moments(likelihood.table.plain, likelihood.weight, around)

    # -- prediction ------------------------------------------------------------------------------

    def choice_sets(self, data: Any = None, **ids: Any) -> ChoiceSets:
        """Choice sets of the fitted or of new data.

        Parameters
        ----------
        data : DataFrame or array_like, optional
            The fitted data if None.
        **ids
            ``situation``, ``individual``, ``alternative``, ``weights``, ``freq_weights``,
            ``offset`` and ``membership``, one row per row of the data, for a model built from
            arrays.

        Returns
        -------
        ChoiceSets

        Raises
        ------
        ArgumentError
            Ids come without new arrays, or with a table, which brings its own.
        """
        if data is None:
            if ids:
                raise ArgumentError(f"{', '.join(ids)} go with new data. Pass the data too.")
            known = self.choices
            return ChoiceSets(
                known.exog, known.arrangement, None, self._row_index, offset=known.offset
            )
        if self._is_from_arrays:
            unknown = sorted(set(ids) - set(_ARRAYS))
            if unknown:
                raise ArgumentError(
                    f"New arrays do not come with {', '.join(unknown)}. What goes with them is "
                    f"{', '.join(_ARRAYS)}."
                )
            if self.spec.columns.offset is not None and ids.get("offset") is None:
                raise ArgumentError(
                    "The model has an offset, and the new arrays have none. Pass offset=, one "
                    "value per row; zeros, where nothing is to be added to utilities."
                )
            table = ArrayTable.of(data, **ids)
            given = {role: name for role, name in vars(table.columns).items() if name is not None}
            return replace(self.spec, columns=replace(self.spec.columns, **given)).replay(
                table.frame
            )
        if ids:
            raise ArgumentError(
                f"{', '.join(ids)}: the model was built from a table, so new data bring their ids "
                "as columns."
            )
        return self.spec.replay(as_frame(data))

    def fitted_frame(self) -> pd.DataFrame:
        """The table that the model was built from, which it shares with the user.

        It is at hand as long as the model stays in memory; neither pickles nor files hold it.

        Returns
        -------
        DataFrame

        Raises
        ------
        ArgumentError
            It is not at hand, or its values have changed since.
        """
        frame, design = None if self._source is None else self._source.rows, self.spec.utility
        if frame is None:
            raise ArgumentError(
                "This needs the table that the model was built from, which models that come from "
                "files, pickles, chunks or arrays do not have. Pass it as data=."
            )
        order, exog = self.choices.arrangement.permutation, self.choices.exog
        again = design.matrix(frame, order=order, dtype=exog.dtype)
        same = all(np.array_equal(again[rows], block) for rows, block in blocks_of_rows(exog))
        if not same:
            raise ArgumentError(
                "The values of the table have changed since the model was built from it. Pass the "
                "table that is meant as data=."
            )
        return frame

    def market(self, sets: ChoiceSets, *, weighted: bool = True) -> Market:
        """Choice sets with who faces them.

        In the fitted data a situation counts as the choices made there, each times the weight of
        the individual who made it. Among new choice sets each counts as the table's columns of
        weights say: once where there are none, or where they are not to be read.

        Parameters
        ----------
        sets : ChoiceSets
        weighted : bool
            Whether columns of weights of new choice sets are read.

        Returns
        -------
        Market
        """
        begin, alternative = sets.arrangement.situation_start, sets.arrangement.alternative_codes
        data = self.choices
        if sets.membership is not None:
            n_situations = sets.arrangement.n_situations
            every = np.arange(n_situations + 1)
            weight = sets.situation_weights() if weighted else np.ones(n_situations)
            visits, z = Visits(every[:-1], every, weight), sets.membership
        else:
            entries = data.entries
            person = np.repeat(np.arange(data.n_distinct), np.diff(entries.start))
            situation = np.searchsorted(begin, entries.row, side="right") - 1
            is_new = np.ones(len(person), dtype=bool)
            is_new[1:] = (np.diff(person) != 0) | (np.diff(situation) != 0)
            first = np.flatnonzero(is_new)
            weight = np.add.reduceat(data.total_weight[person] * entries.count, first)
            start = np.searchsorted(situation[first], np.arange(len(begin)))
            visits, z = Visits(person[first], start, weight), data.membership
        names = data.membership_names
        return Market(sets.exog, begin, visits, z, names, alternative, sets.offset)
