"""Checks of responses and options that families share, and their messages."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np

from hglm.errors import DataError, OptionError
from hglm.families.base import Sizes
from hglm.families.links import LINKS
from hglm.typing import BoolArray, Vector

__all__ = [
    "check_link",
    "check_sizes",
    "did_you_mean",
    "require",
    "require_counts",
    "require_finite",
    "require_positive",
]

_SHOWN = 5


def require(
    valid: BoolArray, y: Vector, need: str, remedy: str, labels: Sequence[object] | None
) -> None:
    """Raise `DataError` naming the rows where `valid` (n,) is false."""
    bad = np.flatnonzero(~valid)
    if bad.size == 0:
        return
    names = [str(i if labels is None else labels[i]) for i in bad[:_SHOWN]]
    values = ", ".join(f"{y[i]:g}" for i in bad[:_SHOWN])
    more = f" and {bad.size - _SHOWN} more" if bad.size > _SHOWN else ""
    rows = "row" if bad.size == 1 else "rows"
    raise DataError(f"{need}, but {rows} {', '.join(names)}{more} hold {values}; {remedy}.")


def require_counts(
    name: str, y: Vector, labels: Sequence[object] | None, *, smallest: int = 0
) -> None:
    """Raise `DataError` unless all are whole numbers from `smallest` on."""
    valid = np.isfinite(y) & (y >= smallest) & (y == np.floor(y))
    need = f"A response of the {name} family is a count of at least {smallest}"
    remedy = "use another family, or correct those rows"
    if smallest > 0:
        remedy = "model the zeros too, with a hurdle or the untruncated family"
    require(valid, y, need, remedy, labels)


def require_finite(name: str, y: Vector, labels: Sequence[object] | None) -> None:
    """Raise `DataError` unless all are finite."""
    need = f"A response of the {name} family is finite"
    require(np.isfinite(y), y, need, "leave those rows out", labels)


def require_positive(name: str, y: Vector, labels: Sequence[object] | None) -> None:
    """Raise `DataError` unless all are positive and finite."""
    valid = np.isfinite(y) & (y > 0.0)
    need = f"A response of the {name} family is positive"
    require(valid, y, need, "model zeros with Tweedie or a hurdle, or correct those rows", labels)


def check_sizes(name: str, sizes: Sizes, *, trials: bool = False, weights: bool = False) -> None:
    """Raise `DataError` for sizes that a family has no use for, or that are not positive."""
    if sizes.trials is not None and not trials:
        raise DataError(f"The {name} family has no trials; leave out `trials`.")
    if sizes.weights is not None and not weights:
        sizes_of = "give numbers of trials as `trials`, and " if trials else ""
        raise DataError(
            f"The {name} family has no precision weights, since its variance has no free scale; "
            f"{sizes_of}for rows that stand for several identical observations use `frequencies`."
        )
    for label, size in (("trials", sizes.trials), ("weights", sizes.weights)):
        if size is not None and not np.all((size > 0.0) & np.isfinite(size)):
            raise DataError(f"All {label} must be positive and finite; leave other rows out.")


def check_link(family: str, link: str, valid: Sequence[str], of: str = "mean") -> None:
    """Raise `OptionError` where the parameter `of` cannot have this link."""
    if link in valid:
        return
    hint = "" if link in LINKS else did_you_mean(link, valid)
    raise OptionError(
        f"The {of} of the {family} family has no link {link!r}{hint}; "
        f"choose one of {', '.join(valid)}."
    )


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return "" or a parenthesis with near matches."""
    close = get_close_matches(word.lower(), known, n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(repr(c) for c in close)}?)" if close else ""
