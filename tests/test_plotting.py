"""Figures: what is drawn is what the tables say, and a reader can tell it apart."""

from __future__ import annotations

import builtins
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from conftest import fitted

from mixlogit import plotting
from mixlogit.errors import ArgumentError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.colors import to_rgb, to_rgba  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

LIMITS = ["[0.025", "0.975]"]
NAMES = [
    "price ($ per week)",
    "$a$_b^2",
    "share_%_green",
    "C(alternative, Treatment('sm'))[T.train]",
    "C(alternative, Treatment('sm'))[T.car]:I(travel_time / 100)",
    "household_income_in_thousands_of_dollars_per_year_before_taxes_and_transfers_of_all_kinds",
    *(f"attribute {i}" for i in range(9)),
]
CLASSES = [f"Class {k} (share {share})" for k, share in enumerate([0.3, 0.25, 0.2, 0.1, 0.1], 1)]
CLASSES.append("Class 6 (share 0.05)")


@pytest.fixture(autouse=True)
def _close_figures():
    before = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == before


def wide_table() -> pd.DataFrame:
    """15 attributes and 6 classes; two coefficients have no error."""
    rng = np.random.default_rng(0)
    coef, error = rng.normal(size=90), rng.gamma(2, 0.1, size=90)
    error[[7, 40]] = np.nan
    return pd.DataFrame(
        {"coef": coef, LIMITS[0]: coef - 2 * error, LIMITS[1]: coef + 2 * error},
        index=pd.MultiIndex.from_product([NAMES, CLASSES]),
    )


def wtp_table(wtp, error) -> pd.DataFrame:
    wtp, error = np.array(wtp), np.array(error)
    index = [f"Class {k}" for k in range(1, len(wtp))] + ["population"]
    return pd.DataFrame(
        {"wtp": wtp, "std err": error, LIMITS[0]: wtp - error, LIMITS[1]: wtp + error}, index=index
    )


def points(ax, label: str, face: str | None = None) -> np.ndarray:
    """Markers drawn under a label, (n, 2); hollow ones alone with face="white"."""
    found = [
        line.get_xydata()
        for line in ax.get_lines()
        if line.get_label() == label
        and (face is None or to_rgba(line.get_markerfacecolor()) == to_rgba(face))
    ]
    return np.concatenate(found) if found else np.empty((0, 2))


def whiskers(ax, label: str) -> np.ndarray:
    """Horizontal intervals of a label: low, high and height, (n, 3)."""
    segments = [
        segment
        for collection in ax.collections
        if collection.get_label() == f"_{label} interval"
        for segment in collection.get_segments()
    ]
    return np.array([[s[0, 0], s[1, 0], s[0, 1]] for s in segments])


