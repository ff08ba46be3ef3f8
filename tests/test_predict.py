"""Predictions: points, standard errors, intervals, new levels, missing rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.criteria.linear_problem import linear_problem
from hglm.design import NewDesign, build_design
from hglm.errors import ColumnNotFoundError, DataError, OptionError
from hglm.fitting.estimate import estimate_linear
from hglm.formula import parse_formula
from hglm.inference.predict import predict, prediction_rows
from hglm.numerics.quadratic_forms import _colours, _components
from prediction_models import MODELS, Fitted, data_frame, dense_errors, fitted, term_columns
from reference_data import (
    inference_ids,
    inference_reference,
    reference,
    reference_frame,
    reference_ids,
)

RANDOM = [name for name in MODELS if name != "fixed effects only"]


def ask(fit: Fitted, data: pd.DataFrame | None = None, **options):
    """Predict as `Fit.predict` does."""
    shared = {k: options[k] for k in ("random", "new_levels", "interval") if k in options}
    rows = prediction_rows(fit.design, fit.spec, data, **shared)
    return predict(fit.estimates, rows, **options)


@pytest.fixture(scope="module")
def crossed() -> Fitted:
    return fitted("crossed")


@pytest.mark.parametrize("name", MODELS)
def test_predictions_of_the_training_rows_are_the_fitted_values(name):
    """Row 11 of the known wrong answers."""
    fit = fitted(name)
    for data in (None, fit.data):
        np.testing.assert_allclose(ask(fit, data), fit.estimates.linear_predictor, rtol=1e-12)


def test_offsets_are_part_of_predictions():
    data = data_frame()
    design, spec = build_design(parse_formula("y ~ x + offset(o) + (1 | g)"), data)
    fit = Fitted(design, spec, estimate_linear(design, True), data)
    np.testing.assert_allclose(ask(fit, data), fit.estimates.linear_predictor, rtol=1e-12)
    shifted = ask(fit, data.assign(o=data["o"] + 3))
    np.testing.assert_allclose(shifted, fit.estimates.linear_predictor + 3, rtol=1e-12)


@pytest.mark.parametrize("interval", ["confidence", "prediction"])
def test_rows_are_predicted_alone_as_in_company(crossed, interval):
    """Row 11: any subset and order of rows, levels left out, any index."""
    whole = ask(crossed, crossed.data, interval=interval)
    order = np.random.default_rng(0).permutation(len(crossed.data))[:11]
    part = ask(crossed, crossed.data.iloc[order], interval=interval)
    pd.testing.assert_frame_equal(part, whole.iloc[order], rtol=1e-12)
    one = ask(crossed, crossed.data.iloc[[17]], interval=interval)
    pd.testing.assert_frame_equal(one, whole.iloc[[17]], rtol=1e-12)


def test_incomplete_rows_are_missing_and_leave_the_others_alone(crossed):
    """Row 11: missing values of the data of the fit, or of the new data."""
    whole = ask(crossed, crossed.data, interval="confidence")
    holes = crossed.data.copy()
    holes.loc[3, "x"] = np.nan
    holes.loc[5, "g"] = None
    holes.loc[7, "y"] = np.nan  # the response is not needed
    found = ask(crossed, holes, interval="confidence")
    assert list(np.flatnonzero(found.isna().any(axis=1))) == [3, 5]
    pd.testing.assert_frame_equal(found.drop([3, 5]), whole.drop([3, 5]), rtol=1e-12)
    assert not ask(crossed, holes, random=["h"]).drop(3).isna().any()


def test_fit_with_missing_rows_predicts_all_complete_ones():
    data = data_frame()
    data.loc[[2, 40], "y"] = np.nan
    design, spec = build_design(parse_formula(MODELS["nested"]), data)
    fit = Fitted(design, spec, estimate_linear(design, True), data)
    found = ask(fit, data)
    assert not found.isna().any()
    np.testing.assert_allclose(found.drop([2, 40]), fit.estimates.linear_predictor, rtol=1e-12)
    assert list(ask(fit).index) == list(design.index)


def test_chosen_groups_add_up(crossed):
    """η(all) - η(none) is the sum of what each grouping factor contributes."""
    all_, none, g, h = (ask(crossed, crossed.data, random=r) for r in ("all", "none", ["g"], "h"))
    np.testing.assert_allclose(all_ - none, (g - none) + (h - none), rtol=1e-10)
    np.testing.assert_allclose(none, crossed.design.mean.X @ crossed.estimates.beta, rtol=1e-12)
    pd.testing.assert_series_equal(ask(crossed, random=["g", "h"]), ask(crossed))


def test_columns_of_factors_left_out_are_not_needed(crossed):
    found = ask(crossed, crossed.data[["x", "h"]], random=["h"], interval="confidence")
    pd.testing.assert_frame_equal(found, ask(crossed, random=["h"], interval="confidence"))


def new_rows(name: str) -> tuple[Fitted, NewDesign, pd.DataFrame]:
    """Rows in combinations that the fit has not met, some with new levels."""
    fit = fitted(name)
    rng = np.random.default_rng(8)
    data = pd.DataFrame({c: rng.permutation(fit.data[c].to_numpy())[:25] for c in fit.data})
    data["x"] *= 3.0
    for column in ("g", "h", "left", "town"):
        data.loc[rng.integers(0, 25, 4), column] = f"new {column}"
    data["school"] = np.where(rng.uniform(size=25) < 0.2, "new", data["school"])
    rows = prediction_rows(fit.design, fit.spec, data, new_levels="population")
    return fit, rows, data


@pytest.mark.parametrize("name", RANDOM)
def test_confidence_intervals_hold_the_exact_error_of_the_predictor(name):
    """Every group and combination of levels, new ones included, against dense matrices."""
    fit, rows, data = new_rows(name)
    found = ask(fit, data, new_levels="population", interval="confidence")
    expected = np.sqrt(np.diagonal(dense_errors(fit, rows.mean.X, term_columns(fit, rows.mean))))
    # `big` has values of 1e6 that cancel in the dense matrices: half their digits are lost
    rtol = 1e-7 if "units" in name else 1e-9
    np.testing.assert_allclose(found["std_error"], expected, rtol=rtol)


ROUTES = {
    "one solve a row": {"quadratic_forms.FEW_ROWS": 10**6},
    "columns of the inverse": {"quadratic_forms.FEW_ROWS": 0},
    "in the smallest batches": {"quadratic_forms.FEW_ROWS": 0, "quadratic_forms.SOLVE_MEMORY": 1},
    "sparse factor": {
        "quadratic_forms.FEW_ROWS": 0, "schur.DENSE_ORDER": -1, "schur.MAX_DENSE_ORDER": -1
    },
}  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", [name for name in MODELS if "crossed" in name])
def test_every_route_gives_the_exact_error(name, route, monkeypatch):
    for setting, value in ROUTES[route].items():
        monkeypatch.setattr(f"hglm.numerics.{setting}", value)
    fit, rows, data = new_rows(name)
    found = ask(fit, data, new_levels="population", interval="confidence")
    expected = np.sqrt(np.diagonal(dense_errors(fit, rows.mean.X, term_columns(fit, rows.mean))))
    np.testing.assert_allclose(found["std_error"], expected, rtol=1e-9)


def test_connected_levels_are_probed_apart_and_others_together():
    """Two levels share a right-hand side only if no chain of rows connects them."""
    (nested, crossed) = (
        linear_problem(f.design.mean, f.design.y).gramian
        for f in map(fitted, ("nested", "crossed"))
    )
    assert [int(c.max()) + 1 for c in map(_colours, _components(nested))] == [3, 1]
    assert [int(c.max()) + 1 for c in map(_colours, _components(crossed))] == [18, 7]


@pytest.mark.parametrize("arguments", [{"weights": "w"}, {"frequencies": "f"}])
def test_confidence_intervals_respect_weights_and_frequencies(arguments):
    fit = fitted("nested, slopes", **arguments)
    rows = prediction_rows(fit.design, fit.spec, None)
    expected = np.diagonal(dense_errors(fit, rows.mean.X, term_columns(fit, rows.mean)))
    found = ask(fit, interval="confidence")
    np.testing.assert_allclose(found["std_error"] ** 2, expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["nested", "crossed, slopes", "one factor, diagonal"])
@pytest.mark.parametrize("random", ["all", "none", ["g"]])
def test_prediction_intervals_add_what_is_not_conditioned_on(name, random):
    """Confidence variance + z'Σz of left-out factors and new levels + σ²/w."""
    if name == "nested" and random == ["g"]:
        random = ["school"]
    fit, rows, data = new_rows(name)
    weights = np.linspace(0.5, 2.0, len(data))
    options = {"random": random, "new_levels": "population"}
    confidence = ask(fit, data, interval="confidence", **options)
    found = ask(fit, data, interval="prediction", weights=weights, **options)
    expected = confidence["std_error"].to_numpy() ** 2 + fit.estimates.sigma**2 / weights
    for term in fit.estimates.terms:
        columns = rows.mean.random[term.position]
        for i, (code, z) in enumerate(zip(columns.codes, columns.z, strict=True)):
            if code < 0 or (random != "all" and term.group not in random):
                expected[i] += z @ term.covariance @ z
    np.testing.assert_allclose(found["std_error"] ** 2, expected, rtol=1e-12)
    pd.testing.assert_series_equal(found["fit"], confidence["fit"])


