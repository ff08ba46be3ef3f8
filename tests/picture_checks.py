"""What no picture may have: labels that cover one another, and empty panels."""

from __future__ import annotations

from itertools import combinations
from typing import Any

__all__ = ["empty_panels", "overlapping"]


def overlapping(figure: Any) -> list[tuple[str, str]]:
    """Pairs of labels of one axis, or of titles, that cover one another."""
    figure.canvas.draw()
    out = []
    texts = [[ax.title for ax in figure.axes if ax.get_title()]]
    for ax in figure.axes:
        texts += [
            [t for t in labels if t.get_visible() and t.get_text()]
            for labels in (ax.get_xticklabels(), ax.get_yticklabels())
        ]
    for group in texts:
        for a, b in combinations(group, 2):
            upright = a.get_rotation() == 0.0
            if upright and a.get_window_extent().overlaps(b.get_window_extent()):
                out.append((a.get_text(), b.get_text()))
    return out


def empty_panels(figure: Any) -> list[Any]:
    """Visible panels in which nothing is drawn."""
    return [ax for ax in figure.axes if ax.get_visible() and not (ax.lines or ax.collections)]
