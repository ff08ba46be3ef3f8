"""Traces of M = Z'V^-1Z over levels, of first and second order.

For symmetric changes A, B of the relative covariance of groups t, s,

    tr(V^-1 Z_t(I⊗A)Z_t')                     = <A, F_t>,      F_t = Σ_j M_jj
    tr(V^-1 Z_t(I⊗A)Z_t' V^-1 Z_s(I⊗B)Z_s')   = Σ A_ad B_bc S_ts[a, d, b, c]

    S_ts[a, d, b, c] = Σ_jl [M_jl]_ab [M_jl]_dc,   j, l levels of t, s

so that expected information matrices need the few numbers F and S, whatever
the number of levels. Three ways to them:

* one group: M is block diagonal, and S is a sum over its blocks;
* nested groups: ∂F_t/∂Σ_s = -S_ts, differentiated by complex steps through the
  elimination (Squire & Trapp 1998, SIAM Review 40, 110-112): exact, O(q);
* crossed groups: the columns of M, by one solve each, in chunks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hglm.covariance import lower_factor
from hglm.errors import OptionError
from hglm.inference.scores import Direction
from hglm.numerics.batched import matmul
from hglm.numerics.factor import Factor, factorise
from hglm.typing import Codes, Matrix

__all__ = ["LargeBlocks", "LevelTraces", "is_cheap", "level_traces"]

LARGE = 12
"""More columns than this make S a large array."""
CHUNK = 4_000_000
"""Numbers in one array of right-hand sides."""
STEP = 1e-30
"""Imaginary step; nothing is subtracted, so it may be tiny."""
OPENING = 1e-7
"""Relative standard deviation given to directions of zero variance, so that Σ
can be differentiated there: a change of Σ by 1e-14 of the residual variance."""


@dataclass(frozen=True, slots=True)
class LevelTraces:
    """Traces of Z'V^-1Z; see the module."""

    first: tuple[Matrix, ...]
    """F_t (k, k)."""
    second: Mapping[tuple[int, int], Matrix]
    """(t, s) -> S_ts (k_t, k_t, k_s, k_s), for contraction with symmetric matrices."""

    def expected(self, directions: Sequence[Direction]) -> Matrix:
        """tr(V^-1 Z D_h Z' V^-1 Z D_i Z') for every pair. (m, m)"""
        m = len(directions)
        out = np.empty((m, m))
        for i, (s, B) in enumerate(directions):
            for h, (t, A) in enumerate(directions[: i + 1]):
                value = np.tensordot(np.tensordot(A, self.second[t, s], 2), B, 2)
                out[h, i] = out[i, h] = float(value)
        return out

    def linear(self, directions: Sequence[Direction]) -> Matrix:
        """tr(V^-1 Z D_h Z') for every direction. (m,)"""
        return np.array([np.sum(D * self.first[t]) for t, D in directions])


@dataclass(frozen=True, slots=True)
class LargeBlocks:
    """Traces of one group with many columns, of which S would be too large."""

    first: tuple[Matrix, ...]
    """F (k, k)."""
    M: Matrix
    """(k, k, q)"""

    def expected(self, directions: Sequence[Direction]) -> Matrix:
        """Compute tr(V^-1 Z D_h Z' V^-1 Z D_i Z') for every pair. (m, m)"""
        products = [matmul(D[:, :, None], self.M) for _, D in directions]  # D M_j
        flat = np.array([x.reshape(-1) for x in products])
        turned = np.array([x.swapaxes(0, 1).reshape(-1) for x in products])
        out: Matrix = flat @ turned.T
        return out

    def linear(self, directions: Sequence[Direction]) -> Matrix:
        """Compute tr(V^-1 Z D_h Z') for every direction. (m,)"""
        return np.array([np.sum(D * self.first[0]) for _, D in directions])


def is_cheap(factor: Factor) -> bool:
    """Whether the traces cost no more than a few evaluations of the criterion."""
    return factor.crossed is None and max(map(len, factor.T), default=0) <= LARGE


def level_traces(factor: Factor) -> LevelTraces | LargeBlocks:
    """Compute the traces from a factor of V, which is not used up.

    Raises
    ------
    OptionError
        Where a term among others has too many columns.
    """
    largest = max(map(len, factor.T), default=0)
    if largest > LARGE and len(factor.T) > 1:
        raise OptionError(
            f"Kenward and Roger's method is not for models that have a term with {largest} "
            'coefficients beside other grouping factors; use ddf="satterthwaite".'
        )
    if factor.crossed is not None:
        return _by_solving(factor)
    if len(factor.T) == 1:
        return _one_group(factor)
    return _by_complex_steps(factor)


