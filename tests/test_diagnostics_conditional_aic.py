"""Conditional AIC against its definition: the derivative of every fitted value, by refits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import hglm
from hglm.design import Design
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.record import Estimates
from hglm.inference.diagnostics.conditional_aic import conditional_aic
from hglm.inference.diagnostics.subset import take_rows
from hglm.numerics.trust_region import TrustRegion
from prediction_models import fitted

EXACT = TrustRegion(tolerance=1e-14)


def small(name: str, reml: bool = True, **arguments: str) -> tuple[Estimates, Design]:
    """Fit a model of the catalogue to 45 of its rows."""
    design = take_rows(fitted(name, **arguments).design, np.arange(0, 90, 2))
    return estimate_linear(design, reml, settings=EXACT), design


def by_differences(estimates: Estimates, design: Design, reml: bool) -> float:
    """Σ ∂ŷ_i/∂y_i, every response moved by itself and the model fitted again."""
    total, step = 0.0, 3e-3
    for i in range(design.n):
        moved = []
        for sign in (1.0, -1.0):
            y = design.y.copy()
            y[i] += sign * step
            found = estimate_linear(replace(design, y=y), reml, estimates.theta, EXACT)
            moved.append(found.linear_predictor[i])
        total += (moved[0] - moved[1]) / (2.0 * step)
    return total


@pytest.mark.parametrize(
    ("name", "reml"),
    [
        ("one factor, slopes", True),
        ("nested", True),
        ("crossed", False),
        ("singular, crossed", True),
    ],
)
def test_rho_is_the_trace_of_derivatives(name, reml):
    estimates, design = small(name, reml)
    found = conditional_aic(estimates, design)
    # differences: truncation about step², noise of the refits about 1e-7/step
    np.testing.assert_allclose(found.rho, by_differences(estimates, design, reml), rtol=2e-4)
    assert found.rho - found.effective > -1e-12


def test_weights_count():
    estimates, design = small("one factor", weights="w")
    found = conditional_aic(estimates, design)
    np.testing.assert_allclose(found.rho, by_differences(estimates, design, True), rtol=2e-4)


def test_frequencies_are_repeated_rows():
    counted = fitted("one factor, slopes", frequencies="f")
    data = counted.data.loc[counted.data.index.repeat(counted.data["f"])]
    repeated = hglm.fit("y ~ x + (x | g)", data.reset_index(drop=True))
    one = conditional_aic(counted.estimates, counted.design)
    two = conditional_aic(repeated.estimates, repeated.design)
    np.testing.assert_allclose(
        [one.caic, one.rho, one.effective], [two.caic, two.rho, two.effective], rtol=1e-6
    )


def test_the_likelihood_is_that_of_independent_normals():
    fit = fitted("crossed", weights="w")
    found = conditional_aic(fit.estimates, fit.design)
    sd = fit.estimates.sigma / np.sqrt(fit.design.weights)
    expected = stats.norm.logpdf(fit.design.y, fit.estimates.linear_predictor, sd).sum()
    np.testing.assert_allclose(found.log_likelihood, expected, rtol=1e-12)
    np.testing.assert_allclose(found.caic, -2 * expected + 2 * (found.rho + 1), rtol=1e-12)


def test_without_random_effects_it_is_the_ordinary_aic_of_the_ml_fit():
    fit = fitted("fixed effects only", reml=False)
    found = conditional_aic(fit.estimates, fit.design)
    np.testing.assert_allclose(found.rho, 2.0, rtol=1e-12)
    np.testing.assert_allclose(found.caic, fit.estimates.aic, rtol=1e-12)
