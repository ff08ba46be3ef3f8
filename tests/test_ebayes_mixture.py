"""NPMLE, unimodal mixtures and deconvolution: certificates, oracles, published values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from ebayes_oracles import differenced
from hglm.datasets import load_dataset
from hglm.empirical import NPMLE, Deconvolution, SimplexSolver, Unimodal, ebayes, robbins
from hglm.empirical.mixture.log_density import penalised_loglik
from hglm.empirical.mixture.nonnegative import nonnegative_quadratic
from hglm.empirical.mixture.simplex import duality_gap, mixture_weights
from hglm.empirical.mixture.spline import natural_spline
from hglm.empirical.noise import BinomialNoise, NormalNoise, PoissonNoise
from hglm.errors import DataError, OptionError


def _likelihood(n: int, m: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y = rng.normal(rng.choice([-2.0, 0.0, 3.0], n), rng.uniform(0.3, 1.5, n))
    return stats.norm.pdf(y[:, None], np.linspace(y.min(), y.max(), m), 0.8)


@pytest.mark.parametrize(("n", "m", "seed"), [(50, 20, 1), (400, 100, 2), (2000, 300, 3)])
def test_the_duality_gap_is_closed_and_can_be_recomputed(n: int, m: int, seed: int) -> None:
    L = _likelihood(n, m, seed)
    found = mixture_weights(L, np.ones(n))
    assert found.converged
    assert found.x.sum() == pytest.approx(1.0, abs=1e-14)
    assert (found.x >= 0).all()
    # The certificate by hand: w/(Lx) scaled to be dual feasible, and both objectives.
    f = L @ found.x
    nu = 1 / (n * f)
    nu /= (nu @ L).max()
    assert (nu @ L <= 1 + 1e-14).all()
    dual = -np.log(n * nu).mean() - 0.0  # min over ν of −Σ w log(ν/w) − 1 + 1
    assert dual - np.log(f).mean() == pytest.approx(found.gap, abs=1e-13)
    assert 0 <= dual - np.log(f).mean() < 1e-8


def test_the_gap_bounds_what_any_mixture_could_gain() -> None:
    L = _likelihood(300, 60, 4)
    w = np.full(300, 1 / 300)
    best = mixture_weights(L, w).x
    rng = np.random.default_rng(5)
    for _ in range(20):
        x = rng.dirichlet(np.full(60, 0.3))
        lost = w @ np.log(L @ best) - w @ np.log(L @ x)
        assert 0 <= lost <= duality_gap(L, x, w) + 1e-12


def test_weights_agree_with_a_generic_solver() -> None:
    L = _likelihood(200, 15, 6)
    found = mixture_weights(L, np.ones(200))

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        f = L @ x
        return -np.log(f).mean() + x.sum(), 1 - (1 / f) @ L / 200

    generic = optimize.minimize(
        objective,
        np.full(15, 1 / 15),
        jac=True,
        bounds=[(0, None)] * 15,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-12, "maxiter": 5000},
    )
    assert np.log(L @ found.x).mean() >= np.log(L @ (generic.x / generic.x.sum())).mean() - 1e-12
    np.testing.assert_allclose(found.x, generic.x, atol=2e-4)


def test_weights_count_like_repeated_rows() -> None:
    L = _likelihood(40, 30, 7)
    counts = np.random.default_rng(8).integers(1, 6, 40)
    once = mixture_weights(L, counts.astype(float))
    often = mixture_weights(np.repeat(L, counts, axis=0), np.ones(counts.sum()))
    np.testing.assert_allclose(L @ once.x, L @ often.x, rtol=1e-6)


def test_few_iterations_are_reported_as_not_converged() -> None:
    found = mixture_weights(_likelihood(300, 60, 9), np.ones(300), SimplexSolver(max_iterations=1))
    assert not found.converged
    assert found.gap > 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_nonnegative_quadratic_satisfies_its_conditions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    B = rng.normal(size=(20, 8))
    H, c = B.T @ B, rng.normal(size=8)
    z = nonnegative_quadratic(H, c, rng.random(8))
    slope = H @ z + c
    assert (z >= 0).all()
    assert (slope >= -1e-10).all()
    assert abs(z @ slope) < 1e-10


def test_npmle_of_a_two_point_prior_finds_both_points() -> None:
    rng = np.random.default_rng(1)
    theta = rng.choice([0.0, 3.0], 4000, p=[0.7, 0.3])
    fit = ebayes("y ~ 1", pd.DataFrame({"y": rng.normal(theta)}), "npmle", se=1.0)
    prior = fit.prior()
    near = [prior["mass"][(prior["theta"] - point).abs() < 0.7].sum() for point in (0.0, 3.0)]
    np.testing.assert_allclose(near, [0.7, 0.3], atol=0.05)
    assert fit.converged
    assert fit.certificate.kind == "duality gap"


def test_npmle_posterior_means_satisfy_tweedie() -> None:
    """E[θ | y] = y + σ² (log f)'(y), with f the fitted marginal density."""
    rng = np.random.default_rng(2)
    y, s = rng.normal(0, 2, 500), 1.3
    fit = ebayes("y ~ 1", pd.DataFrame({"y": y}), "npmle", se=s)
    prior = fit.prior()

    def log_f(at: np.ndarray) -> np.ndarray:
        density = stats.norm.pdf(at[:, None], prior["theta"].to_numpy(), s)
        return np.log(density @ prior["mass"].to_numpy())

    slope = (log_f(y + 1e-5) - log_f(y - 1e-5)) / 2e-5
    np.testing.assert_allclose(fit.ranef()["estimate"], y + s**2 * slope, atol=1e-7)
    assert fit.llf == pytest.approx(log_f(y).sum(), rel=1e-12)
    # The local weight of the prior is 1 − d E[θ | y]/dy.
    step = (log_f(y + 1e-3) - 2 * log_f(y) + log_f(y - 1e-3)) / 1e-6
    np.testing.assert_allclose(fit.ranef()["shrinkage"], -(s**2) * step, atol=1e-3)


