"""Compare fitted models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd

from hglm.errors import OptionError
from hglm.inference.compare import Candidate, compare_table
from hglm.result import Fit

__all__ = ["compare"]


def compare(
    *fits: Fit,
    refit: bool = False,
    boundary: Literal["auto", False] = "auto",
    names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Compare nested models by likelihood-ratio tests, and all by AIC and BIC.

    Parameters
    ----------
    *fits
        Two or more fits to the same data.
    refit
        Fit models again by maximum likelihood that were fitted by REML. Without it
        models fitted by REML must have the same fixed part.
    boundary
        ``"auto"`` adds `p_value_boundary`, which allows for a variance that is zero
        under the null hypothesis; False leaves it out.
    names
        Names of the models; their formulas by default.

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
    titles = [f.formula.text.strip() for f in fits] if names is None else list(names)
    if len(titles) != len(fits):
        raise OptionError(f"There are {len(fits)} fits but {len(titles)} names; give one each.")
    candidates = [
        Candidate(title, f.estimates, f.design) for title, f in zip(titles, fits, strict=True)
    ]
    result = compare_table(candidates, refit=refit, boundary=boundary)
    table = result.table
    table.attrs["notes"] = list(result.notes)
    return table
