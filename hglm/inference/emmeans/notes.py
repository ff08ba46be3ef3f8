"""What a reader should know about marginal means, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from hglm.design import DesignSpec
from hglm.design.functions import columns_of
from hglm.formula.hints import listing
from hglm.inference.emmeans.variables import Variable

__all__ = ["grid_notes"]


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


def _partners(
    kept: Sequence[str], averaged: Sequence[str], known: Sequence[str], spec: DesignSpec
) -> list[str]:
    """Averaged variables that share a term of the fixed part with a kept one."""
    recipe = spec.encoding.specs.get(spec.predictors["mean"].formula.fixed)
    terms = recipe.term_factors.values() if recipe is not None else ()
    together = [{name for part in term for name in columns_of(str(part), known)} for term in terms]
    return [a for a in averaged if any(a in term and term & set(kept) for term in together)]


def _names(names: Sequence[str]) -> str:
    return listing(names).replace("`", "")


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
