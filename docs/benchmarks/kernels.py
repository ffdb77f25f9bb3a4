"""What one pass over the attribute table costs, and what other layouts and compilers make of it.

Every kernel does one E-step with the sums of the M-step: log-probabilities of all choices of each
individual under every column of coefficients (classes times starts), posteriors, log-likelihood,
gradients, and curvatures with their term between situations. All of them are held against a slow
loop before they are timed. Choice sets are of equal size here; the package's own sweep, which is
timed beside them, has no such limit. Numba and gcc are optional: what is not there is left out.

    python docs/benchmarks/kernels.py                  # all sizes, one thread, then two
    python docs/benchmarks/kernels.py S M --blocks     # rows per block
    python docs/benchmarks/kernels.py L --lines        # where the package's sweep spends its time
"""

from __future__ import annotations

import argparse
import ctypes
import linecache
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import FrameType

import numpy as np
from search import Panel, panel
from threadpoolctl import threadpool_limits

import mixlogit.blocks
import mixlogit.layouts
from mixlogit import MixedMultinomialLogit, datasets, likelihood, logit
from mixlogit.choices import ChoiceData
from mixlogit.likelihood import MixtureLikelihood, Parameters
from mixlogit.logit import ChoiceTable

try:
    import numba
except ImportError:
    numba = None
prange = range if numba is None else numba.prange

PANELS = {
    "S": (Panel("S", 500, 8, 3, 5, 2), 1),
    "M": (Panel("M", 2000, 10, 5, 8, 3), 1),
    "L": (Panel("L", 10000, 10, 5, 10, 5), 1),
    "XL-ish": (Panel("XL-ish", 20000, 10, 10, 12, 4), 1),
    "L, 50 columns": (Panel("L", 10000, 10, 5, 10, 5), 10),
}
SIZES = ("S", "electricity", "M", "L", "XL-ish", "L, 50 columns")
LONGEST = 5.0  # seconds of a pass: slower kernels are left out
CURVATURES = ("weighted", "one by one", "pairs")
TOLERANCE = 1e-10  # of the largest figure of a kind
LARGEST_UTILITY = 600.0  # exp of this, summed over a choice set, is far from overflow

Sums = tuple[np.ndarray, np.ndarray, np.ndarray]  # log-likelihoods (G,), (M, L), (M, L, L)
Pass = Callable[[], Sums]


