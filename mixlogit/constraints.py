"""Constraints on the flat vector of parameters: common, fixed and tied coefficients, and signs.

Linear equalities leave some parameters free, phi, and every parameter is an affine function of
them: params = origin + basis @ phi. The free ones are parameters themselves, so a sign is a bound
on one of them. Whatever needs derivatives (EM, Newton, covariance) works on phi.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import patsy
from scipy.optimize import lsq_linear

from mixlogit.arguments import is_iterable
from mixlogit.errors import ArgumentError, did_you_mean, listed, show
from mixlogit.newton import diagonal_unit, solve_scaled

__all__ = ["Constraints", "Restrictions", "read_equations"]

_ROUND_OFF = 1e-10  # of a coefficient in elimination, relative to the largest of its row
_RIDGE = 1e-10  # of the scaled information, in steps that meet a bound
_MET = 1e-8  # how closely a start has to meet a constraint, relative to its size
_CLASS_NAME = re.compile(r"class\d+\.")
_WORD = re.compile(r"[^\s=+*/-]+")
_SIGNS = {"+": 1, "-": -1}


@dataclass(frozen=True)
class Restrictions:
    """What an analyst states, for whatever number of classes.

    Parameters
    ----------
    common : tuple of str
        Attributes with one coefficient for all classes; the name of a categorical term stands
        for all its columns.
    linear : tuple of str
        Equations in the names of parameters, such as ``"class1.time = 0"``, and of attributes
        that are common, such as ``"price = -1"``.
    signs : tuple of (str, str)
        Attributes, or single parameters, with "+" (at least 0) or "-" (at most 0).
    """

    common: tuple[str, ...] = ()
    linear: tuple[str, ...] = ()
    signs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, common: Any, constraints: Any, signs: Any) -> Restrictions:
        """Read the arguments of a model.

        Parameters
        ----------
        common, constraints : str or iterable of str, or None
        signs : mapping of str to {"+", "-"}, or None
        """
        if not isinstance(signs, Mapping | None):
            raise ArgumentError(
                f"signs must map names to '+' or '-', such as {{'price': '-'}}, not "
                f"{type(signs).__name__}."
            )
        for name, sign in (signs or {}).items():
            if not isinstance(name, str):
                raise ArgumentError(f"signs must map names to '+' or '-', and {name!r} is no name.")
            if not (isinstance(sign, str) and sign in _SIGNS):
                raise ArgumentError(f"signs[{name!r}] is {sign!r}; it must be '+' or '-'.")
        return cls(
            _strings(common, "common"),
            _strings(constraints, "constraints"),
            tuple((signs or {}).items()),
        )

    @property
    def of_classes(self) -> tuple[str, ...]:
        """Those that hold for a class by its number: equations, and names with signs."""
        texts = (*self.linear, *(name for name, _ in self.signs))
        return tuple(text for text in texts if _CLASS_NAME.search(text))

    def exchangeable(self) -> Restrictions:
        """Keep those that hold whatever the number and the order of the classes."""
        named = self.of_classes
        return Restrictions(
            self.common,
            tuple(text for text in self.linear if text not in named),
            tuple(pair for pair in self.signs if pair[0] not in named),
        )

    def for_attributes(self, attributes: Sequence[str]) -> Restrictions:
        """Write coefficients that are common without a class: they are of no class by its number.

        Parameters
        ----------
        attributes : sequence of str, length L

        Returns
        -------
        Restrictions
        """
        names = [*_picked(attributes, self.is_common(attributes)), *self.common]
        if not names:
            return self
        longest_first = sorted(names, key=len, reverse=True)
        every = re.compile(rf"class\d+\.({'|'.join(map(re.escape, longest_first))})(?![\w.:\[])")
        return Restrictions(
            self.common,
            tuple(every.sub(r"\1", text) for text in self.linear),
            tuple((every.sub(r"\1", name), sign) for name, sign in self.signs),
        )

    def is_common(self, attributes: Sequence[str]) -> np.ndarray:
        """Which attributes have one coefficient for all classes, (L,)."""
        out = np.zeros(len(attributes), dtype=bool)
        for name in self.common:
            out[_columns_of(name, attributes, "common")] = True
        return out

    def on(self, names: Sequence[str], attributes: Sequence[str], n_classes: int) -> Constraints:
        """Turn the restrictions into algebra on a flat vector.

        Parameters
        ----------
        names : sequence of str, length D
            Of the parameters, the tastes first, class by class.
        attributes : sequence of str, length L
        n_classes : int

        Returns
        -------
        Constraints

        Raises
        ------
        ArgumentError
            A name is unknown, restrictions contradict one another, or nothing is left free.
        """
        if not (self.common or self.linear or self.signs):
            return Constraints.none(len(names))
        rows = [*_common_rows(self.is_common(attributes), len(names), n_classes)]
        rows += _linear_rows(self.linear, names, attributes, self.is_common(attributes))
        basis, origin, free = _eliminate(rows, len(names))
        if not len(free):
            raise ArgumentError("The constraints fix every parameter. Leave at least one free.")
        lower, upper = _bounds(
            _signs_of_params(self.signs, names, attributes, n_classes), names, basis, origin, free
        )
        return Constraints(basis, origin, free, lower, upper, bool(self.of_classes))


@dataclass(frozen=True, eq=False)
class Constraints:
    """Parameters as affine functions of the free ones, params = origin + basis @ phi.

    Parameters
    ----------
    basis : ndarray, shape (D, F), or None
        Its rows of free parameters are those of the identity. None if nothing is constrained.
    origin : ndarray, shape (D,)
        Zero for free parameters.
    free : ndarray of int, shape (F,)
        Which parameters are free.
    lower, upper : ndarray, shape (F,)
        Zero where a sign bounds a free parameter, infinite elsewhere.
    names_classes : bool
        Whether the classes are told apart by the constraints.
    """

    basis: np.ndarray | None
    origin: np.ndarray
    free: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    names_classes: bool = False

    @classmethod
    def none(cls, n_params: int) -> Constraints:
        """No constraints at all."""
        infinite = np.full(n_params, np.inf)
        return cls(None, np.zeros(n_params), np.arange(n_params), -infinite, infinite)

    @property
    def is_none(self) -> bool:
        """Whether every parameter is free and unbounded."""
        return self.basis is None

    @property
    def n_free(self) -> int:
        """Number of free parameters, F."""
        return len(self.free)

    @property
    def is_bounded(self) -> np.ndarray:
        """Which free parameters have a sign, (F,)."""
        return np.isfinite(self.lower) | np.isfinite(self.upper)

    def full(self, phi: np.ndarray) -> np.ndarray:
        """Flat vectors of all parameters, (..., F) -> (..., D)."""
        return phi if self.basis is None else self.origin + phi @ self.basis.T

    def reduced(self, params: np.ndarray) -> np.ndarray:
        """Free parameters of vectors that meet the constraints, (..., D) -> (..., F)."""
        return params if self.basis is None else params[..., self.free]

    def gradient(self, score: np.ndarray) -> np.ndarray:
        """Derivatives by the free parameters, (..., D) -> (..., F)."""
        return score if self.basis is None else score @ self.basis

    def quadratic(self, matrix: np.ndarray) -> np.ndarray:
        """Second derivatives by the free parameters, (..., D, D) -> (..., F, F)."""
        return matrix if self.basis is None else self.basis.T @ matrix @ self.basis

    def covariance(self, reduced: np.ndarray) -> np.ndarray:
        """Covariance of all parameters from that of the free ones, (F, F) -> (D, D).

        Rows and columns are zero where a parameter is fixed, nan where it depends on one whose
        own are nan.
        """
        if self.basis is None:
            return reduced
        out = self.basis @ np.nan_to_num(reduced) @ self.basis.T
        is_unknown = (self.basis[:, np.isnan(np.diag(reduced))] != 0).any(axis=1)
        out[is_unknown] = out[:, is_unknown] = np.nan
        return out

    def is_fixed(self) -> np.ndarray:
        """Which parameters are known beforehand, (D,)."""
        if self.basis is None:
            return np.zeros(len(self.origin), dtype=bool)
        return ~(self.basis != 0).any(axis=1)

    def depends_on(self, which: np.ndarray) -> np.ndarray:
        """Which parameters depend on some of the free ones, (F,) -> (D,)."""
        return which if self.basis is None else (self.basis[:, which] != 0).any(axis=1)

    def leaves_free(self, first: int) -> bool:
        """Whether the parameters from one on are free and bound to no others."""
        if self.basis is None:
            return True
        own = self.basis[first:]
        is_unit = (own != 0).sum(axis=1) == 1
        used = (own != 0).any(axis=0)
        alone = not (self.basis[:first, used] != 0).any() and not self.is_bounded[used].any()
        return bool(is_unit.all() and used.sum() == len(own) and alone)

    def inward(self, score: np.ndarray) -> np.ndarray:
        """Slope away from the bound of each free parameter, (F,); 0 for those without."""
        return np.where(np.isfinite(self.lower), score, 0.0) - np.where(
            np.isfinite(self.upper), score, 0.0
        )

    def is_inside(self, params: np.ndarray) -> np.ndarray:
        """Whether signs are kept, (..., D) -> (...)."""
        phi = self.reduced(params)
        return np.logical_and.reduce((phi >= self.lower) & (phi <= self.upper), axis=-1)

    def at_bound(self, params: np.ndarray) -> np.ndarray:
        """Which of the free parameters are at the bound that their sign sets, (D,) -> (F,)."""
        return self.is_bounded & (self.reduced(params) == 0)

    def meets(self, params: np.ndarray) -> bool:
        """Whether a vector (D,) meets the constraints, to the digits that a user would give."""
        if self.basis is None:
            return True
        apart = np.abs(self.full(self.reduced(params)) - params)
        return bool((apart <= _MET * np.maximum(1.0, np.abs(params))).all()) and bool(
            self.is_inside(params)
        )

    def nearest(self, params: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors that meet the constraints, near to given ones in least squares.

        Parameters
        ----------
        params : ndarray, shape (..., D)
        weight : ndarray, shape (D,)
            Of the squared differences.

        Returns
        -------
        params : ndarray, shape (..., D)
        distance : ndarray, shape (...)
            Squared.
        """
        if self.basis is None:
            return params, np.zeros(params.shape[:-1])
        weighted = self.basis * weight[:, None]
        target = (params - self.origin) @ weighted
        phi = np.linalg.solve(weighted.T @ self.basis, target[..., None])[..., 0]
        met = self.full(np.clip(phi, self.lower, self.upper))
        return met, (met - params) ** 2 @ weight

    def step(self, here: np.ndarray, score: np.ndarray, information: np.ndarray) -> np.ndarray:
        """Newton steps that keep the constraints.

        Parameters
        ----------
        here : ndarray, shape (A, D)
            Points that meet the constraints.
        score : ndarray, shape (A, D)
        information : ndarray, shape (A, D, D)
            Positive semi-definite.

        Returns
        -------
        ndarray, shape (A, D)
            To the maximum of the quadratic model where the constraints hold.
        """
        phi, gradient = self.reduced(here), self.gradient(score)
        curvature = self.quadratic(information)
        move = solve_scaled(curvature, gradient)
        there = phi + move
        crosses = ((there < self.lower) | (there > self.upper)).any(axis=-1)
        for a in np.flatnonzero(crosses):
            move[a] = _within_box(
                curvature[a], gradient[a], self.lower - phi[a], self.upper - phi[a]
            )
        return self.full(move) - self.origin

    def holding(self, held: np.ndarray) -> Constraints:
        """Fix some of the bounded parameters (F,) at zero."""
        if self.basis is None or not held.any():
            return self
        return Constraints(
            self.basis[:, ~held],
            self.origin,
            self.free[~held],
            self.lower[~held],
            self.upper[~held],
            self.names_classes,
        )


