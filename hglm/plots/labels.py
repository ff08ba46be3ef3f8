"""Labels short enough to stand beside a picture."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["counted", "short", "short_labels"]

MOST = 22
"""Characters of a label that leave room for the picture."""


def counted(name: str, shown: int, total: int) -> str:
    """Name what is shown, and of how many where it is a sample."""
    return f"{name} ({shown} of {total})" if shown < total else name


def short(text: object, most: int = MOST) -> str:
    """Cut a label in the middle, where it is too long."""
    label = str(text)
    if len(label) <= most:
        return label
    end = (most - 1) // 3
    return f"{label[: most - 1 - end]}…{label[len(label) - end :]}"


def short_labels(labels: Iterable[object], most: int = MOST) -> list[str]:
    """Shorten labels alike: what they all begin and end with goes first.

    Examples
    --------
    >>> short_labels(["school number 1 of the county", "school number 2 of the county"])
    ['…1…', '…2…']
    """
    texts = [str(label) for label in labels]
    if max(map(len, texts), default=0) <= most:
        return texts
    if len(texts) > 1:
        before = _common(texts)
        rest = [text[before:] for text in texts]
        after = _common([text[::-1] for text in rest])
        texts = [
            ("…" if before else "") + text[: len(text) - after] + ("…" if after else "")
            for text in rest
        ]
    return [short(text, most) for text in texts]


def _common(texts: list[str]) -> int:
    """Length of the beginning that all share, up to the end of a word."""
    low, high = min(texts), max(texts)
    pairs = zip(low, high, strict=False)
    shared = low[: next((i for i, (a, b) in enumerate(pairs) if a != b), len(low))]
    return max(shared.rfind(mark) + 1 for mark in " _-./:,")
