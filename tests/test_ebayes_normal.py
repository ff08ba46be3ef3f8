"""Normal means with known standard errors: references, closed forms, brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

from ebayes_oracles import differenced
from hglm.datasets import load_dataset
from hglm.empirical import (
    JamesStein,
    Normal,
    PointNormal,
    compare,
    ebayes,
    forest_table,
    prediction_interval,
)
from hglm.empirical.normal.likelihood import log_likelihood, score
from hglm.empirical.normal.point_normal import point_normal_loglik
from hglm.empirical.normal.projection import project
from hglm.errors import DataError, OptionError
from reference_data import reference, reference_frame, reference_ids

META = reference_ids("meta")
TESTS = {"z": "z", "knha": "knapp-hartung"}


@pytest.mark.parametrize("model", META)
def test_meta_analyses_reproduce_metafor(model: str) -> None:
    """tests/reference: metafor 3.8.1 with its scoring tightened to 1e-13."""
    stored = reference(model)
    data = reference_frame(stored)
    chosen = Normal(method=stored["method"], test=TESTS[stored["test"]])
    fit = ebayes(f"{stored['formula']} | trial", data, chosen, se="np.sqrt(vi)")
    p = len(stored["fixef"])
    found = fit.heterogeneity
    bounds = fit.conf_int().iloc[:p]
    assert found is not None
    expected = {
        "loglik": fit.llf,
        "n_parameters": fit.n_parameters,
        "aic": fit.aic,
        "bic": fit.bic,
        "fixef": fit.params.iloc[:p],
        "se": fit.bse.iloc[:p],
        "vcov": fit.cov_params().iloc[:p, :p],
        "statistic": fit.tvalues.iloc[:p],
        "p": fit.pvalues.iloc[:p],
        "ci_lower": bounds["conf_low"],
        "ci_upper": bounds["conf_high"],
        "tau2": found.tau2,
        "i2": found.i2,
        "h2": found.h2,
        "qe": found.q,
        "qe_p": found.q_p,
        "qe_df": found.q_df,
    }
    if stored["se_tau2"] is not None:
        expected["se_tau2"] = found.tau2_se
    if "r2" in stored:
        expected["r2"] = found.r2
    for name, value in expected.items():
        np.testing.assert_allclose(value, stored[name], rtol=1e-8, atol=1e-12, err_msg=name)
    if "blup" in stored:
        table = fit.ranef()
        np.testing.assert_allclose(table["estimate"], stored["blup"]["pred"], rtol=1e-8)
        np.testing.assert_allclose(table["std_error"], stored["blup"]["se"], rtol=1e-8)
    if "prediction_lower" in stored:
        _, low, high = prediction_interval(fit)
        assert low == pytest.approx(stored["prediction_lower"], rel=1e-8)
        assert high == pytest.approx(stored["prediction_upper"], rel=1e-8)


@pytest.mark.parametrize("model", META)
def test_q_profile_intervals_solve_their_equation(model: str) -> None:
    """Q(τ²) equals the χ² quantile; metafor's root finder stops within 1e-4 of it."""
    stored = reference(model)
    data = reference_frame(stored)
    fit = ebayes(f"{stored['formula']} | trial", data, "normal", se="np.sqrt(vi)")
    found = fit.heterogeneity
    assert found is not None
    low, high = found.table().set_index("term").loc["tau2", ["conf_low", "conf_high"]]
    for tau2, tail in ((low, 0.025), (high, 0.975)):
        q = project(found.y, found.X, 1 / (found.v + tau2)).quadratic
        assert q == pytest.approx(stats.chi2.isf(tail, found.q_df), rel=1e-12)
    if "tau2_ci" in stored:
        assert low == pytest.approx(stored["tau2_ci"]["tau2_lower"], abs=1e-4)
        assert high == pytest.approx(stored["tau2_ci"]["tau2_upper"], abs=1e-4)


