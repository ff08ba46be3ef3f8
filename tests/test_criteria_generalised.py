"""Laplace's approximation: its value against dense matrices, its gradient against differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import hglm
from families_catalogue import CASES, Case
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
from hglm.criteria.laplace import MarginalEvaluation, evaluate_laplace
from hglm.criteria.mode_slopes import mode_slopes
from hglm.families import Wanted
from hglm.fitting.record import GeneralisedState
from hglm.typing import Matrix, Vector
from laplace_oracle import dense_at, dense_laplace, density_laplace

EXACT = 1e-20
"""Tolerance of the mode at which the one-step correction has nothing left to correct."""

ONE_A_FAMILY = [
    *("gaussian-log", "gamma-log", "inverse_gaussian-log", "t-identity", "tweedie-log"),
    *("bernoulli-logit", "binomial-probit", "beta-logit", "betabinomial-logit"),
    *("poisson-log", "nbinom2-log", "nbinom1-log", "genpois-log", "compois-log"),
    *("truncated-poisson", "truncated-nbinom2", "zip-logit", "zinb2", "zi-binomial"),
    *("hurdle-nbinom2", "hurdle-gamma", "hurdle-beta", "cumulative-logit"),
]
BY_NAME = {case.name: case for case in CASES}
MATRIX = [
    pytest.param(BY_NAME[name], structure, id=f"{name}, {structure}")
    for name in ONE_A_FAMILY
    for structure, terms in STRUCTURES.items()
    if possible(BY_NAME[name].family, terms)
]
DENSE = {"bernoulli-logit", "zinb2", "gamma-log", "t-identity"}
LINKS = [
    pytest.param(case, "one factor, k = 2", id=case.name)
    for case in CASES
    if case.name not in ONE_A_FAMILY
]


def model_at(case: Case, structure: str) -> tuple[ArrayModel, GeneralisedProblem, Vector]:
    """Draw a data set from the model, and choose a point that every link can reach."""
    centre = [float(np.mean(p)) for p in case.predictors]
    model = array_model(
        case.family,
        STRUCTURES[structure],
        centre,
        trials=case.sizes.trials is not None,
        weights=case.sizes.weights is not None,
        spread=0.1,
    )
    problem = problem_of(model)
    return model, problem, typical_point(problem, centre, sd=0.1)


def slope(problem: GeneralisedProblem, psi: Vector, at: MarginalEvaluation, d: Vector) -> float:
    """Directional derivative by differences of fourth order."""
    assert at.mode is not None
    u, h = at.mode.u, 2e-4

    def value(t: float) -> float:
        return evaluate_laplace(problem, psi + t * d, u, EXACT).value

    return (8.0 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12.0 * h)


@pytest.mark.parametrize(("case", "structure"), [*MATRIX, *LINKS])
def test_gradient_is_that_of_differences(case: Case, structure: str) -> None:
    _, problem, psi = model_at(case, structure)
    at = evaluate_laplace(problem, psi, None, EXACT)
    direction = np.random.default_rng(1).normal(size=psi.size)
    direction /= np.linalg.norm(direction)
    expected = slope(problem, psi, at, direction)
    assert at.gradient @ direction == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("structure", ["random in three predictors", "crossed", "nested"])
def test_every_partial_derivative_is_that_of_differences(structure: str) -> None:
    """No parameter hides behind the others in a direction."""
    _, problem, psi = model_at(BY_NAME["zinb2"], structure)
    at = evaluate_laplace(problem, psi, None, EXACT)
    for i, unit in enumerate(np.eye(psi.size)):
        assert at.gradient[i] == pytest.approx(slope(problem, psi, at, unit), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        ("zinb2", "random in three predictors"),
        ("zinb2", "crossed"),
        ("bernoulli-logit", "nested"),
        ("gamma-log", "one factor, k = 2"),
    ],
)
def test_mode_moves_as_its_slopes_say(name: str, structure: str) -> None:
    _, problem, psi = model_at(BY_NAME[name], structure)
    start = evaluate_laplace(problem, psi, None, EXACT).mode
    assert start is not None

    def mode_at(moved: Vector) -> list[Matrix]:
        mode = evaluate_laplace(problem, moved, start.u, EXACT).mode
        assert mode is not None
        return [u + d for u, d in zip(mode.u, mode.d_u, strict=True)]

    slopes = mode_slopes(problem, psi, start)
    for i, step in enumerate(1e-4 * np.eye(psi.size)):
        for high, low, s in zip(mode_at(psi + step), mode_at(psi - step), slopes, strict=True):
            np.testing.assert_allclose(s[i], (high - low)[0] / 2e-4, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("case", "structure"),
    [
        p
        for p in MATRIX
        if p.values[0].name in {"bernoulli-logit", "zinb2", "gamma-log", "t-identity"}
    ],
)
def test_value_is_that_of_dense_matrices(case: Case, structure: str) -> None:
    model, problem, psi = model_at(case, structure)
    value = evaluate_laplace(problem, psi, None, EXACT).value
    dense = dense_laplace(model, dense_at(model, problem, psi))
    assert value == pytest.approx(dense, rel=1e-12, abs=1e-10)


def poisson(y: Vector, eta: Sequence[Vector | float]) -> Vector:
    return np.asarray(stats.poisson.logpmf(y, np.exp(eta[0])))


def bernoulli(y: Vector, eta: Sequence[Vector | float]) -> Vector:
    return np.asarray(stats.bernoulli.logpmf(y, special.expit(eta[0])))


def gamma(y: Vector, eta: Sequence[Vector | float]) -> Vector:
    shape = np.exp(-np.asarray(eta[1]))
    return np.asarray(stats.gamma.logpdf(y, shape, scale=np.exp(eta[0]) / shape))


def zero_inflated_negative_binomial(y: Vector, eta: Sequence[Vector | float]) -> Vector:
    mu, size, pi = np.exp(eta[0]), np.exp(eta[1]), special.expit(eta[2])
    density = stats.nbinom.pmf(y, size, size / (size + mu))
    return np.asarray(np.log(np.where(y == 0, pi, 0.0) + (1 - pi) * density))


@pytest.mark.parametrize(
    ("name", "density", "structure"),
    [
        ("poisson-log", poisson, "one factor, k = 2"),
        ("bernoulli-logit", bernoulli, "crossed"),
        ("gamma-log", gamma, "same factor in mean and dispersion"),
        ("zinb2", zero_inflated_negative_binomial, "random in three predictors"),
    ],
)
def test_value_from_the_density_alone(name: str, density: object, structure: str) -> None:
    """SciPy's densities, a mode by BFGS, a curvature by differences: no code in common."""
    model, problem, psi = model_at(BY_NAME[name], structure)
    dense = dense_at(model, problem, psi)
    expected = density_laplace(lambda eta: density(model.response.y, eta), dense)  # type: ignore[operator]
    value = evaluate_laplace(problem, psi, None, EXACT).value
    assert value == pytest.approx(expected, abs=2e-6)  # that of the differences


