"""Figures of tidy frames: every function takes axes and returns them; nothing here knows a model.

matplotlib is optional, and imported only when a figure is drawn. No setting of it is changed.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixlogit.errors import ArgumentError, did_you_mean, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

__all__ = [
    "coefficients",
    "individual_wtp",
    "information_criteria",
    "posterior",
    "readable",
    "shares",
    "starts",
    "wtp",
]

_PLAIN: dict[str, Any] = {
    "parse_math": False,
    "usetex": False,
}  # $, _ and % in the user's names mean themselves
_MARKERS = "os^dvPX*ph"
_LIGHTEST = 0.8  # of the colour map, whose lightness only grows: dark enough on white, and in grey
_MARKER_SIZE = 5.0  # points
_LABEL_WIDTH = 28  # characters of a line of a tick label
_LABEL_LENGTH = 70  # characters of a tick label
_AXIS_WIDTH = 48  # characters of a line below the axes
_GREY, _FAINT, _BAND = "0.35", "0.88", "0.92"
_SAME_OPTIMUM = 0.01  # log-likelihood
_BIN = 0.05  # of probability


def coefficients(
    table: pd.DataFrame, ax: Axes | None = None, *, quantity: str = "utils per unit of attribute"
) -> Axes:
    """Coefficients by class with their intervals, one band of rows per attribute.

    Parameters
    ----------
    table : DataFrame
        Index of two levels, attribute and class, drawn in order of appearance from the top. The
        first column is the estimate; the limits are the columns named like "[0.025" and "0.975]".
        Estimates whose limits are nan are drawn hollow, without an interval.
    ax : matplotlib Axes, optional
        A new figure, as high as its rows need, if None.
    quantity : str
        What the horizontal axis shows.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        matplotlib is missing, or the table has no limits.
    """
    low, high = _limits(table)
    attributes = list(table.index.get_level_values(0).unique())
    classes = list(table.index.get_level_values(1).unique())
    labels = _labels(attributes)
    n_lines = max(label.count("\n") + 1 for label in labels)
    band = max(0.10 + 0.105 * len(classes), 0.06 + 0.17 * n_lines, 0.3)  # inches
    longest = max(len(line) for label in labels for line in label.split("\n"))
    ax = _axes(ax, height=0.8 + band * len(attributes), width=5.6 + 0.075 * longest)
    step = 0.8 / len(classes)
    size = _fitting_size(ax, step / len(attributes))
    ax.axvline(0, color=_GREY, linewidth=0.8, zorder=1)
    for edge in range(1, len(attributes)):
        ax.axhline(edge - 0.5, color=_FAINT, linewidth=0.6, zorder=0)
    place = {attribute: i for i, attribute in enumerate(attributes)}
    is_hollow = False
    for k, (name, style) in enumerate(zip(classes, _styles(len(classes)), strict=True)):
        rows = table.xs(name, level=1)
        y = np.array([place[a] for a in rows.index]) + step * (k - (len(classes) - 1) / 2)
        estimate = rows.iloc[:, 0].to_numpy(dtype=float)
        is_hollow |= _whiskers(ax, estimate, rows[low], rows[high], y, style, str(name), size)
    ax.set_yticks(range(len(attributes)), labels, **_PLAIN)
    ax.set_ylim(len(attributes) - 0.5, -0.5)
    ax.locator_params(axis="x", nbins=7, steps=[1, 2, 5, 10])
    ax.set_xlabel(_axis_text(quantity, _interval_note(table, low, high)), **_PLAIN)
    _plain_frame(ax, has_names=True)
    if len(classes) > 1 or is_hollow:
        handles = _handles(classes, size)
        _legend(ax, handles + ([_hollow_handle("no standard error", size)] if is_hollow else []))
    return ax


def shares(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Class shares with their intervals.

    Parameters
    ----------
    table : DataFrame
        One row per class: the share in the first column, and limits named like "[0.025" and
        "0.975]".
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        matplotlib is missing, or the table has no limits.
    """
    low, high = _limits(table)
    ax = _axes(ax, height=0.75 + 0.34 * len(table))
    size = _fitting_size(ax, 1 / len(table))
    y = np.arange(len(table))
    styles = _styles(len(table))
    is_hollow = False
    for k, style in enumerate(styles):
        row = table.iloc[[k]]
        share = row.iloc[:, 0].to_numpy(dtype=float)
        is_hollow |= _whiskers(
            ax, share, row[low], row[high], y[[k]], style, str(table.index[k]), size
        )
    ax.set_yticks(y, _labels(table.index), **_PLAIN)
    ax.set_ylim(len(table) - 0.5, -0.5)
    limit = np.nanmax([table.iloc[:, 0].max(), table[high].max()])
    ax.set_xlim(0, min(1.0, 1.08 * limit) if limit < 1 else 1.02)
    ax.set_xlabel(_axis_text("class share", _interval_note(table, low, high)))
    _plain_frame(ax, has_names=True)
    if is_hollow:
        _legend(ax, [_hollow_handle("no standard error", size)])
    return ax


