"""From a design with a `me(x, se)` term to the arrays of the structural model."""

from __future__ import annotations

import numpy as np

from hglm.design.arrays import Design, Measured, RandomTerm
from hglm.errors import FormulaError, OptionError
from hglm.measurement.likelihood import ErrorsInVariables
from hglm.numerics.rank import independent_columns
from hglm.typing import Codes, Matrix

__all__ = ["fixed_positions", "latent_columns", "measurement_arrays"]


def measurement_arrays(design: Design, measured: Measured) -> ErrorsInVariables:
    """Take the structural model out of a design.

    The true covariate is regressed on all other fixed columns, so that it may
    depend on them as in any regression.

    Raises
    ------
    FormulaError, OptionError
        Where the likelihood of this model does not cover the design.
    """
    _check_rows(design)
    mean = design.mean
    term = _random_term(mean.random)
    offset = 0.0 if mean.offset is None else mean.offset
    return ErrorsInVariables(
        y=design.y - offset,
        w=mean.X[:, measured.column],
        se=measured.se,
        S=latent_columns(design, measured)[0],
        Z=np.delete(mean.X, measured.column, axis=1),
        codes=np.zeros(design.n, dtype=np.intp) if term is None else term.codes,
        n_groups=1 if term is None else term.n_levels,
        R=np.empty((design.n, 0)) if term is None else term.z,
        name=f"`{mean.names[measured.column]}`",
    )


def latent_columns(design: Design, measured: Measured) -> tuple[Matrix, tuple[str, ...]]:
    """Columns (n, q) that the true covariate is regressed on, an intercept among them."""
    mean = design.mean
    others = np.delete(mean.X, measured.column, axis=1)
    columns = np.column_stack([np.ones(design.n), others])
    names = ("Intercept", *np.delete(np.array(mean.names, dtype=object), measured.column))
    kept = independent_columns(columns)
    return columns[:, kept], tuple(names[j] for j in kept)


def fixed_positions(sizes: tuple[int, int, int], column: int) -> Codes:
    """Where the fixed effects, in the order of the design, stand among packed parameters.

    Parameters
    ----------
    sizes
        q, p, k of `ErrorsInVariables`.
    column
        Of the covariate in X.

    Returns
    -------
    (p + 1,)
    """
    q, p, _ = sizes
    return np.insert(np.arange(q + 1, q + 1 + p), column, q + p + 1)


def _random_term(terms: tuple[RandomTerm, ...]) -> RandomTerm | None:
    if not terms:
        return None
    if len(terms) > 1:
        named = ", ".join(f"({', '.join(t.names)} | {t.group})" for t in terms)
        raise FormulaError(
            f"With `me(...)` there can be one random term, but the formula has {named}; keep one, "
            "as in `(x | g)`."
        )
    (term,) = terms
    special = term.positions is not None or term.relation is not None
    if special or (term.structure != "us" and term.k > 1):
        raise FormulaError(
            f"With `me(...)` the covariance structure of a random term is `us`, but that of "
            f"`{term.group}` is {term.structure}; write `(x | {term.group})`."
        )
    return term


def _check_rows(design: Design) -> None:
    given = {"weights": design.weights, "frequencies": design.frequencies, "trials": design.trials}
    for name, value in given.items():
        if value is not None:
            raise OptionError(
                f"With `me(...)` every row counts the same, so `{name}` cannot be used; leave it "
                "out, or name the measurement without `me` to treat it as exact."
            )
