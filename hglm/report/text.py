"""Documents as plain text of about 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from hglm.report.document import Document, Fact, Table
from hglm.report.grid import Grid, lay_out

__all__ = ["to_text"]

GAP = "  "
SLACK = 20
"""How far a table may run over the width before its columns are broken up."""


def to_text(document: Document, width: int = 80) -> str:
    """Render a document as aligned text.

    Parameters
    ----------
    document
        What to show.
    width
        Columns to fill; a table may be somewhat wider, one much wider continues
        below with its labels repeated.
    """
    blocks = [
        document.title,
        _facts(document.facts, width),
        *(_table(table, width) for table in document.tables),
        "\n".join(_wrapped(note, width, "- ") for note in document.notes),
    ]
    return "\n\n".join(block for block in blocks if block)


def _facts(facts: Sequence[Fact], width: int) -> str:
    indent = max((len(fact.label) for fact in facts), default=0) + len(": ")
    return "\n".join(_wrapped(fact.value, width, f"{fact.label}: ".ljust(indent)) for fact in facts)


def _table(table: Table, width: int) -> str:
    blocks = _blocks(lay_out(table), width + SLACK)
    notes = [_wrapped(note, width) for note in table.notes]
    return "\n".join([*([table.caption] if table.caption else []), "\n\n".join(blocks), *notes])


def _blocks(grid: Grid, limit: int) -> list[str]:
    """Draw a grid, in several pieces where it is too wide."""
    columns = [_column(grid, j) for j in range(len(grid.header))]
    stub, rest = columns[: grid.stub], columns[grid.stub :]
    pieces: list[list[list[str]]] = [[*stub]]
    for column in rest:
        if len(pieces[-1]) > len(stub) and _width([*pieces[-1], column]) > limit:
            pieces.append([*stub])
        pieces[-1].append(column)
    return [_drawn(piece) for piece in pieces]


def _column(grid: Grid, j: int) -> list[str]:
    """Header and cells of a column, padded to one width."""
    cells = [row[j] for row in grid.rows]
    if not grid.numeric[j]:
        width = max(map(len, [grid.header[j], *cells]))
        return [cell.ljust(width) for cell in [grid.header[j], *cells]]
    tail = max((len(cell) - _point(cell) for cell in cells), default=0)
    aligned = [cell + " " * (tail - len(cell) + _point(cell)) for cell in cells]
    width = max(map(len, [grid.header[j], *aligned]))
    return [cell.rjust(width) for cell in [grid.header[j], *aligned]]


def _point(cell: str) -> int:
    """Position of the decimal point, or where it would be."""
    mantissa = cell.partition("e")[0] if cell[-1:].isdigit() else cell
    return len(mantissa.partition(".")[0])


def _width(columns: Sequence[Sequence[str]]) -> int:
    return sum(len(column[0]) for column in columns) + len(GAP) * (len(columns) - 1)


def _drawn(columns: Sequence[Sequence[str]]) -> str:
    lines = [GAP.join(cells).rstrip() for cells in zip(*columns, strict=True)]
    return "\n".join([*lines[:1], "-" * _width(columns), *lines[1:]])


def _wrapped(text: str, width: int, lead: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )
