"""From formula and frame to arrays: response, masks, groups, offsets, contrasts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from formulaic.transforms.contrasts import TreatmentContrasts
from hypothesis import given, settings
from hypothesis import strategies as st

from hglm.datasets import load_dataset
from hglm.design import build_design
from hglm.formula import parse_formula, parse_predictor


def build(formula, data, **options):
    return build_design(parse_formula(formula), data, **options)[0]


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 24
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n) + 5,
            "n": rng.integers(5, 9, n),
            "s": rng.integers(0, 5, n),
            "m": pd.Categorical.from_codes(np.arange(n) % 3, ["lo", "mid", "hi", "unused"]),
            "g": np.repeat(list("dbca"), 6),
            "i": np.repeat([30, 10, 20], 8),
            "b": np.arange(n) % 2 == 0,
            "w": rng.uniform(1, 2, n),
        }
    )


def test_sleepstudy(frame):
    design = build("reaction ~ days + (days | subject)", load_dataset("sleepstudy"))
    term = design.mean.random[0]
    assert design.mean.names == term.names == ("Intercept", "days")
    assert design.mean.terms == {"Intercept": (0,), "days": (1,)}
    assert (design.n, term.n_levels, term.k) == (180, 18, 2)
    np.testing.assert_array_equal(term.codes, np.repeat(np.arange(18), 10))
    np.testing.assert_array_equal(term.z[:, 1], np.tile(np.arange(10.0), 18))


# --- one mask ---------------------------------------------------------------


@given(missing=st.lists(st.tuples(st.integers(0, 23), st.sampled_from("yxsgwo")), max_size=12))
def test_a_row_is_used_when_nothing_in_it_is_missing(missing):
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.normal(size=(24, 5)), columns=list("yxswo"))
    data["g"] = np.repeat(["a", "b", None, "c"], 6)
    for row, column in missing:
        data.loc[row, column] = np.nan
    design = build(
        "y ~ x + offset(o) + (0 + s | g)",
        data,
        weights=np.abs(data["w"]).to_numpy(),
    )
    complete = np.flatnonzero(data.notna().all(axis=1))
    np.testing.assert_array_equal(design.index, complete)
    np.testing.assert_array_equal(design.y, data["y"].to_numpy()[complete])
    np.testing.assert_array_equal(design.mean.X[:, 1], data["x"].to_numpy()[complete])
    np.testing.assert_array_equal(design.mean.offset, data["o"].to_numpy()[complete])
    np.testing.assert_array_equal(design.mean.random[0].z[:, 0], data["s"].to_numpy()[complete])
    term = design.mean.random[0]
    assert list(term.levels[term.codes]) == list(data["g"][complete])
    assert design.n_rows == 24


def test_rows_left_out_are_noted_with_their_columns(frame):
    frame.loc[[3, 4], "x"] = np.nan
    frame.loc[3, "g"] = None
    design = build("y ~ x + (1 | g)", frame)
    assert design.notes == ("2 of 24 rows left out: values missing in `x` (2), `g` (1).",)
    assert list(design.index) == [i for i in range(24) if i not in (3, 4)]


def test_columns_that_the_model_does_not_use_do_not_matter(frame):
    frame["x"] = np.nan
    frame["w"] = np.inf
    assert build("y ~ m + (1 | g)", frame).n == 24


def test_further_predictors_share_the_mask(frame):
    frame.loc[5, "x"] = np.nan
    design = build("y ~ m", frame, others={"dispersion": parse_predictor("~ x + (1 | g)")})
    dispersion = design.others["dispersion"]
    assert design.mean.X.shape[0] == dispersion.X.shape[0] == 23
    assert dispersion.random[0].codes.shape == (23,)


def test_the_index_is_that_of_the_frame(frame):
    frame.index = pd.Index([f"row{i}" for i in range(24)])
    frame.loc["row2", "x"] = np.nan
    design = build("y ~ x", frame)
    assert list(design.index[:3]) == ["row0", "row1", "row3"]


# --- response ---------------------------------------------------------------


def test_counts_become_proportions_and_trials(frame):
    design = build("cbind(s, n - s) ~ x", frame)
    np.testing.assert_array_equal(design.trials, frame["n"])
    np.testing.assert_array_equal(design.y, frame["s"] / frame["n"])
    assert design.response == "cbind(s, n - s)"


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("log(w)", lambda d: np.log(d["w"])),
        ("np.sqrt(w)", lambda d: np.sqrt(d["w"])),
        ("I(y/2)", lambda d: d["y"] / 2),
        ("s / n", lambda d: d["s"] / d["n"]),
        ("y^2", lambda d: d["y"] ** 2),
        ("b", lambda d: d["b"].astype(float)),
    ],
)
def test_response_expressions(frame, response, expected):
    design = build(f"{response} ~ x", frame)
    np.testing.assert_array_equal(design.y, expected(frame))


def test_categories_of_a_response_are_counted_from_zero(frame):
    design = build("m ~ x", frame, categorical=True)
    np.testing.assert_array_equal(design.y, np.arange(24) % 3)
    assert design.response_levels == ("lo", "mid", "hi")
    text = build("g ~ x", frame, categorical=True)
    assert text.response_levels == ("a", "b", "c", "d")


# --- groups -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "levels"),
    [
        ("g", ["a", "b", "c", "d"]),
        ("i", [10, 20, 30]),
        ("b", [False, True]),
        ("m", ["lo", "mid", "hi"]),
        ("factor(i)", [10, 20, 30]),
        ("I(x > 5)", [False, True]),
    ],
)
def test_levels_are_sorted_or_in_the_order_of_the_categories(frame, column, levels):
    term = build(f"y ~ 1 + (1 | {column})", frame).mean.random[0]
    assert list(term.levels) == levels
    if column in frame:
        assert list(term.levels[term.codes]) == list(frame[column])


@pytest.mark.parametrize("spread", [1, 10**12])
def test_integer_groups_are_coded_alike_by_table_and_by_hash(spread):
    rng = np.random.default_rng(2)
    ids = rng.integers(-50, 50, 300) * spread
    term = build("y ~ 1 + (1 | g)", pd.DataFrame({"y": ids * 0.5, "g": ids})).mean.random[0]
    levels, codes = np.unique(ids, return_inverse=True)
    np.testing.assert_array_equal(term.levels, levels)
    np.testing.assert_array_equal(term.codes, codes)


def test_numbers_of_groups_beside_missing_values_stay_whole():
    data = pd.DataFrame({"y": [1.0, 2, 3, 4], "g": [7, np.nan, 5, 7]})
    assert list(build("y ~ 1 + (1 | g)", data).mean.random[0].levels) == [5, 7]


@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(2, 5), min_size=2, max_size=3))
def test_interactions_are_the_combinations_that_occur(seed, sizes):
    rng = np.random.default_rng(seed)
    names = "abc"[: len(sizes)]
    columns = {name: rng.integers(0, size, 12) for name, size in zip(names, sizes, strict=True)}
    for values in columns.values():
        values[:2] = 0, 1
    data = pd.DataFrame({"y": rng.normal(size=12), **columns})
    term = build(f"y ~ 1 + (1 | {':'.join(names)})", data).mean.random[0]
    rows = list(zip(*columns.values(), strict=True))
    expected = [":".join(map(str, combination)) for combination in sorted(set(rows))]
    assert list(term.levels) == expected
    assert list(term.levels[term.codes]) == [":".join(map(str, row)) for row in rows]


def test_nested_groups_are_labelled_as_in_R():
    random = build("strength ~ 1 + (1 | batch/cask)", load_dataset("pastes")).mean.random
    assert [term.group for term in random] == ["cask:batch", "batch"]
    assert list(random[0].levels[:3]) == ["a:A", "a:B", "a:C"]


# --- columns ----------------------------------------------------------------


def test_double_bar_keeps_the_columns_of_a_factor_together(frame):
    random = build("y ~ m + (m || g)", frame).mean.random
    assert [term.names for term in random] == [("Intercept",), ("m[lo]", "m[mid]", "m[hi]")]


def test_unused_categories_make_no_columns(frame):
    assert build("y ~ m", frame).mean.names == ("Intercept", "m[T.mid]", "m[T.hi]")


@pytest.mark.parametrize("contrast", ["sum", "contr.sum"])
def test_contrasts_by_argument_and_in_the_formula_agree(frame, contrast):
    by_argument = build("y ~ m + (m | g)", frame, contrasts={"m": contrast}).mean
    in_formula = build("y ~ C(m, contr.sum)", frame).mean
    assert by_argument.names == ("Intercept", "m[S.lo]", "m[S.mid]")
    assert by_argument.random[0].names == by_argument.names
    np.testing.assert_array_equal(by_argument.X, in_formula.X)


@pytest.mark.parametrize(
    "value",
    [
        "helmert",
        "poly",
        "diff",
        "sas",
        TreatmentContrasts(base="hi"),
        np.array([[1.0, 0], [0, 1], [-1, -1]]),
    ],
)
def test_every_coding_spans_the_same_space(frame, value):
    plain = build("y ~ m", frame).mean.X
    coded = build("y ~ m", frame, contrasts={"m": value}).mean.X
    residual = plain - coded @ np.linalg.lstsq(coded, plain, rcond=None)[0]
    np.testing.assert_allclose(residual, 0, atol=1e-12)
    assert not np.array_equal(plain, coded)


def test_dependent_columns_are_left_out_with_a_note(frame):
    frame["twice"] = 2e6 * frame["x"] + 1e8
    design = build("y ~ x + twice + m", frame)
    assert design.mean.dropped == ("twice",)
    assert design.mean.names == ("Intercept", "x", "m[T.mid]", "m[T.hi]")
    assert design.mean.terms == {"Intercept": (0,), "x": (1,), "twice": (), "m": (2, 3)}
    assert design.mean.X.shape == (24, 4)
    assert "`twice`" in design.notes[0]


def test_offsets_add_up(frame):
    design = build("y ~ x + offset(w) + offset(log(w))", frame, offset=np.full(24, 2.0))
    np.testing.assert_allclose(design.mean.offset, frame["w"] + np.log(frame["w"]) + 2)
    assert build("y ~ x", frame).mean.offset is None
    np.testing.assert_array_equal(build("y ~ x", frame, offset="w").mean.offset, frame["w"])


def test_arrays_belong_to_the_rows_by_position(frame):
    reversed_series = pd.Series(frame["w"].to_numpy(), index=frame.index[::-1])
    for given_weights in ("w", list(frame["w"]), reversed_series):
        design = build("y ~ x", frame, weights=given_weights)
        np.testing.assert_array_equal(design.weights, frame["w"])


def test_frequencies_count_rows(frame):
    assert build("y ~ x", frame, frequencies="n").nobs == frame["n"].sum()


def test_odd_names_and_transforms(frame):
    frame["my column"] = frame["x"]
    frame["a.b"] = frame["w"]
    design = build("y ~ I(`my column`^2) + a.b + sqrt(w) + b", frame)
    assert design.mean.names == ("Intercept", "I(`my column` ** 2)", "a.b", "sqrt(w)", "b")
    np.testing.assert_allclose(design.mean.X[:, 1], frame["x"] ** 2)


def test_columns_and_functions_of_one_name_live_together(frame):
    frame["log"] = frame["w"]
    frame["C"] = frame["x"]
    design = build("y ~ log(w) + C(m) + C(m, Sum):x + {w.astype(float).clip(1, 1.5)}", frame)
    np.testing.assert_allclose(design.mean.X[:, 1], np.log(frame["w"]))


def test_R_writes_powers_as_python_reads_exclusive_or(frame):
    """`I(n^2)` of integers is a square, not the exclusive or of Python."""
    np.testing.assert_array_equal(build("y ~ I(n^2)", frame).mean.X[:, 1], frame["n"] ** 2)


def test_no_fixed_effects_and_no_random_effects(frame):
    design = build("y ~ 0 + (1 | g)", frame)
    assert design.mean.X.shape == (24, 0)
    assert build("y ~ 1", frame).mean.random == ()


# --- invariance -------------------------------------------------------------


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_permuted_rows_give_permuted_arrays(seed):
    data = load_dataset("machines")
    order = np.random.default_rng(seed).permutation(len(data))
    formula = "score ~ machine + (0 + machine | worker) + (1 | worker:machine)"
    straight, permuted = build(formula, data).mean, build(formula, data.iloc[order]).mean
    assert straight.names == permuted.names
    np.testing.assert_array_equal(permuted.X, straight.X[order])
    for a, b in zip(straight.random, permuted.random, strict=True):
        assert a.levels.equals(b.levels)
        np.testing.assert_array_equal(b.codes, a.codes[order])
        np.testing.assert_array_equal(b.z, a.z[order])


def test_inputs_are_not_changed(frame):
    weights = frame["w"].to_numpy().copy()
    weights.flags.writeable = False
    frame.loc[2, "x"] = np.nan
    before = frame.copy(deep=True)
    build("log(w) ~ scale(x) + poly(x, 2) + m + (x | g)", frame, weights=weights)
    pd.testing.assert_frame_equal(frame, before)
