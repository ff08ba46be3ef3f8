"""A fit as plain text. The only place where numbers become strings."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import pandas as pd

__all__ = ["render"]

_ROWS = 12


def render(
    title: str,
    facts: Sequence[str],
    sections: Sequence[tuple[str, pd.DataFrame]],
    notes: Sequence[str],
) -> str:
    """Write a title, lines of facts, headed tables (long ones cut) and notes."""
    parts = ["\n".join([title, "=" * len(title)]), "\n".join(facts)]
    parts.extend(f"{heading}\n{_text(table)}" for heading, table in sections if len(table))
    parts.extend(textwrap.fill(f"Note: {note}", 80) for note in notes)
    return "\n\n".join(parts)


def _text(frame: pd.DataFrame) -> str:
    body = frame.head(_ROWS).to_string(index=False, float_format=lambda x: f"{x:.4g}", na_rep="")
    more = len(frame) - _ROWS
    return f"{body}\n... {more} more rows" if more > 0 else body
