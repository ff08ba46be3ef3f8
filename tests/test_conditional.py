"""Random effects of the levels: covariances, intervals, shrinkage, coefficients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hglm.design import build_design
from hglm.errors import OptionError
from hglm.fitting.estimate import estimate_linear
from hglm.formula import parse_formula
from hglm.inference.conditional import coef_frame, conditional_covariances, ranef_frame
from prediction_models import (
    MODELS,
    blocks_of,
    conditional_covariance,
    dense_errors,
    fitted,
)
from reference_data import reference, reference_frame, reference_ids

RANDOM = [name for name in MODELS if name != "fixed effects only"]


@pytest.mark.parametrize("name", RANDOM)
def test_conditional_covariances_equal_those_of_dense_matrices(name):
    """Row 10 of the known wrong answers: conditional variances."""
    fit = fitted(name)
    expected = blocks_of(fit, conditional_covariance(fit))
    for ours, dense in zip(conditional_covariances(fit.estimates), expected, strict=True):
        np.testing.assert_allclose(ours, dense, rtol=1e-9, atol=1e-9 * np.abs(dense).max())


@pytest.mark.parametrize("name", RANDOM)
def test_errors_of_the_random_effects_include_those_of_the_fixed_ones(name):
    fit = fitted(name)
    expected = blocks_of(fit, dense_errors(fit, None))
    for ours, dense in zip(
        conditional_covariances(fit.estimates, beta=True), expected, strict=True
    ):
        np.testing.assert_allclose(ours, dense, rtol=1e-9, atol=1e-9 * np.abs(dense).max())


@pytest.mark.parametrize("arguments", [{"weights": "w"}, {"frequencies": "f"}])
def test_covariances_respect_weights_and_frequencies(arguments):
    fit = fitted("crossed", **arguments)
    for beta, dense in ((False, conditional_covariance(fit)), (True, dense_errors(fit, None))):
        ours = conditional_covariances(fit.estimates, beta)
        for block, expected in zip(ours, blocks_of(fit, dense), strict=True):
            np.testing.assert_allclose(block, expected, rtol=1e-9)


def balanced(levels: int, repeats: int) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    batch = np.repeat(np.arange(levels), repeats)
    return pd.DataFrame({"y": 3 * rng.normal(size=levels)[batch] + rng.normal(size=batch.size),
                         "batch": batch})  # fmt: skip


def test_shrinkage_of_a_balanced_design_is_the_weight_of_the_population():
    """Closed form: σ²/(rσ_b² + σ²), and b̂ is what is left of the deviation."""
    data = balanced(8, 5)
    design, _ = build_design(parse_formula("y ~ 1 + (1 | batch)"), data)
    estimates = estimate_linear(design, reml=True)
    between, within = estimates.terms[0].covariance[0, 0], estimates.sigma**2
    weight = 5 * between / (5 * between + within)
    table = ranef_frame(estimates)
    np.testing.assert_allclose(table["shrinkage"], 1 - weight, rtol=1e-12)
    deviation = data.groupby("batch")["y"].mean() - data["y"].mean()
    np.testing.assert_allclose(table["estimate"], weight * deviation, rtol=1e-10)
    # Var(b | y) = σ_b²(1 - weight); with β̂ = mean, Var(b̂ - b) gains (1 - ...) of the mean
    np.testing.assert_allclose(table["std_error"] ** 2, between * (1 - weight), rtol=1e-12)
    full = ranef_frame(estimates, beta=True)
    extra = weight**2 * (between + within / 5) / 8
    np.testing.assert_allclose(full["std_error"] ** 2, between * (1 - weight) + extra, rtol=1e-12)


def test_zero_variance_means_no_errors_and_complete_shrinkage():
    data = balanced(6, 4)
    data["y"] = np.tile([0.0, 1.0, 2.0, 3.0], 6)  # equal means: the variance between is zero
    design, _ = build_design(parse_formula("y ~ 1 + (1 | batch)"), data)
    table = ranef_frame(estimate_linear(design, reml=True))
    assert (table[["estimate", "std_error", "conf_low", "conf_high"]] == 0).all(axis=None)
    assert (table["shrinkage"] == 1).all()


def test_frame_has_terms_then_coefficients_then_levels():
    fit = fitted("crossed, slopes")
    table = ranef_frame(fit.estimates)
    assert list(table.columns) == [
        "group", "level", "term", "estimate", "std_error", "conf_low", "conf_high", "shrinkage"
    ]  # fmt: skip
    runs = table[["group", "term"]].drop_duplicates().to_numpy().tolist()
    assert runs == [["g", "Intercept"], ["g", "x"], ["h", "x"], ["h", "Intercept"]]
    assert list(table["level"][:18]) == sorted(set(fit.data["g"]))
    assert table["shrinkage"].between(0, 1).all()


def test_intervals_are_symmetric_and_of_the_level_asked_for():
    fit = fitted("one factor, slopes")
    table = ranef_frame(fit.estimates, level=0.8)
    half = 1.2815515655446004 * table["std_error"]  # the normal quantile of 0.9
    np.testing.assert_allclose(table["conf_high"] - table["estimate"], half, rtol=1e-10)
    np.testing.assert_allclose(table["estimate"] - table["conf_low"], half, rtol=1e-10)
    with pytest.raises(OptionError, match="between 0 and 1"):
        ranef_frame(fit.estimates, level=95)


def test_tables_are_empty_without_random_effects():
    fit = fitted("fixed effects only")
    assert ranef_frame(fit.estimates).empty
    assert list(coef_frame(fit.estimates, ["Intercept", "x"])) == [
        "group",
        "level",
        "Intercept",
        "x",
    ]


def test_coefficients_of_a_level_are_fixed_plus_random():
    fit = fitted("crossed, slopes")
    table = coef_frame(fit.estimates, fit.design.mean.names)
    assert list(table) == ["group", "level", "Intercept", "x"]
    of_g, of_h = table[table["group"] == "g"], table[table["group"] == "h"]
    g, slope, intercept = (term.modes for term in fit.estimates.terms)
    np.testing.assert_allclose(of_g[["Intercept", "x"]], fit.estimates.beta + g)
    np.testing.assert_allclose(of_h["x"], fit.estimates.beta[1] + slope[:, 0])
    np.testing.assert_allclose(of_h["Intercept"], fit.estimates.beta[0] + intercept[:, 0])


def test_coefficients_without_a_fixed_effect_come_last():
    fit = fitted("one factor, compound symmetry")
    table = coef_frame(fit.estimates, fit.design.mean.names)
    assert list(table) == ["group", "level", "Intercept", "x", "z"]
    np.testing.assert_allclose(table["z"], fit.estimates.terms[0].modes[:, 1])


REFERENCES = [
    name for name in reference_ids("lmm")
    if reference(name).get("ranef") and reference(name)["data"] != "data/insteval.csv.gz"
] + ["insteval_full_ml"]  # fmt: skip


@pytest.mark.parametrize("name", REFERENCES)
def test_modes_and_conditional_sds_are_those_of_lme4(name):
    """lme4 1.1-31, `ranef(condVar = TRUE)`, first ten levels (tests/reference)."""
    stored = reference(name)
    design, _ = build_design(
        parse_formula(stored["formula"]),
        reference_frame(stored),
        weights=stored["weights"],
        offset=stored["offset"],
    )
    table = ranef_frame(estimate_linear(design, stored["method"] == "reml"))
    for group, expected in stored["ranef"].items():
        ours = table[table["group"] == group]
        assert ours["level"].nunique() == expected["n_levels"]
        levels = list(map(str, expected["levels"]))
        ours = ours.assign(level=ours["level"].astype(str))
        for a, column in enumerate(ours["term"].unique()):
            part = ours[ours["term"] == column].set_index("level").loc[levels]
            sd = np.array(expected["cond_sd"])[:, a]
            values = np.array(expected["values"])[:, a]
            # θ of both programs are within 1e-5 of the optimum's scale
            np.testing.assert_allclose(part["std_error"], sd, rtol=1e-5, atol=1e-8)
            np.testing.assert_allclose(part["estimate"], values, rtol=1e-5, atol=2e-5 * sd.max())
