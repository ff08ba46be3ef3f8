"""Designs that are laid out, made larger or smaller, and what is said of their power."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import special

import hglm
from hglm.errors import DataError, OptionError
from hglm.fitting.record import LinearState
from hglm.planning import DataModel
from hglm.planning.data_model import data_model, draw, fit_draw
from hglm.planning.sizes import resize
from hglm.planning.start import at_truth
from hglm.planning.targets import true_value, with_effect, without_variance
from hglm.planning.tasks import Outcome

PAIRS = {"Intercept": 1.0, "side[T.r]": 0.8, "sd(Intercept | subject)": 2.0, "sigma": 1.0}


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


@cache
def paired() -> DataModel:
    layout = hglm.simulate_design({"subject": 6}, within={"side": ["l", "r"]})
    return hglm.assume("y ~ side + (1 | subject)", layout, PAIRS)


@cache
def sleep() -> hglm.Fit:
    return hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))


# Layouts --------------------------------------------------------------------------------


def test_designs_are_laid_out_in_full() -> None:
    frame = hglm.simulate_design(
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


def test_labels_keep_their_order_and_shares_their_size() -> None:
    frame = hglm.simulate_design(
        {"g": 6}, between={"g": {"arm": ["old", "old", "new"]}}, within={"time": ["pre", "post"]}
    )
    assert list(frame["arm"].cat.categories) == ["old", "new"]
    assert frame["arm"].value_counts()["old"] == 8
    values = {"Intercept": 0.0, "arm[T.new]": 1.0, "time[T.post]": 2.0, "sigma": 1.0}
    model = hglm.assume("y ~ arm + time + (1 | g)", frame, {**values, "sd(Intercept | g)": 1.0})
    np.testing.assert_array_equal(model.design.mean.X[:, 2], np.tile([0, 1], 6))


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
        hglm.simulate_design(**options)  # type: ignore[arg-type]


# Truths ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "formula", "options"),
    [
        ("gaussian", "y ~ x + (x || g)", {}),
        ("gaussian", "y ~ x + ar1(0 + t | g)", {}),
        ("gaussian", "y ~ x + (1 | g)", {"dispersion": "~ x"}),
        ("poisson", "y ~ x + (1 | g)", {"zero_inflation": "~ x"}),
        ("nbinom1", "y ~ x + (1 | g)", {"offset": "t"}),
    ],
)
def test_a_data_model_draws_the_numbers_that_the_fit_would(
    family: str, formula: str, options: dict[str, object]
) -> None:
    frame = hglm.simulate_design({"g": 12}, within={"x": [0.0, 1.0], "t": [0, 1, 2]})
    rng = np.random.default_rng(1)
    frame["y"] = (
        rng.negative_binomial(2, 0.4, len(frame)) + 2.0 * (rng.random(12)[frame.g.cat.codes])
    )
    if family != "gaussian":
        frame["y"] = np.floor(frame["y"])
    fit = hglm.fit(formula, frame, family, **options)  # type: ignore[arg-type]
    found = draw(data_model(fit), np.random.default_rng(3))
    np.testing.assert_allclose(found, fit.simulate(1, seed=3)[0], rtol=1e-12)


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
    layout = hglm.simulate_design({"g": 150}, within={"x": [0.0, 1.0]}, repeats=8)
    link = "log" if family == "gamma" else None
    values = {"Intercept": 0.3, "x": 0.5, "sd(Intercept | g)": 0.6, **extra}
    model = hglm.assume("y ~ x + (1 | g)", layout, values, family, link=link)
    y = draw(model, np.random.default_rng(0))
    fit = hglm.fit("y ~ x + (1 | g)", layout.assign(y=y), family, link=link)
    assert fit.params["x"] == pytest.approx(0.5, abs=4 * fit.bse["x"])
    assert np.sqrt(fit.estimates.terms[0].covariance[0, 0]) == pytest.approx(0.6, abs=0.15)
    if extra:
        assert fit.sigma == pytest.approx(extra["sigma"], rel=0.15)


def test_related_levels_stay_related() -> None:
    """Covariance of the effects of three levels, of which two are the same."""
    A = np.array([[1.0, 0.99, 0.0], [0.99, 1.0, 0.0], [0.0, 0.0, 1.0]])
    frame = pd.DataFrame({"g": np.tile(["a", "b", "c"], 8)})
    rng = np.random.default_rng(1)
    effects = np.linalg.cholesky(A) @ rng.standard_normal(3)
    frame["y"] = 5 * np.tile(effects, 8) + 0.1 * rng.standard_normal(24)
    relation = hglm.Relationship(A, ["a", "b", "c"])
    fit = hglm.fit("y ~ 1 + (1 | g)", frame, covariances={"g": relation})
    Y = np.column_stack([draw(data_model(fit), r) for r in rng.spawn(400)])
    first, second, third = (Y[i::3].mean(axis=0) for i in range(3))
    assert np.corrcoef(first, second)[0, 1] > 0.95
    assert abs(np.corrcoef(first, third)[0, 1]) < 0.2


@pytest.mark.parametrize("family", ["gaussian", "nbinom2"])
def test_searches_start_at_the_truth(family: str) -> None:
    """Fixed predictors, covariances and dispersion of the start are those assumed."""
    layout = hglm.simulate_design({"g": 10}, within={"x": [0.0, 1.0, 5.0]})
    values = {"Intercept": 0.5, "x": 0.2, "sigma": 1.5, "cor(Intercept, x | g)": 0.3}
    values |= {"sd(Intercept | g)": 0.6, "sd(x | g)": 0.4}
    model = hglm.assume("y ~ x + (x | g)", layout, values, family)
    pilot = fit_draw(model, draw(model, np.random.default_rng(1)))
    start = at_truth(pilot, model)
    state = start.state
    if isinstance(state, LinearState):
        factors = state.problem.user_factors(state.theta)
        relative = model.terms[0].covariance / 1.5**2
    else:
        eta = state.problem.fixed_predictors(state.psi)
        expected = state.problem.terms.take(model.design.mean.X @ [0.5, 0.2])
        np.testing.assert_allclose(eta[0], expected, rtol=1e-12)
        assert state.psi[state.problem.fixed[1].first] == model.scalars["dispersion"]
        theta = state.problem.theta(state.psi)
        maps, layout_ = state.problem.terms.maps, state.problem.layout
        factors = [S @ T for S, T in zip(maps, layout_.term_factors(theta), strict=True)]
        relative = model.terms[0].covariance
    np.testing.assert_allclose(factors[0] @ factors[0].T, relative, rtol=1e-9)
    assert not start.certificate.singular
    nothing = at_truth(pilot, with_effect(model, "sd(x | g)", 0.0))
    assert nothing.certificate.singular


def test_effects_replace_a_coefficient_or_a_standard_deviation() -> None:
    model = data_model(sleep())
    assert with_effect(model, "days", 3.0).betas["mean"][1] == 3.0
    changed = with_effect(model, "sd(days | subject)", 2.0).terms[0].covariance
    before = model.terms[0].covariance
    assert changed[1, 1] == pytest.approx(4.0)
    assert changed[0, 0] == before[0, 0]
    rho = before[0, 1] / np.sqrt(before[0, 0] * before[1, 1])
    assert changed[0, 1] / np.sqrt(changed[0, 0] * changed[1, 1]) == pytest.approx(rho)
    none = with_effect(model, "sd(days | subject)", 0.0)
    assert none.terms[0].covariance[1].tolist() == [0.0, 0.0]
    again = with_effect(none, "sd(days | subject)", 2.0).terms[0].covariance
    np.testing.assert_allclose(again, np.diag([before[0, 0], 4.0]))
    assert true_value(model, "sd(days | subject)") == pytest.approx(5.92, abs=0.01)


def test_a_variance_is_left_out_with_its_covariances() -> None:
    null, cost = without_variance(data_model(sleep()), "sd(days | subject)")
    (term,) = null.design.mean.random
    assert (term.names, cost) == (("Intercept",), 2)
    assert null.terms[0].covariance.shape == (1, 1)
    layout = hglm.simulate_design({"g": 5}, crossed={"h": 4})
    values = {"Intercept": 0.0, "sd(Intercept | g)": 1.0, "sd(Intercept | h)": 2.0, "sigma": 1.0}
    model = hglm.assume("y ~ 1 + (1 | g) + (1 | h)", layout, values)
    null, cost = without_variance(model, "sd(Intercept | g)")
    assert [t.group for t in null.design.mean.random] == ["h"]
    assert [(t.group, t.position) for t in null.terms] == [("h", 0)]
    assert cost == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**PAIRS, "side": 1.0}, r"no parameter 'side'; it has 'Intercept', 'side\[T"),
        ({"Intercept": 1.0}, r"Values are missing for 'side\[T.r\]', 'sd\(Intercept"),
        ({**PAIRS, "sigma": 0.0}, r"'sigma' cannot be 0.0; give a positive number"),
        ({**PAIRS, "sd(Intercept | subject)": -1.0}, r"cannot be -1.0; give a number of 0 or more"),
        ({**PAIRS, "Intercept": "1"}, r"'Intercept' cannot be '1'; give a finite number"),
    ],
)
def test_assumptions_are_checked(values: dict[str, float], message: str) -> None:
    layout = hglm.simulate_design({"subject": 4}, within={"side": ["l", "r"]})
    with pytest.raises(OptionError, match=message):
        hglm.assume("y ~ side + (1 | subject)", layout, values)


def test_assumptions_that_contradict_one_another_are_refused() -> None:
    layout = hglm.simulate_design({"g": 4}, within={"x": range(5)}).assign(z=lambda d: d["x"] ** 2)
    names = ("Intercept", "x", "z")
    values = {"Intercept": 0.0, "sigma": 1.0, **{f"sd({name} | g)": 1.0 for name in names}}
    values |= {"cor(Intercept, x | g)": 0.9, "cor(Intercept, z | g)": 0.9, "cor(x, z | g)": -0.9}
    wrong = {**values, "cor(x, z | g)": 2.0}
    with pytest.raises(OptionError, match=r"cannot be 2\.0; give a number from -1 to 1"):
        hglm.assume("y ~ 1 + (x + z | g)", layout, wrong)
    with pytest.raises(DataError, match="correlations of the coefficients by 'g' contradict"):
        hglm.assume("y ~ 1 + (x + z | g)", layout, values)
    with pytest.raises(OptionError, match="must be a single name"):
        hglm.assume("log(y) ~ 1 + (1 | g)", layout, {})
    with pytest.raises(OptionError, match="cannot be assumed by name"):
        hglm.assume("y ~ 1 + (1 | g)", layout, {}, "tweedie")


# Sizes ----------------------------------------------------------------------------------


def test_sizes_of_a_fit_are_changed_by_copies_of_its_groups() -> None:
    larger = resize(data_model(sleep()), "subject", 36, 5)
    assert larger.design.n == 180
    assert larger.design.mean.random[0].n_levels == 36
    np.testing.assert_array_equal(larger.design.mean.X[:5, 1], [1, 3, 5, 7, 9])
    twice = resize(data_model(sleep()), "subject", None, 20)
    np.testing.assert_array_equal(twice.design.mean.X[:20, 1], np.repeat(np.arange(10), 2))


@pytest.mark.parametrize("by_turns", [True, False])
def test_arms_and_conditions_stay_balanced(by_turns: bool) -> None:
    """Whether levels alternate or come arm by arm, and rows condition by condition."""
    layout = hglm.simulate_design(
        {"g": 12}, between={"g": {"arm": ["a", "b", "c"]}}, within={"x": [0, 1]}, repeats=4
    )
    if not by_turns:
        layout = layout.sort_values("arm", kind="stable")
    names = ["Intercept", "arm[T.b]", "arm[T.c]", "x", "sd(Intercept | g)", "sigma"]
    model = hglm.assume("y ~ arm + x + (1 | g)", layout, dict.fromkeys(names, 1.0))
    for groups, rows in [(3, 2), (6, 4), (24, 8), (12, 12)]:
        X = resize(model, "g", groups, rows).design.mean.X
        np.testing.assert_allclose(X.mean(axis=0), [1, 1 / 3, 1 / 3, 1 / 2])


def test_another_experiment_can_be_planned_from_a_fit() -> None:
    """The slope of twenty days is known as well as theory says: Var = (τ₁² + σ²/S_xx)/q."""
    q, days = 30, np.arange(20)
    layout = hglm.simulate_design({"subject": q}, within={"days": days})
    found = hglm.power(sleep(), "days", data=layout, effect=2.5, n=200, seed=1, ddf="asymptotic")
    covariance = sleep().estimates.terms[0].covariance
    spread = np.sum((days - days.mean()) ** 2)
    se = np.sqrt((covariance[1, 1] + sleep().sigma ** 2 / spread) / q)
    exact = special.ndtr(2.5 / se - 1.96)
    assert found.frame["n_obs"][0] == 600
    # degrees of freedom are few enough for the normal test to reject a little too often
    assert abs(found.frame["power"][0] - exact) < 3.5 * np.sqrt(exact * (1 - exact) / 200) + 0.02


# Results --------------------------------------------------------------------------------


def test_fits_that_fail_are_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        chunk = 10

        def __call__(self, generators: object) -> Outcome:
            p = np.array([0.01, np.nan, *np.full(8, 0.5)])
            return Outcome(p, np.zeros(10, dtype=bool), {1: "no luck"})

    module = sys.modules[hglm.power.__module__]
    monkeypatch.setattr(module, "make_task", lambda *_: Failing())
    result = hglm.power(paired(), "side[T.r]", n_groups=[6, 8], n=20, seed=1)
    assert result.frame["n"].tolist() == [18, 18]
    assert result.frame["successes"].tolist() == [2, 2]
    assert result.frame["failures"].tolist() == [2, 2]
    assert result.failures["row"].tolist() == [0, 0, 1, 1]
    assert result.failures["replicate"].tolist() == [1, 11, 1, 11]
    assert result.failures["reason"].tolist() == ["no luck"] * 4
    assert "4 simulated data sets could not be fitted" in result.notes[-1]


def test_a_fit_and_its_assumptions_are_asked_alike() -> None:
    found = sleep().power("days", effect=5.0, n_groups=12, n=50, seed=1)
    again = hglm.power(sleep(), "days", effect=5.0, n_groups=12, n=50, seed=1)
    pd.testing.assert_frame_equal(found.frame, again.frame)


def test_assumptions_show_and_simulate_themselves() -> None:
    assert repr(paired()) == "<hglm.DataModel: 12 rows of y, Intercept: 1, side[T.r]: 0.8>"
    drawn = paired().simulate(2, seed=1)
    assert drawn.shape == (12, 2)
    pd.testing.assert_frame_equal(paired().simulate(1, seed=1), drawn[[0]])


def test_the_report_says_what_was_done() -> None:
    result = hglm.power(paired(), "side[T.r]", n_groups=[4, 6], n=20, seed=1)
    text = str(result)
    assert text.startswith("Power to find side[T.r]\n")
    assert "Levels of subject" in text
    assert "20 data sets simulated for each row" in text
    assert "Satterthwaite's method" in text
    assert "The true value of side[T.r] is 0.8." in text
    assert "<table" in result._repr_html_()
    variance = hglm.power(paired(), "sd(Intercept | subject)", effect=[0.0, 2.0], n=10, seed=1)
    assert "by the likelihood ratio" in variance.notes[0]
    assert len(variance.notes) == 1


def test_the_picture_shows_each_power_with_its_interval() -> None:
    result = hglm.power(paired(), "side[T.r]", n_groups=[4, 6], effect=[0.5, 2], n=20, seed=1)
    ax = result.plot()
    frame = result.frame
    lines = [bars.lines[0] for bars in ax.containers]
    for effect, line in zip([0.5, 2.0], lines, strict=True):
        own = frame[frame["effect"] == effect]
        x = np.asarray(line.get_xdata(), dtype=float)
        np.testing.assert_allclose(x, own["n_groups"], atol=0.011)  # stands apart
        np.testing.assert_array_equal(line.get_ydata(), own["power"])
    (bar,) = ax.containers[0].lines[2]
    ends = np.array([segment[:, 1] for segment in bar.get_segments()])
    np.testing.assert_allclose(ends, frame.loc[frame["effect"] == 0.5, ["conf_low", "conf_high"]])
    assert ax.get_xlabel() == "Levels of subject"
    assert ax.get_legend().get_title().get_text() == "true value of side[T.r]"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0.5", "2"]
    _, given = plt.subplots()
    assert hglm.power(paired(), "side[T.r]", n=5, seed=1).plot(given) is given


# Mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "sides"}, r"nothing called 'sides' to test. Did you mean `side`"),
        ({"target": "sd(side | subject)"}, r"no variance 'sd\(side \| subject\)'. Did you mean"),
        ({"alpha": 5.0}, r"alpha=5.0 is not between 0 and 1"),
        ({"n_groups": []}, r"list of sizes or effects is empty"),
        ({"n_groups": 1}, r"n_groups=1 is no whole number of 2 or more"),
        ({"n_within": 1.5}, r"n_within=1.5 is no whole number"),
        ({"group": "item", "n_groups": 5}, r"no grouping factor 'item'"),
        ({"ddf": "satterthwait"}, r"no method ddf='satterthwait'"),
        ({"target": "sd(Intercept | subject)", "ddf": "residual"}, r"leave `ddf` out"),
        ({"target": "side", "effect": 1.0}, r"one coefficient, and 'side' is none"),
        ({"effect": "big"}, r"effect 'big' of 'side\[T.r\]' is not a finite number"),
        ({"effect": np.nan}, r"effect nan of 'side\[T.r\]' is not a finite number"),
        ({"target": "sd(Intercept | subject)", "effect": -1.0}, r"cannot be made -1.0"),
        ({"n": 0}, r"n=0 is no whole number"),
        ({"data": pd.DataFrame({"x": [1]})}, r"for a fit only"),
    ],
)
def test_mistakes_are_explained(options: dict[str, object], message: str) -> None:
    given = {"target": "side[T.r]", "n": 2, "seed": 1, **options}
    with pytest.raises(OptionError, match=message):
        hglm.power(paired(), **given)  # type: ignore[arg-type]


def test_what_cannot_be_simulated_is_refused() -> None:
    with pytest.raises(OptionError, match="asked of a fit or of assumed parameters, not of a str"):
        hglm.power("fit", "side[T.r]")  # type: ignore[arg-type]
    layout = hglm.simulate_design({"g": 4}, repeats=3)
    huge = {"Intercept": 800.0, "sd(Intercept | g)": 1.0, "sigma": 5.0}
    with pytest.raises(DataError, match="beta family cannot be drawn where linear predictors"):
        hglm.assume("y ~ 1 + (1 | g)", layout, huge, "beta").simulate(1, seed=1)


def test_experiments_that_say_nothing_are_refused() -> None:
    with pytest.raises(DataError, match=r"1 rows in each not every fixed effect"):
        hglm.power(paired(), "side[T.r]", n_within=1, n=2)
    flat = pd.DataFrame({"subject": ["a", "b"] * 4, "days": 1.0})
    with pytest.raises(DataError, match=r"From the 8 complete rows of the new data not every"):
        hglm.power(sleep(), "days", data=flat, n=2)
    with pytest.raises(OptionError, match=r"Data of this size can hardly ever be fitted"):
        hglm.power(sleep(), "days", n_groups=2, n_within=2, n=2, seed=1)
