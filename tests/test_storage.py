"""Results in files: what comes back is what went in, and a hostile file is refused."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
import subprocess
import sys
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import patsy
import pytest
from conftest import electricity_model, fitted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulated import TASTES, panel
from zoo import CASES, PANEL, case, survey

import mixlogit
from mixlogit import MixedMultinomialLogit, datasets, read_results
from mixlogit.archive import write_archive
from mixlogit.errors import MixlogitWarning, NoDataError, StorageError

matplotlib.use("Agg")
REFERENCE = Path(__file__).parent / "reference"
SURVEY = datasets.load("electricity").data
TEN = 10
CAR = 2  # an alternative


def fit(model, *args, **keywords):
    """A fit, whatever it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixlogitWarning)
        return model.fit(*args, **keywords)


def reread(result, folder, **keywords):
    """The result after its way through a file."""
    result.to_file(folder / "fit.npz", **keywords)
    return read_results(folder / "fit.npz")


def assert_same_estimates(again, result):
    """What needs no data is the same to the last bit."""
    exact = {"check_exact": True}
    pd.testing.assert_series_equal(again.params, result.params, **exact)
    pd.testing.assert_frame_equal(again.cov_params(), result.cov_params(), **exact)
    pd.testing.assert_frame_equal(again.conf_int(), result.conf_int(), **exact)
    pd.testing.assert_frame_equal(again.class_params, result.class_params, **exact)
    pd.testing.assert_frame_equal(again.class_share_table(), result.class_share_table(), **exact)
    pd.testing.assert_frame_equal(again.population_params(), result.population_params(), **exact)
    pd.testing.assert_frame_equal(again.starts, result.starts, **exact)
    names = "llf llnull ll_mnl aic bic caic sabic hqic icl entropy_r2 prsquared_adj nobs df_model"
    for name in names.split():
        np.testing.assert_equal(getattr(again, name), getattr(result, name), err_msg=name)
    np.testing.assert_equal(vars(again.certificate()), vars(result.certificate()))
    np.testing.assert_equal(again.mle_retvals, result.mle_retvals)
    assert again.mle_settings == result.mle_settings
    assert (again.at_bound, again.fixed) == (result.at_bound, result.fixed)
    assert again.summary().as_text() == result.summary().as_text()
    assert again.summary().as_csv() == result.summary().as_csv()
    if result.moment_params is None:
        assert again.moment_params is None
    else:
        pd.testing.assert_series_equal(again.moment_params, result.moment_params, **exact)


def assert_same_data(again, result):
    """What comes from the data is the same to the last bit."""
    exact = {"check_exact": True}
    pd.testing.assert_frame_equal(again.posterior, result.posterior, **exact)
    pd.testing.assert_frame_equal(again.individual_params(), result.individual_params(), **exact)
    pd.testing.assert_frame_equal(again.classification_table(), result.classification_table())
    for which in ("prob", "class_prob", "linear"):
        own, other = (one.predict(which=which) for one in (again, result))
        assert type(own.index) is type(other.index)
        np.testing.assert_array_equal(own, other)
        assert own.index.equals(other.index)
    pd.testing.assert_frame_equal(again.logsum(), result.logsum(), **exact)
    if result.cov_type != "none":
        robust = [one.with_cov("robust").bse for one in (again, result)]
        pd.testing.assert_series_equal(*robust, **exact)
    flat = result.params.to_numpy()
    assert again.model.loglike(flat) == result.model.loglike(flat)
    np.testing.assert_array_equal(again.model.score_obs(flat), result.model.score_obs(flat))
    assert (again.model.endog == result.model.endog).all()


# -- what goes in comes back -----------------------------------------------------------------------


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_every_layout_of_data_comes_back(one, tmp_path):
    result = fit(one.model(2), n_starts=2)
    again = reread(result, tmp_path)
    assert_same_estimates(again, result)
    assert_same_data(again, result)
    new = one.frame.head(len(one.frame) // 2)
    np.testing.assert_array_equal(again.predict(new), result.predict(new))


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_without_the_data_estimates_and_predictions_for_new_data_come_back(one, tmp_path):
    result = fit(one.model(2), n_starts=2)
    again = reread(result, tmp_path, include_data=False)
    assert_same_estimates(again, result)
    new = one.frame.head(len(one.frame) // 2)
    np.testing.assert_array_equal(again.predict(new), result.predict(new))


@pytest.fixture(scope="module")
def table():
    """A panel of 40 people with columns of every kind."""
    frame = survey(3, [[3] * 4] * 40, n_attributes=3)
    at = frame["person"] - 1
    rng = np.random.default_rng(3)
    frame["x 1"] = frame["x1"]
    frame["cost"] = np.exp(frame["x2"])
    frame["mode"] = frame["alt"].map({1: "bus", 2: "car", 3: "train"})
    frame["kind"] = pd.Categorical(frame["mode"], ["train", "car", "bus"])
    frame["fast"] = frame["x3"] > 0
    frame["day"] = pd.Timestamp("2024-05-01") + pd.to_timedelta(frame["alt"], unit="D")
    frame["size"] = pd.array(rng.integers(1, 9, size=len(frame)), dtype="Int64")
    frame["age"] = rng.uniform(20, 80, size=40)[at]
    frame["region"] = np.array(["west", "east", "north"])[rng.integers(3, size=40)][at]
    frame["w"] = rng.uniform(0.5, 2, size=40)[at]
    frame["n"] = rng.integers(1, 4, size=40)[at]
    frame["open"] = (frame["alt"] != 3) | (frame["choice"] == 1)
    return frame


def panel_model(table, formula="choice ~ x1 + x2", n_classes=1, **keywords):
    """A model of the panel; names in the formula are those of this module."""
    from numpy import log, sqrt  # noqa: F401 - for formulas

    return MixedMultinomialLogit.from_formula(
        formula, table, n_classes, **PANEL | {"alternative": "alt"} | keywords
    )


FORMULAS = [
    *("C(alt) + x1", "C(mode, Treatment('car')) + x1", "C(mode, Sum) + x1", "C(alt, Poly)"),
    *("C(alt, Treatment(CAR))", "C(mode, levels=['train', 'car', 'bus'])", "kind + x1", "kind:x1"),
    *("C(alt):x1 + x2", "C(alt):C(fast)", "fast", "C(day)", "C(alt, Helmert)", "C(alt, Diff)"),
    *("I(x1 / 100)", "I(x1 / TEN) + x2", "I(x1 ** 2) + x1", "I(x1 * x2)", "size", "I(size / 2)"),
    *("np.log(cost)", "log(cost) + sqrt(cost)", "np.where(x1 > 0, x1, 0)", "abs(x1) + x2"),
    *("np.maximum(x1, 0) + np.minimum(x1, 0)", "I((mode == 'car') * x1)", "I((x1 > 0) & fast)"),
    *("Q('x 1') + x2", "np.log(Q('cost') + 1)", "center(x1) + x2", "standardize(size)"),
    *("scale(x1, ddof=1)", "center(np.log(cost))", "bs(x1, df=4)", "bs(x1, knots=[0], degree=2)"),
    *("cr(x1, df=3, constraints='center')", "cc(x1, df=3, constraints='center')"),
    "te(cr(x1, df=3), cc(x2, df=3), constraints='center')",
]


@pytest.mark.parametrize("right", FORMULAS)
def test_terms_of_formulas_replay_on_new_data(right, table, tmp_path):
    result = fit(panel_model(table, f"choice ~ {right}"), method="newton", maxiter=3)
    new = table.sample(frac=0.7, random_state=1).assign(x2=lambda frame: frame["x2"] * 0.9)
    expected = result.predict(new)
    for include_data in (True, False):
        again = reread(result, tmp_path, include_data=include_data)
        pd.testing.assert_series_equal(again.predict(new), expected, check_exact=True)
        assert again.model.spec.utility.categories == result.model.spec.utility.categories
        assert again.summary().as_text() == result.summary().as_text()


def test_levels_that_were_not_there_are_refused_as_before(table, tmp_path):
    result = fit(panel_model(table, "choice ~ C(mode) + x1"))
    again = reread(result, tmp_path, include_data=False)
    with pytest.raises(mixlogit.errors.UnseenLevelError) as expected:
        result.predict(table.replace({"mode": {"car": "tram"}}))
    with pytest.raises(mixlogit.errors.UnseenLevelError) as found:
        again.predict(table.replace({"mode": {"car": "tram"}}))
    assert str(found.value) == str(expected.value)


MODELS = {
    "membership": {"membership": "age + C(region)"},
    "membership of numbers without a constant": {"membership": "0 + C(region)"},
    "transformed membership": {"membership": "standardize(age)"},
    "weights": {"weights": "w"},
    "frequencies": {"freq_weights": "n", "weights": "w"},
    "availability": {"availability": "open"},
    "common": {"common": ["x1"]},
    "constraints": {"constraints": ["class1.x1 = 1", "class1.x2 = class2.x2"]},
    "signs": {"signs": {"x1": "+", "class2.x2": "-"}},
    "float32": {"dtype": "float32"},
    "one class": {"n_classes": 1},
    "three classes": {"n_classes": 3},
}


@pytest.mark.parametrize("keywords", MODELS.values(), ids=MODELS)
def test_every_kind_of_model_comes_back(keywords, table, tmp_path):
    result = fit(panel_model(table, **{"n_classes": 2} | keywords), n_starts=3)
    again = reread(result, tmp_path)
    assert_same_estimates(again, result)
    assert_same_data(again, result)
    assert again.model.restrictions == result.model.restrictions
    refit = [fit(one.model, one, method="newton").params for one in (again, result)]
    pd.testing.assert_series_equal(*refit, check_exact=True)
    assert_same_estimates(reread(again, tmp_path, include_data=False), result)


def interrupt(state):
    if state.iteration == 12:
        raise KeyboardInterrupt


FITS = {
    "penalised": {"penalty": 2.5},
    "interrupted": {"callback": interrupt},
    "em": {"method": "em", "tol": 1e-3},
    "cut short": {"method": "newton", "maxiter": 1},
    "robust": {"cov_type": "robust"},
    "opg": {"cov_type": "opg"},
    "clusters": {"cov_type": "cluster", "cov_kwds": {"groups": [f"g{i % 7}" for i in range(40)]}},
    "no errors": {"cov_type": "none"},
    "a seed": {"rng": np.int64(7)},
    "a long seed": {"rng": 2**128 + 1},
    "no seed": {"rng": None, "n_starts": 1},
    "moments": {"init": "moments"},
}


@pytest.mark.parametrize("keywords", FITS.values(), ids=FITS)
def test_every_kind_of_fit_comes_back(keywords, table, tmp_path):
    result = fit(panel_model(table, n_classes=2), **keywords)
    assert (result.certificate().status == "interrupted") == ("callback" in keywords)
    again = reread(result, tmp_path)
    assert_same_estimates(again, result)
    assert_same_data(again, result)
    if "groups" in result.cov_kwds:
        assert list(again.cov_kwds["groups"]) == list(result.cov_kwds["groups"])


def test_of_a_generator_the_name_is_kept(table, tmp_path):
    result = fit(panel_model(table, n_classes=2), rng=np.random.default_rng(1), n_starts=1)
    assert reread(result, tmp_path).mle_settings["rng"] == "Generator(PCG64)"


def test_models_from_arrays_come_back(table, tmp_path):
    exog = table[["x1", "x2"]].set_axis(["first", "the second"], axis=1)
    columns = {"situation": "situation", "individual": "person", "alternative": "alt"}
    ids = {role: table[name].to_numpy() for role, name in columns.items()}
    model = MixedMultinomialLogit(table["choice"], exog, 2, membership=table["age"], **ids)
    result = fit(model, n_starts=2)
    again = reread(result, tmp_path)
    assert_same_estimates(again, result)
    assert_same_data(again, result)
    new = {"situation": ids["situation"], "membership": table["age"]}
    np.testing.assert_array_equal(again.predict(exog, **new), result.predict(exog, **new))


def test_choices_from_one_table_come_back(tmp_path):
    result = fit(case("shared table").model(2), n_starts=2)
    again = reread(result, tmp_path)
    pd.testing.assert_frame_equal(again.market_shares(), result.market_shares(), check_exact=True)


def test_tables_in_files_come_back_in_memory(table, tmp_path):
    model = MixedMultinomialLogit.from_chunks(
        "choice ~ x1 + x2", [table.iloc[:200], table.iloc[200:]], 2, **PANEL
    )
    result = fit(model, n_starts=2)
    assert_same_data(reread(result, tmp_path), result)


def test_wide_tables_come_back(tmp_path):
    rng = np.random.default_rng(0)
    exog = rng.normal(size=(4 * 400, 160))
    choice = np.zeros((400, 4))
    choice[np.arange(400), rng.integers(4, size=400)] = 1
    ids = {"situation": np.repeat(np.arange(400), 4), "individual": np.repeat(np.arange(100), 16)}
    model = MixedMultinomialLogit(choice.ravel(), exog, 2, **ids)
    result = fit(model, np.zeros(321), method="em", maxiter=2, cov_type="none")
    again = reread(result, tmp_path)
    assert_same_estimates(again, result)
    assert_same_data(again, result)
    assert again.with_cov("opg").bse.equals(result.with_cov("opg").bse)


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(10, 10 + 480 * 3, 3, name="row"),
        pd.Index(np.arange(480)[::-1] / 7),
        pd.Index([f"röw {i}" for i in range(480)], name=("a", 1)),
        pd.Index([f"row {i}" for i in range(479)] + [None]),
        pd.Index([(i, "a") if i % 2 else i for i in range(480)], dtype=object, tupleize_cols=False),
        pd.date_range("2024-01-01", periods=480, freq="s"),
        pd.to_timedelta(np.arange(480), unit="h"),
        pd.MultiIndex.from_product([range(40), list("abcdefghijkl")], names=["p", None]),
        pd.Index(np.arange(480) % 2 == 0),
        pd.Index([pd.Timestamp("2024-05-01 12:00"), pd.Timedelta("1h"), np.nan, True, "a"] * 96),
        pd.Index([pd.Interval(i, i + 0.5) for i in range(480)], dtype=object),
    ],
    ids=lambda index: f"{type(index).__name__} {getattr(index, 'inferred_type', '')}",
)
def test_labels_of_rows_come_back(index, table, tmp_path):
    result = fit(panel_model(table.set_axis(index), missing="raise"))
    again = reread(result, tmp_path)
    labels = again.predict().index
    assert type(labels) is type(index)
    assert labels.equals(index)
    assert labels.dtype == index.dtype
    assert labels.names == index.names


