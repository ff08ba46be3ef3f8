"""Empirical Bayes: the prior learnt from the groups, in closed form or convex.

`ebayes(formula, data, model=...)` fits everything here; the model classes are
its settings. `robbins` and `measurement_error` stand beside it.
"""

from __future__ import annotations

from hglm.ebayes.compare import compare
from hglm.ebayes.conjugate import (
    BetaBinomial,
    DirichletMultinomial,
    GammaExponential,
    GammaPoisson,
    NormalInverseGamma,
)
from hglm.ebayes.entry import ebayes
from hglm.ebayes.mixture.deconvolution import Deconvolution
from hglm.ebayes.mixture.npmle import NPMLE
from hglm.ebayes.mixture.simplex import SimplexSolver
from hglm.ebayes.mixture.unimodal import Unimodal
from hglm.ebayes.normal.forest import forest_table, prediction_interval
from hglm.ebayes.normal.james_stein import JamesStein
from hglm.ebayes.normal.model import Normal
from hglm.ebayes.normal.point_normal import PointNormal
from hglm.ebayes.result import EBayes
from hglm.ebayes.robbins import robbins

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
