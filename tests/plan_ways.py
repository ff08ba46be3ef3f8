"""Every way in which crossed groups can be laid out and factored, asked for by name."""

from __future__ import annotations

from dataclasses import replace

from hglm.numerics.factor import Plan
from hglm.numerics.flat import flat_pattern
from hglm.numerics.full import full_pattern
from hglm.numerics.gramian import Gramian

__all__ = ["with_way"]


def with_way(plan: Plan, z: Gramian, way: str) -> Plan:
    """Change a plan to full matrices ("full"), or sparse ones with a "dense" or "sparse" factor."""
    assert plan.crossed is not None
    gone = len(plan.chain)
    left = Gramian(
        z.diagonal[gone:], {(t - gone, s - gone): c for (t, s), c in z.cells.items() if s >= gone}
    )
    lay_out = full_pattern if way == "full" else flat_pattern
    pattern = lay_out(left, plan.crossed.main, plan.crossed.rest)
    blocks = None if gone else pattern.fill(left)
    crossed = replace(plan.crossed, dense=way != "sparse", pattern=pattern, blocks=blocks)
    return Plan(plan.chain, crossed)
