"""Cluster-robust covariances of the fixed effects.

Generalised models have the sandwich of `hglm.inference.diagnostics.robust_likelihood`.
For linear mixed models, with e = y - Xβ̂, M = (X'V^-1X)^-1 and independent clusters c,

    V^R = Σ_c E_c'e_c e_c'E_c,     E_c = A_c V_c^-1 X_c M

    CR0   A_c = I                          (Liang & Zeger 1986, Biometrika 73, 13-22)
    CR1   CR0 times C/(C - 1), C clusters
    CR2   A_c = D_c'B_c^{+½}D_c,  D_c'D_c = V_c,  B_c = D_c(V_c - X_cMX_c')D_c'

CR2 is unbiased if V is right (Bell & McCaffrey 2002, Survey Methodology 28, 169-181;
Pustejovsky & Tipton 2018, J. Bus. Econ. Stat. 36, 672-683, with the fitted V as working
model and its inverse as weights). CR0 needs no matrix larger than p × p; CR2 one of the
size of a cluster at a time.

Degrees of freedom are Satterthwaite's under the working model, in which the terms
E_c'e_c have the covariances

    P_cd = δ_cd T_c - U_c'MU_d,     T_c = E_c'V_cE_c,  U_c = X_c'E_c.

For one row l: ν = (Σ l'P_cc l)²/Σ (l'P_cd l)². For r rows the Wald statistic is matched
to Hotelling's T² (Pustejovsky & Tipton 2018, sec. 3.2, "AHT"): on rows scaled so that
Σ P_cc = I,

    η = r(r + 1)/Σ_cd {(tr P_cd)² + tr(P_cd²)},   F = (η - r + 1)/(ηr) Wald ~ F(r, η - r + 1).

They do not depend on σ², so V is relative to it throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy import linalg

from hglm.design import Design
from hglm.design.arrays import RandomTerm
from hglm.errors import DataError, OptionError
from hglm.fitting.record import Estimates, GeneralisedState
from hglm.inference.diagnostics.clusters import Clusters, cluster_products, clusters
from hglm.inference.diagnostics.robust_covariance import RobustCovariance
from hglm.inference.diagnostics.robust_likelihood import likelihood_robust
from hglm.inference.diagnostics.weighted_rows import WeightedRows, weighted_rows
from hglm.inference.residuals import residuals
from hglm.typing import AnyArray, Codes, Matrix, Vector

__all__ = ["ClusterRobust", "RobustKind", "cluster_robust"]

RobustKind: TypeAlias = Literal["CR0", "CR1", "CR2"]

TOLERANCE = 1e-10
"""Eigenvalues of B_c, relative to the largest, and degrees of freedom that count as zero."""


@dataclass(frozen=True, slots=True)
class ClusterRobust:
    """A robust covariance with its degrees of freedom: a `Denominator` of tests."""

    vcov: Matrix
    """(p, p) V^R."""
    kind: str
    cluster: str
    """Name of the clustering factor."""
    n_clusters: int
    to_beta: Matrix = field(repr=False)
    """(p, p) the next two are in coordinates γ, β = to_beta γ + constant."""
    spread: Matrix = field(repr=False)
    """(C, p, p) T_c."""
    overlap: Matrix = field(repr=False)
    """(C, p, p) R'U_c, RR' = M."""
    others: Mapping[str, Matrix] = field(default_factory=dict)
    """None: linear models have no further predictors."""

    @property
    def rule(self) -> str:
        """Where degrees of freedom come from, in words."""
        return "degrees of freedom by Satterthwaite's method under the model"

    def each(self, contrast: Matrix) -> Vector:
        """Degrees of freedom of each row l'β by itself.

        Parameters
        ----------
        contrast : (r, p)

        Returns
        -------
        (r,)
        """
        rows = contrast @ self.to_beta
        return np.array([_hotelling(*self._on(row[None])) for row in rows])

    def df(self, contrast: Matrix) -> tuple[float, float]:
        """Denominator degrees of freedom of the F test of all rows together.

        Parameters
        ----------
        contrast : (r, p)
            Linearly independent rows.

        Returns
        -------
        df, scaling
            The F statistic is multiplied by the scaling.
        """
        r = len(contrast)
        eta = _hotelling(*self._on(contrast @ self.to_beta))
        df = eta - r + 1.0
        if not df > TOLERANCE:  # too few clusters to test so many rows
            return float("nan"), float("nan")
        return df, df / eta

    def _on(self, rows: Matrix) -> tuple[Matrix, Matrix]:
        """T_c and R'U_c of some rows. (C, r, r), (C, p, r)"""
        return rows @ self.spread @ rows.T, self.overlap @ rows.T


def cluster_robust(
    estimates: Estimates,
    design: Design,
    kind: RobustKind | None = None,
    by: str | AnyArray | None = None,
) -> RobustCovariance:
    """Compute a cluster-robust covariance of the fixed effects.

    Parameters
    ----------
    estimates, design
        Of the fit.
    kind
        ``"CR0"``, ``"CR1"`` or, for linear models, ``"CR2"``; see the module. By
        default the best there is: CR2 for linear models, CR1 for generalised ones.
    by
        See `hglm.inference.diagnostics.clusters.clusters`.
    """
    if kind is not None and kind not in get_args(RobustKind):
        raise OptionError(
            f'There is no robust covariance {kind!r}: it is none of "CR0", "CR1" and "CR2".'
        )
    if isinstance(estimates.state, GeneralisedState):
        found = clusters(design, by)
        return likelihood_robust(estimates, estimates.state, design, kind or "CR1", found)
    return _linear(estimates, design, kind or "CR2", by)


