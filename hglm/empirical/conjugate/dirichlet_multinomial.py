"""Dirichlet-multinomial: compositions that differ by group.

y_i | θ_i ~ Multinomial(n_i, θ_i),  θ_i ~ Dirichlet(p/ρ),  p = softmax(0, η_2 ... η_K).

ρ = 1/Σα is the dispersion of the prior. With R = `log_rising`,

    log p(y) = Σ_k [y_k log p_k + R(ρ/p_k, y_k)] − R(ρ, n) + log n! − Σ_k log y_k!

(Mosimann 1962, Biometrika 49, 65-82), smooth at ρ = 0, the multinomial. The sum
over groups needs only K category-wise sums, so the Hessian costs O(GK + K³).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from hglm.empirical.build import explain, fingerprint
from hglm.empirical.frame import ModelFrame
from hglm.empirical.maximise import Evaluation, Maximum, certify, maximise
from hglm.empirical.parts import Coefficients, Hyperparameter, Likelihood, TermPosterior, delta
from hglm.empirical.posterior import BetaPosterior, NormalPosterior, Posterior
from hglm.empirical.read import read_categories, require_groups, require_intercept
from hglm.empirical.result import EBayes
from hglm.empirical.special import log_rising
from hglm.empirical.transforms import DISPERSION, REAL
from hglm.errors import DataError
from hglm.typing import Matrix, Vector

__all__ = ["DirichletMultinomial", "dirichlet_multinomial_loglik"]


@dataclass(frozen=True, slots=True)
class DirichletMultinomial:
    """Dirichlet-multinomial model: `cbind(a, b, ...) ~ 1 | group`.

    Use it for shares of categories that vary between groups with one common
    concentration. Not where categories vary together (the Dirichlet makes all
    pairs negatively dependent) or are ordered.
    """

    def fit(self, frame: ModelFrame) -> EBayes:
        """Estimate the prior and every group's posterior: one term a category."""
        require_groups(frame)
        require_intercept(frame, "dirichlet-multinomial")
        counts = read_categories(frame)
        names = frame.formula.response
        _check(counts, names)
        found = _maximise(counts)
        share, rho = special.softmax(np.append(0.0, found.x[:-1])), float(found.x[-1])
        groups = frame.n_groups
        derived = _derived(found, share, names)
        return EBayes(
            formula=frame.formula.text,
            model="dirichlet-multinomial",
            group=frame.group,
            levels=frame.levels,
            coefficients=Coefficients(
                (*(f"{name} vs {names[0]}" for name in names[1:]), "dispersion"),
                found.x,
                found.vcov(),
                np.array([False] * (len(names) - 1) + [True]),
            ),
            derived=derived,
            terms=_terms(counts, share, rho, names),
            prior_table=pd.DataFrame(
                {"term": names, "mean": share, "alpha": share / rho if rho > 0 else np.inf}
            ),
            likelihood=Likelihood(
                found.point.value,
                float(len(names)),
                groups,
                "ml",
                fingerprint("multinomial", counts),
                groups,
            ),
            certificate=certify(found),
            singular=rho == 0,
            heterogeneity=None,
            notes=frame.notes + explain(certify(found), rho == 0, rho),
        )


