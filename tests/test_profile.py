"""Profile likelihood: lme4's end points, closed forms, and what a profile must obey."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import hglm
from hglm.criteria.full_deviance import full_deviance
from hglm.errors import OptionError
from hglm.fitting.record import LinearState
from hglm.inference.profile import make_profiler
from hglm.typing import Vector
from reference_data import inference_ids, inference_reference, reference, reference_frame

PROFILED = [i for i in inference_ids() if "profile" in inference_reference(i).get("confint", {})]


@cache
def fitted(name: str) -> hglm.Fit:
    stored = reference(name)
    method = hglm.Quadrature(stored["n_agq"]) if stored["method"] == "agq" else stored["method"]
    return hglm.fit(stored["formula"], reference_frame(stored), stored["family"], method=method)


def python_name(stored: dict, name: str) -> str:
    """lme4's name of a parameter as it is here."""
    if name.startswith("sd_"):
        term, group = name[3:].split("|")
        return f"sd({term.replace('(Intercept)', 'Intercept')} | {group})"
    if name.startswith("cor_"):
        pair, group = name[4:].split("|")
        second, first = pair.replace("(Intercept)", "Intercept").split(".")
        return f"cor({first}, {second} | {group})"
    names = dict(zip(stored["fixef_names"], stored["fixef_names_py"], strict=True))
    return names.get(name, name)


@pytest.mark.parametrize("name", PROFILED)
def test_end_points_are_those_of_lme4(name: str) -> None:
    """Within 1e-3 of each interval's width; for linear models, within 1e-5."""
    stored = reference(name)
    fit = fitted(name)
    limits = fit.conf_int(method="profile")
    for row in inference_reference(name)["confint"]["profile"]:
        key = python_name(stored, row["name"])
        here = limits.loc[key if key in limits.index else ":".join(reversed(key.split(":")))]
        low = 0.0 if row["lower"] is None else row["lower"]
        width = row["upper"] - low
        tolerance = (1e-5 if stored["kind"] == "lmm" else 1e-3) * width
        np.testing.assert_allclose(here, [low, row["upper"]], atol=tolerance)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize(
    ("formula", "data"),
    [
        ("reaction ~ days + (days | subject)", "sleepstudy"),
        ("strength ~ 1 + (1 | batch/cask)", "pastes"),
        ("diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin"),
    ],
)
def test_full_deviance_has_the_gradient_of_differences(formula: str, data: str, reml: bool) -> None:
    fit = hglm.fit(formula, hglm.load_dataset(data), method="ml")
    state = fit.estimates.state
    assert isinstance(state, LinearState)
    rng = np.random.default_rng(0)
    fixed = rng.normal(size=state.problem.p)
    phi = np.concatenate([fixed, 0.8 * state.theta + 0.1, [np.log(fit.sigma) + 0.1]])
    _, gradient = full_deviance(state.problem, phi, reml)

    def value(x: Vector) -> float:
        return full_deviance(state.problem, x, reml)[0]

    numeric = optimize.approx_fprime(phi, value, 1e-7)
    np.testing.assert_allclose(gradient, numeric, atol=1e-4 * np.abs(numeric).max())


def test_full_deviance_at_the_optimum_is_the_profiled_one() -> None:
    fit = fitted("sleepstudy_rs_ml")
    state = fit.estimates.state
    assert isinstance(state, LinearState)
    from_profile = make_profiler(fit.estimates)
    assert from_profile.minimum == pytest.approx(fit.deviance, abs=1e-9)
    assert np.abs(from_profile.criterion(from_profile.phi)[1]).max() < 1e-4


def test_mean_of_a_balanced_layout_has_its_closed_form() -> None:
    """For q groups of r the profile of the mean is q log(1 + t²/(q-1)), t the usual t.

    The group means are a simple normal sample with variance τ² + σ²/r, as long as
    τ² > 0, so that the likelihood ratio for their mean is the one-sample t's.
    """
    rng = np.random.default_rng(4)
    q, r = 12, 5
    effects = rng.normal(0.0, 3.0, q)
    frame = pd.DataFrame(
        {"g": np.repeat(np.arange(q), r), "y": np.repeat(effects, r) + rng.normal(size=q * r)}
    )
    fit = hglm.fit("y ~ 1 + (1 | g)", frame)
    means = frame.groupby("g")["y"].mean()
    se = means.std() / np.sqrt(q)
    z2 = 1.959963984540054**2
    half = se * np.sqrt((q - 1) * np.expm1(z2 / q))
    limits = fit.conf_int(method="profile").loc["Intercept"]
    np.testing.assert_allclose(limits, means.mean() + np.array([-half, half]), rtol=1e-5)


