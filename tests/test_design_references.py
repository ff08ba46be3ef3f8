"""Designs of the reference models: R's own columns, levels and linear predictors.

The fixed effects, offsets and random effects printed by R (tests/reference)
are multiplied with the columns built here; what comes out must be R's linear
predictor. That checks coding, order of columns and levels, and transforms,
without fitting anything.
"""

from __future__ import annotations

import numpy as np
import pytest

from hglm.design import build_design
from hglm.formula import parse_formula
from reference_data import reference, reference_frame, reference_ids

STRUCTURES = ("us", "diag", "cs", "ar1", "ou", "toep", "exp")
CATEGORICAL = frozenset(("use", "r2", "rating"))
"""Responses that are categories."""

WITH_DESIGN = [
    model
    for model in reference_ids()
    if reference(model).get("eta_fixed_head") and reference(model).get("fixef_names_py")
]
LINEAR = [
    model
    for model in WITH_DESIGN
    if reference(model)["kind"] == "lmm" and reference(model).get("ranef")
]


def design_of(stored):
    trials = stored["weights"] if stored["family"] == "binomial" else None
    design, _ = build_design(
        parse_formula(stored["formula"], STRUCTURES),
        reference_frame(stored),
        weights=None if trials else stored["weights"],
        trials=trials,
        offset=stored["offset"],
        categorical=stored["formula"].split()[0] in CATEGORICAL,
    )
    return design


def ordered(name):
    """Column name with the parts of an interaction in one order."""
    return ":".join(sorted(name.split(":")))


def eta_fixed(design, stored):
    places = [
        list(map(ordered, stored["fixef_names_py"])).index(ordered(name))
        for name in design.mean.names
    ]
    eta = design.mean.X @ np.array(stored["fixef"])[places]
    return eta if design.mean.offset is None else eta + design.mean.offset


def test_most_references_are_covered():
    assert len(WITH_DESIGN) > 80
    assert len(LINEAR) > 30


@pytest.mark.parametrize("model", WITH_DESIGN)
def test_columns_times_estimates_are_the_linear_predictor(model):
    stored = reference(model)
    design = design_of(stored)
    assert sorted(map(ordered, design.mean.names)) == sorted(map(ordered, stored["fixef_names_py"]))
    assert design.n == stored["n_obs"]
    groups = {term.group: term.n_levels for term in design.mean.random}
    assert groups == stored["n_groups"]
    expected = np.array(stored["eta_fixed_head"])
    # Printed with 15 digits; poly() and sums of up to 18 products lose a few.
    np.testing.assert_allclose(
        eta_fixed(design, stored)[: len(expected)], expected, rtol=1e-11, atol=1e-11
    )


@pytest.mark.parametrize("model", LINEAR)
def test_adding_the_random_effects_gives_the_fitted_values(model):
    """On the rows whose levels are among the first ten, which R's file lists."""
    stored = reference(model)
    design = design_of(stored)
    eta = eta_fixed(design, stored)
    listed = np.ones(design.n, dtype=bool)
    for group, effects in stored["ranef"].items():
        values = dict(zip(map(str, effects["levels"]), effects["values"], strict=True))
        columns = []
        for term in design.mean.random:
            if term.group == group:
                columns += [(term, j) for j in range(term.k)]
        assert len(columns) == len(effects["names"])
        for place, (term, j) in enumerate(columns):
            labels = [str(level) for level in term.levels]
            effect = np.array([values.get(label, [np.nan] * 99)[place] for label in labels])
            listed &= ~np.isnan(effect[term.codes])
            eta = eta + term.z[:, j] * effect[term.codes]
    expected = np.array(stored["fitted_head"])
    rows = np.flatnonzero(listed[: len(expected)])
    np.testing.assert_allclose(eta[rows], expected[rows], rtol=1e-10)
