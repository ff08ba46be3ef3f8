"""Wrong answers about fitted generalised models: one test for each row, and for weights.

Row numbers and issue threads are those of `test_pitfalls_lmm.py`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import hglm
from hglm.typing import Vector
from pitfalls_oracle import fit_model, make

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return make()


@pytest.mark.parametrize("family", ["gamma", "inverse_gaussian", "student_t"])
def test_row_05_precision_weights_divide_the_dispersion(data: pd.DataFrame, family: str) -> None:
    """lme4#155, MM#194: ignored, or σ and deviance wrong. Scaling them scales φ alone."""
    w = np.random.default_rng(5).uniform(0.3, 3.0, len(data))
    fit, tenfold = (fit_model(family, data, weights=a * w) for a in (1.0, 10.0))
    assert tenfold.llf == pytest.approx(fit.llf, abs=1e-7)
    assert tenfold.sigma == pytest.approx(np.sqrt(10) * fit.sigma, rel=1e-4)
    np.testing.assert_allclose(tenfold.params, fit.params, atol=1e-4 * fit.bse.min())
    assert abs(fit.llf - fit_model(family, data).llf) > 0.5


@pytest.mark.parametrize("family", ["poisson", "binomial", "gamma", "zero-inflated nbinom2"])
@pytest.mark.parametrize("method", ["laplace", hglm.Quadrature(5)])
def test_row_06_frequencies_are_replicated_rows(
    data: pd.DataFrame, family: str, method: Any
) -> None:
    """TMB NEWS 1.1.9: weights of a 0/1 response were ignored."""
    times = np.tile([1, 2, 3], len(data) // 3)
    counted = fit_model(family, data, frequencies=times, method=method)
    repeated = fit_model(family, data.loc[data.index.repeat(times)], method=method)
    assert counted.llf == pytest.approx(repeated.llf, abs=1e-7)
    assert counted.nobs == repeated.nobs == times.sum()
    np.testing.assert_allclose(counted.params, repeated.params, atol=2e-4 * counted.bse.min())
    np.testing.assert_allclose(counted.bse, repeated.bse, rtol=1e-4)
    for name, part in counted.others.items():
        np.testing.assert_allclose(part.vcov, repeated.others[name].vcov, rtol=1e-3)


def test_row_06_trials_are_rows_of_zeros_and_ones(data: pd.DataFrame) -> None:
    """Three ways to tell the same successes; their number of orders is the difference."""
    told = [
        fit_model("binomial", data),
        hglm.fit("cbind(hits, trials - hits) ~ x + (1 | g)", data, "binomial"),
    ]
    assert told[1].llf == pytest.approx(told[0].llf, abs=1e-9)
    m, k = data["trials"].to_numpy(), data["hits"].to_numpy()
    rows = data.loc[data.index.repeat(m)].assign(one=np.concatenate([np.arange(a) for a in m]))
    rows["success"] = (rows["one"] < rows["hits"]).astype(float)
    single = hglm.fit("success ~ x + (1 | g)", rows, "binomial")
    orders = np.log(special.comb(m, k)).sum()
    assert told[0].llf == pytest.approx(single.llf + orders, abs=1e-7)
    np.testing.assert_allclose(told[0].bse, single.bse, rtol=1e-4)
    both = pd.concat([data.assign(y=1.0, f=k), data.assign(y=0.0, f=m - k)]).query("f > 0")
    counted = hglm.fit("y ~ x + (1 | g)", both, "binomial", frequencies="f")
    assert counted.llf == pytest.approx(single.llf, abs=1e-7)


def test_row_06_a_family_without_a_scale_refuses_precision_weights(data: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="frequencies"):
        fit_model("poisson", data, weights=np.full(len(data), 2.0))


COUNTED = [
    ("poisson", "count", "(1 | g)", {}, 3),
    ("poisson", "count", "(x | g)", {}, 5),
    ("poisson", "count", "(x || g)", {}, 4),
    ("poisson", "count", "(1 | g) + (0 + x | h)", {}, 4),
    ("poisson", "count", "diag(0 + t | g)", {}, 5),
    ("poisson", "count", "homdiag(0 + t | g)", {}, 3),
    ("poisson", "count", "(0 + t | g)", {}, 8),
    ("poisson", "count", "cs(0 + t | g)", {}, 6),
    ("poisson", "count", "homcs(0 + t | g)", {}, 4),
    ("poisson", "count", "ar1(0 + t | g)", {}, 4),
    ("poisson", "count", "hetar1(0 + t | g)", {}, 6),
    ("poisson", "count", "toep(0 + t | g)", {}, 7),
    ("poisson", "count", "homtoep(0 + t | g)", {}, 5),
    ("poisson", "count", "ou(0 + when | g)", {}, 4),
    ("poisson", "count", "(1 | g)", {"zero_inflation": "~ 1"}, 4),
    ("poisson", "count", "(1 | g)", {"zero_inflation": "~ x + (1 | g)"}, 6),
    ("binomial", "yes", "(1 | g)", {}, 3),
    ("beta", "share", "(1 | g)", {}, 4),
    ("gamma", "amount", "(1 | g)", {}, 4),
    ("gamma", "amount", "(1 | g)", {"dispersion": "~ x + (1 | h)"}, 6),
    ("gaussian", "noisy", "(1 | g)", {"dispersion": "~ x"}, 5),
    ("student_t", "noisy", "(1 | g)", {}, 5),
    ("tweedie", "rain", "(1 | g)", {}, 5),
    ("nbinom2", "count", "(1 | g)", {"dispersion": "~ x", "zero_inflation": "~ x"}, 7),
    ("truncated_nbinom2", "some", "(1 | g)", {}, 4),
    ("ordinal", "rating", "(1 | g)", {}, 5),
]


@pytest.mark.parametrize(("family", "response", "random", "options", "expected"), COUNTED)
def test_row_09_parameters_are_counted(
    data: pd.DataFrame,
    family: str,
    response: str,
    random: str,
    options: dict[str, Any],
    expected: int,
) -> None:
    """lme4#943, #957: AIC and likelihood ratios rest on the count."""
    fit = hglm.fit(f"{response} ~ x + {random}", data, family, **options)
    assert fit.n_parameters == expected
    assert fit.aic == pytest.approx(2 * expected - 2 * fit.llf)
    assert fit.bic == pytest.approx(np.log(len(data)) * expected - 2 * fit.llf)
    assert fit.df_resid == len(data) - expected


def test_row_11_predictions_of_new_data_are_those_of_the_fit() -> None:
    """lme4#420, #143, #631, #313, TMB#439, #1197: subsets, orders, levels, transforms."""
    data = make(7, groups=120, rows=3)
    options = {"zero_inflation": "~ poly(x, 2) + (1 | h)"}
    formula = "count ~ poly(x, 2) + t + offset(0.1 * when) + (x | g)"
    fit = hglm.fit(formula, data, "poisson", contrasts={"t": "sum"}, **options)
    fitted = fit.fittedvalues
    for rows in (data, data.iloc[[17]], data.sample(50, random_state=1), data[data["t"] == "t1"]):
        np.testing.assert_allclose(fit.predict(rows), fitted[rows.index], rtol=1e-10)
    fewer = data.iloc[:30].assign(g=lambda d: pd.Categorical(d["g"], sorted(set(d["g"]))[::-1]))
    np.testing.assert_allclose(fit.predict(fewer), fitted[:30], rtol=1e-10)
    for known in ("none", "h"):
        unseen = {name: "unseen" for name in ("g", "h") if name != known}
        found = fit.predict(data.iloc[:3].assign(**unseen), new_levels="population")
        expected = fit.predict(data.iloc[:3], random=known)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_row_11_missing_training_values_do_not_carry_over(data: pd.DataFrame) -> None:
    gaps = data.assign(x=data["x"].where(data.index % 9 != 0))
    fit = fit_model("hurdle", gaps)
    complete = gaps["x"].notna()
    assert fit.nobs == complete.sum()
    predicted = fit.predict(data)
    assert predicted.notna().all()
    np.testing.assert_allclose(predicted[complete], fit.fittedvalues, rtol=1e-12)
    assert fit.predict(gaps)[~complete].isna().all()


DRAWN: Mapping[str, tuple[str, dict[str, Any], Callable[..., Vector]]] = {
    "poisson": ("count", {}, lambda m, _: m),
    "nbinom2": ("count", {}, lambda m, s: m + m**2 / s),
    "nbinom1": ("count", {}, lambda m, s: m * (1 + s)),
    "gamma": ("amount", {}, lambda m, s: (s * m) ** 2),
    "inverse_gaussian": ("amount", {}, lambda m, s: s**2 * m**3),
    "tweedie": ("rain", {}, lambda m, s, power: s * m ** (1 + special.expit(power))),
    "beta": ("share", {}, lambda m, s: m * (1 - m) / (1 + s)),
    "binomial": ("yes", {}, lambda m, _: m * (1 - m)),
    "beta_binomial": (
        "hits / 9",
        {"trials": np.full(108, 9)},
        lambda m, s: m * (1 - m) / 9 * (1 + 8 / (1 + s)),
    ),
    "gaussian": ("amount", {"link": "log"}, lambda m, s: 0 * m + s**2),
    "student_t": ("noisy", {}, lambda m, s, df: 0 * m + s**2 / (1 - 2 / np.exp(df))),
}
"""Response, options, and the variance by mean, sigma and further scalars (docs/families.md)."""


@pytest.mark.parametrize("family", DRAWN)
def test_row_12_draws_have_the_moments_of_the_family(data: pd.DataFrame, family: str) -> None:
    """lme4#782: the shape of the gamma; MM#778: a rank-deficient X."""
    response, options, variance = DRAWN[family]
    fit = hglm.fit(f"{response} ~ x + I(2 * x) + (1 | g)", data, family, **options)
    n = 1000
    draws = fit.simulate(n, seed=1, random="conditional").to_numpy()
    mean = fit.fittedvalues.to_numpy()
    scalars = [part.beta[0] for name, part in fit.others.items() if name != "dispersion"]
    expected = variance(mean, fit.sigma, *scalars)
    assert np.abs((draws.mean(axis=1) - mean) / np.sqrt(expected / n)).max() < 5
    assert np.mean(draws.var(axis=1) / expected) == pytest.approx(1.0, abs=0.04)


@pytest.mark.parametrize("family", ["truncated_nbinom2", "truncated_nbinom1", "truncated_poisson"])
def test_row_12_truncated_draws_are_finite_for_means_near_zero(family: str) -> None:
    """TMB#572: infinite or missing counts where nearly all responses are one."""
    g = np.repeat(np.arange(10), 30)
    y = np.ones(300)
    y[::37] = 2.0
    fit = hglm.fit("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": g}), family)
    draws = fit.simulate(300, seed=2, random="conditional").to_numpy()
    assert np.isfinite(draws).all()
    assert draws.min() == 1.0
    assert draws.mean() == pytest.approx(y.mean(), abs=0.02)


