"""Every exception and warning of the package.

Each error names the thing, the cause and the remedy, and subclasses the
built-in exception people would try to catch (`ValueError`, `KeyError`).
"""

from __future__ import annotations

__all__ = [
    "ColumnNotFoundError",
    "DataError",
    "FitError",
    "FormulaError",
    "HglmError",
    "HglmWarning",
    "OptionError",
]


class HglmError(Exception):
    """Base of every error that hglm raises on purpose."""


class FormulaError(HglmError, ValueError):
    """A formula that cannot be read.

    Parameters
    ----------
    message
        One sentence: what is wrong and what to write instead.
    text
        The formula as the user typed it.
    span
        Half-open character range of `text` to underline, if known.
    """

    def __init__(self, message: str, text: str = "", span: tuple[int, int] | None = None) -> None:
        self.message = message
        self.text = text
        self.span = span
        super().__init__(message, text, span)  # all three, so that the error pickles

    def __str__(self) -> str:
        if not self.text or self.span is None:
            return self.message
        start, stop = self.span
        carets = " " * start + "^" * max(1, stop - start)
        return f"{self.message}\n    {self.text}\n    {carets}"


class DataError(HglmError, ValueError):
    """Data that the model cannot use: empty, infinite, mismatched, ..."""


class ColumnNotFoundError(DataError, KeyError):
    """A formula or argument names a column that the data does not have."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0])


class OptionError(HglmError, ValueError):
    """An argument of a public function has a value it cannot take."""


class FitError(HglmError, ArithmeticError):
    """The numbers broke down where no sensible answer exists."""


class HglmWarning(UserWarning):
    """Base of the warnings that hglm issues."""
