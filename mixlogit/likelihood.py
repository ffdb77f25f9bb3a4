"""The mixture log-likelihood, its derivatives, and the flat parameter vector.

The observed Hessian follows Louis (1982): the expected complete Hessian plus the covariance of the
complete score, given the choices of an individual.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import scipy.special

from mixlogit.blocks import Sums
from mixlogit.constraints import Constraints, Restrictions
from mixlogit.logit import ChoiceTable
from mixlogit.membership import Shares, for_design, with_base

__all__ = ["Evaluation", "Expectation", "MixtureLikelihood", "Parameters", "parameter_names"]

NO_RESTRICTIONS = Restrictions()
_NEARER = 1e-9  # relative: what a swap of classes has to bring, beyond round-off


@dataclass(frozen=True, eq=False)
class Parameters:
    """Tastes and membership logits, of one mixture or of a stack of them.

    Parameters
    ----------
    beta : ndarray, shape (..., K, L)
        Tastes by class, utils per unit of each attribute.
    gamma : ndarray, shape (..., K − 1, Q)
        Membership logits of classes 2 to K against class 1.
    """

    beta: np.ndarray
    gamma: np.ndarray

    @property
    def n_classes(self) -> int:
        """Number of classes, K."""
        return self.beta.shape[-2]

    def flat(self) -> np.ndarray:
        """Tastes of class 1, class 2, ..., then the logits of class 2, ...: (..., D)."""
        lead = self.beta.shape[:-2]
        return np.concatenate(
            [self.beta.reshape(*lead, -1), self.gamma.reshape(*lead, -1)], axis=-1
        )

    def like(self, flat: np.ndarray) -> Parameters:
        """Split flat vectors (..., D) into tastes and logits of the shapes of these."""
        lead, n_tastes = flat.shape[:-1], self.beta.size
        return Parameters(
            flat[..., :n_tastes].reshape(*lead, *self.beta.shape),
            flat[..., n_tastes:].reshape(*lead, *self.gamma.shape),
        )

    def without(self, k: int) -> Parameters:
        """Take a class away: the odds of the others stay as they are."""
        rest = np.arange(self.n_classes) != k
        full = with_base(self.gamma)[..., rest, :]
        return Parameters(self.beta[..., rest, :], full[..., 1:, :] - full[..., :1, :])

    def split(self, k: int, direction: np.ndarray) -> Parameters:
        """Put a second class last beside class k, their tastes apart by ± ``direction`` (L,).

        Each has the odds that class k had.
        """
        full = with_base(self.gamma)
        full = np.concatenate([full, full[..., k : k + 1, :]], axis=-2)
        last = self.beta[..., k : k + 1, :]
        beta = np.concatenate([self.beta, last + direction], axis=-2)
        beta[..., k, :] -= direction
        return Parameters(beta, full[..., 1:, :])

    def reordered(self, order: np.ndarray) -> Parameters:
        """Relabel the classes: new class c is old class ``order[c]``."""
        full = with_base(self.gamma)[..., order, :]
        return Parameters(self.beta[..., order, :], full[..., 1:, :] - full[..., :1, :])

    def __getitem__(self, item: int | slice | np.ndarray | list[int]) -> Parameters:
        """Pick mixtures from a stack."""
        return Parameters(self.beta[item], self.gamma[item])

    @classmethod
    def stack(cls, stacks: Sequence[Parameters]) -> Parameters:
        """Put stacks one behind the other."""
        return cls(
            np.concatenate([one.beta for one in stacks]),
            np.concatenate([one.gamma for one in stacks]),
        )


@dataclass(frozen=True, eq=False)
class Expectation:
    """The E-step of a stack of G mixtures, with what their M-steps need.

    Parameters
    ----------
    llf : ndarray, shape (G,)
        Log-likelihood.
    beta_gradient : ndarray, shape (G, K, L)
    beta_information : ndarray, shape (G, K, L, L)
        (G, K, 0, 0) if no information was wanted.
    gamma_gradient : ndarray, shape (G, K − 1, Q)
    gamma_information : ndarray, shape (G, (K − 1) Q, (K − 1) Q)
    mass : ndarray, shape (G, K)
        Posterior weight of each class.
    """

    llf: np.ndarray
    beta_gradient: np.ndarray
    beta_information: np.ndarray
    gamma_gradient: np.ndarray
    gamma_information: np.ndarray
    mass: np.ndarray


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The log-likelihood at a point, with derivatives.

    Parameters
    ----------
    value : float
        Penalised log-likelihood; the log-likelihood without a penalty.
    score : ndarray, shape (D,)
        Its gradient.
    hessian : ndarray, shape (D, D)
    llf : float
        Log-likelihood without the penalty.
    complete_information : ndarray, shape (D, D)
        Expected information if the classes were observed.
    posterior : ndarray, shape (K, N)
        Posterior probability of each class.
    mass : ndarray, shape (K,)
        Posterior weight of each class.
    outer : ndarray, shape (D, D), or None
        Sum over individuals of the products of their scores of the log-likelihood, each counted
        once for every individual like it and times its sampling weight squared; None with one
        class, whose Hessian needs no scores.
    """

    value: float
    score: np.ndarray
    hessian: np.ndarray
    llf: float
    complete_information: np.ndarray
    posterior: np.ndarray
    mass: np.ndarray
    outer: np.ndarray | None = None

    def product(self, vectors: np.ndarray) -> np.ndarray:
        """Hessian times vectors (D, ...)."""
        return self.hessian @ vectors

    def under(self, constraints: Constraints) -> Evaluation:
        """Give the derivatives by the free parameters."""
        if constraints.is_none:
            return self
        return replace(
            self,
            score=constraints.gradient(self.score),
            hessian=constraints.quadratic(self.hessian),
            complete_information=constraints.quadratic(self.complete_information),
            outer=None if self.outer is None else constraints.quadratic(self.outer),
        )


