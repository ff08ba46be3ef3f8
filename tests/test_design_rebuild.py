"""The design of a fit applied to other rows (PITFALLS row 11)."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hglm.datasets import load_dataset
from hglm.design import build_design, rebuild
from hglm.errors import ColumnNotFoundError, DataError, OptionError
from hglm.formula import parse_formula, parse_predictor

FORMULA = (
    "score ~ machine + poly(x, 2) + scale(w) + bs(v, df=4) + C(worker, contr.sum):x"
    " + offset(center(w)) + (machine | worker) + (0 + x | worker:machine) + (1 | I(x > 20))"
)


def training():
    rng = np.random.default_rng(0)
    data = load_dataset("machines")
    return data.assign(
        x=np.arange(len(data)) * 0.7, w=rng.normal(50, 9, len(data)), v=rng.random(len(data))
    )


@pytest.fixture(scope="module")
def fitted():
    data = training()
    return data, *build_design(parse_formula(FORMULA), data, contrasts={"machine": "sum"})


def assert_rows_equal(new, design, rows):
    assert new.mean.names == design.mean.names
    assert new.mean.terms == design.mean.terms
    assert new.mean.dropped == design.mean.dropped
    np.testing.assert_allclose(new.mean.X, design.mean.X[rows], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(new.mean.offset, design.mean.offset[rows], rtol=1e-13, atol=1e-13)
    for a, b in zip(new.mean.random, design.mean.random, strict=True):
        assert a.levels.equals(b.levels)
        np.testing.assert_array_equal(a.codes, b.codes[rows])
        np.testing.assert_allclose(a.z, b.z[rows], rtol=1e-13, atol=1e-13)


def test_rebuilding_on_the_training_data_gives_the_design(fitted):
    data, design, spec = fitted
    assert_rows_equal(rebuild(spec, data), design, slice(None))


@settings(max_examples=25)
@given(rows=st.lists(st.integers(0, 53), min_size=1, max_size=8))
def test_pitfall_11_any_rows_give_their_rows_of_the_design(rows):
    """Fewer levels and categories, one row, other order: poly, scale, bs and codes stay."""
    data = training()
    design, spec = build_design(parse_formula(FORMULA), data, contrasts={"machine": "sum"})
    assert_rows_equal(rebuild(spec, data.iloc[rows]), design, rows)


def test_pitfall_11_categories_in_another_order_or_as_text(fitted):
    data, design, spec = fitted
    shuffled = data.assign(
        machine=data["machine"].cat.reorder_categories(["C", "A", "B"]),
        worker=data["worker"].astype(str),
    )
    assert_rows_equal(rebuild(spec, shuffled), design, slice(None))


def test_pitfall_11_missing_values_of_the_training_data_do_not_return():
    data = training()
    data.loc[[3, 40], "x"] = np.nan
    design, spec = build_design(parse_formula("score ~ poly(x, 2) + (1 | worker)"), data)
    complete = data.dropna()
    new = rebuild(spec, complete)
    assert len(new.kept) == len(complete) == design.n
    np.testing.assert_allclose(new.mean.X, design.mean.X, rtol=1e-13)


def test_the_recipe_survives_pickling_and_is_small(fitted):
    data, design, spec = fitted
    stored = pickle.dumps(spec)
    assert len(stored) < 20_000
    assert_rows_equal(rebuild(pickle.loads(stored), data), design, slice(None))


def test_rebuilding_does_not_change_the_recipe(fitted):
    data, _, spec = fitted
    before = pickle.dumps(spec)
    rebuild(spec, data.iloc[:4])
    assert pickle.dumps(spec) == before


def test_random_only_categories_keep_their_columns():
    """The categories of a factor that only a random term uses are remembered too."""
    data = training()
    formula = parse_formula("score ~ machine + (0 + machine | worker) + (x | worker)")
    _, spec = build_design(formula, data)
    one = data[data["machine"] == "B"]
    new = rebuild(spec, one)
    assert new.mean.random[0].names == ("machine[A]", "machine[B]", "machine[C]")
    np.testing.assert_array_equal(new.mean.random[0].z, np.tile([0.0, 1, 0], (len(one), 1)))


def test_a_term_chosen_alone_keeps_the_categories_met_in_another():
    """formulaic notes them in the first right-hand side only."""
    data = training().assign(half=np.arange(54) % 2)
    formula = parse_formula("score ~ 1 + (0 + machine | worker) + (0 + machine + x | half)")
    _, spec = build_design(formula, data)
    one = data[data["machine"] == "B"]
    term = rebuild(spec, one, groups=["half"]).mean.random[0]
    np.testing.assert_array_equal(term.z[:, :3], np.tile([0.0, 1, 0], (len(one), 1)))


def test_rows_with_missing_values_are_left_for_the_caller(fitted):
    data, _, spec = fitted
    new_data = data.iloc[:5].copy()
    new_data.loc[new_data.index[1], "w"] = np.nan
    new_data.loc[new_data.index[3], "worker"] = None
    new = rebuild(spec, new_data)
    np.testing.assert_array_equal(new.kept, [0, 2, 4])
    assert new.mean.X.shape[0] == 3
    assert list(new.index) == list(new_data.index)
    assert rebuild(spec, new_data, groups=()).mean.random == ()


def test_unknown_levels_are_refused_or_coded_minus_one():
    data = training()
    formula = "score ~ machine + (1 | worker) + (1 | worker:machine)"
    design, spec = build_design(parse_formula(formula), data)
    known = design.mean.random[0].levels[3]
    new_data = data.iloc[[0, 20]].assign(worker=[known, "newcomer"])
    with pytest.raises(DataError, match="`worker` has new levels `newcomer`"):
        rebuild(spec, new_data)
    worker, cell = rebuild(spec, new_data, new_levels="allow").mean.random
    assert list(worker.codes) == [3, -1]
    assert cell.levels[cell.codes[0]] == f"{known}:{new_data['machine'].iloc[0]}"
    assert cell.codes[1] == -1
    with pytest.raises(OptionError, match="neither"):
        rebuild(spec, new_data, new_levels="ignore")


def test_a_combination_that_was_never_seen_is_a_new_level():
    data = pd.DataFrame({"y": [1.0, 2, 3], "a": ["p", "p", "q"], "b": ["u", "v", "v"]})
    _, spec = build_design(parse_formula("y ~ 1 + (1 | a:b)"), data)
    new = pd.DataFrame({"a": ["q", "q", "p", "q", "zz"], "b": ["u", "v", "zz", "zz", "v"]})
    codes = rebuild(spec, new, new_levels="allow").mean.random[0].codes
    assert list(codes) == [-1, 2, -2, -3, -4]  # one number for each new level


def test_only_the_columns_in_use_must_be_there(fitted):
    data, design, spec = fitted
    without = data.drop(columns=["score"])
    assert_rows_equal(rebuild(spec, without), design, slice(None))
    with pytest.raises(ColumnNotFoundError, match="no column `v` in the new data"):
        rebuild(spec, data.drop(columns=["v"]))
    _, group_only = build_design(parse_formula("score ~ x + (x | worker)"), data)
    new = rebuild(group_only, data[["x"]], groups=[])
    assert new.mean.X.shape == (54, 2)


def test_chosen_groups(fitted):
    data, _, spec = fitted
    chosen = rebuild(spec, data, groups=["worker:machine"]).mean.random
    assert [term.group for term in chosen] == ["worker:machine"]
    with pytest.raises(OptionError, match="Did you mean `worker`"):
        rebuild(spec, data, groups=["wroker"])


def test_an_unknown_category_of_a_fixed_effect_is_refused(fitted):
    data, _, spec = fitted
    with pytest.raises(DataError, match="`machine` has `Z`, which the data of the fit"):
        rebuild(spec, data.iloc[:2].assign(machine=["A", "Z"]))


def test_offsets_by_column_come_along_and_by_array_cannot(fitted):
    data, _, _ = fitted
    formula = parse_formula("score ~ x")
    _, by_name = build_design(formula, data, offset="w")
    np.testing.assert_array_equal(rebuild(by_name, data).mean.offset, data["w"])
    _, by_array = build_design(formula, data, offset=data["w"])
    with pytest.raises(DataError, match="name of a column"):
        rebuild(by_array, data)


def test_further_predictors_come_along(fitted):
    data, _, _ = fitted
    design, spec = build_design(
        parse_formula("score ~ x"), data, others={"zi": parse_predictor("~ machine + (1 | worker)")}
    )
    new = rebuild(spec, data)
    np.testing.assert_array_equal(new.predictors["zi"].X, design.others["zi"].X)
    assert list(rebuild(spec, data[["x"]], names=["mean"]).predictors) == ["mean"]
