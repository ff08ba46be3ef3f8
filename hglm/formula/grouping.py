"""The right-hand side of a bar: which interactions of factors are the groups.

``a:b`` is one grouping, ``a/b`` is ``b:a`` then ``a`` (finest first, as lme4),
``a * b`` is ``a``, ``b`` and ``a:b``, ``a + b`` is ``a`` and ``b``. `:` binds
tightest, then `/` and `*` from left to right, then `+`.
"""

from __future__ import annotations

from collections.abc import Sequence

from hglm.errors import FormulaError
from hglm.formula.lexer import Symbol, arguments, call, expression, span_of
from hglm.formula.terms import check_operands

__all__ = ["groupings"]

Grouping = tuple[str, ...]

_OPERATORS = frozenset("+*/:")
_MARKERS = frozenset(("factor", "as.factor", "C"))  # a grouping is a factor anyway


def groupings(symbols: Sequence[Symbol], source: str) -> tuple[Grouping, ...]:
    """Expand a grouping expression into tuples of factors."""
    check_operands(symbols, source, _OPERATORS, signs=())
    return tuple(dict.fromkeys(_sum(symbols, source)))


def _sum(symbols: Sequence[Symbol], source: str) -> list[Grouping]:
    at = _last_operator(symbols, "+")
    if at is None:
        return _product(symbols, source)
    return [*_sum(symbols[:at], source), *_product(symbols[at + 1 :], source)]


def _product(symbols: Sequence[Symbol], source: str) -> list[Grouping]:
    at = _last_operator(symbols, "/*")
    if at is None:
        return _interaction(symbols, source)
    left, right = _product(symbols[:at], source), _interaction(symbols[at + 1 :], source)
    if symbols[at].text == "*":
        return [*left, *right, *(_cross(a, b) for a in left for b in right)]
    whole = max(left, key=len)
    return [*(_cross(inner, whole) for inner in right), *left]


def _interaction(symbols: Sequence[Symbol], source: str) -> list[Grouping]:
    at = _last_operator(symbols, ":")
    if at is None:
        return _atom(symbols, source)
    left, right = _interaction(symbols[:at], source), _atom(symbols[at + 1 :], source)
    return [_cross(a, b) for a in left for b in right]


def _atom(symbols: Sequence[Symbol], source: str) -> list[Grouping]:
    first = symbols[0]
    if first.kind == "open":
        return _sum(symbols[1:-1], source)
    if first.kind == "name":
        return [(first.label,)]
    if first.kind == "code":
        return [_from_code(first, source)]
    raise FormulaError(
        f"`{first.text}` cannot be a grouping factor; write the name of a column after the bar.",
        source,
        span_of(symbols),
    )


def _from_code(symbol: Symbol, source: str) -> Grouping:
    """Factors of `interaction(a, b)` or `factor(g)`, else the expression itself."""
    found = call(symbol, source)
    if found is not None:
        name, start, stop = found
        ranges = arguments(source, start, stop)
        if name == "interaction" or (name in _MARKERS and len(ranges) == 1):
            factors = tuple(expression(source, a, b) or "" for a, b in ranges)
            if "" in factors:
                raise FormulaError(
                    f"`{name}` here takes names of columns, as in `{name}(g)`.",
                    source,
                    (symbol.start, symbol.stop),
                )
            return factors
    return (symbol.label,)


def _cross(left: Grouping, right: Grouping) -> Grouping:
    return tuple(dict.fromkeys((*left, *right)))


def _last_operator(symbols: Sequence[Symbol], operators: str) -> int | None:
    """Position of the last of these operators outside brackets."""
    depth = 0
    for at in range(len(symbols) - 1, -1, -1):
        depth += (symbols[at].kind == "close") - (symbols[at].kind == "open")
        if depth == 0 and symbols[at].kind == "operator" and symbols[at].text in operators:
            return at
    return None
