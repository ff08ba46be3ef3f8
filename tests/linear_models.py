"""A catalogue of linear designs: every block kind and covariance structure, small and random.

One factor, nested, crossed with a dense and with a sparse factor, interactions, terms merged on
one factor; each as the package's cross-products and as dense matrices (`dense_oracle.py`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dense_oracle import DenseSolution, Term, dense_criterion, dense_solution
from hglm.covariance import STRUCTURES
from hglm.criteria.linear_problem import LinearProblem, linear_problem
from hglm.design.arrays import PredictorDesign, RandomTerm
from hglm.typing import Codes, Matrix, Vector
from plan_ways import with_way

__all__ = ["CROSSED", "MODELS", "PLANS", "Case", "N", "TermSpec", "make_case"]

N = 72


@dataclass(frozen=True)
class TermSpec:
    """Grouping factor, columns of the predictors and covariance structure of a term."""

    group: str
    columns: tuple[int, ...] = (0,)
    structure: str = "us"


FIXED = (0, 1, 2)  # constant and two predictors
MODELS: dict[str, tuple[TermSpec, ...]] = {
    "fixed effects only": (),
    "one factor": (TermSpec("g"),),
    "one factor, slopes": (TermSpec("g", (0, 1)),),
    "one factor, three columns": (TermSpec("g", (0, 1, 2)),),
    "one factor, slope only": (TermSpec("g", (1,)),),
    "one factor, diagonal": (TermSpec("g", (0, 1, 2), "diag"),),
    "one factor, compound symmetry": (TermSpec("g", (3, 4, 5), "cs"),),
    "one factor, compound symmetry of two": (TermSpec("g", (0, 1), "cs"),),
    "terms on one factor": (TermSpec("g"), TermSpec("g", (1,)), TermSpec("g", (2, 3))),
    "structures on one factor": (TermSpec("g", (1, 2)), TermSpec("g", (3, 4, 5), "cs")),
    "nested": (TermSpec("g", (0, 1)), TermSpec("school")),
    "nested, slopes outside": (TermSpec("g"), TermSpec("school", (0, 1), "diag")),
    "three levels": (TermSpec("g"), TermSpec("school", (0, 1)), TermSpec("town")),
    "three levels, structures": (
        TermSpec("g", (3, 4, 5), "cs"),
        TermSpec("school", (0, 1), "diag"),
        TermSpec("town", (0, 1)),
    ),
    "crossed": (TermSpec("g"), TermSpec("h")),
    "crossed, slopes": (TermSpec("g", (0, 1)), TermSpec("h", (0, 2))),
    "crossed, structures": (TermSpec("g", (0, 1), "diag"), TermSpec("h", (3, 4, 5), "cs")),
    "crossed, terms on one factor": (TermSpec("g"), TermSpec("h"), TermSpec("h", (1,))),
    "three crossed": (TermSpec("g"), TermSpec("h", (0, 1)), TermSpec("w")),
    "crossed and nested": (TermSpec("g", (0, 1)), TermSpec("h"), TermSpec("school")),
    "interaction": (TermSpec("g:h"), TermSpec("g", (0, 1)), TermSpec("h")),
    "interaction, structures": (
        TermSpec("g:h", (0, 1), "diag"),
        TermSpec("g", (3, 4, 5), "cs"),
        TermSpec("h"),
    ),
}
MODELS |= {
    f"{name} and crossed": (TermSpec("g", (3, 4, 5), name), TermSpec("h"))
    for name in STRUCTURES
    if name not in {"us", "diag", "cs"}
}


@dataclass(frozen=True)
class Case:
    """One model on one set of data, as cross-products and in full."""

    problem: LinearProblem
    design: PredictorDesign
    y: Vector
    weights: Vector | None
    frequencies: Vector | None
    reml: bool

    def value(self, theta: Vector) -> float:
        """Criterion of the oracle."""
        return dense_criterion(*self.arguments(theta))

    def terms(self, theta: Vector) -> list[Term]:
        """Dense terms in the order of the slots, in the user's columns."""
        out = []
        for position, T in zip(self.problem.terms, self.problem.user_factors(theta), strict=True):
            term = self.design.random[position]
            out.append((self.rows(term.codes), self.rows(term.z), T @ T.T))
        return out

    def dense(self, theta: Vector) -> DenseSolution:
        """Solution of the oracle."""
        return dense_solution(*self.arguments(theta))

    def arguments(self, theta: Vector) -> tuple[Matrix, Vector, list[Term], bool, Vector | None]:
        """Spell the model out in full, every row as often as it was observed."""
        weights = None if self.weights is None else self.rows(self.weights)
        return self.rows(self.design.X), self.rows(self.y), self.terms(theta), self.reml, weights

    def rows(self, a: Matrix) -> Matrix:
        if self.frequencies is None:
            return a
        return np.repeat(a, self.frequencies.astype(int), axis=0)

    def thetas(self, singular: bool) -> list[Vector]:
        """Random θ; or such with one parameter, or all, at zero."""
        rng = np.random.default_rng(11)
        m = self.problem.layout.n_theta
        draws = [rng.normal(size=m) for _ in range(2)]
        if not singular:
            return draws
        return [np.zeros(m), *(np.where(np.arange(m) == i, 0.0, draws[0]) for i in range(m))]


