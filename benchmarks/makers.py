"""Makers of the workloads' data: shipped with hglm, or simulated with one predictor."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import simulate
from catalogue import DataMaker
from simulate import Grouping, Response, mixed_frame

from hglm.datasets import load_dataset

UNIT_NOISE = simulate.gaussian(1.0)


def shipped(name: str) -> DataMaker:
    """Return the maker of a data set shipped with hglm, whatever the generator."""

    def load(_rng: np.random.Generator) -> pd.DataFrame:
        return load_dataset(name)

    return load


def simulated(n_rows: int, response: Response = UNIT_NOISE, **groupings: Grouping) -> DataMaker:
    """Return the maker of a frame with one predictor x and the given factors."""
    return partial(mixed_frame, n_rows=n_rows, groupings=groupings, response=response)
