"""What every Python engine shares: read the task, measure the fits, print one JSON line.

An engine is run as ``python ENGINE.py --task FILE --fits N`` in a process of its own. It reads
the data, then times N fits, each from data frame to finished fit; imports and file reading are
not counted. The peak of the resident memory is reset after the data are read, so it belongs to
the fits alone. ``--probe`` prints the version and does nothing else.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd


class UnsupportedError(Exception):
    """The engine cannot fit this model; the message says why."""


@dataclass(frozen=True, slots=True)
class Term:
    """One random-effects term: columns beside the intercept, all correlated."""

    group: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One workload as an engine sees it."""

    workload: str
    data: str
    formula: str
    formula_r: str
    response: str
    fixed: str
    terms: tuple[Term, ...]
    family: str
    link: str
    method: str
    zero_inflation: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished fit says of itself.

    ``criterion`` names what ``objective`` is -2 times the log of: "reml", "ml", "laplace", or
    another name where the engine's number is not comparable with these.
    """

    objective: float
    criterion: str
    converged: bool | None = None


Fit = Callable[[], Outcome]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A fit ready to be timed, and the part up to the design alone where it can be separated."""

    fit: Fit
    design: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """Times of each fit and memory of them all."""

    outcome: Outcome
    cpu_s: list[float]
    wall_s: list[float]
    baseline_mb: float
    peak_mb: float


def serve(package: str, prepare: Callable[[Task, pd.DataFrame], Prepared]) -> None:
    """Run an engine from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--probe", action="store_true")
    parser.add_argument("--task", type=Path)
    parser.add_argument("--fits", type=int, default=1)
    arguments = parser.parse_args()
    report: dict[str, Any] = {"version": importlib.metadata.version(package)}
    if not arguments.probe:
        warnings.simplefilter("ignore")
        task = read_task(arguments.task)
        try:
            prepared = prepare(task, read_frame(Path(task.data)))
            report |= flat(measure(prepared.fit, arguments.fits))
            report |= {"status": "ok", "design_s": design_seconds(prepared, arguments.fits)}
        except UnsupportedError as reason:
            report |= {"status": "unsupported", "message": str(reason)}
    sys.stdout.write("\n" + json.dumps(report) + "\n")


def read_task(path: Path) -> Task:
    """Read the task file written by the runner."""
    fields = json.loads(path.read_text())
    terms = tuple(Term(term["group"], tuple(term["columns"])) for term in fields.pop("terms"))
    return Task(terms=terms, **fields)


def read_frame(path: Path) -> pd.DataFrame:
    """Read the CSV with its categorical columns."""
    frame = pd.read_csv(path, float_precision="round_trip")
    factors: Mapping[str, list[str] | None] = json.loads(path.with_suffix(".json").read_text())
    for name, levels in factors.items():
        if levels is None:
            frame[name] = frame[name].astype("category")
        else:
            frame[name] = pd.Categorical(frame[name].astype(str), categories=levels)
    return frame


def measure(fit: Fit, fits: int) -> Measurement:
    """Time ``fits`` fits one after another and note the memory they needed."""
    gc.collect()
    reset_peak()
    baseline = resident_mb("VmRSS")
    cpu, wall = [], []
    for _ in range(fits):
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        outcome = fit()
        cpu.append(time.process_time() - cpu_start)
        wall.append(time.perf_counter() - wall_start)
    return Measurement(outcome, cpu, wall, baseline, resident_mb("VmHWM"))


def design_seconds(prepared: Prepared, fits: int) -> float | None:
    """Return the CPU seconds from frame to design, the least of ``fits`` runs."""
    if prepared.design is None:
        return None
    seconds = []
    for _ in range(fits):
        start = time.process_time()
        prepared.design()
        seconds.append(time.process_time() - start)
    return min(seconds)


def flat(measurement: Measurement) -> dict[str, Any]:
    """Return the measurement as one dictionary with the outcome's fields among its own."""
    fields = asdict(measurement)
    return fields.pop("outcome") | fields


def reset_peak() -> None:
    """Set the kernel's record of the peak resident memory back to the present (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def resident_mb(key: str) -> float:
    """Return VmRSS or VmHWM of this process in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return float("nan")


def one_factor(task: Task) -> Term:
    """Return the only random-effects term of a Gaussian model, or refuse."""
    if task.method == "laplace":
        raise UnsupportedError("no generalised models")
    if len(task.terms) > 1:
        raise UnsupportedError("one grouping factor only")
    return task.terms[0]
