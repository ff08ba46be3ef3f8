"""Linear mixed models of R's programs, formula to table, through the public API.

Values: lme4 1.1-31, glmmTMB 1.1.5 (machines_tmb_*) and nlme 3.1-162 (oats_lme_nested), made
by `reference/scripts/make_public.R`; `note` in each file says how far R's own optimum is
certain: to 1e-11 in the log likelihood, about 1e-6 in θ. Log likelihoods are therefore held to
1e-7, fixed effects to 1e-5 of their standard errors, standard errors to 1e-5 and standard
deviations and correlations to 1e-4, as the project's brief asks.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import hglm
from reference_data import reference, reference_frame, reference_ids

BLOCKS = ["machines_tmb_us", "machines_tmb_diag", "machines_tmb_cs"]
MODELS = [*reference_ids("lmm"), *BLOCKS, "oats_lme_nested"]
STORED = {model: reference(model) for model in MODELS}


@cache
def fitted(model: str) -> hglm.Fit:
    stored = STORED[model]
    return hglm.fit(
        stored["formula"],
        reference_frame(stored),
        method=stored["method"],
        weights=stored["weights"],
        offset=stored["offset"],
    )


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def unordered(name: str) -> str:
    """Name of a column whatever the order of the parts of an interaction."""
    return ":".join(sorted(name.split(":")))


def in_order(stored: dict[str, Any], fit: hglm.Fit) -> list[int]:
    """Positions of the stored coefficients among those of the fit."""
    names = stored.get("fixef_names_py") or ["Intercept", *stored["fixef_names"][1:]]
    ours = [unordered(name) for name in fit.params.index]
    assert len(ours) == len(names)
    return [ours.index(unordered(name)) for name in names]


def test_all_linear_files_are_here() -> None:
    assert len(reference_ids("lmm")) == 44


def test_log_likelihood(model: str) -> None:
    assert fitted(model).llf == pytest.approx(STORED[model]["loglik"], abs=1e-7)


def test_counts_and_information_criteria(model: str) -> None:
    stored, fit = STORED[model], fitted(model)
    assert fit.n_parameters == stored["n_parameters"]
    assert fit.nobs == stored["n_obs"]
    assert fit.df_resid == stored["n_obs"] - stored["n_parameters"]
    assert fit.aic == pytest.approx(stored["aic"], abs=2e-7)
    assert fit.deviance == pytest.approx(stored["criterion"], abs=2e-7)
    if model != "oats_lme_nested":  # nlme counts n - p observations
        assert fit.bic == pytest.approx(stored["bic"], abs=2e-7)


def test_fixed_effects(model: str) -> None:
    stored, fit = STORED[model], fitted(model)
    order = in_order(stored, fit)
    error = (fit.params.to_numpy()[order] - stored["fixef"]) / np.array(stored["se"])
    np.testing.assert_allclose(error, 0.0, atol=1e-5)


def test_standard_errors_and_covariance(model: str) -> None:
    stored, fit = STORED[model], fitted(model)
    order = in_order(stored, fit)
    se = np.array(stored["se"])
    np.testing.assert_allclose(fit.bse.to_numpy()[order], se, rtol=1e-5)
    vcov = fit.cov_params().to_numpy()[np.ix_(order, order)]
    np.testing.assert_allclose(
        vcov / np.outer(se, se), np.array(stored["vcov"]) / np.outer(se, se), atol=1e-5
    )


def test_residual_standard_deviation(model: str) -> None:
    assert fitted(model).sigma == pytest.approx(STORED[model]["sigma"], rel=1e-5)


def test_relative_factors(model: str) -> None:
    if model in BLOCKS or model == "oats_lme_nested":
        return  # other parameters
    np.testing.assert_allclose(
        fitted(model).theta, np.atleast_1d(STORED[model]["theta"]), rtol=1e-4, atol=1e-5
    )


def test_variance_components(model: str) -> None:
    """`varcorr`: terms in lme4's order, variances of a term before its covariances."""
    table = fitted(model).varcorr
    stored = STORED[model]["varcorr"]
    if model == "oats_lme_nested":  # nlme prints the outer factor first
        stored = [{**stored[1], "group": "variety:block"}, stored[0]]
    variances = table[table["term2"].isna()]
    assert list(variances["group"]) == [
        *(v["group"] for v in stored for _ in v["names"]),
        "Residual",
    ]
    sds = np.concatenate([*(v["sd"] for v in stored), [STORED[model]["sigma"]]])
    np.testing.assert_allclose(variances["sdcor"], sds, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(variances["vcov"], variances["sdcor"] ** 2, rtol=1e-12)
    correlations = [
        np.array(v["corr"])[np.triu_indices(len(v["names"]), 1)]
        for v in stored
        if v.get("structure") != "diag"
    ]
    ours = table.loc[table["term2"].notna(), "sdcor"]
    np.testing.assert_allclose(ours, np.concatenate([*correlations, []]), atol=1e-4)


def test_singularity_is_reported_and_convergence_certified(model: str) -> None:
    fit = fitted(model)
    assert fit.singular == STORED[model]["singular"]
    assert fit.converged
    assert fit.certificate.gain < 1e-5  # before the last step, which large fits take unevaluated


def test_conditional_modes_and_their_errors(model: str) -> None:
    """First ten levels of each factor; errors given θ and β, as lme4 has them.

    lme4's θ is certain to about 1e-6, which a mode of size sd moves by less than 1e-5 sd.
    The errors of glmmTMB count in those of θ, and are not compared.
    """
    table = fitted(model).ranef()
    for group, stored in STORED[model]["ranef"].items():
        ours = table[table["group"] == ("variety:block" if group == "variety" else group)]
        terms = list(dict.fromkeys(ours["term"]))
        assert len(terms) == len(stored["names"])
        assert ours["level"].nunique() == stored["n_levels"]
        wide = ours.pivot_table(index="level", columns="term", values=["estimate", "std_error"])
        levels = [turned(level) if group == "variety" else level for level in stored["levels"]]
        estimates = wide["estimate"].loc[levels, terms].to_numpy()
        scale = np.maximum(np.std(wide["estimate"][terms].to_numpy(), axis=0), 1e-10)
        np.testing.assert_allclose(estimates / scale, np.array(stored["values"]) / scale, atol=2e-5)
        if "cond_sd" in stored and model not in BLOCKS:
            errors = wide["std_error"].loc[levels, terms].to_numpy()
            np.testing.assert_allclose(errors, stored["cond_sd"], rtol=2e-5, atol=1e-9)


def turned(level: str) -> str:
    """Translate a level of nlme, ``"I/Victory"``, to R's ``"Victory:I"``."""
    return ":".join(reversed(level.split("/")))


def test_fitted_values(model: str) -> None:
    stored, fit = STORED[model], fitted(model)
    scale = fit.sigma
    ours = fit.fittedvalues.to_numpy()[:10]
    np.testing.assert_allclose(ours / scale, np.array(stored["fitted_head"]) / scale, atol=1e-5)
    if "eta_fixed_head" in stored:
        fixed = np.asarray(fit.predict(random="none"))[:10]
        expected = np.array(stored["eta_fixed_head"])
        np.testing.assert_allclose(fixed / scale, expected / scale, atol=1e-5)


def test_no_log_likelihood_is_below_that_of_another_program(model: str) -> None:
    """Whatever program reached it, of those whose results the file holds."""
    others = [c["loglik"] for c in STORED[model].get("crosscheck", {}).values() if "loglik" in c]
    assert fitted(model).llf >= max([STORED[model]["loglik"], *others]) - 1e-7
