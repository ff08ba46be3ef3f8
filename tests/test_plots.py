"""Pictures: what is drawn is what the frames say."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

import hglm
from hglm.errors import OptionError
from hglm.plots import qq
from hglm.plots.axes import sample_levels


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
    simple = hglm.fit("yield ~ 1 + (1 | batch)", hglm.load_dataset("dyestuff"))
    with pytest.raises(OptionError, match="two coefficients"):
        simple.plot.shrinkage()
