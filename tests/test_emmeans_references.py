"""Marginal means against emmeans 1.8.4-1.

Two sources: the `emmeans` blocks of `reference/inference` (their script is in
`reference/scripts`), and `emmeans_reference.json`, made by the R script of the same
name for what those blocks do not have: unbalanced data, empty cells, kinds of
weights, all sets of contrasts, slopes, transformed responses.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.inference.emmeans import joint_tests
from hglm.report.marginal_means import EmmTable, emmeans, emtrends
from hglm.result import Fit
from reference_data import inference_ids, inference_reference, reference, reference_frame

STORED = {i: inference_reference(i) for i in inference_ids()}
BLOCKS = [
    (model, place)
    for model, stored in STORED.items()
    for place in range(len(stored.get("emmeans", ())))
]
OTHERS = json.loads(Path(__file__).with_name("emmeans_reference.json").read_text("utf-8"))

STATISTICS = ("t_ratio", "z_ratio", "statistic")
ESTIMATES = ("emmean", "estimate", "response", "prob", "rate", "ratio", "odds_ratio")
SPELLINGS = {
    "SE": "std_error",
    "lower": "conf_low",
    "upper": "conf_high",
    "null": "null_of_emmeans",  # what our tests call the null is on the linear scale
    **dict.fromkeys(STATISTICS, "statistic"),
    **dict.fromkeys(ESTIMATES, "estimate"),
}
GLMMTMB_DF = 634.0
"""emmeans gives glmmTMB's models the residual degrees of freedom of `df.residual`."""


@cache
def fitted(model: str) -> Fit:
    stored = reference(model)
    link = None if stored["link"] == "identity" else stored["link"]
    data = reference_frame(stored)
    return hglm.fit(stored["formula"], data, stored["family"], link=link, method=stored["method"])


def means(fit: Fit, *args: Any, **options: Any) -> EmmTable:
    return emmeans(fit.estimates, fit.design, fit.spec, fit.family, *args, **options)


def slopes(fit: Fit, *args: Any, **options: Any) -> EmmTable:
    return emtrends(fit.estimates, fit.design, fit.spec, fit.family, *args, **options)


def agree(found: pd.DataFrame, stored: list[dict[str, Any]], rtol: float = 1e-5) -> None:
    """Compare all columns that both have, errors of estimates in standard errors."""
    expected = pd.DataFrame(stored).rename(columns=SPELLINGS).replace({None: np.nan})
    numbers = {"estimate", "std_error", "df", "conf_low", "conf_high", "statistic", "p_value"}
    labels = [c for c in expected.columns if c not in numbers | {"null_of_emmeans"}]
    assert found[labels].astype(str).equals(expected[labels].astype(str))
    df = expected["df"].astype(float)
    z = not any(name in stored[0] for name in ("t_ratio", "statistic"))
    np.testing.assert_allclose(found["df"], df.fillna(np.inf) if z else df, rtol=rtol)
    units = {  # what an error is small beside
        "estimate": expected["std_error"],
        "std_error": expected["std_error"],
        "statistic": expected["statistic"].abs().clip(lower=1.0),
        "p_value": pd.Series(1.0, index=expected.index),
    }
    for name in sorted({"conf_low", "conf_high"}.intersection(expected.columns)):
        units[name] = (expected[name] - expected["estimate"]).abs()
    for name, unit in units.items():
        assert (found[name].isna() == expected[name].isna()).all()
        assert ((found[name] - expected[name]).abs() / unit).max() < rtol, name


@pytest.mark.parametrize(("model", "place"), BLOCKS)
def test_means_and_contrasts_are_those_of_emmeans(model: str, place: int) -> None:
    block = STORED[model]["emmeans"][place]
    ddf = GLMMTMB_DF if model == "salamanders_nb2" else block["df_method"]
    table = means(fitted(model), block["specs"], at=block["at"], ddf=ddf, scale=block["type"])
    agree(table.frame, block["emmeans"])
    contrasts = block["contrasts"]
    adjusted = {name: rows for name, rows in contrasts.items() if name != "method" and rows}
    assert {"none", "bonferroni", "holm", "sidak"} <= set(adjusted)
    for adjust, rows in adjusted.items():
        agree(table.contrast(contrasts["method"], adjust=adjust).frame, rows)


