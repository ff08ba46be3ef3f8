"""Exact tests of balanced designs, from sums of squares: truths that no software made.

In a balanced design with positive variance estimates REML reproduces the analysis
of variance, and both methods of degrees of freedom must give its exact F tests:
Scheffé (1959), The Analysis of Variance, ch. 7-8; Kenward & Roger (1997), sec. 5.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hglm.datasets import load_dataset
from hglm.inference.anova import anova_table
from hglm.inference.kenward_roger import kenward_roger
from hglm.inference.terms import fixed_terms
from hglm.inference.tests import contrast_test, denominator, row_tests, wald_intervals
from inference_oracle import fit

METHODS = ["satterthwaite", "kenward-roger"]
EXACT = 1e-5
"""What the search for the optimum leaves in F and df."""


def anova(formula: str, data: pd.DataFrame, ddf: str, kind: int = 3) -> pd.DataFrame:
    estimates, design, spec = fit(formula, data)
    return anova_table(estimates, fixed_terms(design.mean, spec, design.frame), kind, ddf)


def means(data: pd.DataFrame, *factors: str) -> pd.Series:
    """Mean of the yields in each row's cell."""
    if not factors:
        return pd.Series(data["yield"].mean(), index=data.index)
    return data.groupby(list(factors), observed=True)["yield"].transform("mean")


@pytest.mark.parametrize("ddf", METHODS)
def test_one_way_mean_has_as_many_degrees_of_freedom_as_groups_less_one(ddf: str) -> None:
    rng = np.random.default_rng(1)
    groups, size = 7, 5
    y = np.repeat(rng.normal(size=groups), size) + rng.normal(size=groups * size)
    data = pd.DataFrame({"y": y, "g": np.repeat(list("abcdefg"), size)})
    estimates, _, _ = fit("y ~ 1 + (1 | g)", data)
    test = row_tests(estimates.beta, denominator(estimates, ddf), np.eye(1))
    means = y.reshape(groups, size).mean(axis=1)
    expected = stats.ttest_1samp(means, 0.0)
    np.testing.assert_allclose(test.df, [expected.df], rtol=EXACT)
    np.testing.assert_allclose(test.statistic, [expected.statistic], rtol=EXACT)
    np.testing.assert_allclose(test.p_value, [expected.pvalue], rtol=1e-4)
    interval = stats.t.interval(0.9, groups - 1, means.mean(), means.std(ddof=1) / np.sqrt(groups))
    np.testing.assert_allclose(wald_intervals(estimates, 0.9, ddf)[0], interval, rtol=1e-4)


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("ddf", METHODS)
def test_split_plot_has_two_denominators(ddf: str, kind: int) -> None:
    """Yates's oats: varieties against whole plots, nitrogen against subplots."""
    data = load_dataset("oats")
    table = anova("yield ~ nitro_f * variety + (1 | block/variety)", data, ddf, kind)
    b, v, n = "block", "variety", "nitro_f"
    effects = {
        v: means(data, v) - means(data),
        n: means(data, n) - means(data),
        f"{n}:{v}": means(data, n, v) - means(data, n) - means(data, v) + means(data),
    }
    plots = means(data, b, v) - means(data, b) - means(data, v) + means(data)
    residual = data["yield"] - means(data, b, v) - means(data, n, v) + means(data, v)
    whole_plots, subplots = np.sum(plots**2) / 10, np.sum(residual**2) / 45
    expected = {
        "variety": (2, 10, whole_plots),
        "nitro_f": (3, 45, subplots),
        "nitro_f:variety": (6, 45, subplots),
    }
    for term, (num_df, den_df, error) in expected.items():
        F = np.sum(effects[term] ** 2) / num_df / error
        row = table.loc[term]
        assert row["num_df"] == num_df
        np.testing.assert_allclose(row["den_df"], den_df, rtol=EXACT)
        np.testing.assert_allclose(row["statistic"], F, rtol=EXACT)
        np.testing.assert_allclose(row["p_value"], stats.f.sf(F, num_df, den_df), rtol=1e-4)


