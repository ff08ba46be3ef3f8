"""The k × k algebra over many levels at once, against NumPy one matrix at a time."""

from __future__ import annotations

import numpy as np
import pytest

from hglm.numerics.batched import (
    SOA_LIMIT,
    congruence,
    inverse_logdet,
    matmul,
    outer_sum,
    symmetrise,
)
from hglm.typing import Matrix

Q = 7
ORDERS = range(1, 11)  # closed forms, sweeps and LAPACK: the limits lie between


def spd(rng: np.random.Generator, k: int, q: int = Q) -> Matrix:
    """Well-conditioned symmetric positive definite matrices. (k, k, q)"""
    root = rng.normal(size=(q, k, k + 2))
    return np.moveaxis(root @ root.swapaxes(1, 2) + np.eye(k), 0, 2).copy()


def draw(rng: np.random.Generator, shape: tuple[int, ...], *, complex_: bool) -> Matrix:
    x = rng.normal(size=shape)
    return x + 1j * rng.normal(size=shape) if complex_ else x


def test_the_orders_tried_reach_every_branch() -> None:
    assert min(ORDERS) == 1 < SOA_LIMIT < max(ORDERS)


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("k", ORDERS)
def test_matmul_multiplies_level_by_level(k: int, complex_: bool) -> None:
    rng = np.random.default_rng(k)
    a = draw(rng, (3, k, Q), complex_=complex_)
    b = draw(rng, (k, 2, Q), complex_=complex_)
    expected = np.stack([a[:, :, j] @ b[:, :, j] for j in range(Q)], axis=2)
    np.testing.assert_allclose(matmul(a, b), expected, rtol=0, atol=1e-13 * k)


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("k", ORDERS)
def test_congruence_wraps_each_matrix(k: int, complex_: bool) -> None:
    rng = np.random.default_rng(k)
    a = spd(rng, k)
    for rows in {1, k, k + 1}:
        t = draw(rng, (rows, k), complex_=complex_)
        expected = np.stack([t @ a[:, :, j] @ t.T for j in range(Q)], axis=2)
        np.testing.assert_allclose(congruence(t, a), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("k", ORDERS)
def test_inverse_and_log_determinant(k: int) -> None:
    a = spd(np.random.default_rng(k), k)
    before = a.copy()
    inverse, logdet = inverse_logdet(a)
    for j in range(Q):
        np.testing.assert_allclose(inverse[:, :, j] @ a[:, :, j], np.eye(k), rtol=0, atol=1e-12)
        assert logdet[j] == pytest.approx(np.linalg.slogdet(a[:, :, j])[1], abs=1e-12)
    np.testing.assert_array_equal(a, before)


@pytest.mark.parametrize("k", ORDERS)
def test_inverse_and_log_determinant_of_complex_symmetric_matrices(k: int) -> None:
    rng = np.random.default_rng(k)
    a = spd(rng, k) + 0.05j * spd(rng, k)
    inverse, logdet = inverse_logdet(a)
    for j in range(Q):
        np.testing.assert_allclose(inverse[:, :, j] @ a[:, :, j], np.eye(k), rtol=0, atol=1e-12)
        expected = np.log(np.linalg.eigvals(a[:, :, j])).sum()
        assert logdet[j] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", ORDERS)
def test_a_complex_step_differentiates_the_log_determinant(k: int) -> None:
    rng = np.random.default_rng(k)
    a, direction = spd(rng, k), spd(rng, k)
    derivative = np.imag(inverse_logdet(a + 1e-20j * direction)[1]) / 1e-20
    expected = [np.trace(np.linalg.solve(a[:, :, j], direction[:, :, j])) for j in range(Q)]
    np.testing.assert_allclose(derivative, expected, rtol=1e-11)


@pytest.mark.parametrize("size", [1e-60, 1e60])
@pytest.mark.parametrize("k", ORDERS)
def test_log_determinants_neither_overflow_nor_underflow(k: int, size: float) -> None:
    a = spd(np.random.default_rng(k), k)
    expected = inverse_logdet(a)[1] + k * np.log(size)
    np.testing.assert_allclose(inverse_logdet(size * a)[1], expected, rtol=1e-13)


@pytest.mark.parametrize("k", ORDERS)
def test_outer_sum_adds_over_levels_and_leading_axes(k: int) -> None:
    rng = np.random.default_rng(k)
    x, y = rng.normal(size=(2, k, Q)), rng.normal(size=(2, 3, Q))
    flat = sum(np.outer(x[0, :, j], y[0, :, j]) for j in range(Q))
    np.testing.assert_allclose(outer_sum(x[0], y[0]), flat, atol=1e-13)
    both = flat + sum(np.outer(x[1, :, j], y[1, :, j]) for j in range(Q))
    np.testing.assert_allclose(outer_sum(x, y), both, atol=1e-13)


def test_symmetrise_keeps_the_symmetric_part() -> None:
    a = np.random.default_rng(0).normal(size=(4, 4))
    np.testing.assert_array_equal(symmetrise(a), symmetrise(a).T)
    np.testing.assert_allclose(symmetrise(a) + (a - a.T) / 2, a, atol=1e-15)