def test_npmle_beats_every_prior_of_a_finer_family() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"y": rng.poisson(rng.gamma(2, 2, 300))})
    free = ebayes("y ~ 1", frame, NPMLE(grid=1000), exposure=1)
    gamma = ebayes("y ~ 1", frame, "gamma-poisson", exposure=1)
    assert free.llf > gamma.llf


def test_npmle_without_variation_is_one_point() -> None:
    fit = ebayes("y ~ 1", pd.DataFrame({"y": [2.0, 2.0, 2.0]}), "npmle", se=1.0)
    assert fit.singular
    np.testing.assert_allclose(fit.ranef()["estimate"], 2.0)


def test_binomial_npmle_handles_zeros_and_full_successes() -> None:
    frame = pd.DataFrame({"y": [0, 0, 9, 9, 4, 5, 0, 9], "n": 9})
    fit = ebayes("y / n ~ 1", frame, "npmle")
    assert fit.converged
    assert fit.prior()["theta"].iloc[0] == 0
    assert fit.ranef()["estimate"].between(0, 1).all()


@pytest.mark.parametrize(
    "noise",
    [
        NormalNoise(np.array([0.3, -2.0]), np.array([1.0, 0.4])),
        PoissonNoise(np.array([0.0, 7.0]), np.array([1.5, 2.0])),
        BinomialNoise(np.array([0.0, 4.0]), np.array([5.0, 9.0])),
    ],
)
def test_noise_densities_are_those_of_scipy(noise: object) -> None:
    theta = np.array([0.1, 0.5, 0.9])
    expected = {
        "normal": lambda i: stats.norm.logpdf([0.3, -2.0][i], theta, [1.0, 0.4][i]),
        "poisson": lambda i: stats.poisson.logpmf([0, 7][i], [1.5, 2.0][i] * theta),
        "binomial": lambda i: stats.binom.logpmf([0, 4][i], [5, 9][i], theta),
    }[noise.name]
    np.testing.assert_allclose(noise.log_density(theta), [expected(0), expected(1)], rtol=1e-12)


