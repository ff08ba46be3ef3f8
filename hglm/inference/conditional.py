"""Random effects of each level: conditional covariances, intervals, shrinkage.

Given θ and β, the random effects of a linear model are normal around their
conditional modes, b | y ~ N(b̂, σ²Q) with Q = (Z'Z + Σ^-1)^-1 (Bates et al. 2015,
sec. 2.2; lme4's `condVar`); in a generalised model this is the normal approximation
at the mode. With the uncertainty of the other estimates it is Var(b̂ - b) of
`hglm.inference.errors_of_fit` (glmmTMB's standard errors).

The shrinkage of a level's coefficient is

    Var(b_j | y) / Var(b_j),

the share of its prior variance that the data have left. For a single random
intercept and n_j observations this is (σ²/n_j)/(σ_b² + σ²/n_j), the weight of the
population beside the level's own mean, one less its reliability (Raudenbush & Bryk
2002, Hierarchical Linear Models, 2nd ed., ch. 3): 0 means no shrinkage, 1 complete
shrinkage to the population. A coefficient of zero variance has 1, the limit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hglm.fitting.record import Estimates, TermEstimate
from hglm.inference.errors_of_fit import joint_covariance
from hglm.inference.joint_covariance import JointCovariance
from hglm.inference.quantiles import critical_value
from hglm.numerics.related import level_blocks
from hglm.typing import Matrix

__all__ = ["coef_frame", "conditional_covariances", "ranef_frame"]


def conditional_covariances(estimates: Estimates, beta: bool = False) -> list[Matrix]:
    """Covariance of the random effects of each level, given the data.

    Parameters
    ----------
    estimates
        Of the fit.
    beta
        Whether to include the uncertainty of the fixed effects (and in generalised
        models of all other parameters).

    Returns
    -------
    list of (q, k, k)
        One array a term, in the order of `Estimates.terms`.
    """
    joint = joint_covariance(estimates)
    blocks = _blocks(joint)
    return _by_term(estimates, joint, _with_fixed(joint, blocks) if beta else blocks)


def ranef_frame(estimates: Estimates, level: float = 0.95, beta: bool = False) -> pd.DataFrame:
    """Conditional modes of the random effects with intervals and shrinkage.

    Parameters
    ----------
    estimates
        Of the fit.
    level
        Coverage of the (normal) intervals.
    beta
        Whether standard errors include the uncertainty of the fixed effects, as in
        `conditional_covariances`.

    Returns
    -------
    DataFrame
        Columns `group, level, term, estimate, std_error, conf_low, conf_high,
        shrinkage`; terms, then coefficients, then levels in their order. A column
        `predictor` comes first where others than the mean have random effects.
        `shrinkage` is that given θ and β, see the module.
    """
    z = critical_value(level)
    joint = joint_covariance(estimates)
    blocks = _blocks(joint)
    conditional = _by_term(estimates, joint, blocks)
    errors = _by_term(estimates, joint, _with_fixed(joint, blocks)) if beta else conditional
    parts = []
    for term, given, error in zip(estimates.terms, conditional, errors, strict=True):
        shrinkage = _shrinkage(term, given)
        for a, name in enumerate(term.names):
            std_error = np.sqrt(np.maximum(error[:, a, a], 0.0))
            frame = pd.DataFrame({"group": term.group, "level": term.levels, "term": name})
            frame["estimate"] = term.modes[:, a]
            frame["std_error"] = std_error
            frame["conf_low"] = term.modes[:, a] - z * std_error
            frame["conf_high"] = term.modes[:, a] + z * std_error
            frame["shrinkage"] = shrinkage[:, a]
            frame.insert(0, "predictor", term.predictor)
            parts.append(frame)
    table = _stack(parts, _RANEF_COLUMNS)
    only_mean = (table["predictor"] == "mean").all()
    return table.drop(columns="predictor") if only_mean else table


def coef_frame(estimates: Estimates, names: Sequence[str]) -> pd.DataFrame:
    """Coefficients of each level: fixed plus random effects.

    Parameters
    ----------
    estimates
        Of the fit.
    names
        (p,) names of the fixed effects.

    Returns
    -------
    DataFrame
        Columns `group, level`, then every fixed effect, then the random
        coefficients that have no fixed effect of their name. One row a level of
        each grouping factor; effects of other factors are left out (lme4's `coef`).
    """
    terms = [term for term in estimates.terms if term.predictor == "mean"]
    random = [name for term in terms for name in term.names]
    columns = list(dict.fromkeys([*names, *random]))
    fixed = dict(zip(names, estimates.beta, strict=True))
    parts = []
    for group in dict.fromkeys(term.group for term in terms):
        members = [term for term in terms if term.group == group]
        levels = members[0].levels
        values = np.tile([fixed.get(name, 0.0) for name in columns], (len(levels), 1))
        for term in members:
            for a, name in enumerate(term.names):
                values[:, columns.index(name)] += term.modes[:, a]
        frame = pd.DataFrame({"group": group, "level": levels})
        parts.append(pd.concat([frame, pd.DataFrame(values, columns=columns)], axis=1))
    return _stack(parts, ["group", "level", *columns])


_RANEF_COLUMNS = (
    "predictor",
    "group",
    "level",
    "term",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "shrinkage",
)


def _blocks(joint: JointCovariance) -> list[Matrix]:
    """Q of single levels, (k, k, q) per group."""
    return joint.factor().posterior_blocks() if joint.slots else []


def _with_fixed(joint: JointCovariance, blocks: Sequence[Matrix]) -> list[Matrix]:
    """Q + G'G, see `hglm.inference.joint_covariance`. (k, k, q) per group"""
    return [
        Q + np.einsum("raq,rbq->abq", G, G) for Q, G in zip(blocks, joint.sensitivity, strict=True)
    ]


def _by_term(
    estimates: Estimates, joint: JointCovariance, blocks: Sequence[Matrix]
) -> list[Matrix]:
    """Covariances in the user's columns, (q, k, k) per term."""
    out = []
    for term, slot, S in zip(estimates.terms, joint.slots, joint.maps, strict=True):
        Q = blocks[slot.group][slot.columns, slot.columns]  # (k, k, q)
        if term.relation is not None:
            Q = level_blocks(Q, term.relation.root)
        V = joint.scale * (S @ np.moveaxis(Q, 2, 0) @ S.T)
        out.append(0.5 * (V + V.swapaxes(1, 2)))
    return out


def _shrinkage(term: TermEstimate, conditional: Matrix) -> Matrix:
    """Var(b | y)/Var(b), coefficient by coefficient. (q, k)"""
    prior = np.diagonal(term.covariance)[None]  # (1, k)
    if term.relation is not None:
        prior = prior * (term.relation.root**2).sum(axis=1)[:, None]
    posterior = np.diagonal(conditional, axis1=1, axis2=2)  # (q, k)
    ratio = np.divide(posterior, prior, out=np.ones(posterior.shape), where=prior > 0.0)
    return np.clip(ratio, 0.0, 1.0)


def _stack(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=float) for name in columns})
    return pd.concat(parts, ignore_index=True)
