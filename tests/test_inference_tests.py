"""Tests of single and several rows: what they do not depend on, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import hglm
from hglm.datasets import load_dataset
from hglm.design import build_design
from hglm.errors import OptionError
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.record import Estimates
from hglm.formula import parse_formula
from hglm.inference.anova import anova_table
from hglm.inference.compare import aicc
from hglm.inference.satterthwaite import Satterthwaite, satterthwaite
from hglm.inference.terms import fixed_terms
from hglm.inference.tests import contrast_test, denominator, joint_test, row_tests, wald_intervals
from inference_oracle import fit

METHODS = ["satterthwaite", "kenward-roger", "asymptotic", "residual"]


@pytest.fixture(scope="module")
def machines() -> Estimates:
    """Fit unbalanced data, for which the rows of the term differ in their df."""
    data = load_dataset("machines")
    i = np.arange(len(data))
    data = data[(i % 7 != 3) & (i != 10)].reset_index(drop=True)
    return fit("score ~ machine + (machine | worker)", data)[0]


L = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize("ddf", METHODS)
def test_a_hypothesis_has_one_result_however_it_is_told(machines: Estimates, ddf: str) -> None:
    """lmerTest's df change with the basis of the rows (runehaubo/lmerTestR#43)."""
    expected = contrast_test(machines, L, ddf)
    for mix in ([[1.0, -1.0], [0.0, 1.0]], [[0.3, 2.0], [5.0, 0.1], [1.0, 1.0]]):
        found = contrast_test(machines, np.array(mix) @ L, ddf)
        np.testing.assert_allclose(found.den_df, expected.den_df, rtol=1e-8)
        np.testing.assert_allclose(found.F, expected.F, rtol=1e-9)
        np.testing.assert_allclose(found.p_value, expected.p_value, rtol=1e-7)
        assert found.num_df == 2


def test_rows_as_given_would_have_different_degrees_of_freedom(machines: Estimates) -> None:
    """So the test above is not empty."""
    method = satterthwaite(machines)
    other = np.array([[1.0, -1.0], [0.0, 1.0]]) @ L
    assert abs(method.df(L)[0] - method.df(other)[0]) > 1e-3


@pytest.mark.parametrize("ddf", METHODS)
def test_one_row_is_the_square_of_its_t(machines: Estimates, ddf: str) -> None:
    row = np.array([[0.2, 1.0, -0.5]])
    t = row_tests(machines.beta, denominator(machines, ddf), row)
    F = contrast_test(machines, row, ddf)
    np.testing.assert_allclose(F.F, t.statistic[0] ** 2, rtol=1e-9)
    np.testing.assert_allclose(F.den_df, t.df[0], rtol=1e-9)
    np.testing.assert_allclose(F.p_value, t.p_value[0], rtol=1e-7)
    assert F.scaling == pytest.approx(1.0, abs=1e-12)


def test_p_values_are_those_of_the_distributions(machines: Estimates) -> None:
    wald = machines.beta @ L.T @ np.linalg.solve(L @ machines.vcov @ L.T, L @ machines.beta)
    n, p = machines.nobs, 3
    chi = contrast_test(machines, L, "asymptotic")
    np.testing.assert_allclose(chi.p_value, stats.chi2.sf(wald, 2), rtol=1e-10)
    assert chi.den_df == np.inf
    residual = contrast_test(machines, L, "residual")
    np.testing.assert_allclose(residual.p_value, stats.f.sf(wald / 2, 2, n - p), rtol=1e-10)
    z = row_tests(machines.beta, denominator(machines, "asymptotic"), np.eye(3))
    np.testing.assert_allclose(z.p_value, 2 * stats.norm.sf(np.abs(z.statistic)), rtol=1e-10)
    t = row_tests(machines.beta, denominator(machines, "satterthwaite"), np.eye(3), 1.0)
    np.testing.assert_allclose(t.statistic, (machines.beta - 1) / t.std_error, rtol=1e-12)
    np.testing.assert_allclose(t.p_value, 2 * stats.t.sf(np.abs(t.statistic), t.df), rtol=1e-9)


def test_a_right_hand_side_moves_the_hypothesis(machines: Estimates) -> None:
    at_estimate = contrast_test(machines, L, "kenward-roger", rhs=L @ machines.beta)
    assert pytest.approx(0.0, abs=1e-15) == at_estimate.F
    assert at_estimate.p_value == pytest.approx(1.0)


@pytest.mark.parametrize("ddf", METHODS)
def test_intervals_hold_the_values_that_tests_do_not_reject(machines: Estimates, ddf: str) -> None:
    limits = wald_intervals(machines, 0.9, ddf)
    for end in limits.T:
        tests = row_tests(machines.beta, denominator(machines, ddf), np.eye(3), end)
        np.testing.assert_allclose(tests.p_value, 0.1, rtol=1e-9)


