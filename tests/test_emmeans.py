"""Marginal means against truths no program made: closed forms and invariances."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hglm
from hglm.families.links import LINKS, inverse
from hglm.inference.emmeans import EstimableSet, joint_tests, on_response
from hglm.inference.emmeans.letters import compact_letters
from hglm.inference.emmeans.scales import Scale
from hglm.inference.tests import Fixed
from hglm.report.marginal_means import EmmTable, emmeans, emtrends
from hglm.result import Fit

NUMBERS = ["estimate", "std_error", "df", "conf_low", "conf_high", "statistic", "p_value"]


def means(fit: Fit, *args: Any, **options: Any) -> EmmTable:
    return emmeans(fit.estimates, fit.design, fit.spec, fit.family, *args, **options)


def slopes(fit: Fit, *args: Any, **options: Any) -> EmmTable:
    return emtrends(fit.estimates, fit.design, fit.spec, fit.family, *args, **options)


def same(a: pd.DataFrame, b: pd.DataFrame, rtol: float = 1e-7) -> None:
    np.testing.assert_allclose(a[NUMBERS], b[NUMBERS], rtol=rtol, atol=1e-9)


@cache
def split_plot(contrasts: str = "treatment") -> Fit:
    return hglm.fit(
        "yield ~ nitro_f * variety + (1 | block/variety)",
        hglm.load_dataset("oats"),
        contrasts={"nitro_f": contrasts, "variety": contrasts},
    )


@cache
def unbalanced(family: str = "gaussian", contrasts: str = "treatment") -> Fit:
    """Fit a small unbalanced model with two crossed factors, a covariate and an offset."""
    rng = np.random.default_rng(20)
    n = 150
    data = pd.DataFrame(
        {
            "a": pd.Categorical(rng.choice(["a1", "a2", "a3"], n, p=[0.5, 0.3, 0.2])),
            "b": pd.Categorical(rng.choice(["b1", "b2"], n, p=[0.6, 0.4])),
            "x": rng.normal(2.0, 1.0, n),
            "time": rng.uniform(1.0, 4.0, n),
            "g": rng.integers(0, 12, n).astype(str),
        }
    )
    eta = 0.4 * (data["a"] == "a2") + 0.3 * data["x"] - 0.5 * (data["b"] == "b2")
    eta += rng.normal(0.0, 0.4, 12)[data["g"].astype(int)]
    data["y"] = rng.poisson(np.exp(eta)) if family == "poisson" else eta + rng.normal(0, 1, n)
    return hglm.fit(
        "y ~ a * b + a * x + np.log(x**2 + 1) + offset(np.log(time)) + (1 | g)",
        data,
        family=family,
        contrasts={"a": contrasts, "b": contrasts},
    )


# Closed forms --------------------------------------------------------------------------


def mean_squares(data: pd.DataFrame) -> tuple[float, float, float]:
    """Mean squares of blocks, whole plots and sub-plots, from sums of squares by hand."""
    cube = data.set_index(["block", "variety", "nitro_f"])["yield"].unstack()
    y = cube.to_numpy().reshape(6, 3, 4)  # block, variety, nitrogen
    total = y.mean()
    blocks = y.mean(axis=(1, 2)) - total
    varieties = y.mean(axis=(0, 2)) - total
    plots = y.mean(axis=2) - total - blocks[:, None] - varieties[None, :]
    cells = y.mean(axis=0)[None]
    residual = y - y.mean(axis=2)[..., None] - cells + cells.mean(axis=2)[..., None]
    return (
        12 * np.sum(blocks**2) / 5,
        4 * np.sum(plots**2) / 10,
        np.sum(residual**2) / 45,
    )


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_a_balanced_split_plot_has_its_textbook_standard_errors(ddf: str) -> None:
    """Cochran & Cox (1957), Experimental Designs, 2nd ed., sec. 7.16: six blocks, three
    whole plots, four sub-plots; E_a, E_b the mean squares of whole and sub-plots.

    A mean itself also varies with the blocks, Var = {MS_B + (a-1)E_a}/(abr) by the
    expected mean squares, with the df of that sum (Satterthwaite 1946).
    """  # noqa: D205
    data = hglm.load_dataset("oats").sort_values(["block", "variety", "nitro_f"])
    blocks, whole, sub = mean_squares(data)
    fit = split_plot()
    r, a, b = 6, 3, 4

    table = means(fit, "variety", ddf=ddf)
    by_variety = data.groupby("variety", observed=True)["yield"].mean()
    np.testing.assert_allclose(table.frame["estimate"], by_variety, rtol=1e-9)
    expected = np.sqrt((blocks + (a - 1) * whole) / (a * b * r))
    np.testing.assert_allclose(table.frame["std_error"], expected, rtol=1e-6)
    nu = (blocks + 2 * whole) ** 2 / (blocks**2 / 5 + (2 * whole) ** 2 / 10)
    np.testing.assert_allclose(table.frame["df"], nu, rtol=1e-5)

    whole_plots = table.pairs().frame
    np.testing.assert_allclose(whole_plots["std_error"], np.sqrt(2 * whole / (r * b)), rtol=1e-6)
    np.testing.assert_allclose(whole_plots["df"], 10.0, rtol=1e-6)

    sub_plots = means(fit, "nitro_f", ddf=ddf).pairs().frame
    np.testing.assert_allclose(sub_plots["std_error"], np.sqrt(2 * sub / (r * a)), rtol=1e-6)
    np.testing.assert_allclose(sub_plots["df"], 45.0, rtol=1e-6)

    within = means(fit, "nitro_f", "variety", ddf=ddf).pairs().frame
    np.testing.assert_allclose(within["std_error"], np.sqrt(2 * sub / r), rtol=1e-6)

    across = means(fit, "variety", "nitro_f", ddf=ddf).pairs().frame
    pooled = (b - 1) * sub + whole
    np.testing.assert_allclose(across["std_error"], np.sqrt(2 * pooled / (r * b)), rtol=1e-6)
    nu = pooled**2 / (((b - 1) * sub) ** 2 / 45 + whole**2 / 10)
    np.testing.assert_allclose(across["df"], nu, rtol=1e-5)


def test_polynomial_contrasts_split_the_sum_of_squares() -> None:
    """In a balanced design the F of a factor is the mean of the F of its polynomials."""
    table = means(split_plot(), "nitro_f")
    parts = table.contrast("poly").frame["statistic"] ** 2
    F = split_plot().anova().loc["nitro_f", "statistic"]
    assert parts.mean() == pytest.approx(F, rel=1e-9)
    assert table.contrast("poly").joint_test()["statistic"][0] == pytest.approx(F, rel=1e-9)


def test_tests_of_terms_are_those_of_type_three() -> None:
    """Kenward and Roger's do not depend on the rows by which a hypothesis is told."""
    data = hglm.load_dataset("oats").drop(index=[3, 20, 41, 60])
    fit = hglm.fit("yield ~ nitro_f * variety + (1 | block/variety)", data)
    found = joint_tests(fit.estimates, fit.design, fit.spec, fit.family, ddf="kenward-roger")
    expected = fit.anova(type=3, ddf="kenward-roger")
    assert list(found["term"]) == list(expected.index)
    columns = ["num_df", "den_df", "statistic", "p_value"]
    np.testing.assert_allclose(found[columns], expected[columns], rtol=1e-7)


