"""Links: inverses, derivatives and log-scale coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hglm.families import LINKS, Wanted, inverse, mean_derivatives
from hglm.families.jets import Jet
from hglm.families.links import ProbabilityLink, log_mean, log_odds, log_probabilities, mean

EACH = pytest.mark.parametrize("name", LINKS)
_POSITIVE = {"sqrt", "inverse", "inverse_squared"}


def _eta(name: str) -> np.ndarray:
    return np.linspace(0.3, 3.0, 10) if name in _POSITIVE else np.linspace(-2.4, 1.3, 10)


@EACH
def test_link_inverts_the_inverse(name: str) -> None:
    eta = _eta(name)
    np.testing.assert_allclose(
        LINKS[name].link(inverse(LINKS[name], eta)), eta, rtol=1e-12, atol=1e-14
    )


@EACH
def test_mean_derivatives_are_differences_of_the_mean(name: str) -> None:
    eta, step = _eta(name), 4e-3
    weights = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
    exact = mean_derivatives(LINKS[name], eta)
    for order in range(3):
        numeric = sum(
            w
            * (
                mean_derivatives(LINKS[name], eta + k * step)[order]
                - mean_derivatives(LINKS[name], eta - k * step)[order]
            )
            for k, w in weights.items()
        )
        np.testing.assert_allclose(exact[order + 1], numeric / step, rtol=1e-7, atol=1e-10)


_DISTRIBUTIONS = {
    "logit": stats.logistic,
    "probit": stats.norm,
    "cloglog": stats.gumbel_l,
    "cauchit": stats.cauchy,
}


@pytest.mark.parametrize("name", _DISTRIBUTIONS)
def test_probability_links_are_distribution_functions(name: str) -> None:
    """Both tails keep relative accuracy, by scipy's logcdf and logsf."""
    x = np.array([-9.0, -3.0, -0.2, 0.0, 0.4, 2.0, 5.0])
    low, high = log_probabilities(LINKS[name], Jet.variable(0, x, Wanted(0)))
    np.testing.assert_allclose(low.value, _DISTRIBUTIONS[name].logcdf(x), rtol=1e-10)
    np.testing.assert_allclose(high.value, _DISTRIBUTIONS[name].logsf(x), rtol=1e-10)


@pytest.mark.parametrize("name", _DISTRIBUTIONS)
def test_coordinates_of_a_probability_agree(name: str) -> None:
    eta = Jet.variable(0, _eta(name), Wanted(3))
    link = LINKS[name]
    assert isinstance(link, ProbabilityLink)
    mu, odds, log_mu = mean(link, eta), log_odds(link, eta), log_mean(link, eta)
    one = Jet({(): 1.0}, Wanted(3))
    again = (odds.apply(_exp) * (one - mu)), log_mu.apply(_exp)
    for index in ((), (0,), (0, 0), (0, 0, 0)):
        for other in again:
            np.testing.assert_allclose(other[index], mu[index], rtol=1e-9, atol=1e-12)


def _exp(x: np.ndarray, order: int) -> tuple[np.ndarray, ...]:
    return (np.exp(x),) * (order + 1)


@pytest.mark.parametrize("name", ["identity", "sqrt", "inverse", "inverse_squared"])
def test_a_mean_out_of_reach_is_nan_not_a_number(name: str) -> None:
    eta = Jet.variable(0, np.array([-0.5, 2.0]), Wanted(1))
    value = log_mean(LINKS[name], eta).value
    assert np.isnan(value[0])
    assert np.isfinite(value[1])