@pytest.mark.parametrize("name", ["bernoulli-logit", "poisson-log", "gaussian-log", "zinb2"])
def test_one_step_correction_leaves_an_error_of_second_order(name: str) -> None:
    """Stopped a step d short, the value errs by O(d'd), and the gradient by O(d)."""
    _, problem, psi = model_at(BY_NAME[name], "one factor, k = 2")
    exact = evaluate_laplace(problem, psi, None, EXACT)
    assert exact.mode is not None
    rng = np.random.default_rng(4)
    away = [rng.normal(size=u.shape) for u in exact.mode.u]
    errors, slopes = [], []
    for size in (1e-2, 1e-3):
        start = [u + size * a for u, a in zip(exact.mode.u, away, strict=True)]
        short = evaluate_laplace(problem, psi, start, tolerance=np.inf)
        assert short.mode is not None
        assert short.mode.iterations == 1
        errors.append(abs(short.value - exact.value))
        slopes.append(float(np.abs(short.gradient - exact.gradient).max()))
    assert errors[0] < 3e-3
    assert errors[1] < 3e-2 * errors[0]  # a hundredth, for a tenth of the distance
    assert slopes[1] < 0.2 * slopes[0]
    assert slopes[0] < 3e-2


@pytest.mark.parametrize("name", ["bernoulli-logit", "poisson-log", "gamma-log", "nbinom2-log"])
def test_default_tolerance_is_as_good_as_its_word(name: str) -> None:
    _, problem, psi = model_at(BY_NAME[name], "crossed")
    exact = evaluate_laplace(problem, psi, None, EXACT)
    loose = evaluate_laplace(problem, psi, None)
    assert loose.value == pytest.approx(exact.value, abs=1e-6)
    np.testing.assert_allclose(loose.gradient, exact.gradient, atol=1e-4)