def test_a_range_of_labels_much_longer_than_the_rows_comes_back(table, tmp_path):
    long = pd.concat([table, table.iloc[[0] * 60_000].assign(open=0, choice=0)], ignore_index=True)
    result = fit(panel_model(long, availability="open"))
    again = reread(result, tmp_path)
    np.testing.assert_array_equal(again.predict(), result.predict())
    assert len(again.predict()) == 60_480


def test_results_that_were_read_are_like_any_others(table, tmp_path):
    result = fit(panel_model(table, n_classes=2), n_starts=2)
    for include_data in (True, False):
        again = reread(result, tmp_path, include_data=include_data)
        unpickled = pickle.loads(pickle.dumps(again))
        assert_same_estimates(unpickled, result)
        assert_same_estimates(copy.deepcopy(again), result)
        assert repr(again) == repr(result)
        test = again.t_test("class1.x1 = class2.x1")
        assert str(test) == str(result.t_test("class1.x1 = class2.x1"))
        assert str(again.wald_test("class1.x1 = 0", scalar=True)) == str(
            result.wald_test("class1.x1 = 0", scalar=True)
        )
        for method in ("delta", "krinsky-robb", "fieller"):
            pd.testing.assert_frame_equal(
                again.wtp("x1", "x2", method=method), result.wtp("x1", "x2", method=method)
            )
        assert again.model.param_names == result.model.param_names
        again.plot_coefficients(standardised=True)
        again.plot_starts()
        plt.close("all")


