"""Tidy frames have R's columns, rows and numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.covariance import STRUCTURES
from hglm.report.frames import (
    augment_frame,
    coefficient_frame,
    glance_frame,
    has_correlations,
    tidy_frame,
    varcorr_frame,
)
from hglm.report.record import SCHEMA, fit_record, frame_records, to_json
from reference_data import reference, reference_frame
from report_cases import case, estimates_of, term_of

# as.data.frame(VarCorr(lmer(score ~ machine + (machine | worker)))), lme4 1.1-31
MACHINES = [
    ("worker", "Intercept", None, 16.6392, 4.0791),
    ("worker", "machine[T.B]", None, 34.5540, 5.8783),
    ("worker", "machine[T.C]", None, 13.6170, 3.6901),
    ("worker", "Intercept", "machine[T.B]", 11.6024, 0.4839),
    ("worker", "Intercept", "machine[T.C]", -5.4980, -0.3653),
    ("worker", "machine[T.B]", "machine[T.C]", 6.4317, 0.2965),
    ("Residual", None, None, 0.9246, 0.9616),
]


def fitted(model: str) -> hglm.Fit:
    stored = reference(model)
    formula = stored["formula"].replace("|", " | ")
    return hglm.fit(formula, reference_frame(stored), method=stored["method"])


def test_varcorr_has_the_rows_and_order_of_lme4() -> None:
    frame = varcorr_frame(fitted("machines_slopes_reml").estimates)
    assert list(frame.columns) == ["group", "term1", "term2", "vcov", "sdcor"]
    labels = frame[["group", "term1", "term2"]].astype(object).where(lambda f: f.notna(), None)
    assert [tuple(row) for row in labels.to_numpy()] == [row[:3] for row in MACHINES]
    # R's default optimiser stops within 3e-3 of the optimum in these variances
    np.testing.assert_allclose(frame["vcov"], [row[3] for row in MACHINES], rtol=3e-3)
    np.testing.assert_allclose(frame["sdcor"], [row[4] for row in MACHINES], rtol=3e-3)


@pytest.mark.parametrize(
    "model",
    [
        "sleepstudy_rs_reml",
        "sleepstudy_diag_ml",
        "machines_slopes_reml",
        "pastes_nested_reml",
        "penicillin_ml",
        "dyestuff2_reml",
    ],
)
def test_varcorr_has_the_numbers_of_lme4(model: str) -> None:
    stored = reference(model)
    expected = varcorr_frame(estimates_of(stored))
    found = varcorr_frame(fitted(model).estimates)
    assert list(found["group"]) == list(expected["group"])
    np.testing.assert_allclose(found["sdcor"], expected["sdcor"], rtol=1e-4, atol=1e-10)
    np.testing.assert_allclose(found["vcov"], expected["vcov"], rtol=2e-4, atol=1e-10)


def test_four_coefficients_have_their_covariances_in_the_order_of_the_lower_triangle() -> None:
    estimates, *_ = case("sleepstudy_rs_reml")
    term = term_of("g", list("abcd"), np.ones(4), np.eye(4))
    frame = varcorr_frame(replace(estimates, terms=(term,)))
    pairs = frame.loc[frame["term2"].notna(), ["term1", "term2"]].sum(axis=1)
    assert list(pairs) == ["ab", "ac", "ad", "bc", "bd", "cd"]


def test_only_a_linear_model_has_a_residual_row() -> None:
    estimates, *_ = case("sleepstudy_rs_reml")
    for other in (replace(estimates, sigma=None), replace(estimates, method="laplace")):
        assert "Residual" not in set(varcorr_frame(other)["group"])
    assert np.isnan(glance_frame(replace(estimates, sigma=None))["sigma"].item())


def test_the_correlation_with_a_coefficient_that_does_not_vary_is_missing() -> None:
    estimates, *_ = case("sleepstudy_rs_reml")
    term = term_of("g", ["a", "b"], np.array([1.0, 0.0]), np.eye(2))
    row = varcorr_frame(replace(estimates, terms=(term,))).iloc[2]
    assert row["vcov"] == 0.0
    assert np.isnan(row["sdcor"])


@pytest.mark.parametrize("name", STRUCTURES)
def test_only_a_diagonal_structure_has_no_correlations(name: str) -> None:
    term = term_of("g", ["a", "b", "c"], np.ones(3), np.eye(3), structure=name)
    assert has_correlations(term) == (name not in ("diag", "homdiag"))


def test_a_single_coefficient_has_no_correlations() -> None:
    assert not has_correlations(term_of("g", ["a"], np.ones(1), np.eye(1)))


def test_tidy_has_the_rows_of_broom_mixed() -> None:
    estimates, _, coefficients = case("sleepstudy_rs_reml")
    tidy = tidy_frame(coefficients, varcorr_frame(estimates))
    assert list(tidy["effect"]) == ["fixed"] * 2 + ["ran_pars"] * 4
    assert list(tidy["term"]) == [
        "Intercept",
        "days",
        "sd__Intercept",
        "sd__days",
        "cor__Intercept.days",
        "sd__Observation",
    ]
    assert tidy["group"].isna().tolist() == [True, True, False, False, False, False]
    stored = reference("sleepstudy_rs_reml")
    (spread,) = stored["varcorr"]
    expected = [*stored["fixef"], *spread["sd"], spread["corr"][0][1], stored["sigma"]]
    np.testing.assert_allclose(tidy["estimate"], expected, rtol=1e-12)
    assert tidy.loc[2:, "std_error":].isna().all(axis=None)


def test_tidy_of_models_without_correlations_or_without_coefficients() -> None:
    estimates, _, coefficients = case("pastes_nested_reml")
    varcorr = varcorr_frame(estimates)
    assert list(tidy_frame(coefficients.iloc[:0], varcorr)["term"]) == [
        "sd__Intercept",
        "sd__Intercept",
        "sd__Observation",
    ]
    assert list(tidy_frame(coefficients, varcorr.iloc[:0])["term"]) == ["Intercept"]


@pytest.mark.parametrize(
    ("model", "criterion"), [("sleepstudy_rs_reml", "REMLcrit"), ("sleepstudy_rs_ml", "deviance")]
)
def test_glance_is_one_row_of_brooms_columns(model: str, criterion: str) -> None:
    stored = reference(model)
    glance = glance_frame(estimates_of(stored))
    assert list(glance.columns) == [
        "nobs",
        "sigma",
        "logLik",
        "AIC",
        "BIC",
        criterion,
        "df_residual",
    ]
    expected = [180, stored["sigma"], stored["loglik"], stored["aic"], stored["bic"]]
    np.testing.assert_allclose(
        glance.iloc[0], [*expected, stored["criterion"], 180 - 6], rtol=1e-12
    )


def test_augment_adds_dotted_columns_and_leaves_the_data_alone() -> None:
    data = pd.DataFrame({"y": [1.0, 2.0]}, index=["r1", "r2"])
    before = data.copy()
    ones = np.ones(2)
    frame = augment_frame(data, fitted=ones, resid=0 * ones, fixed=2 * ones, extra={"se": 3 * ones})
    assert list(frame.columns) == ["y", ".fitted", ".resid", ".fixed", ".se"]
    assert list(frame.index) == ["r1", "r2"]
    pd.testing.assert_frame_equal(data, before)


def test_coefficients_are_numbers_whatever_comes_in() -> None:
    one = [1]
    frame = coefficient_frame(["a"], one, one, [np.inf], one, one, one, one)  # type: ignore[arg-type]
    assert list(frame.columns) == [
        "term",
        "estimate",
        "std_error",
        "df",
        "statistic",
        "p_value",
        "conf_low",
        "conf_high",
    ]
    assert (frame.dtypes.iloc[1:] == np.float64).all()


def test_a_fit_survives_json() -> None:
    estimates, design, coefficients = case("sleepstudy_rs_reml")
    coefficients = coefficients.assign(df=np.inf)
    text = to_json(
        fit_record(
            estimates,
            design,
            coefficients,
            formula="y ~ x",
            family="gaussian",
            link="identity",
            version="1.2.3",
        )
    )
    record = json.loads(text)
    assert list(record) == [
        "hglm",
        "schema",
        "formula",
        "family",
        "link",
        "method",
        "glance",
        "groups",
        "coefficients",
        "varcorr",
        "certificate",
        "notes",
    ]
    assert (record["hglm"], record["schema"]) == ("1.2.3", SCHEMA)
    assert record["glance"]["logLik"] == reference("sleepstudy_rs_reml")["loglik"]
    assert record["coefficients"][1]["estimate"] == estimates.beta[1]
    assert record["coefficients"][1]["df"] is None
    assert record["varcorr"][3] == {
        "group": "Residual",
        "term1": None,
        "term2": None,
        "vcov": estimates.sigma**2,
        "sdcor": estimates.sigma,
    }
    assert record["certificate"]["converged"] is True
    assert record["groups"] == {"subject": 18}


def test_an_index_of_labels_becomes_a_key_in_json() -> None:
    frame = pd.DataFrame({"F": [2.5]}, index=pd.Index(["days"], name="term"))
    assert frame_records(frame) == [{"term": "days", "F": 2.5}]


def test_labels_of_any_kind_become_text_in_json() -> None:
    frame = pd.DataFrame({"level": [pd.Timestamp("2024-05-01"), pd.NaT], 5: [np.int64(1), 2]})
    assert frame_records(frame) == [
        {"level": "2024-05-01 00:00:00", "5": 1},
        {"level": None, "5": 2},
    ]
