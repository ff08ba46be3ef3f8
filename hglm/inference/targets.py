"""Parameters that people ask for, as functions of those that a criterion has.

A target is a fixed effect, a standard deviation or correlation of a random-effects
term, or the residual standard deviation, with its gradient in φ = (γ, θ, ...) of the
criterion. A variance of zero is where the gradient of its root does not exist, so
standard deviations are told by their squares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from hglm.covariance import Layout
from hglm.errors import OptionError
from hglm.fitting.record import Estimates, LinearState
from hglm.typing import Matrix, Vector

__all__ = ["Target", "choose_targets", "targets"]

Function: TypeAlias = Callable[[Vector], tuple[float, Vector]]
"""φ to a value and its gradient."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parameter of interest."""

    name: str
    """A coefficient's name, ``"sd(Intercept | g)"``, ``"cor(a, b | g)"`` or ``"sigma"``."""
    function: Function
    """Value on the scale of the search (squares for standard deviations), and gradient."""
    report: Callable[[float], float]
    """From the scale of the search to that of the parameter."""
    kind: Literal["fixed", "sd", "cor", "sigma"]


def targets(estimates: Estimates, names: Sequence[str]) -> list[Target]:
    """List the targets: random effects by terms, sigma, then fixed effects.

    Parameters
    ----------
    estimates
        Of any model.
    names : (p,)
        Of the fixed effects of the mean.
    """
    state = estimates.state
    if isinstance(state, LinearState):
        to_beta = state.problem.fixed.to_beta
        shift = to_beta @ state.problem.fixed.gamma + state.problem.fixed.shift
        p, n_fixed = state.problem.p, state.problem.p
        layout, maps = state.problem.layout, state.problem.maps
    else:
        block = state.problem.fixed[0]
        to_beta, shift = block.to_beta, np.zeros(block.p)
        p, n_fixed = block.p, state.problem.n_fixed
        layout, maps = state.problem.layout, state.problem.terms.maps
    linear = isinstance(state, LinearState)
    out = _random_targets(estimates, layout, maps, n_fixed, linear)
    if linear:
        out.append(Target("sigma", _log_sigma, np.exp, "sigma"))
    out += [
        Target(name, _linear(to_beta[j], shift[j], p), float, "fixed")
        for j, name in enumerate(names)
    ]
    return out


def choose_targets(known: Sequence[Target], which: Sequence[str] | str | None) -> list[Target]:
    """Choose targets by name, in the order asked for; all for None."""
    if which is None:
        return list(known)
    by_name = {target.name: target for target in known}
    wanted = [which] if isinstance(which, str) else list(which)
    for name in wanted:
        if name not in by_name:
            raise OptionError(
                f"There is no parameter {name!r}; the model has {', '.join(map(repr, by_name))}."
            )
    return [by_name[name] for name in wanted]


def _random_targets(
    estimates: Estimates, layout: Layout, maps: Sequence[Matrix], n_fixed: int, linear: bool
) -> list[Target]:
    out = []
    for i, term in enumerate(estimates.terms):
        for a, name in enumerate(term.names):
            where = f"{name} | {term.group}"
            function = _entry(layout, maps, i, n_fixed, linear, a, a)
            out.append(Target(f"sd({where})", function, _root, "sd"))
        for a in range(term.k):
            for b in range(a):
                if term.structure == "diag":
                    continue
                pair = f"cor({term.names[b]}, {term.names[a]} | {term.group})"
                function = _correlation(layout, maps, i, n_fixed, linear, a, b)
                out.append(Target(pair, function, float, "cor"))
    return out


def _root(x: float) -> float:
    return float(np.sqrt(x)) if x > 1e-10 else 0.0  # the search ends near a zero, not on it


def _log_sigma(phi: Vector) -> tuple[float, Vector]:
    gradient = np.zeros(len(phi))
    gradient[-1] = 1.0
    return float(phi[-1]), gradient


def _linear(row: Vector, shift: float, p: int) -> Function:
    def value(phi: Vector) -> tuple[float, Vector]:
        gradient = np.zeros(len(phi))
        gradient[:p] = row
        return float(row @ phi[:p] + shift), gradient

    return value


def _entry(
    layout: Layout, maps: Sequence[Matrix], slot: int, n_fixed: int, linear: bool, a: int, b: int
) -> Function:
    """Entry (a, b) of a term's covariance in the user's columns."""
    place = layout.slots[slot]
    S = maps[slot]
    first = n_fixed + place.first
    size = place.structure.n_parameters(place.k)

    def value(phi: Vector) -> tuple[float, Vector]:
        theta = phi[first : first + size]
        T = S @ place.structure.factor(theta, place.k)
        dT = [S @ d for d in place.structure.derivatives(theta, place.k)]
        scale = float(np.exp(2.0 * phi[-1])) if linear else 1.0
        entry = scale * float(T[a] @ T[b])
        gradient = np.zeros(len(phi))
        gradient[first : first + size] = [scale * (d[a] @ T[b] + T[a] @ d[b]) for d in dT]
        if linear:
            gradient[-1] = 2.0 * entry
        return entry, gradient

    return value


def _correlation(
    layout: Layout, maps: Sequence[Matrix], slot: int, n_fixed: int, linear: bool, a: int, b: int
) -> Function:
    parts = [
        _entry(layout, maps, slot, n_fixed, linear, *pair) for pair in ((a, b), (a, a), (b, b))
    ]

    def value(phi: Vector) -> tuple[float, Vector]:
        (ab, d_ab), (aa, d_aa), (bb, d_bb) = (f(phi) for f in parts)
        root = np.sqrt(aa * bb)
        if root == 0.0:
            return 0.0, np.zeros(len(phi))
        rho = ab / root
        return float(rho), d_ab / root - 0.5 * rho * (d_aa / aa + d_bb / bb)

    return value
