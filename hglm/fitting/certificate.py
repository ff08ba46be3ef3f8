"""How sure we are that a fit is at its optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Certificate", "Unbounded"]


@dataclass(frozen=True, slots=True)
class Unbounded:
    """Coefficients of one predictor without a finite estimate."""

    predictor: str
    """``"mean"``, ``"zero_inflation"``, ..."""
    names: tuple[str, ...]
    signs: tuple[int, ...]
    """To which infinity each of them runs, as far as the search went; 0 where it stayed."""
    kind: Literal["separation", "limit", "variance"]
    """Rows whose responses the coefficients tell for certain; a parameter at a limit of the
    model otherwise; a variance between levels that nothing bounds."""
    rows: int = 0
    """Rows that are separated."""
    complete: bool = False
    """Whether all rows are separated."""

    @property
    def label(self) -> str:
        """The coefficients in words."""
        of = "" if self.predictor in ("mean", *self.names) else f" ({self.predictor})"
        return ", ".join(f"`{name}`" for name in self.names) + of


@dataclass(frozen=True, slots=True)
class Certificate:
    """Evidence of convergence, from exact derivatives at the optimum.

    The criterion is the deviance or the REML criterion, minus twice the log
    likelihood; a change of 0.001 in it means nothing statistically.
    """

    converged: bool
    """All of: the gradient vanishes, the curvature is not negative, and no
    variance at its boundary wants to grow."""
    gain: float
    """How much the criterion could still fall, by its quadratic model."""
    gradient: float
    """Largest |derivative| in units of the parameter's curvature scale."""
    curvature: float
    """Smallest eigenvalue of the scaled Hessian; 0 where a parameter is at its boundary."""
    evaluations: int
    """Evaluations of the criterion in all."""
    singular: bool
    """Whether a variance is zero or a correlation is ±1 at the optimum."""
    boundary: tuple[int, ...] = ()
    """The terms for which it is so, by position among the estimated terms."""
    laplace_error: float | None = None
    """Estimate of the log likelihood less its Laplace approximation; None where the
    likelihood is exact or integrated by quadrature, or the error is not estimated."""
    unbounded: tuple[Unbounded, ...] = ()
    """Coefficients that separation, or a limit of the model, leaves no finite estimate."""
    starts: int = 1
    """From how many points the search was made."""
    agreeing: int = 1
    """How many of them ended here, to 0.001 in the criterion."""
    lower: float = 0.0
    """How much lower the criterion was where another start's search ended unproven."""
    log_concave: bool = True
    """Whether the log density is concave in the random effects; if not, the search from one
    start may have missed a better optimum."""
    message: str = ""
    """One sentence."""

    @property
    def may_have_other_modes(self) -> bool:
        """Whether the criterion may have other optima, or was seen to have them."""
        return not self.log_concave or self.agreeing < self.starts
