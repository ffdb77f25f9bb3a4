"""What a fit predicts: choices, market shares, log-sums; with scenarios and histories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.special

from mixlogit.arguments import is_number, require_one_of
from mixlogit.arrays import covariate_table
from mixlogit.attributes import blocks_of_rows
from mixlogit.columns import as_frame, require_column
from mixlogit.demand import (
    Market,
    Standing,
    class_probabilities,
    history_log_likelihoods,
    history_scores,
    log_probabilities,
    row_probabilities,
    shares_of_alternatives,
)
from mixlogit.errors import (
    ArgumentError,
    DataError,
    listed,
    plural,
    show,
    verb,
)
from mixlogit.postestimation import delta_errors, estimate_columns, share_columns
from mixlogit.spelled import other_type

if TYPE_CHECKING:
    from mixlogit.entries import Entries
    from mixlogit.formula import ChoiceSets
    from mixlogit.likelihood import Parameters
    from mixlogit.model import MixedMultinomialLogit
    from mixlogit.uncertainty import Uncertainty

__all__ = ["ForecastResults"]

_PREDICTIONS = ("prob", "class_prob", "linear")
_MARKET = "market"
_NUMBERS_PER_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class _Past:
    """Choices that individuals made."""

    ids: pd.Index  # (N,)
    log_joint: np.ndarray  # (N, K) of class and choices
    frequency: np.ndarray  # (N,)
    scores: np.ndarray | None  # (N, K, L)
    z: np.ndarray  # (N, Q)


@dataclass(frozen=True, eq=False)
class _Place:
    """Who faces each situation, by its place among people whose class probabilities are known."""

    of_situation: np.ndarray  # (S,)
    standing: Standing


class ForecastResults:
    """Methods of results that predict."""

    model: MixedMultinomialLogit
    n_classes: int
    _uncertainty: Uncertainty

    if TYPE_CHECKING:

        @property
        def _parameters(self) -> Parameters: ...

        @property
        def _posterior(self) -> np.ndarray: ...

        @property
        def _prior(self) -> np.ndarray: ...

        @property
        def _class_names(self) -> list[str]: ...

        def cov_params(self, *arguments: Any, **keywords: Any) -> np.ndarray: ...

    # -- classes -------------------------------------------------------------------------------

    def membership_probabilities(self, data: Any = None) -> pd.DataFrame:
        """Probability that each individual is of each class, before any of its choices.

        A softmax of the membership logits; where there are no membership covariates, the class
        shares for everybody. `posterior` has the probabilities given the choices.

        Parameters
        ----------
        data : DataFrame or array_like, optional
            New individuals, with the columns that the membership formula reads; nothing else is
            needed. Rows with the same id, in the column of individuals that the model was built
            with, or else of situations, are of one individual; in a table without this column each
            row is one. For a model built from arrays: covariates of one individual per row,
            (n, Q − 1). The fitted data if None.

        Returns
        -------
        DataFrame
            One row per individual, by its id or by the index of ``data``; columns "class1", ...
            For the fitted data the rows are those of `posterior`.

        Raises
        ------
        ColumnError
            A column of the membership formula is not in the table.
        DataError
            A covariate varies within an individual, or is missing.
        """
        if data is None:
            ids, prior = self.model.choices.entries.ids, self._prior
        else:
            frame = covariate_table(data) if self.model._is_from_arrays else as_frame(data)
            ids, z = self.model.spec.people(frame)
            prior = class_probabilities(z, self.model.choices.membership_names, self._parameters)
        return pd.DataFrame(prior.copy(), index=ids, columns=self._class_names)

    # -- choices -------------------------------------------------------------------------------

    def predict(
        self, data: Any = None, which: str = "prob", history: Any = None, **ids: Any
    ) -> pd.Series | pd.DataFrame:
        """Predict choices on the fitted or on new data.

        Parameters
        ----------
        data : DataFrame or array_like, optional
            New choice sets, with the columns that the formulas and ids name; the choice column is
            not needed. For a model built from arrays: attributes (R, L). The fitted data if None.
        which : {"prob", "class_prob", "linear"}
            "prob": choice probability of each row, averaged over the classes. "class_prob": choice
            probability under each class. "linear": utility under each class, x'beta and the offset.
        history : None, "fitted" or DataFrame
            How "prob" weights the classes. None: by the probabilities of membership that
            covariates give. "fitted": by the posterior of each individual, given its choices in
            the fitted data. A table of past choices, with all columns of the formulas, the ids
            and the choice column: by the posterior given those choices; the individuals may be
            new to the model.
        **ids
            ``situation``, ``individual`` and ``membership`` (one row per row of the data), for a
            model built from arrays.

        Returns
        -------
        Series or DataFrame
            In the order and with the index of the rows of the table; rows that are not available
            have probability 0 and no utility.

        Raises
        ------
        ArgumentError
            ``which`` or ``history`` is not known, or nobody can be told apart by individual ids.
        DataError
            An individual of the data has no past choices in ``history``.
        """
        require_one_of("which", which, _PREDICTIONS)
        if history is not None and which != "prob":
            raise ArgumentError(
                f"history weights the classes, and which={which!r} keeps them apart. Leave it out, "
                "or pass which='prob'."
            )
        sets = self.model.choice_sets(data, **ids)
        order, sizes = sets.arrangement.order, sets.arrangement.sizes
        beta = self._parameters.beta
        by_class = np.full((len(sets.index), self.n_classes), np.nan if which == "linear" else 0.0)
        if which == "linear":
            for rows, exog in blocks_of_rows(sets.exog):
                by_class[order[rows]] = exog @ beta.T
                if sets.offset is not None:
                    by_class[order[rows]] += sets.offset[:, rows].T
            by_class[np.isneginf(by_class)] = np.nan  # of rows that a class does not have
            return pd.DataFrame(by_class, index=sets.index, columns=self._class_names)
        start = sets.arrangement.situation_start
        prob = row_probabilities(sets.exog, start, beta, sets.offset)
        if which == "class_prob":
            by_class[order] = prob
            return pd.DataFrame(by_class, index=sets.index, columns=self._class_names)
        weight = self._class_weights(sets, history)  # (S, K)
        mixed = np.zeros(len(sets.index))
        mixed[order] = np.einsum("rk,rk->r", prob, np.repeat(weight, sizes, axis=0))
        return pd.Series(mixed, index=sets.index, name="prob")

    def held_out_loglike(self, data: Any) -> pd.Series:
        """Log-likelihood of choices that the model was not fitted to.

        Parameters
        ----------
        data : DataFrame
            With all columns of the formulas, the ids and the choice column.

        Returns
        -------
        Series
            One value per individual; their sum is the log-likelihood of the data. Individuals
            need not be those of the fit. Without ids of individuals, one value per chosen row,
            times its count. Weights are not used.

        Raises
        ------
        ArgumentError
            The model was not built by `from_formula`.
        """
        ids, log_joint, frequency = self._read_history(data, "held_out_loglike")
        log_like = scipy.special.logsumexp(log_joint, axis=1) * frequency
        return pd.Series(log_like, index=ids, name="loglike")

    def _read_history(self, data: Any, what: str) -> tuple[pd.Index, np.ndarray, np.ndarray]:
        """Individuals of a table with choices: ids, log joint probabilities (N, K), counts (N,)."""
        past = self._past(data, what)
        return past.ids, past.log_joint, past.frequency

    def _past(self, data: Any, what: str, *, scored: bool = False) -> _Past:
        """What individuals chose in a table, and the scores of that if they are asked for."""
        if self.model._is_from_arrays:
            raise ArgumentError(
                f"{what} reads choices from a table, and this model was built from arrays. Build "
                "it with from_formula."
            )
        sets, entries = self.model.spec.read(as_frame(data))
        begin = sets.arrangement.situation_start
        first = np.searchsorted(begin, entries.row[entries.start[:-1]], side="right") - 1
        market = self.model.market(sets, weighted=False)
        prior, z = market.prior(self._parameters)[first], market.z[first]
        return self._past_of(sets, entries, prior, z, scored=scored)

    def _past_of(
        self,
        sets: ChoiceSets,
        entries: Entries,
        prior: np.ndarray,
        z: np.ndarray,
        *,
        scored: bool,
    ) -> _Past:
        """What individuals with these class probabilities and covariates chose."""
        begin = sets.arrangement.situation_start
        log_prob, _ = log_probabilities(sets.exog, begin, self._parameters.beta, sets.offset)
        own = entries.row, entries.count, entries.start
        scores = history_scores(sets.exog, begin, log_prob, *own) if scored else None
        with np.errstate(divide="ignore"):  # a class that cannot be
            log_joint = np.log(prior) + history_log_likelihoods(log_prob, *own)
        return _Past(entries.ids, log_joint, entries.frequency, scores, z)

    def _facing(
        self, sets: ChoiceSets, history: Any, *, weighted: bool = True, scored: bool = True
    ) -> Market:
        """Choice sets with who faces them, whose classes are as the history tells.

        Without scores, the derivatives of their probabilities are left out.
        """
        market = self.model.market(sets, weighted=weighted)
        if history is None:
            return market
        if isinstance(history, str) and history != "fitted":
            raise ArgumentError(
                f"history={history!r} is neither None, 'fitted' nor a table of past choices."
            )
        if isinstance(history, str) and sets.membership is None:
            return replace(market, history=self._past_standing(history, scored)[1])
        place = self._place_in(sets, history, scored)
        person = np.repeat(place.of_situation, np.diff(market.visits.start))
        visits = replace(market.visits, person=person)
        return replace(market, visits=visits, history=place.standing)

    def _place_in(self, sets: ChoiceSets, history: Any, scored: bool) -> _Place:
        """Where those who face new choice sets are among the people with past choices."""
        columns, arrangement = self.model.spec.columns, sets.arrangement
        if columns.individual is None:
            raise ArgumentError(
                "history needs to know who faces which choice set, and the rows that this model "
                "reads have no ids of individuals. Build it from one long table with individual=."
            )
        if arrangement.individual_ids is None:
            raise ArgumentError(
                "history needs to know who faces which choice set, and the new data have no ids "
                f"of individuals. Add the column {columns.individual!r} (individual=, with arrays)."
            )
        known, standing = self._past_standing(history, scored)
        source, remedy = "history", "add their past choices to it"
        if isinstance(history, str):
            source, remedy = "the fitted data", "pass a table of their past choices as history="
        place = known.get_indexer(arrangement.individual_ids)
        without = np.flatnonzero(place < 0)
        if len(without):
            n_without = len(without)
            raise DataError(
                f"{n_without:,} of {plural(len(place), 'individual')} of the data "
                f"{verb(n_without, 'has', 'have')} no choices in {source}; the first is "
                f"{show(arrangement.individual_ids[without[0]])} (column {columns.individual!r})."
                f"{other_type(known[0], arrangement.individual_ids[without[0]])} "
                f"Drop {verb(n_without, 'it', 'them')}, {remedy}, or predict without history."
            )
        assert arrangement.situation_owner is not None
        return _Place(place[arrangement.situation_owner], standing)

    def _past_standing(self, history: Any, scored: bool) -> tuple[pd.Index, Standing]:
        """Ids of people with past choices, and their class probabilities given these."""
        data = self.model.choices
        if not isinstance(history, str):
            past = self._past(history, "history", scored=scored)
            posterior = scipy.special.softmax(past.log_joint, axis=1)
        elif scored:
            sets = self.model.choice_sets()
            past = self._past_of(sets, data.entries, self._prior, data.membership, scored=True)
            posterior = self._posterior
        else:
            return data.entries.ids, Standing.known(self._posterior)
        if past.scores is None:
            return past.ids, Standing.known(posterior)
        return past.ids, Standing.of_history(posterior, past.scores, past.z)

    def _class_weights(self, sets: ChoiceSets, history: Any) -> np.ndarray:
        """Class probabilities of who faces each situation, (S, K)."""
        market = self._facing(sets, history, weighted=False, scored=False)
        return market.visits.mean(market.standing(self._parameters).probability)

    # -- market shares -------------------------------------------------------------------------

    def market_shares(
        self,
        data: Any = None,
        scenario: Any = None,
        alpha: float = 0.05,
        *,
        by_class: bool = False,
        history: Any = None,
        **ids: Any,
    ) -> pd.DataFrame:
        """Predicted share of each alternative among all choices.

        The share is the mean over the situations of the probability that the alternative is
        chosen there, which is 0 where it is not available.

        Parameters
        ----------
        data : DataFrame or array_like, optional
            As for `predict`. In the fitted data a situation counts as the choices made there, each
            times the sampling and frequency weights of the individual who made it, so that the
            shares compare with those observed. In new data it counts once, times the weights if
            the table has the columns of weights that the model was built with.
        scenario : callable or mapping, optional
            What is changed in ``data``: a function that returns the changed table, or, by column
            of the table, a number to multiply by or a function of the column. The same situations
            must be there before and after; alternatives may come and go. Covariates of membership
            that are changed shift the classes.
        alpha : float
            One minus the confidence level.
        by_class : bool
            Whether the shares within each class are wanted too: the mean over the situations,
            weighted also by the probability that the class faces them.
        history : None, "fitted" or DataFrame
            Past choices of the people who face the situations, as for `predict`: classes then
            count by their probabilities given these, before and after a scenario alike. The
            errors count that the posterior moves with the estimates too.
        **ids
            ``situation``, ``alternative`` and others, for a model built from arrays.

        Returns
        -------
        DataFrame
            One row per alternative: "share", "std err" by the delta method, and limits that are
            symmetric in the log-odds. With a scenario: the shares "base" and "scenario", their
            "change", and standard error and limits of the change. With ``by_class`` the first
            level of the index is the segment: "market", "class1", ... An alternative that is in
            one of two tables only has share 0 in the other. A class that has vanished has nan.

        Raises
        ------
        ArgumentError
            There are no ids of alternatives, or a scenario without a table.
        DataError
            A scenario changes which situations there are.
        """
        segments = self._segments if by_class else self._segments[:1]
        if scenario is None:
            sets = self.model.choice_sets(data, **ids)
            names = self._alternatives(sets)
            (share,), error = self._shares_of([sets], names, segments, history)
            columns = share_columns(share, error, alpha)
        else:
            pair = self._scenario_sets(self._scenario_tables(data, scenario), ids)
            names, new = map(self._alternatives, pair)
            names = names.append(new.difference(names, sort=False))
            (base, changed), error = self._shares_of(pair, names, segments, history)
            columns = {
                "base": base,
                "scenario": changed,
                **estimate_columns("change", changed - base, error, alpha),
            }
        names = names.rename(self.model.spec.columns.alternative or "alternative")
        index = pd.MultiIndex.from_product(
            [[self._segment_name(k) for k in segments], names], names=["segment", names.name]
        )
        return pd.DataFrame(columns, index=index if by_class else names)

    def _shares_of(
        self,
        several: Sequence[ChoiceSets],
        names: pd.Index,
        segments: list[int | None],
        history: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shares in one table or two, segment by segment, and errors of the last less the first.

        Returns arrays of shape (1 or 2, segments · J) and (segments · J,).
        """
        parameters, uncertainty = self._parameters, self._uncertainty
        markets = [self._market(sets, names, history) for sets in several]
        shape = (len(segments), len(names))
        value, error = np.empty((len(markets), *shape)), np.empty(shape)
        at_once = max(_NUMBERS_PER_BLOCK // len(uncertainty.matrix), 1)
        for start in range(0, len(names), at_once):
            part = np.arange(start, min(start + at_once, len(names)))
            gradient = np.zeros((len(segments), len(part), len(uncertainty.matrix)))
            for m, market in enumerate(markets):
                value[m][:, part], slope = shares_of_alternatives(
                    market, parameters, part, segments
                )
                gradient = slope - gradient
            for i in range(len(segments)):
                error[i, part] = delta_errors(gradient[i], uncertainty)
        return value.reshape(len(markets), -1), error.ravel()

    # -- log-sums ------------------------------------------------------------------------------

    def logsum(self, data: Any = None, **ids: Any) -> pd.DataFrame:
        """Log-sum of each choice situation: log of the sum of exp(utility), in utils.

        Parameters
        ----------
        data : DataFrame or array_like, optional
            As for `predict`.
        **ids
            ``situation``, ``individual`` and ``membership``, for a model built from arrays.

        Returns
        -------
        DataFrame
            One row per situation, by its id, or by individual and situation where there are
            individuals. Columns "class1", ..., and "expected", their mean with the probabilities
            of membership. Utilities have no natural zero: only differences between log-sums of
            the same class mean anything.
        """
        sets = self.model.choice_sets(data, **ids)
        _, log_sum = log_probabilities(
            sets.exog, sets.arrangement.situation_start, self._parameters.beta, sets.offset
        )
        frame = pd.DataFrame(log_sum, index=self._situations(sets), columns=self._class_names)
        weight = self._class_weights(sets, None)
        return frame.assign(expected=np.einsum("sk,sk->s", weight, log_sum))

    # -- parts ---------------------------------------------------------------------------------

    @property
    def _segments(self) -> list[int | None]:
        """The market, and each class."""
        return [None, *range(self.n_classes)]

    def _segment_name(self, k: int | None) -> str:
        """How a segment is called in an index."""
        return _MARKET if k is None else self._class_names[k]

    def _alternatives(self, sets: ChoiceSets) -> pd.Index:
        """Ids of the alternatives, which must be there."""
        ids = sets.arrangement.alternative_ids
        if ids is None:
            name = self.model.spec.columns.alternative
            raise ArgumentError(
                "The rows have no ids of alternatives to report on. "
                + (
                    "Build the model with alternative=, or pass alternative= with new arrays."
                    if name is None
                    else f"Add the column {name!r} to the data (alternative=, with arrays)."
                )
            )
        return ids

    def _market(self, sets: ChoiceSets, names: pd.Index, history: Any = None) -> Market:
        """Choice sets with who faces them, and alternatives numbered as in ``names``."""
        market = self._facing(sets, history)
        code = names.get_indexer(self._alternatives(sets))
        return replace(market, alternative=code[market.alternative])

    def _scenario_tables(self, data: Any, scenario: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
        """A table before and after it is changed."""
        if not isinstance(data, pd.DataFrame) and (data is None or self.model._is_from_arrays):
            raise ArgumentError(
                "A scenario changes columns of a table, and data is "
                f"{'not given' if data is None else type(data).__name__}. Pass the choice sets "
                "before the change as a DataFrame in data=."
            )
        frame = as_frame(data)
        if isinstance(scenario, Mapping):
            read = self._columns_read()
            for name in scenario:
                require_column(frame, name, "scenario column ")
                if name not in read:
                    raise ArgumentError(
                        f"The scenario changes column {name!r}, which the model does not read; it "
                        f"reads {listed(read)}."
                    )
            return frame, _changed(frame, scenario)
        if callable(scenario):
            return frame, as_frame(scenario(frame.copy()), "what the scenario returns")
        raise ArgumentError(
            f"scenario must be a function of the table or a mapping by column, not "
            f"{type(scenario).__name__}."
        )

    def _scenario_sets(
        self, tables: tuple[pd.DataFrame, pd.DataFrame], ids: dict[str, Any]
    ) -> tuple[ChoiceSets, ChoiceSets]:
        """Choice sets before and after a change of the table."""
        before, after = (self.model.choice_sets(frame, **ids) for frame in tables)
        old, new = self._situations(before), self._situations(after)
        if not old.equals(new):
            lost, added = len(old.difference(new)), len(new.difference(old))
            raise DataError(
                f"The scenario leaves out {plural(lost, 'choice situation')} and adds {added:,}. "
                "The same situations must be there before and after; change their rows only."
            )
        return before, after

    def _columns_read(self) -> list[Any]:
        """Columns of a table that predictions depend on."""
        spec = self.model.spec
        gate = () if spec.membership is None else spec.membership.columns
        columns = spec.columns
        other = [columns.availability, columns.weights, columns.freq_weights, columns.offset]
        return [
            *dict.fromkeys([*spec.utility.columns, *gate, *(c for c in other if c is not None)])
        ]

    def _situations(self, sets: ChoiceSets) -> pd.Index:
        """Labels of the situations."""
        arrangement, columns = sets.arrangement, self.model.spec.columns
        name = columns.situation or "situation"
        if arrangement.situation_owner is None or arrangement.individual_ids is None:
            return arrangement.situation_ids.rename(name)
        owner = arrangement.individual_ids[arrangement.situation_owner]
        return pd.MultiIndex.from_arrays(
            [owner, arrangement.situation_ids], names=[columns.individual or "individual", name]
        )


def _changed(frame: pd.DataFrame, scenario: Mapping[Any, Any]) -> pd.DataFrame:
    """A table with some columns multiplied or replaced."""
    changed = frame.copy(deep=False)
    for name, change in scenario.items():
        changed[name] = _applied(change, frame[name])
    return changed


def _applied(change: float | Callable[[pd.Series], Any], column: pd.Series) -> Any:
    """A column times a number, or what a function makes of it."""
    if callable(change):
        changed = change(column.copy())
        is_moved = isinstance(changed, pd.Series) and not changed.index.equals(column.index)
        if is_moved or (np.ndim(changed) and np.shape(changed) != (len(column),)):
            raise ArgumentError(
                f"The scenario for column {column.name!r} must return one value per row, in the "
                f"order of the rows, for {plural(len(column), 'row')}; it returns "
                f"{'other rows' if is_moved else f'shape {np.shape(changed)}'}."
            )
        return changed.array if isinstance(changed, pd.Series) else changed
    if not is_number(change):
        shown = show(change) if isinstance(change, (float, np.floating)) else type(change).__name__
        raise ArgumentError(
            f"The scenario for column {column.name!r} must be a number to multiply by or a "
            f"function of the column, not {shown}."
        )
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise ArgumentError(
            f"The scenario multiplies column {column.name!r}, which holds {column.dtype} values. "
            "Pass a function of the column instead."
        )
    with np.errstate(over="ignore"):  # what is infinite is found in the design
        return column.astype(float) * change
