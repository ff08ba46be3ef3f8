"""A family at given linear predictors of the rows of a design."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hglm.design import Design
from hglm.families import Point, Sizes, point_at
from hglm.fitting.record import Estimates, GeneralisedState
from hglm.typing import Vector

__all__ = ["family_point", "fitted_predictors", "scalar_predictors"]


def family_point(
    state: GeneralisedState, design: Design, predictors: Mapping[str, Vector]
) -> Point:
    """Gather predictors by name, (n,) each, in the order of the fit's family."""
    everything = {**predictors, **scalar_predictors(state)}
    names = ["mean", *(block.name for block in state.problem.fixed[1:])]
    return point_at([everything[name] for name in names], Sizes(design.trials, design.weights))


def fitted_predictors(estimates: Estimates) -> dict[str, Vector]:
    """Return the fitted linear predictors by name, (n,) each."""
    others = {name: part.linear_predictor for name, part in estimates.others.items()}
    return {"mean": estimates.linear_predictor, **others}


def scalar_predictors(state: GeneralisedState) -> dict[str, Vector]:
    """Return the predictors that are one number for all rows, () each."""
    return {
        block.name: np.asarray(state.psi[block.first])
        for block in state.problem.fixed[1:]
        if block.X is None
    }
