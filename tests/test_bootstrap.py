"""The bootstrap: closed forms, reproducibility, resampling, and what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import islice

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.design.arrays import Design
from hglm.errors import DataError, FitError, HglmWarning, OptionError
from hglm.fitting.record import Estimates
from hglm.inference import bootstrap as module
from hglm.inference.bootstrap import Replicates, bootstrap
from hglm.inference.bootstrap_statistics import parameter_names
from hglm.inference.resampling import (
    copy_rows,
    draw_design,
    group_codes,
    independent_units,
    is_nested,
)
from hglm.inference.targets import targets
from hglm.numerics.replicates import run_replicates, spawn
from prediction_models import data_frame

SLEEP = "reaction ~ days + (days | subject)"


@cache
def sleep() -> hglm.Fit:
    return hglm.fit(SLEEP, hglm.load_dataset("sleepstudy"))


@cache
def one_way(q: int = 12, r: int = 5) -> hglm.Fit:
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(q), r)
    y = 10.0 + rng.normal(0.0, 1.5, q)[g] + rng.normal(size=q * r)
    return hglm.fit("y ~ 1 + (1 | g)", pd.DataFrame({"g": g, "y": y}))


def run(fit: hglm.Fit, n: int, seed: int = 1, **options: object) -> Replicates:
    return bootstrap(fit.estimates, fit.design, n, seed, **options)  # type: ignore[arg-type]


def test_standard_error_of_a_mean_is_the_closed_form() -> None:
    """√((σ² + rτ²)/qr) in a balanced layout, where the mean of the replicates is μ̂."""
    fit = one_way()
    b = run(fit, 2000)
    tau2 = fit.estimates.terms[0].covariance[0, 0]
    exact = np.sqrt((fit.sigma**2 + 5 * tau2) / 60)
    row = b.moments().loc["Intercept"]
    # the relative standard error of a standard deviation from n draws is 1/√2n
    assert row["std_error"] == pytest.approx(exact, rel=3.5 / np.sqrt(2 * 2000))
    assert abs(row["bias"]) < 3.5 * row["std_error"] / np.sqrt(2000)
    # REML: the mean square of the residuals is unbiased, σ̂²(n - q) ~ σ²χ² where τ̂ > 0
    assert np.mean(b.values["sigma"] ** 2) == pytest.approx(fit.sigma**2, rel=0.03)


def test_resampled_means_have_the_variance_of_the_group_means() -> None:
    """Drawing q groups of equal size with replacement, Var(mean) = Σ(ȳ_j - ȳ)²/q²."""
    fit = one_way()
    b = run(fit, 300, kind="cases", group="g")
    means = fit.design.y.reshape(12, 5).mean(axis=1)
    row = b.moments().loc["Intercept"]
    assert row["std_error"] == pytest.approx(means.std() / np.sqrt(12), rel=3.5 / np.sqrt(600))
    assert b.how == "levels of g drawn with replacement"


def test_rows_are_resampled_where_there_are_no_groups() -> None:
    frame = data_frame()
    fit = hglm.fit("y ~ 1", frame)
    b = run(fit, 400, kind="cases", group="rows")
    expected = frame["y"].std(ddof=0) / np.sqrt(len(frame))
    found = b.moments().loc["Intercept", "std_error"]
    assert found == pytest.approx(expected, rel=3.5 / np.sqrt(800))


@pytest.mark.parametrize(
    ("fit", "options"),
    [(sleep, {}), (sleep, {"kind": "cases"}), (one_way, {"statistic": "sd"})],
)
def test_results_do_not_depend_on_the_number_of_workers(fit, options) -> None:
    pytest.importorskip("joblib")
    options = {**options, "statistic": first_sd} if "statistic" in options else options
    n = 15 if options else 230
    alone, together = run(fit(), n, **options), run(fit(), n, workers=2, **options)
    pd.testing.assert_frame_equal(alone.values, together.values, check_exact=True)
    assert not alone.values.equals(run(fit(), n, seed=2, **options).values)


def first_sd(estimates: Estimates, design: Design) -> Mapping[str, float]:
    return {"sd": float(np.sqrt(estimates.terms[0].covariance[0, 0])), "rows": float(design.n)}


def test_the_first_replicates_do_not_depend_on_how_many_follow() -> None:
    few, many = run(sleep(), 7).values, run(sleep(), 110).values
    np.testing.assert_allclose(few, many.iloc[:7], rtol=1e-6)


def test_the_default_statistics_are_the_targets_of_profiles() -> None:
    for fit in (
        sleep(),
        hglm.fit("y ~ x + diag(x | g) + (1 | h)", data_frame(), method="ml"),
        hglm.fit("period ~ 1 + (1 | herd)", cbpp().assign(period=1.0 * cbpp()["incidence"])),
    ):
        names = parameter_names(fit.estimates, fit.design.mean.names)
        known = targets(fit.estimates, fit.design.mean.names)
        assert names == [target.name for target in known]


def cbpp() -> pd.DataFrame:
    return hglm.load_dataset("cbpp")


def test_statistics_of_the_fit_are_its_estimates() -> None:
    b = run(sleep(), 2)
    assert b.observed["sd(days | subject)"] == sleep().varcorr["sdcor"][1]
    assert b.observed["cor(Intercept, days | subject)"] == pytest.approx(0.0655, abs=1e-3)
    assert b.observed["sigma"] == sleep().sigma
    assert b.observed["days"] == sleep().params["days"]


def test_structured_terms_are_followed_by_their_own_parameters() -> None:
    rng = np.random.default_rng(5)
    g, t = np.repeat(np.arange(15), 5), np.tile(np.arange(5), 15)
    noise = rng.normal(size=75)
    y = np.repeat(rng.normal(size=15), 5) + 0.3 * t + noise
    frame = pd.DataFrame({"g": g, "t": t, "f": t.astype(str), "y": y})
    fit = hglm.fit("y ~ t + ar1(0 + t | g)", frame)
    b = run(fit, 4)
    assert list(b.values.columns) == ["sd(t | g)", "rho(t | g)", "sigma", "Intercept", "t"]
    assert b.observed["rho(t | g)"] == fit.varcorr["sdcor"][1]
    assert b.values["rho(t | g)"].between(-1.0, 1.0).all()
    cs = hglm.fit("y ~ t + cs(0 + f | g)", frame.query("t < 2"), dispersion="~ 0")
    own = ["sd(f[0] | g)", "sd(f[1] | g)", "rho(f | g)"]
    assert list(run(cs, 2).observed.index)[:3] == own


def test_coefficients_of_other_predictors_are_followed_too() -> None:
    rng = np.random.default_rng(2)
    frame = data_frame().assign(k=rng.poisson(3.0, 90) * rng.binomial(1, 0.7, 90))
    fit = hglm.fit("k ~ x + (1 | g)", frame, "poisson", zero_inflation="~ 1")
    b = run(fit, 3)
    assert list(b.values.columns)[-1] == "zero_inflation: Intercept"
    assert np.isfinite(b.values["zero_inflation: Intercept"]).all()


def test_any_function_of_the_fit_can_be_followed() -> None:
    b = run(one_way(), 12, statistic=first_sd)
    assert list(b.values.columns) == ["sd", "rows"]
    default = run(one_way(), 12)
    np.testing.assert_allclose(b.values["sd"], default.values["sd(Intercept | g)"], atol=1e-5)


def test_conditional_draws_keep_the_random_effects() -> None:
    """Given b̂ the mean varies by the residuals only: √(σ²/n)."""
    fit = one_way()
    b = run(fit, 1000, random="conditional")
    found = b.moments().loc["Intercept", "std_error"]
    assert found == pytest.approx(fit.sigma / np.sqrt(60), rel=3.5 / np.sqrt(2000))


def test_intervals_of_all_kinds_surround_the_estimate() -> None:
    b = run(sleep(), 199)
    for kind in ("percentile", "basic", "normal", "bca"):
        limits = b.conf_int(kind=kind)  # type: ignore[arg-type]
        assert list(limits.columns) == ["conf_low", "conf_high"]
        fixed = limits.loc[["sigma", "Intercept", "days"]]
        observed = b.observed[fixed.index]
        assert (fixed["conf_low"] < observed).all()
        assert (observed < fixed["conf_high"]).all()
    wide, narrow = b.conf_int(0.95, "normal"), b.conf_int(0.5, "normal")
    assert (narrow["conf_low"] > wide["conf_low"]).all()


def test_acceleration_comes_from_leaving_out_groups() -> None:
    """Of the mean in a balanced layout: the jackknife of group means, in closed form."""
    b = run(one_way(), 2)
    left_out = b.leave_out()
    means = one_way().design.y.reshape(12, 5).mean(axis=1)
    column = list(b.observed.index).index("Intercept")
    np.testing.assert_allclose(left_out[:, column], (means.sum() - means) / 11, rtol=1e-8)


def test_correlations_without_a_variance_are_missing_not_zero() -> None:
    fit = hglm.fit("noise ~ x + (x | g)", data_frame())
    b = run(fit, 60)
    table = b.moments()
    cor = "cor(Intercept, x | g)"
    some_zero = (b.values[["sd(Intercept | g)", "sd(x | g)"]] == 0.0).any(axis=1)
    assert some_zero.any()
    assert b.values.loc[some_zero, cor].isna().all()
    assert table.loc[cor, "n"] == 60 - some_zero.sum()
    assert b.n_singular >= some_zero.sum()


def unequal_arms() -> hglm.Fit:
    """Treated in one group of five only: many resamples have none of it."""
    g = np.repeat(np.arange(5), 6)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"g": g, "arm": np.where(g == 4, "b", "a"), "y": rng.normal(size=30)})
    return hglm.fit("y ~ arm + (1 | g)", frame.assign(y=frame["y"] + rng.normal(size=5)[g]))


def test_failures_are_counted_told_and_left_out() -> None:
    b = run(unequal_arms(), 60, kind="cases", group="g")
    lost = len(b.failures)
    assert 10 < lost < 35  # (4/5)^5 of them have no treated group
    assert b.failures["reason"].str.contains("without data; resample units").all()
    assert b.values.loc[b.failures["replicate"]].isna().all(axis=None)
    assert b.values.drop(b.failures["replicate"])["sigma"].notna().all()
    assert b.moments().loc["sigma", "n"] == 60 - lost
    assert b.n_fitted == 60 - lost
    assert b.conf_int(kind="normal").notna().all(axis=None)


def test_an_interruption_keeps_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> object:
        yield from islice(run_replicates(*args), 2)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_replicates", interrupted)
    with pytest.warns(HglmWarning, match="Interrupted: 20 of 50 replicates"):
        b = run(one_way(), 50, statistic=first_sd)
    assert len(b.values) == 20


def test_copies_of_a_group_are_groups_of_their_own() -> None:
    design = hglm.fit("y ~ x + (1 | school/g) + (1 | h)", data_frame()).design
    codes = {name: term.codes for name, term in group_codes(design).items()}
    assert independent_units(design) == max(codes, key=lambda name: codes[name].max())
    rows = np.flatnonzero(codes["school"] == 2)
    copied = copy_rows(design, "school", [rows, rows])
    found = group_codes(copied)
    assert found["school"].n_levels == 2
    inner = next(name for name in codes if name not in ("school", "h"))
    assert found[inner].n_levels == 2 * len(np.unique(codes[inner][rows]))
    assert found["h"].n_levels == len(np.unique(codes["h"][rows]))  # crossed: the same levels
    assert is_nested(found[inner].codes, found["school"].codes)
    np.testing.assert_array_equal(copied.y, np.tile(design.y[rows], 2))


def test_units_are_the_factor_that_holds_all_others() -> None:
    nested = hglm.fit("y ~ x + (1 | town) + (1 | school/g)", data_frame()).design
    assert independent_units(nested) == "town"
    assert independent_units(sleep().design) == "subject"
    assert independent_units(hglm.fit("y ~ x", data_frame()).design) == "rows"


def test_a_draw_has_as_many_units_and_their_own_rows() -> None:
    design = sleep().design
    drawn = draw_design(design, "subject", np.random.default_rng(0))
    assert drawn.mean.random[0].n_levels == 18
    assert drawn.n == 180
    originals = design.y.reshape(18, 10)
    for y in drawn.y.reshape(18, 10):
        assert np.any(np.all(originals == y, axis=1))


def test_mistakes_are_explained() -> None:
    fit = sleep()
    with pytest.raises(OptionError, match=r"n=0 is no whole number of 1 or more"):
        run(fit, 0)
    with pytest.raises(OptionError, match=r"n=2.5 is no whole number"):
        run(fit, 2.5)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"'item' to resample; choose one of 'subject', 'rows'"):
        run(fit, 10, kind="cases", group="item")
    with pytest.raises(OptionError, match=r"workers=0 is no whole number"):
        run(fit, 10, workers=0)
    with pytest.raises(OptionError, match=r"random='old' is neither"):
        run(fit, 10, random="old")
    with pytest.raises(OptionError, match=r"no bootstrap interval 'bcs'"):
        run(fit, 2).conf_int(kind="bcs")  # type: ignore[arg-type]
    twice = replace(fit.design, frequencies=np.full(180, 2.0))
    with pytest.raises(DataError, match="repeat the rows"):
        bootstrap(fit.estimates, twice, 2, 1)
    with pytest.raises(OptionError, match=r"same names for every fit, and .* came from some only"):
        run(one_way(), 4, statistic=lambda _, d: {f"x{d.y[0]:.3f}": 1.0})
    with pytest.raises(FitError, match="too few of these can be fitted"):
        run(two_groups(), 2).leave_out()


def two_groups() -> hglm.Fit:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"g": np.repeat([0, 1], 10), "y": rng.normal(size=20)})
    return hglm.fit("y ~ 1 + (1 | g)", frame)


def test_more_workers_need_joblib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hglm.numerics.replicates.find_spec", lambda _: None)
    with pytest.raises(OptionError, match=r"workers=2 needs joblib.*leave `workers` at 1"):
        run(sleep(), 300, workers=2)
    run(sleep(), 2, progress=True)  # no bar without tqdm


def test_progress_is_shown_where_it_can_be(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    results = run_replicates(len, spawn(0, 25), 10, progress=True)
    assert list(results) == [10, 10, 5]
    assert "25/25" in capsys.readouterr().err
