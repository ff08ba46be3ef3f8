"""Benchmark data as CSV files, written once, readable from Python and R.

The folder is ``$HGLM_BENCH_DATA``, by default ``hglm-benchmarks`` in the temporary directory.
Each CSV has a JSON file beside it that lists the categorical columns: with their levels, or
null where the order is plain sorting.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from catalogue import Workload


def folder() -> Path:
    """Return the cache folder, made if need be."""
    default = Path(tempfile.gettempdir()) / "hglm-benchmarks"
    path = Path(os.environ.get("HGLM_BENCH_DATA", default))
    path.mkdir(parents=True, exist_ok=True)
    return path


def data_file(workload: Workload) -> Path:
    """Return the CSV of a workload's data, written first if it is not there."""
    path = folder() / f"{workload.name}-{workload.seed}.csv"
    if not path.exists():
        frame = workload.data(np.random.default_rng(workload.seed))
        path.with_suffix(".json").write_text(json.dumps(factors(frame)))
        unfinished = path.with_suffix(".part")
        frame.to_csv(unfinished, index=False)
        unfinished.rename(path)
    return path


def factors(frame: pd.DataFrame) -> dict[str, Sequence[str] | None]:
    """Map each categorical column to its levels in order, or to None if that is sorted."""
    found: dict[str, Sequence[str] | None] = {}
    for name in frame.columns:
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            levels = list(frame[name].cat.categories)
            found[name] = None if levels == sorted(levels) else [str(level) for level in levels]
    return found
