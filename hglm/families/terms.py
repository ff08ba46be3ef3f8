"""Blocks of rows that add up a series over the same range of its index."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hglm.typing import Codes, Vector

__all__ = ["blocks_of_terms"]

_BLOCK = 50_000


def blocks_of_terms(low: Vector, high: Vector) -> Iterator[tuple[Codes, Vector]]:
    """Yield blocks of rows with the indices j that any of them needs.

    Parameters
    ----------
    low, high : (n,)
        First and last index that matters to each row, whole numbers.

    Yields
    ------
    rows : (m,)
    j : (J,)
        m J stays near 50,000 and J near twice what the first row needs.
    """
    order = np.argsort(high)
    first, last = low[order], high[order]
    start = 0
    while start < order.size:
        limit = first[start] + 2.0 * (last[start] - first[start]) + 1.0
        stop = max(start + 1, int(np.searchsorted(last, limit, side="right")))
        stop = min(stop, start + max(1, int(_BLOCK / (limit - first[start]))))
        yield order[start:stop], np.arange(np.min(first[start:stop]), last[stop - 1] + 1.0)
        start = stop
