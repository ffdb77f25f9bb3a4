"""The record that `load` returns, and the one reader of the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    import pandas as pd


@dataclass(frozen=True)
class PublishedResult:
    """A log-likelihood that somebody else printed for these data.

    Attributes
    ----------
    specification : str
        The model, in words.
    log_likelihood : float
        The maximum, to the digits that were printed.
    where : str
        Where it was printed.
    formula : str
        The model as a formula on the columns of ``Dataset.data``.
    keywords : mapping
        The columns that ``MixedMultinomialLogit.from_formula`` asks for by name: alternative,
        situation, individual.
    subset : str or None
        The rows used, as an expression for ``DataFrame.query``; None for all.
    n_classes : int
        The number of classes.
    """

    specification: str
    log_likelihood: float
    where: str
    formula: str
    keywords: Mapping[str, str] = field(default_factory=dict)
    subset: str | None = None
    n_classes: int = 1


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A table of choices and what one must know to use and cite it.

    Attributes
    ----------
    name, title : str
        The name that `load` takes, and one line on what it is.
    data : DataFrame
        One row per situation and available alternative.
    columns : DataFrame
        One row per column of `data`, with ``"unit"`` and ``"description"``.
    source, licence, citation : str
        Where the table comes from, on what terms, and what to cite.
    published : tuple of PublishedResult
        Log-likelihoods that others printed for these data.
    wide : DataFrame or None
        The table as published, where that has one row per situation.
    """

    name: str
    title: str
    data: pd.DataFrame
    columns: pd.DataFrame
    source: str
    licence: str
    citation: str
    published: tuple[PublishedResult, ...]
    wide: pd.DataFrame | None = None

    def __repr__(self) -> str:
        n_rows, n_columns = self.data.shape
        return f"<Dataset {self.name!r}: {self.title}; {n_rows:,} rows, {n_columns} columns>"


def tables() -> Traversable:
    """The folder of the tables: installed inside this package, beside the package in a checkout."""
    installed = resources.files(__package__) / "tables"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "datasets"


def read_table(name: str) -> pd.DataFrame:
    """A fresh frame from the compressed table of a data set, also when that is inside a zip."""
    import pandas as pd

    with (tables() / name / f"{name}.csv.gz").open("rb") as stream:
        return pd.read_csv(stream, compression="gzip")


def describe_columns(rows: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """The frame for ``Dataset.columns`` from column → (unit, description)."""
    import pandas as pd

    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["unit", "description"])
    return frame.rename_axis(index="column")
