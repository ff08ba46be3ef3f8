"""Brackets and quotes of a formula, before it is split into symbols."""

from __future__ import annotations

from collections.abc import Iterator

from hglm.errors import FormulaError

__all__ = ["CLOSER", "check_brackets", "depths"]

CLOSER = {"(": ")", "[": "]", "{": "}"}
"""Opening bracket -> its partner."""

_QUOTES = "\"'`"


def check_brackets(source: str, start: int, stop: int) -> None:
    """Raise where a bracket or quote has no partner, or nothing inside."""
    open_at: list[int] = []
    i = start
    while i < stop:
        char = source[i]
        if char in _QUOTES:
            i = _closing_quote(source, i, stop)
        elif char in CLOSER:
            open_at.append(i)
        elif char in CLOSER.values():
            _check_pair(source, open_at.pop() if open_at else -1, i)
        i += 1
    if open_at:
        at = open_at[-1]
        message = f"The bracket `{source[at]}` is never closed; add `{CLOSER[source[at]]}`."
        raise FormulaError(message, source, (at, at + 1))


def depths(source: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Position and bracket depth of every character outside quotes."""
    depth = 0
    i = start
    while i < stop:
        char = source[i]
        if char in _QUOTES:
            i = max(i, source.find(char, i + 1, stop))
        else:
            depth += (char in CLOSER) - (char in CLOSER.values())
            yield i, depth
        i += 1


def _closing_quote(source: str, at: int, stop: int) -> int:
    quote = source[at]
    closing = source.find(quote, at + 1, stop)
    if closing < 0:
        message = f"The quote {quote} is never closed; add the second one."
        raise FormulaError(message, source, (at, at + 1))
    if quote == "`" and closing == at + 1:
        message = "There is nothing in these backticks; write the name of a column inside."
        raise FormulaError(message, source, (at, closing + 1))
    return closing


def _check_pair(source: str, opener: int, closer: int) -> None:
    closing = source[closer]
    if opener < 0:
        message = f"The bracket `{closing}` closes nothing; remove it or open one before it."
        raise FormulaError(message, source, (closer, closer + 1))
    opening = source[opener]
    if closing != CLOSER[opening]:
        message = f"`{opening}` is closed by `{closing}`; write `{CLOSER[opening]}` here."
        raise FormulaError(message, source, (closer, closer + 1))
    if opening == "{" and not source[opener + 1 : closer].strip():
        message = "There is nothing in these braces; write a Python expression inside."
        raise FormulaError(message, source, (opener, closer + 1))
