"""Run the benchmarks: every engine on every workload, interleaved, and tabulate.

    python benchmarks/run.py --suite lmm
    python benchmarks/run.py --workloads sleepstudy slope_1e5 --engines hglm lme4 --repeats 5

Each engine runs in processes of its own. The first makes one fit and gives the peak memory;
then ``--repeats`` rounds follow, in each of which every engine has its turn, so that what else
the machine does falls on all alike. Fits of more than ``--once`` seconds are run once.
Progress goes to standard error. A whole suite with results in their usual place is tabulated in
``README.md`` and, a table a workload, in ``results/SUITE.md``; else tables go to standard output.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from catalogue import Workload
from registry import ENGINES, Engine, Interpreters
from runner import Record, cpu_seconds, fits_in_batch, probe, run, summarise
from tables import Best, best_known, overview, targets_table, workload_table
from workloads import CATALOGUE, GLMMS, LMMS

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent / "README.md"
SUITES = {"lmm": LMMS, "glmm": GLMMS}
TITLES = {
    "lmm": "Linear mixed models: every workload",
    "glmm": "Generalised linear mixed models: every workload",
}


def main() -> None:
    """Run, save and print."""
    options = parse_arguments()
    chosen = [CATALOGUE[name] for name in options.workloads] or list(SUITES[options.suite])
    interpreters = Interpreters(peer=options.peer_python, rscript=options.rscript)
    engines = [] if options.tabulate else available(options.engines, interpreters)
    records = load(options.out)
    for workload in chosen if engines else ():
        fresh = compare(workload, engines, interpreters, options)
        replaced = {(record["workload"], record["engine"]) for record in fresh}
        records = [r for r in records if (r["workload"], r["engine"]) not in replaced] + fresh
        save(options.out, records)
    best = everyone(records)
    if options.workloads or options.out != RESULTS / f"{options.suite}.json":
        sys.stdout.write(f"{overviews(chosen, records, best)}\n\n")
        sys.stdout.write(f"{details(chosen, records, best)}\n")
        return
    page = RESULTS / f"{options.suite}.md"
    page.write_text(f"# {TITLES[options.suite]}\n\n{details(chosen, records, best)}\n")
    README.write_text(
        between(README.read_text(), options.suite, overviews(chosen, records, best, level=4))
    )


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--suite", choices=sorted(SUITES), default="lmm")
    parser.add_argument("--workloads", nargs="+", default=[], choices=list(CATALOGUE))
    names = [engine.name for engine in ENGINES]
    parser.add_argument("--engines", nargs="+", default=names, choices=names)
    parser.add_argument("--repeats", type=int, default=5, help="timing rounds (default 5)")
    parser.add_argument("--once", type=float, default=20.0, help="longer fits run once (s)")
    parser.add_argument("--limit", type=float, default=1800.0, help="time limit of a process (s)")
    parser.add_argument("--out", type=Path, help="JSON file, added to (default results/SUITE.json)")
    parser.add_argument("--peer-python", default=sys.executable, help="Python with the peers")
    parser.add_argument("--rscript", default="Rscript")
    parser.add_argument("--tabulate", action="store_true", help="run nothing, make the tables")
    options = parser.parse_args()
    options.out = options.out or RESULTS / f"{options.suite}.json"
    return options


def available(names: Sequence[str], interpreters: Interpreters) -> list[Engine]:
    """Return the engines that are installed; name those that are not."""
    found = []
    for engine in ENGINES:
        if engine.name not in names:
            continue
        version = probe(engine, interpreters)
        say(f"{engine.name}: {version or 'not installed, left out'}")
        if version:
            found.append(engine)
    return found


def compare(
    workload: Workload,
    engines: Sequence[Engine],
    interpreters: Interpreters,
    options: argparse.Namespace,
) -> list[Record]:
    """Run all engines on one workload, interleaved over the rounds."""
    able = [engine for engine in engines if workload.method in engine.methods]
    processes: dict[str, list[Record]] = {}
    for engine in able:
        first = run(workload, engine, interpreters, 1, options.limit)
        processes[engine.name] = [first]
        say(f"{workload.name:24s} {engine.name:14s} {outline(first)}")
    for _ in range(options.repeats):
        for engine in able:
            first = processes[engine.name][0]
            if first["status"] != "ok" or cpu_seconds(first) > options.once:
                continue
            fits = fits_in_batch(first)
            processes[engine.name].append(run(workload, engine, interpreters, fits, options.limit))
    return [summarise(records) for records in processes.values()]


def outline(record: Record) -> str:
    """Return a record in a few words."""
    if record["status"] != "ok":
        return f"{record['status']}: {record['message']}"
    return (
        f"{cpu_seconds(record):9.3f} s  {record['peak_mb']:7.0f} MB  "
        f"{record['criterion']} {record['objective']:.6f}"
    )


def load(path: Path) -> list[Record]:
    """Return the records of an earlier run, if there are any."""
    if not path.exists():
        return []
    records: list[Record] = json.loads(path.read_text())["records"]
    return records


def save(path: Path, records: list[Record]) -> None:
    """Write the records and the best known objectives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    workloads, engines = list(CATALOGUE), [engine.name for engine in ENGINES]
    records = sorted(
        records,
        key=lambda record: (
            workloads.index(record["workload"]),
            engines.index(record["engine"]),
        ),
    )
    content = {"best_known": everyone(records), "records": records}
    path.write_text(json.dumps(content, indent=1) + "\n")


def everyone(records: list[Record]) -> Best:
    """Return the best known objectives of these records and of every stored run."""
    best: Best = {}
    for path in sorted(RESULTS.glob("*.json")):
        best = best_known(load(path), best)
    return best_known(records, best)


def overviews(
    workloads: Sequence[Workload], records: list[Record], best: Best, level: int = 2
) -> str:
    """Return what all engines needed for all workloads, and the targets."""
    head = "#" * level
    blocks = [
        f"{head} CPU seconds\n\n" + overview(workloads, records, "cpu_s", best),
        f"{head} Peak memory, MB\n\n" + overview(workloads, records, "peak_mb", best),
        f"{head} Targets\n\n" + targets_table(workloads, records, best),
    ]
    return "\n\n".join(blocks)


def details(workloads: Sequence[Workload], records: list[Record], best: Best) -> str:
    """Return a table a workload."""
    rows = {w.name: [r for r in records if r["workload"] == w.name] for w in workloads}
    return "\n\n".join(workload_table(w, rows[w.name], best) for w in workloads if rows[w.name])


def between(text: str, name: str, new: str) -> str:
    """Replace what stands between the two comments of this name."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{new}\n\n{end}{after}"


def say(message: str) -> None:
    """Report progress."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
