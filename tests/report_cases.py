"""Estimates made of numbers that R printed, to test reports without fitting anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hglm.design.arrays import Design, PredictorDesign, RandomTerm
from hglm.fitting.certificate import Certificate
from hglm.fitting.record import Estimates, TermEstimate
from hglm.report import coefficient_frame
from reference_data import inference_reference, reference

__all__ = ["case", "coefficients_of", "design_of", "estimates_of", "term_of"]

CONVERGED = Certificate(
    converged=True,
    gain=2e-12,
    gradient=3e-9,
    curvature=0.5,
    evaluations=4,
    singular=False,
    message="Converged: the gradient vanishes at the optimum.",
)


def case(model: str, **certificate: Any) -> tuple[Estimates, Design, pd.DataFrame]:
    """Return estimates, a design of the right shape and lmerTest's coefficients."""
    stored = reference(model)
    estimates = estimates_of(stored, **certificate)
    return estimates, design_of(estimates), coefficients_of(model)


def estimates_of(stored: dict[str, Any], **certificate: Any) -> Estimates:
    sigma = stored["sigma"]
    names = dict(zip(stored["fixef_names"], stored["fixef_names_py"], strict=True))
    terms = tuple(
        term_of(
            spread["group"],
            [names.get(name, name) for name in spread["names"]],
            np.array(spread["sd"]),
            np.array(spread["corr"]),
            sigma,
            position,
            stored["n_groups"][spread["group"]],
        )
        for position, spread in enumerate(stored["varcorr"])
    )
    return Estimates(
        method=stored["method"],
        beta=np.array(stored["fixef"]),
        vcov=np.array(stored["vcov"]),
        sigma=sigma,
        terms=terms,
        theta=np.array(stored["theta"]),
        llf=stored["loglik"],
        nobs=float(stored["n_obs"]),
        n_parameters=stored["n_parameters"],
        linear_predictor=np.zeros(stored["n_obs"]),
        certificate=certificate_with(**certificate),
        state=None,  # type: ignore[arg-type]  # no report looks at it
    )


def term_of(
    group: str,
    names: list[str],
    sd: np.ndarray,
    corr: np.ndarray,
    sigma: float = 1.0,
    position: int = 0,
    levels: int = 5,
    structure: str = "us",
) -> TermEstimate:
    covariance = np.outer(sd, sd) * corr
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0)) / sigma
    return TermEstimate(
        position=position,
        group=group,
        names=tuple(names),
        levels=pd.RangeIndex(levels),
        structure=structure,
        factor=np.linalg.qr(root.T, mode="r").T,
        covariance=covariance,
        modes=np.zeros((levels, len(names))),
    )


def design_of(estimates: Estimates, notes: tuple[str, ...] = ()) -> Design:
    """Return a design whose random terms have the names and sizes of the estimates."""
    n = int(estimates.nobs)
    random = tuple(
        RandomTerm(t.group, t.names, t.levels, np.zeros(n, np.intp), np.ones((n, t.k)), t.structure)
        for t in estimates.terms
    )
    X = np.ones((n, len(estimates.beta)))
    names = tuple(f"x{j}" for j in range(X.shape[1]))
    rows = pd.RangeIndex(n)
    mean = PredictorDesign(X, names, {}, None, random)
    return Design("y", np.zeros(n), mean, rows, n, notes=notes)


def coefficients_of(model: str) -> pd.DataFrame:
    """Return lmerTest's table, with limits 1.96 standard errors off."""
    stored = reference(model)
    table = pd.DataFrame(inference_reference(model)["ddf"]["satterthwaite"]["coef"])
    beta, se = table["estimate"].to_numpy(), table["se"].to_numpy()
    return coefficient_frame(
        stored["fixef_names_py"],
        beta,
        se,
        table["df"].to_numpy(),
        table["t"].to_numpy(),
        table["p"].to_numpy(),
        beta - 1.96 * se,
        beta + 1.96 * se,
    )


def certificate_with(**changes: Any) -> Certificate:
    fields = {name: getattr(CONVERGED, name) for name in Certificate.__slots__}
    return Certificate(**(fields | changes))
