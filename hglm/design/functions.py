"""Functions that a formula may call, and the columns that it needs."""

from __future__ import annotations

import builtins
import functools
from collections.abc import Collection, Iterable
from types import MappingProxyType
from typing import Any

import numpy as np
from formulaic.transforms import TRANSFORMS
from formulaic.utils.variables import Variable, get_required_variables

from hglm.errors import ColumnNotFoundError, FormulaError
from hglm.formula.hints import did_you_mean

__all__ = ["FUNCTIONS", "columns_of", "no_column"]


def _combine(*values: Any) -> list[Any]:
    """R's ``c``: a list of its arguments."""
    return list(values)


FUNCTIONS = MappingProxyType(
    {
        **TRANSFORMS,
        "abs": np.abs,
        "as.numeric": np.asarray,
        "c": _combine,
        "ceiling": np.ceil,
        "cos": np.cos,
        "expm1": np.expm1,
        "floor": np.floor,
        "log1p": np.log1p,
        "pmax": np.maximum,
        "pmin": np.minimum,
        "sin": np.sin,
        "sqrt": np.sqrt,
        "tanh": np.tanh,
    }
)
"""What an expression may call besides Python's builtins and ``np``."""

_ELSEWHERE = {
    "Error": "write strata as random effects, `(1 | g)`",
    "ifelse": "write `np.where(condition, a, b)`",
    "is.na": "put the result in a column of the data",
    "ns": "write `cr(x, df=4)` for a natural cubic spline",
    "ordered": "write `C(x, contr.poly)`",
    "relevel": 'write `C(x, Treatment("level"))`',
    "s": "write `bs(x, df=4)` or `cr(x, df=4)` for a spline with fixed effects",
    "te": "write `bs(x, df=4) : bs(z, df=4)`",
}


def columns_of(expression: str, available: Collection[str]) -> frozenset[str]:
    """Columns that an expression needs.

    Raises
    ------
    ColumnNotFoundError, FormulaError
        Where it names a column or calls a function that there is not.
    """
    if expression in available:
        return frozenset((expression,))
    found = set()
    for variable in _variables(expression):
        root = str(variable.root)
        if root in available:
            found.add(root)
        elif root not in FUNCTIONS and not hasattr(builtins, root):
            if Variable.Role.CALLABLE in variable.roles and root == str(variable):
                raise _no_function(root)
            raise no_column(root, available)
    return frozenset(found)


def no_column(name: str, available: Iterable[str], where: str = "data") -> ColumnNotFoundError:
    """Error for a column that the data do not have."""
    columns = [str(column) for column in available]
    dotted = [column for column in columns if column.startswith(f"{name}.")]
    hint = did_you_mean(name, columns)
    if dotted:
        hint = f"If you mean `{dotted[0]}`, write it in backticks."
    return ColumnNotFoundError(f"There is no column `{name}` in the {where}. {hint}".rstrip())


@functools.lru_cache(maxsize=1024)
def _variables(expression: str) -> tuple[Variable, ...]:
    if expression.isidentifier():
        return (Variable(expression, roles=("value",)),)
    return tuple(sorted(get_required_variables(expression, FUNCTIONS)))


def _no_function(name: str) -> FormulaError:
    remedy = _ELSEWHERE.get(name)
    if remedy is None:
        remedy = "write NumPy's functions as `np.name`, or put the result in a column of the data"
    return FormulaError(f"There is no function `{name}` for formulas; {remedy}.")
