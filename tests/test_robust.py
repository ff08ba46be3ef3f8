"""Cluster-robust covariances: against n × n matrices, closed forms and statsmodels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import linalg, stats

import hglm
from dense_oracle import dense_covariance
from hglm.errors import DataError, OptionError
from hglm.inference.diagnostics.clusters import clusters
from hglm.inference.diagnostics.robust import cluster_robust
from hglm.inference.tests import joint_test, row_tests
from prediction_models import Fitted, data_frame, fitted

NESTED = {
    "one factor": "g",
    "one factor, slopes": "g",
    "one factor, diagonal": "g",
    "dependent columns": "g",
    "nested": "school",
    "nested, slopes": "school",
    "three levels": "town",
    "singular": "g",
}


def dense_robust(fit: Fitted, codes: np.ndarray, kind: str):
    """V^R, and a function of rows giving η, by n × n matrices and sums over pairs of clusters."""
    design, estimates = fit.design, fit.estimates
    f = np.ones(design.n) if design.frequencies is None else design.frequencies
    i = np.repeat(np.arange(design.n), f.astype(int))
    X, n = design.mean.X[i], len(i)
    weights = np.ones(n) if design.weights is None else design.weights[i]
    terms = [
        (design.mean.random[t.position].codes[i], design.mean.random[t.position].z[i], t.covariance)
        for t in estimates.terms
    ]
    V = dense_covariance(terms, weights / estimates.sigma**2)
    M = linalg.inv(X.T @ linalg.solve(V, X))
    H = X @ M @ X.T @ linalg.inv(V)
    e = design.y[i] - X @ estimates.beta
    working = (np.eye(n) - H) @ V @ (np.eye(n) - H).T
    columns = []  # (I - H)_c'E_c, so that its transpose times y is E_c'e_c
    total = np.zeros((X.shape[1], X.shape[1]))
    for c in range(codes.max() + 1):
        rows = np.flatnonzero(codes[i] == c)
        V_c = V[np.ix_(rows, rows)]
        A = np.eye(len(rows))
        if kind == "CR2":
            D = linalg.sqrtm(V_c).real  # any root will do
            B = D @ working[np.ix_(rows, rows)] @ D.T
            values, vectors = linalg.eigh(B)
            root = [v**-0.5 if v > 1e-9 * values[-1] else 0.0 for v in values]
            A = D.T @ (vectors * root) @ vectors.T @ D
        E = A.T @ linalg.solve(V_c, X[rows] @ M)
        total += np.outer(E.T @ e[rows], E.T @ e[rows])
        columns.append((np.eye(n) - H)[rows].T @ E)

    def eta(contrast: np.ndarray) -> float:
        F = [column @ contrast.T for column in columns]
        mean = sum(x.T @ V @ x for x in F)
        half = linalg.inv(linalg.sqrtm(mean).real)
        F = [x @ half for x in F]
        r, variance = len(contrast), 0.0
        for x in F:
            for y in F:
                P = x.T @ V @ y
                variance += np.trace(P) ** 2 + np.trace(P @ P)
        return r * (r + 1) / variance

    return total, eta


@pytest.mark.parametrize("kind", ["CR0", "CR2"])
@pytest.mark.parametrize("name", NESTED)
def test_against_dense_matrices(name, kind):
    fit = fitted(name)
    found = cluster_robust(fit.estimates, fit.design, kind)
    assert found.cluster == NESTED[name]
    expected, eta = dense_robust(fit, clusters(fit.design).codes, kind)
    np.testing.assert_allclose(found.vcov, expected, rtol=1e-6, atol=1e-10)
    rows = np.eye(len(expected))
    each = [eta(row[None]) for row in rows]
    np.testing.assert_allclose(found.each(rows), each, rtol=1e-6)
    joint = eta(rows[:2])
    expected = [joint - 1, (joint - 1) / joint] if joint > 1 + 1e-6 else [np.nan, np.nan]
    np.testing.assert_allclose(found.df(rows[:2]), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["CR0", "CR2"])
def test_weights_and_frequencies_against_dense_matrices(kind):
    fit = fitted("one factor, slopes", weights="w", frequencies="f")
    found = cluster_robust(fit.estimates, fit.design, kind)
    expected, eta = dense_robust(fit, fit.design.mean.random[0].codes, kind)
    np.testing.assert_allclose(found.vcov, expected, rtol=1e-6)
    np.testing.assert_allclose(found.each(np.eye(2)), [eta(r[None]) for r in np.eye(2)], rtol=1e-6)


def test_units_change_nothing():
    small, big = fitted("one factor, slopes"), fitted("slopes in other units")
    change = np.array([[1.0, 1e6], [0.0, 1e3]])  # of coefficients of 1, big to those of 1, x
    for kind in ("CR0", "CR2"):
        one = cluster_robust(small.estimates, small.design, kind)
        two = cluster_robust(big.estimates, big.design, kind)
        np.testing.assert_allclose(change @ two.vcov @ change.T, one.vcov, rtol=1e-5)
        np.testing.assert_allclose(two.each(change), one.each(np.eye(2)), rtol=1e-5)


@pytest.mark.parametrize("weights", [None, "w"])
def test_least_squares_with_clusters_is_that_of_statsmodels(weights):
    data = data_frame()
    fit = hglm.fit("y ~ x + z", data, weights=weights)
    X = sm.add_constant(data[["x", "z"]].to_numpy())
    model = sm.WLS(data["y"], X, weights=1.0 if weights is None else data[weights])
    groups = pd.factorize(data["g"])[0]
    options = {"groups": groups, "use_correction": False}
    expected = model.fit(cov_type="cluster", cov_kwds=options).cov_params()
    by = data["g"].to_numpy()  # not in the model
    found = cluster_robust(fit.estimates, fit.design, "CR0", by)
    np.testing.assert_allclose(found.vcov, expected, rtol=1e-10)
    one = cluster_robust(fit.estimates, fit.design, "CR1", by)
    np.testing.assert_allclose(one.vcov, expected * 18 / 17, rtol=1e-10)


def test_clusters_of_one_row_give_hc2_of_statsmodels():
    data = data_frame()
    fit = hglm.fit("y ~ x + z", data)
    expected = sm.OLS(data["y"], sm.add_constant(data[["x", "z"]].to_numpy())).fit().cov_HC2
    found = cluster_robust(fit.estimates, fit.design, "CR2", np.arange(len(data)))
    np.testing.assert_allclose(found.vcov, expected, rtol=1e-10)


def test_two_samples_have_welch_variance_and_known_degrees_of_freedom():
    """Closed form: s1²/n1 + s2²/n2; its df if variances are equal (Bell & McCaffrey 2002)."""
    rng = np.random.default_rng(1)
    n = np.array([5, 12])
    data = pd.DataFrame({"y": rng.normal(size=17), "x": np.repeat([0.0, 1.0], n)})
    fit = hglm.fit("y ~ x", data)
    found = cluster_robust(fit.estimates, fit.design, "CR2", np.arange(17))
    s2 = data.groupby("x")["y"].var().to_numpy()
    np.testing.assert_allclose(found.vcov[1, 1], np.sum(s2 / n), rtol=1e-12)
    df = np.sum(1 / n) ** 2 / np.sum(1 / (n**2 * (n - 1)))
    np.testing.assert_allclose(found.each(np.array([[0.0, 1.0]])), df, rtol=1e-12)


@pytest.mark.parametrize("name", ["dyestuff", "dyestuff2"])
def test_the_mean_of_a_balanced_layout_has_the_variance_of_level_means(name):
    """Closed form: s²(batch means)/6 with 5 df, also where the variance is estimated at zero."""
    data = hglm.load_dataset(name)
    fit = hglm.fit("yield ~ 1 + (1 | batch)", data)
    found = cluster_robust(fit.estimates, fit.design, "CR2")
    means = data.groupby("batch", observed=True)["yield"].mean()
    np.testing.assert_allclose(found.vcov, means.var() / 6, rtol=1e-9)
    np.testing.assert_allclose(found.each(np.eye(1)), 5.0, rtol=1e-9)
    plain = cluster_robust(fit.estimates, fit.design, "CR0")
    np.testing.assert_allclose(plain.vcov, means.var(ddof=0) / 6, rtol=1e-9)


def test_cr2_is_unbiased_under_the_working_model():
    """Σ P_cc, the expectation, is M in coordinates γ where M⁻¹ = L_X L_X'."""
    fit = fitted("one factor, slopes")
    found = cluster_robust(fit.estimates, fit.design)
    inner = np.einsum("cas,cat->st", found.overlap, found.overlap)
    expectation = found.to_beta @ (found.spread.sum(axis=0) - inner) @ found.to_beta.T
    model = fit.estimates.vcov / fit.estimates.sigma**2
    np.testing.assert_allclose(expectation, model, rtol=1e-8)


