"""What a Gaussian model cannot tell from its residual."""

from __future__ import annotations

import itertools

import numpy as np

from hglm.design.arrays import Design, RandomTerm
from hglm.errors import DataError
from hglm.numerics.rank import independent_columns
from hglm.typing import Matrix

__all__ = ["check_levels"]


def check_levels(design: Design) -> None:
    """Raise where a random term is a second residual.

    When every row is a level of its own, a term adds z' Sigma z to the
    variance of a row, whose residual variance is sigma²/w. Sigma and sigma²
    cannot both be estimated if 1/w is a linear combination of the products of
    the columns z; for `(1 | g)` that is when the weights are all equal.

    Raises
    ------
    DataError
    """
    for term in design.mean.random:
        repeats = term.n_levels < design.n or term.relation is not None
        if not repeats and _spans_residual(term, design):
            raise DataError(
                f"The grouping factor `{term.group}` has as many levels as there are rows "
                f"({design.n}), so its effects cannot be told from the residual; leave the term "
                "out or group by something that repeats."
            )


def _spans_residual(term: RandomTerm, design: Design) -> bool:
    weights = np.ones(design.n) if design.weights is None else design.weights
    if term.positions is not None:  # a row has one coefficient, whose variance is all
        return bool(np.ptp(weights) == 0.0)
    variances = np.column_stack([_products(term.z, term.structure), 1 / weights])
    last = variances.shape[1] - 1
    return last not in independent_columns(variances)


def _products(z: Matrix, structure: str) -> Matrix:
    """Columns of the variance's dependence on Sigma: z_a z_b, or z_a² alone."""
    pairs = itertools.combinations_with_replacement(range(z.shape[1]), 2)
    chosen = [(a, b) for a, b in pairs if a == b or structure not in ("diag", "homdiag")]
    return np.column_stack([z[:, a] * z[:, b] for a, b in chosen])
