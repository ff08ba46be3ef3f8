"""Laplace's approximation for one grouping factor, from log densities alone.

-2 log L = Σ_j {2 h_j(u_j) + log|H_j|}, h_j(u) = -Σ_i l(y_i; η_i) + u'u/2 at its minimum, with
η = Xβ + ZTu. The log densities are written down from the textbooks with SciPy's special
functions, their derivatives in η are differences of fourth order, the modes are found by damped
Newton steps group by group, and gradients in the parameters are differences again. Nothing is
shared with the package. Many parameters are evaluated at once: arrays have a leading axis P.

The parameters are β (4,) of the scaled columns, the lower triangle of T (k, k) by rows, and the
family's scalars.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special
from scipy.optimize import OptimizeResult, minimize

from hglm.typing import Matrix, Vector
from stress_glmm_models import StressModel

__all__ = ["Laplace", "laplace", "multistart"]

Density = Callable[[Vector, Vector, Vector, list[Vector]], Vector]
"""(y, trials, η, scalars) to log densities."""

WIDTH = 2e-3
"""Step of differences in η."""
STENCIL = np.array([[0, 0, 1, 0, 0], [1, -8, 0, 8, -1], [-1, 16, -30, 16, -1]]) / np.array(
    [[1], [12 * WIDTH], [12 * WIDTH**2]]
)
"""Value, first and second derivative from five points."""
COLUMNS = ("x", "w", "v")


@dataclass(frozen=True)
class Laplace:
    """The approximate deviance of one model."""

    X: Matrix
    """(n, 4) columns of unit root mean square, rows sorted by group."""
    y: Vector
    trials: Vector
    first: Vector
    """(q,) first row of every group."""
    group: Vector
    """(n,)"""
    k: int
    """Random coefficients: of the first columns of X."""
    scale: Vector
    """(4,) by which the user's columns were divided."""
    density: Density
    n_scalars: int

    @property
    def n_parameters(self) -> int:
        return 4 + self.k * (self.k + 1) // 2 + self.n_scalars

    def deviances(self, psi: Matrix, u: Matrix | None = None) -> tuple[Vector, Matrix, Vector]:
        """-2 log L at each ψ (P, d), the modes (P, q, k) from u or zero, and their curvature.

        The curvature is the smallest of any level's H, the prior's being one: near zero a mode
        is about to vanish, and log|H| goes to -∞ without meaning anything.
        """
        k, P = self.k, len(psi)
        below = np.tril_indices(k)
        T = np.zeros((P, k, k))
        T[:, below[0], below[1]] = psi[:, 4 : 4 + len(below[0])]
        ZT = self.X[:, :k] @ T  # (P, n, k)
        fixed = psi[:, :4] @ self.X.T
        scalars = [s[:, None] for s in psi[:, 4 + len(below[0]) :].T]
        u = (
            np.zeros((P, len(self.first), k))
            if u is None
            else np.broadcast_to(u, (P, len(self.first), k))
        )
        values, gradient, hessian = self._parts(ZT, fixed, scalars, u)
        broken = np.zeros(P, dtype=bool)
        for _ in range(60):
            broken |= ~(np.abs(hessian).max(axis=(1, 2, 3)) < 1e10)
            hessian[broken], gradient[broken] = np.eye(k), 0.0
            definite = np.linalg.eigvalsh(hessian)
            lift = np.maximum(0.0, 1e-3 - definite[..., 0])
            step = np.linalg.solve(hessian + lift[..., None, None] * np.eye(k), gradient[..., None])
            step = step[..., 0]
            decrement = np.sum(step * gradient, axis=-1)
            if decrement.max() < 1e-16 and lift.max() == 0.0:
                break
            u = u + self._sizes(ZT, fixed, scalars, u, step, values)[..., None] * step
            values, gradient, hessian = self._parts(ZT, fixed, scalars, u)
        logdet = np.linalg.slogdet(hessian)
        total = np.where(logdet[0] > 0.0, 2.0 * values + logdet[1], np.inf).sum(axis=1)
        return np.where(np.isfinite(total) & ~broken, total, np.inf), u, definite.min(axis=(1, 2))

    def value_and_gradient(self, psi: Vector) -> tuple[float, Vector]:
        """Modes are sought from zero, so that the value depends on ψ alone."""
        value, u, _ = self.deviances(psi[None])
        steps = 1e-4 * np.eye(len(psi))
        ends = self.deviances(np.concatenate([psi + steps, psi - steps]), u)[0]
        if not np.isfinite(value[0]) or not np.isfinite(ends).all():
            return 1e10, np.zeros(len(psi))
        return float(value[0]), (ends[: len(psi)] - ends[len(psi) :]) / 2e-4

    def psi_of(self, beta: Vector, T: Matrix, scalars: Vector) -> Vector:
        """Parameters from the user's coefficients and covariance factor."""
        scaled = np.linalg.qr((T * self.scale[: self.k, None]).T, mode="r").T
        return np.concatenate([beta * self.scale, scaled[np.tril_indices(self.k)], scalars])

    def _sums(self, rows: Matrix) -> Matrix:
        return np.add.reduceat(rows, self.first, axis=1)

    def _h(self, ZT: Matrix, fixed: Matrix, scalars: list[Vector], u: Matrix) -> Matrix:
        """h by groups. (P, q)"""
        eta = fixed + np.einsum("pnk,pnk->pn", ZT, u[:, self.group])
        with np.errstate(all="ignore"):
            loss = -self._sums(self.density(self.y, self.trials, eta, scalars))
        return np.where(np.isfinite(loss), loss, np.inf) + 0.5 * np.sum(u * u, axis=-1)

    def _parts(
        self, ZT: Matrix, fixed: Matrix, scalars: list[Vector], u: Matrix
    ) -> tuple[Matrix, Matrix, Matrix]:
        """h, minus its gradient and its Hessian, by groups."""
        eta = fixed + np.einsum("pnk,pnk->pn", ZT, u[:, self.group])
        around = eta[None] + WIDTH * np.arange(-2.0, 3.0)[:, None, None]
        with np.errstate(all="ignore"):
            density = self.density(self.y, self.trials, around, scalars)
        l0, l1, l2 = np.einsum("ds,spn->dpn", STENCIL, np.maximum(density, -1e100))
        h = 0.5 * np.sum(u * u, axis=-1) - self._sums(l0)
        gradient = self._sums(ZT * l1[..., None]) - u
        hessian = self._sums(-l2[..., None, None] * ZT[..., None] * ZT[..., None, :])
        return h, gradient, hessian + np.eye(self.k)

    def _sizes(
        self,
        ZT: Matrix,
        fixed: Matrix,
        scalars: list[Vector],
        u: Matrix,
        step: Matrix,
        values: Matrix,
    ) -> Matrix:
        """Halve each group's step until h does not rise. (P, q)"""
        size = np.minimum(1.0, 6.0 / np.maximum(np.linalg.norm(step, axis=-1), 1e-300))
        for _ in range(40):
            risen = self._h(ZT, fixed, scalars, u + size[..., None] * step) > values + 1e-11 * (
                1.0 + np.abs(values)
            )
            if not risen.any():
                break
            size = np.where(risen, 0.5 * size, size)
        return size


