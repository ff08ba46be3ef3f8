"""A covariate measured with error: `me(x, se)` in a formula."""

from __future__ import annotations

from hglm.measurement.fit import fit_measurement
from hglm.measurement.result import MeasurementFit

__all__ = ["MeasurementFit", "fit_measurement"]
