"""Covariances from Hessians: exact inverses, flat directions, separated data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.numerics.positive import covariance_of, positive_inverse


def some(d: int, b: int = 4) -> np.ndarray:
    """Positive definite matrices whose scales differ by many orders."""
    rng = np.random.default_rng(d)
    half = rng.standard_normal((b, d, d + 3)) * np.logspace(-3, 3, d)[:, None]
    return half @ half.swapaxes(1, 2)


@pytest.mark.parametrize("n_fixed", [0, 2, 4])
def test_positive_definite_matrices_are_inverted(n_fixed: int) -> None:
    H = some(4)
    size = np.sqrt(np.diagonal(H, axis1=1, axis2=2))
    unit = size[:, :, None] * size[:, None, :]
    exact = np.linalg.inv(H / unit) / unit
    np.testing.assert_allclose(positive_inverse(H) * unit, exact * unit, rtol=1e-10, atol=1e-12)
    found = covariance_of(H, n_fixed)
    np.testing.assert_allclose(found * unit, 2 * exact * unit, rtol=1e-9, atol=1e-11)


def test_flat_directions_are_left_out_of_the_pseudo_inverse() -> None:
    direction = np.array([1.0, 2.0, -1.0])
    H = 3.0 * np.eye(3) - 3.0 * np.outer(direction, direction) / 6.0
    found = positive_inverse(H)
    np.testing.assert_allclose(H @ found @ H, H, atol=1e-12)
    assert np.linalg.matrix_rank(found, tol=1e-8) == 2


def test_flat_coefficients_may_be_anything_and_flat_variances_have_no_say() -> None:
    H = np.diag([4.0, 1e-14, 2.0, 0.0])
    H[0, 2] = H[2, 0] = 1.0
    found = covariance_of(H, 2)
    exact = 2.0 * np.linalg.inv(H[np.ix_([0, 2], [0, 2])])
    np.testing.assert_allclose(found[np.ix_([0, 2], [0, 2])], exact, rtol=1e-12)
    assert found[1, 1] == pytest.approx(2e14)
    assert found[3, 3] == 0.0
    # the sum of two coefficients is known well, and the difference not at all
    two = covariance_of(np.array([[1.0, 1.0], [1.0, 1.0]]), 2)
    assert np.ones(2) @ two @ np.ones(2) == pytest.approx(2.0, rel=1e-6)
    assert np.sqrt(two[0, 0]) > 1e3


def test_what_is_not_finite_spoils_no_other() -> None:
    H = np.stack([np.eye(2), np.full((2, 2), np.nan), 2.0 * np.eye(2)])
    found = covariance_of(H, 1)
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2]], [2.0 * np.eye(2), np.eye(2)])


def test_separated_data_leave_an_effect_unknown() -> None:
    """No event where x = 0: the log odds ratio is infinite, so its test says nothing."""
    frame = pd.DataFrame({"g": np.repeat(np.arange(6), 8), "x": np.tile([0, 1], 24)})
    frame["y"] = frame["x"] * (np.arange(48) % 3 == 0)
    fit = hglm.fit("y ~ x + (1 | g)", frame, family="binomial")
    assert fit.bse["x"] > 100.0
    assert fit.pvalues["x"] > 0.9
    # where x = 1 there are 8 events in 24 rows, and the groups do not differ
    log_odds = np.ones(2)
    variance = log_odds @ fit.cov_params().to_numpy() @ log_odds
    assert variance == pytest.approx(1 / 8 + 1 / 16, rel=1e-3)