def test_population_line_has_the_error_of_the_fixed_effects(crossed):
    found = ask(crossed, random="none", interval="confidence")
    X = crossed.design.mean.X
    expected = np.sqrt(np.einsum("ni,ij,nj->n", X, crossed.estimates.vcov, X))
    np.testing.assert_allclose(found["std_error"], expected, rtol=1e-10)


def test_stiff_units_change_no_prediction():
    """`big` = 1e6 + 1e3 x: the same model in other coordinates."""
    plain, stiff = fitted("one factor, slopes"), fitted("slopes in other units")
    for interval in ("confidence", "prediction"):
        np.testing.assert_allclose(
            ask(stiff, interval=interval), ask(plain, interval=interval), rtol=1e-8
        )


def test_balanced_one_way_intervals_have_their_closed_forms():
    """ȳ_j and ȳ estimate level means; Searle, Casella & McCulloch 1992, sec. 3.3-3.4."""
    rng = np.random.default_rng(11)
    batch = np.repeat(np.arange(6), 5)
    data = pd.DataFrame({"y": 2.0 * rng.normal(size=6)[batch] + rng.normal(size=30), "b": batch})
    design, spec = build_design(parse_formula("y ~ 1 + (1 | b)"), data)
    fit = Fitted(design, spec, estimate_linear(design, True), data)
    within, between = fit.estimates.sigma**2, fit.estimates.terms[0].covariance[0, 0]
    new = pd.DataFrame({"b": [2, 77]})
    options = {"new_levels": "population"}
    confidence = ask(fit, new, interval="confidence", **options)["std_error"] ** 2
    of_mean = (between + within / 5) / 6  # Var of the grand mean
    weight = between / (between + within / 5)
    known = between * (1 - weight) + (1 - weight) ** 2 * of_mean
    np.testing.assert_allclose(confidence, [known, of_mean], rtol=1e-12)
    prediction = ask(fit, new, interval="prediction", **options)["std_error"] ** 2
    np.testing.assert_allclose(prediction, [known + within, of_mean + between + within], rtol=1e-12)


