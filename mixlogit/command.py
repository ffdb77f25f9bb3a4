"""The command line: parse, read the table, fit or select, print, write files.

It stands apart from ``__main__`` so that importing it runs nothing and the order of imports is
checked. Formulas see the names of this module, so the functions that they may call are among them.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np  # noqa: F401 - for formulas, np.log(cost)
import pandas as pd
from numpy import exp, log, sqrt  # noqa: F401 - the same, log(cost)

from mixlogit import datasets
from mixlogit.chosen import CHOICE_RULES
from mixlogit.columns import other_separator
from mixlogit.errors import ArgumentError, DataError, MixlogitError, MixlogitWarning, did_you_mean
from mixlogit.model import MixedMultinomialLogit
from mixlogit.selection import select_classes
from mixlogit.summary import Summary
from mixlogit.terms import formula_record

__all__ = ["run"]

_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
_FORMS = {  # by option
    "latex": ("LaTeX", Summary.as_latex),
    "html": ("HTML", Summary.as_html),
    "csv": ("CSV", Summary.as_csv),
}
_OPERATOR = re.compile(r"[()<>=!&|~]")
_CRITERIA = ("aic", "bic", "caic", "sabic", "icl")

_HELP = """\
Latent-class logit models for discrete choices. Without a command, three classes of electricity
customers are fitted to the shipped survey."""
_EXIT_CODES = """\
exit codes:
  0    fitted, at a certified maximum; with select, some number of classes is
  1    fitted, but not at a certified maximum: what there is is printed and written all the same
  2    an option, the table, a formula or a file to write is wrong; nothing is fitted
  130  interrupted; what there was by then is printed and written all the same"""
_DATA_HELP = """\
DATA has one row per situation and available alternative: .csv, .csv.gz, .tsv, .tsv.gz, .parquet,
or - for CSV from standard input. FORMULA is in patsy's language, and may call np.log and its kin,
log, exp and sqrt."""
_FIT_EXAMPLE = """\
example:
  mixlogit fit trips.csv "choice ~ time + log(cost) + C(mode, Treatment('car'))" \\
      --situation trip --individual person --classes 3 --sign time=- --save trips.npz"""
_SELECT_EXAMPLE = """\
example:
  mixlogit select trips.csv "choice ~ time + cost" --situation trip --individual person \\
      --classes 1-6 --criterion bic"""


def run(argv: Sequence[str], version: str) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str
        Arguments after the name of the program.
    version : str
        What ``--version`` prints.

    Returns
    -------
    int
        Exit code: 0 for a certified maximum, 1 for a fit that is none, 2 for an error of the
        user's, 130 when interrupted.
    """
    with _spoken_warnings():
        try:
            arguments = _parser(version).parse_args(argv)
            return _COMMANDS[arguments.command](arguments)
        except MixlogitError as error:
            _say("error", error)
            return 2
        except KeyboardInterrupt:
            print("\ninterrupted", file=sys.stderr)
            return 130


# -- the commands ----------------------------------------------------------------------------------


def _demonstrate(arguments: argparse.Namespace) -> int:
    """Fit the shipped electricity survey and print the summary."""
    survey = datasets.load("electricity")
    model = MixedMultinomialLogit.from_formula(
        "choice ~ pf + cl + loc + wk + tod + seas",
        survey.data,
        n_classes=3,
        situation="situation",
        individual="person",
        alternative="alt",
    )
    _show(model.fit().summary(title=f"{survey.title}: three latent classes"))
    return 0


def _fit(arguments: argparse.Namespace) -> int:
    """Fit one number of classes."""
    _refuse_unwritable(arguments)
    result = _model(arguments, arguments.classes).fit(**_fit_keywords(arguments))
    summary = result.summary()
    _show(summary)
    _write(arguments, summary, result)
    if result.certificate().status == "interrupted":
        return 130
    return 0 if result.converged else 1


def _select(arguments: argparse.Namespace) -> int:
    """Fit several numbers of classes, compare them, and show the best."""
    _refuse_unwritable(arguments)
    model = _model(arguments, arguments.classes[0])
    selection = select_classes(model, arguments.classes, **_fit_keywords(arguments))
    summary = selection.summary()
    if not selection.table["converged"].any():
        _show(summary)
        _write(arguments, summary, None)
        _say("warning", "None of the fits is a certified maximum, so there is no best one.")
        return 130 if selection.left_out else 1
    best = selection.best(arguments.criterion)
    title = f"The best number of classes by {arguments.criterion.upper()}"
    _show(f"{summary}\n\n{best.summary(title=title)}")
    _write(arguments, summary, best)
    return 130 if selection.left_out else 0


