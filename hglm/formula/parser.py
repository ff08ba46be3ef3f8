"""Formula text -> `ModelFormula`. No data are seen."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from hglm.errors import FormulaError
from hglm.formula.bars import STRUCTURES
from hglm.formula.lexer import Symbol, lex, span_of
from hglm.formula.predictor import parse_terms
from hglm.formula.response import parse_response
from hglm.formula.spec import ModelFormula, PredictorFormula

__all__ = ["parse_formula", "parse_predictor"]

_RANDOM_ARGUMENT = re.compile(r"\brandom\s*=")


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
    return ModelFormula(text, parse_response(left, source), parse_terms(right, source, structures))


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
    predictor = parse_terms(right, source, structures)
    if predictor.measured is not None:
        raise FormulaError(
            "`me(x, se)` belongs to the mean; in further predictors name the measurement "
            "without `me` to treat it as exact.",
            source,
            span_of(right),
        )
    return predictor


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
