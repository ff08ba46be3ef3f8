"""Wrong estimates that trusted packages shipped: one test for each row on generalised models.

Row numbers and issue threads (lme4#47 is issue 47 of lme4/lme4; sm statsmodels, MM
MixedModels.jl, TMB glmmTMB, GB GPBoost, perf performance) are those of
`test_pitfalls_lmm.py`; weights, counts of parameters and what a fit answers are tested in
`test_pitfalls_glmm_answers.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import integrate, linalg, optimize, special, stats

import hglm
from dense_oracle import dense_z
from hglm.criteria.laplace import evaluate_laplace
from hglm.criteria.quadrature import evaluate_quadrature
from hglm.fitting.record import GeneralisedState
from hglm.typing import Matrix, Vector
from pitfalls_oracle import MODELS, dense_counts, deviance_of, fit_model, fitted, make
from reference_data import reference, reference_frame


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return make()


@pytest.mark.parametrize(
    ("family", "glm"),
    [
        ("poisson", sm.families.Poisson()),
        ("binomial", sm.families.Binomial()),
        ("gamma", sm.families.Gamma(sm.families.links.Log())),
    ],
)
def test_row_01_fixed_effects_are_continuous_as_theta_vanishes(family: str, glm: Any) -> None:
    """sm#10239: effects of between-group covariates came out as exactly zero."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(12), 6)
    z = rng.normal(size=12)[g]
    order = {"poisson": [0, 1, 2, 3, 4, 8], "binomial": [0, 0, 0, 1, 1, 1]}
    y = np.tile(np.array(order.get(family, [0.3, 0.7, 1.0, 1.2, 1.6, 2.4])), 12) * 1.0
    y[:3] = y[:3][::-1] + (family != "binomial")  # less spread between groups than chance gives
    data = pd.DataFrame({"y": y, "z": z, "g": g})
    fit = hglm.fit("y ~ z + (1 | g)", data, family, link={"gamma": "log"}.get(family))
    expected = sm.GLM(y, np.column_stack([np.ones(72), z]), glm).fit(tol=1e-14)
    assert fit.singular
    np.testing.assert_allclose(fit.params, expected.params, atol=1e-5 * expected.bse.min())
    assert fit.params["z"] != 0.0
    state = fit.estimates.state
    assert isinstance(state, GeneralisedState)
    problem, p = state.problem, 2
    for sd in 10.0 ** -np.arange(1.0, 13.0, 2.0):
        psi = state.psi.copy()
        psi[problem.n_fixed :] = sd

        def deviance(gamma: Vector, psi: Vector = psi) -> tuple[float, Vector]:
            found = evaluate_laplace(problem, np.concatenate([gamma, psi[p:]]), None, 1e-20)
            return found.value, found.gradient[:p]

        best = optimize.minimize(deviance, psi[:p], jac=True, options={"gtol": 1e-8}).x
        beta = problem.fixed[0].to_beta @ best
        error = np.abs(beta - expected.params) / expected.bse
        assert error.max() < 20 * sd**2 + 1e-6


def test_row_02_dispersion_is_estimated_together_with_the_rest() -> None:
    """lme4#643, #290, MM#291: found as if φ were one, and φ afterwards.

    epil2 of glmmTMB is `epil`. glmmTMB 1.1.5 has logLik -583.1630483 and sd .78698; lme4
    1.1-31 has -553.84 and .608, which is 1.18 times a sigma that is not that of its optimum.
    """
    data = hglm.load_dataset("epil").query("y > 0")
    fit = hglm.fit("y ~ trt + (1 | subject)", data, "gamma", link="log")
    assert fit.llf == pytest.approx(-583.1630483, abs=2e-7)
    assert fit.varcorr["sdcor"].iloc[0] == pytest.approx(0.78698, abs=5e-6)
    exact = hglm.fit(
        "y ~ trt + (1 | subject)", data, "gamma", link="log", method=hglm.Quadrature(15)
    )
    integral = deviance_of(exact, "gamma", exact=True)
    assert exact.deviance == pytest.approx(integral.deviance(integral.at), abs=1e-6)
    gradient, curvature = integral.slopes()
    np.testing.assert_allclose(gradient / np.sqrt(curvature), 0.0, atol=2e-4)
    assert exact.varcorr["sdcor"].iloc[0] == pytest.approx(0.787, abs=0.005)


