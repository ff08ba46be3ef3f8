"""Covariance structures of random effects: θ -> T and its derivatives."""

from __future__ import annotations

from hglm.covariance.layout import Layout, Slot
from hglm.covariance.lookup import STRUCTURES, structure
from hglm.covariance.structures import Structure, lower_factor

__all__ = ["STRUCTURES", "Layout", "Slot", "Structure", "lower_factor", "structure"]
