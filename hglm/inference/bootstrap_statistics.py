"""What a bootstrap follows: the parameters that people ask for, from many fits at once.

Names are those of `hglm.inference.targets`; coefficients of further predictors carry
the predictor's name before them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hglm.fitting.record import Estimates, TermEstimate
from hglm.fitting.refit_record import Refits
from hglm.typing import Matrix, Vector

__all__ = ["parameter_names", "parameter_values"]


def parameter_names(estimates: Estimates, names: Sequence[str]) -> list[str]:
    """Name the parameters: random effects by terms, sigma, fixed effects.

    Parameters
    ----------
    estimates
        Of the model.
    names : (p,)
        Of the fixed effects of the mean.
    """
    out = [name for term in estimates.terms for name in _term_names(term)]
    out += [] if estimates.sigma is None else ["sigma"]
    out += list(names)
    return out + [
        f"{predictor}: {name}"
        for predictor in _further(estimates)
        for name in estimates.others[predictor].names
    ]


def parameter_values(estimates: Estimates, refits: Refits) -> Matrix:
    """Compute the parameters of `parameter_names` for each response. (B, s)

    Correlations are NaN where a variance is zero.
    """
    columns: list[Vector] = []
    for term, covariance in zip(estimates.terms, refits.covariances, strict=True):
        columns += _term_values(term, covariance)
    if estimates.sigma is not None:
        columns.append(refits.sigma)
    columns += list(refits.beta.T)
    for predictor in _further(estimates):
        columns += list(refits.others[predictor].T)
    return np.column_stack(columns)


def _further(estimates: Estimates) -> list[str]:
    """Predictors beside the mean that are more than the number told by `sigma`."""
    return [
        name
        for name, part in estimates.others.items()
        if len(part.beta) > 1 or name == "zero_inflation"
    ]


def _pairs(term: TermEstimate) -> list[tuple[int, int]]:
    if term.structure == "diag":
        return []
    return [(a, b) for a in range(term.k) for b in range(a)]


def _term_names(term: TermEstimate) -> list[str]:
    prefix = "" if term.predictor == "mean" else f"{term.predictor}: "
    out = [f"{prefix}sd({name} | {term.group})" for name in term.names]
    return out + [
        f"{prefix}cor({term.names[b]}, {term.names[a]} | {term.group})" for a, b in _pairs(term)
    ]


def _term_values(term: TermEstimate, covariance: Matrix) -> list[Vector]:
    """From the covariances (B, k, k), each column (B,)."""
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)).T  # (k, B)
    out = list(sd)
    for a, b in _pairs(term):
        scale = sd[a] * sd[b]
        rho = np.divide(
            covariance[:, a, b], scale, out=np.full_like(scale, np.nan), where=scale > 0
        )
        out.append(np.clip(rho, -1.0, 1.0))
    return out