def laplace(model: StressModel) -> Laplace:
    """Write out the objective of a stress model."""
    data = model.data.sort_values("g", kind="stable")
    n = len(data)
    X = np.column_stack([np.ones(n), data[list(COLUMNS)].to_numpy()])
    scale = np.sqrt(np.mean(X**2, axis=0))
    codes = pd.factorize(data["g"])[0]
    density, n_scalars = DENSITIES[model.kind]
    return Laplace(
        X=X / scale,
        y=data["y"].to_numpy(float),
        trials=data["size"].to_numpy(float) if "size" in data else np.ones(n),
        first=np.flatnonzero(np.append(1, np.diff(codes))),
        group=codes,
        k=1 + model.slopes,
        scale=scale,
        density=density,
        n_scalars=n_scalars,
    )


def multistart(model: Laplace, rng: np.random.Generator, number: int) -> list[OptimizeResult]:
    """Local minima from many starts, best first; the best three polished by a simplex."""
    ends = []
    for i in range(number):
        end = minimize(
            model.value_and_gradient,
            _start(model, rng, i),
            jac=True,
            method="BFGS",
            options={"gtol": 1e-4, "maxiter": 150},
        )
        ends.append(end)
    ends.sort(key=lambda end: float(end.fun))
    for i, end in enumerate(ends[:3]):
        polished = minimize(
            lambda psi: float(model.deviances(psi[None])[0][0]),
            end.x,
            method="Nelder-Mead",
            options={
                "xatol": 1e-6,
                "fatol": 1e-8,
                "maxiter": 600,
                "initial_simplex": _around(end.x),
            },
        )
        ends[i] = polished if polished.fun < end.fun else end
    return sorted(ends, key=lambda end: float(end.fun))


