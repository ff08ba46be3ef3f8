"""What all pictures share: axes in, axes out; one sober style."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hglm.errors import OptionError
from hglm.typing import Codes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "DARK",
    "LIGHT",
    "get_axes",
    "most_rows",
    "new_figure",
    "sample_levels",
    "size_in_inches",
    "tidy_axes",
]

DARK, LIGHT = "0.15", "0.62"
"""Greys: the picture must be legible without colour."""


def get_axes(ax: Axes | None, width: float = 6.0, height: float = 4.0) -> Axes:
    """Return the axes given, or those of a new figure.

    Parameters
    ----------
    ax
        matplotlib Axes, or None.
    width, height
        Of a new figure, in inches.
    """
    return ax if ax is not None else new_figure(width, height).subplots()


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches, which arranges its panels itself.

    Raises
    ------
    OptionError
        If matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot as plt  # noqa: PLC0415 - slow to import, and optional
    except ImportError as error:
        raise OptionError(
            "Pictures need matplotlib; install it with `pip install 'hglm[plots]'`."
        ) from error
    return plt.figure(figsize=(width, height), layout="constrained")


def size_in_inches(ax: Axes) -> tuple[float, float]:
    """Width and height of axes, before a layout shrinks them to make room for labels."""
    window, dpi = ax.get_window_extent(), ax.figure.dpi
    return window.width / dpi, window.height / dpi


def most_rows(ax: Axes | None, most: int, inches: float = 0.17) -> int:
    """Count the labelled rows that a picture may have: fewer where the axes given are low."""
    return most if ax is None else max(2, min(most, int(size_in_inches(ax)[1] / inches)))


def tidy_axes(ax: Axes, **labels: Any) -> Axes:
    """Set labels, and take away the frame's upper and right sides."""
    ax.set(**labels)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def sample_levels(n: int, most: int) -> Codes:
    """Positions of at most `most` of n levels, spread evenly, ends included."""
    if n <= most:
        return np.arange(n)
    return np.unique(np.linspace(0, n - 1, most).round().astype(np.intp))
