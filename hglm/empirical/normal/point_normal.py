"""Spike and slab: most effects exactly zero, the others normal.

y_i ~ N(θ_i, s_i²),  θ_i ~ π δ_m + (1 − π) N(m, τ²)  (Johnstone & Silverman 2004,
Annals of Statistics 32, 1594-1649, with a normal slab). With f_0, f_1 the
densities of y_i under spike and slab, the likelihood Σ log(π f_0 + (1 − π) f_1)
is concave in π and smooth in τ² down to zero; its derivatives are exact. It may
have several maxima in τ², so the search starts from the best points of a grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hglm.empirical.build import explain, fingerprint
from hglm.empirical.frame import ModelFrame
from hglm.empirical.maximise import Evaluation, Maximum, certify, maximise
from hglm.empirical.noise import NormalNoise
from hglm.empirical.parts import Coefficients, Likelihood, TermPosterior, delta
from hglm.empirical.posterior import NormalMixturePosterior
from hglm.empirical.read import read_normal, require_groups, require_intercept
from hglm.empirical.result import EBayes
from hglm.empirical.transforms import DISPERSION, PROBABILITY
from hglm.typing import Vector

__all__ = ["PointNormal", "point_normal_loglik"]


@dataclass(frozen=True, slots=True)
class PointNormal:
    """Point-normal model: `y ~ 1` with `se`; many effects are exactly `mode`.

    Use it to find a few real effects among many: it gives local false discovery
    rates. Not where nothing is exactly zero, or where effects have a heavier
    tail than a normal (use `Unimodal`).

    Parameters
    ----------
    mode
        Where the spike stands and the slab is centred.
    """

    mode: float = 0.0

    def fit(self, frame: ModelFrame) -> EBayes:
        """Estimate the prior and every group's posterior."""
        require_groups(frame)
        require_intercept(frame, "point-normal")
        data = read_normal(frame)
        found, unit = _maximise(data, self.mode)
        null, tau2 = float(found.x[0]), float(found.x[1]) * unit**2
        rescale = np.diag([1.0, unit**2])
        vcov = rescale @ found.vcov() @ rescale
        groups = frame.n_groups
        singular = null == 1 or tau2 == 0
        return EBayes(
            formula=frame.formula.text,
            model="point-normal",
            group=frame.group,
            levels=frame.levels,
            coefficients=Coefficients(
                ("null weight", "tau2"), np.array([null, tau2]), vcov, np.array([True, True])
            ),
            derived=(
                delta("null weight", null, np.array([1.0, 0.0]), vcov, "logit"),
                delta("tau2", tau2, np.array([0.0, 1.0]), vcov, "log"),
            ),
            terms=(_term(data, self.mode, null, tau2),),
            prior_table=pd.DataFrame(
                {"weight": [null, 1 - null], "mean": self.mode, "sd": [0.0, tau2**0.5]}
            ),
            likelihood=Likelihood(
                found.point.value - groups * float(np.log(unit)),
                2.0,
                groups,
                "ml",
                fingerprint("normal", data.rows()),
                groups,
            ),
            certificate=certify(found),
            singular=singular,
            heterogeneity=None,
            notes=frame.notes + explain(certify(found), singular, 0.0),
        )


def point_normal_loglik(x: Vector, e: Vector, v: Vector) -> Evaluation:
    """Log-likelihood of (π, τ²) with gradient and Hessian.

    Parameters
    ----------
    x : (2,)
        Weight of the spike and variance of the slab.
    e : (G,)
        Estimates less the mode.
    v : (G,)
        Their sampling variances.
    """
    null, tau2 = float(x[0]), float(x[1])
    total = v + tau2
    log0 = -0.5 * (e**2 / v + np.log(v))
    log1 = -0.5 * (e**2 / total + np.log(total))
    top = np.maximum(log0, log1)
    f0, f1 = np.exp(log0 - top), np.exp(log1 - top)
    f = null * f0 + (1 - null) * f1
    d = 0.5 * (e**2 / total - 1) / total  # ∂ log f_1 / ∂τ²
    dd = (0.5 - e**2 / total) / total**2
    by_null, by_tau = (f0 - f1) / f, (1 - null) * f1 * d / f
    mixed = -f1 * d / f - by_null * by_tau
    tau_tau = (1 - null) * f1 * (d**2 + dd) / f - by_tau**2
    value = float((np.log(f) + top).sum() - 0.5 * e.size * np.log(2 * np.pi))
    hessian = np.array([[-(by_null**2).sum(), mixed.sum()], [mixed.sum(), tau_tau.sum()]])
    return Evaluation(value, np.array([by_null.sum(), by_tau.sum()]), hessian)


def _maximise(data: NormalNoise, mode: float) -> tuple[Maximum, float]:
    """Maximum in units of the typical standard error, and that unit."""
    unit = float(np.median(data.std_error))
    e, v = (data.estimate - mode) / unit, (data.std_error / unit) ** 2
    top = float(np.max(e**2 / v)) + 1.0
    grid = [
        np.array([null, tau2])
        for null in (0.05, 0.5, 0.9, 0.99)
        for tau2 in np.geomspace(0.1, top, 8)
    ]
    grid.sort(key=lambda x: -point_normal_loglik(x, e, v).value)
    found = maximise(
        lambda x: point_normal_loglik(x, e, v),
        [*grid[:3], np.array([0.0, float(grid[0][1])])],
        (PROBABILITY, DISPERSION),
    )
    return found, unit


def _term(data: NormalNoise, mode: float, null: float, tau2: float) -> TermPosterior:
    y, v = data.estimate, data.std_error**2
    e = y - mode
    total = v + tau2
    log_odds = -0.5 * (e**2 / v + np.log(v)) + 0.5 * (e**2 / total + np.log(total))
    with np.errstate(divide="ignore", over="ignore"):
        spike = 1.0 / (1.0 + (1 - null) / null * np.exp(-log_odds)) if null > 0 else 0.0 * y
    weight = tau2 / total
    posterior = NormalMixturePosterior(
        np.column_stack([spike, 1 - spike]),
        np.column_stack([np.full_like(y, mode), mode + weight * e]),
        np.column_stack([np.zeros_like(y), np.sqrt(weight * v)]),
    )
    shrinkage = 1 - posterior.sd**2 / v
    return TermPosterior("mean", y, data.std_error, np.full_like(y, mode), posterior, shrinkage)
