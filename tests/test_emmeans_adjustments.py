"""Adjustments for several tests: distributions against tables and closed forms."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from hglm.inference.emmeans.adjustments import ADJUSTMENTS, Comparisons
from hglm.inference.emmeans.maximum_t import maximum_t
from hglm.inference.emmeans.studentised_range import range_tail

INFINITE = math.inf

# Upper points of the studentised range: Pearson & Hartley (1966), Biometrika Tables
# for Statisticians I, table 29. (means, df, probability, point to two decimals)
RANGES = [
    (2, 5, 0.05, 3.64),
    (3, 10, 0.05, 3.88),
    (3, 10, 0.01, 5.27),
    (4, 20, 0.05, 3.96),
    (4, 20, 0.01, 5.02),
    (5, 60, 0.05, 3.98),
    (10, INFINITE, 0.05, 4.47),
    (20, INFINITE, 0.05, 5.01),
]
# Two-sided 5% points for comparisons with a control: Dunnett (1964), Biometrics 20,
# 482-491, table II. df -> points for 2, 3, 4, 5 and 9 treatments.
DUNNETT = {
    10: (2.57, 2.76, 2.89, 2.99, 3.24),
    20: (2.38, 2.54, 2.65, 2.73, 2.95),
    INFINITE: (2.21, 2.35, 2.44, 2.51, 2.69),
}

BY_P_VALUES = {n: ADJUSTMENTS[n] for n in ("none", "sidak", "holm", "bonferroni", "fdr")}


def pairwise(k: int) -> np.ndarray:
    """Correlations of all differences of k independent means of equal variance."""
    pairs = list(combinations(range(k), 2))
    C = np.array([np.eye(k)[i] - np.eye(k)[j] for i, j in pairs]) / np.sqrt(2.0)
    return C @ C.T


@pytest.mark.parametrize(("k", "df", "probability", "point"), RANGES)
def test_the_range_has_the_points_of_the_tables(
    k: int, df: float, probability: float, point: float
) -> None:
    assert range_tail(point - 0.0051, k, df) > probability > range_tail(point + 0.0051, k, df)


@pytest.mark.parametrize("df", [1.0, 2.5, 12.0, 634.0, 1e5, INFINITE])
@pytest.mark.parametrize("q", [0.1, 1.0, 3.5, 12.0, 50.0])
def test_the_range_of_two_means_is_a_t(q: float, df: float) -> None:
    t = q / np.sqrt(2.0)
    exact = 2.0 * (special.ndtr(-t) if math.isinf(df) else special.stdtr(df, -t))
    # at df = 1e5 and q = 50 the p-value is 1e-271, and 1e-11 of its logarithm is 1e-8 of it
    np.testing.assert_allclose(range_tail(q, 2, df), exact, rtol=1e-8 if q > 12.0 else 1e-10)


@pytest.mark.parametrize("k", [3, 8, 30])
@pytest.mark.parametrize("df", [2.0, 7.5, 60.0, INFINITE])
def test_the_range_is_that_of_scipy(k: int, df: float) -> None:
    for q in (1.0, 3.5, 6.0):
        expected = stats.studentized_range.sf(q, k, df)
        assert range_tail(q, k, df) == pytest.approx(expected, rel=1e-8, abs=1e-11)


def test_three_means_with_known_error_far_in_the_tail() -> None:
    """Bonferroni's bounds: between 3p - 3 P(two pairs at once) and 3p, here equal."""
    q = 12.0
    single = 2.0 * special.ndtr(-q / np.sqrt(2.0))
    assert range_tail(q, 3, INFINITE) == pytest.approx(3.0 * single, rel=1e-4)


@pytest.mark.parametrize("df", DUNNETT)
def test_dunnetts_table(df: float) -> None:
    for treatments, point in zip((2, 3, 4, 5, 9), DUNNETT[df], strict=True):
        R = np.full((treatments, treatments), 0.5)
        np.fill_diagonal(R, 1.0)
        largest = maximum_t(R)
        # the third decimal of the table is unknown, and 1e-4 is the error of the lattice
        assert largest.tail(point - 0.0051, df) > 0.05 - 1e-4
        assert largest.tail(point + 0.0051, df) < 0.05 + 1e-4


@pytest.mark.parametrize("t", [0.5, 2.0, 4.0])
def test_independent_statistics_multiply(t: float) -> None:
    exact = 1.0 - (1.0 - 2.0 * special.ndtr(-t)) ** 6
    assert maximum_t(np.eye(6)).tail(t, INFINITE) == pytest.approx(exact, abs=1e-4, rel=1e-3)


