"""From a table to a grid of finished cells: the last step all renderers share."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from hglm.report.columns import style_of
from hglm.report.document import Table

__all__ = ["Grid", "lay_out", "with_index"]


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells as text, unescaped."""

    header: tuple[str, ...]
    """(m,)"""
    rows: tuple[tuple[str, ...], ...]
    """n rows of m cells."""
    numeric: tuple[bool, ...]
    """(m,) whether a column lines up at the decimal point."""

    @property
    def stub(self) -> int:
        """Number of leading columns that label the rows."""
        return next((j for j, is_number in enumerate(self.numeric) if is_number), len(self.numeric))


def lay_out(table: Table) -> Grid:
    """Format every column of a table."""
    frame = with_index(table.frame)
    header, numeric, columns = [], [], []
    names = [str(label) for label in frame.columns]
    for position, name in enumerate(names):
        values = frame.iloc[:, position]
        style = style_of(name, values, names)
        form = table.formats.get(name, style.format)
        header.append(table.headers.get(name, style.header))
        numeric.append(form.numeric)
        columns.append(form.cells(values, frame))
    return Grid(tuple(header), tuple(zip(*columns, strict=True)), tuple(numeric))


def with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with an index of labels as its first columns."""
    if isinstance(frame.index, pd.RangeIndex):
        return frame
    names = ["" if name is None else name for name in frame.index.names]
    return frame.reset_index(names=names, allow_duplicates=True)
