"""A survey four times as large as the memory that the process may have, beside the same in memory.

The capped child sets ``RLIMIT_DATA`` before it imports anything beyond the standard library. What
counts against it is all memory that is the process's own and can be written: heap, arrays, buffers
of BLAS, stacks of threads, also where it is only reserved. Beyond it an allocation fails. What does
not count: the code of libraries, the first stack, and what the system keeps of files for everyone,
the page cache, which it gives back when somebody needs memory. The machine may hold the whole file
there, so the seconds are those of a machine with a large memory. Resident peaks, which are printed
as well, count code but not what is only reserved. Linux only.

Both fits have the same number of threads, as every thread reserves a stack and a buffer.

    python docs/benchmarks/larger_than_memory.py
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

# Only the children import numpy: a child's peak begins with the memory of its parent.
N_ATTRIBUTES, ROWS_EACH, PEOPLE_AT_ONCE = 20, 200, 250  # 10 situations of 20 alternatives each
N_CLASSES = 3
NAMES = [f"x{i}" for i in range(N_ATTRIBUTES)]
FORMULA = "choice ~ " + " + ".join(NAMES)
IDS = {"situation": "situation", "individual": "individual", "alternative": "alternative"}
MEGABYTE = 1e6


def frames(n_people: int):
    """Simulate the survey, 250 people at a time, the same at every call."""
    import numpy as np
    import pandas as pd

    tastes = np.random.default_rng(0).standard_normal((N_ATTRIBUTES, N_CLASSES))
    for first in range(0, n_people, PEOPLE_AT_ONCE):
        n = min(PEOPLE_AT_ONCE, n_people - first)
        rng = np.random.default_rng([1, first])
        exog = rng.standard_normal((n * ROWS_EACH, N_ATTRIBUTES))
        own = tastes[:, rng.choice(N_CLASSES, n, p=[0.5, 0.3, 0.2])]
        utility = np.einsum("nrl,ln->nr", exog.reshape(n, ROWS_EACH, -1), own)
        best = (utility + rng.gumbel(size=utility.shape)).reshape(-1, 20).argmax(axis=1)
        frame = pd.DataFrame(exog, columns=NAMES)
        row = first * ROWS_EACH + np.arange(n * ROWS_EACH)
        frame["individual"], frame["situation"] = row // ROWS_EACH, row // 20
        frame["alternative"] = row % 20
        frame["choice"] = (best[:, None] == np.arange(20)).ravel().astype(np.int8)
        yield frame


def fitted(side: str, n_people: int, folder: str) -> dict[str, object]:
    """Build the model and fit it in this process, from the file or in memory."""
    from mixlogit import MixedMultinomialLogit

    began = time.perf_counter()
    if side == "memory":
        import pandas as pd

        frame = pd.concat(frames(n_people), ignore_index=True)
        model = MixedMultinomialLogit.from_formula(FORMULA, frame, N_CLASSES, **IDS)
        del frame
    else:
        model = MixedMultinomialLogit.from_chunks(
            FORMULA, lambda: frames(n_people), N_CLASSES, folder=folder, **IDS
        )
    built = time.perf_counter()
    result = model.fit()
    str(result.summary())
    return {
        "llf": result.llf,
        "params": list(result.params),
        "bse": list(result.bse),
        "rows": model.choices.n_rows,
        "build": built - began,
        "fit": time.perf_counter() - built,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0,
    }


def child(side: str, n_people: int, cap: float, args: argparse.Namespace) -> dict[str, object]:
    """Fit in a fresh process, with a cap unless that is 0; an empty record beyond the cap."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(args.threads))
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        command = [sys.executable, __file__, "--child", side, str(n_people), str(int(cap)), folder]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | threads)
    if "MemoryError" in done.stderr:
        return {}
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def report(what: str, got: dict[str, object]) -> None:
    """Print a line about a fit."""
    if not got:
        print(f"{what:22} no memory left", flush=True)
        return
    print(f"{what:22} resident peak {got['peak'] / MEGABYTE:6.0f} MB", end="")
    print(f"  model {got['build']:6.1f} s  fit {got['fit']:6.1f} s", end="")
    print(f"  log-likelihood {got['llf']:.6f}", flush=True)


def main() -> None:
    """Print cap, table, peaks and results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cap", type=float, default=500.0, help="megabytes of the process's own")
    parser.add_argument("--times", type=float, default=4.0, help="size of the table, in caps")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", help="where the attributes are written; not in a RAM disk")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        side, people, cap, folder = args.child
        if int(cap):
            resource.setrlimit(resource.RLIMIT_DATA, (int(cap), int(cap)))
        print(json.dumps(fitted(side, int(people), folder)))
        return
    cap = args.cap * MEGABYTE
    n_people = -int(-args.times * cap // (ROWS_EACH * N_ATTRIBUTES * 8))
    table = n_people * ROWS_EACH * N_ATTRIBUTES * 8
    print(f"cap on memory of the process's own: {args.cap:.0f} MB; {args.threads} thread(s)")
    print(f"attributes as float64: {n_people * ROWS_EACH:,} x {N_ATTRIBUTES}", end=", ")
    print(f"{table / MEGABYTE:.0f} MB = {table / cap:.1f} caps; {N_CLASSES} classes", flush=True)
    report("in memory, capped", child("memory", n_people, cap, args))
    a = child("file", n_people, cap, args)
    report("from chunks, capped", a)
    b = child("memory", n_people, 0, args)
    report("in memory, no cap", b)
    if a and b:
        pairs = zip(a["params"], b["params"], b["bse"], strict=True)
        away = max(abs(x - y) / error for x, y, error in pairs)
        wider = max(abs(x / y - 1) for x, y in zip(a["bse"], b["bse"], strict=True))
        print(f"difference: log-likelihood {a['llf'] - b['llf']:.1e}", end=", ")
        print(f"estimates {away:.1e} of an error, errors {wider:.1e} of themselves")


if __name__ == "__main__":
    main()
