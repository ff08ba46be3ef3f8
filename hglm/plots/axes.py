"""What all pictures share: axes in, axes out; one sober style."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hglm.errors import OptionError
from hglm.typing import Codes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DARK", "LIGHT", "get_axes", "sample_levels", "tidy_axes"]

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

    Raises
    ------
    OptionError
        If matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot as plt  # noqa: PLC0415 - slow to import, and optional
    except ImportError as error:
        raise OptionError(
            "Pictures need matplotlib; install it with `pip install 'hglm[plots]'`."
        ) from error
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


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
