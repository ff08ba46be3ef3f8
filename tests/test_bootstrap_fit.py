"""`Fit.bootstrap` and its intervals: closed forms, statistics of one's own, what is told."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hglm
from hglm.errors import FitError, OptionError
from hglm.report.bootstrap import Bootstrap


@cache
def one_way(q: int = 12, r: int = 5) -> hglm.Fit:
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(q), r)
    y = 10.0 + rng.normal(0.0, 1.5, q)[g] + rng.normal(size=q * r)
    return hglm.fit("y ~ 1 + (1 | g)", pd.DataFrame({"g": g, "y": y}))


@cache
def many() -> Bootstrap:
    return one_way().bootstrap(4000, seed=1)


@cache
def sleep() -> hglm.Fit:
    return hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))


def test_percentile_intervals_in_a_balanced_layout_are_their_closed_forms() -> None:
    """μ̂* ~ N(μ̂, MSB/qr), and MSE* ~ MSE χ²_{q(r-1)}/q(r-1) where τ̂* > 0, which is nearly always.

    A limit is uncertain by √(p(1-p)/n)/f, f the density there.
    """
    n, q, r = 4000, 12, 5
    fit = one_way()
    limits = many().conf_int()
    groups = fit.design.y.reshape(q, r)
    se = np.sqrt(r * groups.mean(axis=1).var(ddof=1) / (q * r))
    error = np.sqrt(0.025 * 0.975 / n) / stats.norm.pdf(1.96)
    exact = fit.params["Intercept"] + se * np.array([-1.96, 1.96])
    np.testing.assert_allclose(limits.loc["Intercept"], exact, atol=3.5 * error * se)
    df = q * (r - 1)
    quantiles = stats.chi2.ppf([0.025, 0.975], df)
    spread = error * np.sqrt(2 * df) / (2 * np.sqrt(quantiles * df))  # of √(χ²/df), nearly
    exact = fit.sigma * np.sqrt(quantiles / df)
    np.testing.assert_allclose(limits.loc["sigma"], exact, atol=3.5 * fit.sigma * spread.max())


def test_bca_intervals_in_a_balanced_layout_are_their_closed_form() -> None:
    """For a mean whose replicates are normal: z_0 = 0, and a is the groups' skewness/6√q."""
    n, q, r = 4000, 12, 5
    fit = one_way()
    found = many().conf_int(kind="bca").loc["Intercept"]
    means = fit.design.y.reshape(q, r).mean(axis=1)
    a = stats.skew(means) / (6 * np.sqrt(q))
    assert abs(a) > 0.01  # enough to be seen
    z = np.array([-1.96, 1.96])
    shifted = z / (1 - a * z)
    se = means.std(ddof=1) / np.sqrt(q)
    z0_error = np.sqrt(0.25 / n) / stats.norm.pdf(0)  # moves both limits twice
    error = np.sqrt(0.025 * 0.975 / n) / stats.norm.pdf(1.96) + 2 * z0_error
    np.testing.assert_allclose(found, fit.params["Intercept"] + se * shifted, atol=3 * error * se)


def test_coverage_of_a_standard_deviation_is_what_theory_says() -> None:
    """σ̂² ~ σ²χ²_ν/ν: the percentile interval covers too seldom, with a known probability.

    It holds σ where χ²_ν lies between ν²/χ²_ν(.95) and ν²/χ²_ν(.05): for ν = 2 in 72% of
    the samples, not in 90%.
    """
    samples, nu = 80, 2
    x = np.linspace(-1.0, 1.0, nu + 2)
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(samples):
        fit = hglm.fit("y ~ x", pd.DataFrame({"x": x, "y": x + rng.normal(size=nu + 2)}))
        low, high = fit.conf_int(0.9, "bootstrap", n=199, seed=rng).loc["sigma"]
        hits += low < 1.0 < high
    bounds = nu**2 / stats.chi2.ppf([0.95, 0.05], nu)
    exact = np.diff(stats.chi2.cdf(bounds, nu))[0]
    assert exact == pytest.approx(0.72, abs=0.005)
    noise = 3.5 * np.sqrt(exact * (1 - exact) / samples)
    assert hits / samples == pytest.approx(exact, abs=noise)
    assert hits / samples < 0.9


