"""Ordinal models: thresholds stand where the intercept would.

Tests of terms are told on a coding with an intercept. Its coefficient is known to
be zero beside the thresholds, so it is put in with no variance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hglm.design import PredictorDesign
from hglm.fitting.record import Estimates
from hglm.inference.diagnostics.robust_covariance import FixedRobust, RobustCovariance

__all__ = ["design_with_intercept", "estimates_with_intercept", "robust_with_intercept"]


def design_with_intercept(design: PredictorDesign) -> PredictorDesign:
    """Put the intercept back as the first column."""
    X = np.column_stack([np.ones(len(design.X)), design.X])
    terms = {name: tuple(j + 1 for j in columns) for name, columns in design.terms.items()}
    names = ("Intercept", *design.names)
    return replace(design, X=X, names=names, terms={**terms, "Intercept": (0,)})


def estimates_with_intercept(estimates: Estimates) -> Estimates:
    """Put in a coefficient of zero without variance."""
    return replace(
        estimates,
        beta=np.append(0.0, estimates.beta),
        vcov=np.pad(estimates.vcov, ((1, 0), (1, 0))),
    )


def robust_with_intercept(robust: RobustCovariance) -> RobustCovariance:
    """Put in a coefficient without variance, likewise."""
    assert isinstance(robust, FixedRobust)  # as those of all generalised models
    return replace(robust, vcov=np.pad(robust.vcov, ((1, 0), (1, 0))))
