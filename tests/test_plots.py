"""Pictures: what is drawn is what the frames say."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

import hglm
from hglm.errors import OptionError
from hglm.plots import effects, qq
from hglm.plots.axes import sample_levels
from hglm.plots.labels import short_labels
from hglm.plots.profiles import contour
from picture_checks import empty_panels, overlapping


@pytest.fixture(scope="module")
def fit() -> hglm.Fit:
    return hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))


@pytest.fixture(autouse=True)
def _close() -> object:
    yield
    plt.close("all")


def test_caterpillar_shows_every_level_in_order(fit: hglm.Fit) -> None:
    ax = fit.plot.caterpillar(term="days")
    (points,) = [line for line in ax.lines if line.get_marker() == "o"]
    drawn = np.asarray(points.get_xdata())
    ranef = fit.ranef()
    expected = ranef.loc[ranef["term"] == "days", "estimate"].sort_values()
    np.testing.assert_array_equal(drawn, expected)
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == ranef.loc[expected.index, "level"].tolist()


def test_axes_that_are_given_are_used(fit: hglm.Fit) -> None:
    _, ax = plt.subplots()
    assert fit.plot.residuals(ax) is ax
    assert fit.plot.qq(ax=ax) is ax


def test_many_levels_are_sampled_and_said_to_be() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"g": np.repeat(np.arange(200), 3), "y": rng.normal(size=600)})
    frame["y"] += np.repeat(rng.normal(size=200), 3)
    ax = hglm.fit("y ~ 1 + (1 | g)", frame).plot.caterpillar()
    assert len(ax.get_yticks()) == 60
    assert ax.get_ylabel() == "g (60 of 200)"


def test_shrinkage_goes_from_separate_fits_to_the_mixed_model(fit: hglm.Fit) -> None:
    ax = fit.plot.shrinkage()
    alone, mixed, population = ax.lines[:3]
    data = hglm.load_dataset("sleepstudy")
    own = data[data["subject"] == "s308"]
    slope, intercept = np.polyfit(own["days"], own["reaction"], 1)
    assert alone.get_xdata()[0] == pytest.approx(intercept)
    assert alone.get_ydata()[0] == pytest.approx(slope)
    coef = fit.coef()
    np.testing.assert_allclose(mixed.get_ydata(), coef["days"])
    np.testing.assert_allclose([population.get_xdata()[0], population.get_ydata()[0]], fit.params)


def test_overview_fills_its_panels(fit: hglm.Fit) -> None:
    figure = fit.plot()
    assert len(figure.axes) == 4
    for ax in figure.axes:
        assert ax.lines
        assert ax.get_xlabel()
        assert ax.get_ylabel()


def test_lines_draw_data_and_fit_of_each_level(fit: hglm.Fit) -> None:
    figure = fit.plot.lines("days", most=6)
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert len(shown) == 6
    points, line = shown[0].lines
    own = fit.design.frame["subject"].to_numpy() == "s308"
    np.testing.assert_allclose(points.get_ydata(), fit.design.y[own])
    np.testing.assert_allclose(line.get_ydata(), fit.fittedvalues[own])


def test_profile_is_zeta_against_the_parameter(fit: hglm.Fit) -> None:
    ax = fit.plot.profile("days")
    drawn = ax.lines[-1]
    frame = fit.profile("days")
    np.testing.assert_allclose(drawn.get_xdata(), frame["value"])
    np.testing.assert_allclose(drawn.get_ydata(), frame["zeta"])


def test_qq_of_normal_quantiles_is_a_straight_line() -> None:
    exact = 3.0 + 2.0 * ndtri((np.arange(1, 200) - 0.375) / 199.25)
    line, points = qq(exact, "x").lines
    slope = np.diff(line.get_ydata()) / np.diff(line.get_xdata())
    assert slope.item() == pytest.approx(2.0, rel=1e-2)
    np.testing.assert_allclose(points.get_ydata(), 3.0 + 2.0 * points.get_xdata(), atol=1e-12)


@pytest.mark.parametrize(("n", "most"), [(5, 10), (100, 7), (60, 60)])
def test_sampled_levels_are_spread_with_both_ends(n: int, most: int) -> None:
    chosen = sample_levels(n, most)
    assert len(chosen) == min(n, most)
    assert chosen[0] == 0
    assert chosen[-1] == n - 1


def test_unknown_terms_and_columns_are_told(fit: hglm.Fit) -> None:
    with pytest.raises(OptionError, match="'hours' of 'subject'; the model has Intercept of"):
        fit.plot.caterpillar(term="hours")
    with pytest.raises(OptionError, match="no column 'hours'"):
        fit.plot.lines("hours")
    with pytest.raises(OptionError, match=r"'reaction' is the response; .* such as 'days'"):
        fit.plot.lines("reaction")
    simple = hglm.fit("yield ~ 1 + (1 | batch)", hglm.load_dataset("dyestuff"))
    with pytest.raises(OptionError, match="varies no 'days'; there is Intercept"):
        simple.plot.shrinkage(x="days")
    with pytest.raises(OptionError, match="effects by 'lot', but by batch"):
        simple.plot.shrinkage("lot")
    with pytest.raises(OptionError, match="two to 6 parameters, not 1"):
        fit.plot.pairs(["days"])
    with pytest.raises(OptionError, match="no kind 'raw'"):
        fit.plot.residuals(kind="raw")  # type: ignore[arg-type]
    without = hglm.fit("yield ~ 1", hglm.load_dataset("dyestuff"))
    with pytest.raises(OptionError, match="no random effects to draw"):
        without.plot.caterpillar()


# Nothing overlaps, nothing is empty ----------------------------------------------------


def crowd() -> pd.DataFrame:
    """Three hundred groups with long names, negative values, unequal sizes, a long factor."""
    rng = np.random.default_rng(2)
    sizes = rng.integers(2, 30, 300)
    code = np.repeat(np.arange(300), sizes)
    n = len(code)
    frame = pd.DataFrame(
        {
            "school": [f"Secondary school number {c} of the county" for c in code],
            "x": rng.uniform(-4, -1, n),
            "kind": [
                f"a treatment with a long name, {'abcdefghijkl'[c]}" for c in rng.integers(0, 12, n)
            ],
        }
    )
    frame["y"] = -50 + 3 * rng.normal(size=300)[code] + 2 * frame["x"] + rng.normal(size=n)
    return frame


FITS: dict[str, Any] = {
    "few": lambda: hglm.fit("score ~ machine + (1 | worker)", hglm.load_dataset("machines")),
    "crowd": lambda: hglm.fit("y ~ x + kind + (1 | school)", crowd()),
    "counts": lambda: hglm.fit(
        "count ~ spp + cover + (1 | site)", hglm.load_dataset("salamanders"), "nbinom2"
    ),
    "shares": lambda: hglm.fit(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        hglm.load_dataset("cbpp"),
        "binomial",
    ),
}
VARIABLE = {"crowd": "kind", "counts": "spp", "shares": "period"}


@pytest.fixture(scope="module", params=list(VARIABLE))
def varied(request: pytest.FixtureRequest) -> tuple[str, hglm.Fit]:
    return VARIABLE[request.param], FITS[request.param]()


@pytest.mark.parametrize(
    "picture",
    ["overview", "caterpillar", "shrinkage", "lines", "effects", "emmeans"],
)
def test_pictures_have_no_overlapping_labels_and_no_empty_panels(
    varied: tuple[str, hglm.Fit], picture: str
) -> None:
    variable, fit = varied
    drawn = {
        "overview": fit.plot,
        "lines": lambda: fit.plot.lines(variable),
        "effects": lambda: fit.plot.effects(variable),
        "emmeans": lambda: fit.plot.emmeans(variable),
    }.get(picture, getattr(fit.plot, picture, None))()
    figure = drawn if hasattr(drawn, "axes") and not hasattr(drawn, "lines") else drawn.figure
    assert overlapping(figure) == []
    assert empty_panels(figure) == []


def test_low_axes_get_fewer_rows() -> None:
    _, ax = plt.subplots(figsize=(4, 2))
    fit = hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))
    fit.plot.caterpillar(ax=ax)
    assert 2 <= len(ax.get_yticks()) < 12
    assert ax.get_ylabel().endswith("of 18)")


@pytest.mark.parametrize(
    ("labels", "short"),
    [
        (["a", "b"], ["a", "b"]),
        (["number 1 of all the schools", "number 2 of all the schools"], ["…1…", "…2…"]),
        (["x" * 30], ["x" * 14 + "…" + "x" * 7]),
        ([], []),
    ],
)
def test_long_labels_keep_what_tells_them_apart(labels: list[str], short: list[str]) -> None:
    assert short_labels(labels) == short


# What is drawn -------------------------------------------------------------------------


def test_effects_are_marginal_means_on_the_response_scale() -> None:
    fit = FITS["shares"]()
    ax = fit.plot.effects("period")
    drawn = next(line for line in ax.lines if line.get_marker() == "o")
    expected = fit.emmeans("period", scale="response").frame["estimate"]
    np.testing.assert_allclose(drawn.get_ydata(), expected)
    assert ax.get_ylabel() == "Probability"


def test_a_covariate_has_a_curve_and_a_band_for_each_level() -> None:
    fit = hglm.fit("distance ~ age * sex + (age | subject)", hglm.load_dataset("orthodont"))
    ax = fit.plot.effects("age", by="sex")
    assert [line.get_label() for line in ax.lines] == ["Male", "Female"]
    assert len(ax.collections) == 2
    x, y = ax.lines[0].get_data()
    slope = np.polyfit(x, y, 1)[0]
    assert slope == pytest.approx(fit.params["age"])
    assert (x[0], x[-1]) == (8, 14)
    assert len({str(line.get_linestyle()) for line in ax.lines}) == 2


def test_many_curves_and_many_levels_are_sampled_and_said_to_be() -> None:
    table = pd.DataFrame(
        [
            (f"p{i:02d}", f"c{j}", i + j, i + j - 1.0, i + j + 1.0)
            for i in range(40)
            for j in range(9)
        ],
        columns=["place", "curve", "estimate", "conf_low", "conf_high"],
    )
    ax = effects(table, "place", "curve")
    assert ax.get_xlabel() == "place (24 of 40)"
    assert ax.get_legend().get_title().get_text() == "curve (6 of 9)"
    assert overlapping(ax.figure) == []


def test_contrasts_have_a_line_at_no_difference() -> None:
    fit = FITS["shares"]()
    ratios = fit.emmeans("period", scale="response").pairs()
    ax = fit.plot.emmeans(ratios)
    assert ax.get_xlabel() == "Odds ratio"
    null, points = ax.lines
    assert set(null.get_xdata()) == {1.0}
    np.testing.assert_allclose(points.get_xdata(), ratios.frame["estimate"])
    differences = fit.plot.emmeans(fit.emmeans("period").pairs())
    assert set(differences.lines[0].get_xdata()) == {0.0}
    assert differences.get_xlabel() == "Difference"


def test_a_transformed_response_is_named_as_it_is() -> None:
    fit = hglm.fit("log(reaction) ~ days + (1 | subject)", hglm.load_dataset("sleepstudy"))
    assert fit.plot.effects("days").get_ylabel() == "reaction"
    assert fit.plot.effects("days", scale="link").get_ylabel() == "log(reaction), log scale"


def test_one_coefficient_is_pooled_against_the_size_of_its_level() -> None:
    """Radon: a county's own mean, given the floor effect, moves to the common one."""
    data = hglm.load_dataset("radon")
    fit = hglm.fit("log_radon ~ 1 + (1 | county)", data)
    ax = fit.plot.shrinkage()
    assert ax.get_xlabel() == "Rows of the county"
    assert ax.get_xscale() == "log"
    alone, mixed = ax.lines[:2]
    own = data.groupby("county", observed=True)["log_radon"].mean()
    assert np.isclose(np.asarray(alone.get_ydata())[:, None], own.to_numpy()).any(axis=1).all()
    moved = np.asarray(mixed.get_ydata()) - np.asarray(alone.get_ydata())
    toward = fit.params["Intercept"] - np.asarray(alone.get_ydata())
    assert (moved * toward >= -1e-12).all()
    assert (np.abs(moved) <= np.abs(toward) + 1e-12).all()


