"""Adaptive Gauss-Hermite quadrature against integrals done another way."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

import hglm
from families_catalogue import CASES
from generalised_models import (
    STRUCTURES,
    ArrayModel,
    array_model,
    possible,
    problem_of,
    transfer,
    typical_point,
)
from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.laplace import evaluate_laplace
from hglm.criteria.quadrature import evaluate_quadrature, quadrature_levels
from hglm.errors import OptionError
from hglm.numerics.gauss_hermite import product_rule
from hglm.typing import Vector
from laplace_oracle import dense_at

BY_NAME = {case.name: case for case in CASES}
ONE_FACTOR = [
    *("one factor, k = 1", "one factor, k = 2", "one factor, k = 3", "one factor, diagonal"),
    *("two terms on one factor", "dispersion", "dispersion alone", "zero inflation"),
    *("same factor in mean and dispersion", "same factor in mean and zero inflation"),
]
FAMILIES = [
    *("bernoulli-logit", "binomial-probit", "poisson-log", "gamma-log", "gaussian-log"),
    *("nbinom2-log", "beta-logit", "zinb2", "t-identity", "cumulative-logit"),
]
MATRIX = [
    (family, structure)
    for family in FAMILIES
    for structure in ONE_FACTOR
    if possible(BY_NAME[family].family, STRUCTURES[structure])
]


def model_at(
    family: str, structure: str, sd: float = 0.3
) -> tuple[ArrayModel, GeneralisedProblem, Vector]:
    case = BY_NAME[family]
    centre = [float(np.mean(p)) for p in case.predictors]
    trials = case.sizes.trials is not None
    model = array_model(case.family, STRUCTURES[structure], centre, trials=trials)
    problem = problem_of(model)
    return model, problem, typical_point(problem, centre, sd=sd)


@pytest.mark.parametrize(("family", "structure"), MATRIX)
def test_one_node_is_laplace(family: str, structure: str) -> None:
    _, problem, psi = model_at(family, structure)
    laplace = evaluate_laplace(problem, psi, None, 1e-20)
    one = evaluate_quadrature(problem, psi, nodes=1)
    assert one.value == pytest.approx(laplace.value, abs=1e-10)
    np.testing.assert_allclose(one.gradient, laplace.gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("nodes", [2, 5])
@pytest.mark.parametrize(("family", "structure"), MATRIX)
def test_gradient_is_that_of_differences(family: str, structure: str, nodes: int) -> None:
    """Nodes that move with the parameters included: with few nodes they matter."""
    _, problem, psi = model_at(family, structure)
    at = evaluate_quadrature(problem, psi, nodes=nodes)
    assert at.mode is not None
    u, h = at.mode.u, 2e-4
    direction = np.random.default_rng(6).normal(size=psi.size)
    direction /= np.linalg.norm(direction)

    def value(t: float) -> float:
        return evaluate_quadrature(problem, psi + t * direction, u, nodes=nodes).value

    slope = (8.0 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12.0 * h)
    assert at.gradient @ direction == pytest.approx(slope, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("nodes", [1, 5])
@pytest.mark.parametrize(("family", "structure"), MATRIX)
def test_the_gradient_comes_apart_by_rows_and_levels(
    family: str, structure: str, nodes: int
) -> None:
    """Their sums are the whole; `test_robust_generalised` looks at single levels."""
    _, problem, psi = model_at(family, structure)
    found = quadrature_levels(problem, psi, None, nodes)
    assert found is not None
    residuals, slopes = found
    fixed = [-block.product(r) for block, r in zip(problem.fixed, residuals, strict=True)]
    total = 2.0 * np.concatenate([*fixed, slopes.sum(axis=1)])
    whole = evaluate_quadrature(problem, psi, nodes=nodes).gradient
    np.testing.assert_allclose(total, whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", ["bernoulli-logit", "poisson-log", "gamma-log", "zinb2"])
def test_scalar_effects_converge_to_the_integral(family: str) -> None:
    """Level by level, by SciPy's adaptive quadrature."""
    model, problem, psi = model_at(family, "one factor, k = 1", sd=1.0)
    dense = dense_at(model, problem, psi)
    term = model.predictors["mean"].random[0]  # type: ignore[union-attr]
    expected = 0.0
    for level in range(term.n_levels):
        rows = np.flatnonzero(term.codes == level)
        part = model.rows(rows)
        fixed = [f if isinstance(f, float) else np.asarray(f)[rows] for f in dense.fixed]
        scale = dense.M[0][rows, level]

        def integrand(u: float, part: ArrayModel, fixed: list, scale: Vector) -> float:  # type: ignore[type-arg]
            eta = [fixed[0] + scale * u, *fixed[1:]]
            value = log_density(part, eta).sum()
            return float(np.exp(value) * stats.norm.pdf(u))

        integral, _ = integrate.quad(
            integrand, -12, 12, (part, fixed, scale), epsabs=0, epsrel=1e-11, limit=200
        )
        expected -= 2.0 * np.log(integral)
    errors = [
        abs(evaluate_quadrature(problem, psi, nodes=k).value - expected) for k in (1, 7, 15, 31)
    ]
    assert all(b < max(a, 1e-9) for a, b in pairwise(errors))
    assert errors[-1] < 1e-7


