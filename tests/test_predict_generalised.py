"""Random effects, predictions, draws and residuals of generalised models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.criteria.laplace import evaluate_laplace
from hglm.errors import OptionError
from hglm.fitting.record import GeneralisedState
from hglm.inference.conditional import coef_frame, conditional_covariances, ranef_frame
from hglm.inference.errors_of_fit import _mode_slopes, joint_covariance
from hglm.inference.predict import predict, prediction_rows
from hglm.inference.residuals import leverage, residuals
from hglm.inference.simulate import simulate
from prediction_models import data_frame
from reference_data import inference_reference, reference, reference_frame


def counts() -> pd.DataFrame:
    """Draw counts by group, overdispersed and with zeros of their own."""
    data = data_frame(240)
    rng = np.random.default_rng(2)
    g = pd.factorize(data["g"])[0]
    mean = np.exp(1 + 0.4 * data["x"] + 0.5 * rng.normal(size=18)[g])
    data["count"] = rng.poisson(mean * rng.gamma(4, 1 / 4, 240)) * (rng.uniform(size=240) < 0.8)
    data["trials"] = rng.integers(3, 12, 240)
    odds = np.exp(data["x"] + rng.normal(size=18)[g])
    data["hits"] = rng.binomial(data["trials"], odds / (1 + odds))
    return data


MODELS = {
    "poisson": ("count ~ x + (1 | g)", {"family": "poisson"}),
    "slopes": ("count ~ x + (x | g)", {"family": "poisson"}),
    "crossed": ("count ~ x + (1 | g) + (1 | h)", {"family": "nbinom2"}),
    "binomial": ("cbind(hits, trials - hits) ~ x + (1 | g)", {"family": "binomial"}),
    "two predictors": (
        "count ~ x + (1 | g)",
        {"family": "poisson", "zero_inflation": "~ x + (1 | g)"},
    ),
    "dispersion": ("count ~ x + (1 | g)", {"family": "nbinom2", "dispersion": "~ z"}),
}


@pytest.fixture(scope="module")
def fits():
    data = counts()
    return {name: hglm.fit(text, data, **more) for name, (text, more) in MODELS.items()}


@pytest.mark.parametrize("name", MODELS)
def test_slopes_of_the_mode_agree_with_central_differences(fits, name):
    """∂b̂/∂ψ for the fixed effects of every predictor and every covariance parameter."""
    state = fits[name].estimates.state
    assert isinstance(state, GeneralisedState)
    problem, mode = state.problem, state.evaluation.mode
    factor = joint_covariance(fits[name].estimates).factor()
    slopes = _mode_slopes(problem, mode, factor, problem.theta(state.psi))
    for i in range(len(state.psi)):
        step = np.zeros(len(state.psi))
        step[i] = 1e-5
        ends = []
        for psi in (state.psi - step, state.psi + step):
            there = evaluate_laplace(problem, psi, None, 1e-13).mode
            ends.append([x + d for x, d in zip(there.b, there.d_b, strict=True)])
        for ours, low, high in zip(slopes, *ends, strict=True):
            np.testing.assert_allclose(ours[i], (high - low)[0] / 2e-5, rtol=1e-5, atol=1e-6)


def test_normal_responses_give_the_conditional_covariances_of_the_linear_model():
    """Laplace's approximation is exact for them: the same b | y by two routes."""
    data = data_frame()
    formula = "y ~ x + (1 | g) + (1 | h)"
    linear = hglm.fit(formula, data, method="ml").estimates
    general = hglm.fit(formula, data, method="laplace").estimates
    assert isinstance(general.state, GeneralisedState)
    pairs = zip(conditional_covariances(general), conditional_covariances(linear), strict=True)
    for ours, exact in pairs:  # both optima are good to about 1e-5 in the variances
        np.testing.assert_allclose(ours, exact, rtol=1e-4)
    fuller = (conditional_covariances(estimates, beta=True) for estimates in (general, linear))
    for ours, exact in zip(*fuller, strict=True):  # more is uncertain: the variances, too
        assert np.all(ours > exact * (1 - 1e-4))


