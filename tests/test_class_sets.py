"""Classes that do not have all alternatives: probabilities over those that they have.

Expected values come from loops, and from the same models with the rows left out.
"""

from __future__ import annotations

import json
import pickle

import numpy as np
import oracle
import pandas as pd
import pytest
import zoo

import mixlogit.blocks
from mixlogit import (
    MixedMultinomialLogit,
    cross_validate,
    lr_test,
    read_results,
    select_classes,
    simulate_choices,
)
from mixlogit.archive import write_archive
from mixlogit.errors import (
    ArgumentError,
    DataError,
    FormulaError,
    IdentificationError,
    StorageError,
)
from mixlogit.likelihood import Parameters
from mixlogit.simulate import redraw

IDS = {"situation": "situation", "individual": "person", "alternative": "alt"}
SETS = {"class2": "in2", "class3": "in3"}


def with_sets(one: zoo.Case, seed: int) -> zoo.Case:
    """The case where classes 2 and 3 lack some rows, of which a part were chosen."""
    rng = np.random.default_rng(seed)
    frame = one.frame.copy()
    menu = (
        frame[one.keywords["situation"]]
        if "situation" in one.keywords
        else pd.Series(0, frame.index)
    )
    if "individual" in one.keywords and one.choices is None:
        menu = [*zip(frame[one.keywords["individual"]], menu, strict=True)]
    code = pd.factorize(pd.Series(menu, index=range(len(frame)), dtype=object))[0]
    for column in SETS.values():
        there = rng.random(len(frame)) < 0.75
        keeps = rng.integers(0, 1 << 30, code.max() + 1)  # one row of each menu at least
        for s in range(code.max() + 1):
            own = np.flatnonzero(code == s)
            there[own[keeps[s] % len(own)]] = True
        frame[column] = there
    keywords = one.keywords | {"available_in": SETS}
    return zoo.Case(one.name, frame, one.formula, keywords, one.choices)


CASES = [
    with_sets(one, seed)
    for seed, one in enumerate(
        (
            zoo.balanced_panel(),
            zoo.single_alternatives(),
            zoo.cross_section(),
            zoo.counts_with_names(),
            zoo.huge_utilities(),
            zoo.unsorted_strings(),
            zoo.repeated_choices(),
            zoo.sampling_weights(),
            zoo.membership_covariates(),
            zoo.shared_table(),
            zoo.with_offset(zoo.ragged_panel(), 40),
        )
    )
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request):
    return request.param


def close(a, b, tolerance):
    assert np.isfinite(a).all()
    assert np.abs(a - b).max(initial=0.0) <= tolerance * max(1.0, np.abs(b).max(initial=0.0))


# -- the likelihood ----------------------------------------------------------------------------


def test_the_likelihood_and_its_derivatives_are_those_of_the_loop(case):
    beta, gamma, flat = zoo.random_parameters(case, 3, seed=0)
    model, problem = case.model(3), case.problem
    close(model.loglike(flat), oracle.log_likelihood(problem, beta, gamma), 1e-12)
    posterior = oracle.posterior(problem, beta, gamma)
    close(model.posterior(flat), posterior, 1e-11)
    np.testing.assert_array_equal(model.posterior(flat) == 0, posterior == 0)
    assert (posterior == 0).any()
    close(model.score(flat), oracle.score(problem, beta, gamma), 1e-11)
    close(model.hessian(flat), oracle.hessian(problem, beta, gamma), 1e-10)
    weight = np.array([person.total_weight for person in problem])[:, None]
    scores = oracle.individual_scores(problem, beta, gamma) * weight
    close(model.score_obs(flat), scores, 1e-11)


