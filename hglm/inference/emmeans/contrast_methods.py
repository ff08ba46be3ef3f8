"""Sets of contrasts of k means by name.

Names and definitions are those of emmeans (Lenth 2016, JSS 69(1)), dots written as
underscores. Each method returns a label and a row of k coefficients a contrast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise
from math import gcd, lcm

import numpy as np

from hglm.errors import OptionError
from hglm.formula.hints import did_you_mean
from hglm.typing import Matrix, Vector

__all__ = ["METHODS", "ContrastMethod", "Contrasts", "Means", "find_method"]

HIGHEST = 6
"""Degree of polynomial contrasts."""
DEGREES = ("linear", "quadratic", "cubic", "quartic")


@dataclass(frozen=True, slots=True)
class Means:
    """What there is to compare."""

    labels: tuple[str, ...]
    """(k,)"""
    reference: int = 0
    """Position of the one to compare the others with."""
    sign: str = "-"
    """Between the labels of a difference."""


@dataclass(frozen=True, slots=True, eq=False)
class Contrasts:
    """Linear functions of k means."""

    labels: tuple[str, ...]
    """(c,)"""
    coefficients: Matrix
    """(c, k)"""


@dataclass(frozen=True, slots=True)
class ContrastMethod:
    """A method, and what is used where nothing else is asked for."""

    build: Callable[[Means], Contrasts]
    adjust: str
    """Adjustment for several tests."""
    reference: int = 0
    """Position of the level to compare with."""


def find_method(name: str) -> tuple[str, ContrastMethod]:
    """Look a method up by its name; dots count as underscores.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    key = str(name).casefold().replace(".", "_").replace("-", "_").replace(" ", "_")
    key = {"dunnett": "trt_vs_ctrl", "trt_vs_ctrl1": "trt_vs_ctrl", "tukey": "pairwise"}.get(
        key, key
    )
    if key not in METHODS:
        hint = did_you_mean(str(name), METHODS)
        raise OptionError(f"There is no method {name!r} of contrasts. {hint}")
    return key, METHODS[key]


def _pairwise(means: Means) -> Contrasts:
    return _differences(means, combinations(range(len(means.labels)), 2))


def _reverse_pairwise(means: Means) -> Contrasts:
    k = len(means.labels)
    return _differences(means, ((i, j) for i in range(k) for j in range(i)))


def _against_reference(means: Means) -> Contrasts:
    others = (i for i in range(len(means.labels)) if i != means.reference)
    return _differences(means, ((i, means.reference) for i in others))


def _consecutive(means: Means) -> Contrasts:
    return _differences(means, ((j, i) for i, j in pairwise(range(len(means.labels)))))


def _effects(means: Means) -> Contrasts:
    k = len(means.labels)
    return Contrasts(tuple(f"{name} effect" for name in means.labels), np.eye(k) - 1.0 / k)


def _deleted_effects(means: Means) -> Contrasts:
    effects, k = _effects(means), len(means.labels)
    return Contrasts(effects.labels, effects.coefficients * k / max(k - 1, 1))


def _mean_changes(means: Means) -> Contrasts:
    k = len(means.labels)
    rows = [np.repeat([-1.0 / i, 1.0 / (k - i)], [i, k - i]) for i in range(1, k)]
    names = tuple(f"{before}|{after}" for before, after in pairwise(means.labels))
    return Contrasts(names, np.array(rows).reshape(-1, k))


def _polynomial(means: Means) -> Contrasts:
    k = len(means.labels)
    names = (*DEGREES, *(f"degree {d}" for d in range(len(DEGREES) + 1, HIGHEST + 1)))
    return Contrasts(names[: k - 1], np.array(_orthogonal(k)[1:]).reshape(-1, k))


def _orthogonal(k: int) -> list[Vector]:
    """Orthogonal polynomials on k equidistant points, in smallest whole numbers.

    Three-term recurrence in exact arithmetic; for a symmetric set of points its
    middle coefficient is zero.
    """
    points = [Fraction(2 * i - k + 1) for i in range(k)]
    before, current = [Fraction(0)] * k, [Fraction(1)] * k
    norm = Fraction(1)
    out = []
    for _ in range(min(k, HIGHEST + 1)):
        out.append(_whole(current))
        square = sum((c * c for c in current), Fraction(0))
        steps = zip(points, current, before, strict=True)
        following = [x * c - square / norm * b for x, c, b in steps]
        before, current, norm = current, following, square
    return out


def _whole(values: Sequence[Fraction]) -> Vector:
    scale = lcm(*(value.denominator for value in values))
    numbers = [int(value * scale) for value in values]
    divisor = gcd(*numbers)
    return np.array([number // divisor for number in numbers], dtype=np.float64)


def _differences(means: Means, pairs: Iterable[tuple[int, int]]) -> Contrasts:
    labels, rows = [], []
    for i, j in pairs:
        labels.append(f"{means.labels[i]} {means.sign} {means.labels[j]}")
        rows.append(np.eye(len(means.labels))[i] - np.eye(len(means.labels))[j])
    return Contrasts(tuple(labels), np.array(rows).reshape(-1, len(means.labels)))


METHODS: Mapping[str, ContrastMethod] = {
    "pairwise": ContrastMethod(_pairwise, "tukey"),
    "revpairwise": ContrastMethod(_reverse_pairwise, "tukey"),
    "trt_vs_ctrl": ContrastMethod(_against_reference, "mvt"),
    "trt_vs_ctrlk": ContrastMethod(_against_reference, "mvt", -1),
    "eff": ContrastMethod(_effects, "fdr"),
    "del_eff": ContrastMethod(_deleted_effects, "fdr"),
    "consec": ContrastMethod(_consecutive, "mvt"),
    "mean_chg": ContrastMethod(_mean_changes, "mvt"),
    "poly": ContrastMethod(_polynomial, "none"),
}
"""Methods by name; a new one needs one line here."""
