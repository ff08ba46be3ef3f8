"""Tests of fixed effects against lmerTest 3.1-3, pbkrtest 0.5.2, car 3.1-1 and lme4 1.1-31.

The numbers stand in `reference/inference`, with the script that made them.
Satterthwaite's df of lmerTest rest on numerical derivatives, good to about 1e-6;
the fits themselves agree to about 1e-6 in the covariance parameters.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from hglm.design import Design
from hglm.fitting.record import Estimates
from hglm.inference.anova import anova_table
from hglm.inference.compare import Candidate, compare_table
from hglm.inference.kenward_roger import kenward_roger
from hglm.inference.terms import FixedTerms, fixed_terms
from hglm.inference.tests import denominator, row_tests, wald_intervals
from inference_oracle import (
    dense_kenward_roger,
    dense_kenward_roger_df,
    dense_model,
    fit,
    without_weights,
)
from reference_data import inference_ids, inference_reference, reference, reference_frame

WEIGHTED = "sleepstudy_weights_reml"
STORED = {i: inference_reference(i) for i in inference_ids()}
LINEAR = [i for i, r in STORED.items() if r.get("family") == "gaussian" and "ddf" in r]
CAR = [i for i in LINEAR if "anova" in STORED[i]]
INTERVALS = [
    i for i, r in STORED.items() if r.get("family") == "gaussian" and "wald" in r.get("confint", {})
]
METHODS = {"satterthwaite": "satterthwaite", "kenward_roger": "kenward-roger"}


@cache
def fitted(model: str) -> tuple[Estimates, Design, FixedTerms]:
    stored = reference(model)
    estimates, design, spec = fit(
        stored["formula"],
        reference_frame(stored),
        stored["method"] == "reml",
        weights=stored.get("weights"),
    )
    return estimates, design, fixed_terms(design.mean, spec, design.frame)


def order_of_names(model: str, design: Design) -> list[int]:
    """Where each of our coefficients stands in the reference."""
    stored = [frozenset(name.split(":")) for name in reference(model)["fixef_names_py"]]
    return [stored.index(frozenset(name.split(":"))) for name in design.mean.names]


def parts(term: str) -> frozenset[str]:
    """Factors of a term, in whatever order and spelling of powers."""
    return frozenset(term.replace(" ", "").replace("^", "**").split(":"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", [i for i in LINEAR if i != WEIGHTED])
def test_coefficients_have_the_t_tests_of_lmertest(model: str, method: str) -> None:
    estimates, design, _ = fitted(model)
    rows = STORED[model]["ddf"][method]["coef"]
    stored = pd.DataFrame(rows).iloc[order_of_names(model, design)]
    tests = row_tests(
        estimates.beta, denominator(estimates, METHODS[method]), np.eye(len(estimates.beta))
    )
    np.testing.assert_allclose(tests.df, stored["df"], rtol=2e-6)
    np.testing.assert_allclose(tests.std_error, stored["se"], rtol=1e-6)
    np.testing.assert_allclose(tests.statistic, stored["t"], rtol=2e-6)
    np.testing.assert_allclose(tests.p_value, stored["p"], rtol=5e-5)


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", [i for i in LINEAR if i != WEIGHTED])
def test_anova_is_that_of_lmertest(model: str, method: str, kind: int) -> None:
    estimates, _, terms = fitted(model)
    table = anova_table(estimates, terms, kind, METHODS[method])
    rows = STORED[model]["ddf"][method][f"anova_type{kind}"]
    assert len(table) == len(rows)
    if not rows:  # only an intercept
        return
    stored = pd.DataFrame(rows)
    assert list(map(parts, table.index)) == list(map(parts, stored["term"]))
    np.testing.assert_array_equal(table["num_df"], stored["num_df"])
    np.testing.assert_allclose(table["den_df"], stored["den_df"], rtol=2e-6)
    np.testing.assert_allclose(table["statistic"], stored["F"], rtol=2e-6)
    np.testing.assert_allclose(table["p_value"], stored["p"], rtol=5e-5)
    if "sum_sq" in stored:
        np.testing.assert_allclose(table["sum_sq"], stored["sum_sq"], rtol=3e-6)
        np.testing.assert_allclose(table["mean_sq"], stored["mean_sq"], rtol=3e-6)


@pytest.mark.parametrize("model", [i for i in LINEAR if i != WEIGHTED])
def test_adjusted_covariance_is_that_of_pbkrtest(model: str) -> None:
    estimates, design, _ = fitted(model)
    order = order_of_names(model, design)
    stored = np.array(STORED[model]["ddf"]["kenward_roger"]["vcov_adj"])[np.ix_(order, order)]
    scale = np.sqrt(np.outer(np.diag(stored), np.diag(stored)))
    difference = (kenward_roger(estimates).vcov - stored) / scale
    assert np.abs(difference).max() < 1e-6


def test_sleepstudy_by_kenward_and_roger_from_a_default_fit_of_lme4() -> None:
    """pbkrtest 0.5 on lme4's default optimum, which is short by about 1e-5 of the variances."""
    estimates, _, terms = fitted("sleepstudy_rs_reml")
    expected = [[46.575120049, -1.451088417], [-1.451088417, 2.389465623]]
    np.testing.assert_allclose(kenward_roger(estimates).vcov, expected, rtol=2e-5)
    table = anova_table(estimates, terms, 3, "kenward-roger")
    row = table.loc["days", ["statistic", "den_df", "p_value"]].astype(float)
    np.testing.assert_allclose(row, [45.85296156, 17.0, 3.263808018e-06], rtol=1e-5)