_COMMANDS = {None: _demonstrate, "fit": _fit, "select": _select}


def _model(arguments: argparse.Namespace, n_classes: int) -> MixedMultinomialLogit:
    """Build the model. Formulas see what is named here, so little is."""
    model = MixedMultinomialLogit.from_formula(
        arguments.formula,
        _read_table(arguments.data, arguments.sep, arguments.decimal),
        n_classes,
        situation=arguments.situation,
        individual=arguments.individual,
        alternative=arguments.alternative,
        membership=arguments.membership,
        weights=arguments.weights,
        freq_weights=arguments.freq_weights,
        availability=arguments.availability,
        offset=arguments.offset,
        choices=arguments.choices,
        missing=arguments.missing,
        common=[name for group in arguments.common for name in group],
        constraints=arguments.constraint,
        signs=_once("sign", arguments.sign),
        available_in=_once("available-in", arguments.available_in),
        reference=arguments.reference,
    )
    if arguments.save is not None:
        formula_record(model.spec, {})  # refuses what cannot be saved, before the fit
    return model


def _once(option: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What an option that can be repeated says of each name, which it names once."""
    known = dict(pairs)
    if len(known) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ArgumentError(
            f"--{option} is given {names.count(twice)} times for {twice!r}. "
            "Give it once for each name."
        )
    return known


def _fit_keywords(arguments: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `fit`."""
    return {
        "n_starts": arguments.starts,
        "rng": arguments.seed,
        "penalty": arguments.penalty,
        "cov_type": arguments.cov,
        "cov_kwds": None if arguments.groups is None else {"groups": arguments.groups},
        "disp": False if arguments.quiet else None,
    }


# -- tables ----------------------------------------------------------------------------------------


def _read_table(name: str, separator: str | None, decimal: str) -> pd.DataFrame:
    """Read the table that a user names."""
    if name == "-":
        return _parsed("standard input", sys.stdin, ".csv", separator or ",", decimal)
    ending = next((e for e in reversed(_ENDINGS) if name.lower().endswith(e)), None)
    if ending is None:
        raise ArgumentError(
            f"{name!r} has none of the endings {', '.join(_ENDINGS)}, so it is not known how to "
            "read it. Rename or convert it, or pass CSV on standard input and - as its name."
        )
    path = Path(name)
    if not path.exists():
        near = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"There is no file {name!r}." + did_you_mean(path.name, near))
    own = "\t" if ending.startswith(".tsv") else ","
    return _parsed(repr(name), path, ending, separator or own, decimal)


