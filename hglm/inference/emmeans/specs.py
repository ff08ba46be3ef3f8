"""Which means are wanted: `"a"`, `["a", "b"]`, `"a * b"`, `"~ a | b"`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TypeAlias

from hglm.errors import OptionError
from hglm.formula.hints import did_you_mean

__all__ = ["Names", "names_of", "parse_specs"]

Names: TypeAlias = str | Sequence[str]
"""One name or several."""

_JOINED = re.compile(r"\s*[*+:]\s*")


def parse_specs(
    specs: Names, by: Names | None, known: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the variables of the means, and those that divide them into groups.

    Parameters
    ----------
    specs
        Names, or a formula such as ``"~ a * b | c"``; ``"1"`` or nothing for the
        overall mean.
    by
        Further variables that divide.
    known
        Variables of the model.

    Examples
    --------
    >>> parse_specs("~ dose | sex", None, ["dose", "sex", "age"])
    (('dose',), ('sex',))
    """
    groups = names_of(by)
    if isinstance(specs, str) and specs not in known:
        left, tilde, right = specs.partition("~")
        if tilde and left.strip():
            raise OptionError(
                f"The means {specs!r} have something before `~`; ask for the means first and for "
                "their contrasts by `.contrast(...)` or `.pairs()`."
            )
        means, _, divided = (right if tilde else left).partition("|")
        wanted, groups = _split(means), (*_split(divided), *groups)
    else:
        wanted = names_of(specs)
    for name in (*wanted, *groups):
        if name not in known:
            raise OptionError(
                f"There is no variable `{name}` in the fixed part. {did_you_mean(name, known)}"
            )
    groups = tuple(dict.fromkeys(groups))
    return tuple(dict.fromkeys(name for name in wanted if name not in groups)), groups


def names_of(names: Names | None) -> tuple[str, ...]:
    """Return one name or several as a tuple."""
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)


def _split(text: str) -> tuple[str, ...]:
    parts = (part.strip().strip("`") for part in _JOINED.split(text.strip()))
    return tuple(part for part in parts if part not in ("", "1"))
