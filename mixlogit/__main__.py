"""``mixlogit`` and ``python -m mixlogit``: the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mixlogit import __version__
from mixlogit.command import run

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the name of the program; those of the process if None.

    Returns
    -------
    int
        Exit code, see ``mixlogit --help``.
    """
    return run(sys.argv[1:] if argv is None else argv, __version__)


if __name__ == "__main__":
    sys.exit(main())