def test_quantiles_are_normal_or_those_of_t(crossed):
    normal = ask(crossed, interval="confidence", level=0.9)
    t = ask(crossed, interval="confidence", level=0.9, df=10)
    for found, quantile in ((normal, 1.6448536269514722), (t, 1.8124611228107335)):
        half = quantile * found["std_error"]
        np.testing.assert_allclose(found["conf_high"] - found["fit"], half, rtol=1e-9)
        np.testing.assert_allclose(found["fit"] - found["conf_low"], half, rtol=1e-9)


def expm1_mean(eta):
    return -np.expm1(-eta), np.exp(-eta)


def inverse_mean(eta):
    return 1.0 / eta, -1.0 / eta**2


@pytest.mark.parametrize("mean", [expm1_mean, inverse_mean])
def test_standard_errors_of_means_follow_the_delta_method(crossed, mean):
    """Row 14: the slope by central differences; ends of intervals transformed and in order."""
    link = ask(crossed, interval="confidence")
    response = ask(crossed, interval="confidence", mean=mean)
    h = 1e-6
    slope = (mean(link["fit"] + h)[0] - mean(link["fit"] - h)[0]) / (2 * h)
    np.testing.assert_allclose(response["std_error"], np.abs(slope) * link["std_error"], rtol=1e-7)
    assert not np.allclose(response["std_error"], link["std_error"], rtol=0.1)
    np.testing.assert_array_equal(response["fit"], mean(link["fit"])[0])
    np.testing.assert_array_equal(ask(crossed, mean=mean), response["fit"])
    ends = np.sort([mean(link["conf_low"])[0], mean(link["conf_high"])[0]], axis=0)
    np.testing.assert_array_equal(response[["conf_low", "conf_high"]].to_numpy().T, ends)


def sampled(fit: Fitted, codes: np.ndarray, x: float, seed: int) -> pd.Series:
    """Effects drawn for rows with given (negative) codes of the only group."""
    m = len(codes)
    data = pd.DataFrame({"x": np.full(m, x), "g": "new"})
    rows = prediction_rows(fit.design, fit.spec, data, new_levels="sample")
    (term,) = rows.mean.random
    term = type(term)(term.group, term.names, term.levels, codes, term.z, term.structure)
    mean = rows.mean
    design = type(mean)(mean.X, mean.names, mean.terms, mean.offset, (term,), mean.dropped)
    new = NewDesign({"mean": design}, rows.kept, rows.index)
    drawn = predict(fit.estimates, new, new_levels="sample", rng=np.random.default_rng(seed))
    return drawn - ask(fit, data, random="none")