def test_tests_take_a_robust_covariance_as_any_other():
    fit = fitted("one factor, slopes")
    found = cluster_robust(fit.estimates, fit.design)
    tests = row_tests(fit.estimates.beta, found, np.eye(2))
    t = fit.estimates.beta / np.sqrt(np.diagonal(found.vcov))
    np.testing.assert_allclose(tests.p_value, 2 * stats.t.sf(np.abs(t), found.each(np.eye(2))))
    both = joint_test(fit.estimates.beta, found, np.eye(2))
    df, scaling = found.df(np.eye(2))
    wald = fit.estimates.beta @ linalg.solve(found.vcov, fit.estimates.beta)
    np.testing.assert_allclose(both.F, scaling * wald / 2, rtol=1e-10)
    np.testing.assert_allclose(both.p_value, stats.f.sf(both.F, 2, df), rtol=1e-8)


def test_a_column_that_contains_all_factors_may_serve():
    crossed = fitted("crossed")
    data = data_frame()
    with pytest.raises(OptionError, match="none contains all others"):
        cluster_robust(crossed.estimates, crossed.design)
    with pytest.raises(OptionError, match="`h` occur in several clusters of `g`"):
        cluster_robust(crossed.estimates, crossed.design, by="g")
    one = fitted("one factor")
    town = cluster_robust(one.estimates, one.design, by=data["town"].to_numpy())
    assert town.n_clusters == 2


def test_mistakes_have_a_clear_answer():
    fit = fitted("one factor")
    estimates, design = fit.estimates, fit.design
    with pytest.raises(OptionError, match='none of "CR0"'):
        cluster_robust(estimates, design, "HC3")
    with pytest.raises(OptionError, match="no grouping factor or column `ward`"):
        cluster_robust(estimates, design, by="ward")
    with pytest.raises(DataError, match="3 labels of clusters for 90 rows"):
        cluster_robust(estimates, design, by=np.arange(3))
    with pytest.raises(DataError, match="one cluster only"):
        cluster_robust(estimates, design, by=np.zeros(90))
    with pytest.raises(DataError, match="missing"):
        cluster_robust(estimates, design, by=np.where(np.arange(90) == 4, np.nan, 1.0))
    none = fitted("fixed effects only")
    with pytest.raises(OptionError, match="say by which column"):
        cluster_robust(none.estimates, none.design)