@pytest.mark.parametrize("reml", [False, True])
def test_score_and_information_of_tau2(reml: bool) -> None:
    rng = np.random.default_rng(7)
    y, v = rng.normal(size=12), rng.uniform(0.2, 2, 12)
    X = np.column_stack([np.ones(12), rng.normal(size=12)])
    slope, information = score(y, project(y, X, 1 / (v + 0.7)), reml)
    h = 1e-4
    ahead, behind = (log_likelihood(y, X, v, 0.7 + e, reml) for e in (h, -h))
    assert slope == pytest.approx((ahead - behind) / (2 * h), abs=1e-7)
    # Expected information: the score has that variance. Dense P = V⁻¹ − V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹.
    W = np.diag(1 / (v + 0.7))
    P = W - W @ X @ np.linalg.inv(X.T @ W @ X) @ X.T @ W
    M = P if reml else W
    assert information == pytest.approx(0.5 * np.trace(M @ M))


def test_restricted_likelihood_is_the_integral_over_the_mean() -> None:
    y, v, tau2 = np.array([1.0, 2.5, 0.3]), np.array([0.5, 1.0, 0.7]), 0.4
    X = np.ones((3, 1))

    def density(mu: float) -> float:
        return float(np.exp(stats.norm.logpdf(y, mu, np.sqrt(v + tau2)).sum()))

    integral = integrate.quad(density, -20, 20, epsabs=0, epsrel=1e-12)[0]
    # The constant ½ log|X'X| makes the value free of the units of X.
    assert log_likelihood(y, X, v, tau2, True) == pytest.approx(
        np.log(integral) + 0.5 * np.log(3), abs=1e-10
    )


def test_balanced_estimates_have_closed_forms() -> None:
    """Equal variances: ML τ² = S/k − v, REML, DL, PM, HE: S/(k − 1) − v."""
    y = np.array([2.1, -0.4, 3.3, 1.0, 0.2, 4.0])
    frame, v = pd.DataFrame({"y": y}), 0.25
    S = float(((y - y.mean()) ** 2).sum())
    for method, divisor in (("ml", 6), ("reml", 5), ("dl", 5), ("pm", 5), ("he", 5)):
        fit = ebayes("y ~ 1", frame, Normal(method=method), se=v**0.5)
        assert fit.params["tau2"] == pytest.approx(S / divisor - v, rel=1e-9)


def test_the_highest_of_several_maxima_is_found() -> None:
    rng = np.random.default_rng(0)
    for _ in range(8):
        v = 10 ** rng.uniform(-3, 1, 5)
        y = rng.normal(0, np.sqrt(v + 0.5))
        X = np.ones((5, 1))
        fit = ebayes("y ~ 1", pd.DataFrame({"y": y}), Normal(method="ml"), se=np.sqrt(v))
        dense = [
            log_likelihood(y, X, v, t, False) for t in np.append(0, np.geomspace(1e-5, 50, 1000))
        ]
        assert fit.llf >= max(dense) - 1e-9


def test_eight_schools_have_no_variance_by_maximum_likelihood() -> None:
    """Gelman et al. (2013, section 5.5): the mode of τ is zero, the mean 7.7 ± 4.1."""
    data = load_dataset("eight_schools")
    fit = ebayes("effect ~ 1 | school", data, Normal(method="ml"), se="std_error")
    assert fit.params["tau2"] == 0
    assert fit.singular
    assert fit.converged
    assert fit.params["Intercept"] == pytest.approx(7.7, abs=0.05)
    assert fit.bse["Intercept"] == pytest.approx(4.1, abs=0.05)
    assert (fit.ranef()["shrinkage"] == 1).all()
    assert "Normal(intervals='integrated')" in " ".join(str(fit.summary()).split())
    at_zero = score(
        data["effect"].to_numpy(float),
        project(
            data["effect"].to_numpy(float), np.ones((8, 1)), 1 / data["std_error"].to_numpy() ** 2
        ),
        reml=False,
    )[0]
    assert at_zero < 0  # the certificate of a boundary maximum


def test_eight_schools_integrated_over_tau() -> None:
    """Medians of 200 draws under a flat prior on τ: Gelman et al. (2013), table 5.3.

    They are printed as integers; a median of 200 draws from a posterior with
    sd 7 has a standard error of 0.6, so 1.5 covers rounding and two errors.
    """
    data = load_dataset("eight_schools")
    fit = ebayes("effect ~ 1 | school", data, Normal(intervals="integrated"), se="std_error")
    published = [10, 8, 7, 8, 5, 6, 10, 8]
    np.testing.assert_allclose(fit.quantiles((0.5,))["q50"], published, atol=1.5)
    assert fit.ranef()["std_error"].between(5, 9).all()


