"""An alternative without attributes: to choose none of the others."""

from __future__ import annotations

import numpy as np
import pytest
import zoo

from mixlogit import MixedMultinomialLogit
from mixlogit.errors import DataError

IDS = {"situation": "situation", "individual": "person", "alternative": "alt"}
ADVICE = (
    "These are exactly the rows of alternative 'none'. If that is to choose none of the others, "
    "write zeros there, and give it a constant of its own, such as I(alternative == 'none') with "
    "your column of alternatives."
)


def table():
    """30 people who choose between two offers, or none of them, 5 times each."""
    frame = zoo.survey(3, [[3] * 5] * 30)
    frame["alt"] = frame["alt"].map({1: "a", 2: "b", 3: "none"})
    is_none = frame["alt"] == "none"
    frame.loc[is_none, ["x1", "x2"]] = np.nan
    return frame.sample(frac=1, random_state=0)


def model(frame, formula="choice ~ x1 + x2", **keywords):
    return MixedMultinomialLogit.from_formula(formula, frame, 1, **(IDS | keywords))


def test_attributes_that_only_one_alternative_lacks_are_advised_upon():
    with pytest.raises(DataError) as caught:
        model(table())
    assert "150 values of attribute 'x1' are missing or not finite" in str(caught.value)
    assert str(caught.value).endswith(ADVICE)


def test_dropping_what_is_missing_would_leave_nothing_and_is_advised_upon():
    with pytest.raises(DataError, match="Every one of the 150 choice situations") as caught:
        model(table(), missing="drop")
    assert str(caught.value).endswith(ADVICE)


@pytest.mark.parametrize("row", ["a", "none"])
def test_there_is_no_advice_where_others_lack_attributes_or_some_rows_have_them(row):
    frame = table()
    first = frame.index[frame["alt"] == row][0]
    frame.loc[first, ["x1", "x2"]] = np.nan if row == "a" else 1.0
    with pytest.raises(DataError) as caught:
        model(frame)
    assert "exactly the rows" not in str(caught.value)
    with pytest.raises(DataError) as caught:
        model(table(), alternative=None)
    assert "exactly the rows" not in str(caught.value)


def test_the_advice_leads_to_the_logit_of_the_offers_and_none():
    """P(none) = 1 / (1 + sum exp(x'b - c)), whatever the zeros are that stand for nothing."""
    frame = table().fillna(0.0)
    fit = model(frame, "choice ~ x1 + x2 + I(alt == 'none')").fit()
    b = fit.params[["class1.x1", "class1.x2"]].to_numpy()
    constant = fit.params["class1.I(alt == 'none')[T.True]"]
    for _, menu in list(fit.predict(frame).groupby(frame["situation"]))[:20]:
        rows = frame.loc[menu.index]
        offers = rows[rows["alt"] != "none"]
        odds = np.exp(offers[["x1", "x2"]].to_numpy() @ b - constant)
        none = menu[rows["alt"] == "none"].iloc[0]
        assert none == pytest.approx(1 / (1 + odds.sum()), rel=1e-12)
    assert fit.market_shares()["share"]["none"] == pytest.approx(
        frame.loc[frame["alt"] == "none", "choice"].mean(), abs=1e-6
    )  # the constant makes the mean prediction the share
