"""`me(x, se)`: a fixed term that is measured with error."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from hglm.errors import FormulaError
from hglm.formula.lexer import Symbol, arguments, call, expression, lex, spell_code
from hglm.formula.spec import MeasuredFormula

__all__ = ["MeasuredTerm", "check_exact_terms", "measured_term"]

_ANYWHERE = re.compile(r"(?<![\w.])me\s*\(")


class MeasuredTerm(NamedTuple):
    """What was found, and the symbol that takes its place among the fixed terms."""

    formula: MeasuredFormula
    symbol: Symbol


def measured_term(
    summand: Sequence[Symbol], source: str, earlier: MeasuredTerm | None
) -> MeasuredTerm | None:
    """Read a summand that is `me(x, se)`; None where nothing is measured with error.

    Parameters
    ----------
    earlier
        Such a term to the left, if there is one.

    Raises
    ------
    FormulaError
        Where `me` stands in a product, in a function or in a random term.
    """
    for symbol in summand:
        if symbol.kind != "code" or not _ANYWHERE.search(source, symbol.start, symbol.stop):
            continue
        span = (symbol.start, symbol.stop)
        found = call(symbol, source)
        if len(summand) > 1 or found is None or found[0] != "me":
            raise FormulaError(
                "A covariate measured with error is a fixed term of its own, `+ me(x, se)`, and "
                "has no interactions, functions or random slopes; take it out, or name the "
                "measurement without `me` to treat it as exact.",
                source,
                span,
            )
        if earlier is not None:
            raise FormulaError(
                "One covariate can be measured with error, and this is the second `me(...)`; name "
                "the measurement without `me` to treat it as exact.",
                source,
                span,
            )
        return _read(symbol, found[1], found[2], source)
    return None


def check_exact_terms(fixed: Sequence[Symbol], measured: MeasuredTerm, source: str) -> None:
    """Refuse the same covariate as an exact one among the fixed terms."""
    for symbol in fixed:
        if symbol is not measured.symbol and symbol.text == measured.symbol.text:
            raise FormulaError(
                f"`{symbol.label}` is measured with error in `me(...)` and cannot be exact here; "
                "keep one of the two.",
                source,
                (symbol.start, symbol.stop),
            )


def _read(symbol: Symbol, start: int, stop: int, source: str) -> MeasuredTerm:
    ranges = arguments(source, start, stop)
    values = [expression(source, a, b) for a, b in ranges]
    if len(values) != 2 or not all(values):
        raise FormulaError(
            "`me` takes the measurements and their standard errors, as in `me(x, se)` with a "
            "column `se`, or `me(x, 0.3)`.",
            source,
            (symbol.start, symbol.stop),
        )
    inside = lex(source, *ranges[0])
    single = len(inside) == 1 and inside[0].kind in ("name", "code")
    x = inside[0] if single else Symbol("code", spell_code(str(values[0])), *ranges[0])
    return MeasuredTerm(MeasuredFormula(x.text, str(values[1])), x)
