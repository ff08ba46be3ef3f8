"""Densities, moments, distribution functions and draws of every family agree."""

from __future__ import annotations

import numpy as np
import pytest

from families_catalogue import CASES, ROWS, Case
from families_oracle import expectation_rule, row_data, row_density, row_moments, row_point
from hglm.families import Response, Wanted, bind, point_at

EACH = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


@EACH
def test_density_adds_up_to_one(case: Case) -> None:
    for row in range(ROWS):
        _, p = expectation_rule(case, row)
        assert np.sum(p) == pytest.approx(1.0, abs=1e-10)


@EACH
def test_moments_are_those_of_the_density(case: Case) -> None:
    for row in range(ROWS):
        y, p = expectation_rule(case, row)
        mean, variance = row_moments(case, row)
        assert mean == pytest.approx(np.sum(p * y), rel=1e-9)
        assert variance == pytest.approx(np.sum(p * np.square(y - mean)), rel=1e-8)


@EACH
def test_slopes_of_the_mean_are_those_of_the_density(case: Case) -> None:
    d = len(case.predictors)
    wanted = Wanted(1, tuple(range(d)))
    for row in range(ROWS):
        y, p = expectation_rule(case, row)
        slopes = row_density(case, row, y, wanted)
        mean = case.family.moments(row_point(case, row, row_data(case, row, np.zeros(1)), wanted))[
            0
        ]
        for j in range(d):
            assert mean[j] == pytest.approx(np.sum(p * y * slopes[j]), rel=1e-7, abs=1e-9)


@EACH
def test_expected_information_is_the_mean_of_the_observed(case: Case) -> None:
    point = point_at(case.predictors, case.sizes)
    y = case.family.simulate(point, np.random.default_rng(2))
    expected = bind(case.family, y, case.sizes).information(case.predictors, Wanted(1))
    if expected is None:
        return
    for row in range(ROWS):
        y, p = expectation_rule(case, row)
        observed = row_density(case, row, y, Wanted(3))
        terms = -observed[0, 0]
        assert expected.value[row] == pytest.approx(np.sum(p * terms), rel=1e-8)
        slope = np.sum(p * (terms * observed[0] - observed[0, 0, 0]))
        assert expected[0][row] == pytest.approx(slope, rel=1e-6, abs=1e-8)


@EACH
def test_distribution_function_adds_up_the_density(case: Case) -> None:
    rng = np.random.default_rng(11)
    point = point_at(case.predictors, case.sizes)
    y = case.family.simulate(point, rng)
    below = case.family.cdf(y, point)
    assert np.all((below >= 0.0) & (below <= 1.0))
    if not case.family.discrete:
        _check_slope_of_cdf(case, y)
        return
    for row in range(ROWS):
        values, p = expectation_rule(case, row)
        assert below[row] == pytest.approx(np.sum(p[values <= y[row] + 1e-9]), abs=1e-11)


def _check_slope_of_cdf(case: Case, y: np.ndarray) -> None:
    """Assert that the density is the derivative of the distribution function."""
    point = point_at(case.predictors, case.sizes)
    y = np.where(y == 0.0, 0.7, y)
    step = 4e-3 * np.minimum(np.abs(y), 1.0 - y if np.all((y > 0) & (y < 1)) else np.abs(y))
    weights = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
    slope = sum(
        w * (case.family.cdf(y + k * step, point) - case.family.cdf(y - k * step, point))
        for k, w in weights.items()
    )
    density = np.exp(case.family.kernel(Response(y, case.sizes))(point).value)
    np.testing.assert_allclose(slope / step, density, rtol=1e-6, atol=1e-9)


@EACH
def test_draws_follow_the_distribution_function(case: Case) -> None:
    """Kolmogorov's distance of randomised quantiles; beyond 2.7/√n has chance 1e-6."""
    rng = np.random.default_rng(5)
    n = 3000
    for row in (0, 3, 5):
        point = row_point(case, row, row_data(case, row, np.zeros(n)))
        y = case.family.simulate(point, rng)
        case.family.validate(row_data(case, row, y))
        above = case.family.cdf(y, point)
        mass = np.exp(row_density(case, row, y).value) if case.family.discrete else 0.0
        if not case.family.discrete and case.family.support == "nonnegative":
            mass = np.where(y == 0.0, above, 0.0)
        u = np.sort(above - rng.random(n) * mass)
        distance = np.max(np.abs(u - (np.arange(n) + 0.5) / n))
        assert distance < 2.7 / np.sqrt(n)