@pytest.mark.parametrize("components", ["normal", "uniform", "half-uniform"])
def test_unimodal_posteriors_against_brute_force(components: str) -> None:
    rng = np.random.default_rng(4)
    theta = np.where(rng.random(80) < 0.6, 0, rng.standard_t(4, 80) + 0.5)
    s = rng.uniform(0.5, 1.5, 80)
    y = rng.normal(theta, s)
    fit = ebayes("y ~ 1", pd.DataFrame({"y": y, "s": s}), Unimodal(components), se="s")
    assert fit.converged
    prior = fit.prior()
    edges = np.linspace(-25, 25, 50_001)
    grid, slab = 0.5 * (edges[1:] + edges[:-1]), np.zeros(50_000)
    for row in prior.iloc[1:].itertuples():  # the mass of each cell, so that ends are not cut
        if components == "normal":
            slab += row.weight * np.diff(stats.norm.cdf(edges, 0, row.sd))
        else:
            slab += row.weight * np.diff(stats.uniform.cdf(edges, row.low, row.high - row.low))
    joint = slab * stats.norm.pdf(y[:, None], grid, s[:, None])
    spike = prior["weight"][0] * stats.norm.pdf(y, 0, s)
    total = joint.sum(axis=1) + spike
    mean = joint @ grid / total
    table, signs = fit.ranef(), fit.signs()
    # Cells of width 0.001 leave errors of its square.
    assert fit.llf == pytest.approx(np.log(total).sum(), abs=1e-4)
    np.testing.assert_allclose(table["estimate"], mean, atol=1e-5)
    variance = joint @ grid**2 / total - mean**2
    np.testing.assert_allclose(table["std_error"], np.sqrt(variance), atol=1e-5)
    np.testing.assert_allclose(signs["lfdr"], spike / total, atol=1e-6)
    below = joint[:, grid < 0].sum(axis=1) / total
    np.testing.assert_allclose(signs["prob_below"], below, atol=1e-5)


def test_the_null_penalty_makes_the_null_heavier() -> None:
    rng = np.random.default_rng(5)
    y = rng.normal(0, 1.6, 60)
    frame = pd.DataFrame({"y": y})
    plain = ebayes("y ~ 1", frame, Unimodal(), se=1.0)
    wary = ebayes("y ~ 1", frame, Unimodal(null_weight=10), se=1.0)
    assert wary.prior()["weight"][0] > plain.prior()["weight"][0]
    assert wary.llf <= plain.llf
    assert wary.likelihood.kind == "penalised"


def test_natural_splines_are_those_of_r() -> None:
    """R 4.2.2: splines::ns(seq(-4, 4.5, .5), 5)[2:4, ]."""
    basis = natural_spline(np.arange(-4, 4.51, 0.5), 5)
    published = [
        [0.0042404505054617, 0, -0.0724221333687575, 0.217266400106272, -0.144844266737515],
        [0.0339236040436936, 0, -0.1319424615055510, 0.395827384516653, -0.263884923011102],
        [0.1144921636474659, 0, -0.1656591791784167, 0.496977537535250, -0.331318358356834],
    ]
    np.testing.assert_allclose(basis[1:4], published, atol=1e-14)


def test_natural_splines_are_straight_at_the_ends() -> None:
    x = np.linspace(0, 1, 4001)
    bend = np.gradient(np.gradient(natural_spline(x, 4), x, axis=0), x, axis=0)
    assert np.abs(bend[3:8]).max() < 0.01 * np.abs(bend).max()
    assert np.abs(bend[-8:-3]).max() < 0.01 * np.abs(bend).max()


