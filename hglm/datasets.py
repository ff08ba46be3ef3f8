"""The data sets that come with the package.

Each is a CSV file beside one index, `index.toml`, which says what it is, where
it came from, whom to cite, and for each column its role, type, unit and
categories. The files stand in `hglm/_data` of an installed package and in
`datasets/` of a checkout.
"""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hglm.errors import OptionError

__all__ = [
    "Column",
    "Dataset",
    "describe_dataset",
    "list_datasets",
    "load_dataset",
]

_PACKAGED = Path(__file__).parent / "_data"
_CHECKOUT = Path(__file__).parents[1] / "datasets"
_NUMERIC = {"integer": "int64", "float": "float64"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a data set, as the index describes it."""

    name: str
    role: str
    """response, covariate, factor, group, trials, weight, offset, variance or label."""
    type: str
    """integer, float, categorical or ordered."""
    description: str
    unit: str = ""
    """Empty where there is none."""
    categories: tuple[str, ...] = ()
    """Documented order; empty where it is plain sorting."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One data set, as the index describes it."""

    name: str
    title: str
    description: str
    file: str
    rows: int
    source: str
    """Where this copy came from."""
    citation: str
    """The publication to cite."""
    licence: str
    """Terms or provenance, as far as known."""
    columns: tuple[Column, ...]

    def __str__(self) -> str:
        width = max(len(column.name) for column in self.columns)
        return "\n".join(
            [
                f"{self.title} ({self.name}, {self.rows} rows)",
                self.description,
                *(f"  {column.name:<{width}}  {_describe(column)}" for column in self.columns),
                f"Source: {self.source}",
                f"Cite: {self.citation}",
                f"Licence: {self.licence}",
            ]
        )


def load_dataset(name: str) -> pd.DataFrame:
    """Return a data set as a new frame.

    Factors and grouping factors are categorical, with their categories in the
    documented order; ordinal responses are ordered categoricals.

    Parameters
    ----------
    name
        One of the names in `list_datasets`.

    Examples
    --------
    >>> load_dataset("dyestuff").groupby("batch", observed=True)["yield"].mean()
    batch
    A    1505.0
    B    1528.0
    C    1564.0
    D    1498.0
    E    1600.0
    F    1470.0
    Name: yield, dtype: float64
    """
    dataset = describe_dataset(name)
    frame = pd.read_csv(
        _folder() / dataset.file,
        dtype={column.name: _NUMERIC.get(column.type, "str") for column in dataset.columns},
        keep_default_na=False,  # a level may be called "NA" or "None"
        na_values=[""],
    )
    for column in dataset.columns:
        if column.type not in _NUMERIC:
            frame[column.name] = _categorical(frame[column.name], column)
    return frame


def list_datasets() -> pd.DataFrame:
    """Return one row a data set: name, title, rows, columns, source.

    Examples
    --------
    >>> "sleepstudy" in set(list_datasets()["name"])
    True
    """
    return pd.DataFrame(
        {
            "name": dataset.name,
            "title": dataset.title,
            "rows": dataset.rows,
            "columns": len(dataset.columns),
            "source": dataset.source,
        }
        for dataset in _index().values()
    )


def describe_dataset(name: str) -> Dataset:
    """Return what the index says about a data set; it prints as a page.

    Examples
    --------
    >>> describe_dataset("dyestuff").citation[:48]
    'Davies, O. L. & Goldsmith, P. L. (eds) (1972). S'
    >>> [column.role for column in describe_dataset("dyestuff").columns]
    ['group', 'response']
    """
    try:
        return _index()[name]
    except (KeyError, TypeError):
        raise OptionError(_unknown(name)) from None


def _unknown(name: object) -> str:
    near = difflib.get_close_matches(str(name).lower(), _index(), n=3, cutoff=0.6)
    remedy = (
        f"did you mean {' or '.join(map(repr, near))}?"
        if near
        else "hglm.list_datasets() shows all there are."
    )
    return f"There is no data set called {name!r}: {remedy}"


def _categorical(values: pd.Series[Any], column: Column) -> pd.Series[Any]:
    levels = list(column.categories) or sorted(values.dropna().unique())
    return values.astype(pd.CategoricalDtype(levels, ordered=column.type == "ordered"))


def _describe(column: Column) -> str:
    unit = f", {column.unit}" if column.unit else ""
    levels = f": {', '.join(column.categories)}" if column.categories else ""
    return f"{column.description} ({column.role}, {column.type}{unit}){levels}"


@functools.cache
def _index() -> Mapping[str, Dataset]:
    entries = tomllib.loads((_folder() / "index.toml").read_text(encoding="utf-8"))
    return {name: _dataset(name, **entry) for name, entry in sorted(entries.items())}


def _dataset(name: str, *, columns: Mapping[str, Mapping[str, Any]], **entry: Any) -> Dataset:
    return Dataset(
        name=name,
        columns=tuple(
            Column(
                name=column,
                role=facts["role"],
                type=facts["type"],
                description=facts["description"],
                unit=facts.get("unit", ""),
                categories=tuple(facts.get("categories", ())),
            )
            for column, facts in columns.items()
        ),
        **entry,
    )


def _folder() -> Path:
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