def _start(model: Laplace, rng: np.random.Generator, i: int) -> Vector:
    """Sizes from small to large, full, diagonal and of rank one in turn; the first is plain."""
    k = model.k
    T = np.eye(k) * 0.5
    centre = np.zeros(4)
    if i:
        T = np.tril(rng.normal(size=(k, k))) * 10.0 ** rng.uniform(-1.5, 0.7, (k, 1))
        T = np.diag(np.diagonal(T)) if i % 4 == 1 else T
        T[:, 1:] *= 1e-3 if i % 4 == 2 else 1.0
        centre = rng.normal(size=4) * rng.choice([0.2, 1.0])
    scalars = np.zeros(model.n_scalars) + (rng.normal(size=model.n_scalars) if i else 0.0)
    return np.concatenate([centre, T[np.tril_indices(k)], scalars])


def _around(x: Vector) -> Matrix:
    return np.vstack([x, x + 1e-3 * np.maximum(1.0, np.abs(x)) * np.eye(len(x))])


def _log_binomial(y: Vector, m: Vector) -> Vector:
    return -np.log1p(m) - special.betaln(m * y + 1.0, m - m * y + 1.0)


def _binomial(y: Vector, m: Vector, eta: Vector, _: list[Vector]) -> Vector:
    p = special.log_expit(eta), special.log_expit(-eta)
    return _log_binomial(y, m) + m * (y * p[0] + (1.0 - y) * p[1])


def _probit(y: Vector, _: Vector, eta: Vector, __: list[Vector]) -> Vector:
    return special.log_ndtr((2.0 * y - 1.0) * eta)


def _cloglog(y: Vector, _: Vector, eta: Vector, __: list[Vector]) -> Vector:
    return np.where(y == 1.0, np.log(-np.expm1(-np.exp(eta))), -np.exp(eta))


def _poisson(y: Vector, _: Vector, eta: Vector, __: list[Vector]) -> Vector:
    return y * eta - np.exp(eta) - special.gammaln(y + 1.0)


def _nbinom2(y: Vector, _: Vector, eta: Vector, e: list[Vector]) -> Vector:
    """Variance μ + μ²/k; e = log k."""
    size = np.exp(e[0])
    parts = special.gammaln(y + size) - special.gammaln(size) - special.gammaln(y + 1.0)
    return parts + y * (eta - e[0]) - (y + size) * np.log1p(np.exp(eta - e[0]))


def _nbinom1(y: Vector, _: Vector, eta: Vector, e: list[Vector]) -> Vector:
    """Variance (1 + φ)μ; e = log φ."""
    size = np.exp(eta - e[0])
    parts = special.gammaln(y + size) - special.gammaln(size) - special.gammaln(y + 1.0)
    return parts + y * e[0] - (y + size) * np.log1p(np.exp(e[0]))


def _gamma(y: Vector, _: Vector, eta: Vector, e: list[Vector]) -> Vector:
    """Variance φμ²; e = log φ."""
    shape = np.exp(-e[0])
    log_rate = -e[0] - eta
    log_y = np.log(y)
    return shape * log_rate + (shape - 1.0) * log_y - y * np.exp(log_rate) - special.gammaln(shape)


