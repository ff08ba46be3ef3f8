"""The criterion of one linear mixed model for many responses at once.

Everything that does not depend on the response is shared: Z'Z, Z'Q and Q itself. With
one grouping factor V falls apart by levels, so that the B responses, each with its
own θ, are B times as many levels for the same vector operations. For level j and
C_j = [Q e]'Z,

    K = T'A_jT + I,   h = K^-1T'C_j,   b = T h,   Z'V^-1[Q e] = C_j - A_j b,
    Σ_j [Z'V^-1Z]_jj T = Σ_j A_jT K^-1,   [Q e]'V^-1[Q e] = [Q e]'[Q e] - Σ_j C_j'b

and value and gradient are those of `hglm.criteria.profiled`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hglm.covariance import Layout
from hglm.covariance.diagonal import Diagonal
from hglm.covariance.unstructured import Unstructured
from hglm.numerics.batched import inverse_logdet, matmul
from hglm.numerics.gramian import batched_apply
from hglm.numerics.lockstep import Points
from hglm.typing import BoolArray, Codes, Matrix, Vector

__all__ = [
    "ManyResponses",
    "Profiled",
    "factor_basis",
    "is_linear_in_theta",
    "profile_many",
    "sigma_slopes",
    "stacked_factors",
]


@dataclass(frozen=True, slots=True)
class ManyResponses:
    """Cross-products of a design with one grouping factor and B responses."""

    A: Matrix
    """Z'Z, (k, k, q)."""
    QZ: Matrix
    """Q'Z, (p, k, q)."""
    eZ: Matrix
    """e'Z of each response, (B, k, q)."""
    gram: Matrix
    """[Q e]'[Q e] of each response, (B, p + 1, p + 1)."""
    nobs: float
    constant: float
    """What does not depend on θ or the response: -Σ log w, + 2 log|R| for REML."""
    basis: Matrix
    """∂T/∂θ, (m, k, k): T is linear in θ."""
    reml: bool

    @property
    def nu(self) -> float:
        """Degrees of freedom of the residual variance."""
        return self.nobs - len(self.QZ) if self.reml else self.nobs


@dataclass(frozen=True, slots=True)
class Profiled:
    """What is optimal given each response's θ."""

    value: Vector
    """(a,)"""
    gradient: Matrix
    """(a, m)"""
    gamma: Matrix
    """(a, p)"""
    sigma2: Vector
    """(a,)"""
    covariance: Matrix
    """(a, p, p) (Q'V^-1Q)^-1."""

    @property
    def points(self) -> Points:
        """As the search wants it."""
        return Points(self.value, self.gradient, np.empty((len(self.value), 0)))


def is_linear_in_theta(layout: Layout) -> bool:
    """Whether every entry of T is a parameter or zero."""
    return all(isinstance(s.structure, Unstructured | Diagonal) for s in layout.slots)


def factor_basis(layout: Layout) -> Matrix:
    """∂T/∂θ of the only group, for a T that is linear in θ. (m, k, k)"""
    k = layout.orders[0]
    parts = [d for _, d in layout.derivatives(np.zeros(layout.n_theta))]
    return np.array(parts).reshape(len(parts), k, k)


def stacked_factors(basis: Matrix, theta: Matrix, q: int) -> Matrix:
    """T of each level of each response, response after response. (k, k, a q)"""
    T = np.tensordot(basis, theta, (0, 1))  # (k, k, a)
    return np.repeat(T, q, axis=2)


def profile_many(many: ManyResponses, rows: Codes, theta: Matrix) -> Profiled:
    """Evaluate the profiled deviance or REML criterion with its gradient.

    Parameters
    ----------
    many
        Cross-products.
    rows : (a,)
        Which responses.
    theta : (a, m)
        Their parameters, in standardised columns.
    """
    s = _solve(many, rows, theta)
    a, k = len(rows), len(many.A)
    value = s.logdet + many.nu * (1.0 + np.log(2.0 * np.pi * s.sigma2)) + many.constant
    if many.reml:
        value += s.logdet_X
    MT = matmul(s.AT, s.inverse).reshape(k, k, a, -1).sum(axis=3)
    slopes = MT.transpose(2, 0, 1) - _weighted(s.score, s.h, s.weight)
    gradient = 2.0 * np.tensordot(slopes, many.basis, ((1, 2), (1, 2)))
    return Profiled(np.where(s.feasible, value, np.inf), gradient, s.gamma, s.sigma2, s.covariance)


