"""A fit as one JSON object, for other programs.

The keys are documented in docs/command-line.md; numbers that JSON cannot write
(missing, infinite) are null. `schema` grows when a key changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from hglm.design.arrays import Design
from hglm.fitting.record import Estimates
from hglm.report.frames import glance_frame, varcorr_frame
from hglm.report.grid import with_index

__all__ = ["SCHEMA", "fit_record", "frame_records", "to_json"]

SCHEMA = 1


def fit_record(
    estimates: Estimates,
    design: Design,
    coefficients: pd.DataFrame,
    *,
    formula: str,
    family: str,
    link: str,
    version: str,
) -> dict[str, Any]:
    """Gather a fit in plain numbers, strings, lists and dictionaries.

    Parameters
    ----------
    estimates, design
        What was fitted to what.
    coefficients
        From `hglm.report.frames.coefficient_frame`.
    formula, family, link
        Of the model, as text.
    version
        Of hglm.
    """
    return {
        "hglm": version,
        "schema": SCHEMA,
        "formula": formula,
        "family": family,
        "link": link,
        "method": estimates.method,
        "glance": frame_records(glance_frame(estimates))[0],
        "groups": {term.group: len(term.levels) for term in estimates.terms},
        "coefficients": frame_records(coefficients),
        "varcorr": frame_records(varcorr_frame(estimates)),
        "certificate": _plain(asdict(estimates.certificate)),
        "notes": list(design.notes),
    }


def frame_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Turn each row of a frame into a dictionary of plain values, labels first."""
    rows = with_index(frame).to_dict(orient="records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def to_json(record: Mapping[str, Any]) -> str:
    """Write a record as JSON."""
    return json.dumps(_plain(record), indent=2, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Turn a value into what JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    return None if pd.isna(value) else str(value)  # dates, intervals and other labels
