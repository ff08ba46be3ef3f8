"""Dependent columns are found against a slow oracle, in any units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hglm.numerics.rank import independent_columns


def oracle(X):
    """Keep a column when it raises the rank of those before it (SVD, columns scaled)."""
    centred = X.copy()
    if np.ptp(X[:, 0]) == 0 and X[0, 0] != 0:
        centred[:, 1:] -= X[:, 1:].mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    scaled = centred / np.where(norms > 0, norms, 1.0)
    kept = []
    for j in range(X.shape[1]):
        if np.linalg.matrix_rank(scaled[:, [*kept, j]], tol=1e-6) > len(kept):
            kept.append(j)
    return kept


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(3, 30),
    sources=st.lists(st.integers(-1, 4), min_size=1, max_size=8),
    intercept=st.booleans(),
    log_scales=st.lists(st.integers(-6, 6), min_size=8, max_size=8),
)
def test_kept_columns_are_those_that_raise_the_rank(seed, n, sources, intercept, log_scales):
    """A column is fresh noise (-1) or a combination of up to `source` earlier ones."""
    rng = np.random.default_rng(seed)
    columns = [np.ones(n)] if intercept else []
    for source in sources:
        if source < 0 or not columns:
            columns.append(rng.standard_normal(n))
        else:
            earlier = np.column_stack(columns[: source + 1])
            columns.append(earlier @ rng.integers(-2, 3, earlier.shape[1]))
    X = np.column_stack(columns)
    scales = 10.0 ** np.array([0, *log_scales])[: X.shape[1]]
    assert list(independent_columns(X * scales)) == oracle(X)


@pytest.mark.parametrize("order", ["C", "F"])
def test_units_and_offsets_do_not_make_columns_dependent(order):
    rng = np.random.default_rng(1)
    x = rng.standard_normal(500)
    columns = [np.ones(500), 1e9 + x, 1e6 * x**2 + 1e9, 1e-6 * np.sin(x), 2 * x + 7]
    X = np.array(np.column_stack(columns), order=order)
    assert list(independent_columns(X)) == [0, 1, 2, 3]


def test_an_offset_needs_no_intercept_column_to_be_harmless():
    rng = np.random.default_rng(2)
    groups = np.eye(3)[rng.integers(0, 3, 200)]
    x = rng.standard_normal(200)
    X = np.column_stack([groups, np.ones(200), 1e6 + x, 3 * x - 5])
    assert list(independent_columns(X)) == [0, 1, 2, 4]


def test_a_dropped_column_does_not_hide_a_later_one():
    """Below tolerance, x + 1e-9 z counts as x; z itself must survive."""
    rng = np.random.default_rng(3)
    x, z = rng.standard_normal((2, 100))
    assert list(independent_columns(np.column_stack([np.ones(100), x, x + 1e-9 * z, z]))) == [
        0,
        1,
        3,
    ]


def test_the_tolerance_is_lme4s():
    rng = np.random.default_rng(4)
    x, z = rng.standard_normal((2, 100))
    for epsilon, kept in ((1e-6, [0, 1, 2]), (1e-8, [0, 1])):
        X = np.column_stack([np.ones(100), x, x + epsilon * z])
        assert list(independent_columns(X)) == kept


def test_rows_of_weight_zero_do_not_count():
    X = np.column_stack([np.ones(4), [0.0, 1, 2, 3], [0.0, 2, 4, 9]])
    assert list(independent_columns(X)) == [0, 1, 2]
    assert list(independent_columns(X, weights=np.array([1.0, 2, 3, 0]))) == [0, 1]


@pytest.mark.parametrize(
    ("X", "kept"),
    [
        (np.zeros((5, 0)), []),
        (np.zeros((5, 2)), []),
        (np.column_stack([np.zeros(5), np.ones(5), np.full(5, 3.0)]), [1]),
        (np.eye(2, 5), [0, 1]),
        (np.full((1, 1), 7.0), [0]),
    ],
)
def test_degenerate_shapes(X, kept):
    assert list(independent_columns(X)) == kept


def test_the_matrix_is_not_changed():
    X = np.column_stack([np.ones(50), np.arange(50.0), 2 * np.arange(50.0)])
    X.flags.writeable = False
    assert list(independent_columns(X)) == [0, 1]
