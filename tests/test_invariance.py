"""What a fit must not depend on, and how it must follow changes of units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hglm

FORMULAS = [
    "y ~ x + (x | g)",
    "y ~ x + w + (1 | g) + (1 | h)",
    "y ~ x * c + (x || g)",
    "y ~ c + (1 | s/g)",
    "y ~ x + (x | g) + (0 + w | h) + (1 | s)",
    "y ~ x + cs(0 + c | g)",
]
EXAMPLES = settings(max_examples=12)

seeds = st.integers(0, 2**20)
formulas = st.sampled_from(FORMULAS)
methods = st.sampled_from(["reml", "ml"])
units = st.integers(-6, 6).map(lambda e: 10.0**e)
offsets = st.sampled_from([0.0, -3.0, 1e3, -1e6])


def make(seed: int) -> pd.DataFrame:
    """Rows of groups g in schools s, crossed with h; effects in all of them."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(14), rng.integers(3, 9, 14))
    n = len(g)
    h, c = rng.integers(0, 6, n), rng.integers(0, 3, n)
    x, w = rng.normal(size=(2, n))
    effect = rng.normal(size=(14, 3)) * rng.choice([0.0, 0.5, 2.0], 3)
    y = 1 + x + 0.5 * c + effect[g, 0] + effect[g, 1] * x + rng.normal(size=6)[h]
    y += effect[g % 4, 2] + rng.normal(size=n)
    names = {
        "g": [f"g{i:02d}" for i in g],
        "h": [f"h{i}" for i in h],
        "s": [f"s{i % 4}" for i in g],
        "c": [f"c{i}" for i in c],
    }
    return pd.DataFrame({"y": y, "x": x, "w": w, **names})


def variances(fit: hglm.Fit) -> pd.Series:
    """Variances and covariances by group and terms, terms of a pair in alphabetical order."""
    table = fit.varcorr
    pairs = table[["term1", "term2"]].astype(object).fillna("").to_numpy()
    keys = [(g, *sorted(map(str, pair))) for g, pair in zip(table["group"], pairs, strict=True)]
    return pd.Series(table["vcov"].to_numpy(), pd.MultiIndex.from_tuples(keys)).sort_index()


def effects(fit: hglm.Fit) -> pd.DataFrame:
    table = fit.ranef().set_index(["group", "level", "term"])
    return table[["estimate", "std_error"]].sort_index()


def column_names(names: Sequence[str]) -> list[str]:
    """Names of fixed effects whatever the order in an interaction."""
    return [":".join(sorted(name.split(":"))) for name in names]


def assert_same_fit(a: hglm.Fit, b: hglm.Fit, rows: bool = True) -> None:
    """All that is printed, to what an optimum within 1e-9 of the criterion is good for.

    Standard deviations are flat there to about 1e-5 of a residual one.
    """
    assert a.converged
    assert b.converged
    assert a.llf == pytest.approx(b.llf, abs=1e-6)
    assert a.n_parameters == b.n_parameters
    assert a.nobs == b.nobs
    assert a.sigma == pytest.approx(b.sigma, rel=1e-4)
    for one, two in ((a.params, b.params), (a.bse, b.bse)):
        left, right = (pd.Series(s.to_numpy(), column_names(s.index)) for s in (one, two))
        scale = pd.Series(a.bse.to_numpy(), column_names(a.bse.index))
        assert set(left.index) == set(right.index)
        error = ((left - right) / scale).abs().max()
        assert error < 2e-4
    sd_a, sd_b = (np.sqrt(variances(f).abs()) for f in (a, b))
    pd.testing.assert_index_equal(sd_a.index, sd_b.index)
    np.testing.assert_allclose(sd_a / a.sigma, sd_b / a.sigma, atol=2e-3)
    if rows:
        error = (a.fittedvalues - b.fittedvalues.reindex(a.fittedvalues.index)).abs().max()
        assert error < 1e-3 * a.sigma


@EXAMPLES
@given(seeds, formulas, methods)
def test_row_order(seed: int, formula: str, method: str) -> None:
    """Row 8 of the known wrong answers, with level and term order."""
    data = make(seed)
    mixed = data.sample(frac=1.0, random_state=seed)
    a, b = (hglm.fit(formula, d, method=method) for d in (data, mixed))
    assert_same_fit(a, b)
    pd.testing.assert_index_equal(b.fittedvalues.index, mixed.index)


