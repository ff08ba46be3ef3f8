"""Bar terms: `(columns | group)`, `(columns || group)`, `structure(columns | group)`."""

from __future__ import annotations

from collections.abc import Sequence

from hglm.covariance import COORDINATES, STEPS
from hglm.covariance import STRUCTURES as COVARIANCES
from hglm.errors import FormulaError
from hglm.formula.grouping import groupings
from hglm.formula.hints import did_you_mean
from hglm.formula.lexer import Symbol, call, lex, span_of
from hglm.formula.spec import RandomTermFormula
from hglm.formula.terms import expand, join, single_factors

__all__ = ["STRUCTURES", "bar_term", "bars", "structure_call"]

KNOWN = "known"
"""`us` between coefficients, for levels whose relationships are given with the data."""
STRUCTURES = (*COVARIANCES, *COORDINATES, KNOWN)
"""Names of the covariance structures that a formula may use."""


def bars(symbols: Sequence[Symbol]) -> list[int]:
    """Positions of the bars outside inner brackets."""
    depth = 0
    found = []
    for at, symbol in enumerate(symbols):
        depth += (symbol.kind == "open") - (symbol.kind == "close")
        if depth == 0 and symbol.kind == "operator" and symbol.text[0] == "|":
            found.append(at)
    return found


def structure_call(symbol: Symbol, source: str) -> tuple[str, tuple[Symbol, ...]] | None:
    """Name and inside of `name(columns | group)`; None for other code.

    A bar inside `I(...)` or a function with a dotted name is Python's.
    """
    found = call(symbol, source)
    if found is None or "|" not in source[symbol.start : symbol.stop]:
        return None
    name, start, stop = found
    if name == "I" or "." in name:
        return None
    inside = lex(source, start, stop)
    return (name, inside) if bars(inside) else None


def bar_term(
    inside: Sequence[Symbol],
    structure: str | None,
    span: tuple[int, int],
    source: str,
    structures: tuple[str, ...],
) -> tuple[RandomTermFormula, ...]:
    """Expand the inside of one bar term into blocks of correlated effects.

    The order is lme4's: the parts of the columns outermost, the groups inner.
    """
    if structure is not None and structure not in structures:
        raise FormulaError(
            f"`{structure}` is not a covariance structure. "
            f"{did_you_mean(structure, structures)} A bare `(x | g)` is `us(x | g)`.",
            source,
            (span[0], span[0] + len(structure)),
        )
    left, bar, right = _sides(inside, span, source)
    if structure is not None and bar.text == "||":
        raise FormulaError(
            f"`||` and `{structure}` each say how the effects vary together; write "
            f"`{structure}(x | g)` or `(x || g)`.",
            source,
            (bar.start, bar.stop),
        )
    terms = expand(left, source)
    columns = [join(terms)] if bar.text == "|" else [join((term,)) for term in terms]
    if not terms:
        raise FormulaError(
            "This term has no columns left; write `(1 | g)` or `(0 + x | g)`.", source, span
        )
    positions: tuple[str, ...] = ()
    if structure is not None and (structure in STEPS or structure in COORDINATES):
        positions = _positions(structure, left, source)
    known = structure == KNOWN
    return tuple(
        RandomTermFormula(
            part, factors, "us" if known or structure is None else structure, span, positions, known
        )
        for part in columns
        for factors in groupings(right, source)
    )


def _positions(structure: str, left: Sequence[Symbol], source: str) -> tuple[str, ...]:
    """Expressions of `structure(0 + x + y | g)`, which are places and not columns."""
    expressions = single_factors(left)
    one = structure in STEPS or structure == "ou"
    example = "0 + times" if structure in STEPS else "0 + time" if one else "0 + x + y"
    if expressions is None or (one and len(expressions) > 1):
        reason = "takes one column" if one else "takes columns"
        raise FormulaError(
            f"`{structure}` {reason} that says where a row stands, and no intercept or products; "
            f"write `{structure}({example} | g)`.",
            source,
            span_of(left),
        )
    return expressions


def _sides(
    inside: Sequence[Symbol], span: tuple[int, int], source: str
) -> tuple[Sequence[Symbol], Symbol, Sequence[Symbol]]:
    """Columns, bar and group, each there and the bar the only one."""
    at, *further = bars(inside)
    bar = inside[at]
    if bar.text not in ("|", "||"):
        raise FormulaError(
            f"`{bar.text}` has too many bars; write `|` for correlated effects or `||` for "
            "independent ones.",
            source,
            (bar.start, bar.stop),
        )
    if further:
        second = inside[further[0]]
        raise FormulaError(
            "A bar term has one bar; write a separate term in brackets for each grouping factor.",
            source,
            (second.start, second.stop),
        )
    left, right = inside[:at], inside[at + 1 :]
    for side, missing in ((left, "column before"), (right, "grouping factor after")):
        if not side:
            raise FormulaError(
                f"There is no {missing} the bar; write `(1 | g)` for an intercept that varies "
                "with the levels of `g`.",
                source,
                span,
            )
        _check_no_bar(side, source)
    return left, bar, right


def _check_no_bar(symbols: Sequence[Symbol], source: str) -> None:
    """Raise where a bar term stands inside another."""
    for symbol in symbols:
        bar = symbol.kind == "operator" and symbol.text[0] == "|"
        if bar or structure_call(symbol, source):
            raise FormulaError(
                "Bar terms cannot stand inside one another; write them side by side with `+`, "
                "and nested groups as `(1 | a/b)`.",
                source,
                span_of((symbol,)),
            )
