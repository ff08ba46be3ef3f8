"""Documents as HTML: plain tags with the little style that a bare page needs.

A notebook's own style sheet adds the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from hglm.report.document import Document, Fact, Table
from hglm.report.grid import lay_out

__all__ = ["to_html"]

TABLE = "border-collapse: collapse; margin: 0.5em 0"
CAPTION = "text-align: left; white-space: nowrap"
CELLS = {"th": "border-bottom: 1px solid; padding: 0.1em 0.6em", "td": "padding: 0.1em 0.6em"}
ALIGN = {True: "right", False: "left"}


def to_html(document: Document) -> str:
    """Render a document as HTML, to stand within a page."""
    parts = [
        f"<p><strong>{escape(document.title)}</strong></p>" if document.title else "",
        _facts(document.facts),
        *map(_table, document.tables),
        _notes(document.notes),
    ]
    return "\n".join(["<div>", *filter(None, parts), "</div>"])


def _facts(facts: Iterable[Fact]) -> str:
    lines = "<br>\n".join(f"{escape(fact.label)}: {_value(fact)}" for fact in facts)
    return f"<p>{lines}</p>" if lines else ""


def _value(fact: Fact) -> str:
    return f"<code>{escape(fact.value)}</code>" if fact.code else escape(fact.value)


def _table(table: Table) -> str:
    grid = lay_out(table)
    lines = [
        f'<table style="{TABLE}">',
        f'<caption style="{CAPTION}">{escape(table.caption)}</caption>' if table.caption else "",
        f"<thead>{_row(grid.header, grid.numeric, 'th')}</thead>",
        "<tbody>",
        *(_row(row, grid.numeric, "td") for row in grid.rows),
        "</tbody>",
        "</table>",
        *(f"<p><small>{escape(note)}</small></p>" for note in table.notes),
    ]
    return "\n".join(filter(None, lines))


def _row(cells: Iterable[str], numeric: Iterable[bool], tag: str) -> str:
    inner = "".join(
        f'<{tag} style="text-align: {ALIGN[right]}; {CELLS[tag]}">{escape(cell)}</{tag}>'
        for cell, right in zip(cells, numeric, strict=True)
    )
    return f"<tr>{inner}</tr>"


def _notes(notes: Iterable[str]) -> str:
    items = "\n".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<ul>\n{items}\n</ul>" if items else ""
