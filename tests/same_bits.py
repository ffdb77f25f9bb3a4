"""A fit in a process of its own, and a hash of all that it finds; see test_same_bits.py."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys

import numpy as np
import pandas as pd

import mixlogit.blocks
import mixlogit.threads
from mixlogit import MixedMultinomialLogit, simulate_choices

TASTES = pd.DataFrame({"a": [2.0, 0.0, 0.5], "b": [0.0, 2.0, -0.5]}, index=["x1", "x2", "x3"])


def share_more_often(n_processors: int = 2) -> None:
    """Cut even a small table into many blocks, and let threads do them, as in a large one."""
    mixlogit.blocks._LEAST_WORK = 1
    mixlogit.blocks._MAX_ROWS = 256
    mixlogit.threads._n_processors = lambda: n_processors


def model(seed: int = 1) -> MixedMultinomialLogit:
    """A panel with ids, alternatives and regions that are text, which Python hashes at random."""
    rng = np.random.default_rng(seed)
    n_people, n_rows = 60, 18  # of 6 situations of 3 alternatives for each of them
    frame = pd.DataFrame(rng.standard_normal((n_people * n_rows, 3)), columns=list(TASTES.index))
    row = np.arange(len(frame))
    frame["person"] = [f"person {i}" for i in row // n_rows]
    frame["situation"] = [f"day {i}" for i in row % n_rows // 3]
    frame["alternative"] = np.array(["bus", "car", "rail"])[row % 3]
    frame["region"] = np.array(["north", "east", "south"])[rng.integers(3, size=n_people)][
        row // n_rows
    ]
    ids = {"situation": "situation", "individual": "person"}
    survey = simulate_choices(frame, TASTES, **ids, rng=rng)
    return MixedMultinomialLogit.from_formula(
        "choice ~ x1 + x2 + x3 + C(alternative)",
        survey,
        n_classes=2,
        membership="C(region)",
        alternative="alternative",
        **ids,
    )


def bits_of(result) -> str:
    """A hash of estimates, every kind of errors, posterior, starts and certificate."""
    groups = np.arange(result.nobs) % 10
    found = [
        result.params,
        result.llf,
        result.posterior,
        result.class_shares,
        result.starts.select_dtypes("number"),
        result.certificate().smallest_eigenvalue,
        *(result.with_cov(kind).cov_params() for kind in ("nonrobust", "opg", "robust")),
        result.with_cov("cluster", groups=groups).cov_params(),
        result.model.score(result.params),
    ]
    whole = hashlib.sha256()
    for one in found:
        whole.update(np.ascontiguousarray(np.asarray(one, dtype=float)).tobytes())
    return whole.hexdigest()


def fitted_bits() -> str:
    """Fit, and hash what is found."""
    return bits_of(model().fit())


def child_bits(method: str) -> str:
    """The same in a child of this process, after a fit here."""
    fitted_bits()
    with multiprocessing.get_context(method).Pool(1, share_more_often) as pool:
        return pool.apply(fitted_bits)


def main() -> None:
    """Print the hash: of a fit here, or of one in a child that is forked or spawned."""
    share_more_often(int(os.environ["OMP_NUM_THREADS"]))
    print(fitted_bits() if len(sys.argv) == 1 else child_bits(sys.argv[1]))


if __name__ == "__main__":
    main()
