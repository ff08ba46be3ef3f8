"""Formula text -> symbols that know where they stand.

formulaic's tokenizer finds names, numbers, code and operators. Two things are
added here: a run of operator characters such as ``~-`` is split, and every
symbol keeps the half-open range of the text it came from, so that an error can
underline it. Code is put into Python's spelling on the way (`dialect`).
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from formulaic.errors import FormulaicError
from formulaic.parser.algos.sanitize_tokens import sanitize_python_code
from formulaic.parser.algos.tokenize import tokenize
from formulaic.parser.types import Token

from hglm.errors import FormulaError
from hglm.formula.brackets import CLOSER, check_brackets, depths
from hglm.formula.dialect import to_python

__all__ = [
    "Symbol",
    "arguments",
    "call",
    "expression",
    "lex",
    "slice_of",
    "span_of",
    "spell_code",
    "spell_name",
]

Kind = Literal["name", "value", "code", "operator", "open", "close"]

_PLAIN_NAME = re.compile(r"[^\W\d][\w.]*")
_CALL = re.compile(r"\s*([^\W\d][\w.]*)\s*\(")
_RUNS = "*|=&"  # characters that make one operator when repeated


@dataclass(frozen=True, slots=True)
class Symbol:
    """One word or sign of a formula."""

    kind: Kind
    text: str
    """As formulaic reads it: odd names in backticks, code other than a call in braces."""
    start: int
    stop: int

    @property
    def label(self) -> str:
        """Bare name or Python expression, without backticks or braces."""
        if self.text[0] in "`{":
            return self.text[1:-1]
        return self.text


def lex(source: str, start: int = 0, stop: int | None = None) -> tuple[Symbol, ...]:
    """Split ``source[start:stop]`` into symbols.

    Raises
    ------
    FormulaError
        Where brackets or quotes do not close, or code is not Python.
    """
    part = source[start:stop]
    check_brackets(source, start, start + len(part))
    try:
        tokens = list(tokenize(part))
    except FormulaicError as error:
        raise FormulaError(
            "This part of the formula cannot be read; check its quotes, brackets and % signs.",
            source,
            (start, start + len(part)),
        ) from error
    return tuple(symbol for token in tokens for symbol in _symbols(token, source, start))


def call(symbol: Symbol, source: str) -> tuple[str, int, int] | None:
    """Name and inner range of code that is one call, ``name(...)``, else None."""
    return _call(source, symbol.start, symbol.stop) if symbol.kind == "code" else None


def arguments(source: str, start: int, stop: int) -> list[tuple[int, int]]:
    """Ranges between the commas of a call's inside, spaces trimmed."""
    commas = [i for i, depth in depths(source, start, stop) if depth == 0 and source[i] == ","]
    ranges = itertools.pairwise([start - 1, *commas, stop])
    return [_trimmed(source, before + 1, comma) for before, comma in ranges]


def expression(source: str, start: int, stop: int) -> str | None:
    """Bare column name or Python expression of a range; None if it is neither."""
    text = source[start:stop].strip()
    if text[:1] == "`" and text.find("`", 1) == len(text) - 1:
        return text[1:-1]
    return text if _PLAIN_NAME.fullmatch(text) else _python(text)


def spell_name(name: str) -> str:
    """Name as formulaic reads it."""
    return name if _PLAIN_NAME.fullmatch(name) else f"`{name}`"


def spell_code(python: str) -> str:
    """Expression as formulaic reads it: a call as it is, all else in braces."""
    return python if _call(python, 0, len(python)) else f"{{{python}}}"


def span_of(symbols: Sequence[Symbol]) -> tuple[int, int]:
    """Range of the text from the first symbol to the last."""
    return symbols[0].start, symbols[-1].stop


def slice_of(source: str, symbols: Sequence[Symbol]) -> str:
    """Text as typed from the first symbol to the last."""
    start, stop = span_of(symbols)
    return source[start:stop]


def _symbols(token: Token, source: str, offset: int) -> Iterator[Symbol]:
    """Symbols of one token whose positions count from `offset`."""
    start = offset + (token.source_start or 0)
    stop = offset + (token.source_end or 0) + 1
    match token.kind:
        case Token.Kind.OPERATOR:
            yield from _operators(source, start, stop)
        case Token.Kind.CONTEXT if token.token in "[]":
            raise FormulaError(
                "Square brackets cannot group terms; write round ones.", source, (start, stop)
            )
        case Token.Kind.CONTEXT:
            yield Symbol("open" if token.token in CLOSER else "close", token.token, start, stop)
        case Token.Kind.NAME:
            quoted = source[start] == "`"
            yield Symbol("name", spell_name(token.token), start, stop + quoted)
        case Token.Kind.PYTHON:
            braced = source[start] == "{"
            yield _code(token.token, source, start, stop + braced)
        case _:
            yield Symbol("value", token.token, start, stop)


def _operators(source: str, start: int, stop: int) -> Iterator[Symbol]:
    if source[start] == "%":  # the tokenizer leaves the signs out
        closing = source.index("%", start + 1) + 1
        yield Symbol("operator", source[start:closing], start, closing)
        start = closing
    signs = [i for i in range(start, stop) if not source[i].isspace()]
    for key, group in itertools.groupby(signs, lambda i: source[i] if source[i] in _RUNS else i):
        positions = list(group)
        text = str(key) * len(positions) if isinstance(key, str) else source[key]
        yield Symbol("operator", text, positions[0], positions[-1] + 1)


def _code(text: str, source: str, start: int, stop: int) -> Symbol:
    """Code symbol; text with a bar may be a structure and is checked later."""
    python = _python(text)
    if python is None and "|" not in text:
        raise FormulaError(
            f"`{text}` is not a valid Python expression; mend it, or put the result in a "
            "column of the data and name that.",
            source,
            (start, stop),
        )
    return Symbol("code", spell_code(python or text), start, stop)


def _python(text: str) -> str | None:
    """Expression in Python's spelling, formatted as formulaic does; None if it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SyntaxWarning)
            return str(sanitize_python_code(to_python(text).strip()))
    except (SyntaxError, ValueError):
        return None


def _call(source: str, start: int, stop: int) -> tuple[str, int, int] | None:
    match = _CALL.match(source, start, stop)
    if match is None:
        return None
    inner = match.end()
    closers = (i for i, depth in depths(source, inner, stop) if depth < 0)
    return (match[1], inner, stop - 1) if next(closers, -1) == stop - 1 else None


def _trimmed(source: str, start: int, stop: int) -> tuple[int, int]:
    text = source[start:stop]
    start += len(text) - len(text.lstrip())
    return start, start + len(text.strip())
