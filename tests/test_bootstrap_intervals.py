"""Bootstrap intervals: order statistics by hand, and where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hglm.errors import OptionError
from hglm.inference.bootstrap_intervals import acceleration, bootstrap_interval
from hglm.inference.bootstrap_shares import wilson_interval
from hglm.typing import Vector

ORDERED = np.random.default_rng(0).permutation(np.arange(1.0, 1000.0))  # 1 ... 999


def test_percentile_limits_are_the_n_plus_1_p_th_in_order() -> None:
    for level, expected in [(0.95, (25.0, 975.0)), (0.9, (50.0, 950.0))]:
        found = bootstrap_interval(ORDERED, 400.0, level, "percentile")
        assert found == pytest.approx(expected, rel=1e-12)


def test_basic_limits_are_the_percentiles_mirrored() -> None:
    found = bootstrap_interval(ORDERED, 400.0, 0.95, "basic")
    assert found == pytest.approx((800.0 - 975.0, 800.0 - 25.0), rel=1e-12)


def test_normal_limits_are_centred_off_the_bias() -> None:
    low, high = bootstrap_interval(ORDERED, 400.0, 0.95, "normal")
    assert 0.5 * (low + high) == pytest.approx(300.0)  # 400 - (500 - 400)
    assert high - low == pytest.approx(2 * 1.959963985 * ORDERED.std(ddof=1))


def test_bca_without_bias_and_acceleration_is_the_percentile_interval() -> None:
    assert bootstrap_interval(ORDERED, 500.0, 0.95, "bca") == pytest.approx((25.0, 975.0))


def test_bca_corrects_a_median_bias() -> None:
    """z_0 = Φ^-1(0.4): limits at Φ(2 z_0 ∓ 1.96)."""
    low, high = bootstrap_interval(ORDERED, 400.0, 0.95, "bca")
    z0 = stats.norm.ppf(399.5 / 999)
    expected = 1000 * stats.norm.cdf(2 * z0 + np.array([-1.959964, 1.959964]))
    np.testing.assert_allclose([low, high], expected, rtol=1e-6)


def chi_square_replicates(nu: int, n: int) -> Vector:
    """θ̂* ~ χ²_ν/ν about θ̂ = 1, as if infinitely many had been drawn."""
    return stats.chi2.ppf(np.arange(1, n + 1) / (n + 1), nu) / nu


def test_bca_on_a_skewed_case_is_the_exact_interval() -> None:
    """Efron (1987, JASA 82, sec. 1): θ̂ ~ θχ²_19/19, where a = 0.1077 for the scale family.

    The exact 90% interval is ν/χ²_.95, ν/χ²_.05 = (0.630, 1.878); the percentile interval
    (0.532, 1.587) misses it by far.
    """
    nu = 19
    exact = nu / stats.chi2.ppf([0.95, 0.05], nu)
    t = chi_square_replicates(nu, 99_999)
    a = np.sqrt(8.0 / nu) / 6.0  # a sixth of the skewness of the score
    assert a == pytest.approx(0.108, abs=5e-4)
    bca = bootstrap_interval(t, 1.0, 0.9, "bca", a)
    np.testing.assert_allclose(bca, exact, atol=4e-3)
    percentile = bootstrap_interval(t, 1.0, 0.9, "percentile")
    assert abs(percentile[0] - exact[0]) > 0.08
    assert abs(percentile[1] - exact[1]) > 0.25


def test_acceleration_of_a_mean_is_its_skewness() -> None:
    """For the mean a = skewness/(6√n) (Efron 1987, eq. 7.3); none for a constant."""
    x = np.random.default_rng(1).exponential(size=40)
    left_out = (x.sum() - x) / 39
    a = acceleration(np.column_stack([left_out, np.ones(40)]))
    np.testing.assert_allclose(a, [stats.skew(x) / (6 * np.sqrt(40)), 0.0], rtol=1e-10)


def test_replicates_on_one_side_of_the_estimate_have_no_bca_interval() -> None:
    assert np.isnan(bootstrap_interval(ORDERED, 0.0, 0.95, "bca")).all()


@pytest.mark.parametrize(("hits", "n"), [(0, 50), (50, 50), (3, 200), (120, 200)])
def test_wilson_limits_are_where_the_score_test_just_rejects(hits: int, n: int) -> None:
    for limit in wilson_interval(hits, n):
        if 0.0 < limit < 1.0:
            z = (hits / n - limit) / np.sqrt(limit * (1 - limit) / n)
            assert abs(z) == pytest.approx(1.959963985, rel=1e-7)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_mistakes_are_explained() -> None:
    with pytest.raises(OptionError, match=r"need 39 replicates or more, and there are 38"):
        bootstrap_interval(ORDERED[:38], 1.0, 0.95, "percentile")
    bootstrap_interval(ORDERED[:39], 1.0, 0.95, "percentile")
    with pytest.raises(OptionError, match=r"'studentised'; choose one of 'percentile'"):
        bootstrap_interval(ORDERED, 1.0, 0.95, "studentised")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"level=95.*between 0 and 1"):
        bootstrap_interval(ORDERED, 1.0, 95, "normal")
