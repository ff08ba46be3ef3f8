"""Likelihood-ratio tables: what may be compared, and where a variance is at its boundary."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hglm.datasets import load_dataset
from hglm.design import build_design
from hglm.errors import DataError, OptionError
from hglm.fitting.estimate import estimate_linear
from hglm.formula import parse_formula
from hglm.inference.compare import Candidate, compare_table
from hglm.inference.nesting import adds_one_variance, boundary_p_value, spans
from inference_oracle import fit


def data() -> pd.DataFrame:
    rng = np.random.default_rng(12)
    n = 240
    g, h = rng.integers(0, 20, n), rng.integers(0, 8, n)
    x, w = rng.normal(2.0, 1.0, n), rng.normal(size=n)
    b = rng.normal(size=(20, 3))
    y = 1 + x + b[g, 0] + 0.7 * b[g, 1] * x + 0.5 * b[g, 2] * w + rng.normal(size=8)[h]
    return pd.DataFrame(
        {
            "y": y + rng.normal(size=n),
            "x": x,
            "w": w,
            "g": g,
            "h": h,
            "a": rng.choice(list("pq"), n),
        }
    )


def candidate(formula: str, frame: pd.DataFrame | None = None, reml: bool = False) -> Candidate:
    frame = data() if frame is None else frame
    estimates, design, _ = fit(formula, frame, reml)
    return Candidate(formula, estimates, design)


# small, large: whether exactly one variance is added
PAIRS = [
    ("1 + (1 | g)", "1 + (1 | g) + (1 | h)", True),
    ("1 + (1 | h)", "1 + (1 | g) + (1 | h)", True),
    ("1 + (1 | g)", "1 + (x | g)", True),
    ("1 + (x | g)", "1 + (x + w | g)", True),
    ("1 + (1 | g)", "1 + (x || g)", True),
    ("1 + (x || g)", "1 + (x + w || g)", True),
    ("1 + (x | g)", "1 + (x | g) + (0 + w | g)", True),
    ("1 + (0 + a | g)", "1 + (a | g)", False),  # the same span: nothing added
    ("1 + (0 + a | g)", "1 + (a + x | g)", True),  # the same span and one column more
    ("1 + (x || g)", "1 + (x | g)", False),  # a covariance, no variance
    ("1 + (1 | g)", "1 + (x + w | g)", False),  # two variances
    ("1 + (1 | g)", "1 + (x | h)", False),
    ("1 + (x | g)", "1 + (w | g) + (1 | h)", False),
    ("1 + (1 | g)", "1 + (0 + x | g)", False),
    ("1 + cs(0 + x + w | g)", "1 + cs(0 + x + w | g) + (1 | g)", True),
    ("1 + cs(0 + x + w | g)", "1 + (x + w | g)", False),  # another structure
    ("1 + (1 | g) + ar1(0 + a | h)", "1 + (x | g) + ar1(0 + a | h)", True),
    ("1 + (1 | g)", "1 + (1 | g) + homdiag(0 + a | h)", False),  # of two columns at once
    ("1 + (I(x - 3) | g)", "1 + (x + w | g)", True),  # a shifted column: the same covariances
    ("1 + (I(x - 3) || g)", "1 + (x + w || g)", False),  # not so when they are uncorrelated
]


@pytest.mark.parametrize(("small", "large", "expected"), PAIRS)
def test_one_added_variance_is_found_from_the_columns(
    small: str, large: str, expected: bool
) -> None:
    frame = data()
    a, _ = build_design(parse_formula(f"y ~ {small}"), frame)
    b, _ = build_design(parse_formula(f"y ~ {large}"), frame)
    assert adds_one_variance(a.mean, b.mean) is expected


def test_groups_are_told_by_their_rows_not_their_names() -> None:
    frame = data()
    frame["renamed"] = 100 - frame["g"]
    a, _ = build_design(parse_formula("y ~ 1 + (1 | g)"), frame)
    b, _ = build_design(parse_formula("y ~ 1 + (x | renamed)"), frame)
    assert adds_one_variance(a.mean, b.mean)


def test_boundary_p_is_the_mixture_of_chi_squares() -> None:
    """Critical values of Stram & Lee (1994): 2.71 for ½χ²(0)+½χ²(1), 5.14 for ½χ²(1)+½χ²(2)."""
    x = 3.21
    assert boundary_p_value(x, 1) == pytest.approx(0.5 * stats.chi2.sf(x, 1))
    assert boundary_p_value(x, 3) == pytest.approx(
        0.5 * stats.chi2.sf(x, 2) + 0.5 * stats.chi2.sf(x, 3)
    )
    assert boundary_p_value(2.7055, 1) == pytest.approx(0.05, abs=1e-5)
    assert boundary_p_value(5.1383, 2) == pytest.approx(0.05, abs=1e-4)
    assert boundary_p_value(0.0, 1) == 1.0


def test_boundary_p_has_its_level_under_the_null_hypothesis() -> None:
    """Simulated data without group variance; the plain test rejects too seldom."""
    rng = np.random.default_rng(20)
    frame = pd.DataFrame({"y": rng.normal(size=120), "g": np.arange(120) // 3})
    large, _ = build_design(parse_formula("y ~ 1 + (1 | g)"), frame)
    small = replace(large, mean=replace(large.mean, random=()))
    assert adds_one_variance(small.mean, large.mean)
    runs, rejected = 200, np.zeros(2)
    for _ in range(runs):
        y = rng.normal(size=120)
        llf = [estimate_linear(replace(d, y=y), False).llf for d in (small, large)]
        statistic = max(0.0, 2.0 * (llf[1] - llf[0]))
        rejected += [boundary_p_value(statistic, 1) < 0.1, stats.chi2.sf(statistic, 1) < 0.1]
    # 3 standard errors of a proportion of 0.1
    assert abs(rejected[0] / runs - 0.1) < 3 * np.sqrt(0.09 / runs)
    assert rejected[1] < 0.7 * rejected[0]


def test_table_shows_both_p_values_and_the_models_in_order() -> None:
    models = [candidate(f"y ~ x + {r}") for r in ("(x | g)", "(1 | g)", "(x + w | g)")]
    table = compare_table(models).table
    assert list(table.index) == [f"y ~ x + {r}" for r in ("(1 | g)", "(x | g)", "(x + w | g)")]
    assert list(table["npar"]) == [4, 6, 9]
    for i in (1, 2):
        row = table.iloc[i]
        assert row["p_value"] == pytest.approx(stats.chi2.sf(row["chisq"], row["df"]))
        assert row["p_value_boundary"] == pytest.approx(boundary_p_value(row["chisq"], row["df"]))
        assert row["p_value_boundary"] < row["p_value"]
    assert "p_value_boundary" not in compare_table(models, boundary=False).table


def test_fixed_effects_added_beside_the_variance_count_in_both_parts() -> None:
    models = [candidate("y ~ 1 + (1 | g)"), candidate("y ~ x + (x | g)")]
    row = compare_table(models).table.iloc[1]
    assert row["df"] == 3
    assert row["p_value_boundary"] == pytest.approx(boundary_p_value(row["chisq"], 3))


def test_no_correction_where_another_variance_is_zero() -> None:
    frame = load_dataset("dyestuff2")
    frame["run"] = np.arange(len(frame)) % 5
    models = [candidate("yield ~ 1 + (1 | batch)", frame)]
    models.append(candidate("yield ~ 1 + (1 | batch) + (1 | run)", frame))
    assert models[0].estimates.certificate.singular
    assert "p_value_boundary" not in compare_table(models).table


def test_restricted_likelihoods_need_the_same_fixed_part() -> None:
    small, large = (candidate(f"y ~ {f} + (1 | g)", reml=True) for f in ("1", "x"))
    with pytest.raises(
        OptionError, match=r"fitted by REML and have different fixed parts.*refit=True"
    ):
        compare_table([small, large])
    refitted = compare_table([small, large], refit=True)
    expected = compare_table([candidate(m.name) for m in (small, large)])
    pd.testing.assert_frame_equal(refitted.table, expected.table)
    assert "Fitted again by maximum likelihood" in refitted.notes[0]


def test_restricted_likelihoods_of_one_fixed_part_are_compared_as_they_are() -> None:
    models = [candidate(f"y ~ x + {r}", reml=True) for r in ("(1 | g)", "(x | g)")]
    comparison = compare_table(models)
    difference = 2 * (models[1].estimates.llf - models[0].estimates.llf)
    assert comparison.table["chisq"].iloc[1] == pytest.approx(difference)
    assert comparison.notes == ("Restricted likelihoods of models with the same fixed part.",)


def test_how_to_refit_can_be_given() -> None:
    models = [candidate(f"y ~ {f} + (1 | g)", reml=True) for f in ("1", "x")]
    asked = []

    def refit(model: Candidate) -> object:
        asked.append(model.name)
        return estimate_linear(model.design, False)

    compare_table(models, refit=True, refit_by_ml=refit)
    assert asked == [m.name for m in models]


def test_mixing_restricted_and_full_likelihoods_is_refused() -> None:
    models = [candidate("y ~ x + (1 | g)", reml=True), candidate("y ~ x + (x | g)")]
    with pytest.raises(OptionError, match="cannot be compared with unrestricted ones"):
        compare_table(models)


def test_models_of_other_data_are_refused() -> None:
    frame = data()
    first = candidate("y ~ x + (1 | g)", frame)
    with pytest.raises(DataError, match="were fitted to 240 and 239 rows"):
        compare_table([first, candidate("y ~ x + (x | g)", frame.iloc[1:])])
    with pytest.raises(DataError, match="different responses"):
        compare_table([first, candidate("np.exp(y / 9) ~ x + (x | g)", frame)])
    weighted = fit("y ~ x + (x | g)", frame, False, weights=np.full(240, 2.0))
    with pytest.raises(DataError, match="different weights"):
        compare_table([first, Candidate("weighted", *weighted[:2])])
    with pytest.raises(OptionError, match="two models or more"):
        compare_table([first])
    with pytest.raises(OptionError, match='neither "auto" nor False'):
        compare_table([first, first], boundary=True)


def test_fixed_parts_that_are_not_nested_are_pointed_out() -> None:
    models = [candidate("y ~ x + (1 | g)"), candidate("y ~ w + a + (1 | g)")]
    comparison = compare_table(models)
    assert "not contained" in comparison.notes[0]
    same = compare_table([candidate("y ~ x + (1 | g)"), candidate("y ~ w + (1 | g)")])
    assert np.isnan(same.table["p_value"].iloc[1])  # no parameter added


def test_spans() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3)) * [1.0, 1e6, 1e-6]
    assert spans(X @ rng.normal(size=(3, 2)), X)
    assert not spans(np.column_stack([X[:, 0], rng.normal(size=30)]), X)
    assert spans(np.empty((30, 0)), X)
    assert not spans(X, np.empty((30, 0)))
