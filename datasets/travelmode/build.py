"""Make travelmode.csv.gz from the table that statsmodels ships.

Usage: python build.py [output]
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
from importlib import resources
from pathlib import Path

MODES = {"1": "air", "2": "train", "3": "bus", "4": "car"}


def table() -> str:
    """The table as text: separated by commas, the modes by name."""
    source = resources.files("statsmodels.datasets.modechoice").joinpath("modechoice.csv")
    rows = csv.DictReader(io.StringIO(source.read_text("utf-8"), newline=""), delimiter=";")
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows.fieldnames or (), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row | {"mode": MODES[row["mode"]]})
    return text.getvalue()


def write(text: str, output: Path) -> None:
    """Compress without time and file name, so that the same table gives the same bytes."""
    with (
        output.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=raw, mtime=0) as stream,
    ):
        stream.write(text.encode("utf-8"))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    target = sys.argv[1] if len(sys.argv) == 2 else Path(__file__).with_name("travelmode.csv.gz")
    write(table(), Path(target))
