"""Designs made of copies of parts of another: resampled, jackknifed, or larger.

A level of the chosen grouping factor is taken with all its rows, and each copy is a
level of its own; so are the copies of levels nested in it. Levels of other factors stay
the same levels wherever they occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from hglm.design.arrays import Design, PredictorDesign, RandomTerm
from hglm.errors import FitError, OptionError
from hglm.inference.diagnostics.subset import take_rows
from hglm.numerics.rank import independent_columns
from hglm.typing import Codes

__all__ = [
    "ROWS",
    "check_groups",
    "copy_rows",
    "draw_design",
    "group_codes",
    "independent_units",
    "is_nested",
]

ROWS = "rows"
"""Name that stands for single rows where a grouping factor is asked for."""


def group_codes(design: Design) -> dict[str, RandomTerm]:
    """Find the grouping factors of all predictors, each by one of its terms."""
    terms = [t for d in (design.mean, *design.others.values()) for t in d.random]
    return {term.group: term for term in reversed(terms)}


def check_groups(design: Design, group: str) -> None:
    """Raise unless levels of `group`, or rows, may be drawn as independent units."""
    groups = group_codes(design)
    known = [*groups, ROWS]
    if group not in known:
        raise OptionError(
            f"There is no grouping factor {group!r} to resample; choose one of "
            f"{', '.join(map(repr, known))}."
        )
    related = [name for name, term in groups.items() if term.relation is not None]
    if related:
        raise OptionError(
            f"The levels of {related[0]!r} are related, so they cannot be resampled as if they "
            "were independent; use the parametric bootstrap."
        )


def independent_units(design: Design) -> str:
    """Choose the grouping factor that holds all others, else that with most levels, else rows."""
    groups = group_codes(design)
    if not groups:
        return ROWS
    by_size = sorted(groups.values(), key=lambda term: term.n_levels)
    for outer in by_size:
        if all(is_nested(term.codes, outer.codes) for term in by_size):
            return outer.group
    return by_size[-1].group


def is_nested(inner: Codes, outer: Codes) -> bool:
    """Whether every level of `inner` (n,) lies in one level of `outer` (n,)."""
    parent = np.empty(int(inner.max()) + 1, dtype=np.intp)
    parent[inner] = outer
    return bool(np.array_equal(parent[inner], outer))


def draw_design(design: Design, unit: str, rng: np.random.Generator) -> Design:
    """Draw as many units as there are, with replacement.

    Parameters
    ----------
    design
        To draw from.
    unit
        Grouping factor, or ``"rows"``.
    rng
        Generator.

    Raises
    ------
    FitError
        Where the fixed effects of the draw cannot be told apart.
    """
    if unit == ROWS:
        drawn = take_rows(design, rng.integers(design.n, size=design.n))
    else:
        term = group_codes(design)[unit]
        levels = rng.integers(term.n_levels, size=term.n_levels)
        members = np.split(np.argsort(term.codes, kind="stable"), _ends(term))
        drawn = copy_rows(design, unit, [members[level] for level in levels])
    for predictor in (drawn.mean, *drawn.others.values()):
        if len(independent_columns(predictor.X)) < predictor.X.shape[1]:
            raise FitError(
                "The draw leaves some fixed effects without data; resample units among which "
                "the predictors vary more, or use the parametric bootstrap."
            )
    return replace(drawn, index=pd.RangeIndex(drawn.n))


def copy_rows(design: Design, group: str, parts: Sequence[Codes]) -> Design:
    """Put parts of a design under each other, each a new level of `group`.

    Parameters
    ----------
    design
        To copy from.
    group
        Grouping factor.
    parts
        Rows of each new level; all of one level of `group`.
    """
    rows = np.concatenate(parts)
    copies = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    outer = group_codes(design)[group].codes
    taken = take_rows(design, rows)

    def relabelled(old: PredictorDesign, new: PredictorDesign) -> PredictorDesign:
        terms = [
            _relabel(new_term, old_term.levels, old_term.codes[rows], copies)
            if is_nested(old_term.codes, outer)
            else new_term
            for old_term, new_term in zip(old.random, new.random, strict=True)
        ]
        return replace(new, random=tuple(terms))

    return replace(
        taken,
        mean=relabelled(design.mean, taken.mean),
        others={name: relabelled(d, taken.others[name]) for name, d in design.others.items()},
    )


def _relabel(term: RandomTerm, levels: pd.Index, codes: Codes, copies: Codes) -> RandomTerm:
    """Make the levels of each copy levels of their own."""
    numbers, new = np.unique(copies * len(levels) + codes, return_inverse=True)
    copy, level = np.divmod(numbers, len(levels))
    labels = [f"{levels[i]} (copy {c + 1})" for c, i in zip(copy, level, strict=True)]
    return replace(term, levels=pd.Index(labels), codes=new.astype(np.intp))


def _ends(term: RandomTerm) -> Codes:
    """Where the rows of each level end, once sorted; without the last."""
    return np.cumsum(np.bincount(term.codes, minlength=term.n_levels))[:-1]
