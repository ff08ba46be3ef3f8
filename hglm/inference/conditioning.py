"""Which random effects a prediction is conditional on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from hglm.design import NewDesign, PredictorDesign, RandomTerm
from hglm.design.table import labels
from hglm.errors import DataError, OptionError
from hglm.fitting.record import Estimates, TermEstimate
from hglm.formula.hints import did_you_mean
from hglm.inference.extension import Extended, extend
from hglm.typing import Vector

__all__ = [
    "Conditioning",
    "chosen_groups",
    "other_terms",
    "pair_terms",
    "refuse_new_levels",
    "unseen_variance",
]


@dataclass(frozen=True, slots=True)
class Conditioning:
    """A term of the fit beside its columns in the rows to predict."""

    estimate: TermEstimate
    columns: RandomTerm | None
    """None where the rows were built without it."""
    chosen: bool
    """Whether predictions are conditional on its grouping factor."""

    def required(self) -> RandomTerm:
        """Return its columns, which must be there."""
        if self.columns is None:
            raise DataError(
                "The rows to predict hold nothing for the random effects of "
                f"`{self.estimate.group}`; build them by `prediction_rows` with the same options."
            )
        return self.columns

    def extended(self) -> Extended:
        """Continue the term to the places and levels of the rows."""
        return extend(self.estimate, self.required())

    def unseen(self) -> RandomTerm:
        """Return its columns with the levels about which the fit says nothing.

        Each distinct negative code becomes a level; known levels get code -1.
        """
        term = self.required()
        new = term.codes < 0
        codes = np.full(len(new), -1, dtype=np.intp)
        levels, codes[new] = np.unique(term.codes[new], return_inverse=True)
        return replace(term, codes=codes, levels=pd.Index(levels))


def pair_terms(
    estimates: Estimates, design: PredictorDesign, random: str | Sequence[str]
) -> list[Conditioning]:
    """Match the terms of the fit, in their order, with those of the mean in other rows.

    The rows may lack grouping factors; terms of one factor are in the order of
    the formula. Terms of further predictors have no part in the mean.
    """
    groups = chosen_groups((term.group for term in estimates.terms), random)
    found = _columns_of((t for t in estimates.terms if t.predictor == "mean"), design)
    return [
        Conditioning(t, found[t.position], t.group in groups)
        if t.predictor == "mean"
        else Conditioning(t, None, chosen=False)
        for t in estimates.terms
    ]


def _columns_of(
    terms: Iterable[TermEstimate], design: PredictorDesign
) -> dict[int, RandomTerm | None]:
    """Find the columns of the terms of one predictor, by place in the formula."""
    waiting: dict[str, list[RandomTerm]] = {}
    for columns in reversed(design.random):
        waiting.setdefault(columns.group, []).append(columns)
    found: dict[int, RandomTerm | None] = {}
    for term in sorted(terms, key=lambda term: term.position):
        of_group = waiting.get(term.group)
        found[term.position] = of_group.pop() if of_group else None
    return found


def other_terms(
    estimates: Estimates, rows: NewDesign, name: str, random: str | Sequence[str]
) -> list[Conditioning]:
    """Match the terms of a further predictor with those in other rows, likewise.

    Parameters
    ----------
    name
        Of the predictor.
    random
        As in `chosen_groups`; grouping factors of the mean alone are no matter.
    """
    wanted = (random,) if isinstance(random, str) else tuple(random)
    terms = [term for term in estimates.terms if term.predictor == name]
    found = _columns_of(terms, rows.predictors[name])
    return [
        Conditioning(
            term,
            found[term.position],
            random == "all" or (random != "none" and term.group in wanted),
        )
        for term in terms
    ]


def unseen_variance(terms: Iterable[Conditioning], m: int) -> Vector:
    """z'Σz over the terms and rows that are not conditioned on. (m,)"""
    out = np.zeros(m)
    for term in terms:
        part = term.extended()
        variance = part.columns.variances(part.covariance)
        out += np.where(part.columns.codes < 0, variance, 0.0) if term.chosen else variance
    return out


def chosen_groups(known: Iterable[str], random: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of the grouping factors that the option `random` means.

    Parameters
    ----------
    known
        Names of the model's grouping factors.
    random
        ``"all"``, ``"none"``, one name or several.
    """
    known = tuple(dict.fromkeys(known))
    if isinstance(random, str) and random in ("all", "none"):
        return known if random == "all" else ()
    wanted = (random,) if isinstance(random, str) else tuple(random)
    for name in wanted:
        if name not in known:
            raise OptionError(
                f"The option `random` names `{name}`, which is not a grouping factor of the "
                f'model; give "all", "none" or names. {did_you_mean(name, known)}'
            )
    return wanted


def refuse_new_levels(terms: Iterable[Conditioning], rows: NewDesign) -> None:
    """Raise where a level of a chosen factor is new."""
    for term in terms:
        new = np.flatnonzero(term.required().codes < 0) if term.chosen else np.empty(0)
        if new.size:
            raise DataError(
                f"The grouping factor `{term.estimate.group}` has levels that the fit does not "
                f"know in {labels(rows.index, rows.kept[new])}; predict with "
                'new_levels="population", or leave these rows out.'
            )
