"""Conjugate marginal likelihoods with a linear predictor for the prior mean.

log p(D | β, φ) = Σ_i m_i(η_i, φ), η = Xβ: each family supplies m_i and its
derivatives in (η_i, φ) for all groups at once; this module assembles gradient
and Hessian, maximises, and reports. Columns of X are centred and scaled for the
search and mapped back exactly. Cost: O(G (p + 1)²) an evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import linalg

from hglm.empirical.certificate import Certificate
from hglm.empirical.maximise import Evaluation, certify, maximise
from hglm.empirical.transforms import REAL, Transform
from hglm.numerics.orthogonal import standardise_columns
from hglm.typing import BoolArray, Matrix, Vector

__all__ = ["HyperFit", "Jet", "Marginal", "assemble", "fit_marginal"]


@dataclass(frozen=True, slots=True)
class Jet:
    """Marginal log-likelihoods of G groups and derivatives in (η_i, φ), φ of size m."""

    value: Vector
    """(G,)"""
    gradient: Matrix
    """(G, 1 + m)"""
    hessian: Matrix
    """(G, 1 + m, 1 + m)"""


class Marginal(Protocol):
    """A conjugate family with its data: what `fit_marginal` needs."""

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """Ranges of φ. (m,)"""

    def jet(self, eta: Vector, phi: Vector) -> Jet:
        """Log-likelihoods and derivatives at η (G,), φ (m,), bounds included."""

    def start(self) -> tuple[Vector, Sequence[Vector]]:
        """Give a rough η (G,), and values of φ (m,) to start from."""


@dataclass(frozen=True, slots=True)
class HyperFit:
    """Maximum-likelihood hyperparameters."""

    beta: Vector
    """(p,)"""
    phi: Vector
    """(m,)"""
    vcov: Matrix
    """(p + m, p + m) missing for parameters on a bound."""
    at_bound: BoolArray
    """(p + m,)"""
    llf: float
    certificate: Certificate


def fit_marginal(marginal: Marginal, X: Matrix) -> HyperFit:
    """Maximise the marginal likelihood over (β, φ).

    Parameters
    ----------
    marginal
        Family and data.
    X : (G, p)
        Covariates of each group, of full column rank.
    """
    p = X.shape[1]
    columns, T = standardise_columns(X, None)
    eta, starts = marginal.start()
    gamma = np.linalg.lstsq(columns, eta, rcond=None)[0]
    found = maximise(
        lambda x: assemble(marginal.jet(columns @ x[:p], x[p:]), columns),
        [np.concatenate([gamma, phi]) for phi in starts],
        (REAL,) * p + marginal.transforms,
    )
    back = linalg.block_diag(T, np.eye(len(marginal.transforms)))
    return HyperFit(
        beta=T @ found.x[:p],
        phi=found.x[p:],
        vcov=_map_covariance(found.vcov(), back, found.at_bound),
        at_bound=found.at_bound,
        llf=found.point.value,
        certificate=certify(found),
    )


def assemble(jet: Jet, X: Matrix) -> Evaluation:
    """Chain rule from (η, φ) to (β, φ), summed over groups."""
    slope = jet.gradient[:, 0]
    gradient = np.concatenate([X.T @ slope, jet.gradient[:, 1:].sum(axis=0)])
    cross = X.T @ jet.hessian[:, 0, 1:]
    hessian = np.block(
        [
            [X.T @ (jet.hessian[:, 0, 0, None] * X), cross],
            [cross.T, jet.hessian[:, 1:, 1:].sum(axis=0)],
        ]
    )
    return Evaluation(float(jet.value.sum()), gradient, hessian)


def _map_covariance(vcov: Matrix, back: Matrix, at_bound: BoolArray) -> Matrix:
    """Covariance of `back @ x`, leaving the missing entries missing."""
    out = np.full(vcov.shape, np.nan)
    free = np.ix_(~at_bound, ~at_bound)
    out[free] = back[free] @ vcov[free] @ back[free].T
    return out
