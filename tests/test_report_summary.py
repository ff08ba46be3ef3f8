"""The summary reads as a scientist expects; its numbers are those that R prints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hglm
from hglm.fitting.record import Estimates, TermEstimate
from hglm.report import summarise
from hglm.report.random_effects import random_effects_tables
from hglm.report.render import render
from hglm.report.wording import certificate_note, df_note, model_title, singular_notes
from reference_data import reference
from report_cases import case, certificate_with, design_of, term_of

# Quantiles of the scaled residuals of lme4 1.1-31, quantile(resid(m) / sigma(m))
RESIDUALS = {
    "sleepstudy_rs_reml": [-3.9536, -0.4634, 0.0231, 0.4634, 5.1793],
    "machines_slopes_reml": [-2.39357, -0.51377, 0.02694, 0.47252, 2.53338],
    "pastes_nested_reml": [-1.479776, -0.515578, 0.009498, 0.471997, 1.389696],
    "dyestuff2_reml": [-1.7648, -0.7806, -0.0809, 0.6689, 2.0907],
}

QUADRATURE = "maximum likelihood (adaptive quadrature with 9 nodes)"

SLEEPSTUDY = """\
Linear mixed model fit by REML

Formula:      reaction ~ days + (days | subject)
Observations: 180
Groups:       subject 18

Log lik.      AIC      BIC  REML crit.  Parameters
--------------------------------------------------
 -871.81  1755.63  1774.79     1743.63           6

Scaled residuals
   Min      1Q  Median     3Q    Max
------------------------------------
-3.954  -0.463   0.023  0.463  5.179

Random effects
Group     Term       Variance  Std. dev.  Corr.
-----------------------------------------------
subject   Intercept    612.09     24.740
          days          35.07      5.922   0.07
Residual               654.94     25.592

Fixed effects
           Estimate  Std. error  df      t       p
--------------------------------------------------
Intercept    251.41        6.82  17  36.84  <0.001
days          10.47        1.55  17   6.77  <0.001
Degrees of freedom by Satterthwaite's method.

- Converged: the gradient vanishes at the optimum. Largest scaled gradient
  3.0e-09; the criterion could still fall by 2.0e-12."""

MACHINES = """\
Random effects
Group     Term          Variance  Std. dev.  Corr.
--------------------------------------------------------
worker    Intercept      16.6405     4.0793
          machine[T.B]   34.5467     5.8776   0.48
          machine[T.C]   13.6150     3.6899  -0.37  0.30
Residual                  0.9246     0.9616

Fixed effects
              Estimate  Std. error  df      t       p   2.5%  97.5%
-------------------------------------------------------------------
Intercept        52.36        1.68   5  31.15  <0.001  49.06  55.65
machine[T.B]      7.97        2.42   5   3.29   0.022   3.22  12.71
machine[T.C]     13.92        1.54   5   9.04  <0.001  10.90  16.94
Degrees of freedom by Satterthwaite's method."""

PASTES = """\
Formula:      strength ~ 1 + (1|batch/cask)
Observations: 60
Groups:       cask:batch 30, batch 10

Log lik.     AIC     BIC  REML crit.  Parameters
------------------------------------------------
 -123.50  254.99  263.37      246.99           4

Scaled residuals
   Min      1Q  Median     3Q    Max
------------------------------------
-1.480  -0.516   0.009  0.472  1.390

Random effects
Group       Term       Variance  Std. dev.
------------------------------------------
cask:batch  Intercept    8.4337     2.9041
batch       Intercept    1.6573     1.2874
Residual                 0.6780     0.8234

Fixed effects
           Estimate  Std. error  df      t       p
--------------------------------------------------
Intercept    60.053       0.677   9  88.72  <0.001"""

DYESTUFF2 = """\
Random effects
Group     Term       Variance  Std. dev.
----------------------------------------
batch     Intercept      0.00      0.000
Residual                13.81      3.716

Fixed effects
           Estimate  Std. error  df     t       p
-------------------------------------------------
Intercept     5.666       0.678  29  8.35  <0.001
Degrees of freedom by Satterthwaite's method.

- The variance of Intercept for batch is estimated at zero: the levels of batch
  differ in it no more than the residual variation makes them.
- Such a singular fit is a normal outcome, not an error, and the other estimates
  stand. A term of zero variance may be kept, if the design calls for it, or
  left out: the other estimates are the same.
- Converged:"""


def summary_text(model: str, level: float | None = None, **certificate: object) -> str:
    estimates, design, coefficients = case(model, **certificate)
    residuals = np.array(RESIDUALS[model])
    formula = reference(model)["formula"].replace("(days|", "(days | ")
    return str(summarise(estimates, design, coefficients, residuals, formula=formula, level=level))


def test_sleepstudy_reads_as_in_r() -> None:
    assert summary_text("sleepstudy_rs_reml") == SLEEPSTUDY


