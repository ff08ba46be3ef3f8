"""Small generalised models of every shape, as arrays: what the criteria are tested on.

Each structure says which random terms stand in which predictor. Responses are drawn
from the model itself, so that every family is tested near sensible values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from hglm.criteria.generalised_problem import GeneralisedProblem, generalised_problem
from hglm.criteria.grouped_terms import group_terms
from hglm.design import PredictorDesign, RandomTerm
from hglm.families import Family, Response, Sizes, bind, point_at
from hglm.typing import Codes, Matrix, Vector

__all__ = [
    "STRUCTURES",
    "ArrayModel",
    "array_model",
    "possible",
    "problem_of",
    "transfer",
    "typical_point",
]

Terms = Mapping[str, Sequence[tuple[str, int, str]]]
"""Predictor -> (grouping factor, columns k, covariance structure) of its random terms."""

STRUCTURES: dict[str, Terms] = {
    "fixed effects only": {},
    "one factor, k = 1": {"mean": [("g", 1, "us")]},
    "one factor, k = 2": {"mean": [("g", 2, "us")]},
    "one factor, k = 3": {"mean": [("g", 3, "us")]},
    "one factor, diagonal": {"mean": [("g", 2, "diag")]},
    "one factor, compound symmetry": {"mean": [("g", 3, "cs")]},
    "two terms on one factor": {"mean": [("g", 1, "us"), ("g", 2, "us")]},
    "nested": {"mean": [("g", 2, "us"), ("school", 1, "us")]},
    "crossed": {"mean": [("g", 1, "us"), ("h", 2, "us")]},
    "observation level": {"mean": [("row", 1, "us"), ("g", 1, "us")]},
    "dispersion": {"mean": [("g", 2, "us")], "dispersion": []},
    "random dispersion": {"mean": [("g", 1, "us")], "dispersion": [("h", 1, "us")]},
    "same factor in mean and dispersion": {
        "mean": [("g", 2, "us")],
        "dispersion": [("g", 1, "us")],
    },
    "dispersion alone": {"mean": [], "dispersion": [("g", 1, "us")]},
    "zero inflation": {"mean": [("g", 1, "us")], "zero_inflation": []},
    "random zero inflation": {"mean": [("g", 1, "us")], "zero_inflation": [("h", 1, "us")]},
    "same factor in mean and zero inflation": {
        "mean": [("g", 2, "us")],
        "zero_inflation": [("g", 1, "us")],
    },
    "random in three predictors": {
        "mean": [("g", 1, "us")],
        "dispersion": [("h", 1, "us")],
        "zero_inflation": [("g", 1, "us")],
    },
}


@dataclass(frozen=True)
class ArrayModel:
    """A model in the user's coordinates."""

    family: Family
    response: Response
    predictors: dict[str, PredictorDesign | None]
    frequencies: Vector | None = None

    def rows(self, order: Codes) -> ArrayModel:
        """Return the same model with its rows in another order, or repeated."""
        sizes = self.response.sizes.take(order)
        return replace(
            self,
            response=Response(self.response.y[order], sizes),
            predictors={name: _rows(d, order) for name, d in self.predictors.items()},
            frequencies=None if self.frequencies is None else self.frequencies[order],
        )


