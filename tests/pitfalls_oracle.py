"""Generalised models written out from SciPy's densities, for the tests of known wrong answers.

The deviance of a model with one random intercept, by Laplace's approximation or as an integral,
group by group (`deviance_of`); that of Poisson counts with any covariance by Laplace's
approximation with dense matrices (`dense_counts`). Nothing is shared with the package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg, special, stats

import hglm
from hglm.typing import Codes, Matrix, Vector

__all__ = ["MODELS", "Written", "dense_counts", "deviance_of", "fit_model", "fitted", "make"]

GROUPS, ROWS = 9, 12
STEP = 2e-3
STENCIL = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) * STEP
SLOPE = np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / (12.0 * STEP)
CURVATURE = np.array([-1.0, 16.0, -30.0, 16.0, -1.0]) / (12.0 * STEP**2)


def make(seed: int = 4, groups: int = GROUPS, rows: int = ROWS) -> pd.DataFrame:
    """Rows of g, crossed with h and with occasions t; responses of every kind."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), rows)
    n = len(g)
    h, t, x = np.arange(n) % 5, np.arange(n) % 3, rng.normal(size=n)
    eta = 0.5 + 0.4 * x + 0.6 * rng.normal(size=groups)[g] + 0.3 * rng.normal(size=5)[h]
    mean, trials = np.exp(eta), rng.integers(2, 9, n)
    amount = mean * rng.gamma(3.0, 1 / 3.0, n)
    p = special.expit(eta - 0.5)
    return pd.DataFrame(
        {
            "x": x,
            "count": rng.poisson(amount) * (rng.random(n) < 0.8),
            "some": 1 + rng.poisson(amount),
            "amount": amount,
            "rain": amount * (rng.random(n) < 0.7),
            "noisy": eta + rng.standard_t(4, n),
            "hits": rng.binomial(trials, rng.beta(4 * p, 4 * (1 - p))),
            "trials": trials,
            "yes": (rng.random(n) < p).astype(float),
            "share": rng.beta(5 * p, 5 * (1 - p)),
            "rating": pd.Categorical(np.digitize(eta + rng.logistic(size=n), [-0.5, 0.5, 1.5])),
            "g": [f"g{i}" for i in g],
            "h": [f"h{i}" for i in h],
            "t": pd.Categorical([f"t{i}" for i in t]),
            "when": t.astype(float),
        }
    )


def nbinom(y: Vector, size: Vector, mean: Vector) -> Vector:
    """Log probabilities of negative binomial counts."""
    return np.asarray(stats.nbinom.logpmf(y, size, size / (size + mean)))


def extra_zeros(y: Vector, eta: Vector, log_pmf: Vector, at_zero: Vector | float) -> Vector:
    """Log probabilities of counts with extra zeros; at_zero is that of the counts' own."""
    pi = special.expit(eta)
    return np.where(y == 0, np.log(pi + (1 - pi) * at_zero), np.log1p(-pi) + log_pmf)


def student_t(y: Vector, eta: Vector, phi: Vector, df: Vector) -> Vector:
    """Log densities; SciPy's are slow."""
    constant = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - np.log(np.pi * df) / 2
    square = (y - eta) ** 2 / (df * phi)
    return np.asarray(constant - np.log(phi) / 2 - (df + 1) / 2 * np.log1p(square))


def zero_inflated(y: Vector, mean: Vector, size: Vector, zero: Vector) -> Vector:
    """Log probabilities of zero-inflated negative binomial counts."""
    return extra_zeros(y, zero, nbinom(y, size, mean), (size / (size + mean)) ** size)


def hurdle(y: Vector, mean: Vector, zero: Vector) -> Vector:
    """Log probabilities of a Poisson hurdle."""
    truncated = stats.poisson.logpmf(y, mean) - np.log(-np.expm1(-mean))
    return extra_zeros(y, zero, truncated, 0.0)


