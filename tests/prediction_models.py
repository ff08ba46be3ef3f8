"""Small linear models of every shape, and errors of prediction with dense matrices.

The oracle never writes Henderson's equations: β̂ and b̂ are linear in y, so the error
of x'β̂ + z'b̂ follows from Var(y) = σ²V and Cov(y, b) = σ²ZΣ alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dense_oracle import dense_covariance, dense_z
from hglm.design import Design, DesignSpec, PredictorDesign, build_design
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.record import Estimates
from hglm.formula import parse_formula
from hglm.typing import Matrix, Vector

__all__ = [
    "MODELS",
    "Fitted",
    "blocks_of",
    "conditional_covariance",
    "data_frame",
    "dense_errors",
    "fitted",
    "hat_matrix",
    "marginal_covariance",
    "term_columns",
]

N = 90

MODELS: dict[str, str] = {
    "fixed effects only": "y ~ x",
    "one factor": "y ~ x + (1 | g)",
    "one factor, slopes": "y ~ x + (x | g)",
    "slopes in other units": "y ~ big + (big | g)",
    "one factor, diagonal": "y ~ x + (x || g)",
    "one factor, compound symmetry": "y ~ x + cs(0 + x + z | g)",
    "no fixed effects": "y ~ 0 + (1 | g)",
    "dependent columns": "y ~ x + I(2 * x) + z + (1 | g)",
    "nested": "y ~ x + (1 | school/g)",
    "nested, slopes": "y ~ x + (x | school) + (x | g)",
    "three levels": "y ~ x + (1 | town) + (x | school) + (1 | g)",
    "crossed": "y ~ x + (1 | g) + (1 | h)",
    "crossed, slopes": "y ~ x + (x | g) + (0 + x | h) + (1 | h)",
    "crossed and nested": "y ~ x + (1 | g) + (1 | h) + (1 | school)",
    "crossed, unconnected": "y ~ x + (1 | left) + (1 | right)",
    "singular": "noise ~ x + (x | g)",
    "singular, crossed": "noise ~ x + (1 | g) + (1 | h)",
}


@dataclass(frozen=True)
class Fitted:
    """A model with everything that came of it."""

    design: Design
    spec: DesignSpec
    estimates: Estimates
    data: pd.DataFrame


def data_frame(n: int = N) -> pd.DataFrame:
    """Students in schools in towns, crossed with h; two unconnected halves."""
    rng = np.random.default_rng(20)
    g = np.concatenate([np.arange(18), rng.integers(0, 18, n - 18)])
    h = np.concatenate([np.arange(7), rng.integers(0, 7, n - 7)])
    x = rng.normal(size=n)
    effects = rng.normal(size=(4, 18, 2))
    half = g >= 9
    y = 2 + x + effects[0, g, 0] + 0.7 * effects[0, g, 1] * x + 1.5 * effects[1, g // 3, 0]
    y += effects[2, g // 9, 0] + 0.8 * effects[3, h, 0] + 0.5 * effects[3, h, 1] * x
    return pd.DataFrame(
        {
            "y": y + 0.6 * rng.normal(size=n),
            "noise": rng.normal(size=n),
            "x": x,
            "z": rng.normal(size=n),
            "big": 1e6 + 1e3 * x,
            "w": rng.uniform(0.3, 3.0, n),
            "f": rng.integers(1, 4, n),
            "o": rng.normal(size=n),
            "g": [f"g{i:02d}" for i in g],
            "h": [f"h{i}" for i in h],
            "school": [f"s{i}" for i in g // 3],
            "town": [f"t{i}" for i in g // 9],
            "left": [f"l{i:02d}" for i in g],
            "right": [f"r{int(a)}{i % 4}" for a, i in zip(half, h, strict=True)],
        }
    )


def fitted(name: str, reml: bool = True, **arguments: str) -> Fitted:
    """Fit a model of the catalogue."""
    data = data_frame()
    design, spec = build_design(parse_formula(MODELS[name]), data, **arguments)
    return Fitted(design, spec, estimate_linear(design, reml), data)


def row_weights(design: Design) -> Vector:
    """Inverse relative variance of the mean of the observations of a row. (n,)"""
    w = np.ones(design.n) if design.weights is None else design.weights
    return w if design.frequencies is None else w * design.frequencies


def _blocks(fit: Fitted, rows: PredictorDesign) -> tuple[Matrix, Matrix, Matrix]:
    """Z of the fit, Z of other rows (new levels: none), Σ relative to σ²."""
    Z, Z_new, sigma = [], [], []
    for t in fit.estimates.terms:
        term = fit.design.mean.random[t.position]
        Z.append(dense_z(term.codes, term.z))
        other = rows.random[t.position]
        q, (m, k) = len(t.levels), other.z.shape
        new = np.zeros((m, q, k))
        known = np.flatnonzero(other.codes >= 0)
        new[known, other.codes[known]] = other.z[known]
        Z_new.append(new.reshape(m, q * k))
        sigma.append(np.kron(np.eye(q), t.covariance / fit.estimates.sigma**2))
    total = sum(s.shape[0] for s in sigma)
    S, start = np.zeros((total, total)), 0
    for s in sigma:
        S[start : start + len(s), start : start + len(s)] = s
        start += len(s)
    empty = np.zeros((fit.design.n, 0)), np.zeros((rows.X.shape[0], 0))
    return np.hstack([empty[0], *Z]), np.hstack([empty[1], *Z_new]), S


def dense_errors(fit: Fitted, X: Matrix | None, Z_new: Matrix | None = None) -> Matrix:
    """Covariance of the errors of Xβ̂ + Z_new b̂. (m, m)

    Z_new has the columns of the fit's terms one after the other, level by level;
    None stands for the random effects themselves (with X zero).
    """
    Z, _, S = _blocks(fit, fit.design.mean)
    X_fit = fit.design.mean.X
    V = np.diag(1.0 / row_weights(fit.design)) + Z @ S @ Z.T
    V_X = np.linalg.solve(V, X_fit)
    to_beta = np.linalg.solve(X_fit.T @ V_X, V_X.T)  # β̂ = to_beta y
    to_b = S @ Z.T @ np.linalg.solve(V, np.eye(len(V)) - X_fit @ to_beta)  # b̂ = to_b y
    Z_new = np.eye(len(S)) if Z_new is None else Z_new
    X = np.zeros((len(Z_new), X_fit.shape[1])) if X is None else X
    a = X @ to_beta + Z_new @ to_b
    cross = a @ Z @ S @ Z_new.T
    return fit.estimates.sigma**2 * (a @ V @ a.T - cross - cross.T + Z_new @ S @ Z_new.T)


def term_columns(fit: Fitted, rows: PredictorDesign) -> Matrix:
    """Z of other rows for `dense_errors`."""
    return _blocks(fit, rows)[1]


def marginal_covariance(fit: Fitted) -> Matrix:
    """Var(y) = σ²V. (n, n)"""
    terms = [
        (
            fit.design.mean.random[t.position].codes,
            fit.design.mean.random[t.position].z,
            t.covariance,
        )
        for t in fit.estimates.terms
    ]
    return dense_covariance(terms, row_weights(fit.design) / fit.estimates.sigma**2)


def conditional_covariance(fit: Fitted) -> Matrix:
    """Var(b | y) given β and θ, all terms together."""
    Z, _, S = _blocks(fit, fit.design.mean)
    S = fit.estimates.sigma**2 * S
    return S - S @ Z.T @ np.linalg.solve(marginal_covariance(fit), Z @ S)


def hat_matrix(fit: Fitted) -> Matrix:
    """H of the fitted values, ŷ = Hy (rows as they are). (n, n)"""
    Z, _, S = _blocks(fit, fit.design.mean)
    X = fit.design.mean.X
    V = np.diag(1.0 / row_weights(fit.design)) + Z @ S @ Z.T
    V_X = np.linalg.solve(V, X)
    H_fixed = X @ np.linalg.solve(X.T @ V_X, V_X.T)
    n = len(V)
    return H_fixed + Z @ S @ Z.T @ np.linalg.solve(V, np.eye(n) - H_fixed)


def blocks_of(fit: Fitted, covariance: Matrix) -> list[Matrix]:
    """Diagonal blocks of single levels, per term (q, k, k), of a matrix over all b."""
    out, start = [], 0
    for t in fit.estimates.terms:
        q, k = t.modes.shape
        part = covariance[start : start + q * k, start : start + q * k].reshape(q, k, q, k)
        out.append(np.einsum("jajb->jab", part))
        start += q * k
    return out
