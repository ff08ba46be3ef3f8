"""Which parameters belong to which term, and terms to which grouping factor.

Terms on the same grouping factor share its levels: they are merged into one
group whose factor T is block diagonal. `(1 | g) + (0 + x | g)` then costs one
pass over the levels of g, as `diag(1 + x | g)` does.

A term whose levels are related is a group with a single level that has the term's
k coefficients r times over, Σ ⊗ I_r.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hglm.covariance.protocol import Structure
from hglm.typing import Matrix, Vector

__all__ = ["Layout", "Slot"]


@dataclass(frozen=True, slots=True)
class Slot:
    """Place of one term."""

    group: int
    """Number of its group."""
    start: int
    """First of its columns within the group."""
    k: int
    structure: Structure
    first: int
    """First of its parameters in θ."""
    copies: int = 1
    """How often a level of the group has the k coefficients, copy by copy within each."""

    @property
    def columns(self) -> slice:
        """Its columns within the group."""
        return slice(self.start, self.start + self.k * self.copies)

    @property
    def parameters(self) -> slice:
        """Its part of θ."""
        return slice(self.first, self.first + self.structure.n_parameters(self.k))

    def expanded(self, T: Matrix) -> Matrix:
        """T ⊗ I over the copies. (k, k) to (k r, k r)"""
        return T if self.copies == 1 else np.asarray(np.kron(T, np.eye(self.copies)))

    def own(self, full: Matrix) -> Matrix:
        """Its block of a matrix of the group, summed over the copies. (k, k)"""
        block: Matrix = full[self.columns, self.columns]
        r = self.copies
        return block if r == 1 else np.einsum("arbr->ab", block.reshape(self.k, r, self.k, r))


@dataclass(frozen=True, slots=True)
class Layout:
    """All terms of a predictor."""

    slots: tuple[Slot, ...]
    orders: tuple[int, ...]
    """Columns k of each group."""

    @property
    def n_theta(self) -> int:
        """Length of θ."""
        return self.slots[-1].parameters.stop if self.slots else 0

    def factors(self, theta: Vector) -> list[Matrix]:
        """T of each group. (k, k)"""
        out = [np.zeros((k, k)) for k in self.orders]
        for s in self.slots:
            T = s.structure.factor(theta[s.parameters], s.k)
            out[s.group][s.columns, s.columns] = s.expanded(T)
        return out

    def derivatives(self, theta: Vector) -> list[tuple[int, Matrix]]:
        """Group and ∂T/∂θ_i (k, k) of that group, for every parameter in order."""
        out = []
        for s in self.slots:
            for d in s.structure.derivatives(theta[s.parameters], s.k):
                full = np.zeros((self.orders[s.group],) * 2)
                full[s.columns, s.columns] = s.expanded(d)
                out.append((s.group, full))
        return out

    def curvature(self, theta: Vector, weights: Sequence[Matrix]) -> Matrix:
        """Σ_ab weights_ab ∂²T_ab/∂θ∂θ' for weights (k, k) of each group. (m, m)"""
        out = np.zeros((self.n_theta, self.n_theta))
        for s in self.slots:
            own = s.own(weights[s.group])
            second = s.structure.curvature(theta[s.parameters], s.k, own)
            out[s.parameters, s.parameters] = second
        return out

    def from_factors(self, factors: list[Matrix]) -> Vector:
        """θ from a factor of each term's covariance, in the order of the slots. (m,)"""
        parts = [s.structure.from_factor(f) for s, f in zip(self.slots, factors, strict=True)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def term_factors(self, theta: Vector) -> list[Matrix]:
        """T of each term. (k, k)"""
        return [s.structure.factor(theta[s.parameters], s.k) for s in self.slots]

    def canonical(self, theta: Vector, bound: float = 0.0) -> Vector:
        """Choose the representative θ, directions smaller than `bound` at zero. (m,)"""
        parts = [s.structure.canonical(theta[s.parameters], s.k, bound) for s in self.slots]
        return np.concatenate(parts) if parts else theta
