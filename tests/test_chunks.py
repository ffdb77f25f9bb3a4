"""Tables that come in pieces."""

from __future__ import annotations

import gc
import pickle
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from mixlogit import MixedMultinomialLogit
from mixlogit.attributes import FileRows
from mixlogit.errors import (
    ArgumentError,
    ColumnError,
    DataError,
    DataWarning,
    FormulaError,
    UnseenLevelError,
)

IDS = {"situation": "trip", "individual": "person", "alternative": "mode"}
FORMULA = "choice ~ cost + time"
PEOPLE, ROWS = 40, 40 * 12


@pytest.fixture(scope="module")
def frame():
    """4 trips of 3 modes for each of 40 people; trips are numbered anew for each person."""
    rng = np.random.default_rng(8)
    row = np.arange(ROWS)
    table = pd.DataFrame(
        {
            "person": 100 + row // 12,
            "trip": row // 3 % 4,
            "mode": np.array(["air", "bus", "car"])[row % 3],
            "cost": rng.standard_normal(ROWS) + 3,
            "time": rng.standard_normal(ROWS),
            "income": np.repeat(rng.standard_normal(PEOPLE), 12),
            "weight": np.repeat(rng.uniform(0.5, 2, PEOPLE), 12),
            "number": np.repeat(rng.integers(1, 4, PEOPLE), 12),
        }
    )
    hurry = np.where(table["person"] % 2, 1.5, -0.5)  # two classes
    utility = hurry * table["time"] - table["cost"] + rng.gumbel(size=ROWS)
    best = utility.to_numpy().reshape(-1, 3).argmax(axis=1)
    table["choice"] = (best[:, None] == np.arange(3)).ravel().astype(int)
    table["zone"] = np.where(row % 2, "north", np.where(row < ROWS - 12, "south", "west"))
    table["open"] = (rng.random(ROWS) < 0.8).astype(int) | table["choice"]
    return table


def cut(table, *lengths):
    """A table in pieces of these lengths, over and over."""
    pieces, i, n = [], 0, 0
    while i < len(table):
        pieces.append(table.iloc[i : i + lengths[n % len(lengths)]])
        i, n = i + lengths[n % len(lengths)], n + 1
    return pieces


def both(formula, table, pieces, **settings):
    """The model from the table, and from its pieces."""
    whole = MixedMultinomialLogit.from_formula(formula, table, 2, **(IDS | settings))
    return whole, MixedMultinomialLogit.from_chunks(formula, pieces, 2, **(IDS | settings))


def assert_same(whole, chunked, exog_tolerance=0.0):
    """Bit for bit, attributes within a relative tolerance."""
    a, b = whole.choices, chunked.choices
    assert isinstance(b.exog, FileRows)
    np.testing.assert_allclose(np.asarray(b.exog), np.asarray(a.exog), rtol=exog_tolerance)
    assert a.exog_names == b.exog_names
    assert a.membership_names == b.membership_names
    assert a.notes == b.notes
    np.testing.assert_allclose(a.membership, b.membership, rtol=exog_tolerance)
    assert np.array_equal(a.weights, b.weights)
    assert np.array_equal(whole.endog, chunked.endog)
    for name in ("row", "count", "start", "frequency", "ids"):
        assert np.array_equal(getattr(a.entries, name), getattr(b.entries, name)), name
    names = ("order", "situation_start", "situation_ids", "situation_owner", "individual_ids")
    for name in (*names, "alternative_codes", "alternative_ids"):
        one, other = getattr(a.arrangement, name), getattr(b.arrangement, name)
        assert (one is None) == (other is None), name
        assert one is None or np.array_equal(one, other), name


@pytest.mark.parametrize("lengths", [(1,), (7,), (12,), (100, 3, 50), (479,), (480,), (10_000,)])
def test_pieces_may_be_cut_anywhere(frame, lengths):
    whole, chunked = both(FORMULA, frame, cut(frame, *lengths))
    assert_same(whole, chunked)
    assert chunked.choices.arrangement.permutation is None


def test_a_fit_of_pieces_has_the_same_bits(frame):
    whole, chunked = (model.fit() for model in both(FORMULA, frame, cut(frame, 29)))
    assert np.array_equal(whole.params, chunked.params)
    assert np.array_equal(whole.bse, chunked.bse)
    assert whole.llf == chunked.llf
    for which in ("prob", "linear", "class_prob"):
        pd.testing.assert_frame_equal(
            pd.DataFrame(whole.predict(which=which)), pd.DataFrame(chunked.predict(which=which))
        )
    pd.testing.assert_frame_equal(whole.logsum(), chunked.logsum())
    pd.testing.assert_frame_equal(whole.elasticities("cost"), chunked.elasticities("cost"))


