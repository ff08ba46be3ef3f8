"""The optimiser on functions whose minima are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from hglm.numerics.trust_region import TrustRegion, minimise, trust_region_step
from hglm.typing import Matrix, Vector


@dataclass(frozen=True)
class At:
    value: float
    gradient: Vector
    hessian: Matrix


def quadratic(A: Matrix, centre: Vector) -> Callable[[Vector], At]:
    def objective(x: Vector) -> At:
        d = x - centre
        return At(float(0.5 * d @ A @ d), A @ d, A)

    return objective


def rosenbrock(x: Vector) -> At:
    """Chained Rosenbrock function; minimum 0 at (1, ..., 1)."""
    a, b = x[:-1], x[1:]
    gradient, hessian = np.zeros_like(x), np.zeros((len(x), len(x)))
    gradient[:-1] += -400.0 * a * (b - a**2) - 2.0 * (1.0 - a)
    gradient[1:] += 200.0 * (b - a**2)
    i = np.arange(len(a))
    hessian[i, i] += 1200.0 * a**2 - 400.0 * b + 2.0
    hessian[i + 1, i + 1] += 200.0
    hessian[i, i + 1] += -400.0 * a
    hessian[i + 1, i] += -400.0 * a
    value = float((100.0 * (b - a**2) ** 2 + (1.0 - a) ** 2).sum())
    return At(value, gradient, hessian)


def spd(k: int, condition: float) -> Matrix:
    rng = np.random.default_rng(k)
    basis = np.linalg.qr(rng.normal(size=(k, k)))[0]
    return basis * np.geomspace(1.0, condition, k) @ basis.T


@pytest.mark.parametrize("condition", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("k", [1, 2, 5, 21])
def test_a_quadratic_takes_one_step(k: int, condition: float) -> None:
    centre = np.linspace(-2.0, 3.0, k)
    result = minimise(quadratic(spd(k, condition), centre), np.zeros(k), TrustRegion())
    assert result.converged
    assert result.evaluations <= 2
    np.testing.assert_allclose(result.x, centre, atol=1e-6)


@pytest.mark.parametrize("radius", [None, 1e-3, 100.0])
@pytest.mark.parametrize("start", [[-1.2, 1.0], [2.0, -1.5, 0.5, 3.0], [30.0, -20.0, 10.0]])
def test_the_curved_valley_is_followed_to_its_end(start: list[float], radius: float | None) -> None:
    result = minimise(rosenbrock, np.array(start), TrustRegion(1e-14, radius=radius))
    assert result.converged
    np.testing.assert_allclose(result.x, 1.0, atol=1e-5)


def test_a_saddle_is_left() -> None:
    def saddle(x: Vector) -> At:  # x⁴/4 - x²/2 + y²/2: minima at (±1, 0), saddle at 0
        value = float(x[0] ** 4 / 4 - x[0] ** 2 / 2 + x[1] ** 2 / 2)
        return At(value, np.array([x[0] ** 3 - x[0], x[1]]), np.diag([3 * x[0] ** 2 - 1, 1.0]))

    for start in ([0.0, 0.0], [0.0, 2.0], [1e-9, -1.0]):  # gradient without the downhill direction
        result = minimise(saddle, np.array(start), TrustRegion())
        assert result.converged
        assert result.point.value == pytest.approx(-0.25, abs=1e-9)
        assert abs(result.x[0]) == pytest.approx(1.0, abs=1e-4)


def test_a_singular_hessian_does_not_stall() -> None:
    def ridge(x: Vector) -> At:  # flat along (1, -1)
        s = x.sum() - 3.0
        return At(float(s * s), 2.0 * s * np.ones(2), 2.0 * np.ones((2, 2)))

    result = minimise(ridge, np.array([10.0, -4.0]), TrustRegion())
    assert result.converged
    assert result.evaluations < 5
    assert result.x.sum() == pytest.approx(3.0, abs=1e-5)
    assert np.linalg.norm(result.x) < 20  # did not run away along the flat direction


def test_a_minimum_with_vanishing_curvature_is_reached() -> None:
    def quartic(x: Vector) -> At:
        return At(float((x**4).sum()), 4.0 * x**3, np.diag(12.0 * x**2))

    result = minimise(quartic, np.array([1.0, -2.0]), TrustRegion())
    assert result.converged
    assert result.point.value < 1e-8


def test_infeasible_points_are_backed_away_from() -> None:
    def log_barrier(x: Vector) -> At:  # x - log x, undefined for x <= 0; minimum at 1
        if x[0] <= 0:
            return At(np.inf, np.full(1, np.nan), np.full((1, 1), np.nan))
        return At(float(x[0] - np.log(x[0])), 1 - 1 / x, np.diag(1 / x**2))

    result = minimise(log_barrier, np.array([50.0]), TrustRegion())
    assert any(not np.isfinite(value) for _, value in result.path)
    assert result.converged
    assert result.x[0] == pytest.approx(1.0, abs=1e-4)


def test_the_best_point_is_returned_and_every_trial_recorded() -> None:
    result = minimise(rosenbrock, np.array([-1.2, 1.0]), TrustRegion())
    assert result.evaluations == len(result.path)
    assert result.point.value == min(value for _, value in result.path)
    assert rosenbrock(result.x).value == result.point.value


def test_running_out_of_evaluations_is_not_convergence() -> None:
    result = minimise(rosenbrock, np.array([-1.2, 1.0]), TrustRegion(max_evaluations=5))
    assert not result.converged
    assert result.evaluations == 5
    assert result.predicted_decrease > 1e-3


def test_a_known_first_point_is_not_evaluated_again() -> None:
    calls: list[Vector] = []

    def counted(x: Vector) -> At:
        calls.append(x)
        return rosenbrock(x)

    start = np.array([0.5, 0.5])
    result = minimise(counted, start, TrustRegion(), first=rosenbrock(start))
    assert len(calls) == result.evaluations - 1
    assert not any(np.array_equal(x, start) for x in calls)


def test_nothing_to_minimise() -> None:
    result = minimise(quadratic(np.zeros((0, 0)), np.zeros(0)), np.zeros(0), TrustRegion())
    assert result.converged
    assert result.evaluations == 1


def test_the_start_is_not_changed() -> None:
    start = np.array([-1.2, 1.0])
    start.setflags(write=False)
    minimise(rosenbrock, start, TrustRegion())
    np.testing.assert_array_equal(start, [-1.2, 1.0])


@pytest.mark.parametrize("seed", range(40))
def test_a_step_solves_the_subproblem(seed: int) -> None:
    """Optimality (Conn, Gould & Toint 2000, theorem 7.2.1).

    (H + μD)s = -g with H + μD positive semidefinite, μ >= 0, and μ = 0 or ‖s‖_D = radius;
    to about 1e-6, where the bisection for μ stops.
    """
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 6))
    H = rng.normal(size=(k, k))
    H = H + H.T + float(rng.choice([0.0, 4.0 * k])) * np.eye(k)
    g, scale = rng.normal(size=k), rng.uniform(0.3, 3.0, k)
    radius = float(rng.choice([0.1, 1.0, 10.0]))
    step, predicted, inside = trust_region_step(g, H, scale, radius)
    length = np.linalg.norm(step * scale)
    assert length <= radius * (1 + 1e-6)
    assert predicted == pytest.approx(-float(g @ step + 0.5 * step @ H @ step), rel=1e-9)
    residual = -(g + H @ step)
    mu = float(residual @ step / (step @ (scale**2 * step)))
    np.testing.assert_allclose(residual, mu * scale**2 * step, atol=1e-5 * np.abs(H).max())
    assert mu >= -1e-8
    assert np.linalg.eigvalsh(H + mu * np.diag(scale**2))[0] >= -1e-5
    assert inside == (mu < 1e-8)
    if not inside:
        assert length == pytest.approx(radius, rel=1e-5)
