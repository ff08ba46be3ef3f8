"""New responses from a fitted model: the parametric bootstrap's generator.

y* = Xβ̂ + offset + Zb* + σ̂ e*/√w with e* ~ N(0, I) and either new random effects
b* ~ N(0, σ²Σ), independent from level to level, or the conditional modes b̂.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np

from hglm.covariance import lower_factor
from hglm.design import Design, PredictorDesign
from hglm.errors import DataError, OptionError
from hglm.fit.estimate import random_part
from hglm.fit.record import Estimates, TermEstimate
from hglm.typing import Matrix, Vector

__all__ = ["RandomDraws", "draw_effects", "simulate", "simulated_predictors"]

RandomDraws: TypeAlias = Literal["new", "conditional"]


def simulate(
    estimates: Estimates,
    design: Design,
    n: int,
    rng: np.random.Generator | int | None = None,
    random: RandomDraws = "new",
) -> Matrix:
    """Draw responses of a linear mixed model.

    The first m of n draws are those of a call for m with the same seed.

    Parameters
    ----------
    estimates
        Of the fit.
    design
        Of the fit, or for other rows with the same levels.
    n
        Number of draws.
    rng
        Generator or seed.
    random
        ``"new"`` random effects for each draw, or the ``"conditional"`` modes.

    Returns
    -------
    (n_rows, n)
        Each column a response, contiguous in memory.
    """
    if n < 1:
        raise OptionError(f"The number of simulations n={n!r} is not positive; give 1 or more.")
    if design.frequencies is not None and np.any(design.frequencies != 1):
        raise DataError(
            "A row that stands for several observations cannot be simulated as one number; "
            "repeat the rows instead of using `frequencies`."
        )
    if estimates.sigma is None:
        raise OptionError("The model has no residual; its responses cannot be simulated here.")
    rng = np.random.default_rng(rng)
    scale = estimates.sigma if design.weights is None else estimates.sigma / np.sqrt(design.weights)
    out = np.empty((design.n, n), order="F")
    for i, eta in enumerate(simulated_predictors(estimates, design.mean, n, rng, random)):
        out[:, i] = eta + scale * rng.standard_normal(design.n)
    return out


def simulated_predictors(
    estimates: Estimates,
    design: PredictorDesign,
    n: int,
    rng: np.random.Generator,
    random: RandomDraws = "new",
) -> Iterator[Vector]:
    """Draw n linear predictors (n_rows,) of any model, one after the other."""
    if random not in ("new", "conditional"):
        raise OptionError(f'The option random={random!r} is neither "new" nor "conditional".')
    fixed = design.X @ estimates.beta
    if design.offset is not None:
        fixed = fixed + design.offset
    modes = estimates.modes_by_position
    for _ in range(n):
        if random == "new":
            modes = {
                term.position: draw_effects(term, len(term.levels), rng) for term in estimates.terms
            }
        yield fixed + random_part(design, modes)


def draw_effects(term: TermEstimate, n_levels: int, rng: np.random.Generator) -> Matrix:
    """Draw random effects of new levels from N(0, Σ), Σ singular or not.

    Returns
    -------
    (n_levels, k)
    """
    values, vectors = np.linalg.eigh(term.covariance)
    root = lower_factor(vectors * np.sqrt(np.maximum(values, 0.0)))
    draws: Matrix = rng.standard_normal((n_levels, term.k)) @ root.T
    return draws
