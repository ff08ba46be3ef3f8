"""Composite Gauss-Legendre rules on the unit interval."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hglm.typing import Vector

__all__ = ["unit_rule"]


@lru_cache(maxsize=8)
def unit_rule(nodes: int, panels: int) -> tuple[Vector, Vector]:
    """Return nodes and weights of a rule with equal panels on (0, 1).

    Parameters
    ----------
    nodes
        Of each panel.
    panels
        Equal parts of the interval.

    Returns
    -------
    nodes, weights : (nodes * panels,)
        Not to be written to.
    """
    x, w = np.polynomial.legendre.leggauss(nodes)
    starts = np.arange(panels)[:, None]
    rule = ((starts + 0.5 * (x + 1.0)) / panels).ravel(), np.tile(0.5 * w / panels, panels)
    for array in rule:
        array.flags.writeable = False
    return rule