# Another route to the same numbers -----------------------------------------------------


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
@pytest.mark.parametrize("weights", ["equal", "proportional", "outer", "cells"])
def test_a_mean_is_an_average_of_predictions(family: str, weights: str) -> None:
    """Predict each combination of levels, then average by weights counted with pandas."""
    fit = unbalanced(family)
    data = fit.design.frame
    grid = data[["a", "b"]].drop_duplicates().assign(x=data["x"].mean(), time=1.0)
    grid["eta"] = np.asarray(fit.predict(grid, random="none", scale="link"))
    grid["eta"] += np.log(data["time"]).mean()  # the offset at its mean, not at log 1
    shares = {
        "equal": pd.Series(1.0, grid.index),
        "proportional": grid["b"].map(data["b"].value_counts()).astype(float),
        "outer": grid["b"].map(data["b"].value_counts()).astype(float),
        "cells": pd.Series(
            [((data["a"] == a) & (data["b"] == b)).sum() for a, b in grid[["a", "b"]].to_numpy()],
            grid.index,
        ),
    }
    grid["weight"] = shares[weights]
    expected = [
        np.average(rows["eta"], weights=rows["weight"])
        for _, rows in grid.groupby("a", observed=True)
    ]
    found = means(fit, "a", weights=weights).frame["estimate"]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_a_slope_is_the_derivative_of_the_prediction(family: str) -> None:
    fit = unbalanced(family)
    point = 1.3
    h = 1e-4
    grid = pd.DataFrame({"a": ["a1", "a2", "a3"] * 2, "b": ["b1"] * 3 + ["b2"] * 3, "time": 1.0})
    ahead, behind = (
        np.asarray(fit.predict(grid.assign(x=point + s * h), random="none", scale="link"))
        for s in (1.0, -1.0)
    )
    expected = ((ahead - behind) / (2 * h)).reshape(2, 3).mean(axis=0)
    found = slopes(fit, "x", "a", at={"x": point}).frame["estimate"]
    # third derivative of log(x² + 1) times a sixth of the squared step, (0.0025)²
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_offsets_at_their_mean_at_a_value_or_computed() -> None:
    fit = unbalanced("poisson")
    usual = means(fit, "a").frame["estimate"]
    logs = np.log(fit.design.frame["time"])
    rates = means(fit, "a", offset=0.0).frame["estimate"]
    np.testing.assert_allclose(usual - rates, logs.mean())
    at_two = means(fit, "a", at={"time": 2.0}).frame["estimate"]
    np.testing.assert_allclose(at_two - rates, np.log(2.0))


