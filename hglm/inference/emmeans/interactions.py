"""Contrasts of contrasts, and tests of the terms of a model by marginal means.

An interaction contrast multiplies the coefficients of one contrast for each factor.
All products of consecutive differences are the hypothesis of no interaction. The
tests so made are those of type III wherever all cells have data; where some have
none, what is tested is the part that the data determine.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from hglm.design import Design, DesignSpec
from hglm.errors import OptionError
from hglm.families import Family
from hglm.fitting.record import Estimates
from hglm.formula.hints import listing
from hglm.inference.emmeans.contrast_methods import Contrasts, Means, find_method
from hglm.inference.emmeans.contrasts import assemble, value_label
from hglm.inference.emmeans.estimable import EstimableSet
from hglm.inference.emmeans.means import marginal_means
from hglm.inference.emmeans.notes import variables_of_terms
from hglm.inference.emmeans.specs import Names, names_of
from hglm.inference.emmeans.tables import joint_frame
from hglm.inference.emmeans.variables import grid_variables
from hglm.inference.tests import Ddf, denominator
from hglm.typing import Matrix

__all__ = ["interaction_contrast", "joint_tests"]


def interaction_contrast(
    means: EstimableSet, methods: str | Mapping[str, str] = "consec"
) -> EstimableSet:
    """Contrast the contrasts of one factor by those of the next, within groups.

    Parameters
    ----------
    means
        One row for each combination of the factors within a group.
    methods
        Factor -> method of `hglm.inference.emmeans.contrast_methods`, or one for all.
    """
    names = means.names
    chosen = dict.fromkeys(names, methods) if isinstance(methods, str) else dict(methods)
    if set(chosen) != set(names):
        raise OptionError(
            f"An interaction needs one method for each of {listing(names)}, and it is given "
            f"{listing(chosen)}."
        )
    return assemble(means, [_products(means.take(rows), chosen) for rows in means.groups()])


def joint_tests(
    estimates: Estimates,
    design: Design,
    spec: DesignSpec,
    family: Family,
    *,
    by: Names | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    ddf: Ddf = "asymptotic",
) -> pd.DataFrame:
    """Test each term of the model by interaction contrasts of marginal means.

    Parameters
    ----------
    estimates, design, spec, family, at, weights, ddf
        See `hglm.inference.emmeans.means.marginal_means`. Covariates have two
        values unless `at` gives others, one below their mean and one above.
    by
        Variables that divide the tests: one test for each of their levels.

    Returns
    -------
    DataFrame
        `term`, variables of `by`, `num_df, den_df, statistic` (F), `p_value`; terms
        of which nothing is determined are left out.
    """
    variables = grid_variables(design, spec, at)
    spread = {
        name: (v.values[0] - 1.0, v.values[0] + 1.0)
        for name, v in variables.items()
        if not v.is_factor and len(v.values) == 1
    }
    groups = names_of(by)
    terms = variables_of_terms(spec, tuple(variables))
    inner = [tuple(name for name in variables if name in t and name not in groups) for t in terms]
    subsets = {s: None for t in inner for r in range(1, len(t) + 1) for s in combinations(t, r)}
    method = denominator(estimates, ddf)
    tables = []
    for names in sorted(subsets, key=len):
        means = marginal_means(
            estimates,
            design,
            spec,
            family,
            names,
            by=groups,
            at={**spread, **(at or {})},
            weights=weights,
            ddf=method,
        )
        table = joint_frame(interaction_contrast(means))
        table.insert(0, "term", ":".join(names))
        tables.append(table[table["num_df"] > 0])
    return pd.concat(tables, ignore_index=True)


def _products(rows: EstimableSet, methods: Mapping[str, str]) -> tuple[pd.DataFrame, Matrix]:
    """Products of the contrasts of each factor, the first varying fastest. (c, r)"""
    codes, built = [], []
    for name in rows.names:
        code, levels = pd.factorize(rows.labels[name])
        _, method = find_method(methods[name])
        labels = tuple(value_label(name, level) for level in levels)
        codes.append(code)
        built.append(method.build(Means(labels, method.reference % len(labels))))
    if len(set(zip(*codes, strict=True))) != len(rows.rows):
        raise OptionError("An interaction needs one row for each combination of its factors.")
    chosen = [c[::-1] for c in product(*(range(len(b.labels)) for b in built[::-1]))]
    matrix = np.ones((len(chosen), len(rows.rows)))
    for factor, (code, contrasts) in enumerate(zip(codes, built, strict=True)):
        matrix *= contrasts.coefficients[[c[factor] for c in chosen]][:, code]
    columns = {
        f"{name}_{find_method(methods[name])[0]}": _taken(contrasts, [c[i] for c in chosen])
        for i, (name, contrasts) in enumerate(zip(rows.names, built, strict=True))
    }
    return pd.DataFrame(columns), matrix


def _taken(contrasts: Contrasts, positions: list[int]) -> list[str]:
    return [contrasts.labels[position] for position in positions]
