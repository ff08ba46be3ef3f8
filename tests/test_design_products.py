"""Sides that only multiply numbers: the same columns as formulaic makes, without it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix

from hglm.design.encoding import Columns, encode
from hglm.design.products import products_of
from hglm.errors import DataError

RNG = np.random.default_rng(5)
DATA = {
    "x": pd.Series(RNG.normal(size=30)),
    "z": pd.Series(RNG.integers(-5, 9, 30)),
    "odd name": pd.Series(RNG.uniform(size=30), dtype="float32"),
    "flag": pd.Series(RNG.uniform(size=30) > 0.4),
    "f": pd.Series(pd.Categorical(list("abc") * 10)),
}
INDEX = pd.RangeIndex(30)


def encoded(side: str) -> Columns:
    return encode([side], DATA, INDEX, {})[0][side]


@pytest.mark.parametrize(
    "side",
    ["1 + x", "0 + z", "1 + x + z + x:z", "1 + x*z*`odd name`", "0 + x:z", "1 + `odd name`:x + x"],
)
def test_columns_are_those_of_formulaic(side: str) -> None:
    assert products_of(side, DATA) is not None
    found, expected = encoded(side), model_matrix(side, pd.DataFrame(DATA))
    np.testing.assert_allclose(found.matrix, expected.to_numpy(), rtol=1e-14)
    assert found.names == tuple(expected.columns)
    assert found.matrix.flags.f_contiguous
    indices = expected.model_spec.term_indices
    spelt = {"Intercept" if term == "1" else str(term): tuple(at) for term, at in indices.items()}
    assert found.terms == spelt


@pytest.mark.parametrize(
    "side", ["1 + f", "1 + x + flag", "1 + np.log(z)", "1 + 2:x", "1 + poly(x, 2)"]
)
def test_all_else_is_left_to_formulaic(side: str) -> None:
    assert products_of(side, DATA) is None


def test_new_data_are_multiplied_alike_and_must_be_numbers() -> None:
    side = "1 + x:z"
    found, encoding = encode([side], DATA, INDEX, {})
    rows = {name: column.iloc[[4, 7]] for name, column in DATA.items()}
    again = encoding.columns([side], rows, pd.RangeIndex(2))[side]
    np.testing.assert_allclose(again.matrix, found[side].matrix[[4, 7]], rtol=1e-14)
    rows["x"] = pd.Series(pd.Categorical(["a", "b"]))
    with pytest.raises(DataError, match="`x` is not numeric"):
        encoding.columns([side], rows, pd.RangeIndex(2))