def test_an_offset_given_as_an_array_stands_at_its_mean() -> None:
    data = hglm.load_dataset("epil")
    exposure = np.linspace(0.0, 1.0, len(data))
    formula = "y ~ trt + lbase + (1 | subject)"
    by_array = hglm.fit(formula, data, family="poisson", offset=exposure)
    by_name = hglm.fit(formula, data.assign(o=exposure), family="poisson", offset="o")
    a, b = (means(fit, "trt", scale="response").frame for fit in (by_array, by_name))
    same(a, b)
    expected = by_array.params["Intercept"] + by_array.params["lbase"] * data["lbase"].mean()
    assert a["estimate"][0] == pytest.approx(np.exp(expected + exposure.mean()), rel=1e-9)


@pytest.mark.parametrize("weights", ["equal", "proportional", "cells"])
def test_frequencies_count_rows(weights: str) -> None:
    data = hglm.load_dataset("epil")
    times = np.arange(len(data)) % 3 + 1
    formula = "y ~ trt * v4 + lage + (1 | subject)"
    counted = hglm.fit(formula, data, family="poisson", frequencies=times.astype(float))
    repeated = hglm.fit(formula, data.loc[data.index.repeat(times)], family="poisson")
    a, b = (means(fit, "trt", weights=weights).frame for fit in (counted, repeated))
    same(a, b, rtol=1e-5)


def test_an_empty_cell_leaves_what_a_model_of_cells_gives() -> None:
    """The same space told without a rank deficiency: one mean for each cell with data."""
    data = hglm.load_dataset("oats")
    data = data[(data["variety"] != "Victory") | (data["nitro_f"] != "n0.6")]
    data["cell"] = data["variety"].astype(str) + data["nitro_f"].astype(str)
    random = "(1 | block/variety)"
    crossed = hglm.fit(f"yield ~ nitro_f * variety + {random}", data)
    cells = hglm.fit(f"yield ~ 0 + cell + {random}", data)
    table = means(crossed, "~ nitro_f * variety").frame
    names = table["variety"].astype(str) + table["nitro_f"].astype(str)
    expected = means(cells, "cell").frame.set_index("cell").reindex(names)
    assert expected["estimate"].isna().sum() == 1
    same(table, expected, rtol=1e-6)
    # a difference of differences that avoids the hole, by coefficients
    interaction = means(crossed, ["nitro_f", "variety"]).interaction("consec").frame
    assert interaction["estimate"].isna().sum() == 1


