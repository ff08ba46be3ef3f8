"""The arrays of a model: what every later stage computes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hglm.typing import Codes, Matrix, Vector

__all__ = ["Design", "Measured", "Positions", "PredictorDesign", "RandomTerm", "Relation"]


@dataclass(frozen=True, slots=True)
class Positions:
    """Where each row stands along a line of occasions, or in space.

    Each of the k distinct places has a coefficient, and a row has that of its
    place: k indicator columns, of which only the codes are kept.
    """

    codes: Codes
    """(n,) place of each row."""
    coordinates: Matrix
    """(k, d) of the places, ascending; in new data those of new places follow."""


@dataclass(frozen=True, slots=True)
class Relation:
    """How the levels of a grouping factor are related: b = RU, U with independent rows."""

    root: Matrix
    """(n_levels, r) R; in new data rows for new levels follow."""
    rest: Vector
    """(n_levels,) relative variance that a new level has of its own, 0 for those of the fit."""


@dataclass(frozen=True, slots=True)
class RandomTerm:
    """One block of random effects: integer codes and a few columns.

    The n × (n_levels k) matrix Z of the textbook is never formed: row i has
    the k numbers `z[i]` in the columns of level `codes[i]`, else zeros.
    """

    group: str
    """Name of the grouping factor, e.g. ``"subject"`` or ``"cask:batch"``."""
    names: tuple[str, ...]
    """Names of the k coefficients, e.g. ``("Intercept", "days")``."""
    levels: pd.Index
    """(n_levels,) labels; ``"a:A"`` for interactions. No unused levels."""
    codes: Codes
    """(n,) position in `levels`; -1 for a new level (only at prediction)."""
    z: Matrix
    """(n, k) columns; (n, 0) where `positions` stand for them."""
    structure: str = "us"
    """Covariance structure of the k coefficients."""
    positions: Positions | None = None
    """Which of the k coefficients each row has, in place of indicator columns."""
    relation: Relation | None = None
    """Of the levels; None: independent."""

    @property
    def k(self) -> int:
        """Number of coefficients a level."""
        return len(self.names)

    @property
    def n_levels(self) -> int:
        """Number of levels."""
        return len(self.levels)

    @property
    def coordinates(self) -> Matrix | None:
        """(k, d) of the coefficients, where they stand at positions."""
        return None if self.positions is None else self.positions.coordinates

    def effects(self, b: Matrix) -> Vector:
        """z'b row by row, 0 for rows of new levels.

        Parameters
        ----------
        b : (n_levels, k)

        Returns
        -------
        (n,)
        """
        known = self.codes >= 0
        if self.positions is not None:
            out: Vector = b[np.maximum(self.codes, 0), self.positions.codes]
        else:
            out = np.zeros(len(self.codes))
            for a in range(self.k):
                out += np.take(b[:, a], self.codes, mode="clip") * self.z[:, a]
        return out if known.all() else np.where(known, out, 0.0)

    def variances(self, covariance: Matrix, own: bool | None = None) -> Vector:
        """Variance of z'b row by row, known level or not.

        Parameters
        ----------
        covariance : (k, k)
            Of the coefficients of one level, where levels are independent.
        own
            Of related levels only the part that a level has of its own, or that it
            shares with those of the fit; both if None.

        Returns
        -------
        (n,)
        """
        if self.positions is not None:
            out: Vector = np.diagonal(covariance)[self.positions.codes]
        else:
            out = np.einsum("ni,ij,nj->n", self.z, covariance, self.z, optimize=True)
        if self.relation is None:
            return np.zeros(len(out)) if own else out
        shared, rest = (self.relation.root**2).sum(axis=1), self.relation.rest
        factor = shared + rest if own is None else rest if own else shared
        return out * np.where(self.codes >= 0, factor[np.maximum(self.codes, 0)], 1.0)

    def columns(self) -> Matrix:
        """Write the columns out, indicators too. (n, k)"""
        if self.positions is None:
            return self.z
        out = np.zeros((len(self.codes), len(self.positions.coordinates)))
        out[np.arange(len(out)), self.positions.codes] = 1.0
        return out


@dataclass(frozen=True, slots=True)
class PredictorDesign:
    """One linear predictor η = Xβ + Zb + offset in arrays."""

    X: Matrix
    """(n, p) fixed-effects columns, of full column rank."""
    names: tuple[str, ...]
    """(p,) formulaic's column names."""
    terms: Mapping[str, tuple[int, ...]]
    """Fixed-effect term -> positions of its columns in X (may be empty)."""
    offset: Vector | None
    """(n,) sum of the offsets, or None."""
    random: tuple[RandomTerm, ...]
    """In the order of the formula."""
    dropped: tuple[str, ...] = ()
    """Names of columns left out because they depend on earlier ones."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Which fixed column of the mean is measured with error, and how precisely."""

    column: int
    """Its position in X."""
    se: Vector
    """(n,) standard errors of measurement, >= 0."""
    text: str
    """How the standard errors were given."""


@dataclass(frozen=True, slots=True)
class Design:
    """Response, weights and predictors of the complete cases.

    Rows are in the order of the data; `index` holds their labels.
    """

    response: str
    """Name of the response, as typed."""
    y: Vector
    """(n,) response; for binomial counts the proportion of successes."""
    mean: PredictorDesign
    index: pd.Index
    """(n,) row labels of the complete cases (pandas' index, else 0 ... n-1)."""
    n_rows: int
    """Rows of the data frame, missing ones included."""
    weights: Vector | None = None
    """(n,) precision weights w: variance φ/w."""
    frequencies: Vector | None = None
    """(n,) how many identical observations a row stands for."""
    trials: Vector | None = None
    """(n,) binomial sizes."""
    notes: tuple[str, ...] = ()
    """What the reader should know: rows left out, columns dropped, ..."""
    others: Mapping[str, PredictorDesign] = field(default_factory=dict)
    """Further linear predictors by name: ``"dispersion"``, ..."""
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    """(n, ...) columns of the data that the model uses, in the rows used."""
    response_levels: tuple[str, ...] = ()
    """Categories that y = 0, 1, ... stands for, if the response has some."""
    measured: Measured | None = None
    """The covariate in `me(x, se)`, if there is one."""

    @property
    def n(self) -> int:
        """Number of rows used."""
        return len(self.y)

    @property
    def nobs(self) -> float:
        """Number of observations: rows, or the sum of the frequencies."""
        return float(self.n if self.frequencies is None else np.sum(self.frequencies))
