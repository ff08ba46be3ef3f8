"""Means on the response scale, as functions of the predictors.

The mean of a family depends on the mean's own predictor and, in zero-inflated,
hurdle and truncated families, on others: E y = (1 - p) μ for zero inflation. Its
derivative in the mean's predictor carries standard errors over (delta method).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from hglm.design import Design, NewDesign
from hglm.families import Family, Sizes, Wanted, point_at
from hglm.families.cumulative import Cumulative
from hglm.fitting.record import Estimates, GeneralisedState
from hglm.inference.conditioning import other_terms
from hglm.inference.family_point import family_point, fitted_predictors, scalar_predictors
from hglm.numerics.gauss_hermite import product_rule
from hglm.typing import Vector

__all__ = [
    "MeanFunction",
    "averaged",
    "category_probabilities",
    "fitted_means",
    "mean_function",
    "other_predictors",
]

NODES, FEW = 61, 21
"""Of quadrature over a population: where one predictor varies, and for each of several."""
MeanFunction: TypeAlias = Callable[[Vector], tuple[Vector, Vector]]
"""η to E y and its derivative in η, elementwise."""


def mean_function(family: Family, others: Mapping[str, Vector]) -> MeanFunction:
    """Return the mean as a function of the mean's predictor.

    Parameters
    ----------
    family
        With its links.
    others
        Further predictors of the same rows by name, (n,) or () each.
    """
    names = [parameter.name for parameter in family.parameters[1:]]

    def mean(eta: Vector) -> tuple[Vector, Vector]:
        predictors = [eta, *(others[name] for name in names)]
        value, _ = family.moments(point_at(predictors, Sizes(), Wanted(1)))
        shape = np.shape(eta)
        return np.broadcast_to(value.value, shape), np.broadcast_to(value[0], shape)

    return mean


def averaged(
    family: Family, others: Mapping[str, Vector], spreads: Mapping[str, Vector]
) -> MeanFunction:
    """Return the mean over a population, as a function of the mean's predictor.

    The predictors of its members are normal about the given ones: Gauss-Hermite
    quadrature in each predictor that varies.

    Parameters
    ----------
    family
        With its links.
    others
        Further predictors of the same rows by name, (n,) or () each.
    spreads
        Standard deviations by name of the predictor, (n,) each.
    """
    names = list(spreads)
    nodes, log_weights = product_rule(NODES if len(names) == 1 else FEW, len(names))

    def mean(eta: Vector) -> tuple[Vector, Vector]:
        value, slope = np.zeros(np.shape(eta)), np.zeros(np.shape(eta))
        for x, weight in zip(nodes, np.exp(log_weights), strict=True):
            moves = {name: step * spreads[name] for name, step in zip(names, x, strict=True)}
            moved = {name: eta_d + moves.get(name, 0.0) for name, eta_d in others.items()}
            one, change = mean_function(family, moved)(eta + moves.get("mean", 0.0))
            value += weight * one
            slope += weight * change
        return value, slope

    return mean


def category_probabilities(
    estimates: Estimates,
    eta: Vector,
    levels: Sequence[str],
    index: pd.Index,
    spread: Vector | float = 0.0,
) -> pd.DataFrame:
    """Tabulate the probability of each category of an ordinal response.

    Parameters
    ----------
    eta : (m,)
        Linear predictor, missing where a row cannot be predicted.
    levels
        Names of the categories.
    index : (m,)
        Labels of the rows.
    spread : (m,) or number
        Standard deviation of the predictor in a population to average over.
    """
    assert isinstance(estimates.state, GeneralisedState)
    family = estimates.state.problem.likelihood.family
    assert isinstance(family, Cumulative)
    scalars = scalar_predictors(estimates.state).values()
    nodes, log_weights = product_rule(NODES if np.any(spread) else 1, 1)
    values = sum(
        weight * family.probabilities(point_at([eta + step * spread, *scalars]))
        for step, weight in zip(nodes[:, 0], np.exp(log_weights), strict=True)
    )
    return pd.DataFrame(values, index, list(levels))


def fitted_means(estimates: Estimates, design: Design) -> Vector:
    """Return E y given the random effects, (n,); the category's number if ordinal."""
    if not isinstance(estimates.state, GeneralisedState):
        return estimates.linear_predictor
    point = family_point(estimates.state, design, fitted_predictors(estimates))
    mean, _ = estimates.state.problem.likelihood.family.moments(point)
    return np.array(np.broadcast_to(mean.value, (design.n,)))


def other_predictors(
    estimates: Estimates, rows: NewDesign, groups: str | Sequence[str]
) -> dict[str, Vector]:
    """Return the predictors beside the mean for new rows, (m,) or () each.

    Parameters
    ----------
    groups
        Grouping factors to condition on: ``"all"``, ``"none"`` or names.
    """
    assert isinstance(estimates.state, GeneralisedState)
    out = scalar_predictors(estimates.state)
    for name, part in estimates.others.items():
        design = rows.predictors.get(name)
        if design is None:
            continue
        eta = design.X @ part.beta
        for term in other_terms(estimates, rows, name, groups):
            if term.chosen:
                extended = term.extended()
                eta = eta + extended.columns.effects(extended.modes)
        out[name] = eta if design.offset is None else eta + design.offset
    return out
