"""Hierarchical generalised linear models: a formula and a data frame to honest tables.

Public names are loaded when first used, so that `import hglm` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hglm.comparison import compare, table
    from hglm.datasets import describe_dataset, list_datasets, load_dataset
    from hglm.design.relationship import Relationship
    from hglm.empirical import ebayes
    from hglm.fitting.methods import ML, REML, Laplace, Quadrature
    from hglm.measurement import MeasurementFit
    from hglm.model import Model, fit, glmer, lmer
    from hglm.planning import assume, power, simulate_design
    from hglm.result import Fit

__all__ = [
    "ML",
    "REML",
    "Fit",
    "Laplace",
    "MeasurementFit",
    "Model",
    "Quadrature",
    "Relationship",
    "assume",
    "compare",
    "describe_dataset",
    "ebayes",
    "fit",
    "glmer",
    "list_datasets",
    "lmer",
    "load_dataset",
    "power",
    "simulate_design",
    "table",
]

_HOMES = {
    "hglm.comparison": ("compare", "table"),
    "hglm.datasets": ("describe_dataset", "list_datasets", "load_dataset"),
    "hglm.design.relationship": ("Relationship",),
    "hglm.empirical": ("ebayes",),
    "hglm.fitting.methods": ("ML", "REML", "Laplace", "Quadrature"),
    "hglm.measurement": ("MeasurementFit",),
    "hglm.model": ("Model", "fit", "glmer", "lmer"),
    "hglm.planning": ("assume", "power", "simulate_design"),
    "hglm.result": ("Fit",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'hglm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
