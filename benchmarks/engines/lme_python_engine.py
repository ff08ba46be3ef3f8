"""Engine: lme-python (PyPI), lme4's interface on a Rust backend, polars frames."""

from __future__ import annotations

import lme_python
import pandas as pd
import polars as pl
from protocol import Outcome, Prepared, Task, UnsupportedError, serve


def prepare(task: Task, frame: pd.DataFrame) -> Prepared:
    """Return an lmer fit."""
    if task.method == "laplace":
        raise UnsupportedError("compared on linear models only")
    table = pl.from_pandas(frame)

    def fit() -> Outcome:
        fitted = lme_python.lmer(task.formula_r, data=table, reml=task.method == "reml")
        return Outcome(float(fitted.deviance), task.method, bool(fitted.converged))

    return Prepared(fit)


if __name__ == "__main__":
    serve("lme-python", prepare)
