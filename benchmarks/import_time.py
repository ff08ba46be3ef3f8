"""Time the import of hglm beside that of pandas: median of several fresh interpreters.

    python benchmarks/import_time.py [--repeats 5] [--slowest 10]

The figure is the cumulative time ``python -X importtime`` gives for the package, which for
hglm includes its imports of numpy, scipy, pandas and formulaic. The target is under twice
pandas' own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from statistics import median

TARGET = 2.0


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One line of ``-X importtime``; times in milliseconds."""

    module: str
    own_ms: float
    cumulative_ms: float


def main() -> None:
    """Print the medians, their ratio and the slowest modules under hglm."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--slowest", type=int, default=10)
    options = parser.parse_args()
    runs = [(trace("pandas"), trace("hglm")) for _ in range(options.repeats)]
    pandas_ms = median(total(lines, "pandas") for lines, _ in runs)
    hglm_ms = median(total(lines, "hglm") for _, lines in runs)
    print(
        f"pandas {pandas_ms:.0f} ms, hglm {hglm_ms:.0f} ms: {hglm_ms / pandas_ms:.2f} times", end=""
    )
    print(f" (target: under {TARGET:g})")
    last = runs[-1][1]
    for line in sorted(last, key=lambda line: -line.own_ms)[: options.slowest]:
        print(f"{line.own_ms:8.1f} ms  {line.module}")


def trace(package: str) -> list[ImportLine]:
    """Import a package in a fresh interpreter and return what each module took."""
    command = [sys.executable, "-X", "importtime", "-c", f"import {package}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = []
    for text in done.stderr.splitlines():
        own, _, rest = text.removeprefix("import time:").partition("|")
        cumulative, _, module = rest.partition("|")
        if own.strip().isdigit():
            lines.append(ImportLine(module.strip(), int(own) / 1e3, int(cumulative) / 1e3))
    return lines


def total(lines: list[ImportLine], package: str) -> float:
    """Return the cumulative time of a package."""
    return next(line.cumulative_ms for line in lines if line.module == package)


if __name__ == "__main__":
    main()
