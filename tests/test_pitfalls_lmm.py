"""Wrong answers that trusted packages shipped: one test for each row that concerns this one.

Row numbers and issue threads (lme4#47 is issue 47 of lme4/lme4; sm statsmodels, MM
MixedModels.jl, TMB glmmTMB, lT lmerTest) follow a survey of the field's bug reports. Rows that
concern generalised models only are tested with those.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hglm
from dense_oracle import Term, dense_covariance, dense_criterion, dense_solution
from hglm.criteria.profiled import solve
from hglm.typing import Matrix
from nist_anova import exact_mean_squares
from reference_data import reference, reference_frame

DOCS = Path(__file__).parent.parent / "docs"
SLOPES = "reaction ~ days + (days | subject)"


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    return hglm.load_dataset("sleepstudy")


@pytest.fixture(scope="module")
def slopes(sleep: pd.DataFrame) -> hglm.Fit:
    return hglm.fit(SLOPES, sleep)


def crossed_frame(seed: int = 0, n: int = 240) -> pd.DataFrame:
    """Rows of g nested in s and crossed with h; a factor c of three categories."""
    rng = np.random.default_rng(seed)
    g, h, c = rng.integers(0, 20, n), rng.integers(0, 9, n), rng.integers(0, 3, n)
    x = rng.normal(size=n) + 3.0
    b = rng.normal(size=(20, 2))
    y = 1 + x + b[g, 0] + 0.7 * b[g, 1] * x + 1.5 * rng.normal(size=9)[h]
    y += np.array([0.0, 0.5, -1.0])[c] + rng.normal(size=n)
    return pd.DataFrame(
        {
            "y": y,
            "x": x,
            "c": np.array(["p", "q", "r"])[c],
            "g": [f"g{i}" for i in g],
            "h": [f"h{i}" for i in h],
            "s": [f"s{i % 5}" for i in g],
        }
    )


def dense_terms(fit: hglm.Fit) -> list[Term]:
    """Terms of a fit for the dense oracle."""
    out = []
    for term in fit.estimates.terms:
        design = fit.design.mean.random[term.position]
        out.append((design.codes, design.z, term.factor @ term.factor.T))
    return out


def test_row_01_fixed_effects_are_continuous_as_theta_vanishes() -> None:
    """sm#10239: effects of between-group covariates came out as exactly zero."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(12), 5)
    data = pd.DataFrame({"g": g, "z": rng.normal(size=12)[g], "y": rng.normal(size=60)})
    data["y"] += 2.0 * data["z"]
    data["y"] -= 0.9 * (data.groupby("g")["y"].transform("mean") - 2.0 * data["z"])  # MSB < MSW
    fit = hglm.fit("y ~ z + (1 | g)", data)
    X = np.column_stack([np.ones(60), data["z"]])
    ols = np.linalg.lstsq(X, data["y"].to_numpy(), rcond=None)[0]
    assert fit.singular
    np.testing.assert_allclose(fit.params, ols, rtol=1e-10)
    problem = fit.estimates.state.problem
    for theta in 10.0 ** -np.arange(1.0, 17.0):
        gamma = solve(problem, np.array([theta]), True).gamma
        beta = problem.fixed.to_beta @ (problem.fixed.gamma + gamma) + problem.fixed.shift
        np.testing.assert_allclose(beta, ols, rtol=0, atol=10 * theta**2 + 1e-12)


def test_row_05_precision_weights_count_in_estimates_and_likelihood(sleep: pd.DataFrame) -> None:
    """lme4#155, MM#194: weights ignored, σ and deviance wrong; here against V in full."""
    w = np.random.default_rng(5).uniform(0.2, 5.0, len(sleep))
    for reml in (True, False):
        fit = hglm.fit(SLOPES, sleep, method="reml" if reml else "ml", weights=w)
        X, y = fit.design.mean.X, fit.design.y
        expected = dense_solution(X, y, dense_terms(fit), reml, w)
        assert fit.llf == pytest.approx(-0.5 * expected.criterion, abs=1e-8)
        assert fit.sigma == pytest.approx(np.sqrt(expected.sigma2), rel=1e-10)
        np.testing.assert_allclose(fit.params, expected.beta, rtol=1e-10)
        np.testing.assert_allclose(fit.cov_params(), expected.vcov, rtol=1e-9)
    assert abs(fit.llf - hglm.fit(SLOPES, sleep, method="ml").llf) > 1.0