@pytest.fixture(scope="module")
def large_sets():
    """24 people with 20 trips of 20 modes each, and 4 people with 6 trips of 200 modes each."""
    rng = np.random.default_rng(9)
    sizes = np.repeat([20, 200], [24 * 20, 4 * 6])
    trip = np.repeat(np.arange(len(sizes)), sizes)
    person = np.repeat(np.arange(28), [20] * 24 + [6] * 4)[trip]
    first = np.cumsum(sizes) - sizes
    table = pd.DataFrame(
        rng.standard_normal((len(trip), 30)) + rng.standard_normal(30) * 20,
        columns=[f"x{i}" for i in range(30)],
    ).assign(person=person, trip=trip, mode=np.arange(len(trip)) - first[trip], choice=0)
    table.loc[first + rng.integers(sizes), "choice"] = 1
    return table


def of_large_sets(table):
    formula = "choice ~ " + " + ".join(f"x{i}" for i in range(30))
    return both(formula, table, cut(table, 3_000))


def test_large_choice_sets_have_the_same_bits_in_a_file(large_sets, monkeypatch):
    monkeypatch.setattr("mixlogit.blocks._KEEP_BYTES", 0)
    monkeypatch.setattr("mixlogit.blocks._MEAN_SLOTS", 16.0)
    likelihoods = [model.likelihood() for model in of_large_sets(large_sets)]
    params = np.random.default_rng(0).normal(0, 0.1, likelihoods[0].n_params)
    beta, weight = params[:30], np.ones(28)
    (a, b), (one, other) = likelihoods, (x.evaluate(params) for x in likelihoods)
    assert one.value == other.value
    assert np.array_equal(one.score, other.score)
    assert np.array_equal(one.hessian, other.hessian)
    parameters = a.unpack(params)
    assert np.array_equal(a.individual_scores(parameters), b.individual_scores(parameters))
    for x, y in zip(a.table.occasions(beta), b.table.occasions(beta), strict=True):
        assert np.array_equal(x.score, y.score)
    rows = zip(a.table.alternatives(beta, weight), b.table.alternatives(beta, weight), strict=True)
    for x, y in rows:
        assert np.array_equal(x.deviation, y.deviation)


def test_a_file_of_large_choice_sets_keeps_no_means_of_theirs(large_sets, monkeypatch):
    monkeypatch.setattr("mixlogit.blocks._KEEP_BYTES", 0)
    monkeypatch.setattr("mixlogit.blocks._MEAN_SLOTS", 16.0)
    kept = []
    for model in of_large_sets(large_sets[large_sets["person"] < 24]):
        likelihood = model.likelihood()
        tracemalloc.start()
        likelihood.evaluate(np.zeros(likelihood.n_params))
        gc.collect()
        kept.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    # 8 bytes for each attribute and situation; the rest is the same, but for a few objects
    assert kept[0] - kept[1] > 0.9 * 8 * 30 * 480


def test_categories_may_first_appear_in_the_last_piece(frame):
    formula = "choice ~ cost + C(zone) + C(mode):time"
    whole, chunked = both(formula, frame, cut(frame, 50))
    assert any("west" in name for name in chunked.choices.exog_names)
    assert_same(whole, chunked)


def test_transforms_learn_from_all_pieces(frame):
    # the mean of a column is summed up piece by piece: round-off of a few units
    whole, chunked = both("choice ~ center(cost) + standardize(time)", frame, cut(frame, 50))
    assert_same(whole, chunked, exog_tolerance=1e-12)
    assert whole.fit().llf == pytest.approx(chunked.fit().llf, rel=1e-12)


def test_rows_within_individuals_may_be_unsorted(frame):
    rng = np.random.default_rng(0)
    order = np.concatenate([12 * i + rng.permutation(12) for i in range(PEOPLE)])
    mixed = frame.iloc[order]
    whole, chunked = both(FORMULA, mixed, cut(mixed, 31))
    assert_same(whole, chunked)
    params = np.linspace(-1, 1, whole.likelihood().n_params)
    assert whole.loglike(params) == chunked.loglike(params)


def test_individuals_keep_the_order_of_the_table(frame):
    turned = pd.concat([frame.iloc[240:], frame.iloc[:240]])
    whole, chunked = both(FORMULA, turned, cut(turned, 31))
    ids = chunked.choices.arrangement.individual_ids
    assert ids.tolist() == turned["person"].unique().tolist()
    params = np.linspace(-1, 1, whole.likelihood().n_params)
    # the same terms, added up in another order
    assert whole.loglike(params) == pytest.approx(chunked.loglike(params), rel=1e-13)
    here = pd.DataFrame(chunked.posterior(params), index=ids).sort_index()
    np.testing.assert_allclose(here, whole.posterior(params), rtol=1e-12)