DENSITIES: Mapping[str, Callable[..., Vector]] = {
    "poisson": lambda y, _, e: stats.poisson.logpmf(y, np.exp(e[0])),
    "binomial": lambda y, m, e: stats.binom.logpmf(np.rint(m * y), m, special.expit(e[0])),
    "gamma": lambda y, _, e: stats.gamma.logpdf(y, np.exp(-e[1]), scale=np.exp(e[0] + e[1])),
    "inverse_gaussian": lambda y, _, e: stats.invgauss.logpdf(
        y, np.exp(e[0] + e[1]), scale=np.exp(-e[1])
    ),
    "gaussian": lambda y, _, e: stats.norm.logpdf(y, np.exp(e[0]), np.exp(e[1] / 2)),
    "student_t": lambda y, _, e: student_t(y, e[0], np.exp(e[1]), np.exp(e[2])),
    "nbinom2": lambda y, _, e: nbinom(y, np.exp(e[1]), np.exp(e[0])),
    "nbinom1": lambda y, _, e: nbinom(y, np.exp(e[0] - e[1]), np.exp(e[0])),
    "beta": lambda y, _, e: stats.beta.logpdf(
        y, special.expit(e[0]) * np.exp(e[1]), special.expit(-e[0]) * np.exp(e[1])
    ),
    "beta_binomial": lambda y, m, e: stats.betabinom.logpmf(
        np.rint(m * y), m, special.expit(e[0]) * np.exp(e[1]), special.expit(-e[0]) * np.exp(e[1])
    ),
    "zero-inflated nbinom2": lambda y, _, e: zero_inflated(y, np.exp(e[0]), np.exp(e[1]), e[2]),
    "hurdle": lambda y, _, e: hurdle(y, np.exp(e[0]), e[1]),
}
"""Log density of responses y of m trials at the predictors η that docs/families.md names."""

MODELS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "poisson": ("count", {}),
    "binomial": ("hits / trials", {"trials": "trials"}),
    "gamma": ("amount", {"link": "log"}),
    "inverse_gaussian": ("amount", {"link": "log"}),
    "gaussian": ("amount", {"link": "log"}),
    "student_t": ("noisy", {}),
    "nbinom2": ("count", {"dispersion": "~ x"}),
    "nbinom1": ("count", {}),
    "beta": ("share", {}),
    "beta_binomial": ("hits / trials", {"trials": "trials"}),
    "zero-inflated nbinom2": ("some - 1", {"family": "nbinom2", "zero_inflation": "~ x"}),
    "hurdle": ("count", {"family": "truncated_poisson", "zero_inflation": "~ x"}),
}
"""Response and options of each family; random effects of the mean by g."""


def fit_model(name: str, data: pd.DataFrame, random: str = "(1 | g)", **more: Any) -> hglm.Fit:
    """Fit one of the models to data."""
    response, options = MODELS[name]
    return hglm.fit(f"{response} ~ x + {random}", data, **{"family": name, **options, **more})


@cache
def fitted(name: str, nodes: int = 0) -> hglm.Fit:
    """Fit a model to the common data, once: by Laplace, or with nodes of quadrature."""
    return fit_model(name, make(), method=hglm.Quadrature(nodes) if nodes else "laplace")