def test_row_06_weights_and_frequencies_mean_different_things(sleep: pd.DataFrame) -> None:
    """TMB NEWS 1.1.9: lmer's weights divide the variance, glmmTMB's repeat the row."""
    w = np.tile([1, 2, 3], 60)
    precise = hglm.fit(SLOPES, sleep, weights=w.astype(float))
    counted = hglm.fit(SLOPES, sleep, frequencies=w)
    repeated = hglm.fit(SLOPES, sleep.loc[sleep.index.repeat(w)])
    assert counted.llf == pytest.approx(repeated.llf, abs=1e-7)
    assert counted.sigma == pytest.approx(repeated.sigma, rel=1e-6)
    np.testing.assert_allclose(counted.bse, repeated.bse, rtol=1e-5)
    assert counted.nobs == 360
    assert precise.nobs == 180
    assert precise.llf > counted.llf + 700
    assert precise.sigma > 1.4 * counted.sigma


def test_row_07_what_is_reported_belongs_to_the_optimum() -> None:
    """lme4#166: parameters of the last evaluation rather than of the best."""
    for seed in range(5):
        fit = hglm.fit("y ~ x + (x | g) + (1 | h)", crossed_frame(seed))
        values = [value for _, value in fit.estimates.path]
        assert -2.0 * fit.llf <= min(values) + 1e-8
        again = dense_solution(fit.design.mean.X, fit.design.y, dense_terms(fit), True)
        assert fit.llf == pytest.approx(-0.5 * again.criterion, abs=1e-8)
        np.testing.assert_allclose(fit.params, again.beta, rtol=1e-8)


def test_row_08_terms_levels_and_rows_in_any_order() -> None:
    """lme4 1.0-4, #945, #962: parameters unpacked in the order of another term."""
    data = crossed_frame()
    one = hglm.fit("y ~ x + c + (x | g) + (1 | h) + (0 + c | s)", data)
    mixed = data.assign(h=pd.Categorical(data["h"], sorted(data["h"].unique())[::-1])).iloc[::-1]
    two = hglm.fit("y ~ c + x + (0 + c | s) + (1 | h) + (x | g)", mixed)
    assert two.llf == pytest.approx(one.llf, abs=1e-7)
    np.testing.assert_allclose(two.params[one.params.index], one.params, rtol=1e-5)
    keys = ["group", "term1", "term2"]
    tables = [f.varcorr.set_index(keys)["vcov"].sort_index() for f in (one, two)]
    pd.testing.assert_series_equal(tables[0], tables[1], rtol=1e-3, atol=1e-4)
    modes = [f.ranef().set_index(["group", "level", "term"])["estimate"] for f in (one, two)]
    pd.testing.assert_series_equal(modes[0].sort_index(), modes[1].sort_index(), atol=1e-4)


@pytest.mark.parametrize(
    ("random", "parameters"),
    [
        ("", 0),
        ("+ (1 | g)", 1),
        ("+ (x | g)", 3),
        ("+ (x || g)", 2),
        ("+ diag(x | g)", 2),
        ("+ cs(x | g)", 3),
        ("+ cs(0 + c | g)", 4),
        ("+ (0 + c | g)", 6),
        ("+ diag(0 + c | g)", 3),
        ("+ (c || g)", 7),
        ("+ (1 | s/g)", 2),
        ("+ (x * c | g)", 21),
        ("+ (x | g) + (1 | h) + (0 + x | s)", 5),
    ],
)
def test_row_09_parameters_are_counted(random: str, parameters: int) -> None:
    """lme4#943, #957: AIC and likelihood ratios rest on the count."""
    data = crossed_frame()
    for method in ("reml", "ml"):
        fit = hglm.fit(f"y ~ x + c {random}", data, method=method)
        assert fit.n_parameters == 4 + parameters + 1
        assert fit.aic == pytest.approx(2 * (5 + parameters) - 2 * fit.llf)
        assert fit.bic == pytest.approx(np.log(240) * (5 + parameters) - 2 * fit.llf)


