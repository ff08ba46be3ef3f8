"""What is kept of a design so that it can be built again for other data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hglm.design.encoding import Encoding
from hglm.design.groups import Grouping
from hglm.design.positions import Places
from hglm.design.relationship import RelatedLevels
from hglm.formula.spec import ModelFormula, PredictorFormula, RandomTermFormula

__all__ = ["DesignSpec", "PredictorSpec", "TermSpec"]


@dataclass(frozen=True, slots=True)
class TermSpec:
    """Recipe of one random term."""

    formula: RandomTermFormula
    grouping: Grouping
    places: Places | None
    """Where the coefficients stand; None where the term has columns."""
    related: RelatedLevels | None
    """How the levels are related; None where they are independent."""


@dataclass(frozen=True, slots=True)
class PredictorSpec:
    """Recipe of one linear predictor."""

    formula: PredictorFormula
    kept: tuple[int, ...]
    """Positions of the columns of the fixed part that do not depend on others."""
    random: tuple[TermSpec, ...]
    constant: float = 0.0
    """Added to the offsets."""


@dataclass(frozen=True, slots=True)
class DesignSpec:
    """Recipe of all predictors; free of data, picklable."""

    formula: ModelFormula
    predictors: Mapping[str, PredictorSpec]
    """Name -> recipe; ``"mean"`` comes first."""
    encoding: Encoding
    states: Mapping[str, Mapping[str, Any]]
    """Expression of an offset or group -> what its transforms remember."""
    offset: str | None = None
    """Column of the argument `offset`, if it was the name of one."""
    offset_was_array: bool = False
    """Whether the argument `offset` was an array, which new data cannot have."""
