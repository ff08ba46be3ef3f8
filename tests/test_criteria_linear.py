"""The criterion of linear models, its derivatives and its start, against dense matrices.

The catalogue of designs stands in `linear_models.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import block_diag

from dense_oracle import dense_z
from hglm.covariance import STRUCTURES
from hglm.criteria.linear_problem import linear_problem
from hglm.criteria.moments import CEILING, FLOOR, moment_start
from hglm.criteria.profiled import evaluate, solve
from hglm.design.arrays import PredictorDesign, RandomTerm
from hglm.typing import Matrix, Vector
from linear_models import CROSSED, MODELS, PLANS, Case, N, make_case


@pytest.fixture(params=PLANS, ids=lambda p: f"{p[0]}{' (sparse)' if p[1] else ''}")
def plan(request: pytest.FixtureRequest) -> tuple[str, bool]:
    chosen: tuple[str, bool] = request.param
    return chosen


@pytest.fixture(params=[False, True], ids=["ML", "REML"])
def reml(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(
    params=[(*plan, reml) for plan in PLANS for reml in (False, True) if reml or not plan[1]],
    ids=lambda p: f"{p[0]}{' (sparse)' if p[1] else ''}-{'REML' if p[2] else 'ML'}",
)
def case(request: pytest.FixtureRequest) -> Case:
    """Every design by both criteria; with a sparse factor by REML, which holds ML's parts."""
    model, sparse, reml = request.param
    return make_case(model, reml, sparse)


def test_the_catalogue_reaches_every_structure_and_block_kind() -> None:
    used = {s.structure for specs in MODELS.values() for s in specs}
    assert used == set(STRUCTURES)
    problems = [make_case(name, True).problem for name in MODELS]
    chains = {(len(p.plan.chain), p.plan.crossed is not None) for p in problems}
    assert {(0, False), (1, False), (2, False), (3, False), (0, True), (1, True)} <= chains
    assert "crossed" in CROSSED
    assert "nested" not in CROSSED


def test_value_against_dense(case: Case) -> None:
    for theta in case.thetas(singular=False) + case.thetas(singular=True):
        assert solve(case.problem, theta, case.reml).value == pytest.approx(
            case.value(theta), abs=1e-9
        )


@pytest.mark.parametrize(
    "model", ["one factor, slopes", "nested", "crossed, slopes", "interaction"]
)
def test_value_with_weights_and_frequencies_against_dense(model: str, reml: bool) -> None:
    case = make_case(model, reml, weighted=True)
    for theta in case.thetas(singular=False):
        assert solve(case.problem, theta, reml).value == pytest.approx(case.value(theta), abs=1e-9)


def test_solution_against_dense(case: Case) -> None:
    """β, σ², their covariance and the modes, in the user's coordinates."""
    for theta in case.thetas(singular=False)[:1] + case.thetas(singular=True)[1:2]:
        s, expected = solve(case.problem, theta, case.reml), case.dense(theta)
        fixed = case.problem.fixed
        error = np.sqrt(np.diagonal(expected.vcov))
        beta = fixed.to_beta @ (fixed.gamma + s.gamma) + fixed.shift
        np.testing.assert_allclose((beta - expected.beta) / error, 0.0, atol=1e-9)
        assert s.sigma2 == pytest.approx(expected.sigma2, rel=1e-11)
        root = np.linalg.solve(s.L_X, fixed.to_beta.T)
        vcov = s.sigma2 * root.T @ root
        np.testing.assert_allclose(
            vcov / np.outer(error, error), expected.vcov / np.outer(error, error), atol=1e-9
        )
        b = s.combine(s.modes)
        for slot, S, modes in zip(
            case.problem.layout.slots, case.problem.maps, expected.modes, strict=True
        ):
            got = (S @ b[slot.group][slot.columns]).T
            np.testing.assert_allclose(got, modes, rtol=1e-8, atol=1e-9 * np.abs(modes).max())


@pytest.mark.parametrize("singular", [False, True])
def test_gradient_against_differences_of_the_dense_criterion(case: Case, singular: bool) -> None:
    """To 1e-6 relative; differences of order four, whose own error is about 1e-9 here."""
    for theta in case.thetas(singular):
        gradient = evaluate(case.problem, theta, case.reml).gradient
        numeric = differences(case.value, theta)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=2e-8)