def test_a_long_step_of_the_search_does_no_harm() -> None:
    """One of the steps goes where V is singular to rounding; its ends are on the contour."""
    y = np.random.default_rng(6).normal(size=30)
    g = np.repeat(np.arange(10), 3)
    frame = pd.DataFrame({"y": y, "g": g, "x": (g % 3).astype(str)})
    fit = hglm.fit("y ~ x + (1 | g)", frame, method="ml")
    limits = fit.conf_int(method="profile")
    assert limits.loc["sd(Intercept | g)", "conf_low"] == 0.0
    for name in fit.params.index:
        for end in limits.loc[name]:
            assert _rise_with_fixed(fit, frame, name, end) == pytest.approx(3.8415, abs=1e-3)


def _rise_with_fixed(fit: hglm.Fit, frame: pd.DataFrame, name: str, value: float) -> float:
    """How much the deviance rises when a coefficient is held at a value."""
    column = fit.design.mean.X[:, fit.design.mean.names.index(name)]
    others = [x for x in ("x[T.1]", "x[T.2]") if x != name]
    columns = {x[-2]: (frame["x"] == x[-2]).astype(float) for x in others}
    rest = frame.assign(held=value * column, **{f"x{k}": v for k, v in columns.items()})
    right = " + ".join([f"x{k}" for k in columns]) + ("" if name != "Intercept" else " - 1")
    held = hglm.fit(f"y ~ {right} + (1 | g)", rest, method="ml", offset="held")
    return held.deviance - fit.deviance


@pytest.mark.parametrize("seed", [97, 175, 223, 226])
def test_a_variance_at_zero_does_not_lead_the_search_astray(seed: int) -> None:
    """Plots without variance within blocks: the upper end for blocks is that without plots.

    With large blocks the plots' variance stays zero; with small ones it takes their
    place, and the lower end can only be lower.
    """
    rng = np.random.default_rng(seed)
    block, plot = np.repeat(np.arange(6), 12), np.repeat(np.arange(18), 4)
    y = rng.normal(size=72) + 0.5 * rng.normal(size=6)[block]
    frame = pd.DataFrame({"y": y, "block": block, "plot": plot})
    blocks = hglm.fit("y ~ 1 + (1 | block)", frame, method="ml")
    nested = hglm.fit("y ~ 1 + (1 | block / plot)", frame, method="ml")
    assert nested.varcorr.loc[0, "sdcor"] == 0.0
    name = "sd(Intercept | block)"
    expected = blocks.conf_int(method="profile").loc[name]
    found = nested.conf_int(method="profile").loc[name]
    assert found["conf_high"] == pytest.approx(expected["conf_high"], rel=1e-5)
    assert found["conf_low"] <= expected["conf_low"] + 1e-5


def test_ends_are_in_order_around_the_estimate() -> None:
    """PITFALLS row 13: ends flipped for REML."""
    fit = fitted("sleepstudy_rs_reml")
    limits = fit.conf_int(method="profile")
    assert (limits["conf_low"] < limits["conf_high"]).all()
    assert limits.loc["days", "conf_low"] < fit.params["days"] < limits.loc["days", "conf_high"]


def test_a_variance_of_zero_has_an_upper_limit() -> None:
    """lme4 1.1-31: confint(lmer(Yield ~ 1 + (1 | Batch), Dyestuff2, REML = FALSE)), .sig01."""
    fit = hglm.fit("yield ~ 1 + (1 | batch)", hglm.load_dataset("dyestuff2"), method="ml")
    low, high = fit.conf_int(method="profile").loc["sd(Intercept | batch)"]
    assert low == 0.0
    assert high == pytest.approx(2.084043, abs=1e-4)


def test_profile_passes_through_the_estimate_and_rises() -> None:
    frame = fitted("sleepstudy_rs_ml").profile(["days", "sigma"])
    assert list(frame.columns) == ["parameter", "zeta", "value"]
    for name, part in frame.groupby("parameter"):
        assert part["value"].is_monotonic_increasing, name
        middle = part.loc[part["zeta"] == 0.0, "value"].item()
        expected = {"days": fitted("sleepstudy_rs_ml").params["days"]}
        if name in expected:
            assert middle == pytest.approx(expected[name], rel=1e-6)


def test_the_deviance_at_an_end_is_z_squared_above_the_least() -> None:
    """Refit with the slope fixed at an end, by an offset: the deviance is up by z²."""
    data = hglm.load_dataset("sleepstudy")
    fit = hglm.fit("reaction ~ days + (days | subject)", data, method="ml")
    for end in fit.conf_int(method="profile").loc["days"]:
        held = hglm.fit(
            "reaction ~ 1 + (days | subject)",
            data,
            method="ml",
            offset=end * data["days"].to_numpy(dtype=float),
        )
        assert held.deviance - fit.deviance == pytest.approx(3.841458820694124, abs=1e-5)


def test_unknown_names_are_told() -> None:
    with pytest.raises(OptionError, match=r"no parameter 'day'.*'days'"):
        fitted("sleepstudy_rs_ml").profile("day")
    with pytest.raises(OptionError, match=r'method .profil.*"wald", "profile" or'):
        fitted("sleepstudy_rs_ml").conf_int(method="profil")  # type: ignore[arg-type]