def _parsed(what: str, source: Any, ending: str, separator: str, decimal: str) -> pd.DataFrame:
    """Read a file by its ending; what pandas cannot read is an error of the data."""
    try:
        if ending == ".parquet":
            return pd.read_parquet(source)
        # low_memory=False: types of whole columns
        table = pd.read_csv(source, sep=separator, decimal=decimal, low_memory=False)
    except ImportError as error:
        raise ArgumentError(
            f"{what} cannot be read, because pandas needs pyarrow or fastparquet for it. Install "
            "one with: pip install pyarrow"
        ) from error
    except OSError as error:
        raise DataError(f"{what} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # of pandas' parsers, and of decoding
        raise DataError(
            f"{what} does not hold a {ending} table: {error} If its columns are not separated by "
            f"{separator!r}, say so with --sep."
        ) from error
    hint = other_separator(table.columns)
    if hint:
        option = hint.replace("sep=", "--sep ").replace("decimal=", "--decimal ")
        raise DataError(f"{what} was read with {separator!r} between columns.{option}")
    return table


# -- files and words -------------------------------------------------------------------------------


def _outputs(arguments: argparse.Namespace) -> dict[str, Path]:
    """Files to write, by option."""
    named = {option: getattr(arguments, option) for option in (*_FORMS, "save")}
    return {option: Path(name) for option, name in named.items() if name is not None}


def _refuse_unwritable(arguments: argparse.Namespace) -> None:
    """Raise for a file that could not be written after the fit, or would replace the table."""
    taken = {Path(arguments.data).resolve(): "DATA"}
    for option, path in _outputs(arguments).items():
        problem = None
        if path.resolve() in taken:
            problem = f"it is also named as {taken[path.resolve()]}"
        elif path.is_dir():
            problem = "it is a folder"
        elif not path.parent.is_dir():
            problem = f"there is no folder {str(path.parent)!r}"
        elif not os.access(path if path.exists() else path.parent, os.W_OK):
            problem = "permission is denied"
        if problem:
            raise ArgumentError(f"--{option} cannot write {str(path)!r}: {problem}.")
        taken[path.resolve()] = f"--{option}"


def _write(arguments: argparse.Namespace, summary: Summary, result: Any) -> None:
    """Write the files that were asked for, results only if there are any."""
    for option, path in _outputs(arguments).items():
        try:
            if option == "save" and result is not None:
                result.to_file(path)
            elif option != "save":
                path.write_text(_FORMS[option][1](summary).rstrip("\n") + "\n", encoding="utf-8")
        except OSError as error:
            raise ArgumentError(
                f"--{option} cannot write {str(path)!r}: {error.strerror or error}."
            ) from error


def _show(what: object) -> None:
    """Print on standard output, whatever characters its encoding has."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(str(what).encode(encoding, "replace").decode(encoding), flush=True)
    except BrokenPipeError:  # who reads, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(kind: str, message: object) -> None:
    """Write one line on standard error."""
    line = re.sub(r"\s*\n\s*", " ", f"{kind}: {message}")
    print(line, file=sys.stderr)


@contextmanager
def _spoken_warnings() -> Iterator[None]:
    """Write warnings of the library as lines of their own, each as often as it is given."""
    with warnings.catch_warnings():
        shown_otherwise = warnings.showwarning

        def speak(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, MixlogitWarning):
                _say("warning", message)
            else:
                shown_otherwise(message, category, *where, **more)

        warnings.simplefilter("always", MixlogitWarning)
        warnings.showwarning = speak
        yield


# -- the options -----------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are those of the library."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message}. {self.prog} --help lists the options.")


def _parser(version: str) -> _Parser:
    """The options of all commands."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="mixlogit", description=_HELP, epilog=_EXIT_CODES, formatter_class=plain,
        allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"mixlogit {version}")
    commands = parser.add_subparsers(dest="command", metavar="{fit,select}")
    for name, purpose, example in (
        ("fit", "Fit a model with one number of classes.", _FIT_EXAMPLE),
        ("select", "Fit several numbers of classes and compare them.", _SELECT_EXAMPLE),
    ):
        command = commands.add_parser(
            name, help=purpose, description=f"{purpose}\n\n{_DATA_HELP}",
            epilog=f"{example}\n\n{_EXIT_CODES}", formatter_class=plain, allow_abbrev=False,
        )  # fmt: skip
        _add_model_options(command)
        if name == "fit":
            command.add_argument(
                "--classes", type=int, required=True, metavar="K", help="number of classes"
            )
        else:
            command.add_argument(
                "--classes", type=_numbers, required=True, metavar="RANGE",
                help="numbers of classes, such as 1-6 or 2,3,5",
            )  # fmt: skip
            command.add_argument(
                "--criterion", choices=_CRITERIA, default="bic",
                help="what the best number of classes has the smallest of (default: bic)",
            )  # fmt: skip
        _add_fit_options(command)
        _add_outputs(command, "summary" if name == "fit" else "comparison")
    return parser


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    """Options that say what the model is."""
    parser.add_argument("data", metavar="DATA", help="the table")
    parser.add_argument("formula", metavar="FORMULA", help='such as "choice ~ time + cost"')
    group = parser.add_argument_group("table")
    group.add_argument(
        "--sep", type=_mark, metavar="CHARACTER",
        help="what separates columns of text, such as ; or tab (default: the comma, and the tab "
        "in .tsv files)",
    )  # fmt: skip
    group.add_argument(
        "--decimal", choices=(".", ","), default=".",
        help="what numbers in text have before their decimals (default: .)",
    )  # fmt: skip
    group = parser.add_argument_group("model")
    for option, purpose in (
        ("situation", "column of choice situations; without it, all rows are one choice set"),
        ("individual", "column of individuals; without it, every choice has its own"),
        ("alternative", "column of alternatives"),
        ("weights", "column of sampling weights"),
        ("freq-weights", "column of numbers of identical individuals"),
        ("availability", "column of 0/1; rows with 0 are left out of their choice set"),
        ("offset", "column added to the utility of each row, with coefficient 1 in all classes"),
    ):
        group.add_argument(f"--{option}", metavar="COLUMN", help=purpose)
    group.add_argument(
        "--reference", metavar="ALTERNATIVE",
        help='reference of a formula in parts, such as "choice ~ cost | income"; the first if none',
    )  # fmt: skip
    group.add_argument(
        "--membership", metavar="FORMULA", default="1",
        help='right side of the membership formula, such as "age + C(sex)"',
    )  # fmt: skip
    group.add_argument(
        "--common", metavar="NAME,...", type=_names, action="append", default=[],
        help="attributes with one coefficient for all classes",
    )  # fmt: skip
    group.add_argument(
        "--constraint", metavar="EQUATION", action="append", default=[],
        help='such as "class1.time = 0"; can be repeated',
    )  # fmt: skip
    group.add_argument(
        "--sign", metavar="NAME=SIGN", type=_sign, action="append", default=[],
        help="sign of a coefficient, such as price=-; can be repeated",
    )  # fmt: skip
    group.add_argument(
        "--available-in", metavar="CLASS=NAME,...", type=_available, action="append", default=[],
        help='alternatives of a class that has not all, such as class1=car,bus; or an expression '
        'of columns that is true in its rows, such as "class2=(owner == 1) | (mode != \'car\')"; '
        "can be repeated",
    )  # fmt: skip
    group.add_argument(
        "--choices", choices=CHOICE_RULES, default="auto",
        help="what the choice column holds: one chosen row per situation, or counts (default: "
        "auto, which is one with --situation and counts without)",
    )  # fmt: skip
    group.add_argument(
        "--missing", choices=("raise", "drop"), default="raise",
        help="drop: leave out situations with a missing value (default: raise)",
    )  # fmt: skip


