"""Planning: power in closed form, designs by hand, and what goes wrong."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hglm
from hglm.errors import DataError, OptionError
from hglm.planning import DataModel, assume, power, simulate_design
from hglm.planning.data_model import data_model, draw
from hglm.planning.hypotheses import Outcome, make_task, with_effect
from hglm.planning.sizes import resize

PAIRS = {"Intercept": 1.0, "side[T.r]": 0.8, "sd(Intercept | subject)": 2.0, "sigma": 1.0}


def paired(q: int = 16, **changed: float) -> DataModel:
    """Two sides of q subjects, whose own level is far above the noise."""
    frame = simulate_design({"subject": q}, within={"side": ["l", "r"]})
    return assume("y ~ side + (1 | subject)", frame, {**PAIRS, **changed})


@cache
def sleep() -> hglm.Fit:
    return hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))


def noncentral_t(shift: float, q: int, alpha: float = 0.05) -> float:
    """Power of a paired t test of q pairs for a shift in units of the noise."""
    centre, critical = shift * np.sqrt(q / 2.0), stats.t.ppf(1 - alpha / 2, q - 1)
    beyond = stats.nct.sf(critical, q - 1, centre) + stats.nct.cdf(-critical, q - 1, centre)
    return float(beyond)


def within_error(found: float, exact: float, n: int) -> bool:
    return abs(found - exact) < 3.5 * np.sqrt(exact * (1.0 - exact) / n)


def test_power_of_a_paired_comparison_is_that_of_the_noncentral_t() -> None:
    n = 300
    table = power(paired(), "side[T.r]", n_groups=[8, 16], effect=[0.0, 0.8], n=n, seed=1).table
    assert list(table["n_groups"]) == [8, 8, 16, 16]
    for row in table.itertuples():
        assert within_error(row.power, noncentral_t(row.effect, row.n_groups), n)
        assert row.conf_low < row.power < row.conf_high
        assert (row.n, row.n_obs) == (n, 2 * row.n_groups)


def test_each_p_value_is_that_of_the_paired_t_test() -> None:
    model = paired()
    rng = np.random.default_rng(3)
    task = make_task(model, "side[T.r]", None, rng)
    outcome = task(np.random.default_rng(4).spawn(20))
    for p, generator in zip(outcome.p_values, np.random.default_rng(4).spawn(20), strict=True):
        pairs = draw(model, generator).reshape(16, 2)
        exact = stats.ttest_rel(pairs[:, 1], pairs[:, 0]).pvalue
        assert p == pytest.approx(exact, rel=1e-4)  # searches leave about 1e-6 of σ


def test_power_of_a_variance_is_that_of_the_f_test_where_both_are_exact() -> None:
    """Balanced, REML: T > c is F > f(c); power is P(F_{q-1, q(r-1)} > f/(1 + rτ²/σ²))."""
    q, r, n = 15, 6, 400
    frame = simulate_design({"g": q}, repeats=r)
    model = assume("y ~ 1 + (1 | g)", frame, {"Intercept": 0, "sd(Intercept | g)": 1, "sigma": 1})
    a, b = q - 1, q * (r - 1)

    def statistic(F: float) -> float:
        return float((a + b) * np.log((a * F + b) / (a + b)) - a * np.log(F))

    critical = 2.7055434540954  # the 95% point of the half and half mixture
    f = next(F for F in np.arange(1.0, 5.0, 1e-4) if statistic(F) > critical)
    table = power(model, "sd(Intercept | g)", effect=[0.0, 0.3, 0.5], n=n, seed=2).table
    for row in table.itertuples():
        assert within_error(row.power, stats.f.sf(f / (1 + r * row.effect**2), a, b), n)
    assert table["singular"][0] == pytest.approx(stats.f.cdf(1.0, a, b), abs=0.09)


def test_a_term_is_tested_as_a_whole_and_degrees_of_freedom_can_be_chosen() -> None:
    frame = simulate_design({"g": 8}, within={"dose": ["a", "b", "c"]})
    names = {"Intercept": 0.0, "dose[T.b]": 0.0, "dose[T.c]": 0.0}
    model = assume("y ~ dose + (1 | g)", frame, {**names, "sd(Intercept | g)": 2.0, "sigma": 1.0})
    n = 300
    exact = power(model, "dose", n=n, seed=1).table["power"][0]
    assert within_error(exact, 0.05, n)
    normal = power(model, "dose", n=n, seed=1, ddf="asymptotic").table["power"][0]
    assert normal > exact  # 14 degrees of freedom are not infinitely many


def test_generalised_models_are_planned_with_normal_tests() -> None:
    frame = simulate_design({"g": 30}, between={"g": {"arm": ["u", "v"]}}, repeats=10)
    values = {"Intercept": 1.0, "arm[T.v]": 0.7, "sd(Intercept | g)": 0.2}
    model = assume("y ~ arm + (1 | g)", frame, values, "poisson")
    # group means of a log-normal Poisson: Var(log mean) ≈ τ² + 1/(10 μ), two arms of 15
    se = np.sqrt(sum(0.04 + 1 / (10 * np.exp(m)) for m in (1.0, 1.7)) / 15)
    found = power(model, "arm[T.v]", effect=[0.25], n=150, seed=1).table["power"][0]
    se0 = np.sqrt(2 * (0.04 + 1 / (10 * np.exp(1.1))) / 15)
    assert se0 > se
    approximate = stats.norm.sf(1.96 - 0.25 / se0)
    assert found == pytest.approx(approximate, abs=0.15)


def test_sizes_of_a_fit_are_changed_by_copies_of_its_groups() -> None:
    model = data_model(sleep())
    larger = resize(model, "subject", 36, 5)
    assert larger.design.n == 180
    assert larger.design.mean.random[0].n_levels == 36
    np.testing.assert_array_equal(larger.design.mean.X[:5, 1], np.arange(5))
    longer = resize(model, "subject", 3, 12)
    np.testing.assert_array_equal(longer.design.mean.X[:12, 1], [*range(10), 0, 1])


def test_groups_are_taken_evenly_so_that_arms_stay_balanced() -> None:
    g = np.repeat(np.arange(20), 3)
    frame = pd.DataFrame({"g": g, "arm": np.where(g < 10, "a", "b")})
    values = {"Intercept": 0, "arm[T.b]": 1, "sd(Intercept | g)": 1, "sigma": 1}
    model = assume("y ~ arm + (1 | g)", frame, values)
    for groups in (4, 10, 30):
        X = resize(model, "g", groups).design.mean.X
        assert X[:, 1].mean() == 0.5


def test_a_data_model_draws_what_the_fit_would() -> None:
    """Mean and covariance of many draws, against Xβ and Z Σ Z' + σ²I of one subject."""
    model = data_model(sleep())
    n = 1500
    Y = np.column_stack([draw(model, rng) for rng in np.random.default_rng(0).spawn(n)])[:10]
    X = model.design.mean.X[:10]
    V = X @ sleep().estimates.terms[0].covariance @ X.T + sleep().sigma ** 2 * np.eye(10)
    z = (Y.mean(axis=1) - X @ sleep().params) / np.sqrt(np.diagonal(V) / n)
    assert np.abs(z).max() < 4
    error = np.sqrt((np.outer(np.diagonal(V), np.diagonal(V)) + V**2) / n)
    assert np.abs((np.cov(Y) - V) / error).max() < 4.5


