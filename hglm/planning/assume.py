"""A data model from assumed parameters, where there is no fit yet."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import narwhals.stable.v1 as nw
import numpy as np

from hglm.covariance import lower_factor
from hglm.design import build_design
from hglm.design.arrays import Design, RandomTerm
from hglm.errors import DataError, OptionError
from hglm.families import Family, Parameter, resolve_family
from hglm.fitting.record import TermEstimate
from hglm.formula import parse_formula
from hglm.planning.data_model import DataModel
from hglm.planning.targets import is_finite
from hglm.typing import Frame, Matrix, Vector

__all__ = ["assume"]


def assume(
    formula: str,
    data: Frame,
    parameters: Mapping[str, float],
    family: str | Family | object = "gaussian",
    *,
    link: str | None = None,
    trials: str | Vector | None = None,
    weights: str | Vector | None = None,
    offset: str | Vector | None = None,
    contrasts: Mapping[str, object] | None = None,
) -> DataModel:
    """Describe how data are thought to come about.

    Parameters
    ----------
    formula
        As in `hglm.fit`; the response is a name, and need not be a column.
    data
        Predictors and groups, for instance from `simulate_design`.
    parameters
        Every parameter by the name that tables of results give it: fixed effects
        (``"Intercept"``, ``"days"``), ``"sd(days | subject)"``,
        ``"cor(Intercept, days | subject)"`` (0 if left out), and ``"sigma"`` where the
        family has one.
    family, link, trials, weights, offset, contrasts
        As in `hglm.fit`.

    Examples
    --------
    >>> from hglm.planning import assume, simulate_design
    >>> model = assume(
    ...     "y ~ days + (1 | subject)",
    ...     simulate_design({"subject": 10}, within={"days": range(4)}),
    ...     {"Intercept": 250.0, "days": 10.0, "sd(Intercept | subject)": 30.0, "sigma": 25.0},
    ... )
    >>> model.design.n
    40
    """
    parsed = parse_formula(formula)
    if len(parsed.response) != 1 or not parsed.response[0].isidentifier():
        raise OptionError(
            f"The response of {formula!r} must be a single name, since it is going to be "
            "simulated; give binomial sizes by `trials`."
        )
    chosen = resolve_family(family, link)
    design, _ = build_design(
        parsed,
        _with_response(data, parsed.response[0]),
        trials=trials,
        weights=weights,
        offset=offset,
        contrasts=contrasts,
    )
    wanted = _names(design, chosen)
    _check(parameters, wanted, chosen)
    linear = _is_linear(chosen)
    sigma = float(parameters["sigma"]) if linear else 1.0
    return DataModel(
        design=design,
        family=None if linear else chosen,
        betas={"mean": np.array([float(parameters[name]) for name in design.mean.names])},
        scalars={} if linear else _scalars(chosen, parameters),
        terms=tuple(_term(i, t, parameters, sigma) for i, t in enumerate(design.mean.random)),
        sigma=sigma,
        method="reml" if linear else "laplace",
    )


def _is_linear(family: Family) -> bool:
    return family.name == "gaussian" and family.parameters[0].link.name == "identity"


def _with_response(data: Frame, name: str) -> Frame:
    """Give the data a response of zeros, to be overwritten by what is drawn."""
    return nw.from_native(data, eager_only=True).with_columns(nw.lit(0.0).alias(name)).to_native()


def _names(design: Design, family: Family) -> dict[str, bool]:
    """Parameters of the model; whether they must be given."""
    names = dict.fromkeys(design.mean.names, True)
    for term in design.mean.random:
        names |= dict.fromkeys(_sd_names(term), True)
        names |= dict.fromkeys(_cor_names(term).values(), False)
    if _sigma(family) is not None:
        names["sigma"] = True
    return names


def _check(parameters: Mapping[str, float], wanted: Mapping[str, bool], family: Family) -> None:
    if len(family.parameters) > 1 + (_sigma(family) is not None):
        raise OptionError(
            f"The {family.name} family has parameters that cannot be assumed by name; fit it to "
            "pilot data and plan from the fit."
        )
    listed = ", ".join(map(repr, wanted))
    for name in parameters:
        if name not in wanted:
            raise OptionError(f"The model has no parameter {name!r}; it has {listed}.")
    missing = [name for name, needed in wanted.items() if needed and name not in parameters]
    if missing:
        raise OptionError(
            f"Values are missing for {', '.join(map(repr, missing))}; the model has {listed}."
        )
    for name, value in parameters.items():
        if not _is_possible(name, value):
            raise OptionError(f"The parameter {name!r} cannot be {value!r}; give a {_kind(name)}.")


def _is_possible(name: str, value: float) -> bool:
    if not is_finite(value):
        return False
    if name == "sigma":
        return value > 0.0
    if name.startswith("sd("):
        return value >= 0.0
    return not name.startswith("cor(") or abs(value) <= 1.0


def _kind(name: str) -> str:
    if name == "sigma":
        return "positive number"
    if name.startswith("sd("):
        return "number of 0 or more"
    return "number from -1 to 1" if name.startswith("cor(") else "finite number"


def _sigma(family: Family) -> Parameter | None:
    """Parameter that `sigma` tells, if the family has one."""
    found = [p for p in family.parameters[1:] if p.sigma_power is not None]
    return found[0] if found else None


def _scalars(family: Family, parameters: Mapping[str, float]) -> dict[str, float]:
    """Predictor of the parameter that is told by `sigma`."""
    parameter = _sigma(family)
    if parameter is None:
        return {}
    assert parameter.sigma_power is not None
    value = np.asarray(float(parameters["sigma"]) ** (1.0 / parameter.sigma_power))
    return {parameter.name: float(parameter.link.link(value))}


def _sd_names(term: RandomTerm) -> list[str]:
    return [f"sd({name} | {term.group})" for name in term.names]


def _cor_names(term: RandomTerm) -> dict[tuple[int, int], str]:
    if term.structure == "diag":
        return {}
    return {
        (a, b): f"cor({term.names[a]}, {term.names[b]} | {term.group})"
        for a, b in combinations(range(term.k), 2)
    }


def _term(
    position: int, term: RandomTerm, parameters: Mapping[str, float], sigma: float
) -> TermEstimate:
    sd = np.array([float(parameters[name]) for name in _sd_names(term)])
    R = np.eye(term.k)
    for (a, b), name in _cor_names(term).items():
        R[a, b] = R[b, a] = float(parameters.get(name, 0.0))
    values, vectors = np.linalg.eigh(R)
    if values[0] < -1e-9:
        raise DataError(
            f"The correlations of the coefficients by {term.group!r} contradict one another: no "
            "covariance matrix has them."
        )
    covariance: Matrix = R * np.outer(sd, sd)
    root = sd[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))
    return TermEstimate(
        position=position,
        group=term.group,
        names=term.names,
        levels=term.levels,
        structure=term.structure,
        factor=lower_factor(root) / (sigma or 1.0),
        covariance=covariance,
        modes=np.zeros((term.n_levels, term.k)),
    )
