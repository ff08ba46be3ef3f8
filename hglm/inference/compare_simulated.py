"""P-values by simulation for tables of likelihood-ratio tests.

Each model is compared with the one above it: by responses drawn from the smaller one
(`hglm.inference.bootstrap_lrt`), or, where a single variance of a linear mixed model is
added, by its exact null distribution (`hglm.inference.restricted_lrt`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from hglm.fitting.record import LinearState
from hglm.inference.bootstrap_lrt import BootstrapTest, bootstrap_lrt
from hglm.inference.compare import Candidate, Comparison
from hglm.inference.nesting import added_variance, spans
from hglm.inference.restricted_lrt import RestrictedTest, restricted_lrt

__all__ = ["with_advice", "with_bootstrap", "with_exact"]

Seed: TypeAlias = np.random.Generator | int | None
Test: TypeAlias = Callable[[Candidate, Candidate, np.random.Generator], tuple[float, str]]

MANY = 30
"""Groups from which on the distribution of large samples serves."""
OPEN = (0.001, 0.2)
"""P-values between which it matters."""


def with_advice(comparison: Comparison) -> Comparison:
    """Say where a boundary p-value that matters rests on few groups."""
    if "p_value_boundary" not in comparison.table:
        return comparison
    notes = []
    p_values = comparison.table["p_value_boundary"].to_numpy()[1:]
    for (a, b), p in zip(pairwise(comparison.models), p_values, strict=True):
        groups = min((term.n_levels for term in b.design.mean.random), default=MANY)
        if OPEN[0] < p < OPEN[1] and groups < MANY:
            linear = isinstance(b.estimates.state, LinearState)
            alone = linear and added_variance(a.design.mean, b.design.mean)
            method = "exact" if alone else "bootstrap"
            notes.append(
                f"{b.name}: p_value_boundary is that of many groups, and there are {groups}; "
                f'method="{method}" simulates the test\'s distribution for so few.'
            )
    return replace(comparison, notes=(*comparison.notes, *notes))


def with_bootstrap(
    comparison: Comparison,
    n: int = 1000,
    seed: Seed = None,
    *,
    workers: int = 1,
    progress: bool = False,
) -> Comparison:
    """Add the column `p_value_bootstrap`; NaN where the models are not nested.

    Parameters
    ----------
    comparison
        From `compare_table`.
    n, seed, workers, progress
        As in `bootstrap_lrt`, for each pair.
    """

    def test(a: Candidate, b: Candidate, rng: np.random.Generator) -> tuple[float, str]:
        if not spans(a.design.mean.X, b.design.mean.X):
            return np.nan, ""  # the table says so
        if a.estimates.n_parameters == b.estimates.n_parameters:
            return np.nan, f"{a.name} and {b.name} have equally many parameters: no test."
        found = bootstrap_lrt(a, b, n, rng, workers=workers, progress=progress)
        return found.p_value, _bootstrap_note(a, b, found)

    return _with_column(comparison, "p_value_bootstrap", test, seed)


def with_exact(comparison: Comparison, n: int = 10_000, seed: Seed = None) -> Comparison:
    """Add the column `p_value_exact`, where a linear model has one variance more.

    Parameters
    ----------
    comparison
        From `compare_table`.
    n, seed
        As in `restricted_lrt`, for each pair.
    """

    def test(a: Candidate, b: Candidate, rng: np.random.Generator) -> tuple[float, str]:
        X, other = a.design.mean.X, b.design.mean.X
        same = X.shape[1] == other.shape[1] and spans(X, other)
        linear = isinstance(b.estimates.state, LinearState)
        parameter = added_variance(a.design.mean, b.design.mean) if same and linear else None
        if parameter is None:
            return np.nan, (
                f"{b.name} is not the linear mixed model {a.name} with one variance more: no exact "
                'test; use method="bootstrap".'
            )
        found = restricted_lrt(b.estimates, b.design, parameter, n, rng)
        return found.p_value, _exact_note(b, found)

    return _with_column(comparison, "p_value_exact", test, seed)


def _with_column(comparison: Comparison, name: str, test: Test, seed: Seed) -> Comparison:
    pairs = list(pairwise(comparison.models))
    generators = np.random.default_rng(seed).spawn(len(pairs))
    found = [test(a, b, rng) for (a, b), rng in zip(pairs, generators, strict=True)]
    table = comparison.table.assign(**{name: [np.nan, *(p for p, _ in found)]})
    notes = [note for _, note in found if note]
    return replace(comparison, table=table, notes=(*comparison.notes, *notes))


def _bootstrap_note(a: Candidate, b: Candidate, test: BootstrapTest) -> str:
    low, high = test.mc_interval
    lost, n = len(test.failures), len(test.replicates)
    note = (
        f"{b.name}: {n - lost} simulations of {a.name}; with infinitely many the p-value would lie "
        f"between {low:.2g} and {high:.2g} (95%)."
    )
    if not lost:
        return note
    reason = test.failures["reason"].value_counts().index[0]
    return (
        f"{note} Left out because they could not be fitted or did not converge: {lost}. Most "
        f"often: {reason}"
    )


def _exact_note(b: Candidate, test: RestrictedTest) -> str:
    low, high = test.mc_interval
    how = "exact" if test.exact else "approximate, as if the other variances were known"
    return (
        f"{b.name}: null distribution of {test.parameter}, {how}; with infinitely many simulations "
        f"the p-value would lie between {low:.2g} and {high:.2g} (95%)."
    )
