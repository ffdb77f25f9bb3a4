"""Make travelmode.csv.gz from the table that statsmodels ships, with mixlogit installed.

Usage: python build.py [output]
"""

from __future__ import annotations

import csv
import io
from importlib import resources
from pathlib import Path

from mixlogit.datasets._build import as_csv, main

MODES = {"1": "air", "2": "train", "3": "bus", "4": "car"}


def table() -> str:
    """The table as text: separated by commas, the modes by name."""
    source = resources.files("statsmodels.datasets.modechoice").joinpath("modechoice.csv")
    rows = csv.DictReader(io.StringIO(source.read_text("utf-8"), newline=""), delimiter=";")
    body = [list((row | {"mode": MODES[row["mode"]]}).values()) for row in rows]
    return as_csv([list(rows.fieldnames or ()), *body])


if __name__ == "__main__":
    main(__doc__, table, 0, Path(__file__).with_name("travelmode.csv.gz"))
