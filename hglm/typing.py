"""Array aliases used in signatures. Shapes are given in the docstrings."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["AnyArray", "BoolArray", "Codes", "Frame", "Matrix", "Vector"]

Vector: TypeAlias = npt.NDArray[np.float64]
"""One-dimensional float64 array."""

Matrix: TypeAlias = npt.NDArray[np.float64]
"""Float64 array of two or more dimensions."""

Codes: TypeAlias = npt.NDArray[np.intp]
"""Integer codes 0 ... n_levels - 1 (-1: no such level)."""

BoolArray: TypeAlias = npt.NDArray[np.bool_]
AnyArray: TypeAlias = npt.NDArray[Any]

Frame: TypeAlias = Any
"""Any data frame that narwhals understands: pandas, polars, pyarrow, ..."""