@pytest.mark.parametrize(
    "formula", ["y ~ x + (x | g)", "y ~ x + (x | g) + (1 | h)", "y ~ x + (1 | s/g) + (1 | h)"]
)
def test_row_10_conditional_variances_of_random_effects(formula: str) -> None:
    """lme4#148: against the posterior covariance from V in full."""
    fit = hglm.fit(formula, crossed_frame())
    expected = dense_solution(fit.design.mean.X, fit.design.y, dense_terms(fit), True)
    table = fit.ranef()
    for term, modes, covariances in zip(
        fit.estimates.terms, expected.modes, expected.mode_covariances, strict=True
    ):
        ours = table[table["group"] == term.group].set_index(["level", "term"])
        for a, name in enumerate(term.names):
            rows = ours.loc[[(level, name) for level in term.levels]]
            np.testing.assert_allclose(rows["estimate"], modes[:, a], atol=1e-8)
            error = np.sqrt(np.maximum(covariances[:, a, a], 0.0))
            np.testing.assert_allclose(rows["std_error"], error, rtol=1e-6, atol=1e-8)


PREDICTED = "y ~ scale(x) + poly(x, 2) + c + (x | g) + (1 | h)"


def test_row_11_predictions_of_new_data_are_those_of_the_fit() -> None:
    """lme4#420, #143, #631, #313, TMB#439, #1197: subsets, orders, levels, transforms."""
    data = crossed_frame().reset_index(drop=True)
    formula = PREDICTED.replace("scale(x) + ", "")
    fit = hglm.fit(formula, data)
    fitted = fit.fittedvalues
    np.testing.assert_allclose(fit.predict(data), fitted, rtol=1e-12)
    for rows in (data.iloc[[17]], data.sample(50, random_state=1), data[data["c"] == "q"]):
        np.testing.assert_allclose(fit.predict(rows), fitted[rows.index], rtol=1e-10)
    reordered = data.assign(g=pd.Categorical(data["g"], sorted(data["g"].unique())[::-1]))
    np.testing.assert_allclose(fit.predict(reordered), fitted, rtol=1e-12)
    scaled = hglm.fit("y ~ scale(x) + c + (1 | g)", data, contrasts={"c": "sum"})
    np.testing.assert_allclose(scaled.predict(data.iloc[:7]), scaled.fittedvalues[:7], rtol=1e-10)


def test_row_11_missing_training_values_do_not_carry_over() -> None:
    data = crossed_frame().reset_index(drop=True)
    gaps = data.assign(x=data["x"].where(data.index % 9 != 0))
    fit = hglm.fit("y ~ x + (1 | g)", gaps)
    complete = gaps["x"].notna()
    assert fit.nobs == complete.sum()
    assert list(fit.fittedvalues.index) == list(data.index[complete])
    predicted = fit.predict(data)
    assert predicted.notna().all()
    np.testing.assert_allclose(predicted[complete], fit.fittedvalues, rtol=1e-12)
    assert fit.predict(gaps)[~complete].isna().all()


def test_row_11_more_levels_than_a_hundred_and_new_ones() -> None:
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(150), 3)
    data = pd.DataFrame({"g": g, "y": rng.normal(size=150)[g] + 0.1 * rng.normal(size=450)})
    fit = hglm.fit("y ~ 1 + (1 | g)", data)
    np.testing.assert_allclose(fit.predict(data[data["g"] > 140]), fit.fittedvalues[g > 140])
    new = pd.DataFrame({"g": [149, 9999]})
    expected = [fit.fittedvalues.iloc[-1], fit.params["Intercept"]]
    np.testing.assert_allclose(fit.predict(new, new_levels="population"), expected)


def test_row_12_simulation_with_dependent_columns_and_its_moments() -> None:
    """MM#778: a rank-deficient X; the draws have the mean and covariance of the model."""
    data = crossed_frame(n=60)
    fit = hglm.fit("y ~ x + I(2 * x) + c + (1 | g)", data)
    draws = fit.simulate(8000, seed=1).to_numpy()
    V = dense_covariance(dense_terms(fit), np.ones(60)) * fit.sigma**2
    mean = fit.predict(random="none").to_numpy()
    error = np.sqrt(np.diagonal(V) / 8000)
    assert np.abs((draws.mean(axis=1) - mean) / error).max() < 4.5
    correlation = np.corrcoef(draws)
    expected = V / np.sqrt(np.outer(np.diagonal(V), np.diagonal(V)))
    assert np.abs(correlation - expected).max() < 5.5 / np.sqrt(8000)


