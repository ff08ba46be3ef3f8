"""The conformance suite of covariance structures, and what each promises besides."""

from __future__ import annotations

import numpy as np
import pytest

from hglm.covariance import (
    COORDINATES,
    STRUCTURES,
    Layout,
    Slot,
    Structure,
    lower_factor,
    structure,
)
from hglm.errors import FormulaError
from hglm.typing import Matrix, Vector

PLANE = 2.0 * np.random.default_rng(9).random((5, 2))
LINE = np.array([[0.0], [0.3], [1.0], [1.1], [4.0]])
GAPS = np.array([[0.0], [1.0], [3.0], [4.0], [9.0]])
MEMBERS: dict[str, Matrix | None] = {
    **dict.fromkeys(STRUCTURES),
    **{f"{name} with gaps": GAPS for name in ("ar1", "hetar1")},
    **{name: LINE if name == "ou" else PLANE for name in COORDINATES},
}
"""Name -> coordinates of up to five coefficients."""


@pytest.fixture(params=range(1, 6))
def k(request: pytest.FixtureRequest) -> int:
    order: int = request.param
    return order


@pytest.fixture(params=sorted(MEMBERS))
def member(request: pytest.FixtureRequest, k: int) -> Structure:
    return member_of_order(request.param, k)


@pytest.fixture(params=sorted(set(MEMBERS) - {"exp", "gau", "matern"}))
def exact_member(request: pytest.FixtureRequest, k: int) -> Structure:
    """All but kernels, whose ranges are found by search: those need only come near."""
    return member_of_order(request.param, k)


def member_of_order(title: str, k: int) -> Structure:
    coordinates = MEMBERS[title]
    name = title.partition(" ")[0]
    return structure(name, None if coordinates is None else coordinates[:k])


def draws(member: Structure, k: int, number: int = 20) -> list[Vector]:
    rng = np.random.default_rng(k)
    return [rng.normal(scale=1.5, size=member.n_parameters(k)) for _ in range(number)]


def sigma(member: Structure, theta: Vector, k: int) -> Matrix:
    T = member.factor(theta, k)
    return T @ T.T


def on_the_boundary(member: Structure, k: int) -> list[Vector]:
    """θ where every single parameter, and all of them, are zero."""
    out = [np.zeros(member.n_parameters(k))]
    for i in range(member.n_parameters(k)):
        theta = draws(member, k, 1)[0]
        theta[i] = 0.0
        out.append(theta)
    return out


def test_the_factor_is_lower_triangular_and_real(member: Structure, k: int) -> None:
    for theta in draws(member, k) + on_the_boundary(member, k):
        T = member.factor(theta, k)
        assert T.shape == (k, k)
        np.testing.assert_array_equal(T, np.tril(T))


def test_every_theta_gives_a_covariance(member: Structure, k: int) -> None:
    """No bounds on θ: Σ is positive semidefinite everywhere, far out and on the boundary too."""
    for theta in draws(member, k) + on_the_boundary(member, k):
        for scale in (1.0, 1e-8, 1e4):
            S = sigma(member, scale * theta, k)
            assert np.all(np.isfinite(S))
            assert np.linalg.eigvalsh(S)[0] >= -1e-12 * max(np.abs(S).max(), 1e-300)


def test_derivatives_against_differences(member: Structure, k: int) -> None:
    for theta in draws(member, k) + on_the_boundary(member, k):
        exact = member.derivatives(theta, k)
        assert exact.shape == (member.n_parameters(k), k, k)
        for i, d in enumerate(exact):
            step = np.zeros_like(theta)
            step[i] = 1e-3
            near = member.factor(theta + step, k) - member.factor(theta - step, k)
            far = member.factor(theta + 2 * step, k) - member.factor(theta - 2 * step, k)
            numeric = (8.0 * near - far) / 12e-3  # error O(step⁴)
            np.testing.assert_allclose(
                d, numeric, rtol=0, atol=1e-8 * (1 + np.abs(theta).max()) ** 2
            )


def test_curvature_against_differences(member: Structure, k: int) -> None:
    weights = np.random.default_rng(6).normal(size=(k, k))
    for theta in draws(member, k) + on_the_boundary(member, k):
        exact = member.curvature(theta, k, weights)
        steps = 1e-4 * np.eye(len(theta))
        ahead = [member.derivatives(theta + step, k) for step in steps]
        behind = [member.derivatives(theta - step, k) for step in steps]
        numeric = np.tensordot((np.array(ahead) - np.array(behind)) / 2e-4, weights, 2)
        np.testing.assert_allclose(exact, numeric, atol=1e-6 * (1 + np.abs(theta).max()) ** 2)
        np.testing.assert_array_equal(exact, exact.T)