def _linear(
    estimates: Estimates, design: Design, kind: RobustKind, by: str | AnyArray | None
) -> ClusterRobust:
    found = clusters(design, by)
    rows = weighted_rows(estimates, design, "Cluster-robust covariances")
    L_X = rows.solution.L_X
    M = linalg.cho_solve((L_X, True), np.eye(len(L_X)))
    if kind == "CR2":
        contributions, spread, U = _adjusted(estimates, design, rows, found, M)
    else:
        contributions, spread, U = _plain(rows, found, M)
    C, to_beta = len(found.levels), rows.problem.fixed.to_beta
    scores = contributions @ to_beta.T
    vcov = scores.T @ scores * (C / (C - 1.0) if kind == "CR1" else 1.0)
    half = linalg.solve_triangular(L_X, np.eye(len(L_X)), lower=True)  # R' = L_X^-1
    return ClusterRobust(vcov, kind, found.name, C, to_beta, spread, half @ U)


Parts: TypeAlias = tuple[Matrix, Matrix, Matrix]
"""E_c'e_c (C, p), T_c (C, p, p), U_c (C, p, p), in the coordinates γ."""


def _plain(rows: WeightedRows, found: Clusters, M: Matrix) -> Parts:
    G, s = cluster_products(rows, found)
    return s @ M, M @ G @ M, G @ M


def _adjusted(
    estimates: Estimates, design: Design, rows: WeightedRows, found: Clusters, M: Matrix
) -> Parts:
    columns = design.mean.X @ rows.problem.fixed.to_beta
    e = residuals(estimates, design, "marginal").to_numpy()
    relative = [t.factor for t in estimates.terms]
    terms = [design.mean.random[t.position] for t in estimates.terms]
    p, C = columns.shape[1], len(found.levels)
    contributions, spread, overlap = np.empty((C, p)), np.empty((C, p, p)), np.empty((C, p, p))
    for c, members in enumerate(found.rows()):
        i = _each_observation(design, members)
        V, X = _covariance(design, terms, relative, i), columns[i]
        E = _adjustment(V, X, M) @ linalg.solve(V, X @ M, assume_a="pos")
        contributions[c] = E.T @ e[i]
        spread[c] = E.T @ V @ E
        overlap[c] = X.T @ E
    return contributions, spread, overlap


def _adjustment(V: Matrix, X: Matrix, M: Matrix) -> Matrix:
    """A_c, which is symmetric. (n_c, n_c)"""
    D = linalg.cholesky(V)  # upper
    inner = D @ (V - X @ M @ X.T) @ D.T
    values, vectors = linalg.eigh(inner)
    kept = values > TOLERANCE * values[-1]
    half = D.T @ (vectors[:, kept] / values[kept] ** 0.25)
    out: Matrix = half @ half.T
    return out


def _covariance(design: Design, terms: list[RandomTerm], factors: list[Matrix], i: Codes) -> Matrix:
    """V of some rows. (n_c, n_c)"""
    V = np.diag(np.ones(len(i)) if design.weights is None else 1.0 / design.weights[i])
    for term, T in zip(terms, factors, strict=True):
        codes = term.codes[i]
        half = T[term.positions.codes[i]] if term.positions is not None else term.z[i] @ T
        V += (codes[:, None] == codes) * (half @ half.T)
    return V


def _each_observation(design: Design, members: Codes) -> Codes:
    """Rows as often as they were observed."""
    if design.frequencies is None:
        return members
    f = design.frequencies[members]
    if np.any(f != np.floor(f)):
        raise DataError("CR2 needs whole numbers as frequencies; use CR0 with others.")
    return np.repeat(members, f.astype(np.intp))


def _hotelling(T: Matrix, H: Matrix) -> float:
    """η of the module from T_c (C, r, r) and R'U_c (C, p, r)."""
    C, r = T.shape[:2]
    total = T.sum(axis=0) - np.einsum("cas,cat->st", H, H)
    values, vectors = linalg.eigh(total)
    if values[0] <= 0.0:
        return float("nan")
    scale = vectors / np.sqrt(values)
    T, H = scale.T @ T @ scale, H @ scale
    own = np.einsum("cas,cat->cst", H, H)
    flat = H.reshape(C, -1)
    gram = flat.T @ flat  # Σ_c vec(H_c)vec(H_c)', (pr, pr)
    S = gram.reshape(H.shape[1], r, H.shape[1], r)
    traces = np.einsum("css->c", T), np.einsum("css->c", own)
    squares = np.sum(traces[0] ** 2 - 2.0 * traces[0] * traces[1]) + np.sum(gram**2)
    products = np.einsum("cst,cts->", T, T) - 2.0 * np.einsum("cst,cts->", T, own)
    products += np.einsum("asbt,atbs->", S, S)
    return float(r * (r + 1) / (squares + products))
