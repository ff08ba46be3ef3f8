"""Sums over the rows of levels against a loop."""

from __future__ import annotations

import numpy as np
import pytest

from hglm.numerics.grouping import PIECE, grouping


@pytest.mark.parametrize("rows", [0.5, 3.7])
@pytest.mark.parametrize("levels", [3, 50_000])
@pytest.mark.parametrize("ordered", [True, False])
def test_sums_of_products(rows: float, levels: int, ordered: bool) -> None:
    """Levels of many pieces and pieces of many levels, one piece and several."""
    rng = np.random.default_rng(levels)
    extra = rng.integers(0, levels, int(rows * PIECE))
    codes = np.concatenate([np.arange(levels), extra])
    codes = np.sort(codes) if ordered else rng.permutation(codes)
    x, y = rng.integers(-9, 9, (2, len(codes))).astype(float)  # whole numbers: sums are exact
    g = grouping(codes, levels)
    assert (g.starts is not None) is ordered
    expected = np.zeros(levels)
    np.add.at(expected, codes, x * y)
    np.testing.assert_array_equal(g.sum_products(x, y), expected)
    if ordered:
        np.testing.assert_array_equal(g.sum_products(x + 1j * x, y), expected * (1 + 1j))
