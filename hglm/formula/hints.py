"""The second half of an error message: what the reader may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "listing"]


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Sentence with the options nearest to `name`, or all of them if few.

    Examples
    --------
    >>> did_you_mean("dyas", ["days", "reaction"])
    'Did you mean `days`?'
    """
    known = list(dict.fromkeys(str(option) for option in options))
    folded = {option.casefold(): option for option in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    if near:
        return f"Did you mean {listing([folded[match] for match in near], 'or')}?"
    return f"There {'is' if len(known) == 1 else 'are'} {listing(known)}." if known else ""


def listing(names: Iterable[object], conjunction: str = "and", limit: int = 8) -> str:
    """Names in backticks as one readable list, cut after `limit`.

    Examples
    --------
    >>> listing(["a", "b", "c"])
    '`a`, `b` and `c`'
    """
    quoted = [f"`{name}`" for name in names]
    if len(quoted) > limit:
        return f"{', '.join(quoted[:limit])}, ... ({len(quoted)} in all)"
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {conjunction} {quoted[-1]}"
