"""Rows of a model frame to the sufficient statistics of groups, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hglm.empirical.frame import ModelFrame, name_rows
from hglm.empirical.noise import BinomialNoise, Noise, NormalNoise, PoissonNoise
from hglm.errors import DataError, FormulaError, OptionError
from hglm.typing import BoolArray, Matrix, Vector

__all__ = [
    "Samples",
    "group_covariates",
    "read_binomial",
    "read_categories",
    "read_durations",
    "read_noise",
    "read_normal",
    "read_poisson",
    "read_samples",
    "require_groups",
    "require_intercept",
]


@dataclass(frozen=True, slots=True)
class Samples:
    """Replicated measurements of G groups."""

    n: Vector
    """(G,) rows of each group."""
    mean: Vector
    """(G,)"""
    squares: Vector
    """(G,) sums of squares about the group's mean."""


def read_binomial(frame: ModelFrame) -> BinomialNoise:
    """Successes and trials of each group."""
    if frame.form == "ratio":
        successes, trials = frame.response.T
    elif frame.form == "cbind" and frame.response.shape[1] == 2:
        successes, trials = frame.response[:, 0], frame.response.sum(axis=1)
    else:
        raise FormulaError(
            "Binomial data need a response `successes / trials` or `cbind(successes, failures)`.",
            frame.formula.text,
        )
    _refuse(frame, trials <= 0, "Trials must be positive", "drop rows without trials")
    _refuse(frame, successes < 0, "Successes cannot be negative", "mend the counts")
    _refuse(frame, successes > trials, "There are more successes than trials", "mend the counts")
    _refuse(frame, _fractional(successes, trials), "Counts must be integers", "give counts")
    return BinomialNoise(frame.sum(successes), frame.sum(trials))


def read_poisson(frame: ModelFrame) -> PoissonNoise:
    """Add up counts and exposure of each group."""
    counts = _single(frame, "counts")
    exposure = np.ones_like(counts) if frame.exposure is None else frame.exposure
    _refuse(frame, counts < 0, "Counts cannot be negative", "mend the counts")
    _refuse(frame, _fractional(counts), "Counts must be integers", "give counts")
    _refuse(frame, exposure <= 0, "Exposures must be positive", "drop rows without exposure")
    return PoissonNoise(frame.sum(counts), frame.sum(exposure))


def read_durations(frame: ModelFrame) -> PoissonNoise:
    """Events (one a row) and total time of each group."""
    times = _single(frame, "durations")
    _refuse(frame, times <= 0, "Durations must be positive", "drop or mend the rows")
    return PoissonNoise(frame.sum(np.ones_like(times)), frame.sum(times))


def read_normal(frame: ModelFrame) -> NormalNoise:
    """Estimate and known standard error of each group.

    Several rows of a group are averaged by their precision. Without `se`, the
    variance within groups is pooled over all of them and then taken as known.
    """
    y = _single(frame, "estimates")
    if frame.se is None:
        return _pooled(read_samples(frame))
    _refuse(
        frame,
        frame.se <= 0,
        "Standard errors must be positive",
        "an estimate without error needs no shrinkage: drop it, or give its true standard error",
    )
    precision = 1.0 / frame.se**2
    total = frame.sum(precision)
    return NormalNoise(frame.sum(precision * y) / total, 1.0 / np.sqrt(total))


def read_samples(frame: ModelFrame) -> Samples:
    """Size, mean and sum of squares of each group of measurements."""
    y = _single(frame, "measurements")
    n = frame.sum(np.ones_like(y))
    mean = frame.sum(y) / n
    squares = frame.sum((y - mean[frame.codes]) ** 2)
    if n.max() < 2:
        raise DataError(
            "No group has two rows, so the variance within groups cannot be estimated; give "
            "known standard errors as `se`."
        )
    if squares.sum() <= 1e-24 * float(y @ y):
        raise DataError(
            "The rows of every group are identical, so the variance within groups is zero; give "
            "known standard errors as `se`."
        )
    return Samples(n, mean, squares)