def test_three_correlated_coefficients_and_confidence_limits() -> None:
    assert MACHINES in summary_text("machines_slopes_reml", level=0.95)


def test_nested_groups() -> None:
    assert PASTES in summary_text("pastes_nested_reml")


def test_a_variance_of_zero_is_explained() -> None:
    assert DYESTUFF2 in summary_text("dyestuff2_reml", singular=True, boundary=(0,))


def test_the_frames_behind_a_summary_are_not_rounded() -> None:
    estimates, design, coefficients = case("sleepstudy_rs_reml")
    residuals = np.array(RESIDUALS["sleepstudy_rs_reml"])
    report = summarise(estimates, design, coefficients, residuals, formula="y ~ x")
    assert list(report.tables) == ["glance", "residuals", "varcorr", "coefficients"]
    assert report.tables["coefficients"]["estimate"].tolist() == estimates.beta.tolist()
    assert report.tables["varcorr"]["sdcor"].iloc[-1] == estimates.sigma


def test_all_outputs_of_a_summary_hold_its_numbers() -> None:
    estimates, design, coefficients = case("sleepstudy_rs_reml")
    residuals = np.array(RESIDUALS["sleepstudy_rs_reml"])
    report = summarise(estimates, design, coefficients, residuals, formula="y ~ x")
    for output in ("text", "markdown", "html", "latex"):
        shown = render(report, output)
        for number in ("251.41", "6.82", "24.740", "0.07", "1743.63", "36.84"):
            assert number in shown, (output, number)


def test_a_column_of_normal_tests_is_headed_z() -> None:
    estimates, design, coefficients = case("sleepstudy_rs_reml")
    report = summarise(
        estimates,
        design,
        coefficients.assign(df=np.inf),
        np.zeros(5),
        formula="y ~ x",
        ddf="asymptotic",
        family="binomial, logit link",
    )
    assert "Estimate  Std. error      z       p\n" in str(report)
    assert "Tests and intervals by the normal approximation." in str(report)
    assert "\nFamily:       binomial, logit link\n" in str(report)


def test_further_predictors_have_tables_of_their_own() -> None:
    estimates, design, coefficients = case("sleepstudy_rs_reml")
    (term,) = estimates.terms
    extra = replace(
        term_of("subject", ["Intercept"], np.array([0.0]), np.eye(1)), predictor="zero_inflation"
    )
    estimates = replace(
        estimates,
        method="laplace",
        terms=(term, extra),
        sigma=1.2345,
        certificate=certificate_with(singular=True, boundary=(1,)),
    )
    other = design_of(replace(estimates, terms=(replace(extra, position=0),))).mean
    report = summarise(
        estimates,
        replace(design, others={"zero_inflation": other}),
        coefficients,
        np.zeros(5),
        formula="y ~ x",
        others={"zero_inflation": coefficients.iloc[:1]},
    )
    text = str(report)
    assert "Dispersion:   1.234\n" in text or "Dispersion:   1.235\n" in text
    assert "Residual" not in text
    assert "\nRandom effects: zero inflation\nGroup    Term       Variance" in text
    assert "\nFixed effects: zero inflation\n" in text
    assert "The variance of Intercept for subject is estimated at zero" in text
    assert len(report.tables["zero_inflation"]) == 1


def test_a_model_without_fixed_effects_has_no_table_of_them() -> None:
    estimates, design, coefficients = case("sleepstudy_rs_reml")
    report = summarise(estimates, design, coefficients.iloc[:0], np.zeros(5), formula="y ~ 0")
    assert "Fixed effects" not in str(report)


def test_weights_and_frequencies_are_named() -> None:
    estimates, design, coefficients = case("sleepstudy_rs_reml")
    design = replace(
        design, weights=np.ones(180), frequencies=np.full(180, 2.0), notes=("A note.",)
    )
    text = str(summarise(estimates, design, coefficients, np.zeros(5), formula="y ~ x"))
    assert "Observations: 360 in 180 rows with frequencies\n" in text
    assert "Weights:      precision weights (residual variance = dispersion / weight)\n" in text
    assert "\n- A note.\n- Converged" in text


@pytest.mark.parametrize(
    ("method", "title"),
    [
        ("reml", "Linear mixed model fit by REML"),
        ("ml", "Linear mixed model fit by maximum likelihood"),
        (
            "laplace",
            "Generalised linear mixed model fit by maximum likelihood (Laplace approximation)",
        ),
        ("quadrature", "Generalised linear mixed model fit by " + QUADRATURE),
    ],
)
def test_titles(method: str, title: str) -> None:
    estimates, *_ = case("sleepstudy_rs_reml")
    assert model_title(replace(estimates, method=method, nodes=9)) == title
    assert model_title(replace(estimates, terms=(), method="ml")).startswith("Linear model fit")


