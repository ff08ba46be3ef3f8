"""Joint covariance of the errors of fixed and random effects, in factored form.

Henderson's mixed model equations (Henderson 1975, Biometrics 31, 423-447;
Robinson 1991, Statistical Science 6, 15-32, sec. 2) have the inverse

    Var [β̂ - β] = σ² [  C     -CB'   ]     C = (X'V^-1X)^-1,  Q = (Z'Z + Σ^-1)^-1
        [b̂ - b]      [ -BC   Q + BCB' ]     B = QZ'X

on rows weighted by √w, Σ relative to σ². With C = RR' the error of x'β̂ + z'b̂ has
variance

    σ² (|x'R - z'G'|² + z'Qz),   G' = BR.                                     (1)

The same form serves generalised models: whatever is estimated, with covariance RR',
moves the mode of the random effects by a linear map (`hglm.inference.errors_of_fit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hglm.covariance import Slot
from hglm.design.arrays import RandomTerm
from hglm.numerics.factor import Factor, Plan, factorise
from hglm.numerics.gramian import Gramian
from hglm.numerics.quadratic_forms import GroupRows, quadratic_forms
from hglm.typing import Matrix, Vector

__all__ = ["JointCovariance", "error_variances", "group_rows"]


@dataclass(frozen=True, slots=True)
class JointCovariance:
    """Covariance of (β̂ - β, b̂ - b), scale times what the other fields give."""

    scale: float
    """σ²; 1 for generalised models."""
    root: Matrix
    """(p, r) R: Var(β̂) = scale RR'."""
    sensitivity: tuple[Matrix, ...]
    """(r, k, q) per group: G, in the standardised columns of the group."""
    gramian: Gramian
    """Z'Z, or Z'WZ with the weights at the mode."""
    plan: Plan
    T: tuple[Matrix, ...]
    """(k, k) relative covariance factor of each group."""
    slots: tuple[Slot, ...]
    """Place of each estimated term among the groups."""
    maps: tuple[Matrix, ...]
    """(k, k) S of each estimated term: its coefficients are S b."""

    def factor(self) -> Factor:
        """Factor V afresh, since some uses spoil the factor."""
        return factorise(self.gramian, self.plan, self.T)


def group_rows(
    joint: JointCovariance, terms: Sequence[RandomTerm | None], m: int
) -> list[GroupRows]:
    """Columns of m rows in the coordinates of the groups.

    Parameters
    ----------
    terms
        For each estimated term its columns in the rows; None leaves it out.
    m
        Number of rows.
    """
    rows = [
        GroupRows(np.full(m, -1, dtype=np.intp), np.zeros((m, k))) for k in joint.gramian.orders
    ]
    for slot, S, term in zip(joint.slots, joint.maps, terms, strict=True):
        if term is not None:
            z = rows[slot.group].z
            own, codes = term.columns() @ S, term.codes
            if term.relation is not None:  # one level, with the coefficients of RU
                root = term.relation.root[np.maximum(codes, 0)]
                own = (own[:, :, None] * root[:, None]).reshape(m, -1)
                codes = np.minimum(codes, 0)
            z[:, slot.columns] = own
            rows[slot.group] = GroupRows(codes, z)  # the same codes for terms of one group
    return rows


def error_variances(joint: JointCovariance, X: Matrix, rows: Sequence[GroupRows]) -> Vector:
    """Variance of the error of x'β̂ + z'b̂, eq. (1).

    Parameters
    ----------
    X : (m, p)
    rows
        From `group_rows`; a row without a level of a group has no z there.

    Returns
    -------
    (m,)
    """
    half = X @ joint.root  # (m, r)
    for group, sensitivity in zip(rows, joint.sensitivity, strict=True):
        known = group.known
        codes, z = group.codes[known], group.z[known]
        for a in range(sensitivity.shape[1]):
            half[known] -= sensitivity[:, a, codes].T * z[:, a, None]
    out: Vector = np.einsum("mr,mr->m", half, half)
    if rows:
        out += quadratic_forms(joint.factor(), rows)
    out *= joint.scale
    return out