@EXAMPLES
@given(seeds, formulas)
def test_labels_and_order_of_levels(seed: int, formula: str) -> None:
    data = make(seed)
    rng = np.random.default_rng(seed)
    renamed, back = data.copy(), {}
    for group in ("g", "h", "s"):
        levels = sorted(data[group].unique())
        labels = [f"{group}{i}" for i in rng.permutation(len(levels))]
        back[group] = dict(zip(labels, levels, strict=True))
        new = data[group].map(dict(zip(levels, labels, strict=True)))
        renamed[group] = pd.Categorical(new, rng.permutation(labels))
    a, b = hglm.fit(formula, data), hglm.fit(formula, renamed)
    assert_same_fit(a, b)
    table = effects(b).reset_index()
    for group in table["group"].unique():
        parts = group.split(":")
        where = table["group"] == group
        table.loc[where, "level"] = [
            ":".join(back[p][v] for p, v in zip(parts, level.split(":"), strict=True))
            for level in table.loc[where, "level"]
        ]
    moved = table.set_index(["group", "level", "term"]).sort_index()
    np.testing.assert_allclose(
        moved.to_numpy() / a.sigma, effects(a).to_numpy() / a.sigma, atol=1e-3
    )


@EXAMPLES
@given(seeds, st.permutations(["x", "w", "c", "(x | g)", "(0 + w | h)", "(1 | s)"]))
def test_term_order(seed: int, terms: list[str]) -> None:
    data = make(seed)
    first = hglm.fit("y ~ x + w + c + (x | g) + (0 + w | h) + (1 | s)", data)
    assert_same_fit(first, hglm.fit("y ~ " + " + ".join(terms), data))


@EXAMPLES
@given(seeds, methods, units, offsets)
def test_units_and_origin_of_a_predictor(seed: int, method: str, a: float, b: float) -> None:
    """x' = a(x + b): slopes are divided by a, fits stay, the REML constant moves by log a."""
    data = make(seed)
    moved = data.assign(x=a * (data["x"] + b))
    one, two = (hglm.fit("y ~ x + (x | g)", d, method=method) for d in (data, moved))
    assert two.converged
    assert two.singular == one.singular
    shift = -np.log(a) if method == "reml" else 0.0
    rounding = 1e-9 * abs(b)  # x + b has lost the digits below 1e-16 |b|
    assert two.llf == pytest.approx(one.llf + shift, abs=1e-6 + rounding)
    np.testing.assert_allclose(
        two.fittedvalues / one.sigma, one.fittedvalues / one.sigma, atol=1e-3
    )
    assert a * two.params["x"] == pytest.approx(one.params["x"], abs=1e-4 * one.bse["x"])
    assert a * two.bse["x"] == pytest.approx(one.bse["x"], rel=1e-3)
    slope = ("g", "", "x")
    sd_one, sd_two = (np.sqrt(variances(f)[slope]) for f in (one, two))
    assert a * sd_two == pytest.approx(sd_one, rel=1e-3, abs=1e-3 * one.sigma)


@EXAMPLES
@given(seeds, formulas, methods, units, offsets)
def test_units_and_origin_of_the_response(
    seed: int, formula: str, method: str, a: float, b: float
) -> None:
    """y' = a(y + b): everything in units of y follows; θ does not move."""
    data = make(seed)
    moved = data.assign(y=a * (data["y"] + b))
    one, two = (hglm.fit(formula, d, method=method) for d in (data, moved))
    assert two.converged
    n, p = len(data), len(one.params)
    shift = -(n - p if method == "reml" else n) * np.log(a)
    assert two.llf == pytest.approx(one.llf + shift, abs=1e-6 + 1e-9 * abs(b))
    assert two.sigma == pytest.approx(a * one.sigma, rel=1e-4)
    np.testing.assert_allclose(two.bse, a * one.bse, rtol=1e-3)
    back = two.params / a
    back["Intercept"] -= b
    np.testing.assert_allclose((back - one.params) / one.bse, 0.0, atol=1e-4)
    sd_one, sd_two = (np.sqrt(variances(f).abs()) for f in (one, two))
    np.testing.assert_allclose(sd_two / two.sigma, sd_one / one.sigma, atol=2e-3)


@EXAMPLES
@given(seeds, formulas, methods)
def test_frequencies_are_replicated_rows(seed: int, formula: str, method: str) -> None:
    data = make(seed)
    f = np.random.default_rng(seed).integers(1, 4, len(data))
    counted = hglm.fit(formula, data.assign(f=f), method=method, frequencies="f")
    replicated = hglm.fit(formula, data.loc[data.index.repeat(f)], method=method)
    assert_same_fit(counted, replicated, rows=False)
    assert counted.nobs == f.sum()
    assert counted.bic == pytest.approx(replicated.bic, abs=1e-5)
    np.testing.assert_allclose(effects(counted), effects(replicated), atol=1e-3 * counted.sigma)


@EXAMPLES
@given(seeds, formulas)
def test_a_frequency_can_be_split_over_rows(seed: int, formula: str) -> None:
    data = make(seed).assign(f=3)
    split = pd.concat([data.assign(f=1), data.assign(f=2)], ignore_index=True)
    a, b = (hglm.fit(formula, d, frequencies="f") for d in (data, split))
    assert_same_fit(a, b, rows=False)


