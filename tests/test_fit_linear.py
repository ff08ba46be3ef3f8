"""The optimum of linear models: reached from anywhere, certified, exact on the boundary."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pandas as pd
import pytest

from dense_oracle import dense_criterion
from hglm.criteria.profiled import solve
from hglm.design.arrays import Design, PredictorDesign, RandomTerm
from hglm.errors import DataError, FitError, OptionError
from hglm.fitting.estimate import estimate_linear, random_part
from hglm.fitting.linear import LinearOptimum, fit_linear
from hglm.numerics.trust_region import TrustRegion
from hglm.typing import Matrix, Vector
from linear_models import MODELS, PLANS, Case, make_case

RANDOM = [name for name in MODELS if MODELS[name]]
SPARSE = [name for name, sparse in PLANS if sparse and " and crossed" not in name]


@cache
def found(model: str, reml: bool = True, sparse: bool = False, seed: int = 7) -> LinearOptimum:
    return fit_linear(make_case(model, reml, sparse, seed=seed).problem, reml)


def design_of(case: Case) -> Design:
    n = len(case.y)
    return Design(
        "y",
        case.y,
        case.design,
        pd.RangeIndex(n),
        n,
        weights=case.weights,
        frequencies=case.frequencies,
    )


def value_near(case: Case, factors: list[Matrix]) -> float:
    """Criterion of the oracle at factors (k, m) of the standardised terms."""
    X, y, terms, reml, weights = case.arguments(np.zeros(case.problem.layout.n_theta))
    moved = [
        (codes, z, S @ F @ F.T @ S.T)
        for (codes, z, _), S, F in zip(terms, case.problem.maps, factors, strict=True)
    ]
    return dense_criterion(X, y, moved, reml, weights)


@pytest.mark.parametrize("reml", [False, True], ids=["ML", "REML"])
@pytest.mark.parametrize("model", RANDOM)
def test_no_neighbour_is_better(model: str, reml: bool) -> None:
    """Steps in every parameter, and new variances in every direction that has none."""
    case, optimum = make_case(model, reml), found(model, reml)
    assert optimum.certificate.converged
    best = case.value(optimum.theta)
    assert optimum.solution.value == pytest.approx(best, abs=1e-9)
    for i in range(len(optimum.theta)):
        for step in (-0.03, -1e-3, 1e-3, 0.03):
            theta = optimum.theta.copy()
            theta[i] += step
            assert case.value(theta) >= best - 1e-7
    factors = case.problem.layout.term_factors(optimum.theta)
    for i, slot in enumerate(case.problem.layout.slots):
        if slot.structure.name not in {"us", "diag"}:
            continue  # a new direction would leave the family
        for size in (0.01, 0.1):
            for direction in np.eye(slot.k):
                opened = list(factors)
                opened[i] = np.hstack([factors[i], size * direction[:, None]])
                assert value_near(case, opened) >= best - 1e-7


@pytest.mark.parametrize("model", RANDOM)
def test_any_start_leads_to_an_optimum_no_better(model: str) -> None:
    seed = 8
    case, best = make_case(model, True, seed=seed), found(model, seed=seed)
    assert best.certificate.converged
    m = case.problem.layout.n_theta
    rng = np.random.default_rng(seed)
    for start in (np.ones(m), rng.normal(size=m)):
        other = fit_linear(case.problem, True, start)
        assert other.solution.value >= best.solution.value - 1e-5


@pytest.mark.parametrize("model", RANDOM)
def test_a_start_without_variances_is_left(model: str) -> None:
    """θ = 0 is stationary: an optimiser that trusts its gradient would stay."""
    case = make_case(model, True)
    zero = np.zeros(case.problem.layout.n_theta)
    optimum = fit_linear(case.problem, True, zero)
    assert optimum.certificate.converged
    assert optimum.solution.value < solve(case.problem, zero, True).value - 1.0


@pytest.mark.parametrize("model", SPARSE)
def test_sparse_and_dense_factors_lead_to_the_same_optimum(model: str) -> None:
    dense, sparse = found(model), found(model, sparse=True)
    assert sparse.certificate.converged
    assert sparse.solution.value == pytest.approx(dense.solution.value, abs=1e-7)


@pytest.mark.parametrize("model", RANDOM)
def test_the_solution_is_that_of_the_parameters(model: str) -> None:
    """Row 7 of the known wrong answers: not of the last point tried."""
    case, optimum = make_case(model, True), found(model)
    again = solve(case.problem, optimum.theta, True)
    assert again.value == optimum.solution.value
    np.testing.assert_array_equal(again.gamma, optimum.solution.gamma)
    assert optimum.solution.value <= min(value for _, value in optimum.path) + 1e-7
    assert optimum.certificate.evaluations == len(optimum.path)


@pytest.mark.parametrize("model", RANDOM)
def test_theta_is_canonical_and_zeros_are_exact(model: str) -> None:
    case, optimum = make_case(model, True), found(model)
    layout = case.problem.layout
    np.testing.assert_allclose(layout.canonical(optimum.theta), optimum.theta, atol=1e-15)
    singular = []
    for i, T in enumerate(layout.term_factors(optimum.theta)):
        assert np.all(np.diagonal(T) >= 0)
        if np.linalg.svd(T)[1][-1] < 1e-4:
            singular.append(i)
            if layout.slots[i].structure.name in {"us", "diag"}:
                assert np.linalg.svd(T)[1][-1] < 1e-15
    assert optimum.certificate.boundary == tuple(singular)
    assert optimum.certificate.singular == bool(singular)


def test_boundary_and_interior_optima_are_both_among_the_models() -> None:
    singular = [found(model).certificate.singular for model in RANDOM]
    assert 0.2 < np.mean(singular) < 0.8


def test_running_out_of_evaluations_is_not_called_convergence() -> None:
    problem = make_case("three levels", True).problem
    optimum = fit_linear(problem, True, settings=TrustRegion(max_evaluations=2))
    assert not optimum.certificate.converged
    assert optimum.certificate.gain > 1e-3
    assert "Not converged" in optimum.certificate.message
    assert len(optimum.certificate.message.split()) > 8


def test_the_certificate_of_a_good_fit() -> None:
    optimum = interior_optimum()
    certificate = optimum.certificate
    assert certificate.converged
    assert not certificate.singular
    assert certificate.gain < 1e-9
    assert certificate.gradient < 1e-4
    assert certificate.curvature > 0
    assert certificate.boundary == ()
    assert "Converged" in certificate.message


def interior_optimum() -> LinearOptimum:
    for seed in range(20):
        optimum = found("one factor, slopes", seed=seed)
        if not optimum.certificate.singular:
            return optimum
    raise AssertionError("no interior optimum among the draws")


@pytest.mark.parametrize("model", RANDOM)
def test_a_start_in_the_users_coordinates_is_where_the_search_begins(model: str) -> None:
    case = make_case(model, True)
    design = design_of(case)
    first = estimate_linear(design, True)
    again = estimate_linear(design, True, first.theta)
    assert again.llf == pytest.approx(first.llf, abs=1e-8)
    assert again.path[0][1] == pytest.approx(-2.0 * first.llf, abs=1e-7)
    if not first.certificate.singular:
        assert again.certificate.evaluations <= 2


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reml", [False, True], ids=["ML", "REML"])
@pytest.mark.parametrize(
    "model", ["fixed effects only", "nested", "crossed, slopes", "interaction"]
)
def test_estimates_in_the_users_coordinates(model: str, reml: bool, weighted: bool) -> None:
    case = make_case(model, reml, weighted=weighted)
    estimates = estimate_linear(design_of(case), reml)
    expected = case.dense(estimates.state.theta)
    assert estimates.llf == pytest.approx(-0.5 * expected.criterion, abs=1e-8)
    error = np.sqrt(np.diagonal(expected.vcov))
    np.testing.assert_allclose((estimates.beta - expected.beta) / error, 0.0, atol=1e-8)
    np.testing.assert_allclose(
        estimates.vcov / np.outer(error, error), expected.vcov / np.outer(error, error), atol=1e-8
    )
    assert estimates.sigma == pytest.approx(np.sqrt(expected.sigma2), rel=1e-10)
    for term, modes in zip(estimates.terms, expected.modes, strict=True):
        np.testing.assert_allclose(term.modes, modes, atol=1e-8 * max(np.abs(modes).max(), 1))
        T = term.factor
        np.testing.assert_allclose(term.covariance, estimates.sigma**2 * T @ T.T, rtol=1e-12)
    fitted = case.design.X @ estimates.beta
    fitted += random_part(case.design, {t.position: t.modes for t in estimates.terms})
    np.testing.assert_allclose(estimates.linear_predictor, fitted, rtol=1e-12)
    m = case.problem.layout.n_theta
    assert estimates.n_parameters == len(estimates.beta) + m + 1
    assert estimates.nobs == (72 if not weighted else case.frequencies.sum())


def test_without_random_effects_it_is_least_squares() -> None:
    case = make_case("fixed effects only", True)
    estimates = estimate_linear(design_of(case), True)
    X, y = case.design.X, case.y
    beta, rss = np.linalg.lstsq(X, y, rcond=None)[:2]
    np.testing.assert_allclose(estimates.beta, beta, rtol=1e-9)
    sigma2 = float(rss[0]) / (len(y) - 3)
    assert estimates.sigma**2 == pytest.approx(sigma2, rel=1e-12)
    np.testing.assert_allclose(estimates.vcov, sigma2 * np.linalg.inv(X.T @ X), rtol=1e-9)
    assert estimates.certificate.converged
    assert estimates.theta.shape == (0,)


def test_without_fixed_effects() -> None:
    case = make_case("one factor", True)
    design = dataclasses.replace(case.design, X=case.design.X[:, :0], names=())
    estimates = estimate_linear(dataclasses.replace(design_of(case), mean=design), True)
    same = estimate_linear(dataclasses.replace(design_of(case), mean=design), False)
    assert estimates.beta.shape == (0,)
    assert estimates.vcov.shape == (0, 0)
    assert estimates.llf == pytest.approx(same.llf, abs=1e-9)  # no degrees of freedom to lose


def small_design(y: Vector, codes: Vector, X: Matrix) -> Design:
    term = RandomTerm(
        "g", ("Intercept",), pd.RangeIndex(int(codes.max()) + 1), codes, np.ones((len(y), 1))
    )
    mean = PredictorDesign(X, tuple(f"x{i}" for i in range(X.shape[1])), {}, None, (term,))
    return Design("y", y, mean, pd.RangeIndex(len(y)), len(y))


CODES = np.repeat(np.arange(6), 4)
NOISE = np.random.default_rng(8).normal(size=24)
ONE = np.ones((24, 1))


@pytest.mark.parametrize(
    ("y", "X", "error", "message"),
    [
        (np.full(24, 3.0), ONE, DataError, "`y` exactly.*not constant"),
        (1e9 + CODES.astype(float), np.eye(6)[CODES], DataError, "`y` exactly"),
        (CODES.astype(float), ONE, FitError, "by `g` reproduce the response `y`"),
        (NOISE, np.eye(6)[CODES], DataError, "by `g` cannot be told from the fixed effects"),
        (NOISE, np.eye(24), DataError, r"observations \(24\) does not exceed.*\(24\)"),
    ],
    ids=["constant", "fixed effects fit", "random effects fit", "in both parts", "saturated"],
)
@pytest.mark.parametrize("reml", [False, True])
def test_impossible_models_are_refused(
    y: Vector, X: Matrix, error: type[Exception], message: str, reml: bool
) -> None:
    with pytest.raises(error, match=message):
        estimate_linear(small_design(y, CODES, X), reml)


@pytest.mark.parametrize("start", [[1.0, 2.0], [], [np.nan], [np.inf]])
def test_a_start_must_fit_the_model(start: list[float]) -> None:
    with pytest.raises(OptionError, match="`start`"):
        estimate_linear(small_design(NOISE, CODES, ONE), True, np.array(start))


def test_data_of_the_size_of_their_rounding_are_not_refused() -> None:
    """An offset of 1e12 leaves noise of one with four digits: estimable, and estimated."""
    small = estimate_linear(small_design(NOISE + 0.5 * CODES, CODES, ONE), True)
    large = estimate_linear(small_design(NOISE + 0.5 * CODES + 1e12, CODES, ONE), True)
    assert large.sigma == pytest.approx(small.sigma, rel=1e-3)
