"""Tables and figures of the runs that ``rivals.py`` has done."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from memory import MEGABYTE

Run = dict[str, Any]
Case = tuple[str, int]  # a table and a number of classes

OURS = "mixlogit"
SAME = 0.01  # log-likelihoods this close are the same optimum
LIMIT = (2.5, 200e6)  # target of our peak memory: times the attributes as float64, plus bytes
LARGEST = ("XL", 4)


class Measure(NamedTuple):
    """Something that is compared."""

    part: str
    title: str
    of: Callable[[Run, float], float]  # a run and the best log-likelihood known: seconds
    targets: dict[tuple[str, str, int], float]  # least ratio for a rival, a table and a number


class Row(NamedTuple):
    """One measure of one rival on one table."""

    measure: Measure
    rival: str
    table: str
    classes: int
    ours: list[Run]
    theirs: list[Run]
    ratios: list[float]
    is_bound: bool  # the rival was stopped, or never got there: ratios are at least these
    best: float


def expected(run: Run, best: float) -> float:
    """Seconds to be expected until a fit gets to the best: of one fit over the share that does."""
    fits = run["fits"][1:]
    n_there = sum(fit["llf"] > best - SAME for fit in fits)
    return mean(fit["seconds"] for fit in fits) * len(fits) / max(n_there, 1)


def later(run: Run, best: float) -> float:
    """Median seconds of the fits after the first."""
    return median(fit["seconds"] for fit in run["fits"][1:])


def first(run: Run, best: float) -> float:
    """Seconds of the first fit."""
    return float(run["fits"][0]["seconds"])


def wall(run: Run, best: float) -> float:
    """Seconds of the process."""
    return float(run["wall"])


def floor(rival: str, ratio: float, *cases: Case) -> dict[tuple[str, str, int], float]:
    """One target for several cases."""
    return {(rival, *case): ratio for case in cases}


SMALL = (("S", 2), ("M", 3), *(("electricity", k) for k in (2, 3, 4, 5)))
SURVEYS = (("electricity", 4), ("swissmetro", 3))
WHOLE = floor("lcl", 10, *SMALL, ("swissmetro", 3)) | floor("lcl", 6, ("L", 5))
WHOLE |= floor("lcl", 5, LARGEST) | floor("biogeme", 20, ("S", 2)) | floor("biogeme", 50, ("M", 3))
WARM = floor("lcl", 4, ("S", 2), ("M", 3), ("L", 5), ("electricity", 3))
ONE = floor("statsmodels", 1, ("million", 1)) | floor("xlogit", 1, ("million", 1))

MEASURES = (
    Measure("fresh", "Fresh process, from start to printed errors", wall, WHOLE),
    Measure(
        "fresh", "Model, fit and errors alone, in a fresh process", first, floor("lcl", 20, *SMALL)
    ),
    Measure("warm", "One random start, second fits of a process", later, WARM),
    Measure("search", "Default search beside 20 starts, first fit of a process", first, {}),
    Measure(
        "search",
        "Default search beside 20 starts, second fit of a process",
        later,
        floor("lcl", 10, *SURVEYS),
    ),
    Measure("reach", "Time to the best log-likelihood, second fits of a process", expected, {}),
    Measure("one-class", "One class, fresh process, from start to printed errors", wall, ONE),
    Measure("one-class", "One class, model, fit and errors alone", first, ONE),
)


def compare(runs: list[Run], measure: Measure) -> Iterator[Row]:
    """Pair the runs of every rival with ours, in the order in which they were run."""
    own = [run for run in runs if run["part"] == measure.part]
    for table, classes in dict.fromkeys((run["table"], run["classes"]) for run in own):
        here = [run for run in own if (run["table"], run["classes"]) == (table, classes)]
        done = [run for run in runs if run["table"] == table and run["classes"] == classes]
        best = max(fit["llf"] for run in done for fit in run.get("fits", [{"llf": -math.inf}]))
        for rival in dict.fromkeys(run["side"] for run in here if run["side"] != OURS):
            pairs = together(here, rival)
            ratios = [
                (measure.of(b, best) if "fits" in b else b["wall"]) / measure.of(a, best)
                for a, b in pairs
                if "fits" in b or (b["is_late"] and measure.of is wall)
            ]
            if pairs:
                ours, theirs = zip(*pairs, strict=True)
                is_bound = any(not ends(run, best, measure.part) for run in theirs)
                yield Row(
                    measure, rival, table, classes, list(ours), list(theirs), ratios, is_bound, best
                )


def together(runs: list[Run], rival: str) -> list[tuple[Run, Run]]:
    """Every last run of a rival in a pair, and our run before it."""
    ours: dict[int, Run] = {}
    pairs: dict[int, tuple[Run, Run]] = {}
    for run in runs:
        pair = run["pair"]
        if run["side"] == OURS:
            ours[pair] = run
        elif run["side"] == rival and "fits" in ours.get(pair, {}):
            pairs[pair] = (ours[pair], run)
    return list(pairs.values())


def ends(run: Run, best: float, part: str) -> bool:
    """Whether a run was finished, and a search for the best found it."""
    if "fits" not in run:
        return False
    return part != "reach" or any(fit["llf"] > best - SAME for fit in run["fits"][1:])


def top(run: Run) -> float:
    """The best log-likelihood of a run."""
    return max(fit["llf"] for fit in run["fits"])


def gap(row: Row) -> float | None:
    """Our worst log-likelihood less the best of the rival, where it finished."""
    theirs = [top(run) for run in row.theirs if "fits" in run]
    return min(top(run) for run in row.ours) - max(theirs) if theirs else None


def distances(row: Row) -> tuple[float, float] | None:
    """Largest differences of estimates, in errors, and of errors, relative, at one optimum."""
    for a, b in zip(row.ours, row.theirs, strict=True):
        if "fits" in b and abs(a["fits"][-1]["llf"] - b["fits"][-1]["llf"]) < SAME:
            keys = ("coefficients", "errors")
            of = zip(*(run[key] for run in (a, b) for key in keys), strict=True)
            both = [(abs(x - y) / s, abs(t / s - 1)) for x, s, y, t in of]
            return max(pair[0] for pair in both), max(pair[1] for pair in both)
    return None


def number(value: float) -> str:
    """Three figures, without an exponent."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value) or 1)))}f}"


