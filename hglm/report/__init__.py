"""Reports: frames of results, and their rendering as text, HTML, LaTeX and Markdown."""

from __future__ import annotations

from hglm.report.document import Document, Fact, Table
from hglm.report.frames import (
    augment_frame,
    coefficient_frame,
    glance_frame,
    tidy_frame,
    varcorr_frame,
)
from hglm.report.record import fit_record, frame_records, to_json
from hglm.report.render import Report, anova_report, render, table_report
from hglm.report.summary import summarise

__all__ = [
    "Document",
    "Fact",
    "Report",
    "Table",
    "anova_report",
    "augment_frame",
    "coefficient_frame",
    "fit_record",
    "frame_records",
    "glance_frame",
    "render",
    "summarise",
    "table_report",
    "tidy_frame",
    "to_json",
    "varcorr_frame",
]
