"""Time the import of hglm beside that of pandas: median of several fresh interpreters.

    python benchmarks/import_time.py [--repeats 5] [--slowest 10]

The figures are sums over all modules in ``python -X importtime``. ``import hglm`` alone is held
to under twice pandas; hglm loads its parts when they are first used, so the time until it can
fit is shown as well.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from statistics import median

STATEMENTS = ("import pandas", "import hglm", "from hglm import fit")


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One line of ``-X importtime``; times in milliseconds."""

    module: str
    own_ms: float
    cumulative_ms: float


def main() -> None:
    """Print the medians, their ratios and the slowest modules under hglm."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--slowest", type=int, default=10)
    options = parser.parse_args()
    rounds = [[trace(statement) for statement in STATEMENTS] for _ in range(options.repeats)]
    totals = [median(map(total, runs)) for runs in zip(*rounds, strict=True)]
    for statement, milliseconds in zip(STATEMENTS, totals, strict=True):
        print(f"{milliseconds:6.0f} ms, {milliseconds / totals[0]:4.2f} times  {statement}")
    print("Slowest modules of the last:")
    for line in sorted(rounds[-1][-1], key=lambda line: -line.own_ms)[: options.slowest]:
        print(f"{line.own_ms:8.1f} ms  {line.module}")


def trace(statement: str) -> list[ImportLine]:
    """Run an import in a fresh interpreter and return what each module took."""
    command = [sys.executable, "-X", "importtime", "-c", statement]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = []
    for text in done.stderr.splitlines():
        own, _, rest = text.removeprefix("import time:").partition("|")
        cumulative, _, module = rest.partition("|")
        if own.strip().isdigit():
            lines.append(ImportLine(module.strip(), int(own) / 1e3, int(cumulative) / 1e3))
    return lines


def total(lines: list[ImportLine]) -> float:
    """Return the time of all modules, those the interpreter loads at its start among them."""
    return sum(line.own_ms for line in lines)


if __name__ == "__main__":
    main()