def test_equal_levels_are_pooled_one_by_one() -> None:
    fit = FITS["few"]()
    ax = fit.plot.shrinkage()
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "w6",
        "w2",
        "w4",
        "w1",
        "w5",
        "w3",
    ]


def test_lines_hold_other_variables_and_say_so() -> None:
    fit = hglm.fit(
        "sibling_negotiation ~ arrival_time + food_treatment + (1 | nest)",
        hglm.load_dataset("owls"),
        "poisson",
    )
    figure = fit.plot.lines("arrival_time", most=2)
    assert "other variables" in figure.get_supxlabel()
    x, y = figure.axes[0].lines[1].get_data()
    slopes = np.diff(np.log(y)) / np.diff(x)
    np.testing.assert_allclose(slopes, fit.params["arrival_time"], rtol=1e-9)


def test_generalised_models_have_quantile_residuals() -> None:
    ax = FITS["shares"]().plot.residuals()
    assert ax.get_ylabel() == "Quantile residual"


def test_traces_of_least_squares_are_regressions_of_one_coefficient_on_another() -> None:
    """β_j moves by V_ij/V_ii for each unit that β_i is held away, whatever σ does."""
    fit = hglm.fit("reaction ~ days", hglm.load_dataset("sleepstudy"))
    figure = fit.plot.pairs(["Intercept", "days"])
    trace = figure.axes[1].lines[3]
    x, y = (np.asarray(values, dtype=float) for values in trace.get_data())
    V = fit.cov_params().to_numpy()
    np.testing.assert_allclose(
        y - fit.params["days"], (x - fit.params["Intercept"]) * V[0, 1] / V[0, 0], atol=2e-3
    )
    assert len(figure.axes) == 3


@pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.5])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_contours_of_a_quadratic_likelihood_are_ellipses(correlation: float, level: float) -> None:
    zeta = np.linspace(-3.0, 3.0, 13)
    one = pd.DataFrame({"zeta": zeta, "x": zeta, "y": correlation * zeta})
    two = pd.DataFrame({"zeta": zeta, "x": correlation * zeta, "y": zeta})
    x, y = contour(one, two, "x", "y", level)
    form = (x**2 - 2 * correlation * x * y + y**2) / (1 - correlation**2)
    np.testing.assert_allclose(form, -2 * np.log(1 - level), rtol=1e-6)


def test_pairs_say_how_many_parameters_there_are() -> None:
    figure = hglm.fit("reaction ~ days_f", hglm.load_dataset("sleepstudy")).plot.pairs()
    assert len(figure.axes) == 15
    assert figure.get_suptitle().endswith("(5 of 11 parameters)")
    assert overlapping(figure) == []


def test_a_factor_keeps_its_order_where_a_level_lacks_some() -> None:
    data = hglm.load_dataset("machines")
    data = data[(data["worker"] != "w1") | (data["machine"] == "C")]
    figure = hglm.fit("score ~ machine + (1 | worker)", data).plot.lines("machine")
    assert [t.get_text() for t in figure.axes[-1].get_xticklabels()] == ["A", "B", "C"]
    assert list(figure.axes[0].lines[1].get_xdata()) == [2.0]


