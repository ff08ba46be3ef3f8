"""Hypotheses about the terms of the fixed part: types I, II and III.

Type I: each term after those before it in the formula. Type II: each term after
all that do not contain it. Type III: the marginal hypothesis, in which a term's
effect is averaged with equal weights over the factors of the terms that contain
it. All three are hypotheses of ordinary least squares (SAS/STAT User's Guide, The
Four Types of Estimable Functions; lmerTest's `anova`), and none depends on the
coding of the factors. `"coefficients"` tests a term's coefficients as they are
coded (car's type III); it means the same as type III under sum-to-zero coding only.

Type III is computed from its definition (Goodnight 1978, SAS Technical Report
R-101). With K the expansion of `hglm.inference.terms`, c'K are the coefficients of
the expanded columns in the estimable function c'β_ref. Among those without
coefficients of terms that neither are E nor contain it, take the orthogonal
complement, as vectors c'K, of those without coefficients of E. Empty cells and
models without intercept need no special rule.

Rows. Satterthwaite's degrees of freedom of several rows together depend on the
basis of the hypothesis when rows differ in their own. So the basis is fixed by
the hypothesis and the reference coding, not by the model's coding, and is the one
that lmerTest has for treatment coding: for types I and II the rows of the unit
upper triangle of X_ref'X_ref, each the column after those before it; for type III
the identity on the reference columns of the term. For a hypothesis of the user
`reduced` gives the reduced row echelon form, the same for every basis of it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from scipy import linalg

from hglm.errors import OptionError
from hglm.inference.terms import FixedTerms
from hglm.typing import Matrix

__all__ = ["AnovaType", "reduced", "term_contrasts"]

AnovaType: TypeAlias = Literal[1, 2, 3, "coefficients"]

ZERO = 1e-8
"""Relative size of singular values and pivots that count as zero."""


def term_contrasts(terms: FixedTerms, type: AnovaType = 3) -> dict[str, Matrix]:  # noqa: A002
    """Hypothesis L β = 0 for every term.

    Parameters
    ----------
    terms
        From `fixed_terms`.
    type
        1, 2, 3 or ``"coefficients"``. Only the last has one for the intercept.

    Returns
    -------
    dict of (r, p)
        Rows L on β; none where the data do not tell.
    """
    if type not in (1, 2, 3, "coefficients"):
        raise OptionError(
            f"There are no tests of type {type!r}; give 1, 2, 3 or "
            '"coefficients" (the coefficients as they are coded).'
        )
    if type == "coefficients":
        eye = np.eye(len(terms.to_reference))
        return {name: eye[list(columns)] for name, columns in terms.coefficients.items()}
    kind = 1 if len(terms.names) == 1 else type  # of a single term all types are one hypothesis
    rows = {1: _sequential, 2: _hierarchical, 3: _marginal}[kind]
    return {name: rows(terms, name) @ terms.to_reference for name in terms.names}


def reduced(contrast: Matrix) -> Matrix:
    """Reduced row echelon form: the same rows for every basis of a hypothesis.

    Parameters
    ----------
    contrast : (r, p)

    Returns
    -------
    (rank, p)

    Examples
    --------
    >>> abs(reduced(np.array([[0.0, 2.0, 2.0], [0.0, 1.0, -1.0], [0.0, 3.0, 1.0]]))).round(12)
    array([[0., 1., 0.],
           [0., 0., 1.]])
    """
    size = np.linalg.norm(contrast, axis=1, keepdims=True)
    rows = contrast / np.where(size > 0.0, size, 1.0)
    basis = linalg.orth(rows.T, rcond=ZERO).T  # (rank, p) orthonormal
    return linalg.solve(basis[:, _pivots(basis)], basis) if len(basis) else basis


def _sequential(terms: FixedTerms, name: str) -> Matrix:
    """Each column of the term after all before it. (r, p) on β_ref"""
    own = list(terms.reference[name])
    rows = terms.triangle[own]
    out: Matrix = rows / rows[np.arange(len(own)), own][:, None]
    return out


def _hierarchical(terms: FixedTerms, name: str) -> Matrix:
    """Move the terms that contain it to the end, then the same. (r, p) on β_ref"""
    own = list(terms.reference[name])
    last = [j for other in terms.containing[name] for j in terms.reference[other]]
    p = len(terms.triangle)
    if not last:
        return np.eye(p)[own]
    first = [j for j in range(p) if j not in own and j not in last]
    order = first + own + last
    places = slice(len(first), len(first) + len(own))
    rows = np.linalg.qr(terms.triangle[:, order], mode="r")[places]
    out = np.empty((len(own), p))
    out[:, order] = rows / np.diagonal(rows[:, places])[:, None]
    return out


def _marginal(terms: FixedTerms, name: str) -> Matrix:
    """Type III; see the module. (r, p) on β_ref"""
    K = terms.expansion
    own = list(terms.expanded[name])
    related = {j for other in (name, *terms.containing[name]) for j in terms.expanded[other]}
    others = [j for j in range(K.shape[1]) if j not in related]
    N = _null_space(K[:, others].T)  # columns c with c'K zero on the others
    silent = N @ _null_space(K[:, own].T @ N)  # and on the term's own columns
    inner = K.T @ N
    c = N @ _null_space((K.T @ silent).T @ inner)
    coefficients = c.T @ K[:, own[::-1]]  # pivots: from the last level, so the first is left out
    pivots = _pivots(coefficients)
    return linalg.solve(coefficients[:, pivots], c.T) if pivots else np.zeros((0, len(K)))


def _null_space(A: Matrix) -> Matrix:
    """Orthonormal basis of {x: Ax = 0}, for A of moderate entries. (n, d)"""
    if not A.size:
        return np.eye(A.shape[1])
    _, values, vectors = np.linalg.svd(A, full_matrices=True)
    rank = int(np.sum(values > ZERO * max(1.0, values[0])))
    out: Matrix = vectors[rank:].T
    return out


def _pivots(A: Matrix) -> list[int]:
    """First columns, from the left, that span the columns of A (r, n) of rank r."""
    left = A.copy()
    scale = float(np.abs(A).max(initial=0.0))
    pivots: list[int] = []
    for j in range(A.shape[1]):
        size = float(np.linalg.norm(left[:, j]))
        if size > ZERO * scale:
            unit = left[:, j] / size
            left -= np.outer(unit, unit @ left)
            left -= np.outer(unit, unit @ left)
            pivots.append(j)
        if len(pivots) == len(A):
            break
    return pivots
