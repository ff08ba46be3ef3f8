"""The same model from pandas, polars and pyarrow, in every way to hold a column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import hglm
from hglm.design import build_design, rebuild
from hglm.formula import parse_formula

FORMULA = "y ~ x + s + c + b + k + (x | i) + (1 | o) + (1 | b) + (1 | i:s)"
LEVELS = ["c", "b", "a"]


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 40
    text = rng.choice(LEVELS, n)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": np.where(np.arange(n) == 7, np.nan, rng.normal(size=n)),
            "k": rng.integers(0, 99, n),
            "s": rng.choice(["u", "v", "w"], n),
            "c": pd.Categorical(text, categories=[*LEVELS, "unused"]),
            "o": pd.Categorical(text, categories=LEVELS, ordered=True),
            "b": rng.random(n) > 0.5,
            "i": rng.integers(0, 4, n),
        }
    )


def to_polars(frame):
    enum = {name: pl.Enum(list(frame[name].cat.categories)) for name in "co"}
    columns = {
        name: pl.Series(frame[name].astype(str).tolist() if name in enum else frame[name].tolist())
        for name in frame
    }
    converted = pl.DataFrame(columns).with_columns(pl.col("x").fill_nan(None))
    return converted.with_columns(pl.col(name).cast(dtype) for name, dtype in enum.items())


def to_numpy_nullable(frame):
    return frame.convert_dtypes()


def to_arrow_dtypes(frame):
    kept = {name: frame[name] for name in "co"}
    return frame.convert_dtypes(dtype_backend="pyarrow").assign(**kept)


def to_objects(frame):
    kept = {name: frame[name] for name in "co"}
    return frame.astype(object).assign(**kept)


KINDS = [to_polars, pa.Table.from_pandas, to_numpy_nullable, to_arrow_dtypes, to_objects]


@pytest.mark.parametrize("convert", KINDS)
def test_every_kind_of_frame_gives_the_same_design(frame, convert):
    expected, _ = build_design(parse_formula(FORMULA), frame, weights="k")
    design, spec = build_design(parse_formula(FORMULA), convert(frame), weights="k")
    assert design.mean.names == expected.mean.names
    assert design.notes == expected.notes
    np.testing.assert_array_equal(design.index, expected.index)
    np.testing.assert_array_equal(design.y, expected.y)
    np.testing.assert_array_equal(design.weights, expected.weights)
    np.testing.assert_array_equal(design.mean.X, expected.mean.X)
    for a, b in zip(design.mean.random, expected.mean.random, strict=True):
        assert list(a.levels) == list(b.levels)
        np.testing.assert_array_equal(a.codes, b.codes)
        np.testing.assert_array_equal(a.z, b.z)
    again = rebuild(spec, frame)
    np.testing.assert_array_equal(again.mean.X, expected.mean.X)
    for a, b in zip(again.mean.random, expected.mean.random, strict=True):
        np.testing.assert_array_equal(a.codes, b.codes)


def test_polars_categoricals_have_no_order_so_theirs_is_sorted():
    """Otherwise the reference category would depend on the order of the rows."""
    data = pl.DataFrame({"y": [1.0, 2, 4], "c": ["b", "c", "a"]})
    data = data.with_columns(pl.col("c").cast(pl.Categorical))
    design, _ = build_design(parse_formula("y ~ c"), data)
    assert design.mean.names == ("Intercept", "c[T.b]", "c[T.c]")


def test_arguments_may_be_columns_of_another_library(frame):
    weights = pl.Series(np.arange(1.0, 41.0))
    design, _ = build_design(parse_formula("y ~ k"), frame, weights=weights)
    np.testing.assert_array_equal(design.weights, np.arange(1.0, 41.0))


def test_only_the_columns_of_the_model_are_converted(frame):
    """A column of nested lists would not convert; it is never touched."""
    data = to_polars(frame).with_columns(pl.Series("lists", [[1, 2]] * 40))
    assert build_design(parse_formula("y ~ k"), data)[0].n == 40


def test_single_precision_is_widened():
    data = pd.DataFrame({"y": np.arange(5, dtype=np.float32), "x": np.arange(5, dtype=np.float16)})
    design, _ = build_design(parse_formula("y ~ x"), data)
    assert design.y.dtype == design.mean.X.dtype == np.float64


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint64"])
def test_small_integers_do_not_overflow(dtype):
    data = pd.DataFrame({"y": [1.0, 2, 3], "g": np.array([120, 7, 120], dtype=dtype)})
    term = build_design(parse_formula("y ~ 1 + I(g * g) + (1 | g)"), data)[0].mean
    np.testing.assert_array_equal(term.X[:, 1], [14400.0, 49, 14400])
    assert list(term.random[0].levels) == [7, 120]


def test_what_is_written_to_the_data_later_does_not_change_a_fit(frame):
    data = frame.dropna().reset_index(drop=True)
    fit = hglm.fit("y ~ x + (1 | i)", data)
    before = fit.emmeans("x").frame
    data.loc[:, ["x", "y"]] = 0.0
    pd.testing.assert_frame_equal(fit.emmeans("x").frame, before)
