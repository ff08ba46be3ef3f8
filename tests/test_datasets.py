"""The shipped data sets are what their index and the references say they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hglm.datasets
from hglm.datasets import describe_dataset, list_datasets, load_dataset
from hglm.errors import OptionError
from reference_data import dataset_name, reference, reference_ids

NAMES = list(list_datasets()["name"])
ROLES = {
    "response",
    "covariate",
    "factor",
    "group",
    "trials",
    "weight",
    "offset",
    "variance",
    "label",
}


@pytest.mark.parametrize("name", NAMES)
def test_the_frame_has_the_rows_and_columns_of_its_index(name: str) -> None:
    frame, entry = load_dataset(name), describe_dataset(name)
    assert len(frame) == entry.rows
    assert list(frame.columns) == [column.name for column in entry.columns]
    assert not frame.isna().to_numpy().any()  # a value outside its categories would be missing


@pytest.mark.parametrize("name", NAMES)
def test_every_column_has_the_type_of_its_index(name: str) -> None:
    frame = load_dataset(name)
    for column in describe_dataset(name).columns:
        dtype = frame[column.name].dtype
        if isinstance(dtype, pd.CategoricalDtype):
            assert column.type == ("ordered" if dtype.ordered else "categorical")
        else:
            assert column.type == {"i": "integer", "f": "float"}[dtype.kind]


@pytest.mark.parametrize("name", NAMES)
def test_categories_are_all_used_and_in_documented_or_sorted_order(name: str) -> None:
    frame = load_dataset(name)
    for column in describe_dataset(name).columns:
        if column.type in {"integer", "float"}:
            assert not column.categories
            continue
        categories = list(frame[column.name].cat.categories)
        assert categories == (list(column.categories) or sorted(categories))
        assert set(categories) == set(frame[column.name])


@pytest.mark.parametrize("name", NAMES)
def test_the_index_says_what_a_reader_needs(name: str) -> None:
    entry = describe_dataset(name)
    assert all([entry.title, entry.description, entry.source, entry.citation, entry.licence])
    assert all(column.description and column.role in ROLES for column in entry.columns)
    assert any(column.role == "response" for column in entry.columns)
    page = str(entry)
    assert entry.citation in page
    assert all(column.name in page for column in entry.columns)


def test_every_file_of_the_folder_is_in_the_index() -> None:
    folder = hglm.datasets._folder()
    files = {path.name for path in folder.iterdir()} - {"index.toml", "README.md"}
    assert files == {describe_dataset(name).file for name in NAMES}


@pytest.mark.parametrize("model", reference_ids())
def test_a_frame_needs_no_reordering_for_its_reference(model: str) -> None:
    """Treatment coding of the data as loaded is the coding the references used."""
    stored = reference(model)
    frame = load_dataset(dataset_name(stored))
    for name, levels in stored["categorical"].items():
        assert list(frame[name].cat.categories) == levels


@pytest.mark.parametrize("model", reference_ids("lmm"))
def test_group_sizes_are_those_of_the_references(model: str) -> None:
    stored = reference(model)
    frame = load_dataset(dataset_name(stored))
    assert len(frame) == stored["n_obs"]
    for group, n_levels in stored["n_groups"].items():
        assert frame.groupby(group.split(":"), observed=True).ngroups == n_levels


def test_the_balanced_analysis_of_dyestuff_is_the_published_one() -> None:
    """Davies & Goldsmith (1972), section 6.4: 56357.5 between (5 df), 58830 within (24 df)."""
    dyestuff = load_dataset("dyestuff")
    means = dyestuff.groupby("batch", observed=True)["yield"].transform("mean")
    between = np.sum((means - dyestuff["yield"].mean()) ** 2)
    within = np.sum((dyestuff["yield"] - means) ** 2)
    assert between == pytest.approx(56357.5, rel=1e-12)  # sums of integers and halves: exact
    assert within == pytest.approx(58830.0, rel=1e-12)


def test_derived_columns_are_what_their_descriptions_say() -> None:
    sleepstudy = load_dataset("sleepstudy")
    np.testing.assert_array_equal(sleepstudy["w"], 1 + sleepstudy["days"] % 3 / 2)
    np.testing.assert_array_equal(sleepstudy["off"], 250 + 5 * sleepstudy["days"])
    cbpp = load_dataset("cbpp")
    np.testing.assert_array_equal(cbpp["healthy"], cbpp["size"] - cbpp["incidence"])
    verbagg = load_dataset("verbagg")
    np.testing.assert_array_equal(verbagg["r2"], verbagg["resp"] >= "perhaps")


def test_each_call_returns_a_fresh_copy() -> None:
    first = load_dataset("dyestuff")
    first.loc[:, "yield"] = 0.0
    first["batch"] = first["batch"].cat.rename_categories(str.lower)
    assert load_dataset("dyestuff")["yield"].min() > 0
    assert list(load_dataset("dyestuff")["batch"].cat.categories) == list("ABCDEF")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("sleepstdy", "did you mean 'sleepstudy'?"),
        ("InstEval", "did you mean 'insteval'?"),
        ("dyestuf", "did you mean 'dyestuff' or 'dyestuff2'?"),
        ("mtcars", "list_datasets"),
        (["sleepstudy"], "did you mean 'sleepstudy'?"),
    ],
)
def test_an_unknown_name_gets_a_remedy(name: str, remedy: str) -> None:
    with pytest.raises(OptionError, match="There is no data set called") as caught:
        load_dataset(name)
    assert remedy in str(caught.value)


def test_the_list_agrees_with_the_descriptions() -> None:
    table = list_datasets()
    assert list(table.columns) == ["name", "title", "rows", "columns", "source"]
    assert table["name"].is_monotonic_increasing
    for row in table.itertuples():
        entry = describe_dataset(row.name)
        assert (row.title, row.rows, row.columns) == (entry.title, entry.rows, len(entry.columns))
