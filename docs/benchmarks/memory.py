"""Peak memory of reading a table, of 20 EM iterations and of a default fit, in attribute tables.

Every figure comes from a process of its own: it builds the user's frame, notes its resident memory,
runs the stage, and reports its peak (``getrusage``). Linux only.

    python docs/benchmarks/memory.py
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import tracemalloc
import warnings
from typing import Any

# Only the children import numpy: a child's peak begins with the memory of its parent.
STAGES = {
    "import": "imports",
    "data": "data layer",
    "em": "data layer + 20 EM iterations",
    "fit": "data layer + default fit",
}
MEGABYTE = 1e6


def panel(n_individuals: int):
    """Long panel: 8 situations of 5 alternatives each, 10 attributes, 3 classes."""
    import numpy as np
    import pandas as pd

    from mixlogit import simulate_choices

    n_rows, n_attributes = n_individuals * 40, 10
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(n_attributes)]
    frame = pd.DataFrame(rng.standard_normal((n_rows, n_attributes)), columns=names)
    frame["alternative"] = np.arange(n_rows) % 5
    frame["situation"] = np.arange(n_rows) // 5
    frame["individual"] = np.arange(n_rows) // 40
    tastes = pd.DataFrame(rng.standard_normal((n_attributes, 3)), names)
    choice = np.empty(n_rows, dtype=int)
    for i in range(0, n_rows, 40_000):  # in pieces, so that simulation does not set the peak
        piece = frame.iloc[i : i + 40_000]
        drawn = simulate_choices(
            piece, tastes, situation="situation", individual="individual", rng=rng
        )
        choice[i : i + 40_000] = drawn["choice"]
    frame["choice"] = choice
    ids = {"situation": "situation", "individual": "individual", "alternative": "alternative"}
    return frame, "choice ~ " + " + ".join(names), ids, n_rows * n_attributes * 8


def table(n_alternatives: int):
    """One wide table: 50 attributes, and counts of 2,000,000 choices by 3 classes."""
    import numpy as np
    import pandas as pd

    n_attributes, n_draws = 50, 2_000_000
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(n_attributes)]
    exog = rng.standard_normal((n_alternatives, n_attributes))
    utility = exog @ rng.standard_normal((n_attributes, 3)) * 0.3
    prob = np.exp(utility) / np.exp(utility).sum(axis=0)
    frame = pd.DataFrame(exog, columns=names)
    frame["count"] = rng.multinomial(n_draws, prob @ [0.5, 0.3, 0.2])
    return frame, "count ~ " + " + ".join(names), {}, exog.nbytes


def resident() -> float:
    """Resident memory of this process now, in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def peak() -> float:
    """Largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def measure(layout: str, size: int, stage: str, is_traced: bool) -> dict[str, float]:
    """Run one stage in this process."""
    from mixlogit import MixedMultinomialLogit

    imports = resident()
    frame, formula, ids, table_bytes = {"panel": panel, "table": table}[layout](size)
    out = {"imports": imports, "table": table_bytes, "frame": resident(), "building": peak()}
    if is_traced:
        tracemalloc.start()
    began = time.perf_counter()
    if stage != "import":
        model = MixedMultinomialLogit.from_formula(formula, frame, n_classes=3, **ids)
        out["seconds"] = time.perf_counter() - began
        if stage == "em":
            warnings.simplefilter("ignore")  # 20 iterations are not convergence
            result = model.fit(method="em", maxiter=20, tol=1e-300, n_starts=1, init="random")
            out["seconds"] = time.perf_counter() - began
            out["iterations"] = int(result.mle_retvals["em_iterations"])
        elif stage == "fit":
            model.fit()
            out["seconds"] = time.perf_counter() - began
    out["peak"], out["kept"] = peak(), resident()
    if is_traced:
        out["traced"] = tracemalloc.get_traced_memory()[1]
    return out


def child(program: str, *arguments: object) -> dict[str, Any]:
    """Let a program measure in a fresh process."""
    command = [sys.executable, program, "--child", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    """Print one table for each layout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--individuals", type=int, default=25_000, help="of the panel, 40 rows each"
    )
    parser.add_argument("--alternatives", type=int, default=30_000, help="of the wide table")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        layout, size, stage, is_traced = args.child
        print(json.dumps(measure(layout, int(size), stage, is_traced == "1")))
        return
    for layout, size in (("panel", args.individuals), ("table", args.alternatives)):
        first = child(__file__, layout, size, "import", 0)
        unit = first["table"]
        print(f"\n{layout}: float64 attributes {unit / MEGABYTE:.0f} MB = 1 table; imports")
        print(f"{first['imports'] / MEGABYTE:.0f} MB; with the user's frame", end=" ")
        print(f"{first['frame'] / MEGABYTE:.0f} MB (peak {first['building'] / MEGABYTE:.0f} MB)")
        print(f"{'':32}{'above the frame':>20}{'allocated':>12}{'kept':>8}{'in all':>18}{'s':>7}")
        for stage in ("data", "em", "fit"):
            got = child(__file__, layout, size, stage, 0)
            traced = child(__file__, layout, size, stage, 1)["traced"]
            above, kept = got["peak"] - got["frame"], got["kept"] - got["frame"]
            print(
                f"{STAGES[stage]:32}{above / MEGABYTE:9.0f} MB {above / unit:5.2f} x"
                f"{traced / unit:10.2f} x{kept / unit:6.2f} x"
                f"{got['peak'] / MEGABYTE:8.0f} MB {got['peak'] / unit:4.2f} x"
                f"{got['seconds']:7.1f}"
            )


if __name__ == "__main__":
    main()