@pytest.mark.parametrize(("model", "place"), BLOCKS)
def test_joint_tests_of_contrasts_are_those_of_emmeans(model: str, place: int) -> None:
    block = STORED[model]["emmeans"][place]
    ddf = GLMMTMB_DF if model == "salamanders_nb2" else block["df_method"]
    table = means(fitted(model), block["specs"], at=block["at"], ddf=ddf)
    found = table.contrast(block["contrasts"]["method"]).joint_test()
    stored = pd.DataFrame(block["joint_test"])
    np.testing.assert_array_equal(found["num_df"], stored["df1"])
    df2 = stored["df2"].astype(float).fillna(np.inf)  # printed with two decimals
    np.testing.assert_allclose(found["den_df"], df2, atol=0.006)
    np.testing.assert_allclose(found["statistic"], stored["F"], atol=0.0006)
    # the p-value of F as large as 64 multiplies a relative error of 1e-6 by thirty
    np.testing.assert_allclose(found["p_value"], stored["p_value"], rtol=1e-4)


def sorted_levels(name: str) -> pd.DataFrame:
    """Return a data set with its categories in the order of R's `factor`."""
    data = hglm.load_dataset(name)
    for column in data.select_dtypes("category"):
        levels = sorted(data[column].cat.categories)
        data[column] = data[column].cat.reorder_categories(levels)
    return data


def unbalanced_oats() -> pd.DataFrame:
    data = sorted_levels("oats")
    return data[np.arange(1, len(data) + 1) % 7 != 0]


@cache
def oats(with_hole: bool = False) -> Fit:
    data = unbalanced_oats()
    if with_hole:
        data = data[(data["variety"] != "Victory") | (data["nitro_f"] != "n0.6")]
    return hglm.fit("yield ~ nitro_f * variety + (1 | block/variety)", data)


@pytest.mark.parametrize("kind", ["equal", "proportional", "outer", "cells", "flat"])
def test_unbalanced_data_are_weighted_as_by_emmeans(kind: str) -> None:
    agree(means(oats(), "variety", weights=kind).frame, OTHERS[f"oats_weights_{kind}"], 1e-6)


def test_kenward_and_rogers_method_of_unbalanced_data() -> None:
    table = means(oats(), "nitro_f", "variety", ddf="kenward-roger")
    agree(table.frame, OTHERS["oats_kr"], 1e-6)


@pytest.mark.parametrize("method", [k[14:] for k in OTHERS if k.startswith("oats_contrast_")])
def test_every_set_of_contrasts(method: str) -> None:
    table = means(oats(), "nitro_f").contrast(method, adjust="none")
    agree(table.frame, OTHERS[f"oats_contrast_{method}"], 1e-6)


def test_coefficients_of_ones_own() -> None:
    mapping = {"linear": [-3, -1, 1, 3], "first": [-1, 1, 0, 0]}
    agree(means(oats(), "nitro_f").contrast(mapping).frame, OTHERS["oats_custom"], 1e-6)


@pytest.mark.parametrize("adjust", ["tukey", "scheffe", "sidak", "bonferroni", "holm", "fdr"])
def test_every_adjustment(adjust: str) -> None:
    agree(means(oats(), "nitro_f").pairs(adjust).frame, OTHERS[f"oats_adjust_{adjust}"], 1e-6)


@pytest.mark.parametrize(("key", "method"), [("adjust_mvt", "pairwise"), ("dunnett", "dunnett")])
def test_the_multivariate_t(key: str, method: str) -> None:
    """mvtnorm's error is 1e-3 by default, and emmeans rounds df to whole numbers."""
    table = means(oats(), "nitro_f").contrast(method, adjust="mvt")
    agree(table.frame, OTHERS[f"oats_{key}"], 5e-3)


def test_tukeys_method_for_means_becomes_sidaks() -> None:
    table = means(oats(), "nitro_f").show(adjust="tukey")
    agree(table.frame, OTHERS["oats_means_sidak"], 1e-6)
    assert "Sidak's method, as Tukey's is for pairwise differences" in str(table).replace("\n", " ")


def test_interaction_contrasts() -> None:
    table = means(oats(), ["nitro_f", "variety"])
    found = table.interaction({"nitro_f": "consec", "variety": "pairwise"})
    agree(found.frame, OTHERS["oats_interaction"], 1e-6)