def groups(rng: np.random.Generator) -> dict[str, Codes]:
    def draw(q: int) -> Codes:
        return rng.permutation(np.concatenate([np.arange(q), rng.integers(0, q, N - q)]))

    g, h = draw(16), draw(6)
    school = rng.integers(0, 5, 16)
    school[:5] = np.arange(5)
    town = np.array([0, 1, 1, 2, 0])
    pair = np.unique(g * 100 + h, return_inverse=True)[1]
    return {
        "g": g,
        "h": h,
        "w": draw(4),
        "school": school[g],
        "town": town[school[g]],
        "g:h": pair.astype(np.intp),
    }


def make_case(
    model: str,
    reml: bool,
    sparse: bool = False,
    weighted: bool = False,
    seed: int = 7,
) -> Case:
    rng = np.random.default_rng(seed)
    codes = groups(rng)
    three = np.eye(3)[rng.integers(0, 3, N)]  # columns of a factor: compound symmetry's place
    columns = np.column_stack(
        [np.ones(N), 50.0 + 3.0 * rng.normal(size=N), 1e-2 * rng.normal(size=N), three]
    )
    random = tuple(
        RandomTerm(
            s.group,
            tuple(f"c{i}" for i in s.columns),
            pd.RangeIndex(codes[s.group].max() + 1),
            codes[s.group],
            columns[:, list(s.columns)],
            s.structure,
        )
        for s in MODELS[model]
    )
    design = PredictorDesign(columns[:, list(FIXED)], ("a", "b", "c"), {}, None, random)
    y = 100.0 + columns[:, 1] + rng.normal(size=N)
    for s in MODELS[model]:
        z = columns[:, list(s.columns)] / np.linalg.norm(columns[:, list(s.columns)], axis=0)
        effects = rng.normal(scale=np.sqrt(N), size=(codes[s.group].max() + 1, len(s.columns)))
        y = y + (effects[codes[s.group]] * z).sum(axis=1)
    weights = rng.uniform(0.2, 5.0, N) if weighted else None
    frequencies = rng.integers(1, 4, N).astype(float) if weighted else None
    problem = linear_problem(design, y, weights, frequencies)
    if sparse:
        plan = with_way(problem.plan, problem.gramian, "sparse")
        problem = dataclasses.replace(problem, plan=plan)
    return Case(problem, design, y, weights, frequencies, reml)


CROSSED = [name for name in MODELS if make_case(name, True).problem.plan.crossed is not None]
PLANS = [(name, False) for name in MODELS] + [(name, True) for name in CROSSED]
