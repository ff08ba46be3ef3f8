"""A factor of V = I + ZΛΛ'Z' and what the criterion asks of it.

A plan is made once from the pattern of Z'Z: groups nested in all others are
eliminated one after the other (`nested`), and what remains crossed goes to a
Schur complement (`schur`). A factor offers log|V|, the modes of the random
effects for any right-hand sides, and the traces of the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hglm.numerics.gramian import Gramian
from hglm.numerics.nested import NestedPlan, NestedStep, eliminate, plan_step
from hglm.numerics.schur import CrossedPlan, CrossedStep, factorise_crossed, plan_crossed
from hglm.typing import Matrix

__all__ = ["Factor", "Plan", "Traces", "factorise", "make_plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How V is factored: a chain of nested groups, then perhaps crossed ones."""

    chain: tuple[NestedPlan, ...]
    crossed: CrossedPlan | None

    @property
    def exact_inverse(self) -> bool:
        """Whether the blocks of the inverse can be had directly."""
        return self.crossed is None or self.crossed.dense


@dataclass(frozen=True, slots=True)
class Traces:
    """Σ over levels of [Z_t'V^-1Z_t]_ii =: M_t, per group."""

    MT: tuple[Matrix, ...]
    """M_t T_t (k, k); from a sparse factor its lower triangle only."""
    M: tuple[Matrix | None, ...]
    """M_t (k, k) where the factor gives it directly."""


@dataclass(frozen=True, slots=True)
class Factor:
    """V factored at one set of covariance factors T."""

    gramian: Gramian
    plan: Plan
    T: tuple[Matrix, ...]
    steps: tuple[NestedStep, ...]
    reduced: tuple[Gramian, ...]
    """What was left after each step of the chain."""
    crossed: CrossedStep | None
    logdet: float
    """log|V|."""

    def modes(self, rhs: Sequence[Matrix]) -> list[Matrix]:
        """Solve (Z'Z + Σ^-1) b = rhs, for singular Σ too.

        With rhs = Z'y these are the posterior modes of the random effects;
        Z'V^-1y = rhs - Z'Zb.

        Parameters
        ----------
        rhs
            Per group (c, k, q).
        """
        pending = []
        left = list(rhs)
        for step in self.steps:
            pending.append(left[0])
            left = step.reduce(left)
        b = self.crossed.modes(left) if self.crossed is not None else []
        for step, r in zip(reversed(self.steps), reversed(pending), strict=True):
            b = [step.back_substitute(r, b), *b]
        return b

    def traces(self) -> Traces:
        """Traces for the gradient of log|V|. Uses up a dense factor: call it last."""
        if not self.plan.exact_inverse:
            return _complex_step_traces(self.gramian, self.plan, self.T)
        return self._backward(posterior=False)[0]

    def posterior_blocks(self) -> list[Matrix]:
        """Posterior covariance of each level's random effects, relative to σ².

        Uses up a dense factor: call it last.

        Returns
        -------
        list of (k, k, q)
            Diagonal blocks of Q = Λ(Λ'Z'ZΛ + I)^-1Λ', per group.
        """
        return self._backward(posterior=True)[1] if self.plan.exact_inverse else self._solved()[0]

    def inverse_on_pattern(self) -> tuple[Traces, list[Matrix], dict[tuple[int, int], Matrix]]:
        """Traces, and the posterior covariance Q on the pattern of Z'Z.

        The factor can still be used.

        Returns
        -------
        traces
        diagonal : list of (k, k, q)
        cells : dict of (k_t, k_s, m)
            In the order of the cells of the Gramian.
        """
        if self.plan.exact_inverse:
            return self._backward(posterior=True, keep=True)
        return self.traces(), *self._solved()

    def _backward(
        self, posterior: bool, keep: bool = False
    ) -> tuple[Traces, list[Matrix], dict[tuple[int, int], Matrix]]:
        MT: list[Matrix] = []
        M: list[Matrix | None] = []
        diagonal: list[Matrix] = []  # posterior covariances Q_tt of the groups done so far,
        cells: dict[tuple[int, int], Matrix] = {}  # and Q_ts, numbered from the current step
        if self.crossed is not None:
            MT, M, Q = self.crossed.backward(self.T[len(self.steps) :], keep)
            left = self.reduced[-1] if self.reduced else self.gramian
            if self.steps or posterior:
                diagonal, on_pattern = self.crossed.posterior(Q, left)
                cells = {(t + 1, s + 1): q for (t, s), q in on_pattern.items()}
        backwards = zip(self.steps[::-1], self.plan.chain[::-1], self.T_chain, strict=True)
        for step, plan, T in backwards:
            m, Q, Q_r = step.backward(plan, diagonal, cells)
            MT, M, diagonal = [m @ T, *MT], [m, *M], [Q, *diagonal]
            cells = {(t + 1, s + 1): q for (t, s), q in cells.items()}
            cells |= {(r + 2, 1): q for r, q in enumerate(Q_r)}
        cells = {(t - 1, s - 1): q for (t, s), q in cells.items()}
        return Traces(tuple(MT), tuple(M)), diagonal, cells

    def _solved(self, chunk: int = 128) -> tuple[list[Matrix], dict[tuple[int, int], Matrix]]:
        """Q on the pattern from one solve a random effect, for a sparse factor."""
        shapes = list(zip(self.gramian.orders, self.gramian.sizes, strict=True))
        diagonal = [np.empty((k, k, q)) for k, q in shapes]
        cells = {key: np.empty(c.values.shape) for key, c in self.gramian.cells.items()}
        for t, (k, q) in enumerate(shapes):
            for start in range(0, q, chunk):
                levels = np.arange(start, min(start + chunk, q))
                which = np.arange(len(levels))
                for a in range(k):
                    rhs = [np.zeros((len(levels), *shape)) for shape in shapes]
                    rhs[t][which, a, levels] = 1.0
                    columns = self.modes(rhs)
                    diagonal[t][:, a, levels] = columns[t][which, :, levels].T
                    for s in range(t):
                        c = self.gramian.cells[t, s]
                        at = np.flatnonzero((c.rows >= start) & (c.rows <= levels[-1]))
                        cells[t, s][a][:, at] = columns[s][c.rows[at] - start, :, c.cols[at]].T
        return diagonal, cells

    @property
    def T_chain(self) -> tuple[Matrix, ...]:
        """Factors of the chained groups, last eliminated first."""
        return self.T[: len(self.steps)][::-1]