@pytest.mark.parametrize("by_slots", [0.0, 1e9])
def test_every_layout_of_blocks_gives_the_same_numbers(case, by_slots, monkeypatch):
    beta, gamma, flat = zoo.random_parameters(case, 3, seed=1)
    monkeypatch.setattr(mixlogit.blocks, "_MEAN_SLOTS", by_slots)
    monkeypatch.setattr(mixlogit.blocks, "_MIN_ROWS", 3)
    monkeypatch.setattr(mixlogit.blocks, "_MAX_ROWS", 3)
    for keep in (0, 1 << 25):
        monkeypatch.setattr(mixlogit.blocks, "_KEEP_BYTES", keep)
        model = case.model(3)
        close(model.loglike(flat), oracle.log_likelihood(case.problem, beta, gamma), 1e-12)
        close(model.hessian(flat), oracle.hessian(case.problem, beta, gamma), 1e-10)
        found = model.likelihood().individual_scores(Parameters(beta, gamma))
        close(found, oracle.individual_scores(case.problem, beta, gamma), 1e-11)


def test_a_stack_of_mixtures_is_one_at_a_time(case):
    likelihood = case.model(3).likelihood()
    singles = [likelihood.unpack(zoo.random_parameters(case, 3, seed)[2]) for seed in range(3)]
    stack = Parameters(np.stack([p.beta for p in singles]), np.stack([p.gamma for p in singles]))
    together = likelihood.expect(stack)
    for g, single in enumerate(singles):
        alone = likelihood.evaluate(single.flat())
        close(together.llf[g], alone.llf, 1e-12)
        close(together.beta_gradient[g].ravel(), alone.score[: single.beta.size], 1e-11)


def test_derivatives_along_directions_are_those_of_the_scores(case):
    beta = zoo.random_parameters(case, 3, seed=2)[0]
    table, weight = case.model(3).likelihood().table, np.ones((3, len(case.problem)))
    along = np.random.default_rng(0).normal(size=(2, *beta.shape))

    def weigh(log_f, slope, individuals):
        own = weight[:, individuals] * np.isfinite(log_f)
        return own, np.zeros((2, *own.shape)), ()

    found, _ = table.directional(beta, along, weigh)
    for direction, own in zip(along, found, strict=True):
        curvature = table.sweep(beta, lambda f, i: (weight[:, i] * np.isfinite(f), ())).curvature
        close(own, -np.einsum("mab,mb->ma", curvature, direction), 1e-10)


# -- the fit -----------------------------------------------------------------------------------


