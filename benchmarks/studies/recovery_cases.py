"""The models of the recovery study: how their data are drawn, and the true parameters.

Data: 60 groups of 10 to 25 rows (or as a case says), one covariate x that varies within
groups and one, z, that varies between them only; random intercepts, in some cases random
slopes of x with correlation 0.3.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simulate import (
    CORRELATION,
    Grouping,
    Response,
    bernoulli,
    beta,
    gamma,
    negative_binomial_1,
    negative_binomial_2,
    poisson,
    random_coefficients,
    zero_inflated,
)


@dataclass(frozen=True, slots=True)
class Case:
    """One model of the study."""

    family: str
    draw: Response
    fixed: tuple[float, float, float]
    """Of the intercept, x and z."""
    sds: tuple[float, ...]
    """Of the random intercept and, if there are two, of the slope of x."""
    nodes: int
    """Of the quadrature, in each dimension."""
    link: str | None = None
    zero_inflation: str | None = None
    further: Mapping[str, float] = field(default_factory=dict)
    """True values of parameters beside those of the mean and the random effects."""
    groups: int = 60
    rows: tuple[int, int] = (10, 25)
    """Fewest and most rows of a group."""

    @property
    def formula(self) -> str:
        return "y ~ x + z + (x | g)" if len(self.sds) == 2 else "y ~ x + z + (1 | g)"

    @property
    def truth(self) -> dict[str, float]:
        """True parameters, by the names that a fit gives them."""
        names = ["sd(Intercept | g)", "sd(x | g)"][: len(self.sds)]
        out = dict(zip(names, self.sds, strict=True))
        if len(self.sds) == 2:
            out["cor(Intercept, x | g)"] = CORRELATION
        return {**out, **dict(zip(self.coefficients, self.fixed, strict=True)), **self.further}

    @property
    def coefficients(self) -> tuple[str, str, str]:
        """Names of the fixed effects of the mean."""
        return ("Intercept", "x", "z")

    def frame(self, rng: np.random.Generator) -> pd.DataFrame:
        """Draw a data set."""
        sizes = rng.integers(self.rows[0], self.rows[1] + 1, self.groups)
        g = np.repeat(np.arange(self.groups), sizes)
        x, z = rng.standard_normal(len(g)), rng.standard_normal(self.groups)[g]
        columns = np.column_stack([np.ones(len(g)), x, z])
        b = random_coefficients(rng, Grouping(self.groups, self.sds))
        eta = columns @ self.fixed + np.sum(columns[:, : len(self.sds)] * b[g], axis=1)
        return pd.DataFrame({"y": self.draw(rng, eta), "x": x, "z": z, "g": g})


def _cloglog(eta: np.ndarray) -> np.ndarray:
    mu: np.ndarray = -np.expm1(-np.exp(eta))
    return mu


COUNTS = (0.5, 0.4, 0.3)

CASES = {
    "Bernoulli, logit": Case("binomial", bernoulli(expit), (-0.5, 0.8, 0.5), (1.0,), 11),
    "Bernoulli, cloglog, slopes": Case(
        "binomial", bernoulli(_cloglog), (-0.7, 0.6, 0.4), (0.8, 0.5), 7, link="cloglog"
    ),
    "Poisson, slopes": Case("poisson", poisson, COUNTS, (0.6, 0.3), 7),
    "negative binomial 2": Case(
        "nbinom2", negative_binomial_2(2.0), COUNTS, (0.6,), 11, further={"sigma": 2.0}
    ),
    "gamma, log, slopes": Case(
        "gamma", gamma(4.0), COUNTS, (0.5, 0.25), 7, link="log", further={"sigma": 0.5}
    ),
    "beta": Case("beta", beta(8.0), (-0.3, 0.4, 0.3), (0.6,), 11, further={"sigma": 8.0}),
    "zero-inflated Poisson": Case(
        "poisson",
        zero_inflated(poisson, 0.25),
        (1.0, 0.4, 0.3),
        (0.5,),
        11,
        zero_inflation="~ 1",
        further={"zero_inflation: Intercept": float(np.log(0.25 / 0.75))},
    ),
    "Bernoulli, tiny groups": Case(
        "binomial", bernoulli(expit), (-0.5, 0.8, 0.5), (2.0,), 25, groups=150, rows=(2, 5)
    ),
    "negative binomial 1": Case(
        "nbinom1", negative_binomial_1(1.0), COUNTS, (0.6,), 11, further={"sigma": 1.0}
    ),
}
"""The last is there to fail: Laplace's approximation is poor where groups are tiny."""
