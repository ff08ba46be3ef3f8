"""Unimodal priors: mixtures of zero-centred components on a grid of widths.

y_i ~ N(θ_i, s_i²),  θ_i ~ π_0 δ_m + Σ_k π_k g(· ; m, a_k)  with g normal, uniform
on (m − a_k, m + a_k), or uniform on either half: every unimodal prior with its
mode at m can be approached so (Stephens 2017, Biostatistics 18, 275-294). The
weights maximise the likelihood, a convex problem (`simplex`). A penalty
(λ − 1) log π_0 in favour of the null is one more observation that only the null
explains, with weight λ − 1, so the same certificate holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hglm.empirical.build import fingerprint
from hglm.empirical.certificate import Certificate
from hglm.empirical.frame import ModelFrame
from hglm.empirical.mixture.grid_prior import no_coefficients
from hglm.empirical.mixture.likelihood import scaled_likelihood
from hglm.empirical.mixture.simplex import SimplexSolver, mixture_weights
from hglm.empirical.noise import NormalNoise
from hglm.empirical.parts import Hyperparameter, Likelihood, TermPosterior
from hglm.empirical.posterior import NormalMixturePosterior, Posterior, UniformMixturePosterior
from hglm.empirical.posterior.truncated import log_interval_probability
from hglm.empirical.read import read_normal, require_groups, require_intercept
from hglm.empirical.result import EBayes
from hglm.errors import OptionError
from hglm.typing import BoolArray, Matrix, Vector

__all__ = ["Unimodal"]

_COMPONENTS = ("normal", "uniform", "half-uniform")


@dataclass(frozen=True, slots=True)
class _Components:
    """Grid of the prior's components; the first is the atom at the mode."""

    kind: str
    mode: float
    low: Vector
    """(K,) lower ends; for normals minus the standard deviation about the mode."""
    high: Vector
    """(K,) upper ends; for normals plus the standard deviation."""

    @property
    def sd(self) -> Vector:
        """Standard deviations of the components about their own mean. (K,)"""
        width = self.high - self.low
        return 0.5 * width if self.kind == "normal" else width / np.sqrt(12.0)


@dataclass(frozen=True, slots=True)
class Unimodal:
    """Unimodal prior with a point mass at its mode: `y ~ 1` with `se`.

    Use it for effect sizes with one peak at zero and an unknown tail: it gives
    local false sign rates that do not hang on a null being exactly true. Not
    where effects cluster away from the mode (use `NPMLE` or `Deconvolution`).

    Parameters
    ----------
    components
        "normal", "uniform" (symmetric) or "half-uniform" (asymmetric).
    mode
        Where the prior peaks.
    null_weight
        Pseudo-count λ of the null: 1 is plain maximum likelihood, 10 the
        conservative default of the R package ashr.
    ratio
        Ratio of neighbouring widths on the grid; ashr's is √2, which costs up to
        2 % of Bayes risk where a uniform ends between two widths.
    solver
        Tolerance of the duality gap, per observation.
    """

    components: str = "normal"
    mode: float = 0.0
    null_weight: float = 1.0
    ratio: float = 2.0**0.25
    solver: SimplexSolver = field(default_factory=SimplexSolver)

    def __post_init__(self) -> None:
        if self.components not in _COMPONENTS:
            raise OptionError(f"`components` is one of {_COMPONENTS}, not {self.components!r}.")
        if not (self.null_weight >= 1 and self.ratio > 1):
            raise OptionError("`null_weight` is at least 1 and `ratio` larger than 1.")

    def fit(self, frame: ModelFrame) -> EBayes:
        """Estimate the prior and every group's posterior."""
        require_groups(frame)
        require_intercept(frame, "unimodal")
        data = read_normal(frame)
        grid = _grid(self, data)
        matrix = scaled_likelihood(_log_density(grid, data))
        null = np.zeros((1, grid.low.size))
        null[0, 0] = 1.0
        groups = frame.n_groups
        found = mixture_weights(
            *_penalised(matrix.L, null, np.ones(groups), self.null_weight - 1.0), self.solver
        )
        kept = found.x > 0
        kept[0] = True
        weights = matrix.posterior(found.x)[:, kept]
        posterior = _posterior(grid, kept, weights, data)
        term = TermPosterior(
            "mean",
            data.estimate,
            data.std_error,
            np.full(groups, float(found.x @ (0.5 * (grid.low + grid.high)))),
            posterior,
            1 - posterior.sd**2 / data.std_error**2,
        )
        return EBayes(
            formula=frame.formula.text,
            model=f"unimodal ({self.components} mixture, mode {self.mode:g})",
            group=frame.group,
            levels=frame.levels,
            coefficients=no_coefficients(),
            derived=(Hyperparameter("null weight", float(found.x[0]), np.nan, "logit"),),
            terms=(term,),
            prior_table=_table(grid, found.x, kept),
            likelihood=Likelihood(
                matrix.log_likelihood(found.x, np.ones(groups)),
                np.nan,
                groups,
                "ml" if self.null_weight == 1 else "penalised",
                fingerprint("normal", data.rows()),
                groups,
            ),
            certificate=Certificate(
                "duality gap", found.gap, self.solver.tolerance, found.iterations, found.converged
            ),
            singular=bool(found.x[0] == 1),
            heterogeneity=None,
            notes=frame.notes,
        )


