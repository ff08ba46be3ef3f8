"""Exponential families whose group parameters integrate out in closed form."""

from __future__ import annotations

from hglm.ebayes.conjugate.beta_binomial import BetaBinomial
from hglm.ebayes.conjugate.dirichlet_multinomial import DirichletMultinomial
from hglm.ebayes.conjugate.gamma_poisson import GammaExponential, GammaPoisson
from hglm.ebayes.conjugate.normal_inverse_gamma import NormalInverseGamma

__all__ = [
    "BetaBinomial",
    "DirichletMultinomial",
    "GammaExponential",
    "GammaPoisson",
    "NormalInverseGamma",
]
