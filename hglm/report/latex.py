r"""Documents as LaTeX: tables drawn by the package booktabs.

`\usepackage{booktabs}` in the preamble is all they need.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hglm.report.document import Document, Fact, Table
from hglm.report.grid import Grid, lay_out

__all__ = ["to_latex"]

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
NEEDS_MATHS = re.compile(r"[-<\\]")
POWER = re.compile(r"e([+-])0*(\d+)$")


def to_latex(document: Document) -> str:
    """Render a document as LaTeX, to stand within a text."""
    blocks = [
        rf"\paragraph{{{_escaped(document.title)}}}" if document.title else "",
        "\\\\\n".join(map(_fact, document.facts)),
        *map(_table, document.tables),
        _notes(document.notes),
    ]
    return "\n\n".join(filter(None, blocks))


def _fact(fact: Fact) -> str:
    value = _escaped(fact.value)
    return f"{_escaped(fact.label)}: " + (rf"\texttt{{{value}}}" if fact.code else value)


def _table(table: Table) -> str:
    """Draw a table, floating if it has a caption."""
    grid = lay_out(table)
    layout = "".join("r" if number else "l" for number in grid.numeric)
    tabular = [
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        _row(_escaped(cell) for cell in grid.header),
        r"\midrule",
        *(_row(_cells(row, grid)) for row in grid.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip{{\footnotesize {_escaped(note)}\par}}" for note in table.notes),
    ]
    if not table.caption:
        return "\n".join([r"\begin{center}", *tabular, r"\end{center}"])
    caption = rf"\caption{{{_escaped(table.caption)}}}\smallskip"
    return "\n".join([r"\begin{table}[htbp]", r"\centering", caption, *tabular, r"\end{table}"])


def _row(cells: Iterable[str]) -> str:
    line = " & ".join(cells)
    guard = "{}" if line.startswith(("[", "*")) else ""  # or the \\ above would swallow it
    return f"{guard}{line} \\\\"


def _cells(row: Iterable[str], grid: Grid) -> Iterable[str]:
    for cell, is_number in zip(row, grid.numeric, strict=True):
        yield _number(cell) if is_number else _escaped(cell)


def _number(cell: str) -> str:
    """Typeset a number: signs, inequalities and powers of ten need mathematics."""
    symbols = POWER.sub(_power, cell).replace("inf", r"\infty")
    return f"${symbols}$" if NEEDS_MATHS.search(symbols) else symbols


def _power(match: re.Match[str]) -> str:
    sign = match[1].replace("+", "")
    return rf" \times 10^{{{sign}{match[2]}}}"


def _notes(notes: Iterable[str]) -> str:
    items = "\n".join(rf"\item {_escaped(note)}" for note in notes)
    return f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}" if items else ""


def _escaped(text: str) -> str:
    return "".join(SPECIAL.get(character, character) for character in text)