def _one_group(factor: Factor) -> LevelTraces | LargeBlocks:
    columns = np.ascontiguousarray(factor.gramian.diagonal[0].swapaxes(0, 1))  # (k, k, q)
    M = _apply(factor, [columns])[0].swapaxes(0, 1)
    k = len(M)
    if k > LARGE:
        return LargeBlocks((M.sum(axis=2),), M)
    flat = M.reshape(k * k, -1)
    second = (flat @ flat.T).reshape(k, k, k, k).transpose(0, 2, 1, 3)  # [ab, dc] -> [a, d, b, c]
    return LevelTraces((M.sum(axis=2),), {(0, 0): second})


def _by_complex_steps(factor: Factor) -> LevelTraces:
    T = [_opened(t) for t in factor.T]
    second = {
        (t, s): np.zeros((len(a), len(a), len(b), len(b)))
        for t, a in enumerate(T)
        for s, b in enumerate(T)
    }
    for s, t_s in enumerate(T):
        inverse = np.linalg.inv(t_s)
        for b in range(len(t_s)):
            for c in range(b + 1):
                A = np.zeros_like(t_s)
                A[b, c] = A[c, b] = 1.0
                middle = np.tril(inverse @ A @ inverse.T)
                middle[np.diag_indices_from(middle)] *= 0.5
                moved = [x.astype(complex) for x in T]
                moved[s] += 1j * STEP * (t_s @ middle)  # factor of Σ_s + i STEP A
                traces = factorise(factor.gramian, factor.plan, moved).traces().M
                for t, M in enumerate(traces):
                    assert M is not None
                    slope = -np.imag(M) / STEP / (1.0 if b == c else 2.0)
                    second[t, s][:, :, b, c] = second[t, s][:, :, c, b] = slope
    first = [M for M in factorise(factor.gramian, factor.plan, T).traces().M if M is not None]
    return LevelTraces(tuple(first), second)


def _by_solving(factor: Factor) -> LevelTraces:
    z = factor.gramian
    shapes = list(zip(z.orders, z.sizes, strict=True))
    first = [np.zeros((k, k)) for k, _ in shapes]
    second = {
        (t, s): np.zeros((k, k, h, h))
        for t, (k, _) in enumerate(shapes)
        for s, (h, _) in enumerate(shapes)
    }
    width = max(1, CHUNK // sum(k * q for k, q in shapes))
    for s, (k_s, q_s) in enumerate(shapes):
        for start in range(0, q_s, width):
            levels = np.arange(start, min(start + width, q_s))
            columns = [_columns(factor, s, b, levels) for b in range(k_s)]
            place = np.arange(len(levels))
            for b in range(k_s):
                first[s][:, b] += columns[b][s][place, :, levels].sum(axis=0)
                for c in range(k_s):
                    for t in range(len(shapes)):
                        x, y = columns[b][t], columns[c][t]
                        second[t, s][:, :, b, c] += np.einsum("laj,ldj->ad", x, y)
    return LevelTraces(tuple(first), second)


def _columns(factor: Factor, s: int, component: int, levels: Codes) -> list[Matrix]:
    """Columns of M that belong to a component of some levels of s. (c, k, q) a group"""
    z = factor.gramian
    unit: list[Matrix | None] = [None] * len(z.sizes)
    block = np.zeros((len(levels), z.orders[s], z.sizes[s]))
    block[np.arange(len(levels)), component, levels] = 1.0
    unit[s] = block
    return _apply(factor, z.multiply(unit))


def _apply(factor: Factor, rhs: Sequence[Matrix]) -> list[Matrix]:
    """Z'V^-1y from rhs = Z'y. (c, k, q) a group"""
    b = factor.modes(rhs)
    return [r - x for r, x in zip(rhs, factor.gramian.multiply(b), strict=True)]


def _opened(T: Matrix) -> Matrix:
    """T with every direction of zero variance opened a little; lower triangular."""
    if np.abs(np.diagonal(T)).min() > 1e-3 * OPENING:
        return T
    return lower_factor(np.hstack([T, OPENING * np.eye(len(T))]))
