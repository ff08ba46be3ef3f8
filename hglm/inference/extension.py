"""Random effects at places and levels that the fit did not have.

A structure in time or space says how the coefficient at a new place varies with those
of the fit (kriging; Cressie 1993, Statistics for Spatial Data, sec. 3.2), and a
relationship matrix does so for a new level. With R the correlations of places,

    E[b_new | b] = Wb,  W = R_no R_oo^-1,        Var(b_new | b) = σ² (R_nn - W R_on)

so that a prediction is W times the modes, and its error that of Wb̂ with the second
variance added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hglm.covariance import structure
from hglm.design.arrays import RandomTerm
from hglm.fitting.record import TermEstimate
from hglm.typing import Matrix, Vector

__all__ = ["Extended", "extend"]


@dataclass(frozen=True, slots=True)
class Extended:
    """A term in some rows, with k' ≥ k places and q' ≥ q levels."""

    columns: RandomTerm
    modes: Matrix
    """(q', k')"""
    covariance: Matrix
    """(k', k') of the coefficients of one level."""
    weights: Matrix
    """(k', k) W, the identity for places of the fit."""
    open: Matrix
    """(k', k') covariance that the coefficients of the fit leave to those at new places."""

    def on_fitted(self) -> RandomTerm:
        """Columns of the coefficients of the fit, z'W. (m, k)"""
        places = self.columns.positions
        if places is None:
            return self.columns
        return replace(self.columns, z=self.weights[places.codes], positions=None)

    def open_variances(self) -> Vector:
        """Variance of z'b, given all that was fitted, for rows of known levels. (m,)"""
        given = self.columns.variances(self.covariance, own=True)
        if self.columns.positions is None:
            return given
        return given + self.columns.variances(self.open, own=False)


def extend(term: TermEstimate, columns: RandomTerm) -> Extended:
    """Continue a term to the places and levels of some rows.

    Parameters
    ----------
    term
        As it was estimated.
    columns
        Of the rows; places and related levels that are new follow those of the fit.
    """
    k = term.k
    covariance, weights, left = term.covariance, np.eye(k), np.zeros((k, k))
    coordinates = columns.coordinates
    if coordinates is not None and len(coordinates) > k:
        covariance, weights, left = _continued(term, coordinates)
    modes = term.modes
    if columns.relation is not None and len(columns.relation.root) > len(modes):
        root = columns.relation.root
        modes = root @ np.linalg.lstsq(root[: len(modes)], modes, rcond=None)[0]
    return Extended(columns, modes @ weights.T, covariance, weights, left)


def _continued(term: TermEstimate, coordinates: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Covariance at all places (k', k'), W (k', k), and what W leaves open (k', k')."""
    k, variance = term.k, float(term.covariance[0, 0])
    order = np.lexsort(coordinates.T[::-1])  # as structures in time need them
    unit = np.append(1.0, term.theta[1:])
    T = structure(term.structure, coordinates[order]).factor(unit, len(order))
    R = np.empty((len(order), len(order)))
    R[np.ix_(order, order)] = T @ T.T
    weights = np.asarray(np.linalg.lstsq(R[:k, :k], R[:k], rcond=1e-12)[0].T, dtype=np.float64)
    weights[:k] = np.eye(k)
    left = R - weights @ R[:k]
    left[:k] = left[:, :k] = 0.0
    return variance * R, weights, variance * left
