"""Conjugate models: quadrature, differences, brute force, closed forms, boundaries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from ebayes_oracles import differenced, integral
from hglm.datasets import load_dataset
from hglm.empirical import GammaPoisson, ebayes
from hglm.empirical.conjugate.beta_binomial import BetaBinomialMarginal
from hglm.empirical.conjugate.dirichlet_multinomial import dirichlet_multinomial_loglik
from hglm.empirical.conjugate.gamma_poisson import GammaPoissonMarginal
from hglm.empirical.conjugate.normal_inverse_gamma import NormalInverseGammaMarginal
from hglm.empirical.conjugate.regression import assemble
from hglm.empirical.maximise import Evaluation
from hglm.empirical.read import Samples
from hglm.typing import Vector

RNG = np.random.default_rng(20240611)
G = 9
TRIALS = RNG.integers(2, 60, G).astype(float)
SUCCESSES = RNG.binomial(TRIALS.astype(int), RNG.beta(2, 5, G)).astype(float)
EXPOSURE = RNG.uniform(0.5, 6.0, G)
COUNTS = RNG.poisson(EXPOSURE * RNG.gamma(2.0, 1.5, G)).astype(float)
SAMPLES = Samples(
    RNG.integers(1, 12, G).astype(float), RNG.normal(2.0, 1.0, G), RNG.gamma(4.0, 1.0, G)
)
COMPOSITION = RNG.multinomial(25, [0.2, 0.3, 0.5], size=G).astype(float)
X = np.column_stack([np.ones(G), RNG.normal(size=G)])

BETA_BINOMIAL = BetaBinomialMarginal(SUCCESSES, TRIALS)
GAMMA_POISSON = GammaPoissonMarginal(COUNTS, EXPOSURE, -special.gammaln(COUNTS + 1))
NORMAL_INVERSE_GAMMA = NormalInverseGammaMarginal(SAMPLES)


def _composition(x: Vector) -> Evaluation:
    return dirichlet_multinomial_loglik(x, COMPOSITION)


CRITERIA: dict[str, tuple[Callable[[Vector], Evaluation], list[float]]] = {
    "beta-binomial": (lambda x: assemble(BETA_BINOMIAL.jet(X @ x[:2], x[2:]), X), [-0.8, 0.3]),
    "gamma-poisson": (lambda x: assemble(GAMMA_POISSON.jet(X @ x[:2], x[2:]), X), [0.9, -0.2]),
    "normal-inverse-gamma": (
        lambda x: assemble(NORMAL_INVERSE_GAMMA.jet(X @ x[:2], x[2:]), X),
        [2.0, 0.3, 0.1, 0.4],
    ),
    "dirichlet-multinomial": (_composition, [0.4, 0.9]),
}


@pytest.mark.parametrize("dispersion", [0.02, 0.4, 3.0])
@pytest.mark.parametrize("name", CRITERIA)
def test_gradients_and_hessians_are_derivatives(name: str, dispersion: float) -> None:
    evaluate, mean = CRITERIA[name]
    x = np.array([*mean, dispersion])
    at = evaluate(x)
    gradient, hessian = differenced(evaluate, x)
    np.testing.assert_allclose(at.gradient, gradient, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(at.hessian, hessian, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CRITERIA)
def test_derivatives_are_continuous_at_zero_dispersion(name: str) -> None:
    evaluate, mean = CRITERIA[name]
    at_zero, near = evaluate(np.array([*mean, 0.0])), evaluate(np.array([*mean, 1e-8]))
    assert near.value == pytest.approx(at_zero.value, abs=1e-4)
    # The next derivative times 1e-8 is what they may differ by.
    np.testing.assert_allclose(near.gradient, at_zero.gradient, rtol=1e-4)
    np.testing.assert_allclose(near.hessian, at_zero.hessian, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rho", [0.01, 0.2, 1.5])
def test_beta_binomial_marginals_are_integrals(rho: float) -> None:
    eta = X @ [-0.8, 0.3]
    mu = special.expit(eta)
    marginal = BETA_BINOMIAL.jet(eta, np.array([rho])).value
    for i in range(G):
        a, b = mu[i] / rho, (1 - mu[i]) / rho
        y, n = SUCCESSES[i], TRIALS[i]

        # u = log(p/(1-p)): the poles of the prior at 0 and 1 become smooth tails.
        def f(u: float, a: float = a, b: float = b, y: float = y, n: float = n) -> float:
            log_p, log_q = special.log_expit(u), special.log_expit(-u)
            return float(np.exp((a + y) * log_p + (b + n - y) * log_q - special.betaln(a, b)))

        peak = float(special.logit((a + y) / (a + b + n)))
        log_integral = np.log(integral(f, peak - 400, peak + 400, peak))
        choose = -special.betaln(y + 1, n - y + 1) - np.log(n + 1)
        assert marginal[i] == pytest.approx(log_integral + choose, abs=1e-10)


@pytest.mark.parametrize("phi", [0.01, 0.3, 2.0])
def test_gamma_poisson_marginals_are_integrals(phi: float) -> None:
    eta = X @ [0.9, -0.2]
    marginal = GAMMA_POISSON.jet(eta, np.array([phi])).value
    for i in range(G):
        shape, rate = 1 / phi, 1 / (phi * np.exp(eta[i]))

        def f(u: float, i: int = i, shape: float = shape, rate: float = rate) -> float:
            log_prior = shape * np.log(rate) - special.gammaln(shape) + shape * u - rate * np.exp(u)
            log_data = COUNTS[i] * (u + np.log(EXPOSURE[i])) - EXPOSURE[i] * np.exp(u)
            return float(np.exp(log_prior + log_data - special.gammaln(COUNTS[i] + 1)))

        peak = float(np.log((shape + COUNTS[i]) / (rate + EXPOSURE[i])))
        assert marginal[i] == pytest.approx(
            np.log(integral(f, peak - 60, peak + 8, peak)), abs=1e-10
        )


@pytest.mark.parametrize(("v", "rho"), [(0.4, 0.2), (2.0, 0.05)])
def test_normal_inverse_gamma_marginals_are_integrals(v: float, rho: float) -> None:
    """The mean integrates out as a normal; the variance numerically."""
    m, s2 = 1.7, 0.8
    marginal = NORMAL_INVERSE_GAMMA.jet(np.full(G, m), np.array([np.log(s2), v, rho])).value
    shape, scale = 1 / rho, s2 / rho
    for i in range(G):
        n, mean, squares = SAMPLES.n[i], SAMPLES.mean[i], SAMPLES.squares[i]

        def f(u: float, n: float = n, mean: float = mean, squares: float = squares) -> float:
            prior = shape * np.log(scale) - special.gammaln(shape) - shape * u - scale * np.exp(-u)
            within = -0.5 * (n * np.log(2 * np.pi) + n * u + squares * np.exp(-u))
            between = -0.5 * (np.log1p(n * v) + n * (mean - m) ** 2 / (1 + n * v) * np.exp(-u))
            return float(np.exp(prior + within + between))

        peak = float(np.log((scale + squares / 2) / (shape + n / 2)))
        assert marginal[i] == pytest.approx(
            np.log(integral(f, peak - 8, peak + 60, peak)), abs=1e-10
        )


def test_dirichlet_multinomial_is_a_product_of_gamma_functions() -> None:
    share, rho = np.array([0.2, 0.3, 0.5]), 0.15
    alpha = share / rho
    x = np.append(np.log(share[1:] / share[0]), rho)
    n = COMPOSITION.sum(axis=1)
    by_hand = (
        special.gammaln(n + 1)
        - special.gammaln(COMPOSITION + 1).sum(axis=1)
        + special.gammaln(alpha.sum())
        - special.gammaln(alpha.sum() + n)
        + (special.gammaln(alpha + COMPOSITION) - special.gammaln(alpha)).sum(axis=1)
    )
    assert dirichlet_multinomial_loglik(x, COMPOSITION).value == pytest.approx(by_hand.sum())


def test_two_categories_are_a_beta_binomial() -> None:
    counts = np.column_stack([TRIALS - SUCCESSES, SUCCESSES])
    rho, eta = 0.3, -0.8
    two = dirichlet_multinomial_loglik(np.array([eta, rho]), counts)
    one = assemble(BETA_BINOMIAL.jet(np.full(G, eta), np.array([rho])), np.ones((G, 1)))
    assert two.value == pytest.approx(one.value, rel=1e-13)
    np.testing.assert_allclose(two.gradient, one.gradient, rtol=1e-11)
    np.testing.assert_allclose(two.hessian, one.hessian, rtol=1e-11)


def _proportions() -> pd.DataFrame:
    return pd.DataFrame({"y": SUCCESSES, "n": TRIALS, "x": X[:, 1], "g": list("abcdefghi")})


def test_posterior_means_of_probabilities_match_brute_force() -> None:
    fit = ebayes("y / n ~ x | g", _proportions(), "beta-binomial")
    rho = fit.params["dispersion"]
    mu = special.expit(fit.params["Intercept"] + fit.params["x"] * X[:, 1])
    p = np.linspace(0, 1, 200_002)[1:-1]
    for i in range(G):
        log_joint = (mu[i] / rho + SUCCESSES[i] - 1) * np.log(p)
        log_joint += ((1 - mu[i]) / rho + TRIALS[i] - SUCCESSES[i] - 1) * np.log1p(-p)
        weight = np.exp(log_joint - log_joint.max())
        assert fit.ranef()["estimate"][i] == pytest.approx(weight @ p / weight.sum(), abs=1e-8)


def test_posterior_means_of_rates_match_brute_force() -> None:
    frame = pd.DataFrame({"y": COUNTS, "e": EXPOSURE})
    fit = ebayes("y ~ 1", frame, "gamma-poisson", exposure="e")
    phi, mu = fit.params["dispersion"], np.exp(fit.params["Intercept"])
    u = np.linspace(-12, 6, 200_001)
    for i in range(G):
        log_joint = (1 / phi + COUNTS[i]) * u - (1 / (phi * mu) + EXPOSURE[i]) * np.exp(u)
        weight = np.exp(log_joint - log_joint.max())
        assert fit.ranef()["estimate"][i] == pytest.approx(weight @ np.exp(u) / weight.sum())


@pytest.mark.parametrize("model", ["beta-binomial", "gamma-poisson"])
def test_shrinkage_is_the_weight_of_the_prior_mean(model: str) -> None:
    if model == "beta-binomial":
        fit = ebayes("y / n ~ x | g", _proportions(), model)
    else:
        frame = pd.DataFrame({"y": COUNTS, "e": EXPOSURE})
        fit = ebayes("y ~ 1", frame, model, exposure="e")
    table = fit.augment()
    mixed = table["shrinkage"] * table["prior_mean"] + (1 - table["shrinkage"]) * table["observed"]
    np.testing.assert_allclose(table["estimate"], mixed, rtol=1e-12)


def test_the_maximum_beats_its_neighbourhood_and_says_so() -> None:
    fit = ebayes("y / n ~ x | g", _proportions(), "beta-binomial")
    best = CRITERIA["beta-binomial"][0]
    at = fit.params.to_numpy()
    assert fit.converged
    assert fit.certificate.gap < 1e-8
    assert np.abs(best(at).gradient).max() < 1e-5
    assert fit.llf == pytest.approx(best(at).value, rel=1e-13)
    for direction in np.vstack([np.eye(3), -np.eye(3)]):
        assert best(at + 1e-3 * direction).value < fit.llf


def test_errors_are_the_inverse_information() -> None:
    fit = ebayes("y / n ~ x | g", _proportions(), "beta-binomial")
    _, hessian = differenced(CRITERIA["beta-binomial"][0], fit.params.to_numpy())
    np.testing.assert_allclose(fit.cov_params(), np.linalg.inv(-hessian), rtol=1e-6)


def test_covariates_in_other_units_change_nothing() -> None:
    frame = _proportions()
    fit = ebayes("y / n ~ x | g", frame, "beta-binomial")
    frame["x"] = 1e6 + 1e3 * frame["x"]
    moved = ebayes("y / n ~ x | g", frame, "beta-binomial")
    assert moved.llf == pytest.approx(fit.llf, rel=1e-12)
    assert moved.params["x"] * 1e3 == pytest.approx(fit.params["x"], rel=1e-7)
    np.testing.assert_allclose(moved.ranef()["estimate"], fit.ranef()["estimate"], rtol=1e-8)


def test_a_shift_between_two_groups_is_the_difference_of_two_fits_of_the_mean() -> None:
    """With saturated counts per arm the fitted prior means are estimating-equation free."""
    frame = pd.DataFrame({"y": [8, 12, 30, 34], "n": [40, 40, 60, 60], "arm": list("aabb")})
    fit = ebayes("y / n ~ arm", frame, "beta-binomial")
    prior = fit.augment()["prior_mean"]
    assert prior[0] == pytest.approx(20 / 80, abs=1e-6)  # equal trials in an arm: pooled rate
    assert prior[2] == pytest.approx(64 / 120, abs=1e-6)


def test_no_overdispersion_is_a_normal_outcome() -> None:
    frame = pd.DataFrame({"y": [5, 5, 6, 5], "n": [10, 10, 12, 10]})
    fit = ebayes("y / n ~ 1", frame, "beta-binomial")
    assert fit.singular
    assert fit.converged
    assert fit.params["dispersion"] == 0
    assert np.isnan(fit.bse["dispersion"])
    np.testing.assert_allclose(fit.ranef()["estimate"], 21 / 42)
    assert (fit.ranef()["shrinkage"] == 1).all()
    assert fit.llf == pytest.approx(stats.binom.logpmf(frame["y"], frame["n"], 0.5).sum())
    assert "spread of the prior is zero" in " ".join(str(fit.summary()).split())


def test_boundary_agrees_with_the_sign_of_the_derivative() -> None:
    """Σ[(y − m)² − y] ≤ 0 at φ = 0 is when a Poisson explains the counts."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        y = rng.poisson(4, 12)
        fit = ebayes("y ~ 1", pd.DataFrame({"y": y}), "gamma-poisson")
        assert fit.singular == bool(((y - y.mean()) ** 2 - y).sum() <= 0)