def test_row_13_intervals_have_their_ends_the_right_way_round(slopes: hglm.Fit) -> None:
    """MM#785: profile intervals of REML fits were flipped."""
    for level in (0.5, 0.95, 0.999):
        wald = slopes.conf_int(level)
        assert (wald["conf_low"] < slopes.params).all()
        assert (slopes.params < wald["conf_high"]).all()
    profile = slopes.conf_int(method="profile")
    assert (profile["conf_low"] < profile["conf_high"]).all()


def test_row_16_compound_symmetry_is_a_covariance_matrix_throughout() -> None:
    """TMB#1204, mmrm NEWS: a correlation below -1/(m-1) was allowed."""
    rng = np.random.default_rng(3)
    n = 120
    g, c = np.repeat(np.arange(20), 6), np.tile([0, 0, 1, 1, 2, 2], 20)
    effects = rng.normal(size=(20, 3)) * 3.0
    effects -= effects.mean(axis=1, keepdims=True)  # correlations of -1/2, the limit
    data = pd.DataFrame({"g": g, "c": [f"c{i}" for i in c]})
    data["y"] = effects[g, c] + rng.normal(size=n)
    fit = hglm.fit("y ~ c + cs(0 + c | g)", data)
    sigma = fit.estimates.terms[0].covariance
    correlation = sigma[1, 0] / np.sqrt(sigma[0, 0] * sigma[1, 1])
    assert correlation == pytest.approx(-0.5, abs=1e-3)
    assert correlation >= -0.5 - 1e-12
    assert np.linalg.eigvalsh(sigma)[0] >= -1e-12 * sigma[0, 0]
    value = dense_criterion(fit.design.mean.X, fit.design.y, dense_terms(fit), True)
    assert fit.llf == pytest.approx(-0.5 * value, abs=1e-8)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
@pytest.mark.parametrize("kind", [2, 3])
def test_row_17_tests_of_terms_do_not_depend_on_coding(kind: int, ddf: str) -> None:
    """mmrm NEWS, lT#51: other contrasts, no intercept, another order of an interaction."""
    data = crossed_frame().assign(d=lambda d: np.where(d["x"] > 3, "u", "v"))
    base = hglm.fit("y ~ c * d + (1 | g)", data).anova(type=kind, ddf=ddf)
    others = [
        hglm.fit("y ~ c * d + (1 | g)", data, contrasts={"c": "sum", "d": "helmert"}),
        hglm.fit("y ~ d + c + d:c + (1 | g)", data),
        hglm.fit("y ~ C(c, contr.sum) * d + (1 | g)", data),
    ]
    for fit in others:
        table = fit.anova(type=kind, ddf=ddf)
        table.index = [
            ":".join(sorted(t.replace("C(c, contr.sum)", "c").split(":"))) for t in table.index
        ]
        columns = ["num_df", "den_df", "statistic"]
        np.testing.assert_allclose(table.loc[base.index, columns], base[columns], rtol=2e-3)


def test_row_17_without_intercept_the_interaction_is_the_same() -> None:
    data = crossed_frame().assign(d=lambda d: np.where(d["x"] > 3, "u", "v"))
    with_it = hglm.fit("y ~ c * d + (1 | g)", data).anova().loc["c:d"]
    without = hglm.fit("y ~ 0 + c + d + c:d + (1 | g)", data).anova().loc["c:d"]
    assert without["statistic"] == pytest.approx(with_it["statistic"], rel=1e-4)
    assert without["den_df"] == pytest.approx(with_it["den_df"], rel=1e-4)


