"""Nonparametric maximum likelihood beside generic solvers: seconds and duality gaps.

10,000 observations, 300 grid points, one thread. Every solver gets the same
likelihood matrix; the gap of its answer is recomputed here from scratch.

    python benchmarks/ebayes/npmle_speed.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import optimize
from threadpoolctl import threadpool_limits

from hglm.empirical.mixture.likelihood import scaled_likelihood
from hglm.empirical.mixture.simplex import mixture_weights
from hglm.empirical.noise import BinomialNoise, Noise, NormalNoise, PoissonNoise

N, GRID = 10_000, 300
SOLVED = 1e-2  # no generic solver comes near 1e-8: count those that come near at all


def cases(rng: np.random.Generator) -> dict[str, Noise]:
    """Simulate data sets by prior and noise."""
    errors = rng.uniform(0.3, 2.0, N)
    sparse = np.where(rng.random(N) < 0.9, 0.0, rng.normal(0, 3, N))
    trials = rng.integers(5, 60, N)
    return {
        "normal prior": NormalNoise(rng.normal(0, 2, N) + rng.normal(size=N), np.ones(N)),
        "two points": NormalNoise(2.5 * (rng.random(N) < 0.2) + rng.normal(size=N), np.ones(N)),
        "sparse, unequal errors": NormalNoise(sparse + errors * rng.normal(size=N), errors),
        "t with 2 df": NormalNoise(rng.standard_t(2, N) + rng.normal(size=N), np.ones(N)),
        "Poisson, exposures": PoissonNoise(
            rng.poisson(rng.gamma(2, 2, N) * (1 + errors)).astype(float), 1 + errors
        ),
        "binomial": BinomialNoise(
            rng.binomial(trials, rng.beta(2, 5, N)).astype(float), trials.astype(float)
        ),
    }


def gap(L: np.ndarray, x: np.ndarray) -> float:
    """log max D, D_k = mean_j L_jk/(Lx)_j: how much could be gained per observation."""
    x = np.maximum(x, 0) / np.maximum(x, 0).sum()
    return float(np.log(((1 / (L @ x)) @ L / L.shape[0]).max()))


def bounded_quasi_newton(L: np.ndarray) -> np.ndarray:
    """L-BFGS-B on x ≥ 0, the simplex replaced by a linear term."""
    result = optimize.minimize(
        _objective,
        np.full(GRID, 1 / GRID),
        args=(L,),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * GRID,
        options={"maxiter": 3000, "maxfun": 3500, "ftol": 1e-16, "gtol": 1e-9},
    )
    return result.x


def sequential_quadratic(L: np.ndarray) -> np.ndarray:
    """SLSQP on the simplex."""
    result = optimize.minimize(
        _objective,
        np.full(GRID, 1 / GRID),
        args=(L,),
        jac=True,
        method="SLSQP",
        bounds=[(0, None)] * GRID,
        options={"maxiter": 200, "ftol": 1e-12},
    )
    return result.x


def expectation_maximisation(L: np.ndarray) -> np.ndarray:
    """1000 EM steps."""
    x = np.full(GRID, 1 / GRID)
    for _ in range(1000):
        x = x * ((1 / (L @ x)) @ L) / L.shape[0]
    return x


def _objective(x: np.ndarray, L: np.ndarray) -> tuple[float, np.ndarray]:
    f = np.maximum(L @ x, 1e-300)
    return float(x.sum() - np.log(f).mean()), 1 - (1 / f) @ L / L.shape[0]


SOLVERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "hglm": lambda L: mixture_weights(L, np.ones(L.shape[0])).x,
    "L-BFGS-B": bounded_quasi_newton,
    "SLSQP": sequential_quadratic,
    "EM": expectation_maximisation,
}


def main() -> None:
    """Print one row a data set: seconds (gap) of every solver, and the ratios."""
    print("| data | " + " | ".join(SOLVERS) + " | fastest generic / hglm |")
    print("|---" * (len(SOLVERS) + 2) + "|")
    for name, noise in cases(np.random.default_rng(1)).items():
        L = scaled_likelihood(noise.log_density(noise.grid(GRID))).L
        seconds: dict[str, float] = {}
        cells, solved = [], set()
        for solver, solve in SOLVERS.items():
            repeats = 5 if solver == "hglm" else 1
            taken = []
            for _ in range(repeats):
                begin = time.perf_counter()
                x = solve(L)
                taken.append(time.perf_counter() - begin)
            seconds[solver] = float(np.median(taken))
            reached = gap(L, x)
            cells.append(f"{seconds[solver]:.2f} s ({reached:.0e})")
            if solver != "hglm" and reached < SOLVED:
                solved.add(solver)
        ratios = [value / seconds["hglm"] for key, value in seconds.items() if key in solved]
        fastest = f"{min(ratios):.0f}" if ratios else "none solved it"
        print(f"| {name} | " + " | ".join(cells) + f" | {fastest} |", flush=True)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
