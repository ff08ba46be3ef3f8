"""A design and all parameters: enough to draw responses and to fit them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from hglm.design import DesignSpec
from hglm.design.arrays import Design, PredictorDesign, RandomTerm
from hglm.errors import DataError
from hglm.families import Family, Sizes, point_at
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.estimate_generalised import estimate_generalised
from hglm.fitting.methods import Laplace, Quadrature
from hglm.fitting.record import Estimates, LinearState, TermEstimate
from hglm.inference.family_point import scalar_predictors
from hglm.inference.simulate import draw_effects
from hglm.numerics.replicates import check_count, spawn
from hglm.typing import Matrix, Vector

__all__ = ["DataModel", "Fitted", "data_model", "draw", "fit_draw"]


@runtime_checkable
class Fitted(Protocol):
    """What a fit has that a data model is made of."""

    @property
    def estimates(self) -> Estimates:
        """What was found."""
        ...

    @property
    def design(self) -> Design:
        """What it was fitted to."""
        ...

    @property
    def spec(self) -> DesignSpec:
        """How its formula is applied to other data."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class DataModel:
    """How data come about: a design and all parameters."""

    design: Design
    family: Family | None
    """None for a linear model."""
    betas: Mapping[str, Vector]
    """Fixed effects of each predictor that has a design."""
    scalars: Mapping[str, float]
    """Predictors that are one number for all rows, on the scale of their link."""
    terms: tuple[TermEstimate, ...]
    """Covariances of the random effects; levels and modes do not matter."""
    sigma: float
    """Residual standard deviation of a linear model."""
    method: str
    """How the data are going to be fitted: ``"reml"``, ``"ml"``, ``"laplace"``, ..."""
    nodes: int = 1
    """Quadrature nodes."""

    def __repr__(self) -> str:
        known = zip(self.design.mean.names, self.betas["mean"], strict=True)
        fixed = ", ".join(f"{name}: {value:.4g}" for name, value in known)
        return f"<hglm.DataModel: {self.design.n} rows of {self.design.response}, {fixed}>"

    @property
    def designs(self) -> dict[str, PredictorDesign]:
        """Predictors that have a design, by name."""
        return {"mean": self.design.mean, **self.design.others}

    def simulate(self, n: int = 1, seed: np.random.Generator | int | None = None) -> pd.DataFrame:
        """Draw n responses, one a column.

        Parameters
        ----------
        n
            Number of draws; the first m of them do not depend on it.
        seed
            Generator or seed.
        """
        draws = [draw(self, rng) for rng in spawn(seed, check_count("n", n))]
        return pd.DataFrame(np.column_stack(draws), index=self.design.index)


def data_model(fit: Fitted) -> DataModel:
    """Take a fit for the truth.

    Raises
    ------
    DataError
        If one of its covariates is measured with error, or a row stands for several.
    """
    if fit.design.measured is not None:
        raise DataError(
            f"The covariate in `{fit.design.measured.text}` is measured with error, which is not "
            "simulated; plan from a model with the covariate itself."
        )
    estimates, state = fit.estimates, fit.estimates.state
    linear = isinstance(state, LinearState)
    known = {"mean": estimates.beta} | {name: c.beta for name, c in estimates.others.items()}
    return DataModel(
        design=fit.design,
        family=None if isinstance(state, LinearState) else state.problem.likelihood.family,
        betas={name: known[name] for name in ("mean", *fit.design.others)},
        scalars={}
        if isinstance(state, LinearState)
        else {name: float(value) for name, value in scalar_predictors(state).items()},
        terms=estimates.terms,
        sigma=float(estimates.sigma or 0.0) if linear else 1.0,
        method=estimates.method,
        nodes=estimates.nodes,
    )


def draw(model: DataModel, rng: np.random.Generator) -> Vector:
    """Draw a response, with new random effects. (n,)"""
    design = model.design
    if design.frequencies is not None and np.any(design.frequencies != 1):
        raise DataError(
            "A row that stands for several observations cannot be simulated as one number; "
            "repeat the rows instead of using `frequencies`."
        )
    designs = model.designs
    eta: dict[str, Vector] = {}
    for name, beta in model.betas.items():
        fixed = designs[name].X @ beta
        offset = designs[name].offset
        eta[name] = fixed if offset is None else fixed + offset
    for part in model.terms:
        term = designs[part.predictor].random[part.position]
        b = _draw_levels(part, term, rng)
        eta[part.predictor] = eta[part.predictor] + term.effects(b)
    if model.family is None:
        noise = model.sigma * rng.standard_normal(design.n)
        return eta["mean"] + (noise if design.weights is None else noise / np.sqrt(design.weights))
    predictors = [eta["mean"]] + [
        eta[p.name] if p.name in eta else np.asarray(model.scalars[p.name])
        for p in model.family.parameters[1:]
    ]
    try:
        return model.family.simulate(
            point_at(predictors, Sizes(design.trials, design.weights)), rng
        )
    except ValueError as error:  # NumPy's, of parameters that it cannot draw from
        low, high = eta["mean"].min(), eta["mean"].max()
        raise DataError(
            f"Responses of the {model.family.name} family cannot be drawn where linear predictors "
            f"go from {low:.4g} to {high:.4g} ({error}); assume smaller effects, or another link."
        ) from error


def _draw_levels(part: TermEstimate, term: RandomTerm, rng: np.random.Generator) -> Matrix:
    """Draw random effects of all levels, related or not. (n_levels, k)"""
    if term.relation is None:
        return draw_effects(part, term.n_levels, rng)
    root = term.relation.root
    drawn: Matrix = root @ draw_effects(part, root.shape[1], rng)
    return drawn


def fit_draw(model: DataModel, y: Vector) -> Estimates:
    """Fit the model to a response y (n,)."""
    design = replace(model.design, y=y)
    if model.family is None:
        return estimate_linear(design, model.method == "reml")
    method = Laplace() if model.nodes == 1 else Quadrature(model.nodes)
    return estimate_generalised(design, model.family, method)
