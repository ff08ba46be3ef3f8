"""What a fit found, in words: titles, methods, and outcomes that need explaining."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np

from hglm.design.arrays import Design
from hglm.fitting.certificate import Certificate, Unbounded
from hglm.fitting.record import Estimates, LinearState, TermEstimate
from hglm.inference.diagnostics.robust_covariance import RobustCovariance
from hglm.inference.tests import Ddf
from hglm.report.frames import correlation_matrix, has_correlations
from hglm.typing import BoolArray

__all__ = [
    "anova_title",
    "certificate_note",
    "df_note",
    "group_counts",
    "model_title",
    "modes_notes",
    "shared_variance_notes",
    "singular_notes",
    "unbounded_notes",
]

KINDS: Mapping[str, tuple[str, str]] = {
    "reml": ("Linear", "REML"),
    "ml": ("Linear", "maximum likelihood"),
    "laplace": ("Generalised linear", "maximum likelihood (Laplace approximation)"),
    "quadrature": (
        "Generalised linear",
        "maximum likelihood (adaptive quadrature with {nodes} nodes)",
    ),
}
"""Method -> kind of model, and what it was fitted by."""

DF_METHODS: Mapping[str, str] = {
    "satterthwaite": "Degrees of freedom by Satterthwaite's method.",
    "kenward-roger": "Degrees of freedom and adjusted covariance by Kenward and Roger's method.",
    "residual": "Degrees of freedom: observations less fixed effects.",
    "asymptotic": "Tests and intervals by the normal approximation.",
}

TEST_TYPES: Mapping[object, str] = {
    1: "type I tests (terms in sequence)",
    2: "type II tests (hierarchical)",
    3: "type III tests (marginal)",
}

NULL = 1e-8
"""Standard deviation, relative to the residual's, that is a rounded zero."""
LIMIT = 1.0 - 1e-6
"""Correlation that is a rounded one."""

NORMAL = "Such a singular fit is a normal outcome, not an error, and the other estimates stand."
DROP = (
    "A term of zero variance may be kept, if the design calls for it, or left out: the other "
    "estimates are the same."
)
SIMPLIFY = (
    "Where coefficients determine one another, the data do not tell all variances and correlations "
    "of the term apart; a simpler term, with fewer columns or uncorrelated ones as in (x || g), "
    "may describe them as well."
)


SEPARATED = (
    "The size of such a coefficient, its standard error and its Wald test mean nothing; the "
    "likelihood, and coefficients not named here, are valid. Test the term by likelihood ratio "
    "(hglm.compare with the model without it), merge levels of rare outcomes, or leave it out."
)


OTHER_MODES = (
    "The log density is not concave in the random effects, so that the likelihood may have other "
    "optima: method=hglm.Laplace(starts=8) searches for them from more starts."
)


def model_title(estimates: Estimates) -> str:
    """Say what was fitted, and how."""
    kind, method = KINDS.get(estimates.method, ("Generalised linear", estimates.method))
    mixed = "mixed model" if estimates.terms else "model"
    return f"{kind} {mixed} fit by {method.format(nodes=estimates.nodes)}"


def df_note(ddf: Ddf) -> str:
    """Say where degrees of freedom come from, and the covariance if it is not the model's."""
    if isinstance(ddf, str):
        return DF_METHODS.get(ddf, f"Degrees of freedom: {ddf}.")
    if isinstance(ddf, (int, float)):
        return f"Degrees of freedom: {ddf:g}."
    if isinstance(ddf, RobustCovariance):
        return (
            f"Cluster-robust covariance ({ddf.kind}, {ddf.n_clusters} clusters of {ddf.cluster}); "
            f"{ddf.rule}."
        )
    return "Degrees of freedom and covariance by a prepared method."


def anova_title(type: object) -> str:  # noqa: A002
    """Say what an analysis of variance tests."""
    return f"Analysis of variance, {TEST_TYPES.get(type, f'tests of the {type}')}"


def group_counts(estimates: Estimates) -> str:
    """Name the grouping factors with their numbers of levels."""
    counts = {term.group: len(term.levels) for term in estimates.terms}
    return ", ".join(f"{group} {levels}" for group, levels in counts.items())


def certificate_note(certificate: Certificate) -> str:
    """Give the verdict on convergence with its evidence."""
    return (
        f"{certificate.message} Largest scaled gradient {certificate.gradient:.1e}; "
        f"the criterion could still fall by {certificate.gain:.1e}."
    )


def modes_notes(certificate: Certificate) -> tuple[str, ...]:
    """Say whether there may be other optima, and what several starts have found."""
    c = certificate
    if c.starts == 1:
        return () if c.log_concave else (OTHER_MODES,)
    if c.agreeing == c.starts:
        return (f"All {c.starts} starts ended at this optimum.",)
    others = "the others at worse ones or without convergence"
    lower = (
        f" A search without convergence reached a criterion lower by {c.lower:.3g}: a better "
        "optimum, or a place where the approximation breaks down."
        if c.lower > 1e-3
        else ""
    )
    return (f"Of {c.starts} starts {c.agreeing} ended at this optimum, {others}.{lower}",)


