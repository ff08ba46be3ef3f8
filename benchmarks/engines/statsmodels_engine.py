"""Engine: statsmodels' MixedLM, one grouping factor (crossed factors need dense matrices)."""

from __future__ import annotations

import pandas as pd
import statsmodels.formula.api as smf
from protocol import Outcome, Prepared, Task, one_factor, serve


def prepare(task: Task, frame: pd.DataFrame) -> Prepared:
    """Return the fit."""
    term = one_factor(task)
    formula = f"{task.response} ~ {task.fixed}"
    random = "~" + (" + ".join(term.columns) or "1")

    def fit() -> Outcome:
        model = smf.mixedlm(formula, frame, groups=term.group, re_formula=random)
        fitted = model.fit(reml=task.method == "reml")
        return Outcome(-2.0 * fitted.llf, task.method, bool(fitted.converged))

    return Prepared(fit)


if __name__ == "__main__":
    serve("statsmodels", prepare)