def posterior(
    table: pd.DataFrame,
    weight: Any = None,
    ax: Axes | None = None,
    *,
    kind: str = "modal",
    people: str = "individuals",
) -> Axes:
    """How surely individuals belong to classes.

    Parameters
    ----------
    table : DataFrame, shape (N, K)
        Posterior class probabilities.
    weight : array_like, shape (N,), optional
        How many individuals each row stands for; one each if None.
    ax : matplotlib Axes, optional
    kind : {"modal", "profile"}
        "modal": histogram of each individual's largest probability, in steps of 0.05, stacked by
        the class that has it. "profile": the probabilities of all classes, stacked, individuals
        side by side in the order of their likeliest class and its probability.
    people : str
        What the weights count.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        matplotlib is missing, or there is no such kind.
    """
    _require_one_of(kind, "kind", ("modal", "profile"))
    ax = _axes(ax, height=3.6)
    probability = table.to_numpy(dtype=float)
    mass = np.ones(len(table)) if weight is None else np.asarray(weight, dtype=float)
    percent = 100 * mass / mass.sum()
    modal = probability.argmax(axis=1)
    largest = probability.max(axis=1)
    colors = _colors(table.shape[1], lightest=0.95)
    if kind == "modal":
        edges = np.round(np.linspace(0, 1, round(1 / _BIN) + 1), 12)
        base = np.zeros(len(edges) - 1)
        for k, color in enumerate(colors):
            is_class = modal == k
            height = np.histogram(largest[is_class], edges, weights=percent[is_class])[0]
            ax.bar(
                edges[:-1], height, width=_BIN, bottom=base, align="edge", color=color,
                edgecolor="white", linewidth=0.5,
            )  # fmt: skip
            base += height
        ax.set_xlim(edges[:-1][base > 0].min(), 1)
        ax.set_xlabel("largest posterior class probability")
        ax.set_ylabel(f"{people} (%)")
    else:
        order = np.lexsort((-largest, modal))
        edges = np.concatenate([[0.0], np.cumsum(percent[order])])
        stacked = np.cumsum(probability[order], axis=1)  # (N, K)
        base = np.zeros(len(table))
        for color, top in zip(colors, stacked.T, strict=True):
            ax.stairs(top, edges, baseline=base, fill=True, color=color, linewidth=0)
            base = top
        ax.set_xlim(0, 100)
        ax.set_ylim(0, 1)
        ax.set_xlabel(f"{people}, by their likeliest class (%)")
        ax.set_ylabel("posterior class probability")
    _plain_frame(ax)
    _legend(ax, _patches(table.columns, colors))
    return ax


