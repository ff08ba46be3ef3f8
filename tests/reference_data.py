"""The trusted results of other programs, and the data they were computed from.

`tests/reference/README.md` explains the files. Each test states its own
tolerance; nothing here compares anything.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from hglm.datasets import load_dataset

__all__ = [
    "inference_ids",
    "inference_reference",
    "reference",
    "reference_frame",
    "reference_ids",
]

_FOLDER = Path(__file__).parent / "reference"


def reference(model: str) -> dict[str, Any]:
    """Return the stored results of one model, e.g. ``"sleepstudy_rs_reml"``."""
    return _read(_FOLDER / f"{model}.json")


def inference_reference(model: str) -> dict[str, Any]:
    """Return the stored tests, intervals, means and predictions of one model."""
    return _read(_FOLDER / "inference" / f"{model}.json")


def reference_ids(kind: str | None = None) -> list[str]:
    """Return the ids of all model files, or of those of one kind (``"lmm"``, ...)."""
    index = pd.read_csv(_FOLDER / "INDEX.csv")
    return list(index["id"] if kind is None else index.loc[index["kind"] == kind, "id"])


def inference_ids() -> list[str]:
    """Return the ids of all inference files, ``lrt_*`` among them."""
    return sorted(path.stem for path in (_FOLDER / "inference").glob("*.json"))


def reference_frame(stored: dict[str, Any]) -> pd.DataFrame:
    """Return the data of a reference, with its order of the categories.

    Categorical columns that the reference does not name are in plain sorted
    order, as its README says.
    """
    frame = load_dataset(dataset_name(stored))
    for name in frame.select_dtypes("category"):
        levels = stored["categorical"].get(name) or sorted(frame[name].cat.categories)
        frame[name] = frame[name].cat.reorder_categories(levels)
    return frame


def dataset_name(stored: dict[str, Any]) -> str:
    """Return the name of the data set that a reference was computed from."""
    return PurePosixPath(stored["data"]).name.split(".")[0]


def _read(path: Path) -> dict[str, Any]:
    contents: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return contents
