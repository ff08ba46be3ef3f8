"""Gamma-Poisson and gamma-exponential: rates that differ by group.

y_i | λ_i ~ Poisson(e_i λ_i),  λ_i ~ Gamma(shape 1/φ, mean μ_i),  log μ_i = x_i'β.

Marginally y_i is negative binomial with mean m_i = e_i μ_i and variance
m_i + φ m_i² (Greenwood & Yule 1920). With R = `log_rising`, L = `log1p_ratio`,

    log p(y) = R(φ, y) + y log m − L(φ, m) − y log(1 + φ m) − log y!

is smooth at φ = 0, the Poisson. d_i exponential waiting times of total T_i have
the likelihood λ^d e^{−λT}, which is the same up to d log T − log d!.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from hglm.empirical.build import fingerprint, regression_fit
from hglm.empirical.conjugate.regression import HyperFit, Jet, fit_marginal
from hglm.empirical.frame import ModelFrame
from hglm.empirical.noise import PoissonNoise
from hglm.empirical.parts import Hyperparameter, TermPosterior, delta
from hglm.empirical.posterior import GammaPosterior, NormalPosterior, Posterior
from hglm.empirical.read import group_covariates, read_durations, read_poisson, require_groups
from hglm.empirical.result import EBayes
from hglm.empirical.special import log1p_ratio, log_rising
from hglm.empirical.transforms import DISPERSION, Transform
from hglm.errors import DataError
from hglm.typing import Vector

__all__ = ["GammaExponential", "GammaPoisson", "GammaPoissonMarginal"]


@dataclass(frozen=True, slots=True)
class GammaPoisson:
    """Gamma-Poisson model: `counts ~ covariates | group`, with `exposure`.

    Use it for event rates that vary smoothly between groups. Not for counts
    with more zeros than a gamma prior can make (see `NPMLE`), nor with
    covariates that vary within groups (use hglm.fit with family "poisson").
    """

    def fit(self, frame: ModelFrame) -> EBayes:
        """Estimate the prior and every group's posterior."""
        require_groups(frame)
        data = read_poisson(frame)
        if data.counts.sum() == 0:
            raise DataError(
                "All counts are zero, so the mean rate is zero; there is nothing to learn from."
            )
        constant = -special.gammaln(data.counts + 1.0)
        return _fit(frame, data, constant, "gamma-poisson")


@dataclass(frozen=True, slots=True)
class GammaExponential:
    """Gamma-exponential model: `duration ~ covariates | group`, one event a row.

    Use it for waiting times with a constant hazard in each group. Not for
    censored times, nor where the hazard changes with time.
    """

    def fit(self, frame: ModelFrame) -> EBayes:
        """Estimate the prior and every group's posterior."""
        require_groups(frame)
        data = read_durations(frame)
        constant = -data.counts * np.log(data.exposure)
        return _fit(frame, data, constant, "gamma-exponential")


@dataclass(frozen=True, slots=True)
class GammaPoissonMarginal:
    """Marginal log-likelihood in (η, φ)."""

    y: Vector
    """(G,) events."""
    exposure: Vector
    """(G,)"""
    constant: Vector
    """(G,) what does not depend on the parameters."""

    @property
    def transforms(self) -> tuple[Transform, ...]:
        return (DISPERSION,)

    def jet(self, eta: Vector, phi: Vector) -> Jet:
        f, y = float(phi[0]), self.y
        log_m = eta + np.log(self.exposure)
        m = np.exp(log_m)
        spread = 1.0 + f * m
        a, a1, a2 = log_rising(np.full_like(m, f), y)
        b, b1, b2 = log1p_ratio(f, m)
        value = a + y * log_m - b - y * np.log1p(f * m) + self.constant
        gradient = np.stack([(y - m) / spread, a1 - b1 - y * m / spread], -1)
        eta_eta = -m * (1 + f * y) / spread**2
        eta_phi = -m * (y - m) / spread**2
        phi_phi = a2 - b2 + y * (m / spread) ** 2
        hessian = np.stack([eta_eta, eta_phi, eta_phi, phi_phi], -1).reshape(-1, 2, 2)
        return Jet(value, gradient, hessian)

    def start(self) -> tuple[Vector, Sequence[Vector]]:
        mean = self.y.sum() / self.exposure.sum()
        eta = np.log((self.y + 0.5 * np.sign(mean)) / (self.exposure + 0.5 / mean))
        m = self.exposure * mean
        moment = float(((self.y - m) ** 2 - m).sum() / (m**2).sum())
        return eta, [np.array([np.clip(moment, 0.01, 10.0)]), np.array([0.0])]


def _fit(frame: ModelFrame, data: PoissonNoise, constant: Vector, model: str) -> EBayes:
    X = group_covariates(frame)
    found = fit_marginal(GammaPoissonMarginal(data.counts, data.exposure, constant), X)
    mu, phi = np.exp(X @ found.beta), float(found.phi[0])
    posterior: Posterior
    if phi == 0:
        posterior = NormalPosterior(mu, np.zeros_like(mu))
    else:
        posterior = GammaPosterior(1 / phi + data.counts, 1 / (phi * mu) + data.exposure)
    shrinkage = 1.0 / (1.0 + phi * mu * data.exposure)
    term = TermPosterior("rate", data.estimate, data.std_error, mu, posterior, shrinkage)
    return regression_fit(
        frame,
        found,
        model=model,
        extras=("dispersion",),
        bounded=(True,),
        derived=_derived(found, frame.names),
        terms=(term,),
        data=fingerprint(model, data.rows()),
        singular=phi == 0,
    )


def _derived(found: HyperFit, names: tuple[str, ...]) -> tuple[Hyperparameter, ...]:
    """Shape; mean and rate of a common prior."""
    p, phi = found.beta.size, float(found.phi[0])
    along = np.eye(p + 1)
    out = []
    if names == ("Intercept",):
        mu = float(np.exp(found.beta[0]))
        out.append(delta("mean", mu, along[0] * mu, found.vcov, "log"))
        if phi > 0:
            rate = 1 / (phi * mu)
            out.append(delta("rate", rate, -rate * (along[0] + along[p] / phi), found.vcov, "log"))
    if phi > 0:
        out.append(delta("shape", 1 / phi, -along[p] / phi**2, found.vcov, "log"))
    out.append(delta("coefficient of variation", phi**0.5, _root(along[p], phi), found.vcov, "log"))
    return tuple(out)


def _root(direction: Vector, phi: float) -> Vector:
    """Gradient of √φ, missing at zero, where it has none."""
    return direction * (0.5 / phi**0.5 if phi > 0 else np.nan)
