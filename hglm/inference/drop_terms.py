"""Likelihood-ratio tests of single terms: the model without each in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from hglm.design import Design, PredictorDesign
from hglm.fitting.record import Estimates
from hglm.inference.terms import FixedTerms

__all__ = ["drop_terms", "without_columns"]

Refit = Callable[[Design], Estimates]
"""Fits a design by maximum likelihood."""


def drop_terms(full: Estimates, design: Design, terms: FixedTerms, refit: Refit) -> pd.DataFrame:
    """Drop each term that no other term contains (R's `drop1`).

    Parameters
    ----------
    full
        The model, fitted by maximum likelihood.
    design
        Its design.
    terms
        Terms of its fixed part.
    refit
        How to fit without a term.

    Returns
    -------
    DataFrame
        Index `term`, the whole model first; columns `npar` (parameters the term
        has), `aic`, `chisq`, `p_value`.
    """
    rows = [("<none>", np.nan, full.aic, np.nan, np.nan)]
    for term, columns in terms.coefficients.items():
        if term in ("1", "Intercept") or any(_within(term, other) for other in terms.coefficients):
            continue
        reduced = refit(replace(design, mean=without_columns(design.mean, columns)))
        chisq = max(0.0, 2.0 * (full.llf - reduced.llf))
        rows.append((term, len(columns), reduced.aic, chisq, float(chdtrc(len(columns), chisq))))
    frame = pd.DataFrame(rows, columns=["term", "npar", "aic", "chisq", "p_value"])
    return frame.set_index("term")


def _within(term: str, other: str) -> bool:
    """Whether all variables of a term are among those of a larger one (marginality)."""
    return set(term.split(":")) < set(other.split(":"))


def without_columns(design: PredictorDesign, columns: tuple[int, ...]) -> PredictorDesign:
    """Leave columns of the fixed part out."""
    kept = [j for j in range(len(design.names)) if j not in columns]
    place = {old: new for new, old in enumerate(kept)}
    return replace(
        design,
        X=np.asfortranarray(design.X[:, kept]),
        names=tuple(design.names[j] for j in kept),
        terms={
            term: tuple(place[j] for j in positions if j in place)
            for term, positions in design.terms.items()
        },
    )
