"""Cluster-robust covariances of maximum likelihood estimates of generalised models.

With s_c the score of a cluster in all parameters ψ = (fixed effects of every predictor, θ)
and H the Hessian of -log L, both of the approximate likelihood that was maximised,

    Var(ψ̂) ≈ H^-1 (Σ_c s_c s_c') H^-1,

the sandwich of Huber (1967, Proc. 5th Berkeley Symp. 1, 221-233) and White (1982,
Econometrica 50, 1-25). It is consistent, as the number of clusters C grows, for the
parameters at which the misspecified model is closest to the truth.

    CR0   as it stands          CR1   times C/(C - 1)

The blocks of β carry what the estimation of θ and the dispersion adds. A parameter
without curvature at the estimates, such as a variance at zero, counts as known. CR2 rests
on a linear working model and has no counterpart here.
"""

from __future__ import annotations

import numpy as np

from hglm.design import Design
from hglm.errors import OptionError
from hglm.fitting.record import Coefficients, Estimates, GeneralisedState
from hglm.inference.diagnostics.cluster_scores import cluster_scores
from hglm.inference.diagnostics.clusters import Clusters
from hglm.inference.diagnostics.robust_covariance import FixedRobust
from hglm.numerics.positive import covariance_of
from hglm.typing import Matrix

__all__ = ["likelihood_robust", "sandwich"]


def likelihood_robust(
    estimates: Estimates, state: GeneralisedState, design: Design, kind: str, found: Clusters
) -> FixedRobust:
    """Compute a cluster-robust covariance of the fixed effects of a generalised model.

    Parameters
    ----------
    estimates, state, design
        Of the fit.
    kind
        ``"CR0"`` or ``"CR1"``.
    found
        Independent clusters.
    """
    if kind == "CR2":
        raise OptionError(
            "CR2 is for linear mixed models, since it adjusts residuals of a linear working model; "
            'for this generalised one use kind="CR1", or with few clusters the bootstrap.'
        )
    covariance = sandwich(estimates, state, design, kind, found)
    blocks = {
        block.name: block.to_beta @ covariance[block.parameters, block.parameters] @ block.to_beta.T
        for block in state.problem.fixed
    }
    vcov, C = blocks.pop("mean"), len(found.levels)
    if "thresholds" in estimates.others:
        a = slice(state.problem.fixed[1].first, state.problem.n_fixed)
        slopes = _threshold_slopes(estimates.others["thresholds"])
        blocks = {"thresholds": slopes @ covariance[a, a] @ slopes.T}
    rule = "degrees of freedom: clusters less one"
    return FixedRobust(vcov, kind, found.name, C, C - 1.0, rule, blocks)


def sandwich(
    estimates: Estimates, state: GeneralisedState, design: Design, kind: str, found: Clusters
) -> Matrix:
    """Covariance of ψ̂, in the problem's coordinates. (n_fixed + m, n_fixed + m)"""
    scores = cluster_scores(estimates, state, design, found.rows())
    influences = scores @ covariance_of(state.hessian, state.problem.n_fixed)
    C = len(scores)
    out: Matrix = influences.T @ influences * (C / (C - 1.0) if kind == "CR1" else 1.0)
    return out


def _threshold_slopes(thresholds: Coefficients) -> Matrix:
    """∂θ/∂a of ordered thresholds, θ_j = θ_{j-1} + exp(a_j). (J - 1, J - 1)"""
    slopes = np.append(1.0, np.diff(thresholds.beta))
    out: Matrix = np.tril(np.ones((len(slopes), len(slopes)))) * slopes
    return out