def make_plan(z: Gramian, fixed_values: bool = True) -> Plan:
    """Decide from the pattern of Z'Z how V is to be factored.

    Parameters
    ----------
    z
        Z'Z; its values matter only if they are fixed.
    fixed_values
        Whether `factorise` will always be given these same values. If not, as in
        generalised models, the inverse is needed on the whole pattern, and a
        dense factor is preferred as long as it fits in memory.
    """
    chain: list[NestedPlan] = []
    left = z
    while left.diagonal and (step := plan_step(left)) is not None:
        chain.append(step)
        left = _without_first(left)
    if not left.diagonal:
        return Plan(tuple(chain), None)
    return Plan(
        tuple(chain), plan_crossed(left, fixed_values and not chain, prefer_dense=not fixed_values)
    )


def factorise(z: Gramian, plan: Plan, T: Sequence[Matrix]) -> Factor:
    """Factor V at the relative covariance factors T.

    Parameters
    ----------
    z
        Z'Z by levels.
    plan
        From `make_plan(z)`.
    T
        Per group (k, k).
    """
    steps, reduced, logdet = [], [], 0.0
    left = z
    for step_plan, t in zip(plan.chain, T, strict=False):
        step, left = eliminate(left, t, step_plan)
        steps.append(step)
        reduced.append(left)
        logdet = logdet + step.logdet
    crossed = None
    if plan.crossed is not None:
        crossed = factorise_crossed(left, T[len(steps) :], plan.crossed)
        logdet = logdet + crossed.logdet
    return Factor(z, plan, tuple(T), tuple(steps), tuple(reduced), crossed, logdet)


def _without_first(z: Gramian) -> Gramian:
    cells = {(t - 1, s - 1): c for (t, s), c in z.cells.items() if s > 0}
    return Gramian(z.diagonal[1:], cells)


def _complex_step_traces(z: Gramian, plan: Plan, T: Sequence[Matrix]) -> Traces:
    """Differentiate log|V| by complex steps, one factorisation a parameter.

    ∂log|V|/∂T_ab = 2 (M T)_ab. SuperLU gives no entries of the inverse; a step
    of 1e-20 along the imaginary axis gives the derivative to machine precision
    all the same (Squire & Trapp 1998, SIAM Review 40, 110-112), since nothing
    is subtracted.
    """
    h = 1e-20
    traces = []
    for t, factor in enumerate(T):
        k = factor.shape[0]
        MT = np.zeros((k, k))
        for a in range(k):
            for b in range(a + 1):
                moved = [x.astype(complex) for x in T]
                moved[t][a, b] += 1j * h
                MT[a, b] = np.imag(factorise(z, plan, moved).logdet) / (2 * h)
        traces.append(MT)
    return Traces(tuple(traces), (None,) * len(T))
