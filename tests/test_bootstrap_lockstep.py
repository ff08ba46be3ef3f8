"""Many problems in lock-step: each is what it would be by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import hglm
from hglm.criteria.laplace import evaluate_laplace
from hglm.criteria.linear_problem import LinearProblem
from hglm.criteria.lockstep_laplace import laplace_many, stack_responses
from hglm.criteria.lockstep_linear import (
    ManyResponses,
    factor_basis,
    profile_many,
    sigma_slopes,
)
from hglm.criteria.profiled import evaluate, solve
from hglm.families import bind
from hglm.fitting.record import GeneralisedState, LinearState
from hglm.numerics.lockstep import Points, minimise_lockstep, trust_region_steps
from hglm.numerics.trust_region import TrustRegion, trust_region_step
from hglm.typing import AnyArray, Codes, Matrix, Vector

LINEAR = {
    "slopes": ("reaction ~ days + (days | subject)", {}),
    "two terms, weights": ("reaction ~ days + (1 | subject) + (0 + x | subject)", {"weights": "w"}),
    "diagonal, no fixed effects": ("reaction ~ 0 + diag(days + x | subject)", {}),
    "three columns": ("reaction ~ x + (days + x | subject)", {}),
}
GENERALISED = {
    "binomial": ("cbind(k, 10 - k) ~ x + (1 | subject)", {"family": "binomial"}),
    "probit": ("cbind(k, 10 - k) ~ x + (1 | subject)", {"family": "binomial", "link": "probit"}),
    "gamma": ("reaction ~ days + (days | subject)", {"family": "gamma", "link": "log"}),
    "dispersion with random effects": (
        "k ~ x + (1 | subject)",
        {"family": "nbinom2", "dispersion": "~ x + (1 | subject)"},
    ),
    "zero inflation": ("k ~ x + (1 | subject)", {"family": "poisson", "zero_inflation": "~ 1"}),
}


def data() -> pd.DataFrame:
    frame = hglm.load_dataset("sleepstudy")
    rng = np.random.default_rng(5)
    return frame.assign(
        x=rng.normal(size=len(frame)),
        w=rng.uniform(0.5, 2.0, len(frame)),
        k=rng.binomial(10, 0.3, len(frame)) * rng.binomial(1, 0.8, len(frame)),
    ).sample(frac=0.9, random_state=1)


def many_of(problem: LinearProblem, reml: bool, scales: Vector) -> ManyResponses:
    """Responses that are multiples of the problem's own, on top of some Qγ."""
    p = problem.p
    gram = np.repeat(problem.gram[None], len(scales), axis=0)
    gram[:, :p, p] = gram[:, p, :p] = problem.gram[p, :p] * scales[:, None]
    gram[:, p, p] = problem.gram[p, p] * scales**2
    constant = 2.0 * problem.fixed.logdet_R if reml else 0.0
    return ManyResponses(
        A=problem.gramian.diagonal[0],
        QZ=problem.rhs[0][:p],
        eZ=scales[:, None, None] * problem.rhs[0][p],
        gram=gram,
        nobs=problem.nobs,
        constant=constant - problem.sum_log_weights,
        basis=factor_basis(problem.layout),
        reml=reml,
    )


def problem_of(many: ManyResponses, problem: LinearProblem, i: int) -> LinearProblem:
    rhs = (np.concatenate([many.QZ, many.eZ[i : i + 1]]),)
    return replace(problem, rhs=rhs, gram=many.gram[i])


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", LINEAR)
def test_linear_criteria_are_those_of_one_response(name: str, reml: bool) -> None:
    formula, options = LINEAR[name]
    state = hglm.fit(formula, data(), **options).estimates.state
    assert isinstance(state, LinearState)
    problem = state.problem
    rng = np.random.default_rng(1)
    many = many_of(problem, reml, np.array([1.0, 0.3, 2.0]))
    theta = rng.normal(size=(3, problem.layout.n_theta))
    found = profile_many(many, np.arange(3), theta)
    slopes = sigma_slopes(many, np.arange(3), theta)
    for i in range(3):
        one = evaluate(problem_of(many, problem, i), theta[i], reml)
        solution = solve(problem_of(many, problem, i), theta[i], reml)
        scale = np.abs(one.gradient).max()
        assert found.value[i] == pytest.approx(one.value, rel=1e-12)
        np.testing.assert_allclose(found.gradient[i], one.gradient, atol=1e-10 * scale)
        np.testing.assert_allclose(found.gamma[i], solution.gamma, atol=1e-10)
        assert found.sigma2[i] == pytest.approx(solution.sigma2, rel=1e-11)
        np.testing.assert_allclose(slopes[i], one.F[0], atol=1e-9 * np.abs(one.F[0]).max())


