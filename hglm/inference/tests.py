"""Tests and intervals of linear functions of the fixed effects.

A method of degrees of freedom is a `Denominator`: a covariance of β̂ and a rule
for ν. With it, t = (l'β̂ - rhs)/√(l'Vl) and F = (Lβ̂ - rhs)'(LVL')^-1(Lβ̂ - rhs)/r,
times the scaling of Kenward and Roger; ν = ∞ gives the normal and chi-square tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from scipy import linalg, special

from hglm.errors import OptionError
from hglm.fitting.record import Estimates
from hglm.inference.contrasts import reduced
from hglm.inference.kenward_roger import kenward_roger
from hglm.inference.quantiles import critical_value
from hglm.inference.satterthwaite import satterthwaite
from hglm.typing import Matrix, Vector

__all__ = [
    "ContrastTest",
    "Ddf",
    "Denominator",
    "Fixed",
    "RowTests",
    "contrast_test",
    "denominator",
    "joint_test",
    "named_contrast",
    "row_tests",
    "wald_intervals",
]


class Denominator(Protocol):
    """A covariance of the fixed effects and the degrees of freedom it has."""

    @property
    def vcov(self) -> Matrix:
        """(p, p)"""
        ...

    def each(self, contrast: Matrix) -> Vector:
        """Degrees of freedom of each row (r, p) by itself. (r,)"""
        ...

    def df(self, contrast: Matrix) -> tuple[float, float]:
        """Degrees of freedom of all rows (r, p) together, and the factor of F.

        NaN where the covariance does not suffice to test so many rows.
        """
        ...


Ddf: TypeAlias = str | float | Denominator
"""A method of degrees of freedom by name, a number, or a prepared method."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same degrees of freedom for every hypothesis."""

    vcov: Matrix
    value: float

    def each(self, contrast: Matrix) -> Vector:
        """Degrees of freedom of each row. (r,)"""
        return np.full(len(contrast), self.value)

    def df(self, contrast: Matrix) -> tuple[float, float]:
        """Degrees of freedom of all rows together, and the factor of F."""
        return self.value, 1.0


def _asymptotic(estimates: Estimates) -> Fixed:
    return Fixed(estimates.vcov, np.inf)


def _residual(estimates: Estimates) -> Fixed:
    return Fixed(estimates.vcov, estimates.nobs - len(estimates.beta))


METHODS: Mapping[str, Callable[[Estimates], Denominator]] = {
    "satterthwaite": satterthwaite,
    "kenward-roger": kenward_roger,
    "asymptotic": _asymptotic,
    "residual": _residual,
}
"""Methods of degrees of freedom by name."""


def denominator(estimates: Estimates, ddf: Ddf) -> Denominator:
    """Prepare a method of degrees of freedom for a fit.

    Parameters
    ----------
    estimates
        Of a linear mixed model; ``"asymptotic"`` and ``"residual"`` take any.
    ddf
        ``"satterthwaite"``, ``"kenward-roger"``, ``"residual"`` (n - p),
        ``"asymptotic"`` (infinite), a number, or a method that was prepared before,
        which may have a covariance of its own.
    """
    if not isinstance(ddf, (str, int, float)):
        return ddf
    if not isinstance(ddf, str):
        if not ddf > 0.0:
            raise OptionError(f"The option ddf={ddf!r} is not positive; give a method or a number.")
        return Fixed(estimates.vcov, float(ddf))
    if ddf not in METHODS:
        known = ", ".join(f'"{name}"' for name in METHODS)
        raise OptionError(f"There is no method ddf={ddf!r}; choose one of {known}.")
    return METHODS[ddf](estimates)


@dataclass(frozen=True, slots=True)
class RowTests:
    """Two-sided t tests of single rows (z tests where df is infinite)."""

    estimate: Vector
    """(r,) l'β̂."""
    std_error: Vector
    statistic: Vector
    df: Vector
    p_value: Vector


@dataclass(frozen=True, slots=True, repr=False)
class ContrastTest:
    """Test of several rows together."""

    F: float
    """Wald statistic over the rank, scaled."""
    num_df: int
    """Rank of the hypothesis."""
    den_df: float
    """∞ for the chi-square test."""
    p_value: float
    scaling: float = 1.0
    """Factor that F contains."""

    def __repr__(self) -> str:
        return f"F({self.num_df}, {self.den_df:.4g}) = {self.F:.4g}, p = {self.p_value:.3g}"


