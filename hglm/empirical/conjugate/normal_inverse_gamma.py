"""Normal-inverse-gamma: means and variances that differ by group.

y_ij | θ_i, σ²_i ~ N(θ_i, σ²_i),  θ_i | σ²_i ~ N(m_i, v σ²_i),
σ²_i ~ InverseGamma(1/ρ, s²/ρ),  m_i = x_i'β.

v is the prior variance of a mean in units of σ²_i (the reciprocal of the usual
"prior sample size"), s² a typical variance, ρ its dispersion: ρ = 0 means equal
variances, v = 0 equal means. With u = [S + n (ȳ − m)²/(1 + n v)]/(2 s²) and S
the sum of squares within the group, the marginal (DeGroot 1970, section 9.6) is

    R(ρ, n/2) − (n/2) log s² − L(ρ, u) − (n/2) log(1 + ρu) − ½ log(1 + n v) − (n/2) log 2π

with R = `log_rising`, L = `log1p_ratio`: smooth at ρ = 0 and at v = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hglm.empirical.build import fingerprint, regression_fit
from hglm.empirical.conjugate.regression import HyperFit, Jet, fit_marginal
from hglm.empirical.frame import ModelFrame
from hglm.empirical.parts import Hyperparameter, TermPosterior, delta
from hglm.empirical.posterior import InverseGammaPosterior, NormalPosterior, StudentPosterior
from hglm.empirical.read import Samples, group_covariates, read_samples, require_groups
from hglm.empirical.result import EBayes
from hglm.empirical.special import log1p_ratio, log_rising
from hglm.empirical.transforms import DISPERSION, REAL, Transform
from hglm.typing import Matrix, Vector

__all__ = ["NormalInverseGamma", "NormalInverseGammaMarginal"]


@dataclass(frozen=True, slots=True)
class NormalInverseGamma:
    """Normal-inverse-gamma model: `y ~ covariates | group`, rows replicated.

    Use it where groups of measurements differ in mean and in variance: it
    shrinks both. Not where the spread of the means has nothing to do with the
    spread within groups: conjugacy ties Var(θ_i) to σ²_i (use "normal" then).
    A group of a single row makes the likelihood unbounded (the mean on that row,
    no variance); the fit is the local maximum beside, or says it found none.
    """

    def fit(self, frame: ModelFrame) -> EBayes:
        """Estimate the prior and every group's posteriors of mean and variance."""
        require_groups(frame)
        samples = read_samples(frame)
        X = group_covariates(frame)
        found = fit_marginal(NormalInverseGammaMarginal(samples), X)
        log_s2, v, rho = (float(value) for value in found.phi)
        rows = np.column_stack([samples.n, samples.mean, samples.squares])
        return regression_fit(
            frame,
            found,
            model="normal-inverse-gamma",
            extras=("log variance", "dispersion of means", "dispersion of variances"),
            bounded=(False, True, True),
            derived=_derived(found),
            terms=_terms(samples, X @ found.beta, np.exp(log_s2), v, rho),
            data=fingerprint("samples", rows),
            singular=v == 0 or rho == 0,
        )