# -- without the data ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def private(table, tmp_path_factory):
    """A result with ids that can be looked for, and what comes back without the data."""
    named = table.assign(
        person=table["person"].map("respondent-{:04}".format),
        situation=table["situation"].map("occasion-{:04}".format),
    )
    result = fit(panel_model(named, "choice ~ C(alt) + x1 + x2", 2, membership="age"), n_starts=2)
    folder = tmp_path_factory.mktemp("private")
    return result, reread(result, folder, include_data=False), named, folder / "fit.npz"


def test_without_the_data_the_file_says_nothing_about_individuals(private):
    result, _, _, path = private
    assert b"respondent-0001" not in path.read_bytes()
    with np.load(path, allow_pickle=False) as file:
        names = set(file.files)
        longest = max(len(file[name]) for name in names - {"header.json"})
    assert not names & {"exog", "posterior", "entry_row", "weights", "covariates"}
    assert longest == len(result.params)
    assert path.stat().st_size < 20_000
    result.to_file(path.with_name("whole.npz"))
    assert b"respondent-0001" in path.with_name("whole.npz").read_bytes()


def test_without_the_data_new_data_are_enough(private):
    result, again, named, _ = private
    new = named[named["person"] < "respondent-0020"]
    exact = {"check_exact": True}
    for call in (
        lambda one: one.market_shares(new, by_class=True),
        lambda one: one.market_shares(new, {"x1": 1.1}),
        lambda one: one.elasticities("x1", new),
        lambda one: one.logsum(new),
        lambda one: one.welfare_change("x2", new, {"x1": 1.1}),
        lambda one: one.wald_membership(),
        lambda one: one.predict(new, history=new).to_frame(),
        lambda one: one.held_out_loglike(new).to_frame(),
        lambda one: one.population_cov(),
    ):
        pd.testing.assert_frame_equal(call(again), call(result), **exact)


@pytest.mark.parametrize(
    "call",
    [
        lambda one: one.posterior,
        lambda one: one.individual_params(),
        lambda one: one.individual_wtp("x1", "x2"),
        lambda one: one.classification_table(),
        lambda one: one.predict(),
        lambda one: one.predict(which="linear"),
        lambda one: one.market_shares(),
        lambda one: one.elasticities("x1"),
        lambda one: one.logsum(),
        lambda one: one.wtp("x1", "x2", method="krinsky-robb"),  # with covariates of membership
        lambda one: one.with_cov("robust"),
        lambda one: one.plot_posterior(),
        lambda one: one.plot_wtp("x1", "x2", kind="individuals"),
        lambda one: one.model.fit(),
        lambda one: one.model.loglike(one.params),
        lambda one: one.model.latent_moments(),
        lambda one: one.model.with_classes(3).fit(),
        lambda one: mixlogit.lr_test(one, one),
        lambda one: mixlogit.select_classes(one.model, [1, 2]),
    ],
)
def test_without_the_data_what_needs_them_says_so(private, call):
    with pytest.raises(NoDataError, match=r"written without them\. Pass data= where the"):
        call(private[1])


def test_without_the_data_results_are_compared_but_not_the_data(private):
    result, again, _, _ = private
    comparison = mixlogit.compare([result, again], names=["one", "two"])
    assert "Whether one and two are on the same data cannot be seen" in str(comparison.summary())
    assert "cannot be seen" not in str(mixlogit.compare([again, again]).summary())
    assert (comparison.table.loc["one"] == comparison.table.loc["two"]).all()


def test_without_the_data_a_model_has_no_arrays(private):
    model = private[1].model
    assert model.endog is None
    assert model.exog is None
    assert "not in the file" in repr(model.choices)


def test_what_was_left_out_once_is_not_in_a_second_file(private, tmp_path):
    _, again, _, path = private
    again.to_file(tmp_path / "second.npz")
    assert (tmp_path / "second.npz").read_bytes() == path.read_bytes()


# -- what cannot be written ------------------------------------------------------------------------


def double(x):
    return 2 * x


class Halve:
    def memorize_chunk(self, x):
        pass

    def memorize_finish(self):
        pass

    def transform(self, x):
        return x / 2


halve = patsy.stateful_transform(Halve)
OBJECT = object()