def test_penalised_likelihood_derivatives() -> None:
    rng = np.random.default_rng(6)
    Q, L = rng.normal(size=(40, 4)), rng.random((30, 40))
    weights, alpha = rng.integers(1, 5, 30).astype(float), rng.normal(size=4)
    at = penalised_loglik(alpha, Q, L, weights, 1.7)
    gradient, hessian = differenced(lambda a: penalised_loglik(a, Q, L, weights, 1.7), alpha)
    np.testing.assert_allclose(at.gradient, gradient, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(at.hessian, hessian, rtol=1e-6, atol=1e-7)


def _words(**settings: object) -> pd.DataFrame:
    grid: Sequence[float] = np.exp(np.arange(-4, 4.5001, 0.025))
    model = Deconvolution(grid=grid, penalty=2.0, zero_truncated=True, **settings)
    data = load_dataset("shakespeare_words")
    fit = ebayes("count ~ 1", data, model, exposure=1, frequencies="words")
    assert fit.converged
    return fit


def test_shakespeare_words_as_published() -> None:
    """deconvolveR's vignette (Narasimhan & Efron 2020): S = 0.005534954, doubling at 3.653132.

    The doubling time comes from R's uniroot, whose tolerance is 1.2e-4.
    """
    fit = _words()
    share = fit.hyperparameters().set_index("term").loc["penalty share S", "estimate"]
    assert share == pytest.approx(0.005534954, abs=5e-10)
    prior = fit.prior()
    theta, g = prior["theta"].to_numpy(), prior["mass"].to_numpy()

    def new_words(t: float) -> float:
        """Expect so many new words in t times as much text, per word known."""
        return float((g * -np.expm1(-theta * t) / np.expm1(theta)).sum())

    doubling = optimize.brentq(lambda t: new_words(t) - 1, 0.1, 20)
    assert doubling == pytest.approx(3.653132, abs=1.2e-4)
    assert prior["mass"][theta <= 1].sum() == pytest.approx(0.44, abs=0.005)


def test_shakespeare_counts_are_complete() -> None:
    """31,534 words in all, 846 of them more than 100 times: Efron & Thisted (1976, table 1)."""
    assert load_dataset("shakespeare_words")["words"].sum() == 31534 - 846


def test_deconvolution_errors_match_resampling() -> None:
    """Delta-method standard errors of ĝ against the spread over resampled counts."""
    data = load_dataset("shakespeare_words")
    grid = np.exp(np.arange(-4, 4.5001, 0.1))
    model = Deconvolution(grid=grid, penalty=2.0, zero_truncated=True)

    def prior(words: np.ndarray) -> pd.DataFrame:
        frame = data.assign(words=words).query("words > 0")
        return ebayes("count ~ 1", frame, model, exposure=1, frequencies="words").prior()

    rng = np.random.default_rng(7)
    words = data["words"].to_numpy()
    first = prior(words)
    resampled = np.array(
        [prior(rng.multinomial(words.sum(), words / words.sum()))["mass"] for _ in range(60)]
    )
    ratio = resampled.std(axis=0, ddof=1) / first["std_error"]
    # A standard deviation of 60 has an error of 9 %; neighbours are dependent.
    assert ratio.median() == pytest.approx(1.0, abs=0.2)


def test_deconvolution_recovers_a_smooth_prior() -> None:
    rng = np.random.default_rng(8)
    theta = rng.normal(1, 1.5, 5000)
    model = Deconvolution(grid=np.linspace(-5, 7, 121))
    fit = ebayes("y ~ 1", pd.DataFrame({"y": rng.normal(theta)}), model, se=1.0)
    prior = fit.prior()
    truth = stats.norm.pdf(prior["theta"], 1, 1.5) * 0.1
    inside = prior["theta"].between(-2, 4)
    error = (prior["corrected"] - truth)[inside].abs() / prior["std_error"][inside]
    assert error.median() < 2
    assert prior["cumulative"].iloc[-1] == pytest.approx(1)
    np.testing.assert_allclose(prior["corrected"], prior["mass"] - prior["bias"])


def test_deconvolution_with_an_atom_gives_local_false_discovery_rates() -> None:
    """The simulation of Narasimhan & Efron (2020, section 3.2): nine nulls in ten."""
    rng = np.random.default_rng(9)
    null = rng.random(10_000) < 0.9
    theta = np.where(null, 0.0, rng.normal(-3, 1, 10_000))
    model = Deconvolution(grid=np.arange(-6, 3.01, 0.25), atom=0.0)
    fit = ebayes("z ~ 1", pd.DataFrame({"z": rng.normal(theta)}), model, se=1.0)
    prior = fit.prior().set_index("theta")
    assert prior.loc[0.0, "mass"] == pytest.approx(0.9, abs=3 * prior.loc[0.0, "std_error"] + 0.01)
    lfdr = fit.signs()["lfdr"]
    for low, high in ((0.0, 0.2), (0.2, 0.6), (0.6, 0.95)):
        chosen = lfdr.between(low, high)
        assert null[chosen].mean() == pytest.approx(lfdr[chosen].mean(), abs=0.08)


def test_a_heavy_penalty_gives_the_uniform_prior() -> None:
    rng = np.random.default_rng(10)
    frame = pd.DataFrame({"y": rng.normal(0, 2, 50)})
    fit = ebayes("y ~ 1", frame, Deconvolution(penalty=1e4), se=1.0)
    np.testing.assert_allclose(fit.prior()["mass"], 0.01)
    assert fit.converged


def test_deconvolution_options_are_checked() -> None:
    frame = pd.DataFrame({"y": [0.0, 1.0, 2.0, 5.0]})
    with pytest.raises(OptionError, match="finer grid"):
        ebayes("y ~ 1", frame, Deconvolution(grid=[0.0, 1.0, 2.0]), se=1.0)
    with pytest.raises(OptionError, match="not a point of the grid"):
        ebayes("y ~ 1", frame, Deconvolution(grid=np.linspace(1, 9, 30), atom=0.0), se=1.0)
    with pytest.raises(OptionError, match="Poisson"):
        ebayes("y ~ 1", frame, Deconvolution(zero_truncated=True), se=1.0)
    with pytest.raises(DataError, match="not truncated"):
        ebayes("y ~ 1", frame, Deconvolution(zero_truncated=True), exposure=1)


def test_robbins_on_the_accident_data() -> None:
    """Robbins's formula on insurance claims: Efron & Hastie (2016, table 6.1)."""
    claims = np.repeat(np.arange(8), [7840, 1317, 239, 42, 14, 4, 4, 1])
    table = robbins(claims)
    np.testing.assert_allclose(
        table["estimate"][:7], [0.168, 0.363, 0.527, 1.33, 1.43, 6.0, 1.75], rtol=5e-3
    )
    assert table["estimate"][7] == 0


def test_robbins_is_linear_for_a_gamma_prior() -> None:
    """With exact negative binomial frequencies E[θ | y] = (y + a)/(1 + b)."""
    a, b, n = 2.0, 1.5, 10**6
    y = np.arange(12)
    frequency = np.round(n * stats.nbinom.pmf(y, a, b / (1 + b))).astype(int)
    table = robbins(np.repeat(y, frequency))
    np.testing.assert_allclose(table["estimate"][:5], (y[:5] + a) / (1 + b), rtol=2e-3)


def test_robbins_errors_are_those_of_resampling() -> None:
    rng = np.random.default_rng(11)
    y = rng.poisson(rng.gamma(2, 1, 3000))
    table = robbins(y)
    resampled = [robbins(rng.choice(y, y.size))["estimate"][:3] for _ in range(400)]
    np.testing.assert_allclose(np.std(resampled, axis=0), table["std_error"][:3], rtol=0.15)


def test_robbins_refuses_what_is_no_count() -> None:
    with pytest.raises(DataError, match="non-negative integer"):
        robbins([1.5, 2.0])


def test_prostate_like_z_values() -> None:
    """6,033 z values, 3 % of them far from zero: the tail is not shrunk away.

    Simulated with the shape of the prostate study of Efron (2010, Large-Scale
    Inference), whose data cannot be shipped.
    """
    rng = np.random.default_rng(12)
    theta = np.where(
        rng.random(6033) < 0.97, 0.0, rng.choice([-1, 1], 6033) * rng.gamma(9, 0.33, 6033)
    )
    frame = pd.DataFrame({"z": rng.normal(theta)})
    errors = {}
    for model in ("normal", "unimodal", "npmle"):
        estimate = ebayes("z ~ 1", frame, model, se=1.0).ranef()["estimate"]
        errors[model] = float(((estimate - theta) ** 2).sum())
    assert errors["unimodal"] < 0.8 * errors["normal"]
    assert errors["npmle"] < 0.8 * errors["normal"]