def test_row_18_satterthwaite_and_kenward_roger_of_sleepstudy(slopes: hglm.Fit) -> None:
    """Figures of pbkrtest 0.5.2 and lmerTest 3.1-3, computed to ten digits for the survey."""
    satterthwaite = slopes.anova(ddf="satterthwaite").loc["days"]
    assert satterthwaite["den_df"] == pytest.approx(17.0, abs=1e-4)
    kenward_roger = slopes.anova(ddf="kenward-roger").loc["days"]
    assert kenward_roger["statistic"] == pytest.approx(45.85296156, rel=1e-5)
    assert kenward_roger["den_df"] == pytest.approx(17.0, abs=1e-4)
    assert kenward_roger["p_value"] == pytest.approx(3.263808018e-06, rel=1e-4)


def test_row_19_crossed_factors_are_crossed() -> None:
    """sm#9279, sm#2452: variance formulas inside one `groups=` silently meant nesting."""
    fit = hglm.fit("y ~ x + (1 | g) + (1 | h)", crossed_frame())
    data = crossed_frame()
    a, b = fit.estimates.terms
    sigma = {t.group: float(t.covariance[0, 0]) / fit.sigma**2 for t in (a, b)}
    V = np.eye(240)
    for group in ("g", "h"):
        V += sigma[group] * (data[group].to_numpy()[:, None] == data[group].to_numpy()[None, :])
    np.testing.assert_allclose(dense_covariance(dense_terms(fit), np.ones(240)), V, atol=1e-12)
    value = dense_criterion(fit.design.mean.X, fit.design.y, dense_terms(fit), True)
    assert fit.llf == pytest.approx(-0.5 * value, abs=1e-8)


def test_row_20_questions_change_neither_the_fit_nor_the_data(sleep: pd.DataFrame) -> None:
    """TMB#1294, lme4 refitML: simulate and estfun changed the fitted object."""
    before = sleep.copy(deep=True)
    fit = hglm.fit(SLOPES, sleep)
    arrays = pickle.dumps((fit.estimates.beta, fit.estimates.theta, fit.estimates.vcov, fit.llf))
    modes = fit.ranef()["estimate"].to_numpy().copy()
    fit.simulate(2, seed=1)
    fit.predict(sleep.assign(days=0), interval="prediction")
    for kind in (1, 2, 3):
        fit.anova(type=kind, ddf="kenward-roger")
    fit.summary()
    fit.tidy()
    fit.augment()
    for handed_out in (fit.fittedvalues, fit.params):
        handed_out.iloc[0] = -1.0
    hglm.compare(fit, hglm.fit("reaction ~ days + (1 | subject)", sleep), refit=True)
    after = pickle.dumps((fit.estimates.beta, fit.estimates.theta, fit.estimates.vcov, fit.llf))
    assert after == arrays
    np.testing.assert_array_equal(fit.ranef()["estimate"], modes)
    pd.testing.assert_frame_equal(sleep, before)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(
    "random",
    ["(1 | g)", "(x | g)", "(x || g)", "(x | g) + (1 | h)", "(1 | s/g)", "cs(0 + c | h)"],
)
def test_row_21_every_derivative_vanishes_at_return(random: str, method: str) -> None:
    """GPBoost: coefficients silently not estimated under some optimisers."""
    data = crossed_frame()
    fit = hglm.fit(f"y ~ x + c + {random}", data, method=method)
    X, y = fit.design.mean.X, fit.design.y
    terms = dense_terms(fit)

    def criterion(moved: list[Term]) -> float:
        return dense_criterion(X, y, moved, method == "reml")

    best = criterion(terms)
    for i, (codes, z, sigma) in enumerate(terms):
        for direction in symmetric_directions(sigma):
            step = 1e-3 * direction
            if fit.estimates.terms[i].structure != "us":
                step = np.diag(np.diagonal(step))
            for sign in (-1.0, 1.0):
                moved = list(terms)
                moved[i] = (codes, z, congruent(sigma, sign * step))
                assert criterion(moved) >= best - 1e-6
    gradient = X.T @ np.linalg.solve(
        dense_covariance(terms, np.ones(len(y))), y - X @ fit.params.to_numpy()
    )
    np.testing.assert_allclose(gradient / np.linalg.norm(X, axis=0), 0.0, atol=1e-8)


def symmetric_directions(sigma: Matrix) -> list[Matrix]:
    k = len(sigma)
    out = []
    for a in range(k):
        for b in range(a + 1):
            e = np.zeros((k, k))
            e[a, b] = e[b, a] = 1.0
            out.append(e)
    return out