def test_means_of_the_counts_leave_zero_inflation_out() -> None:
    fit = hglm.fit(
        "count ~ mined + (1 | site)",
        hglm.load_dataset("salamanders"),
        family="poisson",
        zero_inflation="~ 1",
    )
    table = means(fit, "mined", scale="response")
    levels = table.frame["mined"]
    expected = np.exp(fit.params["Intercept"] + fit.params["mined[T.no]"] * (levels == "no"))
    np.testing.assert_allclose(table.frame["estimate"], expected)
    assert "Of the counts alone" in str(table)


def test_ordered_categories_have_locations_and_an_empty_cell_none() -> None:
    data = hglm.load_dataset("wine")
    data = data[(data["temp"] != "warm") | (data["contact"] != "yes")]
    fit = hglm.fit("rating ~ temp * contact + (1 | judge)", data, family="cumulative")
    table = means(fit, "temp", "contact")
    expected = [0.0, fit.params["temp[T.warm]"], fit.params["contact[T.yes]"], np.nan]
    np.testing.assert_allclose(table.frame["estimate"], expected)
    assert "On the latent scale." in str(table)
    assert table.pairs().frame["estimate"].isna().tolist() == [False, True]


def test_truth_values_are_levels() -> None:
    data = hglm.load_dataset("oats").assign(rich=lambda d: d["nitro"] > 0.3)
    fit = hglm.fit("yield ~ rich + variety + (1 | block)", data)
    pairs = means(fit, "rich").pairs().frame
    assert pairs["contrast"].tolist() == ["False - True"]
    assert pairs["estimate"][0] == pytest.approx(-fit.params["rich"])


def test_a_number_with_two_values_is_averaged_like_a_factor() -> None:
    fit = hglm.fit("y ~ v4 + trt + (1 | subject)", hglm.load_dataset("epil"), family="poisson")
    half, fifth = (means(fit, "trt", at=at).frame["estimate"] for at in (None, {"v4": 0.2}))
    np.testing.assert_allclose(half - fifth, 0.3 * fit.params["v4"])


# Invariance ----------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["sum", "helmert", "poly", "sas"])
@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_the_coding_of_factors_does_not_matter(family: str, coding: str) -> None:
    plain, coded = unbalanced(family), unbalanced(family, coding)
    for specs, by in (("a", None), ("b", None), ("a", "b")):
        first, second = (means(fit, specs, by) for fit in (plain, coded))
        same(first.frame, second.frame, rtol=2e-5)
        same(first.pairs().frame, second.pairs().frame, rtol=2e-5)
    same(slopes(plain, "x", "a").frame, slopes(coded, "x", "a").frame, rtol=2e-5)


def test_groups_are_what_their_levels_alone_give() -> None:
    fit = split_plot()
    together = means(fit, "nitro_f", "variety")
    assert list(together.frame.columns[:2]) == ["nitro_f", "variety"]
    for variety in ("Victory", "Golden Rain"):
        alone = means(fit, "nitro_f", at={"variety": variety})
        mine = together.frame["variety"] == variety
        same(together.frame[mine], alone.frame)
        for adjust in ("tukey", "holm", "mvt"):
            pairs = together.pairs(adjust).frame
            same(pairs[pairs["variety"] == variety], alone.pairs(adjust).frame)


@pytest.mark.parametrize("specs", ["~ nitro_f | variety", "nitro_f | variety"])
def test_means_may_be_told_as_a_formula(specs: str) -> None:
    pd.testing.assert_frame_equal(
        means(split_plot(), specs).frame, means(split_plot(), ["nitro_f"], by="variety").frame
    )


