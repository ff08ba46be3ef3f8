"""What a formula says, before any data are seen: frozen records."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MeasuredFormula", "ModelFormula", "PredictorFormula", "RandomTermFormula"]


@dataclass(frozen=True, slots=True)
class RandomTermFormula:
    """One bar term: `structure(columns | group)`.

    `(1 | a/b)` and `(x || g)` have been expanded: each record is one block of
    correlated coefficients for the levels of one grouping factor.
    """

    columns: str
    """Formulaic right-hand side of the coefficients, e.g. ``"1 + days"``."""
    factors: tuple[str, ...]
    """Expressions whose interaction is the grouping factor, in the order in
    which they label a level: `(1 | batch/cask)` gives ``("cask", "batch")``."""
    structure: str = "us"
    """Covariance structure: a name known to `hglm.covariance`."""
    span: tuple[int, int] = (0, 0)
    """Where the term stands in the text, for error messages."""
    positions: tuple[str, ...] = ()
    """Expressions in `columns` that say where a row stands, for structures over
    occasions or points in space."""
    known: bool = False
    """Whether it was written `known(columns | group)`: the levels are related."""

    @property
    def group(self) -> str:
        """Name of the grouping factor, as lme4 spells it: ``"cask:batch"``."""
        return ":".join(self.factors)


@dataclass(frozen=True, slots=True)
class MeasuredFormula:
    """A covariate measured with error, `me(x, se)`: the fixed term x with a known error."""

    term: str
    """As formulaic reads it; it is one of the terms of the fixed part."""
    se: str
    """Expression of the standard errors of measurement: a column or a number."""


@dataclass(frozen=True, slots=True)
class PredictorFormula:
    """One linear predictor: fixed part, offsets and random terms."""

    fixed: str
    """Formulaic right-hand side, bars and offsets removed, e.g. ``"1 + days"``."""
    random: tuple[RandomTermFormula, ...] = ()
    offsets: tuple[str, ...] = ()
    """Expressions inside `offset(...)`."""
    measured: MeasuredFormula | None = None
    """Which fixed term is measured with error, if any."""


@dataclass(frozen=True, slots=True)
class ModelFormula:
    """A whole model formula."""

    text: str
    """As the user typed it."""
    response: tuple[str, ...]
    """One expression, or two for `cbind(successes, failures)`."""
    mean: PredictorFormula
