"""What the scripts share that make the tables from their sources."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path


def read_wheel(wheel: str, member: str) -> io.StringIO:
    """Open a compressed table that lies in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return io.StringIO(gzip.decompress(archive.read(member)).decode("utf-8"), newline="")


def as_csv(rows: Iterable[Iterable[str]]) -> str:
    """Write rows with commas and with line ends as on Unix."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write(text: str, output: Path) -> None:
    """Compress without time and file name, so that the same table gives the same bytes."""
    with (
        output.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=raw, mtime=0) as stream,
    ):
        stream.write(text.encode("utf-8"))


def main(usage: str | None, table: Callable[..., str], n_sources: int, output: Path) -> None:
    """Build a table from the sources named on the command line."""
    arguments = sys.argv[1:]
    if not n_sources <= len(arguments) <= n_sources + 1:
        sys.exit(usage)
    target = Path(arguments[n_sources]) if len(arguments) > n_sources else output
    write(table(*arguments[:n_sources]), target)
