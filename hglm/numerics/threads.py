"""One BLAS thread around small calls.

On a busy machine a two-thread BLAS call of a microsecond can wait
milliseconds for its second thread. Small problems run on one thread; large
dense ones keep the threads that the user allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

__all__ = ["single_thread"]


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def single_thread(active: bool = True) -> Iterator[None]:
    """Limit BLAS to one thread inside the block, if `active`."""
    if not active:
        yield
        return
    with _controller().limit(limits=1, user_api="blas"):
        yield
