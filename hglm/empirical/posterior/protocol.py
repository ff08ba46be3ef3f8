"""What every posterior of many parameters can be asked.

One object holds the posteriors of all G groups, which are independent given
the prior. The verbs obey, for each group i and 0 < p < 1:

- `cdf(quantile(p)) >= p`, with equality where the distribution is continuous;
- `mass(x)` is the jump of `cdf` at x, so P(θ < x) = cdf(x) − mass(x);
- `mean` and `sd` are the moments of what `draw` returns.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hglm.typing import Matrix, Vector

__all__ = ["Posterior"]


class Posterior(Protocol):
    """Independent distributions of G parameters."""

    @property
    def mean(self) -> Vector:
        """Posterior means. (G,)"""

    @property
    def sd(self) -> Vector:
        """Posterior standard deviations. (G,)"""

    def cdf(self, x: Vector | float) -> Vector:
        """P(θ_i ≤ x_i) at x (G,) or a common x. (G,)"""

    def mass(self, x: float) -> Vector:
        """P(θ_i = x). (G,)"""

    def quantile(self, p: float) -> Vector:
        """Smallest x with P(θ_i ≤ x) ≥ p. (G,)"""

    def draw(self, rng: np.random.Generator, n: int) -> Matrix:
        """Draw n times from every posterior. (n, G)"""