def test_exponential_times_have_the_poisson_likelihood_of_their_events() -> None:
    rng = np.random.default_rng(5)
    rate = rng.gamma(3, 0.5, 15)
    frame = pd.DataFrame(
        {"t": rng.exponential(1 / np.repeat(rate, 6)), "g": np.repeat(range(15), 6)}
    )
    times = ebayes("t ~ 1 | g", frame, "gamma-exponential")
    total = frame.groupby("g")["t"].sum()
    counts = pd.DataFrame({"y": 6, "T": total})
    events = ebayes("y ~ 1", counts, GammaPoisson(), exposure="T")
    np.testing.assert_allclose(times.params, events.params, rtol=1e-8)
    constant = 15 * special.gammaln(7) - 6 * np.log(total).sum()
    assert times.llf == pytest.approx(events.llf + constant)


def test_exponential_marginal_is_the_lomax_density() -> None:
    frame = pd.DataFrame({"t": np.random.default_rng(2).pareto(3.0, 60)})
    fit = ebayes("t ~ 1", frame, "gamma-exponential")
    shape = 1 / fit.params["dispersion"]
    scale = shape / np.exp(fit.params["Intercept"])
    assert fit.llf == pytest.approx(stats.lomax.logpdf(frame["t"], shape, scale=scale).sum())


