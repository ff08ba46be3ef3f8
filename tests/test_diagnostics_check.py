"""The checks of a model: silent on good models, and clear about what is wrong with bad ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.inference.diagnostics.check import Finding, check
from hglm.report.check import check_report
from prediction_models import data_frame


def by_name(fit: hglm.Fit, n: int = 199) -> dict[str, Finding]:
    return {finding.check: finding for finding in check(fit.estimates, fit.design, n)}


def counts(extra: bool) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(30), 10)
    x = rng.normal(size=300)
    mu = np.exp(1.5 + 0.5 * x + 0.4 * rng.normal(size=30)[g])
    return pd.DataFrame({"y": rng.poisson(mu * rng.gamma(1.0, 1.0, 300) if extra else mu), "x": x,
                         "g": g})  # fmt: skip


def test_a_good_model_calls_for_nothing():
    fit = hglm.fit("y ~ x + (1 | g)", counts(extra=False), family="poisson")
    found = by_name(fit)
    assert {f.verdict for f in found.values()} == {"ok"}
    assert {"convergence", "singularity", "overdispersion", "residuals: zeros"} <= set(found)
    assert "Laplace approximation" in found
    text = str(check_report(tuple(found.values())))
    assert text.startswith("Checks of the model: nothing calls for attention")


def test_overdispersion_is_explained():
    fit = hglm.fit("y ~ x + (1 | g)", counts(extra=True), family="poisson")
    found = by_name(fit)
    assert found["overdispersion"].verdict == "attention"
    assert "nbinom2" in found["overdispersion"].advice
    assert found["residuals: zeros"].verdict == "attention"
    report = check_report(tuple(found.values()))
    assert "checks call for attention" in str(report)
    assert "nbinom2" in report.to_html()
    assert list(report.tables["checks"].columns) == ["check", "verdict", "found", "advice"]


def test_singularity_collinearity_and_influence_of_a_linear_model():
    data = data_frame()
    rng = np.random.default_rng(2)
    data["twin"] = data["x"] + 0.05 * rng.normal(size=len(data))
    data.loc[data["g"] == "g05", "noise"] += 30.0 * data.loc[data["g"] == "g05", "x"]
    found = by_name(hglm.fit("noise ~ x + twin + (1 | g)", data))
    assert found["collinearity"].verdict == "note"
    found = by_name(hglm.fit("noise ~ x + (1 | g)", data))
    assert found["influence of g"].verdict == "attention"
    assert "g05" in found["influence of g"].found
    singular = by_name(hglm.fit("yield ~ 1 + (1 | batch)", hglm.load_dataset("dyestuff2")))
    assert singular["singularity"].verdict == "note"
    assert "(Intercept | batch)" in singular["singularity"].found


@pytest.mark.parametrize(("error", "verdict"), [(0.1, "ok"), (-0.9, "attention")])
def test_a_poor_laplace_approximation_is_named(error, verdict):
    fit = hglm.fit("y ~ x + (1 | g)", counts(extra=False), family="poisson")
    certificate = replace(fit.estimates.certificate, laplace_error=error, converged=False)
    estimates = replace(fit.estimates, certificate=certificate)
    found = {f.check: f for f in check(estimates, fit.design, 0)}
    assert found["Laplace approximation"].verdict == verdict
    assert found["convergence"].verdict == "attention"
    assert not any(name.startswith("residuals") for name in found)


def test_frequencies_leave_the_simulations_out():
    data = counts(extra=False).assign(f=2.0)
    fit = hglm.fit("y ~ x + (1 | g)", data, family="poisson", frequencies="f")
    assert not any(name.startswith("residuals") for name in by_name(fit))