def signed(value: float | None) -> str:
    """A difference of log-likelihoods, with a true minus sign."""
    if value is None:
        return "–"
    return (
        "0" if abs(value) < 1e-5 else f"{value:+.{2 if abs(value) > 0.1 else 5}f}".replace("-", "−")
    )


def cells(row: Row) -> list[str]:
    """A line of a table."""
    seconds = [
        [row.measure.of(run, row.best) for run in side if "fits" in run]
        for side in (row.ours, row.theirs)
    ]
    peaks = [median(run["peak"] for run in side) / MEGABYTE for side in (row.ours, row.theirs)]
    target = row.measure.targets.get((row.rival, row.table, row.classes))
    sign = "over " if row.is_bound else ""
    ratio, verdict = "" if any(run["is_late"] for run in row.theirs) else "failed", ""
    if row.ratios:
        ratio = f"{sign}{number(median(row.ratios))} ({number(min(row.ratios))}–"
        ratio += f"{number(max(row.ratios))})"
        if target:
            verdict = "yes" if median(row.ratios) >= target else "no"
    return [
        *(row.table, str(row.classes), row.rival, str(len(row.ratios))),
        number(median(seconds[0])),
        sign + number(median(seconds[1])) if seconds[1] else "stopped",
        ratio,
        f"{target:g}" if target else "",
        verdict,
        "" if row.measure.part == "warm" else signed(gap(row)),
        *(f"{peak:.0f}" for peak in peaks),
    ]


HEAD = ("table", "K", "rival", "pairs", "ours, s", "rival, s", "rival / ours (min–max)", "at least")
HEAD += ("met", "log-likelihood, ours − rival", "our peak, MB", "its peak, MB")


