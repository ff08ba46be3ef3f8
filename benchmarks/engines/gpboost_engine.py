"""Engine: GPBoost's grouped random effects by sparse Cholesky, maximum likelihood.

GPBoost has independent random coefficients only and no REML, so models with correlated slopes
are left out and linear models carry the criterion "ml".
"""

from __future__ import annotations

import gpboost
import numpy as np
import pandas as pd
from formulaic import model_matrix
from protocol import Outcome, Prepared, Task, UnsupportedError, serve

LIKELIHOODS = {
    ("gaussian", "identity"): "gaussian",
    ("binomial", "logit"): "bernoulli_logit",
    ("binomial", "probit"): "bernoulli_probit",
    ("poisson", "log"): "poisson",
}


def prepare(task: Task, frame: pd.DataFrame) -> Prepared:
    """Return the fit, the design made by formulaic inside it."""
    likelihood = LIKELIHOODS.get((task.family, task.link))
    if likelihood is None or task.zero_inflation is not None:
        raise UnsupportedError(f"not compared for {task.family} with {task.link} link")
    if task.response not in frame:
        raise UnsupportedError("binary responses only, no trials")
    if any(term.columns for term in task.terms):
        raise UnsupportedError("no correlated random slopes")
    criterion = "laplace" if task.method == "laplace" else "ml"

    def fit() -> Outcome:
        groups = np.column_stack([frame[term.group].cat.codes for term in task.terms])
        model = gpboost.GPModel(
            group_data=groups,
            likelihood=likelihood,
            matrix_inversion_method="cholesky",
            num_parallel_threads=1,
        )
        design = model_matrix(task.fixed, frame, output="numpy")
        model.fit(y=response(frame[task.response]), X=np.asarray(design))
        return Outcome(2.0 * model.get_current_neg_log_likelihood(), criterion)

    return Prepared(fit)


def response(column: pd.Series) -> np.ndarray:  # type: ignore[type-arg]
    """Return the response as numbers, the second level of a category as one."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(dtype=np.float64)
    return column.to_numpy(dtype=np.float64)


if __name__ == "__main__":
    serve("gpboost", prepare)
