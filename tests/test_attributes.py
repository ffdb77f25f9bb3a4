"""The attribute table, wherever it is kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixlogit import MixedMultinomialLogit
from mixlogit.attributes import FileRows, RoundedRows, picked, same_rows
from mixlogit.errors import ArgumentError, DataError, IdentificationError

NAMES = ["a", "b", "c"]
FORMULA = "choice ~ a + b + c"
IDS = {"situation": "situation", "individual": "person", "alternative": "alt"}
# rounding to float32 moves a value by this part of itself at most
UNIT = 2.0**-24


def survey(n_people=60, offset=0.0):
    """6 situations of 3 alternatives for each person, rows in order."""
    rng = np.random.default_rng(4)
    n = n_people * 18
    frame = pd.DataFrame(rng.standard_normal((n, 3)), columns=NAMES)
    frame["a"] += offset
    utility = frame[NAMES].to_numpy() @ [1.0, -1.0, 0.5] + rng.gumbel(size=n)
    frame["choice"] = 0
    frame.loc[np.arange(0, n, 3) + utility.reshape(-1, 3).argmax(axis=1), "choice"] = 1
    return frame.assign(
        person=np.arange(n) // 18, situation=np.arange(n) // 3, alt=np.arange(n) % 3 + 1
    )


def model_of(frame, **settings):
    return MixedMultinomialLogit.from_formula(FORMULA, frame, n_classes=2, **IDS, **settings)


@pytest.fixture(params=["file", "rounded", "picked", "picked file"])
def stored(request, tmp_path):
    """A table of whole numbers, which float32 keeps, and the array it stands for."""
    values = np.random.default_rng(0).integers(-99, 99, (20_000, 3)).astype(float)
    path = tmp_path / "rows.npy"
    np.save(path, values.astype(np.float32))
    if request.param == "file":
        return FileRows(path), values
    if request.param == "rounded":
        return RoundedRows(values.astype(np.float32)), values
    monkey = pytest.MonkeyPatch()
    monkey.setattr("mixlogit.attributes._COPY_BYTES", 0)
    positions = np.flatnonzero(np.random.default_rng(1).random(len(values)) < 0.7)
    again = np.flatnonzero(np.arange(len(positions)) % 5)
    whole = FileRows(path) if request.param == "picked file" else values
    table = picked(picked(whole, positions), again)
    monkey.undo()
    return table, values[positions][again]


def test_stored_rows_are_those_of_the_array(stored):
    table, values = stored
    assert table.shape == values.shape
    assert len(table) == len(values)
    assert table[17:9_000].dtype == np.float64
    assert np.array_equal(table[17:9_000], values[17:9_000])
    assert np.array_equal(np.asarray(table), values)
    assert len(table[5:5]) == 0
    some = np.array([3, 4, 5, 100, 7, 7, 9_999])
    assert np.array_equal(table.take(some), values[some])
    assert len(table.take(some[:0])) == 0
    assert same_rows(picked(table, np.arange(0, len(values), 3)), values[::3])
    assert not same_rows(table, values + 1)


def test_stored_rows_are_read_one_after_another(stored):
    with pytest.raises(IndexError, match="one after another"):
        stored[0][::2]


def test_a_file_that_is_gone_or_cut_short_is_named(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.ones((10, 2)))
    rows = FileRows(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"rows\.npy' of the attributes has become shorter"):
        rows[:]
    path.unlink()
    with pytest.raises(DataError, match=r"rows\.npy' of the attributes is not there any more"):
        rows[:]


# -- samples that are not copied -------------------------------------------------------------------


def test_a_sample_that_is_not_copied_is_the_sample(monkeypatch):
    choices = model_of(survey()).choices
    copied = choices.sample(25, np.random.default_rng(3))
    monkeypatch.setattr("mixlogit.attributes._COPY_BYTES", 0)
    read = choices.sample(25, np.random.default_rng(3))
    assert isinstance(copied.exog, np.ndarray)
    assert not isinstance(read.exog, np.ndarray)
    assert np.array_equal(np.asarray(read.exog), copied.exog)
    assert np.array_equal(read.exog_covariance, copied.exog_covariance)
    assert np.array_equal(read.entries.row, copied.entries.row)


def test_a_fit_on_samples_that_are_not_copied_has_the_same_bits(monkeypatch):
    monkeypatch.setattr("mixlogit.starts._SAMPLE", 30)
    monkeypatch.setattr("mixlogit.starts._SAMPLE_PER_PARAMETER", 1)
    frame = survey(150)
    expected = model_of(frame).fit()
    monkeypatch.setattr("mixlogit.attributes._COPY_BYTES", 0)
    assert np.array_equal(model_of(frame).fit().params, expected.params)


# -- float32 ---------------------------------------------------------------------------------------


def test_float32_rounds_the_attributes_and_nothing_else():
    frame = survey()
    single, double = (model_of(frame, dtype=dtype).choices for dtype in ("float32", "float64"))
    assert single.exog.dtype == np.float32
    assert double.exog.dtype == np.float64
    assert np.array_equal(np.asarray(single.exog), double.exog.astype(np.float32).astype(float))


def test_a_float32_fit_is_the_float64_fit_of_the_rounded_table():
    frame = survey()
    rounded = frame.assign(**{name: frame[name].astype(np.float32).astype(float) for name in NAMES})
    single, double = model_of(frame, dtype="float32").fit(), model_of(rounded).fit()
    assert single.llf == double.llf
    assert np.array_equal(single.params, double.params)
    assert np.array_equal(single.bse, double.bse)


def test_the_loss_of_float32_is_bounded_by_the_rounding_of_utilities():
    frame = survey()
    double = model_of(frame)
    params = np.array([1.0, -1.0, 0.5, -0.5, 0.5, 1.0, 0.2])
    # a utility moves by sum |x beta| UNIT at most, a log-probability by twice the largest of it
    size = np.abs(frame[NAMES].to_numpy()) @ np.abs(params[:6]).reshape(2, 3).max(axis=0)
    bound = 2 * UNIT * size.reshape(-1, 3).max(axis=1).sum()
    loss = model_of(frame, dtype="float32").loglike(params) - double.loglike(params)
    assert 0 < abs(loss) < bound


def test_float32_columns_of_the_table_are_read_as_float64():
    frame = survey().astype(dict.fromkeys(NAMES, np.float32))
    assert model_of(frame).choices.exog.dtype == np.float64


def test_other_types_of_storage_are_refused():
    for dtype in ("float16", "int32", None, "short"):
        with pytest.raises(ArgumentError, match=r"is neither 'float64' nor 'float32'\."):
            model_of(survey(), dtype=dtype)


def test_a_note_says_where_float32_takes_digits():
    # unit in the last place over the spread within situations: 1e4 * 2**-24 = 6e-4 > 1e-4
    (note,) = model_of(survey(offset=1e4), dtype="float32").choices.notes
    assert "Stored as float32, 'a' keeps fewer than four digits" in note
    assert "dtype='float64'" in note
    assert model_of(survey(offset=1e2), dtype="float32").choices.notes == ()
    assert model_of(survey(offset=1e4)).choices.notes == ()


def test_what_float32_makes_constant_is_refused_with_the_reason():
    frame = survey()
    frame["a"] = 1e9 + frame["a"]
    with pytest.raises(IdentificationError, match=r"'a' is constant .* as float32 stores it"):
        model_of(frame, dtype="float32")
    model_of(frame)


def test_columns_that_are_collinear_but_for_the_rounding_to_float32_are_refused():
    frame = survey(offset=1e3)
    frame["c"] = 0.3 * frame["a"] + 0.1 * frame["b"]
    with pytest.raises(IdentificationError, match="'c' is a linear combination of 'a', 'b'"):
        model_of(frame, dtype="float32")


def test_what_is_too_large_for_float32_is_refused_with_the_reason():
    frame = survey()
    frame.loc[7, "b"] = 1e39
    with pytest.raises(DataError, match=r"stored as float32, which holds numbers up to 3\.4e\+38"):
        model_of(frame, dtype="float32")


# -- memory maps -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_memory_map_is_read_where_it_is(tmp_path, dtype):
    frame = survey()
    np.save(tmp_path / "exog.npy", np.ascontiguousarray(frame[NAMES], dtype))
    exog = np.load(tmp_path / "exog.npy", mmap_mode="r+")
    ids = {"situation": frame["situation"], "individual": frame["person"]}
    mapped = MixedMultinomialLogit(frame["choice"], exog, 2, **ids)
    copied = MixedMultinomialLogit(frame["choice"], np.array(exog, dtype=float), 2, **ids)
    held = mapped.choices.exog if dtype == "float64" else mapped.choices.exog._values
    assert np.shares_memory(held, exog)
    assert exog.flags.writeable
    assert not copied.choices.exog.flags.writeable
    assert mapped.fit().llf == copied.fit().llf


def test_a_memory_map_of_rows_out_of_order_or_to_be_rounded_is_copied(tmp_path):
    frame = survey()
    np.save(tmp_path / "exog.npy", np.ascontiguousarray(frame[NAMES]))
    exog = np.load(tmp_path / "exog.npy", mmap_mode="r")
    ids = {"situation": frame["situation"], "individual": frame["person"]}
    rounded = MixedMultinomialLogit(frame["choice"], exog, 2, dtype="float32", **ids)
    assert rounded.choices.exog.dtype == np.float32
    backwards = {role: values.to_numpy()[::-1] for role, values in ids.items()}
    turned = MixedMultinomialLogit(frame["choice"].to_numpy()[::-1], exog, 2, **backwards)
    assert not np.shares_memory(turned.choices.exog, exog)