@pytest.mark.parametrize("phi", [0.12, 1.0, 3.0])
def test_row_02_random_effects_of_positive_data_are_recovered(phi: float) -> None:
    """Biased by +75 % to +158 % at φ = .12 and zero for φ > 1, with the dispersion left out."""
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(300), 8)
    y = rng.gamma(1 / phi, phi * np.exp(0.5 * rng.normal(size=300)[g]))
    fit = hglm.fit("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": g}), "gamma", link="log")
    # sd(sd) is near .5 √{(1 + φ/(8·.25))²/600}: three of them
    error = 0.5 * (1 + phi / 2) / np.sqrt(600)
    assert fit.varcorr["sdcor"].iloc[0] == pytest.approx(0.5, abs=3 * error)
    assert fit.sigma**2 == pytest.approx(phi, rel=0.1)


def test_row_03_standard_errors_of_cbpp_are_from_the_joint_hessian() -> None:
    """lme4#47: those of RX ignore that θ is estimated, and are too small for the intercept."""
    stored = reference("cbpp_laplace")
    fit = hglm.fit(stored["formula"], reference_frame(stored), "binomial")
    np.testing.assert_allclose(fit.bse, stored["se"], rtol=2e-5)
    assert fit.bse.iloc[0] > 1.02 * stored["se_rx"][0]


@pytest.mark.parametrize("family", ["binomial", "gamma", "nbinom2", "hurdle"])
def test_row_03_standard_errors_against_differences(family: str) -> None:
    """Of every fixed effect of every predictor; given θ and u they would be smaller."""
    fit = fitted(family)
    hessian = deviance_of(fit, family).hessian()
    covariance = np.linalg.inv(hessian / 2)
    found = [fit.bse, *[np.sqrt(np.diagonal(part.vcov)) for part in fit.others.values()]]
    errors = np.sqrt(np.diagonal(covariance))
    np.testing.assert_allclose(np.concatenate(found), np.delete(errors, 2), rtol=2e-4)
    given_theta = np.sqrt(np.diagonal(np.linalg.inv(hessian[:2, :2] / 2)))
    assert fit.bse.iloc[0] > given_theta[0]


@pytest.mark.parametrize("family", MODELS)
def test_row_04_one_node_is_laplace(family: str) -> None:
    """lme4#161, #567, #868: log likelihoods on two scales."""
    laplace = fitted(family)
    state = laplace.estimates.state
    assert isinstance(state, GeneralisedState)
    one = evaluate_quadrature(state.problem, state.psi, nodes=1).value
    assert one == pytest.approx(laplace.deviance, abs=1e-10)
    assert abs(fitted(family, 25).llf - laplace.llf) < 0.5  # the scale is the same


def test_row_04_quadrature_of_cbpp_has_all_its_constants() -> None:
    """lme4 < 2 leaves out the log likelihood of the saturated model: -50.0050 for -91.98."""
    stored = reference("cbpp_agq25")
    frame = reference_frame(stored)
    fits = [
        hglm.fit(stored["formula"], frame, "binomial", method=hglm.Quadrature(k))
        for k in (1, 3, 5, 9, 25)
    ]
    best = fits[-1]
    m, k = frame["size"].to_numpy(), frame["incidence"].to_numpy()
    saturated = stats.binom.logpmf(k, m, k / m).sum()
    assert best.llf - saturated == pytest.approx(-50.0050152701, abs=1e-6)
    assert best.theta[0] == pytest.approx(stored["crosscheck"]["agq41"]["sd"], abs=1e-5)
    beta = [-1.3992237278, -0.9914088838, -1.1278095942, -1.5794809507]
    np.testing.assert_allclose(best.params, beta, atol=2e-5)
    np.testing.assert_allclose(best.bse, stored["se"], rtol=2e-5)
    assert fits[0].llf == pytest.approx(-92.02628187, abs=1e-7)
    assert best.llf == pytest.approx(herds_integral(best), abs=1e-8)
    integrals = [deviance_of(f, "binomial", exact=True) for f in fits]
    errors = [abs(f.deviance - of.deviance(of.at)) for f, of in zip(fits, integrals, strict=True)]
    assert errors == sorted(errors, reverse=True)


