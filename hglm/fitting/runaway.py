"""Variances without a finite estimate: levels each of which has one extreme response only.

Where all rows of every level gain from the same side, as where every group is all zeros or all
ones, the likelihood only tells that levels differ, not by how much: it rises, or hardly falls,
as the variance between them grows, and an estimate depends on how it is approximated.
"""

from __future__ import annotations

import numpy as np

from hglm.criteria.generalised_problem import GeneralisedProblem
from hglm.criteria.laplace import MarginalEvaluation
from hglm.fitting.unbounded import wanted_by_rows
from hglm.typing import Vector

__all__ = ["runaway_slots"]

LARGE = 8.0
"""A standard deviation on the scale of log odds from which this is looked at."""


def runaway_slots(
    problem: GeneralisedProblem, psi: Vector, at: MarginalEvaluation
) -> tuple[int, ...]:
    """Terms of one coefficient a level whose variance nothing bounds.

    Parameters
    ----------
    problem, psi, at
        The model, its optimum as found, and the evaluation there.
    """
    parameters = problem.likelihood.family.parameters
    theta = problem.theta(psi)
    found = []
    for i, (slot, (d, _)) in enumerate(zip(problem.layout.slots, problem.terms.terms, strict=True)):
        sd = abs(slot.structure.factor(theta[slot.parameters], slot.k)[0, 0])
        if slot.k > 1 or slot.copies > 1 or sd < LARGE or at.mode is None:
            continue
        if parameters[d].link.scale == "identity":
            continue  # no response is extreme
        group = problem.pattern.groupings[slot.group]
        wanted = np.nan_to_num(wanted_by_rows(problem, d, psi, at))
        rows = np.bincount(group.codes, minlength=group.n_levels)
        sums = np.bincount(group.codes, weights=wanted, minlength=group.n_levels)
        if np.all(np.abs(sums) == rows):
            found.append(i)
    return tuple(found)