def legend_texts(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def boxes_of_words(ax) -> list:
    """Where all words stand on the page, drawn."""
    ax.figure.canvas.draw()
    words = [ax.xaxis.label, ax.yaxis.label]
    for axis, place in ((ax.xaxis, 0), (ax.yaxis, 1)):
        low, high = sorted(axis.get_view_interval())
        words += [w for w in axis.get_ticklabels() if low <= w.get_position()[place] <= high]
    if ax.get_legend():
        words += ax.get_legend().get_texts()
    return [word.get_window_extent() for word in words if word.get_text()]


def assert_readable(ax):
    """No words overlap or leave the page, and the legend covers nothing."""
    boxes = boxes_of_words(ax)
    page = ax.figure.bbox
    for box in boxes:
        assert page.x0 - 1 <= box.x0 <= box.x1 <= page.x1 + 1
        assert page.y0 - 1 <= box.y0 <= box.y1 <= page.y1 + 1
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    if ax.get_legend():
        assert not ax.get_legend().get_window_extent().overlaps(ax.get_window_extent())


def drawings(ax=None) -> dict:
    """One call of every function, to be made."""
    criteria = pd.DataFrame({"aic": [3.0, 2.0, 2.5], "bic": [3.0, 3.5, 4.0]}, index=[1, 2, 3])
    starts = pd.DataFrame({"llf": [-1.0, -2.0], "origin": ["moments", "k-means"], "finished": True})
    shares = pd.DataFrame({"share": [0.6, 0.4], LIMITS[0]: 0.3, LIMITS[1]: 0.7}, index=["1", "2"])
    return {
        "coefficients": lambda: plotting.coefficients(wide_table(), ax),
        "shares": lambda: plotting.shares(shares, ax),
        "modal": lambda: plotting.posterior(pd.DataFrame([[0.8, 0.2], [0.4, 0.6]]), ax=ax),
        "profile": lambda: plotting.posterior(
            pd.DataFrame([[0.8, 0.2], [0.4, 0.6]]), ax=ax, kind="profile"
        ),
        "wtp": lambda: plotting.wtp(wtp_table([1.0, 2.0, 1.4], [0.1, 0.2, 0.1]), [0.6, 0.4], ax),
        "individual_wtp": lambda: plotting.individual_wtp([1.0, 2.0, 3.0], ax=ax, population=2.0),
        "information_criteria": lambda: plotting.information_criteria(criteria, ax, ["aic", "bic"]),
        "starts": lambda: plotting.starts(starts, ax),
    }


# -- all figures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", drawings())
def test_axes_that_are_given_are_returned_and_no_figure_is_made(name):
    ax = Figure(layout="constrained").subplots()
    assert drawings(ax)[name]() is ax
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", drawings())
def test_without_axes_one_figure_is_made_that_can_be_read(name):
    ax = drawings()[name]()
    assert plt.get_fignums() == [ax.figure.number]
    assert_readable(ax)


@pytest.mark.parametrize("name", drawings())
def test_without_matplotlib_the_message_says_how_to_install_it(name, monkeypatch):
    real = builtins.__import__

    def without(module, *rest):
        if module.startswith("matplotlib"):
            raise ImportError(module)
        return real(module, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ArgumentError, match=re.escape("pip install 'mixlogit[plot]'")):
        drawings()[name]()


@pytest.mark.parametrize("n", [2, 3, 6])
def test_classes_differ_in_grey(n):
    styles = plotting._styles(n)
    # luma of ITU-R BT.601, which image programs turn colours into grey with
    grey = [np.dot(to_rgb(style["color"]), [0.299, 0.587, 0.114]) for style in styles]
    assert min(np.diff(grey)) > 0.05
    assert max(grey) < 0.75  # white is 1
    assert len({style["marker"] for style in styles}) == n


# -- coefficients ----------------------------------------------------------------------------------


def test_coefficients_and_intervals_are_those_of_the_table():
    table = wide_table()
    ax = plotting.coefficients(table)
    for name in CLASSES:
        rows = table.xs(name, level=1)
        drawn = points(ax, name)
        order = np.argsort(drawn[:, 1])
        np.testing.assert_array_equal(drawn[order, 0], rows["coef"])
        kept = rows.dropna()
        np.testing.assert_array_equal(whiskers(ax, name)[:, :2], kept[LIMITS])
    assert legend_texts(ax) == [*CLASSES, "no standard error"]


def test_coefficients_without_errors_are_hollow_and_the_others_are_not():
    table = wide_table()
    ax = plotting.coefficients(table)
    hollow = {name: points(ax, name, "white") for name in CLASSES}
    assert {name: len(found) for name, found in hollow.items()} == {
        name: int(table.xs(name, level=1)[LIMITS[0]].isna().sum()) for name in CLASSES
    }
    assert hollow[CLASSES[1]][0, 0] == table["coef"].iloc[7]


def test_a_table_without_any_errors_promises_no_interval():
    table = wide_table().assign(**dict.fromkeys(LIMITS, np.nan))
    assert "interval" not in plotting.coefficients(table).get_xlabel()
    assert "95% interval" in plotting.coefficients(wide_table()).get_xlabel()


def test_rows_of_fifteen_attributes_and_six_classes_stand_apart():
    ax = plotting.coefficients(wide_table())
    ax.figure.canvas.draw()
    heights = np.sort(np.concatenate([points(ax, name)[:, 1] for name in CLASSES]))
    place = ax.transData.transform(np.column_stack([np.zeros(90), heights]))[:, 1]
    size = ax.get_lines()[-1].get_markersize() * ax.figure.dpi / 72
    assert np.abs(np.diff(place)).min() > size


def test_the_figure_grows_with_its_rows_and_markers_shrink_in_axes_that_do_not():
    one_row = wide_table().loc[NAMES[:1]]
    few = plotting.coefficients(one_row).figure.get_figheight()
    many = plotting.coefficients(wide_table()).figure.get_figheight()
    assert many > few + 14 * 6 * 0.1
    ax = Figure(figsize=(4, 3), layout="constrained").subplots()
    plotting.coefficients(wide_table(), ax)
    assert ax.get_lines()[-1].get_markersize() < 3


def test_attributes_stand_in_the_order_of_the_table_from_the_top():
    ax = plotting.coefficients(wide_table())
    shown = [label.get_text() for label in ax.get_yticklabels()]
    assert shown[0] == "price ($ per week)"
    assert shown[6:] == [f"attribute {i}" for i in range(9)]
    assert ax.yaxis_inverted()


def test_one_class_needs_no_legend():
    table = wide_table().xs(CLASSES[0], level=1, drop_level=False)
    assert plotting.coefficients(table).get_legend() is None


def test_dollars_and_underscores_in_names_are_not_read_as_mathematics():
    ax = plotting.coefficients(wide_table())
    for label in ax.get_yticklabels():
        assert not label.get_parse_math()
        assert not label.get_usetex()
    ax = plotting.individual_wtp([1.0, 2.0], quantity="$x$ and $y$")
    assert not ax.xaxis.label.get_parse_math()


def test_a_table_without_limits_is_refused():
    with pytest.raises(ArgumentError, match=r"named like '\[0.025' and '0.975\]', but its columns"):
        plotting.coefficients(wide_table()[["coef"]])


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("price", "price"),
        ("C(alternative, Treatment('sm'))[T.train]", "alternative: train"),
        ("C(alt)[car]:time", "alt: car × time"),
        ("alt[T.bus: 2]", "alt: bus: 2"),
        ("car:(constant)", "car: constant"),
        ("car:income", "car × income"),
        ("I(travel_time / 100)", "travel_time / 100"),
        ("Q('a:b')", "a:b"),
        ("np.log(cost)", "np.log(cost)"),
        ("bs(x, df=3)[0]", "bs(x, df=3)[0]"),
        ("I(a) ** I(b)", "I(a) ** I(b)"),
    ],
)
def test_terms_of_formulas_are_written_for_readers(name, expected):
    assert plotting.readable(name) == expected


