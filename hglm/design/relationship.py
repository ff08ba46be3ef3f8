"""Relationship matrices: how the levels of a grouping factor are related.

A pedigree, a phylogeny or genetic markers say how the random effects of levels vary
together, b ~ N(0, K ⊗ Σ). Of K, or of its inverse where that is what is known (and
sparse: a pedigree's, a Markov field's), the part that belongs to the levels of the
data is factored, K = RR', so that b = RU with independent rows of U. Levels of K that
have no data can still be predicted: with K_no the part between them and the others,

    E[b_n | b_o] = K_no K_oo^-1 b_o = R_n U,   R_n = K_no R (R'R)^-1,   K_nn - R_nR_n' left over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg, sparse
from scipy.sparse.linalg import splu

from hglm.design.arrays import Relation
from hglm.errors import DataError, OptionError
from hglm.formula.hints import did_you_mean, listing
from hglm.formula.spec import PredictorFormula, RandomTermFormula
from hglm.typing import Codes, Matrix

__all__ = ["RelatedLevels", "Relationship", "Relationships", "read_relationships"]

SYMMETRY = 1e-8
"""Largest difference of K_ij and K_ji, relative to the largest element."""
RANK = 1e-10
"""Eigenvalues of K, relative to the largest, that count as zero."""
CHUNK = 256
"""Columns of the inverse at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Relationship:
    """A relationship matrix with the names of its rows.

    Parameters
    ----------
    matrix : (N, N)
        Symmetric, positive semidefinite; dense, or any of SciPy's sparse matrices.
    labels
        (N,) levels of the grouping factor, in the order of the rows. More levels than
        the data have are welcome.
    precision
        Whether the matrix is the inverse of the relationship matrix.

    Examples
    --------
    >>> import numpy as np
    >>> Relationship(np.array([[1.0, 0.5], [0.5, 1.0]]), ["calf", "dam"]).precision
    False
    """

    matrix: Any
    labels: Any
    precision: bool = False

    def among(self, rows: Codes, cols: Codes) -> Matrix:
        """Part of the relationship matrix itself."""
        if not self.precision:
            part = self.matrix[rows][:, cols]
            return np.asarray(part if isinstance(part, np.ndarray) else part.toarray(), np.float64)
        try:
            lu = splu(sparse.csc_array(self.matrix, dtype=np.float64))
        except RuntimeError as error:
            raise DataError(
                "The precision matrix is singular, so it has no covariance matrix; give one that "
                "is positive definite."
            ) from error
        out = np.empty((len(rows), len(cols)))
        for start in range(0, len(cols), CHUNK):
            here = cols[start : start + CHUNK]
            unit = np.zeros((self.matrix.shape[0], len(here)))
            unit[here, np.arange(len(here))] = 1.0
            out[:, start : start + CHUNK] = lu.solve(unit)[rows]
        return out


@dataclass(frozen=True, slots=True, eq=False)
class RelatedLevels:
    """Relationships of a grouping factor's levels, kept for new data."""

    relationship: Relationship
    known: Codes
    """(q,) rows of the matrix that belong to the levels."""
    root: Matrix
    """(q, r) R."""

    @property
    def of_fit(self) -> Relation:
        """Relations of the levels of the fit."""
        return Relation(self.root, np.zeros(len(self.root)))

    def extended(self, codes: Codes, labels: pd.Index) -> tuple[Codes, Relation]:
        """Find new levels among those of the matrix.

        Parameters
        ----------
        codes : (n,)
            Levels of rows, negative for new ones.
        labels : (n,)
            Their names.

        Returns
        -------
        codes : (n,)
            Those of new levels that are related follow the levels of the fit.
        relation
        """
        q = len(self.root)
        new = np.flatnonzero(codes < 0)
        place = _places(pd.Index(self.relationship.labels), labels[new])
        rows, number = np.unique(place[place >= 0], return_inverse=True)
        codes = codes.copy()
        codes[new[place >= 0]] = q + number
        if not len(rows):
            return codes, self.of_fit
        shared = self.relationship.among(rows, self.known)
        own = np.diagonal(self.relationship.among(rows, rows))
        following = linalg.solve(self.root.T @ self.root, (shared @ self.root).T).T
        rest = np.maximum(own - (following**2).sum(axis=1), 0.0)
        return codes, Relation(
            np.concatenate([self.root, following]), np.concatenate([np.zeros(q), rest])
        )


@dataclass(frozen=True, slots=True)
class Relationships:
    """Relationship matrices of a model, and the terms they are for."""

    matrices: Mapping[str, Relationship]
    """By grouping factor."""
    explicit: frozenset[str]
    """Grouping factors with a term written `known(... | group)`, the only related one then."""

    def of(self, term: RandomTermFormula, levels: pd.Index) -> RelatedLevels | None:
        """Relate the levels of a term; None if they are independent."""
        related = term.known or (term.group in self.matrices and term.group not in self.explicit)
        if not related:
            return None
        return _related_levels(self.matrices[term.group], levels, term.group)