@pytest.mark.parametrize(
    ("right", "what"),
    [
        ("x2 + double(x1)", r"The term double\(x1\) of the utility formula.*'double', a function"),
        ("halve(x1)", r"The term halve\(x1\) of .* because it has the transform Halve"),
        ("x1.clip(-1, 1)", r"The term x1.clip.* because it has x1.clip"),
        ("I(x1 * (OBJECT is not None))", "because it has 'OBJECT', a object"),
        ("np.nan_to_num(x1)", "because it has np.nan_to_num"),
        ("I(x1 if True else x2)", "IfExp"),
        ("pd.to_numeric(x1)", "because it has 'pd', a module"),
    ],
)
def test_terms_that_would_be_code_are_named(right, what, table, tmp_path):
    result = fit(panel_model(table, f"choice ~ {right}"))
    (tmp_path / "fit.npz").write_text("an earlier file")
    with pytest.raises(StorageError, match=f"(?s){what}.*table as a column, or use save"):
        result.to_file(tmp_path / "fit.npz")
    assert (tmp_path / "fit.npz").read_text() == "an earlier file"
    result.save(tmp_path / "fit.pickle")


def test_a_left_side_that_would_be_code_is_named(table, tmp_path):
    chosen = table.assign(chosen=np.where(table["choice"] == 1, table["alt"], -1))
    result = fit(panel_model(chosen, "I(chosen == alt) ~ x1"))
    again = reread(result, tmp_path)
    pd.testing.assert_series_equal(again.held_out_loglike(chosen), result.held_out_loglike(chosen))
    result = fit(panel_model(chosen, "chosen.eq(alt) ~ x1"))
    with pytest.raises(StorageError, match=r"left side 'chosen.eq\(alt\)' .* has chosen.eq"):
        result.to_file(tmp_path / "fit.npz")


def test_labels_that_a_file_cannot_hold_are_named(table, tmp_path):
    zone = table.set_axis(pd.date_range("2024-01-01", periods=480, tz="UTC"))
    with pytest.raises(
        StorageError, match=r"labels of the rows of the table are datetime64\[.*UTC"
    ):
        fit(panel_model(zone)).to_file(tmp_path / "fit.npz")
    other = pd.Series([complex(i) for i in table["person"]], dtype=object)
    result = fit(panel_model(table.assign(person=other.to_numpy())))
    with pytest.raises(StorageError, match=r"ids in individual_ids .*complex"):
        result.to_file(tmp_path / "fit.npz")
    assert_same_estimates(reread(result, tmp_path, include_data=False), result)


# -- files of others -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def valid(table, tmp_path_factory):
    """A small file with everything in it, its header and its arrays."""
    model = panel_model(
        table.iloc[:240],
        "choice ~ C(mode) + center(x1) + log(cost)",
        2,
        membership="age",
        signs={"center(x1)": "+"},
    )
    path = tmp_path_factory.mktemp("valid") / "fit.npz"
    result = fit(model, n_starts=2, cov_type="cluster", cov_kwds={"groups": np.arange(20) % 5})
    result.to_file(path)
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if name != "header.json"}
        return result, path, json.loads(file["header.json"]), arrays


def change(header, where, value):
    """A header with one value replaced, or taken away if it is ``...``."""
    header = copy.deepcopy(header)
    part = header
    for key in where[:-1]:
        part = part[key]
    if value is ...:
        del part[where[-1]]
    else:
        part[where[-1]] = value
    return header


def places(part, where=()):
    """Where there is something in a header."""
    if not isinstance(part, (dict, list)):
        return
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        yield (*where, key)
        yield from places(value, (*where, key))


def with_header(valid, tmp_path, where, value):
    """A file with another header, and the arrays as they were."""
    _, _, header, arrays = valid
    write_archive(tmp_path / "other.npz", change(header, where, value), arrays)
    return tmp_path / "other.npz"


def test_the_file_that_is_tampered_with_can_be_read(valid, tmp_path):
    path = with_header(valid, tmp_path, ("format",), "mixlogit results")
    assert_same_estimates(read_results(path), valid[0])


UTILITY = ("formula", "utility")
TERM = (*UTILITY, "factors", 2)  # log(cost)
HOSTILE = "__import__('pathlib').Path('hostile').touch()"


