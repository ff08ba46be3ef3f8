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
from hglm.empirical.mixture.likelihood import scaled_likelihood, unique_rows
from hglm.empirical.mixture.simplex import SimplexSolver, mixture_weights
from hglm.empirical.noise import Noise
from hglm.empirical.parts import Coefficients, Hyperparameter, Likelihood, TermPosterior
from hglm.empirical.posterior import DiscretePosterior
from hglm.empirical.read import read_noise, require_groups, require_intercept
from hglm.empirical.result import EBayes
from hglm.typing import Matrix, Vector

__all__ = ["NPMLE", "discrete_term", "moments_of_prior", "no_coefficients"]


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


def discrete_term(data: Noise, support: Vector, mass: Vector, posterior: Matrix) -> TermPosterior:
    """Posteriors on a grid, with the shrinkage 1 − Var(θ|y)/E[Var(estimate|θ)|y].

    For conjugate priors this ratio is exactly the weight of the prior mean; for
    others it is the local one, and may be negative where the data decide
    between modes.
    """
    theta = DiscretePosterior(support, posterior)
    mean, sd = theta.mean, theta.sd
    noise = np.maximum(data.sampling_variance(mean, sd), 1e-300)
    return TermPosterior(
        "mean" if data.name == "normal" else "rate",
        data.estimate,
        data.std_error,
        np.full_like(mean, support @ mass),
        theta,
        1 - sd**2 / noise,
    )


def moments_of_prior(support: Vector, mass: Vector) -> tuple[Hyperparameter, ...]:
    """Mean and standard deviation of a discrete prior."""
    mean = float(support @ mass)
    sd = float(np.sqrt((support - mean) ** 2 @ mass))
    return (
        Hyperparameter("prior mean", mean, np.nan, "identity"),
        Hyperparameter("prior sd", sd, np.nan, "log"),
    )


def no_coefficients() -> Coefficients:
    """Make the record of a prior without coefficients."""
    return Coefficients((), np.zeros(0), np.zeros((0, 0)), np.zeros(0, dtype=bool))
