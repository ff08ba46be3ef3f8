"""Covariance structures by their names in a formula."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from hglm.covariance.structures import CompoundSymmetry, Diagonal, Structure, Unstructured
from hglm.errors import FormulaError

__all__ = ["STRUCTURES", "structure"]

STRUCTURES: Mapping[str, Structure] = {
    s.name: s for s in (Unstructured(), Diagonal(), CompoundSymmetry())
}
"""Every structure a formula may name."""


def structure(name: str) -> Structure:
    """Find a covariance structure by its name in a formula.

    Raises
    ------
    FormulaError
        If there is none of that name.
    """
    if name in STRUCTURES:
        return STRUCTURES[name]
    near = get_close_matches(name, STRUCTURES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(STRUCTURES)}."
    raise FormulaError(f"There is no covariance structure {name!r}: {hint}")