@pytest.mark.parametrize(
    ("family", "extra"),
    [
        ("binomial", {}),
        ("nbinom2", {"sigma": 2.0}),
        ("gamma", {"sigma": 0.5}),
        ("beta", {"sigma": 5.0}),
    ],
)
def test_assumed_parameters_come_back_from_a_large_sample(
    family: str, extra: Mapping[str, float]
) -> None:
    frame = simulate_design({"g": 150}, within={"x": [0.0, 1.0]}, repeats=8)
    link = "log" if family == "gamma" else None
    values = {"Intercept": 0.3, "x": 0.5, "sd(Intercept | g)": 0.6, **extra}
    model = assume("y ~ x + (1 | g)", frame, values, family, link=link)
    y = draw(model, np.random.default_rng(0))
    fit = hglm.fit("y ~ x + (1 | g)", frame.assign(y=y), family, link=link)
    assert fit.params["x"] == pytest.approx(0.5, abs=4 * fit.bse["x"])
    assert np.sqrt(fit.estimates.terms[0].covariance[0, 0]) == pytest.approx(0.6, abs=0.15)
    if extra:
        assert fit.sigma == pytest.approx(extra["sigma"], rel=0.15)


def test_effects_replace_a_coefficient_or_a_standard_deviation() -> None:
    model = data_model(sleep())
    assert with_effect(model, "days", 3.0).betas["mean"][1] == 3.0
    changed = with_effect(model, "sd(days | subject)", 2.0).terms[0].covariance
    before = model.terms[0].covariance
    assert changed[1, 1] == pytest.approx(4.0)
    assert changed[0, 0] == before[0, 0]
    rho = before[0, 1] / np.sqrt(before[0, 0] * before[1, 1])
    assert changed[0, 1] / np.sqrt(changed[0, 0] * changed[1, 1]) == pytest.approx(rho)
    assert with_effect(model, "days", None) is model


