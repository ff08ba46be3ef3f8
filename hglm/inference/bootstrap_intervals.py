"""Confidence intervals from bootstrap replicates.

With replicates t*_1 ... t*_n of an estimate t and quantiles t*_(p), the (n + 1)p-th of
them in order,

    normal        t - bias ± z s*,                       bias = mean t* - t
    basic         (2t - t*_(1-α/2), 2t - t*_(α/2))
    percentile    (t*_(α/2), t*_(1-α/2))
    BCa           (t*_(α_1), t*_(α_2)),  α_i = Φ(z_0 + (z_0 ∓ z)/(1 - a (z_0 ∓ z)))

(Davison & Hinkley 1997, Bootstrap Methods and their Application, ch. 5; Efron 1987,
JASA 82, 171-185). z_0 = Φ^-1(P(t* < t)) corrects for bias, and the acceleration a for a
standard error that changes with the parameter: from the jackknife over independent units,
a = Σ d_i³ / 6(Σ d_i²)^{3/2}, d_i = mean t_(-i) - t_(-i).
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy.special import ndtr, ndtri

from hglm.errors import OptionError
from hglm.inference.quantiles import critical_value
from hglm.typing import Matrix, Vector

__all__ = ["IntervalKind", "acceleration", "bootstrap_interval", "check_replicates", "fewest"]

IntervalKind: TypeAlias = Literal["percentile", "basic", "normal", "bca"]


def fewest(level: float, kind: IntervalKind) -> int:
    """Smallest number of replicates that has the quantiles of such an interval."""
    return 2 if kind == "normal" else int(np.ceil(2.0 / (1.0 - level) - 1e-9)) - 1


def check_replicates(n: int, level: float, kind: IntervalKind) -> None:
    """Raise `OptionError` unless n replicates are enough for such an interval."""
    known = get_args(IntervalKind)
    if kind not in known:
        raise OptionError(
            f"There is no bootstrap interval {kind!r}; choose one of {', '.join(map(repr, known))}."
        )
    critical_value(level)
    if n < fewest(level, kind):
        remedy = "" if kind == "normal" else ', or use kind="normal"'
        raise OptionError(
            f"{kind.capitalize()} intervals for level={level!r} need {fewest(level, kind)} "
            f"replicates or more, and there are {n}; draw more{remedy}."
        )


def bootstrap_interval(
    t: Vector, observed: float, level: float, kind: IntervalKind, a: float = 0.0
) -> tuple[float, float]:
    """Compute one interval.

    Parameters
    ----------
    t : (n,)
        Replicates, without missing ones.
    observed
        The estimate.
    level
        Coverage.
    kind
        See the module.
    a
        Acceleration, for BCa.

    Returns
    -------
    low, high
        NaN for BCa where all replicates lie on one side of the estimate.
    """
    check_replicates(len(t), level, kind)
    z = critical_value(level)
    if kind == "normal":
        centre, half = 2.0 * observed - t.mean(), z * t.std(ddof=1)
        return float(centre - half), float(centre + half)
    if kind == "bca":
        return _bca(t, observed, z, a)
    tail = 0.5 * (1.0 - level)
    low, high = _quantiles(t, np.array([tail, 1.0 - tail]))
    if kind == "percentile":
        return low, high
    return 2.0 * observed - high, 2.0 * observed - low


def acceleration(left_out: Matrix) -> Vector:
    """Acceleration from estimates (units, s), each without one unit; NaN is left out. (s,)"""
    known = np.isfinite(left_out)
    given = np.where(known, left_out, 0.0)
    mean = given.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    d = np.where(known, mean - given, 0.0)
    scale = 6.0 * (d**2).sum(axis=0) ** 1.5
    out: Vector = np.divide((d**3).sum(axis=0), scale, out=np.zeros_like(scale), where=scale > 0)
    return out


def _bca(t: Vector, observed: float, z: float, a: float) -> tuple[float, float]:
    below = (np.sum(t < observed) + 0.5 * np.sum(t == observed)) / len(t)
    if not 0.0 < below < 1.0:
        return np.nan, np.nan
    shifted = ndtri(below) + np.array([-z, z])
    return _quantiles(t, ndtr(ndtri(below) + shifted / (1.0 - a * shifted)))


def _quantiles(t: Vector, p: Vector) -> tuple[float, float]:
    low, high = np.quantile(t, p, method="weibull")  # the (n + 1)p-th in order
    return float(low), float(high)
