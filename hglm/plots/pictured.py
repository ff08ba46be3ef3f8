"""The part of a fit that its pictures are made of."""

from __future__ import annotations

from typing import Any, Protocol

import pandas as pd

from hglm.design import Design, DesignSpec
from hglm.families import Family
from hglm.fitting.record import Estimates

__all__ = ["Pictured"]


class Pictured(Protocol):
    """What the pictures need of a fit."""

    @property
    def design(self) -> Design:
        """Arrays of the model."""
        ...

    @property
    def spec(self) -> DesignSpec:
        """Recipe of the design."""
        ...

    @property
    def family(self) -> Family:
        """Distribution of the response."""
        ...

    @property
    def estimates(self) -> Estimates:
        """What was found."""
        ...

    @property
    def fittedvalues(self) -> pd.Series:
        """Fitted means."""
        ...

    def ranef(self) -> pd.DataFrame:
        """Random effects."""
        ...

    def residuals(self, kind: str = "pearson") -> pd.Series:
        """Residuals of a kind."""
        ...

    def profile(self, which: Any = None) -> pd.DataFrame:
        """Profiles."""
        ...

    def predict(self, data: Any = None, *, random: Any = "all") -> Any:
        """Means of new rows."""
        ...

    def emmeans(self, specs: Any, by: Any = None, *, at: Any = None, scale: Any = "link") -> Any:
        """Marginal means."""
        ...
