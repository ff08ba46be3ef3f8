"""Power by simulation against closed forms, and against complete fits one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hglm
from hglm.planning import DataModel
from hglm.planning.data_model import data_model, draw
from hglm.planning.targets import with_effect
from hglm.planning.tasks import FixedTask, make_task
from hglm.typing import Matrix

PAIRS = {"Intercept": 1.0, "side[T.r]": 0.8, "sd(Intercept | subject)": 2.0, "sigma": 1.0}
ARMS = {"Intercept": 0.0, "arm[T.b]": 1.2, "sd(Intercept | g)": 1.0, "sigma": 1.0}


def paired(q: int = 16) -> DataModel:
    """Two sides of q subjects, whose own level is far above the noise."""
    layout = hglm.simulate_design({"subject": q}, within={"side": ["l", "r"]})
    return hglm.assume("y ~ side + (1 | subject)", layout, PAIRS)


def arms(q: int = 12, r: int = 5) -> DataModel:
    """Two arms of q / 2 groups of r rows."""
    layout = hglm.simulate_design({"g": q}, between={"g": {"arm": ["a", "b"]}}, repeats=r)
    return hglm.assume("y ~ arm + (1 | g)", layout, ARMS)


def noncentral_t(shift: float, df: int, alpha: float = 0.05) -> float:
    """Power of a two-sided t test whose statistic is centred at `shift`."""
    critical = stats.t.ppf(1 - alpha / 2, df)
    return float(stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift))


def within_error(found: float, exact: float, n: int) -> bool:
    return abs(found - exact) < 3.5 * np.sqrt(exact * (1.0 - exact) / n)


def drawn(model: DataModel, n: int, seed: int = 4) -> Matrix:
    """Draw the responses that a task gets from the generators `spawned(n, seed)`."""
    return np.column_stack([draw(model, rng) for rng in spawned(n, seed)])


def spawned(n: int, seed: int = 4) -> list[np.random.Generator]:
    return np.random.default_rng(seed).spawn(n)


def p_values(model: DataModel, target: str, n: int) -> np.ndarray:
    return make_task(model, target, None, np.random.default_rng(1))(spawned(n)).p_values


def test_power_of_a_paired_comparison_is_that_of_the_noncentral_t() -> None:
    n = 300
    found = hglm.power(paired(), "side[T.r]", n_groups=[8, 16], effect=[0, 0.8], n=n, seed=1)
    assert found.frame["n_groups"].tolist() == [8, 8, 16, 16]
    for row in found.frame.itertuples():
        exact = noncentral_t(row.effect * np.sqrt(row.n_groups / 2), row.n_groups - 1)
        assert within_error(row.power, exact, n)
        assert row.conf_low < row.power < row.conf_high
        assert (row.n, row.n_obs, row.failures) == (n, 2 * row.n_groups, 0)
        assert row.power == row.successes / n


def test_power_between_groups_is_that_of_the_noncentral_t() -> None:
    """Means of groups have variance τ² + σ²/r, and q - 2 degrees of freedom."""
    q, r, n = 12, 5, 400
    frame = hglm.power(arms(q, r), "arm[T.b]", effect=[0.0, 0.8, 1.6], n=n, seed=2).frame
    for row in frame.itertuples():
        exact = noncentral_t(row.effect / np.sqrt((1 + 1 / r) * 4 / q), q - 2)
        assert within_error(row.power, exact, n)


def test_rejections_of_a_true_hypothesis_are_as_many_as_the_level_says() -> None:
    for alpha in (0.01, 0.2):
        frame = hglm.power(arms(), "arm[T.b]", effect=0.0, alpha=alpha, n=500, seed=3).frame
        assert within_error(frame["power"][0], alpha, 500)


def test_each_p_value_of_pairs_is_that_of_the_paired_t_test() -> None:
    model = paired()
    pairs = drawn(model, 20).reshape(16, 2, 20)
    exact = stats.ttest_rel(pairs[:, 1], pairs[:, 0]).pvalue
    # searches leave about 1e-6 of σ
    np.testing.assert_allclose(p_values(model, "side[T.r]", 20), exact, rtol=1e-4)


def test_each_p_value_between_arms_is_that_of_the_t_test_of_group_means() -> None:
    model = arms()
    means = drawn(model, 20).reshape(12, 5, 20).mean(axis=1)
    exact = stats.ttest_ind(means[1::2], means[::2]).pvalue
    np.testing.assert_allclose(p_values(model, "arm[T.b]", 20), exact, rtol=1e-3)


def test_each_p_value_of_an_interaction_is_that_of_the_t_test_of_differences() -> None:
    layout = hglm.simulate_design(
        {"g": 14}, between={"g": {"arm": ["a", "b"]}}, within={"time": [0.0, 1.0]}
    )
    values = {"Intercept": 0.0, "arm[T.b]": 0.2, "time": 0.5, "arm[T.b]:time": 1.0}
    values |= {"sd(Intercept | g)": 2.0, "sigma": 1.0}
    model = hglm.assume("y ~ arm * time + (1 | g)", layout, values)
    y = drawn(model, 20).reshape(14, 2, 20)
    gain = y[:, 1] - y[:, 0]
    exact = stats.ttest_ind(gain[1::2], gain[::2]).pvalue
    np.testing.assert_allclose(p_values(model, "arm[T.b]:time", 20), exact, rtol=1e-3)


def test_each_p_value_of_a_random_slope_is_that_of_the_t_test_of_separate_slopes() -> None:
    """Balanced, and no variance at zero: REML has the covariance of the separate fits."""
    sleep = hglm.load_dataset("sleepstudy")
    model = data_model(hglm.fit("reaction ~ days + (days | subject)", sleep))
    model = with_effect(model, "days", 5.0)
    outcome = make_task(model, "days", None, np.random.default_rng(1))(spawned(20))
    days = np.arange(10) - 4.5
    slopes = np.tensordot(drawn(model, 20).reshape(18, 10, 20), days, (1, 0)) / np.sum(days**2)
    exact = stats.ttest_1samp(slopes, 0.0).pvalue
    regular = ~outcome.singular
    assert regular.sum() >= 15
    np.testing.assert_allclose(outcome.p_values[regular], exact[regular], rtol=2e-3)


def test_power_of_a_variance_is_that_of_the_f_test_where_both_are_exact() -> None:
    """Balanced, REML: T > c is F > f(c); power is P(F_{q-1, q(r-1)} > f/(1 + rτ²/σ²))."""
    q, r, n = 15, 6, 400
    layout = hglm.simulate_design({"g": q}, repeats=r)
    values = {"Intercept": 0.0, "sd(Intercept | g)": 1.0, "sigma": 1.0}
    model = hglm.assume("y ~ 1 + (1 | g)", layout, values)
    a, b = q - 1, q * (r - 1)

    def statistic(F: float) -> float:
        return float((a + b) * np.log((a * F + b) / (a + b)) - a * np.log(F))

    critical = 2.7055434540954  # the 95% point of the half and half mixture
    f = next(F for F in np.arange(1.0, 5.0, 1e-4) if statistic(F) > critical)
    frame = hglm.power(model, "sd(Intercept | g)", effect=[0.0, 0.3, 0.5], n=n, seed=2).frame
    for row in frame.itertuples():
        assert within_error(row.power, stats.f.sf(f / (1 + r * row.effect**2), a, b), n)
    assert within_error(frame["singular"][0], stats.f.cdf(1.0, a, b), n)


def test_a_term_is_tested_as_a_whole_and_degrees_of_freedom_can_be_chosen() -> None:
    """Three doses within groups: F with 2 and 14 degrees of freedom, noncentral."""
    layout = hglm.simulate_design({"g": 8}, within={"dose": ["a", "b", "c"]})
    values = {"Intercept": 0.0, "dose[T.b]": 0.0, "dose[T.c]": 1.5, "sigma": 1.0}
    model = hglm.assume(
        "y ~ dose + (1 | g)", layout, {**values, "sd(Intercept | g)": 2.0, "sigma": 1.0}
    )
    n = 300
    exact = stats.ncf.sf(stats.f.ppf(0.95, 2, 14), 2, 14, 8 * (2 * 0.5**2 + 1.0**2))
    frame = hglm.power(model, "dose", n=n, seed=1).frame
    assert within_error(frame["power"][0], exact, n)
    normal = hglm.power(model, "dose", n=n, seed=1, ddf="asymptotic").frame
    assert normal["successes"][0] > frame["successes"][0]  # the same data, a narrower test


@pytest.mark.parametrize(
    ("family", "extra"),
    [("binomial", {}), ("poisson", {}), ("nbinom2", {"sigma": 2.0}), ("gamma", {"sigma": 0.7})],
)
def test_p_values_of_generalised_models_are_those_of_complete_fits(
    family: str, extra: dict[str, float]
) -> None:
    layout = hglm.simulate_design({"g": 12}, within={"x": [-0.5, 0.5]}, repeats=6)
    values = {"Intercept": 0.5, "x": 0.8, "sd(Intercept | g)": 0.6, **extra}
    link = "log" if family == "gamma" else None
    model = hglm.assume("y ~ x + (1 | g)", layout, values, family, link=link)
    found = p_values(model, "x", 8)
    for p, y in zip(found, drawn(model, 8).T, strict=True):
        fit = hglm.fit("y ~ x + (1 | g)", layout.assign(y=y), family, link=link)
        assert p == pytest.approx(fit.pvalues["x"], rel=5e-3)


@pytest.mark.parametrize(
    ("family", "formula", "options"),
    [
        ("gaussian", "y ~ x + (1 | g) + (1 | t)", {}),
        ("gaussian", "y ~ x + ar1(0 + t | g)", {}),
        ("gaussian", "y ~ x + (1 | g)", {"dispersion": "~ x"}),
        ("gaussian", "y ~ x", {}),
        ("poisson", "y ~ x + (1 | g)", {"method": hglm.Quadrature(5)}),
        ("poisson", "y ~ x + (1 | g)", {"zero_inflation": "~ 1"}),
    ],
)
def test_p_values_of_any_model_are_those_of_complete_fits(
    family: str, formula: str, options: dict[str, Any]
) -> None:
    rng = np.random.default_rng(1)
    frame = hglm.simulate_design({"g": 12}, within={"x": [0.0, 1.0], "t": [0, 1, 2]})
    effects = rng.random(12)[frame["g"].cat.codes] + 0.5 * rng.random(3)[frame["t"]]
    frame["y"] = np.floor(rng.negative_binomial(2, 0.4, len(frame)) + 2.0 * effects)
    model = data_model(hglm.fit(formula, frame, family, **options))
    found = p_values(model, "x", 3)
    for p, y in zip(found, drawn(model, 3).T, strict=True):
        fit = hglm.fit(formula, frame.assign(y=y), family, **options)
        assert p == pytest.approx(fit.pvalues["x"], rel=2e-3)


def test_p_values_of_ordinal_models_are_those_of_complete_fits() -> None:
    rng = np.random.default_rng(1)
    frame = hglm.simulate_design({"g": 15}, within={"x": [0.0, 1.0]}, repeats=4)
    latent = frame["x"] + rng.normal(size=15)[frame["g"].cat.codes] + rng.logistic(size=120)
    names = ["low", "middle", "high"]
    codes = np.digitize(latent, [0.0, 1.5])
    frame["y"] = pd.Categorical.from_codes(codes, names, ordered=True)
    model = data_model(hglm.fit("y ~ x + (1 | g)", frame, "ordinal"))
    found = p_values(model, "x", 3)
    for p, y in zip(found, drawn(model, 3).T, strict=True):
        again = frame.assign(y=pd.Categorical.from_codes(y.astype(int), names, ordered=True))
        fit = hglm.fit("y ~ x + (1 | g)", again, "ordinal")
        assert p == pytest.approx(fit.pvalues["x"], rel=2e-3)


def test_power_of_a_poisson_model_is_that_of_normal_group_means() -> None:
    """Logs of group means have variance τ² + 1/(rμ), here against 30 groups in each arm."""
    q, r, n = 60, 40, 200
    layout = hglm.simulate_design({"g": q}, between={"g": {"arm": ["u", "v"]}}, repeats=r)
    values = {"Intercept": 1.0, "arm[T.v]": 0.15, "sd(Intercept | g)": 0.2}
    model = hglm.assume("y ~ arm + (1 | g)", layout, values, "poisson")
    se = np.sqrt(sum(0.04 + 1 / (r * np.exp(m)) for m in (1.0, 1.15)) / (q / 2))
    power = hglm.power(model, "arm[T.v]", n=n, seed=1).frame["power"][0]
    assert power == pytest.approx(stats.norm.sf(1.96 - 0.15 / se), abs=3.5 * 0.5 / np.sqrt(n))


def test_separated_data_do_not_count_as_found() -> None:
    """About one event expected where x = 0: most data sets have none, an infinite log odds."""
    layout = hglm.simulate_design({"g": 6}, within={"x": [0, 1]}, repeats=4)
    values = {"Intercept": -3.5, "x": 1.0, "sd(Intercept | g)": 0.5}
    model = hglm.assume("y ~ x + (1 | g)", layout, values, "binomial")
    assert hglm.power(model, "x", n=60, seed=1).frame["power"][0] < 0.1
    task = make_task(model, "x", None, np.random.default_rng(1))
    assert isinstance(task, FixedTask)
    together = task(spawned(30))
    alone = [task._complete(y).p_values[0] for y in drawn(model, 30).T]
    np.testing.assert_allclose(together.p_values, alone, atol=0.02)


def test_results_do_not_depend_on_workers_or_on_what_is_asked_besides() -> None:
    pytest.importorskip("joblib")
    options = {"n": 220, "seed": 5}  # more than one chunk
    one = hglm.power(paired(6), "side[T.r]", n_groups=[6, 8], **options)
    two = hglm.power(paired(6), "side[T.r]", n_groups=[6, 8], workers=2, **options)
    first = hglm.power(paired(6), "side[T.r]", n_groups=6, **options)
    pd.testing.assert_frame_equal(one.frame, two.frame)
    pd.testing.assert_frame_equal(one.frame.iloc[:1], first.frame)


@pytest.mark.parametrize("target", ["arm[T.b]", "sd(Intercept | g)"])
def test_results_do_not_depend_on_how_many_are_done_together(target: str) -> None:
    task = make_task(arms(6, 3), target, None, np.random.default_rng(1))
    parts = [task(spawned(30)[at]).p_values for at in (slice(0, 7), slice(7, 30))]
    np.testing.assert_allclose(task(spawned(30)).p_values, np.concatenate(parts), rtol=1e-6)