def _add_fit_options(parser: argparse.ArgumentParser) -> None:
    """Options that say how it is fitted."""
    group = parser.add_argument_group("fit")
    group.add_argument("--starts", type=int, metavar="N", help="candidates of the search")
    group.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="seed of the search (default: 0)"
    )
    group.add_argument(
        "--penalty", type=float, default=0.0, metavar="X", help="ridge penalty (default: 0)"
    )
    group.add_argument(
        "--cov", choices=("nonrobust", "opg", "robust", "cluster"),
        help="covariance of the estimates (default: nonrobust, robust with --weights)",
    )  # fmt: skip
    group.add_argument(
        "--groups", metavar="COLUMN", help="column of clusters of individuals, for --cov cluster"
    )


def _add_outputs(parser: argparse.ArgumentParser, what: str) -> None:
    """Options that name files to write."""
    group = parser.add_argument_group("output", "Files that exist are replaced.")
    for option, (form, _) in _FORMS.items():
        group.add_argument(f"--{option}", metavar="FILE", help=f"write the {what} as {form}")
    group.add_argument(
        "--save", metavar="FILE",
        help="write the results and their data, for mixlogit.read_results in Python",
    )  # fmt: skip
    group.add_argument("--quiet", action="store_true", help="no progress line on a terminal")


def _mark(text: str) -> str:
    """One character between columns; a tab may be named."""
    mark = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(mark) != 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not one character, such as ; or tab")
    return mark


def _names(text: str) -> list[str]:
    """Names between commas, which may themselves hold commas in brackets."""
    names, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            names.append("")
        else:
            names[-1] += letter
    return [name.strip() for name in names if name.strip()]


def _sign(text: str) -> tuple[str, str]:
    """A name and a sign."""
    name, equals, sign = text.rpartition("=")
    if not equals or sign.strip() not in ("+", "-"):
        raise argparse.ArgumentTypeError(f"{text!r} is no name, =, and + or -, such as price=-")
    return name.strip(), sign.strip()


def _available(text: str) -> tuple[str, str | list[str]]:
    """A class, and its alternatives or an expression of columns, which has an operator."""
    name, equals, rule = (part.strip() for part in text.partition("="))
    if not (name and equals and rule):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no class, =, and alternatives or an expression, such as class1=car,bus"
        )
    return name, rule if _OPERATOR.search(rule) else _names(rule)


def _seed(text: str) -> int:
    """A seed."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 0")
    return int(text)


def _numbers(text: str) -> list[int]:
    """Numbers of classes, once each and in order."""
    found: set[int] = set()
    for part in text.split(","):
        ends = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        numbers = range(int(ends[1]), int(ends[2] or ends[1]) + 1) if ends else range(0)
        if not numbers or numbers[0] < 1:
            raise argparse.ArgumentTypeError(
                f"{part.strip()!r} is no number of classes or range of them, such as 1-6"
            )
        found.update(numbers)
    return sorted(found)
