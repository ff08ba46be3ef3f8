"""Refits to other responses: those of complete fits, closed forms, and what goes wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.errors import OptionError
from hglm.fitting.record import Estimates
from hglm.fitting.refit import CompleteRefitter, make_refitter, refit
from hglm.fitting.refit_generalised import LaplaceRefitter
from hglm.fitting.refit_linear import LinearRefitter
from hglm.fitting.refit_record import Refits
from hglm.inference.satterthwaite import Satterthwaite, satterthwaite
from hglm.inference.simulate import simulate
from hglm.typing import Matrix
from prediction_models import data_frame

LINEAR = {
    "slopes": "y ~ x + (x | g)",
    "intercepts": "y ~ x + (1 | g)",
    "singular": "noise ~ x + (x | g)",
    "two terms": "y ~ x + (1 | g) + (0 + x | g)",
    "offset": "y ~ x + offset(z) + (x | g)",
    "fixed effects only": "y ~ x",
    "nested": "y ~ x + (1 | school/g)",
    "crossed": "y ~ x + (1 | g) + (1 | h)",
    "compound symmetry": "y ~ x + cs(0 + x + z | g)",
}
GENERALISED = {
    "binomial": ("cbind(k, 10 - k) ~ x + (1 | g)", {"family": "binomial"}),
    "poisson slopes": ("k ~ x + (x | g)", {"family": "poisson"}),
    "gamma": ("t ~ x + (1 | g)", {"family": "gamma", "link": "log"}),
    "dispersion": ("k ~ x + (1 | g)", {"family": "nbinom2", "dispersion": "~ x"}),
    "crossed": ("k ~ x + (1 | g) + (1 | h)", {"family": "poisson"}),
    "quadrature": (
        "cbind(k, 10 - k) ~ x + (1 | g)",
        {"family": "binomial", "method": hglm.Quadrature(5)},
    ),
    "ordinal": ("o ~ x + (1 | g)", {"family": "cumulative"}),
}


def data() -> pd.DataFrame:
    frame = data_frame()
    rng = np.random.default_rng(3)
    mean = np.exp(0.5 + 0.3 * frame["x"] + rng.normal(0, 0.5, 18)[pd.factorize(frame["g"])[0]])
    return frame.assign(
        k=np.minimum(rng.negative_binomial(3, 3 / (3 + mean)), 10),
        t=rng.gamma(4.0, mean / 4.0),
        o=pd.Categorical.from_codes(rng.integers(0, 3, len(frame)), list("abc"), ordered=True),
    )


@cache
def fitted(kind: str, name: str) -> hglm.Fit:
    if kind == "generalised":
        formula, options = GENERALISED[name]
        return hglm.fit(formula, data(), **options)
    weights = "w" if name == "slopes" else None
    method = "ml" if name in ("intercepts", "nested") else "reml"
    return hglm.fit(LINEAR[name], data(), method=method, weights=weights)


def responses(fit: hglm.Fit, n: int) -> Matrix:
    """Draws with random effects of half the size, so that some fits are singular."""
    small = tuple(replace(t, covariance=0.25 * t.covariance) for t in fit.estimates.terms)
    Y = simulate(fit.estimates, fit.design, n, 1)
    Y[:, ::2] = simulate(replace(fit.estimates, terms=small), fit.design, n, 2)[:, ::2]
    return Y


def assert_same(found: Refits, i: int, estimates: Estimates, atol: float) -> None:
    """Equal log likelihoods, and parameters within `atol` standard errors or of σ."""
    assert found.llf[i] == pytest.approx(estimates.llf, abs=1e-6)
    se = np.sqrt(np.diagonal(estimates.vcov))
    assert np.max(np.abs(found.beta[i] - estimates.beta) / se, initial=0.0) < atol
    for name, part in estimates.others.items():
        if name in found.others and np.isfinite(part.vcov).all():
            close = np.maximum(np.sqrt(np.diagonal(part.vcov)), 1e-3)
            assert np.max(np.abs(found.others[name][i] - part.beta) / close) < atol
    for covariance, term in zip(found.covariances, estimates.terms, strict=True):
        size = max(np.abs(term.covariance).max(), 0.1 * (estimates.sigma or 1.0) ** 2)
        np.testing.assert_allclose(covariance[i], term.covariance, atol=atol * size)
    assert found.singular[i] == estimates.certificate.singular


@pytest.mark.parametrize("name", LINEAR)
def test_linear_refits_are_complete_fits(name: str) -> None:
    fit = fitted("linear", name)
    Y = responses(fit, 8)
    found = make_refitter(fit.estimates, fit.design).many(Y)
    assert not found.failures
    for i in range(Y.shape[1]):
        complete = refit(fit.estimates, fit.design, Y[:, i])
        assert_same(found, i, complete, atol=1e-4)


@pytest.mark.parametrize("name", GENERALISED)
def test_generalised_refits_are_complete_fits(name: str) -> None:
    fit = fitted("generalised", name)
    Y = responses(fit, 3)
    found = make_refitter(fit.estimates, fit.design).many(Y)
    assert not found.failures
    for i in range(Y.shape[1]):
        complete = refit(fit.estimates, fit.design, Y[:, i])
        assert_same(found, i, complete, atol=2e-3)


def test_models_with_one_factor_go_in_lock_step_and_others_one_by_one() -> None:
    def refitter(kind: str, name: str) -> object:
        fit = fitted(kind, name)
        return make_refitter(fit.estimates, fit.design)

    for name, lockstep in [("slopes", True), ("two terms", True), ("crossed", False)]:
        found = refitter("linear", name)
        assert isinstance(found, LinearRefitter)
        assert found.lockstep is lockstep
    assert isinstance(refitter("generalised", "dispersion"), LaplaceRefitter)
    for name in ("crossed", "quadrature", "ordinal"):
        assert isinstance(refitter("generalised", name), CompleteRefitter)


def balanced(q: int = 8, r: int = 4) -> hglm.Fit:
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(q), r)
    return hglm.fit(
        "y ~ 1 + (1 | g)",
        pd.DataFrame({"g": g, "y": rng.normal(size=q)[g] + rng.normal(size=q * r)}),
    )


def test_reml_of_a_balanced_layout_has_its_closed_form() -> None:
    """σ² = MSE and τ² = (MSB - MSE)/r, or the pooled mean square and 0 (Searle et al. 1992)."""
    fit, q, r = balanced(), 8, 4
    Y = np.random.default_rng(1).normal(5.0, 2.0, (q * r, 200))
    Y[:, 100:] += np.repeat(np.random.default_rng(2).normal(size=(q, 100)), r, axis=0)
    found = make_refitter(fit.estimates, fit.design).many(Y)
    groups = Y.reshape(q, r, -1)
    means = groups.mean(axis=1)
    mse = groups.var(axis=1, ddof=1).mean(axis=0)
    msb = r * means.var(axis=0, ddof=1)
    inside = msb > mse
    pooled = ((q - 1) * msb + q * (r - 1) * mse) / (q * r - 1)
    assert 50 < inside.sum() < 190
    np.testing.assert_allclose(found.sigma**2, np.where(inside, mse, pooled), rtol=1e-5)
    tau2 = np.where(inside, (msb - mse) / r, 0.0)
    np.testing.assert_allclose(found.covariances[0][:, 0, 0], tau2, atol=1e-5 * mse.mean())
    np.testing.assert_allclose(found.beta[:, 0], means.mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(found.singular, ~inside)


def test_no_digits_are_lost_to_a_large_mean() -> None:
    fit = balanced()
    y = np.random.default_rng(4).normal(size=32)
    shifted = hglm.fit("y ~ 1 + (1 | g)", fit.design.frame.assign(y=fit.design.y + 1e9))
    far = make_refitter(shifted.estimates, shifted.design).many((y + 1e9)[:, None])
    near = make_refitter(fit.estimates, fit.design).many(y[:, None])
    assert far.sigma[0] == pytest.approx(near.sigma[0], rel=1e-6)
    assert far.beta[0, 0] - 1e9 == pytest.approx(near.beta[0, 0], abs=1e-6)


def test_a_fit_that_ran_away_is_no_place_to_start_from() -> None:
    """Underdispersed counts send k of the negative binomial to infinity; others need not."""
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(20), 10)
    even = pd.DataFrame({"g": g, "y": rng.binomial(6, 0.7, 200).astype(float)})
    fit = hglm.fit("y ~ 1 + (1 | g)", even, "nbinom2")
    assert fit.sigma > 1e3
    y = rng.negative_binomial(2, 2 / 6, 200).astype(float)
    found = make_refitter(fit.estimates, fit.design).many(y[:, None])
    complete = hglm.fit("y ~ 1 + (1 | g)", even.assign(y=y), "nbinom2")
    assert found.sigma[0] == pytest.approx(complete.sigma, rel=1e-3)
    assert 1.0 < found.sigma[0] < 4.0


def test_what_cannot_be_fitted_is_told_and_the_rest_is_not_harmed() -> None:
    fit = balanced()
    Y = simulate(fit.estimates, fit.design, 3, 5)
    Y[:, 1] = np.repeat(np.arange(8.0), 4)  # no residual
    found = make_refitter(fit.estimates, fit.design).many(Y)
    assert list(found.failures) == [1]
    assert np.isnan(found.llf[1])
    assert np.isfinite(found.llf[[0, 2]]).all()
    joined = Refits.join([found, found])
    assert list(joined.failures) == [1, 4]


def test_a_response_of_another_length_is_refused() -> None:
    fit = balanced()
    with pytest.raises(OptionError, match=r"shape \(3,\).*each of the 32 rows"):
        refit(fit.estimates, fit.design, np.zeros(3))


def test_uncertainty_of_linear_refits_is_that_of_satterthwaite() -> None:
    """Steps of 1e-4 leave errors of their square in the derivatives."""
    fit = fitted("linear", "slopes")
    Y = responses(fit, 6)
    together = make_refitter(fit.estimates, fit.design).uncertain(Y)
    assert together is not None
    _, found = together
    for i in range(Y.shape[1]):
        exact = satterthwaite(refit(fit.estimates, fit.design, Y[:, i]))
        np.testing.assert_allclose(found.vcov[i], exact.vcov, rtol=1e-4)
        one = Satterthwaite(found.vcov[i], found.jacobian[i], found.parameter_vcov[i])
        np.testing.assert_allclose(one.each(np.eye(2)), exact.each(np.eye(2)), rtol=1e-3)


@pytest.mark.parametrize("name", ["binomial", "poisson slopes", "dispersion"])
def test_uncertainty_of_generalised_refits_is_that_of_complete_fits(name: str) -> None:
    fit = fitted("generalised", name)
    Y = responses(fit, 3)
    together = make_refitter(fit.estimates, fit.design).uncertain(Y)
    assert together is not None
    for i, vcov in enumerate(together[1].vcov):
        complete = refit(fit.estimates, fit.design, Y[:, i])
        if np.isfinite(vcov).all():
            se, exact = np.sqrt(np.diagonal(vcov)), np.sqrt(np.diagonal(complete.vcov))
            np.testing.assert_allclose(se, exact, rtol=2e-3)