def test_table_and_intervals_tell_the_same() -> None:
    drawn = sleep().bootstrap(99, seed=2)
    frame = drawn.frame
    columns = ["term", "estimate", "bias", "std_error", "conf_low", "conf_high", "n"]
    assert list(frame.columns) == columns
    t = drawn.replicates
    np.testing.assert_allclose(frame["bias"], t.mean() - frame.set_index("term")["estimate"])
    np.testing.assert_allclose(frame["std_error"], t.std(ddof=1))
    limits = drawn.conf_int()
    assert list(limits.index) == list(frame["term"])
    np.testing.assert_array_equal(limits, frame[["conf_low", "conf_high"]])
    pd.testing.assert_frame_equal(sleep().conf_int(method="bootstrap", n=99, seed=2), limits)
    assert list(limits.index) == list(sleep().conf_int(method="profile").index)
    assert drawn.n_failed == 0


def test_a_report_says_how_it_was_drawn_and_which_intervals_it_shows() -> None:
    drawn = sleep().bootstrap(99, seed=2)
    text = str(drawn)
    assert text.startswith("Bootstrap, 95% percentile intervals")
    assert "99 replicates: responses drawn from the model with new random effects." in text
    other = drawn.summary(0.8, "basic")
    assert str(other).startswith("Bootstrap, 80% basic intervals")
    limits = drawn.conf_int(0.8, "basic")
    np.testing.assert_array_equal(other.tables["table"][["conf_low", "conf_high"]], limits)
    assert "<table" in drawn._repr_html_()
    few = sleep().bootstrap(5, seed=2)
    assert few.frame["conf_low"].isna().all()
    assert few.notes[-1].startswith("Too few replicates")
    cases = sleep().bootstrap(5, seed=2, kind="cases")
    assert cases.notes[0] == "5 replicates: levels of subject drawn with replacement."
    given = sleep().bootstrap(5, seed=2, random="conditional")
    assert given.notes[0].endswith("drawn from the model given the random effects.")


STATISTICS: dict[str, tuple[Callable[[hglm.Fit], Any], list[str]]] = {
    "series": (lambda fit: fit.params, ["Intercept", "days"]),
    "mapping": (lambda fit: dict(fit.params), ["Intercept", "days"]),
    "vector": (lambda fit: fit.params.to_numpy(), ["0", "1"]),
    "list": (lambda fit: list(fit.params), ["0", "1"]),
    "tuples": (
        lambda fit: pd.Series(fit.params.to_numpy(), pd.MultiIndex.from_product([["a"], [1, 2]])),
        ["a, 1", "a, 2"],
    ),
}


@pytest.mark.parametrize("kind", STATISTICS)
def test_statistics_of_fits_may_be_told_in_many_ways(kind: str) -> None:
    function, names = STATISTICS[kind]
    found = sleep().bootstrap(6, seed=3, statistic=function).replicates
    assert list(found.columns) == names
    default = sleep().bootstrap(6, seed=3).replicates[["Intercept", "days"]]
    np.testing.assert_allclose(found, default, rtol=1e-6)


def test_a_statistic_sees_a_whole_fit_to_the_data_that_were_drawn() -> None:
    new = pd.DataFrame({"days": [0.0, 9.0]})

    def rise(fit: hglm.Fit) -> float:
        means = fit.predict(new, random="none")
        assert fit.summary() is not None
        return float(means.iloc[1] - means.iloc[0])

    drawn = sleep().bootstrap(4, seed=3, statistic=rise)
    days = sleep().bootstrap(4, seed=3).replicates["days"]
    np.testing.assert_allclose(drawn.replicates["rise"], 9.0 * days, rtol=1e-6)
    sizes = sleep().bootstrap(3, seed=1, kind="cases", statistic=lambda fit: fit.nobs)
    assert sizes.replicates["statistic"].tolist() == [180.0] * 3
    levels = sleep().bootstrap(
        3, seed=1, kind="cases", statistic=lambda fit: {"q": len(fit.ranef()) / 2}
    )
    assert levels.replicates["q"].tolist() == [18.0] * 3


