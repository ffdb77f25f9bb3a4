"""Curvature of the observed log-likelihood without its matrix, for thousands of parameters.

Products of the Hessian with vectors cost two products with the table each, whatever the number of
parameters. What a Newton step and the proof of a maximum need of the Hessian comes from such
products, with the complete information, class by class, as their preconditioner.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse.linalg import LinearOperator, lobpcg

from mixlogit.blocks import Sums
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.membership import with_base
from mixlogit.newton import Ascent, conjugate_gradients, diagonal_unit, maximise, whitener

__all__ = [
    "Point",
    "Spectrum",
    "WideEvaluation",
    "ascend",
    "evaluate_wide",
    "hessian_products",
    "smallest_eigenvalue",
]

_FIRST_RADIUS = 10.0  # standard errors, were the classes observed, for every parameter
_NEAR = 1.0  # log-likelihood over which complete information hardly changes
_MOST_STEPS = 400  # of Lanczos
_PRECISION = 1e-3  # of an eigenvalue, relative: its error is of the order of the square
_NOTHING = 1e-9  # residual, relative to the largest eigenvalue, that tells no more from zero
# Of eigenvalues that are reported, and prove nothing: iterations, and residual relative to the
# value, which is off by about the square of it.
_REFINEMENTS, _ROUGHLY = 60, 0.01


@dataclass(frozen=True, eq=False)
class Point:
    """The log-likelihood at a point, with its score alone.

    Parameters
    ----------
    value : float
        Penalised log-likelihood; the log-likelihood without a penalty.
    score : ndarray, shape (D,)
        Its gradient.
    llf : float
        Log-likelihood without the penalty.
    posterior : ndarray, shape (K, N)
        Posterior probability of each class.
    mass : ndarray, shape (K,)
        Posterior weight of each class.
    """

    value: float
    score: np.ndarray
    llf: float
    posterior: np.ndarray
    mass: np.ndarray


@dataclass(frozen=True, eq=False)
class WideEvaluation:
    """The log-likelihood at a point, with products in place of a Hessian.

    Parameters
    ----------
    value, score, llf, mass
        As for `Point`.
    likelihood : MixtureLikelihood
        Without constraints.
    params : ndarray, shape (D,)
    gate_information : ndarray, shape ((K − 1) Q, (K − 1) Q)
        Expected information on the membership logits if the classes were observed.
    near : WideEvaluation, optional
        At a point so near that its complete information serves as preconditioner here.
    """

    value: float
    score: np.ndarray
    llf: float
    mass: np.ndarray
    likelihood: MixtureLikelihood
    params: np.ndarray
    gate_information: np.ndarray
    near: WideEvaluation | None = None

    @cached_property
    def taste_information(self) -> np.ndarray:
        """Expected information on the tastes of each class if classes were observed, (K, L, L)."""
        return self.likelihood.expect(_stack_of_one(self.likelihood, self.params)).beta_information[
            0
        ]

    @cached_property
    def posterior(self) -> np.ndarray:
        """Posterior probability of each class, (K, N), in one pass over the table."""
        return self.likelihood.posterior(self.likelihood.unpack(self.params))[1].T

    def point(self) -> Point:
        """Leave out what holds the table."""
        return Point(self.value, self.score, self.llf, self.posterior, self.mass)

    def product(self, vectors: np.ndarray) -> np.ndarray:
        """Hessian times vectors, (D,) or (n, D), in one pass over the table."""
        flat = np.atleast_2d(vectors)
        return hessian_products(self.likelihood, self.params, flat).reshape(vectors.shape)

    def solve(self, vectors: np.ndarray) -> np.ndarray:
        """Complete information divided into vectors, (..., D), where it is not singular."""
        of = self.near or self
        return of._widened(of._whitened(vectors))

    def complete_information(self, block: np.ndarray) -> np.ndarray:
        """Complete information on the parameters of one class, or of membership, by number."""
        n_classes, n_attributes, _ = self.taste_information.shape
        k = int(block[0]) // n_attributes
        return self.taste_information[k] if k < n_classes else self.gate_information

    @cached_property
    def _whiteners(self) -> list[np.ndarray]:
        """For each class, and for membership, directions in which complete information is one."""
        unit = 1 / self.likelihood.data.exog_scale
        tastes = [whitener(information, unit)[0] for information in self.taste_information]
        gate = diagonal_unit(self.gate_information)
        return [*tastes, whitener(self.gate_information, gate)[0]] if len(gate) else tastes

    def _whitened(self, vectors: np.ndarray) -> np.ndarray:
        """Derivatives (..., D) along the directions of the whiteners."""
        ends = np.cumsum([len(white) for white in self._whiteners])[:-1]
        parts = np.split(vectors, ends, axis=-1)
        pairs = zip(parts, self._whiteners, strict=True)
        return np.concatenate([part @ white for part, white in pairs], axis=-1)

    def _widened(self, whitened: np.ndarray) -> np.ndarray:
        """Parameters (..., D) from coordinates along the directions of the whiteners."""
        ends = np.cumsum([white.shape[1] for white in self._whiteners])[:-1]
        parts = np.split(whitened, ends, axis=-1)
        pairs = zip(parts, self._whiteners, strict=True)
        return np.concatenate([part @ white.T for part, white in pairs], axis=-1)

    def diagonal(self) -> np.ndarray:
        """Diagonal of the Hessian, (D,), in one pass over the table."""
        likelihood = self.likelihood
        parameters = likelihood.unpack(self.params)
        spread = self.posterior * (1 - self.posterior) * likelihood.weight  # (K, N)
        tastes = -np.diagonal(self.taste_information, axis1=1, axis2=2).copy()
        prior, z = likelihood.prior(parameters), likelihood.membership.z
        # the complete score of the logit of class k is (1[k] − prior) z, and varies with 1[k]
        gate = spread[1:] @ z**2  # (K − 1, Q)
        gate -= (prior * (1 - prior) * likelihood.weight[:, None])[:, 1:].T @ z**2

        def weigh(log_f: np.ndarray, individuals: slice) -> tuple[np.ndarray, Sums]:
            return spread[:, individuals], ()

        def collect(score: np.ndarray, individuals: slice) -> Sums:
            return ((score**2 @ spread[:, individuals, None])[..., 0],)

        sweep = likelihood.table.sweep(parameters.beta, weigh, curvature=False, collect=collect)
        tastes += sweep.sums[0]
        return Parameters(tastes, gate).flat()

    def spectrum(self) -> Spectrum:
        """Eigenvalues of the information, by Lanczos' method; its decrement is an upper bound."""
        units = np.ones(len(self.params))
        n_tastes = self.likelihood.n_classes * self.likelihood.data.n_attributes
        units[:n_tastes] = np.tile(1 / self.likelihood.data.exog_scale, self.likelihood.n_classes)
        n = sum(white.shape[1] for white in self._whiteners)
        if not n:  # all has been lost to round-off
            nothing, unknown = np.ones(len(self.params)), float("nan")
            return Spectrum(unknown, 0.0, nothing, unknown, 0.0, float("inf"))
        left, direction = smallest_eigenvalue(
            lambda y: -self._whitened(self.product(self._widened(y))), n
        )
        # some directions have no information even if classes were observed
        least = min(left, 0.0) if n < len(self.score) else left
        leading = self._widened(direction)
        slope = float((self._whitened(self.score) ** 2).sum())
        unit = 1 / np.sqrt(np.maximum(np.abs(self.diagonal()), np.finfo(float).tiny))
        smallest = self._refined(np.ones(len(unit)), leading)
        scaled = self._refined(unit, leading / unit)
        largest = -smallest_eigenvalue(lambda y: unit * self.product(unit * y), len(unit))[0]
        return Spectrum(
            em_rate=1 - left,
            least=least,
            direction=leading / units,
            # −H is at least so many times the complete information
            decrement=0.5 * slope / least if least > 0 else float("nan"),
            smallest=smallest,
            condition_number=largest / scaled if scaled > 0 else float("inf"),
        )

    def _refined(self, unit: np.ndarray, guess: np.ndarray) -> float:
        """Smallest eigenvalue of −H once the parameters are in other units, (D,)."""
        size, column = 2 * (len(unit),), unit[:, None]
        operator = LinearOperator(
            size,
            matvec=lambda v: -unit * self.product(unit * v.ravel()),
            matmat=lambda v: -column * self.product(np.ascontiguousarray((column * v).T)).T,
            dtype=float,
        )
        preconditioner = LinearOperator(
            size,
            matvec=lambda v: self.solve(v.ravel() / unit) / unit,
            matmat=lambda v: self.solve((v / column).T).T / column,
            dtype=float,
        )
        guess = guess / np.linalg.norm(guess)
        first = float(guess @ operator.matvec(guess))
        with warnings.catch_warnings():  # of accuracy: the value is still a bound from above
            warnings.simplefilter("ignore", UserWarning)
            value, _ = lobpcg(
                operator,
                guess[:, None],
                M=preconditioner,
                tol=_ROUGHLY * abs(first),
                largest=False,
                maxiter=_REFINEMENTS,
            )
        return float(value[0])