def wtp(
    table: pd.DataFrame,
    shares: Any,
    ax: Axes | None = None,
    *,
    quantity: str = "willingness to pay",
) -> Axes:
    """Distribution of willingness to pay over classes: a line as high as the share of each.

    Parameters
    ----------
    table : DataFrame
        One row per class and, where there is one, a last row "population". The first column is
        the willingness to pay; the limits are named like "[0.025" and "0.975]". A class without a
        value is named in the legend.
    shares : array_like, shape (K,)
        Of the classes, in the order of the rows.
    ax : matplotlib Axes, optional
    quantity : str
        What the horizontal axis shows.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        matplotlib is missing, or the table has no limits.
    """
    low, high = _limits(table)
    ax = _axes(ax, height=3.6)
    classes = table[table.index != "population"]
    height = np.asarray(shares, dtype=float)
    ax.axvline(0, color=_FAINT, linewidth=0.8, zorder=0)
    styles = _styles(len(classes))
    labels, is_hollow = [], False
    for k, (name, style) in enumerate(zip(classes.index, styles, strict=True)):
        row = classes.iloc[[k]]
        value = row.iloc[:, 0].to_numpy(dtype=float)
        labels.append(str(name) if np.isfinite(value[0]) else f"{name}: no value")
        if np.isfinite(value[0]):
            ax.vlines(value, 0, height[[k]], color=style["color"], linewidth=1.0, zorder=2)
            is_hollow |= _whiskers(
                ax, value, row[low], row[high], height[[k]], style, str(name), _MARKER_SIZE
            )
    handles = _handles(labels, _MARKER_SIZE)
    if is_hollow:
        handles.append(_hollow_handle("no standard error", _MARKER_SIZE))
    if "population" in table.index:
        whole = table.loc["population"]
        handles += _population(ax, whole.iloc[0], whole[low], whole[high])
    ax.set_ylim(0, 1.15 * height.max())
    ax.locator_params(axis="x", nbins=7, steps=[1, 2, 5, 10])
    ax.set_xlabel(_axis_text(quantity, _interval_note(table, low, high)), **_PLAIN)
    ax.set_ylabel("class share")
    _plain_frame(ax)
    _legend(ax, handles)
    return ax


def individual_wtp(
    values: Any,
    weight: Any = None,
    ax: Axes | None = None,
    *,
    population: float | None = None,
    quantity: str = "willingness to pay",
    people: str = "individuals",
) -> Axes:
    """Histogram of the individuals' willingness to pay, given their choices.

    Parameters
    ----------
    values : array_like, shape (N,)
        Those that are not finite are left out; the vertical axis says how many per cent they are.
    weight : array_like, shape (N,), optional
        How many individuals each value stands for; one each if None.
    ax : matplotlib Axes, optional
    population : float, optional
        The mean of the population, drawn as a line.
    quantity : str
        What the horizontal axis shows.
    people : str
        What the weights count.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        matplotlib is missing, or no value is finite.
    """
    value = np.asarray(values, dtype=float)
    mass = np.ones(len(value)) if weight is None else np.asarray(weight, dtype=float)
    is_finite = np.isfinite(value)
    if not is_finite.any():
        raise ArgumentError("No individual has a finite willingness to pay: nothing can be drawn.")
    ax = _axes(ax, height=3.6)
    percent = 100 * mass / mass.sum()
    n_bins = int(np.clip(np.sqrt(is_finite.sum()), 10, 40))
    height, edges = np.histogram(value[is_finite], n_bins, weights=percent[is_finite])
    ax.bar(
        edges[:-1], height, width=np.diff(edges), align="edge", color="0.6",
        edgecolor="white", linewidth=0.5,
    )  # fmt: skip
    left_out = percent[~is_finite].sum()
    ax.set_xlabel(_axis_text(quantity), **_PLAIN)
    ax.set_ylabel(f"{people} (%)" + (f", {left_out:.3g}% without value" if left_out else ""))
    _plain_frame(ax)
    if population is not None and np.isfinite(population):
        _legend(ax, _population(ax, population, np.nan, np.nan))
    return ax


def information_criteria(
    table: pd.DataFrame,
    ax: Axes | None = None,
    criteria: Sequence[str] = ("aic", "bic", "caic", "icl"),
) -> Axes:
    """Information criteria over the number of classes; the smallest value of each is ringed.

    Parameters
    ----------
    table : DataFrame
        One row per number of classes, which is the index; one column per criterion. Where a
        column ``converged`` is false, points are hollow and take no part in what is smallest.
    ax : matplotlib Axes, optional
    criteria : sequence of str
        Columns to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentError
        matplotlib is missing, or the table lacks a criterion.
    """
    names = [criteria] if isinstance(criteria, str) else list(criteria)
    if not names:
        raise ArgumentError("criteria is empty. Name at least one column, such as 'bic'.")
    for name in names:
        if name not in table.columns:
            raise ArgumentError(
                f"{name!r} is not a column of the table, which has {listed(table.columns)}."
                + did_you_mean(name, table.columns)
            )
    ax = _axes(ax, height=3.6)
    from matplotlib.ticker import MaxNLocator

    styles = _styles(len(names))
    n_classes = table.index.to_numpy(dtype=int)
    may_win = table["converged"].to_numpy(dtype=bool) if "converged" in table else n_classes > 0
    lines: list[Any] = []
    is_marked = False
    for name, style in zip(names, styles, strict=True):
        value = table[name].to_numpy(dtype=float)
        lines += ax.plot(
            n_classes, value, label=name.upper(), linewidth=1.0, markersize=4.5, **style
        )
        ax.plot(
            n_classes[~may_win], value[~may_win], linestyle="none", markersize=4.5,
            markerfacecolor="white", zorder=3, **style,
        )  # fmt: skip
        eligible = np.flatnonzero(may_win & np.isfinite(value))
        if len(eligible):
            best = eligible[value[eligible].argmin()]
            ax.plot(n_classes[best], value[best], **_ring(style["color"]))
            is_marked = True
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.set_xlim(n_classes.min() - 0.3, n_classes.max() + 0.3)
    ax.ticklabel_format(axis="y", style="plain", useOffset=False)
    ax.set_xlabel("number of classes")
    ax.set_ylabel("information criterion (smaller is better)")
    _plain_frame(ax)
    if is_marked:
        lines += ax.plot([], [], label="smallest", **_ring(_GREY))
    if not may_win.all():
        lines.append(_hollow_handle("not converged", 4.5))
    _legend(ax, lines)
    return ax