def test_random_effects_of_one_predictor_are_drawn() -> None:
    """Sites have effects on the counts and on the extra zeros, both called Intercept."""
    fit = hglm.fit(
        "count ~ mined + (1 | site)",
        hglm.load_dataset("salamanders"),
        "poisson",
        zero_inflation="~ 1 + (1 | site)",
    )
    assert len(fit.plot.caterpillar().get_yticks()) == 23
    assert len(fit.plot.qq_ranef().lines[1].get_xdata()) == 23


def test_a_likelihood_at_its_border_has_half_a_contour() -> None:
    """The standard deviation is zero: contours reach from it to one side only."""
    zeta = np.linspace(-3.0, 3.0, 13)
    one = pd.DataFrame({"zeta": zeta, "x": np.maximum(zeta, 0.0), "y": 0.0 * zeta})
    two = pd.DataFrame({"zeta": zeta, "x": 0.0 * zeta, "y": zeta})
    x, y = contour(one, two, "x", "y", 0.95)
    r = np.sqrt(-2 * np.log(0.05))
    away = x > 0.5  # from the kink, which lies within one step of the profile
    assert away.sum() > 80
    np.testing.assert_allclose(x[away] ** 2 + y[away] ** 2, r**2, rtol=1e-6)
    assert x.min() >= 0.0
    assert y.max() == pytest.approx(r, abs=1e-3)
    assert y.min() == pytest.approx(-r, abs=1e-3)