def test_pbkrtest_forgets_the_weights_and_hglm_does_not() -> None:
    """Its numbers come out when the residual covariance is σ²I in V but σ²W^-1 in Φ.

    Every subject has the same days and the same weights, so the slope is a mean of
    18 independent and identically distributed slopes: 17 degrees of freedom, and
    nothing to adjust.
    """
    estimates, design, _ = fitted(WEIGHTED)
    stored = STORED[WEIGHTED]["ddf"]["kenward_roger"]
    model, rows = dense_model(estimates, design), np.eye(2)
    wrong, Phi, P, W = dense_kenward_roger(without_weights(model), Phi=estimates.vcov)
    np.testing.assert_allclose(wrong, stored["vcov_adj"], rtol=1e-6)
    for row, coefficient in zip(rows, stored["coef"], strict=True):
        df, _ = dense_kenward_roger_df(Phi, P, W, row[None])
        np.testing.assert_allclose(df, coefficient["df"], rtol=1e-6)
    method = kenward_roger(estimates)
    np.testing.assert_allclose(method.each(rows), 17.0, rtol=1e-9)
    np.testing.assert_allclose(method.vcov, estimates.vcov, rtol=1e-9)


def test_weighted_satterthwaite_is_that_of_lmertest() -> None:
    estimates, _, terms = fitted(WEIGHTED)
    stored = STORED[WEIGHTED]["ddf"]["satterthwaite"]
    df = denominator(estimates, "satterthwaite").each(np.eye(2))
    np.testing.assert_allclose(df, [c["df"] for c in stored["coef"]], rtol=2e-6)
    table = anova_table(estimates, terms)
    np.testing.assert_allclose(table["statistic"], stored["anova_type3"][0]["F"], rtol=2e-6)


@pytest.mark.parametrize("model", CAR)
def test_coefficients_as_coded_are_type_three_of_car(model: str) -> None:
    estimates, _, terms = fitted(model)
    for ddf, key, statistic in [
        ("asymptotic", "wald_chisq_type3", "chisq"),
        ("kenward-roger", "kr_f_type3", "F"),
    ]:
        if key not in STORED[model]["anova"]:
            continue
        table = anova_table(estimates, terms, "coefficients", ddf)
        stored = pd.DataFrame(STORED[model]["anova"][key])
        np.testing.assert_allclose(table["statistic"], stored[statistic], rtol=2e-6)
        np.testing.assert_allclose(table["p_value"], stored["p"], rtol=1e-4)
        if ddf == "asymptotic":
            np.testing.assert_array_equal(table["df"], stored["df"])
        else:
            np.testing.assert_allclose(table["den_df"], stored["den_df"], rtol=2e-6)


@pytest.mark.parametrize("model", ["cake_factor_reml", "oats_splitplot_reml", "sleepstudy_ri_reml"])
def test_type_two_of_car_coincides_in_balanced_designs(model: str) -> None:
    """car adjusts in the metric of V, lmerTest and hglm in that of least squares."""
    estimates, _, terms = fitted(model)
    stored = pd.DataFrame(STORED[model]["anova"]["wald_chisq_type2"])
    table = anova_table(estimates, terms, 2, "asymptotic")
    np.testing.assert_allclose(table["statistic"], stored["chisq"], rtol=2e-6)
    np.testing.assert_allclose(table["p_value"], stored["p"], rtol=1e-4)
    if "kr_f_type2" in STORED[model]["anova"]:
        stored = pd.DataFrame(STORED[model]["anova"]["kr_f_type2"])
        table = anova_table(estimates, terms, 2, "kenward-roger")
        np.testing.assert_allclose(table["statistic"], stored["F"], rtol=2e-6)
        np.testing.assert_allclose(table["den_df"], stored["den_df"], rtol=2e-6)


@pytest.mark.parametrize("model", INTERVALS)
def test_wald_intervals_are_those_of_lme4(model: str) -> None:
    estimates, design, _ = fitted(model)
    stored = STORED[model]["confint"]
    rows = pd.DataFrame(stored["wald"]).iloc[order_of_names(model, design)]
    limits = wald_intervals(estimates, stored["level"], "asymptotic")
    se = np.sqrt(np.diag(estimates.vcov))
    assert np.abs((limits[:, 0] - rows["lower"]) / se).max() < 1e-5
    assert np.abs((limits[:, 1] - rows["upper"]) / se).max() < 1e-5


@pytest.mark.parametrize("name", ["sleepstudy", "machines", "cake", "radon"])
def test_likelihood_ratios_are_those_of_lme4(name: str) -> None:
    stored = STORED[f"lrt_{name}"]["table"]
    candidates = [Candidate(row["term"], *fitted(row["term"])[:2]) for row in stored[::-1]]
    comparison = compare_table(candidates, refit=True)
    expected = pd.DataFrame(stored).set_index("term")
    table = comparison.table
    assert list(table.index) == list(expected.index)
    np.testing.assert_array_equal(table["npar"], expected["npar"])
    for ours, theirs in [("aic", "aic"), ("bic", "bic"), ("llf", "loglik"), ("deviance",) * 2]:
        np.testing.assert_allclose(table[ours], expected[theirs], rtol=0, atol=1e-7)
    np.testing.assert_array_equal(table["df"].iloc[1:], expected["df"].iloc[1:].astype(float))
    np.testing.assert_allclose(
        table["chisq"].iloc[1:], expected["chisq"].iloc[1:].astype(float), atol=2e-7
    )
    np.testing.assert_allclose(
        table["p_value"].iloc[1:], expected["p"].iloc[1:].astype(float), rtol=1e-6
    )