def test_gamma_poisson_marginal_is_negative_binomial() -> None:
    fit = ebayes("y ~ 1", pd.DataFrame({"y": COUNTS}), "gamma-poisson")
    size, mean = 1 / fit.params["dispersion"], np.exp(fit.params["Intercept"])
    density = stats.nbinom.logpmf(COUNTS, size, size / (size + mean))
    assert fit.llf == pytest.approx(density.sum())
    assert mean == pytest.approx(COUNTS.mean())  # the ML mean of a negative binomial sample


def test_normal_inverse_gamma_on_balanced_groups_shrinks_means_and_variances() -> None:
    rng = np.random.default_rng(11)
    sigma2 = 1 / rng.gamma(4, 1 / 3, 60)
    theta = rng.normal(10, np.sqrt(0.5 * sigma2))
    frame = pd.DataFrame(
        {"y": rng.normal(np.repeat(theta, 5), np.sqrt(np.repeat(sigma2, 5)))}
    ).assign(g=np.repeat(range(60), 5))
    fit = ebayes("y ~ 1 | g", frame, "normal-inverse-gamma")
    assert fit.converged
    table = fit.augment().set_index("term")
    means, variances = table.loc["mean"], table.loc["variance"]
    weight = means["shrinkage"]
    mixed = weight * means["prior_mean"] + (1 - weight) * means["observed"]
    np.testing.assert_allclose(means["estimate"], mixed, rtol=1e-10)
    error = np.mean((variances["estimate"] - sigma2) ** 2)
    assert error < 0.5 * np.mean((variances["observed"] - sigma2) ** 2)


