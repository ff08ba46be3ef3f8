"""Separation: found exactly where it is, named, and fitted to the limit that it has."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import linalg

import hglm
from hglm.fitting.certificate import Unbounded
from hglm.fitting.unbounded import Flat, without_flats
from hglm.numerics.separation import recession

Q, M = 12, 8


def frame(**columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = Q * M
    x = rng.normal(size=n)
    arm = np.array(list("abcd"))[np.arange(n) % 4]
    given = {"g": np.repeat(np.arange(Q), M), "x": x, "arm": arm, "coin": rng.random(n) < 0.5}
    given |= {"events": rng.poisson(3.0, n), "amount": rng.gamma(2.0, 1.0, n)}
    given |= {"count": rng.negative_binomial(2, 0.4, n)}
    return pd.DataFrame(given | columns)


def only(fit: hglm.Fit) -> Unbounded:
    (found,) = fit.certificate.unbounded
    return found


def rays(A: np.ndarray, wanted: np.ndarray) -> list[np.ndarray]:
    """Extreme rays of {d: every row gets what it wants}, by trying all sets of p - 1 rows."""
    p = A.shape[1]
    found = []
    for rows in combinations(range(len(A)), p - 1):
        N = linalg.null_space(A[list(rows)])
        if N.shape[1] != 1:
            continue
        for d in (N[:, 0], -N[:, 0]):
            move = A @ d
            move[np.abs(move) < 1e-9] = 0.0
            if np.all(np.where(wanted == 0, move == 0, wanted * move >= 0)) and move.any():
                found.append(d)
    return found


@pytest.mark.parametrize("seed", range(60))
def test_the_programme_finds_what_enumeration_finds(seed: int) -> None:
    """A row is separated if some extreme ray of the cone moves it (the cone is their sum)."""
    rng = np.random.default_rng(seed)
    A = np.column_stack([np.ones(9), rng.integers(-2, 3, (9, 2))]).astype(float)
    d = rng.integers(-2, 3, 3)
    wanted = np.where(A @ d >= 0, 1.0, -1.0)
    wanted[rng.random(9) < 0.1] *= -1.0
    wanted[rng.random(9) < 0.15] = 0.0
    if np.linalg.matrix_rank(A) < 3:
        pytest.skip("the cone has no extreme rays")
    expected = rays(A, wanted)
    found = recession(A, wanted)
    assert (found is not None) == bool(expected)
    if found is not None:
        moved = np.any([np.abs(A @ d) > 1e-9 for d in expected], axis=0)
        assert np.array_equal(found.separated, moved & (wanted != 0))
        assert np.allclose(A[~found.separated] @ found.basis, 0.0, atol=1e-8)
        assert found.basis.shape[1] == 3 - np.linalg.matrix_rank(A[~found.separated])


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit"])
def test_complete_separation_is_named_whatever_the_link(link: str) -> None:
    data = frame()
    fit = hglm.fit("y ~ x + (1 | g)", data.assign(y=data["x"] > 0.1), "binomial", link=link)
    found = only(fit)
    assert found.names == ("Intercept", "x")
    assert found.signs[1] == 1
    assert found.complete
    assert found.rows == len(data)
    assert fit.converged  # to the limit of the likelihood, which is one
    assert fit.llf == pytest.approx(0.0, abs=1e-5)
    assert np.all(fit.pvalues > 0.5)


RESPONSES = {
    "binomial": lambda data: data["coin"].astype(float),
    "poisson": lambda data: data["count"],
    "nbinom2": lambda data: data["count"],
    "nbinom1": lambda data: data["count"],
    "tweedie": lambda data: data["amount"] * data["coin"],
}


@pytest.mark.parametrize("family", RESPONSES)
def test_an_empty_cell_leaves_the_model_of_the_other_rows(family: str) -> None:
    """Zeros in one arm cost no likelihood: all else is as if its rows were left out."""
    data = frame()
    y = RESPONSES[family](data)
    fit = hglm.fit("y ~ x + arm + (1 | g)", data.assign(y=y.where(data["arm"] != "c", 0)), family)
    rest = hglm.fit("y ~ x + arm + (1 | g)", data.assign(y=y)[data["arm"] != "c"], family)
    found = only(fit)
    assert (found.names, found.signs, found.rows) == (("arm[T.c]",), (-1,), 24)
    assert not found.complete
    assert fit.converged
    assert fit.llf == pytest.approx(rest.llf, abs=1e-6)
    assert fit.params[rest.params.index].to_numpy() == pytest.approx(
        rest.params.to_numpy(), abs=2e-4
    )
    assert fit.bse[rest.params.index].to_numpy() == pytest.approx(rest.bse.to_numpy(), rel=2e-3)
    assert fit.bse["arm[T.c]"] > 100


def test_a_reference_level_takes_all_its_contrasts_along() -> None:
    data = frame()
    y = np.where(data["arm"] == "a", 1.0, data["coin"])
    found = only(hglm.fit("y ~ x + arm + (1 | g)", data.assign(y=y), "binomial"))
    assert found.names == ("Intercept", "arm[T.b]", "arm[T.c]", "arm[T.d]")
    assert found.signs == (1, -1, -1, -1)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_categories_in_perfect_order_are_separated(link: str) -> None:
    data = frame()
    y = pd.Categorical(np.digitize(data["x"], [-0.5, 0.5]), ordered=True)
    found = only(hglm.fit("y ~ x + (1 | g)", data.assign(y=y), "cumulative", link=link))
    assert (found.names, found.signs, found.complete) == (("x",), (1,), True)


def test_an_arm_in_the_last_category_is_separated() -> None:
    data = frame()
    y = np.where(data["arm"] == "c", 2, np.random.default_rng(1).integers(0, 3, len(data)))
    ordered = data.assign(y=pd.Categorical(y, ordered=True))
    fit = hglm.fit("y ~ x + arm + (1 | g)", ordered, "cumulative")
    rest = hglm.fit("y ~ x + arm + (1 | g)", ordered[data["arm"] != "c"], "cumulative")
    assert only(fit).names == ("arm[T.c]",)
    assert fit.llf == pytest.approx(rest.llf, abs=1e-6)


@pytest.mark.parametrize("family", ["poisson", "truncated_poisson"])
def test_zero_inflation_and_hurdles_are_separated_by_cells_without_zeros(family: str) -> None:
    data = frame()
    y = (1.0 + data["count"]).where(data["coin"] | (data["arm"] == "c"), 0.0)
    fit = hglm.fit("y ~ x + (1 | g)", data.assign(y=y), family, zero_inflation="~ arm")
    found = only(fit)
    assert found.predictor == "zero_inflation"
    assert (found.names, found.signs) == (("arm[T.c]",), (-1,))
    assert "zero_inflation" in str(fit.summary())


def test_no_extra_zeros_and_no_overdispersion_are_limits_not_separation() -> None:
    """Poisson counts: the larger families have Poisson's likelihood in the limit."""
    data = frame()
    poisson = hglm.fit("events ~ x + (1 | g)", data, "poisson")
    under = data.assign(events=2 + data["events"] // 3)
    for fit, plain, name in [
        (hglm.fit("events ~ x + (1 | g)", data, "poisson", zero_inflation="~ 1"), poisson, "zero"),
        (
            hglm.fit("events ~ x + (1 | g)", under, "nbinom2"),
            hglm.fit("events ~ x + (1 | g)", under, "poisson"),
            "disp",
        ),
    ]:
        found = only(fit)
        assert found.kind == "limit"
        assert found.predictor.startswith(name)
        assert fit.converged
        assert fit.llf == pytest.approx(plain.llf, abs=1e-5)
        assert "limit of the model" in str(fit.summary())


@pytest.mark.parametrize("slope", [0.0, 1e-200, 1e-110, 1e-8])
def test_a_vanishing_slope_along_a_limit_leaves_nothing_to_gain(slope: float) -> None:
    """Geometric counts under a Conway-Maxwell family: its cube is zero long before it is."""
    flat = Flat(0, np.array([1]), np.array([True]), np.eye(2)[:, :1], 0, False)
    hessian = np.diag([slope, 2.0])
    across, gain = without_flats(np.array([slope, 0.5]), hessian, [flat])
    np.testing.assert_allclose(across, [0.0, 0.5], atol=1e-190)
    assert gain == pytest.approx(slope, abs=1e-150)  # c exp(-t) falls by its slope


def test_groups_of_zeros_or_ones_are_no_separation() -> None:
    data = frame()
    y = np.where(data["g"] < 3, 0.0, np.where(data["g"] > 9, 1.0, data["coin"]))
    fit = hglm.fit("y ~ x + (1 | g)", data.assign(y=y), "binomial")
    assert fit.converged
    assert fit.certificate.unbounded == ()


@pytest.mark.parametrize(
    ("family", "formula", "name"),
    [
        ("binomial", "cbind(incidence, size - incidence) ~ period + (1 | herd)", "cbpp"),
        ("poisson", "count ~ mined + (1 | site)", "salamanders"),
    ],
)
def test_ordinary_models_pay_nothing_and_name_nothing(
    family: str, formula: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hglm.numerics.separation.linprog", None)
    fit = hglm.fit(formula, hglm.load_dataset(name), family)
    assert fit.certificate.unbounded == ()


def test_units_and_places_of_predictors_change_nothing() -> None:
    data = frame()
    y = data["x"] > 0.1
    for scale, place in [(1e-8, 0.0), (1e6, 1e9)]:
        moved = data.assign(y=y, x=scale * data["x"] + place)
        found = only(hglm.fit("y ~ x + (1 | g)", moved, "binomial"))
        assert found.names == ("Intercept", "x")


def test_the_summary_and_the_checks_say_what_to_do() -> None:
    data = frame()
    y = np.where(data["arm"] == "c", 0.0, data["coin"])
    fit = hglm.fit("y ~ x + arm + (1 | g)", data.assign(y=y), "binomial")
    text = " ".join(str(fit.summary()).split())
    assert "24 rows" in text
    assert "`arm[T.c]` tends to -∞" in text
    assert "likelihood ratio" in text
    assert "not to a finite value of `arm[T.c]`" in fit.certificate.message
    checks = fit.check(n=0).tables["checks"].set_index("check")
    assert checks.loc["separation", "verdict"] == "attention"
    assert "arm[T.c]" in checks.loc["separation", "found"]


@pytest.mark.parametrize("method", ["laplace", hglm.Quadrature(7)])
def test_a_variance_that_nothing_bounds_is_named(method: object) -> None:
    """Every group is all zeros or all ones."""
    data = frame()
    pure = data.assign(y=(data["g"] % 2).astype(float))
    fit = hglm.fit("y ~ x + (1 | g)", pure, "binomial", method=method)
    assert only(fit).kind == "variance"
    assert "variance of g" in fit.certificate.message
    assert "nothing bounds the variance" in " ".join(str(fit.summary()).split())
    nearly = pure.assign(y=np.where(data.index == 3, 1.0 - pure["y"], pure["y"]))
    assert hglm.fit("y ~ x + (1 | g)", nearly, "binomial").certificate.unbounded == ()
