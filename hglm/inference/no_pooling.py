"""Each level by itself: its coefficients without the pull of the others.

Given the fixed effects and the other random effects, the coefficients b of one level
maximise its own log likelihood,

    b = argmax Σ log f(y_i | x_i'β + z_i'b + ...)        over the rows i of the level,

which is what the mixed model's modes tend to when Σ grows without bound. For a linear
model in which all fixed effects vary by level these are the fits to each level alone.
Newton's method with halved steps, all levels at once. A level is left out (nan) where
its rows do not determine b, or where the likelihood grows for ever, as in a group without
any events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from hglm.design import Design
from hglm.errors import OptionError
from hglm.families import Family, Sizes, Wanted, bind
from hglm.fitting.record import Estimates, GeneralisedState, TermEstimate
from hglm.inference.family_point import scalar_predictors
from hglm.typing import BoolArray, Matrix, Vector

__all__ = ["PooledLevels", "level_fits", "pooled_levels"]

STEPS, HALVINGS = 50, 12
DONE = 1e-8
"""Newton decrement below which a step is the last: it leaves about its square."""
FLAT = 1e-10
"""Relative size of an eigenvalue of the information that counts as zero."""
ESCAPE = 1e-5
"""Share of the information at the population's values below which a level has gone astray."""

Level: TypeAlias = tuple[Vector, Matrix, Matrix]
"""Log likelihood (q,), score (q, k) and information (q, k, k) of each level."""


@dataclass(frozen=True, slots=True)
class PooledLevels:
    """Coefficients of levels without, with partial, and with complete pooling."""

    separate: pd.DataFrame
    """Levels that have an estimate of their own × coefficients."""
    mixed: pd.DataFrame
    """(q, k) fixed effects and modes."""
    population: pd.Series
    """(k,) fixed effects; zero where a coefficient has none."""
    sizes: pd.Series
    """(q,) rows of each level."""


def pooled_levels(
    estimates: Estimates, design: Design, family: Family, term: TermEstimate
) -> PooledLevels:
    """Set levels alone beside the mixed model's; arguments as in `level_fits`."""
    names = list(term.names)
    fixed = dict(zip(design.mean.names, estimates.beta, strict=True))
    population = pd.Series([float(fixed.get(name, 0.0)) for name in names], names)
    alone = level_fits(estimates, design, family, term) + population.to_numpy()
    codes = design.mean.random[term.position].codes
    return PooledLevels(
        pd.DataFrame(alone, term.levels, names).dropna(),
        pd.DataFrame(term.modes + population.to_numpy(), term.levels, names),
        population,
        pd.Series(np.bincount(codes, minlength=len(term.levels)), term.levels),
    )


def level_fits(estimates: Estimates, design: Design, family: Family, term: TermEstimate) -> Matrix:
    """Fit the coefficients of a term to each level by itself.

    Parameters
    ----------
    estimates, design, family
        Of the fit.
    term
        One of `estimates.terms`, of the mean.

    Returns
    -------
    (q, k)
        In place of the modes; nan for levels that have no such estimate.

    Raises
    ------
    OptionError
        If the coefficients stand along a line or in space.
    """
    columns = design.mean.random[term.position]
    if columns.positions is not None:
        raise OptionError(
            f"The coefficients of {term.label} for {term.group} are a course over time or space, "
            "which single rows cannot tell; no level can be fitted alone."
        )
    evaluate = _criterion(estimates, design, family, term)
    b = np.zeros_like(term.modes)
    value, score, information = evaluate(b)
    open_levels = _definite(information)
    lost, at_first = ~open_levels, information
    for _ in range(STEPS):
        if not open_levels.any():
            break
        safe = np.where(open_levels[:, None, None], information, np.eye(term.k))
        step = np.asarray(np.linalg.solve(safe, score[..., None])[..., 0], dtype=np.float64)
        decrement = np.einsum("lk,lk->l", step, score)
        step[~open_levels] = 0.0
        b, value, score, information = _ascend(evaluate, b, step, value)
        open_levels &= decrement > DONE
        vanished = open_levels & ~_definite(information)
        lost |= vanished
        open_levels &= ~vanished
    astray = np.einsum("lkk->lk", information) < ESCAPE * np.einsum("lkk->lk", at_first)
    return np.where((lost | open_levels | astray.any(axis=1))[:, None], np.nan, b)


def _criterion(
    estimates: Estimates, design: Design, family: Family, term: TermEstimate
) -> Callable[[Matrix], Level]:
    columns = design.mean.random[term.position]
    rest = estimates.linear_predictor - columns.effects(term.modes)
    state = estimates.state
    if isinstance(state, GeneralisedState):  # with what it learnt from the data, as thresholds
        family = state.problem.likelihood.family
    likelihood = bind(family, design.y, Sizes(design.trials, design.weights))
    others = _other_predictors(estimates)
    counts = np.ones(design.n) if design.frequencies is None else design.frequencies
    q, k = term.modes.shape

    def by_level(rows: Vector) -> Vector:
        sums: Vector = np.bincount(columns.codes, counts * rows, minlength=q).astype(np.float64)
        return sums

    def evaluate(b: Matrix) -> Level:
        jet = likelihood.derivatives((rest + columns.effects(b), *others), Wanted(2))
        slope, bend = (np.broadcast_to(jet[i], design.n) for i in ((0,), (0, 0)))
        score = np.column_stack([by_level(slope * columns.z[:, a]) for a in range(k)])
        information = np.empty((q, k, k))
        for a in range(k):
            for c in range(k):
                information[:, a, c] = by_level(-bend * columns.z[:, a] * columns.z[:, c])
        return by_level(np.broadcast_to(jet.value, design.n)), score, information

    return evaluate


def _other_predictors(estimates: Estimates) -> list[Vector | float]:
    """Predictors of the family beside the mean, in its order."""
    state = estimates.state
    if not isinstance(state, GeneralisedState):
        assert estimates.sigma is not None
        return [2.0 * float(np.log(estimates.sigma))]
    scalars = scalar_predictors(state)
    return [
        scalars[block.name]
        if block.name in scalars
        else estimates.others[block.name].linear_predictor
        for block in state.problem.fixed[1:]
    ]


def _ascend(
    evaluate: Callable[[Matrix], Level], b: Matrix, step: Matrix, value: Vector
) -> tuple[Matrix, Vector, Matrix, Matrix]:
    """Take the longest of the halved steps that lowers no level's likelihood."""
    for _ in range(HALVINGS):
        new = evaluate(b + step)
        worse = ~(new[0] >= value - 1e-12 * np.abs(value))
        if not worse.any():
            return (b + step, *new)
        step = np.where(worse[:, None], 0.5 * step, step)
    step = np.where(worse[:, None], 0.0, step)
    return (b + step, *evaluate(b + step))


def _definite(information: Matrix) -> BoolArray:
    """Which levels have an information matrix that determines all coefficients. (q,)"""
    size = np.sqrt(np.maximum(np.einsum("lkk->lk", information), 0.0))
    known = np.isfinite(information).all(axis=(1, 2)) & (size > FLAT).all(axis=1)
    scale = np.where(known[:, None], size, 1.0)
    scaled = np.where(known[:, None, None], information, 0.0)
    scaled = scaled / (scale[:, :, None] * scale[:, None, :])
    definite: BoolArray = known & (np.linalg.eigvalsh(scaled)[:, 0] > FLAT)
    return definite
