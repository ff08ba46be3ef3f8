"""A mismeasured covariate: dense oracle, differences, Fuller's closed form, attenuation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hglm.errors import DataError
from hglm.measurement.estimate import fit_errors_in_variables
from hglm.measurement.likelihood import (
    ErrorsInVariables,
    Parameters,
    errors_in_variables_loglik,
    latent_means,
)


def _data(
    k: int, n: int = 60, groups: int = 9, seed: int = 1, sd: float = 1.0
) -> ErrorsInVariables:
    rng = np.random.default_rng(seed)
    t = rng.uniform(0, 1, n)
    codes = rng.integers(0, groups, n)
    R = np.column_stack([np.ones(n), t])[:, :k]
    b = rng.normal(size=(groups, k)) @ np.array([[1.0, 0.3], [0.0, 0.5]])[:k, :k]
    se = sd * rng.uniform(0.3, 1.2, n)
    x = 5.0 + rng.normal(0, 1.0, n)
    y = 3.0 + 0.7 * x + 0.5 * t + (R * b[codes]).sum(axis=1) + rng.normal(0, 0.8, n)
    ones = np.ones((n, 1))
    return ErrorsInVariables(
        y, rng.normal(x, se), se, ones, np.column_stack([ones, t]), codes, groups, R
    )


def _parameters(k: int) -> np.ndarray:
    Lambda = np.array([[0.9, 0.0], [0.2, 0.4]])[:k, :k]
    return Parameters(np.array([4.8]), 0.1, np.array([2.5, 0.3]), 0.6, -0.2, Lambda).pack()


@pytest.mark.parametrize("k", [0, 1, 2])
def test_likelihood_and_latent_means_against_a_dense_joint_normal(k: int) -> None:
    data, psi = _data(k), _parameters(k)
    n, at = data.y.size, Parameters.unpack(psi, data.sizes)
    s2x, s2 = np.exp(2 * at.log_sigma_x), np.exp(2 * at.log_sigma)
    Z = np.zeros((n, data.n_groups * k))
    for i in range(n):
        Z[i, data.codes[i] * k : (data.codes[i] + 1) * k] = data.R[i]
    T = np.kron(np.eye(data.n_groups), at.Lambda @ at.Lambda.T) if k else np.zeros((0, 0))
    shared = at.beta * s2x * np.eye(n)
    V = np.block(
        [
            [(at.beta**2 * s2x + s2) * np.eye(n) + Z @ T @ Z.T, shared],
            [shared, np.diag(s2x + data.se**2)],
        ]
    )
    mean_x = data.S @ at.alpha
    e = np.append(data.y - data.Z @ at.gamma - at.beta * mean_x, data.w - mean_x)
    dense = -0.5 * (
        np.linalg.slogdet(V)[1] + e @ np.linalg.solve(V, e) + e.size * np.log(2 * np.pi)
    )
    assert errors_in_variables_loglik(psi, data)[0] == pytest.approx(dense, rel=1e-12)
    posterior = mean_x + np.hstack([shared, s2x * np.eye(n)]) @ np.linalg.solve(V, e)
    np.testing.assert_allclose(latent_means(psi, data), posterior, rtol=1e-10)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_gradient_is_the_derivative(k: int) -> None:
    data, psi = _data(k), _parameters(k)
    gradient = errors_in_variables_loglik(psi, data)[1]
    for i in range(psi.size):
        step = np.zeros_like(psi)
        step[i] = 1e-3
        values = [errors_in_variables_loglik(psi + m * step, data)[0] for m in (-2, -1, 1, 2)]
        slope = np.array([1, -8, 8, -1]) @ values / (12 * 1e-3)
        assert gradient[i] == pytest.approx(slope, rel=1e-7, abs=1e-7)


def test_regression_with_one_error_variance_has_fullers_closed_form() -> None:
    """β̂ = s_wy/(s_ww − se²), Fuller (1987, equation 1.2.3), s with divisor n."""
    data = _data(0, n=300, seed=2)
    data = dataclasses.replace(data, se=np.full(300, 0.6), Z=np.ones((300, 1)))
    fit = fit_errors_in_variables(data)
    s_ww, s_wy = np.cov(data.w, np.column_stack([data.w, data.y]).T, bias=True)[0, 1:]
    beta = s_wy / (s_ww - 0.36)
    assert fit.slope == pytest.approx(beta, rel=1e-8)
    assert np.exp(2 * fit.parameters.log_sigma_x) == pytest.approx(s_ww - 0.36, rel=1e-8)
    assert fit.parameters.gamma[0] == pytest.approx(data.y.mean() - beta * data.w.mean(), rel=1e-8)
    naive = s_wy / s_ww
    assert naive / fit.slope == pytest.approx(fit.reliability[0], rel=1e-8)  # attenuation


def test_without_error_it_is_least_squares() -> None:
    data = dataclasses.replace(_data(0), se=np.zeros(60))
    fit = fit_errors_in_variables(data)
    ordinary = np.linalg.lstsq(np.column_stack([data.Z, data.w]), data.y, rcond=None)[0]
    np.testing.assert_allclose([*fit.parameters.gamma, fit.slope], ordinary, rtol=1e-7)
    np.testing.assert_allclose(fit.latent.x, data.w)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_units_change_nothing(k: int) -> None:
    data = _data(k, n=200)
    fit = fit_errors_in_variables(data)
    moved = dataclasses.replace(
        data, y=1e4 * data.y - 7e5, w=1e-3 * data.w + 2000.0, se=1e-3 * data.se
    )
    other = fit_errors_in_variables(moved)
    assert fit.certificate.converged
    assert other.certificate.converged
    assert other.slope == pytest.approx(1e7 * fit.slope, rel=1e-6)
    assert other.slope_se == pytest.approx(1e7 * fit.slope_se, rel=1e-4)
    assert other.llf == pytest.approx(fit.llf - 200 * np.log(1e4 * 1e-3), abs=1e-6)
    np.testing.assert_allclose((other.latent.x - 2000) * 1e3, fit.latent.x, rtol=1e-6)


def test_intervals_cover_the_slope_that_regression_misses() -> None:
    """100 data sets with reliability one half: naive slopes average 0.35, these 0.7."""
    slopes, naive, inside = [], [], 0
    for seed in range(100):
        data = _data(1, n=150, groups=15, seed=seed, sd=1.25)
        fit = fit_errors_in_variables(data)
        slopes.append(fit.slope)
        inside += abs(fit.slope - 0.7) < 1.96 * fit.slope_se
        design = np.column_stack([data.Z, data.w])
        naive.append(np.linalg.lstsq(design, data.y, rcond=None)[0][-1])
    assert np.mean(slopes) == pytest.approx(0.7, abs=3 * np.std(slopes) / 10)
    assert np.mean(naive) < 0.5
    assert inside >= 88  # binomial(100, 0.95) is below 88 once in 700


def test_the_gradient_vanishes_at_the_estimate() -> None:
    data = _data(2, n=200)
    fit = fit_errors_in_variables(data)
    gradient = errors_in_variables_loglik(fit.parameters.pack(), data)[1]
    assert 0.5 * gradient @ fit.vcov @ gradient < 1e-8  # Newton decrement in the user's units
    assert fit.llf == pytest.approx(errors_in_variables_loglik(fit.parameters.pack(), data)[0])


def test_measurements_that_are_all_error_are_refused() -> None:
    data = _data(0)
    with pytest.raises(DataError, match="no more than their standard errors"):
        fit_errors_in_variables(dataclasses.replace(data, se=np.full(60, 3.0)))
    with pytest.raises(DataError, match="negative"):
        fit_errors_in_variables(dataclasses.replace(data, se=-data.se))
    with pytest.raises(DataError, match="without variation"):
        fit_errors_in_variables(dataclasses.replace(data, w=np.ones(60)))
