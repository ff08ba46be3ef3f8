"""Fit a model again to other responses of the same design, many at a time.

The simulations behind a bootstrap or a power study differ in the response only. What
does not depend on it is taken from the fit: cross-products, orthonormal columns, the
plan of the factorisation, start and curvature of the search. With one grouping factor
the searches run in lock-step (`hglm.numerics.lockstep`). What ends near the boundary of
the parameter space, or has not converged, is fitted by itself with all the checks of
`hglm.fitting.linear` or `hglm.fitting.generalised`, and so is everything where the model
does not allow more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from hglm.design.arrays import Design
from hglm.errors import OptionError
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.estimate_generalised import estimate_generalised
from hglm.fitting.methods import Laplace, Quadrature
from hglm.fitting.record import Estimates, LinearState
from hglm.fitting.refit_generalised import is_stackable, make_laplace_refitter
from hglm.fitting.refit_linear import make_linear_refitter
from hglm.fitting.refit_record import Refits, Refitter, attempt_complete
from hglm.typing import Matrix, Vector

__all__ = ["CompleteRefitter", "make_refitter", "refit"]


@dataclass(frozen=True, slots=True)
class CompleteRefitter:
    """Fits responses one after the other, from rows to estimates."""

    estimates: Estimates
    design: Design
    batch: int = 10

    def many(self, Y: Matrix) -> Refits:
        """Fit responses Y (n, B), one a column, in the rows of the design."""
        return Refits.join([self._one(y) for y in Y.T])

    def uncertain(self, Y: Matrix) -> None:
        """Not prepared: complete fits tell it one by one."""

    def _one(self, y: Vector) -> Refits:
        return attempt_complete(partial(refit, self.estimates, self.design), y, self.estimates)


def make_refitter(estimates: Estimates, design: Design) -> Refitter:
    """Prepare to fit the model of `estimates` to other responses.

    Parameters
    ----------
    estimates
        Of the model: method, and where to start from.
    design
        What they were fitted to.
    """
    state = estimates.state
    if isinstance(state, LinearState):
        return make_linear_refitter(estimates, design, state)
    if is_stackable(estimates, state):
        return make_laplace_refitter(estimates, state, design.y, partial(refit, estimates, design))
    return CompleteRefitter(estimates, design)


def refit(estimates: Estimates, design: Design, y: Vector) -> Estimates:
    """Fit the model of `estimates` to one other response, completely.

    Parameters
    ----------
    estimates
        Of the model.
    design
        Of the same model.
    y : (n,)
        Response in the rows of the design, on the scale of `Design.y`.
    """
    if y.shape != (design.n,):
        raise OptionError(
            f"The new response has shape {y.shape}; give one number for each of the {design.n} "
            "rows of the fit."
        )
    other = replace(design, y=y)
    state = estimates.state
    start = None if estimates.certificate.singular else estimates.theta
    if isinstance(state, LinearState):
        return estimate_linear(other, state.reml, start)
    method = Laplace() if estimates.nodes == 1 else Quadrature(estimates.nodes)
    return estimate_generalised(other, state.problem.likelihood.family, method, start)
