"""Time and memory of a fit against people, alternatives, attributes, classes and starts.

    python docs/benchmarks/scaling.py --out points --figure docs/benchmarks/figures/scaling.png

One of them at a time is moved over a decade around a base case. Every point is a process of its
own: a default fit, whose peak is read, two more from other seeds, and EM from one random partition.
Points are kept in ``points.jsonl``, and are not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

# The memory of a child begins with that of its parent, which therefore imports numpy at the end.
from memory import MEGABYTE, peak, resident

HERE = Path(__file__).resolve().parent
BASE = {"people": 2000, "alternatives": 5, "attributes": 8, "classes": 3, "starts": 8}
SITUATIONS = 10
DECADE = {
    "people": (600, 1100, 2000, 3600, 6000),
    "alternatives": (2, 3, 5, 9, 20),
    "attributes": (3, 5, 8, 14, 30),
    "classes": (2, 3, 5, 8, 12),
    "starts": (3, 5, 8, 14, 30),
}
SYMBOLS = {"people": "N", "alternatives": "J", "attributes": "L", "classes": "K", "starts": "count"}
SEEDS = 3  # of the default fit, of which the median counts
LONG = 10.0  # seconds of a fit that is not repeated
ITERATIONS = 40  # of EM, at most
MORE = {"maxiter": ITERATIONS, "tol": 1e-300}  # all of them

Point = dict[str, Any]


class Curve(NamedTuple):
    """What is measured at each point."""

    title: str
    unit: str
    mark: str
    color: str


CURVES = {
    "fit": Curve("default fit", "s", "o", "black"),
    "iteration": Curve("EM iteration", "s", "^", "0.45"),
    "peak": Curve("peak above the imports", "MB", "s", "black"),
}


def measure(folder: Path, n_classes: int, n_starts: int, clock: str) -> Point:
    """Fit a table in this process."""
    now = {"wall": time.perf_counter, "cpu": time.process_time}[clock]
    import pandas as pd
    from designs import attributes, read

    from mixlogit import MixedMultinomialLogit
    from mixlogit.errors import ConvergenceWarning

    imports = resident()
    columns = read(folder)
    model = MixedMultinomialLogit.from_formula(
        "choice ~ " + " + ".join(attributes(columns)),
        pd.DataFrame(columns, copy=False),
        n_classes=n_classes,
        situation="situation",
        individual="person",
    )
    warnings.simplefilter("ignore", ConvergenceWarning)
    seconds = []
    out: Point = {}
    for seed in range(SEEDS):
        began = now()
        model.fit(rng=seed, n_starts=n_starts)
        seconds.append(now() - began)
        out.setdefault("peak", (peak() - imports) / MEGABYTE)
        if seconds[0] > LONG:
            break
    ticks: list[float] = []
    model.fit(
        method="em",
        init="random",
        n_starts=1,
        callback=lambda _: ticks.append(now()),
        **MORE,
    )
    steps = [after - before for before, after in pairwise(ticks)]
    return out | {"fit": median(seconds), "iteration": median(steps), "n_iterations": len(steps)}


def child(out: Path, case: Point) -> Point:
    """Measure one point in a fresh process, from a table in a folder."""
    sizes = (case["people"], SITUATIONS, *(case[name] for name in list(BASE)[1:4]))
    table = "-".join(map(str, sizes))
    subprocess.run([sys.executable, HERE / "designs.py", out / "tables", table], check=True)
    command = [sys.executable, __file__, "--child", str(out / "tables" / table)]
    command += [str(case["classes"]), str(case["starts"]), case["clock"]]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return case | json.loads(done.stdout)


def points(out: Path, clock: str) -> dict[str, list[Point]]:
    """Measure what is not there yet; points by what is moved."""
    file = out / "points.jsonl"
    kept = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    moved: dict[str, list[Point]] = {}
    for name, values in DECADE.items():
        for value in values:
            case = BASE | {name: value, "clock": clock}
            point = next((old for old in kept if case.items() <= old.items()), None)
            if point is None:
                point = child(out, case)
                kept.append(point)
                with file.open("a") as lines:
                    lines.write(json.dumps(point) + "\n")
            moved.setdefault(name, []).append(point)
            line = "  ".join(f"{key} {point[key]:8.4f} {CURVES[key].unit}" for key in CURVES)
            print(f"{name:>14}{value:7d}  {line}", flush=True)
    return moved


def exponent(x: list[float], y: list[float]) -> tuple[float, float, float]:
    """Least squares of log y on log x: slope, its standard error, and the intercept."""
    import numpy as np

    design = np.column_stack([np.log(x), np.ones(len(x))])
    solution, rest = np.linalg.lstsq(design, np.log(y), rcond=None)[:2]
    covariance = np.linalg.inv(design.T @ design) * rest[0] / (len(x) - 2)
    return float(solution[0]), float(covariance[0, 0] ** 0.5), float(solution[1])


def exponents(moved: dict[str, list[Point]]) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Exponents of every curve in everything that is moved."""
    return {
        (name, key): exponent([p[name] for p in own], [p[key] for p in own])
        for name, own in moved.items()
        for key in CURVES
        if (name, key) != ("starts", "iteration")  # that one has a single start
    }


