"""The exact test of one variance: the F test, published facts, and brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hglm
from hglm.errors import OptionError
from hglm.fitting.record import LinearState
from hglm.inference.restricted_lrt import (
    RestrictedTest,
    Spectrum,
    _spectrum,
    null_statistics,
    restricted_lrt,
)
from hglm.typing import Vector


def run(fit: hglm.Fit, parameter: str | None = None, n: int = 20_000) -> RestrictedTest:
    return restricted_lrt(fit.estimates, fit.design, parameter, n, seed=1)


def spectrum_of(fit: hglm.Fit, reml: bool) -> Spectrum:
    state = fit.estimates.state
    assert isinstance(state, LinearState)
    return _spectrum(state.problem, reml)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("data", ["dyestuff", "dyestuff2"])
def test_p_value_in_a_balanced_layout_is_that_of_the_f_test(data: str, method: str) -> None:
    """The statistic rises with F where it is positive, so both tests have one p-value."""
    frame = hglm.load_dataset(data)
    test = run(hglm.fit("yield ~ 1 + (1 | batch)", frame, method=method))
    groups = frame.groupby("batch", observed=True)["yield"]
    F = 5 * groups.mean().var() / groups.var().mean()
    exact = stats.f.sf(F, 5, 24) if test.statistic > 0.0 else 1.0
    assert test.p_value == pytest.approx(exact, abs=3.5 * np.sqrt(exact * (1 - exact) / test.n))
    assert (test.parameter, test.exact) == ("sd(Intercept | batch)", True)
    assert test.restricted is (method == "reml")


@pytest.mark.parametrize(("q", "r"), [(3, 3), (5, 5), (20, 5)])
def test_probability_of_zero_in_a_balanced_layout_is_its_closed_form(q: int, r: int) -> None:
    """REML is zero where F ≤ 1, ML where F ≤ q/(q - 1) (Crainiceanu & Ruppert 2004, sec. 4)."""
    g = np.repeat(np.arange(q), r)
    frame = pd.DataFrame({"g": g, "y": np.random.default_rng(0).normal(size=q * r)})
    fit = hglm.fit("y ~ 1 + (1 | g)", frame)
    n = 20_000
    for reml, bound in [(True, 1.0), (False, q / (q - 1))]:
        draws = null_statistics(spectrum_of(fit, reml), n, np.random.default_rng(1))
        exact = stats.f.cdf(bound, q - 1, q * (r - 1))
        assert np.mean(draws < 1e-9) == pytest.approx(exact, abs=3.5 * np.sqrt(0.25 / n))


def test_all_quantiles_in_a_balanced_layout_are_those_of_a_transformed_f() -> None:
    """T(F) = (n-1) log((q-1)F + q(r-1)) - ... inserted at the quantiles of F, for F > 1."""
    q, r = 6, 5
    fit = hglm.fit("yield ~ 1 + (1 | batch)", hglm.load_dataset("dyestuff"))
    draws = null_statistics(spectrum_of(fit, True), 50_000, np.random.default_rng(2))
    a, b = q - 1, q * (r - 1)
    for p in (0.7, 0.9, 0.95, 0.99):
        F = stats.f.ppf(p, a, b)
        # -2 log restricted likelihood of (σ², σ² + rτ²) at (MSE, MSB) and at their mean, MSE = 1
        exact = (a + b) * np.log((a * F + b) / (a + b)) - a * np.log(F)
        share = np.mean(draws <= exact)
        assert share == pytest.approx(p, abs=3.5 * np.sqrt(p * (1 - p) / 50_000))


def test_published_p_values_of_a_randomised_block_design() -> None:
    """Box, Hunter & Hunter (1978), p. 209, yield of penicillin by treatment and blend.

    RLRsim's `exactRLRT` gave RLRT = 2.76 (2.7629 by lme4) and, from 10,000 simulations,
    p = 0.043 and 0.041 (Faraway, "Randomized Block Design fit using Frequentist Methods",
    2024, on Extending the Linear Model with R). The F test of blends is exact here.
    """
    y = np.array(
        [[89, 88, 97, 94], [84, 77, 92, 79], [81, 87, 87, 85], [87, 92, 89, 84], [79, 81, 80, 88]],
        dtype=np.float64,
    )  # blends x treatments
    frame = pd.DataFrame(
        {"blend": np.repeat(list("12345"), 4), "treat": list("ABCD") * 5, "y": y.ravel()}
    )
    fit = hglm.fit("y ~ treat + (1 | blend)", frame)
    test = fit.variance_test(n=50_000, seed=1)
    assert test.statistic == pytest.approx(2.7629, abs=5e-5)
    residual = y - y.mean(axis=0) - y.mean(axis=1)[:, None] + y.mean()
    F = 4 * y.mean(axis=1).var(ddof=1) / (np.sum(residual**2) / 12)
    exact = stats.f.sf(F, 4, 12)
    assert test.p_value == pytest.approx(exact, abs=3.5 * np.sqrt(exact / 50_000))
    for published in (0.043, 0.041):
        assert test.p_value == pytest.approx(published, abs=3.5 * np.sqrt(exact / 10_000))


def brute_force(fit: hglm.Fit, n: int, reml: bool, rng: np.random.Generator) -> Vector:
    """Simulate y ~ N(0, I) and maximise over a fine grid of λ with dense matrices."""
    X, term = fit.design.mean.X, fit.design.mean.random[0]
    Z = np.eye(term.n_levels)[term.codes] * term.z
    rows, p = X.shape
    Y = rng.normal(size=(rows, n))
    out = np.full((121, n), -np.inf)
    for i, size in enumerate([0.0, *np.exp(np.linspace(-7, 7, 120))]):
        V = np.eye(rows) + size * Z @ Z.T
        inverse = np.linalg.inv(V)
        A = X.T @ inverse @ X
        P = inverse - inverse @ X @ np.linalg.solve(A, X.T @ inverse)
        rss = np.einsum("ij,ij->j", Y, P @ Y)
        nu = rows - p if reml else rows
        out[i] = -nu * np.log(rss) - np.linalg.slogdet(V)[1]
        out[i] -= np.linalg.slogdet(A)[1] if reml else 0.0
    return out.max(axis=0) - out[0]


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ x + (0 + x | g)"])
def test_distribution_is_that_of_brute_force(formula: str, reml: bool) -> None:
    """Unbalanced, with a covariate; two samples by Kolmogorov and Smirnov."""
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(7), [1, 2, 3, 4, 5, 6, 9])
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=30), "y": rng.normal(size=30)})
    fit = hglm.fit(formula, frame)
    draws = null_statistics(spectrum_of(fit, reml), 4000, np.random.default_rng(5))
    naive = brute_force(fit, 2000, reml, rng)
    assert np.mean(draws < 1e-6) == pytest.approx(np.mean(naive < 1e-6), abs=0.05)
    assert stats.ks_2samp(np.maximum(draws, 1e-6), np.maximum(naive, 1e-6)).pvalue > 1e-3
    # the supremum over all λ is no less than over the grid, and hardly more
    np.testing.assert_allclose(np.quantile(draws, 0.9), np.quantile(naive, 0.9), rtol=0.2)


def test_several_variances_are_tested_one_at_a_time() -> None:
    fit = hglm.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", hglm.load_dataset("penicillin"))
    test = run(fit, "sd(Intercept | sample)", 1000)
    without = hglm.fit("diameter ~ 1 + (1 | plate)", hglm.load_dataset("penicillin"))
    assert test.statistic == pytest.approx(2 * (fit.llf - without.llf), abs=1e-6)
    assert test.p_value == pytest.approx(1 / 1001)
    assert not test.exact


def test_independent_columns_of_one_term_are_tested_like_terms_of_their_own() -> None:
    sleep = hglm.load_dataset("sleepstudy")
    one = hglm.fit("reaction ~ days + diag(days | subject)", sleep)
    two = hglm.fit("reaction ~ days + (1 | subject) + (0 + days | subject)", sleep)
    for name in ("sd(Intercept | subject)", "sd(days | subject)"):
        a, b = run(one, name, 500), run(two, name, 500)
        assert a.statistic == pytest.approx(b.statistic, rel=1e-6)
        assert (a.p_value, a.exact) == (b.p_value, False)


def test_weights_count() -> None:
    """Rows of weight four are as informative as four rows: eigenvalues are four times larger."""
    frame = hglm.load_dataset("dyestuff")
    plain = hglm.fit("yield ~ 1 + (1 | batch)", frame)
    heavy = hglm.fit("yield ~ 1 + (1 | batch)", frame.assign(w=4.0), weights="w")
    mu = spectrum_of(plain, True)
    np.testing.assert_allclose(spectrum_of(heavy, True).mu, 4.0 * mu.mu)
    assert mu.multiplicity.tolist() == [5.0]
    assert run(heavy, n=500).p_value == run(plain, n=500).p_value


def test_mistakes_are_explained() -> None:
    sleep = hglm.load_dataset("sleepstudy")
    slopes = hglm.fit("reaction ~ days + (days | subject)", sleep)
    with pytest.raises(OptionError, match=r"Say which; the variances are 'sd\(Intercept \| subj"):
        run(slopes)
    with pytest.raises(OptionError, match=r"sd\(days \| subject\) comes with correlations"):
        run(slopes, "sd(days | subject)")
    with pytest.raises(OptionError, match=r"no parameter 'sd\(x"):
        run(slopes, "sd(x | subject)")
    poisson = hglm.fit("incidence ~ 1 + (1 | herd)", hglm.load_dataset("cbpp"), "poisson")
    with pytest.raises(OptionError, match=r"is for linear mixed models"):
        run(poisson)
    with pytest.raises(OptionError, match=r"n=-1 is no whole number"):
        run(hglm.fit("reaction ~ days + (1 | subject)", sleep), n=-1)
