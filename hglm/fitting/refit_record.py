"""What many fits of one model have found, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hglm.covariance import Layout
from hglm.errors import HglmError
from hglm.fitting.certificate import Certificate
from hglm.fitting.record import Estimates
from hglm.fitting.refit_uncertainty import Uncertainty
from hglm.typing import AnyArray, BoolArray, Codes, Matrix, Vector

__all__ = [
    "Refits",
    "Refitter",
    "attempt",
    "attempt_complete",
    "batch_size",
    "off_boundary",
    "smallest_sd",
    "snap",
]

NUMBERS = 3_000_000
"""About as many float64 numbers as one step of a batch may hold at a time."""
LARGEST_BATCH = 100


@dataclass(frozen=True, slots=True)
class Refits:
    """Estimates of one model from B responses; NaN where a fit failed."""

    beta: Matrix
    """(B, p) fixed effects of the mean."""
    others: Mapping[str, Matrix]
    """Fixed effects (B, p) of further predictors by name."""
    covariances: tuple[Matrix, ...]
    """Covariance of each term's coefficients, (B, k, k), terms as in the estimates."""
    sigma: Vector
    """(B,) as `Estimates.sigma`; NaN where the model has none."""
    llf: Vector
    """(B,)"""
    singular: BoolArray
    """(B,)"""
    failures: Mapping[int, str] = field(default_factory=dict)
    """Number of a response -> why it could not be fitted."""

    @staticmethod
    def join(parts: Sequence[Refits]) -> Refits:
        """Put the responses of several records one after the other."""
        first = parts[0]
        offsets = np.cumsum([0, *(len(part.llf) for part in parts)])
        return Refits(
            beta=np.concatenate([part.beta for part in parts]),
            others={
                name: np.concatenate([part.others[name] for part in parts]) for name in first.others
            },
            covariances=tuple(
                np.concatenate(blocks)
                for blocks in zip(*(part.covariances for part in parts), strict=True)
            ),
            sigma=np.concatenate([part.sigma for part in parts]),
            llf=np.concatenate([part.llf for part in parts]),
            singular=np.concatenate([part.singular for part in parts]),
            failures={
                int(offset) + i: why
                for offset, part in zip(offsets, parts, strict=False)
                for i, why in part.failures.items()
            },
        )

    def with_rows(self, rows: Codes, parts: Sequence[Refits]) -> Refits:
        """Replace some responses by records of one response each."""
        if not parts:
            return self
        other = Refits.join(parts)

        def changed(old: AnyArray, new: AnyArray) -> AnyArray:
            out = old.copy()
            out[rows] = new
            return out

        return Refits(
            beta=changed(self.beta, other.beta),
            others={name: changed(old, other.others[name]) for name, old in self.others.items()},
            covariances=tuple(map(changed, self.covariances, other.covariances)),
            sigma=changed(self.sigma, other.sigma),
            llf=changed(self.llf, other.llf),
            singular=changed(self.singular, other.singular),
            failures={**self.failures, **{int(rows[i]): why for i, why in other.failures.items()}},
        )

    @staticmethod
    def of(estimates: Estimates) -> Refits:
        """One response, from a complete fit."""
        sigma = np.nan if estimates.sigma is None else estimates.sigma
        return Refits(
            beta=estimates.beta[None],
            others={name: part.beta[None] for name, part in estimates.others.items()},
            covariances=tuple(term.covariance[None] for term in estimates.terms),
            sigma=np.array([sigma]),
            llf=np.array([estimates.llf]),
            singular=np.array([estimates.certificate.singular]),
        )


class Refitter(Protocol):
    """A model that is ready to be fitted to other responses."""

    @property
    def batch(self) -> int:
        """How many responses are best fitted together; it depends on the model only."""
        ...

    def many(self, Y: Matrix) -> Refits:
        """Fit responses Y (n, B), one a column, in the rows of the design."""
        ...

    def uncertain(self, Y: Matrix) -> tuple[Refits, Uncertainty] | None:
        """Fit in lock-step only, and tell how uncertain β̂ is; None where that is not prepared.

        The uncertainty is NaN where a response is better fitted by itself.
        """
        ...


def batch_size(numbers: int) -> int:
    """How many responses to fit together if one step takes so many numbers for each."""
    return int(np.clip(NUMBERS // max(numbers, 1), 1, LARGEST_BATCH))


def attempt(fit: Callable[[], tuple[Certificate, Refits]], like: Estimates) -> Refits:
    """Fit one response; where that fails or does not converge, say why instead.

    Parameters
    ----------
    fit
        Does it.
    like
        Of the same model, for shapes.
    """
    try:
        certificate, found = fit()
    except (HglmError, np.linalg.LinAlgError) as error:
        return _failed(like, str(error))
    return found if certificate.converged else _failed(like, certificate.message)


def attempt_complete(fit: Callable[[Vector], Estimates], y: Vector, like: Estimates) -> Refits:
    """`attempt` a complete fit of the response y (n,)."""

    def complete() -> tuple[Certificate, Refits]:
        estimates = fit(y)
        return estimates.certificate, Refits.of(estimates)

    return attempt(complete, like)


def _failed(like: Estimates, why: str) -> Refits:
    def blank(*shape: int) -> Matrix:
        return np.full((1, *shape), np.nan)

    return Refits(
        beta=blank(len(like.beta)),
        others={name: blank(len(part.beta)) for name, part in like.others.items()},
        covariances=tuple(blank(term.k, term.k) for term in like.terms),
        sigma=blank(),
        llf=blank(),
        singular=np.zeros(1, dtype=bool),
        failures={0: why},
    )


def smallest_sd(basis: Matrix, theta: Matrix) -> Vector:
    """Smallest singular value of T for each θ (B, m). (B,)"""
    factors = np.tensordot(theta, basis, (1, 0))  # (B, k, k)
    return np.asarray(np.linalg.svd(factors, compute_uv=False)[:, -1], dtype=np.float64)


def snap(layout: Layout, theta: Vector, bound: float) -> Vector:
    """Put the standard deviations of directions below `bound` to zero. (m,)"""
    parts = [s.structure.canonical(theta[s.parameters], s.k, bound) for s in layout.slots]
    return np.concatenate(parts)


def off_boundary(layout: Layout, theta: Vector, least: float) -> Vector:
    """Raise the standard deviations of all directions to `least`. (m,)

    Where a variance is zero the criterion is stationary by symmetry, so that no
    search may start there.
    """
    factors = []
    for T in layout.term_factors(theta):
        u, d, _ = np.linalg.svd(T)
        factors.append(u * np.maximum(d, least))
    return layout.from_factors(factors)
