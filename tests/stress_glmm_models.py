"""A hundred small generalised models that optimisers get wrong.

6 to 60 groups of 2 to 15 rows, one to three slopes beside the intercept or none, standard
deviations from 0 to 2 on the link's scale, correlations up to one, predictors of scale 1e-2
to 1e2: many covariance matrices are singular at the optimum, many groups have fewer rows than
coefficients, and small groups of binary data leave some likelihoods nearly flat.

The log densities of `CONCAVE` families are concave in the linear predictor; those of the
others are not, so that even the mode of the random effects need not be unique.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import special

from hglm.typing import Matrix, Vector

__all__ = ["CONCAVE", "FAMILIES", "SEEDS", "StressModel", "stress_model"]

CONCAVE = ("binomial", "probit", "cloglog", "proportion", "poisson", "nbinom2", "gamma", "tweedie")
OTHER = ("beta", "gaussian_log", "zip", "nbinom1", "student_t", "zinb2", "inverse_gaussian")
FAMILIES = (*CONCAVE, *CONCAVE[:5], *OTHER)
"""Cycled through: the common ones come twice."""
SEEDS = range(100)


@dataclass(frozen=True)
class StressModel:
    """Arguments of `hglm.fit`."""

    kind: str
    formula: str
    data: pd.DataFrame
    family: str
    options: dict[str, str]
    slopes: int

    @property
    def concave(self) -> bool:
        """Whether the log density is concave in the linear predictor of the mean."""
        return self.kind in CONCAVE


def stress_model(seed: int) -> StressModel:
    """Draw one model."""
    rng = np.random.default_rng([seed, 11])
    kind = FAMILIES[seed % len(FAMILIES)]
    q = int(np.exp(rng.uniform(np.log(6), np.log(60.99))))
    g = np.repeat(np.arange(q), rng.integers(2, 16, q))
    n = g.size
    slopes = int(rng.choice([0, 1, 1, 2, 3]))
    x = rng.normal(size=(n, 3))
    scales = 10.0 ** rng.uniform(-2.0, 2.0, 3)
    eta = rng.normal(0.0, 0.5) + x @ (0.4 * rng.normal(size=3))
    z = np.column_stack([np.ones(n), x])[:, : slopes + 1]
    eta = np.clip(eta + (z * _effects(rng, q, slopes + 1)[g]).sum(axis=1), -6.0, 6.0)
    recipe = RECIPES[kind]
    names = ["x", "w", "v"]
    trials = rng.integers(1, 9, n).astype(float) if "trials" in recipe.options else np.ones(n)
    data = pd.DataFrame({"y": recipe.draw(rng, eta, trials), "g": g, "size": trials})
    data[names] = x * scales
    random = " + ".join(["1", *names[:slopes]])
    formula = f"y ~ x + w + v + ({random} | g)"
    return StressModel(kind, formula, data, recipe.family or kind, recipe.options, slopes)


def _effects(rng: np.random.Generator, q: int, k: int) -> Matrix:
    """(q, k) coefficients; a third of the covariances have a zero or a correlation of one."""
    sd = rng.choice([0.0, 0.1, 0.5, 1.0, 2.0], k)
    u = rng.normal(size=(q, k))
    mixing = rng.normal(size=(k, k))
    if rng.random() < 1 / 3:
        mixing[:, 1:] = 0.0  # all coefficients proportional
    size = np.sqrt((mixing**2).sum(axis=1, keepdims=True))
    return np.asarray((u @ (mixing / size).T) * sd)


Draw = Callable[[np.random.Generator, Vector, Vector], Vector]
"""(generator, η, trials) to a response."""


@dataclass(frozen=True)
class Recipe:
    """How a kind of response is drawn, and what it is called."""

    draw: Draw
    family: str = ""
    """The kind itself if empty."""
    options: dict[str, str] = field(default_factory=dict)


def _binary(probability: Callable[[Vector], Vector]) -> Draw:
    return lambda rng, eta, _: (rng.random(eta.size) < probability(eta)).astype(float)


def _proportion(rng: np.random.Generator, eta: Vector, trials: Vector) -> Vector:
    return rng.binomial(trials.astype(int), special.expit(eta)) / trials


def _poisson(rng: np.random.Generator, eta: Vector, _: Vector) -> Vector:
    return rng.poisson(np.exp(eta)).astype(float)


def _nbinom2(rng: np.random.Generator, eta: Vector, _: Vector) -> Vector:
    return rng.poisson(np.exp(eta) * rng.gamma(1.5, 1.0 / 1.5, eta.size)).astype(float)


def _nbinom1(rng: np.random.Generator, eta: Vector, _: Vector) -> Vector:
    return rng.poisson(rng.gamma(np.exp(eta) / 1.5, 1.5)).astype(float)


def _gamma(rng: np.random.Generator, eta: Vector, _: Vector) -> Vector:
    return rng.gamma(2.0, np.exp(eta) / 2.0)


def _tweedie(rng: np.random.Generator, eta: Vector, _: Vector) -> Vector:
    jumps = rng.poisson(np.exp(np.minimum(eta, 3.0)))
    return np.where(jumps > 0, rng.gamma(np.maximum(jumps, 1), 1.0), 0.0)


def _beta(rng: np.random.Generator, eta: Vector, _: Vector) -> Vector:
    p = special.expit(eta)
    return np.clip(rng.beta(5.0 * p, 5.0 * (1.0 - p)), 1e-6, 1.0 - 1e-6)


def _gaussian_log(rng: np.random.Generator, eta: Vector, _: Vector) -> Vector:
    mu = np.exp(eta)
    return np.asarray(mu + 0.3 * mu.mean() * rng.normal(size=eta.size))


def _inverse_gaussian(rng: np.random.Generator, eta: Vector, _: Vector) -> Vector:
    return rng.wald(np.exp(eta), 2.0)


def _student_t(rng: np.random.Generator, eta: Vector, _: Vector) -> Vector:
    return np.asarray(eta + 0.4 * rng.standard_t(4.0, eta.size))


def _with_zeros(draw: Draw) -> Draw:
    return lambda rng, eta, m: np.where(rng.random(eta.size) < 0.3, 0.0, draw(rng, eta, m))


ZEROS = {"zero_inflation": "~ 1"}

RECIPES: dict[str, Recipe] = {
    "binomial": Recipe(_binary(special.expit)),
    "probit": Recipe(_binary(special.ndtr), "binomial", {"link": "probit"}),
    "cloglog": Recipe(
        _binary(lambda eta: -np.expm1(-np.exp(eta))), "binomial", {"link": "cloglog"}
    ),
    "proportion": Recipe(_proportion, "binomial", {"trials": "size"}),
    "poisson": Recipe(_poisson),
    "nbinom2": Recipe(_nbinom2),
    "nbinom1": Recipe(_nbinom1),
    "gamma": Recipe(_gamma, "", {"link": "log"}),
    "tweedie": Recipe(_tweedie),
    "beta": Recipe(_beta),
    "gaussian_log": Recipe(_gaussian_log, "gaussian", {"link": "log"}),
    "student_t": Recipe(_student_t),
    "inverse_gaussian": Recipe(_inverse_gaussian, "", {"link": "log"}),
    "zip": Recipe(_with_zeros(_poisson), "poisson", ZEROS),
    "zinb2": Recipe(_with_zeros(_nbinom2), "nbinom2", ZEROS),
}
