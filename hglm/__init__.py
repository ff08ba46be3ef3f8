"""Hierarchical generalised linear models: a formula and a data frame to honest tables."""

from __future__ import annotations

from hglm.datasets import describe_dataset, list_datasets, load_dataset
from hglm.fit.methods import ML, REML, Laplace, Quadrature
from hglm.model import Model, fit, glmer, lmer
from hglm.result import Fit

__all__ = [
    "ML",
    "REML",
    "Fit",
    "Laplace",
    "Model",
    "Quadrature",
    "describe_dataset",
    "fit",
    "glmer",
    "list_datasets",
    "lmer",
    "load_dataset",
]