@dataclass(frozen=True)
class Spectrum:
    """What the eigenvalues of the observed information say of a point.

    Parameters
    ----------
    em_rate : float
        Largest fraction of missing information.
    least : float
        Smallest eigenvalue of −H in units of the complete information.
    direction : ndarray, shape (D,)
        Of the least information; tastes in utils per standard deviation of an attribute.
    decrement : float
        Gain that one more Newton step promises, at most; nan without a maximum.
    smallest : float
        Smallest eigenvalue of −H.
    condition_number : float
        Of −H, once its diagonal is scaled to one.
    """

    em_rate: float
    least: float
    direction: np.ndarray
    decrement: float
    smallest: float
    condition_number: float


def evaluate_wide(
    likelihood: MixtureLikelihood, params: np.ndarray, near: WideEvaluation | None = None
) -> WideEvaluation:
    """Log-likelihood and score in one pass over the table.

    Parameters
    ----------
    likelihood : MixtureLikelihood
        Without constraints.
    params : ndarray, shape (D,)
    near : WideEvaluation, optional
        At an earlier point. Its complete information serves here as well if the log-likelihood
        differs by less than one: it hardly changes over such a distance.

    Returns
    -------
    WideEvaluation
    """
    one = likelihood.unpack(params)
    at = likelihood.expect(_stack_of_one(likelihood, params), information=False)
    value = float(at.llf[0] - likelihood.penalty_at(one.beta))
    return WideEvaluation(
        likelihood=likelihood,
        params=params,
        value=value,
        score=Parameters(at.beta_gradient[0], at.gamma_gradient[0]).flat(),
        llf=float(at.llf[0]),
        gate_information=at.gamma_information[0],
        mass=at.mass[0],
        near=near if near is not None and abs(near.value - value) < _NEAR else None,
    )


