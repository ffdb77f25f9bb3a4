"""The figure of the README.

    python docs/figures.py

fits three classes of electricity customers and writes ``docs/figures/wtp.png``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

from mixlogit import MixedMultinomialLogit, datasets

FOLDER = Path(__file__).parent / "figures"


def main() -> None:
    """Draw what a local supplier is worth to each class, with robust errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the figure goes")
    folder = parser.parse_args().folder
    matplotlib.use("agg")
    model = MixedMultinomialLogit.from_formula(
        "choice ~ pf + cl + loc + wk + tod + seas",
        datasets.load("electricity").data,
        n_classes=3,
        situation="situation",
        individual="person",
        alternative="alt",
    )
    ax = model.fit(cov_type="robust").plot_wtp("loc", "pf")
    ax.set_xlabel("willingness to pay for a local supplier,\nUS cents per kWh, with 95% interval")
    folder.mkdir(parents=True, exist_ok=True)
    ax.figure.savefig(folder / "wtp.png", dpi=150)


if __name__ == "__main__":
    main()
