"""Parametric bootstraps beside lme4's `bootMer`: CPU seconds, and whether both say the same.

    python benchmarks/bootstrap.py --rounds 3 --write

Each round is one bootstrap of each model by each program, one after the other, every one in a
process of its own with one thread. The fit itself is not in the time. `hglm, any statistic` is
given a function of the fit, as `bootMer` is, and fits every replicate completely.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from runner import THREAD_LIMITS

import hglm

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "bootstrap.md"
MODELS = {
    "sleepstudy": ("reaction ~ days + (days | subject)", "gaussian", "ml"),
    "cbpp": ("cbind(incidence, size - incidence) ~ period + (1 | herd)", "binomial", None),
}
PROBABILITIES = (0.025, 0.5, 0.975)

Record = dict[str, Any]


def main() -> None:
    options = read_options()
    if options.one:
        print(json.dumps(bootstrap(options.one, options.n, options.seed, options.complete)))
        return
    text = "\n".join(report(options.n, options.rounds))
    print(text)
    if options.write:
        RESULTS.write_text(text + "\n", encoding="utf-8")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--n", type=int, default=1000, help="replicates")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--one", choices=MODELS, help="bootstrap one model by hglm; for itself")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--complete", action="store_true", help="with a function of the fit")
    return parser.parse_args()


def bootstrap(model: str, n: int, seed: int, complete: bool) -> Record:
    """Bootstrap one model by hglm in this process."""
    formula, family, method = MODELS[model]
    fit = hglm.fit(formula, hglm.load_dataset(model), family, method=method)
    names = fit.bootstrap(2, seed=seed).frame["term"].tolist()  # loads what is loaded late
    start = time.process_time()
    drawn = fit.bootstrap(n, seed=seed, statistic=parameters if complete else None)
    cpu_s = time.process_time() - start
    return {
        "cpu_s": cpu_s,
        "names": names,
        "estimate": drawn.frame["estimate"].tolist(),
        "replicates": drawn.replicates.to_numpy().tolist(),
        "failed": drawn.n_failed,
    }


def parameters(fit: hglm.Fit) -> list[float]:
    return [*fit.varcorr["sdcor"], *fit.params]


def report(n: int, rounds: int) -> list[str]:
    lines = [
        "# Parametric bootstraps beside lme4's bootMer",
        "",
        f"CPU seconds of {n} replicates in one thread, the fit not counted. Medians of {rounds}",
        "rounds in which every program has its turn: `python benchmarks/bootstrap.py --write`.",
        "`hglm` follows all parameters; `any statistic` is a function of the fit, as `bootMer` is",
        "given one, for which every replicate is fitted completely.",
        "",
    ]
    table = ["| model | hglm | hglm, any statistic | bootMer | bootMer / hglm | of each round |"]
    table.append("|" + "---|" * 6)
    details: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            data = Path(folder) / f"{model}.csv"
            hglm.load_dataset(model).to_csv(data, index=False)
            ours, whole, theirs = [], [], []
            for seed in range(1, rounds + 1):
                ours.append(by_hglm(model, n, seed))
                theirs.append(by_lme4(data, model, n, seed))
                whole.append(by_hglm(model, n, seed, complete=True))
            table.append(row(model, ours, whole, theirs))
            details += ["", *quantiles(model, ours, theirs)]
    return lines + table + details


def by_hglm(model: str, n: int, seed: int, complete: bool = False) -> Record:
    command = [sys.executable, __file__, "--one", model, "--n", str(n), "--seed", str(seed)]
    return execute([*command, *(["--complete"] if complete else [])])


def by_lme4(data: Path, model: str, n: int, seed: int) -> Record:
    return execute(["Rscript", str(HERE / "bootstrap.R"), str(data), model, str(n), str(seed)])


def execute(command: Sequence[str]) -> Record:
    environment = os.environ | dict.fromkeys(THREAD_LIMITS, "1")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    record: Record = json.loads(done.stdout)
    return record


def row(
    model: str, ours: Sequence[Record], whole: Sequence[Record], theirs: Sequence[Record]
) -> str:
    times = [[record["cpu_s"] for record in records] for records in (ours, whole, theirs)]
    a, b, c = map(median, times)
    ratios = [r / h for h, r in zip(times[0], times[2], strict=True)]
    each = ", ".join(f"{ratio:.0f}" for ratio in ratios)
    return f"| {model} | {a:.2f} | {b:.2f} | {c:.1f} | {median(ratios):.0f} | {each} |"


def quantiles(model: str, ours: Sequence[Record], theirs: Sequence[Record]) -> list[str]:
    """Compare percentiles, all rounds together, in units of the simulation's own error."""
    a, b = (np.concatenate([values(record) for record in part]) for part in (ours, theirs))
    names = ours[0]["names"]
    order = [match(x, ours[0]["estimate"]) for x in theirs[0]["estimate"]]
    b = b[:, np.argsort(order)]
    failed = [sum(record["failed"] for record in part) for part in (ours, theirs)]
    rows = []
    for j, name in enumerate(names):
        x, y = a[:, j][np.isfinite(a[:, j])], b[:, j][np.isfinite(b[:, j])]
        q, r = np.quantile(x, PROBABILITIES), np.quantile(y, PROBABILITIES)
        z = max(error(x, y, p) for p in PROBABILITIES)
        both = [f"{u:.4g} / {v:.4g}" for u, v in zip(q, r, strict=True)]
        rows.append([name.replace("|", "\\|"), *both, f"{z:.1f}"])
    heading = ["", *(f"{100 * p:g}%" for p in PROBABILITIES), "largest difference, in its errors"]
    return [
        f"## {model}",
        "",
        f"Percentiles, hglm / bootMer; {len(a)} replicates each, failed {failed[0]} / {failed[1]}.",
        "",
        *("| " + " | ".join(cells) + " |" for cells in [heading, ["---"] * len(heading), *rows]),
    ]


def values(record: Record) -> NDArray[np.float64]:
    return np.array(record["replicates"], dtype=np.float64)


def match(x: float, estimates: Sequence[float]) -> int:
    """Find the parameter that a program lists elsewhere."""
    return int(np.argmin(np.abs(np.array(estimates) - x)))


def error(x: NDArray[np.float64], y: NDArray[np.float64], p: float) -> float:
    """Difference of two sample quantiles over its standard error.

    As a rank, not on the scale of the parameter: the share of y below x's quantile is p but
    for √(p(1-p)(1/n + 1/m)). Where many y are equal to it, such as correlations of one, p may
    be anywhere among them.
    """
    q, near = np.quantile(x, p), 1e-4 * np.std(x)
    below, up_to = np.mean(y < q - near), np.mean(y <= q + near)
    away = max(below - p, p - up_to, 0.0)
    return float(away / np.sqrt(p * (1 - p) * (1 / len(x) + 1 / len(y))))


if __name__ == "__main__":
    main()
