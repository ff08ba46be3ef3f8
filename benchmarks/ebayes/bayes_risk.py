"""Bayes risk of every prior class when it is right, beside the oracle who knows the prior.

Risk is the mean squared error of the posterior means over groups and
replications; the oracle's uses the true prior on the same data. Coverage is the
share of true parameters inside the 95 % credible intervals.

    python benchmarks/ebayes/bayes_risk.py [replications]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from threadpoolctl import threadpool_limits

from hglm.empirical import NPMLE, Deconvolution, Normal, Unimodal, ebayes
from hglm.empirical.entry import Model
from hglm.empirical.noise import BinomialNoise, Noise, NormalNoise, PoissonNoise

G = 5000


@dataclass(frozen=True, slots=True)
class Case:
    """One simulated data set with the oracle's answer."""

    formula: str
    frame: pd.DataFrame
    model: str | Model
    truth: np.ndarray
    """(G,) true parameters."""
    oracle: np.ndarray
    """(G,) posterior means under the true prior."""
    arguments: dict[str, object]
    term: str | None = None


Simulator = Callable[[np.random.Generator], Case]


def on_a_grid(noise: Noise, support: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Posterior means under a discrete (or finely discretised) prior. (G,)"""
    log_density = noise.log_density(support)
    joint = np.exp(log_density - log_density.max(axis=1, keepdims=True)) * mass
    return joint @ support / joint.sum(axis=1)


def beta_binomial(rng: np.random.Generator) -> Case:
    n = rng.integers(5, 40, G)
    x = rng.normal(size=G)
    mu = 1 / (1 + np.exp(1 - 0.5 * x))
    theta = rng.beta(8 * mu, 8 * (1 - mu))
    y = rng.binomial(n, theta)
    frame = pd.DataFrame({"y": y, "n": n, "x": x})
    return Case("y / n ~ x", frame, "beta-binomial", theta, (8 * mu + y) / (8 + n), {})


def gamma_poisson(rng: np.random.Generator) -> Case:
    e, x = rng.uniform(0.5, 4, G), rng.normal(size=G)
    mu = np.exp(0.5 + 0.4 * x)
    theta = rng.gamma(2.0, mu / 2.0)
    y = rng.poisson(e * theta)
    oracle = (2 + y) / (2 / mu + e)
    frame = pd.DataFrame({"y": y, "e": e, "x": x})
    return Case("y ~ x", frame, "gamma-poisson", theta, oracle, {"exposure": "e"})


def gamma_exponential(rng: np.random.Generator) -> Case:
    theta = rng.gamma(4.0, 0.5, G)
    g = np.repeat(np.arange(G), 3)
    t = rng.exponential(1 / theta[g])
    frame = pd.DataFrame({"t": t, "g": g})
    oracle = (4 + 3) / (2 + np.bincount(g, t))
    return Case("t ~ 1 | g", frame, "gamma-exponential", theta, oracle, {})


def dirichlet_multinomial(rng: np.random.Generator) -> Case:
    alpha = np.array([2.0, 1.0, 3.0])
    theta = rng.dirichlet(alpha, G)
    y = np.array([rng.multinomial(15, p) for p in theta])
    frame = pd.DataFrame(y, columns=["a", "b", "c"])
    oracle = (alpha + y) / (6 + 15)
    return Case(
        "cbind(a, b, c) ~ 1", frame, "dirichlet-multinomial", theta[:, 0], oracle[:, 0], {}, "a"
    )


def _normal(
    rng: np.random.Generator, theta: np.ndarray, prior: tuple[np.ndarray, np.ndarray], model: object
) -> Case:
    """Unequal errors; the prior as component standard deviations and weights about zero."""
    s = rng.uniform(0.5, 2.0, G)
    y = rng.normal(theta, s)
    sds, weights = prior
    variance = sds**2 + s[:, None] ** 2
    density = weights * stats.norm.pdf(y[:, None], 0, np.sqrt(variance))
    mean = (density * sds**2 / variance).sum(axis=1) / density.sum(axis=1) * y
    return Case("y ~ 1", pd.DataFrame({"y": y, "s": s}), model, theta, mean, {"se": "s"})


def normal(rng: np.random.Generator) -> Case:
    return _normal(rng, rng.normal(0, 1.2, G), (np.array([1.2]), np.ones(1)), Normal("ml"))


def point_normal(rng: np.random.Generator) -> Case:
    theta = np.where(rng.random(G) < 0.8, 0.0, rng.normal(0, 2.5, G))
    return _normal(rng, theta, (np.array([0.0, 2.5]), np.array([0.8, 0.2])), "point-normal")


def unimodal(rng: np.random.Generator, components: str = "normal") -> Case:
    sds, weights = np.array([0.0, 0.5, 3.0]), np.array([0.5, 0.3, 0.2])
    theta = rng.normal(0, 1, G) * rng.choice(sds, G, p=weights)
    return _normal(rng, theta, (sds, weights), Unimodal(components))


def half_uniform(rng: np.random.Generator) -> Case:
    """Simulate an asymmetric prior: nothing, or uniform on (0, 6)."""
    theta = np.where(rng.random(G) < 0.6, 0.0, rng.uniform(0, 6, G))
    y = rng.normal(theta)
    support = np.append(0.0, np.linspace(0, 6, 2001))
    mass = np.append(0.6, np.full(2001, 0.4 / 2001))
    oracle = on_a_grid(NormalNoise(y, np.ones(G)), support, mass)
    model = Unimodal("half-uniform")
    return Case("y ~ 1", pd.DataFrame({"y": y}), model, theta, oracle, {"se": 1.0})


def normal_inverse_gamma(rng: np.random.Generator, term: str = "mean") -> Case:
    variance = 1 / rng.gamma(5.0, 1 / 4.0, G)
    theta = rng.normal(2, np.sqrt(0.5 * variance))
    g = np.repeat(np.arange(G), 4)
    y = rng.normal(theta[g], np.sqrt(variance[g]))
    mean = np.bincount(g, y) / 4
    squares = np.bincount(g, (y - mean[g]) ** 2)
    oracle = {
        "mean": (2 / 0.5 + 4 * mean) / (1 / 0.5 + 4),
        "variance": (4 + 0.5 * (squares + 4 * (mean - 2) ** 2 / (1 + 4 * 0.5))) / (5 + 2 - 1),
    }[term]
    truth = theta if term == "mean" else variance
    frame = pd.DataFrame({"y": y, "g": g})
    return Case("y ~ 1 | g", frame, "normal-inverse-gamma", truth, oracle, {}, term)


def npmle_normal(rng: np.random.Generator) -> Case:
    support, mass = np.array([-2.0, 0.0, 3.0]), np.array([0.2, 0.5, 0.3])
    theta = rng.choice(support, G, p=mass)
    y = rng.normal(theta)
    oracle = on_a_grid(NormalNoise(y, np.ones(G)), support, mass)
    return Case("y ~ 1", pd.DataFrame({"y": y}), NPMLE(), theta, oracle, {"se": 1.0})


def npmle_poisson(rng: np.random.Generator) -> Case:
    support, mass = np.array([0.5, 2.0, 7.0]), np.array([0.4, 0.4, 0.2])
    theta, e = rng.choice(support, G, p=mass), rng.uniform(0.5, 3, G)
    y = rng.poisson(e * theta)
    oracle = on_a_grid(PoissonNoise(y.astype(float), e), support, mass)
    frame = pd.DataFrame({"y": y, "e": e})
    return Case("y ~ 1", frame, NPMLE(), theta, oracle, {"exposure": "e"})


def npmle_binomial(rng: np.random.Generator) -> Case:
    support, mass = np.array([0.1, 0.3, 0.7]), np.array([0.5, 0.3, 0.2])
    theta, n = rng.choice(support, G, p=mass), rng.integers(5, 40, G)
    y = rng.binomial(n, theta)
    oracle = on_a_grid(BinomialNoise(y.astype(float), n.astype(float)), support, mass)
    return Case("y / n ~ 1", pd.DataFrame({"y": y, "n": n}), NPMLE(), theta, oracle, {})


def deconvolution_normal(rng: np.random.Generator) -> Case:
    theta = np.where(rng.random(G) < 0.5, rng.normal(-1, 1, G), rng.normal(2, 1.5, G))
    y = rng.normal(theta)
    support = np.linspace(-6, 9, 1501)
    mass = stats.norm.pdf(support, -1, 1) + stats.norm.pdf(support, 2, 1.5)
    oracle = on_a_grid(NormalNoise(y, np.ones(G)), support, mass)
    return Case("y ~ 1", pd.DataFrame({"y": y}), Deconvolution(), theta, oracle, {"se": 1.0})


def deconvolution_poisson(rng: np.random.Generator) -> Case:
    theta = rng.chisquare(10, G)
    y = rng.poisson(theta)
    support = np.linspace(0.05, 50, 1000)
    oracle = on_a_grid(
        PoissonNoise(y.astype(float), np.ones(G)), support, stats.chi2.pdf(support, 10)
    )
    model = Deconvolution(grid=np.linspace(0.5, 35, 120))
    return Case("y ~ 1", pd.DataFrame({"y": y}), model, theta, oracle, {"exposure": 1.0})


def deconvolution_binomial(rng: np.random.Generator) -> Case:
    theta, n = rng.beta(3, 6, G), rng.integers(5, 40, G)
    y = rng.binomial(n, theta)
    model = Deconvolution(grid=np.linspace(0.01, 0.99, 99))
    frame = pd.DataFrame({"y": y, "n": n})
    return Case("y / n ~ 1", frame, model, theta, (3 + y) / (9 + n), {})


CASES: dict[str, Simulator] = {
    "beta-binomial, one covariate": beta_binomial,
    "gamma-Poisson, one covariate": gamma_poisson,
    "gamma-exponential": gamma_exponential,
    "Dirichlet-multinomial (a share)": dirichlet_multinomial,
    "normal-normal (ML)": normal,
    "normal-inverse-gamma (means)": normal_inverse_gamma,
    "normal-inverse-gamma (variances)": lambda rng: normal_inverse_gamma(rng, "variance"),
    "point-normal": point_normal,
    "unimodal, normals": unimodal,
    "unimodal, uniforms (prior a normal mixture)": lambda rng: unimodal(rng, "uniform"),
    "unimodal, half-uniforms": half_uniform,
    "NPMLE, normal noise": npmle_normal,
    "NPMLE, Poisson noise": npmle_poisson,
    "NPMLE, binomial noise": npmle_binomial,
    "deconvolution, normal noise": deconvolution_normal,
    "deconvolution, Poisson noise": deconvolution_poisson,
    "deconvolution, binomial noise": deconvolution_binomial,
}


def main(replications: int) -> None:
    """Print risk over the oracle's, and coverage, a row each case."""
    print(f"{G} groups, {replications} replications\n")
    print("| prior | excess risk over the oracle | no shrinkage | coverage of 95 % intervals |")
    print("|---|---|---|---|")
    for name, simulate in CASES.items():
        rng = np.random.default_rng(20240601)
        found = oracle = raw = inside = 0.0
        for _ in range(replications):
            case = simulate(rng)
            fit = ebayes(case.formula, case.frame, case.model, **case.arguments)
            table = fit.augment()
            table = table[table["term"] == (case.term or table["term"].iloc[0])]
            found += float(((table["estimate"] - case.truth) ** 2).mean())
            oracle += float(((case.oracle - case.truth) ** 2).mean())
            raw += float(((table["observed"] - case.truth) ** 2).mean())
            low, high = table["conf_low"] - 1e-12, table["conf_high"] + 1e-12
            inside += float(((low <= case.truth) & (case.truth <= high)).mean())
        print(
            f"| {name} | {100 * (found / oracle - 1):+.2f} % | {100 * (raw / oracle - 1):+.0f} % "
            f"| {100 * inside / replications:.1f} % |",
            flush=True,
        )


if __name__ == "__main__":
    with threadpool_limits(1):
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