@pytest.mark.parametrize("singular", [False, True])
def test_hessian_against_the_dense_average_information(case: Case, singular: bool) -> None:
    for theta in case.thetas(singular):
        if case.problem.plan.crossed is not None and hides_a_direction(case, theta):
            continue
        hessian = evaluate(case.problem, theta, case.reml).hessian
        np.testing.assert_array_equal(hessian, hessian.T)
        expected = dense_hessian(case, theta)
        size = np.sqrt(np.maximum(np.abs(np.diagonal(expected)), 1e-3))
        np.testing.assert_allclose(
            hessian / np.outer(size, size), expected / np.outer(size, size), atol=2e-7
        )


@pytest.mark.parametrize(
    "model", [m for m in MODELS if not any(s.structure == "cs" for s in MODELS[m])]
)
def test_hessian_is_the_exact_one_where_all_variances_are_zero(model: str, reml: bool) -> None:
    """At T = 0 every ∂Σ vanishes, and what is left of the Hessian is no approximation."""
    case = make_case(model, reml)
    zero = np.zeros(case.problem.layout.n_theta)
    exact = differences(lambda t: evaluate(case.problem, t, reml).gradient, zero, 1e-3)
    hessian = evaluate(case.problem, zero, reml).hessian
    np.testing.assert_allclose(hessian, exact.reshape(hessian.shape), rtol=1e-6, atol=1e-6)


def test_evaluation_is_pure(plan: tuple[str, bool]) -> None:
    """Same θ, same numbers, whatever was evaluated in between; inputs unchanged."""
    case = make_case(plan[0], True, plan[1])
    first, other = case.thetas(singular=False)
    first.setflags(write=False)
    before = evaluate(case.problem, first, True)
    evaluate(case.problem, other, False)
    after = evaluate(case.problem, first, True)
    assert before.value == after.value == solve(case.problem, first, True).value
    np.testing.assert_array_equal(before.gradient, after.gradient)
    np.testing.assert_array_equal(before.hessian, after.hessian)


def test_the_problem_leaves_its_inputs_alone() -> None:
    case = make_case("crossed, slopes", True, weighted=True)
    arrays = [case.design.X, case.y, case.weights, case.frequencies]
    arrays += [a for t in case.design.random for a in (t.codes, t.z)]
    for a in arrays:
        assert a is not None
        a.setflags(write=False)
    problem = linear_problem(case.design, case.y, case.weights, case.frequencies)
    moment_start(problem)
    evaluate(problem, np.ones(problem.layout.n_theta), True)


def test_terms_on_one_factor_are_merged_largest_factor_first() -> None:
    problem = make_case("crossed, terms on one factor", True).problem
    assert problem.layout.orders == (1, 2)  # g has most levels; both terms of h together
    assert problem.terms == (0, 1, 2)
    problem = make_case("terms on one factor", True).problem
    assert problem.layout.orders == (4,)
    reordered = make_case("crossed and nested", True).problem
    assert reordered.gramian.sizes == tuple(sorted(reordered.gramian.sizes, reverse=True))


def test_merged_terms_equal_a_diagonal_structure(reml: bool) -> None:
    """(1 | g) + (0 + x | g) is diag(1 + x | g)."""
    apart = make_case("one factor", reml)
    design = apart.design
    z = np.column_stack([np.ones(N), design.X[:, 1]])
    base = design.random[0]
    merged = tuple(dataclasses.replace(base, names=("c",), z=z[:, [i]]) for i in range(2))
    together = dataclasses.replace(base, names=("a", "b"), z=z, structure="diag")
    theta = np.array([0.7, 1.3])
    values = [
        solve(linear_problem(dataclasses.replace(design, random=r), apart.y), theta, reml).value
        for r in (merged, (together,))
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-10)


@pytest.mark.parametrize("model", MODELS)
def test_moment_start_solves_the_minque0_equations(model: str) -> None:
    for seed in range(3):
        case = make_case(model, True, seed=seed)
        start = case.problem.layout.term_factors(moment_start(case.problem))
        for T, expected in zip(start, dense_minque0(case), strict=True):
            np.testing.assert_allclose(T @ T.T, expected, rtol=1e-6, atol=1e-6)


