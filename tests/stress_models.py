"""Sixty small models that optimisers get wrong, and their criterion computed apart.

Model: y ~ x + w + (x | g), REML. 5 to 30 groups of 3 to 8 rows; predictors of scale 1e-3 to
1e3 with an offset of five standard deviations; standard deviations of intercept and slope
from 0 to 20 residual ones, correlations to ±0.95; response of scale 1e-3 to 1e3. Many have
their optimum on the boundary, several have two optima.

`Oracle` is the REML criterion written down from the density of y, group by group with each
covariance matrix formed and factored whole, and shares nothing with the package. It works in
units of the standard deviations of x, w and y, for the sake of the general-purpose minimiser;
the constants of these changes of units are put back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from hglm.typing import Matrix, Vector

__all__ = ["FORMULA", "SEEDS", "Oracle", "oracle", "search", "starts", "stress_frame"]

FORMULA = "y ~ x + w + (x | g)"
SEEDS = range(60)


def stress_frame(seed: int) -> pd.DataFrame:
    """Draw the data of one model."""
    rng = np.random.default_rng(seed)
    q = int(rng.integers(5, 31))
    g = np.repeat(np.arange(q), rng.integers(3, 9, q))
    scale_x, scale_w, scale_y = 10.0 ** rng.uniform(-3, 3, 3)
    x, w = rng.normal(5.0, 1.0, (2, len(g)))
    sd = rng.choice([0.0, 0.1, 0.5, 1.0, 5.0, 20.0], 2)
    rho = rng.choice([-0.95, -0.5, 0.0, 0.5, 0.95])
    intercept, other = rng.normal(size=(2, q))
    slope = rho * intercept + np.sqrt(1 - rho**2) * other
    y = 1.0 + x + w + sd[0] * intercept[g] + sd[1] * slope[g] * x + rng.normal(size=len(g))
    return pd.DataFrame({"y": scale_y * y, "x": scale_x * x, "w": scale_w * w, "g": g})


@dataclass(frozen=True)
class Oracle:
    """REML criterion of one model as a function of T, the 2 × 2 factor of one group's covariance.

    Groups are padded to a common size by rows that are zero: V is the identity there.
    """

    X: Matrix
    """(q, m, 3)"""
    y: Vector
    """(q, m)"""
    to_units: Matrix
    """(2, 2) T of the user's columns to that of the scaled ones."""
    n: int
    constant: float
    """Criterion of the user's units less that of the scaled ones."""

    def __call__(self, t: Vector) -> float:
        """Criterion at T = [[t0, 0], [t1, t2]] for the scaled columns."""
        Z = self.X[:, :, :2]
        ZT = Z @ np.array([[t[0], 0.0], [t[1], t[2]]])
        V = np.eye(Z.shape[1]) + ZT @ ZT.swapaxes(1, 2)
        L = np.linalg.cholesky(V)
        whitened = np.linalg.solve(L, np.concatenate([self.X, self.y[:, :, None]], axis=2))
        R = np.linalg.qr(whitened.reshape(-1, 4), mode="r")
        size = np.abs(np.diagonal(R))
        nu = self.n - 3
        logdets = (
            2.0 * np.log(np.diagonal(L, axis1=1, axis2=2)).sum() + 2.0 * np.log(size[:3]).sum()
        )
        return float(logdets + nu * (1.0 + np.log(2.0 * np.pi * size[3] ** 2 / nu))) + self.constant

    def at(self, theta: Vector) -> float:
        """Criterion at lme4's θ: T of the columns 1 and x."""
        T = self.to_units @ np.array([[theta[0], 0.0], [theta[1], theta[2]]])
        lower = np.linalg.qr(T.T, mode="r").T
        return self(np.array([lower[0, 0], lower[1, 0], lower[1, 1]]))


def oracle(data: pd.DataFrame) -> Oracle:
    """Put the data in scaled units and pad the groups."""
    n = len(data)
    centre = data[["x", "w"]].mean().to_numpy()
    sd = data[["x", "w", "y"]].std().to_numpy()
    columns = np.column_stack([np.ones(n), (data[["x", "w"]].to_numpy() - centre) / sd[:2]])
    y = (data["y"].to_numpy() - data["y"].mean()) / sd[2]
    rows = [np.flatnonzero(data["g"] == level) for level in data["g"].unique()]
    m = max(map(len, rows))
    X, Y = np.zeros((len(rows), m, 3)), np.zeros((len(rows), m))
    for j, where in enumerate(rows):
        X[j, : len(where)], Y[j, : len(where)] = columns[where], y[where]
    to_units = np.array([[1.0, centre[0]], [0.0, sd[0]]])
    constant = 2.0 * np.log(sd[:2]).sum() + 2.0 * (n - 3) * np.log(sd[2])
    return Oracle(X, Y, to_units, n, float(constant))


def starts(rng: np.random.Generator, number: int) -> list[Vector]:
    """Factors of all sizes, full and singular."""
    sizes = 10.0 ** rng.uniform(-2.0, 2.0, (number, 3))
    draws = sizes * rng.choice([-1.0, 1.0], (number, 3))
    draws[1::4, 2] = 1e-3  # rank one
    draws[2::4, :2] = 1e-3  # intercept without variance
    return list(draws)


def search(criterion: Oracle, start: Vector) -> float:
    """Local minimum from one start, by a general-purpose minimiser."""
    return float(minimize(criterion, start, method="BFGS", options={"gtol": 1e-5}).fun)
