"""Exponential families whose group parameters integrate out in closed form."""

from __future__ import annotations

from hglm.empirical.conjugate.beta_binomial import BetaBinomial
from hglm.empirical.conjugate.dirichlet_multinomial import DirichletMultinomial
from hglm.empirical.conjugate.gamma_poisson import GammaExponential, GammaPoisson
from hglm.empirical.conjugate.normal_inverse_gamma import NormalInverseGamma

__all__ = [
    "BetaBinomial",
    "DirichletMultinomial",
    "GammaExponential",
    "GammaPoisson",
    "NormalInverseGamma",
]
