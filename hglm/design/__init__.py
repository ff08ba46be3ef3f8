"""Formula and data frame to arrays."""

from __future__ import annotations

from hglm.design.arrays import Design, PredictorDesign, RandomTerm
from hglm.design.build import build_design
from hglm.design.checks import check_levels
from hglm.design.no_residual import has_no_residual, without_residual
from hglm.design.rebuild import NewDesign, rebuild
from hglm.design.recipe import DesignSpec, PredictorSpec
from hglm.design.relationship import Relationship

__all__ = [
    "Design",
    "DesignSpec",
    "NewDesign",
    "PredictorDesign",
    "PredictorSpec",
    "RandomTerm",
    "Relationship",
    "build_design",
    "check_levels",
    "has_no_residual",
    "rebuild",
    "without_residual",
]