class MixtureLikelihood:
    """Log-likelihood of a mixture of conditional logits on given data.

    Parameters
    ----------
    table : ChoiceTable
    n_classes : int
    penalty : float
        Ridge: half of it times the variance of utility within situations, beta' C beta with C the
        covariance of the attributes there, is taken off the log-likelihood for every class.
    restrictions : Restrictions
        On the parameters; derivatives are by all parameters in any case.

    Attributes
    ----------
    constraints : Constraints
        The restrictions for this number of classes.
    """

    def __init__(
        self,
        table: ChoiceTable,
        n_classes: int,
        penalty: float = 0.0,
        restrictions: Restrictions = NO_RESTRICTIONS,
    ) -> None:
        data = table.data
        self.table = table
        self.data = data
        self.n_classes = n_classes
        self.penalty = penalty
        self.weight = data.total_weight
        self.membership = for_design(
            data.membership, data.membership_names, float(self.weight.sum())
        )
        self.ridge = penalty * data.exog_covariance  # (L, L)
        self.restrictions = restrictions
        self.constraints = restrictions.on(self.param_names, data.exog_names, n_classes)

    def with_classes(self, n_classes: int) -> MixtureLikelihood:
        """Give the likelihood of another number of classes on the same data.

        Restrictions on a class by its number do not go with it, nor do rows that it has not.
        """
        if n_classes == self.n_classes:
            return self
        exchangeable = self.restrictions.exchangeable()
        return MixtureLikelihood(self.table.plain, n_classes, self.penalty, exchangeable)

    def sample(self, n: int, rng: np.random.Generator) -> MixtureLikelihood:
        """Give the likelihood of n individuals drawn at random, as for `ChoiceData.sample`."""
        table = ChoiceTable(self.data.sample(n, rng))
        return MixtureLikelihood(table, self.n_classes, self.penalty, self.restrictions)

    @property
    def names_classes(self) -> bool:
        """Whether the classes are told apart, by constraints or by the rows that they have."""
        return self.constraints.names_classes or self.data.has_class_sets

    @property
    def n_params(self) -> int:
        """Length of the flat vector, D."""
        n_covariates = self.data.membership.shape[1]
        return self.n_classes * self.data.n_attributes + (self.n_classes - 1) * n_covariates

    @property
    def param_names(self) -> list[str]:
        """Names of the flat vector: class1.price, ..., class2._membership.age, ..."""
        return parameter_names(self.data.exog_names, self.membership.names, self.n_classes)

    def unpack(self, params: np.ndarray) -> Parameters:
        """Split flat vectors (..., D)."""
        lead = params.shape[:-1]
        n_tastes = self.n_classes * self.data.n_attributes
        return Parameters(
            params[..., :n_tastes].reshape(*lead, self.n_classes, self.data.n_attributes),
            params[..., n_tastes:].reshape(
                *lead, self.n_classes - 1, self.data.membership.shape[1]
            ),
        )

    def conform(self, parameters: Parameters, *, relabel: bool = True) -> Parameters:
        """Move a stack of mixtures to where the constraints hold, as little as may be.

        Parameters
        ----------
        parameters : Parameters
            With a leading axis.
        relabel : bool
            Whether classes that the constraints tell apart may change places for that.

        Returns
        -------
        Parameters
        """
        if self.constraints.is_none:
            return parameters
        weight = np.ones(self.n_params)
        weight[: self.n_classes * self.data.n_attributes] = np.tile(
            self.data.exog_scale**2, self.n_classes
        )
        met, distance = self.constraints.nearest(parameters.flat(), weight)
        swaps = list(itertools.combinations(range(self.n_classes), 2))
        improves = relabel and self.constraints.names_classes
        while improves:
            improves = False
            for a, b in swaps:
                order = np.arange(self.n_classes)
                order[[a, b]] = b, a
                swapped = parameters.reordered(order)
                nearer, left = self.constraints.nearest(swapped.flat(), weight)
                is_better = left < distance * (1 - _NEARER)
                if is_better.any():
                    improves = True
                    distance = np.where(is_better, left, distance)
                    met = np.where(is_better[:, None], nearer, met)
                    flat = np.where(is_better[:, None], swapped.flat(), parameters.flat())
                    parameters = self.unpack(flat)
        return self.unpack(met)

    def penalty_at(self, beta: np.ndarray) -> np.ndarray:
        """What the ridge takes off the log-likelihood: (..., K, L) -> (...)."""
        if not self.penalty:
            return np.zeros(beta.shape[:-2])
        return 0.5 * (beta @ self.ridge * beta).sum(axis=(-2, -1))

    def _log_prior(self, gamma: np.ndarray) -> Callable[[slice], np.ndarray]:
        """Log class probabilities of some individuals; found once where all have the same."""
        if not isinstance(self.membership, Shares):
            return lambda individuals: self.membership.log_prior(gamma, individuals)
        once = self.membership.log_prior(gamma, slice(0))
        return lambda individuals: once

    def expect(self, parameters: Parameters, *, information: bool = True) -> Expectation:
        """E-step of a stack of mixtures, in one pass over the table for as many as its size allows.

        Parameters
        ----------
        parameters : Parameters
            With a leading axis of length G.
        information : bool
            Whether the information matrices are wanted.

        Returns
        -------
        Expectation
            Of the penalised log-likelihood, if there is a penalty; ``llf`` is without it.
        """
        at_once = max(self.table.columns_at_once // self.n_classes, 1)
        n_mixtures = len(parameters.beta)
        if n_mixtures > at_once:
            starts = range(0, n_mixtures, at_once)
            some = [
                self.expect(parameters[i : i + at_once], information=information) for i in starts
            ]
            names = [field.name for field in fields(Expectation)]
            return Expectation(*(np.concatenate([getattr(e, n) for e in some]) for n in names))
        beta, gamma = parameters.beta, parameters.gamma
        _, n_classes, n_attributes = beta.shape
        log_prior_of = self._log_prior(gamma)

        def weigh(log_f: np.ndarray, individuals: slice) -> tuple[np.ndarray, Sums]:
            weight = self.weight[individuals]
            log_prior = log_prior_of(individuals)
            log_mixture, posterior = _posterior(log_f.reshape(n_mixtures, n_classes, -1), log_prior)
            gate = self._gate_sums(posterior, log_prior, individuals)
            posterior *= weight
            sums = (log_mixture @ weight, posterior.sum(axis=-1), *gate)
            return posterior.reshape(n_mixtures * n_classes, -1), sums

        sweep = self.table.sweep(beta.reshape(-1, n_attributes), weigh, curvature=information)
        llf, mass, *gate = sweep.sums
        gamma_gradient, gamma_information = gate or self._gate_of_shares(gamma, mass)
        gradient = sweep.gradient.reshape(beta.shape)
        curvature = sweep.curvature.reshape(n_mixtures, n_classes, *sweep.curvature.shape[1:])
        if self.penalty:
            gradient = gradient - beta @ self.ridge
        if self.penalty and information:
            curvature = curvature + self.ridge
        return Expectation(llf, gradient, curvature, gamma_gradient, gamma_information, mass)

    def evaluate(self, params: np.ndarray) -> Evaluation:
        """Log-likelihood, score and exact Hessian in one pass over the table.

        Parameters
        ----------
        params : ndarray, shape (D,)

        Returns
        -------
        Evaluation
        """
        parameters = self.unpack(params)
        beta, gamma = parameters.beta, parameters.gamma
        n_classes, n_attributes = beta.shape
        n_tastes = beta.size
        posterior = np.empty((n_classes, self.data.n_distinct))
        log_prior_of = self._log_prior(gamma)

        def weigh(log_f: np.ndarray, individuals: slice) -> tuple[np.ndarray, Sums]:
            weight = self.weight[individuals]
            log_prior = log_prior_of(individuals)
            log_mixture, own = _posterior(log_f, log_prior)
            posterior[:, individuals] = own
            gate = self._gate_sums(own[None], log_prior[None], individuals)
            return own * weight, (np.array([log_mixture @ weight]), *gate)

        def collect(score: np.ndarray, individuals: slice) -> Sums:
            weight, z = self.weight[individuals], self.membership.z[individuals]
            own = posterior[:, individuals]
            missing = _score_covariance(score, own, weight, z)
            # of an individual like others the weight counts once, and sampling weights twice
            root = np.sqrt(weight * self.data.weights[individuals])
            observed = root * _observed_scores(score, own, log_prior_of(individuals), z)
            return missing, observed @ observed.T

        # with one class nothing is missing, and the scores do not matter
        sweep = self.table.sweep(beta, weigh, collect=collect if n_classes > 1 else None)
        mass = posterior @ self.weight
        llf, *gate = sweep.sums
        outer = gate.pop() if n_classes > 1 else None
        missing = gate.pop()[np.ix_(*2 * [self._complete_places()])] if n_classes > 1 else 0.0
        gate_score, gate_information = gate or self._gate_of_shares(gamma[None], mass[None])
        complete = np.zeros(2 * [len(params)])
        for k in range(n_classes):
            tastes = slice(k * n_attributes, (k + 1) * n_attributes)
            complete[tastes, tastes] = sweep.curvature[k] + self.ridge
        complete[n_tastes:, n_tastes:] = gate_information[0]
        hessian = missing - complete
        return Evaluation(
            value=float(llf[0] - self.penalty_at(beta)),
            score=Parameters(sweep.gradient - beta @ self.ridge, gate_score[0]).flat(),
            hessian=0.5 * (hessian + hessian.T),
            llf=float(llf[0]),
            complete_information=complete,
            posterior=posterior,
            mass=mass,
            outer=outer,
        )

    def _gate_sums(self, posterior: np.ndarray, log_prior: np.ndarray, individuals: slice) -> Sums:
        """Gradient and information of the membership logits; nothing for shares.

        The gradient and information of shares follow from the mass of the classes.
        """
        if isinstance(self.membership, Shares):
            return ()
        prior, weight = np.exp(log_prior), self.weight[individuals]
        z = self.membership.z[individuals]
        surprise = (posterior - prior)[:, 1:]  # (G, K − 1, n)
        return (surprise * weight) @ z, _gate_information(prior[:, 1:], weight, z)

    def _gate_of_shares(self, gamma: np.ndarray, mass: np.ndarray) -> Sums:
        """Gradient and information of the logits of shares, given the mass of classes (G, K)."""
        prior = np.exp(self.membership.log_prior(gamma, slice(0)))[:, 1:]  # (G, K − 1, 1)
        total = self.weight.sum(keepdims=True)
        gradient = mass[:, 1:, None] - total * prior
        return gradient, _gate_information(prior, total, np.ones((1, 1)))

    def _complete_places(self) -> np.ndarray:
        """Where parameters stand among [tastes, logits] of class 1, of class 2, ..., (D,).

        Class 1 has a place for its logits there, which are no parameters.
        """
        n_attributes, n_covariates = self.data.n_attributes, self.data.membership.shape[1]
        n_complete = n_attributes + n_covariates
        place = np.arange(self.n_classes * n_complete).reshape(self.n_classes, n_complete)
        return Parameters(place[:, :n_attributes], place[1:, n_attributes:]).flat()

    @staticmethod
    def posterior_of(log_f: np.ndarray, log_prior: np.ndarray) -> np.ndarray:
        """Posterior class probabilities (..., K, n) from log-probabilities of choices."""
        return _posterior(log_f, log_prior)[1]

    def posterior(self, parameters: Parameters) -> tuple[np.ndarray, np.ndarray]:
        """Log-likelihood of each individual (N,) and its posterior class probabilities (N, K)."""
        log_f = self.table.log_likelihoods(parameters.beta)
        log_prior = self.membership.log_prior(parameters.gamma, slice(None))
        log_mixture, posterior = _posterior(log_f, log_prior)
        return log_mixture, posterior.T

    def without_each(self, parameters: Parameters) -> np.ndarray:
        """Penalised log-likelihood of one mixture when a class is taken away, for each, (K,).

        The probabilities of the classes that are left are scaled up to one.
        """
        n_classes = parameters.n_classes
        log_prior = self.membership.log_prior(parameters.gamma, slice(None))  # (K, N) or (K, 1)
        joint = self.table.log_likelihoods(parameters.beta) + log_prior
        out = np.empty(n_classes)
        for k in range(n_classes):
            rest = np.arange(n_classes) != k
            log_f = scipy.special.logsumexp(joint[rest], axis=0)
            log_f -= scipy.special.logsumexp(log_prior[rest], axis=0)
            out[k] = log_f @ self.weight - self.penalty_at(parameters.beta[rest])
        return out

    def prior(self, parameters: Parameters) -> np.ndarray:
        """Class probabilities of each individual before it chooses, (N, K)."""
        log_prior = self.membership.log_prior(parameters.gamma, slice(None))
        return np.broadcast_to(np.exp(log_prior).T, (self.data.n_distinct, parameters.n_classes))

    def individual_scores(self, parameters: Parameters) -> np.ndarray:
        """Scores of the individuals, (N, D), each counted once and not weighted."""
        out = np.empty((self.data.n_distinct, self.n_params))
        for individuals, observed in self.score_blocks(parameters):
            out[individuals] = observed
        return out

    def score_blocks(self, parameters: Parameters) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield some individuals and their scores (n, D), as in `individual_scores`."""
        z, log_prior_of = self.membership.z, self._log_prior(parameters.gamma)
        for individuals, log_f, score in self.table.scores(parameters.beta):
            log_prior = log_prior_of(individuals)
            posterior = _posterior(log_f, log_prior)[1]
            yield individuals, _observed_scores(score, posterior, log_prior, z[individuals]).T


def parameter_names(
    attributes: Sequence[str], covariates: Sequence[str], n_classes: int
) -> list[str]:
    """Name the flat vector: class1.price, ..., class2._membership.age, ...

    Parameters
    ----------
    attributes : sequence of str, length L
    covariates : sequence of str, length Q
        Of membership.
    n_classes : int

    Returns
    -------
    list of str, length D
    """
    classes = range(1, n_classes + 1)
    tastes = [f"class{k}.{name}" for k in classes for name in attributes]
    return tastes + [f"class{k}._membership.{name}" for k in classes[1:] for name in covariates]


def _posterior(log_f: np.ndarray, log_prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log of the mixture (..., n) and posterior (..., K, n), by log-sum-exp."""
    joint = log_f + log_prior
    peak = joint.max(axis=-2, keepdims=True)
    joint -= peak
    posterior = np.exp(joint, out=joint)
    total = posterior.sum(axis=-2, keepdims=True)
    posterior /= total
    return (peak + np.log(total))[..., 0, :], posterior


def _observed_scores(
    score: np.ndarray, posterior: np.ndarray, log_prior: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """Scores of individuals, given what they chose, (D, n).

    Parameters
    ----------
    score : ndarray, shape (K, L, n)
        Of the choices, under each class.
    posterior : ndarray, shape (K, n)
    log_prior : ndarray, shape (K, n) or (K, 1)
    z : ndarray, shape (n, Q)
    """
    surprise = (posterior - np.exp(log_prior))[1:]  # (K − 1, n)
    tastes, gate = score * posterior[:, None], surprise[:, None] * z.T
    n = score.shape[-1]
    return np.concatenate([tastes.reshape(-1, n), gate.reshape(len(gate) * z.shape[1], n)])


def _score_covariance(
    score: np.ndarray, posterior: np.ndarray, weight: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """Covariance of the complete score given the choices, summed over individuals, (D', D').

    The complete score of an individual of class k is that of its choices in the tastes of class
    k, and its covariates in the logits of class k, less what does not depend on the class.

    Parameters
    ----------
    score : ndarray, shape (K, L, n)
        Of the choices, under each class.
    posterior : ndarray, shape (K, n)
    weight : ndarray, shape (n,)
    z : ndarray, shape (n, Q)

    Returns
    -------
    ndarray, shape (K (L + Q), K (L + Q))
        By tastes and logits of class 1, tastes and logits of class 2, ...
    """
    n_classes, _, n = score.shape
    covariates = np.broadcast_to(z.T, (n_classes, z.shape[1], n))
    complete = np.concatenate([score, covariates], axis=1)  # (K, L + Q, n)
    # roots of weights, because a matrix times its own transpose is half the work
    root = np.sqrt(posterior)[:, None]
    complete *= root * np.sqrt(weight)
    share = (complete * root).reshape(-1, n)
    out = share @ share.T
    np.negative(out, out=out)
    size = complete.shape[1]
    for k in range(n_classes):
        own = slice(k * size, (k + 1) * size)
        out[own, own] += complete[k] @ complete[k].T
    return out


def _gate_information(prior: np.ndarray, weight: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Information of a multinomial logit of class on covariates, (G, D, D).

    Parameters
    ----------
    prior : ndarray, shape (G, K − 1, n) or (G, K − 1, 1)
    weight : ndarray, shape (n,)
    z : ndarray, shape (n, Q)
    """
    n_mixtures, n_free, _ = prior.shape
    n_covariates = z.shape[1]
    out = np.empty((n_mixtures, n_free, n_covariates, n_free, n_covariates))
    for a in range(n_free):
        for b in range(a + 1):
            variance = prior[:, a] * ((a == b) - prior[:, b])  # (G, n)
            block = (z.T * (variance * weight)[:, None, :]) @ z
            out[:, a, :, b, :] = block
            out[:, b, :, a, :] = block
    size = n_free * n_covariates
    return out.reshape(n_mixtures, size, size)
