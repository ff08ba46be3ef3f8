"""The summary of a fit: everything on one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from hglm.design.arrays import Design
from hglm.fitting.record import Estimates
from hglm.inference.diagnostics.overdispersion import overdispersion_notes
from hglm.inference.tests import Ddf
from hglm.report.document import Document, Fact, Table
from hglm.report.formats import Fixed, Significant, count
from hglm.report.frames import glance_frame, residual_sd, varcorr_frame
from hglm.report.random_effects import random_effects_tables
from hglm.report.render import Report
from hglm.report.wording import (
    certificate_note,
    df_note,
    group_counts,
    model_title,
    modes_notes,
    shared_variance_notes,
    singular_notes,
    unbounded_notes,
)
from hglm.typing import Vector

__all__ = ["summarise"]

QUANTILES = {"min": 0.0, "q1": 0.25, "median": 0.5, "q3": 0.75, "max": 1.0}
QUANTILE_HEADERS = {"min": "Min", "q1": "1Q", "median": "Median", "q3": "3Q", "max": "Max"}


def summarise(
    estimates: Estimates,
    design: Design,
    coefficients: pd.DataFrame,
    residuals: Vector,
    *,
    formula: str,
    family: str = "",
    ddf: Ddf = "satterthwaite",
    level: float | None = None,
    others: Mapping[str, pd.DataFrame] | None = None,
) -> Report:
    """Write the summary of a fit, with the frames behind it.

    Parameters
    ----------
    estimates, design
        What was fitted to what.
    coefficients
        From `hglm.report.frames.coefficient_frame`.
    residuals : (n,)
        Scaled (Pearson) residuals.
    formula
        As typed.
    family
        Family and link in words; empty for a linear model.
    ddf
        Where degrees of freedom come from.
    level
        Confidence level, to show the limits in `coefficients`.
    others
        Coefficients of further predictors by name, such as ``"zero_inflation"``.
    """
    quantiles = _quantiles(residuals)
    tables = [
        _fit_statistics(estimates),
        Table(quantiles, "Scaled residuals", dict.fromkeys(QUANTILES, Fixed(3)), QUANTILE_HEADERS),
        *random_effects_tables(estimates),
        _fixed_effects(coefficients, level, "Fixed effects", (df_note(ddf),)),
        *(
            _fixed_effects(frame, level, f"Fixed effects: {name.replace('_', ' ')}")
            for name, frame in (others or {}).items()
        ),
    ]
    document = Document(
        title=model_title(estimates),
        facts=tuple(_facts(estimates, design, formula, family)),
        tables=tuple(table for table in tables if len(table.frame)),
        notes=(
            *design.notes,
            *unbounded_notes(estimates.certificate),
            *shared_variance_notes(estimates, design),
            *singular_notes(estimates, design),
            *overdispersion_notes(estimates, design),
            *modes_notes(estimates.certificate),
            certificate_note(estimates.certificate),
        ),
    )
    frames = {
        "glance": glance_frame(estimates),
        "residuals": quantiles,
        "varcorr": varcorr_frame(estimates),
        "coefficients": coefficients,
        **(others or {}),
    }
    return Report(document, frames)


def _facts(estimates: Estimates, design: Design, formula: str, family: str) -> Iterator[Fact]:
    yield Fact("Formula", formula, code=True)
    if family:
        yield Fact("Family", family)
    rows = "" if design.frequencies is None else f" in {count(design.n)} rows with frequencies"
    yield Fact("Observations", count(design.nobs) + rows)
    if estimates.terms:
        yield Fact("Groups", group_counts(estimates))
    if estimates.sigma is not None and residual_sd(estimates) is None:
        (dispersion,) = Significant().cells(pd.Series([estimates.sigma]), pd.DataFrame())
        yield Fact("Dispersion", dispersion)
    if design.weights is not None:
        yield Fact("Weights", "precision weights (residual variance = dispersion / weight)")


def _fit_statistics(estimates: Estimates) -> Table:
    glance = glance_frame(estimates).drop(columns=["nobs", "sigma", "df_residual"])
    return Table(glance.assign(n_parameters=estimates.n_parameters))


def _quantiles(residuals: Vector) -> pd.DataFrame:
    values = np.quantile(residuals, list(QUANTILES.values()))
    return pd.DataFrame([values], columns=list(QUANTILES))


def _fixed_effects(
    coefficients: pd.DataFrame, level: float | None, caption: str, notes: tuple[str, ...] = ()
) -> Table:
    """Choose columns and headings: t or z, with or without limits."""
    normal = bool(np.isinf(coefficients["df"]).all())
    hidden = [*(["df"] if normal else []), *(["conf_low", "conf_high"] if level is None else [])]
    headers = {"term": "", "statistic": "z" if normal else "t"}
    if level is not None:
        tail = 50.0 * (1.0 - level)
        headers |= {"conf_low": f"{tail:g}%", "conf_high": f"{100.0 - tail:g}%"}
    return Table(coefficients.drop(columns=hidden), caption, headers=headers, notes=notes)
