"""What a cluster-robust covariance offers to tests, tables and intervals.

The covariance of a sum over C independent clusters is known with about as many degrees
of freedom as there are clusters. Linear models have a working model from which they are
computed (`hglm.inference.diagnostics.robust`); elsewhere they are C - 1 (Cameron & Miller
2015, J. Human Resources 50, 317-372, sec. VI.D), and r rows are tested as means would be,
by Hotelling's T² with η = C - 1,

    F = (η - r + 1)/(ηr) Wald ~ F(r, η - r + 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from hglm.errors import OptionError
from hglm.fitting.record import Estimates
from hglm.inference.tests import Denominator
from hglm.typing import Matrix, Vector

__all__ = ["FixedRobust", "RobustCovariance", "with_ddf"]


@runtime_checkable
class RobustCovariance(Denominator, Protocol):
    """A covariance of the fixed effects that is robust within clusters."""

    @property
    def kind(self) -> str:
        """``"CR0"``, ``"CR1"`` or ``"CR2"``."""
        ...

    @property
    def cluster(self) -> str:
        """Name of the clustering factor."""
        ...

    @property
    def n_clusters(self) -> int:
        """C."""
        ...

    @property
    def rule(self) -> str:
        """Where degrees of freedom come from, in words."""
        ...

    @property
    def others(self) -> Mapping[str, Matrix]:
        """Covariances (p, p) of the fixed effects of further predictors by name."""
        ...


@dataclass(frozen=True, slots=True)
class FixedRobust:
    """A robust covariance with the same degrees of freedom for every single row."""

    vcov: Matrix
    """(p, p)"""
    kind: str
    cluster: str
    n_clusters: int
    value: float
    """η: degrees of freedom of a single row."""
    rule: str
    others: Mapping[str, Matrix]

    def each(self, contrast: Matrix) -> Vector:
        """Degrees of freedom of each row (r, p) by itself. (r,)"""
        return np.full(len(contrast), self.value)

    def df(self, contrast: Matrix) -> tuple[float, float]:
        """Denominator degrees of freedom of all rows (r, p) together, and the factor of F."""
        r = len(contrast)
        if r > min(self.n_clusters - 1.0, self.value):  # too few to test so many rows
            return float("nan"), float("nan")
        if np.isinf(self.value):
            return self.value, 1.0
        df = self.value - r + 1.0
        return df, df / self.value


def with_ddf(
    robust: RobustCovariance, ddf: str | float | None, estimates: Estimates
) -> RobustCovariance:
    """Return a robust covariance with degrees of freedom by another rule.

    Parameters
    ----------
    robust
        From `hglm.inference.diagnostics.robust.cluster_robust`.
    ddf
        None for its own, ``"asymptotic"``, ``"residual"``, or a number.
    estimates
        Of the fit.
    """
    if ddf is None:
        return robust
    if ddf == "asymptotic":
        value, rule = np.inf, "tests and intervals by the normal approximation"
    elif ddf == "residual":
        value = estimates.nobs - len(estimates.beta)
        rule = "degrees of freedom: observations less fixed effects"
    elif not isinstance(ddf, str) and ddf > 0.0:
        value, rule = float(ddf), f"degrees of freedom: {ddf:g}"
    else:
        raise OptionError(
            f"The option ddf={ddf!r} does not go with a cluster-robust covariance, which has "
            'degrees of freedom of its own: leave it out, or give "asymptotic", "residual" or a '
            "positive number."
        )
    return FixedRobust(
        robust.vcov, robust.kind, robust.cluster, robust.n_clusters, value, rule, robust.others
    )
