"""Formula text -> `ModelFormula`. No data are seen."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hglm.errors import FormulaError
from hglm.formula.bars import STRUCTURES, bar_term, bars, structure_call
from hglm.formula.lexer import Symbol, arguments, call, expression, lex, slice_of, span_of
from hglm.formula.response import parse_response
from hglm.formula.spec import ModelFormula, PredictorFormula, RandomTermFormula
from hglm.formula.terms import expand, join

__all__ = ["parse_formula", "parse_predictor"]

_RANDOM_ARGUMENT = re.compile(r"\brandom\s*=")
_SIGNS = ("+", "-")


def parse_formula(text: str, structures: tuple[str, ...] = STRUCTURES) -> ModelFormula:
    """Read a two-sided formula, `response ~ fixed + (columns | group)`.

    Parameters
    ----------
    text
        The formula.
    structures
        Names of covariance structures allowed before a bar term.

    Raises
    ------
    FormulaError
        With the place of the slip and what to write instead.

    Examples
    --------
    >>> formula = parse_formula("reaction ~ days + (days | subject)")
    >>> formula.response, formula.mean.fixed
    (('reaction',), '1 + days')
    >>> [(term.columns, term.group) for term in formula.mean.random]
    [('1 + days', 'subject')]
    """
    return _parse_formula(_checked(text), structures)


def parse_predictor(text: str, structures: tuple[str, ...] = STRUCTURES) -> PredictorFormula:
    """Read a one-sided formula, `~ fixed + (columns | group)`.

    Examples
    --------
    >>> parse_predictor("~ food + (1 | nest)").fixed
    '1 + food'
    """
    return _parse_predictor(_checked(text), structures)


@functools.lru_cache(maxsize=256)
def _parse_formula(text: str, structures: tuple[str, ...]) -> ModelFormula:
    source = _one_line(text)
    left, right = _sides(source)
    if not left:
        raise FormulaError(
            "There is no response before `~`; write `response ~ predictors`.", source, (0, 1)
        )
    return ModelFormula(text, parse_response(left, source), _predictor(right, source, structures))


@functools.lru_cache(maxsize=256)
def _parse_predictor(text: str, structures: tuple[str, ...]) -> PredictorFormula:
    source = _one_line(text)
    left, right = _sides(source)
    if left:
        raise FormulaError(
            "This formula takes no response; begin it with `~`, as in `~ x + (1 | g)`.",
            source,
            span_of(left),
        )
    return _predictor(right, source, structures)


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise FormulaError(
            'A formula is a string such as "y ~ x + (1 | g)", not an object of type '
            f"{type(text).__name__}."
        )
    return text


def _one_line(text: str) -> str:
    """Text with each white space a blank, so that carets stand where they should."""
    return re.sub(r"\s", " ", text)


def _sides(source: str) -> tuple[Sequence[Symbol], Sequence[Symbol]]:
    """Symbols before and after the only `~`."""
    habit = _RANDOM_ARGUMENT.search(source)
    if habit:
        raise FormulaError(
            "Random effects belong into the formula, as in `y ~ x + (1 | g)`, not into an "
            "argument `random`.",
            source,
            habit.span(),
        )
    symbols = lex(source)
    tildes = [at for at, symbol in enumerate(symbols) if symbol.text == "~"]
    if not tildes:
        raise _no_tilde(symbols, source)
    if len(tildes) > 1:
        second = symbols[tildes[1]]
        raise FormulaError(
            "A formula has one `~`, between the response and the predictors; remove the other.",
            source,
            (second.start, second.stop),
        )
    left, right = symbols[: tildes[0]], symbols[tildes[0] + 1 :]
    if not right:
        raise FormulaError(
            "There is nothing after `~`; write predictors there, or `1` for an intercept alone.",
            source,
            span_of(symbols[tildes[0] :]),
        )
    return left, right


def _no_tilde(symbols: Sequence[Symbol], source: str) -> FormulaError:
    for symbol in symbols:
        if symbol.kind == "operator" and symbol.text[0] == "=":
            message = "Write `~` instead of `=` between the response and the predictors."
            return FormulaError(message, source, (symbol.start, symbol.stop))
        if symbol.kind == "code" and "~" in symbol.text:
            message = "Give the formula alone, not a call of a function that contains it."
            return FormulaError(message, source, (symbol.start, symbol.stop))
    message = "The formula has no `~`; write `response ~ predictors`, as in `y ~ x + (1 | g)`."
    return FormulaError(message, source, (0, max(1, len(source.rstrip()))))


@dataclass(slots=True)
class _Parts:
    """What the summands of a right-hand side have been sorted into."""

    fixed: list[Symbol] = field(default_factory=list)
    random: list[RandomTermFormula] = field(default_factory=list)
    offsets: list[str] = field(default_factory=list)


def _predictor(
    symbols: Sequence[Symbol], source: str, structures: tuple[str, ...]
) -> PredictorFormula:
    parts = _Parts()
    for signs, summand in _summands(symbols):
        terms = _random_terms(summand, source, structures)
        offset = _offset(summand, source)
        if terms is None and offset is None:
            _check_no_bars(summand, source)
            parts.fixed += [*signs, *summand]
            continue
        _check_sign(signs, source)
        parts.random += terms or ()
        parts.offsets += [offset] if offset is not None else ()
    fixed = expand(parts.fixed, source) if parts.fixed else ("1",)
    return PredictorFormula(join(fixed), tuple(parts.random), tuple(parts.offsets))


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
                "Random terms and offsets cannot be subtracted; leave the term out, or write `+`.",
                source,
                (sign.start, sign.stop),
            )
