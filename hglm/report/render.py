"""One document, four outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import pandas as pd

from hglm.errors import OptionError
from hglm.report.document import Document, Table
from hglm.report.html import to_html
from hglm.report.latex import to_latex
from hglm.report.markdown import to_markdown
from hglm.report.text import to_text
from hglm.report.wording import anova_title, df_note

__all__ = ["RENDERERS", "Report", "anova_report", "render", "table_report"]

RENDERERS: Mapping[str, Callable[[Document], str]] = {
    "text": to_text,
    "markdown": to_markdown,
    "html": to_html,
    "latex": to_latex,
}
"""Output -> renderer."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Report:
    """A document that shows itself: as text, in notebooks, in papers.

    Examples
    --------
    >>> import pandas as pd
    >>> report = table_report(pd.DataFrame({"term": ["days"], "F": [45.853], "p_value": [3e-6]}))
    >>> print(report)
    Term      F       p
    -------------------
    days  45.85  <0.001
    """

    document: Document
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """The numbers behind it, unrounded."""

    def __str__(self) -> str:
        return to_text(self.document)

    def __repr__(self) -> str:
        return to_text(self.document)

    def _repr_html_(self) -> str:
        return to_html(self.document)

    def to_html(self) -> str:
        """Render as HTML."""
        return to_html(self.document)

    def to_latex(self) -> str:
        """Render as LaTeX, for the package booktabs."""
        return to_latex(self.document)

    def to_markdown(self) -> str:
        """Render as Markdown."""
        return to_markdown(self.document)


def table_report(
    frame: pd.DataFrame, title: str = "", notes: Sequence[str] = (), caption: str = ""
) -> Report:
    """Make a report of one frame: an analysis of variance, a comparison, ...

    Parameters
    ----------
    frame
        Any frame; columns known to `hglm.report.columns` get their heading and format.
    title
        Of the whole.
    notes
        Sentences below the table.
    caption
        Of the table.
    """
    table = Table(frame, caption, notes=tuple(notes))
    return Report(Document(title, tables=(table,)), {"table": frame})


def anova_report(frame: pd.DataFrame, type: object = 3, ddf: str = "satterthwaite") -> Report:  # noqa: A002
    """Make a report of an analysis of variance.

    Parameters
    ----------
    frame
        From `hglm.inference.anova_table`.
    type, ddf
        What it was asked for.
    """
    return table_report(frame, notes=[df_note(ddf)], caption=anova_title(type))


def render(shown: Report | Document | pd.DataFrame, output: str = "text") -> str:
    """Render a report, a document or a frame.

    Parameters
    ----------
    shown
        What to render.
    output
        ``"text"``, ``"markdown"``, ``"html"`` or ``"latex"``.

    Raises
    ------
    OptionError
        If there is no such output.

    Examples
    --------
    >>> print(render(pd.DataFrame({"group": ["subject"], "std_dev": [24.74045]}), "markdown"))
    | Group   | Std. dev. |
    | :------ | --------: |
    | subject |     24.74 |
    """
    if output not in RENDERERS:
        near = get_close_matches(str(output), RENDERERS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(RENDERERS)}."
        raise OptionError(f"There is no output {output!r}: {hint}")
    report = table_report(shown) if isinstance(shown, pd.DataFrame) else shown
    return RENDERERS[output](report.document if isinstance(report, Report) else report)
