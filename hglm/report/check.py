"""The checks of a fit as a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from hglm.inference.diagnostics.check import Finding
from hglm.report.document import Document, Table
from hglm.report.render import Report

__all__ = ["check_report"]

HEADERS = {"check": "Check", "verdict": "", "found": "Found"}


def check_report(findings: Sequence[Finding]) -> Report:
    """Write the findings down: a line each, and advice below.

    Parameters
    ----------
    findings
        From `hglm.inference.diagnostics.check.check`.
    """
    columns = ["check", "verdict", "found", "advice"]
    frame = pd.DataFrame([asdict(finding) for finding in findings], columns=columns)
    advice = [f"{f.check.capitalize()}: {f.advice}" for f in findings if f.advice]
    calls = int((frame["verdict"] == "attention").sum())
    outcome = {0: "nothing calls for attention", 1: "one check calls for attention"}
    title = f"Checks of the model: {outcome.get(calls, f'{calls} checks call for attention')}"
    table = Table(frame.drop(columns="advice"), headers=HEADERS)
    return Report(Document(title, tables=(table,), notes=tuple(advice)), {"checks": frame})
