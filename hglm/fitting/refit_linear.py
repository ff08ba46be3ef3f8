"""Fit a linear mixed model again to many responses of one design.

With X = QR and the rows of the fit, a response y enters only by γ_0 = Q'(y - Xβ̂), by
e = y - Xβ̂ - Qγ_0 and its products with Z, Q and itself: everything else of
`LinearProblem` is kept. (Xβ̂ is removed first, so that nothing is lost where the
response is large beside its scatter.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hglm.criteria.grouped_terms import GroupedTerms, group_terms
from hglm.criteria.linear_problem import LinearProblem
from hglm.criteria.lockstep_linear import (
    ManyResponses,
    factor_basis,
    is_linear_in_theta,
    profile_many,
)
from hglm.criteria.profiled import evaluate
from hglm.design.arrays import Design
from hglm.fitting.certificate import Certificate
from hglm.fitting.checks import LOST, check_residual
from hglm.fitting.linear import LinearOptimum, fit_linear
from hglm.fitting.lockstep_search import Optima, find_optima
from hglm.fitting.record import Estimates, LinearState
from hglm.fitting.refit_record import Refits, attempt, batch_size, off_boundary
from hglm.fitting.refit_uncertainty import Uncertainty, linear_uncertainty
from hglm.numerics.gramian import level_products
from hglm.numerics.orthogonal import orthogonalise
from hglm.numerics.related import relate_sums
from hglm.typing import Codes, Matrix, Vector

__all__ = ["LinearRefitter", "make_linear_refitter"]

START = 0.1
"""Least standard deviation of a direction of T at the start."""


@dataclass(frozen=True, slots=True)
class LinearRefitter:
    """What fits of a linear model to other responses share."""

    estimates: Estimates
    design: Design
    problem: LinearProblem
    terms: GroupedTerms
    """Rows sorted as in the problem, and the columns of Z."""
    Q: Matrix
    """(n, p) fixed effects in orthonormal columns, rows sorted."""
    centre: Vector
    """(n,) offset + Xβ̂, in the rows of the design."""
    root: Vector | None
    """(n,) square roots of the weights, sorted."""
    start: Vector
    """(m,) θ."""
    hessian: Matrix
    """(m, m) average information at the start."""
    reml: bool
    lockstep: bool
    """Whether the model allows to search for all responses at once."""

    @property
    def batch(self) -> int:
        """How many responses are best fitted together."""
        if not self.terms.groupings:
            return batch_size(4 * len(self.centre))
        if not self.lockstep:
            return 10
        k, _, q = self.problem.gramian.diagonal[0].shape
        return batch_size(q * k * (4 * k + 4 * (self.problem.p + 1)))

    def many(self, Y: Matrix) -> Refits:
        """Fit responses Y (n, B), one a column, in the rows of the design."""
        rows = _residuals(self, Y)
        if not self.terms.groupings:
            return self._without_random_effects(rows)
        if not self.lockstep:
            return Refits.join([self._one(rows, i, None) for i in range(Y.shape[1])])
        found, optima, careful = self._together(rows, self._cross_products(rows))
        again = [
            self._one(rows, i, optima.theta[i] if optima.converged[i] else None)
            for i in careful.tolist()
        ]
        return found.with_rows(careful, again)

    def uncertain(self, Y: Matrix) -> tuple[Refits, Uncertainty] | None:
        """Fit in lock-step only, and tell how uncertain β̂ is; None where that is not prepared."""
        if not self.lockstep:
            return None
        rows = _residuals(self, Y)
        many = self._cross_products(rows)
        found, optima, careful = self._together(rows, many)
        uncertainty = linear_uncertainty(many, optima.theta, self.problem.fixed.to_beta)
        return found, uncertainty.without(careful)

    def _together(self, rows: _Residuals, many: ManyResponses) -> tuple[Refits, Optima, Codes]:
        """Fit in lock-step; also which responses want to be fitted by themselves."""
        optima = find_optima(many, self.problem.layout, self.start, self.hessian)
        final = profile_many(many, np.arange(len(rows.gamma)), optima.theta)
        factors = np.tensordot(optima.theta, many.basis, (1, 0))  # (B, k, k)
        found = replace(
            self._refits(rows.gamma + final.gamma, factors, final.sigma2, final.value),
            singular=optima.singular,
        )
        lost = final.sigma2 * many.nu <= LOST * rows.ee
        return found, optima, np.flatnonzero(~optima.settled | lost)

    def _without_random_effects(self, rows: _Residuals) -> Refits:
        """Least squares: e is all that is left."""
        nu = self.problem.nobs - (self.problem.p if self.reml else 0)
        sigma2 = rows.ee / nu
        value = nu * (1.0 + np.log(2.0 * np.pi * sigma2)) + self._constant
        return self._in_user_columns(rows.gamma, [], sigma2, value)

    @property
    def _constant(self) -> float:
        """What the criterion has whatever θ and the response."""
        problem = self.problem
        return 2.0 * problem.fixed.logdet_R * self.reml - problem.sum_log_weights

    def _cross_products(self, rows: _Residuals) -> ManyResponses:
        problem, p = self.problem, self.problem.p
        gram = np.empty((len(rows.gamma), p + 1, p + 1))
        gram[:, :p, :p] = problem.gram[:p, :p]
        gram[:, :p, p] = gram[:, p, :p] = rows.Qe
        gram[:, p, p] = rows.ee
        return ManyResponses(
            A=problem.gramian.diagonal[0],
            QZ=problem.rhs[0][:p],
            eZ=rows.eZ[0],
            gram=gram,
            nobs=problem.nobs,
            constant=self._constant,
            basis=factor_basis(problem.layout),
            reml=self.reml,
        )

    def _one(self, rows: _Residuals, i: int, start: Vector | None) -> Refits:
        """Fit one response with all checks, from θ or from its moments."""

        def fit() -> tuple[Certificate, Refits]:
            problem = rows.problem(self.problem, i)
            optimum = fit_linear(problem, self.reml, start)
            check_residual(self.design, problem, optimum.solution.penalized_rss)
            return optimum.certificate, self._of(optimum, rows.gamma[i])

        return attempt(fit, self.estimates)

    def _of(self, optimum: LinearOptimum, gamma: Vector) -> Refits:
        s, layout = optimum.solution, self.problem.layout
        factors = [T[None] for T in layout.term_factors(optimum.theta)]
        fitted = self._in_user_columns(
            (gamma + s.gamma)[None], factors, np.array([s.sigma2]), np.array([s.value])
        )
        return replace(fitted, singular=np.array([optimum.certificate.singular]))

    def _refits(self, gamma: Matrix, T: Matrix, sigma2: Vector, value: Vector) -> Refits:
        """From the factor (B, k, k) of the only group."""
        slots = self.problem.layout.slots
        return self._in_user_columns(
            gamma, [T[:, s.columns, s.columns] for s in slots], sigma2, value
        )

    def _in_user_columns(
        self, gamma: Matrix, factors: list[Matrix], sigma2: Vector, value: Vector
    ) -> Refits:
        moved = [S @ T for S, T in zip(self.problem.maps, factors, strict=True)]
        return Refits(
            beta=self.estimates.beta + gamma @ self.problem.fixed.to_beta.T,
            others={},
            covariances=tuple(sigma2[:, None, None] * (F @ F.swapaxes(1, 2)) for F in moved),
            sigma=np.sqrt(sigma2),
            llf=-0.5 * value,
            singular=np.zeros(len(value), dtype=bool),
        )


@dataclass(frozen=True, slots=True)
class _Residuals:
    """Responses as the criterion sees them."""

    gamma: Matrix
    """(B, p) γ_0."""
    Qe: Matrix
    """(B, p) Q'e, zero but for rounding."""
    ee: Vector
    """(B,) e'e."""
    eZ: tuple[Matrix, ...]
    """e'Z per group, (B, k, q)."""

    def problem(self, shared: LinearProblem, i: int) -> LinearProblem:
        """Cross-products with response i."""
        p = shared.p
        gram = shared.gram.copy()
        gram[:p, p] = gram[p, :p] = self.Qe[i]
        gram[p, p] = self.ee[i]
        rhs = tuple(
            np.concatenate([r[:p], eZ[i : i + 1]])
            for r, eZ in zip(shared.rhs, self.eZ, strict=True)
        )
        fixed = replace(shared.fixed, gamma=self.gamma[i])
        return replace(shared, rhs=rhs, gram=gram, fixed=fixed)


