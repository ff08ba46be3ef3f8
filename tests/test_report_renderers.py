"""All outputs say the same, and nothing in a label can break them."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hglm
from hglm.errors import OptionError
from hglm.report import Document, Fact, Report, Table, render, table_report
from hglm.report.grid import lay_out
from hglm.report.html import to_html
from hglm.report.latex import to_latex
from hglm.report.markdown import to_markdown
from hglm.report.text import to_text

NASTY = [
    "<script>alert('x')</script>",
    "a & b",
    "p|q",
    r"back\slash",
    "under_score*",
    "50% of $1 #2 {3}",
    "~tilde^",
    "[0, 1)",
    "f[1](u)",
    "`tick`",
]
LABELS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)


def frame_of(labels: list[str]) -> pd.DataFrame:
    n = len(labels)
    return pd.DataFrame(
        {
            "term": labels,
            "estimate": np.linspace(-3.0, 5.0, n),
            "std_error": np.linspace(0.5, 1.0, n),
            "p_value": np.linspace(0.0, 1.0, n),
        }
    )


def grid_rows(frame: pd.DataFrame) -> list[list[str]]:
    grid = lay_out(Table(frame))
    return [list(grid.header), *map(list, grid.rows)]


class CellReader(HTMLParser):
    """Read the cells of a table, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and data.strip("\n"):
            self.rows[-1][-1] += data


def html_rows(text: str) -> tuple[list[list[str]], set[str]]:
    reader = CellReader()
    reader.feed(text)
    return reader.rows, reader.tags


