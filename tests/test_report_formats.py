"""Numbers look as a reader of a paper expects them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hglm.report.columns import COLUMNS, style_of
from hglm.report.formats import (
    Count,
    DegreesOfFreedom,
    Estimate,
    Fixed,
    Format,
    Given,
    PValue,
    Significant,
    Text,
    count,
)


def cells(form: Format, values: list[object], errors: list[float] | None = None) -> list[str]:
    frame = pd.DataFrame({"x": values})
    if errors is not None:
        frame["std_error"] = errors
    return form.cells(frame["x"], frame)


def test_p_values_below_a_thousandth_are_inequalities() -> None:
    shown = cells(PValue(), [0.0, 9.9e-4, 0.001, 0.0496, 0.05, 1.0])
    assert shown == ["<0.001", "<0.001", "0.001", "0.050", "0.050", "1.000"]


def test_degrees_of_freedom_are_whole_where_all_are() -> None:
    assert cells(DegreesOfFreedom(), [16.99999, 17.0000006]) == ["17", "17"]
    assert cells(DegreesOfFreedom(), [17.0, 18.156]) == ["17.0", "18.2"]
    assert cells(DegreesOfFreedom(), [1, 2]) == ["1", "2"]
    assert cells(DegreesOfFreedom(), [np.inf, 3.0]) == ["inf", "3"]


def test_the_last_digit_of_estimates_is_the_third_of_the_smallest_standard_error() -> None:
    errors = [6.82455651574708, 1.54578888124966]
    assert cells(Estimate(), [251.405104848485, 10.467285959596], errors) == ["251.41", "10.47"]
    assert Estimate().cells(pd.Series(errors), pd.DataFrame({"std_error": errors})) == [
        "6.82",
        "1.55",
    ]


def test_standard_errors_of_very_different_size_have_their_own_digits() -> None:
    shown = cells(Estimate(), [251.405, 0.000123456, 5.4321e-8], [6.82, 4.5e-6, 1.2e-9])
    assert shown == ["251.41", "1.2346e-04", "5.432e-08"]
    assert cells(Estimate(), [0.29331, 0.0011693], [0.777, 0.000166]) == ["0.293", "0.001169"]


def test_a_huge_intercept_keeps_the_digits_that_its_standard_error_deserves() -> None:
    assert cells(Estimate(), [1e9 + 251.407, 10.467], [6.82, 1.55]) == ["1000000251.41", "10.47"]


def test_estimates_far_above_one_are_in_powers_of_ten() -> None:
    assert cells(Estimate(), [3e12, 0.0], [1.5e9, 1.5e9]) == ["3.00000e+12", "0"]


def test_estimates_without_standard_errors_show_significant_digits() -> None:
    assert cells(Estimate(), [1.234567, 12.34567]) == ["1.235", "12.346"]
    assert cells(Estimate(), [1.234567, 2.0], [np.nan, 0.0]) == ["1.23", "2.00"]


def test_variances_show_four_digits_of_the_smallest_as_lme4_prints_them() -> None:
    # summary(lmer(Reaction ~ Days + (Days | Subject), sleepstudy)) of lme4 1.1-31
    assert cells(Significant(), [612.10, 35.07166, 654.94]) == ["612.10", "35.07", "654.94"]
    assert cells(Significant(), [24.741, 5.9221, 25.592]) == ["24.741", "5.922", "25.592"]


def test_a_variance_of_zero_does_not_add_decimals() -> None:
    assert cells(Significant(), [0.0, 13.80631]) == ["0.00", "13.81"]
    assert cells(Significant(), [0.0, 0.0]) == ["0", "0"]


def test_variances_of_very_different_size_have_their_own_digits() -> None:
    assert cells(Significant(), [612.1, 0.0123, 0.0]) == ["612.1", "0.01230", "0"]
    assert cells(Significant(), [612.1, 6.5]) == ["612.100", "6.500"]


def test_numbers_that_were_chosen_are_written_as_short_as_they_were() -> None:
    assert cells(Given(), [5.0, 0.25, 0.0, -12.0]) == ["5", "0.25", "0", "-12"]


def test_missing_and_infinite_values() -> None:
    for form in (
        Count(),
        Given(),
        Fixed(2),
        DegreesOfFreedom(),
        PValue(),
        Significant(),
        Estimate(),
    ):
        assert cells(form, [np.nan, 0.5])[0] == ""
        assert cells(form, [np.nan, np.nan]) == ["", ""]
    assert cells(Text(), [None, "a"]) == ["", "a"]
    assert cells(Fixed(2), [np.inf, -np.inf]) == ["inf", "-inf"]


def test_no_minus_sign_stands_before_a_rounded_zero() -> None:
    assert cells(Fixed(2), [-0.001, 0.001]) == ["0.00", "0.00"]
    assert cells(Estimate(), [-0.001], [6.8]) == ["0.00"]
    assert cells(Estimate(), [-3e-12], [5e-8]) == ["0"]


def test_counts_have_decimals_only_where_there_are_any() -> None:
    assert [count(180.0), count(180.25), count(float("nan"))] == ["180", "180.2", ""]


@given(
    value=st.floats(-1e15, 1e15, allow_nan=False),
    error=st.floats(1e-12, 1e12, allow_nan=False),
)
def test_a_shown_estimate_is_within_half_a_unit_of_the_third_digit_of_its_error(
    value: float, error: float
) -> None:
    shown = float(cells(Estimate(), [value], [error])[0])
    unit = 10.0 ** (np.floor(np.log10(error)) - 2)
    assert abs(shown - value) <= 0.5 * unit * (1 + 1e-9) + 4 * np.spacing(abs(value))


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_of_the_vocabulary_has_a_heading_and_a_format(name: str) -> None:
    style = style_of(name, pd.Series([1.0]))
    assert style.header
    assert isinstance(style.format.numeric, bool)


def test_unknown_columns_are_judged_by_what_they_hold() -> None:
    assert style_of("u", pd.Series(["a"])).format == Text()
    assert style_of("u", pd.Series([True])).format == Text()
    assert style_of("u", pd.Series([1, 2])).format == Count()
    assert style_of("u", pd.Series([0.5])).format == Significant()
    assert style_of("u", pd.Series(["a"], dtype="category")).format == Text()
