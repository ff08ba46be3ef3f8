"""Functions that a formula may call, and the columns that it needs."""

from __future__ import annotations

import ast
import builtins
import functools
from collections.abc import Collection, Iterable
from types import MappingProxyType
from typing import Any

import numpy as np
from formulaic.transforms import TRANSFORMS
from formulaic.utils.code import sanitize_variable_names

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

_TYPES = frozenset(("bool", "float", "int", "str"))  # as in x.astype(float)
_ELSEWHERE = {
    "Error": "write strata as random effects, `(1 | g)`",
    "ifelse": "write `np.where(condition, a, b)`",
    "is.na": "put the result in a column of the data",
    "ns": "write `cr(x, df=4)` for a natural cubic spline",
    "offset": "write an offset as a term of its own, `+ offset(x)`",
    "ordered": "write `C(x, contr.poly)`",
    "relevel": 'write `C(x, Treatment("level"))`',
    "s": "write `bs(x, df=4)` or `cr(x, df=4)` for a spline with fixed effects",
    "te": "write `bs(x, df=4) : bs(z, df=4)`",
}


def columns_of(expression: str, available: Collection[str], title: str = "data") -> frozenset[str]:
    """Columns that an expression needs.

    Raises
    ------
    ColumnNotFoundError, FormulaError
        Where it names a column or calls a function that there is not.
    """
    if expression in available:
        return frozenset((expression,))
    called, named = _names(expression)
    for name in sorted(called):
        if name not in FUNCTIONS and not hasattr(builtins, name):
            raise _no_function(name)
    for name in sorted(named):
        known_argument = name != expression and (name in FUNCTIONS or name in _TYPES)
        if name not in available and not known_argument:
            raise no_column(name, available, title)
    return named & frozenset(available)


def no_column(name: str, available: Iterable[str], title: str) -> ColumnNotFoundError:
    """Error for a column that the data do not have."""
    columns = [str(column) for column in available]
    dotted = [column for column in columns if column.startswith(f"{name}.")]
    hint = did_you_mean(name, columns)
    if dotted:
        hint = f"If you mean `{dotted[0]}`, write it in backticks."
    return ColumnNotFoundError(f"There is no column `{name}` in the {title}. {hint}".rstrip())


@functools.lru_cache(maxsize=1024)
def _names(expression: str) -> tuple[frozenset[str], frozenset[str]]:
    """Names that an expression calls, and all other names in it."""
    if expression.isidentifier():
        return frozenset(), frozenset((expression,))
    aliases: dict[str, str] = {}
    try:
        tree = ast.parse(sanitize_variable_names(expression, {}, aliases), mode="eval")
    except SyntaxError:
        return frozenset(), frozenset((expression,))
    nodes = list(ast.walk(tree))
    functions = [node.func for node in nodes if isinstance(node, ast.Call)]
    called = {function.id for function in functions if isinstance(function, ast.Name)}
    named = {node.id for node in nodes if isinstance(node, ast.Name) and node not in functions}
    quoted = {
        str(node.args[0].value)  # patsy's Q("odd name")
        for node in nodes
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "Q"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    original = (aliases.get(name, name) for name in named)
    return frozenset(called), frozenset((*original, *quoted))


def _no_function(name: str) -> FormulaError:
    remedy = _ELSEWHERE.get(name)
    if remedy is None:
        remedy = "write NumPy's functions as `np.name`, or put the result in a column of the data"
    return FormulaError(f"There is no function `{name}` for formulas; {remedy}.")
