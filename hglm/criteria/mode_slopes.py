"""How the mode of the random effects moves with the parameters.

The mode satisfies b = Σs, with Σ = ΛΛ' and s = Z'l'(η) the scores there. With
A = Z'WZ, W the observed information, and r = -Z'WX dγ what a change of the fixed
effects does to the scores at a fixed b (implicit function theorem),

    (I + ΣA) db = dΣ s + Σr,     that is  db = w + (A + Σ^-1)^-1 (r - A w),  w = dΣ s
    ds = r - A db,               du = dΛ's + Λ'ds

of which the second form holds at a singular Σ as well.
"""

from __future__ import annotations

import numpy as np

from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.mode import Mode, counted
from hglm.numerics.gramian import batched_apply
from hglm.typing import Matrix, Vector

__all__ = ["mode_slopes"]


def mode_slopes(problem: GeneralisedProblem, psi: Vector, mode: Mode) -> list[Matrix]:
    """Differentiate the mode of u in ψ. Per group (n_fixed + m, k, q)

    Parameters
    ----------
    problem
        The model.
    psi : (n_fixed + m,)
    mode
        At ψ.
    """
    theta = problem.theta(psi)
    T = problem.layout.factors(theta)
    multiply = mode.factor.gramian.multiply
    of_scores = _score_slopes(problem, psi, mode)
    rotated = [np.zeros_like(r) for r in of_scores]
    shifted = [np.zeros_like(r) for r in of_scores]
    for i, (g, d) in enumerate(problem.layout.derivatives(theta), start=problem.n_fixed):
        change = d @ T[g].T
        shifted[g][i] = (change + change.T) @ mode.scores[g][0]
        rotated[g][i] = d.T @ mode.scores[g][0]
    forces = [r - a for r, a in zip(of_scores, multiply(shifted), strict=True)]
    db = [w + x for w, x in zip(shifted, mode.factor.modes(forces), strict=True)]
    return [
        turned + batched_apply(t.T[:, :, None], r - a)
        for turned, t, r, a in zip(rotated, T, of_scores, multiply(db), strict=True)
    ]


def _score_slopes(problem: GeneralisedProblem, psi: Vector, mode: Mode) -> list[Matrix]:
    """r, nothing for θ. Per group (n_fixed + m, k, q)"""
    sums = problem.pattern.sums
    slopes: list[list[Matrix]] = []
    for f, block in enumerate(problem.fixed):
        second = {
            d: counted(problem, np.broadcast_to(mode.jet[d, f], (problem.n,)))
            for d in problem.wanted.inner
        }
        columns = [1.0] if block.X is None else block.X.T
        slopes += [sums({d: w * x for d, w in second.items()}) for x in columns]
    none = np.zeros(len(psi) - len(slopes))
    return [
        np.concatenate([*(x[g] for x in slopes), np.multiply.outer(none, b[0])])
        for g, b in enumerate(mode.b)
    ]
