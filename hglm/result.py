"""`Fit`: a fitted model as its user sees it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from hglm.design import Design, DesignSpec
from hglm.families import Family
from hglm.fit.certificate import Certificate
from hglm.fit.record import Estimates
from hglm.formula import ModelFormula
from hglm.typing import Vector

__all__ = ["Fit"]


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Nothing in it changes after it was made; what costs time (degrees of freedom,
    standard errors of random effects) is computed when first asked for. Tables
    are pandas frames.
    """

    formula: ModelFormula
    design: Design
    spec: DesignSpec
    family: Family
    estimates: Estimates

    @property
    def params(self) -> pd.Series:
        """Fixed effects."""
        return self._by_name(self.estimates.beta)

    @property
    def bse(self) -> pd.Series:
        """Standard errors of the fixed effects."""
        return self._by_name(np.sqrt(np.diagonal(self.estimates.vcov)))

    def cov_params(self) -> pd.DataFrame:
        """Covariance matrix of the fixed effects."""
        names = list(self.design.mean.names)
        return pd.DataFrame(self.estimates.vcov, names, names)

    @property
    def llf(self) -> float:
        """Log likelihood; the restricted one for REML."""
        return self.estimates.llf

    @property
    def sigma(self) -> float | None:
        """Residual standard deviation; for other families what stands for it."""
        return self.estimates.sigma

    @property
    def theta(self) -> Vector:
        """(m,) covariance parameters, relative to `sigma`."""
        return self.estimates.theta

    @property
    def certificate(self) -> Certificate:
        """Evidence of convergence."""
        return self.estimates.certificate

    def _by_name(self, values: Vector) -> pd.Series:
        return pd.Series(values, index=pd.Index(self.design.mean.names))
