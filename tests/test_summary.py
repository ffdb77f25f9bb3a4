"""Summaries: alignment, digits, escaping and the round trip through CSV."""

from __future__ import annotations

import dataclasses
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from mixlogit.errors import ArgumentError
from mixlogit.summary import Block, Summary, coefficient_table

HOSTILE = "a_b&c%<x>\"'#$~^{}\\[*] |α−é--ρ²"
NAMES = ("pf", "cl", "loc", "wk", "tod", "seas")
COLUMNS = ["coef", "std err", "z", "P>|z|", "[0.025", "0.975]"]
NOTES = (
    "N in BIC is the number of individuals, not the number of choice situations or of rows; "
    "other programs may count differently, so that their BIC is not comparable with this one.",
    "Standard errors are robust.",
    "One coefficient is held fixed by a constraint and has no standard error.",
)


def random_table(seed: int, names=NAMES) -> pd.DataFrame:
    estimate, std_err, statistic, lower, upper = np.random.default_rng(seed).normal(
        size=(5, len(names))
    )
    pvalue = np.random.default_rng(seed).uniform(size=len(names))
    return coefficient_table(estimate, std_err, statistic, pvalue, lower, upper, names)


def example(names=NAMES) -> Summary:
    return Summary(
        title="Mixed Multinomial Logit Results",
        header=tuple((f"Quantity {i}", f"{i + 0.5:.3f}") for i in range(24)),
        blocks=tuple(
            Block(f"Class {k} (share 0.{k}00, std err 0.031)", random_table(k, names))
            for k in (1, 2, 3)
        ),
        notes=NOTES,
    )


def hostile_example() -> Summary:
    block = Block(HOSTILE, random_table(1, (HOSTILE, "[b", "*c")))
    words = Block("words", pd.DataFrame({HOSTILE: [HOSTILE, "<b>"]}, index=["*x", "[y"]))
    header = ((HOSTILE, HOSTILE), ("[a", "*b"), ("-1", "-2.5"))
    return Summary(HOSTILE, header, (block, words), (HOSTILE,))


def extreme_example() -> Summary:
    table = pd.DataFrame(
        {
            "coef": [1.5e-7, -2.5e12, np.nan, np.inf, 0.0],
            "std err": [-1e-300, 1e300, np.nan, np.nan, -0.0],
            "count": [1, 123456789012, 12345678901234567, -3, 0],
        },
        index=["tiny", "huge", "missing", "infinite", "zero"],
    )
    return Summary("Extremes", (("Only one", "pair"),), (Block("", table),))


def long_example() -> Summary:
    labels = [
        f"C(alternative, Treatment(reference='public transport')){level}:travel_time_{unit}"
        for level in ("[T.car]", "[T.bicycle]")
        for unit in ("minutes", "hours")
    ]
    return Summary(
        "A title " + "of many words " * 10,
        (("A label " * 8, "a value " * 12), ("short", "1"), ("x" * 120, "y" * 120)),
        (
            Block("A heading " * 12, random_table(1, labels)),
            Block("Wide", pd.DataFrame(np.eye(2, 9)).add_prefix("column number ")),
        ),
        NOTES,
    )


SUMMARIES = {
    "example": example,
    "hostile": hostile_example,
    "extreme": extreme_example,
    "long": long_example,
    "title only": lambda: Summary("Nothing"),
    "no header": lambda: Summary("Blocks", blocks=(Block("One", random_table(1)),)),
    "empty block": lambda: Summary("T", (("a", "b"),) * 3, (Block("None", random_table(1, ())),)),
}
every_summary = pytest.mark.parametrize("make", SUMMARIES.values(), ids=SUMMARIES.keys())


# Coefficient tables


@pytest.mark.parametrize(
    ("alpha", "bounds"),
    [(0.05, ["[0.025", "0.975]"]), (0.1, ["[0.05", "0.95]"]), (0.01, ["[0.005", "0.995]"])],
)
def test_bounds_are_labelled_by_alpha(alpha, bounds):
    table = coefficient_table(*np.ones((6, 2)), names=["a", "b"], alpha=alpha)
    assert list(table.columns) == [*COLUMNS[:4], *bounds]
    assert list(table.index) == ["a", "b"]


def test_use_t_changes_the_labels_only():
    normal = coefficient_table(*np.ones((6, 1)), names=["a"])
    student = coefficient_table(*np.ones((6, 1)), names=["a"], use_t=True)
    assert list(student.columns[2:4]) == ["t", "P>|t|"]
    np.testing.assert_array_equal(normal, student)


def test_a_wrong_alpha_is_refused():
    with pytest.raises(ArgumentError, match=r"between 0 and 1, but it is 95"):
        coefficient_table(*np.ones((6, 1)), names=["a"], alpha=95)


