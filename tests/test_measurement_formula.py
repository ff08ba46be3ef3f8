"""`me(x, se)` in a formula: closed forms, a dense oracle, equivalences, and every refusal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.errors import DataError, FormulaError, HglmError, OptionError
from hglm.formula import parse_formula


def _frame(n: int = 240, groups: int = 12, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = rng.permutation(np.arange(n) % groups)
    z = rng.normal(size=n)
    x = 50.0 + 2.0 * z + rng.normal(0, 6, n)
    se = rng.uniform(2, 6, n)
    b = rng.normal(size=(groups, 2)) * [3.0, 1.5]
    y = 10.0 + 0.8 * x - 1.0 * z + b[g, 0] + b[g, 1] * z + rng.normal(0, 3, n)
    return pd.DataFrame(
        {"y": y, "x": rng.normal(x, se), "se": se, "z": z, "g": [f"g{i:02d}" for i in g]}
    )


def test_one_covariate_without_groups_has_fullers_closed_form() -> None:
    """β̂ = s_xy/(s_xx − se²), σ̂² = s_yy − β̂ s_xy, σ̂_x² = s_xx − se², divisor n.

    Fuller (1987), Measurement Error Models, equations 1.2.3 and 1.2.4.
    """
    data = _frame()
    fit = hglm.fit("y ~ me(x, 2.5)", data)
    (s_yy, s_xy), (_, s_xx) = np.cov(data["y"], data["x"], bias=True)
    slope = s_xy / (s_xx - 2.5**2)
    assert fit.params["x"] == pytest.approx(slope, rel=1e-9)
    expected = data["y"].mean() - slope * data["x"].mean()
    assert fit.params["Intercept"] == pytest.approx(expected, rel=1e-9)
    assert fit.sigma**2 == pytest.approx(s_yy - slope * s_xy, rel=1e-8)
    assert fit.latent_variance == pytest.approx(s_xx - 2.5**2, rel=1e-8)
    assert fit.latent_mean == pytest.approx(data["x"].mean(), rel=1e-10)
    assert fit.naive["x"] == pytest.approx(s_xy / s_xx, rel=1e-9)
    assert fit.attenuation == pytest.approx(1 - 2.5**2 / s_xx, rel=1e-8)
    np.testing.assert_allclose(fit.reliability, 1 - 2.5**2 / s_xx, rtol=1e-8)


def test_the_standard_error_is_that_of_the_closed_form() -> None:
    """By the delta method on the three sample moments, which are free parameters here.

    With V the covariance of (y, x) the moments have variances
    Var(s_ab) = (V_aa V_bb + V_ab²)/n, and β̂ is a function of s_xy and s_xx.
    """
    data = _frame()
    fit = hglm.fit("y ~ me(x, 2.5)", data)
    (s_yy, s_xy), (_, s_xx) = np.cov(data["y"], data["x"], bias=True)
    n, u = len(data), s_xx - 2.5**2
    gradient = np.array([1 / u, -s_xy / u**2])
    cross = 2 * s_xy * s_xx
    moments = np.array([[s_yy * s_xx + s_xy**2, cross], [cross, 2 * s_xx**2]]) / n
    assert fit.bse["x"] == pytest.approx(np.sqrt(gradient @ moments @ gradient), rel=1e-6)


@pytest.mark.parametrize("random", ["", " + (1 | g)", " + (z | g)", " + (0 + z | g)"])
def test_without_error_it_is_the_ordinary_fit_by_maximum_likelihood(random: str) -> None:
    data = _frame()
    fit = hglm.fit(f"y ~ me(x, 0) + z{random}", data)
    ordinary = hglm.fit(f"y ~ x + z{random}", data, method="ml")
    assert list(fit.params.index) == list(ordinary.params.index)
    np.testing.assert_allclose(fit.params, ordinary.params, rtol=1e-7)
    assert fit.sigma == pytest.approx(ordinary.sigma, rel=1e-7)
    pd.testing.assert_frame_equal(fit.varcorr, ordinary.varcorr, rtol=1e-6)
    assert fit.llf_response == pytest.approx(ordinary.llf, abs=1e-8)
    np.testing.assert_allclose(fit.fittedvalues, ordinary.fittedvalues, rtol=1e-6)
    np.testing.assert_allclose(fit.resid, ordinary.resid, atol=1e-5)
    assert fit.attenuation == pytest.approx(1.0, abs=1e-7)
    np.testing.assert_array_equal(fit.naive, ordinary.params)
    assert "estimates are those of the measurement taken as exact" in " ".join(
        str(fit.summary()).split()
    )
    if not random:
        np.testing.assert_allclose(fit.bse, ordinary.bse, rtol=1e-6)
    else:
        mine, theirs = (f.ranef().drop(columns=["group", "level", "term"]) for f in (fit, ordinary))
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


def _dense_loglik(fit: hglm.MeasurementFit, data: pd.DataFrame, changes: dict[str, float]) -> float:
    """Log density of (y, x) with everything written out, for `y ~ me(x, se) + z + (z | g)`."""
    value = {
        **{f"beta {name}": v for name, v in fit.params.items()},
        **fit.latent_coefficients().set_index("term")["estimate"].add_prefix("alpha ").to_dict(),
        "sigma": fit.sigma,
        "latent sd": fit.latent_sd,
        "sd": fit.varcorr["sdcor"].iloc[0],
        "slope sd": fit.varcorr["sdcor"].iloc[1],
        "correlation": fit.varcorr["sdcor"].iloc[2],
    }
    value = {name: v + changes.get(name, 0.0) for name, v in value.items()}
    n, z = len(data), data["z"].to_numpy()
    true = value["alpha Intercept"] + value["alpha z"] * z
    mean = value["beta Intercept"] + value["beta x"] * true + value["beta z"] * z
    same = np.equal.outer(data["g"].to_numpy(), data["g"].to_numpy())
    sd, slope_sd = value["sd"], value["slope sd"]
    between = sd**2 + slope_sd**2 * np.outer(z, z)
    between = between + value["correlation"] * sd * slope_sd * np.add.outer(z, z)
    s2x, slope = value["latent sd"] ** 2, value["beta x"]
    V_yy = (slope**2 * s2x + value["sigma"] ** 2) * np.eye(n) + np.where(same, between, 0.0)
    V_xx = np.diag(s2x + data["se"].to_numpy() ** 2)
    V = np.block([[V_yy, slope * s2x * np.eye(n)], [slope * s2x * np.eye(n), V_xx]])
    e = np.concatenate([data["y"] - mean, data["x"] - true])
    quadratic = e @ np.linalg.solve(V, e)
    return float(-0.5 * (np.linalg.slogdet(V)[1] + quadratic + 2 * n * np.log(2 * np.pi)))


def test_the_estimates_maximise_a_dense_joint_likelihood() -> None:
    data = _frame()
    fit = hglm.fit("y ~ me(x, se) + z + (z | g)", data)
    assert fit.converged
    assert fit.llf == pytest.approx(_dense_loglik(fit, data, {}), abs=1e-7)
    for name in ["beta Intercept", "beta x", "beta z", "alpha Intercept", "alpha z", "sigma"]:
        for step in (-1e-2, 1e-2):
            assert _dense_loglik(fit, data, {name: step}) < fit.llf
    for name in ["latent sd", "sd", "slope sd", "correlation", "beta x"]:
        ahead, behind = (_dense_loglik(fit, data, {name: step}) for step in (1e-4, -1e-4))
        curve = (ahead - 2 * fit.llf + behind) / 1e-8
        assert curve < 0
        assert abs(ahead - behind) / 2e-4 < 1e-4 * max(1.0, np.sqrt(-curve))


def test_the_attenuation_of_a_known_reliability_is_recovered() -> None:
    """Reliability 0.6: over 40 data sets naive slopes average 0.6 × 0.5, corrected ones 0.5."""
    naive, corrected, attenuation, inside = [], [], [], 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        g = np.repeat(np.arange(20), 20)
        x = rng.normal(0, np.sqrt(1.5), 400)
        y = 0.5 * x + rng.normal(0, 0.5, 20)[g] + rng.normal(0, 0.5, 400)
        data = pd.DataFrame({"y": y, "x": rng.normal(x, 1.0), "g": g})
        fit = hglm.fit("y ~ me(x, 1) + (1 | g)", data)
        naive.append(fit.naive["x"])
        corrected.append(fit.params["x"])
        attenuation.append(fit.attenuation)
        low, high = fit.conf_int().loc["x"]
        inside += low < 0.5 < high
    assert np.mean(corrected) == pytest.approx(0.5, abs=3 * np.std(corrected) / np.sqrt(40))
    assert np.mean(naive) == pytest.approx(0.3, abs=3 * np.std(naive) / np.sqrt(40))
    assert np.mean(attenuation) == pytest.approx(0.6, abs=3 * np.std(attenuation) / np.sqrt(40))
    assert inside >= 33  # binomial(40, 0.95) is below 33 once in 300


def test_a_covariate_that_depends_on_others_needs_no_care() -> None:
    """x follows z closely: taking x for independent of z would bias both slopes."""
    rng = np.random.default_rng(8)
    z = rng.normal(size=4000)
    x = 2.0 * z + rng.normal(size=4000)
    y = 1.0 * x + 1.0 * z + rng.normal(size=4000)
    fit = hglm.fit("y ~ me(x, 1) + z", pd.DataFrame({"y": y, "x": rng.normal(x, 1.0), "z": z}))
    np.testing.assert_array_less(np.abs(fit.params[["x", "z"]] - 1.0), 3 * fit.bse[["x", "z"]])
    assert fit.latent_coefficients()["estimate"][1] == pytest.approx(2.0, abs=0.1)
    assert fit.naive["z"] == pytest.approx(2.0, abs=0.1)  # the error of x leaks into z


def test_rows_and_units_do_not_matter() -> None:
    data = _frame()
    fit = hglm.fit("y ~ me(x, se) + z + (z | g)", data)
    shuffled = hglm.fit("y ~ me(x, se) + z + (z | g)", data.sample(frac=1.0, random_state=1))
    np.testing.assert_allclose(shuffled.params, fit.params, rtol=1e-7)
    np.testing.assert_allclose(shuffled.bse, fit.bse, rtol=1e-6)
    assert shuffled.llf == pytest.approx(fit.llf, abs=1e-8)
    scaled = data.assign(
        y=1e4 * data["y"], x=1e-3 * data["x"] + 2.0, se=1e-3 * data["se"], z=1e5 * data["z"]
    )
    other = hglm.fit("y ~ me(x, se) + z + (z | g)", scaled)
    assert other.converged
    assert other.params["x"] == pytest.approx(1e7 * fit.params["x"], rel=1e-6)
    assert other.bse["x"] == pytest.approx(1e7 * fit.bse["x"], rel=1e-4)
    assert other.params["z"] == pytest.approx(0.1 * fit.params["z"], rel=1e-6)
    sizes = np.array([1e4, 0.1, 1.0, 1e4])
    np.testing.assert_allclose(other.varcorr["sdcor"], sizes * fit.varcorr["sdcor"], rtol=1e-5)
    assert other.llf == pytest.approx(fit.llf - 240 * np.log(1e4 * 1e-3), abs=1e-6)
    assert other.latent_sd == pytest.approx(1e-3 * fit.latent_sd, rel=1e-6)


def test_incomplete_rows_are_left_out_and_inputs_kept() -> None:
    data = _frame()
    holes = data.copy()
    holes.loc[3, "se"] = holes.loc[8, "x"] = np.nan
    before = holes.copy()
    fit = hglm.fit("y ~ me(x, se) + z + (1 | g)", holes)
    pd.testing.assert_frame_equal(holes, before)
    whole = hglm.fit("y ~ me(x, se) + z + (1 | g)", data.drop(index=[3, 8]))
    assert fit.nobs == 238
    np.testing.assert_allclose(fit.params, whole.params, rtol=1e-8)
    assert list(fit.latent().index) == list(whole.latent().index)
    assert "2 of 240 rows left out" in str(fit.summary())


def test_predictions_are_for_the_true_covariate() -> None:
    data = _frame()
    fit = hglm.fit("y ~ me(x, se) + z + (z | g)", data)
    new = pd.DataFrame(
        {"x": [40.0, 60.0, np.nan], "z": [0.0, 1.0, 0.0], "g": ["g01", "new", "g01"]}
    )
    line = fit.params["Intercept"] + fit.params["x"] * new["x"] + fit.params["z"] * new["z"]
    np.testing.assert_allclose(fit.predict(new, random="none"), line, rtol=1e-12)
    effects = fit.ranef().set_index(["level", "term"])["estimate"]
    known = fit.predict(new, new_levels="population")
    assert known[0] == pytest.approx(line[0] + effects["g01", "Intercept"], rel=1e-12)
    assert known[1] == pytest.approx(line[1], rel=1e-12)
    assert np.isnan(known[2])
    with pytest.raises(DataError, match="new levels"):
        fit.predict(new)
    latent = data.assign(x=fit.latent()["estimate"])
    np.testing.assert_allclose(fit.fittedvalues, fit.predict(latent), rtol=1e-12)
    augmented = fit.augment()
    np.testing.assert_allclose(augmented[".fitted"] + augmented[".resid"], data["y"])


def test_transformed_covariates_offsets_and_factors() -> None:
    data = _frame().assign(f=lambda d: np.where(d["z"] > 0, "high", "low"))
    fit = hglm.fit("y ~ me(x / 10, se / 10) + f + (1 | g)", data)
    plain = hglm.fit("y ~ me(x, se) + f + (1 | g)", data)
    assert fit.covariate == "x / 10"
    assert fit.params["x / 10"] == pytest.approx(10 * plain.params["x"], rel=1e-7)
    shifted = hglm.fit("y ~ me(x, se) + f + offset(3 * z) + (1 | g)", data)
    by_hand = hglm.fit("y ~ me(x, se) + f + (1 | g)", data.assign(y=data["y"] - 3 * data["z"]))
    np.testing.assert_allclose(shifted.params, by_hand.params, rtol=1e-9)
    np.testing.assert_allclose(shifted.fittedvalues, by_hand.fittedvalues + 3 * data["z"])
    cells = hglm.fit("y ~ 0 + f + me(x, se) + (1 | g)", data)
    assert cells.llf == pytest.approx(plain.llf, abs=1e-7)
    assert cells.params["x"] == pytest.approx(plain.params["x"], rel=1e-7)


def test_the_tables_agree_with_the_numbers() -> None:
    data = _frame()
    fit = hglm.fit("y ~ me(x, se) + z + (1 | g)", data)
    assert fit.n_parameters == 8  # 3 slopes, 2 of x on z, 2 residual sds, 1 sd of groups
    assert fit.aic == pytest.approx(16 - 2 * fit.llf)
    assert fit.bic == pytest.approx(8 * np.log(240) - 2 * fit.llf)
    tidy = fit.tidy()
    np.testing.assert_array_equal(tidy["estimate"][:3], fit.params)
    np.testing.assert_array_equal(fit.tvalues, fit.params / fit.bse)
    assert tidy["term"].tolist()[3:] == ["sd__Intercept", "sd__Observation"]
    assert fit.glance()["logLik"].item() == fit.llf
    assert np.sqrt(fit.cov_params().loc["x", "x"]) == pytest.approx(fit.bse["x"])
    text = " ".join(str(fit.summary(level=0.9)).split())
    for part in ("Measured with error: x, standard error se", "Assumed:", "CI low", "Converged"):
        assert part in text
    assert repr(fit).startswith("<hglm.MeasurementFit: y ~ me(x, se)")


def test_groups_that_do_not_differ_have_variance_zero() -> None:
    data = _frame().assign(g=lambda d: np.arange(len(d)) % 10)
    fit = hglm.fit("y ~ me(x, se) + z + (1 | g)", data)
    assert fit.converged
    assert fit.singular
    assert "estimated at zero" in " ".join(str(fit.summary()).split())
    without = hglm.fit("y ~ me(x, se) + z", data)
    assert fit.llf == pytest.approx(without.llf, abs=1e-8)
    np.testing.assert_allclose(fit.params, without.params, rtol=1e-6)


def test_me_is_read_as_the_fixed_term_it_holds() -> None:
    formula = parse_formula("y ~ me(np.log(x), 0.3) + w + (1 | g)").mean
    assert formula.fixed == "1 + np.log(x) + w"
    assert formula.measured is not None
    assert (formula.measured.term, formula.measured.se) == ("np.log(x)", "0.3")
    assert parse_formula("y ~ me + x").mean.measured is None  # a column of that name


@pytest.mark.parametrize(
    ("formula", "caret", "message"),
    [
        ("y ~ me(x, se):z", "    ^^^^^^^^^", "no interactions, functions or random slopes"),
        ("y ~ z * me(x, se)", "        ^^^^^^^^^", "no interactions"),
        ("y ~ log(me(x, se))", "    ^^^^^^^^^^^^^^", "no interactions, functions"),
        ("y ~ z + (me(x, se) | g)", "         ^^^^^^^^^", "random slopes"),
        ("y ~ diag(me(x, se) | g)", "    ^^^^^^^^^^^^^^^^^^^", "random slopes"),
        ("y ~ me(x, se) + me(z, se)", " " * 16 + "^^^^^^^^^", "One covariate"),
        ("y ~ me(x)", "    ^^^^^", "measurements and their standard errors"),
        ("y ~ me(x, se=2)", "    ^^^^^^^^^^^", "measurements and their standard errors"),
        ("y ~ z - me(x, se)", "      ^", "cannot be subtracted"),
        ("y ~ me(x, se) + z * x", " " * 20 + "^", "cannot be exact here"),
    ],
)
def test_slips_in_the_formula_are_underlined(formula: str, caret: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message) as caught:
        hglm.fit(formula, _frame())
    assert f"\n    {formula}\n    {caret}" in str(caught.value)


@pytest.mark.parametrize(
    ("formula", "options", "error", "message"),
    [
        ("y ~ me(x, se) + (1 | g)", {"method": "reml"}, OptionError, "no REML"),
        ("y ~ me(x, se)", {"method": "laplace"}, OptionError, "is not approximated"),
        ("y ~ me(x, se)", {"start": np.ones(1)}, OptionError, "no `start`"),
        ("y ~ me(x, se)", {"weights": "se"}, OptionError, "`weights` cannot be used"),
        ("y ~ me(x, se)", {"frequencies": "k"}, OptionError, "`frequencies` cannot be used"),
        ("k ~ me(x, se)", {"family": "poisson"}, OptionError, "Gaussian, identity link"),
        ("y ~ z", {"dispersion": "~ me(x, se)"}, FormulaError, "belongs to the mean"),
        ("y ~ me(x, se) + (1 | g) + (1 | f)", {}, FormulaError, "one random term"),
        ("y ~ me(x, se) + (z || g)", {}, FormulaError, "one random term"),
        ("y ~ me(x, se) + cs(z | g)", {}, FormulaError, "is `us`, but that of `g` is cs"),
        ("y ~ me(x, -se)", {}, DataError, "`-se` of `x` is negative in rows 0, 1"),
        ("y ~ me(x, f)", {}, DataError, "standard error `f` is not numeric"),
        ("y ~ me(f, se)", {}, DataError, "`f` in `me\\(...\\)` is not one column of numbers"),
        ("y ~ me(k / k, se)", {}, DataError, "does not vary"),
        ("y ~ me(x, se) + I(x**2)", {}, DataError, "`x` in `me.* has a part in another term"),
        ("y ~ me(x, se) + (x | g)", {}, DataError, "`x` in `me.* has a part in another term"),
        ("I(y - x) ~ me(x, se)", {}, DataError, "has a part in the response"),
        ("y ~ me(x, se) + offset(x)", {}, DataError, "has a part in an offset"),
        ("y ~ me(x, 9)", {}, DataError, "of `x` vary no more than their standard errors"),
        ("u ~ me(x, 4)", {}, DataError, "of `x` account for more than the whole residual"),
        ("y ~ me(x, sd)", {}, KeyError, "sd"),
    ],
)
def test_what_is_not_covered_is_refused(
    formula: str, options: dict[str, object], error: type[Exception], message: str
) -> None:
    data = _frame().assign(k=2, f=lambda d: np.where(d["z"] > 0, "a", "b"))
    data["u"] = data["x"] + data["z"]  # more precise than x with an error of 4 allows
    with pytest.raises(error, match=message) as caught:
        hglm.fit(formula, data, **options)
    assert isinstance(caught.value, HglmError)


def test_other_questions_are_refused() -> None:
    data = _frame()
    fit, ordinary = hglm.fit("y ~ me(x, se)", data), hglm.fit("y ~ x", data, method="ml")
    with pytest.raises(OptionError, match="MeasurementFit has not"):
        hglm.compare(fit, ordinary)
    with pytest.raises(OptionError, match="random='some'"):
        fit.predict(random="some")
    with pytest.raises(OptionError, match="new_levels='zero'"):
        fit.predict(new_levels="zero")
