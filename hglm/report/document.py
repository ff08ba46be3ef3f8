"""What a report says, before anything decides how it looks: plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from hglm.report.formats import Format

__all__ = ["Document", "Fact", "Table"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a heading: what, and its value."""

    label: str
    value: str
    code: bool = False
    """Whether the value is something typed, such as a formula."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A frame to be shown.

    An index that says something (not 0, 1, 2, ...) becomes leading columns.
    """

    frame: pd.DataFrame
    caption: str = ""
    formats: Mapping[str, Format] = field(default_factory=dict)
    """Column -> format, where it is not that of `hglm.report.columns`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Column -> heading, likewise."""
    notes: tuple[str, ...] = ()
    """Sentences below the table."""


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A report: title, facts, tables and notes, in this order."""

    title: str = ""
    facts: tuple[Fact, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