@pytest.mark.parametrize(
    ("where", "value", "what"),
    [
        *[
            ((*UTILITY, "factors", i, "eval_code"), code, "cannot be in a file")
            for i in range(3)
            for code in (
                HOSTILE,
                f"log({HOSTILE})",
                f"cost + {HOSTILE}",
                "cost.to_pickle('hostile')",
            )
        ],
        (("formula", "choice"), HOSTILE, "left side"),
        (("formula", "choice"), f"choice == {HOSTILE}", "left side"),
        (("formula", "membership", "factors", 0, "eval_code"), HOSTILE, "cannot be in a file"),
        ((*TERM, "variables"), {"log": {"function": "os.system"}}, "'os.system'"),
        ((*TERM, "variables"), {"log": {"function": "numpy.load"}}, "'numpy.load'"),
        ((*TERM, "variables"), {"log": {"module": "os"}}, "'os'"),
        ((*TERM, "variables"), {}, "cannot be in a file"),
        ((*TERM, "columns"), ["age"], "reads columns that|cannot be in a file"),
        ((*TERM, "columns"), [], "reads columns that|cannot be in a file"),
        (("formula", "utility", "factors"), [], "outside 0 to -1"),
    ],
)
def test_code_in_a_file_is_never_run(valid, where, value, what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = with_header(valid, tmp_path, where, value)
    with pytest.raises(StorageError, match=what):
        read_results(path)
    assert not Path("hostile").exists()


def test_transforms_of_a_file_are_those_of_patsy(valid, tmp_path):
    factors = valid[2]["formula"]["utility"]["factors"]
    place = next(i for i, factor in enumerate(factors) if factor["transforms"])
    (name,) = factors[place]["transforms"]
    where = (*UTILITY, "factors", place, "transforms", name)
    for value in (
        {"kind": "eval"},
        {"kind": "center", "count": 0, "sum": {"high": [1.0], "low": [0.0]}},
        {"kind": "center", "count": 9, "sum": {"high": [1.0], "low": []}},
        {"kind": "center", "count": 9, "sum": {"high": ["nan"], "low": [0.0]}},
        {"kind": "bs", "degree": 3, "knots": [2.0, 1.0]},
        {"kind": "bs", "degree": 3, "knots": [1.0] * 2000},
        {"kind": "bs", "degree": 10**6, "knots": [1.0, 2.0]},
        {"kind": "cr", "knots": [1.0, 2.0], "has_constraints": True},
    ):
        with pytest.raises(StorageError):
            read_results(with_header(valid, tmp_path, where, value))


@pytest.mark.parametrize(
    ("where", "value", "what"),
    [
        (("format",), "other results", "does not say that it holds such results"),
        (("format",), ..., "does not say that it holds such results"),
        (("version",), [2, 0], r"format 2.0, and this .* reads 1\.x\. Update .* have\.$"),
        (("version",), [0, 9], "in format 0.9"),
        (("version",), "1.0", "'version'"),
        (("cov_type",), "HC1", "'HC1'"),
        (("llnull",), "nan", "'llnull'"),
        (("fit", "llf"), "inf", "'llf'"),
        (("settings", "penalty"), "nan", "'penalty'"),
        (("settings", "method"), "other", "'other'"),
        (("restrictions", "linear"), ["class1.open = 0"], "class1.open"),
        (("restrictions", "linear"), ["(" * 900 + "1" + ")" * 900 + "= 0"], "cannot be read"),
        (("restrictions", "signs"), {"center(x1)": "*"}, "is '\\*'"),
        (("restrictions", "common"), ["nothing"], "nothing"),
        (("choices", "exog_names"), ["a", "b"], r"array 'exog' has shape"),
        (("choices", "exog_names"), ["a", "b", "c", "a"], "one name twice"),
        (("choices", "exog_names"), ["a", "b", "c", "d"], "other names than"),
        (
            ("choices", "membership_names"),
            ["Intercept", "other"],
            "other names than its attributes",
        ),
        (("choices", "membership_names"), ["Intercept"], "'covariates' has shape"),
        (("choices", "rows", "has"), [], "attribute|ids|individuals"),
        (("row_labels", "range"), [0, 100, 1], "more rows than labels|'permutation'"),
        (("row_labels", "range"), [0, 10, 0], "zero"),
        (
            ("row_labels",),
            {"kind": "any", "names": [None], "is_object": True, "values": []},
            "labels",
        ),
        (("row_labels", "kind"), "pickle", "'pickle'"),
        (("row_labels", "names"), [["a"]], "a name of the labels"),
        (("formula", "utility", "names"), ["a"], "outside|columns"),
        ((*UTILITY, "subterms", 0, "n_columns"), 1, "columns, and names others"),
        ((*UTILITY, "subterms"), [], "have 0 columns"),
        ((*UTILITY, "subterms", 0, "pieces", 0, "factor"), 99, "outside"),
        ((*UTILITY, "subterms", 0, "pieces", 0, "has_contrasts"), False, "both of numbers and"),
        (("fit", "origins"), [], "starts.llf"),
        (("fit", "certificate", "diverging"), [1], "something else than strings"),
        (("groups",), {"kind": "range", "names": [None], "range": [0, 3, 1]}, "labels 'groups'"),
    ],
)
def test_headers_that_do_not_go_with_the_rest_are_refused(valid, where, value, what, tmp_path):
    with pytest.raises(StorageError, match=what):
        read_results(with_header(valid, tmp_path, where, value))


def test_a_header_that_lacks_something_is_refused_or_has_the_same_estimates(valid, tmp_path):
    n_read = n_refused = 0
    for where in places(valid[2]):
        again = outcome(with_header(valid, tmp_path, where, ...))
        n_refused += again is None
        if again is not None:
            n_read += 1
            np.testing.assert_array_equal(again.params, valid[0].params)
    assert n_refused > n_read > 0


def test_what_is_not_identified_comes_back(tmp_path):
    frame = panel(0, 3 * TASTES.iloc[:, :2], n_people=60)
    frame["rare"] = np.where(frame["drawn"] == frame["drawn"].iloc[0], frame["x3"], 0.0)
    model = MixedMultinomialLogit.from_formula("choice ~ x1 + x2 + rare", frame, 2, **PANEL)
    result = fit(model, n_starts=4)
    assert len(result.certificate().unmet) == 1
    again = reread(result, tmp_path)
    assert again.certificate() == result.certificate()
    for cov_type in ("nonrobust", "robust", "opg"):
        pd.testing.assert_series_equal(
            again.with_cov(cov_type).bse, result.with_cov(cov_type).bse, check_exact=True
        )


def test_later_minor_versions_are_read(valid, tmp_path):
    _, _, header, arrays = valid
    later = header | {"version": [1, 7], "something": {"new": 1}}
    write_archive(tmp_path / "later.npz", later, arrays | {"something": np.ones(3)})
    assert_same_estimates(read_results(tmp_path / "later.npz"), valid[0])


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("beta", lambda a: a * np.nan),
        ("beta", lambda a: a[:0]),
        ("beta", lambda a: a[:1]),
        ("beta", lambda a: a.astype(np.float32)),
        ("beta", lambda a: a.astype(int)),
        ("gamma", lambda a: a[:, :1]),
        ("gamma", lambda a: np.vstack([a, a])),
        ("covariance", lambda a: a + np.inf),
        ("covariance", lambda a: a[:2, :2]),
        ("score", lambda a: a[:-1]),
        ("hessian", lambda a: a[0]),
        ("posterior", lambda a: a + 1),
        ("posterior", lambda a: a.T),
        ("shares", lambda a: a[:1]),
        ("shares", lambda a: a * np.nan),
        ("exog", lambda a: a * np.nan),
        ("exog", lambda a: a * 0),
        ("exog", lambda a: a[:-1]),
        ("exog", lambda a: a.astype(np.float16)),
        ("situation_start", lambda a: a[::-1]),
        ("situation_start", lambda a: a + 1),
        ("situation_start", lambda a: np.append(a[:-1], a[-1] * 10**6)),
        ("situation_start", lambda a: a * 0),
        ("situation_start", lambda a: a[:0]),
        ("situation_owner", lambda a: a[::-1]),
        ("situation_owner", lambda a: a * 2),
        ("situation_owner", lambda a: a - 1),
        ("situation_owner", lambda a: a * 0),
        ("alternative_codes", lambda a: a + 1),
        ("alternative_codes", lambda a: a - 1),
        ("entry_row", lambda a: a[::-1]),
        ("entry_row", lambda a: a + 10**6),
        ("entry_row", lambda a: a * 0),
        ("entry_start", lambda a: a * 2),
        ("entry_start", lambda a: a[:-1]),
        ("entry_count", lambda a: a * 0),
        ("entry_count", lambda a: a + 0.5),
        ("entry_count", lambda a: a * np.nan),
        ("frequency", lambda a: a * -1),
        ("frequency", lambda a: a[1:]),
        ("weights", lambda a: a * 0),
        ("weights", lambda a: a * np.inf),
        ("covariates", lambda a: a * np.nan),
        ("covariates", lambda a: a[:, :1]),
        ("covariates", lambda a: a * 0),
        ("exog_scale", None),
        ("starts.finished", lambda a: a + 2),
        ("starts.em_iterations", lambda a: a.astype(float)),
        ("situation_ids", lambda a: a[1:]),
        ("individual_ids", lambda a: a[1:]),
        ("utility.subterm0.contrasts0", lambda a: a[1:]),
        ("utility.subterm0.contrasts0", lambda a: a[:, 1:]),
        ("utility.subterm0.contrasts0", lambda a: a * np.nan),
    ],
)
def test_arrays_that_do_not_go_with_the_rest_are_refused(valid, name, spoil, tmp_path):
    _, _, header, arrays = valid
    if name == "exog_scale":  # read only where there are no data
        header, spoil = header | {"row_labels": None}, lambda a: a * np.nan
    write_archive(tmp_path / "other.npz", header, arrays | {name: spoil(arrays[name])})
    with np.errstate(all="ignore"), pytest.raises(StorageError):
        read_results(tmp_path / "other.npz")