def test_covariates_weights_and_availability_come_along(frame):
    settings = {
        "membership": "income",
        "weights": "weight",
        "freq_weights": "number",
        "availability": "open",
    }
    assert_same(*both(FORMULA, frame, cut(frame, 31), **settings))


def test_without_individuals_situations_stand_together(frame):
    numbered = frame.assign(trip=np.arange(ROWS) // 3)
    assert_same(*both(FORMULA, numbered, cut(numbered, 4), individual=None, alternative=None))


def test_counts_are_read_from_pieces_where_they_are_asked_for(frame):
    counted = frame.assign(choice=frame["choice"] * np.where(frame["person"] < 139, 1, 2))
    whole, chunked = both(FORMULA, counted, cut(counted, 31), choices="counts")
    assert_same(whole, chunked)
    assert chunked.endog.max() == 2
    n = int(counted["choice"].sum())
    note = f"Choices are counts (choice): {n} choices in 160 choice situations."
    assert chunked.choices.notes == whole.choices.notes == (note,)


def test_counts_in_one_piece_that_were_not_asked_for_are_refused(frame):
    counted = frame.assign(choice=frame["choice"] * np.where(frame["person"] < 139, 1, 2))
    refused(DataError, "In rows .*is coded 0 and 2, .*choices='counts'", cut(counted, 31))


def test_situations_with_missing_values_are_dropped_from_every_piece(frame):
    gaps = frame.copy()
    gaps.loc[[5, 200, *range(48, 60)], "cost"] = np.nan  # a whole person among them
    with pytest.warns(DataWarning, match="6 of 160 choice situations dropped"):
        whole, chunked = both(FORMULA, gaps, cut(gaps, 12), missing="drop")
    assert_same(whole, chunked)
    assert chunked.fit().predict().shape == (ROWS,)


def test_float32_is_written_as_float32(frame):
    whole, chunked = both(FORMULA, frame, cut(frame, 31), dtype="float32")
    assert chunked.choices.exog.dtype == np.float32
    assert_same(whole, chunked)


# -- files -----------------------------------------------------------------------------------------


def test_a_csv_file_is_read_by_its_path(frame, tmp_path, monkeypatch):
    monkeypatch.setattr("mixlogit.chunks._ROWS_PER_CHUNK", 70)
    frame.to_csv(tmp_path / "trips.csv", index=False)
    assert_same(*both(FORMULA, pd.read_csv(tmp_path / "trips.csv"), tmp_path / "trips.csv"))
    opened = lambda: pd.read_csv(tmp_path / "trips.csv", chunksize=31)  # noqa: E731
    assert_same(*both(FORMULA, pd.read_csv(tmp_path / "trips.csv"), opened))


def test_a_parquet_file_is_read_by_its_path(frame, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr("mixlogit.chunks._ROWS_PER_CHUNK", 70)
    frame.to_parquet(tmp_path / "trips.parquet")
    assert_same(*both(FORMULA, frame, tmp_path / "trips.parquet"))


def test_a_parquet_file_needs_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "trips.parquet").touch()
    with pytest.raises(ArgumentError, match=r"needs pyarrow\. Install it \(pip install pyarrow\)"):
        MixedMultinomialLogit.from_chunks(FORMULA, tmp_path / "trips.parquet", **IDS)


def test_the_file_of_attributes_is_where_it_was_asked_for(frame, tmp_path):
    model = MixedMultinomialLogit.from_chunks(
        FORMULA, cut(frame, 31), **IDS, folder=tmp_path / "new"
    )
    path = tmp_path / "new" / "attributes.npy"
    assert np.array_equal(np.load(path), frame[["cost", "time"]].to_numpy())
    params = np.linspace(-1, 1, 5)
    again = pickle.loads(pickle.dumps(model))
    assert again.loglike(params) == model.loglike(params)
    with pytest.raises(ArgumentError, match="which may belong to another model"):
        MixedMultinomialLogit.from_chunks(FORMULA, [frame], **IDS, folder=tmp_path / "new")
    del model, again
    gc.collect()
    assert path.exists()


def test_a_temporary_file_goes_with_the_model(frame):
    model = MixedMultinomialLogit.from_chunks(FORMULA, [frame], **IDS)
    path = model.choices.exog.path
    assert path.exists()
    del model
    gc.collect()
    assert not path.parent.exists()


def test_nothing_is_left_when_the_data_are_refused(frame, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    bad = frame.assign(cost=np.inf)
    for folder in (None, tmp_path / "own"):
        with pytest.raises(DataError, match="480 values of attribute 'cost'"):
            MixedMultinomialLogit.from_chunks(FORMULA, cut(bad, 31), **IDS, folder=folder)
    assert [path.name for path in tmp_path.iterdir()] == ["own"]
    assert not list((tmp_path / "own").iterdir())


# -- bad input -------------------------------------------------------------------------------------


def refused(error, match, pieces, formula=FORMULA, **settings):
    with pytest.raises(error, match=match):
        MixedMultinomialLogit.from_chunks(formula, pieces, 2, **(IDS | settings))


def test_chunks_must_be_readable_again(frame):
    refused(ArgumentError, "can be read only once, as generator", (f for f in [frame]))
    refused(ArgumentError, "chunks is one table, which is in memory already", frame)
    refused(ArgumentError, "chunks must be a function .* not int", 3)
    refused(DataError, "The table has no rows", [])
    refused(DataError, "The table has no rows", [frame.iloc[:0]])


def test_paths_must_be_those_of_tables(tmp_path):
    refused(ArgumentError, r"There is no file .*trips\.csv", tmp_path / "trips.csv")
    (tmp_path / "trips.xls").touch()
    refused(ArgumentError, r"'trips\.xls' ends neither in \.csv", str(tmp_path / "trips.xls"))


def test_chunks_that_change_between_passes_are_refused(frame):
    n_opened = 0

    def shrinking():  # the head, the first piece, learning, the types of terms; then writing
        nonlocal n_opened
        n_opened += 1
        return [frame if n_opened <= 4 else frame.iloc[:-12]]

    refused(DataError, "The chunks had 12 rows less in the last pass than in the first", shrinking)


def test_a_situation_column_is_needed(frame):
    refused(ArgumentError, "from_chunks needs situation=", [frame], situation=None)


def test_settings_are_checked_as_for_a_table(frame):
    refused(ArgumentError, "missing='no' is not one of", [frame], missing="no")
    refused(ArgumentError, "choices='no' is not one of", [frame], choices="no")
    refused(ArgumentError, "dtype='no' is neither", [frame], dtype="no")


def test_wrong_columns_are_named(frame):
    refused(ColumnError, "person", cut(frame.drop(columns="person"), 50))
    refused(ColumnError, "column 'costs'", cut(frame, 50), "choice ~ costs + time")
    other = [frame.iloc[:50], frame.iloc[50:].drop(columns="cost")]
    refused(ColumnError, r"Chunk 1 .* other columns than the first: 'cost' is not", other)
    swapped = [frame.iloc[:50], frame.iloc[50:, ::-1]]
    refused(ColumnError, "Chunk 1 .* than the first. Give all chunks the same", swapped)


def test_columns_of_two_kinds_are_refused(frame):
    pieces = cut(frame.assign(mode=np.arange(ROWS) % 3), 120)
    pieces[2] = pieces[2].assign(mode=pieces[2]["mode"].astype(str))
    refused(ColumnError, "'mode' holds other values from row 2.. on, and numbers in ear", pieces)
    pieces = cut(frame, 120)
    pieces[0] = pieces[0].assign(zone=pieces[0]["zone"].astype("category"))
    refused(
        ColumnError,
        "other values from .* and the categories 'north', 'south' in",
        pieces,
        "choice ~ C(zone) + cost",
    )


def test_rows_of_an_individual_must_stand_together(frame):
    apart = pd.concat([frame.iloc[3:], frame.iloc[:3]])
    match = "'person': 1 id has rows in several places of the table; the first is 100. .* sort"
    refused(DataError, match, cut(apart, 31))


def test_an_error_says_in_which_rows_it_is(frame):
    bad = frame.copy()
    bad.loc[bad.index[300], "choice"] = -1
    refused(
        DataError, "In rows 300 to 311 of the table, numbered anew from 0: 1 value", cut(bad, 12)
    )


def test_every_situation_with_a_missing_value_is_refused(frame):
    gaps = frame.assign(cost=np.where(frame["mode"] == "car", np.nan, frame["cost"]))
    match = "Every one of the 160 choice situations has a missing value"
    refused(DataError, match, cut(gaps, 31), missing="drop")


def test_missing_ids_and_values_are_refused(frame):
    gaps = frame.astype({"person": float})
    gaps.loc[200, "person"] = np.nan
    refused(DataError, "1 value of the id column 'person' is missing", cut(gaps, 31))
    gaps = frame.copy()
    gaps.loc[200, "time"] = np.nan
    refused(DataError, "1 value of attribute 'time' is missing", cut(gaps, 31))


def test_terms_that_depend_on_other_rows_are_refused(frame):
    refused(
        FormulaError, "not computed row by row", cut(frame, 31), "choice ~ I(cost - cost.mean())"
    )


def test_new_levels_are_refused_as_for_a_table(frame):
    _, chunked = both("choice ~ cost + C(zone)", frame, cut(frame, 31))
    with pytest.raises(UnseenLevelError, match="east"):
        chunked.choice_sets(frame.assign(zone="east"))
