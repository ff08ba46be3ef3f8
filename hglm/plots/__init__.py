"""Pictures (matplotlib): axes in, axes out."""

from __future__ import annotations

from hglm.plots.effects import effects, estimates
from hglm.plots.levels import caterpillar, fitted_lines
from hglm.plots.pooling import pooling, shrinkage
from hglm.plots.profiles import profile_pairs, profile_zeta
from hglm.plots.residuals import qq, residuals_fitted, scale_location

__all__ = [
    "caterpillar",
    "effects",
    "estimates",
    "fitted_lines",
    "pooling",
    "profile_pairs",
    "profile_zeta",
    "qq",
    "residuals_fitted",
    "scale_location",
    "shrinkage",
]
