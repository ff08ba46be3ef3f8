"""What a bootstrap follows: the parameters that people ask for, from many fits at once.

Names are those of `hglm.inference.targets`; coefficients of further predictors carry
the predictor's name before them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hglm.errors import OptionError
from hglm.fitting.record import Estimates, TermEstimate
from hglm.fitting.refit_record import Refits
from hglm.typing import Matrix, Vector

__all__ = [
    "has_structure",
    "named_numbers",
    "parameter_names",
    "parameter_values",
    "structured_parameters",
]


def named_numbers(found: object, name: str = "statistic") -> dict[str, float]:
    """Name the numbers that somebody's function has returned.

    Parameters
    ----------
    found
        A mapping or Series (its names are kept), a number, or an array, numbered from zero.
    name
        Of a single number.

    Raises
    ------
    OptionError
        For anything else, and where two have the same name.

    Examples
    --------
    >>> named_numbers([1, 2.5])
    {'0': 1.0, '1': 2.5}
    """
    values = pd.Series(dict(found)) if isinstance(found, Mapping) else found
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.ndim > 1 or numbers.size == 0:
        raise OptionError(
            f"The statistic returned a {type(found).__name__} that is no number, vector, Series or "
            "mapping of numbers; return one of these."
        )
    labels = values.index if isinstance(values, pd.Series) else range(numbers.size)
    names = [_flat(label) for label in labels] if numbers.ndim else [name]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise OptionError(f"The statistic returned {twice!r} twice; give each number its own name.")
    return dict(zip(names, numbers.ravel().tolist(), strict=True))


def parameter_names(estimates: Estimates, names: Sequence[str]) -> list[str]:
    """Name the parameters: random effects by terms, sigma, fixed effects.

    Parameters
    ----------
    estimates
        Of the model.
    names : (p,)
        Of the fixed effects of the mean.
    """
    out = [name for term in estimates.terms for name in _term_names(term)]
    out += [] if estimates.sigma is None else ["sigma"]
    out += list(names)
    return out + [
        f"{predictor}: {name}"
        for predictor in _further(estimates)
        for name in estimates.others[predictor].names
    ]


def parameter_values(estimates: Estimates, refits: Refits) -> Matrix:
    """Compute the parameters of `parameter_names` for each response. (B, s)

    Correlations are NaN where a variance is zero.
    """
    columns: list[Vector] = []
    for term, covariance in zip(estimates.terms, refits.covariances, strict=True):
        columns += _term_values(term, covariance)
    if estimates.sigma is not None:
        columns.append(refits.sigma)
    columns += list(refits.beta.T)
    for predictor in _further(estimates):
        columns += list(refits.others[predictor].T)
    return np.column_stack(columns)


def has_structure(estimates: Estimates) -> bool:
    """Whether some covariances have parameters of their own, such as a range."""
    return any(term.parameters for term in estimates.terms)


def structured_parameters(estimates: Estimates, names: Sequence[str]) -> dict[str, float]:
    """Compute the parameters of one fit, structured terms by their own.

    As `parameter_names`, but for ``"rho(times | g)"`` and the like in place of all
    correlations, and ``"sd(times | g)"`` where all coefficients have one.
    """
    every = zip(
        parameter_names(estimates, names),
        parameter_values(estimates, Refits.of(estimates))[0].tolist(),
        strict=True,
    )
    values = dict(every)
    out: dict[str, float] = {}
    for term in estimates.terms:
        usual = {name: values.pop(name) for name in _term_names(term)}
        out |= _own_parameters(term) if term.parameters else usual
    return out | values


def _own_parameters(term: TermEstimate) -> dict[str, float]:
    where = "" if term.predictor == "mean" else f"{term.predictor}: "
    sds = [] if term.homogeneous else np.sqrt(np.diag(term.covariance)).tolist()
    out = {
        f"{where}sd({name} | {term.group})": sd for name, sd in zip(term.names, sds, strict=False)
    }
    own = {f"{where}{name}({term.label} | {term.group})": x for name, x in term.parameters.items()}
    return out | own


def _further(estimates: Estimates) -> list[str]:
    """Predictors beside the mean that are more than the number told by `sigma`."""
    return [
        name
        for name, part in estimates.others.items()
        if len(part.beta) > 1 or name == "zero_inflation"
    ]


def _pairs(term: TermEstimate) -> list[tuple[int, int]]:
    if term.structure == "diag":
        return []
    return [(a, b) for a in range(term.k) for b in range(a)]


def _term_names(term: TermEstimate) -> list[str]:
    prefix = "" if term.predictor == "mean" else f"{term.predictor}: "
    out = [f"{prefix}sd({name} | {term.group})" for name in term.names]
    return out + [
        f"{prefix}cor({term.names[b]}, {term.names[a]} | {term.group})" for a, b in _pairs(term)
    ]


def _term_values(term: TermEstimate, covariance: Matrix) -> list[Vector]:
    """From the covariances (B, k, k), each column (B,)."""
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)).T  # (k, B)
    out = list(sd)
    for a, b in _pairs(term):
        scale = sd[a] * sd[b]
        rho = np.divide(
            covariance[:, a, b], scale, out=np.full_like(scale, np.nan), where=scale > 0
        )
        out.append(np.clip(rho, -1.0, 1.0))
    return out


def _flat(name: object) -> str:
    return ", ".join(map(str, name)) if isinstance(name, tuple) else str(name)
