"""Jets: truncated derivatives under sums, products and compositions."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import numpy as np
import pytest

from hglm.families import Jet, Wanted
from hglm.families.jets import assemble, chain, indices

_X = np.array([0.3, 0.8, 1.7])
_Y = np.array([1.2, 0.5, 0.9])
_ALL = Wanted(3, (0, 1))


def _variables(wanted: Wanted = _ALL) -> tuple[Jet, Jet]:
    return Jet.variable(0, _X, wanted), Jet.variable(1, _Y, wanted)


def _power(k: int):
    """x^k with all derivatives."""
    return lambda x, order: tuple(
        math.perm(k, j) * x ** (k - j) if j <= k else 0.0 * x for j in range(order + 1)
    )


def _monomial(i: int, j: int, index: tuple[int, ...]) -> np.ndarray:
    """Differentiate x^i y^j."""
    a, b = index.count(0), index.count(1)
    if a > i or b > j:
        return np.zeros_like(_X)
    return math.perm(i, a) * math.perm(j, b) * _X ** (i - a) * _Y ** (j - b)


@pytest.mark.parametrize("i", range(4))
@pytest.mark.parametrize("j", range(4))
def test_products_of_powers_have_the_derivatives_of_monomials(i: int, j: int) -> None:
    x, y = _variables()
    product = x.apply(_power(i)) * y.apply(_power(j))
    for order in range(4):
        for index in combinations_with_replacement(range(2), order):
            np.testing.assert_allclose(
                product[index], _monomial(i, j, index), rtol=1e-13, atol=1e-13
            )


def test_composition_of_a_product_is_the_product_of_compositions() -> None:
    """log(x²y) = 2 log x + log y, exp of which is x²y."""
    x, y = _variables()
    log = lambda v, order: (np.log(v), 1 / v, -1 / v**2, 2 / v**3)[: order + 1]  # noqa: E731
    exp = lambda v, order: (np.exp(v),) * (order + 1)  # noqa: E731
    product = x * x * y
    apart = x.apply(log) * 2.0 + y.apply(log)
    for index in indices(_ALL):
        np.testing.assert_allclose(product.apply(log)[index], apart[index], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(apart.apply(exp)[index], product[index], rtol=1e-12, atol=1e-12)


def test_chain_of_two_arguments_is_arithmetic_on_them() -> None:
    """f(u, v) = u²v at u = xy, v = x + y, by its partial derivatives."""
    x, y = _variables()
    u, v = x * y, x + y
    a, b = u.value, v.value
    partials = {
        (): a * a * b,
        (0,): 2 * a * b,
        (1,): a * a,
        (0, 0): 2 * b,
        (0, 1): 2 * a,
        (0, 0, 1): 2.0,
    }
    by_chain, by_products = chain((u, v), partials), u * u * v
    for index in indices(_ALL):
        np.testing.assert_allclose(by_chain[index], by_products[index], rtol=1e-13)


def test_outer_predictors_are_differentiated_once() -> None:
    wanted = Wanted(3, (0,), (1, 2))
    assert set(indices(wanted)) == {
        (), (0,), (1,), (2,), (0, 0), (0, 1), (0, 2), (0, 0, 0), (0, 0, 1), (0, 0, 2),
    }  # fmt: skip
    x, y = _variables(wanted)
    full_x, full_y = _variables()
    part, full = x * x * y * y, full_x * full_x * full_y * full_y
    for index in indices(Wanted(3, (0,), (1,))):
        np.testing.assert_allclose(part[index], full[index], rtol=1e-14)
    with pytest.raises(KeyError, match="not asked for"):
        part[1, 1]


def test_order_of_positions_does_not_matter() -> None:
    x, y = _variables()
    product = x * x * y
    np.testing.assert_array_equal(product[0, 1, 0], product[0, 0, 1])


def test_derivative_lowers_the_order() -> None:
    x, y = _variables()
    slope = (x * x * y).derivative(0)
    assert slope.wanted.order == 2
    np.testing.assert_allclose(slope.value, 2 * _X * _Y)
    np.testing.assert_allclose(slope[0, 1], 2.0)


def test_pieces_are_put_together_by_rows() -> None:
    x, y = _variables()
    product = x * y
    pieces = [(np.array([0, 2]), product.take(np.array([0, 2]))), (np.array([1]), x.take([1]))]
    whole = assemble(3, pieces)
    np.testing.assert_allclose(whole.value, [_X[0] * _Y[0], _X[1], _X[2] * _Y[2]])
    np.testing.assert_allclose(whole[0, 1], [1.0, 0.0, 1.0])


def test_arrays_of_the_caller_stay_as_they_are() -> None:
    x = np.array([1.0, 2.0])
    x.flags.writeable = False
    jet = Jet.variable(0, x, Wanted(2))
    (2.0 * jet * jet - jet + x).apply(_power(2))
    assert list(x) == [1.0, 2.0]