def sigma_slopes(many: ManyResponses, rows: Codes, theta: Matrix) -> Matrix:
    """F = ∂d/∂Σ of the criterion, for singular Σ too; see `profile_many`. (a, k, k)"""
    s = _solve(many, rows, theta)
    a, k = len(rows), len(many.A)
    W = matmul(s.T, matmul(s.inverse, s.T.swapaxes(0, 1)))
    M = (s.A - matmul(s.A, matmul(W, s.A))).reshape(k, k, a, -1).sum(axis=3)
    return np.asarray(M.transpose(2, 0, 1) - _weighted(s.score, s.score, s.weight))


@dataclass(frozen=True, slots=True)
class _Solved:
    """What value and derivatives have in common; level arrays end in (..., a q)."""

    A: Matrix
    T: Matrix
    AT: Matrix
    inverse: Matrix
    """K^-1"""
    h: Matrix
    score: Matrix
    """Z'V^-1[Q e], (p + 1, k, a q)."""
    logdet: Vector
    """(a,) log|V|."""
    logdet_X: Vector
    """(a,) log|Q'V^-1Q|."""
    gamma: Matrix
    """(a, p)"""
    sigma2: Vector
    """(a,)"""
    covariance: Matrix
    """(a, p, p)"""
    weight: Matrix
    """(a, p + 1, p + 1): Σ_cd weight_cd [Q e]_c [Q e]_d' is what the data say of V."""
    feasible: BoolArray
    """(a,)"""


def _solve(many: ManyResponses, rows: Codes, theta: Matrix) -> _Solved:
    a, (p, k, q) = len(rows), many.QZ.shape
    A = np.tile(many.A, (1, 1, a))
    T = stacked_factors(many.basis, theta, q)  # (k, k, a q)
    T_t = T.swapaxes(0, 1)
    AT = matmul(A, T)
    K = matmul(T_t, AT)
    K[np.arange(k), np.arange(k)] += 1.0
    inverse, logdet = inverse_logdet(K)
    C = np.empty((p + 1, k, a * q))
    C[:p] = np.tile(many.QZ, (1, 1, a))
    C[p] = many.eZ[rows].transpose(1, 0, 2).reshape(k, a * q)
    h = batched_apply(matmul(inverse, T_t), C)
    b = batched_apply(T, h)
    inner = many.gram[rows] - _by_response(C, a) @ _by_response(b, a).swapaxes(1, 2)
    V_Qe = inner[:, :p, p]
    definite, logdet_X, covariance = _inverse(inner[:, :p, :p])
    gamma = np.einsum("apr,ar->ap", covariance, V_Qe)
    rss = inner[:, p, p] - np.einsum("ap,ap->a", gamma, V_Qe)
    feasible = definite & (rss > 0.0)
    sigma2 = np.where(feasible, rss, 1.0) / many.nu
    away = np.concatenate([-gamma, np.ones((a, 1))], axis=1)  # [Q e] -> e - Qγ
    weight = away[:, :, None] * away[:, None, :] / sigma2[:, None, None]
    if many.reml:
        weight[:, :p, :p] += covariance
    return _Solved(
        A=A,
        T=T,
        AT=AT,
        inverse=inverse,
        h=h,
        score=C - batched_apply(A, b),
        logdet=logdet.reshape(a, q).sum(axis=1),
        logdet_X=logdet_X,
        gamma=gamma,
        sigma2=sigma2,
        covariance=covariance,
        weight=weight,
        feasible=feasible,
    )


def _by_response(x: Matrix, a: int) -> Matrix:
    """Right-hand sides (c, k, a q) as (a, c, k q)."""
    c, k, levels = x.shape
    return x.reshape(c, k, a, levels // a).transpose(2, 0, 1, 3).reshape(a, c, -1)


def _weighted(x: Matrix, y: Matrix, weight: Matrix) -> Matrix:
    """Σ_j Σ_cd weight_cd x_c y_d' for x and y (c, k, a q). (a, k, k)"""
    a, c = weight.shape[:2]
    k = x.shape[1]
    mixed = weight @ _by_response(x, a)  # (a, c, k q)
    left = mixed.reshape(a, c, k, -1).transpose(0, 2, 1, 3).reshape(a, k, -1)
    right = _by_response(y, a).reshape(a, c, k, -1).transpose(0, 2, 1, 3).reshape(a, k, -1)
    return left @ right.swapaxes(1, 2)


def _inverse(V: Matrix) -> tuple[BoolArray, Vector, Matrix]:
    """Whether each V (a, p, p) is positive definite, log|V| and V^-1."""
    p = V.shape[1]
    if p == 0:
        return np.ones(len(V), dtype=bool), np.zeros(len(V)), V
    values, vectors = np.linalg.eigh(V)
    definite = values[:, 0] > 1e-14 * values[:, -1]
    values = np.where(definite[:, None], values, 1.0)
    inverse = (vectors / values[:, None, :]) @ vectors.swapaxes(1, 2)
    return definite, np.log(values).sum(axis=1), inverse
