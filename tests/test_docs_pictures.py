"""The pictures of the documentation: each can be drawn anew, is used, and can be read."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from picture_checks import empty_panels, overlapping

DOCS = Path(__file__).parents[1] / "docs"
SPEC = importlib.util.spec_from_file_location("draw_pictures", DOCS / "draw_pictures.py")
assert SPEC is not None
assert SPEC.loader is not None
draw_pictures = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(draw_pictures)


def test_every_picture_is_shown_stored_and_small() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    shown = set(re.findall(r"\]\(pictures/([\w-]+)\.png\)", pages))
    stored = {path.stem: path.stat().st_size for path in (DOCS / "pictures").glob("*.png")}
    assert shown == set(stored) == set(draw_pictures.PICTURES)
    assert max(stored.values()) < 100_000


@pytest.mark.parametrize("name", list(draw_pictures.PICTURES))
def test_a_picture_has_no_overlapping_labels_and_no_empty_panel(name: str) -> None:
    figure = draw_pictures.draw(name)
    assert overlapping(figure) == []
    assert empty_panels(figure) == []
    plt.close("all")