def test_integration_over_tau_agrees_with_brute_force() -> None:
    """Means under flat priors on (μ, τ) from a grid in both."""
    data = load_dataset("eight_schools")
    y, s = data["effect"].to_numpy(float), data["std_error"].to_numpy(float)
    fit = ebayes("effect ~ 1 | school", data, Normal(intervals="integrated"), se="std_error")
    u = (np.arange(4000) + 0.5) / 4000
    tau, jacobian = 15 * u / (1 - u), 1 / (1 - u) ** 2
    mu = np.linspace(-120, 140, 1601)
    total = np.zeros(())
    first = np.zeros(8)
    for t, weight in zip(tau, jacobian, strict=True):
        v = s**2 + t**2
        log_p = -0.5 * (((y[:, None] - mu) ** 2 / v[:, None]).sum(axis=0) + np.log(v).sum())
        p = np.exp(log_p + 40) * weight
        B = s**2 / v
        first += ((1 - B) * y)[:, None] @ np.ones((1, mu.size)) @ p + B * (mu @ p)
        total += p.sum()
    # τ is integrated to infinity, μ to where its posterior ends for the τ that matter.
    np.testing.assert_allclose(fit.ranef()["estimate"], first / total, atol=2e-3)


def test_morris_is_exact_for_equal_variances() -> None:
    """Under a flat prior on τ² the shrinkage B is gamma cut at one.

    With B ~ Gamma((k − 3)/2, S/2v) far from one: E B = (k − 3)v/S, the James-Stein
    factor, and Var B = 2 E²/(k − 3): Morris (1983), equations 1.15-1.17.
    """
    rng = np.random.default_rng(4)
    k, v = 30, 1.0
    y = rng.normal(5, 3, k)
    S = float(((y - y.mean()) ** 2).sum())
    frame = pd.DataFrame({"y": y})
    fit = ebayes("y ~ 1", frame, Normal(method="eb", intervals="morris"), se=1.0)
    stein = ebayes("y ~ 1", frame, JamesStein(), se=1.0)
    B = stats.gamma((k - 3) / 2, scale=2 * v / S)
    assert B.sf(1) < 1e-12  # the cut does not matter
    np.testing.assert_allclose(fit.ranef()["estimate"], stein.ranef()["estimate"], rtol=1e-8)
    np.testing.assert_allclose(fit.ranef()["shrinkage"], B.mean(), rtol=1e-8)
    variance = v * (1 - (k - 1) / k * B.mean()) + B.var() * (y - y.mean()) ** 2
    np.testing.assert_allclose(fit.ranef()["std_error"], np.sqrt(variance), rtol=1e-8)


def test_morris_is_wider_than_plug_in_and_needs_enough_groups() -> None:
    rng = np.random.default_rng(9)
    s = rng.uniform(0.5, 2, 10)
    frame = pd.DataFrame({"y": rng.normal(0, np.sqrt(s**2 + 0.5)), "s": s})
    plain = ebayes("y ~ 1", frame, Normal("reml"), se="s").ranef()["std_error"]
    wider = ebayes("y ~ 1", frame, Normal("reml", intervals="morris"), se="s").ranef()["std_error"]
    assert (wider > 0.999 * plain).all()
    assert wider.mean() > plain.mean()
    with pytest.raises(DataError, match="at least 4 groups"):
        ebayes("y ~ 1", frame[:3], Normal(intervals="morris"), se="s")


def test_batting_averages_shrink_by_the_published_factor() -> None:
    """On the arcsine scale 0.209 x + 0.791 x̄, total squared error 3.50 times smaller.

    Efron & Morris (1975, section 2).
    """
    data = load_dataset("efron_morris")
    scale = np.sqrt(45)
    x = scale * np.arcsin(2 * data["hits"] / data["at_bats"] - 1)
    truth = scale * np.arcsin(2 * data["remaining_average"] - 1)
    fit = ebayes("x ~ 1 | player", data.assign(x=x), "james-stein", se=1.0)
    estimate = fit.ranef().set_index("level")["estimate"].loc[data["player"]].to_numpy()
    assert fit.ranef()["shrinkage"][0] == pytest.approx(0.791, abs=5e-4)
    ratio = ((x - truth) ** 2).sum() / ((estimate - truth) ** 2).sum()
    assert ratio == pytest.approx(3.50, abs=0.02)  # the averages are printed to three digits


