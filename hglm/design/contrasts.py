"""The argument `contrasts`: how categorical columns become numbers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from formulaic.transforms.contrasts import (
    C,
    Contrasts,
    DiffContrasts,
    HelmertContrasts,
    PolyContrasts,
    SASContrasts,
    SumContrasts,
    TreatmentContrasts,
)

from hglm.errors import DataError, OptionError
from hglm.formula.hints import did_you_mean, listing

__all__ = ["check_columns", "coded_columns", "resolve"]

_NAMED: Mapping[str, type[Contrasts]] = {
    "diff": DiffContrasts,
    "helmert": HelmertContrasts,
    "poly": PolyContrasts,
    "sas": SASContrasts,
    "sum": SumContrasts,
    "treatment": TreatmentContrasts,
}


def resolve(contrasts: Mapping[str, Any] | None) -> dict[str, Any]:
    """Contrasts by column, names replaced by formulaic's objects."""
    return {column: _resolve_one(column, value) for column, value in (contrasts or {}).items()}


def check_columns(contrasts: Mapping[str, Any], data: Mapping[str, pd.Series]) -> None:
    """Raise where the argument names a column without categories."""
    for column in contrasts:
        if column not in data:
            raise DataError(
                f"The argument `contrasts` names `{column}`, which the model does not use; the "
                f"model uses {listing(data)}."
            )
        if not isinstance(data[column].dtype, pd.CategoricalDtype):
            raise DataError(
                f"The argument `contrasts` names `{column}`, which is numeric; write "
                f"`C({column}, ...)` in the formula to make it categorical."
            )


def coded_columns(contrasts: Mapping[str, Any], data: Mapping[str, pd.Series]) -> dict[str, Any]:
    """Columns marked with their contrasts, to stand in for those of the frame."""
    return {column: C(data[column], value) for column, value in contrasts.items() if column in data}


def _resolve_one(column: str, value: Any) -> Any:
    if isinstance(value, str):
        name = value.removeprefix("contr.").casefold()
        if name not in _NAMED:
            raise OptionError(
                f"There are no contrasts `{value}` (given for `{column}`). "
                f"{did_you_mean(value, _NAMED)}"
            )
        return _NAMED[name]()
    if inspect.isclass(value) and issubclass(value, Contrasts):
        return value()
    if isinstance(value, (Contrasts, dict, list, np.ndarray)):
        return value
    raise OptionError(
        f"The contrasts for `{column}` are of type {type(value).__name__}; give a name such as "
        '"sum", a formulaic contrast object, or a matrix with a row for each level.'
    )
