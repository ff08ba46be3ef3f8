"""Estimates of the random terms in the user's coordinates, whatever the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hglm.covariance import Layout
from hglm.criteria.grouped_terms import changed_columns
from hglm.design.arrays import PredictorDesign
from hglm.fitting.record import TermEstimate
from hglm.numerics.related import level_effects
from hglm.typing import Matrix, Vector

__all__ = ["standard_theta", "term_estimates", "user_theta"]


def user_theta(layout: Layout, maps: Sequence[Matrix], theta: Vector) -> Vector:
    """Find θ of the user's columns from that of standardised ones. (m,)"""
    return layout.canonical(changed_columns(layout, theta, maps))


def standard_theta(layout: Layout, maps: Sequence[Matrix], theta: Vector) -> Vector:
    """Find θ of standardised columns from that of the user's. (m,)"""
    inverse = [np.asarray(np.linalg.inv(S), dtype=np.float64) for S in maps]
    return changed_columns(layout, theta, inverse)


def term_estimates(
    designs: Mapping[str, PredictorDesign | None],
    places: Sequence[tuple[str, int]],
    layout: Layout,
    maps: Sequence[Matrix],
    roots: Sequence[Matrix | None],
    theta: Vector,
    b: Sequence[Matrix],
    sigma: float = 1.0,
) -> tuple[TermEstimate, ...]:
    """Describe the random terms, slot after slot.

    Parameters
    ----------
    designs
        Predictor -> design.
    places
        Per slot the predictor, and the position among its random terms.
    maps
        Per slot S (k, k).
    roots
        Per group R of related levels.
    theta : (m,)
        Of the user's columns.
    b
        Per group (1, k, q) modes of the random effects, standardised.
    sigma
        What the covariances are relative to.
    """
    by_level = level_effects(b, roots)
    out = []
    for slot, (name, position), S in zip(layout.slots, places, maps, strict=True):
        design = designs[name]
        assert design is not None
        term, own = design.random[position], theta[slot.parameters]
        T = slot.structure.factor(own, slot.k)
        start = slot.start // slot.copies
        effects = by_level[slot.group][0, start : start + slot.k]
        out.append(
            TermEstimate(
                position=position,
                group=term.group,
                names=term.names,
                levels=pd.Index(term.levels),
                structure=term.structure,
                factor=T,
                covariance=sigma**2 * T @ T.T,
                modes=np.ascontiguousarray((S @ effects).T),
                predictor=name,
                theta=own,
                parameters=slot.structure.parameters(own, slot.k, sigma),
                coordinates=term.coordinates,
                relation=term.relation,
            )
        )
    return tuple(out)
