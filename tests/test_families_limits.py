"""Extreme predictors, limits between families, independent densities, known identities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from families_catalogue import CASES, Case
from hglm.families import (
    Beta,
    BetaBinomial,
    Binomial,
    Cumulative,
    Family,
    Gamma,
    Gaussian,
    GeneralizedPoisson,
    InverseGaussian,
    NegativeBinomial,
    NegativeBinomial1,
    Poisson,
    Sizes,
    StudentT,
    Truncated,
    Tweedie,
    Wanted,
    ZeroInflated,
    bind,
    hurdle,
    point_at,
)
from hglm.families.jets import indices

EACH = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
_RESTRICTED = {"sqrt", "identity", "inverse", "inverse_squared"}


def _log_density(family: Family, y, *predictors, sizes: Sizes | None = None) -> np.ndarray:
    y = np.atleast_1d(np.asarray(y, dtype=float))
    return bind(family, y, sizes).derivatives(predictors, Wanted(0)).value


@EACH
def test_predictors_of_800_give_finite_derivatives(case: Case) -> None:
    """Each predictor in turn, both signs; warnings are errors."""
    rng = np.random.default_rng(1)
    y = case.family.simulate(point_at(case.predictors, case.sizes), rng)
    likelihood = bind(case.family, y, case.sizes)
    d = len(case.predictors)
    wanted = Wanted(3, tuple(range(d)))
    for position, parameter in enumerate(case.family.parameters):
        for extreme in (-800.0, -200.0, -40.0, 40.0, 200.0, 800.0):
            if extreme < 0.0 and parameter.link.name in _RESTRICTED and position < 2:
                continue
            predictors = list(case.predictors)
            predictors[position] = np.full_like(predictors[position], extreme)
            jet = likelihood.derivatives(predictors, wanted)
            reachable = np.isfinite(jet.value)
            if case.family.name not in _MAY_BE_IMPOSSIBLE:
                assert reachable.all(), (position, extreme)
            for index in indices(wanted):
                assert np.isfinite(jet[index][reachable]).all(), (position, extreme, index)


# Counts that a generalised Poisson with φ < 1 cannot give, and means that the log
# link of a binomial cannot reach, have log density -inf.
_MAY_BE_IMPOSSIBLE = {"genpois", "truncated_genpois", "binomial"}


_COUNTS = np.array([0.0, 1.0, 2.0, 5.0, 30.0])
_MEAN = np.array([0.3, 0.9, 2.5, 4.0, 25.0])
_LIMITS = [
    ("nbinom2", NegativeBinomial(), (60.0,), Poisson(), ()),
    ("nbinom1", NegativeBinomial1(), (-60.0,), Poisson(), ()),
    ("genpois", GeneralizedPoisson(), (0.0,), Poisson(), ()),
    ("no inflation", ZeroInflated(Poisson()), (-700.0,), Poisson(), ()),
    ("zinb2", ZeroInflated(NegativeBinomial()), (0.4, -700.0), NegativeBinomial(), (0.4,)),
]


@pytest.mark.parametrize(("family", "extra", "limit", "limit_extra"), [c[1:] for c in _LIMITS])
def test_limits_of_count_families_are_exact(family, extra, limit, limit_extra) -> None:
    wanted = Wanted(3)
    eta = np.log(_MEAN)
    one = bind(family, _COUNTS).derivatives((eta, *extra), wanted)
    other = bind(limit, _COUNTS).derivatives((eta, *limit_extra), wanted)
    for index in indices(wanted):
        np.testing.assert_allclose(one[index], other[index], rtol=1e-12, atol=1e-13)


def test_beta_binomial_tends_to_binomial_and_t_to_gaussian() -> None:
    trials = Sizes(trials=np.array([3.0, 8.0, 20.0]))
    y, eta = np.array([1.0, 8.0, 5.0]) / trials.trials, np.array([-0.7, 0.2, 1.1])
    np.testing.assert_allclose(
        _log_density(BetaBinomial(), y, eta, 80.0, sizes=trials),
        _log_density(Binomial(), y, eta, sizes=trials),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        _log_density(StudentT(), y, eta, 0.3, 80.0),
        _log_density(Gaussian(), y, eta, 0.3),
        rtol=1e-12,
    )


def test_dispersion_derivative_of_nbinom2_vanishes_towards_poisson() -> None:
    """l_κ → -{(y - μ)² - y}/(2k): the sign that tells overdispersion."""
    mu, kappa = _MEAN, 25.0
    jet = bind(NegativeBinomial(), _COUNTS).derivatives((np.log(mu), kappa), Wanted(1, (0,), (1,)))
    leading = -(np.square(_COUNTS - mu) - _COUNTS) / (2.0 * np.exp(kappa))
    np.testing.assert_allclose(jet[1], leading, rtol=1e-3)


# scipy.stats: densities written by others.
def _scipy_cases():
    y = np.array([0.2, 0.9, 1.7, 4.0])
    counts = np.array([0.0, 1.0, 3.0, 12.0])
    inside = np.array([0.03, 0.4, 0.77, 0.99])
    eta, e = np.array([-0.4, 0.1, 0.7, 1.2]), np.array([0.4, -0.9, 0.2, 1.3])
    mu, phi, p = np.exp(eta), np.exp(e), special.expit(eta)
    m = np.array([1.0, 4.0, 9.0, 30.0])
    successes = np.array([0.0, 3.0, 4.0, 30.0])
    trials = Sizes(trials=m)
    yield "gaussian", Gaussian(), y, (eta, e), None, stats.norm.logpdf(y, eta, np.sqrt(phi))
    shape = stats.gamma.logpdf(y, 1 / phi, scale=mu * phi)
    yield "gamma", Gamma(), y, (eta, e), None, shape
    wald = stats.invgauss.logpdf(y, mu * phi, scale=1 / phi)
    yield "inverse gaussian", InverseGaussian(), y, (eta, e), None, wald
    t = stats.t.logpdf(y, 3.3, eta, np.sqrt(phi))
    yield "t", StudentT(), y, (eta, e, np.log(3.3)), None, t
    beta = stats.beta.logpdf(inside, p * phi, (1 - p) * phi)
    yield "beta", Beta(), inside, (eta, e), None, beta
    yield "poisson", Poisson(), counts, (eta,), None, stats.poisson.logpmf(counts, mu)
    nb2 = stats.nbinom.logpmf(counts, phi, phi / (phi + mu))
    yield "nbinom2", NegativeBinomial(), counts, (eta, e), None, nb2
    nb1 = stats.nbinom.logpmf(counts, mu / phi, 1 / (1 + phi))
    yield "nbinom1", NegativeBinomial1(), counts, (eta, e), None, nb1
    binomial = stats.binom.logpmf(successes, m, p)
    yield "binomial", Binomial(), successes / m, (eta,), trials, binomial
    bb = stats.betabinom.logpmf(successes, m, p * phi, (1 - p) * phi)
    yield "beta-binomial", BetaBinomial(), successes / m, (eta, e), trials, bb
    probit = stats.binom.logpmf(successes, m, stats.norm.cdf(eta))
    yield "probit", Binomial("probit"), successes / m, (eta,), trials, probit
    cauchit = stats.binom.logpmf(successes, m, stats.cauchy.cdf(eta))
    yield "cauchit", Binomial("cauchit"), successes / m, (eta,), trials, cauchit
    cloglog = stats.binom.logpmf(successes, m, stats.gumbel_l.cdf(eta))
    yield "cloglog", Binomial("cloglog"), successes / m, (eta,), trials, cloglog


@pytest.mark.parametrize(
    ("family", "y", "predictors", "sizes", "expected"), [c[1:] for c in _scipy_cases()]
)
def test_densities_are_those_of_scipy(family, y, predictors, sizes, expected) -> None:
    np.testing.assert_allclose(
        _log_density(family, y, *predictors, sizes=sizes), expected, rtol=1e-11
    )


def test_tweedie_is_a_poisson_sum_of_gammas() -> None:
    """Against the definition, summed with scipy's densities."""
    y, mu = np.array([0.01, 0.5, 3.0, 40.0]), np.array([0.4, 1.0, 5.0, 20.0])
    for phi, p in ((0.3, 1.2), (1.0, 1.5), (2.5, 1.85), (0.05, 1.6)):
        rate = mu ** (2 - p) / (phi * (2 - p))
        shape, scale = (2 - p) / (p - 1), phi * (p - 1) * mu ** (p - 1)
        j = np.arange(1, 3000)[:, None]
        expected = np.sum(
            stats.poisson.pmf(j, rate) * stats.gamma.pdf(y, j * shape, scale=scale), 0
        )
        at = (np.log(mu), np.log(phi), special.logit(p - 1))
        np.testing.assert_allclose(_log_density(Tweedie(), y, *at), np.log(expected), rtol=1e-10)
        np.testing.assert_allclose(_log_density(Tweedie(), 0.0 * y, *at), -rate, rtol=1e-12)


