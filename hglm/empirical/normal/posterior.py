"""Posteriors of normal means: plug-in, coverage-corrected, integrated.

*plug-in* conditions on τ̂² but carries the uncertainty of β̂: the BLUP and its
prediction variance, v_i(1 − B_i) + B_i² x_i'Var(β̂)x_i with B_i = v_i/(v_i + τ̂²).

*morris* adds the uncertainty of τ̂² as Morris (1983, JASA 78, 47-55, section 5)
does: B_i is shrunk by (k − p − 2)/(k − p) and the variance is

    v_i [1 − (k − r_i)/k B̂_i] + 2/(k − p − 2) B̂_i² (v̄ + τ̂²)/(v_i + τ̂²) (y_i − x_i'β̂)²

with r_i = k × leverage, v̄ the weighted mean of v.

*integrated* averages the plug-in posterior over τ under a flat prior on τ ≥ 0
(Gelman 2006, Bayesian Analysis 1, 515-533), by quadrature: the answer that does
not degenerate where τ̂ = 0. It needs k − p ≥ 2 for a proper posterior.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from hglm.empirical.normal.likelihood import log_likelihood
from hglm.empirical.normal.projection import project
from hglm.empirical.posterior import NormalMixturePosterior, NormalPosterior
from hglm.errors import DataError
from hglm.typing import Matrix, Vector

__all__ = ["integrated", "morris", "plug_in", "tau_quadrature"]

_NODES = 201


def plug_in(
    y: Vector, X: Matrix, v: Vector, tau2: float, scale: float = 1.0
) -> tuple[NormalPosterior, Vector]:
    """Posterior at a given τ², and its shrinkage B (k,).

    Parameters
    ----------
    y : (k,)
    X : (k, p)
    v : (k,)
    scale
        Factor on Var(β̂), as in the Knapp-Hartung correction.
    """
    at = project(y, X, 1 / (v + tau2))
    B = v / (v + tau2)
    spread = scale * np.einsum("ij,jk,ik->i", X, at.cov, X)
    mean = y - B * at.residual
    return NormalPosterior(mean, np.sqrt(v * (1 - B) + B**2 * spread)), B


def morris(y: Vector, X: Matrix, v: Vector, tau2: float) -> tuple[NormalPosterior, Vector]:
    """Morris's posterior at a given τ², and its shrinkage B̂ (k,)."""
    k, p = X.shape
    if k - p < 3:
        raise DataError(
            f"Morris's intervals need at least {p + 3} groups with {p} coefficients; there are {k}."
        )
    at = project(y, X, 1 / (v + tau2))
    B = (k - p - 2) / (k - p) * v / (v + tau2)
    mean_v = float(at.weights @ v) / float(at.weights.sum())
    extra = 2 / (k - p - 2) * B**2 * (mean_v + tau2) / (v + tau2)
    variance = v * (1 - (1 - at.leverage()) * B) + extra * at.residual**2
    return NormalPosterior(y - B * at.residual, np.sqrt(variance)), B


def integrated(y: Vector, X: Matrix, v: Vector) -> tuple[NormalMixturePosterior, Vector]:
    """Posterior with τ integrated out, and its mean shrinkage (k,)."""
    tau, weights = tau_quadrature(y, X, v)
    used = weights > 1e-16
    tau, weights = tau[used], weights[used] / weights[used].sum()
    parts = [plug_in(y, X, v, float(t**2)) for t in tau]
    means = np.column_stack([part.mean for part, _ in parts])
    sds = np.column_stack([part.sd for part, _ in parts])
    shrinkage = np.column_stack([B for _, B in parts]) @ weights
    return NormalMixturePosterior(np.tile(weights, (y.size, 1)), means, sds), shrinkage


def tau_quadrature(y: Vector, X: Matrix, v: Vector) -> tuple[Vector, Vector]:
    """Nodes and posterior weights of τ under a flat prior.

    Gauss-Legendre in u ∈ (0, 1) with τ = c u/(1 − u): the restricted likelihood
    falls as τ^{−(k − p)}, which this map turns into a polynomial end.
    """
    k, p = X.shape
    if k - p < 2:
        raise DataError(
            f"The posterior of τ under a flat prior needs at least {p + 2} groups with {p} "
            f"coefficients; there are {k}."
        )
    x, w = special.roots_legendre(_NODES)
    u = 0.5 * (x + 1)
    scale = np.sqrt(float(np.median(v)) + project(y, X, np.ones_like(v)).quadratic / (k - p))
    tau = scale * u / (1 - u)
    log_density = np.array([log_likelihood(y, X, v, float(t**2), reml=True) for t in tau])
    log_density += np.log(w) - 2 * np.log1p(-u)
    weights = np.exp(log_density - log_density.max())
    return tau, weights / weights.sum()