def test_james_stein_shrinks_as_its_formula() -> None:
    y = np.array([4.0, -1.0, 2.0, 7.0, 0.5])
    zero = ebayes("y ~ 0", pd.DataFrame({"y": y}), "james-stein", se=1.0)
    np.testing.assert_allclose(zero.ranef()["estimate"], y * (1 - 3 / (y @ y)))
    near = ebayes("y ~ 0", pd.DataFrame({"y": y / 10}), "james-stein", se=1.0)
    assert (near.ranef()["estimate"] == 0).all()
    whole = ebayes("y ~ 0", pd.DataFrame({"y": y / 10}), JamesStein(positive_part=False), se=1.0)
    np.testing.assert_allclose(whole.ranef()["estimate"], y / 10 * (1 - 3 / (y @ y / 100)))


def test_james_stein_dominates_in_total_error() -> None:
    """Risk at θ: k − (k − 2)² E[1/χ'²_k(‖θ‖²)] < k, exactly; 4000 replications."""
    rng = np.random.default_rng(8)
    theta = np.array([1.0, -1.0, 0.5, 0.0, 2.0, -0.5, 0.3, 1.2])
    k = theta.size
    y = rng.normal(theta, 1.0, (4000, k))
    B = (k - 2) / (y**2).sum(axis=1, keepdims=True)
    losses = (((1 - B) * y - theta) ** 2).sum(axis=1)
    j = np.arange(200)  # E[1/χ'²] is a Poisson mixture of 1/(k + 2j − 2)
    inverse = (stats.poisson.pmf(j, theta @ theta / 2) / (k + 2 * j - 2)).sum()
    risk = k - (k - 2) ** 2 * inverse
    assert risk < k
    assert losses.mean() == pytest.approx(risk, abs=3 * losses.std() / 4000**0.5)


def test_james_stein_asks_for_equal_errors_and_enough_means() -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0, 3.0, 5.0], "s": [1, 1, 1, 2]})
    with pytest.raises(DataError, match="equal standard errors"):
        ebayes("y ~ 1", frame, "james-stein", se="s")
    with pytest.raises(DataError, match="at least 4"):
        ebayes("y ~ 1", frame[:3], "james-stein", se=1.0)