def test_statistics_of_ones_own_go_to_other_processes() -> None:
    pytest.importorskip("joblib")

    def functions(workers: int) -> pd.DataFrame:
        ratio = lambda fit: fit.params["days"] / fit.sigma  # noqa: E731 -- a lambda it shall be
        return sleep().bootstrap(12, seed=3, statistic=ratio, workers=workers).replicates

    pd.testing.assert_frame_equal(functions(1), functions(2), check_exact=True)


def test_what_a_statistic_raises_on_some_data_is_counted() -> None:
    median = sleep().bootstrap(30, seed=3).replicates["days"].median()

    def picky(fit: hglm.Fit) -> float:
        if fit.params["days"] > max(median, sleep().params["days"]):
            raise KeyError("steep")
        return float(fit.params["days"])

    drawn = sleep().bootstrap(30, seed=3, statistic=picky)
    assert 5 < drawn.n_failed < 25
    assert drawn.notes[1].startswith(
        "Left out because they could not be fitted or did not converge, or the statistic failed: "
        f"{drawn.n_failed}. The reason: The statistic raised KeyError: 'steep'"
    )
    assert drawn.frame["n"].tolist() == [30 - drawn.n_failed]


def test_a_bootstrap_pickles() -> None:
    drawn = one_way().bootstrap(50, seed=1)
    again = pickle.loads(pickle.dumps(drawn))
    pd.testing.assert_frame_equal(again.conf_int(kind="bca"), drawn.conf_int(kind="bca"))


@pytest.mark.parametrize(
    ("statistic", "message"),
    [
        (lambda _: "much", r"returned a str that is no number"),
        (lambda fit: fit.ranef(), r"returned a DataFrame that is no number.*return one of these"),
        (lambda _: [], r"returned a list that is no number"),
        (lambda _: {"a": 1.0, "b": "x"}, r"returned a dict that is no number"),
        (lambda _: pd.Series([1.0, 2.0], ["a", "a"]), r"returned 'a' twice; give each"),
    ],
)
def test_statistics_that_cannot_be_followed_are_refused(statistic: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        sleep().bootstrap(3, statistic=statistic)


def test_mistakes_are_explained() -> None:
    fit = sleep()
    with pytest.raises(FitError, match="statistic raised ZeroDivisionError: division by zero"):
        fit.bootstrap(3, statistic=lambda _: 1 / 0)
    with pytest.raises(OptionError, match=r"no bootstrap of kind 'wild'; choose .parametric"):
        fit.bootstrap(3, kind="wild")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"group='subject'.*it needs kind=.cases"):
        fit.bootstrap(3, group="subject")
    with pytest.raises(OptionError, match=r"random='conditional' is for kind"):
        fit.bootstrap(3, kind="cases", random="conditional")
    with pytest.raises(OptionError, match=r"Percentile intervals for level=0.95 need 39 repl"):
        fit.conf_int(method="bootstrap", n=38)
    with pytest.raises(OptionError, match=r'use "wald", "profile" or "bootstrap"'):
        fit.conf_int(method="boot")  # type: ignore[arg-type]
    with pytest.raises(FitError, match="None of the 2 replicates could be fitted; the first one"):
        fit.bootstrap(2, seed=1, statistic=once())


def once() -> Callable[[hglm.Fit], float]:
    """Work for the first fit, the observed one, only."""
    calls: list[int] = []

    def statistic(fit: hglm.Fit) -> float:
        calls.append(1)
        if len(calls) > 1:
            raise ValueError("no more")
        return 1.0

    return statistic
