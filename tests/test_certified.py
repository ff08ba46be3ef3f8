"""Truths that no mixed-model program made: certified mean squares and balanced closed forms.

In balanced data the restricted likelihood has its maximum at the estimates of the analysis of
variance, wherever these are variances at all (Searle, Casella & McCulloch 1992, Variance
Components, sections 3.8 and 4.6-4.8); maximum likelihood has closed forms of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import hglm
from nist_anova import CERTIFIED, certified_frame, exact_mean_squares


@dataclass(frozen=True)
class OneWay:
    """Closed form of y_ij = μ + b_i + e_ij, q levels of r rows."""

    between_variance: float
    sigma2: float
    llf: float


def one_way(between: float, within: float, q: int, r: int, reml: bool) -> OneWay:
    """Maximum (restricted) likelihood from the mean squares.

    Searle et al. (1992), equations (3.88) to (3.93): with SSA = (q-1) MSB, λ = σ² + rσ_b² is
    estimated by SSA/q (ML) or MSB (REML), σ² by MSW; if that gives σ_b² < 0, it is zero and
    σ² pools both sums of squares.
    """
    n = q * r
    total = (q - 1) * between + (n - q) * within
    lam = between if reml else between * (q - 1) / q
    sigma2, degrees = within, n - 1 if reml else n
    if lam <= within:
        lam = sigma2 = total / degrees
    quadratic = (n - q) * within / sigma2 + (q - 1) * between / lam
    logdet = (n - q) * np.log(sigma2) + q * np.log(lam)
    if reml:
        logdet += np.log(n / lam)
    llf = -0.5 * (degrees * np.log(2 * np.pi) + logdet + quadratic)
    return OneWay((lam - sigma2) / r, sigma2, llf)


def between_variance(fit: hglm.Fit) -> float:
    return float(fit.varcorr["vcov"].iloc[0])


def balanced(seed: int, q: int, r: int, sd: float, offset: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    treatment = np.repeat(np.arange(q), r)
    y = np.round(sd * rng.normal(size=q)[treatment] + rng.normal(size=q * r), 4)
    return pd.DataFrame({"y": y + offset, "treatment": treatment})


@pytest.mark.parametrize("name", CERTIFIED)
def test_certified_mean_squares_of_nist(name: str) -> None:
    """σ² = MSW and σ_b² = (MSB - MSW)/r, to the digits the stored data hold.

    An offset of 1e6 leaves ten digits of the responses, one of 1e12 four (a NIST data set
    with that offset cannot be done better by any program that reads double precision).
    """
    given, data = CERTIFIED[name], certified_frame(name)
    fit = hglm.fit("y ~ 1 + (1 | treatment)", data)
    digits = {"7": 3, "8": 3, "9": 3, "4": 9, "5": 9, "6": 9}.get(name[-1], 11)
    digits = 5 if name == "AtmWtAg" else digits  # seven constant leading digits of ten
    rel = 10.0**-digits
    assert fit.sigma**2 == pytest.approx(given.within, rel=rel)
    expected = (given.between - given.within) / given.replicates
    assert between_variance(fit) == pytest.approx(expected, rel=10 * rel)
    shrink = 1 + given.replicates * float(fit.theta[0]) ** 2
    assert shrink == pytest.approx(given.f_statistic, rel=10 * rel)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", CERTIFIED)
def test_one_way_layout_of_the_stored_numbers(name: str, reml: bool) -> None:
    """Against rational arithmetic on the numbers as stored: no digit is lost to the offset."""
    given, data = CERTIFIED[name], certified_frame(name)
    fit = hglm.fit("y ~ 1 + (1 | treatment)", data, method="reml" if reml else "ml")
    expected = one_way(*exact_mean_squares(data), given.levels, given.replicates, reml)
    assert fit.sigma**2 == pytest.approx(expected.sigma2, rel=1e-6)
    assert between_variance(fit) == pytest.approx(expected.between_variance, rel=1e-6, abs=1e-12)
    assert fit.llf == pytest.approx(expected.llf, abs=1e-7)


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e9])
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_closed_form_of_the_balanced_one_way_layout(seed: int, reml: bool, offset: float) -> None:
    """Interior and boundary optima alike (sd 0 gives MSB < MSW in half of the draws)."""
    q, r = 9, 21
    data = balanced(seed, q, r, (0.0, 0.3, 3.0)[seed % 3], offset)
    between, within = exact_mean_squares(data)
    expected = one_way(between, within, q, r, reml)
    fit = hglm.fit("y ~ 1 + (1 | treatment)", data, method="reml" if reml else "ml")
    assert fit.converged
    assert fit.singular == (expected.between_variance == 0)
    assert fit.llf == pytest.approx(expected.llf, abs=1e-8)
    assert fit.sigma**2 == pytest.approx(expected.sigma2, rel=1e-6)
    assert between_variance(fit) == pytest.approx(expected.between_variance, rel=1e-5, abs=1e-14)
    assert fit.params.iloc[0] == pytest.approx(data["y"].mean(), rel=1e-14)
    lam = expected.sigma2 + r * expected.between_variance
    assert fit.bse.iloc[0] == pytest.approx(np.sqrt(lam / (q * r)), rel=1e-6)


@pytest.mark.parametrize("seed", [0, 2])
def test_shrinkage_of_the_balanced_one_way_layout(seed: int) -> None:
    """b_i = (1 - σ²/λ)(ȳ_i - ȳ), with variance σ_b² σ²/λ given β (Searle et al., 3.4)."""
    q, r = 9, 21
    data = balanced(seed, q, r, (0.0, 0.3, 3.0)[seed % 3])
    between, within = exact_mean_squares(data)
    expected = one_way(between, within, q, r, True)
    lam = expected.sigma2 + r * expected.between_variance
    means = data.groupby("treatment")["y"].mean() - data["y"].mean()
    ranef = hglm.fit("y ~ 1 + (1 | treatment)", data).ranef()
    factor = 1 - expected.sigma2 / lam
    np.testing.assert_allclose(ranef["estimate"], factor * means, rtol=1e-5, atol=1e-12)
    error = np.sqrt(expected.between_variance * expected.sigma2 / lam)
    np.testing.assert_allclose(ranef["std_error"], error, rtol=1e-5, atol=1e-12)


def test_both_kinds_of_optimum_are_among_the_draws() -> None:
    kinds = set()
    for seed in range(6):
        between, within = exact_mean_squares(balanced(seed, 9, 21, (0.0, 0.3, 3.0)[seed % 3]))
        kinds.add(one_way(between, within, 9, 21, True).between_variance > 0)
    assert kinds == {True, False}


def mean_square(table: np.ndarray, axes: tuple[int, ...]) -> float:
    """Mean square of the effects of some axes of a full table, by inclusion and exclusion."""
    effects = np.zeros(table.shape)
    for keep in range(1 << len(axes)):
        kept = [a for i, a in enumerate(axes) if keep >> i & 1]
        others = tuple(a for a in range(table.ndim) if a not in kept)
        sign = (-1) ** (len(axes) - len(kept))
        effects += sign * table.mean(axis=others, keepdims=True)
    degrees = np.prod([table.shape[a] - 1 for a in axes])
    return float((effects**2).sum() / degrees)


def test_split_plot_of_oats() -> None:
    """Yates' oats: strata of blocks, whole plots and subplots.

    Mean squares and F as in Venables & Ripley (2002), Modern Applied Statistics with S,
    section 10.2: 3175.1 | 893.2, 601.3 | 6673.5, 53.6, 177.1; F 1.485, 37.69, 0.303.
    """
    data = hglm.load_dataset("oats")
    cells = data.sort_values(["block", "variety", "nitro"])["yield"].to_numpy(float)
    table = cells.reshape(6, 3, 4)  # block, variety, nitro
    blocks, plots = mean_square(table, (0,)), mean_square(table, (0, 1))
    parts = [mean_square(table, (0, 2)) * 15, mean_square(table, (0, 1, 2)) * 30]
    residual = sum(parts) / 45
    assert [round(v, 1) for v in (blocks, plots, residual)] == [3175.1, 601.3, 177.1]
    fit = hglm.fit("yield ~ variety * C(nitro) + (1 | block/variety)", data)
    variances = fit.varcorr.set_index("group")["vcov"]
    assert fit.sigma**2 == pytest.approx(residual, rel=1e-6)
    assert variances["variety:block"] == pytest.approx((plots - residual) / 4, rel=1e-6)
    assert variances["block"] == pytest.approx((blocks - plots) / 12, rel=1e-6)
    mains = [mean_square(table, axes) for axes in ((1,), (2,), (1, 2))]
    f = [mains[0] / plots, mains[1] / residual, mains[2] / residual]
    assert [round(v, 3) for v in f] == [1.485, 37.686, 0.303]
    for ddf in ("satterthwaite", "kenward-roger"):
        anova = fit.anova(ddf=ddf, type=1)
        np.testing.assert_allclose(anova["statistic"], f, rtol=1e-5)
        np.testing.assert_allclose(anova["num_df"], [2, 3, 6])
        np.testing.assert_allclose(anova["den_df"], [10, 45, 45], rtol=1e-5)


def test_two_way_layout_of_penicillin() -> None:
    """24 plates × 6 samples, one value each: σ_p² = (MSP - MSE)/6, σ_s² = (MSS - MSE)/24."""
    data = hglm.load_dataset("penicillin")
    table = data.pivot_table(index="plate", columns="sample", values="diameter", observed=True)
    values = table.to_numpy()
    assert values.shape == (24, 6)
    plate, sample = mean_square(values, (0,)), mean_square(values, (1,))
    error = mean_square(values, (0, 1))
    fit = hglm.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", data)
    variances = fit.varcorr.set_index("group")["vcov"]
    assert variances["Residual"] == pytest.approx(error, rel=1e-6)
    assert variances["plate"] == pytest.approx((plate - error) / 6, rel=1e-5)
    assert variances["sample"] == pytest.approx((sample - error) / 24, rel=1e-5)
    assert fit.bse.iloc[0] == pytest.approx(np.sqrt((plate + sample - error) / 144), rel=1e-5)


def test_nested_layout_of_pastes() -> None:
    """Ten batches, three casks in each, two assays of each (Davies & Goldsmith 1972, 6.5)."""
    data = hglm.load_dataset("pastes").sort_values(["batch", "cask"])
    values = data["strength"].to_numpy().reshape(10, 3, 2)
    batch = 6 * values.mean(axis=(1, 2)).var(ddof=1)
    cask = 2 * values.mean(axis=2).var(axis=1, ddof=1).mean()
    assay = values.var(axis=2, ddof=1).mean()
    fit = hglm.fit("strength ~ 1 + (1 | batch/cask)", data)
    variances = fit.varcorr.set_index("group")["vcov"]
    assert variances["Residual"] == pytest.approx(assay, rel=1e-6)
    assert variances["cask:batch"] == pytest.approx((cask - assay) / 2, rel=1e-5)
    assert variances["batch"] == pytest.approx((batch - cask) / 6, rel=1e-5)


@pytest.mark.parametrize("reml", [True, False])
def test_random_coefficients_of_sleepstudy(reml: bool) -> None:
    """Every subject has the same ten days: regressions by subject say it all.

    With X the days of one subject and S the covariance of the q least-squares coefficients
    (divisor q - 1 for REML, q for ML): β = their mean, σ² = pooled residual variance,
    Σ = S - σ²(X'X)^-1 where that is a covariance matrix, Var β = S/q; Satterthwaite's df of
    the slope is q - 1 (Laird, Lange & Stram 1987, JASA 82, 97-105, for balanced growth curves).
    """
    data = hglm.load_dataset("sleepstudy").sort_values(["subject", "days"])
    y = data["reaction"].to_numpy().reshape(18, 10)
    X = np.column_stack([np.ones(10), np.arange(10.0)])
    coefficients = np.linalg.lstsq(X, y.T, rcond=None)[0].T
    sigma2 = ((y - coefficients @ X.T) ** 2).sum() / (18 * 8)
    S = np.cov(coefficients.T, ddof=1 if reml else 0)
    sigma = S - sigma2 * np.linalg.inv(X.T @ X)
    assert np.linalg.eigvalsh(sigma)[0] > 0
    fit = hglm.fit("reaction ~ days + (days | subject)", data, method="reml" if reml else "ml")
    np.testing.assert_allclose(fit.params, coefficients.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(fit.cov_params(), S / 18, rtol=1e-6)
    assert fit.sigma**2 == pytest.approx(sigma2, rel=1e-7)
    vcov = fit.varcorr["vcov"].to_numpy()
    np.testing.assert_allclose(vcov[:3], [sigma[0, 0], sigma[1, 1], sigma[0, 1]], rtol=1e-5)
    if reml:
        slope = fit.anova(ddf="satterthwaite").loc["days"]
        assert slope["den_df"] == pytest.approx(17.0, abs=1e-4)
        assert slope["statistic"] == pytest.approx(
            fit.params["days"] ** 2 / (S[1, 1] / 18), rel=1e-6
        )
