"""Tests run with floating-point errors raised (see conftest.py)."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.parametrize(
    "wrong",
    [
        lambda zero: np.log(zero),
        lambda zero: zero / zero,
        lambda zero: np.exp(zero + 1e3),
        lambda zero: (zero + np.inf) - np.inf,
    ],
)
def test_floating_point_errors_raise(wrong):
    with pytest.raises(FloatingPointError):
        wrong(np.zeros(3))


def test_underflow_is_rounding():
    assert np.exp(np.full(3, -1e3)).tolist() == [0.0, 0.0, 0.0]