def test_df_notes_name_the_method() -> None:
    assert "Kenward and Roger" in df_note("kenward-roger")
    assert df_note("other") == "Degrees of freedom: other."


def singular(term: TermEstimate) -> Estimates:
    estimates, *_ = case("sleepstudy_rs_reml")
    certificate = certificate_with(singular=True, boundary=(0,))
    return replace(estimates, terms=(term,), certificate=certificate)


def notes_of(sd: list[float], corr: np.ndarray, structure: str = "us") -> tuple[str, ...]:
    names = ["Intercept", "days", "dose"][: len(sd)]
    estimates = singular(term_of("subject", names, np.array(sd), corr, structure=structure))
    return singular_notes(estimates, design_of(estimates))


def test_a_perfect_correlation_is_explained() -> None:
    notes = notes_of([2.0, 3.0], np.array([[1.0, -1.0], [-1.0, 1.0]]))
    assert notes[0] == (
        "The correlation of Intercept and days for subject is estimated at -1: each level's "
        "deviation in one determines the other."
    )
    assert len(notes) == 2
    assert "(x || g)" in notes[1]
    assert "zero variance" not in notes[1]


def test_several_perfect_correlations_of_a_term_are_one_note() -> None:
    corr = np.array([[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    notes = notes_of([1.0, 2.0, 3.0], corr)
    assert len(notes) == 2
    assert notes[0].startswith(
        "These correlations for subject are estimated at their limits: Intercept and days (1), "
        "Intercept and dose (-1), days and dose (-1)."
    )


def test_a_dependence_among_three_coefficients_is_explained() -> None:
    half = np.sqrt(0.5)
    corr = np.array([[1.0, 0.0, half], [0.0, 1.0, half], [half, half, 1.0]])
    notes = notes_of([1.0, 2.0, 3.0], corr)
    assert notes[0].startswith(
        "The covariance matrix of Intercept, days, dose for subject is singular: some combination"
    )


def test_one_coefficient_of_two_that_does_not_vary_is_explained() -> None:
    notes = notes_of([2.0, 0.0], np.eye(2))
    assert notes[0].startswith("The variance of days for subject is estimated at zero")
    assert len(notes) == 2
    assert "(x || g)" not in notes[1]


def test_a_zero_variance_of_a_diagonal_structure_says_nothing_of_correlations() -> None:
    notes = notes_of([2.0, 0.0], np.eye(2), structure="diag")
    assert len(notes) == 2
    assert "correlation" not in " ".join(notes)


def test_a_small_variance_in_large_units_is_not_called_zero() -> None:
    estimates = singular(term_of("g", ["a", "b"], np.array([1.0, 1e-9]), np.eye(2)))
    design = design_of(estimates)
    (term,) = design.mean.random
    large = replace(term, z=term.z * np.array([1.0, 1e9]))
    design = replace(design, mean=replace(design.mean, random=(large,)))
    assert not any("at zero" in note for note in singular_notes(estimates, design))


def test_a_regular_fit_has_no_singular_notes() -> None:
    estimates, design, _ = case("sleepstudy_rs_reml")
    assert singular_notes(estimates, design) == ()


def test_a_fit_that_did_not_converge_says_so() -> None:
    note = certificate_note(certificate_with(converged=False, message="Not converged: why."))
    assert note.startswith("Not converged: why. Largest scaled gradient 3.0e-09;")


def test_terms_of_one_group_name_it_once_and_named_structures_are_mentioned() -> None:
    estimates, *_ = case("sleepstudy_diag_reml")
    (table,) = random_effects_tables(estimates)
    assert list(table.frame["group"]) == ["subject", "", "Residual"]
    assert list(table.frame.columns) == ["group", "term", "variance", "std_dev"]
    term = term_of("g", ["a", "b"], np.ones(2), np.eye(2), structure="cs")
    (table,) = random_effects_tables(replace(estimates, terms=(term,)))
    (note,) = table.notes
    assert note == "Covariance structure of a, b by g: cs."


def test_the_summary_of_a_real_fit_is_that_of_r() -> None:
    fit = hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))
    shown = str(fit.summary())
    assert shown.partition("\n- Converged")[0] == SLEEPSTUDY.partition("\n- Converged")[0]


def test_a_residual_that_a_term_can_hold_is_pointed_out() -> None:
    """One row for each cell of factor and group: only sums of variances are determined."""
    sleep = hglm.load_dataset("sleepstudy")
    sleep = sleep.assign(day=sleep["days"].astype(str))
    shared = str(hglm.fit("reaction ~ days + (day | subject)", sleep).summary())
    assert "as many as the observations" in " ".join(shared.split())
    plain = str(hglm.fit("reaction ~ days + (days | subject)", sleep).summary())
    assert "as many as the observations" not in " ".join(plain.split())