def test_one_way_table_of_fixed_batches() -> None:
    data = load_dataset("dyestuff")
    batch = means(data, "batch")
    between, within = np.sum((batch - means(data)) ** 2), np.sum((data["yield"] - batch) ** 2)
    F = (between / 5) / (within / 24)
    row = anova("yield ~ batch", data, "satterthwaite").loc["batch"]
    np.testing.assert_allclose(row["sum_sq"], between, rtol=1e-10)
    np.testing.assert_allclose(row[["num_df", "den_df"]].astype(float), [5, 24])
    np.testing.assert_allclose(row["statistic"], F, rtol=1e-10)
    np.testing.assert_allclose(row["p_value"], stats.f.sf(F, 5, 24), rtol=1e-8)


@pytest.mark.parametrize("ddf", METHODS)
def test_repeated_measures_are_tested_against_subject_by_occasion(ddf: str) -> None:
    data = load_dataset("sleepstudy").rename(columns={"reaction": "yield"})
    day = means(data, "days_f") - means(data)
    rest = data["yield"] - means(data, "days_f") - means(data, "subject") + means(data)
    F = (np.sum(day**2) / 9) / (np.sum(rest**2) / (9 * 17))
    row = anova("yield ~ days_f + (1 | subject)", data, ddf).loc["days_f"]
    np.testing.assert_allclose(row["den_df"], 153, rtol=EXACT)
    np.testing.assert_allclose(row["statistic"], F, rtol=EXACT)
    np.testing.assert_allclose(row["p_value"], stats.f.sf(F, 9, 153), rtol=1e-4)


MILLET = {
    "BEACD": (257, 230, 279, 287, 202),
    "DAEBC": (245, 283, 245, 280, 260),
    "EBCDA": (182, 252, 280, 246, 250),
    "ACDEB": (203, 204, 227, 193, 259),
    "CDBAE": (231, 271, 266, 334, 338),
}
"""Yields of millet at five spacings: Snedecor & Cochran (1980), Statistical Methods, 7th ed.,
table 14.10.1, whose sums of squares are 13601.36, 6146.16, 4156.56 and 12667.28."""


@pytest.mark.parametrize("ddf", METHODS)
def test_latin_square(ddf: str) -> None:
    i, j = np.indices((5, 5)).reshape(2, -1)
    data = pd.DataFrame({"yield": np.ravel(list(MILLET.values())).astype(float), "r": i, "c": j})
    data["spacing"] = list("".join(MILLET))
    effects = {name: means(data, name) - means(data) for name in ("r", "c", "spacing")}
    rest = data["yield"] - means(data) - effects["r"] - effects["c"] - effects["spacing"]
    squares = [np.sum(part**2) for part in (*effects.values(), rest)]
    np.testing.assert_allclose(squares, [13601.36, 6146.16, 4156.56, 12667.28], atol=0.005)
    F = (squares[2] / 4) / (squares[3] / 12)
    row = anova("yield ~ spacing + (1 | r) + (1 | c)", data, ddf).loc["spacing"]
    np.testing.assert_allclose(row["den_df"], 12, rtol=EXACT)
    np.testing.assert_allclose(row["statistic"], F, rtol=EXACT)
    np.testing.assert_allclose(row["p_value"], stats.f.sf(F, 4, 12), rtol=1e-4)


@pytest.mark.parametrize("ddf", METHODS)
def test_random_slopes_are_a_one_sample_t_test_of_the_slopes(ddf: str) -> None:
    data = load_dataset("sleepstudy")
    slopes = [
        np.polyfit(d["days"], d["reaction"], 1)[0]
        for _, d in data.groupby("subject", observed=True)
    ]
    expected = stats.ttest_1samp(slopes, 0.0)
    row = anova("reaction ~ days + (days | subject)", data, ddf).loc["days"]
    np.testing.assert_allclose(row["den_df"], 17, rtol=EXACT)
    np.testing.assert_allclose(row["statistic"], expected.statistic**2, rtol=EXACT)
    np.testing.assert_allclose(row["p_value"], expected.pvalue, rtol=1e-4)


