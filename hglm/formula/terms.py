"""Sums of terms: check what was typed, expand it, write it back canonically.

The meaning of ``+ - * / : ** %in%`` is formulaic's. What is checked first is
what a reader gets wrong, so that the caret stands under the slip.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from formulaic import Formula
from formulaic.errors import FormulaicError
from formulaic.parser.types import Factor, Term

from hglm.errors import FormulaError
from hglm.formula.lexer import Symbol, slice_of, span_of, spell_code, spell_name

__all__ = ["check_operands", "expand", "join", "single_factors"]

_OPERATORS = frozenset(("+", "-", "*", "/", ":", "**", "^", "%in%"))
_SMALL = re.compile("[1-9]")
_REMEDIES = {
    "|": "write random effects in brackets, `(x | g)`",
    "||": "write random effects in brackets, `(x || g)`",
    "~": "a formula has one `~`, between the response and the predictors",
    "=": "write `~` between the response and the predictors, and other options as arguments",
    "$": "write the name of the column alone, as in `x` for `data$x`",
    ",": "give options as arguments outside the formula",
}


def check_operands(
    symbols: Sequence[Symbol],
    source: str,
    operators: frozenset[str] = _OPERATORS,
    signs: tuple[str, ...] = ("+", "-"),
) -> None:
    """Raise where an operator lacks an operand, or operands an operator.

    `signs` are the operators that may stand before a single operand.
    """
    for symbol in symbols:
        _check_symbol(symbol, source, operators)
    for before, after in itertools.pairwise(symbols):
        _check_pair(before, after, source, signs)
    first, last = symbols[0], symbols[-1]
    if first.kind == "operator" and first.text not in signs:
        raise _lacks("before", first, source)
    if last.kind == "operator":
        raise _lacks("after", last, source)


def expand(symbols: Sequence[Symbol], source: str) -> tuple[str, ...]:
    """Terms of a sum, products multiplied out; ``"1"`` first unless removed.

    Each is spelt so that formulaic reads it again. Sorted by degree, as in R.
    """
    check_operands(symbols, source)
    text = " ".join(symbol.text for symbol in symbols)
    try:
        terms = list(Formula(text))
    except (FormulaicError, SyntaxError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise FormulaError(
            f"`{slice_of(source, symbols)}` is not a sum of terms: {reason}.",
            source,
            span_of(symbols),
        ) from error
    return tuple(_spell(term) for term in terms)


def single_factors(symbols: Sequence[Symbol]) -> tuple[str, ...] | None:
    """Expressions of a valid sum without intercept or products, else None."""
    terms = list(Formula(" ".join(symbol.text for symbol in symbols)))
    single = all(
        len(term.factors) == 1 and term.factors[0].eval_method is not Factor.EvalMethod.LITERAL
        for term in terms
    )
    return tuple(term.factors[0].expr for term in terms) if terms and single else None


def join(terms: Sequence[str]) -> str:
    """Right-hand side that states its intercept: ``"1 + x"`` or ``"0 + x"``."""
    return " + ".join(terms if "1" in terms else ("0", *terms))


def _check_symbol(symbol: Symbol, source: str, operators: frozenset[str]) -> None:
    if symbol.text in (".", "`.`"):
        raise FormulaError(
            "`.` for all other columns is not supported; name the columns.",
            source,
            (symbol.start, symbol.stop),
        )
    if symbol.kind == "operator" and symbol.text not in operators:
        remedy = _REMEDIES.get(symbol.text, "put the expression into `I(...)` if Python is meant")
        raise FormulaError(
            f"`{symbol.text}` cannot stand here; {remedy}.", source, (symbol.start, symbol.stop)
        )


def _check_pair(before: Symbol, after: Symbol, source: str, signs: tuple[str, ...]) -> None:
    ends = before.kind in ("name", "value", "code", "close")
    starts = after.kind in ("name", "value", "code", "open")
    if ends and starts:
        what = f"`{source[before.start : before.stop]}` and `{source[after.start : after.stop]}`"
        remedy = "write `+`, `:` or `*`"
        if before.kind == "name" and after.kind == "open":
            remedy += f", or no space between the bracket and `{before.text}` if it is a function"
        raise FormulaError(
            f"There is no operator between {what}; {remedy}.", source, (before.start, after.stop)
        )
    if before.kind == "open" and after.kind == "close":
        raise FormulaError(
            "There is nothing in these brackets; remove them or write a term inside.",
            source,
            (before.start, after.stop),
        )
    if before.kind == "operator" and after.kind == "close":
        raise _lacks("after", before, source)
    if after.kind == "operator" and after.text not in signs and not ends:
        raise _lacks("before", after, source)
    if before.text in ("**", "^") and not _SMALL.fullmatch(after.text):
        raise FormulaError(
            "A power of terms is a number from 1 to 9, as in `(a + b)**2` for all interactions of "
            "two; the square of a column is `I(x**2)`.",
            source,
            (before.start, after.stop),
        )


def _lacks(where: str, operator: Symbol, source: str) -> FormulaError:
    return FormulaError(
        f"There is nothing {where} `{operator.text}`; write a term there or remove it.",
        source,
        (operator.start, operator.stop),
    )


def _spell(term: Term) -> str:
    return ":".join(_spell_factor(factor) for factor in term.factors)


def _spell_factor(factor: Factor) -> str:
    match factor.eval_method:
        case Factor.EvalMethod.LOOKUP:
            return spell_name(factor.expr)
        case Factor.EvalMethod.PYTHON:
            return spell_code(factor.expr)
        case _:
            return str(factor.expr)
