"""What the simulation studies share: options, replicates on several processes, shares.

Every replicate has a generator of its own, spawned from the seed of the study and the
number of the scenario, so that results depend neither on the number of workers nor on how
many replicates follow.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import pandas as pd

from hglm.inference.bootstrap_shares import wilson_interval
from hglm.numerics.replicates import Generators, run_replicates, spawn

RESULTS = Path(__file__).resolve().parent / "results"
SEED = 20_26
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Each(Generic[T]):
    """A task of one generator, applied to several: workers can be sent it."""

    task: Callable[[np.random.Generator], T]

    def __call__(self, generators: Generators) -> list[T]:
        return [self.task(rng) for rng in generators]


def parse_options(
    description: str, replicates: int, kinds: Sequence[str] = ()
) -> argparse.Namespace:
    """Read the options that all studies have."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    if kinds:
        parser.add_argument("kind", choices=kinds)
    parser.add_argument("--replicates", type=int, default=replicates, help=f"({replicates})")
    parser.add_argument("--only", nargs="+", default=[], help="names of scenarios")
    parser.add_argument("--tabulate", action="store_true", help="run nothing, print the tables")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the CSV files")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    return options


def scenarios(options: argparse.Namespace, names: Iterable[str]) -> list[tuple[int, str]]:
    """Choose the scenarios to run, with their numbers."""
    chosen = [] if options.tabulate else options.only or list(names)
    return [(i, name) for i, name in enumerate(names) if name in chosen]


def replicate(
    task: Callable[[Generators], Sequence[T]],
    n: int,
    scenario: int,
    *,
    workers: int = 1,
    chunk: int = 10,
) -> list[T]:
    """Do n replicates of a scenario, in order, with a bar of progress.

    Parameters
    ----------
    task
        Results of some replicates from their generators.
    n
        Number of replicates.
    scenario
        Its number: the seed is made of it.
    workers
        Processes.
    chunk
        Replicates that a worker does at a time.
    """
    generators = spawn(np.random.default_rng([SEED, scenario]), n)
    parts = run_replicates(task, generators, chunk, workers, progress=True)
    return [result for part in parts for result in part]


def share(hits: Iterable[bool]) -> dict[str, float]:
    """Count hits: `n, share, low, high`, the last two a 95% interval (Wilson's)."""
    values = np.fromiter(hits, dtype=bool)
    low, high = wilson_interval(int(values.sum()), len(values))
    found = float(np.mean(values)) if len(values) else np.nan
    return {"n": len(values), "share": found, "low": low, "high": high}


def holds(limits: pd.DataFrame, name: str, truth: float) -> bool:
    """Whether the interval of a parameter holds the truth; not if it has no limits."""
    low, high = limits.loc[name, ["conf_low", "conf_high"]].to_numpy(dtype=np.float64)
    return bool(low <= truth <= high)


def merge(path: Path, table: pd.DataFrame, key: str) -> pd.DataFrame:
    """Write a table; rows of other scenarios that the file has stay."""
    if path.exists():
        kept = pd.read_csv(path)
        table = pd.concat([kept[~kept[key].isin(table[key])], table], ignore_index=True)
    table.to_csv(path, index=False, float_format="%.8g")
    return table


def markdown(table: pd.DataFrame) -> str:
    """Write a table of texts as Markdown."""
    head = ["| " + " | ".join(map(str, table.columns)) + " |", "|---" * table.shape[1] + "|"]
    return "\n".join(head + ["| " + " | ".join(map(str, row)) + " |" for row in table.to_numpy()])
