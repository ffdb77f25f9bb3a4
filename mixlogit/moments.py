"""Latent moments: what the choices say of the distribution of tastes, before any likelihood.

Scores are taken at one logit, the base, and whitened by the average information of a choice, so
that a class whose tastes differ from the base by ``unit @ theta`` has whitened scores u of mean
near theta and, near the base, covariance near I. Moments of theta over the classes follow in two
ways: where individuals choose repeatedly, from products over different choices of one individual,
which carry no noise term; else from Hermite polynomials, which take out the noise of a Gaussian.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from mixlogit.axes import Axes
from mixlogit.errors import ArgumentError, OneChoiceWarning, plural, warn
from mixlogit.logit import ChoiceTable

__all__ = [
    "Coordinates",
    "CrossOccasionMoments",
    "Directional",
    "Gaussianity",
    "HermiteMoments",
    "LatentMoments",
    "design_gaussianity",
    "latent_moments",
]

_RANK_TOLERANCE = 1e-10  # of the largest eigenvalue of the information
_HERMITE_ORDER = 30  # beyond it the polynomials are noise alone
_KEEP_BYTES = 1 << 22  # whitened scores up to this size are held between passes


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Whitened latent coordinates: tastes are ``base + unit @ theta``.

    Parameters
    ----------
    base : ndarray, shape (L,)
        Tastes of the base logit, utils per unit of each attribute.
    unit : ndarray, shape (L, D)
        ``unit' I unit`` is the identity, with I the average information per choice at the base
        and D its rank. A theta of length one is told from the base by a few choices.
    """

    base: np.ndarray
    unit: np.ndarray

    @property
    def n_dimensions(self) -> int:
        """Dimension of theta, D."""
        return self.unit.shape[1]

    def tastes(self, theta: np.ndarray) -> np.ndarray:
        """Tastes of latent positions.

        Parameters
        ----------
        theta : ndarray, shape (..., D)

        Returns
        -------
        ndarray, shape (..., L)
            Utils per unit of each attribute.
        """
        return self.base + theta @ self.unit.T

    def whiten(self, score: np.ndarray) -> np.ndarray:
        """Whitened scores, whose mean in a class is near the theta of the class.

        Parameters
        ----------
        score : ndarray, shape (..., L)
            Chosen less expected attributes at the base, in the units of the attributes.

        Returns
        -------
        ndarray, shape (..., D)
        """
        return score @ self.unit


@dataclass(frozen=True, eq=False)
class Directional:
    """Moments along some directions v.

    Parameters
    ----------
    power : ndarray, shape (n, n_powers)
        Mean over classes of (v'theta)^r, r = 0, 1, ...
    mixed : ndarray, shape (n, n_powers // 2, D)
        Mean over classes of (v'theta)^r theta, r = 0, 1, ...
    """

    power: np.ndarray
    mixed: np.ndarray


class LatentMoments(Protocol):
    """Estimated moments of theta over the classes, weighted by their shares.

    Attributes
    ----------
    coordinates : Coordinates
    order : int
        Highest order that is available.
    first : ndarray, shape (D,)
        Mean of theta.
    second : ndarray, shape (D, D)
        Mean of theta theta', symmetric; sampling noise may make it indefinite.
    """

    @property
    def coordinates(self) -> Coordinates: ...

    @property
    def order(self) -> int: ...

    @property
    def first(self) -> np.ndarray: ...

    @property
    def second(self) -> np.ndarray: ...

    def third(self, basis: np.ndarray) -> np.ndarray:
        """Mean of the triple products of ``basis' theta``: (D, m) -> (m, m, m)."""

    def along(self, directions: np.ndarray, n_powers: int) -> Directional:
        """Moments of orders 0 to ``n_powers − 1`` along directions (n, D)."""