def _tweedie(y: Vector, _: Vector, eta: Vector, e: list[Vector]) -> Vector:
    """Sum the joint density of y and the number N of gamma variables; e = log φ, logit(p - 1).

    With shape a and scale s(μ) the density at y > 0 is Σ_N Poisson(N; λ) gamma(y; Na, s), of
    which λ^N s^(-Na) does not depend on μ; nor do the sums differ where the scalars agree.
    """
    e, place = np.unique(np.hstack(e), axis=0, return_inverse=True)
    phi, p = np.exp(e[:, :1]), 1.0 + special.expit(e[:, 1:])
    shape = (2.0 - p) / (p - 1.0)
    free = -np.log(phi * (2.0 - p)) - shape * np.log(phi * (p - 1.0))
    N = np.arange(1.0, 121.0)
    log_y = np.log(np.where(y > 0.0, y, 1.0))
    constants = special.gammaln(N * shape[..., None]) + special.gammaln(N + 1.0)  # (P, 1, 120)
    sums = special.logsumexp(N * (free + shape * log_y)[..., None] - constants, axis=-1)
    sums, phi, p = sums[place.ravel()], phi[place.ravel()], p[place.ravel()]
    positive = sums - log_y - y * np.exp((1.0 - p) * eta) / (phi * (p - 1.0))
    return np.where(y > 0.0, positive, 0.0) - np.exp((2.0 - p) * eta) / (phi * (2.0 - p))


def _beta(y: Vector, _: Vector, eta: Vector, e: list[Vector]) -> Vector:
    """Variance μ(1 - μ)/(1 + φ); e = log φ."""
    phi = np.exp(e[0])
    a, b = special.expit(eta) * phi, special.expit(-eta) * phi
    return (a - 1.0) * np.log(y) + (b - 1.0) * np.log1p(-y) - special.betaln(a, b)


def _gaussian_log(y: Vector, _: Vector, eta: Vector, e: list[Vector]) -> Vector:
    """e = log σ²."""
    return -0.5 * ((y - np.exp(eta)) ** 2 * np.exp(-e[0]) + e[0] + np.log(2.0 * np.pi))


def _student_t(y: Vector, _: Vector, eta: Vector, e: list[Vector]) -> Vector:
    """e = log scale², log ν."""
    nu = np.exp(e[1])
    norm = special.gammaln(0.5 * (nu + 1.0)) - special.gammaln(0.5 * nu)
    norm = norm - 0.5 * (np.log(nu * np.pi) + e[0])
    return norm - 0.5 * (nu + 1.0) * np.log1p((y - eta) ** 2 * np.exp(-e[0]) / nu)


def _inverse_gaussian(y: Vector, _: Vector, eta: Vector, e: list[Vector]) -> Vector:
    """Variance φμ³; e = log φ."""
    square = (y * np.exp(-eta) - 1.0) ** 2 / y
    return -0.5 * (square * np.exp(-e[0]) + e[0] + np.log(2.0 * np.pi) + 3.0 * np.log(y))


def _with_zeros(density: Density) -> Density:
    """Zero with probability π beside the base's own; the last scalar is logit π."""

    def inflated(y: Vector, m: Vector, eta: Vector, e: list[Vector]) -> Vector:
        base = density(y, m, eta, e[:-1]) + special.log_expit(-e[-1])
        return np.where(y == 0.0, np.logaddexp(special.log_expit(e[-1]), base), base)

    return inflated


DENSITIES: dict[str, tuple[Density, int]] = {
    "binomial": (_binomial, 0),
    "proportion": (_binomial, 0),
    "probit": (_probit, 0),
    "cloglog": (_cloglog, 0),
    "poisson": (_poisson, 0),
    "nbinom2": (_nbinom2, 1),
    "nbinom1": (_nbinom1, 1),
    "gamma": (_gamma, 1),
    "tweedie": (_tweedie, 2),
    "beta": (_beta, 1),
    "gaussian_log": (_gaussian_log, 1),
    "student_t": (_student_t, 2),
    "inverse_gaussian": (_inverse_gaussian, 1),
    "zip": (_with_zeros(_poisson), 1),
    "zinb2": (_with_zeros(_nbinom2), 2),
}
"""Kind -> log density, and how many scalars it has."""