@pytest.mark.parametrize("df", [3.0, 40.0, INFINITE])
@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.5, 0.95])
def test_two_statistics_are_an_integral_over_the_circle(rho: float, df: float) -> None:
    """P(max > t) = E P(F_2 > t²/2m²), m the larger |cosine| with the two axes."""
    angle = (np.arange(200_000) + 0.5) * np.pi / 200_000
    other = np.arccos(rho)
    largest = np.maximum(np.abs(np.cos(angle)), np.abs(np.cos(angle - other)))
    R = np.array([[1.0, rho], [rho, 1.0]])
    for t in (0.5, 2.5, 6.0):
        squared = (t / largest) ** 2
        tails = special.chdtrc(2, squared) if math.isinf(df) else special.fdtrc(2, df, squared / 2)
        assert maximum_t(R).tail(t, df) == pytest.approx(float(np.mean(tails)), rel=1e-6)


@pytest.mark.parametrize(("k", "error"), [(3, 1e-9), (4, 3e-5), (6, 5e-5), (10, 4e-4)])
def test_the_multivariate_t_of_all_pairs_is_tukeys(k: int, error: float) -> None:
    largest = maximum_t(pairwise(k))
    assert largest.k == k - 1
    for df in (4.0, 30.0, INFINITE):
        for t in (0.5, 2.0, 3.0, 5.0):
            exact = range_tail(np.sqrt(2.0) * t, k, df)
            assert largest.tail(t, df) == pytest.approx(exact, abs=error)


def test_repeated_and_opposite_statistics_count_once() -> None:
    R = np.array([[1.0, 0.3, -1.0], [0.3, 1.0, -0.3], [-1.0, -0.3, 1.0]])
    assert maximum_t(R).tail(2.0, 9.0) == pytest.approx(maximum_t(R[:2, :2]).tail(2.0, 9.0))
    assert maximum_t(np.ones((3, 3))).tail(2.0, 9.0) == pytest.approx(2.0 * special.stdtr(9, -2.0))


def comparisons(t: np.ndarray, df: float = 14.0, k: int | None = None) -> Comparisons:
    n = len(t)
    p = 2.0 * special.stdtr(df, -np.abs(t))
    R = np.eye(n) if k is None else pairwise(k)
    return Comparisons(t, np.full(n, df), p, R, k)


@pytest.mark.parametrize("name", [n for n in ADJUSTMENTS if n not in ("holm", "fdr")])
def test_a_row_is_significant_where_its_interval_leaves_zero_out(name: str) -> None:
    family = comparisons(np.array([0.3, -1.1, 2.2, 2.9, -3.4, 4.6]), k=4)
    adjusted = ADJUSTMENTS[name].prepare(family)
    for level in (0.8, 0.95, 0.99):
        outside = np.abs(family.statistic) > adjusted.half_widths(level)
        assert (outside == (adjusted.p_values() < 1.0 - level)).all()


def test_step_down_and_step_up_methods_by_hand() -> None:
    """P-values 0.01, 0.04, 0.03, 0.20 worked through on paper."""
    family = comparisons(np.zeros(4))
    family = Comparisons(
        family.statistic, family.df, np.array([0.01, 0.04, 0.03, 0.20]), family.correlation
    )
    adjusted = {name: method.prepare(family).p_values() for name, method in BY_P_VALUES.items()}
    np.testing.assert_allclose(adjusted["bonferroni"], [0.04, 0.16, 0.12, 0.80])
    np.testing.assert_allclose(adjusted["holm"], [0.04, 0.09, 0.09, 0.20])
    np.testing.assert_allclose(adjusted["fdr"], [0.04, 0.16 / 3, 0.16 / 3, 0.20])
    np.testing.assert_allclose(adjusted["sidak"], 1 - (1 - family.p_value) ** 4, rtol=1e-12)
    np.testing.assert_array_equal(adjusted["none"], family.p_value)


@given(st.lists(st.floats(-6.0, 6.0), min_size=6, max_size=6))
def test_adjusted_p_values_are_larger_and_keep_their_order(statistics: list[float]) -> None:
    family = comparisons(np.array(statistics), k=4)
    order = np.argsort(family.p_value)
    methods = {**BY_P_VALUES, **{name: ADJUSTMENTS[name] for name in ("tukey", "scheffe")}}
    found = {name: method.prepare(family).p_values() for name, method in methods.items()}
    for name, adjusted in found.items():
        assert (adjusted >= family.p_value - 1e-12).all(), name
        assert (adjusted <= 1.0).all(), name
        assert (np.diff(adjusted[order]) >= -1e-9).all(), name
    assert (found["tukey"] <= found["sidak"] + 1e-9).all()  # Sidak's inequality
    assert (found["sidak"] <= found["bonferroni"] + 1e-12).all()


def test_scheffes_method_covers_the_largest_contrast() -> None:
    """Its t² is d times F of all contrasts together, so the p-values are the same."""
    t = np.array([2.0, 1.0, 3.0])  # three independent rows: F = mean of t²
    largest = np.linalg.norm(t)  # the statistic of the combination along t
    R = np.eye(4)
    R[3, :3] = R[:3, 3] = t / largest
    family = Comparisons(np.append(t, largest), np.full(4, 8.0), np.ones(4), R)
    expected = special.fdtrc(3, 8.0, largest**2 / 3)
    assert ADJUSTMENTS["scheffe"].prepare(family).p_values()[3] == pytest.approx(expected)