def test_equal_variances_are_found_at_the_boundary() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.normal(np.repeat(rng.normal(size=40), 4))})
    frame["y"] = frame.groupby(np.repeat(range(40), 4))["y"].transform(
        lambda y: y.mean() + (y - y.mean()) / y.std(ddof=1)
    )  # every group has variance one exactly
    fit = ebayes("y ~ 1 | g", frame.assign(g=np.repeat(range(40), 4)), "normal-inverse-gamma")
    assert fit.params["dispersion of variances"] == 0
    assert fit.singular
    assert fit.ranef().query("term == 'variance'")["std_error"].max() == 0


def test_batting_averages_as_beta_binomial() -> None:
    """Shrunken averages predict the rest of the season far better than the raw ones.

    Efron & Morris (1975, table 1); the prior is nearly a point there.
    """
    data = load_dataset("efron_morris")
    fit = ebayes("hits / at_bats ~ 1 | player", data, "beta-binomial")
    table = fit.augment().set_index("level").loc[data["player"]]
    truth = data["remaining_average"].to_numpy()
    raw, shrunk = (((table[c] - truth) ** 2).sum() for c in ("observed", "estimate"))
    assert raw / shrunk > 3
    assert fit.hyperparameters().set_index("term").loc["mean", "estimate"] == pytest.approx(
        data["hits"].sum() / data["at_bats"].sum(), abs=1e-6
    )  # equal trials: the prior mean is the pooled rate