def read_categories(frame: ModelFrame) -> Matrix:
    """Add up the counts of each group in each category. (G, K)"""
    if frame.form != "cbind":
        raise FormulaError(
            "Multinomial data need a response `cbind(a, b, ...)` of counts.", frame.formula.text
        )
    counts = frame.response
    _refuse(frame, (counts < 0).any(axis=1), "Counts cannot be negative", "mend the counts")
    _refuse(frame, _fractional(*counts.T), "Counts must be integers", "give counts")
    _refuse(frame, counts.sum(axis=1) == 0, "There are no counts at all", "drop the rows")
    return np.column_stack([frame.sum(column) for column in counts.T])


def read_noise(frame: ModelFrame, noise: str) -> Noise:
    """Sufficient statistics for a named noise, "auto" for the one the data show."""
    if noise == "auto":
        noise = _shown(frame)
    readers: dict[str, Callable[[ModelFrame], Noise]] = {
        "normal": read_normal,
        "poisson": read_poisson,
        "binomial": read_binomial,
    }
    if noise not in readers:
        raise OptionError(
            f"There is no noise called {noise!r}; choose 'normal', 'poisson', 'binomial' or 'auto'."
        )
    return readers[noise](frame)


def group_covariates(frame: ModelFrame) -> Matrix:
    """Covariates of each group, which must not vary within it. (G, p)"""
    first = np.zeros(frame.n_groups, dtype=np.intp)
    first[frame.codes[::-1]] = np.arange(frame.codes.size)[::-1]
    X = frame.X[first]
    varies = (X[frame.codes] != frame.X).any(axis=0)
    if varies.any():
        name = frame.names[int(varies.argmax())]
        raise DataError(
            f"`{name}` varies within the groups of `{frame.group}`, but the mean of a prior is one "
            "number a group; average it by group, or fit the rows with hglm.fit and "
            f"(1 | {frame.group})."
        )
    if X.shape[1] and np.linalg.matrix_rank(X) < X.shape[1]:  # NumPy 1 has no rank of nothing
        raise DataError(
            f"The covariates of `{frame.formula.text}` are linearly dependent over "
            f"{frame.n_groups} groups; remove one of {', '.join(frame.names)}."
        )
    return X


def require_groups(frame: ModelFrame, least: int = 2) -> None:
    """Refuse too few groups to learn a prior from."""
    if frame.n_groups < least:
        raise DataError(
            f"`{frame.group}` has {frame.n_groups} "
            f"group{'s' if frame.n_groups > 1 else ''}, but this model needs at least {least}: a "
            "prior is learnt from the variation between groups."
        )


def require_intercept(frame: ModelFrame, model: str) -> None:
    """Refuse covariates where the prior has none."""
    if frame.formula.fixed != "1":
        raise OptionError(
            f"The prior of {model} is the same for all groups; write `~ 1` in "
            f"`{frame.formula.text}`, or choose a model with covariates such as 'normal', "
            "'beta-binomial' or 'gamma-poisson'."
        )


def _shown(frame: ModelFrame) -> str:
    if frame.form != "single":
        return "binomial"
    if frame.se is not None:
        return "normal"
    if frame.exposure is not None:
        return "poisson"
    raise OptionError(
        "It is not clear how the observations scatter: give `se` for normal estimates, "
        "`exposure` (1 will do) for Poisson counts, or a response `successes / trials`."
    )


def _pooled(samples: Samples) -> NormalNoise:
    df = float((samples.n - 1).sum())
    variance = float(samples.squares.sum()) / df
    return NormalNoise(samples.mean, np.sqrt(variance / samples.n))


def _single(frame: ModelFrame, what: str) -> Vector:
    if frame.form != "single":
        raise FormulaError(f"This model takes one column of {what} before `~`.", frame.formula.text)
    return frame.response[:, 0]


def _refuse(frame: ModelFrame, where: object, fault: str, remedy: str) -> None:
    bad: BoolArray = np.asarray(where, dtype=bool)
    if bad.any():
        raise DataError(f"{fault} ({name_rows(bad, frame.labels)}); {remedy}.")


def _fractional(*columns: Vector) -> BoolArray:
    out: BoolArray = np.any([column != np.round(column) for column in columns], axis=0)
    return out