@dataclass(frozen=True, eq=False)
class Problem:
    """Choice data with sets of equal size, each chosen from once, and columns of coefficients.

    Parameters
    ----------
    data : ChoiceData
    beta : ndarray, shape (M, L)
    n_mixtures : int
        Mixtures that share the pass, G.
    """

    data: ChoiceData
    beta: np.ndarray
    n_mixtures: int

    @property
    def exog(self) -> np.ndarray:
        """Attributes, (S, J, L)."""
        return self.data.exog.reshape(self.data.n_situations, -1, self.data.n_attributes)

    @property
    def chosen(self) -> np.ndarray:
        """Which alternative was chosen, (S,)."""
        n_alternatives = self.exog.shape[1]
        return self.data.entries.row - np.arange(self.data.n_situations) * n_alternatives

    @property
    def start(self) -> np.ndarray:
        """Situations of individual i are start[i] : start[i + 1], (N + 1,)."""
        return self.data.entries.start

    @property
    def cells(self) -> int:
        """Rows times columns."""
        return self.data.n_rows * len(self.beta)

    def weights(self, log_f: np.ndarray, llf: np.ndarray) -> np.ndarray:
        """Posteriors (M, n) from log-probabilities of choices (M, n); adds to llf. Equal shares."""
        joint = log_f.reshape(self.n_mixtures, -1, log_f.shape[1])
        peak = joint.max(axis=1, keepdims=True)
        posterior = np.exp(joint - peak)
        total = posterior.sum(axis=1, keepdims=True)
        posterior /= total
        llf += (peak + np.log(total / joint.shape[1]))[:, 0].sum(axis=-1)
        return posterior.reshape(log_f.shape)

    def half(self, first: bool) -> Problem:
        """Half of the individuals."""
        n = self.data.n_distinct
        taken = (np.arange(n) < n // 2) == first
        return Problem(self.data.take(taken.astype(float)), self.beta, self.n_mixtures)


def problem(name: str, n_people: int | None = None) -> Problem:
    """Draw a panel, of fewer people if so wanted, or load the survey."""
    if name == "electricity":
        survey = datasets.load("electricity").data
        ids = {"situation": "situation", "individual": "person", "alternative": "alt"}
        formula = "choice ~ pf + cl + loc + wk + tod + seas"
        model = MixedMultinomialLogit.from_formula(formula, survey, n_classes=3, **ids)
        n_classes, n_mixtures = 3, 1
    else:
        sizes, n_mixtures = PANELS[name]
        people = n_people or sizes.n_people
        sizes = Panel(name, people, *list(vars(sizes).values())[2:6])
        model, n_classes = panel(sizes, 0)[0], sizes.n_classes
    rng = np.random.default_rng(1)
    data = model.choices
    beta = rng.standard_normal((n_mixtures * n_classes, data.n_attributes)) / data.exog_scale / 2
    return Problem(data, beta, n_mixtures)


# -- plain NumPy -----------------------------------------------------------------------------------


def slow_loop(p: Problem) -> Pass:
    """Formulas as they stand, situation by situation."""

    def run() -> Sums:
        n_columns, n_attributes = p.beta.shape
        llf, gradient = np.zeros(p.n_mixtures), np.zeros(p.beta.shape)
        curvature = np.zeros((n_columns, n_attributes, n_attributes))
        log_f = np.zeros((n_columns, len(p.start) - 1))
        scores = np.zeros((n_columns, len(p.start) - 1, n_attributes))
        information = np.zeros((n_columns, len(p.start) - 1, n_attributes, n_attributes))
        for i in range(len(p.start) - 1):
            for s in range(p.start[i], p.start[i + 1]):
                x, j = p.exog[s], p.chosen[s]
                for m in range(n_columns):
                    v = x @ p.beta[m]
                    log_prob = v - np.logaddexp.reduce(v)
                    deviation = x - np.exp(log_prob) @ x
                    log_f[m, i] += log_prob[j]
                    scores[m, i] += deviation[j]
                    information[m, i] += (deviation.T * np.exp(log_prob)) @ deviation
        weight = p.weights(log_f, llf)
        for m in range(n_columns):
            gradient[m] = weight[m] @ scores[m]
            curvature[m] = np.tensordot(weight[m], information[m], 1)
        return llf, gradient, curvature

    return run


def by_class(p: Problem) -> Pass:
    """Whole arrays, one class at a time."""
    x = p.data.exog
    starts = p.data.arrangement.situation_start[:-1]
    owner = np.repeat(np.arange(len(p.start) - 1), np.diff(p.start))
    n_alternatives, row = p.exog.shape[1], p.data.entries.row

    def log_prob(beta: np.ndarray) -> np.ndarray:
        v = x @ beta
        v -= np.repeat(np.maximum.reduceat(v, starts), n_alternatives)
        return v - np.repeat(np.log(np.add.reduceat(np.exp(v), starts)), n_alternatives)

    def run() -> Sums:
        llf = np.zeros(p.n_mixtures)
        log_f = np.array([np.add.reduceat(log_prob(b)[row], p.start[:-1]) for b in p.beta])
        weight = p.weights(log_f, llf)
        gradient, curvature = [], []
        for beta, w in zip(p.beta, weight, strict=True):
            prob, mass = np.exp(log_prob(beta)), w[owner]
            expected = prob * np.repeat(mass, n_alternatives)
            mean = np.add.reduceat(x * prob[:, None], starts, axis=0)
            residual = -expected
            residual[row] += mass
            gradient.append(residual @ x)
            between = (mean * mass[:, None]).T @ mean
            curvature.append((x * expected[:, None]).T @ x - between)
        return llf, np.array(gradient), np.array(curvature)

    return run


def all_classes(p: Problem) -> Pass:
    """Whole arrays, all classes at once; means are products of small matrices."""
    exog = np.ascontiguousarray(p.exog)
    x = exog.reshape(-1, exog.shape[2])
    n_situations, n_alternatives, n_attributes = exog.shape
    owner = np.repeat(np.arange(len(p.start) - 1), np.diff(p.start))
    upper, unpack = packing(n_attributes)
    pairs = np.empty((len(x), len(upper[0])))

    def run() -> Sums:
        llf = np.zeros(p.n_mixtures)
        v = (x @ p.beta.T).reshape(n_situations, n_alternatives, -1)  # (S, J, M)
        v -= v.max(axis=1, keepdims=True)
        v -= np.log(np.exp(v).sum(axis=1, keepdims=True))
        chosen = v[np.arange(n_situations), p.chosen]
        weight = p.weights(np.add.reduceat(chosen, p.start[:-1]).T, llf)
        prob, mass = np.exp(v), weight.T[owner]  # (S, M)
        expected = prob * mass[:, None]
        mean = prob.swapaxes(1, 2) @ exog  # (S, M, L)
        residual = -expected
        residual[np.arange(n_situations), p.chosen] += mass
        gradient = residual.reshape(len(x), -1).T @ x
        np.multiply(x[:, upper[0]], x[:, upper[1]], out=pairs)
        within = expected.reshape(len(x), -1).T @ pairs
        between = (mean * mass[..., None]).transpose(1, 2, 0) @ mean.swapaxes(0, 1)
        return llf, gradient, within[:, unpack] - between

    return run


def package(p: Problem) -> Pass:
    """The E-step of the package."""
    n_classes = len(p.beta) // p.n_mixtures
    mixture = MixtureLikelihood(ChoiceTable(p.data), n_classes)
    stack = p.beta.reshape(p.n_mixtures, n_classes, -1)
    at = Parameters(stack, np.zeros((p.n_mixtures, n_classes - 1, 1)))
    shape = (*p.beta.shape, p.beta.shape[1])

    def run() -> Sums:
        out = mixture.expect(at)
        return out.llf, out.beta_gradient.reshape(p.beta.shape), out.beta_information.reshape(shape)

    return run


# -- NumPy by blocks -------------------------------------------------------------------------------


def packing(n: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Upper triangle, and where each entry of the matrix stands in it."""
    upper = np.triu_indices(n)
    unpack = np.empty((n, n), dtype=np.intp)
    unpack[upper] = unpack.T[upper] = np.arange(len(upper[0]))
    return upper, unpack


@dataclass(frozen=True)
class Form:
    """How a pass by blocks is done.

    Parameters
    ----------
    curvature : str
        "pairs": products x_a x_b of a block, one matrix product for all columns. "weighted": rows
        times their expected choices, (M, L, rows), which also give means and gradient; "one by
        one": the same, a column at a time. "centred": rows less the mean of their column, times
        the root of the expected choices, a column at a time.
    rows : int
        Of a block.
    origin : str
        "first": attributes less those of the first alternative, which then needs no rows;
        "mean": less the mean of their situation.
    is_kept : bool
        Whether blocks stay in memory as they are laid out.
    means : str
        In "pairs": "einsum", "matmul" (a small product for each situation) or "loop".
    peak : bool
        Whether the largest utility of each situation is taken off.
    precision : type
        Of the exponentials.
    """

    curvature: str = "weighted"
    rows: int = 16000
    origin: str = "first"
    is_kept: bool = True
    means: str = "einsum"
    peak: bool = False
    precision: type = np.float64


class Scratch:
    """Arrays by name that are used again."""

    def __init__(self) -> None:
        self._held: dict[str, np.ndarray] = {}

    def __call__(self, name: str, *shape: int) -> np.ndarray:
        n = int(np.prod(shape))
        if name not in self._held or self._held[name].size < n:
            self._held[name] = np.empty(n)
        return self._held[name][:n].reshape(shape)


@dataclass(frozen=True, eq=False)
class Piece:
    """Individuals of a block and their situations."""

    individuals: slice
    situations: slice
    offset: np.ndarray  # (n,) first situation of each individual, from the first of the block
    owner: np.ndarray  # (situations,) place of the individual
    chosen: np.ndarray  # (n, L) sum of the attributes of the choices of each individual


class Blocks:
    """A table of equal choice sets, slot by slot: (L, J, situations)."""

    def __init__(self, p: Problem, form: Form) -> None:
        self.p, self.form, self.scratch = p, form, Scratch()
        self.exog = p.exog
        self.first = int(form.origin == "first")
        self.kept: dict[int, np.ndarray] = {}
        self.pieces = list(self._cut())
        largest = max(float(np.abs(self.laid_out(b)).max()) for b in self.pieces)
        if not form.peak and np.abs(p.beta).sum(axis=1).max() * largest > LARGEST_UTILITY:
            raise SystemExit("utilities are too large for a pass without peaks")

    def _cut(self) -> Iterator[Piece]:
        start, step = self.p.start, self.form.rows // self.exog.shape[1]
        i = 0
        while i < len(start) - 1:
            j = max(int(np.searchsorted(start, start[i] + step, side="right")) - 1, i + 1)
            situations = slice(int(start[i]), int(start[j]))
            offset = start[i:j] - start[i]
            owner = np.repeat(np.arange(j - i), np.diff(start[i : j + 1]))
            n_attributes = self.exog.shape[2]
            piece = Piece(slice(i, j), situations, offset, owner, np.zeros((j - i, n_attributes)))
            laid = self.laid_out(piece)
            full = np.zeros((n_attributes, self.exog.shape[1], laid.shape[2]))
            full[:, self.first :] = laid
            picked = full[:, self.p.chosen[situations], np.arange(laid.shape[2])]
            piece.chosen[:] = np.add.reduceat(picked, offset, axis=1).T
            yield piece
            i = j

    def laid_out(self, piece: Piece) -> np.ndarray:
        """Attributes of a block, (L, slots, situations)."""
        key = piece.situations.start
        if key in self.kept:
            return self.kept[key]
        x = self.exog[piece.situations].transpose(2, 1, 0)
        shape = (x.shape[0], x.shape[1] - self.first, x.shape[2])
        out = np.empty(shape) if self.form.is_kept else self.scratch("x", *shape)
        if self.first:
            np.subtract(x[:, 1:], x[:, :1], out=out)
        else:
            np.copyto(out, x)
            out -= out.mean(axis=1, keepdims=True)
        if self.form.is_kept:
            self.kept[key] = out
        return out

    def run(self) -> Sums:
        p, form, scratch = self.p, self.form, self.scratch
        n_columns, n_attributes = p.beta.shape
        upper, unpack = packing(n_attributes)
        llf, gradient = np.zeros(p.n_mixtures), np.zeros(p.beta.shape)
        curvature = np.zeros((n_columns, n_attributes, n_attributes))
        within = np.zeros((n_columns, len(upper[0])))
        for piece in self.pieces:
            exog = self.laid_out(piece)
            x = exog.reshape(n_attributes, -1)
            _, n_slots, n = exog.shape
            v = scratch("v", n_columns, n_slots * n)
            slots = v.reshape(n_columns, n_slots, n)
            np.matmul(p.beta, x, out=v)
            offset = 0.0
            if form.peak:
                offset = slots.max(axis=1)
                if self.first:
                    np.maximum(offset, 0, out=offset)
                slots -= offset[:, None]
            if form.precision is np.float64:
                np.exp(v, out=v)
            else:
                v[:] = np.exp(v.astype(form.precision))
            total = slots.sum(axis=1)
            if self.first:
                total += np.exp(-offset)
            log_total = np.log(total)
            log_total += offset
            log_f = p.beta @ piece.chosen.T
            log_f -= np.add.reduceat(log_total, piece.offset, axis=1)
            weight = p.weights(log_f, llf)
            gradient += weight @ piece.chosen
            mass = weight.take(piece.owner, axis=1)
            if form.curvature == "centred":
                slots /= total[:, None]
                self.add_centred(slots, exog, mass, gradient, curvature)
                continue
            np.divide(mass, total, out=total)
            slots *= total[:, None]  # expected choices
            moment = scratch("moment", n_columns, n_attributes, n)  # mass times mean
            if form.curvature == "pairs":
                self.add_pairs(v, exog, moment, within)
                gradient -= v @ x.T
            else:
                self.add_weighted(slots, exog, moment, curvature)
                gradient -= moment.sum(axis=-1)
            np.maximum(mass, np.finfo(float).tiny, out=mass)
            mean = np.divide(moment, mass[:, None], out=scratch("mean", *moment.shape))
            curvature -= moment @ mean.swapaxes(1, 2)
        if form.curvature == "pairs":
            curvature += within[:, unpack]
        return llf, gradient, curvature

    def add_pairs(
        self, expected: np.ndarray, exog: np.ndarray, moment: np.ndarray, within: np.ndarray
    ) -> None:
        """Products of attributes, one matrix product for all columns; means apart."""
        n_attributes, n_slots, n = exog.shape
        x = exog.reshape(n_attributes, -1)
        pairs = self.scratch("pairs", within.shape[1], x.shape[1])
        first = 0
        for a in range(n_attributes):
            np.multiply(x[a], x[a:], out=pairs[first : first + n_attributes - a])
            first += n_attributes - a
        within += expected @ pairs.T
        slots = expected.reshape(-1, n_slots, n)
        if self.form.means == "einsum":
            np.einsum("mjs,ljs->mls", slots, exog, out=moment)
        elif self.form.means == "matmul":
            left = np.ascontiguousarray(slots.transpose(2, 0, 1))
            right = np.ascontiguousarray(exog.transpose(2, 1, 0))
            moment[:] = (left @ right).transpose(1, 2, 0)
        else:
            for m, one in enumerate(slots):
                np.add.reduce(one * exog, axis=1, out=moment[m])

    def add_weighted(
        self, slots: np.ndarray, exog: np.ndarray, moment: np.ndarray, curvature: np.ndarray
    ) -> None:
        """Weighted rows, which serve curvature and means."""
        n_columns, x = len(slots), exog.reshape(len(exog), -1)
        if self.form.curvature == "weighted":
            weighted = self.scratch("weighted", n_columns, *exog.shape)
            np.multiply(slots[:, None], exog, out=weighted)
            product = weighted.reshape(n_columns * len(exog), -1) @ x.T
            curvature += product.reshape(curvature.shape)
            np.add.reduce(weighted, axis=2, out=moment)
            return
        weighted = self.scratch("weighted", *exog.shape)
        for m in range(n_columns):
            np.multiply(slots[m], exog, out=weighted)
            curvature[m] += weighted.reshape(len(exog), -1) @ x.T
            np.add.reduce(weighted, axis=1, out=moment[m])

    def add_centred(
        self,
        prob: np.ndarray,
        exog: np.ndarray,
        mass: np.ndarray,
        gradient: np.ndarray,
        curvature: np.ndarray,
    ) -> None:
        """Rows less the mean of their column, times the root of the expected choices."""
        deviation = self.scratch("deviation", *exog.shape)
        for m in range(len(prob)):
            mean = np.einsum("js,ljs->ls", prob[m], exog)
            gradient[m] -= mean @ mass[m]
            np.subtract(exog, mean[:, None], out=deviation)
            deviation *= np.sqrt(prob[m] * mass[m])
            flat = deviation.reshape(len(exog), -1)
            curvature[m] += flat @ flat.T
            if self.first:  # the rows that are left out are at the origin
                origin = np.maximum(1 - prob[m].sum(axis=0), 0) * mass[m]
                curvature[m] += (mean * origin) @ mean.T


def blocks(**options) -> Callable[[Problem], Pass]:
    """Give the kernel of a form."""
    return lambda p: Blocks(p, Form(**options)).run


# -- the floor -------------------------------------------------------------------------------------


def floor(p: Problem) -> Pass:
    """Time what no kernel of exponentials and BLAS products can leave out; sums mean nothing.

    For each block in cache: utilities (M, L)(L, rows), one exponential per row and column,
    expected attributes (M, rows)(rows, L), means as a product of the same size, curvature within
    (M, rows)(rows, L (L + 1) / 2) with the products of attributes at hand, and between situations
    (L, n)(n, L) for each column.
    """
    table = Blocks(p, Form(rows=4000, origin="mean"))
    n_columns, n_attributes = p.beta.shape
    upper, _ = packing(n_attributes)

    def run() -> Sums:
        gradient = np.zeros(p.beta.shape)
        within = np.zeros((n_columns, len(upper[0])))
        between = np.zeros((n_columns, n_attributes, n_attributes))
        largest = max(table.pieces, key=lambda piece: len(piece.owner))
        x = table.laid_out(largest)
        pairs = np.ones((len(upper[0]), x[0].size))
        moment = np.ones((n_columns, n_attributes, x.shape[2]))
        v = np.empty((n_columns, x[0].size))
        for piece in table.pieces:
            x = table.laid_out(piece)
            n = x.shape[2]
            x = x.reshape(n_attributes, -1)
            at = v[:, : x.shape[1]]
            np.exp(np.matmul(p.beta, x, out=at), out=at)
            gradient += at @ x.T
            gradient += at @ x.T
            within += at @ pairs[:, : x.shape[1]].T
            part = moment[:, :, :n]
            between += part @ part.swapaxes(1, 2)
        return np.zeros(p.n_mixtures), gradient, between

    return run


# -- C ---------------------------------------------------------------------------------------------

SOURCE = r"""
/* Lanes are situations: x (groups, J, L, W), without the first alternative, whose attributes are
   zero; e (groups, M, J, W); total, mass (groups, M, W); sums (M, L + L (L + 1) / 2, W). */
#include <stdint.h>
typedef double vd __attribute__((vector_size(W * 8)));
typedef int64_t vi __attribute__((vector_size(W * 8)));
#define INLINE static inline __attribute__((always_inline))

INLINE vd exponential(vd x) { /* |x| < 700 */
    const double shift = 6755399441055744.0; /* 1.5 * 2^52 */
    vd t = x * 1.4426950408889634 + shift, k = t - shift;
    vd r = x - k * 0.6931471803691238;
    r = r - k * 1.9082149292705877e-10;
    vd p = r * (1 / 6227020800.0) + 1 / 479001600.0;
    p = p * r + 1 / 39916800.0; p = p * r + 1 / 3628800.0; p = p * r + 1 / 362880.0;
    p = p * r + 1 / 40320.0; p = p * r + 1 / 5040.0; p = p * r + 1 / 720.0; p = p * r + 1 / 120.0;
    p = p * r + 1 / 24.0; p = p * r + 1 / 6.0; p = p * r + 0.5; p = p * r + 1; p = p * r + 1;
    return (vd)((vi)p + ((vi)t << 52));
}

#define EACH _Pragma("GCC unroll 16") for (int j = 0; j < J; j++)

INLINE void expect_of(const int J, long n, long M, long L, const vd *x, const double *beta, vd *e,
                      vd *total) {
    for (long g = 0; g < n; g++, x += J * L)
        for (long m = 0; m < M; m++, e += J, total++) {
            vd v[16], t = {0};
            t = t + 1;
            EACH v[j] = (vd){0};
            for (long l = 0; l < L; l++) {
                double b = beta[m * L + l];
                EACH v[j] += b * x[j * L + l];
            }
            EACH { e[j] = exponential(v[j]); t += e[j]; }
            *total = t;
        }
}

INLINE void sums_of(const int J, long n, long M, long L, const vd *x, const vd *e, const vd *total,
                    const vd *mass, vd *sums) {
    vd mean[128];
    for (long g = 0; g < n; g++, x += J * L) {
        vd *out = sums;
        for (long m = 0; m < M; m++, e += J, total++, mass++) {
            vd w[16], u[16], r = 1 / *total;
            EACH w[j] = e[j] * r;
            for (long a = 0; a < L; a++) {
                vd s = {0};
                EACH s += w[j] * x[j * L + a];
                mean[a] = s;
                out[a] += *mass * s;
            }
            vd *c = out + L;
            for (long a = 0; a < L; a++) {
                vd s = *mass * mean[a];
                EACH u[j] = *mass * w[j] * x[j * L + a];
                for (long b = 0; b <= a; b++) {
                    vd add = c[b] - s * mean[b];
                    EACH add += u[j] * x[j * L + b];
                    c[b] = add;
                }
                c += a + 1;
            }
            out = c;
        }
    }
}

#define CASES C(1) C(2) C(3) C(4) C(5) C(6) C(7) C(8) C(9) C(10)
void expect(long J, long n, long M, long L, const void *x, const void *beta, void *e, void *total) {
#define C(J) case J: expect_of(J, n, M, L, x, beta, e, total); break;
    switch (J) { CASES }
#undef C
}
void sums(long J, long n, long M, long L, const void *x, const void *e, const void *total,
          const void *mass, void *out) {
#define C(J) case J: sums_of(J, n, M, L, x, e, total, mass, out); break;
    switch (J) { CASES }
#undef C
}
"""

BUILDS = {  # lanes, and what to compile for
    "C, this processor": (8, ["-march=native", "-mprefer-vector-width=512"]),
    "C, AVX2": (4, ["-mavx2", "-mfma"]),
    "C, plain x86-64": (2, []),
}


def aligned(*shape: int) -> np.ndarray:
    """Give zeros that begin where a vector register may be loaded."""
    n = int(np.prod(shape))
    raw = np.zeros(n + 8)
    skip = (-raw.ctypes.data % 64) // 8
    return raw[skip : skip + n].reshape(shape)


def address(a: np.ndarray) -> ctypes.c_void_p:
    """Where an array begins, for C."""
    return ctypes.c_void_p(a.ctypes.data)


def compiled(name: str, folder: Path) -> tuple[Callable[[Problem], Pass] | None, float]:
    """Build with gcc; give the kernel, None without gcc or these instructions, and seconds."""
    n_lanes, flags = BUILDS[name]
    out = folder / f"kernel{n_lanes}.so"
    source = folder / "kernel.c"
    source.write_text(SOURCE)
    command = ["gcc", "-O3", "-ffp-contract=fast", "-shared", "-fPIC", f"-DW={n_lanes}", *flags]
    began = time.perf_counter()
    try:
        subprocess.run([*command, "-o", str(out), str(source)], check=True)
    except (OSError, subprocess.CalledProcessError):
        return None, 0.0
    seconds = time.perf_counter() - began
    library = ctypes.CDLL(str(out))
    library.expect.argtypes = [ctypes.c_long] * 4 + [ctypes.c_void_p] * 4
    library.sums.argtypes = [ctypes.c_long] * 4 + [ctypes.c_void_p] * 5
    library.expect.restype = library.sums.restype = None
    return lambda p: Lanes(p, library, n_lanes).run, seconds


class Lanes:
    """Both loops over rows in C; posteriors and what is summed by individual in NumPy."""

    rows = 4000

    def __init__(self, p: Problem, library: ctypes.CDLL, n_lanes: int) -> None:
        self.p, self.library, self.n_lanes = p, library, n_lanes
        self.table = Blocks(p, Form(rows=self.rows))
        self.packed = [self.pack(self.table.laid_out(piece)) for piece in self.table.pieces]
        self.table.kept.clear()
        n_groups, n_slots = max(len(x) for x in self.packed), self.packed[0].shape[1]
        n_columns, n_attributes = p.beta.shape
        self.n_sums = n_attributes + n_attributes * (n_attributes + 1) // 2
        self.e = aligned(n_groups, n_columns, n_slots, n_lanes)
        self.total = aligned(n_groups, n_columns, n_lanes)
        self.mass = aligned(n_groups, n_columns, n_lanes)
        self.sums = aligned(n_columns, self.n_sums, n_lanes)

    def pack(self, exog: np.ndarray) -> np.ndarray:
        """From (L, slots, situations) to (groups, slots, L, lanes), zeros at the end."""
        n_attributes, n_slots, n = exog.shape
        n_groups = -(-n // self.n_lanes)
        full = np.zeros((n_attributes, n_slots, n_groups * self.n_lanes))
        full[..., :n] = exog
        out = aligned(n_groups, n_slots, n_attributes, self.n_lanes)
        out[:] = full.reshape(n_attributes, n_slots, n_groups, -1).transpose(2, 1, 0, 3)
        return out

    def run(self) -> Sums:
        p, n_columns = self.p, len(self.p.beta)
        n_attributes = p.beta.shape[1]
        beta = np.ascontiguousarray(p.beta)
        llf, gradient = np.zeros(p.n_mixtures), np.zeros(p.beta.shape)
        self.sums[:] = 0
        e, total, mass = address(self.e), address(self.total), address(self.mass)
        for x, piece in zip(self.packed, self.table.pieces, strict=True):
            n = len(piece.owner)
            sizes = (x.shape[1], len(x), n_columns, n_attributes)
            self.library.expect(*sizes, address(x), address(beta), e, total)
            by_situation = self.total[: len(x)].transpose(1, 0, 2).reshape(n_columns, -1)[:, :n]
            log_f = p.beta @ piece.chosen.T
            log_f -= np.add.reduceat(np.log(by_situation), piece.offset, axis=1)
            weight = p.weights(log_f, llf)
            gradient += weight @ piece.chosen
            padded = np.zeros((n_columns, len(x) * self.n_lanes))
            padded[:, :n] = weight[:, piece.owner]
            self.mass[: len(x)] = padded.reshape(n_columns, len(x), -1).transpose(1, 0, 2)
            self.library.sums(*sizes, address(x), e, total, mass, address(self.sums))
        added = self.sums.sum(axis=-1)
        lower = np.tril_indices(n_attributes)
        curvature = np.zeros((n_attributes, n_attributes, n_columns))
        curvature[lower] = curvature.swapaxes(0, 1)[lower] = added[:, n_attributes:].T
        return llf, gradient - added[:, :n_attributes], curvature.transpose(2, 0, 1)


# -- Numba -----------------------------------------------------------------------------------------


def one_individual(x, chosen, first, last, beta, n_mixtures, out, prob, mean, row):
    """Everything of one individual, row by row of the table; ``out`` is (M, 1 + L + L * L)."""
    n_alternatives, n_attributes = x.shape[1], x.shape[2]
    n_columns = beta.shape[0]
    n_classes = n_columns // n_mixtures
    for m in range(n_columns):
        row[m] = 0.0
        for s in range(first, last):
            largest = -np.inf
            for j in range(n_alternatives):
                v = 0.0
                for a in range(n_attributes):
                    v += x[s, j, a] * beta[m, a]
                prob[m, s - first, j] = v
                largest = max(largest, v)
            row[m] += prob[m, s - first, chosen[s]] - largest
            total = 0.0
            for j in range(n_alternatives):
                prob[m, s - first, j] = np.exp(prob[m, s - first, j] - largest)
                total += prob[m, s - first, j]
            row[m] -= np.log(total)
            for j in range(n_alternatives):
                prob[m, s - first, j] /= total
    for g in range(n_mixtures):
        classes = range(g * n_classes, (g + 1) * n_classes)
        peak = -np.inf
        for m in classes:
            peak = max(peak, row[m])
        total = 0.0
        for m in classes:
            row[m] = np.exp(row[m] - peak)
            total += row[m]
        out[g * n_classes, 0] += peak + np.log(total / n_classes)
        for m in classes:
            row[m] /= total
    for m in range(n_columns):
        for s in range(first, last):
            for a in range(n_attributes):
                mean[a] = 0.0
            for j in range(n_alternatives):
                for a in range(n_attributes):
                    mean[a] += prob[m, s - first, j] * x[s, j, a]
            for a in range(n_attributes):
                out[m, 1 + a] += row[m] * (x[s, chosen[s], a] - mean[a])
            for j in range(n_alternatives):
                w = row[m] * prob[m, s - first, j]
                for a in range(n_attributes):
                    u = w * (x[s, j, a] - mean[a])
                    at = 1 + n_attributes * (1 + a)
                    for b in range(n_attributes):
                        out[m, at + b] += u * (x[s, j, b] - mean[b])


def everybody(x, chosen, start, beta, n_mixtures, longest, n_parts, one):
    """All individuals, in parts of which each has sums of its own."""
    n_columns, n_attributes = beta.shape
    n_sums = 1 + n_attributes * (1 + n_attributes)
    out = np.zeros((n_parts, n_columns, n_sums))
    n = len(start) - 1
    for part in prange(n_parts):
        prob = np.empty((n_columns, longest, x.shape[1]))
        mean, row = np.empty(n_attributes), np.empty(n_columns)
        for i in range(part * n // n_parts, (part + 1) * n // n_parts):
            one(x, chosen, start[i], start[i + 1], beta, n_mixtures, out[part], prob, mean, row)
    return out


def jitted(n_threads: int) -> tuple[Callable[[Problem], Pass], float]:
    """Compile the loop for this number of threads, and give the kernel and seconds."""
    one = numba.njit(fastmath=True, nogil=True)(one_individual)
    all_of_them = numba.njit(parallel=n_threads > 1, nogil=True)(everybody)

    def kernel(p: Problem) -> Pass:
        x, chosen = np.ascontiguousarray(p.exog), p.chosen
        longest = int(np.diff(p.start).max())
        n_columns, n = p.beta.shape

        def run() -> Sums:
            parts = (longest, n_threads, one)
            out = all_of_them(x, chosen, p.start, p.beta, p.n_mixtures, *parts).sum(axis=0)
            llf = out[:: n_columns // p.n_mixtures, 0]
            return llf, out[:, 1 : 1 + n], out[:, 1 + n :].reshape(n_columns, n, n)

        return run

    began = time.perf_counter()
    kernel(problem("S", 20))()
    return kernel, time.perf_counter() - began


# -- measuring -------------------------------------------------------------------------------------


def on_two_threads(kernel: Callable[[Problem], Pass], p: Problem, pool: ThreadPoolExecutor) -> Pass:
    """Half of the individuals on each of two Python threads."""
    halves = [kernel(p.half(True)), kernel(p.half(False))]

    def run() -> Sums:
        one, other = pool.map(lambda half: half(), halves)
        return tuple(a + b for a, b in zip(one, other, strict=True))

    return run


def difference(found: Sums, expected: Sums) -> float:
    """Largest difference, of the largest figure of its kind."""
    pairs = zip(found, expected, strict=True)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def alternate(
    passes: dict[str, Pass], seconds: float, clock: Callable[[], float]
) -> dict[str, np.ndarray]:
    """Run all of them in turn, again and again: seconds of each pass, in rounds."""
    taken: dict[str, list[float]] = {}
    repeat = {}
    for name, run in passes.items():  # short ones are run several times in each round
        began = clock()
        run()
        once = clock() - began
        repeat[name], taken[name] = max(int(0.02 / max(once, 1e-4)), 1), []
    ends = time.perf_counter() + seconds
    while len(taken["package"]) < 3 or time.perf_counter() < ends:
        for name in taken:
            began = clock()
            for _ in range(repeat[name]):
                passes[name]()
            taken[name].append((clock() - began) / repeat[name])
    return {name: np.array(each) for name, each in taken.items()}


def kernels(folder: Path) -> tuple[dict[str, Callable[[Problem], Pass]], set[str]]:
    """Give all kernels by name, and those whose figures are not of full precision."""
    out: dict[str, Callable[[Problem], Pass]] = {
        "floor": floor,
        "package": package,
        "whole arrays, class by class": by_class,
        "whole arrays, all classes": all_classes,
        "blocks: pairs, means in a loop, 2,000 rows": blocks(
            curvature="pairs", rows=2000, means="loop", origin="mean", peak=True
        ),
        "blocks: pairs, 2,000 rows": blocks(curvature="pairs", rows=2000),
        "blocks: pairs, 16,000 rows": blocks(curvature="pairs"),
        "blocks: pairs, means by small products, 2,000 rows": blocks(
            curvature="pairs", rows=2000, means="matmul"
        ),
        "blocks: weighted, 4,000 rows": blocks(rows=4000),
        "blocks: weighted, 16,000 rows": blocks(),
        "same, with peaks": blocks(peak=True),
        "same, origin at the mean": blocks(origin="mean"),
        "same, laid out anew": blocks(is_kept=False),
        "same, exponentials in single precision": blocks(precision=np.float32),
        "same, one by one": blocks(curvature="one by one"),
        "blocks: centred, 4,000 rows": blocks(curvature="centred", rows=4000),
    }
    for name in BUILDS:
        kernel, seconds = compiled(name, folder)
        if kernel is not None:
            print(f"{name}: compiled in {seconds:.1f} s")
            out[name] = kernel
    if numba is not None:
        out["Numba"], seconds = jitted(1)
        print(f"Numba: compiled in {seconds:.1f} s")
        out["Numba, prange"], seconds = jitted(2)
        print(f"Numba, prange: compiled in {seconds:.1f} s, runs on two threads")
    return out, {"floor", "same, exponentials in single precision"}


def agree(name: str, passes: dict[str, Pass], expected: Sums, rough: set[str]) -> dict[str, Pass]:
    """Stop at a kernel whose sums are not those expected; leave out the slow ones."""
    fast = {}
    for kernel, run in passes.items():
        began = time.process_time()
        found = run()
        seconds = time.process_time() - began
        apart = 0.0 if kernel == "floor" else difference(found, expected)
        if kernel in rough and apart:
            print(f"{name}: {kernel} is off by {apart:.0e}")
        elif not apart <= TOLERANCE:
            raise SystemExit(f"{name}: {kernel} is off by {apart:.1e}")
        if seconds < LONGEST or kernel == "package":
            fast[kernel] = run
        else:
            print(f"{name}: {kernel} is left out, {seconds:.1f} s a pass")
    return fast


def compare(
    name: str,
    known: dict[str, Callable[[Problem], Pass]],
    rough: set[str],
    seconds: float,
    n_threads: int,
) -> None:
    """Print the table of one size; at full size, kernels are held against the package."""
    p = problem(name)
    expected = package(p)()
    with ThreadPoolExecutor(2) as pool:
        if n_threads == 1:
            passes = {n: kernel(p) for n, kernel in known.items() if n != "Numba, prange"}
            passes = agree(name, passes, expected, rough)
            taken = alternate(passes, seconds, time.process_time)
        else:
            passes = {}
            for n, kernel in known.items():
                passes[n] = kernel(p) if "prange" in n else on_two_threads(kernel, p, pool)
            passes["package, one thread"] = package(p)
            passes = agree(name, passes, expected, rough)
            taken = alternate(passes, seconds, time.perf_counter)
    rows, columns = p.data.n_rows, len(p.beta)
    rounds, threads = len(taken["floor"]), "one thread" if n_threads == 1 else "two threads"
    print(f"\n{name}: {rows:,} rows, {columns} columns; {threads}, {rounds} rounds\n")
    print("| kernel | ns per row and column | over the floor | over the package |")
    print("|---|---|---|---|")
    for n, each in taken.items():
        over = [median(each / taken[base]) for base in ("floor", "package")]
        print(f"| {n} | {median(each) / p.cells * 1e9:.1f} | {over[0]:.2f} | {over[1]:.2f} |")
    sys.stdout.flush()


def block_sizes(name: str, seconds: float) -> None:
    """Print what rows per block cost."""
    p = problem(name)
    sizes = (500, 1000, 2000, 4000, 8000, 16000, 32000)
    forms = {
        (form, rows): blocks(curvature=form, rows=rows)(p) for form in CURVATURES for rows in sizes
    }
    forms["package"] = package(p)
    taken = alternate(forms, seconds, time.process_time)
    now = median(taken["package"]) / p.cells * 1e9
    print(f"\n{name}: ns per row and column by rows of a block; package {now:.1f}\n")
    print("| form | " + " | ".join(f"{n:,}" for n in sizes) + " |")
    print("|---" * (len(sizes) + 1) + "|")
    for form in CURVATURES:
        figures = [median(taken[form, rows]) / p.cells * 1e9 for rows in sizes]
        print(f"| {form} | " + " | ".join(f"{ns:.1f}" for ns in figures) + " |")


def lines(name: str) -> None:
    """Print the lines of the package that take the most time in an E-step, inner calls apart."""
    p = problem(name)
    run, taken = package(p), Counter()
    run()
    modules = (mixlogit.blocks, mixlogit.layouts, logit, likelihood)
    files = {module.__file__ for module in modules}
    now, at = time.perf_counter(), ("", 0)

    def trace(frame: FrameType | None, event: str, _: object) -> object:
        nonlocal now, at
        if event == "return" and frame is not None:
            frame = frame.f_back
        if frame is None or frame.f_code.co_filename not in files:
            return None
        taken[at] += time.perf_counter() - now
        at = frame.f_code.co_filename, frame.f_lineno
        now = time.perf_counter()
        return trace

    n_passes = max(int(2e6 / p.cells), 2)
    sys.settrace(trace)
    for _ in range(n_passes):
        run()
    sys.settrace(None)
    total = sum(taken.values())
    print(f"\n{name}: {total / n_passes / p.cells * 1e9:.1f} ns per row and column\n")
    for (file, line), seconds in taken.most_common(18):
        where = f"{Path(file).name}:{line}"
        text = linecache.getline(file, line).strip()
        share = f"{seconds / n_passes / p.cells * 1e9:6.2f} {seconds / total:4.0%}"
        print(f"{share}  {where:20} {text}")


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", help=", ".join(SIZES))
    parser.add_argument("--seconds", type=float, default=20.0, help="for a table")
    parser.add_argument("--threads", type=int, choices=(1, 2), help="one or two; both if not given")
    parser.add_argument("--blocks", action="store_true", help="rows per block instead")
    parser.add_argument("--lines", action="store_true", help="lines of the package's sweep instead")
    args = parser.parse_args()
    with threadpool_limits(1, user_api="blas"), tempfile.TemporaryDirectory() as folder:
        if args.blocks or args.lines:
            for name in args.sizes or SIZES:
                lines(name) if args.lines else block_sizes(name, args.seconds)
            return
        known, rough = kernels(Path(folder))
        for name in args.sizes or SIZES:
            few = problem(name, 60)
            agree(name, {n: kernel(few) for n, kernel in known.items()}, slow_loop(few)(), rough)
            for n_threads in (args.threads,) if args.threads else (1, 2):
                compare(name, known, rough, args.seconds, n_threads)


if __name__ == "__main__":
    main()
