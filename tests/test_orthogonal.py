"""Orthonormal coordinates keep their digits, whatever the units and offsets."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hglm.numerics.orthogonal import (
    Orthogonalised,
    constant_column,
    orthogonalise,
    standardise_columns,
)
from hglm.typing import Matrix, Vector

N = 60


def exact_least_squares(X: Matrix, y: Vector, weights: Vector) -> Vector:
    """β of weighted least squares by Gauss-Jordan elimination in rational arithmetic."""
    rows = [[Fraction(float(v)) for v in row] for row in np.column_stack([X, y])]
    w = [Fraction(float(v)) for v in weights]
    p = X.shape[1]
    A = [
        [sum(wi * r[i] * r[j] for wi, r in zip(w, rows, strict=True)) for j in range(p + 1)]
        for i in range(p)
    ]
    for i in range(p):
        A[i] = [a / A[i][i] for a in A[i]]
        for j in range(p):
            if j != i:
                A[j] = [a - A[j][i] * b for a, b in zip(A[j], A[i], strict=True)]
    return np.array([float(row[p]) for row in A])


def columns(kind: str, rng: np.random.Generator) -> Matrix:
    """Fixed-effects columns of a kind that breaks plain normal equations."""
    x = rng.normal(size=(N, 2))
    one = np.ones(N)
    group = np.arange(N) % 3
    return {
        "plain": np.column_stack([one, x]),
        "offset": np.column_stack([one, x + 1e6]),  # 1e6 standard deviations
        "large units": np.column_stack([one, x * 1e6 + 3e6]),
        "small units": np.column_stack([one, x * 1e-6 - 2e-6]),
        "mixed units": np.column_stack([one, x[:, 0] * 1e6, x[:, 1] * 1e-6]),
        "constant last": np.column_stack([x + 1e3, 4.0 * one]),
        "no intercept": x + 5.0,
        "cell means": np.column_stack([(group == g) * 1.0 for g in range(3)]),
        "cell means and offset": np.column_stack([*((group == g) * 1.0 for g in range(3)), x + 50]),
        "nearly collinear": np.column_stack([one, x[:, 0], x[:, 0] + 1e-7 * x[:, 1]]),
        "one column": 1e-6 * one[:, None],
    }[kind]


KINDS = [
    "plain",
    "offset",
    "large units",
    "small units",
    "mixed units",
    "constant last",
    "no intercept",
    "cell means",
    "cell means and offset",
    "nearly collinear",
    "one column",
]


@pytest.fixture(params=[None, "weights"])
def root_weights(request: pytest.FixtureRequest) -> Vector | None:
    if request.param is None:
        return None
    return np.sqrt(np.random.default_rng(5).uniform(0.01, 10.0, N))


def decompose(
    X: Matrix, y: Vector, root_weights: Vector | None
) -> tuple[Orthogonalised, Matrix, Vector]:
    """Return the record, Q and e; X and y are left as they are."""
    rows = np.asfortranarray(np.column_stack([X, y]))
    return orthogonalise(rows, root_weights), rows[:, :-1], rows[:, -1]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_orthonormal_and_the_residual_orthogonal(
    kind: str, root_weights: Vector | None
) -> None:
    rng = np.random.default_rng(1)
    X, y = columns(kind, rng), rng.normal(size=N) + 1e9
    _, Q, e = decompose(X, y, root_weights)
    np.testing.assert_allclose(Q.T @ Q, np.eye(X.shape[1]), rtol=0, atol=1e-14)
    size = float(np.linalg.norm(e))
    assert np.abs(Q.T @ e).max() < 1e-14 * max(size, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_maps_lead_back_to_the_users_columns(kind: str, root_weights: Vector | None) -> None:
    """X R^-1 = Q on weighted rows, and log|X'WX| = 2 log|R|."""
    rng = np.random.default_rng(1)
    X = columns(kind, rng)
    r, Q, _ = decompose(X, rng.normal(size=N), root_weights)
    rows = X if root_weights is None else X * root_weights[:, None]
    R = Q.T @ rows
    scale = np.linalg.norm(rows, axis=0)
    np.testing.assert_allclose((Q @ R) / scale, rows / scale, rtol=0, atol=1e-14)
    lengths = np.linalg.norm(r.to_beta * scale[:, None], axis=0)
    identity = (R @ r.to_beta) / lengths
    np.testing.assert_allclose(identity, np.diag(1 / lengths), rtol=0, atol=1e-13)
    assert r.logdet_R == pytest.approx(
        np.linalg.slogdet(R / scale)[1] + np.log(scale).sum(), abs=1e-8
    )


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e9])
@pytest.mark.parametrize("kind", KINDS)
def test_coefficients_equal_those_of_exact_arithmetic(
    kind: str, offset: float, root_weights: Vector | None
) -> None:
    """Slopes lose no digits to offsets; the response alone rounds at its own size.

    Each coefficient is held to a few roundings, in units of what an error of the size of the
    (centred) response can do to it, |R^-1||y|, times the condition of the scaled columns:
    rounding of the columns themselves cannot be undone.
    """
    rng = np.random.default_rng(2)
    X = columns(kind, rng)
    y = np.round(rng.normal(size=N), 3) + offset
    r, _, _ = decompose(X, y, root_weights)
    w = np.ones(N) if root_weights is None else root_weights**2
    expected = exact_least_squares(X, y, w)
    got = r.to_beta @ r.gamma + r.shift
    centred = constant_column(X) is not None
    size = np.linalg.norm((y - y.mean() if centred else y) * np.sqrt(w))
    reach = np.linalg.norm(r.to_beta, axis=1) * size + np.abs(r.shift)
    condition = np.linalg.cond(standardise_columns(X, None)[0])
    assert np.max(np.abs(got - expected) / reach) < 4e-15 * max(condition, 5.0)


