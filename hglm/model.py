"""The way in: a formula and a data frame to a model, and a model to a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hglm.design import Design, DesignSpec, build_design, check_levels
from hglm.errors import OptionError
from hglm.families import Family, resolve_family
from hglm.fit.estimate import estimate_linear
from hglm.fit.methods import ML, REML, Method, resolve_method
from hglm.formula import parse_formula
from hglm.result import Fit
from hglm.typing import Frame, Vector

__all__ = ["Model", "fit", "glmer", "lmer"]


class Model:
    """A formula and data, made into arrays; nothing is fitted yet.

    Parameters
    ----------
    formula
        R-style formula with lme4's random terms, see `hglm.fit`.
    data
        Data frame of pandas, polars, pyarrow or another library known to narwhals.
    family, link, weights, frequencies, trials, offset, contrasts, missing
        As in `hglm.fit`.

    Attributes
    ----------
    formula
        What the formula says.
    design : Design
        Response, weights and design arrays of the complete cases.
    spec : DesignSpec
        Recipe that rebuilds the design for new data.
    family : Family

    Examples
    --------
    >>> import hglm
    >>> model = hglm.Model("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))
    >>> model.design.mean.X.shape
    (180, 2)
    """

    __slots__ = ("design", "family", "formula", "spec")

    def __init__(
        self,
        formula: str,
        data: Frame,
        family: str | Family | object = "gaussian",
        *,
        link: str | None = None,
        weights: str | Vector | None = None,
        frequencies: str | Vector | None = None,
        trials: str | Vector | None = None,
        offset: str | Vector | None = None,
        contrasts: Mapping[str, Any] | None = None,
        missing: str = "drop",
    ) -> None:
        self.formula = parse_formula(formula)
        self.family = resolve_family(family, link)
        self.design: Design
        self.spec: DesignSpec
        self.design, self.spec = build_design(
            self.formula,
            data,
            weights=weights,
            frequencies=frequencies,
            trials=trials,
            offset=offset,
            contrasts=contrasts,
            missing=missing,
        )

    def fit(self, method: str | Method | None = None, *, start: Vector | None = None) -> Fit:
        """Fit the model.

        Parameters
        ----------
        method
            ``"reml"`` (default), ``"ml"`` or a configuration object.
        start : (m,), optional
            θ to start from, in the coordinates of `Fit.theta`.
        """
        chosen = resolve_method(method)
        check_levels(self.design)
        estimates = estimate_linear(self.design, isinstance(chosen, REML), start)
        return Fit(self.formula, self.design, self.spec, self.family, estimates)

    def describe(self) -> str:
        """Say in a few lines what the model is made of, before it is fitted."""
        d = self.design
        lines = [
            f"Formula: {self.formula.text}",
            f"Rows used: {d.n} of {d.n_rows}",
            f"Fixed effects ({d.mean.X.shape[1]}): {', '.join(d.mean.names)}",
        ]
        for t in d.mean.random:
            what = ", ".join(t.names)
            lines.append(
                f"Random effects by {t.group} ({t.n_levels} levels, {t.structure}): {what}"
            )
        return "\n".join([*lines, *d.notes])


def fit(
    formula: str,
    data: Frame,
    family: str | Family | object = "gaussian",
    *,
    link: str | None = None,
    method: str | Method | None = None,
    weights: str | Vector | None = None,
    frequencies: str | Vector | None = None,
    trials: str | Vector | None = None,
    offset: str | Vector | None = None,
    contrasts: Mapping[str, Any] | None = None,
    missing: str = "drop",
    start: Vector | None = None,
) -> Fit:
    """Fit a mixed-effects model.

    Parameters
    ----------
    formula
        ``"response ~ fixed + (columns | group)"``: formulaic's operators and
        transforms for the fixed part, lme4's bars for the random one.
    data
        Data frame of pandas, polars, pyarrow or another library known to
        narwhals. It is not changed.
    family
        Name or object: ``"gaussian"``, ``"binomial"``, ``"poisson"``, ...
    link
        Link of the mean; the family's default if None.
    method
        ``"reml"`` (default of Gaussian models), ``"ml"``, or a configuration
        object.
    weights : str or (n,), optional
        Precision weights w: the variance of a row is φ/w.
    frequencies : str or (n,), optional
        How many identical observations a row stands for.
    trials : str or (n,), optional
        Binomial sizes, where the response is a proportion.
    offset : str or (n,), optional
        Known part of the linear predictor, added to `offset(...)` terms.
    contrasts
        Column -> ``"treatment"``, ``"sum"``, ``"helmert"``, ``"poly"``, ...
    missing
        ``"drop"`` leaves incomplete rows out with a note; ``"raise"`` refuses.
    start : (m,), optional
        θ to start from, in the coordinates of `Fit.theta`.

    Returns
    -------
    Fit

    Raises
    ------
    FormulaError, DataError, OptionError
        Naming the thing, the cause and the remedy. All are ValueErrors.

    Examples
    --------
    >>> import hglm
    >>> fit = hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))
    >>> fit.params.round(3).to_dict()
    {'Intercept': 251.405, 'days': 10.467}
    """
    model = Model(
        formula,
        data,
        family,
        link=link,
        weights=weights,
        frequencies=frequencies,
        trials=trials,
        offset=offset,
        contrasts=contrasts,
        missing=missing,
    )
    return model.fit(method, start=start)


def lmer(formula: str, data: Frame, REML: bool = True, **options: Any) -> Fit:
    """Fit a linear mixed model: `fit` under lme4's name."""
    return fit(formula, data, method="reml" if REML else "ml", **options)


def glmer(formula: str, data: Frame, family: str | Family | object, **options: Any) -> Fit:
    """Fit a generalised linear mixed model: `fit` under lme4's name."""
    return fit(formula, data, family, **options)