def test_row_13_intervals_have_their_ends_the_right_way_round(data: pd.DataFrame) -> None:
    """MM#785; and at the ends of the slope the likelihood ratio rejects at 5 %."""
    fit = fit_model("poisson", data)
    ends = fit.conf_int(method="profile")
    assert (ends["conf_low"] < ends["conf_high"]).all()
    estimates = [fit.varcorr["sdcor"].iloc[0], *fit.params]
    assert ((ends["conf_low"] < estimates) & (estimates < ends["conf_high"])).all()
    for slope in ends.loc["x"]:
        held = hglm.fit("count ~ 1 + (1 | g)", data, "poisson", offset=slope * data["x"])
        assert held.deviance - fit.deviance == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-4)


INVERSES = {
    "logit": special.expit,
    "probit": special.ndtr,
    "cloglog": lambda eta: -np.expm1(-np.exp(eta)),
    "cauchit": stats.cauchy.cdf,
}


@pytest.mark.parametrize("link", INVERSES)
def test_row_14_errors_on_the_scale_of_the_response(data: pd.DataFrame, link: str) -> None:
    """lme4#847: they were those of the link scale. Delta method, slopes by differences."""
    fit = fit_model("binomial", data, link=link)
    inverse = INVERSES[link]
    for given in ({"random": "none"}, {}):
        on_link = fit.predict(interval="confidence", scale="link", **given)
        response = fit.predict(interval="confidence", **given)
        eta = on_link["fit"].to_numpy()
        slope = (inverse(eta + 1e-5) - inverse(eta - 1e-5)) / 2e-5
        np.testing.assert_allclose(response["fit"], inverse(eta), rtol=1e-10)
        np.testing.assert_allclose(response["std_error"], slope * on_link["std_error"], rtol=1e-6)
        assert (response["conf_low"] >= 0).all()
        assert (response["conf_high"] <= 1).all()
    means = [fit.emmeans("x", at={"x": [0.0, 1.0]}, scale=s).frame for s in ("link", "response")]
    eta = means[0]["estimate"].to_numpy()
    slope = (inverse(eta + 1e-5) - inverse(eta - 1e-5)) / 2e-5
    np.testing.assert_allclose(means[1]["std_error"], slope * means[0]["std_error"], rtol=1e-6)


