"""Starting values by moments: MINQUE(0).

With M = I - QQ' and G_h = Z_t Δ_h Z_t', Δ_h the basis of a term's symmetric
k × k matrices, E[y'M G_h M y] is linear in the variance parameters γ:

    Σ_h' tr(M G_h M G_h') γ_h' + tr(M G_h) σ² = e'G_h e,     Σ_h tr(M G_h) γ_h + (n-p) σ² = e'e

(Rao 1972, JASA 67, 112-115, with all weights zero; Searle, Casella & McCulloch
1992, section 11.3). All traces follow from the cross-products: for a pair of
groups with N_ij = [Z_t'MZ_s]_ij = A_ij - q_i q_j',

    X[b,c,a,d] = Σ_ij N_ij[b,c] N_ij[a,d]

is expanded so that only pairs of levels that meet are visited. One small
linear system, no iteration; the answer is projected onto well-conditioned
covariances, since a start on the boundary would be a stationary point.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hglm.covariance import Slot
from hglm.criteria.linear_problem import LinearProblem
from hglm.numerics.batched import symmetrise
from hglm.numerics.gramian import Cells
from hglm.typing import Matrix, Vector

__all__ = ["moment_start"]

FLOOR, CEILING = 1e-2, 1e6
"""Smallest and largest variance of a standardised coefficient at the start, relative to σ²."""


def moment_start(problem: LinearProblem, slots: Sequence[Slot] | None = None) -> Vector:
    """Start θ from the moments of the residual response. (m,)

    Parameters
    ----------
    problem
        Cross-products.
    slots
        Terms to start; the variances of others are taken to be zero. All if None.
    """
    theta = np.zeros(problem.layout.n_theta)
    slots = problem.layout.slots if slots is None else slots
    if not slots:
        return theta
    bases = [_basis(s) for s in slots]
    e_row = problem.p
    a, traces = [], []
    for s, basis in zip(slots, bases, strict=True):
        r = problem.rhs[s.group][:, s.columns]  # (p + 1, k, q)
        ee = r[e_row] @ r[e_row].T
        mm = problem.gramian.diagonal[s.group][s.columns, s.columns].sum(axis=2) - np.einsum(
            "pkq,plq->kl", r[:-1], r[:-1]
        )
        a.append(np.einsum("hab,ab->h", basis, ee))
        traces.append(np.einsum("hab,ab->h", basis, mm))
    total = sum(len(b) for b in bases)
    system = np.empty((total + 1, total + 1))
    system[total, :total] = system[:total, total] = np.concatenate(traces)
    system[total, total] = problem.nobs - problem.p
    ends = np.cumsum([0, *(len(b) for b in bases)])
    for i, s in enumerate(slots):
        for j, t in enumerate(slots[: i + 1]):
            X = _pair_products(problem, s, t)  # [b, c, a, d]
            block = np.tensordot(
                np.tensordot(bases[i], X, ((1, 2), (2, 0))), bases[j], ((1, 2), (1, 2))
            )  # Σ_abcd basis_i[ab] X[bcad] basis_j[cd]
            system[ends[i] : ends[i + 1], ends[j] : ends[j + 1]] = block
            system[ends[j] : ends[j + 1], ends[i] : ends[i + 1]] = block.T
    right = np.append(np.concatenate(a), problem.gram[-1, -1])
    gamma = np.linalg.lstsq(system, right, rcond=1e-10)[0]
    mean_square = problem.gram[-1, -1] / max(problem.nobs - problem.p, 1.0)
    sigma2 = max(float(gamma[-1]), 0.05 * mean_square)
    for i, (slot, basis) in enumerate(zip(slots, bases, strict=True)):
        sigma = np.einsum("h,hab->ab", gamma[ends[i] : ends[i + 1]], basis) / sigma2
        theta[slot.parameters] = slot.structure.from_factor(_positive_factor(sigma))
    return theta


def _basis(slot: Slot) -> Matrix:
    """Symmetric matrices spanned by the structure's covariances. (h, k, k)"""
    k = slot.k
    if slot.structure.name == "diag":
        pairs = [(a, a) for a in range(k)]
    else:
        pairs = [(a, b) for b in range(k) for a in range(b, k)]
    out = np.zeros((len(pairs), k, k))
    for h, (a, b) in enumerate(pairs):
        out[h, a, b] = out[h, b, a] = 1.0
    return out


def _pair_products(problem: LinearProblem, s: Slot, t: Slot) -> Matrix:
    """X[b, c, a, d] of two terms; see the module. (k_s, k_t, k_s, k_t)"""
    q_s = problem.rhs[s.group][:-1, s.columns]  # (p, k_s, levels)
    q_t = problem.rhs[t.group][:-1, t.columns]
    if s.group == t.group:
        A = problem.gramian.diagonal[s.group][s.columns, t.columns]
        rows = cols = np.arange(A.shape[2])
    else:
        flip = s.group < t.group
        cells: Cells = problem.gramian.cells[max(s.group, t.group), min(s.group, t.group)]
        rows, cols = (cells.cols, cells.rows) if flip else (cells.rows, cells.cols)
        values = cells.values.swapaxes(0, 1) if flip else cells.values
        A = values[s.columns, t.columns]  # (k_s, k_t, m)
    k_s, k_t, m = A.shape
    flat = A.reshape(k_s * k_t, m)
    qq = np.zeros_like(A)
    for left, right in zip(q_s, q_t, strict=True):
        qq += left[:, None, rows] * right[None, :, cols]
    cross = flat @ qq.reshape(k_s * k_t, m).T
    P_s = np.tensordot(q_s, q_s, (2, 2))  # [p, b, r, a]
    P_t = P_s if s is t else np.tensordot(q_t, q_t, (2, 2))  # [p, c, r, d]
    both = np.tensordot(P_s, P_t, ((0, 2), (0, 2))).transpose(0, 2, 1, 3)  # [b, c, a, d]
    X = (flat @ flat.T - cross - cross.T).reshape(k_s, k_t, k_s, k_t)
    return np.asarray(X + both)


def _positive_factor(sigma: Matrix) -> Matrix:
    """Factor of the nearest covariance with eigenvalues in a safe range. (k, k)"""
    values, vectors = np.linalg.eigh(symmetrise(sigma))
    out: Matrix = vectors * np.sqrt(np.clip(values, FLOOR, CEILING))
    return out
