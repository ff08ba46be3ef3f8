"""The truth of a fit in another experiment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from hglm.design import DesignSpec, rebuild
from hglm.design.arrays import Design, PredictorDesign, RandomTerm
from hglm.errors import DataError
from hglm.planning.data_model import DataModel
from hglm.planning.sizes import check_estimable
from hglm.typing import Codes, Frame

__all__ = ["with_data"]


def with_data(model: DataModel, spec: DesignSpec, data: Frame) -> DataModel:
    """Keep all parameters, and put another experiment in the place of the fit's data.

    Parameters
    ----------
    model
        Of a fit.
    spec
        Of the same fit: how its formula is applied to new data.
    data
        Predictors and groups, for instance from `simulate_design`; the levels of a group
        are new ones, whatever they are called.

    Raises
    ------
    DataError
        If the fit has binomial sizes, weights, related levels or times, which `data` cannot
        tell, or if not every fixed effect can be estimated from `data`.
    """
    old = model.design
    if old.trials is not None or old.weights is not None or old.frequencies is not None:
        raise DataError(
            "The fit has binomial sizes, weights or frequencies, which the new data do not tell; "
            "plan from the same parameters by `hglm.assume`, which takes them."
        )
    new = rebuild(spec, data, new_levels="allow")
    rows = len(new.kept)
    predictors = {name: _own_levels(predictor) for name, predictor in new.predictors.items()}
    mean = predictors.pop("mean")
    design = Design(
        response=old.response,
        y=np.zeros(rows),
        mean=mean,
        index=pd.RangeIndex(rows),
        n_rows=len(new.index),
        others=predictors,
        response_levels=old.response_levels,
    )
    check_estimable(design, f"From the {rows} complete rows of the new data")
    return replace(model, design=design)


def _own_levels(predictor: PredictorDesign) -> PredictorDesign:
    return replace(predictor, random=tuple(map(_relevelled, predictor.random)))


def _relevelled(term: RandomTerm) -> RandomTerm:
    """Count the levels that there are, known to the fit or not."""
    if term.relation is not None:
        raise DataError(
            f"The levels of {term.group!r} are related, and how those of the new data are is not "
            "known; change the size of the effect only, or plan without the relationship."
        )
    if term.positions is not None and len(term.positions.coordinates) != term.k:
        raise DataError(
            f"The new data of {term.group!r} have places or times that the fit did not have; plan "
            "for those of the fit."
        )
    kept: Codes
    kept, codes = np.unique(term.codes, return_inverse=True)
    return replace(term, levels=pd.RangeIndex(len(kept)), codes=codes.astype(np.intp))