def test_designs_are_laid_out_in_full() -> None:
    frame = simulate_design(
        {"school": 2, "pupil": 3},
        within={"time": [0, 1]},
        between={"school": {"arm": ["a", "b"]}, "item": {"hard": [False, True]}},
        crossed={"item": 2},
        repeats=2,
    )
    assert len(frame) == 2 * 3 * 2 * 2 * 2
    assert frame.groupby("pupil", observed=True)["school"].nunique().eq(1).all()
    assert frame["pupil"].nunique() == 6
    assert pd.crosstab(frame["pupil"], frame["item"]).eq(4).all(axis=None)
    assert frame.groupby("school", observed=True)["arm"].first().tolist() == ["a", "b"]
    assert frame.groupby("item", observed=True)["hard"].first().tolist() == [False, True]
    assert list(frame["pupil"].cat.categories[:2]) == ["s1.1", "s1.2"]


def test_results_do_not_depend_on_the_number_of_workers_or_on_what_is_asked_besides() -> None:
    pytest.importorskip("joblib")
    one = power(paired(6), "side[T.r]", n_groups=[6, 8], n=24, seed=5)
    two = power(paired(6), "side[T.r]", n_groups=[6, 8], n=24, seed=5, workers=2)
    first = power(paired(6), "side[T.r]", n_groups=6, n=24, seed=5)
    pd.testing.assert_frame_equal(one.table, two.table)
    pd.testing.assert_frame_equal(one.table.iloc[:1], first.table)


def test_fits_that_fail_are_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        chunk = 10

        def __call__(self, generators: object) -> Outcome:
            p = np.array([0.01, np.nan, *np.full(8, 0.5)])
            return Outcome(p, np.zeros(10, dtype=bool), {1: "no luck"})

    monkeypatch.setattr(sys.modules[power.__module__], "make_task", lambda *_: Failing())
    result = power(paired(6), "side[T.r]", n_groups=[6, 8], n=20, seed=1)
    assert result.table["n"].tolist() == [18, 18]
    assert result.table["power"].tolist() == [2 / 18, 2 / 18]
    assert result.failures["row"].tolist() == [0, 0, 1, 1]
    assert result.failures["replicate"].tolist() == [1, 11, 1, 11]
    assert result.failures["reason"].tolist() == ["no luck"] * 4
    assert "4 simulated data sets could not be fitted" in result.notes[-1]


