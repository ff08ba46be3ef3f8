"""Table of variance components in the layout of lme4's print.

One row a coefficient: its group (named once), variance, standard deviation and
the correlations with the coefficients above it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from hglm.fitting.record import Estimates, TermEstimate
from hglm.report.document import Table
from hglm.report.formats import Fixed
from hglm.report.frames import correlation_matrix, has_correlations, residual_sd

__all__ = ["random_effects_table", "random_effects_tables"]

WIDEST = 10
"""More coefficients than this have no columns of correlations."""
UNNAMED = "us"
"""Structure of a bar without a name; the others are worth mentioning."""


def random_effects_tables(estimates: Estimates) -> Iterator[Table]:
    """Lay out variances, standard deviations and correlations, a table a predictor."""
    sigma = residual_sd(estimates)
    predictors = dict.fromkeys(["mean", *(term.predictor for term in estimates.terms)])
    for name in predictors:
        terms = [term for term in estimates.terms if term.predictor == name]
        if name == "mean":
            yield random_effects_table(terms, "Random effects", sigma)
        else:
            yield random_effects_table(terms, f"Random effects: {name.replace('_', ' ')}", None)


def random_effects_table(terms: Sequence[TermEstimate], caption: str, sigma: float | None) -> Table:
    """Lay out the components of some terms, and of the residual if it has any."""
    width = max((t.k - 1 for t in terms if _shows_correlations(t)), default=0)
    corr = [f"corr{j}" for j in range(1, width + 1)]
    rows: list[tuple[str | float, ...]] = []
    shown = ""
    for term in terms:
        for name, *numbers in _rows(term, width):
            rows.append((term.group if term.group != shown else "", name, *numbers))
            shown = term.group
    if sigma is not None:
        rows.append(("Residual", "", sigma**2, sigma, *[np.nan] * width))
    return Table(
        pd.DataFrame(rows, columns=["group", "term", "variance", "std_dev", *corr]),
        caption,
        formats={name: Fixed(2) for name in corr},
        headers={name: "Corr." if name == "corr1" else "" for name in corr},
        notes=_structures(terms),
    )


def _rows(term: TermEstimate, width: int) -> Iterator[tuple[str | float, ...]]:
    variances = np.diagonal(term.covariance)
    if term.homogeneous:
        variance = float(variances[0])
        yield term.label, variance, float(np.sqrt(variance)), *[np.nan] * width
        return
    correlations = np.full((term.k, width), np.nan)
    if _shows_correlations(term):
        below = np.tril_indices(term.k, -1)
        correlations[below] = correlation_matrix(term)[below]
    related = " (related)" if term.relation is not None else ""
    for name, variance, row in zip(term.names, variances, correlations, strict=True):
        yield name + related, float(variance), float(np.sqrt(variance)), *row.tolist()


def _shows_correlations(term: TermEstimate) -> bool:
    """Whether the table has room for a term's correlations."""
    return has_correlations(term) and not term.homogeneous and term.k <= WIDEST


def _structures(terms: Sequence[TermEstimate]) -> tuple[str, ...]:
    """Say which terms have a structure other than the usual one, and its parameters."""
    named = [term for term in terms if term.k > 1 and term.structure != UNNAMED]
    related = dict.fromkeys(term.group for term in terms if term.relation is not None)
    return (
        *(
            f"Covariance structure of {_coefficients(term)} by {term.group}: {_structure(term)}."
            for term in named
        ),
        *(f"The levels of {group} are related as the given matrix says." for group in related),
    )


def _coefficients(term: TermEstimate) -> str:
    return term.label if term.homogeneous or term.k > WIDEST else ", ".join(term.names)


def _structure(term: TermEstimate) -> str:
    """Name the structure, with parameters that the table does not show: ``"ar1, rho = 0.81"``."""
    if _shows_correlations(term):
        return term.structure
    shown = {name: value for name, value in term.parameters.items() if name != "sd"}
    values = [f"{name} = {value:.3g}" for name, value in shown.items()]
    return ", ".join([term.structure, *values[:WIDEST]])
