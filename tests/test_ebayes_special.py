"""log_rising and log1p_ratio against sums in exact order, derivatives included."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hglm.empirical.special import log1p_ratio, log_rising

DISPERSIONS = [0.0, 1e-12, 1e-6, 1e-3, 0.02, 0.3, 2.0, 1e3, 1e6]


@pytest.mark.parametrize("y", [0, 1, 2, 3, 7, 45, 1000, 30000])
def test_log_rising_is_the_sum_of_logarithms(y: int) -> None:
    k = np.arange(y)
    for q in [*DISPERSIONS, 0.0499 / max(y, 1), 0.0501 / max(y, 1)]:
        value, first, second = (
            float(part[0]) for part in log_rising(np.array([q]), np.array([float(y)]))
        )
        ratio = k / (1 + k * q)
        # Second derivatives lose 1/q⁴ × rounding beside the switch of formulas: about 1e-10.
        assert value == pytest.approx(math.fsum(np.log1p(k * q)), rel=1e-12, abs=1e-13)
        assert first == pytest.approx(math.fsum(ratio), rel=1e-11, abs=1e-10)
        assert second == pytest.approx(-math.fsum(ratio**2), rel=1e-9, abs=1e-8)


def test_log_rising_of_half_integers_agrees_on_both_sides_of_its_switch() -> None:
    y = np.array([0.5, 1.5, 3.5, 20.5])
    below, above = (log_rising((0.05 + e) / np.maximum(y, 1), y) for e in (-1e-9, 1e-9))
    for small, large in zip(below, above, strict=True):
        np.testing.assert_allclose(small, large, rtol=1e-7)


@pytest.mark.parametrize("q", [1e-10, 1e-3, 0.2, 5.0])
def test_log1p_ratio_and_its_derivatives(q: float) -> None:
    u = np.array([0.0, 0.3, 4.0, 250.0, 0.0499 / q, 0.0501 / q])
    value, first, second = log1p_ratio(q, u)
    np.testing.assert_allclose(value, np.log1p(q * u) / q, rtol=1e-12)
    h = 1e-3 * q
    grid = [log1p_ratio(q + k * h, u) for k in (-2, -1, 1, 2)]
    weights = np.array([1, -8, 8, -1]) / (12 * h)
    if q > 1e-4:  # differences of smaller q drown in rounding
        np.testing.assert_allclose(first, weights @ [g[0] for g in grid], rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(second, weights @ [g[1] for g in grid], rtol=1e-7, atol=1e-12)


def test_log1p_ratio_at_zero_has_the_coefficients_of_the_logarithm() -> None:
    u = np.array([2.0])
    value, first, second = log1p_ratio(0.0, u)
    assert (value[0], first[0], second[0]) == pytest.approx((2.0, -2.0, 2 * 8 / 3))
