"""Documents as Markdown, with the tables of GitHub's dialect."""

from __future__ import annotations

import re

from hglm.report.document import Document, Fact, Table
from hglm.report.grid import Grid, lay_out

__all__ = ["to_markdown"]

SPECIAL = re.compile(r"[\\`*_|]|<(?=[A-Za-z/!?])|(?<=])[(]")
"""What could mean something; brackets only where they would make a link."""
RULE = {True: "---:", False: ":---"}


def to_markdown(document: Document) -> str:
    """Render a document as Markdown."""
    blocks = [
        f"**{_escaped(document.title)}**" if document.title else "",
        "\n".join(map(_fact, document.facts)),
        *map(_table, document.tables),
        "\n".join(f"- {_escaped(note)}" for note in document.notes),
    ]
    return "\n\n".join(filter(None, blocks))


def _fact(fact: Fact) -> str:
    return f"- {_escaped(fact.label)}: {_code(fact.value) if fact.code else _escaped(fact.value)}"


def _code(text: str) -> str:
    """Fence with more backticks than the text has in a row."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"{fence}{text}{fence}"


def _table(table: Table) -> str:
    blocks = [
        f"*{_escaped(table.caption)}*" if table.caption else "",
        _grid(lay_out(table)),
        *map(_escaped, table.notes),
    ]
    return "\n\n".join(filter(None, blocks))


def _grid(grid: Grid) -> str:
    header, *rows = [list(map(_escaped, row)) for row in (grid.header, *grid.rows)]
    rules = [RULE[is_number] for is_number in grid.numeric]
    widths = [max(map(len, column)) for column in zip(header, rules, *rows, strict=True)]
    padded = (
        (
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, grid.numeric, strict=True)
        )
        for row in (header, [_stretched(r, w) for r, w in zip(rules, widths, strict=True)], *rows)
    )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in padded)


def _stretched(rule: str, width: int) -> str:
    return rule.replace("---", "-" * (width - 1))


def _escaped(text: str) -> str:
    return SPECIAL.sub(lambda match: "\\" + match[0], text)
