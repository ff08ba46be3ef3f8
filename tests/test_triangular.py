"""Triangular systems and their condition, against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest

from hglm.numerics.triangular import condition, solve_triangular


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
@pytest.mark.parametrize("shape", [(5,), (5, 3)])
def test_solution_looks_at_its_own_triangle_only(
    lower: bool, transpose: bool, shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    A, rhs = rng.normal(size=(5, 5)) + 3.0 * np.eye(5), rng.normal(size=shape)
    dense = np.tril(A) if lower else np.triu(A)
    expected = np.linalg.solve(dense.T if transpose else dense, rhs)
    before = rhs.copy()
    np.testing.assert_allclose(solve_triangular(A, rhs, lower, transpose), expected, rtol=1e-12)
    np.testing.assert_array_equal(rhs, before)


def test_no_unknowns_and_singular_matrices() -> None:
    assert solve_triangular(np.empty((0, 0)), np.empty((0, 4))).shape == (0, 4)
    with pytest.raises(np.linalg.LinAlgError):
        solve_triangular(np.array([[1.0, 0.0], [1.0, 0.0]]), np.ones(2))
    assert condition(np.array([[1.0, 0.0], [1.0, 0.0]])) == np.inf


@pytest.mark.parametrize("lower", [True, False])
def test_condition_is_that_of_a_triangle(lower: bool) -> None:
    A = np.random.default_rng(1).normal(size=(4, 4))
    dense = np.tril(A) if lower else np.triu(A)
    assert condition(A, lower) == pytest.approx(np.linalg.cond(dense, 1), rel=1e-12)
    assert condition(np.diag([1.0, 1e-9])) == pytest.approx(1e9, rel=1e-6)