def unbounded_notes(certificate: Certificate) -> tuple[str, ...]:
    """Explain coefficients without a finite estimate: why, what it means, what to do."""
    notes = [_unbounded(found) for found in certificate.unbounded]
    if any(found.kind == "separation" for found in certificate.unbounded):
        notes.append(SEPARATED)
    return tuple(notes)


def _unbounded(found: Unbounded) -> str:
    """Say what runs away, and why."""
    of = "" if found.predictor in ("mean", *found.names) else f" ({found.predictor})"
    going = _going(found)
    if found.kind == "variance":
        return (
            f"Every level has one extreme response only{of}, so that nothing bounds the "
            "variance between levels: its size and that of the intercept depend on how the "
            "likelihood is approximated, and mean only that levels differ."
        )
    if found.kind == "limit":
        return (
            f"At a limit of the model{of}: {going}. A simpler model without it describes the "
            "data as well, and the other estimates stand."
        )
    if found.complete:
        return (
            f"Complete separation{of}: the predictors tell all {found.rows} responses without "
            f"error, and the likelihood rises for ever while {going}."
        )
    return (
        f"Separation{of}: {found.rows} rows have only the most extreme response that their "
        f"predictors could give them, and the likelihood rises for ever while {going}."
    )


def _going(found: Unbounded) -> str:
    """Say where each coefficient goes."""
    ends = {1: "to +∞", -1: "to -∞"}
    parts: list[str] = []
    for name, sign in zip(found.names, found.signs, strict=True):
        verb = "" if any(" tends " in part for part in parts) else "tends "
        parts.append(f"`{name}` {verb}{ends[sign]}" if sign else f"`{name}` is undetermined")
    return ", ".join(parts)


def shared_variance_notes(estimates: Estimates, design: Design) -> tuple[str, ...]:
    """Say where the residual variance may be part of a term's covariance.

    A term with a coefficient for every row of each level can hold the residual in it:
    then the sums of its variances and the residual's are determined, not the parts.
    """
    if not isinstance(estimates.state, LinearState):
        return ()
    return tuple(
        f"The random effects by {term.group} are as many as the observations, so that their "
        "variances and that of the residual may be determined only together: read nothing into "
        'how they are split, or leave the residual out by dispersion="~ 0".'
        for term in design.mean.random
        if term.structure == "us" and term.relation is None and term.k * term.n_levels >= design.n
    )


def singular_notes(estimates: Estimates, design: Design) -> tuple[str, ...]:
    """Explain a fit at the boundary: what was found, what it means, what to do.

    Parameters
    ----------
    estimates
        Whose certificate names the terms.
    design
        Whose columns say on which scale a variance is zero.
    """
    terms = [estimates.terms[i] for i in estimates.certificate.boundary]
    if not terms:
        return ()
    zero = [note for term in terms for note in _zero_variances(term, design)]
    limit = [note for term in terms for note in _dependences(term, design)]
    return (
        *zero,
        *limit,
        " ".join([NORMAL, *([DROP] if zero else []), *([SIMPLIFY] if limit else [])]),
    )


def _zero_variances(term: TermEstimate, design: Design) -> Iterator[str]:
    null = _is_null(term, design)
    found = zip(term.names, null, strict=True)
    for name, is_null in [(term.label, null[0])] if term.homogeneous else found:
        if is_null:
            yield (
                f"The variance of {name} for {term.group} is estimated at zero: the levels of "
                f"{term.group} differ in it no more than the residual variation makes them."
            )


def _dependences(term: TermEstimate, design: Design) -> Iterator[str]:
    """Name the correlations of ±1; where there are none, say that something is dependent."""
    null = _is_null(term, design)
    if term.homogeneous:
        if not null.any():
            yield (
                f"The correlations of {term.label} for {term.group} are estimated at their limit: "
                "a level's coefficients are one and the same, or combinations of fewer."
            )
        return
    correlations = correlation_matrix(term)
    pairs = [
        (f"{term.names[i]} and {term.names[j]}", f"{correlations[i, j]:.0f}")
        for i, j in combinations(np.flatnonzero(~null).tolist(), 2)
        if has_correlations(term) and abs(correlations[i, j]) > LIMIT
    ]
    if len(pairs) == 1:
        ((pair, sign),) = pairs
        yield (
            f"The correlation of {pair} for {term.group} is estimated at {sign}: each level's "
            "deviation in one determines the other."
        )
    elif pairs:
        listed = ", ".join(f"{pair} ({sign})" for pair, sign in pairs)
        yield (
            f"These correlations for {term.group} are estimated at their limits: {listed}. Each "
            "level's deviation in one coefficient determines the others."
        )
    if not pairs and not null.any():
        yield (
            f"The covariance matrix of {', '.join(term.names)} for {term.group} is singular: some "
            "combination of these coefficients does not vary, or hardly so."
        )


def _is_null(term: TermEstimate, design: Design) -> BoolArray:
    """Tell which coefficients do not vary, whatever their units. (k,)"""
    predictor = design.mean if term.predictor == "mean" else design.others[term.predictor]
    columns = predictor.random[term.position]
    size = np.ones(term.k)
    if columns.positions is None:
        size = np.sqrt(np.mean(columns.z**2, axis=0))
    null: BoolArray = size * np.linalg.norm(term.factor, axis=1) < NULL
    return null
