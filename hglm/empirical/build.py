"""Pieces of a fit to the finished record."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from hglm.empirical.certificate import Certificate
from hglm.empirical.conjugate.regression import HyperFit
from hglm.empirical.frame import ModelFrame
from hglm.empirical.parts import Coefficients, Hyperparameter, Likelihood, TermPosterior
from hglm.empirical.result import EBayes
from hglm.typing import Matrix

__all__ = ["explain", "fingerprint", "regression_fit"]

BOUNDARY_NOTE = (
    "The estimated spread of the prior is zero: the groups vary no more than chance would make "
    "them, and all are shrunk to the prior mean. Absence of evidence, not evidence of absence: "
    "the posterior intervals leave out the uncertainty of this estimate."
)

DIVERGED_NOTE = (
    "The estimated dispersion grew without limit: groups are all or nothing, and the prior has "
    "piled up at the ends of its range. Its parameters mean little; the posterior means hold."
)
UNFINISHED_NOTE = (
    "The search has not converged, so there may be a better prior than this one, or none: the "
    "likelihood can be unbounded with few groups. Remove covariates or choose a simpler model."
)
_DIVERGED = 1e6


def fingerprint(kind: str, rows: Matrix) -> bytes:
    """Identify data up to the order of groups, so that likelihoods can be compared.

    Parameters
    ----------
    kind
        Sampling model: the same numbers under another one are other data.
    rows : (G, c)
        Sufficient statistics.
    """
    ordered = rows[np.lexsort(rows.T[::-1])]
    content = kind.encode() + np.ascontiguousarray(ordered, dtype=float).tobytes()
    return hashlib.blake2b(content, digest_size=16).digest()


def explain(certificate: Certificate, singular: bool, dispersion: float) -> tuple[str, ...]:
    """Say what is unusual about a fit, if anything."""
    unusual = {
        BOUNDARY_NOTE: singular,
        DIVERGED_NOTE: dispersion > _DIVERGED,
        UNFINISHED_NOTE: not certificate.converged,
    }
    return tuple(note for note, applies in unusual.items() if applies)


def regression_fit(
    frame: ModelFrame,
    found: HyperFit,
    *,
    model: str,
    extras: Sequence[str],
    bounded: Sequence[bool],
    derived: tuple[Hyperparameter, ...],
    terms: tuple[TermPosterior, ...],
    data: bytes,
    singular: bool,
) -> EBayes:
    """Record of a conjugate model with a linear predictor."""
    groups = frame.n_groups
    names = (*frame.names, *extras)
    return EBayes(
        formula=frame.formula.text,
        model=model,
        group=frame.group,
        levels=frame.levels,
        coefficients=Coefficients(
            names,
            np.concatenate([found.beta, found.phi]),
            found.vcov,
            np.array([False] * found.beta.size + list(bounded)),
        ),
        derived=derived,
        terms=terms,
        prior_table=pd.DataFrame(
            {
                "term": [item.name for item in derived],
                "estimate": [item.estimate for item in derived],
                "std_error": [item.std_error for item in derived],
            }
        ),
        likelihood=Likelihood(found.llf, float(len(names)), groups, "ml", data, groups),
        certificate=found.certificate,
        singular=singular,
        heterogeneity=None,
        notes=frame.notes + explain(found.certificate, singular, float(found.phi[-1])),
    )
