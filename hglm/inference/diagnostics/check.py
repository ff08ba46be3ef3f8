"""A model checked from all sides: what was found, what it means, what to do.

Each check is a function of (estimates, design) that gives a `Finding`, or None where it does
not apply. Verdicts: ``"ok"``; ``"note"``, worth knowing; ``"attention"``, conclusions
may change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from hglm.design import Design
from hglm.fitting.record import Estimates, LinearState
from hglm.inference.diagnostics.collinearity import vif
from hglm.inference.diagnostics.influence import influence
from hglm.inference.diagnostics.overdispersion import overdispersion, overdispersion_notes
from hglm.inference.diagnostics.quantile_residuals import quantile_residuals

__all__ = ["Finding", "Verdict", "check"]

Verdict: TypeAlias = Literal["ok", "note", "attention"]

HIGH_VIF = 10.0
"""Of the square of the scaled GVIF: the variance is tenfold (Fox & Monette 1992)."""
HIGH_COOK = 1.0
"""Fixed effects move, without one level, as far as their confidence region goes."""
LARGE_LAPLACE_ERROR = 0.5
"""Of a log likelihood: a deviance wrong by one."""
MANY_ROWS = 2000
"""Levels with more rows than this are not left out one by one where factors are crossed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check."""

    check: str
    verdict: Verdict
    found: str
    """The evidence, in a few words."""
    advice: str = ""
    """What it means and what to do; empty if nothing."""


def check(
    estimates: Estimates,
    design: Design,
    n: int = 250,
    seed: np.random.Generator | int | None = 1,
) -> tuple[Finding, ...]:
    """Check a fit.

    Parameters
    ----------
    estimates, design
        Of the fit.
    n
        Simulations for the residuals; 0 for none.
    seed
        Generator or seed.
    """
    single = (
        _convergence(estimates),
        _separation(estimates),
        _singularity(estimates),
        _laplace(estimates),
        _collinearity(estimates, design),
        _overdispersion(estimates, design),
    )
    findings = [finding for finding in single if finding is not None]
    findings += _influence(estimates, design)
    if n > 0 and (design.frequencies is None or bool(np.all(design.frequencies == 1))):
        findings += _residuals(quantile_residuals(estimates, design, n, seed).tests(), n)
    return tuple(findings)


def _convergence(estimates: Estimates) -> Finding:
    certificate = estimates.certificate
    found = (
        f"the criterion could still fall by {certificate.gain:.1e}, largest scaled gradient "
        f"{certificate.gradient:.1e}"
    )
    if certificate.converged:
        return Finding("convergence", "ok", found)
    return Finding(
        "convergence",
        "attention",
        found,
        "The estimates are not at the optimum and should not be used. Simplify the random part, "
        "or look for groups that determine a coefficient completely.",
    )


def _separation(estimates: Estimates) -> Finding | None:
    unbounded = estimates.certificate.unbounded
    if not unbounded:
        return None
    names = ", ".join(found.label for found in unbounded)
    separated = [found for found in unbounded if found.kind == "separation"]
    if not separated:
        return Finding(
            "limits", "note", f"no finite estimate of {names}", "The summary says what it means."
        )
    rows = max(found.rows for found in separated)
    return Finding(
        "separation",
        "attention",
        f"no finite estimate of {names}: {rows} rows have the most extreme response only",
        "Standard errors and Wald tests of these coefficients mean nothing. Test the term by "
        "likelihood ratio, merge levels of rare outcomes, or leave it out.",
    )


def _singularity(estimates: Estimates) -> Finding:
    certificate = estimates.certificate
    if not certificate.singular:
        return Finding("singularity", "ok", "all variances are positive, no correlation is ±1")
    terms = [estimates.terms[i] for i in certificate.boundary]
    named = ", ".join(f"({', '.join(t.names)} | {t.group})" for t in terms) or "a random term"
    return Finding(
        "singularity",
        "note",
        f"{named} at the boundary",
        "A variance is estimated at zero or a correlation at ±1. The fit is valid; the summary "
        "says what it means, and a simpler random part describes the data as well.",
    )


def _laplace(estimates: Estimates) -> Finding | None:
    error = estimates.certificate.laplace_error
    if error is None:
        return None
    found = f"the log likelihood is off by about {error:.2g}"
    if abs(error) < LARGE_LAPLACE_ERROR:
        return Finding("Laplace approximation", "ok", found)
    return Finding(
        "Laplace approximation",
        "attention",
        found,
        "Groups tell little about their random effects, and variances may be too small. With one "
        "grouping factor, fit again with method=hglm.Quadrature(9) and compare.",
    )


def _collinearity(estimates: Estimates, design: Design) -> Finding | None:
    table = vif(estimates, design.mean)
    if table.empty:
        return None
    squared = table["gvif_scaled"] ** 2
    worst = int(squared.argmax())
    found = f"largest inflation of a variance {squared.iloc[worst]:.3g} ({table['term'][worst]})"
    if squared.iloc[worst] < HIGH_VIF:
        return Finding("collinearity", "ok", found)
    return Finding(
        "collinearity",
        "note",
        found,
        "The data hardly tell the terms apart: single coefficients are uncertain, predictions "
        "are not. Centre the variables of interactions and powers; else leave one term out, or "
        "test the terms together.",
    )


def _overdispersion(estimates: Estimates, design: Design) -> Finding | None:
    figure = overdispersion(estimates, design)
    if figure is None:
        return None
    found = f"Pearson's chi-square over its degrees of freedom is {figure.ratio:.2f}"
    notes = overdispersion_notes(estimates, design)
    return Finding("overdispersion", "attention" if notes else "ok", found, " ".join(notes))


def _influence(estimates: Estimates, design: Design) -> Iterator[Finding]:
    """Leave out the levels of each factor, where that is cheap."""
    if not isinstance(estimates.state, LinearState) or not len(estimates.beta):
        return
    if len({t.group for t in estimates.terms}) > 1 and design.n > MANY_ROWS:
        return
    for group in dict.fromkeys(term.group for term in estimates.terms):
        cooks = influence(estimates, design, group).measures["cooks_distance"]
        if cooks.isna().all():
            continue
        level, largest = cooks.idxmax(), float(cooks.max())
        found = f"largest Cook's distance {largest:.2g} ({group} {level})"
        if largest < HIGH_COOK:
            yield Finding(f"influence of {group}", "ok", found)
        else:
            yield Finding(
                f"influence of {group}",
                "attention",
                found,
                f"The fixed effects hang on this level of {group}: look at its rows, and report "
                "the fit without it beside this one.",
            )


def _residuals(tests: pd.DataFrame, n: int) -> Iterator[Finding]:
    columns = (tests[name] for name in ("statistic", "p_value", "meaning"))
    for name, statistic, p_value, meaning in zip(map(str, tests.index), *columns, strict=True):
        if np.isnan(p_value):
            continue
        found = f"{statistic:.3g}, p = {p_value:.2g} by {n} simulations"
        if p_value > max(0.01, 2.0 / (n + 1.0)):  # the smallest of a two-sided test
            yield Finding(f"residuals: {name}", "ok", found)
        else:
            advice = f"{meaning[0].upper()}{meaning[1:]}. {REMEDIES[name]}"
            yield Finding(f"residuals: {name}", "attention", found, advice)


REMEDIES = {
    "uniformity": "Plot the residuals against the fitted values and the predictors; try a "
    "transformation, another family, or cluster-robust standard errors.",
    "dispersion": "Try a family with a dispersion of its own, such as nbinom2 or beta_binomial, "
    "or a predictor for the dispersion.",
    "outliers": "Look at these rows; a family with heavier tails may describe them.",
    "zeros": "Try a zero-inflated model (zero_inflation='~ 1') or nbinom2.",
}
"""What to do about each test of the residuals."""
