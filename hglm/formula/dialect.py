"""R's spelling of expressions -> Python's.

People paste formulas from R. Where a spelling means one thing only, it is
translated: ``x^2`` (which Python would take as exclusive or), ``factor(x)``,
``TRUE``, ``NULL``. Text in quotes or backticks is left alone.
"""

from __future__ import annotations

import re

__all__ = ["to_python"]

_QUOTED = re.compile(r"(\"[^\"]*\"|'[^']*'|`[^`]*`)")
_SPELLINGS = (
    (re.compile(r"\^"), "**"),
    (re.compile(r"(?<![\w.])(?:as\.)?factor(?=\s*\()"), "C"),
    (re.compile(r"(?<![\w.])TRUE(?![\w.(])"), "True"),
    (re.compile(r"(?<![\w.])FALSE(?![\w.(])"), "False"),
    (re.compile(r"(?<![\w.])NULL(?![\w.(])"), "None"),
)


def to_python(expression: str) -> str:
    """Translate one expression.

    Examples
    --------
    >>> to_python("I(x^2) + poly(z, 2, raw = TRUE)")
    'I(x**2) + poly(z, 2, raw = True)'
    """
    parts = _QUOTED.split(expression)
    for i in range(0, len(parts), 2):  # the odd ones are the quotations
        for pattern, replacement in _SPELLINGS:
            parts[i] = pattern.sub(replacement, parts[i])
    return "".join(parts)
