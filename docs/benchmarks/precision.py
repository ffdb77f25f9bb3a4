"""What tables in single precision cost and save: default fits beside those of float64 tables.

Differences are the largest over parameters. Every fit is a process of its own, which notes its
resident memory once the user's table is there. Linux only.

    python docs/benchmarks/precision.py
"""

from __future__ import annotations

import argparse
import json

from memory import MEGABYTE, child, peak, resident

# Only the children import numpy: a child's peak begins with the memory of its parent.
TABLES = {"electricity": 3, "swissmetro": 3, "L": 5}  # and how many classes


def fitted(table: str, n_classes: int, dtype: str) -> dict[str, object]:
    """Fit a table in this process."""
    import designs
    import pandas as pd

    from mixlogit import MixedMultinomialLogit

    sizes = designs.sizes_of(table)
    columns = designs.draw(sizes) if sizes else designs.survey(table)
    names = designs.attributes(columns)
    frame = pd.DataFrame(columns, copy=False)
    del columns
    before = resident()
    model = MixedMultinomialLogit.from_formula(
        "choice ~ " + " + ".join(names),
        frame,
        n_classes,
        situation="situation",
        individual="person",
        alternative="alternative",
        dtype=dtype,
    )
    result = model.fit()
    return {
        "shape": list(model.choices.exog.shape),
        "llf": float(result.llf),
        "params": [float(value) for value in result.params],
        "bse": [float(value) for value in result.bse],
        "above": peak() - before,
        "notes": list(model.choices.notes),
    }


def main() -> None:
    """Print one line for each table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        table, n_classes, dtype = args.child
        print(json.dumps(fitted(table, int(n_classes), dtype)))
        return
    print(f"{'table':14}{'rows x L':>14}{'K':>3}{'log-likelihood':>18}{'difference':>13}", end="")
    print(f"{'estimates':>12}{'errors':>12}{'above the table':>22}")
    for table, n_classes in TABLES.items():
        double, single = (
            child(__file__, table, n_classes, dtype) for dtype in ("float64", "float32")
        )
        moved, wider = (
            max(
                abs(b - a) / error
                for a, b, error in zip(double[name], single[name], double["bse"], strict=True)
            )
            for name in ("params", "bse")
        )
        rows, n_attributes = double["shape"]
        print(
            f"{table:14}{rows:>10,} x{n_attributes:2}{n_classes:3}{double['llf']:18.6f}"
            f"{single['llf'] - double['llf']:13.1e}{moved:9.1e} se{wider:9.1e} se"
            f"{double['above'] / MEGABYTE:10.0f} / {single['above'] / MEGABYTE:.0f} MB"
        )
        for note in single["notes"]:
            print(f"   {note}")


if __name__ == "__main__":
    main()
