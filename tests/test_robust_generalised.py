"""Sandwiches of generalised models: scores by differences, closed forms, statsmodels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import integrate, special

import hglm
from generalised_models import ArrayModel
from hglm.errors import DataError, OptionError
from hglm.families import Response, Sizes
from hglm.inference.diagnostics.cluster_scores import cluster_scores
from hglm.inference.diagnostics.clusters import clusters
from hglm.inference.diagnostics.robust import cluster_robust
from hglm.inference.diagnostics.robust_covariance import with_ddf
from laplace_oracle import DenseModel, dense_at, dense_laplace


def data_frame() -> pd.DataFrame:
    """Draw counts, proportions and ratings of 12 classes in 4 schools, h crossed within them."""
    rng = np.random.default_rng(11)
    n = 96
    g = np.arange(n) % 12
    school = g // 3
    x = rng.normal(size=n)
    eta = 0.6 + 0.4 * x + 0.5 * rng.normal(size=12)[g] + 0.3 * rng.normal(size=4)[school]
    mean = np.exp(eta) * rng.gamma(3.0, 1.0 / 3.0, n)
    trials = rng.integers(2, 9, n)
    return pd.DataFrame(
        {
            "count": rng.poisson(mean) * (rng.uniform(size=n) < 0.85),
            "positive": mean,
            "hits": rng.binomial(trials, special.expit(eta - 0.5)),
            "trials": trials,
            "rating": pd.Categorical(np.digitize(eta + rng.logistic(size=n), [0.0, 1.0, 2.0])),
            "x": x,
            "times": rng.integers(1, 4, n),
            "g": [f"g{i:02d}" for i in g],
            "h": [f"h{i}" for i in school * 3 + rng.integers(0, 3, n)],
            "school": [f"s{i}" for i in school],
        }
    )


MODELS = {
    "poisson": ("count ~ x + (1 | g)", {"family": "poisson"}),
    "slopes": ("count ~ x + (x | g)", {"family": "poisson"}),
    "nested": ("hits / trials ~ x + (1 | school/g)", {"family": "binomial", "trials": "trials"}),
    "crossed within schools": (
        "count ~ x + (1 | school) + (1 | g) + (1 | h)",
        {"family": "poisson"},
    ),
    "shape": ("positive ~ x + (1 | g)", {"family": "gamma", "link": "log"}),
    "frequencies": ("count ~ x + (1 | g)", {"family": "nbinom2", "frequencies": "times"}),
    "zero inflation": (
        "count ~ x + (1 | g)",
        {"family": "poisson", "zero_inflation": "~ x + (1 | g)"},
    ),
    "dispersion": (
        "positive ~ x + (1 | g)",
        {"family": "gamma", "link": "log", "dispersion": "~ x"},
    ),
    "ordinal": ("rating ~ x + (1 | g)", {"family": "cumulative"}),
    "no random effects": ("count ~ x", {"family": "nbinom2"}),
}


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return data_frame()


@pytest.fixture(scope="module")
def fits(data):
    return {name: hglm.fit(text, data, **more) for name, (text, more) in MODELS.items()}


def found_in(fit, data, name):
    return clusters(fit.design, data["school"].to_numpy() if name == "no random effects" else None)


def scores_of(fit, members):
    return cluster_scores(fit.estimates, fit.estimates.state, fit.design, members)


def array_model_of(fit) -> ArrayModel:
    design, family = fit.design, fit.estimates.state.problem.likelihood.family
    return ArrayModel(
        family,
        Response(design.y, Sizes(design.trials, design.weights)),
        {"mean": design.mean, **{p.name: design.others.get(p.name) for p in family.parameters[1:]}},
        design.frequencies,
    )


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_differences_of_dense_likelihoods_and_add_up_to_the_gradient(fits, data, name):
    fit = fits[name]
    members = found_in(fit, data, name).rows()
    scores = scores_of(fit, members)
    state = fit.estimates.state
    np.testing.assert_allclose(
        scores.sum(axis=0), -0.5 * state.evaluation.gradient, rtol=1e-6, atol=1e-6
    )
    assert np.abs(scores.sum(axis=0)).max() < 1e-3 * np.abs(scores).max()  # the optimum
    model, step = array_model_of(fit), 1e-4
    for i in range(len(state.psi)):
        moved = [state.psi + sign * step * np.eye(len(state.psi))[i] for sign in (1.0, -1.0)]
        dense = [dense_at(model, state.problem, psi) for psi in moved]
        for c in (0, len(members) - 1):
            rows = members[c]
            ahead, behind = (dense_laplace(model.rows(rows), part(at, rows)) for at in dense)
            expected = -0.25 * (ahead - behind) / step
            np.testing.assert_allclose(scores[c, i], expected, rtol=2e-4, atol=2e-5)


def part(dense: DenseModel, rows: np.ndarray) -> DenseModel:
    fixed = [f if isinstance(f, float) else f[rows] for f in dense.fixed]
    touched = np.any([M[rows].any(axis=0) for M in dense.M], axis=0)
    return DenseModel(fixed, [M[np.ix_(rows, touched)] for M in dense.M])


def test_scores_of_quadrature_are_those_of_the_integral(data):
    """Each class by SciPy's adaptive quadrature, differentiated in the user's β and σ."""
    fit = hglm.fit("count ~ x + (1 | g)", data, family="poisson", method=hglm.Quadrature(31))
    scores = scores_of(fit, clusters(fit.design).rows())
    problem = fit.estimates.state.problem
    (group,) = fit.estimates.terms
    scores[:, 2] /= problem.terms.maps[0][0, 0]  # of σ
    scores[:, :2] = np.linalg.solve(problem.fixed[0].to_beta.T, scores[:, :2].T).T
    at = np.append(fit.params.to_numpy(), np.sqrt(group.covariance[0, 0]))

    def log_likelihood(level: str, beta0: float, beta1: float, sd: float) -> float:
        y, x = data.loc[data["g"] == level, ["count", "x"]].to_numpy().T

        def density(u: float) -> float:
            eta = beta0 + beta1 * x + sd * u
            return np.exp((y * eta - np.exp(eta) - special.gammaln(y + 1)).sum() - u * u / 2)

        return np.log(integrate.quad(density, -8, 8, epsabs=0, epsrel=1e-11)[0])

    for c in (0, 5):
        for i, step in enumerate(1e-4 * np.eye(3)):
            ends = [log_likelihood(group.levels[c], *(at + sign * step)) for sign in (1, -1)]
            slope = (ends[0] - ends[1]) / 2e-4
            np.testing.assert_allclose(scores[c, i], slope, rtol=1e-5, atol=1e-6)


def test_a_mean_count_has_a_closed_form(data):
    """Var(log ȳ) = Σ_c (Y_c - n_c ȳ)²/Y², without a computer: log is the canonical link."""
    fit = hglm.fit("count ~ 1", data, family="poisson")
    found = cluster_robust(fit.estimates, fit.design, "CR0", data["school"].to_numpy())
    sums = data.groupby("school")["count"].agg(["sum", "size"])
    residuals = sums["sum"] - sums["size"] * data["count"].mean()
    np.testing.assert_allclose(found.vcov, (residuals**2).sum() / sums["sum"].sum() ** 2, rtol=1e-6)


@pytest.mark.parametrize("name", ["dyestuff", "dyestuff2"])
def test_the_mean_of_a_balanced_layout_has_the_variance_of_level_means(name):
    """Normal responses by Laplace's approximation, which is exact; one variance is zero."""
    data = hglm.load_dataset(name)
    fit = hglm.fit("yield ~ 1 + (1 | batch)", data, method="laplace")
    means = data.groupby("batch", observed=True)["yield"].mean()
    found = cluster_robust(fit.estimates, fit.design, "CR0", "batch")
    np.testing.assert_allclose(found.vcov, means.var(ddof=0) / 6, rtol=1e-5)
    default = cluster_robust(fit.estimates, fit.design)
    np.testing.assert_allclose(default.vcov, means.var() / 5 * 5 / 6, rtol=1e-5)
    assert default.kind == "CR1"


