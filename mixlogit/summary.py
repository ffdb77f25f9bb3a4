"""Summaries: tidy frames as text, HTML, LaTeX and CSV.

Nothing here knows a model. The look is that of the statsmodels summaries; the drawing is our own,
because ``statsmodels.iolib.table.SimpleTable`` has no headings across columns, leaves ``<`` and
``&`` as they are in HTML, and escapes only some of the characters that LaTeX reserves.
"""

from __future__ import annotations

import csv
import html
import io
import re
import textwrap
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mixlogit.errors import ArgumentError

__all__ = ["Block", "Summarised", "Summary", "coefficient_table"]

MIN_WIDTH = 78
MAX_WIDTH = 100

_MIN_LABEL = 12  # characters
_COLUMN = 11  # characters, with the gap; as in statsmodels
_GAP = 2  # characters between columns that had to move together
_MAX_CELL = 12  # characters; six such columns leave room for a label
_MAX_COLUMNS = 6  # in text; a wider block continues below


@dataclass(frozen=True, eq=False)
class Block:
    """One group of rows under one heading.

    Parameters
    ----------
    heading : str
        The line above the rows, such as ``"Class 1 (share 0.462, std err 0.031)"``.
    table : pandas.DataFrame
        The index holds the row labels, the column labels are the header. The first column is
        printed with four decimals, the others with three; numbers too large or too small for that,
        with as many significant digits. Columns whose label starts with ``P>`` may show 0.000.
        Integers and strings are printed as they are.

    Raises
    ------
    ArgumentError
        If column labels are repeated, or one is "block" or "name", which the CSV form needs.
    """

    heading: str
    table: pd.DataFrame

    def __post_init__(self) -> None:
        columns = [_label(column) for column in self.table.columns]
        repeated = [column for column, times in Counter(columns).items() if times > 1]
        if repeated:
            raise ArgumentError(
                f"The table of block {self.heading!r} has more than one column {repeated[0]!r}. "
                "Rename the columns so that each label occurs once."
            )
        reserved = sorted({"block", "name"}.intersection(columns))
        if reserved:
            raise ArgumentError(
                f"The table of block {self.heading!r} has a column {reserved[0]!r}, a name that "
                "the CSV form uses for the heading or the row label. Rename that column."
            )