def make_linear_refitter(
    estimates: Estimates, design: Design, state: LinearState
) -> LinearRefitter:
    """Prepare to fit a linear mixed model to other responses."""
    problem = state.problem
    root = _root_weights(design)
    terms = group_terms([design.mean], root)
    sorted_root = None if root is None else terms.take(root)
    rows = terms.stack(design.mean.X, np.zeros(len(design.y)))
    orthogonalise(rows, sorted_root)
    centre = design.mean.X @ estimates.beta
    start = off_boundary(problem.layout, state.theta, START)
    single = len(problem.roots) == 1 and problem.roots[0] is None
    return LinearRefitter(
        estimates=estimates,
        design=design,
        problem=problem,
        terms=terms,
        Q=rows[:, :-1],
        centre=centre if design.mean.offset is None else centre + design.mean.offset,
        root=sorted_root,
        start=start,
        hessian=evaluate(problem, start, state.reml).hessian,
        reml=state.reml,
        lockstep=single and is_linear_in_theta(problem.layout),
    )


def _root_weights(design: Design) -> Vector | None:
    given = [w for w in (design.weights, design.frequencies) if w is not None]
    return np.sqrt(np.prod(given, axis=0)) if given else None


def _residuals(refitter: LinearRefitter, Y: Matrix) -> _Residuals:
    """Sort and weight the responses, and split them into Qγ_0 and e."""
    terms, Q = refitter.terms, refitter.Q
    e = terms.take(np.asfortranarray(Y - refitter.centre[:, None]))
    if refitter.root is not None:
        e *= refitter.root[:, None]
    gamma = Q.T @ e
    e = e - Q @ gamma
    again = Q.T @ e  # as in `hglm.numerics.orthogonal`
    e = np.asfortranarray(e - Q @ again)
    eZ = [level_products(g, z, e) for g, z in zip(terms.groupings, terms.columns, strict=True)]
    ee = np.einsum("nb,nb->b", e, e)
    products = tuple(relate_sums(eZ, terms.roots))
    return _Residuals((gamma + again).T, (Q.T @ e).T, ee, products)