def test_from_factor_recovers_the_covariance(exact_member: Structure, k: int) -> None:
    rng = np.random.default_rng(0)
    for theta in draws(exact_member, k) + on_the_boundary(exact_member, k):
        T = exact_member.factor(theta, k)
        rotated = T @ np.linalg.qr(rng.normal(size=(k, k)))[0]  # any factor of the same Σ will do
        for factor in (T, rotated, np.hstack([T, np.zeros((k, 2))])):
            S = sigma(exact_member, exact_member.from_factor(factor), k)
            np.testing.assert_allclose(
                S, T @ T.T, rtol=1e-9, atol=1e-9 * (1 + np.abs(T).max()) ** 2
            )


@pytest.mark.parametrize("name", ["exp", "gau", "matern"])
def test_from_factor_comes_near_a_kernel(name: str) -> None:
    """Ranges and smoothness that the distances can tell, to three figures of every correlation."""
    member = structure(name, PLANE)
    for theta in 2.0 + 0.5 * draws(member, 5)[0] * np.eye(member.n_parameters(5)):
        theta[1:] -= 2.0
        S = sigma(member, theta, 5)
        near = sigma(member, member.from_factor(member.factor(theta, 5)), 5)
        np.testing.assert_allclose(near, S, atol=2e-3 * S.max())


def test_from_factor_of_anything_is_a_member(member: Structure, k: int) -> None:
    """Near Σ = FF' where the family does not hold it; the variances, or their mean, are kept."""
    rng = np.random.default_rng(1)
    for columns in (1, k, k + 2):
        F = rng.normal(size=(k, columns))
        theta = member.from_factor(F)
        assert theta.shape == (member.n_parameters(k),)
        S = sigma(member, theta, k)
        kept = (F**2).sum(axis=1)
        if member.mixing == "none":
            kept = np.full(k, kept.mean())
        np.testing.assert_allclose(np.diagonal(S), kept, rtol=1e-10)
    assert np.all(np.isfinite(member.from_factor(np.zeros((k, k)))))


def test_canonical_theta_is_a_unique_representative(member: Structure, k: int) -> None:
    for theta in draws(member, k) + on_the_boundary(member, k):
        canonical = member.canonical(theta, k)
        np.testing.assert_allclose(
            sigma(member, canonical, k), sigma(member, theta, k), rtol=1e-12, atol=1e-12
        )
        np.testing.assert_allclose(member.canonical(canonical, k), canonical, atol=1e-15)
        assert np.all(np.diagonal(member.factor(canonical, k)) >= 0)


def test_canonical_theta_survives_the_round_trip(exact_member: Structure, k: int) -> None:
    for theta in draws(exact_member, k):
        canonical = exact_member.canonical(theta, k)
        again = exact_member.from_factor(exact_member.factor(canonical, k))
        np.testing.assert_allclose(again, canonical, atol=1e-7 * (1 + np.abs(theta).max()))


def test_declared_mixing_is_absorbed(exact_member: Structure, k: int) -> None:
    """Z S with covariance Σ is Z with SΣS': the family must hold that one too."""
    rng = np.random.default_rng(2)
    maps = {
        "linear": np.tril(rng.normal(size=(k, k))) + 3 * np.eye(k),
        "columns": np.diag(rng.uniform(0.1, 10.0, k)),
        "none": 3.0 * np.eye(k),
    }
    S = maps[exact_member.mixing]
    for theta in draws(exact_member, k):
        T = S @ exact_member.factor(theta, k)
        np.testing.assert_allclose(
            sigma(exact_member, exact_member.from_factor(T), k), T @ T.T, rtol=1e-8
        )


@pytest.mark.parametrize("name", STRUCTURES)
def test_names_in_formulas_lead_to_the_members(name: str) -> None:
    assert structure(name).name == name
    assert structure(name) is STRUCTURES[name]


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(FormulaError, match=r"'csh'.*did you mean 'cs'"):
        structure("csh")
    with pytest.raises(FormulaError, match=r"choose one of .*diag"):
        structure("spatial")


def test_number_of_parameters() -> None:
    """k(k+1)/2, k and k + 1: the free numbers of Σ (1 each where k = 1)."""
    counts = {name: [s.n_parameters(k) for k in (1, 2, 3, 4)] for name, s in STRUCTURES.items()}
    assert counts["us"] == [1, 3, 6, 10]
    assert counts["diag"] == [1, 2, 3, 4]
    assert counts["cs"] == [1, 3, 4, 5]


def test_unstructured_theta_is_lme4s() -> None:
    """Lower triangle by columns, as `getME(fit, "theta")` has it."""
    T = STRUCTURES["us"].factor(np.arange(1.0, 7.0), 3)
    np.testing.assert_array_equal(T, [[1, 0, 0], [2, 4, 0], [3, 5, 6]])


def test_diagonal_has_no_covariances(k: int) -> None:
    for theta in draws(STRUCTURES["diag"], k):
        np.testing.assert_array_equal(sigma(STRUCTURES["diag"], theta, k), np.diag(theta**2))


