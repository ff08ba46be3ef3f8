"""Results as Markdown: one table a workload, and the targets with what was reached."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from catalogue import AtMost, Measure, Times, Workload
from runner import Record

COMPARABLE = ("reml", "ml", "laplace")
OBJECTIVE_TOLERANCE = 1e-6
COLUMNS = (
    "engine",
    "criterion",
    "objective",
    "above best known",
    "CPU s",
    "of it design",
    "first fit",
    "CPU, times hglm",
    "peak MB (above data)",
    "peak, times hglm",
)
UNITS = {"cpu_s": "CPU", "peak_mb": "peak memory", "added_mb": "memory added by the fit"}
Best = dict[str, dict[str, dict[str, float | str]]]


def best_known(records: Iterable[Record], known: Best | None = None) -> Best:
    """Return, by workload and criterion, the lowest objective and who reached it."""
    best: Best = {name: dict(criteria) for name, criteria in (known or {}).items()}
    for record in records:
        if record["status"] != "ok" or record["criterion"] not in COMPARABLE:
            continue
        criteria = best.setdefault(record["workload"], {})
        held = criteria.get(record["criterion"])
        if held is None or record["objective"] < float(held["objective"]):
            criteria[record["criterion"]] = {
                "objective": record["objective"],
                "engine": record["engine"],
                "version": record["version"],
            }
    return best


def gap(record: Record, best: Best) -> float | None:
    """Return how far the objective is above the best known by the same criterion."""
    held = best.get(record["workload"], {}).get(record["criterion"])
    return None if held is None else record["objective"] - float(held["objective"])


def overview(
    workloads: Sequence[Workload], records: Sequence[Record], measure: Measure, best: Best
) -> str:
    """Return one line a workload and one column an engine; * marks a missed optimum."""
    shown = {workload.name for workload in workloads}
    idle = {"null"} if measure == "cpu_s" else set()
    found = (record["engine"] for record in records if record["workload"] in shown)
    names = [name for name in dict.fromkeys(found) if name not in idle]
    lines = ["| workload | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for workload in workloads:
        row = {r["engine"]: r for r in records if r["workload"] == workload.name}
        cells = [brief(row.get(name), measure, best) for name in names]
        lines.append(f"| {workload.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def brief(record: Record | None, measure: Measure, best: Best) -> str:
    """Return one measure of one record."""
    if record is None or record["status"] == "unsupported":
        return "–"
    if record["status"] != "ok":
        return str(record["status"])
    above = gap(record, best)
    mark = "*" if above is not None and above > OBJECTIVE_TOLERANCE else ""
    return (seconds(record[measure]) if measure == "cpu_s" else f"{record[measure]:.0f}") + mark


def workload_table(workload: Workload, records: Sequence[Record], best: Best) -> str:
    """Return the rows of one workload: objective, gap, times, memory and ratios to hglm."""
    own = next((r for r in records if r["engine"] == "hglm" and r["status"] == "ok"), None)
    lines = [
        f"## {workload.name}",
        "",
        f"{workload.structure[0].upper()}{workload.structure[1:]}. `{workload.formula}`",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
    ]
    lines += [full(record, own, best) for record in records if record["engine"] != "null"]
    return "\n".join(lines)


def full(record: Record, own: Record | None, best: Best) -> str:
    """Return one engine's line."""
    if record["status"] != "ok":
        return f"| {record['engine']} | {record['status']}: {record['message']} |" + " |" * (
            len(COLUMNS) - 2
        )
    above = gap(record, best)
    memory = f"{record['peak_mb']:.0f} ({record['peak_mb'] - record['baseline_mb']:.0f})"
    cells = [
        f"{record['engine']} {record['version']}",
        record["criterion"] + ("" if record["converged"] is not False else ", not converged"),
        f"{record['objective']:.6f}",
        "" if above is None else f"{above:.1e}" if above >= OBJECTIVE_TOLERANCE else "0",
        seconds(record["cpu_s"]),
        "" if record["design_s"] is None else seconds(record["design_s"]),
        seconds(record["first_cpu_s"]),
        ratio(record, own, "cpu_s"),
        memory,
        ratio(record, own, "peak_mb"),
    ]
    return "| " + " | ".join(cells) + " |"


def seconds(value: float) -> str:
    """Return seconds with three significant digits."""
    digits = 2 - math.floor(math.log10(value)) if value > 0 else 4
    return f"{value:.{max(0, min(digits, 5))}f}"


def ratio(record: Record, own: Record | None, measure: str) -> str:
    """Return a measure as a multiple of hglm's."""
    return "" if own is None else f"{record[measure] / own[measure]:.2f}"


def targets_table(workloads: Iterable[Workload], records: Sequence[Record], best: Best) -> str:
    """Return every target with the figure reached and whether it is met."""
    found = {(r["workload"], r["engine"]): r for r in records if r["status"] == "ok"}
    lines = ["| workload | target | reached | met |", "|---|---|---|---|"]
    for workload in workloads:
        own = found.get((workload.name, "hglm"))
        if own is None:
            continue
        above = gap(own, best)
        if above is not None:
            met = above <= OBJECTIVE_TOLERANCE
            lines.append(line(workload, "objective at the best known", f"{above:+.1e}", met))
        lines += [assess(workload, target, own, found) for target in workload.targets]
    return "\n".join(lines)


def assess(
    workload: Workload,
    target: AtMost | Times,
    own: Record,
    found: Mapping[tuple[str, str], Record],
) -> str:
    """Return the line of one target."""
    unit = UNITS[target.measure]
    reached = amount(own, target.measure)
    if isinstance(target, AtMost):
        met = reached <= target.value
        return line(workload, f"{unit} at most {target.value:g}", f"{reached:.3g}", met)
    other = found.get((target.workload or workload.name, target.engine))
    factor = float("nan") if other is None else amount(other, target.measure) / reached
    met = None if other is None else factor >= target.factor
    if target.workload is not None:
        wording = f"{unit} at most {1 / target.factor:.3g} times that on {target.workload}"
        return line(workload, wording, f"{1 / factor:.3g}", met)
    times = "less" if target.factor == 1 else f"{target.factor:g} times less"
    wording = f"{unit} {times} than {target.engine}"
    return line(workload, wording, "not run" if other is None else f"{factor:.3g} times", met)


def amount(record: Record, measure: Measure) -> float:
    """Return one measure of a record."""
    if measure == "added_mb":
        return float(record["peak_mb"] - record["baseline_mb"])
    return float(record[measure])


def line(workload: Workload, target: str, reached: str, met: bool | None) -> str:
    """Return one line of the targets' table."""
    verdict = {True: "yes", False: "**no**", None: ""}[met]
    return f"| {workload.name} | {target} | {reached} | {verdict} |"
