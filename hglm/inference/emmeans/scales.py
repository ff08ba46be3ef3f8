"""Between the linear predictor and the response.

A scale is how η becomes what the reader knows: the inverse link of the family, or,
for a linear model of a transformed response such as `log(y)`, the inverse of that
function. Standard errors follow by the delta method, intervals from their ends.
Differences on a logarithmic scale are ratios on the response's (of odds, for the
logit); other links have no such reading, and differences stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hglm.families import Family
from hglm.families.links import LINKS, Link, ProbabilityLink, mean_derivatives
from hglm.typing import Vector

__all__ = ["IDENTITY", "Scale", "linear_scale", "ratio_scale", "scale_of"]


@dataclass(frozen=True, slots=True)
class Scale:
    """A monotone function from η to the response."""

    link: Link
    name: str
    """Of the scale of η, in words: ``"log odds"``."""
    estimate: str = "Mean"
    """What the response is called: ``"Mean"``, ``"Probability"``, ``"Odds ratio"``."""
    factor: float = 1.0
    """The link is of `factor` times η."""
    ratio: str = ""
    """What exp of a difference is called; empty where it means nothing."""

    @property
    def is_identity(self) -> bool:
        """Whether η is the response."""
        return self.link.name == "identity"

    def response(self, eta: Vector) -> tuple[Vector, Vector]:
        """Return the response and its derivative in η, elementwise."""
        value, slope, *_ = mean_derivatives(self.link, self.factor * eta)
        shape = np.shape(eta)
        return np.broadcast_to(value, shape), np.broadcast_to(self.factor * slope, shape)


IDENTITY = Scale(LINKS["identity"], "response")
"""η is the response."""

TRANSFORMS: Mapping[str, tuple[str, float]] = {
    "log": ("log", 1.0),
    "log2": ("log", float(np.log(2.0))),
    "log10": ("log", float(np.log(10.0))),
    "sqrt": ("sqrt", 1.0),
}
"""Function of the response -> link and factor."""


def scale_of(family: Family, response: str = "") -> Scale:
    """Return the scale of a model's linear predictor.

    Parameters
    ----------
    family
        With its links.
    response
        As typed in the formula: a function of the response is undone if the link
        is the identity.

    Examples
    --------
    >>> from hglm.families import resolve_family
    >>> scale_of(resolve_family("binomial")).ratio
    'Odds ratio'
    """
    mean = family.parameters[0]
    link = mean.link
    if mean.name != "mean":  # the thresholds of ordered categories have no mean
        return Scale(link, "latent", "Location")
    if link.name == "identity":
        return _of_transform(response)
    if link.name == "log":
        return Scale(link, "log", ratio="Ratio")
    if link.name == "logit":
        return Scale(link, "log odds", "Probability", ratio="Odds ratio")
    estimate = "Probability" if isinstance(link, ProbabilityLink) else "Mean"
    return Scale(link, link.name.replace("_", " "), estimate)


def ratio_scale(scale: Scale) -> Scale:
    """Return the scale of differences of η: ratios, or η itself."""
    if not scale.ratio:
        return linear_scale(scale)
    name = "log odds ratio" if scale.ratio == "Odds ratio" else "log ratio"
    return Scale(LINKS["log"], name, scale.ratio, scale.factor, scale.ratio)


def linear_scale(scale: Scale, estimate: str = "Estimate") -> Scale:
    """Return the scale on which η stays as it is; it is called `estimate`."""
    return Scale(LINKS["identity"], scale.name, estimate)


def _of_transform(response: str) -> Scale:
    function, bracket, rest = response.strip().removeprefix("np.").partition("(")
    if not (bracket and function in TRANSFORMS and _closes_at_the_end(rest)):
        return IDENTITY
    link, factor = TRANSFORMS[function]
    return Scale(LINKS[link], function, factor=factor, ratio="Ratio" if link == "log" else "")


def _closes_at_the_end(rest: str) -> bool:
    """Whether the bracket opened before `rest` is closed by its last character."""
    depth = 1
    for position, character in enumerate(rest):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return position == len(rest) - 1
    return False
