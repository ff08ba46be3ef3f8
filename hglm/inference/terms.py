"""How the terms of the fixed part lie to each other.

Hypotheses about a term are statements on the spaces that terms span, not on the
coefficients that a coding happens to give them. So the design is taken into two
other sets of columns, both spanning the same space:

* the *expanded* columns, a dummy for every level of every factor and every
  combination in an interaction, X_full = X_ref K: more of them than dimensions;
* the *reference* columns X_ref, chosen among those: a first level left out where
  earlier terms already say it. They are R's treatment coding, whatever coding the
  model has: X β = X_ref (M β).

Term E is contained in F if both have the same numeric factors and F has all the
categorical factors of E and more (SAS/STAT User's Guide, The Four Types of
Estimable Functions).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy import linalg

from hglm.design.arrays import PredictorDesign
from hglm.design.encoding import Columns
from hglm.design.recipe import DesignSpec
from hglm.errors import DataError
from hglm.numerics.rank import independent_columns
from hglm.typing import Matrix

__all__ = ["FixedTerms", "fixed_terms"]

Positions: TypeAlias = Mapping[str, tuple[int, ...]]
Factors: TypeAlias = Mapping[str, frozenset[str]]
"""Term -> expressions of its factors."""


@dataclass(frozen=True, slots=True)
class FixedTerms:
    """Terms of one predictor; see the module."""

    coefficients: Positions
    """Term -> its columns in X, in the order of the formula."""
    containing: Mapping[str, tuple[str, ...]]
    """Term -> the terms that contain it."""
    reference: Positions
    """Term -> its columns in X_ref."""
    to_reference: Matrix
    """(p, p) M."""
    triangle: Matrix
    """(p, p) upper, R of X_ref = QR."""
    expanded: Positions
    """Term -> its columns in X_full."""
    expansion: Matrix
    """(p, f) K."""

    @property
    def names(self) -> tuple[str, ...]:
        """Terms, without the intercept."""
        return tuple(name for name in self.coefficients if name != "Intercept")


def fixed_terms(
    design: PredictorDesign, spec: DesignSpec, frame: pd.DataFrame, predictor: str = "mean"
) -> FixedTerms:
    """Find the terms of a predictor's fixed part and their relations.

    Parameters
    ----------
    design
        Arrays of the predictor.
    spec
        Recipe of the design.
    frame : (n, ...)
        Columns of the data in the rows used, in the order of the design; looked at
        only where there are categorical factors.
    predictor
        Name of the predictor.
    """
    side = spec.predictors[predictor].formula.fixed
    factors: Factors = {}
    numeric: Factors = {}
    recipe = spec.encoding.specs.get(side)
    if recipe is None or not recipe.factor_contrasts:  # only numbers: nothing to expand
        full = Columns(design.X, design.names, design.terms)
    else:
        if len(frame) != len(design.X):
            raise DataError(
                f"Tests of terms need the factors in the {len(design.X)} rows of the fit, and the "
                f"data have {len(frame)} rows; use the fit as it was before its data were left out."
            )
        expanded = recipe.update(ensure_full_rank=False, structure=None)
        encoding = replace(spec.encoding, specs={side: expanded})
        data = {str(name): column for name, column in frame.items()}
        full = encoding.columns([side], data, frame.index)[side]
        factors, numeric = _factors(recipe)
    return _lay_out(design, full, _containment(tuple(design.terms), factors, numeric))


def _factors(recipe: Any) -> tuple[Factors, Factors]:
    """Categorical and numeric factors of each term."""
    categories = {str(factor) for factor in recipe.factor_contrasts}
    factors, numeric = {}, {}
    for term, parts in recipe.term_factors.items():
        names = frozenset(str(part) for part in parts) - {"1"}
        factors[str(term)] = names & categories
        numeric[str(term)] = names - categories
    return factors, numeric


def _containment(
    terms: tuple[str, ...],
    factors: Factors,
    numeric: Factors,
) -> dict[str, tuple[str, ...]]:
    none: frozenset[str] = frozenset()
    return {
        inner: tuple(
            outer
            for outer in terms
            if numeric.get(inner, none) == numeric.get(outer, none)
            and factors.get(inner, none) < factors.get(outer, none)
        )
        for inner in terms
    }


def _lay_out(
    design: PredictorDesign, full: Columns, containing: Mapping[str, tuple[str, ...]]
) -> FixedTerms:
    size = np.linalg.norm(design.X, axis=0)
    Q, R = np.linalg.qr(design.X / size)
    C = Q.T @ full.matrix  # X_full in orthonormal coordinates
    scan = [j for positions in full.terms.values() for j in reversed(positions)]
    chosen = {scan[i] for i in independent_columns(C[:, scan])}
    reference: dict[str, tuple[int, ...]] = {}
    columns: list[int] = []
    for term, positions in full.terms.items():
        own = [j for j in positions if j in chosen]
        reference[term] = tuple(range(len(columns), len(columns) + len(own)))
        columns += own
    C_ref = C[:, columns]
    return FixedTerms(
        coefficients=design.terms,
        containing=containing,
        reference=reference,
        to_reference=linalg.solve(C_ref, R * size) if columns else R,
        triangle=np.asarray(np.linalg.qr(C_ref, mode="r")),
        expanded=full.terms,
        expansion=linalg.solve(C_ref, C) if columns else C,
    )