def test_every_array_is_needed(valid, tmp_path):
    _, _, header, arrays = valid
    for name in arrays:
        rest = {other: array for other, array in arrays.items() if other != name}
        write_archive(tmp_path / "other.npz", header, rest)
        if name == "exog_scale":
            continue
        with pytest.raises(StorageError, match=f"it has no member '{name}.npy'"):
            read_results(tmp_path / "other.npz")


def test_places_of_rows_are_checked(table, tmp_path):
    result = fit(panel_model(table.sample(frac=1, random_state=0)))
    result.to_file(tmp_path / "fit.npz")
    with np.load(tmp_path / "fit.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "header.json"}
        header = json.loads(file["header.json"])
    place = arrays["permutation"]
    for wrong in (place + 1, place * 0, place[1:], place - 1):
        write_archive(tmp_path / "other.npz", header, arrays | {"permutation": wrong})
        with pytest.raises(StorageError, match=r"permutation|same place"):
            read_results(tmp_path / "other.npz")


def outcome(path):
    """What a file gives: None where it is refused."""
    try:
        return read_results(path)
    except StorageError:
        return None


# every example writes over the same file
SLOW = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@settings(max_examples=300, **SLOW)
@given(data=st.data())
def test_damaged_files_are_refused_or_give_the_same(valid, tmp_path, data):
    result, path, _, _ = valid
    content = bytearray(path.read_bytes())
    length = len(content)
    # as often in the directory at the end and the header as in the numbers
    place = st.integers(0, length - 1) | st.integers(length - 4000, length - 1) | st.integers(0, 99)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(place)] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, length)) :]
    (tmp_path / "damaged.npz").write_bytes(content)
    again = outcome(tmp_path / "damaged.npz")
    if again is not None:
        np.testing.assert_array_equal(again.params, result.params)
        np.testing.assert_array_equal(again.cov_params(), result.cov_params())
        assert again.summary().as_text() == result.summary().as_text()
        np.testing.assert_array_equal(again.predict(), result.predict())


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 30)
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["nan", "inf", "", "x1", HOSTILE, "os.system", "numpy", "M8[ns]", "ns"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["kind", "tuple", "interval", "number", "a"]), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=300, **SLOW)
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), PLAIN), min_size=1, max_size=2))
def test_headers_of_any_content_are_refused_or_read(valid, tmp_path, changes):
    header, every = valid[2], list(places(valid[2]))
    for number, value in changes:
        # what a first change took away stays away
        with contextlib.suppress(KeyError, IndexError, TypeError):
            header = change(header, every[number % len(every)], copy.deepcopy(value))
    write_archive(tmp_path / "other.npz", header, valid[3])
    outcome(tmp_path / "other.npz")  # any other error than the house's fails the test
    assert not Path("hostile").exists()