ZEROS: Mapping[str, tuple[str, Callable[..., Vector]]] = {
    "poisson": ("count", lambda m: m),
    "nbinom2": ("count", lambda m, _: m),
    "truncated_poisson": ("count", lambda m: m / (1 - np.exp(-m))),
    "truncated_nbinom2": ("count", lambda m, k: m / (1 - (k / (k + m)) ** k)),
    "gamma": ("rain", lambda m, _: m),
}
"""Response, and the mean of what is no extra zero by exp(η) and exp(that of the dispersion)."""


@pytest.mark.parametrize("family", ZEROS)
def test_row_15_means_with_extra_zeros(data: pd.DataFrame, family: str) -> None:
    """TMB#798, #634, #860, #873, #644: means of zero-inflated, truncated and hurdle models."""
    response, mean = ZEROS[family]
    link = {"gamma": "log"}.get(family)
    formula = f"{response} ~ x + (1 | g)"
    fit = hglm.fit(formula, data, family, link=link, zero_inflation="~ x")
    zero = special.expit(fit.others["zero_inflation"].linear_predictor)
    scale = [np.exp(p.beta[0]) for name, p in fit.others.items() if name == "dispersion"]
    expected = (1 - zero) * mean(np.exp(fit.predict(scale="link").to_numpy()), *scale)
    np.testing.assert_allclose(fit.fittedvalues, expected, rtol=1e-8)
    np.testing.assert_allclose(fit.predict(data), expected, rtol=1e-8)
    draws = fit.simulate(1000, seed=3, random="conditional").to_numpy()
    z = (draws.mean(axis=1) - expected) / (draws.std(axis=1) / np.sqrt(1000))
    assert np.abs(z).max() < 5
    if family not in ("poisson", "nbinom2"):  # all zeros are the hurdle's
        assert np.abs(np.mean(draws == 0, axis=1) - zero).max() < 5 * np.sqrt(0.25 / 1000)


