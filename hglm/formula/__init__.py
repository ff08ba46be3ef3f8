"""Formula text to frozen records of what it says; no data are seen."""

from __future__ import annotations

from hglm.formula.bars import STRUCTURES
from hglm.formula.parser import parse_formula, parse_predictor
from hglm.formula.spec import (
    MeasuredFormula,
    ModelFormula,
    PredictorFormula,
    RandomTermFormula,
)

__all__ = [
    "STRUCTURES",
    "MeasuredFormula",
    "ModelFormula",
    "PredictorFormula",
    "RandomTermFormula",
    "parse_formula",
    "parse_predictor",
]
