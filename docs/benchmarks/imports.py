"""Processor time of the import of the model beside that of `statsmodels.api`.

Fresh processes take turns, so that a busy machine slows both alike.

    python docs/benchmarks/imports.py --rounds 15
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

STATEMENTS = (
    "import statsmodels.api",
    "import statsmodels.base.model",  # what mixlogit builds on
    "from mixlogit import MixedMultinomialLogit",
)
PROGRAM = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def seconds(statement: str) -> float:
    """Processor time of a statement in a process of its own."""
    program = [sys.executable, "-c", PROGRAM.format(statement)]
    return float(subprocess.run(program, capture_output=True, check=True, text=True).stdout)


def main() -> None:
    """Print medians, and medians of the ratios to the first statement of the same round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    for statement in STATEMENTS:  # compiles what is not compiled yet
        seconds(statement)
    taken = [[seconds(statement) for statement in STATEMENTS] for _ in range(rounds)]
    print(f"{'median of ' + str(rounds):<46}{'seconds':>9}{'ratio':>7}")
    for statement, own in zip(STATEMENTS, zip(*taken, strict=True), strict=True):
        ratio = statistics.median(one / base[0] for one, base in zip(own, taken, strict=True))
        print(f"{statement:<46}{statistics.median(own):>9.3f}{ratio:>7.2f}")


if __name__ == "__main__":
    main()