def test_arrays_of_another_length_are_refused():
    with pytest.raises(ArgumentError, match=r"2 names, but the array for column 'coef' has shape"):
        coefficient_table(*np.ones((6, 3)), names=["a", "b"])


@pytest.mark.parametrize("column", ["block", "name"])
def test_columns_that_the_csv_needs_are_refused(column):
    with pytest.raises(ArgumentError, match=f"has a column '{column}'"):
        Block("x", pd.DataFrame({column: [1.0]}))


def test_repeated_columns_are_refused():
    with pytest.raises(ArgumentError, match="more than one column 'a'"):
        Block("x", pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]))


# Text


@every_summary
def test_no_line_is_longer_than_100_or_ends_in_blanks(make):
    lines = make().as_text().split("\n")
    assert all(len(line) <= 100 and line == line.rstrip() for line in lines)


@every_summary
def test_all_rules_have_the_same_width_between_78_and_100(make):
    rules = {len(line) for line in make().as_text().split("\n") if re.fullmatch("=+|-+", line)}
    assert len(rules) == 1
    assert 78 <= rules.pop() <= 100


def test_blocks_align_under_one_another():
    lines = example().as_text().split("\n")
    rows = [line for line in lines if line.startswith(NAMES)]
    width = max(len(line) for line in lines if line.startswith("="))
    assert len(rows) == 18
    assert {len(row) for row in rows} == {width}
    ends = {tuple(match.end() for match in list(re.finditer(r"\S+", row))[1:]) for row in rows}
    labels = next(line for line in lines if line.lstrip().startswith("coef"))
    assert ends == {tuple(match.end() for match in re.finditer(r"\S+( err)?", labels))}


def test_every_heading_and_header_pair_appears_once():
    text = example().as_text()
    for label, value in example().header:
        assert len(re.findall(rf"{label}: +{re.escape(value)}\b", text)) == 1
    for block in example().blocks:
        assert text.split("\n").count(block.heading) == 1


def test_the_left_column_of_the_header_is_filled_first():
    header = tuple((letter, str(i)) for i, letter in enumerate("abcde"))
    lines = Summary("T", header).as_text().split("\n")[3:-1]
    assert [" ".join(line.split()) for line in lines] == ["a: 0 d: 3", "b: 1 e: 4", "c: 2"]


def test_an_empty_pair_leaves_its_place_blank():
    header = (("a", "0"), ("b", "1"), ("", ""), ("c", "2"))
    lines = Summary("T", header).as_text().split("\n")[3:-1]
    assert [line.split() for line in lines] == [["a:", "0"], ["b:", "1", "c:", "2"]]


def test_column_labels_are_repeated_only_where_they_change():
    shares = pd.DataFrame({"share": [0.4, 0.6], "std err": [0.1, 0.1]}, index=["1", "2"])
    blocks = (*example().blocks, Block("Shares", shares), Block("Again", shares))
    text = Summary("T", (), blocks).as_text()
    assert text.count("coef") == 1
    assert len(re.findall(r"^ +share +std err$", text, flags=re.MULTILINE)) == 1


def test_rows_read_as_in_a_statsmodels_table():
    rng = np.random.default_rng(0)
    exog = sm.add_constant(rng.normal(size=(200, 3)))
    result = sm.Logit(rng.integers(2, size=200), exog).fit(disp=False)
    interval = result.conf_int()
    table = coefficient_table(
        result.params,
        result.bse,
        result.tvalues,
        result.pvalues,
        *interval.T,
        names=result.model.exog_names,
    )
    ours = Summary("T", (), (Block("", table),)).as_text().split("\n")
    theirs = str(result.summary().tables[1]).split("\n")
    assert [line.split() for line in ours[3:-1]] == [line.split() for line in theirs[1:-1]]


@pytest.mark.parametrize(
    ("value", "first", "other"),
    [
        (0.01234567, "0.0123", "0.012"),
        (0.00061, "0.0006", "0.000610"),
        (-1.5e-7, "-1.500e-07", "-1.50e-07"),
        (123456.789, "1.235e+05", "1.23e+05"),
        (-9876.54321, "-9876.5432", "-9876.543"),
        (0.0, "0.0000", "0.000"),
        (-0.0, "0.0000", "0.000"),
        (np.nan, "nan", "nan"),
        (-np.inf, "-inf", "-inf"),
    ],
)
def test_numbers_have_the_digits_of_statsmodels_but_never_vanish(value, first, other):
    table = pd.DataFrame({"coef": [value], "std err": [value]}, index=["x"])
    assert f"x {first} {other}" in " ".join(Summary("T", (), (Block("", table),)).as_text().split())