def ascend(
    likelihood: MixtureLikelihood,
    params: np.ndarray,
    *,
    maxiter: int,
    callback: Callable[[int, WideEvaluation, np.ndarray], None] | None = None,
) -> Ascent[WideEvaluation]:
    """Newton steps by conjugate gradients.

    Parameters
    ----------
    likelihood : MixtureLikelihood
        Without constraints.
    params : ndarray, shape (D,)
        Where to start.
    maxiter : int
    callback : callable, optional
        As for `mixlogit.newton.maximise`.

    Returns
    -------
    Ascent
    """
    last: WideEvaluation | None = None

    def evaluate(x: np.ndarray) -> WideEvaluation:
        nonlocal last
        at = evaluate_wide(likelihood, x, last)
        last = at.near or at
        return at

    return maximise(
        evaluate,
        params,
        maxiter=maxiter,
        radius=_FIRST_RADIUS * np.sqrt(len(params)),
        subproblem=conjugate_gradients,
        callback=callback,
    )


def _stack_of_one(likelihood: MixtureLikelihood, params: np.ndarray) -> Parameters:
    """A stack of one mixture."""
    one = likelihood.unpack(params)
    return Parameters(one.beta[None], one.gamma[None])


def hessian_products(
    likelihood: MixtureLikelihood, params: np.ndarray, vectors: np.ndarray
) -> np.ndarray:
    """Hessian of the penalised log-likelihood times vectors, in one pass over the table.

    Parameters
    ----------
    likelihood : MixtureLikelihood
    params : ndarray, shape (D,)
    vectors : ndarray, shape (n, D)

    Returns
    -------
    ndarray, shape (n, D)

    Notes
    -----
    With the slope a_ik of the log-probability of class k and of the choices of individual i along
    a vector, the posterior changes by r_ik (a_ik − sum_k r_ik a_ik), and the product is what the
    score changes by (Louis 1982).
    """
    here, along = likelihood.unpack(params), likelihood.unpack(vectors)
    z = likelihood.membership.z
    towards = with_base(along.gamma)  # (n, K, Q)

    def weigh(
        log_f: np.ndarray, slope: np.ndarray, individuals: slice
    ) -> tuple[np.ndarray, np.ndarray, Sums]:
        weight, own = likelihood.weight[individuals], z[individuals]
        log_prior = likelihood.membership.log_prior(here.gamma, individuals)  # (K, 1) or (K, n)
        posterior = likelihood.posterior_of(log_f, log_prior)
        prior = np.exp(log_prior)
        logit = towards @ own.T  # (n, K, individuals)
        logit = logit - (prior * logit).sum(axis=1, keepdims=True)
        slope = slope + logit
        slope -= (posterior * slope).sum(axis=1, keepdims=True)
        change = posterior * slope * weight
        gate = (change - prior * logit * weight)[:, 1:] @ own
        return posterior * weight, change, (gate,)

    tastes, (gate,) = likelihood.table.directional(here.beta, along.beta, weigh)
    tastes -= along.beta @ likelihood.ridge
    return Parameters(tastes, gate).flat()


def smallest_eigenvalue(
    product: Callable[[np.ndarray], np.ndarray], size: int
) -> tuple[float, np.ndarray]:
    """Smallest eigenvalue of a symmetric operator, by Lanczos' method with full orthogonality.

    Parameters
    ----------
    product : callable
        The operator times a vector (size,).
    size : int

    Returns
    -------
    value : float
        Less its residual, if that is not small after many products: never more than there is.
    vector : ndarray, shape (size,)
    """
    start = np.random.default_rng(0).standard_normal(size)
    basis = [start / np.linalg.norm(start)]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        new = product(basis[-1])
        diagonal.append(float(new @ basis[-1]))
        whole = np.array(basis)
        for _ in range(2):  # once leaves round-off that grows
            new = new - whole.T @ (whole @ new)
        length = float(np.linalg.norm(new))
        matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        value, vector = np.linalg.eigh(matrix)
        residual, largest = abs(length * vector[-1, 0]), float(np.abs(value).max())
        is_found = residual <= max(_PRECISION * abs(value[0]), _NOTHING * largest)
        if is_found or len(basis) >= size:
            return float(value[0]), whole.T @ vector[:, 0]
        if len(basis) >= _MOST_STEPS:
            return float(value[0] - residual), whole.T @ vector[:, 0]
        beside.append(length)
        basis.append(new / length)
