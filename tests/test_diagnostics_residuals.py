"""Quantile residuals and overdispersion: exact where they claim it, and loud where it is due."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import hglm
from hglm.inference.diagnostics.overdispersion import overdispersion, overdispersion_notes
from hglm.inference.diagnostics.quantile_residuals import (
    exact_quantile_residuals,
    quantile_residuals,
)
from hglm.inference.diagnostics.ranks import (
    distance_from_uniform,
    monte_carlo_p,
    uniform_ranks,
)


def counts(seed: int, size: float = np.inf, zeros: float = 0.0) -> pd.DataFrame:
    """Poisson or negative binomial counts of 30 groups of 10, perhaps with more zeros."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(30), 10)
    x = rng.normal(size=300)
    mu = np.exp(1.0 + 0.5 * x + 0.4 * rng.normal(size=30)[g])
    if np.isfinite(size):
        mu = mu * rng.gamma(size, 1.0 / size, 300)
    y = rng.poisson(mu) * (rng.random(300) >= zeros)
    return pd.DataFrame({"y": y, "x": x, "g": g})


def poisson(data: pd.DataFrame) -> hglm.Fit:
    return hglm.fit("y ~ x + (1 | g)", data, family="poisson")


def test_ranks_of_a_row_are_all_ranks_once_even_with_ties():
    rng = np.random.default_rng(1)
    vectors = rng.poisson(0.4, size=(50, 20)).astype(float)
    ranks = np.floor(uniform_ranks(vectors, rng) * 20)
    np.testing.assert_array_equal(np.sort(ranks, axis=1), np.tile(np.arange(20.0), (50, 1)))
    for row, values in zip(ranks, vectors, strict=True):  # ranks respect the order
        assert np.all(np.diff(values[np.argsort(row)]) >= 0.0)


def test_distance_from_uniform_is_that_of_scipy():
    values = np.random.default_rng(2).random((37, 4)) ** 1.3
    expected = [stats.kstest(column, "uniform").statistic for column in values.T]
    np.testing.assert_allclose(distance_from_uniform(values), expected, rtol=1e-14)


def test_monte_carlo_p_values_by_hand():
    statistics = np.array([3.0, 1.0, 2.0, 3.0, 5.0])  # three of five are at least 3
    assert monte_carlo_p(statistics, two_sided=False) == 0.6
    assert monte_carlo_p(statistics, two_sided=True) == 1.0
    assert monte_carlo_p(np.array([0.0, 1.0, 2.0, 3.0]), two_sided=True) == 0.5


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ x + (x | g)"])
def test_residuals_are_uniform_and_tests_hold_their_level_for_data_of_the_model(formula):
    """Responses drawn from the fit itself: exactly exchangeable with the simulations."""
    fit = hglm.fit(formula, counts(3), family="poisson")
    rng = np.random.default_rng(4)
    found, pvalues = [], []
    draws = fit.simulate(60, rng)
    for name in draws:
        drawn = replace_y(fit.design, draws[name].to_numpy())
        out = quantile_residuals(fit.estimates, drawn, 19, rng)
        found.append(out.residuals.to_numpy())
        pvalues.append(out.tests()["p_value"])
    first_row = np.array(found)[:, 0]
    assert stats.kstest(first_row, "uniform").pvalue > 1e-3
    p = pd.DataFrame(pvalues)
    one_sided = p[["uniformity", "outliers"]]
    # P(p <= 0.1) <= 0.1: 60 trials have more than 14 with probability 0.001
    assert (one_sided <= 0.1 + 1e-12).sum().max() <= 14
    assert (p[["dispersion", "zeros"]] <= 0.1 + 1e-12).sum().max() <= 14


def replace_y(design, y):
    return type(design)(
        **{name: getattr(design, name) for name in design.__slots__ if name != "y"}, y=y
    )


def test_the_family_that_made_the_data_passes_and_the_wrong_one_is_caught():
    data = counts(5, size=1.0)
    wrong = poisson(data)
    tests = quantile_residuals(wrong.estimates, wrong.design, 199, 1).tests()
    assert tests.loc["dispersion", "statistic"] > 1.3
    assert tests.loc["dispersion", "p_value"] <= 0.02
    assert "vary more" in tests.loc["dispersion", "meaning"]
    right = hglm.fit("y ~ x + (1 | g)", data, family="nbinom2")
    tests = quantile_residuals(right.estimates, right.design, 199, 1).tests()
    assert tests["p_value"].min() > 0.02


def test_excess_zeros_are_caught():
    fit = poisson(counts(6, zeros=0.3))
    tests = quantile_residuals(fit.estimates, fit.design, 199, 1, random="conditional").tests()
    assert tests.loc["zeros", "p_value"] <= 0.01
    assert tests.loc["zeros", "statistic"] > 1.5
    assert tests.loc["zeros", "meaning"] == "there are more zeros than the model produces"


