"""Residuals of every kind, and leverage."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from hglm.datasets import load_dataset
from hglm.design import build_design
from hglm.errors import OptionError
from hglm.fitting.estimate import estimate_linear
from hglm.formula import parse_formula
from hglm.inference.conditional import coef_frame, conditional_covariances, ranef_frame
from hglm.inference.predict import predict, prediction_rows
from hglm.inference.residuals import RESIDUALS, leverage, residuals
from hglm.inference.simulate import simulate
from prediction_models import (
    MODELS,
    Fitted,
    data_frame,
    fitted,
    hat_matrix,
    marginal_covariance,
)


@pytest.mark.parametrize("name", MODELS)
def test_leverage_is_the_diagonal_of_the_hat_matrix(name):
    fit = fitted(name)
    H = hat_matrix(fit)
    h = leverage(fit.estimates, fit.design)
    np.testing.assert_allclose(h, np.diagonal(H), rtol=1e-7 if "units" in name else 1e-9)
    np.testing.assert_allclose(h.sum(), np.trace(H), rtol=1e-7)
    np.testing.assert_allclose(H @ fit.design.y, fit.estimates.linear_predictor, rtol=1e-6)


def test_leverage_with_weights_and_frequencies():
    weighted = fitted("crossed, slopes", weights="w")
    np.testing.assert_allclose(
        leverage(weighted.estimates, weighted.design), np.diagonal(hat_matrix(weighted)), rtol=1e-9
    )
    counted = fitted("nested", frequencies="f")
    f = counted.design.frequencies
    h = leverage(counted.estimates, counted.design)
    np.testing.assert_allclose(f * h, np.diagonal(hat_matrix(counted)), rtol=1e-9)


def test_effective_degrees_of_freedom_of_a_balanced_design():
    """Closed form: 1 for the mean, and the reliability for each of the other level means."""
    rng = np.random.default_rng(9)
    batch = np.repeat(np.arange(7), 4)
    data = pd.DataFrame({"y": rng.normal(size=7)[batch] + rng.normal(size=28), "b": batch})
    design, _ = build_design(parse_formula("y ~ 1 + (1 | b)"), data)
    estimates = estimate_linear(design, True)
    between, within = estimates.terms[0].covariance[0, 0], estimates.sigma**2
    expected = 1 + 6 * 4 * between / (4 * between + within)
    np.testing.assert_allclose(leverage(estimates, design).sum(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("formula", "name", "weights", "head", "total"),
    [
        (
            "reaction ~ days + (days | subject)", "sleepstudy", None,
            [0.229303011, 0.169729261, 0.126823225, 0.100584904], 29.0220677,
        ),
        (
            "reaction ~ days + (days | subject)", "sleepstudy", "w",
            [0.181660583, 0.198616528, 0.192789906, 0.073612386], 29.9949427,
        ),
        (
            "diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin", None,
            [0.190780292, 0.190780292, 0.190780292, 0.190780292], 27.472362,
        ),
    ],
)  # fmt: skip
def test_leverage_is_that_of_lme4(formula, name, weights, head, total):
    """lme4 1.1-31 `hatvalues`, REML, at the θ of tests/reference, nine digits printed."""
    data = load_dataset(name)
    design, _ = build_design(parse_formula(formula), data, weights=weights)
    h = leverage(estimate_linear(design, True), design)
    # θ agrees to about 1e-7
    np.testing.assert_allclose(h[: len(head)], head, rtol=2e-7)
    np.testing.assert_allclose(h.sum(), total, rtol=1e-7)


def test_least_squares_leverage_without_random_effects():
    fit = fitted("fixed effects only")
    Q = np.linalg.qr(fit.design.mean.X)[0]
    np.testing.assert_allclose(leverage(fit.estimates, fit.design), (Q**2).sum(axis=1), rtol=1e-10)


@pytest.fixture(scope="module")
def weighted() -> Fitted:
    data = data_frame()
    formula = parse_formula("y ~ x + offset(o) + (x | g) + (1 | h)")
    design, spec = build_design(formula, data, weights="w")
    return Fitted(design, spec, estimate_linear(design, True), data)


def test_each_kind_is_what_its_definition_says(weighted):
    e, d = weighted.estimates, weighted.design
    response = d.y - e.linear_predictor
    marginal = d.y - d.mean.X @ e.beta - d.mean.offset
    sd = np.sqrt(np.diagonal(marginal_covariance(weighted)))
    # the residual y - ŷ = (I - H)y has covariance (I - H) σ²V (I - H)'
    M = np.eye(d.n) - hat_matrix(weighted)
    sd_response = np.sqrt(np.diagonal(M @ marginal_covariance(weighted) @ M.T))
    expected = {
        "response": response,
        "deviance": np.sqrt(d.weights) * response,
        "pearson": np.sqrt(d.weights) * response / e.sigma,
        "studentised": response / sd_response,
        "marginal": marginal,
        "standardised_marginal": marginal / sd,
    }
    assert list(expected) == list(RESIDUALS)
    for kind, values in expected.items():
        found = residuals(e, d, kind)
        assert found.name == kind
        assert found.index.equals(d.index)
        np.testing.assert_allclose(found, values, rtol=1e-8, atol=1e-12)


def test_sums_of_squares_return_the_criterion(weighted):
    """r² of the fit is the penalised sum: pearson² + |u|² = ν, with u'u = b'(σ²Σ)^-1b."""
    e, d = weighted.estimates, weighted.design
    penalty = sum(
        np.einsum("qa,ab,qb->", t.modes, np.linalg.inv(t.covariance), t.modes) for t in e.terms
    )
    total = np.sum(residuals(e, d, "pearson") ** 2) + penalty
    np.testing.assert_allclose(total, d.n - d.mean.X.shape[1], rtol=1e-8)


def test_studentised_residuals_have_unit_variance():
    fit = fitted("nested")
    draws = simulate(fit.estimates, fit.design, 3000, np.random.default_rng(12))
    M = np.eye(fit.design.n) - hat_matrix(fit)
    simulated = (M @ draws).std(axis=1) / fit.estimates.sigma
    free = np.sqrt(1 - leverage(fit.estimates, fit.design))
    np.testing.assert_allclose(simulated / free, 1, atol=5 / np.sqrt(2 * 3000))


def test_unknown_kinds_are_refused(weighted):
    with pytest.raises(OptionError, match=r"'partial'; choose one of response, deviance"):
        residuals(weighted.estimates, weighted.design, "partial")


def test_rows_fitted_exactly_have_no_studentised_residual():
    data = data_frame().assign(only=0.0)
    data.loc[4, "only"] = 1.0  # a dummy column of one row: leverage 1
    design, _ = build_design(parse_formula("y ~ x + only + (1 | g)"), data)
    estimates = estimate_linear(design, True)
    found = residuals(estimates, design, "studentised")
    assert list(np.flatnonzero(found.isna())) == [4]
    assert leverage(estimates, design)[4] == pytest.approx(1, abs=1e-12)


def test_nothing_that_is_asked_changes_the_fit_or_its_inputs():
    """Row 20 of the known wrong answers: hash before and after."""
    fit = fitted("crossed, slopes", weights="w")
    before = pickle.dumps((fit.design, fit.estimates, fit.spec, fit.data))
    e, d = fit.estimates, fit.design
    frames = [ranef_frame(e, beta=True), coef_frame(e, d.mean.names)]
    arrays = [*conditional_covariances(e), leverage(e, d), simulate(e, d, 2, 1)]
    for interval in (None, "confidence", "prediction"):
        rows = prediction_rows(d, fit.spec, fit.data, interval=interval)
        frames.append(predict(e, rows, interval=interval))
        frames.append(predict(e, prediction_rows(d, fit.spec, None), interval=interval))
    frames += [residuals(e, d, kind) for kind in RESIDUALS]
    for frame in frames:  # nor do results share memory with the fit
        frame.iloc[:] = frame.iloc[::-1].to_numpy()
    for array in arrays:
        array[:] = -1.0
    assert pickle.dumps((fit.design, fit.estimates, fit.spec, fit.data)) == before
