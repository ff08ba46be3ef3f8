"""Empirical Bayes: the prior learnt from the groups, in closed form or convex.

`ebayes(formula, data, model=...)` fits everything here; the model classes are
its settings. `robbins` stands beside it.
"""

from __future__ import annotations

from hglm.empirical.compare import compare
from hglm.empirical.conjugate import (
    BetaBinomial,
    DirichletMultinomial,
    GammaExponential,
    GammaPoisson,
    NormalInverseGamma,
)
from hglm.empirical.entry import ebayes
from hglm.empirical.mixture.deconvolution import Deconvolution
from hglm.empirical.mixture.npmle import NPMLE
from hglm.empirical.mixture.simplex import SimplexSolver
from hglm.empirical.mixture.unimodal import Unimodal
from hglm.empirical.normal.forest import forest_table, prediction_interval
from hglm.empirical.normal.james_stein import JamesStein
from hglm.empirical.normal.model import Normal
from hglm.empirical.normal.point_normal import PointNormal
from hglm.empirical.result import EBayes
from hglm.empirical.robbins import robbins

__all__ = [
    "NPMLE",
    "BetaBinomial",
    "Deconvolution",
    "DirichletMultinomial",
    "EBayes",
    "GammaExponential",
    "GammaPoisson",
    "JamesStein",
    "Normal",
    "NormalInverseGamma",
    "PointNormal",
    "SimplexSolver",
    "Unimodal",
    "compare",
    "ebayes",
    "forest_table",
    "prediction_interval",
    "robbins",
]
