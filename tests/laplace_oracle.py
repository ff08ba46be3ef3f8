"""Marginal likelihoods with dense matrices: slow, obvious, and independent of the criteria.

Everything is in the user's coordinates: coefficients β of each predictor, and a factor F of
the covariance of each random term. All random effects b = Fu of all predictors stand in one
vector u ~ N(0, I), through dense matrices M_d with η_d = X_dβ_d + offset + M_d u.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from dense_oracle import dense_z
from generalised_models import ArrayModel
from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.families import Wanted, bind
from hglm.typing import Matrix, Vector

__all__ = ["DenseModel", "dense_at", "dense_laplace", "density_laplace"]


@dataclass(frozen=True)
class DenseModel:
    """η_d = fixed_d + M_d u for every predictor."""

    fixed: list[Vector | float]
    """(n,) each, or a number"""
    M: list[Matrix]
    """(n, q) each, q random effects in all."""

    def predictors(self, u: Vector) -> list[Vector | float]:
        """η_d; a number stays one where no random effect touches it."""
        return [f + M @ u if M.any() else f for f, M in zip(self.fixed, self.M, strict=True)]


def dense_at(model: ArrayModel, problem: GeneralisedProblem, psi: Vector) -> DenseModel:
    """Write out the model at ψ, in the order of the data's rows."""
    n = len(model.response.y)
    fixed, designs = [], list(model.predictors.values())
    for block, design in zip(problem.fixed, designs, strict=True):
        beta = block.to_beta @ psi[block.parameters]
        if design is None:
            fixed.append(beta[0])
            continue
        offset = 0.0 if design.offset is None else design.offset
        fixed.append(design.X @ beta + offset)
    columns: list[list[Matrix]] = [[np.zeros((n, 0))] for _ in designs]
    factors = problem.terms.user_factors(problem.theta(psi))
    for (d, position), F in zip(problem.terms.terms, factors, strict=True):
        design = designs[d]
        assert design is not None
        term = design.random[position]
        block = dense_z(term.codes, term.z @ F)
        for e, parts in enumerate(columns):
            parts.append(block if e == d else np.zeros_like(block))
    return DenseModel(fixed, [np.hstack(parts) for parts in columns])


def dense_laplace(model: ArrayModel, dense: DenseModel) -> float:
    """-2 log L by Laplace, the mode by Newton's method with dense matrices."""
    likelihood = bind(model.family, model.response.y, model.response.sizes)
    counts = np.ones(len(model.response.y)) if model.frequencies is None else model.frequencies
    d = range(len(dense.M))
    wanted = Wanted(2, tuple(d))

    def parts(u: Vector) -> tuple[float, Vector, Matrix]:
        jet = likelihood.derivatives(dense.predictors(u), wanted)
        gradient = u - sum(dense.M[i].T @ (counts * jet[i]) for i in d)
        hessian = np.eye(len(u)) - sum(
            dense.M[i].T @ ((counts * jet[i, j])[:, None] * dense.M[j]) for i in d for j in d
        )
        return float(0.5 * u @ u - counts @ jet.value), np.asarray(gradient), np.asarray(hessian)

    u = np.zeros(dense.M[0].shape[1])
    if u.size:
        u = optimize.minimize(lambda v: parts(v)[:2], u, jac=True, method="BFGS").x
    for _ in range(5):
        _, gradient, hessian = parts(u)
        u = u - np.linalg.solve(hessian, gradient)
    h, gradient, hessian = parts(u)
    assert float(np.abs(gradient).max(initial=0.0)) < 1e-8
    return float(2.0 * h + np.linalg.slogdet(hessian)[1])


def density_laplace(
    log_density: Callable[[Sequence[Vector | float]], Vector], dense: DenseModel
) -> float:
    """-2 log L by Laplace from a log density alone, its curvature by differences."""

    def h(u: Vector) -> float:
        return float(0.5 * u @ u - log_density(dense.predictors(u)).sum())

    q = dense.M[0].shape[1]
    u = np.asarray(optimize.minimize(h, np.zeros(q), method="BFGS", options={"gtol": 1e-7}).x)
    step = 2e-3
    hessian = np.empty((q, q))
    unit = step * np.eye(q)
    for i in range(q):
        for j in range(i + 1):
            hessian[i, j] = hessian[j, i] = _second_difference(h, u, unit[i], unit[j]) / step**2
    return float(2.0 * h(u) + np.linalg.slogdet(hessian)[1])


def _second_difference(h: Callable[[Vector], float], u: Vector, a: Vector, b: Vector) -> float:
    """∂²h along a and b, of fourth order: Richardson's step from the central difference."""

    def central(t: float) -> float:
        v, w = t * a, t * b
        return (h(u + v + w) - h(u + v - w) - h(u - v + w) + h(u - v - w)) / (4.0 * t**2)

    return (4.0 * central(1.0) - central(2.0)) / 3.0