def herds_integral(fit: hglm.Fit) -> float:
    """Log likelihood at the fit's parameters, by adaptive quadrature herd by herd."""
    eta, sd = fit.predict(random="none", scale="link").to_numpy(), fit.theta[0]
    m, codes = fit.design.trials, fit.design.mean.random[0].codes
    total = 0.0
    for level in range(codes.max() + 1):
        i = codes == level

        def density(u: float, i: Any = i) -> float:
            p = special.expit(eta[i] + sd * u)
            value = stats.binom.logpmf(np.rint(m[i] * fit.design.y[i]), m[i], p).sum()
            return float(np.exp(value - 0.5 * u * u))

        total += np.log(integrate.quad(density, -9, 9, epsabs=0, epsrel=1e-10)[0])
    return float(total - 0.5 * (codes.max() + 1) * np.log(2 * np.pi))


@pytest.mark.parametrize("family", MODELS)
def test_row_07_what_is_reported_belongs_to_the_optimum(family: str) -> None:
    """lme4#166: parameters of the last evaluation. The likelihood is that of SciPy's density."""
    fit = fitted(family)
    assert fit.converged
    values = [value for _, value in fit.estimates.path]
    assert fit.deviance <= min(values) + 1e-8
    oracle = deviance_of(fit, family)
    assert fit.deviance == pytest.approx(oracle.deviance(oracle.at), abs=1e-6)


SEVERAL = {
    "counts": ("count", {"family": "nbinom2", "zero_inflation": "~ {}"}),
    "amounts": ("amount", {"family": "gamma", "link": "log", "dispersion": "~ {} + (1 | h)"}),
}
"""Response and options of models with a further predictor."""


@pytest.mark.parametrize("name", SEVERAL)
def test_row_08_rows_levels_terms_and_predictors_in_any_order(name: str) -> None:
    """lme4 1.0-4, #945, #962: parameters unpacked in the order of another term."""
    data = make(6, groups=16, rows=15)
    rng = np.random.default_rng(8)
    shape = 4 * np.exp(rng.normal(size=5))[data["h"].str[1:].astype(int)]
    data["amount"] *= rng.gamma(shape) / shape
    other = data.assign(
        g=pd.Categorical(data["g"], sorted(data["g"].unique())[::-1]),
        h=data["h"].map({f"h{i}": f"{9 - i}" for i in range(5)}),
    ).sample(frac=1.0, random_state=1)
    response, options = SEVERAL[name]
    one, two = (
        hglm.fit(f"{response} ~ {mean}", frame, **{k: v.format(rest) for k, v in options.items()})
        for mean, rest, frame in (
            ("x + t + cs(0 + t | g) + (1 | h)", "x + t", data),
            ("t + x + (1 | h) + cs(0 + t | g)", "t + x", other),
        )
    )
    assert two.llf == pytest.approx(one.llf, abs=1e-7)
    np.testing.assert_allclose(two.params[one.params.index], one.params, atol=1e-3 * one.bse.min())
    np.testing.assert_allclose(two.bse[one.bse.index], one.bse, rtol=1e-3)
    for key in one.others:
        a, b = (pd.Series(f.others[key].beta, f.others[key].names) for f in (one, two))
        np.testing.assert_allclose(b[a.index], a, atol=2e-3)
    keys = ["group", "term1", "term2"]
    tables = [f.varcorr.set_index(keys)["sdcor"].sort_index(kind="stable") for f in (one, two)]
    pd.testing.assert_series_equal(tables[0], tables[1], atol=2e-3)
    fitted_values = two.fittedvalues[one.fittedvalues.index]
    np.testing.assert_allclose(fitted_values, one.fittedvalues, rtol=1e-3)


