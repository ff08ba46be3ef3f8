"""The right-hand side of `~`: a sum of fixed terms, bar terms and offsets.

A fixed term may be measured with error, `me(x, se)`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hglm.errors import FormulaError
from hglm.formula.bars import bar_term, bars, structure_call
from hglm.formula.lexer import Symbol, arguments, call, expression, slice_of, span_of
from hglm.formula.measured import MeasuredTerm, check_exact_terms, measured_term
from hglm.formula.spec import PredictorFormula, RandomTermFormula
from hglm.formula.terms import expand, join

__all__ = ["parse_terms"]

_SIGNS = ("+", "-")


@dataclass(slots=True)
class _Parts:
    """What the summands of a right-hand side have been sorted into."""

    fixed: list[Symbol] = field(default_factory=list)
    random: list[RandomTermFormula] = field(default_factory=list)
    offsets: list[str] = field(default_factory=list)
    measured: MeasuredTerm | None = None


def parse_terms(
    symbols: Sequence[Symbol], source: str, structures: tuple[str, ...]
) -> PredictorFormula:
    """Sort the summands of a right-hand side into fixed, random and offsets."""
    parts = _Parts()
    for signs, summand in _summands(symbols):
        measured = measured_term(summand, source, parts.measured)
        if measured is not None:
            _check_sign(signs, source)
            parts.measured = measured
            parts.fixed += [*signs, measured.symbol]
            continue
        terms = _random_terms(summand, source, structures)
        offset = _offset(summand, source)
        if terms is None and offset is None:
            _check_no_bars(summand, source)
            parts.fixed += [*signs, *summand]
            continue
        _check_sign(signs, source)
        _check_new(terms or (), parts.random, source)
        parts.random += terms or ()
        parts.offsets += [offset] if offset is not None else ()
    if parts.measured is not None:
        check_exact_terms(parts.fixed, parts.measured, source)
    fixed = expand(parts.fixed, source) if parts.fixed else ("1",)
    return PredictorFormula(
        join(fixed),
        tuple(parts.random),
        tuple(parts.offsets),
        None if parts.measured is None else parts.measured.formula,
    )


def _check_new(
    terms: Sequence[RandomTermFormula], before: Sequence[RandomTermFormula], source: str
) -> None:
    """Refuse a bar term that stands there already: the data cannot divide a variance."""
    known = {_variance(t) for t in before}
    for term in terms:
        if _variance(term) in known:
            raise FormulaError(
                f"The random term `({term.columns} | {term.group})` stands twice, and its variance "
                "cannot be divided between the two; leave one out.",
                source,
                term.span,
            )


def _variance(term: RandomTermFormula) -> tuple[object, ...]:
    """Tell terms apart, columns from places and related levels from independent ones."""
    return term.columns, term.factors, bool(term.positions), term.known


def _summands(symbols: Sequence[Symbol]) -> Iterator[tuple[list[Symbol], list[Symbol]]]:
    """Split a sum outside brackets into (signs, summand)."""
    depth = 0
    signs: list[Symbol] = []
    summand: list[Symbol] = []
    for symbol in symbols:
        depth += (symbol.kind == "open") - (symbol.kind == "close")
        if depth == 0 and symbol.text in _SIGNS:
            if summand:
                yield signs, summand
                signs, summand = [], []
            signs.append(symbol)
        else:
            summand.append(symbol)
    yield signs, summand


def _random_terms(
    summand: Sequence[Symbol], source: str, structures: tuple[str, ...]
) -> tuple[RandomTermFormula, ...] | None:
    """Blocks of a summand that is a bar term and nothing else, else None."""
    if len(summand) == 1:
        found = structure_call(summand[0], source)
        if found is None:
            return None
        return bar_term(found[1], found[0], span_of(summand), source, structures)
    inside = _unwrapped(summand)
    if not inside:
        return None
    if bars(inside):
        return bar_term(inside, None, span_of(summand), source, structures)
    return _random_terms(inside, source, structures)


def _unwrapped(symbols: Sequence[Symbol]) -> Sequence[Symbol]:
    """Inside of one pair of brackets around all symbols, else empty."""
    depths = list(itertools.accumulate((s.kind == "open") - (s.kind == "close") for s in symbols))
    return symbols[1:-1] if len(depths) > 1 and depths.index(0) == len(depths) - 1 else ()


def _offset(summand: Sequence[Symbol], source: str) -> str | None:
    """Expression of a summand that is `offset(expression)`, else None."""
    for symbol in summand:
        found = call(symbol, source)
        if found is None or found[0] != "offset":
            continue
        value = expression(source, found[1], found[2])
        if len(summand) > 1 or not value or len(arguments(source, found[1], found[2])) > 1:
            raise FormulaError(
                "An offset is one expression and a term of its own, as in `+ offset(log(time))`.",
                source,
                (symbol.start, symbol.stop),
            )
        return value
    return None


def _check_no_bars(summand: Sequence[Symbol], source: str) -> None:
    outside = bars(summand)
    if outside:
        bar = summand[outside[0]]
        raise FormulaError(
            f"A bar stands in brackets of its own; write `({slice_of(source, summand)})`."
            if len(outside) == 1
            else "A bar stands in brackets of its own, as in `(x | g)`.",
            source,
            (bar.start, bar.stop),
        )
    for symbol in summand:
        bar_inside = symbol.kind == "operator" and symbol.text[0] == "|"
        if bar_inside or structure_call(symbol, source):
            raise FormulaError(
                "A bar term can only be added with `+`; take it out of the product or brackets.",
                source,
                span_of(summand),
            )


def _check_sign(signs: Sequence[Symbol], source: str) -> None:
    for sign in signs:
        if sign.text == "-":
            raise FormulaError(
                "Random terms, offsets and `me(...)` cannot be subtracted; leave the term out, or "
                "write `+`.",
                source,
                (sign.start, sign.stop),
            )