def test_pvalues_have_three_decimals():
    table = pd.DataFrame({"coef": [1.0] * 3, "P>|z|": [1e-9, 0.04567, 1.0]}, index=list("abc"))
    lines = Summary("T", (), (Block("", table),)).as_text().split("\n")
    assert [line.split()[-1] for line in lines[5:-1]] == ["0.000", "0.046", "1.000"]


def test_integers_and_words_are_printed_as_they_are():
    table = pd.DataFrame({"n": [12345678], "all": [True], "word": ["yes"]}, index=["x"])
    text = Summary("T", (), (Block("", table),)).as_text()
    assert "x 12345678 True yes" in " ".join(text.split())


def test_a_label_of_42_characters_fits_whole():
    name = "C(alt, Treatment('sm'))[T.car]:travel_time"
    text = example((name, "cost")).as_text()
    assert text.count(name) == 3
    assert "…" not in text


@pytest.mark.parametrize(
    "labels",
    [
        [f"{'x' * 80}{i}" for i in range(12)],
        [f"{i}{'x' * 80}" for i in range(12)],
        [f"{'x' * 40}{i}{'x' * 40}" for i in range(10, 40)],
        ["x" * n for n in range(1, 120)],
        [f"{'x' * 10}{i}{'x' * 90}{j}" for i in range(3) for j in range(3)],
    ],
    ids=["ends differ", "beginnings differ", "middles differ", "lengths differ", "both differ"],
)
def test_shortened_labels_stay_distinct(labels):
    lines = Summary("T", (), (Block("", random_table(1, labels)),)).as_text().split("\n")
    shown = [line.split()[0] for line in lines[5:-1]]
    assert len(shown) == len(labels)
    assert len(set(shown)) == len(labels)
    fits = max(len(label) for label in shown)
    for label, short in zip(labels, shown, strict=True):
        assert short == label if len(label) <= fits else "…" in short


def test_the_same_label_is_shortened_alike_in_every_block():
    names = [f"{'x' * 60}{i}" for i in range(3)]
    lines = example(names).as_text().split("\n")
    shown = [line.split()[0] for line in lines if line.startswith("xx")]
    assert shown == shown[:3] * 3


def test_a_block_with_many_columns_continues_below():
    table = pd.DataFrame(np.arange(20.0).reshape(2, 10) + 0.5, columns=[f"c{j}" for j in range(10)])
    text = Summary("T", (), (Block("Wide", table),)).as_text()
    assert "Wide (continued)" in text
    assert all(f"{value:.3f}" in text for value in table.to_numpy().ravel())


def test_notes_are_numbered_wrapped_and_indented():
    lines = example().as_text().split("\n")
    lines = lines[lines.index("Notes:") + 1 :]
    assert [line[:4] for line in lines] == ["[1] ", "    ", "    ", "[2] ", "[3] "]
    assert " ".join(" ".join(lines).split()) == " ".join(
        f"[{i}] {note}" for i, note in enumerate(NOTES, 1)
    )


def test_str_and_repr_are_the_text():
    assert str(example()) == repr(example()) == example().as_text()


def test_line_breaks_in_names_do_not_break_rows():
    text = example(("a\nb", "c\td")).as_text()
    assert "\t" not in text
    assert len(re.findall("^a b ", text, flags=re.MULTILINE)) == 3


def test_a_summary_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        example().title = "other"


# HTML


