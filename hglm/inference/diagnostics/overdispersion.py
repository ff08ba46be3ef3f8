"""Overdispersion of families without a dispersion of their own.

    X² = Σ f (y - μ̂)²/Var(y | b̂)        ratio = X²/(observations - parameters)

X² is near chi-square on these degrees of freedom where the family holds and counts are
not small (McCullagh & Nelder 1989, Generalized Linear Models, sec. 4.5; for mixed models
Bolker et al. 2009, Trends Ecol. Evol. 24, 127-135, box 3). Random effects take up
degrees of freedom that are not counted, so the ratio errs on the low side. Where means
are below one or so the chi-square is poor: simulate (`quantile_residuals`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from hglm.design import Design
from hglm.fitting.record import Estimates, GeneralisedState
from hglm.inference.residuals import residuals

__all__ = ["Overdispersion", "overdispersion", "overdispersion_notes"]

FAMILIES = ("poisson", "binomial")
"""Families whose variance the mean determines."""
REMEDIES = {
    "poisson": "family='nbinom2', or a random intercept with one level a row",
    "binomial": "family='beta_binomial', or a random intercept with one level a row",
}
RATIO = 1.2
"""Below this, whatever the p-value, standard errors are less than a tenth too small."""


@dataclass(frozen=True, slots=True)
class Overdispersion:
    """Pearson's statistic and what it says."""

    family: str
    pearson: float
    """X²."""
    df: float
    """Observations less parameters."""
    ratio: float
    p_value: float
    """Of as much dispersion or more, if the family holds."""

    def matters(self) -> bool:
        """Whether standard errors are noticeably too small."""
        return self.ratio > RATIO and self.p_value < 0.01


def overdispersion(estimates: Estimates, design: Design) -> Overdispersion | None:
    """Measure overdispersion; None where there can be none, or no degrees of freedom.

    Parameters
    ----------
    estimates, design
        Of the fit. Single yes-or-no responses cannot be overdispersed.
    """
    state = estimates.state
    if not isinstance(state, GeneralisedState):
        return None
    family = state.problem.likelihood.family.name
    binary = family == "binomial" and (design.trials is None or bool(np.all(design.trials == 1)))
    df = estimates.nobs - estimates.n_parameters
    if family not in FAMILIES or binary or df <= 0.0:
        return None
    squares = residuals(estimates, design, "pearson").to_numpy() ** 2
    total = float(squares.sum() if design.frequencies is None else squares @ design.frequencies)
    return Overdispersion(family, total, df, total / df, float(special.chdtrc(df, total)))


def overdispersion_notes(estimates: Estimates, design: Design) -> tuple[str, ...]:
    """Say so where responses vary noticeably more than the family allows."""
    found = overdispersion(estimates, design)
    if found is None or not found.matters():
        return ()
    note = (
        f"The responses vary more than the {found.family} family allows: Pearson's chi-square is "
        f"{found.ratio:.2f} times its degrees of freedom, so standard errors are too small; "
        f"consider {REMEDIES[found.family]}."
    )
    return (note,)
