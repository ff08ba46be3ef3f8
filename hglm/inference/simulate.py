"""New responses from a fitted model: the parametric bootstrap's generator.

Each draw takes either new random effects b* ~ N(0, Σ), independent from level to level,
or the conditional modes b̂; then responses given the linear predictors Xβ̂ + offset + Zb:
normal with variance σ̂²/w in linear models, from the family in others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np

from hglm.covariance import lower_factor
from hglm.design import Design, PredictorDesign
from hglm.errors import DataError, OptionError
from hglm.fitting.estimate import random_part
from hglm.fitting.record import Estimates, GeneralisedState, TermEstimate
from hglm.inference.family_point import family_point
from hglm.typing import Matrix, Vector

__all__ = ["RandomDraws", "draw_effects", "draw_normal", "simulate"]

RandomDraws: TypeAlias = Literal["new", "conditional"]


def simulate(
    estimates: Estimates,
    design: Design,
    n: int,
    rng: np.random.Generator | int | None = None,
    random: RandomDraws = "new",
) -> Matrix:
    """Draw responses.

    The first m of n draws are those of a call for m with the same seed.

    Parameters
    ----------
    estimates
        Of the fit.
    design
        Of the fit, or of other rows with the same levels. Offsets, weights and
        trials are respected; frequencies other than one are refused, since one
        number cannot stand for several independent observations.
    n
        Number of draws.
    rng
        Generator or seed.
    random
        ``"new"`` random effects for each draw, or the ``"conditional"`` modes.

    Returns
    -------
    (n_rows, n)
        Each column a response, contiguous in memory; on the scale of `Design.y`.
    """
    if n < 1:
        raise OptionError(f"The number of simulations n={n!r} is not positive; give 1 or more.")
    if random not in ("new", "conditional"):
        raise OptionError(f'The option random={random!r} is neither "new" nor "conditional".')
    if design.frequencies is not None and np.any(design.frequencies != 1):
        raise DataError(
            "A row that stands for several observations cannot be simulated as one number; "
            "repeat the rows instead of using `frequencies`."
        )
    rng = np.random.default_rng(rng)
    out = np.empty((design.n, n), order="F")
    for i, predictors in enumerate(_predictors(estimates, design, n, rng, random)):
        out[:, i] = _responses(estimates, design, predictors, rng)
    return out


def draw_effects(term: TermEstimate, n_levels: int, rng: np.random.Generator) -> Matrix:
    """Draw random effects of new, unrelated levels from N(0, Σ).

    Returns
    -------
    (n_levels, k)
    """
    return draw_normal(term.covariance, n_levels, rng)


def draw_normal(covariance: Matrix, n: int, rng: np.random.Generator) -> Matrix:
    """Draw rows from N(0, covariance), singular or not. (n, k)"""
    values, vectors = np.linalg.eigh(covariance)
    root = lower_factor(vectors * np.sqrt(np.maximum(values, 0.0)))
    draws: Matrix = rng.standard_normal((n, len(root))) @ root.T
    return draws


def draw_fitted_levels(term: TermEstimate, rng: np.random.Generator) -> Matrix:
    """Draw new random effects for the levels of the fit, related or independent.

    Returns
    -------
    (q, k)
    """
    if term.relation is None:
        return draw_effects(term, len(term.levels), rng)
    root = term.relation.root
    drawn: Matrix = root @ draw_effects(term, root.shape[1], rng)
    return drawn


def _predictors(
    estimates: Estimates, design: Design, n: int, rng: np.random.Generator, random: RandomDraws
) -> Iterator[dict[str, Vector]]:
    """Draw all linear predictors, (n_rows,) by name, n times."""
    designs = {"mean": design.mean, **design.others}
    betas = {"mean": estimates.beta} | {name: c.beta for name, c in estimates.others.items()}
    fixed = {
        name: _fixed_part(designs[name], beta) if name in designs else np.full(design.n, beta[0])
        for name, beta in betas.items()
    }
    for _ in range(n):
        effects: dict[str, dict[int, Matrix]] = {name: {} for name in designs}
        for term in estimates.terms:
            new = random == "new"
            b = draw_fitted_levels(term, rng) if new else term.modes
            effects[term.predictor][term.position] = b
        drawn = {name: random_part(designs[name], modes) for name, modes in effects.items()}
        yield {name: eta + drawn[name] if name in drawn else eta for name, eta in fixed.items()}


def _fixed_part(design: PredictorDesign, beta: Vector) -> Vector:
    """Xβ + offset. (n_rows,)"""
    eta: Vector = design.X @ beta
    return eta if design.offset is None else eta + design.offset


def _responses(
    estimates: Estimates, design: Design, predictors: dict[str, Vector], rng: np.random.Generator
) -> Vector:
    """Draw responses given the linear predictors. (n_rows,)"""
    state = estimates.state
    if isinstance(state, GeneralisedState):
        family = state.problem.likelihood.family
        return family.simulate(family_point(state, design, predictors), rng)
    assert estimates.sigma is not None  # linear models have a residual
    noise = estimates.sigma * rng.standard_normal(design.n)
    if design.weights is not None:
        noise /= np.sqrt(design.weights)
    return predictors["mean"] + noise