def starts(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Log-likelihood that each start reached, as its distance below the best.

    Parameters
    ----------
    table : DataFrame
        One row per start: ``llf``, ``origin``, the kind of start, and ``finished``, false if it
        gave up behind a better one, which is drawn hollow.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Starts from left to right, the best first. The vertical axis is linear within 0.01, a band
        of what counts as one optimum, and logarithmic below.

    Raises
    ------
    ArgumentError
        matplotlib is missing.
    """
    ax = _axes(ax, height=3.6)
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ranked = table.sort_values("llf", ascending=False, kind="stable")
    below = (ranked["llf"].iloc[0] - ranked["llf"]).to_numpy(dtype=float)
    rank = np.arange(1, len(ranked) + 1)
    origins = list(dict.fromkeys(ranked["origin"]))
    is_finished = ranked["finished"].to_numpy(dtype=bool)
    ax.set_yscale("symlog", linthresh=_SAME_OPTIMUM, linscale=0.6)
    band = ax.axhspan(0, _SAME_OPTIMUM, color=_BAND, linewidth=0, zorder=0)
    band.set_label("within 0.01 of the best")
    for origin, style in zip(origins, _styles(len(origins)), strict=True):
        for fill, chosen in ((style["color"], is_finished), ("white", ~is_finished)):
            own = (ranked["origin"] == origin).to_numpy() & chosen
            if own.any():
                ax.plot(
                    rank[own], below[own], linestyle="none", markersize=6, label=str(origin),
                    markerfacecolor=fill, clip_on=False, zorder=3, **style,
                )  # fmt: skip
    decades = _decades(below.max())
    ax.set_yticks([0.0, *decades])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(MaxNLocator(1))
    ax.set_ylim(max(decades[-1], 1.3 * below.max()), -0.15 * _SAME_OPTIMUM)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.set_xlim(0.5, len(ranked) + 0.5)
    ax.set_xlabel("start, best first")
    ax.set_ylabel("log-likelihood below the best")
    _plain_frame(ax)
    handles = _handles(origins, 6)
    if not is_finished.all():
        handles.append(_hollow_handle("gave up behind a better one", 6))
    _legend(ax, [*handles, band])
    return ax


# -- axes and legends ------------------------------------------------------------------------------


def _axes(ax: Axes | None, height: float, width: float = 6.4) -> Axes:
    """The axes given, or those of a new figure."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ArgumentError(
            "Figures need matplotlib, which is not installed. Install it with: "
            "pip install 'mixlogit[plot]'"
        ) from error
    if ax is not None:
        return ax
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _plain_frame(ax: Axes, *, has_names: bool = False) -> None:
    """Take off the lines above and on the right, and the ticks of names on the left."""
    ax.spines[["top", "right"]].set_visible(False)
    if has_names:
        ax.tick_params(axis="y", length=0)


def _legend(ax: Axes, handles: Sequence[Any]) -> Legend:
    """A legend on the right of the axes, where it covers nothing."""
    legend = ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        borderaxespad=0.0,
        handlelength=1.3,
        handletextpad=0.5,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set(**_PLAIN)
    return legend


