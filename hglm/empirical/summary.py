"""A fit on one page, through the renderers that all reports share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from hglm.report import Document, Fact, Report, Table

__all__ = ["summary_report"]

ROWS = 12
"""Groups shown; the frame behind the table has them all."""


def summary_report(
    title: str,
    facts: Mapping[str, str],
    sections: Sequence[tuple[str, pd.DataFrame]],
    notes: Sequence[str],
) -> Report:
    """Write a title, facts, captioned tables (long ones cut) and notes."""
    tables = tuple(_table(caption, frame) for caption, frame in sections if len(frame))
    document = Document(
        title=title,
        facts=tuple(Fact(label, value, label == "Formula") for label, value in facts.items()),
        tables=tables,
        notes=tuple(notes),
    )
    return Report(document, dict(sections))


def _table(caption: str, frame: pd.DataFrame) -> Table:
    shown = frame.head(ROWS).dropna(axis="columns", how="all")
    more = len(frame) - ROWS
    return Table(shown, caption, notes=(f"... and {more} more rows.",) if more > 0 else ())