@dataclass(frozen=True)
class Written:
    """A fit with one random intercept: its deviance as a function of all parameters."""

    at: Vector
    """(p,) reported parameters: β, sd, coefficients of further predictors."""
    density: Callable[..., Vector]
    y: Vector
    trials: Vector
    X: list[Matrix]
    """Of the mean and of each further predictor."""
    codes: Codes
    """(n,) groups; their rows stand together."""
    exact: bool
    """Whether it is the integral."""

    def deviance(self, psi: Vector) -> float:
        """-2 log L at parameters like `at`."""
        return self._integral(psi) if self.exact else self._laplace(psi)

    def slopes(self, width: float = 1e-3) -> tuple[Vector, Vector]:
        """Gradient and second derivatives at the fit, from central differences."""
        f, unit = self.deviance, width * np.eye(len(self.at))
        ends = np.array([[f(self.at - d), f(self.at + d)] for d in unit])
        first = (ends[:, 1] - ends[:, 0]) / (2 * width)
        return first, (ends.sum(axis=1) - 2 * f(self.at)) / width**2

    def hessian(self, width: float = 2e-3) -> Matrix:
        """Second derivatives at the fit from central differences. (p, p)"""
        f, unit = self.deviance, width * np.eye(len(self.at))
        hessian = np.empty(unit.shape)
        for i, a in enumerate(unit):
            for j, b in enumerate(unit[: i + 1]):
                both = f(self.at + a + b) + f(self.at - a - b)
                apart = f(self.at + a - b) + f(self.at - a + b)
                hessian[i, j] = hessian[j, i] = (both - apart) / (4 * width**2)
        return hessian

    def _joint(self, psi: Vector, u: Matrix) -> Matrix:
        """Log joint density of every group (points, q) at u (points, q)."""
        ends = np.cumsum([self.X[0].shape[1], 1, *[x.shape[1] for x in self.X[1:]]])
        beta, sd, *others = np.split(psi, ends[:-1])
        eta = [self.X[0] @ beta + sd * u[:, self.codes]]
        eta += [x @ b for x, b in zip(self.X[1:], others, strict=True)]
        first = np.flatnonzero(np.append(True, np.diff(self.codes) != 0))
        sums = np.add.reduceat(self.density(self.y, self.trials, eta), first, axis=1)
        return np.asarray(sums - 0.5 * u**2)

    def _laplace(self, psi: Vector) -> float:
        u = np.zeros(self.codes.max() + 1)
        for _ in range(60):
            around = self._joint(psi, u + STENCIL[:, None])
            slope, curvature = SLOPE @ around, CURVATURE @ around
            if np.abs(slope).max() < 1e-8:
                break
            u = u + np.clip(slope / np.maximum(-curvature, 0.1), -1.0, 1.0)
        return float(np.sum(np.log(-curvature) - 2.0 * around[2]))

    def _integral(self, psi: Vector) -> float:
        """By the trapezoidal rule, exact to rounding for such functions."""
        grid, width = np.linspace(-9.0, 9.0, 181, retstep=True)
        values = self._joint(psi, grid[:, None] + np.zeros(self.codes.max() + 1))
        constant = np.log(width) - 0.5 * np.log(2.0 * np.pi)
        return float(-2.0 * np.sum(special.logsumexp(values, axis=0) + constant))


def deviance_of(fit: hglm.Fit, family: str, exact: bool = False) -> Written:
    """Write a fit of a family of `DENSITIES` out."""
    design, n = fit.design, fit.design.n
    trials = np.ones(n) if design.trials is None else design.trials
    X = [design.mean.X]
    X += [design.others[k].X if k in design.others else np.ones((n, 1)) for k in fit.others]
    sd = abs(fit.estimates.terms[0].factor[0])
    at = np.concatenate([fit.params, sd, *[part.beta for part in fit.others.values()]])
    codes = design.mean.random[0].codes
    assert np.count_nonzero(np.diff(codes)) == codes.max()
    return Written(at, DENSITIES[family], design.y, trials, X, codes, exact)


def dense_counts(y: Vector, fixed: Vector, Z: Matrix, G: Matrix) -> tuple[float, Matrix]:
    """-2 log L of Poisson counts by Laplace, b ~ N(0, G), and the covariance of b given y."""
    root = linalg.cholesky(G + 1e-14 * np.trace(G) * np.eye(len(G)), lower=True)
    M = Z @ root
    u = np.zeros(M.shape[1])
    for _ in range(100):
        mean = np.exp(fixed + M @ u)
        H = np.eye(len(u)) + M.T @ (mean[:, None] * M)
        step = np.linalg.solve(H, M.T @ (y - mean) - u)
        if np.abs(step).max() < 1e-11:
            break
        u = u + step * min(1.0, 2.0 / np.abs(step).max())
    value = float(np.sum(stats.poisson.logpmf(y, mean)) - 0.5 * u @ u)
    return float(np.linalg.slogdet(H)[1] - 2.0 * value), root @ np.linalg.solve(H, root.T)