def test_sampled_levels_have_the_covariance_of_the_random_effects():
    fit = fitted("one factor, slopes")
    codes = np.repeat(-1 - np.arange(20_000), 2)
    effects = sampled(fit, codes, 1.5, seed=6).to_numpy().reshape(-1, 2)
    np.testing.assert_array_equal(effects[:, 0], effects[:, 1])  # rows of one level share it
    z = np.array([1.0, 1.5])
    variance = z @ fit.estimates.terms[0].covariance @ z
    # standard error of a variance from 20000 normal draws: 1 %
    assert effects[:, 0].var() == pytest.approx(variance, rel=0.04)
    assert abs(effects[:, 0].mean()) < 4 * np.sqrt(variance / 20_000)


def test_known_levels_are_not_sampled_and_seeds_repeat(crossed):
    data = crossed.data.assign(g=np.where(crossed.data.index < 5, "new", crossed.data["g"]))
    one, two = (ask(crossed, data, new_levels="sample", rng=3) for _ in range(2))
    pd.testing.assert_series_equal(one, two)
    population = ask(crossed, data, new_levels="population")
    np.testing.assert_allclose(one[5:], population[5:], rtol=1e-14)
    assert np.all(np.abs(one[:5] - population[:5]) > 1e-3)


def test_new_levels_are_refused_by_default_where_they_matter(crossed):
    data = crossed.data.assign(g="elsewhere")
    for interval in (None, "prediction"):
        with pytest.raises(DataError, match=r"`g` has .*levels.*new_levels=\"population\""):
            ask(crossed, data, interval=interval)
        assert not np.isnan(ask(crossed, data, random=["h"], interval=interval)).any(axis=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"random": ["gg"]}, "`gg`.*not a grouping factor.*Did you mean `g`"),
        ({"new_levels": "ignore"}, "none of .*population"),
        ({"interval": "credible"}, "none of .*confidence"),
        ({"interval": "confidence", "level": 1.0}, "between 0 and 1"),
        ({"interval": "confidence", "df": 0.0}, "not positive"),
        ({"interval": "prediction", "new_levels": "sample"}, "no interval"),
        ({"interval": "prediction", "mean": expm1_mean}, "new responses"),
    ],
)
def test_mistakes_are_explained(crossed, options, message):
    rows = prediction_rows(crossed.design, crossed.spec, None)
    with pytest.raises(OptionError, match=message):
        predict(crossed.estimates, rows, **options)


def test_rows_built_for_other_options_are_refused(crossed):
    rows = prediction_rows(crossed.design, crossed.spec, crossed.data, random=["h"])
    with pytest.raises(DataError, match="prediction_rows"):
        predict(crossed.estimates, rows)


REFERENCES = [
    name for name in inference_ids()
    if inference_reference(name).get("predict") and reference(name)["kind"] == "lmm"
]  # fmt: skip


def fit_reference(stored) -> Fitted:
    data = reference_frame(stored)
    design, spec = build_design(
        parse_formula(stored["formula"]), data, weights=stored["weights"], offset=stored["offset"]
    )
    return Fitted(design, spec, estimate_linear(design, stored["method"] == "reml"), data)


@pytest.mark.parametrize("name", REFERENCES)
def test_new_data_are_predicted_as_by_lme4(name):
    """lme4 1.1-31 `predict`, 15 digits; both fits are at their optimum to about 1e-6 sd."""
    stored = inference_reference(name)
    fit = fit_reference(reference(name))
    expected = stored["predict"]
    new = pd.DataFrame(expected["newdata"])
    found = ask(fit, new, new_levels="population")
    tolerance = {"rtol": 0.0, "atol": 1e-5 * fit.estimates.sigma}
    np.testing.assert_allclose(found, expected["conditional_link"], **tolerance)
    line = ask(fit, new, random="none", interval="confidence")
    np.testing.assert_allclose(line["fit"], expected["population_link"], **tolerance)
    np.testing.assert_allclose(line["std_error"], expected["population_link_se"], rtol=1e-5)


LINEAR = [name for name in reference_ids("lmm") if "insteval" not in name]


@pytest.mark.parametrize("name", LINEAR)
def test_fitted_values_and_population_lines_are_those_of_lme4(name):
    stored = reference(name)
    fit = fit_reference(stored)
    tolerance = {"rtol": 0.0, "atol": 2e-5 * fit.estimates.sigma}
    conditional, population = ask(fit), ask(fit, random="none")
    np.testing.assert_allclose(conditional[:10], stored["fitted_head"], **tolerance)
    np.testing.assert_allclose(population[:10], stored["eta_fixed_head"], **tolerance)


def test_a_missing_group_is_told_with_the_way_round_it() -> None:
    fit = hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))
    with pytest.raises(ColumnNotFoundError, match=r'`subject`.*random="none"'):
        fit.predict(pd.DataFrame({"days": [0, 9]}))
    with pytest.raises(ColumnNotFoundError, match=r"`days` in the new data. There is `subject`.$"):
        fit.predict(pd.DataFrame({"subject": ["s308"]}))
