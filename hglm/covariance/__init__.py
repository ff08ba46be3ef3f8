"""Covariance structures of random effects: θ -> T and its derivatives."""

from __future__ import annotations

from hglm.covariance.factors import lower_factor, null_space
from hglm.covariance.layout import Layout, Slot
from hglm.covariance.lookup import COORDINATES, STEPS, STRUCTURES, structure
from hglm.covariance.protocol import Structure

__all__ = [
    "COORDINATES",
    "STEPS",
    "STRUCTURES",
    "Layout",
    "Slot",
    "Structure",
    "lower_factor",
    "null_space",
    "structure",
]
