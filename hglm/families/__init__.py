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
from hglm.families.beta import Beta
from hglm.families.beta_binomial import BetaBinomial
from hglm.families.binomial import Binomial
from hglm.families.conway_maxwell import ConwayMaxwellPoisson
from hglm.families.cumulative import Cumulative
from hglm.families.gamma import Gamma
from hglm.families.gaussian import Gaussian
from hglm.families.generalized_poisson import GeneralizedPoisson
from hglm.families.inverse_gaussian import InverseGaussian
from hglm.families.jets import Jet, Wanted
from hglm.families.links import LINKS, Link, inverse, mean_derivatives
from hglm.families.lookup import FAMILIES, resolve_family
from hglm.families.negative_binomial import NegativeBinomial, NegativeBinomial1
from hglm.families.poisson import Poisson
from hglm.families.student import StudentT
from hglm.families.truncated import Truncated
from hglm.families.tweedie import Tweedie
from hglm.families.zero import ZeroInflated, hurdle

__all__ = [
    "FAMILIES",
    "LINKS",
    "Beta",
    "BetaBinomial",
    "Binomial",
    "ConwayMaxwellPoisson",
    "Cumulative",
    "Family",
    "Gamma",
    "Gaussian",
    "GeneralizedPoisson",
    "InverseGaussian",
    "Jet",
    "Likelihood",
    "Link",
    "NegativeBinomial",
    "NegativeBinomial1",
    "Parameter",
    "Point",
    "Poisson",
    "Response",
    "Sizes",
    "StudentT",
    "Truncated",
    "Tweedie",
    "Wanted",
    "ZeroInflated",
    "bind",
    "hurdle",
    "inverse",
    "mean_derivatives",
    "point_at",
    "resolve_family",
]
