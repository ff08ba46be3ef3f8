"""Run one engine on one workload in a process of its own, with one thread and a time limit."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from cache import data_file
from catalogue import Workload
from registry import Engine, Interpreters

Record = dict[str, Any]

THREAD_LIMITS = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)
BATCH_SECONDS = 2.0
MOST_FITS = 20


def probe(engine: Engine, interpreters: Interpreters) -> str | None:
    """Return the engine's version, or None where it does not start."""
    outcome = execute([*interpreters.command(engine), "--probe"], limit_s=120.0)
    return outcome.get("version") if "status" not in outcome else None


def run(
    workload: Workload, engine: Engine, interpreters: Interpreters, fits: int, limit_s: float
) -> Record:
    """Fit a workload ``fits`` times in one process; the record says what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        task = Path(folder) / "task.json"
        task.write_text(json.dumps(task_fields(workload)))
        command = [*interpreters.command(engine), "--task", str(task), "--fits", str(fits)]
        outcome = execute(command, limit_s)
    return {"workload": workload.name, "engine": engine.name, "fits": fits} | outcome


def task_fields(workload: Workload) -> dict[str, Any]:
    """Return what an engine needs to know of a workload."""
    return {
        "workload": workload.name,
        "data": str(data_file(workload)),
        "formula": workload.formula,
        "formula_r": workload.formula_r,
        "response": workload.response,
        "fixed": workload.fixed,
        "terms": [asdict(term) for term in workload.terms],
        "family": workload.family,
        "link": workload.link,
        "method": workload.method,
        "zero_inflation": workload.zero_inflation,
    }


def execute(command: list[str], limit_s: float) -> Record:
    """Run a command; return the JSON object on its last line, or a status with a message."""
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            env=os.environ | dict.fromkeys(THREAD_LIMITS, "1"),
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"status": "timeout", "message": f"stopped after {limit_s:.0f} s"}
    except FileNotFoundError as error:
        return {"status": "error", "message": str(error)}
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        said = [text.strip() for text in done.stderr.splitlines() if text.strip(" ^~\t")]
        return {"status": "error", "message": (said or [f"exit {done.returncode}"])[-1][-300:]}
    record: Record = json.loads(lines[-1])
    return record | {"process_s": time.perf_counter() - start}


def fits_in_batch(record: Record) -> int:
    """Return how many fits fill a timing process, from the time of the first."""
    return max(1, min(MOST_FITS, int(BATCH_SECONDS / max(cpu_seconds(record), 1e-3))))


def cpu_seconds(record: Record) -> float:
    """Return the median CPU seconds of the fits of a process."""
    return float(median(record["cpu_s"]))


def summarise(records: list[Record]) -> Record:
    """Merge the processes of one engine on one workload into one row.

    The first process makes one fit, so it gives the peak memory and the time of a first fit;
    the others give the median time. If no other was run the first gives that as well.
    """
    first = records[0]
    if first["status"] != "ok":
        return {
            key: first.get(key) for key in ("workload", "engine", "version", "status", "message")
        }
    finished = [record for record in records if record["status"] == "ok"]
    timed = finished[1:] or finished
    design = [record["design_s"] for record in timed if record.get("design_s") is not None]
    kept = ("workload", "engine", "version", "status", "objective", "criterion", "converged")
    return {key: first.get(key) for key in kept} | {
        "cpu_s": median(cpu_seconds(record) for record in timed),
        "wall_s": median(median(record["wall_s"]) for record in timed),
        "first_cpu_s": first["cpu_s"][0],
        "design_s": median(design) if design else None,
        "processes": len(timed),
        "fits": sum(record["fits"] for record in timed),
        "peak_mb": first["peak_mb"],
        "baseline_mb": first["baseline_mb"],
    }
