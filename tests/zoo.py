"""Small data sets of every layout, each read twice: by the package and by the plain loops here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from oracle import Individual, flatten

Row = dict[str, Any]
N_CLASSES = 3  # at most, where classes have rows of their own
TASTES = np.array([[1.2, -0.8, 0.5], [-0.6, 0.9, -0.4]])  # of the two classes that are simulated


@dataclass(frozen=True, eq=False)
class Case:
    """One data set: what a user passes to the package, and the problem that this means."""

    name: str
    frame: pd.DataFrame
    formula: str
    keywords: dict[str, Any]
    choices: pd.DataFrame | None = None
    problem: list[Individual] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "problem", read_problem(self))

    @property
    def n_attributes(self) -> int:
        return self.problem[0].choices[0][0].shape[1]

    @property
    def n_covariates(self) -> int:
        return len(self.problem[0].z)

    def model(self, n_classes: int) -> Any:
        """The model of the package."""
        from mixlogit import MixedMultinomialLogit

        if self.choices is None:
            return MixedMultinomialLogit.from_formula(
                self.formula, self.frame, n_classes=n_classes, **self.keywords
            )
        return MixedMultinomialLogit.from_table(
            self.formula, self.frame, self.choices, n_classes=n_classes, **self.keywords
        )


# Reading a frame by loops


def ordered(ids: Iterable[Hashable]) -> list[Any]:
    """Sorted ids; ids that do not compare are ordered by type name, then text."""
    ids = list(ids)
    try:
        return sorted(ids)
    except TypeError:
        return sorted(ids, key=lambda value: (type(value).__name__, str(value)))


def grouped(rows: list[Row], column: str) -> list[list[Row]]:
    """Rows by the value of a column, in the order of the values."""
    groups: dict[Hashable, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return [groups[value] for value in ordered(groups)]


def read_problem(case: Case) -> list[Individual]:
    """The individuals of a case, in the order of their ids."""
    response, _, right = (part.strip() for part in case.formula.partition("~"))
    names = [name.strip() for name in right.split("+")]
    rows = case.frame.to_dict("records")

    def attributes(menu: list[Row]) -> np.ndarray:
        return np.array([[float(row[name]) for name in names] for row in menu])

    sets = case.keywords.get("available_in", {})  # of columns of true and false

    def offset(menu: list[Row]) -> np.ndarray:
        own = np.zeros(len(menu))
        if "offset" in case.keywords:
            own = np.array([float(row[case.keywords["offset"]]) for row in menu])
        if not sets:
            return own
        there = np.full((len(menu), N_CLASSES), True)
        for name, column in sets.items():
            there[:, int(name.removeprefix("class")) - 1] = [bool(row[column]) for row in menu]
        return np.where(there, own[:, None], -np.inf)

    added = offset if sets or "offset" in case.keywords else None
    if case.choices is not None:
        return read_shared_table(case, rows, attributes(rows), added)
    if "individual" not in case.keywords:
        return read_single_choices(case, rows, response, attributes, added)
    regions = ordered({row["region"] for row in rows}) if "region" in case.frame else []
    people = []
    for own in grouped(rows, case.keywords["individual"]):
        menus = grouped(own, case.keywords["situation"])
        choices = [(attributes(m), np.array([float(row[response]) for row in m])) for m in menus]
        weight = float(own[0][case.keywords["weights"]]) if "weights" in case.keywords else 1.0
        z = [1.0]
        if "membership" in case.keywords:  # patsy puts categories before numbers
            z += [float(own[0]["region"] == region) for region in regions[1:]]
            z += [own[0]["age"]]
        of_menus = None if added is None else tuple(added(m) for m in menus)
        people.append(Individual(tuple(choices), weight, 1.0, np.array(z), of_menus))
    mean = float(np.mean([one.weight for one in people]))
    return [replace(one, weight=one.weight / mean) for one in people]


Reader = Callable[[list[Row]], np.ndarray]  # one entry, or one row, per alternative of a menu


def read_single_choices(
    case: Case, rows: list[Row], response: str, attributes: Reader, added: Reader | None
) -> list[Individual]:
    """Every choice is its own individual; equal choices are one individual with a frequency."""
    people = []
    for menu in (
        grouped(rows, case.keywords["situation"]) if "situation" in case.keywords else [rows]
    ):
        if "alternative" in case.keywords:
            menu = [row for same in grouped(menu, case.keywords["alternative"]) for row in same]
        x = attributes(menu)
        offset = None if added is None else (added(menu),)
        for j, row in enumerate(menu):
            if row[response] > 0:
                chosen = np.array([float(m == j) for m in range(len(menu))])
                frequency = float(row[response])
                people.append(Individual(((x, chosen),), 1.0, frequency, np.ones(1), offset))
    return people


def read_shared_table(
    case: Case, rows: list[Row], x: np.ndarray, added: Reader | None
) -> list[Individual]:
    """Every individual chooses, repeatedly, from the one table."""
    assert case.choices is not None
    item, count = case.keywords["alternative"], case.keywords["count"]
    offset = None if added is None else (added(rows),)
    people = []
    for own in grouped(case.choices.to_dict("records"), case.keywords["individual"]):
        n = [float(sum(one[count] for one in own if one[item] == row[item])) for row in rows]
        people.append(Individual(((x, np.array(n)),), 1.0, 1.0, np.ones(1), offset))
    return people


# Simulation


def draw(rng: np.random.Generator, x: np.ndarray, tastes: np.ndarray, n_draws: int) -> np.ndarray:
    """Counts (J,) of the choices of one individual in one situation."""
    weight = np.exp(x @ tastes[: x.shape[1]])
    return rng.multinomial(n_draws, weight / weight.sum())


def survey(
    seed: int, sizes: list[list[int]], n_attributes: int = 2, draws: int = 1
) -> pd.DataFrame:
    """Long table of a panel; `sizes` holds the number of alternatives, by person and situation."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    situation = 0
    for person, own in enumerate(sizes, start=1):
        tastes = TASTES[rng.integers(2)]
        for size in own:
            situation += 1
            x = rng.normal(size=(size, n_attributes))
            n = draw(rng, x, tastes, draws)
            for j in range(size):
                row = {"person": person, "situation": situation, "alt": j + 1, "choice": int(n[j])}
                rows.append(row | {f"x{a + 1}": x[j, a] for a in range(n_attributes)})
    return pd.DataFrame(rows)


