"""Formulas of empirical Bayes models: `response ~ covariates | group`.

The bar stands outside brackets and names what the parameters belong to; there
is no list of random effects, because the model says what varies. Without a bar
each row is its own group. The response is one expression, `successes / trials`,
or `cbind(a, b, ...)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hglm.errors import FormulaError
from hglm.formula.grouping import groupings
from hglm.formula.lexer import Symbol, arguments, call, expression, lex, span_of
from hglm.formula.terms import expand, join

__all__ = ["EBayesFormula", "Form", "parse_ebayes_formula"]

Form = Literal["single", "ratio", "cbind"]


@dataclass(frozen=True, slots=True)
class EBayesFormula:
    """What a formula says, before any data are seen."""

    text: str
    """As the user typed it."""
    form: Form
    """How the response was written."""
    response: tuple[str, ...]
    """Its expressions: one, two for a ratio, two or more for `cbind`."""
    fixed: str
    """Formulaic right-hand side of the prior mean, e.g. ``"1 + league"``."""
    factors: tuple[str, ...]
    """Expressions whose interaction is the group; empty if each row is one."""


def parse_ebayes_formula(text: str) -> EBayesFormula:
    """Read `response ~ covariates | group`.

    Examples
    --------
    >>> parse_ebayes_formula("hits / at_bats ~ 1 | player").response
    ('hits', 'at_bats')
    >>> parse_ebayes_formula("cbind(red, white, sparkling) ~ 1 | shop").form
    'cbind'
    """
    if not isinstance(text, str):
        raise FormulaError(
            'A formula is a string such as "successes / trials ~ 1 | player", not an object of '
            f"type {type(text).__name__}."
        )
    symbols = lex(text)
    tildes = _top_level(symbols, "~")
    if len(tildes) != 1 or tildes[0] in (0, len(symbols) - 1):
        raise FormulaError(
            "The formula needs one `~` with a response before and covariates after it; write "
            "`y ~ 1 | group`.",
            text,
            (0, max(1, len(text))),
        )
    left, right = symbols[: tildes[0]], symbols[tildes[0] + 1 :]
    form, response = _response(left, text)
    fixed, factors = _right(right, text)
    return EBayesFormula(text, form, response, fixed, factors)


def _right(symbols: Sequence[Symbol], text: str) -> tuple[str, tuple[str, ...]]:
    bars = _top_level(symbols, "|")
    inside = [symbol for symbol in symbols if symbol.text[0] == "|"]
    if len(inside) > len(bars):
        raise FormulaError(
            "The bar stands outside brackets here, because the model says what varies; write "
            "`y ~ 1 | group`.",
            text,
            span_of(inside),
        )
    if not bars:
        return join(expand(symbols, text)), ()
    covariates, group = symbols[: bars[0]], symbols[bars[0] + 1 :]
    if len(bars) > 1 or not covariates or not group:
        raise FormulaError(
            "One bar parts the covariates from the group; write `y ~ 1 | group`.",
            text,
            span_of(symbols),
        )
    found = groupings(group, text)
    if len(found) != 1:
        raise FormulaError(
            "A conjugate model has one level of grouping; write `a:b` for the groups that two "
            "factors make together, or use hglm.fit for nested and crossed effects.",
            text,
            span_of(group),
        )
    return join(expand(covariates, text)), found[0]


def _response(symbols: Sequence[Symbol], text: str) -> tuple[Form, tuple[str, ...]]:
    found = call(symbols[0], text) if len(symbols) == 1 else None
    if found is not None and found[0] == "cbind":
        ranges = arguments(text, found[1], found[2])
        if len(ranges) < 2:
            raise FormulaError(
                "`cbind` takes two or more columns of counts.", text, span_of(symbols)
            )
        return "cbind", tuple(_expression(text, a, b) for a, b in ranges)
    slashes = _top_level(symbols, "/")
    start, stop = span_of(symbols)
    if not slashes:
        return "single", (_expression(text, start, stop),)
    slash = symbols[slashes[0]]
    if len(slashes) > 1:
        raise FormulaError(
            "A response has one `/`, as in `successes / trials`; put other divisions into "
            "`I(...)`.",
            text,
            (start, stop),
        )
    return "ratio", (_expression(text, start, slash.start), _expression(text, slash.stop, stop))


def _expression(text: str, start: int, stop: int) -> str:
    out = expression(text, start, stop)
    if out is None:
        raise FormulaError(
            f"`{text[start:stop].strip()}` is not one expression; write a column or a function of "
            "columns.",
            text,
            (start, max(stop, start + 1)),
        )
    return out


def _top_level(symbols: Sequence[Symbol], sign: str) -> list[int]:
    """Positions of an operator outside brackets."""
    depth = 0
    found = []
    for at, symbol in enumerate(symbols):
        depth += (symbol.kind == "open") - (symbol.kind == "close")
        if depth == 0 and symbol.kind == "operator" and symbol.text == sign:
            found.append(at)
    return found
