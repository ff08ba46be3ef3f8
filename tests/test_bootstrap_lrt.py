"""Likelihood-ratio tests by simulation: null distributions that are known."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hglm
from hglm.errors import DataError, OptionError
from hglm.inference.bootstrap_lrt import BootstrapTest, bootstrap_lrt
from hglm.inference.compare import Candidate


def candidate(fit: hglm.Fit) -> Candidate:
    return Candidate(fit.formula.text, fit.estimates, fit.design)


def run(null: hglm.Fit, alternative: hglm.Fit, n: int, **options: object) -> BootstrapTest:
    return bootstrap_lrt(candidate(null), candidate(alternative), n, 1, **options)  # type: ignore[arg-type]


@cache
def one_way(method: str = "reml", q: int = 40, r: int = 4, tau: float = 0.3) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(q), r)
    y = rng.normal(0.0, tau, q)[g] + rng.normal(size=q * r)
    return pd.DataFrame({"g": g, "y": y})


def both(frame: pd.DataFrame, method: str) -> tuple[hglm.Fit, hglm.Fit]:
    return (
        hglm.fit("y ~ 1", frame, method=method),
        hglm.fit("y ~ 1 + (1 | g)", frame, method=method),
    )


def test_one_variance_is_half_zero_and_half_chi_square() -> None:
    """P(T = 0) = P(F ≤ 1) for REML, near a half; above it nearly χ²(1) (Stram & Lee 1994)."""
    q, r, n = 40, 4, 2000
    test = run(*both(one_way(), "reml"), n)
    assert len(test.failures) == 0
    zero = np.mean(test.replicates < 1e-6)
    exact = stats.f.cdf(1.0, q - 1, q * (r - 1))
    assert abs(exact - 0.5) < 0.03
    assert zero == pytest.approx(exact, abs=3.5 * np.sqrt(0.25 / n))
    beyond = np.mean(test.replicates > 2.7055)  # the mixture's 95% point
    assert beyond == pytest.approx(0.05, abs=3.5 * np.sqrt(0.05 * 0.95 / n))


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_p_value_of_one_variance_is_that_of_the_f_test(method: str) -> None:
    """In a balanced layout the statistic rises with F = MSB/MSE, whose law has no parameters."""
    frame, q, r, n = one_way(q=10, r=5, tau=0.35), 10, 5, 1500
    groups = frame["y"].to_numpy().reshape(q, r)
    F = r * groups.mean(axis=1).var(ddof=1) / groups.var(axis=1, ddof=1).mean()
    exact = stats.f.sf(F, q - 1, q * (r - 1))
    test = run(*both(frame, method), n)
    assert 0.01 < exact < 0.3
    assert test.p_value == pytest.approx(exact, abs=3.5 * np.sqrt(exact * (1 - exact) / n))
    low, high = test.mc_interval
    assert low < test.p_value < high
    assert test.chi_square_p_value > 1.5 * exact  # chi-square is far too large here


def test_a_fixed_effect_in_a_small_sample_needs_the_t_distribution() -> None:
    """The likelihood ratio of a paired comparison rises with |t|; chi-square is too small."""
    q, n = 6, 1500
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(q), 2)
    y = rng.normal(0.0, 3.0, q)[g] + rng.normal(size=2 * q) + 1.1 * np.tile([0.0, 1.0], q)
    frame = pd.DataFrame({"g": g, "side": np.tile(["l", "r"], q), "y": y})
    small = hglm.fit("y ~ 1 + (1 | g)", frame, method="ml")
    large = hglm.fit("y ~ side + (1 | g)", frame, method="ml")
    pairs = y.reshape(q, 2)
    exact = stats.ttest_rel(pairs[:, 1], pairs[:, 0]).pvalue
    test = run(small, large, n)
    assert test.df == 1
    assert test.p_value == pytest.approx(exact, abs=3.5 * np.sqrt(exact * (1 - exact) / n))
    assert test.chi_square_p_value < exact - 0.02


def test_generalised_models_are_tested_too() -> None:
    data = hglm.load_dataset("cbpp")
    response = "cbind(incidence, size - incidence)"
    small = hglm.fit(f"{response} ~ 1 + (1 | herd)", data, "binomial")
    large = hglm.fit(f"{response} ~ period + (1 | herd)", data, "binomial")
    test = run(small, large, 100)
    assert test.p_value == pytest.approx(1 / 101)
    # under the null hypothesis the mean of the statistic is near its 3 degrees of freedom
    assert test.replicates.mean() == pytest.approx(3.0, abs=3.5 * np.sqrt(6.0 / 100) + 0.3)


def test_a_statistic_of_zero_has_a_p_value_of_one() -> None:
    data = hglm.load_dataset("dyestuff2")
    null = hglm.fit("yield ~ 1", data, method="ml")
    assert run(null, hglm.fit("yield ~ 1 + (1 | batch)", data, method="ml"), 50).p_value == 1.0


def test_results_do_not_depend_on_the_number_of_workers() -> None:
    pytest.importorskip("joblib")
    models = both(one_way(), "ml")
    one, two = run(*models, 150), run(*models, 150, workers=2)
    np.testing.assert_array_equal(one.replicates, two.replicates)


def test_mistakes_are_explained() -> None:
    frame = one_way()
    null, alternative = both(frame, "reml")
    with pytest.raises(OptionError, match=r"no fewer parameters than y ~ 1; give the smaller"):
        run(alternative, null, 10)
    with pytest.raises(OptionError, match=r"cannot be compared with unrestricted"):
        run(null, both(frame, "ml")[1], 10)
    with pytest.raises(DataError, match=r"different responses"):
        run(both(frame.assign(y=frame["y"] + 1.0), "reml")[0], alternative, 10)
    with pytest.raises(OptionError, match=r"n=0 is no whole number"):
        run(null, alternative, 0)
