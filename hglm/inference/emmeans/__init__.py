"""Estimated marginal means: grids, contrasts, adjustments, letters."""

from __future__ import annotations

from hglm.inference.emmeans.contrasts import contrast
from hglm.inference.emmeans.estimable import EstimableSet
from hglm.inference.emmeans.means import marginal_means, marginal_slopes
from hglm.inference.emmeans.tables import Display, estimate_frame, hypothesis_frame, joint_frame

__all__ = [
    "Display",
    "EstimableSet",
    "contrast",
    "estimate_frame",
    "hypothesis_frame",
    "joint_frame",
    "marginal_means",
    "marginal_slopes",
]
