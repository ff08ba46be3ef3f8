"""Satterthwaite's and Kenward-Roger's methods with n × n matrices, from the definitions.

Slow and obvious: V is formed, inverted and differentiated in the user's own
coordinates. Derivatives of the criterion are complex steps (gradient) and central
differences of them (Hessian), of the restricted or full log likelihood itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dense_oracle import dense_z
from hglm.covariance import structure
from hglm.design import Design, DesignSpec, build_design
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.record import Estimates
from hglm.formula import parse_formula

__all__ = ["Dense", "dense_kenward_roger", "dense_model", "dense_satterthwaite", "fit"]


def fit(
    formula: str, data: pd.DataFrame, reml: bool = True, **options: object
) -> tuple[Estimates, Design, DesignSpec]:
    """Fit a linear mixed model; also its design."""
    design, spec = build_design(parse_formula(formula), data, **options)
    return estimate_linear(design, reml), design, spec


@dataclass(frozen=True)
class Dense:
    """A model in dense matrices, terms in the order of the estimates."""

    y: np.ndarray
    X: np.ndarray
    Z: list[np.ndarray]
    residual: np.ndarray
    """(n, n) covariance of the residuals relative to σ²."""
    structures: list[str]
    orders: list[int]
    theta: np.ndarray
    sigma: float
    reml: bool

    def covariances(self, theta: np.ndarray) -> list[np.ndarray]:
        """Relative covariance (k, k) of each term."""
        out, start = [], 0
        for name, k in zip(self.structures, self.orders, strict=True):
            kind = structure(name)
            m = kind.n_parameters(k)
            T = kind.factor(theta[start : start + m], k)
            out.append(T @ T.T)
            start += m
        return out

    def V(self, theta: np.ndarray) -> np.ndarray:
        """(n, n) covariance of y relative to σ²."""
        V = self.residual.astype(theta.dtype)
        for Z, S in zip(self.Z, self.covariances(theta), strict=True):
            V = V + Z @ np.kron(np.eye(Z.shape[1] // len(S)), S) @ Z.T
        return V

    def vcov(self, parameters: np.ndarray) -> np.ndarray:
        """(p, p) covariance of β̂ at (θ, σ)."""
        V = self.V(parameters[:-1])
        return parameters[-1] ** 2 * np.linalg.inv(self.X.T @ np.linalg.solve(V, self.X))

    def criterion(self, parameters: np.ndarray) -> complex:
        """-2 log (restricted) likelihood at (θ, σ), β profiled out, without constants."""
        V, sigma2 = self.V(parameters[:-1]), parameters[-1] ** 2
        VX, Vy = np.linalg.solve(V, self.X), np.linalg.solve(V, self.y)
        A = self.X.T @ VX
        rss = self.y @ Vy - (self.X.T @ Vy) @ np.linalg.solve(A, self.X.T @ Vy)
        n, p = self.X.shape
        out = _logdet(V) + rss / sigma2 + (n - p * self.reml) * np.log(sigma2)
        return out + _logdet(A) if self.reml else out


def dense_model(estimates: Estimates, design: Design) -> Dense:
    """Form the dense matrices of a fit."""
    Z, structures, orders = [], [], []
    for term in estimates.terms:
        block = design.mean.random[term.position]
        Z.append(dense_z(block.codes, block.z))
        structures.append(block.structure)
        orders.append(block.k)
    weights = np.ones(design.n) if design.weights is None else design.weights
    y = design.y if design.mean.offset is None else design.y - design.mean.offset
    assert estimates.sigma is not None
    return Dense(
        y,
        design.mean.X,
        Z,
        np.diag(1.0 / weights),
        structures,
        orders,
        estimates.theta,
        estimates.sigma,
        estimates.method == "reml",
    )


def dense_satterthwaite(model: Dense, contrast: np.ndarray) -> np.ndarray:
    """Degrees of freedom of each row (r, p)."""
    parameters = np.append(model.theta, model.sigma)
    m = len(parameters)
    H = np.empty((m, m))
    J = np.empty((m, model.X.shape[1], model.X.shape[1]))
    for i in range(m):
        h = 1e-5 * max(1.0, abs(parameters[i]))
        unit = np.eye(m)[i]
        H[i] = (
            _gradient(model, parameters + h * unit) - _gradient(model, parameters - h * unit)
        ) / (2 * h)
        J[i] = np.imag(model.vcov(parameters + 1e-20j * unit)) / 1e-20
    scale = np.sqrt(np.maximum(np.diag(H), 1e-6 * np.diag(H).max()))
    H = (H + H.T) / 2 / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(H)
    kept = values > 1e-6
    A = 2 * (vectors[:, kept] / values[kept]) @ vectors[:, kept].T / np.outer(scale, scale)
    C = model.vcov(parameters)
    df = []
    for row in contrast:
        g = row @ J @ row
        df.append(2 * (row @ C @ row) ** 2 / (g @ A @ g))
    return np.array(df)


def dense_kenward_roger(
    model: Dense, G: Sequence[np.ndarray] | None = None, Phi: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
    """Φ_A, Φ, the P_h and W, literally as in Halekoh & Højsgaard (2014), sec. 4.

    Parameters
    ----------
    G
        Derivatives of the covariance; those of the linear parameters by default.
    Phi
        Covariance of β̂; the inverse of X'V^-1X by default.
    """
    X, sigma2 = model.X, model.sigma**2
    G = _linear_derivatives(model) if G is None else G
    inverse = np.linalg.inv(sigma2 * model.V(model.theta))
    Phi = np.linalg.inv(X.T @ inverse @ X) if Phi is None else Phi
    half = [inverse @ g for g in G]
    P = [-X.T @ h @ inverse @ X for h in half]
    m = len(G)
    Q = [[X.T @ half[i] @ half[j] @ inverse @ X for j in range(m)] for i in range(m)]
    I2 = np.array(
        [
            [
                np.trace(half[i] @ half[j])
                - 2 * np.trace(Phi @ Q[i][j])
                + np.trace(Phi @ P[i] @ Phi @ P[j])
                for j in range(m)
            ]
            for i in range(m)
        ]
    )
    W = 2 * np.linalg.inv(I2)
    excess = sum(W[i, j] * (Q[i][j] - P[i] @ Phi @ P[j]) for i in range(m) for j in range(m))
    return Phi + 2 * Phi @ excess @ Phi, Phi, P, W


def dense_kenward_roger_df(
    Phi: np.ndarray, P: Sequence[np.ndarray], W: np.ndarray, L: np.ndarray
) -> tuple[float, float]:
    """Denominator degrees of freedom and factor of F, as Kenward & Roger (1997), sec. 4."""
    Theta = L.T @ np.linalg.inv(L @ Phi @ L.T) @ L
    q = len(L)
    terms = [Theta @ Phi @ p @ Phi for p in P]
    m = len(P)
    A1 = sum(W[i, j] * np.trace(terms[i]) * np.trace(terms[j]) for i in range(m) for j in range(m))
    A2 = sum(W[i, j] * np.trace(terms[i] @ terms[j]) for i in range(m) for j in range(m))
    B = (A1 + 6 * A2) / (2 * q)
    g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
    c1, c2, c3 = (x / (3 * q + 2 * (1 - g)) for x in (g, q - g, q + 2 - g))
    E = 1 / (1 - A2 / q)
    variance = 2 / q * (1 + c1 * B) / ((1 - c2 * B) ** 2 * (1 - c3 * B))
    rho = variance / (2 * E**2)
    df = 4 + (q + 2) / (q * rho - 1)
    return df, df / (E * (df - 2))


def without_weights(model: Dense) -> Dense:
    """Forget the weights, at the same parameters."""
    return replace(model, residual=np.eye(len(model.y)))


def _linear_derivatives(model: Dense) -> list[np.ndarray]:
    """Differentiate the covariance of y by the elements of each Σ, and by σ²."""
    G, start = [], 0
    for Z, name, k in zip(model.Z, model.structures, model.orders, strict=True):
        m = structure(name).n_parameters(k)
        tangents = _tangents(name, model.theta[start : start + m], k)
        G += [Z @ np.kron(np.eye(Z.shape[1] // k), D) @ Z.T for D in tangents]
        start += m
    return [*G, model.residual]


def _tangents(name: str, theta: np.ndarray, k: int) -> list[np.ndarray]:
    if name == "us":
        pairs = [(a, b) for a in range(k) for b in range(a + 1)]
    elif name == "diag" or k == 1:
        pairs = [(a, a) for a in range(k)]
    else:
        steps = 1e-20j * np.eye(len(theta))
        return [np.imag((T := structure(name).factor(theta + h, k)) @ T.T) / 1e-20 for h in steps]
    out = []
    for a, b in pairs:
        D = np.zeros((k, k))
        D[a, b] = D[b, a] = 1.0
        out.append(D)
    return out


def _gradient(model: Dense, parameters: np.ndarray) -> np.ndarray:
    steps = 1e-20j * np.eye(len(parameters))
    return np.array([np.imag(model.criterion(parameters + h)) / 1e-20 for h in steps])


def _logdet(A: np.ndarray) -> complex:
    sign, logarithm = np.linalg.slogdet(A)
    return np.log(sign) + logarithm