def test_long_names_take_short_lines():
    (label,) = plotting._labels([NAMES[5]])
    assert label == "household_income_in_\nthousands_of_ … taxes_and_\ntransfers_of_all_kinds"
    for label in plotting._labels(["x" * 200, "a word and " * 20]):
        lines = label.split("\n")
        assert len(lines) <= 4
        assert max(map(len, lines)) <= 28
        assert "…" in label


def test_names_that_shortening_would_make_equal_stay_different():
    long = ["a" * 60 + middle + "b" * 60 for middle in ("1", "2")]
    shown = plotting._labels(long)
    assert len(set(shown)) == 2
    assert [label.replace("\n", "") for label in shown] == long
    equal = ["C(a)[T.x]", "C(a, Treatment(2))[T.x]"]
    assert [label.replace("\n", " ") for label in plotting._labels(equal)] == equal


# -- the others ------------------------------------------------------------------------------------


def test_shares_and_intervals_are_those_of_the_table(electricity):
    table = electricity.class_share_table(alpha=0.1)
    ax = electricity.plot_shares(alpha=0.1)
    drawn = np.concatenate([points(ax, f"Class {k}") for k in (1, 2, 3)])
    np.testing.assert_array_equal(drawn, np.column_stack([table["share"], [0, 1, 2]]))
    intervals = np.concatenate([whiskers(ax, f"Class {k}") for k in (1, 2, 3)])
    np.testing.assert_array_equal(intervals[:, :2], table[["[0.05", "0.95]"]])
    assert ax.get_xlabel() == "class share, with 90% interval"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Class 1", "Class 2", "Class 3"]


