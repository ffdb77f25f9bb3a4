"""Tables of choices that the benchmarks share, written once as one file for each column.

python docs/benchmarks/designs.py tables S M electricity 2000-10-5-8-3
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

IDS = ("person", "situation", "alternative", "choice")


class Sizes(NamedTuple):
    """A simulated panel: people × situations × alternatives, attributes, classes."""

    people: int
    situations: int
    alternatives: int
    attributes: int
    classes: int


SIZES = {
    "S": Sizes(500, 8, 3, 5, 2),
    "M": Sizes(2_000, 10, 5, 8, 3),
    "L": Sizes(10_000, 10, 5, 10, 5),
    "XL": Sizes(50_000, 10, 10, 12, 4),
    "million": Sizes(20_000, 10, 5, 8, 1),
}


def sizes_of(name: str) -> Sizes | None:
    """Sizes of a simulated panel by its name, or written out with hyphens; None for a survey."""
    if name in SIZES:
        return SIZES[name]
    return Sizes(*map(int, name.split("-"))) if "-" in name else None


def draw(sizes: Sizes, seed: int = 0) -> dict[str, np.ndarray]:
    """Draw choices by people of latent classes.

    Tastes are standard normal, shares proportional to linspace(1, 2, K). Attributes are standard
    normal, and in the second half of them 1 where that is positive and else 0. Everybody belongs
    to one class and takes what has the largest utility, with Gumbel errors.
    """
    people, situations, alternatives, attributes, classes = sizes
    rng = np.random.default_rng(seed)
    tastes = rng.standard_normal((classes, attributes))
    shares = np.linspace(1, 2, classes)
    own = rng.choice(classes, people, p=shares / shares.sum())
    row = np.arange(people * situations * alternatives)
    person = row // (situations * alternatives)
    utility = rng.gumbel(size=row.size)
    columns = {
        "person": person.astype(np.int32),
        "situation": (row // alternatives).astype(np.int32),
        "alternative": (row % alternatives).astype(np.int32),
    }
    for j in range(attributes):  # by column, so that a large table is held once
        x = rng.standard_normal(row.size)
        if j >= attributes - attributes // 2:
            x = (x > 0).astype(float)
        utility += x * tastes[own[person], j]
        columns[f"x{j + 1}"] = x
    best = utility.reshape(-1, alternatives).argmax(axis=1)
    columns["choice"] = (columns["alternative"] == np.repeat(best, alternatives)).astype(np.int8)
    return columns


def survey(name: str) -> dict[str, np.ndarray]:
    """Columns of a shipped survey, with its design written out: constants are columns too."""
    from mixlogit import datasets  # only where it is asked for: rivals read these tables as well

    data = datasets.load(name).data
    if name == "electricity":
        attributes = {key: data[key] for key in ("pf", "cl", "loc", "wk", "tod", "seas")}
        data = data.rename(columns={"alt": "alternative"})
    else:
        data = data.query("purpose in (1, 3)")
        attributes = {
            "train": data["alternative"] == "train",
            "car": data["alternative"] == "car",
            "time": data["travel_time"] / 100,
            "cost": data["cost_paid"] / 100,
        }
        data = data.assign(alternative=data["alternative"].map({"train": 0, "sm": 1, "car": 2}))
    columns = {key: data[key].to_numpy(np.int32) for key in IDS[:3]}
    columns["choice"] = data["choice"].to_numpy(np.int8)
    return columns | {key: value.to_numpy(float) for key, value in attributes.items()}


def write(folder: Path, name: str) -> None:
    """Write a table, unless it is there."""
    target = folder / name
    if (target / "columns.json").exists():
        return
    target.mkdir(parents=True, exist_ok=True)
    sizes = sizes_of(name)
    columns = draw(sizes) if sizes else survey(name)
    for key, value in columns.items():
        np.save(target / f"{key}.npy", value)
    (target / "columns.json").write_text(json.dumps(list(columns)))


def read(folder: Path) -> dict[str, np.ndarray]:
    """Read the columns of a table."""
    names = json.loads((folder / "columns.json").read_text())
    return {name: np.load(folder / f"{name}.npy") for name in names}


def attributes(columns: dict[str, np.ndarray]) -> list[str]:
    """Names of the columns that have coefficients."""
    return [name for name in columns if name not in IDS]


if __name__ == "__main__":
    for table in sys.argv[2:]:
        write(Path(sys.argv[1]), table)
