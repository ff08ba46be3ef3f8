"""The nonparametric maximum-likelihood prior of Kiefer & Wolfowitz (1956).

θ_i ~ G with G any distribution at all: on a grid, a convex problem (`simplex`).
The maximum is attained by a distribution on few points, between the smallest
and the largest of the groups' own estimates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hglm.empirical.build import fingerprint
from hglm.empirical.certificate import Certificate
from hglm.empirical.frame import ModelFrame
from hglm.empirical.mixture.grid_prior import discrete_term, moments_of_prior, no_coefficients
from hglm.empirical.mixture.likelihood import scaled_likelihood, unique_rows
from hglm.empirical.mixture.simplex import SimplexSolver, mixture_weights
from hglm.empirical.parts import Likelihood
from hglm.empirical.read import read_noise, require_groups, require_intercept
from hglm.empirical.result import EBayes

__all__ = ["NPMLE"]


@dataclass(frozen=True, slots=True)
class NPMLE:
    """Nonparametric maximum likelihood: any prior, on a grid.

    Use it for point estimates where nothing is known of the prior's shape and
    there are hundreds of groups or more: its Bayes risk is close to the
    oracle's. Not for credible intervals or tail probabilities: the estimated
    prior is a few atoms, so they are too sharp (use `Deconvolution` or
    `Unimodal`); nor for a few dozen groups.

    Parameters
    ----------
    grid
        Number of support points, or the points themselves.
    noise
        "normal", "poisson", "binomial", or "auto" for what the data show.
    solver
        Tolerance of the duality gap, per observation.
    """

    grid: int | Sequence[float] = 300
    noise: str = "auto"
    solver: SimplexSolver = field(default_factory=SimplexSolver)

    def fit(self, frame: ModelFrame) -> EBayes:
        """Estimate the prior and every group's posterior."""
        require_groups(frame)
        require_intercept(frame, "npmle")
        data = read_noise(frame, self.noise)
        support = (
            data.grid(self.grid)
            if isinstance(self.grid, int)
            else np.unique(np.asarray(self.grid, dtype=float))
        )
        first, inverse, repeats = unique_rows(data.rows())
        counts = np.bincount(inverse, frame.multiplicity(), repeats).astype(float)
        matrix = scaled_likelihood(data.log_density(support)[first])
        found = mixture_weights(matrix.L, counts, self.solver)
        kept = found.x > 0
        posterior = matrix.posterior(found.x)[inverse][:, kept]
        groups = int(counts.sum())
        return EBayes(
            formula=frame.formula.text,
            model=f"nonparametric maximum likelihood ({data.name} noise)",
            group=frame.group,
            levels=frame.levels,
            coefficients=no_coefficients(),
            derived=moments_of_prior(support, found.x),
            terms=(discrete_term(data, support[kept], found.x[kept], posterior),),
            prior_table=pd.DataFrame({"theta": support[kept], "mass": found.x[kept]}),
            likelihood=Likelihood(
                matrix.log_likelihood(found.x, counts),
                np.nan,
                groups,
                "ml",
                fingerprint(data.name, data.rows()),
                groups,
            ),
            certificate=Certificate(
                "duality gap", found.gap, self.solver.tolerance, found.iterations, found.converged
            ),
            singular=int(kept.sum()) == 1,
            heterogeneity=None,
            notes=frame.notes,
        )
