"""Means over a population: closed forms, numerical integrals, simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

import hglm


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 400
    frame = pd.DataFrame({"x": rng.normal(size=n), "g": np.repeat(np.arange(40), 10)})
    b, slope = rng.normal(scale=1.2, size=40)[frame["g"]], rng.normal(scale=0.5, size=40)
    eta = 0.3 + 0.5 * frame["x"] + b + slope[frame["g"]] * frame["x"]
    frame["y"] = eta + rng.normal(size=n)
    frame["hit"] = rng.binomial(1, special.expit(eta))
    frame["count"] = rng.poisson(np.exp(0.5 * eta)) * rng.binomial(1, special.expit(1.0 - b))
    frame["rating"] = pd.cut(frame["y"], 4, labels=list("abcd"))
    return frame


def sds(fit: hglm.Fit, x: np.ndarray) -> np.ndarray:
    """Read the standard deviation of intercept plus slope times x, from the variance components."""
    table = fit.varcorr
    table = table[table["group"] == "g"]
    first, second, cross = table["vcov"].iloc[0], table["vcov"].iloc[1], table["vcov"].iloc[2]
    return np.asarray(np.sqrt(first + 2.0 * x * cross + x**2 * second))


NEW = pd.DataFrame({"x": [-2.0, 0.0, 1.5]})


def test_a_log_link_adds_half_the_variance(data: pd.DataFrame) -> None:
    fit = hglm.fit("count ~ x + (x | g)", data, family="poisson")
    eta = fit.predict(NEW, random="none", scale="link")
    expected = np.exp(eta + 0.5 * sds(fit, NEW["x"].to_numpy()) ** 2)
    np.testing.assert_allclose(fit.predict(NEW, random="average"), expected, rtol=1e-10)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_probabilities_are_integrals(data: pd.DataFrame, link: str) -> None:
    fit = hglm.fit("hit ~ x + (x | g)", data, family="binomial", link=link)
    inverse = {
        "logit": special.expit,
        "probit": stats.norm.cdf,
        "cloglog": lambda eta: -np.expm1(-np.exp(eta)),
    }[link]
    eta = np.asarray(fit.predict(NEW, random="none", scale="link"))

    def integrand(z: float, e: float, s: float) -> float:
        return float(inverse(e + s * z) * stats.norm.pdf(z))

    expected = [
        integrate.quad(integrand, -12, 12, args=each, epsabs=1e-12)[0]
        for each in zip(eta, sds(fit, NEW["x"].to_numpy()), strict=True)
    ]
    np.testing.assert_allclose(fit.predict(NEW, random="average"), expected, rtol=1e-7)


def test_a_probit_has_a_closed_form(data: pd.DataFrame) -> None:
    """Zeger, Liang & Albert (1988), Biometrics 44, 1049-1060: Φ(η / √(1 + s²))."""
    fit = hglm.fit("hit ~ x + (1 | g)", data, family="binomial", link="probit")
    eta = np.asarray(fit.predict(NEW, random="none", scale="link"))
    variance = fit.varcorr["vcov"].iloc[0]
    expected = stats.norm.cdf(eta / np.sqrt(1.0 + variance))
    np.testing.assert_allclose(fit.predict(NEW, random="average"), expected, rtol=1e-9)


def test_random_zero_inflation_is_averaged_too(data: pd.DataFrame) -> None:
    """E[(1 - p) μ] of independent effects is a product; and as simulated."""
    fit = hglm.fit("count ~ x + (1 | g)", data, family="poisson", zero_inflation="~ 1 + (1 | g)")
    in_mean, in_zeros = np.sqrt(fit.varcorr["vcov"])
    zeta = fit.others["zero_inflation"].beta[0]
    ordinary = integrate.quad(
        lambda z: special.expit(-zeta - in_zeros * z) * stats.norm.pdf(z), -12, 12, epsabs=1e-12
    )[0]
    eta = np.asarray(fit.predict(random="none", scale="link"))
    average = np.asarray(fit.predict(random="average"))
    np.testing.assert_allclose(average, ordinary * np.exp(eta + 0.5 * in_mean**2), rtol=1e-6)
    draws = fit.simulate(4000, seed=1).to_numpy()[[0, 150, 399]]
    error = draws.std(axis=1) / np.sqrt(draws.shape[1])
    assert np.all(np.abs(draws.mean(axis=1) - average[[0, 150, 399]]) < 4.0 * error)


def test_probabilities_of_categories_add_up(data: pd.DataFrame) -> None:
    fit = hglm.fit("rating ~ x + (1 | g)", data, family="ordinal", link="probit")
    average = fit.predict(NEW, random="average")
    np.testing.assert_allclose(average.sum(axis=1), 1.0, rtol=1e-12)
    eta = np.asarray(fit.predict(NEW, random="none", scale="link"))
    first = fit.others["thresholds"].beta[0]
    shrunk = (first - eta) / np.sqrt(1.0 + fit.varcorr["vcov"].iloc[0])
    np.testing.assert_allclose(average["a"], stats.norm.cdf(shrunk), rtol=1e-9)


def test_of_linear_models_it_is_the_population_line(data: pd.DataFrame) -> None:
    fit = hglm.fit("y ~ x + (x | g)", data)
    np.testing.assert_array_equal(
        fit.predict(NEW, random="average"), fit.predict(NEW, random="none")
    )


def test_intervals_are_those_of_the_predictor_carried_over(data: pd.DataFrame) -> None:
    """The mean rises with η, and so do its limits; the standard error is by differences."""
    fit = hglm.fit("hit ~ x + (1 | g)", data, family="binomial")
    found = fit.predict(NEW, random="average", interval="confidence")
    link = fit.predict(NEW, random="none", scale="link", interval="confidence")
    s = np.sqrt(fit.varcorr["vcov"].iloc[0])

    def mean(eta: float) -> float:
        return float(
            integrate.quad(lambda z: special.expit(eta + s * z) * stats.norm.pdf(z), -12, 12)[0]
        )

    for row in range(len(NEW)):
        at = link.iloc[row]
        assert found["conf_low"].iloc[row] == pytest.approx(mean(at["conf_low"]), rel=1e-6)
        assert found["conf_high"].iloc[row] == pytest.approx(mean(at["conf_high"]), rel=1e-6)
        slope = (mean(at["fit"] + 1e-4) - mean(at["fit"] - 1e-4)) / 2e-4
        expected = slope * at["std_error"]
        assert found["std_error"].iloc[row] == pytest.approx(expected, rel=1e-5)
