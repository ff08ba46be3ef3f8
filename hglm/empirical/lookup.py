"""Names of models. A new model is one class and one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hglm.empirical.conjugate import (
    BetaBinomial,
    DirichletMultinomial,
    GammaExponential,
    GammaPoisson,
    NormalInverseGamma,
)
from hglm.empirical.frame import ModelFrame
from hglm.empirical.mixture.deconvolution import Deconvolution
from hglm.empirical.mixture.npmle import NPMLE
from hglm.empirical.mixture.unimodal import Unimodal
from hglm.empirical.normal.james_stein import JamesStein
from hglm.empirical.normal.model import Normal
from hglm.empirical.normal.point_normal import PointNormal
from hglm.empirical.result import EBayes
from hglm.errors import OptionError
from hglm.formula.hints import did_you_mean

__all__ = ["MODELS", "Model", "resolve_model"]


class Model(Protocol):
    """A prior family with its settings."""

    def fit(self, frame: ModelFrame) -> EBayes:
        """Estimate the prior and every group's posterior."""


MODELS: dict[str, Callable[[], Model]] = {
    "beta-binomial": BetaBinomial,
    "gamma-poisson": GammaPoisson,
    "gamma-exponential": GammaExponential,
    "dirichlet-multinomial": DirichletMultinomial,
    "normal": Normal,
    "meta": lambda: Normal(method="reml", test="knapp-hartung"),
    "normal-inverse-gamma": NormalInverseGamma,
    "james-stein": JamesStein,
    "point-normal": PointNormal,
    "unimodal": Unimodal,
    "npmle": NPMLE,
    "deconvolution": Deconvolution,
}


def resolve_model(model: str | Model) -> Model:
    """Model object for a name, or the object itself."""
    if not isinstance(model, str):
        if not callable(getattr(model, "fit", None)) or isinstance(model, type):
            raise OptionError(
                f"`model` is {model!r}; give a name such as 'beta-binomial' or an object such as "
                "Normal(method='dl')."
            )
        return model
    try:
        return MODELS[model]()
    except KeyError:
        raise OptionError(
            f"There is no empirical Bayes model called {model!r}. {did_you_mean(model, MODELS)}"
        ) from None