def dirichlet_multinomial_loglik(x: Vector, counts: Matrix) -> Evaluation:
    """Log marginal likelihood with gradient and Hessian.

    Parameters
    ----------
    x : (K,)
        Logits η_2 ... η_K against the first category, then the dispersion ρ.
    counts : (G, K)
    """
    share, rho = special.softmax(np.append(0.0, x[:-1])), float(x[-1])
    n = counts.sum(axis=1)
    r, r1, r2 = (part.sum(axis=0) for part in log_rising(rho / share, counts))  # (K,)
    c, c1, c2 = (part.sum() for part in log_rising(np.full_like(n, rho), n))
    totals = counts.sum(axis=0)
    constant = special.gammaln(n + 1.0).sum() - special.gammaln(counts + 1.0).sum()
    value = totals @ special.log_softmax(np.append(0.0, x[:-1])) + r.sum() - c + constant
    slope = totals - r1 * rho / share  # p_k ∂/∂p_k
    bend = -totals + (2 * r1 + r2 * rho / share) * rho / share  # p_k² ∂²/∂p_k²
    # log p_k has ∂/∂η_j = δ_kj − p_j and ∂²/∂η_j∂η_l = −p_j (δ_jl − p_l).
    J = np.eye(share.size) - share
    curved = np.diag(share) - np.outer(share, share)
    eta_eta = J.T @ ((slope + bend)[:, None] * J) - slope.sum() * curved
    eta_rho = J.T @ (-(r1 + r2 * rho / share) / share)
    rho_rho = float((r2 / share**2).sum() - c2)
    gradient = np.append((J.T @ slope)[1:], (r1 / share).sum() - c1)
    hessian = np.block(
        [[eta_eta[1:, 1:], eta_rho[1:, None]], [eta_rho[None, 1:], np.array([[rho_rho]])]]
    )
    return Evaluation(float(value), gradient, hessian)


def _maximise(counts: Matrix) -> Maximum:
    logits = np.log(counts.sum(axis=0) / counts[:, 0].sum())[1:]
    n = counts.sum(axis=1)
    p = counts.sum(axis=0) / n.sum()
    pearson = float((((counts - n[:, None] * p) ** 2) / (n[:, None] * p)).sum()) / (p.size - 1)
    icc = float(np.clip((pearson - n.size + 1) / max(float((n - 1).sum()), 1.0), 0.01, 0.9))
    return maximise(
        lambda x: dirichlet_multinomial_loglik(x, counts),
        [np.append(logits, icc / (1 - icc)), np.append(logits, 0.0)],
        (REAL,) * (p.size - 1) + (DISPERSION,),
    )


def _terms(
    counts: Matrix, share: Vector, rho: float, names: tuple[str, ...]
) -> tuple[TermPosterior, ...]:
    """Marginally each share is beta."""
    n = counts.sum(axis=1)
    shrinkage = 1.0 / (1.0 + rho * n)
    out = []
    for name, y, p in zip(names, counts.T, share, strict=True):
        mean = np.full_like(n, p)
        posterior: Posterior
        if rho == 0:
            posterior = NormalPosterior(mean, np.zeros_like(n))
        else:
            posterior = BetaPosterior(p / rho + y, (1 - p) / rho + n - y)
        raw = y / n
        out.append(
            TermPosterior(name, raw, np.sqrt(raw * (1 - raw) / n), mean, posterior, shrinkage)
        )
    return tuple(out)


def _derived(found: Maximum, share: Vector, names: tuple[str, ...]) -> tuple[Hyperparameter, ...]:
    rho, vcov = float(found.x[-1]), found.vcov()
    J = (np.diag(share) - np.outer(share, share))[:, 1:]  # ∂p_k/∂η_j
    out = [
        delta(f"mean {name}", p, np.append(row, 0.0), vcov, "logit")
        for name, p, row in zip(names, share, J, strict=True)
    ]
    last = np.eye(share.size)[-1]
    if rho > 0:
        for name, p, row in zip(names, share, J, strict=True):
            gradient = np.append(row / rho, -p / rho**2)
            out.append(delta(f"alpha {name}", p / rho, gradient, vcov, "log"))
        out.append(delta("alpha total", 1 / rho, -last / rho**2, vcov, "log"))
    icc = rho / (1 + rho)
    out.append(delta("intraclass correlation", icc, last / (1 + rho) ** 2, vcov, "logit"))
    return tuple(out)


def _check(counts: Matrix, names: tuple[str, ...]) -> None:
    empty = [name for name, total in zip(names, counts.sum(axis=0), strict=True) if total == 0]
    if empty:
        raise DataError(
            f"`{empty[0]}` has no counts in any group, so its share is zero; leave it out of cbind."
        )
    if counts.sum(axis=1).max() < 2:
        raise DataError(
            "Every group has a single count, which says nothing about how shares differ; group "
            "the rows with `| group`."
        )
