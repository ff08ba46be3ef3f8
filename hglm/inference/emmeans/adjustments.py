"""Adjustment of p-values and intervals for several tests.

Two kinds of adjustment. Some need the p-values only:

    Bonferroni  r p                     Sidak  1 - (1 - p)^r
    Holm (1979, Scand. J. Stat. 6, 65-70), step-down Bonferroni
    fdr: Benjamini & Hochberg (1995, J. R. Stat. Soc. B 57, 289-300)

Others are the probability that the largest statistic of the family exceeds t,

    Tukey    the studentised range of k means over √2
    mvt      the multivariate t with the correlations of the estimates: Dunnett's test
             for comparisons with a control
    Scheffé  √(d F_(d, ν)), for all linear combinations of d dimensions

and their intervals have the quantile of that distribution. The intervals of Holm's
and the fdr method are Bonferroni's, as they have none of their own (as in emmeans).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from scipy import optimize, special

from hglm.errors import OptionError
from hglm.formula.hints import did_you_mean
from hglm.inference.emmeans.maximum_t import RANK, maximum_t
from hglm.inference.emmeans.studentised_range import range_tail
from hglm.inference.quantiles import critical_value
from hglm.typing import Matrix, Vector

__all__ = ["ADJUSTMENTS", "Adjustment", "Comparisons", "find_adjustment"]


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Tests that are judged together; none of them missing."""

    statistic: Vector
    """(r,)"""
    df: Vector
    """(r,)"""
    p_value: Vector
    """(r,) each by itself."""
    correlation: Matrix
    """(r, r) of the estimates."""
    compared: int | None = None
    """Number of means of which these are all pairwise differences."""


class Adjusted(Protocol):
    """An adjustment that has seen its tests."""

    def p_values(self) -> Vector:
        """Adjust the p-values. (r,)"""
        ...

    def half_widths(self, level: float) -> Vector:
        """Give half-widths of simultaneous intervals in standard errors. (r,)"""
        ...


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A method of adjustment."""

    title: str
    """Its name in sentences, before the word method."""
    prepare: Callable[[Comparisons], Adjusted]
    two_sided_only: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ByPValues:
    """An adjustment that looks at nothing but the p-values."""

    family: Comparisons
    adjust: Callable[[Vector], Vector]
    level_of_each: Callable[[float, int], float] | None = None
    """Coverage of all intervals together, their number -> coverage of each."""

    def p_values(self) -> Vector:
        """Adjust the p-values. (r,)"""
        return np.minimum(1.0, self.adjust(self.family.p_value))

    def half_widths(self, level: float) -> Vector:
        """Give half-widths of simultaneous intervals in standard errors. (r,)"""
        df = self.family.df
        each = self.level_of_each(level, len(df)) if self.level_of_each else level
        return np.array([critical_value(each, nu) for nu in df])


@dataclass(frozen=True, slots=True, eq=False)
class ByMaximum:
    """An adjustment by the distribution of the largest |statistic|."""

    family: Comparisons
    tail: Callable[[float, float], float]
    """P(largest > t) as a function of (t, df)."""

    def p_values(self) -> Vector:
        """Adjust the p-values. (r,)"""
        pairs = zip(np.abs(self.family.statistic), self.family.df, strict=True)
        return np.array([self.tail(float(t), float(df)) for t, df in pairs])

    def half_widths(self, level: float) -> Vector:
        """Give half-widths of simultaneous intervals in standard errors. (r,)"""
        known: dict[str, float] = {}
        keys = [f"{df:.8g}" for df in self.family.df]  # rounding makes many df of one
        for key in keys:
            if key not in known:
                known[key] = _quantile(self.tail, level, float(key))
        return np.array([known[key] for key in keys])


def find_adjustment(name: str) -> Adjustment:
    """Look an adjustment up by its name.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    key = str(name).casefold()
    key = {"bh": "fdr", "dunnett": "mvt", "dunnettx": "mvt"}.get(key, key)
    if key not in ADJUSTMENTS:
        hint = did_you_mean(str(name), ADJUSTMENTS)
        raise OptionError(f"There is no adjustment adjust={name!r}. {hint}")
    return ADJUSTMENTS[key]


