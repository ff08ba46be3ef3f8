"""What a reader should know about marginal means, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hglm.design import DesignSpec
from hglm.design.functions import columns_of
from hglm.formula.hints import listing
from hglm.inference.emmeans.estimable import EstimableSet
from hglm.inference.emmeans.scales import IDENTITY
from hglm.inference.emmeans.tables import Display, adjustment_of
from hglm.inference.emmeans.variables import Variable

__all__ = ["display_notes", "grid_notes", "variables_of_terms"]


BONFERRONI_INTERVALS = ("holm", "fdr")
"""Adjustments without intervals of their own."""


def grid_notes(
    kept: Sequence[Variable], averaged: Sequence[Variable], spec: DesignSpec, weights: str
) -> tuple[str, ...]:
    """Say over what the means average, and where covariates stand.

    Parameters
    ----------
    kept, averaged
        Variables of the grid.
    spec
        Of the fit.
    weights
        How cells are weighted.
    """
    several = [v.name for v in averaged if len(v.values) > 1]
    held = [v for v in averaged if len(v.values) == 1]
    notes = []
    if several:
        notes.append(f"Averaged over the levels of {_names(several)} with {weights} weights.")
    if held:
        notes.append(f"Held fixed: {', '.join(f'{v.name} = {_value(v.values[0])}' for v in held)}.")
    moving = [v.name for v in kept if len(v.values) > 1]
    partners = _partners(moving, several, [v.name for v in (*kept, *averaged)], spec)
    if partners:
        notes.append(
            f"The model has interactions with {_names(partners)}, over which this averages; look "
            "at its levels one by one, too."
        )
    return tuple(notes)


def display_notes(functions: EstimableSet, display: Display) -> tuple[str, ...]:
    """Say what is missing, on which scale the numbers are, and how they are adjusted.

    Parameters
    ----------
    functions
        What is shown.
    display
        How.
    """
    notes = list(functions.notes)
    missing = int(np.sum(~functions.estimable))
    if missing:
        notes.append(f"Without data, and so not estimable: {missing} of {len(functions.rows)}.")
    scale = functions.scale
    if display.response and not scale.is_identity:
        notes.append(f"Tests are on the {scale.name} scale, intervals transformed from it.")
    elif scale.name != IDENTITY.name:
        notes.append(f"On the {scale.name} scale.")
    return (*notes, *_adjustment_notes(functions, display))


def _adjustment_notes(functions: EstimableSet, display: Display) -> tuple[str, ...]:
    sizes = [int(functions.estimable[rows].sum()) for rows in functions.groups()]
    method = adjustment_of(functions, display.adjust)
    if display.adjust == "none" or max(sizes, default=0) < 2:
        return ()
    where = "in each group" if len(sizes) > 1 else "of the table"
    note = f"P-values and intervals are adjusted for the {max(sizes)} rows {where}"
    how = f" by {method.title} method"
    if display.adjust == "tukey" and not functions.all_pairs:
        how += ", as Tukey's is for pairwise differences of means"
    if display.adjust in BONFERRONI_INTERVALS:
        how += ", the intervals by Bonferroni's"
    return (f"{note}{how}.",)


def variables_of_terms(spec: DesignSpec, known: Sequence[str]) -> tuple[frozenset[str], ...]:
    """Return the variables of each term of the mean's fixed part.

    Parameters
    ----------
    spec
        Of the fit.
    known
        Names of the variables.
    """
    recipe = spec.encoding.specs.get(spec.predictors["mean"].formula.fixed)
    terms = recipe.term_factors.values() if recipe is not None else ()
    return tuple(
        frozenset(name for part in term for name in columns_of(str(part), known)) for term in terms
    )


def _partners(
    kept: Sequence[str], averaged: Sequence[str], known: Sequence[str], spec: DesignSpec
) -> list[str]:
    """Averaged variables that share a term of the fixed part with a kept one."""
    terms = variables_of_terms(spec, known)
    return [a for a in averaged if any(a in term and term & set(kept) for term in terms)]


def _names(names: Sequence[str]) -> str:
    return listing(names).replace("`", "")


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