def test_moment_start_is_the_anova_estimate_of_a_balanced_one_way_layout() -> None:
    rng = np.random.default_rng(0)
    q, r = 12, 5
    codes = np.repeat(np.arange(q), r)
    y = rng.normal(size=q)[codes] * 2.0 + rng.normal(size=q * r)
    means = y.reshape(q, r).mean(axis=1)
    msb = r * means.var(ddof=1)
    msw = ((y - means[codes]) ** 2).sum() / (q * (r - 1))
    one = np.ones((q * r, 1))
    term = RandomTerm("g", ("Intercept",), pd.RangeIndex(q), codes, one)
    problem = linear_problem(PredictorDesign(one, ("Intercept",), {}, None, (term,)), y)
    assert moment_start(problem)[0] ** 2 == pytest.approx((msb - msw) / r / msw, rel=1e-12)


def test_moment_start_is_the_anova_estimate_of_a_balanced_two_way_layout() -> None:
    """Rows × columns without replication: σ_a² = (MSA - MSE)/c, σ_b² = (MSB - MSE)/r."""
    rng = np.random.default_rng(1)
    r, c = 9, 7
    table = rng.normal(size=(r, 1)) * 2 + rng.normal(size=(1, c)) * 3 + rng.normal(size=(r, c))
    rows, cols = np.repeat(np.arange(r), c), np.tile(np.arange(c), r)
    msa, msb = c * table.mean(axis=1).var(ddof=1), r * table.mean(axis=0).var(ddof=1)
    sse = ((table - table.mean()) ** 2).sum() - (r - 1) * msa - (c - 1) * msb
    mse = sse / ((r - 1) * (c - 1))
    one = np.ones((r * c, 1))
    terms = (
        RandomTerm("row", ("Intercept",), pd.RangeIndex(r), rows, one),
        RandomTerm("column", ("Intercept",), pd.RangeIndex(c), cols, one),
    )
    design = PredictorDesign(one, ("Intercept",), {}, None, terms)
    start = moment_start(linear_problem(design, table.ravel()))
    expected = [(msa - mse) / c / mse, (msb - mse) / r / mse]
    np.testing.assert_allclose(start**2, expected, rtol=1e-11)


def test_moment_start_is_the_anova_estimate_of_balanced_random_coefficients() -> None:
    """Same x in every group: Σ = cov(OLS coefficients) - σ²(x'x)^-1."""
    rng = np.random.default_rng(2)
    q, r = 20, 6
    x = np.column_stack([np.ones(r), np.linspace(-1, 2, r)])
    b = rng.normal(size=(q, 2)) @ np.array([[2.0, 0.5], [0.0, 1.5]])
    y = b @ x.T + rng.normal(size=(q, r))
    ols = np.linalg.lstsq(x, y.T, rcond=None)[0].T
    sigma2 = ((y - ols @ x.T) ** 2).sum() / (q * (r - 2))
    expected = np.cov(ols.T) - sigma2 * np.linalg.inv(x.T @ x)
    codes, X = np.repeat(np.arange(q), r), np.tile(x, (q, 1))
    term = RandomTerm("g", ("Intercept", "x"), pd.RangeIndex(q), codes, X)
    problem = linear_problem(PredictorDesign(X, ("a", "b"), {}, None, (term,)), y.ravel())
    T = problem.user_factors(moment_start(problem))[0]
    np.testing.assert_allclose(sigma2 * T @ T.T, expected, rtol=1e-9)


def test_moment_start_stays_off_the_boundary(case: Case) -> None:
    """Where moments give no covariance matrix, the start is still inside."""
    for T in case.problem.layout.term_factors(moment_start(case.problem)):
        sizes = np.linalg.svd(T)[1] ** 2
        assert np.all(np.diagonal(T @ T.T) >= FLOOR * (1 - 1e-9))
        assert np.all(np.diagonal(T @ T.T) <= len(T) * CEILING)
        assert sizes[-1] > 1e-6