def test_tweedie_series_continues_in_its_expansion() -> None:
    """At y = μ, f → {2πφ y^p}^(-1/2) {1 - k₁/Y + ...} for φ → 0 (saddlepoint).

    What is left is of order Y⁻², and rounding: terms of size 4Y that cancel come
    from exponentials of arguments up to 20, so 4 · 20 · 2.2e-16 Y.
    """
    y, p = np.array([0.7, 3.0, 50.0]), 1.5
    for log_phi in (-6.0, -8.0, -12.0, -16.0):
        value = _log_density(Tweedie(), y, np.log(y), log_phi, 0.0)
        saddle = -0.5 * (math.log(2 * math.pi) + log_phi + p * np.log(y))
        big = y ** (2.0 - p) / (math.exp(log_phi) * (p - 1.0))
        k1 = 9.0 / 48.0  # γ = 1
        assert np.all(np.abs(value - saddle + k1 / big) < 0.06 / big**2 + 1.8e-14 * big)


@pytest.mark.parametrize("link", Binomial.links)
def test_trials_are_replicated_bernoulli_responses(link: str) -> None:
    eta, m, c = -0.4, 7, 3
    many = bind(Binomial(link), np.array([c / m]), Sizes(trials=np.array([float(m)])))
    each = bind(Binomial(link), np.array([1.0] * c + [0.0] * (m - c)))
    one, other = (
        lik.derivatives((np.full(k, eta),), Wanted(3)) for lik, k in ((many, 1), (each, m))
    )
    assert one.value[0] - math.log(math.comb(m, c)) == pytest.approx(other.value.sum(), rel=1e-13)
    for index in ((0,), (0, 0), (0, 0, 0)):
        assert one[index][0] == pytest.approx(other[index].sum(), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("cls", [Gaussian, Gamma, InverseGaussian, StudentT, Tweedie])
def test_precision_weights_divide_the_dispersion(cls) -> None:
    weights = np.array([0.3, 1.0, 2.5])
    y, eta, extra = (
        np.array([0.4, 1.3, 2.2]),
        np.array([0.1, 0.2, 0.5]),
        (0.2,) * (2 if cls in (StudentT, Tweedie) else 1),
    )
    first, *rest = extra
    weighted = _log_density(cls(), y, eta, first, *rest, sizes=Sizes(weights=weights))
    divided = _log_density(cls(), y, eta, first - np.log(weights), *rest)
    np.testing.assert_allclose(weighted, divided, rtol=1e-13)


def test_large_counts_and_rare_events_keep_their_digits() -> None:
    """Log densities near counts of 1e7, from 40-digit arithmetic (mpmath 1.3)."""
    y = np.array([1e7, 1e7, 0.0])
    at = _log_density(Poisson(), y, np.log(np.array([1e7, 1.001e7, 1e-12])))
    np.testing.assert_allclose(at, [-8.977986367017166, -13.974655531685498, -1e-12], rtol=1e-12)
    rare = bind(Binomial("cloglog"), np.array([1.0, 0.0])).derivatives(
        (np.log(np.full(2, 1e-12)),), Wanted(2)
    )
    np.testing.assert_allclose(rare.value, [math.log(1e-12), -1e-12], rtol=1e-12)
    np.testing.assert_allclose(rare[0, 0], [-0.5e-12, -1e-12], rtol=1e-11)


def test_truncation_is_exact_for_means_near_zero() -> None:
    """P(Y = 1 | Y > 0) → 1, P(Y = 2 | Y > 0) → μ/2 for a Poisson count."""
    at = _log_density(Truncated(Poisson()), [1.0, 2.0], math.log(1e-12))
    np.testing.assert_allclose(np.exp(at), [1.0, 0.5e-12], rtol=1e-11)


def test_ordinal_with_two_categories_is_binomial() -> None:
    """P(Y = 1) = 1 - F(θ - η) is the binomial for F symmetric."""
    y, eta, theta = np.array([0.0, 1.0, 1.0]), np.array([-0.4, 0.3, 2.0]), 0.7
    for link in ("logit", "probit"):
        ordinal = _log_density(Cumulative(link, 2), y, eta, theta)
        np.testing.assert_allclose(
            ordinal, _log_density(Binomial(link), y, eta - theta), rtol=1e-12
        )


def test_normal_latent_variable_gives_the_probit_probabilities() -> None:
    """Category j when a N(η, 1) variable falls between θ_{j-1} and θ_j, by quadrature."""
    theta = np.array([-1.0, 0.2, 1.9])
    steps = [theta[0], *np.log(np.diff(theta))]
    edges = [-np.inf, *theta, np.inf]
    for eta in (-6.0, 0.3, 9.0):
        got = _log_density(Cumulative("probit", 4), np.arange(4.0), np.full(4, eta), *steps)
        for j in range(4):
            area = integrate.quad(
                lambda x, eta=eta: math.exp(-0.5 * (x - eta) ** 2) / math.sqrt(2 * math.pi),
                max(edges[j], -30.0),
                min(edges[j + 1], 30.0),
                epsabs=0.0,
                epsrel=1e-11,
                points=None,
            )[0]
            assert math.exp(got[j]) == pytest.approx(area, rel=1e-8)


def test_hurdle_splits_into_a_binary_and_a_truncated_model() -> None:
    y, eta, z = np.array([0.0, 1.0, 4.0]), np.array([0.2, 0.1, 0.9]), np.array([-0.5, 0.1, 0.8])
    whole = _log_density(hurdle(Poisson()), y, eta, z)
    zero = _log_density(Binomial(), (y == 0.0).astype(float), z)
    positive = np.where(y > 0, _log_density(Truncated(Poisson()), np.maximum(y, 1.0), eta), 0.0)
    np.testing.assert_allclose(whole, zero + positive, rtol=1e-13)
