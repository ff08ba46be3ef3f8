"""Compare fitted models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from hglm.empirical.compare import compare as compare_priors
from hglm.empirical.result import EBayes
from hglm.errors import OptionError
from hglm.inference.compare import Candidate, compare_table
from hglm.inference.compare_simulated import with_advice, with_bootstrap, with_exact
from hglm.report import Report
from hglm.report.coefficients import other_tables
from hglm.report.frames import residual_sd
from hglm.report.side_by_side import Column, side_by_side
from hglm.result import Fit

__all__ = ["compare", "table"]

METHODS = ("chi-square", "bootstrap", "exact")


def compare(
    *fits: Fit,
    refit: bool = False,
    boundary: Literal["auto", False] = "auto",
    names: Sequence[str] | None = None,
    method: Literal["chi-square", "bootstrap", "exact"] = "chi-square",
    n: int | None = None,
    seed: np.random.Generator | int | None = None,
    workers: int = 1,
    progress: bool = False,
) -> pd.DataFrame:
    """Compare nested models by likelihood-ratio tests, and all by AIC and BIC.

    Parameters
    ----------
    *fits
        Two or more fits to the same data; or of `hglm.ebayes`, whose priors are then
        compared by their marginal likelihoods.
    refit
        Fit models again by maximum likelihood that were fitted by REML. Without it
        models fitted by REML must have the same fixed part.
    boundary
        ``"auto"`` adds `p_value_boundary`, which allows for a variance that is zero
        under the null hypothesis; False leaves it out.
    names
        Names of the models; their formulas by default.
    method
        ``"chi-square"``; ``"bootstrap"`` adds `p_value_bootstrap`, from fits of both
        models to responses drawn from the smaller one; ``"exact"`` adds `p_value_exact`,
        for one variance more in a linear mixed model.
    n
        Number of simulations for each pair; 1,000 for the bootstrap, 10,000 for exact
        tests, which need no fits.
    seed
        Generator or seed of the simulations; results do not depend on `workers`.
    workers
        Processes of the bootstrap, -1 for one a core; more than one needs joblib.
    progress
        Whether the bootstrap shows a bar, where tqdm is installed.

    Returns
    -------
    DataFrame
        A row a model, by number of parameters, each compared with the row above:
        `npar, aic, bic, llf, deviance, chisq, df, p_value`. What else the reader
        should know stands in `.attrs["notes"]`.

    Examples
    --------
    >>> import hglm
    >>> sleep = hglm.load_dataset("sleepstudy")
    >>> small = hglm.fit("reaction ~ days + (1 | subject)", sleep, method="ml")
    >>> large = hglm.fit("reaction ~ days + (days | subject)", sleep, method="ml")
    >>> hglm.compare(small, large, names=["intercepts", "slopes"])[["chisq", "df"]].round(3)
                 chisq   df
    model
    intercepts     NaN  NaN
    slopes      42.139  2.0
    """
    if method not in METHODS:
        raise OptionError(
            f"There is no method {method!r}; choose one of {', '.join(map(repr, METHODS))}."
        )
    if fits and all(isinstance(f, EBayes) for f in fits):
        return compare_priors(*fits)  # type: ignore[arg-type]
    for one in fits:
        if not isinstance(one, Fit):
            raise OptionError(
                f"Models are compared by the likelihood of the response, which a "
                f"{type(one).__name__} has not; compare its `aic` with others of its kind."
            )
    titles = [f.formula.text.strip() for f in fits] if names is None else list(names)
    if len(titles) != len(fits):
        raise OptionError(f"There are {len(fits)} fits but {len(titles)} names; give one each.")
    candidates = [
        Candidate(title, f.estimates, f.design) for title, f in zip(titles, fits, strict=True)
    ]
    result = compare_table(candidates, refit=refit, boundary=boundary)
    if method == "chi-square":
        result = with_advice(result)
    elif method == "bootstrap":
        draws = 1000 if n is None else n
        result = with_bootstrap(result, draws, seed, workers=workers, progress=progress)
    else:
        result = with_exact(result, 10_000 if n is None else n, seed)
    table = result.table
    table.attrs["notes"] = list(result.notes)
    return table


def table(
    fits: Fit | Sequence[Fit],
    names: Sequence[str] | None = None,
    *,
    stars: bool = False,
    caption: str = "",
) -> Report:
    """Set fits beside each other, one column a model, as papers show them.

    Parameters
    ----------
    fits
        The models.
    names
        Headings; ``"(1)"``, ``"(2)"``, ... by default.
    stars
        Whether to mark small p-values.
    caption
        Above the table.

    Returns
    -------
    Report
        Prints as text, shows as HTML in a notebook; `to_latex()`, `to_markdown()`.
        The numbers are in ``.tables["estimates"]``.

    Examples
    --------
    >>> import hglm
    >>> sleep = hglm.load_dataset("sleepstudy")
    >>> small = hglm.fit("reaction ~ days + (1 | subject)", sleep)
    >>> large = hglm.fit("reaction ~ days + (days | subject)", sleep)
    >>> print(hglm.table([small, large]))
                                   (1)           (2)
    --------------------------------------------------------
    Intercept                      251.4 (9.7)   251.4 (6.8)
    days                           10.47 (0.80)  10.5 (1.5)
    ...
    """
    fits = [fits] if isinstance(fits, Fit) else fits
    headings = [f"({i})" for i in range(1, len(fits) + 1)] if names is None else list(names)
    if len(headings) != len(fits):
        raise OptionError(f"There are {len(fits)} fits but {len(headings)} names; give one each.")
    columns = [
        Column(
            name,
            _all_coefficients(f),
            f.varcorr,
            {"Observations": f.nobs, "Log lik.": f.llf, "AIC": f.aic, "BIC": f.bic},
            None if residual_sd(f.estimates) is not None else f.sigma,
        )
        for name, f in zip(headings, fits, strict=True)
    ]
    return side_by_side(columns, stars, caption)


def _all_coefficients(fit: Fit) -> pd.DataFrame:
    """Tabulate the fixed effects of the mean, then of further predictors under their names."""
    others = [
        part.assign(term=[f"{name.replace('_', ' ')}: {term}" for term in part["term"]])
        for name, part in other_tables(fit.estimates).items()
    ]
    return pd.concat([fit.coefficients(), *others], ignore_index=True)