@pytest.mark.parametrize("name", GENERALISED)
def test_laplace_approximations_are_those_of_one_response(name: str) -> None:
    formula, options = GENERALISED[name]
    fit = hglm.fit(formula, data(), **options)
    state = fit.estimates.state
    assert isinstance(state, GeneralisedState)
    problem = state.problem
    Y = problem.terms.take(np.asfortranarray(fit.simulate(3, seed=1).to_numpy())).T
    rng = np.random.default_rng(2)
    psi = state.psi + 0.1 * rng.normal(size=(3, len(state.psi)))
    found = laplace_many(stack_responses(problem, Y, factor_basis(problem.layout)), psi, None)
    for i in range(3):
        likelihood = bind(problem.likelihood.family, Y[i], problem.likelihood.sizes)
        one = evaluate_laplace(replace(problem, likelihood=likelihood), psi[i], None, 1e-12)
        # the modes are searched to a decrement of 1e-9, which is squared in the value
        assert found.value[i] == pytest.approx(one.value, abs=1e-8)
        scale = np.abs(one.gradient).max()
        np.testing.assert_allclose(found.gradient[i], one.gradient, atol=1e-6 * scale)


def test_laplace_gradients_are_those_of_differences() -> None:
    formula, options = GENERALISED["dispersion with random effects"]
    fit = hglm.fit(formula, data(), **options)
    state = fit.estimates.state
    assert isinstance(state, GeneralisedState)
    problem, psi = state.problem, state.psi + 0.2
    Y = problem.terms.take(fit.simulate(1, seed=3).to_numpy()[:, 0])[None]
    stack = stack_responses(problem, Y, factor_basis(problem.layout))

    def value(x: Vector) -> float:
        return float(laplace_many(stack, x[None], None).value[0])

    numeric = optimize.approx_fprime(psi, value, 1e-6)
    gradient = laplace_many(stack, psi[None], None).gradient[0]
    np.testing.assert_allclose(gradient, numeric, atol=1e-4 * np.abs(numeric).max())


def test_steps_are_those_of_one_problem() -> None:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(60, 4, 4))
    hessian = A @ A.swapaxes(1, 2) - 0.5 * rng.uniform(0, 1, 60)[:, None, None] * np.eye(4)
    gradient = rng.normal(size=(60, 4)) * 10.0 ** rng.uniform(-3, 1, (60, 1))
    radius = 10.0 ** rng.uniform(-2, 2, 60)
    step, predicted, inside = trust_region_steps(gradient, hessian, radius)
    assert 10 < inside.sum() < 50
    for i in range(60):
        one, best, free = trust_region_step(gradient[i], hessian[i], np.ones(4), radius[i])
        assert free == inside[i]
        assert predicted[i] == pytest.approx(best, rel=5e-3)
        assert np.linalg.norm(step[i]) <= radius[i] * (1 + 1e-6)
        if free:
            np.testing.assert_allclose(step[i], one, rtol=1e-9)


def test_a_step_leaves_a_saddle_to_whose_ridge_the_gradient_is_tangent() -> None:
    hessian = np.diag([-1.0, 2.0])[None]
    step, predicted, inside = trust_region_steps(np.array([[0.0, 0.5]]), hessian, np.array([1.0]))
    assert np.linalg.norm(step) == pytest.approx(1.0)
    assert predicted[0] > 0.5
    assert not inside[0]


def quartics(rows: Codes, x: Matrix, _: AnyArray | None) -> Points:
    """(x - c)'D(x - c) + |x - c|⁴, least at c = (row, -row, 1); infeasible at x_1 > 90."""
    away = x - np.column_stack([rows, -rows, np.ones(len(rows))])
    D = np.array([1.0, 30.0, 0.1])
    square = (away**2).sum(axis=1)
    value = away**2 @ D + square**2
    gradient = 2.0 * away * D + 4.0 * square[:, None] * away
    return Points(np.where(x[:, 0] > 90.0, np.inf, value), gradient, np.empty((len(rows), 0)))


def test_each_minimum_is_found_whatever_the_company() -> None:
    settings = TrustRegion(tolerance=1e-12, max_evaluations=200)
    hessian = 2.0 * np.diag([1.0, 30.0, 0.1])
    together = minimise_lockstep(quartics, np.full((8, 3), 3.0), hessian, settings)
    assert together.converged.all()
    expected = np.array([[i, -i, 1.0] for i in range(8)])
    np.testing.assert_allclose(together.x, expected, atol=1e-5)

    def only_sixth(rows: Codes, x: Matrix, warm: AnyArray | None) -> Points:
        return quartics(rows + 6, x, warm)

    alone = minimise_lockstep(only_sixth, np.full((1, 3), 3.0), hessian, settings)
    np.testing.assert_allclose(alone.x[0], together.x[6], rtol=1e-12)


def test_searches_that_cannot_begin_or_end_are_told() -> None:
    hessian = np.eye(3)
    start = np.array([[95.0, 0.0, 0.0], [60.0, 20.0, -30.0]])
    result = minimise_lockstep(quartics, start, hessian, TrustRegion(max_evaluations=3))
    assert not result.converged.any()
    assert np.isinf(result.value[0])
    np.testing.assert_array_equal(result.x[0], start[0])