@EXAMPLES
@given(seeds, formulas, methods, units)
def test_precision_weights_have_no_unit(seed: int, formula: str, method: str, a: float) -> None:
    """Var(e) = σ²/w: with aw for w, σ² is multiplied by a and nothing else changes."""
    data = make(seed)
    w = np.random.default_rng(seed).uniform(0.2, 5.0, len(data))
    one, two = (hglm.fit(formula, data, method=method, weights=v) for v in (w, a * w))
    assert two.llf == pytest.approx(one.llf, abs=1e-6)
    assert two.sigma == pytest.approx(np.sqrt(a) * one.sigma, rel=1e-4)
    np.testing.assert_allclose((two.params - one.params) / one.bse, 0.0, atol=2e-4)
    np.testing.assert_allclose(two.bse, one.bse, rtol=1e-3)
    random = [key for key in variances(one).index if key[0] != "Residual"]
    sd_one, sd_two = (np.sqrt(variances(f)[random].abs()) for f in (one, two))
    np.testing.assert_allclose(sd_two / one.sigma, sd_one / one.sigma, atol=2e-3)


@EXAMPLES
@given(seeds, formulas)
def test_equal_weights_and_single_frequencies_change_nothing(seed: int, formula: str) -> None:
    data = make(seed)
    plain = hglm.fit(formula, data)
    ones = np.ones(len(data))
    assert_same_fit(plain, hglm.fit(formula, data, weights=ones, frequencies=ones))


@EXAMPLES
@given(seeds, formulas)
def test_an_offset_is_taken_off_the_response(seed: int, formula: str) -> None:
    data = make(seed)
    o = 3.0 + 10.0 * np.random.default_rng(seed).normal(size=len(data))
    plain = hglm.fit(formula, data)
    shifted = hglm.fit(formula, data.assign(y=data["y"] + o, o=o), offset="o")
    assert_same_fit(plain, shifted, rows=False)
    np.testing.assert_allclose(shifted.fittedvalues - o, plain.fittedvalues, atol=1e-3)
    within = hglm.fit(formula + " + offset(o)", data.assign(y=data["y"] + o, o=o))
    assert within.llf == pytest.approx(shifted.llf, abs=1e-9)


@EXAMPLES
@given(seeds, st.sampled_from(["sum", "helmert", "poly"]))
def test_coding_of_a_factor(seed: int, contrasts: str) -> None:
    """Other columns for the same space: same fits, same maximised likelihood."""
    data = make(seed)
    one = hglm.fit("y ~ x * c + (1 | g)", data, method="ml")
    two = hglm.fit("y ~ x * c + (1 | g)", data, method="ml", contrasts={"c": contrasts})
    assert two.llf == pytest.approx(one.llf, abs=1e-7)
    np.testing.assert_allclose(two.fittedvalues, one.fittedvalues, atol=1e-4 * one.sigma)
    assert two.sigma == pytest.approx(one.sigma, rel=1e-5)


EQUIVALENT = [
    ("y ~ x + (x || g)", "y ~ x + (1 | g) + (0 + x | g)"),
    ("y ~ x + (x || g)", "y ~ x + diag(x | g)"),
    ("y ~ x + (x | g)", "y ~ x + us(1 + x | g)"),
    ("y ~ x + (x | g)", "y ~ x + cs(x | g)"),  # two columns have one correlation
    ("y ~ x + (1 | s/g)", "y ~ x + (1 | s) + (1 | s:g)"),
    ("y ~ x + (1 | s/g)", "y ~ x + (1 | s) + (1 | g)"),  # labels of g are unique
    ("y ~ x * c + (1 | g)", "y ~ x + c + x:c + (1 | g)"),
    ("y ~ x + (1 | g)", "y ~ 1 + x + (1 | g)"),
]


@settings(max_examples=5)
@given(seeds)
@pytest.mark.parametrize(("one", "two"), EQUIVALENT)
def test_ways_to_write_one_model(one: str, two: str, seed: int) -> None:
    data = make(seed)
    a, b = hglm.fit(one, data), hglm.fit(two, data)
    assert a.llf == pytest.approx(b.llf, abs=1e-6)
    assert a.n_parameters == b.n_parameters
    np.testing.assert_allclose(a.fittedvalues / a.sigma, b.fittedvalues / a.sigma, atol=2e-3)


@EXAMPLES
@given(seeds, formulas)
def test_the_same_data_give_the_same_bits(seed: int, formula: str) -> None:
    """Row 23 of the known wrong answers: nothing is left over from an earlier fit."""
    data = make(seed)
    a = hglm.fit(formula, data)
    hglm.fit("y ~ x + (1 | h)", make(seed + 1))
    b = hglm.fit(formula, data.copy(deep=True))
    assert a.llf == b.llf
    np.testing.assert_array_equal(a.params, b.params)
    np.testing.assert_array_equal(a.theta, b.theta)
