"""Gauss-Hermite rules for the standard normal density."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import roots_hermitenorm

from hglm.typing import Matrix, Vector

__all__ = ["product_rule"]


@lru_cache(maxsize=64)
def product_rule(nodes: int, k: int) -> tuple[Matrix, Vector]:
    """Tensor product rule: Σ_m w_m f(x_m) ≈ E f(X), X ~ N(0, I_k).

    Parameters
    ----------
    nodes
        Nodes in each dimension; the rule is exact for polynomials of degree
        2 nodes - 1 in each variable.
    k
        Dimensions.

    Returns
    -------
    x : (nodes**k, k)
    log_w : (nodes**k,)
        Logarithms of the weights, which sum to one.
    """
    x, w = roots_hermitenorm(nodes)
    x = 0.5 * (x - x[::-1])  # exactly symmetric
    log_w = np.log(w) - np.log(w.sum())
    grid = np.stack(np.meshgrid(*[x] * k, indexing="ij"), axis=-1).reshape(-1, k)
    logs = np.stack(np.meshgrid(*[log_w] * k, indexing="ij"), axis=-1).reshape(-1, k)
    for a in (grid, logs):
        a.setflags(write=False)
    return grid, logs.sum(axis=1)