def read_relationships(
    covariances: Mapping[str, Any] | None, predictors: Iterable[PredictorFormula]
) -> Relationships:
    """Read the argument `covariances` of a model.

    Parameters
    ----------
    covariances
        Grouping factor -> a `Relationship`, a data frame whose rows and columns are
        named by the levels, a mapping of mappings, or a pair (matrix, labels).
    predictors
        Of the model.

    Raises
    ------
    DataError, OptionError
    """
    terms = [term for predictor in predictors for term in predictor.random]
    given = dict(covariances or {})
    for group in given:
        if group not in {term.group for term in terms}:
            raise OptionError(
                f"The argument `covariances` has a matrix for `{group}`, which is not a grouping "
                f"factor of the model. {did_you_mean(group, [term.group for term in terms])}"
            )
    explicit = frozenset(term.group for term in terms if term.known)
    for group in explicit - set(given):
        raise OptionError(
            f"`known(... | {group})` needs the relationship matrix of its levels; pass "
            f'`covariances={{"{group}": K}}`.'
        )
    return Relationships({g: _read(value, g) for g, value in given.items()}, explicit)


def _read(value: Any, group: str) -> Relationship:
    if isinstance(value, Relationship):
        found = value
    elif isinstance(value, tuple) and len(value) == 2:
        found = Relationship(*value)
    else:
        found = _from_frame(value, group)
    labels = pd.Index(found.labels)
    matrix: Any = found.matrix
    is_sparse = sparse.issparse(matrix)
    matrix = sparse.csr_array(matrix) if is_sparse else np.asarray(matrix)
    shape = matrix.shape
    if matrix.dtype.kind not in "biuf":
        raise DataError(f"The relationship matrix of `{group}` does not hold numbers.")
    if len(shape) != 2 or shape[0] != shape[1]:
        raise DataError(
            f"The relationship matrix of `{group}` has shape {shape}, but it must be square."
        )
    if len(labels) != shape[0]:
        raise DataError(
            f"The relationship matrix of `{group}` has {shape[0]} rows but {len(labels)} labels; "
            "give one label a row."
        )
    if not labels.is_unique:
        twice = labels[labels.duplicated()].unique()
        raise DataError(
            f"The relationship matrix of `{group}` has several rows for {listing(twice)}; keep one "
            "row for each level."
        )
    _check_matrix(matrix, group)
    return Relationship(matrix, labels, found.precision)


def _related_levels(relationship: Relationship, levels: pd.Index, group: str) -> RelatedLevels:
    """Factor the relationships of the levels of the data."""
    known = _places(pd.Index(relationship.labels), levels)
    if (known < 0).any():
        raise DataError(
            f"The relationship matrix of `{group}` has no rows for the levels "
            f"{listing(levels[known < 0])}; add them, or leave their rows of data out."
        )
    K = relationship.among(known, known)
    return RelatedLevels(relationship, known, _root(0.5 * (K + K.T), group))


def _from_frame(value: Any, group: str) -> Relationship:
    frame = pd.DataFrame(value) if isinstance(value, Mapping) else value
    if not isinstance(frame, pd.DataFrame):
        raise DataError(
            f"The relationship matrix of `{group}` must say which row belongs to which level; give "
            "a pandas.DataFrame with the levels as index and columns, a pair (matrix, labels), or "
            f"hglm.Relationship(matrix, labels), not {type(value).__name__}."
        )
    if not frame.columns.isin(frame.index).all() or len(frame.columns) != len(frame.index):
        raise DataError(
            f"The relationship matrix of `{group}` has rows and columns for different levels; its "
            "index and columns must be the same."
        )
    ordered = frame[list(frame.index)]
    return Relationship(ordered.to_numpy(dtype=np.float64), frame.index)


def _check_matrix(matrix: Any, group: str) -> None:
    values = matrix if isinstance(matrix, np.ndarray) else matrix.data
    if not np.all(np.isfinite(values)):
        raise DataError(
            f"The relationship matrix of `{group}` has missing or infinite elements; mend them."
        )
    largest = float(np.abs(values).max(initial=0.0))
    difference = abs(matrix - matrix.T).max() if values.size else 0.0
    if difference > SYMMETRY * largest:
        raise DataError(
            f"The relationship matrix of `{group}` is not symmetric: elements differ from their "
            f"mirror images by up to {float(difference):.2g}; give the whole symmetric matrix."
        )


def _root(K: Matrix, group: str) -> Matrix:
    """R with RR' = K, of full column rank. (q, r)"""
    R, info = linalg.lapack.dpotrf(K, lower=1)
    if info == 0 and np.diagonal(R).min() ** 2 > RANK * np.diagonal(K).max():
        return np.asarray(R)
    values, vectors = np.linalg.eigh(K)
    largest = float(values[-1])
    if largest <= 0 or values[0] < -1e-6 * largest:
        raise DataError(
            f"The relationship matrix of `{group}` is not positive semidefinite: its smallest "
            f"eigenvalue is {float(values[0]):.3g}; it cannot be a covariance matrix."
        )
    kept = values > RANK * largest
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))


def _places(labels: pd.Index, levels: pd.Index) -> Codes:
    """Rows of the matrix that levels have, -1 for none; names may be text in one place only."""
    found = labels.get_indexer(levels)
    as_text = pd.Index(labels.map(str))
    if (found < 0).any() and as_text.is_unique:
        found = np.where(found < 0, as_text.get_indexer(pd.Index(levels.map(str))), found)
    return np.asarray(found, dtype=np.intp)
