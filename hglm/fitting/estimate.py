"""From a design to estimates in the user's coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg

from hglm.criteria.linear_problem import LinearProblem, linear_problem
from hglm.design.arrays import Design, PredictorDesign
from hglm.errors import FitError
from hglm.fitting.checks import check_linear, check_residual, check_start, no_residual
from hglm.fitting.linear import LinearOptimum, fit_linear
from hglm.fitting.record import Estimates, LinearState
from hglm.fitting.term_estimates import standard_theta, term_estimates, user_theta
from hglm.numerics.threads import single_thread
from hglm.numerics.triangular import solve_triangular
from hglm.numerics.trust_region import TrustRegion
from hglm.typing import Matrix, Vector

__all__ = ["estimate_linear", "is_small", "random_part"]


def estimate_linear(
    design: Design, reml: bool, start: Vector | None = None, settings: TrustRegion | None = None
) -> Estimates:
    """Fit a linear mixed model by ML or REML.

    Parameters
    ----------
    design
        Arrays of the model.
    reml
        REML rather than ML.
    start : (m,) or None
        θ to start from, in the user's coordinates and the order of `Estimates.theta`.
    settings
        Of the search.
    """
    with single_thread(is_small([design.mean])):
        offset = design.mean.offset
        y = design.y if offset is None else design.y - offset
        problem = linear_problem(design.mean, y, design.weights, design.frequencies)
        check_linear(design, problem)
        first = None
        if start is not None:
            given = check_start(start, problem.layout.n_theta)
            first = standard_theta(problem.layout, problem.maps, given)
        try:
            optimum = fit_linear(problem, reml, first, settings)
        except (FitError, linalg.LinAlgError) as error:
            raise no_residual(design) from error
        check_residual(design, problem, optimum.solution.penalized_rss)
        return _estimates(design, problem, optimum, reml)


def random_part(design: PredictorDesign, modes: dict[int, Matrix]) -> Vector:
    """Zb by rows; new levels contribute zero. (n,)

    Parameters
    ----------
    design
        Random terms by rows, codes -1 for new levels.
    modes
        Term position -> (q, k) effects; terms left out contribute zero.
    """
    out = np.zeros(design.X.shape[0])
    for position, b in modes.items():
        out += design.random[position].effects(b)
    return out


def _estimates(
    design: Design, problem: LinearProblem, optimum: LinearOptimum, reml: bool
) -> Estimates:
    s = optimum.solution
    sigma = float(np.sqrt(s.sigma2))
    fixed = problem.fixed
    beta = fixed.to_beta @ (fixed.gamma + s.gamma) + fixed.shift
    root = solve_triangular(s.L_X, fixed.to_beta.T)
    layout = problem.layout
    theta = user_theta(layout, problem.maps, optimum.theta)
    terms = term_estimates(
        {"mean": design.mean},
        [("mean", position) for position in problem.terms],
        layout,
        problem.maps,
        problem.roots,
        theta,
        [b[None] for b in s.combine(s.modes)],
        sigma,
    )
    eta = design.mean.X @ beta + random_part(design.mean, {t.position: t.modes for t in terms})
    if design.mean.offset is not None:
        eta += design.mean.offset
    return Estimates(
        method="reml" if reml else "ml",
        beta=beta,
        vcov=s.sigma2 * root.T @ root,
        sigma=sigma,
        terms=terms,
        theta=theta,
        llf=-0.5 * s.value,
        nobs=problem.nobs,
        n_parameters=problem.p + layout.n_theta + 1,
        linear_predictor=eta,
        certificate=optimum.certificate,
        state=LinearState(problem, optimum.theta, reml),
        path=optimum.path,
    )


def is_small(designs: Sequence[PredictorDesign | None]) -> bool:
    """Whether no dense factorisation will be large enough to gain from threads."""
    terms = [t for d in designs if d is not None for t in d.random]
    columns = sorted(t.n_levels * t.k for t in terms)
    return sum(columns[:-1]) < 1000