def test_row_15_a_truncated_family_by_itself(data: pd.DataFrame) -> None:
    fit = hglm.fit("some ~ x + (1 | g)", data, "truncated_poisson")
    m = np.exp(fit.predict(scale="link"))
    np.testing.assert_allclose(fit.fittedvalues, m / -np.expm1(-m), rtol=1e-10)


def test_row_17_tests_of_terms_do_not_depend_on_coding(data: pd.DataFrame) -> None:
    """mmrm NEWS, lT#51: other contrasts, no intercept, another order of an interaction."""
    frame = data.assign(d=np.where(data["x"] > 0, "u", "v"))
    columns = ["df", "statistic"]
    for kind in (2, 3):
        base = fit_model("poisson", frame, "t * d + (1 | g)").anova(type=kind)
        coded = {"t": "sum", "d": "helmert"}
        other = fit_model("poisson", frame, "t * d + (1 | g)", contrasts=coded).anova(type=kind)
        np.testing.assert_allclose(other.loc[base.index, columns], base[columns], rtol=1e-3)
        turned = fit_model("poisson", frame, "d + t + d:t + (1 | g)").anova(type=kind)
        turned.index = [":".join(sorted(term.split(":"))[::-1]) for term in turned.index]
        np.testing.assert_allclose(turned.loc[base.index, columns], base[columns], rtol=1e-3)


