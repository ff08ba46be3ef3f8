"""Slow, obvious sums and integrals over the response of one row of a case."""

from __future__ import annotations

import numpy as np

from families_catalogue import Case
from hglm.families import Jet, Point, Response, Sizes, Wanted, point_at
from hglm.typing import Vector

# Trapezoidal rule after a double-exponential substitution: exact to rounding for
# analytic densities (Takahasi and Mori 1974, Publ. RIMS 9, 721-741).
_T = np.linspace(-5.0, 5.0, 2001)
_SURGE = 0.5 * np.pi * np.sinh(_T)
_SPEED = 0.5 * np.pi * np.cosh(_T) * (_T[1] - _T[0])
_LARGEST_COUNT = 700


def row_data(case: Case, row: int, y: Vector) -> Response:
    """Return responses y that all share the sizes of one row."""
    trials, weights = case.sizes.trials, case.sizes.weights
    return Response(
        y,
        Sizes(
            None if trials is None else np.full(y.size, trials[row]),
            None if weights is None else np.full(y.size, weights[row]),
        ),
    )


def row_point(case: Case, row: int, data: Response, wanted: Wanted | None = None) -> Point:
    """Return the predictors of one row, for each response in `data`."""
    values = []
    for parameter, predictor in zip(case.family.parameters, case.predictors, strict=True):
        one = predictor if np.ndim(predictor) == 0 else predictor[row]
        values.append(one if parameter.scalar else np.full(data.y.size, one))
    return point_at(values, data.sizes, wanted)


def row_density(case: Case, row: int, y: Vector, wanted: Wanted | None = None) -> Jet:
    """Return the log density of responses y at one row."""
    data = row_data(case, row, y)
    return case.family.kernel(data)(row_point(case, row, data, wanted))


def row_moments(case: Case, row: int) -> tuple[float, float]:
    mean, variance = case.family.moments(row_point(case, row, row_data(case, row, np.zeros(1))))
    return float(np.ravel(mean.value)[0]), float(np.ravel(variance.value)[0])


def expectation_rule(case: Case, row: int) -> tuple[Vector, Vector]:
    """Return responses and their probabilities, or those of an integration rule."""
    y, weight = _rule(case, row)
    return y, weight * np.exp(row_density(case, row, y).value)


def _rule(case: Case, row: int) -> tuple[Vector, Vector]:
    family, support = case.family, case.family.support
    if support == "category":
        y = np.arange(family.categories, dtype=float)
        return y, np.ones_like(y)
    if support == "proportion":
        trials = 1.0 if case.sizes.trials is None else case.sizes.trials[row]
        y = np.arange(trials + 1.0) / trials
        return y, np.ones_like(y)
    if family.discrete:
        y = np.arange(float(support == "positive_counts"), _LARGEST_COUNT)
        return y, np.ones_like(y)
    if support == "real":
        mean, variance = row_moments(case, row)
        scale = np.sqrt(variance)
        return mean + scale * np.sinh(_SURGE), scale * np.cosh(_SURGE) * _SPEED
    bounded = support == "unit" or family.name == "hurdle_beta"
    if bounded:
        y = 1.0 / (1.0 + np.exp(-2.0 * _SURGE))
        weight = 2.0 * _SPEED * np.exp(-2.0 * _SURGE) * y * y
    else:
        y = row_moments(case, row)[0] * np.exp(_SURGE)
        weight = y * _SPEED
    inside = (y > 0.0) & (y < (1.0 if bounded else np.inf))
    y, weight = y[inside], weight[inside]
    if support == "nonnegative":
        return np.append(0.0, y), np.append(1.0, weight)
    return y, weight