@dataclass(frozen=True)
class Gaussianity:
    """How far the whitened design is from a Gaussian one, as averages per axis.

    Hermite moments are exact for a Gaussian design, where both numbers are 0. Uniform attributes
    have an excess kurtosis of −1.2, attributes with two levels of −2, which is the least. Below
    about 0.5 in size, expect moments of use; beyond 1, orders above two are mostly bias.

    Parameters
    ----------
    skewness : float
        ``|E[z |z|²]| / sqrt(D)``: root mean square over the axes.
    excess_kurtosis : float
        ``(E|z|⁴ − D (D + 2)) / D``.

    References
    ----------
    Mardia (1970), Biometrika 57, 519, for the kurtosis; Móri, Rohatgi & Székely (1994), Theory of
    Probability and its Applications 38, 547, for the skewness.
    """

    skewness: float
    excess_kurtosis: float


@dataclass(frozen=True, eq=False)
class _Piece:
    """Whitened scores of the choices of some individuals."""

    weight: np.ndarray  # (n,) of the individuals
    start: np.ndarray  # (n,) first entry of each
    count: np.ndarray  # (E,) choices that an entry stands for
    u: np.ndarray  # (E, D)

    @cached_property
    def owner(self) -> np.ndarray:
        """Individual of each entry, (E,)."""
        return np.repeat(
            np.arange(len(self.start)), np.diff(np.append(self.start, len(self.count)))
        )

    @cached_property
    def n_choices(self) -> np.ndarray:
        """Choices of each individual, T: (n,)."""
        return self.total(np.ones((len(self.count), 1)))[:, 0]

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum over the choices of each individual: (E, m) -> (n, m)."""
        return np.add.reduceat(self.count[:, None] * values, self.start, axis=0)


class _Features:
    """The whitened scores of all choices: passed over piece by piece, held if they are few."""

    def __init__(self, table: ChoiceTable, weight: np.ndarray, base: np.ndarray) -> None:
        self.table, self.weight = table, weight
        self.coordinates = _coordinates(table, weight, base)
        n_bytes = 8 * len(table.data.entries.row) * self.coordinates.n_dimensions
        self._kept = list(self._walk()) if n_bytes <= _KEEP_BYTES else None

    def __iter__(self) -> Iterator[_Piece]:
        return self._walk() if self._kept is None else iter(self._kept)

    def _walk(self) -> Iterator[_Piece]:
        """Yield the pieces from a pass over the table."""
        for some in self.table.occasions(self.coordinates.base):
            u = self.coordinates.whiten(some.score)
            yield _Piece(self.weight[some.individuals], some.start, some.count, u)


def _coordinates(table: ChoiceTable, weight: np.ndarray, base: np.ndarray) -> Coordinates:
    """Whiten by the average information of a choice at the base."""
    n_attributes = len(base)
    information = np.zeros((n_attributes, n_attributes))
    for rows in table.alternatives(base, weight):
        scaled = rows.deviation * (rows.mass * rows.probability)[:, None]
        information += scaled.T @ rows.deviation
    information /= float(weight @ table.data.choices_per_individual)
    # neither ranks nor axes depend on which columns span the utility
    axes = Axes.principal(table.data.exog_covariance, information, base)
    value = np.diag(axes.quadratic(information))
    keep = value > _RANK_TOLERANCE * value.max()
    return Coordinates(base, axes.direction[:, keep] / np.sqrt(value[keep]))


def _refuse_order(asked: int, order: int) -> None:
    """Raise when moments beyond the available order are asked for."""
    if asked > order:
        raise ArgumentError(
            f"Moments of order {asked} are asked for, but these data give orders up to {order}. "
            "An order needs as many choices by the same individual; use a method of lower order, "
            "or fewer classes."
        )


class CrossOccasionMoments:
    """Moments from products over different choices of the same individual.

    Given the class, the choices of one individual are independent, so a product of r of them has
    the mean theta⊗...⊗theta, without a noise term and whatever the design, as far as the mean of
    a whitened score is theta: to first order in theta. Far from the base it saturates.

    The average over r-tuples of different choices is taken within each individual that made at
    least r, then over those individuals with their weights.

    Parameters
    ----------
    table : ChoiceTable
    weight : ndarray, shape (N,)
        Weight of each distinct individual.
    base : ndarray, shape (L,)
        Tastes of the base logit, utils per unit of each attribute.

    Attributes
    ----------
    order : int
        Largest number of choices that individuals with at least half of the weight have made.
    """

    def __init__(self, table: ChoiceTable, weight: np.ndarray, base: np.ndarray) -> None:
        self._features = _Features(table, weight, base)
        self.coordinates = self._features.coordinates
        self._n_choices = table.data.choices_per_individual
        self._weight = weight
        self.order = _common_choices(self._n_choices, weight)
        n_dimensions = self.coordinates.n_dimensions
        self.first = np.zeros(n_dimensions)
        self.second = np.zeros((n_dimensions, n_dimensions))
        for piece in self._features:
            total = piece.total(piece.u)
            self.first += self._per_tuple(piece, 1) @ total
            per_pair = self._per_tuple(piece, 2)
            same = per_pair[piece.owner] * piece.count
            self.second += (total.T * per_pair) @ total - (piece.u.T * same) @ piece.u
        self.second = 0.5 * (self.second + self.second.T)

    def _per_tuple(self, piece: _Piece, order: int) -> np.ndarray:
        """Weight of each ordered tuple of different choices of an individual, (n,)."""
        enough = piece.n_choices >= order
        falling = np.ones(len(enough))
        for j in range(order):
            falling *= np.where(enough, piece.n_choices - j, 1.0)
        support = float(self._weight @ (self._n_choices >= order))
        return np.where(enough, piece.weight, 0.0) / falling / (support or 1.0)

    def third(self, basis: np.ndarray) -> np.ndarray:
        """Mean of the triple products of ``basis' theta``.

        Parameters
        ----------
        basis : ndarray, shape (D, m)

        Returns
        -------
        ndarray, shape (m, m, m)

        Raises
        ------
        ArgumentError
            Most individuals made fewer than three choices.
        """
        _refuse_order(3, self.order)
        m = basis.shape[1]
        all_three, two, one = np.zeros((m, m * m)), np.zeros((m, m * m)), np.zeros((m, m * m))
        for piece in self._features:
            a = piece.u @ basis
            total = piece.total(a)
            weight = self._per_tuple(piece, 3)
            own = (weight[piece.owner] * piece.count)[:, None]
            square = _products(a) * own
            all_three += (total * weight[:, None]).T @ _products(total)
            two += total[piece.owner].T @ square
            one += a.T @ square
        same = two.reshape(m, m, m)
        pairs = same + same.transpose(1, 0, 2) + same.transpose(2, 1, 0)
        return all_three.reshape(m, m, m) - pairs + 2 * one.reshape(m, m, m)

    def along(self, directions: np.ndarray, n_powers: int) -> Directional:
        """Moments along directions, from elementary symmetric polynomials of the choices.

        Parameters
        ----------
        directions : ndarray, shape (n, D)
        n_powers : int
            Orders 0 to ``n_powers − 1``.

        Returns
        -------
        Directional

        Raises
        ------
        ArgumentError
            Most individuals made fewer than ``n_powers − 1`` choices.
        """
        _refuse_order(n_powers - 1, self.order)
        n, n_dimensions = directions.shape
        power = np.zeros((n_powers, n))
        power[:1] = 1.0
        mixed = np.zeros((n_powers // 2, n, n_dimensions))
        for piece in self._features:
            x = piece.u @ directions.T  # (E, n)
            elementary = _elementary(piece, x, n_powers)
            # of each product of r + 1 choices, the first of them set apart
            weight = [
                math.factorial(r) * self._per_tuple(piece, r + 1) for r in range(n_powers - 1)
            ]
            for r in range(1, n_powers):
                power[r] += r * weight[r - 1] @ elementary[r]
            without = np.ones(x.shape)  # the polynomial of the other choices
            for r in range(n_powers // 2):
                if r > 0:
                    without = elementary[r][piece.owner] - x * without
                own = weight[r][piece.owner] * piece.count
                mixed[r] += (without * own[:, None]).T @ piece.u
        return Directional(power.T, mixed.swapaxes(0, 1))


def _common_choices(n_choices: np.ndarray, weight: np.ndarray) -> int:
    """Largest number of choices that at least half of the weight has made."""
    descending = np.argsort(-n_choices)
    reached = np.cumsum(weight[descending])
    return int(n_choices[descending[np.searchsorted(reached, 0.5 * reached[-1])]])


def _products(a: np.ndarray) -> np.ndarray:
    """Products of two columns, (E, m) -> (E, m²)."""
    return (a[:, :, None] * a[:, None, :]).reshape(len(a), -1)


def _elementary(piece: _Piece, x: np.ndarray, n: int) -> list[np.ndarray]:
    """Elementary symmetric polynomials e_0, ..., e_(n−1) of each individual's choices, (n, ...).

    By Newton's identities from power sums, where a count c is c equal choices.
    """
    elementary = [np.ones((len(piece.start), x.shape[1]))]
    sums: list[np.ndarray] = []
    power = np.ones(x.shape)
    for r in range(1, n):
        power = power * x
        sums.append(piece.total(power))
        terms = [(-1) ** j * elementary[r - 1 - j] * sums[j] for j in range(r)]
        elementary.append(np.sum(terms, axis=0) / r)
    return elementary


class HermiteMoments:
    """Moments that take every choice as a draw from N(theta, I) in the whitened space.

    For one choice set with many alternatives and Gaussian attributes this is the law of a choice,
    since an exponential tilt of a Gaussian is a Gaussian; there it is the estimator of Bing, Bunea,
    Niles-Weed & Wegkamp (2024, arXiv 2409.09903), with means and covariances of the design taken
    under the base logit instead of equal weights, which keeps theta small. With
    choice sets that vary, scores are centred by situation and whitened on average.

    Parameters
    ----------
    table : ChoiceTable
    weight : ndarray, shape (N,)
        Weight of each distinct individual; every one of its choices has it.
    base : ndarray, shape (L,)
        Tastes of the base logit, utils per unit of each attribute.

    Attributes
    ----------
    gaussianity : Gaussianity
        How well the design suits these moments.
    """

    order = _HERMITE_ORDER

    def __init__(self, table: ChoiceTable, weight: np.ndarray, base: np.ndarray) -> None:
        self._features = _Features(table, weight, base)
        self.coordinates = self._features.coordinates
        self._total = float(weight @ table.data.choices_per_individual)
        n_dimensions = self.coordinates.n_dimensions
        self.first = np.zeros(n_dimensions)
        self.second = -np.eye(n_dimensions)
        for piece in self._features:
            weighted = piece.u.T * self._per_choice(piece)
            self.first += weighted.sum(axis=1)
            self.second += weighted @ piece.u
        self.second = 0.5 * (self.second + self.second.T)

    @cached_property
    def gaussianity(self) -> Gaussianity:
        """How well the design suits these moments."""
        return _gaussianity(self._features.table, self._features.weight, self.coordinates)

    def _per_choice(self, piece: _Piece) -> np.ndarray:
        """Weight of each entry, (E,)."""
        return piece.weight[piece.owner] * piece.count / self._total

    def third(self, basis: np.ndarray) -> np.ndarray:
        """Mean of the triple products of ``basis' theta``.

        Parameters
        ----------
        basis : ndarray, shape (D, m)

        Returns
        -------
        ndarray, shape (m, m, m)
        """
        m = basis.shape[1]
        out = np.zeros((m, m * m))
        for piece in self._features:
            a = piece.u @ basis
            out += (a.T * self._per_choice(piece)) @ _products(a)
        noise = np.multiply.outer(basis.T @ self.first, basis.T @ basis)
        noise = noise + noise.transpose(1, 0, 2) + noise.transpose(2, 1, 0)
        return out.reshape(m, m, m) - noise

    def along(self, directions: np.ndarray, n_powers: int) -> Directional:
        """Moments along directions, from Hermite polynomials.

        Parameters
        ----------
        directions : ndarray, shape (n, D)
        n_powers : int
            Orders 0 to ``n_powers − 1``.

        Returns
        -------
        Directional

        Raises
        ------
        ArgumentError
            ``n_powers`` is beyond what double precision can carry.
        """
        _refuse_order(n_powers - 1, self.order)
        n, n_dimensions = directions.shape
        variance = (directions**2).sum(axis=1)  # of the noise along each
        power = np.zeros((n_powers, n))
        mixed = np.zeros((n_powers // 2, n, n_dimensions))
        for piece in self._features:
            weight = self._per_choice(piece)
            x = piece.u @ directions.T  # (E, n)
            last, hermite = np.zeros(x.shape), np.ones(x.shape)
            for r in range(n_powers):
                power[r] += weight @ hermite
                if r < len(mixed):
                    mixed[r] += (hermite * weight[:, None]).T @ piece.u
                last, hermite = hermite, x * hermite - r * variance * last
        for r in range(1, len(mixed)):
            mixed[r] -= r * power[r - 1][:, None] * directions
        return Directional(power.T, mixed.swapaxes(0, 1))


def design_gaussianity(table: ChoiceTable, base: np.ndarray) -> Gaussianity:
    """Measure how Gaussian the whitened design is under a logit.

    Over the alternatives of a situation, centred and weighted by their choice probabilities, and
    over situations, weighted by the choices made there.

    Parameters
    ----------
    table : ChoiceTable
    base : ndarray, shape (L,)
        Tastes of the logit, utils per unit of each attribute.

    Returns
    -------
    Gaussianity
    """
    weight = table.data.total_weight
    return _gaussianity(table, weight, _coordinates(table, weight, base))


def _gaussianity(table: ChoiceTable, weight: np.ndarray, coordinates: Coordinates) -> Gaussianity:
    """Third and fourth moments of the whitened design."""
    n = coordinates.n_dimensions
    third, fourth = np.zeros(n), 0.0
    for rows in table.alternatives(coordinates.base, weight):
        z = coordinates.whiten(rows.deviation)
        square = (z**2).sum(axis=1)
        weighted = rows.mass * rows.probability * square
        third += weighted @ z
        fourth += float(weighted @ square)
    total = float(weight @ table.data.choices_per_individual)
    return Gaussianity(
        skewness=float(np.linalg.norm(third)) / total / math.sqrt(n),
        excess_kurtosis=(fourth / total - n * (n + 2)) / n,
    )


def latent_moments(table: ChoiceTable, weight: np.ndarray, base: np.ndarray) -> LatentMoments:
    """Estimate the moments of tastes over the classes.

    Products over different choices of an individual where most individuals chose at least twice,
    Hermite moments elsewhere.

    Parameters
    ----------
    table : ChoiceTable
    weight : ndarray, shape (N,)
        Weight of each distinct individual.
    base : ndarray, shape (L,)
        Tastes of the base, best the logit with one class, utils per unit of each attribute.

    Returns
    -------
    CrossOccasionMoments or HermiteMoments

    Warns
    -----
    OneChoiceWarning
        Choice sets vary, and most individuals choose only once.
    """
    data = table.data
    if _common_choices(data.choices_per_individual, weight) >= 2:
        return CrossOccasionMoments(table, weight, base)
    if data.n_situations > 1:
        once = int((data.choices_per_individual == 1) @ data.entries.frequency)
        warn(
            f"{plural(once, 'individual')} of {data.n_individuals:,} chose only once, each from "
            "a choice set of its own. Mixtures of classes are then weakly identified: quite "
            "different tastes and shares can give nearly the same choice probabilities (Grün & "
            "Leisch 2008). Pass individual= if the table holds repeated choices of the same "
            "people; if it does not, prefer few classes, compare the best starts in "
            "result.starts, and rely on predicted shares more than on the tastes of a class.",
            OneChoiceWarning,
        )
    return HermiteMoments(table, weight, base)
