"""The one entry point: formula and data frame in, priors and posteriors out."""

from __future__ import annotations

from hglm.empirical.formula import parse_ebayes_formula
from hglm.empirical.frame import Argument, model_frame
from hglm.empirical.lookup import Model, resolve_model
from hglm.empirical.mixture.deconvolution import Deconvolution
from hglm.empirical.mixture.npmle import NPMLE
from hglm.empirical.result import EBayes
from hglm.errors import OptionError
from hglm.typing import Frame

__all__ = ["ebayes"]


def ebayes(
    formula: str,
    data: Frame,
    model: str | Model = "normal",
    *,
    se: Argument = None,
    exposure: Argument = None,
    frequencies: Argument = None,
) -> EBayes:
    """Learn a prior from many groups and shrink every group towards it.

    Parameters
    ----------
    formula
        `response ~ covariates | group`. The response is an estimate, a count,
        `successes / trials`, or `cbind(a, b, ...)`; covariates (`1` for none)
        move the mean of the prior; without `| group` each row is a group.
    data
        A data frame of pandas, polars or pyarrow. Rows with missing values in
        a used column are left out, with a note.
    model
        A name or an object with settings: "beta-binomial", "gamma-poisson",
        "gamma-exponential", "dirichlet-multinomial", "normal", "meta" (normal
        with Knapp-Hartung tests), "normal-inverse-gamma", "james-stein",
        "point-normal", "unimodal", "npmle", "deconvolution"; or e.g.
        `Normal(method="dl")`.
    se
        Known standard errors of the estimates: a column, an expression of
        columns such as ``"np.sqrt(vi)"``, one number, or an array.
    exposure
        Exposure of counts, in the same forms.
    frequencies
        How many alike groups each row stands for ("npmle", "deconvolution").

    Examples
    --------
    >>> import pandas as pd
    >>> shops = pd.DataFrame({"sold": [12, 3, 9, 20], "shown": [40, 30, 25, 42]})
    >>> fit = ebayes("sold / shown ~ 1", shops, model="beta-binomial")
    >>> fit.ranef()["estimate"].round(2).tolist()
    [0.3, 0.17, 0.34, 0.43]
    """
    chosen = resolve_model(model)
    if frequencies is not None and not isinstance(chosen, (NPMLE, Deconvolution)):
        raise OptionError(
            "`frequencies` are for model='npmle' and model='deconvolution'; repeat the rows here."
        )
    parsed = parse_ebayes_formula(formula)
    return chosen.fit(model_frame(parsed, data, se, exposure, frequencies))