def test_row_20_questions_change_neither_the_fit_nor_the_data(data: pd.DataFrame) -> None:
    """TMB#1294, DHARMa 0.5.1: simulate and estfun changed the fitted object."""
    before, offset = data.copy(deep=True), np.zeros(len(data))
    offset.flags.writeable = False
    fit = fit_model("zero-inflated nbinom2", data, offset=offset)

    def content() -> bytes:
        e = fit.estimates
        others = [(p.beta, p.vcov, p.linear_predictor) for p in e.others.values()]
        return pickle.dumps((e.beta, e.theta, e.vcov, e.llf, e.linear_predictor, others))

    arrays, modes = content(), fit.ranef()["estimate"].to_numpy().copy()
    fit.simulate(2, seed=1)
    fit.simulate(2, seed=1, random="conditional")
    fit.predict(interval="prediction")
    fit.quantile_residuals(50, seed=1)
    fit.conf_int(method="profile")
    fit.robust()
    fit.anova()
    fit.check()
    str(fit.summary())
    fit.augment()
    fit.bootstrap(3, seed=1)
    for handed_out in (fit.fittedvalues, fit.params, fit.resid):
        handed_out.iloc[0] = -1.0
    assert content() == arrays
    np.testing.assert_array_equal(fit.ranef()["estimate"], modes)
    pd.testing.assert_frame_equal(data, before)


def test_row_22_shares_of_variance_at_zero_and_the_origin_of_double_bars() -> None:
    """perf#428, cAIC4: no R² at the boundary; with `||` it depends on the origin."""
    data = make(6, groups=16, rows=15)
    rng = np.random.default_rng(2)
    alike = np.sort(rng.poisson(2.0, len(data)))  # dealt out in turn: no group differs
    none = data.assign(count=alike, g=np.arange(len(data)) % 16)
    fit = hglm.fit("count ~ x + (1 | g)", none, "poisson")
    shares = fit.r2()
    assert fit.singular
    assert shares.icc_adjusted == 0.0
    assert shares.r2_conditional == shares.r2_marginal
    assert "(Intercept | g) at the boundary" in str(fit.check())
    moved = data.assign(x=data["x"] + 5)
    single, double = (
        [hglm.fit(f"count ~ x + (x {bar} g)", d, "poisson") for d in (data, moved)]
        for bar in ("|", "||")
    )
    assert single[0].r2().r2_conditional == pytest.approx(single[1].r2().r2_conditional, abs=1e-4)
    assert single[0].llf == pytest.approx(single[1].llf, abs=1e-7)
    assert abs(double[0].llf - double[1].llf) > 0.01
    assert "Two warnings about `||`" in (DOCS / "formulas.md").read_text("utf-8")
