"""Correlations between points in space: R_ij = r(|x_i - x_j|), factored by Cholesky.

The kernel is mixed with a little independent variation, (r + ε1{i=j})/(1 + ε) with
ε = 1e-10, so that R is positive definite whatever the range, smooth kernels over
close points included. From R = CC', with Φ the lower triangle and half the diagonal,

    ∂C = C Φ(C^-1 ∂R C^-T),     ∂²C = C Φ(C^-1 (∂²R - ∂_iC ∂_jC' - ∂_jC ∂_iC') C^-T)

(Smith 1995, J. Computational and Graphical Statistics 4, 134-147; Murray 2016,
arXiv:1602.07527, eq. 8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from hglm.covariance.kernels import Kernel
from hglm.typing import Codes, Matrix, Vector

__all__ = ["Spatial", "spatial"]

NUGGET = 1e-10
"""ε."""


@dataclass(frozen=True, slots=True, eq=False)
class Spatial:
    """Correlations of k points by their distances."""

    kernel: Kernel
    distances: Vector
    """Distinct distances between different points."""
    pairs: Codes
    """(k, k) position in `distances` of each pair; the diagonal is not used."""

    def n_parameters(self, k: int) -> int:
        return len(self.kernel.names)

    def factor(self, phi: Vector, k: int) -> Matrix:
        return self._cholesky(self.kernel.values(phi, self.distances), k)

    def derivatives(self, phi: Vector, k: int) -> Matrix:
        r, first, _ = self.kernel.derivatives(phi, self.distances)
        return self._slopes(self._cholesky(r, k), first)

    def curvature(self, phi: Vector, k: int, weights: Matrix) -> Matrix:
        r, first, second = self.kernel.derivatives(phi, self.distances)
        C = self._cholesky(r, k)
        dC = self._slopes(C, first)
        out = np.zeros((len(phi), len(phi)))
        for i in range(len(phi)):
            for j in range(i + 1):
                product = dC[i] @ dC[j].T
                ddR = self._symmetric(second[i, j], k, 0.0) - product - product.T
                out[i, j] = out[j, i] = np.sum(weights * _chained(C, ddR))
        return out

    def from_correlations(self, R: Matrix) -> Vector:
        """Fit the kernel to the mean correlation at each distance, by least squares."""
        seen = np.isfinite(R) & ~np.eye(len(R), dtype=bool)
        if not seen.any():
            return np.asarray(self.openings(len(R))[1])
        pairs = self.pairs[seen]
        weights = np.bincount(pairs, minlength=len(self.distances))
        means = np.bincount(pairs, R[seen], len(weights)) / np.maximum(weights, 1)

        def error(phi: Vector) -> float:
            return float(weights @ (self.kernel.values(phi, self.distances) - means) ** 2)

        ranges = np.geomspace(1e-3, 1e4, 80) * np.median(self.distances)
        phi: Vector = min(self.kernel.openings(ranges), key=error)
        for _ in range(20):  # Gauss-Newton
            r, slopes, _ = self.kernel.derivatives(phi, self.distances)
            normal = (slopes * weights) @ slopes.T
            step = np.linalg.lstsq(normal, (slopes * weights) @ (means - r), rcond=1e-12)[0]
            if error(phi + step) >= error(phi):
                break
            phi = phi + step
        return phi

    def canonical(self, phi: Vector, k: int, bound: float = 0.0) -> Vector:
        return self.kernel.bounded(phi)

    def openings(self, k: int) -> Matrix:
        return self.kernel.openings(np.quantile(self.distances, [0.05, 0.3, 0.8]))

    def parameters(self, phi: Vector, k: int) -> dict[str, float]:
        values = np.exp(self.kernel.bounded(phi))
        return dict(zip(self.kernel.names, values.tolist(), strict=True))

    def _cholesky(self, r: Vector, k: int) -> Matrix:
        out: Matrix = linalg.cholesky(self._symmetric(r, k, 1.0 + NUGGET), lower=True)
        return out

    def _slopes(self, C: Matrix, first: Matrix) -> Matrix:
        return np.array([_chained(C, self._symmetric(d, len(C), 0.0)) for d in first])

    def _symmetric(self, values: Vector, k: int, diagonal: float) -> Matrix:
        """Numbers by distance as a matrix over pairs of points. (k, k)"""
        out: Matrix = values[self.pairs]
        out[np.diag_indices(k)] = diagonal
        out /= 1.0 + NUGGET
        return out


def spatial(kernel: Kernel, coordinates: Matrix) -> Spatial:
    """Correlations of points at the coordinates (k, d)."""
    k = len(coordinates)
    rows, cols = np.tril_indices(k, -1)
    d = np.sqrt(((coordinates[rows] - coordinates[cols]) ** 2).sum(axis=1))
    distances, found = np.unique(d, return_inverse=True)
    pairs = np.zeros((k, k), dtype=np.intp)
    pairs[rows, cols] = pairs[cols, rows] = found
    return Spatial(kernel, distances, pairs)


def _chained(C: Matrix, change: Matrix) -> Matrix:
    """C Φ(C^-1 change C^-T). (k, k)"""
    half = linalg.blas.dtrsm(1.0, C, change, lower=1)
    inner = np.tril(linalg.blas.dtrsm(1.0, C, half, side=1, lower=1, trans_a=1, overwrite_b=1))
    inner[np.diag_indices_from(inner)] *= 0.5
    return np.asarray(linalg.blas.dtrmm(1.0, C, inner, lower=1))