def test_a_share_without_an_error_is_hollow():
    table = pd.DataFrame(
        {"share": [0.7, 0.3], LIMITS[0]: [0.6, np.nan], LIMITS[1]: [0.8, np.nan]}, index=["A", "B"]
    )
    ax = plotting.shares(table)
    assert len(points(ax, "A", "white")) == 0
    assert points(ax, "B", "white").tolist() == [[0.3, 1]]
    assert legend_texts(ax) == ["no standard error"]


def test_posterior_bars_count_individuals_by_class_and_probability():
    table = pd.DataFrame([[0.97, 0.03], [0.3, 0.7], [0.99, 0.01]], columns=["A", "B"])
    ax = plotting.posterior(table, weight=[1.0, 2.0, 5.0])
    bars = [(bar.get_x(), bar.get_height()) for bar in ax.patches if bar.get_height() > 0]
    np.testing.assert_allclose(bars, [(0.95, 75), (0.7, 25)], rtol=1e-13)
    assert legend_texts(ax) == ["A", "B"]
    assert ax.get_ylabel() == "individuals (%)"


def test_bars_of_classes_stand_on_one_another():
    ax = plotting.posterior(pd.DataFrame([[0.98, 0.02], [0.01, 0.99]]))
    low, high = (bar for bar in ax.patches if bar.get_height() > 0)
    assert high.get_y() == low.get_height() == 50


def test_profiles_stack_the_probabilities_as_wide_as_the_weights():
    table = pd.DataFrame([[0.6, 0.4], [0.2, 0.8], [0.9, 0.1]])
    ax = plotting.posterior(table, weight=[1.0, 2.0, 1.0], kind="profile")
    first, second = (patch.get_data() for patch in ax.patches)
    np.testing.assert_allclose(first.values, [0.9, 0.6, 0.2], rtol=1e-15)
    np.testing.assert_allclose(first.edges, [0, 25, 50, 100], rtol=1e-15)
    np.testing.assert_allclose(second.values, 1, rtol=1e-15)
    np.testing.assert_array_equal(second.baseline, first.values)


def test_an_unknown_kind_is_refused(electricity):
    with pytest.raises(ArgumentError, match=r"kind='bars' is not one of modal, profile\."):
        electricity.plot_posterior(kind="bars")
    with pytest.raises(ArgumentError, match=r"kind='bars' is not one of classes, individuals\."):
        electricity.plot_wtp("tod", "pf", kind="bars")


def test_wtp_of_a_class_stands_at_the_height_of_its_share():
    table = wtp_table([1.0, 2.0, 1.3], [0.1, np.nan, 0.2])
    ax = plotting.wtp(table, [0.7, 0.3], quantity="wtp")
    assert points(ax, "Class 1").tolist() == [[1.0, 0.7]]
    assert points(ax, "Class 2", "white").tolist() == [[2.0, 0.3]]
    np.testing.assert_allclose(whiskers(ax, "Class 1"), [[0.9, 1.1, 0.7]], rtol=1e-15)
    assert points(ax, "population mean")[:, 0].tolist() == [1.3, 1.3]
    (band,) = (patch for patch in ax.patches if patch.get_label() == "its interval")
    np.testing.assert_allclose(band.get_extents().transformed(ax.transData.inverted()).x0, 1.1)
    assert legend_texts(ax) == [
        *("Class 1", "Class 2", "no standard error", "population mean", "its interval")
    ]


def test_a_class_without_a_wtp_is_named_in_the_legend():
    ax = plotting.wtp(wtp_table([1.0, np.nan, np.nan], [0.1, np.nan, np.nan]), [0.7, 0.3])
    assert legend_texts(ax) == ["Class 1", "Class 2: no value"]
    assert len(points(ax, "Class 2")) == 0


def test_individual_wtp_is_weighted_and_says_what_it_leaves_out():
    ax = plotting.individual_wtp([0.0, 1.0, np.nan], weight=[2.0, 1.0, 1.0], population=0.4)
    heights = [bar.get_height() for bar in ax.patches]
    assert (heights[0], heights[-1], sum(heights)) == (50, 25, 75)
    assert ax.get_ylabel() == "individuals (%), 25% without value"
    assert legend_texts(ax) == ["population mean"]
    assert plotting.individual_wtp([1.0, 2.0]).get_legend() is None


