"""The summary of a fit with a covariate measured with error."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from hglm.design.arrays import Design, Measured
from hglm.fitting.record import Estimates, TermEstimate
from hglm.measurement.estimate import ErrorsInVariablesFit
from hglm.report.document import Document, Fact, Table
from hglm.report.formats import Significant, count
from hglm.report.frames import components_frame
from hglm.report.random_effects import random_effects_table
from hglm.report.render import Report
from hglm.report.wording import certificate_note, df_note

__all__ = ["summarise_measurement"]

_CRITERIA = ["AIC", "BIC", "logLik", "deviance"]
_FIXED = ["term", "estimate", "std_error", "statistic", "p_value"]


def summarise_measurement(
    design: Design,
    measured: Measured,
    estimates: ErrorsInVariablesFit,
    uncorrected: Estimates,
    terms: tuple[TermEstimate, ...],
    *,
    formula: str,
    glance: pd.DataFrame,
    coefficients: pd.DataFrame,
    latent: pd.DataFrame,
    level: float | None,
) -> Report:
    """Write the summary, with the frames behind it.

    Parameters
    ----------
    design, measured, estimates, uncorrected, terms
        Of the fit.
    formula
        As typed.
    glance, coefficients, latent
        Frames of the fit.
    level
        Confidence level, to show the limits in `coefficients`.
    """
    name = design.mean.names[measured.column]
    sigma = float(np.exp(estimates.parameters.log_sigma))
    comparison = _comparison(measured, estimates, uncorrected)
    shown = [*_FIXED, *([] if level is None else ["conf_low", "conf_high"])]
    headers = {"term": "", "statistic": "z"}
    tables = (
        Table(glance[_CRITERIA].assign(n_parameters=estimates.n_parameters)),
        random_effects_table(terms, "Random effects", sigma),
        Table(
            coefficients[shown],
            "Fixed effects",
            headers=headers,
            notes=(df_note("asymptotic"),),
        ),
        Table(comparison, f"Slope of {name}", headers={"term": ""}),
        Table(latent[_FIXED], f"True {name} on the other covariates", headers=headers),
    )
    notes = (*design.notes, *_assumptions(name, measured), *_singular(estimates, terms))
    document = Document(
        title=f"Linear {'mixed ' if terms else ''}model with errors in a covariate, "
        "fit by maximum likelihood",
        facts=tuple(_facts(design, measured, estimates, terms, formula)),
        tables=tables,
        notes=(*notes, certificate_note(estimates.certificate)),
    )
    frames = {
        "glance": glance,
        "varcorr": components_frame(terms, sigma),
        "coefficients": coefficients,
        "comparison": comparison,
        "latent": latent,
    }
    return Report(document, frames)


def _facts(
    design: Design,
    measured: Measured,
    estimates: ErrorsInVariablesFit,
    terms: tuple[TermEstimate, ...],
    formula: str,
) -> Iterator[Fact]:
    name = design.mean.names[measured.column]
    low, middle, high = _numbers(np.quantile(estimates.reliability, [0.0, 0.5, 1.0]))
    (spread,) = _numbers(np.exp([estimates.parameters.log_sigma_x]))
    between = f" ({low} to {high})" if low != high else ""
    yield Fact("Formula", formula, code=True)
    yield Fact("Observations", count(design.nobs))
    for term in terms:
        yield Fact("Groups", f"{term.group} {len(term.levels)}")
    yield Fact("Measured with error", f"{name}, standard error {measured.text}")
    yield Fact("Reliability", f"{middle}{between}")
    yield Fact(f"SD of true {name}", f"{spread}, other covariates given")


def _numbers(values: np.ndarray) -> tuple[str, ...]:
    return tuple(Significant().cells(pd.Series(values), pd.DataFrame()))


def _comparison(
    measured: Measured, estimates: ErrorsInVariablesFit, uncorrected: Estimates
) -> pd.DataFrame:
    at = measured.column
    return pd.DataFrame(
        {
            "term": ["Of the true value", "Measurement taken as exact"],
            "estimate": [estimates.slope, uncorrected.beta[at]],
            "std_error": [estimates.slope_se, np.sqrt(uncorrected.vcov[at, at])],
        }
    )


def _assumptions(name: str, measured: Measured) -> Iterator[str]:
    yield (
        f"Assumed: {name} is its true value plus a normal error of known standard deviation, "
        "independent of the true value and of the response; given the other covariates, true "
        "values are normal, of one variance, and independent between rows."
    )
    exact = int((measured.se == 0).sum())
    if exact == len(measured.se):
        yield (
            "All standard errors are zero: the estimates are those of the measurement taken as "
            "exact."
        )
    elif exact:
        yield f"The standard error is zero in {count(exact)} rows, whose {name} counts as exact."


def _singular(estimates: ErrorsInVariablesFit, terms: tuple[TermEstimate, ...]) -> Iterator[str]:
    if estimates.certificate.singular:
        yield (
            f"The variance of some combination of the random effects of {terms[0].group} is "
            "estimated at zero: a normal outcome, not an error; the other estimates stand."
        )