def test_reading_neither_unpickles_nor_evaluates(valid, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("this must not be called")

    for name in ("eval", "exec"):
        monkeypatch.setattr(f"builtins.{name}", refuse)
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    again = read_results(valid[1])
    monkeypatch.undo()
    assert_same_estimates(again, valid[0])


def test_a_file_takes_memory_in_proportion_to_its_size(valid, tmp_path):
    _, _, header, arrays = valid
    for labels in (
        {"kind": "range", "names": [None], "range": [0, 1 << 60, 1]},
        {"kind": "range", "names": [None], "range": [0, 10**12, 1]},
    ):
        write_archive(tmp_path / "long.npz", header | {"row_labels": labels}, arrays)
        with pytest.raises(StorageError, match="labels"):
            read_results(tmp_path / "long.npz")


# -- files of earlier versions ---------------------------------------------------------------------


def test_files_of_earlier_versions_are_read():
    again = read_results(REFERENCE / "format_1_0_electricity_K3.npz")
    result = fitted("electricity", 3)
    # another machine's fit: Newton ends where the score is zero to round-off
    np.testing.assert_allclose(again.params, result.params, rtol=1e-8)
    np.testing.assert_allclose(again.bse, result.bse, rtol=1e-7)
    assert again.llf == pytest.approx(result.llf, rel=1e-12)
    assert again.bic == pytest.approx(result.bic, rel=1e-12)
    shown, expected = again.summary(), result.summary()
    assert replace(shown, header=()).as_text() == replace(expected, header=()).as_text()
    # which those versions did not write, and how many starts their search finished
    new = {"LL constants only", "Rho2 over constants", "Starts finished / agreeing"}
    assert [pair for pair in shown.header if pair[0] not in new] == [
        pair for pair in expected.header if pair[0] not in new
    ]
    assert dict(shown.header)["Starts finished / agreeing"] == "4 / 4"
    np.testing.assert_array_equal(again.starts["optimum"] == 1, again.starts["is_best"])
    assert np.isnan(again.ll_constants)
    np.testing.assert_allclose(again.predict(SURVEY), result.predict(SURVEY), rtol=1e-8)


def test_files_of_earlier_versions_with_data_are_read():
    again = read_results(REFERENCE / "format_1_0_travelmode_K1.npz")
    data = datasets.load("travelmode").data
    # Greene, Econometric Analysis, as printed by Stata's clogit; see datasets/travelmode/README.md
    assert again.llf == pytest.approx(-199.12837, abs=5e-6)
    np.testing.assert_allclose(again.predict(data), again.predict(), rtol=1e-12)
    refit = again.model.fit()
    np.testing.assert_allclose(again.params, refit.params, rtol=1e-8)
    np.testing.assert_allclose(
        again.with_cov("robust").bse, refit.with_cov("robust").bse, rtol=1e-7
    )


def test_a_file_is_read_in_another_process(tmp_path, electricity):
    electricity.to_file(tmp_path / "fit.npz")
    code = (
        "import sys, mixlogit\n"
        "result = mixlogit.read_results(sys.argv[1])\n"
        "data = mixlogit.datasets.load('electricity').data.head(4)\n"
        "print(repr(float(result.predict(data).iloc[0])), 'pickle' in result.save.__doc__)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "fit.npz")],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    value, is_told = shown.stdout.split()
    assert float(value) == electricity.predict().iloc[0]
    assert is_told == "True"


def test_pickles_are_told_to_run_code():
    for call in (
        mixlogit.MixedMultinomialLogitResults.save,
        mixlogit.MixedMultinomialLogitResults.load,
        type(fitted("electricity", 1)).save,
        type(fitted("electricity", 1)).load,
    ):
        assert "whatever code is in" in call.__doc__


def test_a_pickle_is_not_read_as_a_file_of_results(tmp_path, electricity):
    electricity.save(tmp_path / "fit.pickle")
    with pytest.raises(StorageError, match="not a zip file"):
        read_results(tmp_path / "fit.pickle")


def test_the_size_is_that_of_the_table(tmp_path, electricity):
    electricity.to_file(tmp_path / "fit.npz")
    table = electricity_model(3).choices.exog.nbytes
    assert (tmp_path / "fit.npz").stat().st_size < 1.5 * table
    with zipfile.ZipFile(tmp_path / "fit.npz") as file:
        assert all(info.compress_type == zipfile.ZIP_STORED for info in file.infolist())
