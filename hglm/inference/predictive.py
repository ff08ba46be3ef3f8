"""Intervals for new responses of a generalised model.

What is known of the linear predictor of a new row is η ~ N(η̂, s²): s² holds the errors of
β̂ and b̂, and z'Σz for random effects that are drawn afresh. The new response has the
mixture

    G(y) = ∫ F(y | η) φ((η - η̂)/s) dη/s

for its distribution function, F that of the family with its further parameters at their
estimates. Random effects in further predictors that are drawn afresh are integrated out
likewise, by Gauss-Hermite quadrature. Where a link does not reach all η, such as the
square root, G is that given an η within its reach. Limits are quantiles of G at (1 ± level)/2; for
discrete responses the smallest values y with G(y) not below these, so that they are
possible responses and hold at least `level` of the predictive probability.

The integral is a sum over equidistant η, whose error falls faster than any power of the
step once that is below the scale on which F and φ vary (Trefethen & Weideman 2014, SIAM
Review 56, 385-458). Rows in which a finer step changes G at a limit are solved again with
it: those where s is large beside the noise of the family.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from hglm.families import Family, Point, Sizes, point_at
from hglm.families.links import log_mean, log_probabilities, mean
from hglm.inference.response_quantiles import Lattice, response_quantiles
from hglm.numerics.gauss_hermite import product_rule
from hglm.typing import AnyArray, BoolArray, Codes, Matrix, Vector

__all__ = ["NewResponses", "predictive_limits"]

REACH = 8.0
"""Where the integral ends, in standard deviations of η."""
STEPS = (0.5, 0.25, 0.0625, 0.015625, 0.0078125)
"""Steps of the sum, in standard deviations of η, tried in turn."""
AGREED = 1e-6
"""Change of a probability that needs no finer step."""
NODES = 15
"""For each further predictor in which something is drawn afresh."""
CHUNK = 200_000
"""Values of F computed at once."""


@dataclass(frozen=True, slots=True)
class NewResponses:
    """What distribution new responses have, given the predictor of the mean."""

    family: Family
    others: Mapping[str, Vector]
    """Further predictors by name, (m,) or () each."""
    sizes: Sizes
    """Trials and weights of the new responses, (m,)."""
    spreads: Mapping[str, Vector] = field(default_factory=dict)
    """Standard deviations (m,) of what is drawn afresh in further predictors, by name."""


@dataclass(frozen=True, slots=True)
class _Mixture:
    """G of some rows, as a sum over K nodes."""

    family: Family
    point: Point
    """All nodes of all rows, (K m,)."""
    weights: Matrix
    """(K, m)"""
    infinite: BoolArray
    """(K m,) whether the mean is."""
    lattice: Lattice

    def cdf(self, y: Vector) -> Vector:
        """G(y), one y a row. (m,)"""
        with np.errstate(over="ignore", invalid="ignore"):
            F = self.family.cdf(np.tile(y, len(self.weights)), self.point)
        return self._average(np.where(self.infinite, 0.0, F))

    def moments(self) -> tuple[Vector, Vector]:
        """Mean and standard deviation of the responses. (m,)"""
        mean, variance = (jet.value for jet in self.family.moments(self.point))
        centre = self._average(mean)
        square = self._average(variance + (mean - np.tile(centre, len(self.weights))) ** 2)
        return centre, np.sqrt(square)

    def _average(self, values: Vector) -> Vector:
        everywhere = np.broadcast_to(values, self.weights.size).reshape(self.weights.shape)
        return np.asarray(np.einsum("km,km->m", self.weights, everywhere))


def predictive_limits(
    responses: NewResponses, eta: Vector, std_error: Vector, level: float
) -> dict[str, Vector]:
    """Limits between which new responses fall with probability `level`.

    Parameters
    ----------
    responses
        Their distribution given η.
    eta, std_error : (m,)
        What is known of η.
    level
        Coverage.

    Returns
    -------
    dict
        `std_error`, the predictive standard deviation, `conf_low` and `conf_high`, (m,)
        each; NaN where the link has no mean at η̂.
    """
    out = {name: np.full(len(eta), np.nan) for name in ("std_error", "conf_low", "conf_high")}
    left = np.flatnonzero(_reached(responses.family, eta))
    for step, finer in pairwise((*STEPS, STEPS[-1] / 2.0)):
        change = np.empty(len(left))
        rows_at_once = max(1, int(CHUNK * finer / (2.0 * REACH)) // len(_rule(responses)[1]))
        for start in range(0, len(left), rows_at_once):
            chunk = slice(start, start + rows_at_once)
            rows = left[chunk]
            coarse, fine = (_mixture(responses, eta, std_error, rows, h) for h in (step, finer))
            with np.errstate(over="ignore", invalid="ignore"):  # responses without bound
                centre, out["std_error"][rows] = coarse.moments()
            change[chunk] = 0.0
            for name, p in (("conf_low", 0.5 - 0.5 * level), ("conf_high", 0.5 + 0.5 * level)):
                y = response_quantiles(
                    coarse.cdf, p, coarse.lattice, centre, out["std_error"][rows]
                )
                out[name][rows] = y
                change[chunk] = np.maximum(change[chunk], np.abs(fine.cdf(y) - coarse.cdf(y)))
        left = left[change > AGREED]
        if not left.size:
            break
    return out


def _mixture(
    responses: NewResponses, eta: Vector, std_error: Vector, rows: Codes, step: float
) -> _Mixture:
    most = int(REACH / step) if np.any(std_error[rows] > 0.0) else 0
    own, (drawn, log_weights) = step * np.arange(-most, most + 1), _rule(responses)
    z = np.repeat(own, len(drawn))
    weights = np.exp(-0.5 * z**2 + np.tile(log_weights, len(own)))

    def tiled(x: AnyArray | None) -> Vector | None:
        return None if x is None else np.tile(x[rows], len(z))

    family, sizes = responses.family, responses.sizes
    values = {
        name: x if np.ndim(x) == 0 else np.tile(x[rows], len(z))
        for name, x in responses.others.items()
    }
    for d, (name, spread) in enumerate(responses.spreads.items()):
        moved = np.tile(drawn[:, d], len(own))[:, None] * spread[rows]
        values[name] = values[name] + moved.ravel()
    nodes = eta[rows] + z[:, None] * std_error[rows]  # (K, m)
    reached = _reached(family, nodes)
    shares = np.where(reached, weights[:, None], 0.0)
    point = point_at(
        [
            np.where(reached, nodes, eta[rows]).ravel(),
            *(values[parameter.name] for parameter in family.parameters[1:]),
        ],
        Sizes(tiled(sizes.trials), tiled(sizes.weights)),
    )
    trials = sizes.trials[rows] if sizes.trials is not None else np.ones(len(rows))
    proportion = family.support == "proportion"
    lattice = Lattice(family.support, family.discrete, trials if proportion else None)
    with np.errstate(over="ignore"):
        infinite = np.isinf(family.moments(point)[0].value)
    return _Mixture(family, point, shares / shares.sum(axis=0), infinite, lattice)


def _reached(family: Family, eta: Vector) -> BoolArray:
    """Whether the link has a mean of the family's support there."""
    link, at = family.parameters[0].link, point_at([eta]).predictors[0]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if family.support in ("real", "category"):
            value = mean(link, at).value
        elif family.support in ("proportion", "unit"):
            value = np.sum([jet.value for jet in log_probabilities(link, at)], axis=0)
        else:
            value = log_mean(link, at).value
    return ~np.isnan(value)


def _rule(responses: NewResponses) -> tuple[Matrix, Vector]:
    """Nodes (J, d) of what is drawn afresh in d further predictors, and log weights (J,)."""
    d = len(responses.spreads)
    return product_rule(NODES, d) if d else (np.zeros((1, 0)), np.zeros(1))