def _grid(model: Unimodal, data: NormalNoise) -> _Components:
    """Widths from a tenth of the smallest error to twice what the data can show."""
    e = data.estimate - model.mode
    smallest = float(data.std_error.min()) / 10.0
    excess = float(np.max(e**2 - data.std_error**2))
    largest = 2.0 * np.sqrt(excess) if excess > 0 else 8.0 * smallest
    steps = int(np.ceil(np.log(max(largest / smallest, 2.0)) / np.log(model.ratio)))
    a = largest * model.ratio ** -np.arange(steps, -1.0, -1.0)
    if model.components != "normal":
        a = a * np.sqrt(3.0)
    zero = np.zeros_like(a)
    low, high = -a, a
    if model.components == "half-uniform":
        low, high = np.concatenate([-a[::-1], zero]), np.concatenate([zero, a])
    mode = np.array([model.mode])
    return _Components(
        model.components,
        model.mode,
        np.concatenate([mode, model.mode + low]),
        np.concatenate([mode, model.mode + high]),
    )


def _log_density(grid: _Components, data: NormalNoise) -> Matrix:
    """log of the component's density convolved with the noise. (G, K)"""
    y, s = data.estimate[:, None], data.std_error[:, None]
    if grid.kind == "normal":
        variance = s**2 + grid.sd**2
        return -0.5 * ((y - grid.mode) ** 2 / variance + np.log(2 * np.pi * variance))
    out = np.empty((y.shape[0], grid.low.size))
    z = (y[:, 0] - grid.mode) / s[:, 0]
    out[:, 0] = -0.5 * z**2 - np.log(s[:, 0]) - 0.5 * np.log(2 * np.pi)
    low, high = grid.low[1:], grid.high[1:]
    out[:, 1:] = log_interval_probability((low - y) / s, (high - y) / s) - np.log(high - low)
    return out


def _penalised(L: Matrix, row: Matrix, counts: Vector, weight: float) -> tuple[Matrix, Vector]:
    """Add the penalty's observation, if there is one."""
    if weight == 0:
        return L, counts
    return np.vstack([L, row]), np.append(counts, weight)


def _posterior(grid: _Components, kept: BoolArray, weights: Matrix, data: NormalNoise) -> Posterior:
    y, s = data.estimate, data.std_error
    if grid.kind != "normal":
        return UniformMixturePosterior(weights, y, s, grid.low[kept], grid.high[kept])
    own = grid.sd[kept] ** 2 / (grid.sd[kept] ** 2 + s[:, None] ** 2)
    means = grid.mode + own * (y - grid.mode)[:, None]
    return NormalMixturePosterior(weights, means, np.sqrt(own) * s[:, None])


def _table(grid: _Components, x: Vector, kept: BoolArray) -> pd.DataFrame:
    if grid.kind == "normal":
        return pd.DataFrame({"weight": x[kept], "mean": grid.mode, "sd": grid.sd[kept]})
    return pd.DataFrame({"weight": x[kept], "low": grid.low[kept], "high": grid.high[kept]})