@pytest.mark.parametrize("random", ["(1 | g)", "(x | g)", "(1 | g) + (x | h)"])
def test_row_10_conditional_variances_of_random_effects(data: pd.DataFrame, random: str) -> None:
    """lme4#148: against the inverse of the Hessian at the mode, in full."""
    fit = hglm.fit(f"count ~ x + {random}", data, "poisson")
    designs = [fit.design.mean.random[t.position] for t in fit.estimates.terms]
    Z = np.hstack([dense_z(d.codes, d.z) for d in designs])
    G = linalg.block_diag(
        *[np.kron(np.eye(len(t.levels)), t.covariance) for t in fit.estimates.terms]
    )
    fixed = fit.design.mean.X @ fit.params.to_numpy()
    value, posterior = dense_counts(fit.design.y, fixed, Z, G)
    assert fit.deviance == pytest.approx(value, abs=1e-6)
    names = [
        (t.group, level, name)
        for t in fit.estimates.terms
        for level in t.levels
        for name in t.names
    ]
    table = fit.ranef().set_index(["group", "level", "term"]).loc[names]
    error = np.sqrt(np.diagonal(posterior))
    np.testing.assert_allclose(table["std_error"], error, rtol=1e-4, atol=1e-6)


CORRELATIONS: Mapping[str, Callable[[Mapping[str, float], Matrix], Matrix]] = {
    "ar1": lambda p, lag: p["rho"] ** lag,
    "hetar1": lambda p, lag: p["rho"] ** lag,
    "ou": lambda p, lag: np.exp(-p["decay"] * lag),
    "cs": lambda p, lag: np.where(lag == 0, 1.0, p["rho"]),
    "homcs": lambda p, lag: np.where(lag == 0, 1.0, p["rho"]),
    "toep": lambda p, lag: np.array([1.0, p["rho1"], p["rho2"]])[lag],
    "homtoep": lambda p, lag: np.array([1.0, p["rho1"], p["rho2"]])[lag],
}


@pytest.mark.parametrize("structure", CORRELATIONS)
def test_row_16_structures_are_what_their_formulas_say(structure: str) -> None:
    """TMB#1204: hetar1 was another matrix. The likelihood is that of the reported numbers."""
    data = make(6, groups=16, rows=15)
    column = "when" if structure == "ou" else "t"
    fit = hglm.fit(f"count ~ x + {structure}(0 + {column} | g)", data, "poisson")
    (term,) = fit.estimates.terms
    lag = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    sd = fit.varcorr["sdcor"].to_numpy()[:3]
    sd = np.full(3, term.parameters["sd"]) if term.homogeneous else sd
    G = CORRELATIONS[structure](term.parameters, lag) * np.outer(sd, sd)
    assert np.linalg.eigvalsh(G)[0] > -1e-12
    fixed = fit.design.mean.X @ fit.params.to_numpy()
    Z = dense_z(fit.design.mean.random[0].codes, np.eye(3)[data["t"].cat.codes])
    value, _ = dense_counts(fit.design.y, fixed, Z, np.kron(np.eye(16), G))
    assert fit.deviance == pytest.approx(value, abs=1e-6)


def test_row_16_equal_correlations_do_not_leave_their_range() -> None:
    """mmrm NEWS: a correlation below -1/(m - 1) is no covariance matrix."""
    rng = np.random.default_rng(3)
    g, t = np.repeat(np.arange(30), 6), np.tile([0, 0, 1, 1, 2, 2], 30)
    effects = 0.8 * rng.normal(size=(30, 3))
    effects -= effects.mean(axis=1, keepdims=True)  # correlations of -1/2, the limit
    y = rng.poisson(np.exp(2.0 + effects[g, t]))
    data = pd.DataFrame({"y": y, "g": g, "t": [f"t{i}" for i in t]})
    fit = hglm.fit("y ~ t + cs(0 + t | g)", data, "poisson")
    (term,) = fit.estimates.terms
    assert term.parameters["rho"] == pytest.approx(-0.5, abs=0.01)
    assert np.linalg.eigvalsh(term.covariance)[0] > -1e-12