def test_kenward_roger_is_hotelling_in_a_repeated_measures_design() -> None:
    """With an unstructured covariance of the three machines: exact F(2, 4)."""
    data = load_dataset("machines")
    row = anova("score ~ machine + (machine | worker)", data, "kenward-roger").loc["machine"]
    means = data.pivot_table(index="worker", columns="machine", values="score", observed=True)
    d = means.to_numpy()[:, 1:] - means.to_numpy()[:, :1]
    n, k = d.shape
    T2 = n * d.mean(axis=0) @ np.linalg.solve(np.cov(d.T), d.mean(axis=0))
    F = T2 * (n - k) / (k * (n - 1))
    np.testing.assert_allclose(row["den_df"], n - k, rtol=EXACT)
    np.testing.assert_allclose(row["statistic"], F, rtol=EXACT)
    np.testing.assert_allclose(row["p_value"], stats.f.sf(F, k, n - k), rtol=1e-4)


@pytest.mark.parametrize("ddf", METHODS)
def test_two_way_crossed_without_interaction(ddf: str) -> None:
    """Treatment by rater, both crossed with subjects: error is the residual mean square."""
    rng = np.random.default_rng(4)
    a, s, r = 4, 10, 3
    effect = rng.normal(size=(1, s, 1)) + rng.normal(size=(1, 1, r))
    y = effect + 0.5 * np.arange(a)[:, None, None] + rng.normal(size=(a, s, r))
    i, j, k = np.indices(y.shape)
    data = pd.DataFrame(
        {"y": y.ravel(), "a": i.ravel().astype(str), "s": j.ravel(), "r": k.ravel()}
    )
    row = anova("y ~ a + (1 | s) + (1 | r)", data, ddf).loc["a"]
    left = (
        y - y.mean((0, 1)) - y.mean((0, 2))[:, None] - y.mean((1, 2))[:, None, None] + 2 * y.mean()
    )
    df = a * s * r - a - (s - 1) - (r - 1)
    F = s * r * y.mean((1, 2)).var(ddof=1) / (np.sum(left**2) / df)
    np.testing.assert_allclose(row["den_df"], df, rtol=EXACT)
    np.testing.assert_allclose(row["statistic"], F, rtol=EXACT)


def test_without_group_variance_kenward_roger_still_counts_groups() -> None:
    """Dyestuff2: MSB < MSW, so θ = 0; its variance is a parameter of V all the same."""
    estimates, _, _ = fit("yield ~ 1 + (1 | batch)", load_dataset("dyestuff2"))
    assert estimates.certificate.singular
    np.testing.assert_allclose(kenward_roger(estimates).each(np.eye(1)), [5.0], rtol=1e-9)
    df = denominator(estimates, "satterthwaite").each(np.eye(1))
    np.testing.assert_allclose(df, [29.0], rtol=1e-9)


@pytest.mark.parametrize("ddf", METHODS)
def test_contrast_of_two_treatments_is_a_paired_t_test(ddf: str) -> None:
    """Randomised blocks with two treatments; the hypothesis is a difference of one."""
    rng = np.random.default_rng(2)
    blocks = 9
    y = rng.normal(size=(blocks, 1)) * 2 + rng.normal(size=(blocks, 2))
    data = pd.DataFrame(
        {"y": y.ravel(), "t": ["u", "v"] * blocks, "b": np.repeat(np.arange(blocks), 2)}
    )
    estimates, _, _ = fit("y ~ t + (1 | b)", data)
    assert not estimates.certificate.singular
    test = contrast_test(estimates, np.array([0.0, 1.0]), ddf, rhs=1.0)
    expected = stats.ttest_1samp(y[:, 1] - y[:, 0], 1.0)
    np.testing.assert_allclose(test.den_df, blocks - 1, rtol=EXACT)
    np.testing.assert_allclose(test.F, expected.statistic**2, rtol=EXACT)
    np.testing.assert_allclose(test.p_value, expected.pvalue, rtol=1e-4)
