"""Conformance of all posteriors: quantile inverts cdf, moments match draws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from hglm.empirical.posterior import (
    BetaPosterior,
    DiscretePosterior,
    GammaPosterior,
    InverseGammaPosterior,
    NormalMixturePosterior,
    NormalPosterior,
    Posterior,
    StudentPosterior,
    UniformMixturePosterior,
)
from hglm.empirical.posterior.truncated import log_interval_probability, truncated_moments

A = np.array
ROWS = A([[0.2, 0.5, 0.3], [0.0, 1.0, 0.0], [0.6, 0.1, 0.3]])

POSTERIORS: dict[str, Posterior] = {
    "normal": NormalPosterior(A([0.0, 3.0, -2.0]), A([1.0, 0.1, 4.0])),
    "point": NormalPosterior(A([0.0, 3.0, -2.0]), np.zeros(3)),
    "student": StudentPosterior(A([0.0, 3.0, -2.0]), A([1.0, 0.1, 4.0]), A([5.0, 12.0, 300.0])),
    "beta": BetaPosterior(A([0.5, 3.0, 80.0]), A([2.0, 3.0, 300.0])),
    "gamma": GammaPosterior(A([0.5, 3.0, 80.0]), A([2.0, 3.0, 0.1])),
    "inverse gamma": InverseGammaPosterior(A([5.0, 9.0, 80.0]), A([2.0, 3.0, 0.1])),
    "discrete": DiscretePosterior(A([-1.0, 0.0, 2.5]), ROWS),
    "normal mixture": NormalMixturePosterior(
        ROWS, A([[0.0, 1.0, 3.0]] * 3), A([[0.0, 0.5, 2.0]] * 3)
    ),
    "uniform mixture": UniformMixturePosterior(
        ROWS, A([0.3, 4.0, -9.0]), A([1.0, 0.5, 2.0]), A([0.0, -1.0, 0.0]), A([0.0, 1.0, 5.0])
    ),
}


@pytest.fixture(params=POSTERIORS)
def posterior(request: pytest.FixtureRequest) -> Posterior:
    return POSTERIORS[request.param]


@pytest.mark.parametrize("p", [0.001, 0.025, 0.3, 0.5, 0.9, 0.999])
def test_quantiles_invert_the_distribution_function(posterior: Posterior, p: float) -> None:
    x = posterior.quantile(p)
    assert (posterior.cdf(x) >= p - 1e-9).all()
    atoms = np.array([posterior.mass(float(point))[i] for i, point in enumerate(x)])
    assert (posterior.cdf(x) - atoms <= p + 1e-9).all()


def test_moments_are_those_of_the_draws(posterior: Posterior) -> None:
    draws = posterior.draw(np.random.default_rng(1), 40_000)
    assert draws.shape == (40_000, 3)
    error = posterior.sd / 200
    np.testing.assert_array_less(np.abs(draws.mean(axis=0) - posterior.mean), 4.5 * error + 1e-12)
    np.testing.assert_allclose(draws.std(axis=0), posterior.sd, rtol=0.06)


def test_the_distribution_function_is_that_of_the_draws(posterior: Posterior) -> None:
    draws = posterior.draw(np.random.default_rng(2), 40_000)
    for p in (0.1, 0.6, 0.95):
        x = posterior.quantile(p)
        share = (draws <= x).mean(axis=0)
        # Five standard errors of a share of 40,000 draws; points carry rounding of x itself.
        np.testing.assert_allclose(share, posterior.cdf(x), atol=5 * 0.5 / 200)


def test_moments_are_integrals_of_the_distribution_function(posterior: Posterior) -> None:
    """E θ = b − ∫ F over (a, b): independent of how the moments are coded."""
    low, high = posterior.quantile(1e-9), posterior.quantile(1 - 1e-9)
    for i in range(3):
        edges = [low[i] - 1e-9, *(float(a) for a in (0, 1, 2.5) if low[i] < a < high[i]), high[i]]
        area = sum(
            integrate.quad(
                lambda x, i=i: posterior.cdf(np.full(3, x))[i], a, b, limit=400, epsabs=1e-10
            )[0]
            for a, b in itertools.pairwise(edges)
        )
        # What lies beyond the 1e-9 quantiles is worth about 1e-9 × the tail's scale.
        assert high[i] - area == pytest.approx(posterior.mean[i], rel=1e-5, abs=1e-6)


def test_atoms_jump_in_the_distribution_function() -> None:
    for name in ("discrete", "normal mixture", "uniform mixture"):
        posterior = POSTERIORS[name]
        jump = posterior.cdf(0.0) - posterior.cdf(-1e-13)
        np.testing.assert_allclose(posterior.mass(0.0), jump, atol=1e-9)
        assert posterior.mass(0.0).max() > 0.1


def test_a_quantile_on_an_atom_is_exact() -> None:
    mixture = NormalMixturePosterior(A([[0.9, 0.1]]), A([[0.0, 0.5]]), A([[0.0, 1.0]]))
    assert mixture.quantile(0.5)[0] == 0.0
    assert mixture.quantile(0.9)[0] == 0.0


@pytest.mark.parametrize("ends", [(-1, 2), (3, 4), (30, 31), (-31, -30), (5, 5.0005), (-40, 40)])
def test_truncated_moments_against_quadrature(ends: tuple[float, float]) -> None:
    a, b = ends
    middle = min(max(a, 0.0), b)  # densities relative to the largest, so that tails do not vanish

    def density(x: float, k: int) -> float:
        return float(x**k * np.exp(-0.5 * (x**2 - middle**2)))

    z, first, second = (
        integrate.quad(density, a, b, args=(k,), epsabs=1e-12, epsrel=1e-12, points=[middle])[0]
        for k in range(3)
    )
    mean, variance = truncated_moments(A([a]), A([b]))
    assert mean[0] == pytest.approx(first / z, rel=1e-8, abs=1e-12)
    assert variance[0] == pytest.approx(second / z - (first / z) ** 2, rel=2e-5, abs=1e-10)
    log_z = np.log(z) - 0.5 * middle**2 - 0.5 * np.log(2 * np.pi)
    assert log_interval_probability(A([a]), A([b]))[0] == pytest.approx(log_z, rel=1e-9)


def test_inverse_gamma_without_moments_says_infinity() -> None:
    heavy = InverseGammaPosterior(A([0.5, 1.5]), A([1.0, 1.0]))
    assert np.isinf(heavy.mean[0])
    assert np.isinf(heavy.sd).all()
    np.testing.assert_allclose(heavy.quantile(0.5), stats.invgamma.ppf(0.5, [0.5, 1.5]))
