"""Intervals for new responses: closed forms, simulation, and what they must hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import hglm
from families_catalogue import CASES
from hglm.errors import OptionError
from hglm.families import Sizes, point_at, resolve_family
from hglm.families.links import inverse
from hglm.inference.predictive import NewResponses, predictive_limits
from hglm.inference.response_quantiles import Lattice, response_quantiles

NO_SIZES = Sizes()

FAMILIES = {
    "poisson": (1.2, []),
    "nbinom2": (1.2, [0.3]),
    "nbinom1": (1.2, [0.3]),
    "genpois": (1.2, [0.4]),
    "gamma": (1.2, [-0.5]),
    "inverse_gaussian": (0.4, [-0.5]),
    "tweedie": (0.5, [0.2, 0.0]),
    "beta": (0.4, [1.5]),
    "beta_binomial": (0.4, [1.0]),
    "binomial": (0.4, []),
    "student": (1.0, [0.2, 1.0]),
    "gaussian": (1.0, [0.2]),
}


def new_responses(name: str, m: int) -> tuple[NewResponses, np.ndarray]:
    eta, others = FAMILIES[name]
    family = resolve_family(name)
    names = [p.name for p in family.parameters[1:]]
    trials = np.full(m, 9.0) if family.support == "proportion" else None
    values = {name: np.full(m, x) for name, x in zip(names, others, strict=True)}
    return NewResponses(family, values, Sizes(trials)), np.full(m, eta)


@pytest.mark.parametrize("name", FAMILIES)
def test_limits_are_those_of_a_large_simulation(name):
    """Up to 10^6 draws of η and of the response: tail probabilities within five standard errors."""
    responses, eta = new_responses(name, 1)
    limits = predictive_limits(responses, eta, np.array([0.6]), 0.9)
    rng = np.random.default_rng(3)
    n = 100_000 if name == "genpois" else 1_000_000
    drawn = eta + 0.6 * rng.standard_normal(n)
    others = [np.full(n, x[0]) for x in responses.others.values()]
    trials = responses.sizes.trials
    sizes = Sizes(None if trials is None else np.full(n, trials[0]))
    y = responses.family.simulate(point_at([drawn, *others], sizes), rng)
    low, high = limits["conf_low"][0], limits["conf_high"][0]
    tolerance = 5 * np.sqrt(0.05 * 0.95 / n)
    assert np.mean(y < low - 1e-9) <= 0.05 + tolerance
    assert np.mean(y > high + 1e-9) <= 0.05 + tolerance
    assert np.mean(y <= low + 1e-9) >= 0.05 - tolerance
    assert np.mean(y >= high - 1e-9) >= 0.05 - tolerance
    if name != "student":  # of which the variance hardly settles
        np.testing.assert_allclose(limits["std_error"], y.std(), rtol=0.03)


BOUNDED = [
    case
    for case in CASES
    if case.family.parameters[0].link.name in ("sqrt", "inverse", "inverse_squared", "identity")
    or case.name in ("bernoulli-log", "binomial-log", "hurdle-gamma", "truncated-compois")
]


@pytest.mark.parametrize("case", BOUNDED, ids=lambda case: case.name)
def test_where_a_link_does_not_reach_limits_are_for_the_rest(case):
    """η is normal given that it has a mean: 30,000 draws, five standard errors."""
    middle = [float(np.mean(x)) for x in case.predictors]
    names = [p.name for p in case.family.parameters[1:]]
    others = {name: np.array(x) for name, x in zip(names, middle[1:], strict=True)}
    trials = None if case.sizes.trials is None else np.array([7.0])
    responses = NewResponses(case.family, others, Sizes(trials))
    found = predictive_limits(responses, np.array(middle[:1]), np.array([0.3]), 0.9)
    rng, n = np.random.default_rng(9), 30_000
    eta = middle[0] + 0.3 * rng.normal(size=10 * n)
    link = case.family.parameters[0].link
    with np.errstate(invalid="ignore", divide="ignore"):
        mu = inverse(link, eta)
        there = np.isfinite(mu) & (eta > 0 if link.name in ("sqrt", "inverse_squared") else True)
    support = case.family.support
    if support not in ("real", "category"):
        there &= mu > 0
    if support in ("proportion", "unit"):
        there &= mu < 1
    eta = eta[there][:n]
    sizes = Sizes(None if trials is None else np.full(n, trials[0]))
    y = case.family.simulate(point_at([eta, *(np.full(n, x) for x in middle[1:])], sizes), rng)
    low, high = found["conf_low"][0], found["conf_high"][0]
    tolerance = 5 * np.sqrt(0.05 * 0.95 / n)
    assert np.mean(y < low - 1e-9) <= 0.05 + tolerance
    assert np.mean(y > high + 1e-9) <= 0.05 + tolerance
    assert np.mean(y <= low + 1e-9) >= 0.05 - tolerance
    assert np.mean(y >= high - 1e-9) >= 0.05 - tolerance


def test_where_there_is_no_mean_there_are_no_limits():
    responses = NewResponses(resolve_family("poisson", "identity"), {}, NO_SIZES)
    found = predictive_limits(responses, np.array([-1.0, 2.0]), np.array([0.1, 0.1]), 0.9)
    assert np.isnan(found["conf_low"]).tolist() == [True, False]


def test_normal_responses_have_the_normal_interval():
    """η and noise add up: the closed form, also where the noise is hardly there."""
    family = resolve_family("gaussian")
    for noise in (1.0, 0.03):
        others = {"dispersion": np.log(np.array([noise**2]))}
        found = predictive_limits(
            NewResponses(family, others, NO_SIZES), np.array([2.0]), np.array([0.7]), 0.95
        )
        sd = np.hypot(noise, 0.7)
        expected = 2.0 + stats.norm.ppf([0.025, 0.975]) * sd
        np.testing.assert_allclose([found["conf_low"][0], found["conf_high"][0]], expected, 1e-5)
        np.testing.assert_allclose(found["std_error"], sd, rtol=1e-6)


def test_a_poisson_response_of_known_mean_has_poisson_quantiles():
    eta = np.log(np.array([0.01, 0.5, 3.0, 40.0, 1e4, 1e7]))
    responses = NewResponses(resolve_family("poisson"), {}, NO_SIZES)
    found = predictive_limits(responses, eta, np.zeros(6), 0.95)
    expected = stats.poisson.ppf([[0.025], [0.975]], np.exp(eta))
    np.testing.assert_array_equal([found["conf_low"], found["conf_high"]], expected)
    np.testing.assert_allclose(found["std_error"], np.exp(eta / 2))


def test_a_poisson_response_of_log_normal_mean_has_known_moments():
    """E y = m e^{s²/2}, Var y = E y + (e^{s²} - 1)(E y)²; limits by a grid of 20,000 means."""
    s = 0.8
    responses = NewResponses(resolve_family("poisson"), {}, NO_SIZES)
    found = predictive_limits(responses, np.array([2.0]), np.array([s]), 0.95)
    mean = np.exp(2.0 + s**2 / 2)
    variance = mean + np.expm1(s**2) * mean**2
    np.testing.assert_allclose(found["std_error"] ** 2, variance, rtol=1e-8)
    rates = np.exp(2.0 + s * stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000))
    G = special.pdtr(np.arange(120)[:, None], rates).mean(axis=1)
    assert found["conf_low"] == np.searchsorted(G, 0.025)
    assert found["conf_high"] == np.searchsorted(G, 0.975)


def test_large_counts_of_uncertain_mean_follow_it():
    """Noise far below the uncertainty: the limits are those of exp(η) to its order."""
    responses = NewResponses(resolve_family("poisson"), {}, NO_SIZES)
    found = predictive_limits(responses, np.array([16.0]), np.array([0.5]), 0.95)
    expected = np.exp(16.0 + 0.5 * stats.norm.ppf([0.025, 0.975]))
    np.testing.assert_allclose([found["conf_low"][0], found["conf_high"][0]], expected, rtol=2e-3)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_discrete_limits_hold_at_least_the_level(level):
    responses = NewResponses(resolve_family("binomial"), {}, Sizes(np.full(50, 6.0)))
    eta = np.linspace(-4, 4, 50)
    found = predictive_limits(responses, eta, np.full(50, 0.4), level)
    counts = np.stack([found["conf_low"], found["conf_high"]]) * 6
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-12)
    z = np.linspace(-8, 8, 4001)
    p = special.expit(eta[:, None] + 0.4 * z)
    weight = stats.norm.pdf(z) / stats.norm.pdf(z).sum()
    below = special.bdtr(np.round(counts[1])[:, None], 6, p) @ weight
    under = np.where(
        counts[0] > 0.5,
        special.bdtr(np.maximum(np.round(counts[0]) - 1, 0)[:, None], 6, p) @ weight,
        0,
    )
    assert np.all(below - under >= level - 1e-9)


def test_quantiles_of_extreme_responses_are_found():
    """Far from where the search starts: exponential and uniform closed forms."""
    one = np.ones(3)
    scale = np.array([1e-12, 1.0, 1e12])
    found = response_quantiles(
        lambda y: -np.expm1(-y / scale), 0.975, Lattice("positive", False, None), one, one
    )
    np.testing.assert_allclose(found, -scale * np.log(0.025), rtol=1e-9)
    half = 0.5 * one
    unit = response_quantiles(lambda y: y**scale, 0.3, Lattice("unit", False, None), half, half)
    np.testing.assert_allclose(unit[1], 0.3, rtol=1e-9)
    real = response_quantiles(
        lambda y: special.ndtr(y - 1e6), 0.1, Lattice("real", False, None), one, one
    )
    np.testing.assert_allclose(real, 1e6 + stats.norm.ppf(0.1), rtol=1e-12)


def test_nothing_is_too_large_or_too_uncertain():
    """Counts beyond all whole numbers, and means that may be anything."""
    poisson = NewResponses(resolve_family("poisson"), {}, NO_SIZES)
    eta, s = np.array([40.0, 0.0, -300.0, 0.0]), np.array([0.0, 40.0, 0.0, 400.0])
    found = predictive_limits(poisson, eta, s, 0.95)
    mean = np.exp(40.0)
    normal = mean + stats.norm.ppf([0.025, 0.975]) * np.sqrt(mean)
    np.testing.assert_allclose([found["conf_low"][0], found["conf_high"][0]], normal, rtol=1e-12)
    assert found["conf_low"][1:].tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(np.log(found["conf_high"][1]), 40 * stats.norm.ppf(0.975), rtol=1e-3)
    assert found["conf_high"][2] == 0.0
    gamma = NewResponses(resolve_family("gamma"), {"dispersion": np.array(-1.0)}, NO_SIZES)
    found = predictive_limits(gamma, eta[1:2], s[1:2], 0.95)
    np.testing.assert_allclose(np.log(found["conf_low"]), -40 * stats.norm.ppf(0.975), rtol=0.01)


def test_weights_make_new_responses_precise():
    """Gamma responses of mean m have the shape w/φ."""
    w = np.array([1.0, 4.0, 25.0])
    responses = NewResponses(
        resolve_family("gamma"), {"dispersion": np.array(np.log(0.5))}, Sizes(weights=w)
    )
    found = predictive_limits(responses, np.full(3, 1.0), np.zeros(3), 0.9)
    for name, p in (("conf_low", 0.05), ("conf_high", 0.95)):
        expected = stats.gamma.ppf(p, w / 0.5, scale=np.e * 0.5 / w)
        np.testing.assert_allclose(found[name], expected, rtol=1e-8)


# Through a fit ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    n = 200
    g = np.arange(n) % 20
    x = rng.normal(size=n)
    y = rng.poisson(np.exp(0.8 + 0.5 * x + 0.6 * rng.normal(size=20)[g]))
    zero = np.where(rng.uniform(size=n) < 0.3, 0, y)
    return pd.DataFrame({"y": y, "zero": zero, "x": x, "g": [f"g{i}" for i in g]})


def test_a_new_level_is_drawn_from_its_distribution(counts):
    """Its mean is log-normal around the population's: s² = x'Vx + σ²."""
    fit = hglm.fit("y ~ x + (1 | g)", counts, family="poisson")
    new = pd.DataFrame({"x": [0.5, -1.0], "g": ["other", "another"]})
    found = fit.predict(new, new_levels="population", interval="prediction")
    X = np.column_stack([np.ones(2), new["x"]])
    s = np.sqrt(
        np.einsum("ij,jk,ik->i", X, fit.cov_params().to_numpy(), X) + fit.varcorr["vcov"][0]
    )
    mean = np.exp(X @ fit.params + s**2 / 2)
    np.testing.assert_allclose(found["std_error"] ** 2, mean + np.expm1(s**2) * mean**2, rtol=1e-6)
    population = fit.predict(new[["x"]], random="none", interval="prediction")
    np.testing.assert_allclose(population, found)
    known = fit.predict(new.assign(g="g1"), interval="prediction")
    assert np.all(known["std_error"] < found["std_error"])


def test_new_data_sets_fall_into_their_intervals(counts):
    """Coverage over repetitions of the whole: truth, data, fit, new responses."""
    rng = np.random.default_rng(5)
    inside = []
    for _ in range(25):
        b = 0.6 * rng.normal(size=40)
        g = np.arange(240) % 20
        x = rng.normal(size=240)
        data = pd.DataFrame({"x": x, "g": g.astype(str)})
        data["y"] = rng.poisson(np.exp(0.8 + 0.5 * x + b[g]))
        fit = hglm.fit("y ~ x + (1 | g)", data, family="poisson")
        new = pd.DataFrame({"x": rng.normal(size=40), "g": np.arange(40).astype(str)})
        y = rng.poisson(np.exp(0.8 + 0.5 * new["x"] + b))
        found = fit.predict(new, new_levels="population", interval="prediction", level=0.8)
        inside.append((found["conf_low"] <= y) & (y <= found["conf_high"]))
    share = np.mean(inside)
    assert 0.78 < share < 0.93  # discrete limits hold more than they must


def test_normal_responses_agree_with_the_linear_route(counts):
    data = hglm.load_dataset("sleepstudy")
    formula = "reaction ~ days + (1 | subject)"
    linear = hglm.fit(formula, data, method="ml").predict(interval="prediction")
    general = hglm.fit(formula, data, method="laplace").predict(interval="prediction")
    np.testing.assert_allclose(general, linear, rtol=2e-3)  # one of them knows θ


def test_extra_zeros_belong_to_the_new_response(counts):
    fit = hglm.fit("zero ~ x + (1 | g)", counts, family="poisson", zero_inflation="~ 1")
    found = fit.predict(interval="prediction", level=0.5)
    assert (found["conf_low"] == 0).mean() > 0.9  # a quarter is below a share of extra zeros
    assert fit.predict().to_numpy() == pytest.approx(found["fit"].to_numpy())


def test_proportions_need_trials():
    data = hglm.load_dataset("cbpp")
    fit = hglm.fit(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", data, family="binomial"
    )
    own = fit.predict(interval="prediction")
    hits = own[["conf_low", "conf_high"]].mul(data["size"], axis=0)
    np.testing.assert_allclose(hits, hits.round(), atol=1e-9)
    new = data[["period", "herd"]].head(3)
    with pytest.raises(OptionError, match="proportions of several trials"):
        fit.predict(new, interval="prediction")
    ten = fit.predict(new, interval="prediction", trials=10)
    many = fit.predict(new, interval="prediction", trials=[10, 1000, 10])
    np.testing.assert_allclose(ten.iloc[[0, 2]], many.iloc[[0, 2]])
    assert many.iloc[1]["std_error"] < ten.iloc[1]["std_error"]


def test_mistakes_have_a_clear_answer(counts):
    fit = hglm.fit("y ~ x + (1 | g)", counts, family="poisson")
    with pytest.raises(OptionError, match='use scale="response"'):
        fit.predict(interval="prediction", scale="link")
    rated = counts.assign(y=pd.Categorical(np.minimum(counts["y"], 3)))
    ordinal = hglm.fit("y ~ x + (1 | g)", rated, family="cumulative")
    with pytest.raises(OptionError, match="probability for each category and no interval"):
        ordinal.predict(interval="prediction")


def test_missing_values_stay_missing(counts):
    fit = hglm.fit("y ~ x + (1 | g)", counts, family="poisson")
    new = pd.DataFrame({"x": [0.0, np.nan, 1.0], "g": ["g1", "g2", "g3"]})
    found = fit.predict(new, interval="prediction")
    assert found.isna().all(axis=1).tolist() == [False, True, False]


def test_rows_of_the_fit_are_predicted_as_fitted_with_all_their_predictors(counts):
    fit = hglm.fit("zero ~ x + (1 | g)", counts, family="poisson", zero_inflation="~ x")
    np.testing.assert_allclose(fit.predict(), fit.fittedvalues)
    np.testing.assert_allclose(fit.predict(), fit.predict(counts))


def test_effects_in_further_predictors_are_drawn_afresh_too(counts):
    """Of a new level: extra zeros with a random share, by 10^6 draws."""
    rng = np.random.default_rng(6)
    never = special.expit(1.5 * rng.normal(size=20))[counts["g"].str[1:].astype(int)]
    data = counts.assign(zero=np.where(rng.uniform(size=200) < never, 0, counts["y"]))
    fit = hglm.fit("zero ~ x + (1 | g)", data, family="poisson", zero_inflation="~ x + (1 | g)")
    new = pd.DataFrame({"x": [0.3], "g": ["other"]})
    found = fit.predict(new, new_levels="population", interval="prediction", level=0.8)
    population = fit.predict(new, random="none", interval="prediction", level=0.8)
    np.testing.assert_allclose(found, population)
    n = 1_000_000
    x = np.array([1.0, 0.3])
    sd = fit.varcorr["sdcor"].to_numpy()  # of the mean, of the zeros
    s = np.sqrt(x @ fit.cov_params().to_numpy() @ x + sd[0] ** 2)
    rate = np.exp(x @ fit.params + s * rng.normal(size=n))
    share = special.expit(x @ fit.others["zero_inflation"].beta + sd[1] * rng.normal(size=n))
    y = np.where(rng.uniform(size=n) < share, 0, rng.poisson(rate))
    assert sd[1] > 0.5
    np.testing.assert_allclose(found["std_error"], y.std(), rtol=0.01)
    for limit, p in (("conf_low", 0.1), ("conf_high", 0.9)):
        q = found[limit][0]
        assert np.mean(y < q) < p + 0.002
        assert np.mean(y <= q) > p - 0.002
    one = fit.predict(new.assign(g="g1"), interval="prediction")
    assert one["fit"][0] == fit.predict(new.assign(g="g1"))[0]
