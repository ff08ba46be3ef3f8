"""Families and links: log densities with exact derivatives.

`resolve_family("poisson")` gives a family, `bind(family, y)` its log density for
data, and `.derivatives(predictors, wanted)` the values and derivatives that the
criteria need.
"""

from __future__ import annotations

from hglm.families.base import (
    Family,
    Likelihood,
    Parameter,
    Point,
    Response,
    Sizes,
    bind,
    point_at,
)
from hglm.families.binomial import Binomial
from hglm.families.gamma import Gamma
from hglm.families.gaussian import Gaussian
from hglm.families.jets import Jet, Wanted
from hglm.families.links import LINKS, Link, inverse, mean_derivatives
from hglm.families.lookup import FAMILIES, resolve_family
from hglm.families.negative_binomial import NegativeBinomial
from hglm.families.poisson import Poisson

__all__ = [
    "FAMILIES",
    "LINKS",
    "Binomial",
    "Family",
    "Gamma",
    "Gaussian",
    "Jet",
    "Likelihood",
    "Link",
    "NegativeBinomial",
    "Parameter",
    "Point",
    "Poisson",
    "Response",
    "Sizes",
    "Wanted",
    "bind",
    "inverse",
    "mean_derivatives",
    "point_at",
    "resolve_family",
]
