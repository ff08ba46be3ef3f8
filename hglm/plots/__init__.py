"""Pictures (matplotlib): axes in, axes out."""

from __future__ import annotations

from hglm.plots.effects import caterpillar, fitted_lines, shrinkage
from hglm.plots.residuals import profile_zeta, qq, residuals_fitted, scale_location

__all__ = [
    "caterpillar",
    "fitted_lines",
    "profile_zeta",
    "qq",
    "residuals_fitted",
    "scale_location",
    "shrinkage",
]