def markdown(head: tuple[str, ...], lines: list[list[str]]) -> str:
    """A table in Markdown."""
    rows = [list(head), ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def fits_largest(run: Run) -> bool:
    """Whether a run is our default fit of the largest table."""
    case = (run["part"], run["side"], (run["table"], run["classes"]))
    return case == ("fresh", OURS, LARGEST) and "fits" in run


def checks(runs: list[Run], rows: list[Row]) -> list[str]:
    """Sentences on log-likelihoods, estimates and memory."""
    said = []
    fixed = [row for row in rows if row.measure.part in ("fresh", "search", "one-class")]
    gaps = {(row.table, row.classes, row.rival): gap(row) for row in fixed}
    known = {key: value for key, value in gaps.items() if value is not None}
    if known:
        worst = min(known, key=lambda key: known[key])
        verdict = "never lower" if known[worst] > -1e-5 else "LOWER in a case"
        said.append(
            f"Log-likelihood of our default fit: {verdict} than a rival's; the least difference is "
            f"{signed(known[worst])}, with {worst[2]} on {worst[0]}, K = {worst[1]}."
        )
    pairs = {(row.table, row.classes, row.rival): distances(row) for row in fixed}
    same = {key: value for key, value in pairs.items() if value}
    for rival in dict.fromkeys(key[2] for key in same):
        values = [value for key, value in same.items() if key[2] == rival]
        said.append(
            f"At the same optimum, estimates differ from those of {rival} by at most "
            f"{max(value[0] for value in values):.1e} of a standard error, and standard errors by "
            f"{max(value[1] for value in values):.1e} of themselves (cases: {len(values)})."
        )
    peaks = [run["peak"] for run in runs if fits_largest(run)]
    if peaks:
        limit, middle = allowed(LARGEST[0]), median(peaks)
        said.append(
            f"Our peak memory on {LARGEST[0]}: {middle / MEGABYTE:.0f} MB; the target, at most "
            f"{limit / MEGABYTE:.0f} MB, is {'met' if middle <= limit else 'missed'}."
        )
    return said


def attributes(table: str) -> float:
    """Bytes of the attributes of a simulated panel as float64."""
    from designs import SIZES

    sizes = SIZES[table]
    rows = sizes.people * sizes.situations * sizes.alternatives
    return 8.0 * rows * sizes.attributes


def allowed(table: str) -> float:
    """Bytes that our side may take."""
    return LIMIT[0] * attributes(table) + LIMIT[1]


def write(runs: list[Run], out: Path, pictures: Path) -> None:
    """Print tables; write them and every run to a folder, and figures to another."""
    rows = [row for measure in MEASURES for row in compare(runs, measure)]
    versions = dict.fromkeys(f"{run['side']} {run['version']}" for run in runs)
    cores = ", ".join(sorted({str(run["cores"]) for run in runs}))
    if not runs:
        return
    text = [f"{', '.join(versions)}; {cores} cores, no limits on threads on either side."]
    for measure in MEASURES:
        lines = [cells(row) for row in rows if row.measure is measure]
        if lines:
            text += [f"### {measure.title}", markdown(HEAD, lines)]
    text.append("\n".join(f"- {said}" for said in checks(runs, rows)))
    (out / "rivals.md").write_text("\n\n".join(text) + "\n")
    print("\n" + "\n\n".join(text))
    with (out / "runs.csv").open("w", newline="") as file:
        keys = ("part", "table", "classes", "pair", "side", "version", "cores", "status", "wall")
        keys += ("cpu", "peak", "imports", "read")
        table = csv.writer(file)
        table.writerow([*keys, "fit", "step", "seconds", "llf"])
        for run in runs:
            for i, fit in enumerate(run.get("fits", [{}])):
                own = [fit.get(key) for key in ("step", "seconds", "llf")]
                table.writerow([*(run.get(key) for key in keys), i, *own])
    if rows:
        figures(rows, pictures)


MARKS = {OURS: "o", "lcl": "v", "biogeme": "s", "statsmodels": "^", "xlogit": "D"}
NAMES = {"lcl": "lcl-choice", OURS: "mixlogit"}


def figures(rows: list[Row], out: Path) -> None:
    """Draw ratios and memory."""
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no figures")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context({"font.size": 9}):
        ratios(rows, plt).savefig(out / "rivals.png", dpi=200)
        if own := [row for row in rows if is_of_memory(row)]:
            memory(own, plt).savefig(out / "rivals_memory.png", dpi=200)
    plt.close("all")


def ratios(rows: list[Row], plt: Any) -> Any:
    """Medians of ratios with their ranges, and the targets."""
    own = [[row for row in rows if row.measure is measure and row.ratios] for measure in MEASURES]
    own = [group for group in own if group]
    heights = [len(group) + 1.6 for group in own]
    fig, axes = plt.subplots(
        len(own),
        1,
        figsize=(6.4, 0.27 * sum(heights) + 0.9),
        sharex=True,
        squeeze=False,
        layout="constrained",
        height_ratios=heights,
    )
    for ax, group in zip(axes[:, 0], own, strict=True):
        for y, row in enumerate(group):
            middle, target = median(row.ratios), row.measure.targets.get(row[1:4])
            ax.plot([min(row.ratios), max(row.ratios)], [y, y], color="0.55", linewidth=1.5)
            ax.plot(middle, y, MARKS[row.rival], color="black", markersize=5)
            if row.is_bound:
                ax.annotate("", (middle * 1.6, y), (middle, y), arrowprops={"arrowstyle": "->"})
            if target:
                ax.plot(target, y, "|", color="black", markersize=11, markeredgewidth=1.2)
        ax.axvline(1, color="0.7", linewidth=0.8, zorder=0)
        ax.set_yticks(range(len(group)))
        ax.set_yticklabels(
            [f"{row.table}, K = {row.classes}, {NAMES.get(row.rival, row.rival)}" for row in group]
        )
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(group) - 0.4, -0.6)
        ax.set_title(group[0].measure.title, fontsize=9, loc="left")
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.grid(axis="x", color="0.92", linewidth=0.6)
        ax.set_axisbelow(True)
        ax.spines[["top", "right", "left"]].set_visible(False)
    axes[-1, 0].set_xlabel("time of the rival / time of mixlogit (line: range; bar: target)")
    return fig


