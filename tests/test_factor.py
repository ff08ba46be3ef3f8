"""Every way to factor V against dense matrices: the conformance suite of the blocks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import sparse

from hglm.numerics.factor import Factor, Plan, factorise, make_plan
from hglm.numerics.gramian import CrossedCells, Gramian, NestedCells, gramian, level_products
from hglm.numerics.grouping import grouping
from hglm.typing import Codes, Matrix
from plan_ways import with_way

N = 240


@dataclasses.dataclass
class Case:
    """A random problem, in blocks and in dense matrices."""

    z: Gramian
    plan: Plan
    T: list[Matrix]
    rhs: list[Matrix]
    C: Matrix
    Z: list[Matrix]
    """Dense Z of each group, (n, k q), component by component."""
    L: Matrix
    """Dense Λ."""

    @property
    def V(self) -> Matrix:
        ZL = np.hstack(self.Z) @ self.L
        return np.eye(len(self.C)) + ZL @ ZL.T

    @property
    def posterior(self) -> Matrix:
        Z = np.hstack(self.Z)
        inner = self.L.T @ Z.T @ Z @ self.L + np.eye(len(self.L))
        return self.L @ np.linalg.solve(inner, self.L.T)

    def factor(self) -> Factor:
        return factorise(self.z, self.plan, self.T)


def draw(rng: np.random.Generator, q: int) -> Codes:
    return np.concatenate([np.arange(q), rng.integers(0, q, N - q)])


def nest(rng: np.random.Generator, inner: Codes, q: int) -> Codes:
    parent = np.concatenate([np.arange(q), rng.integers(0, q, inner.max() + 1 - q)])
    return parent[inner]


def groupings(name: str, rng: np.random.Generator) -> list[Codes]:
    g, h, w = draw(rng, 40), draw(rng, 15), draw(rng, 7)
    middle = nest(rng, g, 12)
    cell = np.unique(g * 100 + h, return_inverse=True)[1]
    return {
        "one factor": [g],
        "nested": [g, nest(rng, g, 8)],
        "three levels": [g, middle, nest(rng, middle, 4)],
        "crossed": [g, h],
        "crossed completely": [np.arange(N) // 6, np.arange(N) % 6],
        "crossed three": [g, h, w],
        "crossed and nested": [g, h, nest(rng, h, 4)],
        "observation level and crossed": [np.arange(N), g, h],
        "interaction": [cell, g, h],
        "interaction and nested": [cell, g, h, nest(rng, h, 4)],
    }[name]


def make_case(
    name: str, orders: tuple[int, ...], way: str = "full", singular: bool = False
) -> Case:
    rng = np.random.default_rng(3)
    codes = groupings(name, rng)
    order = np.argsort(codes[0], kind="stable")
    codes = [c[order] for c in codes]
    columns = [
        np.asfortranarray(np.column_stack([np.ones(N), rng.normal(size=(N, k - 1))]))
        for k in orders
    ]
    T = [np.tril(rng.normal(size=(k, k))) for k in orders]
    if singular:
        for t in T:
            t[-1, -1] = 0.0
    C = rng.normal(size=(N, 3))
    maps = [grouping(c, int(c.max()) + 1) for c in codes]
    z = gramian(maps, columns)
    plan = make_plan(z)
    if plan.crossed is not None:
        plan = with_way(plan, z, way)
    return Case(
        z,
        plan,
        T,
        [level_products(g, x, C) for g, x in zip(maps, columns, strict=True)],
        C,
        [dense_z(g.codes, x, g.n_levels) for g, x in zip(maps, columns, strict=True)],
        sparse.block_diag(
            [np.kron(t, np.eye(g.n_levels)) for t, g in zip(T, maps, strict=True)]
        ).toarray(),
    )


def dense_z(codes: Codes, z: Matrix, q: int) -> Matrix:
    n, k = z.shape
    out = np.zeros((n, k * q))
    for a in range(k):
        out[np.arange(n), a * q + codes] = z[:, a]
    return out


def flat(blocks: list[Matrix]) -> Matrix:
    return np.concatenate([b.reshape(len(b), -1) for b in blocks], axis=1).T


SHAPES = [
    ("one factor", (1,)),
    ("one factor", (2,)),
    ("one factor", (3,)),
    ("one factor", (5,)),
    ("one factor", (9,)),
    ("nested", (1, 1)),
    ("nested", (2, 1)),
    ("three levels", (2, 1, 2)),
    ("crossed", (1, 1)),
    ("crossed", (2, 2)),
    ("crossed", (1, 5)),
    ("crossed completely", (1, 1)),
    ("crossed completely", (2, 2)),
    ("crossed three", (1, 2, 1)),
    ("crossed and nested", (2, 1, 2)),
    ("observation level and crossed", (1, 2, 1)),
    ("interaction", (2, 1, 2)),
    ("interaction and nested", (1, 1, 2, 1)),
]


@pytest.fixture(
    params=[
        (*shape, way, singular)
        for shape in SHAPES
        for way in ("full", "dense", "sparse")
        for singular in (False, True)
        if way == "full" or "cross" in shape[0] or "inter" in shape[0]
    ],
    ids=lambda p: f"{p[0]}-{p[1]}-{p[2]}{'-singular' if p[3] else ''}",
)
def case(request: pytest.FixtureRequest) -> Case:
    return make_case(*request.param)


def test_log_determinant(case: Case) -> None:
    assert case.factor().logdet == pytest.approx(np.linalg.slogdet(case.V)[1], abs=1e-10)


def test_modes_solve_the_mixed_model_equations(case: Case) -> None:
    expected = case.posterior @ np.hstack(case.Z).T @ case.C
    np.testing.assert_allclose(flat(case.factor().modes(case.rhs)), expected, atol=1e-11)


def test_modes_leave_the_right_hand_sides_alone(case: Case) -> None:
    before = [r.copy() for r in case.rhs]
    for r in case.rhs:
        r.setflags(write=False)
    case.factor().modes(case.rhs)
    for r, b in zip(case.rhs, before, strict=True):
        np.testing.assert_array_equal(r, b)


def test_multiplication_by_the_gramian(case: Case) -> None:
    b = case.factor().modes(case.rhs)
    Z = np.hstack(case.Z)
    np.testing.assert_allclose(flat(case.z.multiply(b)), Z.T @ Z @ flat(b), atol=1e-11)
    only_last = [None] * (len(b) - 1) + [b[-1]]
    expected = Z.T @ case.Z[-1] @ flat([b[-1]])
    np.testing.assert_allclose(flat(case.z.multiply(only_last)), expected, atol=1e-11)


def test_traces(case: Case) -> None:
    inverse = np.linalg.inv(case.V)
    traces = case.factor().traces()
    for t, (Z, T) in enumerate(zip(case.Z, case.T, strict=True)):
        k = len(T)
        M = np.einsum("aibi->ab", (Z.T @ inverse @ Z).reshape(k, -1, k, Z.shape[1] // k))
        lower = np.tril_indices(k)
        np.testing.assert_allclose(traces.MT[t][lower], (M @ T)[lower], atol=1e-10 * abs(M).max())
        if (given := traces.M[t]) is not None:
            np.testing.assert_allclose(given, M, atol=1e-10 * abs(M).max())


def test_inverse_on_the_pattern(case: Case) -> None:
    _, diagonal, cells = case.factor().inverse_on_pattern()
    starts = np.cumsum([0, *(Z.shape[1] for Z in case.Z)])
    for Q, alone in zip(diagonal, case.factor().posterior_blocks(), strict=True):
        np.testing.assert_array_equal(Q, alone)
    assert cells.keys() == case.z.cells.keys()
    for (t, s), Q in cells.items():
        pattern = case.z.cells[t, s]
        rows = slice(starts[t], starts[t + 1])
        block = case.posterior[rows, starts[s] : starts[s + 1]]
        k_t, k_s = Q.shape[:2]
        block = block.reshape(k_t, pattern.shape[0], k_s, pattern.shape[1])
        expected = block[:, pattern.rows, :, pattern.cols].transpose(1, 2, 0)
        np.testing.assert_allclose(Q, expected, atol=1e-11)


def test_posterior_blocks(case: Case) -> None:
    start = 0
    for T, Z, Q in zip(case.T, case.Z, case.factor().posterior_blocks(), strict=True):
        k, q = len(T), Z.shape[1] // len(T)
        block = case.posterior[start : start + k * q, start : start + k * q]
        expected = np.einsum("aibi->abi", block.reshape(k, q, k, q))
        np.testing.assert_allclose(Q, expected, atol=1e-11)
        start += k * q


@pytest.mark.parametrize(
    ("name", "kind"),
    [("nested", NestedCells), ("crossed", CrossedCells), ("crossed completely", CrossedCells)],
)
def test_cells_against_dense(name: str, kind: type) -> None:
    case = make_case(name, (2, 3))
    cells = case.z.cells[1, 0]
    assert isinstance(cells, kind)
    product = case.Z[1].T @ case.Z[0]
    rng = np.random.default_rng(0)
    b = rng.normal(size=(4, 2, 40))
    c = rng.normal(size=(4, 3, cells.shape[0]))
    np.testing.assert_allclose(flat([cells.apply(b)]), product @ flat([b]), atol=1e-11)
    np.testing.assert_allclose(flat([cells.apply_transpose(c)]), product.T @ flat([c]), atol=1e-11)
    whole = np.zeros((3, 2, *cells.shape))
    whole[:, :, cells.rows, cells.cols] = cells.values
    expected = product.reshape(3, cells.shape[0], 2, 40).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(whole, expected, atol=1e-11)


def test_no_random_effects() -> None:
    factor = factorise(Gramian((), {}), make_plan(Gramian((), {})), [])
    assert factor.logdet == 0.0
    assert factor.modes([]) == []