@pytest.mark.parametrize("nodes", [0, 25])
@pytest.mark.parametrize("family", MODELS)
def test_row_21_every_derivative_vanishes_at_return(family: str, nodes: int) -> None:
    """GB 62c9cd89: coefficients silently not estimated. Differences of SciPy's densities."""
    fit = fitted(family, nodes)
    oracle = deviance_of(fit, family, exact=nodes > 0)
    assert fit.deviance == pytest.approx(oracle.deviance(oracle.at), abs=1e-5)
    gradient, curvature = oracle.slopes()
    assert (curvature > 0).all()
    np.testing.assert_allclose(gradient / np.sqrt(curvature), 0.0, atol=2e-4)


@pytest.mark.parametrize("family", ["binomial", "nbinom2", "zero-inflated nbinom2"])
def test_row_23_repeated_fits_agree_to_the_last_bit(data: pd.DataFrame, family: str) -> None:
    """lme4 2.0-6: memory used after it was freed gave errors now and then."""
    for method in ("laplace", hglm.Quadrature(5)):
        fits = [fit_model(family, data, method=method) for _ in range(2)]
        assert fits[0].llf == fits[1].llf
        assert fits[0].theta.tobytes() == fits[1].theta.tobytes()
        assert fits[0].cov_params().to_numpy().tobytes() == (
            fits[1].cov_params().to_numpy().tobytes()
        )


@pytest.mark.parametrize(
    ("name", "llf"), [("cbpp_laplace", -92.02628187), ("grouseticks_poisson", -890.2713301)]
)
def test_row_24_the_optimum_is_reached_where_lme4_stops_short(name: str, llf: float) -> None:
    """lme4's default fits end 2.8e-4 and 2.3e-5 lower (reference/*.json)."""
    stored = reference(name)
    fit = hglm.fit(stored["formula"], reference_frame(stored), stored["family"])
    assert fit.llf == pytest.approx(llf, abs=1e-7)
    assert fit.converged
    assert fit.certificate.gain < 1e-8
    assert fit.certificate.gradient < 1e-4
    np.testing.assert_allclose(fit.params, stored["fixef"], atol=2e-5 * max(stored["se"]))


def test_row_24_nodes_are_added_where_quadrature_converges_slowly() -> None:
    """Like the toenail data, sd 4: 5 nodes are off by 4.6 there, 9 by 0.17, 25 by 0.02."""
    rng = np.random.default_rng(24)
    g = np.repeat(np.arange(120), 7)
    data = pd.DataFrame({"g": g, "time": np.tile(np.arange(7.0), 120), "arm": g % 2})
    eta = -1.5 - 0.4 * data["time"] - 0.1 * data["arm"] * data["time"]
    data["y"] = rng.random(840) < special.expit(eta + 4.0 * rng.normal(size=120)[g])
    data["y"] = data["y"].astype(float)
    formula = "y ~ time * arm + (1 | g)"
    fits = [
        hglm.fit(formula, data, "binomial", method=method)
        for method in ("laplace", hglm.Quadrature(5), hglm.Quadrature("auto"))
    ]
    errors = []
    for fit in fits:
        oracle = deviance_of(fit, "binomial", exact=True)
        errors.append(abs(0.5 * oracle.deviance(oracle.at) + fit.llf))
    assert errors[0] > 0.5
    assert errors[2] < min(2e-3, errors[1])
    assert fits[2].estimates.nodes > 9
    gradient, curvature = oracle.slopes()
    np.testing.assert_allclose(gradient / np.sqrt(curvature), 0.0, atol=0.02)
