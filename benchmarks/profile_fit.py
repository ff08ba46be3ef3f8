"""Profile hglm on one workload: the functions that take the most time of their own.

    python benchmarks/profile_fit.py slope_1e6 [--fits 3] [--top 20] [--cumulative]

Run it with ``OPENBLAS_NUM_THREADS=1`` to see what ``run.py`` measures.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
from pathlib import Path

from cache import data_file
from workloads import CATALOGUE

import hglm

sys.path.insert(0, str(Path(__file__).parent / "engines"))
from protocol import read_frame


def main() -> None:
    """Fit once to warm up, then under the profiler."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("workload", choices=list(CATALOGUE))
    parser.add_argument("--fits", type=int, default=3)
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--cumulative", action="store_true")
    options = parser.parse_args()
    workload = CATALOGUE[options.workload]
    frame = read_frame(data_file(workload))
    arguments = (workload.formula, frame, workload.family)
    hglm.fit(*arguments, method=workload.method, link=workload.link)
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(options.fits):
        hglm.fit(*arguments, method=workload.method, link=workload.link)
    profiler.disable()
    statistics = pstats.Stats(profiler, stream=sys.stdout)
    statistics.sort_stats("cumulative" if options.cumulative else "tottime")
    statistics.print_stats(options.top)


if __name__ == "__main__":
    main()
