"""The shell command: `hglm fit FORMULA FILE`, `hglm datasets`.

Exit codes: 0 done, 1 the model or the data cannot be used, 2 wrong usage,
3 fitted but not converged (the result is printed all the same).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from hglm.datasets import describe_dataset, list_datasets, load_dataset
from hglm.errors import DataError, HglmError, OptionError
from hglm.inference.contrasts import AnovaType
from hglm.measurement import MeasurementFit
from hglm.model import fit as fit_model
from hglm.report import anova_report, frame_records, render, to_json
from hglm.report.coefficients import default_ddf
from hglm.report.render import RENDERERS
from hglm.result import Fit

__all__ = ["main"]

OK, FAILED, NOT_CONVERGED = 0, 1, 3
DEFAULT_TYPE: AnovaType = 3

COLUMN_OPTIONS = {
    "weights": "precision weights",
    "frequencies": "number of identical observations in a row",
    "trials": "binomial trials behind a proportion",
    "offset": "offset of the linear predictor",
}
COMPRESSED = (".gz", ".bz2", ".xz", ".zip", ".zst")
READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": pd.read_csv,
    ".tsv": lambda path: pd.read_csv(path, sep="\t"),
    ".parquet": pd.read_parquet,
}
"""Suffix of a file, without that of its compression -> how to read it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Parameters
    ----------
    arguments
        Those of the command line by default.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that a terminal lacks is no error
            stream.reconfigure(errors="backslashreplace")
    parsed = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = run(parsed)
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (HglmError, OSError) as error:
        print(f"hglm: error: {error}", file=sys.stderr)
        return FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hglm", description="Mixed-effects models.")
    parser.add_argument("--version", action="version", version=f"hglm {version('hglm')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_fit(commands.add_parser("fit", help="fit a model and print its summary"))
    datasets = commands.add_parser("datasets", help="list the shipped data sets, or describe one")
    datasets.add_argument("name", nargs="?", metavar="NAME", help="data set to describe")
    datasets.set_defaults(run=_datasets)
    return parser


def _add_fit(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    parser.description = "Fit a model and print its summary."
    add("formula", metavar="FORMULA", help='such as "reaction ~ days + (days | subject)"')
    add("file", metavar="FILE", help="CSV (.csv, .csv.gz), .tsv or .parquet, or a shipped data set")
    add("--family", default="gaussian", help="gaussian (default), binomial, poisson, ...")
    add("--link", help="link of the mean; the family's default if not given")
    add("--ml", action="store_true", help="maximum likelihood in place of REML")
    for name, meaning in COLUMN_OPTIONS.items():
        add(f"--{name}", metavar="COL", help=f"column with {meaning}")
    add("--anova", action="store_true", help="add F tests of the terms")
    add("--type", type=int, choices=(1, 2, 3), help="type of these tests (default 3)")
    add("--ddf", help="degrees of freedom: satterthwaite (default), kenward-roger, asymptotic")
    add("--ranef", metavar="FILE", type=Path, help="write the random effects to a CSV file")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON object")
    output.add_argument("--output", choices=list(RENDERERS), default="text", help="default: text")
    parser.set_defaults(run=_fit, usage_error=parser.error)


def _fit(options: argparse.Namespace) -> int:
    if options.type is not None and not options.anova:
        options.usage_error("--type says which tests --anova makes; give --anova too")
    model = fit_model(
        options.formula,
        _read(options.file),
        options.family,
        link=options.link,
        method="ml" if options.ml else None,
        **{name: getattr(options, name) for name in COLUMN_OPTIONS},
    )
    if isinstance(model, MeasurementFit):
        print(_measurement_report(model, options))
    else:
        print(_as_json(model, options) if options.json else _as_report(model, options))
    if options.ranef is not None:
        model.ranef().to_csv(options.ranef, index=False)
    if model.certificate.converged:
        return OK
    print(f"hglm: warning: {model.certificate.message}", file=sys.stderr)
    return NOT_CONVERGED


def _measurement_report(model: MeasurementFit, options: argparse.Namespace) -> str:
    if options.json or options.anova:
        raise OptionError(
            "A model with `me(...)` has no F tests and no JSON; leave out --anova and --json."
        )
    return render(model.summary(), options.output)


def _as_report(model: Fit, options: argparse.Namespace) -> str:
    shown = [model.summary(options.ddf)]
    if options.anova:
        kind = _anova_type(options)
        tests = model.anova(kind, options.ddf)
        shown.append(anova_report(tests, kind, options.ddf or default_ddf(model.estimates)))
    return "\n\n".join(render(report, options.output) for report in shown)


def _as_json(model: Fit, options: argparse.Namespace) -> str:
    record = json.loads(model.to_json())
    record["coefficients"] = frame_records(model.coefficients(options.ddf))
    if options.anova:
        record["anova"] = frame_records(model.anova(_anova_type(options), options.ddf))
    return to_json(record)


def _anova_type(options: argparse.Namespace) -> AnovaType:
    kind: AnovaType = options.type or DEFAULT_TYPE
    return kind


def _datasets(options: argparse.Namespace) -> int:
    if options.name is None:
        print(render(list_datasets().drop(columns="source")))
    else:
        print(describe_dataset(options.name))
    return OK


def _read(name: str) -> pd.DataFrame:
    """Read a file, or the shipped data set of that name where there is no such file."""
    path = Path(name)
    if not path.is_file():
        return _shipped(name)
    plain = path.with_suffix("") if path.suffix in COMPRESSED else path
    reader = READERS.get(plain.suffix.lower())
    if reader is None:
        raise DataError(
            f"{name} is of no kind that can be read: save it as {', '.join(READERS)} "
            "(a compressed .csv.gz will do)."
        )
    try:
        return reader(path)
    except ImportError:
        raise DataError(f"Reading {name} needs pyarrow: pip install pyarrow.") from None
    except (ValueError, OSError) as error:
        cause = " ".join(str(error).split())
        raise DataError(f"{name} cannot be read as {plain.suffix[1:]}: {cause}") from error


def _shipped(name: str) -> pd.DataFrame:
    if Path(name).suffix or Path(name).name != name:
        raise DataError(f"There is no file {name!r}; check its path.")
    try:
        return load_dataset(name)
    except OptionError as error:
        raise DataError(f"{error} Nor is there a file {name!r}.") from None


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"hglm: warning: {message}", file=sys.stderr)
