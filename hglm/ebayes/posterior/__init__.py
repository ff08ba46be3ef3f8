"""Posterior distributions of many parameters at once."""

from __future__ import annotations

from hglm.ebayes.posterior.beta import BetaPosterior
from hglm.ebayes.posterior.discrete import DiscretePosterior
from hglm.ebayes.posterior.gamma import GammaPosterior, InverseGammaPosterior
from hglm.ebayes.posterior.normal import NormalPosterior
from hglm.ebayes.posterior.normal_mixture import NormalMixturePosterior
from hglm.ebayes.posterior.protocol import Posterior
from hglm.ebayes.posterior.student import StudentPosterior
from hglm.ebayes.posterior.uniform_mixture import UniformMixturePosterior

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
