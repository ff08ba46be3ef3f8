"""Slow, obvious oracles for empirical Bayes: differences and quadrature."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from scipy import integrate

from hglm.empirical.maximise import Evaluation
from hglm.typing import Matrix, Vector

__all__ = ["differenced", "integral"]


def differenced(evaluate: Callable[[Vector], Evaluation], x: Vector) -> tuple[Vector, Matrix]:
    """Gradient from differences of the value, Hessian from differences of the gradient.

    Fourth-order central differences: the error is of order step⁴ plus rounding/step.
    """
    gradient, hessian = np.zeros(x.size), np.zeros((x.size, x.size))
    for i in range(x.size):
        step = np.zeros(x.size)
        step[i] = 2e-3 * max(abs(x[i]), 1e-2)
        near = [evaluate(x + k * step) for k in (-2, -1, 1, 2)]
        weights = np.array([1.0, -8.0, 8.0, -1.0]) / (12 * step[i])
        gradient[i] = weights @ [point.value for point in near]
        hessian[i] = weights @ np.array([point.gradient for point in near])
    return gradient, hessian


def integral(f: Callable[[float], float], low: float, high: float, peak: float) -> float:
    """∫ f by adaptive quadrature, split around a peak."""
    width = (high - low) * 1e-3
    points = sorted({low, max(low, peak - width), peak, min(high, peak + width), high})
    pieces = [
        integrate.quad(f, a, b, epsabs=0, epsrel=1e-13, limit=400)[0]
        for a, b in itertools.pairwise(points)
    ]
    return float(sum(pieces))
