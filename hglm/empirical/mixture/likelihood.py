"""Likelihood matrices of mixtures: scaled rows, repeated rows once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hglm.typing import Codes, Matrix, Vector

__all__ = ["LikelihoodMatrix", "scaled_likelihood", "unique_rows"]


@dataclass(frozen=True, slots=True)
class LikelihoodMatrix:
    """exp(log density), each row scaled so that its largest entry is one."""

    L: Matrix
    """(n, m)"""
    log_scale: Vector
    """(n,) logarithm of what was divided out."""

    def log_likelihood(self, x: Vector, weights: Vector) -> float:
        """Σ_j w_j log p(data_j) under mixture weights x (m,)."""
        return float(weights @ (np.log(self.L @ x) + self.log_scale))

    def posterior(self, x: Vector) -> Matrix:
        """P(component k | data_j). (n, m)"""
        joint = self.L * x
        out: Matrix = joint / joint.sum(axis=1, keepdims=True)
        return out


def scaled_likelihood(log_density: Matrix) -> LikelihoodMatrix:
    """Leave the log scale safely.

    Parameters
    ----------
    log_density : (n, m)
        Minus infinity is allowed, though not in a whole row.
    """
    top = log_density.max(axis=1)
    return LikelihoodMatrix(np.exp(log_density - top[:, None]), top)


def unique_rows(rows: Matrix) -> tuple[Codes, Codes, int]:
    """Find repeated observations, which counts have many of.

    Parameters
    ----------
    rows : (G, c)

    Returns
    -------
    first : (n,)
        A representative of each distinct row.
    inverse : (G,)
        Which one each row is.
    n
    """
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1), first.size