@dataclass(frozen=True, eq=False, repr=False)
class Summary:
    """A titled table with a header of pairs, blocks of rows and notes.

    Parameters
    ----------
    title : str
        The title.
    header : tuple of (str, str)
        Labels and values, laid out in two columns: the first half, rounded up, on the left. A pair
        of empty strings leaves its place blank, so that a caller can choose what stands on which
        side.
    blocks : tuple of Block
        The blocks, in order. Their columns share widths, so that they align under one another; the
        column labels are repeated only where they change.
    notes : tuple of str
        The notes; they are numbered from 1.

    Notes
    -----
    Text is 78 to 100 characters wide. Row labels that do not fit are shortened in the middle, never
    so that two different labels look the same; the other forms show them whole.
    """

    title: str
    header: tuple[tuple[str, str], ...] = ()
    blocks: tuple[Block, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return self.as_html()

    def as_text(self) -> str:
        """Text of 78 to 100 columns.

        Returns
        -------
        str
            Lines without trailing blanks, the last one without a line break.
        """
        pieces = [piece for block in self.blocks for piece in _pieces(_grid(block))]
        left, right = _halves(self.header)
        layout = _layout(pieces, _longest_pair(left), _longest_pair(right))
        lines = ["=" * layout.width, *_centred(self.title, layout.width), "=" * layout.width]
        if self.header:
            lines += _header_lines(left, right, layout.width)
            lines += ["=" * layout.width]
        if pieces:
            lines += _block_lines(pieces, layout)
            lines += ["=" * layout.width]
        if self.notes:
            lines += ["", "Notes:"]
        for number, note in enumerate(self.notes, 1):
            mark = f"[{number}] "
            lines += _wrap(mark + note, layout.width, hanging=len(mark))
        return "\n".join(line.rstrip() for line in lines)

    def as_html(self) -> str:
        """HTML: a table of class ``simpletable`` each for the header, the blocks and the notes.

        Returns
        -------
        str
            A fragment. Names are escaped; header cells carry their scope.
        """
        tables = [_html_header(self.title, self.header)]
        if self.blocks:
            tables.append(_html_blocks([_grid(block) for block in self.blocks]))
        if self.notes:
            tables.append(_html_notes(self.notes))
        return "\n".join(tables)

    def as_latex(self) -> str:
        r"""LaTeX: a ``tabular`` for the header, one for the blocks, and the notes as text.

        Returns
        -------
        str
            A fragment without floats, fit for the body of a document or a ``table``. It needs only
            the package ``booktabs``. Every reserved character of a name is escaped.
        """
        parts = [rf"\textbf{{{_latex(self.title)}}}"]
        if self.header:
            parts.append(_latex_header(self.header))
        if self.blocks:
            parts.append(_latex_blocks([_grid(block) for block in self.blocks]))
        centre = "\n\\par\\medskip\n".join(parts)
        lines = [r"\begin{center}", centre, r"\end{center}"]
        if self.notes:
            lines.append(r"\noindent Notes:\par")
        for number, note in enumerate(self.notes, 1):
            lines.append(rf"\noindent {{}}[{number}] {_latex(note)}\par")
        return "\n".join(lines)

    def as_csv(self) -> str:
        """One rectangular table in full precision, for ``pandas.read_csv``.

        Returns
        -------
        str
            Columns ``block``, ``name``, every column of the blocks in order of appearance, and
            ``value``. A row of a block has the heading in ``block`` and the row label in ``name``.
            The title and the pairs of the header have ``block="header"``, the notes
            ``block="note"``; their text is in ``value``.

        Notes
        -----
        Floats are written with the digits that give back the same float. To read them to the last
        bit, pandas before 3.1 wants ``float_precision="round_trip"``; later versions always do so.
        """
        columns = {_label(column): None for block in self.blocks for column in block.table.columns}
        fields = list(dict.fromkeys(["block", "name", *columns, "value"]))
        rows = [{"block": "header", "name": "title", "value": self.title}]
        rows += [
            {"block": "header", "name": str(label), "value": str(value)}
            for label, value in self.header
            if str(label) or str(value)
        ]
        for block in self.blocks:
            rows += _csv_rows(block)
        rows += [
            {"block": "note", "name": str(number), "value": note}
            for number, note in enumerate(self.notes, 1)
        ]
        stream = io.StringIO()
        writer = csv.DictWriter(stream, fields, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return stream.getvalue()


class Summarised:
    """What is shown by its summary, as text and in notebooks."""

    if TYPE_CHECKING:

        def summary(self) -> Summary: ...

    def __str__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary().as_html()


def coefficient_table(
    estimate: ArrayLike,
    std_err: ArrayLike,
    statistic: ArrayLike,
    pvalue: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    names: Sequence[str],
    alpha: float = 0.05,
    use_t: bool = False,
) -> pd.DataFrame:
    """A table of coefficients with the column labels of statsmodels.

    Parameters
    ----------
    estimate, std_err, statistic, pvalue, lower, upper : array_like, shape (D,)
        One entry per coefficient; NaN where a number does not exist.
    names : sequence of str, length D
        The row labels.
    alpha : float
        One less the level of the interval from `lower` to `upper`, for the labels of the bounds.
    use_t : bool
        Label the statistic "t" instead of "z".

    Returns
    -------
    pandas.DataFrame, shape (D, 6)
        Columns ``coef``, ``std err``, ``z``, ``P>|z|``, ``[0.025`` and ``0.975]``, unrounded.

    Raises
    ------
    ArgumentError
        If `alpha` is not between 0 and 1, or an array does not have one entry per name.
    """
    if not 0 < alpha < 1:
        raise ArgumentError(
            f"alpha must lie between 0 and 1, but it is {alpha!r}; 0.05 gives 95% intervals."
        )
    letter = "t" if use_t else "z"
    given = {
        "coef": estimate,
        "std err": std_err,
        letter: statistic,
        f"P>|{letter}|": pvalue,
        f"[{alpha / 2:.6g}": lower,
        f"{1 - alpha / 2:.6g}]": upper,
    }
    columns = {label: np.asarray(values, dtype=float) for label, values in given.items()}
    for label, values in columns.items():
        if values.shape != (len(names),):
            raise ArgumentError(
                f"There are {len(names)} names, but the array for column {label!r} has shape "
                f"{values.shape}. Pass one entry per name."
            )
    return pd.DataFrame(columns, index=pd.Index(list(names), dtype=object))


# Numbers as strings


@dataclass(frozen=True)
class _Grid:
    """A block as strings: what all printed forms show."""

    heading: str
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]  # rows of cells


def _grid(block: Block) -> _Grid:
    """The strings of a block."""
    table = block.table
    columns = tuple(_label(column) for column in table.columns)
    formatted = [_strings(table.iloc[:, j], j, label) for j, label in enumerate(columns)]
    return _Grid(
        heading=_one_line(block.heading),
        columns=columns,
        labels=tuple(_label(label) for label in table.index),
        cells=tuple(zip(*formatted, strict=True)) if formatted else ((),) * len(table),
    )


def _strings(values: pd.Series, position: int, label: str) -> list[str]:
    """The entries of a column as they are printed."""
    if label.startswith("P>"):
        return [_number(value, decimals=3, smallest=0.0) for value in values]
    decimals = 4 if position == 0 else 3
    return [_number(value, decimals, smallest=10.0**-decimals) for value in values]


def _number(value: Any, decimals: int, smallest: float) -> str:
    """A number as in statsmodels; below the smallest its first digits are shown, not 0.000."""
    if isinstance(value, (bool, np.bool_, str)):
        return _one_line(str(value))
    if value is None or value is pd.NA:
        return "nan"
    if isinstance(value, (int, np.integer)):
        digits = str(int(value))
        return digits if len(digits) <= _MAX_CELL else f"{float(value):.4g}"
    if not isinstance(value, (float, np.floating)):
        return _one_line(str(value))
    number = float(value)
    size = abs(number)
    if not np.isfinite(size):
        return f"{number:g}"
    if size == 0:
        return f"{0:.{decimals}f}"  # also for minus zero
    return f"{number:.{decimals}f}" if smallest <= size < 1e4 else f"{number:#.{decimals}g}"


def _label(name: Hashable) -> str:
    """A row or column label on one line; the levels of a MultiIndex joined by commas."""
    return _one_line(", ".join(map(str, name)) if isinstance(name, tuple) else str(name))


def _one_line(text: str) -> str:
    """Line breaks and tabs, which would break the alignment, as blanks."""
    return re.sub(r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]", " ", text)


def _with_colon(label: str) -> str:
    """A header label as it is printed."""
    return label if not label or label.endswith(":") else f"{label}:"


def _halves(
    header: Sequence[tuple[str, str]],
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The pairs of the left column, which is filled first, and those of the right."""
    pairs = [(_with_colon(_one_line(str(label))), _one_line(str(value))) for label, value in header]
    half = (len(pairs) + 1) // 2
    return pairs[:half], pairs[half:]


# Text


@dataclass(frozen=True)
class _Layout:
    """Widths in characters, shared by all blocks."""

    width: int
    label: int
    columns: tuple[int, ...]


def _layout(pieces: Sequence[_Grid], left: int, right: int) -> _Layout:
    """Widths that show every number, and as much of the labels as 100 columns can hold."""
    gap = 3 if right else 0
    count = max((len(piece.columns) for piece in pieces), default=0)
    tight = [
        _GAP
        + max(
            len(row[j]) for piece in pieces for row in (piece.columns, *piece.cells) if j < len(row)
        )
        for j in range(count)
    ]
    roomy = [max(_COLUMN, column) for column in tight]
    longest = max((len(label) for piece in pieces for label in piece.labels), default=0)
    longest = max(longest, _MIN_LABEL)

    width = min(MAX_WIDTH, max(MIN_WIDTH, longest + sum(roomy), left + gap + right))
    columns = roomy if longest + sum(roomy) <= width else tight
    label = min(longest, width - sum(columns))
    spare = width - label - sum(columns)
    widened = tuple(column + min(3, spare // count) for column in columns)
    return _Layout(width, width - sum(widened), widened)


def _block_lines(pieces: Sequence[_Grid], layout: _Layout) -> Iterator[str]:
    """The blocks, with the header of columns wherever it changes."""
    names = _shortened((label for piece in pieces for label in piece.labels), layout.label)
    rule = "-" * layout.width
    previous: tuple[str, ...] | None = None
    for piece in pieces:
        if previous is not None:
            yield rule
        if piece.columns != previous:
            yield _row_line("", piece.columns, layout)
            yield rule
        previous = piece.columns
        if piece.heading:
            yield from _wrap(piece.heading, layout.width)
            yield rule
        for label, cells in zip(piece.labels, piece.cells, strict=True):
            yield _row_line(names[label], cells, layout)


def _row_line(label: str, cells: Sequence[str], layout: _Layout) -> str:
    """One row: the label on the left, the cells on the right of their columns."""
    padded = (cell.rjust(width) for cell, width in zip(cells, layout.columns, strict=False))
    return label.ljust(layout.label) + "".join(padded)


def _pieces(grid: _Grid) -> Iterator[_Grid]:
    """The block in parts of at most six columns with cells of at most twelve characters."""
    short = _shortened((cell for row in (grid.columns, *grid.cells) for cell in row), _MAX_CELL)
    for start in range(0, max(1, len(grid.columns)), _MAX_COLUMNS):
        part = slice(start, start + _MAX_COLUMNS)
        yield _Grid(
            heading=grid.heading if start == 0 else f"{grid.heading} (continued)".strip(),
            columns=tuple(short[column] for column in grid.columns[part]),
            labels=grid.labels,
            cells=tuple(tuple(short[cell] for cell in row[part]) for row in grid.cells),
        )


def _longest_pair(pairs: Sequence[tuple[str, str]]) -> int:
    """The characters that the longest pair needs on one line."""
    return max((len(label) + _GAP + len(value) for label, value in pairs), default=0)


def _header_lines(
    left: Sequence[tuple[str, str]], right: Sequence[tuple[str, str]], width: int
) -> Iterator[str]:
    """The header in two columns, of equal width where both fit."""
    if not right:
        yield from _pair_lines(left, width)
        return
    room = width - 3  # three blanks between the columns
    left_width = room // 2
    if _longest_pair(left) + _longest_pair(right) <= room:
        left_width = max(left_width, _longest_pair(left))
        left_width = min(left_width, room - _longest_pair(right))
    lines = zip_longest(
        _pair_lines(left, left_width), _pair_lines(right, room - left_width), fillvalue=""
    )
    for one, two in lines:
        yield f"{one.ljust(left_width)}   {two}"


def _pair_lines(pairs: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    """Each pair with the label on the left and the value on the right; on more lines if it must."""
    for label, value in pairs:
        if not label and not value:
            yield ""
        elif len(label) + _GAP + len(value) <= width:
            yield label + value.rjust(width - len(label))
        else:
            yield from _wrap(label, width)
            yield from (line.rjust(width) for line in _wrap(value, width - _GAP))


def _wrap(text: str, width: int, hanging: int = 0) -> list[str]:
    """Lines no longer than the width; all but the first are indented."""
    return textwrap.wrap(text, width, subsequent_indent=" " * hanging, break_on_hyphens=False)


def _centred(text: str, width: int) -> list[str]:
    """The lines of a text in the middle of the width."""
    return [line.center(width) for line in _wrap(text, width)]


def _shortened(labels: Iterable[str], width: int) -> dict[str, str]:
    """Every label in at most that many characters; different labels stay different."""
    distinct = list(dict.fromkeys(labels))  # in order, so that any numbers ascend
    result = {label: label for label in distinct if len(label) <= width}
    taken = set(result)
    long = [label for label in distinct if len(label) > width]
    middle = width // 2  # characters kept at the end; a longer end wins over a longer beginning
    tails = [*range(middle, width), *range(middle - 1, 0, -1)]
    tried: dict[int, Counter[str]] = {}
    for label in long:
        for tail in tails:
            if tail not in tried:
                tried[tail] = Counter(_cut(other, width, tail) for other in long)
            cut = _cut(label, width, tail)
            if tried[tail][cut] == 1 and cut not in taken:
                break
        else:  # they differ only where every cut falls
            number = 1
            while (cut := _numbered(label, width, number)) in taken:
                number += 1
        result[label] = cut
        taken.add(cut)
    return result


def _cut(label: str, width: int, tail: int) -> str:
    """The label without its middle."""
    return f"{label[: width - 1 - tail]}…{label[len(label) - tail :]}"


def _numbered(label: str, width: int, number: int) -> str:
    """The beginning of the label and a number."""
    ending = f"…#{number}"
    return label[: width - len(ending)] + ending


# HTML


def _html_header(title: str, header: Sequence[tuple[str, str]]) -> str:
    """The title as a caption over the pairs."""
    left, right = _halves(header)
    lines = [_HTML_TABLE, f"<caption>{_html(title)}</caption>", "<tbody>"]
    for pairs in zip_longest(left, right, fillvalue=("", "")):
        shown = pairs if right else pairs[:1]
        cells = "".join(_html_stub(label) + f"<td>{_html(value)}</td>" for label, value in shown)
        lines.append(f"<tr>{cells}</tr>")
    return "\n".join([*lines, "</tbody>", "</table>"])


def _html_blocks(grids: Sequence[_Grid]) -> str:
    """One body of rows for each block."""
    count = max(len(grid.columns) for grid in grids)
    lines = [_HTML_TABLE, "<thead>", _html_columns(grids[0].columns, count), "</thead>"]
    previous = grids[0].columns
    for grid in grids:
        lines.append("<tbody>")
        if grid.columns != previous:
            lines.append(_html_columns(grid.columns, count))
        previous = grid.columns
        if grid.heading:
            lines.append(
                f'<tr><th scope="rowgroup" colspan="{count + 1}" style="text-align: left">'
                f"{_html(grid.heading)}</th></tr>"
            )
        for label, cells in zip(grid.labels, grid.cells, strict=True):
            data = "".join(f"<td>{_html(cell)}</td>" for cell in cells)
            lines.append(f"<tr>{_html_stub(label)}{data}{_html_blank(count - len(cells))}</tr>")
        lines.append("</tbody>")
    return "\n".join([*lines, "</table>"])


def _html_columns(columns: Sequence[str], count: int) -> str:
    """The row of column labels."""
    cells = "".join(f'<th scope="col">{_html(column)}</th>' for column in columns)
    return f"<tr><td></td>{cells}{_html_blank(count - len(columns))}</tr>"


def _html_notes(notes: Sequence[str]) -> str:
    """The numbered notes."""
    lines = [
        '<table class="simpletable" style="text-align: left">',
        '<caption style="text-align: left">Notes</caption>',
        "<tbody>",
    ]
    for number, note in enumerate(notes, 1):
        cell = f'<td style="text-align: left">{_html(note)}</td>'
        lines.append(f'<tr><th scope="row">[{number}]</th>{cell}</tr>')
    return "\n".join([*lines, "</tbody>", "</table>"])


def _html_stub(label: str) -> str:
    """A label on the left of its row; an empty one heads nothing."""
    return f'<th scope="row" style="text-align: left">{_html(label)}</th>' if label else "<td></td>"


def _html_blank(count: int) -> str:
    """Empty cells that complete a row."""
    return f'<td colspan="{count}"></td>' if count else ""


def _html(text: str) -> str:
    """Text without the characters that HTML reserves."""
    return html.escape(str(text))


_HTML_TABLE = '<table class="simpletable" style="text-align: right">'


# LaTeX


def _latex_header(header: Sequence[tuple[str, str]]) -> str:
    """The pairs in four columns, or two if there is one pair."""
    left, right = _halves(header)
    rows = [
        _latex_row([cell for label, value in pairs for cell in (_latex(label), _latex_cell(value))])
        for pairs in (
            zip_longest(left, right, fillvalue=("", "")) if right else zip(left, strict=True)
        )
    ]
    return _latex_tabular("lrlr" if right else "lr", rows)


def _latex_blocks(grids: Sequence[_Grid]) -> str:
    """All blocks in one tabular, the headings across its columns."""
    count = max(len(grid.columns) for grid in grids)
    rows: list[str] = []
    previous: tuple[str, ...] | None = None
    for grid in grids:
        if previous is not None:
            rows.append(r"\midrule")
        if grid.columns != previous:
            labels = ["", *(_latex(column) for column in grid.columns)]
            rows += [_latex_row(labels, count + 1), r"\midrule"]
        previous = grid.columns
        if grid.heading:
            heading = rf"\multicolumn{{{count + 1}}}{{l}}{{\textit{{{_latex(grid.heading)}}}}}"
            rows += [_latex_row([heading]), r"\midrule"]
        for label, cells in zip(grid.labels, grid.cells, strict=True):
            rows.append(_latex_row([_latex(label), *map(_latex_cell, cells)], count + 1))
    return _latex_tabular("l" + "r" * count, rows)


def _latex_tabular(columns: str, rows: Sequence[str]) -> str:
    """A tabular between rules."""
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)


def _latex_row(cells: Sequence[str], count: int = 0) -> str:
    """A row, completed to the count of cells."""
    row = " & ".join([*cells, *[""] * (count - len(cells))])
    guard = "{}" if row.startswith(("[", "*")) else ""  # the \\ before would take these as its own
    return rf"{guard}{row} \\"


def _latex_cell(text: str) -> str:
    """A number with a true minus, or escaped text."""
    if re.fullmatch(r"[-+]?\d[\d.,]*(e[-+]\d+)?|-inf", text):
        return text.replace("-", "$-$")
    return _latex(text)


def _latex(text: str) -> str:
    """Text with LaTeX's own names for what it reserves, for signs and for Greek letters."""
    escaped = "".join(_LATEX.get(character, character) for character in _one_line(str(text)))
    escaped = escaped.replace("$$", "")  # formulas that touch become one
    return re.sub("-(?=-)", "-{}", escaped)  # hyphens that touch do not become a dash


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\textdollar{}",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": "{`}",
    '"': r"{\char34}",
    "<": "${<}$",  # braces: no space around, as there would be between operands
    ">": "${>}$",
    "|": "$|$",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≠": r"$\ne$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "→": r"$\to$",
    "°": r"$^\circ$",
    "¹": r"\textsuperscript{1}",
    "²": r"\textsuperscript{2}",
    "³": r"\textsuperscript{3}",
    "…": r"\dots{}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "\xa0": "~",
}
_GREEK = re.findall(
    r"(\w) (\w+)",
    "α alpha β beta γ gamma δ delta ε varepsilon ζ zeta η eta θ theta ι iota κ kappa λ lambda μ mu "
    "ν nu ξ xi π pi ρ rho ς varsigma σ sigma τ tau υ upsilon φ varphi χ chi ψ psi ω omega µ mu "
    "Γ Gamma Δ Delta Θ Theta Λ Lambda Ξ Xi Π Pi Σ Sigma Υ Upsilon Φ Phi Ψ Psi Ω Omega",
)
_LATEX |= {letter: rf"$\{name}$" for letter, name in _GREEK}
_LATEX |= dict(zip("οΑΒΕΖΗΙΚΜΝΟΡΤΧ", "oABEZHIKMNOPTX", strict=True))  # they look Latin


# CSV


def _csv_rows(block: Block) -> list[dict[str, str]]:
    """The rows of a block in full precision."""
    columns = [_label(column) for column in block.table.columns]
    return [
        {"block": block.heading, "name": _label(label)}
        | {column: _csv_cell(block.table.iat[i, j]) for j, column in enumerate(columns)}
        for i, label in enumerate(block.table.index)
    ]


def _csv_cell(value: Any) -> str:
    """The shortest digits that give back the same number."""
    if value is None or value is pd.NA:
        return ""
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    return str(value)