def test_normal_responses_agree_with_the_linear_route():
    """With one design for all subjects β and the variances do not mix: the same sandwich."""
    data = hglm.load_dataset("sleepstudy")
    formula = "reaction ~ days + (days | subject)"
    linear = hglm.fit(formula, data, method="ml")
    general = hglm.fit(formula, data, method="laplace")
    for kind in ("CR0", "CR1"):
        one = cluster_robust(linear.estimates, linear.design, kind).vcov
        two = cluster_robust(general.estimates, general.design, kind).vcov
        np.testing.assert_allclose(two, one, rtol=1e-4)


def test_without_random_effects_it_is_that_of_statsmodels(data):
    """GLM and GEE with an independence working correlation, canonical links."""
    X, groups = sm.add_constant(data[["x"]].to_numpy()), pd.factorize(data["g"])[0]
    options = {"groups": groups, "use_correction": False}
    y = data[["hits", "trials"]].to_numpy()
    pairs = [
        ("count ~ x", {"family": "poisson"}, data["count"], sm.families.Poisson()),
        (
            "cbind(hits, trials - hits) ~ x",
            {"family": "binomial"},
            np.column_stack([y[:, 0], y[:, 1] - y[:, 0]]),
            sm.families.Binomial(),
        ),
    ]
    for formula, more, response, family in pairs:
        fit = hglm.fit(formula, data, **more)
        found = cluster_robust(fit.estimates, fit.design, "CR0", data["g"].to_numpy()).vcov
        glm = sm.GLM(response, X, family=family).fit(cov_type="cluster", cov_kwds=options)
        np.testing.assert_allclose(found, glm.cov_params(), rtol=1e-5)
    gee = sm.GEE(data["count"], X, groups, family=sm.families.Poisson()).fit()
    fit = hglm.fit("count ~ x", data, family="poisson")
    found = cluster_robust(fit.estimates, fit.design, "CR0", data["g"].to_numpy()).vcov
    np.testing.assert_allclose(found, gee.cov_params(), rtol=1e-5)