def test_the_report_says_what_was_done() -> None:
    text = str(power(paired(6), "side[T.r]", n=20, seed=1))
    assert "Test of side[T.r] at level 0.05; 20 simulations of each row" in text
    assert "Power by simulation" in text


def test_mistakes_are_explained() -> None:
    model = paired(6)
    for options, message in [
        ({"target": "sides"}, r"nothing called 'sides' to test; choose one of 'Intercept', 'side"),
        ({"target": "sd(side | subject)"}, r"no variance 'sd\(side \| subject\)'; the model has"),
        ({"alpha": 5.0}, r"alpha=5.0 is not between 0 and 1"),
        ({"n_groups": []}, r"list of sizes or effects is empty"),
        ({"n_groups": 1}, r"n_groups=1 is no whole number of 2 or more"),
        ({"n_within": 1.5}, r"n_within=1.5 is no whole number"),
        ({"group": "item", "n_groups": 5}, r"no grouping factor 'item'"),
        ({"ddf": "satterthwait"}, r"no method ddf='satterthwait'"),
        ({"target": "sd(Intercept | subject)", "ddf": "residual"}, r"leave `ddf` out"),
        ({"target": "side", "effect": 1.0}, r"one coefficient, and 'side' is none"),
        ({"n": 0}, r"n=0 is no whole number"),
    ]:
        given = {"target": "side[T.r]", "n": 2, "seed": 1, **options}
        with pytest.raises(OptionError, match=message):
            power(model, **given)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"1 rows in each not every fixed effect"):
        power(model, "side[T.r]", n_within=1, n=2)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({**PAIRS, "side": 1.0}, OptionError, r"no parameter 'side'; it has 'Intercept', 'side\[T"),
        ({"Intercept": 1.0}, OptionError, r"Values are missing for 'side\[T.r\]', 'sd\(Intercept"),
        ({**PAIRS, "sigma": -1.0}, OptionError, r"'sigma' cannot be -1.0"),
    ],
)
def test_assumptions_are_checked(
    values: dict[str, float], error: type[Exception], message: str
) -> None:
    frame = simulate_design({"subject": 4}, within={"side": ["l", "r"]})
    with pytest.raises(error, match=message):
        assume("y ~ side + (1 | subject)", frame, values)


def test_assumptions_that_contradict_one_another_are_refused() -> None:
    frame = simulate_design({"g": 4}, within={"x": range(5)}).assign(z=lambda d: d["x"] ** 2)
    names = ("Intercept", "x", "z")
    values = {"Intercept": 0.0, "sigma": 1.0, **{f"sd({name} | g)": 1.0 for name in names}}
    values |= {"cor(Intercept, x | g)": 0.9, "cor(Intercept, z | g)": 0.9, "cor(x, z | g)": -0.9}
    with pytest.raises(DataError, match="correlations of the coefficients by 'g' contradict"):
        assume("y ~ 1 + (x + z | g)", frame, values)
    with pytest.raises(OptionError, match="must be a single name"):
        assume("log(y) ~ 1 + (1 | g)", frame, {})
    with pytest.raises(OptionError, match="cannot be assumed by name"):
        assume("y ~ 1 + (1 | g)", frame, {}, "tweedie")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": {}}, "at least one grouping factor"),
        ({"groups": {"g": 0}}, "levels of g=0 is no whole number"),
        ({"groups": {"g": 2}, "within": {"g": [1]}}, "'g' is asked for twice"),
        ({"groups": {"g": 2}, "within": {"x": []}}, "'x' has no values"),
        ({"groups": {"g": 2}, "between": {"h": {"x": [1]}}}, "no group 'h'"),
        ({"groups": {"g": 2}, "repeats": 0}, "repeats=0 is no whole number"),
    ],
)
def test_layouts_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        simulate_design(**options)  # type: ignore[arg-type]