def hides_a_direction(case: Case, theta: Vector) -> bool:
    """Whether some T_bb = 0 below which its column goes on: there F is a bound (`_divide`)."""
    return any(
        T[b, b] == 0.0 and T[b + 1 :, b].any()
        for T in case.problem.layout.factors(theta)
        for b in range(len(T))
    )


def differences(f: Callable[[Vector], float | Matrix], theta: Vector, h: float = 2e-3) -> Matrix:
    """Central differences of order four. (m, ...)"""
    out = []
    for e in h * np.eye(len(theta)):
        near, far = f(theta + e) - f(theta - e), f(theta + 2 * e) - f(theta - 2 * e)
        out.append((8 * near - far) / (12 * h))
    return np.array(out)


def dense_hessian(case: Case, theta: Vector) -> Matrix:
    """Average information and the term of ∂²Σ, from V in full; see `criteria.profiled`."""
    s = case.dense(theta)
    y = case.rows(case.y)
    nu = len(y) - case.design.X.shape[1] if case.reml else len(y)
    Py = s.P @ y
    F_full = (s.P if case.reml else np.linalg.inv(s.V)) - np.outer(Py, Py) / s.sigma2
    derivatives, second = [], []
    for slot, S, (codes, z, _) in zip(
        case.problem.layout.slots, case.problem.maps, case.terms(theta), strict=True
    ):
        own = theta[slot.parameters]
        T, dT = slot.structure.factor(own, slot.k), slot.structure.derivatives(own, slot.k)
        Z = dense_z(codes, z @ S)
        levels = Z.shape[1] // slot.k
        for d in dT:
            D = np.kron(np.eye(levels), d @ T.T + T @ d.T)
            derivatives.append(Z @ D @ Z.T)
        F = np.einsum("lalb->ab", (Z.T @ F_full @ Z).reshape(levels, slot.k, levels, slot.k))
        own_derivatives = partial(slot.structure.derivatives, k=slot.k)
        second.append(2.0 * np.einsum("iab,ac,jcb->ij", dT, F, dT))
        second[-1] += 2.0 * np.einsum("ijab,ab->ij", differences(own_derivatives, own, 3e-4), F @ T)
    f = np.array([D @ Py for D in derivatives]).reshape(-1, len(y))  # f_i = ∂V_i P y
    quad = f @ Py
    return (
        f @ s.P @ f.T / s.sigma2 - np.outer(quad, quad) / (nu * s.sigma2**2) + block_diag(*second)
    )


def dense_minque0(case: Case) -> list[Matrix]:
    """Relative Σ of each slot by MINQUE(0), standardised columns, projected like the start.

    Rao (1972): S γ = u with S_ij = tr(M G_i M G_j), u_i = y'M G_i M y, M = I - X(X'X)^-1X'.
    """
    Q = np.linalg.qr(case.design.X)[0]
    M = np.eye(N) - Q @ Q.T
    ends, G, bases = [0], [], []
    for slot, position, S in zip(
        case.problem.layout.slots, case.problem.terms, case.problem.maps, strict=True
    ):
        term = case.design.random[position]
        z = term.z @ S
        same = term.codes[:, None] == term.codes[None, :]
        k = slot.k
        for a in range(k):
            for b in range(a + 1):
                if slot.structure.name != "diag" or a == b:
                    unit = np.zeros((k, k))
                    unit[a, b] = unit[b, a] = 1.0
                    bases.append(unit)
                    G.append(M @ (same * (z @ unit @ z.T)) @ M)
        ends.append(len(G))
    G.append(M)
    e = M @ case.y
    system = np.array([[np.sum(A * B) for B in G] for A in G])
    gamma = np.linalg.lstsq(system, [e @ A @ e for A in G], rcond=1e-10)[0]
    sigma2 = max(gamma[-1], 0.05 * (e @ e) / np.trace(M))
    out = []
    for slot, start, end in zip(case.problem.layout.slots, ends[:-1], ends[1:], strict=True):
        sigma = np.tensordot(gamma[start:end], np.array(bases[start:end]), 1) / sigma2
        values, vectors = np.linalg.eigh(sigma)
        factor = vectors * np.sqrt(np.clip(values, FLOOR, CEILING))
        T = slot.structure.factor(slot.structure.from_factor(factor), slot.k)
        out.append(T @ T.T)
    return out
