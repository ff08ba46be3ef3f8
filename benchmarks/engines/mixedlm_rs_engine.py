"""Engine: mixedlm-rs (PyPI), one grouping factor, statsmodels' interface."""

from __future__ import annotations

import mixedlm_rs
import pandas as pd
from protocol import Outcome, Prepared, Task, one_factor, serve


def prepare(task: Task, frame: pd.DataFrame) -> Prepared:
    """Return the fit."""
    term = one_factor(task)
    random = "~" + (" + ".join(term.columns) or "1")
    formula = f"{task.response} ~ {task.fixed}"

    def fit() -> Outcome:
        model = mixedlm_rs.mixedlm(formula, frame, groups=term.group, re_formula=random)
        fitted = model.fit(reml=task.method == "reml")
        return Outcome(-2.0 * fitted.llf, task.method, bool(fitted.converged))

    return Prepared(fit)


if __name__ == "__main__":
    serve("mixedlm-rs", prepare)
