"""Estimated marginal means: grids, contrasts, adjustments, letters."""

from __future__ import annotations

from hglm.inference.emmeans.contrasts import Method, contrast
from hglm.inference.emmeans.estimable import EstimableSet
from hglm.inference.emmeans.interactions import interaction_contrast, joint_tests
from hglm.inference.emmeans.letters import letter_frame
from hglm.inference.emmeans.means import marginal_means, marginal_slopes
from hglm.inference.emmeans.regrid import on_response
from hglm.inference.emmeans.specs import Names
from hglm.inference.emmeans.tables import (
    Display,
    Side,
    estimate_frame,
    hypothesis_frame,
    joint_frame,
)

__all__ = [
    "Display",
    "EstimableSet",
    "Method",
    "Names",
    "Side",
    "contrast",
    "estimate_frame",
    "hypothesis_frame",
    "interaction_contrast",
    "joint_frame",
    "joint_tests",
    "letter_frame",
    "marginal_means",
    "marginal_slopes",
    "on_response",
]
