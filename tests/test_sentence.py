"""Sentences on effects: the numbers of the tables, in the style of APA."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.errors import OptionError
from hglm.families import resolve_family
from hglm.report.sentence import coefficient_sentence, ratio_name, term_sentence


@pytest.fixture(scope="module")
def sleep() -> hglm.Fit:
    return hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))


@pytest.fixture(scope="module")
def herds() -> hglm.Fit:
    return hglm.fit(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        hglm.load_dataset("cbpp"),
        family="binomial",
    )


def row(**changes: object) -> pd.DataFrame:
    numbers = {
        "term": "x",
        "estimate": 0.5,
        "std_error": 0.25,
        "df": 12.34,
        "statistic": 2.0,
        "p_value": 0.0678,
        "conf_low": -0.043,
        "conf_high": 1.043,
    }
    return pd.DataFrame([{**numbers, **changes}])


def test_a_linear_model_has_t_and_an_interval(sleep: hglm.Fit) -> None:
    """The published fit: lme4's estimate 10.467 (1.546), lmerTest's t(17) = 6.771."""
    assert sleep.sentence("days") == (
        "The effect of days was significant, b = 10.47, SE = 1.55, t(17) = 6.77, p < .001, "
        "95% CI [7.21, 13.73]."
    )


def test_the_test_of_the_term_on_request(sleep: hglm.Fit) -> None:
    assert sleep.sentence("days", joint=True) == (
        "The effect of days was significant, F(1, 17) = 45.85, p < .001."
    )


def test_a_ratio_has_the_interval_of_the_ratio(herds: hglm.Fit) -> None:
    told = herds.sentence("period[T.p2]")
    shown = re.search(r"odds ratio = (\S+), 95% CI \[(\S+), (\S+)\]", told)
    assert shown is not None
    limits = herds.conf_int().loc["period[T.p2]"]
    exact = np.exp([herds.params["period[T.p2]"], *limits])
    np.testing.assert_allclose([float(x) for x in shown.groups()], exact, atol=0.005)
    assert "The effect of period (p2) was significant, b = -0.99" in told
    assert ", z = -3.24, p = .001, " in told


def test_a_term_of_several_coefficients_has_a_joint_test(herds: hglm.Fit) -> None:
    statistic, df, _ = herds.anova().loc["period"]
    assert herds.sentence("period") == (
        f"The effect of period was significant, χ²({df:.0f}) = {statistic:.2f}, p < .001."
    )


def test_no_judgement_where_the_p_value_is_not_small() -> None:
    assert coefficient_sentence(row(), 0.95) == (
        "The effect of x was estimated at b = 0.500, SE = 0.250, t(12.3) = 2.00, p = .068, "
        "95% CI [-0.043, 1.043]."
    )
    F = pd.DataFrame(
        {"num_df": [2], "den_df": [10.0], "statistic": [1.485], "p_value": [0.27240]},
        index=["variety"],
    )
    assert term_sentence(F) == "The test of variety gave F(2, 10) = 1.49, p = .272."
    F.index = ["nitro:variety"]
    assert term_sentence(F).startswith("The test of the interaction of nitro and variety gave")


def test_the_level_is_that_of_the_interval_and_of_the_verdict() -> None:
    assert "was significant" in coefficient_sentence(row(), 0.9)
    assert "90% CI" in coefficient_sentence(row(), 0.9)


def test_an_intercept_is_reported_without_a_verdict() -> None:
    told = coefficient_sentence(row(term="Intercept", p_value=1e-9), 0.95)
    assert told.startswith("The intercept was estimated at b = 0.500")
    assert "p < .001" in told


@pytest.mark.parametrize(
    ("term", "words"),
    [
        ("sex[T.Male]", "effect of sex (Male)"),
        ("sex[T.Male]:age", "interaction of sex (Male) and age"),
        ("a[T.1:2]:b[S.x]:z", "interaction of a (1:2), b (x) and z"),
    ],
)
def test_levels_are_told_in_brackets(term: str, words: str) -> None:
    assert coefficient_sentence(row(term=term), 0.95).startswith(f"The {words} was")


def test_what_is_not_known_is_left_out() -> None:
    told = coefficient_sentence(
        row(std_error=np.nan, statistic=np.nan, conf_low=np.nan, conf_high=np.nan), 0.95
    )
    assert told == "The effect of x was estimated at b = 0.500."


@pytest.mark.parametrize(
    ("family", "link", "response", "name"),
    [
        ("binomial", "logit", "y", "odds ratio"),
        ("binomial", "log", "y", "risk ratio"),
        ("binomial", "probit", "y", ""),
        ("nbinom2", "log", "y", "rate ratio"),
        ("gamma", "log", "y", "ratio of means"),
        ("gaussian", "identity", "log(y)", "ratio"),
        ("gaussian", "identity", "y", ""),
    ],
)
def test_what_an_exponential_is_called(family: str, link: str, response: str, name: str) -> None:
    assert ratio_name(resolve_family(family, link), response) == (name, 1.0)


def test_the_base_of_the_logarithm_counts() -> None:
    name, factor = ratio_name(resolve_family("gaussian"), "log2(y)")
    told = coefficient_sentence(row(estimate=1.0, conf_low=0.0, conf_high=2.0), 0.95, name, factor)
    assert "ratio = 2.00, 95% CI [1.00, 4.00]" in told


def test_an_unknown_effect_is_told_with_those_that_exist(sleep: hglm.Fit) -> None:
    with pytest.raises(OptionError, match="no effect 'day'; did you mean 'days'"):
        sleep.sentence("day")
    with pytest.raises(OptionError, match=r"there is \['Intercept', 'days'\]"):
        sleep.sentence("temperature")


@pytest.mark.parametrize("type", [1, 2, 3])
def test_terms_of_ordered_categories_are_tested_as_their_coefficients(type: int) -> None:  # noqa: A002
    """Two factors of two levels, without interaction: χ² is z², whatever the type."""
    fit = hglm.fit(
        "rating ~ temp + contact + (1 | judge)", hglm.load_dataset("wine"), family="ordinal"
    )
    np.testing.assert_allclose(fit.anova(type)["statistic"], fit.tvalues**2, rtol=1e-9)
    assert "odds ratio" not in fit.sentence("temp[T.warm]")