@pytest.mark.parametrize("name", ["bernoulli-logit", "zinb2", "gamma-log"])
@pytest.mark.parametrize("rank", [0, 1])
def test_singular_covariances_are_ordinary_points(name: str, rank: int) -> None:
    model, problem, psi = model_at(BY_NAME[name], "one factor, k = 3")
    factor = np.zeros((3, 3))
    factor[:, 0] = np.array([0.4, -0.2, 0.3]) * rank
    psi[problem.n_fixed :] = problem.layout.from_factors([factor])
    at = evaluate_laplace(problem, psi, None, EXACT)
    dense = dense_laplace(model, dense_at(model, problem, psi))
    assert at.value == pytest.approx(dense, rel=1e-12)
    for i in range(psi.size):
        expected = slope(problem, psi, at, np.eye(psi.size)[i])
        assert at.gradient[i] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_no_random_effects_is_the_log_likelihood_itself() -> None:
    model, problem, psi = model_at(BY_NAME["poisson-log"], "fixed effects only")
    eta = dense_at(model, problem, psi).fixed
    expected = -2.0 * poisson(model.response.y, eta).sum()
    assert evaluate_laplace(problem, psi).value == pytest.approx(expected, rel=1e-13)


def test_vanishing_random_effects_leave_the_log_likelihood() -> None:
    model, problem, psi = model_at(BY_NAME["poisson-log"], "crossed")
    psi[problem.n_fixed :] = 0.0
    eta = dense_at(model, problem, psi).fixed
    expected = -2.0 * poisson(model.response.y, eta).sum()
    assert evaluate_laplace(problem, psi).value == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("name", ["binomial-probit", "zinb2", "nbinom1-log"])
@pytest.mark.parametrize("structure", ["nested", "crossed"])
def test_frequencies_count_identical_rows(name: str, structure: str) -> None:
    model, _, _ = model_at(BY_NAME[name], structure)
    counts = np.random.default_rng(2).integers(1, 4, len(model.response.y))
    counted = problem_of(replace(model, frequencies=counts.astype(float)))
    repeated_model = model.rows(np.repeat(np.arange(len(counts)), counts))
    centre = [float(np.mean(p)) for p in BY_NAME[name].predictors]
    psi = typical_point(counted, centre, sd=0.1)
    dense = dense_laplace(repeated_model, dense_at(repeated_model, counted, psi))
    assert evaluate_laplace(counted, psi, None, EXACT).value == pytest.approx(dense, rel=1e-12)
    assert counted.nobs == counts.sum()


@pytest.mark.parametrize("structure", ["crossed", "nested", "same factor in mean and dispersion"])
def test_order_of_rows_and_levels_is_immaterial(structure: str) -> None:
    """At the same parameters in the user's coordinates, after a shuffle of rows and levels."""
    model, problem, psi = model_at(BY_NAME["nbinom2-log"], structure)
    shuffled = relabelled(model.rows(np.random.default_rng(8).permutation(len(model.response.y))))
    other = problem_of(shuffled)
    value = evaluate_laplace(problem, psi, None, EXACT).value
    moved = evaluate_laplace(other, transfer(problem, other, psi), None, EXACT).value
    assert moved == pytest.approx(value, rel=1e-12)


def relabelled(model: ArrayModel) -> ArrayModel:
    """Levels in another order."""

    def shuffle(design: hglm.design.PredictorDesign | None) -> hglm.design.PredictorDesign | None:
        if design is None:
            return None
        random = []
        for t in design.random:
            new = np.random.default_rng(t.n_levels).permutation(t.n_levels)
            random.append(replace(t, codes=new[t.codes]))
        return replace(design, random=tuple(random))

    return replace(model, predictors={name: shuffle(d) for name, d in model.predictors.items()})