def test_regrouped_means_are_compared_the_other_way() -> None:
    table = means(split_plot(), ["nitro_f", "variety"])
    same(table.pairs(by="variety").frame, means(split_plot(), "nitro_f", "variety").pairs().frame)
    assert len(table.pairs().frame) == 66
    differences = table.pairs(by="variety", adjust="none").pairs(by="contrast", adjust="none")
    assert list(differences.frame.columns[:2]) == ["contrast_", "contrast"]
    interaction = table.interaction({"nitro_f": "pairwise", "variety": "pairwise"})
    ours = np.sort(differences.frame["estimate"].abs())
    np.testing.assert_allclose(ours, np.sort(interaction.frame["estimate"].abs()), atol=1e-9)


def test_reversed_pairs_change_their_sign() -> None:
    table = means(split_plot(), "variety")
    there, back = table.pairs().frame, table.pairs(reverse=True).frame
    np.testing.assert_allclose(np.sort(there["estimate"]), np.sort(-back["estimate"]))
    assert back["contrast"].iloc[0] == "Marvellous - Golden Rain"


def test_the_reference_of_a_comparison_can_be_chosen() -> None:
    table = means(split_plot(), "variety")
    found = table.contrast("trt_vs_ctrl", reference="Victory").frame["contrast"]
    assert list(found) == ["Golden Rain - Victory", "Marvellous - Victory"]


# The response scale --------------------------------------------------------------------


def small_set(link: str, eta: Sequence[float]) -> EstimableSet:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(3, 4))
    beta = np.linalg.lstsq(rows, np.asarray(eta), rcond=None)[0]
    root = 0.1 * rng.normal(size=(4, 4))
    return EstimableSet(
        labels=pd.DataFrame({"g": ["a", "b", "c"]}),
        rows=rows,
        offset=np.zeros(3),
        silent=np.empty((3, 0)),
        beta=beta,
        method=Fixed(root @ root.T, np.inf),
        scale=Scale(LINKS[link], link),
    )


@pytest.mark.parametrize(
    "link", ["identity", "log", "logit", "probit", "cloglog", "cauchit", "sqrt", "inverse"]
)
def test_the_delta_method_is_a_derivative_of_the_mean(link: str) -> None:
    functions = small_set(link, [0.4, 0.9, 1.7])
    responses = on_response(functions)
    difference = np.array([[1.0, -1.0, 0.0], [0.2, 0.3, 0.5]])

    def answer(beta: np.ndarray) -> np.ndarray:
        return difference @ inverse(LINKS[link], functions.rows @ beta)

    h = 1e-6
    steps = h * np.eye(4)
    J = np.array(
        [(answer(functions.beta + s) - answer(functions.beta - s)) / (2 * h) for s in steps]
    )
    expected = J.T @ functions.method.vcov @ J
    found = responses.combined(difference, pd.DataFrame({"c": ["x", "y"]}))
    np.testing.assert_allclose(found.estimate, answer(functions.beta), rtol=1e-12)
    np.testing.assert_allclose(found.vcov, expected, rtol=1e-7)


def test_intervals_of_a_decreasing_link_are_the_right_way_round() -> None:
    data = hglm.load_dataset("sleepstudy")
    fit = hglm.fit("reaction ~ days_f + (1 | subject)", data, family="gamma", link="inverse")
    table = means(fit, "days_f", scale="response").frame
    assert (table["conf_low"] < table["estimate"]).all()
    assert (table["estimate"] < table["conf_high"]).all()