def log_density(model: ArrayModel, eta: list[Vector]) -> Vector:
    """SciPy's densities: nothing of the package's."""
    y = model.response.y
    mean = eta[0]
    match model.family.name:
        case "binomial":
            return np.asarray(stats.bernoulli.logpmf(y, special.expit(mean)))
        case "poisson":
            return np.asarray(stats.poisson.logpmf(y, np.exp(mean)))
        case "gamma":
            shape = np.exp(-np.asarray(eta[1]))
            return np.asarray(stats.gamma.logpdf(y, shape, scale=np.exp(mean) / shape))
    size, pi = np.exp(eta[1]), special.expit(eta[2])
    pmf = stats.nbinom.pmf(y, size, size / (size + np.exp(mean)))
    return np.asarray(np.log(np.where(y == 0, pi, 0.0) + (1 - pi) * pmf))


@pytest.mark.parametrize(
    ("structure", "grid"), [("one factor, k = 2", 120), ("one factor, k = 3", 40)]
)
def test_vector_effects_converge_to_the_integral(structure: str, grid: int) -> None:
    """A grid over the random effects, the trapezoidal rule: exact to rounding for such sums."""
    model, problem, psi = model_at("bernoulli-logit", structure, sd=0.8)
    dense = dense_at(model, problem, psi)
    term = model.predictors["mean"].random[0]  # type: ignore[union-attr]
    points, width = np.linspace(-7, 7, grid, retstep=True)
    u = np.stack(np.meshgrid(*[points] * term.k), axis=-1).reshape(-1, term.k)
    prior = stats.norm.pdf(u).prod(axis=1) * width**term.k
    expected = 0.0
    for level in range(term.n_levels):
        rows = term.codes == level
        Z = dense.M[0][rows][:, level * term.k : (level + 1) * term.k]
        fixed = np.asarray(dense.fixed[0])[rows]
        sign = 2.0 * model.response.y[rows] - 1.0
        likelihood = np.exp(special.log_expit(sign * (fixed + u @ Z.T)).sum(axis=1))
        expected -= 2.0 * np.log(likelihood @ prior)
    errors = [abs(evaluate_quadrature(problem, psi, nodes=k).value - expected) for k in (1, 5, 15)]
    assert errors[1] < 0.1 * errors[0]
    assert errors[2] < 1e-5


def test_gaussian_integrals_need_one_node() -> None:
    """The identity link's log density is quadratic: every rule is exact."""
    _, problem, psi = model_at("gaussian-identity", "one factor, k = 2")
    values = [evaluate_quadrature(problem, psi, nodes=k).value for k in (1, 2, 5)]
    np.testing.assert_allclose(values, values[0], rtol=1e-13)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_rule_integrates_the_normal_distribution(k: int) -> None:
    x, log_weights = product_rule(5, k)
    w = np.exp(log_weights)
    assert w.sum() == pytest.approx(1.0, rel=1e-13)
    np.testing.assert_allclose(w @ x, 0.0, atol=1e-13)
    np.testing.assert_allclose(x.T @ (w[:, None] * x), np.eye(k), atol=1e-12)
    np.testing.assert_allclose(w @ x**4, 3.0, rtol=1e-12)


def test_frequencies_count_identical_rows() -> None:
    model, _, psi = model_at("bernoulli-logit", "one factor, k = 1")
    counts = np.random.default_rng(2).integers(1, 4, len(model.response.y))
    counted = problem_of(replace(model, frequencies=counts.astype(float)))
    repeated = problem_of(model.rows(np.repeat(np.arange(len(counts)), counts)))
    expected = evaluate_quadrature(repeated, transfer(counted, repeated, psi), nodes=5).value
    assert evaluate_quadrature(counted, psi, nodes=5).value == pytest.approx(expected, rel=1e-12)


def test_auto_adds_nodes_until_the_likelihood_is_stable() -> None:
    data = binary_pairs()
    auto = hglm.fit("y ~ x + (1 | g)", data, "binomial", method=hglm.Quadrature())
    nodes = auto.estimates.nodes
    assert nodes > 5
    more = hglm.fit("y ~ x + (1 | g)", data, "binomial", method=hglm.Quadrature(2 * nodes - 1))
    assert auto.llf == pytest.approx(more.llf, abs=1e-4)
    assert auto.method == "quadrature"
    assert f"{nodes} nodes" in str(auto.summary())


def binary_pairs() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(60), 3)
    x = rng.normal(size=g.size)
    p = special.expit(0.5 * x + 1.8 * rng.normal(size=60)[g])
    return pd.DataFrame({"y": (rng.random(g.size) < p).astype(float), "x": x, "g": g})


def test_several_factors_are_refused_with_the_remedy() -> None:
    data = binary_pairs().assign(h=lambda d: d.index % 7)
    with pytest.raises(OptionError, match="one grouping factor, and this one has 2; use method="):
        hglm.fit("y ~ x + (1 | g) + (1 | h)", data, "binomial", method=hglm.Quadrature(5))


@pytest.mark.parametrize("nodes", [0, -3, 2.5, "many"])
def test_nodes_that_make_no_sense_are_refused(nodes: object) -> None:
    with pytest.raises(OptionError, match='whole number of nodes or "auto"'):
        hglm.Quadrature(nodes)  # type: ignore[arg-type]