def test_one_sided_tests_of_a_value() -> None:
    found = means(oats(), "nitro_f").test(100.0, "greater")
    stored = pd.DataFrame(OTHERS["oats_one_sided"])
    np.testing.assert_allclose(found["statistic"], stored["statistic"], rtol=1e-6)
    np.testing.assert_allclose(found["p_value"], stored["p_value"], rtol=1e-6)


@pytest.mark.parametrize(
    ("key", "with_hole", "by"),
    [
        ("oats_joint_tests", False, None),
        ("oats_joint_tests_by", False, "variety"),
        ("hole_joint_tests", True, None),
    ],
)
def test_tests_of_terms(key: str, with_hole: bool, by: str | None) -> None:
    """The F are the same, their denominators not quite: emmeans takes the least df of rows."""
    fit = oats(with_hole)
    found = joint_tests(fit.estimates, fit.design, fit.spec, fit.family, by=by, ddf="satterthwaite")
    stored = pd.DataFrame(OTHERS[key])
    stored = stored[stored["model term"] != "(confounded)"]
    assert list(found["term"]) == list(stored["model term"])
    np.testing.assert_array_equal(found["num_df"], stored["df1"])
    np.testing.assert_allclose(found["statistic"], stored["F.ratio"], atol=0.0006)
    np.testing.assert_allclose(found["den_df"], stored["df2"], rtol=0.02)


@pytest.mark.parametrize(
    ("key", "specs", "weights"),
    [
        ("cells", "~ nitro_f | variety", "equal"),
        ("means", "variety", "equal"),
        ("weighted", "variety", "cells"),
        ("flat", "variety", "flat"),
    ],
)
def test_an_empty_cell(key: str, specs: str, weights: str) -> None:
    agree(means(oats(True), specs, weights=weights).frame, OTHERS[f"hole_{key}"], 1e-6)


def test_differences_from_an_empty_cell_are_missing() -> None:
    table = means(oats(True), "nitro_f", "variety").pairs("none")
    agree(table.frame, OTHERS["hole_pairs"], 1e-6)
    assert table.frame["estimate"].isna().sum() == 3


def test_slopes_and_chosen_values_of_a_covariate() -> None:
    fit = hglm.fit("distance ~ age * sex + (1 | subject)", sorted_levels("orthodont"))
    agree(slopes(fit, "age", "sex").frame, OTHERS["slopes"], 1e-6)
    agree(slopes(fit, "age", "sex").pairs().frame, OTHERS["slope_pairs"], 1e-6)
    agree(means(fit, "sex * age", at={"age": [9, 13]}).frame, OTHERS["chosen"], 1e-6)
    several = means(fit, "~ age | sex", at={"age": [9, 11, 13]}).pairs()
    agree(several.frame, OTHERS["chosen_pairs"], 1e-6)
    averaged = means(fit, "sex", at={"age": [8, 9]})
    agree(averaged.frame, OTHERS["averaged_over_chosen"], 1e-6)
    tests = joint_tests(fit.estimates, fit.design, fit.spec, fit.family, ddf="satterthwaite")
    stored = pd.DataFrame(OTHERS["orthodont_joint_tests"])
    np.testing.assert_allclose(tests["p_value"], stored["p.value"], rtol=1e-6)


def test_a_number_coded_as_categories_has_its_values_as_levels() -> None:
    fit = hglm.fit("distance ~ C(age) + sex + (1 | subject)", sorted_levels("orthodont"))
    agree(means(fit, "age").frame, OTHERS["coded"], 1e-6)


def test_polynomials() -> None:
    fit = hglm.fit("reaction ~ poly(days, 2) + (days | subject)", sorted_levels("sleepstudy"))
    table = means(fit, "days").frame.assign(days="4.5")
    agree(table, OTHERS["poly_mean"], 1e-6)
    # emmeans' one-sided difference is off by half a step, 4.5e-4, times the curvature
    agree(slopes(fit, "days", "days", at={"days": [1, 5]}).frame, OTHERS["poly_slopes"], 1e-4)


def test_a_transformed_response() -> None:
    fit = hglm.fit("np.log(reaction) ~ days_f + (1 | subject)", sorted_levels("sleepstudy"))
    table = means(fit, "days_f", scale="response")
    agree(table.frame, OTHERS["log_response"], 1e-6)
    agree(table.contrast("trt_vs_ctrl", adjust="none").frame, OTHERS["log_ratios"], 1e-6)
