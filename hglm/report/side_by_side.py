"""Several fits beside each other: one column a model, as papers show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hglm.report.document import Document, Table
from hglm.report.render import Report

__all__ = ["Column", "side_by_side"]

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))


@dataclass(frozen=True, slots=True)
class Column:
    """What is shown of one model."""

    name: str
    coefficients: pd.DataFrame
    """Columns `term, estimate, std_error, p_value`; further predictors after the mean."""
    varcorr: pd.DataFrame
    """Columns `group, term1, term2, sdcor`."""
    facts: Mapping[str, float]
    """Figures of the fit, such as observations and AIC."""
    dispersion: float | None = None
    """Where the family has one and it is no residual variance."""


def side_by_side(models: Sequence[Column], stars: bool = False, caption: str = "") -> Report:
    """Set models beside each other.

    Parameters
    ----------
    models
        One a column.
    stars
        Whether to mark p-values below 0.05, 0.01 and 0.001.
    caption
        Above the table.

    Returns
    -------
    Report
        Its `tables` hold the numbers: ``"estimates"`` with a column a model and the
        rows `(term, figure)`.
    """
    sections = [(_fixed(m, stars), _random(m), _residual(m), _figures(m)) for m in models]
    by_kind = [cells for kind in zip(*sections, strict=True) for cells in kind]
    order = list(dict.fromkeys(row for cells in by_kind for row in cells))
    cells = {
        m.name: {row: cell for part in parts for row, cell in part.items()}
        for m, parts in zip(models, sections, strict=True)
    }
    frame = pd.DataFrame(cells)
    text = frame.reindex(order).fillna("").rename_axis("").reset_index(names="")
    notes = ["Estimates with standard errors in brackets; sd: standard deviations."]
    if stars:
        notes.append("* p < 0.05, ** p < 0.01, *** p < 0.001.")
    numbers = pd.DataFrame({m.name: _numbers(m) for m in models})
    document = Document(tables=(Table(text, caption, notes=tuple(notes)),))
    return Report(document, {"estimates": numbers})


def _fixed(model: Column, stars: bool) -> dict[str, str]:
    cells = {}
    table = model.coefficients
    columns = (table[name] for name in ("term", "estimate", "std_error", "p_value"))
    for term, estimate, error, p in zip(*columns, strict=True):
        mark = next((s for bound, s in STARS if p < bound), "") if stars else ""
        digits = _digits(error)
        cells[str(term)] = f"{estimate:.{digits}f}{mark} ({error:.{digits}f})"
    return cells


def _random(model: Column) -> dict[str, str]:
    cells = {}
    for row in model.varcorr.itertuples(index=False):
        if isinstance(row.term2, str):
            cells[f"cor {row.term1}, {row.term2} | {row.group}"] = f"{row.sdcor:.2f}"
        elif isinstance(row.term1, str):
            cells[f"sd {row.term1} | {row.group}"] = f"{row.sdcor:.4g}"
    return cells


def _residual(model: Column) -> dict[str, str]:
    own = model.varcorr["sdcor"][model.varcorr["term1"].isna()]
    cells = {} if own.empty else {"sd residual": f"{own.iloc[0]:.4g}"}
    return cells if model.dispersion is None else {**cells, "dispersion": f"{model.dispersion:.4g}"}


def _figures(model: Column) -> dict[str, str]:
    return {
        name: f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}"
        for name, value in model.facts.items()
    }


def _numbers(model: Column) -> pd.Series:
    fixed = model.coefficients.set_index("term")
    parts = [fixed[name] for name in ("estimate", "std_error", "p_value")]
    stacked: pd.Series = pd.concat(parts, keys=["estimate", "std_error", "p_value"]).swaplevel()
    return stacked


def _digits(std_error: float) -> int:
    """Decimals that show two figures of the standard error."""
    if not np.isfinite(std_error) or std_error <= 0:
        return 3
    return int(np.clip(1 - np.floor(np.log10(std_error)), 0, 8))
