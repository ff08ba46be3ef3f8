"""Derivatives of every family, of orders one to three in all predictors."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest

from families_catalogue import CASES, Case
from hglm.families import Wanted, bind, point_at
from hglm.families.jets import indices


def _response(case: Case, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return case.family.simulate(point_at(case.predictors, case.sizes), rng)


def _difference(evaluate, predictors, position, step=1e-3):
    """Central difference of order eight: truncation h⁸, about 1e-13 relative."""
    weights = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
    total = 0.0
    for k, w in weights.items():
        for sign in (1.0, -1.0):
            moved = list(predictors)
            moved[position] = predictors[position] + sign * k * step * 4.0
            total = total + sign * w * evaluate(tuple(moved))
    return total / (4.0 * step)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_each_order_is_the_difference_of_the_order_below(case: Case) -> None:
    likelihood = bind(case.family, _response(case), case.sizes)
    d = len(case.predictors)
    every = Wanted(3, tuple(range(d)))
    exact = likelihood.derivatives(case.predictors, every)
    for order in (1, 2, 3):
        for index in combinations_with_replacement(range(d), order):
            rest, position = index[:-1], index[-1]
            lower = Wanted(order - 1, tuple(range(d)))
            numeric = _difference(
                lambda p, rest=rest, lower=lower: likelihood.derivatives(p, lower)[rest],
                case.predictors,
                position,
            )
            size = 1.0 + np.abs(exact[index])
            np.testing.assert_allclose(exact[index] / size, numeric / size, atol=2e-10)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_fewer_wanted_derivatives_are_the_same_numbers(case: Case) -> None:
    likelihood = bind(case.family, _response(case), case.sizes)
    d = len(case.predictors)
    full = likelihood.derivatives(case.predictors, Wanted(3, tuple(range(d))))
    outer = tuple(range(1, d))
    for wanted in (Wanted(0), Wanted(1), Wanted(2), Wanted(3, (0,), outer), Wanted(1, (0,), outer)):
        part = likelihood.derivatives(case.predictors, wanted)
        for index in indices(wanted):
            np.testing.assert_allclose(part[index], full[index], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_predictors_may_have_leading_axes(case: Case) -> None:
    likelihood = bind(case.family, _response(case), case.sizes)
    outer = tuple(range(1, len(case.predictors)))
    wanted = Wanted(3, (0,), outer)
    eta, *rest = case.predictors
    nodes = np.stack([eta, 0.9 * eta, 1.1 * eta])
    together = likelihood.derivatives((nodes, *rest), wanted)
    for row, shifted in enumerate(nodes):
        alone = likelihood.derivatives((shifted, *rest), wanted)
        for index in indices(wanted):
            np.testing.assert_allclose(together[index][row], alone[index], rtol=1e-12, atol=1e-13)
