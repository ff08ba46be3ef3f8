"""Both methods of degrees of freedom against n × n matrices, on small random problems."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hglm.criteria.profiled import differenced_hessian
from hglm.design import Design
from hglm.errors import OptionError
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.record import Estimates, LinearState
from hglm.inference import satterthwaite as module
from hglm.inference.directions import covariance_directions, theta_directions
from hglm.inference.kenward_roger import kenward_roger
from hglm.inference.level_traces import LevelTraces, level_traces
from hglm.inference.satterthwaite import satterthwaite
from hglm.inference.scores import Scores, first_products, scores, second_products
from inference_oracle import (
    dense_kenward_roger,
    dense_kenward_roger_df,
    dense_model,
    dense_satterthwaite,
    fit,
)

MODELS = {
    "one factor": "y ~ x + a + (1 | g)",
    "random slope": "y ~ x * a + (x | g)",
    "three columns": "y ~ x + (x + z | g)",
    "uncorrelated": "y ~ x + a + (x + z || g)",
    "compound symmetry": "y ~ x + a + cs(0 + x + z | g)",
    "homogeneous": "y ~ z + homcs(0 + a | g)",
    "nested": "y ~ x + a + (x | g) + (1 | top)",
    "crossed": "y ~ x + a + (1 | g) + (1 | h)",
    "crossed slopes": "y ~ x + (x | g) + (z || h)",
    "chain and crossed": "y ~ x + (1 | g) + (1 | top) + (1 | h)",
    "two terms of a group": "y ~ x + (1 | g) + (0 + x | g)",
}


def random_data(seed: int, n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, 9, n), rng.integers(0, 5, n)
    data = pd.DataFrame(
        {
            "g": [f"g{i}" for i in g],
            "h": [f"h{i}" for i in h],
            "top": [f"t{i % 4}" for i in g],
            "x": rng.normal(3.0, 2.0, n),
            "z": rng.normal(size=n),
            "a": rng.choice(list("abc"), n),
            "w": rng.uniform(0.3, 3.0, n),
            "f": rng.integers(1, 4, n),
        }
    )
    slope = 0.6 * rng.normal(size=9)[g]
    data["y"] = (
        1.0
        + rng.normal(size=9)[g]
        + slope * data["x"]
        + rng.normal(size=9)[g] * data["z"]
        + rng.normal(size=5)[h]
        + rng.normal(size=n) / np.sqrt(data["w"])
    )
    return data


def polished(
    formula: str, data: pd.DataFrame, reml: bool, **options: object
) -> tuple[Estimates, Design]:
    """Fit with next to no gradient left, where df are free of coordinates."""
    estimates, design, _ = fit(formula, data, reml, **options)
    for _ in range(8):
        estimates = estimate_linear(design, reml, start=estimates.theta)
    return estimates, design


def scores_of(estimates: Estimates) -> tuple[Scores, LinearState]:
    state = estimates.state
    assert isinstance(state, LinearState)
    return scores(state.problem, state.theta, state.reml), state


@pytest.mark.parametrize(
    ("seed", "reml", "weights"), [(5, True, "w"), (9, True, None), (9, False, "w")]
)
@pytest.mark.parametrize("model", MODELS)
def test_satterthwaite_is_that_of_the_dense_likelihood(
    model: str, seed: int, reml: bool, weights: str | None
) -> None:
    estimates, design = polished(MODELS[model], random_data(seed), reml, weights=weights)
    p = len(estimates.beta)
    rows = np.vstack([np.eye(p), np.random.default_rng(0).normal(size=p)])
    expected = dense_satterthwaite(dense_model(estimates, design), rows)
    np.testing.assert_allclose(satterthwaite(estimates).each(rows), expected, rtol=5e-7)


@pytest.mark.parametrize(("seed", "weights"), [(5, "w"), (9, None)])
@pytest.mark.parametrize("model", MODELS)
def test_kenward_roger_is_that_of_dense_matrices(
    model: str, seed: int, weights: str | None
) -> None:
    estimates, design, _ = fit(MODELS[model], random_data(seed), weights=weights)
    adjusted, Phi, P, W = dense_kenward_roger(dense_model(estimates, design))
    method = kenward_roger(estimates)
    np.testing.assert_allclose(method.unadjusted, Phi, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(method.vcov, adjusted, rtol=1e-9, atol=1e-12)
    rng = np.random.default_rng(1)
    p = len(estimates.beta)
    for L in [np.eye(p)[[1]], rng.normal(size=(1, p)), rng.normal(size=(2, p))]:
        expected = dense_kenward_roger_df(Phi, P, W, L)
        np.testing.assert_allclose(method.df(L), expected, rtol=1e-8)


def test_singular_fits_are_among_the_models() -> None:
    """So that the pseudo-inverse and the directions at the boundary are put to the test."""
    singular = {m for m, f in MODELS.items() if fit(f, random_data(9))[0].certificate.singular}
    assert {"random slope", "uncorrelated", "nested", "crossed slopes"} <= singular


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_exact_hessian_is_the_difference_of_gradients(model: str, reml: bool) -> None:
    """The two ways to the Hessian agree, also where only one of them is used."""
    estimates, _, _ = fit(MODELS[model], random_data(6), reml)
    s, state = scores_of(estimates)
    directions = theta_directions(state.problem.layout, state.theta)
    first = first_products(s, directions)
    quad = first[:, -1, -1] / s.solution.sigma2
    profiled = module._exact(s, state.theta, reml, directions, first) - np.outer(quad, quad) / (
        state.problem.nobs - reml * state.problem.p
    )
    expected = differenced_hessian(state.problem, state.theta, reml)
    scale = np.sqrt(np.abs(np.diag(expected)).max())
    np.testing.assert_allclose(profiled / scale, expected / scale, rtol=1e-6, atol=2e-7 * scale)


@pytest.mark.parametrize("model", MODELS)
def test_level_traces_are_those_of_dense_matrices(model: str) -> None:
    estimates, _, _ = fit(MODELS[model], random_data(7))
    s, state = scores_of(estimates)
    directions = [
        *covariance_directions(state.problem.layout, state.theta),
        *theta_directions(state.problem.layout, state.theta),
    ]
    M, K = dense_inner_inverse(s), [dense_direction(s, *d) for d in directions]
    traces: LevelTraces = level_traces(s.solution.factor)
    np.testing.assert_allclose(
        traces.linear(directions), [np.trace(M @ k) for k in K], rtol=1e-9, atol=1e-10
    )
    expected = np.array([[np.trace(M @ a @ M @ b) for b in K] for a in K])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(traces.expected(directions), expected, rtol=1e-9, atol=1e-12 * scale)
    S = np.hstack([x.reshape(len(x), -1) for x in s.stack])
    second = np.array([[S @ a @ M @ b @ S.T for b in K] for a in K])
    scale = np.abs(second).max()
    np.testing.assert_allclose(second_products(s, directions), second, atol=1e-12 * scale)


def dense_inner_inverse(s: Scores) -> np.ndarray:
    """Z'V^-1Z in the problem's columns, component after component. (q, q)"""
    z, T = s.problem.gramian, s.solution.T
    sizes = list(zip(z.orders, z.sizes, strict=True))
    q = sum(k * m for k, m in sizes)
    blocks = np.split(np.eye(q), np.cumsum([k * m for k, m in sizes])[:-1], axis=1)
    unit = [b.reshape(q, k, m) for b, (k, m) in zip(blocks, sizes, strict=True)]
    A = np.hstack([x.reshape(q, -1) for x in z.multiply(unit)])
    Lambda = np.zeros((q, q))
    start = 0
    for t, (k, m) in zip(T, sizes, strict=True):
        Lambda[start : start + k * m, start : start + k * m] = np.kron(t, np.eye(m))
        start += k * m
    inner = np.linalg.inv(Lambda.T @ A @ Lambda + np.eye(q))
    return A - A @ Lambda @ inner @ Lambda.T @ A


def dense_direction(s: Scores, group: int, D: np.ndarray) -> np.ndarray:
    """I ⊗ D among the random effects of all groups. (q, q)"""
    z = s.problem.gramian
    widths = [k * m for k, m in zip(z.orders, z.sizes, strict=True)]
    out = np.zeros((sum(widths), sum(widths)))
    where = slice(sum(widths[:group]), sum(widths[: group + 1]))
    out[where, where] = np.kron(D, np.eye(z.sizes[group]))
    return out


def test_frequencies_count_as_repeated_rows() -> None:
    data = random_data(8)
    repeated = data.loc[data.index.repeat(data["f"])].reset_index(drop=True)
    formula = "y ~ x + a + (x | g)"
    counted, _ = polished(formula, data, True, frequencies="f")
    spelt_out, _ = polished(formula, repeated, True)
    rows = np.eye(len(counted.beta))
    np.testing.assert_allclose(
        satterthwaite(counted).each(rows), satterthwaite(spelt_out).each(rows), rtol=1e-6
    )
    a, b = kenward_roger(counted), kenward_roger(spelt_out)
    np.testing.assert_allclose(a.vcov, b.vcov, rtol=1e-7)
    np.testing.assert_allclose(a.each(rows), b.each(rows), rtol=1e-7)


@pytest.mark.parametrize("method", [satterthwaite, kenward_roger])
def test_units_of_response_and_predictors_change_nothing(method: object) -> None:
    data = random_data(9)
    moved = data.assign(y=1e6 * data["y"] + 1e9, x=1e-5 * data["x"] + 3.0)
    formula = "y ~ x + a + (x | g)"
    rows = np.eye(4)[1:]
    expected = method(polished(formula, data, True)[0]).each(rows)
    np.testing.assert_allclose(
        method(polished(formula, moved, True)[0]).each(rows), expected, rtol=1e-5
    )


def test_kenward_roger_refuses_maximum_likelihood() -> None:
    estimates, _, _ = fit("y ~ x + (1 | g)", random_data(5), reml=False)
    with pytest.raises(OptionError, match=r'needs a fit by REML.*method="reml"'):
        kenward_roger(estimates)


def test_kenward_roger_at_a_singular_compound_symmetry_takes_the_tangent_inside() -> None:
    """At a correlation of its limit ∂Σ/∂φ vanishes; the covariance stays a covariance."""
    estimates, _, _ = fit(MODELS["compound symmetry"], random_data(7))
    assert estimates.certificate.singular
    s, state = scores_of(estimates)
    assert len(covariance_directions(state.problem.layout, state.theta)) == 3
    method = kenward_roger(estimates)
    assert np.linalg.eigvalsh(method.vcov - method.unadjusted).min() > -1e-9
    df = method.each(np.eye(s.p))
    assert np.all((df > 1) & (df < 60))
