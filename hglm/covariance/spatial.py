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
    """Distinct distances."""
    pairs: Codes
    """(k (k - 1) / 2,) position in `distances` of each pair below the diagonal."""

    def n_parameters(self, k: int) -> int:
        return len(self.kernel.names)

    def factor(self, phi: Vector, k: int) -> Matrix:
        return self._cholesky(self.kernel.values(phi, self.distances), k)

    def derivatives(self, phi: Vector, k: int) -> Matrix:
        r, first, _ = self.kernel.derivatives(phi, self.distances)
        C = self._cholesky(r, k)
        return self._slopes(C, linalg.lapack.dtrtri(C, lower=1)[0], first)

    def curvature(self, phi: Vector, k: int, weights: Matrix) -> Matrix:
        r, first, second = self.kernel.derivatives(phi, self.distances)
        C = self._cholesky(r, k)
        inverse = linalg.lapack.dtrtri(C, lower=1)[0]
        dC = self._slopes(C, inverse, first)
        out = np.zeros((len(phi), len(phi)))
        for i in range(len(phi)):
            for j in range(i + 1):
                product = dC[i] @ dC[j].T
                ddR = self._symmetric(second[i, j], k, 0.0) - product - product.T
                out[i, j] = out[j, i] = np.sum(weights * _chained(C, inverse, ddR))
        return out

    def from_correlations(self, R: Matrix) -> Vector:
        """Fit the kernel to the mean correlation at each distance, by least squares."""
        below = R[np.tril_indices(len(R), -1)]
        seen = np.isfinite(below)
        weights = np.bincount(self.pairs[seen], minlength=len(self.distances))
        if not seen.any():
            return np.asarray(self.openings(len(R))[1])
        means = np.bincount(self.pairs[seen], below[seen], len(weights)) / np.maximum(weights, 1)

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

    def _slopes(self, C: Matrix, inverse: Matrix, first: Matrix) -> Matrix:
        return np.array([_chained(C, inverse, self._symmetric(d, len(C), 0.0)) for d in first])

    def _symmetric(self, values: Vector, k: int, diagonal: float) -> Matrix:
        """Numbers by distance as a matrix over pairs of points. (k, k)"""
        out = np.zeros((k, k))
        out[np.tril_indices(k, -1)] = values[self.pairs]
        out += out.T
        out[np.diag_indices(k)] = diagonal
        out /= 1.0 + NUGGET
        return out


def spatial(kernel: Kernel, coordinates: Matrix) -> Spatial:
    """Correlations of points at the coordinates (k, d)."""
    rows, cols = np.tril_indices(len(coordinates), -1)
    d = np.sqrt(((coordinates[rows] - coordinates[cols]) ** 2).sum(axis=1))
    distances, pairs = np.unique(d, return_inverse=True)
    return Spatial(kernel, distances, pairs)


def _chained(C: Matrix, inverse: Matrix, change: Matrix) -> Matrix:
    """C Φ(C^-1 change C^-T). (k, k)"""
    inner = np.tril(inverse @ change @ inverse.T)
    inner[np.diag_indices_from(inner)] *= 0.5
    out: Matrix = C @ inner
    return out