LME4 = ["cbpp_laplace", "grouseticks_poisson", "epil_poisson", "contraception_ri"]
GLMMTMB = ["salamanders_poisson", "salamanders_nb2", "epil_nb2"]
FAMILIES = {"salamanders_nb2": "nbinom2", "epil_nb2": "nbinom2"}


def fit_reference(name):
    stored = reference(name)
    family = FAMILIES.get(name, stored["family"])
    return hglm.fit(
        stored["formula"], reference_frame(stored), family=family, offset=stored["offset"]
    ), stored


@pytest.mark.parametrize("name", [*LME4, *GLMMTMB])
def test_conditional_sds_are_those_of_lme4_or_glmmtmb(name):
    """lme4: given θ and β. glmmTMB: with the uncertainty of everything estimated."""
    fit, stored = fit_reference(name)
    table = ranef_frame(fit.estimates, beta=name in GLMMTMB)
    for group, expected in stored["ranef"].items():
        part = table[table["group"] == group]
        part = part.assign(level=part["level"].astype(str)).set_index("level")
        part = part.loc[list(map(str, expected["levels"]))]
        sd = np.array(expected["cond_sd"])[:, 0]
        # the programs' optima differ by about 1e-5 of a standard error (README of the files)
        np.testing.assert_allclose(part["std_error"], sd, rtol=1e-5)
        modes = np.array(expected["values"])[:, 0]
        np.testing.assert_allclose(part["estimate"], modes, rtol=0, atol=2e-5 * sd.max())


def test_standard_errors_of_predictions_are_those_of_glmmtmb():
    """glmmTMB 1.1.5, `predict(se.fit = TRUE)`; a new level is another convention there."""
    fit, _ = fit_reference("salamanders_nb2")
    expected = inference_reference("salamanders_nb2")["predict"]
    rows = prediction_rows(
        fit.design, fit.spec, pd.DataFrame(expected["newdata"]), new_levels="population"
    )
    options = {"interval": "confidence", "new_levels": "population"}
    found = predict(fit.estimates, rows, **options)
    np.testing.assert_allclose(found["fit"], expected["conditional_link"], atol=1e-5)
    se = np.array(expected["conditional_link_se"])
    np.testing.assert_allclose(found["std_error"][:2], se[:2], rtol=1e-5)
    # glmmTMB adds the variance of a new level to the error of its zero effect
    between = fit.estimates.terms[0].covariance[0, 0]
    np.testing.assert_allclose(found["std_error"][2] ** 2 + between, se[2] ** 2, rtol=1e-5)
    line = predict(fit.estimates, rows, random="none", **options)
    np.testing.assert_allclose(line["std_error"], expected["population_link_se"], rtol=1e-5)


def exponential(eta):
    return np.exp(eta), np.exp(eta)


def test_population_means_and_their_errors_are_those_of_glmmtmb():
    fit, _ = fit_reference("salamanders_nb2")
    expected = inference_reference("salamanders_nb2")["predict"]
    rows = prediction_rows(fit.design, fit.spec, pd.DataFrame(expected["newdata"]), random="none")
    found = predict(fit.estimates, rows, random="none", interval="confidence", mean=exponential)
    np.testing.assert_allclose(found["fit"], expected["population_response"], rtol=1e-5)
    np.testing.assert_allclose(found["std_error"], expected["population_response_se"], rtol=1e-5)


def test_random_effects_of_further_predictors_are_told_apart(fits):
    fit = fits["two predictors"]
    table = ranef_frame(fit.estimates)
    assert list(table.columns[:4]) == ["predictor", "group", "level", "term"]
    assert list(table["predictor"].unique()) == ["mean", "zero_inflation"]
    assert len(coef_frame(fit.estimates, fit.design.mean.names)) == 18
    rows = prediction_rows(fit.design, fit.spec, None)
    np.testing.assert_allclose(predict(fit.estimates, rows), fit.estimates.linear_predictor)
    found = predict(fit.estimates, rows, interval="confidence")
    mean_only = ranef_frame(fit.estimates, beta=True).query("predictor == 'mean'")
    assert np.all(found["std_error"] > 0)
    assert len(mean_only) == 18


