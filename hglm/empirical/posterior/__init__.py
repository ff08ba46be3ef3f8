"""Posterior distributions of many parameters at once."""

from __future__ import annotations

from hglm.empirical.posterior.beta import BetaPosterior
from hglm.empirical.posterior.discrete import DiscretePosterior
from hglm.empirical.posterior.gamma import GammaPosterior, InverseGammaPosterior
from hglm.empirical.posterior.normal import NormalPosterior
from hglm.empirical.posterior.normal_mixture import NormalMixturePosterior
from hglm.empirical.posterior.protocol import Posterior
from hglm.empirical.posterior.student import StudentPosterior
from hglm.empirical.posterior.uniform_mixture import UniformMixturePosterior

__all__ = [
    "BetaPosterior",
    "DiscretePosterior",
    "GammaPosterior",
    "InverseGammaPosterior",
    "NormalMixturePosterior",
    "NormalPosterior",
    "Posterior",
    "StudentPosterior",
    "UniformMixturePosterior",
]
