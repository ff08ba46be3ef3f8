"""The way in: a formula and a data frame to a model, and a model to a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hglm.design import (
    Design,
    DesignSpec,
    build_design,
    check_levels,
    has_no_residual,
    without_residual,
)
from hglm.errors import OptionError
from hglm.families import Family, resolve_family
from hglm.families.zero import ZeroInflated
from hglm.fitting.estimate import estimate_linear
from hglm.fitting.estimate_generalised import estimate_generalised
from hglm.fitting.methods import ML, REML, Laplace, Method, resolve_method
from hglm.fitting.record import Estimates
from hglm.formula import PredictorFormula, parse_formula, parse_predictor
from hglm.measurement import fit_measurement
from hglm.numerics.trust_region import TrustRegion
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
    family, link, weights, frequencies, trials, offset, dispersion, zero_inflation, covariances, \
    contrasts, missing
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
        dispersion: str | None = None,
        zero_inflation: str | None = None,
        covariances: Mapping[str, Any] | None = None,
        contrasts: Mapping[str, Any] | None = None,
        missing: str = "drop",
    ) -> None:
        self.formula = parse_formula(formula)
        base = resolve_family(family, link)
        self.family: Family = base if zero_inflation is None else ZeroInflated(base)
        if trials is not None and self.family.support != "proportion":
            raise OptionError(
                f"The {self.family.name} family has no trials; leave `trials` out, or choose "
                "a binomial family."
            )
        others = {"dispersion": dispersion, "zero_inflation": zero_inflation}
        self.design: Design
        self.spec: DesignSpec
        self.design, self.spec = build_design(
            self.formula,
            data,
            others=_further_predictors(self.family, others),
            weights=weights,
            frequencies=frequencies,
            trials=trials,
            offset=offset,
            covariances=covariances,
            contrasts=contrasts,
            missing=missing,
            categorical=self.family.support in ("proportion", "category"),
            intercept=self.family.support != "category",
        )
        if self.family.name == "gaussian" and has_no_residual(self.design):
            to_dispersion = self.family.parameters[1].link.link
            self.design, self.spec = without_residual(self.design, self.spec, to_dispersion)

    @property
    def is_linear(self) -> bool:
        """Whether it is a linear mixed model: Gaussian, identity link, one variance."""
        names = [p.link.name for p in self.family.parameters[:1]]
        return self.family.name == "gaussian" and names == ["identity"] and not self.design.others

    def fit(
        self,
        method: str | Method | None = None,
        *,
        start: Vector | None = None,
        progress: Callable[[int, float], None] | None = None,
    ) -> Fit | Any:
        """Fit the model; with a covariate in `me(x, se)` the result is a `MeasurementFit`.

        Parameters
        ----------
        method
            ``"reml"`` (default of linear models), ``"ml"``, ``"laplace"`` (default
            of all others), or a configuration object.
        start : (m,), optional
            θ to start from, in the coordinates of `Fit.theta`.
        progress
            Called after every evaluation with its number and the criterion.
        """
        settings = TrustRegion(watch=progress)
        chosen = resolve_method(method)
        if self.design.measured is not None:
            return fit_measurement(
                self.formula,
                self.design,
                self.spec,
                self.design.measured,
                is_linear=self.is_linear,
                method=chosen,
                start=start,
                progress=progress,
            )
        estimates = self._estimate(chosen, start, settings)
        return Fit(self.formula, self.design, self.spec, self.family, estimates)

    def describe(self) -> str:
        """Say in a few lines what the model is made of, before it is fitted."""
        d = self.design
        lines = [
            f"Formula: {self.formula.text}",
            f"Family: {self.family.name}, {self.family.parameters[0].link.name} link",
            f"Rows used: {d.n} of {d.n_rows}",
        ]
        for name, predictor in {"mean": d.mean, **d.others}.items():
            where = "" if name == "mean" else f" of {name}"
            columns = ", ".join(predictor.names)
            lines.append(f"Fixed effects{where} ({len(predictor.names)}): {columns}")
            lines += [
                f"Random effects{where} by {t.group} ({t.n_levels} levels, {t.structure}): "
                + ", ".join(t.names)
                for t in predictor.random
            ]
        return "\n".join([*lines, *d.notes])

    def _estimate(
        self, method: Method | None, start: Vector | None, settings: TrustRegion
    ) -> Estimates:
        if self.is_linear and (method is None or isinstance(method, (REML, ML))):
            check_levels(self.design)
            return estimate_linear(self.design, not isinstance(method, ML), start, settings)
        if isinstance(method, REML):
            raise OptionError(
                "REML is for linear models (Gaussian, identity link, one residual variance); "
                'leave `method` out or use method="laplace".'
            )
        if isinstance(method, ML) or method is None:  # the likelihood must be approximated
            method = Laplace()
        return estimate_generalised(self.design, self.family, method, start, settings)


def _further_predictors(
    family: Family, formulas: Mapping[str, str | None]
) -> dict[str, PredictorFormula]:
    """Formulas of the predictors beside the mean, where the family has them."""
    known = {p.name for p in family.parameters if not p.scalar}
    out = {}
    for name, text in formulas.items():
        if text is None:
            continue
        if name not in known:
            raise OptionError(
                f"The {family.name} family has no {name.replace('_', ' ')} to model; leave "
                f"`{name}` out or choose another family."
            )
        out[name] = parse_predictor(text)
    return out


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
    dispersion: str | None = None,
    zero_inflation: str | None = None,
    covariances: Mapping[str, Any] | None = None,
    contrasts: Mapping[str, Any] | None = None,
    missing: str = "drop",
    start: Vector | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Fit | Any:
    """Fit a mixed-effects model.

    Parameters
    ----------
    formula
        ``"response ~ fixed + (columns | group)"``: formulaic's operators and
        transforms for the fixed part, lme4's bars for the random one. A covariate
        measured with error is written `me(x, se)`.
    data
        Data frame of pandas, polars, pyarrow or another library known to
        narwhals. It is not changed.
    family
        Name or object: ``"gaussian"``, ``"binomial"``, ``"poisson"``, ...
    link
        Link of the mean; the family's default if None.
    method
        ``"reml"`` (default of linear models), ``"ml"``, ``"laplace"`` (default of
        all others), or a configuration object.
    weights : str or (n,), optional
        Precision weights w: the variance of a row is φ/w.
    frequencies : str or (n,), optional
        How many identical observations a row stands for.
    trials : str or (n,), optional
        Binomial sizes, where the response is a proportion.
    offset : str or (n,), optional
        Known part of the linear predictor, added to `offset(...)` terms.
    dispersion
        Formula of the dispersion on its link scale, such as ``"~ x + (1 | g)"``. ``"~ 0"``
        leaves a Gaussian model no residual variance: all is in the random effects.
    zero_inflation
        Formula of the probability of an extra zero, on the logit scale; of a zero at
        all (a hurdle) with a zero-truncated family.
    covariances
        Grouping factor -> how its levels are related: a data frame with the levels as
        index and columns (a pedigree's, a phylogeny's or a kinship matrix), a pair
        (matrix, labels), or `hglm.Relationship`, which takes sparse precisions too. It
        is for the terms written `known(... | group)`, or else for all terms of the
        group.
    contrasts
        Column -> ``"treatment"``, ``"sum"``, ``"helmert"``, ``"poly"``, ...
    missing
        ``"drop"`` leaves incomplete rows out with a note; ``"raise"`` refuses.
    start : (m,), optional
        θ to start from, in the coordinates of `Fit.theta`.
    progress
        Called after every evaluation of the criterion with its number in the search
        and its value, for long fits: ``progress=print`` will do.

    Returns
    -------
    Fit
        Or a `MeasurementFit` where the formula has a covariate in `me(x, se)`.

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
        dispersion=dispersion,
        zero_inflation=zero_inflation,
        covariances=covariances,
        contrasts=contrasts,
        missing=missing,
    )
    return model.fit(method, start=start, progress=progress)


def lmer(formula: str, data: Frame, REML: bool = True, **options: Any) -> Fit:
    """Fit a linear mixed model: `fit` under lme4's name."""
    return fit(formula, data, method="reml" if REML else "ml", **options)


def glmer(formula: str, data: Frame, family: str | Family | object, **options: Any) -> Fit:
    """Fit a generalised linear mixed model: `fit` under lme4's name."""
    return fit(formula, data, family, **options)
