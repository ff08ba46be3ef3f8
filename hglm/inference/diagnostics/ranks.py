"""Where a response falls among responses simulated from the model.

If the model holds, the response y and m simulated ones are exchangeable, row by row and
as whole vectors. So in every row the rank of each among the m + 1, ties broken at
random, is uniform on 1 ... m + 1, and with u uniform on (0, 1)

    (rank - 1 + u) / (m + 1)

is exactly uniform on (0, 1) for responses of any kind (Dunn & Smyth 1996, J. Comput.
Graph. Stat. 5, 236-244; with simulated distributions Hartig's DHARMa). The same holds
for any statistic T of a whole vector that treats the m + 1 alike, whatever the
dependence among rows: the rank of T(y) gives an exact Monte Carlo test (Besag &
Clifford 1989, Biometrika 76, 633-642). What is not allowed for is that parameters were
estimated from y: as in every such check, p-values tend to be somewhat too large.
"""

from __future__ import annotations

import numpy as np

from hglm.typing import Matrix, Vector

__all__ = ["distance_from_uniform", "monte_carlo_p", "uniform_ranks"]


def uniform_ranks(vectors: Matrix, rng: np.random.Generator) -> Matrix:
    """Turn each row into its ranks on (0, 1), randomised; see the module.

    Parameters
    ----------
    vectors : (n, m + 1)
        Each column a response.

    Returns
    -------
    (n, m + 1)
    """
    n, size = vectors.shape
    order = np.lexsort((rng.random((n, size)), vectors))
    ranks = np.empty((n, size))
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(size, dtype=float), (n, size)), 1)
    out: Matrix = (ranks + rng.random((n, size))) / size
    return out


def distance_from_uniform(values: Matrix) -> Vector:
    """Kolmogorov and Smirnov's distance of each column from the uniform distribution.

    Parameters
    ----------
    values : (n, c)

    Returns
    -------
    (c,)
    """
    ordered = np.sort(values, axis=0)
    n = len(ordered)
    steps = np.arange(n + 1.0)[:, None] / n
    above = (steps[1:] - ordered).max(axis=0)
    below = (ordered - steps[:-1]).max(axis=0)
    out: Vector = np.maximum(above, below)
    return out


def monte_carlo_p(statistics: Vector, two_sided: bool) -> float:
    """P-value of the first of m + 1 exchangeable statistics.

    Parameters
    ----------
    statistics : (m + 1,)
        Of the response, then of the simulated ones.
    two_sided
        Whether small values count as well as large ones.
    """
    observed = statistics[0]
    upper = float(np.mean(statistics >= observed))
    if not two_sided:
        return upper
    return min(1.0, 2.0 * min(upper, float(np.mean(statistics <= observed))))
