"""The examples of README.md and docs/ run, and their links lead somewhere."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS

PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def python_blocks(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the fenced Python blocks of a page, each with the line it starts after."""
    text = page.read_text(encoding="utf-8")
    for match in PYTHON_BLOCK.finditer(text):
        yield text.count("\n", 0, match.start(1)), match.group(1)


def run_block(source: str, page: str, line: int, namespace: dict[str, Any]) -> None:
    """Run one block; where it shows a session (`>>>`), compare the output too."""
    if ">>>" not in source:
        exec(compile("\n" * line + source, page, "exec"), namespace)
        return
    session = doctest.DocTestParser().get_doctest(source, {}, page, page, line)
    session.globs = namespace
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    report: list[str] = []
    runner.run(session, out=report.append, clear_globs=False)
    assert not runner.summarize(verbose=False).failed, "".join(report)


@pytest.mark.parametrize("page", [page for page in PAGES if any(python_blocks(page))], ids=page_id)
def test_the_examples_of_a_page_run_from_top_to_bottom(page: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__example__"}
    for line, source in python_blocks(page):
        run_block(source, page_id(page), line, namespace)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_the_links_of_a_page_lead_to_files(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize(
    "source", [">>> 1 + 1\n3\n", "raise AssertionError", ">>> unknown_name\n1\n"]
)
def test_a_wrong_example_fails(source: str) -> None:
    with pytest.raises(AssertionError):
        run_block(source, "page", 0, {})


def test_blocks_share_names_and_an_error_tells_its_line() -> None:
    namespace: dict[str, Any] = {}
    run_block("x = 2\n", "page", 0, namespace)
    run_block(">>> x + 1\n3\n", "page", 5, namespace)
    with pytest.raises(ZeroDivisionError) as caught:
        run_block("x / 0\n", "page", 41, namespace)
    assert caught.traceback[-1].lineno == 41  # counted from 0: line 42 of the page