def _quantile(tail: Callable[[float, float], float], level: float, df: float) -> float:
    """Find t with tail(t, df) = 1 - level."""
    low = 0.999 * critical_value(level, df)
    high = 2.0 * low
    while tail(high, df) > 1.0 - level:
        low, high = high, 2.0 * high

    def excess(log_t: float) -> float:
        return float(np.log(tail(float(np.exp(log_t)), df) / (1.0 - level)))

    return float(np.exp(optimize.brentq(excess, np.log(low), np.log(high), xtol=1e-11)))


def _sidak(p: Vector) -> Vector:
    out: Vector = -np.expm1(len(p) * np.log1p(-np.minimum(p, 1.0 - 1e-16)))
    return out


def _holm(p: Vector) -> Vector:
    order = np.argsort(p)
    out = np.empty_like(p)
    out[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return out


def _benjamini_hochberg(p: Vector) -> Vector:
    order = np.argsort(p)[::-1]
    out = np.empty_like(p)
    out[order] = np.minimum.accumulate(p[order] * len(p) / np.arange(len(p), 0, -1))
    return out


def _bonferroni_level(level: float, r: int) -> float:
    return 1.0 - (1.0 - level) / r


def _tukey(family: Comparisons) -> ByMaximum:
    if family.compared is None:
        raise OptionError(
            'The adjustment "tukey" is for all pairwise differences of means; use "mvt" or '
            '"sidak" for other functions.'
        )
    return ByMaximum(family, partial(_range_tail_of_t, k=family.compared))


def _range_tail_of_t(t: float, df: float, k: int) -> float:
    return range_tail(np.sqrt(2.0) * t, k, df)


def _multivariate_t(family: Comparisons) -> ByMaximum:
    return ByMaximum(family, maximum_t(family.correlation).tail)


def _scheffe(family: Comparisons) -> ByMaximum:
    values = np.linalg.eigvalsh(family.correlation)
    rank = int(np.sum(values > RANK * values[-1]))
    return ByMaximum(family, partial(_scheffe_tail, rank=rank))


def _scheffe_tail(t: float, df: float, rank: int) -> float:
    if np.isinf(df):
        return float(special.chdtrc(rank, t * t))
    return float(special.fdtrc(rank, df, t * t / rank))


def _sidak_level(level: float, r: int) -> float:
    return float(level ** (1.0 / r))


def _unadjusted(p: Vector) -> Vector:
    return p


def _bonferroni(p: Vector) -> Vector:
    return len(p) * p


ADJUSTMENTS: Mapping[str, Adjustment] = {
    "none": Adjustment("no", partial(ByPValues, adjust=_unadjusted)),
    "tukey": Adjustment("Tukey's", _tukey, two_sided_only=True),
    "mvt": Adjustment("the multivariate t", _multivariate_t, two_sided_only=True),
    "sidak": Adjustment("Sidak's", partial(ByPValues, adjust=_sidak, level_of_each=_sidak_level)),
    "holm": Adjustment("Holm's", partial(ByPValues, adjust=_holm, level_of_each=_bonferroni_level)),
    "bonferroni": Adjustment(
        "Bonferroni's", partial(ByPValues, adjust=_bonferroni, level_of_each=_bonferroni_level)
    ),
    "fdr": Adjustment(
        "the false discovery rate",
        partial(ByPValues, adjust=_benjamini_hochberg, level_of_each=_bonferroni_level),
    ),
    "scheffe": Adjustment("Scheffé's", _scheffe, two_sided_only=True),
}
"""Methods by name; a new one needs one line here."""
