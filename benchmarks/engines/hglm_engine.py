"""Engine: this package."""

from __future__ import annotations

import pandas as pd
from protocol import Outcome, Prepared, Task, serve

from hglm import Model, fit  # by name: hglm imports its parts when they are first used


def prepare(task: Task, frame: pd.DataFrame) -> Prepared:
    """Return the fit, with coefficients and standard errors read."""
    options = {"family": task.family, "link": task.link, "zero_inflation": task.zero_inflation}

    def finished() -> Outcome:
        fitted = fit(task.formula, frame, method=task.method, **options)
        assert fitted.bse.notna().all()
        return Outcome(-2.0 * fitted.llf, task.method, bool(fitted.converged))

    return Prepared(finished, lambda: Model(task.formula, frame, **options))


if __name__ == "__main__":
    serve("hglm", prepare)
