"""Estimates on the response scale as estimates in their own right.

Differences of probabilities or of counts, rather than of their links: with μ_r the
response at row r and J = ∂μ/∂β̂ = diag(dμ/dη) L, functions of μ̂ have the covariance
J V J' (delta method) and the degrees of freedom of the same combination of the rows
of J.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hglm.inference.emmeans.estimable import EstimableSet
from hglm.inference.emmeans.scales import IDENTITY
from hglm.inference.tests import Denominator
from hglm.typing import Matrix, Vector

__all__ = ["on_response"]


@dataclass(frozen=True, slots=True, eq=False)
class _Delta:
    """A method of degrees of freedom carried over to functions of β̂."""

    method: Denominator
    jacobian: Matrix
    """(r, p) J."""

    @property
    def vcov(self) -> Matrix:
        """(r, r)"""
        out: Matrix = self.jacobian @ self.method.vcov @ self.jacobian.T
        return out

    def each(self, contrast: Matrix) -> Vector:
        """Degrees of freedom of each row (c, r) by itself. (c,)"""
        return self.method.each(contrast @ self.jacobian)

    def df(self, contrast: Matrix) -> tuple[float, float]:
        """Degrees of freedom of all rows (c, r) together, and the factor of F."""
        return self.method.df(contrast @ self.jacobian)


def on_response(functions: EstimableSet) -> EstimableSet:
    """Return the responses as estimates that can be averaged and contrasted.

    Parameters
    ----------
    functions
        Means on the linear scale.
    """
    eta = np.where(functions.estimable, functions.estimate, 0.0)
    mu, slope = functions.scale.response(eta)
    return replace(
        functions,
        rows=np.eye(len(mu)),
        offset=np.zeros(len(mu)),
        beta=np.where(functions.estimable, mu, 0.0),
        method=_Delta(functions.method, slope[:, None] * functions.rows),
        scale=IDENTITY,
    )
