"""Data of known structure for the benchmark workloads.

Every workload draws from one scheme: codes of each grouping factor uniformly at random (so
groups are unbalanced and rows unsorted, as in real data), standard normal predictors, normal
random coefficients with equal correlations, and a response given the linear predictor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Response = Callable[[np.random.Generator, Array], NDArray[np.generic]]

CORRELATION = 0.3
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Grouping:
    """A simulated grouping factor and its random coefficients.

    Attributes
    ----------
    levels
        Number of levels.
    sds : (k,)
        Standard deviations of the intercept and of the slopes of the first k - 1 predictors.
    holds
        The factor, named earlier, whose levels are nested in this one's, if any.
    """

    levels: int
    sds: tuple[float, ...] = (1.0,)
    holds: str | None = None


def mixed_frame(
    rng: np.random.Generator,
    *,
    n_rows: int,
    groupings: Mapping[str, Grouping],
    predictors: Sequence[str] = ("x",),
    beta: Sequence[float] = (1.0, 0.5),
    response: Response,
) -> pd.DataFrame:
    """Draw a frame with columns y, the predictors and one categorical a grouping."""
    values = np.round(rng.standard_normal((n_rows, len(predictors))), DECIMALS)
    columns = np.column_stack([np.ones(n_rows), values])
    eta = columns @ np.asarray(beta, dtype=np.float64)
    codes: dict[str, NDArray[np.int64]] = {}
    for name, grouping in groupings.items():
        if grouping.holds is None:
            codes[name] = rng.integers(grouping.levels, size=n_rows)
        else:
            codes[name] = codes[grouping.holds] % grouping.levels
        k = len(grouping.sds)
        eta += np.sum(columns[:, :k] * random_coefficients(rng, grouping)[codes[name]], axis=1)
    frame = pd.DataFrame({"y": response(rng, eta)})
    for j, name in enumerate(predictors):
        frame[name] = values[:, j]
    for name, code in codes.items():
        frame[name] = pd.Categorical(code)
    return frame


def random_coefficients(rng: np.random.Generator, grouping: Grouping) -> Array:
    """Draw b, (levels, k), with standard deviations ``sds`` and equal correlations."""
    k = len(grouping.sds)
    correlation = np.full((k, k), CORRELATION)
    np.fill_diagonal(correlation, 1.0)
    factor = np.asarray(grouping.sds)[:, None] * np.linalg.cholesky(correlation)
    return np.asarray(rng.standard_normal((grouping.levels, k)) @ factor.T, dtype=np.float64)


def gaussian(sd: float) -> Response:
    """Return the Gaussian response with identity link."""
    return lambda rng, eta: np.round(eta + sd * rng.standard_normal(eta.size), DECIMALS)


def gaussian_log(sd: float) -> Response:
    """Return the Gaussian response with log link, clipped at 0.01 so that log(y) exists."""
    return lambda rng, eta: np.round(
        np.maximum(np.exp(eta) + sd * rng.standard_normal(eta.size), 0.01), DECIMALS
    )


def bernoulli(inverse_link: Callable[[Array], Array]) -> Response:
    """Return the 0/1 response with P(y = 1) = inverse_link(eta)."""
    return lambda rng, eta: (rng.random(eta.size) < inverse_link(eta)).astype(np.int64)


def poisson(rng: np.random.Generator, eta: Array) -> NDArray[np.int64]:
    """Draw Poisson counts with log link."""
    return rng.poisson(np.exp(eta))


def gamma(shape: float) -> Response:
    """Return the gamma response with log link."""
    return lambda rng, eta: np.round(
        np.maximum(rng.gamma(shape, np.exp(eta) / shape), 10.0**-DECIMALS), DECIMALS
    )


def beta(precision: float) -> Response:
    """Return the beta response with logit link."""

    def draw(rng: np.random.Generator, eta: Array) -> Array:
        mu = 1.0 / (1.0 + np.exp(-eta))
        return np.round(np.clip(rng.beta(mu * precision, (1 - mu) * precision), 1e-5, 1 - 1e-5), 6)

    return draw


def negative_binomial_2(size: float) -> Response:
    """Return counts with variance mu + mu^2 / size, log link."""
    return lambda rng, eta: rng.negative_binomial(size, size / (size + np.exp(eta)))


def negative_binomial_1(dispersion: float) -> Response:
    """Return counts with variance mu (1 + dispersion), log link."""
    return lambda rng, eta: rng.negative_binomial(
        np.exp(eta) / dispersion, 1.0 / (1.0 + dispersion)
    )


def zero_inflated(base: Response, probability: float) -> Response:
    """Return a count response set to zero with the given probability."""
    return lambda rng, eta: base(rng, eta) * (rng.random(eta.size) >= probability)
