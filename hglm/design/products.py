"""Right-hand sides that only multiply numeric columns: nothing is coded or learnt.

They are most random parts and many fixed ones. Their matrices are written down at
once, without formulaic, which costs a few milliseconds however small the data are.
Names and order of the columns are formulaic's.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import pandas as pd
from formulaic import Formula
from formulaic.parser.types import Factor, Term

from hglm.errors import DataError
from hglm.typing import Matrix

__all__ = ["Products", "formula_of", "product_matrix", "products_of"]

Products = tuple[tuple[str, ...], ...]
"""Columns that each term multiplies; none for the intercept."""


@functools.lru_cache(maxsize=256)
def formula_of(side: str) -> Formula:
    """Terms of a right-hand side."""
    return Formula(side)


def products_of(side: str, columns: Mapping[str, pd.Series]) -> Products | None:
    """Columns that each term multiplies, if all are numbers and nothing else is done to them."""
    products = _products(side)
    if products is None:
        return None
    numeric = all(_kind(columns, name) in "iuf" for product in products for name in product)
    return products if numeric else None


def product_matrix(products: Products, columns: Mapping[str, pd.Series], n: int) -> Matrix:
    """Multiply the columns of each term. (n, p) in Fortran order

    Raises
    ------
    DataError
        If a column does not hold numbers.
    """
    out = np.ones((n, len(products)), order="F")
    for j, product in enumerate(products):
        for name in product:
            if _kind(columns, name) not in "biuf":
                raise DataError(
                    f"The column `{name}` is not numeric, as it was in the data of the fit; "
                    "convert it to numbers."
                )
            out[:, j] *= columns[name].to_numpy()
    return out


@functools.lru_cache(maxsize=256)
def _products(side: str) -> Products | None:
    products = [_columns(term) for term in formula_of(side)]
    found = tuple(product for product in products if product is not None)
    return found if len(found) == len(products) else None


def _columns(term: Term) -> tuple[str, ...] | None:
    if str(term) == "1":
        return ()
    looked_up = all(factor.eval_method is Factor.EvalMethod.LOOKUP for factor in term.factors)
    return tuple(factor.expr for factor in term.factors) if looked_up else None


def _kind(columns: Mapping[str, pd.Series], name: str) -> str:
    """NumPy's letter for the type of a column; "O" for none and for types that are pandas' own."""
    dtype = columns[name].dtype if name in columns else None
    return dtype.kind if isinstance(dtype, np.dtype) else "O"