def _picked(names: Sequence[str], which: np.ndarray) -> list[str]:
    """Some of the names."""
    return [name for name, is_one in zip(names, which, strict=True) if is_one]


def _strings(values: Any, what: str) -> tuple[str, ...]:
    """A string, several, or nothing, as a tuple."""
    if values is None:
        return ()
    several = [values] if isinstance(values, str) or not is_iterable(values) else [*values]
    if not all(isinstance(value, str) for value in several):
        raise ArgumentError(f"{what} must be a string or a sequence of strings, not {values!r}.")
    return tuple(several)


def _columns_of(name: str, attributes: Sequence[str], what: str) -> list[int]:
    """Columns of an attribute, or of all levels of a categorical term."""
    found = [i for i, own in enumerate(attributes) if own == name]
    found = found or [i for i, own in enumerate(attributes) if own.startswith(f"{name}[")]
    if not found:
        raise ArgumentError(
            f"{what} names {name!r}, which is no attribute.{did_you_mean(name, attributes)} The "
            f"attributes are {listed(attributes)}."
        )
    return found


def _common_rows(
    is_common: np.ndarray, n_params: int, n_classes: int
) -> Iterable[tuple[np.ndarray, float, str]]:
    """Class 1 less class k is zero: coefficients (D,), constant and name of each equation."""
    for column in np.flatnonzero(is_common):
        for k in range(1, n_classes):
            row = np.zeros(n_params)
            row[column], row[k * len(is_common) + column] = 1.0, -1.0
            yield row, 0.0, "common"


