"""Priors compared by their marginal likelihoods."""

from __future__ import annotations

import pandas as pd

from hglm.empirical.result import EBayes
from hglm.errors import OptionError

__all__ = ["compare"]


def compare(*fits: EBayes) -> pd.DataFrame:
    """Table of fits to the same data, the best AIC first.

    AIC is missing for nonparametric priors, whose parameters cannot be counted:
    their log-likelihood bounds what any prior can reach. Values marked
    "plug-in" or "penalised" in `kind` are not maxima.

    Parameters
    ----------
    fits
        Two or more fits with the same groups, data and noise.
    """
    if len(fits) < 2:
        raise OptionError("Give two or more fits to compare.")
    if len({fit.likelihood.data for fit in fits}) > 1:
        raise OptionError(
            "These fits are of different data or of different noise, so their likelihoods cannot "
            "be compared; fit them to the same rows."
        )
    restricted = [fit.likelihood.kind == "reml" for fit in fits]
    same_mean = {fit.formula.partition("~")[2] for fit in fits}
    if any(restricted) and (not all(restricted) or len(same_mean) > 1):
        raise OptionError(
            "Restricted likelihoods compare only with one another and for the same covariates; "
            "refit with Normal(method='ml')."
        )
    frame = pd.DataFrame(
        {
            "model": [fit.model for fit in fits],
            "formula": [fit.formula for fit in fits],
            "kind": [fit.likelihood.kind for fit in fits],
            "n_parameters": [fit.n_parameters for fit in fits],
            "llf": [fit.llf for fit in fits],
            "aic": [fit.aic for fit in fits],
            "bic": [fit.bic for fit in fits],
        }
    )
    frame["delta_aic"] = frame["aic"] - frame["aic"].min()
    return frame.sort_values("aic", kind="stable", ignore_index=True)
