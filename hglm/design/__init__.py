"""Formula and data frame to arrays."""

from __future__ import annotations

from hglm.design.arrays import Design, PredictorDesign, RandomTerm
from hglm.design.build import build_design
from hglm.design.recipe import DesignSpec, PredictorSpec

__all__ = [
    "Design",
    "DesignSpec",
    "PredictorDesign",
    "PredictorSpec",
    "RandomTerm",
    "build_design",
]
