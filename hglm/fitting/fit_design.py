"""Fit any design the way another model was fitted."""

from __future__ import annotations

from hglm.design import Design
from hglm.families import Family
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.estimate_generalised import estimate_generalised
from hglm.fitting.methods import Laplace, Quadrature
from hglm.fitting.record import Estimates

__all__ = ["fit_like"]


def fit_like(
    estimates: Estimates, family: Family, design: Design, *, by_ml: bool = False
) -> Estimates:
    """Fit a design by the method of `estimates`.

    Parameters
    ----------
    estimates, family
        Of the model to follow.
    design
        What to fit.
    by_ml
        Whether maximum likelihood replaces REML.
    """
    if estimates.method in ("reml", "ml"):
        return estimate_linear(design, estimates.method == "reml" and not by_ml)
    method = Laplace() if estimates.nodes == 1 else Quadrature(estimates.nodes)
    return estimate_generalised(design, family, method)