def trips() -> pd.DataFrame:
    """150 people with 6 trips: two thirds choose among three modes, one third has no car."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "person": np.repeat(np.arange(150), 18),
            "situation": np.repeat(np.arange(900), 3),
            "alt": np.tile(["bus", "car", "train"], 900),
            "time": rng.normal(size=2700),
            "cost": rng.normal(size=2700),
        }
    )
    tastes = pd.DataFrame({"class1": [-1.0, -0.5], "class2": [-0.3, -1.5]}, index=["time", "cost"])
    return simulate_choices(
        frame,
        tastes,
        [2 / 3, 1 / 3],
        available_in={"class2": ["bus", "train"]},
        class_name="own",
        rng=6,
        **IDS,
    )


def model(frame=None, n_classes=2, formula="choice ~ time + cost", **keywords):
    keywords = IDS | {"available_in": {"class2": ["bus", "train"]}} | keywords
    frame = trips() if frame is None else frame
    return MixedMultinomialLogit.from_formula(formula, frame, n_classes, **keywords)


@pytest.fixture(scope="module")
def fit():
    return model().fit()


def test_simulated_classes_choose_what_they_have():
    frame = trips()
    chosen = frame[frame["choice"] == 1]
    assert set(chosen.loc[chosen["own"] == 2, "alt"]) == {"bus", "train"}
    assert set(chosen.loc[chosen["own"] == 1, "alt"]) == {"bus", "car", "train"}


def test_who_chose_what_a_class_lacks_is_not_of_it(fit):
    frame = trips()
    drivers = frame.loc[(frame["choice"] == 1) & (frame["alt"] == "car"), "person"].unique()
    assert (fit.posterior.loc[drivers, "class2"] == 0).all()
    rest = fit.posterior.index.difference(drivers)
    assert (fit.posterior.loc[rest, "class2"] > 0).all()
    assert fit.converged
    assert "class2 has only the rows of 'bus', 'train'." in fit.summary().as_text()


def test_tastes_and_shares_are_recovered_within_their_errors(fit):
    truth = np.array([-1.0, -0.5, -0.3, -1.5, np.log(1 / 2)])
    assert (np.abs(fit.params - truth) < 4 * fit.bse).all()  # one in 3,000 by chance


def test_the_labels_stay_whatever_the_shares_and_the_search():
    frame = trips()
    swapped = model(frame, available_in={"class1": ["bus", "train"]}).fit()
    plain = model(frame).fit()
    assert swapped.llf == pytest.approx(plain.llf, abs=1e-7)
    np.testing.assert_allclose(
        swapped.class_params[["class2", "class1"]], plain.class_params, atol=1e-5
    )
    for init in ("random", "moments", "subspace"):
        assert model(frame).fit(init=init).llf == pytest.approx(plain.llf, abs=1e-6)


def test_no_start_of_many_is_better(fit):
    """EM alone from 20 random starts, which are not those of the search."""
    own = model()
    rng = np.random.default_rng(9)
    ends = [own.fit(rng.normal(size=5), method="em-newton", cov_type="none").llf for _ in range(20)]
    assert max(ends) <= fit.llf + 1e-6


def test_three_classes_of_which_two_have_sets_of_their_own():
    sets = {"class1": ["bus", "train"], "class3": "alt == 'car'"}
    zero = trips()[["time"]].assign(class1=-0.3, class2=-1.0, class3=0.0).iloc[:2, 1:]
    frame = simulate_choices(
        trips().drop(columns=["choice", "own"]),
        zero.set_axis(["time", "cost"]),
        available_in=sets,
        rng=7,
        **IDS,
    )
    own = model(frame, 3, available_in=sets, constraints=["class3.time = 0", "class3.cost = 0"])
    result = own.fit()
    assert result.converged
    drives = frame[frame["choice"] == 1].groupby("person")["alt"].unique().map(set)
    always = drives.index[drives == {"car"}]
    never = drives.index[[not (one & {"car"}) for one in drives]]
    assert (result.posterior.drop(index=always)["class3"] == 0).all()
    assert (result.posterior.drop(index=never)["class1"] == 0).all()


def test_one_class_without_an_alternative_is_the_table_without_it():
    frame = trips()
    stays = frame[frame["choice"] == 1].groupby("person")["alt"].agg(lambda a: "car" not in set(a))
    busy = frame[frame["person"].map(stays)]
    barred = model(busy, 1, available_in={"class1": ["bus", "train"]}).fit()
    short = model(busy[busy["alt"] != "car"], 1, available_in=None).fit()
    assert barred.llf == pytest.approx(short.llf, rel=1e-12)
    np.testing.assert_allclose(barred.params, short.params, rtol=1e-7)
    np.testing.assert_allclose(barred.bse, short.bse, rtol=1e-7)
    assert barred.llnull == pytest.approx(-len(busy) / 3 * np.log(2), rel=1e-12)


def test_classes_that_all_lack_rows_are_the_table_without_them():
    tastes = pd.DataFrame({"class1": [-1.0, 1.5], "class2": [1.0, -0.5]}, index=["time", "cost"])
    frame = simulate_choices(trips().drop(columns=["choice", "own"]), tastes, rng=8, **IDS)
    frame["open"] = (frame["choice"] == 1) | (np.arange(len(frame)) % 5 > 0)
    barred = model(frame, available_in={"class1": "open", "class2": "open == True"})
    short = model(frame[frame["open"]], available_in=None)
    params = np.array([0.5, -0.3, -0.2, 0.9, 0.3])
    assert barred.loglike(params) == pytest.approx(short.loglike(params), rel=1e-12)
    close(barred.hessian(params), short.hessian(params), 1e-10)
    result, other = barred.fit(), short.fit()
    assert result.llf == pytest.approx(other.llf, abs=1e-7)
    dropped = result.predict(frame[frame["open"]]).to_numpy()
    np.testing.assert_allclose(dropped, result.predict(frame)[frame["open"]], rtol=1e-12)
    assert (result.predict(frame)[~frame["open"]] == 0).all()


# -- what carries them -------------------------------------------------------------------------


def test_predictions_are_those_of_the_loop(fit):
    new = trips().iloc[:90]
    beta, share = fit.class_params.to_numpy().T, fit.class_shares.to_numpy()
    by_class = np.zeros((90, 2))
    log_sum = []
    for _, menu in new.groupby("situation"):
        x, place = menu[["time", "cost"]].to_numpy(), new.index.get_indexer(menu.index)
        added = np.where((menu["alt"] == "car").to_numpy()[:, None] & [False, True], -np.inf, 0)
        v = x @ beta.T + added
        log_sum.append([oracle.log_sum_exp(v[:, k]) for k in range(2)])
        for k in range(2):
            by_class[place, k] = np.exp(oracle.log_prob(x, beta[k], added[:, k]))
    np.testing.assert_allclose(fit.predict(new, "class_prob"), by_class, rtol=1e-12)
    np.testing.assert_allclose(fit.predict(new), by_class @ share, rtol=1e-12)
    np.testing.assert_allclose(fit.logsum(new).iloc[:, :2], log_sum, rtol=1e-12)
    shares = fit.market_shares(new, by_class=True)["share"]
    columns = ["class1", "class2"]
    expected = pd.DataFrame(by_class, columns=columns).groupby(new["alt"].to_numpy()).mean()
    np.testing.assert_allclose(shares["class2"], expected["class2"], rtol=1e-12)
    np.testing.assert_allclose(shares["market"], expected.to_numpy() @ share, rtol=1e-12)
    linear = fit.predict(new, which="linear")
    is_car = (new["alt"] == "car").to_numpy()
    np.testing.assert_array_equal(linear["class2"].isna(), is_car)
    assert linear["class1"].notna().all()


def test_elasticities_are_derivatives_of_market_shares(fit):
    frame = trips()
    found = fit.elasticities("cost", frame)["elasticity"]
    h = 1e-5

    def shares(factor):
        def scenario(table):
            is_car = table["alt"] == "car"
            return table.assign(cost=table["cost"].where(~is_car, table["cost"] * factor))

        return fit.market_shares(frame, scenario, by_class=True)["scenario"]

    slope = (np.log(shares(1 + h)["market"]) - np.log(shares(1 - h)["market"])) / (2 * h)
    own = found["market"].xs("car", level="change_in")
    np.testing.assert_allclose(own[slope.index], slope, atol=1e-8)  # h² of the third derivative
    assert np.isnan(found["class2"].loc[("car", "bus")])  # of a share of 0
    np.testing.assert_array_equal(found["class2"].loc[["bus", "train"]].xs("car", level=1), 0.0)


def test_redrawn_choices_are_of_rows_that_a_class_has(fit):
    data = fit.model.choices
    everybody = Parameters(fit._parameters.beta, np.array([[40.0]]))  # all of class 2
    drawn = redraw(data, everybody, np.random.default_rng(0))
    assert np.isfinite(drawn.offset[1, drawn.entries.row]).all()


def test_files_pickles_chunks_arrays_and_tables_carry_them(fit, tmp_path):
    frame = trips()
    fit.to_file(tmp_path / "fit.npz")
    fit.to_file(tmp_path / "bare.npz", include_data=False)
    again, bare = (read_results(tmp_path / name) for name in ("fit.npz", "bare.npz"))
    assert again.model.loglike(fit.params) == fit.model.loglike(fit.params)
    for other in (again, bare, pickle.loads(pickle.dumps(fit))):
        pd.testing.assert_series_equal(other.predict(frame), fit.predict(frame), rtol=1e-14)
        assert "class2 has only the rows of" in other.summary().as_text()
    chunked = MixedMultinomialLogit.from_chunks(
        "choice ~ time + cost",
        [frame.iloc[:1000], frame.iloc[1000:]],
        2,
        available_in={"class2": "alt != 'car'"},
        **IDS,
    )
    arrays = MixedMultinomialLogit(
        frame["choice"],
        frame[["time", "cost"]],
        2,
        available_in={"class2": ["bus", "train"]},
        **{role: frame[name] for role, name in IDS.items()},
    )
    for other in (chunked, arrays):
        assert other.loglike(fit.params) == pytest.approx(fit.llf, rel=1e-12)


def test_a_file_with_the_sets_of_another_number_of_classes_is_refused(fit, tmp_path):
    fit.to_file(tmp_path / "fit.npz")
    with np.load(tmp_path / "fit.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "header.json"}
        header = json.loads(file["header.json"])
    for spoilt, what in (
        ({"offset": np.zeros((3, 2700))}, "another number of classes"),
        ({"offset": arrays["offset"][:, 1:]}, "'offset' has shape"),
        ({"offset": arrays["offset"] * np.nan}, "numbers that can be added"),
    ):
        write_archive(tmp_path / "other.npz", header, arrays | spoilt)
        with pytest.raises(StorageError, match=what), np.errstate(invalid="ignore"):
            read_results(tmp_path / "other.npz")


def test_folds_keep_them_and_other_numbers_of_classes_are_refused(fit):
    table = cross_validate(model(), [2], 3, n_starts=2).table
    per_person = fit.llf / 150
    assert per_person - 0.2 < table["llf"].iloc[0] < per_person  # held out, a little lower
    assert select_classes(model(), [2], n_starts=2).best().llf == pytest.approx(fit.llf, abs=1e-6)
    with pytest.raises(ArgumentError, match=r"available_in gives.* from 2 classes to 3"):
        select_classes(model(), [2, 3])


@pytest.mark.filterwarnings("ignore::mixlogit.errors.ConvergenceWarning")
def test_fits_with_and_without_them_are_not_nested(fit):
    with pytest.raises(ArgumentError, match="cannot express the offset"):
        lr_test(model(formula="choice ~ time", available_in=None).fit(n_starts=2), fit)


def test_histories_that_no_class_can_have_are_named(fit):
    everywhere = model(available_in={"class1": "True | (time > 9)", "class2": ["bus", "train"]})
    assert everywhere.loglike(fit.params) == pytest.approx(fit.llf, rel=1e-12)
    own = model(trips().query("own == 2"), 1, available_in={"class1": ["bus", "train"]})
    result = own.fit()
    with pytest.raises(DataError, match=r"\d+ of 150 individuals chose what no class has"):
        result.held_out_loglike(trips())


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("available_in", "kind", "message"),
    [
        (["car"], ArgumentError, r"must map classes to their alternatives.* not list"),
        ({"clas1": ["car"]}, ArgumentError, "'clas1', which is no class.*mean 'class1'"),
        ({"class3": ["car"]}, ArgumentError, "The classes are 'class1', 'class2'"),
        ({"class1": []}, ArgumentError, r"available_in\['class1'\] is \[\]; it must be a list"),
        ({"class1": 3}, ArgumentError, "must be a list of alternatives, or an expression"),
        (
            {"class1": ["bus", "trian"]},
            ArgumentError,
            "class1 the alternative 'trian', which is not in the data.*mean 'train'",
        ),
        (
            {"class1": "tyme > 0"},
            FormulaError,
            "'tyme > 0' that available_in has for class1 cannot be evaluated.*mean 'time'",
        ),
        ({"class1": "(time > 0) or (cost > 0)"}, FormulaError, r"ambiguous.*with \| for or"),
        ({"class1": "time >"}, FormulaError, "cannot be evaluated"),
        ({"class1": "time[::-1] > 0"}, FormulaError, "changes the order of the rows"),
        ({"class1": "1 + 1"}, FormulaError, "gives shape"),
        (
            {"class1": "time"},
            DataError,
            r"neither true nor false in 2,700 rows; the first is row 0 .* with the value",
        ),
        (
            {"class2": "time > 5"},
            DataError,
            "leaves class2 no alternative in 900 of 900 choice situations; the first is situation",
        ),
        (
            {"class1": ["bus"], "class2": ["bus", "train"]},
            DataError,
            r"\d+ of 150 individuals chose what no class has.* no class is left. Leave one class",
        ),
    ],
)
def test_sets_that_make_no_sense_are_refused(available_in, kind, message):
    with pytest.raises(kind, match=message):
        model(available_in=available_in)


def test_the_first_whom_no_class_explains_is_named_with_the_choice_that_rules_out_the_last():
    frame = pd.DataFrame(
        {
            "person": ["ann"] * 4 + ["bob"] * 4,
            "situation": [1, 1, 2, 2] * 2,
            "alt": ["a", "b"] * 4,
            "x": [0.0, 1.0, 2.0, 4.0, 1.0, 0.0, 0.5, 3.0],
            "choice": [1, 0, 1, 0, 1, 0, 0, 1],  # bob takes a, and then b
        }
    )
    with pytest.raises(DataError) as caught:
        model(frame, formula="choice ~ x", available_in={"class1": ["a"], "class2": ["b"]})
    assert "1 of 2 individuals" in str(caught.value)
    assert "individual 'bob': after the choice of alternative 'b' in situation 2 of" in str(
        caught.value
    )


def test_a_missing_value_in_an_expression_is_refused_or_dropped():
    frame = trips()
    frame.loc[4, "time2"] = np.nan
    frame["time2"] = frame["time"].where(frame.index != 4)
    sets = {"class2": "(alt != 'car') & (time2 < 99)"}
    with pytest.raises(DataError, match=r"1 row; the first is row 4 .* with a missing value"):
        model(frame, available_in=sets)
    with pytest.warns(match="1 of 900 choice situations dropped"):
        assert model(frame, available_in=sets, missing="drop").choices.n_situations == 899


def test_lists_need_ids_of_alternatives():
    with pytest.raises(ArgumentError, match="lists the alternatives of class2, and the rows have"):
        model(alternative=None)
    with pytest.raises(ArgumentError, match="lists the alternatives of class1"):
        simulate_choices(
            trips().drop(columns=["choice", "own"]),
            pd.DataFrame({"class1": [1.0]}, index=["time"]),
            available_in={"class1": ["car"]},
            situation="situation",
        )


def test_coefficients_that_the_rows_of_a_class_do_not_tell_are_named():
    formula = "choice ~ C(alt) + time"
    with pytest.raises(IdentificationError, match=r"1 coefficient.*: 'class2.C\(alt\)\[T.car\]'"):
        model(formula=formula)
    fixed = model(formula=formula, constraints="class2.C(alt)[T.car] = 0").fit(n_starts=3)
    assert np.isfinite(fixed.bse.drop("class2.C(alt)[T.car]")).all()
    common = model(formula=formula, common="C(alt)").fit(n_starts=3)
    assert np.isfinite(common.bse).all()
    frame = trips().assign(other=lambda f: f["time"].where(f["alt"] != "car", f["cost"]))
    with pytest.raises(IdentificationError, match="cannot be told apart from the rows"):
        model(frame, formula="choice ~ time + other")