def counts_table(seed: int, n_draws: int, n_items: int = 12) -> pd.DataFrame:
    """One choice set and how often each alternative was drawn, each draw by another individual."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_items, 2))
    n = draw(rng, x, TASTES[0], n_draws // 2) + draw(rng, x, TASTES[1], n_draws - n_draws // 2)
    item = [f"item{j + 1}" for j in rng.permutation(n_items)]  # neither sorted nor in step with x
    return pd.DataFrame({"item": item, "count": n, "x1": x[:, 0], "x2": x[:, 1]})


def ragged_sizes(seed: int, n_people: int, smallest: int = 2) -> list[list[int]]:
    """Between one and six situations a person, of at most five alternatives."""
    rng = np.random.default_rng(seed)
    lengths = [1, 1, *rng.integers(1, 7, size=n_people - 2)]
    return [list(rng.integers(smallest, 6, size=length)) for length in lengths]


# Seeds are such that two classes have a finite interior maximum near TASTES.

PANEL = {"individual": "person", "situation": "situation"}
TWO = "choice ~ x1 + x2"
THREE = "choice ~ x1 + x2 + x3"


def balanced_panel() -> Case:
    frame = survey(1, [[3] * 4] * 30, n_attributes=3)
    return Case("balanced panel", frame, THREE, PANEL | {"alternative": "alt"})


def ragged_panel() -> Case:
    return Case("ragged panel", survey(2, ragged_sizes(2, 30)), TWO, PANEL)


def cross_section() -> Case:
    frame = survey(18, [[4]] * 40).drop(columns="person")
    return Case("cross-section", frame, TWO, {"situation": "situation"})


def counts_with_names() -> Case:
    return Case("counts", counts_table(3, 60), "count ~ x1 + x2", {"alternative": "item"})


def counts_without_names() -> Case:
    frame = counts_table(14, 40).drop(columns="item")
    return Case("counts without alternative names", frame, "count ~ x1 + x2", {})


def single_alternatives() -> Case:
    sizes = [[1], *([*own, 1] for own in ragged_sizes(6, 25, smallest=1))]
    return Case("single alternatives", survey(6, sizes), TWO, PANEL)


def huge_utilities() -> Case:
    frame = survey(7, [[3] * 5] * 30)
    frame[["x1", "x2"]] *= (
        300.0  # after the choices are drawn: the fit is ordinary, tastes of 1 not
    )
    return Case("huge utilities", frame, TWO, PANEL)


def unsorted_strings() -> Case:
    frame = survey(8, [[3] * 4] * 25)
    frame["person"] = [f"p{value}" for value in frame["person"]]  # "p10" comes before "p2"
    frame["situation"] = [f"s{value * 37 % 101}" for value in frame["situation"]]
    frame["alt"] = [["car", "bus", "train"][value - 1] for value in frame["alt"]]
    frame = frame.sample(frac=1.0, random_state=8)
    return Case("unsorted strings", frame, TWO, PANEL | {"alternative": "alt"})


def mixed_ids() -> Case:
    frame = survey(9, [[3] * 4] * 20)
    mixed = [value if value % 2 else f"guest {value}" for value in frame["person"].tolist()]
    frame["person"] = pd.Series(mixed, dtype=object)
    return Case("mixed ids", frame, TWO, PANEL)


def readonly_float32() -> Case:
    frame = survey(10, [[3] * 4] * 25)
    columns = {name: frame[name].to_numpy().copy() for name in frame}
    for name in ("x1", "x2"):
        columns[name] = columns[name].astype(np.float32)
    for values in columns.values():
        values.setflags(write=False)
    return Case("read-only float32", pd.DataFrame(columns, copy=False), TWO, PANEL)


def repeated_choices() -> Case:
    frame = survey(11, ragged_sizes(11, 15), draws=4)
    return Case("repeated choices", frame, TWO, PANEL | {"choices": "counts"})


def market_shares() -> Case:
    rng = np.random.default_rng(12)
    tables = [counts_table(120 + market, 8, n_items=4) for market in range(6)]
    frame = pd.concat([t.assign(market=10 - m) for m, t in enumerate(tables)], ignore_index=True)
    frame = frame.iloc[rng.permutation(len(frame))]
    keywords = {"situation": "market", "alternative": "item", "choices": "counts"}
    return Case("market shares", frame, "count ~ x1 + x2", keywords)


def sampling_weights() -> Case:
    frame = survey(13, ragged_sizes(13, 30))
    weight = np.random.default_rng(13).uniform(0.3, 2.5, size=30)
    frame["w"] = weight[frame["person"].to_numpy() - 1]
    return Case("sampling weights", frame, TWO, PANEL | {"weights": "w"})


def membership_covariates() -> Case:
    frame = survey(14, [[3] * 4] * 40)
    rng = np.random.default_rng(14)
    at = frame["person"].to_numpy() - 1
    frame["age"] = rng.uniform(-2.0, 2.0, size=40).round(2)[at]  # decades from the mean
    frame["region"] = np.array(["west", "east", "north"])[rng.integers(3, size=40)][at]
    return Case("membership", frame, TWO, PANEL | {"membership": "age + C(region)"})


def shared_table() -> Case:
    rng = np.random.default_rng(15)
    x = rng.normal(size=(8, 2))
    frame = pd.DataFrame({"item": [*"hgfedcba"], "x1": x[:, 0], "x2": x[:, 1]})
    rows = []
    for shopper in (12, 3, 25, 7, 9, 1):
        n = draw(rng, x, TASTES[shopper % 2], 10)
        bought = [j for j in rng.permutation(8) if n[j] > 0]
        rows += [{"shopper": shopper, "item": frame["item"][j], "n": n[j]} for j in bought]
    keywords = {"alternative": "item", "individual": "shopper", "count": "n"}
    return Case("shared table", frame, "~ x1 + x2", keywords, pd.DataFrame(rows))


def bool_choice() -> Case:
    frame = survey(16, [[3] * 4] * 20)
    frame["choice"] = frame["choice"] == 1
    return Case("bool choice", frame, TWO, PANEL)


def tuples_and_dates() -> Case:
    frame = survey(17, [[3] * 4] * 20)
    pairs = [(value % 3, f"house {value}") for value in frame["person"].tolist()]
    frame["person"] = pd.Series(pairs, dtype=object)
    frame["situation"] = pd.Timestamp("2024-05-01") - pd.to_timedelta(frame["situation"], unit="D")
    frame.index = pd.Index(np.arange(len(frame)) % 7)
    return Case("tuples and dates", frame, TWO, PANEL)


def with_offset(one: Case, seed: int) -> Case:
    """The case with an offset added to utilities, on top of a level of 1,000."""
    frame = one.frame.copy()
    frame["corr"] = 1000.0 + np.random.default_rng(seed).normal(size=len(frame))
    keywords = one.keywords | {"offset": "corr"}
    return Case(f"{one.name} with an offset", frame, one.formula, keywords, one.choices)


CASES: list[Case] = [
    balanced_panel(),
    ragged_panel(),
    cross_section(),
    counts_with_names(),
    counts_without_names(),
    single_alternatives(),
    huge_utilities(),
    unsorted_strings(),
    mixed_ids(),
    readonly_float32(),
    repeated_choices(),
    market_shares(),
    sampling_weights(),
    membership_covariates(),
    shared_table(),
    bool_choice(),
    tuples_and_dates(),
    with_offset(balanced_panel(), 19),
    with_offset(single_alternatives(), 20),
    with_offset(counts_with_names(), 21),
    with_offset(shared_table(), 22),
    with_offset(repeated_choices(), 23),
]


def case(name: str) -> Case:
    """The case of this name."""
    return {one.name: one for one in CASES}[name]


def data_of(exog: Any, arrangement: Any = None, **changes: Any) -> Any:
    """Choice data of these attributes; the first alternative of every situation is chosen."""
    from mixlogit.arrangement import arrange
    from mixlogit.choices import ChoiceData
    from mixlogit.entries import tally

    if arrangement is None:
        arrangement = arrange(6, [101, 101, 102, 102, 103, 103], None, [*"ababab"])
    exog = np.array(exog, dtype=float)
    chosen = np.zeros(len(exog))
    chosen[arrangement.situation_start[:-1]] = 1.0
    entries = tally(arrangement, chosen)
    n = len(entries.frequency)
    values = {"weights": np.ones(n), "membership": np.ones((n, 1))} | changes
    names = tuple(f"x{i + 1}" for i in range(exog.shape[1]))
    return ChoiceData(exog, names, arrangement, entries, **values)


def random_parameters(
    case: Case, n_classes: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tastes (K, L), membership (K-1, Q) and the flat parameters (D,), all of modest size."""
    rng = np.random.default_rng(seed)
    beta = 0.7 * rng.normal(size=(n_classes, case.n_attributes))
    gamma = 0.5 * rng.normal(size=(n_classes - 1, case.n_covariates))
    return beta, gamma, flatten(beta, gamma)
