"""Simulated responses: their moments, reproducibility, and refits of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hglm.design import build_design
from hglm.errors import DataError, OptionError
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.record import Estimates
from hglm.formula import parse_formula
from hglm.inference.simulate import simulate
from hglm.typing import Vector
from prediction_models import MODELS, Fitted, data_frame, fitted, marginal_covariance


def offset_model() -> Fitted:
    data = data_frame()
    design, spec = build_design(
        parse_formula("y ~ x + offset(o) + (x | g) + (1 | h)"), data, weights="w"
    )
    return Fitted(design, spec, estimate_linear(design, True), data)


@pytest.mark.parametrize("name", [*MODELS, "offset and weights"])
def test_new_draws_have_the_moments_of_the_model(name):
    """Row 12 of the known wrong answers: mean Xβ + offset, covariance σ²V, entry by entry."""
    fit = offset_model() if name == "offset and weights" else fitted(name)
    n = 2000
    draws = simulate(fit.estimates, fit.design, n, np.random.default_rng(1))
    mean = fit.design.mean.X @ fit.estimates.beta
    if fit.design.mean.offset is not None:
        mean = mean + fit.design.mean.offset
    V = marginal_covariance(fit)
    variances = np.diagonal(V)
    z_mean = (draws.mean(axis=1) - mean) / np.sqrt(variances / n)
    # Var of a sample covariance of normals is (v_ii v_jj + v_ij²)/n
    z_covariance = (np.cov(draws) - V) / np.sqrt((np.outer(variances, variances) + V**2) / n)
    # the largest of 90 + 4095 dependent standard normals exceeds 5 once in a thousand runs
    assert np.abs(z_mean).max() < 5
    assert np.abs(z_covariance).max() < 5.5
    # and the variances are not systematically off: their mean is known to 0.3 % or better
    assert np.mean(draws.var(axis=1, ddof=1) / variances) == pytest.approx(1, abs=0.03)


def test_conditional_draws_scatter_about_the_fitted_values():
    fit = offset_model()
    n = 4000
    draws = simulate(fit.estimates, fit.design, n, np.random.default_rng(2), random="conditional")
    variances = fit.estimates.sigma**2 / fit.design.weights
    z = (draws.mean(axis=1) - fit.estimates.linear_predictor) / np.sqrt(variances / n)
    assert np.abs(z).max() < 5
    assert np.abs(np.corrcoef(draws) - np.eye(len(draws))).max() < 5.5 / np.sqrt(n)
    np.testing.assert_allclose(draws.var(axis=1) / variances, 1, atol=5.5 * np.sqrt(2 / n))


def test_refits_of_simulated_responses_recover_the_truth():
    """Row 12: the mean of REML estimates over draws is the truth, within Monte Carlo error."""
    fit = fitted("crossed")
    draws = simulate(fit.estimates, fit.design, 100, np.random.default_rng(3))
    found = [
        parameters(estimate_linear(dataclasses.replace(fit.design, y=y), reml=True))
        for y in draws.T
    ]
    truth = parameters(fit.estimates)
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    # REML variances are unbiased but for the boundary, which is far away here
    assert np.abs((np.mean(found, axis=0) - truth) / error).max() < 3.5
    assert np.max(error[2:] / truth[2:]) < 0.1  # the test can tell a tenth from nothing


def parameters(estimates: Estimates) -> Vector:
    variances = [term.covariance[0, 0] for term in estimates.terms]
    return np.array([*estimates.beta, estimates.sigma**2, *variances])


def test_the_first_draws_do_not_depend_on_how_many_follow():
    fit = fitted("crossed")
    few, many = (simulate(fit.estimates, fit.design, n, np.random.default_rng(5)) for n in (3, 8))
    np.testing.assert_array_equal(few, many[:, :3])
    assert few.shape == (fit.design.n, 3)
    assert few[:, 0].flags.c_contiguous


def test_frequencies_are_refused_unless_they_are_one():
    fit = fitted("crossed", frequencies="f")
    with pytest.raises(DataError, match="repeat the rows"):
        simulate(fit.estimates, fit.design, 1, np.random.default_rng(0))
    ones = dataclasses.replace(fit.design, frequencies=np.ones(fit.design.n))
    assert simulate(fit.estimates, ones, 2, np.random.default_rng(0)).shape == (fit.design.n, 2)


@pytest.mark.parametrize(("n", "random"), [(0, "new"), (1, "old")])
def test_mistakes_are_explained(n, random):
    fit = fitted("crossed")
    with pytest.raises(OptionError, match=r"give 1 or more|neither"):
        simulate(fit.estimates, fit.design, n, np.random.default_rng(0), random=random)
