"""From a design with a `me(x, se)` term to its `MeasurementFit`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hglm.design import Design, DesignSpec, check_levels
from hglm.design.arrays import Measured
from hglm.errors import OptionError
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.methods import ML, REML, Method
from hglm.fitting.record import TermEstimate
from hglm.formula import ModelFormula
from hglm.measurement.arrays import measurement_arrays
from hglm.measurement.estimate import fit_errors_in_variables
from hglm.measurement.result import MeasurementFit
from hglm.typing import Vector

__all__ = ["fit_measurement"]


def fit_measurement(
    formula: ModelFormula,
    design: Design,
    spec: DesignSpec,
    measured: Measured,
    *,
    is_linear: bool,
    method: Method | None,
    start: Vector | None,
    progress: Callable[[int, float], None] | None,
) -> MeasurementFit:
    """Fit a design with a `me(x, se)` term by maximum likelihood.

    Parameters
    ----------
    formula, design, spec, measured
        The model and its arrays.
    is_linear
        Whether it is Gaussian with the identity link and one residual variance.
    method, start, progress
        As in `hglm.fit`.

    Raises
    ------
    FormulaError, DataError, OptionError
        Where the model is not one that can be fitted, naming cause and remedy.
    """
    _check_request(is_linear, method, start)
    data = measurement_arrays(design, measured)
    check_levels(design)
    uncorrected = estimate_linear(design, reml=False)
    estimates = fit_errors_in_variables(data, progress)
    at, effects = estimates.parameters, estimates.latent.effects
    terms = tuple(
        TermEstimate(
            position=0,
            group=term.group,
            names=term.names,
            levels=term.levels,
            structure="us",
            factor=at.Lambda / np.exp(at.log_sigma),
            covariance=at.Lambda @ at.Lambda.T,
            modes=effects,
        )
        for term in design.mean.random
    )
    return MeasurementFit(formula, design, spec, measured, estimates, uncorrected, terms)


def _check_request(is_linear: bool, method: Method | None, start: Vector | None) -> None:
    exact = "or name the measurement without `me` to treat it as exact."
    if not is_linear:
        raise OptionError(
            "With `me(...)` the model is linear: Gaussian, identity link, one residual variance; "
            f"leave out `family`, `link` and `dispersion`, {exact}"
        )
    if isinstance(method, REML):
        raise OptionError(
            "With `me(...)` there is no REML, because the covariate is estimated with the model; "
            f'leave `method` out or use method="ml", {exact}'
        )
    if method is not None and not isinstance(method, ML):
        raise OptionError(
            "With `me(...)` the likelihood is exact and is not approximated; leave `method` out "
            'or use method="ml".'
        )
    if start is not None:
        raise OptionError("With `me(...)` no `start` is needed; leave it out.")
