"""Models beside each other: the numbers of each, in rows that all share."""

from __future__ import annotations

import pytest

import hglm
from hglm.errors import OptionError


@pytest.fixture(scope="module")
def fits() -> list[hglm.Fit]:
    sleep = hglm.load_dataset("sleepstudy")
    return [
        hglm.fit("reaction ~ days + (1 | subject)", sleep),
        hglm.fit("reaction ~ days + I(days**2) + (days | subject)", sleep),
    ]


def test_rows_are_coefficients_then_variances_then_figures(fits: list[hglm.Fit]) -> None:
    lines = str(hglm.table(fits)).splitlines()
    labels = [line[:38].split("  ")[0] for line in lines[2:]]
    assert labels[:3] == ["Intercept", "days", "I(days ** 2)"]
    assert labels[3:7] == [
        "sd Intercept | subject",
        "sd days | subject",
        "cor Intercept, days | subject",
        "sd residual",
    ]
    assert labels[7:11] == ["Observations", "Log lik.", "AIC", "BIC"]


def test_two_figures_of_the_standard_error_are_shown(fits: list[hglm.Fit]) -> None:
    """lme4: days 10.4673 (0.8042) in the first model, 7.4341 (2.8189) in the second."""
    (line,) = [x for x in str(hglm.table(fits)).splitlines() if x.startswith("days")]
    assert line.split() == ["days", "10.47", "(0.80)", "7.4", "(2.8)"]


def test_stars_are_off_unless_asked_for(fits: list[hglm.Fit]) -> None:
    assert "*" not in str(hglm.table(fits)).replace("I(days ** 2)", "")
    starred = str(hglm.table(fits, stars=True))
    assert "10.47*** (0.80)" in starred
    assert "*** p < 0.001" in starred


def test_numbers_are_kept(fits: list[hglm.Fit]) -> None:
    numbers = hglm.table(fits, ["a", "b"]).tables["estimates"]
    assert numbers.loc[("days", "estimate"), "a"] == pytest.approx(fits[0].params["days"])
    assert numbers.loc[("days", "std_error"), "b"] == pytest.approx(fits[1].bse["days"])


def test_one_model_needs_no_list(fits: list[hglm.Fit]) -> None:
    assert str(hglm.table(fits[0])) == str(hglm.table(fits[:1]))


def test_names_must_be_as_many_as_fits(fits: list[hglm.Fit]) -> None:
    with pytest.raises(OptionError, match="2 fits but 1 names"):
        hglm.table(fits, ["only one"])


def test_zero_inflation_and_dispersion_have_rows_of_their_own() -> None:
    ponds = hglm.load_dataset("salamanders")
    plain = hglm.fit("count ~ mined + (1 | site)", ponds, "poisson")
    zeros = hglm.fit("count ~ mined + (1 | site)", ponds, "nbinom2", zero_inflation="~ mined")
    table = hglm.table([plain, zeros], ["Poisson", "zero-inflated"])
    lines = {line[:28].strip(): line[28:].split("  ") for line in str(table).splitlines()}
    slope = zeros.others["zero_inflation"].beta[1]
    shown = next(line for label, line in lines.items() if label == "zero inflation: mined[T.no]")
    assert float(shown[-1].split()[0]) == pytest.approx(slope, abs=0.05)
    assert float(lines["dispersion"][-1]) == pytest.approx(zeros.sigma, abs=0.005)
    numbers = table.tables["estimates"]
    assert numbers.loc[("zero inflation: mined[T.no]", "estimate"), "zero-inflated"] == slope
    assert numbers["Poisson"].isna()[("zero inflation: mined[T.no]", "estimate")]
