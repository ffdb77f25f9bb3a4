"""This package beside others that fit the same models, on the same files, one run after the other.

    python docs/benchmarks/rivals.py all --out runs
    python docs/benchmarks/rivals.py fresh --sets S electricity --rivals lcl --out runs
    python docs/benchmarks/rivals.py table --out runs         # of what was run before

Every run is a process of its own, and runs alternate: ours, rival, ours, rival. Parts:

fresh      interpreter, imports, compilation, reading the file, default fit, printed errors
warm       a second fit in the same process, each side from one random start
search     our default fit beside the best of 20 starts, first and second fit of a process
reach      time to the best log-likelihood known: our default fit beside single random starts
one-class  one class on 1,000,000 rows, fresh

Runs are appended to ``runs.jsonl``; what is there is not run again, unless it failed. Tables and
figures of all of them are then written beside it. Rivals come from PyPI (lcl-choice, biogeme,
statsmodels, xlogit); one that is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import rivals_report

# The memory of a child begins with that of its parent, which therefore imports no numpy.
HERE = Path(__file__).resolve().parent
PACKAGES = {"mixlogit": "mixlogit", "lcl": "lcl-choice", "biogeme": "biogeme"}
PACKAGES |= {"statsmodels": "statsmodels", "xlogit": "xlogit"}
OURS = "mixlogit"

Run = dict[str, Any]


class Part(NamedTuple):
    """Runs that belong together."""

    cases: tuple[tuple[str, int], ...]  # tables and numbers of classes
    rivals: dict[str, tuple[str, ...]]  # and the tables that each of them can do
    plan: dict[str, str]  # fits of a process, by side; {} is the number of the pair


PANELS = (("S", 2), ("M", 3), ("L", 5), ("XL", 4))
SURVEYS = (*(("electricity", k) for k in (2, 3, 4, 5)), ("swissmetro", 3))
LATENT = ("S", "M", "L", "XL", "electricity", "swissmetro")
REPEATS = 5  # second fits in a process, of which the median counts
STARTS = 20  # single starts, from which the expected time to the best is taken

PARTS = {
    "fresh": Part(
        (*PANELS[:2], *SURVEYS, *PANELS[2:]),
        {"lcl": LATENT, "biogeme": ("S", "M")},
        {"": "default"},
    ),
    "warm": Part(
        (*PANELS[:3], ("electricity", 3)), {"lcl": LATENT}, {"": "one:{}" + " one:{}" * REPEATS}
    ),
    "search": Part(
        (("electricity", 4), ("swissmetro", 3)), {"lcl": LATENT}, {"": "search:0 search:0"}
    ),
    "reach": Part(
        (*SURVEYS[1:], PANELS[1]),
        {"lcl": LATENT},
        {
            "": "one:0 " + " ".join(f"one:{seed}" for seed in range(STARTS)),
            OURS: "default" + " default" * REPEATS,
        },
    ),
    "one-class": Part(
        (("million", 1),),
        {"statsmodels": ("million",), "xlogit": ("million",)},
        {"": "default"},
    ),
}


def is_there(package: str) -> bool:
    """Whether a package can be imported by this interpreter."""
    return importlib.util.find_spec(package) is not None


def launch(command: list[str], log: Path, limit: float) -> tuple[Run, str]:
    """Run a process to its end: wall time, peak memory and exit status, and what it printed."""
    with tempfile.TemporaryDirectory() as folder, log.open("a") as errors:
        printed = Path(folder) / "stdout"
        errors.write(f"\n== {' '.join(command[1:])}\n")
        errors.flush()
        with printed.open("w") as out:
            began = time.perf_counter()
            process = subprocess.Popen(command, stdout=out, stderr=errors, cwd=folder)
            timer = threading.Timer(limit, process.kill)
            timer.start()
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        figures = {
            "wall": seconds,
            "cpu": usage.ru_utime + usage.ru_stime,
            "peak": usage.ru_maxrss * 1024,
            "status": process.returncode,
            "is_late": seconds >= limit,
        }
        return figures, printed.read_text()


def schedule(name: str, args: argparse.Namespace, runs: list[Run]) -> Iterator[Run]:
    """Runs of a part that are not there, each with what identifies it.

    Ours is run again where a rival is missing: a pair is two runs that follow each other.
    """
    keys = ("part", "table", "classes", "pair", "side")
    kept = [run for run in runs if run["status"] == 0 or run["is_late"]]
    done = {tuple(run[key] for key in keys) for run in kept}
    part = PARTS[name]
    for table, classes in part.cases:
        if (args.sets and table not in args.sets) or (args.classes and classes not in args.classes):
            continue
        rivals = [rival for rival, tables in part.rivals.items() if table in tables]
        rivals = [rival for rival in rivals if rival in args.rivals and is_there(rival)]
        for pair in range(args.pairs if rivals or not args.rivals else 0):
            case = (name, table, classes, pair)
            missing = [side for side in rivals or [OURS] if (*case, side) not in done]
            for side in (OURS, *missing) if rivals and missing else missing:
                yield dict(zip(keys, (*case, side), strict=True))


def measure(name: str, args: argparse.Namespace, runs: list[Run]) -> None:
    """Do the runs of a part that are not there yet."""
    left = list(schedule(name, args, runs))
    log, tables = args.out / "log.txt", args.tables or args.out / "tables"
    for table in dict.fromkeys(run["table"] for run in left):
        subprocess.run([sys.executable, HERE / "designs.py", tables, table], check=True)
    for side in dict.fromkeys(run["side"] for run in left):  # modules into the file cache
        launch([sys.executable, "-c", f"import {side}"], log, args.limit)
    for run in left:
        plan = PARTS[name].plan
        steps = plan.get(run["side"], plan[""]).format(*[run["pair"]] * (1 + REPEATS)).split()
        python = args.own if run["side"] == OURS and args.own else sys.executable
        command = [python, str(HERE / "sides.py"), run["side"]]
        command += [str((tables / run["table"]).resolve()), str(run["classes"]), *steps]
        figures, printed = launch(command, log, args.limit)
        run |= figures | {"version": version(PACKAGES[run["side"]]), "cores": os.cpu_count()}
        if run["status"] == 0:
            try:
                run |= json.loads(printed.splitlines()[-1])
            except (IndexError, ValueError):
                run["status"] = "no figures"
                with log.open("a") as file:
                    file.write(f"no figures in what was printed:\n{printed}\n")
        with (args.out / "runs.jsonl").open("a") as file:
            file.write(json.dumps(run) + "\n")
        runs.append(run)
        report(run)


def report(run: Run) -> None:
    """Print a line about a run."""
    line = f"{run['part']:10}{run['table']:12} K={run['classes']} pair {run['pair']} "
    line += f"{run['side']:12}{run['wall']:9.2f} s{run['peak'] / 1e6:8.0f} MB"
    if run["status"] == 0:
        fits = ", ".join(f"{fit['seconds']:.3f}" for fit in run["fits"][:3])
        line += f"  fits {fits} s  log-likelihood {run['fits'][-1]['llf']:.4f}"
    else:
        line += "  stopped: too late" if run["is_late"] else f"  failed: status {run['status']}"
    print(line, flush=True)


def main() -> None:
    """Run parts, or print tables of what was run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=(*PARTS, "all", "table"))
    parser.add_argument("--sets", nargs="+", help="tables, all by default")
    parser.add_argument("--classes", nargs="+", type=int, help="numbers of classes")
    parser.add_argument(
        "--rivals", nargs="*", default=list(PACKAGES)[1:], help="none: this package alone"
    )
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--limit", type=float, default=1800, help="seconds that a run may take")
    parser.add_argument("--out", type=Path, default=Path("rivals"), help="folder of the runs")
    parser.add_argument("--tables", type=Path, help="folder of the tables")
    parser.add_argument("--own", help="interpreter that has this package, for its side")
    parser.add_argument("--figures", type=Path, help="folder of the figures")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "runs.jsonl"
    runs = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    missing = [PACKAGES[rival] for rival in args.rivals if not is_there(rival)]
    if missing:
        print("not installed and left out: " + ", ".join(missing))
    for name in PARTS if args.part == "all" else [args.part]:
        if name in PARTS:
            measure(name, args, runs)
    rivals_report.write(runs, args.out, args.figures or args.out)


if __name__ == "__main__":
    main()
