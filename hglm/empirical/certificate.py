"""What a fit knows about its own convergence."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Certificate"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Why the reported maximum is one.

    `gap` bounds, for a convex problem, by how much the log-likelihood per
    observation can exceed the one reported (a duality gap: proof). For a
    smooth problem it is what the local quadratic model still promises in all
    (half the Newton decrement: strong evidence of a local maximum). For an
    estimating equation it is the relative residual, for a closed form zero.
    """

    kind: str
    """"duality gap", "newton decrement", "estimating equation" or "closed form"."""
    gap: float
    tolerance: float
    evaluations: int
    """Evaluations or iterations it took."""
    converged: bool

    def __str__(self) -> str:
        if self.kind == "closed form":
            return "closed form"
        verdict = "converged" if self.converged else "NOT converged"
        return f"{verdict}, {self.kind} {self.gap:.1e} after {self.evaluations} evaluations"