def test_all_or_nothing_groups_are_explained() -> None:
    frame = pd.DataFrame({"y": [0, 5, 0, 7, 9, 0], "n": [4, 5, 6, 7, 9, 3]})
    fit = ebayes("y / n ~ 1", frame, "beta-binomial")
    assert "all or nothing" in " ".join(str(fit.summary()).split())
    np.testing.assert_allclose(fit.ranef()["estimate"], frame["y"] / frame["n"], atol=1e-4)


def test_single_rows_make_the_likelihood_unbounded_but_not_the_fit() -> None:
    """With the mean on the row of one group and s² -> 0 the likelihood has no limit."""
    rng = np.random.default_rng(13)
    g = np.append(np.repeat(np.arange(8), 4), 8)
    frame = pd.DataFrame({"y": rng.normal(rng.normal(size=9)[g]), "g": g})
    fit = ebayes("y ~ 1 | g", frame, "normal-inverse-gamma")
    assert fit.converged
    assert fit.params["log variance"] > -2
    samples = Samples(
        np.bincount(g).astype(float),
        frame.groupby("g")["y"].mean().to_numpy(),
        frame.groupby("g")["y"].var(ddof=0).to_numpy() * np.bincount(g),
    )
    at_the_row = np.full(9, frame["y"].iloc[-1])
    marginal = NormalInverseGammaMarginal(samples)
    values = [
        marginal.jet(at_the_row, np.array([log_s2, 0.0, 500.0])).value.sum()
        for log_s2 in (-50, -150, -300)
    ]
    assert np.all(np.diff(values) > 0)
    assert values[-1] > fit.llf


def test_large_counts_stay_accurate() -> None:
    """1e7 trials a group: the gamma functions alone are of size 1e8."""
    n = np.array([10**7] * 6)
    frame = pd.DataFrame({"y": (n * [0.30, 0.31, 0.29, 0.305, 0.295, 0.3]).astype(int), "n": n})
    fit = ebayes("y / n ~ 1", frame, "beta-binomial")
    assert fit.converged
    p = frame["y"] / n  # the binomial part is negligible: beta maximum likelihood
    a, b, _, _ = stats.beta.fit(p, floc=0, fscale=1)
    assert fit.hyperparameters().set_index("term").loc["alpha", "estimate"] == pytest.approx(
        a, rel=2e-2
    )
    assert b > a