def test_nobody_with_a_wtp_is_refused():
    with pytest.raises(ArgumentError, match="No individual has a finite willingness to pay"):
        plotting.individual_wtp([np.nan, np.inf])


def test_criteria_are_drawn_over_whole_numbers_and_their_minima_ringed():
    table = pd.DataFrame({"aic": [30.0, 20.0, 25.0], "bic": [31.0, 32.0, np.nan]}, index=[1, 2, 3])
    ax = plotting.information_criteria(table, criteria=("aic", "bic"))
    np.testing.assert_array_equal(points(ax, "AIC"), [[1, 30], [2, 20], [3, 25]])
    rings = [line.get_xydata() for line in ax.get_lines() if line.get_markersize() > 10]
    np.testing.assert_array_equal(np.concatenate(rings), [[2, 20], [1, 31]])
    ax.figure.canvas.draw()
    assert all(tick == round(tick) for tick in ax.get_xticks())
    assert legend_texts(ax) == ["AIC", "BIC", "smallest"]


def test_fits_that_have_not_converged_are_hollow_and_never_the_smallest():
    table = pd.DataFrame({"bic": [3.0, 2.0, 1.0], "converged": [True, True, False]}, [1, 2, 3])
    ax = plotting.information_criteria(table, criteria="bic")
    hollow = [
        line.get_xydata().tolist()
        for line in ax.get_lines()
        if len(line.get_xdata()) and to_rgba(line.get_markerfacecolor()) == to_rgba("white")
    ]
    assert hollow == [[[3, 1]]]
    ring = next(line for line in ax.get_lines() if line.get_markersize() > 10)
    assert ring.get_xydata().tolist() == [[2, 2]]
    assert legend_texts(ax) == ["BIC", "smallest", "not converged"]


def test_unknown_criteria_are_refused():
    table = pd.DataFrame({"aic": [1.0], "bic": [2.0]}, index=[1])
    with pytest.raises(ArgumentError, match=r"'bik' is not a column .* Did you mean 'bic'\?"):
        plotting.information_criteria(table, criteria=["aic", "bik"])
    with pytest.raises(ArgumentError, match="criteria is empty"):
        plotting.information_criteria(table, criteria=[])


def test_starts_are_drawn_by_their_distance_below_the_best():
    table = pd.DataFrame(
        {
            "llf": [-12.0, -10.0, -10.001],
            "origin": ["moments", "k-means", "moments"],
            "finished": [False, True, True],
        }
    )
    ax = plotting.starts(table)
    assert points(ax, "k-means").tolist() == [[1, 0]]
    np.testing.assert_allclose(points(ax, "moments"), [[2, 0.001], [3, 2]], rtol=1e-10)
    np.testing.assert_allclose(points(ax, "moments", "white"), [[3, 2]], rtol=1e-13)
    assert legend_texts(ax) == [
        *("k-means", "moments", "gave up behind a better one", "within 0.01 of the best")
    ]
    assert ax.yaxis_inverted()


def test_starts_that_all_agree_lie_in_the_band_of_one_optimum():
    table = pd.DataFrame({"llf": [-10.0] * 3, "origin": "k-means", "finished": True})
    ax = plotting.starts(table)
    assert sorted(ax.get_ylim())[1] == 0.01
    assert_readable(ax)


# -- figures of results ----------------------------------------------------------------------------


@pytest.mark.parametrize("survey", ["electricity", "swissmetro"])
def test_coefficients_of_results_are_those_of_their_tables(survey):
    result = fitted(survey, {"electricity": 3, "swissmetro": 2}[survey])
    ax = result.plot_coefficients(alpha=0.1)
    assert_readable(ax)
    table, limits = result.class_params, result.conf_int(0.1)
    for k, name in enumerate(table.columns, 1):
        label = f"Class {k} (share {result.class_shares[name]:.3f})"
        np.testing.assert_array_equal(points(ax, label)[:, 0], table[name])
        own = limits.loc[[f"{name}.{attribute}" for attribute in table.index]]
        np.testing.assert_array_equal(whiskers(ax, label)[:, :2], own)
    assert ax.get_xlabel() == "utils per unit of attribute, with 90% interval"


