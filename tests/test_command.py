"""The command line: what it prints, writes and returns."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import zoo
from simulated import TASTES, panel

import mixlogit
from mixlogit import MixedMultinomialLogit, command, simulate_choices
from mixlogit.__main__ import main

FORMULA = "choice ~ x1 + x2 + x3"
IDS = ["--situation", "situation", "--individual", "person"]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    table = panel(1, TASTES.iloc[:, :2], n_people=60)
    rng = np.random.default_rng(2)
    table["alternative"] = np.tile(["a", "b", "c"], len(table) // 3)
    table["x1_exp"] = np.exp(table["x1"])
    table["weight"] = rng.uniform(0.5, 2, 60).round(3)[table["person"]]
    table["number"] = rng.integers(1, 4, 60)[table["person"]]
    table["age"] = rng.normal(size=60)[table["person"]]
    table["open"] = np.where((table["situation"] % 2 == 0) & (table["choice"] == 0), 0, 1)
    name = tmp_path_factory.mktemp("data") / "trips.csv"
    table.to_csv(name, index=False)
    return str(name)


@pytest.fixture(scope="module")
def frame(path) -> pd.DataFrame:
    return pd.read_csv(path)  # not what was written: pandas may lose the last digit


@pytest.fixture(scope="module")
def separated(frame, tmp_path_factory) -> str:
    """Everybody takes the alternative with most of x1."""
    name = tmp_path_factory.mktemp("data") / "separated.csv"
    most = frame.groupby("situation")["x1"].transform("max")
    frame.assign(choice=(frame["x1"] == most).astype(int)).to_csv(name, index=False)
    return str(name)


@pytest.fixture
def saved(path, tmp_path):
    """Run ``fit`` with options, and load what it saves."""

    def run(*options: str, formula: str = FORMULA, classes: str = "2", data: str = path):
        target = tmp_path / "fit.npz"
        target.unlink(missing_ok=True)
        argv = ["fit", data, formula, *IDS, "--classes", classes, "--save", str(target), *options]
        assert main(argv) == 0
        return mixlogit.read_results(target)

    return run


def in_python(frame: pd.DataFrame, formula: str = FORMULA, n_classes: int = 2, **keywords):
    """The same model by the library."""
    return MixedMultinomialLogit.from_formula(
        formula, frame, n_classes, situation="situation", individual="person", **keywords
    )


def told(capsys, argv: list[str], code: int = 2) -> str:
    """The line on standard error of a run that ends so, and nothing on standard output."""
    assert main(argv) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err.rstrip("\n")


# -- fit -------------------------------------------------------------------------------------------


def test_fit_prints_the_summary_and_nothing_else(frame, path, capsys):
    assert main(["fit", path, FORMULA, *IDS, "--classes", "2"]) == 0
    out, err = capsys.readouterr()
    assert out == in_python(frame).fit().summary().as_text() + "\n"
    assert err == ""


@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        (["--alternative", "alternative"], {"alternative": "alternative"}),
        (["--membership", "age"], {"membership": "age"}),
        (["--weights", "weight"], {"weights": "weight"}),
        (["--freq-weights", "number"], {"freq_weights": "number"}),
        (["--availability", "open"], {"availability": "open"}),
        (["--common", "x2, x3"], {"common": ["x2", "x3"]}),
        (["--common", "x2", "--common", "x3"], {"common": ["x2", "x3"]}),
        (["--constraint", "class1.x1 = 0"], {"constraints": ["class1.x1 = 0"]}),
        (
            ["--constraint", "class1.x1 = 0", "--constraint", "class2.x2 = 0"],
            {"constraints": ["class1.x1 = 0", "class2.x2 = 0"]},
        ),
        (["--sign", "x1=+", "--sign", "x2=+"], {"signs": {"x1": "+", "x2": "+"}}),
        (
            ["--available-in", "class2=(x1 > -9) & (age < 9)"],
            {"available_in": {"class2": "(x1 > -9) & (age < 9)"}},
        ),
    ],
    ids=" ".join,
)
def test_options_of_the_model_are_those_of_the_library(frame, saved, options, keywords):
    result = saved(*options)
    expected = in_python(frame, **keywords).fit()
    pd.testing.assert_series_equal(result.params, expected.params)
    pd.testing.assert_series_equal(result.bse, expected.bse)
    assert result.nobs == expected.nobs


def test_classes_have_the_alternatives_that_they_are_given(tmp_path, saved):
    sets = {"class1": ["a", "b"], "class2": "(alternative == 'c') | (x1 < 1)"}
    rng = np.random.default_rng(0)
    trips = pd.DataFrame(rng.normal(size=(2160, 3)), columns=["x1", "x2", "x3"])
    trips["person"], trips["situation"] = np.arange(2160) // 18, np.arange(2160) // 3
    trips["alternative"] = np.tile(["a", "b", "c"], 720)
    tastes = pd.DataFrame([[1.0, -0.5], [0.5, 1.0], [0.0, 0.5]], index=["x1", "x2", "x3"])
    ids = {"situation": "situation", "individual": "person", "alternative": "alternative"}
    drawn = simulate_choices(trips, tastes, [0.5, 0.5], rng=1, available_in=sets, **ids)
    name = str(tmp_path / "few.csv")
    drawn["number"] = drawn["alternative"].map({"a": 1, "b": 2, "c": 3})
    drawn.to_csv(name, index=False)
    expected = in_python(pd.read_csv(name), alternative="alternative", available_in=sets).fit()
    options = ["--available-in", f"class2={sets['class2']}", "--available-in"]
    for column, listed in (("alternative", "class1=a, b"), ("number", "class1=1,2")):
        result = saved("--alternative", column, *options, listed, data=name)
        pd.testing.assert_series_equal(result.params, expected.params)
        pd.testing.assert_series_equal(result.bse, expected.bse)


def test_a_formula_in_parts_with_its_reference(frame, path, saved, capsys):
    formula = "choice ~ x1 | age | x2"
    options = ["--alternative", "alternative", "--reference", "b", "--common", "a:(constant)"]
    result = saved(*options, "--sign", "c:age=+", formula=formula)
    keywords = {"alternative": "alternative", "reference": "b", "signs": {"c:age": "+"}}
    expected = in_python(frame, formula, common="a:(constant)", **keywords).fit()
    pd.testing.assert_series_equal(result.params, expected.params)
    numbered = frame.assign(alternative=frame["alternative"].map({"a": 1, "b": 2, "c": 3}))
    numbered.to_csv(path.replace("trips", "numbered"), index=False)
    with_number = ["--alternative", "alternative", "--reference", "2"]
    result = saved(*with_number, formula=formula, data=path.replace("trips", "numbered"))
    assert "class1.1:age" in result.params
    argv = ["fit", path, formula, *IDS, "--classes", "1", *options[:3], "boat"]
    capsys.readouterr()
    assert told(capsys, argv).startswith("error: reference='boat' is no alternative.")


@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        (["--starts", "2"], {"n_starts": 2}),
        (["--seed", "5"], {"rng": 5}),
        (["--penalty", "3"], {"penalty": 3.0}),
        (["--cov", "robust"], {"cov_type": "robust"}),
        (["--cov", "opg"], {"cov_type": "opg"}),
        (
            ["--cov", "cluster", "--groups", "age"],
            {"cov_type": "cluster", "cov_kwds": {"groups": "age"}},
        ),
    ],
    ids=" ".join,
)
def test_options_of_the_fit_are_those_of_the_library(frame, saved, options, keywords):
    result = saved(*options)
    expected = in_python(frame).fit(**keywords)
    pd.testing.assert_series_equal(result.bse, expected.bse)
    assert result.mle_settings == expected.mle_settings
    assert result.cov_type == expected.cov_type


def test_without_ids_the_table_is_one_choice_set_of_counts(tmp_path, capsys):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(30, 2)), columns=["a", "b"])
    table["count"] = rng.poisson(5, 30)
    table.to_csv(tmp_path / "table.csv", index=False)
    assert main(["fit", str(tmp_path / "table.csv"), "count ~ a + b", "--classes", "1"]) == 0
    expected = MixedMultinomialLogit.from_formula("count ~ a + b", table, 1).fit()
    assert capsys.readouterr().out == expected.summary().as_text() + "\n"


def test_counts_in_several_choice_sets_are_asked_for(tmp_path, capsys):
    market = zoo.case("market shares")
    path = tmp_path / "table.csv"
    market.frame.to_csv(path, index=False)
    ids = ["--situation", "market", "--alternative", "item", "--classes", "1"]
    assert main(["fit", str(path), market.formula, *ids]) == 2
    assert "If they are counts, pass choices='counts'." in capsys.readouterr().err
    assert main(["fit", str(path), market.formula, *ids, "--choices", "counts"]) == 0
    assert "Choices are counts (count): 48 choices in 6 choice situations." in " ".join(
        capsys.readouterr().out.split()
    )


@pytest.mark.parametrize("separator", [";", "tab", "|"])
def test_files_with_decimal_commas_are_read(frame, path, tmp_path, saved, separator):
    mark = "\t" if separator == "tab" else separator
    own = tmp_path / "commas.csv"
    frame.to_csv(own, sep=mark, decimal=",", index=False)
    argv = ["fit", str(own), FORMULA, *IDS, "--classes", "1", "--save", str(tmp_path / "own.npz")]
    assert main([*argv, "--sep", separator, "--decimal", ","]) == 0
    expected = in_python(frame, n_classes=1).fit()
    found = mixlogit.read_results(tmp_path / "own.npz")
    pd.testing.assert_series_equal(found.params, expected.params)


def test_decimal_commas_that_are_not_announced_are_told(frame, tmp_path, capsys):
    own = tmp_path / "commas.csv"
    frame.to_csv(own, sep=";", decimal=",", index=False)
    argv = ["fit", str(own), FORMULA, *IDS, "--classes", "1"]
    assert "separated by ';': read it with --sep ';', and with --decimal ','" in told(capsys, argv)
    line = told(capsys, [*argv, "--sep", ";"])
    assert "of the utility formula" in line
    assert "holds numbers as text" in line
    assert "It is a number with a decimal comma: read the file with decimal=','" in line
    assert "'xx' is not one character, such as ; or tab" in told(capsys, [*argv, "--sep", "xx"])


@pytest.mark.parametrize("function", ["np.log", "log"])
def test_formulas_may_call_functions_of_numpy(saved, function):
    plain, through = saved(), saved(formula=f"choice ~ {function}(x1_exp) + x2 + x3")
    assert through.llf == pytest.approx(plain.llf, rel=1e-12)


def test_what_cannot_be_saved_is_refused_before_the_fit(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(MixedMultinomialLogit, "fit", None)
    formula = "choice ~ x1.rank() + x2"
    target = tmp_path / "fit.npz"
    for name in ("fit", "select"):
        argv = [name, path, formula, *IDS, "--classes", "2", "--save", str(target)]
        assert main(argv) == 2
        assert "error: The term x1.rank() of the utility formula" in capsys.readouterr().err
    assert not target.exists()


def test_missing_values_are_dropped_on_request_with_a_warning(frame, tmp_path, capsys):
    holes = frame.copy()
    holes.loc[4, "x2"] = np.nan
    name = str(tmp_path / "holes.csv")
    with np.errstate(invalid="ignore"):  # NumPy 1.24.0 calls nan invalid where pandas writes it
        holes.to_csv(name, index=False)
    argv = ["fit", name, FORMULA, *IDS, "--classes", "2"]
    assert "'x2'" in told(capsys, argv)
    assert main([*argv, "--missing", "drop"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("warning: ")
    assert err.count("\n") == 1
    assert "Choice situations:                            599" in out


def test_a_fit_that_is_no_certified_maximum_is_printed_and_returns_1(separated, tmp_path, capsys):
    target = tmp_path / "fit.html"
    argv = ["fit", separated, FORMULA, *IDS, "--classes", "1", "--html", str(target)]
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert re.search("Converged: +no: separation ", out)
    assert err.startswith("warning: ")
    assert "class1.x1" in err
    assert "simpletable" in target.read_text(encoding="utf-8")


# -- tables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trips.csv.gz", "trips.tsv", "TRIPS.TSV.GZ"])
def test_tables_are_read_by_their_endings(frame, tmp_path, saved, name):
    separator = "\t" if "tsv" in name.lower() else ","
    frame.to_csv(
        tmp_path / name,
        index=False,
        sep=separator,
        compression="gzip" if name[-1] in "zZ" else None,
    )
    assert saved(data=str(tmp_path / name)).llf == pytest.approx(saved().llf, rel=1e-12)


def test_a_dash_is_standard_input(frame, saved, monkeypatch):
    expected = saved().llf
    monkeypatch.setattr(sys, "stdin", io.StringIO(frame.to_csv(index=False)))
    assert saved(data="-").llf == pytest.approx(expected, rel=1e-12)


def test_parquet_needs_a_reader(frame, tmp_path, monkeypatch, capsys):
    (tmp_path / "trips.parquet").touch()
    argv = ["fit", str(tmp_path / "trips.parquet"), FORMULA, *IDS, "--classes", "2"]

    def without(source):
        raise ImportError("no engine")

    monkeypatch.setattr(pd, "read_parquet", without)
    assert "pandas needs pyarrow or fastparquet for it. Install one" in told(capsys, argv)
    monkeypatch.setattr(pd, "read_parquet", lambda source: frame)
    assert main(argv) == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("trip.csv", None, "There is no file '{}'. Did you mean 'trips.csv'?"),
        ("trips.xlsx", b"", "'{}' has none of the endings .csv, .csv.gz, .tsv"),
        ("empty.csv", b"", "'{}' does not hold a .csv table: No columns to parse from file"),
        ("folder.csv", "folder", "'{}' cannot be read: Is a directory."),
        ("plain.csv.gz", b"a,b\n1,2\n", "'{}' cannot be read: Not a gzipped file"),
        ("bytes.csv", b"a,b\n\xff\xfe,2\n", "'{}' does not hold a .csv table: 'utf-8' codec"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3,4\n", "'{}' does not hold a .csv table: "),
        ("odd.csv", b"a;b\n1;2\n1,5;2,5;3\n", "'{}' does not hold a .csv table: "),
        (
            "semicolons.csv",
            b"a;b\n1;2\n",
            "'{}' was read with ',' between columns. It is one column, as of a file whose columns "
            "are separated by ';': read it with --sep ';', and with --decimal ',' if",
        ),
        ("tabs.csv", b"a\tb\n1\t2\n", "'{}' was read with ',' between columns. It is one column"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, capsys, name, content, message):
    (tmp_path / "trips.csv").touch()
    file = tmp_path / name
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    line = told(capsys, ["fit", str(file), FORMULA, *IDS, "--classes", "2"])
    assert line.startswith("error: " + message.format(file))


# -- errors of the user's --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"formula": "choice ~ x1 + weigth"}, "error: .*'weigth'.*Did you mean weight"),
        ({"formula": "choice ~ x1 +* x2"}, "error: .*cannot be read"),
        ({"formula": "choice ~ cube(x1)"}, "error: The function 'cube' .* is not known"),
        ({"more": ["--situation", "trip"]}, "error: situation='trip': the table has no such"),
        ({"more": ["--constraint", "class1.time = 0"]}, "error: .*class1.time"),
        ({"more": ["--common", "time"]}, "error: .*'time'"),
        ({"more": ["--sign", "time=-"]}, "error: .*'time'"),
        ({"more": ["--starts", "0"]}, "error: n_starts=0 must be a whole number of at least 1"),
        ({"more": ["--penalty", "-1"]}, "error: penalty=-1.0 must be finite and at least 0"),
        ({"classes": "0"}, "error: n_classes=0 must be a whole number of at least 1"),
        ({"classes": "two"}, "error: argument --classes: invalid int value: 'two'. mixlogit fit"),
        ({"more": ["--sign", "x1"]}, "error: argument --sign: 'x1' is no name, =, and"),
        ({"more": ["--sign", "x1=<"]}, "error: argument --sign: 'x1=<' is no name, =, and"),
        (
            {"more": ["--sign", "x1=+", "--sign", "x2=+", "--sign", "x1=-"]},
            "error: --sign is given 2 times for 'x1'. Give it once for each name.",
        ),
        (
            {"more": ["--available-in", "class1"]},
            "error: argument --available-in: 'class1' is no class, =, and alternatives or an expr",
        ),
        (
            {"more": ["--available-in", "class1=a", "--available-in", "class1=b"]},
            "error: --available-in is given 2 times for 'class1'",
        ),
        (
            {"more": ["--available-in", "class3=a"]},
            "error: available_in names 'class3', which is no class.",
        ),
        (
            {"more": ["--alternative", "alternative", "--available-in", "class1=a,d"]},
            "error: available_in gives class1 the alternative 'd', which is not in the data.*They",
        ),
        (
            {"more": ["--available-in", "class1=a,b"]},
            "error: available_in lists the alternatives of class1, and the rows have no ids",
        ),
        (
            {"more": ["--available-in", "class1=(x1 > 0"]},
            r"error: The expression '\(x1 > 0' that available_in has for class1 cannot be eval",
        ),
        ({"more": ["--seed", "-1"]}, "error: argument --seed: '-1' is no whole number"),
        ({"more": ["--cov", "hc3"]}, "error: argument --cov: invalid choice: 'hc3'"),
        ({"more": ["--colour", "x1"]}, "error: unrecognized arguments: --colour x1"),
    ],
)
def test_errors_are_one_line_and_return_2(path, capsys, changed, message):
    argv = ["fit", path, changed.get("formula", FORMULA), *IDS]
    argv += ["--classes", changed.get("classes", "2"), *changed.get("more", [])]
    line = told(capsys, argv)
    assert re.match(message, line), line


def test_an_unknown_command_is_an_error(capsys):
    assert "invalid choice: 'predict'" in told(capsys, ["predict"])
    assert "--classes" in told(capsys, ["fit", "trips.csv", FORMULA])


def test_an_interruption_returns_130(path, capsys, monkeypatch):
    def interrupted(self, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(MixedMultinomialLogit, "fit", interrupted)
    assert main(["fit", path, FORMULA, *IDS, "--classes", "2"]) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"


def test_a_fit_that_is_interrupted_late_is_printed_and_returns_130(path, capsys, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(mixlogit.estimation, "maximise", interrupted)  # of Newton's steps
    assert main(["fit", path, FORMULA, *IDS, "--classes", "2"]) == 130
    out, err = capsys.readouterr()
    assert re.search("Converged: +no: interrupted", out)
    assert err.startswith("warning: The fit was interrupted: ")
    fit = MixedMultinomialLogit.fit

    def interrupted_with_two(self, **keywords):
        return fit(self, **keywords) if self.n_classes == 1 else interrupted()

    monkeypatch.undo()
    monkeypatch.setattr(MixedMultinomialLogit, "fit", interrupted_with_two)
    assert main(["select", path, FORMULA, *IDS, "--classes", "1-3"]) == 130
    out, err = capsys.readouterr()
    assert "there is no fit with 2 and 3 classes" in out
    assert err == "warning: Interrupted: there is no fit with 2 and 3 classes.\n"


def test_warnings_of_others_are_left_to_python(monkeypatch):
    seen = []
    monkeypatch.setattr(mixlogit.command.warnings, "showwarning", lambda *a: seen.append(a[0]))
    with command._spoken_warnings():
        command.warnings.simplefilter("always")
        command.warnings.warn("from elsewhere", stacklevel=1)
    assert [str(one) for one in seen] == ["from elsewhere"]


# -- files -----------------------------------------------------------------------------------------


def test_files_hold_the_summary_in_their_form(path, tmp_path, frame, capsys):
    names = {form: tmp_path / f"fit.{form}" for form in ("latex", "html", "csv")}
    names["csv"].write_text("what was there")
    options = [text for form, name in names.items() for text in (f"--{form}", str(name))]
    assert main(["fit", path, FORMULA, *IDS, "--classes", "2", *options]) == 0
    summary = in_python(frame).fit().summary()
    for form, name in names.items():
        expected = getattr(summary, f"as_{form}")()
        assert name.read_text(encoding="utf-8").rstrip("\n") == expected.rstrip("\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--csv", "{0}/none/fit.csv"],
            "--csv cannot write '{0}/none/fit.csv': there is no folder",
        ),
        (["--save", "{0}"], "--save cannot write '{0}': it is a folder."),
        (
            ["--csv", "{0}/trips.csv"],
            "--csv cannot write '{0}/trips.csv': it is also named as DATA",
        ),
        (
            ["--csv", "{0}/a", "--html", "{0}/a"],
            "--csv cannot write '{0}/a': it is also named as --",
        ),
    ],
)
def test_files_that_cannot_be_written_are_refused_before_anything_is_read(
    tmp_path, capsys, options, message
):
    filled = [option.format(tmp_path) for option in options]
    line = told(
        capsys, ["fit", str(tmp_path / "trips.csv"), FORMULA, *IDS, "--classes", "2", *filled]
    )
    assert line.startswith("error: " + message.format(tmp_path))


def test_permission_is_asked_before_the_fit(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command.os, "access", lambda name, mode: False)
    target = str(tmp_path / "fit.csv")
    line = told(capsys, ["fit", "trips.csv", FORMULA, "--classes", "2", "--csv", target])
    assert line == f"error: --csv cannot write '{target}': permission is denied."


def test_a_disk_that_fills_up_after_the_fit_is_an_error(path, capsys):
    full = "/dev/full"
    if not os.path.exists(full):
        pytest.skip("no device that is always full")
    assert main(["fit", path, FORMULA, *IDS, "--classes", "1", "--csv", full]) == 2
    out, err = capsys.readouterr()
    assert "Mixed Multinomial Logit Results" in out
    assert err == "error: --csv cannot write '/dev/full': No space left on device.\n"


def test_nothing_is_written_when_the_model_is_refused(path, tmp_path, capsys):
    target = tmp_path / "fit.csv"
    told(capsys, ["fit", path, "choice ~ x9", *IDS, "--classes", "2", "--csv", str(target)])
    assert not target.exists()


# -- progress --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "disp"), [([], None), (["--quiet"], False)])
def test_progress_is_for_terminals_unless_it_is_to_be_quiet(path, monkeypatch, options, disp):
    seen = []
    fit = MixedMultinomialLogit.fit

    def watched(self, **keywords):
        seen.append(keywords["disp"])
        return fit(self, **keywords)

    monkeypatch.setattr(MixedMultinomialLogit, "fit", watched)
    assert main(["fit", path, FORMULA, *IDS, "--classes", "2", *options]) == 0
    assert seen == [disp]


# -- select ----------------------------------------------------------------------------------------


def test_select_compares_numbers_of_classes_and_shows_the_best(frame, path, tmp_path, capsys):
    files = ["--save", str(tmp_path / "best.npz"), "--csv", str(tmp_path / "table.csv")]
    argv = ["select", path, FORMULA, *IDS, "--classes", "1-3", "--criterion", "caic", *files]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert err == ""
    selection = mixlogit.selection.select_classes(in_python(frame), range(1, 4))
    assert out.startswith(selection.summary().as_text())
    best = mixlogit.read_results(tmp_path / "best.npz")
    assert best.n_classes == selection.table["caic"].idxmin() == 2
    assert "The best number of classes by CAIC" in out
    assert f"{best.llf:.4f}" in out
    written = (tmp_path / "table.csv").read_text(encoding="utf-8")
    assert written.rstrip("\n") == selection.summary().as_csv().rstrip("\n")


def test_select_without_a_certified_maximum_returns_1(separated, tmp_path, capsys):
    target = tmp_path / "best.npz"
    assert main(["select", separated, FORMULA, *IDS, "--classes", "1", "--save", str(target)]) == 1
    out, err = capsys.readouterr()
    assert "Number of classes" in out
    assert err == "warning: None of the fits is a certified maximum, so there is no best one.\n"
    assert not target.exists()


@pytest.mark.parametrize(
    ("text", "expected"), [("1-3", [1, 2, 3]), ("4", [4]), ("3,1-2, 2", [1, 2, 3])]
)
def test_ranges_of_classes_are_read(text, expected):
    assert command._numbers(text) == expected


@pytest.mark.parametrize("text", ["", "0-2", "3-1", "two", "1-", "1;2"])
def test_other_ranges_of_classes_are_refused(capsys, text):
    line = told(capsys, ["select", "trips.csv", FORMULA, "--classes", text])
    assert "argument --classes: " in line
    assert "is no number of classes or range of them, such as 1-6" in line


def test_names_may_hold_commas_in_brackets():
    assert command._names("x1, C(mode, Treatment('car'))[T.bus],x2") == [
        *("x1", "C(mode, Treatment('car'))[T.bus]", "x2")
    ]


# -- the program -----------------------------------------------------------------------------------


def program(*argv: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "mixlogit", *argv],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"} | environment,
    )


def test_help_documents_the_exit_codes():
    shown = program("--help")
    assert shown.returncode == 0
    assert shown.stderr == ""
    for line in ("0    fitted", "1    fitted, but not", "2    an option", "130  interrupted"):
        assert line in shown.stdout


def test_every_option_is_explained(capsys):
    for name in ("fit", "select"):
        with pytest.raises(SystemExit, match="0"):
            main([name, "--help"])
        assert "exit codes:" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"mixlogit {mixlogit.__version__}\n"


def test_arguments_of_the_process_are_the_default(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mixlogit", "fit", "none.csv", "y ~ x", "--classes", "1"])
    assert main() == 2
    assert capsys.readouterr().err == "error: There is no file 'none.csv'.\n"


def test_an_encoding_without_the_minus_sign_spoils_no_fit(path):
    shown = program("fit", path, FORMULA, *IDS, "--classes", "1", PYTHONIOENCODING="ascii")
    assert shown.returncode == 0
    assert "inverse of ?H" in shown.stdout


def test_a_reader_that_has_seen_enough_ends_nothing_else(path, tmp_path):
    saved = tmp_path / "table.tex"
    command_line = [sys.executable, "-m", "mixlogit", "fit", path, FORMULA, *IDS]
    more = ["--classes", "2", "--latex", str(saved)]
    with subprocess.Popen(
        command_line + more, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()  # before anything is printed
        _, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert saved.exists()
