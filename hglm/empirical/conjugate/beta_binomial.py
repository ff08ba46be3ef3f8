"""Beta-binomial: successes out of trials, probabilities that differ by group.

y_i | θ_i ~ Binomial(n_i, θ_i),  θ_i ~ Beta(μ_i/ρ, (1 − μ_i)/ρ),  logit μ_i = x_i'β.

ρ = 1/(α + β) is the dispersion of the prior: 0 means one common probability
(Skellam 1948, JRSS B 10, 257-261, in Griffiths' parametrisation). With
R = `log_rising`, the marginal log-likelihood

    y log μ + (n − y) log(1 − μ) + R(ρ/μ, y) + R(ρ/(1 − μ), n − y) − R(ρ, n) + log C(n, y)

is smooth at ρ = 0, where it is the binomial one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from hglm.empirical.build import fingerprint, regression_fit
from hglm.empirical.conjugate.regression import HyperFit, Jet, fit_marginal
from hglm.empirical.frame import ModelFrame
from hglm.empirical.noise import BinomialNoise, log_choose
from hglm.empirical.parts import Hyperparameter, TermPosterior, delta
from hglm.empirical.posterior import BetaPosterior, NormalPosterior, Posterior
from hglm.empirical.read import group_covariates, read_binomial, require_groups
from hglm.empirical.result import EBayes
from hglm.empirical.special import log_rising
from hglm.empirical.transforms import DISPERSION, Transform
from hglm.errors import DataError
from hglm.typing import Vector

__all__ = ["BetaBinomial", "BetaBinomialMarginal"]


@dataclass(frozen=True, slots=True)
class BetaBinomial:
    """Beta-binomial model: `successes / trials ~ covariates | group`.

    Use it for proportions whose true values vary smoothly between groups. Not
    when the probabilities fall into a few clusters (use `NPMLE`), nor with
    covariates that vary within groups (use hglm.fit with family "binomial").
    """

    def fit(self, frame: ModelFrame) -> EBayes:
        """Estimate the prior and every group's posterior."""
        require_groups(frame)
        data = read_binomial(frame)
        _check(data)
        X = group_covariates(frame)
        found = fit_marginal(BetaBinomialMarginal(data.successes, data.trials), X)
        mu, rho = special.expit(X @ found.beta), float(found.phi[0])
        return regression_fit(
            frame,
            found,
            model="beta-binomial",
            extras=("dispersion",),
            bounded=(True,),
            derived=_derived(found, frame.names),
            terms=(_term(data, mu, rho),),
            data=fingerprint("binomial", data.rows()),
            singular=rho == 0,
        )


@dataclass(frozen=True, slots=True)
class BetaBinomialMarginal:
    """Marginal log-likelihood in (η, ρ)."""

    y: Vector
    """(G,) successes."""
    n: Vector
    """(G,) trials."""

    @property
    def transforms(self) -> tuple[Transform, ...]:
        return (DISPERSION,)

    def jet(self, eta: Vector, phi: Vector) -> Jet:
        rho = float(phi[0])
        mu, nu = special.expit(eta), special.expit(-eta)
        failures = self.n - self.y
        a, a1, a2 = log_rising(rho / mu, self.y)
        b, b1, b2 = log_rising(rho / nu, failures)
        c, c1, c2 = log_rising(np.full_like(mu, rho), self.n)
        value = self.y * special.log_expit(eta) + failures * special.log_expit(-eta)
        value += a + b - c + log_choose(self.n, self.y)
        # q = ρ/μ and r = ρ/ν: dq/dη = −ρν/μ = −d²q/dη²,  dr/dη = ρμ/ν = d²r/dη².
        q1, r1 = -rho * nu / mu, rho * mu / nu
        gradient = np.stack([self.y - self.n * mu + a1 * q1 + b1 * r1, a1 / mu + b1 / nu - c1], -1)
        eta_eta = -self.n * mu * nu + a2 * q1**2 - a1 * q1 + b2 * r1**2 + b1 * r1
        eta_rho = a2 * q1 / mu - a1 * nu / mu + b2 * r1 / nu + b1 * mu / nu
        rho_rho = a2 / mu**2 + b2 / nu**2 - c2
        hessian = np.stack([eta_eta, eta_rho, eta_rho, rho_rho], -1).reshape(-1, 2, 2)
        return Jet(value, gradient, hessian)

    def start(self) -> tuple[Vector, Sequence[Vector]]:
        eta = special.logit((self.y + 0.5) / (self.n + 1.0))
        p = self.y.sum() / self.n.sum()
        pearson = float((((self.y - self.n * p) ** 2) / (self.n * p * (1 - p))).sum())
        icc = (pearson - self.y.size + 1) / max(float((self.n - 1).sum()), 1.0)
        icc = float(np.clip(icc, 0.01, 0.9))
        return eta, [np.array([icc / (1 - icc)]), np.array([0.0])]


def _term(data: BinomialNoise, mu: Vector, rho: float) -> TermPosterior:
    posterior: Posterior
    if rho == 0:
        posterior = NormalPosterior(mu, np.zeros_like(mu))
    else:
        failures = data.trials - data.successes
        posterior = BetaPosterior(mu / rho + data.successes, (1 - mu) / rho + failures)
    shrinkage = 1.0 / (1.0 + rho * data.trials)
    return TermPosterior("probability", data.estimate, data.std_error, mu, posterior, shrinkage)


def _derived(found: HyperFit, names: tuple[str, ...]) -> tuple[Hyperparameter, ...]:
    """Mean, intraclass correlation and precision; alpha and beta of a common prior."""
    p, rho = found.beta.size, float(found.phi[0])
    along = np.eye(p + 1)
    icc = delta(
        "intraclass correlation", rho / (1 + rho), along[p] / (1 + rho) ** 2, found.vcov, "logit"
    )
    out = [icc]
    if rho > 0:
        out.append(delta("alpha + beta", 1 / rho, -along[p] / rho**2, found.vcov, "log"))
    if names == ("Intercept",):
        mu = float(special.expit(found.beta[0]))
        out.insert(0, delta("mean", mu, along[0] * mu * (1 - mu), found.vcov, "logit"))
        if rho > 0:
            up = along[0] * mu * (1 - mu) / rho
            for name, share, sign in (("alpha", mu, 1.0), ("beta", 1 - mu, -1.0)):
                gradient = sign * up - along[p] * share / rho**2
                out.append(delta(name, share / rho, gradient, found.vcov, "log"))
    return tuple(out)


def _check(data: BinomialNoise) -> None:
    total, successes = data.trials.sum(), data.successes.sum()
    if successes in (0, total):
        raise DataError(
            f"All {int(total)} trials had the same outcome, so the mean of the prior would lie at "
            "infinity on the logit scale; there is no variation to learn from."
        )
    if data.trials.max() < 2:
        raise DataError(
            "Every group has a single trial, which says nothing about how probabilities differ; "
            "group the rows with `| group`, or fit a logistic regression."
        )
