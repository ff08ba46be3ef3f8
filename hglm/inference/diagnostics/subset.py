"""A design without some of its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hglm.design.arrays import Design, PredictorDesign, RandomTerm
from hglm.typing import AnyArray, Codes, Vector

__all__ = ["take_rows"]


def take_rows(design: Design, rows: Codes) -> Design:
    """Keep some rows; levels that no row has any more are left out.

    Parameters
    ----------
    design
        Of a fit.
    rows : (m,)
        Positions.
    """
    return replace(
        design,
        y=design.y[rows],
        mean=_predictor(design.mean, rows),
        index=design.index[rows],
        weights=_optional(design.weights, rows),
        frequencies=_optional(design.frequencies, rows),
        trials=_optional(design.trials, rows),
        others={name: _predictor(other, rows) for name, other in design.others.items()},
        frame=design.frame.iloc[rows] if len(design.frame) else design.frame,
    )


def _predictor(design: PredictorDesign, rows: Codes) -> PredictorDesign:
    return replace(
        design,
        X=design.X[rows],
        offset=_optional(design.offset, rows),
        random=tuple(_term(term, rows) for term in design.random),
    )


def _term(term: RandomTerm, rows: Codes) -> RandomTerm:
    left, codes = np.unique(term.codes[rows], return_inverse=True)
    positions = term.positions
    relation = term.relation
    return replace(
        term,
        levels=term.levels[left],
        codes=codes.astype(np.intp),
        z=term.z[rows],
        positions=positions and replace(positions, codes=positions.codes[rows]),
        relation=relation and replace(relation, root=relation.root[left], rest=relation.rest[left]),
    )


def _optional(values: AnyArray | None, rows: Codes) -> Vector | None:
    return None if values is None else values[rows]
