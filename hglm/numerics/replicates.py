"""Run many independent replicates: in chunks, on several processes if wanted.

Each replicate has a generator of its own, spawned from one seed, and chunks do not
depend on the number of workers, so that the results do not either. joblib is needed for
more than one worker only, tqdm for a progress bar only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

import numpy as np

from hglm.errors import OptionError
from hglm.numerics.threads import single_thread

__all__ = ["check_count", "run_replicates", "spawn"]

R = TypeVar("R")
Generators = Sequence[np.random.Generator]


def spawn(seed: np.random.Generator | int | None, n: int) -> list[np.random.Generator]:
    """Make n independent generators; the first m do not depend on n."""
    return np.random.default_rng(seed).spawn(n)


def check_count(name: str, value: object, least: int = 1) -> int:
    """Return a whole number that is large enough.

    Raises
    ------
    OptionError
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise OptionError(f"The option {name}={value!r} is no whole number of {least} or more.")
    return int(value)


def run_replicates(
    task: Callable[[Generators], R],
    generators: Generators,
    chunk: int,
    workers: int = 1,
    progress: bool = False,
) -> Iterator[R]:
    """Apply a task to chunks of replicates, in order.

    Parameters
    ----------
    task
        Takes the generators of some replicates.
    generators
        One a replicate, from `spawn`.
    chunk
        Replicates at a time.
    workers
        Processes; -1 for one a core. More than one needs joblib.
    progress
        Whether to show a bar, where tqdm is installed.

    Yields
    ------
    R
        The result of each chunk as soon as it is there.
    """
    if workers != -1:
        check_count("workers", workers)
    chunks = [generators[i : i + chunk] for i in range(0, len(generators), chunk)]
    with _Bar(len(generators), progress) as bar:
        for part, result in zip(chunks, _results(task, chunks, workers), strict=True):
            bar.advance(len(part))
            yield result


def _results(
    task: Callable[[Generators], R], chunks: Sequence[Generators], workers: int
) -> Iterator[R]:
    if workers == 1 or len(chunks) == 1:
        return (_run(task, part) for part in chunks)
    if find_spec("joblib") is None:
        raise OptionError(
            f"The option workers={workers!r} needs joblib, which is not installed; install it "
            "(`pip install joblib`) or leave `workers` at 1."
        )
    joblib: Any = import_module("joblib")
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator")
    calls = (joblib.delayed(_run)(task, part) for part in chunks)
    results: Iterator[R] = parallel(calls)
    return results


def _run(task: Callable[[Generators], R], part: Generators) -> R:
    """One thread: sums must not depend on how many cores are free."""
    with single_thread():
        return task(part)


class _Bar:
    """A progress bar, or nothing."""

    def __init__(self, total: int, wanted: bool) -> None:
        self._bar: Any = None
        if wanted and find_spec("tqdm") is not None:
            self._bar = import_module("tqdm.auto").tqdm(total=total, unit="fit")

    def advance(self, done: int) -> None:
        if self._bar is not None:
            self._bar.update(done)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