def test_new_draws_have_the_mean_of_the_marginal_model(fits):
    """Closed form for the log link: E(y) = exp(x'β + z'Σz/2)."""
    fit = fits["slopes"]
    (term,), z = fit.estimates.terms, fit.design.mean.random[0].z
    log_mean = fit.design.mean.X @ fit.estimates.beta
    expected = np.exp(log_mean + np.einsum("ni,ij,nj->n", z, term.covariance, z) / 2)
    draws = simulate(fit.estimates, fit.design, 3000, np.random.default_rng(1))
    error = draws.std(axis=1) / np.sqrt(3000)
    # 240 dependent values, skewed: 5 standard errors leave one false alarm in a thousand
    assert np.abs((draws.mean(axis=1) - expected) / error).max() < 5


@pytest.mark.parametrize("name", ["binomial", "two predictors", "dispersion"])
def test_conditional_draws_have_the_moments_of_the_family(fits, name):
    fit = fits[name]
    draws = simulate(fit.estimates, fit.design, 2000, np.random.default_rng(4), "conditional")
    # y - E(y) and (y - E(y))/sd(y): E and sd as the residuals have them
    mean = fit.design.y - residuals(fit.estimates, fit.design)
    ratio = residuals(fit.estimates, fit.design) / residuals(fit.estimates, fit.design, "pearson")
    z = (draws.mean(axis=1) - mean) / (ratio / np.sqrt(2000))
    assert np.abs(z).max() < 5
    assert np.mean(draws.var(axis=1) / ratio**2) == pytest.approx(1, abs=0.03)


def test_residuals_follow_their_formulas(fits):
    poisson, binomial = fits["poisson"], fits["binomial"]
    y, mu = poisson.design.y, np.exp(poisson.estimates.linear_predictor)
    pearson = residuals(poisson.estimates, poisson.design, "pearson")
    np.testing.assert_allclose(pearson, (y - mu) / np.sqrt(mu), rtol=1e-10)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = 2 * (np.where(y > 0, y * np.log(y / mu), 0) - (y - mu))
    deviance = residuals(poisson.estimates, poisson.design, "deviance")
    np.testing.assert_allclose(deviance, np.sign(y - mu) * np.sqrt(unit), rtol=1e-6)
    y, n = binomial.design.y, binomial.design.trials
    mu = 1 / (1 + np.exp(-binomial.estimates.linear_predictor))
    pearson = residuals(binomial.estimates, binomial.design, "pearson")
    np.testing.assert_allclose(pearson, (y - mu) * np.sqrt(n / (mu * (1 - mu))), rtol=1e-9)


def test_what_is_only_for_linear_models_says_so(fits):
    fit = fits["poisson"]
    for ask in (
        lambda: residuals(fit.estimates, fit.design, "studentised"),
        lambda: leverage(fit.estimates, fit.design),
    ):
        with pytest.raises(OptionError, match="linear mixed models"):
            ask()


def test_a_factor_of_another_predictor_alone_is_conditioned_on_like_any_other():
    """New rows need it where the response is predicted, and only there."""
    data = counts()
    fit = hglm.fit("count ~ x + (1 | g)", data, "poisson", zero_inflation="~ z + (1 | h)")
    np.testing.assert_allclose(fit.predict(data), fit.fittedvalues, rtol=1e-12)
    by_h = fit.predict(data.drop(columns="g"), random="h")
    mean = np.exp(fit.design.mean.X @ fit.estimates.beta)
    zero = fit.others["zero_inflation"].linear_predictor
    np.testing.assert_allclose(by_h, mean / (1 + np.exp(zero)), rtol=1e-12)
    link = fit.predict(data.drop(columns=["h", "z"]), scale="link")
    np.testing.assert_allclose(link, fit.estimates.linear_predictor, rtol=1e-12)
    population = data.head(3).drop(columns=["g", "h"])
    found = fit.predict(population, random="none", interval="prediction")
    assert np.all(found["conf_low"] < found["conf_high"])