def row_tests(
    beta: Vector, method: Denominator, contrast: Matrix, rhs: Vector | float = 0.0
) -> RowTests:
    """Test each row l'β = rhs by itself.

    Parameters
    ----------
    beta : (p,)
    method
        From `denominator`.
    contrast : (r, p)
    rhs : (r,) or number
    """
    estimate = contrast @ beta
    std_error = np.sqrt(np.einsum("ri,ij,rj->r", contrast, method.vcov, contrast))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = (estimate - rhs) / std_error
    df = method.each(contrast)
    return RowTests(estimate, std_error, statistic, df, 2.0 * _lower_t(df, -np.abs(statistic)))


def contrast_test(
    estimates: Estimates, contrast: Matrix, ddf: Ddf = "satterthwaite", rhs: Vector | float = 0.0
) -> ContrastTest:
    """Test L β = rhs, all rows together.

    The result depends on the hypothesis only, not on the rows by which it is told.

    Parameters
    ----------
    estimates
        Of the model.
    contrast : (r, p) or (p,)
        L; rows that repeat others are counted once.
    ddf
        See `denominator`.
    rhs : (r,) or number
    """
    L = np.atleast_2d(np.asarray(contrast, dtype=np.float64))
    p = len(estimates.beta)
    if L.ndim != 2 or L.shape[1] != p or not np.isfinite(L).all():
        raise OptionError(
            f"The contrast has shape {np.shape(contrast)}; give a finite number for each of the "
            f"{p} fixed effects in every row."
        )
    value = np.broadcast_to(np.asarray(rhs, dtype=np.float64), (len(L),))
    point, *_ = np.linalg.lstsq(L, value, rcond=None)  # Lβ = rhs is L(β - point) = 0
    if not np.allclose(L @ point, value, atol=1e-8 * max(1.0, float(np.abs(value).max(initial=0)))):
        raise OptionError("The rows of the contrast contradict one another: no β gives this `rhs`.")
    return joint_test(estimates.beta - point, denominator(estimates, ddf), reduced(L))


def named_contrast(contrast: Matrix | str | Sequence[str], names: Sequence[str]) -> Matrix:
    """Make rows of a contrast that may be told by names of coefficients.

    Parameters
    ----------
    contrast : (r, p) or (p,)
        Or names of coefficients that are to be tested together.
    names : (p,)

    Examples
    --------
    >>> named_contrast(["b", "a"], ["a", "b", "c"])
    array([[0., 1., 0.],
           [1., 0., 0.]])
    """
    given = [contrast] if isinstance(contrast, str) else contrast
    if not all(isinstance(name, str) for name in given):
        return np.atleast_2d(np.asarray(contrast, dtype=np.float64))
    for name in given:
        if name not in names:
            raise OptionError(
                f"There is no coefficient {name!r} to test; there is {', '.join(names)}. Numbers "
                "go in `rhs`, other hypotheses in rows with a number for each coefficient."
            )
    return np.eye(len(names))[[list(names).index(str(name)) for name in given]]


def joint_test(beta: Vector, method: Denominator, rows: Matrix) -> ContrastTest:
    """Test L β = 0 for rows L that are linearly independent.

    Parameters
    ----------
    beta : (p,)
    method
        From `denominator`.
    rows : (r, p)
    """
    r = len(rows)
    if r == 0:
        return ContrastTest(np.nan, 0, np.nan, np.nan)
    df, scaling = method.df(rows)
    if np.isnan(df):
        return ContrastTest(np.nan, r, np.nan, np.nan)
    value = rows @ beta
    wald = float(value @ linalg.solve(rows @ method.vcov @ rows.T, value, assume_a="pos"))
    F = scaling * wald / r
    p = special.chdtrc(r, r * F) if np.isinf(df) else special.fdtrc(r, df, F)
    return ContrastTest(F, r, df, float(p), scaling)


def wald_intervals(estimates: Estimates, level: float = 0.95, ddf: Ddf = "satterthwaite") -> Matrix:
    """Wald intervals of the fixed effects, β̂ ± t·se.

    Parameters
    ----------
    estimates
        Of the model.
    level
        Coverage.
    ddf
        See `denominator`.

    Returns
    -------
    (p, 2)
    """
    method = denominator(estimates, ddf)
    df = method.each(np.eye(len(estimates.beta)))
    half = np.sqrt(np.diagonal(method.vcov)) * [critical_value(level, v) for v in df]
    return np.column_stack([estimates.beta - half, estimates.beta + half])


def _lower_t(df: Vector, t: Vector) -> Vector:
    """P(T ≤ t); the normal distribution where df is infinite."""
    out: Vector = np.where(
        np.isinf(df), special.ndtr(t), special.stdtr(np.where(np.isinf(df), 1.0, df), t)
    )
    return out
