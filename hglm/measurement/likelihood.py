"""A covariate measured with error in a linear (mixed) model, by maximum likelihood.

    x_i = s_i'α + σ_x ξ_i                     the true covariate, never seen
    w_i = x_i + u_i,  u_i ~ N(0, se_i²)       its measurement, se_i known
    y_i = z_i'γ + β x_i + r_i'b_g(i) + ε_i    b ~ N(0, ΛΛ'), ε ~ N(0, σ²)

the structural model of Fuller (1987, Measurement Error Models, section 2.2).
Integrating x out of the joint density leaves two normal factors,

    w_i ~ N(s_i'α, h_i),  h_i = σ_x² + se_i²,
    y | w ~ N(Zγ + βx̂, RΛΛ'R' + diag(σ² + β²v)),

with κ_i = σ_x²/h_i the reliability, x̂_i = s_i'α + κ_i (w_i − s_i'α) and
v_i = κ_i se_i². Ignoring the error estimates κβ instead of β (attenuation).
Value and gradient cost O(n (p + k²)) for one grouping factor with k random
columns. Not for errors that depend on y, nor for x with random slopes: then the
marginal is not normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hglm.typing import Codes, Matrix, Vector

__all__ = [
    "ErrorsInVariables",
    "Latent",
    "Parameters",
    "conditional",
    "errors_in_variables_loglik",
    "latent_means",
]


@dataclass(frozen=True, slots=True)
class ErrorsInVariables:
    """Data of the model: n rows, G groups."""

    y: Vector
    """(n,)"""
    w: Vector
    """(n,) measurements of the covariate."""
    se: Vector
    """(n,) their standard errors, ≥ 0."""
    S: Matrix
    """(n, q) covariates of the true covariate, usually a column of ones."""
    Z: Matrix
    """(n, p) other covariates of the response."""
    codes: Codes
    """(n,) group of each row; not used where k = 0."""
    n_groups: int
    R: Matrix
    """(n, k) random-effects columns, k = 0 for none."""
    name: str = "the covariate"
    """What messages call it."""

    @property
    def sizes(self) -> tuple[int, int, int]:
        """q, p, k."""
        return self.S.shape[1], self.Z.shape[1], self.R.shape[1]


@dataclass(frozen=True, slots=True)
class Parameters:
    """(α, log σ_x, γ, β, log σ, lower triangle of Λ by rows) taken apart."""

    alpha: Vector
    """(q,)"""
    log_sigma_x: float
    gamma: Vector
    """(p,)"""
    beta: float
    log_sigma: float
    Lambda: Matrix
    """(k, k) lower."""

    @classmethod
    def unpack(cls, psi: Vector, sizes: tuple[int, int, int]) -> Parameters:
        """Take a parameter vector apart; `sizes` are q, p, k."""
        q, p, k = sizes
        Lambda = np.zeros((k, k))
        Lambda[np.tril_indices(k)] = psi[q + p + 3 :]
        middle = psi[q + 1 : q + 1 + p]
        return cls(
            psi[:q], float(psi[q]), middle, float(psi[q + p + 1]), float(psi[q + p + 2]), Lambda
        )

    def pack(self) -> Vector:
        """Put the parameter vector together."""
        lower = self.Lambda[np.tril_indices(self.Lambda.shape[0])]
        ends = [self.log_sigma_x], self.gamma, [self.beta, self.log_sigma], lower
        return np.concatenate([self.alpha, *ends])


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """The true covariate given its measurement alone."""

    deviation: Vector
    """(n,) w − Sα."""
    h: Vector
    """(n,) Var(w)."""
    reliability: Vector
    """(n,) κ."""
    mean: Vector
    """(n,) x̂."""
    variance: Vector
    """(n,) v."""


@dataclass(frozen=True, slots=True)
class _Normal:
    """Log density of N(μ, RΛΛ'R' + D) at y and its derivatives."""

    value: float
    by_mean: Vector
    """(n,) V⁻¹(y − μ)."""
    by_diagonal: Vector
    """(n,) derivative in the diagonal of D."""
    by_factor: Matrix
    """(k, k) derivative in Λ, lower triangle."""
    effects: Matrix
    """(G, k) E[b | y]."""
    covariances: Matrix
    """(G, k, k) Var(b | y)."""


@dataclass(frozen=True, slots=True)
class Latent:
    """What the data say about everything unseen, parameters given."""

    x: Vector
    """(n,) E[x | w, y]: the best estimate of the true covariate."""
    x_sd: Vector
    """(n,) its standard deviation."""
    effects: Matrix
    """(G, k) E[b | w, y]."""
    covariances: Matrix
    """(G, k, k) Var(b | w, y)."""
    llf_response: float
    """Log density of y given w."""


def errors_in_variables_loglik(psi: Vector, data: ErrorsInVariables) -> tuple[float, Vector]:
    """Log-likelihood of (y, w) and its gradient.

    Parameters
    ----------
    psi : (q + p + 3 + k(k + 1)/2,)
        As `Parameters` packs them.
    data
        Arrays of the model.

    Returns
    -------
    value
    gradient : like `psi`
    """
    q, p, k = data.sizes
    at = Parameters.unpack(psi, data.sizes)
    latent = _calibrate(at, data)
    s2 = float(np.exp(2 * at.log_sigma))
    s2x = float(np.exp(2 * at.log_sigma_x))
    part = _normal(
        data.y - data.Z @ at.gamma - at.beta * latent.mean,
        s2 + at.beta**2 * latent.variance,
        data,
        at.Lambda,
    )
    z = latent.deviation / latent.h
    own = float((np.log(latent.h) + latent.deviation * z).sum())
    value = part.value - 0.5 * (own + data.y.size * np.log(2 * np.pi))
    error2 = data.se**2
    by_mean, by_diagonal = part.by_mean, part.by_diagonal
    by_s2x = float((-0.5 / latent.h + 0.5 * z**2).sum())
    by_s2x += at.beta * float(by_mean @ (z * error2 / latent.h))
    by_s2x += at.beta**2 * float(by_diagonal @ (error2 / latent.h) ** 2)
    gradient = np.empty_like(psi)
    gradient[:q] = data.S.T @ (z + at.beta * (1 - latent.reliability) * by_mean)
    gradient[q] = 2 * s2x * by_s2x
    gradient[q + 1 : q + 1 + p] = data.Z.T @ by_mean
    gradient[q + p + 1] = by_mean @ latent.mean + 2 * at.beta * by_diagonal @ latent.variance
    gradient[q + p + 2] = 2 * s2 * by_diagonal.sum()
    gradient[q + p + 3 :] = part.by_factor[np.tril_indices(k)]
    return value, gradient


def latent_means(psi: Vector, data: ErrorsInVariables) -> Vector:
    """E[x_i | w, y]: the best estimate of the true covariate. (n,)"""
    return conditional(psi, data).x


def conditional(psi: Vector, data: ErrorsInVariables) -> Latent:
    """Means and variances of the true covariate and the random effects given the data.

    With r = y − Zγ − βx̂ of covariance V, cov(x, r | w) = βv on the diagonal, so
    E[x | w, y] = x̂ + βv V⁻¹r and Var(x_i | w, y) = v_i − β²v_i²(V⁻¹)_ii.
    """
    at = Parameters.unpack(psi, data.sizes)
    latent = _calibrate(at, data)
    part = _normal(
        data.y - data.Z @ at.gamma - at.beta * latent.mean,
        np.exp(2 * at.log_sigma) + at.beta**2 * latent.variance,
        data,
        at.Lambda,
    )
    pull = at.beta * latent.variance
    inverse_diagonal = part.by_mean**2 - 2.0 * part.by_diagonal
    left = np.maximum(latent.variance - pull**2 * inverse_diagonal, 0.0)
    return Latent(
        latent.mean + pull * part.by_mean,
        np.sqrt(left),
        part.effects,
        part.covariances,
        part.value,
    )


def _calibrate(at: Parameters, data: ErrorsInVariables) -> _Calibrated:
    fitted = data.S @ at.alpha
    deviation = data.w - fitted
    s2x = float(np.exp(2 * at.log_sigma_x))
    h = s2x + data.se**2
    reliability = s2x / h
    return _Calibrated(
        deviation, h, reliability, fitted + reliability * deviation, reliability * data.se**2
    )


def _normal(e: Vector, d: Vector, data: ErrorsInVariables, Lambda: Matrix) -> _Normal:
    """Woodbury by groups: V = D + RΛΛ'R', M = I + Λ'R'D⁻¹RΛ."""
    k = Lambda.shape[0]
    constant = e.size * np.log(2 * np.pi)
    if k == 0:
        value = -0.5 * (float((np.log(d) + e**2 / d).sum()) + constant)
        none = np.zeros((data.n_groups, 0))
        return _Normal(
            value, e / d, 0.5 * ((e / d) ** 2 - 1 / d), np.zeros((0, 0)), none, none[:, :, None]
        )
    A = _group_sums((data.R / d[:, None])[:, :, None] * data.R[:, None, :], data)  # (G, k, k)
    c = _group_sums((e / d)[:, None] * data.R, data)  # (G, k)
    M = np.eye(k) + Lambda.T @ A @ Lambda
    inner = Lambda @ np.linalg.inv(M) @ Lambda.T  # (G, k, k)
    effect = np.einsum("gij,gj->gi", inner, c)
    by_mean = (e - np.einsum("ij,ij->i", data.R, effect[data.codes])) / d
    leverage = np.einsum("ij,ijk,ik->i", data.R, inner[data.codes], data.R)
    diagonal = 1 / d - leverage / d**2  # of V⁻¹
    score = _group_sums(by_mean[:, None] * data.R, data)
    by_covariance = np.einsum("gi,gj->ij", score, score) - (A - A @ inner @ A).sum(axis=0)
    logdet = float(np.log(d).sum()) + float(np.linalg.slogdet(M)[1].sum())
    value = -0.5 * (logdet + float(e @ by_mean) + constant)
    by_diagonal = 0.5 * (by_mean**2 - diagonal)
    return _Normal(value, by_mean, by_diagonal, by_covariance @ Lambda, effect, inner)


def _group_sums(x: Matrix, data: ErrorsInVariables) -> Matrix:
    """Sum x (n, ...) over the rows of each group. (G, ...)"""
    out = np.zeros((data.n_groups, *x.shape[1:]))
    np.add.at(out, data.codes, x)
    return out