def _handles(labels: Iterable[Hashable], size: float) -> list[Any]:
    """Legend entries of the markers of a sequence of classes or kinds."""
    from matplotlib.lines import Line2D

    texts = list(labels)
    return [
        Line2D([], [], linestyle="none", markersize=size, label=str(label), **style)
        for label, style in zip(texts, _styles(len(texts)), strict=True)
    ]


def _hollow_handle(label: str, size: float) -> Any:
    """Legend entry of hollow markers, whatever their class."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], linestyle="none", markersize=size, label=label, marker="o", color=_GREY,
        markerfacecolor="white",
    )  # fmt: skip


def _patches(labels: Iterable[Hashable], colors: Sequence[Any]) -> list[Any]:
    """Legend entries of filled areas."""
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=color, label=str(label))
        for label, color in zip(labels, colors, strict=True)
    ]


def _colors(n: int, lightest: float = _LIGHTEST) -> list[Any]:
    """Colours that grow lighter, so that they differ in grey too."""
    from matplotlib import colormaps

    return [colormaps["viridis"](at) for at in np.linspace(0, lightest, n)]


def _styles(n: int) -> list[dict[str, Any]]:
    """Marker and colour of each of a sequence of classes."""
    return [
        {"marker": _MARKERS[k % len(_MARKERS)], "color": color}
        for k, color in enumerate(_colors(n))
    ]


def _ring(color: Any) -> dict[str, Any]:
    """A circle around a point."""
    return {
        "linestyle": "none", "marker": "o", "markersize": 11, "markerfacecolor": "none",
        "markeredgecolor": color, "markeredgewidth": 1.2, "zorder": 4,
    }  # fmt: skip


def _fitting_size(ax: Axes, step: float) -> float:
    """Marker size that keeps rows apart, a step of the height of the axes each, in points."""
    height = ax.get_window_extent().height / ax.figure.dpi * 72
    return float(np.clip(0.75 * step * height, 1.5, _MARKER_SIZE))


def _whiskers(
    ax: Axes, x: Any, low: Any, high: Any, y: np.ndarray, style: Any, name: str, size: float
) -> bool:
    """Points with horizontal intervals, hollow where there are none; say whether any is."""
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    has_interval = np.isfinite(low) & np.isfinite(high)
    is_hollow = np.isfinite(x) & ~has_interval
    if has_interval.any():
        ax.hlines(
            y[has_interval], low[has_interval], high[has_interval],
            color=style["color"], linewidth=1.2, zorder=2, label=f"_{name} interval",
        )  # fmt: skip
    for fill, drawn in ((style["color"], has_interval), ("white", is_hollow)):
        if drawn.any():
            ax.plot(
                x[drawn], y[drawn], linestyle="none", markersize=size, markerfacecolor=fill,
                zorder=3, label=name, **style,
            )  # fmt: skip
    return bool(is_hollow.any())


def _population(ax: Axes, mean: float, low: float, high: float) -> list[Any]:
    """The mean of the population as a line, its interval as a band; their legend entries."""
    if not np.isfinite(mean):
        return []
    handles: list[Any] = [ax.axvline(mean, color="black", linewidth=1.2, linestyle="--", zorder=1)]
    handles[0].set_label("population mean")
    if np.isfinite(low) and np.isfinite(high):
        handles.append(ax.axvspan(low, high, color=_BAND, linewidth=0, zorder=0))
        handles[1].set_label("its interval")
    return handles


def _decades(largest: float) -> list[float]:
    """Powers of ten from the width of one optimum up to the largest distance."""
    top = max(np.ceil(np.log10(largest)) if largest > 0 else -2.0, -2.0)
    return [float(f"1e{power}") for power in range(-2, int(top) + 1)]


# -- frames and words ------------------------------------------------------------------------------


def _limits(table: pd.DataFrame) -> tuple[str, str]:
    """The columns of the limits of the intervals."""
    low = [c for c in table.columns if str(c).startswith("[")]
    high = [c for c in table.columns if str(c).endswith("]")]
    if len(low) != 1 or len(high) != 1:
        raise ArgumentError(
            "The table needs one column of lower and one of upper limits, named like '[0.025' and "
            f"'0.975]', but its columns are {listed(table.columns)}."
        )
    return low[0], high[0]


def _interval_note(table: pd.DataFrame, low: str, high: str) -> str:
    """What the whiskers are, where there is one."""
    if not (table[low].notna() & table[high].notna()).any():
        return ""
    level = 100 * (float(high.rstrip("]")) - float(low.lstrip("[")))
    return f"with {level:.4g}% interval"


def _axis_text(quantity: str, note: str = "") -> str:
    """What an axis shows, and a note, on one line or on several."""
    whole = ", ".join(filter(None, [quantity, note]))
    if len(whole) <= _AXIS_WIDTH or not note:
        return _wrapped(whole, _AXIS_WIDTH)
    return _wrapped(f"{quantity},", _AXIS_WIDTH) + f"\n{note}"


def _require_one_of(value: str, name: str, known: Sequence[str]) -> None:
    """Raise for an option that is not known."""
    if value not in known:
        raise ArgumentError(f"{name}={value!r} is not one of {', '.join(known)}.")


_LEVEL = re.compile(r"""(?:C\(\s*(\w+)\s*(?:,.*)?\)|(\w+))\[(?:T\.)?(.+)\]""")
_IDENTITY = re.compile(r"I\((.+)\)|Q\((?:'(.+)'|\"(.+)\")\)")
_PIECE = re.compile(r"[^\s_.,/:]*[\s_.,/:]+|[^\s_.,/:]+")  # up to a place to break at
_TOKEN = re.compile(r"'[^']*'|\"[^\"]*\"|.", flags=re.S)


def readable(name: str) -> str:
    """Write a term of a formula as a reader of a figure would.

    Parameters
    ----------
    name : str
        As in the names of coefficients.

    Returns
    -------
    str
        ``C(alt, Treatment('bus'))[T.car]:I(time / 60)`` becomes ``alt: car × time / 60``, and
        ``car:(constant)`` becomes ``car: constant``; names that are not terms of that kind stay as
        they are.
    """
    factors, depth = [""], 0
    for token in _TOKEN.findall(name):
        depth += (token in "([{") - (token in ")]}")
        if token == ":" and depth == 0:
            factors.append("")
        else:
            factors[-1] += token
    if len(factors) == 2 and factors[1] == "(constant)":
        return f"{factors[0]}: constant"
    return " × ".join(_readable_factor(factor) for factor in factors)


def _readable_factor(factor: str) -> str:
    """A level of a category, or an expression, without the function around it."""
    level = _LEVEL.fullmatch(factor)
    if level:
        return f"{level[1] or level[2]}: {level[3]}"
    identity = _IDENTITY.fullmatch(factor)
    inside = next(filter(None, identity.groups())) if identity else ""
    closed = re.sub(r"[^()]", "", inside)
    while "()" in closed:
        closed = closed.replace("()", "")
    return inside if inside and not closed else factor  # not I(a) ** I(b)


def _labels(names: Iterable[Hashable]) -> list[str]:
    """Names on lines that fit a figure; different names stay different."""
    raw = [str(name) for name in names]
    terms = [readable(name) for name in raw]
    for shown in ([_shortened(term) for term in terms], terms):
        if len(set(shown)) == len(set(raw)):
            return [_wrapped(text, _LABEL_WIDTH) for text in shown]
    return [_wrapped(name, _LABEL_WIDTH) for name in raw]


def _shortened(text: str) -> str:
    """A text without its middle where it is too long for a label."""
    if len(text) <= _LABEL_LENGTH:
        return text
    pieces, half = _PIECE.findall(text), _LABEL_LENGTH // 2
    n_front = _n_within(pieces, half)
    n_back = _n_within(pieces[::-1], half)
    front = "".join(pieces[:n_front]) or text[:_LABEL_WIDTH]
    back = "".join(pieces[len(pieces) - n_back :]) or text[-_LABEL_WIDTH:]
    return f"{front.rstrip()} … {back.lstrip()}"


def _n_within(pieces: Sequence[str], room: int) -> int:
    """How many pieces, from the first on, fit into a number of characters."""
    return int(np.searchsorted(np.cumsum([len(piece) for piece in pieces]), room, side="right"))


def _wrapped(text: str, width: int) -> str:
    """A text on lines, broken at blanks; a word too long for a line after a mark or anywhere."""
    lines = [""]
    for word in text.split():
        parts = [word] if len(word) <= width else _PIECE.findall(word)
        for i, part in enumerate(parts):
            gap = " " if i == 0 and lines[-1] else ""
            if lines[-1] and len(lines[-1] + gap + part) > width:
                lines.append("")
                gap = ""
            lines[-1] += gap + part
    return "\n".join(
        line[start : start + width] for line in lines for start in range(0, len(line), width)
    )
