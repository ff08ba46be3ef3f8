"""R² and intraclass correlation of mixed models.

On the scale of the linear predictor the variance of an observation is

    fixed          sample variance of Xβ̂
    random         mean over rows of z'Σz, terms of the mean          (Johnson 2014)
    dispersion     the same for terms with one level a row
    distribution   of the family about its predictor                  (Nakagawa et al. 2017)

and

    R²_marginal = fixed / total         R²_conditional = (fixed + random) / total
    ICC_adjusted = random / (total - fixed)     ICC_unadjusted = random / total

The distribution's variance is σ² (Gaussian), π²/3 (logit), 1 (probit), π²/6
(cloglog); for counts with log link it is log(1 + 1/μ) (Poisson) and
log(1 + 1/μ + 1/size) (negative binomial, the model's size), μ the mean of the model
without fixed effects at random effects of zero. A variance estimated at zero is a zero like any
other, so that singular models have values, too.

References
----------
Nakagawa, S., Johnson, P. C. D. and Schielzeth, H. (2017). J. R. Soc. Interface 14, 20170213.
Johnson, P. C. D. (2014). Methods in Ecology and Evolution 5, 944-946.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hglm.design import Design
from hglm.errors import OptionError
from hglm.families import Family
from hglm.fitting.record import Estimates

__all__ = ["VarianceExplained", "variance_explained"]

Null = Callable[[], Estimates]
"""Fits the model with an intercept for all fixed effects."""

_LATENT: Mapping[str, float] = {
    "logit": float(np.pi**2 / 3.0),
    "probit": 1.0,
    "cloglog": float(np.pi**2 / 6.0),
}


@dataclass(frozen=True, slots=True, repr=False)
class VarianceExplained:
    """Shares of variance, and the variances they are made of."""

    r2_marginal: float
    r2_conditional: float
    icc_adjusted: float
    icc_unadjusted: float
    fixed: float
    random: float
    dispersion: float
    distribution: float

    def __repr__(self) -> str:
        return (
            f"R²: {self.r2_marginal:.4f} marginal (fixed effects), {self.r2_conditional:.4f} "
            f"conditional (and random effects)\n"
            f"ICC: {self.icc_adjusted:.4f} adjusted (given the fixed effects), "
            f"{self.icc_unadjusted:.4f} unadjusted\n"
            f"Variances: {self.fixed:.4g} fixed, {self.random:.4g} random, "
            f"{self.dispersion:.4g} dispersion, {self.distribution:.4g} distribution"
        )


def variance_explained(
    estimates: Estimates, design: Design, family: Family, null: Null
) -> VarianceExplained:
    """Compute R² and ICC; see the module.

    Parameters
    ----------
    estimates, design, family
        Of the fit.
    null
        Fits the null model; called for count families only.

    Raises
    ------
    OptionError
        For families and links for which no distribution variance is agreed upon.
    """
    fixed = float(np.var(design.mean.X @ estimates.beta, ddof=1)) if len(estimates.beta) else 0.0
    fixed = fixed if fixed > 1e-12 * float(np.mean(estimates.linear_predictor**2)) else 0.0
    random = dispersion = 0.0
    for term in estimates.terms:
        if term.predictor != "mean":
            continue
        columns = design.mean.random[term.position]
        share = float(np.mean(columns.variances(term.covariance)))
        if columns.n_levels == design.n:
            dispersion += share
        else:
            random += share
    distribution = _distribution(estimates, family, null)
    rest = dispersion + distribution
    total = fixed + random + rest
    return VarianceExplained(
        r2_marginal=fixed / total,
        r2_conditional=(fixed + random) / total,
        icc_adjusted=random / (random + rest),
        icc_unadjusted=random / total,
        fixed=fixed,
        random=random,
        dispersion=dispersion,
        distribution=distribution,
    )


def _distribution(estimates: Estimates, family: Family, null: Null) -> float:
    link = family.parameters[0].link.name
    if family.name == "gaussian" and link == "identity" and estimates.sigma is not None:
        return estimates.sigma**2
    if family.name == "binomial" and link in _LATENT:
        return _LATENT[link]
    if family.name in ("poisson", "nbinom2") and link == "log":
        at_zero = null()
        extra = 0.0 if estimates.sigma is None else 1.0 / estimates.sigma
        return float(np.log1p(np.exp(-at_zero.beta[0]) + extra))
    raise OptionError(
        f"R² is not defined for the {family.name} family with {link} link; it is for Gaussian "
        "models, binomial ones with logit, probit or cloglog link, and Poisson and nbinom2 "
        "ones with log link."
    )