def test_an_offset_of_a_million_standard_deviations_keeps_the_slope() -> None:
    rng = np.random.default_rng(3)
    x = np.round(rng.normal(size=N), 3)  # so that x + 1e6 is exact to 1e-10
    X = np.column_stack([np.ones(N), x + 1e6])
    y = 2.0 * x + np.round(rng.normal(size=N), 3)
    near, _, _ = decompose(np.column_stack([np.ones(N), x]), y, None)
    far, _, _ = decompose(X, y + 1e9, None)
    slope = (near.to_beta @ near.gamma)[1]
    assert (far.to_beta @ far.gamma)[1] == pytest.approx(slope, rel=1e-7)  # y rounds to 1e-7
    assert far.shift[0] == pytest.approx(1e9, rel=1e-8)
    assert far.shift[1] == 0.0


def test_no_columns() -> None:
    y = np.arange(4.0)
    r, Q, e = decompose(np.zeros((4, 0)), y, None)
    np.testing.assert_array_equal(e, y)
    assert Q.shape == (4, 0)
    assert r.logdet_R == 0.0


def test_inputs_are_left_alone() -> None:
    rows, root = np.asfortranarray(np.ones((5, 2))), np.full(5, 2.0)
    root.setflags(write=False)
    orthogonalise(rows, root)
    X = np.ones((5, 1))
    X.setflags(write=False)
    standardise_columns(X, None)


@pytest.mark.parametrize("centre", [True, False])
def test_standardised_columns_have_unit_mean_square(centre: bool) -> None:
    X = columns("offset", np.random.default_rng(4))
    z, T = standardise_columns(X, None, centre)
    np.testing.assert_allclose((z**2).mean(axis=0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(X @ T, z, rtol=0, atol=1e-9)  # X T itself cancels six digits
    if centre:
        np.testing.assert_allclose(z[:, 1:].mean(axis=0), 0.0, atol=1e-9)
    else:
        np.testing.assert_array_equal(T, np.diag(np.diagonal(T)))


def test_a_column_of_zeros_is_left_as_it_is() -> None:
    z, T = standardise_columns(np.column_stack([np.ones(4), np.zeros(4)]), None)
    np.testing.assert_array_equal(z[:, 1], 0.0)
    assert T[1, 1] == 1.0


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        ([[1.0, 2.0], [1.0, 3.0], [1.0, 2.0]], 0),
        ([[2.0, 5.0], [3.0, 5.0], [2.0, 5.0]], 1),
        ([[0.0, 1.0], [0.0, 2.0], [0.0, 1.0]], None),
        ([[1.0], [2.0], [1.0]], None),
    ],
)
def test_constant_column(X: list[list[float]], expected: int | None) -> None:
    assert constant_column(np.array(X)) == expected