class Tags(HTMLParser):
    """Checks that tags are balanced; keeps tables as lists of rows of (tag, attributes, text)."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tables: list[list[list[list]]] = []
        self.classes: list[str | None] = []
        self.captions: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
            self.classes.append(dict(attrs).get("class"))
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append([tag, dict(attrs), ""])
        elif tag == "caption":
            self.captions.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1][2] += data
        elif self.open and self.open[-1] == "caption":
            self.captions[-1] += data
        else:
            assert not data.strip()


def parsed(summary: Summary) -> Tags:
    tags = Tags()
    tags.feed(summary.as_html())
    tags.close()
    assert tags.open == []
    return tags


@every_summary
def test_html_tags_are_balanced_and_rows_have_equal_width(make):
    tags = parsed(make())
    assert set(tags.classes) == {"simpletable"}
    for table in tags.tables:
        widths = {sum(int(cell[1].get("colspan", 1)) for cell in row) for row in table}
        assert len(widths) <= 1


@every_summary
def test_every_html_header_cell_has_a_scope_and_a_text(make):
    cells = [cell for table in parsed(make()).tables for row in table for cell in row]
    heads = [cell for cell in cells if cell[0] == "th"]
    assert all(cell[1]["scope"] in ("row", "col", "rowgroup") and cell[2] for cell in heads)


def test_html_has_three_tables_with_the_numbers_of_the_text():
    tags = parsed(example())
    assert len(tags.tables) == 3
    shown = [cell[2] for row in tags.tables[1] for cell in row if cell[0] == "td" and cell[2]]
    text = example().as_text().split("\n")
    assert shown == [cell for line in text if line.startswith(NAMES) for cell in line.split()[1:]]


def test_hostile_names_survive_html():
    tags = parsed(hostile_example())
    texts = [cell[2] for table in tags.tables for row in table for cell in row]
    assert texts.count(HOSTILE) == 6  # value, heading, row, column, cell, note
    assert f"{HOSTILE}:" in texts
    assert tags.captions[0] == HOSTILE
    assert hostile_example()._repr_html_() == hostile_example().as_html()


# LaTeX


def bare(latex: str) -> str:
    """LaTeX without its escaped characters."""
    return re.sub(r"\\[\\&%#_{}]", lambda match: match[0] if match[0] == r"\\" else "", latex)


@every_summary
def test_latex_braces_environments_and_formulas_are_balanced(make):
    text = bare(make().as_latex())
    depth = np.cumsum([{"{": 1, "}": -1}.get(character, 0) for character in text])
    assert depth.min() >= 0
    assert depth[-1] == 0
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    assert all(line.count("$") % 2 == 0 for line in text.split("\n"))
    assert not re.search(r"[%#_^~]", text.replace("\\begin", ""))


@every_summary
def test_every_latex_row_has_the_columns_of_its_tabular(make):
    for columns, body in re.findall(
        r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\n\\end\{tabular\}",
        make().as_latex(),
        flags=re.DOTALL,
    ):
        for line in bare(body).split("\n"):
            if re.fullmatch(r"\\(top|mid|bottom)rule", line):
                continue
            assert line.endswith(r" \\")
            assert not line.startswith(("[", "*"))  # the row end before would take them
            spans = [int(width) - 1 for width in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            assert line.count("&") + 1 + sum(spans) == len(columns)


def test_latex_shows_the_numbers_of_the_text_with_a_true_minus():
    latex = example().as_latex()
    rows = [line for line in latex.split("\n") if line.startswith(NAMES)]
    text = [line.split() for line in example().as_text().split("\n") if line.startswith(NAMES)]
    shown = [row.removesuffix(r" \\").replace("$-$", "-").split(" & ") for row in rows]
    assert shown == text
    assert "P${>}|$z$|$" in latex


@every_summary
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles_with_booktabs_alone(make, tmp_path):
    document = (
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
        f"{make().as_latex()}\n\\end{{document}}\n"
    )
    (tmp_path / "summary.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "summary.tex"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
    assert run.returncode == 0, run.stdout.decode(errors="replace")[-2000:]


# CSV


def read(summary: Summary) -> pd.DataFrame:
    is_exact = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
    options = {} if is_exact else {"float_precision": "round_trip"}
    return pd.read_csv(io.StringIO(summary.as_csv()), **options)


@every_summary
def test_csv_is_one_table_that_pandas_reads(make):
    frame = read(make())
    assert list(frame.columns[:2]) == ["block", "name"]
    assert frame.columns[-1] == "value"
    assert frame.loc[0, "value"] == make().title


def test_csv_gives_back_every_number_to_the_last_bit():
    frame = read(example())
    assert list(frame.columns) == ["block", "name", *COLUMNS, "value"]
    for block in example().blocks:
        rows = frame[frame["block"] == block.heading].set_index("name")[COLUMNS]
        pd.testing.assert_frame_equal(
            rows,
            block.table,
            check_exact=True,
            check_names=False,
            check_index_type=False,
            check_column_type=False,
        )


def test_csv_keeps_header_and_notes():
    frame = read(example()).set_index("block")
    pairs = frame.loc["header", ["name", "value"]]
    assert [tuple(pair) for pair in pairs.to_numpy()[1:]] == list(example().header)
    assert list(frame.loc["note", "value"]) == list(NOTES)


def test_hostile_names_survive_csv():
    frame = read(hostile_example())
    assert (frame["block"] == HOSTILE).sum() == 3
    assert list(frame[HOSTILE].dropna()) == [HOSTILE, "<b>"]
    assert frame.loc[1, "name"] == frame.loc[1, "value"] == HOSTILE


def test_csv_gives_back_extreme_numbers():
    table = extreme_example().blocks[0].table
    frame = read(extreme_example()).set_index("name").loc[table.index]
    np.testing.assert_array_equal(frame["coef"], table["coef"])
    np.testing.assert_array_equal(frame["std err"], table["std err"])
    assert list(frame["count"].astype(float)) == list(table["count"].astype(float))
