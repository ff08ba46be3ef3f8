"""Means on the response scale, as functions of the predictors.

The mean of a family depends on the mean's own predictor and, in zero-inflated,
hurdle and truncated families, on others: E y = (1 - p) μ for zero inflation. Its
derivative in the mean's predictor carries standard errors over (delta method).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from hglm.design import NewDesign
from hglm.families import Family, Sizes, Wanted, point_at
from hglm.fitting.estimate import random_part
from hglm.fitting.record import Estimates
from hglm.typing import Vector

__all__ = ["MeanFunction", "mean_function", "other_predictors"]

MeanFunction: TypeAlias = Callable[[Vector], tuple[Vector, Vector]]
"""η to E y and its derivative in η, elementwise."""


def mean_function(family: Family, others: Mapping[str, Vector]) -> MeanFunction:
    """Return the mean as a function of the mean's predictor.

    Parameters
    ----------
    family
        With its links.
    others
        Further predictors of the same rows by name, (n,) each.
    """
    names = [parameter.name for parameter in family.parameters[1:]]

    def mean(eta: Vector) -> tuple[Vector, Vector]:
        predictors = [eta, *(others[name] for name in names)]
        value, _ = family.moments(point_at(predictors, Sizes(), Wanted(1)))
        shape = np.shape(eta)
        return np.broadcast_to(value.value, shape), np.broadcast_to(value[0], shape)

    return mean


def other_predictors(
    estimates: Estimates, rows: NewDesign, groups: str | Sequence[str]
) -> dict[str, Vector]:
    """Return the predictors beside the mean for new rows, (m,) each.

    Parameters
    ----------
    groups
        Grouping factors to condition on: ``"all"``, ``"none"`` or names.
    """
    m = len(rows.mean.X)
    out = {}
    for name, part in estimates.others.items():
        design = rows.predictors.get(name)
        if design is None:
            out[name] = np.full(m, float(part.beta[0]))
            continue
        modes = {
            t.position: t.modes
            for t in estimates.terms
            if t.predictor == name
            and groups != "none"
            and (groups in ("all", t.group) or t.group in groups)
        }
        eta = design.X @ part.beta + random_part(design, modes)
        out[name] = eta if design.offset is None else eta + design.offset
    return out
