"""What a fit has found: frozen records of arrays in the user's coordinates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.laplace import MarginalEvaluation
from hglm.criteria.linear_problem import LinearProblem
from hglm.design.arrays import Relation
from hglm.fitting.certificate import Certificate
from hglm.typing import Matrix, Vector

__all__ = ["Coefficients", "Estimates", "GeneralisedState", "LinearState", "TermEstimate"]


@dataclass(frozen=True, slots=True)
class TermEstimate:
    """Random effects of one term."""

    position: int
    """Place of the term in the formula: its index in `design.mean.random`."""
    group: str
    names: tuple[str, ...]
    """(k,) coefficients."""
    levels: pd.Index
    """(q,)"""
    structure: str
    factor: Matrix
    """(k, k) lower factor T of the covariance relative to σ²."""
    covariance: Matrix
    """(k, k) covariance of the coefficients, σ²TT'."""
    modes: Matrix
    """(q, k) conditional modes b."""
    predictor: str = "mean"
    """Linear predictor in which the term stands."""
    theta: Vector = field(default_factory=lambda: np.zeros(0))
    """(m,) covariance parameters of the term."""
    parameters: Mapping[str, float] = field(default_factory=dict)
    """What the structure has beside standard deviations of single coefficients:
    ``"sd"`` where all have the same, ``"rho"``, ``"range"``, ..."""
    coordinates: Matrix | None = None
    """(k, d) where the coefficients stand, for structures in time or space."""
    relation: Relation | None = None
    """Of the levels; None where they are independent."""

    @property
    def k(self) -> int:
        """Number of coefficients."""
        return len(self.names)

    @property
    def label(self) -> str:
        """Name for all coefficients: ``"times"`` for ``"times[t1]", "times[t2]", ...``."""
        stems = dict.fromkeys(re.sub(r"\[[^\]]*\]", "", name) for name in self.names)
        return ", ".join(stems)

    @property
    def homogeneous(self) -> bool:
        """Whether all coefficients have one standard deviation, by the structure."""
        return "sd" in self.parameters


@dataclass(frozen=True, slots=True)
class LinearState:
    """What is needed to compute more of a linear model at its optimum.

    `hglm.criteria.profiled.solve(problem, theta, reml)` gives back the factor.
    """

    problem: LinearProblem
    theta: Vector
    """(m,) in the problem's standardised coordinates."""
    reml: bool


@dataclass(frozen=True, slots=True)
class GeneralisedState:
    """What is needed to compute more of a generalised model at its optimum."""

    problem: GeneralisedProblem
    psi: Vector
    """(n_fixed + m,) in the problem's standardised coordinates."""
    evaluation: MarginalEvaluation
    """At ψ, with the mode of the random effects and the factor there."""
    hessian: Matrix
    """Of the deviance in ψ, squared."""


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Fixed effects of one further predictor, such as the dispersion."""

    names: tuple[str, ...]
    """(p,)"""
    beta: Vector
    """(p,)"""
    vcov: Matrix
    """(p, p)"""
    linear_predictor: Vector = field(repr=False)
    """(n,) its linear predictor, rows in the order of the data."""


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates of a model, complete when made."""

    method: str
    """``"reml"``, ``"ml"``, ``"laplace"``, ..."""
    beta: Vector
    """(p,) fixed effects."""
    vcov: Matrix
    """(p, p) their covariance."""
    sigma: float | None
    """Residual standard deviation, or the family's dispersion; None where it has none."""
    terms: tuple[TermEstimate, ...]
    """In lme4's order: most levels first, then as in the formula."""
    theta: Vector
    """(m,) covariance parameters in the user's coordinates, term after term."""
    llf: float
    """Log likelihood (REML: restricted)."""
    nobs: float
    n_parameters: int
    """Fixed effects, covariance parameters and dispersion."""
    linear_predictor: Vector
    """(n,) Xβ + Zb + offset, rows in the order of the data."""
    certificate: Certificate
    state: LinearState | GeneralisedState
    path: tuple[tuple[Vector, float], ...] = ()
    """Every θ tried, with the criterion there."""
    nodes: int = 1
    """Quadrature nodes per dimension; one for the Laplace approximation."""
    others: Mapping[str, Coefficients] = field(default_factory=dict)
    """Further predictors by name: ``"dispersion"``, ``"zero_inflation"``, ..."""

    @property
    def modes_by_position(self) -> dict[int, Matrix]:
        """Conditional modes (q, k) of the mean's terms by place in the formula."""
        return {t.position: t.modes for t in self.terms if t.predictor == "mean"}

    @property
    def deviance(self) -> float:
        """Minus twice the log likelihood."""
        return -2.0 * self.llf

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2k - 2l."""
        return 2.0 * self.n_parameters - 2.0 * self.llf

    @property
    def bic(self) -> float:
        """Schwarz's criterion, k log n - 2l."""
        return float(np.log(self.nobs)) * self.n_parameters - 2.0 * self.llf