def test_several_rows_combine_by_the_mean_of_their_f_statistics() -> None:
    """The rule of Fai and Cornelius, on made-up covariances with known answers."""
    C = np.diag([1.0, 2.0, 3.0])
    J = np.array([np.diag([1.0, 0.0, 0.0]), np.diag([0.0, 2.0, 0.0]), np.diag([0.0, 0.0, 3.0])])
    nu = np.array([6.0, 10.0, 1.5])  # ν = 2C²/(J² A) with A = 2/ν
    method = Satterthwaite(C, J, np.diag(2.0 / nu))
    rows = np.eye(3)
    np.testing.assert_allclose(method.each(rows), nu)
    E = 6.0 / 4.0 + 10.0 / 8.0
    np.testing.assert_allclose(method.df(rows[:2])[0], 2 * E / (E - 2))
    assert method.df(rows)[0] == 2.0  # one has no finite mean
    np.testing.assert_allclose(method.df(rows[[0, 0]])[0], 6.0)  # a row and its repetition
    equal = Satterthwaite(C, J, np.diag([0.2, 0.2, 0.2]))
    np.testing.assert_allclose(equal.df(rows)[0], 10.0)


def test_rows_in_very_different_units_all_count() -> None:
    """Days in units of a millionth: the slope's variance is 1e-11 of the intercept's."""
    data = load_dataset("sleepstudy")
    data["tiny"] = 1e6 * data["days"]
    estimates, _, _ = fit("reaction ~ tiny + (1 | subject)", data)
    method = satterthwaite(estimates)
    slope = method.vcov[0, 1] / method.vcov[0, 0]
    each = method.each(np.array([[1.0, 0.0], [-slope, 1.0]]))  # the limit of the principal rows
    E = np.sum(each / (each - 2))
    np.testing.assert_allclose(method.df(np.eye(2))[0], 2 * E / (E - 2), rtol=1e-4)


def test_asymptotic_tables_have_chi_square_columns() -> None:
    estimates, design, spec = fit("reaction ~ days + (1 | subject)", load_dataset("sleepstudy"))
    table = anova_table(estimates, fixed_terms(design.mean, spec, design.frame), 3, "asymptotic")
    assert list(table.columns) == ["statistic", "df", "p_value"]
    assert table.index.name == "term"


def test_a_model_without_random_effects_has_residual_degrees_of_freedom() -> None:
    data = load_dataset("sleepstudy")
    design, _ = build_design(parse_formula("reaction ~ days + (1 | subject)"), data)
    plain = estimate_linear(replace(design, mean=replace(design.mean, random=())), True)
    for ddf in ("satterthwaite", "kenward-roger", "residual"):
        np.testing.assert_allclose(denominator(plain, ddf).each(np.eye(2)), 178.0, rtol=1e-12)
    np.testing.assert_allclose(denominator(plain, "kenward-roger").vcov, plain.vcov, rtol=1e-12)


def test_no_rows_no_test(machines: Estimates) -> None:
    test = joint_test(machines.beta, denominator(machines, "satterthwaite"), np.zeros((0, 3)))
    assert test.num_df == 0
    assert np.isnan(test.p_value)


@pytest.mark.parametrize(
    ("contrast", "rhs", "message"),
    [
        (np.eye(2), 0.0, r"shape \(2, 2\); give a finite number for each of the 3 fixed effects"),
        ([0.0, np.nan, 1.0], 0.0, "finite number"),
        ([[0, 1, 0], [0, 2, 0]], [1.0, 3.0], "contradict one another"),
    ],
)
def test_impossible_contrasts_are_refused(
    machines: Estimates, contrast: object, rhs: object, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        contrast_test(machines, contrast, "satterthwaite", rhs)


def test_unknown_methods_are_refused(machines: Estimates) -> None:
    with pytest.raises(OptionError, match="no method ddf='kr'; choose one of \"satterthwaite\""):
        denominator(machines, "kr")


def test_aicc_adds_the_correction_of_hurvich_and_tsai(machines: Estimates) -> None:
    k, n = machines.n_parameters, machines.nobs
    np.testing.assert_allclose(aicc(machines) - machines.aic, 2 * k * (k + 1) / (n - k - 1))
    assert aicc(replace(machines, nobs=k + 1.0)) == np.inf


def test_coefficients_may_be_told_by_name() -> None:
    model = hglm.fit("score ~ machine + (1 | worker)", load_dataset("machines"))
    names = ["machine[T.B]", "machine[T.C]"]
    assert model.test(names) == model.test(np.eye(3)[1:])
    shifted = model.test("machine[T.B]", rhs=8.0)
    t = (model.params["machine[T.B]"] - 8.0) / model.bse["machine[T.B]"]
    np.testing.assert_allclose(shifted.F, t**2)
    with pytest.raises(OptionError, match=r"no coefficient 'machine = 8' .* `rhs`"):
        model.test("machine = 8")
