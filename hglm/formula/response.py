"""The left-hand side of `~`: one expression, or `cbind(successes, failures)`."""

from __future__ import annotations

from collections.abc import Sequence

from hglm.errors import FormulaError
from hglm.formula.lexer import Symbol, arguments, call, expression, slice_of, span_of

__all__ = ["parse_response"]


def parse_response(symbols: Sequence[Symbol], source: str) -> tuple[str, ...]:
    """Python expressions of the response."""
    found = call(symbols[0], source) if len(symbols) == 1 else None
    if found is not None and found[0] == "cbind":
        return _successes_and_failures(found[1], found[2], symbols[0], source)
    for symbol in symbols:
        if symbol.kind == "operator" and symbol.text[0] == "|":
            raise FormulaError(
                "A response has no bar; write `cbind(successes, failures)` for counts out of a "
                "number of trials, or give the argument `trials`.",
                source,
                (symbol.start, symbol.stop),
            )
    if len(symbols) == 1 and symbols[0].kind == "name":
        return (symbols[0].label,)
    start, stop = span_of(symbols)
    response = expression(source, start, stop)
    if response is None:
        raise FormulaError(
            f"`{slice_of(source, symbols)}` is not one expression; write a column or a function "
            "of columns before `~`, such as `y` or `log(y)`.",
            source,
            (start, stop),
        )
    return (response,)


def _successes_and_failures(start: int, stop: int, symbol: Symbol, source: str) -> tuple[str, ...]:
    counts = tuple(expression(source, a, b) or "" for a, b in arguments(source, start, stop))
    if len(counts) != 2 or "" in counts:
        raise FormulaError(
            "`cbind` takes two counts, successes and failures, as in `cbind(s, n - s)`.",
            source,
            (symbol.start, symbol.stop),
        )
    return counts
