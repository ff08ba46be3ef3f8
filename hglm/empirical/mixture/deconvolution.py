"""Deconvolution: the distribution of parameters behind noisy estimates.

A smooth prior on a grid, log density a natural spline (`log_density`), for
normal, Poisson and binomial noise (Efron 2016; Narasimhan & Efron 2020, JSS
94(11)). Between the parametric priors and the NPMLE in flexibility, and the
only one here that reports how accurate the prior itself is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hglm.empirical.build import fingerprint
from hglm.empirical.certificate import Certificate
from hglm.empirical.frame import ModelFrame
from hglm.empirical.mixture.grid_prior import discrete_term, moments_of_prior, no_coefficients
from hglm.empirical.mixture.likelihood import LikelihoodMatrix, scaled_likelihood, unique_rows
from hglm.empirical.mixture.log_density import (
    PriorAccuracy,
    SmoothPrior,
    accuracy,
    fit_smooth_prior,
)
from hglm.empirical.mixture.spline import natural_spline
from hglm.empirical.noise import Noise, PoissonNoise
from hglm.empirical.parts import Hyperparameter, Likelihood
from hglm.empirical.read import read_noise, require_groups, require_intercept
from hglm.empirical.result import EBayes
from hglm.errors import DataError, OptionError
from hglm.typing import Matrix, Vector

__all__ = ["Deconvolution"]


@dataclass(frozen=True, slots=True)
class Deconvolution:
    """Smooth prior by g-modelling, for normal, Poisson or binomial noise.

    Use it to see the distribution of the true values, with standard errors, or
    for intervals under a prior of unknown smooth shape. Not for priors with
    sharp features (atoms other than `atom`, gaps), which it smooths away; and
    the grid must cover the true values, because no mass lies outside it.

    Parameters
    ----------
    grid
        Number of support points, or the points themselves.
    df
        Degrees of freedom of the spline.
    penalty
        Factor c of the penalty c‖α‖ towards the uniform prior on the grid.
    atom
        A grid point that gets a mass of its own, such as 0.
    noise
        "normal", "poisson", "binomial", or "auto" for what the data show.
    zero_truncated
        For Poisson counts: groups with no events were never seen, so the
        likelihood is conditional on y ≥ 1 and the prior is that of the groups
        seen.
    """

    grid: int | Sequence[float] = 100
    df: int = 5
    penalty: float = 1.0
    atom: float | None = None
    noise: str = "auto"
    zero_truncated: bool = False

    def __post_init__(self) -> None:
        if self.df < 1 or self.penalty < 0:
            raise OptionError("`df` is at least 1 and `penalty` at least 0.")

    def fit(self, frame: ModelFrame) -> EBayes:
        """Estimate the prior and every group's posterior."""
        require_groups(frame)
        require_intercept(frame, "deconvolution")
        data = read_noise(frame, self.noise)
        support = _support(self, data)
        first, inverse, repeats = unique_rows(data.rows())
        counts = np.bincount(inverse, frame.multiplicity(), repeats).astype(float)
        matrix = scaled_likelihood(_log_density(self, data, support)[first])
        Q = _basis(self, support)
        prior = fit_smooth_prior(Q, matrix.L, counts, self.penalty)
        size = accuracy(
            prior, Q, *_information(self, data, support, matrix, prior, counts), self.penalty
        )
        posterior = matrix.posterior(prior.mass)[inverse]
        groups = int(counts.sum())
        return EBayes(
            formula=frame.formula.text,
            model=f"deconvolution ({data.name} noise, {Q.shape[1]} degrees of freedom)",
            group=frame.group,
            levels=frame.levels,
            coefficients=no_coefficients(),
            derived=(
                *moments_of_prior(support, prior.mass),
                Hyperparameter("penalty share S", size.penalty_share, np.nan, "identity"),
            ),
            terms=(discrete_term(data, support, prior.mass, posterior),),
            prior_table=_table(support, prior.mass, size),
            likelihood=Likelihood(
                matrix.log_likelihood(prior.mass, counts),
                float(Q.shape[1]),
                groups,
                "penalised" if self.penalty > 0 else "ml",
                fingerprint(data.name + "+" * self.zero_truncated, data.rows()),
                groups,
            ),
            certificate=_certificate(prior),
            singular=False,
            heterogeneity=None,
            notes=frame.notes,
        )


def _support(model: Deconvolution, data: Noise) -> Vector:
    if isinstance(model.grid, int):
        support = data.grid(model.grid)
        if model.atom is not None:
            support = np.union1d(support, [model.atom])
        support = support[support > 0] if model.zero_truncated else support
    else:
        support = np.unique(np.asarray(model.grid, dtype=float))
    if isinstance(model.grid, int) and np.ptp(data.estimate) == 0:
        raise DataError(
            f"All groups have the same estimate, {data.estimate[0]:g}, so there is no distribution "
            "to recover; give the grid on which to look for one."
        )
    if support.size < model.df + 2:
        raise OptionError(
            f"{support.size} grid points carry no spline with {model.df} degrees of freedom; give "
            "a finer grid."
        )
    if model.atom is not None and model.atom not in support:
        raise OptionError(f"The atom {model.atom:g} is not a point of the grid; add it.")
    return support


def _log_density(model: Deconvolution, data: Noise, support: Vector) -> Matrix:
    out: Matrix = data.log_density(support)
    if not model.zero_truncated:
        return out
    if not isinstance(data, PoissonNoise):
        raise OptionError("`zero_truncated` is about Poisson counts; remove it for other noise.")
    if data.counts.min() < 1:
        raise DataError("There are counts of zero, so the counts are not truncated at zero.")
    with np.errstate(divide="ignore"):
        out -= np.log(-np.expm1(-data.exposure[:, None] * support))
    return out


def _basis(model: Deconvolution, support: Vector) -> Matrix:
    """Centred spline columns of unit length, an indicator of the atom in front. (m, p)"""
    Q: Matrix = natural_spline(support, model.df)
    Q -= Q.mean(axis=0)
    Q /= np.linalg.norm(Q, axis=0)
    if model.atom is None:
        return Q
    return np.column_stack([(support == model.atom).astype(float), Q])


def _information(
    model: Deconvolution,
    data: Noise,
    support: Vector,
    matrix: LikelihoodMatrix,
    prior: SmoothPrior,
    counts: Vector,
) -> tuple[Matrix, Vector]:
    """Likelihood rows and counts at which the information is taken.

    Equally exposed Poisson counts are a table: all counts up to the largest,
    weighted as ĝ expects them. Elsewhere every observation has its own sampling
    model and the observed ones are used.
    """
    if not isinstance(data, PoissonNoise) or np.ptp(data.exposure) > 0:
        return matrix.L, counts
    cells = np.arange(float(model.zero_truncated), data.counts.max() + 1.0)
    table = PoissonNoise(cells, np.full_like(cells, data.exposure[0]))
    rows = np.exp(_log_density(model, table, support))
    return rows, counts.sum() * (rows @ prior.mass)


def _certificate(prior: SmoothPrior) -> Certificate:
    gap = prior.decrement
    return Certificate("newton decrement", gap, 1e-8, prior.evaluations, gap <= 1e-8)


def _table(support: Vector, mass: Vector, size: PriorAccuracy) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "theta": support,
            "mass": mass,
            "std_error": size.std_error,
            "bias": size.bias,
            "corrected": mass - size.bias,
            "cumulative": np.cumsum(mass),
            "cumulative_std_error": size.cumulative_std_error,
        }
    )