def array_model(
    family: Family,
    terms: Terms,
    centre: Sequence[float],
    *,
    n: int = 36,
    trials: bool = False,
    weights: bool = False,
    spread: float = 0.25,
    seed: int = 3,
) -> ArrayModel:
    """Draw a small data set from a model.

    Parameters
    ----------
    centre
        Value about which each of the family's predictors varies.
    n
        Rows, in 9 groups, three schools, and 5 levels of h crossed with them.
    trials
        Whether the response is a proportion of several trials.
    weights
        Whether there are precision weights.
    spread
        Size of the effects of covariates and of the random effects.
    """
    rng = np.random.default_rng(seed)
    g = np.concatenate([np.arange(9), rng.integers(0, 9, n - 9)])
    codes = {"g": g, "school": g // 3, "h": np.arange(n) % 5, "row": np.arange(n)}
    x = rng.normal(size=(n, 2))
    designs: dict[str, PredictorDesign | None] = {}
    values: list[Vector] = []
    for position, (parameter, middle) in enumerate(zip(family.parameters, centre, strict=True)):
        name = parameter.name if position else "mean"
        if parameter.scalar or (name != "mean" and name not in terms):
            designs[name] = None
            values.append(np.full(n, middle))
            continue
        random = tuple(_term(codes, x, *term) for term in terms.get(name, ()))
        names = ("Intercept", "x") if family.support != "category" else ("x",)
        X = np.column_stack([np.ones(n), x[:, 0] + 3.0])[:, -len(names) :]
        designs[name] = PredictorDesign(X, names, {}, None, random)
        eta = middle + 0.5 * spread * x[:, 0]
        for t in random:
            effects = spread * rng.uniform(-1.5, 1.5, (t.n_levels, t.k))
            eta = eta + (t.z * effects[t.codes]).sum(axis=1) / np.sqrt(t.k)
        values.append(eta)
    sizes = Sizes(
        rng.integers(1, 8, n).astype(float) if trials else None,
        rng.uniform(0.5, 2.0, n) if weights else None,
    )
    y = family.simulate(point_at(values, sizes), rng)
    response = Response(y, sizes)
    return ArrayModel(family.validate(response), response, designs)


def possible(family: Family, terms: Terms) -> bool:
    """Whether the family has all the predictors that the terms stand in."""
    return set(terms) <= {"mean", *(p.name for p in family.parameters if not p.scalar)}


def problem_of(model: ArrayModel) -> GeneralisedProblem:
    """Put it into standard coordinates, as fitting does."""
    grouped = group_terms(list(model.predictors.values()))
    sizes = model.response.sizes
    sorted_sizes = Sizes(
        None if sizes.trials is None else grouped.take(sizes.trials),
        None if sizes.weights is None else grouped.take(sizes.weights),
    )
    likelihood = bind(model.family, grouped.take(model.response.y), sorted_sizes)
    return generalised_problem(likelihood, model.predictors, model.frequencies, grouped)


def typical_point(
    problem: GeneralisedProblem, centre: Sequence[float], seed: int = 5, sd: float = 0.3
) -> Vector:
    """ψ with each predictor near its centre and random effects of moderate size."""
    rng = np.random.default_rng(seed)
    parts = []
    for block, middle in zip(problem.fixed, centre, strict=True):
        if block.X is None:
            parts.append(np.atleast_1d(float(middle)))
        else:
            around = 0.05 * rng.normal(size=block.p)
            parts.append(block.X.T @ np.full(problem.n, middle) / problem.n + around)
    factors = []
    for slot in problem.layout.slots:
        random = 0.3 * rng.normal(size=(slot.k, slot.k))
        factors.append(sd * np.linalg.cholesky(np.eye(slot.k) + random @ random.T))
    return np.concatenate([*parts, problem.layout.from_factors(factors)])


def transfer(one: GeneralisedProblem, other: GeneralisedProblem, psi: Vector) -> Vector:
    """ψ of another problem at the same parameters in the user's coordinates."""
    fixed = [
        np.linalg.solve(b.to_beta, a.to_beta @ psi[a.parameters])
        for a, b in zip(one.fixed, other.fixed, strict=True)
    ]
    factors = [
        np.linalg.solve(S, F)
        for S, F in zip(other.terms.maps, one.terms.user_factors(one.theta(psi)), strict=True)
    ]
    return np.concatenate([*fixed, other.layout.from_factors(factors)])


def _term(codes: Mapping[str, Codes], x: Matrix, group: str, k: int, structure: str) -> RandomTerm:
    z = np.column_stack([np.ones(len(x)), x + np.array([1.0, -2.0])])[:, :k]
    names = ("Intercept", "a", "b")[:k]
    levels = pd.RangeIndex(int(codes[group].max()) + 1)
    return RandomTerm(group, names, levels, codes[group], z, structure)


def _rows(design: PredictorDesign | None, order: Codes) -> PredictorDesign | None:
    if design is None:
        return None
    random = tuple(replace(t, codes=t.codes[order], z=t.z[order]) for t in design.random)
    offset = None if design.offset is None else design.offset[order]
    return replace(design, X=design.X[order], offset=offset, random=random)