def test_standardised_coefficients_are_utils_per_standard_deviation(electricity):
    ax = electricity.plot_coefficients(attributes=["seas", "pf"], standardised=True)
    # deviations from the mean of each situation, by pandas
    frame = electricity.model.choices
    exog = pd.DataFrame(frame.exog, columns=frame.exog_names)[["seas", "pf"]]
    within = exog - exog.groupby(frame.situation_of_rows()).transform("mean")
    scale = np.sqrt((within**2).mean())
    label = legend_texts(ax)[2]
    expected = electricity.class_params.loc[["seas", "pf"], "class3"] * scale
    np.testing.assert_allclose(points(ax, label)[:, 0], expected, rtol=1e-12)
    assert ax.get_xlabel().startswith("utils per standard deviation within situations")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["seas", "pf"]


def test_attributes_are_checked(electricity):
    assert len(electricity.plot_coefficients(attributes="pf").get_yticks()) == 1
    with pytest.raises(ArgumentError, match=r"'seaz' is not an attribute .* Did you mean 'seas'"):
        electricity.plot_coefficients(attributes=["seaz"])
    with pytest.raises(ArgumentError, match="attributes is empty"):
        electricity.plot_coefficients(attributes=[])
    with pytest.raises(ArgumentError, match="attributes names 'pf' more than once"):
        electricity.plot_coefficients(attributes=["pf", "pf"])
    with pytest.raises(ArgumentError, match="alpha must lie between 0 and 1"):
        electricity.plot_coefficients(alpha=2)


def test_posterior_bars_of_results_add_up_to_everybody(electricity):
    ax = electricity.plot_posterior()
    assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(100, rel=1e-12)
    (last,) = (bar for bar in ax.patches[:20] if bar.get_x() == pytest.approx(0.95))
    posterior = electricity.posterior
    sure = (posterior["class1"] >= 0.95).mean()
    assert last.get_height() == pytest.approx(100 * sure, rel=1e-12)


def test_wtp_of_results_is_that_of_their_table(electricity):
    table = electricity.wtp("tod", "pf", alpha=0.1)
    ax = electricity.plot_wtp("tod", "pf", alpha=0.1)
    assert_readable(ax)
    drawn = np.concatenate([points(ax, label) for label in legend_texts(ax)[:3]])
    np.testing.assert_array_equal(drawn[:, 0], table["wtp"].iloc[:3])
    np.testing.assert_array_equal(drawn[:, 1], electricity.class_shares)
    assert points(ax, "population mean")[0, 0] == table.loc["population", "wtp"]
    assert "willingness to pay for tod, in units of pf" in ax.get_xlabel().replace("\n", " ")


def test_individual_wtp_of_results_is_that_of_their_table(electricity):
    values = electricity.individual_wtp("tod", "pf")
    ax = electricity.plot_wtp("tod", "pf", kind="individuals")
    assert_readable(ax)
    for bar in ax.patches[:-1]:
        inside = (values >= bar.get_x()) & (values < bar.get_x() + bar.get_width())
        assert bar.get_height() == pytest.approx(100 * inside.mean(), abs=100 / 361 + 1e-9)


def test_starts_of_results_are_those_of_their_table(electricity):
    ax = electricity.plot_starts()
    assert_readable(ax)
    drawn = np.concatenate([points(ax, kind) for kind in electricity.starts["origin"].unique()])
    expected = electricity.starts["llf"].max() - electricity.starts["llf"]
    np.testing.assert_allclose(np.sort(drawn[:, 1]), np.sort(expected), rtol=0, atol=1e-12)


def test_one_class_can_be_drawn():
    result = fitted("electricity", 1)
    assert result.plot_coefficients().get_legend() is None
    assert sum(bar.get_height() for bar in result.plot_posterior().patches) == pytest.approx(100)
    assert points(result.plot_shares(), "Class 1")[0, 0] == 1
