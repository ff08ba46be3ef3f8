"""The entry point: formulas, frames, tables, invariances, bad input."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from hglm.datasets import load_dataset
from hglm.empirical import Normal, ebayes, plots
from hglm.empirical.formula import parse_ebayes_formula
from hglm.empirical.lookup import MODELS
from hglm.errors import ColumnNotFoundError, DataError, FormulaError, OptionError

RNG = np.random.default_rng(42)
N = 40
DATA = pd.DataFrame(
    {
        "y": RNG.normal(RNG.normal(0, 2, N), 1.0),
        "s": np.full(N, 1.0),
        "count": RNG.poisson(RNG.gamma(2, 2, N)),
        "time": RNG.exponential(1 / RNG.gamma(3, 1, N)),
        "hits": RNG.binomial(20, RNG.beta(2, 4, N)),
        "tries": 20,
        "a": RNG.poisson(RNG.gamma(2, 3, N)) + 1,
        "b": RNG.poisson(RNG.gamma(2, 3, N)),
        "c": RNG.poisson(RNG.gamma(2, 3, N)),
        "g": [f"g{i:02d}" for i in range(N)],
        "x": RNG.normal(size=N),
        "pair": np.repeat([f"p{i:02d}" for i in range(N // 2)], 2),
    }
)
CALLS: dict[str, tuple[str, dict[str, object]]] = {
    "beta-binomial": ("hits / tries ~ 1 | g", {}),
    "gamma-poisson": ("count ~ 1 | g", {}),
    "gamma-exponential": ("time ~ 1 | pair", {}),
    "dirichlet-multinomial": ("cbind(a, b, c) ~ 1 | g", {}),
    "normal": ("y ~ 1 | g", {"se": "s"}),
    "meta": ("y ~ 1 | g", {"se": "s"}),
    "normal-inverse-gamma": ("y ~ 1 | pair", {}),
    "james-stein": ("y ~ 1 | g", {"se": "s"}),
    "point-normal": ("y ~ 1 | g", {"se": "s"}),
    "unimodal": ("y ~ 1 | g", {"se": "s"}),
    "npmle": ("count ~ 1 | g", {"exposure": 1.0}),
    "deconvolution": ("hits / tries ~ 1 | g", {}),
}
COLUMNS = [
    "group",
    "level",
    "term",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "shrinkage",
]


def _fit(model: str, data: object = DATA) -> object:
    formula, arguments = CALLS[model]
    return ebayes(formula, data, model, **arguments)


def test_every_model_is_called_here() -> None:
    assert set(CALLS) == set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_the_same_tables(model: str) -> None:
    fit = _fit(model)
    table = fit.ranef()
    assert list(table.columns) == COLUMNS
    assert np.isfinite(table[["estimate", "conf_low", "conf_high"]]).all(axis=None)
    assert (table["conf_low"] <= table["conf_high"]).all()
    assert fit.converged
    assert list(fit.tidy()["term"]) == list(fit.params.index)
    assert len(fit.glance()) == 1
    assert len(fit.augment()) == len(fit.signs()) == len(table)
    assert list(fit.quantiles((0.5,)).columns)[-1] == "q50"
    assert str(fit.formula) in str(fit.summary())
    assert np.isfinite(fit.llf)
    assert pickle.loads(pickle.dumps(fit)).llf == fit.llf


@pytest.mark.parametrize("model", MODELS)
def test_order_of_rows_does_not_matter(model: str) -> None:
    fit, shuffled = _fit(model), _fit(model, DATA.sample(frac=1, random_state=3))
    np.testing.assert_allclose(shuffled.llf, fit.llf, rtol=1e-10)
    assert list(shuffled.ranef()["level"]) == list(fit.ranef()["level"])
    np.testing.assert_allclose(
        shuffled.ranef()["estimate"], fit.ranef()["estimate"], rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas, dict])
def test_any_frame_will_do(convert: object) -> None:
    fit = _fit("beta-binomial", convert(DATA))
    np.testing.assert_allclose(fit.ranef()["estimate"], _fit("beta-binomial").ranef()["estimate"])


def test_input_is_not_changed() -> None:
    before = DATA.copy(deep=True)
    for model in MODELS:
        _fit(model)
    pd.testing.assert_frame_equal(DATA, before)


def test_covariates_move_the_prior_mean() -> None:
    frame = DATA.assign(y=DATA["y"] + 3 * DATA["x"])
    fit = ebayes("y ~ x | g", frame, Normal(), se="s")
    assert fit.params["x"] == pytest.approx(3, abs=3 * fit.bse["x"])
    table = fit.augment()
    assert np.corrcoef(table["prior_mean"], frame["x"])[0, 1] == pytest.approx(1)


def test_rows_of_a_group_are_added_up() -> None:
    halves = pd.concat([DATA.assign(hits=DATA["hits"] // 2, tries=10)] * 2)
    halves["hits"] += np.repeat([0, 1], N) * (np.tile(DATA["hits"] % 2, 2))
    twice = ebayes("hits / tries ~ 1 | g", halves, "beta-binomial")
    assert twice.llf == pytest.approx(_fit("beta-binomial").llf)


def test_successes_and_failures_are_a_ratio() -> None:
    fit = ebayes("cbind(hits, tries - hits) ~ 1 | g", DATA, "beta-binomial")
    assert fit.llf == pytest.approx(_fit("beta-binomial").llf)


def test_interactions_are_groups() -> None:
    frame = DATA.assign(h=list("ab") * (N // 2), k=np.repeat(list("cd"), N // 2))
    fit = ebayes("count ~ 1 | h:k", frame, "gamma-poisson")
    assert fit.group == "h:k"
    assert list(fit.ranef()["level"]) == ["a:c", "a:d", "b:c", "b:d"]


def test_missing_rows_are_left_out_with_a_note() -> None:
    frame = DATA.astype({"hits": float})
    frame.loc[[1, 5], "hits"] = np.nan
    frame.loc[7, "g"] = None
    fit = ebayes("hits / tries ~ 1 | g", frame, "beta-binomial")
    assert fit.nobs == N - 3
    assert "3 rows with missing values left out" in fit.notes


def test_standard_errors_come_in_every_form() -> None:
    fits = [ebayes("y ~ 1", DATA, se=se) for se in ("s", "np.sqrt(s)", 1.0, DATA["s"], np.ones(N))]
    assert len({round(fit.llf, 10) for fit in fits}) == 1


def test_ranks_know_their_uncertainty() -> None:
    fit = _fit("normal")
    table = fit.ranks(np.random.default_rng(1), draws=1000)
    assert table["expected_rank"].sum() == pytest.approx(N * (N + 1) / 2)
    assert (table["conf_low"] <= table["median_rank"]).all()
    assert table["prob_first"].sum() == pytest.approx(1)
    order = np.corrcoef(table["expected_rank"], fit.ranef()["estimate"].rank())[0, 1]
    assert order < -0.99


def test_ranks_of_indistinguishable_groups_are_shared() -> None:
    fit = ebayes("effect ~ 1 | school", load_dataset("eight_schools"), Normal("ml"), se="std_error")
    # The plug-in posteriors coincide: every school has the same chance of every rank.
    table = fit.ranks(np.random.default_rng(2), draws=8000)
    np.testing.assert_allclose(table["expected_rank"], 4.5, atol=4 * 2.3 / 8000**0.5)
    np.testing.assert_allclose(table["prob_first"], 1 / 8, atol=4 * 0.33 / 8000**0.5)


def test_s_values_are_running_means_of_sorted_rates() -> None:
    table = _fit("point-normal").signs().sort_values("lfsr")
    means = table["lfsr"].expanding().mean()
    np.testing.assert_allclose(table["s_value"], means)


def test_intervals_obey_their_level() -> None:
    fit = _fit("normal")
    narrow, wide = fit.ranef(0.5), fit.ranef(0.99)
    assert (wide["conf_low"] < narrow["conf_low"]).all()
    assert fit.conf_int(0.5).loc["tau2", "conf_low"] >= 0
    with pytest.raises(OptionError, match="between 0 and 1"):
        fit.ranef(95)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y", "one `~`"),
        ("y ~ (1 | g)", "outside brackets"),
        ("y ~ 1 | g | h", "One bar"),
        ("y ~ 1 | a/b", "one level of grouping"),
        ("a / b / c ~ 1", "one `/`"),
        ("cbind(a) ~ 1", "two or more"),
        ("y ~ | g", "One bar"),
    ],
)
def test_slips_in_formulas_are_explained(formula: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        parse_ebayes_formula(formula)


BAD = [
    ("hits / tries ~ 1", "beta-binomial", {"tries": 0}, "Trials must be positive"),
    ("hits / tries ~ 1", "beta-binomial", {"tries": 2}, "more successes than trials"),
    ("hits / tries ~ 1", "beta-binomial", {"hits": 0}, "same outcome"),
    ("hits / tries ~ 1", "beta-binomial", {"hits": 0.5}, "integers"),
    ("count ~ 1", "gamma-poisson", {"count": -1}, "cannot be negative"),
    ("count ~ 1", "gamma-poisson", {"count": 0}, "All counts are zero"),
    ("time ~ 1", "gamma-exponential", {"time": 0.0}, "Durations must be positive"),
    ("cbind(a, b, c) ~ 1", "dirichlet-multinomial", {"c": 0}, "`c` has no counts"),
    ("y ~ 1", "normal", {"g": "one"}, "cannot be estimated"),
]


@pytest.mark.parametrize(("formula", "model", "change", "message"), BAD)
def test_bad_numbers_are_named(
    formula: str, model: str, change: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        ebayes(formula, DATA.assign(**change), model)


def test_standard_errors_of_zero_are_named_with_their_rows() -> None:
    frame = DATA.assign(s=np.where(np.arange(N) == 3, 0.0, 1.0))
    with pytest.raises(DataError, match=r"row 3\).*drop it"):
        ebayes("y ~ 1", frame, se="s")


def test_one_group_teaches_nothing() -> None:
    with pytest.raises(DataError, match="`one` has 1 group,"):
        ebayes("y ~ 1 | one", DATA.assign(one="x"), se="s")


def test_single_trials_cannot_show_overdispersion() -> None:
    frame = DATA.assign(tries=1, hits=np.arange(N) % 2)
    with pytest.raises(DataError, match="single trial"):
        ebayes("hits / tries ~ 1", frame, "beta-binomial")


def test_covariates_within_groups_belong_elsewhere() -> None:
    with pytest.raises(DataError, match=r"`x` varies within .* hglm.fit"):
        ebayes("count ~ x | pair", DATA, "gamma-poisson")


def test_dependent_covariates_are_refused() -> None:
    with pytest.raises(DataError, match="linearly dependent"):
        ebayes("count ~ x + z", DATA.assign(z=2 * DATA["x"]), "gamma-poisson")


def test_unknown_names_get_near_matches() -> None:
    with pytest.raises(ColumnNotFoundError, match="`hits`"):
        ebayes("hit / tries ~ 1", DATA, "beta-binomial")
    with pytest.raises(ColumnNotFoundError, match="groups"):
        ebayes("hits / tries ~ 1 | player", DATA, "beta-binomial")
    with pytest.raises(OptionError, match="`beta-binomial`"):
        ebayes("hits / tries ~ 1", DATA, "betabinomial")
    with pytest.raises(OptionError, match="give a name"):
        ebayes("hits / tries ~ 1", DATA, Normal)


def test_models_without_covariates_say_so() -> None:
    for model in ("npmle", "unimodal", "point-normal", "deconvolution"):
        with pytest.raises(OptionError, match="same for all groups"):
            ebayes("y ~ x", DATA, model, se="s")


def test_noise_must_be_known() -> None:
    with pytest.raises(OptionError, match="not clear how"):
        ebayes("y ~ 1", DATA, "npmle")


def test_infinite_values_are_named() -> None:
    with pytest.raises(DataError, match="infinite values in row 2"):
        ebayes("y ~ 1", DATA.assign(y=np.where(np.arange(N) == 2, np.inf, DATA["y"])), se="s")


def test_wrong_lengths_and_types_are_refused() -> None:
    with pytest.raises(DataError, match="one number a row"):
        ebayes("y ~ 1", DATA, se=[1.0, 2.0])
    with pytest.raises(DataError, match="data frame of pandas"):
        ebayes("y ~ 1", [1, 2, 3], se=1.0)
    with pytest.raises(DataError, match="not numeric"):
        ebayes("g ~ 1", DATA, se=1.0)


def test_frequencies_stand_for_repeated_rows() -> None:
    table = DATA["count"].value_counts().rename_axis("y").reset_index(name="times")
    short = ebayes("y ~ 1", table, "npmle", exposure=1, frequencies="times")
    assert short.llf == pytest.approx(ebayes("count ~ 1", DATA, "npmle", exposure=1).llf)
    with pytest.raises(OptionError, match="repeat the rows"):
        ebayes("y ~ 1", table, "gamma-poisson", frequencies="times")
    with pytest.raises(DataError, match="each row must be a group"):
        ebayes("y ~ 1 | y", table, "npmle", exposure=1, frequencies="times")
    with pytest.raises(DataError, match="positive integers"):
        ebayes("y ~ 1", table, "npmle", exposure=1, frequencies=0.5)


def test_pictures_are_drawn_on_the_given_axes() -> None:
    for draw, fit in (
        (plots.forest, _fit("meta")),
        (plots.prior, _fit("npmle")),
        (plots.prior, _fit("deconvolution")),
        (plots.shrinkage, _fit("normal")),
    ):
        axes = Figure().add_subplot()
        assert draw(fit, axes) is axes
        assert axes.get_xlabel()
    with pytest.raises(OptionError, match="no meta-analysis"):
        plots.forest(_fit("npmle"), Figure().add_subplot())
    with pytest.raises(OptionError, match="not on a grid"):
        plots.prior(_fit("normal"), Figure().add_subplot())
