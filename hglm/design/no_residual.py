"""Gaussian models whose whole variance is in their random effects: `dispersion="~ 0"`.

A structured term over the occasions of each subject then is the covariance of the
observations themselves, as in generalised least squares. The residual standard
deviation is not zero but `FRACTION` of that of the response about the fixed effects:
the observations stay distinct from the random effects, a log-likelihood changes by
about 1e-8 for each of them, and the likelihood keeps eight digits or more, since it
is evaluated at the residuals themselves (glmmTMB fixes the figure at 1.2e-4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hglm.design.arrays import Design
from hglm.design.recipe import DesignSpec
from hglm.errors import DataError
from hglm.typing import Vector

__all__ = ["FRACTION", "has_no_residual", "without_residual"]

FRACTION = 1e-4
DISPERSION = "dispersion"


def has_no_residual(design: Design) -> bool:
    """Whether the dispersion was given as ``"~ 0"``."""
    part = design.others.get(DISPERSION)
    return part is not None and not (part.X.shape[1] or part.random or part.offset is not None)


def without_residual(
    design: Design, spec: DesignSpec, link: Callable[[Vector], Vector]
) -> tuple[Design, DesignSpec]:
    """Fix the residual variance of a Gaussian model near zero.

    Parameters
    ----------
    design, spec
        With a predictor ``"dispersion"`` that has nothing in it.
    link
        Of the dispersion.

    Raises
    ------
    DataError
        If the random effects cannot reproduce the response.
    """
    random = sum(term.n_levels * term.k for term in design.mean.random)
    if random + design.mean.X.shape[1] < design.n:
        raise DataError(
            f'With dispersion="~ 0" the random effects make up the whole variance, but there are '
            f"fewer of them ({random}) than rows ({design.n}); give every row a random effect of "
            "its own, or leave the dispersion out."
        )
    y = design.y if design.mean.offset is None else design.y - design.mean.offset
    X = design.mean.X
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0] if X.shape[1] else y
    variance = FRACTION**2 * max(float(np.mean(residual**2)), 1e-300)
    constant = float(link(np.array([variance]))[0])
    part = replace(design.others[DISPERSION], offset=np.full(design.n, constant))
    recipe = replace(spec.predictors[DISPERSION], constant=constant)
    note = (
        f"No residual variance: its standard deviation is fixed at {np.sqrt(variance):.2g}, "
        f"{FRACTION:g} of that about the fixed effects."
    )
    return (
        replace(design, others={**design.others, DISPERSION: part}, notes=(*design.notes, note)),
        replace(spec, predictors={**spec.predictors, DISPERSION: recipe}),
    )