def congruent(sigma: Matrix, step: Matrix) -> Matrix:
    """(I + S) Σ (I + S)': near Σ, and a covariance matrix whatever S."""
    M = np.eye(len(sigma)) + step
    return M @ sigma @ M.T


def test_row_22_double_bars_depend_on_the_origin_and_the_docs_say_so(sleep: pd.DataFrame) -> None:
    moved = sleep.assign(days=sleep["days"] - 10)
    both = (sleep, moved)
    double = [hglm.fit("reaction ~ days + (days || subject)", d, method="ml").llf for d in both]
    single = [hglm.fit(SLOPES, d, method="ml").llf for d in both]
    assert single[0] == pytest.approx(single[1], abs=1e-7)
    assert double[0] - double[1] > 10
    text = (DOCS / "formulas.md").read_text("utf-8")
    assert all(f"{value:.2f}".replace("-", "−") in text for value in (*double, single[0]))


def test_row_23_repeated_fits_agree_to_the_last_bit(sleep: pd.DataFrame) -> None:
    """lme4 2.0-6: memory used after it was freed gave errors now and then."""
    fits = [hglm.fit(SLOPES, sleep) for _ in range(3)]
    assert len({f.llf for f in fits}) == 1
    assert len({f.theta.tobytes() for f in fits}) == 1


def test_row_24_the_optimum_is_reached_where_lme4_stops_short() -> None:
    """lme4's default fit of this model ends 2.8 below in log likelihood (reference/*.json)."""
    stored = reference("radon_slope_reml")
    fit = hglm.fit(stored["formula"], reference_frame(stored))
    assert "lower by 2.8e+00" in stored["note"]
    assert fit.llf == pytest.approx(stored["loglik"], abs=1e-7)
    assert fit.converged
    assert fit.certificate.gain < 1e-8
    assert fit.certificate.gradient < 1e-4


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e9, 1e12])
def test_row_25_stiff_data_lose_no_digits(offset: float) -> None:
    """lmer 1.1-31 gives .1141 for .0745 at an offset of 1e12, without a warning.

    The truth is the analysis of variance of the numbers as stored, in rational arithmetic.
    """
    rng = np.random.default_rng(25)
    treatment = np.repeat(np.arange(9), 21)
    y = np.round(0.3 * rng.normal(size=9)[treatment] + rng.normal(size=189), 3) + offset
    data = pd.DataFrame({"y": y, "treatment": treatment})
    between, within = exact_mean_squares(data)
    fit = hglm.fit("y ~ 1 + (1 | treatment)", data)
    assert fit.varcorr["vcov"].iloc[0] == pytest.approx((between - within) / 21, rel=1e-5)
    assert fit.sigma**2 == pytest.approx(within, rel=1e-7)


def test_values_of_sleepstudy(sleep: pd.DataFrame, slopes: hglm.Fit) -> None:
    """Of lme4's default optimiser, whose θ is 4e-5 off: `test_certified.py` has the truth."""
    assert slopes.deviance == pytest.approx(1743.628272, abs=1e-6)
    theta = [0.966741774, 0.0151690589, 0.2309099532]
    np.testing.assert_allclose(slopes.theta, theta, atol=5e-5)
    sds = slopes.varcorr["sdcor"].to_numpy()
    np.testing.assert_allclose(sds, [24.7406580, 5.9221377, 0.065551, 25.5917957], rtol=1e-5)
    ml = hglm.fit(SLOPES, sleep, method="ml")
    assert ml.deviance == pytest.approx(1751.939344, abs=1e-6)
    theta = [0.92919060528, 0.01816575472, 0.22264320561]
    np.testing.assert_allclose(ml.theta, theta, atol=5e-5)


def test_kenward_roger_covariance_of_sleepstudy(slopes: hglm.Fit) -> None:
    """Of pbkrtest at the same θ, good to 1e-5."""
    table = slopes.coefficients(ddf="kenward-roger").set_index("term")
    error = table["std_error"].to_numpy()
    np.testing.assert_allclose(error**2, [46.575120049, 2.389465623], rtol=2e-5)