def test_infeasible_points_are_infinite_and_say_no_more() -> None:
    """A Poisson mean of identity link below zero: not an exception, not a number."""
    _, problem, psi = model_at(BY_NAME["poisson-identity"], "one factor, k = 1")
    psi[0] -= 100.0
    at = evaluate_laplace(problem, psi)
    assert at.value == np.inf
    assert at.mode is None


def test_mode_is_where_the_penalised_score_vanishes() -> None:
    model, problem, psi = model_at(BY_NAME["bernoulli-logit"], "crossed")
    at = evaluate_laplace(problem, psi, None, EXACT)
    dense = dense_at(model, problem, psi)
    assert at.mode is not None
    T = problem.layout.factors(problem.theta(psi))
    for u, s, t in zip(at.mode.u, at.mode.scores, T, strict=True):
        np.testing.assert_allclose(u[0], t.T @ s[0], atol=1e-9)
    assert dense.M[0].shape[1] == sum(u.size for u in at.mode.u)


@pytest.mark.parametrize(
    "formula", ["y ~ x + (x | g)", "y ~ x + (1 | g) + (1 | h)", "y ~ x + (1 | school/g)"]
)
def test_gaussian_model_is_the_linear_model(formula: str) -> None:
    """Laplace is exact for it: estimates are those of ML, errors given θ as well."""
    data = gaussian_data()
    linear = hglm.fit(formula, data, method="ml")
    general = hglm.fit(formula, data, method="laplace")
    assert general.llf == pytest.approx(linear.llf, abs=1e-8)
    np.testing.assert_allclose(general.params, linear.params, rtol=1e-5)
    assert general.sigma == pytest.approx(linear.sigma, rel=1e-5)
    for term, expected in zip(general.estimates.terms, linear.estimates.terms, strict=True):
        np.testing.assert_allclose(term.covariance, expected.covariance, rtol=1e-4, atol=1e-6)
    state = general.estimates.state
    assert isinstance(state, GeneralisedState)
    mean = state.problem.fixed[0]
    given_theta = np.linalg.inv(state.hessian[mean.parameters, mean.parameters] / 2.0)
    vcov = mean.to_beta @ given_theta @ mean.to_beta.T
    np.testing.assert_allclose(vcov, linear.cov_params(), rtol=1e-4, atol=1e-7)
    assert general.n_parameters == linear.n_parameters
    assert general.certificate.laplace_error == pytest.approx(0.0, abs=1e-9)


def gaussian_data() -> pd.DataFrame:
    rng = np.random.default_rng(12)
    n = 150
    g, h, x = rng.integers(0, 15, n), rng.integers(0, 6, n), rng.normal(size=n)
    effects = rng.normal(size=(3, 15))
    y = 1 + x + effects[0, g] + 0.5 * effects[1, g] * x + effects[2, h] + effects[2, g // 3]
    y += 0.7 * rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "school": g // 3})


def test_laplace_of_one_row_by_hand() -> None:
    """One count, one random intercept: h(u) = exp(η) - yη + log y! + u²/2 by Newton's method."""
    y, beta, sd = 3.0, 0.4, 0.8
    u = 0.0
    for _ in range(50):
        mu = np.exp(beta + sd * u)
        u -= (sd * (mu - y) + u) / (1.0 + sd**2 * mu)
    mu = np.exp(beta + sd * u)
    by_hand = 2 * (mu - y * (beta + sd * u) + np.log(6.0) + u**2 / 2) + np.log(1 + sd**2 * mu)
    model = array_model(BY_NAME["poisson-log"].family, {"mean": [("row", 1, "us")]}, [0.4], n=9)
    design = model.predictors["mean"]
    assert design is not None
    X: Matrix = np.ones((9, 1))
    one = replace(
        model,
        response=replace(model.response, y=np.full(9, y)),
        predictors={"mean": replace(design, X=X, names=("Intercept",))},
    )
    problem = problem_of(one)
    T = np.linalg.solve(problem.terms.maps[0], np.array([[sd]]))
    psi = np.concatenate([[beta / problem.fixed[0].to_beta[0, 0]], T.ravel()])
    assert evaluate_laplace(problem, psi, None, EXACT).value == pytest.approx(
        9 * by_hand, rel=1e-12
    )
    assert problem.wanted == Wanted(3, (0,), ())
