"""Influence of rows and levels: against generalised least squares without them, and refits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import linalg

import hglm
from dense_oracle import dense_covariance
from hglm.errors import OptionError
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.fit_design import fit_like
from hglm.inference.diagnostics.collinearity import vif
from hglm.inference.diagnostics.influence import influence
from hglm.inference.diagnostics.subset import take_rows
from prediction_models import Fitted, data_frame, fitted


def without(fit: Fitted, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """β̂ and its covariance without some rows, θ and σ as they are, by dense matrices."""
    design, estimates = fit.design, fit.estimates
    left = np.setdiff1d(np.arange(design.n), rows)
    weights = np.ones(design.n)
    for w in (design.weights, design.frequencies):
        weights = weights if w is None else weights * w
    terms = [
        (design.mean.random[t.position].codes, design.mean.random[t.position].z, t.covariance)
        for t in estimates.terms
    ]
    V = dense_covariance(terms, weights / estimates.sigma**2)[np.ix_(left, left)]
    X = design.mean.X[left]
    vcov = linalg.inv(X.T @ linalg.solve(V, X))
    return vcov @ X.T @ linalg.solve(V, design.y[left]), vcov


def check(fit: Fitted, group: str | None, codes: np.ndarray, **arguments: object) -> None:
    found = influence(fit.estimates, fit.design, group, **arguments)
    beta, V = fit.estimates.beta, fit.estimates.vcov
    for c in range(codes.max() + 1):
        b, vcov = without(fit, np.flatnonzero(codes == c))
        change = beta - b
        scale = np.sqrt(np.diagonal(V))
        np.testing.assert_allclose(found.change.iloc[c] / scale, change / scale, atol=1e-7)
        dfbetas = change / np.sqrt(np.diagonal(vcov))
        np.testing.assert_allclose(found.dfbetas.iloc[c], dfbetas, atol=1e-7)
        row = found.measures.iloc[c]
        cooks = change @ linalg.solve(V, change) / len(beta)
        np.testing.assert_allclose(row["cooks_distance"], cooks, rtol=1e-5, atol=1e-10)
        ratio = np.exp(np.linalg.slogdet(vcov)[1] - np.linalg.slogdet(V)[1])
        np.testing.assert_allclose(row["covratio"], ratio, rtol=1e-6)
        assert row["n_rows"] == np.sum(codes == c)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("one factor", "g"),
        ("one factor, slopes", "g"),
        ("nested, slopes", "school"),
        ("nested, slopes", "g"),  # inside a school: not independent of others
        ("three levels", "school"),
        ("crossed, slopes", "g"),
        ("crossed, slopes", "h"),
        ("crossed and nested", "school"),
        ("singular", "g"),
    ],
)
def test_leaving_out_levels(name, group):
    fit = fitted(name)
    term = next(t for t in fit.design.mean.random if t.group == group)
    check(fit, group, term.codes)


@pytest.mark.parametrize("name", ["fixed effects only", "one factor, slopes", "crossed, slopes"])
def test_leaving_out_rows(name):
    fit = fitted(name)
    check(fit, None, np.arange(fit.design.n))


def test_units_change_nothing():
    small, big = fitted("one factor, slopes"), fitted("slopes in other units")
    for group in ("g", None):
        one = influence(small.estimates, small.design, group).measures
        two = influence(big.estimates, big.design, group).measures
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-10)


def test_weights_and_frequencies_count():
    fit = fitted("crossed, slopes", weights="w", frequencies="f")
    check(fit, "h", next(t for t in fit.design.mean.random if t.group == "h").codes)
    check(fit, None, np.arange(fit.design.n))


def test_rows_of_least_squares_have_the_measures_of_statsmodels():
    data = data_frame()
    fit = fitted("fixed effects only")
    measures = influence(fit.estimates, fit.design).measures
    expected = sm.OLS(data["y"], sm.add_constant(data["x"])).fit().get_influence()
    np.testing.assert_allclose(measures["cooks_distance"], expected.cooks_distance[0], rtol=1e-9)
    np.testing.assert_allclose(measures["leverage"], expected.hat_matrix_diag, rtol=1e-9)


def test_refits_are_fits_of_the_smaller_data():
    data = data_frame()
    formula = "y ~ x + (x | school)"
    fit = hglm.fit(formula, data)
    found = influence(fit.estimates, fit.design, "school", lambda d: estimate_linear(d, True))
    for level in found.measures.index:
        other = hglm.fit(formula, data[data["school"] != level])
        scale = fit.bse
        np.testing.assert_allclose(
            found.change.loc[level] / scale, (fit.params - other.params) / scale, atol=1e-5
        )
        dfbetas = (fit.params - other.params) / other.bse
        np.testing.assert_allclose(found.dfbetas.loc[level], dfbetas, atol=1e-4)


def test_refits_of_a_generalised_model():
    cbpp = hglm.load_dataset("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fit = hglm.fit(formula, cbpp, family="binomial")
    design = take_rows(fit.design, np.flatnonzero(fit.design.mean.random[0].codes < 4))
    assert design.mean.random[0].n_levels == 4
    small = fit_like(fit.estimates, fit.family, design)
    levels = fit.design.mean.random[0].levels[:4]
    other = hglm.fit(formula, cbpp[cbpp["herd"].isin(levels)], family="binomial")
    np.testing.assert_allclose(small.llf, other.llf, rtol=1e-9)
    with pytest.raises(OptionError, match="are for linear mixed models"):
        influence(fit.estimates, fit.design, "herd")


def test_a_level_that_alone_tells_a_coefficient_has_no_value():
    data = data_frame().assign(only=lambda d: 1.0 * (d["g"] == "g03"))
    fit = hglm.fit("y ~ x + only + (1 | g)", data)
    found = influence(fit.estimates, fit.design, "g")
    lost = found.measures["cooks_distance"].isna()
    assert list(found.measures.index[lost]) == ["g03"]
    again = influence(fit.estimates, fit.design, "g", lambda d: estimate_linear(d, True))
    assert list(again.measures.index[again.measures["cooks_distance"].isna()]) == ["g03"]


def test_the_level_that_was_moved_stands_out():
    data = data_frame()
    data.loc[data["g"] == "g05", "y"] += 40.0 * data.loc[data["g"] == "g05", "x"]
    fit = hglm.fit("y ~ x + (1 | g)", data)
    assert influence(fit.estimates, fit.design, "g").measures["cooks_distance"].idxmax() == "g05"


def test_an_unknown_factor_is_named():
    fit = fitted("one factor")
    with pytest.raises(OptionError, match="no grouping factor `h`; it has `g`"):
        influence(fit.estimates, fit.design, "h")


def test_inflation_of_least_squares_is_one_over_one_less_r_squared():
    rng = np.random.default_rng(3)
    data = pd.DataFrame(rng.normal(size=(60, 4)), columns=list("yabc"))
    data["c"] += data["a"] - 0.5 * data["b"]
    fit = hglm.fit("y ~ a + b + c", data)
    found = vif(fit.estimates, fit.design.mean)
    expected = []
    for name in "abc":
        others = sm.add_constant(data[[x for x in "abc" if x != name]])
        expected.append(1.0 / (1.0 - sm.OLS(data[name], others).fit().rsquared))
    np.testing.assert_allclose(found["gvif"], expected, rtol=1e-9)
    np.testing.assert_allclose(found["gvif_scaled"], np.sqrt(expected), rtol=1e-9)
    assert list(found["term"]) == ["a", "b", "c"]


def test_inflation_of_balanced_factors():
    """Balanced main effects are orthogonal: every GVIF is 1."""
    fit = hglm.fit("yield ~ nitro_f + variety + (1 | block/variety)", hglm.load_dataset("oats"))
    found = vif(fit.estimates, fit.design.mean)
    np.testing.assert_allclose(found["gvif"], 1.0, rtol=1e-9)
    assert list(found["df"]) == [3, 2]
    one = hglm.fit("reaction ~ days + (1 | subject)", hglm.load_dataset("sleepstudy"))
    assert vif(one.estimates, one.design.mean).empty


def test_inflation_of_orthodont_is_that_of_car():
    """R: car 3.1-1, vif(lmer(distance ~ age * sex + (age | subject))), bobyqa to rhoend 1e-10."""
    fit = hglm.fit("distance ~ age * sex + (age | subject)", hglm.load_dataset("orthodont"))
    found = vif(fit.estimates, fit.design.mean).set_index("term")["gvif"]
    # ten digits printed; the optima agree to about 1e-7
    np.testing.assert_allclose(found, [1.687500000, 4.438213899, 5.125713899], rtol=1e-6)


def test_the_largest_are_shown_and_the_rest_is_named() -> None:
    fit = hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))
    found = fit.influence("subject")
    shown = repr(found).splitlines()
    assert shown[0] == "Influence of levels of subject, the largest of 18:"
    assert shown[3].startswith(found.measures["cooks_distance"].idxmax())
    assert len(shown) == 9
    assert repr(fit.influence()).startswith("Influence of single rows, the largest of 180:")
