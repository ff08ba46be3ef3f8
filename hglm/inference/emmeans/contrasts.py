"""Contrasts of the rows of an estimable set, within its groups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy import linalg

from hglm.errors import OptionError
from hglm.formula.hints import did_you_mean, listing
from hglm.inference.emmeans.contrast_methods import Contrasts, Means, find_method
from hglm.inference.emmeans.estimable import EstimableSet
from hglm.inference.emmeans.scales import linear_scale, ratio_scale
from hglm.typing import Matrix

__all__ = ["Method", "assemble", "contrast", "row_labels", "value_label"]

Method: TypeAlias = str | Mapping[str, Sequence[float]] | Matrix
"""Name of a method; label -> coefficients; or a matrix of coefficients (c, k)."""

PAIRWISE = ("pairwise", "revpairwise")
_OPERATORS = re.compile(r"[-+/*]")


def contrast(
    means: EstimableSet,
    method: Method = "eff",
    reference: object = None,
    as_ratios: bool = False,
) -> EstimableSet:
    """Contrast the rows of each group.

    Parameters
    ----------
    means
        What to contrast.
    method
        Key of `hglm.inference.emmeans.contrast_methods.METHODS`, or coefficients
        of one's own.
    reference
        Label of the row to compare with, for comparisons with a control.
    as_ratios
        Whether the labels are to speak of ratios where differences are such.

    Returns
    -------
    EstimableSet
        On the scale of ratios, if differences are such and all rows add up to 0.
    """
    title = "contrast"
    while title in means.by:
        title += "_"
    sign = "/" if as_ratios and means.scale.ratio else "-"
    blocks = []
    for rows in means.groups():
        built = _build(row_labels(means.take(rows)), method, reference, sign)
        blocks.append((pd.DataFrame({title: list(built.labels)}), built.coefficients))
    found = assemble(means, blocks)
    is_pairwise = isinstance(method, str) and find_method(method)[0] in PAIRWISE
    return replace(found, all_pairs=is_pairwise)


def assemble(means: EstimableSet, blocks: Sequence[tuple[pd.DataFrame, Matrix]]) -> EstimableSet:
    """Combine the rows of each group by coefficients of its own.

    Parameters
    ----------
    means
        What to combine.
    blocks
        For each group labels (c, m) and coefficients (c, r).

    Returns
    -------
    EstimableSet
        On the scale of ratios, if differences are such and all rows add up to 0.
    """
    groups = means.groups()
    sizes = [len(labels) for labels, _ in blocks]
    matrix = np.zeros((sum(sizes), len(means.rows)))
    matrix[:, np.concatenate(groups)] = linalg.block_diag(*(block for _, block in blocks))
    owner = np.repeat([rows[0] for rows in groups], sizes)
    common = means.labels[list(means.by)].iloc[owner].reset_index(drop=True)
    labels = pd.concat([labels for labels, _ in blocks], ignore_index=True)
    differences = bool(np.allclose(matrix.sum(axis=1), 0.0))
    notes = means.notes
    if means.scale.ratio and not differences:
        notes += (f"Coefficients do not add up to 0: on the {means.scale.name} scale.",)
    return replace(
        means.combined(matrix, pd.concat([labels, common], axis=1)),
        scale=ratio_scale(means.scale) if differences else linear_scale(means.scale),
        kind="contrasts",
        notes=notes,
    )


def row_labels(rows: EstimableSet) -> tuple[str, ...]:
    """Name the rows of one group by their labels, numbers with the name of the variable."""
    columns = [
        [value_label(name, value) for value in rows.labels[name].tolist()] for name in rows.names
    ]
    names = [" ".join(parts) for parts in zip(*columns, strict=True)]
    return tuple(f"({name})" if _OPERATORS.search(name) else name for name in names)


def value_label(name: str, value: object) -> str:
    """Name a value: itself, a number after the name of its variable."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"{name}{value:g}" if is_number else str(value)


def _build(labels: tuple[str, ...], method: Method, reference: object, sign: str) -> Contrasts:
    if isinstance(method, str):
        _, known = find_method(method)
        return known.build(Means(labels, _position(labels, reference, known.reference), sign))
    if isinstance(method, Mapping):
        names, rows = tuple(map(str, method)), list(method.values())
    else:
        rows = list(np.atleast_2d(np.asarray(method, dtype=np.float64)))
        names = tuple(f"contrast {i + 1}" for i in range(len(rows)))
    for name, row in zip(names, rows, strict=True):
        if np.shape(row) != (len(labels),) or not np.isfinite(row).all():
            raise OptionError(
                f"The contrast `{name}` has shape {np.shape(row)}; give a finite number for each "
                f"of {listing(labels)}."
            )
    return Contrasts(names, np.array(rows, dtype=np.float64).reshape(-1, len(labels)))


def _position(labels: Sequence[str], reference: object, usual: int) -> int:
    if reference is None:
        return usual % len(labels)
    plain = [label.strip("()") for label in labels]
    if str(reference) not in plain:
        raise OptionError(
            f"There is no row {reference!r} to compare with. {did_you_mean(str(reference), plain)}"
        )
    return plain.index(str(reference))
