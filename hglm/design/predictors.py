"""One linear predictor in arrays, for the data of the fit or for new data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from hglm.design.arrays import Positions, PredictorDesign, RandomTerm, Relation
from hglm.design.encoding import Columns
from hglm.design.groups import Grouping, joined, make_grouping
from hglm.design.positions import apply_positions, make_positions
from hglm.design.recipe import PredictorSpec, TermSpec
from hglm.design.relationship import Relationships
from hglm.design.values import Evaluator
from hglm.errors import DataError
from hglm.formula.hints import listing
from hglm.formula.spec import PredictorFormula, RandomTermFormula
from hglm.numerics.rank import independent_columns
from hglm.typing import Codes, Vector

__all__ = ["apply_predictor", "make_predictor", "right_hand_sides"]


def right_hand_sides(formula: PredictorFormula) -> list[str]:
    """Distinct right-hand sides that a predictor needs as columns."""
    random = (term.columns for term in formula.random if not term.positions)
    return list(dict.fromkeys((formula.fixed, *random)))


def make_predictor(
    formula: PredictorFormula,
    columns: Mapping[str, Columns],
    values: Evaluator,
    groupings: dict[tuple[str, ...], tuple[Codes, Grouping]],
    offset: Vector | None,
    intercept: bool,
    relationships: Relationships,
) -> tuple[PredictorDesign, PredictorSpec]:
    """Assemble a predictor and its recipe from the data of the fit.

    Parameters
    ----------
    columns
        Right-hand side -> columns.
    groupings
        Factors -> coded groups; those met here for the first time are added.
    offset : (n,), optional
        Added to the offsets of the formula.
    intercept
        Whether the predictor may keep its intercept, which thresholds replace.
    relationships
        Of the levels of grouping factors.
    """
    made = [_make_term(t, columns, values, groupings, relationships) for t in formula.random]
    fixed = columns[formula.fixed]
    kept = tuple(
        j
        for j in independent_columns(fixed.matrix).tolist()
        if intercept or fixed.names[j] != "Intercept"
    )
    spec = PredictorSpec(formula, kept, tuple(recipe for _, recipe in made))
    random = tuple(term for term, _ in made)
    return _predictor(fixed, kept, _sum(formula, values, offset), random), spec


def apply_predictor(
    spec: PredictorSpec,
    columns: Mapping[str, Columns],
    values: Evaluator,
    chosen: Callable[[RandomTermFormula], bool],
    allow_new_levels: bool,
    uncoded: Collection[str],
    offset: Vector | None,
) -> PredictorDesign:
    """Assemble a predictor for new data from its recipe."""
    random = tuple(
        _apply_term(recipe, columns, values, allow_new_levels, recipe.formula.group in uncoded)
        for recipe in spec.random
        if chosen(recipe.formula)
    )
    offset = _sum(spec.formula, values, offset)
    if spec.constant:
        offset = spec.constant + (np.zeros(len(values.index)) if offset is None else offset)
    return _predictor(columns[spec.formula.fixed], spec.kept, offset, random)


def _make_term(
    term: RandomTermFormula,
    columns: Mapping[str, Columns],
    values: Evaluator,
    groupings: dict[tuple[str, ...], tuple[Codes, Grouping]],
    relationships: Relationships,
) -> tuple[RandomTerm, TermSpec]:
    if term.factors not in groupings:
        factors = [values.factor(factor) for factor in term.factors]
        groupings[term.factors] = make_grouping(term.factors, factors)
    codes, grouping = groupings[term.factors]
    _check_repeats(term, grouping)
    positions, places = make_positions(term, values) if term.positions else (None, None)
    related = relationships.of(term, grouping.levels)
    recipe = TermSpec(term, grouping, places, related)
    relation = None if related is None else related.of_fit
    return _random_term(recipe, columns, codes, positions, relation), recipe


def _apply_term(
    recipe: TermSpec,
    columns: Mapping[str, Columns],
    values: Evaluator,
    allow_new_levels: bool,
    uncoded: bool,
) -> RandomTerm:
    term, grouping = recipe.formula, recipe.grouping
    relation = None if recipe.related is None else recipe.related.of_fit
    if uncoded:
        codes = np.full(len(values.index), -1, dtype=np.intp)
    else:
        factors = [values.factor(factor) for factor in term.factors]
        codes = grouping.codes(factors)
        if recipe.related is not None:
            codes, relation = recipe.related.extended(codes, joined(factors))
        if not allow_new_levels:
            _check_known(codes, grouping, term, values)
    positions = None if recipe.places is None else apply_positions(term, recipe.places, values)
    return _random_term(recipe, columns, codes, positions, relation)


def _predictor(
    fixed: Columns,
    kept: Sequence[int],
    offset: Vector | None,
    random: tuple[RandomTerm, ...],
) -> PredictorDesign:
    place = {old: new for new, old in enumerate(kept)}
    complete = len(kept) == len(fixed.names)
    return PredictorDesign(
        X=fixed.matrix if complete else np.asfortranarray(fixed.matrix[:, list(kept)]),
        names=tuple(fixed.names[j] for j in kept),
        terms={
            term: tuple(place[j] for j in positions if j in place)
            for term, positions in fixed.terms.items()
        },
        offset=offset,
        random=random,
        dropped=tuple(
            name
            for j, name in enumerate(fixed.names)
            if j not in place and name != "Intercept"  # left out on purpose
        ),
    )


def _random_term(
    recipe: TermSpec,
    columns: Mapping[str, Columns],
    codes: Codes,
    positions: Positions | None,
    relation: Relation | None,
) -> RandomTerm:
    term = recipe.formula
    if recipe.places is None:
        names, z = columns[term.columns].names, columns[term.columns].matrix
    else:
        names, z = recipe.places.names, np.empty((len(codes), 0))
    levels = recipe.grouping.levels
    return RandomTerm(term.group, names, levels, codes, z, term.structure, positions, relation)


def _sum(formula: PredictorFormula, values: Evaluator, offset: Vector | None) -> Vector | None:
    """All offsets added up; None if there are none."""
    parts = [values.vector(expression, "offset") for expression in formula.offsets]
    if offset is not None:
        parts.append(offset)
    return np.sum(parts, axis=0) if parts else None


def _check_repeats(term: RandomTermFormula, grouping: Grouping) -> None:
    if len(grouping.levels) < 2 and not term.positions:  # one long series or surface is enough
        raise DataError(
            f"The grouping factor `{term.group}` has only one level, `{grouping.levels[0]}`; a "
            "variance between levels needs two or more, so remove the term or choose another "
            "factor."
        )


def _check_known(
    codes: Codes, grouping: Grouping, term: RandomTermFormula, values: Evaluator
) -> None:
    rows = np.flatnonzero(codes < 0)
    if rows.size:
        factors = [pd.Series(values.factor(factor)).iloc[rows[:50]] for factor in term.factors]
        levels = dict.fromkeys(":".join(map(str, row)) for row in zip(*factors, strict=True))
        raise DataError(
            f"The grouping factor `{term.group}` has new levels {listing(levels)}, about which "
            f"the fit (with {len(grouping.levels)} levels) knows nothing; predict with "
            '`new_levels="population"`, or leave these rows out.'
        )