def test_a_variance_at_zero_leaves_the_sandwich_of_the_model_without_it(data):
    rng = np.random.default_rng(4)
    plain = data.assign(count=rng.poisson(np.exp(1 + 0.3 * data["x"])))
    mixed = hglm.fit("count ~ x + (1 | g)", plain, family="poisson")
    assert mixed.singular
    simple = hglm.fit("count ~ x", plain, family="poisson")
    expected = cluster_robust(simple.estimates, simple.design, "CR0", plain["g"].to_numpy())
    found = cluster_robust(mixed.estimates, mixed.design, "CR0")
    np.testing.assert_allclose(found.vcov, expected.vcov, rtol=1e-5)


def test_the_estimated_dispersion_counts_as_in_statsmodels(fits, data):
    """All parameters of a negative binomial model in one sandwich, α among them."""
    fit = fits["no random effects"]
    X = sm.add_constant(data[["x"]].to_numpy())
    model = sm.NegativeBinomial(data["count"], X)
    options = {"groups": pd.factorize(data["g"])[0], "use_correction": False}
    expected = model.fit(method="newton", disp=0, cov_type="cluster", cov_kwds=options)
    found = cluster_robust(fit.estimates, fit.design, "CR0", data["g"].to_numpy())
    np.testing.assert_allclose(found.vcov, expected.cov_params().iloc[:2, :2], rtol=1e-3)
    alpha = expected.params["alpha"]  # the shape is 1/α, on the log scale
    own = found.others["dispersion"][0, 0]
    np.testing.assert_allclose(own, expected.cov_params().iloc[2, 2] / alpha**2, rtol=1e-3)


def test_thresholds_do_not_depend_on_how_they_are_told(fits):
    """Cov of the last threshold and β by the delta method, differences of exp(a)."""
    fit = fits["ordinal"]
    found = cluster_robust(fit.estimates, fit.design, "CR0")
    psi, problem = fit.estimates.state.psi, fit.estimates.state.problem
    a = slice(problem.fixed[1].first, problem.n_fixed)

    def thresholds(values):
        return np.cumsum(np.append(values[0], np.exp(values[1:])))

    np.testing.assert_allclose(thresholds(psi[a]), fit.others["thresholds"].beta, rtol=1e-8)
    steps = 1e-6 * np.eye(len(psi[a]))
    J = np.array([(thresholds(psi[a] + s) - thresholds(psi[a] - s)) / 2e-6 for s in steps]).T
    scores = scores_of(fit, clusters(fit.design).rows())
    bread = 2.0 * np.linalg.inv(fit.estimates.state.hessian)
    inner = (bread @ scores.T @ scores @ bread)[a, a]
    np.testing.assert_allclose(found.others["thresholds"], J @ inner @ J.T, rtol=1e-5)


def test_degrees_of_freedom_are_those_of_as_many_means_as_clusters(fits, data):
    fit = fits["slopes"]
    found = cluster_robust(fit.estimates, fit.design)
    np.testing.assert_array_equal(found.each(np.eye(2)), [11.0, 11.0])
    assert found.df(np.eye(2)) == (10.0, 10.0 / 11.0)
    schools = cluster_robust(fit.estimates, fit.design, by=data["school"].to_numpy())
    assert schools.n_clusters == 4
    assert np.isnan(schools.df(np.ones((4, 2)))[0])
    assert with_ddf(schools, "asymptotic", fit.estimates).df(np.eye(2)) == (np.inf, 1.0)
    assert with_ddf(schools, "residual", fit.estimates).each(np.eye(2))[0] == 94.0
    assert with_ddf(schools, 7, fit.estimates).each(np.eye(2))[0] == 7.0
    with pytest.raises(OptionError, match="degrees of freedom of its own"):
        with_ddf(schools, "satterthwaite", fit.estimates)


def test_mistakes_have_a_clear_answer(fits, data):
    fit = fits["poisson"]
    with pytest.raises(OptionError, match='"CR1", or with few clusters the bootstrap'):
        cluster_robust(fit.estimates, fit.design, "CR2")
    inflated = hglm.fit(
        "count ~ x + (1 | g)", data, family="poisson", zero_inflation="~ 1 + (1 | h)"
    )
    with pytest.raises(OptionError, match="crossed: none contains all others"):
        cluster_robust(inflated.estimates, inflated.design)
    with pytest.raises(OptionError, match="`h` occur in several clusters of `g`"):
        cluster_robust(inflated.estimates, inflated.design, by="g")
    with pytest.raises(DataError, match="labels of clusters for 96 rows"):
        cluster_robust(fit.estimates, fit.design, by=np.arange(3))


def test_related_levels_have_no_independent_clusters(data):
    names = sorted(data["g"].unique())
    related = pd.DataFrame(0.5 * np.eye(12) + 0.5, names, names)
    for family in ("gaussian", "poisson"):
        fit = hglm.fit("count ~ x + (1 | g)", data, family=family, covariances={"g": related})
        with pytest.raises(OptionError, match="levels of `g` are related"):
            cluster_robust(fit.estimates, fit.design)
        if family == "gaussian":
            for ask in (fit.conditional_aic, fit.influence):
                with pytest.raises(OptionError, match="those of `g` are related"):
                    ask()
