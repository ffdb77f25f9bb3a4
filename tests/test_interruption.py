"""Ctrl-C: what was reached by then is kept, and marked."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import electricity_model, fitted

from mixlogit import (
    MixedMultinomialLogit,
    bootstrap,
    bootstrap_lr_test,
    cross_validate,
    datasets,
    estimation,
    select_classes,
    starts,
)
from mixlogit.errors import ArgumentError, InterruptWarning
from mixlogit.incumbent import Incumbent
from mixlogit.likelihood import MixtureLikelihood, Parameters


def interrupted(model, iteration, **keywords):
    """A fit that is interrupted after an iteration, and what its callback saw."""
    states = []

    def stop(state):
        states.append(state)
        if state.iteration == iteration:
            raise KeyboardInterrupt

    with pytest.warns(InterruptWarning, match="The fit was interrupted: these are the best"):
        result = model.fit(callback=stop, **keywords)
    return result, states


def beginnings(model, **keywords):
    """Iterations with which something else begins in an undisturbed fit, and the last one."""
    states = []
    model.fit(callback=states.append, **keywords)
    kinds = [(s.phase, s.n_running, bool(np.isfinite(s.llf))) for s in states]
    changes = [i + 1 for i, (a, b) in enumerate(itertools.pairwise(kinds), 1) if a != b]
    return [1, *changes, len(states)], kinds


def check(result, states):
    """What is kept is a whole result at the best point seen, and says what it is."""
    assert not result.converged
    assert result.certificate().status == result.mle_retvals["status"] == "interrupted"
    assert "interrupted" in repr(result)
    text = str(result.summary())
    assert "no: interrupted" in text
    assert "Not a certified maximum. The fit was interrupted" in " ".join(text.split())
    # an evaluation adds in another order
    assert result.llf == pytest.approx(result.model.loglike(result.params), rel=1e-12)
    if np.isfinite(states[-1].llf):
        assert result.llf == pytest.approx(states[-1].llf, rel=1e-12)
    assert (np.diff(result.class_shares) <= 0).all()
    assert result.class_shares.sum() == pytest.approx(1, abs=1e-12)
    assert result.bse.shape == result.params.shape
    score = result.model.score(result.params)
    np.testing.assert_allclose(result.mle_retvals["score"], score, rtol=1e-9, atol=1e-6)


def test_a_fit_on_everybody_can_be_interrupted_anywhere():
    model = electricity_model(3)
    when, kinds = beginnings(model)
    assert {phase for phase, _, _ in kinds} == {"em", "newton"}
    for iteration in when:
        result, states = interrupted(model, iteration)
        check(result, states)
        assert len(states) == iteration


def test_splits_and_removals_can_be_interrupted():
    model = electricity_model(6)
    result, states = interrupted(model, 40)  # of 141; six mixtures have seven classes there
    check(result, states)
    assert states[-1].n_running == 6
    assert result.llf > fitted("electricity", 5).llf


def test_a_fit_on_samples_can_be_interrupted_anywhere(monkeypatch):
    monkeypatch.setattr(starts, "_SAMPLE", 22)
    monkeypatch.setattr(starts, "_SAMPLE_PER_PARAMETER", 1)
    model = electricity_model(3)
    when, kinds = beginnings(model)
    assert not kinds[0][2]  # the search begins on a sample
    for iteration in [*when[:3], *when[3:-2:12], *when[-2:]]:
        result, states = interrupted(model, iteration)
        check(result, states)
        assert result.llf < fitted("electricity", 3).llf + 1e-8
        if not np.isfinite(states[-1].llf):
            assert list(result.starts["origin"]) == ["interrupted"]
            assert (result.certificate().n_finished, result.certificate().n_agree) == (0, 0)
    # what some of the people say is better than one class for all of them
    assert interrupted(model, when[4])[0].llf > result.ll_mnl


def test_classes_to_spare_are_taken_away_one_by_one(electricity):
    likelihood = electricity.model.likelihood()
    five = electricity_model(5).likelihood()
    parameters = fitted("electricity", 5)._parameters
    kept = Incumbent(likelihood)
    assert kept.mixture() is None
    expected = parameters
    for own in (five, electricity_model(4).likelihood()):
        at = own.expect(Parameters(expected.beta[None], expected.gamma[None]))
        stack = Parameters(parameters.beta[None], parameters.gamma[None])
        if own is five:
            assert not kept.see(at.llf, at.mass, stack)
        fewer = [expected.without(k) for k in range(expected.n_classes)]
        smaller = own.with_classes(expected.n_classes - 1)
        llf = [smaller.evaluate(one.flat()).llf for one in fewer]
        expected = fewer[int(np.argmax(llf))]
    np.testing.assert_array_equal(kept.mixture().flat(), expected.flat())
    # one of all people with three classes goes before, however low
    own = electricity._parameters
    kept.offer(-1e9, own)
    np.testing.assert_array_equal(kept.mixture().flat(), own.flat())


def test_a_mixture_without_a_likelihood_is_none(electricity):
    kept = Incumbent(electricity.model.likelihood())
    with np.errstate(all="ignore"):
        kept.offer(0.0, Parameters(np.full((3, 6), 1e308), np.zeros((2, 1))), share=0.5)
        assert kept.mixture() is None


@pytest.mark.parametrize(
    "keywords",
    [{"method": "newton", "n_starts": 2}, {"method": "em"}, {"init": "random"}, {"penalty": 1.0}],
)
def test_fits_of_every_kind_can_be_interrupted(keywords):
    model = electricity_model(2)
    when, _ = beginnings(model, **keywords)
    for iteration in when[1:]:
        result, states = interrupted(model, iteration, **keywords)
        assert result.certificate().status == "interrupted"
        value = result._fit.evaluation.value  # the penalty is in it
        assert value == pytest.approx(states[-1].llf, rel=1e-12)


def test_newton_steps_beyond_a_bound_are_not_kept():
    model = MixedMultinomialLogit.from_formula(
        "choice ~ pf + cl + loc",
        datasets.load("electricity").data,
        2,
        situation="situation",
        individual="person",
        signs={"loc": "-"},  # against what people want
    )
    start = np.array([0.17, 0.0, -0.5, -0.06, -0.15, -0.5, -0.1])
    keywords = {"start_params": start, "method": "newton"}
    when, _ = beginnings(model, **keywords)
    first, *others = [interrupted(model, n, **keywords)[0] for n in (1, when[-2], when[-1])]
    assert first.llf == pytest.approx(model.loglike(start), rel=1e-12)  # the step led out
    for result in others:
        assert result.llf > first.llf
        assert (result.params[["class1.loc", "class2.loc"]] == 0).all()
        assert result.at_bound == ("class1.loc", "class2.loc")


def test_a_restart_goes_on_to_the_optimum():
    result, _ = interrupted(electricity_model(3), 30)
    for keywords in ({"start_params": result}, {"candidates": [result]}):
        again = electricity_model(3).fit(**keywords)
        assert again.llf == pytest.approx(fitted("electricity", 3).llf, abs=1e-8)


def test_a_start_is_kept_before_anything_else_is(monkeypatch, electricity):
    monkeypatch.setattr(estimation, "maximise", interrupt)
    start = electricity.params + 0.01
    with pytest.warns(InterruptWarning):
        result = electricity.model.fit(start, method="newton")
    np.testing.assert_allclose(np.sort(result.params), np.sort(start), rtol=1e-12)
    assert list(result.starts["origin"]) == ["start_params"]


def interrupt(*arguments, **keywords):
    raise KeyboardInterrupt


def test_before_there_is_a_mixture_the_interruption_is_passed_on(monkeypatch):
    monkeypatch.setattr(starts, "pooled_logit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        electricity_model(2).fit()


def test_a_second_interruption_is_passed_on(monkeypatch):
    monkeypatch.setattr(estimation, "certify", interrupt)
    with pytest.raises(KeyboardInterrupt):
        electricity_model(2).fit()


def test_an_interruption_after_the_last_step_keeps_it(monkeypatch):
    certify, calls = estimation.certify, []

    def interrupt_once(*arguments, **keywords):
        calls.append(keywords["ended"])
        if len(calls) == 1:
            raise KeyboardInterrupt
        return certify(*arguments, **keywords)

    monkeypatch.setattr(estimation, "certify", interrupt_once)
    with pytest.warns(InterruptWarning):
        result = electricity_model(2).fit()
    assert calls == ["stationary", "interrupted"]
    assert result.llf == pytest.approx(fitted("electricity", 2).llf, rel=1e-13)
    assert result.mle_retvals["newton_iterations"] > 0


def test_nothing_is_kept_where_that_is_not_wanted():
    def stop(state):
        if state.iteration == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        electricity_model(2).fit(callback=stop, on_interrupt="raise")


@pytest.mark.parametrize("many", [MixedMultinomialLogit.fit, select_classes, cross_validate])
def test_other_words_are_refused(many):
    with pytest.raises(ArgumentError, match="on_interrupt='stop' is neither 'keep' nor 'raise'"):
        many(electricity_model(2), on_interrupt="stop")


PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
from conftest import electricity_model

def wait(state):
    if state.iteration == 25:
        print("now", flush=True)
        time.sleep(60)

result = electricity_model(3).fit(callback=wait)
print(result)
print(repr(result))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
def test_a_signal_from_outside_ends_a_fit():
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a program started in the background of a shell ignores interruptions
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "no: interrupted" in out
    assert out.rstrip().endswith("interrupted>")
    assert "InterruptWarning: The fit was interrupted" in err


# -- many fits -------------------------------------------------------------------------------------


def test_numbers_of_classes_that_were_finished_are_kept():
    def stop(state):
        if len(state.shares) == 3:
            raise KeyboardInterrupt

    model = electricity_model(1)
    with pytest.warns(InterruptWarning, match="there is no fit with 3 and 4 classes"):
        own = select_classes(model, range(1, 5), n_starts=1, callback=stop)
    assert list(own.table.index) == [1, 2]
    assert own.left_out == (3, 4)
    assert repr(own) == "<ClassSelection of 1, 2 classes, interrupted>"
    assert "Interrupted: there is no fit with 3 and 4 classes." in own.summary().notes
    assert own.results[2].converged
    for numbers, keywords in ([[3], {}], [[1, 3], {"on_interrupt": "raise"}]):
        with pytest.raises(KeyboardInterrupt):
            select_classes(model, numbers, n_starts=1, callback=stop, **keywords)


def test_folds_that_were_finished_are_kept():
    begun = []

    def stop_in(fold):
        def stop(state):
            begun.extend([1] * (state.iteration == 1))
            if len(begun) > fold:
                raise KeyboardInterrupt

        begun.clear()
        return stop

    model = electricity_model(1)
    whole = cross_validate(model, [1], 4)
    with pytest.warns(InterruptWarning, match="the individuals of 2 folds were not held out"):
        own = cross_validate(model, [1], 4, callback=stop_in(2))
    assert (own.folds == whole.folds[[1, 2]]).all(axis=None)
    # the folds have 91, 90, 90 and 90 people
    assert own.n_individuals == 181
    assert own.table.loc[1, "llf"] == pytest.approx((own.folds.loc[1] * [91, 90]).sum() / 181)
    assert own.n_left_out == 2
    assert repr(own) == "<CrossValidation of 1 classes, interrupted>"
    assert "the individuals of 2 folds" in own.summary().notes[0]
    for fold, on_interrupt in ((0, "keep"), (2, "raise")):
        with pytest.raises(KeyboardInterrupt):
            cross_validate(model, [1], 4, callback=stop_in(fold), on_interrupt=on_interrupt)


def two_fits():
    """Fits of one and two classes to a few people."""
    survey = datasets.load("electricity").data.query("person <= 40")
    ids = {"situation": "situation", "individual": "person"}
    model = MixedMultinomialLogit.from_formula("choice ~ pf + cl", survey, 2, **ids)
    return model.with_classes(1).fit(), model.fit()


def test_draws_that_were_finished_are_kept(monkeypatch):
    smaller, larger = two_fits()
    settings = {"n_bootstrap": 4, "n_starts": 1}
    whole = bootstrap_lr_test(smaller, larger, **settings)
    redraw, made = bootstrap.redraw, []

    def redraw_or_stop(*arguments):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(1)
        return redraw(*arguments)

    monkeypatch.setattr(bootstrap, "redraw", redraw_or_stop)
    with pytest.warns(InterruptWarning, match="2 draws of those asked for were not made"):
        own = bootstrap_lr_test(smaller, larger, **settings)
    np.testing.assert_array_equal(own.draws, whole.draws[:2])
    assert own.statistic == whole.statistic
    assert own.pvalue == (1 + (own.draws >= own.statistic).sum()) / 3
    assert own.n_left_out == 2
    assert repr(own).endswith(", interrupted>")
    assert own.summary().notes[0] == "Interrupted: 2 draws of those asked for were not made."
    made.clear()
    with pytest.raises(KeyboardInterrupt):
        bootstrap_lr_test(smaller, larger, **settings, on_interrupt="raise")
    monkeypatch.setattr(bootstrap, "redraw", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bootstrap_lr_test(smaller, larger, **settings)


def test_an_interruption_within_a_draw_is_none_of_its_results(monkeypatch):
    smaller, larger = two_fits()
    expect, passes = MixtureLikelihood.expect, []

    def expect_or_stop(*arguments, **keywords):
        passes.append(1)
        if len(passes) == limit:
            raise KeyboardInterrupt
        return expect(*arguments, **keywords)

    monkeypatch.setattr(MixtureLikelihood, "expect", expect_or_stop)
    limit = np.inf
    whole = bootstrap_lr_test(smaller, larger, n_bootstrap=3, n_starts=1)
    limit, n_passes = len(passes) - 5, len(passes)  # in the last fit
    passes.clear()
    with pytest.warns(InterruptWarning, match="1 draw of those"):
        own = bootstrap_lr_test(smaller, larger, n_bootstrap=3, n_starts=1)
    assert len(passes) < n_passes
    np.testing.assert_array_equal(own.draws, whole.draws[:2])