def draw(moved: dict[str, list[Point]], path: Path) -> None:
    """Times above, memory below, a column for each that is moved."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    fitted = exponents(moved)
    with plt.rc_context({"font.size": 9}):
        fig, axes = plt.subplots(
            2, len(moved), figsize=(9.6, 4.6), sharex="col", sharey="row", layout="constrained"
        )
    for i, (name, own) in enumerate(moved.items()):
        x = np.array([point[name] for point in own], dtype=float)
        for key, curve in CURVES.items():
            if (name, key) not in fitted:
                continue
            ax = axes[int(key == "peak"), i]
            slope, error, intercept = fitted[name, key]
            y = np.exp(intercept) * x**slope
            ax.plot(x, y, color=curve.color, linewidth=0.9)
            ax.plot(x, [point[key] for point in own], curve.mark, color=curve.color, markersize=5)
            text = f"{slope:.2f} ± {error:.2f}".replace("-", "−")
            ax.annotate(
                text,
                (x[0], y[0] * (y[-1] / y[0]) ** 0.5),
                color=curve.color,
                xytext=(-2, 10),
                textcoords="offset points",
            )
        for ax in axes[:, i]:
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_xticks(x[::2], [f"{value:.0f}" for value in x[::2]])
            ax.set_xticks(x[1::2], ["", ""], minor=True)
            ax.spines[["top", "right"]].set_visible(False)
        axes[1, i].set_xlabel(f"{name} ({SYMBOLS[name]})")
    axes[0, 0].set_ylabel("time, s")
    axes[1, 0].set_ylabel("peak memory, MB")
    axes[0, 0].yaxis.set_major_formatter("{x:g}")
    axes[1, 0].set_yticks([10, 20, 50, 100, 200])
    axes[1, 0].yaxis.set_major_formatter("{x:g}")
    axes[1, 0].yaxis.set_minor_formatter("")
    axes[1, 0].set_ylim(10, max(200, 1.2 * max(p["peak"] for own in moved.values() for p in own)))
    marks = [
        plt.Line2D([], [], color=curve.color, marker=curve.mark, linewidth=0.9, label=curve.title)
        for curve in CURVES.values()
    ]
    fig.legend(
        handles=marks,
        loc="outside upper center",
        ncols=len(marks),
        frameon=False,
        title="numbers: exponent ± one standard error",
    )
    fig.savefig(path, dpi=200)


def main() -> None:
    """Measure, print exponents, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("scaling"), help="folder of the points")
    parser.add_argument("--figure", type=Path, help="file of the figure")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu on a busy machine"
    )
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        folder, n_classes, n_starts, clock = args.child
        print(json.dumps(measure(Path(folder), int(n_classes), int(n_starts), clock)))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    moved = points(args.out, args.clock)
    base = ", ".join(f"{value} {name}" for name, value in BASE.items())
    print(f"\nexponents around {base}, {SITUATIONS} situations each; ± one standard error\n")
    print("| moved | from | to | " + " | ".join(curve.title for curve in CURVES.values()) + " |")
    print("| --- " * (3 + len(CURVES)) + "|")
    fitted = exponents(moved)
    for name, values in DECADE.items():
        line = [name, str(values[0]), str(values[-1])]
        for key in CURVES:
            slope = fitted.get((name, key))
            line.append(f"{slope[0]:.2f} ± {slope[1]:.2f}".replace("-", "−") if slope else "")
        print("| " + " | ".join(line) + " |")
    if args.figure:
        draw(moved, args.figure)


if __name__ == "__main__":
    main()