def test_a_gross_outlier_is_caught():
    data = counts(7)
    data.loc[[3, 100], "y"] = 400
    data["g"] = np.arange(len(data)) // 10
    fit = hglm.fit("y ~ x + (1 | g)", counts(7), family="poisson")
    drawn = replace_y(fit.design, data["y"].to_numpy(dtype=float))
    out = quantile_residuals(fit.estimates, drawn, 199, 1, random="conditional")
    assert out.residuals.iloc[[3, 100]].min() > 1 - 1 / 200
    assert out.tests().loc["outliers", "statistic"] >= 2


def test_the_same_seed_gives_the_same_residuals():
    fit = poisson(counts(8))
    one = quantile_residuals(fit.estimates, fit.design, 50, 7)
    two = quantile_residuals(fit.estimates, fit.design, 50, np.random.default_rng(7))
    pd.testing.assert_series_equal(one.residuals, two.residuals)
    pd.testing.assert_frame_equal(one.tests(), two.tests())


def test_exact_residuals_are_the_limit_of_those_by_conditional_simulation():
    fit = poisson(counts(9))
    exact = exact_quantile_residuals(fit.estimates, fit.design, 1).residuals.to_numpy()
    mu = fit.fittedvalues.to_numpy()
    y = fit.design.y
    lower, upper = stats.poisson.cdf(y - 1, mu), stats.poisson.cdf(y, mu)
    assert np.all((exact >= lower) & (exact <= upper))
    many = quantile_residuals(fit.estimates, fit.design, 4000, 2, "conditional")
    # a proportion of 4000 is within 4.5 sd of its expectation; the jump is the rest
    slack = 4.5 * np.sqrt(0.25 / 4000)
    simulated = many.residuals.to_numpy()
    assert np.all((simulated >= lower - slack) & (simulated <= upper + slack))


def test_exact_residuals_of_a_linear_model_are_normal_probabilities():
    fit = hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))
    out = exact_quantile_residuals(fit.estimates, fit.design)
    np.testing.assert_allclose(out.normal(), fit.residuals("pearson"), rtol=1e-9, atol=1e-12)
    pd.testing.assert_series_equal(
        out.residuals, pd.Series(special.ndtr(fit.residuals("pearson")), name="quantile")
    )
    # the approximation of the p-value is good to a few thousandths
    ks = stats.kstest(out.residuals, "uniform").pvalue
    np.testing.assert_allclose(out.tests().loc["uniformity", "p_value"], ks, atol=0.005)


def test_exact_residuals_of_proportions_lie_between_neighbouring_probabilities():
    cbpp = hglm.load_dataset("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fit = hglm.fit(formula, cbpp, family="binomial")
    out = exact_quantile_residuals(fit.estimates, fit.design, 3).residuals
    y, m = cbpp["incidence"].to_numpy(), cbpp["size"].to_numpy()
    mu = fit.fittedvalues.to_numpy()
    assert np.all(out >= stats.binom.cdf(y - 1, m, mu))
    assert np.all(out <= stats.binom.cdf(y, m, mu))


def test_overdispersion_by_its_definition():
    data = counts(10, size=2.0)
    fit = poisson(data)
    found = overdispersion(fit.estimates, fit.design)
    mu = fit.fittedvalues
    np.testing.assert_allclose(found.pearson, np.sum((data["y"] - mu) ** 2 / mu), rtol=1e-12)
    assert found.df == 300 - 3
    np.testing.assert_allclose(found.p_value, stats.chi2.sf(found.pearson, 297), rtol=1e-9)
    assert found.matters()
    (note,) = overdispersion_notes(fit.estimates, fit.design)
    assert "nbinom2" in note


def test_overdispersion_is_not_asked_of_models_that_cannot_have_it():
    gaussian = hglm.fit("reaction ~ days + (1 | subject)", hglm.load_dataset("sleepstudy"))
    assert overdispersion(gaussian.estimates, gaussian.design) is None
    data = counts(11)
    binary = hglm.fit("I(1.0 * (y > 2)) ~ x + (1 | g)", data, family="binomial")
    assert overdispersion(binary.estimates, binary.design) is None
    fine = poisson(counts(12))
    assert overdispersion_notes(fine.estimates, fine.design) == ()


def test_frequencies_count_in_overdispersion():
    data = counts(13)
    twice = pd.concat([data, data], ignore_index=True)
    repeated = poisson(twice)
    counted = hglm.fit("y ~ x + (1 | g)", data.assign(f=2.0), family="poisson", frequencies="f")
    a = overdispersion(repeated.estimates, repeated.design)
    b = overdispersion(counted.estimates, counted.design)
    np.testing.assert_allclose([a.pearson, a.df], [b.pearson, b.df], rtol=1e-6)
