"""Crossed groups: eliminate the largest, factor the Schur complement of the rest.

With group 0 the largest and "2" all the others together (N columns, flattened
group by group, component by component),

    S^ = Z_2'V_0^-1Z_2 = A_22 - Σ_j E_j W_j E_j'
    S  = L_2' S^ L_2 + I,      L_2 = blockdiag(T_t ⊗ I)
    log|V| = log|V_0| + log|S|

S is factored densely by LAPACK where it is small or full, else by a
fill-reducing sparse LU (SuperLU in symmetric mode). The gradient needs, with
Q = L_2 S^-1 L_2',

    Σ_i [Z_t'V^-1Z_t]_ii T_t = T_t'^-1 (q I - Σ_i [S^-1]_ii)   or, for singular T_t,
                             = Σ_i [S^ L_2 S^-1]_ii
    Σ_j [Z_0'V^-1Z_0]_jj     = Σ_j A - AWA - U B U',  U = I - A_jW_j,  B_j = E_j'QE_j

where Σ_j U B U' is one more product of the same kind as S^, contracted with Q.
E is a full matrix where most pairs of levels meet, or little is lost if they do not
(`hglm.numerics.full`), else a sparse one (`hglm.numerics.flat`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import lapack
from scipy.sparse.linalg import SuperLU, splu

from hglm.errors import FitError
from hglm.numerics.batched import congruence, inverse_logdet, matmul
from hglm.numerics.flat import Flat, FlatPattern, flat_pattern, mirror
from hglm.numerics.full import Full, FullPattern, full_pattern
from hglm.numerics.gramian import Gramian, batched_apply
from hglm.numerics.kronecker import apply_blocks, sparse_blocks
from hglm.typing import Matrix

__all__ = [
    "SINGLE_PRECISION_ORDER",
    "CrossedPlan",
    "CrossedStep",
    "factorise_crossed",
    "plan_crossed",
]

DENSE_ORDER = 2500
"""Schur complements up to this order are factored densely without looking."""
DENSE_FILL = 0.10
"""Fuller ones than this are factored densely at any order."""
SINGLE_PRECISION_ORDER = 3000
"""From this order on the inverse for a gradient is taken in single precision."""
WELL_CONDITIONED = 1e-2
"""Smallest singular value of T with which T^-1 may be formed."""
MAX_DENSE_ORDER = 30_000
"""Beyond it a dense factor would not fit in memory (7 GB)."""
FULL_FILL, SMALL_SIZE, FULL_SIZE = 0.125, 2**14, 2**24
"""Blocks fuller than the first and not larger than the last, or smaller than the second,
are multiplied as full matrices."""


@dataclass(frozen=True, slots=True)
class CrossedPlan:
    """Decisions that depend on the pattern alone."""

    main: int
    """The group that is eliminated."""
    rest: tuple[int, ...]
    dense: bool
    """How S is factored."""
    pattern: FlatPattern | FullPattern
    """How the blocks are laid out."""
    blocks: Flat | Full | None
    """The blocks, where they are the same at every evaluation."""


def plan_crossed(z: Gramian, fixed_values: bool, prefer_dense: bool = False) -> CrossedPlan:
    """Choose the group to eliminate and the way to factor the rest.

    Parameters
    ----------
    z
        Two or more groups.
    fixed_values
        Whether the values in z stay the same at every evaluation.
    prefer_dense
        Whether S is to be dense as long as it fits in memory.
    """
    columns = [k * q for k, q in zip(z.orders, z.sizes, strict=True)]
    main = int(np.argmax(columns))
    rest = tuple(t for t in range(len(columns)) if t != main)
    order = sum(columns[t] for t in rest)
    dense = order <= (MAX_DENSE_ORDER if prefer_dense else DENSE_ORDER)
    pattern: FlatPattern | FullPattern
    if dense and _is_full(z, main, rest):
        pattern = full_pattern(z, main, rest)
    else:
        pattern = flat_pattern(z, main, rest)
        if not dense and order <= MAX_DENSE_ORDER:
            dense = pattern.product_fill() > DENSE_FILL
    return CrossedPlan(main, rest, dense, pattern, pattern.fill(z) if fixed_values else None)


def _is_full(z: Gramian, main: int, rest: Sequence[int]) -> bool:
    """Whether zeros cost less in products than the search for what is not zero."""
    size = sum(z.orders[t] * z.sizes[t] for t in rest) * z.sizes[main]
    met = sum(z.orders[t] * len(z.cells[max(t, main), min(t, main)].cols) for t in rest)
    return size <= SMALL_SIZE or FULL_FILL * size < met <= size <= FULL_SIZE


@dataclass(frozen=True, slots=True)
class CrossedStep:
    """A factor of V for two or more crossed groups."""

    plan: CrossedPlan
    blocks: Flat | Full
    A: Matrix
    W: Matrix
    T: tuple[Matrix, ...]
    """Factors of the rest."""
    sizes: tuple[int, ...]
    """Levels of the rest."""
    S: Matrix | SuperLU
    """Lower Cholesky factor (Fortran order) or sparse LU."""
    logdet: float

    def modes(self, rhs: Sequence[Matrix]) -> list[Matrix]:
        """Solve (Z'Z + Σ^-1) b = rhs for the groups in the order of z."""
        c = rhs[0].shape[0]
        r0 = rhs[self.plan.main]
        r2 = np.concatenate([rhs[t].reshape(c, -1) for t in self.plan.rest], axis=1).T  # (N, c)
        r2 = r2 - self.blocks.multiply(batched_apply(self.W, r0))
        v = self._apply_L2(self._solve(self._apply_L2(r2, transpose=True)))  # (N, c)
        r0 = r0 - self.blocks.multiply_transpose(v)
        out: list[Matrix] = [np.empty(0)] * (1 + len(self.plan.rest))
        out[self.plan.main] = batched_apply(self.W, r0)
        for t, T, q, block in zip(self.plan.rest, self.T, self.sizes, self._split(v), strict=True):
            out[t] = np.ascontiguousarray(block.T).reshape(c, T.shape[0], q)
        return out

    def backward(
        self, T: Sequence[Matrix], keep: bool
    ) -> tuple[list[Matrix], list[Matrix | None], Matrix]:
        """Traces for the gradient; needs the dense factor, and uses it up unless `keep`.

        Parameters
        ----------
        T
            Factors of all groups, in their order.

        Returns
        -------
        MT : list of (k, k)
            Σ_i [Z_t'V^-1Z_t]_ii T_t per group.
        M : list of (k, k) or None
            Σ_i [Z_t'V^-1Z_t]_ii, known for the eliminated group.
        Q : (N, N)
            Posterior covariance of the rest, L_2 S^-1 L_2'.
        """
        assert isinstance(self.S, np.ndarray)
        half = not keep and len(self.S) >= SINGLE_PRECISION_ORDER
        if half:  # enough for a gradient, and half the time and memory of the largest cost
            inverse, info = lapack.spotri(self.S.astype(np.float32, order="F"), lower=1)
        else:
            inverse, info = lapack.dpotri(self.S, lower=1, overwrite_c=not keep)
        if info != 0:
            raise FitError("The Schur complement of the random effects is singular.")
        mirror(inverse)
        traces = self._rest_traces(inverse)
        Q = self._apply_L2(inverse, in_place=True)
        Q = self._apply_L2(Q.T, in_place=True)  # symmetric again
        M: list[Matrix | None] = [None] * len(T)
        MT: list[Matrix] = [np.empty(0)] * len(T)
        main = self._main_trace(Q)
        M[self.plan.main], MT[self.plan.main] = main, main @ T[self.plan.main]
        for t, trace in zip(self.plan.rest, traces, strict=True):
            MT[t] = trace
        return MT, M, Q

    def posterior(
        self, Q: Matrix, z: Gramian
    ) -> tuple[list[Matrix], dict[tuple[int, int], Matrix]]:
        """Posterior covariances of the random effects on the pattern of z.

        Parameters
        ----------
        Q : (N, N)
            From `backward`.
        z
            The groups, in their order.

        Returns
        -------
        diagonal : list of (k, k, q)
        cells : dict of (k_t, k_s, m)
            Keys as `z.cells`.
        """
        blocks = _rest_blocks(Q, z, self.plan.rest)
        main = self.plan.main
        B, QEW = self.blocks.sampled(Q, self.W)
        k0 = len(self.W)
        diagonal = [np.empty(0)] * len(z.diagonal)
        diagonal[main] = self.W + matmul(matmul(self.W, B), self.W)
        cells, start = {}, 0
        for t in self.plan.rest:
            diagonal[t] = blocks[t, t]
            m = z.cells[max(t, main), min(t, main)].values.shape[2]
            part = -QEW[:, start : start + z.orders[t] * m].reshape(k0, z.orders[t], m)
            start += z.orders[t] * m
            key = (max(t, main), min(t, main))
            cells[key] = part if main > t else part.swapaxes(0, 1)
            cells |= {(t, s): blocks[t, s] for s in self.plan.rest if s < t}
        return diagonal, cells

    def _rest_traces(self, inverse: Matrix) -> list[Matrix]:
        """M T of the rest from S^-1: T'MT = q I - Σ_i [S^-1]_ii, or [S^ L_2 S^-1]_ii."""
        out, start = [], 0
        S_hat: Matrix | None = None
        for T, q in zip(self.T, self.sizes, strict=True):
            k = T.shape[0]
            if np.linalg.svd(T, compute_uv=False)[-1] > WELL_CONDITIONED:
                blocks = inverse[start : start + k * q, start : start + k * q]
                D = np.array(
                    [
                        [
                            np.diagonal(blocks[a * q : (a + 1) * q, c * q : (c + 1) * q]).sum(
                                dtype=float
                            )
                            for c in range(k)
                        ]
                        for a in range(k)
                    ]
                )
                out.append(np.linalg.solve(T.T, q * np.eye(k) - D))
            else:
                S_hat = self.blocks.schur(self.W) if S_hat is None else S_hat
                out.append(self._singular_trace(S_hat, inverse, start, k, q))
            start += k * q
        return out

    def _singular_trace(self, S_hat: Matrix, inverse: Matrix, start: int, k: int, q: int) -> Matrix:
        """Σ_i [S^ L_2 S^-1]_ii of one group, for any T."""
        H = self._apply_L2(np.array(inverse[:, start : start + k * q], dtype=float))  # (N, kq)
        own = S_hat[start : start + k * q].reshape(k, q, -1)
        return np.asarray(np.einsum("aiN,Nci->ac", own, H.reshape(-1, k, q)))

    def _main_trace(self, Q: Matrix) -> Matrix:
        U = np.eye(len(self.A))[:, :, None] - matmul(self.A, self.W)
        M: Matrix = self.A.sum(axis=2) - matmul(matmul(self.A, self.W), self.A).sum(axis=2)
        return M - self.blocks.main_trace(Q, U)

    def _solve(self, rhs: Matrix) -> Matrix:
        if isinstance(self.S, np.ndarray):
            out, _ = lapack.dpotrs(self.S, rhs, lower=1)
            return np.asarray(out)
        return np.asarray(self.S.solve(np.asarray(rhs, order="F")))

    def _apply_L2(self, x: Matrix, transpose: bool = False, in_place: bool = False) -> Matrix:
        """L_2 x or L_2'x, x (N, c)."""
        return apply_blocks(self.T, self.sizes, x, transpose, in_place)

    def _split(self, x: Matrix) -> list[Matrix]:
        ends = np.cumsum([T.shape[0] * q for T, q in zip(self.T, self.sizes, strict=True)])
        return np.split(x, ends[:-1])


def factorise_crossed(z: Gramian, T: Sequence[Matrix], plan: CrossedPlan) -> CrossedStep:
    """Factor V = I + ZΛΛ'Z' for crossed groups.

    Parameters
    ----------
    z
        The groups.
    T
        Per group (k, k) relative covariance factor.
    plan
        From `plan_crossed`.
    """
    blocks = plan.pattern.fill(z) if plan.blocks is None else plan.blocks
    A, T0 = z.diagonal[plan.main], T[plan.main]
    K = congruence(T0.T, A)
    K[np.arange(len(T0)), np.arange(len(T0))] += 1.0
    inverse, logdets = inverse_logdet(K)
    W = congruence(T0, inverse)
    rest = tuple(T[t] for t in plan.rest)
    sizes = tuple(z.sizes[t] for t in plan.rest)
    logdet = logdets.sum()
    factor: Matrix | SuperLU
    if plan.dense:
        factor, logdet_S = _dense(blocks.schur(W), rest, sizes)
    else:
        assert isinstance(blocks, Flat)
        factor, logdet_S = _sparse(blocks.sparse_schur(W), rest, sizes)
    return CrossedStep(plan, blocks, A, W, rest, sizes, factor, logdet + logdet_S)


def _dense(S: Matrix, T: tuple[Matrix, ...], sizes: tuple[int, ...]) -> tuple[Matrix, float]:
    """Factor L_2'S^L_2 + I and its log determinant; S^ is used up."""
    apply_blocks(T, sizes, S, transpose=True, in_place=True)
    apply_blocks(T, sizes, S.T, transpose=True, in_place=True)
    S[np.diag_indices_from(S)] += 1.0
    factor, info = lapack.dpotrf(S, lower=1, overwrite_a=1, clean=0)
    if info != 0:
        raise FitError("The Schur complement of the random effects is not positive definite.")
    return factor, 2.0 * float(np.log(np.diagonal(factor)).sum())


def _sparse(
    S_hat: sparse.csr_array, T: tuple[Matrix, ...], sizes: tuple[int, ...]
) -> tuple[SuperLU, float]:
    L2 = sparse_blocks(T, sizes)
    S = (L2.T @ S_hat @ L2 + sparse.eye_array(S_hat.shape[0])).tocsc()
    lu = splu(S, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return lu, np.log(lu.U.diagonal()).sum()


def _rest_blocks(Q: Matrix, z: Gramian, rest: Sequence[int]) -> dict[tuple[int, int], Matrix]:
    """Q on the diagonal blocks of the rest and on the cells among them."""
    widths = [z.orders[t] * z.sizes[t] for t in rest]
    start = dict(zip(rest, np.cumsum([0, *widths[:-1]]), strict=True))
    out = {}
    for t in rest:
        for s in rest:
            if s > t:
                continue
            if s == t:
                rows = cols = np.arange(z.sizes[t])
            else:
                rows, cols = z.cells[t, s].rows, z.cells[t, s].cols
            out[t, s] = np.array(
                [
                    [
                        Q[start[t] + a * z.sizes[t] + rows, start[s] + b * z.sizes[s] + cols]
                        for b in range(z.orders[s])
                    ]
                    for a in range(z.orders[t])
                ]
            )
    return out
