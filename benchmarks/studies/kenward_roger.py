"""Kenward and Roger's tests of a random-slope model as the data grow, here and in pbkrtest.

    python benchmarks/studies/kenward_roger.py

One factor with ten rows a level and a correlated slope, alone or crossed with a second factor
of twenty levels. Each size is fitted and tested in a process of its own on one thread; the
peak of memory is that of the whole process. pbkrtest has matrices of rows × rows: sparse with
one factor, dense with crossed ones, where it is tried with 1,000 rows only. Writes
`kenward_roger.csv`; prints its table.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from monte_carlo import RESULTS, markdown, merge

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simulate import Grouping, gaussian, mixed_frame

import hglm

WARM_UP = 20
"""Levels that are fitted first, for what happens once only."""
Measured = dict[str, float | str]


@dataclass(frozen=True, slots=True)
class Structure:
    """A model, and the numbers of rows at which it is tested."""

    formula: str
    sizes: tuple[int, ...]
    pbkrtest_up_to: int
    further: dict[str, Grouping]


STRUCTURES = {
    "one factor": Structure(
        "y ~ x + (x | g)", (1_000, 4_000, 10_000, 30_000, 100_000, 1_000_000), 100_000, {}
    ),
    "crossed": Structure(
        "y ~ x + (x | g) + (1 | h)",
        (1_000, 2_000, 10_000),
        1_000,
        {"h": Grouping(20)},
    ),
}


def main() -> None:
    """Measure every size, save and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--limit", type=float, default=600.0, help="of a process, in seconds")
    parser.add_argument("--structures", nargs="+", default=list(STRUCTURES))
    parser.add_argument("--tabulate", action="store_true", help="run nothing, print the table")
    parser.add_argument("--one", nargs=2, metavar=("CSV", "FORMULA"), help="test, print JSON")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.one is not None:
        path, formula = options.one
        print(json.dumps(measure(pd.read_csv(path), formula)))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "kenward_roger.csv"
    for name in () if options.tabulate else options.structures:
        sizes = STRUCTURES[name].sizes
        rows = [row for size in sizes for row in compare(name, size, options.limit)]
        merge(path, pd.DataFrame(rows), "structure")
    print(markdown(as_texts(pd.read_csv(path))))


def compare(name: str, size: int, limit: float) -> list[Measured]:
    """Test data of one size by every program that can."""
    structure = STRUCTURES[name]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.csv"
        make_data(structure, size).to_csv(data, index=False)
        commands = {"hglm": [sys.executable, __file__, "--one", str(data), structure.formula]}
        if size <= structure.pbkrtest_up_to:
            script = Path(__file__).with_suffix(".R")
            commands["pbkrtest"] = ["Rscript", str(script), str(data), structure.formula]
        return [
            {"structure": name, "rows": size, "program": program, **run(command, limit)}
            for program, command in commands.items()
        ]


def make_data(structure: Structure, size: int) -> pd.DataFrame:
    """Draw the data of one size: levels of g of about ten rows."""
    return mixed_frame(
        np.random.default_rng(size),
        n_rows=size,
        groupings={"g": Grouping(size // 10, (1.0, 0.5)), **structure.further},
        response=gaussian(1.0),
    )


def run(command: list[str], limit: float) -> Measured:
    """Run a process on one thread and read what it prints."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=limit, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"failure": f"not within {limit:.0f} s"}
    except subprocess.CalledProcessError as error:
        return {"failure": str(error.stderr).strip().splitlines()[-1]}
    found: Measured = json.loads(done.stdout)
    return found


def measure(frame: pd.DataFrame, formula: str) -> Measured:
    """CPU seconds of the fit and of both kinds of tests, degrees of freedom, memory."""
    hglm.fit(formula, frame[frame["g"] < WARM_UP]).coefficients()  # imports, first calls
    start = time.process_time()
    fit = hglm.fit(formula, frame)
    out: Measured = {"fit_s": time.process_time() - start}
    for ddf in ("satterthwaite", "kenward-roger"):
        start = time.process_time()
        table = fit.coefficients(ddf)
        name = ddf.replace("-", "_")
        out |= {f"{name}_s": time.process_time() - start, f"{name}_df": float(table["df"].iloc[1])}
    return {**out, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0}


def as_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Show the measurements, one line a size and program."""
    columns = {
        "fit_s": "fit, s",
        "satterthwaite_s": "Satterthwaite, s",
        "kenward_roger_s": "Kenward-Roger, s",
        "satterthwaite_df": "df of x, Satterthwaite",
        "kenward_roger_df": "df of x, Kenward-Roger",
        "peak_mb": "peak memory, MB",
    }
    out = table[["structure"]].copy()
    out["rows"], out["program"] = table["rows"].map("{:,}".format), table["program"]
    for name, title in columns.items():
        digits = {"s": "{:.3f}", "f": "{:.4f}", "b": "{:.0f}"}[name[-1]]
        out[title] = table[name].map(digits.format, na_action="ignore")
    if "failure" in table:
        out["failure"] = table["failure"]
    return out.fillna("")


if __name__ == "__main__":
    main()
