"""Which of two random parts is the other with one variance more.

The likelihood-ratio statistic of a variance that may be zero follows, under the
null hypothesis, not a chi-square but a mixture. If exactly one variance is added,
with the covariances that it brings along, the mixture is

    ½ χ²(d - 1) + ½ χ²(d),   d the number of parameters added

(Self & Liang 1987, JASA 82, 605-610, case 6; Stram & Lee 1994, Biometrics 50,
1171-1177), provided that the other variances are positive. Whether it is so is
read off the design, never off the formula: terms are equal if they have the same
groups and, where the structure absorbs linear changes, columns of the same span.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from hglm.covariance import STRUCTURES
from hglm.covariance.diagonal import Diagonal
from hglm.covariance.unstructured import Unstructured
from hglm.design.arrays import PredictorDesign, RandomTerm
from hglm.typing import Codes, Matrix

__all__ = ["added_variance", "adds_one_variance", "boundary_p_value", "spans"]

TOLERANCE = 1e-8
"""Residual of a column, relative to its length, that counts as zero."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Coefficients of one group that have a covariance of their own."""

    codes: Codes
    z: Matrix
    """(n, k)"""
    kind: str
    """``"us"``, or the structure of a block that has to be met exactly."""
    name: str
    """``"sd(Intercept | g)"``, of its first coefficient."""


def boundary_p_value(statistic: float, df: float) -> float:
    """P-value of a likelihood ratio when one of `df` parameters is a variance.

    Examples
    --------
    >>> boundary_p_value(2.7055, 1)
    0.05000...
    """
    lower = special.chdtrc(df - 1.0, statistic) if df > 1.0 else float(statistic <= 0.0)
    return 0.5 * float(lower) + 0.5 * float(special.chdtrc(df, statistic))


def adds_one_variance(small: PredictorDesign, large: PredictorDesign) -> bool:
    """Tell whether the random part of `large` has one variance more, and is else the same.

    The variance may be that of a new term, or of one more column of an
    unstructured term, whose covariances with the other columns come with it.
    Designs must have the same rows.
    """
    unmatched, left = _differences(small, large)
    if len(left) != 1 or len(unmatched) > 1:
        return False
    return _grows(unmatched[0], left[0]) if unmatched else left[0].z.shape[1] == 1


def added_variance(small: PredictorDesign, large: PredictorDesign) -> str | None:
    """Name the variance that `large` has more if it comes without covariances.

    ``"sd(Intercept | g)"``; None where the random parts differ in anything else.
    """
    unmatched, left = _differences(small, large)
    alone = len(left) == 1 and not unmatched and left[0].z.shape[1] == 1
    return left[0].name if alone else None


def _differences(
    small: PredictorDesign, large: PredictorDesign
) -> tuple[list[_Block], list[_Block]]:
    """Blocks that only one of two random parts has."""
    left = [block for term in large.random for block in _blocks(term)]
    unmatched = []
    for block in (block for term in small.random for block in _blocks(term)):
        twin = next((i for i, other in enumerate(left) if _same(block, other)), None)
        if twin is None:
            unmatched.append(block)
        else:
            left.pop(twin)
    return unmatched, left


def spans(inner: Matrix, outer: Matrix) -> bool:
    """Tell whether the columns of inner (n, j) are combinations of those of outer (n, k)."""
    if not inner.shape[1]:
        return True
    if not outer.shape[1]:
        return False
    size = np.linalg.norm(outer, axis=0)
    Q, _ = np.linalg.qr(outer / np.where(size > 0.0, size, 1.0))
    left = inner - Q @ (Q.T @ inner)
    lengths = np.linalg.norm(inner, axis=0)
    return bool(np.all(np.linalg.norm(left, axis=0) <= TOLERANCE * lengths))


def _blocks(term: RandomTerm) -> Sequence[_Block]:
    kind = STRUCTURES.get(term.structure)
    names = [f"sd({name} | {term.group})" for name in term.names]
    if term.k == 1 or isinstance(kind, Unstructured):
        return [_Block(term.codes, term.z, "us", names[0])]
    if isinstance(kind, Diagonal):
        return [_Block(term.codes, term.z[:, [j]], "us", names[j]) for j in range(term.k)]
    return [_Block(term.codes, term.z, term.structure, names[0])]


def _same(a: _Block, b: _Block) -> bool:
    if a.kind != b.kind or a.z.shape != b.z.shape or not _same_groups(a.codes, b.codes):
        return False
    if a.kind != "us":
        return np.array_equal(a.z, b.z)
    return spans(a.z, b.z)


def _grows(small: _Block, large: _Block) -> bool:
    """Tell whether a block is an unstructured one with one column more."""
    return (
        small.kind == large.kind == "us"
        and large.z.shape[1] == small.z.shape[1] + 1
        and _same_groups(small.codes, large.codes)
        and spans(small.z, large.z)
    )


def _same_groups(a: Codes, b: Codes) -> bool:
    """Tell whether two codings (n,) part the rows alike."""
    n_a, n_b = int(a.max()) + 1, int(b.max()) + 1
    return n_a == n_b == len(np.unique(a * n_b + b))