def read_equations(
    given: Any, names: Sequence[str], what: str, wanted: str, alone: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Read linear equations in parameters.

    Parameters
    ----------
    given : str, sequence of str, mapping, array_like, or tuple
        Whatever patsy takes: equations in the names, values by name, coefficients, or a pair of
        coefficients and constants.
    names : sequence of str, length D
        Of the parameters.
    what, wanted : str
        What is read, and what should have been passed, for messages.
    alone : sequence of str
        Attributes that mean nothing without a class, for messages.

    Returns
    -------
    coefficients : ndarray, shape (M, D)
    constants : ndarray, shape (M,)

    Raises
    ------
    ArgumentError
        They cannot be read.
    """
    try:
        with np.errstate(all="ignore"):  # what is divided by zero is no number
            parsed = patsy.DesignInfo(list(names)).linear_constraint(given)
        if not (np.isfinite(parsed.coefs).all() and np.isfinite(parsed.constants).all()):
            raise ValueError("a number in it is not finite")
    except Exception as error:  # patsy's own are of several kinds
        words = re.findall(r"class\d+\.[^\s=+*/-]+", given) if isinstance(given, str) else []
        unknown = [word for word in words if word not in names]
        hint = did_you_mean(unknown[0], names) if unknown else ""
        bare = [] if words or not isinstance(given, str) else _WORD.findall(given)
        several = [word for word in bare if word in alone]
        if several and not unknown:
            unknown = several
            hint = f" Name the class, as in class1.{several[0]}, or pass common={several[0]!r} too."
        reason = f"{show(unknown[0])} is no parameter" if unknown else f"{error}".partition("\n")[0]
        raise ArgumentError(
            f"{what} cannot be read: {reason}.{hint} Write {wanted} in the names of parameters, "
            f"such as '{names[0]} = 0'; they are {listed(names)}."
        ) from error
    return parsed.coefs, parsed.constants[:, 0]


def _linear_rows(
    linear: Sequence[str], names: Sequence[str], attributes: Sequence[str], is_common: np.ndarray
) -> list[tuple[np.ndarray, float, str]]:
    """Equations in names of parameters: coefficients (D,), constant and text of each.

    A common attribute stands for its coefficient in the first class, whose equal all others are.
    """
    common = [name for name in _picked(attributes, is_common) if name not in names]
    place = [*range(len(names)), *(attributes.index(name) for name in common)]
    rows = []
    for text in linear:
        coefficients, constants = read_equations(
            text,
            [*names, *common],
            f"The constraint {text!r}",
            "an equation",
            alone=[name for name in attributes if name not in common],
        )
        for row, constant in zip(coefficients, constants, strict=True):
            folded = np.bincount(place, weights=row, minlength=len(names))
            rows.append((folded, float(constant), repr(text)))
    return rows


def _eliminate(
    rows: Sequence[tuple[np.ndarray, float, str]], n_params: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Solve equations by Gauss and Jordan: basis (D, F), origin (D,), and the free parameters.

    Each equation gives away the last of its parameters with the largest coefficient.
    """
    reduced: list[tuple[int, np.ndarray, float]] = []  # pivot, row, constant
    for row, constant, text in rows:
        size = np.abs(row).max(initial=0.0)
        row, constant = row.copy(), constant
        for pivot, earlier, value in reduced:
            constant -= row[pivot] * value
            row -= row[pivot] * earlier
        largest = np.abs(row).max(initial=0.0)
        if largest <= _ROUND_OFF * size:
            if abs(constant) > _ROUND_OFF * max(size, 1.0):
                raise ArgumentError(f"The constraint {text} contradicts those before it.")
            continue
        pivot = int(np.flatnonzero(np.abs(row) >= (1 - _ROUND_OFF) * largest)[-1])
        constant, row = constant / row[pivot], row / row[pivot]
        row[np.abs(row) <= _ROUND_OFF] = 0.0
        reduced = [
            (p, earlier - earlier[pivot] * row, value - earlier[pivot] * constant)
            for p, earlier, value in reduced
        ]
        reduced.append((pivot, row, constant))
    given = [pivot for pivot, _, _ in reduced]
    free = np.setdiff1d(np.arange(n_params), given)
    basis, origin = np.zeros((n_params, len(free))), np.zeros(n_params)
    basis[free, np.arange(len(free))] = 1.0
    for pivot, row, constant in reduced:
        basis[pivot], origin[pivot] = -row[free], constant
    return basis, origin, free


def _signs_of_params(
    signs: Sequence[tuple[str, str]],
    names: Sequence[str],
    attributes: Sequence[str],
    n_classes: int,
) -> dict[int, int]:
    """Sign of each parameter that has one."""
    out: dict[int, int] = {}
    for name, sign in signs:
        if name in names:
            which = [list(names).index(name)]
        elif _CLASS_NAME.match(name):
            raise ArgumentError(
                f"signs names {name!r}, which is no parameter.{did_you_mean(name, names)} The "
                f"parameters are {listed(names)}."
            )
        else:
            columns = _columns_of(name, attributes, "signs")
            which = [k * len(attributes) + j for k in range(n_classes) for j in columns]
        for j in which:
            if out.setdefault(j, _SIGNS[sign]) != _SIGNS[sign]:
                raise ArgumentError(f"signs gives {names[j]!r} both '+' and '-'. Keep one.")
    return out


def _bounds(
    signs: Mapping[int, int],
    names: Sequence[str],
    basis: np.ndarray,
    origin: np.ndarray,
    free: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds on the free parameters that keep the signs of all, (F,) each."""
    lower, upper = np.full(len(free), -np.inf), np.full(len(free), np.inf)
    for j, sign in signs.items():
        loads = np.flatnonzero(basis[j])
        if not len(loads):
            if sign * origin[j] < 0:
                raise ArgumentError(
                    f"{names[j]!r} has the sign {'+' if sign > 0 else '-'!r}, but the constraints "
                    f"fix it at {origin[j]:g}. Drop one of the two."
                )
            continue
        if len(loads) > 1 or origin[j] != 0:
            raise ArgumentError(
                f"{names[j]!r} has a sign, but a constraint ties it to "
                f"{listed([names[i] for i in free[loads]])} by more than a factor. A sign can only "
                "go with fixed or proportional coefficients."
            )
        column = loads[0]
        if sign * basis[j, column] > 0:
            lower[column] = 0.0
        else:
            upper[column] = 0.0
    closed = np.flatnonzero(lower == upper)
    if len(closed):
        raise ArgumentError(
            f"The signs leave {names[free[closed[0]]]!r} no value but 0. Fix it at 0 instead, by a "
            "constraint."
        )
    return lower, upper


def _within_box(
    information: np.ndarray, gradient: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """Maximise a quadratic model over a box that holds zero, (F,)."""
    unit = diagonal_unit(information)
    value, vector = np.linalg.eigh(information * np.outer(unit, unit))
    size = np.sqrt(np.maximum(value, _RIDGE * value[-1] + np.finfo(float).tiny))
    root, target = size[:, None] * vector.T, vector.T @ (unit * gradient) / size
    found = lsq_linear(root, target, bounds=(lower / unit, upper / unit), method="bvls").x
    return np.clip(unit * found, lower, upper)
