"""Engine: mixedlm (PyPI), lme4's interface on a Rust backend."""

from __future__ import annotations

import re
from collections.abc import Callable

import mixedlm
import pandas as pd
from mixedlm import families
from protocol import Outcome, Prepared, Task, UnsupportedError, serve

FAMILIES = {
    ("binomial", "logit"): families.Binomial,
    ("poisson", "log"): families.Poisson,
}


def prepare(task: Task, frame: pd.DataFrame) -> Prepared:
    """Return an lmer or a glmer fit."""
    if task.method == "laplace":
        return Prepared(generalised(task, frame))

    def fit() -> Outcome:
        fitted = mixedlm.lmer(task.formula, frame, REML=task.method == "reml")
        return Outcome(float(fitted.deviance), task.method, bool(fitted.converged))

    return Prepared(fit)


def generalised(task: Task, frame: pd.DataFrame) -> Callable[[], Outcome]:
    """Return a glmer fit; cbind(y, m - y) is spelled y / m in mixedlm."""
    family = FAMILIES.get((task.family, task.link))
    if family is None or task.zero_inflation is not None:
        raise UnsupportedError(f"not compared for {task.family} with {task.link} link")
    formula = re.sub(r"cbind\((\w+), (\w+) - \1\)", r"\1 / \2", task.formula)

    def fit() -> Outcome:
        fitted = mixedlm.glmer(formula, frame, family=family())
        return Outcome(-2.0 * float(fitted.logLik().value), "laplace", bool(fitted.converged))

    return fit


if __name__ == "__main__":
    serve("mixedlm", prepare)