def markdown_rows(text: str) -> list[list[str]]:
    """Read a pipe table: cells part at pipes that no backslash precedes."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [re.findall(r"(?:\\.|[^|\\])+(?=\|)", line[1:]) for line in lines]
    del rows[1]
    return [[re.sub(r"\\(.)", r"\1", cell).strip() for cell in row] for row in rows]


def latex_rows(text: str) -> list[list[str]]:
    """Read a tabular: undo the escapes and the mathematics of numbers."""
    names = {"backslash": "\\", "asciitilde": "~", "asciicircum": "^"}
    names |= {"less": "<", "greater": ">", "bar": "|"}

    def undo(cell: str) -> str:
        cell = re.sub(r"\\text(\w+)\{\}", lambda m: f"\0{ord(names[m[1]])}\1", cell)
        cell = re.sub(r"\\([&%$#_{}])", lambda m: f"\0{ord(m[1])}\1", cell)
        cell = re.sub(r"^\{\}|\$", "", cell)
        return re.sub("\0(\\d+)\1", lambda m: chr(int(m[1])), cell)

    lines = [line.removesuffix(r" \\") for line in text.splitlines() if line.endswith(r" \\")]
    return [[undo(cell) for cell in re.split(r" (?<!\\)& ", line)] for line in lines]


def test_html_gives_back_every_cell_and_no_tag_of_the_data() -> None:
    rows, tags = html_rows(render(frame_of(NASTY), "html"))
    assert rows == grid_rows(frame_of(NASTY))
    assert "script" not in tags


def test_markdown_gives_back_every_cell() -> None:
    assert markdown_rows(render(frame_of(NASTY), "markdown")) == grid_rows(frame_of(NASTY))


def test_latex_gives_back_every_cell() -> None:
    assert latex_rows(render(frame_of(NASTY), "latex")) == grid_rows(frame_of(NASTY))


@given(st.lists(LABELS, min_size=2, max_size=4))
def test_any_label_survives_html_and_latex(labels: list[str]) -> None:
    frame = frame_of(labels)
    assert html_rows(render(frame, "html"))[0] == grid_rows(frame)
    assert latex_rows(render(frame, "latex")) == grid_rows(frame)


@given(st.lists(LABELS.map(str.strip).filter(bool), min_size=2, max_size=4))
def test_any_label_survives_markdown(labels: list[str]) -> None:
    frame = frame_of(labels)
    assert markdown_rows(render(frame, "markdown")) == grid_rows(frame)


def test_latex_has_no_bare_special_character_outside_its_own_commands() -> None:
    body = to_latex(Document("50% & more", (Fact("a_b", "y ~ x^2 | g", code=True),), notes=("#1",)))
    assert body == (
        "\\paragraph{50\\% \\& more}\n\n"
        "a\\_b: \\texttt{y \\textasciitilde{} x\\textasciicircum{}2 \\textbar{} g}\n\n"
        "\\begin{itemize}\n\\item \\#1\n\\end{itemize}"
    )


def test_a_row_of_latex_that_begins_with_a_bracket_is_guarded() -> None:
    lines = render(frame_of(["[0, 1)", "*"]), "latex").splitlines()
    assert [line[:3] for line in lines if line.endswith(r"\\")] == ["Ter", "{}[", "{}*"]


def test_latex_numbers_are_mathematics_where_they_need_it() -> None:
    frame = pd.DataFrame({"estimate": [-1.5, 2e-9, np.inf], "std_error": [0.5, 1e-10, np.nan]})
    frame["p_value"] = [0.0, 0.5, np.nan]
    body = render(frame, "latex")
    assert "$-1.500$ & 0.500 & $<0.001$" in body
    assert r"$2.000 \times 10^{-9}$ & $1.00 \times 10^{-10}$ & 0.500" in body
    assert r"$\infty$ &  &  \\" in body


def test_a_captioned_table_floats_and_another_does_not() -> None:
    frame = frame_of(["a", "b"])
    assert to_latex(Document(tables=(Table(frame, "A & B"),))).startswith(
        "\\begin{table}[htbp]\n\\centering\n\\caption{A \\& B}"
    )
    assert to_latex(Document(tables=(Table(frame),))).startswith(
        "\\begin{center}\n\\begin{tabular}{lrrr}"
    )


def test_text_lines_numbers_up_at_the_decimal_point() -> None:
    frame = pd.DataFrame({"term": ["a", "longer"], "variance": [612.1, 0.0123], "n": [5, 12]})
    assert render(frame) == (
        "Term     Variance   n\n---------------------\na       612.1       5\nlonger    0.01230  12"
    )


def test_text_continues_a_wide_table_below_with_its_labels() -> None:
    frame = pd.DataFrame({"term": ["a", "b"], **{f"column{j}": [j, j] for j in range(14)}})
    text = render(frame)
    first, second = text.split("\n\n")
    assert max(map(len, text.splitlines())) <= 100
    assert first.splitlines()[2].split() == ["a", *map(str, range(10))]
    assert second.splitlines()[0].split() == ["Term", *(f"column{j}" for j in range(10, 14))]


def test_text_breaks_no_word_that_is_wider_than_the_page() -> None:
    long = "x" * 90
    assert to_text(Document(notes=(f"see {long}",))) == f"- see\n  {long}"


def test_facts_and_notes_are_indented_where_they_continue() -> None:
    document = Document("T", (Fact("Groups", "one two"), Fact("N", "3")), notes=("four five six",))
    assert to_text(document, width=13) == (
        "T\n\nGroups: one\n        two\nN:      3\n\n- four five\n  six"
    )


def test_markdown_keeps_code_and_its_backticks() -> None:
    fact = Fact("Formula", "y ~ `a b` + x*z", code=True)
    assert to_markdown(Document("T", (fact,))) == "**T**\n\n- Formula: `` y ~ `a b` + x*z ``"


def test_html_of_a_whole_document() -> None:
    document = Document(
        "A < B",
        (Fact("Formula", "y ~ x & z", code=True), Fact("N", "3")),
        (Table(pd.DataFrame({"F": [4.0]}), "C & D", notes=("below",)),),
        ("e > f",),
    )
    assert re.sub(' style="[^"]*"', "", to_html(document)) == "\n".join(
        [
            "<div>",
            "<p><strong>A &lt; B</strong></p>",
            "<p>Formula: <code>y ~ x &amp; z</code><br>\nN: 3</p>",
            "<table>",
            "<caption>C &amp; D</caption>",
            "<thead><tr><th>F</th></tr></thead>",
            "<tbody>",
            "<tr><td>4.00</td></tr>",
            "</tbody>",
            "</table>",
            "<p><small>below</small></p>",
            "<ul>\n<li>e &gt; f</li>\n</ul>",
            "</div>",
        ]
    )


def test_a_statistic_is_named_by_the_columns_beside_it() -> None:
    f_test = pd.DataFrame({"num_df": [1], "den_df": [17.0], "statistic": [45.853]})
    assert render(f_test).splitlines()[0].split()[-1] == "F"
    chisq = pd.DataFrame({"statistic": [45.853], "df": [1]})
    assert render(chisq).splitlines()[0].split()[0] == "Chi-sq."
    assert "Statistic" in render(chisq.assign(estimate=1.0))


def test_a_likelihood_ratio_table_has_headings_and_formats() -> None:
    sleep = hglm.load_dataset("sleepstudy")
    formulas = ["reaction ~ days + (1 | subject)", "reaction ~ days + (days | subject)"]
    fits = [hglm.fit(formula, sleep, method="ml") for formula in formulas]
    table = lay_out(Table(hglm.compare(*fits)))
    assert "_" not in "".join(table.header)
    # anova(m0, m1) of lme4 1.1-31
    assert table.rows[1][1:] == (
        *("6", "1763.94", "1783.10", "-875.97", "1751.94", "42.14", "2", "<0.001"),
        *table.rows[1][9:],
    )


def test_an_index_of_labels_becomes_columns_and_a_plain_one_does_not() -> None:
    named = pd.DataFrame({"F": [4.0]}, index=pd.Index(["days"], name="term"))
    assert render(named).splitlines()[0].split() == ["Term", "F"]
    assert render(named.reset_index(drop=True)).splitlines()[0] == "   F"
    assert render(pd.DataFrame({"F": [4.0]}, index=["days"])).splitlines()[2] == "days  4.00"


@pytest.mark.parametrize("output", ["text", "markdown", "html", "latex"])
def test_frames_without_rows_or_columns_render(output: str) -> None:
    assert "Term" in render(pd.DataFrame({"term": [], "F": []}), output)
    assert "nan" not in render(pd.DataFrame({"F": [np.nan]}), output)
    render(pd.DataFrame(), output)


def test_nothing_changes_the_frame_that_is_shown() -> None:
    frame = frame_of(["a", "b"])
    before = frame.copy()
    for output in ("text", "markdown", "html", "latex"):
        render(frame, output)
    pd.testing.assert_frame_equal(frame, before)


def test_a_report_shows_itself_in_every_way() -> None:
    frame = frame_of(["a", "b"])
    report = table_report(frame, "Title", ["Note."], "Caption")
    assert str(report) == repr(report) == render(report)
    assert report._repr_html_() == report.to_html() == render(report, "html")
    assert report.to_latex() == render(report, "latex")
    assert report.to_markdown() == render(report, "markdown")
    assert str(report).startswith("Title\n\nCaption\n")
    assert str(report).endswith("\nNote.")
    assert report.tables["table"] is frame
    assert render(Report(report.document)) == str(report)


def test_an_unknown_output_names_those_there_are() -> None:
    with pytest.raises(OptionError, match="'latx': did you mean 'latex'"):
        render(pd.DataFrame(), "latx")
    with pytest.raises(OptionError, match="use one of text, markdown, html, latex"):
        render(pd.DataFrame(), "pdf")