@dataclass(frozen=True, slots=True)
class NormalInverseGammaMarginal:
    """Marginal log-likelihood in (m, log s², v, ρ)."""

    samples: Samples

    @property
    def transforms(self) -> tuple[Transform, ...]:
        return (REAL, DISPERSION, DISPERSION)

    def jet(self, eta: Vector, phi: Vector) -> Jet:
        n = self.samples.n
        log_s2, v, rho = (float(value) for value in phi)
        a, a1, a2 = log_rising(np.full_like(n, rho), 0.5 * n)
        u, first, second = self._scaled_squares(eta, log_s2, v)
        b, b1, b2 = log1p_ratio(rho, u)
        w = 1.0 + rho * u
        c = 1.0 + n * v
        value = a - 0.5 * n * (log_s2 + np.log(2 * np.pi)) - b - 0.5 * n * np.log(w)
        value -= 0.5 * np.log(c)
        # h(u, ρ) = L(ρ, u) + (n/2) log(1 + ρu): its derivatives in u, then the chain rule.
        h_u = (1 + 0.5 * n * rho) / w
        h_uu = -rho * h_u / w
        h_ur = (0.5 * n - u) / w**2
        gradient = np.zeros((n.size, 4))
        gradient[:, :3] = -h_u[:, None] * first
        gradient[:, 1] -= 0.5 * n
        gradient[:, 2] -= 0.5 * n / c
        gradient[:, 3] = a1 - b1 - 0.5 * n * u / w
        hessian = np.zeros((n.size, 4, 4))
        hessian[:, :3, :3] = -h_u[:, None, None] * second
        hessian[:, :3, :3] -= h_uu[:, None, None] * first[:, :, None] * first[:, None, :]
        hessian[:, 2, 2] += 0.5 * (n / c) ** 2
        hessian[:, 3, :3] = hessian[:, :3, 3] = -h_ur[:, None] * first
        hessian[:, 3, 3] = a2 - b2 + 0.5 * n * (u / w) ** 2
        return Jet(value, gradient, hessian)

    def start(self) -> tuple[Vector, Sequence[Vector]]:
        n, mean, squares = self.samples.n, self.samples.mean, self.samples.squares
        pooled = float(squares.sum() / (n - 1).sum())
        between = float(np.mean((mean - mean.mean()) ** 2 - pooled / n))
        v = max(between / pooled, 0.05)
        starts = [np.array([np.log(pooled), v, rho]) for rho in (0.2, 1.0, 0.0)]
        return mean, [*starts, np.array([np.log(pooled), 0.0, 0.2])]

    def _scaled_squares(self, m: Vector, log_s2: float, v: float) -> tuple[Vector, Matrix, Matrix]:
        """u and its derivatives in (m, log s², v). (G,), (G, 3), (G, 3, 3)"""
        n = self.samples.n
        e, c = self.samples.mean - m, 1.0 + n * v
        scale = 0.5 * np.exp(-log_s2)
        u = scale * (self.samples.squares + n * e**2 / c)
        u_m, u_v = -2 * scale * n * e / c, -scale * (n * e / c) ** 2
        first = np.stack([u_m, -u, u_v], -1)
        mv = 2 * scale * n**2 * e / c**2
        second = np.stack(
            [2 * scale * n / c, -u_m, mv, -u_m, u, -u_v, mv, -u_v, -2 * n / c * u_v], -1
        )
        return u, first, second.reshape(-1, 3, 3)


def _terms(
    samples: Samples, m: Vector, s2: float, v: float, rho: float
) -> tuple[TermPosterior, ...]:
    """Student posteriors of the means, inverse-gamma ones of the variances."""
    n = samples.n
    replicated = n > 1
    raw = np.where(replicated, samples.squares / np.maximum(n - 1, 1), np.nan)
    centre = (m + n * v * samples.mean) / (1 + n * v)
    squares = samples.squares + n * (samples.mean - m) ** 2 / (1 + n * v)
    if rho == 0:
        variance = np.full_like(n, s2)
        means: NormalPosterior | StudentPosterior = NormalPosterior(
            centre, np.sqrt(s2 * v / (1 + n * v))
        )
        variances: NormalPosterior | InverseGammaPosterior = NormalPosterior(
            variance, np.zeros_like(n)
        )
    else:
        shape, scale = 1 / rho + 0.5 * n, s2 / rho + 0.5 * squares
        variances = InverseGammaPosterior(shape, scale)
        spread = np.sqrt(scale / shape * v / (1 + n * v))
        means = (
            StudentPosterior(centre, spread, 2 * shape)
            if v > 0
            else NormalPosterior(centre, np.zeros_like(n))
        )
    prior_variance = np.full_like(n, s2 / (1 - rho) if rho < 1 else np.inf)
    own = 0.5 * np.maximum(n - 1, 0) * rho
    return (
        TermPosterior("mean", samples.mean, np.sqrt(raw / n), m, means, 1 / (1 + n * v)),
        TermPosterior(
            "variance",
            raw,
            raw * np.sqrt(2 / np.maximum(n - 1, 1)),
            prior_variance,
            variances,
            1 - own / (1 + rho * (0.5 * n - 1)),
        ),
    )


def _derived(found: HyperFit) -> tuple[Hyperparameter, ...]:
    log_s2, v, rho = (float(value) for value in found.phi)
    s2 = float(np.exp(log_s2))
    along = np.eye(found.vcov.shape[0])[-3:]
    out = [delta("typical variance", s2, s2 * along[0], found.vcov, "log")]
    if v > 0:
        out.append(delta("kappa", 1 / v, -along[1] / v**2, found.vcov, "log"))
    if rho > 0:
        out.append(delta("shape", 1 / rho, -along[2] / rho**2, found.vcov, "log"))
        gradient = s2 * along[0] / rho - s2 * along[2] / rho**2
        out.append(delta("scale", s2 / rho, gradient, found.vcov, "log"))
    return tuple(out)