@pytest.mark.parametrize("x", [(0.1, 0.3), (0.8, 5.0), (0.5, 1e-3)])
def test_point_normal_derivatives(x: tuple[float, float]) -> None:
    rng = np.random.default_rng(6)
    e, v = rng.normal(0, 2, 40), rng.uniform(0.5, 2, 40)
    at = point_normal_loglik(np.array(x), e, v)
    gradient, hessian = differenced(lambda t: point_normal_loglik(t, e, v), np.array(x))
    np.testing.assert_allclose(at.gradient, gradient, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(at.hessian, hessian, rtol=1e-6, atol=1e-6)


def test_point_normal_recovers_a_sparse_signal() -> None:
    rng = np.random.default_rng(10)
    null = rng.random(4000) < 0.9
    theta = np.where(null, 0.0, rng.normal(0, 3, 4000))
    s = rng.uniform(0.5, 1.5, 4000)
    frame = pd.DataFrame({"y": rng.normal(theta, s), "s": s})
    fit = ebayes("y ~ 1", frame, "point-normal", se="s")
    assert abs(fit.params["null weight"] - 0.9) < 3 * fit.bse["null weight"]
    assert abs(fit.params["tau2"] - 9) < 3 * fit.bse["tau2"]
    signs = fit.signs()
    found = signs["lfdr"] < 0.1
    expected = signs["lfdr"][found].mean()
    # The realised proportion of false discoveries is binomial about its estimate.
    spread = np.sqrt(expected * (1 - expected) / found.sum())
    assert abs(null[found].mean() - expected) < 4 * spread


def test_point_normal_posterior_against_brute_force() -> None:
    y, s = np.array([0.5, 2.0, -4.0]), np.array([1.0, 0.7, 1.2])
    frame = pd.DataFrame(
        {"y": np.append(y, np.linspace(-6, 6, 40)), "s": np.append(s, np.ones(40))}
    )
    fit = ebayes("y ~ 1", frame, PointNormal(), se="s")
    null, tau2 = fit.params
    grid = np.linspace(-30, 30, 600_001)
    for i in range(3):
        slab = stats.norm.pdf(grid, 0, tau2**0.5) * stats.norm.pdf(y[i], grid, s[i])
        slab *= (1 - null) * (grid[1] - grid[0])
        spike = null * stats.norm.pdf(y[i], 0, s[i])
        total = slab.sum() + spike
        assert fit.ranef()["estimate"][i] == pytest.approx(slab @ grid / total, abs=1e-9)
        assert fit.signs()["lfdr"][i] == pytest.approx(spike / total, abs=1e-9)


def test_point_normal_with_nothing_to_find() -> None:
    y = special.ndtri((np.arange(50) + 0.5) / 50) * 0.9
    fit = ebayes("y ~ 1", pd.DataFrame({"y": y}), "point-normal", se=1.0)
    assert fit.singular
    assert fit.converged
    np.testing.assert_allclose(fit.ranef()["estimate"], 0)


def test_pooled_variance_from_replicates_is_the_balanced_anova() -> None:
    """REML on group means: τ² = (MSB − MSW)/r, exactly (dyestuff: 1764.05, 2451.25)."""
    data = load_dataset("dyestuff")
    fit = ebayes("`yield` ~ 1 | batch", data, "normal")
    assert fit.params["tau2"] == pytest.approx(1764.05, rel=1e-6)
    assert fit.params["Intercept"] == pytest.approx(1527.5)
    assert "pooled over 24 degrees of freedom" in fit.notes[0]
    assert fit.augment()["observed_se"][0] ** 2 * 5 == pytest.approx(2451.25)


def test_repeated_estimates_of_a_group_combine_by_precision() -> None:
    rows = pd.DataFrame({"y": [1.0, 3.0, 2.0, 5.0], "s": [1.0, 2.0, 0.5, 1.0], "g": list("aabc")})
    fit = ebayes("y ~ 1 | g", rows, "normal", se="s")
    table = fit.augment()
    assert table["observed"][0] == pytest.approx((1 / 1 + 3 / 4) / (1 + 1 / 4))
    assert table["observed_se"][0] == pytest.approx((1 + 1 / 4) ** -0.5)


def test_forest_table_ends_with_summary_and_prediction() -> None:
    fit = ebayes("yi ~ 1 | trial", load_dataset("dat_bcg"), "meta", se="np.sqrt(vi)")
    table = forest_table(fit)
    assert list(table["level"][-2:]) == ["Summary", "Prediction"]
    assert table["weight"][:13].sum() == pytest.approx(100)
    summary, predicted = table.iloc[-2], table.iloc[-1]
    assert summary["estimate"] == pytest.approx(fit.params["Intercept"])
    assert predicted["conf_low"] < summary["conf_low"] < summary["conf_high"]


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match="intervals"):
        Normal(intervals="exact")
    with pytest.raises(OptionError, match="test"):
        Normal(test="F")
    frame = pd.DataFrame({"y": [1.0, 2.0, 4.0]})
    with pytest.raises(OptionError, match="'dl'"):
        ebayes("y ~ 1", frame, Normal(method="mm"), se=1.0)


def test_priors_are_compared_by_their_marginal_likelihood() -> None:
    rng = np.random.default_rng(12)
    theta = np.where(rng.random(800) < 0.9, 0.0, rng.normal(0, 4, 800))
    frame = pd.DataFrame({"y": rng.normal(theta, 1.0)})
    fits = [
        ebayes("y ~ 1", frame, model, se=1.0)
        for model in (Normal(method="ml"), "point-normal", "npmle")
    ]
    table = compare(*fits)
    assert table["model"][0] == "point-normal"
    assert table["delta_aic"][0] == 0
    best = table.set_index("model")["llf"]
    assert best.idxmax().startswith("nonparametric")  # it bounds them all
    with pytest.raises(OptionError, match="different data"):
        compare(fits[0], ebayes("y ~ 1", frame[:400], Normal(method="ml"), se=1.0))
    with pytest.raises(OptionError, match="Restricted"):
        compare(fits[0], ebayes("y ~ 1", frame, Normal(method="reml"), se=1.0))
