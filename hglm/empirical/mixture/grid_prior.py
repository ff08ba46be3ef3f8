"""What priors on a grid have in common: their posteriors and moments."""

from __future__ import annotations

import numpy as np

from hglm.empirical.noise import Noise
from hglm.empirical.parts import Coefficients, Hyperparameter, TermPosterior
from hglm.empirical.posterior import DiscretePosterior
from hglm.typing import Matrix, Vector

__all__ = ["discrete_term", "moments_of_prior", "no_coefficients"]


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
