"""Coefficients of single levels against the closed forms that they have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

import hglm
from hglm.errors import OptionError
from hglm.inference.no_pooling import level_fits


def alone(fit: hglm.Fit) -> np.ndarray:
    return level_fits(fit.estimates, fit.design, fit.family, fit.estimates.terms[0])


def test_lines_of_a_linear_model_are_those_of_least_squares() -> None:
    data = hglm.load_dataset("sleepstudy")
    fit = hglm.fit("reaction ~ days + (days | subject)", data, weights="w")
    expected = [
        np.polyfit(d["days"], d["reaction"], 1, w=np.sqrt(d["w"]))[::-1]
        for _, d in data.groupby("subject", observed=True)
    ]
    np.testing.assert_allclose(alone(fit) + fit.params.to_numpy(), expected, rtol=1e-9)


def test_other_parts_of_the_model_are_held() -> None:
    """Balanced and crossed: a level alone is its mean less the population's."""
    data = hglm.load_dataset("penicillin")
    fit = hglm.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", data)
    plates = data.groupby("plate", observed=True)["diameter"].mean() - data["diameter"].mean()
    np.testing.assert_allclose(alone(fit)[:, 0], plates, atol=1e-9)


@pytest.mark.parametrize("frequent", [False, True])
def test_counts_have_the_log_of_their_mean(frequent: bool) -> None:
    rng = np.random.default_rng(1)
    mean = np.repeat(np.exp(rng.normal(1.0, 0.7, 12)), 8)
    data = pd.DataFrame({"g": np.repeat(np.arange(12), 8), "y": rng.poisson(mean), "m": 1})
    data.loc[data["g"] == 3, "y"] = 0
    if frequent:
        data = data.groupby(["g", "y"], as_index=False)["m"].sum()
    fit = hglm.fit("y ~ 1 + (1 | g)", data, "poisson", frequencies="m" if frequent else None)
    by_level = data.assign(total=data["y"] * data["m"]).groupby("g")[["total", "m"]].sum()
    expected = np.log((by_level["total"] / by_level["m"]).replace(0, np.nan))
    np.testing.assert_allclose(alone(fit)[:, 0] + fit.params["Intercept"], expected, rtol=1e-6)


def test_proportions_have_their_log_odds_and_none_without_events() -> None:
    data = hglm.load_dataset("cbpp")
    fit = hglm.fit("cbind(incidence, size - incidence) ~ 1 + (1 | herd)", data, "binomial")
    totals = data.groupby("herd", observed=True)[["incidence", "size"]].sum()
    expected = logit((totals["incidence"] / totals["size"]).to_numpy())
    np.testing.assert_allclose(alone(fit)[:, 0] + fit.params["Intercept"], expected, rtol=1e-6)
    zero = data.assign(incidence=data["incidence"].where(data["herd"] != "h05", 0))
    fit = hglm.fit("cbind(incidence, size - incidence) ~ 1 + (1 | herd)", zero, "binomial")
    missing = np.isnan(alone(fit)[:, 0])
    assert list(fit.estimates.terms[0].levels[missing]) == ["h05"]


def test_a_level_that_does_not_determine_its_coefficients_has_none() -> None:
    data = hglm.load_dataset("sleepstudy")
    short = data[(data["subject"] != "s310") | (data["days"] == 4)]
    fit = hglm.fit("reaction ~ days + (days | subject)", short)
    missing = np.isnan(alone(fit)).all(axis=1)
    assert list(fit.estimates.terms[0].levels[missing]) == ["s310"]


def test_the_dispersion_counts_where_it_weighs_the_rows() -> None:
    """Negative binomial, intercepts only: equal weights, so the log of the mean again."""
    data = hglm.load_dataset("salamanders")
    fit = hglm.fit("count ~ 1 + (1 | site)", data, "nbinom2")
    means = data.groupby("site", observed=True)["count"].mean()
    means = means.loc[fit.estimates.terms[0].levels].replace(0, np.nan)
    np.testing.assert_allclose(alone(fit)[:, 0] + fit.params["Intercept"], np.log(means), rtol=1e-5)


def test_a_course_over_time_is_refused() -> None:
    fit = hglm.fit("y ~ x1 + ar1(0 + times | group)", hglm.load_dataset("sim_ar1"))
    with pytest.raises(OptionError, match="course over time"):
        alone(fit)


def test_ordered_categories_have_the_locations_of_their_own_likelihood() -> None:
    """At the estimate the score of a judge's ratings vanishes; one judge has no finite one."""
    fit = hglm.fit(
        "rating ~ temp + contact + (1 | judge)", hglm.load_dataset("wine"), family="ordinal"
    )
    own = alone(fit)[:, 0]
    assert np.isfinite(own).sum() >= 8
    modes = fit.estimates.terms[0].modes[:, 0]
    known = np.isfinite(own)
    assert (np.abs(own[known]) >= np.abs(modes[known])).all()  # further out than the pooled ones
    assert (np.sign(own[known]) == np.sign(modes[known])).all()