def test_odds_ratios_are_ratios_of_odds() -> None:
    fit = hglm.fit(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        hglm.load_dataset("cbpp"),
        family="binomial",
    )
    table = means(fit, "period", scale="response")
    p = table.frame["estimate"].to_numpy()
    odds = p / (1.0 - p)
    contrasts = table.contrast("trt_vs_ctrl")
    assert list(contrasts.frame["contrast"]) == ["p2 / p1", "p3 / p1", "p4 / p1"]
    np.testing.assert_allclose(contrasts.frame["estimate"], odds[1:] / odds[0])
    on_link = means(fit, "period").contrast("trt_vs_ctrl")
    np.testing.assert_allclose(on_link.frame["p_value"], contrasts.frame["p_value"])
    risks = table.regrid().contrast("trt_vs_ctrl")
    np.testing.assert_allclose(risks.frame["estimate"], p[1:] - p[0])
    assert list(risks.frame["contrast"]) == ["p2 - p1", "p3 - p1", "p4 - p1"]
    assert "Odds ratio" in str(contrasts)
    assert "Odds ratio" not in str(risks)


def test_differences_of_probits_stay_on_their_scale() -> None:
    fit = hglm.fit(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        hglm.load_dataset("cbpp"),
        family="binomial",
        link="probit",
    )
    shown = means(fit, "period", scale="response").pairs()
    np.testing.assert_allclose(
        shown.frame["estimate"], means(fit, "period").pairs().frame["estimate"]
    )
    assert "On the probit scale." in str(shown)


# Letters -------------------------------------------------------------------------------


@given(st.integers(1, 9), st.randoms(use_true_random=False))
def test_rows_share_a_letter_if_and_only_if_they_do_not_differ(k: int, random: Any) -> None:
    differs = np.zeros((k, k), dtype=bool)
    for i in range(k):
        for j in range(i):
            differs[i, j] = differs[j, i] = random.random() < 0.5
    letters = compact_letters(differs)
    for i in range(k):
        assert letters[i]
        for j in range(i):
            assert (not set(letters[i]) & set(letters[j])) == differs[i, j]
    rows = {letter: {i for i in range(k) if letter in letters[i]} for letter in "".join(letters)}
    groups = list(rows.values())
    assert not any(a <= b for a in groups for b in groups if a is not b)


def test_means_in_a_row_get_letters_by_their_order() -> None:
    table = means(split_plot(), "nitro_f").cld()
    assert list(table["nitro_f"]) == ["n0.0", "n0.2", "n0.4", "n0.6"]
    assert list(table["letters"]) == ["a", "b", "c", "c"]
    assert list(means(split_plot(), "variety").cld()["letters"]) == ["a", "a", "a"]


# The table -----------------------------------------------------------------------------


def test_a_table_prints_pickles_and_tells_what_it_did() -> None:
    table = means(split_plot(), "variety").pairs()
    text = str(table)
    assert text.splitlines()[0] == "Contrasts"
    assert "adjusted for the 3 rows of the table by Tukey's" in text
    assert "Averaged over the levels of nitro_f with equal weights." in text
    assert "interactions with nitro_f" in text
    assert "<table" in table._repr_html_()
    copied = pickle.loads(pickle.dumps(table))
    pd.testing.assert_frame_equal(copied.frame, table.frame)


def test_the_overall_mean() -> None:
    table = means(split_plot(), "1")
    assert table.frame["term"].tolist() == ["overall"]
    expected = hglm.load_dataset("oats")["yield"].mean()
    assert table.frame["estimate"][0] == pytest.approx(expected)


def test_level_and_scale_can_be_changed_afterwards() -> None:
    table = means(split_plot(), "variety")
    narrow = table.show(level=0.5).frame
    width = narrow["conf_high"] - narrow["conf_low"]
    assert (width < table.frame["conf_high"] - table.frame["conf_low"]).all()
    assert "50% confidence" in str(table.show(level=0.5))


def test_chosen_degrees_of_freedom() -> None:
    frame = means(split_plot(), "variety", ddf=7.0).frame
    assert (frame["df"] == 7.0).all()
    assert means(split_plot(), "variety", ddf="asymptotic").frame["df"].eq(np.inf).all()


def test_inputs_are_left_alone() -> None:
    fit = split_plot()
    before = fit.design.frame.copy()
    means(fit, "variety", at={"nitro_f": ["n0.2"]}).pairs()
    pd.testing.assert_frame_equal(fit.design.frame, before)
