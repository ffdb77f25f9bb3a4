"""Time and peak memory of default fits of wide tables, with and without standard errors.

One table of 30,000 alternatives with counts of 3,000,000 choices by three classes: Gaussian
attributes, tastes of length 2. Every figure comes from a process of its own, which simulates the
table, notes its resident memory, builds the model and fits it. Linux only.

    python docs/benchmarks/wide.py
    python docs/benchmarks/wide.py --attributes 50 100 --fits matrix
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings

# Only the children import numpy: a child's peak begins with the memory of its parent.
FITS = {
    "none": "without standard errors",
    "errors": "with standard errors",
    "matrix": "Newton by the matrix, with errors",
}
N_CLASSES, N_CHOICES = 3, 3_000_000
MEGABYTE = 1e6


def table(n_alternatives: int, n_attributes: int):
    """Attributes, counts, and the tastes and shares that they come from."""
    import numpy as np

    rng = np.random.default_rng(0)
    exog = rng.standard_normal((n_alternatives, n_attributes))
    tastes = rng.standard_normal((N_CLASSES, n_attributes))
    tastes *= 2 / np.linalg.norm(tastes, axis=1, keepdims=True)
    shares = np.arange(N_CLASSES + 1, 1, -1) / sum(range(2, N_CLASSES + 2))
    utility = exog @ tastes.T
    prob = np.exp(utility - utility.max(axis=0))
    prob /= prob.sum(axis=0)
    return exog, rng.multinomial(N_CHOICES, prob @ shares), tastes, shares


def peak() -> float:
    """Largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def from_the_truth(model, tastes, shares) -> float:
    """Log-likelihood of EM from the parameters that were simulated."""
    import numpy as np

    from mixlogit.em import expectation_maximisation
    from mixlogit.likelihood import Parameters

    gamma = np.log(shares[1:] / shares[0])[None, :, None]
    start = Parameters(tastes[None], gamma)
    likelihood = model.likelihood()
    return float(expectation_maximisation(likelihood, start, maxiter=100, tol=1e-3).value[0])


def measure(n_alternatives: int, n_attributes: int, fit: str) -> dict[str, float | str]:
    """Run one fit in this process."""
    from mixlogit import MixedMultinomialLogit, estimation

    exog, counts, tastes, shares = table(n_alternatives, n_attributes)
    if fit == "matrix":
        estimation._MANY = sys.maxsize
    warnings.simplefilter("ignore")  # the status is printed
    before, began = peak(), time.process_time()
    model = MixedMultinomialLogit(counts, exog, N_CLASSES)
    built = time.process_time()
    result = model.fit(cov_type="none" if fit == "none" else "nonrobust")
    fitted, highest = time.process_time(), peak()
    return {
        "D": len(result.params),
        "table": exog.nbytes,
        "peak": highest - before,
        "model": built - began,
        "fit": fitted - built,
        "em": int(result.mle_retvals["em_iterations"]),
        "newton": int(result.mle_retvals["newton_iterations"]),
        "status": result.mle_retvals["status"],
        "rate": result.certificate().em_rate,
        "gap": from_the_truth(model, tastes, shares) - result.llf,
    }


def main() -> None:
    """Print one row for each number of attributes and kind of fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alternatives", type=int, default=30_000)
    parser.add_argument("--attributes", type=int, nargs="+", default=[50, 100, 200, 384])
    parser.add_argument("--fits", nargs="+", choices=FITS, default=list(FITS))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(args.alternatives, int(args.child[0]), args.child[1])))
        return
    print("| L | D | table | fit | model | CPU s | peak | EM, Newton | rate | status | gap |")
    print("|---" * 11 + "|")
    for n_attributes in args.attributes:
        for fit in args.fits:
            command = [sys.executable, __file__, "--alternatives", str(args.alternatives)]
            command += ["--child", str(n_attributes), fit]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            got = json.loads(done.stdout)
            print(
                f"| {n_attributes} | {got['D']} | {got['table'] / MEGABYTE:.0f} MB | {FITS[fit]} "
                f"| {got['model']:.1f} | {got['fit']:.1f} "
                f"| {got['peak'] / MEGABYTE:.0f} MB, {got['peak'] / got['table']:.1f} × "
                f"| {got['em']}, {got['newton']} | {got['rate']:.2f} | {got['status']} "
                f"| {got['gap']:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