def is_of_memory(row: Row) -> bool:
    """Whether a row is of fresh processes on a simulated panel."""
    return row.measure.of is wall and row.measure.part == "fresh" and row.table.isupper()


def memory(rows: list[Row], plt: Any) -> Any:
    """Peak memory of fresh processes against the size of simulated panels."""
    fig, ax = plt.subplots(figsize=(5.2, 3.6), layout="constrained")
    points: dict[str, dict[str, float]] = {}
    for row in rows:
        for side, runs in ((OURS, row.ours), (row.rival, row.theirs)):
            peak = median(run["peak"] for run in runs) / MEGABYTE
            points.setdefault(side, {})[row.table] = peak
    for side, peaks in points.items():
        order = sorted(peaks, key=attributes)
        x, y = [attributes(table) / MEGABYTE for table in order], [peaks[table] for table in order]
        look = {"color": "black"} if side == OURS else {"color": "0.45", "linestyle": "--"}
        ax.plot(x, y, marker=MARKS[side], linewidth=1, label=NAMES.get(side, side), **look)
    tables = sorted({table for peaks in points.values() for table in peaks}, key=attributes)
    sizes = [attributes(table) / MEGABYTE for table in tables]
    grid = [sizes[0] * (sizes[-1] / sizes[0]) ** (i / 99) for i in range(100)]
    limit = [LIMIT[0] * size + LIMIT[1] / MEGABYTE for size in grid]
    text = f"target: {LIMIT[0]} × the attributes + {LIMIT[1] / MEGABYTE:.0f} MB"
    ax.plot(grid, limit, ":", color="0.3", linewidth=1.2, label=text)
    ax.set_xscale("log")
    ax.set_yscale("log")
    names = [f"{table}\n{number(size)}" for table, size in zip(tables, sizes, strict=True)]
    ax.set_xticks(sizes, names)
    ax.set_yticks([100, 200, 500, 1000, 2000, 5000, 10000])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_ylim(100, 10000)
    ax.grid(axis="y", color="0.92", linewidth=0.6)
    fig.legend(frameon=False, loc="outside upper left", ncols=2, fontsize=8)  # no point is covered
    ax.set_xlabel("attributes as float64, MB")
    ax.set_ylabel("peak resident memory, MB")
    ax.spines[["top", "right"]].set_visible(False)
    return fig