@pytest.mark.parametrize("k", range(2, 6))
def test_compound_symmetry_has_one_correlation_in_its_whole_range(k: int) -> None:
    """One ρ for all pairs, in [-1/(k-1), 1]: lower would not be a covariance matrix."""
    cs = STRUCTURES["cs"]
    seen = []
    for phi in np.linspace(0.0, np.pi / 2, 21):
        theta = np.append(np.linspace(0.5, 1.5, k), phi)
        S = sigma(cs, theta, k)
        sd = np.sqrt(np.diagonal(S))
        rho = (S / np.outer(sd, sd))[np.tril_indices(k, -1)]
        np.testing.assert_allclose(rho, rho[0], atol=1e-12)
        np.testing.assert_allclose(sd, theta[:k] ** 2, rtol=1e-12)
        assert np.linalg.eigvalsh(S)[0] >= -1e-14
        seen.append(rho[0])
    assert seen[0] == pytest.approx(-1.0 / (k - 1), abs=1e-12)
    assert seen[-1] == pytest.approx(1.0, abs=1e-12)
    assert np.all(np.diff(seen) > 0)


@pytest.mark.parametrize("k", range(2, 6))
def test_compound_symmetry_cannot_leave_the_range(k: int) -> None:
    cs = STRUCTURES["cs"]
    for phi in np.random.default_rng(k).normal(scale=100.0, size=50):
        S = sigma(cs, np.append(np.ones(k), phi), k)
        assert -1.0 / (k - 1) - 1e-12 <= S[1, 0] <= 1.0 + 1e-12


def test_compound_symmetry_of_two_columns_is_unstructured() -> None:
    cs, us = STRUCTURES["cs"], STRUCTURES["us"]
    for theta in draws(us, 2):
        T = us.factor(theta, 2)
        np.testing.assert_allclose(sigma(cs, cs.from_factor(T), 2), T @ T.T, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 5), (4, 1), (5, 3)])
def test_lower_factor_of_any_factor(shape: tuple[int, int]) -> None:
    F = np.random.default_rng(3).normal(size=shape)
    T = lower_factor(F)
    np.testing.assert_allclose(T @ T.T, F @ F.T, atol=1e-13)
    np.testing.assert_array_equal(T, np.tril(T))
    assert np.all(np.diagonal(T) >= 0)


def layout() -> Layout:
    """(x | g) + diag(u + v | g) as one group of order 4, and (1 | h)."""
    us, diag = STRUCTURES["us"], STRUCTURES["diag"]
    slots = (Slot(0, 0, 2, us, 0), Slot(0, 2, 2, diag, 3), Slot(1, 0, 1, us, 5))
    return Layout(slots, (4, 1))


def test_terms_on_one_factor_share_a_block_diagonal_factor() -> None:
    theta = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    first, second = layout().factors(theta)
    expected = [[1, 0, 0, 0], [2, 3, 0, 0], [0, 0, 4, 0], [0, 0, 0, 5]]
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(second, [[6]])
    assert layout().n_theta == 6


def test_layout_derivatives_against_differences() -> None:
    theta = np.random.default_rng(4).normal(size=6)
    exact = layout().derivatives(theta)
    assert [group for group, _ in exact] == [0, 0, 0, 0, 0, 1]
    for i, (group, d) in enumerate(exact):
        step = 1e-6 * np.eye(6)[i]
        plus, minus = layout().factors(theta + step), layout().factors(theta - step)
        for g in range(2):
            numeric = (plus[g] - minus[g]) / 2e-6
            np.testing.assert_allclose(numeric, d if g == group else 0.0 * numeric, atol=1e-9)


def test_layout_curvature_is_that_of_its_slots() -> None:
    cs = STRUCTURES["cs"]
    slots = (Slot(0, 0, 1, STRUCTURES["us"], 0), Slot(0, 1, 3, cs, 1))
    theta = np.random.default_rng(7).normal(size=5)
    weights = np.random.default_rng(8).normal(size=(4, 4))
    curvature = Layout(slots, (4,)).curvature(theta, [weights])
    np.testing.assert_array_equal(curvature[0], 0.0)
    np.testing.assert_array_equal(curvature[1:, 1:], cs.curvature(theta[1:], 3, weights[1:, 1:]))


def test_layout_takes_theta_apart_and_puts_it_together() -> None:
    theta = np.abs(np.random.default_rng(5).normal(size=6))
    factors = layout().term_factors(theta)
    assert [f.shape for f in factors] == [(2, 2), (2, 2), (1, 1)]
    np.testing.assert_allclose(layout().from_factors(factors), theta, atol=1e-14)
    np.testing.assert_allclose(layout().canonical(-theta)[[3, 4, 5]], theta[[3, 4, 5]])


def test_an_empty_layout() -> None:
    empty = Layout((), ())
    assert empty.n_theta == 0
    assert empty.factors(np.zeros(0)) == []
    assert empty.from_factors([]).shape == (0,)
    assert empty.canonical(np.zeros(0)).shape == (0,)
